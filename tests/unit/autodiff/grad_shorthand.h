/*
 * Shorthands of the gradient cases: builders that take shapes and axes as text. For grad_case.c,
 * which pastes the expressions of tests/grad_cases.def.
 */
#ifndef AUTODIFF_GRAD_SHORTHAND_H
#define AUTODIFF_GRAD_SHORTHAND_H

#include "custom_function.h"
#include "scan_case.h"
#include "shapes.h"

#define un(id, x) cot_op_unary(COT_OP_##id, (x))
#define bin(id, a, b) cot_op_binary(COT_OP_##id, (a), (b))

/* A constant of x's dtype. */
SHAPES_UNUSED static cot_value num(cot_value x, double value) {
    return cot_op_constant(x.graph, cot_value_dtype(x), value);
}

SHAPES_UNUSED static cot_value other_float(cot_value x) {
    return cot_op_cast(x, cot_value_dtype(x) == COT_F32 ? COT_F64 : COT_F32);
}

/* y * (y + 1): so that the cotangent of a linear operation differs from element to element. */
SHAPES_UNUSED static cot_value curve(cot_value y) {
    return bin(MUL, y, bin(ADD, y, num(y, 1)));
}

SHAPES_UNUSED static cot_value reshape(cot_value x, const char *shape) {
    return cot_op_reshape(x, read_shape(shape));
}

SHAPES_UNUSED static cot_value permute(cot_value x, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_permute(x, list, read_axes(axes, list));
}

SHAPES_UNUSED static cot_value broadcast(cot_value x, const char *shape, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    int32_t n = read_axes(axes, list);
    return cot_op_broadcast(x, read_shape(shape), list, n);
}

/* A constant of x's dtype and of a shape. */
SHAPES_UNUSED static cot_value num_of(cot_value x, const char *shape, double value) {
    return cot_op_broadcast(num(x, value), read_shape(shape), NULL, 0);
}

SHAPES_UNUSED static cot_value slice(cot_value x, const char *start, const char *size,
                                     const char *stride) {
    int64_t starts[COT_MAX_RANK];
    int64_t sizes[COT_MAX_RANK];
    int64_t strides[COT_MAX_RANK];
    read_list(start, starts);
    read_list(size, sizes);
    read_list(stride, strides);
    return cot_op_slice(x, starts, sizes, strides);
}

SHAPES_UNUSED static cot_value pad(cot_value x, const char *low, const char *high, double value) {
    int64_t lows[COT_MAX_RANK];
    int64_t highs[COT_MAX_RANK];
    read_list(low, lows);
    read_list(high, highs);
    return cot_op_pad(x, lows, highs, value);
}

SHAPES_UNUSED static cot_value flip(cot_value x, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_flip(x, list, read_axes(axes, list));
}

SHAPES_UNUSED static cot_value window(cot_value x, int32_t axis, const char *size,
                                      const char *stride, const char *dilation) {
    int64_t sizes[COT_MAX_RANK];
    int64_t strides[COT_MAX_RANK];
    int64_t dilations[COT_MAX_RANK];
    read_list(stride, strides);
    read_list(dilation, dilations);
    return cot_op_window(x, axis, read_list(size, sizes), sizes, strides, dilations);
}

static cot_conv_axes conv_axes(const char *stride, const char *dilation, const char *low,
                               const char *high, int64_t groups) {
    cot_conv_axes axes = {.groups = groups};
    int64_t list[4][COT_MAX_RANK];
    int32_t n = read_list(stride, list[0]);
    read_list(dilation, list[1]);
    read_list(low, list[2]);
    read_list(high, list[3]);
    for (int32_t i = 0; i < n; i++) {
        axes.stride[i] = list[0][i];
        axes.dilation[i] = list[1][i];
        axes.low[i] = list[2][i];
        axes.high[i] = list[3][i];
    }
    return axes;
}

static cot_value conv(cot_value x, cot_value w, const char *stride, const char *dilation,
                      const char *low, const char *high, int64_t groups) {
    const cot_conv_axes axes = conv_axes(stride, dilation, low, high, groups);
    return cot_op_conv(x, w, &axes);
}

static cot_value conv_dx(cot_value g, cot_value w, const char *size, const char *stride,
                         const char *dilation, const char *low, const char *high, int64_t groups) {
    const cot_conv_axes axes = conv_axes(stride, dilation, low, high, groups);
    int64_t sizes[COT_MAX_RANK];
    read_list(size, sizes);
    return cot_op_conv_dx(g, w, sizes, &axes);
}

static cot_value conv_dw(cot_value x, cot_value g, const char *size, const char *stride,
                         const char *dilation, const char *low, const char *high, int64_t groups) {
    const cot_conv_axes axes = conv_axes(stride, dilation, low, high, groups);
    int64_t sizes[COT_MAX_RANK];
    read_list(size, sizes);
    return cot_op_conv_dw(x, g, sizes, &axes);
}

