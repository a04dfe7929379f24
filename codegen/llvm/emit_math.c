/*
 * exp, log, tanh, sigmoid, erf, and sin and cos of 2*pi*u, as polynomials on vectors of f32.
 *
 * The polynomials are our own minimax fits (weighted Remez and Lawson iteration in 40 digits, each
 * coefficient rounded to f32 in turn and the rest fitted again); next to each stands its largest
 * error relative to the function before rounding of the evaluation. Range reduction after Cody and
 * Waite (Muller, Handbook of Floating-Point Arithmetic, 2nd ed., section 10.3); the forms of log
 * and of erf's tail as in Moshier's Cephes and in Juffa's erff. The errors stated in ulp are the
 * largest over all 2^32 inputs, found by running the emitted code against the C library's functions
 * of double: with fma, and without.
 *
 * Special values are C's. NaN passes by way of ordered comparisons, which it fails. Nothing here
 * may carry fast-math flags: the reductions depend on the exact order of operations.
 */
#include "emit.h"

/* ---- small parts ---- */

static LLVMValueRef add(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFAdd(e->builder, v_a, v_b, "");
}

static LLVMValueRef sub(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFSub(e->builder, v_a, v_b, "");
}

static LLVMValueRef mul(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFMul(e->builder, v_a, v_b, "");
}

/* x compared with a number. */
static LLVMValueRef test(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double c) {
    return LLVMBuildFCmp(e->builder, predicate, v_x, coti_l_number_like(v_x, c), "");
}

/* test(x) ? c : v_else. */
static LLVMValueRef where(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double limit,
                          double c, LLVMValueRef v_else) {
    return coti_l_select(e, test(e, predicate, v_x, limit), coti_l_number_like(v_x, c), v_else, "");
}

static LLVMValueRef one_argument(coti_emit *e, const char *intrinsic, LLVMValueRef v_x) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    return coti_l_intrinsic(e, intrinsic, &type, 1, &v_x, 1, "");
}

/* |x| with the sign of y. */
static LLVMValueRef copy_sign(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_y) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    return coti_l_intrinsic(e, "llvm.copysign", &type, 1, (LLVMValueRef[]){v_x, v_y}, 2, "");
}

/* c[0] + c[1] x + ... by Horner's rule. */
static LLVMValueRef polynomial(coti_emit *e, LLVMValueRef v_x, const double *c, int32_t n) {
    LLVMValueRef v_sum = coti_l_number_like(v_x, c[n - 1]);
    for (int32_t k = n - 2; k >= 0; k--) {
        v_sum = coti_l_fma(e, v_sum, v_x, coti_l_number_like(v_x, c[k]), "");
    }
    return v_sum;
}
#define POLYNOMIAL(e, v_x, c) polynomial((e), (v_x), (c), (int32_t)(sizeof(c) / sizeof *(c)))

/* ---- floor ---- */

/*
 * f32 and f64. Without an instruction for it: adding and subtracting 2^23 (2^52) rounds |x| below
 * it to an integer, from which 1 is taken where that is above x.
 */
LLVMValueRef coti_emit_floor(coti_emit *e, LLVMValueRef v_x) {
    if (e->target->isa != COT_ISA_BASELINE) {
        return one_argument(e, "llvm.floor", v_x);
    }
    double whole = coti_l_element_bytes(LLVMTypeOf(v_x)) == 4 ? 0x1p23 : 0x1p52;
    LLVMValueRef v_whole = coti_l_number_like(v_x, whole);
    LLVMValueRef v_abs = one_argument(e, "llvm.fabs", v_x);
    LLVMValueRef v_near = copy_sign(e, sub(e, add(e, v_abs, v_whole), v_whole), v_x);
    LLVMValueRef v_above = LLVMBuildFCmp(e->builder, LLVMRealOGT, v_near, v_x, "");
    LLVMValueRef v_below = sub(e, v_near, coti_l_number_like(v_x, 1));
    LLVMValueRef v_floor = coti_l_select(e, v_above, v_below, v_near, "");
    return coti_l_select(e, test(e, LLVMRealOLT, v_abs, whole), v_floor, v_x, "");
}

/* ---- exp ---- */

/* Adding and subtracting it rounds |x| < 2^22 to an integer, to nearest even. */
#define ROUNDER 0x1.8p23

/* ln 2 in two parts: the first has 10 bits, so that its product with n is exact. */
#define LN2_HIGH 0.693359375
#define LN2_LOW -0x1.bd0106p-13

