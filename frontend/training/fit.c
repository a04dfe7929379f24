/*
 * fit: epochs of steps, with what the host sees in between.
 *
 *   check options and data -> slices for training and validation -> bind
 *   per epoch: order of rows -> regions of steps (loop.c) -> validation -> logs, history
 *
 * Callbacks run here, on the caller's thread, between regions. The order of rows is a function of
 * the context's seed and the epoch's number alone (shuffle.c).
 */
#include "frontend/data/mapped.h"
#include "frontend/training/instruments.h"
#include "frontend/training/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything of one fit. */
typedef struct coti_fit {
    cot_model *model;
    coti_training *training;
    cot_context *context;
    cot_fit_options options;         /* with defaults filled in */
    cot_dataset *weighted;           /* the data with the option's sample weights; NULL: none */
    cot_dataset *train, *validation; /* validation: NULL, or rows to validate on */
    int64_t n_validation;            /* of its rows are looked at */
    int64_t *order;                  /* of training rows; NULL: as they are */
    double *value; /* n_logs of training and of validation, the learning rate, instruments */
    cot_log *log;  /* n_logs: of a batch */
    int32_t n_epoch_logs;
    cot_log *epoch_log;  /* of an epoch: training's and the learning rate by name, validation's */
    int32_t *epoch_from; /* of each: where in `value` */
    double *epoch_value; /* the values of epoch_log */
    coti_progress progress;
    bool shown;
    bool per_batch; /* a callback wants every batch */
    bool logs_rate; /* a callback wants the learning rate in the logs */
    bool entered;   /* on_train_begin has been called */
    cot_logs logs;  /* of the latest epoch */
    coti_place place;
} fit;

cot_status coti_check_state(const cot_model *model, const char *function) {
    const coti_training *training = model->training;
    if (model->running) {
        return COTI_FAIL(model->context, COT_E_ARG, "%s: model \"%s\" is being fitted", function,
                         model->name);
    }
    if (training->optimizer.base.kind == 0) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "%s: model \"%s\" was compiled without an optimizer", function,
                         model->name);
    }
    return COT_OK;
}

/* ---- preparing ---- */

static cot_status status_of_dataset(const fit *f, const cot_dataset *dataset) {
    cot_status status = cot_error_get(f->context).status;
    return dataset != NULL ? COT_OK : status != COT_OK ? status : COT_E_NOMEM;
}

/* The option's sample weights become the data's. */
static cot_status add_sample_weights(fit *f) {
    if (f->options.sample_weight.n == 0 || f->options.data == NULL) {
        return COT_OK; /* no data: check_data says so */
    }
    f->weighted =
        cot_dataset_with_sample_weights(f->options.data, f->options.sample_weight, COT_BORROW);
    f->options.data = f->weighted != NULL ? f->weighted : f->options.data;
    return status_of_dataset(f, f->weighted);
}

/* The option's class weights become the training rows' sample weights. */
static cot_status add_class_weights(fit *f) {
    if (f->options.class_weight.n == 0) {
        return COT_OK;
    }
    cot_dataset *weighted = cot_dataset_with_class_weights(f->train, f->options.class_weight);
    COTI_TRY(status_of_dataset(f, weighted));
    cot_dataset_destroy(f->train);
    f->train = weighted;
    return COT_OK;
}

static cot_status split_data(fit *f) {
    const cot_dataset *data = f->options.data;
    int64_t n_train = data->n_rows;
    const cot_dataset *validation = f->options.validation_data;
    if (validation == NULL && f->options.validation_split != 0.0) {
        COTI_TRY(coti_split_rows(data, f->options.validation_split, &n_train));
    }
    f->train = cot_dataset_slice(data, 0, n_train);
    if (f->train == NULL) {
        return COT_E_NOMEM;
    }
    if (validation != NULL) {
        f->validation = cot_dataset_slice(validation, 0, validation->n_rows);
    } else if (n_train < data->n_rows) {
        f->validation = cot_dataset_slice(data, n_train, data->n_rows - n_train);
    } else {
        return COT_OK;
    }
    return f->validation != NULL ? COT_OK : COT_E_NOMEM;
}

