/*
 * The comparisons of a gradient check at one point. Differences come from f at x +- h v for
 * h = s, s/2, s/4, extrapolated twice: with D the central differences,
 *
 *     R1 = (4 D(s/2) - D(s)) / 3     R2 = (4 D(s/4) - D(s/2)) / 3     R = (16 R2 - R1) / 15
 *
 * (Richardson: the error terms in s^2 and s^4 vanish). Two things make R doubtful: |R - R2|, large
 * where rounding or a kink beside x spoils the order; and a bend, the difference of the one-sided
 * differences, that does not shrink with h: a kink at x itself. A disagreement counts as a failure
 * only where it is ten times the doubt; otherwise other steps are tried, and at last the entry is
 * called unclear.
 */
#include "gradcheck.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/base/philox.h"

/* How much of the largest derivative in its block a small one is measured against. */
#define BLOCK_SHARE 1e-3
/* Rounding of R in units of eps |f| / s: 64/45 of D(s/4), which has 4 of them, times ten for what
 * evaluating f itself rounds. */
#define ROUNDING 60.0
/* A disagreement must exceed the doubt so many times. */
#define BEYOND_DOUBT 10.0
/* Most rows, and columns, of a Jacobian that is compared whole. */
#define JACOBIAN_SIDE 1024
/* Elements of an input that is too large to be checked in all of them. */
#define SAMPLED_ELEMENTS 8

/* Steps, in units of the settings' step, in the order in which they are tried. */
static const double step_scale[] = {1.0, 8.0, 1.0 / 16.0, 1.0 / 256.0};

enum { N_STEPS = sizeof step_scale / sizeof *step_scale, N_LEVELS = 3 };

/* Purposes of random numbers. */
enum { PURPOSE_DIRECTION = 1000, PURPOSE_COTANGENT = 2000, PURPOSE_ELEMENT = 3000 };

typedef struct probe {
    const coti_check *check;
    const coti_check_settings *settings;
    coti_check_result *result;
    coti_arena arena;
    double *y; /* at x */
    double *plus[N_LEVELS], *minus[N_LEVELS];
    double *moved;         /* x +- h v */
    double *slope, *doubt; /* of y along v: R, and what it may be wrong by */
    double *u, *v, *g, *jv;
    bool *is_settled; /* of each comparison of a bout */
} probe;

/* What a bout of comparisons along v is about: the derivative along v of each output element
 * (is_each), or of <u, y>. */
typedef struct bout {
    const double *v;
    const double *u;
    const double *analytic; /* of n_y, or of 1 */
    bool is_each;
    double block;  /* largest derivative among those that these belong to */
    double length; /* of v, in units of what is reported */
    int32_t leaf;  /* of the entries to report */
    int64_t element;
} bout;

typedef enum verdict { AGREE, UNCLEAR, DISAGREE } verdict;

double coti_check_normal(uint64_t seed, uint64_t purpose, int64_t i) {
    return coti_philox_normal(coti_philox_make_key(seed, purpose), 0, (uint64_t)i);
}

/* ---- differences ---- */

static cot_status evaluate_at(probe *p, const double *v, double h, double *y) {
    const coti_check *check = p->check;
    for (int64_t i = 0; i < check->n_x; i++) {
        p->moved[i] = check->x[i] + h * v[i];
    }
    return coti_check_forward(check, p->moved, y);
}

/* slope and doubt of each output element along v. */
static cot_status differences(probe *p, const double *v, double step) {
    for (int k = 0; k < N_LEVELS; k++) {
        double h = ldexp(step, -k);
        COTI_TRY(evaluate_at(p, v, h, p->plus[k]));
        COTI_TRY(evaluate_at(p, v, -h, p->minus[k]));
    }
    for (int64_t j = 0; j < p->check->n_y; j++) {
        double d[N_LEVELS];
        double bend[N_LEVELS];
        for (int k = 0; k < N_LEVELS; k++) {
            double h = ldexp(step, -k);
            d[k] = (p->plus[k][j] - p->minus[k][j]) / (2 * h);
            bend[k] = fabs((p->plus[k][j] - p->y[j]) - (p->y[j] - p->minus[k][j])) / h;
        }
        double r1 = (4 * d[1] - d[0]) / 3;
        double r2 = (4 * d[2] - d[1]) / 3;
        p->slope[j] = (16 * r2 - r1) / 15;
        p->doubt[j] = fabs(p->slope[j] - r2) + (bend[2] > bend[0] / 2 ? bend[2] : 0.0);
    }
    return COT_OK;
}

