/*
 * ROWRED: vectors along the reduced dimensions of each kept point, in 16 virtual lanes.
 *
 * The reduced dimensions, flattened, are a row of `count` elements; each pass over it computes the
 * reductions of one level (emit_reduce.h) and stores what is known by then. A row of at most
 * MAX_ROW_VECTORS vectors stays in registers from pass to pass, without loops. Of a longer one,
 * what a later pass needs again and is not a plain load goes to the thread's scratch, so that no
 * exp is computed twice; rows whose length is known only at run time have no scratch and compute
 * again.
 *
 * A slot that the kernel both reads and writes is written in the last pass, after the loads of the
 * same elements: earlier passes, and the loads of the last one, see the old values.
 */
#include "emit_reduce.h"

enum { MAX_ROW_VECTORS = 4, SCRATCH_ALIGNMENT = 64 };

/* ---- the plan: a function of the kernel alone ---- */

typedef struct row_plan {
    uint32_t reduced; /* bit d: d is reduced, and not of extent 1 */
    int64_t count;    /* elements of a row; -1: known at run time only */
    bool in_registers;
    int32_t n_passes;
    uint32_t depends[COTI_MAX_EXPRS];
    int32_t level[COTI_MAX_EXPRS];
    int32_t made_in[COTI_MAX_EXPRS];  /* pass that computes it first; -1: none. Of full ones */
    int64_t saved_at[COTI_MAX_EXPRS]; /* bytes from the scratch's start; -1: not saved */
    int64_t scratch_bytes;
    bool kept[COTI_MAX_EXPRS]; /* expressions of the kept dimensions alone that are needed */
} row_plan;

/* Does the expression vary along the row? */
static bool is_full(const row_plan *plan, int32_t expr) {
    return (plan->depends[expr] & plan->reduced) != 0;
}

static bool store_is_full(const coti_kernel *kernel, const row_plan *plan,
                          const coti_store *store) {
    const coti_access *access = &kernel->body.access[store->access];
    return (coti_access_dependence(kernel, access) & plan->reduced) != 0;
}

/* Does the kernel load from this slot? */
static bool slot_is_read(const coti_body *body, int32_t slot) {
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        if (expr->kind == COTI_EXPR_LOAD && body->access[expr->index].slot == slot) {
            return true;
        }
    }
    return false;
}

/* The pass in which a full store is made. */
static int32_t store_pass(const coti_body *body, const row_plan *plan, const coti_store *store) {
    if (slot_is_read(body, body->access[store->access].slot)) {
        return plan->n_passes - 1;
    }
    return plan->level[store->expr];
}

/* A value that a later pass had better compute again than keep. */
static bool is_plain(const coti_expr *expr) {
    return expr->kind == COTI_EXPR_LOAD || expr->kind == COTI_EXPR_INDEX;
}

/* Is the value that an earlier pass computed at hand in pass `pass`? */
static bool is_at_hand(const row_plan *plan, int32_t expr, int32_t pass) {
    bool earlier = plan->made_in[expr] >= 0 && plan->made_in[expr] < pass;
    return earlier && (plan->in_registers || plan->saved_at[expr] >= 0);
}

/* Mark what pass `pass` begins from: arguments of its reductions, values of its stores. Is there
 * anything? */
static bool mark_roots(const coti_kernel *kernel, const row_plan *plan, int32_t pass,
                       bool *wanted) {
    const coti_body *body = &kernel->body;
    bool any = false;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        if (expr->kind == COTI_EXPR_REDUCE && plan->level[expr->arg[0]] == pass) {
            wanted[expr->arg[0]] = any = true;
        }
    }
    for (int32_t s = 0; s < body->n_stores; s++) {
        const coti_store *store = &body->store[s];
        if (store_is_full(kernel, plan, store) && store_pass(body, plan, store) == pass) {
            wanted[store->expr] = any = true;
        }
    }
    return any;
}

/* What pass `pass` must have at each element. wanted[] comes in false. */
static bool pass_wants(const coti_kernel *kernel, const row_plan *plan, int32_t pass,
                       bool *wanted) {
    bool any = mark_roots(kernel, plan, pass, wanted);
    for (int32_t i = kernel->body.n_exprs - 1; i >= 0; i--) {
        const coti_expr *expr = &kernel->body.expr[i];
        if (!wanted[i] || !is_full(plan, i) || is_at_hand(plan, i, pass)) {
            continue;
        }
        for (int32_t a = 0; a < expr->n_args; a++) {
            wanted[expr->arg[a]] = true;
        }
    }
    return any;
}

