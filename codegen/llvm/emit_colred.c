/*
 * COLRED: the reduced dimensions are walked serially, in order, for vectors along the last kept
 * one; each lane is a sum of its own, so neither the vectors' width nor the partition changes a
 * bit. Sums run from 0 over blocks of COTI_ROW_BLOCK indices of the first reduced dimension, and
 * the blocks' sums are added in order.
 *
 * Several vectors of kept points are reduced side by side (a tile), so that each row of memory is
 * read in long pieces and several sums are under way. Reductions that depend on others take
 * another walk, in which values are computed again.
 */
#include "emit_reduce.h"

#include <string.h>

enum {
    MAX_TILE = 4,       /* vectors of a tile */
    MAX_TILE_EXPRS = 64 /* expressions of a tile's vectors: larger bodies have work enough in one */
};

/* One kernel's emission. */
typedef struct columns {
    uint32_t reduced; /* bit d: d is reduced */
    uint32_t depends[COTI_MAX_EXPRS];
    int32_t level[COTI_MAX_EXPRS];
    int32_t n_passes;
    bool kept[COTI_MAX_EXPRS];            /* needed expressions of the kept dimensions alone */
    coti_nest nest, inner;                /* kept dimensions; reduced ones but the first */
    int32_t n_inner;                      /* loops of `inner` that are not of extent 1 */
    coti_point point;                     /* the indices of the outer kept dimensions */
    LLVMValueRef v_known[COTI_MAX_EXPRS]; /* given at the outer kept dimensions */
} columns;

/* Vectors of kept points, side by side. */
typedef struct tile {
    int32_t vectors;
    coti_point point[MAX_TILE]; /* v_given is v_known of the same vector */
    LLVMValueRef v_known[MAX_TILE][COTI_MAX_EXPRS];
    coti_running running[MAX_TILE][COTI_MAX_EXPRS]; /* of the pass's reductions */
} tile;

static bool is_full(const columns *c, int32_t expr) {
    return (c->depends[expr] & c->reduced) != 0;
}

static bool reduces_in(const coti_emit *e, const columns *c, int32_t expr, int32_t pass) {
    return coti_reduces_in(&e->kernel->body, c->level, expr, pass);
}

static cot_dtype reduced_dtype(const coti_emit *e, int32_t expr) {
    const coti_body *body = &e->kernel->body;
    return body->expr[body->expr[expr].arg[0]].dtype;
}

/* ---- the running values of a pass ---- */

typedef LLVMValueRef (*carry_fn)(coti_emit *e, coti_loop *loop, int32_t carry, LLVMValueRef v_now);

/* Replace each running value of the pass by fn's result, in a fixed order. */
static void for_running(coti_emit *e, const columns *c, tile *t, int32_t pass, coti_loop *loop,
                        carry_fn fn) {
    int32_t carry = 0;
    for (int32_t v = 0; v < t->vectors; v++) {
        for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
            int32_t n =
                reduces_in(e, c, i, pass) ? coti_reduce_n_values(&e->kernel->body.expr[i]) : 0;
            for (int32_t k = 0; k < n; k++, carry++) {
                t->running[v][i].v[k] = fn(e, loop, carry, t->running[v][i].v[k]);
            }
        }
    }
}

static LLVMValueRef into_loop(coti_emit *e, coti_loop *loop, int32_t carry, LLVMValueRef v_now) {
    (void)carry;
    return coti_loop_carry(e, loop, v_now, "v_running");
}

static LLVMValueRef to_next_turn(coti_emit *e, coti_loop *loop, int32_t carry, LLVMValueRef v_now) {
    (void)e;
    coti_loop_next(loop, carry, v_now);
    return v_now;
}

static LLVMValueRef out_of_loop(coti_emit *e, coti_loop *loop, int32_t carry, LLVMValueRef v_now) {
    (void)e;
    (void)v_now;
    return loop->v_result[carry];
}

static void open_loop(coti_emit *e, const columns *c, tile *t, int32_t pass, coti_loop *loop,
                      LLVMValueRef v_begin, LLVMValueRef v_end) {
    coti_loop_begin(e, loop, v_begin, v_end, 1, "reduced");
    for_running(e, c, t, pass, loop, into_loop);
}

static void close_loop(coti_emit *e, const columns *c, tile *t, int32_t pass, coti_loop *loop) {
    for_running(e, c, t, pass, loop, to_next_turn);
    coti_loop_end(e, loop);
    for_running(e, c, t, pass, loop, out_of_loop);
}

static void set_identity(coti_emit *e, const columns *c, tile *t, int32_t pass) {
    for (int32_t v = 0; v < t->vectors; v++) {
        for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
            if (reduces_in(e, c, i, pass)) {
                t->running[v][i] = coti_reduce_identity(e, &e->kernel->body.expr[i],
                                                        reduced_dtype(e, i), t->point[v].lanes);
            }
        }
    }
}

