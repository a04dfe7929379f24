/*
 * What options may be, and which values a trial has of them: points of a grid, or draws.
 *
 * A draw is a function of seed, trial, attempt and place of the range alone: stream
 * COTI_STREAM_SEARCH, step (trial << 32) + (attempt << 16), so that the retries of
 * coti_philox_below, which take the steps that follow, stay within it; words 2j and 2j + 1 are
 * range j's.
 */
#include "frontend/search/search.h"
#include "runtime/base/philox.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_POINTS = 5 };

/* Whole numbers up to here are exact in f64. */
#define LARGEST_WHOLE 9007199254740992.0

const char *cot_range_kind_name(cot_range_kind kind) {
    static const char *const name[] = {
#define RANGE_NAME(constant, text, values) [constant] = text,
        COT_RANGE_LIST(RANGE_NAME)
#undef RANGE_NAME
    };
    return (size_t)kind < sizeof name / sizeof name[0] ? name[kind] : "?";
}

/* ---- checking ---- */

static bool is_whole(double value) {
    return fabs(value) <= LARGEST_WHOLE && value == floor(value);
}

static cot_status complain(const cot_search_result *result, const cot_range *range,
                           const char *expected) {
    return COTI_FAIL(result->context, COT_E_ARG,
                     "cot_search: range \"%s\" (%s) is from %g to %g, expected %s", range->name,
                     cot_range_kind_name(range->kind), range->low, range->high, expected);
}

static cot_status check_interval(const cot_search_result *result, cot_range *range) {
    const bool is_log = range->kind == COT_RANGE_LOG_UNIFORM;
    range->points = range->points == 0 ? DEFAULT_POINTS : range->points;
    if (!isfinite(range->low) || !isfinite(range->high - range->low) ||
        !(range->low < range->high) || (is_log && !(range->low > 0.0))) {
        return complain(result, range,
                        is_log ? "two finite numbers above 0, the lower first"
                               : "two finite numbers, the lower first");
    }
    if (range->points < 2) {
        return COTI_FAIL(result->context, COT_E_ARG,
                         "cot_search: range \"%s\" has %d points, expected 2 or more", range->name,
                         (int)range->points);
    }
    return COT_OK;
}

static cot_status check_integers(const cot_search_result *result, cot_range *range) {
    range->step = range->step == 0.0 ? 1.0 : range->step;
    if (!is_whole(range->low) || !is_whole(range->high) || range->low > range->high) {
        return complain(result, range, "two whole numbers, the lower first");
    }
    if (!is_whole(range->step) || range->step < 1.0) {
        return COTI_FAIL(result->context, COT_E_ARG,
                         "cot_search: range \"%s\" has a step of %g, expected a whole number, 1 or "
                         "more",
                         range->name, range->step);
    }
    return COT_OK;
}

/* The list's entries must be there, and are copied. */
static cot_status take_list(cot_search_result *result, cot_range *range) {
    coti_arena *arena = &result->arena;
    const bool is_text = range->kind == COT_RANGE_TEXTS;
    bool is_fine = range->n >= 1 && (is_text ? range->text != NULL : range->number != NULL);
    for (int32_t i = 0; is_fine && i < range->n; i++) {
        is_fine = is_text ? range->text[i] != NULL : isfinite(range->number[i]);
    }
    if (!is_fine) {
        return COTI_FAIL(result->context, COT_E_ARG,
                         "cot_search: range \"%s\" (%s) has %d entries, expected one or more, %s",
                         range->name, cot_range_kind_name(range->kind), (int)range->n,
                         is_text ? "none NULL" : "all finite");
    }
    if (!is_text) {
        range->number =
            coti_arena_copy(arena, range->number, (size_t)range->n * sizeof *range->number);
        return range->number != NULL ? COT_OK : COT_E_NOMEM;
    }
    const char **own =
        (const char **)coti_arena_array(arena, (size_t)range->n, sizeof(const char *));
    bool complete = own != NULL;
    for (int32_t i = 0; complete && i < range->n; i++) {
        own[i] = coti_arena_strdup(arena, range->text[i]);
        complete = own[i] != NULL;
    }
    range->text = own;
    return complete ? COT_OK : COT_E_NOMEM;
}

