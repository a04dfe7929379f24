/*
 * The elementwise ops on vectors: one rule a row of the op table, pasted from it, so that an
 * elementwise op without a rule here does not compile. Semantics are ops.def's and the reference
 * evaluator's, to the bit but for the functions (emit_math.c states their errors). Floats are
 * compared and combined without fast-math flags: NaN, infinities and the signs of zeros are kept.
 */
#include "emit.h"

/* An op's operands, and what they are. */
typedef struct op_call {
    const coti_expr *expr;
    cot_dtype dtype;  /* of the first operand; of both, but for SELECT */
    bool real;        /* float operands */
    bool is_signed;   /* signed integer operands (u8 and bool are not) */
    LLVMTypeRef type; /* of the first operand */
    LLVMTypeRef result;
    LLVMValueRef v[3];
} op_call;

typedef LLVMValueRef (*op_rule)(coti_emit *e, const op_call *call);

static LLVMValueRef unsupported(coti_emit *e, const op_call *call) {
    coti_emit_fail(e, COT_E_UNSUPPORTED, "%s has no kernel for %s", cot_op_name(call->expr->op),
                   cot_dtype_name(call->dtype));
    return LLVMGetPoison(call->result);
}

/* A constant of the operands' type. */
static LLVMValueRef constant(const op_call *call, int32_t value) {
    return call->real ? coti_l_number_like(call->v[0], value)
                      : coti_l_integer_like(call->v[0], value);
}

/* ---- arithmetic ---- */

static LLVMValueRef coti_emit_ADD(coti_emit *e, const op_call *call) {
    return call->real ? LLVMBuildFAdd(e->builder, call->v[0], call->v[1], "")
                      : LLVMBuildAdd(e->builder, call->v[0], call->v[1], "");
}
static LLVMValueRef coti_emit_SUB(coti_emit *e, const op_call *call) {
    return call->real ? LLVMBuildFSub(e->builder, call->v[0], call->v[1], "")
                      : LLVMBuildSub(e->builder, call->v[0], call->v[1], "");
}
static LLVMValueRef coti_emit_MUL(coti_emit *e, const op_call *call) {
    return call->real ? LLVMBuildFMul(e->builder, call->v[0], call->v[1], "")
                      : LLVMBuildMul(e->builder, call->v[0], call->v[1], "");
}
/*
 * LLVM 19 takes a lane in which both operands are known to be 0 for one whose quotient is 0, and
 * leaves out the select that would have made it so: 0 / 0 in a masked lane then joins a sum. The
 * fence, which costs no instruction, keeps it from knowing the divisor.
 */
static LLVMValueRef coti_emit_DIV(coti_emit *e, const op_call *call) {
    if (!call->real) {
        return unsupported(e, call);
    }
    LLVMValueRef v_divisor = call->v[1];
    if (!LLVMIsConstant(v_divisor)) {
        LLVMTypeRef type = LLVMTypeOf(v_divisor);
        v_divisor = coti_l_intrinsic(e, "llvm.arithmetic.fence", &type, 1, &v_divisor, 1, "");
    }
    return LLVMBuildFDiv(e->builder, call->v[0], v_divisor, "");
}
static LLVMValueRef coti_emit_NEG(coti_emit *e, const op_call *call) {
    return call->real ? LLVMBuildFNeg(e->builder, call->v[0], "")
                      : LLVMBuildNeg(e->builder, call->v[0], "");
}

/* ---- comparisons: false with a NaN, NE true ---- */

static LLVMValueRef compare(coti_emit *e, const op_call *call, LLVMRealPredicate real,
                            LLVMIntPredicate is_signed, LLVMIntPredicate is_unsigned) {
    if (call->real) {
        return LLVMBuildFCmp(e->builder, real, call->v[0], call->v[1], "");
    }
    return LLVMBuildICmp(e->builder, call->is_signed ? is_signed : is_unsigned, call->v[0],
                         call->v[1], "");
}

