/*
 * Activations as graph values, and the layer that applies one. Each is an operation of its own or
 * a few; formulas stand beside the constants in cotangent/layers.h.
 */
#include "formula.h"
#include "layer.h"

#include <math.h>
#include <string.h>

#define ONE(constant, name, formula) +1
enum { N_ACTIVATIONS = 0 COT_ACTIVATION_LIST(ONE) };
#undef ONE

static bool is_known(cot_activation_kind activation) {
    return (int)activation >= 0 && (int)activation < N_ACTIVATIONS;
}

const char *cot_activation_name(cot_activation_kind activation) {
#define NAME(constant, name, formula) name,
    static const char *const table[] = {COT_ACTIVATION_LIST(NAME)};
#undef NAME
    return is_known(activation) ? table[activation] : "?";
}

bool coti_activation_is_valid(cot_activation_kind activation) {
    return is_known(activation) && activation != COT_GLU;
}

/* ---- shorthand ---- */

static cot_value size_of(cot_value x) {
    return cot_op_unary(COT_OP_ABS, x);
}

/* (x OP value) ? then : otherwise */
static cot_value where(cot_op op, cot_value x, double value, cot_value then, cot_value otherwise) {
    return cot_op_select(cot_op_binary(op, x, coti_number(x, value)), then, otherwise);
}

/* x within [low, high], flat on the borders too; a NaN stays. */
static cot_value clip(cot_value x, double low, double high) {
    cot_value above = where(COT_OP_LE, x, low, coti_number(x, low), x);
    return where(COT_OP_GE, x, high, coti_number(x, high), above);
}

/* ---- the activations, by their formulas ---- */

static cot_value linear(cot_value x) {
    return x;
}
static cot_value relu(cot_value x) {
    return cot_op_unary(COT_OP_RELU, x);
}
static cot_value sigmoid(cot_value x) {
    return cot_op_unary(COT_OP_SIGMOID, x);
}
static cot_value tanh_of(cot_value x) {
    return cot_op_unary(COT_OP_TANH, x);
}
static cot_value gelu(cot_value x) {
    return cot_op_unary(COT_OP_GELU, x);
}

/* Hendrycks, Gimpel: "Gaussian error linear units", section 2. */
static cot_value gelu_tanh(cot_value x) {
    cot_value inner = coti_add(x, coti_scale(coti_mul(coti_mul(x, x), x), 0.044715));
    cot_value gate = tanh_of(coti_scale(inner, 0.79788456080286535588));
    return coti_mul(coti_scale(x, 0.5), coti_plus(gate, 1.0));
}

static cot_value relu6(cot_value x) {
    return where(COT_OP_GE, x, 6.0, coti_number(x, 6.0), relu(x));
}
static cot_value leaky_relu(cot_value x) {
    return where(COT_OP_GT, x, 0.0, x, coti_scale(x, 0.2));
}

/* exp(x) - 1 where x <= 0; elsewhere something finite that nobody looks at. */
static cot_value grown(cot_value x) {
    return cot_op_unary(COT_OP_EXPM1, where(COT_OP_GT, x, 0.0, coti_number(x, 0.0), x));
}
static cot_value elu(cot_value x) {
    return where(COT_OP_GT, x, 0.0, x, grown(x));
}

/* Klambauer et al., "Self-normalizing neural networks", 2017. */
static cot_value selu(cot_value x) {
    cot_value left = coti_scale(grown(x), 1.6732632423543772);
    return coti_scale(where(COT_OP_GE, x, 0.0, x, left), 1.0507009873554805);
}

