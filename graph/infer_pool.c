/*
 * Inference of pools: windows along the spatial axes of a channels-last tensor.
 */
#include "infer.h"
#include "window.h"

static cot_status check_entry(const coti_infer *infer, const coti_attr_INTS_type *list, int32_t i,
                              int64_t least, int64_t most, const char *what) {
    if (list->v[i] < least || list->v[i] > most) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "%s %lld of spatial axis %d must be %lld or more, %lld at most",
                               what, (long long)list->v[i], i, (long long)least, (long long)most);
    }
    return COT_OK;
}

/* x: f32|f64 [batch, x.., channels]; padding below the window's size; result as x, with positions
 * for the spatial axes. */
static cot_status infer_pool(coti_infer *infer) {
    const coti_attr_POOL *attr = infer->attr;
    const coti_node *x = coti_infer_in(infer, 0);
    int32_t n = x->shape.rank - 2;
    if (n < 1 || n > COT_MAX_SPATIAL) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "the rank must be 3 to %d: a batch axis, 1 to %d spatial axes, "
                               "channels",
                               COT_MAX_SPATIAL + 2, COT_MAX_SPATIAL);
    }
    if (attr->size.n != n || attr->stride.n != n || attr->low.n != n || attr->high.n != n) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "%d sizes, %d strides, %d lows and %d highs given for %d spatial "
                               "axes",
                               attr->size.n, attr->stride.n, attr->low.n, attr->high.n, n);
    }
    infer->dtype = (cot_dtype)x->dtype;
    infer->shape = x->shape;
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(check_entry(infer, &attr->size, i, 1, COTI_SIZE_MAX, "size"));
        COTI_TRY(check_entry(infer, &attr->stride, i, 1, COTI_SIZE_MAX, "stride"));
        COTI_TRY(check_entry(infer, &attr->low, i, 0, attr->size.v[i] - 1, "low"));
        COTI_TRY(check_entry(infer, &attr->high, i, 0, attr->size.v[i] - 1, "high"));
        int64_t extent = x->shape.dim[i + 1];
        if (!coti_size_add(extent, attr->low.v[i], &extent) ||
            !coti_size_add(extent, attr->high.v[i], &extent)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "spatial axis %d, padded by %lld and %lld, is too long", i,
                                   (long long)attr->low.v[i], (long long)attr->high.v[i]);
        }
        infer->shape.dim[i + 1] = coti_window_count(extent, attr->size.v[i], attr->stride.v[i], 1);
    }
    return COT_OK;
}

cot_status coti_infer_MAX_POOL(coti_infer *infer) {
    return infer_pool(infer);
}

cot_status coti_infer_AVG_POOL(coti_infer *infer) {
    return infer_pool(infer);
}
