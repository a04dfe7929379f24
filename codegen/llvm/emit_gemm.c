/*
 * GEMM: the nest of loops around the tile functions. emit_gemm.h tells how the parts fit.
 *
 *   for each unit, or each entry of the batch                        partitions
 *     the side reduction, if it is this unit's to make
 *     for each panel of v                                            emit_panels
 *       the panel's one tile, which packs it meanwhile; or         emit_stream
 *       pack it, when all of k fits
 *       for each tile of s: for each chunk of k: tile; end           tiles alone, or
 *       for each block of tiles of s:                                in blocks, when chunks of
 *         for each chunk of k: pack it, for each tile: tile          k are packed
 *         for each tile: end
 *     or, where the unit's sums fit where they wait: for each chunk of k, for each panel: pack it,
 *     for each tile: tile; then all ends                             emit_unit_in_chunks
 */
#include "emit_gemm.h"

typedef coti_gemm_nest nest;
typedef coti_gemm_place tile_place;

/* ---- addresses ---- */

LLVMValueRef coti_gemm_operand(coti_emit *e, const nest *n, const coti_gemm_axis *axis,
                               LLVMValueRef v_k, LLVMValueRef v_at) {
    LLVMValueRef v_element = coti_l_i64(e, axis->offset);
    v_element = coti_i64_add(e, v_element, coti_i64_times(e, n->entry.v_b, axis->b_stride));
    v_element = coti_i64_add(e, v_element, coti_i64_times(e, n->entry.v_inner, axis->inner_stride));
    v_element = coti_i64_add(e, v_element, coti_i64_times(e, v_k, axis->k_stride));
    v_element = coti_i64_add(e, v_element, coti_i64_times(e, v_at, axis->stride));
    return coti_l_element(e, coti_gemm_element(e), e->v_slot[axis->slot], v_element, "v_operand");
}

LLVMValueRef coti_gemm_scratch(coti_emit *e, int64_t bytes, const char *name) {
    return coti_l_element(e, e->t_i8, e->v_scratch, coti_l_i64(e, bytes), name);
}

/* ---- chunks of k ---- */

typedef struct chunk {
    LLVMValueRef v_k0, v_k, v_first;
} chunk;

static LLVMValueRef chunk_count(coti_emit *e, const nest *n) {
    if (n->plan->one_chunk) {
        return coti_l_i64(e, 1);
    }
    LLVMValueRef v_count = coti_i64_divide_up(e, n->v_k, n->plan->chunk);
    /* The sum of nothing is still to be written. */
    LLVMValueRef v_none = LLVMBuildICmp(e->builder, LLVMIntEQ, v_count, coti_l_i64(e, 0), "");
    return coti_l_select(e, v_none, coti_l_i64(e, 1), v_count, "v_n_chunks");
}

static chunk chunk_at(coti_emit *e, const nest *n, LLVMValueRef v_i) {
    LLVMValueRef v_k0 = coti_i64_times(e, v_i, n->plan->chunk);
    LLVMValueRef v_k =
        coti_i64_smaller(e, coti_l_i64(e, n->plan->chunk), coti_i64_sub(e, n->v_k, v_k0));
    LLVMValueRef v_first = LLVMBuildICmp(e->builder, LLVMIntEQ, v_i, coti_l_i64(e, 0), "v_first");
    return (chunk){v_k0, v_k, v_first};
}

static chunk whole_k(coti_emit *e, const nest *n) {
    return (chunk){coti_l_i64(e, 0), n->v_k, LLVMConstInt(e->t_i1, 1, false)};
}

/* ---- calls ---- */

void coti_gemm_call_pack(coti_emit *e, const nest *n, LLVMValueRef v_k0, LLVMValueRef v_k) {
    LLVMValueRef v_count = coti_i64_sub(e, n->v_v_end, n->v_v_first);
    LLVMValueRef v_source = coti_gemm_operand(e, n, &n->plan->v, v_k0, n->v_v_first);
    LLVMValueRef v_panel = coti_gemm_scratch(e, n->plan->panel_at, "v_panel");
    LLVMValueRef v_square = coti_gemm_scratch(e, n->plan->square_at, "v_square");
    LLVMBuildCall2(e->builder, coti_gemm_pack_type(e), n->v_pack,
                   (LLVMValueRef[]){v_source, v_panel, v_square, v_k, v_count}, COTI_GEMM_PACK_ARGS,
                   "");
}

