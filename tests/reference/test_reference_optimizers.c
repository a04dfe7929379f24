/*
 * Every optimizer with each of its options against Keras's: a matrix, a vector and a tensor of rank
 * 3 over 20 steps with given gradients, and the averages of weights after them.
 *
 * The gradients come out of a model by training: the loss is the sum of target times output, the
 * matrix is a dense kernel whose input is the identity, so that its gradient is the target; vector
 * and tensor are slopes of PReLU, whose input is -1 in each row, so that theirs is minus the sum of
 * the targets of all rows, of which only the first is not 0.
 */
#include "probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* After 20 steps that each round a weight near 1 and its slots a few times, in f32: some tens of
 * units in the last place, of 6e-8. */
static const double tolerance = 5e-6;

enum { N_WEIGHTS = 3, N_SHOWN = 5, N_STEPS = 20, MOST_ELEMENTS = 12, ROWS = 3 };
static const char *const weights[N_WEIGHTS] = {"matrix", "vector", "tensor"};
static const int shown[N_SHOWN] = {1, 2, 5, 10, 20};

/* ---- options by their names ---- */

typedef union any_options {
    cot_optimizer base;
    cot_optimizer_options common;
    cot_sgd_options sgd;
    cot_adam_options adam;
    cot_rmsprop_options rmsprop;
    cot_adagrad_options adagrad;
    cot_adadelta_options adadelta;
    cot_adamax_options adamax;
    cot_ftrl_options ftrl;
    cot_lion_options lion;
    cot_adafactor_options adafactor;
    cot_muon_options muon;
    cot_schedule_free_adamw_options schedule_free;
} any_options;

typedef enum field_type { REAL, WHOLE, TRUTH, SWITCH } field_type;

typedef struct field {
    size_t options; /* size of the struct that it is a field of; 0: of all */
    const char *key;
    size_t offset;
    field_type type;
} field;

#define COMMON(key, type) {0, #key, offsetof(cot_optimizer_options, key), type}
#define OWN(options, key, type) {sizeof(options), #key, offsetof(options, key), type}

static const field fields[] = {
    COMMON(learning_rate, REAL),
    COMMON(weight_decay, REAL),
    COMMON(clipnorm, REAL),
    COMMON(clipvalue, REAL),
    COMMON(global_clipnorm, REAL),
    COMMON(use_ema, TRUTH),
    COMMON(ema_momentum, REAL),
    COMMON(ema_overwrite_frequency, WHOLE),
    COMMON(gradient_accumulation_steps, WHOLE),
    COMMON(loss_scale_factor, REAL),
    COMMON(dynamic_loss_scale, TRUTH),
    COMMON(initial_scale, REAL),
    COMMON(dynamic_growth_steps, WHOLE),
};
static const field fields_of_sgd[] = {OWN(cot_sgd_options, momentum, REAL),
                                      OWN(cot_sgd_options, nesterov, TRUTH)};
static const field fields_of_adam[] = {
    OWN(cot_adam_options, beta_1, REAL), OWN(cot_adam_options, beta_2, REAL),
    OWN(cot_adam_options, epsilon, REAL), OWN(cot_adam_options, amsgrad, TRUTH)};
static const field fields_of_rmsprop[] = {
    OWN(cot_rmsprop_options, rho, REAL), OWN(cot_rmsprop_options, momentum, REAL),
    OWN(cot_rmsprop_options, epsilon, REAL), OWN(cot_rmsprop_options, centered, TRUTH)};
static const field fields_of_adagrad[] = {OWN(cot_adagrad_options, initial_accumulator_value, REAL),
                                          OWN(cot_adagrad_options, epsilon, REAL)};
static const field fields_of_adadelta[] = {OWN(cot_adadelta_options, rho, REAL),
                                           OWN(cot_adadelta_options, epsilon, REAL)};
static const field fields_of_adamax[] = {OWN(cot_adamax_options, beta_1, REAL),
                                         OWN(cot_adamax_options, beta_2, REAL),
                                         OWN(cot_adamax_options, epsilon, REAL)};
