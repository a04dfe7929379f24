/*
 * Replace composites by their decompositions, one rule a COMPOSITE row of the op table.
 */
#include "body.h"
#include "decompose.h"

#define DECOMPOSE_LEAF(id) NULL
#define DECOMPOSE_ELEMWISE(id) NULL
#define DECOMPOSE_COMPARE(id) NULL
#define DECOMPOSE_VIEW(id) NULL
#define DECOMPOSE_REDUCE(id) NULL
#define DECOMPOSE_CONTRACT(id) NULL
#define DECOMPOSE_OTHER(id) NULL
#define DECOMPOSE_COMPOSITE(id) coti_decompose_##id

static const coti_decompose_fn rules[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags) [COT_OP_##id] = DECOMPOSE_##kind(id),
#include "ops.def"
#undef COT_OP
};

cot_value coti_decompose(const coti_node *node, const cot_value *input) {
    const coti_node composite = *node; /* the graph's own may move as nodes are added */
    const char *name = cot_op_name((cot_op)composite.op);
    cot_graph *graph = coti_graph_of(name, input, composite.n_inputs);
    if (graph == NULL) {
        return coti_poison();
    }
    if (rules[composite.op] == NULL) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, name, graph->layer, "has no decomposition");
        return coti_poison();
    }
    return rules[composite.op](&composite, input);
}

/* user: a bool, set when a node is replaced. */
static cot_value expand(coti_rewrite *rewrite, uint32_t id, void *user) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    bool *changed = user;
    if (rules[node->op] == NULL) {
        return coti_rewrite_keep(rewrite, id);
    }
    cot_context *context = rewrite->to->context;
    cot_value *input = coti_calloc(context, (size_t)node->n_inputs, sizeof *input);
    if (input == NULL) {
        return coti_poison();
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = rewrite->map[node->input[i]];
    }
    *changed = true;
    cot_value result = coti_decompose(node, input);
    coti_free(context, input);
    return result;
}

static bool has_composites(const cot_graph *graph) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        if (rules[coti_node_at(graph, id)->op] != NULL) {
            return true;
        }
    }
    return false;
}

/* A decomposition may hold composites of earlier rows: as many rounds as they lie inside each
 * other. */
static cot_status expand_one(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    bool changed = false;
    cot_graph *expanded = NULL;
    COTI_TRY(coti_graph_rewrite(graph, expand, &changed, &expanded));
    while (has_composites(expanded)) {
        cot_graph *next = NULL;
        cot_status status = coti_graph_rewrite(expanded, expand, &changed, &next);
        cot_graph_destroy(expanded);
        COTI_TRY(status);
        expanded = next;
    }
    *changed_out = changed || expanded->node.count != graph->node.count;
    *result_out = expanded;
    return COT_OK;
}

cot_status coti_pass_expand(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    return coti_graph_map_bodies(graph, expand_one, result_out, changed_out);
}
