/*
 * Optimizers against Keras's traces: weights v = [1, -2, 0.5] and w = [3] take steps with gradients
 * [0.1 t, -0.2, 0.3 (-1)^t] and [0.4]; their values after steps 1, 2 and 5.
 */
#include "frontend_support.h"

#include "frontend/training/training.h"

typedef struct trace {
    const char *name;
    const cot_optimizer *optimizer;
    double after[3][4]; /* steps 1, 2, 5 */
    int32_t n_slots;    /* of both weights together */
} trace;

/* A model with weights of 3 and 1 elements, optimizer variables, and a program of the update. */
typedef struct setup {
    cot_context *context;
    cot_model *model;
    coti_training *training;
    cot_program *program;
    cot_session *session;
} setup;

static cot_program *compile_update(coti_training *training) {
    cot_graph *graph = cot_graph_create(training->context, "update");
    cot_value gradient[2] = {cot_op_input(graph, COT_F32, COT_SHAPE(3, 1), "gv"),
                             cot_op_input(graph, COT_F32, COT_SHAPE(1, 1), "gw")};
    CHECK_OK(training->context, coti_optimizer_update(training, graph, gradient));
    cot_program *program = cot_program_create(graph, NULL);
    cot_graph_destroy(graph);
    assert_non_null(program);
    return program;
}

static setup begin(const cot_optimizer *optimizer) {
    setup s = {.context = new_context(1)};
    static const float v[3] = {1.0f, -2.0f, 0.5f}, w[1] = {3.0f};
    s.model = cot_sequential_create(s.context, COT_F32, COT_SHAPE(3), NULL);
    cot_sequential_add(s.model, cot_dense_layer(s.context, 1, .use_bias = COT_OFF));
    cot_sequential_add(s.model, cot_dense_layer(s.context, 1, .use_bias = COT_OFF));
    CHECK_OK(s.context, cot_variable_set(cot_model_weight(s.model, 0), v, sizeof v));
    CHECK_OK(s.context, cot_variable_set(cot_model_weight(s.model, 1), w, sizeof w));
    s.training = coti_calloc(s.context, 1, sizeof *s.training);
    s.training->context = s.context;
    s.training->model = s.model;
    coti_arena_init(&s.training->arena, s.context);
    CHECK_OK(s.context, coti_optimizer_read(s.context, optimizer, &s.training->optimizer));
    CHECK_OK(s.context, coti_optimizer_make_variables(s.training));
    s.program = compile_update(s.training);
    s.session = cot_session_create(s.program);
    assert_non_null(s.session);
    return s;
}

static void end(setup *s) {
    cot_session_destroy(s->session);
    cot_program_destroy(s->program);
    coti_training_destroy(s->training);
    cot_model_destroy(s->model);
    cot_context_destroy(s->context);
}

static void step(const setup *s, int t) {
    float gv[3] = {(float)(0.1 * t), -0.2f, t % 2 == 0 ? 0.3f : -0.3f}, gw[1] = {0.4f};
    cot_array av = array_of(gv, 1, 3), aw = array_of(gw, 1, 1);
    assert_int_equal(cot_session_bind(s->session, "gv", &av), COT_OK);
    assert_int_equal(cot_session_bind(s->session, "gw", &aw), COT_OK);
    assert_int_equal(cot_session_run(s->session, 1), COT_OK);
}

static void check_trace(const trace *expected) {
    setup s = begin(expected->optimizer);
    assert_int_equal(s.training->n_variables, 2 + expected->n_slots);
    for (int t = 1, i = 0; t <= 5; t++) {
        step(&s, t);
        int64_t iterations = -1;
        CHECK_OK(s.context,
                 cot_variable_get(s.training->variable[0], &iterations, sizeof iterations));
        assert_int_equal(iterations, t);
        if (t == 1 || t == 2 || t == 5) {
            check_variable(cot_model_weight(s.model, 0), expected->after[i], 2e-6);
            check_variable(cot_model_weight(s.model, 1), expected->after[i] + 3, 2e-6);
            i++;
        }
    }
    end(&s);
}