static cot_status check_data(const fit *f) {
    uint32_t uses = COTI_USE_TARGETS | (f->options.allow_nonfinite ? 0u : COTI_USE_FINITE);
    COTI_TRY(coti_check_data(f->training, "cot_model_fit", f->options.data, uses));
    return f->options.validation_data == NULL
               ? COT_OK
               : coti_check_data(f->training, "cot_model_fit: validation",
                                 f->options.validation_data, uses);
}

/* A number of an epoch's logs: where it is in `value`. */
typedef struct epoch_entry {
    const char *name;
    int32_t from;
} epoch_entry;

static int by_name(const void *a, const void *b) {
    return strcmp(((const epoch_entry *)a)->name, ((const epoch_entry *)b)->name);
}

/* Which numbers an epoch logs: training's, the learning rate and instruments by name, then
 * validation's. `entry` has room for all. */
static void list_epoch_logs(fit *f, epoch_entry *entry) {
    const coti_training *training = f->training;
    int32_t n = training->n_logs, n_entries = 0;
    for (int32_t i = 0; i < n; i++) {
        entry[n_entries++] = (epoch_entry){training->log[i].name, i};
    }
    if (f->logs_rate) {
        entry[n_entries++] = (epoch_entry){"learning_rate", 2 * n};
    }
    for (int32_t i = 0; i < coti_instruments_count(training->instruments); i++) {
        entry[n_entries++] = (epoch_entry){training->instruments->all.data[i].name, 2 * n + 1 + i};
    }
    qsort(entry, (size_t)n_entries, sizeof *entry, by_name);
    for (int32_t i = 0; f->validation != NULL && i < n; i++) {
        entry[n_entries++] = (epoch_entry){training->validation_name[i], n + i};
    }
    for (int32_t i = 0; i < n_entries; i++) {
        f->epoch_log[i].name = entry[i].name;
        f->epoch_from[i] = entry[i].from;
    }
    f->n_epoch_logs = n_entries;
}

static cot_status make_logs(fit *f) {
    size_t n = (size_t)f->training->n_logs;
    size_t most = 2 * n + 1 + (size_t)coti_instruments_count(f->training->instruments);
    f->value = coti_calloc(f->context, most, sizeof *f->value);
    f->epoch_value = coti_calloc(f->context, most, sizeof *f->epoch_value);
    f->log = coti_calloc(f->context, n, sizeof *f->log);
    f->epoch_log = coti_calloc(f->context, most, sizeof *f->epoch_log);
    f->epoch_from = coti_calloc(f->context, most, sizeof *f->epoch_from);
    epoch_entry *entry = coti_calloc(f->context, most, sizeof *entry);
    bool complete = f->value != NULL && f->epoch_value != NULL && f->log != NULL &&
                    f->epoch_log != NULL && f->epoch_from != NULL && entry != NULL;
    for (size_t i = 0; complete && i < n; i++) {
        f->log[i].name = f->training->log[i].name;
    }
    if (complete) {
        list_epoch_logs(f, entry);
    }
    coti_free(f->context, entry);
    return complete ? COT_OK : COT_E_NOMEM;
}

static cot_status make_history(const fit *f) {
    size_t n = (size_t)f->n_epoch_logs;
    const char **name = (const char **)coti_calloc(f->context, n, sizeof(char *));
    coti_history *history = NULL;
    if (name == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        name[i] = f->epoch_log[i].name;
    }
    cot_status status = coti_history_create(f->context, f->n_epoch_logs, name, &history);
    coti_free(f->context, (void *)name);
    if (status == COT_OK) {
        coti_history_destroy(f->model->history);
        f->model->history = history;
    }
    return status;
}

static cot_status make_progress(fit *f) {
    cot_console console;
    bool bar = false;
    COTI_TRY(coti_choose_progress(f->context, f->options.console, f->options.verbose, &console,
                                  &f->shown, &bar));
    if (f->shown) {
        coti_progress_init(&f->progress, f->context, &console, bar);
    }
    return COT_OK;
}

static void *user_of(const cot_callback *own, const cot_callback *given) {
    return own->user != NULL ? own->user : (void *)(uintptr_t)given; /* NULL: it is its own */
}