static void save(const coti_kernel *kernel, row_plan *plan, int32_t expr) {
    int64_t row = coti_round_up(plan->count, COTI_LANES);
    plan->saved_at[expr] = plan->scratch_bytes;
    row *= (int64_t)cot_dtype_bytes(kernel->body.expr[expr].dtype);
    plan->scratch_bytes += coti_round_up(row, SCRATCH_ALIGNMENT);
}

/* Which pass makes what, and what is saved for later ones. */
static void plan_pass(const coti_kernel *kernel, row_plan *plan, int32_t pass) {
    bool wanted[COTI_MAX_EXPRS] = {false};
    const coti_body *body = &kernel->body;
    (void)mark_roots(kernel, plan, pass, wanted);
    for (int32_t i = body->n_exprs - 1; i >= 0; i--) {
        const coti_expr *expr = &body->expr[i];
        if (!wanted[i]) {
            continue;
        }
        if (!is_full(plan, i)) {
            plan->kept[i] = true;
            continue;
        }
        bool again = plan->made_in[i] >= 0;
        bool save_it = again && !plan->in_registers && plan->count >= 0 && !is_plain(expr);
        if (save_it && plan->saved_at[i] < 0) {
            save(kernel, plan, i);
        }
        if (again && (save_it || plan->in_registers)) {
            continue;
        }
        plan->made_in[i] = again ? plan->made_in[i] : pass;
        for (int32_t a = 0; a < expr->n_args; a++) {
            wanted[expr->arg[a]] = true;
        }
    }
}

static void plan_row(const coti_kernel *kernel, row_plan *plan) {
    plan->count = 1;
    for (int32_t d = kernel->n_kept; d < kernel->n_dims; d++) {
        if (!coti_dim_is_one(kernel, d)) {
            plan->reduced |= UINT32_C(1) << d;
        }
        if (d == kernel->rows_dim || plan->count < 0 ||
            !coti_size_mul(plan->count, kernel->extent[d], &plan->count)) {
            plan->count = -1;
        }
    }
    plan->in_registers = plan->count >= 0 && plan->count <= MAX_ROW_VECTORS * COTI_LANES;
}

static void plan_make(const coti_kernel *kernel, row_plan *plan) {
    const coti_body *body = &kernel->body;
    *plan = (row_plan){.n_passes = 1};
    plan_row(kernel, plan);
    coti_body_dependence(kernel, body, plan->depends);
    coti_reduce_levels(body, plan->level);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        plan->made_in[i] = -1;
        plan->saved_at[i] = -1;
        if (body->expr[i].kind == COTI_EXPR_REDUCE && plan->level[i] > plan->n_passes) {
            plan->n_passes = plan->level[i];
        }
    }
    for (int32_t s = 0; s < body->n_stores; s++) {
        const coti_store *store = &body->store[s];
        int32_t passes = plan->level[store->expr] + 1;
        if (!store_is_full(kernel, plan, store)) {
            plan->kept[store->expr] = true;
        } else if (passes > plan->n_passes) {
            plan->n_passes = passes;
        }
    }
    for (int32_t pass = 0; pass < plan->n_passes; pass++) {
        plan_pass(kernel, plan, pass);
    }
    coti_body_close_wanted(body, NULL, plan->kept);
}

int64_t coti_scratch_bytes_rowred(const coti_kernel *kernel, const coti_target *target) {
    (void)target;
    row_plan plan;
    plan_make(kernel, &plan);
    return plan.scratch_bytes;
}

/* ---- the emission of one kernel ---- */

typedef struct row {
    row_plan plan;
    coti_nest kept, reduced;
    int32_t lanes;                                        /* of vectors along the row */
    LLVMValueRef v_count;                                 /* i64: elements of the row */
    coti_point point;                                     /* the kept point */
    LLVMValueRef v_known[COTI_MAX_EXPRS];                 /* given at the kept point */
    LLVMValueRef v_made[MAX_ROW_VECTORS][COTI_MAX_EXPRS]; /* of a row in registers */
    coti_running running[COTI_MAX_EXPRS];                 /* of the pass's reductions */
} row;

