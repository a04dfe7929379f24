/*
 * The plan of a product: which operand is walked how, where its pieces lie in scratch. All that is
 * decided here follows from the kernel and the target, so that the scratch's size is known before
 * anything is emitted.
 */
#include "codegen/tile.h"
#include "emit_gemm.h"
#include "runtime/base/size.h"

enum {
    ONE_PANEL_BYTES = 384 * 1024, /* packed k's beyond this are cut into chunks, to stay in L2 */
    L1_PANEL_BYTES = 16 * 1024,   /* ... or into these, when few tiles read a panel: in L1 */
    FEW_TILES = 2,
    FEW_ELEMENTS = 1024,       /* of an operand that is not worth the code of a transposition */
    STREAM_REGISTERS = 10,     /* for a piece of a transposition, a vector, a broadcast */
    LEAST_BLOCK_K = 4,         /* k's that are worth transposing in registers */
    SOME_ROWS = 64,            /* for the batch */
    STREAMED_ROW = 128,        /* the same, along a row of the batch */
    STREAMED_ELEMENTS = 32768, /* of an array that will hardly be in cache from step to step */
    BLOCK_BYTES = 48 * 1024,   /* of unfinished tiles that wait for the next chunk */
    ALIGNMENT = 64
};

static void make_axes(const coti_gemm *gemm, coti_gemm_axis *m, coti_gemm_axis *n) {
    bool units = !gemm->m_rows && !gemm->b_rows;
    const coti_window *w = &gemm->window;
    *m = (coti_gemm_axis){.dim = 1,
                          .slot = gemm->a_slot,
                          .extent = gemm->m,
                          .rows = gemm->m_rows,
                          .unit = units ? gemm->unit_m : 0,
                          .stride = gemm->a_stride[1],
                          .k_stride = gemm->a_stride[2],
                          .b_stride = gemm->a_stride[0],
                          .inner_stride = gemm->a_stride[3],
                          .offset = gemm->a_offset};
    *n = (coti_gemm_axis){.dim = 2,
                          .slot = gemm->b_slot,
                          .extent = gemm->n,
                          .unit = units ? gemm->unit_n : 0,
                          .stride = gemm->b_stride[2],
                          .k_stride = gemm->b_stride[1],
                          .b_stride = gemm->b_stride[0],
                          .inner_stride = gemm->b_stride[3],
                          .offset = gemm->b_offset};
    if (w->role != COTI_WINDOW_NONE) {
        m->stride = w->role == COTI_WINDOW_ROWS ? w->stride[1] * w->x_stride[1] : 1;
        m->k_stride = 1;
    }
}

/* Lengths that a range along a static axis may have: a unit's, and the last unit's. Returns how
 * many. */
static int32_t range_lengths(const coti_gemm_axis *axis, int64_t length[2]) {
    if (axis->extent == 0) {
        return 0;
    }
    if (axis->unit == 0 || axis->unit >= axis->extent) {
        length[0] = axis->extent;
        return 1;
    }
    length[0] = axis->unit;
    length[1] = axis->extent % axis->unit;
    return length[1] == 0 ? 1 : 2;
}

/* Vectors of the narrower tile that ends ranges of v; 0 when none is narrower by a whole vector. */
static int32_t tail_vectors(const coti_gemm_plan *plan) {
    if (plan->v.rows) {
        return plan->vectors / 2;
    }
    int64_t length[2];
    int32_t n = range_lengths(&plan->v, length), tail = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t rest = (int32_t)(length[i] % plan->width);
        int32_t vectors = (rest + plan->lanes - 1) / plan->lanes;
        tail = vectors > tail ? vectors : tail;
    }
    return tail < plan->vectors ? tail : 0;
}

/* May all ranges of v be covered by tiles that lie within them? */
static bool covers_unpacked(const coti_gemm_plan *plan) {
    int64_t length[2];
    int32_t n = range_lengths(&plan->v, length);
    for (int32_t i = 0; i < n; i++) {
        if (length[i] < plan->width && length[i] != (int64_t)plan->tail_vectors * plan->lanes) {
            return false;
        }
    }
    return !plan->v.rows;
}

static bool has_short(const coti_gemm *gemm, const coti_gemm_plan *plan) {
    int64_t length[2];
    if (gemm->window.role != COTI_WINDOW_NONE) {
        return false; /* tiles are of rows of positions, or of runs of taps */
    }
    int32_t n = range_lengths(&plan->s, length);
    for (int32_t i = 0; i < n; i++) {
        if (length[i] < plan->height) {
            return true;
        }
    }
    return plan->s.rows;
}

