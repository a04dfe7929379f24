/*
 * Writing weights and checkpoints. What a checkpoint holds beside the weights, by the first part of
 * a tensor's name, which no layer can bear:
 *
 *   @optimizer/   iterations, learning rate, slots
 *   @sum/         of the running epoch's losses and metrics      \
 *   @instrument/  sums of instruments                            |
 *   @best/        the weights that early stopping has kept        | amid a fit
 *   @callback/    numbers of each callback that has a state       |
 *   @history/     epoch numbers (i32) and values (f64)           /
 *
 * and in the metadata: versions, seed, optimizer, and amid a fit where it is. The format changes
 * only together with COTI_CHECKPOINT_VERSION.
 */
#include "frontend/training/checkpoint.h"

#include "frontend/files/safetensors.h"
#include "frontend/training/instruments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- weights ---- */

static void add_head(coti_tensors *tensors, const cot_model *model, const char *format) {
    coti_tensors_metadata(tensors, "cotangent", cot_version());
    coti_tensors_metadata(tensors, "format", format);
    coti_tensors_integer(tensors, "format_version", COTI_CHECKPOINT_VERSION);
    coti_tensors_metadata(tensors, "model", model->name);
}

static void add_weights(coti_tensors *tensors, const cot_model *model) {
    for (size_t i = 0; i < model->weight.count; i++) {
        coti_tensors_add_variable(tensors, "", model->weight.data[i]);
    }
}

cot_status cot_model_save_weights_with(const cot_model *model,
                                       const cot_save_weights_options *options) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    cot_save_weights_options own;
    COTI_TRY(
        coti_options_copy(model->context, "cot_model_save_weights", options, &own, sizeof own));
    COTI_TRY(coti_check_path(model, "cot_model_save_weights", own.path));
    if (own.overwrite == COT_OFF && access(own.path, F_OK) == 0) {
        return COTI_FAIL(model->context, COT_E_IO, "\"%.300s\" exists, and overwrite is off",
                         own.path);
    }
    coti_tensors tensors;
    coti_tensors_begin(&tensors, model->context);
    add_head(&tensors, model, COTI_FORMAT_WEIGHTS);
    add_weights(&tensors, model);
    cot_status status = coti_tensors_write(&tensors, own.path);
    coti_tensors_free(&tensors);
    return status;
}

/* ---- amid a fit ---- */

static void add_place(coti_tensors *tensors, const cot_model *model, const coti_place *place) {
    coti_tensors_integer(tensors, "epoch", place->epoch);
    coti_tensors_integer(tensors, "step", place->step);
    coti_tensors_integer(tensors, "rows", place->rows);
    coti_tensors_integer(tensors, "begun", place->begun);
    coti_tensors_integer(tensors, "stopped", model->stop);
    coti_tensors_integer(tensors, "n_rows", place->n_rows);
    coti_tensors_integer(tensors, "batch_size", place->batch_size);
    coti_tensors_integer(tensors, "shuffle", place->shuffle);
}

static void add_best(coti_tensors *tensors, const cot_model *model) {
    const char *from = model->kept;
    for (size_t i = 0; from != NULL && i < model->weight.count; i++) {
        const cot_variable *weight = model->weight.data[i];
        coti_tensors_add(tensors, "@best/", weight->name, weight->dtype, &weight->shape, from);
        from += weight->bytes;
    }
}

static void add_history(coti_tensors *tensors, const cot_model *model) {
    const coti_history *history = model->history;
    const cot_shape shape = {.rank = 1, .dim = {cot_history_n_epochs(history)}};
    if (shape.dim[0] == 0) {
        return;
    }
    coti_tensors_add(tensors, "@history/", "epoch", COT_I32, &shape, coti_history_epochs(history));
    for (int32_t i = 0; i < cot_history_n_names(history); i++) {
        const char *name = cot_history_name(history, i);
        coti_tensors_add(tensors, "@history/values/", name, COT_F64, &shape,
                         cot_history_values(history, name));
    }
}

/* ---- callbacks ---- */

