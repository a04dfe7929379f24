/*
 * Callbacks that save: Keras's ModelCheckpoint and BackupAndRestore. They come last at each moment,
 * so that what they save holds what the other callbacks have made of it.
 */
#include "frontend/training/checkpoint.h"
#include "frontend/training/file_pattern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Is this batch the save_freq-th since the latest save? */
static bool is_due(int32_t *batches, int32_t save_freq) {
    if (save_freq <= 0 || ++*batches < save_freq) {
        return false;
    }
    *batches = 0;
    return true;
}

static cot_status check_freq(const cot_model *model, const char *callback, int32_t save_freq) {
    return save_freq >= 0
               ? COT_OK
               : COTI_FAIL(model->context, COT_E_ARG, "%s: save_freq is %d, expected 0 or more",
                           callback, (int)save_freq);
}

/* ---- the model ---- */

static bool checkpoint_wants_batches(const void *user) {
    const cot_model_checkpoint_callback *c = user;
    return c->save_freq > 0;
}

static cot_status checkpoint_begin(cot_model *model, void *user) {
    cot_model_checkpoint_callback *c = user;
    int32_t direction = 0;
    COTI_TRY(coti_check_path(model, "model_checkpoint", c->filepath));
    COTI_TRY(check_freq(model, "model_checkpoint", c->save_freq));
    c->batches = c->epoch = 0;
    if (!c->save_best_only) {
        return COT_OK;
    }
    COTI_TRY(coti_monitor_direction(model, "model_checkpoint", coti_monitor_name(c->monitor),
                                    c->mode, &direction));
    if (!c->has_best) {
        bool has_threshold =
            c->initial_value_threshold != 0.0 || signbit(c->initial_value_threshold);
        c->best = has_threshold ? c->initial_value_threshold : direction > 0 ? -INFINITY : INFINITY;
        c->has_best = true;
    }
    return COT_OK;
}

static cot_status say(cot_model *model, const cot_model_checkpoint_callback *c, bool improved,
                      double before, bool saved) {
    cot_console console;
    coti_str text;
    if (c->console == NULL) {
        return COT_OK;
    }
    COTI_TRY(coti_console_read(model->context, c->console, &console));
    coti_str_init(&text, model->context);
    coti_str_printf(&text, "\nEpoch %d: ", (int)c->epoch + 1);
    if (c->save_best_only) {
        coti_str_printf(&text, "%s %s from %.5f", coti_monitor_name(c->monitor),
                        improved ? "improved" : "did not improve", before);
        if (improved) {
            coti_str_printf(&text, " to %.5f", c->best);
        }
        coti_str_append(&text, saved ? ", " : "");
    }
    if (saved) {
        coti_str_printf(&text, "saving model to %s", c->path);
    }
    coti_str_append(&text, "\n");
    cot_status status = coti_console_flush(&console, &text);
    coti_str_free(&text);
    return status;
}

static cot_status write_model(cot_model *model, cot_model_checkpoint_callback *c, int64_t batch,
                              const cot_logs *logs) {
    coti_str path;
    coti_str_init(&path, model->context);
    cot_status status =
        coti_file_pattern(model->context, c->filepath, (int64_t)c->epoch + 1, batch, logs, &path);
    if (status == COT_OK && path.count >= sizeof c->path) {
        status = COTI_FAIL(model->context, COT_E_ARG,
                           "model_checkpoint: the path has %zu bytes, expected at most %zu",
                           path.count, sizeof c->path - 1);
    }
    if (status == COT_OK) {
        status = c->save_weights_only ? cot_model_save_weights(model, coti_str_text(&path))
                                      : cot_model_save_checkpoint(model, coti_str_text(&path));
    }
    if (status == COT_OK) {
        memcpy(c->path, path.data, path.count + 1);
        c->n_saved++;
    }
    coti_str_free(&path);
    return status;
}

/* It is time to save: do so, if it is to be. batch: from 1; -1: an epoch's end. */
static cot_status save_model(cot_model *model, cot_model_checkpoint_callback *c, int64_t batch,
                             const cot_logs *logs) {
    double value = 0.0, before = c->best;
    bool improved = false;
    if (c->save_best_only) {
        int32_t direction = 0;
        const char *monitor = coti_monitor_name(c->monitor);
        if (batch < 0 && !coti_monitor_is_due(model, monitor, logs)) {
            return COT_OK;
        }
        COTI_TRY(coti_monitor_number(model, "model_checkpoint", monitor, logs, &value));
        COTI_TRY(coti_monitor_direction(model, "model_checkpoint", monitor, c->mode, &direction));
        improved = direction > 0 ? value > c->best : value < c->best;
        c->best = improved ? value : c->best; /* before the save: it is part of the state */
    }
    bool saves = improved || !c->save_best_only;
    cot_status status = saves ? write_model(model, c, batch, logs) : COT_OK;
    if (status != COT_OK) {
        c->best = before;
        return status;
    }
    return say(model, c, improved, before, saves);
}

