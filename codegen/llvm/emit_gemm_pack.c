/*
 * Packing a panel of the vector operand.
 *
 *   void pack(ptr source, ptr panel, ptr square, i64 k, i64 count)
 *
 * source     element (first k of the chunk, first column of the panel) of the operand
 * panel      k rows of plan->width elements
 * square     scratch of the transposition (emit_gemm_transpose.c)
 * count      columns that exist, 1 to plan->width; the lanes beyond hold copies of others or zero:
 *            they are computed with, and nobody takes their results
 */
#include "emit_gemm.h"

enum { ROWS_AHEAD = 32, FIRST_CACHE = 3 };

typedef struct pack {
    const coti_gemm_plan *plan;
    LLVMValueRef v_source, v_panel, v_square, v_k, v_count;
    LLVMValueRef v_transpose; /* the function, for PACK_TRANSPOSE */
} pack;

/* A row's lines lie apart from the next one's, so the processor does not see them coming. */
static void ask_for(coti_emit *e, const pack *p, LLVMValueRef v_from, int32_t vector) {
    const coti_gemm_plan *plan = p->plan;
    int64_t at = ROWS_AHEAD * plan->v.k_stride + (int64_t)vector * plan->lanes;
    coti_gemm_emit_prefetch(
        e, coti_l_element(e, coti_gemm_element(e), v_from, coti_l_i64(e, at), ""), FIRST_CACHE);
}

/* Row by row, vectors as they are; `masked`: columns beyond count are zero. */
static void emit_copy(coti_emit *e, const pack *p, bool masked) {
    const coti_gemm_plan *plan = p->plan;
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), p->v_k, 1, "k");
    LLVMValueRef v_from_at =
        LLVMBuildMul(e->builder, loop.v_i, coti_l_i64(e, plan->v.k_stride), "");
    LLVMValueRef v_to_at = LLVMBuildMul(e->builder, loop.v_i, coti_l_i64(e, plan->width), "");
    LLVMValueRef v_from = coti_l_element(e, coti_gemm_element(e), p->v_source, v_from_at, "v_from");
    LLVMValueRef v_to = coti_l_element(e, coti_gemm_element(e), p->v_panel, v_to_at, "v_to");
    for (int32_t j = 0; j < plan->vectors; j++) {
        ask_for(e, p, v_from, j);
        LLVMValueRef v_at = coti_l_i64(e, (int64_t)j * plan->lanes), v_mask = NULL;
        if (masked) {
            v_mask = coti_l_mask(e, LLVMBuildSub(e->builder, p->v_count, v_at, ""), plan->lanes);
        }
        LLVMValueRef v_vector = coti_l_load_vector(
            e, coti_gemm_element(e), plan->lanes,
            coti_l_element(e, coti_gemm_element(e), v_from, v_at, ""), v_mask, NULL, "");
        coti_l_store(e, v_vector, coti_l_element(e, coti_gemm_element(e), v_to, v_at, ""));
    }
    coti_loop_end(e, &loop);
}

/* Element by element: any strides, any k. */
static void emit_gather(coti_emit *e, const pack *p) {
    const coti_gemm_plan *plan = p->plan;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    coti_loop k, column;
    coti_loop_begin(e, &k, v_zero, p->v_k, 1, "k");
    coti_loop_begin(e, &column, v_zero, coti_l_i64(e, plan->width), 1, "column");
    LLVMValueRef v_last = LLVMBuildSub(e->builder, p->v_count, coti_l_i64(e, 1), "");
    LLVMValueRef v_exists = LLVMBuildICmp(e->builder, LLVMIntSLT, column.v_i, v_last, "");
    LLVMValueRef v_column = coti_l_select(e, v_exists, column.v_i, v_last, "");
    LLVMValueRef v_from = LLVMBuildAdd(
        e->builder, LLVMBuildMul(e->builder, v_column, coti_l_i64(e, plan->v.stride), ""),
        LLVMBuildMul(e->builder, k.v_i, coti_l_i64(e, plan->v.k_stride), ""), "v_from");
    LLVMValueRef v_to =
        LLVMBuildAdd(e->builder, LLVMBuildMul(e->builder, k.v_i, coti_l_i64(e, plan->width), ""),
                     column.v_i, "v_to");
    LLVMValueRef v_value =
        coti_l_load(e, coti_gemm_element(e),
                    coti_l_element(e, coti_gemm_element(e), p->v_source, v_from, ""), "");
    coti_l_store(e, v_value, coti_l_element(e, coti_gemm_element(e), p->v_panel, v_to, ""));
    coti_loop_end(e, &column);
    coti_loop_end(e, &k);
}

