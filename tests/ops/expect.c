/*
 * Which file of the test knows what an op gives.
 */
#include "op_case.h"

static const expect_fn expect_table[COT_OP_COUNT] = {
    [COT_OP_INPUT] = expect_leaf,
    [COT_OP_STATE] = expect_leaf,
    [COT_OP_CONST] = expect_leaf,
    [COT_OP_ROWS] = expect_leaf,
    [COT_OP_IOTA] = expect_leaf,
    [COT_OP_ADD] = expect_elementwise,
    [COT_OP_SUB] = expect_elementwise,
    [COT_OP_MUL] = expect_elementwise,
    [COT_OP_DIV] = expect_elementwise,
    [COT_OP_MAX] = expect_elementwise,
    [COT_OP_MIN] = expect_elementwise,
    [COT_OP_POW] = expect_elementwise,
    [COT_OP_AND] = expect_elementwise,
    [COT_OP_OR] = expect_elementwise,
    [COT_OP_EQ] = expect_compare,
    [COT_OP_NE] = expect_compare,
    [COT_OP_LT] = expect_compare,
    [COT_OP_LE] = expect_compare,
    [COT_OP_GT] = expect_compare,
    [COT_OP_GE] = expect_compare,
    [COT_OP_NEG] = expect_elementwise,
    [COT_OP_ABS] = expect_elementwise,
    [COT_OP_SIGN] = expect_elementwise,
    [COT_OP_FLOOR] = expect_elementwise,
    [COT_OP_NOT] = expect_elementwise,
    [COT_OP_EXP] = expect_elementwise,
    [COT_OP_EXPM1] = expect_elementwise,
    [COT_OP_LOG] = expect_elementwise,
    [COT_OP_LOG1P] = expect_elementwise,
    [COT_OP_SQRT] = expect_elementwise,
    [COT_OP_RSQRT] = expect_elementwise,
    [COT_OP_TANH] = expect_elementwise,
    [COT_OP_SIGMOID] = expect_elementwise,
    [COT_OP_SOFTPLUS] = expect_elementwise,
    [COT_OP_ERF] = expect_elementwise,
    [COT_OP_ERFC] = expect_elementwise,
    [COT_OP_GELU] = expect_elementwise,
    [COT_OP_SIN] = expect_elementwise,
    [COT_OP_COS] = expect_elementwise,
    [COT_OP_RELU] = expect_elementwise,
    [COT_OP_STOP_GRADIENT] = expect_elementwise,
    [COT_OP_SELECT] = expect_select,
    [COT_OP_CAST] = expect_cast,
    [COT_OP_RESHAPE] = expect_view,
    [COT_OP_PERMUTE] = expect_view,
    [COT_OP_BROADCAST] = expect_view,
    [COT_OP_SLICE] = expect_view,
    [COT_OP_PAD] = expect_view,
    [COT_OP_FLIP] = expect_view,
    [COT_OP_WINDOW] = expect_window,
    [COT_OP_CONCAT] = expect_concat,
    [COT_OP_SUM] = expect_reduce,
    [COT_OP_REDUCE_MAX] = expect_reduce,
    [COT_OP_ARGMAX] = expect_reduce,
    [COT_OP_REDUCE_MIN] = expect_reduce,
    [COT_OP_ARGMIN] = expect_reduce,
    [COT_OP_PROD] = expect_reduce,
    [COT_OP_DOT] = expect_dot,
    [COT_OP_CONV] = expect_conv,
    [COT_OP_CONV_DX] = expect_conv,
    [COT_OP_CONV_DW] = expect_conv,
    [COT_OP_MAX_POOL] = expect_pool,
    [COT_OP_AVG_POOL] = expect_pool,
    [COT_OP_ONE_HOT] = expect_one_hot,
    [COT_OP_GATHER] = expect_gather,
    [COT_OP_SCATTER_ADD] = expect_scatter_add,
    [COT_OP_RANDOM] = expect_random,
    [COT_OP_SOFTMAX] = expect_composite,
    [COT_OP_LOG_SOFTMAX] = expect_composite,
    [COT_OP_SOFTMAX_XENT] = expect_composite,
    [COT_OP_CUSTOM] = expect_custom,
    [COT_OP_LAYER_NORM] = expect_norm,
    [COT_OP_RMS_NORM] = expect_norm,
    [COT_OP_GROUP_NORM] = expect_norm,
    [COT_OP_BATCH_NORM] = expect_norm,
    [COT_OP_ATTENTION] = expect_attention,
};

tensor expect_op(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    tensor unused;
    tensor *magnitude = magnitude_out != NULL ? magnitude_out : &unused;
    *magnitude = (tensor){.v = NULL};
    tensor out = expect_table[t->op](p, t, x, magnitude);
    for (int64_t i = 0; i < out.count; i++) {
        out.v[i] = round_to(out.dtype, out.v[i]);
    }
    return out;
}
