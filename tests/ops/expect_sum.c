/*
 * Expected results of reductions, products, one-hot, random numbers and composites. Sums are long
 * double (integers: modulo 2^64), scattered from the operands' elements rather than gathered.
 */
#include "op_case.h"

#include <math.h>

static bool is_real(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* ---- reductions ---- */

/* Shape of x without some axes. */
static cot_shape without(const cot_shape *x, const bool *gone) {
    cot_shape shape = {0, false, {0}};
    for (int32_t d = 0; d < x->rank; d++) {
        if (!gone[d]) {
            shape.dim[shape.rank++] = x->dim[d];
        }
    }
    return shape;
}

/* Where element i of x goes in the result. */
static int64_t kept_place(const tensor *x, int64_t i, const bool *gone, const tensor *out) {
    int64_t index[COT_MAX_RANK], kept[COT_MAX_RANK];
    int32_t n = 0;
    tensor_index(x, i, index);
    for (int32_t d = 0; d < x->shape.rank; d++) {
        if (!gone[d]) {
            kept[n++] = index[d];
        }
    }
    return tensor_at(out, kept);
}

/* A sum modulo 2^64 as an integer dtype's value. */
static long double wrapped(cot_dtype dtype, uint64_t sum) {
    if (dtype == COT_I32) {
        return (int32_t)(uint32_t)sum;
    }
    return dtype == COT_U8 ? (long double)(uint8_t)sum : (long double)(int64_t)sum;
}

static void sum_into(pool *p, const tensor *x, const bool *gone, tensor *out, tensor *magnitude) {
    uint64_t *whole = pool_take(p, (size_t)out->count, sizeof *whole);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t at = kept_place(x, i, gone, out);
        magnitude->v[at] += fabsl(x->v[i]);
        if (is_real(x->dtype)) {
            out->v[at] += x->v[i];
        } else {
            whole[at] += x->v[i] < 0 ? 0 - (uint64_t)-x->v[i] : (uint64_t)x->v[i];
        }
    }
    for (int64_t i = 0; !is_real(x->dtype) && i < out->count; i++) {
        out->v[i] = wrapped(x->dtype, whole[i]);
    }
}

/* Products, as sum_into. */
static void multiply_into(pool *p, const tensor *x, const bool *gone, tensor *out) {
    uint64_t *whole = pool_take(p, (size_t)out->count, sizeof *whole);
    for (int64_t i = 0; i < out->count; i++) {
        whole[i] = 1;
        out->v[i] = 1;
    }
    for (int64_t i = 0; i < x->count; i++) {
        int64_t at = kept_place(x, i, gone, out);
        if (is_real(x->dtype)) {
            out->v[at] *= x->v[i];
        } else {
            whole[at] *= x->v[i] < 0 ? 0 - (uint64_t)-x->v[i] : (uint64_t)x->v[i];
        }
    }
    for (int64_t i = 0; !is_real(x->dtype) && i < out->count; i++) {
        out->v[i] = wrapped(x->dtype, whole[i]);
    }
}

/* Maxima (`sign` -1: minima), and how far along the (one) reduced axis the first of each stands. */
static void best_into(pool *p, const tensor *x, const bool *gone, int64_t axis, long double sign,
                      tensor *best, tensor *where) {
    bool *met = pool_take(p, (size_t)best->count, sizeof *met);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t index[COT_MAX_RANK];
        int64_t at = kept_place(x, i, gone, best);
        long double now = best->v[at];
        tensor_index(x, i, index);
        if (!met[at] || (!isnan(now) && (isnan(x->v[i]) || sign * x->v[i] > sign * now))) {
            met[at] = true;
            best->v[at] = x->v[i];
            where->v[at] = (long double)index[axis];
        }
    }
}

tensor expect_reduce(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    int64_t axes[COT_MAX_RANK];
    int32_t n_axes = 0;
    bool gone[COT_MAX_RANK] = {false};
    bool place = t->op == COT_OP_ARGMAX || t->op == COT_OP_ARGMIN;
    bool least = t->op == COT_OP_REDUCE_MIN || t->op == COT_OP_ARGMIN;
    attr_ints(t->attr, place ? "axis" : "axes", axes, &n_axes);
    for (int32_t k = 0; k < n_axes; k++) {
        gone[axes[k]] = true;
    }
    cot_shape shape = without(&x->shape, gone);
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    tensor second = tensor_make(p, place ? COT_I32 : t->dtype, &shape, 1);
    if (t->op == COT_OP_SUM) {
        sum_into(p, x, gone, &out, &second);
        *magnitude_out = second;
        return out;
    }
    if (t->op == COT_OP_PROD) {
        multiply_into(p, x, gone, &out);
        return out;
    }
    best_into(p, x, gone, n_axes > 0 ? axes[0] : 0, least ? -1 : 1, &out, &second);
    return place ? second : out;
}

