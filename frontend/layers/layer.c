/*
 * Making layers and calling them. A call that fails changes nothing: room is reserved before
 * weights are made, and weights are the last thing that can fail.
 */
#include "layer.h"

#include <math.h>
#include <string.h>

cot_status coti_options_copy(cot_context *context, const char *function, const void *options,
                             void *copy, size_t copy_bytes) {
    size_t bytes = 0;
    memset(copy, 0, copy_bytes);
    if (options != NULL) {
        memcpy(&bytes, options, sizeof bytes);
    }
    if (bytes < sizeof bytes) {
        return COTI_FAIL(context, COT_E_ARG, "%s: options are %s: initialise them with their _INIT",
                         function, options == NULL ? "NULL" : "without a struct_size");
    }
    for (size_t i = copy_bytes; i < bytes; i++) {
        if (((const char *)options)[i] != 0) {
            return COTI_FAIL(context, COT_E_UNSUPPORTED,
                             "%s: options set a field that this version (%s) does not know",
                             function, cot_version());
        }
    }
    memcpy(copy, options, bytes < copy_bytes ? bytes : copy_bytes);
    return COT_OK;
}

cot_status coti_options_numbers(cot_context *context, const char *function,
                                const coti_option *option, void *options) {
    for (; option->name != NULL; option++) {
        char *at = (char *)options + option->offset;
        double value = 0.0;
        memcpy(&value, at, sizeof value);
        if (value == 0.0 && !signbit(value)) {
            value = option->otherwise;
            memcpy(at, &value, sizeof value);
        }
        if (isnan(option->otherwise) && isnan(value)) {
            return COTI_FAIL_OP(context, COT_E_ARG, function, NULL, "%s: %s is missing", function,
                                option->name);
        }
        if (!(value >= option->low && value <= option->high)) {
            return COTI_FAIL_OP(context, COT_E_ARG, function, NULL,
                                "%s: %s is %g, expected %g to %g", function, option->name, value,
                                option->low, option->high);
        }
    }
    return COT_OK;
}

/* ---- layers ---- */

cot_layer *coti_layer_create(cot_context *context, const coti_layer_class *class, const char *name,
                             const void *config, size_t config_bytes) {
    coti_frontend *frontend = coti_frontend_get(context);
    if (frontend == NULL ||
        coti_vec_reserve(context, &frontend->layer, frontend->layer.count + 1) != COT_OK) {
        return NULL;
    }
    cot_layer *layer = coti_arena_alloc(&frontend->arena, sizeof *layer);
    const void *copy = coti_arena_copy(&frontend->arena, config, config_bytes);
    const char *own_name = NULL;
    if (layer == NULL || copy == NULL ||
        coti_frontend_name(frontend, "layer", class->prefix, name, &own_name) != COT_OK) {
        return NULL;
    }
    *layer = (cot_layer){.context = context,
                         .class = class,
                         .name = own_name,
                         .index = (uint32_t)frontend->layer.count,
                         .trainable = true,
                         .config = copy};
    frontend->layer.data[frontend->layer.count++] = layer;
    return layer;
}

/* Take back the context's latest layer, which was never called. */
static void forget(cot_layer *layer, bool named) {
    coti_frontend *frontend = coti_frontend_get(layer->context);
    if (!named) {
        coti_frontend_unname(frontend, layer->class->prefix);
    }
    coti_vec_free(layer->context, &layer->call);
    frontend->layer.count--;
}

cot_tensor coti_layer_apply(const coti_layer_class *class, const char *name, bool trainable,
                            const void *config, size_t config_bytes, cot_tensor_list inputs) {
    cot_context *context = NULL;
    for (int32_t i = 0; inputs.tensor != NULL && i < inputs.n && context == NULL; i++) {
        context = inputs.tensor[i].context;
    }
    cot_tensor result = {context, 0};
    if (context == NULL) {
        return result;
    }
    cot_layer *layer = coti_layer_create(context, class, name, config, config_bytes);
    if (layer != NULL) {
        layer->trainable = trainable;
        result = cot_call_many(layer, inputs);
        if (result.id == 0) {
            forget(layer, name != NULL);
        }
    }
    return result;
}

const char *cot_layer_name(const cot_layer *layer) {
    return layer != NULL ? layer->name : "";
}

