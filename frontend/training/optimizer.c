/*
 * What every optimizer does around its rule, as graph operations on state, in Keras's order:
 *
 *     gradient / loss_scale_factor -> collect -> clip -> decay of the weight -> rule -> average
 *
 * Where gradients are collected over k steps, all new values but the collected gradient and the
 * average are taken in the last of them only: a step's work is the same always, its effect is not.
 * Each weight's chain ends in updates of its own states, so that fusion can put it into the
 * epilogue of the product that makes the gradient.
 */
#include "frontend/layers/formula.h"
#include "frontend/training/schedule.h"
#include "frontend/training/training.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* ---- options ---- */

const char *cot_optimizer_name(cot_optimizer_kind kind) {
    const coti_optimizer_class *class = coti_optimizer_class_of(kind);
    return class != NULL ? class->name : "?";
}

#define LARGEST 3e38
#define COMMON(field, otherwise, low, high)                                                        \
    {#field, offsetof(cot_optimizer_options, field), (otherwise), (low), (high)}
static const coti_option common_options[] = {COMMON(decay, 0.0, 0.0, LARGEST),
                                             COMMON(clipnorm, 0.0, 0.0, LARGEST),
                                             COMMON(clipvalue, 0.0, 0.0, LARGEST),
                                             COMMON(global_clipnorm, 0.0, 0.0, LARGEST),
                                             COMMON(ema_momentum, 0.99, 0.0, 1.0),
                                             COMMON(loss_scale_factor, 1.0, 1e-30, LARGEST),
                                             COMMON(initial_scale, 32768.0, 1e-30, LARGEST),
                                             {NULL, 0, 0.0, 0.0, 0.0}};

static cot_status check_counts(cot_context *context, const char *name,
                               const cot_optimizer_options *options) {
    int32_t n_clips = (options->clipnorm != 0.0) + (options->clipvalue != 0.0) +
                      (options->global_clipnorm != 0.0);
    if (n_clips > 1) {
        return COTI_FAIL_OP(context, COT_E_ARG, name, NULL,
                            "%s: %d of clipnorm, clipvalue and global_clipnorm are set, expected "
                            "at most one",
                            name, (int)n_clips);
    }
    if (options->gradient_accumulation_steps < 0 || options->ema_overwrite_frequency < 0) {
        return COTI_FAIL_OP(context, COT_E_ARG, name, NULL,
                            "%s: gradient_accumulation_steps is %d, ema_overwrite_frequency %d, "
                            "expected 0 or more",
                            name, (int)options->gradient_accumulation_steps,
                            (int)options->ema_overwrite_frequency);
    }
    if (options->dynamic_growth_steps < 0 ||
        (options->dynamic_loss_scale && options->loss_scale_factor != 1.0)) {
        return COTI_FAIL_OP(context, COT_E_ARG, name, NULL,
                            "%s: dynamic_growth_steps is %d, loss_scale_factor %g: expected 0 or "
                            "more, and no factor beside a dynamic scale",
                            name, (int)options->dynamic_growth_steps, options->loss_scale_factor);
    }
    return COT_OK;
}

/* The schedule, copied; `decay` is another way to say one. */
static cot_status read_schedule(cot_context *context, coti_arena *arena, const char *name,
                                cot_optimizer_options *all) {
    if (all->schedule == NULL) {
        return COT_OK;
    }
    if (all->decay != 0.0) {
        return COTI_FAIL_OP(context, COT_E_ARG, name, NULL,
                            "%s: decay is %g beside a schedule, expected one of them", name,
                            all->decay);
    }
    return coti_schedule_read(context, arena, all->schedule, all->learning_rate, &all->schedule);
}

/* The rules of weights, copied, with defaults filled in. */
static cot_status read_rules(cot_context *context, coti_arena *arena, const char *name,
                             cot_optimizer_options *all) {
    cot_weight_rule_list *list = &all->weight_rules;
    size_t n = list->rule != NULL && list->n > 0 ? (size_t)list->n : 0;
    if (n == 0) {
        *list = (cot_weight_rule_list){NULL, 0};
        return COT_OK;
    }
    cot_weight_rule *own = coti_arena_array(arena, n, sizeof *own);
    for (size_t i = 0; own != NULL && i < n; i++) {
        own[i] = list->rule[i];
        double factor = own[i].learning_rate_multiplier;
        own[i].learning_rate_multiplier = factor == 0.0 && !signbit(factor) ? 1.0 : factor;
        if (own[i].weights == NULL || !(factor >= 0.0 && factor <= LARGEST)) {
            return COTI_FAIL_OP(
                context, COT_E_ARG, name, NULL,
                "%s: rule %d for weights \"%.64s\": learning_rate_multiplier is %g, "
                "expected a name and 0 or more",
                name, (int)i, own[i].weights != NULL ? own[i].weights : "(NULL)", factor);
        }
        own[i].weights = coti_arena_strdup(arena, own[i].weights);
        if (own[i].weights == NULL) {
            return COT_E_NOMEM;
        }
    }
    list->rule = own;
    return own != NULL ? COT_OK : COT_E_NOMEM;
}

cot_status coti_optimizer_read(cot_context *context, coti_arena *arena, const cot_optimizer *given,
                               coti_optimizer *out) {
    *out = (coti_optimizer){.base = {0}};
    if (given == NULL) {
        return COT_OK;
    }
    const coti_optimizer_class *class = coti_optimizer_class_of(given->kind);
    if (class == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "%d is no optimizer: begin with cot_sgd or another",
                         (int)given->kind);
    }
    COTI_TRY(coti_options_copy(context, class->name, given, out, class->options_bytes));
    COTI_TRY(coti_options_numbers(context, class->name, common_options, out));
    COTI_TRY(coti_options_numbers(context, class->name, class->option, out));
    COTI_TRY(read_schedule(context, arena, class->name, &out->all));
    COTI_TRY(read_rules(context, arena, class->name, &out->all));
    COTI_TRY(check_counts(context, class->name, &out->all));
    return class->check != NULL ? class->check(context, out) : COT_OK;
}

