/*
 * Random numbers on vectors: Philox4x32-10 as runtime/base/philox.h defines it, to the bit. Each
 * lane works out the block of its own element and keeps the word that is its own.
 */
#include "emit.h"
#include "runtime/base/philox.h"

/* The state of one block a lane: <lanes x i32> each. */
typedef struct philox {
    LLVMValueRef v_counter[4], v_key[2];
} philox;

static LLVMValueRef low_word(coti_emit *e, LLVMValueRef v_wide) {
    LLVMTypeRef type = coti_l_vector_type(e->t_i32, coti_l_lanes(v_wide));
    return LLVMBuildTrunc(e->builder, v_wide, type, "");
}

static LLVMValueRef high_word(coti_emit *e, LLVMValueRef v_wide) {
    return low_word(e, LLVMBuildLShr(e->builder, v_wide, coti_l_integer_like(v_wide, 32), ""));
}

static LLVMValueRef multiply(coti_emit *e, LLVMValueRef v_word, uint32_t factor) {
    LLVMTypeRef type = coti_l_vector_type(e->t_i64, coti_l_lanes(v_word));
    LLVMValueRef v_wide = LLVMBuildZExt(e->builder, v_word, type, "");
    return LLVMBuildMul(e->builder, v_wide, coti_l_integer_like(v_wide, (int64_t)factor), "");
}

static LLVMValueRef xor3(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, LLVMValueRef v_c) {
    return LLVMBuildXor(e->builder, LLVMBuildXor(e->builder, v_a, v_b, ""), v_c, "");
}

static void philox_rounds(coti_emit *e, philox *p) {
    LLVMValueRef *c = p->v_counter, *k = p->v_key;
    for (int32_t round = 0; round < COTI_PHILOX_ROUNDS; round++) {
        LLVMValueRef v_p0 = multiply(e, c[0], COTI_PHILOX_M0);
        LLVMValueRef v_p1 = multiply(e, c[2], COTI_PHILOX_M1);
        c[0] = xor3(e, high_word(e, v_p1), c[1], k[0]);
        c[2] = xor3(e, high_word(e, v_p0), c[3], k[1]);
        c[1] = low_word(e, v_p1);
        c[3] = low_word(e, v_p0);
        k[0] = LLVMBuildAdd(e->builder, k[0], coti_l_integer_like(k[0], COTI_PHILOX_W0), "");
        k[1] = LLVMBuildAdd(e->builder, k[1], coti_l_integer_like(k[1], COTI_PHILOX_W1), "");
    }
}

/* The four words of the blocks that hold `v_element`. */
static philox philox_block(coti_emit *e, int64_t stream, LLVMValueRef v_seed, LLVMValueRef v_step,
                           LLVMValueRef v_element) {
    LLVMValueRef v_block =
        LLVMBuildLShr(e->builder, v_element, coti_l_integer_like(v_element, 2), "");
    coti_philox_key mix = coti_philox_make_key(0, (uint64_t)stream);
    LLVMValueRef v_low = low_word(e, v_seed), v_high = high_word(e, v_seed);
    philox p = {
        .v_counter = {low_word(e, v_block), high_word(e, v_block), low_word(e, v_step),
                      high_word(e, v_step)},
        .v_key = {LLVMBuildXor(e->builder, v_low, coti_l_integer_like(v_low, mix.k[0]), ""),
                  LLVMBuildXor(e->builder, v_high, coti_l_integer_like(v_high, mix.k[1]), "")}};
    philox_rounds(e, &p);
    return p;
}

/* Bit `bit` of each element number, as i1. */
static LLVMValueRef element_bit(coti_emit *e, LLVMValueRef v_element, int64_t bit) {
    LLVMValueRef v_bit =
        LLVMBuildAnd(e->builder, v_element, coti_l_integer_like(v_element, INT64_C(1) << bit), "");
    return LLVMBuildICmp(e->builder, LLVMIntNE, v_bit, coti_l_integer_like(v_element, 0), "");
}

/* (word >> 8) + plus, times 2^-24, as f32: exact. */
static LLVMValueRef unit_float(coti_emit *e, LLVMValueRef v_word, int64_t plus) {
    LLVMTypeRef type = coti_l_vector_type(e->t_f32, coti_l_lanes(v_word));
    v_word = LLVMBuildLShr(e->builder, v_word, coti_l_integer_like(v_word, 8), "");
    v_word = LLVMBuildAdd(e->builder, v_word, coti_l_integer_like(v_word, plus), "");
    LLVMValueRef v_real = LLVMBuildSIToFP(e->builder, v_word, type, "");
    return LLVMBuildFMul(e->builder, v_real, coti_l_number_like(v_real, 0x1p-24), "");
}