/* May a range along the axis be no multiple of `multiple`? */
static bool is_ragged(const coti_gemm_axis *axis, int32_t multiple) {
    int64_t length[2];
    int32_t n = range_lengths(axis, length);
    for (int32_t i = 0; i < n; i++) {
        if (length[i] % multiple != 0) {
            return true;
        }
    }
    return axis->rows;
}

static void choose_pack(const coti_gemm *gemm, coti_gemm_plan *plan) {
    plan->tail_vectors = tail_vectors(plan);
    if (!gemm->pack && plan->v.stride == 1 && covers_unpacked(plan)) {
        plan->pack = COTI_GEMM_PACK_NONE;
        return;
    }
    bool few = !plan->v.rows && !gemm->k_rows && gemm->k * plan->v.extent <= FEW_ELEMENTS;
    bool rows_of_k = gemm->dtype == COT_F32 && plan->v.k_stride == 1 && !few &&
                     (gemm->k_rows || gemm->k >= LEAST_BLOCK_K);
    plan->pack = plan->v.stride == 1 ? COTI_GEMM_PACK_COPY
                 : rows_of_k         ? COTI_GEMM_PACK_TRANSPOSE
                                     : COTI_GEMM_PACK_GATHER;
    plan->partial = is_ragged(&plan->v, plan->width);
}

/*
 * Chunks of k. When k is the batch they are the blocks of the sum. Else a packed panel that would
 * not stay in cache until its last use is cut; the sums simply go on from chunk to chunk.
 */
static void choose_chunks(const coti_gemm *gemm, coti_gemm_plan *plan) {
    const coti_window_role role = gemm->window.role;
    plan->one_chunk = false;
    plan->chunk = COTI_ROW_BLOCK;
    if (gemm->k_rows || role == COTI_WINDOW_TAPS) {
        return;
    }
    if (role == COTI_WINDOW_ROWS) {
        plan->one_chunk = true;
        plan->chunk = gemm->k;
        return;
    }
    int64_t k_bytes = (int64_t)plan->width * plan->bytes;
    bool few = !plan->s.rows && plan->s.extent <= (int64_t)FEW_TILES * plan->height;
    int64_t most = (few ? L1_PANEL_BYTES : ONE_PANEL_BYTES) / k_bytes;
    plan->one_chunk = plan->pack == COTI_GEMM_PACK_NONE || gemm->k <= most;
    plan->chunk = gemm->k;
    if (!plan->one_chunk) {
        int64_t n = (gemm->k + most - 1) / most;
        plan->chunk = coti_round_up((gemm->k + n - 1) / n, plan->lanes);
    }
}

/* The k's that are transposed at once: a vector's worth, or fewer when there are fewer. */
static void choose_block_k(const coti_gemm *gemm, coti_gemm_plan *plan) {
    plan->block_k = plan->lanes;
    plan->short_k = gemm->k_rows;
    if (gemm->k_rows || gemm->k < LEAST_BLOCK_K) {
        return;
    }
    while (plan->block_k > gemm->k) {
        plan->block_k /= 2;
    }
    int64_t last = gemm->k % plan->chunk;
    plan->short_k = last != 0 && last < plan->block_k;
}

/* Tiles that wait together for the next chunk; those of windows' taps all take a chunk while it is
 * near. */
static int32_t block_tiles(const coti_gemm *gemm, const coti_gemm_plan *plan) {
    if (gemm->window.role == COTI_WINDOW_TAPS) {
        const int64_t run = gemm->window.run,
                      rows = gemm->unit_m < gemm->m ? gemm->unit_m : gemm->m;
        return (int32_t)((rows + run - 1) / run * ((run + plan->height - 1) / plan->height));
    }
    if (!plan->in_blocks) {
        return 1;
    }
    int64_t most = BLOCK_BYTES / ((int64_t)plan->height * plan->width * plan->bytes);
    int64_t length =
        plan->s.unit != 0 && plan->s.unit < plan->s.extent ? plan->s.unit : plan->s.extent;
    int64_t needed = (length + plan->height - 1) / plan->height;
    if (!plan->s.rows && needed < most) {
        most = needed;
    }
    return most < 1 ? 1 : (int32_t)most;
}

/* Elements of whole tiles that cover a unit. */
static int64_t covered(const coti_gemm_axis *axis, int64_t tile) {
    int64_t length = axis->unit < axis->extent ? axis->unit : axis->extent;
    return (length + tile - 1) / tile * tile;
}

/* Do all of a unit's sums fit where they wait? Then each chunk of k is taken by all its panels
 * before the next is begun, and what they read of it is near. */
