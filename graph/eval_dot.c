/*
 * The meaning of dot: y[batch, i, j] = sum_k a[batch, i, k] * b[batch, j, k], where i runs over a's
 * free axes, j over b's, k over the contracted ones, each in row-major order.
 *
 * Any placing of the axes is reduced to offset tables: element (t, i, k) of a stands at
 * batch[t] + free[i] + contract[k]. f32 products are exact in double and summed there, f64 products
 * and sums are long double; each result is rounded once. A row of results is summed side by side,
 * which changes no sum's order.
 */
#include "eval.h"

/* Element offsets of one operand along its three groups of axes. */
typedef struct operand {
    const coti_tensor *tensor;
    int64_t *batch, *free, *contract; /* owned */
    int64_t n_batch, n_free, n_contract;
} operand;

/* Offsets of the points of the index space of some axes of x, in row-major order of the list. */
static cot_status axis_offsets(cot_context *context, const coti_tensor *x,
                               const coti_attr_AXES_type *axes, int64_t **offset_out,
                               int64_t *n_out) {
    int64_t stride[COT_MAX_RANK];
    coti_dense_strides(&x->shape, stride);
    coti_walk walk = {.rank = axes->n};
    for (int32_t i = 0; i < axes->n; i++) {
        walk.extent[i] = x->shape.dim[axes->v[i]];
        walk.stride[0][i] = stride[axes->v[i]];
    }
    int64_t n = coti_walk_count(&walk);
    int64_t *offset = coti_calloc(context, (size_t)n, sizeof *offset);
    if (offset == NULL) {
        return COT_E_NOMEM;
    }
    for (int64_t i = 0; i < n; i++, coti_walk_next(&walk)) {
        offset[i] = walk.offset[0];
    }
    *offset_out = offset;
    *n_out = n;
    return COT_OK;
}

static void operand_free(cot_context *context, operand *o) {
    coti_free(context, o->batch);
    coti_free(context, o->free);
    coti_free(context, o->contract);
}

/* Fill o (zeroed by the caller, who frees it whatever happens). */
static cot_status operand_make(cot_context *context, const coti_tensor *x,
                               const coti_attr_AXES_type *batch,
                               const coti_attr_AXES_type *contract, operand *o) {
    bool bound[COT_MAX_RANK] = {false};
    for (int32_t i = 0; i < batch->n; i++) {
        bound[batch->v[i]] = true;
    }
    for (int32_t i = 0; i < contract->n; i++) {
        bound[contract->v[i]] = true;
    }
    coti_attr_AXES_type rest = {.n = 0};
    for (int32_t d = 0; d < x->shape.rank; d++) {
        if (!bound[d]) {
            rest.v[rest.n++] = d;
        }
    }
    o->tensor = x;
    COTI_TRY(axis_offsets(context, x, batch, &o->batch, &o->n_batch));
    COTI_TRY(axis_offsets(context, x, &rest, &o->free, &o->n_free));
    return axis_offsets(context, x, contract, &o->contract, &o->n_contract);
}

/* sum[j] += a * b[start + free[j]] for a row of f32 results, and of f64 results. */
static void add_row_f32(double *sum, double a, const operand *b, int64_t start) {
    const float *data = b->tensor->data;
    for (int64_t j = 0; j < b->n_free; j++) {
        sum[j] += a * (double)data[start + b->free[j]];
    }
}
static void add_row_f64(long double *sum, long double a, const operand *b, int64_t start) {
    const double *data = b->tensor->data;
    for (int64_t j = 0; j < b->n_free; j++) {
        sum[j] += a * (long double)data[start + b->free[j]];
    }
}

/* Results (t, i, all j), summed in `sum` (b->n_free elements of the wider type). */
static void dot_row_f32(const operand *a, const operand *b, int64_t t, int64_t i, double *sum) {
    const float *data = a->tensor->data;
    for (int64_t j = 0; j < b->n_free; j++) {
        sum[j] = 0;
    }
    for (int64_t k = 0; k < a->n_contract; k++) {
        double value = (double)data[a->batch[t] + a->free[i] + a->contract[k]];
        add_row_f32(sum, value, b, b->batch[t] + b->contract[k]);
    }
}
static void dot_row_f64(const operand *a, const operand *b, int64_t t, int64_t i,
                        long double *sum) {
    const double *data = a->tensor->data;
    for (int64_t j = 0; j < b->n_free; j++) {
        sum[j] = 0;
    }
    for (int64_t k = 0; k < a->n_contract; k++) {
        long double value = data[a->batch[t] + a->free[i] + a->contract[k]];
        add_row_f64(sum, value, b, b->batch[t] + b->contract[k]);
    }
}

/* All rows. `sum` has room for a row of long doubles. */
static void dot_all(const operand *a, const operand *b, coti_tensor *out, void *sum) {
    int64_t at = 0;
    for (int64_t t = 0; t < a->n_batch; t++) {
        for (int64_t i = 0; i < a->n_free; i++) {
            if (out->dtype == COT_F32) {
                dot_row_f32(a, b, t, i, sum);
            } else {
                dot_row_f64(a, b, t, i, sum);
            }
            for (int64_t j = 0; j < b->n_free; j++, at++) {
                coti_tensor_set(out, at,
                                out->dtype == COT_F32 ? (long double)((double *)sum)[j]
                                                      : ((long double *)sum)[j]);
            }
        }
    }
}

cot_status coti_eval_DOT(const coti_eval *eval) {
    const coti_attr_DOT *attr = eval->node->attr;
    if (!coti_dtype_is_float(eval->out->dtype)) {
        return coti_eval_bad_dtype(eval);
    }
    operand a = {.tensor = NULL}, b = {.tensor = NULL};
    void *sum = NULL;
    cot_status status =
        operand_make(eval->context, &eval->input[0], &attr->a_batch, &attr->a_contract, &a);
    if (status == COT_OK) {
        status =
            operand_make(eval->context, &eval->input[1], &attr->b_batch, &attr->b_contract, &b);
    }
    if (status == COT_OK) {
        sum = coti_calloc(eval->context, (size_t)b.n_free, sizeof(long double));
        status = sum == NULL ? COT_E_NOMEM : COT_OK;
    }
    if (status == COT_OK) {
        dot_all(&a, &b, eval->out, sum);
    }
    coti_free(eval->context, sum);
    operand_free(eval->context, &a);
    operand_free(eval->context, &b);
    return status;
}
