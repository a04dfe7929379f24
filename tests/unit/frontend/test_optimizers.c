/*
 * Optimizers against Keras's traces: weights v = [1, -2, 0.5] and w = [3] take steps with gradients
 * [0.1 t, -0.2, 0.3 (-1)^t] and [0.4]; their values after steps 1, 2 and 5.
 */
#include "optimizer_support.h"

#include <math.h>

typedef struct trace {
    const char *name;
    const cot_optimizer *optimizer;
    double after[3][4]; /* steps 1, 2, 5 */
    int32_t n_slots;    /* of both weights together */
} trace;

static void check_trace(const trace *expected) {
    setup s = begin(expected->optimizer);
    if (s.training->n_variables != 2 + expected->n_slots) {
        fail_msg("%s: %d variables, expected %d", expected->name, (int)s.training->n_variables,
                 2 + (int)expected->n_slots);
    }
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
    const trace traces[] = {
        {"SGD(0.1)",
         cot_sgd(.learning_rate = 0.1),
         {{0.99000001, -1.98, 0.53000003, 2.96},
          {0.97000003, -1.96, 0.5, 2.9200001},
          {0.84999996, -1.9000001, 0.53000003, 2.8000002}},
         0},
        {"SGD(0.1,momentum=0.9)",
         cot_sgd(.learning_rate = 0.1, .momentum = 0.9),
         {{0.99000001, -1.98, 0.52999997, 2.96},
          {0.96100003, -1.942, 0.52699995, 2.8840001},
          {0.68296903, -1.737118, 0.57398295, 2.474236}},
         2},
        {"SGD(0.1,momentum=0.9,nesterov)",
         cot_sgd(.learning_rate = 0.1, .momentum = 0.9, .nesterov = true),
         {{0.98100001, -1.962, 0.55700004, 2.924},
          {0.93490005, -1.9078001, 0.52430004, 2.8156002},
          {0.56467205, -1.6634064, 0.5965848, 2.3268127}},
         2},
        {"SGD(InverseTimeDecay(0.1,1,1e-6),0.9,nesterov)",
         cot_sgd(.learning_rate = 0.1, .decay = 1e-6, .momentum = 0.9, .nesterov = true),
         {{0.98100001, -1.962, 0.55700004, 2.924},
          {0.93490005, -1.9078001, 0.5243001, 2.8156002},
          {0.56467319, -1.6634067, 0.59658468, 2.3268135}},
         2},
        {"SGD(0.1,weight_decay=0.01)",
         cot_sgd(.learning_rate = 0.1, .weight_decay = 0.01),
         {{0.98900002, -1.978, 0.52950001, 2.957},
          {0.96801108, -1.9560221, 0.49897054, 2.9140432},
          {0.8452099, -1.89022, 0.5274452, 2.7854302}},
         0},
        {"SGD(0.1,clipnorm=0.3)",
         cot_sgd(.learning_rate = 0.1, .clipnorm = 0.3),
         {{0.99198216, -1.9839643, 0.52405351, 2.97},
          {0.97743005, -1.9694122, 0.50222528, 2.9400001},
          {0.91162533, -1.9357451, 0.51930064, 2.8500001}},
         0},
        {"SGD(0.1,clipvalue=0.15)",
         cot_sgd(.learning_rate = 0.1, .clipvalue = 0.15),
         {{0.99000001, -1.985, 0.51499999, 2.9849999},
          {0.97500002, -1.97, 0.49999997, 2.9699998},
          {0.93000007, -1.9250001, 0.51499999, 2.9249995}},
         0},
        {"SGD(0.1,global_clipnorm=0.3)",
         cot_sgd(.learning_rate = 0.1, .global_clipnorm = 0.3),
         {{0.99452275, -1.9890455, 0.51643169, 2.978091},
          {0.98407811, -1.9786009, 0.50076467, 2.9572017},
          {0.93117726, -1.9517583, 0.51419562, 2.9035165}},
         0},
        {"Adagrad(0.1)",
         cot_adagrad(.learning_rate = 0.1),
         {{0.96984887, -1.9465477, 0.56882471, 2.9215536},
          {0.91820908, -1.8994073, 0.51213002, 2.8598323},
          {0.73170894, -1.7810291, 0.5576691, 2.718647}},
         2},
        {"Adagrad(0.1,initial_accumulator_value=0)",
         cot_adagrad(.learning_rate = 0.1, .initial_accumulator_value = COT_ZERO),
         {{0.90000051, -1.9000001, 0.59999996, 2.9000001},
          {0.8105579, -1.8292894, 0.52928931, 2.8292894},
          {0.58992994, -1.6768332, 0.58174568, 2.6768332}},
         2},
        {"RMSprop(0.1)",
         cot_rmsprop(.learning_rate = 0.1),
         {{0.68378806, -1.6837761, 0.81622601, 2.6837733},
          {0.39807668, -1.4543619, 0.58681095, 2.4543579},
          {-0.32276034, -0.93547857, 0.76464915, 1.9354731}},
         2},
        {"RMSprop(0.1,momentum=0.9)",
         cot_rmsprop(.learning_rate = 0.1, .momentum = 0.9),
         {{0.68378806, -1.6837761, 0.81622601, 2.6837733},
          {0.11348593, -1.1697605, 0.8714143, 2.1697538},
          {-2.6561916, 1.0847578, 1.3588673, -0.0847767}},
         4},
        {"RMSprop(0.1,centered)",
         cot_rmsprop(.learning_rate = 0.1, .centered = true),
         {{0.66668516, -1.6666713, 0.83333129, 2.6666679},
          {0.35276794, -1.411767, 0.60385585, 2.411762},
          {-0.50235677, -0.77290595, 0.78597116, 1.7728981}},
         4},
        {"Adam(0.1)",
         cot_adam(.learning_rate = 0.1),
         {{0.90000379, -1.9000022, 0.5999983, 2.9000015},
          {0.8034879, -1.8000044, 0.59473521, 2.8000031},
          {0.51492691, -1.5000091, 0.64349234, 2.5000064}},
         4},
        {"Adam(0.1,amsgrad)",
         cot_adam(.learning_rate = 0.1, .amsgrad = true),
         {{0.90000379, -1.9000022, 0.5999983, 2.9000015},
          {0.8034879, -1.8000044, 0.59473521, 2.8000031},
          {0.51492691, -1.5000091, 0.64349234, 2.5000064}},
         6},
        {"AdamW(0.1)",
         cot_adamw(.learning_rate = 0.1),
         {{0.89960384, -1.8992022, 0.59979826, 2.8988016},
          {0.80272812, -1.7984446, 0.59429526, 2.7976437},
          {0.51331925, -1.4964119, 0.64231479, 2.494411}},
         4},
        {"Nadam(0.1)",
         cot_nadam(.learning_rate = 0.1),
         /* of the TensorFlow backend, which rounds beta_2 before it subtracts it from 1 */
         {{0.89372134, -1.8937212, 0.60627878, 2.8937213},
          {0.79910779, -1.8163625, 0.53911573, 2.8163626},
          {0.51905835, -1.604023, 0.6009776, 2.6040227}},
         5},
        {"Adamax(0.1)",
         cot_adamax(.learning_rate = 0.1),
         {{0.9000001, -1.9000001, 0.59999996, 2.9000001},
          {0.82368433, -1.8000002, 0.59473681, 2.8000002},
          {0.62470424, -1.5000005, 0.64349443, 2.5000005}},
         4},
        {"Adadelta(0.1)",
         cot_adadelta(.learning_rate = 0.1),
         {{0.99985862, -1.9998586, 0.50014144, 2.9998586},
          {0.99967885, -1.9997154, 0.49999821, 2.9997153},
          {0.99892181, -1.9992795, 0.50014341, 2.9992793}},
         4},
        {"Lion(0.1)",
         cot_lion(.learning_rate = 0.1),
         {{0.89999998, -1.9, 0.60000002, 2.9000001},
          {0.79999995, -1.8, 0.5, 2.8000002},
          {0.49999991, -1.4999999, 0.60000002, 2.5000005}},
         2},
        {"Ftrl(0.1)",
         cot_ftrl(.learning_rate = 0.1),
         {{0.016386274, -0.25623927, 0.20608659, 1.0610327},
          {-0.035253506, -0.20909885, 0.14939192, 0.99931133},
          {-0.22175367, -0.090720624, 0.19493103, 0.8581261}},
         4},
        {"Lamb(0.1)",
         cot_lamb(.learning_rate = 0.1),
         {{0.8677125, -1.8677124, 0.63228762, 2.7},
          {0.71820921, -1.7128159, 0.62413514, 2.4300001},
          {0.34734747, -1.3271587, 0.68750852, 1.7714701}},
         4},
        {"Adafactor(0.1)",
         cot_adafactor(.learning_rate = 0.1),
         {{0.86771244, -1.8677125, 0.63228756, 2.7},
          {0.72752386, -1.7520453, 0.5166204, 2.4300001},
          {0.34767556, -1.4677955, 0.61028355, 1.77147}},
         4},
        {"Adam(0.1,use_ema,0.9,freq=2)",
         cot_adam(.learning_rate = 0.1, .use_ema = true, .ema_momentum = 0.9,
                  .ema_overwrite_frequency = 2),
         {{0.90000379, -1.9000022, 0.5999983, 2.9000015},
          {0.89035219, -1.8900025, 0.59947199, 2.8900018},
          {0.76582396, -1.7610046, 0.62576693, 2.7610033}},
         6},
        {"Adam(0.1,gradient_accumulation_steps=2)",
         cot_adam(.learning_rate = 0.1, .gradient_accumulation_steps = 2),
         {{1.0, -2.0, 0.5, 3.0},
          {0.90000278, -1.9000022, 0.5, 2.9000015},
          {0.80521852, -1.8000044, 0.5, 2.8000031}},
         6},
    };
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
    CHECK_OK(context, coti_optimizer_read(context, NULL, cot_sgd(), &o));
    CHECK_NEAR(o.sgd.learning_rate, 0.01, 0.0);
    CHECK_OK(context, coti_optimizer_read(context, NULL, cot_adam(), &o));
    CHECK_NEAR(o.adam.learning_rate, 0.001, 0.0);
    CHECK_NEAR(o.adam.beta_1, 0.9, 0.0);
    CHECK_NEAR(o.adam.beta_2, 0.999, 0.0);
    CHECK_NEAR(o.adam.epsilon, 1e-7, 0.0);
    CHECK_OK(context,
             coti_optimizer_read(context, NULL,
                                 cot_adam(.beta_1 = COT_ZERO, .learning_rate = COT_ZERO), &o));
    CHECK_NEAR(o.adam.beta_1, 0.0, 0.0);
    CHECK_NEAR(o.adam.learning_rate, 0.0, 0.0);
    cot_context_destroy(context);
}

