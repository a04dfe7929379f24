/*
 * The meaning of the elementwise ops: operands and result have equal shapes, so each rule is one
 * loop over dense elements with a scalar function.
 *
 * f32 is computed in f32 by the C library's f-functions, f64 in double, integers as int64 and
 * wrapped to their dtype. Zeros: max and min of zeros of both signs give either. NaN: kept, but
 * where ops.def says otherwise.
 */
#include "eval.h"

#include <math.h>

/* ---- one operand ---- */

/* A scalar function in each arithmetic; NULL: the op does not take it. */
typedef struct unary_rule {
    float (*f32)(float x);
    double (*f64)(double x);
    int64_t (*integer)(int64_t x);
} unary_rule;

static cot_status unary(const coti_eval *eval, unary_rule rule) {
    const coti_tensor *x = &eval->input[0];
    coti_tensor *out = eval->out;
    int64_t count = coti_tensor_count(out);
    if (out->dtype == COT_F32 && rule.f32 != NULL) {
        for (int64_t i = 0; i < count; i++) {
            ((float *)out->data)[i] = rule.f32(((const float *)x->data)[i]);
        }
    } else if (out->dtype == COT_F64 && rule.f64 != NULL) {
        for (int64_t i = 0; i < count; i++) {
            ((double *)out->data)[i] = rule.f64(((const double *)x->data)[i]);
        }
    } else if (!coti_dtype_is_float(out->dtype) && rule.integer != NULL) {
        for (int64_t i = 0; i < count; i++) {
            coti_tensor_set_int(out, i, rule.integer(coti_tensor_get_int(x, i)));
        }
    } else {
        return coti_eval_bad_dtype(eval);
    }
    return COT_OK;
}

static float neg_f32(float x) {
    return -x;
}
static double neg_f64(double x) {
    return -x;
}
static int64_t neg_int(int64_t x) {
    return (int64_t)(0 - (uint64_t)x);
}
static int64_t abs_int(int64_t x) {
    return x < 0 ? neg_int(x) : x;
}
static float sign_f32(float x) {
    return x > 0 ? 1.0f : x < 0 ? -1.0f : x;
}
static double sign_f64(double x) {
    return x > 0 ? 1.0 : x < 0 ? -1.0 : x;
}
static int64_t sign_int(int64_t x) {
    return (x > 0) - (x < 0);
}
static int64_t not_int(int64_t x) {
    return x == 0;
}
static float rsqrt_f32(float x) {
    return 1.0f / sqrtf(x);
}
static double rsqrt_f64(double x) {
    return 1.0 / sqrt(x);
}

