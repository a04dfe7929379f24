/*
 * sin and cos on vectors of f64, and normal random numbers.
 *
 * x = n pi/2 + r, |r| at most a little over pi/4, r a pair. Up to 2^20 pi/2 by Cody and Waite with
 * pi/2 in four parts, the first three of 33 bits, whose products with n are exact; beyond, lane by
 * lane behind a branch, by Payne and Hanek ("Radian reduction for trigonometric functions", SIGNUM
 * Newsletter 18, 1983) with 192 bits of 2/pi and integer arithmetic. The polynomials and the way in
 * which they take r's low part are FreeBSD's (msun, k_sin.c and k_cos.c, Sun Microsystems 1993), as
 * are pi/2's parts (e_rem_pio2.c).
 */
#include "emit_math64.h"

/* From here on reductions need more bits of pi. */
#define LARGE 1647099.0

#define HALF_PI_HIGH 0x1.921fb54442d18p0
#define HALF_PI_LOW 0x1.1a62633145c07p-54

/* x = n pi/2 + r. */
typedef struct reduced {
    LLVMValueRef v_n; /* i64; its low two bits count */
    coti_pair r;
} reduced;

/* ---- reductions ---- */

/* 0 <= x < LARGE; or anything, for no purpose. */
static reduced reduce_small(coti_emit *e, LLVMValueRef v_x) {
    static const double part[] = {0x1.921fb544p0, 0x1.0b4611a6p-34, 0x1.3198a2ep-69,
                                  0x1.b839a252049c1p-104};
    reduced out = {NULL, {NULL, NULL}};
    LLVMValueRef v_scaled = coti_m_mul(e, v_x, coti_l_number_like(v_x, 0x1.45f306dc9c883p-1));
    LLVMValueRef v_n = coti_m_round(e, v_scaled, &out.v_n), v_minus[4];
    for (int32_t i = 0; i < 4; i++) {
        v_minus[i] = coti_m_mul(e, v_n, coti_l_number_like(v_x, -part[i]));
    }
    coti_pair second = coti_m_two_sum(e, coti_m_add(e, v_x, v_minus[0]), v_minus[1]);
    coti_pair third = coti_m_two_sum(e, second.v_hi, v_minus[2]);
    LLVMValueRef v_low = coti_m_add(e, coti_m_add(e, second.v_lo, third.v_lo), v_minus[3]);
    out.r = coti_m_two_sum(e, third.v_hi, v_low);
    return out;
}

/* 64 zero bits, then 2/pi: enough for every exponent. */
static LLVMValueRef two_over_pi(coti_emit *e) {
    static const uint64_t word[] = {
        UINT64_C(0x0000000000000000), UINT64_C(0xa2f9836e4e441529), UINT64_C(0xfc2757d1f534ddc0),
        UINT64_C(0xdb6295993c439041), UINT64_C(0xfe5163abdebbc561), UINT64_C(0xb7246e3a424dd2e0),
        UINT64_C(0x06492eea09d1921c), UINT64_C(0xfe1deb1cb129a73e), UINT64_C(0xe88235f52ebb4484),
        UINT64_C(0xe99c7026b45f7e41), UINT64_C(0x3991d639835339f4), UINT64_C(0x9c845f8bbdf9283b),
        UINT64_C(0x1ff897ffde05980f), UINT64_C(0xef2f118b5a0a6d1f), UINT64_C(0x6d367ecf27cb09b7),
        UINT64_C(0x4f463f669e5fea2d), UINT64_C(0x7527bac7ebe5f17b), UINT64_C(0x3d0739f78a5292ea),
        UINT64_C(0x6bfb5fb11f8d5d08), UINT64_C(0x56033046fc7b6bab)};
    enum { N = sizeof word / sizeof *word };
    static const char name[] = "coti_two_over_pi";
    LLVMValueRef v_table = LLVMGetNamedGlobal(e->module, name), v_word[N];
    if (v_table == NULL) {
        for (int32_t i = 0; i < N; i++) {
            v_word[i] = LLVMConstInt(e->t_i64, word[i], false);
        }
        v_table = LLVMAddGlobal(e->module, LLVMArrayType2(e->t_i64, N), name);
        LLVMSetInitializer(v_table, LLVMConstArray2(e->t_i64, v_word, N));
        LLVMSetGlobalConstant(v_table, true);
        LLVMSetLinkage(v_table, LLVMInternalLinkage);
    }
    return v_table;
}

/* ---- scalar integers ---- */