/* The lecture's Adam: corrected moments, epsilon inside the root. An epsilon as large as the
 * gradient's square tells the forms apart. */
static void adam_of_the_lecture(void **state) {
    (void)state;
    setup s = begin(cot_adam(.learning_rate = 0.1, .epsilon = 0.25, .epsilon_inside = true));
    double w = 3.0, m = 0.0, v = 0.0;
    for (int t = 1; t <= 5; t++) {
        double g = 0.4 * t;
        step_with(&s, (float)g);
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        double m_hat = m / (1 - pow(0.9, t)), v_hat = v / (1 - pow(0.999, t));
        w -= 0.1 * m_hat / sqrt(v_hat + 0.25);
        check_variable(cot_model_weight(s.model, 1), &w, 5e-6);
    }
    end(&s);
}

/* Amsgrad keeps the largest v: after a large gradient, small ones move the weight little. */
static void amsgrad_remembers(void **state) {
    (void)state;
    setup s = begin(cot_adam(.learning_rate = 0.1, .beta_2 = 0.5, .amsgrad = true));
    double w = 3.0, m = 0.0, v = 0.0, most = 0.0;
    for (int t = 1; t <= 6; t++) {
        double g = t == 1 ? 10.0 : 0.1;
        step_with(&s, (float)g);
        m = 0.9 * m + 0.1 * g;
        v = 0.5 * v + 0.5 * g * g;
        most = fmax(most, v);
        w -= 0.1 * sqrt(1 - pow(0.5, t)) / (1 - pow(0.9, t)) * m / (sqrt(most) + 1e-7);
        check_variable(cot_model_weight(s.model, 1), &w, 5e-6);
    }
    end(&s);
}

