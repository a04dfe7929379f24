/*
 * Packing a panel of the vector operand, and transposing a finished tile: the same routine, lanes
 * by lanes elements in registers.
 *
 *   void pack(ptr source, ptr panel, i64 k, i64 count)
 *
 * source     element (first k of the chunk, first column of the panel) of the operand
 * panel      k rows of plan->width elements
 * count      columns that exist, 1 to plan->width; the lanes beyond hold copies of others or zero:
 *            they are computed with, and nobody takes their results
 *
 *   void transpose(ptr tile, ptr transposed)
 *
 * tile       plan->c_rows rows of plan->width elements; transposed: plan->width rows of
 *            plan->t_stride
 */
#include "emit_gemm.h"

enum { QUAD = 4 /* elements of a 128-bit block, the unit of cheap shuffles */ };

/* ---- in registers ---- */

/* Lane l of the result is lane from[l] of a, or lane from[l] - lanes of b. */
static LLVMValueRef shuffle(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, const int32_t *from,
                            int32_t lanes) {
    LLVMValueRef v_mask[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        v_mask[l] = coti_l_i32(e, from[l]);
    }
    return LLVMBuildShuffleVector(e->builder, v_a, v_b, LLVMConstVector(v_mask, (unsigned)lanes),
                                  "v_shuffle");
}

/* In each block of four, the lanes a[first], b[first], a[first + 1], b[first + 1]. */
static LLVMValueRef interleave(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, int32_t first,
                               int32_t lanes) {
    int32_t from[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        from[l] = l - l % QUAD + first + (l % QUAD) / 2 + (l % 2) * lanes;
    }
    return shuffle(e, v_a, v_b, from, lanes);
}

/* In each block of four, the pairs a[first..], b[first..]. */
static LLVMValueRef interleave_pairs(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b,
                                     int32_t first, int32_t lanes) {
    int32_t from[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        from[l] = l - l % QUAD + first + l % 2 + ((l % QUAD) / 2) * lanes;
    }
    return shuffle(e, v_a, v_b, from, lanes);
}

/* The blocks of four with even (0) or odd (1) number: a's, then b's. */
static LLVMValueRef pick_blocks(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, int32_t odd,
                                int32_t lanes) {
    int32_t from[COTI_LANES];
    for (int32_t l = 0; l < lanes; l++) {
        int32_t half = lanes / 2, within = l % half;
        from[l] = (2 * (within / QUAD) + odd) * QUAD + l % QUAD + (l / half) * lanes;
    }
    return shuffle(e, v_a, v_b, from, lanes);
}

/* Transpose four rows within each block: then block b of v_row[c] holds column 4 b + c. */
static void transpose_quads(coti_emit *e, LLVMValueRef *v_row, int32_t lanes) {
    LLVMValueRef v_low = interleave(e, v_row[0], v_row[1], 0, lanes);
    LLVMValueRef v_high = interleave(e, v_row[0], v_row[1], 2, lanes);
    LLVMValueRef v_low2 = interleave(e, v_row[2], v_row[3], 0, lanes);
    LLVMValueRef v_high2 = interleave(e, v_row[2], v_row[3], 2, lanes);
    v_row[0] = interleave_pairs(e, v_low, v_low2, 0, lanes);
    v_row[1] = interleave_pairs(e, v_low, v_low2, 2, lanes);
    v_row[2] = interleave_pairs(e, v_high, v_high2, 0, lanes);
    v_row[3] = interleave_pairs(e, v_high, v_high2, 2, lanes);
}

/* v_row[i], i < lanes, become columns. Lanes: 4, 8 or 16. */
static void transpose_square(coti_emit *e, LLVMValueRef *v_row, int32_t lanes) {
    for (int32_t r = 0; r < lanes; r += QUAD) {
        transpose_quads(e, v_row + r, lanes);
    }
    int32_t n_blocks = lanes / QUAD;
    for (int32_t round = 1; round < n_blocks; round *= 2) {
        LLVMValueRef v_next[COTI_LANES];
        for (int32_t i = 0; i < lanes; i++) {
            int32_t c = i % QUAD, block = i / QUAD, half = n_blocks / 2;
            int32_t pair = block % half, odd = block / half;
            v_next[i] = pick_blocks(e, v_row[2 * pair * QUAD + c], v_row[(2 * pair + 1) * QUAD + c],
                                    odd, lanes);
        }
        for (int32_t i = 0; i < lanes; i++) {
            v_row[i] = v_next[i];
        }
    }
}

/* ---- through memory ---- */

