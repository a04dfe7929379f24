/*
 * x^y of f64: exp(y log |x|), both with pairs: the logarithm is good to about 2^-66 of itself, so
 * that its product with y, up to 745, is good to 2^-54. Signs and special values are those of C's
 * pow (C17, F.10.4.4).
 *
 * log(m) = 2 atanh(s), s = (m - 1) / (m + 1), by atanh's own series, whose first
 * three coefficients are pairs (as in FreeBSD's e_pow.c, which works with a base of 2 and heads of
 * 24 bits).
 */
#include "emit_math64.h"

/* (m - 1) / (m + 1). */
static coti_pair log_quotient(coti_emit *e, LLVMValueRef v_m) {
    LLVMValueRef v_one = coti_l_number_like(v_m, 1);
    LLVMValueRef v_above = coti_m_sub(e, v_m, v_one);
    coti_pair below = coti_m_two_sum(e, v_m, v_one);
    LLVMValueRef v_s = coti_m_div(e, v_above, below.v_hi);
    coti_pair back = coti_m_two_product(e, v_s, below.v_hi);
    LLVMValueRef v_rest = coti_m_sub(e, coti_m_sub(e, v_above, back.v_hi), back.v_lo);
    v_rest = coti_l_fma(e, coti_m_neg(e, v_s), below.v_lo, v_rest, "");
    return (coti_pair){v_s, coti_m_div(e, v_rest, below.v_hi)};
}

/* a * b, less lo * lo. */
static coti_pair product(coti_emit *e, coti_pair a, coti_pair b) {
    coti_pair p = coti_m_two_product(e, a.v_hi, b.v_hi);
    p.v_lo = coti_l_fma(e, a.v_hi, b.v_lo, p.v_lo, "");
    p.v_lo = coti_l_fma(e, a.v_lo, b.v_hi, p.v_lo, "");
    return p;
}

/* hi + lo + b for numbers hi > |b|. */
static coti_pair plus(coti_emit *e, double high, double low, coti_pair b) {
    coti_pair sum = coti_m_fast_two_sum(e, coti_l_number_like(b.v_hi, high), b.v_hi);
    LLVMValueRef v_low = coti_m_add(e, b.v_lo, coti_l_number_like(b.v_lo, low));
    sum.v_lo = coti_m_add(e, sum.v_lo, v_low);
    return sum;
}

/* log(x) of x > 0 and finite. */
static coti_pair log_pair(coti_emit *e, LLVMValueRef v_x) {
    /* 1/7, 1/9, ... in z = s^2 <= 0.0295; the rest is 2^-70 of log(m). */
    static const double c[] = {1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17,
                               1.0 / 19, 1.0 / 21, 1.0 / 23, 1.0 / 25, 1.0 / 27};
    LLVMValueRef v_k = NULL;
    LLVMValueRef v_m = coti_m_log_split(e, v_x, &v_k);
    coti_pair s = log_quotient(e, v_m);
    coti_pair z = product(e, s, s);
    /* log(m) = 2 s (1 + z (1/3 + z (1/5 + z (1/7 + ...)))) */
    LLVMValueRef v_more = coti_m_mul(e, z.v_hi, COTI_POLYNOMIAL(e, z.v_hi, c));
    coti_pair one = {v_more, coti_l_number_like(v_x, 0)};
    one = plus(e, 0x1.999999999999ap-3, -0x1.999999999999ap-57, one);
    one = plus(e, 0x1.5555555555555p-2, 0x1.5555555555555p-56, product(e, z, one));
    one = plus(e, 1, 0, product(e, z, one));
    coti_pair twice = {coti_m_add(e, s.v_hi, s.v_hi), coti_m_add(e, s.v_lo, s.v_lo)};
    coti_pair log_m = product(e, twice, one);
    LLVMValueRef v_far = coti_m_mul(e, v_k, coti_l_number_like(v_k, COTI_LN2_HIGH));
    coti_pair log = coti_m_two_sum(e, v_far, log_m.v_hi);
    LLVMValueRef v_low = coti_l_fma(e, v_k, coti_l_number_like(v_k, COTI_LN2_LOW), log_m.v_lo, "");
    return coti_m_fast_two_sum(e, log.v_hi, coti_m_add(e, log.v_lo, v_low));
}

/* exp(y log(x)) for x > 0 and finite; y may be anything. */
static LLVMValueRef magnitude(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_y) {
    /* From 2^65 on every x but 1 is out of range: log(x) is at least 2^-53. */
    LLVMValueRef v_in = coti_m_where(e, LLVMRealOGT, v_y, 0x1p65, 0x1p65, v_y);
    v_in = coti_m_where(e, LLVMRealOLT, v_in, -0x1p65, -0x1p65, v_in);
    coti_pair log = log_pair(e, v_x);
    coti_pair z = coti_m_two_product(e, v_in, log.v_hi);
    LLVMValueRef v_low = coti_l_fma(e, v_in, log.v_lo, z.v_lo, "");
    LLVMValueRef v_high = coti_m_where(e, LLVMRealOGT, z.v_hi, 720, 720, z.v_hi);
    v_high = coti_m_where(e, LLVMRealOLT, v_high, -760, -760, v_high);
    LLVMValueRef v_kept = LLVMBuildFCmp(e->builder, LLVMRealOEQ, v_high, z.v_hi, "");
    v_low = coti_l_select(e, v_kept, v_low, coti_l_number_like(v_low, 0), "");
    coti_exp64 parts = coti_m_exp_split(e, v_high, v_low);
    coti_pair sum = coti_m_exp_sum(e, &parts);
    return coti_m_scale(e, sum.v_hi, parts.v_n);
}

