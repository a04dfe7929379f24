/* Models: making, growing and asking them. What fails in _create leaves nothing behind. */
#include "frontend/model/model.h"

#include "frontend/training/training.h"

#include <string.h>

/* ---- making ---- */

static cot_model *new_model(cot_context *context, const char *prefix, const char *name) {
    coti_frontend *frontend = coti_frontend_get(context);
    cot_model *model = frontend != NULL ? coti_calloc(context, 1, sizeof *model) : NULL;
    if (model == NULL) {
        return NULL;
    }
    model->context = context;
    coti_arena_init(&model->arena, context);
    coti_map_init(&model->layer_index, context);
    if (coti_frontend_name(frontend, "model", prefix, name, &model->name) != COT_OK) {
        cot_model_destroy(model);
        return NULL;
    }
    return model;
}

/* Give up a model that could not be made, with its automatic name. */
static cot_model *abandon(cot_model *model, const char *prefix, const char *name) {
    if (name == NULL) {
        coti_frontend_unname(coti_frontend_get(model->context), prefix);
    }
    cot_model_destroy(model);
    return NULL;
}

void cot_model_destroy(cot_model *model) {
    if (model == NULL) {
        return;
    }
    cot_context *context = model->context;
    coti_training_destroy(model->training);
    coti_history_destroy(model->history);
    coti_model_forget_weights(model);
    coti_vec_free(context, &model->input);
    coti_vec_free(context, &model->output);
    coti_vec_free(context, &model->output_name);
    coti_vec_free(context, &model->call);
    coti_vec_free(context, &model->layer);
    coti_vec_free(context, &model->weight);
    coti_map_free(&model->layer_index);
    coti_arena_clear(&model->arena);
    coti_free(context, model);
}

/* ---- a copy of the weights ---- */

cot_status coti_model_copy_weights(const cot_model *model, char **copy_inout) {
    int64_t bytes = 0;
    for (size_t i = 0; i < model->weight.count; i++) {
        if (!coti_size_add(bytes, model->weight.data[i]->bytes, &bytes)) {
            return COTI_FAIL(model->context, COT_E_NOMEM, "model \"%s\": weights are too large",
                             model->name);
        }
    }
    if (*copy_inout == NULL) {
        *copy_inout = coti_calloc(model->context, (size_t)bytes, 1);
    }
    char *to = *copy_inout;
    for (size_t i = 0; to != NULL && i < model->weight.count; i++) {
        const cot_variable *weight = model->weight.data[i];
        memcpy(to, weight->storage, (size_t)weight->bytes);
        to += weight->bytes;
    }
    return to != NULL ? COT_OK : COT_E_NOMEM;
}

void coti_model_set_weights(cot_model *model, const char *copy) {
    const char *from = copy;
    for (size_t i = 0; from != NULL && i < model->weight.count; i++) {
        cot_variable *weight = model->weight.data[i];
        memcpy(weight->storage, from, (size_t)weight->bytes);
        from += weight->bytes;
    }
}

cot_status coti_model_keep_weights(cot_model *model) {
    return coti_model_copy_weights(model, &model->kept);
}

void coti_model_restore_weights(cot_model *model) {
    coti_model_set_weights(model, model->kept);
}

void coti_model_forget_weights(cot_model *model) {
    coti_free(model->context, model->kept);
    model->kept = NULL;
}

static cot_status check_tensors(const cot_model *model, const char *what, cot_tensor_list list) {
    cot_context *context = model->context;
    if (list.tensor == NULL || list.n < 1) {
        return COTI_FAIL(context, COT_E_ARG, "model \"%s\" has no %ss", model->name, what);
    }
    for (int32_t i = 0; i < list.n; i++) {
        if (list.tensor[i].id == 0) {
            return COTI_FAIL(context, COT_E_ARG,
                             "model \"%s\": %s %d is no tensor: the call that made it failed",
                             model->name, what, (int)i);
        }
        if (!coti_tensor_is_valid(context, list.tensor[i])) {
            return COTI_FAIL(context, COT_E_ARG, "model \"%s\": %s %d belongs to another context",
                             model->name, what, (int)i);
        }
    }
    return COT_OK;
}

static cot_status add_inputs(cot_model *model, cot_tensor_list inputs) {
    COTI_TRY(check_tensors(model, "input", inputs));
    COTI_TRY(coti_vec_reserve(model->context, &model->input, (size_t)inputs.n));
    for (int32_t i = 0; i < inputs.n; i++) {
        const cot_layer *layer = cot_tensor_layer(inputs.tensor[i]);
        if (layer->class != &coti_class_input) {
            return COTI_FAIL_OP(model->context, COT_E_ARG, "model", layer->name,
                                "model \"%s\": input %d comes from layer \"%s\", expected a result "
                                "of cot_input",
                                model->name, (int)i, layer->name);
        }
        model->input.data[model->input.count++] = inputs.tensor[i].id;
    }
    return COT_OK;
}

