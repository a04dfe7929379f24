/*
 * Reading weights and checkpoints. A file is checked whole before a weight changes: first against
 * itself (safetensors.c), then against the model; what is then left to do cannot fail. What a
 * checkpoint says of a running fit stays in memory until the next fit takes it.
 */
#include "frontend/files/safetensors.h"
#include "frontend/training/checkpoint.h"
#include "frontend/training/instruments.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "@optimizer/dense/kernel/m"; NULL: no memory. */
static const char *tensor_name(coti_str *text, const char *prefix, const char *name) {
    coti_str_clear(text);
    coti_str_append(text, prefix);
    coti_str_append(text, name);
    return coti_str_status(text) == COT_OK ? coti_str_text(text) : NULL;
}

/* The tensor of this name, which must be there with this type. */
static cot_status find_tensor(const coti_safetensors *file, coti_str *text, const char *prefix,
                              const cot_variable *variable, const coti_tensor_entry **tensor_out) {
    const char *name = tensor_name(text, prefix, variable->name);
    if (name == NULL) {
        return COT_E_NOMEM;
    }
    *tensor_out = coti_safetensors_find(file, name);
    return *tensor_out == NULL
               ? COTI_FAIL(file->context, COT_E_PARSE, "\"%.200s\" has no tensor \"%.100s\"",
                           file->path, name)
               : coti_safetensors_check(file, *tensor_out, variable->dtype, &variable->shape);
}

static cot_status check_variables(const coti_safetensors *file, const char *prefix,
                                  cot_variable *const *variable, size_t n) {
    coti_str text;
    cot_status status = COT_OK;
    const coti_tensor_entry *tensor = NULL;
    coti_str_init(&text, file->context);
    for (size_t i = 0; status == COT_OK && i < n; i++) {
        status = find_tensor(file, &text, prefix, variable[i], &tensor);
    }
    coti_str_free(&text);
    return status;
}

/* After check_variables. */
static cot_status set_variables(const coti_safetensors *file, const char *prefix,
                                cot_variable *const *variable, size_t n) {
    coti_str text;
    cot_status status = COT_OK;
    const coti_tensor_entry *tensor = NULL;
    coti_str_init(&text, file->context);
    for (size_t i = 0; status == COT_OK && i < n; i++) {
        status = find_tensor(file, &text, prefix, variable[i], &tensor);
        if (status == COT_OK) {
            status = cot_variable_set(variable[i], coti_safetensors_data(file, tensor),
                                      (size_t)tensor->bytes);
        }
    }
    coti_str_free(&text);
    return status;
}

/* Every tensor whose name begins with the prefix must be one of n variables, which are all in the
 * file: so their number must be n. "": tensors without '@'. */
static cot_status check_no_more(const coti_safetensors *file, const char *prefix, size_t n,
                                const char *what) {
    size_t found = 0;
    const char *latest = "";
    for (size_t i = 0; i < file->tensor.count; i++) {
        const char *name = file->tensor.data[i].name;
        bool counts =
            prefix[0] == '\0' ? name[0] != '@' : strncmp(name, prefix, strlen(prefix)) == 0;
        found += counts;
        latest = counts ? name : latest;
    }
    return found == n ? COT_OK
                      : COTI_FAIL(file->context, COT_E_PARSE,
                                  "\"%.200s\" has %zu tensors (such as \"%.100s\"), the %s has %zu",
                                  file->path, found, latest, what, n);
}

static cot_status check_version(const coti_safetensors *file) {
    int64_t version = 0;
    if (coti_safetensors_metadata(file, "cotangent") == NULL) {
        return COT_OK; /* a file of others */
    }
    COTI_TRY(coti_safetensors_integer(file, "format_version", &version));
    return version == COTI_CHECKPOINT_VERSION
               ? COT_OK
               : COTI_FAIL(file->context, COT_E_UNSUPPORTED,
                           "\"%.200s\" has format version %" PRId64 ", expected %d", file->path,
                           version, COTI_CHECKPOINT_VERSION);
}

/* Open, check the version, read the data. */
static cot_status read_file(cot_context *context, const char *path, coti_safetensors **file_out) {
    COTI_TRY(coti_safetensors_open(context, path, file_out));
    cot_status status = check_version(*file_out);
    if (status == COT_OK) {
        status = coti_safetensors_load(*file_out);
    }
    if (status != COT_OK) {
        coti_safetensors_close(*file_out);
        *file_out = NULL;
    }
    return status;
}

/* ---- weights ---- */

