/*
 * x^y of f32 by way of f64: 2^(y log2 |x|) with a relative error of about 2^-43 before the one
 * rounding to f32, so that the result is the correctly rounded one but for a case in a million.
 * (1 - powf(0.999f, t) of an optimizer's bias correction is then the C library's to the last bit,
 * nearly always.) Signs and special values are those of C's pow (C17, F.10.4.4).
 *
 * Polynomials: our own minimax fits, coefficients rounded to f64; errors as stated.
 */
#include "emit.h"

static LLVMValueRef number(LLVMValueRef v_like, double c) {
    return coti_l_number_like(v_like, c);
}

/* x compared with a number. */
static LLVMValueRef test(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double c) {
    return LLVMBuildFCmp(e->builder, predicate, v_x, number(v_x, c), "");
}

static LLVMValueRef polynomial(coti_emit *e, LLVMValueRef v_x, const double *c, int32_t n) {
    LLVMValueRef v_sum = number(v_x, c[n - 1]);
    for (int32_t k = n - 2; k >= 0; k--) {
        v_sum = coti_l_fma(e, v_sum, v_x, number(v_x, c[k]), "");
    }
    return v_sum;
}
#define POLYNOMIAL(e, v_x, c) polynomial((e), (v_x), (c), (int32_t)(sizeof(c) / sizeof *(c)))

/* Adding and subtracting it rounds a small double to an integer, to nearest even. */
#define ROUNDER 0x1.8p52

/* A small i64 as a double, without a conversion: AVX2 has none. */
static LLVMValueRef small_int_to_double(coti_emit *e, LLVMValueRef v_int, LLVMTypeRef type) {
    LLVMValueRef v_bits = LLVMBuildAdd(e->builder, v_int,
                                       coti_l_integer_like(v_int, INT64_C(0x4338000000000000)), "");
    LLVMValueRef v_real = LLVMBuildBitCast(e->builder, v_bits, type, "");
    return LLVMBuildFSub(e->builder, v_real, number(v_real, ROUNDER), "");
}

/*
 * log2(a) of a >= 0, a an f32 as f64 (never subnormal but 0): 0 exactly for 1, -inf for 0, inf for
 * inf, NaN for NaN. a = 2^k m, m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1),
 * log2(m) = 2 atanh(s) / ln 2.
 */
static LLVMValueRef log2_double(coti_emit *e, LLVMValueRef v_a) {
    /* log2(m) / s in s^2; 2^-59.6 of it, the first coefficient's rounding 2^-56. */
    static const double c[] = {0x1.71547652b82fep+1, 0x1.ec709dc3a047dp-1, 0x1.2776c50ee381bp-1,
                               0x1.a61762d6c0472p-2, 0x1.484afb6970423p-2, 0x1.0ca163b075f78p-2,
                               0x1.c46d70dac0d9ap-3, 0x1.b599069851811p-3};
    LLVMTypeRef type = LLVMTypeOf(v_a);
    LLVMTypeRef t_bits = coti_l_vector_type(e->t_i64, coti_l_lanes(v_a));
    LLVMValueRef v_bits = LLVMBuildBitCast(e->builder, v_a, t_bits, "");
    LLVMValueRef v_root = coti_l_integer_like(v_bits, INT64_C(0x3fe6a09e667f3bcd));
    v_bits = LLVMBuildSub(e->builder, v_bits, v_root, "");
    LLVMValueRef v_k = LLVMBuildAShr(e->builder, v_bits, coti_l_integer_like(v_bits, 52), "");
    v_bits =
        LLVMBuildAnd(e->builder, v_bits, coti_l_integer_like(v_bits, (INT64_C(1) << 52) - 1), "");
    v_bits = LLVMBuildAdd(e->builder, v_bits, v_root, "");
    LLVMValueRef v_m = LLVMBuildBitCast(e->builder, v_bits, type, "");
    LLVMValueRef v_s = LLVMBuildFDiv(e->builder, LLVMBuildFSub(e->builder, v_m, number(v_m, 1), ""),
                                     LLVMBuildFAdd(e->builder, v_m, number(v_m, 1), ""), "");
    LLVMValueRef v_series = POLYNOMIAL(e, LLVMBuildFMul(e->builder, v_s, v_s, ""), c);
    LLVMValueRef v_log = coti_l_fma(e, v_s, v_series, small_int_to_double(e, v_k, type), "v_log2");
    v_log = coti_l_select(e, test(e, LLVMRealOLT, v_a, __builtin_inf()), v_log, v_a, "");
    return coti_l_select(e, test(e, LLVMRealOEQ, v_a, 0), number(v_a, -__builtin_inf()), v_log, "");
}

/* 2^z for z in [-160, 136] or NaN. */
static LLVMValueRef exp2_double(coti_emit *e, LLVMValueRef v_z) {
    /* (2^f - 1) / f for |f| <= 1/2; 2^-51 of 2^f. */
    static const double c[] = {0x1.62e42fefa3a3cp-1,  0x1.ebfbdff82c5a0p-3,  0x1.c6b08d7035b6cp-5,
                               0x1.3b2ab6fba0353p-7,  0x1.5d87feaa6671ap-10, 0x1.4309130f67f0cp-13,
                               0x1.ffcb319054d93p-17, 0x1.62bfc48c72253p-20, 0x1.b6945e74f9c99p-24,
                               0x1.e6228c07e9cdap-28};
    LLVMTypeRef t_bits = coti_l_vector_type(e->t_i64, coti_l_lanes(v_z));
    LLVMValueRef v_rounder = number(v_z, ROUNDER);
    LLVMValueRef v_t = LLVMBuildFAdd(e->builder, v_z, v_rounder, "");
    LLVMValueRef v_f =
        LLVMBuildFSub(e->builder, v_z, LLVMBuildFSub(e->builder, v_t, v_rounder, ""), "");
    LLVMValueRef v_p = coti_l_fma(e, POLYNOMIAL(e, v_f, c), v_f, number(v_f, 1), "");
    /* 2^n: the low bits of t are n; with the bias added they are the exponent. */
    LLVMValueRef v_n = LLVMBuildBitCast(e->builder, v_t, t_bits, "");
    v_n = LLVMBuildAdd(e->builder, v_n, coti_l_integer_like(v_n, 1023), "");
    v_n = LLVMBuildShl(e->builder, v_n, coti_l_integer_like(v_n, 52), "");
    return LLVMBuildFMul(e->builder, v_p, LLVMBuildBitCast(e->builder, v_n, LLVMTypeOf(v_z), ""),
                         "");
}

