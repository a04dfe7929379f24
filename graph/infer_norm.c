/*
 * Inference of the normalisations: x [*,c], scale and offset [c], result as x.
 */
#include "infer.h"

#include <math.h>

static cot_status check_epsilon(const coti_infer *infer, double epsilon) {
    if (!isfinite(epsilon) || epsilon < 0) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "epsilon %g is not a number of at least 0",
                               epsilon);
    }
    return COT_OK;
}

/* scale and offset, the operands after x, have its dtype and one element a channel. */
static cot_status check_factors(const coti_infer *infer) {
    const coti_node *x = coti_infer_in(infer, 0);
    for (int32_t i = 1; i < infer->n_inputs; i++) {
        const cot_shape *shape = &coti_infer_in(infer, i)->shape;
        const char *name = coti_operand_name(infer->op, infer->n_inputs, i);
        COTI_TRY(coti_infer_same_dtype(infer, 0, i));
        if (shape->rank != 1 || shape->batched ||
            shape->dim[0] != x->shape.dim[x->shape.rank - 1]) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "%s must have the elements of x's last axis, %lld", name,
                                   (long long)x->shape.dim[x->shape.rank - 1]);
        }
    }
    return COT_OK;
}

static cot_status infer_norm(coti_infer *infer, double epsilon) {
    const coti_node *x = coti_infer_in(infer, 0);
    COTI_TRY(coti_infer_last_axis(infer, 0));
    COTI_TRY(check_factors(infer));
    COTI_TRY(check_epsilon(infer, epsilon));
    infer->dtype = (cot_dtype)x->dtype;
    infer->shape = x->shape;
    return COT_OK;
}

cot_status coti_infer_LAYER_NORM(coti_infer *infer) {
    return infer_norm(infer, ((const coti_attr_EPSILON *)infer->attr)->epsilon);
}

/* Without an offset. */
cot_status coti_infer_RMS_NORM(coti_infer *infer) {
    return infer_norm(infer, ((const coti_attr_EPSILON *)infer->attr)->epsilon);
}

cot_status coti_infer_BATCH_NORM(coti_infer *infer) {
    return infer_norm(infer, ((const coti_attr_EPSILON *)infer->attr)->epsilon);
}

/* x: [n,*,c], whose c channels are a multiple of the groups. */
cot_status coti_infer_GROUP_NORM(coti_infer *infer) {
    const coti_attr_GROUPS *attr = infer->attr;
    const cot_shape *shape = &coti_infer_in(infer, 0)->shape;
    if (shape->rank == 1) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "x must have an axis of rows before the last");
    }
    COTI_TRY(infer_norm(infer, attr->epsilon));
    if (attr->groups < 1 || shape->dim[shape->rank - 1] % attr->groups != 0) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%lld groups do not divide %lld channels",
                               (long long)attr->groups, (long long)shape->dim[shape->rank - 1]);
    }
    return COT_OK;
}