/* The run of the row's elements from `v_first` (i64) on. */
static coti_point run_at(coti_emit *e, const row *r, LLVMValueRef v_first, LLVMValueRef v_mask) {
    coti_point point = r->point;
    point.lanes = r->lanes;
    point.v_mask = v_mask;
    if (r->reduced.n_loops == 1) {
        int32_t d = r->reduced.loop[0].dim;
        point.vector_dim = d;
        point.v_index[d] = v_first;
        return point;
    }
    LLVMValueRef v_flat = LLVMBuildAdd(e->builder, coti_l_splat(e, v_first, r->lanes, ""),
                                       coti_l_iota(e->t_i64, r->lanes), "");
    for (int32_t l = r->reduced.n_loops - 1; l > 0; l--) {
        const coti_nest_loop *loop = &r->reduced.loop[l];
        LLVMValueRef v_extent = coti_l_splat(e, loop->v_end, r->lanes, "");
        point.v_lane_index[loop->dim] = LLVMBuildURem(e->builder, v_flat, v_extent, "v_index");
        v_flat = LLVMBuildUDiv(e->builder, v_flat, v_extent, "");
    }
    point.v_lane_index[r->reduced.loop[0].dim] = v_flat;
    return point;
}

static bool reduces_in(const coti_emit *e, const row *r, int32_t expr, int32_t pass) {
    return coti_reduces_in(&e->kernel->body, r->plan.level, expr, pass);
}

/* Address of a saved expression's element. */
static LLVMValueRef saved_address(coti_emit *e, const row *r, int32_t expr, LLVMValueRef v_first) {
    LLVMValueRef v_row =
        coti_l_element(e, e->t_i8, e->v_scratch, coti_l_i64(e, r->plan.saved_at[expr]), "v_saved");
    return coti_l_element(e, e->t_memory[e->kernel->body.expr[expr].dtype], v_row, v_first, "");
}

/* What the pass needs and earlier passes made, into v_given. */
static void fetch(coti_emit *e, const row *r, int32_t pass, LLVMValueRef v_first,
                  const LLVMValueRef *v_made, const bool *wanted, LLVMValueRef *v_given) {
    const coti_body *body = &e->kernel->body;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        cot_dtype dtype = body->expr[i].dtype;
        v_given[i] = r->v_known[i];
        if (!wanted[i] || !is_full(&r->plan, i) || !is_at_hand(&r->plan, i, pass)) {
            continue;
        }
        if (v_made != NULL) {
            v_given[i] = v_made[i];
            continue;
        }
        LLVMValueRef v_ptr = saved_address(e, r, i, v_first);
        LLVMValueRef v_row =
            coti_l_load_vector(e, e->t_memory[dtype], r->lanes, v_ptr, NULL, NULL, "");
        v_given[i] = coti_l_from_memory(e, dtype, v_row);
    }
}

/* Keep what this pass made and later ones need. */
static void keep(coti_emit *e, const row *r, int32_t pass, LLVMValueRef v_first,
                 const LLVMValueRef *v_value, LLVMValueRef *v_made) {
    const coti_body *body = &e->kernel->body;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (r->plan.made_in[i] != pass || v_value[i] == NULL) {
            continue;
        }
        if (v_made != NULL) {
            v_made[i] = v_value[i];
        } else if (r->plan.saved_at[i] >= 0) {
            LLVMValueRef v_memory = coti_l_to_memory(e, body->expr[i].dtype, v_value[i]);
            coti_l_store_vector(e, v_memory, saved_address(e, r, i, v_first), NULL);
        }
    }
}

/* One vector of one pass: values, reductions (from and to r->running), stores. v_made: this
 * vector's values, of a row in registers; else NULL. */