/* Set the weights that the file has; those that it lacks stay. */
static void set_some(const coti_safetensors *file, const cot_model *model) {
    for (size_t i = 0; i < model->weight.count; i++) {
        cot_variable *weight = model->weight.data[i];
        const coti_tensor_entry *tensor = coti_safetensors_find(file, weight->name);
        bool same = tensor != NULL && tensor->bytes == weight->bytes &&
                    tensor->shape.rank == weight->shape.rank &&
                    strcmp(tensor->dtype, coti_safetensors_dtype(weight->dtype)) == 0;
        for (int32_t k = 0; same && k < weight->shape.rank; k++) {
            same = tensor->shape.dim[k] == weight->shape.dim[k];
        }
        if (same) { /* it has the size, so this cannot fail */
            (void)cot_variable_set(weight, coti_safetensors_data(file, tensor),
                                   (size_t)tensor->bytes);
        }
    }
}

static cot_status set_all(const coti_safetensors *file, const cot_model *model) {
    cot_variable *const *weight = model->weight.data;
    COTI_TRY(check_variables(file, "", weight, model->weight.count));
    COTI_TRY(check_no_more(file, "", model->weight.count, "model"));
    return set_variables(file, "", weight, model->weight.count);
}

cot_status cot_model_load_weights_with(cot_model *model, const cot_load_weights_options *options) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    cot_load_weights_options own;
    coti_safetensors *file = NULL;
    COTI_TRY(
        coti_options_copy(model->context, "cot_model_load_weights", options, &own, sizeof own));
    COTI_TRY(coti_check_path(model, "cot_model_load_weights", own.path));
    COTI_TRY(read_file(model->context, own.path, &file));
    cot_status status = COT_OK;
    if (own.skip_mismatch) {
        set_some(file, model);
    } else {
        status = set_all(file, model);
    }
    coti_safetensors_close(file);
    return status;
}

/* ---- checkpoints ---- */

/* A piece of the metadata must be this. */
static cot_status check_metadata(const coti_safetensors *file, const char *key,
                                 const char *expected) {
    const char *found = coti_safetensors_metadata(file, key);
    return found != NULL && strcmp(found, expected) == 0
               ? COT_OK
               : COTI_FAIL(file->context, COT_E_PARSE,
                           "\"%.200s\": %s is \"%.60s\", expected \"%.60s\"", file->path, key,
                           found != NULL ? found : "", expected);
}

static cot_status check_state(const coti_safetensors *file, const cot_model *model) {
    const coti_training *training = model->training;
    int64_t version = 0;
    char seed[32];
    COTI_TRY(check_metadata(file, "format", COTI_FORMAT_CHECKPOINT));
    COTI_TRY(coti_safetensors_integer(file, "rng_version", &version));
    if (version != COTI_RNG_VERSION) {
        return COTI_FAIL(file->context, COT_E_UNSUPPORTED,
                         "\"%.200s\" has random numbers of version %" PRId64 ", expected %d",
                         file->path, version, COTI_RNG_VERSION);
    }
    (void)snprintf(seed, sizeof seed, "%" PRIu64, model->context->seed);
    COTI_TRY(check_metadata(file, "seed", seed));
    COTI_TRY(check_metadata(file, "optimizer", cot_optimizer_name(training->optimizer.base.kind)));
    size_t n_variables = (size_t)training->n_variables;
    COTI_TRY(check_variables(file, "", model->weight.data, model->weight.count));
    COTI_TRY(check_no_more(file, "", model->weight.count, "model"));
    COTI_TRY(check_variables(file, "@optimizer/", training->variable, n_variables));
    COTI_TRY(check_no_more(file, "@optimizer/", n_variables, "optimizer"));
    return coti_safetensors_metadata(file, "epoch") == NULL
               ? COT_OK
               : check_variables(file, "@sum/", training->mode[COTI_TRAIN].sum,
                                 (size_t)training->n_sums);
}

static cot_status set_state(const coti_safetensors *file, const cot_model *model) {
    const coti_training *training = model->training;
    COTI_TRY(check_state(file, model));
    COTI_TRY(set_variables(file, "", model->weight.data, model->weight.count));
    return set_variables(file, "@optimizer/", training->variable, (size_t)training->n_variables);
}

void coti_resume_forget(coti_training *training) {
    coti_safetensors_close(training->resume);
    training->resume = NULL;
}

