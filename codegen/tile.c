/*
 * How a product is cut: which axis the vectors run along, how large a register tile is, whether the
 * vector operand is packed, and what one unit of work is.
 *
 * Every choice that is possible is scored by an estimate of its time, and the least wins; the first
 * of equals. The unit of time is the issue of one vector fma. What is counted:
 *
 *   arithmetic  whole tiles of s, whole vectors of v: what does not divide is computed in vain
 *   loads       a step of k loads `vectors` vectors and broadcasts `height` elements; a tile is as
 *               slow as the slower of its loads and its fmas, and as the latency of an fma. With
 *               one vector, AVX-512 broadcasts within the fma
 *   aliasing    rows of the broadcast operand that lie a multiple of a page apart share one set of
 *               the first cache; more of them than it has ways evict each other
 *   wrapping    so do its k's that lie pages apart, in the second cache; a vector operand whose k's
 *               do so is packed
 *   distance    a broadcast operand whose k's lie apart and that is too large for the first cache
 *               is fetched anew for each panel: the less often, the wider the panels
 *   packing     each element of the panel, for each range of s that packs it anew; a panel that one
 *               tile alone reads is packed beside the fmas
 *   end         what a tile costs beyond its fmas; with vectors along m it is turned, in squares
 *   code        a little for what has to be compiled: it decides small products
 *
 * Along the rows of the batch tiles have a power of two of them, so that they divide the chunks in
 * which rows come.
 *
 * The weights were fitted to measurements on a Zen 4 core and are round numbers; the optimum is
 * flat. Nothing here changes a result: the order of every sum is the kernel's (kernel.h).
 */
#include "tile.h"

enum {
    MAX_VECTORS = 3, /* with 4 a step of k reads as much of v as its fmas take */
    PAGE_BYTES = 4096,
    CACHE_WAYS = 8,
    F32_BYTES = 4,
    LINE_ELEMENTS = 16,
    APART_BYTES = 512,       /* k no further apart are read as one run */
    NEAR_BYTES = 16384,      /* half of the first cache */
    FAR_BYTES = 524288,      /* half of the second */
    RANGE_ROWS = 64,         /* rows of the batch that are thought to come with one call */
    LEAST_CHAINS = 8,        /* sums that must run at once to hide an fma's latency */
    SECOND_CACHE_ROWS = 256, /* pages apart, that the second cache holds of one place in a page */
    SECOND_CACHE_WAY_BYTES = 131072,
    FEW_TILES = 16,          /* that read a panel: not worth packing it */
    STREAM_REGISTERS = 10,   /* for a piece of a transposition, a vector, a broadcast */
    TARGET_UNITS = 16,       /* at least, where units stay large enough: the work is to be shared */
    FEW_UNITS = 4,           /* the same where each unit reads much from afar: ... */
    LONG_K = 8192,           /* ... with k at least this ... */
    MEMORY_BYTES = 4 << 20,  /* ... and operands of this size */
    LEAST_UNIT_TIME = 8192,  /* vector fmas */
    MOST_UNIT_TIME = 49152,  /* but for units of so many vectors, which ... */
    UNIT_VECTORS = 192,      /* ... read each operand few times, however long k is */
    MORE_UNIT_VECTORS = 768, /* the same where they wait in scratch from chunk to chunk of k */
    PACKED_UNIT_VECTORS = 1536 /* the same where each unit packs its panels */
};

/* Times, in vector fmas: of a vector, of a tile, factors. */
static const double copy_time = 2, transpose_time = 8, gather_time = 48, end_time = 3;
static const double tile_call_time = 30, issue_time = 0.05, line_time = 2, far_line_time = 8;
static const double fma_code_time = 20, transposition_code_time = 2000;
static const double alias_factor = 1.8, wrap_factor = 1.15, stream_factor = 1.05;

