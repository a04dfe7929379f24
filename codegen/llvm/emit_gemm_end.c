/*
 * The ends of a product: the kernel's expressions on a finished tile, and the side reduction.
 *
 * A tile's sums lie in scratch. The expressions run over them in vectors along the axis in which
 * most of the kernel's operands are contiguous (the run): along v as the tile lies there, along s
 * after the tile has been turned. For each vector of the run all elements of the other axis are
 * done before the next: what does not depend on that axis (a bias, its activation) is evaluated
 * once, and a masked store is not followed by a load from the same bytes. One copy of the
 * expressions serves all tiles; elements that the tile computed a second time are left out, so that
 * an update in place happens once.
 */
#include "emit_gemm.h"

#include <string.h>

/* The tile as the loops below see it: across the runs, and along them. */
typedef struct view {
    const coti_gemm_axis *across, *along;
    LLVMValueRef v_across_first, v_across_end, v_across_base;
    LLVMValueRef v_along_first, v_along_end, v_along_base;
    LLVMValueRef v_memory; /* ptr: sum of (across_base, along_base) */
    int64_t stride;        /* across, in memory */
    bool ragged;
} view;

static view view_along_v(const coti_gemm_plan *plan, const coti_gemm_done *done) {
    return (view){&plan->s,       &plan->v,        done->v_s_first, done->v_s_end,
                  done->v_s_base, done->v_v_first, done->v_v_end,   done->v_v_base,
                  done->v_c,      plan->width,     plan->ragged_v};
}

static view view_along_s(const coti_gemm_plan *plan, const coti_gemm_done *done,
                         LLVMValueRef v_turned) {
    return (view){&plan->v,       &plan->s,        done->v_v_first, done->v_v_end,
                  done->v_v_base, done->v_s_first, done->v_s_end,   done->v_s_base,
                  v_turned,       plan->t_stride,  plan->ragged_s};
}

/* All of a turned tile as one run, which begins at the first element of s and v_base. */
static view view_flat(coti_emit *e, const coti_gemm_plan *plan, const coti_gemm_done *done,
                      LLVMValueRef v_turned) {
    LLVMValueRef v_one = coti_l_i64(e, 1), v_base = done->v_v_base;
    LLVMValueRef v_first = coti_i64_sub(e, done->v_v_first, v_base);
    LLVMValueRef v_end = coti_i64_sub(e, done->v_v_end, v_base);
    return (view){.across = &plan->v,
                  .along = &plan->s,
                  .v_across_first = v_base,
                  .v_across_end = coti_i64_add(e, v_base, v_one),
                  .v_across_base = v_base,
                  .v_along_first = coti_i64_times(e, v_first, plan->height),
                  .v_along_end = coti_i64_times(e, v_end, plan->height),
                  .v_along_base = coti_l_i64(e, 0),
                  .v_memory = v_turned,
                  .ragged = plan->ragged_v};
}

/* Mark what is the same for all elements across the runs, and is not known yet. */
static bool find_common(coti_emit *e, const view *w, bool *common) {
    const coti_body *body = &e->kernel->body;
    uint32_t depends[COTI_MAX_EXPRS];
    uint32_t varying = UINT32_C(1) << w->across->dim | COTI_DEPENDS_ACC;
    bool any = false;
    coti_body_dependence(e->kernel, body, depends);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        common[i] = (depends[i] & varying) == 0 && e->v_uniform[i] == NULL;
        any |= common[i];
    }
    return any;
}

/* v_given for the body: what is uniform, and what is common to the vector. */
static void emit_common(coti_emit *e, const view *w, const coti_point *point,
                        LLVMValueRef v_given[COTI_MAX_EXPRS]) {
    const coti_body *body = &e->kernel->body;
    bool common[COTI_MAX_EXPRS] = {false};
    memcpy(v_given, e->v_uniform, (size_t)body->n_exprs * sizeof *v_given);
    if (!find_common(e, w, common)) {
        return;
    }
    /* What a common expression reads is common too, or uniform, and then has to be asked for. */
    bool wanted[COTI_MAX_EXPRS];
    memcpy(wanted, common, sizeof wanted);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        for (int32_t a = 0; common[i] && a < body->expr[i].n_args; a++) {
            wanted[body->expr[i].arg[a]] = true;
        }
    }
    LLVMValueRef v_value[COTI_MAX_EXPRS];
    coti_emit_values(e, body, point, wanted, v_value);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        v_given[i] = common[i] ? v_value[i] : v_given[i];
    }
}