/* ---- one comparison ---- */

/* Sets the entry's error. magnitude: of the function whose derivative it is. */
static verdict judge(const probe *p, const bout *r, coti_check_entry *entry, double doubt,
                     double magnitude, double step) {
    double tolerance = p->settings->tolerance;
    double rounding = ROUNDING * DBL_EPSILON * magnitude / step;
    double difference = fabs(entry->analytic - entry->numeric);
    double scale = fmax(fmax(fabs(entry->analytic), fabs(entry->numeric)),
                        fmax(BLOCK_SHARE * r->block, rounding / tolerance));
    if (!isfinite(entry->numeric)) {
        entry->error = INFINITY;
        return UNCLEAR;
    }
    entry->error = !isfinite(difference) ? INFINITY : scale > 0 ? difference / scale : 0.0;
    if (entry->error <= tolerance) {
        return AGREE;
    }
    bool is_certain = BEYOND_DOUBT * doubt <= difference; /* not so where the doubt is no number */
    return is_certain || !isfinite(entry->analytic) ? DISAGREE : UNCLEAR;
}

/* Take up a comparison. The worst is the largest error of those that tell most: failures by
 * element, then failures along a direction, then the rest. */
static void note(probe *p, const coti_check_entry *entry, verdict found) {
    coti_check_result *result = p->result;
    result->n_compared++;
    result->n_unclear += found == UNCLEAR;
    if (entry->leaf >= 0 && result->leaf_error != NULL) {
        double *error = &result->leaf_error[entry->leaf];
        *error = fmax(*error, entry->error);
        result->leaf_compared[entry->leaf]++;
    }
    int32_t rank = found != DISAGREE ? 0 : entry->leaf < 0 ? 1 : 2;
    bool is_worse = rank == result->worst_rank && entry->error >= result->worst.error;
    if (found != UNCLEAR && (rank > result->worst_rank || is_worse)) {
        result->worst = *entry;
        result->worst_rank = rank;
    }
    result->failed = result->failed || found == DISAGREE;
}

/* Which output does element j of y belong to? */
static int32_t output_of(const coti_check *check, int64_t j) {
    int32_t i = 0;
    while (j >= check->output[i].at + check->output[i].count) {
        i++;
    }
    return i;
}

/* The k-th comparison of a bout, from the differences at hand; of v as it is. */
static verdict compare_along(const probe *p, const bout *r, int64_t k, double step,
                             coti_check_entry *entry) {
    const coti_check *check = p->check;
    *entry = (coti_check_entry){.analytic = r->analytic[k],
                                .leaf = r->leaf,
                                .output = -1,
                                .element = r->element,
                                .output_element = -1};
    if (r->is_each) {
        entry->numeric = p->slope[k];
        entry->output = output_of(check, k);
        entry->output_element = k - check->output[entry->output].at;
        return judge(p, r, entry, p->doubt[k], fabs(p->y[k]), step);
    }
    double doubt = 0;
    double magnitude = 0;
    for (int64_t j = 0; j < check->n_y; j++) {
        entry->numeric += r->u[j] * p->slope[j];
        doubt += fabs(r->u[j]) * p->doubt[j];
        magnitude += fabs(r->u[j] * p->y[j]);
    }
    return judge(p, r, entry, doubt, magnitude, step);
}

static verdict compare(const probe *p, const bout *r, int64_t k, double step,
                       coti_check_entry *entry) {
    verdict found = compare_along(p, r, k, step, entry);
    entry->analytic /= r->length;
    entry->numeric /= r->length;
    return found;
}

/* All comparisons of a bout, at one step after another until each is settled. */
static cot_status run_bout(probe *p, const bout *r) {
    int64_t n = r->is_each ? p->check->n_y : 1;
    int64_t n_open = n;
    memset(p->is_settled, 0, (size_t)n * sizeof *p->is_settled);
    for (int i = 0; i < N_STEPS && n_open > 0; i++) {
        double step = step_scale[i] * p->settings->step;
        COTI_TRY(differences(p, r->v, step));
        for (int64_t k = 0; k < n; k++) {
            coti_check_entry entry;
            verdict found = p->is_settled[k] ? AGREE : compare(p, r, k, step, &entry);
            if (!p->is_settled[k] && (found != UNCLEAR || i + 1 == N_STEPS)) {
                note(p, &entry, found);
                p->is_settled[k] = true;
                n_open--;
            }
        }
    }
    return COT_OK;
}

