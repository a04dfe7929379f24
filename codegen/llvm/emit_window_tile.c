/*
 * Microkernels of products whose operand A is windows of images (kernel.h): as emit_gemm_tile.c,
 * but elements of A are found by the windows' strides, and taps that fall outside of the image are
 * left out, by loops that are shorter or that sum fewer rows. Nothing is copied, and nothing is
 * multiplied by a zero of the border.
 *
 *   void rows(ptr x, ptr v, ptr c, i64 n0, i64 n1, i64 t0, i64 t1, i64 v_k_stride, i1 first,
 *             ptr ahead, i64 ahead_step)
 *
 * Positions of one row of an image by channels: a tile's rows are adjacent positions.
 *
 * x          the element that the tile's first position, were it inside, meets at the first tap of
 *            axis 0 that is, the first tap of axis 1, the first channel
 * v          the vector of that tap
 * n0         taps of axis 0 that are inside; n1, t0, t1 are not used
 *
 *   void taps(ptr x, ptr v, ptr c, i64 k0, i64 k1, i64 t0, i64 t1, i64 v_k_stride, i1 first,
 *             ptr ahead, i64 ahead_step)
 *
 * Channels of one tap, or of a row of taps, by channels of the result: the sum is over positions.
 *
 * x          the image's first element, at the tile's first channel
 * v          the vector of position k0
 * k0, k1     positions [k0, k1) of all images
 * t0, t1     the tap; of a row of taps its first, t1 = 0
 *
 * ahead      of taps: what position k0 asks for, ahead_step elements further with each: of the next
 *            chunk. Of rows: the table of lines to be asked for (emit_gemm_fetch.c)
 *
 * c and first are as of a tile. Each sum is serial: in taps, then channels; in positions.
 */
#include "emit_gemm.h"

#include "graph/conv.h"

#include <stdio.h>

enum {
    ARGS = COTI_WINDOW_ARGS,
    SECOND_CACHE = 2,
    LINE_BYTES = 64,
    MOST_LINES = 128,
    MOST_PLACES = 4
};

/* What is carried through the loops of a tile: its sums, where the next elements of x and v are. */
typedef struct flow {
    coti_gemm_tile *t;
    const coti_window *w;
    LLVMValueRef v_x, v_v;
    LLVMValueRef v_ahead, v_ahead_step; /* NULL: nothing is asked for */
} flow;

static LLVMValueRef at(coti_emit *e, LLVMValueRef v_base, LLVMValueRef v_elements) {
    return coti_l_element(e, coti_gemm_element(e), v_base, v_elements, "");
}

static int64_t divide_up(int64_t a, int64_t b) {
    return a <= 0 ? 0 : (a + b - 1) / b;
}

/* ---- loops that carry a tile ---- */

static void begin_loop(coti_emit *e, coti_loop *loop, flow *f, LLVMValueRef v_begin,
                       LLVMValueRef v_end, const char *name) {
    coti_loop_begin(e, loop, v_begin, v_end, 1, name);
    for (int32_t i = 0; i < f->t->n; i++) {
        f->t->v_acc[i] = coti_loop_carry(e, loop, f->t->v_acc[i], "v_acc");
    }
    f->v_x = coti_loop_carry(e, loop, f->v_x, "v_x");
    f->v_v = coti_loop_carry(e, loop, f->v_v, "v_v");
    if (f->v_ahead != NULL) {
        f->v_ahead = coti_loop_carry(e, loop, f->v_ahead, "v_ahead");
    }
}

static void end_loop(coti_emit *e, coti_loop *loop, flow *f) {
    const int32_t n = f->t->n;
    for (int32_t i = 0; i < n; i++) {
        coti_loop_next(loop, i, f->t->v_acc[i]);
    }
    coti_loop_next(loop, n, f->v_x);
    coti_loop_next(loop, n + 1, f->v_v);
    if (f->v_ahead != NULL) {
        coti_loop_next(loop, n + 2, f->v_ahead);
    }
    coti_loop_end(e, loop);
    for (int32_t i = 0; i < n; i++) {
        f->t->v_acc[i] = loop->v_result[i];
    }
    f->v_x = loop->v_result[n];
    f->v_v = loop->v_result[n + 1];
    f->v_ahead = f->v_ahead != NULL ? loop->v_result[n + 2] : NULL;
}

/* By lanes, where positions lie apart and the processor does not see them coming, each asks for
 * what the same one of the next row reads. */
