/*
 * Inference of indexing, order and running sums. Gather and scatter_add speak of axes B (batch), L
 * (left of the axis), I (of the index), T (trailing): x [B,L,d,T], index [B,I], updates [B,L,I,T].
 */
#include "infer.h"

/* The second operand is an index. */
static cot_status check_index(const coti_infer *infer) {
    const coti_node *index = coti_infer_in(infer, 1);
    if (index->dtype != COT_I32 && index->dtype != COT_I64) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "index must be i32 or i64");
    }
    return COT_OK;
}

/* The first n_batch axes are those of index, and come before the axis. */
static cot_status check_batch(const coti_infer *infer, int32_t axis, int64_t n_batch) {
    const cot_shape *x = &coti_infer_in(infer, 0)->shape;
    const cot_shape *index = &coti_infer_in(infer, 1)->shape;
    if (n_batch < 0 || n_batch > axis || n_batch > index->rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "n_batch %lld is out of range: axis %d and the rank of index, %d, "
                               "are its limits",
                               (long long)n_batch, axis, index->rank);
    }
    for (int32_t i = 0; i < n_batch; i++) {
        if (!coti_axis_equal(x, i, index, i)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "batch axis %d of %s and index differ", i,
                                   coti_operand_name(infer->op, 2, 0));
        }
    }
    return COT_OK;
}

/* Append axes [first, last) of a shape. *batched_out: set where one of them is N. */
static cot_status append_axes(const coti_infer *infer, const cot_shape *from, int32_t first,
                              int32_t last, cot_shape *to) {
    for (int32_t a = first; a < last; a++) {
        if (to->rank == COT_MAX_RANK) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the result would have more than %d axes",
                                   COT_MAX_RANK);
        }
        if (coti_axis_batched(from, a) && to->rank > 0) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "N would become axis %d of the result: it must lead", to->rank);
        }
        to->batched = to->batched || coti_axis_batched(from, a);
        to->dim[to->rank++] = from->dim[a];
    }
    return COT_OK;
}

/* x: any [B,L,d,T]; index: i32 or i64 [B,I]; result [B,L,I,T] of x's dtype. */
cot_status coti_infer_GATHER(coti_infer *infer) {
    const coti_attr_GATHER *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    const coti_node *index = coti_infer_in(infer, 1);
    cot_shape shape = {.rank = 0};
    COTI_TRY(check_index(infer));
    COTI_TRY(coti_infer_axis(infer, attr->axis, x->shape.rank));
    COTI_TRY(check_batch(infer, attr->axis, attr->n_batch));
    if (coti_axis_batched(&x->shape, attr->axis)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the batched axis cannot be gathered along");
    }
    COTI_TRY(append_axes(infer, &x->shape, 0, attr->axis, &shape));
    COTI_TRY(append_axes(infer, &index->shape, (int32_t)attr->n_batch, index->shape.rank, &shape));
    COTI_TRY(append_axes(infer, &x->shape, attr->axis + 1, x->shape.rank, &shape));
    infer->dtype = (cot_dtype)x->dtype;
    infer->shape = shape;
    return COT_OK;
}

/* updates: floats or integers [B,L,I,T]; index: i32 or i64 [B,I]; result [B,L,extent,T]. */
cot_status coti_infer_SCATTER_ADD(coti_infer *infer) {
    const coti_attr_SCATTER *attr = infer->attr;
    const coti_node *updates = coti_infer_in(infer, 0);
    const cot_shape *index = &coti_infer_in(infer, 1)->shape;
    const cot_shape one = {.rank = 1, .dim = {attr->extent}};
    cot_shape shape = {.rank = 0};
    COTI_TRY(check_index(infer));
    if (updates->dtype == COT_BOOL) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "updates must be a float or an integer");
    }
    /* The axis is the result's: it may come after all of the updates'. */
    COTI_TRY(coti_infer_axis(infer, attr->axis, updates->shape.rank + 1));
    COTI_TRY(check_batch(infer, attr->axis, attr->n_batch));
    int32_t n_index = index->rank - (int32_t)attr->n_batch;
    if (attr->axis + n_index > updates->shape.rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "updates lack axes of index from axis %d on",
                               attr->axis);
    }
    for (int32_t i = 0; i < n_index; i++) {
        if (!coti_axis_equal(&updates->shape, attr->axis + i, index, (int32_t)attr->n_batch + i)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "axis %d of updates is not axis %d of index",
                                   attr->axis + i, (int32_t)attr->n_batch + i);
        }
    }
    COTI_TRY(append_axes(infer, &updates->shape, 0, attr->axis, &shape));
    COTI_TRY(append_axes(infer, &one, 0, 1, &shape));
    COTI_TRY(
        append_axes(infer, &updates->shape, attr->axis + n_index, updates->shape.rank, &shape));
    infer->dtype = (cot_dtype)updates->dtype;
    infer->shape = shape;
    return COT_OK;
}

