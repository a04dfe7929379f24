/*
 * The microkernel: one register tile over one chunk of k, in a function of its own, so that the
 * register allocator sees nothing else.
 *
 *   void tile(ptr s, ptr v, ptr c, i64 k, i64 v_k_stride, i1 first, i64 ahead, ptr scratch)
 *
 * s          element (first row of the tile, first k) of the broadcast operand; its strides are
 *            constants of the code
 * v          element (first k, first column) of the vector operand: `vectors` adjacent vectors for
 *            each k, the next k v_k_stride elements on
 * c          the tile's block in scratch: rows of plan->width elements, `vectors` vectors used
 * first      no chunk of this tile has been summed before
 * ahead      elements from v to a vector of the next panel
 * scratch    of the kernel: there are the addresses that the steps ask for (emit_gemm_fetch.c), and
 *            what waits to be finished meanwhile (emit_gemm_beside.c)
 *
 * Sums go on from chunk to chunk (c is where they wait), but when k is the batch: then each chunk
 * is a block that is summed from 0 and added to the sum of the blocks before.
 *
 * Operands may come from memory, in an order that the processor does not foresee. So each step of k
 * also asks for a line of what comes next: of the next panel of v, of the next tile's rows of s, of
 * what the epilogue will read (emit_gemm_fetch.c). Tiles of one panel ask for one vector each of
 * the next panel's, in turn.
 *
 * Each element of s is broadcast once and used by all vectors; with one vector the code generator
 * folds the broadcast into the fma. By lanes, each vector has elements of s of its own, and the
 * code generator folds their load.
 */
#include "emit_gemm.h"

#include <stdio.h>
#include <string.h>

LLVMValueRef coti_gemm_function_begin(coti_emit *e, coti_gemm_function *f, const char *name,
                                      LLVMTypeRef type) {
    LLVMValueRef v_function = LLVMAddFunction(e->module, name, type);
    LLVMSetLinkage(v_function, LLVMInternalLinkage);
    *f = (coti_gemm_function){e->v_function, coti_l_here(e)};
    e->v_function = v_function;
    LLVMPositionBuilderAtEnd(e->builder, coti_l_block(e, "entry"));
    return v_function;
}

void coti_gemm_function_end(coti_emit *e, const coti_gemm_function *f) {
    LLVMBuildRetVoid(e->builder);
    e->v_function = f->v_outer;
    LLVMPositionBuilderAtEnd(e->builder, f->b_outer);
}

enum { SECOND_CACHE = 2 };

typedef coti_gemm_tile tile;

static LLVMValueRef vector_ptr(coti_emit *e, const tile *t, int32_t i) {
    int64_t at = (int64_t)(i / t->vectors) * t->plan->width + (i % t->vectors) * t->plan->lanes;
    return coti_l_element(e, coti_gemm_element(e), t->v_c, coti_l_i64(e, at), "");
}

static void load_sums(coti_emit *e, const tile *t, LLVMValueRef *v_sum) {
    for (int32_t i = 0; i < t->n; i++) {
        v_sum[i] = coti_l_load_vector(e, coti_gemm_element(e), t->plan->lanes, vector_ptr(e, t, i),
                                      NULL, NULL, "v_sum");
    }
}

static void set_zero(coti_emit *e, tile *t) {
    LLVMTypeRef type = coti_l_vector_type(coti_gemm_element(e), t->plan->lanes);
    for (int32_t i = 0; i < t->n; i++) {
        t->v_acc[i] = LLVMConstNull(type);
    }
}

/* acc = first ? 0 : the sums so far. */
static void begin_going_on(coti_emit *e, tile *t, LLVMValueRef v_first) {
    set_zero(e, t);
    LLVMBasicBlockRef b_zero = coti_l_here(e);
    LLVMBasicBlockRef b_load = coti_l_block(e, "go_on"), b_start = coti_l_block(e, "start");
    LLVMBuildCondBr(e->builder, v_first, b_start, b_load);
    LLVMPositionBuilderAtEnd(e->builder, b_load);
    LLVMValueRef v_sum[COTI_GEMM_MAX_TILE];
    load_sums(e, t, v_sum);
    LLVMBuildBr(e->builder, b_start);
    LLVMPositionBuilderAtEnd(e->builder, b_start);
    for (int32_t i = 0; i < t->n; i++) {
        LLVMValueRef v_phi = LLVMBuildPhi(e->builder, LLVMTypeOf(t->v_acc[i]), "v_acc");
        LLVMAddIncoming(v_phi, (LLVMValueRef[]){t->v_acc[i], v_sum[i]},
                        (LLVMBasicBlockRef[]){b_zero, b_load}, 2);
        t->v_acc[i] = v_phi;
    }
}

