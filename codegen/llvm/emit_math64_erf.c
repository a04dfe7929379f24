/*
 * erf, erfc and gelu on vectors of f64.
 *
 * Three pieces for a = |x|. Up to 0.6875 erf(a) = a + a y(a^2) with a rational y, and from 1.25 on
 * erfc(a) = exp(-a^2 - 0.5625 + R/S) / a with rational R/S of 1 / a^2: both with the coefficients
 * of FreeBSD's msun (s_erf.c, Sun Microsystems 1993). Between them erfc(1 + d) = erfc(1) - d G(d)
 * with a polynomial of our own. Unlike msun, which takes the exponential of two rounded numbers and
 * so is up to 5 ulp off, the exponent is a pair here, and so is its exponential until the last
 * rounding.
 */
#include "emit_math64.h"

/* Where the pieces meet, and from where on erf is 1; from 27.3 on erfc is 0. */
#define SMALL 0.6875
#define NEAR 1.25
#define FAR 28

/* erfc(1) in two parts, and erf(1). */
#define ERFC_1_HIGH 0x1.4226162fbddd5p-3
#define ERFC_1_LOW -0x1.b40443f6ec34ap-59
#define ERF_1_HIGH 0x1.af767a741088bp-1
#define ERF_1_LOW -0x1.c97f778122797p-56

/* What the double nearest to G(0) lacks. */
#define G_0_LOW -0x1.08479f2e883adp-56

/* What erf and erfc are made of for a < NEAR: a y for a < SMALL, d G(d) for the others. */
typedef struct near_part {
    LLVMValueRef v_small; /* <lanes x i1>: a < SMALL */
    LLVMValueRef v_y;     /* of erf(a) = a + a y */
    LLVMValueRef v_d;     /* a - 1 */
    LLVMValueRef v_g;     /* of erfc(1 + d) = erfc(1) - d g */
} near_part;

static near_part emit_near(coti_emit *e, LLVMValueRef v_a) {
    /* y = P / Q in z = a^2; 2^-59 of erf: msun, pp0 to pp4 and qq1 to qq5. */
    static const double p[] = {1.28379167095512558561e-01, -3.25042107247001499370e-01,
                               -2.84817495755985104766e-02, -5.77027029648944159157e-03,
                               -2.37630166566501626084e-05};
    static const double q[] = {1,
                               3.97917223959155352819e-01,
                               6.50222499887672944485e-02,
                               5.08130628187576562776e-03,
                               1.32494738004321644526e-04,
                               -3.96022827877536812320e-06};
    /* G for d in [-0.3125, 0.25], less what g[0] lacks; Chebyshev interpolation in 50 digits,
     * 2^-62.9 of G. */
    static const double g[] = {0x1.a911f096fbc26p-2,  -0x1.a911f096fbc26p-2, 0x1.1b614b0f52819p-3,
                               0x1.1b614b0f527ccp-4,  -0x1.1b614b0f52771p-4, 0x1.2e45a565dd60fp-8,
                               0x1.f096fd701dbc3p-7,  -0x1.391146c8eca38p-8, -0x1.ee30d9a0c117ep-10,
                               0x1.4176cbdfd4a29p-10, 0x1.66b71c7b644ccp-14, -0x1.a39087b52471fp-13,
                               0x1.39ccd3e5199e6p-16, 0x1.8f3bd3df7d4a6p-16, -0x1.64347aa45e3d4p-18,
                               -0x1.464bfb87f5198p-19};
    near_part near = {coti_m_test(e, LLVMRealOLT, v_a, SMALL), NULL, NULL, NULL};
    LLVMValueRef v_z = coti_m_mul(e, v_a, v_a);
    near.v_y = coti_m_div(e, COTI_POLYNOMIAL(e, v_z, p), COTI_POLYNOMIAL(e, v_z, q));
    near.v_d = coti_m_sub(e, v_a, coti_l_number_like(v_a, 1));
    near.v_g = COTI_POLYNOMIAL(e, near.v_d, g);
    return near;
}