/* ---- products ---- */

/* Which axis of the result each axis of an operand is; -1 - k: the k-th contracted one. */
typedef struct places {
    int32_t axis[COT_MAX_RANK];
} places;

static places place_axes(const trial *t, const char *batch_key, const char *contract_key,
                         int32_t rank, int32_t *next) {
    int64_t batch[COT_MAX_RANK], contract[COT_MAX_RANK];
    int32_t n_batch = 0, n_contract = 0;
    attr_ints(t->attr, batch_key, batch, &n_batch);
    attr_ints(t->attr, contract_key, contract, &n_contract);
    places result;
    for (int32_t d = 0; d < rank; d++) {
        result.axis[d] = COT_MAX_RANK;
        for (int32_t k = 0; k < n_batch; k++) {
            result.axis[d] = batch[k] == d ? k : result.axis[d];
        }
        for (int32_t k = 0; k < n_contract; k++) {
            result.axis[d] = contract[k] == d ? -1 - k : result.axis[d];
        }
        if (result.axis[d] == COT_MAX_RANK) {
            result.axis[d] = (*next)++;
        }
    }
    return result;
}

/* Element of x at a result's index and a contracted index. */
static long double picked(const tensor *x, const places *where, const int64_t *index,
                          const int64_t *contracted) {
    int64_t own[COT_MAX_RANK];
    for (int32_t d = 0; d < x->shape.rank; d++) {
        int32_t axis = where->axis[d];
        own[d] = axis < 0 ? contracted[-1 - axis] : index[axis];
    }
    return x->v[tensor_at(x, own)];
}

tensor expect_dot(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    int64_t unused[COT_MAX_RANK];
    int32_t next = 0;
    attr_ints(t->attr, "ab", unused, &next);
    places a = place_axes(t, "ab", "ac", x[0].shape.rank, &next);
    places b = place_axes(t, "bb", "bc", x[1].shape.rank, &next);
    cot_shape shape = {next, false, {0}}, inner = {0, false, {0}};
    for (int32_t d = 0; d < x[0].shape.rank; d++) {
        if (a.axis[d] >= 0) {
            shape.dim[a.axis[d]] = x[0].shape.dim[d];
        } else {
            inner.dim[-1 - a.axis[d]] = x[0].shape.dim[d];
            inner.rank++;
        }
    }
    for (int32_t d = 0; d < x[1].shape.rank; d++) {
        if (b.axis[d] >= 0) {
            shape.dim[b.axis[d]] = x[1].shape.dim[d];
        }
    }
    tensor out = tensor_make(p, t->dtype, &shape, 1), sum = tensor_make(p, t->dtype, &shape, 1);
    tensor k = tensor_make(p, t->dtype, &inner, 1);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t index[COT_MAX_RANK], contracted[COT_MAX_RANK];
        tensor_index(&out, i, index);
        for (int64_t j = 0; j < k.count; j++) {
            tensor_index(&k, j, contracted);
            long double term =
                picked(&x[0], &a, index, contracted) * picked(&x[1], &b, index, contracted);
            out.v[i] += term;
            sum.v[i] += fabsl(term);
        }
    }
    *magnitude_out = sum;
    return out;
}

/* ---- one-hot ---- */

tensor expect_one_hot(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    cot_shape shape = x->shape;
    shape.dim[shape.rank++] = attr_int(t->attr, "depth", 0);
    tensor out = tensor_make(p, attr_dtype(t->attr, "to", COT_F32), &shape, 1);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t depth = shape.dim[shape.rank - 1];
        if (x->v[i] >= 0 && x->v[i] < (long double)depth) {
            out.v[i * depth + (int64_t)x->v[i]] = 1;
        }
    }
    return out;
}

/* ---- random ---- */

/* One word of Philox4x32-10, from the paper's description, in the layout of runtime/base/philox.h.
 */