/* x rounded to an integer: as a float, and (t - ROUNDER in units of its last place) as i32. */
static LLVMValueRef round_to_int(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_factor,
                                 LLVMValueRef *v_int_out) {
    LLVMValueRef v_rounder = coti_l_number_like(v_x, ROUNDER);
    LLVMValueRef v_t = coti_l_fma(e, v_x, v_factor, v_rounder, "");
    LLVMTypeRef type = coti_l_vector_type(e->t_i32, coti_l_lanes(v_x));
    LLVMValueRef v_bits = LLVMBuildBitCast(e->builder, v_t, type, "");
    *v_int_out = LLVMBuildSub(e->builder, v_bits, LLVMConstBitCast(v_rounder, type), "");
    return sub(e, v_t, v_rounder);
}

/* 2^n for n in [-126, 127], as i32 -> f32. */
static LLVMValueRef power_of_two(coti_emit *e, LLVMValueRef v_n, LLVMTypeRef type) {
    LLVMValueRef v_biased = LLVMBuildAdd(e->builder, v_n, coti_l_integer_like(v_n, 127), "");
    LLVMValueRef v_bits = LLVMBuildShl(e->builder, v_biased, coti_l_integer_like(v_n, 23), "");
    return LLVMBuildBitCast(e->builder, v_bits, type, "");
}

/* p * 2^n, rounded once, for |n| <= 252 and p near 1: the first of two scalings is exact. */
static LLVMValueRef scale(coti_emit *e, LLVMValueRef v_p, LLVMValueRef v_n, LLVMValueRef v_n_real) {
    LLVMTypeRef type = LLVMTypeOf(v_p);
    if (e->target->isa == COT_ISA_AVX512 && coti_l_lanes(v_p) == 16) {
        /* One instruction; the result is the same. */
        LLVMValueRef v_all = LLVMConstAllOnes(LLVMInt16TypeInContext(e->llvm));
        LLVMValueRef v_arg[] = {v_p, v_n_real, v_p, v_all, coti_l_i32(e, 4)};
        return coti_l_intrinsic(e, "llvm.x86.avx512.mask.scalef.ps.512", NULL, 0, v_arg, 5, "");
    }
    LLVMValueRef v_half = LLVMBuildAShr(e->builder, v_n, coti_l_integer_like(v_n, 1), "");
    LLVMValueRef v_rest = LLVMBuildSub(e->builder, v_n, v_half, "");
    LLVMValueRef v_scaled = mul(e, v_p, power_of_two(e, v_half, type));
    return mul(e, v_scaled, power_of_two(e, v_rest, type));
}

/* exp(x) taken apart: 2^n * (1 + t). */
typedef struct exp_parts {
    LLVMValueRef v_n;      /* i32 */
    LLVMValueRef v_n_real; /* the same as f32 */
    LLVMValueRef v_t;      /* in [-0.293, 0.415] */
} exp_parts;

/* n = round(x / ln 2), r = x - n ln 2, |r| <= 0.34662, t = exp(r) - 1. |x| <= 104, or NaN. */
static exp_parts exp_split(coti_emit *e, LLVMValueRef v_x) {
    /* (exp(r) - 1 - r) / r^2; 2^-28.2 of exp(r). */
    static const double c[] = {0x1.fffffcp-2, 0x1.555492p-3, 0x1.5558aep-5, 0x1.12398p-7,
                               0x1.6a4f1ep-10};
    exp_parts parts = {NULL, NULL, NULL};
    LLVMValueRef v_log2_e = coti_l_number_like(v_x, 0x1.715476p0);
    parts.v_n_real = round_to_int(e, v_x, v_log2_e, &parts.v_n);
    LLVMValueRef v_r = coti_l_fma(e, parts.v_n_real, coti_l_number_like(v_x, -LN2_HIGH), v_x, "");
    v_r = coti_l_fma(e, parts.v_n_real, coti_l_number_like(v_x, -LN2_LOW), v_r, "");
    parts.v_t = coti_l_fma(e, POLYNOMIAL(e, v_r, c), mul(e, v_r, v_r), v_r, "");
    return parts;
}

/* 2^n for n in [-64, 127]; 2^-64 below: for sums in which that is nothing. */
static LLVMValueRef power_or_trifle(coti_emit *e, LLVMValueRef v_n, LLVMTypeRef type) {
    LLVMValueRef v_least = coti_l_integer_like(v_n, -64);
    LLVMValueRef v_enough = LLVMBuildICmp(e->builder, LLVMIntSGT, v_n, v_least, "");
    return power_of_two(e, coti_l_select(e, v_enough, v_n, v_least, ""), type);
}

