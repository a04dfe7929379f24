/*
 * Optimizers beside the table of traces: schedule-free AdamW and Muon against their formulas in
 * double, rules of one's own, exceptions for single weights, and the scale of the loss that follows
 * the gradients.
 */
#include "fit_support.h"

#include "frontend/training/training.h"

/* ---- a linear loss: the gradient of the weights is what the data say ---- */

enum { IN = 3, OUT = 2, SIZE = IN * OUT };

/* One dense kernel w [3, 2]; loss: the sum of p t over a row, mean over rows. With rows e_i and
 * targets 3 g_i the gradient is g. */
typedef struct linear {
    cot_context *context;
    cot_model *model;
    float x[IN * IN], t[SIZE];
} linear;

static cot_value inner_product(cot_value t, cot_value p, void *user) {
    static const int32_t axis[1] = {1};
    (void)user;
    return cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_MUL, t, p), axis, 1, false);
}

static const float start[SIZE] = {1, -2, 0.5f, 3, -1, 0.25f};

static void begin_linear(linear *l, const char *name, const cot_optimizer *optimizer) {
    memset(l, 0, sizeof *l);
    l->context = new_context(1);
    cot_tensor in = cot_input(l->context, COT_F32, COT_SHAPE(IN), NULL);
    cot_tensor out = cot_dense(in, OUT, .use_bias = COT_OFF, .name = name);
    l->model = cot_model_create(l->context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    CHECK_OK(l->context,
             cot_model_compile(l->model, .optimizer = optimizer, .loss = COT_CUSTOM_LOSS,
                               .loss_options = cot_loss_numbers(.function = inner_product)));
    CHECK_OK(l->context, cot_variable_set(cot_model_weight(l->model, 0), start, sizeof start));
    for (int i = 0; i < IN; i++) {
        l->x[i * IN + i] = 1.0f;
    }
}

static void end_linear(linear *l) {
    cot_model_destroy(l->model);
    cot_context_destroy(l->context);
}

static void step_by(linear *l, const double *gradient) {
    for (int i = 0; i < SIZE; i++) {
        l->t[i] = (float)((double)IN * gradient[i]);
    }
    const cot_array x = array_of(l->x, IN, IN), t = array_of(l->t, IN, OUT);
    cot_dataset *data = cot_dataset_create(l->context, (cot_array_list){&x, 1},
                                           (cot_array_list){&t, 1}, COT_BORROW);
    CHECK_OK(l->context, cot_model_train_on_batch(l->model, data, NULL));
    cot_dataset_destroy(data);
}

/* Of step t, from 1. */
static void gradient_at(int t, double *out) {
    for (int i = 0; i < SIZE; i++) {
        out[i] = 0.3 * sin(1.7 * t + 0.9 * i) + 0.05 * i;
    }
}

/* ---- schedule-free ---- */

static void schedule_free_of_the_formulas(void **state) {
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        linear l;
        double y[SIZE], x[SIZE], z[SIZE], v[SIZE] = {0}, g[SIZE];
        begin_linear(&l, NULL,
                     cot_schedule_free_adamw(.learning_rate = 0.1, .beta_1 = 0.8,
                                             .warmup_steps = warm ? 4 : 0));
        for (int i = 0; i < SIZE; i++) {
            y[i] = x[i] = z[i] = (double)start[i];
        }
        for (int t = 1; t <= 7; t++) {
            gradient_at(t, g);
            step_by(&l, g);
            double rate = warm ? 0.1 * fmin(1.0, t / 4.0) : 0.1;
            for (int i = 0; i < SIZE; i++) {
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                z[i] -= rate * g[i] / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
                x[i] = (1 - 1.0 / t) * x[i] + z[i] / t;
                y[i] = 0.2 * z[i] + 0.8 * x[i];
            }
            check_variable(cot_model_weight(l.model, 0), y, 2e-5);
        }
        CHECK_OK(l.context, cot_model_swap_to_evaluation(l.model));
        check_variable(cot_model_weight(l.model, 0), x, 2e-5);
        CHECK_OK(l.context, cot_model_swap_to_training(l.model));
        check_variable(cot_model_weight(l.model, 0), y, 2e-5);
        end_linear(&l);
    }
}

