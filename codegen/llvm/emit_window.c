/*
 * The nest around the tiles of windows (emit_window_tile.c), within a panel of v.
 *
 *   ROWS    pack the panel, when it is packed
 *           for each row of positions: for each tile of it: the tile; its end
 *   TAPS    for each chunk of positions: pack the panel's, when it is packed
 *             for each tile of the range: the tile
 *           for each tile of the range: its end
 *
 * A row's last tile begins early enough to end with it, and so does a run's. A row's tiles at the
 * ends of an image have functions of their own, which leave out the taps outside.
 */
#include "emit_gemm.h"

#include "graph/conv.h"

enum { ARGS = COTI_WINDOW_ARGS, LINE_BYTES = 64 };

static LLVMValueRef not_negative(coti_emit *e, LLVMValueRef v_a) {
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    return coti_l_select(e, LLVMBuildICmp(e->builder, LLVMIntSGT, v_a, v_zero, ""), v_a, v_zero,
                         "");
}

static LLVMValueRef divide(coti_emit *e, LLVMValueRef v_a, int64_t b) {
    return LLVMBuildUDiv(e->builder, v_a, coti_l_i64(e, b), "");
}

static LLVMValueRef remainder_of(coti_emit *e, LLVMValueRef v_a, int64_t b) {
    return LLVMBuildURem(e->builder, v_a, coti_l_i64(e, b), "");
}

/* Element v_element of x's, as the panel's first column meets it. */
static LLVMValueRef x_element(coti_emit *e, const coti_gemm_nest *n, LLVMValueRef v_element) {
    const coti_gemm_plan *plan = n->plan;
    const coti_window *w = &e->kernel->gemm.window;
    v_element = coti_i64_add(e, v_element, coti_l_i64(e, plan->s.offset));
    if (w->columns < plan->v.extent) {
        LLVMValueRef v_group = divide(e, n->v_v_start, w->columns);
        v_element = coti_i64_add(e, v_element, coti_i64_times(e, v_group, w->channels));
    }
    return coti_l_element(e, coti_gemm_element(e), e->v_slot[plan->s.slot], v_element, "v_x");
}

static LLVMValueRef v_element(coti_emit *e, LLVMValueRef v_base, LLVMValueRef v_at) {
    return coti_l_element(e, coti_gemm_element(e), v_base, v_at, "v_v");
}

/* ---- the functions ---- */

/* Tile i of a row begins here. */
static int64_t start_of(const coti_window *w, const coti_gemm_plan *plan, int64_t i) {
    const int64_t start = i * plan->height, last = w->o[1] - plan->height;
    return start < last ? start : last;
}

/* Does every position of the tile meet x at each tap of axis 1, or a zero between its elements; and
 * does it begin at an element? */
static bool is_inside(const coti_window *w, const coti_gemm_plan *plan, int64_t start) {
    int64_t first = 0, last = 0;
    const coti_conv_axis axis = {(w->x[1] - 1) * w->spread[1] + 1,
                                 w->k[1],
                                 w->o[1],
                                 w->stride[1],
                                 w->dilation[1],
                                 w->low[1]};
    coti_conv_borders(&axis, &first, &last);
    return start >= first && start + plan->height <= w->o[1] - last && start % w->spread[1] == 0;
}

/* One kind of tile: wide, and narrow. */
static void emit_kind(coti_emit *e, const coti_gemm_plan *plan, coti_window_tiles *tiles,
                      int64_t start, bool inside) {
    const int32_t kind = tiles->n_kinds++;
    if (kind >= COTI_WINDOW_MAX_KINDS) {
        coti_emit_fail(e, COT_E_INTERNAL, "a row of positions has more than %d kinds of tiles",
                       COTI_WINDOW_MAX_KINDS);
        tiles->n_kinds = COTI_WINDOW_MAX_KINDS;
        return;
    }
    for (int32_t narrow = 0; narrow < 1 + (plan->tail_vectors != 0); narrow++) {
        const int32_t vectors = narrow ? plan->tail_vectors : plan->vectors;
        tiles->v_function[kind][narrow] =
            coti_window_emit_rows_tile(e, plan, start, inside, vectors);
    }
}

/* Tiles inside first; if there are none, the last tile's kind stands for what remains. Borders are
 * of few positions (graph/conv.h), and so of few tiles at each end. */
