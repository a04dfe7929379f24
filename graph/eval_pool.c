/*
 * The meaning of pools, by a look at each element of each window. Windows of padding alone, which
 * only an empty axis has, have maximum -inf and mean 0 / 0.
 */
#include "eval.h"

#include <math.h>

/* One position's window. */
typedef struct pool_window {
    long double sum, max;
    int64_t count;
} pool_window;

static void take_element(pool_window *w, long double value) {
    w->sum += value;
    w->max = value > w->max || isnan(value) ? value : w->max;
    w->count++;
}

/* Where tap number `tap` of the window at `index` of the result stands in x; false: in the padding.
 */
static bool find_element(const coti_attr_POOL *attr, const coti_tensor *x, const int64_t *index,
                         int64_t tap, int64_t *at_out) {
    int64_t stride[COT_MAX_RANK] = {0};
    int32_t n = attr->size.n;
    coti_dense_strides(&x->shape, stride);
    *at_out = index[0] * stride[0] + index[n + 1];
    for (int32_t i = n - 1; i >= 0; i--) {
        int64_t at = index[i + 1] * attr->stride.v[i] + tap % attr->size.v[i] - attr->low.v[i];
        if (at < 0 || at >= x->shape.dim[i + 1]) {
            return false;
        }
        *at_out += at * stride[i + 1];
        tap /= attr->size.v[i];
    }
    return true;
}

static cot_status eval_pool(const coti_eval *eval, bool mean) {
    const coti_attr_POOL *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    coti_walk walk = coti_walk_make(eval->out->shape.rank, eval->out->shape.dim);
    int64_t count = coti_walk_count(&walk), n_taps = 1;
    for (int32_t i = 0; i < attr->size.n; i++) {
        n_taps *= count > 0 ? attr->size.v[i] : 1;
    }
    for (int64_t i = 0; i < count; i++, coti_walk_next(&walk)) {
        pool_window w = {0, -INFINITY, 0};
        for (int64_t tap = 0; tap < n_taps; tap++) {
            int64_t at = 0;
            if (find_element(attr, x, walk.index, tap, &at)) {
                take_element(&w, coti_tensor_get(x, at));
            }
        }
        coti_tensor_set(eval->out, i, mean ? w.sum / (long double)w.count : w.max);
    }
    return COT_OK;
}

cot_status coti_eval_MAX_POOL(const coti_eval *eval) {
    return eval_pool(eval, false);
}

cot_status coti_eval_AVG_POOL(const coti_eval *eval) {
    return eval_pool(eval, true);
}
