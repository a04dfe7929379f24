/*
 * Expected results of elementwise ops, comparisons, select and cast: scalar formulas in long double
 * (floats) and in 128-bit integers, over NumPy broadcasting written out by index division.
 */
#include "op_case.h"

#include <math.h>

__extension__ typedef __int128 wide;

static bool is_real(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* ---- broadcasting ---- */

/* Result shape of the operands by NumPy's rule: aligned at the last axis, the larger extent. */
static tensor broadcast_result(pool *p, cot_dtype dtype, const tensor *x, int32_t n) {
    cot_shape shape = {0, false, {0}};
    for (int32_t k = 0; k < n; k++) {
        shape.rank = x[k].shape.rank > shape.rank ? x[k].shape.rank : shape.rank;
    }
    for (int32_t d = 0; d < shape.rank; d++) {
        shape.dim[d] = 1;
        for (int32_t k = 0; k < n; k++) {
            int32_t own = d - (shape.rank - x[k].shape.rank);
            if (own >= 0 && x[k].shape.dim[own] != 1) {
                shape.dim[d] = x[k].shape.dim[own];
            }
        }
    }
    return tensor_make(p, dtype, &shape, 1);
}

/* The element of x that meets element i of the result. */
static long double met(const tensor *x, const tensor *result, int64_t i) {
    int64_t index[COT_MAX_RANK], own[COT_MAX_RANK];
    tensor_index(result, i, index);
    for (int32_t d = 0; d < x->shape.rank; d++) {
        int64_t at = index[d + result->shape.rank - x->shape.rank];
        own[d] = x->shape.dim[d] == 1 ? 0 : at;
    }
    return x->v[tensor_at(x, own)];
}

/* ---- scalar formulas: of long doubles, and of integers wide enough not to overflow ---- */

static long double same(long double x) {
    return x;
}
static long double negated(long double x) {
    return -x;
}
static long double sign(long double x) {
    return isnan(x) || x == 0 ? x : copysignl(1, x);
}
static long double rsqrt(long double x) {
    return 1 / sqrtl(x);
}
static long double sigmoid(long double x) {
    return 1 / (1 + expl(-x));
}
/* By the definition where that is exact enough, by its first term where the second is lost. */
static long double softplus(long double x) {
    return x > 60 ? x : x < -60 ? expl(x) : log1pl(expl(x));
}
static long double gelu(long double x) {
    return x < -200 ? -0.0L : 0.5L * x * erfcl(-x / sqrtl(2));
}
static long double relu(long double x) {
    return isnan(x) ? x : x > 0 ? x : 0;
}

typedef long double (*real_1)(long double x);
static const real_1 unary_real[COT_OP_COUNT] = {
    [COT_OP_NEG] = negated,       [COT_OP_ABS] = fabsl,          [COT_OP_SIGN] = sign,
    [COT_OP_EXP] = expl,          [COT_OP_LOG] = logl,           [COT_OP_SQRT] = sqrtl,
    [COT_OP_RSQRT] = rsqrt,       [COT_OP_TANH] = tanhl,         [COT_OP_SIGMOID] = sigmoid,
    [COT_OP_SOFTPLUS] = softplus, [COT_OP_ERFC] = erfcl,         [COT_OP_GELU] = gelu,
    [COT_OP_SIN] = sinl,          [COT_OP_COS] = cosl,           [COT_OP_FLOOR] = floorl,
    [COT_OP_EXPM1] = expm1l,      [COT_OP_LOG1P] = log1pl,       [COT_OP_ERF] = erfl,
    [COT_OP_RELU] = relu,         [COT_OP_STOP_GRADIENT] = same,
};

static wide same_int(wide x) {
    return x;
}
static wide negated_int(wide x) {
    return -x;
}
static wide abs_int(wide x) {
    return x < 0 ? -x : x;
}
static wide sign_int(wide x) {
    return x < 0 ? -1 : x > 0;
}
static wide not_int(wide x) {
    return !x;
}

typedef wide (*int_1)(wide x);
static const int_1 unary_int[COT_OP_COUNT] = {
    [COT_OP_NEG] = negated_int,        [COT_OP_ABS] = abs_int,
    [COT_OP_SIGN] = sign_int,          [COT_OP_NOT] = not_int,
    [COT_OP_STOP_GRADIENT] = same_int,
};

static long double sum(long double a, long double b) {
    return a + b;
}
static long double difference(long double a, long double b) {
    return a - b;
}
static long double product(long double a, long double b) {
    return a * b;
}
static long double quotient(long double a, long double b) {
    return a / b;
}
static long double larger(long double a, long double b) {
    return isnan(a) || isnan(b) ? NAN : fmaxl(a, b);
}
static long double smaller(long double a, long double b) {
    return isnan(a) || isnan(b) ? NAN : fminl(a, b);
}

typedef long double (*real_2)(long double a, long double b);
static const real_2 binary_real[COT_OP_COUNT] = {
    [COT_OP_ADD] = sum,      [COT_OP_SUB] = difference, [COT_OP_MUL] = product,
    [COT_OP_DIV] = quotient, [COT_OP_MAX] = larger,     [COT_OP_MIN] = smaller,
    [COT_OP_POW] = powl,
};

static wide sum_int(wide a, wide b) {
    return a + b;
}
static wide difference_int(wide a, wide b) {
    return a - b;
}
static wide product_int(wide a, wide b) {
    return a * b;
}
static wide larger_int(wide a, wide b) {
    return a < b ? b : a;
}
static wide smaller_int(wide a, wide b) {
    return a < b ? a : b;
}
static wide both(wide a, wide b) {
    return a && b;
}
static wide either(wide a, wide b) {
    return a || b;
}

typedef wide (*int_2)(wide a, wide b);
static const int_2 binary_int[COT_OP_COUNT] = {
    [COT_OP_ADD] = sum_int,    [COT_OP_SUB] = difference_int, [COT_OP_MUL] = product_int,
    [COT_OP_MAX] = larger_int, [COT_OP_MIN] = smaller_int,    [COT_OP_AND] = both,
    [COT_OP_OR] = either,
};

/* Modulo 2^bits into the dtype's range. */
static long double wrap(cot_dtype dtype, wide value) {
    if (dtype == COT_BOOL) {
        return value != 0;
    }
    int bits = 8 * (int)cot_dtype_bytes(dtype);
    wide modulus = (wide)1 << bits;
    wide rest = ((value % modulus) + modulus) % modulus;
    bool is_signed = dtype != COT_U8;
    return (long double)(is_signed && rest >= modulus / 2 ? rest - modulus : rest);
}

tensor expect_elementwise(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    tensor out = broadcast_result(p, t->dtype, x, t->n);
    for (int64_t i = 0; i < out.count; i++) {
        long double a = met(&x[0], &out, i);
        long double b = t->n > 1 ? met(&x[1], &out, i) : 0;
        if (is_real(t->dtype)) {
            out.v[i] = t->n == 1 ? unary_real[t->op](a) : binary_real[t->op](a, b);
        } else {
            wide value =
                t->n == 1 ? unary_int[t->op]((wide)a) : binary_int[t->op]((wide)a, (wide)b);
            out.v[i] = wrap(t->dtype, value);
        }
    }
    return out;
}

tensor expect_compare(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    tensor out = broadcast_result(p, COT_BOOL, x, t->n);
    for (int64_t i = 0; i < out.count; i++) {
        long double a = met(&x[0], &out, i), b = met(&x[1], &out, i);
        bool truth = t->op == COT_OP_EQ   ? a == b
                     : t->op == COT_OP_NE ? !(a == b)
                     : t->op == COT_OP_LT ? isless(a, b)
                     : t->op == COT_OP_LE ? islessequal(a, b)
                     : t->op == COT_OP_GT ? isgreater(a, b)
                                          : isgreaterequal(a, b);
        out.v[i] = truth;
    }
    return out;
}

tensor expect_select(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    tensor out = broadcast_result(p, t->dtype, x, 3);
    for (int64_t i = 0; i < out.count; i++) {
        out.v[i] = met(&x[0], &out, i) == 1 ? met(&x[1], &out, i) : met(&x[2], &out, i);
    }
    return out;
}

/* Float to integer: toward zero, to the nearest end when out of range, NaN to 0. */
static long double saturated(cot_dtype to, long double value) {
    int bits = 8 * (int)cot_dtype_bytes(to);
    long double low = to == COT_U8 ? 0 : -ldexpl(1, bits - 1);
    long double high = to == COT_U8 ? 255 : ldexpl(1, bits - 1) - 1;
    if (isnan(value)) {
        return 0;
    }
    return value < low ? low : value > high ? high : truncl(value);
}

tensor expect_cast(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    cot_dtype to = attr_dtype(t->attr, "to", COT_F32);
    tensor out = tensor_make(p, to, &x->shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        if (to == COT_BOOL) {
            out.v[i] = !(x->v[i] == 0);
        } else if (is_real(to)) {
            out.v[i] = round_to(to, x->v[i]);
        } else {
            out.v[i] = is_real(x->dtype) ? saturated(to, x->v[i]) : wrap(to, (wide)x->v[i]);
        }
    }
    return out;
}

/* The function that build.c gives: a b. */
tensor expect_custom(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    tensor out = tensor_make(p, t->dtype, &x[0].shape, 1);
    for (int64_t i = 0; i < out.count; i++) {
        out.v[i] = x[0].v[i] * x[1].v[i];
    }
    return out;
}