static void swaps_that_make_no_sense(void **state) {
    (void)state;
    linear l;
    begin_linear(&l, NULL, cot_sgd());
    assert_int_equal(cot_model_swap_to_evaluation(l.model), COT_E_ARG);
    CHECK_ERROR(l.context, COT_E_ARG, "is not trained by schedule_free_adamw");
    end_linear(&l);
    begin_linear(&l, NULL, cot_schedule_free_adamw());
    assert_int_equal(cot_model_swap_to_training(l.model), COT_E_ARG);
    CHECK_ERROR(l.context, COT_E_ARG, "has not been trained yet");
    assert_int_equal(cot_model_swap_to_evaluation(NULL), COT_E_ARG);
    end_linear(&l);
}

/* ---- Muon ---- */

/* c [m, n] = a [m, k] b [k, n], or of b's transpose. */
static void product(const double *a, const double *b, bool turned, int m, int k, int n, double *c) {
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            c[i * n + j] = 0.0;
            for (int r = 0; r < k; r++) {
                c[i * n + j] += a[i * k + r] * (turned ? b[j * k + r] : b[r * n + j]);
            }
        }
    }
}

/* Newton-Schulz of u [3, 2], tall: on its transpose. */
static void newton_schulz(const double *u, double *out) {
    double x[SIZE], a[4], aa[4], b[4], bx[SIZE], norm = 0.0;
    for (int i = 0; i < SIZE; i++) {
        norm += u[i] * u[i];
    }
    for (int r = 0; r < IN; r++) {
        for (int c = 0; c < OUT; c++) {
            x[c * IN + r] = u[r * OUT + c] / (sqrt(norm) + 1e-7);
        }
    }
    for (int step = 0; step < 5; step++) {
        product(x, x, true, OUT, IN, OUT, a);
        product(a, a, false, OUT, OUT, OUT, aa);
        for (int i = 0; i < 4; i++) {
            b[i] = -4.775 * a[i] + 2.0315 * aa[i];
        }
        product(b, x, false, OUT, OUT, IN, bx);
        for (int i = 0; i < SIZE; i++) {
            x[i] = 3.4445 * x[i] + bx[i];
        }
    }
    for (int r = 0; r < IN; r++) {
        for (int c = 0; c < OUT; c++) {
            out[r * OUT + c] = x[c * IN + r];
        }
    }
}

/* The steps' singular values lie near 1, whatever the gradient's: that is what Muon is for. */
static void check_nearly_orthogonal(const double *o) {
    double aa = 0.0, bb = 0.0, ab = 0.0;
    for (int r = 0; r < IN; r++) {
        aa += o[2 * r] * o[2 * r];
        bb += o[2 * r + 1] * o[2 * r + 1];
        ab += o[2 * r] * o[2 * r + 1];
    }
    double middle = (aa + bb) / 2, off = sqrt((aa - bb) * (aa - bb) / 4 + ab * ab);
    assert_true(sqrt(middle - off) > 0.6 && sqrt(middle + off) < 1.3);
}

static void muon_of_the_formulas(void **state) {
    (void)state;
    linear l;
    double w[SIZE], m[SIZE] = {0}, g[SIZE], u[SIZE], o[SIZE];
    begin_linear(&l, NULL, cot_muon(.learning_rate = 0.05));
    for (int i = 0; i < SIZE; i++) {
        w[i] = (double)start[i];
    }
    for (int t = 1; t <= 5; t++) {
        gradient_at(t, g);
        step_by(&l, g);
        for (int i = 0; i < SIZE; i++) {
            m[i] = 0.95 * m[i] + g[i];
            u[i] = g[i] + 0.95 * m[i];
        }
        newton_schulz(u, o);
        check_nearly_orthogonal(o);
        for (int i = 0; i < SIZE; i++) {
            w[i] -= w[i] * 0.004 * 0.05;
            w[i] -= 0.05 * 0.2 * sqrt(IN) * o[i];
        }
        check_variable(cot_model_weight(l.model, 0), w, 2e-5);
    }
    end_linear(&l);
}

