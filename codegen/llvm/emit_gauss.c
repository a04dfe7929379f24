/*
 * erfc and gelu of f32, by way of f64: both are the tail of the bell curve, e^(-a^2) erfcx(a) for
 * a >= 0, where erfcx is smooth and positive. In f32 the square in the exponent would cost what is
 * asked for, a tail that is right to its last digits down to the smallest subnormal.
 *
 * erfcx as a polynomial in s = 1 / (a + 3), after Shepherd and Laframboise (Mathematics of
 * Computation 36, 1981). Polynomials: our own minimax fits (Remez in 40 digits), coefficients
 * rounded to f64 in turn; errors as stated. The errors in ulp are those of scripts/sweep, with fma
 * and without.
 */
#include "emit.h"

static LLVMValueRef number(LLVMValueRef v_like, double c) {
    return coti_l_number_like(v_like, c);
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

/* 2^z for z in [-1000, 0] or NaN, with a relative error of 2^-34. */
static LLVMValueRef exp2_double(coti_emit *e, LLVMValueRef v_z) {
    /* (2^f - 1) / f for |f| <= 1/2; 2^-34.3 of 2^f. */
    static const double c[] = {0x1.62e42ff0e6943p-1, 0x1.ebfbe0790f559p-3,  0x1.c6b08ab8461a7p-5,
                               0x1.3b29f20cdea27p-7, 0x1.5d8a8b1282882p-10, 0x1.445ddf80cf93fp-13,
                               0x1.fde42a1520c17p-17};
    LLVMTypeRef type = LLVMTypeOf(v_z);
    LLVMTypeRef t_bits = coti_l_vector_type(e->t_i64, coti_l_lanes(v_z));
    LLVMValueRef v_rounder = number(v_z, ROUNDER);
    LLVMValueRef v_t = LLVMBuildFAdd(e->builder, v_z, v_rounder, "");
    LLVMValueRef v_f =
        LLVMBuildFSub(e->builder, v_z, LLVMBuildFSub(e->builder, v_t, v_rounder, ""), "");
    LLVMValueRef v_p = coti_l_fma(e, POLYNOMIAL(e, v_f, c), v_f, number(v_f, 1), "");
    /* The low bits of t are n; added to the exponent of p they are its product with 2^n. */
    LLVMValueRef v_n = LLVMBuildBitCast(e->builder, v_t, t_bits, "");
    v_n = LLVMBuildShl(e->builder, v_n, coti_l_integer_like(v_n, 52), "");
    LLVMValueRef v_bits = LLVMBuildBitCast(e->builder, v_p, t_bits, "");
    v_bits = LLVMBuildAdd(e->builder, v_bits, v_n, "");
    return LLVMBuildBitCast(e->builder, v_bits, type, "");
}

/* erfc(a) for a in [0, 10.61], f64; a NaN gives NaN. A relative error of 2^-28.4. */
static LLVMValueRef tail(coti_emit *e, LLVMValueRef v_a) {
    /* erfcx(a) / s for s = 1 / (a + 3), a in [0, 10.61]; 2^-28.5. */
    static const double c[] = {0x1.20d3a1c6364ecp-1,  0x1.b2a009f9d8abbp+0,  0x1.28e17f59cfe92p+2,
                               0x1.ed83de48043e0p+3,  0x1.79da862f7949cp-1,  0x1.1f8707a9927efp+8,
                               -0x1.d69d79de38173p+9, 0x1.b0c93e446b167p+11, -0x1.633bcac37176dp+12,
                               0x1.96af08c30660cp+11};
    LLVMValueRef v_minus_log2_e = number(v_a, -0x1.71547652b82fep+0);
    LLVMValueRef v_z = LLVMBuildFMul(e->builder, v_a, v_a, "");
    v_z = LLVMBuildFMul(e->builder, v_z, v_minus_log2_e, "");
    LLVMValueRef v_bell = exp2_double(e, v_z);
    LLVMValueRef v_under = LLVMBuildFAdd(e->builder, v_a, number(v_a, 3), "");
    LLVMValueRef v_s = LLVMBuildFDiv(e->builder, number(v_a, 1), v_under, "");
    LLVMValueRef v_scaled = LLVMBuildFMul(e->builder, POLYNOMIAL(e, v_s, c), v_s, "");
    return LLVMBuildFMul(e->builder, v_bell, v_scaled, "");
}

/* |x|, at most `most`, as f64; a NaN stays one. */
static LLVMValueRef bounded(coti_emit *e, LLVMValueRef v_x, double most) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    LLVMTypeRef t_wide = coti_l_vector_type(e->t_f64, coti_l_lanes(v_x));
    LLVMValueRef v_abs = coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_x, 1, "");
    LLVMValueRef v_far = LLVMBuildFCmp(e->builder, LLVMRealOGT, v_abs, number(v_abs, most), "");
    v_abs = coti_l_select(e, v_far, number(v_abs, most), v_abs, "");
    return LLVMBuildFPExt(e->builder, v_abs, t_wide, "");
}

static LLVMValueRef is_negative(coti_emit *e, LLVMValueRef v_x) {
    return LLVMBuildFCmp(e->builder, LLVMRealOLT, v_x, number(v_x, 0), "");
}

/* Errors below 0.55 ulp. erfc(-|x|) = 2 - erfc(|x|); 0 from 10.06 on. */
LLVMValueRef coti_emit_erfc(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_right = tail(e, bounded(e, v_x, 10.5));
    LLVMValueRef v_left = LLVMBuildFSub(e->builder, number(v_right, 2), v_right, "");
    LLVMValueRef v_erfc = coti_l_select(e, is_negative(e, v_x), v_left, v_right, "");
    return LLVMBuildFPTrunc(e->builder, v_erfc, LLVMTypeOf(v_x), "");
}

/*
 * Errors below 0.55 ulp. With t = |x| Phi(-|x|), Phi(-a) = erfc(a / sqrt(2)) / 2, it is -t
 * left of 0 and x - t right of it. -0 at -inf, the limit, and from -14.2 on.
 */
LLVMValueRef coti_emit_gelu(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_abs = bounded(e, v_x, 15);
    LLVMValueRef v_a = LLVMBuildFMul(e->builder, v_abs, number(v_abs, 0x1.6a09e667f3bcdp-1), "");
    LLVMValueRef v_half = LLVMBuildFMul(e->builder, v_abs, number(v_abs, -0.5), "");
    LLVMValueRef v_minus_t = LLVMBuildFMul(e->builder, v_half, tail(e, v_a), "");
    LLVMValueRef v_wide = LLVMBuildFPExt(e->builder, v_x, LLVMTypeOf(v_abs), "");
    LLVMValueRef v_right = LLVMBuildFAdd(e->builder, v_wide, v_minus_t, "");
    LLVMValueRef v_positive = LLVMBuildFCmp(e->builder, LLVMRealOGT, v_x, number(v_x, 0), "");
    LLVMValueRef v_gelu = coti_l_select(e, v_positive, v_right, v_minus_t, "");
    LLVMValueRef v_narrow = LLVMBuildFPTrunc(e->builder, v_gelu, LLVMTypeOf(v_x), "");
    LLVMTypeRef type = LLVMTypeOf(v_x);
    return coti_l_intrinsic(e, "llvm.copysign", &type, 1, (LLVMValueRef[]){v_narrow, v_x}, 2, "");
}