static cot_status check_values(cot_search_result *result, cot_range *range) {
    switch (range->kind) {
    case COT_RANGE_UNIFORM:
    case COT_RANGE_LOG_UNIFORM:
        return check_interval(result, range);
    case COT_RANGE_INTEGERS:
        return check_integers(result, range);
    case COT_RANGE_NUMBERS:
    case COT_RANGE_TEXTS:
        return take_list(result, range);
    }
    return COTI_FAIL(result->context, COT_E_ARG, "cot_search: range \"%s\" is of unknown kind %d",
                     range->name, (int)range->kind);
}

static cot_status check_name(const cot_search_result *result, int32_t i) {
    const char *name = result->range[i].name;
    if (name == NULL || name[0] == '\0') {
        return COTI_FAIL(result->context, COT_E_ARG, "cot_search: range %d has no name", (int)i);
    }
    for (int32_t k = 0; k < i; k++) {
        if (strcmp(result->range[k].name, name) == 0) {
            return COTI_FAIL(result->context, COT_E_ARG, "cot_search: two ranges are \"%s\"", name);
        }
    }
    return COT_OK;
}

cot_status coti_search_take_ranges(cot_search_result *result, cot_range_list list) {
    if (list.range == NULL || list.n < 1) {
        return COTI_FAIL(result->context, COT_E_ARG,
                         "cot_search: there are no ranges, expected one or more");
    }
    result->range =
        coti_arena_copy(&result->arena, list.range, (size_t)list.n * sizeof *list.range);
    if (result->range == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < list.n; i++) {
        COTI_TRY(check_name(result, i));
        COTI_TRY(check_values(result, &result->range[i]));
        result->range[i].name = coti_arena_strdup(&result->arena, result->range[i].name);
        if (result->range[i].name == NULL) {
            return COT_E_NOMEM;
        }
        result->n_ranges = i + 1;
    }
    return COT_OK;
}

/* ---- values ---- */

/* How many integers, entries, or points of a grid. */
static int64_t count_values(const cot_range *range) {
    switch (range->kind) {
    case COT_RANGE_INTEGERS:
        return (int64_t)floor((range->high - range->low) / range->step) + 1;
    case COT_RANGE_NUMBERS:
    case COT_RANGE_TEXTS:
        return range->n;
    case COT_RANGE_UNIFORM:
    case COT_RANGE_LOG_UNIFORM:
        break;
    }
    return range->points;
}

/* From 0 at low to 1 at high. */
static double within(const cot_range *range, double share) {
    const double low = range->low, high = range->high;
    double value = range->kind == COT_RANGE_LOG_UNIFORM
                       ? exp(log(low) + share * (log(high) - log(low)))
                       : low + share * (high - low);
    value = share <= 0.0 || value < low ? low : value;
    return share >= 1.0 || value > high ? high : value;
}

/* The k-th of those that count_values counts. */
static double value_at(const cot_range *range, int64_t k) {
    switch (range->kind) {
    case COT_RANGE_INTEGERS:
        return range->low + (double)k * range->step;
    case COT_RANGE_NUMBERS:
        return range->number[k];
    case COT_RANGE_TEXTS:
        return (double)k;
    case COT_RANGE_UNIFORM:
    case COT_RANGE_LOG_UNIFORM:
        break;
    }
    return within(range, (double)k / (double)(range->points - 1));
}

cot_status coti_search_count_grid(const cot_search_result *result, int32_t *n_out) {
    int64_t n = 1;
    for (int32_t i = 0; i < result->n_ranges; i++) {
        if (!coti_size_mul(n, count_values(&result->range[i]), &n) || n > INT32_MAX) {
            return COTI_FAIL(result->context, COT_E_ARG,
                             "cot_search: the grid has more than 2^31 - 1 trials with range \"%s\"",
                             result->range[i].name);
        }
    }
    *n_out = (int32_t)n;
    return COT_OK;
}

void coti_search_fill_grid(const cot_search_result *result, int64_t i, double *value_out) {
    for (int32_t j = result->n_ranges - 1; j >= 0; j--) {
        const int64_t n = count_values(&result->range[j]);
        value_out[j] = value_at(&result->range[j], i % n);
        i /= n;
    }
}