cot_status cot_model_restore_checkpoint(cot_model *model, const char *path) {
    COTI_TRY(coti_check_trained(model, "cot_model_restore_checkpoint"));
    COTI_TRY(coti_check_path(model, "cot_model_restore_checkpoint", path));
    coti_training *training = model->training;
    if (training->place != NULL && !training->place->may_restore) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_restore_checkpoint: model \"%s\" is being fitted", model->name);
    }
    coti_safetensors *file = NULL;
    COTI_TRY(read_file(model->context, path, &file));
    cot_status status = set_state(file, model);
    if (status != COT_OK || coti_safetensors_metadata(file, "epoch") == NULL) {
        coti_safetensors_close(file);
        return status;
    }
    coti_resume_forget(training);
    training->resume = file;
    return COT_OK;
}

/* ---- a fit goes on ---- */

static cot_status read_place(const coti_safetensors *file, coti_place *found, bool *stopped_out) {
    const struct {
        const char *key;
        int64_t most;
        int64_t value;
    } rows[] = {{"epoch", INT32_MAX - 1, 0},
                {"step", COTI_SIZE_MAX, 0},
                {"rows", COTI_SIZE_MAX, 0},
                {"begun", 1, 0},
                {"stopped", 1, 0},
                {"n_rows", COTI_SIZE_MAX, 0},
                {"batch_size", COTI_SIZE_MAX, 0},
                {"shuffle", 1, 0}};
    enum { N = sizeof rows / sizeof rows[0] };
    int64_t value[N] = {0};
    for (int i = 0; i < N; i++) {
        COTI_TRY(coti_safetensors_integer(file, rows[i].key, &value[i]));
        if (value[i] > rows[i].most) {
            return COTI_FAIL(file->context, COT_E_PARSE,
                             "\"%.200s\": metadata \"%s\" is %" PRId64
                             ", expected at most %" PRId64,
                             file->path, rows[i].key, value[i], rows[i].most);
        }
    }
    found->epoch = (int32_t)value[0];
    found->step = value[1];
    found->rows = value[2];
    found->begun = value[3] != 0;
    *stopped_out = value[4] != 0;
    found->n_rows = value[5];
    found->batch_size = value[6];
    found->shuffle = value[7] != 0;
    return COT_OK;
}

/* Amid an epoch the rows, their order and the batches must be those of before. */
static cot_status check_place(const coti_safetensors *file, const coti_place *found,
                              const coti_place *fit) {
    if (!found->begun) {
        return COT_OK;
    }
    if (found->n_rows != fit->n_rows || found->batch_size != fit->batch_size ||
        found->shuffle != fit->shuffle) {
        return COTI_FAIL(file->context, COT_E_ARG,
                         "cot_model_fit: \"%.200s\" was made amid an epoch of %" PRId64
                         " rows in batches of %" PRId64 "%s, this fit has %" PRId64
                         " rows in batches of %" PRId64 "%s",
                         file->path, found->n_rows, found->batch_size,
                         found->shuffle ? ", shuffled" : "", fit->n_rows, fit->batch_size,
                         fit->shuffle ? ", shuffled" : "");
    }
    return COT_OK;
}

static cot_status take_callbacks(const coti_safetensors *file, cot_model *model,
                                 const coti_place *place) {
    coti_callback_walk walk = {0};
    char name[100];
    while (coti_next_callback(place, &walk)) {
        (void)snprintf(name, sizeof name, "@callback/%s", walk.name);
        const coti_tensor_entry *tensor = coti_safetensors_find(file, name);
        if (tensor == NULL) {
            continue; /* a new one: it begins */
        }
        const cot_shape shape = {.rank = 1, .dim = {walk.callback.n_state}};
        COTI_TRY(coti_safetensors_check(file, tensor, COT_F64, &shape));
        double *state = coti_calloc(file->context, (size_t)walk.callback.n_state, sizeof *state);
        if (state == NULL) {
            return COT_E_NOMEM;
        }
        memcpy(state, coti_safetensors_data(file, tensor), (size_t)tensor->bytes);
        cot_status status = walk.callback.set_state(model, state, walk.user);
        coti_free(file->context, state);
        COTI_TRY(status);
    }
    return COT_OK;
}

static cot_status take_best(const coti_safetensors *file, cot_model *model) {
    if (model->weight.count == 0) {
        return COT_OK;
    }
    char name[2 * COTI_NAME_BYTES + 8];
    (void)snprintf(name, sizeof name, "@best/%s", model->weight.data[0]->name);
    if (coti_safetensors_find(file, name) == NULL) {
        return COT_OK;
    }
    COTI_TRY(check_variables(file, "@best/", model->weight.data, model->weight.count));
    COTI_TRY(coti_model_keep_weights(model));
    char *to = model->kept;
    for (size_t i = 0; i < model->weight.count; i++) {
        const cot_variable *weight = model->weight.data[i];
        (void)snprintf(name, sizeof name, "@best/%s", weight->name);
        const coti_tensor_entry *tensor = coti_safetensors_find(file, name);
        COTI_ASSERT(file->context, tensor != NULL);
        memcpy(to, coti_safetensors_data(file, tensor), (size_t)weight->bytes);
        to += weight->bytes;
    }
    return COT_OK;
}