/* One vector of the run at v_along, for all elements across. Sums are loaded unmasked: scratch has
 * room. */
static void emit_vector(coti_emit *e, const coti_gemm_plan *plan, const view *w,
                        const coti_gemm_entry *entry, LLVMValueRef v_along, LLVMValueRef v_mask) {
    LLVMValueRef v_given[COTI_MAX_EXPRS];
    coti_point point = {.lanes = plan->lanes,
                        .vector_dim = w->along->dim,
                        .v_mask = v_mask,
                        .v_given = e->v_uniform};
    point.v_index[0] = entry->v_b;
    point.v_index[3] = entry->v_inner;
    point.v_index[w->along->dim] = v_along;
    emit_common(e, w, &point, v_given);
    point.v_given = v_given;
    LLVMValueRef v_column = LLVMBuildSub(e->builder, v_along, w->v_along_base, "");
    LLVMValueRef v_sums = coti_l_element(e, coti_gemm_element(e), w->v_memory, v_column, "v_sums");
    coti_loop across;
    coti_loop_begin(e, &across, w->v_across_first, w->v_across_end, 1, "across");
    LLVMValueRef v_row = LLVMBuildSub(e->builder, across.v_i, w->v_across_base, "");
    LLVMValueRef v_at = LLVMBuildMul(e->builder, v_row, coti_l_i64(e, w->stride), "");
    point.v_index[w->across->dim] = across.v_i;
    point.v_acc = coti_l_load_vector(e, coti_gemm_element(e), plan->lanes,
                                     coti_l_element(e, coti_gemm_element(e), v_sums, v_at, ""),
                                     NULL, NULL, "v_product");
    coti_emit_body(e, &e->kernel->body, &point);
    coti_loop_end(e, &across);
}

/* On AVX-512 masks cost next to nothing and one copy of the body does; elsewhere whole vectors go
 * first, and then what is left. */
static void emit_vectors(coti_emit *e, const coti_gemm_plan *plan, const view *w,
                         const coti_gemm_entry *entry) {
    LLVMValueRef v_from = w->v_along_first, v_to = w->v_along_end;
    coti_loop loop;
    if (w->ragged && plan->lanes == COTI_LANES) {
        coti_loop_begin(e, &loop, v_from, v_to, plan->lanes, "vector");
        LLVMValueRef v_left = LLVMBuildSub(e->builder, v_to, loop.v_i, "");
        emit_vector(e, plan, w, entry, loop.v_i, coti_l_mask(e, v_left, plan->lanes));
        coti_loop_end(e, &loop);
        return;
    }
    LLVMValueRef v_length = LLVMBuildSub(e->builder, v_to, v_from, "");
    LLVMValueRef v_whole = LLVMBuildAnd(e->builder, v_length, coti_l_i64(e, -plan->lanes), "");
    LLVMValueRef v_middle = LLVMBuildAdd(e->builder, v_from, v_whole, "v_middle");
    coti_loop_begin(e, &loop, v_from, w->ragged ? v_middle : v_to, plan->lanes, "vector");
    emit_vector(e, plan, w, entry, loop.v_i, NULL);
    coti_loop_end(e, &loop);
    if (w->ragged) {
        coti_branch rest;
        coti_branch_begin(e, &rest, LLVMBuildICmp(e->builder, LLVMIntSLT, v_middle, v_to, ""),
                          "rest");
        LLVMValueRef v_left = LLVMBuildSub(e->builder, v_to, v_middle, "");
        emit_vector(e, plan, w, entry, v_middle, coti_l_mask(e, v_left, plan->lanes));
        coti_branch_end(e, &rest);
    }
}

static LLVMValueRef emit_turned(coti_emit *e, const coti_gemm_plan *plan,
                                const coti_gemm_done *done, LLVMValueRef v_turn) {
    LLVMValueRef v_to =
        coti_l_element(e, e->t_i8, e->v_scratch, coti_l_i64(e, plan->t_at), "v_turned");
    LLVMValueRef v_arg[] = {done->v_c, v_to};
    LLVMBuildCall2(e->builder, coti_gemm_turn_type(e), v_turn, v_arg, 2, "");
    return v_to;
}

