/*
 * A trial: a context of its own, the caller's model in it, a fit that goes on in parts, and the
 * callback that watches it. A thread at a time has it; what of the search it needs is guarded
 * there.
 */
#include "frontend/search/search.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *cot_trial_state_name(cot_trial_state state) {
    static const char *const name[] = {
#define STATE_NAME(constant, text, meaning) [constant] = text,
        COT_TRIAL_STATE_LIST(STATE_NAME)
#undef STATE_NAME
    };
    return (size_t)state < sizeof name / sizeof name[0] ? name[state] : "?";
}

int32_t cot_trial_index(const cot_trial *trial) {
    return trial != NULL ? trial->index : -1;
}

cot_context *cot_trial_context(const cot_trial *trial) {
    return trial != NULL ? trial->context : NULL;
}

cot_trial_info cot_trial_get_info(const cot_trial *trial) {
    if (trial == NULL) {
        return (cot_trial_info){.value = NAN, .best_epoch = -1, .message = ""};
    }
    return (cot_trial_info){.state = trial->state,
                            .value = trial->best,
                            .best_epoch = trial->best_epoch,
                            .n_epochs = trial->n_epochs,
                            .curve = trial->curve,
                            .n_params = trial->n_params,
                            .seconds = trial->seconds,
                            .message = trial->message};
}

void *cot_trial_alloc(const cot_trial *trial, size_t bytes) {
    bool building = trial != NULL && trial->search != NULL && trial->context != NULL;
    return building ? coti_arena_alloc(&((cot_trial *)(uintptr_t)trial)->arena, bytes) : NULL;
}

double coti_trial_score(const cot_trial *trial) {
    return isnan(trial->best) ? INFINITY : trial->direction > 0 ? -trial->best : trial->best;
}

bool coti_trial_is_better(const cot_trial *a, const cot_trial *b) {
    return a->score != b->score ? a->score < b->score : a->index < b->index;
}

/* ---- the host's allocator, one call at a time ---- */

static void *locked_alloc(size_t bytes, void *user) {
    cot_search_result *r = user;
    (void)pthread_mutex_lock(&r->memory_lock);
    void *pointer = r->context->allocator.alloc(bytes, r->context->allocator.user);
    (void)pthread_mutex_unlock(&r->memory_lock);
    return pointer;
}

static void *locked_realloc(void *pointer, size_t old_bytes, size_t new_bytes, void *user) {
    cot_search_result *r = user;
    const cot_allocator *host = &r->context->allocator;
    (void)pthread_mutex_lock(&r->memory_lock);
    void *moved = host->realloc(pointer, old_bytes, new_bytes, host->user);
    (void)pthread_mutex_unlock(&r->memory_lock);
    return moved;
}

static void locked_free(void *pointer, void *user) {
    cot_search_result *r = user;
    (void)pthread_mutex_lock(&r->memory_lock);
    r->context->allocator.free(pointer, r->context->allocator.user);
    (void)pthread_mutex_unlock(&r->memory_lock);
}

static cot_switch switch_of(bool on) {
    return on ? COT_ON : COT_OFF;
}

/* Like the caller's, but for threads and dumps. */
static cot_context *make_context(cot_search_result *result, int32_t threads) {
    const cot_context *given = result->context;
    const cot_options options = {.struct_size = sizeof options,
                                 .threads = threads,
                                 .isa = given->isa,
                                 .seed = given->seed,
                                 .allocator = {locked_alloc, locked_realloc, locked_free, result},
                                 .environment = COT_OFF,
                                 .jit = switch_of(given->jit),
                                 .fuse = switch_of(given->fuse),
                                 .optimize = switch_of(given->optimize),
                                 .plan = switch_of(given->plan),
                                 .verify = switch_of(given->verify),
                                 .cache = switch_of(given->cache_dir != NULL),
                                 .cache_dir = given->cache_dir,
                                 .cache_bytes = given->cache_bytes};
    return cot_context_create(&options);
}

/* ---- watching ---- */