static const field fields_of_ftrl[] = {
    OWN(cot_ftrl_options, learning_rate_power, REAL),
    OWN(cot_ftrl_options, initial_accumulator_value, REAL),
    OWN(cot_ftrl_options, l1_regularization_strength, REAL),
    OWN(cot_ftrl_options, l2_regularization_strength, REAL),
    OWN(cot_ftrl_options, l2_shrinkage_regularization_strength, REAL),
    OWN(cot_ftrl_options, beta, REAL)};
static const field fields_of_lion[] = {OWN(cot_lion_options, beta_1, REAL),
                                       OWN(cot_lion_options, beta_2, REAL)};
static const field fields_of_adafactor[] = {
    OWN(cot_adafactor_options, beta_2_decay, REAL), OWN(cot_adafactor_options, epsilon_1, REAL),
    OWN(cot_adafactor_options, epsilon_2, REAL), OWN(cot_adafactor_options, clip_threshold, REAL),
    OWN(cot_adafactor_options, relative_step, SWITCH)};
static const field fields_of_muon[] = {
    OWN(cot_muon_options, adam_beta_1, REAL),   OWN(cot_muon_options, adam_beta_2, REAL),
    OWN(cot_muon_options, epsilon, REAL),       OWN(cot_muon_options, muon_a, REAL),
    OWN(cot_muon_options, muon_b, REAL),        OWN(cot_muon_options, muon_c, REAL),
    OWN(cot_muon_options, adam_lr_ratio, REAL), OWN(cot_muon_options, momentum, REAL),
    OWN(cot_muon_options, ns_steps, WHOLE),     OWN(cot_muon_options, nesterov, SWITCH),
    OWN(cot_muon_options, rms_rate, REAL),      OWN(cot_muon_options, adam_weight_decay, REAL)};
static const field fields_of_schedule_free[] = {
    OWN(cot_schedule_free_adamw_options, beta_1, REAL),
    OWN(cot_schedule_free_adamw_options, beta_2, REAL),
    OWN(cot_schedule_free_adamw_options, epsilon, REAL),
    OWN(cot_schedule_free_adamw_options, warmup_steps, REAL)};

typedef struct optimizer {
    cot_optimizer_kind kind;
    size_t size;
    const field *field;
    size_t n;
} optimizer;
#define KIND(id, options, own)                                                                     \
    {COT_OPTIMIZER_##id, sizeof(options), own, sizeof(own) / sizeof(own)[0]}
static const optimizer optimizers[] = {
    KIND(SGD, cot_sgd_options, fields_of_sgd),
    KIND(ADAM, cot_adam_options, fields_of_adam),
    KIND(ADAMW, cot_adamw_options, fields_of_adam),
    KIND(RMSPROP, cot_rmsprop_options, fields_of_rmsprop),
    KIND(ADAGRAD, cot_adagrad_options, fields_of_adagrad),
    KIND(ADADELTA, cot_adadelta_options, fields_of_adadelta),
    KIND(ADAMAX, cot_adamax_options, fields_of_adamax),
    KIND(NADAM, cot_nadam_options, fields_of_adamax),
    KIND(FTRL, cot_ftrl_options, fields_of_ftrl),
    KIND(LION, cot_lion_options, fields_of_lion),
    KIND(LAMB, cot_lamb_options, fields_of_adamax),
    KIND(ADAFACTOR, cot_adafactor_options, fields_of_adafactor),
    KIND(MUON, cot_muon_options, fields_of_muon),
    KIND(SCHEDULE_FREE_ADAMW, cot_schedule_free_adamw_options, fields_of_schedule_free),
};

/* A field as Keras got it; COT_ZERO for a zero. Left alone where Keras did not get it. */
static void set_field(reference_case *c, const field *f, any_options *options) {
    char *at = (char *)options + f->offset;
    if (reference_text(c, f->key) == NULL) {
        return;
    }
    if (f->type == TRUTH || f->type == SWITCH) {
        bool is_on = reference_switch(c, f->key);
        cot_switch as_switch = is_on ? COT_ON : COT_OFF;
        memcpy(at, f->type == TRUTH ? (const void *)&is_on : &as_switch,
               f->type == TRUTH ? sizeof is_on : sizeof as_switch);
        return;
    }
    double value = reference_number(c, f->key, 0.0);
    int32_t whole = (int32_t)value;
    value = value == 0.0 ? COT_ZERO : value;
    memcpy(at, f->type == REAL ? (const void *)&value : &whole,
           f->type == REAL ? sizeof value : sizeof whole);
}

static void read_options(reference_case *c, any_options *options, cot_weight_rule *rule) {
    const optimizer *o = NULL;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0] && o == NULL; i++) {
        bool is_it = strcmp(cot_optimizer_name(optimizers[i].kind), c->name) == 0;
        o = is_it ? &optimizers[i] : NULL;
    }
    if (o == NULL) {
        fail_msg("no optimizer %s", c->name);
    }
    memset(options, 0, sizeof *options);
    options->base = (cot_optimizer){o->size, o->kind};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        set_field(c, &fields[i], options);
    }
    for (size_t i = 0; i < o->n; i++) {
        set_field(c, &o->field[i], options);
    }
    *rule = (cot_weight_rule){.weights = reference_text(c, "exclude"), .no_weight_decay = true};
    if (rule->weights != NULL) {
        options->common.weight_rules = (cot_weight_rule_list){rule, 1};
    }
}

