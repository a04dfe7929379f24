/*
 * Decompositions of indexing, order and running sums.
 *
 *     dynamic_slice   gather at iota + start
 *     dynamic_update  select of a gather at iota - start, where that is inside, and x
 *     argsort         rank_i = #{j: x_j comes before x_i};  y_r = sum_i i [rank_i = r]
 *     cumsum          y += y shifted by 1, 2, 4, ..
 */
#include "decompose.h"

#define OP(op, a, b) cot_op_binary(COT_OP_##op, (a), (b))

static cot_value number(cot_value like, double value) {
    return cot_op_constant(like.graph, cot_value_dtype(like), value);
}

/* ---- dynamic places ---- */

/* A start within [0, most], as i64: extents may be larger than its dtype holds. */
static cot_value clamp_start(cot_value start, int64_t most) {
    start = cot_op_cast(start, COT_I64);
    const cot_shape scalar = {.rank = 0};
    cot_value last = cot_op_constant_array(start.graph, COT_I64, scalar, &most);
    return OP(MIN, OP(MAX, start, number(start, 0)), last);
}

/* 0, 1, .. as i64 [n] */
static cot_value places(cot_graph *graph, int64_t n) {
    return cot_op_iota(graph, COT_I64, (cot_shape){.rank = 1, .dim = {n}}, 0);
}

cot_value coti_decompose_DYNAMIC_SLICE(const coti_node *node, const cot_value *input) {
    const coti_attr_DYNAMIC_SLICE *attr = node->attr;
    int64_t extent = cot_value_shape(input[0]).dim[attr->axis];
    cot_value start = clamp_start(input[1], extent - attr->size);
    cot_value at = OP(ADD, places(input[0].graph, attr->size), start);
    return cot_op_gather(input[0], at, attr->axis, 0);
}

cot_value coti_decompose_DYNAMIC_UPDATE(const coti_node *node, const cot_value *input) {
    const int32_t axis = ((const coti_attr_AXIS *)node->attr)->axis;
    cot_shape shape = cot_value_shape(input[0]);
    int64_t size = cot_value_shape(input[1]).dim[axis];
    cot_value start = clamp_start(input[2], shape.dim[axis] - size);
    cot_value at = OP(SUB, places(input[0].graph, shape.dim[axis]), start);
    cot_value end = cot_op_constant_array(at.graph, COT_I64, (cot_shape){.rank = 0}, &size);
    cot_value inside = OP(AND, OP(GE, at, number(at, 0)), OP(LT, at, end));
    inside = cot_op_broadcast(inside, shape, &axis, 1);
    return cot_op_select(inside, cot_op_gather(input[1], at, axis, 0), input[0]);
}

/* ---- order ---- */

/* A matrix [m,n] of m rows, as [m,n,n]: element i of a row along axis 1, or along axis 2. */
static cot_value along(cot_value x, int32_t axis, cot_shape cube) {
    const int32_t axes[2] = {0, axis};
    return cot_op_broadcast(x, cube, axes, 2);
}

/* Where a is less than b; a NaN is the largest. */
static cot_value less(cot_value a, cot_value b) {
    cot_dtype dtype = cot_value_dtype(a);
    cot_value below = OP(LT, a, b);
    if (dtype != COT_F32 && dtype != COT_F64) {
        return below;
    }
    return OP(OR, below, OP(AND, OP(NE, b, b), OP(EQ, a, a)));
}

/* The rank of each element of x [m,n] in its row, i32: how many come before it. */
static cot_value ranks(cot_value x, cot_shape cube, bool descending) {
    const int32_t last = 2;
    cot_value self = along(x, 1, cube), other = along(x, 2, cube);
    cot_value before = descending ? less(self, other) : less(other, self);
    cot_value after = descending ? less(other, self) : less(self, other);
    cot_value first =
        OP(LT, cot_op_iota(x.graph, COT_I32, cube, 2), cot_op_iota(x.graph, COT_I32, cube, 1));
    cot_value tie = OP(AND, cot_op_unary(COT_OP_NOT, after), first);
    cot_value count = cot_op_cast(OP(OR, before, tie), COT_I32);
    return cot_op_reduce(COT_OP_SUM, count, &last, 1, false);
}

cot_value coti_decompose_ARGSORT(const coti_node *node, const cot_value *input) {
    const int32_t last = 2;
    bool descending = ((const coti_attr_ARGSORT *)node->attr)->descending != 0;
    cot_shape shape = cot_value_shape(input[0]);
    int64_t n = shape.dim[shape.rank - 1];
    cot_shape matrix = {.rank = 2, .batched = shape.batched, .dim = {1, n}};
    for (int32_t a = 0; a + 1 < shape.rank; a++) {
        matrix.dim[0] *= shape.dim[a];
    }
    if (matrix.dim[0] * n == 0) { /* N rows of none are no matrix */
        return cot_op_broadcast(cot_op_constant(input[0].graph, COT_I32, 0), shape, NULL, 0);
    }
    cot_shape cube = {.rank = 3, .batched = shape.batched, .dim = {matrix.dim[0], n, n}};
    cot_value rank = ranks(cot_op_reshape(input[0], matrix), cube, descending);
    /* r along axis 1, i along axis 2 */
    cot_value here = OP(EQ, along(rank, 2, cube), cot_op_iota(rank.graph, COT_I32, cube, 1));
    cot_value place = cot_op_iota(rank.graph, COT_I32, cube, 2);
    cot_value found = cot_op_select(here, place, number(place, 0));
    return cot_op_reshape(cot_op_reduce(COT_OP_SUM, found, &last, 1, false), shape);
}

/* ---- running sums ---- */

/* x moved along the axis by `step` < its extent, zeros before it. */
static cot_value shifted(cot_value x, int32_t axis, int64_t step) {
    cot_shape shape = cot_value_shape(x);
    int64_t zeros[COT_MAX_RANK] = {0}, low[COT_MAX_RANK] = {0}, stride[COT_MAX_RANK];
    for (int32_t a = 0; a < shape.rank; a++) {
        stride[a] = 1;
    }
    shape.dim[axis] -= step;
    low[axis] = step;
    return cot_op_pad(cot_op_slice(x, zeros, shape.dim, stride), low, zeros, 0);
}

cot_value coti_decompose_CUMSUM(const coti_node *node, const cot_value *input) {
    int32_t axis = ((const coti_attr_AXIS *)node->attr)->axis;
    int64_t extent = cot_value_shape(input[0]).dim[axis];
    cot_value y = input[0];
    for (int64_t step = 1; step < extent; step *= 2) {
        y = OP(ADD, y, shifted(y, axis, step));
    }
    return y;
}