bool coti_next_callback(const coti_place *place, coti_callback_walk *walk) {
    while (walk->next < COT_MAX_CALLBACKS && place->callbacks[walk->next] != NULL) {
        const cot_callback *given = place->callbacks[walk->next++];
        walk->callback = (cot_callback){0};
        memcpy(&walk->callback, given,
               given->struct_size < sizeof walk->callback ? given->struct_size
                                                          : sizeof walk->callback);
        if (walk->callback.n_state <= 0 || walk->callback.kind == NULL ||
            walk->callback.get_state == NULL || walk->callback.set_state == NULL) {
            continue;
        }
        walk->user = walk->callback.user != NULL ? walk->callback.user : (void *)(uintptr_t)given;
        int32_t n_same = 0;
        for (int32_t i = 0; i < walk->next - 1; i++) {
            const cot_callback *other = place->callbacks[i];
            n_same += other->struct_size == given->struct_size && other->kind != NULL &&
                      strcmp(other->kind, walk->callback.kind) == 0;
        }
        (void)snprintf(walk->name, sizeof walk->name, n_same == 0 ? "%.60s" : "%.60s_%d",
                       walk->callback.kind, (int)n_same);
        return true;
    }
    return false;
}

static void add_callbacks(coti_tensors *tensors, cot_model *model, const coti_place *place) {
    coti_callback_walk walk = {0};
    while (tensors->status == COT_OK && coti_next_callback(place, &walk)) {
        const cot_shape shape = {.rank = 1, .dim = {walk.callback.n_state}};
        double *state = coti_arena_array(&tensors->arena, (size_t)shape.dim[0], sizeof *state);
        tensors->status =
            state != NULL ? walk.callback.get_state(model, state, walk.user) : COT_E_NOMEM;
        coti_tensors_add(tensors, "@callback/", walk.name, COT_F64, &shape, state);
    }
}

/* ---- the whole state ---- */

static void add_state(coti_tensors *tensors, cot_model *model) {
    const coti_training *training = model->training;
    char seed[32];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, model->context->seed);
    coti_tensors_metadata(tensors, "seed", seed);
    coti_tensors_integer(tensors, "rng_version", COTI_RNG_VERSION);
    coti_tensors_metadata(tensors, "optimizer", cot_optimizer_name(training->optimizer.base.kind));
    for (int32_t i = 0; i < training->n_variables; i++) {
        coti_tensors_add_variable(tensors, "@optimizer/", training->variable[i]);
    }
    if (training->place == NULL) {
        return;
    }
    add_place(tensors, model, training->place);
    for (int32_t i = 0; i < training->n_sums; i++) {
        coti_tensors_add_variable(tensors, "@sum/", training->mode[COTI_TRAIN].sum[i]);
    }
    for (int32_t i = 0; i < coti_instruments_count(training->instruments); i++) {
        const cot_variable *sum = training->instruments->all.data[i].sum;
        if (sum != NULL) {
            coti_tensors_add_variable(tensors, "@instrument/", sum);
        }
    }
    add_best(tensors, model);
    add_callbacks(tensors, model, training->place);
    add_history(tensors, model);
}

cot_status coti_check_path(const cot_model *model, const char *function, const char *path) {
    return path != NULL && path[0] != '\0'
               ? COT_OK
               : COTI_FAIL(model->context, COT_E_ARG, "%s: the path is %s", function,
                           path == NULL ? "NULL" : "empty");
}

cot_status coti_check_trained(const cot_model *model, const char *function) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, function, &training));
    return training->optimizer.base.kind != 0
               ? COT_OK
               : COTI_FAIL(model->context, COT_E_ARG,
                           "%s: model \"%s\" was compiled without an optimizer", function,
                           model->name);
}

cot_status cot_model_save_checkpoint(cot_model *model, const char *path) {
    COTI_TRY(coti_check_trained(model, "cot_model_save_checkpoint"));
    COTI_TRY(coti_check_path(model, "cot_model_save_checkpoint", path));
    coti_tensors tensors;
    coti_tensors_begin(&tensors, model->context);
    add_head(&tensors, model, COTI_FORMAT_CHECKPOINT);
    add_weights(&tensors, model);
    add_state(&tensors, model);
    cot_status status = coti_tensors_write(&tensors, path);
    coti_tensors_free(&tensors);
    return status;
}