/* Embeddings, and what a rule excludes, take Adam's step, at a share of the rate. */
static void muon_leaves_some_to_adam(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        linear l, adam;
        double g[SIZE];
        begin_linear(&adam, NULL, cot_adamw(.learning_rate = 0.01, .weight_decay = COT_ZERO));
        begin_linear(
            &l, way == 0 ? "an_embedding" : "head",
            cot_muon(.learning_rate = 0.1, .adam_lr_ratio = 0.1, .adam_weight_decay = COT_ZERO,
                     .weight_rules = COT_WEIGHT_RULES({.weights = "head/", .no_muon = true})));
        assert_int_equal(cot_model_n_optimizer_variables(l.model), 4);
        for (int t = 1; t <= 4; t++) {
            gradient_at(t, g);
            step_by(&l, g);
            step_by(&adam, g);
        }
        float value[SIZE];
        double expected[SIZE];
        CHECK_OK(adam.context,
                 cot_variable_get(cot_model_weight(adam.model, 0), value, sizeof value));
        for (int i = 0; i < SIZE; i++) {
            expected[i] = (double)value[i];
        }
        check_variable(cot_model_weight(l.model, 0), expected, 1e-6);
        end_linear(&l);
        end_linear(&adam);
    }
}

/* ---- one's own ---- */

/* v = 0.9 v + g, w -= lr v; the second slot counts. */
static cot_value heavy_ball(const cot_update_step *s, cot_value *new_slot, void *user) {
    const double *momentum = user;
    cot_graph *graph = s->weight.graph;
    cot_value kept =
        cot_op_binary(COT_OP_MUL, s->slot[0], cot_op_constant(graph, COT_F32, *momentum));
    new_slot[0] = cot_op_binary(COT_OP_ADD, kept, s->gradient);
    new_slot[1] = cot_op_binary(COT_OP_ADD, s->slot[1], cot_op_constant(graph, COT_F32, 1.0));
    return cot_op_binary(COT_OP_SUB, s->weight,
                         cot_op_binary(COT_OP_MUL, new_slot[0], s->learning_rate));
}

static cot_value forgetful(const cot_update_step *s, cot_value *new_slot, void *user) {
    (void)new_slot;
    (void)user;
    return s->weight;
}
static cot_value no_weight(const cot_update_step *s, cot_value *new_slot, void *user) {
    (void)s;
    (void)new_slot;
    (void)user;
    return (cot_value){NULL, 0};
}

static void rules_of_ones_own(void **state) {
    (void)state;
    static double momentum = 0.9;
    linear l;
    double w[SIZE], v[SIZE] = {0}, g[SIZE];
    begin_linear(&l, "d",
                 cot_custom_optimizer(heavy_ball, .user = &momentum, .n_slots = 2,
                                      .initial = {0, 5}, .learning_rate = 0.1,
                                      .weight_decay = 0.01));
    for (int i = 0; i < SIZE; i++) {
        w[i] = (double)start[i];
    }
    for (int t = 1; t <= 5; t++) {
        gradient_at(t, g);
        step_by(&l, g);
        for (int i = 0; i < SIZE; i++) {
            v[i] = 0.9 * v[i] + g[i];
            w[i] -= 0.01 * 0.1 * w[i];
            w[i] -= 0.1 * v[i];
        }
        check_variable(cot_model_weight(l.model, 0), w, 2e-6);
    }
    const double tens[SIZE] = {10, 10, 10, 10, 10, 10};
    assert_string_equal(cot_variable_name(cot_model_optimizer_variable(l.model, 3)),
                        "d/kernel/slot_1");
    check_variable(cot_model_optimizer_variable(l.model, 3), tens, 0.0);
    end_linear(&l);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    const struct {
        const cot_optimizer *optimizer;
        const char *text;
    } cases[] = {
        {cot_custom_optimizer(NULL), "custom_optimizer: function is NULL"},
        {cot_custom_optimizer(forgetful, .n_slots = 9), "n_slots is 9"},
        {cot_custom_optimizer(forgetful, .n_slots = 1), "the function's slot is no value"},
        {cot_custom_optimizer(no_weight), "the function's weight is no value"},
        {cot_muon(.ns_steps = -1), "ns_steps is -1"},
        {cot_schedule_free_adamw(.beta_1 = COT_ZERO), "beta_1 is -0"},
        {cot_sgd(.weight_rules = COT_WEIGHT_RULES({.weights = NULL})),
         "rule 0 for weights \"(NULL)\""},
        {cot_sgd(.weight_rules =
                     COT_WEIGHT_RULES({.weights = "b", .learning_rate_multiplier = -1})),
         "rule 0 for weights \"b\": learning_rate_multiplier is -1"},
        {cot_sgd(.dynamic_loss_scale = true, .loss_scale_factor = 8), "no factor beside"},
        {cot_sgd(.dynamic_growth_steps = -1), "dynamic_growth_steps is -1"},
        {cot_sgd(.initial_scale = -1), "initial_scale is -1"},
    };
    world w;
    begin(&w);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_status status = cot_model_compile(w.model, .optimizer = cases[i].optimizer,
                                              .loss = COT_MEAN_SQUARED_ERROR);
        assert_int_not_equal(status, COT_OK);
        CHECK_ERROR(w.context, status, cases[i].text);
    }
    end(&w);
}

