/*
 * Rescaling, Normalization, CategoryEncoding: elementwise nodes on what an input loads, which fuse
 * into the first kernels of a step. Their weights, where they have some, are no training's.
 *
 * A normalization multiplies by the reciprocal of the deviation, which is made once a step and not
 * once an element: within an ulp of Keras's quotient.
 */
#include "cotangent/preprocessing.h"
#include "formula.h"
#include "layer.h"

#include <math.h>

static cot_status keep_type(const cot_layer *layer, const coti_type *input, int32_t n,
                            coti_type *result_out) {
    (void)layer;
    (void)n;
    *result_out = input[0];
    return COT_OK;
}

/* ---- rescaling ---- */

typedef struct rescaling {
    double scale, offset;
} rescaling;

static coti_built build_rescaling(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                                  int32_t n, bool training) {
    (void)graph;
    (void)n;
    (void)training;
    const rescaling *config = layer->config;
    cot_value y = coti_scale(input[0], config->scale);
    return coti_plain(config->offset == 0.0 ? y : coti_plus(y, config->offset));
}

static const coti_layer_class class_rescaling = {.name = "Rescaling",
                                                 .masking = COTI_KEEPS_MASK,
                                                 .prefix = "rescaling",
                                                 .max_inputs = 1,
                                                 .infer = keep_type,
                                                 .build = build_rescaling};

static cot_status read_rescaling(cot_context *context, const cot_rescaling_options *options,
                                 const char **name_out, rescaling *config) {
    cot_rescaling_options own;
    COTI_TRY(coti_options_copy(context, "cot_rescaling", options, &own, sizeof own));
    if (own.scale == 0.0 || !isfinite(own.scale) || !isfinite(own.offset)) {
        return COTI_OP_FAIL(context, COT_E_ARG, "rescaling", own.name,
                            "scale is %g and offset %g, expected finite numbers and a scale",
                            own.scale, own.offset);
    }
    *name_out = own.name;
    *config = (rescaling){own.scale, own.offset};
    return COT_OK;
}

cot_layer *cot_rescaling_layer_with(cot_context *context, const cot_rescaling_options *options) {
    rescaling config;
    const char *name = NULL;
    return context != NULL && read_rescaling(context, options, &name, &config) == COT_OK
               ? coti_layer_create(context, &class_rescaling, name, &config, sizeof config)
               : NULL;
}

cot_tensor cot_rescaling_with(cot_tensor x, const cot_rescaling_options *options) {
    rescaling config;
    const char *name = NULL;
    if (x.context == NULL || read_rescaling(x.context, options, &name, &config) != COT_OK) {
        return (cot_tensor){x.context, 0};
    }
    return coti_layer_apply(&class_rescaling, name, true, &config, sizeof config,
                            (cot_tensor_list){&x, 1});
}

/* ---- normalization ---- */

typedef struct normalization {
    bool scalar, invert;
    coti_weight_options mean, variance;
} normalization;

static int64_t count_statistics(const cot_layer *layer, const cot_shape *shape) {
    const normalization *config = layer->config;
    return config->scalar ? 1 : shape->dim[shape->rank - 1];
}

static cot_status infer_normalization(const cot_layer *layer, const coti_type *input, int32_t n,
                                      coti_type *result_out) {
    (void)n;
    const normalization *config = layer->config;
    const cot_shape *shape = &input[0].shape;
    char text[COTI_TYPE_BYTES];
    coti_type_text(text, input[0].dtype, shape);
    if (shape->rank < 2 && !config->scalar) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "normalization", layer->name,
                            "input is %s, expected an axis beside the batch (or scalar)", text);
    }
    if (layer->n_weights > 0) {
        const cot_shape mean = cot_variable_shape(layer->weight[0]);
        const cot_dtype dtype = cot_variable_dtype(layer->weight[0]);
        if (mean.dim[0] != count_statistics(layer, shape) || dtype != input[0].dtype) {
            return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "normalization", layer->name,
                                "input is %s, but the mean made by an earlier call is %s[%lld]",
                                text, cot_dtype_name(dtype), (long long)mean.dim[0]);
        }
    }
    *result_out = input[0];
    return COT_OK;
}

static cot_status make_statistics(cot_layer *layer, const coti_type *input) {
    const normalization *config = layer->config;
    const coti_type type = {input->dtype,
                            {.rank = 1, .dim = {count_statistics(layer, &input->shape)}}};
    COTI_TRY(coti_layer_reserve_weights(layer, 2));
    COTI_TRY(coti_layer_add_weight(layer, "mean", type, &config->mean));
    return coti_layer_add_weight(layer, "variance", type, &config->variance);
}

/* x, the statistics along its last axis. */
static coti_built build_normalization(const cot_layer *layer, cot_graph *graph,
                                      const cot_value *input, int32_t n, bool training) {
    (void)n;
    (void)training;
    const normalization *config = layer->config;
    cot_value mean = cot_op_state(graph, layer->weight[0]);
    cot_value variance = cot_op_state(graph, layer->weight[1]);
    cot_value deviation =
        cot_op_binary(COT_OP_MAX, cot_op_unary(COT_OP_SQRT, variance), coti_number(variance, 1e-7));
    if (config->invert) {
        return coti_plain(coti_add(coti_mul(input[0], deviation), mean));
    }
    cot_value factor = coti_div(coti_number(deviation, 1.0), deviation);
    return coti_plain(coti_mul(coti_sub(input[0], mean), factor));
}