static void traces_of_keras(void **state) {
    (void)state;
    const trace traces[] = {{"SGD(0.1)",
                             cot_sgd(.learning_rate = 0.1),
                             {{0.99000001, -1.98, 0.53000003, 2.96},
                              {0.97000003, -1.96, 0.5, 2.9200001},
                              {0.84999996, -1.9000001, 0.53000003, 2.8000002}},
                             0},
                            {"SGD(0.1, momentum 0.9)",
                             cot_sgd(.learning_rate = 0.1, .momentum = 0.9),
                             {{0.99000001, -1.98, 0.52999997, 2.96},
                              {0.96100003, -1.942, 0.52699995, 2.8840001},
                              {0.68296903, -1.737118, 0.57398295, 2.474236}},
                             2},
                            {"SGD(0.1, momentum 0.9, nesterov)",
                             cot_sgd(.learning_rate = 0.1, .momentum = 0.9, .nesterov = true),
                             {{0.98100001, -1.962, 0.55700004, 2.924},
                              {0.93490005, -1.9078001, 0.52430004, 2.8156002},
                              {0.56467205, -1.6634064, 0.5965848, 2.3268127}},
                             2},
                            {"Adam(0.1)",
                             cot_adam(.learning_rate = 0.1),
                             {{0.90000379, -1.9000022, 0.5999983, 2.9000015},
                              {0.8034879, -1.8000044, 0.59473521, 2.8000031},
                              {0.51492691, -1.5000091, 0.64349234, 2.5000064}},
                             4}};
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        check_trace(&traces[i]);
    }
}

/* The lecture's Nesterov looks ahead: theta = w + rho v has the same trajectory as Keras's w. On a
 * constant gradient both velocities are -lr g (1 + rho + ...). */
static void nesterov_is_the_look_ahead_point(void **state) {
    (void)state;
    setup s = begin(cot_sgd(.learning_rate = 0.1, .momentum = 0.9, .nesterov = true));
    double w = 3.0, v = 0.0;
    for (int t = 1; t <= 5; t++) {
        step(&s, t);
        v = 0.9 * v - 0.1 * 0.4;
        w += v;
        const double ahead[1] = {w + 0.9 * v};
        check_variable(cot_model_weight(s.model, 1), ahead, 2e-6);
    }
    end(&s);
}

static void defaults_and_zeros(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    coti_optimizer o;
    CHECK_OK(context, coti_optimizer_read(context, cot_sgd(), &o));
    CHECK_NEAR(o.sgd.learning_rate, 0.01, 0.0);
    CHECK_OK(context, coti_optimizer_read(context, cot_adam(), &o));
    CHECK_NEAR(o.adam.learning_rate, 0.001, 0.0);
    CHECK_NEAR(o.adam.beta_1, 0.9, 0.0);
    CHECK_NEAR(o.adam.beta_2, 0.999, 0.0);
    CHECK_NEAR(o.adam.epsilon, 1e-7, 0.0);
    CHECK_OK(context, coti_optimizer_read(
                          context, cot_adam(.beta_1 = COT_ZERO, .learning_rate = COT_ZERO), &o));
    CHECK_NEAR(o.adam.beta_1, 0.0, 0.0);
    CHECK_NEAR(o.adam.learning_rate, 0.0, 0.0);
    cot_context_destroy(context);
}

/* Step 1 with a gradient of zero: 0 / epsilon, no NaN. */
static void adam_survives_zero_gradients(void **state) {
    (void)state;
    setup s = begin(cot_adam(.learning_rate = 0.1));
    static const float zero[3] = {0};
    static const double v[3] = {1.0, -2.0, 0.5};
    cot_array av = array_of(zero, 1, 3), aw = array_of(zero, 1, 1);
    assert_int_equal(cot_session_bind(s.session, "gv", &av), COT_OK);
    assert_int_equal(cot_session_bind(s.session, "gw", &aw), COT_OK);
    assert_int_equal(cot_session_run(s.session, 1), COT_OK);
    check_variable(cot_model_weight(s.model, 0), v, 0.0);
    end(&s);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_of_keras),
        cmocka_unit_test(nesterov_is_the_look_ahead_point),
        cmocka_unit_test(defaults_and_zeros),
        cmocka_unit_test(adam_survives_zero_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