/* erfc(a) for 0 <= a < NEAR, as a pair. */
static coti_pair near_erfc(coti_emit *e, const near_part *near, LLVMValueRef v_a) {
    coti_pair small = coti_m_two_sum(e, coti_l_number_like(v_a, 1), coti_m_neg(e, v_a));
    small.v_lo = coti_l_fma(e, coti_m_neg(e, v_a), near->v_y, small.v_lo, "");
    LLVMValueRef v_minus_d = coti_m_neg(e, near->v_d);
    LLVMValueRef v_low = coti_l_number_like(v_a, ERFC_1_LOW);
    v_low = coti_l_fma(e, v_minus_d, coti_l_number_like(v_a, G_0_LOW), v_low, "");
    v_low = coti_l_fma(e, v_minus_d, near->v_g, v_low, "");
    LLVMValueRef v_high = coti_l_number_like(v_a, ERFC_1_HIGH);
    v_high = coti_l_select(e, near->v_small, small.v_hi, v_high, "");
    v_low = coti_l_select(e, near->v_small, small.v_lo, v_low, "");
    return coti_m_two_sum(e, v_high, v_low);
}

static LLVMValueRef near_erf(coti_emit *e, const near_part *near, LLVMValueRef v_a) {
    LLVMValueRef v_small = coti_l_fma(e, v_a, near->v_y, v_a, "");
    LLVMValueRef v_other =
        coti_l_fma(e, near->v_d, near->v_g, coti_l_number_like(v_a, ERF_1_LOW), "");
    v_other = coti_m_add(e, v_other, coti_l_number_like(v_a, ERF_1_HIGH));
    return coti_l_select(e, near->v_small, v_small, v_other, "");
}

/* The polynomial whose coefficients are a[] where a lane is on, b[] where it is off. */
static LLVMValueRef either(coti_emit *e, LLVMValueRef v_on, LLVMValueRef v_x, const double *a,
                           const double *b, int32_t n) {
    LLVMValueRef v_sum = NULL;
    for (int32_t k = n - 1; k >= 0; k--) {
        LLVMValueRef v_a = coti_l_number_like(v_x, a[k]), v_b = coti_l_number_like(v_x, b[k]);
        LLVMValueRef v_c = coti_l_select(e, v_on, v_a, v_b, "");
        v_sum = v_sum == NULL ? v_c : coti_l_fma(e, v_sum, v_x, v_c, "");
    }
    return v_sum;
}

/* R/S of s = 1 / a^2, for a in [NEAR, FAR]: msun, ra and sa below 1 / 0.35, rb and sb from there
 * on.
 */
static LLVMValueRef tail_ratio(coti_emit *e, LLVMValueRef v_s) {
    static const double ra[] = {-9.86494403484714822705e-03, -6.93858572707181764372e-01,
                                -1.05586262253232909814e+01, -6.23753324503260060396e+01,
                                -1.62396669462573470355e+02, -1.84605092906711035994e+02,
                                -8.12874355063065934246e+01, -9.81432934416914548592e+00};
    static const double rb[] = {-9.86494292470009928597e-03, -7.99283237680523006574e-01,
                                -1.77579549177547519889e+01, -1.60636384855821916062e+02,
                                -6.37566443368389627722e+02, -1.02509513161107724954e+03,
                                -4.83519191608651397019e+02, 0};
    static const double sa[] = {1,
                                1.96512716674392571292e+01,
                                1.37657754143519042600e+02,
                                4.34565877475229228821e+02,
                                6.45387271733267880336e+02,
                                4.29008140027567833386e+02,
                                1.08635005541779435134e+02,
                                6.57024977031928170135e+00,
                                -6.04244152148580987438e-02};
    static const double sb[] = {1,
                                3.03380607434824582924e+01,
                                3.25792512996573918826e+02,
                                1.53672958608443695994e+03,
                                3.19985821950859553908e+03,
                                2.55305040643316442583e+03,
                                4.74528541206955367215e+02,
                                -2.24409524465858183362e+01,
                                0};
    LLVMValueRef v_first = coti_m_test(e, LLVMRealOGT, v_s, 0.1225);
    return coti_m_div(e, either(e, v_first, v_s, ra, rb, sizeof ra / sizeof *ra),
                      either(e, v_first, v_s, sa, sb, sizeof sa / sizeof *sa));
}

