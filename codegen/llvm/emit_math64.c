/*
 * Functions on vectors of f64: their frame, and the arithmetic that they are made of.
 *
 * Unlike those of f32 these are not put where they are used. A function of f64 is some hundred
 * operations on up to eight registers for a vector of the kernel's lanes: instead, the module gets
 * one internal function for vectors of one register, which is called for each part of the vector.
 * That bounds the time that LLVM needs, and leaves room for a branch around what is rare. The
 * functions touch no memory of the caller's, so equal calls are one.
 *
 * An element's bits depend on nothing but its own operands, and on whether the target has fma.
 */
#include "emit_math64.h"

#include <string.h>

/* ---- arithmetic ---- */

LLVMValueRef coti_m_add(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFAdd(e->builder, v_a, v_b, "");
}

LLVMValueRef coti_m_sub(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFSub(e->builder, v_a, v_b, "");
}

LLVMValueRef coti_m_mul(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFMul(e->builder, v_a, v_b, "");
}

LLVMValueRef coti_m_div(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildFDiv(e->builder, v_a, v_b, "");
}

LLVMValueRef coti_m_neg(coti_emit *e, LLVMValueRef v_a) {
    return LLVMBuildFNeg(e->builder, v_a, "");
}

LLVMValueRef coti_m_abs(coti_emit *e, LLVMValueRef v_a) {
    LLVMTypeRef type = LLVMTypeOf(v_a);
    return coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_a, 1, "");
}

LLVMValueRef coti_m_test(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double c) {
    return LLVMBuildFCmp(e->builder, predicate, v_x, coti_l_number_like(v_x, c), "");
}

LLVMValueRef coti_m_where(coti_emit *e, LLVMRealPredicate predicate, LLVMValueRef v_x, double limit,
                          double c, LLVMValueRef v_else) {
    LLVMValueRef v_test = coti_m_test(e, predicate, v_x, limit);
    return coti_l_select(e, v_test, coti_l_number_like(v_x, c), v_else, "");
}

LLVMValueRef coti_m_copy_sign(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_y) {
    LLVMTypeRef type = LLVMTypeOf(v_x);
    return coti_l_intrinsic(e, "llvm.copysign", &type, 1, (LLVMValueRef[]){v_x, v_y}, 2, "");
}

LLVMValueRef coti_m_polynomial(coti_emit *e, LLVMValueRef v_x, const double *c, int32_t n) {
    LLVMValueRef v_sum = coti_l_number_like(v_x, c[n - 1]);
    for (int32_t k = n - 2; k >= 0; k--) {
        v_sum = coti_l_fma(e, v_sum, v_x, coti_l_number_like(v_x, c[k]), "");
    }
    return v_sum;
}

/* ---- bits and integers ---- */

/* Adding and subtracting it rounds |x| < 2^51 to an integer, to nearest even; its bits. */
#define ROUNDER 0x1.8p52
#define ROUNDER_BITS INT64_C(0x4338000000000000)

LLVMValueRef coti_m_bits(coti_emit *e, LLVMValueRef v_real) {
    LLVMTypeRef type = coti_l_vector_type(e->t_i64, coti_l_lanes(v_real));
    return LLVMBuildBitCast(e->builder, v_real, type, "");
}

LLVMValueRef coti_m_real(coti_emit *e, LLVMValueRef v_bits) {
    LLVMTypeRef type = coti_l_vector_type(e->t_f64, coti_l_lanes(v_bits));
    return LLVMBuildBitCast(e->builder, v_bits, type, "");
}

LLVMValueRef coti_m_round(coti_emit *e, LLVMValueRef v_x, LLVMValueRef *v_int_out) {
    LLVMValueRef v_rounder = coti_l_number_like(v_x, ROUNDER);
    LLVMValueRef v_t = coti_m_add(e, v_x, v_rounder);
    LLVMValueRef v_bits = coti_m_bits(e, v_t);
    *v_int_out = LLVMBuildSub(e->builder, v_bits, coti_l_integer_like(v_bits, ROUNDER_BITS), "");
    return coti_m_sub(e, v_t, v_rounder);
}

LLVMValueRef coti_m_from_int(coti_emit *e, LLVMValueRef v_int) {
    LLVMValueRef v_bits =
        LLVMBuildAdd(e->builder, v_int, coti_l_integer_like(v_int, ROUNDER_BITS), "");
    LLVMValueRef v_real = coti_m_real(e, v_bits);
    return coti_m_sub(e, v_real, coti_l_number_like(v_real, ROUNDER));
}