static void emit_kinds(coti_emit *e, const coti_gemm_plan *plan, coti_window_tiles *tiles) {
    const coti_window *w = &e->kernel->gemm.window;
    const int64_t n = tiles->n_tiles, most = COTI_WINDOW_MAX_KINDS / 2;
    bool any_inside = false;
    for (int64_t i = 0; i < n && i <= most && !any_inside; i++) {
        any_inside = is_inside(w, plan, start_of(w, plan, i));
    }
    if (any_inside) {
        emit_kind(e, plan, tiles, 0, true);
    }
    for (int64_t j = 0; j < 2 * most; j++) { /* the last ones, then the first */
        const int64_t i = j < most ? n - 1 - j : 2 * most - 1 - j;
        if (i < 0 || (j >= most && i >= n - most) || is_inside(w, plan, start_of(w, plan, i))) {
            continue;
        }
        tiles->place[tiles->n_kinds < COTI_WINDOW_MAX_KINDS ? tiles->n_kinds : 0] = (int32_t)i;
        emit_kind(e, plan, tiles, start_of(w, plan, i), false);
    }
}

void coti_window_emit_functions(coti_emit *e, const coti_gemm_plan *plan,
                                coti_window_tiles *tiles) {
    const coti_window *w = &e->kernel->gemm.window;
    const int64_t run = w->role == COTI_WINDOW_ROWS ? w->o[1] : w->run;
    tiles->n_kinds = 0;
    tiles->n_tiles = (int32_t)((run + plan->height - 1) / plan->height);
    if (w->role == COTI_WINDOW_ROWS) {
        emit_kinds(e, plan, tiles);
        return;
    }
    for (int32_t narrow = 0; narrow < 1 + (plan->tail_vectors != 0); narrow++) {
        const int32_t vectors = narrow ? plan->tail_vectors : plan->vectors;
        tiles->v_function[0][narrow] = coti_window_emit_taps_tile(e, plan, vectors);
    }
    tiles->n_kinds = 1;
}

static LLVMValueRef pick(coti_emit *e, const coti_window_tiles *tiles, int32_t kind,
                         LLVMValueRef v_narrow) {
    LLVMValueRef v_wide = tiles->v_function[kind][0];
    return v_narrow == NULL ? v_wide
                            : coti_l_select(e, v_narrow, tiles->v_function[kind][1], v_wide, "");
}

/* The function of tile v_t of a row. */
static LLVMValueRef pick_kind(coti_emit *e, const coti_window_tiles *tiles, LLVMValueRef v_t,
                              LLVMValueRef v_narrow) {
    LLVMValueRef v_function = pick(e, tiles, 0, v_narrow);
    for (int32_t kind = 1; kind < tiles->n_kinds; kind++) {
        LLVMValueRef v_is =
            LLVMBuildICmp(e->builder, LLVMIntEQ, v_t, coti_l_i64(e, tiles->place[kind]), "");
        v_function = coti_l_select(e, v_is, pick(e, tiles, kind, v_narrow), v_function, "");
    }
    return v_function;
}

/* ---- rows ---- */

/* A row of positions, with the taps of axis 0 that are inside. */
typedef struct row {
    LLVMValueRef v_r, v_taps; /* its number among all images', how many taps */
    LLVMValueRef v_x, v_v;    /* elements: of x where position 0's would be without
                                padding, of v at the first of the taps */
} row;

/*
 * Position o0 meets tap t at a = o0 stride - low + t dilation, which is to be a multiple of spread
 * in [0, (x - 1) spread]: of every spread-th tap from the first of those on.
 */