static cot_value softplus(cot_value x) {
    return cot_op_unary(COT_OP_SOFTPLUS, x);
}
static cot_value softsign(cot_value x) {
    return cot_op_binary(COT_OP_DIV, x, coti_plus(size_of(x), 1.0));
}
static cot_value silu(cot_value x) {
    return coti_mul(x, sigmoid(x));
}
static cot_value mish(cot_value x) {
    return coti_mul(x, tanh_of(softplus(x)));
}
static cot_value hard_sigmoid(cot_value x) {
    return cot_op_binary(COT_OP_DIV, relu6(coti_plus(x, 3.0)), coti_number(x, 6.0));
}
static cot_value hard_silu(cot_value x) {
    return coti_mul(x, hard_sigmoid(x));
}
/* Not flat on the borders, as Keras's: a gradient passes there. */
static cot_value hard_tanh(cot_value x) {
    cot_value above = where(COT_OP_LT, x, -1.0, coti_number(x, -1.0), x);
    return where(COT_OP_GT, x, 1.0, coti_number(x, 1.0), above);
}
static cot_value exponential(cot_value x) {
    return cot_op_unary(COT_OP_EXP, x);
}
static cot_value log_sigmoid(cot_value x) {
    return cot_op_unary(COT_OP_NEG, softplus(cot_op_unary(COT_OP_NEG, x)));
}
static cot_value squareplus(cot_value x) {
    return coti_scale(coti_add(x, cot_op_unary(COT_OP_SQRT, coti_plus(coti_mul(x, x), 4.0))), 0.5);
}
static cot_value soft_shrink(cot_value x) {
    cot_value moved = coti_sub(x, coti_scale(cot_op_unary(COT_OP_SIGN, x), 0.5));
    return where(COT_OP_LE, size_of(x), 0.5, coti_number(x, 0.0), moved);
}
static cot_value hard_shrink(cot_value x) {
    return where(COT_OP_LE, size_of(x), 0.5, coti_number(x, 0.0), x);
}
static cot_value tanh_shrink(cot_value x) {
    return coti_sub(x, tanh_of(x));
}
static cot_value sparse_plus(cot_value x) {
    cot_value raised = coti_plus(x, 1.0);
    cot_value middle = coti_scale(coti_mul(raised, raised), 0.25);
    return where(COT_OP_LE, x, -1.0, coti_number(x, 0.0), where(COT_OP_LT, x, 1.0, middle, x));
}
static cot_value sparse_sigmoid(cot_value x) {
    return clip(coti_scale(coti_plus(x, 1.0), 0.5), 0.0, 1.0);
}

/*
 * Martins, Astudillo: "From softmax to sparsemax", 2016, algorithm 1: with z sorted downwards and c
 * its running sums, k is the number of i (from 1) with 1 + i z_i > c_i; y = max(x - (c_k - 1)/k,
 * 0).
 */
static cot_value sparsemax(cot_value x) {
    const int32_t last = -1;
    cot_shape shape = cot_value_shape(x);
    cot_value z = cot_op_sort(x, true);
    cot_value rank =
        coti_plus(cot_op_iota(x.graph, cot_value_dtype(x), shape, shape.rank - 1), 1.0);
    cot_value above = coti_plus(coti_mul(rank, z), 1.0);
    cot_value is_in = cot_op_binary(COT_OP_GT, above, cot_op_cumsum(z, shape.rank - 1));
    cot_value member = cot_op_cast(is_in, cot_value_dtype(x));
    cot_value k = cot_op_reduce(COT_OP_SUM, member, &last, 1, true);
    cot_value sum =
        cot_op_reduce(COT_OP_SUM, cot_op_select(is_in, z, coti_number(z, 0.0)), &last, 1, true);
    return relu(coti_sub(x, cot_op_binary(COT_OP_DIV, coti_plus(sum, -1.0), k)));
}

static cot_value threshold(cot_value x) {
    return where(COT_OP_GT, x, 0.0, x, coti_number(x, 0.0));
}

/* Dauphin et al., "Language modeling with gated convolutional networks", 2017. */
static cot_value glu(cot_value x) {
    if (x.graph == NULL) {
        return x;
    }
    const cot_shape shape = cot_value_shape(x);
    int64_t start[COT_MAX_RANK] = {0}, size[COT_MAX_RANK], stride[COT_MAX_RANK];
    const int32_t last = shape.rank - 1;
    memcpy(size, shape.dim, sizeof size);
    for (int32_t i = 0; i < shape.rank; i++) {
        stride[i] = 1;
    }
    size[last] /= 2;
    cot_value a = cot_op_slice(x, start, size, stride);
    start[last] = size[last];
    return coti_mul(a, sigmoid(cot_op_slice(x, start, size, stride)));
}

