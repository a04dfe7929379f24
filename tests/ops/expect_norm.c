/*
 * Expected results of normalisations, from what they are by definition: an element less the mean of
 * its peers, over the root of half the mean of (a - b)^2 over all pairs of peers, which is their
 * variance and needs no mean. Peers are found by their indices, and the work is quadratic.
 */
#include "op_case.h"

#include <math.h>

/* Are elements at these indices of x normalised together? */
static bool are_peers(const trial *t, const tensor *x, const int64_t *a, const int64_t *b) {
    int32_t last = x->shape.rank - 1;
    if (t->op == COT_OP_BATCH_NORM) {
        return a[last] == b[last];
    }
    if (t->op == COT_OP_GROUP_NORM) {
        int64_t size = x->shape.dim[last] / attr_int(t->attr, "groups", 1);
        return a[0] == b[0] && a[last] / size == b[last] / size;
    }
    for (int32_t d = 0; d < last; d++) {
        if (a[d] != b[d]) {
            return false;
        }
    }
    return true;
}

/* What a set of peers has in common: one of them, how far the mean is from it, the variance. */
typedef struct common {
    long double first, mean, square;
} common;

/* The values of element i's peers, itself among them; how many. *first_out: the first of them. */
static int64_t find_peers(const trial *t, const tensor *x, int64_t i, long double *peer,
                          int64_t *first_out) {
    int64_t own[COT_MAX_RANK], other[COT_MAX_RANK];
    int64_t n = 0;
    tensor_index(x, i, own);
    for (int64_t j = 0; j < x->count; j++) {
        tensor_index(x, j, other);
        if (are_peers(t, x, own, other)) {
            *first_out = n == 0 ? j : *first_out;
            peer[n++] = x->v[j];
        }
    }
    return n;
}

static common common_of(cot_op op, const long double *peer, int64_t n) {
    common c = {op == COT_OP_RMS_NORM ? 0 : peer[0], 0, 0};
    for (int64_t j = 0; j < n; j++) {
        if (op == COT_OP_RMS_NORM) {
            c.square += peer[j] * peer[j] / (long double)n;
            continue;
        }
        c.mean += (peer[j] - c.first) / (long double)n;
        c.square += 0 * peer[j]; /* a lone infinity has no pair to show in */
        for (int64_t k = 0; k < j; k++) {
            long double difference = (peer[j] - peer[k]) / (long double)n;
            c.square += difference * difference;
        }
    }
    return c;
}

tensor expect_norm(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    long double epsilon = attr_real(t->attr, "epsilon", 0);
    tensor out = tensor_make(p, t->dtype, &x->shape, 1);
    long double *peer = pool_take(p, (size_t)x->count, sizeof *peer);
    common *all = pool_take(p, (size_t)x->count, sizeof *all);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t channel = i % x->shape.dim[x->shape.rank - 1], first = i;
        int64_t n = find_peers(t, x, i, peer, &first);
        all[i] = first == i ? common_of(t->op, peer, n) : all[first];
        out.v[i] = x->v[i] - all[i].first - all[i].mean;
        out.v[i] *= x[1].v[channel] / sqrtl(all[i].square + epsilon);
        out.v[i] += t->n == 3 ? x[2].v[channel] : 0;
    }
    return out;
}
