/*
 * The builder of custom.
 */
#include "body.h"

cot_value cot_op_custom(const cot_graph *forward, const cot_graph *backward,
                        const cot_value *operands, int32_t n) {
    cot_graph *graph = operands != NULL ? coti_graph_of("custom", operands, n) : NULL;
    coti_attr_CUSTOM attr = {.forward = NULL};
    if (graph == NULL) {
        return coti_poison();
    }
    if (forward == NULL || backward == NULL) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, "custom", graph->layer, "%s is NULL",
                     forward == NULL ? "forward" : "backward");
        return coti_poison();
    }
    if (coti_graph_body(graph, forward, &attr.forward) != COT_OK ||
        coti_graph_body(graph, backward, &attr.backward) != COT_OK) {
        return coti_poison();
    }
    return coti_graph_add(graph, COT_OP_CUSTOM, operands, n, &attr, COT_F32, NULL);
}
