/*
 * Optimizers as graph operations on state: Keras's formulas, in the order in which it rounds them
 * (cotangent/training.h states them). Variables are iterations (i64), learning rate (f32), then
 * the slots of each trainable weight, in the weights' order.
 */
#include "frontend/training/training.h"

#include <math.h>

enum { MOST_SLOTS = 2 };

/* ---- options ---- */

static double value_or(double value, double otherwise) {
    return value == 0.0 && !signbit(value) ? otherwise : value;
}

/* Record a number that is not within [low, high]. */
static cot_status check_range(cot_context *context, const char *optimizer, const char *field,
                              double value, double low, double high) {
    return value >= low && value <= high ? COT_OK
                                         : COTI_FAIL_OP(context, COT_E_ARG, optimizer, NULL,
                                                        "%s: %s is %g, expected %g to %g",
                                                        optimizer, field, value, low, high);
}

/* Learning rates and epsilons are f32: none may overflow it. */
#define LARGEST 3e38

static cot_status read_sgd(cot_context *context, const cot_optimizer *given, cot_sgd_options *out) {
    COTI_TRY(coti_options_copy(context, "cot_sgd", given, out, sizeof *out));
    out->learning_rate = value_or(out->learning_rate, 0.01);
    COTI_TRY(check_range(context, "sgd", "learning_rate", out->learning_rate, 0.0, LARGEST));
    return check_range(context, "sgd", "momentum", out->momentum, 0.0, 1.0);
}

static cot_status read_adam(cot_context *context, const cot_optimizer *given,
                            cot_adam_options *out) {
    COTI_TRY(coti_options_copy(context, "cot_adam", given, out, sizeof *out));
    out->learning_rate = value_or(out->learning_rate, 0.001);
    out->beta_1 = value_or(out->beta_1, 0.9);
    out->beta_2 = value_or(out->beta_2, 0.999);
    out->epsilon = value_or(out->epsilon, 1e-7);
    COTI_TRY(check_range(context, "adam", "learning_rate", out->learning_rate, 0.0, LARGEST));
    COTI_TRY(check_range(context, "adam", "beta_1", out->beta_1, 0.0, 1.0));
    COTI_TRY(check_range(context, "adam", "beta_2", out->beta_2, 0.0, 1.0));
    return check_range(context, "adam", "epsilon", out->epsilon, 0.0, LARGEST);
}

cot_status coti_optimizer_read(cot_context *context, const cot_optimizer *given,
                               coti_optimizer *out) {
    *out = (coti_optimizer){.base = {0}};
    if (given == NULL) {
        return COT_OK;
    }
    switch (given->kind) {
    case COT_OPTIMIZER_SGD:
        return read_sgd(context, given, &out->sgd);
    case COT_OPTIMIZER_ADAM:
        return read_adam(context, given, &out->adam);
    }
    return COTI_FAIL(context, COT_E_ARG, "%d is no optimizer: begin with cot_sgd or cot_adam",
                     (int)given->kind);
}

static double learning_rate_of(const coti_optimizer *optimizer) {
    return optimizer->base.kind == COT_OPTIMIZER_ADAM ? optimizer->adam.learning_rate
                                                      : optimizer->sgd.learning_rate;
}

/* ---- variables ---- */

/* Slots of one weight, by name; their number, at most MOST_SLOTS. */
static int32_t slots_of(const coti_optimizer *optimizer, const char *name_out[MOST_SLOTS]) {
    if (optimizer->base.kind == COT_OPTIMIZER_ADAM) {
        name_out[0] = "m";
        name_out[1] = "v";
        return 2;
    }
    name_out[0] = "momentum";
    return optimizer->sgd.momentum != 0.0 ? 1 : 0;
}

int32_t coti_trainable(const cot_model *model, cot_variable **weight_out) {
    int32_t n = 0;
    for (size_t i = 0; i < model->layer.count; i++) {
        const cot_layer *layer = model->layer.data[i];
        for (int32_t k = 0; layer->trainable && k < layer->n_weights; k++, n++) {
            if (weight_out != NULL) {
                weight_out[n] = layer->weight[k];
            }
        }
    }
    return n;
}

static cot_status add_variable(coti_training *training, cot_dtype dtype, cot_shape shape,
                               const char *name) {
    cot_variable *variable = cot_variable_create(training->context, dtype, shape, name);
    if (variable == NULL) {
        return COT_E_NOMEM;
    }
    training->variable[training->n_variables++] = variable;
    return COT_OK;
}

static cot_status add_slots(coti_training *training, const cot_variable *weight) {
    const char *slot[MOST_SLOTS];
    int32_t n = slots_of(&training->optimizer, slot);
    for (int32_t i = 0; i < n; i++) {
        const char *name =
            coti_arena_printf(&training->arena, "%s/%s", cot_variable_name(weight), slot[i]);
        if (name == NULL) {
            return COT_E_NOMEM;
        }
        COTI_TRY(
            add_variable(training, cot_variable_dtype(weight), cot_variable_shape(weight), name));
    }
    return COT_OK;
}

cot_status coti_optimizer_make_variables(coti_training *training) {
    if (training->optimizer.base.kind == 0) {
        return COT_OK;
    }
    const cot_model *model = training->model;
    size_t n_weights = model->weight.count;
    training->variable = (cot_variable **)coti_arena_array(
        &training->arena, 2 + MOST_SLOTS * n_weights, sizeof(cot_variable *));
    cot_variable **weight =
        (cot_variable **)coti_arena_array(&training->arena, n_weights, sizeof(cot_variable *));
    if (training->variable == NULL || weight == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(add_variable(training, COT_I64, (cot_shape){0}, "optimizer/iterations"));
    COTI_TRY(add_variable(training, COT_F32, (cot_shape){0}, "optimizer/learning_rate"));
    float rate = (float)learning_rate_of(&training->optimizer);
    COTI_TRY(cot_variable_set(training->variable[1], &rate, sizeof rate));
    int32_t n = coti_trainable(model, weight);
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(add_slots(training, weight[i]));
    }
    return COT_OK;
}

