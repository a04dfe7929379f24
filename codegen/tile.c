/*
 * How a product is cut: which axis the vectors run along, how large a register tile is, whether the
 * vector operand is packed, and what one unit of work is.
 *
 * Every choice that is possible is scored by an estimate of its time, and the least wins; the first
 * of equals. The unit of time is the issue of one vector fma. What is counted:
 *
 *   arithmetic  whole tiles of s, whole vectors of v: what does not divide is computed in vain
 *   loads       a step of k loads `vectors` vectors and broadcasts `height` elements; a tile is as
 *               slow as the slower of its loads and its fmas, and as the latency of an fma
 *   aliasing    rows of the broadcast operand that lie a multiple of a page apart share one set of
 *               the first cache; more of them than it has ways evict each other
 *   packing     each element of the panel, for each range of s that packs it anew
 *   the end     what a tile costs beyond its fmas; an epilogue across the vectors has to transpose
 *
 * The weights were fitted to measurements on a Zen 4 core and are round numbers; the optimum is
 * flat. Nothing here changes a result: the order of every sum is the kernel's (kernel.h).
 */
#include "tile.h"

enum {
    MAX_VECTORS = 4,
    PAGE_BYTES = 4096,
    CACHE_WAYS = 8,
    F32_BYTES = 4,
    RANGE_ROWS = 64,        /* rows of the batch that are thought to come with one call */
    LEAST_CHAINS = 8,       /* sums that must run at once to hide an fma's latency */
    TARGET_UNITS = 16,      /* at least, where units stay large enough: the work is to be shared */
    LEAST_UNIT_TIME = 8192, /* vector fmas */
    MOST_UNIT_TIME = 131072
};

/* Time for one vector, in vector fmas. */
static const double copy_time = 2, transpose_time = 7, gather_time = 48;
static const double end_time = 2, transposed_end_time = 8;
static const double tile_call_time = 30, alias_factor = 1.8;

/* The product along its two axes, for one form. */
typedef struct shape {
    coti_gemm_form form;
    int64_t s, v, k; /* extents, batched ones at their estimate */
    bool s_rows, v_rows;
    int64_t s_stride, s_k_stride, v_stride, v_k_stride;
} shape;

/* One choice under test. */
typedef struct choice {
    int32_t height, vectors;
    bool pack;
} choice;

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
                   gemm->b_stride[2],
                   gemm->b_stride[1],
                   gemm->a_stride[1],
                   gemm->a_stride[2]};
}

/* Registers that a tile needs: its sums, the vectors, a broadcast; without fma a product too. */
static bool fits(const coti_target *target, int32_t height, int32_t vectors) {
    bool folded = vectors == 1 && target->lanes == COTI_LANES; /* broadcast from memory */
    int32_t needed = height * vectors + vectors + (folded ? 1 : 1 + (target->fma ? 0 : 1));
    return needed <= target->registers - (target->registers > 16 ? 1 : 0);
}

/* Time of one step of k of a tile. */
static double step_time(const coti_target *target, int32_t height, int32_t vectors) {
    double load_time = target->lanes == COTI_LANES ? 0.6 : 1.0;
    double fmas = height * vectors, loads = load_time * (height + vectors);
    double time = fmas > loads ? fmas : loads;
    time = time < LEAST_CHAINS ? LEAST_CHAINS : time;
    return time + loads / 16; /* fewer loads are better, all else being equal */
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
    time *= p->v_stride == 1 ? 1 : (double)target->lanes / COTI_LANES;
    double times = p->s_rows ? (double)divide_up(p->s, RANGE_ROWS) : 1;
    return time * n_vectors * (double)p->k * times;
}

static double estimate(const shape *p, const coti_target *target, const choice *c) {
    int32_t rest = 0;
    int64_t n_full = panels(p, target, c->vectors, &rest);
    int64_t tiles = divide_up(p->s, c->height);
    double steps = (double)n_full * step_time(target, c->height, c->vectors);
    steps += rest > 0 ? step_time(target, c->height, rest) : 0;
    double n_vectors = (double)(n_full * c->vectors + rest);
    double time = (double)tiles * (double)p->k * steps;
    time *= aliases(p, c->height) ? alias_factor : 1;
    time += c->pack ? pack_time(p, target, n_vectors) : 0;
    time += (double)tiles * (double)(n_full + (rest > 0)) * tile_call_time;
    double end = p->form == COTI_GEMM_N_VECTORS ? end_time : end_time + transposed_end_time;
    return time + end * n_vectors * (double)p->s;
}

/* The best choice for one form; its time. */
static double choose(const shape *p, const coti_target *target, choice *best_out) {
    double best = -1;
    bool must_pack = p->v_stride != 1 || p->v_rows;
    int32_t most_vectors = p->v_rows ? 2 : MAX_VECTORS;
    for (int32_t vectors = 1; vectors <= most_vectors; vectors++) {
        for (int32_t height = 1; fits(target, height, vectors) && height <= larger(p->s, 1);
             height++) {
            choice c = {height, vectors, must_pack || p->v < (int64_t)vectors * target->lanes};
            double time = estimate(p, target, &c);
            if (best < 0 || time < best) {
                best = time;
                *best_out = c;
            }
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
    double wanted = time / MOST_UNIT_TIME;
    wanted = wanted < TARGET_UNITS ? TARGET_UNITS : wanted;
    double most = time * (double)larger(gemm->b, 1) / LEAST_UNIT_TIME;
    wanted = (wanted < most ? wanted : most) / (double)larger(gemm->b, 1);
    int64_t n = wanted < 1 ? 1 : wanted > 1 << 20 ? 1 << 20 : (int64_t)wanted;
    int64_t unit_v = cut(p->v, width, n);
    int64_t n_v = larger(divide_up(p->v, unit_v), 1);
    int64_t unit_s = cut(p->s, gemm->tile_broadcast, divide_up(n, n_v));
    gemm->unit_m = p->form == COTI_GEMM_N_VECTORS ? unit_s : unit_v;
    gemm->unit_n = p->form == COTI_GEMM_N_VECTORS ? unit_v : unit_s;
}

void coti_tile_choose(coti_gemm *gemm, const coti_target *target, int64_t max_rows) {
    shape along_n = shape_of(gemm, COTI_GEMM_N_VECTORS, max_rows);
    shape along_m = shape_of(gemm, COTI_GEMM_M_VECTORS, max_rows);
    choice with_n = {1, 1, false}, with_m = {1, 1, false};
    bool m_wins = choose(&along_m, target, &with_m) < choose(&along_n, target, &with_n);
    const choice *best = m_wins ? &with_m : &with_n;
    gemm->form = m_wins ? COTI_GEMM_M_VECTORS : COTI_GEMM_N_VECTORS;
    gemm->tile_broadcast = best->height;
    gemm->tile_vectors = best->vectors;
    gemm->pack = best->pack;
    gemm->unit_m = larger(gemm->m, 1);
    gemm->unit_n = larger(gemm->n, 1);
    if (!gemm->m_rows && !gemm->b_rows) {
        choose_units(gemm, m_wins ? &along_m : &along_n, target);
    }
}

int64_t coti_tile_units(const coti_gemm *gemm) {
    return gemm->b * divide_up(gemm->m, gemm->unit_m) * divide_up(gemm->n, gemm->unit_n);
}