static void call_tile(coti_emit *e, const nest *n, const chunk *c, const tile_place *place) {
    const coti_gemm_plan *plan = n->plan;
    bool packed = plan->pack != COTI_GEMM_PACK_NONE;
    LLVMValueRef v_s = coti_gemm_operand(e, n, &plan->s, c->v_k0, place->v_start);
    LLVMValueRef v_v = packed ? coti_gemm_scratch(e, plan->panel_at, "v_panel")
                              : coti_gemm_operand(e, n, &plan->v, c->v_k0, n->v_v_start);
    LLVMValueRef v_stride = coti_l_i64(e, packed ? plan->width : plan->v.k_stride);
    LLVMBuildCall2(e->builder, coti_gemm_tile_type(e), n->v_function,
                   (LLVMValueRef[]){v_s, v_v, place->v_c, c->v_k, v_stride, c->v_first,
                                    place->v_ahead, e->v_scratch},
                   COTI_GEMM_TILE_ARGS, "");
}

void coti_gemm_call_end(coti_emit *e, const nest *n, const tile_place *place) {
    coti_gemm_done done = {.entry = n->entry,
                           .v_s_base = place->v_start,
                           .v_s_first = place->v_first,
                           .v_s_end = coti_i64_add(e, place->v_start, n->v_height),
                           .v_v_base = n->v_v_start,
                           .v_v_first = n->v_v_first,
                           .v_v_end = n->v_v_end,
                           .v_c = place->v_c};
    if (n->plan->beside) {
        coti_gemm_emit_wait(e, n->plan, &done, coti_gemm_scratch(e, n->plan->wait_at, "v_waiting"));
    } else {
        coti_gemm_emit_end(e, n->plan, &done, n->v_turn);
    }
}

/* Tile v_t of the range; its sums are number v_in_block of those in scratch. */
static tile_place place_at(coti_emit *e, const nest *n, LLVMValueRef v_t, LLVMValueRef v_in_block) {
    const coti_gemm_plan *plan = n->plan;
    LLVMValueRef v_first = coti_i64_add(e, n->v_s0, LLVMBuildMul(e->builder, v_t, n->v_height, ""));
    LLVMValueRef v_start = coti_i64_smaller(e, v_first, coti_i64_sub(e, n->v_s1, n->v_height));
    LLVMValueRef v_c =
        coti_l_element(e, coti_gemm_element(e), coti_gemm_scratch(e, plan->c_at, ""),
                       coti_i64_times(e, v_in_block, (int64_t)plan->height * plan->width), "v_c");
    LLVMValueRef v_ahead = coti_l_i64(e, 0);
    if (plan->ahead_v) {
        LLVMValueRef v_vectors = coti_l_i64(e, plan->vectors);
        v_ahead = coti_i64_times(e, LLVMBuildURem(e->builder, v_t, v_vectors, ""), plan->lanes);
        v_ahead = coti_i64_add(e, v_ahead, coti_l_i64(e, plan->width));
    }
    return (tile_place){v_first, v_start, v_c, v_ahead};
}

/* ---- tiles of a panel ---- */

/* Each tile is finished before the next. */
static void emit_tiles_alone(coti_emit *e, nest *n) {
    coti_loop tiles, chunks;
    if (n->plan->pack != COTI_GEMM_PACK_NONE) {
        chunk all = whole_k(e, n);
        coti_gemm_call_pack(e, n, all.v_k0, all.v_k);
    }
    coti_loop_begin(e, &tiles, coti_l_i64(e, 0), n->v_n_tiles, 1, "tile");
    tile_place place = place_at(e, n, tiles.v_i, coti_l_i64(e, 0));
    if (n->plan->n_fetches > 0) {
        coti_gemm_emit_fetch_table(e, n->plan, &n->entry, place.v_start, n->v_v_start);
    }
    if (n->plan->one_chunk) {
        chunk all = whole_k(e, n);
        call_tile(e, n, &all, &place);
    } else {
        coti_loop_begin(e, &chunks, coti_l_i64(e, 0), chunk_count(e, n), 1, "chunk");
        chunk c = chunk_at(e, n, chunks.v_i);
        call_tile(e, n, &c, &place);
        coti_loop_end(e, &chunks);
    }
    coti_gemm_call_end(e, n, &place);
    coti_loop_end(e, &tiles);
}

