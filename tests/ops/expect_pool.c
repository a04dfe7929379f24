/*
 * Expected results of pools: each element of x is handed to every window that it lies in.
 */
#include "op_case.h"

#include <math.h>

typedef struct pool_shape {
    int32_t n; /* spatial axes */
    int64_t size[COT_MAX_RANK], stride[COT_MAX_RANK], low[COT_MAX_RANK], high[COT_MAX_RANK];
} pool_shape;

static pool_shape read_pool(const trial *t, const tensor *x, cot_shape *result) {
    pool_shape s = {.n = x->shape.rank - 2};
    int32_t n = 0;
    attr_ints(t->attr, "size", s.size, &n);
    if (!attr_ints(t->attr, "stride", s.stride, &n)) {
        attr_ints(t->attr, "size", s.stride, &n);
    }
    attr_ints(t->attr, "low", s.low, &n);
    attr_ints(t->attr, "high", s.high, &n);
    *result = x->shape;
    for (int32_t i = 0; i < s.n; i++) {
        int64_t padded = s.low[i] + x->shape.dim[i + 1] + s.high[i];
        int64_t *count = &result->dim[i + 1];
        for (*count = 0; *count * s.stride[i] + s.size[i] <= padded;) {
            ++*count;
        }
    }
    return s;
}

/* Does the window at `window` of the result contain the element at `index` of x? */
static bool contains(const pool_shape *s, int32_t rank, const int64_t *window,
                     const int64_t *index) {
    bool inside = window[0] == index[0] && window[rank - 1] == index[rank - 1];
    for (int32_t i = 0; i < s->n; i++) {
        int64_t first = window[i + 1] * s->stride[i] - s->low[i];
        inside = inside && index[i + 1] >= first && index[i + 1] < first + s->size[i];
    }
    return inside;
}

tensor expect_pool(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    cot_shape shape;
    const pool_shape s = read_pool(t, x, &shape);
    bool is_mean = t->op == COT_OP_AVG_POOL;
    tensor out = tensor_make(p, t->dtype, &shape, 1), magnitude = out;
    magnitude = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t window[COT_MAX_RANK], index[COT_MAX_RANK];
        long double count = 0, sum = 0, max = -INFINITY;
        tensor_index(&out, i, window);
        for (int64_t j = 0; j < x->count; j++) {
            tensor_index(x, j, index);
            if (contains(&s, shape.rank, window, index)) {
                long double value = x->v[j];
                count++;
                sum += value;
                magnitude.v[i] += fabsl(value);
                max = isnan(max) || value < max ? max : value;
            }
        }
        out.v[i] = is_mean ? sum / count : max;
        magnitude.v[i] /= count;
    }
    *magnitude_out = is_mean ? magnitude : *magnitude_out;
    return out;
}
