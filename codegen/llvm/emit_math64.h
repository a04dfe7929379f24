/*
 * Functions on vectors of f64: the vocabulary that emit_math64*.c share.
 *
 * Numbers of twice the precision are unevaluated sums hi + lo of two doubles (Dekker, "A
 * floating-point technique for extending the available precision", 1971), |lo| at most about an ulp
 * of hi. Nothing here may carry fast-math flags: the pairs depend on the exact order of operations.
 */
#ifndef COTI_EMIT_MATH64_H
#define COTI_EMIT_MATH64_H

#include "emit.h"

/* ln 2 in two parts: the first has 32 bits, so that its product with an exponent is exact. Their
 * sum is ln 2 to 2^-86. */
#define COTI_LN2_HIGH 0x1.62e42feep-1
#define COTI_LN2_LOW 0x1.a39ef35793c76p-33

/* ---- arithmetic (emit_math64.c) ---- */

LLVMValueRef coti_m_add(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);
LLVMValueRef coti_m_sub(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);
LLVMValueRef coti_m_mul(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);
LLVMValueRef coti_m_div(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);
LLVMValueRef coti_m_neg(coti_emit *e, LLVMValueRef v_a);
LLVMValueRef coti_m_abs(coti_emit *e, LLVMValueRef v_a);
/* x compared with a number: <lanes x i1>. */
LLVMValueRef coti_m_test(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double c);
/* test(x, limit) ? c : v_else. */
LLVMValueRef coti_m_where(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double limit,
                          double c, LLVMValueRef v_else);
/* |x| with the sign of y. */
LLVMValueRef coti_m_copy_sign(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_y);

/* c[0] + c[1] x + ... by Horner's rule. */
LLVMValueRef coti_m_polynomial(coti_emit *e, LLVMValueRef v_x, const double *c, int32_t n);
#define COTI_POLYNOMIAL(e, v_x, c)                                                                 \
    coti_m_polynomial((e), (v_x), (c), (int32_t)(sizeof(c) / sizeof *(c)))

/* Between f64 and its bits as i64. */
LLVMValueRef coti_m_bits(coti_emit *e, LLVMValueRef v_real);
LLVMValueRef coti_m_real(coti_emit *e, LLVMValueRef v_bits);
/* |x| < 2^51 rounded to an integer, to nearest even: as f64, and as i64. AVX2 has no conversion. */
LLVMValueRef coti_m_round(coti_emit *e, LLVMValueRef v_x, LLVMValueRef *v_int_out);
/* A small i64 as f64. */
LLVMValueRef coti_m_from_int(coti_emit *e, LLVMValueRef v_int);
/* 2^n for n in [-1022, 1023], i64. */
LLVMValueRef coti_m_power_of_two(coti_emit *e, LLVMValueRef v_n);
/* p * 2^n for |n| <= 2044 and p near 1: rounded once, where the result is subnormal. */
LLVMValueRef coti_m_scale(coti_emit *e, LLVMValueRef v_p, LLVMValueRef v_n);

/* ---- pairs ---- */

typedef struct coti_pair {
    LLVMValueRef v_hi, v_lo;
} coti_pair;

/* a + b, exactly (Knuth; The Art of Computer Programming, volume 2, section 4.2.2). */
coti_pair coti_m_two_sum(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);
/* The same for |a| >= |b| (Dekker). */
coti_pair coti_m_fast_two_sum(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);
/* a * b, exactly: by fma, or by Dekker's halves for |a|, |b| < 2^996. */
coti_pair coti_m_two_product(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b);

/* ---- what one function uses of another ---- */

/* exp(hi + lo) taken apart: 2^n (1 + r + s), relative error about 2^-56. (emit_math64_exp.c) */
typedef struct coti_exp64 {
    LLVMValueRef v_n; /* i64 */
    LLVMValueRef v_r; /* in [-0.347, 0.347] */
    LLVMValueRef v_s; /* small against 1 + r: at most 0.069 */
} coti_exp64;

/* |hi| <= 1100, |lo| <= an ulp of it; NaN gives NaN in r and s and any n. v_lo may be NULL: 0. */
coti_exp64 coti_m_exp_split(coti_emit *e, LLVMValueRef v_hi, LLVMValueRef v_lo);
/* 1 + r + s. */
coti_pair coti_m_exp_sum(coti_emit *e, const coti_exp64 *parts);

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)), for x > 0 and finite; k as f64. (emit_math64_log.c) */
LLVMValueRef coti_m_log_split(coti_emit *e, LLVMValueRef v_x, LLVMValueRef *v_k_out);

/* ---- the functions, of as many vectors as COTI_MATH64_* has operands ---- */

LLVMValueRef coti_m_exp(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_expm1(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_log(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_log1p(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_tanh(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_sigmoid(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_softplus(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_erf(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_erfc(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_gelu(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_sin(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_cos(coti_emit *e, const LLVMValueRef *v_x);
LLVMValueRef coti_m_pow(coti_emit *e, const LLVMValueRef *v_arg);
LLVMValueRef coti_m_normal(coti_emit *e, const LLVMValueRef *v_arg);

#endif