LLVMValueRef coti_m_power_of_two(coti_emit *e, LLVMValueRef v_n) {
    LLVMValueRef v_biased = LLVMBuildAdd(e->builder, v_n, coti_l_integer_like(v_n, 1023), "");
    return coti_m_real(e, LLVMBuildShl(e->builder, v_biased, coti_l_integer_like(v_n, 52), ""));
}

LLVMValueRef coti_m_scale(coti_emit *e, LLVMValueRef v_p, LLVMValueRef v_n) {
    LLVMValueRef v_half = LLVMBuildAShr(e->builder, v_n, coti_l_integer_like(v_n, 1), "");
    LLVMValueRef v_rest = LLVMBuildSub(e->builder, v_n, v_half, "");
    LLVMValueRef v_scaled = coti_m_mul(e, v_p, coti_m_power_of_two(e, v_half));
    return coti_m_mul(e, v_scaled, coti_m_power_of_two(e, v_rest));
}

/* ---- pairs ---- */

coti_pair coti_m_two_sum(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    LLVMValueRef v_sum = coti_m_add(e, v_a, v_b);
    LLVMValueRef v_of_b = coti_m_sub(e, v_sum, v_a);
    LLVMValueRef v_of_a = coti_m_sub(e, v_sum, v_of_b);
    LLVMValueRef v_lost = coti_m_add(e, coti_m_sub(e, v_a, v_of_a), coti_m_sub(e, v_b, v_of_b));
    return (coti_pair){v_sum, v_lost};
}

coti_pair coti_m_fast_two_sum(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    LLVMValueRef v_sum = coti_m_add(e, v_a, v_b);
    return (coti_pair){v_sum, coti_m_sub(e, v_b, coti_m_sub(e, v_sum, v_a))};
}

/* a as a sum of two numbers of 26 bits (Veltkamp). */
static coti_pair split(coti_emit *e, LLVMValueRef v_a) {
    LLVMValueRef v_big = coti_m_mul(e, v_a, coti_l_number_like(v_a, 0x1p27 + 1));
    LLVMValueRef v_hi = coti_m_sub(e, v_big, coti_m_sub(e, v_big, v_a));
    return (coti_pair){v_hi, coti_m_sub(e, v_a, v_hi)};
}

coti_pair coti_m_two_product(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    LLVMValueRef v_product = coti_m_mul(e, v_a, v_b);
    if (e->target->fma) {
        LLVMValueRef v_lost = coti_l_fma(e, v_a, v_b, coti_m_neg(e, v_product), "");
        return (coti_pair){v_product, v_lost};
    }
    coti_pair a = split(e, v_a), b = split(e, v_b);
    LLVMValueRef v_lost = coti_m_sub(e, coti_m_mul(e, a.v_hi, b.v_hi), v_product);
    v_lost = coti_m_add(e, v_lost, coti_m_mul(e, a.v_hi, b.v_lo));
    v_lost = coti_m_add(e, v_lost, coti_m_mul(e, a.v_lo, b.v_hi));
    return (coti_pair){v_product, coti_m_add(e, v_lost, coti_m_mul(e, a.v_lo, b.v_lo))};
}

/* ---- functions of the module ---- */

typedef LLVMValueRef (*function_body)(coti_emit *e, const LLVMValueRef *v_arg);

enum { MAX_ARGS = 3 };

static const struct {
    const char *name;
    function_body body;
    int32_t n_args;
} functions[] = {
    [COTI_MATH64_EXP] = {"coti_exp", coti_m_exp, 1},
    [COTI_MATH64_EXPM1] = {"coti_expm1", coti_m_expm1, 1},
    [COTI_MATH64_LOG] = {"coti_log", coti_m_log, 1},
    [COTI_MATH64_LOG1P] = {"coti_log1p", coti_m_log1p, 1},
    [COTI_MATH64_TANH] = {"coti_tanh", coti_m_tanh, 1},
    [COTI_MATH64_SIGMOID] = {"coti_sigmoid", coti_m_sigmoid, 1},
    [COTI_MATH64_SOFTPLUS] = {"coti_softplus", coti_m_softplus, 1},
    [COTI_MATH64_ERF] = {"coti_erf", coti_m_erf, 1},
    [COTI_MATH64_ERFC] = {"coti_erfc", coti_m_erfc, 1},
    [COTI_MATH64_GELU] = {"coti_gelu", coti_m_gelu, 1},
    [COTI_MATH64_SIN] = {"coti_sin", coti_m_sin, 1},
    [COTI_MATH64_COS] = {"coti_cos", coti_m_cos, 1},
    [COTI_MATH64_POW] = {"coti_pow", coti_m_pow, 2},
    [COTI_MATH64_NORMAL] = {"coti_normal", coti_m_normal, 3},
};