static row make_row(coti_emit *e, LLVMValueRef v_r, LLVMValueRef v_k_stride) {
    const coti_window *w = &e->kernel->gemm.window;
    const int64_t spread = w->spread[0], extent = (w->x[0] - 1) * spread + 1;
    LLVMValueRef v_image = divide(e, v_r, w->o[0]), v_o0 = remainder_of(e, v_r, w->o[0]);
    LLVMValueRef v_at =
        coti_i64_sub(e, coti_i64_times(e, v_o0, w->stride[0]), coti_l_i64(e, w->low[0]));
    LLVMValueRef v_before = not_negative(e, coti_i64_sub(e, coti_l_i64(e, 0), v_at));
    LLVMValueRef v_room = not_negative(e, coti_i64_sub(e, coti_l_i64(e, extent), v_at));
    LLVMValueRef v_taps = coti_l_i64(e, w->k[0]);
    LLVMValueRef v_first =
        coti_i64_smaller(e, coti_i64_divide_up(e, v_before, w->dilation[0]), v_taps);
    LLVMValueRef v_end = coti_i64_smaller(e, coti_i64_divide_up(e, v_room, w->dilation[0]), v_taps);
    if (spread > 1) {
        LLVMValueRef v_from = not_negative(e, v_at);
        LLVMValueRef v_next = coti_i64_times(e, coti_i64_divide_up(e, v_from, spread), spread);
        v_first = coti_i64_add(e, v_first, coti_i64_sub(e, v_next, v_from));
    }
    row r = {.v_r = v_r, .v_taps = not_negative(e, coti_i64_sub(e, v_end, v_first))};
    r.v_taps = coti_i64_divide_up(e, r.v_taps, spread);
    v_at = coti_i64_add(e, v_at, coti_i64_times(e, v_first, w->dilation[0]));
    v_at = spread > 1 ? divide(e, v_at, spread) : v_at;
    r.v_x = coti_i64_add(e, coti_i64_times(e, v_image, w->image_stride),
                         coti_i64_times(e, v_at, w->x_stride[0]));
    r.v_v =
        LLVMBuildMul(e->builder, coti_i64_times(e, v_first, w->k[1] * w->channels), v_k_stride, "");
    return r;
}

/* Tile v_t of a row: the tile, and its end. */
static void emit_row_tile(coti_emit *e, coti_gemm_nest *n, const row *r, LLVMValueRef v_t,
                          LLVMValueRef v_k_stride) {
    const coti_gemm_plan *plan = n->plan;
    const coti_window *w = &e->kernel->gemm.window;
    const bool packed = plan->pack != COTI_GEMM_PACK_NONE;
    LLVMValueRef v_zero = coti_l_i64(e, 0), v_row = coti_i64_times(e, r->v_r, w->o[1]);
    LLVMValueRef v_first = coti_i64_times(e, v_t, plan->height);
    LLVMValueRef v_start = coti_i64_smaller(e, v_first, coti_l_i64(e, w->o[1] - plan->height));
    LLVMValueRef v_panel = packed ? coti_gemm_scratch(e, plan->panel_at, "v_panel")
                                  : coti_gemm_operand(e, n, &plan->v, v_zero, n->v_v_start);
    const coti_gemm_place place = {.v_first = coti_i64_add(e, v_row, v_first),
                                   .v_start = coti_i64_add(e, v_row, v_start),
                                   .v_c = coti_gemm_scratch(e, plan->c_at, "v_c")};
    LLVMValueRef v_x = w->spread[1] > 1 ? divide(e, v_start, w->spread[1]) : v_start;
    v_x = coti_i64_add(e, r->v_x, coti_i64_times(e, v_x, w->stride[1] * w->x_stride[1]));
    LLVMValueRef v_arg[ARGS] = {x_element(e, n, v_x),
                                v_element(e, v_panel, r->v_v),
                                place.v_c,
                                r->v_taps,
                                v_zero,
                                v_zero,
                                v_zero,
                                v_k_stride,
                                LLVMConstInt(e->t_i1, 1, false),
                                coti_gemm_scratch(e, plan->fetch_at, "v_fetches"),
                                v_zero};
    if (plan->n_fetches > 0) {
        coti_gemm_emit_fetch_table(e, plan, &n->entry, place.v_start, n->v_v_start);
    }
    LLVMBuildCall2(e->builder, coti_window_type(e), pick_kind(e, &n->window, v_t, n->v_narrow),
                   v_arg, ARGS, "");
    coti_gemm_call_end(e, n, &place);
}

static void emit_rows(coti_emit *e, coti_gemm_nest *n, LLVMValueRef v_k_stride) {
    const coti_window *w = &e->kernel->gemm.window;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    if (n->plan->pack != COTI_GEMM_PACK_NONE) {
        coti_gemm_call_pack(e, n, v_zero, n->v_k);
    }
    coti_loop rows, tiles;
    coti_loop_begin(e, &rows, divide(e, n->v_s0, w->o[1]), divide(e, n->v_s1, w->o[1]), 1, "row");
    const row r = make_row(e, rows.v_i, v_k_stride);
    coti_loop_begin(e, &tiles, v_zero, coti_l_i64(e, n->window.n_tiles), 1, "tile");
    emit_row_tile(e, n, &r, tiles.v_i, v_k_stride);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &rows);
}