/* ---- the model ---- */

typedef struct trainee {
    cot_context *context;
    cot_model *model;
    cot_variable *weight[N_WEIGHTS];
    reference_array *gradient[N_WEIGHTS]; /* [step, ..] */
    float identity[ROWS * ROWS], minus[ROWS * MOST_ELEMENTS];
} trainee;

/* Shared by all cases: the first case of the file. */
static reference_case *shared = NULL;

static cot_variable *weight_called(const trainee *t, const char *layer) {
    size_t n = strlen(layer);
    for (int32_t i = 0; i < cot_model_n_weights(t->model); i++) {
        cot_variable *weight = cot_model_weight(t->model, i);
        if (strncmp(cot_variable_name(weight), layer, n) == 0) {
            return weight;
        }
    }
    fail_msg("no weight of %s", layer);
    return NULL;
}

static void begin(trainee *t, const cot_optimizer *how) {
    memset(t, 0, sizeof *t);
    t->context = probe_context();
    cot_tensor in[N_WEIGHTS] = {cot_input(t->context, COT_F32, COT_SHAPE(ROWS), "x"),
                                cot_input(t->context, COT_F32, COT_SHAPE(3), "y"),
                                cot_input(t->context, COT_F32, COT_SHAPE(2, 3, 2), "z")};
    cot_tensor out[N_WEIGHTS] = {cot_dense(in[0], 2, .use_bias = COT_OFF, .name = "matrix"),
                                 cot_prelu(in[1], .name = "vector"),
                                 cot_prelu(in[2], .name = "tensor")};
    t->model = cot_model_create(t->context, (cot_tensor_list){in, N_WEIGHTS},
                                (cot_tensor_list){out, N_WEIGHTS}, NULL);
    assert_non_null(t->model);
    CHECK_OK(t->context,
             cot_model_compile(t->model, .optimizer = how, .loss = COT_CUSTOM_LOSS,
                               .loss_options = cot_loss_numbers(.function = probe_inner_product,
                                                                .reduction = COT_REDUCTION_SUM)));
    for (int i = 0; i < N_WEIGHTS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s_start", weights[i]);
        const reference_array *start = reference_need(shared, name);
        float *value = reference_floats(start);
        t->weight[i] = weight_called(t, weights[i]);
        t->gradient[i] = reference_need(shared, weights[i]);
        assert_true(start->n <= MOST_ELEMENTS);
        CHECK_OK(t->context,
                 cot_variable_set(t->weight[i], value, (size_t)start->n * sizeof *value));
        free(value);
    }
    for (int i = 0; i < ROWS * MOST_ELEMENTS; i++) {
        t->minus[i] = -1.0f;
    }
    for (int i = 0; i < ROWS; i++) {
        t->identity[i * ROWS + i] = 1.0f;
    }
}

