/*
 * log and log1p on vectors of f64, as FreeBSD's msun has it (e_log.c, Sun Microsystems 1993): log(1
 * + f) by way of s = f / (2 + f), log(1 + f) = 2 atanh(s). The polynomial's coefficients are
 * msun's; the sum at the end keeps what its first step loses.
 */
#include "emit_math64.h"

LLVMValueRef coti_m_log_split(coti_emit *e, LLVMValueRef v_x, LLVMValueRef *v_k_out) {
    LLVMValueRef v_small = coti_m_test(e, LLVMRealOLT, v_x, 0x1p-1022); /* subnormal */
    LLVMValueRef v_normal = coti_m_mul(e, v_x, coti_l_number_like(v_x, 0x1p54));
    v_normal = coti_l_select(e, v_small, v_normal, v_x, "");
    LLVMValueRef v_bits = coti_m_bits(e, v_normal);
    LLVMValueRef v_root = coti_l_integer_like(v_bits, INT64_C(0x3fe6a09e667f3bcd)); /* sqrt(1/2) */
    v_bits = LLVMBuildSub(e->builder, v_bits, v_root, "");
    LLVMValueRef v_k = LLVMBuildAShr(e->builder, v_bits, coti_l_integer_like(v_bits, 52), "");
    v_k = coti_m_from_int(e, v_k);
    LLVMValueRef v_shifted = coti_m_sub(e, v_k, coti_l_number_like(v_k, 54));
    *v_k_out = coti_l_select(e, v_small, v_shifted, v_k, "");
    LLVMValueRef v_mantissa = coti_l_integer_like(v_bits, (INT64_C(1) << 52) - 1);
    v_bits = LLVMBuildAnd(e->builder, v_bits, v_mantissa, "");
    return coti_m_real(e, LLVMBuildAdd(e->builder, v_bits, v_root, ""));
}

/* k ln 2 + log(1 + f) + small, for 1 + f in [sqrt(1/2), sqrt(2)). v_small may be NULL: 0. */
static LLVMValueRef log_sum(coti_emit *e, LLVMValueRef v_k, LLVMValueRef v_f,
                            LLVMValueRef v_small) {
    /* (log(1 + f) - 2 s) / s^3 in s^2, 2^-58.45 of log(1 + f): msun, e_log.c, Lg1 to Lg7. */
    static const double c[] = {6.666666666666735130e-01, 3.999999999940941908e-01,
                               2.857142874366239149e-01, 2.222219843214978396e-01,
                               1.818357216161805012e-01, 1.531383769920937332e-01,
                               1.479819860511658591e-01};
    LLVMValueRef v_s = coti_m_div(e, v_f, coti_m_add(e, v_f, coti_l_number_like(v_f, 2)));
    LLVMValueRef v_z = coti_m_mul(e, v_s, v_s);
    LLVMValueRef v_half = coti_m_mul(e, v_f, coti_l_number_like(v_f, 0.5));
    LLVMValueRef v_half_square = coti_m_mul(e, v_half, v_f);
    LLVMValueRef v_series = coti_l_fma(e, v_z, COTI_POLYNOMIAL(e, v_z, c), v_half_square, "");
    /* log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + series)) */
    LLVMValueRef v_rest = coti_m_mul(e, v_k, coti_l_number_like(v_k, COTI_LN2_LOW));
    if (v_small != NULL) {
        v_rest = coti_m_add(e, v_rest, v_small);
    }
    v_rest = coti_l_fma(e, v_s, v_series, v_rest, "");
    LLVMValueRef v_far = coti_m_mul(e, v_k, coti_l_number_like(v_k, COTI_LN2_HIGH));
    coti_pair sum = coti_m_two_sum(e, v_far, v_f);
    v_rest = coti_m_sub(e, v_rest, v_half_square);
    return coti_m_add(e, sum.v_hi, coti_m_add(e, sum.v_lo, v_rest));
}

/* Largest error 0.66 ulp, without fma 0.79. log(+-0) = -inf, log(negative) = NaN. */
LLVMValueRef coti_m_log(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_k = NULL;
    LLVMValueRef v_m = coti_m_log_split(e, v_x[0], &v_k);
    LLVMValueRef v_f = coti_m_sub(e, v_m, coti_l_number_like(v_m, 1));
    LLVMValueRef v_log = log_sum(e, v_k, v_f, NULL);
    v_log = coti_m_where(e, LLVMRealOEQ, v_x[0], __builtin_inf(), __builtin_inf(), v_log);
    v_log = coti_m_where(e, LLVMRealULT, v_x[0], 0, __builtin_nan(""), v_log);
    return coti_m_where(e, LLVMRealOEQ, v_x[0], 0, -__builtin_inf(), v_log);
}

/*
 * Largest error 0.71 ulp, without fma 0.79. A zero keeps its sign. Where 1 + x is in [sqrt(1/2),
 * sqrt(2)), f is x itself; elsewhere it is that of u = 1 + x rounded, and what the rounding lost
 * counts as lost / u.
 */
LLVMValueRef coti_m_log1p(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_one = coti_l_number_like(v_x[0], 1), v_k = NULL;
    LLVMValueRef v_zero = coti_l_number_like(v_x[0], 0);
    coti_pair u = coti_m_two_sum(e, v_one, v_x[0]);
    LLVMValueRef v_f = coti_m_sub(e, coti_m_log_split(e, u.v_hi, &v_k), v_one);
    LLVMValueRef v_near = LLVMBuildAnd(e->builder, coti_m_test(e, LLVMRealOGT, v_x[0], -0.2928),
                                       coti_m_test(e, LLVMRealOLT, v_x[0], 0.4142), "");
    v_f = coti_l_select(e, v_near, v_x[0], v_f, "");
    v_k = coti_l_select(e, v_near, v_zero, v_k, "");
    LLVMValueRef v_lost = coti_m_div(e, u.v_lo, u.v_hi);
    v_lost = coti_l_select(e, v_near, v_zero, v_lost, "");
    LLVMValueRef v_log = log_sum(e, v_k, v_f, v_lost);
    v_log = coti_m_where(e, LLVMRealOEQ, v_x[0], __builtin_inf(), __builtin_inf(), v_log);
    v_log = coti_m_where(e, LLVMRealULT, v_x[0], -1, __builtin_nan(""), v_log);
    v_log = coti_m_where(e, LLVMRealOEQ, v_x[0], -1, -__builtin_inf(), v_log);
    return coti_m_copy_sign(e, v_log, v_x[0]);
}