static void store_sums(coti_emit *e, const tile *t) {
    for (int32_t i = 0; i < t->n; i++) {
        coti_l_store(e, t->v_acc[i], vector_ptr(e, t, i));
    }
}

/* c = first ? acc : c + acc. */
static void end_block(coti_emit *e, tile *t, LLVMValueRef v_first) {
    LLVMBasicBlockRef b_first = coti_l_block(e, "first_block"),
                      b_add = coti_l_block(e, "add_block"), b_done = coti_l_block(e, "done");
    LLVMBuildCondBr(e->builder, v_first, b_first, b_add);
    LLVMPositionBuilderAtEnd(e->builder, b_first);
    store_sums(e, t);
    LLVMBuildBr(e->builder, b_done);
    LLVMPositionBuilderAtEnd(e->builder, b_add);
    LLVMValueRef v_sum[COTI_GEMM_MAX_TILE];
    load_sums(e, t, v_sum);
    for (int32_t i = 0; i < t->n; i++) {
        t->v_acc[i] = LLVMBuildFAdd(e->builder, v_sum[i], t->v_acc[i], "v_sum");
    }
    store_sums(e, t);
    LLVMBuildBr(e->builder, b_done);
    LLVMPositionBuilderAtEnd(e->builder, b_done);
}

void coti_gemm_begin_sums(coti_emit *e, coti_gemm_tile *t, LLVMValueRef v_first) {
    if (t->plan->one_chunk || e->kernel->gemm.k_rows) {
        set_zero(e, t);
    } else {
        begin_going_on(e, t, v_first);
    }
}

void coti_gemm_end_sums(coti_emit *e, coti_gemm_tile *t, LLVMValueRef v_first) {
    if (e->kernel->gemm.k_rows) {
        end_block(e, t, v_first);
    } else {
        store_sums(e, t);
    }
}

/* Of x, in a vector's columns, or in all of them if those are fewer. */
static int32_t channels_of_lanes(const coti_emit *e, const coti_gemm_plan *plan) {
    const coti_window *w = &e->kernel->gemm.window;
    const int64_t columns = plan->v.extent < plan->lanes ? plan->v.extent : plan->lanes;
    return (int32_t)(columns / w->columns * w->channels);
}

LLVMValueRef coti_gemm_load_lanes(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_s,
                                  int32_t j) {
    const int32_t count = channels_of_lanes(e, plan);
    LLVMValueRef v_at = coti_l_i64(e, (int64_t)j * count);
    return coti_l_load_vector(e, coti_gemm_element(e), count,
                              coti_l_element(e, coti_gemm_element(e), v_s, v_at, ""), NULL, NULL,
                              "v_channels");
}

LLVMValueRef coti_gemm_lanes_of(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_channels,
                                int32_t channel) {
    const coti_window *w = &e->kernel->gemm.window;
    const int32_t count = channels_of_lanes(e, plan);
    LLVMValueRef v_from[COTI_LANES];
    if (w->columns == 1 && w->channels == 1 && count == plan->lanes) {
        return v_channels;
    }
    for (int32_t l = 0; l < plan->lanes; l++) {
        const int32_t from = l / (int32_t)w->columns * (int32_t)w->channels + channel;
        v_from[l] = coti_l_i32(e, from < count ? from : 0); /* nobody takes the rest */
    }
    return LLVMBuildShuffleVector(e->builder, v_channels, LLVMGetPoison(LLVMTypeOf(v_channels)),
                                  LLVMConstVector(v_from, (unsigned)plan->lanes), "v_lanes");
}

static LLVMValueRef element_at(coti_emit *e, LLVMValueRef v_base, int64_t at) {
    return coti_l_element(e, coti_gemm_element(e), v_base, coti_l_i64(e, at), "");
}

static LLVMValueRef vector_of_v(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_v,
                                int32_t j) {
    return coti_l_load_vector(e, coti_gemm_element(e), plan->lanes,
                              element_at(e, v_v, (int64_t)j * plan->lanes), NULL, NULL, "v_vector");
}

/* Rows are channels of taps: those of a tap are loaded together, for one vector after the other. */
static void step_by_lanes(coti_emit *e, const coti_gemm_plan *plan, coti_gemm_rows rows,
                          int32_t vectors, LLVMValueRef v_s, LLVMValueRef v_v,
                          LLVMValueRef *v_acc) {
    const int32_t channels = (int32_t)e->kernel->gemm.window.channels;
    for (int32_t j = 0; j < vectors; j++) {
        LLVMValueRef v_vector = vector_of_v(e, plan, v_v, j), v_channels = NULL;
        for (int32_t r = rows.first; r < rows.end; r++) {
            if (r == rows.first || r % channels == 0) {
                const int64_t at = plan->row_at[r] - r % channels;
                v_channels = coti_gemm_load_lanes(e, plan, element_at(e, v_s, at), j);
            }
            const int32_t i = r * vectors + j;
            LLVMValueRef v_lanes = coti_gemm_lanes_of(e, plan, v_channels, r % channels);
            v_acc[i] = coti_l_fma(e, v_lanes, v_vector, v_acc[i], "v_acc");
        }
    }
}

