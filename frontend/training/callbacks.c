/*
 * Keras's callbacks, written against the public interface of callbacks but for two things: which
 * way a number is better, and the copy of the best weights, which the model keeps so that a fit
 * that fails leaks nothing.
 */
#include "cotangent/callbacks.h"

#include "frontend/training/training.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static double value_or(double value, double otherwise) {
    return value == 0.0 && !signbit(value) ? otherwise : value;
}

const char *coti_monitor_name(const char *monitor) {
    return monitor != NULL ? monitor : "val_loss";
}

/* ---- watching a number ---- */

cot_status coti_monitor_direction(const cot_model *model, const char *callback, const char *monitor,
                                  cot_monitor_mode mode, int32_t *direction_out) {
    *direction_out = mode == COT_MODE_MAX ? 1 : mode == COT_MODE_MIN ? -1 : 0;
    if (*direction_out == 0) {
        *direction_out = coti_log_direction(model->training, monitor);
    }
    return *direction_out != 0
               ? COT_OK
               : COTI_FAIL(model->context, COT_E_ARG,
                           "%s: whether more or less of \"%s\" is better is not known: set mode",
                           callback, monitor);
}

cot_status coti_monitor_number(const cot_model *model, const char *callback, const char *monitor,
                               const cot_logs *logs, double *value_out) {
    char names[256] = "";
    size_t used = 0;
    for (int32_t i = 0; i < logs->n; i++) {
        if (strcmp(logs->log[i].name, monitor) == 0) {
            *value_out = logs->log[i].value;
            return COT_OK;
        }
        if (used < sizeof names) {
            int n = snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ",
                             logs->log[i].name);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    return COTI_FAIL(model->context, COT_E_ARG, "%s: there is no \"%s\" in the logs: %s", callback,
                     monitor, names);
}

bool coti_monitor_is_due(const cot_model *model, const char *monitor, const cot_logs *logs) {
    bool is_there = false;
    bool is_known = false;
    for (int32_t i = 0; i < logs->n; i++) {
        is_there = is_there || strcmp(logs->log[i].name, monitor) == 0;
    }
    for (int32_t i = 0; i < cot_history_n_names(model->history); i++) {
        is_known = is_known || strcmp(cot_history_name(model->history, i), monitor) == 0;
    }
    return is_there || !is_known;
}

int32_t coti_count_of(double value) {
    return value >= INT32_MIN && value <= INT32_MAX ? (int32_t)value : 0;
}

/* Nothing yet: the first number is better, whatever it is. */
static double worst(int32_t direction) {
    return direction > 0 ? -INFINITY : INFINITY;
}

static bool is_better(double value, double best, double min_delta, int32_t direction) {
    return direction > 0 ? value - fabs(min_delta) > best : value + fabs(min_delta) < best;
}

/* ---- early stopping ---- */

static cot_status early_begin(cot_model *model, void *user) {
    cot_early_stopping_callback *c = user;
    int32_t direction = 0;
    COTI_TRY(coti_monitor_direction(model, "early_stopping", coti_monitor_name(c->monitor), c->mode,
                                    &direction));
    c->best = worst(direction);
    c->best_epoch = c->stopped_epoch = c->wait = 0;
    coti_model_forget_weights(model);
    return COT_OK;
}

/* The best epoch so far: the number alone counts, the baseline does not. */
static cot_status early_improved(cot_model *model, cot_early_stopping_callback *c, int32_t epoch,
                                 double value, int32_t direction) {
    c->best = value;
    c->best_epoch = epoch;
    if (c->restore_best_weights) {
        COTI_TRY(coti_model_keep_weights(model));
    }
    bool has_baseline = c->baseline != 0.0 || signbit(c->baseline);
    if (!has_baseline || is_better(value, c->baseline, c->min_delta, direction)) {
        c->wait = 0;
    }
    return COT_OK;
}

static cot_status early_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs,
                                  void *user) {
    cot_early_stopping_callback *c = user;
    const char *monitor = coti_monitor_name(c->monitor);
    double value = 0.0;
    int32_t direction = 0;
    if (epoch < c->start_from_epoch || !coti_monitor_is_due(model, monitor, logs)) {
        return COT_OK;
    }
    COTI_TRY(coti_monitor_number(model, "early_stopping", monitor, logs, &value));
    COTI_TRY(coti_monitor_direction(model, "early_stopping", monitor, c->mode, &direction));
    c->wait++;
    if (is_better(value, c->best, c->min_delta, direction)) {
        return early_improved(model, c, epoch, value, direction);
    }
    if (c->wait >= c->patience && epoch > 0) {
        c->stopped_epoch = epoch;
        cot_model_stop_training(model);
    }
    return COT_OK;
}

