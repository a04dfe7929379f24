/*
 * How a product of windows is cut (kernel.h): as any product by an estimate of its time (tile.c),
 * but a tile stays within a row of positions, or within a run of taps, and vectors run along n.
 *
 * Where each column has channels of its own (depthwise), a step of k reads a vector of x for each
 * sum; it is short, and so are all sums, so that tiles are as large as the registers are many.
 * Panels are not packed: they lie within the columns, the last one over what the one before has
 * done. Each unit of taps has columns of its own, and reads those alone.
 *
 * A row of positions has its last tile begin early, so what does not divide is computed twice. Of
 * taps a run is the channels of one, or of a row of taps where those are few; units are runs. Each
 * panel of each unit reads x and y's cotangent once, from far: so there are few units, as long as
 * that does not cost more than a part of their time.
 */
#include "tile.h"

enum {
    MAX_VECTORS = 3,
    MAX_TAPS_VECTORS = 4, /* where a panel more costs reading all operands once more, or by lanes */
    FEW_VECTORS = 2,      /* of x's channels are short runs of memory */
    LANE_REGISTERS = 2,   /* elements of x, one on the way */
    LEAST_CHANNELS = 4,   /* of a run that is one tap */
    TARGET_UNITS = 16,    /* at least, where units stay large enough */
    LEAST_UNIT_TIME = 65536, /* vector fmas */
    SOME_UNITS = 2,          /* of taps, in which a choice of tile is judged */
    PASSES = 5,              /* a unit's time by that of reading its operands, at least */
    MOST_UNIT_ROWS = 1024    /* of m: their sums wait in the second cache */
};

static const double tile_time = 40, end_time = 3, code_time = 40, element_time = 0.5;

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static bool has_groups(const coti_gemm *gemm) {
    return gemm->window.columns < gemm->n;
}

bool coti_tile_by_lanes(const coti_gemm *gemm, int32_t lanes) {
    return gemm->window.role != COTI_WINDOW_NONE && has_groups(gemm) &&
           gemm->window.columns % lanes != 0;
}

static bool by_lanes(const coti_gemm *gemm, const coti_target *target) {
    return coti_tile_by_lanes(gemm, target->lanes);
}

/* As coti_tile_fits. By lanes, a row of taps is held for one vector of columns after the other. */
static bool fits(const coti_gemm *gemm, const coti_target *target, int32_t height,
                 int32_t vectors) {
    const coti_window *w = &gemm->window;
    const int64_t row = smaller(w->k[1] * w->channels, target->registers * 3 / 8);
    const int64_t of_x = smaller(w->channels, LANE_REGISTERS) + 1;
    const int64_t others = of_x + (w->role == COTI_WINDOW_ROWS ? row : vectors);
    if (!by_lanes(gemm, target)) {
        return coti_tile_fits(target, height, vectors);
    }
    return (int64_t)height * vectors + others <= target->registers;
}

/* As coti_tile_step_time. */
static double step_time(const coti_gemm *gemm, const coti_target *target, int32_t height,
                        int32_t vectors) {
    return by_lanes(gemm, target) ? (double)((height + 1) * vectors)
                                  : coti_tile_step_time(target, height, vectors);
}

/* Time of one step of k of all panels, for a tile of this height; vectors that ends take. */
static double panels_time(const coti_gemm *gemm, const coti_target *target, int32_t height,
                          int32_t vectors, double *end_out) {
    const int64_t width = (int64_t)vectors * target->lanes, full = gemm->n / width;
    const int32_t rest = (int32_t)divide_up(gemm->n % width, target->lanes);
    double time = (double)full * step_time(gemm, target, height, vectors);
    time += rest > 0 ? step_time(gemm, target, height, rest) : 0;
    *end_out = (double)(full + (rest > 0)) * tile_time +
               end_time * height * (double)(full * vectors + rest);
    return time;
}

/* Of all tiles along a run of s, over k steps. */
static double run_time(const coti_gemm *gemm, const coti_target *target, int64_t run, int64_t k) {
    double end = 0;
    double step = panels_time(gemm, target, gemm->tile_broadcast, gemm->tile_vectors, &end);
    return (double)divide_up(run, gemm->tile_broadcast) * ((double)k * step + end);
}

/* Does the panel need a copy, or is it better in one piece? */
static bool is_packed(const coti_gemm *gemm, const coti_target *target, int64_t width) {
    return gemm->b_stride[2] != 1 || gemm->n < width ||
           (gemm->window.role == COTI_WINDOW_ROWS && gemm->b_stride[1] != width &&
            !by_lanes(gemm, target));
}

/* Of reading x and y's cotangent once: a panel of taps does. */
static double pass_time(const coti_gemm *gemm, int64_t k) {
    const coti_window *w = &gemm->window;
    const double share = (double)w->image_stride / (double)(w->o[0] * w->o[1]);
    return gemm->window.role == COTI_WINDOW_TAPS
               ? element_time * (double)k * (share + (double)gemm->n)
               : 0;
}

/*
 * Is a number of vectors worth a try? Panels do not cross groups. By lanes one number is: the most,
 * since x's channels then come from memory in longer runs; or fewer that divide the columns, if not
 * many fewer.
 */