/* erfc(a) a = 2^n (hi + lo) for a in [NEAR, FAR], of a^2 as a pair. */
static coti_pair emit_tail(coti_emit *e, coti_pair square, LLVMValueRef *v_n_out) {
    LLVMValueRef v_s = coti_m_div(e, coti_l_number_like(square.v_hi, 1), square.v_hi);
    LLVMValueRef v_offset = coti_l_number_like(v_s, -0.5625);
    coti_pair first = coti_m_two_sum(e, coti_m_neg(e, square.v_hi), v_offset);
    coti_pair exponent = coti_m_two_sum(e, first.v_hi, tail_ratio(e, v_s));
    LLVMValueRef v_low = coti_m_sub(e, coti_m_add(e, first.v_lo, exponent.v_lo), square.v_lo);
    coti_exp64 parts = coti_m_exp_split(e, exponent.v_hi, v_low);
    *v_n_out = parts.v_n;
    return coti_m_exp_sum(e, &parts);
}

/* (hi + lo) / a, rounded once. */
static LLVMValueRef quotient(coti_emit *e, coti_pair above, LLVMValueRef v_a) {
    LLVMValueRef v_q = coti_m_div(e, above.v_hi, v_a);
    coti_pair back = coti_m_two_product(e, v_q, v_a);
    LLVMValueRef v_rest = coti_m_sub(e, coti_m_sub(e, above.v_hi, back.v_hi), back.v_lo);
    return coti_m_add(e, v_q, coti_m_div(e, coti_m_add(e, v_rest, above.v_lo), v_a));
}

/* Largest error 0.88 ulp, without fma 0.90. Odd, to the sign of zero; +-1 from 5.93 on. */
LLVMValueRef coti_m_erf(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_a = coti_m_abs(e, v_x[0]), v_n = NULL;
    v_a = coti_m_where(e, LLVMRealOGT, v_a, 6, 6, v_a);
    near_part near = emit_near(e, v_a);
    coti_pair tail = emit_tail(e, coti_m_two_product(e, v_a, v_a), &v_n);
    LLVMValueRef v_erfc = coti_m_div(e, coti_m_mul(e, tail.v_hi, coti_m_power_of_two(e, v_n)), v_a);
    LLVMValueRef v_far = coti_m_sub(e, coti_l_number_like(v_a, 1), v_erfc);
    LLVMValueRef v_is_near = coti_m_test(e, LLVMRealOLT, v_a, NEAR);
    LLVMValueRef v_erf = coti_l_select(e, v_is_near, near_erf(e, &near, v_a), v_far, "");
    return coti_m_copy_sign(e, v_erf, v_x[0]);
}

/* Largest error 1.06 ulp, without fma 1.12; 2 - erfc(a) at -a. */
LLVMValueRef coti_m_erfc(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_two = coti_l_number_like(v_x[0], 2), v_n = NULL;
    LLVMValueRef v_a = coti_m_abs(e, v_x[0]);
    v_a = coti_m_where(e, LLVMRealOGT, v_a, FAR, FAR, v_a);
    LLVMValueRef v_negative = coti_m_test(e, LLVMRealOLT, v_x[0], 0);
    near_part near = emit_near(e, v_a);
    coti_pair low = near_erfc(e, &near, v_a);
    coti_pair high = coti_m_fast_two_sum(e, v_two, coti_m_neg(e, low.v_hi));
    LLVMValueRef v_high = coti_m_add(e, high.v_hi, coti_m_sub(e, high.v_lo, low.v_lo));
    LLVMValueRef v_near = coti_l_select(e, v_negative, v_high, low.v_hi, "");
    coti_pair tail = emit_tail(e, coti_m_two_product(e, v_a, v_a), &v_n);
    LLVMValueRef v_far = coti_m_scale(e, quotient(e, tail, v_a), v_n);
    v_far = coti_l_select(e, v_negative, coti_m_sub(e, v_two, v_far), v_far, "");
    return coti_l_select(e, coti_m_test(e, LLVMRealOLT, v_a, NEAR), v_near, v_far, "");
}