static LLVMValueRef integer(LLVMValueRef v_like, int64_t value) {
    return LLVMConstInt(LLVMTypeOf(v_like), (unsigned long long)value, true);
}

static LLVMValueRef shift_right(coti_emit *e, LLVMValueRef v_x, int64_t bits) {
    return LLVMBuildLShr(e->builder, v_x, integer(v_x, bits), "");
}

static LLVMValueRef shift_left(coti_emit *e, LLVMValueRef v_x, int64_t bits) {
    return LLVMBuildShl(e->builder, v_x, integer(v_x, bits), "");
}

static LLVMValueRef low_word(coti_emit *e, LLVMValueRef v_x) {
    return LLVMBuildTrunc(e->builder, v_x, e->t_i64, "");
}

/* 64 bits of 2/pi from bit `v_bit` (i64) plus 64 * i on, as i128. */
static LLVMValueRef window(coti_emit *e, LLVMValueRef v_bit, int32_t i, LLVMTypeRef t_i128) {
    LLVMTypeRef type = e->t_i64;
    LLVMValueRef v_table = two_over_pi(e), v_at = shift_right(e, v_bit, 6);
    LLVMValueRef v_arg[3] = {NULL, NULL, v_bit};
    for (int32_t k = 0; k < 2; k++) {
        LLVMValueRef v_index = LLVMBuildAdd(e->builder, v_at, coti_l_i64(e, i + k), "");
        v_arg[k] = coti_l_load(e, type, coti_l_element(e, type, v_table, v_index, ""), "");
    }
    /* The shift counts modulo 64. */
    LLVMValueRef v_word = coti_l_intrinsic(e, "llvm.fshl", &type, 1, v_arg, 3, "");
    return LLVMBuildZExt(e->builder, v_word, t_i128, "");
}

/*
 * x 2/pi modulo 4 in units of 2^-126, as i128, for the bits of LARGE <= x < inf; of other numbers
 * something, without harm. x = m 2^q with 53 bits of m: of 2/pi, bits of weight 2^(2-q) and more
 * give multiples of 4, and those from the 192nd after them on less than 2^-137.
 */
static LLVMValueRef quarters(coti_emit *e, LLVMValueRef v_bits) {
    LLVMTypeRef t_i128 = LLVMIntTypeInContext(e->llvm, 128);
    LLVMValueRef v_lowest = coti_l_i64(e, 1023 + 20), v_highest = coti_l_i64(e, 2046);
    LLVMValueRef v_exponent = shift_right(e, v_bits, 52);
    LLVMValueRef v_test = LLVMBuildICmp(e->builder, LLVMIntULT, v_exponent, v_lowest, "");
    v_exponent = coti_l_select(e, v_test, v_lowest, v_exponent, "");
    v_test = LLVMBuildICmp(e->builder, LLVMIntUGT, v_exponent, v_highest, "");
    v_exponent = coti_l_select(e, v_test, v_highest, v_exponent, "");
    LLVMValueRef v_m = LLVMBuildAnd(e->builder, v_bits, coti_l_i64(e, (INT64_C(1) << 52) - 1), "");
    v_m = LLVMBuildOr(e->builder, v_m, coti_l_i64(e, INT64_C(1) << 52), "");
    v_m = LLVMBuildZExt(e->builder, v_m, t_i128, "");
    /* q = exponent - 1075; the table's bit i weighs 2^(63-i), so weight 2^(1-q) is bit q + 62. */
    LLVMValueRef v_bit = LLVMBuildAdd(e->builder, v_exponent, coti_l_i64(e, 62 - 1075), "");
    LLVMValueRef v_part[3];
    for (int32_t i = 0; i < 3; i++) {
        v_part[i] = LLVMBuildMul(e->builder, v_m, window(e, v_bit, i, t_i128), "");
    }
    LLVMValueRef v_sum = LLVMBuildAdd(e->builder, v_part[1], shift_right(e, v_part[2], 64), "");
    return LLVMBuildAdd(e->builder, shift_left(e, v_part[0], 64), v_sum, "");
}

