/*
 * Sums, maxima and positions of maxima, lane by lane. Integers wrap; u8 and bool are unsigned.
 */
#include "emit_reduce.h"

int32_t coti_reduce_n_values(const coti_expr *reduce) {
    return reduce->op == COT_OP_ARGMAX ? 2 : 1;
}

static bool is_real(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* What a maximum begins with: nothing is below it. */
static LLVMValueRef lowest(coti_emit *e, cot_dtype dtype, int32_t lanes) {
    LLVMTypeRef type = e->t_value[dtype];
    LLVMValueRef v_lowest = NULL;
    switch (dtype) {
    case COT_F32:
    case COT_F64:
        v_lowest = LLVMConstReal(type, -__builtin_inf());
        break;
    case COT_I32:
        v_lowest = LLVMConstInt(type, (unsigned long long)INT32_MIN, true);
        break;
    case COT_I64:
        v_lowest = LLVMConstInt(type, (unsigned long long)INT64_MIN, true);
        break;
    case COT_U8:
    case COT_BOOL:
        v_lowest = LLVMConstNull(type);
        break;
    }
    return coti_l_splat(e, v_lowest, lanes, "");
}

coti_running coti_reduce_identity(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                                  int32_t lanes) {
    coti_running running = {{NULL, NULL}};
    if (reduce->op == COT_OP_SUM) {
        running.v[0] = LLVMConstNull(coti_l_vector_type(e->t_value[dtype], lanes));
        return running;
    }
    running.v[0] = lowest(e, dtype, lanes);
    if (reduce->op == COT_OP_ARGMAX) {
        /* Where no element is above the lowest value, the first one is the maximum. */
        running.v[1] = coti_l_splat(e, coti_l_i32(e, 0), lanes, "");
    }
    return running;
}

coti_running coti_reduce_element(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                                 LLVMValueRef v_value, LLVMValueRef v_index, LLVMValueRef v_mask) {
    coti_running element = {{v_value, reduce->op == COT_OP_ARGMAX ? v_index : NULL}};
    if (v_mask == NULL) {
        return element;
    }
    coti_running none = coti_reduce_identity(e, reduce, dtype, coti_l_lanes(v_value));
    for (int32_t i = 0; i < coti_reduce_n_values(reduce); i++) {
        element.v[i] = coti_l_select(e, v_mask, element.v[i], none.v[i], "");
    }
    return element;
}

static LLVMValueRef greater(coti_emit *e, cot_dtype dtype, LLVMValueRef v_a, LLVMValueRef v_b) {
    if (is_real(dtype)) {
        return LLVMBuildFCmp(e->builder, LLVMRealOGT, v_a, v_b, "");
    }
    bool is_signed = dtype == COT_I32 || dtype == COT_I64;
    return LLVMBuildICmp(e->builder, is_signed ? LLVMIntSGT : LLVMIntUGT, v_a, v_b, "");
}

static LLVMValueRef is_nan(coti_emit *e, LLVMValueRef v_x) {
    return LLVMBuildFCmp(e->builder, LLVMRealUNO, v_x, v_x, "");
}

static LLVMValueRef and2(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildAnd(e->builder, v_a, v_b, "");
}

static LLVMValueRef or2(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildOr(e->builder, v_a, v_b, "");
}

/* Where b's value and place beat a's: greater, or a NaN first, or equal (NaN alike) and earlier. */
static LLVMValueRef beats(coti_emit *e, cot_dtype dtype, coti_running a, coti_running b) {
    LLVMValueRef v_more = greater(e, dtype, b.v[0], a.v[0]);
    LLVMValueRef v_earlier = LLVMBuildICmp(e->builder, LLVMIntSLT, b.v[1], a.v[1], "");
    if (!is_real(dtype)) {
        LLVMValueRef v_same = LLVMBuildICmp(e->builder, LLVMIntEQ, b.v[0], a.v[0], "");
        return or2(e, v_more, and2(e, v_same, v_earlier));
    }
    LLVMValueRef v_a_nan = is_nan(e, a.v[0]), v_b_nan = is_nan(e, b.v[0]);
    LLVMValueRef v_same = LLVMBuildFCmp(e->builder, LLVMRealOEQ, b.v[0], a.v[0], "");
    v_same = or2(e, v_same, and2(e, v_a_nan, v_b_nan));
    v_more = or2(e, v_more, and2(e, v_b_nan, LLVMBuildNot(e->builder, v_a_nan, "")));
    return or2(e, v_more, and2(e, v_same, v_earlier));
}

static LLVMValueRef maximum(coti_emit *e, cot_dtype dtype, LLVMValueRef v_a, LLVMValueRef v_b) {
    LLVMValueRef v_max = coti_l_select(e, greater(e, dtype, v_a, v_b), v_a, v_b, "");
    /* The comparison is false with a NaN: that keeps one in b, this one in a. */
    return is_real(dtype) ? coti_l_select(e, is_nan(e, v_a), v_a, v_max, "v_max") : v_max;
}

coti_running coti_reduce_combine(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                                 coti_running a, coti_running b) {
    coti_running both = {{NULL, NULL}};
    if (reduce->op == COT_OP_SUM) {
        both.v[0] = is_real(dtype) ? LLVMBuildFAdd(e->builder, a.v[0], b.v[0], "v_sum")
                                   : LLVMBuildAdd(e->builder, a.v[0], b.v[0], "v_sum");
    } else if (reduce->op == COT_OP_ARGMAX) {
        LLVMValueRef v_b_wins = beats(e, dtype, a, b);
        both.v[0] = coti_l_select(e, v_b_wins, b.v[0], a.v[0], "v_max");
        both.v[1] = coti_l_select(e, v_b_wins, b.v[1], a.v[1], "v_argmax");
    } else {
        both.v[0] = maximum(e, dtype, a.v[0], b.v[0]);
    }
    return both;
}

coti_running coti_reduce_tree(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                              coti_running running) {
    for (int32_t half = coti_l_lanes(running.v[0]) / 2; half >= 1; half /= 2) {
        coti_running low = running, high = running;
        for (int32_t i = 0; i < coti_reduce_n_values(reduce); i++) {
            low.v[i] = coti_l_slice(e, running.v[i], 0, half, "");
            high.v[i] = coti_l_slice(e, running.v[i], half, half, "");
        }
        running = coti_reduce_combine(e, reduce, dtype, low, high);
    }
    return running;
}

LLVMValueRef coti_reduce_result(const coti_expr *reduce, coti_running running) {
    return running.v[coti_reduce_n_values(reduce) - 1];
}

void coti_reduce_levels(const coti_body *body, int32_t *level) {
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        level[i] = 0;
        for (int32_t a = 0; a < expr->n_args; a++) {
            int32_t below = level[expr->arg[a]] + (expr->kind == COTI_EXPR_REDUCE);
            level[i] = below > level[i] ? below : level[i];
        }
    }
}

bool coti_reduces_in(const coti_body *body, const int32_t *level, int32_t expr, int32_t pass) {
    const coti_expr *reduce = &body->expr[expr];
    return reduce->kind == COTI_EXPR_REDUCE && level[reduce->arg[0]] == pass;
}

bool coti_reduce_fits(coti_emit *e, const int32_t *level, int32_t pass, int32_t vectors) {
    const coti_body *body = &e->kernel->body;
    int32_t n_values = 0;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (coti_reduces_in(body, level, i, pass)) {
            n_values += vectors * coti_reduce_n_values(&body->expr[i]);
        }
    }
    if (n_values > COTI_MAX_CARRIES) {
        coti_emit_fail(e, COT_E_UNSUPPORTED, "%d running values of reductions: at most %d fit",
                       (int)n_values, COTI_MAX_CARRIES);
    }
    return n_values <= COTI_MAX_CARRIES;
}