/* Go on with this point? Not when it is spoilt. */
static bool goes_on(const probe *p) {
    return p->result->n_unclear == 0 || p->result->failed;
}

/* ---- directions ---- */

static double inner(const double *a, const double *b, int64_t n, double *absolute_out) {
    double sum = 0;
    *absolute_out = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
        *absolute_out += fabs(a[i] * b[i]);
    }
    return sum;
}

static double largest(const double *a, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(a[i]));
    }
    return most;
}

static void draw(const probe *p, uint64_t purpose, double *out, int64_t n, bool unit) {
    double square = 0;
    for (int64_t i = 0; i < n; i++) {
        out[i] = coti_check_normal(p->settings->seed, purpose, i);
        square += out[i] * out[i];
    }
    for (int64_t i = 0; unit && square > 0 && i < n; i++) {
        out[i] /= sqrt(square);
    }
}

/* <J'u, v> = <u, J v>: both analytic, so no step and no doubt. */
static void compare_identity(probe *p, double reverse, double reverse_size) {
    double size = 0;
    coti_check_entry entry = {
        .analytic = reverse, .leaf = -1, .output = -1, .element = -1, .output_element = -1};
    entry.numeric = inner(p->u, p->jv, p->check->n_y, &size);
    bout r = {.block = fmax(size, reverse_size)};
    verdict found = judge(p, &r, &entry, 0.0, 0.0, 1.0);
    note(p, &entry, found);
}

/* Unit directions, so that a step stays small whatever the number of elements. */
static cot_status check_direction(probe *p, int32_t i) {
    const coti_check *check = p->check;
    draw(p, PURPOSE_DIRECTION + (uint64_t)i, p->v, check->n_x, true);
    draw(p, PURPOSE_COTANGENT + (uint64_t)i, p->u, check->n_y, false);
    COTI_TRY(coti_check_reverse(check, check->x, p->u, p->g));
    COTI_TRY(coti_check_tangent(check, check->x, p->u, p->v, p->jv));
    double size = 0;
    double along = inner(p->g, p->v, check->n_x, &size);
    bout combined = {.v = p->v,
                     .u = p->u,
                     .analytic = &along,
                     .block = size,
                     .length = 1.0,
                     .leaf = -1,
                     .element = -1};
    bout each = {.v = p->v,
                 .analytic = p->jv,
                 .is_each = true,
                 .block = largest(p->jv, check->n_y),
                 .length = 1.0,
                 .leaf = -1,
                 .element = -1};
    COTI_TRY(run_bout(p, &combined));
    COTI_TRY(goes_on(p) ? run_bout(p, &each) : COT_OK);
    compare_identity(p, along, size);
    return COT_OK;
}

/* ---- elements ---- */

/* Analytic derivatives by each element of x: a row an output element (is_each), or a single row for
 * the cotangent p->u. */
typedef struct jacobian {
    double *entry;
    int64_t n_rows;
    bool is_each;
} jacobian;

static double largest_of_leaf(const probe *p, const jacobian *j, const coti_check_part *part) {
    double most = 0;
    for (int64_t k = 0; k < j->n_rows; k++) {
        most = fmax(most, largest(j->entry + k * p->check->n_x + part->at, part->count));
    }
    return most;
}

/* The step is relative to the element where that is large: v is not a unit, but `scale` long. */
static cot_status check_element(probe *p, const jacobian *j, int32_t leaf, int64_t element,
                                double block) {
    const coti_check *check = p->check;
    int64_t column = check->leaf[leaf].at + element;
    double scale = fmax(1.0, fabs(check->x[column]));
    for (int64_t k = 0; k < j->n_rows; k++) {
        p->jv[k] = j->entry[k * check->n_x + column] * scale;
    }
    memset(p->v, 0, (size_t)check->n_x * sizeof *p->v);
    p->v[column] = scale;
    bout r = {.v = p->v,
              .u = p->u,
              .analytic = p->jv,
              .is_each = j->is_each,
              .block = block * scale,
              .length = scale,
              .leaf = leaf,
              .element = element};
    return run_bout(p, &r);
}

static cot_status check_leaf(probe *p, const jacobian *j, int32_t leaf) {
    const coti_check_part *part = &p->check->leaf[leaf];
    if (part->at < 0) {
        return COT_OK;
    }
    bool is_small = p->settings->whole || part->count <= p->settings->max_elements;
    int64_t n = is_small ? part->count : SAMPLED_ELEMENTS;
    double block = largest_of_leaf(p, j, part);
    coti_philox_key key = coti_philox_make_key(p->settings->seed, PURPOSE_ELEMENT + (uint64_t)leaf);
    for (int64_t i = 0; i < n && goes_on(p); i++) {
        int64_t element =
            is_small ? i : (int64_t)coti_philox_below(key, 0, (uint64_t)i, (uint64_t)part->count);
        COTI_TRY(check_element(p, j, leaf, element, block));
    }
    return COT_OK;
}