static LLVMValueRef uniform(coti_emit *e, const philox *p, LLVMValueRef v_element) {
    LLVMValueRef v_odd = element_bit(e, v_element, 0), v_upper = element_bit(e, v_element, 1);
    const LLVMValueRef *v_word = p->v_counter;
    LLVMValueRef v_mine =
        coti_l_select(e, v_upper, coti_l_select(e, v_odd, v_word[3], v_word[2], ""),
                      coti_l_select(e, v_odd, v_word[1], v_word[0], ""), "");
    return unit_float(e, v_mine, 0);
}

/* Box and Muller's pair of the element: the even one is r cos(t), the odd one r sin(t). */
static LLVMValueRef normal(coti_emit *e, const philox *p, LLVMValueRef v_element) {
    LLVMValueRef v_odd = element_bit(e, v_element, 0), v_upper = element_bit(e, v_element, 1);
    const LLVMValueRef *v_word = p->v_counter;
    LLVMValueRef v_u1 = unit_float(e, coti_l_select(e, v_upper, v_word[2], v_word[0], ""), 1);
    LLVMValueRef v_u2 = unit_float(e, coti_l_select(e, v_upper, v_word[3], v_word[1], ""), 0);
    LLVMValueRef v_log = coti_emit_log(e, v_u1);
    LLVMValueRef v_square = LLVMBuildFMul(e->builder, v_log, coti_l_number_like(v_log, -2), "");
    LLVMTypeRef type = LLVMTypeOf(v_square);
    LLVMValueRef v_radius = coti_l_intrinsic(e, "llvm.sqrt", &type, 1, &v_square, 1, "");
    LLVMValueRef v_sin = NULL, v_cos = NULL;
    coti_emit_sincos_2pi(e, v_u2, &v_sin, &v_cos);
    return LLVMBuildFMul(e->builder, v_radius, coti_l_select(e, v_odd, v_sin, v_cos, ""), "");
}

/* The same in f64, of the same words: the evaluator's numbers but for rounding. */
static LLVMValueRef normal_f64(coti_emit *e, const philox *p, LLVMValueRef v_element) {
    LLVMTypeRef type = coti_l_vector_type(e->t_f64, coti_l_lanes(v_element));
    LLVMValueRef v_odd = element_bit(e, v_element, 0), v_upper = element_bit(e, v_element, 1);
    const LLVMValueRef *v_word = p->v_counter;
    LLVMValueRef v_u1 = unit_float(e, coti_l_select(e, v_upper, v_word[2], v_word[0], ""), 1);
    LLVMValueRef v_u2 = unit_float(e, coti_l_select(e, v_upper, v_word[3], v_word[1], ""), 0);
    LLVMValueRef v_arg[] = {LLVMBuildFPExt(e->builder, v_u1, type, ""),
                            LLVMBuildFPExt(e->builder, v_u2, type, ""),
                            LLVMBuildUIToFP(e->builder, v_odd, type, "")};
    return coti_emit_math64(e, COTI_MATH64_NORMAL, v_arg);
}

LLVMValueRef coti_emit_random(coti_emit *e, const coti_expr *expr, LLVMValueRef v_seed,
                              LLVMValueRef v_step, LLVMValueRef v_element) {
    LLVMTypeRef type = coti_l_vector_type(e->t_value[expr->dtype], coti_l_lanes(v_element));
    bool is_f64 = expr->dtype == COT_F64;
    if (expr->dtype != COT_F32 && !is_f64) {
        coti_emit_fail(e, COT_E_UNSUPPORTED, "random numbers have no kernel for %s",
                       cot_dtype_name(expr->dtype));
        return LLVMGetPoison(type);
    }
    philox p = philox_block(e, expr->integer, v_seed, v_step, v_element);
    if (expr->distribution == COT_NORMAL) {
        return is_f64 ? normal_f64(e, &p, v_element) : normal(e, &p, v_element);
    }
    LLVMValueRef v_random = uniform(e, &p, v_element);
    return is_f64 ? LLVMBuildFPExt(e->builder, v_random, type, "") : v_random;
}