static cot_value (*const functions[])(cot_value x) = {
    [COT_LINEAR] = linear,
    [COT_RELU] = relu,
    [COT_SIGMOID] = sigmoid,
    [COT_TANH] = tanh_of,
    [COT_GELU] = gelu,
    [COT_GELU_TANH] = gelu_tanh,
    [COT_SOFTMAX] = cot_op_softmax,
    [COT_RELU6] = relu6,
    [COT_LEAKY_RELU] = leaky_relu,
    [COT_ELU] = elu,
    [COT_SELU] = selu,
    [COT_CELU] = elu,
    [COT_SOFTPLUS] = softplus,
    [COT_SOFTSIGN] = softsign,
    [COT_SILU] = silu,
    [COT_MISH] = mish,
    [COT_HARD_SIGMOID] = hard_sigmoid,
    [COT_HARD_SILU] = hard_silu,
    [COT_HARD_TANH] = hard_tanh,
    [COT_EXPONENTIAL] = exponential,
    [COT_LOG_SIGMOID] = log_sigmoid,
    [COT_LOG_SOFTMAX] = cot_op_log_softmax,
    [COT_SQUAREPLUS] = squareplus,
    [COT_SOFT_SHRINK] = soft_shrink,
    [COT_HARD_SHRINK] = hard_shrink,
    [COT_TANH_SHRINK] = tanh_shrink,
    [COT_SPARSE_PLUS] = sparse_plus,
    [COT_SPARSE_SIGMOID] = sparse_sigmoid,
    [COT_SPARSEMAX] = sparsemax,
    [COT_THRESHOLD] = threshold,
    [COT_GLU] = glu,
};

/* ---- with other numbers ---- */