static LLVMValueRef coti_emit_EQ(coti_emit *e, const op_call *call) {
    return compare(e, call, LLVMRealOEQ, LLVMIntEQ, LLVMIntEQ);
}
static LLVMValueRef coti_emit_NE(coti_emit *e, const op_call *call) {
    return compare(e, call, LLVMRealUNE, LLVMIntNE, LLVMIntNE);
}
static LLVMValueRef coti_emit_LT(coti_emit *e, const op_call *call) {
    return compare(e, call, LLVMRealOLT, LLVMIntSLT, LLVMIntULT);
}
static LLVMValueRef coti_emit_LE(coti_emit *e, const op_call *call) {
    return compare(e, call, LLVMRealOLE, LLVMIntSLE, LLVMIntULE);
}
static LLVMValueRef coti_emit_GT(coti_emit *e, const op_call *call) {
    return compare(e, call, LLVMRealOGT, LLVMIntSGT, LLVMIntUGT);
}
static LLVMValueRef coti_emit_GE(coti_emit *e, const op_call *call) {
    return compare(e, call, LLVMRealOGE, LLVMIntSGE, LLVMIntUGE);
}

/* Is it a constant, of whose lanes none is a NaN? */
static bool is_number(coti_emit *e, LLVMValueRef v) {
    return LLVMIsConstant(v) &&
           LLVMIsNull(LLVMBuildFCmp(e->builder, LLVMRealUNO, v, v, "")); /* folded */
}

/*
 * The winner of a and b; `a` if it is a NaN, else b, which may be one too. `wins` is true for no
 * NaN. Against a bound that is a number, as in clipping, the value is b wherever the bound does not
 * win: one instruction of the processor, which stands in the epilogue of every clipped update.
 */
static LLVMValueRef extreme(coti_emit *e, const op_call *call, LLVMRealPredicate wins) {
    LLVMValueRef v_a = call->v[0], v_b = call->v[1];
    if (is_number(e, v_b)) {
        LLVMValueRef v_b_wins = LLVMBuildFCmp(e->builder, wins, v_b, v_a, "");
        return coti_l_select(e, v_b_wins, v_b, v_a, "");
    }
    LLVMValueRef v_a_wins = LLVMBuildFCmp(e->builder, wins, v_a, v_b, "");
    LLVMValueRef v_best = coti_l_select(e, v_a_wins, v_a, v_b, "");
    LLVMValueRef v_nan = LLVMBuildFCmp(e->builder, LLVMRealUNO, v_a, v_a, "");
    return coti_l_select(e, v_nan, v_a, v_best, "");
}
static LLVMValueRef coti_emit_MAX(coti_emit *e, const op_call *call) {
    return call->real ? extreme(e, call, LLVMRealOGT)
                      : coti_l_select(e, coti_emit_GT(e, call), call->v[0], call->v[1], "");
}
static LLVMValueRef coti_emit_MIN(coti_emit *e, const op_call *call) {
    return call->real ? extreme(e, call, LLVMRealOLT)
                      : coti_l_select(e, coti_emit_LT(e, call), call->v[0], call->v[1], "");
}

/* ---- logic: bool only ---- */

static LLVMValueRef coti_emit_AND(coti_emit *e, const op_call *call) {
    return call->dtype == COT_BOOL ? LLVMBuildAnd(e->builder, call->v[0], call->v[1], "")
                                   : unsupported(e, call);
}
static LLVMValueRef coti_emit_OR(coti_emit *e, const op_call *call) {
    return call->dtype == COT_BOOL ? LLVMBuildOr(e->builder, call->v[0], call->v[1], "")
                                   : unsupported(e, call);
}
static LLVMValueRef coti_emit_NOT(coti_emit *e, const op_call *call) {
    return call->dtype == COT_BOOL ? LLVMBuildNot(e->builder, call->v[0], "")
                                   : unsupported(e, call);
}

/* ---- one operand ---- */