const char *cot_layer_class(const cot_layer *layer) {
    return layer != NULL ? layer->class->name : "";
}

int64_t cot_layer_count_params(const cot_layer *layer) {
    int64_t total = 0;
    for (int32_t i = 0; layer != NULL && i < layer->n_weights; i++) {
        cot_shape shape = cot_variable_shape(layer->weight[i]);
        int64_t elements = 0;
        if (coti_shape_elements(&shape, 1, &elements)) {
            total += elements;
        }
    }
    return total;
}

bool cot_layer_is_trainable(const cot_layer *layer) {
    return layer != NULL && layer->trainable;
}

cot_status cot_layer_set_trainable(cot_layer *layer, bool trainable) {
    if (layer == NULL) {
        return COT_E_ARG;
    }
    layer->trainable = trainable;
    return COT_OK;
}

cot_status cot_layer_set_weight_trainable(cot_layer *layer, const char *weight, bool trainable) {
    size_t prefix = layer != NULL ? strlen(layer->name) + 1 : 0;
    for (int32_t i = 0; layer != NULL && weight != NULL && i < layer->n_weights; i++) {
        if (strcmp(cot_variable_name(layer->weight[i]) + prefix, weight) == 0) {
            layer->frozen[i] = !trainable;
            return COT_OK;
        }
    }
    return layer == NULL ? COT_E_ARG
                         : COTI_FAIL_OP(layer->context, COT_E_ARG, layer->class->prefix,
                                        layer->name, "layer \"%s\" has no weight \"%.64s\" yet",
                                        layer->name, weight != NULL ? weight : "(NULL)");
}

cot_status cot_layer_set_activity_regularizer(cot_layer *layer,
                                              const cot_regularizer *regularizer) {
    cot_regularizer own;
    if (layer == NULL) {
        return COT_E_ARG;
    }
    COTI_TRY(coti_regularizer_read(layer->context, layer->class->prefix, layer->name,
                                   "activity_regularizer", regularizer, &own));
    layer->activity = own;
    return COT_OK;
}

/* ---- weights ---- */

cot_status coti_layer_reserve_weights(cot_layer *layer, int32_t n) {
    coti_arena *arena = &coti_frontend_get(layer->context)->arena;
    layer->weight = (cot_variable **)coti_arena_array(arena, (size_t)n, sizeof(cot_variable *));
    layer->weight_options = (const coti_weight_options **)coti_arena_array(
        arena, (size_t)n, sizeof(const coti_weight_options *));
    layer->frozen = coti_arena_array(arena, (size_t)n, sizeof *layer->frozen);
    return layer->weight != NULL && layer->weight_options != NULL && layer->frozen != NULL
               ? COT_OK
               : COT_E_NOMEM;
}

cot_status coti_layer_add_weight(cot_layer *layer, const char *name, coti_type type,
                                 const coti_weight_options *options) {
    coti_frontend *frontend = coti_frontend_get(layer->context);
    const char *path = coti_arena_printf(&frontend->arena, "%s/%s", layer->name, name);
    if (path == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_weight_options_check(layer->context, path, &type.shape, options));
    cot_variable *variable = cot_variable_create(layer->context, type.dtype, type.shape, path);
    if (variable == NULL) {
        return cot_error_get(layer->context).status;
    }
    cot_status status = coti_initialize(variable, options, frontend->n_weights);
    if (status != COT_OK) {
        cot_variable_release(variable);
        return status;
    }
    frontend->n_weights++;
    layer->weight_options[layer->n_weights] = options;
    layer->weight[layer->n_weights++] = variable;
    return COT_OK;
}

static cot_status make_weights(cot_layer *layer, const coti_type *input) {
    coti_frontend *frontend = coti_frontend_get(layer->context);
    uint64_t ordinal = frontend->n_weights;
    cot_status status = layer->class->make_weights(layer, input);
    if (status != COT_OK) {
        while (layer->n_weights > 0) {
            cot_variable_release(layer->weight[--layer->n_weights]);
        }
        frontend->n_weights = ordinal;
    }
    return status;
}

/* ---- calls ---- */