/* exp of a negative number only, so that nothing overflows. */
static float sigmoid_f32(float x) {
    float e = expf(-fabsf(x));
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}
static double sigmoid_f64(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

/* The next three by long double, rounded. exp of a negative number only, as above. */
static long double softplus(long double x) {
    return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
}
static float softplus_f32(float x) {
    return (float)softplus(x);
}
static double softplus_f64(double x) {
    return (double)softplus(x);
}
static float erfc_f32(float x) {
    return (float)erfcl(x);
}
static double erfc_f64(double x) {
    return (double)erfcl(x);
}

/* x / 2 * erfc(-x / sqrt(2)); 0 * -inf where it has a limit. */
static long double gelu(long double x) {
    return isinf(x) && x < 0 ? -0.0L : x / 2 * erfcl(x * -0.70710678118654752440084436210484904L);
}
static float gelu_f32(float x) {
    return (float)gelu(x);
}
static double gelu_f64(double x) {
    return (double)gelu(x);
}

static float relu_f32(float x) {
    return x <= 0 ? 0 : x;
}
static double relu_f64(double x) {
    return x <= 0 ? 0 : x;
}

cot_status coti_eval_NEG(const coti_eval *eval) {
    return unary(eval, (unary_rule){neg_f32, neg_f64, neg_int});
}
cot_status coti_eval_ABS(const coti_eval *eval) {
    return unary(eval, (unary_rule){fabsf, fabs, abs_int});
}
cot_status coti_eval_SIGN(const coti_eval *eval) {
    return unary(eval, (unary_rule){sign_f32, sign_f64, sign_int});
}
cot_status coti_eval_FLOOR(const coti_eval *eval) {
    return unary(eval, (unary_rule){floorf, floor, NULL});
}
cot_status coti_eval_NOT(const coti_eval *eval) {
    return unary(eval, (unary_rule){NULL, NULL, not_int});
}
cot_status coti_eval_EXP(const coti_eval *eval) {
    return unary(eval, (unary_rule){expf, exp, NULL});
}
cot_status coti_eval_EXPM1(const coti_eval *eval) {
    return unary(eval, (unary_rule){expm1f, expm1, NULL});
}
cot_status coti_eval_LOG(const coti_eval *eval) {
    return unary(eval, (unary_rule){logf, log, NULL});
}
cot_status coti_eval_LOG1P(const coti_eval *eval) {
    return unary(eval, (unary_rule){log1pf, log1p, NULL});
}
cot_status coti_eval_SQRT(const coti_eval *eval) {
    return unary(eval, (unary_rule){sqrtf, sqrt, NULL});
}
cot_status coti_eval_RSQRT(const coti_eval *eval) {
    return unary(eval, (unary_rule){rsqrt_f32, rsqrt_f64, NULL});
}
cot_status coti_eval_TANH(const coti_eval *eval) {
    return unary(eval, (unary_rule){tanhf, tanh, NULL});
}
cot_status coti_eval_SIGMOID(const coti_eval *eval) {
    return unary(eval, (unary_rule){sigmoid_f32, sigmoid_f64, NULL});
}
cot_status coti_eval_ERF(const coti_eval *eval) {
    return unary(eval, (unary_rule){erff, erf, NULL});
}
cot_status coti_eval_ERFC(const coti_eval *eval) {
    return unary(eval, (unary_rule){erfc_f32, erfc_f64, NULL});
}
cot_status coti_eval_SOFTPLUS(const coti_eval *eval) {
    return unary(eval, (unary_rule){softplus_f32, softplus_f64, NULL});
}
cot_status coti_eval_GELU(const coti_eval *eval) {
    return unary(eval, (unary_rule){gelu_f32, gelu_f64, NULL});
}
cot_status coti_eval_SIN(const coti_eval *eval) {
    return unary(eval, (unary_rule){sinf, sin, NULL});
}
cot_status coti_eval_COS(const coti_eval *eval) {
    return unary(eval, (unary_rule){cosf, cos, NULL});
}
cot_status coti_eval_RELU(const coti_eval *eval) {
    return unary(eval, (unary_rule){relu_f32, relu_f64, NULL});
}

/* ---- two operands ---- */

typedef struct binary_rule {
    float (*f32)(float a, float b);
    double (*f64)(double a, double b);
    int64_t (*integer)(int64_t a, int64_t b);
} binary_rule;

static cot_status binary(const coti_eval *eval, binary_rule rule) {
    const coti_tensor *a = &eval->input[0];
    const coti_tensor *b = &eval->input[1];
    coti_tensor *out = eval->out;
    int64_t count = coti_tensor_count(out);
    if (out->dtype == COT_F32 && rule.f32 != NULL) {
        for (int64_t i = 0; i < count; i++) {
            ((float *)out->data)[i] =
                rule.f32(((const float *)a->data)[i], ((const float *)b->data)[i]);
        }
    } else if (out->dtype == COT_F64 && rule.f64 != NULL) {
        for (int64_t i = 0; i < count; i++) {
            ((double *)out->data)[i] =
                rule.f64(((const double *)a->data)[i], ((const double *)b->data)[i]);
        }
    } else if (!coti_dtype_is_float(out->dtype) && rule.integer != NULL) {
        for (int64_t i = 0; i < count; i++) {
            coti_tensor_set_int(out, i,
                                rule.integer(coti_tensor_get_int(a, i), coti_tensor_get_int(b, i)));
        }
    } else {
        return coti_eval_bad_dtype(eval);
    }
    return COT_OK;
}

static float add_f32(float a, float b) {
    return a + b;
}
static double add_f64(double a, double b) {
    return a + b;
}
static int64_t add_int(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static float sub_f32(float a, float b) {
    return a - b;
}
static double sub_f64(double a, double b) {
    return a - b;
}
static int64_t sub_int(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static float mul_f32(float a, float b) {
    return a * b;
}
static double mul_f64(double a, double b) {
    return a * b;
}
static int64_t mul_int(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
static float div_f32(float a, float b) {
    return a / b;
}
static double div_f64(double a, double b) {
    return a / b;
}

/* a > b is false with a NaN: the second test keeps a NaN in a, the first one in b. */
static float max_f32(float a, float b) {
    return a > b || isnan(a) ? a : b;
}
static double max_f64(double a, double b) {
    return a > b || isnan(a) ? a : b;
}
static int64_t max_int(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static float min_f32(float a, float b) {
    return a < b || isnan(a) ? a : b;
}
static double min_f64(double a, double b) {
    return a < b || isnan(a) ? a : b;
}
static int64_t min_int(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t and_int(int64_t a, int64_t b) {
    return a != 0 && b != 0;
}
static int64_t or_int(int64_t a, int64_t b) {
    return a != 0 || b != 0;
}

cot_status coti_eval_ADD(const coti_eval *eval) {
    return binary(eval, (binary_rule){add_f32, add_f64, add_int});
}
cot_status coti_eval_SUB(const coti_eval *eval) {
    return binary(eval, (binary_rule){sub_f32, sub_f64, sub_int});
}
cot_status coti_eval_MUL(const coti_eval *eval) {
    return binary(eval, (binary_rule){mul_f32, mul_f64, mul_int});
}
cot_status coti_eval_DIV(const coti_eval *eval) {
    return binary(eval, (binary_rule){div_f32, div_f64, NULL});
}
cot_status coti_eval_MAX(const coti_eval *eval) {
    return binary(eval, (binary_rule){max_f32, max_f64, max_int});
}
cot_status coti_eval_MIN(const coti_eval *eval) {
    return binary(eval, (binary_rule){min_f32, min_f64, min_int});
}
cot_status coti_eval_POW(const coti_eval *eval) {
    return binary(eval, (binary_rule){powf, pow, NULL});
}
cot_status coti_eval_AND(const coti_eval *eval) {
    return binary(eval, (binary_rule){NULL, NULL, and_int});
}
cot_status coti_eval_OR(const coti_eval *eval) {
    return binary(eval, (binary_rule){NULL, NULL, or_int});
}
