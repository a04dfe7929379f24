/*
 * The search:
 *
 *   check options and ranges -> choose every trial's values -> plan rounds
 *   per round: workers take trials, train each to the round's epochs, and keep those that go on
 *   restore the best trial's weights -> evaluate the test set, once
 *
 * What is kept is decided as each trial comes in: one that is not among the best `keep` of those
 * that have come so far cannot be among the best of all, and is closed at once. So the models at
 * hand are those that run, `keep` and the best; and whatever the order in which trials come in,
 * the same ones remain, as ranks are a total order.
 */
#include "frontend/search/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_ATTEMPTS = 100,   /* to draw a choice that is new */
    STACK_BYTES = 8 << 20, /* a worker compiles: LLVM's passes recurse */
};

/* ---- the result ---- */

void cot_search_result_destroy(cot_search_result *result) {
    if (result == NULL) {
        return;
    }
    if (result->best != NULL) {
        coti_trial_close(result->best);
    }
    (void)pthread_mutex_destroy(&result->memory_lock);
    coti_arena_clear(&result->arena);
    coti_free(result->context, result);
}

/* A trial with these values at index i. */
static cot_status make_trial(cot_search_result *result, coti_search *s, int32_t i) {
    cot_trial *t = &result->trial[i];
    *t = (cot_trial){
        .owner = result, .search = s, .index = i, .best = NAN, .score = INFINITY, .best_epoch = -1};
    t->value = coti_arena_array(&result->arena, (size_t)result->n_ranges, sizeof *t->value);
    t->curve = coti_arena_array(&result->arena, (size_t)result->epochs, sizeof *t->curve);
    if (t->value == NULL || t->curve == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t k = 0; k < result->epochs; k++) {
        t->curve[k] = NAN;
    }
    return COT_OK;
}

/* A choice that is looked for among those of earlier trials. */
typedef struct choice {
    const cot_search_result *result;
    const double *value;
} choice;

static bool has_choice(const void *user, uint32_t trial) {
    const choice *c = user;
    return memcmp(c->result->trial[trial].value, c->value,
                  (size_t)c->result->n_ranges * sizeof *c->value) == 0;
}

/* Draw values that no trial of the map has; false: they seem to be used up. */
static bool draw_new(const cot_search_result *result, const coti_map *known, int32_t i,
                     double *value, uint64_t *hash_out) {
    for (int32_t attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        const choice sought = {result, value};
        uint32_t same = 0;
        coti_search_draw(result, result->context->seed, i, attempt, value);
        *hash_out = coti_hash(0, value, (size_t)result->n_ranges * sizeof *value);
        if (!coti_map_find(known, *hash_out, has_choice, &sought, &same)) {
            return true;
        }
    }
    return false;
}

static cot_status draw_trials(cot_search_result *result, coti_search *s, int32_t n) {
    coti_map known;
    cot_status status = COT_OK;
    coti_map_init(&known, result->context);
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        uint64_t hash = 0;
        status = make_trial(result, s, i);
        if (status != COT_OK || !draw_new(result, &known, i, result->trial[i].value, &hash)) {
            break;
        }
        status = coti_map_add(&known, hash, (uint32_t)i);
        result->n_trials = i + 1;
    }
    coti_map_free(&known);
    return status;
}

static cot_status make_trials(cot_search_result *result, coti_search *s) {
    const bool is_grid = s->options.method == COT_SEARCH_GRID;
    int32_t n = s->options.trials, all = 0;
    if (is_grid) {
        COTI_TRY(coti_search_count_grid(result, &all));
        n = n < all ? n : all;
    }
    coti_arena *arena = &result->arena;
    result->trial = coti_arena_array(arena, (size_t)n, sizeof *result->trial);
    result->rank = (cot_trial **)coti_arena_array(arena, (size_t)n, sizeof(cot_trial *));
    s->todo = (cot_trial **)coti_arena_array(arena, (size_t)n, sizeof(cot_trial *));
    if (result->trial == NULL || result->rank == NULL || s->todo == NULL) {
        return COT_E_NOMEM;
    }
    if (!is_grid) {
        return draw_trials(result, s, n);
    }
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(make_trial(result, s, i));
        coti_search_fill_grid(result, i, result->trial[i].value);
        result->n_trials = i + 1;
    }
    return COT_OK;
}