/* if (condition) then(); else otherwise(), in blocks of their own. */
static void either(coti_emit *e, const pack *p, LLVMValueRef v_condition,
                   void (*then)(coti_emit *, const pack *),
                   void (*otherwise)(coti_emit *, const pack *)) {
    LLVMBasicBlockRef b_then = coti_l_block(e, "then"), b_else = coti_l_block(e, "else"),
                      b_done = coti_l_block(e, "done");
    LLVMBuildCondBr(e->builder, v_condition, b_then, b_else);
    LLVMPositionBuilderAtEnd(e->builder, b_then);
    then(e, p);
    LLVMBuildBr(e->builder, b_done);
    LLVMPositionBuilderAtEnd(e->builder, b_else);
    otherwise(e, p);
    LLVMBuildBr(e->builder, b_done);
    LLVMPositionBuilderAtEnd(e->builder, b_done);
}

static void copy_whole(coti_emit *e, const pack *p) {
    emit_copy(e, p, false);
}

static void copy_masked(coti_emit *e, const pack *p) {
    emit_copy(e, p, true);
}

static void transpose_panel(coti_emit *e, const pack *p) {
    const coti_gemm_plan *plan = p->plan;
    LLVMValueRef v_width = coti_l_i64(e, plan->width);
    coti_gemm_transposition t = {.v_from = p->v_source,
                                 .v_to = p->v_panel,
                                 .v_square = p->v_square,
                                 .v_rows = v_width,
                                 .v_count = p->v_count,
                                 .v_k = p->v_k,
                                 .v_row_stride = coti_l_i64(e, plan->v.stride),
                                 .v_to_stride = v_width};
    coti_gemm_call_transpose(e, &t, p->v_transpose);
}

static void emit_pack_body(coti_emit *e, const pack *p) {
    const coti_gemm_plan *plan = p->plan;
    switch (plan->pack) {
    case COTI_GEMM_PACK_NONE:
        return;
    case COTI_GEMM_PACK_COPY:
        /* On AVX-512 masks cost next to nothing, and one copy of the loop does. */
        if (plan->partial && plan->lanes == COTI_LANES) {
            copy_masked(e, p);
        } else if (plan->partial) {
            LLVMValueRef v_width = coti_l_i64(e, plan->width);
            either(e, p, LLVMBuildICmp(e->builder, LLVMIntSGE, p->v_count, v_width, ""), copy_whole,
                   copy_masked);
        } else {
            copy_whole(e, p);
        }
        return;
    case COTI_GEMM_PACK_TRANSPOSE:
        if (plan->short_k) {
            LLVMValueRef v_block = coti_l_i64(e, plan->block_k);
            either(e, p, LLVMBuildICmp(e->builder, LLVMIntSGE, p->v_k, v_block, ""),
                   transpose_panel, emit_gather);
        } else {
            transpose_panel(e, p);
        }
        return;
    case COTI_GEMM_PACK_GATHER:
        emit_gather(e, p);
        return;
    }
}

LLVMTypeRef coti_gemm_pack_type(coti_emit *e) {
    LLVMTypeRef parameter[COTI_GEMM_PACK_ARGS] = {e->t_ptr, e->t_ptr, e->t_ptr, e->t_i64, e->t_i64};
    return LLVMFunctionType(e->t_void, parameter, COTI_GEMM_PACK_ARGS, false);
}

LLVMValueRef coti_gemm_emit_pack(coti_emit *e, const coti_gemm_plan *plan,
                                 LLVMValueRef v_transpose) {
    coti_gemm_function f;
    LLVMValueRef v_function = coti_gemm_function_begin(e, &f, "pack", coti_gemm_pack_type(e));
    pack p = {.plan = plan,
              .v_source = LLVMGetParam(v_function, 0),
              .v_panel = LLVMGetParam(v_function, 1),
              .v_square = LLVMGetParam(v_function, 2),
              .v_k = LLVMGetParam(v_function, 3),
              .v_count = LLVMGetParam(v_function, 4),
              .v_transpose = v_transpose};
    emit_pack_body(e, &p);
    coti_gemm_function_end(e, &f);
    return v_function;
}
