/*
 * Transposing blocks of memory: rows of the vector operand into a panel, and a finished tile for an
 * epilogue along s.
 *
 *   void transpose(ptr from, ptr to, ptr square, i64 rows, i64 count, i64 k, i64 row_stride,
 *                  i64 to_stride)
 *
 * from       `count` rows of k elements, row_stride apart; count >= 1, k >= plan->block_k
 * to         k rows, to_stride apart, of `rows` elements (a multiple of lanes); element k of row r
 *            goes to row k, column r; beyond `count` stand elements of other rows
 * square     lanes vectors of scratch
 *
 * A block of lanes rows by block_k elements is transposed by shuffles within 128 bits, four rows at
 * a time, into the square, and then by shuffles of whole 128 bits. The two loops are short code
 * that costs little to compile, and no more to run than the memory it waits for.
 */
#include "emit_gemm.h"

enum { QUAD = COTI_GEMM_QUAD, SECOND_CACHE = 2 };

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
    int32_t from[COTI_LANES] = {0};
    for (int32_t l = 0; l < lanes; l++) {
        from[l] = l - l % QUAD + first + (l % QUAD) / 2 + (l % 2) * lanes;
    }
    return shuffle(e, v_a, v_b, from, lanes);
}

/* In each block of four, the pairs a[first..], b[first..]. */
static LLVMValueRef interleave_pairs(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b,
                                     int32_t first, int32_t lanes) {
    int32_t from[COTI_LANES] = {0};
    for (int32_t l = 0; l < lanes; l++) {
        from[l] = l - l % QUAD + first + l % 2 + ((l % QUAD) / 2) * lanes;
    }
    return shuffle(e, v_a, v_b, from, lanes);
}

