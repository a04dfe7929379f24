/*
 * The meaning of the reductions. Sums and products run in row-major order of the reduced elements:
 * f32 in double, f64 in long double, rounded once; integers wrap. A maximum or minimum over
 * nothing, which only an empty batch can cause, is COT_E_SHAPE.
 */
#include "eval.h"

#include <math.h>

/*
 * Two nested walks: `outer` over the kept axes, in the order of the result, its offset[0] the first
 * element of the operand; `inner` over the reduced axes, its offset[0] counted from there.
 */
typedef struct reduction {
    coti_walk outer, inner;
    int64_t n_outer, n_inner;
} reduction;

static reduction reduction_over(const coti_tensor *x, const int32_t *axes, int32_t n_axes) {
    bool reduced[COT_MAX_RANK] = {false};
    for (int32_t i = 0; i < n_axes; i++) {
        reduced[axes[i]] = true;
    }
    int64_t stride[COT_MAX_RANK];
    coti_dense_strides(&x->shape, stride);
    reduction r = {.n_outer = 0};
    for (int32_t d = 0; d < x->shape.rank; d++) {
        coti_walk *walk = reduced[d] ? &r.inner : &r.outer;
        walk->extent[walk->rank] = x->shape.dim[d];
        walk->stride[0][walk->rank] = stride[d];
        walk->rank++;
    }
    r.n_outer = coti_walk_count(&r.outer);
    r.n_inner = coti_walk_count(&r.inner);
    return r;
}

/* One sum over the inner walk, from operand element `base`, stored as element i of out. */
static void sum_one(const coti_tensor *x, reduction *r, int64_t base, coti_tensor *out, int64_t i) {
    double f32_sum = 0;
    long double f64_sum = 0;
    uint64_t int_sum = 0;
    for (int64_t k = 0; k < r->n_inner; k++, coti_walk_next(&r->inner)) {
        int64_t at = base + r->inner.offset[0];
        if (x->dtype == COT_F32) {
            f32_sum += (double)((const float *)x->data)[at];
        } else if (x->dtype == COT_F64) {
            f64_sum += (long double)((const double *)x->data)[at];
        } else {
            int_sum += (uint64_t)coti_tensor_get_int(x, at);
        }
    }
    if (x->dtype == COT_F32) {
        coti_tensor_set(out, i, f32_sum);
    } else if (x->dtype == COT_F64) {
        coti_tensor_set(out, i, f64_sum);
    } else {
        coti_tensor_set_int(out, i, (int64_t)int_sum);
    }
}

cot_status coti_eval_SUM(const coti_eval *eval) {
    const coti_attr_AXES *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    reduction r = reduction_over(x, attr->axes.v, attr->axes.n);
    for (int64_t i = 0; i < r.n_outer; i++, coti_walk_next(&r.outer)) {
        sum_one(x, &r, r.outer.offset[0], eval->out, i);
    }
    return COT_OK;
}

/* One product, as sum_one. */
static void multiply_one(const coti_tensor *x, reduction *r, int64_t base, coti_tensor *out,
                         int64_t i) {
    double f32_product = 1;
    long double f64_product = 1;
    uint64_t int_product = 1;
    for (int64_t k = 0; k < r->n_inner; k++, coti_walk_next(&r->inner)) {
        int64_t at = base + r->inner.offset[0];
        if (x->dtype == COT_F32) {
            f32_product *= (double)((const float *)x->data)[at];
        } else if (x->dtype == COT_F64) {
            f64_product *= (long double)((const double *)x->data)[at];
        } else {
            int_product *= (uint64_t)coti_tensor_get_int(x, at);
        }
    }
    if (x->dtype == COT_F32) {
        coti_tensor_set(out, i, f32_product);
    } else if (x->dtype == COT_F64) {
        coti_tensor_set(out, i, f64_product);
    } else {
        coti_tensor_set_int(out, i, (int64_t)int_product);
    }
}

cot_status coti_eval_PROD(const coti_eval *eval) {
    const coti_attr_AXES *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    reduction r = reduction_over(x, attr->axes.v, attr->axes.n);
    for (int64_t i = 0; i < r.n_outer; i++, coti_walk_next(&r.outer)) {
        multiply_one(x, &r, r.outer.offset[0], eval->out, i);
    }
    return COT_OK;
}

/* Where the maximum or minimum is: its position in the inner walk's order, its offset in the
 * operand. */
typedef struct extremum {
    int64_t position, offset;
} extremum;

/* Is element `at` larger (`least`: smaller) than element `best`? A NaN beats all numbers. */
static bool beats(const coti_tensor *x, int64_t at, int64_t best, bool least) {
    if (!coti_dtype_is_float(x->dtype)) {
        int64_t a = coti_tensor_get_int(x, at), b = coti_tensor_get_int(x, best);
        return least ? a < b : a > b;
    }
    double a = coti_tensor_get(x, at), b = coti_tensor_get(x, best);
    return (least ? a < b : a > b) || (isnan(a) && !isnan(b));
}

/* The first extremum of the inner walk, from operand element `base`. */
static extremum first_extremum(const coti_tensor *x, reduction *r, int64_t base, bool least) {
    extremum best = {0, base};
    for (int64_t k = 0; k < r->n_inner; k++, coti_walk_next(&r->inner)) {
        int64_t at = base + r->inner.offset[0];
        if (beats(x, at, best.offset, least)) {
            best = (extremum){k, at};
        }
    }
    return best;
}

/* COT_E_SHAPE when there is an extremum to find and nothing to find it in. */
static cot_status check_not_empty(const coti_eval *eval, const reduction *r, bool least) {
    if (r->n_outer > 0 && r->n_inner == 0) {
        return COTI_FAIL_OP(eval->context, COT_E_SHAPE, cot_op_name((cot_op)eval->node->op),
                            eval->node->layer, "the %s of no elements is not defined",
                            least ? "minimum" : "maximum");
    }
    return COT_OK;
}

static cot_status extrema(const coti_eval *eval, bool least) {
    const coti_attr_AXES *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    reduction r = reduction_over(x, attr->axes.v, attr->axes.n);
    COTI_TRY(check_not_empty(eval, &r, least));
    for (int64_t i = 0; i < r.n_outer; i++, coti_walk_next(&r.outer)) {
        int64_t offset = first_extremum(x, &r, r.outer.offset[0], least).offset;
        if (coti_dtype_is_float(x->dtype)) {
            coti_tensor_set(eval->out, i, coti_tensor_get(x, offset));
        } else {
            coti_tensor_set_int(eval->out, i, coti_tensor_get_int(x, offset));
        }
    }
    return COT_OK;
}

cot_status coti_eval_REDUCE_MAX(const coti_eval *eval) {
    return extrema(eval, false);
}

cot_status coti_eval_REDUCE_MIN(const coti_eval *eval) {
    return extrema(eval, true);
}

static cot_status positions(const coti_eval *eval, bool least) {
    const coti_attr_AXIS *attr = eval->node->attr;
    const coti_tensor *x = &eval->input[0];
    reduction r = reduction_over(x, &attr->axis, 1);
    COTI_TRY(check_not_empty(eval, &r, least));
    for (int64_t i = 0; i < r.n_outer; i++, coti_walk_next(&r.outer)) {
        int64_t position = first_extremum(x, &r, r.outer.offset[0], least).position;
        coti_tensor_set_int(eval->out, i, position);
    }
    return COT_OK;
}

cot_status coti_eval_ARGMAX(const coti_eval *eval) {
    return positions(eval, false);
}

cot_status coti_eval_ARGMIN(const coti_eval *eval) {
    return positions(eval, true);
}
