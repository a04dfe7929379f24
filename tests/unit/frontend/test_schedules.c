/*
 * Schedules against Keras's numbers and against their formulas in double over a thousand steps, as
 * the compiled update computes them: it leaves the rate that it used in the optimizer's variable.
 */
#include "optimizer_support.h"

static double rate_used(const setup *s) {
    float rate = NAN;
    CHECK_OK(s->context, cot_variable_get(s->training->variable[1], &rate, sizeof rate));
    return (double)rate;
}

static void check_rate(const char *what, int64_t step, double found, double expected,
                       double relative) {
    if (!(fabs(found - expected) <= relative * fabs(expected) + 1e-12)) {
        fail_msg("%s: %.9g at step %lld, expected %.9g", what, found, (long long)step, expected);
    }
}

/* ---- Keras's numbers ---- */

static const int64_t boundaries[2] = {5, 10};
static const double values[3] = {0.1, 0.05, 0.01};

static void rates_of_keras(void **state) {
    (void)state;
    static const int at[7] = {0, 1, 5, 10, 11, 20, 35};
    const struct {
        const char *name;
        const cot_schedule *schedule;
        double expected[7];
    } cases[] = {
        {"ExponentialDecay",
         cot_exponential_decay(.initial_learning_rate = 0.1, .decay_steps = 10, .decay_rate = 0.5),
         {0.1, 0.0933033, 0.070710681, 0.050000001, 0.04665165, 0.025, 0.0088388352}},
        {"ExponentialDecay, staircase",
         cot_step_decay(.initial_learning_rate = 0.1, .decay_steps = 10, .decay_rate = 0.5),
         {0.1, 0.1, 0.1, 0.050000001, 0.050000001, 0.025, 0.0125}},
        {"InverseTimeDecay",
         cot_inverse_time_decay(.initial_learning_rate = 0.1, .decay_steps = 10, .decay_rate = 0.5),
         {0.1, 0.095238104, 0.079999998, 0.06666667, 0.064516135, 0.050000001, 0.036363635}},
        {"PiecewiseConstantDecay",
         cot_piecewise_constant_decay(.boundaries = boundaries, .values = values,
                                      .n_boundaries = 2),
         {0.1, 0.1, 0.1, 0.050000001, 0.0099999998, 0.0099999998, 0.0099999998}},
        {"PolynomialDecay",
         cot_polynomial_decay(.initial_learning_rate = 0.1, .decay_steps = 20,
                              .end_learning_rate = 0.01, .power = 2),
         {0.1, 0.091224998, 0.060625002, 0.032499999, 0.028224999, 0.0099999998, 0.0099999998}},
        {"CosineDecay",
         cot_cosine_decay(.initial_learning_rate = 0.1, .decay_steps = 20, .alpha = 0.1),
         {0.1, 0.099445976, 0.086819813, 0.054999996, 0.047960445, 0.010000001, 0.010000001}},
        {"CosineDecay, warm-up",
         cot_cosine_decay(.initial_learning_rate = COT_ZERO, .decay_steps = 20,
                          .warmup_target = 0.1, .warmup_steps = 5),
         {0.0, 0.020000001, 0.1, 0.085355341, 0.079389267, 0.014644662, 0.0}},
        {"CosineDecayRestarts",
         cot_cosine_decay_restarts(.initial_learning_rate = 0.1, .first_decay_steps = 10),
         {0.1, 0.097552828, 0.049999997, 0.1, 0.09938442, 0.049999997, 0.096193977}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setup s = begin(cot_sgd(.schedule = cases[i].schedule));
        check_rate(cases[i].name, 0, rate_used(&s), cases[i].expected[0], 2e-7);
        for (int t = 0, k = 0; t <= 35; t++) {
            step_with(&s, 0.0f);
            if (t == at[k]) {
                check_rate(cases[i].name, t, rate_used(&s), cases[i].expected[k], 2e-7);
                k++;
            }
        }
        end(&s);
    }
}

/* ---- formulas in double, a thousand steps ---- */

static double exponential(double t) {
    return 0.3 * pow(0.9, t / 37);
}
static double stairs(double t) {
    return 0.3 * pow(0.9, floor(t / 37));
}
static double inverse(double t) {
    return 0.3 / (1 + 0.7 * t / 11);
}
static double inverse_stairs(double t) {
    return 0.3 / (1 + 0.7 * floor(t / 11));
}
static double polynomial(double t) {
    double done = fmin(t, 400) / 400;
    return (0.2 - 0.05) * pow(1 - done, 0.5) + 0.05;
}
static double polynomial_up(double t) {
    return (0.05 - 0.2) * (1 - fmin(t, 400) / 400) + 0.2;
}
static double cycles(double t) {
    double rounds = t == 0 ? 1 : ceil(t / 70);
    return (0.2 - 1e-4) * (1 - t / (70 * rounds)) + 1e-4;
}
static double cosine(double t) {
    return 0.2 * (0.75 * 0.5 * (1 + cos(acos(-1.0) * fmin(t, 600) / 600)) + 0.25);
}
static double warm_cosine(double t) {
    if (t < 100) {
        return 0.01 + (0.2 - 0.01) * t / 100;
    }
    return 0.2 * 0.5 * (1 + cos(acos(-1.0) * fmin(t - 100, 600) / 600));
}
/* Round after round, without a logarithm. */
static double restarts(double t, double first, double t_mul, double m_mul, double alpha) {
    double length = first, height = 1.0;
    while (t >= length) {
        t -= length;
        length *= t_mul;
        height *= m_mul;
    }
    double wave = height * 0.5 * (1 + cos(acos(-1.0) * t / length));
    return 0.2 * ((1 - alpha) * wave + alpha);
}
static double doubling(double t) {
    return restarts(t, 8, 2, 0.8, 0.1);
}
static double tripling(double t) {
    return restarts(t, 5, 3, 1, 0);
}
static double equal_rounds(double t) {
    return restarts(t, 25, 1, 0.5, 0);
}
static double bent_rounds(double t) {
    return restarts(t, 10, 1.5, 1, 0.2);
}
static double pieces(double t) {
    return t <= 5 ? 0.1 : t <= 10 ? 0.05 : 0.01;
}
static double triangle(double t) {
    return 0.01 + 0.001 * fabs(fmod(t, 50) - 25);
}

/* |t mod 50 - 25| in nodes. */
static cot_value triangle_nodes(cot_value t, void *user) {
    const double *slope = user;
    cot_value round = cot_op_unary(
        COT_OP_FLOOR, cot_op_binary(COT_OP_DIV, t, cot_op_constant(t.graph, COT_F64, 50)));
    cot_value back = cot_op_binary(COT_OP_MUL, round, cot_op_constant(t.graph, COT_F64, 50));
    cot_value place = cot_op_binary(COT_OP_SUB, t, back);
    cot_value off = cot_op_unary(
        COT_OP_ABS, cot_op_binary(COT_OP_SUB, place, cot_op_constant(t.graph, COT_F64, 25)));
    cot_value grown = cot_op_binary(COT_OP_MUL, off, cot_op_constant(t.graph, COT_F64, *slope));
    return cot_op_cast(cot_op_binary(COT_OP_ADD, grown, cot_op_constant(t.graph, COT_F64, 0.01)),
                       COT_F32);
}

static double slope = 0.001;

static void a_thousand_steps(void **state) {
    (void)state;
    const struct {
        const char *name;
        const cot_schedule *schedule;
        double (*formula)(double t);
    } cases[] = {
        {"exponential", cot_exponential_decay(.decay_steps = 37, .decay_rate = 0.9), exponential},
        {"stairs", cot_step_decay(.decay_steps = 37, .decay_rate = 0.9), stairs},
        {"1/t", cot_inverse_time_decay(.decay_steps = 11, .decay_rate = 0.7), inverse},
        {"1/t in stairs",
         cot_inverse_time_decay(.decay_steps = 11, .decay_rate = 0.7, .staircase = true),
         inverse_stairs},
        {"polynomial",
         cot_polynomial_decay(.initial_learning_rate = 0.2, .decay_steps = 400,
                              .end_learning_rate = 0.05, .power = 0.5),
         polynomial},
        {"a line up",
         cot_polynomial_decay(.initial_learning_rate = 0.05, .decay_steps = 400,
                              .end_learning_rate = 0.2),
         polynomial_up},
        {"cycles",
         cot_polynomial_decay(.initial_learning_rate = 0.2, .decay_steps = 70, .cycle = true),
         cycles},
        {"cosine",
         cot_cosine_decay(.initial_learning_rate = 0.2, .decay_steps = 600, .alpha = 0.25), cosine},
        {"warm cosine",
         cot_cosine_decay(.initial_learning_rate = 0.01, .decay_steps = 600, .warmup_target = 0.2,
                          .warmup_steps = 100),
         warm_cosine},
        {"restarts, 2",
         cot_cosine_decay_restarts(.initial_learning_rate = 0.2, .first_decay_steps = 8,
                                   .m_mul = 0.8, .alpha = 0.1),
         doubling},
        {"restarts, 3",
         cot_cosine_decay_restarts(.initial_learning_rate = 0.2, .first_decay_steps = 5,
                                   .t_mul = 3),
         tripling},
        {"restarts, 1",
         cot_cosine_decay_restarts(.initial_learning_rate = 0.2, .first_decay_steps = 25,
                                   .t_mul = 1, .m_mul = 0.5),
         equal_rounds},
        {"restarts, 1.5",
         cot_cosine_decay_restarts(.initial_learning_rate = 0.2, .first_decay_steps = 10,
                                   .t_mul = 1.5, .alpha = 0.2),
         bent_rounds},
        {"pieces",
         cot_piecewise_constant_decay(.boundaries = boundaries, .values = values,
                                      .n_boundaries = 2),
         pieces},
        {"triangle", cot_custom_schedule(triangle_nodes, .user = &slope), triangle},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setup s = begin(cot_sgd(.learning_rate = 0.3, .schedule = cases[i].schedule));
        for (int t = 0; t < 1000; t++) {
            step_with(&s, 0.0f);
            check_rate(cases[i].name, t, rate_used(&s), cases[i].formula(t), 3e-7);
        }
        end(&s);
    }
}

/* ---- what the rate does ---- */

/* With a gradient of 1 the weight goes down by the sum of the rates; micro-steps count, too. */
static void the_weight_moves_by_the_rate(void **state) {
    (void)state;
    setup s =
        begin(cot_sgd(.learning_rate = 0.3,
                      .schedule = cot_exponential_decay(.decay_steps = 37, .decay_rate = 0.9)));
    double w = 3.0;
    for (int t = 0; t < 20; t++) {
        step_with(&s, 1.0f);
        w -= exponential(t);
        check_variable(cot_model_weight(s.model, 1), &w, 5e-6);
    }
    end(&s);
    s = begin(cot_sgd(.learning_rate = 0.3, .gradient_accumulation_steps = 4,
                      .schedule = cot_exponential_decay(.decay_steps = 37, .decay_rate = 0.9)));
    w = 3.0;
    for (int t = 0; t < 20; t++) {
        step_with(&s, 1.0f);
        w -= t % 4 == 3 ? exponential(t) : 0.0;
        check_variable(cot_model_weight(s.model, 1), &w, 5e-6);
    }
    end(&s);
}

/* Weight decay and Adam take the step's rate, as they would a constant one. */
static void other_optimizers_take_it(void **state) {
    (void)state;
    setup s = begin(cot_adamw(.learning_rate = 0.1, .weight_decay = 0.5,
                              .schedule = cot_step_decay(.decay_steps = 2, .decay_rate = 0.5)));
    double w = 3.0, m = 0.0, v = 0.0;
    for (int t = 1; t <= 6; t++) {
        double g = 0.2 * t, rate = 0.1 * pow(0.5, (t - 1) / 2);
        step_with(&s, (float)g);
        w -= w * 0.5 * rate;
        m += (g - m) * 0.1;
        v += (g * g - v) * 0.001;
        w -= rate * sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t)) * m / (sqrt(v) + 1e-7);
        check_variable(cot_model_weight(s.model, 1), &w, 5e-6);
    }
    end(&s);
}

