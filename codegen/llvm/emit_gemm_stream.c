/*
 * A panel that one tile alone reads: packing it while it is used.
 *
 *   void stream(ptr s, ptr v, ptr c, ptr blocks, ptr square, i64 count)
 *
 * s, c       as of a tile function, for all of k at once
 * v          element (first k, first column) of the vector operand, contiguous along k
 * blocks     scratch: two blocks of lanes by lanes elements, taken in turn
 * square     scratch of the transposition
 * count      columns that exist, 1 to lanes
 *
 * A panel that several tiles read is packed first, and the packing is a small part of the work.
 * Here it would be as much as a third: a row of the operand is used for few sums, and transposing
 * it waits for memory. So the block of k after the one that is summed is transposed in pieces
 * between the fmas, which need neither the load units nor the shuffle unit much. The sums do not
 * change: each is still serial in k. The rows may come from memory, and are too many for the
 * processor to see that each is read in order: they are asked for some blocks ahead.
 */
#include "emit_gemm.h"

enum { QUAD = COTI_GEMM_QUAD, BLOCKS_AHEAD = 8 };

/* What is carried through the loops: the sums, where the next element of s and vector of v are. */
typedef struct flow {
    LLVMValueRef v_acc[COTI_GEMM_MAX_TILE];
    LLVMValueRef v_s, v_v;
} flow;

static void carry(coti_emit *e, const coti_gemm_plan *plan, coti_loop *loop, flow *w) {
    for (int32_t i = 0; i < plan->height; i++) {
        w->v_acc[i] = coti_loop_carry(e, loop, w->v_acc[i], "v_acc");
    }
    w->v_s = coti_loop_carry(e, loop, w->v_s, "v_s_at");
    w->v_v = coti_loop_carry(e, loop, w->v_v, "v_v_at");
}

/* End the loop; the flow goes on after it. */
static void end_loop(coti_emit *e, const coti_gemm_plan *plan, coti_loop *loop, flow *w) {
    for (int32_t i = 0; i < plan->height; i++) {
        coti_loop_next(loop, i, w->v_acc[i]);
    }
    coti_loop_next(loop, plan->height, w->v_s);
    coti_loop_next(loop, plan->height + 1, w->v_v);
    coti_loop_end(e, loop);
    for (int32_t i = 0; i < plan->height; i++) {
        w->v_acc[i] = loop->v_result[i];
    }
    w->v_s = loop->v_result[plan->height];
    w->v_v = loop->v_result[plan->height + 1];
}

/* Steps of k, as a loop: code for one. */
static void emit_steps(coti_emit *e, const coti_gemm_plan *plan, flow *w, int64_t n) {
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), coti_l_i64(e, n), 1, "step");
    carry(e, plan, &loop, w);
    const coti_gemm_rows rows = {0, plan->height, 1};
    coti_gemm_emit_step(e, plan, rows, 1, w->v_s, w->v_v, w->v_acc);
    w->v_s = coti_l_element(e, e->t_f32, w->v_s, coti_l_i64(e, plan->s.k_stride), "");
    w->v_v = coti_l_element(e, e->t_f32, w->v_v, coti_l_i64(e, plan->lanes), "");
    end_loop(e, plan, &loop, w);
}

/* Sum a whole block, and meanwhile transpose the one that begins at v_k0. */
static void emit_block(coti_emit *e, const coti_gemm_plan *plan,
                       const coti_gemm_transposition *next, LLVMValueRef v_k0, flow *w) {
    int32_t lanes = plan->lanes;
    int32_t with_columns = lanes > 2 * QUAD ? 2 : 1;
    int32_t with_quad = (lanes - QUAD * with_columns) / (lanes / QUAD);
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    coti_loop loop;
    coti_loop_begin(e, &loop, v_zero, coti_l_i64(e, lanes), QUAD, "quad");
    carry(e, plan, &loop, w);
    coti_gemm_emit_quad(e, next, v_zero, v_k0, loop.v_i);
    emit_steps(e, plan, w, with_quad);
    end_loop(e, plan, &loop, w);
    coti_loop_begin(e, &loop, v_zero, coti_l_i64(e, QUAD), 1, "column");
    carry(e, plan, &loop, w);
    coti_gemm_emit_columns(e, next, v_zero, v_zero, loop.v_i);
    emit_steps(e, plan, w, with_columns);
    end_loop(e, plan, &loop, w);
}