static void say(cot_trial *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(cot_trial *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(t->message, sizeof t->message, format, arguments);
    va_end(arguments);
}

/* The first number of the logs that has to be finite and is not; NULL: all are. */
static const cot_log *find_nonfinite(const cot_logs *logs, const char *monitor) {
    for (int32_t i = 0; i < logs->n; i++) {
        const char *name = logs->log[i].name;
        bool counts = strcmp(name, "loss") == 0 || strcmp(name, "val_loss") == 0 ||
                      strcmp(name, monitor) == 0;
        if (counts && !isfinite(logs->log[i].value)) {
            return &logs->log[i];
        }
    }
    return NULL;
}

static cot_status note_number(cot_trial *t, int32_t epoch, double value) {
    bool better = isnan(t->best) || (t->direction > 0 ? value > t->best : value < t->best);
    t->curve[epoch] = value;
    if (!better) {
        return COT_OK;
    }
    COTI_TRY(coti_model_copy_weights(t->model, &t->kept));
    t->best = value;
    t->best_epoch = epoch;
    return COT_OK;
}

/* Tell the caller; is the search to go on? */
static cot_status report_epoch(const cot_trial *t) {
    coti_search *s = t->search;
    cot_status status = COT_OK;
    if (s->options.on_epoch_end != NULL) {
        (void)pthread_mutex_lock(&s->caller_lock);
        status = s->options.on_epoch_end(t, s->options.user);
        (void)pthread_mutex_unlock(&s->caller_lock);
    }
    (void)pthread_mutex_lock(&s->lock);
    s->stop = s->stop != COT_OK ? s->stop : status;
    bool stops = s->stop != COT_OK;
    (void)pthread_mutex_unlock(&s->lock);
    return stops ? COT_E_CANCELLED : COT_OK;
}

static cot_status watch_epoch(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    cot_trial *t = user;
    const char *monitor = t->owner->monitor;
    const cot_log *bad = find_nonfinite(logs, monitor);
    double value = NAN;
    t->n_epochs = epoch + 1;
    if (bad != NULL) {
        t->diverged = true;
        say(t, "%s is %s in epoch %d", bad->name, isnan(bad->value) ? "not a number" : "infinite",
            (int)epoch + 1);
        cot_model_stop_training(model);
    } else if (coti_monitor_is_due(model, monitor, logs)) {
        COTI_TRY(coti_monitor_number(model, "cot_search", monitor, logs, &value));
        COTI_TRY(note_number(t, epoch, value));
    }
    return report_epoch(t);
}

/* ---- beginning ---- */

static cot_status status_of(const cot_trial *t) {
    return cot_error_get(t->context).status;
}

/* What the search decides. */
static void fix_options(const cot_trial *t, cot_fit_options *fit) {
    const cot_search_options *options = &t->search->options;
    fit->struct_size = sizeof *fit;
    fit->data = t->data;
    fit->validation_data = t->validation;
    fit->validation_split = t->validation == NULL ? options->validation_split : 0.0;
    fit->epochs = options->epochs;
    fit->initial_epoch = 0;
    fit->cancel = options->cancel;
}

/* Put the search's own callback behind the caller's. */
static cot_status add_watch(cot_trial *t, cot_fit_options *fit) {
    int32_t n = 0;
    while (n < COT_MAX_CALLBACKS && fit->callbacks[n] != NULL) {
        n++;
    }
    if (n == COT_MAX_CALLBACKS) {
        return COTI_FAIL(t->context, COT_E_ARG,
                         "cot_search: the fit has %d callbacks, expected one less: the search "
                         "needs one",
                         COT_MAX_CALLBACKS);
    }
    t->watch = (cot_callback){
        .struct_size = sizeof t->watch, .user = t, .on_epoch_end = watch_epoch, .last = true};
    fit->callbacks[n] = &t->watch;
    return COT_OK;
}

/* The caller's model; any error that its making left in the context counts. */
static cot_status build(cot_trial *t, cot_fit_options *fit) {
    const cot_search_options *options = &t->search->options;
    cot_model *model = options->build(t, fit, options->user);
    if (model != NULL && model->context != t->context) {
        return COTI_FAIL(t->context, COT_E_ARG,
                         "cot_search: model \"%s\" is not of the trial's context", model->name);
    }
    t->model = model;
    t->n_params = model != NULL ? cot_model_count_params(model) : 0;
    if (status_of(t) != COT_OK) {
        return status_of(t);
    }
    return model != NULL ? COT_OK
                         : COTI_FAIL(t->context, COT_E_ARG, "cot_search: build made no model");
}

/* Programs, weights, the copy of the best ones, and optimizer state. */
static int64_t count_bytes(const cot_model *model) {
    const cot_program *program[] = {cot_model_train_program(model),
                                    cot_model_evaluate_program(model),
                                    cot_model_predict_program(model)};
    int64_t bytes = 0;
    for (size_t i = 0; i < sizeof program / sizeof program[0]; i++) {
        bytes += program[i] != NULL ? cot_program_get_info(program[i]).memory_bytes : 0;
    }
    for (size_t i = 0; i < model->weight.count; i++) {
        bytes += 2 * model->weight.data[i]->bytes;
    }
    for (int32_t i = 0; i < cot_model_n_optimizer_variables(model); i++) {
        bytes += cot_model_optimizer_variable(model, i)->bytes;
    }
    return bytes;
}

static cot_status prepare(cot_trial *t) {
    const cot_search_options *options = &t->search->options;
    cot_fit_options fit = COT_FIT_OPTIONS_INIT;
    t->data = cot_dataset_borrow(t->context, options->data);
    if (options->validation_data != NULL) {
        t->validation = cot_dataset_borrow(t->context, options->validation_data);
    }
    if (t->data == NULL || (options->validation_data != NULL && t->validation == NULL)) {
        return COT_E_NOMEM;
    }
    fix_options(t, &fit);
    COTI_TRY(build(t, &fit));
    fix_options(t, &fit);
    COTI_TRY(add_watch(t, &fit));
    t->batch_size = fit.validation_batch_size > 0 ? fit.validation_batch_size : fit.batch_size;
    COTI_TRY(coti_fit_begin(t->model, &fit, &t->fit));
    COTI_TRY(coti_monitor_direction(t->model, "cot_search", t->owner->monitor, options->mode,
                                    &t->direction));
    t->bytes = count_bytes(t->model);
    return COT_OK;
}

cot_status coti_trial_begin(cot_trial *t, int32_t threads) {
    t->context = make_context(t->owner, threads);
    if (t->context == NULL) {
        return COT_E_NOMEM;
    }
    t->state = COT_TRIAL_RUNNING;
    coti_arena_init(&t->arena, t->context);
    return prepare(t);
}

cot_status coti_trial_advance(cot_trial *t, int32_t epochs, int32_t threads) {
    COTI_TRY(coti_fit_set_threads(t->fit, threads));
    return coti_fit_advance(t->fit, epochs);
}

/* ---- ending ---- */

void coti_trial_finish(cot_trial *t, cot_trial_state state, cot_status status) {
    cot_status own = COT_OK;
    if (t->fit != NULL) {
        own = coti_fit_end(t->fit, status);
        t->fit = NULL;
    }
    t->state = status == COT_OK && own != COT_OK ? COT_TRIAL_FAILED : state;
    t->failure = status == COT_OK ? own : status;
    if (t->state == COT_TRIAL_FAILED) {
        const char *text = t->context != NULL ? cot_error_message(t->context) : "";
        say(t, "%s", text[0] != '\0' ? text : "out of memory");
    }
}

void coti_trial_restore_best(cot_trial *t) {
    coti_model_set_weights(t->model, t->kept);
    coti_free(t->context, t->kept);
    t->kept = NULL;
}

cot_status coti_trial_widen(cot_trial *t, int32_t threads) {
    coti_training *training = t->model->training;
    if (threads == t->context->threads || training->memory_budget > 0) {
        return COT_OK;
    }
    t->context->threads = threads;
    for (int32_t id = 0; id < COTI_MODE_COUNT; id++) {
        COTI_TRY(coti_reopen_mode(training, (coti_mode_id)id, training->mode[id].max_rows));
    }
    return COT_OK;
}

void coti_trial_close(cot_trial *t) {
    if (t->context == NULL) {
        return;
    }
    cot_model_destroy(t->model);
    cot_dataset_destroy(t->data);
    cot_dataset_destroy(t->validation);
    coti_free(t->context, t->kept);
    coti_arena_clear(&t->arena);
    cot_context_destroy(t->context);
    t->context = NULL;
    t->model = NULL;
    t->data = t->validation = NULL;
    t->kept = NULL;
}