const coti_layer_class coti_class_normalization = {.name = "Normalization",
                                                   .masking = COTI_KEEPS_MASK,
                                                   .prefix = "normalization",
                                                   .max_inputs = 1,
                                                   .fixed = true,
                                                   .infer = infer_normalization,
                                                   .make_weights = make_statistics,
                                                   .build = build_normalization};

cot_layer *cot_normalization_layer_with(const cot_normalization_options *options) {
    cot_context *context = options != NULL ? options->context : NULL;
    cot_normalization_options own;
    if (context == NULL || coti_options_copy(context, "cot_normalization_layer", options, &own,
                                             sizeof own) != COT_OK) {
        return NULL;
    }
    const normalization config = {.scalar = own.scalar,
                                  .invert = own.invert,
                                  .mean = {.initializer = COT_ZEROS},
                                  .variance = {.initializer = COT_ONES}};
    return coti_layer_create(context, &coti_class_normalization, own.name, &config, sizeof config);
}

/* ---- category encoding ---- */

typedef struct category_encoding {
    int64_t num_tokens;
    cot_encoding mode;
} category_encoding;

static cot_status infer_encoding(const cot_layer *layer, const coti_type *input, int32_t n,
                                 coti_type *result_out) {
    (void)n;
    const category_encoding *config = layer->config;
    const cot_shape *shape = &input[0].shape;
    const int64_t k = shape->rank > 1 ? shape->dim[shape->rank - 1] : 1;
    if (config->mode == COT_ENCODE_ONE_HOT && k != 1) {
        char text[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "category_encoding", layer->name,
                            "input is %s, one_hot expects one token a row: a last axis of 1",
                            coti_type_text(text, input[0].dtype, shape));
    }
    *result_out = input[0];
    result_out->shape.rank = shape->rank > 1 ? shape->rank : 2;
    result_out->shape.dim[result_out->shape.rank - 1] = config->num_tokens;
    return coti_shape_check(layer->context, &result_out->shape, "category_encoding", layer->name);
}

/* Tokens [N,..,k] -> [N,..,k,tokens], of which the axis k is summed or its maximum taken. */
static coti_built build_encoding(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                                 int32_t n, bool training) {
    (void)graph;
    (void)n;
    (void)training;
    const category_encoding *config = layer->config;
    const cot_shape shape = cot_value_shape(input[0]);
    cot_value token = cot_op_cast(input[0], COT_I32);
    cot_value hot = cot_op_one_hot(token, config->num_tokens, cot_value_dtype(input[0]));
    if (shape.rank < 2) {
        return coti_plain(hot);
    }
    const int32_t axis = shape.rank - 1;
    return coti_plain(
        cot_op_reduce(config->mode == COT_ENCODE_MULTI_HOT ? COT_OP_REDUCE_MAX : COT_OP_SUM, hot,
                      &axis, 1, false));
}

static const coti_layer_class class_category_encoding = {.name = "CategoryEncoding",
                                                         .prefix = "category_encoding",
                                                         .max_inputs = 1,
                                                         .infer = infer_encoding,
                                                         .build = build_encoding};

static bool is_encoding(cot_encoding mode) {
#define ONE(constant, name, meaning) +1
    return (int)mode >= 0 && (int)mode < 0 COT_ENCODING_LIST(ONE);
#undef ONE
}

static cot_status read_encoding(cot_context *context, const cot_category_encoding_options *options,
                                const char **name_out, category_encoding *config) {
    cot_category_encoding_options own;
    COTI_TRY(coti_options_copy(context, "cot_category_encoding", options, &own, sizeof own));
    if (own.num_tokens < 1 || own.num_tokens > INT32_MAX || !is_encoding(own.output_mode)) {
        return COTI_OP_FAIL(context, COT_E_ARG, "category_encoding", own.name,
                            "num_tokens is %lld and output_mode %d, expected 1 to 2^31 - 1 and a "
                            "cot_encoding",
                            (long long)own.num_tokens, (int)own.output_mode);
    }
    *name_out = own.name;
    *config = (category_encoding){own.num_tokens, own.output_mode};
    return COT_OK;
}

cot_layer *cot_category_encoding_layer_with(cot_context *context,
                                            const cot_category_encoding_options *options) {
    category_encoding config;
    const char *name = NULL;
    return context != NULL && read_encoding(context, options, &name, &config) == COT_OK
               ? coti_layer_create(context, &class_category_encoding, name, &config, sizeof config)
               : NULL;
}

cot_tensor cot_category_encoding_with(cot_tensor x, const cot_category_encoding_options *options) {
    category_encoding config;
    const char *name = NULL;
    if (x.context == NULL || read_encoding(x.context, options, &name, &config) != COT_OK) {
        return (cot_tensor){x.context, 0};
    }
    return coti_layer_apply(&class_category_encoding, name, true, &config, sizeof config,
                            (cot_tensor_list){&x, 1});
}