static bool has_batches(const cot_callback *own, const cot_callback *given) {
    return (own->on_batch_begin != NULL || own->on_batch_end != NULL) &&
           (own->wants_batches == NULL || own->wants_batches(user_of(own, given)));
}

/* Are they callbacks, and what does one of them want? */
static cot_status check_callbacks(fit *f) {
    for (int32_t i = 0; i < COT_MAX_CALLBACKS && f->options.callbacks[i] != NULL; i++) {
        cot_callback own;
        COTI_TRY(coti_options_copy(f->context, "cot_callback", f->options.callbacks[i], &own,
                                   sizeof own));
        f->per_batch = f->per_batch || has_batches(&own, f->options.callbacks[i]);
        f->logs_rate = f->logs_rate || own.logs_learning_rate;
    }
    return COT_OK;
}

static cot_status prepare(fit *f) {
    COTI_TRY(check_callbacks(f));
    COTI_TRY(make_progress(f));
    COTI_TRY(add_sample_weights(f));
    COTI_TRY(check_data(f));
    COTI_TRY(split_data(f));
    COTI_TRY(add_class_weights(f));
    if (f->validation != NULL) {
        COTI_TRY(coti_choose_rows(f->context, "cot_model_fit", f->options.validation_steps,
                                  f->options.validation_batch_size, f->validation->n_rows,
                                  &f->n_validation));
    }
    COTI_TRY(coti_match_weights(f->training, COTI_TRAIN, f->train));
    if (f->options.batch_size > f->training->mode[COTI_TRAIN].max_rows) {
        COTI_TRY(coti_reopen_mode(f->training, COTI_TRAIN, f->options.batch_size));
    }
    COTI_TRY(make_logs(f));
    if (f->options.shuffle != COT_OFF) {
        f->order = coti_calloc(f->context, (size_t)f->train->n_rows, sizeof *f->order);
        if (f->order == NULL) {
            return COT_E_NOMEM;
        }
    }
    COTI_TRY(make_history(f));
    coti_dataset_advise(f->train, f->order != NULL ? COTI_ACCESS_SHUFFLED : COTI_ACCESS_IN_ORDER);
    return coti_bind_data(f->training, COTI_TRAIN, f->train, f->order);
}

static void finish(fit *f) {
    if (f->shown) {
        coti_progress_free(&f->progress);
    }
    coti_dataset_advise(f->train, COTI_ACCESS_IN_ORDER);
    cot_dataset_destroy(f->train);
    cot_dataset_destroy(f->validation);
    cot_dataset_destroy(f->weighted);
    coti_free(f->context, f->order);
    coti_free(f->context, f->value);
    coti_free(f->context, f->log);
    coti_free(f->context, f->epoch_log);
    coti_free(f->context, f->epoch_from);
    coti_free(f->context, f->epoch_value);
}

/* ---- callbacks ---- */

typedef enum moment {
    TRAIN_BEGIN,
    TRAIN_END,
    EPOCH_BEGIN,
    EPOCH_END,
    BATCH_BEGIN,
    BATCH_END
} moment;

static cot_status call_one(const cot_callback *c, cot_model *model, moment when, int64_t at,
                           const cot_logs *logs) {
    switch (when) {
    case TRAIN_BEGIN:
        return c->on_train_begin != NULL ? c->on_train_begin(model, c->user) : COT_OK;
    case TRAIN_END:
        return c->on_train_end != NULL ? c->on_train_end(model, logs, c->user) : COT_OK;
    case EPOCH_BEGIN:
        return c->on_epoch_begin != NULL ? c->on_epoch_begin(model, (int32_t)at, c->user) : COT_OK;
    case EPOCH_END:
        return c->on_epoch_end != NULL ? c->on_epoch_end(model, (int32_t)at, logs, c->user)
                                       : COT_OK;
    case BATCH_BEGIN:
        return c->on_batch_begin != NULL ? c->on_batch_begin(model, at, c->user) : COT_OK;
    case BATCH_END:
        return c->on_batch_end != NULL ? c->on_batch_end(model, at, logs, c->user) : COT_OK;
    }
    return COT_OK;
}