/* Without packing: each tile of each row for all panels, as they lie in memory. */
static void emit_rows_by_tiles(coti_emit *e, coti_gemm_nest *n) {
    const coti_window *w = &e->kernel->gemm.window;
    LLVMValueRef v_k_stride = coti_l_i64(e, n->plan->v.k_stride);
    coti_loop rows, tiles, panels;
    coti_loop_begin(e, &rows, divide(e, n->v_s0, w->o[1]), divide(e, n->v_s1, w->o[1]), 1, "row");
    const row r = make_row(e, rows.v_i, v_k_stride);
    coti_loop_begin(e, &tiles, coti_l_i64(e, 0), coti_l_i64(e, n->window.n_tiles), 1, "tile");
    coti_loop_begin(e, &panels, n->v_v0, n->v_v1, n->plan->width, "panel");
    coti_gemm_set_panel(e, n, panels.v_i);
    emit_row_tile(e, n, &r, tiles.v_i, v_k_stride);
    coti_loop_end(e, &panels);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &rows);
}

/* ---- taps ---- */

/* Tile v_t of the range's tiles. */
static coti_gemm_place taps_place(coti_emit *e, const coti_gemm_nest *n, LLVMValueRef v_t) {
    const coti_gemm_plan *plan = n->plan;
    const int64_t run = e->kernel->gemm.window.run;
    LLVMValueRef v_run = coti_i64_times(e, divide(e, v_t, n->window.n_tiles), run);
    LLVMValueRef v_in_run =
        coti_i64_times(e, remainder_of(e, v_t, n->window.n_tiles), plan->height);
    LLVMValueRef v_start = coti_i64_smaller(e, v_in_run, coti_l_i64(e, run - plan->height));
    v_run = coti_i64_add(e, n->v_s0, v_run);
    LLVMValueRef v_block = coti_i64_times(e, v_t, (int64_t)plan->height * plan->width);
    LLVMValueRef v_c = coti_l_element(e, coti_gemm_element(e), coti_gemm_scratch(e, plan->c_at, ""),
                                      v_block, "v_c");
    return (coti_gemm_place){.v_first = coti_i64_add(e, v_run, v_in_run),
                             .v_start = coti_i64_add(e, v_run, v_start),
                             .v_c = v_c};
}

/* What a tile asks for while it sums: one line of each position of the next chunk. */
typedef struct ahead {
    LLVMValueRef v_at, v_step;
} ahead;

/*
 * The first tiles of a chunk ask for y's cotangent, line by line of a position, the next ones for
 * as much of x as a position's share of an image. The others ask for what they read.
 */
static ahead ask_ahead(coti_emit *e, const coti_gemm_nest *n, LLVMValueRef v_t, LLVMValueRef v_k1) {
    const coti_gemm_plan *plan = n->plan;
    const coti_window *w = &e->kernel->gemm.window;
    const int64_t line = LINE_BYTES / plan->bytes;
    const int64_t v_lines = (plan->width + line - 1) / line;
    const int64_t share = w->image_stride / (w->o[0] * w->o[1]);
    const int64_t near =
        w->columns < plan->v.extent ? w->channels : share; /* of a group, its own */
    const int64_t x_lines = (near + line - 1) / line;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    LLVMValueRef v_v = coti_gemm_operand(e, n, &plan->v, v_k1, n->v_v_first);
    LLVMValueRef v_x = x_element(e, n, coti_i64_times(e, v_k1, share));
    LLVMValueRef v_of_x = coti_i64_sub(e, v_t, coti_l_i64(e, v_lines));
    LLVMValueRef v_is_v =
        LLVMBuildICmp(e->builder, LLVMIntSLT, v_t, coti_l_i64(e, v_lines), "v_is_v");
    LLVMValueRef v_is_x =
        LLVMBuildICmp(e->builder, LLVMIntSLT, v_of_x, coti_l_i64(e, x_lines), "v_is_x");
    LLVMValueRef v_line = coti_l_select(e, v_is_v, v_t, v_of_x, "v_line");
    ahead a = {.v_at = coti_l_select(e, v_is_v, v_v, v_x, "")};
    a.v_at = v_element(e, a.v_at, coti_i64_times(e, v_line, line));
    a.v_step = coti_l_select(e, v_is_x, coti_l_i64(e, share), v_zero, "");
    a.v_step = coti_l_select(e, v_is_v, coti_l_i64(e, plan->v.k_stride), a.v_step, "v_ahead_step");
    return a;
}