static bool vectors_suit(const coti_gemm *gemm, const coti_target *target, int32_t vectors) {
    const coti_window *w = &gemm->window;
    const int64_t width = (int64_t)vectors * target->lanes;
    int32_t most = w->channels < MAX_TAPS_VECTORS ? MAX_TAPS_VECTORS / (int32_t)w->channels : 1;
    if (!by_lanes(gemm, target)) {
        const bool taps = w->role == COTI_WINDOW_TAPS;
        return vectors <= (taps ? MAX_TAPS_VECTORS : MAX_VECTORS) &&
               (!has_groups(gemm) || w->columns % width == 0);
    }
    while (most > 1 && (int64_t)most * target->lanes > gemm->n) {
        most--;
    }
    for (int32_t v = most; v > FEW_VECTORS; v--) {
        if (gemm->n % ((int64_t)v * target->lanes) == 0) {
            return vectors == v;
        }
    }
    return vectors == most;
}

/* The best tile of heights [least, run]; its time, or -1 if none fits. */
static double choose(coti_gemm *gemm, const coti_target *target, int64_t run, int64_t least,
                     int64_t n_runs, int64_t k) {
    double best = -1;
    coti_gemm c = *gemm;
    for (c.tile_vectors = 1; c.tile_vectors <= MAX_TAPS_VECTORS; c.tile_vectors++) {
        for (c.tile_broadcast = (int32_t)smaller(least, 1024);
             vectors_suit(gemm, target, c.tile_vectors) && c.tile_broadcast <= run &&
             fits(gemm, target, c.tile_broadcast, c.tile_vectors);
             c.tile_broadcast++) {
            if (c.tile_broadcast % c.window.spread[1] != 0 && c.tile_broadcast != run) {
                continue; /* all tiles begin at multiples, and are alike */
            }
            const int64_t width = (int64_t)c.tile_vectors * target->lanes;
            double time = (double)n_runs * run_time(&c, target, run, k) +
                          code_time * c.tile_broadcast * c.tile_vectors;
            time += (double)(SOME_UNITS * divide_up(c.n, width)) * pass_time(&c, k);
            c.pack = is_packed(&c, target, width);
            if (best < 0 || time < best) {
                best = time;
                *gemm = c;
            }
        }
    }
    return best;
}

static int64_t units_wanted(double time, double least) {
    double most = time / (least > (double)LEAST_UNIT_TIME ? least : (double)LEAST_UNIT_TIME);
    return most < 1 ? 1 : most < (double)TARGET_UNITS ? (int64_t)most : TARGET_UNITS;
}

static void choose_rows(coti_gemm *gemm, const coti_target *target, int64_t max_rows) {
    const int64_t row = gemm->window.o[1], n_rows = gemm->m / row;
    double time = choose(gemm, target, row, 1, gemm->m_rows ? n_rows * max_rows : n_rows, gemm->k);
    if (!gemm->m_rows) {
        gemm->unit_m = row * divide_up(n_rows, smaller(units_wanted(time, 0), n_rows));
    }
}

/* A tap's channels are halved while the runs do not make that many units of one size. */
static void cut_run(coti_gemm *gemm, int64_t wanted) {
    coti_window *w = &gemm->window;
    while (w->run <= w->channels && gemm->m / w->run % wanted != 0 &&
           w->run % (2 * (int64_t)gemm->tile_broadcast) == 0) {
        w->run /= 2;
    }
}

static void choose_taps(coti_gemm *gemm, const coti_target *target, int64_t max_rows) {
    coti_window *w = &gemm->window;
    const int64_t row = w->k[1] * w->channels, k = gemm->k_rows ? gemm->k * max_rows : gemm->k;
    const bool lanes = by_lanes(gemm, target);
    double time = -1;
    w->run = row;
    if (w->channels < LEAST_CHANNELS || lanes) {
        time = choose(gemm, target, w->run, w->run, gemm->m / w->run, k);
    }
    if (time < 0) {
        w->run = w->channels;
        time = choose(gemm, target, w->run, lanes ? w->run : 1, gemm->m / w->run, k);
    }
    const int64_t width = (int64_t)gemm->tile_vectors * target->lanes;
    if (has_groups(gemm)) {
        const int64_t unit_n = lanes ? width : w->columns;
        gemm->unit_n = gemm->n % unit_n == 0 ? unit_n : gemm->n;
        gemm->unit_m = w->run * smaller(gemm->m / w->run, divide_up(MOST_UNIT_ROWS, w->run));
        return;
    }
    const double passes = (double)(PASSES * divide_up(gemm->n, width));
    const int64_t wanted = units_wanted(time, passes * pass_time(gemm, k));
    cut_run(gemm, wanted);
    const int64_t runs = gemm->m / w->run, each = divide_up(runs, smaller(wanted, runs));
    gemm->unit_m = w->run * smaller(each, divide_up(MOST_UNIT_ROWS, w->run));
}

void coti_tile_choose_window(coti_gemm *gemm, const coti_target *target, int64_t max_rows) {
    gemm->form = COTI_GEMM_N_VECTORS;
    if (gemm->window.role == COTI_WINDOW_ROWS) {
        choose_rows(gemm, target, max_rows);
    } else {
        choose_taps(gemm, target, max_rows);
    }
}