/* The product along its two axes, for one form. */
typedef struct shape {
    coti_gemm_form form;
    int64_t s, v, k; /* extents, batched ones at their estimate */
    bool s_rows, v_rows, k_rows;
    int64_t s_stride, s_k_stride, v_stride, v_k_stride;
} shape;

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static shape shape_of(const coti_gemm *gemm, coti_gemm_form form, int64_t max_rows) {
    int64_t m = gemm->m_rows ? gemm->m * max_rows : gemm->m;
    int64_t k = gemm->k_rows ? gemm->k * max_rows : gemm->k;
    if (form == COTI_GEMM_N_VECTORS) {
        return (shape){form,
                       m,
                       gemm->n,
                       k,
                       gemm->m_rows,
                       false,
                       gemm->k_rows,
                       gemm->a_stride[1],
                       gemm->a_stride[2],
                       gemm->b_stride[2],
                       gemm->b_stride[1]};
    }
    return (shape){form,
                   gemm->n,
                   m,
                   k,
                   false,
                   gemm->m_rows,
                   gemm->k_rows,
                   gemm->b_stride[2],
                   gemm->b_stride[1],
                   gemm->a_stride[1],
                   gemm->a_stride[2]};
}

/* Registers that a tile needs: its sums, the vectors, a broadcast; without fma a product too. */
bool coti_tile_fits(const coti_target *target, int32_t height, int32_t vectors) {
    bool folded = vectors == 1 && target->lanes == COTI_LANES; /* broadcast from memory */
    int32_t needed = height * vectors + vectors + (folded ? 1 : 1 + (target->fma ? 0 : 1));
    return needed <= target->registers - (target->registers > 16 ? 1 : 0);
}

/* Time of one step of k of a tile. */
double coti_tile_step_time(const coti_target *target, int32_t height, int32_t vectors) {
    double load_time = target->registers > 16 ? 0.6 : 1.0;
    double fmas = height * vectors, loads = load_time * (height + vectors);
    bool folded = vectors == 1 && target->lanes == COTI_LANES;
    double time = fmas > loads ? fmas : loads;
    time = time < (double)LEAST_CHAINS ? (double)LEAST_CHAINS : time;
    /* Fewer loads and fewer instructions are better, all else being equal. */
    return time + loads / 16 + issue_time * (folded ? 1 : height + vectors);
}

/* Do `height` rows of the broadcast operand crowd a set of the cache? */
static bool aliases(const shape *p, int32_t height) {
    if (p->s_k_stride != 1) {
        return false;
    }
    int64_t bytes = p->s_stride * F32_BYTES, apart = PAGE_BYTES;
    while (apart > 0 && bytes % apart != 0) {
        apart /= 2;
    }
    return height > CACHE_WAYS * (PAGE_BYTES / larger(apart, 1));
}

/*
 * Do the broadcast operand's k's, pages apart, fall into so few sets that the second cache does not
 * hold a tile's until the next tile, which has the other half of the same lines? The vector
 * operand's lines are read once for each tile anyway, and asked for ahead.
 */
static bool wraps(const shape *p) {
    int64_t bytes = p->s_k_stride * F32_BYTES;
    return bytes != 0 && bytes % PAGE_BYTES == 0 &&
           smaller(p->k, COTI_ROW_BLOCK) > SECOND_CACHE_ROWS;
}

/* Would an unpacked panel of v, read by several tiles, not stay in the second cache because its k's
 * lie large powers of two apart? Along the rows of the batch a task has too few tiles for a panel
 * to be worth packing; and blocks of rows are short. */
static bool panel_wraps(const shape *p, int32_t height) {
    int64_t bytes = p->v_k_stride * F32_BYTES, apart = SECOND_CACHE_WAY_BYTES;
    while (apart > 1 && bytes % apart != 0) {
        apart /= 2;
    }
    return !p->s_rows && !p->k_rows && p->s > (int64_t)FEW_TILES * height &&
           p->k > CACHE_WAYS * (SECOND_CACHE_WAY_BYTES / apart);
}

/* Time to fetch the lines of s for one panel. */
static double distance_time(const shape *p, int32_t height) {
    bool near = p->s_k_stride * F32_BYTES <= APART_BYTES || p->s * p->k * F32_BYTES <= NEAR_BYTES;
    bool far = p->s * p->k * F32_BYTES > FAR_BYTES;
    double lines = (double)height / (double)LINE_ELEMENTS + 0.5;
    double time = far ? far_line_time : line_time;
    return near ? 0 : time * lines * (double)divide_up(p->s, height) * (double)p->k;
}