/* What y is: is it an integer (infinities count), is it an odd one? */
static void integer_test(coti_emit *e, LLVMValueRef v_y, LLVMValueRef *v_integer_out,
                         LLVMValueRef *v_odd_out) {
    LLVMTypeRef type = LLVMTypeOf(v_y);
    LLVMTypeRef t_int = coti_l_vector_type(e->t_i32, coti_l_lanes(v_y));
    LLVMValueRef v_abs = coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_y, 1, "");
    /* From 2^24 on every f32 is an even integer: as 0 is. */
    LLVMValueRef v_near =
        coti_l_select(e, test(e, LLVMRealOLT, v_abs, 0x1p24), v_y, LLVMConstNull(type), "");
    LLVMValueRef v_int = LLVMBuildFPToSI(e->builder, v_near, t_int, "");
    LLVMValueRef v_back = LLVMBuildSIToFP(e->builder, v_int, type, "");
    *v_integer_out = LLVMBuildFCmp(e->builder, LLVMRealOEQ, v_back, v_near, "");
    LLVMValueRef v_bit =
        LLVMBuildTrunc(e->builder, v_int, coti_l_vector_type(e->t_i1, coti_l_lanes(v_y)), "");
    *v_odd_out = LLVMBuildAnd(e->builder, *v_integer_out, v_bit, "");
}

/* |x|^y by way of f64, without the cases that do not follow from the formula. */
static LLVMValueRef magnitude(coti_emit *e, LLVMValueRef v_abs, LLVMValueRef v_y) {
    LLVMTypeRef t_wide = coti_l_vector_type(e->t_f64, coti_l_lanes(v_abs));
    LLVMValueRef v_log = log2_double(e, LLVMBuildFPExt(e->builder, v_abs, t_wide, ""));
    LLVMValueRef v_z =
        LLVMBuildFMul(e->builder, LLVMBuildFPExt(e->builder, v_y, t_wide, ""), v_log, "");
    v_z = coti_l_select(e, test(e, LLVMRealOGT, v_z, 136), number(v_z, 136), v_z, "");
    v_z = coti_l_select(e, test(e, LLVMRealOLT, v_z, -160), number(v_z, -160), v_z, "");
    return LLVMBuildFPTrunc(e->builder, exp2_double(e, v_z), LLVMTypeOf(v_abs), "");
}

/* Largest error seen in 10^7 random pairs 0.500001 ulp: one of them was not correctly rounded. */
LLVMValueRef coti_emit_pow(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_y) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    LLVMTypeRef t_bits = coti_l_vector_type(e->t_i32, coti_l_lanes(v_x));
    LLVMValueRef v_integer = NULL, v_odd = NULL;
    integer_test(e, v_y, &v_integer, &v_odd);
    LLVMValueRef v_abs = coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_x, 1, "");
    LLVMValueRef v_abs_y = coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_y, 1, "");
    LLVMValueRef v_pow = magnitude(e, v_abs, v_y);
    /* An odd power of a negative number, or of -0, is negative. */
    LLVMValueRef v_bits = LLVMBuildBitCast(e->builder, v_x, t_bits, "");
    LLVMValueRef v_negative =
        LLVMBuildICmp(e->builder, LLVMIntSLT, v_bits, LLVMConstNull(t_bits), "");
    LLVMValueRef v_flip = LLVMBuildAnd(e->builder, v_negative, v_odd, "");
    v_pow = coti_l_select(e, v_flip, LLVMBuildFNeg(e->builder, v_pow, ""), v_pow, "");
    /* A finite negative number to a power that is no integer. */
    LLVMValueRef v_bad = LLVMBuildAnd(e->builder, test(e, LLVMRealOLT, v_x, 0),
                                      test(e, LLVMRealOGT, v_x, -__builtin_inf()), "");
    v_bad = LLVMBuildAnd(e->builder, v_bad, LLVMBuildNot(e->builder, v_integer, ""), "");
    v_pow = coti_l_select(e, v_bad, number(v_x, __builtin_nan("")), v_pow, "");
    /* 1^y and x^0 are 1, whatever NaN the other is; (-1)^(+-inf) too. */
    LLVMValueRef v_unit = LLVMBuildAnd(e->builder, test(e, LLVMRealOEQ, v_x, -1),
                                       test(e, LLVMRealOEQ, v_abs_y, __builtin_inf()), "");
    v_unit = LLVMBuildOr(e->builder, v_unit, test(e, LLVMRealOEQ, v_x, 1), "");
    v_unit = LLVMBuildOr(e->builder, v_unit, test(e, LLVMRealOEQ, v_y, 0), "");
    return coti_l_select(e, v_unit, number(v_x, 1), v_pow, "v_pow");
}