/* The blocks of four with even (0) or odd (1) number: a's, then b's. */
static LLVMValueRef pick_blocks(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, int32_t odd,
                                int32_t lanes) {
    int32_t from[COTI_LANES] = {0};
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

/* n vectors of n blocks of four: block j of vector i becomes block i of vector j. n: 1, 2 or 4. */
static void transpose_blocks(coti_emit *e, LLVMValueRef *v_vector, int32_t n, int32_t lanes) {
    int32_t half = n / 2;
    for (int32_t round = 1; round < n; round *= 2) {
        LLVMValueRef v_next[QUAD];
        for (int32_t i = 0; i < n; i++) {
            int32_t pair = i % half, odd = i / half;
            v_next[i] = pick_blocks(e, v_vector[2 * pair], v_vector[2 * pair + 1], odd, lanes);
        }
        for (int32_t i = 0; i < n; i++) {
            v_vector[i] = v_next[i];
        }
    }
}

/* ---- through memory ---- */

/* block_k elements from v_k0 on of row v_row, or of the last row that exists, as the low lanes of a
 * full vector. */
static LLVMValueRef load_row(coti_emit *e, const coti_gemm_transposition *t, LLVMValueRef v_row,
                             LLVMValueRef v_k0) {
    LLVMValueRef v_last = LLVMBuildSub(e->builder, t->v_count, coti_l_i64(e, 1), "");
    LLVMValueRef v_at =
        LLVMBuildMul(e->builder, coti_i64_smaller(e, v_row, v_last), t->v_row_stride, "v_row_at");
    LLVMValueRef v_start = coti_l_element(e, e->t_f32, t->v_from, v_at, "");
    LLVMValueRef v_ptr = coti_l_element(e, e->t_f32, v_start, v_k0, "v_row_ptr");
    if (t->ahead != 0) {
        coti_gemm_emit_prefetch(e, coti_l_element(e, e->t_f32, v_ptr, coti_l_i64(e, t->ahead), ""),
                                SECOND_CACHE);
    }
    LLVMValueRef v_load = coti_l_load_vector(e, e->t_f32, t->block_k, v_ptr, NULL, NULL, "v_row");
    if (t->block_k == t->lanes) {
        return v_load;
    }
    int32_t from[COTI_LANES] = {0};
    for (int32_t l = 0; l < t->lanes; l++) {
        from[l] = l % t->block_k;
    }
    return shuffle(e, v_load, LLVMGetPoison(LLVMTypeOf(v_load)), from, t->lanes);
}

/* Vector `i` (i64) of the square. */
static LLVMValueRef square_ptr(coti_emit *e, const coti_gemm_transposition *t, LLVMValueRef v_i) {
    LLVMValueRef v_at = LLVMBuildMul(e->builder, v_i, coti_l_i64(e, t->lanes), "");
    return coti_l_element(e, e->t_f32, t->v_square, v_at, "v_square_at");
}

void coti_gemm_emit_quad(coti_emit *e, const coti_gemm_transposition *t, LLVMValueRef v_row,
                         LLVMValueRef v_k0, LLVMValueRef v_first) {
    LLVMValueRef v_from = LLVMBuildAdd(e->builder, v_row, v_first, ""), v_value[QUAD];
    for (int32_t i = 0; i < QUAD; i++) {
        v_value[i] = load_row(e, t, LLVMBuildAdd(e->builder, v_from, coti_l_i64(e, i), ""), v_k0);
    }
    transpose_quads(e, v_value, t->lanes);
    for (int32_t i = 0; i < QUAD; i++) {
        LLVMValueRef v_i = LLVMBuildAdd(e->builder, v_first, coti_l_i64(e, i), "");
        coti_l_store(e, v_value[i], square_ptr(e, t, v_i));
    }
}

void coti_gemm_emit_columns(coti_emit *e, const coti_gemm_transposition *t, LLVMValueRef v_row,
                            LLVMValueRef v_k0, LLVMValueRef v_c) {
    int32_t n = t->lanes / QUAD;
    LLVMValueRef v_value[QUAD] = {NULL};
    for (int32_t i = 0; i < n; i++) {
        LLVMValueRef v_i = LLVMBuildAdd(e->builder, v_c, coti_l_i64(e, (int64_t)i * QUAD), "");
        v_value[i] =
            coti_l_load_vector(e, e->t_f32, t->lanes, square_ptr(e, t, v_i), NULL, NULL, "");
    }
    transpose_blocks(e, v_value, n, t->lanes);
    LLVMValueRef v_first = LLVMBuildAdd(e->builder, v_k0, v_c, "");
    for (int32_t i = 0; i < t->block_k / QUAD; i++) {
        LLVMValueRef v_k = LLVMBuildAdd(e->builder, v_first, coti_l_i64(e, (int64_t)i * QUAD), "");
        LLVMValueRef v_at = LLVMBuildMul(e->builder, v_k, t->v_to_stride, "");
        v_at = LLVMBuildAdd(e->builder, v_at, v_row, "");
        coti_l_store(e, v_value[i], coti_l_element(e, e->t_f32, t->v_to, v_at, "v_to_at"));
    }
}

/* Rows of the block that begins at v_row which are worth loading: beyond the first block those that
 * exist. What the square then still holds is the block before: numbers, at least. */
static LLVMValueRef rows_of_block(coti_emit *e, const coti_gemm_transposition *t,
                                  LLVMValueRef v_row) {
    LLVMValueRef v_lanes = coti_l_i64(e, t->lanes);
    LLVMValueRef v_left = LLVMBuildSub(e->builder, t->v_count, v_row, "v_left");
    LLVMValueRef v_is_first =
        LLVMBuildICmp(e->builder, LLVMIntEQ, v_row, coti_l_i64(e, 0), "v_is_first");
    return coti_l_select(e, v_is_first, v_lanes, coti_i64_smaller(e, v_left, v_lanes), "v_rows");
}

/* All blocks; the last of a row begins early enough to end with it. */
static void emit_transposition(coti_emit *e, const coti_gemm_transposition *t) {
    coti_loop rows, blocks, piece;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    LLVMValueRef v_last = LLVMBuildSub(e->builder, t->v_k, coti_l_i64(e, t->block_k), "v_last");
    coti_loop_begin(e, &rows, v_zero, t->v_rows, t->lanes, "row");
    coti_loop_begin(e, &blocks, v_zero, t->v_k, t->block_k, "block");
    LLVMValueRef v_k0 = coti_i64_smaller(e, blocks.v_i, v_last);
    coti_loop_begin(e, &piece, v_zero, rows_of_block(e, t, rows.v_i), QUAD, "quad");
    coti_gemm_emit_quad(e, t, rows.v_i, v_k0, piece.v_i);
    coti_loop_end(e, &piece);
    coti_loop_begin(e, &piece, v_zero, coti_l_i64(e, QUAD), 1, "column");
    coti_gemm_emit_columns(e, t, rows.v_i, v_k0, piece.v_i);
    coti_loop_end(e, &piece);
    coti_loop_end(e, &blocks);
    coti_loop_end(e, &rows);
}

LLVMTypeRef coti_gemm_transpose_type(coti_emit *e) {
    LLVMTypeRef parameter[COTI_GEMM_TRANSPOSE_ARGS] = {e->t_ptr, e->t_ptr, e->t_ptr, e->t_i64,
                                                       e->t_i64, e->t_i64, e->t_i64, e->t_i64};
    return LLVMFunctionType(e->t_void, parameter, COTI_GEMM_TRANSPOSE_ARGS, false);
}

LLVMValueRef coti_gemm_emit_transpose(coti_emit *e, const coti_gemm_plan *plan) {
    coti_gemm_function f;
    LLVMValueRef v_function =
        coti_gemm_function_begin(e, &f, "transpose", coti_gemm_transpose_type(e));
    coti_gemm_transposition t = {.lanes = plan->lanes,
                                 .block_k = plan->block_k,
                                 .v_from = LLVMGetParam(v_function, 0),
                                 .v_to = LLVMGetParam(v_function, 1),
                                 .v_square = LLVMGetParam(v_function, 2),
                                 .v_rows = LLVMGetParam(v_function, 3),
                                 .v_count = LLVMGetParam(v_function, 4),
                                 .v_k = LLVMGetParam(v_function, 5),
                                 .v_row_stride = LLVMGetParam(v_function, 6),
                                 .v_to_stride = LLVMGetParam(v_function, 7)};
    emit_transposition(e, &t);
    coti_gemm_function_end(e, &f);
    return v_function;
}

/* ---- a finished tile ---- */

LLVMTypeRef coti_gemm_turn_type(coti_emit *e) {
    LLVMTypeRef parameter[] = {e->t_ptr, e->t_ptr};
    return LLVMFunctionType(e->t_void, parameter, 2, false);
}

/* Four rows of one vector each, to four columns: blocks of four go where they belong at once. */
static void emit_turned_quad(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_from,
                             LLVMValueRef v_to) {
    LLVMValueRef v_row[QUAD];
    for (int32_t i = 0; i < QUAD; i++) {
        LLVMValueRef v_at = coti_l_i64(e, (int64_t)i * plan->width);
        v_row[i] =
            coti_l_load_vector(e, e->t_f32, plan->lanes,
                               coti_l_element(e, e->t_f32, v_from, v_at, ""), NULL, NULL, "v_row");
    }
    transpose_quads(e, v_row, plan->lanes);
    for (int32_t column = 0; column < plan->lanes; column++) {
        LLVMValueRef v_lane[QUAD];
        for (int32_t i = 0; i < QUAD; i++) {
            v_lane[i] = coti_l_i32(e, column / QUAD * QUAD + i);
        }
        LLVMValueRef v_quad = v_row[column % QUAD];
        v_quad = LLVMBuildShuffleVector(e->builder, v_quad, LLVMGetPoison(LLVMTypeOf(v_quad)),
                                        LLVMConstVector(v_lane, QUAD), "v_quad");
        LLVMValueRef v_at = coti_l_i64(e, (int64_t)column * plan->t_stride);
        coti_l_store(e, v_quad, coti_l_element(e, e->t_f32, v_to, v_at, ""));
    }
}

LLVMValueRef coti_gemm_emit_turn(coti_emit *e, const coti_gemm_plan *plan) {
    coti_gemm_function f;
    LLVMValueRef v_function = coti_gemm_function_begin(e, &f, "turn", coti_gemm_turn_type(e));
    LLVMValueRef v_zero = coti_l_i64(e, 0), v_last = coti_l_i64(e, plan->t_stride - QUAD);
    coti_loop rows, columns;
    coti_loop_begin(e, &rows, v_zero, coti_l_i64(e, plan->t_stride), QUAD, "quad");
    LLVMValueRef v_row = coti_i64_smaller(e, rows.v_i, v_last);
    LLVMValueRef v_row_at = coti_i64_times(e, v_row, plan->width);
    coti_loop_begin(e, &columns, v_zero, coti_l_i64(e, plan->width), plan->lanes, "column");
    LLVMValueRef v_column_at = coti_i64_times(e, columns.v_i, plan->t_stride);
    LLVMValueRef v_from = coti_i64_add(e, v_row_at, columns.v_i);
    LLVMValueRef v_to = coti_i64_add(e, v_column_at, v_row);
    emit_turned_quad(e, plan, coti_l_element(e, e->t_f32, LLVMGetParam(v_function, 0), v_from, ""),
                     coti_l_element(e, e->t_f32, LLVMGetParam(v_function, 1), v_to, ""));
    coti_loop_end(e, &columns);
    coti_loop_end(e, &rows);
    coti_gemm_function_end(e, &f);
    return v_function;
}

void coti_gemm_call_transpose(coti_emit *e, const coti_gemm_transposition *t,
                              LLVMValueRef v_transpose) {
    LLVMValueRef v_arg[COTI_GEMM_TRANSPOSE_ARGS] = {t->v_from,       t->v_to,       t->v_square,
                                                    t->v_rows,       t->v_count,    t->v_k,
                                                    t->v_row_stride, t->v_to_stride};
    LLVMBuildCall2(e->builder, coti_gemm_transpose_type(e), v_transpose, v_arg,
                   COTI_GEMM_TRANSPOSE_ARGS, "");
}