void coti_gemm_emit_end(coti_emit *e, const coti_gemm_plan *plan, const coti_gemm_done *done,
                        LLVMValueRef v_turn) {
    view w = view_along_v(plan, done);
    if (plan->end_along_s) {
        LLVMValueRef v_turned = emit_turned(e, plan, done, v_turn);
        w = plan->flat_end ? view_flat(e, plan, done, v_turned)
                           : view_along_s(plan, done, v_turned);
    }
    emit_vectors(e, plan, &w, &done->entry);
}

/* ---- the side reduction ---- */

/* B[b, k, n] as an access of the domain [b, k, n]. */
static coti_access operand_b(const coti_gemm *gemm) {
    coti_access access = {.slot = gemm->b_slot, .offset = gemm->b_offset};
    for (int32_t d = 0; d < 3; d++) {
        access.stride[d] = gemm->b_stride[d];
    }
    return access;
}

/* Sum over rows [k0, k_end), in order, from 0. */
static LLVMValueRef sum_rows(coti_emit *e, coti_point point, LLVMValueRef v_k0,
                             LLVMValueRef v_k_end) {
    coti_access access = operand_b(&e->kernel->gemm);
    coti_loop k;
    coti_loop_begin(e, &k, v_k0, v_k_end, 1, "k");
    LLVMValueRef v_sum = coti_loop_carry(
        e, &k, LLVMConstNull(coti_l_vector_type(coti_gemm_element(e), point.lanes)), "v_sum");
    point.v_index[1] = k.v_i;
    LLVMValueRef v_value = coti_access_load(e, &access, e->kernel->gemm.dtype, &point);
    coti_loop_next(&k, 0, LLVMBuildFAdd(e->builder, v_sum, v_value, "v_sum"));
    coti_loop_end(e, &k);
    return k.v_result[0];
}

/* One vector of columns: blocks of rows sum from 0, block sums are added in order, as in COLRED. */
static void emit_side_vector(coti_emit *e, coti_point point, LLVMValueRef v_k) {
    coti_loop block;
    coti_loop_begin(e, &block, coti_l_i64(e, 0), v_k, COTI_ROW_BLOCK, "block");
    LLVMValueRef v_total = coti_loop_carry(
        e, &block, LLVMConstNull(coti_l_vector_type(coti_gemm_element(e), point.lanes)), "v_total");
    LLVMValueRef v_next = LLVMBuildAdd(e->builder, block.v_i, coti_l_i64(e, COTI_ROW_BLOCK), "");
    LLVMValueRef v_whole = LLVMBuildICmp(e->builder, LLVMIntSLT, v_next, v_k, "");
    LLVMValueRef v_k_end = coti_l_select(e, v_whole, v_next, v_k, "v_k_end");
    LLVMValueRef v_sum = sum_rows(e, point, block.v_i, v_k_end);
    coti_loop_next(&block, 0, LLVMBuildFAdd(e->builder, v_total, v_sum, "v_total"));
    coti_loop_end(e, &block);
    point.v_acc = block.v_result[0];
    point.v_index[1] = coti_l_i64(e, 0);
    point.v_given = e->v_uniform_side;
    coti_emit_body(e, &e->kernel->gemm.side, &point);
}

void coti_gemm_emit_side(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_b,
                         LLVMValueRef v_n0, LLVMValueRef v_n1, LLVMValueRef v_k) {
    coti_loop loop;
    coti_loop_begin(e, &loop, v_n0, v_n1, plan->lanes, "side");
    coti_point point = {.lanes = plan->lanes, .vector_dim = 2};
    point.v_index[0] = v_b;
    point.v_index[2] = loop.v_i;
    const coti_gemm_axis *n = plan->s.dim == 2 ? &plan->s : &plan->v;
    bool ragged = n->dim == plan->s.dim ? plan->ragged_s : plan->ragged_v;
    if (ragged) {
        point.v_mask = coti_l_mask(e, LLVMBuildSub(e->builder, v_n1, loop.v_i, ""), plan->lanes);
    }
    emit_side_vector(e, point, v_k);
    coti_loop_end(e, &loop);
}