/* Rows of `k` elements, contiguous, become rows of the destination, element k of row r going to row
 * k, column r. */
typedef struct transposition {
    int32_t lanes, n_rows; /* n_rows: a multiple of lanes */
    int32_t block_k;       /* elements of a row that are loaded at once: 4 to lanes */
    int64_t row_stride, to_stride;
    LLVMValueRef v_from, v_to, v_k;
    LLVMValueRef v_count; /* rows that exist; NULL: all */
} transposition;

/* Offset of row `row` + l, or of the last row that exists. */
static LLVMValueRef row_offset(coti_emit *e, const transposition *t, LLVMValueRef v_row,
                               int32_t l) {
    LLVMValueRef v_at = LLVMBuildAdd(e->builder, v_row, coti_l_i64(e, l), "");
    if (t->v_count != NULL) {
        LLVMValueRef v_last = LLVMBuildSub(e->builder, t->v_count, coti_l_i64(e, 1), "");
        LLVMValueRef v_exists = LLVMBuildICmp(e->builder, LLVMIntSLT, v_at, v_last, "");
        v_at = coti_l_select(e, v_exists, v_at, v_last, "");
    }
    return LLVMBuildMul(e->builder, v_at, coti_l_i64(e, t->row_stride), "v_row_offset");
}

/* Load block_k elements as the low lanes of a full vector. */
static LLVMValueRef load_low(coti_emit *e, const transposition *t, LLVMValueRef v_ptr) {
    LLVMValueRef v_load = coti_l_load_vector(e, e->t_f32, t->block_k, v_ptr, NULL, NULL, "v_row");
    if (t->block_k == t->lanes) {
        return v_load;
    }
    int32_t from[COTI_LANES];
    for (int32_t l = 0; l < t->lanes; l++) {
        from[l] = l % t->block_k;
    }
    return shuffle(e, v_load, LLVMGetPoison(LLVMTypeOf(v_load)), from, t->lanes);
}

/* One block of lanes rows by block_k elements from element v_k0 on. */
static void transpose_block(coti_emit *e, const transposition *t, LLVMValueRef *v_offset,
                            LLVMValueRef v_row, LLVMValueRef v_k0) {
    LLVMValueRef v_value[COTI_LANES];
    for (int32_t l = 0; l < t->lanes; l++) {
        LLVMValueRef v_start = coti_l_element(e, e->t_f32, t->v_from, v_offset[l], "");
        v_value[l] = load_low(e, t, coti_l_element(e, e->t_f32, v_start, v_k0, ""));
    }
    transpose_square(e, v_value, t->lanes);
    LLVMValueRef v_at = LLVMBuildMul(e->builder, v_k0, coti_l_i64(e, t->to_stride), "");
    v_at = LLVMBuildAdd(e->builder, v_at, v_row, "");
    LLVMValueRef v_to = coti_l_element(e, e->t_f32, t->v_to, v_at, "v_to");
    for (int32_t i = 0; i < t->block_k; i++) {
        coti_l_store(e, v_value[i],
                     coti_l_element(e, e->t_f32, v_to, coti_l_i64(e, i * t->to_stride), ""));
    }
}

/* All rows and elements; k >= block_k. The last block begins early enough to end with the row. */
static void emit_transposition(coti_emit *e, const transposition *t) {
    coti_loop rows, blocks;
    LLVMValueRef v_block = coti_l_i64(e, t->block_k);
    LLVMValueRef v_last = LLVMBuildSub(e->builder, t->v_k, v_block, "v_last");
    coti_loop_begin(e, &rows, coti_l_i64(e, 0), coti_l_i64(e, t->n_rows), t->lanes, "row");
    LLVMValueRef v_offset[COTI_LANES];
    for (int32_t l = 0; l < t->lanes; l++) {
        v_offset[l] = row_offset(e, t, rows.v_i, l);
    }
    coti_loop_begin(e, &blocks, coti_l_i64(e, 0), t->v_k, t->block_k, "block");
    LLVMValueRef v_whole = LLVMBuildICmp(e->builder, LLVMIntSLT, blocks.v_i, v_last, "");
    LLVMValueRef v_k0 = coti_l_select(e, v_whole, blocks.v_i, v_last, "v_k0");
    transpose_block(e, t, v_offset, rows.v_i, v_k0);
    coti_loop_end(e, &blocks);
    coti_loop_end(e, &rows);
}

/* ---- packing ---- */

typedef struct pack {
    const coti_gemm_plan *plan;
    LLVMValueRef v_source, v_panel, v_k, v_count;
} pack;