/* ---- one pass ---- */

/* Add the elements at the tile's current point. v_place: i64, its place in the order. */
static void add_elements(coti_emit *e, const columns *c, tile *t, int32_t pass,
                         LLVMValueRef v_place) {
    const coti_body *body = &e->kernel->body;
    bool wanted[COTI_MAX_EXPRS];
    LLVMValueRef v_value[COTI_MAX_EXPRS];
    LLVMValueRef v_short = LLVMBuildTrunc(e->builder, v_place, e->t_i32, "");
    for (int32_t v = 0; v < t->vectors; v++) {
        for (int32_t i = 0; i < body->n_exprs; i++) {
            wanted[i] = false;
        }
        for (int32_t i = 0; i < body->n_exprs; i++) {
            if (reduces_in(e, c, i, pass)) {
                wanted[body->expr[i].arg[0]] = true;
            }
        }
        coti_body_close_wanted(body, t->v_known[v], wanted);
        coti_emit_values(e, body, &t->point[v], wanted, v_value);
        LLVMValueRef v_lane_place = coti_l_splat(e, v_short, t->point[v].lanes, "");
        for (int32_t i = 0; i < body->n_exprs; i++) {
            if (reduces_in(e, c, i, pass)) {
                const coti_expr *expr = &body->expr[i];
                coti_running element = coti_reduce_element(
                    e, expr, reduced_dtype(e, i), v_value[expr->arg[0]], v_lane_place, NULL);
                t->running[v][i] =
                    coti_reduce_combine(e, expr, reduced_dtype(e, i), t->running[v][i], element);
            }
        }
    }
}

static void set_index(tile *t, int32_t dim, LLVMValueRef v_index) {
    for (int32_t v = 0; v < t->vectors; v++) {
        t->point[v].v_index[dim] = v_index;
    }
}

/* Rows [v_from, v_to) of the first reduced dimension, with all of the others. */
static void add_rows(coti_emit *e, const columns *c, tile *t, int32_t pass, LLVMValueRef v_from,
                     LLVMValueRef v_to) {
    coti_loop rows, loop[COTI_MAX_DIMS];
    open_loop(e, c, t, pass, &rows, v_from, v_to);
    set_index(t, e->kernel->n_kept, rows.v_i);
    LLVMValueRef v_place = rows.v_i;
    for (int32_t l = 0; l < c->n_inner; l++) {
        const coti_nest_loop *at = &c->inner.loop[l];
        open_loop(e, c, t, pass, &loop[l], at->v_begin, at->v_end);
        set_index(t, at->dim, loop[l].v_i);
        v_place = LLVMBuildAdd(e->builder, LLVMBuildMul(e->builder, v_place, at->v_end, ""),
                               loop[l].v_i, "");
    }
    add_elements(e, c, t, pass, v_place);
    for (int32_t l = c->n_inner - 1; l >= 0; l--) {
        close_loop(e, c, t, pass, &loop[l]);
    }
    close_loop(e, c, t, pass, &rows);
}

/* Many rows: blocks of them, each from the identity, added in order. */
static void add_blocks(coti_emit *e, const columns *c, tile *t, int32_t pass, LLVMValueRef v_rows) {
    coti_running total[MAX_TILE][COTI_MAX_EXPRS];
    coti_loop blocks;
    coti_loop_begin(e, &blocks, coti_l_i64(e, 0), v_rows, COTI_ROW_BLOCK, "blocks");
    for_running(e, c, t, pass, &blocks, into_loop);
    memcpy(total, t->running, sizeof total);
    set_identity(e, c, t, pass);
    LLVMValueRef v_to = LLVMBuildAdd(e->builder, blocks.v_i, coti_l_i64(e, COTI_ROW_BLOCK), "");
    LLVMValueRef v_last = LLVMBuildICmp(e->builder, LLVMIntSLT, v_rows, v_to, "");
    v_to = coti_l_select(e, v_last, v_rows, v_to, "v_to");
    add_rows(e, c, t, pass, blocks.v_i, v_to);
    for (int32_t v = 0; v < t->vectors; v++) {
        for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
            if (reduces_in(e, c, i, pass)) {
                t->running[v][i] =
                    coti_reduce_combine(e, &e->kernel->body.expr[i], reduced_dtype(e, i),
                                        total[v][i], t->running[v][i]);
            }
        }
    }
    close_loop(e, c, t, pass, &blocks);
}