static cot_status check_elements(probe *p) {
    const coti_check *check = p->check;
    int64_t most =
        p->settings->max_elements < JACOBIAN_SIDE ? p->settings->max_elements : JACOBIAN_SIDE;
    bool is_small = check->n_x <= most && check->n_y <= most;
    jacobian j = {.is_each = p->settings->whole || is_small};
    j.n_rows = j.is_each ? check->n_y : 1;
    j.entry = coti_arena_array(&p->arena, (size_t)(j.n_rows * check->n_x), sizeof *j.entry);
    if (j.entry == NULL) {
        return COT_E_NOMEM;
    }
    draw(p, PURPOSE_COTANGENT, p->u, check->n_y, false);
    for (int64_t k = 0; k < j.n_rows; k++) {
        if (j.is_each) {
            memset(p->u, 0, (size_t)check->n_y * sizeof *p->u);
            p->u[k] = 1.0;
        }
        COTI_TRY(coti_check_reverse(check, check->x, p->u, j.entry + k * check->n_x));
    }
    for (int32_t i = 0; i < check->n_leaves && goes_on(p); i++) {
        COTI_TRY(check_leaf(p, &j, i));
    }
    return COT_OK;
}

/* ---- a point ---- */

static cot_status make_arrays(probe *p) {
    size_t n_x = (size_t)p->check->n_x;
    size_t n_y = (size_t)p->check->n_y;
    double **of_x[] = {&p->moved, &p->v, &p->g};
    double **of_y[] = {&p->y,        &p->plus[0],  &p->plus[1], &p->plus[2], &p->minus[0],
                       &p->minus[1], &p->minus[2], &p->slope,   &p->doubt,   &p->u};
    bool complete = true;
    for (size_t i = 0; i < sizeof of_x / sizeof *of_x; i++) {
        *of_x[i] = coti_arena_array(&p->arena, n_x, sizeof(double));
        complete = complete && *of_x[i] != NULL;
    }
    for (size_t i = 0; i < sizeof of_y / sizeof *of_y; i++) {
        *of_y[i] = coti_arena_array(&p->arena, n_y, sizeof(double));
        complete = complete && *of_y[i] != NULL;
    }
    p->jv = coti_arena_array(&p->arena, n_y + 1, sizeof *p->jv);
    p->is_settled = coti_arena_array(&p->arena, n_y + 1, sizeof *p->is_settled);
    return complete && p->jv != NULL && p->is_settled != NULL ? COT_OK : COT_E_NOMEM;
}

static cot_status run(probe *p, bool *is_finite_out) {
    const coti_check *check = p->check;
    COTI_TRY(make_arrays(p));
    COTI_TRY(coti_check_forward(check, check->x, p->y));
    *is_finite_out = true;
    for (int64_t j = 0; j < check->n_y; j++) {
        *is_finite_out = *is_finite_out && isfinite(p->y[j]);
    }
    for (int32_t i = 0; *is_finite_out && goes_on(p) && i < p->settings->n_directions; i++) {
        COTI_TRY(check_direction(p, i));
    }
    bool elements = p->settings->whole || p->settings->max_elements > 0;
    return *is_finite_out && goes_on(p) && elements ? check_elements(p) : COT_OK;
}

cot_status coti_check_probe(const coti_check *check, const coti_check_settings *settings,
                            coti_check_result *result, bool *is_finite_out) {
    probe p = {.check = check, .settings = settings, .result = result};
    coti_arena_init(&p.arena, check->context);
    result->failed = false;
    result->n_compared = 0;
    result->n_unclear = 0;
    result->worst_rank = 0;
    result->native_failed = false;
    result->native_share = 0;
    result->worst =
        (coti_check_entry){.leaf = -1, .output = -1, .element = -1, .output_element = -1};
    for (int32_t i = 0; result->leaf_error != NULL && i < check->n_leaves; i++) {
        result->leaf_error[i] = 0;
        result->leaf_compared[i] = 0;
    }
    *is_finite_out = false;
    cot_status status = run(&p, is_finite_out);
    coti_arena_clear(&p.arena);
    return status;
}