/* ---- variables ---- */

enum {
    AVERAGE_AND_COLLECTED = 2,
    FIRST_OF_WEIGHTS = 2, /* behind iterations, learning rate */
    LAST = 3              /* the loss's scale and its steps, Nadam's product */
};

static bool collects(const coti_optimizer *optimizer) {
    return optimizer->all.gradient_accumulation_steps > 1;
}

int32_t coti_trainable(const cot_model *model, coti_trainee *out) {
    int32_t n = 0;
    for (size_t i = 0; i < model->layer.count; i++) {
        const cot_layer *layer = model->layer.data[i];
        for (int32_t k = 0; k < layer->n_weights; k++) {
            if (!coti_layer_trains_weight(layer, k)) {
                continue;
            }
            if (out != NULL) {
                out[n] = (coti_trainee){layer->weight[k], layer->weight_options[k]};
            }
            n++;
        }
    }
    return n;
}

/* The rules for a weight, as one. */
static cot_weight_rule rule_of(const coti_optimizer *optimizer, const cot_variable *weight) {
    const cot_weight_rule_list *list = &optimizer->all.weight_rules;
    cot_weight_rule all = {NULL, 1.0, false, false};
    for (int32_t i = 0; i < list->n; i++) {
        const cot_weight_rule *rule = &list->rule[i];
        if (strstr(cot_variable_name(weight), rule->weights) != NULL) {
            all.learning_rate_multiplier *= rule->learning_rate_multiplier;
            all.no_weight_decay = all.no_weight_decay || rule->no_weight_decay;
            all.no_muon = all.no_muon || rule->no_muon;
        }
    }
    return all;
}