static cot_status early_end(cot_model *model, const cot_logs *logs, void *user) {
    const cot_early_stopping_callback *c = user;
    (void)logs;
    if (c->restore_best_weights) {
        coti_model_restore_weights(model);
    }
    coti_model_forget_weights(model);
    return COT_OK;
}

static cot_status early_get(const cot_model *model, double *state_out, void *user) {
    const cot_early_stopping_callback *c = user;
    (void)model;
    state_out[0] = c->best;
    state_out[1] = c->best_epoch;
    state_out[2] = c->stopped_epoch;
    state_out[3] = c->wait;
    return COT_OK;
}

static cot_status early_set(cot_model *model, const double *state, void *user) {
    cot_early_stopping_callback *c = user;
    (void)model;
    c->best = state[0];
    c->best_epoch = coti_count_of(state[1]);
    c->stopped_epoch = coti_count_of(state[2]);
    c->wait = coti_count_of(state[3]);
    return COT_OK;
}

cot_callback cot_early_stopping_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = early_begin,
                          .on_epoch_end = early_epoch_end,
                          .on_train_end = early_end,
                          .kind = "early_stopping",
                          .n_state = 4,
                          .get_state = early_get,
                          .set_state = early_set};
}

/* ---- reduction of the learning rate ---- */

static cot_status reduce_begin(cot_model *model, void *user) {
    cot_reduce_lr_callback *c = user;
    int32_t direction = 0;
    double factor = value_or(c->factor, 0.1);
    if (!(factor >= 0.0 && factor < 1.0)) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "reduce_lr_on_plateau: factor is %g, expected 0 to below 1", factor);
    }
    COTI_TRY(coti_monitor_direction(model, "reduce_lr_on_plateau", coti_monitor_name(c->monitor),
                                    c->mode, &direction));
    c->best = worst(direction);
    c->wait = c->cooling = 0;
    return COT_OK;
}

/* Rates are f32: one that was set to min_lr is no larger. What cannot be reduced does not cool. */
static cot_status reduce_rate(cot_model *model, cot_reduce_lr_callback *c) {
    double rate = cot_model_learning_rate(model);
    if (rate <= (double)(float)c->min_lr) {
        return COT_OK;
    }
    c->cooling = c->cooldown;
    c->wait = 0;
    return cot_model_set_learning_rate(model, fmax(rate * value_or(c->factor, 0.1), c->min_lr));
}

static cot_status reduce_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs,
                                   void *user) {
    cot_reduce_lr_callback *c = user;
    const char *monitor = coti_monitor_name(c->monitor);
    double value = 0.0;
    int32_t direction = 0;
    (void)epoch;
    if (!coti_monitor_is_due(model, monitor, logs)) {
        return COT_OK;
    }
    COTI_TRY(coti_monitor_number(model, "reduce_lr_on_plateau", monitor, logs, &value));
    COTI_TRY(coti_monitor_direction(model, "reduce_lr_on_plateau", monitor, c->mode, &direction));
    if (c->cooling > 0) {
        c->cooling--;
        c->wait = 0;
    }
    if (is_better(value, c->best, value_or(c->min_delta, 1e-4), direction)) {
        c->best = value;
        c->wait = 0;
    } else if (c->cooling <= 0 && ++c->wait >= (c->patience != 0 ? c->patience : 10)) {
        return reduce_rate(model, c);
    }
    return COT_OK;
}

static cot_status reduce_get(const cot_model *model, double *state_out, void *user) {
    const cot_reduce_lr_callback *c = user;
    (void)model;
    state_out[0] = c->best;
    state_out[1] = c->wait;
    state_out[2] = c->cooling;
    return COT_OK;
}

static cot_status reduce_set(cot_model *model, const double *state, void *user) {
    cot_reduce_lr_callback *c = user;
    (void)model;
    c->best = state[0];
    c->wait = coti_count_of(state[1]);
    c->cooling = coti_count_of(state[2]);
    return COT_OK;
}

cot_callback cot_reduce_lr_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = reduce_begin,
                          .on_epoch_end = reduce_epoch_end,
                          .logs_learning_rate = true,
                          .kind = "reduce_lr_on_plateau",
                          .n_state = 3,
                          .get_state = reduce_get,
                          .set_state = reduce_set};
}

/* ---- a schedule by epochs ---- */