/* A block of tiles takes each chunk of k, which is packed first if need be, before the next. */
static void emit_tiles_in_blocks(coti_emit *e, nest *n) {
    coti_loop blocks, chunks, tiles;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    coti_loop_begin(e, &blocks, v_zero, n->v_n_tiles, n->plan->block_tiles, "block");
    LLVMValueRef v_left = coti_i64_sub(e, n->v_n_tiles, blocks.v_i);
    LLVMValueRef v_n = coti_i64_smaller(e, v_left, coti_l_i64(e, n->plan->block_tiles));
    coti_loop_begin(e, &chunks, v_zero, chunk_count(e, n), 1, "chunk");
    chunk c = chunk_at(e, n, chunks.v_i);
    if (n->plan->pack != COTI_GEMM_PACK_NONE) {
        coti_gemm_call_pack(e, n, c.v_k0, c.v_k);
    }
    coti_loop_begin(e, &tiles, v_zero, v_n, 1, "tile");
    tile_place place = place_at(e, n, coti_i64_add(e, blocks.v_i, tiles.v_i), tiles.v_i);
    if (n->plan->n_fetches > 0) {
        coti_gemm_emit_fetch_table(e, n->plan, &n->entry, place.v_start, n->v_v_start);
    }
    call_tile(e, n, &c, &place);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &chunks);
    coti_loop_begin(e, &tiles, v_zero, v_n, 1, "end");
    place = place_at(e, n, coti_i64_add(e, blocks.v_i, tiles.v_i), tiles.v_i);
    coti_gemm_call_end(e, n, &place);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &blocks);
}

/* The one tile of a panel that is packed meanwhile. */
static void emit_stream(coti_emit *e, nest *n) {
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    tile_place place = place_at(e, n, v_zero, v_zero);
    LLVMValueRef v_arg[COTI_GEMM_STREAM_ARGS] = {
        coti_gemm_operand(e, n, &n->plan->s, v_zero, place.v_start),
        coti_gemm_operand(e, n, &n->plan->v, v_zero, n->v_v_first),
        place.v_c,
        coti_gemm_scratch(e, n->plan->panel_at, "v_blocks"),
        coti_gemm_scratch(e, n->plan->square_at, "v_square"),
        coti_i64_sub(e, n->v_v_end, n->v_v_first)};
    LLVMBuildCall2(e->builder, coti_gemm_stream_type(e), n->v_stream, v_arg, COTI_GEMM_STREAM_ARGS,
                   "");
    coti_gemm_call_end(e, n, &place);
}

/* ---- panels of a range ---- */

static LLVMValueRef pick_function(coti_emit *e, const nest *n, bool narrow) {
    LLVMValueRef v_high = n->v_tile[0][narrow];
    if (!n->plan->short_s) {
        return v_high;
    }
    return coti_l_select(e, n->v_is_short, n->v_tile[1][narrow], v_high, "v_function");
}

void coti_gemm_set_panel(coti_emit *e, nest *n, LLVMValueRef v_first) {
    const coti_gemm_plan *plan = n->plan;
    LLVMValueRef v_left = coti_i64_sub(e, n->v_v1, v_first), v_width = coti_l_i64(e, plan->width);
    n->v_v_first = n->v_v_start = v_first;
    n->v_v_end = coti_i64_add(e, v_first, coti_i64_smaller(e, v_left, v_width));
    if (plan->stream) {
        return;
    }
    const bool windows = e->kernel->gemm.window.role != COTI_WINDOW_NONE;
    n->v_narrow = NULL;
    n->v_function = windows ? NULL : pick_function(e, n, false);
    if (plan->tail_vectors != 0) {
        LLVMValueRef v_tail = coti_l_i64(e, (int64_t)plan->tail_vectors * plan->lanes);
        n->v_narrow = LLVMBuildICmp(e->builder, LLVMIntSLE, v_left, v_tail, "v_narrow");
        v_width = coti_l_select(e, n->v_narrow, v_tail, v_width, "v_width");
    }
    if (n->v_narrow != NULL && !windows) {
        n->v_function = coti_l_select(e, n->v_narrow, pick_function(e, n, true), n->v_function, "");
    }
    if (plan->pack == COTI_GEMM_PACK_NONE) {
        n->v_v_start = coti_i64_smaller(e, v_first, coti_i64_sub(e, n->v_v1, v_width));
    }
}