static void emit_pass(coti_emit *e, const columns *c, tile *t, int32_t pass) {
    int32_t first = e->kernel->n_kept;
    bool one_block = first != e->kernel->rows_dim && e->kernel->extent[first] <= COTI_ROW_BLOCK;
    set_identity(e, c, t, pass);
    if (one_block) {
        add_rows(e, c, t, pass, coti_l_i64(e, 0), e->v_extent[first]);
    } else {
        add_blocks(e, c, t, pass, e->v_extent[first]);
    }
    for (int32_t v = 0; v < t->vectors; v++) {
        for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
            if (reduces_in(e, c, i, pass)) {
                t->v_known[v][i] = coti_reduce_result(&e->kernel->body.expr[i], t->running[v][i]);
            }
        }
    }
}

/* ---- a tile ---- */

/* The needed kept expressions that are known before pass `pass`, for each vector. */
static void emit_kept(coti_emit *e, const columns *c, tile *t, int32_t pass) {
    const coti_body *body = &e->kernel->body;
    bool wanted[COTI_MAX_EXPRS];
    LLVMValueRef v_value[COTI_MAX_EXPRS];
    for (int32_t v = 0; v < t->vectors; v++) {
        for (int32_t i = 0; i < body->n_exprs; i++) {
            bool known = t->v_known[v][i] != NULL || body->expr[i].kind == COTI_EXPR_REDUCE;
            wanted[i] = c->kept[i] && !is_full(c, i) && c->level[i] <= pass && !known;
        }
        coti_body_close_wanted(body, t->v_known[v], wanted);
        coti_emit_values(e, body, &t->point[v], wanted, v_value);
        for (int32_t i = 0; i < body->n_exprs; i++) {
            if (wanted[i]) {
                t->v_known[v][i] = v_value[i];
            }
        }
    }
}

/* `vectors` vectors of `lanes` kept points from v_first on. */
static void emit_tile(coti_emit *e, const columns *c, LLVMValueRef v_first, int32_t vectors,
                      int32_t lanes, LLVMValueRef v_mask) {
    const coti_body *body = &e->kernel->body;
    int32_t dim = c->nest.loop[c->nest.n_loops - 1].dim;
    tile *t = coti_calloc(e->context, 1, sizeof *t);
    if (t == NULL) {
        e->status = COT_E_NOMEM;
        return;
    }
    t->vectors = vectors;
    for (int32_t v = 0; v < vectors; v++) {
        for (int32_t i = 0; i < body->n_exprs; i++) {
            t->v_known[v][i] = c->v_known[i];
        }
        t->point[v] = c->point;
        t->point[v].lanes = lanes;
        t->point[v].vector_dim = dim;
        t->point[v].v_mask = v_mask;
        t->point[v].v_given = t->v_known[v];
        t->point[v].v_index[dim] =
            LLVMBuildAdd(e->builder, v_first, coti_l_i64(e, v * lanes), "v_column");
    }
    for (int32_t pass = 0; pass < c->n_passes; pass++) {
        emit_kept(e, c, t, pass);
        emit_pass(e, c, t, pass);
    }
    emit_kept(e, c, t, c->n_passes);
    for (int32_t v = 0; v < vectors; v++) {
        for (int32_t s = 0; s < body->n_stores; s++) {
            coti_emit_store(e, body, &t->point[v], &body->store[s],
                            t->v_known[v][body->store[s].expr]);
        }
    }
    coti_free(e->context, t);
}

/* Vectors of a tile: as many as the registers hold next to what feeds them. */
static int32_t tile_vectors(coti_emit *e, const columns *c, int32_t lanes) {
    const coti_nest_loop *loop = &c->nest.loop[c->nest.n_loops - 1];
    int32_t n_running = 1;
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        const coti_expr *expr = &e->kernel->body.expr[i];
        n_running += expr->kind == COTI_EXPR_REDUCE ? coti_reduce_n_values(expr) : 0;
    }
    int32_t parts = lanes > e->target->lanes ? lanes / e->target->lanes : 1;
    int32_t vectors = e->target->registers / (2 * parts * n_running);
    vectors = vectors > MAX_TILE ? MAX_TILE : vectors;
    int32_t of_exprs = MAX_TILE_EXPRS / (e->kernel->body.n_exprs + 1);
    vectors = vectors > of_exprs ? of_exprs : vectors;
    while (vectors > 1 && loop->extent >= 0 && (int64_t)vectors * lanes > loop->extent) {
        vectors--;
    }
    return vectors < 1 ? 1 : vectors;
}