/* The op with a constant as its second operand. */
static op_call against(const op_call *call, int32_t value) {
    op_call other = *call;
    other.v[1] = constant(call, value);
    return other;
}

static LLVMValueRef coti_emit_ABS(coti_emit *e, const op_call *call) {
    LLVMTypeRef type = call->type;
    LLVMValueRef v_x = call->v[0];
    if (call->real) {
        return coti_l_intrinsic(e, "llvm.fabs", &type, 1, &v_x, 1, "");
    }
    op_call zero = against(call, 0);
    return coti_l_select(e, coti_emit_LT(e, &zero), coti_emit_NEG(e, call), v_x, "");
}
static LLVMValueRef coti_emit_SIGN(coti_emit *e, const op_call *call) {
    op_call zero = against(call, 0);
    LLVMValueRef v_sign =
        coti_l_select(e, coti_emit_LT(e, &zero), constant(call, -1), call->v[0], "");
    return coti_l_select(e, coti_emit_GT(e, &zero), constant(call, 1), v_sign, "");
}
static LLVMValueRef coti_emit_RELU(coti_emit *e, const op_call *call) {
    op_call zero = against(call, 0);
    return coti_l_select(e, coti_emit_LE(e, &zero), zero.v[1], call->v[0], "");
}
static LLVMValueRef coti_emit_STOP_GRADIENT(coti_emit *e, const op_call *call) {
    (void)e;
    return call->v[0];
}
static LLVMValueRef coti_emit_SQRT(coti_emit *e, const op_call *call) {
    LLVMTypeRef type = call->type;
    LLVMValueRef v_x = call->v[0];
    return call->real ? coti_l_intrinsic(e, "llvm.sqrt", &type, 1, &v_x, 1, "")
                      : unsupported(e, call);
}
static LLVMValueRef coti_emit_RSQRT(coti_emit *e, const op_call *call) {
    return call->real ? LLVMBuildFDiv(e->builder, constant(call, 1), coti_emit_SQRT(e, call), "")
                      : unsupported(e, call);
}

static LLVMValueRef coti_emit_FLOOR(coti_emit *e, const op_call *call) {
    return call->real ? coti_emit_floor(e, call->v[0]) : unsupported(e, call);
}

/* ---- functions: one of f32, one of f64 ---- */

typedef LLVMValueRef (*f32_function)(coti_emit *e, LLVMValueRef v_x);

static LLVMValueRef function(coti_emit *e, const op_call *call, f32_function f32, coti_math64 f64) {
    return call->dtype == COT_F32   ? f32(e, call->v[0])
           : call->dtype == COT_F64 ? coti_emit_math64(e, f64, call->v)
                                    : unsupported(e, call);
}

static LLVMValueRef coti_emit_EXP(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_exp, COTI_MATH64_EXP);
}
static LLVMValueRef coti_emit_EXPM1(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_expm1, COTI_MATH64_EXPM1);
}
static LLVMValueRef coti_emit_LOG(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_log, COTI_MATH64_LOG);
}
static LLVMValueRef coti_emit_LOG1P(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_log1p, COTI_MATH64_LOG1P);
}
static LLVMValueRef coti_emit_TANH(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_tanh, COTI_MATH64_TANH);
}
static LLVMValueRef coti_emit_SIGMOID(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_sigmoid, COTI_MATH64_SIGMOID);
}
static LLVMValueRef coti_emit_ERF(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_erf, COTI_MATH64_ERF);
}
static LLVMValueRef coti_emit_SOFTPLUS(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_softplus, COTI_MATH64_SOFTPLUS);
}
static LLVMValueRef coti_emit_ERFC(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_erfc, COTI_MATH64_ERFC);
}
static LLVMValueRef coti_emit_GELU(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_gelu, COTI_MATH64_GELU);
}
static LLVMValueRef coti_emit_SIN(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_sin, COTI_MATH64_SIN);
}
static LLVMValueRef coti_emit_COS(coti_emit *e, const op_call *call) {
    return function(e, call, coti_emit_cos, COTI_MATH64_COS);
}
static LLVMValueRef coti_emit_POW(coti_emit *e, const op_call *call) {
    return call->dtype == COT_F32   ? coti_emit_pow(e, call->v[0], call->v[1])
           : call->dtype == COT_F64 ? coti_emit_math64(e, COTI_MATH64_POW, call->v)
                                    : unsupported(e, call);
}