/* The callbacks that come last, or the others. */
static cot_status call_some(fit *f, moment when, int64_t at, const cot_logs *logs, bool last) {
    for (int32_t i = 0; i < COT_MAX_CALLBACKS && f->options.callbacks[i] != NULL; i++) {
        const cot_callback *given = f->options.callbacks[i];
        cot_callback own;
        COTI_TRY(coti_options_copy(f->context, "cot_callback", given, &own, sizeof own));
        bool is_batch = when == BATCH_BEGIN || when == BATCH_END;
        if (own.last != last || (is_batch && !has_batches(&own, given))) {
            continue;
        }
        own.user = user_of(&own, given);
        cot_status status = call_one(&own, f->model, when, at, logs);
        if (status != COT_OK && cot_error_get(f->context).status != COT_OK) {
            return status; /* it has said why */
        }
        if (status != COT_OK) {
            return COTI_FAIL(f->context, status, "cot_model_fit: callback %d returned \"%s\"",
                             (int)i, cot_status_name(status));
        }
    }
    return COT_OK;
}

static cot_status call_back(fit *f, moment when, int64_t at, const cot_logs *logs) {
    COTI_TRY(call_some(f, when, at, logs, false));
    return call_some(f, when, at, logs, true);
}

/* ---- an epoch ---- */

static cot_logs batch_logs(const fit *f) {
    for (int32_t i = 0; i < f->training->n_logs; i++) {
        f->log[i].value = f->value[i];
    }
    return (cot_logs){f->training->n_logs, f->log};
}

/* Logs of an epoch that was not validated end before validation's. */
static cot_logs epoch_logs(const fit *f, bool validated) {
    int32_t n = f->n_epoch_logs;
    for (int32_t i = 0; i < n; i++) {
        f->epoch_value[i] = f->value[f->epoch_from[i]];
        f->epoch_log[i].value = f->epoch_value[i];
    }
    bool has_none = f->validation != NULL && !validated;
    return (cot_logs){has_none ? n - f->training->n_logs : n, f->epoch_log};
}

/* Which rows of which pass over the data an epoch takes. */
typedef struct part {
    int64_t pass, first_row, n_rows;
} part;

static part part_of(const fit *f, int32_t epoch) {
    int64_t n = f->train->n_rows, batch = f->options.batch_size, steps = f->options.steps_per_epoch;
    int64_t in_pass = n / batch + (n % batch != 0);
    if (steps == 0 || steps >= in_pass) {
        return (part){epoch, 0, n};
    }
    int64_t epochs = in_pass / steps + (in_pass % steps != 0); /* that a pass takes */
    int64_t first = epoch % epochs * steps * batch;
    int64_t left = n - first;
    return (part){epoch / epochs, first, steps * batch < left ? steps * batch : left};
}

static bool is_validated(const fit *f, int32_t epoch) {
    const int32_t *epochs = f->options.validation_epochs;
    if (f->validation == NULL || epochs == NULL) {
        return f->validation != NULL && (epoch + 1) % f->options.validation_freq == 0;
    }
    while (*epochs != 0 && *epochs != epoch + 1) {
        epochs++;
    }
    return *epochs != 0;
}

/* Amid an epoch: the steps and rows of it that a checkpoint says are done. */
static cot_status go_on(const fit *f, coti_loop *loop) {
    int64_t whole = 0, step = f->place.step, rows = f->place.rows;
    bool fits = coti_size_mul(step, loop->batch, &whole) && whole - loop->batch < loop->n_rows &&
                rows == (whole < loop->n_rows ? whole : loop->n_rows);
    if (!fits) {
        return COTI_FAIL(f->context, COT_E_ARG,
                         "cot_model_fit: the checkpoint has %lld steps and %lld rows of an epoch "
                         "of %lld rows in batches of %lld",
                         (long long)step, (long long)rows, (long long)loop->n_rows,
                         (long long)loop->batch);
    }
    loop->done_steps = step;
    loop->done_rows = rows;
    return rows == 0 ? COT_OK : coti_read_sums(f->training, COTI_TRAIN, rows, f->value);
}