static void ask_by_lanes(coti_emit *e, const flow *f, LLVMValueRef v_stride) {
    const coti_window *w = f->w;
    const coti_gemm_plan *plan = f->t->plan;
    const int64_t line = LINE_BYTES / plan->bytes, width = (int64_t)f->t->vectors * plan->lanes;
    const int64_t run = width / w->columns * w->channels;
    const int64_t n_places = w->stride[1] < w->k[1] ? w->stride[1] : w->k[1];
    if (w->stride[1] == 1 || n_places > MOST_PLACES) {
        return;
    }
    LLVMValueRef v_v = at(e, f->v_v, coti_i64_times(e, v_stride, w->o[1]));
    for (int64_t l = 0; l < width; l += line) {
        coti_gemm_emit_prefetch(e, at(e, v_v, coti_l_i64(e, l)), SECOND_CACHE);
    }
    for (int64_t p = 0; p < n_places; p++) {
        for (int64_t l = 0; l < run; l += line) {
            const int64_t x = w->stride[0] * w->x_stride[0] + p * w->x_stride[1] + l;
            coti_gemm_emit_prefetch(e, at(e, f->v_x, coti_l_i64(e, x)), SECOND_CACHE);
        }
    }
}

/* Steps of k in [v_begin, v_end), x_step elements of x apart, for some rows of the tile. */
static void emit_steps(coti_emit *e, flow *f, LLVMValueRef v_begin, LLVMValueRef v_end,
                       coti_gemm_rows rows, int64_t x_step, LLVMValueRef v_stride) {
    coti_loop loop;
    begin_loop(e, &loop, f, v_begin, v_end, "k");
    if (f->v_ahead != NULL) {
        coti_gemm_emit_prefetch(e, f->v_ahead, SECOND_CACHE);
        f->v_ahead = at(e, f->v_ahead, f->v_ahead_step);
    }
    if (f->t->plan->by_lanes) {
        ask_by_lanes(e, f, v_stride);
    }
    if (f->t->plan->n_fetches > 0) {
        coti_gemm_emit_fetch(e, f->t->plan, f->t->v_fetches, loop.v_i);
    }
    coti_gemm_emit_step(e, f->t->plan, rows, f->t->vectors, f->v_x, f->v_v, f->t->v_acc);
    f->v_x = at(e, f->v_x, coti_l_i64(e, x_step));
    f->v_v = at(e, f->v_v, v_stride);
    end_loop(e, &loop, f);
}

LLVMTypeRef coti_window_type(coti_emit *e) {
    LLVMTypeRef parameter[ARGS] = {e->t_ptr, e->t_ptr, e->t_ptr, e->t_i64, e->t_i64, e->t_i64,
                                   e->t_i64, e->t_i64, e->t_i1,  e->t_ptr, e->t_i64};
    return LLVMFunctionType(e->t_void, parameter, ARGS, false);
}

static LLVMValueRef begin_function(coti_emit *e, coti_gemm_function *f, coti_gemm_tile *t,
                                   const coti_gemm_plan *plan, const char *name, int32_t vectors) {
    LLVMValueRef v_function = coti_gemm_function_begin(e, f, name, coti_window_type(e));
    *t = (coti_gemm_tile){.plan = plan,
                          .height = plan->height,
                          .vectors = vectors,
                          .n = plan->height * vectors,
                          .v_c = LLVMGetParam(v_function, 2),
                          .v_fetches = LLVMGetParam(v_function, 9)};
    coti_gemm_begin_sums(e, t, LLVMGetParam(v_function, 8));
    return v_function;
}

static void end_function(coti_emit *e, coti_gemm_function *f, coti_gemm_tile *t,
                         LLVMValueRef v_function) {
    coti_gemm_end_sums(e, t, LLVMGetParam(v_function, 8));
    coti_gemm_function_end(e, f);
}

/* ---- rows of positions ---- */

static int64_t remainder_up(int64_t a, int64_t b) {
    return (a % b + b) % b;
}

/* Where a tile begins in its row; inside: all its positions meet x at all taps, or what lies
 * between its elements. */
typedef struct tile_start {
    int64_t start; /* if inside, a multiple of spread: 0 stands for all */
    bool inside;
} tile_start;

