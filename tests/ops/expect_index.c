/*
 * Expected results of indexing, order and running sums, by the index of each element.
 */
#include "op_case.h"

#include <math.h>

/* How an element's axes are split: [0, axis), n_index of the index, the trailing ones. */
typedef struct split {
    int32_t axis, n_batch, n_index;
} split;

static split split_of(const trial *t, const tensor *index) {
    split s = {.axis = (int32_t)attr_int(t->attr, "axis", 0),
               .n_batch = (int32_t)attr_int(t->attr, "nb", 0)};
    s.n_index = index->shape.rank - s.n_batch;
    return s;
}

/* The index' value for the element at `at` of [.., index axes, ..]. */
static long double index_value(const tensor *index, const split *s, const int64_t *at) {
    int64_t place[COT_MAX_RANK];
    for (int32_t a = 0; a < index->shape.rank; a++) {
        place[a] = at[a < s->n_batch ? a : s->axis + a - s->n_batch];
    }
    return index->v[tensor_at(index, place)];
}

/* `at` with its index axes replaced by one, `value`. */
static void replace(const split *s, const int64_t *at, int32_t rank, int64_t value,
                    int64_t *place) {
    for (int32_t a = 0; a < s->axis; a++) {
        place[a] = at[a];
    }
    place[s->axis] = value;
    for (int32_t a = s->axis + s->n_index; a < rank; a++) {
        place[a - s->n_index + 1] = at[a];
    }
}

tensor expect_gather(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    split s = split_of(t, &x[1]);
    cot_shape shape = {.rank = 0};
    for (int32_t a = 0; a < s.axis; a++) {
        shape.dim[shape.rank++] = x[0].shape.dim[a];
    }
    for (int32_t a = s.n_batch; a < x[1].shape.rank; a++) {
        shape.dim[shape.rank++] = x[1].shape.dim[a];
    }
    for (int32_t a = s.axis + 1; a < x[0].shape.rank; a++) {
        shape.dim[shape.rank++] = x[0].shape.dim[a];
    }
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t at[COT_MAX_RANK], from[COT_MAX_RANK];
        tensor_index(&out, i, at);
        long double value = index_value(&x[1], &s, at);
        if (value >= 0 && value < (long double)x[0].shape.dim[s.axis]) {
            replace(&s, at, shape.rank, (int64_t)value, from);
            out.v[i] = x[0].v[tensor_at(&x[0], from)];
        }
    }
    return out;
}

/* Modulo 2^bits, as the dtype's integers wrap. */
static long double wrapped_sum(cot_dtype dtype, long double a, long double b) {
    uint64_t sum = (uint64_t)(int64_t)a + (uint64_t)(int64_t)b;
    return dtype == COT_I32   ? (long double)(int32_t)(uint32_t)sum
           : dtype == COT_I64 ? (long double)(int64_t)sum
                              : (long double)(uint8_t)sum;
}

tensor expect_scatter_add(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    split s = split_of(t, &x[1]);
    bool real = t->dtype == COT_F32 || t->dtype == COT_F64;
    int64_t at[COT_MAX_RANK] = {0}, to[COT_MAX_RANK];
    cot_shape shape = {.rank = x[0].shape.rank - s.n_index + 1};
    replace(&s, x[0].shape.dim, x[0].shape.rank, attr_int(t->attr, "extent", 0), shape.dim);
    tensor out = tensor_make(p, t->dtype, &shape, 1), sum = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < x[0].count; i++) {
        tensor_index(&x[0], i, at);
        long double value = index_value(&x[1], &s, at);
        if (value < 0 || value >= (long double)shape.dim[s.axis]) {
            continue;
        }
        replace(&s, at, x[0].shape.rank, (int64_t)value, to);
        int64_t place = tensor_at(&out, to);
        out.v[place] =
            real ? out.v[place] + x[0].v[i] : wrapped_sum(t->dtype, out.v[place], x[0].v[i]);
        sum.v[place] += fabsl(x[0].v[i]);
    }
    *magnitude_out = sum;
    return out;
}

/* ---- dynamic places ---- */

tensor expect_dynamic(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    int32_t axis = (int32_t)attr_int(t->attr, "axis", 0);
    bool slices = t->op == COT_OP_DYNAMIC_SLICE;
    cot_shape shape = x[0].shape;
    int64_t size = slices ? attr_int(t->attr, "size", 0) : x[1].shape.dim[axis];
    long double most = (long double)(shape.dim[axis] - size);
    int64_t start = (int64_t)fmaxl(0, fminl(x[slices ? 1 : 2].v[0], most));
    shape.dim[axis] = slices ? size : shape.dim[axis];
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t at[COT_MAX_RANK];
        tensor_index(&out, i, at);
        if (slices) {
            at[axis] += start;
            out.v[i] = x[0].v[tensor_at(&x[0], at)];
        } else if (at[axis] >= start && at[axis] < start + size) {
            at[axis] -= start;
            out.v[i] = x[1].v[tensor_at(&x[1], at)];
        } else {
            out.v[i] = x[0].v[i];
        }
    }
    return out;
}

/* ---- order, running sums ---- */

/* By taking, again and again, the first of the elements left that no other comes before. */
tensor expect_argsort(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    bool descending = attr_int(t->attr, "descending", 0) != 0;
    tensor out = tensor_make(p, COT_I32, &x->shape, 1);
    bool *taken = pool_take(p, (size_t)x->count + 1, sizeof *taken);
    for (int64_t e = 0; e < x->count; e++) {
        int64_t n = x->shape.dim[x->shape.rank - 1], row = e - e % n, best = -1;
        for (int64_t i = row; i < row + n; i++) {
            long double a = x->v[i], b = best < 0 ? 0 : x->v[best];
            bool better =
                descending ? a > b || (isnan(a) && !isnan(b)) : a < b || (isnan(b) && !isnan(a));
            best = !taken[i] && (best < 0 || better) ? i : best;
        }
        taken[best] = true;
        out.v[e] = (long double)(best - row);
    }
    return out;
}

tensor expect_cumsum(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    int32_t axis = (int32_t)attr_int(t->attr, "axis", 0);
    bool real = t->dtype == COT_F32 || t->dtype == COT_F64;
    tensor out = tensor_make(p, t->dtype, &x->shape, 1),
           sum = tensor_make(p, t->dtype, &x->shape, 1);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t at[COT_MAX_RANK];
        tensor_index(x, i, at);
        for (int64_t last = at[axis], k = 0; k <= last; k++) {
            at[axis] = k;
            long double value = x->v[tensor_at(x, at)];
            out.v[i] = real ? out.v[i] + value : wrapped_sum(t->dtype, out.v[i], value);
            sum.v[i] += fabsl(value);
        }
    }
    *magnitude_out = sum;
    return out;
}