/* An epoch that begins, or where a checkpoint was made amid it, goes on. */
static cot_status enter_epoch(fit *f, coti_loop *loop, int32_t epoch) {
    if (f->place.begun) {
        return go_on(f, loop);
    }
    f->place.epoch = epoch;
    f->place.step = f->place.rows = 0;
    COTI_TRY(coti_reset_sums(f->training, COTI_TRAIN));
    coti_instruments_reset(f->training->instruments);
    COTI_TRY(call_some(f, EPOCH_BEGIN, epoch, NULL, false));
    f->place.begun = true;
    return call_some(f, EPOCH_BEGIN, epoch, NULL, true);
}

static cot_status begin_epoch(fit *f, coti_loop *loop, int32_t epoch) {
    if (f->order != NULL) {
        int64_t n = f->train->n_rows;
        coti_shuffle(f->context->seed, (uint64_t)part_of(f, epoch).pass, n,
                     f->options.shuffle_within_batches ? f->options.batch_size : n, f->order);
    }
    COTI_TRY(enter_epoch(f, loop, epoch));
    if (!f->shown) {
        return COT_OK;
    }
    if (f->options.epochs > 1) {
        coti_str_printf(&f->progress.text, "Epoch %d/%d\n", (int)epoch + 1, (int)f->options.epochs);
    }
    coti_progress_begin(&f->progress, coti_loop_n_steps(loop), coti_now());
    return coti_console_flush(&f->progress.console, &f->progress.text);
}

/* One region of steps, and what the host does before and after it. */
static cot_status run_region(fit *f, coti_loop *loop) {
    if (f->per_batch) {
        COTI_TRY(call_back(f, BATCH_BEGIN, loop->done_steps, NULL));
    }
    COTI_TRY(coti_loop_advance(loop));
    f->place.step = loop->done_steps;
    f->place.rows = loop->done_rows;
    COTI_TRY(coti_read_sums(f->training, COTI_TRAIN, loop->done_rows, f->value));
    cot_logs logs = batch_logs(f);
    if (f->per_batch) {
        COTI_TRY(call_back(f, BATCH_END, loop->done_steps - 1, &logs));
    }
    /* The epoch's last line comes after validation. */
    return loop->done_rows < loop->n_rows ? coti_loop_show(loop, &logs, false) : COT_OK;
}

static cot_status run_steps(fit *f, coti_loop *loop) {
    while (loop->done_rows < loop->n_rows && !f->model->stop) {
        COTI_TRY(run_region(f, loop));
    }
    return COT_OK;
}

/* Validation, the epoch's last line, its callbacks and its place in the history. */
static cot_status end_epoch(fit *f, coti_loop *loop, int32_t epoch, cot_logs *logs_out) {
    int32_t n = f->training->n_logs;
    bool validated = is_validated(f, epoch);
    for (int32_t i = 0; i < n; i++) {
        f->value[n + i] = NAN;
    }
    if (validated) {
        COTI_TRY(coti_evaluate(f->training, f->validation, f->n_validation,
                               f->options.validation_batch_size, f->options.cancel, NULL,
                               f->value + n));
    }
    if (f->logs_rate) {
        COTI_TRY(coti_learning_rate(f->training, &f->value[2 * n]));
    }
    COTI_TRY(coti_instruments_read(f->training->instruments, loop->done_rows, loop->done_steps,
                                   f->value + 2 * n + 1));
    *logs_out = epoch_logs(f, validated);
    f->place.epoch = epoch + 1;
    f->place.step = f->place.rows = 0;
    f->place.begun = false;
    COTI_TRY(call_some(f, EPOCH_END, epoch, logs_out, false));
    COTI_TRY(coti_history_append(f->model->history, epoch, f->epoch_value));
    COTI_TRY(call_some(f, EPOCH_END, epoch, logs_out, true));
    return f->shown ? coti_progress_show(&f->progress, loop->done_steps, logs_out, coti_now(), true)
                    : COT_OK;
}

