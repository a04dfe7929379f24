/*
 * Inference of windows: the axes of their positions, then those inside them (ops.def).
 */
#include "infer.h"
#include "window.h"

/* size, stride and dilation of windowed axis i. */
static cot_status check_entry(const coti_infer *infer, const coti_attr_INTS_type *list, int32_t i,
                              const char *what) {
    if (list->v[i] < 1 || list->v[i] > COTI_SIZE_MAX) {
        return COTI_INFER_FAIL(
            infer, COT_E_SHAPE, "%s %lld of axis %d must be 1 or more, %lld at most", what,
            (long long)list->v[i], ((const coti_attr_WINDOW *)infer->attr)->axis + i,
            (long long)COTI_SIZE_MAX);
    }
    return COT_OK;
}

/* The lists are as long as each other, and the axes there. */
static cot_status check_axes(const coti_infer *infer) {
    const coti_attr_WINDOW *attr = infer->attr;
    const cot_shape *x = &coti_infer_in(infer, 0)->shape;
    int32_t n = attr->size.n;
    if (n < 1 || attr->stride.n != n || attr->dilation.n != n) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "%d sizes, %d strides and %d dilations given, expected one of each "
                               "an axis",
                               n, attr->stride.n, attr->dilation.n);
    }
    COTI_TRY(coti_infer_axis(infer, attr->axis, x->rank));
    if (n > x->rank - attr->axis || x->rank + n > COT_MAX_RANK) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "windows along %d axes from axis %d on do not fit rank %d, or make "
                               "more than %d axes",
                               n, attr->axis, x->rank, COT_MAX_RANK);
    }
    if (coti_axis_batched(x, attr->axis)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the batched axis cannot have windows");
    }
    return COT_OK;
}

/* x: any; see above. */
cot_status coti_infer_WINDOW(coti_infer *infer) {
    const coti_attr_WINDOW *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    int32_t n = attr->size.n;
    int32_t axis = attr->axis;
    COTI_TRY(check_axes(infer));
    cot_shape result = {.rank = x->shape.rank + n, .batched = x->shape.batched};
    for (int32_t a = 0; a < x->shape.rank; a++) {
        result.dim[a < axis + n ? a : a + n] = x->shape.dim[a];
    }
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(check_entry(infer, &attr->size, i, "size"));
        COTI_TRY(check_entry(infer, &attr->stride, i, "stride"));
        COTI_TRY(check_entry(infer, &attr->dilation, i, "dilation"));
        result.dim[axis + i] = coti_window_count(x->shape.dim[axis + i], attr->size.v[i],
                                                 attr->stride.v[i], attr->dilation.v[i]);
        result.dim[axis + n + i] = attr->size.v[i];
    }
    infer->dtype = (cot_dtype)x->dtype;
    infer->shape = result;
    return COT_OK;
}
