/*
 * Dense: y = activation(x . kernel + bias), on the last axis of an input of any rank from [N,in].
 * The layer's configuration is its options, with the name left to the layer.
 */
#include "layer.h"

static cot_status infer(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out) {
    (void)n;
    const cot_dense_options *config = layer->config;
    const cot_shape *shape = &input[0].shape;
    char text[COTI_TYPE_BYTES], kernel_text[COTI_TYPE_BYTES];
    coti_type_text(text, input[0].dtype, shape);
    if (shape->rank < 2) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "dense", layer->name,
                            "input is %s, expected at least one axis beside the batch", text);
    }
    if (layer->n_weights > 0) {
        cot_shape kernel = cot_variable_shape(layer->weight[0]);
        cot_dtype dtype = cot_variable_dtype(layer->weight[0]);
        if (kernel.dim[0] != shape->dim[shape->rank - 1] || dtype != input[0].dtype) {
            return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "dense", layer->name,
                                "input is %s, but the kernel made by an earlier call is %s", text,
                                coti_type_text(kernel_text, dtype, &kernel));
        }
    }
    *result_out = input[0];
    result_out->shape.dim[shape->rank - 1] = config->units;
    return coti_shape_check(layer->context, &result_out->shape, "dense", layer->name);
}

static cot_status make_weights(cot_layer *layer, const coti_type *input) {
    const cot_dense_options *config = layer->config;
    coti_frontend *frontend = coti_frontend_get(layer->context);
    int64_t in = input->shape.dim[input->shape.rank - 1];
    layer->weight = (cot_variable **)coti_arena_array(&frontend->arena, 2, sizeof(cot_variable *));
    if (layer->weight == NULL) {
        return COT_E_NOMEM;
    }
    coti_type kernel = {input->dtype, {.rank = 2, .dim = {in, config->units}}};
    coti_type bias = {input->dtype, {.rank = 1, .dim = {config->units}}};
    COTI_TRY(coti_layer_add_weight(layer, "kernel", kernel, config->kernel_initializer,
                                   config->kernel_parameter));
    if (config->use_bias == COT_OFF) {
        return COT_OK;
    }
    return coti_layer_add_weight(layer, "bias", bias, config->bias_initializer,
                                 config->bias_parameter);
}

static coti_built build(const cot_layer *layer, cot_graph *graph, const cot_value *input, int32_t n,
                        bool training) {
    (void)n;
    (void)training;
    const cot_dense_options *config = layer->config;
    cot_value y = cot_op_matmul(input[0], cot_op_state(graph, layer->weight[0]));
    if (layer->n_weights > 1) {
        y = cot_op_binary(COT_OP_ADD, y, cot_op_state(graph, layer->weight[1]));
    }
    return coti_activation_build(config->activation, y);
}

const coti_layer_class coti_class_dense = {.name = "Dense",
                                           .prefix = "dense",
                                           .max_inputs = 1,
                                           .infer = infer,
                                           .make_weights = make_weights,
                                           .build = build};

/* Options as checked values; *options_out has no name, *name_out has it. */
static cot_status read_options(cot_context *context, const cot_dense_options *options,
                               cot_dense_options *own, const char **name_out) {
    COTI_TRY(coti_options_copy(context, "cot_dense", options, own, sizeof *own));
    const char *name = own->name;
    own->name = NULL;
    *name_out = name;
    if (own->units < 1 || own->units > COTI_SIZE_MAX) {
        return COTI_OP_FAIL(context, COT_E_ARG, "dense", name, "units is %lld, expected 1 to 2^47",
                            (long long)own->units);
    }
    if (!coti_activation_is_valid(own->activation)) {
        return COTI_OP_FAIL(context, COT_E_ARG, "dense", name, "%d is no activation",
                            (int)own->activation);
    }
    if (!coti_initializer_is_valid(own->kernel_initializer) ||
        !coti_initializer_is_valid(own->bias_initializer)) {
        return COTI_OP_FAIL(context, COT_E_ARG, "dense", name,
                            "kernel_initializer %d or bias_initializer %d is no initializer",
                            (int)own->kernel_initializer, (int)own->bias_initializer);
    }
    return COT_OK;
}

cot_layer *cot_dense_layer_with(cot_context *context, const cot_dense_options *options) {
    cot_dense_options own;
    const char *name = NULL;
    if (context == NULL || read_options(context, options, &own, &name) != COT_OK) {
        return NULL;
    }
    cot_layer *layer = coti_layer_create(context, &coti_class_dense, name, &own, sizeof own);
    if (layer != NULL) {
        layer->trainable = own.trainable != COT_OFF;
    }
    return layer;
}

cot_tensor cot_dense_with(cot_tensor x, const cot_dense_options *options) {
    cot_dense_options own;
    const char *name = NULL;
    if (x.context == NULL || read_options(x.context, options, &own, &name) != COT_OK) {
        return (cot_tensor){x.context, 0};
    }
    return coti_layer_apply(&coti_class_dense, name, own.trainable != COT_OFF, &own, sizeof own,
                            (cot_tensor_list){&x, 1});
}
