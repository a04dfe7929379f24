/*
 * Inference of views: the same elements, arranged differently. The result's dtype is the operand's.
 * A batched leading axis keeps its place and its order under every view but reshape, which may
 * merge its coefficient with the axes that follow, or split it.
 */
#include "infer.h"

/* " wants f32[..]": the caller's shape, for messages. */
static const char *wanted(const coti_infer *infer, char text[COTI_TYPE_BYTES]) {
    return coti_type_text(text, (cot_dtype)coti_infer_in(infer, 0)->dtype, &infer->shape);
}

/* Shape and dtype of the first operand. */
static void result_as_operand(coti_infer *infer) {
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    infer->shape = coti_infer_in(infer, 0)->shape;
}

/* x: any [*]; result of the caller's shape: equal element count, per row of the batch if batched.
 */
cot_status coti_infer_RESHAPE(coti_infer *infer) {
    const coti_node *x = coti_infer_in(infer, 0);
    char text[COTI_TYPE_BYTES];
    int64_t before = 0;
    int64_t after = 0;
    if (x->shape.batched != infer->shape.batched) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "cannot become %s, %s", wanted(infer, text),
                               x->shape.batched ? "a batched tensor stays batched"
                                                : "which is batched");
    }
    if (!coti_shape_elements(&x->shape, 1, &before) ||
        !coti_shape_elements(&infer->shape, 1, &after) || before != after) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "cannot become %s, which has %lld elements%s and not %lld",
                               wanted(infer, text), (long long)after,
                               x->shape.batched ? " a row" : "", (long long)before);
    }
    infer->dtype = (cot_dtype)x->dtype;
    return COT_OK;
}

/* x: any, rank r; axes a permutation of 0..r-1, axes[0] = 0 if batched; result axis i = x's
 * axes[i]. */
cot_status coti_infer_PERMUTE(coti_infer *infer) {
    const coti_attr_AXES_type *axes = &((const coti_attr_AXES *)infer->attr)->axes;
    const coti_node *x = coti_infer_in(infer, 0);
    uint32_t mask = 0;
    COTI_TRY(coti_infer_axes(infer, axes, x->shape.rank, false, "axes", &mask));
    if (axes->n != x->shape.rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%d axes given for rank %d", axes->n,
                               x->shape.rank);
    }
    if (x->shape.batched && axes->v[0] != 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "the batched axis must stay first, axis %d would", axes->v[0]);
    }
    result_as_operand(infer);
    for (int32_t i = 0; i < axes->n; i++) {
        infer->shape.dim[i] = x->shape.dim[axes->v[i]];
    }
    return COT_OK;
}

/*
 * x: any; axes ascending, one for each axis of x; result of the caller's shape, in which axis
 * axes[i] has x's extent i, or any if that is 1. A batched x keeps its leading axis; an x that is
 * not batched may become so, along a new axis or an extent of 1.
 */
cot_status coti_infer_BROADCAST(coti_infer *infer) {
    const coti_attr_AXES_type *axes = &((const coti_attr_AXES *)infer->attr)->axes;
    const coti_node *x = coti_infer_in(infer, 0);
    char text[COTI_TYPE_BYTES];
    uint32_t mask = 0;
    COTI_TRY(coti_infer_axes(infer, axes, infer->shape.rank, true, "axes", &mask));
    if (axes->n != x->shape.rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%d axes given for an operand of rank %d",
                               axes->n, x->shape.rank);
    }
    for (int32_t i = 0; i < axes->n; i++) {
        bool one = x->shape.dim[i] == 1 && !coti_axis_batched(&x->shape, i);
        if (!one && !coti_axis_equal(&x->shape, i, &infer->shape, axes->v[i])) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "axis %d does not fit axis %d of %s", i,
                                   axes->v[i], wanted(infer, text));
        }
    }
    infer->dtype = (cot_dtype)x->dtype;
    return COT_OK;
}

/*
 * x: any; start, stride: one for each axis; the caller's shape gives the sizes. Element i of an
 * axis is x's start + i*stride. A batched leading axis is whole.
 */
