/*
 * The search for hyper-parameters: which values are tried, which trial wins, what halving spends,
 * that results are the bits of fits alone whatever runs beside them, that the test set is read once
 * and last, and what failures come to.
 */
#include "search_support.h"

#include "runtime/base/philox.h"

/* ---- values ---- */

static void test_grid(void **state) {
    (void)state;
    static const struct {
        double a;
        const char *b;
        int64_t c;
    } expected[] = {{0.5, "x", 1}, {0.5, "x", 4}, {0.5, "y", 1}, {0.5, "y", 4},
                    {0.1, "x", 1}, {0.1, "x", 4}, {0.1, "y", 1}, {0.1, "y", 4}};
    problem p = problem_make(1, 1);
    cot_search_options o = options_for(&p);
    o.method = COT_SEARCH_GRID;
    o.epochs = 1;
    o.build = build_plain;
    o.ranges = COT_RANGES(cot_range_numbers("a", 0.5, 0.1), cot_range_texts("b", "x", "y"),
                          cot_range_integers("c", 1, 6, .step = 3));
    cot_search_result *result = search_ok(&p, &o);
    assert_int_equal(cot_search_n_trials(result), 8);
    for (int32_t i = 0; i < 8; i++) {
        const cot_trial *t = cot_search_trial(result, i);
        assert_int_equal(cot_trial_index(t), i);
        assert_true(cot_trial_float(t, "a") == expected[i].a);
        assert_string_equal(cot_trial_text(t, "b"), expected[i].b);
        assert_int_equal(cot_trial_int(t, "c"), expected[i].c);
    }
    assert_null(cot_search_trial(result, 8));
    assert_int_equal(cot_search_n_rounds(result), 1);
    cot_search_result_destroy(result);
    o.trials = 3; /* the first so many */
    result = search_ok(&p, &o);
    assert_int_equal(cot_search_n_trials(result), 3);
    assert_int_equal(cot_trial_int(cot_search_trial(result, 1), "c"), 4);
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* Points of intervals: equal steps, or equal factors; both ends exactly. */
static void test_grid_points(void **state) {
    (void)state;
    problem p = problem_make(1, 1);
    cot_search_options o = options_for(&p);
    o.method = COT_SEARCH_GRID;
    o.epochs = 1;
    o.build = build_plain;
    o.ranges = COT_RANGES(cot_range_log_uniform("rate", 1e-4, 1e-1, .points = 4));
    cot_search_result *result = search_ok(&p, &o);
    static const double decades[] = {1e-4, 1e-3, 1e-2, 1e-1}, fifths[] = {-1, -0.5, 0, 0.5, 1};
    assert_int_equal(cot_search_n_trials(result), 4);
    for (int32_t i = 0; i < 4; i++) {
        double found = cot_trial_float(cot_search_trial(result, i), "rate");
        assert_true(fabs(found / decades[i] - 1.0) < 1e-14);
        assert_true((i != 0 && i != 3) || found == decades[i]);
    }
    cot_search_result_destroy(result);
    o.ranges = COT_RANGES(cot_range_uniform("u", -1, 1));
    result = search_ok(&p, &o);
    assert_int_equal(cot_search_n_trials(result), 5);
    for (int32_t i = 0; i < 5; i++) {
        assert_true(cot_trial_float(cot_search_trial(result, i), "u") == fifths[i]);
    }
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* The first draw of each range, by Philox itself: words 2j and 2j + 1 of step trial << 32. */
static void check_draw(const cot_trial *t, uint64_t seed) {
    const coti_philox_key key = coti_philox_make_key(seed, COTI_STREAM_SEARCH);
    const uint32_t counter[4] = {0, 0, 0, (uint32_t)cot_trial_index(t)};
    uint32_t word[4];
    coti_philox4x32(counter, key, word);
    double u = ldexp((double)(((uint64_t)word[0] << 32 | word[1]) >> 11), -53);
    double v = ldexp((double)(((uint64_t)word[2] << 32 | word[3]) >> 11), -53);
    CHECK_NEAR(cot_trial_float(t, "u"), -2.0 + 5.0 * u, 1e-14);
    CHECK_NEAR(log10(cot_trial_float(t, "log")), -4.0 + 3.0 * v, 1e-13);
}

static void test_random(void **state) {
    (void)state;
    enum { N = 200 };
    problem p = problem_make(77, 1);
    cot_search_options o = options_for(&p);
    o.epochs = 1;
    o.trials = N;
    o.build = build_nothing;
    o.ranges =
        COT_RANGES(cot_range_uniform("u", -2, 3), cot_range_log_uniform("log", 1e-4, 1e-1),
                   cot_range_integers("i", -3, 7, .step = 5), cot_range_texts("t", "a", "b", "c"));
    cot_search_result *result = NULL;
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_ARG); /* all fail */
    cot_error_clear(p.context);
    int32_t integers[3] = {0}, texts[3] = {0}, decades[3] = {0};
    for (int32_t i = 0; i < N; i++) {
        const cot_trial *t = cot_search_trial(result, i);
        check_draw(t, 77);
        int64_t k = cot_trial_int(t, "i");
        assert_true(k == -3 || k == 2 || k == 7);
        integers[(k + 3) / 5]++;
        texts[cot_trial_text(t, "t")[0] - 'a']++;
        decades[(int)floor(log10(cot_trial_float(t, "log"))) + 4]++;
    }
    for (int i = 0; i < 3; i++) { /* a third of 200, five deviations of 6.7 */
        assert_in_range(integers[i], 67 - 33, 67 + 33);
        assert_in_range(texts[i], 67 - 33, 67 + 33);
        assert_in_range(decades[i], 67 - 33, 67 + 33);
    }
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* No choice twice; where there are no more, fewer trials. */
static void test_random_is_new(void **state) {
    (void)state;
    problem p = problem_make(3, 1);
    cot_search_options o = options_for(&p);
    o.epochs = 1;
    o.build = build_plain;
    o.ranges = COT_RANGES(cot_range_numbers("a", 1, 2), cot_range_texts("b", "x", "y", "z"));
    cot_search_result *result = search_ok(&p, &o); /* 10 are asked for */
    assert_int_equal(cot_search_n_trials(result), 6);
    uint32_t seen = 0;
    for (int32_t i = 0; i < 6; i++) {
        const cot_trial *t = cot_search_trial(result, i);
        seen |= 1u << (uint32_t)(3 * (cot_trial_int(t, "a") - 1) + cot_trial_text(t, "b")[0] - 'x');
    }
    assert_int_equal(seen, 63);
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* ---- who wins ---- */

static void test_best(void **state) {
    (void)state;
    problem p = problem_make(5, 2);
    cot_search_options o = options_for(&p);
    cot_search_result *result = search_ok(&p, &o);
    const cot_trial *best = cot_search_best(result);
    assert_int_equal(cot_search_n_trials(result), 4);
    assert_true(cot_trial_float(best, "rate") == 0.2);
    assert_ptr_equal(cot_search_ranked(result, 0), best);
    assert_string_equal(cot_search_monitor(result), "val_loss");
    for (int32_t i = 0; i < 4; i++) {
        cot_trial_info info = cot_trial_get_info(cot_search_trial(result, i));
        cot_trial_info ranked = cot_trial_get_info(cot_search_ranked(result, i));
        bool wild = cot_trial_float(cot_search_trial(result, i), "rate") > 1.0;
        assert_int_equal(info.state, wild ? COT_TRIAL_DIVERGED : COT_TRIAL_DONE);
        assert_int_equal(info.n_params, 4);
        assert_true(i == 0 || !(ranked.value < cot_trial_get_info(best).value));
        double least = INFINITY;
        for (int32_t e = 0; e < o.epochs; e++) {
            least = info.curve[e] < least ? info.curve[e] : least;
        }
        assert_true(isnan(info.value) ? least == INFINITY : info.value == least);
        assert_true(isnan(info.value) || info.curve[info.best_epoch] == least);
    }
    /* The weights are those of the best epoch: validated anew they give its number. */
    cot_dataset *validation = cot_dataset_slice(p.data, ROWS - VALIDATION, VALIDATION);
    cot_dataset *own = cot_dataset_borrow(cot_model_context(cot_search_model(result)), validation);
    cot_logs report;
    CHECK_OK(p.context,
             cot_model_evaluate(cot_search_model(result), own, &report, .batch_size = 4));
    assert_true(cot_logs_get(&report, "loss") == cot_trial_get_info(best).value);
    cot_dataset_destroy(own);
    cot_dataset_destroy(validation);
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* The direction of an accuracy, and a number that must be told which. */
static void test_monitor(void **state) {
    (void)state;
    problem p = problem_make(5, 1);
    cot_search_options o = options_for(&p);
    o.monitor = "val_mean_absolute_error";
    cot_search_result *result = search_ok(&p, &o);
    assert_true(cot_trial_float(cot_search_best(result), "rate") == 0.2);
    cot_search_result_destroy(result);
    o.mode = COT_MODE_MAX; /* the worst one that is finite */
    o.ranges = COT_RANGES(cot_range_numbers("rate", 1e-6, 0.01, 0.2));
    result = search_ok(&p, &o);
    assert_true(cot_trial_float(cot_search_best(result), "rate") == 1e-6);
    assert_int_equal(cot_trial_get_info(cot_search_best(result)).best_epoch, 0);
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* ---- the same whatever runs beside it ---- */

typedef struct outcome {
    double value[32], curve[32][16];
    int32_t epochs[32], best_epoch[32], state[32], best;
    float weight[4];
    double test;
} outcome;

static outcome outcome_of(const cot_search_result *result, int32_t epochs) {
    outcome out;
    memset(&out, 0, sizeof out);
    for (int32_t i = 0; i < cot_search_n_trials(result); i++) {
        cot_trial_info info = cot_trial_get_info(cot_search_trial(result, i));
        out.value[i] = info.value;
        out.epochs[i] = info.n_epochs;
        out.best_epoch[i] = info.best_epoch;
        out.state[i] = (int32_t)info.state;
        memcpy(out.curve[i], info.curve, (size_t)epochs * sizeof(double));
    }
    out.best = cot_trial_index(cot_search_best(result));
    const cot_model *model = cot_search_model(result);
    (void)cot_variable_get(cot_model_weight(model, 0), out.weight, 3 * sizeof(float));
    (void)cot_variable_get(cot_model_weight(model, 1), out.weight + 3, sizeof(float));
    cot_logs test = cot_search_test(result);
    out.test = cot_logs_get(&test, "loss");
    return out;
}

static void test_any_concurrency(void **state) {
    (void)state;
    static const int32_t threads[] = {1, 2, 4, 4, 3, 7}, beside[] = {1, 2, 4, 3, 2, 0};
    static const cot_search_method method[] = {COT_SEARCH_RANDOM, COT_SEARCH_HALVING};
    for (int m = 0; m < 2; m++) {
        outcome first;
        for (int i = 0; i < 6; i++) {
            problem p = problem_make(9, threads[i]);
            cot_search_options o = options_for(&p);
            o.ranges = COT_RANGES(cot_range_log_uniform("rate", 1e-4, 100),
                                  cot_range_numbers("batch", 3, 4, 8));
            o.user = &p; /* with a batch */
            o.method = method[m];
            o.trials = 12;
            o.epochs = 9;
            o.side_by_side = beside[i];
            o.test_data = p.data;
            o.memory_limit = i == 3 ? 1 : 0; /* one at a time */
            cot_search_result *result = search_ok(&p, &o);
            outcome found = outcome_of(result, o.epochs);
            first = i == 0 ? found : first;
            assert_memory_equal(&found, &first, sizeof found);
            assert_true(!isnan(found.test));
            cot_search_result_destroy(result);
            problem_free(&p);
        }
    }
}

/* ---- halving ---- */

static void check_rounds(const cot_search_result *result, int32_t n, const int32_t (*expected)[2]) {
    assert_int_equal(cot_search_n_rounds(result), n);
    for (int32_t i = 0; i < n; i++) {
        cot_search_round round = cot_search_get_round(result, i);
        assert_int_equal(round.n_trials, expected[i][0]);
        assert_int_equal(round.epochs, expected[i][1]);
    }
    assert_int_equal(cot_search_get_round(result, n).n_trials, 0);
}

/* 27 trials, thirds: 27 until epoch 1, 9 until 3, 3 until 9. */
static void test_halving(void **state) {
    (void)state;
    static const int32_t thirds[3][2] = {{27, 1}, {9, 3}, {3, 9}};
    static const int32_t halves[4][2] = {{7, 2}, {3, 4}, {1, 20}, {0, 0}};
    problem p = problem_make(11, 2);
    cot_search_options o = options_for(&p);
    o.ranges = COT_RANGES(cot_range_log_uniform("rate", 1e-4, 0.3));
    o.method = COT_SEARCH_HALVING;
    o.trials = 27;
    o.epochs = 9;
    cot_search_result *result = search_ok(&p, &o);
    check_rounds(result, 3, thirds);
    int32_t n_of[10] = {0}, n_outranked = 0;
    for (int32_t i = 0; i < 27; i++) {
        cot_trial_info info = cot_trial_get_info(cot_search_trial(result, i));
        n_of[info.n_epochs]++;
        n_outranked += info.state == COT_TRIAL_OUTRANKED;
        /* Who went on was better at the end of the round than who did not. */
        for (int32_t k = 0; k < 27; k++) {
            cot_trial_info other = cot_trial_get_info(cot_search_trial(result, k));
            assert_true(info.n_epochs != 1 || other.n_epochs < 3 ||
                        other.curve[0] <= info.curve[0]);
        }
    }
    assert_int_equal(n_of[1], 18);
    assert_int_equal(n_of[3], 6);
    assert_int_equal(n_of[9], 3);
    assert_int_equal(n_outranked, 24);
    cot_search_result_destroy(result);
    o.trials = 7;
    o.factor = 2;
    o.min_epochs = 2;
    o.epochs = 20;
    result = search_ok(&p, &o);
    check_rounds(result, 3, halves);
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* A trial that halving has taken through all rounds, on changing numbers of threads, has the
 * numbers of one fit: also with averages that fit's end writes, and callbacks that count. */
static void test_halving_trains_on(void **state) {
    (void)state;
    problem p = problem_make(13, 4);
    cot_search_options o = options_for(&p);
    o.build = build_averaged;
    o.ranges = COT_RANGES(cot_range_log_uniform("rate", 1e-3, 0.1));
    o.method = COT_SEARCH_HALVING;
    o.trials = 9;
    o.epochs = 12;
    o.factor = 2;
    cot_search_result *result = search_ok(&p, &o);
    const cot_trial *best = cot_search_best(result);
    cot_trial_info info = cot_trial_get_info(best);
    assert_int_equal(info.n_epochs, 12);
    cot_context *context = new_context(13);
    cot_model *model = averaged_model(context, cot_trial_float(best, "rate"));
    cot_dataset *data = cot_dataset_borrow(context, p.data);
    CHECK_OK(context,
             cot_model_fit(model, data, .epochs = 12, .batch_size = 4, .validation_split = SHARE,
                           .callbacks = {cot_reduce_lr_on_plateau(.patience = 2),
                                         cot_early_stopping(.patience = 11)}));
    const double *loss = cot_history_values(cot_model_history(model), "val_loss");
    assert_memory_equal(loss, info.curve, 12 * sizeof *loss);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    cot_search_result_destroy(result);
    problem_free(&p);
}

static void test_early_stopping(void **state) {
    (void)state;
    problem p = problem_make(5, 1);
    cot_search_options o = options_for(&p);
    o.build = build_impatient;
    o.ranges = COT_RANGES(cot_range_numbers("rate", 0.1));
    cot_search_result *result = search_ok(&p, &o);
    cot_trial_info info = cot_trial_get_info(cot_search_best(result));
    assert_int_equal(info.state, COT_TRIAL_STOPPED);
    assert_int_equal(info.n_epochs, 2); /* min_delta is beyond everything */
    assert_true(isnan(info.curve[2]));
    cot_search_result_destroy(result);
    problem_free(&p);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_grid_points),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_is_new),
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_monitor),
        cmocka_unit_test(test_any_concurrency),
        cmocka_unit_test(test_halving),
        cmocka_unit_test(test_halving_trains_on),
        cmocka_unit_test(test_early_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