/* The positions that meet an element of x at tap t of axis 1, as rows of a tile. */
static coti_gemm_rows rows_at_tap(const coti_window *w, int64_t t, const tile_start *from,
                                  int32_t height) {
    const int64_t at_tap = t * w->dilation[1] - w->low[1], spread = w->spread[1];
    const int64_t extent = (w->x[1] - 1) * spread + 1;
    int64_t first = from->inside ? 0 : divide_up(-at_tap, w->stride[1]) - from->start;
    int64_t end = from->inside ? height : divide_up(extent - at_tap, w->stride[1]) - from->start;
    first = first < 0 ? 0 : first > height ? height : first;
    first += spread > 1 ? remainder_up(-(from->start + first + at_tap), spread) : 0;
    end = end < first ? first : end > height ? height : end;
    first = first < end ? first : end;
    return (coti_gemm_rows){(int32_t)first, (int32_t)end, (int32_t)spread};
}

/* Positions of x from where the tile begins (to the element before) to what its row `row`, one that
 * has an element there, meets at tap t. */
static int64_t x_at_tap(const coti_window *w, int64_t t, const tile_start *from, int64_t row) {
    const int64_t spread = w->spread[1], within = from->inside ? 0 : from->start % spread;
    return (within + row * w->stride[1] + t * w->dilation[1] - w->low[1]) / spread;
}

/* Taps [first, end) of axis 1, which the same rows of the tile meet; x and v begin at v_x, v_v. */
static void emit_taps(coti_emit *e, flow *f, int64_t first, int64_t end, const tile_start *from,
                      coti_gemm_rows rows, LLVMValueRef v_stride) {
    const coti_window *w = f->w;
    const int64_t step = w->dilation[1] * w->x_stride[1], n = end - first;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    if (rows.first == rows.end) {
        return;
    }
    const int64_t x_at = x_at_tap(w, first, from, rows.first) * w->x_stride[1];
    f->v_x = at(e, f->v_x, coti_l_i64(e, x_at - f->t->plan->row_at[rows.first]));
    f->v_v = at(e, f->v_v, coti_i64_times(e, v_stride, first * w->channels));
    if (step == w->channels || n == 1) {
        emit_steps(e, f, v_zero, coti_l_i64(e, n * w->channels), rows, 1, v_stride);
    } else {
        coti_loop taps;
        begin_loop(e, &taps, f, v_zero, coti_l_i64(e, n), "tap");
        emit_steps(e, f, v_zero, coti_l_i64(e, w->channels), rows, 1, v_stride);
        f->v_x = at(e, f->v_x, coti_l_i64(e, step - w->channels));
        end_loop(e, &taps, f);
    }
}

/* Vector j of the sums, by position p of x from the tile's first on: it is read once, for all taps
 * that meet it. */
static void add_x(coti_emit *e, flow *f, const tile_start *from, int32_t j, int64_t p,
                  const LLVMValueRef *v_tap) {
    const coti_window *w = f->w;
    const int32_t channels = (int32_t)w->channels;
    LLVMValueRef v_lanes[COTI_CONV_ROW_TERMS] = {NULL};
    for (int32_t t = 0; t < (int32_t)w->k[1]; t++) {
        const coti_gemm_rows rows = rows_at_tap(w, t, from, f->t->height);
        const int64_t past = (p - x_at_tap(w, t, from, rows.first)) * w->spread[1];
        const int64_t i = rows.first + past / w->stride[1];
        if (past < 0 || past % w->stride[1] != 0 || i >= rows.end) {
            continue;
        }
        if (v_lanes[0] == NULL) {
            LLVMValueRef v_x = at(e, f->v_x, coti_l_i64(e, p * w->x_stride[1]));
            LLVMValueRef v_channels = coti_gemm_load_lanes(e, f->t->plan, v_x, j);
            for (int32_t a = 0; a < channels; a++) {
                v_lanes[a] = coti_gemm_lanes_of(e, f->t->plan, v_channels, a);
            }
        }
        LLVMValueRef *v_acc = &f->t->v_acc[i * f->t->vectors + j];
        for (int32_t a = 0; a < channels; a++) {
            *v_acc = coti_l_fma(e, v_lanes[a], v_tap[t * channels + a], *v_acc, "v_acc");
        }
    }
}