/* ---- single weights ---- */

/* dense's weights move twice as far, biases not at all, and only dense_1/kernel decays. */
static void rules_for_weights(void **state) {
    (void)state;
    float before[23], plain[23], ruled[23];
    for (int i = 0; i < 2; i++) {
        world w;
        begin(&w);
        CHECK_OK(w.context,
                 i == 0 ? cot_model_compile(w.model, .loss = COT_CATEGORICAL_CROSSENTROPY,
                                            .optimizer = cot_sgd(.learning_rate = 0.1))
                        : cot_model_compile(
                              w.model, .loss = COT_CATEGORICAL_CROSSENTROPY,
                              .optimizer = cot_sgd(.learning_rate = 0.1, .weight_decay = 0.5,
                                                   .weight_rules = COT_WEIGHT_RULES(
                                                       {.weights = "dense/",
                                                        .learning_rate_multiplier = 2,
                                                        .no_weight_decay = true},
                                                       {.weights = "bias",
                                                        .learning_rate_multiplier = COT_ZERO}))));
        read_weights(w.model, before);
        CHECK_OK(w.context, cot_model_train_on_batch(w.model, w.data, NULL));
        read_weights(w.model, i == 0 ? plain : ruled);
        end(&w);
    }
    for (int k = 0; k < 23; k++) {
        double moved = (double)plain[k] - (double)before[k], from = (double)before[k];
        double expected = k < 12              ? from + 2 * moved
                          : k >= 15 && k < 21 ? from - from * 0.5 * 0.1 + moved
                                              : from;
        CHECK_NEAR(ruled[k], expected, 1e-6);
    }
}

/* A frozen bias has no slots, is not regularized, and stays; it counts as not trainable. */
static void single_weights_are_frozen(void **state) {
    (void)state;
    float before[23], after[23];
    world w;
    begin(&w);
    CHECK_OK(w.context, cot_layer_set_weight_trainable(cot_model_layer(w.model, 0), "bias", false));
    CHECK_OK(w.context, cot_model_compile(w.model, .loss = COT_CATEGORICAL_CROSSENTROPY,
                                          .optimizer = cot_adam(.learning_rate = 0.1)));
    assert_int_equal(cot_model_n_optimizer_variables(w.model), 2 + 2 * 3);
    read_weights(w.model, before);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2));
    read_weights(w.model, after);
    assert_memory_equal(before + 12, after + 12, 3 * sizeof(float));
    assert_true(before[21] != after[21]);
    assert_int_equal(cot_layer_set_weight_trainable(cot_model_layer(w.model, 0), "gamma", false),
                     COT_E_ARG);
    CHECK_ERROR(w.context, COT_E_ARG, "layer \"dense\" has no weight \"gamma\"");
    assert_int_equal(cot_layer_set_weight_trainable(NULL, "bias", false), COT_E_ARG);
    end(&w);
}