void coti_gemm_emit_step(coti_emit *e, const coti_gemm_plan *plan, coti_gemm_rows rows,
                         int32_t vectors, LLVMValueRef v_s, LLVMValueRef v_v, LLVMValueRef *v_acc) {
    LLVMValueRef v_vector[COTI_GEMM_MAX_TILE];
    if (plan->by_lanes) {
        step_by_lanes(e, plan, rows, vectors, v_s, v_v, v_acc);
        return;
    }
    for (int32_t j = 0; j < vectors; j++) {
        v_vector[j] = vector_of_v(e, plan, v_v, j);
    }
    for (int32_t r = rows.first; r < rows.end; r += rows.step) {
        LLVMValueRef v_element =
            coti_l_load(e, coti_gemm_element(e), element_at(e, v_s, plan->row_at[r]), "v_element");
        LLVMValueRef v_splat = coti_l_splat(e, v_element, plan->lanes, "v_splat");
        for (int32_t j = 0; j < vectors; j++) {
            int32_t i = r * vectors + j;
            v_acc[i] = coti_l_fma(e, v_splat, v_vector[j], v_acc[i], "v_acc");
        }
    }
}

/* What a step asks for; v_s: where the tile's first step is, v_s_at, v_v_at: where step v_k is. */
static void ask_ahead(coti_emit *e, const tile *t, LLVMValueRef v_s, LLVMValueRef v_s_at,
                      LLVMValueRef v_v_at, LLVMValueRef v_k) {
    const coti_gemm_plan *plan = t->plan;
    if (plan->n_fetches > 0) {
        coti_gemm_emit_fetch(e, plan, t->v_fetches, v_k);
    }
    if (plan->ahead_v) {
        coti_gemm_emit_prefetch(e, coti_l_element(e, coti_gemm_element(e), v_v_at, t->v_ahead, ""),
                                SECOND_CACHE);
    }
    if (plan->ahead_s) {
        /* Rows of k that follow one another are taken as one run of the next tile's lines. */
        LLVMValueRef v_next = coti_l_i64(e, t->height * plan->s.stride);
        if (plan->s.k_stride == 1) {
            LLVMValueRef v_line = LLVMBuildMul(e->builder, v_k, coti_l_i64(e, t->height), "v_line");
            v_next = LLVMBuildAdd(e->builder, v_next, v_line, "");
        }
        LLVMValueRef v_from = plan->s.k_stride == 1 ? v_s : v_s_at;
        coti_gemm_emit_prefetch(e, coti_l_element(e, coti_gemm_element(e), v_from, v_next, ""),
                                SECOND_CACHE);
    }
}

/* What is carried through the steps of k: the sums, and where the next elements of s and v are. */
typedef struct flow {
    LLVMValueRef v_acc[COTI_GEMM_MAX_TILE];
    LLVMValueRef v_s, v_v;
} flow;

static void carry(coti_emit *e, const tile *t, coti_loop *loop, flow *w) {
    for (int32_t i = 0; i < t->n; i++) {
        w->v_acc[i] = coti_loop_carry(e, loop, w->v_acc[i], "v_acc");
    }
    w->v_s = coti_loop_carry(e, loop, w->v_s, "v_s_at");
    w->v_v = coti_loop_carry(e, loop, w->v_v, "v_v_at");
}

/* End the loop; the flow goes on after it. */
static void end_loop(coti_emit *e, const tile *t, coti_loop *loop, flow *w) {
    for (int32_t i = 0; i < t->n; i++) {
        coti_loop_next(loop, i, w->v_acc[i]);
    }
    coti_loop_next(loop, t->n, w->v_s);
    coti_loop_next(loop, t->n + 1, w->v_v);
    coti_loop_end(e, loop);
    for (int32_t i = 0; i < t->n; i++) {
        w->v_acc[i] = loop->v_result[i];
    }
    w->v_s = loop->v_result[t->n];
    w->v_v = loop->v_result[t->n + 1];
}

/* Steps [v_from, v_to) of k. v_s: where the tile's first step is. */
static void emit_steps(coti_emit *e, const tile *t, flow *w, LLVMValueRef v_s, LLVMValueRef v_from,
                       LLVMValueRef v_to, LLVMValueRef v_k_stride) {
    coti_loop loop;
    coti_loop_begin(e, &loop, v_from, v_to, 1, "k");
    carry(e, t, &loop, w);
    if (t->height > 1) {
        ask_ahead(e, t, v_s, w->v_s, w->v_v, loop.v_i);
    }
    const coti_gemm_rows rows = {0, t->height, 1};
    coti_gemm_emit_step(e, t->plan, rows, t->vectors, w->v_s, w->v_v, w->v_acc);
    LLVMValueRef v_s_stride = coti_l_i64(e, t->plan->s.k_stride);
    w->v_s = coti_l_element(e, coti_gemm_element(e), w->v_s, v_s_stride, "");
    w->v_v = coti_l_element(e, coti_gemm_element(e), w->v_v, v_k_stride, "");
    end_loop(e, t, &loop, w);
}