/* Tiles of `vectors` * `lanes` from v_from on, as many as fit; where they end is returned. */
static LLVMValueRef emit_tiles(coti_emit *e, const columns *c, LLVMValueRef v_from,
                               LLVMValueRef v_end, int32_t vectors, int32_t lanes) {
    LLVMValueRef v_width = coti_l_i64(e, (int64_t)vectors * lanes);
    LLVMValueRef v_count = LLVMBuildSub(e->builder, v_end, v_from, "");
    v_count =
        LLVMBuildMul(e->builder, LLVMBuildUDiv(e->builder, v_count, v_width, ""), v_width, "");
    LLVMValueRef v_to = LLVMBuildAdd(e->builder, v_from, v_count, "v_whole");
    coti_loop loop;
    coti_loop_begin(e, &loop, v_from, v_to, (int64_t)vectors * lanes, "columns");
    emit_tile(e, c, loop.v_i, vectors, lanes, NULL);
    coti_loop_end(e, &loop);
    return v_to;
}

static void emit_columns(coti_emit *e, const columns *c) {
    const coti_nest_loop *loop = &c->nest.loop[c->nest.n_loops - 1];
    int32_t lanes = coti_nest_lanes(loop);
    int32_t vectors = tile_vectors(e, c, lanes);
    for (int32_t pass = 0; pass < c->n_passes; pass++) {
        if (!coti_reduce_fits(e, c->level, pass, vectors)) {
            return;
        }
    }
    LLVMValueRef v_at = loop->v_begin;
    if (vectors > 1) {
        v_at = emit_tiles(e, c, v_at, loop->v_end, vectors, lanes);
    }
    v_at = emit_tiles(e, c, v_at, loop->v_end, 1, lanes);
    if (lanes == 1) {
        return;
    }
    if (e->target->isa == COT_ISA_BASELINE) { /* masks are dear */
        (void)emit_tiles(e, c, v_at, loop->v_end, 1, 1);
        return;
    }
    coti_branch rest;
    coti_branch_begin(e, &rest, LLVMBuildICmp(e->builder, LLVMIntSLT, v_at, loop->v_end, ""),
                      "rest");
    LLVMValueRef v_left = LLVMBuildSub(e->builder, loop->v_end, v_at, "");
    emit_tile(e, c, v_at, 1, lanes, coti_l_mask(e, v_left, lanes));
    coti_branch_end(e, &rest);
}

/* ---- the kernel ---- */

static void columns_begin(coti_emit *e, columns *c) {
    const coti_kernel *kernel = e->kernel;
    const coti_body *body = &kernel->body;
    for (int32_t d = kernel->n_kept; d < kernel->n_dims; d++) {
        c->reduced |= UINT32_C(1) << d;
    }
    coti_body_dependence(kernel, body, c->depends);
    coti_reduce_levels(body, c->level);
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (body->expr[i].kind == COTI_EXPR_REDUCE) {
            c->n_passes = c->level[i] > c->n_passes ? c->level[i] : c->n_passes;
            c->kept[body->expr[i].arg[0]] = true;
        }
    }
    for (int32_t s = 0; s < body->n_stores; s++) {
        c->kept[body->store[s].expr] = true;
    }
    coti_body_close_wanted(body, NULL, c->kept);
    coti_nest_make(e, 0, kernel->n_kept, &c->nest);
    if (kernel->n_kept + 1 < kernel->n_dims) {
        coti_nest_make(e, kernel->n_kept + 1, kernel->n_dims, &c->inner);
        c->n_inner = c->inner.loop[0].extent == 1 ? 0 : c->inner.n_loops;
    }
    c->point = (coti_point){.lanes = e->target->lanes, .vector_dim = -1, .v_given = c->v_known};
    coti_nest_start(e, c->v_known);
}

/* Kept expressions of level 0 that the open loops settle. */
static void hoist(coti_emit *e, columns *c, uint32_t open) {
    bool wanted[COTI_MAX_EXPRS];
    for (int32_t i = 0; i < e->kernel->body.n_exprs; i++) {
        wanted[i] = c->kept[i] && c->level[i] == 0;
    }
    coti_nest_hoist(e, &c->point, c->depends, open, wanted, c->v_known);
}

void coti_emit_colred(coti_emit *e) {
    columns *c = coti_calloc(e->context, 1, sizeof *c);
    if (c == NULL) {
        e->status = COT_E_NOMEM;
        return;
    }
    coti_loop loop[COTI_MAX_DIMS];
    columns_begin(e, c);
    uint32_t open = 0;
    int32_t n_outer = c->nest.n_loops - 1;
    hoist(e, c, open);
    for (int32_t l = 0; l < n_outer; l++) {
        const coti_nest_loop *at = &c->nest.loop[l];
        coti_loop_begin(e, &loop[l], at->v_begin, at->v_end, 1, "outer");
        c->point.v_index[at->dim] = loop[l].v_i;
        open |= at->dims;
        hoist(e, c, open);
    }
    emit_columns(e, c);
    for (int32_t l = n_outer - 1; l >= 0; l--) {
        coti_loop_end(e, &loop[l]);
    }
    coti_free(e->context, c);
}
