/*
 * The meaning of indexing, order and running sums. Gather and scatter_add: x [B,L,d,T], index
 * [B,I], updates [B,L,I,T] as four loops over the products of their axes. The others: rows of
 * elements along one axis.
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

/* ---- dynamic places ---- */

/* The start of a run of `size` within `extent`. */
static int64_t clamped_start(const coti_tensor *start, int64_t extent, int64_t size) {
    int64_t at = coti_tensor_get_int(start, 0);
    return at < 0 ? 0 : at > extent - size ? extent - size : at;
}

/* Copy `size` places along an axis from `from` (from place i on) to `to` (from place k on). */
static void copy_places(const coti_tensor *from, int64_t i, coti_tensor *to, int64_t k,
                        int32_t axis, int64_t size) {
    int64_t outer = product(&to->shape, 0, axis);
    int64_t inner = product(&to->shape, axis + 1, to->shape.rank);
    size_t bytes = (size_t)inner * cot_dtype_bytes(to->dtype);
    for (int64_t o = 0; o < outer && size > 0 && bytes > 0; o++) {
        memcpy((char *)to->data + (size_t)(o * to->shape.dim[axis] + k) * bytes,
               (const char *)from->data + (size_t)(o * from->shape.dim[axis] + i) * bytes,
               (size_t)size * bytes);
    }
}

cot_status coti_eval_DYNAMIC_SLICE(const coti_eval *eval) {
    const coti_attr_DYNAMIC_SLICE *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    int64_t start = clamped_start(&eval->input[1], x->shape.dim[attr->axis], attr->size);
    copy_places(x, start, eval->out, 0, attr->axis, attr->size);
    return COT_OK;
}

cot_status coti_eval_DYNAMIC_UPDATE(const coti_eval *eval) {
    int32_t axis = ((const coti_attr_AXIS *)eval->node->attr)->axis;
    int64_t extent = eval->out->shape.dim[axis], size = eval->input[1].shape.dim[axis];
    copy_places(&eval->input[0], 0, eval->out, 0, axis, extent);
    copy_places(&eval->input[1], 0, eval->out, clamped_start(&eval->input[2], extent, size), axis,
                size);
    return COT_OK;
}

/* ---- order ---- */

/* Is element i of x less than element k? A NaN is the largest. */
static bool is_less(const coti_tensor *x, int64_t i, int64_t k) {
    if (!coti_dtype_is_float(x->dtype)) {
        return coti_tensor_get_int(x, i) < coti_tensor_get_int(x, k);
    }
    double a = coti_tensor_get(x, i), b = coti_tensor_get(x, k);
    return a < b || (b != b && a == a);
}

/* By insertion: an element moves before those that are to come after it, and no further. */
cot_status coti_eval_ARGSORT(const coti_eval *eval) {
    bool descending = ((const coti_attr_ARGSORT *)eval->node->attr)->descending != 0;
    const coti_tensor *x = &eval->input[0];
    int64_t n = x->shape.dim[x->shape.rank - 1];
    int32_t *order = eval->out->data;
    for (int64_t e = 0; e < coti_tensor_count(x); e++) {
        int64_t row = e - e % n, to = e;
        for (; to > row; to--) {
            int64_t before = row + order[to - 1];
            if (descending ? !is_less(x, before, e) : !is_less(x, e, before)) {
                break;
            }
            order[to] = order[to - 1];
        }
        order[to] = (int32_t)(e - row);
    }
    return COT_OK;
}

/* ---- running sums ---- */

/* One row along the axis: n elements from `first` on, `step` apart; each sum rounded once. */
static void sum_row(const coti_eval *eval, int64_t first, int64_t n, int64_t step) {
    const coti_tensor *x = &eval->input[0];
    bool is_float = coti_dtype_is_float(x->dtype);
    long double sum = 0;
    uint64_t integer = 0;
    for (int64_t i = first; i < first + n * step; i += step) {
        if (is_float) {
            sum += coti_tensor_get(x, i);
            coti_tensor_set(eval->out, i, sum);
        } else {
            integer += (uint64_t)coti_tensor_get_int(x, i);
            coti_tensor_set_int(eval->out, i, (int64_t)integer);
        }
    }
}

cot_status coti_eval_CUMSUM(const coti_eval *eval) {
    int32_t axis = ((const coti_attr_AXIS *)eval->node->attr)->axis;
    const cot_shape *shape = &eval->out->shape;
    int64_t inner = product(shape, axis + 1, shape->rank), n = shape->dim[axis];
    for (int64_t row = 0; row < product(shape, 0, axis) * inner; row++) {
        sum_row(eval, row / inner * n * inner + row % inner, n, inner);
    }
    return COT_OK;
}