static void ftrl_with_penalties(void **state) {
    (void)state;
    setup s = begin(cot_ftrl(.learning_rate = 0.1, .l1_regularization_strength = 0.2,
                             .l2_regularization_strength = 0.3,
                             .l2_shrinkage_regularization_strength = 0.05, .beta = 0.7));
    double w = 3.0, n = 0.1, z = 0.0;
    for (int t = 1; t <= 5; t++) {
        double g = t % 2 == 0 ? 0.4 : -0.7;
        step_with(&s, (float)g);
        double after = n + g * g, seen = g + 2 * 0.05 * w;
        z += seen - (sqrt(after) - sqrt(n)) / 0.1 * w;
        double q = sqrt(after) / 0.1 + 2 * (0.3 + 0.7 / (2 * 0.1));
        w = (fmax(-0.2, fmin(0.2, z)) - z) / q;
        n = after;
        check_variable(cot_model_weight(s.model, 1), &w, 5e-6);
    }
    end(&s);
}

/* Edge cases of clipping by a norm: zero gradients stay zero; an infinite norm makes all NaN. */
static void clipping_at_the_edges(void **state) {
    (void)state;
    static const double v[3] = {1.0, -2.0, 0.5}, w[1] = {3.0};
    const cot_optimizer *by_norm[] = {cot_sgd(.learning_rate = 0.1, .clipnorm = 1.0),
                                      cot_sgd(.learning_rate = 0.1, .global_clipnorm = 1.0)};
    for (int i = 0; i < 2; i++) {
        setup s = begin(by_norm[i]);
        step_with(&s, 0.0f);
        check_variable(cot_model_weight(s.model, 0), v, 0.0);
        check_variable(cot_model_weight(s.model, 1), w, 0.0);
        float after[3];
        step_with(&s, INFINITY);
        CHECK_OK(s.context, cot_variable_get(cot_model_weight(s.model, 0), after, sizeof after));
        assert_true(i == 0 ? after[0] == 1.0f : isnan(after[0]) && isnan(after[1]));
        end(&s);
    }
}