/* Lanes of one register. */
static int32_t register_lanes(const coti_emit *e) {
    return e->target->lanes / 2;
}

/* Pure, so that equal calls are one; never seen outside its module. */
static void set_function(coti_emit *e, LLVMValueRef v_function) {
    static const char *const attributes[] = {"nounwind", "willreturn", "memory"};
    LLVMSetLinkage(v_function, LLVMInternalLinkage);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        unsigned kind = LLVMGetEnumAttributeKindForName(attributes[i], strlen(attributes[i]));
        /* 0: of "memory", none. */
        LLVMAddAttributeAtIndex(v_function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                LLVMCreateEnumAttribute(e->llvm, kind, 0));
    }
}

/* The module's function, emitted at its first use. The builder stays where it is. */
static LLVMValueRef get_function(coti_emit *e, coti_math64 which) {
    int32_t n = functions[which].n_args;
    LLVMValueRef v_function = LLVMGetNamedFunction(e->module, functions[which].name);
    if (v_function != NULL) {
        return v_function;
    }
    LLVMTypeRef type = coti_l_vector_type(e->t_f64, register_lanes(e));
    LLVMTypeRef argument[MAX_ARGS] = {type, type, type};
    v_function = LLVMAddFunction(e->module, functions[which].name,
                                 LLVMFunctionType(type, argument, (unsigned)n, false));
    set_function(e, v_function);
    LLVMBasicBlockRef b_caller = coti_l_here(e);
    LLVMValueRef v_caller = e->v_function, v_arg[MAX_ARGS] = {NULL};
    for (int32_t i = 0; i < n; i++) {
        v_arg[i] = LLVMGetParam(v_function, (unsigned)i);
    }
    e->v_function = v_function;
    LLVMPositionBuilderAtEnd(e->builder, coti_l_block(e, "entry"));
    LLVMBuildRet(e->builder, functions[which].body(e, v_arg));
    e->v_function = v_caller;
    LLVMPositionBuilderAtEnd(e->builder, b_caller);
    return v_function;
}

/* A vector narrower than a register in its low lanes; the others repeat lane 0. */
static LLVMValueRef widen(coti_emit *e, LLVMValueRef v_vector) {
    LLVMValueRef v_lane[COTI_LANES];
    int32_t have = coti_l_lanes(v_vector), width = register_lanes(e);
    for (int32_t l = 0; l < width; l++) {
        v_lane[l] = coti_l_i32(e, l < have ? l : 0);
    }
    return LLVMBuildShuffleVector(e->builder, v_vector, LLVMGetPoison(LLVMTypeOf(v_vector)),
                                  LLVMConstVector(v_lane, (unsigned)width), "");
}

/* Two vectors of the same width as one. */
static LLVMValueRef join(coti_emit *e, LLVMValueRef v_low, LLVMValueRef v_high) {
    LLVMValueRef v_both = coti_l_iota(e->t_i32, 2 * coti_l_lanes(v_low));
    return LLVMBuildShuffleVector(e->builder, v_low, v_high, v_both, "");
}

LLVMValueRef coti_emit_math64(coti_emit *e, coti_math64 which, const LLVMValueRef *v_arg) {
    LLVMValueRef v_function = get_function(e, which), v_part[COTI_LANES] = {NULL};
    int32_t lanes = coti_l_lanes(v_arg[0]), width = register_lanes(e);
    int32_t n = functions[which].n_args, parts = lanes > width ? lanes / width : 1;
    for (int32_t p = 0; p < parts; p++) {
        LLVMValueRef v_own[MAX_ARGS] = {NULL};
        for (int32_t i = 0; i < n; i++) {
            v_own[i] = lanes > width ? coti_l_slice(e, v_arg[i], p * width, width, "")
                                     : widen(e, v_arg[i]);
        }
        v_part[p] = LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(v_function), v_function,
                                   v_own, (unsigned)n, "");
    }
    for (; parts > 1; parts /= 2) {
        for (int32_t p = 0; p < parts / 2; p++) {
            v_part[p] = join(e, v_part[2 * p], v_part[2 * p + 1]);
        }
    }
    return coti_l_slice(e, v_part[0], 0, lanes, "");
}