static cot_status check_inputs(const cot_layer *layer, cot_tensor_list inputs) {
    const char *op = layer->class->prefix;
    if (inputs.tensor == NULL || inputs.n < 1 || inputs.n > layer->class->max_inputs) {
        return COTI_OP_FAIL(layer->context, COT_E_ARG, op, layer->name,
                            "called on %d tensors, expected %s",
                            inputs.tensor != NULL ? (int)inputs.n : 0,
                            layer->class->max_inputs == 1 ? "one" : "one or more");
    }
    for (int32_t i = 0; i < inputs.n; i++) {
        cot_tensor tensor = inputs.tensor[i];
        if (tensor.id == 0) {
            return COTI_OP_FAIL(layer->context, COT_E_ARG, op, layer->name,
                                "input %d is no tensor: the call that made it failed", (int)i);
        }
        if (!coti_tensor_is_valid(layer->context, tensor)) {
            return COTI_OP_FAIL(layer->context, COT_E_ARG, op, layer->name,
                                "input %d belongs to another context", (int)i);
        }
        if (!layer->class->mixed &&
            cot_tensor_dtype(tensor) != cot_tensor_dtype(inputs.tensor[0])) {
            return COTI_OP_FAIL(layer->context, COT_E_DTYPE, op, layer->name,
                                "input %d is %s, input 0 is %s: expected one dtype", (int)i,
                                cot_dtype_name(cot_tensor_dtype(tensor)),
                                cot_dtype_name(cot_tensor_dtype(inputs.tensor[0])));
        }
    }
    return COT_OK;
}

/* What a call is told of its inputs; scratch. */
typedef struct seen_inputs {
    coti_type *type;
    bool *masked;
} seen_inputs;

/* Check, infer and record the call; *id_out is its tensor. */
static cot_status call_layer(cot_layer *layer, cot_tensor_list inputs, seen_inputs seen,
                             uint32_t *id_out) {
    cot_context *context = layer->context;
    coti_type *type = seen.type;
    coti_frontend *frontend = coti_frontend_get(context);
    coti_call call = {.layer = layer, .index = (int32_t)layer->call.count, .n_inputs = inputs.n};
    uint32_t *id = coti_arena_array(&frontend->arena, (size_t)inputs.n, sizeof *id);
    if (id == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < inputs.n; i++) {
        id[i] = inputs.tensor[i].id;
        type[i] = coti_call_at(frontend, id[i])->type;
        seen.masked[i] = coti_call_at(frontend, id[i])->masked;
    }
    call.input = id;
    call.masked = coti_is_masked(layer->class, seen.masked, inputs.n);
    COTI_TRY(layer->class->infer(layer, type, inputs.n, &call.type));
    if (frontend->call.count >= UINT32_MAX) {
        return COTI_OP_FAIL(context, COT_E_ARG, layer->class->prefix, layer->name,
                            "too many layer calls in one context");
    }
    COTI_TRY(coti_vec_reserve(context, &frontend->call, frontend->call.count + 1));
    COTI_TRY(coti_vec_reserve(context, &layer->call, layer->call.count + 1));
    if (layer->n_weights == 0 && layer->class->make_weights != NULL) {
        COTI_TRY(make_weights(layer, type));
    }
    *id_out = (uint32_t)frontend->call.count;
    frontend->call.data[frontend->call.count++] = call;
    layer->call.data[layer->call.count++] = *id_out;
    return COT_OK;
}

cot_tensor cot_call_many(cot_layer *layer, cot_tensor_list inputs) {
    if (layer == NULL) {
        cot_context *context =
            inputs.tensor != NULL && inputs.n > 0 ? inputs.tensor[0].context : NULL;
        if (context != NULL) {
            COTI_FAIL(context, COT_E_ARG, "cot_call: layer is NULL");
        }
        return (cot_tensor){context, 0};
    }
    cot_tensor result = {layer->context, 0};
    if (check_inputs(layer, inputs) != COT_OK) {
        return result;
    }
    seen_inputs seen = {coti_calloc(layer->context, (size_t)inputs.n, sizeof *seen.type),
                        coti_calloc(layer->context, (size_t)inputs.n, sizeof *seen.masked)};
    if (seen.type != NULL && seen.masked != NULL &&
        call_layer(layer, inputs, seen, &result.id) != COT_OK) {
        result.id = 0;
    }
    coti_free(layer->context, seen.type);
    coti_free(layer->context, seen.masked);
    return result;
}

cot_tensor cot_call(cot_layer *layer, cot_tensor x) {
    return cot_call_many(layer, (cot_tensor_list){&x, 1});
}