/* The i-th output's name: its layer's, or that with _1, _2, ... if earlier outputs have it. */
static const char *name_output(cot_model *model, const cot_layer *layer) {
    const char *name = layer->name;
    for (int32_t k = 0;; k++) {
        bool taken = false;
        for (size_t i = 0; i < model->output_name.count && !taken; i++) {
            taken = strcmp(model->output_name.data[i], name) == 0;
        }
        if (!taken) {
            return name;
        }
        name = coti_arena_printf(&model->arena, "%s_%d", layer->name, (int)k + 1);
        if (name == NULL) {
            return NULL;
        }
    }
}

static cot_status add_outputs(cot_model *model, cot_tensor_list outputs) {
    COTI_TRY(check_tensors(model, "output", outputs));
    COTI_TRY(coti_vec_reserve(model->context, &model->output, (size_t)outputs.n));
    COTI_TRY(coti_vec_reserve(model->context, &model->output_name, (size_t)outputs.n));
    for (int32_t i = 0; i < outputs.n; i++) {
        const char *name = name_output(model, cot_tensor_layer(outputs.tensor[i]));
        if (name == NULL) {
            return COT_E_NOMEM;
        }
        model->output.data[model->output.count++] = outputs.tensor[i].id;
        model->output_name.data[model->output_name.count++] = name;
    }
    return COT_OK;
}

cot_model *cot_model_create(cot_context *context, cot_tensor_list inputs, cot_tensor_list outputs,
                            const char *name) {
    static const char prefix[] = "functional";
    cot_model *model = new_model(context, prefix, name);
    if (model == NULL) {
        return NULL;
    }
    if (add_inputs(model, inputs) != COT_OK || add_outputs(model, outputs) != COT_OK ||
        coti_model_find_layers(model) != COT_OK) {
        return abandon(model, prefix, name);
    }
    return model;
}

/* ---- layers and weights ---- */

static uint64_t hash_name(const char *name, size_t bytes) {
    return coti_hash(0, name, bytes);
}

/* A layer name to be looked for, maybe the first part of a weight's. */
typedef struct name_key {
    const cot_model *model;
    const char *name;
    size_t bytes;
} name_key;

static bool has_name(const void *user, uint32_t value) {
    const name_key *key = user;
    const char *name = key->model->layer.data[value]->name;
    return strlen(name) == key->bytes && memcmp(name, key->name, key->bytes) == 0;
}

static cot_layer *find_layer(const cot_model *model, const char *name, size_t bytes) {
    name_key key = {model, name, bytes};
    uint32_t index = 0;
    return coti_map_find(&model->layer_index, hash_name(name, bytes), has_name, &key, &index)
               ? model->layer.data[index]
               : NULL;
}

static cot_status check_layer_name(const cot_model *model, const cot_layer *layer) {
    return find_layer(model, layer->name, strlen(layer->name)) == NULL
               ? COT_OK
               : COTI_FAIL_OP(model->context, COT_E_ARG, "model", layer->name,
                              "model \"%s\" has two layers of the name \"%s\"", model->name,
                              layer->name);
}

cot_status coti_model_append_layer(cot_model *model, cot_layer *layer) {
    cot_context *context = model->context;
    size_t bytes = strlen(layer->name);
    COTI_TRY(check_layer_name(model, layer));
    COTI_TRY(coti_vec_reserve(context, &model->layer, model->layer.count + 1));
    COTI_TRY(
        coti_vec_reserve(context, &model->weight, model->weight.count + (size_t)layer->n_weights));
    COTI_TRY(coti_map_add(&model->layer_index, hash_name(layer->name, bytes),
                          (uint32_t)model->layer.count));
    model->layer.data[model->layer.count++] = layer;
    for (int32_t i = 0; i < layer->n_weights; i++) {
        model->weight.data[model->weight.count++] = layer->weight[i];
    }
    return COT_OK;
}

/* ---- sequential ---- */

cot_model *cot_sequential_create(cot_context *context, cot_dtype dtype, cot_shape shape,
                                 const char *name) {
    static const char prefix[] = "sequential";
    cot_model *model = new_model(context, prefix, name);
    if (model == NULL) {
        return NULL;
    }
    model->sequential = model->linear = true;
    cot_tensor input = cot_input(context, dtype, shape, NULL);
    cot_tensor_list list = {&input, 1};
    if (input.id == 0 || add_inputs(model, list) != COT_OK || add_outputs(model, list) != COT_OK ||
        coti_vec_reserve(context, &model->call, 1) != COT_OK) {
        return abandon(model, prefix, name);
    }
    model->call.data[model->call.count++] = input.id;
    return model;
}