/* Each panel after the other. */
static void emit_panels(coti_emit *e, nest *n) {
    coti_loop panels;
    coti_loop_begin(e, &panels, n->v_v0, n->v_v1, n->plan->width, "panel");
    coti_gemm_set_panel(e, n, panels.v_i);
    if (n->plan->stream) {
        emit_stream(e, n);
    } else if (e->kernel->gemm.window.role != COTI_WINDOW_NONE) {
        coti_window_emit_tiles(e, n);
    } else if (n->plan->in_blocks) {
        emit_tiles_in_blocks(e, n);
    } else {
        emit_tiles_alone(e, n);
    }
    coti_loop_end(e, &panels);
}

/* Tile v_t of the panel that is set, of a unit whose sums wait: rows of the panel's width. */
static tile_place place_in_unit(coti_emit *e, const nest *n, LLVMValueRef v_t) {
    tile_place place = place_at(e, n, v_t, coti_l_i64(e, 0));
    LLVMValueRef v_panel =
        coti_i64_times(e, coti_i64_sub(e, n->v_v_first, n->v_v0), n->plan->unit_rows);
    LLVMValueRef v_row = LLVMBuildMul(e->builder, v_t, n->v_height, "");
    LLVMValueRef v_sum = coti_i64_add(e, v_panel, coti_i64_times(e, v_row, n->plan->width));
    place.v_c = coti_l_element(e, coti_gemm_element(e), place.v_c, v_sum, "v_c");
    return place;
}

/* All panels take each chunk of k, packed first if need be, before the next. */
static void emit_unit_in_chunks(coti_emit *e, nest *n) {
    coti_loop chunks, panels, tiles;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    coti_loop_begin(e, &chunks, v_zero, chunk_count(e, n), 1, "chunk");
    chunk c = chunk_at(e, n, chunks.v_i);
    coti_loop_begin(e, &panels, n->v_v0, n->v_v1, n->plan->width, "panel");
    coti_gemm_set_panel(e, n, panels.v_i);
    if (n->plan->pack != COTI_GEMM_PACK_NONE) {
        coti_gemm_call_pack(e, n, c.v_k0, c.v_k);
    }
    coti_loop_begin(e, &tiles, v_zero, n->v_n_tiles, 1, "tile");
    tile_place place = place_in_unit(e, n, tiles.v_i);
    if (n->plan->n_fetches > 0) {
        coti_gemm_emit_fetch_table(e, n->plan, &n->entry, place.v_start, n->v_v_start);
    }
    call_tile(e, n, &c, &place);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &panels);
    coti_loop_end(e, &chunks);
    coti_loop_begin(e, &panels, n->v_v0, n->v_v1, n->plan->width, "end");
    coti_gemm_set_panel(e, n, panels.v_i);
    coti_loop_begin(e, &tiles, v_zero, n->v_n_tiles, 1, "tile");
    place = place_in_unit(e, n, tiles.v_i);
    coti_gemm_call_end(e, n, &place);
    coti_loop_end(e, &tiles);
    coti_loop_end(e, &panels);
}