static void emit_vector(coti_emit *e, row *r, int32_t pass, LLVMValueRef v_first,
                        LLVMValueRef v_mask, LLVMValueRef *v_made) {
    const coti_body *body = &e->kernel->body;
    bool wanted[COTI_MAX_EXPRS] = {false};
    LLVMValueRef v_given[COTI_MAX_EXPRS], v_value[COTI_MAX_EXPRS];
    (void)pass_wants(e->kernel, &r->plan, pass, wanted);
    fetch(e, r, pass, v_first, v_made, wanted, v_given);
    coti_point point = run_at(e, r, v_first, v_mask);
    point.v_given = v_given;
    coti_emit_values(e, body, &point, wanted, v_value);
    LLVMValueRef v_place = LLVMBuildTrunc(e->builder, v_first, e->t_i32, "");
    v_place = LLVMBuildAdd(e->builder, coti_l_splat(e, v_place, r->lanes, ""),
                           coti_l_iota(e->t_i32, r->lanes), "");
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        if (reduces_in(e, r, i, pass)) {
            cot_dtype dtype = body->expr[expr->arg[0]].dtype;
            coti_running element =
                coti_reduce_element(e, expr, dtype, v_value[expr->arg[0]], v_place, v_mask);
            r->running[i] = coti_reduce_combine(e, expr, dtype, r->running[i], element);
        }
    }
    keep(e, r, pass, v_first, v_value, v_made);
    for (int32_t s = 0; s < body->n_stores; s++) {
        const coti_store *store = &body->store[s];
        if (store_is_full(e->kernel, &r->plan, store) &&
            store_pass(body, &r->plan, store) == pass) {
            coti_emit_store(e, body, &point, store, v_value[store->expr]);
        }
    }
}

/* The running values as a loop's carries, before and after. */
static void carry_running(coti_emit *e, row *r, int32_t pass, coti_loop *loop) {
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        const coti_expr *expr = &e->kernel->body.expr[i];
        for (int32_t v = 0; reduces_in(e, r, i, pass) && v < coti_reduce_n_values(expr); v++) {
            r->running[i].v[v] = coti_loop_carry(e, loop, r->running[i].v[v], "v_running");
        }
    }
}

static void end_carried_loop(coti_emit *e, row *r, int32_t pass, coti_loop *loop) {
    int32_t n = 0;
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        const coti_expr *expr = &e->kernel->body.expr[i];
        for (int32_t v = 0; reduces_in(e, r, i, pass) && v < coti_reduce_n_values(expr); v++) {
            coti_loop_next(loop, n++, r->running[i].v[v]);
        }
    }
    coti_loop_end(e, loop);
    n = 0;
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        const coti_expr *expr = &e->kernel->body.expr[i];
        for (int32_t v = 0; reduces_in(e, r, i, pass) && v < coti_reduce_n_values(expr); v++) {
            r->running[i].v[v] = loop->v_result[n++];
        }
    }
}

/* Vectors [v_from, v_to) of the row in a loop; masked: the last one, partial, if there is one. */
static void emit_vector_loop(coti_emit *e, row *r, int32_t pass, LLVMValueRef v_from,
                             LLVMValueRef v_to, bool masked) {
    coti_loop loop;
    coti_loop_begin(e, &loop, v_from, v_to, r->lanes, masked ? "rest" : "vectors");
    carry_running(e, r, pass, &loop);
    LLVMValueRef v_mask = NULL;
    if (masked) {
        LLVMValueRef v_left = LLVMBuildSub(e->builder, v_to, loop.v_i, "");
        v_mask = coti_l_mask(e, v_left, r->lanes);
    }
    emit_vector(e, r, pass, loop.v_i, v_mask, NULL);
    end_carried_loop(e, r, pass, &loop);
}

static void emit_pass(coti_emit *e, row *r, int32_t pass) {
    int64_t count = r->plan.count;
    if (r->plan.in_registers) {
        for (int64_t i = 0; i < count; i += r->lanes) {
            int64_t left = count - i;
            LLVMValueRef v_mask =
                left < r->lanes ? coti_l_mask(e, coti_l_i64(e, left), r->lanes) : NULL;
            emit_vector(e, r, pass, coti_l_i64(e, i), v_mask, r->v_made[i / r->lanes]);
        }
        return;
    }
    LLVMValueRef v_whole =
        LLVMBuildAnd(e->builder, r->v_count, coti_l_i64(e, -r->lanes), "v_whole");
    emit_vector_loop(e, r, pass, coti_l_i64(e, 0), v_whole, false);
    if (count < 0) {
        emit_vector_loop(e, r, pass, v_whole, r->v_count, true);
    } else if (count % r->lanes != 0) {
        LLVMValueRef v_mask = coti_l_mask(e, coti_l_i64(e, count % r->lanes), r->lanes);
        emit_vector(e, r, pass, v_whole, v_mask, NULL);
    }
}