static void choose_unit_rows(coti_gemm_plan *plan) {
    if (!plan->in_blocks || plan->s.unit == 0) {
        return;
    }
    int64_t rows = covered(&plan->s, plan->height);
    int64_t columns = covered(&plan->v, plan->width);
    if (rows <= BLOCK_BYTES && columns <= BLOCK_BYTES &&
        rows * columns * plan->bytes <= BLOCK_BYTES) {
        plan->unit_rows = rows;
        plan->unit_columns = columns;
    }
}

/* Accesses of the body that are contiguous along a dimension count for it. */
static int32_t contiguous_along(const coti_body *body, int32_t dim) {
    int32_t n = 0;
    for (int32_t i = 0; i < body->n_accesses; i++) {
        n += body->access[i].slot >= 0 && body->access[i].stride[dim] == 1;
    }
    return n;
}

/*
 * Is a turned tile, rows of all of s, one run of everything that its end touches? So are weights
 * with few columns, and their moments: then vectors need not end where rows do.
 */
static bool is_flat(const coti_kernel *kernel, const coti_gemm_plan *plan) {
    const coti_body *body = &kernel->body;
    const coti_gemm_axis *s = &plan->s;
    if (kernel->gemm.window.role != COTI_WINDOW_NONE || s->rows || s->extent != plan->height ||
        plan->height != plan->t_stride || (s->unit != 0 && s->unit < s->extent)) {
        return false;
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr_kind kind = body->expr[i].kind;
        if (kind == COTI_EXPR_INDEX || kind == COTI_EXPR_GATHER || kind == COTI_EXPR_RANDOM) {
            return false;
        }
    }
    for (int32_t i = 0; i < body->n_accesses; i++) {
        const coti_access *access = &body->access[i];
        const int64_t along = access->stride[s->dim], across = access->stride[plan->v.dim];
        const bool run = along == 1 && across == s->extent, same = along == 0 && across == 0;
        if (access->bounded != 0 || !(run || same)) {
            return false;
        }
    }
    return true;
}

/* What is asked for ahead: what is large enough not to be in the first cache anyway. */
static void choose_ahead(const coti_kernel *kernel, coti_gemm_plan *plan) {
    const coti_gemm *gemm = &kernel->gemm;
    if (plan->stream || gemm->dtype != COT_F32) {
        return;
    }
    if (gemm->window.role != COTI_WINDOW_NONE) {
        const bool rows = gemm->window.role == COTI_WINDOW_ROWS;
        plan->n_fetches = rows && !plan->by_lanes ? coti_gemm_count_fetches(kernel, plan) : 0;
        return;
    }
    int64_t s = plan->s.rows ? SOME_ROWS : plan->s.extent;
    int64_t k = gemm->k_rows ? gemm->k * SOME_ROWS : gemm->k;
    plan->ahead_v = plan->pack == COTI_GEMM_PACK_NONE && plan->v.extent > plan->width &&
                    s > (int64_t)FEW_TILES * plan->height;
    plan->ahead_s = s > plan->height && s * k * plan->bytes > L1_PANEL_BYTES;
    bool updates = !gemm->m_rows && !gemm->b_rows && gemm->m * gemm->n >= STREAMED_ELEMENTS;
    if (updates || (gemm->m_rows && gemm->m * gemm->n >= STREAMED_ROW)) {
        plan->n_fetches = coti_gemm_count_fetches(kernel, plan);
    }
}

/*
 * Are tiles finished beside the next one's sums? Those of updates whose arrays are asked for, tile
 * by tile, and lie as tiles do: a turned tile is small, and its next one too. Where runs end within
 * vectors, masks must cost nothing.
 */
static bool is_beside(const coti_kernel *kernel, const coti_gemm_plan *plan) {
    return kernel->gemm.k_rows && kernel->gemm.window.role == COTI_WINDOW_NONE &&
           plan->n_fetches > 0 && !plan->in_blocks && !plan->end_along_s &&
           coti_gemm_can_wait(&kernel->body) && (plan->lanes == COTI_LANES || !plan->ragged_v);
}

/* Elements from a tile's first row to each: rows of a row of taps follow the taps; of rows between
 * elements that are spread, to the one before. */
static void set_rows(const coti_gemm *gemm, coti_gemm_plan *plan) {
    const coti_window *w = &gemm->window;
    for (int32_t r = 0; r < plan->height; r++) {
        plan->row_at[r] = r * plan->s.stride;
        if (w->role == COTI_WINDOW_ROWS && w->spread[1] > 1) {
            plan->row_at[r] = r / w->spread[1] * w->x_stride[1];
        }
        if (w->role == COTI_WINDOW_TAPS && w->run > w->channels) {
            plan->row_at[r] = r / w->channels * w->dilation[1] * w->x_stride[1] + r % w->channels;
        }
    }
}