/* All taps of axis 1, by lanes. */
static void emit_row_by_lanes(coti_emit *e, flow *f, const tile_start *from) {
    const coti_window *w = f->w;
    const coti_gemm_plan *plan = f->t->plan;
    const int64_t v_stride = plan->pack != COTI_GEMM_PACK_NONE ? plan->width : plan->v.k_stride;
    const int64_t span = (f->t->height - 1) * w->stride[1] + (w->k[1] - 1) * w->dilation[1];
    const int64_t terms = w->k[1] * w->channels;
    LLVMValueRef v_tap[COTI_CONV_ROW_TERMS] = {NULL};
    for (int32_t j = 0; j < f->t->vectors; j++) {
        for (int64_t t = 0; t < terms; t++) {
            LLVMValueRef v_at = coti_l_i64(e, t * v_stride + (int64_t)j * plan->lanes);
            v_tap[t] = coti_l_load_vector(e, coti_gemm_element(e), plan->lanes, at(e, f->v_v, v_at),
                                          NULL, NULL, "v_tap");
        }
        const int64_t first = (-w->low[1] - remainder_up(-w->low[1], w->spread[1])) / w->spread[1];
        for (int64_t p = first; p <= first + span / w->spread[1] + 1; p++) {
            add_x(e, f, from, j, p, v_tap);
        }
    }
}

/* All taps of axis 1; neighbours that meet the same rows together. */
static void emit_row_of_taps(coti_emit *e, flow *f, const tile_start *from, LLVMValueRef v_stride) {
    const coti_window *w = f->w;
    LLVMValueRef v_x = f->v_x, v_v = f->v_v;
    int64_t first = 0;
    while (first < w->k[1]) {
        const coti_gemm_rows rows = rows_at_tap(w, first, from, f->t->height);
        int64_t end = first + 1;
        bool same = w->spread[1] == 1;
        while (end < w->k[1] && same) {
            const coti_gemm_rows next = rows_at_tap(w, end, from, f->t->height);
            same = next.end - next.first == 0 ? rows.end == rows.first
                                              : next.first == rows.first && next.end == rows.end;
            end += same ? 1 : 0;
        }
        f->v_x = v_x;
        f->v_v = v_v;
        emit_taps(e, f, first, end, from, rows, v_stride);
        first = end;
    }
}

/* By lanes there is little to do for each line of x: those that the next row of positions meets
 * first are asked for while this row is summed, unless they are many. */
static void ask_for_next_row(coti_emit *e, const flow *f) {
    const coti_window *w = f->w;
    const coti_gemm_plan *plan = f->t->plan;
    const int64_t line = LINE_BYTES / plan->bytes;
    const int64_t run = (int64_t)f->t->vectors * plan->lanes / w->columns * w->channels;
    const int64_t n_places = f->t->height * w->stride[1] / w->spread[1];
    const int64_t first = w->k[0] * w->dilation[0] / w->spread[0];
    if (w->stride[0] > MOST_LINES || n_places > MOST_LINES ||
        w->stride[0] * n_places * ((run + line - 1) / line) > MOST_LINES) {
        return;
    }
    for (int64_t r = first; r < first + w->stride[0]; r++) {
        for (int64_t p = 0; p < n_places; p++) {
            for (int64_t l = 0; l < run; l += line) {
                LLVMValueRef v_line = coti_l_i64(e, r * w->x_stride[0] + p * w->x_stride[1] + l);
                coti_gemm_emit_prefetch(e, at(e, f->v_x, v_line), SECOND_CACHE);
            }
        }
    }
}

LLVMValueRef coti_window_emit_rows_tile(coti_emit *e, const coti_gemm_plan *plan, int64_t start,
                                        bool inside, int32_t vectors) {
    char name[64];
    const coti_window *w = &e->kernel->gemm.window;
    const tile_start from = {inside ? 0 : start, inside};
    (void)snprintf(name, sizeof name, "rows_%dx%d_%lld", (int)plan->height, (int)vectors,
                   inside ? -1LL : (long long)start);
    coti_gemm_function function;
    coti_gemm_tile t;
    LLVMValueRef v_function = begin_function(e, &function, &t, plan, name, vectors);
    LLVMValueRef v_stride = LLVMGetParam(v_function, 7);
    flow f = {
        .t = &t, .w = w, .v_x = LLVMGetParam(v_function, 0), .v_v = LLVMGetParam(v_function, 1)};
    coti_loop taps;
    if (plan->by_lanes) {
        ask_for_next_row(e, &f);
    }
    begin_loop(e, &taps, &f, coti_l_i64(e, 0), LLVMGetParam(v_function, 3), "taps");
    LLVMValueRef v_x = f.v_x, v_v = f.v_v;
    if (plan->by_lanes) {
        emit_row_by_lanes(e, &f, &from);
    } else {
        emit_row_of_taps(e, &f, &from, v_stride);
    }
    f.v_x = at(e, v_x, coti_l_i64(e, w->dilation[0] * w->x_stride[0]));
    f.v_v = at(e, v_v, coti_i64_times(e, v_stride, w->spread[0] * w->k[1] * w->channels));
    end_loop(e, &taps, &f);
    end_function(e, &function, &t, v_function);
    return v_function;
}