/* Panels of v by the vectors that they have: n_full of `vectors`, and one of *rest_out (or 0). */
static int64_t panels(const shape *p, const coti_target *target, int32_t vectors,
                      int32_t *rest_out) {
    int64_t width = (int64_t)vectors * target->lanes, rest = p->v % width;
    *rest_out = (int32_t)divide_up(rest, target->lanes);
    if (p->v_rows && *rest_out > 0) {
        *rest_out = *rest_out <= vectors / 2 ? vectors / 2 : vectors;
    }
    return p->v / width;
}

static double pack_time(const shape *p, const coti_target *target, double n_vectors) {
    double time = p->v_stride == 1 ? copy_time : p->v_k_stride == 1 ? transpose_time : gather_time;
    time *= p->v_stride == 1 ? 1 : (double)target->lanes / (double)COTI_LANES;
    double times = p->s_rows ? (double)divide_up(p->s, RANGE_ROWS) : 1;
    return time * n_vectors * (double)p->k * times;
}

/* Time of the end of a tile. */
static double tile_end_time(const shape *p, const coti_target *target, int32_t height,
                            int32_t vectors) {
    if (p->form == COTI_GEMM_N_VECTORS) {
        return tile_call_time + end_time * height * vectors;
    }
    int64_t square = (int64_t)target->lanes * target->lanes;
    return tile_call_time + (double)(vectors * square * divide_up(height, target->lanes));
}

static double estimate(const shape *p, const coti_target *target, const coti_gemm *gemm) {
    int32_t height = gemm->tile_broadcast, vectors = gemm->tile_vectors, rest = 0;
    int64_t n_full = panels(p, target, vectors, &rest);
    double per_tile =
        (double)n_full * ((double)p->k * coti_tile_step_time(target, height, vectors) +
                          tile_end_time(p, target, height, vectors));
    if (rest > 0) {
        per_tile += (double)p->k * coti_tile_step_time(target, height, rest) +
                    tile_end_time(p, target, height, rest);
    }
    double time = (double)divide_up(p->s, height) * per_tile + fma_code_time * height * vectors;
    bool transposes = p->form == COTI_GEMM_M_VECTORS || (p->v_stride != 1 && p->v_k_stride == 1);
    time += transposes ? transposition_code_time : 0;
    time += distance_time(p, height) * (double)(n_full + (rest > 0));
    time *= aliases(p, height) ? alias_factor : 1;
    time *= wraps(p) ? wrap_factor : 1;
    if (coti_tile_streams(gemm, target)) {
        return time * stream_factor;
    }
    double n_vectors = (double)(n_full * vectors + rest);
    return time + (gemm->pack ? pack_time(p, target, n_vectors) : 0);
}

bool coti_tile_streams(const coti_gemm *gemm, const coti_target *target) {
    bool n_vectors = gemm->form == COTI_GEMM_N_VECTORS;
    int64_t s = n_vectors ? gemm->m : gemm->n, unit = n_vectors ? gemm->unit_m : gemm->unit_n;
    int64_t stride = n_vectors ? gemm->b_stride[2] : gemm->a_stride[1];
    int64_t k_stride = n_vectors ? gemm->b_stride[1] : gemm->a_stride[2];
    bool in_units = !gemm->m_rows && !gemm->b_rows;
    bool one_tile =
        !(n_vectors && gemm->m_rows) && s == gemm->tile_broadcast && (!in_units || unit >= s);
    return gemm->dtype == COT_F32 && one_tile && gemm->tile_vectors == 1 && stride != 1 &&
           k_stride == 1 && !gemm->k_rows && gemm->k >= target->lanes &&
           gemm->tile_broadcast + STREAM_REGISTERS <= target->registers;
}