/* One pass and its reductions' results. */
static void emit_level(coti_emit *e, row *r, int32_t pass) {
    const coti_body *body = &e->kernel->body;
    bool wanted[COTI_MAX_EXPRS] = {false};
    if (!pass_wants(e->kernel, &r->plan, pass, wanted)) {
        return;
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        if (reduces_in(e, r, i, pass)) {
            r->running[i] = coti_reduce_identity(e, expr, body->expr[expr->arg[0]].dtype, r->lanes);
        }
    }
    if (!coti_reduce_fits(e, r->plan.level, pass, 1)) {
        return;
    }
    emit_pass(e, r, pass);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        if (reduces_in(e, r, i, pass)) {
            coti_running result =
                coti_reduce_tree(e, expr, body->expr[expr->arg[0]].dtype, r->running[i]);
            r->v_known[i] = coti_emit_fit(e, coti_reduce_result(expr, result), COTI_LANES);
        }
    }
}

/* The needed expressions of the kept dimensions that are known before pass `pass`. */
static void emit_kept(coti_emit *e, row *r, int32_t pass, uint32_t open) {
    bool wanted[COTI_MAX_EXPRS];
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        wanted[i] = r->plan.kept[i] && !is_full(&r->plan, i) && r->plan.level[i] <= pass;
    }
    coti_nest_hoist(e, &r->point, r->plan.depends, open, wanted, r->v_known);
}

/* All that happens at one kept point. */
static void emit_row(coti_emit *e, row *r) {
    const coti_body *body = &e->kernel->body;
    for (int32_t pass = 0; pass < r->plan.n_passes; pass++) {
        emit_kept(e, r, pass, ~r->plan.reduced);
        emit_level(e, r, pass);
    }
    emit_kept(e, r, r->plan.n_passes, ~r->plan.reduced);
    bool wanted[COTI_MAX_EXPRS] = {false};
    LLVMValueRef v_value[COTI_MAX_EXPRS];
    for (int32_t s = 0; s < body->n_stores; s++) {
        wanted[body->store[s].expr] |= !store_is_full(e->kernel, &r->plan, &body->store[s]);
    }
    coti_body_close_wanted(body, r->v_known, wanted);
    coti_emit_values(e, body, &r->point, wanted, v_value);
    for (int32_t s = 0; s < body->n_stores; s++) {
        if (!store_is_full(e->kernel, &r->plan, &body->store[s])) {
            coti_emit_store(e, body, &r->point, &body->store[s], v_value[body->store[s].expr]);
        }
    }
}

static void row_begin(coti_emit *e, row *r) {
    const coti_kernel *kernel = e->kernel;
    plan_make(kernel, &r->plan);
    coti_nest_make(e, 0, kernel->n_kept, &r->kept);
    coti_nest_make(e, kernel->n_kept, kernel->n_dims, &r->reduced);
    r->v_count = r->reduced.loop[0].v_end;
    for (int32_t l = 1; l < r->reduced.n_loops; l++) {
        r->v_count = LLVMBuildMul(e->builder, r->v_count, r->reduced.loop[l].v_end, "v_count");
    }
    r->lanes = COTI_LANES;
    while (r->lanes > 1 && r->plan.count >= 0 && r->lanes / 2 >= r->plan.count) {
        r->lanes /= 2; /* the missing lanes would add zeros, which changes no bit of a sum from 0 */
    }
    r->point = (coti_point){.lanes = e->target->lanes, .vector_dim = -1, .v_given = r->v_known};
    coti_nest_start(e, r->v_known);
}

void coti_emit_rowred(coti_emit *e) {
    row *r = coti_calloc(e->context, 1, sizeof *r);
    if (r == NULL) {
        e->status = COT_E_NOMEM;
        return;
    }
    coti_loop loop[COTI_MAX_DIMS];
    row_begin(e, r);
    uint32_t open = 0;
    emit_kept(e, r, 0, open);
    for (int32_t l = 0; l < r->kept.n_loops; l++) {
        const coti_nest_loop *at = &r->kept.loop[l];
        coti_loop_begin(e, &loop[l], at->v_begin, at->v_end, 1, "rows");
        r->point.v_index[at->dim] = loop[l].v_i;
        open |= at->dims;
        emit_kept(e, r, 0, open);
    }
    emit_row(e, r);
    for (int32_t l = r->kept.n_loops - 1; l >= 0; l--) {
        coti_loop_end(e, &loop[l]);
    }
    coti_free(e->context, r);
}