/* ---- updates ---- */

static cot_value binary(cot_op op, cot_value a, cot_value b) {
    return cot_op_binary(op, a, b);
}

static cot_value constant_of(cot_value x, double value) {
    return cot_op_constant(x.graph, cot_value_dtype(x), value);
}

/* One weight's step: its state, gradient, slots, and the rate in its dtype. */
typedef struct step {
    cot_value weight, gradient, rate;
    cot_value slot[MOST_SLOTS];
    cot_value iterations; /* before the step, i64 */
} step;

/* w - lr*g; with momentum v' = m*v - lr*g, w + v'; Nesterov's w + m*v' - lr*g. */
static cot_status update_sgd(const cot_sgd_options *options, const step *s) {
    cot_value scaled = binary(COT_OP_MUL, s->gradient, s->rate);
    if (options->momentum == 0.0) {
        return cot_graph_update(s->weight, binary(COT_OP_SUB, s->weight, scaled));
    }
    cot_value momentum = constant_of(s->weight, options->momentum);
    cot_value velocity = binary(COT_OP_SUB, binary(COT_OP_MUL, s->slot[0], momentum), scaled);
    cot_value change = velocity;
    if (options->nesterov) {
        change = binary(COT_OP_SUB, binary(COT_OP_MUL, velocity, momentum), scaled);
    }
    COTI_TRY(cot_graph_update(s->slot[0], velocity));
    return cot_graph_update(s->weight, binary(COT_OP_ADD, s->weight, change));
}

/* 1 - beta^t, in the weights' dtype, as Keras: cancellation at small t is part of the result. */
static cot_value correction(double beta, cot_value t) {
    cot_value power = binary(COT_OP_POW, constant_of(t, beta), t);
    return binary(COT_OP_SUB, constant_of(t, 1.0), power);
}

/* x + (target - x) * (1 - beta), the factor rounded once from double. */
static cot_value approach(cot_value x, cot_value target, double beta) {
    cot_value gap = binary(COT_OP_SUB, target, x);
    return binary(COT_OP_ADD, x, binary(COT_OP_MUL, gap, constant_of(x, 1.0 - beta)));
}

static cot_status update_adam(const cot_adam_options *options, const step *s) {
    cot_value one = cot_op_constant(s->weight.graph, COT_I64, 1.0);
    cot_value t = cot_op_cast(binary(COT_OP_ADD, s->iterations, one), cot_value_dtype(s->weight));
    cot_value root = cot_op_unary(COT_OP_SQRT, correction(options->beta_2, t));
    cot_value alpha =
        binary(COT_OP_DIV, binary(COT_OP_MUL, s->rate, root), correction(options->beta_1, t));
    cot_value square = binary(COT_OP_MUL, s->gradient, s->gradient);
    cot_value m = approach(s->slot[0], s->gradient, options->beta_1);
    cot_value v = approach(s->slot[1], square, options->beta_2);
    cot_value below =
        binary(COT_OP_ADD, cot_op_unary(COT_OP_SQRT, v), constant_of(v, options->epsilon));
    cot_value change = binary(COT_OP_DIV, binary(COT_OP_MUL, m, alpha), below);
    COTI_TRY(cot_graph_update(s->slot[0], m));
    COTI_TRY(cot_graph_update(s->slot[1], v));
    return cot_graph_update(s->weight, binary(COT_OP_SUB, s->weight, change));
}

static cot_status update_one(const coti_optimizer *optimizer, const step *s) {
    return optimizer->base.kind == COT_OPTIMIZER_ADAM ? update_adam(&optimizer->adam, s)
                                                      : update_sgd(&optimizer->sgd, s);
}

static cot_status update_weights(const coti_training *training, cot_graph *graph,
                                 cot_variable *const *weight, int32_t n,
                                 const cot_value *gradient) {
    cot_value iterations = cot_op_state(graph, training->variable[0]);
    cot_value rate = cot_op_state(graph, training->variable[1]);
    cot_variable *const *slot = training->variable + 2;
    const char *slot_name[MOST_SLOTS];
    int32_t n_slots = slots_of(&training->optimizer, slot_name);
    for (int32_t i = 0; i < n; i++) {
        step s = {.weight = cot_op_state(graph, weight[i]),
                  .gradient = gradient[i],
                  .iterations = iterations};
        s.rate = cot_op_cast(rate, cot_variable_dtype(weight[i]));
        for (int32_t k = 0; k < n_slots; k++) {
            s.slot[k] = cot_op_state(graph, *slot++);
        }
        COTI_TRY(update_one(&training->optimizer, &s));
    }
    cot_value one = cot_op_constant(graph, COT_I64, 1.0);
    return cot_graph_update(iterations, binary(COT_OP_ADD, iterations, one));
}

cot_status coti_optimizer_update(const coti_training *training, cot_graph *graph,
                                 const cot_value *gradient) {
    cot_context *context = training->context;
    cot_variable **weight = (cot_variable **)coti_calloc(context, training->model->weight.count,
                                                         sizeof(cot_variable *));
    if (weight == NULL) {
        return COT_E_NOMEM;
    }
    int32_t n = coti_trainable(training->model, weight);
    cot_graph_set_layer(graph,
                        training->optimizer.base.kind == COT_OPTIMIZER_ADAM ? "adam" : "sgd");
    cot_status status = update_weights(training, graph, weight, n, gradient);
    cot_graph_set_layer(graph, NULL);
    coti_free(context, (void *)weight);
    return status;
}