static cot_status scheduler_epoch_begin(cot_model *model, int32_t epoch, void *user) {
    const cot_lr_scheduler_callback *c = user;
    if (c->schedule == NULL) {
        return COTI_FAIL(model->context, COT_E_ARG, "learning_rate_scheduler: schedule is NULL");
    }
    return cot_model_set_learning_rate(model,
                                       c->schedule(epoch, cot_model_learning_rate(model), c->user));
}

cot_callback cot_lr_scheduler_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_epoch_begin = scheduler_epoch_begin,
                          .logs_learning_rate = true};
}

/* ---- not a number ---- */

static cot_status nan_begin(cot_model *model, void *user) {
    cot_terminate_on_nan_callback *c = user;
    (void)model;
    c->has_stopped = false;
    return COT_OK;
}

static cot_status nan_batch_end(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    cot_terminate_on_nan_callback *c = user;
    double loss = 0.0;
    COTI_TRY(coti_monitor_number(model, "terminate_on_nan", "loss", logs, &loss));
    if (!isfinite(loss) && !c->has_stopped) {
        c->has_stopped = true;
        c->batch = batch;
        cot_model_stop_training(model);
    }
    return COT_OK;
}

static cot_status nan_get(const cot_model *model, double *state_out, void *user) {
    const cot_terminate_on_nan_callback *c = user;
    (void)model;
    state_out[0] = c->has_stopped;
    state_out[1] = (double)c->batch;
    return COT_OK;
}

static cot_status nan_set(cot_model *model, const double *state, void *user) {
    cot_terminate_on_nan_callback *c = user;
    (void)model;
    c->has_stopped = state[0] != 0.0;
    c->batch = coti_count_of(state[1]);
    return COT_OK;
}

cot_callback cot_terminate_on_nan_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = nan_begin,
                          .on_batch_end = nan_batch_end,
                          .kind = "terminate_on_nan",
                          .n_state = 2,
                          .get_state = nan_get,
                          .set_state = nan_set};
}

/* ---- a table in a file ---- */

static char separator_of(const cot_csv_logger_callback *c) {
    return c->separator != 0 ? c->separator : ',';
}

/* Add a line to the file, or to a new one. */
static cot_status write_line(const cot_model *model, const cot_csv_logger_callback *c,
                             const char *how, coti_str *line) {
    COTI_TRY(coti_str_status(line));
    FILE *file = fopen(c->filename, how);
    size_t bytes = line->count;
    bool written = file != NULL && (bytes == 0 || fwrite(line->data, 1, bytes, file) == bytes);
    bool closed = file == NULL || fclose(file) == 0;
    return written && closed ? COT_OK
                             : COTI_FAIL(model->context, COT_E_IO,
                                         "csv_logger: \"%.200s\" cannot be written", c->filename);
}

/* Bytes of the file; 0 if it is not there. */
static int64_t file_bytes(const cot_csv_logger_callback *c) {
    struct stat facts;
    return stat(c->filename, &facts) == 0 ? facts.st_size : 0;
}

/* Can it be written? What is there stays until there is something to write. */
static cot_status touch(const cot_model *model, const cot_csv_logger_callback *c, const char *how) {
    coti_str nothing;
    coti_str_init(&nothing, model->context);
    cot_status status = write_line(model, c, how, &nothing);
    coti_str_free(&nothing);
    return status;
}

static cot_status csv_begin(cot_model *model, void *user) {
    cot_csv_logger_callback *c = user;
    if (c->filename == NULL) {
        return COTI_FAIL(model->context, COT_E_ARG, "csv_logger: filename is NULL");
    }
    COTI_TRY(touch(model, c, "a"));
    c->is_new = !c->append;
    c->has_columns = false;
    c->has_header = c->append && file_bytes(c) > 0;
    return COT_OK;
}

/* Is the log named prefix and name? */
static bool is_named(const cot_log *log, const char *prefix, const char *name) {
    size_t n = strlen(prefix);
    return strncmp(log->name, prefix, n) == 0 && strcmp(log->name + n, name) == 0;
}

/* A number of the logs, if any; NA where there is none, as where an epoch was not validated. */
static void append_number(coti_str *line, char separator, const cot_logs *logs, const char *prefix,
                          const char *name) {
    for (int32_t i = 0; logs != NULL && i < logs->n; i++) {
        if (is_named(&logs->log[i], prefix, name)) {
            coti_str_append_bytes(line, &separator, 1);
            coti_str_double(line, logs->log[i].value);
            return;
        }
    }
    coti_str_printf(line, "%cNA", separator);
}

/* The columns: what the first epoch's logs have, by name; where they have nothing of validation,
 * their names and then, in the same order, those of a validation that may come later. */