/* Largest error 1.012 ulp, without fma 0.991. Beyond the clamps the result is 0 or inf by rounding.
 */
LLVMValueRef coti_emit_exp(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_in = where(e, LLVMRealOGT, v_x, 89, 89, v_x);
    v_in = where(e, LLVMRealOLT, v_in, -104, -104, v_in);
    exp_parts parts = exp_split(e, v_in);
    LLVMValueRef v_p = add(e, parts.v_t, coti_l_number_like(v_x, 1));
    return scale(e, v_p, parts.v_n, parts.v_n_real);
}

/*
 * Errors below 1.55 ulp, without fma 1.6. Odd to the sign of zero. 2^n (1 + t) - 1 = 2^n (t +
 * (1 - 2^-n)), whose sum is rounded once; for n = 0 it is t, which is as exact as exp's. Below -18
 * the result is -1.
 */
LLVMValueRef coti_emit_expm1(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_in = where(e, LLVMRealOGT, v_x, 89, 89, v_x);
    v_in = where(e, LLVMRealOLT, v_in, -18, -18, v_in);
    exp_parts parts = exp_split(e, v_in);
    LLVMValueRef v_minus_n = LLVMBuildNeg(e->builder, parts.v_n, "");
    LLVMValueRef v_power = power_or_trifle(e, v_minus_n, LLVMTypeOf(v_x));
    LLVMValueRef v_rest = sub(e, coti_l_number_like(v_x, 1), v_power);
    LLVMValueRef v_scaled = scale(e, add(e, parts.v_t, v_rest), parts.v_n, parts.v_n_real);
    return copy_sign(e, v_scaled, v_x);
}

/* ---- log ---- */

/* The bits of sqrt(1/2). */
#define ROOT_BITS 0x3f3504f3

/*
 * x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); x normal, positive and finite. k as i32;
 * NaN gives any k and f.
 */
static LLVMValueRef log_split(coti_emit *e, LLVMValueRef v_x, LLVMValueRef *v_k_out) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    LLVMTypeRef t_bits = coti_l_vector_type(e->t_i32, coti_l_lanes(v_x));
    LLVMValueRef v_bits = LLVMBuildBitCast(e->builder, v_x, t_bits, "");
    LLVMValueRef v_root = coti_l_integer_like(v_bits, ROOT_BITS);
    v_bits = LLVMBuildSub(e->builder, v_bits, v_root, "");
    *v_k_out = LLVMBuildAShr(e->builder, v_bits, coti_l_integer_like(v_bits, 23), "");
    v_bits = LLVMBuildAnd(e->builder, v_bits, coti_l_integer_like(v_bits, 0x7fffff), "");
    v_bits = LLVMBuildAdd(e->builder, v_bits, v_root, "");
    return sub(e, LLVMBuildBitCast(e->builder, v_bits, type, ""), coti_l_number_like(v_x, 1));
}

/* k ln 2 + log(1 + f) + tail, for a tail that is small beside an ulp of the sum, or NULL for 0. */
static LLVMValueRef log_join(coti_emit *e, LLVMValueRef v_k, LLVMValueRef v_f,
                             LLVMValueRef v_tail) {
    /* (log(1 + f) - f + f^2 / 2) / f^3; 2^-30.3 of log(1 + f). */
    static const double c[] = {0x1.555548p-2,  -0x1.000006p-2, 0x1.99a478p-3,
                               -0x1.555c4ep-3, 0x1.233b78p-3,  -0x1.fc26acp-4,
                               0x1.e6c04p-4,   -0x1.de1008p-4, 0x1.1484e6p-4};
    LLVMValueRef v_cube = mul(e, mul(e, v_f, v_f), v_f);
    LLVMValueRef v_series = POLYNOMIAL(e, v_f, c);
    LLVMValueRef v_rest =
        v_tail == NULL ? mul(e, v_cube, v_series) : coti_l_fma(e, v_cube, v_series, v_tail, "");
    v_rest = coti_l_fma(e, v_k, coti_l_number_like(v_f, LN2_LOW), v_rest, "");
    LLVMValueRef v_half = mul(e, v_f, coti_l_number_like(v_f, -0.5));
    v_rest = coti_l_fma(e, v_half, v_f, v_rest, "");
    LLVMValueRef v_log = add(e, v_f, v_rest);
    return coti_l_fma(e, v_k, coti_l_number_like(v_f, LN2_HIGH), v_log, "");
}

