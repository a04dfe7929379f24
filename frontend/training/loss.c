/*
 * Losses of rows. A cross-entropy is taken from logits when there are any: those before the
 * output's softmax (as TensorFlow's backend of Keras does), or the output itself by from_logits.
 * From probabilities, categorical cross-entropy divides by their sum and clips; the sparse one
 * clips, and its logarithms go through a softmax (again TensorFlow's way).
 */
#include "frontend/training/training.h"

/* Keras's epsilon(). */
#define EPSILON 1e-7

const char *cot_loss_name(cot_loss loss) {
#define NAME(constant, name, value) name,
    static const char *const table[] = {COT_LOSS_LIST(NAME)};
#undef NAME
    return coti_loss_is_valid(loss) ? table[loss] : "?";
}

bool coti_loss_is_valid(cot_loss loss) {
#define ONE(constant, name, value) +1
    return (int)loss >= 0 && (int)loss < 0 COT_LOSS_LIST(ONE);
#undef ONE
}

bool coti_loss_is_sparse(cot_loss loss) {
    return loss == COT_SPARSE_CATEGORICAL_CROSSENTROPY;
}

static cot_value constant_of(cot_value x, double value) {
    return cot_op_constant(x.graph, cot_value_dtype(x), value);
}

static const int32_t last_axis[1] = {-1};

/* x within [low, high]; the gradient at a bound is 1, and a NaN stays. */
static cot_value clip(cot_value x, double low, double high) {
    cot_value l = constant_of(x, low), h = constant_of(x, high);
    cot_value above = cot_op_select(cot_op_binary(COT_OP_LT, x, l), l, x);
    return cot_op_select(cot_op_binary(COT_OP_GT, x, h), h, above);
}

/* -sum(target * log(clip(p / sum(p)))). */
static cot_value from_probabilities(cot_value target, cot_value p) {
    cot_value sum = cot_op_reduce(COT_OP_SUM, p, last_axis, 1, true);
    cot_value share = clip(cot_op_binary(COT_OP_DIV, p, sum), EPSILON, 1.0 - EPSILON);
    cot_value terms = cot_op_binary(COT_OP_MUL, target, cot_op_unary(COT_OP_LOG, share));
    return cot_op_unary(COT_OP_NEG, cot_op_reduce(COT_OP_SUM, terms, last_axis, 1, false));
}

static cot_value squared_error(cot_value target, cot_value y) {
    cot_value error = cot_op_binary(COT_OP_SUB, target, y);
    return cot_op_mean(cot_op_binary(COT_OP_MUL, error, error), last_axis, 1, false);
}

cot_value coti_loss_build(const coti_head *head, coti_built output, cot_value target) {
    cot_value y = output.value;
    if (head->loss == COT_MEAN_SQUARED_ERROR) {
        return squared_error(target, y);
    }
    bool sparse = coti_loss_is_sparse(head->loss);
    if (sparse) {
        cot_shape shape = head->type.shape;
        target = cot_op_one_hot(target, shape.dim[shape.rank - 1], head->type.dtype);
    }
    if (head->fuse && output.logits.graph != NULL) {
        return cot_op_softmax_cross_entropy(target, output.logits);
    }
    if (head->from_logits) {
        return cot_op_softmax_cross_entropy(target, y);
    }
    if (sparse) {
        cot_value log = cot_op_unary(COT_OP_LOG, clip(y, EPSILON, 1.0 - EPSILON));
        return cot_op_softmax_cross_entropy(target, log);
    }
    return from_probabilities(target, y);
}