/* Halving: n, n / factor, .. trials until min_epochs, min_epochs factor, ..; one alone to the end.
 */
static void plan_rounds(cot_search_result *result, const cot_search_options *options) {
    int64_t n = result->n_trials, epochs = options->min_epochs;
    if (options->method != COT_SEARCH_HALVING || n == 1) {
        epochs = options->epochs;
    }
    do {
        epochs = epochs < options->epochs ? epochs : options->epochs;
        result->round[result->n_rounds++] = (cot_search_round){(int32_t)n, (int32_t)epochs};
        n = n / options->factor > 0 ? n / options->factor : 1;
        epochs = n == 1 && epochs < options->epochs ? options->epochs : epochs * options->factor;
    } while (result->round[result->n_rounds - 1].epochs < options->epochs);
}

static cot_status make_result(cot_context *context, coti_search *s,
                              cot_search_result **result_out) {
    cot_search_result *result = coti_calloc(context, 1, sizeof *result);
    if (result == NULL) {
        return COT_E_NOMEM;
    }
    *result_out = result;
    result->context = context;
    result->epochs = s->options.epochs;
    coti_arena_init(&result->arena, context);
    (void)pthread_mutex_init(&result->memory_lock, NULL);
    result->monitor = coti_arena_strdup(&result->arena, coti_monitor_name(s->options.monitor));
    if (result->monitor == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_search_take_ranges(result, s->options.ranges));
    COTI_TRY(make_trials(result, s));
    plan_rounds(result, &s->options);
    return COT_OK;
}

/* ---- a worker ---- */

/* May one more model be made beside those that there are? Until a first one is known, no other is:
 * they are taken to be as large as the largest. */
static bool has_room(const coti_search *s) {
    return s->n_running == 0 ||
           (s->largest_bytes > 0 && s->live_bytes + s->largest_bytes <= s->limit_bytes);
}

static bool is_cancelled(const coti_search *s) {
    return s->options.cancel != NULL && *s->options.cancel != 0;
}

