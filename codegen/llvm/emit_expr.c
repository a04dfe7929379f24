/*
 * The scalar-expression DAG of a kernel on vectors: each expression once, in order; loads first as
 * they come, stores last. What a kernel knows already (uniform values, results of reductions, rows
 * kept in scratch) is given by the caller.
 */
#include "emit.h"

/* ---- what is needed, and what it depends on ---- */

void coti_body_close_wanted(const coti_body *body, const LLVMValueRef *v_given, bool *wanted) {
    for (int32_t i = body->n_exprs - 1; i >= 0; i--) {
        const coti_expr *expr = &body->expr[i];
        bool given = v_given != NULL && v_given[i] != NULL;
        if (!wanted[i] || given || expr->kind == COTI_EXPR_REDUCE) {
            continue;
        }
        for (int32_t a = 0; a < expr->n_args; a++) {
            wanted[expr->arg[a]] = true;
        }
    }
}

bool coti_dim_is_batched(const coti_kernel *kernel, int32_t d) {
    if (kernel->skeleton == COTI_SKELETON_GEMM) {
        return (d == 0 && kernel->gemm.b_rows) || (d == 1 && kernel->gemm.m_rows);
    }
    return (d == 0 && kernel->rows) || d == kernel->rows_dim;
}

bool coti_dim_is_one(const coti_kernel *kernel, int32_t d) {
    return kernel->extent[d] == 1 && !coti_dim_is_batched(kernel, d);
}

uint32_t coti_access_dependence(const coti_kernel *kernel, const coti_access *access) {
    uint32_t depends = 0;
    for (int32_t d = 0; d < kernel->n_dims; d++) {
        bool moves = access->stride[d] != 0 || (access->bounded >> d & 1) != 0;
        if (moves && !coti_dim_is_one(kernel, d)) {
            depends |= UINT32_C(1) << d;
        }
    }
    return depends;
}

static uint32_t own_dependence(const coti_kernel *kernel, const coti_body *body,
                               const coti_expr *expr) {
    switch (expr->kind) {
    case COTI_EXPR_LOAD:
    case COTI_EXPR_GATHER:
    case COTI_EXPR_RANDOM:
        return coti_access_dependence(kernel, &body->access[expr->index]);
    case COTI_EXPR_INDEX:
        return coti_dim_is_one(kernel, expr->index) ? 0 : UINT32_C(1) << expr->index;
    case COTI_EXPR_ACC:
        return COTI_DEPENDS_ACC;
    case COTI_EXPR_REDUCE:
        return COTI_DEPENDS_REDUCE;
    case COTI_EXPR_CONST:
    case COTI_EXPR_ROWS:
    case COTI_EXPR_OP:
        break;
    }
    return 0;
}

void coti_body_dependence(const coti_kernel *kernel, const coti_body *body, uint32_t *depends) {
    uint32_t reduced = 0;
    for (int32_t d = kernel->n_kept; d < kernel->n_dims; d++) {
        reduced |= UINT32_C(1) << d;
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        depends[i] = own_dependence(kernel, body, expr);
        for (int32_t a = 0; a < expr->n_args; a++) {
            depends[i] |= depends[expr->arg[a]];
        }
        if (expr->kind == COTI_EXPR_REDUCE) {
            depends[i] &= ~reduced;
        }
    }
}

/* ---- leaves ---- */

static LLVMValueRef emit_constant(coti_emit *e, const coti_expr *expr, int32_t lanes) {
    LLVMTypeRef type = e->t_value[expr->dtype];
    LLVMValueRef v_scalar =
        expr->dtype == COT_F32 || expr->dtype == COT_F64 ? LLVMConstReal(type, expr->number)
        : expr->dtype == COT_BOOL ? LLVMConstInt(type, expr->integer != 0, false)
                                  : LLVMConstInt(type, (unsigned long long)expr->integer, true);
    return coti_l_splat(e, v_scalar, lanes, "");
}

/* May the index be computed in 32 bits? Where the result has no more, or the extent no such need.
 */
static bool index_is_short(const coti_emit *e, const coti_expr *expr) {
    int64_t extent = e->kernel->extent[expr->index];
    bool fits = !coti_dim_is_batched(e->kernel, expr->index) && extent <= INT32_MAX;
    return expr->dtype == COT_I32 || expr->dtype == COT_U8 || (fits && expr->dtype != COT_I64);
}

/* The index of a dimension, of each lane, as an integer. */
static LLVMValueRef lane_index(coti_emit *e, const coti_expr *expr, const coti_point *point) {
    int32_t d = expr->index;
    if (point->v_lane_index[d] != NULL) {
        return point->v_lane_index[d];
    }
    LLVMTypeRef type = index_is_short(e, expr) ? e->t_i32 : e->t_i64;
    LLVMValueRef v_first = point->v_index[d] != NULL ? point->v_index[d] : coti_l_i64(e, 0);
    v_first = LLVMBuildIntCast2(e->builder, v_first, type, true, "");
    v_first = coti_l_splat(e, v_first, point->lanes, "");
    if (d != point->vector_dim) {
        return v_first;
    }
    return LLVMBuildAdd(e->builder, v_first, coti_l_iota(type, point->lanes), "v_index");
}