/* Row by row, vectors as they are; `masked`: columns beyond count are zero. */
static void emit_copy(coti_emit *e, const pack *p, bool masked) {
    const coti_gemm_plan *plan = p->plan;
    coti_loop loop;
    coti_loop_begin(e, &loop, coti_l_i64(e, 0), p->v_k, 1, "k");
    LLVMValueRef v_from_at =
        LLVMBuildMul(e->builder, loop.v_i, coti_l_i64(e, plan->v.k_stride), "");
    LLVMValueRef v_to_at = LLVMBuildMul(e->builder, loop.v_i, coti_l_i64(e, plan->width), "");
    LLVMValueRef v_from = coti_l_element(e, e->t_f32, p->v_source, v_from_at, "v_from");
    LLVMValueRef v_to = coti_l_element(e, e->t_f32, p->v_panel, v_to_at, "v_to");
    for (int32_t j = 0; j < plan->vectors; j++) {
        LLVMValueRef v_at = coti_l_i64(e, (int64_t)j * plan->lanes), v_mask = NULL;
        if (masked) {
            v_mask = coti_l_mask(e, LLVMBuildSub(e->builder, p->v_count, v_at, ""), plan->lanes);
        }
        LLVMValueRef v_vector =
            coti_l_load_vector(e, e->t_f32, plan->lanes,
                               coti_l_element(e, e->t_f32, v_from, v_at, ""), v_mask, NULL, "");
        coti_l_store(e, v_vector, coti_l_element(e, e->t_f32, v_to, v_at, ""));
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
        coti_l_load(e, e->t_f32, coti_l_element(e, e->t_f32, p->v_source, v_from, ""), "");
    coti_l_store(e, v_value, coti_l_element(e, e->t_f32, p->v_panel, v_to, ""));
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
    transposition t = {.lanes = plan->lanes,
                       .n_rows = plan->width,
                       .block_k = plan->block_k,
                       .row_stride = plan->v.stride,
                       .to_stride = plan->width,
                       .v_from = p->v_source,
                       .v_to = p->v_panel,
                       .v_k = p->v_k,
                       .v_count = plan->partial ? p->v_count : NULL};
    emit_transposition(e, &t);
}

static void emit_pack_body(coti_emit *e, const pack *p) {
    const coti_gemm_plan *plan = p->plan;
    switch (plan->pack) {
    case COTI_GEMM_PACK_NONE:
        return;
    case COTI_GEMM_PACK_COPY:
        if (plan->partial) {
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
    LLVMTypeRef parameter[COTI_GEMM_PACK_ARGS] = {e->t_ptr, e->t_ptr, e->t_i64, e->t_i64};
    return LLVMFunctionType(e->t_void, parameter, COTI_GEMM_PACK_ARGS, false);
}

LLVMValueRef coti_gemm_emit_pack(coti_emit *e, const coti_gemm_plan *plan) {
    LLVMTypeRef parameter[COTI_GEMM_PACK_ARGS] = {e->t_ptr, e->t_ptr, e->t_i64, e->t_i64};
    coti_gemm_function f;
    LLVMValueRef v_function =
        coti_gemm_function_begin(e, &f, "pack", parameter, COTI_GEMM_PACK_ARGS);
    pack p = {plan, LLVMGetParam(v_function, 0), LLVMGetParam(v_function, 1),
              LLVMGetParam(v_function, 2), LLVMGetParam(v_function, 3)};
    emit_pack_body(e, &p);
    coti_gemm_function_end(e, &f);
    return v_function;
}

LLVMTypeRef coti_gemm_transpose_type(coti_emit *e) {
    return LLVMFunctionType(e->t_void, (LLVMTypeRef[]){e->t_ptr, e->t_ptr}, 2, false);
}

LLVMValueRef coti_gemm_emit_transpose(coti_emit *e, const coti_gemm_plan *plan) {
    coti_gemm_function f;
    LLVMValueRef v_function =
        coti_gemm_function_begin(e, &f, "transpose", (LLVMTypeRef[]){e->t_ptr, e->t_ptr}, 2);
    transposition t = {.lanes = plan->lanes,
                       .n_rows = plan->c_rows,
                       .block_k = plan->lanes,
                       .row_stride = plan->width,
                       .to_stride = plan->t_stride,
                       .v_from = LLVMGetParam(v_function, 0),
                       .v_to = LLVMGetParam(v_function, 1),
                       .v_k = coti_l_i64(e, plan->width)};
    emit_transposition(e, &t);
    coti_gemm_function_end(e, &f);
    return v_function;
}