#define NUMBER(field, otherwise, low, high)                                                        \
    {#field, offsetof(cot_activation_options, field), otherwise, low, high}
#define END {NULL, 0, 0.0, 0.0, 0.0}
#define LARGEST 1e30
static const coti_option no_numbers[] = {END};
static const coti_option relu_numbers[] = {NUMBER(negative_slope, 0.0, 0.0, LARGEST),
                                           NUMBER(max_value, INFINITY, 0.0, INFINITY),
                                           NUMBER(threshold, 0.0, -LARGEST, LARGEST), END};
static const coti_option leaky_numbers[] = {NUMBER(negative_slope, 0.2, 0.0, LARGEST), END};
static const coti_option elu_numbers[] = {NUMBER(alpha, 1.0, -LARGEST, LARGEST), END};
static const coti_option celu_numbers[] = {NUMBER(alpha, 1.0, 1e-30, LARGEST), END};
static const coti_option squareplus_numbers[] = {NUMBER(b, 4.0, 1e-30, LARGEST), END};
static const coti_option shrink_numbers[] = {NUMBER(threshold, 0.5, 0.0, LARGEST), END};
static const coti_option threshold_numbers[] = {NUMBER(threshold, 0.0, -LARGEST, LARGEST),
                                                NUMBER(default_value, 0.0, -LARGEST, LARGEST), END};
/* Of all activations. */
static const coti_option all_numbers[] = {NUMBER(negative_slope, 0.0, 0.0, 0.0),
                                          NUMBER(max_value, 0.0, 0.0, 0.0),
                                          NUMBER(threshold, 0.0, 0.0, 0.0),
                                          NUMBER(alpha, 0.0, 0.0, 0.0),
                                          NUMBER(b, 0.0, 0.0, 0.0),
                                          NUMBER(default_value, 0.0, 0.0, 0.0),
                                          END};

static cot_value relu_of(cot_value x, const cot_activation_options *o) {
    const double h = o->threshold, m = o->max_value;
    if (h == 0.0 && isinf(m)) {
        return where(COT_OP_GT, x, 0.0, x, coti_scale(x, o->negative_slope));
    }
    cot_value y = h == 0.0 ? relu(x) : where(COT_OP_GT, x, h, x, coti_number(x, 0.0));
    if (h == 0.0 && m == 6.0) {
        y = relu6(x);
    } else if (!isinf(m)) {
        y = where(COT_OP_GT, y, m, coti_number(y, m),
                  where(COT_OP_LT, y, 0.0, coti_number(y, 0.0), y));
    }
    if (o->negative_slope == 0.0) {
        return y;
    }
    cot_value below = relu(coti_sub(coti_number(x, h), x));
    return coti_sub(y, coti_scale(below, o->negative_slope));
}
static cot_value leaky_relu_of(cot_value x, const cot_activation_options *o) {
    return where(COT_OP_GT, x, 0.0, x, coti_scale(x, o->negative_slope));
}
static cot_value elu_of(cot_value x, const cot_activation_options *o) {
    return where(COT_OP_GT, x, 0.0, x, coti_scale(grown(x), o->alpha));
}
static cot_value celu_of(cot_value x, const cot_activation_options *o) {
    return where(COT_OP_GT, x, 0.0, x, coti_scale(grown(coti_scale(x, 1.0 / o->alpha)), o->alpha));
}
static cot_value squareplus_of(cot_value x, const cot_activation_options *o) {
    cot_value size = cot_op_unary(COT_OP_SQRT, coti_plus(coti_mul(x, x), o->b));
    return coti_scale(coti_add(x, size), 0.5);
}
static cot_value soft_shrink_of(cot_value x, const cot_activation_options *o) {
    cot_value moved = coti_sub(x, coti_scale(cot_op_unary(COT_OP_SIGN, x), o->threshold));
    return where(COT_OP_LE, size_of(x), o->threshold, coti_number(x, 0.0), moved);
}
static cot_value hard_shrink_of(cot_value x, const cot_activation_options *o) {
    return where(COT_OP_LE, size_of(x), o->threshold, coti_number(x, 0.0), x);
}
static cot_value threshold_of(cot_value x, const cot_activation_options *o) {
    return where(COT_OP_GT, x, o->threshold, x, coti_number(x, o->default_value));
}

/* An activation that numbers change. */
typedef struct told {
    const coti_option *numbers;
    cot_value (*build)(cot_value x, const cot_activation_options *options);
} told;
static const told told_kinds[N_ACTIVATIONS] = {
    [COT_RELU] = {relu_numbers, relu_of},
    [COT_LEAKY_RELU] = {leaky_numbers, leaky_relu_of},
    [COT_ELU] = {elu_numbers, elu_of},
    [COT_CELU] = {celu_numbers, celu_of},
    [COT_SQUAREPLUS] = {squareplus_numbers, squareplus_of},
    [COT_SOFT_SHRINK] = {shrink_numbers, soft_shrink_of},
    [COT_HARD_SHRINK] = {shrink_numbers, hard_shrink_of},
    [COT_THRESHOLD] = {threshold_numbers, threshold_of},
    [COT_GLU] = {no_numbers, NULL},
};
#undef NUMBER
#undef END
#undef LARGEST

/* Is the number at this offset one of the list? */
static bool is_among(const coti_option *list, size_t offset) {
    while (list->name != NULL && list->offset != offset) {
        list++;
    }
    return list->name != NULL;
}

static double number_at(const cot_activation_options *options, size_t offset) {
    double value = 0.0;
    memcpy(&value, (const char *)options + offset, sizeof value);
    return value;
}

/* Fill in the numbers that the activation has; none is given that it has not. */
static cot_status read_numbers(cot_context *context, cot_activation_options *options,
                               bool *is_told_out) {
    const told *kind = &told_kinds[options->activation];
    const coti_option *own = kind->numbers != NULL ? kind->numbers : no_numbers;
    *is_told_out = false;
    for (const coti_option *number = all_numbers; number->name != NULL; number++) {
        double value = number_at(options, number->offset);
        bool is_given = value != 0.0 || signbit(value);
        *is_told_out = *is_told_out || is_given;
        if (is_given && !is_among(own, number->offset)) {
            return COTI_OP_FAIL(context, COT_E_ARG, "activation", options->name,
                                "%s is %g, but %s has no such number", number->name, value,
                                cot_activation_name(options->activation));
        }
    }
    return coti_options_numbers(context, "activation", own, options);
}

/* Is it over the last axis? */
static bool is_over_axis(cot_activation_kind activation) {
    return activation == COT_SOFTMAX || activation == COT_LOG_SOFTMAX ||
           activation == COT_SPARSEMAX || activation == COT_GLU;
}

coti_built coti_activation_build(cot_activation_kind activation, cot_value x) {
    coti_built built = coti_plain(functions[activation](x));
    if (activation == COT_SOFTMAX || activation == COT_SIGMOID) {
        built.logits = x;
        built.squashed = activation;
    }
    return built;
}

/* ---- the layer ---- */

typedef struct settings {
    bool is_told; /* numbers, complete, stand in options */
    cot_activation_options options;
} settings;

static cot_status infer(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out) {
    (void)n;
    const settings *config = layer->config;
    const cot_activation_kind activation = config->options.activation;
    const cot_shape *shape = &input[0].shape;
    char text[COTI_TYPE_BYTES];
    if (is_over_axis(activation) && shape->rank < 2) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "activation", layer->name,
                            "%s of %s: expected an axis beside the batch",
                            cot_activation_name(activation),
                            coti_type_text(text, input[0].dtype, shape));
    }
    *result_out = input[0];
    if (activation == COT_GLU) {
        int64_t *last = &result_out->shape.dim[shape->rank - 1];
        if (*last % 2 != 0) {
            return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "activation", layer->name,
                                "glu of %s: expected a last axis that can be halved",
                                coti_type_text(text, input[0].dtype, shape));
        }
        *last /= 2;
    }
    return COT_OK;
}

