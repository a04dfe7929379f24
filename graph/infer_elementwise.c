/*
 * Inference of elementwise operations: operands of equal dtype and equal shape (N included), result
 * of that shape. Broadcasting happens before, in the builders.
 */
#include "infer.h"

/* x: any [*], more operands as x; result as x, bool for a comparison. */
cot_status coti_infer_elementwise(coti_infer *infer) {
    for (int32_t i = 1; i < infer->n_inputs; i++) {
        COTI_TRY(coti_infer_same_dtype(infer, 0, i));
        COTI_TRY(coti_infer_same_shape(infer, 0, i));
    }
    const coti_node *x = coti_infer_in(infer, 0);
    bool compares = coti_op_table[infer->op].kind == COTI_KIND_COMPARE;
    infer->dtype = compares ? COT_BOOL : (cot_dtype)x->dtype;
    infer->shape = x->shape;
    return COT_OK;
}

/* condition: bool [*]; a, b: any, equal dtype, [*]; result as a. */
cot_status coti_infer_SELECT(coti_infer *infer) {
    if (coti_infer_in(infer, 0)->dtype != COT_BOOL) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "condition must be bool");
    }
    COTI_TRY(coti_infer_same_dtype(infer, 1, 2));
    COTI_TRY(coti_infer_same_shape(infer, 1, 2));
    COTI_TRY(coti_infer_same_shape(infer, 0, 1));
    infer->dtype = (cot_dtype)coti_infer_in(infer, 1)->dtype;
    infer->shape = coti_infer_in(infer, 1)->shape;
    return COT_OK;
}

/* x: any [*]; result [*] of the dtype that the caller wants. */
cot_status coti_infer_CAST(coti_infer *infer) {
    infer->shape = coti_infer_in(infer, 0)->shape;
    return COT_OK;
}