typedef struct columns {
    const cot_history *history; /* it has the names, those of validation last */
    int32_t n_plain;
    bool adds_validation;
    int32_t plain, validated; /* how many were taken of the two kinds */
} columns;

static const char validation_prefix[] = "val_";

static bool is_of_validation(const char *name) {
    return strncmp(name, validation_prefix, sizeof validation_prefix - 1) == 0;
}

static columns all_columns(const cot_model *model, cot_csv_logger_callback *c,
                           const cot_logs *logs) {
    columns all = {.history = cot_model_history(model)};
    while (all.n_plain < cot_history_n_names(all.history) &&
           !is_of_validation(cot_history_name(all.history, all.n_plain))) {
        all.n_plain++;
    }
    if (!c->has_columns) {
        c->has_columns = c->adds_validation = true;
        for (int32_t i = 0; logs != NULL && i < logs->n; i++) {
            c->adds_validation = c->adds_validation && !is_of_validation(logs->log[i].name);
        }
    }
    all.adds_validation = c->adds_validation;
    return all;
}

/* The next column's name is *prefix_out and the result; NULL: that was all. */
static const char *next_column(columns *c, const char **prefix_out) {
    const char *plain = c->plain < c->n_plain ? cot_history_name(c->history, c->plain) : NULL;
    const char *validated = NULL;
    if (!c->adds_validation) {
        validated = cot_history_name(c->history, c->n_plain + c->validated);
    } else if (c->validated < c->n_plain) {
        validated = cot_history_name(c->history, c->validated);
    }
    bool takes_plain =
        plain != NULL && (c->adds_validation || validated == NULL || strcmp(plain, validated) < 0);
    *prefix_out = c->adds_validation && !takes_plain ? validation_prefix : "";
    c->plain += takes_plain;
    c->validated += !takes_plain;
    return takes_plain ? plain : validated;
}

static void append_header(coti_str *line, const cot_csv_logger_callback *c, columns left) {
    const char *prefix = "";
    coti_str_printf(line, "epoch");
    for (const char *name; (name = next_column(&left, &prefix)) != NULL;) {
        coti_str_printf(line, "%c%s%s", separator_of(c), prefix, name);
    }
    coti_str_printf(line, "\r\n");
}

static cot_status csv_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    cot_csv_logger_callback *c = user;
    const char *prefix = "";
    columns left = all_columns(model, c, logs);
    coti_str line;
    coti_str_init(&line, model->context);
    if (!c->has_header) {
        append_header(&line, c, left);
    }
    coti_str_printf(&line, "%d", (int)epoch);
    for (const char *name; (name = next_column(&left, &prefix)) != NULL;) {
        append_number(&line, separator_of(c), logs, prefix, name);
    }
    coti_str_printf(&line, "\r\n");
    cot_status status = write_line(model, c, c->is_new ? "w" : "a", &line);
    coti_str_free(&line);
    c->has_header = c->has_header || status == COT_OK;
    c->is_new = c->is_new && status != COT_OK;
    return status;
}

/* Without an epoch, a new file is empty. */
static cot_status csv_end(cot_model *model, const cot_logs *logs, void *user) {
    const cot_csv_logger_callback *c = user;
    (void)logs;
    return c->is_new ? touch(model, c, "w") : COT_OK;
}

static cot_status csv_get(const cot_model *model, double *state_out, void *user) {
    const cot_csv_logger_callback *c = user;
    (void)model;
    state_out[0] = c->is_new ? -1.0 : (double)file_bytes(c);
    state_out[1] = c->has_columns ? (double)c->adds_validation : -1.0;
    return COT_OK;
}

/* What was written after the checkpoint is written again: it goes. */
static cot_status csv_set(cot_model *model, const double *state, void *user) {
    cot_csv_logger_callback *c = user;
    double bytes = state[0];
    if (!(bytes >= 0.0 && bytes < 1e15)) {
        return COT_OK; /* there was none */
    }
    if ((double)file_bytes(c) > bytes && truncate(c->filename, (off_t)bytes) != 0) {
        return COTI_FAIL(model->context, COT_E_IO, "csv_logger: \"%.200s\" cannot be cut: %s",
                         c->filename, strerror(errno));
    }
    c->is_new = false;
    c->has_columns = state[1] >= 0.0;
    c->adds_validation = state[1] > 0.0;
    c->has_header = file_bytes(c) > 0;
    return COT_OK;
}

cot_callback cot_csv_logger_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = csv_begin,
                          .on_epoch_end = csv_epoch_end,
                          .on_train_end = csv_end,
                          .kind = "csv_logger",
                          .n_state = 2,
                          .get_state = csv_get,
                          .set_state = csv_set};
}