static coti_place_of place_of(const coti_optimizer *optimizer, const cot_variable *weight) {
    coti_place_of place = {cot_variable_shape(weight), false};
    if (optimizer->base.kind == COT_OPTIMIZER_MUON) {
        bool embeds = optimizer->muon.exclude_embeddings != COT_OFF &&
                      strstr(cot_variable_name(weight), "embedding") != NULL;
        place.adamw = place.shape.rank != 2 || embeds || rule_of(optimizer, weight).no_muon;
    }
    return place;
}

/* Every element begins as `initial`. */
static cot_status add_variable(coti_training *training, cot_dtype dtype, cot_shape shape,
                               const char *name, double initial) {
    cot_variable *variable = cot_variable_create(training->context, dtype, shape, name);
    if (variable == NULL) {
        return COT_E_NOMEM;
    }
    training->variable[training->n_variables++] = variable;
    if (initial != 0.0) { /* as it is */
        coti_variable_fill(variable, initial);
    }
    return COT_OK;
}

/* A variable of a weight: "dense/kernel/m". */
static cot_status add_slot(coti_training *training, const cot_variable *weight,
                           const coti_slot *slot) {
    const char *name =
        coti_arena_printf(&training->arena, "%s/%s", cot_variable_name(weight), slot->name);
    return name == NULL ? COT_E_NOMEM
                        : add_variable(training, cot_variable_dtype(weight), slot->shape, name,
                                       slot->initial);
}

static cot_status add_slots(coti_training *training, const cot_variable *weight) {
    const coti_optimizer *optimizer = &training->optimizer;
    const cot_shape shape = cot_variable_shape(weight);
    coti_slot slot[COTI_MOST_SLOTS];
    if (optimizer->all.use_ema) {
        COTI_TRY(add_slot(training, weight, &(coti_slot){"average", shape, 0.0}));
    }
    if (collects(optimizer)) {
        COTI_TRY(add_slot(training, weight, &(coti_slot){"collected_gradient", shape, 0.0}));
    }
    const coti_place_of place = place_of(optimizer, weight);
    int32_t n = coti_optimizer_class_of(optimizer->base.kind)->slots(optimizer, &place, slot);
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(add_slot(training, weight, &slot[i]));
    }
    return COT_OK;
}

const cot_variable *coti_optimizer_slot(const coti_training *training, const cot_variable *weight,
                                        const char *name, int32_t *from) {
    const char *stem = cot_variable_name(weight);
    size_t n = strlen(stem);
    for (int32_t i = *from; i < training->n_variables; i++) {
        const char *own = cot_variable_name(training->variable[i]);
        if (strncmp(own, stem, n) == 0 && own[n] == '/' && strcmp(own + n + 1, name) == 0) {
            *from = i + 1;
            return training->variable[i];
        }
    }
    return NULL;
}

cot_status coti_optimizer_make_variables(coti_training *training) {
    const coti_optimizer_class *class = coti_optimizer_class_of(training->optimizer.base.kind);
    if (class == NULL) {
        return COT_OK;
    }
    const cot_model *model = training->model;
    size_t n_weights = model->weight.count;
    size_t most = FIRST_OF_WEIGHTS + (AVERAGE_AND_COLLECTED + COTI_MOST_SLOTS) * n_weights + LAST;
    training->variable =
        (cot_variable **)coti_arena_array(&training->arena, most, sizeof(cot_variable *));
    coti_trainee *weight = coti_arena_array(&training->arena, n_weights, sizeof *weight);
    if (training->variable == NULL || weight == NULL) {
        return COT_E_NOMEM;
    }
    const cot_shape scalar = {0};
    const cot_schedule *schedule = training->optimizer.all.schedule;
    double rate = training->optimizer.all.learning_rate;
    if (schedule != NULL) {
        COTI_TRY(coti_schedule_at(training->context, schedule, 0, &rate));
    }
    COTI_TRY(add_variable(training, COT_I64, scalar, "optimizer/iterations", 0.0));
    COTI_TRY(add_variable(training, COT_F32, scalar, "optimizer/learning_rate", rate));
    int32_t n = coti_trainable(model, weight);
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(add_slots(training, weight[i].variable));
    }
    if (training->optimizer.all.dynamic_loss_scale) {
        double scale = training->optimizer.all.initial_scale;
        training->i_scale = training->n_variables;
        COTI_TRY(add_variable(training, COT_F32, scalar, "optimizer/dynamic_scale", scale));
        COTI_TRY(add_variable(training, COT_I64, scalar, "optimizer/scale_steps", 0.0));
    }
    return class->has_product
               ? add_variable(training, COT_F32, scalar, "optimizer/momentum_product", 1.0)
               : COT_OK;
}