static cot_status checkpoint_epoch_begin(cot_model *model, int32_t epoch, void *user) {
    cot_model_checkpoint_callback *c = user;
    (void)model;
    c->epoch = epoch;
    return COT_OK;
}

static cot_status checkpoint_batch_end(cot_model *model, int64_t batch, const cot_logs *logs,
                                       void *user) {
    cot_model_checkpoint_callback *c = user;
    return is_due(&c->batches, c->save_freq) ? save_model(model, c, batch + 1, logs) : COT_OK;
}

static cot_status checkpoint_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs,
                                       void *user) {
    cot_model_checkpoint_callback *c = user;
    c->epoch = epoch;
    return c->save_freq == 0 ? save_model(model, c, -1, logs) : COT_OK;
}

static cot_status checkpoint_get(const cot_model *model, double *state_out, void *user) {
    const cot_model_checkpoint_callback *c = user;
    (void)model;
    state_out[0] = c->has_best;
    state_out[1] = c->best;
    state_out[2] = c->batches;
    state_out[3] = c->epoch;
    return COT_OK;
}

static cot_status checkpoint_set(cot_model *model, const double *state, void *user) {
    cot_model_checkpoint_callback *c = user;
    (void)model;
    c->has_best = state[0] != 0.0;
    c->best = state[1];
    c->batches = coti_count_of(state[2]);
    c->epoch = coti_count_of(state[3]);
    return COT_OK;
}

cot_callback cot_model_checkpoint_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = checkpoint_begin,
                          .on_epoch_begin = checkpoint_epoch_begin,
                          .on_epoch_end = checkpoint_epoch_end,
                          .on_batch_end = checkpoint_batch_end,
                          .last = true,
                          .wants_batches = checkpoint_wants_batches,
                          .kind = "model_checkpoint",
                          .n_state = 4,
                          .get_state = checkpoint_get,
                          .set_state = checkpoint_set};
}

/* ---- backups ---- */

static bool backup_wants_batches(const void *user) {
    const cot_backup_and_restore_callback *c = user;
    return c->save_freq > 0;
}

static cot_status backup_begin(cot_model *model, void *user) {
    cot_backup_and_restore_callback *c = user;
    cot_restored restored;
    COTI_TRY(coti_check_path(model, "backup_and_restore", c->backup_dir));
    COTI_TRY(check_freq(model, "backup_and_restore", c->save_freq));
    c->batches = 0;
    COTI_TRY(cot_model_restore_newest(model, c->backup_dir, &restored));
    c->has_restored = restored.found;
    c->n_skipped = restored.n_skipped;
    return COT_OK;
}

static cot_status backup_batch_end(cot_model *model, int64_t batch, const cot_logs *logs,
                                   void *user) {
    cot_backup_and_restore_callback *c = user;
    (void)batch;
    (void)logs;
    return is_due(&c->batches, c->save_freq) ? cot_model_save_newest(model, c->backup_dir, c->keep)
                                             : COT_OK;
}

static cot_status backup_epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs,
                                   void *user) {
    const cot_backup_and_restore_callback *c = user;
    (void)epoch;
    (void)logs;
    return c->save_freq == 0 ? cot_model_save_newest(model, c->backup_dir, c->keep) : COT_OK;
}

static cot_status backup_end(cot_model *model, const cot_logs *logs, void *user) {
    const cot_backup_and_restore_callback *c = user;
    (void)logs;
    return c->delete_checkpoint != COT_OFF ? coti_remove_newest(model, c->backup_dir) : COT_OK;
}

static cot_status backup_get(const cot_model *model, double *state_out, void *user) {
    const cot_backup_and_restore_callback *c = user;
    (void)model;
    state_out[0] = c->batches;
    return COT_OK;
}

static cot_status backup_set(cot_model *model, const double *state, void *user) {
    cot_backup_and_restore_callback *c = user;
    (void)model;
    c->batches = coti_count_of(state[0]);
    return COT_OK;
}

cot_callback cot_backup_and_restore_base(void) {
    return (cot_callback){.struct_size = sizeof(cot_callback),
                          .on_train_begin = backup_begin,
                          .on_batch_end = backup_batch_end,
                          .on_epoch_end = backup_epoch_end,
                          .on_train_end = backup_end,
                          .last = true,
                          .wants_batches = backup_wants_batches,
                          .kind = "backup_and_restore",
                          .n_state = 1,
                          .get_state = backup_get,
                          .set_state = backup_set};
}