/* i / 2^128 of an i128 as a pair of f64 of 53 bits each, for i < 2^127. */
static coti_pair fraction(coti_emit *e, LLVMValueRef v_i) {
    LLVMTypeRef type = LLVMTypeOf(v_i);
    LLVMValueRef v_arg[] = {v_i, LLVMConstInt(e->t_i1, 0, false)};
    LLVMValueRef v_zeros = coti_l_intrinsic(e, "llvm.ctlz", &type, 1, v_arg, 2, "");
    v_zeros = LLVMBuildAnd(e->builder, v_zeros, integer(v_zeros, 127), "");
    LLVMValueRef v_full = LLVMBuildShl(e->builder, v_i, v_zeros, "");
    LLVMValueRef v_word[2] = {low_word(e, shift_right(e, v_full, 75)),
                              low_word(e, shift_right(e, v_full, 22))};
    v_word[1] = LLVMBuildAnd(e->builder, v_word[1], coti_l_i64(e, (INT64_C(1) << 53) - 1), "");
    LLVMValueRef v_real[2];
    for (int32_t k = 0; k < 2; k++) {
        /* Times 2^-(53 + zeros), or 53 more. */
        LLVMValueRef v_power =
            LLVMBuildSub(e->builder, coti_l_i64(e, 1023 - 53 * (k + 1)), low_word(e, v_zeros), "");
        v_power = LLVMBuildBitCast(e->builder, shift_left(e, v_power, 52), e->t_f64, "");
        v_real[k] = LLVMBuildSIToFP(e->builder, v_word[k], e->t_f64, "");
        v_real[k] = coti_m_mul(e, v_real[k], v_power);
    }
    return (coti_pair){v_real[0], v_real[1]};
}

/* n and r / (pi/2) of one number, given its bits. */
static reduced reduce_lane(coti_emit *e, LLVMValueRef v_bits) {
    LLVMValueRef v_quarters = quarters(e, v_bits);
    /* Half a quarter more, and the top two bits are n rounded to nearest; what is left, less n, is
     * a signed fraction. */
    LLVMValueRef v_half = shift_left(e, integer(v_quarters, 1), 125);
    LLVMValueRef v_n = LLVMBuildAdd(e->builder, v_quarters, v_half, "");
    v_n = low_word(e, shift_right(e, v_n, 126));
    LLVMValueRef v_rest = shift_left(e, v_quarters, 2);
    LLVMValueRef v_negative = LLVMBuildICmp(e->builder, LLVMIntSLT, v_rest, integer(v_rest, 0), "");
    LLVMValueRef v_minus = LLVMBuildNeg(e->builder, v_rest, "");
    coti_pair r = fraction(e, coti_l_select(e, v_negative, v_minus, v_rest, ""));
    r.v_hi = coti_l_select(e, v_negative, coti_m_neg(e, r.v_hi), r.v_hi, "");
    r.v_lo = coti_l_select(e, v_negative, coti_m_neg(e, r.v_lo), r.v_lo, "");
    return (reduced){v_n, r};
}

/* r = f pi/2, of a pair f of |f| <= 1/2. */
static coti_pair times_half_pi(coti_emit *e, coti_pair f) {
    LLVMValueRef v_high = coti_l_number_like(f.v_hi, HALF_PI_HIGH);
    coti_pair product = coti_m_two_product(e, f.v_hi, v_high);
    LLVMValueRef v_low = coti_l_fma(e, f.v_lo, v_high, product.v_lo, "");
    v_low = coti_l_fma(e, f.v_hi, coti_l_number_like(f.v_hi, HALF_PI_LOW), v_low, "");
    return coti_m_fast_two_sum(e, product.v_hi, v_low);
}

/* The slow reduction of every lane; those that v_large has off keep what they are. */
static reduced reduce_large(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_large, reduced small) {
    LLVMValueRef v_bits = coti_m_bits(e, v_x);
    LLVMTypeRef type[] = {LLVMTypeOf(v_bits), LLVMTypeOf(v_x), LLVMTypeOf(v_x)};
    coti_loop lane;
    coti_loop_begin(e, &lane, coti_l_i64(e, 0), coti_l_i64(e, coti_l_lanes(v_x)), 1, "lane");
    LLVMValueRef v_carry[3];
    for (int32_t i = 0; i < 3; i++) {
        v_carry[i] = coti_loop_carry(e, &lane, LLVMGetPoison(type[i]), "v_carry");
    }
    reduced one = reduce_lane(e, LLVMBuildExtractElement(e->builder, v_bits, lane.v_i, ""));
    LLVMValueRef v_new[] = {one.v_n, one.r.v_hi, one.r.v_lo};
    for (int32_t i = 0; i < 3; i++) {
        v_new[i] = LLVMBuildInsertElement(e->builder, v_carry[i], v_new[i], lane.v_i, "");
        coti_loop_next(&lane, i, v_new[i]);
    }
    coti_loop_end(e, &lane);
    coti_pair r = times_half_pi(e, (coti_pair){lane.v_result[1], lane.v_result[2]});
    return (reduced){coti_l_select(e, v_large, lane.v_result[0], small.v_n, ""),
                     {coti_l_select(e, v_large, r.v_hi, small.r.v_hi, ""),
                      coti_l_select(e, v_large, r.v_lo, small.r.v_lo, "")}};
}

