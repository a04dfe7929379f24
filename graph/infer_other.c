/*
 * Inference of one_hot, random and the composites.
 */
#include "infer.h"

#include <string.h>

/* x: i32 or i64 [*]; result [*,c] of the caller's dtype and shape. */
cot_status coti_infer_ONE_HOT(coti_infer *infer) {
    const coti_node *x = coti_infer_in(infer, 0);
    const cot_shape *shape = &infer->shape;
    if (x->dtype != COT_I32 && x->dtype != COT_I64) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "index must be i32 or i64");
    }
    if (shape->rank != x->shape.rank + 1 || shape->batched != x->shape.batched ||
        memcmp(shape->dim, x->shape.dim, (size_t)x->shape.rank * sizeof shape->dim[0]) != 0) {
        char text[COTI_TYPE_BYTES];
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "result %s is not the index with one more axis",
                               coti_type_text(text, infer->dtype, shape));
    }
    return COT_OK;
}

/* seed, step: i64 scalars; result f32 or f64 of the caller's shape. */
cot_status coti_infer_RANDOM(coti_infer *infer) {
    const coti_attr_RANDOM *attr = infer->attr;
    for (int32_t i = 0; i < 2; i++) {
        const coti_node *node = coti_infer_in(infer, i);
        if (node->dtype != COT_I64) {
            return COTI_INFER_FAIL(infer, COT_E_DTYPE, "%s must be i64",
                                   coti_operand_name(infer->op, 2, i));
        }
        if (node->shape.rank != 0) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%s must be a scalar",
                                   coti_operand_name(infer->op, 2, i));
        }
    }
    if (infer->dtype != COT_F32 && infer->dtype != COT_F64) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "random numbers are f32 or f64, not %s",
                               cot_dtype_name(infer->dtype));
    }
    if (attr->distribution != COT_UNIFORM && attr->distribution != COT_NORMAL) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%d is no distribution", (int)attr->distribution);
    }
    if (attr->stream < 0) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "stream %lld is negative",
                               (long long)attr->stream);
    }
    return COT_OK;
}

cot_status coti_infer_last_axis(const coti_infer *infer, int32_t i) {
    const cot_shape *shape = &coti_infer_in(infer, i)->shape;
    if (shape->rank == 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "a scalar has no last axis");
    }
    if (coti_axis_batched(shape, shape->rank - 1)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the last axis must not be the batch");
    }
    if (shape->dim[shape->rank - 1] == 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the last axis is empty");
    }
    return COT_OK;
}

/* x: float [*,c]; result as x. */
cot_status coti_infer_SOFTMAX(coti_infer *infer) {
    COTI_TRY(coti_infer_last_axis(infer, infer->n_inputs - 1));
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    infer->shape = coti_infer_in(infer, 0)->shape;
    return COT_OK;
}

/* As softmax. */
cot_status coti_infer_LOG_SOFTMAX(coti_infer *infer) {
    return coti_infer_SOFTMAX(infer);
}

/* target, logits: float [*,c], equal; result [*]. */
cot_status coti_infer_SOFTMAX_XENT(coti_infer *infer) {
    COTI_TRY(coti_infer_same_dtype(infer, 0, 1));
    COTI_TRY(coti_infer_same_shape(infer, 0, 1));
    COTI_TRY(coti_infer_last_axis(infer, infer->n_inputs - 1));
    const coti_node *logits = coti_infer_in(infer, 1);
    infer->dtype = (cot_dtype)logits->dtype;
    infer->shape = coti_shape_drop(&logits->shape, (uint32_t)1 << (logits->shape.rank - 1));
    return COT_OK;
}