/* ---- updates ---- */

static cot_value binary(cot_op op, cot_value a, cot_value b) {
    return cot_op_binary(op, a, b);
}

/* What the whole step shares. */
typedef struct update {
    const coti_optimizer *optimizer;
    const coti_optimizer_class *class;
    cot_variable *const *next; /* the next weight's variables */
    cot_value iterations;      /* steps before this one, i64 */
    cot_value done;            /* updates before this one, i64: iterations / k */
    cot_value is_update;       /* do weights change in this step? bool; poison: always */
    cot_value is_finite;       /* are all gradients finite? bool; poison: nobody asks */
    cot_value scale;           /* of the loss, f32; poison: none */
    cot_value rate;            /* f32 */
    cot_value global_scale;    /* of all gradients, by their norm; poison: none */
    cot_value product, new_product;
    coti_alpha alpha; /* of the last weight */
} update;

/* floor(x / k) of i64 x >= 0, exact below 2^53. */
static cot_value quotient(cot_value x, int32_t k) {
    cot_value real = cot_op_cast(x, COT_F64);
    cot_value whole = cot_op_unary(COT_OP_FLOOR, binary(COT_OP_DIV, real, coti_number(real, k)));
    return cot_op_cast(whole, COT_I64);
}

/* (x + 1) % k == 0 */
static cot_value ends_round(cot_value x, int32_t k) {
    cot_value next = binary(COT_OP_ADD, x, coti_number(x, 1.0));
    cot_value round = binary(COT_OP_MUL, quotient(next, k), coti_number(x, k));
    return binary(COT_OP_EQ, next, round);
}

static void begin_update(update *u, const coti_training *training, cot_graph *graph) {
    const cot_optimizer_options *all = &training->optimizer.all;
    *u = (update){.optimizer = &training->optimizer,
                  .class = coti_optimizer_class_of(training->optimizer.base.kind),
                  .next = training->variable + FIRST_OF_WEIGHTS};
    u->iterations = u->done = cot_op_state(graph, training->variable[0]);
    u->rate = cot_op_state(graph, training->variable[1]);
    if (collects(u->optimizer)) {
        u->done = quotient(u->iterations, all->gradient_accumulation_steps);
        u->is_update = ends_round(u->iterations, all->gradient_accumulation_steps);
    }
    if (all->schedule != NULL) {
        cot_value step = cot_op_cast(u->iterations, COT_F64);
        u->rate = cot_op_cast(coti_schedule_build(all->schedule, step), COT_F32);
    }
    if (all->decay != 0.0) {
        cot_value steps = cot_op_cast(u->iterations, COT_F32);
        cot_value slower = binary(COT_OP_MUL, steps, coti_number(steps, all->decay));
        cot_value below = binary(COT_OP_ADD, slower, coti_number(steps, 1.0));
        u->rate = binary(COT_OP_DIV, u->rate, below);
    }
    if (u->class->has_product) {
        u->product = cot_op_state(graph, training->variable[training->n_variables - 1]);
    }
}

/* then where this step updates, else otherwise. */
static cot_value if_update(const update *u, cot_value then, cot_value otherwise) {
    return u->is_update.graph == NULL ? then : cot_op_select(u->is_update, then, otherwise);
}

static cot_value sum_of_squares(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cot_op_reduce(COT_OP_SUM, binary(COT_OP_MUL, x, x), axes, cot_value_shape(x).rank,
                         false);
}

