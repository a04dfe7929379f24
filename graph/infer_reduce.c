/*
 * Inference of reductions, argmax and argmin: the reduced axes are dropped. Reducing the batched
 * axis gives a result that is not batched.
 */
#include "infer.h"

/* COT_E_SHAPE if the row says NONEMPTY and an axis of the mask is empty. N counts as not empty. */
static cot_status check_nonempty(const coti_infer *infer, uint32_t mask) {
    const cot_shape *shape = &coti_infer_in(infer, 0)->shape;
    if ((coti_op_table[infer->op].flags & COTI_NONEMPTY) == 0) {
        return COT_OK;
    }
    for (int32_t i = 0; i < shape->rank; i++) {
        if ((mask >> i & 1) != 0 && shape->dim[i] == 0) {
            bool least = infer->op == COT_OP_REDUCE_MIN || infer->op == COT_OP_ARGMIN;
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "axis %d is empty and has no %s", i,
                                   least ? "minimum" : "maximum");
        }
    }
    return COT_OK;
}

/* x: numbers [*]; axes ascending, may be none; result of x's dtype without the axes. */
cot_status coti_infer_reduce(coti_infer *infer) {
    const coti_attr_AXES *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    uint32_t mask = 0;
    COTI_TRY(coti_infer_axes(infer, &attr->axes, x->shape.rank, true, "axes", &mask));
    COTI_TRY(check_nonempty(infer, mask));
    infer->dtype = (cot_dtype)x->dtype;
    infer->shape = coti_shape_drop(&x->shape, mask);
    return COT_OK;
}

/* As reduce_max. */
cot_status coti_infer_REDUCE_MIN(coti_infer *infer) {
    return coti_infer_reduce(infer);
}

/* As sum, but not over N: the tree of its decomposition has a level for each halving. */
cot_status coti_infer_PROD(coti_infer *infer) {
    const coti_attr_AXES *attr = infer->attr;
    COTI_TRY(coti_infer_reduce(infer));
    if (attr->axes.n > 0 && coti_axis_batched(&coti_infer_in(infer, 0)->shape, attr->axes.v[0])) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "a product over the batch is not supported");
    }
    return COT_OK;
}

/* x: numbers [*]; result i32 without the axis. */
cot_status coti_infer_ARGMAX(coti_infer *infer) {
    const coti_attr_AXIS *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    COTI_TRY(coti_infer_axis(infer, attr->axis, x->shape.rank));
    uint32_t mask = (uint32_t)1 << attr->axis;
    COTI_TRY(check_nonempty(infer, mask));
    infer->dtype = COT_I32;
    infer->shape = coti_shape_drop(&x->shape, mask);
    return COT_OK;
}

/* As argmax. */
cot_status coti_infer_ARGMIN(coti_infer *infer) {
    return coti_infer_ARGMAX(infer);
}