/* x >= 0. The slow reduction is behind a branch. */
static reduced reduce(coti_emit *e, LLVMValueRef v_x) {
    int32_t lanes = coti_l_lanes(v_x);
    reduced small = reduce_small(e, v_x);
    LLVMValueRef v_large = LLVMBuildAnd(e->builder, coti_m_test(e, LLVMRealOGE, v_x, LARGE),
                                        coti_m_test(e, LLVMRealOLT, v_x, __builtin_inf()), "");
    LLVMTypeRef t_mask = LLVMIntTypeInContext(e->llvm, (unsigned)lanes);
    LLVMValueRef v_mask = LLVMBuildBitCast(e->builder, v_large, t_mask, "");
    LLVMValueRef v_any =
        LLVMBuildICmp(e->builder, LLVMIntNE, v_mask, LLVMConstNull(t_mask), "v_any");
    LLVMBasicBlockRef b_slow = coti_l_block(e, "slow"), b_reduced = coti_l_block(e, "reduced");
    LLVMBasicBlockRef b_from[2] = {coti_l_here(e), NULL};
    LLVMBuildCondBr(e->builder, v_any, b_slow, b_reduced);
    LLVMPositionBuilderAtEnd(e->builder, b_slow);
    reduced large = reduce_large(e, v_x, v_large, small);
    b_from[1] = coti_l_here(e);
    LLVMBuildBr(e->builder, b_reduced);
    LLVMPositionBuilderAtEnd(e->builder, b_reduced);
    LLVMValueRef v_from[3][2] = {
        {small.v_n, large.v_n}, {small.r.v_hi, large.r.v_hi}, {small.r.v_lo, large.r.v_lo}};
    LLVMValueRef v_phi[3];
    for (int32_t i = 0; i < 3; i++) {
        v_phi[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(v_from[i][0]), "v_reduced");
        LLVMAddIncoming(v_phi[i], v_from[i], b_from, 2);
    }
    return (reduced){v_phi[0], {v_phi[1], v_phi[2]}};
}

/* ---- sin and cos of r ---- */

static LLVMValueRef sin_near(coti_emit *e, coti_pair r) {
    /* sin(x) / x = 1 + S1 x^2 + ... + S6 x^12, 2^-58: msun, k_sin.c. */
    static const double c[] = {8.33333333332248946124e-03, -1.98412698298579493134e-04,
                               2.75573137070700676789e-06, -2.50507602534068634195e-08,
                               1.58969099521155010221e-10};
    LLVMValueRef v_x = r.v_hi, v_y = r.v_lo;
    LLVMValueRef v_z = coti_m_mul(e, v_x, v_x), v_cube = coti_m_mul(e, v_z, v_x);
    LLVMValueRef v_more = coti_m_mul(e, v_cube, COTI_POLYNOMIAL(e, v_z, c));
    /* x - ((z (y / 2 - x^3 p) - y) - x^3 S1) */
    LLVMValueRef v_half = coti_m_mul(e, v_y, coti_l_number_like(v_y, 0.5));
    LLVMValueRef v_rest = coti_m_mul(e, v_z, coti_m_sub(e, v_half, v_more));
    v_rest = coti_m_sub(e, v_rest, v_y);
    LLVMValueRef v_s1 = coti_l_number_like(v_x, 1.66666666666666324348e-01);
    return coti_m_sub(e, v_x, coti_l_fma(e, v_cube, v_s1, v_rest, ""));
}

static LLVMValueRef cos_near(coti_emit *e, coti_pair r) {
    /* cos(x) = 1 - x^2 / 2 + C1 x^4 + ... + C6 x^14, 2^-58: msun, k_cos.c. */
    static const double c[] = {4.16666666666666019037e-02, -1.38888888888741095749e-03,
                               2.48015872894767294178e-05, -2.75573143513906633035e-07,
                               2.08757232129817482790e-09, -1.13596475577881948265e-11};
    LLVMValueRef v_x = r.v_hi, v_one = coti_l_number_like(v_x, 1);
    LLVMValueRef v_z = coti_m_mul(e, v_x, v_x);
    LLVMValueRef v_half = coti_m_mul(e, v_z, coti_l_number_like(v_z, 0.5));
    LLVMValueRef v_square = coti_m_mul(e, v_z, v_z);
    LLVMValueRef v_rest = coti_m_mul(e, v_square, COTI_POLYNOMIAL(e, v_z, c));
    v_rest = coti_m_sub(e, v_rest, coti_m_mul(e, v_x, r.v_lo));
    LLVMValueRef v_near = coti_m_sub(e, v_one, v_half);
    LLVMValueRef v_lost = coti_m_sub(e, coti_m_sub(e, v_one, v_near), v_half);
    return coti_m_add(e, v_near, coti_m_add(e, v_lost, v_rest));
}