/* Largest error 0.751 ulp, without fma 0.822. log(+-0) = -inf, log(negative) = NaN. */
LLVMValueRef coti_emit_log(coti_emit *e, LLVMValueRef v_x) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    LLVMValueRef v_small = test(e, LLVMRealOLT, v_x, 0x1p-126); /* subnormal */
    LLVMValueRef v_normal = mul(e, v_x, coti_l_number_like(v_x, 0x1p23));
    v_normal = coti_l_select(e, v_small, v_normal, v_x, "");
    LLVMValueRef v_k = NULL;
    LLVMValueRef v_f = log_split(e, v_normal, &v_k);
    LLVMValueRef v_shift =
        coti_l_select(e, v_small, coti_l_integer_like(v_k, 23), LLVMConstNull(LLVMTypeOf(v_k)), "");
    v_k = LLVMBuildSIToFP(e->builder, LLVMBuildSub(e->builder, v_k, v_shift, ""), type, "");
    LLVMValueRef v_log = log_join(e, v_k, v_f, NULL);
    v_log = where(e, LLVMRealOEQ, v_x, __builtin_inf(), __builtin_inf(), v_log);
    v_log = where(e, LLVMRealULT, v_x, 0, __builtin_nan(""), v_log);
    return where(e, LLVMRealOEQ, v_x, 0, -__builtin_inf(), v_log);
}

/*
 * log1p of a finite x > -1. u = 1 + x rounded, and c what the rounding lost: log(u + c) = log(u) +
 * c / u, up to (c / u)^2. Where u is in [sqrt(1/2), sqrt(2)) it is x that takes the part of f, and
 * nothing is lost.
 */
static LLVMValueRef log1p_finite(coti_emit *e, LLVMValueRef v_x) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    LLVMValueRef v_one = coti_l_number_like(v_x, 1), v_zero = coti_l_number_like(v_x, 0);
    LLVMValueRef v_u = add(e, v_x, v_one);
    LLVMValueRef v_large = test(e, LLVMRealOGT, v_x, 1);
    LLVMValueRef v_more = coti_l_select(e, v_large, v_x, v_one, "");
    LLVMValueRef v_less = coti_l_select(e, v_large, v_one, v_x, "");
    LLVMValueRef v_lost = sub(e, v_less, sub(e, v_u, v_more));
    LLVMValueRef v_k = NULL;
    LLVMValueRef v_f = log_split(e, v_u, &v_k);
    LLVMValueRef v_near =
        LLVMBuildICmp(e->builder, LLVMIntEQ, v_k, LLVMConstNull(LLVMTypeOf(v_k)), "");
    v_f = coti_l_select(e, v_near, v_x, v_f, "");
    LLVMValueRef v_tail = LLVMBuildFDiv(e->builder, v_lost, v_u, "");
    v_tail = coti_l_select(e, v_near, v_zero, v_tail, "");
    return log_join(e, LLVMBuildSIToFP(e->builder, v_k, type, ""), v_f, v_tail);
}

/* Errors below 0.76 ulp, without fma 0.83. log1p(+-0) = +-0, log1p(-1) = -inf, log1p(below) =
 * NaN. */
LLVMValueRef coti_emit_log1p(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_log = copy_sign(e, log1p_finite(e, v_x), v_x);
    v_log = where(e, LLVMRealOEQ, v_x, __builtin_inf(), __builtin_inf(), v_log);
    v_log = where(e, LLVMRealULT, v_x, -1, __builtin_nan(""), v_log);
    return where(e, LLVMRealOEQ, v_x, -1, -__builtin_inf(), v_log);
}

/* ---- tanh, sigmoid, erf ---- */

