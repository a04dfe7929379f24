/*
 * Inference of attention: q [*,Tq,d], k [*,Tk,d], v [*,Tk,dv], mask bool [*,Tq,Tk]; result
 * [*,Tq,dv].
 */
#include "infer.h"

#include <math.h>
#include <string.h>

static cot_status check_floats(const coti_infer *infer) {
    for (int32_t i = 0; i < 3; i++) {
        uint8_t dtype = coti_infer_in(infer, i)->dtype;
        if (dtype != COT_F32 && dtype != COT_F64) {
            return COTI_INFER_FAIL(infer, COT_E_DTYPE, "%s must be f32 or f64",
                                   coti_operand_name(infer->op, infer->n_inputs, i));
        }
        COTI_TRY(coti_infer_same_dtype(infer, 0, i));
    }
    return COT_OK;
}

/* Equal ranks of two and more, and equal leading axes, N among them at most. */
static cot_status check_leading(const coti_infer *infer) {
    const cot_shape *q = &coti_infer_in(infer, 0)->shape;
    for (int32_t i = 0; i < 3; i++) {
        const cot_shape *shape = &coti_infer_in(infer, i)->shape;
        const char *name = coti_operand_name(infer->op, infer->n_inputs, i);
        if (shape->rank < 2 || shape->rank != q->rank) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "q, k and v must have one rank, of 2 or more");
        }
        if (coti_axis_batched(shape, shape->rank - 2)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "positions of %s must not be the batch",
                                   name);
        }
        for (int32_t axis = 0; axis < q->rank - 2; axis++) {
            if (!coti_axis_equal(q, axis, shape, axis)) {
                return COTI_INFER_FAIL(infer, COT_E_SHAPE, "leading axis %d of q and %s differs",
                                       (int)axis, name);
            }
        }
    }
    return COT_OK;
}

static cot_status check_matrices(const coti_infer *infer) {
    int32_t rank = coti_infer_in(infer, 0)->shape.rank;
    const int64_t *q = coti_infer_in(infer, 0)->shape.dim;
    const int64_t *k = coti_infer_in(infer, 1)->shape.dim;
    const int64_t *v = coti_infer_in(infer, 2)->shape.dim;
    if (q[rank - 1] != k[rank - 1]) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "features of q and k differ, %lld and %lld",
                               (long long)q[rank - 1], (long long)k[rank - 1]);
    }
    if (k[rank - 2] != v[rank - 2]) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "positions of k and v differ, %lld and %lld",
                               (long long)k[rank - 2], (long long)v[rank - 2]);
    }
    if (k[rank - 2] == 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "there is no position of k to attend to");
    }
    return COT_OK;
}

/* Scores are as large a tensor as any: one for each position of q and each of k. */
static cot_status check_scores(const coti_infer *infer) {
    const cot_shape *q = &coti_infer_in(infer, 0)->shape;
    const cot_shape *k = &coti_infer_in(infer, 1)->shape;
    int64_t count = 1;
    for (int32_t axis = 0; axis < q->rank; axis++) {
        int64_t extent = axis < q->rank - 1 ? q->dim[axis] : k->dim[axis - 1];
        if (extent > 1 && !coti_size_mul(count, extent, &count)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "%lld positions of q and %lld of k have more than %lld scores",
                                   (long long)q->dim[q->rank - 2], (long long)k->dim[k->rank - 2],
                                   (long long)COTI_SIZE_MAX);
        }
    }
    return COT_OK;
}

static cot_status check_mask(const coti_infer *infer) {
    const coti_node *mask = coti_infer_in(infer, 3);
    cot_shape scores = coti_infer_in(infer, 0)->shape;
    scores.dim[scores.rank - 1] = coti_infer_in(infer, 1)->shape.dim[scores.rank - 2];
    if (mask->dtype != COT_BOOL) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "mask must be bool");
    }
    if (!coti_shape_equal(&mask->shape, &scores)) {
        char text[COTI_TYPE_BYTES];
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "mask is not, and cannot become, %s",
                               coti_type_text(text, COT_BOOL, &scores));
    }
    return COT_OK;
}

cot_status coti_infer_ATTENTION(coti_infer *infer) {
    const coti_attr_ATTENTION *attr = infer->attr;
    if (infer->n_inputs != 3 && infer->n_inputs != 4) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%d operands given, 3 or 4 expected",
                               (int)infer->n_inputs);
    }
    COTI_TRY(check_floats(infer));
    COTI_TRY(check_leading(infer));
    COTI_TRY(check_matrices(infer));
    COTI_TRY(check_scores(infer));
    COTI_TRY(infer->n_inputs == 4 ? check_mask(infer) : COT_OK);
    if (!isfinite(attr->scale)) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "scale %g is not finite", attr->scale);
    }
    if (attr->causal != 0 && attr->causal != 1) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "causal is %lld, expected 0 or 1",
                               (long long)attr->causal);
    }
    const cot_shape *v = &coti_infer_in(infer, 2)->shape;
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    infer->shape = coti_infer_in(infer, 0)->shape;
    infer->shape.dim[infer->shape.rank - 1] = v->dim[v->rank - 1];
    return COT_OK;
}
