/*
 * PReLU, a rectifier whose negative slope is learnt, and Maxout, the largest of several units: the
 * activations that are layers of their own. Maxout is TensorFlow Addons': Keras has none.
 */
#include "frontend/layers/formula.h"
#include "layer.h"

/* ---- PReLU ---- */

typedef struct prelu_config {
    int32_t shared_axes[COT_MAX_RANK];
    int32_t n_shared_axes;
    coti_weight_options alpha;
} prelu_config;

/* [N,a,b] -> [a,b], with extents of 1 on the axes that share their slopes. */
static cot_shape alpha_shape(const prelu_config *config, const cot_shape *input) {
    cot_shape shape = {.rank = input->rank - 1};
    for (int32_t i = 0; i < shape.rank; i++) {
        shape.dim[i] = input->dim[i + 1];
    }
    for (int32_t i = 0; i < config->n_shared_axes; i++) {
        shape.dim[config->shared_axes[i] - 1] = 1;
    }
    return shape;
}

static cot_status infer_prelu(const cot_layer *layer, const coti_type *input, int32_t n,
                              coti_type *result_out) {
    (void)n;
    const prelu_config *config = layer->config;
    char text[COTI_TYPE_BYTES];
    coti_type_text(text, input[0].dtype, &input[0].shape);
    for (int32_t i = 0; i < config->n_shared_axes; i++) {
        if (config->shared_axes[i] >= input[0].shape.rank) {
            return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "prelu", layer->name,
                                "input is %s, it has no axis %d to share slopes along", text,
                                (int)config->shared_axes[i]);
        }
    }
    if (layer->n_weights > 0) {
        cot_shape wanted = alpha_shape(config, &input[0].shape);
        cot_shape alpha = cot_variable_shape(layer->weight[0]);
        if (!coti_shape_equal(&wanted, &alpha) ||
            cot_variable_dtype(layer->weight[0]) != input[0].dtype) {
            return COTI_OP_FAIL(
                layer->context, COT_E_SHAPE, "prelu", layer->name,
                "input is %s, which does not fit the slopes made by an earlier call", text);
        }
    }
    *result_out = input[0];
    return COT_OK;
}

static cot_status make_prelu_weights(cot_layer *layer, const coti_type *input) {
    const prelu_config *config = layer->config;
    const coti_type alpha = {input->dtype, alpha_shape(config, &input->shape)};
    COTI_TRY(coti_layer_reserve_weights(layer, 1));
    return coti_layer_add_weight(layer, "alpha", alpha, &config->alpha);
}

/* relu(x) - alpha relu(-x) */
static coti_built build_prelu(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                              int32_t n, bool training) {
    (void)n;
    (void)training;
    cot_value alpha = cot_op_state(graph, layer->weight[0]);
    cot_value below = cot_op_unary(COT_OP_RELU, cot_op_unary(COT_OP_NEG, input[0]));
    return coti_plain(coti_sub(cot_op_unary(COT_OP_RELU, input[0]), coti_mul(alpha, below)));
}

const coti_layer_class coti_class_prelu = {.name = "PReLU",
                                           .masking = COTI_KEEPS_MASK,
                                           .prefix = "p_re_lu",
                                           .max_inputs = 1,
                                           .infer = infer_prelu,
                                           .make_weights = make_prelu_weights,
                                           .build = build_prelu};

static cot_status read_prelu(cot_context *context, const cot_prelu_options *options,
                             prelu_config *config, cot_prelu_options *own) {
    COTI_TRY(coti_options_copy(context, "cot_prelu", options, own, sizeof *own));
    *config = (prelu_config){.n_shared_axes = own->n_shared_axes};
    bool ascend = own->n_shared_axes >= 0 && own->n_shared_axes <= COT_MAX_RANK;
    for (int32_t i = 0; ascend && i < own->n_shared_axes; i++) {
        config->shared_axes[i] = own->shared_axes[i];
        ascend =
            own->shared_axes[i] >= 1 && (i == 0 || own->shared_axes[i] > own->shared_axes[i - 1]);
    }
    if (!ascend) {
        return COTI_OP_FAIL(context, COT_E_ARG, "prelu", own->name,
                            "shared_axes must ascend from 1 on, the batch being axis 0");
    }
    cot_initializer initializer = own->alpha_initializer;
    const coti_weight_given alpha = {
        "alpha", initializer == COT_INITIALIZER_DEFAULT ? COT_ZEROS : initializer,
        own->alpha_numbers, own->alpha_regularizer, own->alpha_constraint};
    return coti_weight_options_read(context, "prelu", own->name, &alpha, &config->alpha);
}