/* ---- taps ---- */

/* The positions of a row of an image that are summed, and where they are. */
typedef struct positions {
    LLVMValueRef v_begin, v_end; /* of the chunk's; none if the tap is outside along axis 0 */
    LLVMValueRef v_x, v_v;       /* of position 0, which need not be among them */
    LLVMValueRef v_ahead;
    LLVMValueRef v_stride;
} positions;

/* Those of [v_first, v_last), too, for some rows of the tile. */
static void emit_positions(coti_emit *e, flow *f, const positions *p, LLVMValueRef v_first,
                           LLVMValueRef v_last, coti_gemm_rows rows) {
    LLVMValueRef v_from = coti_i64_larger(e, p->v_begin, v_first),
                 v_to = coti_i64_smaller(e, p->v_end, v_last);
    const int64_t step = f->w->stride[1] * f->w->x_stride[1];
    f->v_x = at(e, p->v_x, coti_i64_times(e, v_from, step));
    f->v_v = at(e, p->v_v, LLVMBuildMul(e->builder, v_from, p->v_stride, ""));
    f->v_ahead = at(e, p->v_ahead, LLVMBuildMul(e->builder, v_from, f->v_ahead_step, ""));
    emit_steps(e, f, v_from, v_to, rows, step, p->v_stride);
}

/* Of one tap, v_t1: the positions that meet x are a range. */
static void emit_tap(coti_emit *e, flow *f, const positions *p, LLVMValueRef v_t1) {
    const coti_window *w = f->w;
    LLVMValueRef v_zero = coti_l_i64(e, 0), v_stride = coti_l_i64(e, w->stride[1]);
    LLVMValueRef v_at =
        coti_i64_sub(e, coti_i64_times(e, v_t1, w->dilation[1]), coti_l_i64(e, w->low[1]));
    LLVMValueRef v_first = coti_i64_larger(e, coti_i64_sub(e, v_zero, v_at), v_zero);
    LLVMValueRef v_last = coti_i64_larger(e, coti_i64_sub(e, coti_l_i64(e, w->x[1]), v_at), v_zero);
    LLVMValueRef v_round = coti_l_i64(e, w->stride[1] - 1);
    v_first = LLVMBuildUDiv(e->builder, coti_i64_add(e, v_first, v_round), v_stride, "v_first");
    v_last = LLVMBuildUDiv(e->builder, coti_i64_add(e, v_last, v_round), v_stride, "v_last");
    const coti_gemm_rows rows = {0, f->t->height, 1};
    emit_positions(e, f, p, v_first, v_last, rows);
}

/* The rows of a row of taps that position p meets. */
static coti_gemm_rows rows_at_position(const coti_window *w, int64_t p) {
    const int64_t begin = p * w->stride[1] - w->low[1];
    int64_t first = divide_up(-begin, w->dilation[1]);
    int64_t end = divide_up(w->x[1] - begin, w->dilation[1]);
    first = first < w->k[1] ? first : w->k[1];
    end = end < w->k[1] ? end : w->k[1];
    end = end < first ? first : end;
    return (coti_gemm_rows){(int32_t)(first * w->channels), (int32_t)(end * w->channels), 1};
}

/* Of a row of taps: positions at the borders alone, those between them together. */
static void emit_all_taps(coti_emit *e, flow *f, const positions *p) {
    const coti_window *w = f->w;
    int64_t position = 0;
    while (position < w->o[1]) {
        const coti_gemm_rows rows = rows_at_position(w, position);
        int64_t end = position + 1;
        if (rows.first == 0 && rows.end == f->t->height) {
            /* The last position that meets the last tap within x. */
            end = divide_up(w->x[1] + w->low[1] - (w->k[1] - 1) * w->dilation[1], w->stride[1]);
            end = end > w->o[1] ? w->o[1] : end;
        }
        if (rows.first < rows.end) {
            emit_positions(e, f, p, coti_l_i64(e, position), coti_l_i64(e, end), rows);
        }
        position = end;
    }
}

