/*
 * Metrics of rows. An argmax is taken of a softmax's logits where there are any: it keeps their
 * order, so its values are not needed. The first maximum wins a tie.
 */
#include "frontend/training/training.h"

const char *cot_metric_name(cot_metric metric) {
#define NAME(constant, name, value) name,
    static const char *const table[] = {COT_METRIC_LIST(NAME)};
#undef NAME
    return coti_metric_is_valid(metric) ? table[metric] : "?";
}

bool coti_metric_is_valid(cot_metric metric) {
#define ONE(constant, name, value) +1
    return (int)metric >= 0 && (int)metric < 0 COT_METRIC_LIST(ONE);
#undef ONE
}

/* 1 where a and b are equal, in dtype. */
static cot_value matches(cot_value a, cot_value b, cot_dtype dtype) {
    return cot_op_cast(cot_op_binary(COT_OP_EQ, a, b), dtype);
}

/* mean(target == (y > 0.5)) over the last axis. */
static cot_value binary(cot_value y, cot_value target) {
    static const int32_t last_axis[1] = {-1};
    cot_dtype dtype = cot_value_dtype(y);
    cot_value half = cot_op_constant(y.graph, dtype, 0.5);
    cot_value guess = cot_op_cast(cot_op_binary(COT_OP_GT, y, half), dtype);
    return cot_op_mean(matches(target, guess, dtype), last_axis, 1, false);
}

cot_value coti_metric_build(cot_metric metric, const coti_head *head, coti_built output,
                            cot_value target) {
    bool is_softmax = output.logits.graph != NULL && output.squashed == COT_SOFTMAX;
    cot_value scores = is_softmax ? output.logits : output.value;
    switch (metric) {
    case COT_BINARY_ACCURACY:
        return binary(output.value, target);
    case COT_CATEGORICAL_ACCURACY:
        return matches(cot_op_argmax(target, -1), cot_op_argmax(scores, -1), head->type.dtype);
    case COT_SPARSE_CATEGORICAL_ACCURACY:
        return matches(target, cot_op_argmax(scores, -1), head->type.dtype);
    case COT_ACCURACY:
    case COT_NO_METRIC:
        break;
    }
    return coti_poison();
}