/* The block of number v_i in scratch: even or odd. */
static LLVMValueRef block_ptr(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_blocks,
                              LLVMValueRef v_i) {
    LLVMValueRef v_odd = LLVMBuildAnd(e->builder, v_i, coti_l_i64(e, 1), "");
    int64_t elements = (int64_t)plan->lanes * plan->lanes;
    LLVMValueRef v_at = LLVMBuildMul(e->builder, v_odd, coti_l_i64(e, elements), "");
    return coti_l_element(e, e->t_f32, v_blocks, v_at, "v_block");
}

/* Whole blocks of k. The transposed block after the last is the rest, which ends with k; with no
 * rest it is the last once more, and nobody reads it. */
static void emit_whole_blocks(coti_emit *e, const coti_gemm_plan *plan,
                              const coti_gemm_transposition *t, flow *w) {
    int64_t k = e->kernel->gemm.k;
    coti_gemm_transposition next = *t;
    next.ahead = (int64_t)BLOCKS_AHEAD * plan->lanes;
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), coti_l_i64(e, k / plan->lanes), 1, "block");
    carry(e, plan, &loop, w);
    LLVMValueRef v_after = LLVMBuildAdd(e->builder, loop.v_i, coti_l_i64(e, 1), "");
    LLVMValueRef v_k0 = LLVMBuildMul(e->builder, v_after, coti_l_i64(e, plan->lanes), "");
    LLVMValueRef v_last = coti_l_i64(e, k - plan->lanes);
    LLVMValueRef v_inside = LLVMBuildICmp(e->builder, LLVMIntSLT, v_k0, v_last, "");
    v_k0 = coti_l_select(e, v_inside, v_k0, v_last, "v_k0");
    w->v_v = block_ptr(e, plan, t->v_to, loop.v_i);
    next.v_to = block_ptr(e, plan, t->v_to, v_after);
    emit_block(e, plan, &next, v_k0, w);
    end_loop(e, plan, &loop, w);
}

static void emit_rest(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_blocks, flow *w) {
    int64_t k = e->kernel->gemm.k, rest = k % plan->lanes;
    if (rest == 0) {
        return;
    }
    LLVMValueRef v_block = block_ptr(e, plan, v_blocks, coti_l_i64(e, k / plan->lanes));
    LLVMValueRef v_skip = coti_l_i64(e, (plan->lanes - rest) * plan->lanes);
    w->v_v = coti_l_element(e, e->t_f32, v_block, v_skip, "v_rest");
    emit_steps(e, plan, w, rest);
}

LLVMTypeRef coti_gemm_stream_type(coti_emit *e) {
    LLVMTypeRef parameter[COTI_GEMM_STREAM_ARGS] = {e->t_ptr, e->t_ptr, e->t_ptr,
                                                    e->t_ptr, e->t_ptr, e->t_i64};
    return LLVMFunctionType(e->t_void, parameter, COTI_GEMM_STREAM_ARGS, false);
}

LLVMValueRef coti_gemm_emit_stream(coti_emit *e, const coti_gemm_plan *plan,
                                   LLVMValueRef v_transpose) {
    coti_gemm_function f;
    LLVMValueRef v_function = coti_gemm_function_begin(e, &f, "stream", coti_gemm_stream_type(e));
    LLVMValueRef v_lanes = coti_l_i64(e, plan->lanes);
    coti_gemm_transposition t = {.lanes = plan->lanes,
                                 .block_k = plan->lanes,
                                 .v_from = LLVMGetParam(v_function, 1),
                                 .v_to = LLVMGetParam(v_function, 3),
                                 .v_square = LLVMGetParam(v_function, 4),
                                 .v_rows = v_lanes,
                                 .v_count = LLVMGetParam(v_function, 5),
                                 .v_k = v_lanes,
                                 .v_row_stride = coti_l_i64(e, plan->v.stride),
                                 .v_to_stride = v_lanes};
    coti_gemm_call_transpose(e, &t, v_transpose);
    flow w = {.v_s = LLVMGetParam(v_function, 0), .v_v = t.v_to};
    for (int32_t i = 0; i < plan->height; i++) {
        w.v_acc[i] = LLVMConstNull(coti_l_vector_type(e->t_f32, plan->lanes));
    }
    emit_whole_blocks(e, plan, &t, &w);
    emit_rest(e, plan, t.v_to, &w);
    for (int32_t i = 0; i < plan->height; i++) {
        LLVMValueRef v_at = coti_l_i64(e, (int64_t)i * plan->width);
        coti_l_store(e, w.v_acc[i],
                     coti_l_element(e, e->t_f32, LLVMGetParam(v_function, 2), v_at, ""));
    }
    coti_gemm_function_end(e, &f);
    return v_function;
}
