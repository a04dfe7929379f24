/*
 * Replace composites by their decompositions, one rule a COMPOSITE row of the op table.
 */
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

cot_value coti_decompose(cot_op op, const cot_value *input, int32_t n_inputs) {
    const char *name = cot_op_name(op);
    cot_graph *graph = coti_graph_of(name, input, n_inputs);
    if (graph == NULL) {
        return coti_poison();
    }
    if ((size_t)op >= COT_OP_COUNT || rules[op] == NULL || coti_op_table[op].n_inputs != n_inputs) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, name, graph->layer,
                     "has no decomposition for %d operands", n_inputs);
        return coti_poison();
    }
    return rules[op](input);
}

/* user: a bool, set when a node is replaced. */
static cot_value expand(coti_rewrite *rewrite, uint32_t id, void *user) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    bool *changed = user;
    if (rules[node->op] == NULL) {
        return coti_rewrite_keep(rewrite, id);
    }
    cot_value input[2] = {rewrite->map[node->input[0]]};
    if (node->n_inputs == 2) {
        input[1] = rewrite->map[node->input[1]];
    }
    *changed = true;
    return coti_decompose((cot_op)node->op, input, node->n_inputs);
}

cot_status coti_pass_expand(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    bool changed = false;
    COTI_TRY(coti_graph_rewrite(graph, expand, &changed, result_out));
    *changed_out = changed || (*result_out)->node.count != graph->node.count;
    return COT_OK;
}