cot_layer *cot_prelu_layer_with(cot_context *context, const cot_prelu_options *options) {
    prelu_config config;
    cot_prelu_options own;
    if (context == NULL || read_prelu(context, options, &config, &own) != COT_OK) {
        return NULL;
    }
    return coti_layer_create(context, &coti_class_prelu, own.name, &config, sizeof config);
}

cot_tensor cot_prelu_with(const cot_prelu_options *options) {
    prelu_config config;
    cot_prelu_options own;
    cot_context *context = options != NULL ? options->input.context : NULL;
    if (context == NULL || read_prelu(context, options, &config, &own) != COT_OK) {
        return (cot_tensor){context, 0};
    }
    return coti_layer_apply(&coti_class_prelu, own.name, true, &config, sizeof config,
                            (cot_tensor_list){&own.input, 1});
}

/* ---- Maxout ---- */

typedef struct maxout_config {
    int64_t num_units;
    int32_t axis; /* negative: from the end */
} maxout_config;

static int32_t axis_of(const maxout_config *config, const cot_shape *shape) {
    return config->axis < 0 ? shape->rank + config->axis : config->axis;
}

static cot_status infer_maxout(const cot_layer *layer, const coti_type *input, int32_t n,
                               coti_type *result_out) {
    (void)n;
    const maxout_config *config = layer->config;
    const cot_shape *shape = &input[0].shape;
    int32_t axis = axis_of(config, shape);
    char text[COTI_TYPE_BYTES];
    if (axis < 1 || axis >= shape->rank || shape->rank >= COT_MAX_RANK ||
        shape->dim[axis] % config->num_units != 0 || shape->dim[axis] == 0) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "maxout", layer->name,
                            "input is %s, expected a multiple of %lld elements along axis %d, not "
                            "the batch's",
                            coti_type_text(text, input[0].dtype, shape),
                            (long long)config->num_units, (int)config->axis);
    }
    *result_out = input[0];
    result_out->shape.dim[axis] = config->num_units;
    return COT_OK;
}

/* Axis C becomes (C / units, units), of which the first is reduced. */
static coti_built build_maxout(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                               int32_t n, bool training) {
    (void)graph;
    (void)n;
    (void)training;
    const maxout_config *config = layer->config;
    cot_shape shape = cot_value_shape(input[0]);
    int32_t axis = axis_of(config, &shape);
    for (int32_t i = shape.rank; i > axis; i--) {
        shape.dim[i] = shape.dim[i - 1];
    }
    shape.rank++;
    shape.dim[axis] = shape.dim[axis + 1] / config->num_units;
    shape.dim[axis + 1] = config->num_units;
    cot_value parts = cot_op_reshape(input[0], shape);
    return coti_plain(cot_op_reduce(COT_OP_REDUCE_MAX, parts, &axis, 1, false));
}

const coti_layer_class coti_class_maxout = {.name = "Maxout",
                                            .prefix = "maxout",
                                            .max_inputs = 1,
                                            .infer = infer_maxout,
                                            .build = build_maxout};

static cot_status read_maxout(cot_context *context, const cot_maxout_options *options,
                              maxout_config *config, const char **name_out) {
    cot_maxout_options own;
    COTI_TRY(coti_options_copy(context, "cot_maxout", options, &own, sizeof own));
    *config = (maxout_config){own.num_units, own.axis == 0 ? -1 : own.axis};
    *name_out = own.name;
    return own.num_units >= 1
               ? COT_OK
               : COTI_OP_FAIL(context, COT_E_ARG, "maxout", own.name,
                              "num_units is %lld, expected 1 or more", (long long)own.num_units);
}

cot_layer *cot_maxout_layer_with(cot_context *context, const cot_maxout_options *options) {
    maxout_config config;
    const char *name = NULL;
    if (context == NULL || read_maxout(context, options, &config, &name) != COT_OK) {
        return NULL;
    }
    return coti_layer_create(context, &coti_class_maxout, name, &config, sizeof config);
}

cot_tensor cot_maxout_with(cot_tensor x, const cot_maxout_options *options) {
    maxout_config config;
    const char *name = NULL;
    if (x.context == NULL || read_maxout(x.context, options, &config, &name) != COT_OK) {
        return (cot_tensor){x.context, 0};
    }
    return coti_layer_apply(&coti_class_maxout, name, true, &config, sizeof config,
                            (cot_tensor_list){&x, 1});
}