/* ---- select and cast ---- */

static LLVMValueRef coti_emit_SELECT(coti_emit *e, const op_call *call) {
    return coti_l_select(e, call->v[0], call->v[1], call->v[2], "");
}

/* Float to integer: truncates and saturates, NaN gives 0. */
static LLVMValueRef cast_saturating(coti_emit *e, const op_call *call) {
    LLVMTypeRef type[] = {call->result, call->type};
    LLVMValueRef v_x = call->v[0];
    const char *intrinsic = call->expr->dtype == COT_U8 ? "llvm.fptoui.sat" : "llvm.fptosi.sat";
    return coti_l_intrinsic(e, intrinsic, type, 2, &v_x, 1, "");
}

static LLVMValueRef cast_to_float(coti_emit *e, const op_call *call) {
    if (!call->real) {
        return call->is_signed ? LLVMBuildSIToFP(e->builder, call->v[0], call->result, "")
                               : LLVMBuildUIToFP(e->builder, call->v[0], call->result, "");
    }
    return call->expr->dtype == COT_F64
               ? LLVMBuildFPExt(e->builder, call->v[0], call->result, "")
               : LLVMBuildFPTrunc(e->builder, call->v[0], call->result, "");
}

static LLVMValueRef coti_emit_CAST(coti_emit *e, const op_call *call) {
    cot_dtype to = call->expr->dtype;
    if (to == call->dtype) {
        return call->v[0];
    }
    if (to == COT_BOOL) {
        op_call zero = against(call, 0);
        return coti_emit_NE(e, &zero);
    }
    if (to == COT_F32 || to == COT_F64) {
        return cast_to_float(e, call);
    }
    if (call->real) {
        return cast_saturating(e, call);
    }
    return LLVMBuildIntCast2(e->builder, call->v[0], call->result, call->is_signed, "");
}

/* ---- the table ---- */

#define RULE_LEAF(id)
#define RULE_ELEMWISE(id) [COT_OP_##id] = coti_emit_##id,
#define RULE_COMPARE(id) [COT_OP_##id] = coti_emit_##id,
#define RULE_VIEW(id)
#define RULE_REDUCE(id)
#define RULE_CONTRACT(id)
#define RULE_COMPOSITE(id)
#define RULE_OTHER(id)

/* Elementwise ops by row; NULL: not an op of a scalar expression. */
static const op_rule rules[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags) RULE_##kind(id)
#include "graph/ops.def"
#undef COT_OP
    [COT_OP_SELECT] = coti_emit_SELECT,
    [COT_OP_CAST] = coti_emit_CAST,
};

LLVMValueRef coti_emit_op(coti_emit *e, const coti_body *body, const coti_expr *expr,
                          const LLVMValueRef *v_arg) {
    cot_dtype dtype = body->expr[expr->arg[0]].dtype;
    LLVMTypeRef type = LLVMTypeOf(v_arg[0]);
    op_call call = {.expr = expr,
                    .dtype = dtype,
                    .real = dtype == COT_F32 || dtype == COT_F64,
                    .is_signed = dtype == COT_I32 || dtype == COT_I64,
                    .type = type,
                    .result = coti_l_vector_type(e->t_value[expr->dtype], coti_l_lanes(v_arg[0])),
                    .v = {v_arg[0], v_arg[1], v_arg[2]}};
    op_rule rule = rules[expr->op];
    if (rule == NULL) {
        coti_emit_fail(e, COT_E_INTERNAL, "%s is no elementwise operation", cot_op_name(expr->op));
        return LLVMGetPoison(call.result);
    }
    return rule(e, &call);
}