static cot_status run_epoch(fit *f, int32_t epoch, cot_logs *logs_out) {
    const part rows = part_of(f, epoch);
    coti_loop loop = {.training = f->training,
                      .mode = COTI_TRAIN,
                      .first_row = rows.first_row,
                      .n_rows = rows.n_rows,
                      .batch = f->options.batch_size,
                      .cancel = f->options.cancel,
                      .progress = f->shown ? &f->progress : NULL,
                      .each_step = f->per_batch};
    COTI_TRY(begin_epoch(f, &loop, epoch));
    COTI_TRY(run_steps(f, &loop));
    return end_epoch(f, &loop, epoch, logs_out);
}

/* What comes before the first epoch. */
static cot_status enter(fit *f) {
    f->entered = true;
    f->logs = (cot_logs){0, f->epoch_log};
    f->place.may_restore = true;
    COTI_TRY(call_back(f, TRAIN_BEGIN, 0, NULL));
    f->place.may_restore = false;
    return coti_resume_take(f->model, &f->place);
}

/* ---- the whole, and in parts ---- */

static void release(fit *f) {
    cot_context *context = f->context;
    finish(f);
    coti_free(context, f);
}

cot_status coti_fit_begin(cot_model *model, const cot_fit_options *options, coti_fit **fit_out) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_fit", &training));
    COTI_TRY(coti_check_state(model, "cot_model_fit"));
    fit *f = coti_calloc(model->context, 1, sizeof *f);
    if (f == NULL) {
        return COT_E_NOMEM;
    }
    f->model = model;
    f->training = training;
    f->context = model->context;
    cot_status status = coti_fit_read(model->context, options, &f->options);
    status = status == COT_OK ? prepare(f) : status;
    if (status != COT_OK) {
        release(f);
        return status;
    }
    f->place = (coti_place){.callbacks = f->options.callbacks,
                            .n_rows = f->train->n_rows,
                            .batch_size = f->options.batch_size,
                            .shuffle = f->order != NULL,
                            .epoch = f->options.initial_epoch};
    model->running = true;
    model->stop = false;
    training->place = &f->place;
    *fit_out = f;
    return COT_OK;
}

/* An epoch that was stopped amid its steps has its end to come. */
bool coti_fit_is_over(const coti_fit *f) {
    bool stopped = f->model->stop && !f->place.begun;
    return f->entered && (f->place.epoch >= f->options.epochs || stopped);
}

cot_status coti_fit_advance(coti_fit *f, int32_t epochs) {
    if (!f->entered) {
        COTI_TRY(enter(f));
    }
    while (!coti_fit_is_over(f) && f->place.epoch < epochs) {
        COTI_TRY(run_epoch(f, f->place.epoch, &f->logs));
    }
    return COT_OK;
}

cot_status coti_fit_set_threads(coti_fit *f, int32_t threads) {
    const coti_mode *mode = f->training->mode;
    if (threads == f->context->threads || f->training->memory_budget > 0) {
        return COT_OK; /* a budget counts the scratch of threads */
    }
    f->context->threads = threads;
    COTI_TRY(coti_reopen_mode(f->training, COTI_EVALUATE, mode[COTI_EVALUATE].max_rows));
    COTI_TRY(coti_reopen_mode(f->training, COTI_TRAIN, mode[COTI_TRAIN].max_rows));
    return coti_bind_data(f->training, COTI_TRAIN, f->train, f->order);
}

cot_status coti_fit_end(coti_fit *f, cot_status status) {
    if (status == COT_OK && f->entered) {
        status = coti_optimizer_finish(f->training);
        status = status == COT_OK ? call_back(f, TRAIN_END, 0, &f->logs) : status;
    }
    f->training->place = NULL;
    f->model->running = false;
    if (status != COT_OK && f->shown) {
        (void)coti_progress_break(&f->progress); /* the first error is the one that counts */
    }
    release(f);
    return status;
}

cot_status cot_model_fit_with(cot_model *model, const cot_fit_options *options) {
    coti_fit *f = NULL;
    COTI_TRY(coti_fit_begin(model, options, &f));
    return coti_fit_end(f, coti_fit_advance(f, INT32_MAX));
}

void cot_model_stop_training(cot_model *model) {
    if (model != NULL) {
        model->stop = true;
    }
}