/*
 * All steps of k in as many pieces as there are vectors that wait, each followed by one of them;
 * the last piece has what does not divide.
 */
static void emit_pieces(coti_emit *e, const tile *t, flow *w, LLVMValueRef v_s, LLVMValueRef v_k,
                        LLVMValueRef v_k_stride) {
    LLVMValueRef v_zero = coti_l_i64(e, 0), v_one = coti_l_i64(e, 1);
    LLVMValueRef v_left = coti_gemm_take_waiting(e, t->v_waiting);
    LLVMValueRef v_n = coti_i64_larger(e, v_left, v_one);
    LLVMValueRef v_each = LLVMBuildUDiv(e->builder, v_k, v_n, "v_each");
    coti_loop pieces;
    coti_loop_begin(e, &pieces, v_zero, v_n, 1, "piece");
    carry(e, t, &pieces, w);
    LLVMValueRef v_from = LLVMBuildMul(e->builder, pieces.v_i, v_each, "v_from");
    LLVMValueRef v_next = coti_i64_add(e, pieces.v_i, v_one);
    LLVMValueRef v_is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, v_next, v_n, "v_is_last");
    LLVMValueRef v_to = coti_l_select(e, v_is_last, v_k, coti_i64_add(e, v_from, v_each), "v_to");
    emit_steps(e, t, w, v_s, v_from, v_to, v_k_stride);
    coti_branch waits;
    coti_branch_begin(e, &waits, LLVMBuildICmp(e->builder, LLVMIntSLT, pieces.v_i, v_left, ""),
                      "waits");
    coti_gemm_emit_waiting_vector(e, t->plan, t->v_waiting);
    coti_branch_end(e, &waits);
    end_loop(e, t, &pieces, w);
}

static void sum_over_k(coti_emit *e, tile *t, LLVMValueRef v_s, LLVMValueRef v_v, LLVMValueRef v_k,
                       LLVMValueRef v_k_stride) {
    flow w = {.v_s = v_s, .v_v = v_v};
    memcpy(w.v_acc, t->v_acc, sizeof w.v_acc);
    if (t->plan->beside) {
        emit_pieces(e, t, &w, v_s, v_k, v_k_stride);
    } else {
        emit_steps(e, t, &w, v_s, coti_l_i64(e, 0), v_k, v_k_stride);
    }
    memcpy(t->v_acc, w.v_acc, sizeof w.v_acc);
}

LLVMTypeRef coti_gemm_tile_type(coti_emit *e) {
    LLVMTypeRef parameter[COTI_GEMM_TILE_ARGS] = {e->t_ptr, e->t_ptr, e->t_ptr, e->t_i64,
                                                  e->t_i64, e->t_i1,  e->t_i64, e->t_ptr};
    return LLVMFunctionType(e->t_void, parameter, COTI_GEMM_TILE_ARGS, false);
}

LLVMValueRef coti_gemm_emit_tile(coti_emit *e, const coti_gemm_plan *plan, int32_t height,
                                 int32_t vectors) {
    char name[48];
    (void)snprintf(name, sizeof name, "tile_%dx%d", (int)height, (int)vectors);
    coti_gemm_function f;
    LLVMValueRef v_function = coti_gemm_function_begin(e, &f, name, coti_gemm_tile_type(e));
    LLVMValueRef v_scratch = LLVMGetParam(v_function, 7);
    tile t = {.plan = plan,
              .height = height,
              .vectors = vectors,
              .n = height * vectors,
              .v_c = LLVMGetParam(v_function, 2),
              .v_ahead = LLVMGetParam(v_function, 6),
              .v_fetches = coti_l_element(e, e->t_i8, v_scratch, coti_l_i64(e, plan->fetch_at), ""),
              .v_waiting = coti_l_element(e, e->t_i8, v_scratch, coti_l_i64(e, plan->wait_at), "")};
    LLVMValueRef v_first = LLVMGetParam(v_function, 5);
    coti_gemm_begin_sums(e, &t, v_first);
    sum_over_k(e, &t, LLVMGetParam(v_function, 0), LLVMGetParam(v_function, 1),
               LLVMGetParam(v_function, 3), LLVMGetParam(v_function, 4));
    coti_gemm_end_sums(e, &t, v_first);
    coti_gemm_function_end(e, &f);
    return v_function;
}
