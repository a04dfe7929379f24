/*
 * Expected results of attention, from the definition: the weight of a key is one over the sum of
 * e^(other score - its score) over the keys that the query may see, which needs no maximum; keys
 * that it may not see have none, and where it may see none all have the same.
 */
#include "op_case.h"

#include <math.h>

/* Indices of a query on the leading axes, which `index` holds, and of a key or a feature. */
static int64_t place(const tensor *x, const int64_t *index, int64_t position, int64_t feature) {
    int64_t own[COT_MAX_RANK];
    int32_t rank = x->shape.rank;
    for (int32_t d = 0; d + 2 < rank; d++) {
        own[d] = index[d];
    }
    own[rank - 2] = position;
    own[rank - 1] = feature;
    return tensor_at(x, own);
}

/* Of NumPy's broadcasting: the mask's axes end where the scores' do, and an extent of 1 repeats. */
static bool is_masked(const tensor *mask, const int64_t *index, int32_t rank) {
    int64_t own[COT_MAX_RANK];
    for (int32_t d = 0; d < mask->shape.rank; d++) {
        int64_t at = index[rank - mask->shape.rank + d];
        own[d] = mask->shape.dim[d] == 1 ? 0 : at;
    }
    return mask->v[tensor_at(mask, own)] == 0;
}

typedef struct key {
    bool seen;
    long double score;
} key;

/* The keys of the query at `index`, whose last element is overwritten; how many may be seen. */
static int64_t find_keys(const trial *t, const tensor *x, int64_t *index, key *keys) {
    int32_t rank = x[0].shape.rank;
    int64_t query = index[rank - 2], d = x[0].shape.dim[rank - 1], n_seen = 0;
    long double scale = attr_real(t->attr, "scale", 0);
    scale = scale == 0 ? 1 / sqrtl((long double)d) : scale;
    for (int64_t j = 0; j < x[1].shape.dim[rank - 2]; j++) {
        index[rank - 1] = j;
        keys[j] = (key){.seen = attr_int(t->attr, "causal", 0) == 0 || j <= query};
        keys[j].seen = keys[j].seen && (t->n < 4 || !is_masked(&x[3], index, rank));
        n_seen += keys[j].seen;
        for (int64_t c = 0; c < d; c++) {
            keys[j].score +=
                x[0].v[place(&x[0], index, query, c)] * x[1].v[place(&x[1], index, j, c)] * scale;
        }
    }
    return n_seen;
}

static long double weight_of(const key *keys, int64_t n, int64_t n_seen, int64_t j) {
    long double sum = 0;
    if (n_seen == 0) {
        return 1 / (long double)n;
    }
    for (int64_t i = 0; keys[j].seen && i < n; i++) {
        sum += keys[i].seen ? expl(keys[i].score - keys[j].score) : 0;
    }
    return keys[j].seen ? 1 / sum : 0;
}

tensor expect_attention(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    int32_t rank = x[0].shape.rank;
    cot_shape shape = x[0].shape;
    shape.dim[rank - 1] = x[2].shape.dim[rank - 1];
    int64_t n = x[1].shape.dim[rank - 2];
    tensor out = tensor_make(p, t->dtype, &shape, 1);
    key *keys = pool_take(p, (size_t)n, sizeof *keys);
    for (int64_t i = 0; i < out.count; i++) {
        int64_t index[COT_MAX_RANK];
        tensor_index(&out, i, index);
        int64_t feature = index[rank - 1];
        int64_t n_seen = find_keys(t, x, index, keys);
        for (int64_t j = 0; j < n; j++) {
            out.v[i] += weight_of(keys, n, n_seen, j) * x[2].v[place(&x[2], index, j, feature)];
        }
    }
    return out;
}