/* then where gradients are finite, or nobody asks; else otherwise. */
static cot_value if_finite(const update *u, cot_value then, cot_value otherwise) {
    return u->is_finite.graph == NULL ? then : cot_op_select(u->is_finite, then, otherwise);
}

/* A weight's gradient, unscaled; with those collected before. Also moves the collected gradient. */
static cot_value collect(const update *u, cot_value gradient, cot_variable *collected,
                         cot_status *status) {
    const cot_optimizer_options *all = &u->optimizer->all;
    if (all->loss_scale_factor != 1.0) {
        gradient = binary(COT_OP_DIV, gradient, coti_number(gradient, all->loss_scale_factor));
    }
    if (u->scale.graph != NULL) {
        gradient = binary(COT_OP_DIV, gradient, cot_op_cast(u->scale, cot_value_dtype(gradient)));
    }
    if (collected == NULL) {
        return gradient;
    }
    cot_value before = cot_op_state(gradient.graph, collected);
    cot_value sum = binary(COT_OP_ADD, gradient, before);
    cot_value k = coti_number(sum, all->gradient_accumulation_steps);
    cot_value after = if_update(u, coti_number(sum, 0.0), sum);
    *status = cot_graph_update(before, if_finite(u, after, before));
    return binary(COT_OP_DIV, sum, k);
}

static cot_value clip(const update *u, cot_value g) {
    const cot_optimizer_options *all = &u->optimizer->all;
    if (all->clipvalue != 0.0) {
        cot_value below = binary(COT_OP_MIN, g, coti_number(g, all->clipvalue));
        return binary(COT_OP_MAX, below, coti_number(g, -all->clipvalue));
    }
    if (all->clipnorm != 0.0) {
        cot_value most = coti_number(g, all->clipnorm);
        cot_value norm = cot_op_unary(COT_OP_SQRT, sum_of_squares(g));
        return binary(COT_OP_DIV, binary(COT_OP_MUL, g, most), binary(COT_OP_MAX, norm, most));
    }
    return u->global_scale.graph == NULL
               ? g
               : binary(COT_OP_MUL, g, cot_op_cast(u->global_scale, cot_value_dtype(g)));
}

/* c * min(1/|G|, 1/c), or NaN where the norm is not finite; in f64, which holds every dtype's. */
static cot_value global_scale(const cot_value *gradient, int32_t n, double most) {
    cot_value sum = cot_op_constant(gradient[0].graph, COT_F64, 0.0);
    for (int32_t i = 0; i < n; i++) {
        sum = binary(COT_OP_ADD, sum, cot_op_cast(sum_of_squares(gradient[i]), COT_F64));
    }
    cot_value norm = cot_op_unary(COT_OP_SQRT, sum);
    cot_value share = binary(COT_OP_DIV, coti_number(norm, 1.0), norm);
    cot_value least = binary(COT_OP_MIN, share, coti_number(norm, 1.0 / most));
    cot_value scale = binary(COT_OP_MUL, least, coti_number(norm, most));
    return binary(COT_OP_ADD, scale, binary(COT_OP_SUB, norm, norm));
}

/* The weight after its average has followed it: itself, or in the steps that say so its average. */
static cot_status move_average(const update *u, cot_variable *average, cot_value *weight) {
    const cot_optimizer_options *all = &u->optimizer->all;
    cot_value before = cot_op_state(weight->graph, average);
    cot_value is_first = binary(COT_OP_EQ, u->done, coti_number(u->done, 0.0));
    cot_value kept = binary(COT_OP_MUL, before, coti_number(before, all->ema_momentum));
    cot_value share = binary(COT_OP_MUL, *weight, coti_number(before, 1.0 - all->ema_momentum));
    cot_value after = cot_op_select(is_first, *weight, binary(COT_OP_ADD, kept, share));
    if (all->ema_overwrite_frequency > 0) {
        cot_value overwrites = ends_round(u->done, all->ema_overwrite_frequency);
        *weight = cot_op_select(overwrites, after, *weight);
    }
    return cot_graph_update(before, if_finite(u, after, before));
}

