/*
 * exp, expm1, tanh, sigmoid and softplus on vectors of f64.
 *
 * Range reduction after Cody and Waite (Muller, Handbook of Floating-Point Arithmetic, 2nd ed.,
 * section 10.3). What the reduction and 1 + r lose is kept and added to the small term, so that a
 * result has little more than its one rounding. The errors stated in ulp are the largest that
 * test_math64_ulp.c has seen. Special values are C's; NaN passes by way of ordered comparisons,
 * which it fails.
 */
#include "emit_math64.h"

coti_exp64 coti_m_exp_split(coti_emit *e, LLVMValueRef v_hi, LLVMValueRef v_lo) {
    /* (exp(r) - 1 - r) / r^2: its Taylor series; the rest is 2^-57 of exp(r). */
    static const double c[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                               1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                               1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    coti_exp64 parts = {NULL, NULL, NULL};
    LLVMValueRef v_scaled = coti_m_mul(e, v_hi, coti_l_number_like(v_hi, 0x1.71547652b82fep0));
    LLVMValueRef v_n = coti_m_round(e, v_scaled, &parts.v_n);
    LLVMValueRef v_far = coti_l_fma(e, v_n, coti_l_number_like(v_hi, -COTI_LN2_HIGH), v_hi, "");
    LLVMValueRef v_near = coti_m_mul(e, v_n, coti_l_number_like(v_hi, -COTI_LN2_LOW));
    if (v_lo != NULL) {
        v_near = coti_m_add(e, v_near, v_lo);
    }
    coti_pair r = coti_m_two_sum(e, v_far, v_near);
    LLVMValueRef v_rest = coti_l_fma(e, r.v_lo, r.v_hi, r.v_lo, ""); /* exp(lo) - 1, times exp(r) */
    LLVMValueRef v_square = coti_m_mul(e, r.v_hi, r.v_hi);
    parts.v_r = r.v_hi;
    parts.v_s = coti_l_fma(e, COTI_POLYNOMIAL(e, r.v_hi, c), v_square, v_rest, "");
    return parts;
}

coti_pair coti_m_exp_sum(coti_emit *e, const coti_exp64 *parts) {
    coti_pair sum = coti_m_fast_two_sum(e, coti_l_number_like(parts->v_r, 1), parts->v_r);
    return coti_m_fast_two_sum(e, sum.v_hi, coti_m_add(e, sum.v_lo, parts->v_s));
}

/* Largest error 0.63 ulp. Beyond the clamps the result is 0 or inf by rounding. */
LLVMValueRef coti_m_exp(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_in = coti_m_where(e, LLVMRealOGT, v_x[0], 710, 710, v_x[0]);
    v_in = coti_m_where(e, LLVMRealOLT, v_in, -746, -746, v_in);
    coti_exp64 parts = coti_m_exp_split(e, v_in, NULL);
    coti_pair sum = coti_m_exp_sum(e, &parts);
    return coti_m_scale(e, sum.v_hi, parts.v_n);
}

/*
 * 2^n (1 + r + s) - 1 = (2^n - 1) + 2^n r + 2^n s. Up to n = 53 the difference and the products are
 * exact; beyond 60, where the 1 is nothing, n is 60 and the result is scaled. A zero keeps its
 * sign. Largest error 0.96 ulp.
 */
LLVMValueRef coti_m_expm1(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_in = coti_m_where(e, LLVMRealOGT, v_x[0], 710, 710, v_x[0]);
    v_in = coti_m_where(e, LLVMRealOLT, v_in, -40, -40, v_in);
    coti_exp64 parts = coti_m_exp_split(e, v_in, NULL);
    LLVMValueRef v_most = coti_l_integer_like(parts.v_n, 60);
    LLVMValueRef v_fits = LLVMBuildICmp(e->builder, LLVMIntSLT, parts.v_n, v_most, "");
    LLVMValueRef v_n = coti_l_select(e, v_fits, parts.v_n, v_most, "");
    LLVMValueRef v_power = coti_m_power_of_two(e, v_n);
    LLVMValueRef v_whole = coti_m_sub(e, v_power, coti_l_number_like(v_power, 1));
    coti_pair sum = coti_m_two_sum(e, v_whole, coti_m_mul(e, v_power, parts.v_r));
    LLVMValueRef v_low = coti_l_fma(e, v_power, parts.v_s, sum.v_lo, "");
    LLVMValueRef v_rest = LLVMBuildSub(e->builder, parts.v_n, v_n, "");
    LLVMValueRef v_result =
        coti_m_mul(e, coti_m_add(e, sum.v_hi, v_low), coti_m_power_of_two(e, v_rest));
    return coti_m_copy_sign(e, v_result, v_x[0]);
}

/* Largest error 1.10 ulp. Odd, to the sign of zero. */
LLVMValueRef coti_m_tanh(coti_emit *e, const LLVMValueRef *v_x) {
    /* tanh(x) = x + x z p(z) / q(z), z = x^2 <= 0.625^2: Moshier's Cephes 2.8, tanh.c. */
    static const double p[] = {-1.61468768441708447952e3, -9.92877231001918586564e1,
                               -9.64399179425052238628e-1};
    static const double q[] = {4.84406305325125486048e3, 2.23548839060100448583e3,
                               1.12811678491632931402e2, 1};
    LLVMValueRef v_abs = coti_m_abs(e, v_x[0]);
    LLVMValueRef v_z = coti_m_mul(e, v_abs, v_abs);
    LLVMValueRef v_ratio = coti_m_div(e, COTI_POLYNOMIAL(e, v_z, p), COTI_POLYNOMIAL(e, v_z, q));
    LLVMValueRef v_small = coti_l_fma(e, coti_m_mul(e, v_abs, v_z), v_ratio, v_abs, "");
    /*
     * 1 - 2 / (exp(2x) + 1), which is 1 from 19.1 on. With exp = 2^n (1 + r + s) the divisor is
     * (2^n + 1) + 2^n r + 2^n s, of which the first sum and the products are exact.
     */
    LLVMValueRef v_in = coti_m_where(e, LLVMRealOGT, v_abs, 20, 20, v_abs);
    coti_exp64 parts = coti_m_exp_split(e, coti_m_add(e, v_in, v_in), NULL);
    LLVMValueRef v_power = coti_m_power_of_two(e, parts.v_n);
    LLVMValueRef v_one = coti_l_number_like(v_abs, 1);
    coti_pair under =
        coti_m_fast_two_sum(e, coti_m_add(e, v_power, v_one), coti_m_mul(e, v_power, parts.v_r));
    LLVMValueRef v_under = coti_l_fma(e, v_power, parts.v_s, under.v_lo, "");
    v_under = coti_m_add(e, under.v_hi, v_under);
    LLVMValueRef v_two = coti_l_number_like(v_abs, 2);
    LLVMValueRef v_large = coti_m_sub(e, v_one, coti_m_div(e, v_two, v_under));
    LLVMValueRef v_is_small = coti_m_test(e, LLVMRealOLT, v_abs, 0.625);
    return coti_m_copy_sign(e, coti_l_select(e, v_is_small, v_small, v_large, ""), v_x[0]);
}

/*
 * With exp(|x|) = 2^n (1 + r + s), sigmoid(-|x|) = 2^-n / ((1 + 2^-n) + r + s); sigmoid(|x|) is 1
 * less that. Largest error 1.00 ulp.
 */
LLVMValueRef coti_m_sigmoid(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_one = coti_l_number_like(v_x[0], 1);
    LLVMValueRef v_in = coti_m_abs(e, v_x[0]);
    v_in = coti_m_where(e, LLVMRealOGT, v_in, 746, 746, v_in);
    coti_exp64 parts = coti_m_exp_split(e, v_in, NULL);
    LLVMValueRef v_minus_n = LLVMBuildNeg(e->builder, parts.v_n, "");
    /* 2^-n matters up to n = 56 only. */
    LLVMValueRef v_far = coti_l_integer_like(v_minus_n, -128);
    LLVMValueRef v_near = LLVMBuildICmp(e->builder, LLVMIntSGT, v_minus_n, v_far, "");
    v_near = coti_l_select(e, v_near, v_minus_n, v_far, "");
    coti_pair under = coti_m_fast_two_sum(e, v_one, coti_m_power_of_two(e, v_near));
    LLVMValueRef v_lost = coti_m_add(e, under.v_lo, parts.v_s);
    under = coti_m_fast_two_sum(e, under.v_hi, parts.v_r);
    v_lost = coti_m_add(e, under.v_lo, v_lost);
    /* 1 / (a + b) = q (1 - b q) with q = 1 / a, b small. */
    under = coti_m_fast_two_sum(e, under.v_hi, v_lost);
    LLVMValueRef v_q = coti_m_div(e, v_one, under.v_hi);
    LLVMValueRef v_less = coti_m_mul(e, coti_m_mul(e, v_q, v_q), under.v_lo);
    LLVMValueRef v_low = coti_m_scale(e, coti_m_sub(e, v_q, v_less), v_minus_n);
    LLVMValueRef v_is_low = coti_m_test(e, LLVMRealOLT, v_x[0], 0);
    return coti_l_select(e, v_is_low, v_low, coti_m_sub(e, v_one, v_low), "");
}

/* max(x, 0) + log1p(exp(-|x|)). Largest error 1.28 ulp. */
LLVMValueRef coti_m_softplus(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_minus = coti_m_neg(e, coti_m_abs(e, v_x[0]));
    LLVMValueRef v_exp = coti_m_exp(e, &v_minus);
    LLVMValueRef v_positive = coti_m_test(e, LLVMRealOGT, v_x[0], 0);
    LLVMValueRef v_max = coti_l_select(e, v_positive, v_x[0], coti_l_number_like(v_minus, 0), "");
    return coti_m_add(e, v_max, coti_m_log1p(e, &v_exp));
}
