/*
 * The meaning of gather and scatter_add: x [B,L,d,T], index [B,I], updates [B,L,I,T] as four loops
 * over the products of their axes.
 */
#include "eval.h"

#include <string.h>

/* Products of the extents of each kind of axis. */
typedef struct extents {
    int64_t b, l, i, d, t;
} extents;

static int64_t product(const cot_shape *shape, int32_t first, int32_t last) {
    int64_t n = 1;
    for (int32_t a = first; a < last; a++) {
        n *= shape->dim[a];
    }
    return n;
}

/* x: the shape that has the axis. */
static extents extents_of(const cot_shape *x, const cot_shape *index, int32_t axis,
                          int32_t n_batch) {
    return (extents){.b = product(x, 0, n_batch),
                     .l = product(x, n_batch, axis),
                     .i = product(index, n_batch, index->rank),
                     .d = x->dim[axis],
                     .t = product(x, axis + 1, x->rank)};
}

cot_status coti_eval_GATHER(const coti_eval *eval) {
    const coti_attr_GATHER *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    const coti_tensor *index = &eval->input[1];
    extents n = extents_of(&x->shape, &index->shape, attr->axis, (int32_t)attr->n_batch);
    size_t bytes = (size_t)n.t * cot_dtype_bytes(x->dtype);
    for (int64_t row = 0; row < n.b * n.l; row++) {
        for (int64_t i = 0; i < n.i && bytes > 0; i++) {
            int64_t at = coti_tensor_get_int(index, row / n.l * n.i + i);
            char *to = (char *)eval->out->data + (size_t)(row * n.i + i) * bytes;
            if (at >= 0 && at < n.d) {
                memcpy(to, (const char *)x->data + (size_t)(row * n.d + at) * bytes, bytes);
            } else {
                memset(to, 0, bytes);
            }
        }
    }
    return COT_OK;
}

/* Add the updates of one row to sums [d,t], of floats. */
static void add_row(const coti_eval *eval, const extents *n, int64_t row, long double *sum) {
    for (int64_t i = 0; i < n->i; i++) {
        int64_t at = coti_tensor_get_int(&eval->input[1], row / n->l * n->i + i);
        for (int64_t t = 0; t < n->t && at >= 0 && at < n->d; t++) {
            sum[at * n->t + t] += coti_tensor_get(&eval->input[0], (row * n->i + i) * n->t + t);
        }
    }
}

/* Rounded once: summed apart, a row at a time. */
static cot_status scatter_floats(const coti_eval *eval, const extents *n) {
    size_t count = (size_t)(n->d * n->t);
    long double *sum = coti_alloc(eval->context, count * sizeof *sum);
    if (sum == NULL) {
        return COT_E_NOMEM;
    }
    for (int64_t row = 0; row < n->b * n->l; row++) {
        for (size_t k = 0; k < count; k++) {
            sum[k] = 0;
        }
        add_row(eval, n, row, sum);
        for (size_t k = 0; k < count; k++) {
            coti_tensor_set(eval->out, row * (int64_t)count + (int64_t)k, sum[k]);
        }
    }
    coti_free(eval->context, sum);
    return COT_OK;
}

/* Wrapped after each addition, which is the same as once. */
static void scatter_integers(const coti_eval *eval, const extents *n) {
    for (int64_t k = 0; k < coti_tensor_count(eval->out); k++) {
        coti_tensor_set_int(eval->out, k, 0);
    }
    for (int64_t k = 0; k < n->b * n->l * n->i; k++) {
        int64_t row = k / n->i;
        int64_t at = coti_tensor_get_int(&eval->input[1], row / n->l * n->i + k % n->i);
        for (int64_t t = 0; t < n->t && at >= 0 && at < n->d; t++) {
            int64_t to = (row * n->d + at) * n->t + t;
            uint64_t sum = (uint64_t)coti_tensor_get_int(eval->out, to) +
                           (uint64_t)coti_tensor_get_int(&eval->input[0], k * n->t + t);
            coti_tensor_set_int(eval->out, to, (int64_t)sum);
        }
    }
}

cot_status coti_eval_SCATTER_ADD(const coti_eval *eval) {
    const coti_attr_SCATTER *attr = eval->node->attr;
    extents n =
        extents_of(&eval->out->shape, &eval->input[1].shape, attr->axis, (int32_t)attr->n_batch);
    if (coti_dtype_is_float(eval->out->dtype)) {
        return scatter_floats(eval, &n);
    }
    scatter_integers(eval, &n);
    return COT_OK;
}
