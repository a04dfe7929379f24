/*
 * sin and cos of f32, of every finite one, by way of f64: x = n pi/2 + r with |r| <= pi/4, then a
 * polynomial in r^2. The reduction uses products and sums that are exact, or rounded far below what
 * is needed, so that it gives the same bits with fma and without.
 *
 * Below 2^22 pi/2 is taken in two parts after Cody and Waite; from there on x times 2/pi is formed
 * modulo 8 from pieces of 2/pi, after Payne and Hanek (Muller, Handbook of Floating-Point
 * Arithmetic, 2nd ed., section 10.3.2). The second way is taken when any lane needs it, and used in
 * the lanes that do.
 *
 * Polynomials: our own minimax fits (Remez in 40 digits), coefficients rounded to f64 in turn;
 * errors as stated. The errors in ulp are those of scripts/sweep, with fma and without.
 */
#include "emit.h"

/* From here on arguments are huge. */
#define HUGE_FROM 0x1p22

/* Adding and subtracting it rounds a small double to an integer, to nearest even. */
#define ROUNDER 0x1.8p52
/* And to a multiple of 8, up to 2^54. */
#define ROUNDER_8 0x1.8p55

static LLVMValueRef number(LLVMValueRef v_like, double c) {
    return coti_l_number_like(v_like, c);
}

static LLVMValueRef add(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFAdd(e->builder, v_a, v_b, "");
}

static LLVMValueRef sub(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFSub(e->builder, v_a, v_b, "");
}

static LLVMValueRef mul(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFMul(e->builder, v_a, v_b, "");
}

/* x = n pi/2 + r, of f64. */
typedef struct quarters {
    LLVMValueRef v_n; /* n + ROUNDER: its lowest bits are n's */
    LLVMValueRef v_r;
} quarters;

/*
 * |x| < 2^22. n has 22 bits and the first part of pi/2 has 31, so that product and difference are
 * exact; the product with the second part is off by 2^-63, where |r| is at least 2^-31.
 */
static quarters reduce_small(coti_emit *e, LLVMValueRef v_x) {
    LLVMValueRef v_rounder = number(v_x, ROUNDER);
    quarters q = {add(e, mul(e, v_x, number(v_x, 0x1.45f306dc9c883p-1)), v_rounder), NULL};
    LLVMValueRef v_n = sub(e, q.v_n, v_rounder);
    LLVMValueRef v_first = sub(e, v_x, mul(e, v_n, number(v_x, 0x1.921fb544p+0)));
    q.v_r = sub(e, v_first, mul(e, v_n, number(v_x, 0x1.0b4611a626331p-34)));
    return q;
}

/* Pieces of 2/pi that are used, of so many, for one x; bits of a piece. */
enum { PIECES = 5, ALL_PIECES = 9, PIECE_BITS = 24 };

/*
 * Piece i of 2/pi for |x|: the first whose product with x is not a multiple of 4, and those behind
 * it. x is a multiple of 2^(e-23), piece k of 2^(-24(k+1)): piece 0 from 2^e with e < 49, piece 1
 * up to e < 73, and so on.
 */
static LLVMValueRef piece(coti_emit *e, const LLVMValueRef *v_from, LLVMValueRef v_like,
                          int32_t i) {
    static const double of_two_over_pi[ALL_PIECES] = {0xa2f983p-24,  0x6e4e44p-48,  0x1529fcp-72,
                                                      0x2757d1p-96,  0xf534ddp-120, 0xc0db62p-144,
                                                      0x95993cp-168, 0x439041p-192, 0xfe5163p-216};
    LLVMValueRef v_piece = number(v_like, of_two_over_pi[i]);
    for (int32_t k = 0; k < ALL_PIECES - PIECES; k++) {
        LLVMValueRef v_later = number(v_like, of_two_over_pi[i + k + 1]);
        v_piece = coti_l_select(e, v_from[k], v_later, v_piece, "");
    }
    return v_piece;
}

/* An exact product, less a multiple of 8. */
static LLVMValueRef modulo_8(coti_emit *e, LLVMValueRef v_p) {
    LLVMValueRef v_rounder = number(v_p, ROUNDER_8);
    return sub(e, v_p, sub(e, add(e, v_p, v_rounder), v_rounder));
}

/*
 * |x| >= 2^22, finite; infinities give NaN. The products are exact (48 bits). The first, at most
 * 2^49, and the second, at most 2^25, are multiples of 2^-46 and so is their sum below 8; the third
 * is below 2, the fourth below 2^-22, the fifth below 2^-46, and what is left out below 2^-70.
 */
static quarters reduce_huge(coti_emit *e, LLVMValueRef v_x) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    LLVMValueRef v_abs = coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_x, 1, "");
    static const double from[ALL_PIECES - PIECES] = {0x1p49, 0x1p73, 0x1p97, 0x1p121};
    LLVMValueRef v_from[ALL_PIECES - PIECES], v_product[PIECES];
    for (int32_t k = 0; k < ALL_PIECES - PIECES; k++) {
        v_from[k] = LLVMBuildFCmp(e->builder, LLVMRealOGE, v_abs, number(v_x, from[k]), "");
    }
    for (int32_t i = 0; i < PIECES; i++) {
        v_product[i] = mul(e, v_x, piece(e, v_from, v_x, i));
    }
    LLVMValueRef v_rounder = number(v_x, ROUNDER);
    LLVMValueRef v_sum = add(e, modulo_8(e, v_product[0]), modulo_8(e, v_product[1]));
    quarters q = {add(e, add(e, v_sum, v_product[2]), v_rounder), NULL};
    LLVMValueRef v_rest = sub(e, v_sum, sub(e, q.v_n, v_rounder));
    for (int32_t i = 2; i < PIECES; i++) {
        v_rest = add(e, v_rest, v_product[i]);
    }
    q.v_r = mul(e, v_rest, number(v_x, 0x1.921fb54442d18p+0));
    return q;
}