/* Largest error 1.198 ulp, with fma and without. Odd, to the sign of zero. */
LLVMValueRef coti_emit_tanh(coti_emit *e, LLVMValueRef v_x) {
    /* (tanh(x) / x - 1) / x^2 in x^2, for |x| <= 0.625; 2^-27.7 of tanh(x). */
    static const double c[] = {-0x1.555532p-2, 0x1.1106f6p-3, -0x1.b835a4p-5, 0x1.51f8cep-6,
                               -0x1.750ce2p-8};
    LLVMValueRef v_abs = one_argument(e, "llvm.fabs", v_x);
    LLVMValueRef v_square = mul(e, v_abs, v_abs);
    LLVMValueRef v_small =
        coti_l_fma(e, mul(e, v_square, v_abs), POLYNOMIAL(e, v_square, c), v_abs, "");
    /*
     * 1 - 2 / (exp(2x) + 1), which is 1 from 9.02 on. With exp = 2^n (1 + t) the divisor is
     * (2^n + 1) + 2^n t, rounded once.
     */
    LLVMValueRef v_one = coti_l_number_like(v_x, 1), v_two = coti_l_number_like(v_x, 2);
    LLVMValueRef v_in = where(e, LLVMRealOGT, v_abs, 10, 10, v_abs);
    exp_parts parts = exp_split(e, mul(e, v_in, v_two));
    LLVMValueRef v_power = power_of_two(e, parts.v_n, LLVMTypeOf(v_x));
    LLVMValueRef v_under = coti_l_fma(e, v_power, parts.v_t, add(e, v_power, v_one), "");
    LLVMValueRef v_large = sub(e, v_one, LLVMBuildFDiv(e->builder, v_two, v_under, ""));
    LLVMValueRef v_tanh =
        coti_l_select(e, test(e, LLVMRealOLT, v_abs, 0.625), v_small, v_large, "");
    return copy_sign(e, v_tanh, v_x);
}

/*
 * Largest error 1.695 ulp, without fma 1.749, also where the result is tiny. With exp(|x|) = 2^n (1
 * + t), sigmoid(-|x|) = 2^-n / ((1 + 2^-n) + t), whose divisor is rounded once; sigmoid(|x|) is 1
 * less that.
 */
LLVMValueRef coti_emit_sigmoid(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_one = coti_l_number_like(v_x, 1);
    LLVMValueRef v_in = one_argument(e, "llvm.fabs", v_x);
    v_in = where(e, LLVMRealOGT, v_in, 104, 104, v_in);
    exp_parts parts = exp_split(e, v_in);
    LLVMValueRef v_minus_n = LLVMBuildNeg(e->builder, parts.v_n, "");
    /* 2^-n matters up to n = 25 only. */
    LLVMValueRef v_power = power_or_trifle(e, v_minus_n, LLVMTypeOf(v_x));
    LLVMValueRef v_under = add(e, v_power, v_one);
    LLVMValueRef v_lost = sub(e, v_power, sub(e, v_under, v_one)); /* 0 up to n = 23 */
    v_under = add(e, v_under, add(e, parts.v_t, v_lost));
    LLVMValueRef v_low = LLVMBuildFDiv(e->builder, v_one, v_under, "");
    v_low = scale(e, v_low, v_minus_n, LLVMBuildFNeg(e->builder, parts.v_n_real, ""));
    return coti_l_select(e, test(e, LLVMRealOLT, v_x, 0), v_low, sub(e, v_one, v_low), "");
}

/* Largest error 0.928 ulp, without fma 1.106. Odd, to the sign of zero; +-1 from 3.92 on. */
LLVMValueRef coti_emit_erf(coti_emit *e, LLVMValueRef v_x) {
    /* erf(x) / x - 1 in x^2, for |x| <= 0.92773; 2^-29.9 of erf(x). */
    static const double c[] = {0x1.06eba8p-3, -0x1.812740p-2,  0x1.ce2d76p-4, -0x1.b8043ap-6,
                               0x1.547654p-8, -0x1.a7f84cp-11, 0x1.56d272p-14};
    /* log(1 - erf(x)) / x + 1, for x in [0.92773, 4]; 2^-30.4 of erf(x). */
    static const double d[] = {-0x1.077b30p-3, -0x1.453032p-1, -0x1.b34490p-4, 0x1.85bc44p-6,
                               -0x1.df0012p-9, 0x1.55937ep-12, -0x1.82b746p-17};
    LLVMValueRef v_abs = one_argument(e, "llvm.fabs", v_x);
    LLVMValueRef v_small = coti_l_fma(e, POLYNOMIAL(e, mul(e, v_abs, v_abs), c), v_abs, v_abs, "");
    LLVMValueRef v_in = where(e, LLVMRealOGT, v_abs, 4, 4, v_abs);
    LLVMValueRef v_log =
        coti_l_fma(e, POLYNOMIAL(e, v_in, d), v_in, LLVMBuildFNeg(e->builder, v_in, ""), "");
    /* 1 - 2^n (1 + t) as (1 - 2^n) - 2^n t. */
    exp_parts parts = exp_split(e, v_log);
    LLVMValueRef v_power = power_of_two(e, parts.v_n, LLVMTypeOf(v_x));
    LLVMValueRef v_rest = sub(e, coti_l_number_like(v_x, 1), v_power);
    LLVMValueRef v_large =
        coti_l_fma(e, LLVMBuildFNeg(e->builder, v_power, ""), parts.v_t, v_rest, "");
    LLVMValueRef v_erf =
        coti_l_select(e, test(e, LLVMRealOLT, v_abs, 0.927734375), v_small, v_large, "");
    return copy_sign(e, v_erf, v_x);
}

