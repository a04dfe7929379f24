/*
 * Dense: y = activation(x . kernel + bias), on the last axis of an input of any rank from [N,in].
 */
#include "layer.h"

/* Options as checked values. */
typedef struct dense_config {
    int64_t units;
    cot_activation_kind activation;
    bool use_bias;
    coti_weight_options kernel, bias;
} dense_config;

/* What of the options is the layer's, not its class's. */
typedef struct layer_part {
    const char *name;
    bool trainable;
    cot_regularizer activity;
} layer_part;

static cot_status infer(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out) {
    (void)n;
    const dense_config *config = layer->config;
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
    const dense_config *config = layer->config;
    int64_t in = input->shape.dim[input->shape.rank - 1];
    coti_type kernel = {input->dtype, {.rank = 2, .dim = {in, config->units}}};
    coti_type bias = {input->dtype, {.rank = 1, .dim = {config->units}}};
    COTI_TRY(coti_layer_reserve_weights(layer, 2));
    COTI_TRY(coti_layer_add_weight(layer, "kernel", kernel, &config->kernel));
    return config->use_bias ? coti_layer_add_weight(layer, "bias", bias, &config->bias) : COT_OK;
}

static coti_built build(const cot_layer *layer, cot_graph *graph, const cot_value *input, int32_t n,
                        bool training) {
    (void)n;
    (void)training;
    const dense_config *config = layer->config;
    cot_value y = cot_op_matmul(input[0], cot_op_state(graph, layer->weight[0]));
    if (layer->n_weights > 1) {
        y = cot_op_binary(COT_OP_ADD, y, cot_op_state(graph, layer->weight[1]));
    }
    return coti_activation_build(config->activation, y);
}

const coti_layer_class coti_class_dense = {.name = "Dense",
                                           .masking = COTI_KEEPS_MASK,
                                           .prefix = "dense",
                                           .max_inputs = 1,
                                           .infer = infer,
                                           .make_weights = make_weights,
                                           .build = build};

static cot_status read_weights(cot_context *context, const cot_dense_options *given,
                               dense_config *config, layer_part *part) {
    const coti_weight_given kernel = {"kernel", given->kernel_initializer, given->kernel_numbers,
                                      given->kernel_regularizer, given->kernel_constraint};
    const coti_weight_given bias = {"bias", given->bias_initializer, given->bias_numbers,
                                    given->bias_regularizer, given->bias_constraint};
    COTI_TRY(coti_weight_options_read(context, "dense", part->name, &kernel, &config->kernel));
    COTI_TRY(coti_weight_options_read(context, "dense", part->name, &bias, &config->bias));
    return coti_regularizer_read(context, "dense", part->name, "activity_regularizer",
                                 given->activity_regularizer, &part->activity);
}

static cot_status read_options(cot_context *context, const cot_dense_options *options,
                               dense_config *config, layer_part *part) {
    cot_dense_options own;
    COTI_TRY(coti_options_copy(context, "cot_dense", options, &own, sizeof own));
    *part = (layer_part){.name = own.name, .trainable = own.trainable != COT_OFF};
    if (own.units < 1 || own.units > COTI_SIZE_MAX) {
        return COTI_OP_FAIL(context, COT_E_ARG, "dense", own.name,
                            "units is %lld, expected 1 to 2^47", (long long)own.units);
    }
    if (!coti_activation_is_valid(own.activation)) {
        return COTI_OP_FAIL(context, COT_E_ARG, "dense", own.name,
                            "%d is no activation that keeps shapes (%s)", (int)own.activation,
                            cot_activation_name(own.activation));
    }
    config->units = own.units;
    config->activation = own.activation;
    config->use_bias = own.use_bias != COT_OFF;
    return read_weights(context, &own, config, part);
}

cot_layer *cot_dense_layer_with(cot_context *context, const cot_dense_options *options) {
    dense_config config;
    layer_part part;
    if (context == NULL || read_options(context, options, &config, &part) != COT_OK) {
        return NULL;
    }
    cot_layer *layer =
        coti_layer_create(context, &coti_class_dense, part.name, &config, sizeof config);
    if (layer != NULL) {
        layer->trainable = part.trainable;
        layer->activity = part.activity;
    }
    return layer;
}

cot_tensor cot_dense_with(cot_tensor x, const cot_dense_options *options) {
    dense_config config;
    layer_part part;
    if (x.context == NULL || read_options(x.context, options, &config, &part) != COT_OK) {
        return (cot_tensor){x.context, 0};
    }
    cot_tensor y = coti_layer_apply(&coti_class_dense, part.name, part.trainable, &config,
                                    sizeof config, (cot_tensor_list){&x, 1});
    if (y.id != 0) {
        cot_tensor_layer(y)->activity = part.activity;
    }
    return y;
}
