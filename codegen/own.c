/*
 * The last of preparing a graph (prepare.c): outputs and updates get values that a kernel computes
 * for them alone, which it writes where it is told. Nodes are only added.
 */
#include "cluster.h"

cot_value coti_copy_of(cot_value x) {
    if (x.graph == NULL) {
        return x;
    }
    return coti_graph_add(x.graph, COT_OP_CAST, &x, 1, NULL, (cot_dtype)coti_node_of(x)->dtype,
                          NULL);
}

bool coti_is_computed(const coti_node *node) {
    coti_kind kind = coti_op_table[node->op].kind;
    return kind != COTI_KIND_VIEW && (kind != COTI_KIND_LEAF || node->op == COT_OP_IOTA);
}

/* Every output has a computed value of its own. */
static cot_status own_outputs(cot_graph *graph) {
    /* At most one new node an output: a copy of a taken value is new, or another's copy already. */
    size_t n_nodes = graph->node.count + graph->output.count;
    bool *taken = coti_calloc(graph->context, n_nodes, sizeof *taken);
    cot_status status = taken != NULL ? COT_OK : COT_E_NOMEM;
    for (size_t i = 0; i < graph->output.count && status == COT_OK; i++) {
        cot_value value = {graph, graph->output.data[i].value};
        while (value.graph != NULL && (!coti_is_computed(coti_node_of(value)) || taken[value.id])) {
            value = coti_copy_of(value);
        }
        if (value.graph == NULL) {
            status = graph->context->error.status;
        } else {
            taken[value.id] = true;
            graph->output.data[i].value = value.id;
        }
    }
    coti_free(graph->context, taken);
    return status;
}

/* Every state's new value is computed, by a kernel that writes where it is told. */
static cot_status own_updates(cot_graph *graph) {
    for (size_t i = 0; i < graph->update.count; i++) {
        cot_value value = {graph, graph->update.data[i].value};
        bool fits =
            coti_is_computed(coti_node_of(value)) && coti_node_of(value)->op != COT_OP_SCATTER_ADD;
        value = fits ? value : coti_copy_of(value);
        if (value.graph == NULL) {
            return graph->context->error.status;
        }
        graph->update.data[i].value = value.id;
    }
    return COT_OK;
}

cot_status coti_own_results(cot_graph *graph) {
    COTI_TRY(own_outputs(graph));
    return own_updates(graph);
}
