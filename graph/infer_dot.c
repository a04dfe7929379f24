/*
 * Inference of the general product.
 *
 * Result axes: the batch axes in their listed order, the free axes of a, the free axes of b. N may
 * stand on a pair of batch axes (the first pair), on a free leading axis of a (when there are no
 * batch axes before it), or on a contracted pair; it must lead the result if it is there at all. A
 * free batched axis of b is refused even where it would lead: swapping a and b says the same, and
 * kernels then know one form.
 */
#include "infer.h"

/* Check that listed axes of a and b pair up; `what` is "batch" or "inner", as messages call them.
 */
static cot_status check_pairs(const coti_infer *infer, const coti_attr_AXES_type *a_axes,
                              const coti_attr_AXES_type *b_axes, const char *what) {
    const cot_shape *a = &coti_infer_in(infer, 0)->shape;
    const cot_shape *b = &coti_infer_in(infer, 1)->shape;
    if (a_axes->n != b_axes->n) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%d %s axes of a given, but %d of b", a_axes->n,
                               what, b_axes->n);
    }
    for (int32_t i = 0; i < a_axes->n; i++) {
        if (!coti_axis_equal(a, a_axes->v[i], b, b_axes->v[i])) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "%s dimensions differ (axis %d of a, axis %d of b)", what,
                                   a_axes->v[i], b_axes->v[i]);
        }
    }
    return COT_OK;
}

/* Axes of one operand in the two lists, none twice; *mask_out: those that are not free. */
static cot_status check_axes(const coti_infer *infer, int32_t operand,
                             const coti_attr_AXES_type *batch, const coti_attr_AXES_type *contract,
                             uint32_t *mask_out) {
    static const char *const names[2][2] = {{"a_batch", "a_contract"}, {"b_batch", "b_contract"}};
    int32_t rank = coti_infer_in(infer, operand)->shape.rank;
    uint32_t mask_batch = 0;
    uint32_t mask_contract = 0;
    COTI_TRY(coti_infer_axes(infer, batch, rank, false, names[operand][0], &mask_batch));
    COTI_TRY(coti_infer_axes(infer, contract, rank, false, names[operand][1], &mask_contract));
    if ((mask_batch & mask_contract) != 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "an axis of %s is both batch and contracted",
                               operand == 0 ? "a" : "b");
    }
    *mask_out = mask_batch | mask_contract;
    return COT_OK;
}

/* Where N stands, and that it leads the result. Pairs have been checked. */
static cot_status check_rows(const coti_infer *infer, const coti_attr_DOT *attr, uint32_t a_bound,
                             uint32_t b_bound) {
    const cot_shape *a = &coti_infer_in(infer, 0)->shape;
    const cot_shape *b = &coti_infer_in(infer, 1)->shape;
    if (b->batched && (b_bound & 1) == 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "the batched axis of b would not lead the result, swap a and b");
    }
    if (a->batched && (a_bound & 1) == 0 && attr->a_batch.n > 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "the batched axis of a would be axis %d of the result but must "
                               "lead, merge it into the batch axes or permute a",
                               attr->a_batch.n);
    }
    for (int32_t i = 1; i < attr->a_batch.n; i++) {
        if (coti_axis_batched(a, attr->a_batch.v[i])) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "the batched axis must be listed first among the batch axes, "
                                   "it is number %d",
                                   i);
        }
    }
    return COT_OK;
}

/* Append the axes of `shape` that are not in mask. False: more than COT_MAX_RANK. */
static bool append_free(cot_shape *result, const cot_shape *shape, uint32_t mask) {
    for (int32_t i = 0; i < shape->rank; i++) {
        if ((mask >> i & 1) != 0) {
            continue;
        }
        if (result->rank == COT_MAX_RANK) {
            return false;
        }
        result->batched = result->batched || coti_axis_batched(shape, i);
        result->dim[result->rank++] = shape->dim[i];
    }
    return true;
}

/* a, b: f32 or f64, equal; see above. */
cot_status coti_infer_DOT(coti_infer *infer) {
    const coti_attr_DOT *attr = infer->attr;
    const coti_node *a = coti_infer_in(infer, 0);
    const coti_node *b = coti_infer_in(infer, 1);
    uint32_t a_bound = 0;
    uint32_t b_bound = 0;
    COTI_TRY(coti_infer_same_dtype(infer, 0, 1));
    COTI_TRY(check_axes(infer, 0, &attr->a_batch, &attr->a_contract, &a_bound));
    COTI_TRY(check_axes(infer, 1, &attr->b_batch, &attr->b_contract, &b_bound));
    COTI_TRY(check_pairs(infer, &attr->a_batch, &attr->b_batch, "batch"));
    COTI_TRY(check_pairs(infer, &attr->a_contract, &attr->b_contract, "inner"));
    COTI_TRY(check_rows(infer, attr, a_bound, b_bound));
    cot_shape result = {.rank = 0};
    for (int32_t i = 0; i < attr->a_batch.n; i++) {
        int32_t axis = attr->a_batch.v[i];
        result.batched = result.batched || coti_axis_batched(&a->shape, axis);
        result.dim[result.rank++] = a->shape.dim[axis];
    }
    if (!append_free(&result, &a->shape, a_bound) || !append_free(&result, &b->shape, b_bound)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the result would have more than %d axes",
                               COT_MAX_RANK);
    }
    infer->dtype = (cot_dtype)a->dtype;
    infer->shape = result;
    return COT_OK;
}