/* The index of a dimension in dtype, as cast from i64. */
static LLVMValueRef emit_index(coti_emit *e, const coti_expr *expr, const coti_point *point) {
    LLVMTypeRef type = coti_l_vector_type(e->t_value[expr->dtype], point->lanes);
    LLVMValueRef v_index = lane_index(e, expr, point);
    switch (expr->dtype) {
    case COT_F32:
    case COT_F64:
        return LLVMBuildSIToFP(e->builder, v_index, type, "");
    case COT_I32:
    case COT_I64:
    case COT_U8:
        return LLVMBuildIntCast2(e->builder, v_index, type, true, "");
    case COT_BOOL:
        break;
    }
    return LLVMBuildICmp(e->builder, LLVMIntNE, v_index, coti_l_integer_like(v_index, 0), "");
}

static LLVMValueRef emit_given_by_caller(coti_emit *e, const coti_expr *expr, LLVMValueRef v_value,
                                         int32_t lanes) {
    if (v_value == NULL) {
        coti_emit_fail(e, COT_E_INTERNAL, "a kernel uses %s where there is none",
                       expr->kind == COTI_EXPR_ACC ? "a product" : "a reduction");
        return LLVMGetPoison(coti_l_vector_type(e->t_value[expr->dtype], lanes));
    }
    return coti_emit_fit(e, v_value, lanes);
}

/* Is the expression, not the values of lanes that are off, the same for all lanes of the point? */
static bool is_uniform(const coti_emit *e, const coti_body *body, const coti_point *point,
                       int32_t expr) {
    uint32_t depends[COTI_MAX_EXPRS];
    uint32_t by_lane = COTI_DEPENDS_ACC;
    coti_body_dependence(e->kernel, body, depends);
    for (int32_t d = 0; d < e->kernel->n_dims; d++) {
        if (d == point->vector_dim || point->v_lane_index[d] != NULL) {
            by_lane |= UINT32_C(1) << d;
        }
    }
    return (depends[expr] & by_lane) == 0;
}

static LLVMValueRef emit_gather(coti_emit *e, const coti_body *body, const coti_point *point,
                                const coti_expr *expr, LLVMValueRef v_index) {
    const coti_gathered gathered = {.v_index = v_index,
                                    .uniform = is_uniform(e, body, point, expr->arg[0]),
                                    .extent = expr->integer,
                                    .step = expr->step};
    return coti_access_gather(e, &body->access[expr->index], expr->dtype, point, &gathered);
}

static LLVMValueRef emit_value(coti_emit *e, const coti_body *body, const coti_point *point,
                               const coti_expr *expr, const LLVMValueRef *v_value) {
    LLVMValueRef v_arg[3] = {NULL, NULL, NULL};
    for (int32_t a = 0; a < expr->n_args && expr->kind != COTI_EXPR_REDUCE; a++) {
        v_arg[a] = v_value[expr->arg[a]];
    }
    switch (expr->kind) {
    case COTI_EXPR_LOAD: {
        const coti_access *access = &body->access[expr->index];
        return coti_access_load(e, access, e->kernel->slot_dtype[access->slot], point);
    }
    case COTI_EXPR_GATHER:
        return emit_gather(e, body, point, expr, v_arg[0]);
    case COTI_EXPR_CONST:
        return emit_constant(e, expr, point->lanes);
    case COTI_EXPR_INDEX:
        return emit_index(e, expr, point);
    case COTI_EXPR_ROWS:
        return coti_l_splat(e, e->v_rows, point->lanes, "v_rows");
    case COTI_EXPR_ACC:
        return emit_given_by_caller(e, expr, point->v_acc, point->lanes);
    case COTI_EXPR_REDUCE:
        return emit_given_by_caller(e, expr, NULL, point->lanes);
    case COTI_EXPR_RANDOM:
        return coti_emit_random(e, expr, v_arg[0], v_arg[1],
                                coti_access_element(e, &body->access[expr->index], point));
    case COTI_EXPR_OP:
        break;
    }
    return coti_emit_op(e, body, expr, v_arg);
}

/* ---- bodies ---- */

void coti_emit_values(coti_emit *e, const coti_body *body, const coti_point *point,
                      const bool *wanted, LLVMValueRef *v_value) {
    for (int32_t i = 0; i < body->n_exprs; i++) {
        LLVMValueRef v_given = point->v_given != NULL ? point->v_given[i] : NULL;
        v_value[i] = NULL;
        if (!wanted[i]) {
            continue;
        }
        v_value[i] = v_given != NULL ? coti_emit_fit(e, v_given, point->lanes)
                                     : emit_value(e, body, point, &body->expr[i], v_value);
    }
}

void coti_emit_store(coti_emit *e, const coti_body *body, const coti_point *point,
                     const coti_store *store, LLVMValueRef v_value) {
    const coti_access *access = &body->access[store->access];
    coti_access_store(e, access, e->kernel->slot_dtype[access->slot], point, v_value);
}

void coti_emit_body(coti_emit *e, const coti_body *body, const coti_point *point) {
    bool wanted[COTI_MAX_EXPRS] = {false};
    LLVMValueRef v_value[COTI_MAX_EXPRS];
    for (int32_t s = 0; s < body->n_stores; s++) {
        wanted[body->store[s].expr] = true;
    }
    coti_body_close_wanted(body, point->v_given, wanted);
    coti_emit_values(e, body, point, wanted, v_value);
    for (int32_t s = 0; s < body->n_stores; s++) {
        coti_emit_store(e, body, point, &body->store[s], v_value[body->store[s].expr]);
    }
}
