/*
 * The meaning of attention, in long double and rounded once: for each query the scores of all keys,
 * scale q.k, or `low` (attention.h) where mask or order forbid; their weights, e^(score - maximum)
 * over the sum of those; the mean of v by the weights. So a query that may see no key takes the
 * plain mean. A forbidden key has a weight of 0, which times an infinite v is NaN.
 */
#include "attention.h"
#include "eval.h"

#include <math.h>

typedef struct sizes {
    int64_t n, n_queries, n_keys, d, d_value;
} sizes;

static sizes sizes_of(const coti_eval *eval) {
    const cot_shape *q = &eval->input[0].shape;
    const cot_shape *v = &eval->input[2].shape;
    sizes s = {.n = 1,
               .n_queries = q->dim[q->rank - 2],
               .n_keys = v->dim[v->rank - 2],
               .d = q->dim[q->rank - 1],
               .d_value = v->dim[v->rank - 1]};
    for (int32_t axis = 0; axis < q->rank - 2; axis++) {
        s.n *= q->dim[axis];
    }
    return s;
}

/* The weights of one query: `row` counts queries over all leading axes, b is the one on those. */
static void find_weights(const coti_eval *eval, const sizes *s, int64_t b, int64_t row,
                         long double *weight) {
    const coti_attr_ATTENTION *attr = eval->node->attr;
    const coti_tensor *q = &eval->input[0], *k = &eval->input[1];
    long double low = coti_attention_low(q->dtype), max = -INFINITY, sum = 0;
    low = q->dtype == COT_F32 ? (float)low : low;
    for (int64_t j = 0; j < s->n_keys; j++) {
        bool allowed = attr->causal == 0 || row % s->n_queries >= j;
        if (eval->node->n_inputs == 4) {
            allowed = allowed && coti_tensor_get_int(&eval->input[3], row * s->n_keys + j) != 0;
        }
        weight[j] = 0;
        for (int64_t c = 0; c < s->d; c++) {
            weight[j] += (long double)coti_tensor_get(q, row * s->d + c) *
                         coti_tensor_get(k, (b * s->n_keys + j) * s->d + c);
        }
        weight[j] = allowed ? weight[j] * attr->scale : low;
        max = weight[j] > max || isnan(weight[j]) ? weight[j] : max;
    }
    for (int64_t j = 0; j < s->n_keys; j++) {
        weight[j] = expl(weight[j] - max);
        sum += weight[j];
    }
    for (int64_t j = 0; j < s->n_keys; j++) {
        weight[j] /= sum;
    }
}

cot_status coti_eval_ATTENTION(const coti_eval *eval) {
    const coti_tensor *v = &eval->input[2];
    const sizes s = sizes_of(eval);
    long double *weight = coti_calloc(eval->context, (size_t)s.n_keys, sizeof *weight);
    if (weight == NULL) {
        return COT_E_NOMEM;
    }
    for (int64_t row = 0; row < s.n * s.n_queries; row++) {
        int64_t b = row / s.n_queries;
        find_weights(eval, &s, b, row, weight);
        for (int64_t c = 0; c < s.d_value; c++) {
            long double y = 0;
            for (int64_t j = 0; j < s.n_keys; j++) {
                y += weight[j] * coti_tensor_get(v, (b * s.n_keys + j) * s.d_value + c);
            }
            coti_tensor_set(eval->out, row * s.d_value + c, y);
        }
    }
    coti_free(eval->context, weight);
    return COT_OK;
}