static void call_taps(coti_emit *e, coti_gemm_nest *n, LLVMValueRef v_k0, LLVMValueRef v_k1,
                      const coti_gemm_place *place, LLVMValueRef v_k_stride, const ahead *a) {
    const coti_gemm_plan *plan = n->plan;
    const coti_window *w = &e->kernel->gemm.window;
    const bool packed = plan->pack != COTI_GEMM_PACK_NONE;
    LLVMValueRef v_tap = divide(e, place->v_start, w->channels);
    LLVMValueRef v_channel = remainder_of(e, place->v_start, w->channels);
    LLVMValueRef v_panel = packed ? coti_gemm_scratch(e, plan->panel_at, "v_panel")
                                  : coti_gemm_operand(e, n, &plan->v, v_k0, n->v_v_start);
    LLVMValueRef v_is_first =
        LLVMBuildICmp(e->builder, LLVMIntEQ, v_k0, coti_l_i64(e, 0), "v_first");
    LLVMValueRef v_arg[ARGS] = {x_element(e, n, v_channel),
                                v_panel,
                                place->v_c,
                                v_k0,
                                v_k1,
                                divide(e, v_tap, w->k[1]),
                                remainder_of(e, v_tap, w->k[1]),
                                v_k_stride,
                                v_is_first,
                                a->v_at,
                                a->v_step};
    LLVMBuildCall2(e->builder, coti_window_type(e), n->v_function, v_arg, ARGS, "");
}

/* Chunks of positions, at least one: the sum of nothing is still to be written. */
static void emit_taps(coti_emit *e, coti_gemm_nest *n, LLVMValueRef v_k_stride) {
    const int64_t size = n->plan->chunk, run = e->kernel->gemm.window.run;
    LLVMValueRef v_zero = coti_l_i64(e, 0), v_one = coti_l_i64(e, 1);
    n->v_function = pick(e, &n->window, 0, n->v_narrow);
    LLVMValueRef v_n_tiles =
        coti_i64_times(e, divide(e, coti_i64_sub(e, n->v_s1, n->v_s0), run), n->window.n_tiles);
    LLVMValueRef v_chunks = coti_i64_divide_up(e, n->v_k, size);
    LLVMValueRef v_none = LLVMBuildICmp(e->builder, LLVMIntEQ, v_chunks, v_zero, "");
    coti_loop chunks, tiles;
    coti_branch side;
    coti_loop_begin(e, &chunks, v_zero, coti_l_select(e, v_none, v_one, v_chunks, ""), 1, "chunk");
    LLVMValueRef v_k0 = coti_i64_times(e, chunks.v_i, size);
    LLVMValueRef v_k1 = coti_i64_smaller(e, coti_i64_add(e, v_k0, coti_l_i64(e, size)), n->v_k);
    if (n->plan->pack != COTI_GEMM_PACK_NONE) {
        coti_gemm_call_pack(e, n, v_k0, coti_i64_sub(e, v_k1, v_k0));
    }
    if (n->v_side != NULL) {
        coti_branch_begin(e, &side, n->v_side, "side");
        coti_window_emit_side_block(e, n, v_k0, v_k1);
        coti_branch_end(e, &side);
    }
    coti_loop_begin(e, &tiles, v_zero, v_n_tiles, 1, "tile");
    coti_gemm_place place = taps_place(e, n, tiles.v_i);
    const ahead a = ask_ahead(e, n, tiles.v_i, v_k1);
    call_taps(e, n, v_k0, v_k1, &place, v_k_stride, &a);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &chunks);
    coti_loop_begin(e, &tiles, v_zero, v_n_tiles, 1, "end");
    place = taps_place(e, n, tiles.v_i);
    coti_gemm_call_end(e, n, &place);
    coti_loop_end(e, &tiles);
    if (n->v_side != NULL) {
        coti_branch_begin(e, &side, n->v_side, "side");
        coti_window_emit_side_end(e, n);
        coti_branch_end(e, &side);
    }
}

void coti_window_emit_tiles(coti_emit *e, coti_gemm_nest *n) {
    const bool packed = n->plan->pack != COTI_GEMM_PACK_NONE;
    LLVMValueRef v_k_stride = coti_l_i64(e, packed ? n->plan->width : n->plan->v.k_stride);
    if (e->kernel->gemm.window.role == COTI_WINDOW_ROWS) {
        emit_rows(e, n, v_k_stride);
    } else {
        emit_taps(e, n, v_k_stride);
    }
}

void coti_window_emit_panels(coti_emit *e, coti_gemm_nest *n) {
    emit_rows_by_tiles(e, n);
}