/* The product on [s0, s1) x [v0, v1) of batch entry b. */
static void emit_range(coti_emit *e, nest *n) {
    const coti_gemm_plan *plan = n->plan;
    LLVMValueRef v_length = coti_i64_sub(e, n->v_s1, n->v_s0);
    n->v_height = coti_l_i64(e, plan->height);
    n->v_n_tiles = coti_i64_divide_up(e, v_length, plan->height);
    if (plan->short_s) {
        n->v_is_short = LLVMBuildICmp(e->builder, LLVMIntSLT, v_length, n->v_height, "v_is_short");
        n->v_height = coti_l_select(e, n->v_is_short, coti_l_i64(e, 1), n->v_height, "v_height");
        n->v_n_tiles = coti_l_select(e, n->v_is_short, v_length, n->v_n_tiles, "v_n_tiles");
    }
    if (plan->unit_rows > 0) {
        emit_unit_in_chunks(e, n);
    } else if (plan->panels_inside) {
        coti_window_emit_panels(e, n);
    } else {
        emit_panels(e, n);
    }
}

/* ---- partitions ---- */

static void set_range(nest *n, int32_t dim, LLVMValueRef v_from, LLVMValueRef v_to) {
    if (n->plan->s.dim == dim) {
        n->v_s0 = v_from;
        n->v_s1 = v_to;
    } else {
        n->v_v0 = v_from;
        n->v_v1 = v_to;
    }
}

/* Rows of m come with the call, or entries of the batch; the rest is whole. */
static void emit_rows(coti_emit *e, nest *n) {
    const coti_gemm *gemm = &e->kernel->gemm;
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    coti_loop batch, inner;
    coti_loop_begin(e, &batch, gemm->b_rows ? e->v_begin : v_zero,
                    gemm->b_rows ? e->v_end : coti_l_i64(e, gemm->b), 1, "b");
    coti_loop_begin(e, &inner, v_zero, coti_l_i64(e, coti_gemm_inner(gemm)), 1, "inner");
    n->entry = (coti_gemm_entry){batch.v_i, inner.v_i};
    set_range(n, 1, gemm->m_rows ? e->v_begin : v_zero,
              gemm->m_rows ? e->v_end : coti_l_i64(e, gemm->m));
    set_range(n, 2, v_zero, coti_l_i64(e, gemm->n));
    emit_range(e, n);
    coti_loop_end(e, &inner);
    coti_loop_end(e, &batch);
}

/* Range of unit v_i along an axis of this extent. */
static void set_unit(coti_emit *e, nest *n, int32_t dim, LLVMValueRef v_i, int64_t extent,
                     int64_t unit) {
    if (unit >= extent) {
        set_range(n, dim, coti_l_i64(e, 0), coti_l_i64(e, extent));
        return;
    }
    LLVMValueRef v_from = coti_i64_times(e, v_i, unit);
    LLVMValueRef v_to = coti_i64_add(e, v_from, coti_l_i64(e, unit));
    set_range(n, dim, v_from,
              extent % unit == 0 ? v_to : coti_i64_smaller(e, v_to, coti_l_i64(e, extent)));
}

/* number mod n; *number becomes number / n. */
static LLVMValueRef split(coti_emit *e, LLVMValueRef *v_number, int64_t n, const char *name) {
    if (n == 1) {
        return coti_l_i64(e, 0);
    }
    LLVMValueRef v_n = coti_l_i64(e, n);
    LLVMValueRef v_part = LLVMBuildURem(e->builder, *v_number, v_n, name);
    *v_number = LLVMBuildUDiv(e->builder, *v_number, v_n, "");
    return v_part;
}

static void emit_units(coti_emit *e, nest *n) {
    const coti_gemm *gemm = &e->kernel->gemm;
    int64_t n_i = (gemm->m + gemm->unit_m - 1) / gemm->unit_m;
    int64_t n_j = (gemm->n + gemm->unit_n - 1) / gemm->unit_n;
    if (n_i == 0 || n_j == 0) {
        return;
    }
    if (n->plan->beside) {
        coti_gemm_emit_waiting(e, coti_gemm_scratch(e, n->plan->wait_at, "v_waiting"));
    }
    coti_loop units;
    coti_loop_begin(e, &units, e->v_begin, e->v_end, 1, "unit");
    LLVMValueRef v_rest = units.v_i;
    LLVMValueRef v_j = split(e, &v_rest, n_j, "v_j"), v_i = split(e, &v_rest, n_i, "v_i");
    n->entry.v_inner = split(e, &v_rest, coti_gemm_inner(gemm), "v_inner");
    n->entry.v_b = v_rest;
    set_unit(e, n, 1, v_i, gemm->m, gemm->unit_m);
    set_unit(e, n, 2, v_j, gemm->n, gemm->unit_n);
    n->v_side = gemm->side.n_stores == 0
                    ? NULL
                    : LLVMBuildICmp(e->builder, LLVMIntEQ, v_i, coti_l_i64(e, 0), "v_side");
    if (n->v_side != NULL && gemm->window.role == COTI_WINDOW_NONE) {
        bool n_is_s = n->plan->s.dim == 2;
        coti_branch first;
        coti_branch_begin(e, &first, n->v_side, "side");
        coti_gemm_emit_side(e, n->plan, n->entry.v_b, n_is_s ? n->v_s0 : n->v_v0,
                            n_is_s ? n->v_s1 : n->v_v1, n->v_k);
        coti_branch_end(e, &first);
    }
    emit_range(e, n);
    coti_loop_end(e, &units);
    if (n->plan->beside) {
        coti_gemm_emit_last(e, n->plan, coti_gemm_scratch(e, n->plan->wait_at, "v_waiting"));
    }
}

