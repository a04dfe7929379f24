/*
 * MAP: every expression at every point. Loops over all dimensions but the innermost loop's, which
 * runs in vectors: whole ones, then the rest under a mask. Short static rows are written out.
 *
 * Where an operand lies across (a transposition: its neighbours in memory are neighbours in the
 * loop around the innermost), the points are walked in tiles, a few vectors' worth of that loop for
 * each vector, so that a line of memory is used up while it is near.
 */
#include "emit.h"

enum {
    MAX_UNROLLED_VECTORS = 4,
    TILE_ROWS = 16, /* elements of a line of memory, or two */
    TILE_LANES = 8  /* lines at a time: as many as a set of the first cache has ways */
};

/* One kernel's emission. */
typedef struct map {
    coti_nest nest;
    coti_point point; /* v_given is `v_given` */
    uint32_t depends[COTI_MAX_EXPRS];
    bool wanted[COTI_MAX_EXPRS];
    LLVMValueRef v_given[COTI_MAX_EXPRS];
    const coti_nest_loop *across; /* the loop that is walked within each vector; NULL: none */
    LLVMValueRef v_across, v_across_end; /* the tile's part of it */
} map;

/* `lanes` points from v_index on; of a tile, for each of its rows. */
static void emit_run(coti_emit *e, map *m, LLVMValueRef v_index, int32_t lanes,
                     LLVMValueRef v_mask) {
    coti_point point = m->point;
    int32_t d = m->nest.loop[m->nest.n_loops - 1].dim;
    point.lanes = lanes;
    point.vector_dim = d;
    point.v_index[d] = v_index;
    point.v_mask = v_mask;
    if (m->across == NULL) {
        coti_emit_body(e, &e->kernel->body, &point);
        return;
    }
    coti_loop rows;
    coti_loop_begin(e, &rows, m->v_across, m->v_across_end, 1, "tile");
    point.v_index[m->across->dim] = rows.v_i;
    coti_emit_body(e, &e->kernel->body, &point);
    coti_loop_end(e, &rows);
}

/* What is left after the whole vectors: one masked vector, or, where masks are dear, one by one. */
static void emit_rest(coti_emit *e, map *m, LLVMValueRef v_whole, LLVMValueRef v_end,
                      int32_t lanes) {
    if (e->target->isa == COT_ISA_BASELINE) {
        coti_loop loop;
        coti_loop_begin(e, &loop, v_whole, v_end, 1, "rest");
        emit_run(e, m, loop.v_i, 1, NULL);
        coti_loop_end(e, &loop);
        return;
    }
    coti_branch branch;
    coti_branch_begin(e, &branch, LLVMBuildICmp(e->builder, LLVMIntSLT, v_whole, v_end, ""),
                      "rest");
    LLVMValueRef v_count = LLVMBuildSub(e->builder, v_end, v_whole, "");
    emit_run(e, m, v_whole, lanes, coti_l_mask(e, v_count, lanes));
    coti_branch_end(e, &branch);
}

/* A row whose length is known: no loop. The rest under a mask, or, where masked stores are dear, in
 * ever narrower vectors. */
static void emit_short_row(coti_emit *e, map *m, int64_t count, int32_t lanes) {
    bool masks = e->target->isa == COT_ISA_AVX512;
    for (int64_t i = 0; i < count;) {
        int64_t left = count - i;
        while (!masks && lanes > left) {
            lanes /= 2;
        }
        LLVMValueRef v_mask = left < lanes ? coti_l_mask(e, coti_l_i64(e, left), lanes) : NULL;
        emit_run(e, m, coti_l_i64(e, i), lanes, v_mask);
        i += lanes;
    }
}