/* Are bits of an i64 set? */
static LLVMValueRef has_bit(coti_emit *e, LLVMValueRef v_n, int64_t bit) {
    LLVMValueRef v_bit = LLVMBuildAnd(e->builder, v_n, coti_l_integer_like(v_n, bit), "");
    return LLVMBuildICmp(e->builder, LLVMIntNE, v_bit, coti_l_integer_like(v_n, 0), "");
}

/* sin(n pi/2 + r). */
static LLVMValueRef sin_quarter(coti_emit *e, LLVMValueRef v_n, coti_pair r) {
    LLVMValueRef v_sin = coti_l_select(e, has_bit(e, v_n, 1), cos_near(e, r), sin_near(e, r), "");
    return coti_l_select(e, has_bit(e, v_n, 2), coti_m_neg(e, v_sin), v_sin, "");
}

static LLVMValueRef nan_at_inf(coti_emit *e, LLVMValueRef v_abs, LLVMValueRef v_else) {
    return coti_m_where(e, LLVMRealOEQ, v_abs, __builtin_inf(), __builtin_nan(""), v_else);
}

/* Largest error 0.77 ulp. Odd, to the sign of zero. */
LLVMValueRef coti_m_sin(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_abs = coti_m_abs(e, v_x[0]);
    reduced x = reduce(e, v_abs);
    LLVMValueRef v_bits = coti_m_bits(e, sin_quarter(e, x.v_n, x.r));
    LLVMValueRef v_sign = LLVMBuildAnd(e->builder, coti_m_bits(e, v_x[0]),
                                       coti_l_integer_like(v_bits, INT64_MIN), "");
    LLVMValueRef v_sin = coti_m_real(e, LLVMBuildXor(e->builder, v_bits, v_sign, ""));
    return nan_at_inf(e, v_abs, v_sin);
}

/* Largest error 0.73 ulp. */
LLVMValueRef coti_m_cos(coti_emit *e, const LLVMValueRef *v_x) {
    LLVMValueRef v_abs = coti_m_abs(e, v_x[0]);
    reduced x = reduce(e, v_abs);
    LLVMValueRef v_n = LLVMBuildAdd(e->builder, x.v_n, coti_l_integer_like(x.v_n, 1), "");
    return nan_at_inf(e, v_abs, sin_quarter(e, v_n, x.r));
}

/* ---- normal numbers ---- */

/*
 * sqrt(-2 log(u1)) times cos(2 pi u2), or sin(2 pi u2) where `which` is 1 rather than 0: Box and
 * Muller's pair. 4 u2 = n + f is exact, as u2 has 24 bits.
 */
LLVMValueRef coti_m_normal(coti_emit *e, const LLVMValueRef *v_arg) {
    LLVMValueRef v_u = coti_m_mul(e, v_arg[1], coti_l_number_like(v_arg[1], 4)), v_n = NULL;
    LLVMValueRef v_f = coti_m_sub(e, v_u, coti_m_round(e, v_u, &v_n));
    coti_pair r = times_half_pi(e, (coti_pair){v_f, coti_l_number_like(v_f, 0)});
    LLVMValueRef v_sin = coti_m_test(e, LLVMRealOGT, v_arg[2], 0.5);
    LLVMValueRef v_cos_n = LLVMBuildAdd(e->builder, v_n, coti_l_integer_like(v_n, 1), "");
    LLVMValueRef v_turn = sin_quarter(e, coti_l_select(e, v_sin, v_n, v_cos_n, ""), r);
    LLVMValueRef v_log = coti_m_log(e, v_arg);
    LLVMValueRef v_square = coti_m_mul(e, v_log, coti_l_number_like(v_log, -2));
    LLVMTypeRef type = LLVMTypeOf(v_square);
    LLVMValueRef v_radius = coti_l_intrinsic(e, "llvm.sqrt", &type, 1, &v_square, 1, "");
    return coti_m_mul(e, v_radius, v_turn);
}
