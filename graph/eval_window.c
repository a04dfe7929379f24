/*
 * The meaning of windows: element (o, k) along a windowed axis is x's element o * stride + k *
 * dilation.
 */
#include "eval.h"

#include <string.h>

/* Where element `index` of the result stands in x, whose strides are given. */
static int64_t source_of(const coti_attr_WINDOW *attr, int32_t x_rank, const int64_t *index,
                         const int64_t *stride) {
    int32_t n = attr->size.n;
    int64_t at = 0;
    for (int32_t a = 0; a < x_rank; a++) {
        int32_t i = a - attr->axis;
        if (i < 0) {
            at += index[a] * stride[a];
        } else if (i < n) {
            at += (index[a] * attr->stride.v[i] + index[a + n] * attr->dilation.v[i]) * stride[a];
        } else {
            at += index[a + n] * stride[a];
        }
    }
    return at;
}

cot_status coti_eval_WINDOW(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0];
    size_t bytes = cot_dtype_bytes(eval->out->dtype);
    coti_walk walk = coti_walk_make(eval->out->shape.rank, eval->out->shape.dim);
    int64_t stride[COT_MAX_RANK] = {0};
    int64_t count = coti_walk_count(&walk);
    coti_dense_strides(&x->shape, stride);
    for (int64_t i = 0; i < count; i++, coti_walk_next(&walk)) {
        int64_t from = source_of(eval->node->attr, x->shape.rank, walk.index, stride);
        memcpy((char *)eval->out->data + (size_t)i * bytes,
               (const char *)x->data + (size_t)from * bytes, bytes);
    }
    return COT_OK;
}
