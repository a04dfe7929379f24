/*
 * Activations as graph values, and the layer that applies one. Each is an operation of its own or
 * a few; formulas stand beside the constants in cotangent/layers.h.
 */
#include "layer.h"

const char *cot_activation_name(cot_activation_kind activation) {
#define NAME(constant, name, formula) name,
    static const char *const table[] = {COT_ACTIVATION_LIST(NAME)};
#undef NAME
    return coti_activation_is_valid(activation) ? table[activation] : "?";
}

bool coti_activation_is_valid(cot_activation_kind activation) {
#define ONE(constant, name, formula) +1
    return (int)activation >= 0 && (int)activation < 0 COT_ACTIVATION_LIST(ONE);
#undef ONE
}

static cot_value scalar_of(cot_value x, double value) {
    return cot_op_constant(x.graph, cot_value_dtype(x), value);
}

static cot_value scale(cot_value x, double factor) {
    return cot_op_binary(COT_OP_MUL, x, scalar_of(x, factor));
}

/* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))). Hendrycks, Gimpel: "Gaussian error linear
 * units", section 2. */
static cot_value gelu_tanh(cot_value x) {
    cot_value cube = cot_op_binary(COT_OP_MUL, cot_op_binary(COT_OP_MUL, x, x), x);
    cot_value inner = cot_op_binary(COT_OP_ADD, x, scale(cube, 0.044715));
    cot_value gate = cot_op_unary(COT_OP_TANH, scale(inner, 0.79788456080286535588));
    cot_value open = cot_op_binary(COT_OP_ADD, gate, scalar_of(x, 1.0));
    return cot_op_binary(COT_OP_MUL, scale(x, 0.5), open);
}

coti_built coti_activation_build(cot_activation_kind activation, cot_value x) {
    coti_built built = coti_plain(x);
    switch (activation) {
    case COT_LINEAR:
        break;
    case COT_RELU:
        built.value = cot_op_unary(COT_OP_RELU, x);
        break;
    case COT_SIGMOID:
        built = (coti_built){cot_op_unary(COT_OP_SIGMOID, x), x, COT_SIGMOID};
        break;
    case COT_TANH:
        built.value = cot_op_unary(COT_OP_TANH, x);
        break;
    case COT_GELU:
        built.value = cot_op_unary(COT_OP_GELU, x);
        break;
    case COT_GELU_TANH:
        built.value = gelu_tanh(x);
        break;
    case COT_SOFTMAX:
        built = (coti_built){cot_op_softmax(x), x, COT_SOFTMAX};
        break;
    }
    return built;
}

/* ---- the layer ---- */

static cot_status infer(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out) {
    (void)n;
    const cot_activation_kind *activation = layer->config;
    if (*activation == COT_SOFTMAX && input[0].shape.rank < 2) {
        char text[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "activation", layer->name,
                            "softmax of %s: expected an axis beside the batch",
                            coti_type_text(text, input[0].dtype, &input[0].shape));
    }
    *result_out = input[0];
    return COT_OK;
}

static coti_built build(const cot_layer *layer, cot_graph *graph, const cot_value *input, int32_t n,
                        bool training) {
    (void)graph;
    (void)n;
    (void)training;
    const cot_activation_kind *activation = layer->config;
    return coti_activation_build(*activation, input[0]);
}

const coti_layer_class coti_class_activation = {
    .name = "Activation", .prefix = "activation", .max_inputs = 1, .infer = infer, .build = build};

static bool check(cot_context *context, cot_activation_kind activation, const char *name) {
    if (!coti_activation_is_valid(activation)) {
        COTI_OP_FAIL(context, COT_E_ARG, "activation", name, "%d is no activation",
                     (int)activation);
        return false;
    }
    return true;
}

cot_layer *cot_activation_layer(cot_context *context, cot_activation_kind activation,
                                const char *name) {
    if (context == NULL || !check(context, activation, name)) {
        return NULL;
    }
    return coti_layer_create(context, &coti_class_activation, name, &activation, sizeof activation);
}

cot_tensor cot_activation_with(cot_tensor x, const cot_activation_options *options) {
    cot_activation_options own;
    if (x.context == NULL ||
        coti_options_copy(x.context, "cot_activation", options, &own, sizeof own) != COT_OK ||
        !check(x.context, own.activation, own.name)) {
        return (cot_tensor){x.context, 0};
    }
    return coti_layer_apply(&coti_class_activation, own.name, true, &own.activation,
                            sizeof own.activation, (cot_tensor_list){&x, 1});
}