/* Gradients are divided by the scale that the loss was multiplied by. */
static void loss_scale(void **state) {
    (void)state;
    setup s = begin(cot_sgd(.learning_rate = 0.1, .loss_scale_factor = 1024.0));
    const double w = 3.0 - 0.1 * 0.5;
    step_with(&s, 512.0f);
    check_variable(cot_model_weight(s.model, 1), &w, 1e-6);
    end(&s);
}

/* Every optimizer leaves a weight alone whose gradients are zero, but for Ftrl, which begins anew,
 * and makes no NaN. */
static void zero_gradients(void **state) {
    (void)state;
    static const double v[3] = {1.0, -2.0, 0.5};
    const cot_optimizer *all[] = {cot_sgd(.momentum = 0.9),
                                  cot_adam(),
                                  cot_rmsprop(),
                                  cot_adagrad(),
                                  cot_adadelta(),
                                  cot_adamax(),
                                  cot_nadam(),
                                  cot_lion(),
                                  cot_lamb(),
                                  cot_adafactor()};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        setup s = begin(all[i]);
        step_with(&s, 0.0f);
        step_with(&s, 0.0f);
        check_variable(cot_model_weight(s.model, 0), v, 0.0);
        end(&s);
    }
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_of_keras),       cmocka_unit_test(nesterov_is_the_look_ahead_point),
        cmocka_unit_test(defaults_and_zeros),    cmocka_unit_test(adam_of_the_lecture),
        cmocka_unit_test(amsgrad_remembers),     cmocka_unit_test(ftrl_with_penalties),
        cmocka_unit_test(clipping_at_the_edges), cmocka_unit_test(loss_scale),
        cmocka_unit_test(zero_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