/* The end of a tile may read as many rows as a tile of full height has, even where it has one. */
static void place(const coti_kernel *kernel, coti_gemm_plan *plan) {
    const coti_gemm *gemm = &kernel->gemm;
    const bool sums = gemm->window.role == COTI_WINDOW_TAPS && gemm->side.n_stores > 0;
    const int64_t side = sums ? (int64_t)plan->width * plan->bytes : 0;
    int64_t panel = plan->pack == COTI_GEMM_PACK_NONE ? 0 : plan->chunk * plan->width;
    panel = plan->stream ? 2 * (int64_t)plan->lanes * plan->lanes : panel;
    int64_t block = plan->unit_rows > 0 ? plan->unit_rows * plan->unit_columns
                                        : (int64_t)plan->block_tiles * plan->height * plan->width;
    block += plan->lanes + (int64_t)(plan->t_stride - plan->height) * plan->width;
    int64_t turned = plan->end_along_s ? (int64_t)plan->width * plan->t_stride + plan->lanes : 0;
    plan->panel_at = 0;
    plan->c_at = coti_round_up(panel * plan->bytes, ALIGNMENT);
    plan->t_at = plan->c_at + coti_round_up(block * plan->bytes, ALIGNMENT);
    plan->square_at = plan->t_at + coti_round_up(turned * plan->bytes, ALIGNMENT);
    int64_t square =
        plan->pack == COTI_GEMM_PACK_TRANSPOSE ? (int64_t)plan->lanes * plan->lanes : 0;
    plan->fetch_at = plan->square_at + square * plan->bytes;
    int64_t table = plan->n_fetches > 0 ? (COTI_GEMM_MAX_FETCHES + 8) * (int64_t)sizeof(void *) : 0;
    plan->side_at = plan->fetch_at + table;
    plan->wait_at = plan->side_at + side;
    plan->scratch_bytes = plan->wait_at + (plan->beside ? coti_gemm_waiting_bytes(kernel) : 0);
}

void coti_gemm_plan_make(const coti_kernel *kernel, const coti_target *target,
                         coti_gemm_plan *plan_out) {
    const coti_gemm *gemm = &kernel->gemm;
    int32_t lanes = coti_tile_lanes(gemm, target);
    coti_gemm_plan plan = {.lanes = lanes,
                           .bytes = (int32_t)cot_dtype_bytes(gemm->dtype),
                           .height = gemm->tile_broadcast,
                           .vectors = gemm->tile_vectors,
                           .width = gemm->tile_vectors * lanes};
    coti_gemm_axis m, n;
    make_axes(gemm, &m, &n);
    plan.s = gemm->form == COTI_GEMM_N_VECTORS ? m : n;
    plan.v = gemm->form == COTI_GEMM_N_VECTORS ? n : m;
    plan.short_s = has_short(gemm, &plan);
    plan.end_along_s = gemm->dtype == COT_F32 && contiguous_along(&kernel->body, plan.s.dim) >
                                                     contiguous_along(&kernel->body, plan.v.dim);
    plan.t_stride = plan.height < COTI_GEMM_QUAD ? COTI_GEMM_QUAD : plan.height;
    plan.flat_end = plan.end_along_s && is_flat(kernel, &plan);
    plan.ragged_v = is_ragged(&plan.v, plan.lanes);
    const bool windows = gemm->window.role != COTI_WINDOW_NONE;
    plan.by_lanes = coti_tile_by_lanes(gemm, lanes);
    plan.ragged_s =
        plan.short_s || windows || plan.height % plan.lanes != 0 || is_ragged(&plan.s, plan.lanes);
    choose_pack(gemm, &plan);
    plan.panels_inside = plan.by_lanes && gemm->window.role == COTI_WINDOW_ROWS &&
                         plan.pack == COTI_GEMM_PACK_NONE && plan.width < gemm->n;
    choose_chunks(gemm, &plan);
    choose_block_k(gemm, &plan);
    plan.stream = plan.pack == COTI_GEMM_PACK_TRANSPOSE && coti_tile_streams(gemm, target);
    plan.in_blocks = !plan.stream && !windows && !plan.one_chunk &&
                     (plan.pack != COTI_GEMM_PACK_NONE || gemm->k > 1);
    plan.block_tiles = block_tiles(gemm, &plan);
    choose_unit_rows(&plan);
    choose_ahead(kernel, &plan);
    plan.beside = is_beside(kernel, &plan);
    set_rows(gemm, &plan);
    place(kernel, &plan);
    *plan_out = plan;
}

int64_t coti_scratch_bytes_gemm(const coti_kernel *kernel, const coti_target *target) {
    coti_gemm_plan plan;
    coti_gemm_plan_make(kernel, target, &plan);
    return plan.scratch_bytes;
}