/* 1 / sqrt(2) in two parts. */
#define ROOT_HALF_HIGH 0x1.6a09e667f3bcdp-1
#define ROOT_HALF_LOW -0x1.bdd3413b26456p-55

/* x erfc(x / sqrt(2)) / 2 for x / sqrt(2) < NEAR. */
static LLVMValueRef gelu_near(coti_emit *e, LLVMValueRef v_x, coti_pair a) {
    near_part near = emit_near(e, a.v_hi);
    coti_pair erfc = near_erfc(e, &near, a.v_hi);
    /* a's low part, times erfc'(a) = -2/sqrt(pi) e^(-a^2); e^-z is (1 - z/16)^16, well enough. */
    LLVMValueRef v_z = coti_m_mul(e, a.v_hi, a.v_hi);
    LLVMValueRef v_slope =
        coti_l_fma(e, v_z, coti_l_number_like(v_z, -0.0625), coti_l_number_like(v_z, 1), "");
    for (int32_t i = 0; i < 4; i++) {
        v_slope = coti_m_mul(e, v_slope, v_slope);
    }
    v_slope = coti_m_mul(e, v_slope, coti_l_number_like(v_z, -0x1.20dd750429b6dp0));
    LLVMValueRef v_low = coti_l_fma(e, a.v_lo, v_slope, erfc.v_lo, "");
    LLVMValueRef v_half = coti_m_mul(e, v_x, coti_l_number_like(v_x, 0.5));
    coti_pair product = coti_m_two_product(e, v_half, erfc.v_hi);
    return coti_m_add(e, product.v_hi, coti_l_fma(e, v_half, v_low, product.v_lo, ""));
}

/* The same from there on: the tail's exponential over sqrt(2), as x / (x / sqrt(2)) is 2 / sqrt(2).
 */
static LLVMValueRef gelu_far(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_n = NULL, v_half = coti_l_number_like(v_x, 0.5);
    coti_pair square = coti_m_two_product(e, v_x, v_x);
    square = (coti_pair){coti_m_mul(e, square.v_hi, v_half), coti_m_mul(e, square.v_lo, v_half)};
    coti_pair tail = emit_tail(e, square, &v_n);
    LLVMValueRef v_root = coti_l_number_like(v_x, ROOT_HALF_HIGH);
    LLVMValueRef v_root_low = coti_l_number_like(v_x, ROOT_HALF_LOW);
    coti_pair product = coti_m_two_product(e, tail.v_hi, v_root);
    LLVMValueRef v_low = coti_l_fma(e, tail.v_lo, v_root, product.v_lo, "");
    v_low = coti_l_fma(e, tail.v_hi, v_root_low, v_low, "");
    return coti_m_scale(e, coti_m_add(e, product.v_hi, v_low), v_n);
}

/*
 * gelu(-x) = -x erfc(x / sqrt(2)) / 2, and gelu(x) = x + gelu(-x). Largest error 1.10 ulp, without
 * fma 1.48, in the left tail too.
 */
LLVMValueRef coti_m_gelu(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_abs = coti_m_abs(e, v_x[0]);
    v_abs = coti_m_where(e, LLVMRealOGT, v_abs, 40, 40, v_abs);
    coti_pair a = coti_m_two_product(e, v_abs, coti_l_number_like(v_abs, ROOT_HALF_HIGH));
    a.v_lo = coti_l_fma(e, v_abs, coti_l_number_like(v_abs, ROOT_HALF_LOW), a.v_lo, "");
    LLVMValueRef v_is_near = coti_m_test(e, LLVMRealOLT, a.v_hi, NEAR);
    LLVMValueRef v_less =
        coti_l_select(e, v_is_near, gelu_near(e, v_abs, a), gelu_far(e, v_abs), "");
    LLVMValueRef v_negative = coti_m_test(e, LLVMRealOLT, v_x[0], 0);
    return coti_l_select(e, v_negative, coti_m_neg(e, v_less), coti_m_sub(e, v_x[0], v_less), "");
}
