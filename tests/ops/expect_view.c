/*
 * Expected results of views and leaves: where each element of the result comes from, by its index.
 */
#include "op_case.h"

/* The index in x of the element at `index` of the result; false: outside, where PAD fills. */
static bool source_index(const trial *t, const tensor *x, const int64_t *index, int64_t *from) {
    int64_t axes[COT_MAX_RANK], start[COT_MAX_RANK], stride[COT_MAX_RANK], low[COT_MAX_RANK];
    int32_t n_axes = 0, n = 0;
    attr_ints(t->attr, "axes", axes, &n_axes);
    attr_ints(t->attr, "start", start, &n);
    attr_ints(t->attr, "stride", stride, &n);
    attr_ints(t->attr, "low", low, &n);
    bool inside = true;
    for (int32_t d = 0; d < x->shape.rank; d++) {
        int64_t extent = x->shape.dim[d];
        if (t->op == COT_OP_PERMUTE) {
            from[axes[d]] = index[d];
        } else if (t->op == COT_OP_BROADCAST) {
            from[d] = extent == 1 ? 0 : index[axes[d]];
        } else if (t->op == COT_OP_SLICE) {
            from[d] = start[d] + index[d] * stride[d];
        } else if (t->op == COT_OP_PAD) {
            from[d] = index[d] - low[d];
            inside = inside && from[d] >= 0 && from[d] < extent;
        } else {
            from[d] = index[d];
        }
    }
    for (int32_t k = 0; t->op == COT_OP_FLIP && k < n_axes; k++) {
        from[axes[k]] = x->shape.dim[axes[k]] - 1 - index[axes[k]];
    }
    return inside;
}

/* The result's shape, with N bound. */
static cot_shape view_shape(const trial *t, const tensor *x) {
    int64_t axes[COT_MAX_RANK], size[COT_MAX_RANK], low[COT_MAX_RANK], high[COT_MAX_RANK];
    int32_t n = 0;
    cot_shape shape = x->shape;
    attr_ints(t->attr, "axes", axes, &n);
    attr_ints(t->attr, "size", size, &n);
    attr_ints(t->attr, "low", low, &n);
    attr_ints(t->attr, "high", high, &n);
    for (int32_t d = 0; d < shape.rank; d++) {
        if (t->op == COT_OP_PERMUTE) {
            shape.dim[d] = x->shape.dim[axes[d]];
        } else if (t->op == COT_OP_SLICE && !(d == 0 && t->batched)) {
            shape.dim[d] = size[d];
        } else if (t->op == COT_OP_PAD) {
            shape.dim[d] += low[d] + high[d];
        }
    }
    return shape;
}

tensor expect_view(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    cot_shape own = view_shape(t, x);
    tensor out = tensor_make(p, t->dtype, t->has_result ? &t->result : &own, t->rows);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t index[COT_MAX_RANK], from[COT_MAX_RANK];
        tensor_index(&out, i, index);
        if (t->op == COT_OP_RESHAPE) {
            out.v[i] = x->v[i];
        } else if (source_index(t, x, index, from)) {
            out.v[i] = x->v[tensor_at(x, from)];
        } else {
            out.v[i] = attr_real(t->attr, "value", 0);
        }
    }
    return out;
}

/* Positions o, elements inside k: x at o * stride + k * dilation, as far as windows fit. */
tensor expect_window(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    int64_t size[COT_MAX_RANK], stride[COT_MAX_RANK], dilation[COT_MAX_RANK];
    int32_t n = 0, axis = (int32_t)attr_int(t->attr, "axis", 0);
    attr_ints(t->attr, "size", size, &n);
    attr_ints(t->attr, "stride", stride, &n);
    attr_ints(t->attr, "dilation", dilation, &n);
    axis = axis < 0 ? axis + x->shape.rank : axis;
    cot_shape shape = {.rank = x->shape.rank + n};
    for (int32_t d = 0; d < x->shape.rank; d++) {
        bool windowed = d >= axis && d < axis + n;
        shape.dim[d < axis + n ? d : d + n] = windowed ? 0 : x->shape.dim[d];
    }
    for (int32_t j = 0; j < n; j++) {
        shape.dim[axis + n + j] = size[j];
        int64_t last = (size[j] - 1) * dilation[j];
        for (int64_t at = 0; at + last < x->shape.dim[axis + j]; at += stride[j]) {
            shape.dim[axis + j]++;
        }
    }
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t index[COT_MAX_RANK], from[COT_MAX_RANK];
        tensor_index(&out, i, index);
        for (int32_t d = 0; d < x->shape.rank; d++) {
            from[d] = index[d < axis + n ? d : d + n];
        }
        for (int32_t j = 0; j < n; j++) {
            from[axis + j] = index[axis + j] * stride[j] + index[axis + n + j] * dilation[j];
        }
        out.v[i] = x->v[tensor_at(x, from)];
    }
    return out;
}

tensor expect_concat(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    int64_t axis = attr_int(t->attr, "axis", 0);
    cot_shape shape = x[0].shape;
    for (int32_t k = 1; k < t->n; k++) {
        shape.dim[axis] += x[k].shape.dim[axis];
    }
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t index[COT_MAX_RANK];
        int32_t k = 0;
        tensor_index(&out, i, index);
        while (index[axis] >= x[k].shape.dim[axis]) {
            index[axis] -= x[k].shape.dim[axis];
            k++;
        }
        out.v[i] = x[k].v[tensor_at(&x[k], index)];
    }
    return out;
}

tensor expect_leaf(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    const cot_shape scalar = {0, false, {0}};
    if (t->op == COT_OP_ROWS) {
        tensor out = tensor_make(p, COT_I64, &scalar, 1);
        out.v[0] = (long double)t->rows;
        return out;
    }
    if (t->op != COT_OP_IOTA) {
        return x[0];
    }
    int64_t axis = attr_int(t->attr, "axis", 0);
    axis = axis < 0 ? axis + t->result.rank : axis;
    tensor out = tensor_make(p, t->dtype, &t->result, t->rows);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t index[COT_MAX_RANK];
        tensor_index(&out, i, index);
        out.v[i] = (long double)index[axis];
    }
    return out;
}