/* Is a >= 0 an integer? Infinities are. */
static LLVMValueRef is_integer(coti_emit *e, LLVMValueRef v_a) {
    LLVMValueRef v_big = coti_l_number_like(v_a, 0x1p52);
    LLVMValueRef v_near = coti_m_sub(e, coti_m_add(e, v_a, v_big), v_big);
    LLVMValueRef v_same = LLVMBuildFCmp(e->builder, LLVMRealOEQ, v_near, v_a, "");
    return LLVMBuildOr(e->builder, v_same, coti_m_test(e, LLVMRealOGE, v_a, 0x1p52), "");
}

static LLVMValueRef both(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildAnd(e->builder, v_a, v_b, "");
}

/* Largest error 0.74 ulp, without fma 0.75. |x|^y for finite x other than 0, then signs, poles and
 * NaN. */
LLVMValueRef coti_m_pow(coti_emit *e, const LLVMValueRef *v_arg) {
    LLVMValueRef v_x = v_arg[0], v_y = v_arg[1];
    LLVMValueRef v_abs = coti_m_abs(e, v_x), v_abs_y = coti_m_abs(e, v_y);
    LLVMValueRef v_half = coti_m_mul(e, v_abs_y, coti_l_number_like(v_y, 0.5));
    LLVMValueRef v_integer = is_integer(e, v_abs_y);
    LLVMValueRef v_odd = both(e, v_integer, LLVMBuildNot(e->builder, is_integer(e, v_half), ""));
    LLVMValueRef v_pow = magnitude(e, v_abs, v_y);
    /* 0^y and inf^y: 0 or inf. */
    LLVMValueRef v_zero = coti_m_test(e, LLVMRealOEQ, v_abs, 0);
    LLVMValueRef v_inf = coti_m_test(e, LLVMRealOEQ, v_abs, __builtin_inf());
    LLVMValueRef v_below = coti_m_test(e, LLVMRealOLT, v_y, 0);
    LLVMValueRef v_large = LLVMBuildXor(e->builder, v_inf, v_below, "");
    LLVMValueRef v_end = coti_l_select(e, v_large, coti_l_number_like(v_x, __builtin_inf()),
                                       coti_l_number_like(v_x, 0), "");
    LLVMValueRef v_is_end = LLVMBuildOr(e->builder, v_zero, v_inf, "");
    LLVMValueRef v_y_nan = coti_m_test(e, LLVMRealUNO, v_y, 0);
    v_is_end = both(e, v_is_end, LLVMBuildNot(e->builder, v_y_nan, ""));
    v_pow = coti_l_select(e, v_is_end, v_end, v_pow, "");
    LLVMValueRef v_nan = coti_l_number_like(v_x, __builtin_nan(""));
    LLVMValueRef v_no = LLVMBuildOr(e->builder, v_y_nan, coti_m_test(e, LLVMRealUNO, v_x, 0), "");
    v_pow = coti_l_select(e, v_no, v_nan, v_pow, "");
    /* An odd power of a negative number, or of -0, is negative. */
    LLVMValueRef v_signed = coti_m_copy_sign(e, v_pow, v_x);
    v_pow = coti_l_select(e, v_odd, v_signed, v_pow, "");
    /* A finite negative number to a power that is no integer. */
    LLVMValueRef v_bad = both(e, coti_m_test(e, LLVMRealOLT, v_x, 0),
                              coti_m_test(e, LLVMRealOGT, v_x, -__builtin_inf()));
    v_bad = both(e, v_bad, LLVMBuildNot(e->builder, v_integer, ""));
    v_pow = coti_l_select(e, v_bad, v_nan, v_pow, "");
    /* 1^y and x^0 are 1, whatever NaN the other is; (-1)^(+-inf) too. */
    LLVMValueRef v_unit = both(e, coti_m_test(e, LLVMRealOEQ, v_x, -1),
                               coti_m_test(e, LLVMRealOEQ, v_abs_y, __builtin_inf()));
    v_unit = LLVMBuildOr(e->builder, v_unit, coti_m_test(e, LLVMRealOEQ, v_x, 1), "");
    v_unit = LLVMBuildOr(e->builder, v_unit, coti_m_test(e, LLVMRealOEQ, v_y, 0), "");
    return coti_l_select(e, v_unit, coti_l_number_like(v_x, 1), v_pow, "");
}