static void emit_row(coti_emit *e, map *m) {
    const coti_nest_loop *row = &m->nest.loop[m->nest.n_loops - 1];
    bool whole_row = (row->dims & 1) == 0; /* dimension 0 has a range */
    int32_t lanes = coti_nest_lanes(row);
    lanes = m->across != NULL && lanes > TILE_LANES ? TILE_LANES : lanes;
    if (whole_row && row->extent >= 0 && row->extent <= MAX_UNROLLED_VECTORS * COTI_LANES) {
        emit_short_row(e, m, row->extent, lanes);
        return;
    }
    LLVMValueRef v_count = LLVMBuildSub(e->builder, row->v_end, row->v_begin, "");
    v_count = LLVMBuildAnd(e->builder, v_count, coti_l_i64(e, -lanes), "");
    LLVMValueRef v_whole = LLVMBuildAdd(e->builder, row->v_begin, v_count, "v_whole");
    coti_loop loop;
    coti_loop_begin(e, &loop, row->v_begin, v_whole, lanes, "vectors");
    emit_run(e, m, loop.v_i, lanes, NULL);
    coti_loop_end(e, &loop);
    if (lanes > 1) {
        emit_rest(e, m, v_whole, row->v_end, lanes);
    }
}

/* Does an operand lie across the innermost loop, and along the one around it? */
static bool lies_across(const coti_emit *e, const coti_nest *nest) {
    if (nest->n_loops < 2) {
        return false;
    }
    const coti_nest_loop *row = &nest->loop[nest->n_loops - 1], *outer = row - 1;
    bool is_short = (row->extent >= 0 && row->extent < TILE_LANES) ||
                    (outer->extent >= 0 && outer->extent < TILE_ROWS);
    for (int32_t a = 0; a < e->kernel->body.n_accesses && !is_short; a++) {
        const coti_access *access = &e->kernel->body.access[a];
        int64_t along = access->stride[outer->dim], step = access->stride[row->dim];
        if ((along == 1 || along == -1) && step != 0 && step != 1 && step != -1) {
            return true;
        }
    }
    return false;
}

/* The innermost loop, or the two innermost in tiles. */
static void emit_inner(coti_emit *e, map *m, bool tiled) {
    if (!tiled) {
        emit_row(e, m);
        return;
    }
    const coti_nest_loop *across = &m->nest.loop[m->nest.n_loops - 2];
    coti_loop tiles;
    coti_loop_begin(e, &tiles, across->v_begin, across->v_end, TILE_ROWS, "tiles");
    LLVMValueRef v_end = LLVMBuildAdd(e->builder, tiles.v_i, coti_l_i64(e, TILE_ROWS), "");
    LLVMValueRef v_last = LLVMBuildICmp(e->builder, LLVMIntSLT, across->v_end, v_end, "");
    m->across = across;
    m->v_across = tiles.v_i;
    m->v_across_end = coti_l_select(e, v_last, across->v_end, v_end, "v_tile_end");
    emit_row(e, m);
    coti_loop_end(e, &tiles);
}

void coti_emit_map(coti_emit *e) {
    const coti_body *body = &e->kernel->body;
    map m = {.point = {.lanes = e->target->lanes, .vector_dim = -1}};
    coti_loop loop[COTI_MAX_DIMS];
    coti_nest_make(e, 0, e->kernel->n_dims, &m.nest);
    coti_body_dependence(e->kernel, body, m.depends);
    coti_nest_start(e, m.v_given);
    for (int32_t s = 0; s < body->n_stores; s++) {
        m.wanted[body->store[s].expr] = true;
    }
    coti_body_close_wanted(body, NULL, m.wanted);
    m.point.v_given = m.v_given;
    uint32_t open = 0;
    bool tiled = lies_across(e, &m.nest);
    int32_t n_outer = m.nest.n_loops - (tiled ? 2 : 1);
    coti_nest_hoist(e, &m.point, m.depends, open, m.wanted, m.v_given);
    for (int32_t l = 0; l < n_outer; l++) {
        const coti_nest_loop *at = &m.nest.loop[l];
        coti_loop_begin(e, &loop[l], at->v_begin, at->v_end, 1, "rows");
        m.point.v_index[at->dim] = loop[l].v_i;
        open |= at->dims;
        coti_nest_hoist(e, &m.point, m.depends, open, m.wanted, m.v_given);
    }
    emit_inner(e, &m, tiled);
    for (int32_t l = n_outer - 1; l >= 0; l--) {
        coti_loop_end(e, &loop[l]);
    }
}