static cot_status check_addition(const cot_model *model, const cot_layer *layer) {
    if (layer == NULL) {
        return COTI_FAIL(model->context, COT_E_ARG, "model \"%s\": the layer to add is NULL",
                         model->name);
    }
    if (layer->context != model->context) {
        return COTI_FAIL_OP(model->context, COT_E_ARG, "model", layer->name,
                            "model \"%s\": layer \"%s\" belongs to another context", model->name,
                            layer->name);
    }
    if (!model->sequential || model->training != NULL) {
        return COTI_FAIL_OP(model->context, COT_E_ARG, "model", layer->name,
                            "model \"%s\": layer \"%s\" cannot be added to a model that is %s",
                            model->name, layer->name,
                            model->sequential ? "compiled" : "not sequential");
    }
    return COT_OK;
}

cot_status cot_sequential_add(cot_model *model, cot_layer *layer) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    cot_context *context = model->context;
    COTI_TRY(check_addition(model, layer));
    COTI_TRY(check_layer_name(model, layer));
    COTI_TRY(coti_vec_reserve(context, &model->call, model->call.count + 1));
    cot_tensor top = {context, model->output.data[0]};
    cot_tensor result = cot_call(layer, top);
    if (result.id == 0) {
        return cot_error_get(context).status;
    }
    COTI_TRY(coti_model_append_layer(model, layer));
    model->call.data[model->call.count++] = result.id;
    model->output.data[0] = result.id;
    model->output_name.data[0] = layer->name;
    return COT_OK;
}

cot_layer *cot_model_find_layer(const cot_model *model, const char *name) {
    return model != NULL && name != NULL ? find_layer(model, name, strlen(name)) : NULL;
}

cot_variable *cot_model_find_weight(const cot_model *model, const char *name) {
    const char *slash = model != NULL && name != NULL ? strchr(name, '/') : NULL;
    const cot_layer *layer = slash != NULL ? find_layer(model, name, (size_t)(slash - name)) : NULL;
    for (int32_t i = 0; layer != NULL && i < layer->n_weights; i++) {
        if (strcmp(cot_variable_name(layer->weight[i]), name) == 0) {
            return layer->weight[i];
        }
    }
    return NULL;
}

/* ---- getters ---- */

cot_context *cot_model_context(const cot_model *model) {
    return model != NULL ? model->context : NULL;
}

const char *cot_model_name(const cot_model *model) {
    return model != NULL ? model->name : "";
}

int32_t cot_model_n_layers(const cot_model *model) {
    return model != NULL ? (int32_t)model->layer.count : 0;
}

cot_layer *cot_model_layer(const cot_model *model, int32_t i) {
    return i >= 0 && i < cot_model_n_layers(model) ? model->layer.data[i] : NULL;
}

int32_t cot_model_n_inputs(const cot_model *model) {
    return model != NULL ? (int32_t)model->input.count : 0;
}

int32_t cot_model_n_outputs(const cot_model *model) {
    return model != NULL ? (int32_t)model->output.count : 0;
}

cot_tensor cot_model_input(const cot_model *model, int32_t i) {
    return i >= 0 && i < cot_model_n_inputs(model)
               ? (cot_tensor){model->context, model->input.data[i]}
               : (cot_tensor){NULL, 0};
}

cot_tensor cot_model_output(const cot_model *model, int32_t i) {
    return i >= 0 && i < cot_model_n_outputs(model)
               ? (cot_tensor){model->context, model->output.data[i]}
               : (cot_tensor){NULL, 0};
}

const char *cot_model_output_name(const cot_model *model, int32_t i) {
    return i >= 0 && i < cot_model_n_outputs(model) ? model->output_name.data[i] : NULL;
}

int32_t cot_model_n_weights(const cot_model *model) {
    return model != NULL ? (int32_t)model->weight.count : 0;
}

cot_variable *cot_model_weight(const cot_model *model, int32_t i) {
    return i >= 0 && i < cot_model_n_weights(model) ? model->weight.data[i] : NULL;
}

int64_t cot_model_count_params(const cot_model *model) {
    int64_t total = 0;
    for (int32_t i = 0; i < cot_model_n_layers(model); i++) {
        total += cot_layer_count_params(model->layer.data[i]);
    }
    return total;
}