static coti_built build(const cot_layer *layer, cot_graph *graph, const cot_value *input, int32_t n,
                        bool training) {
    (void)graph;
    (void)n;
    (void)training;
    const settings *config = layer->config;
    const cot_activation_kind activation = config->options.activation;
    return config->is_told ? coti_plain(told_kinds[activation].build(input[0], &config->options))
                           : coti_activation_build(activation, input[0]);
}

const coti_layer_class coti_class_activation = {.name = "Activation",
                                                .masking = COTI_KEEPS_MASK,
                                                .prefix = "activation",
                                                .max_inputs = 1,
                                                .infer = infer,
                                                .build = build};

/* Complete, and without the name, which is the caller's. */
static bool read_settings(cot_context *context, const cot_activation_options *options,
                          settings *config_out, const char **name_out) {
    memset(config_out, 0, sizeof *config_out);
    cot_activation_options *own = &config_out->options;
    if (coti_options_copy(context, "cot_activation", options, own, sizeof *own) != COT_OK) {
        return false;
    }
    *name_out = own->name;
    if (!is_known(own->activation)) {
        COTI_OP_FAIL(context, COT_E_ARG, "activation", own->name, "%d is no activation",
                     (int)own->activation);
        return false;
    }
    if (read_numbers(context, own, &config_out->is_told) != COT_OK) {
        return false;
    }
    own->name = NULL;
    return true;
}

cot_layer *cot_activation_layer_with(cot_context *context, const cot_activation_options *options) {
    settings config;
    const char *name = NULL;
    if (context == NULL || !read_settings(context, options, &config, &name)) {
        return NULL;
    }
    return coti_layer_create(context, &coti_class_activation, name, &config, sizeof config);
}

cot_layer *cot_activation_layer(cot_context *context, cot_activation_kind activation,
                                const char *name) {
    cot_activation_options options = COT_ACTIVATION_OPTIONS_INIT;
    options.activation = activation;
    options.name = name;
    return cot_activation_layer_with(context, &options);
}

cot_tensor cot_activation_with(cot_tensor x, const cot_activation_options *options) {
    settings config;
    const char *name = NULL;
    if (x.context == NULL || !read_settings(x.context, options, &config, &name)) {
        return (cot_tensor){x.context, 0};
    }
    return coti_layer_apply(&coti_class_activation, name, true, &config, sizeof config,
                            (cot_tensor_list){&x, 1});
}
