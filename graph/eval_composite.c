/*
 * The meaning of the composites, over the last axis, in closed form and independent of their
 * decompositions, which are tested against it. Everything is computed in long double from the
 * row's maximum m, so that no exp overflows, and rounded once:
 *
 *   softmax       exp(x - m) / s                       with s = sum_c exp(x_c - m)
 *   log_softmax   (x - m) - log(s)
 *   softmax_xent  sum_c t_c * (log(s) - (x_c - m))
 *
 * A NaN or +inf in a row, or a row of -inf only, makes the whole row NaN. A target of 0 at a logit
 * of -inf is 0 * inf = NaN, as the formula says. A row of no elements has cross-entropy 0.
 */
#include "eval.h"

#include <math.h>

/* m and log(s) of one row of `n` elements from element `first`. */
typedef struct row_statistics {
    long double max, sum;
} row_statistics;

static row_statistics row_of(const coti_tensor *x, int64_t first, int64_t n) {
    row_statistics row = {-INFINITY, 0};
    for (int64_t c = 0; c < n; c++) {
        long double value = coti_tensor_get(x, first + c);
        row.max = value > row.max || isnan(value) ? value : row.max;
    }
    for (int64_t c = 0; c < n; c++) {
        row.sum += expl(coti_tensor_get(x, first + c) - row.max);
    }
    return row;
}

/* Elements of the last axis, and how many rows of them x has. */
static int64_t row_length(const coti_tensor *x) {
    return x->shape.dim[x->shape.rank - 1];
}
static int64_t row_count(const coti_tensor *x) {
    coti_walk walk = coti_walk_make(x->shape.rank - 1, x->shape.dim);
    return coti_walk_count(&walk);
}

cot_status coti_eval_SOFTMAX(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0];
    int64_t n = row_length(x), n_rows = row_count(x);
    for (int64_t r = 0; r < n_rows; r++) {
        row_statistics row = row_of(x, r * n, n);
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            coti_tensor_set(eval->out, i, expl(coti_tensor_get(x, i) - row.max) / row.sum);
        }
    }
    return COT_OK;
}

cot_status coti_eval_LOG_SOFTMAX(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0];
    int64_t n = row_length(x), n_rows = row_count(x);
    for (int64_t r = 0; r < n_rows; r++) {
        row_statistics row = row_of(x, r * n, n);
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            coti_tensor_set(eval->out, i, coti_tensor_get(x, i) - row.max - logl(row.sum));
        }
    }
    return COT_OK;
}

cot_status coti_eval_SOFTMAX_XENT(const coti_eval *eval) {
    const coti_tensor *target = &eval->input[0];
    const coti_tensor *x = &eval->input[1];
    int64_t n = row_length(x), n_rows = row_count(x);
    for (int64_t r = 0; r < n_rows; r++) {
        row_statistics row = row_of(x, r * n, n);
        long double loss = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            loss +=
                coti_tensor_get(target, i) * (logl(row.sum) - (coti_tensor_get(x, i) - row.max));
        }
        coti_tensor_set(eval->out, r, loss);
    }
    return COT_OK;
}