/* Any finite x, an f32 as f64. */
static quarters reduce(coti_emit *e, LLVMValueRef v_x) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    quarters small = reduce_small(e, v_x);
    LLVMValueRef v_abs = coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_x, 1, "");
    LLVMValueRef v_huge =
        LLVMBuildFCmp(e->builder, LLVMRealOGE, v_abs, number(v_x, HUGE_FROM), "v_huge");
    LLVMTypeRef t_mask = LLVMTypeOf(v_huge);
    LLVMValueRef v_any = coti_l_intrinsic(e, "llvm.vector.reduce.or", &t_mask, 1, &v_huge, 1, "");
    LLVMBasicBlockRef b_from[] = {coti_l_here(e), NULL};
    LLVMBasicBlockRef b_huge = coti_l_block(e, "huge"), b_done = coti_l_block(e, "reduced");
    LLVMBuildCondBr(e->builder, v_any, b_huge, b_done);
    LLVMPositionBuilderAtEnd(e->builder, b_huge);
    quarters large = reduce_huge(e, v_x);
    large.v_n = coti_l_select(e, v_huge, large.v_n, small.v_n, "");
    large.v_r = coti_l_select(e, v_huge, large.v_r, small.v_r, "");
    LLVMBuildBr(e->builder, b_done);
    b_from[1] = coti_l_here(e);
    LLVMPositionBuilderAtEnd(e->builder, b_done);
    quarters q = {LLVMBuildPhi(e->builder, type, "v_n"), LLVMBuildPhi(e->builder, type, "v_r")};
    LLVMAddIncoming(q.v_n, (LLVMValueRef[]){small.v_n, large.v_n}, b_from, 2);
    LLVMAddIncoming(q.v_r, (LLVMValueRef[]){small.v_r, large.v_r}, b_from, 2);
    return q;
}

/*
 * sin(x + ahead pi/2). In quarters of even number, counting those ahead, it is the sine of r, in
 * the others its cosine, each b (1 + r^2 p(r^2)) with b = r or 1; in the second two it is negative.
 */
static LLVMValueRef sine(coti_emit *e, LLVMValueRef v_x, int32_t ahead) {
    /* (sin(r) / r - 1) / r^2 in r^2, 2^-37.5 of sin(r); (cos(r) - 1) / r^2, 2^-33.8 of cos(r). */
    static const double s[] = {-0x1.5555554c71a0bp-3, 0x1.1111086a3e4b7p-7, -0x1.a00f7f0ca739bp-13,
                               0x1.6cd1ebfd7fa15p-19};
    static const double c[] = {-0x1.ffffffcb8206dp-2, 0x1.55553c7840522p-5, -0x1.6c07f144db2d2p-10,
                               0x1.9916970f26704p-16};
    enum { TERMS = sizeof s / sizeof *s };
    LLVMTypeRef t_wide = coti_l_vector_type(e->t_f64, coti_l_lanes(v_x));
    LLVMTypeRef t_bits = coti_l_vector_type(e->t_i64, coti_l_lanes(v_x));
    quarters q = reduce(e, LLVMBuildFPExt(e->builder, v_x, t_wide, ""));
    LLVMValueRef v_one = number(q.v_r, 1);
    LLVMValueRef v_n = LLVMBuildBitCast(e->builder, q.v_n, t_bits, "");
    v_n = LLVMBuildAdd(e->builder, v_n, coti_l_integer_like(v_n, ahead), "");
    LLVMValueRef v_odd =
        LLVMBuildTrunc(e->builder, v_n, coti_l_vector_type(e->t_i1, coti_l_lanes(v_x)), "v_odd");
    LLVMValueRef v_square = mul(e, q.v_r, q.v_r);
    LLVMValueRef v_sum = NULL;
    for (int32_t k = TERMS - 1; k >= 0; k--) {
        LLVMValueRef v_c = coti_l_select(e, v_odd, number(q.v_r, c[k]), number(q.v_r, s[k]), "");
        v_sum = v_sum == NULL ? v_c : coti_l_fma(e, v_sum, v_square, v_c, "");
    }
    LLVMValueRef v_factor = coti_l_fma(e, v_sum, v_square, v_one, "");
    LLVMValueRef v_sine = mul(e, coti_l_select(e, v_odd, v_one, q.v_r, ""), v_factor);
    /* The second bit of n as the sign. */
    LLVMValueRef v_sign = LLVMBuildShl(e->builder, v_n, coti_l_integer_like(v_n, 62), "");
    v_sign = LLVMBuildAnd(e->builder, v_sign, coti_l_integer_like(v_n, INT64_MIN), "");
    LLVMValueRef v_bits = LLVMBuildBitCast(e->builder, v_sine, t_bits, "");
    v_bits = LLVMBuildXor(e->builder, v_bits, v_sign, "");
    v_sine = LLVMBuildBitCast(e->builder, v_bits, t_wide, "");
    return LLVMBuildFPTrunc(e->builder, v_sine, LLVMTypeOf(v_x), "");
}

/* Errors below 0.502 ulp. A zero keeps its sign, infinities give NaN. */
LLVMValueRef coti_emit_sin(coti_emit *e, LLVMValueRef v_x) {
    return sine(e, v_x, 0);
}

/* Errors below 0.502 ulp. Infinities give NaN. */
LLVMValueRef coti_emit_cos(coti_emit *e, LLVMValueRef v_x) {
    return sine(e, v_x, 1);
}