/* The next trial of the round, when it may begin or go on; NULL: there is none. */
static cot_trial *take(coti_search *s) {
    cot_trial *t = NULL;
    (void)pthread_mutex_lock(&s->lock);
    while (s->stop == COT_OK && s->next < s->n_todo && !is_cancelled(s) &&
           s->todo[s->next]->context == NULL && !has_room(s)) {
        (void)pthread_cond_wait(&s->changed, &s->lock);
    }
    if (s->stop == COT_OK && is_cancelled(s)) {
        s->stop = COT_E_CANCELLED;
    }
    if (s->stop == COT_OK && s->next < s->n_todo) {
        t = s->todo[s->next++];
        t->waits = false;
        s->n_running++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return t;
}

/* How large a model is. */
static void note_size(coti_search *s, const cot_trial *t) {
    (void)pthread_mutex_lock(&s->lock);
    s->live_bytes += t->bytes;
    s->largest_bytes = t->bytes > s->largest_bytes ? t->bytes : s->largest_bytes;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

static void note_stop(coti_search *s, cot_status status) {
    (void)pthread_mutex_lock(&s->lock);
    s->stop = s->stop != COT_OK ? s->stop : status;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

/* End a trial's training and say so. */
static void end_trial(coti_search *s, cot_trial *t, cot_trial_state state, cot_status status) {
    cot_status own = COT_OK;
    coti_trial_finish(t, state, status);
    if (s->options.on_trial_end != NULL) {
        (void)pthread_mutex_lock(&s->caller_lock);
        own = s->options.on_trial_end(t, s->options.user);
        (void)pthread_mutex_unlock(&s->caller_lock);
    }
    if (own != COT_OK) {
        note_stop(s, own);
    }
}

/* A trial that is needed no more. */
static void close_trial(coti_search *s, cot_trial *t) {
    if (t->fit != NULL) {
        end_trial(s, t, COT_TRIAL_OUTRANKED, COT_OK);
    }
    coti_trial_close(t);
    (void)pthread_mutex_lock(&s->lock);
    s->live_bytes -= t->bytes;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

/* The worst of those that wait for the next round, if they are too many. */
static cot_trial *find_outranked(const coti_search *s) {
    cot_trial *worst = NULL;
    int32_t n = 0;
    for (int32_t i = 0; i < s->next; i++) {
        cot_trial *t = s->todo[i];
        n += t->waits;
        worst = t->waits && (worst == NULL || coti_trial_is_better(worst, t)) ? t : worst;
    }
    return n > s->keep ? worst : NULL;
}

/*
 * A trial has come in: is it the best, which one is no more, which of those that wait is too many?
 * closed_out: two that are to be closed, or NULL.
 */
static void rank(coti_search *s, cot_trial *t, bool waits, cot_trial *closed_out[2]) {
    (void)pthread_mutex_lock(&s->lock);
    cot_trial *best = s->result->best;
    s->n_running--;
    t->waits = waits;
    t->ended = !waits;
    t->score = coti_trial_score(t);
    if (!isnan(t->best) && (best == NULL || best == t || coti_trial_is_better(t, best))) {
        s->result->best = t;
        closed_out[0] = best != NULL && best != t && best->ended ? best : NULL;
    } else if (!waits) {
        closed_out[0] = t;
    }
    if (waits) {
        closed_out[1] = find_outranked(s);
    }
    if (closed_out[1] != NULL) {
        closed_out[1]->waits = false;
    }
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

static cot_trial_state state_after(coti_search *s, const cot_trial *t, cot_status status) {
    if (status == COT_E_CANCELLED && is_cancelled(s)) {
        note_stop(s, COT_E_CANCELLED);
    }
    (void)pthread_mutex_lock(&s->lock);
    bool stops = s->stop != COT_OK;
    (void)pthread_mutex_unlock(&s->lock);
    if (status != COT_OK) {
        return status == COT_E_CANCELLED && stops ? COT_TRIAL_CANCELLED : COT_TRIAL_FAILED;
    }
    return t->diverged                       ? COT_TRIAL_DIVERGED
           : t->n_epochs < s->options.epochs ? COT_TRIAL_STOPPED
                                             : COT_TRIAL_DONE;
}

/* A trial's part of the round. */
static void conduct(coti_search *s, cot_trial *t) {
    const double begin = coti_now();
    cot_trial *closed[2] = {NULL, NULL};
    cot_status status = COT_OK;
    if (t->context == NULL) {
        status = coti_trial_begin(t, s->threads);
        note_size(s, t);
    }
    if (status == COT_OK) {
        status = coti_trial_advance(t, s->result->round[s->round].epochs, s->threads);
    }
    t->seconds += coti_now() - begin;
    const bool waits = status == COT_OK && !coti_fit_is_over(t->fit);
    if (!waits) {
        end_trial(s, t, state_after(s, t, status), status);
    }
    rank(s, t, waits, closed);
    for (int i = 0; i < 2; i++) {
        if (closed[i] != NULL) {
            close_trial(s, closed[i]);
        }
    }
}

static void *work(void *user) {
    coti_search *s = user;
    for (cot_trial *t = take(s); t != NULL; t = take(s)) {
        conduct(s, t);
    }
    return NULL;
}

/* ---- rounds ---- */

static bool start(pthread_t *thread, coti_search *s) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    bool started = pthread_create(thread, &attributes, work, s) == 0;
    (void)pthread_attr_destroy(&attributes);
    return started;
}

/* The caller's thread works, too, and alone where others cannot be had. */
static void run_workers(coti_search *s, pthread_t *thread) {
    int32_t n = 0;
    while (n + 1 < s->n_workers && start(&thread[n], s)) {
        n++;
    }
    (void)work(s);
    for (int32_t i = 0; i < n; i++) {
        (void)pthread_join(thread[i], NULL);
    }
}

static void run_round(coti_search *s, int32_t round, pthread_t *thread) {
    const cot_search_result *result = s->result;
    const int32_t n = s->n_todo;
    const int32_t threads = result->context->threads;
    s->n_workers = s->options.side_by_side < threads ? s->options.side_by_side : threads;
    s->n_workers = s->n_workers < n ? s->n_workers : n;
    s->threads = threads / s->n_workers;
    s->round = round;
    s->keep = round + 1 < result->n_rounds ? result->round[round + 1].n_trials : 0;
    s->next = 0;
    run_workers(s, thread);
    s->n_todo = 0;
    for (int32_t i = 0; i < n; i++) {
        if (s->todo[i]->waits) {
            s->todo[s->n_todo++] = s->todo[i];
        }
    }
}

static int64_t half_of_memory(void) {
    const int64_t pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    int64_t all = 0;
    return pages > 0 && bytes > 0 && coti_size_mul(pages, bytes, &all) ? all / 2 : INT64_MAX / 2;
}

static cot_status run_rounds(coti_search *s) {
    cot_search_result *result = s->result;
    pthread_t *thread =
        coti_calloc(result->context, (size_t)result->context->threads, sizeof *thread);
    if (thread == NULL) {
        return COT_E_NOMEM;
    }
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->caller_lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    s->limit_bytes = s->options.memory_limit != 0 ? s->options.memory_limit : half_of_memory();
    s->n_todo = result->n_trials;
    for (int32_t i = 0; i < result->n_trials; i++) {
        s->todo[i] = &result->trial[i];
    }
    for (int32_t i = 0; i < result->n_rounds && s->n_todo > 0 && s->stop == COT_OK; i++) {
        run_round(s, i, thread);
    }
    for (int32_t i = 0; i < result->n_trials; i++) { /* what a search that was ended has left */
        cot_trial *t = &result->trial[i];
        if (t->state == COT_TRIAL_WAITING || t->fit != NULL) {
            end_trial(s, t, COT_TRIAL_CANCELLED, COT_OK);
        }
        if (t != result->best) {
            coti_trial_close(t);
        }
    }
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->caller_lock);
    (void)pthread_mutex_destroy(&s->lock);
    coti_free(result->context, thread);
    return COT_OK;
}

/* ---- the end ---- */

static int by_rank(const void *a, const void *b) {
    const cot_trial *one = *(cot_trial *const *)a, *other = *(cot_trial *const *)b;
    return coti_trial_is_better(one, other) ? -1 : one != other;
}

/* The search is over: ranks, and the best trial's model as it was at its best. */
static void settle(cot_search_result *result) {
    for (int32_t i = 0; i < result->n_trials; i++) {
        result->trial[i].search = NULL;
        result->trial[i].score = coti_trial_score(&result->trial[i]);
        result->rank[i] = &result->trial[i];
    }
    qsort((void *)result->rank, (size_t)result->n_trials, sizeof(cot_trial *), by_rank);
    if (result->best != NULL) {
        coti_trial_restore_best(result->best);
    }
}

/* Why there is no best trial. */
static cot_status report_nothing(const cot_search_result *result) {
    const cot_trial *t = &result->trial[0];
    return COTI_FAIL(result->context, t->failure != COT_OK ? t->failure : COT_E_DATA,
                     "cot_search: no trial has come to a number; trial 0: %s",
                     t->message[0] != '\0' ? t->message : "it was never validated");
}

/* An error of the best trial's model becomes the caller's. */
static cot_status take_error(const cot_search_result *result, const char *what, cot_status status) {
    if (status == COT_OK) {
        return COT_OK;
    }
    const char *text = cot_error_message(result->best->context);
    return COTI_FAIL(result->context, status, "cot_search: %s: %s", what,
                     text[0] != '\0' ? text : cot_status_name(status));
}

/* Logs in the result's own memory. */
static cot_status keep_report(cot_search_result *result, const cot_logs *report) {
    cot_log *log = coti_arena_array(&result->arena, (size_t)report->n, sizeof *log);
    bool complete = log != NULL;
    for (int32_t i = 0; complete && i < report->n; i++) {
        log[i] =
            (cot_log){coti_arena_strdup(&result->arena, report->log[i].name), report->log[i].value};
        complete = log[i].name != NULL;
    }
    if (complete) {
        result->test = log;
        result->n_test = report->n;
    }
    return complete ? COT_OK : COT_E_NOMEM;
}

/* The one place where the test set's data are read. */
static cot_status evaluate_test(cot_search_result *result, const cot_dataset *test,
                                const volatile int32_t *cancel) {
    cot_logs report = {0};
    cot_evaluate_options options = COT_EVALUATE_OPTIONS_INIT;
    options.report = &report;
    options.batch_size = result->best->batch_size;
    options.cancel = cancel;
    cot_dataset *own = cot_dataset_borrow(result->best->context, test);
    cot_status status =
        own != NULL ? cot_model_evaluate_with(result->best->model, own, &options) : COT_E_NOMEM;
    cot_dataset_destroy(own);
    COTI_TRY(take_error(result, "test set", status));
    return keep_report(result, &report);
}

static cot_status conclude(const coti_search *s, const cot_dataset *test) {
    cot_search_result *result = s->result;
    settle(result);
    if (s->stop != COT_OK) {
        return COTI_FAIL(result->context, s->stop, "cot_search: ended on request (%s)",
                         cot_status_name(s->stop));
    }
    if (result->best == NULL) {
        return report_nothing(result);
    }
    COTI_TRY(
        take_error(result, "best trial", coti_trial_widen(result->best, result->context->threads)));
    return test != NULL ? evaluate_test(result, test, s->options.cancel) : COT_OK;
}

cot_status cot_search_with(cot_context *context, cot_search_result **result_out,
                           const cot_search_options *given) {
    if (result_out != NULL) {
        *result_out = NULL;
    }
    if (context == NULL || result_out == NULL) {
        return context == NULL ? COT_E_ARG
                               : COTI_FAIL(context, COT_E_ARG, "cot_search: the result is NULL");
    }
    coti_search s = {0};
    const cot_dataset *test = NULL;
    COTI_TRY(coti_search_read_options(context, given, &s.options, &test));
    cot_status status = make_result(context, &s, &s.result);
    status = status == COT_OK ? run_rounds(&s) : status;
    if (status != COT_OK) {
        cot_search_result_destroy(s.result);
        return status;
    }
    *result_out = s.result;
    return conclude(&s, test);
}

/* ---- asking ---- */

int32_t cot_search_n_trials(const cot_search_result *result) {
    return result != NULL ? result->n_trials : 0;
}

const cot_trial *cot_search_trial(const cot_search_result *result, int32_t i) {
    return i >= 0 && i < cot_search_n_trials(result) ? &result->trial[i] : NULL;
}

const cot_trial *cot_search_ranked(const cot_search_result *result, int32_t i) {
    return i >= 0 && i < cot_search_n_trials(result) ? result->rank[i] : NULL;
}

const cot_trial *cot_search_best(const cot_search_result *result) {
    return result != NULL ? result->best : NULL;
}

cot_model *cot_search_model(const cot_search_result *result) {
    return result != NULL && result->best != NULL ? result->best->model : NULL;
}

cot_logs cot_search_test(const cot_search_result *result) {
    return result != NULL ? (cot_logs){result->n_test, result->test} : (cot_logs){0, NULL};
}

const char *cot_search_monitor(const cot_search_result *result) {
    return result != NULL ? result->monitor : "";
}

int32_t cot_search_n_ranges(const cot_search_result *result) {
    return result != NULL ? result->n_ranges : 0;
}

const cot_range *cot_search_range(const cot_search_result *result, int32_t i) {
    return i >= 0 && i < cot_search_n_ranges(result) ? &result->range[i] : NULL;
}

int32_t cot_search_n_rounds(const cot_search_result *result) {
    return result != NULL ? result->n_rounds : 0;
}

cot_search_round cot_search_get_round(const cot_search_result *result, int32_t i) {
    return i >= 0 && i < cot_search_n_rounds(result) ? result->round[i] : (cot_search_round){0, 0};
}
