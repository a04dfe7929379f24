/*
 * Decompositions of the reductions that no kernel computes itself (decompose.h).
 *
 * A minimum is the maximum of the operand in reverse order: -x, or for integers, whose lowest value
 * has no negative, -1 - x in two's complement and 255 - x in u8, which turn the order round and
 * lose nothing. Ties, NaN and gradients are then those of the maximum.
 *
 * A product is a tree of elementwise multiplications of halves, ceil(log2 n) of them. Its gradient
 * is the chain rule's: no quotient by a factor that may be 0.
 */
#include "decompose.h"

/* ---- minima ---- */

/* x in reverse order; its own inverse. */
static cot_value reversed(cot_value x) {
    cot_dtype dtype = cot_value_dtype(x);
    if (dtype == COT_F32 || dtype == COT_F64) {
        return cot_op_unary(COT_OP_NEG, x);
    }
    cot_value ones = cot_op_constant(x.graph, dtype, dtype == COT_U8 ? 255 : -1);
    return cot_op_binary(COT_OP_SUB, ones, x);
}

cot_value coti_decompose_REDUCE_MIN(const coti_node *node, const cot_value *input) {
    const coti_attr_AXES *attr = node->attr;
    cot_value max =
        cot_op_reduce(COT_OP_REDUCE_MAX, reversed(input[0]), attr->axes.v, attr->axes.n, false);
    return reversed(max);
}

cot_value coti_decompose_ARGMIN(const coti_node *node, const cot_value *input) {
    const coti_attr_AXIS *attr = node->attr;
    return cot_op_argmax(reversed(input[0]), attr->axis);
}

/* ---- products ---- */

/* x [*] as [kept.., n]: the axes moved to the end and made one. `kept` is the result's shape. */
static cot_value flattened(cot_value x, const coti_attr_AXES_type *axes, cot_shape kept) {
    cot_shape shape = cot_value_shape(x);
    bool is_last[COT_MAX_RANK] = {false};
    int32_t order[COT_MAX_RANK];
    int32_t n = 0;
    int64_t elements = 1;
    for (int32_t i = 0; i < axes->n; i++) {
        is_last[axes->v[i]] = true;
        elements *= shape.dim[axes->v[i]]; /* a part of x's own element count, or 0 */
    }
    for (int32_t axis = 0; axis < shape.rank; axis++) {
        if (!is_last[axis]) {
            order[n++] = axis;
        }
    }
    for (int32_t i = 0; i < axes->n; i++) {
        order[n++] = axes->v[i];
    }
    kept.dim[kept.rank++] = elements;
    return cot_op_reshape(cot_op_permute(x, order, n), kept);
}

/* Elements first .. first + n of the last axis. */
static cot_value part(cot_value x, int64_t first, int64_t n) {
    cot_shape shape = cot_value_shape(x);
    int64_t start[COT_MAX_RANK] = {0};
    int64_t stride[COT_MAX_RANK];
    for (int32_t i = 0; i < shape.rank; i++) {
        stride[i] = 1;
    }
    start[shape.rank - 1] = first;
    shape.dim[shape.rank - 1] = n;
    return cot_op_slice(x, start, shape.dim, stride);
}

/* The first half of the last axis times the second, which a 1 completes where n is odd. */
static cot_value halves(cot_value x, int64_t n) {
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    int64_t half = n / 2;
    cot_value second = part(x, n - half, half);
    if (n % 2 != 0) {
        high[cot_value_shape(x).rank - 1] = 1;
        second = cot_op_pad(second, low, high, 1);
    }
    return cot_op_binary(COT_OP_MUL, part(x, 0, n - half), second);
}

cot_value coti_decompose_PROD(const coti_node *node, const cot_value *input) {
    const coti_attr_AXES *attr = node->attr;
    if (attr->axes.n == 0) {
        return input[0];
    }
    cot_value x = flattened(input[0], &attr->axes, node->shape);
    if (x.graph == NULL) {
        return x; /* a poisoned value has no shape to go by */
    }
    int64_t n = cot_value_shape(x).dim[node->shape.rank];
    if (n == 0) {
        cot_value one = cot_op_constant(input[0].graph, (cot_dtype)node->dtype, 1);
        return cot_op_broadcast(one, node->shape, NULL, 0);
    }
    for (; n > 1 && x.graph != NULL; n -= n / 2) {
        x = halves(x, n);
    }
    return cot_op_reshape(x, node->shape);
}
