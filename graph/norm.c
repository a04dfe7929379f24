/*
 * Statistics and normal forms as nodes: contract in norm.h.
 */
#include "norm.h"

/* ---- moments ---- */

cot_value coti_spread(cot_value value, const cot_shape *shape, const int32_t *axes,
                      int32_t n_axes) {
    bool is_reduced[COT_MAX_RANK] = {false};
    int32_t kept[COT_MAX_RANK];
    int32_t n = 0;
    for (int32_t i = 0; i < n_axes; i++) {
        is_reduced[axes[i]] = true;
    }
    for (int32_t axis = 0; axis < shape->rank; axis++) {
        if (!is_reduced[axis]) {
            kept[n++] = axis;
        }
    }
    return cot_op_broadcast(value, *shape, kept, n);
}

coti_moments coti_make_moments(cot_value x, const int32_t *axes, int32_t n_axes) {
    const cot_shape shape = cot_value_shape(x);
    cot_value rounded = cot_op_mean(x, axes, n_axes, false);
    cot_value c = cot_op_binary(COT_OP_SUB, x, coti_spread(rounded, &shape, axes, n_axes));
    cot_value rest = cot_op_mean(c, axes, n_axes, false);
    cot_value square = cot_op_mean(cot_op_binary(COT_OP_MUL, c, c), axes, n_axes, false);
    cot_value variance = cot_op_binary(COT_OP_SUB, square, cot_op_binary(COT_OP_MUL, rest, rest));
    cot_value zero = cot_op_constant(x.graph, cot_value_dtype(x), 0);
    return (coti_moments){
        .mean = cot_op_binary(COT_OP_ADD, rounded, rest),
        .variance = cot_op_binary(COT_OP_MAX, variance, zero),
        .centred = cot_op_binary(COT_OP_SUB, c, coti_spread(rest, &shape, axes, n_axes))};
}

/* ---- normalisations ---- */

/* Rows of n positions of groups of channels. */
static void take_groups(coti_norm *norm, int64_t groups) {
    const cot_shape *shape = &norm->shape;
    int64_t channels = shape->dim[shape->rank - 1];
    int64_t positions = 1;
    for (int32_t axis = 1; axis + 1 < shape->rank; axis++) {
        positions *= shape->dim[axis]; /* a part of x's own element count, or 0 */
    }
    norm->view =
        (cot_shape){.rank = 4,
                    .batched = shape->batched,
                    .dim = {shape->dim[0], positions, groups, groups == 0 ? 0 : channels / groups}};
    norm->n_axes = 2;
    norm->axes[0] = 1;
    norm->axes[1] = 3;
    norm->n_scaled = 2;
}

coti_norm coti_norm_of(const coti_node *node, const cot_shape *shape) {
    coti_norm norm = {.shape = *shape, .view = *shape, .n_axes = 1, .n_scaled = 1};
    norm.axes[0] = shape->rank - 1;
    norm.is_centred = node->op != COT_OP_RMS_NORM;
    if (node->op == COT_OP_GROUP_NORM) {
        const coti_attr_GROUPS *attr = node->attr;
        norm.epsilon = attr->epsilon;
        take_groups(&norm, attr->groups);
        return norm;
    }
    norm.epsilon = ((const coti_attr_EPSILON *)node->attr)->epsilon;
    if (node->op == COT_OP_BATCH_NORM) {
        norm.n_axes = shape->rank - 1;
        for (int32_t axis = 0; axis < norm.n_axes; axis++) {
            norm.axes[axis] = axis;
        }
    }
    return norm;
}

static cot_value reshaped(cot_value x, cot_shape shape) {
    cot_shape now = cot_value_shape(x);
    return coti_shape_equal(&now, &shape) ? x : cot_op_reshape(x, shape);
}

cot_value coti_norm_view(const coti_norm *norm, cot_value x) {
    return reshaped(x, norm->view);
}

cot_value coti_norm_unview(const coti_norm *norm, cot_value y) {
    return reshaped(y, norm->shape);
}

cot_value coti_norm_factor(const coti_norm *norm, cot_value scale) {
    cot_shape shape = {.rank = norm->n_scaled};
    int32_t axes[COT_MAX_RANK];
    for (int32_t i = 0; i < norm->n_scaled; i++) {
        axes[i] = norm->view.rank - norm->n_scaled + i;
        shape.dim[i] = norm->view.dim[axes[i]];
    }
    return cot_op_broadcast(reshaped(scale, shape), norm->view, axes, norm->n_scaled);
}

coti_normal coti_make_normal(const coti_norm *norm, cot_value x) {
    cot_value centred = x;
    cot_value variance;
    if (norm->is_centred) {
        coti_moments moments = coti_make_moments(x, norm->axes, norm->n_axes);
        centred = moments.centred;
        variance = moments.variance;
    } else {
        variance = cot_op_mean(cot_op_binary(COT_OP_MUL, x, x), norm->axes, norm->n_axes, false);
    }
    cot_value epsilon = cot_op_constant(x.graph, cot_value_dtype(x), norm->epsilon);
    cot_value inverse = cot_op_unary(COT_OP_RSQRT, cot_op_binary(COT_OP_ADD, variance, epsilon));
    cot_value along = coti_spread(inverse, &norm->view, norm->axes, norm->n_axes);
    return (coti_normal){inverse, cot_op_binary(COT_OP_MUL, centred, along)};
}