/* ---- in fit ---- */

typedef struct line {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float x[8], y[8];
} line;

static void begin_line(line *l) {
    l->context = new_context(1);
    cot_tensor in = cot_input(l->context, COT_F32, COT_SHAPE(1), NULL);
    cot_tensor out = cot_dense(in, 1, .use_bias = COT_OFF);
    l->model = cot_model_create(l->context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    fill_g(l->x, 8, 0, 2.0);
    fill_g(l->y, 8, 3, 2.0);
    const cot_array x = array_of(l->x, 8, 1), y = array_of(l->y, 8, 1);
    l->data = cot_dataset_create(l->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
}

static void end_line(line *l) {
    cot_dataset_destroy(l->data);
    cot_model_destroy(l->model);
    cot_context_destroy(l->context);
}

static void fit_goes_on_where_it_was(void **state) {
    (void)state;
    line l;
    begin_line(&l);
    CHECK_OK(l.context,
             cot_model_compile(l.model, .loss = COT_MEAN_SQUARED_ERROR,
                               .optimizer =
                                   cot_sgd(.learning_rate = 0.3,
                                           .schedule = cot_exponential_decay(.decay_steps = 37,
                                                                             .decay_rate = 0.9))));
    CHECK_NEAR(cot_model_learning_rate(l.model), 0.3, 1e-7);
    CHECK_OK(l.context, cot_model_fit(l.model, l.data, .epochs = 3, .batch_size = 2));
    CHECK_NEAR(cot_model_learning_rate(l.model), exponential(12), 1e-7);
    CHECK_OK(l.context, cot_model_fit(l.model, l.data, .batch_size = 200)); /* compiles anew */
    CHECK_NEAR(cot_model_learning_rate(l.model), exponential(13), 1e-7);
    assert_int_equal(cot_model_set_learning_rate(l.model, 0.1), COT_E_ARG);
    CHECK_ERROR(l.context, COT_E_ARG, "follows a schedule (exponential_decay)");
    assert_int_equal(
        cot_model_fit(l.model, l.data, .epochs = 3,
                      .callbacks = {cot_reduce_lr_on_plateau(.monitor = "loss", .patience = 1,
                                                             .min_delta = 1e9)}),
        COT_E_ARG);
    CHECK_ERROR(l.context, COT_E_ARG, "follows a schedule");
    end_line(&l);
}

/* ---- misuse ---- */

static cot_value no_nodes(cot_value t, void *user) {
    (void)t;
    (void)user;
    return (cot_value){NULL, 0};
}

static cot_value a_vector(cot_value t, void *user) {
    (void)user;
    return cot_op_broadcast(t, COT_SHAPE(3), NULL, 0);
}

static void wrong_schedules_are_refused(void **state) {
    (void)state;
    static const int64_t falling[2] = {5, 5};
    static const double negative[3] = {0.1, -0.1, 0.0};
    static const cot_schedule unknown = {sizeof unknown, (cot_schedule_kind)77};
    const struct {
        const cot_schedule *schedule;
        cot_status status;
        const char *text;
    } cases[] = {
        {&unknown, COT_E_ARG, "77 is no schedule"},
        {cot_exponential_decay(.decay_steps = 10), COT_E_ARG,
         "exponential_decay: decay_rate is missing"},
        {cot_exponential_decay(.decay_rate = 0.5), COT_E_ARG,
         "exponential_decay: decay_steps is 0"},
        {cot_inverse_time_decay(.decay_steps = 1, .decay_rate = -1), COT_E_ARG,
         "inverse_time_decay: decay_rate is -1"},
        {cot_polynomial_decay(.decay_steps = 1, .power = -1), COT_E_ARG,
         "polynomial_decay: power is -1"},
        {cot_cosine_decay(.decay_steps = 1, .alpha = 1.5), COT_E_ARG, "cosine_decay: alpha is 1.5"},
        {cot_cosine_decay(.decay_steps = 1, .warmup_target = 1), COT_E_ARG,
         "warmup_target is 1, but warmup_steps is 0"},
        {cot_cosine_decay_restarts(.first_decay_steps = 1, .t_mul = 0.5), COT_E_ARG,
         "cosine_decay_restarts: t_mul is 0.5"},
        {cot_piecewise_constant_decay(.boundaries = boundaries, .values = values), COT_E_ARG,
         "n_boundaries is 0"},
        {cot_piecewise_constant_decay(.boundaries = falling, .values = values, .n_boundaries = 2),
         COT_E_ARG, "boundary 1 is 5 after 5"},
        {cot_piecewise_constant_decay(.boundaries = boundaries, .values = negative,
                                      .n_boundaries = 2),
         COT_E_ARG, "value 1 is -0.1"},
        {cot_custom_schedule(NULL), COT_E_ARG, "custom_schedule: function is NULL"},
        {cot_custom_schedule(no_nodes), COT_E_ARG, "the function gives no value"},
        {cot_custom_schedule(a_vector), COT_E_SHAPE, "the function gives f64[3]"},
    };
    line l;
    begin_line(&l);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cot_model_compile(l.model, .loss = COT_MEAN_SQUARED_ERROR,
                                           .optimizer = cot_sgd(.schedule = cases[i].schedule)),
                         cases[i].status);
        CHECK_ERROR(l.context, cases[i].status, cases[i].text);
    }
    assert_int_equal(
        cot_model_compile(
            l.model, .loss = COT_MEAN_SQUARED_ERROR,
            .optimizer = cot_sgd(.decay = 0.1,
                                 .schedule = cot_step_decay(.decay_steps = 1, .decay_rate = 0.5))),
        COT_E_ARG);
    CHECK_ERROR(l.context, COT_E_ARG, "sgd: decay is 0.1 beside a schedule");
    assert_string_equal(cot_schedule_name(COT_SCHEDULE_COSINE_DECAY), "cosine_decay");
    assert_string_equal(cot_schedule_name((cot_schedule_kind)-1), "?");
    end_line(&l);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_of_keras),
        cmocka_unit_test(a_thousand_steps),
        cmocka_unit_test(the_weight_moves_by_the_rate),
        cmocka_unit_test(other_optimizers_take_it),
        cmocka_unit_test(fit_goes_on_where_it_was),
        cmocka_unit_test(wrong_schedules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