/* ---- the scale of the loss ---- */

static double scale_of(const cot_model *model) {
    for (int32_t i = 0; i < cot_model_n_optimizer_variables(model); i++) {
        const cot_variable *variable = cot_model_optimizer_variable(model, i);
        float scale = 0.0f;
        if (strcmp(cot_variable_name(variable), "optimizer/dynamic_scale") == 0) {
            assert_int_equal(cot_variable_get(variable, &scale, sizeof scale), COT_OK);
            return (double)scale;
        }
    }
    return NAN;
}

/* A scale that is a power of two changes no bit of what is learnt, nor the norms of gradients that
 * instruments show. */
static void scaled_training_is_training(void **state) {
    (void)state;
    float found[2][23];
    double norms[2] = {0.0, 0.0};
    for (int i = 0; i < 2; i++) {
        world w;
        begin(&w);
        CHECK_OK(w.context,
                 cot_model_compile(w.model, .loss = COT_CATEGORICAL_CROSSENTROPY,
                                   .instruments = COT_INSTRUMENT_NORMS,
                                   .optimizer = cot_nadam(.learning_rate = 0.02, .clipnorm = 0.1,
                                                          .dynamic_loss_scale = i == 1,
                                                          .dynamic_growth_steps = 4)));
        CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 3, .batch_size = 4));
        read_weights(w.model, found[i]);
        const cot_history *history = cot_model_history(w.model);
        for (int32_t k = 0; k < cot_history_n_names(history); k++) {
            const char *name = cot_history_name(history, k);
            bool is_norm = strstr(name, "gradient_norm") != NULL;
            norms[i] += is_norm ? cot_history_values(history, name)[2] : 0.0;
        }
        if (i == 1) { /* nine steps: doubled after four, twice */
            CHECK_NEAR(scale_of(w.model), 4.0 * 32768.0, 0.0);
        }
        end(&w);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    assert_true(norms[0] > 0.0);
    CHECK_NEAR(norms[1], norms[0], 0.0);
}

/* A step whose gradient overflows is as if it had not been, but for the scale. */
static void overflows_are_skipped(void **state) {
    (void)state;
    linear l, plain;
    double g[SIZE];
    begin_linear(&l, "d",
                 cot_adam(.learning_rate = 0.1, .dynamic_loss_scale = true, .initial_scale = 1024,
                          .dynamic_growth_steps = 3));
    begin_linear(&plain, "d", cot_adam(.learning_rate = 0.1));
    const double scales[6] = {1024, 512, 512, 512, 1024, 512};
    for (int t = 1; t <= 6; t++) {
        bool overflows = t == 2 || t == 6;
        gradient_at(t, g);
        if (!overflows) {
            step_by(&plain, g);
        }
        g[4] = overflows ? 1e37 : g[4];
        step_by(&l, g);
        CHECK_NEAR(scale_of(l.model), scales[t - 1], 0.0);
        float a[SIZE], b[SIZE];
        CHECK_OK(l.context, cot_variable_get(cot_model_weight(l.model, 0), a, sizeof a));
        CHECK_OK(plain.context, cot_variable_get(cot_model_weight(plain.model, 0), b, sizeof b));
        assert_memory_equal(a, b, sizeof a);
        int64_t iterations = 0;
        CHECK_OK(l.context, cot_variable_get(cot_model_optimizer_variable(l.model, 0), &iterations,
                                             sizeof iterations));
        assert_int_equal(iterations, t - (t >= 2) - (t >= 6));
    }
    end_linear(&l);
    end_linear(&plain);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_free_of_the_formulas),
        cmocka_unit_test(swaps_that_make_no_sense),
        cmocka_unit_test(muon_of_the_formulas),
        cmocka_unit_test(muon_leaves_some_to_adam),
        cmocka_unit_test(rules_of_ones_own),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(rules_for_weights),
        cmocka_unit_test(single_weights_are_frozen),
        cmocka_unit_test(scaled_training_is_training),
        cmocka_unit_test(overflows_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
