/*
 * The ends of a product: the kernel's expressions on a finished tile, and the side reduction.
 *
 * A tile's sums lie in scratch. The expressions run over them in vectors along the axis in which
 * most of the kernel's operands are contiguous: along v as the tile lies there, along s after the
 * tile has been transposed. One copy of the expressions serves all tiles; elements that the tile
 * computed a second time are left out, so that an update in place happens once.
 */
#include "emit_gemm.h"

/* A body at points of a run: what the loops below hand down. */
typedef struct run {
    const coti_body *body;
    const LLVMValueRef *v_given;
    coti_point point;    /* its index along the run is set for each vector */
    LLVMValueRef v_sums; /* ptr to the sum of the run's element 0; NULL: see v_acc of the point */
} run;

static void emit_run_vector(coti_emit *e, run *r, LLVMValueRef v_at, LLVMValueRef v_mask) {
    coti_point point = r->point;
    point.v_index[point.vector_dim] = v_at;
    point.v_mask = v_mask;
    point.v_given = r->v_given;
    LLVMValueRef v_ptr = coti_l_element(e, e->t_f32, r->v_sums, v_at, "v_sums_at");
    point.v_acc = coti_l_load_vector(e, e->t_f32, point.lanes, v_ptr, NULL, NULL, "v_product");
    coti_emit_body(e, r->body, &point);
}

/*
 * The run's elements [v_from, v_to). Sums are loaded unmasked: scratch has room. On AVX-512 masks
 * cost next to nothing and one copy of the body does; elsewhere whole vectors go first.
 */
static void emit_run(coti_emit *e, run *r, LLVMValueRef v_from, LLVMValueRef v_to, bool ragged) {
    int32_t lanes = r->point.lanes;
    coti_loop loop;
    if (ragged && lanes == COTI_LANES) {
        coti_loop_begin(e, &loop, v_from, v_to, lanes, "vector");
        LLVMValueRef v_left = LLVMBuildSub(e->builder, v_to, loop.v_i, "");
        emit_run_vector(e, r, loop.v_i, coti_l_mask(e, v_left, lanes));
        coti_loop_end(e, &loop);
        return;
    }
    LLVMValueRef v_length = LLVMBuildSub(e->builder, v_to, v_from, "");
    LLVMValueRef v_whole = LLVMBuildAnd(e->builder, v_length, coti_l_i64(e, -lanes), "");
    LLVMValueRef v_middle = LLVMBuildAdd(e->builder, v_from, v_whole, "v_middle");
    coti_loop_begin(e, &loop, v_from, ragged ? v_middle : v_to, lanes, "vector");
    emit_run_vector(e, r, loop.v_i, NULL);
    coti_loop_end(e, &loop);
    if (ragged) {
        coti_branch rest;
        coti_branch_begin(e, &rest, LLVMBuildICmp(e->builder, LLVMIntSLT, v_middle, v_to, ""),
                          "rest");
        LLVMValueRef v_left = LLVMBuildSub(e->builder, v_to, v_middle, "");
        emit_run_vector(e, r, v_middle, coti_l_mask(e, v_left, lanes));
        coti_branch_end(e, &rest);
    }
}

/* The tile as seen by the loops: an outer axis, and the axis of the runs. */
typedef struct view {
    const coti_gemm_axis *outer, *inner;
    LLVMValueRef v_outer_first, v_outer_end, v_outer_base;
    LLVMValueRef v_inner_first, v_inner_end, v_inner_base;
    LLVMValueRef v_memory; /* ptr: sum of (outer_base, inner_base) */
    int64_t stride;        /* of the outer axis there */
    bool ragged;
} view;

static view view_along_v(const coti_gemm_plan *plan, const coti_gemm_done *done) {
    return (view){&plan->s,       &plan->v,        done->v_s_first, done->v_s_end,
                  done->v_s_base, done->v_v_first, done->v_v_end,   done->v_v_base,
                  done->v_c,      plan->width,     plan->ragged_v};
}

static view view_along_s(const coti_gemm_plan *plan, const coti_gemm_done *done,
                         LLVMValueRef v_transposed) {
    return (view){&plan->v,       &plan->s,        done->v_v_first, done->v_v_end,
                  done->v_v_base, done->v_s_first, done->v_s_end,   done->v_s_base,
                  v_transposed,   plan->t_stride,  plan->ragged_s};
}

void coti_gemm_emit_end(coti_emit *e, const coti_gemm_plan *plan, const coti_gemm_done *done,
                        LLVMValueRef v_transpose) {
    view w = view_along_v(plan, done);
    if (plan->end_along_s) {
        LLVMValueRef v_to =
            coti_l_element(e, e->t_i8, e->v_scratch, coti_l_i64(e, plan->t_at), "v_transposed");
        LLVMBuildCall2(e->builder, coti_gemm_transpose_type(e), v_transpose,
                       (LLVMValueRef[]){done->v_c, v_to}, 2, "");
        w = view_along_s(plan, done, v_to);
    }
    coti_loop outer;
    coti_loop_begin(e, &outer, w.v_outer_first, w.v_outer_end, 1, "row");
    LLVMValueRef v_row = LLVMBuildSub(e->builder, outer.v_i, w.v_outer_base, "");
    LLVMValueRef v_at = LLVMBuildMul(e->builder, v_row, coti_l_i64(e, w.stride), "");
    v_at = LLVMBuildSub(e->builder, v_at, w.v_inner_base, "");
    run r = {.body = &e->kernel->body, .v_given = e->v_uniform};
    r.point.lanes = plan->lanes;
    r.point.vector_dim = w.inner->dim;
    r.point.v_index[0] = done->v_b;
    r.point.v_index[w.outer->dim] = outer.v_i;
    r.v_sums = coti_l_element(e, e->t_f32, w.v_memory, v_at, "v_sums");
    emit_run(e, &r, w.v_inner_first, w.v_inner_end, w.ragged);
    coti_loop_end(e, &outer);
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
    LLVMValueRef v_sum =
        coti_loop_carry(e, &k, LLVMConstNull(coti_l_vector_type(e->t_f32, point.lanes)), "v_sum");
    point.v_index[1] = k.v_i;
    LLVMValueRef v_value = coti_access_load(e, &access, COT_F32, &point);
    coti_loop_next(&k, 0, LLVMBuildFAdd(e->builder, v_sum, v_value, "v_sum"));
    coti_loop_end(e, &k);
    return k.v_result[0];
}

/* One vector of columns: blocks of rows sum from 0, block sums are added in order, as in COLRED. */
static void emit_side_vector(coti_emit *e, coti_point point, LLVMValueRef v_k) {
    coti_loop block;
    coti_loop_begin(e, &block, coti_l_i64(e, 0), v_k, COTI_ROW_BLOCK, "block");
    LLVMValueRef v_total = coti_loop_carry(
        e, &block, LLVMConstNull(coti_l_vector_type(e->t_f32, point.lanes)), "v_total");
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