/* Set the best form, tile and packing among those with one form; its time. */
static double choose(const shape *p, const coti_target *target, coti_gemm *gemm) {
    double best = -1;
    bool must_pack = p->v_stride != 1 || p->v_rows;
    int32_t most_vectors = p->v_rows ? 2 : MAX_VECTORS;
    coti_gemm c = *gemm;
    c.form = p->form;
    for (c.tile_vectors = 1; c.tile_vectors <= most_vectors; c.tile_vectors++) {
        bool narrow = p->v < (int64_t)c.tile_vectors * target->lanes;
        c.tile_broadcast = 1;
        while (c.tile_broadcast <= larger(p->s, 1) &&
               coti_tile_fits(target, c.tile_broadcast, c.tile_vectors)) {
            c.pack = must_pack || narrow || panel_wraps(p, c.tile_broadcast);
            double time = estimate(p, target, &c);
            if (best < 0 || time < best) {
                best = time;
                *gemm = c;
            }
            c.tile_broadcast += p->s_rows ? c.tile_broadcast : 1;
        }
    }
    return best;
}

/* ---- units ---- */

/* Pieces of `step` that a unit takes of an axis so that it is cut into about n. */
static int64_t cut(int64_t extent, int64_t step, int64_t n) {
    int64_t steps = larger(divide_up(extent, step), 1);
    return step * divide_up(steps, smaller(larger(n, 1), steps));
}

/*
 * v is cut first, into ranges of whole panels: a unit then reads its panels again and again while
 * they are in cache, and nothing of v is read by two. What is missing comes from cutting s.
 */
static void choose_units(coti_gemm *gemm, const shape *p, const coti_target *target) {
    int64_t width = (int64_t)gemm->tile_vectors * target->lanes;
    double time = (double)p->s * (double)divide_up(p->v, target->lanes) * (double)larger(p->k, 1);
    bool afar = p->k >= LONG_K && (p->s + p->v) * p->k * F32_BYTES > MEMORY_BYTES;
    int64_t least = afar ? FEW_UNITS : TARGET_UNITS;
    int64_t vectors = afar ? MORE_UNIT_VECTORS : gemm->pack ? PACKED_UNIT_VECTORS : UNIT_VECTORS;
    int64_t most_time = larger(MOST_UNIT_TIME, vectors * p->k);
    double wanted = time / (double)most_time;
    wanted = wanted < (double)least ? (double)least : wanted;
    double entries = (double)larger(gemm->b * coti_gemm_inner(gemm), 1);
    double most = time * entries / (double)LEAST_UNIT_TIME;
    wanted = (wanted < most ? wanted : most) / entries;
    int64_t n = wanted < 1 ? 1 : wanted > 1 << 20 ? 1 << 20 : (int64_t)wanted;
    int64_t unit_v = cut(p->v, width, n);
    int64_t n_v = larger(divide_up(p->v, unit_v), 1);
    int64_t unit_s = cut(p->s, gemm->tile_broadcast, divide_up(n, n_v));
    gemm->unit_m = p->form == COTI_GEMM_N_VECTORS ? unit_s : unit_v;
    gemm->unit_n = p->form == COTI_GEMM_N_VECTORS ? unit_v : unit_s;
}

int32_t coti_tile_lanes(const coti_gemm *gemm, const coti_target *target) {
    return gemm->dtype == COT_F64 ? target->lanes / 2 : target->lanes;
}

void coti_tile_choose(coti_gemm *gemm, const coti_target *machine, int64_t max_rows) {
    coti_target of_dtype = *machine;
    const coti_target *target = &of_dtype;
    of_dtype.lanes = coti_tile_lanes(gemm, machine);
    gemm->unit_m = larger(gemm->m, 1);
    gemm->unit_n = larger(gemm->n, 1);
    if (gemm->window.role != COTI_WINDOW_NONE) {
        coti_tile_choose_window(gemm, target, max_rows);
        return;
    }
    coti_gemm with_n = *gemm, with_m = *gemm;
    shape along_n = shape_of(gemm, COTI_GEMM_N_VECTORS, max_rows);
    shape along_m = shape_of(gemm, COTI_GEMM_M_VECTORS, max_rows);
    bool m_wins = choose(&along_m, target, &with_m) < choose(&along_n, target, &with_n);
    *gemm = m_wins ? with_m : with_n;
    if (!gemm->m_rows && !gemm->b_rows) {
        choose_units(gemm, m_wins ? &along_m : &along_n, target);
    }
}

int64_t coti_tile_units(const coti_gemm *gemm) {
    return gemm->b * coti_gemm_inner(gemm) * divide_up(gemm->m, gemm->unit_m) *
           divide_up(gemm->n, gemm->unit_n);
}