/* Uniform in [0, 1), of 53 bits. */
static double draw_share(coti_philox_key key, uint64_t step, uint64_t element) {
    uint64_t high = coti_philox_word(key, step, 2 * element);
    uint64_t low = coti_philox_word(key, step, 2 * element + 1);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

void coti_search_draw(const cot_search_result *result, uint64_t seed, int32_t trial,
                      int32_t attempt, double *value_out) {
    const coti_philox_key key = coti_philox_make_key(seed, COTI_STREAM_SEARCH);
    const uint64_t step = ((uint64_t)trial << 32) + ((uint64_t)attempt << 16);
    for (int32_t j = 0; j < result->n_ranges; j++) {
        const cot_range *range = &result->range[j];
        if (range->kind == COT_RANGE_UNIFORM || range->kind == COT_RANGE_LOG_UNIFORM) {
            value_out[j] = within(range, draw_share(key, step, (uint64_t)j));
        } else {
            value_out[j] =
                value_at(range, (int64_t)coti_philox_below(key, step, (uint64_t)j,
                                                           (uint64_t)count_values(range)));
        }
    }
}

/* ---- asking a trial ---- */

/* Where an error of asking goes. */
static cot_context *context_of(const cot_trial *trial) {
    return trial->search != NULL ? trial->context : trial->owner->context;
}

static const cot_range *find_range(const cot_trial *trial, const char *function, const char *name,
                                   int32_t *i_out) {
    if (trial == NULL) {
        return NULL;
    }
    const cot_search_result *result = trial->owner;
    for (int32_t i = 0; name != NULL && i < result->n_ranges; i++) {
        if (strcmp(result->range[i].name, name) == 0) {
            *i_out = i;
            return &result->range[i];
        }
    }
    char names[256] = "";
    size_t used = 0;
    for (int32_t i = 0; i < result->n_ranges && used < sizeof names; i++) {
        int n = snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ",
                         result->range[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    if (context_of(trial) != NULL) {
        COTI_FAIL(context_of(trial), COT_E_ARG, "%s: there is no option \"%s\" among: %s", function,
                  name != NULL ? name : "(null)", names);
    }
    return NULL;
}

static void refuse_kind(const cot_trial *trial, const char *function, const cot_range *range,
                        const char *what) {
    if (context_of(trial) != NULL) {
        COTI_FAIL(context_of(trial), COT_E_ARG, "%s: option \"%s\" (%s) is not %s", function,
                  range->name, cot_range_kind_name(range->kind), what);
    }
}

double cot_trial_float(const cot_trial *trial, const char *name) {
    int32_t i = 0;
    const cot_range *range = find_range(trial, "cot_trial_float", name, &i);
    if (range != NULL && range->kind == COT_RANGE_TEXTS) {
        refuse_kind(trial, "cot_trial_float", range, "a number");
        return NAN;
    }
    return range != NULL ? trial->value[i] : NAN;
}

static bool has_whole_values(const cot_range *range) {
    bool whole = range->kind == COT_RANGE_INTEGERS || range->kind == COT_RANGE_NUMBERS;
    for (int32_t k = 0; whole && range->kind == COT_RANGE_NUMBERS && k < range->n; k++) {
        whole = is_whole(range->number[k]);
    }
    return whole;
}

int64_t cot_trial_int(const cot_trial *trial, const char *name) {
    int32_t i = 0;
    const cot_range *range = find_range(trial, "cot_trial_int", name, &i);
    if (range != NULL && !has_whole_values(range)) {
        refuse_kind(trial, "cot_trial_int", range, "always a whole number");
        return 0;
    }
    return range != NULL ? (int64_t)trial->value[i] : 0;
}

const char *cot_trial_text(const cot_trial *trial, const char *name) {
    int32_t i = 0;
    const cot_range *range = find_range(trial, "cot_trial_text", name, &i);
    if (range != NULL && range->kind != COT_RANGE_TEXTS) {
        refuse_kind(trial, "cot_trial_text", range, "a text");
        return "";
    }
    return range != NULL ? range->text[(int32_t)trial->value[i]] : "";
}