/* One row of positions, number v_r of all images'. */
static positions row_of_positions(coti_emit *e, const coti_window *w, LLVMValueRef v_function,
                                  LLVMValueRef v_r) {
    LLVMValueRef v_k0 = LLVMGetParam(v_function, 3), v_k1 = LLVMGetParam(v_function, 4);
    LLVMValueRef v_row = coti_i64_times(e, v_r, w->o[1]), v_places = coti_l_i64(e, w->o[0]);
    LLVMValueRef v_image = LLVMBuildUDiv(e->builder, v_r, v_places, "v_image");
    LLVMValueRef v_o0 = LLVMBuildURem(e->builder, v_r, v_places, "v_o0");
    LLVMValueRef v_at =
        coti_i64_add(e, coti_i64_times(e, v_o0, w->stride[0]),
                     coti_i64_times(e, LLVMGetParam(v_function, 5), w->dilation[0]));
    v_at = coti_i64_sub(e, v_at, coti_l_i64(e, w->low[0]));
    LLVMValueRef v_inside =
        LLVMBuildICmp(e->builder, LLVMIntULT, v_at, coti_l_i64(e, w->x[0]), "v_inside");
    LLVMValueRef v_x = coti_i64_add(e, coti_i64_times(e, v_image, w->image_stride),
                                    coti_i64_times(e, v_at, w->x_stride[0]));
    LLVMValueRef v_tap = coti_i64_times(e, LLVMGetParam(v_function, 6), w->dilation[1]);
    v_tap = coti_i64_sub(e, v_tap, coti_l_i64(e, w->low[1]));
    v_x = coti_i64_add(e, v_x, coti_i64_times(e, v_tap, w->x_stride[1]));
    positions p = {.v_stride = LLVMGetParam(v_function, 7)};
    LLVMValueRef v_before = coti_i64_sub(e, v_row, v_k0);
    p.v_begin = coti_i64_larger(e, coti_i64_sub(e, v_k0, v_row), coti_l_i64(e, 0));
    p.v_end = coti_i64_smaller(e, coti_i64_sub(e, v_k1, v_row), coti_l_i64(e, w->o[1]));
    p.v_end = coti_l_select(e, v_inside, p.v_end, coti_l_i64(e, 0), "v_end");
    p.v_x = at(e, LLVMGetParam(v_function, 0), v_x);
    p.v_v = at(e, LLVMGetParam(v_function, 1), LLVMBuildMul(e->builder, v_before, p.v_stride, ""));
    p.v_ahead = at(e, LLVMGetParam(v_function, 9),
                   LLVMBuildMul(e->builder, v_before, LLVMGetParam(v_function, 10), ""));
    return p;
}

LLVMValueRef coti_window_emit_taps_tile(coti_emit *e, const coti_gemm_plan *plan, int32_t vectors) {
    char name[48];
    const coti_window *w = &e->kernel->gemm.window;
    (void)snprintf(name, sizeof name, "taps_%dx%d", (int)plan->height, (int)vectors);
    coti_gemm_function function;
    coti_gemm_tile t;
    LLVMValueRef v_function = begin_function(e, &function, &t, plan, name, vectors);
    LLVMValueRef v_row = coti_l_i64(e, w->o[1]);
    LLVMValueRef v_round = coti_l_i64(e, w->o[1] - 1);
    LLVMValueRef v_from = LLVMBuildUDiv(e->builder, LLVMGetParam(v_function, 3), v_row, "v_from");
    LLVMValueRef v_to = LLVMBuildUDiv(
        e->builder, coti_i64_add(e, LLVMGetParam(v_function, 4), v_round), v_row, "v_to");
    flow f = {.t = &t,
              .w = w,
              .v_x = LLVMGetParam(v_function, 0),
              .v_v = LLVMGetParam(v_function, 1),
              .v_ahead = LLVMGetParam(v_function, 9),
              .v_ahead_step = LLVMGetParam(v_function, 10)};
    coti_loop rows;
    begin_loop(e, &rows, &f, v_from, v_to, "row");
    positions p = row_of_positions(e, w, v_function, rows.v_i);
    if (w->run > w->channels) {
        emit_all_taps(e, &f, &p);
    } else {
        emit_tap(e, &f, &p, LLVMGetParam(v_function, 6));
    }
    end_loop(e, &rows, &f);
    end_function(e, &function, &t, v_function);
    return v_function;
}