static cot_pool_axes pool_axes(const char *size, const char *stride, const char *low,
                               const char *high) {
    cot_pool_axes axes = {.size = {0}};
    int64_t list[4][COT_MAX_RANK];
    int32_t n = read_list(size, list[0]);
    read_list(stride, list[1]);
    read_list(low, list[2]);
    read_list(high, list[3]);
    for (int32_t i = 0; i < n; i++) {
        axes.size[i] = list[0][i];
        axes.stride[i] = list[1][i];
        axes.low[i] = list[2][i];
        axes.high[i] = list[3][i];
    }
    return axes;
}

static cot_value max_pool(cot_value x, const char *size, const char *stride, const char *low,
                          const char *high) {
    const cot_pool_axes axes = pool_axes(size, stride, low, high);
    return cot_op_max_pool(x, &axes);
}

static cot_value avg_pool(cot_value x, const char *size, const char *stride, const char *low,
                          const char *high) {
    const cot_pool_axes axes = pool_axes(size, stride, low, high);
    return cot_op_avg_pool(x, &axes);
}

static cot_value concat(const cot_value *x, int32_t n, int32_t axis) {
    return cot_op_concat(x, n, axis);
}

SHAPES_UNUSED static cot_value reduce(cot_op op, cot_value x, const char *axes, bool keep) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_reduce(op, x, list, read_axes(axes, list), keep);
}

SHAPES_UNUSED static cot_value sum(cot_value x, const char *axes, bool keep) {
    return reduce(COT_OP_SUM, x, axes, keep);
}

SHAPES_UNUSED static cot_value largest(cot_value x, const char *axes, bool keep) {
    return reduce(COT_OP_REDUCE_MAX, x, axes, keep);
}

SHAPES_UNUSED static cot_value smallest(cot_value x, const char *axes, bool keep) {
    return reduce(COT_OP_REDUCE_MIN, x, axes, keep);
}

SHAPES_UNUSED static cot_value product(cot_value x, const char *axes, bool keep) {
    return reduce(COT_OP_PROD, x, axes, keep);
}

SHAPES_UNUSED static cot_value dot(cot_value a, cot_value b, const char *a_batch,
                                   const char *b_batch, const char *a_contract,
                                   const char *b_contract) {
    cot_dot_axes axes = {0};
    axes.n_batch = read_axes(a_batch, axes.a_batch);
    read_axes(b_batch, axes.b_batch);
    axes.n_contract = read_axes(a_contract, axes.a_contract);
    read_axes(b_contract, axes.b_contract);
    return cot_op_dot(a, b, &axes);
}

/* A constant i32 index of this shape. */
SHAPES_UNUSED static cot_value indices(cot_value x, const char *shape, const char *values) {
    int64_t list[COT_MAX_RANK] = {0};
    int32_t data[COT_MAX_RANK];
    read_list(values, list);
    for (int32_t i = 0; i < COT_MAX_RANK; i++) {
        data[i] = (int32_t)list[i];
    }
    return cot_op_constant_array(x.graph, COT_I32, read_shape(shape), data);
}

/* An i64 index of this shape, which may be batched: 0, 1, .. along the axis, then `most`. */
SHAPES_UNUSED static cot_value counting(cot_value x, const char *shape, int32_t axis, double most) {
    cot_value iota = cot_op_iota(x.graph, COT_I64, read_shape(shape), axis);
    return cot_op_binary(COT_OP_MIN, iota, cot_op_constant(x.graph, COT_I64, most));
}

/* q, k, v and, of four, the mask. */
SHAPES_UNUSED static cot_value attention(const cot_value *x, int32_t n, double scale, bool causal) {
    cot_value none = {NULL, 0};
    return cot_op_attention(x[0], x[1], x[2], n == 4 ? x[3] : none,
                            &(cot_attention_options){sizeof(cot_attention_options), scale, causal});
}

/* A result of the scan of a body of tests/support/scan_case.h. */
SHAPES_UNUSED static cot_value scan(const char *body, const cot_value *x, int32_t result) {
    return scan_case_result(body, x, false, result);
}

SHAPES_UNUSED static cot_value scan_back(const char *body, const cot_value *x, int32_t result) {
    return scan_case_result(body, x, true, result);
}

/* With 0, 1, 2 and so on steps for the rows. */
SHAPES_UNUSED static cot_value scan_some(const char *body, const cot_value *x, int32_t result) {
    cot_value results[SCAN_CASE_RESULTS] = {{NULL, 0}};
    cot_shape rows = cot_value_shape(x[0]);
    rows.rank = 1;
    cot_value lengths = cot_op_iota(x[0].graph, COT_I32, rows, 0);
    (void)scan_case_build(body, x, false, &lengths, results);
    return results[result];
}

/* The k largest of the last axis. */
SHAPES_UNUSED static cot_value largest_few(cot_value x, int64_t k) {
    cot_value values, places;
    cot_op_top_k(x, k, &values, &places);
    return values;
}

#endif