/* ---- dynamic places ---- */

/* Operand i is a start: an i32 or i64 scalar. */
static cot_status check_start(const coti_infer *infer, int32_t i) {
    const coti_node *start = coti_infer_in(infer, i);
    if (start->dtype != COT_I32 && start->dtype != COT_I64) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "start must be i32 or i64");
    }
    if (start->shape.rank != 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "start must be a scalar");
    }
    return COT_OK;
}

/* The axis is one of x's, and not N; the result is as x. */
static cot_status check_free_axis(coti_infer *infer, int32_t axis) {
    const coti_node *x = coti_infer_in(infer, 0);
    COTI_TRY(coti_infer_axis(infer, axis, x->shape.rank));
    if (coti_axis_batched(&x->shape, axis)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the axis must not be the batch");
    }
    infer->dtype = (cot_dtype)x->dtype;
    infer->shape = x->shape;
    return COT_OK;
}

/* x: any; start: i32 or i64 scalar; result x with `size` elements along the axis. */
cot_status coti_infer_DYNAMIC_SLICE(coti_infer *infer) {
    const coti_attr_DYNAMIC_SLICE *attr = infer->attr;
    COTI_TRY(check_start(infer, 1));
    COTI_TRY(check_free_axis(infer, attr->axis));
    if (attr->size < 0 || attr->size > infer->shape.dim[attr->axis]) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "size %lld of axis %d must be within 0..%lld",
                               (long long)attr->size, attr->axis,
                               (long long)infer->shape.dim[attr->axis]);
    }
    infer->shape.dim[attr->axis] = attr->size;
    return COT_OK;
}

/* x, update: any, equal dtype, equal extents but for the axis; start: i32 or i64 scalar; as x. */
cot_status coti_infer_DYNAMIC_UPDATE(coti_infer *infer) {
    const coti_attr_AXIS *attr = infer->attr;
    const cot_shape *update = &coti_infer_in(infer, 1)->shape;
    COTI_TRY(check_start(infer, 2));
    COTI_TRY(coti_infer_same_dtype(infer, 0, 1));
    COTI_TRY(check_free_axis(infer, attr->axis));
    bool fits = update->rank == infer->shape.rank && !coti_axis_batched(update, attr->axis) &&
                update->dim[attr->axis] <= infer->shape.dim[attr->axis];
    for (int32_t a = 0; a < infer->shape.rank && fits; a++) {
        fits = a == attr->axis || coti_axis_equal(update, a, &infer->shape, a);
    }
    if (!fits) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "update does not fit x along axis %d",
                               attr->axis);
    }
    return COT_OK;
}

/* ---- order, running sums ---- */

/* Elements of x once more for each of its last axis: what counting ranks compares. */
static bool has_room_for_ranks(const cot_shape *shape) {
    int64_t last = shape->dim[shape->rank - 1];
    int64_t count = last > 1 ? last : 1;
    for (int32_t a = 0; a < shape->rank; a++) {
        if (shape->dim[a] > 1 && !coti_size_mul(count, shape->dim[a], &count)) {
            return false;
        }
    }
    return true;
}

/* x: floats or integers [*,n], n not N; result i32 as x. */
cot_status coti_infer_ARGSORT(coti_infer *infer) {
    const coti_attr_ARGSORT *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    if (attr->descending != 0 && attr->descending != 1) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "descending is %lld, must be 0 or 1",
                               (long long)attr->descending);
    }
    if (x->shape.rank == 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "a scalar has no last axis");
    }
    COTI_TRY(check_free_axis(infer, x->shape.rank - 1));
    if (x->shape.dim[x->shape.rank - 1] > INT32_MAX) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the last axis has more than %d elements",
                               INT32_MAX);
    }
    if (!has_room_for_ranks(&x->shape)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "comparing each element with its row would take more than %lld "
                               "comparisons",
                               (long long)COTI_SIZE_MAX);
    }
    infer->dtype = COT_I32;
    return COT_OK;
}

/* x: floats or integers; the axis is not N; result as x. */
cot_status coti_infer_CUMSUM(coti_infer *infer) {
    return check_free_axis(infer, ((const coti_attr_AXIS *)infer->attr)->axis);
}