/* ---- softplus ---- */

/*
 * Errors below 1.6 ulp, without fma 1.7. max(x, 0) + log1p(exp(-|x|)): nothing overflows,
 * and left of 0 it is the small term alone.
 */
LLVMValueRef coti_emit_softplus(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_minus = LLVMBuildFNeg(e->builder, one_argument(e, "llvm.fabs", v_x), "");
    LLVMValueRef v_log = log1p_finite(e, coti_emit_exp(e, v_minus));
    return add(e, where(e, LLVMRealOLT, v_x, 0, 0, v_x), v_log);
}

/* ---- sin and cos of 2 pi u ---- */

/*
 * Largest error over the multiples of 2^-24 in [0, 1]: sin 0.72 ulp, cos 0.89; without fma 1.63
 * and 1.14. 4u = n + r with an integer n and |r| <= 1/2, both exact; the quarter n says which of
 * sin and cos of r * pi / 2 is which, and their signs.
 */
void coti_emit_sincos_2pi(coti_emit *e, LLVMValueRef v_u, LLVMValueRef *v_sin_out,
                          LLVMValueRef *v_cos_out) {
    /* (sin(pi/2 r) / r - pi/2) / r^2 in r^2; 2^-27.9. (cos(pi/2 r) - 1) / r^2; 2^-31.1. */
    static const double s[] = {-0x1.4abbbep-1, 0x1.465fb8p-4, -0x1.2dba4ep-8};
    static const double c[] = {-0x1.3bd3ccp0, 0x1.03c1b0p-2, -0x1.55b29ap-6, 0x1.d4e420p-11};
    LLVMValueRef v_n_int = NULL;
    LLVMValueRef v_four = coti_l_number_like(v_u, 4);
    LLVMValueRef v_n = round_to_int(e, v_u, v_four, &v_n_int);
    LLVMValueRef v_r = sub(e, mul(e, v_u, v_four), v_n);
    LLVMValueRef v_square = mul(e, v_r, v_r);
    /* pi/2 in two parts. */
    LLVMValueRef v_sin = coti_l_fma(e, POLYNOMIAL(e, v_square, s), v_square,
                                    coti_l_number_like(v_u, -0x1.777a5cp-25), "");
    v_sin = coti_l_fma(e, v_r, coti_l_number_like(v_u, 0x1.921fb6p0), mul(e, v_r, v_sin), "");
    LLVMValueRef v_cos =
        coti_l_fma(e, v_square, POLYNOMIAL(e, v_square, c), coti_l_number_like(v_u, 1), "");
    LLVMValueRef v_zero = coti_l_integer_like(v_n_int, 0);
    LLVMValueRef v_one = coti_l_integer_like(v_n_int, 1), v_two = coti_l_integer_like(v_n_int, 2);
    LLVMValueRef v_odd = LLVMBuildICmp(e->builder, LLVMIntNE,
                                       LLVMBuildAnd(e->builder, v_n_int, v_one, ""), v_zero, "");
    /* sin is negative in quarters 2 and 3, cos in 1 and 2. */
    LLVMValueRef v_sin_low = LLVMBuildICmp(
        e->builder, LLVMIntNE, LLVMBuildAnd(e->builder, v_n_int, v_two, ""), v_zero, "");
    LLVMValueRef v_cos_low = LLVMBuildXor(e->builder, v_sin_low, v_odd, "");
    LLVMValueRef v_s = coti_l_select(e, v_odd, v_cos, v_sin, "");
    LLVMValueRef v_c = coti_l_select(e, v_odd, v_sin, v_cos, "");
    *v_sin_out = coti_l_select(e, v_sin_low, LLVMBuildFNeg(e->builder, v_s, ""), v_s, "v_sin");
    *v_cos_out = coti_l_select(e, v_cos_low, LLVMBuildFNeg(e->builder, v_c, ""), v_c, "v_cos");
}
