/*
 * Decompositions of the softmax family (decompose.h), over the last axis.
 *
 * With m = max_c x, s = sum_c exp(x - m):
 *     softmax = exp(x - m) / s        log_softmax = (x - m) - log(s)
 *     softmax_xent = sum_c target * (log(s) - (x - m))
 * Shifting by any m changes none of them in exact arithmetic; by the maximum every exp is at most 1
 * and s at least 1. A row with +inf or NaN, or of -inf alone, gives NaN.
 */
#include "decompose.h"

/* row [*] repeated along the last axis of a tensor like x [*,c]. */
static cot_value spread(cot_value row, cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_shape shape = cot_value_shape(x);
    return cot_op_broadcast(row, shape, axes, shape.rank - 1);
}

static cot_value over_last(cot_op op, cot_value x) {
    const int32_t last = -1;
    return cot_op_reduce(op, x, &last, 1, false);
}

/* x - m */
static cot_value shifted(cot_value x) {
    return cot_op_binary(COT_OP_SUB, x, spread(over_last(COT_OP_REDUCE_MAX, x), x));
}

/* log(s), repeated; z is x - m */
static cot_value log_sum(cot_value z) {
    cot_value s = over_last(COT_OP_SUM, cot_op_unary(COT_OP_EXP, z));
    return spread(cot_op_unary(COT_OP_LOG, s), z);
}

cot_value coti_decompose_SOFTMAX(const coti_node *node, const cot_value *input) {
    (void)node;
    cot_value e = cot_op_unary(COT_OP_EXP, shifted(input[0]));
    return cot_op_binary(COT_OP_DIV, e, spread(over_last(COT_OP_SUM, e), e));
}

cot_value coti_decompose_LOG_SOFTMAX(const coti_node *node, const cot_value *input) {
    (void)node;
    cot_value z = shifted(input[0]);
    return cot_op_binary(COT_OP_SUB, z, log_sum(z));
}

cot_value coti_decompose_SOFTMAX_XENT(const coti_node *node, const cot_value *input) {
    (void)node;
    cot_value z = shifted(input[1]);
    cot_value loss = cot_op_binary(COT_OP_SUB, log_sum(z), z);
    return over_last(COT_OP_SUM, cot_op_binary(COT_OP_MUL, input[0], loss));
}