/* The share of a weight, times the rate, that it loses in a step. */
static double decay_of(const coti_optimizer *optimizer, const coti_place_of *place,
                       const cot_weight_rule *rule) {
    return rule->no_weight_decay ? 0.0
           : place->adamw        ? optimizer->muon.adam_weight_decay
                                 : optimizer->all.weight_decay;
}

/* One weight: the rule and what follows it. `average` may be NULL. */
static cot_status update_weight(update *u, const coti_trainee *trainee, cot_value gradient,
                                cot_variable *average) {
    cot_variable *weight = trainee->variable;
    cot_graph *graph = gradient.graph;
    cot_dtype dtype = cot_variable_dtype(weight);
    const coti_place_of place = place_of(u->optimizer, weight);
    const cot_weight_rule rule = rule_of(u->optimizer, weight);
    coti_slot slot[COTI_MOST_SLOTS];
    int32_t n_slots = u->class->slots(u->optimizer, &place, slot);
    cot_value before = cot_op_state(graph, weight);
    cot_value one = coti_number(u->done, 1.0);
    coti_step s = {.optimizer = u->optimizer,
                   .place = &place,
                   .undecayed = before,
                   .weight = before,
                   .gradient = clip(u, gradient),
                   .rate = cot_op_cast(u->rate, dtype),
                   .t = cot_op_cast(binary(COT_OP_ADD, u->done, one), dtype),
                   .alpha = &u->alpha};
    if (u->class->has_product) {
        s.product = cot_op_cast(u->product, dtype);
    }
    if (rule.learning_rate_multiplier != 1.0) {
        s.rate = coti_scale(s.rate, rule.learning_rate_multiplier);
    }
    double decay = decay_of(u->optimizer, &place, &rule);
    if (decay != 0.0) {
        cot_value part = binary(COT_OP_MUL, before, coti_number(before, decay));
        s.weight = binary(COT_OP_SUB, before, binary(COT_OP_MUL, part, s.rate));
    }
    for (int32_t i = 0; i < n_slots; i++) {
        s.slot[i] = cot_op_state(graph, u->next[i]);
    }
    u->next += n_slots;
    u->class->update(&s);
    u->new_product = s.new_product;
    for (int32_t i = 0; i < n_slots; i++) {
        COTI_TRY(cot_graph_update(s.slot[i], if_update(u, s.new_slot[i], s.slot[i])));
    }
    cot_value after = if_update(u, s.new_weight, before);
    if (average != NULL) {
        COTI_TRY(move_average(u, average, &after));
    }
    after = coti_constraint_build(&trainee->options->constraint, after);
    return cot_graph_update(before, if_finite(u, after, before));
}

/* Variables of a weight that come before its slots; NULL: it has none. */
typedef struct extras {
    cot_variable *average, *collected;
} extras;

static extras next_extras(update *u) {
    extras x = {NULL, NULL};
    if (u->optimizer->all.use_ema) {
        x.average = *u->next++;
    }
    if (collects(u->optimizer)) {
        x.collected = *u->next++;
    }
    return x;
}

/* Replace each gradient by what is to be clipped. */
static cot_status collect_all(const update *u, const coti_trainee *weight, int32_t n,
                              cot_value *gradient) {
    update walk = *u;
    cot_status status = COT_OK;
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        coti_slot slot[COTI_MOST_SLOTS];
        const coti_place_of place = place_of(u->optimizer, weight[i].variable);
        extras x = next_extras(&walk);
        gradient[i] = collect(u, gradient[i], x.collected, &status);
        walk.next += u->class->slots(u->optimizer, &place, slot);
    }
    return status;
}