cot_status coti_infer_SLICE(coti_infer *infer) {
    const coti_attr_SLICE *attr = infer->attr;
    const cot_shape *x = &coti_infer_in(infer, 0)->shape;
    const cot_shape *y = &infer->shape;
    if (attr->start.n != x->rank || attr->stride.n != x->rank || y->rank != x->rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "%d starts, %d sizes and %d strides given for rank %d",
                               attr->start.n, y->rank, attr->stride.n, x->rank);
    }
    if (x->batched != y->batched) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the result must be batched as the operand is");
    }
    for (int32_t i = 0; i < x->rank; i++) {
        int64_t start = attr->start.v[i];
        int64_t stride = attr->stride.v[i];
        if (coti_axis_batched(x, i) && (start != 0 || stride != 1 || y->dim[i] != x->dim[i])) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "the batched axis must be whole: start 0, size %lld, stride 1",
                                   (long long)x->dim[i]);
        }
        if (stride < 1 || stride > COTI_SIZE_MAX) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "stride %lld of axis %d must be 1 or more, %lld at most",
                                   (long long)stride, i, (long long)COTI_SIZE_MAX);
        }
        int64_t last = 0; /* one past the last element taken */
        if (start < 0 ||
            (y->dim[i] > 0 &&
             (!coti_size_mul(y->dim[i] - 1, stride, &last) || !coti_size_add(last, 1, &last))) ||
            !coti_size_add(last, start, &last) || last > x->dim[i]) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "start %lld, size %lld, stride %lld leave axis %d",
                                   (long long)start, (long long)y->dim[i], (long long)stride, i);
        }
    }
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    return COT_OK;
}

/* Can a value of this dtype be exactly this number? Floats: any, rounded. */
static bool pad_value_fits(cot_dtype dtype, double value) {
    switch (dtype) {
    case COT_F32:
    case COT_F64:
        return true;
    case COT_I32:
        return value >= -0x1p31 && value < 0x1p31 && value == (double)(int32_t)value;
    case COT_I64:
        return value >= -0x1p63 && value < 0x1p63 && value == (double)(int64_t)value;
    case COT_U8:
        return value >= 0 && value < 256 && value == (double)(uint8_t)value;
    case COT_BOOL:
        return value == 0 || value == 1;
    }
    return false;
}

/* x: any; low, high: one for each axis, 0 on a batched one; result x's extents + low + high. */
cot_status coti_infer_PAD(coti_infer *infer) {
    const coti_attr_PAD *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    if (attr->low.n != x->shape.rank || attr->high.n != x->shape.rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%d lows and %d highs given for rank %d",
                               attr->low.n, attr->high.n, x->shape.rank);
    }
    if (!pad_value_fits((cot_dtype)x->dtype, attr->value)) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "value %g is no %s", attr->value,
                               cot_dtype_name((cot_dtype)x->dtype));
    }
    result_as_operand(infer);
    for (int32_t i = 0; i < x->shape.rank; i++) {
        int64_t low = attr->low.v[i];
        int64_t high = attr->high.v[i];
        if (coti_axis_batched(&x->shape, i) && (low != 0 || high != 0)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the batched axis cannot be padded");
        }
        if (!coti_size_add(low, high, &high) ||
            !coti_size_add(high, x->shape.dim[i], &infer->shape.dim[i])) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "padding of axis %d by %lld and %lld is negative or too large",
                                   i, (long long)low, (long long)attr->high.v[i]);
        }
    }
    return COT_OK;
}

/* x: any; axes ascending, not a batched one; result as x. */
cot_status coti_infer_FLIP(coti_infer *infer) {
    const coti_attr_AXES *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    uint32_t mask = 0;
    COTI_TRY(coti_infer_axes(infer, &attr->axes, x->shape.rank, true, "axes", &mask));
    if (x->shape.batched && (mask & 1) != 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the batched axis cannot be flipped");
    }
    result_as_operand(infer);
    return COT_OK;
}

/* x: any; id: any; result as x. */
cot_status coti_infer_BARRIER(coti_infer *infer) {
    result_as_operand(infer);
    return COT_OK;
}

/* x0..: any, equal dtype; equal shapes but for the axis, which is not batched and adds up. */
cot_status coti_infer_CONCAT(coti_infer *infer) {
    const coti_attr_AXIS *attr = infer->attr;
    const coti_node *first = coti_infer_in(infer, 0);
    int32_t axis = attr->axis;
    COTI_TRY(coti_infer_axis(infer, axis, first->shape.rank));
    if (coti_axis_batched(&first->shape, axis)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the batched axis cannot be joined");
    }
    result_as_operand(infer);
    for (int32_t i = 1; i < infer->n_inputs; i++) {
        const coti_node *x = coti_infer_in(infer, i);
        cot_shape expected = first->shape;
        expected.dim[axis] = x->shape.rank > axis ? x->shape.dim[axis] : 0;
        if (x->dtype != first->dtype || !coti_shape_equal(&x->shape, &expected)) {
            char text[COTI_TYPE_BYTES];
            return COTI_INFER_FAIL(infer, x->dtype != first->dtype ? COT_E_DTYPE : COT_E_SHAPE,
                                   "operand %d is %s, does not fit operand 0 but for axis %d", i,
                                   coti_type_text(text, (cot_dtype)x->dtype, &x->shape), axis);
        }
        if (!coti_size_add(infer->shape.dim[axis], x->shape.dim[axis], &infer->shape.dim[axis])) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "axis %d becomes too long", axis);
        }
    }
    return COT_OK;
}