static bool check(coti_emit *e) {
    const coti_gemm *gemm = &e->kernel->gemm;
    if (gemm->dtype != COT_F32 && gemm->dtype != COT_F64) {
        coti_emit_fail(e, COT_E_UNSUPPORTED, "products of %s have no kernel",
                       cot_dtype_name(gemm->dtype));
        return false;
    }
    bool units = !gemm->m_rows && !gemm->b_rows;
    if (gemm->tile_broadcast < 1 || gemm->tile_vectors < 1 ||
        gemm->tile_broadcast > COTI_GEMM_MAX_TILE / gemm->tile_vectors ||
        (units && (gemm->unit_m < 1 || gemm->unit_n < 1))) {
        coti_emit_fail(e, COT_E_INTERNAL,
                       "a product's tile is %d by %d vectors, its units %lld by %lld",
                       (int)gemm->tile_broadcast, (int)gemm->tile_vectors, (long long)gemm->unit_m,
                       (long long)gemm->unit_n);
        return false;
    }
    return true;
}

/* The functions that the plan calls for. */
static void emit_functions(coti_emit *e, nest *n) {
    const coti_gemm_plan *plan = n->plan;
    if (plan->pack == COTI_GEMM_PACK_TRANSPOSE) {
        n->v_transpose = coti_gemm_emit_transpose(e, plan);
    }
    if (plan->end_along_s) {
        n->v_turn = coti_gemm_emit_turn(e, plan);
    }
    if (plan->stream) {
        n->v_stream = coti_gemm_emit_stream(e, plan, n->v_transpose);
        return;
    }
    if (plan->pack != COTI_GEMM_PACK_NONE) {
        n->v_pack = coti_gemm_emit_pack(e, plan, n->v_transpose);
    }
    if (e->kernel->gemm.window.role != COTI_WINDOW_NONE) {
        coti_window_emit_functions(e, plan, &n->window);
        return;
    }
    for (int32_t narrow = 0; narrow < 1 + (plan->tail_vectors != 0); narrow++) {
        int32_t vectors = narrow ? plan->tail_vectors : plan->vectors;
        n->v_tile[0][narrow] = coti_gemm_emit_tile(e, plan, plan->height, vectors);
        if (plan->short_s) {
            n->v_tile[1][narrow] =
                plan->height == 1 ? n->v_tile[0][narrow] : coti_gemm_emit_tile(e, plan, 1, vectors);
        }
    }
}

void coti_emit_gemm(coti_emit *e) {
    const coti_gemm *gemm = &e->kernel->gemm;
    if (!check(e)) {
        return;
    }
    coti_gemm_plan plan;
    coti_gemm_plan_make(e->kernel, e->target, &plan);
    nest n = {.plan = &plan};
    emit_functions(e, &n);
    n.v_k = coti_l_i64(e, gemm->k);
    if (gemm->k_rows) {
        n.v_k = LLVMBuildMul(e->builder, n.v_k, e->v_rows, "v_k");
    }
    if (gemm->m_rows || gemm->b_rows) {
        emit_rows(e, &n);
    } else {
        emit_units(e, &n);
    }
}