/* The loss was scaled: a step counts only if all gradients are finite. */
static void begin_scaled(update *u, const coti_training *training, const cot_value *gradient,
                         int32_t n) {
    u->scale = coti_loss_scale(training, gradient[0].graph);
    u->is_finite = coti_all_finite(gradient, n);
    u->is_update =
        u->is_update.graph == NULL ? u->is_finite : binary(COT_OP_AND, u->is_update, u->is_finite);
}

static cot_status update_weights(const coti_training *training, cot_graph *graph,
                                 const coti_trainee *weight, int32_t n, cot_value *gradient) {
    update u;
    begin_update(&u, training, graph);
    if (u.optimizer->all.dynamic_loss_scale && n > 0) {
        begin_scaled(&u, training, gradient, n);
    }
    COTI_TRY(collect_all(&u, weight, n, gradient));
    double most = u.optimizer->all.global_clipnorm;
    if (most != 0.0 && n > 0) {
        u.global_scale = global_scale(gradient, n, most);
    }
    for (int32_t i = 0; i < n; i++) {
        extras x = next_extras(&u);
        COTI_TRY(update_weight(&u, &weight[i], gradient[i], x.average));
    }
    if (u.class->has_product && n > 0) {
        cot_value after = cot_op_cast(u.new_product, COT_F32);
        COTI_TRY(cot_graph_update(u.product, if_update(&u, after, u.product)));
    }
    if (u.optimizer->all.schedule != NULL) {
        COTI_TRY(cot_graph_update(cot_op_state(graph, training->variable[1]), u.rate));
    }
    if (u.is_finite.graph != NULL) {
        COTI_TRY(coti_loss_scale_update(training, u.is_finite));
    }
    cot_value next = binary(COT_OP_ADD, u.iterations, coti_number(u.iterations, 1.0));
    return cot_graph_update(u.iterations, if_finite(&u, next, u.iterations));
}

cot_status coti_optimizer_update(const coti_training *training, cot_graph *graph,
                                 const cot_value *gradient) {
    cot_context *context = training->context;
    size_t room = training->model->weight.count;
    coti_trainee *weight = coti_calloc(context, room, sizeof *weight);
    cot_value *own = coti_calloc(context, room, sizeof *own);
    cot_status status = COT_E_NOMEM;
    if (weight != NULL && own != NULL) {
        int32_t n = coti_trainable(training->model, weight);
        for (int32_t i = 0; i < n; i++) {
            own[i] = gradient[i];
        }
        cot_graph_set_layer(graph, cot_optimizer_name(training->optimizer.base.kind));
        status = update_weights(training, graph, weight, n, own);
        cot_graph_set_layer(graph, NULL);
    }
    coti_free(context, weight);
    coti_free(context, own);
    return status;
}

/* ---- when training ends ---- */

static void become_averages(const coti_training *training, coti_trainee *weight) {
    update walk = {.optimizer = &training->optimizer,
                   .class = coti_optimizer_class_of(training->optimizer.base.kind),
                   .next = training->variable + FIRST_OF_WEIGHTS};
    int32_t n = coti_trainable(training->model, weight);
    for (int32_t i = 0; i < n; i++) {
        coti_slot slot[COTI_MOST_SLOTS];
        const coti_place_of place = place_of(&training->optimizer, weight[i].variable);
        extras x = next_extras(&walk);
        coti_variable_copy(weight[i].variable, x.average);
        walk.next += walk.class->slots(walk.optimizer, &place, slot);
    }
}

cot_status coti_optimizer_finish(const coti_training *training) {
    const cot_optimizer_options *all = &training->optimizer.all;
    int64_t iterations = 0;
    if (!all->use_ema || all->ema_overwrite_frequency > 0) {
        return COT_OK;
    }
    COTI_TRY(cot_variable_get(training->variable[0], &iterations, sizeof iterations));
    if (iterations == 0) {
        return COT_OK;
    }
    coti_trainee *weight =
        coti_calloc(training->context, training->model->weight.count, sizeof *weight);
    if (weight == NULL) {
        return COT_E_NOMEM;
    }
    become_averages(training, weight);
    coti_free(training->context, weight);
    return COT_OK;
}