/* One number of the file's history; NAN where it lacks it. */
static cot_status take_number(const coti_safetensors *file, const char *of, int64_t i,
                              const coti_tensor_entry *epochs, double *value_out) {
    char name[2 * COTI_NAME_BYTES + 32];
    (void)snprintf(name, sizeof name, "@history/values/%s", of);
    const coti_tensor_entry *tensor = coti_safetensors_find(file, name);
    *value_out = NAN;
    if (tensor == NULL) {
        return COT_OK;
    }
    COTI_TRY(coti_safetensors_check(file, tensor, COT_F64, &epochs->shape));
    memcpy(value_out, (const char *)coti_safetensors_data(file, tensor) + 8 * i, 8);
    return COT_OK;
}

/* One epoch of the file's history. value: room for every name. */
static cot_status take_epoch(const coti_safetensors *file, cot_model *model, int64_t i,
                             const coti_tensor_entry *epochs, double *value) {
    int32_t epoch = 0;
    for (int32_t k = 0; k < cot_history_n_names(model->history); k++) {
        COTI_TRY(take_number(file, cot_history_name(model->history, k), i, epochs, &value[k]));
    }
    memcpy(&epoch, (const char *)coti_safetensors_data(file, epochs) + 4 * i, 4);
    return coti_history_append(model->history, epoch, value);
}

static cot_status take_history(const coti_safetensors *file, cot_model *model) {
    const coti_tensor_entry *epochs = coti_safetensors_find(file, "@history/epoch");
    if (epochs == NULL) {
        return COT_OK;
    }
    const cot_shape shape = {.rank = 1,
                             .dim = {epochs->shape.rank == 1 ? epochs->shape.dim[0] : 0}};
    COTI_TRY(coti_safetensors_check(file, epochs, COT_I32, &shape));
    size_t n_names = (size_t)cot_history_n_names(model->history);
    double *value = coti_calloc(file->context, n_names, sizeof *value);
    cot_status status = value != NULL ? COT_OK : COT_E_NOMEM;
    for (int64_t i = 0; status == COT_OK && i < shape.dim[0]; i++) {
        status = take_epoch(file, model, i, epochs, value);
    }
    coti_free(file->context, value);
    return status;
}

/* If the file has it; one that was not asked for before begins. */
static cot_status take_instrument(const coti_safetensors *file, cot_variable *sum, coti_str *text) {
    const char *name = tensor_name(text, "@instrument/", sum->name);
    if (name == NULL) {
        return COT_E_NOMEM;
    }
    if (coti_safetensors_find(file, name) == NULL) {
        return COT_OK;
    }
    COTI_TRY(check_variables(file, "@instrument/", &sum, 1));
    return set_variables(file, "@instrument/", &sum, 1);
}

static cot_status take_instruments(const coti_safetensors *file,
                                   const coti_instruments *instruments) {
    coti_str text;
    cot_status status = COT_OK;
    coti_str_init(&text, file->context);
    for (int32_t i = 0; status == COT_OK && i < coti_instruments_count(instruments); i++) {
        cot_variable *sum = instruments->all.data[i].sum;
        status = sum != NULL ? take_instrument(file, sum, &text) : COT_OK;
    }
    coti_str_free(&text);
    return status;
}

cot_status coti_resume_take(cot_model *model, coti_place *place) {
    coti_training *training = model->training;
    const coti_safetensors *file = training->resume;
    coti_place found = {0};
    bool stopped = false;
    if (file == NULL) {
        return COT_OK;
    }
    COTI_TRY(read_place(file, &found, &stopped));
    COTI_TRY(check_place(file, &found, place));
    COTI_TRY(take_callbacks(file, model, place));
    COTI_TRY(take_best(file, model));
    COTI_TRY(take_history(file, model));
    COTI_TRY(take_instruments(file, training->instruments));
    COTI_TRY(
        set_variables(file, "@sum/", training->mode[COTI_TRAIN].sum, (size_t)training->n_sums));
    place->epoch = found.epoch;
    place->step = found.begun ? found.step : 0;
    place->rows = found.begun ? found.rows : 0;
    place->begun = found.begun;
    place->resumed = true;
    model->stop = model->stop || stopped;
    coti_resume_forget(training);
    return COT_OK;
}