static uint32_t philox_word(uint64_t seed, uint64_t stream, uint64_t step, uint64_t element) {
    uint64_t mixed = seed ^ (stream * UINT64_C(0x9E3779B97F4A7C15));
    uint32_t key0 = (uint32_t)mixed, key1 = (uint32_t)(mixed >> 32);
    uint64_t block = element >> 2;
    uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)step,
                     (uint32_t)(step >> 32)};
    for (int round = 0; round < 10; round++) {
        uint64_t left = UINT64_C(0xD2511F53) * c[0];
        uint64_t right = UINT64_C(0xCD9E8D57) * c[2];
        uint32_t mixed_words[4] = {(uint32_t)(right >> 32) ^ c[1] ^ key0, (uint32_t)right,
                                   (uint32_t)(left >> 32) ^ c[3] ^ key1, (uint32_t)left};
        for (int k = 0; k < 4; k++) {
            c[k] = mixed_words[k];
        }
        key0 += UINT32_C(0x9E3779B9);
        key1 += UINT32_C(0xBB67AE85);
    }
    return c[element & 3];
}

tensor expect_random(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    const long double two_pi = 6.283185307179586476925286766559L;
    uint64_t seed = (uint64_t)(int64_t)x[0].v[0], step = (uint64_t)(int64_t)x[1].v[0];
    uint64_t stream = (uint64_t)attr_int(t->attr, "stream", 0);
    tensor out = tensor_make(p, t->dtype, &t->result, t->rows);
    for (int64_t i = 0; i < out.count; i++) {
        uint64_t e = (uint64_t)i;
        if (attr_is(t->attr, "dist", "uniform")) {
            out.v[i] = (philox_word(seed, stream, step, e) >> 8) * 0x1p-24L;
            continue;
        }
        long double u1 = ((philox_word(seed, stream, step, e - e % 2) >> 8) + 1) * 0x1p-24L;
        long double u2 = (philox_word(seed, stream, step, e - e % 2 + 1) >> 8) * 0x1p-24L;
        long double radius = sqrtl(-2 * logl(u1));
        out.v[i] = radius * (e % 2 == 0 ? cosl(two_pi * u2) : sinl(two_pi * u2));
    }
    return out;
}

/* ---- composites ---- */

/*
 * What log softmax is by definition when the row, of elements first..first+n, is not all finite:
 * true when element i is settled by that, with its value.
 */
static bool settled_log_p(const tensor *x, int64_t first, int64_t n, int64_t i,
                          long double *log_p) {
    bool all_low = true, poisoned = false;
    for (int64_t j = first; j < first + n; j++) {
        all_low = all_low && x->v[j] == -INFINITY;
        poisoned = poisoned || isnan(x->v[j]) || x->v[j] == INFINITY;
    }
    *log_p = all_low || poisoned ? NAN : -INFINITY;
    return all_low || poisoned || x->v[i] == -INFINITY;
}

/*
 * log softmax of element i: -log(1 + sum over the others of exp(x_j - x_i)), which needs no
 * maximum; where that sum overflows long double, x_i less the log of the sum, from the maximum.
 */
static long double log_p_of(const tensor *x, int64_t first, int64_t n, int64_t i) {
    long double settled = 0, others = 0, max = -INFINITY, sum = 0;
    if (settled_log_p(x, first, n, i, &settled)) {
        return settled;
    }
    for (int64_t j = first; j < first + n; j++) {
        others += j == i ? 0 : expl(x->v[j] - x->v[i]);
        max = fmaxl(max, x->v[j]);
    }
    if (isfinite(others)) {
        return -log1pl(others);
    }
    for (int64_t j = first; j < first + n; j++) {
        sum += expl(x->v[j] - max);
    }
    return x->v[i] - max - logl(sum);
}

tensor expect_composite(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    const tensor *logits = &x[t->n - 1];
    int64_t n = logits->shape.dim[logits->shape.rank - 1];
    cot_shape shape = logits->shape;
    shape.rank -= t->op == COT_OP_SOFTMAX_XENT;
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < logits->count; i++) {
        long double log_p = log_p_of(logits, i - i % n, n, i);
        if (t->op == COT_OP_SOFTMAX_XENT) {
            out.v[i / n] -= x[0].v[i] * log_p;
        } else {
            out.v[i] = t->op == COT_OP_SOFTMAX ? expl(log_p) : log_p;
        }
    }
    return out;
}