static void end(trainee *t) {
    cot_model_destroy(t->model);
}

/* Step number `step`, from 1; infinite: one of its gradients is. */
static void train(trainee *t, int step, bool infinite) {
    float target[N_WEIGHTS][ROWS * MOST_ELEMENTS] = {{0}};
    cot_array x[N_WEIGHTS], y[N_WEIGHTS];
    for (int i = 0; i < N_WEIGHTS; i++) {
        int64_t n = t->gradient[i]->n / t->gradient[i]->dim[0];
        const double *gradient = t->gradient[i]->value + (step - 1) * n;
        int64_t row = i == 0 ? n / ROWS : n;
        for (int64_t k = 0; k < n; k++) {
            target[i][k] = (float)(i == 0 ? gradient[k] : -gradient[k]);
        }
        x[i] = (cot_array){.data = i == 0 ? t->identity : t->minus,
                           .dtype = COT_F32,
                           .n_rows = ROWS,
                           .row_elements = i == 0 ? ROWS : n};
        y[i] =
            (cot_array){.data = target[i], .dtype = COT_F32, .n_rows = ROWS, .row_elements = row};
    }
    if (infinite) {
        target[0][0] = INFINITY;
    }
    cot_dataset *data = cot_dataset_create(t->context, (cot_array_list){x, N_WEIGHTS},
                                           (cot_array_list){y, N_WEIGHTS}, COT_BORROW);
    assert_non_null(data);
    if (infinite) {
        CHECK_OK(t->context, cot_model_fit(t->model, data, .batch_size = ROWS, .shuffle = COT_OFF,
                                           .allow_nonfinite = true));
    } else {
        CHECK_OK(t->context, cot_model_train_on_batch(t->model, data, NULL));
    }
    cot_dataset_destroy(data);
}

/* ---- checks ---- */

static void check(const reference_case *c, const cot_variable *variable,
                  const reference_array *expected, int64_t first, int64_t n) {
    float value[MOST_ELEMENTS];
    assert_int_equal(cot_variable_get(variable, value, (size_t)n * sizeof value[0]), COT_OK);
    reference_check(c, expected, first, value, n, tolerance);
}

static void check_weights(reference_case *c, const trainee *t, int i_shown) {
    for (int i = 0; i < N_WEIGHTS; i++) {
        const reference_array *expected = reference_need(c, weights[i]);
        int64_t n = expected->n / N_SHOWN;
        check(c, t->weight[i], expected, i_shown * n, n);
    }
}

static void check_averages(reference_case *c, const trainee *t) {
    for (int i = 0; i < N_WEIGHTS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s_average", weights[i]);
        const reference_array *expected = reference_find(c, name);
        (void)snprintf(name, sizeof name, "%s/average", cot_variable_name(t->weight[i]));
        for (int32_t k = 0; expected != NULL; k++) {
            const cot_variable *variable = cot_model_optimizer_variable(t->model, k);
            assert_non_null(variable);
            if (strcmp(cot_variable_name(variable), name) == 0) {
                check(c, variable, expected, 0, expected->n);
                break;
            }
        }
    }
}

static void steps(void **state) {
    reference_case *c = *state;
    if (strcmp(c->kind, "gradients") == 0) {
        shared = c;
        return;
    }
    any_options options;
    cot_weight_rule rule;
    trainee t;
    int infinite = (int)reference_number(c, "infinite_step", 0.0);
    read_options(c, &options, &rule);
    begin(&t, &options.base);
    for (int step = 1, i = 0; step <= N_STEPS; step++) {
        train(&t, step, step == infinite);
        if (step == shown[i]) {
            check_weights(c, &t, i++);
        }
    }
    check_averages(c, &t);
    reference_check_used(c);
    end(&t);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "optimizers.txt", steps);
}
