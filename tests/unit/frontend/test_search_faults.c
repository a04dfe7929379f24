/*
 * Searches that do not go well: trials that fail, diverge, are cancelled, run out of memory;
 * options that make no sense. And what surrounds a search: the test set, memory, texts.
 */
#include "search_support.h"

#include "alloc_fail.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* ---- the test set ---- */

/* A page that nobody may touch until it is opened by the first who does. */
static unsigned char *guarded;
static size_t guarded_bytes;
static atomic_int n_touched, n_ended, ended_at_touch;

static void on_fault(int signal_number) {
    (void)signal_number;
    n_touched++;
    atomic_store(&ended_at_touch, atomic_load(&n_ended));
    (void)mprotect(guarded, guarded_bytes, PROT_READ | PROT_WRITE);
}

static cot_status count_end(const cot_trial *trial, void *user) {
    (void)user;
    n_ended += cot_trial_get_info(trial).state != COT_TRIAL_WAITING;
    return COT_OK;
}

/* The test set's numbers are not read before the last trial has ended, and give what one evaluation
 * of the winner gives; another search without one does not read them. */
static void test_test_set(void **state) {
    (void)state;
    problem p = problem_make(5, 2);
    guarded_bytes = 1 << 16;
    guarded = mmap(NULL, guarded_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(guarded != MAP_FAILED);
    float *x = (float *)(void *)guarded, *y = x + ROWS * FEATURES;
    fill_line(x, y);
    for (int i = 0; i < ROWS; i++) {
        y[i] += 0.5f; /* other than the training set's */
    }
    cot_array inputs = array_of(x, ROWS, FEATURES), targets = array_of(y, ROWS, 1);
    cot_dataset *test = cot_dataset_create(p.context, (cot_array_list){&inputs, 1},
                                           (cot_array_list){&targets, 1}, COT_BORROW);
    assert_int_equal(mprotect(guarded, guarded_bytes, PROT_NONE), 0);
    struct sigaction fault = {.sa_handler = on_fault}, before;
    assert_int_equal(sigaction(SIGSEGV, &fault, &before), 0);
    cot_search_options o = options_for(&p);
    o.test_data = test;
    o.on_trial_end = count_end;
    n_ended = n_touched = 0;
    cot_search_result *result = search_ok(&p, &o);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(n_touched, 1);
    assert_int_equal(n_ended, 4);
    assert_int_equal(ended_at_touch, 4);
    cot_logs found = cot_search_test(result), once;
    cot_dataset *own = cot_dataset_borrow(cot_model_context(cot_search_model(result)), test);
    CHECK_OK(p.context, cot_model_evaluate(cot_search_model(result), own, &once, .batch_size = 4));
    assert_int_equal(found.n, once.n);
    assert_true(cot_logs_get(&found, "loss") == cot_logs_get(&once, "loss"));
    assert_true(cot_logs_get(&found, "loss") > 0.1); /* the shift's square is 0.25 */
    cot_dataset_destroy(own);
    cot_search_result_destroy(result);
    cot_dataset_destroy(test);
    problem_free(&p);
    (void)munmap(guarded, guarded_bytes);
}

/* ---- trials that fail ---- */

/* What goes wrong is the value of "what". */
static cot_model *build_badly(const cot_trial *trial, cot_fit_options *fit, void *user) {
    const char *what = cot_trial_text(trial, "what");
    double rate = 0.1;
    bool trained = true;
    cot_context *context = cot_trial_context(trial);
    if (strcmp(what, "name") == 0) {
        (void)cot_trial_float(trial, "momentum");
    } else if (strcmp(what, "kind") == 0) {
        (void)cot_trial_int(trial, "what");
    } else if (strcmp(what, "fraction") == 0) {
        (void)cot_trial_int(trial, "half");
    } else if (strcmp(what, "text") == 0) {
        (void)cot_trial_text(trial, "half");
    } else if (strcmp(what, "nothing") == 0) {
        return NULL;
    } else if (strcmp(what, "stranger") == 0) {
        return user;
    } else if (strcmp(what, "callbacks") == 0) {
        for (int i = 0; i < COT_MAX_CALLBACKS; i++) {
            cot_callback *own = cot_trial_alloc(trial, sizeof *own);
            *own = (cot_callback)COT_CALLBACK_INIT;
            fit->callbacks[i] = own;
        }
    } else if (strcmp(what, "untrained") == 0) {
        trained = false;
    } else if (strcmp(what, "wild") == 0) {
        rate = 1e30;
    } else if (strcmp(what, "never") == 0) {
        fit->validation_freq = 1000;
    } else if (strcmp(what, "wide") == 0) {
        cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(FEATURES + 1), "x");
        cot_model *wide =
            cot_model_create(context, COT_TENSORS(x), COT_TENSORS(cot_dense(x, 1)), NULL);
        (void)cot_model_compile(wide, .optimizer = cot_sgd(), .loss = COT_MEAN_SQUARED_ERROR);
        return wide;
    }
    const cot_optimizer *sgd = cot_sgd(.learning_rate = rate);
    return line_model(context, trained ? sgd : NULL);
}

static const struct {
    const char *what, *message;
    cot_trial_state state;
} ways[] = {
    {"name", "there is no option \"momentum\" among: what, half", COT_TRIAL_FAILED},
    {"kind", "option \"what\" (texts) is not always a whole number", COT_TRIAL_FAILED},
    {"fraction", "option \"half\" (numbers) is not always a whole number", COT_TRIAL_FAILED},
    {"text", "option \"half\" (numbers) is not a text", COT_TRIAL_FAILED},
    {"nothing", "build made no model", COT_TRIAL_FAILED},
    {"stranger", "is not of the trial's context", COT_TRIAL_FAILED},
    {"callbacks", "expected one less", COT_TRIAL_FAILED},
    {"untrained", "without an optimizer", COT_TRIAL_FAILED},
    {"wide", "4", COT_TRIAL_FAILED},
    {"wild", "in epoch", COT_TRIAL_DIVERGED},
    {"never", "", COT_TRIAL_DONE},
    {"good", "", COT_TRIAL_DONE},
};
enum { N_WAYS = sizeof ways / sizeof ways[0] };

static void test_failures(void **state) {
    (void)state;
    const char *what[N_WAYS];
    static const double half[] = {0.5};
    for (int i = 0; i < N_WAYS; i++) {
        what[i] = ways[i].what;
    }
    const cot_range range[] = {{.name = "what", .kind = COT_RANGE_TEXTS, .text = what, .n = N_WAYS},
                               {.name = "half", .kind = COT_RANGE_NUMBERS, .number = half, .n = 1}};
    for (int32_t threads = 1; threads <= 3; threads += 2) {
        for (int halves = 0; halves < 2; halves++) {
            problem p = problem_make(5, threads);
            cot_model *stranger = line_model(p.context, cot_sgd());
            cot_search_options o = options_for(&p);
            o.build = build_badly;
            o.user = stranger;
            o.method = halves ? COT_SEARCH_HALVING : COT_SEARCH_GRID;
            o.trials = 12 * (1 + 99 * halves); /* all of them */
            o.ranges = (cot_range_list){range, 2};
            cot_search_result *result = search_ok(&p, &o);
            assert_int_equal(cot_search_n_trials(result), N_WAYS);
            for (int32_t i = 0; i < N_WAYS; i++) {
                const cot_trial *t = cot_search_trial(result, i);
                int k = 0;
                while (strcmp(ways[k].what, cot_trial_text(t, "what")) != 0) {
                    k++;
                }
                cot_trial_info info = cot_trial_get_info(t);
                bool ranks_last = halves && strcmp(ways[k].what, "never") == 0;
                assert_int_equal(info.state, ranks_last ? COT_TRIAL_OUTRANKED : ways[k].state);
                assert_non_null(strstr(info.message, ways[k].message));
                assert_true(isnan(info.value) == (k != N_WAYS - 1));
            }
            assert_string_equal(cot_trial_text(cot_search_best(result), "what"), "good");
            assert_ptr_equal(cot_search_ranked(result, 0), cot_search_best(result));
            cot_search_result_destroy(result);
            cot_model_destroy(stranger);
            problem_free(&p);
        }
    }
}

/* No trial comes to a number: the first one's error, and the table. */
static void test_all_fail(void **state) {
    (void)state;
    problem p = problem_make(5, 2);
    cot_search_result *result = NULL;
    cot_search_options o = options_for(&p);
    o.monitor = "val_accuracy"; /* there is none */
    o.mode = COT_MODE_MAX;
    o.test_data = p.data;
    o.method = COT_SEARCH_GRID;
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_ARG);
    CHECK_ERROR(p.context, COT_E_ARG,
                "no trial has come to a number; trial 0: cot_search: there "
                "is no \"val_accuracy\" in the logs: loss,");
    assert_int_equal(cot_search_n_trials(result), 4);
    assert_null(cot_search_best(result));
    assert_null(cot_search_model(result));
    assert_int_equal(cot_search_test(result).n, 0);
    cot_search_result_destroy(result);
    o.monitor = NULL;
    o.ranges = COT_RANGES(cot_range_numbers("rate", 1e30));
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_DATA);
    CHECK_ERROR(p.context, COT_E_DATA, "trial 0: ");
    assert_int_equal(cot_trial_get_info(cot_search_trial(result, 0)).state, COT_TRIAL_DIVERGED);
    cot_search_result_destroy(result);
    problem_free(&p);
}

/* ---- ending a search ---- */

static volatile int32_t flag;

/* user: what to return at trial 2's first epoch; NULL: set the flag. */
static cot_status interrupt(const cot_trial *trial, void *user) {
    bool now = cot_trial_index(trial) == 2 && cot_trial_get_info(trial).n_epochs == 1;
    if (now && user == NULL) {
        flag = 1;
    }
    return now && user != NULL ? *(cot_status *)user : COT_OK;
}

static void check_interrupted(const problem *p, const cot_search_options *o, cot_status expected) {
    cot_search_result *result = NULL;
    flag = 0;
    assert_int_equal(cot_search_with(p->context, &result, o), expected);
    CHECK_ERROR(p->context, expected, "ended on request");
    assert_int_equal(cot_search_test(result).n, 0);
    assert_int_equal(cot_trial_get_info(cot_search_trial(result, 2)).state, COT_TRIAL_CANCELLED);
    assert_int_equal(cot_trial_get_info(cot_search_trial(result, 3)).state, COT_TRIAL_CANCELLED);
    assert_int_equal(cot_trial_get_info(cot_search_trial(result, 3)).n_epochs, 0);
    assert_int_equal(cot_trial_get_info(cot_search_trial(result, 0)).n_epochs,
                     o->method == COT_SEARCH_HALVING ? 2 : 6);
    assert_non_null(cot_search_model(result)); /* the best so far */
    cot_search_result_destroy(result);
}

static void test_cancel(void **state) {
    (void)state;
    problem p = problem_make(5, 1);
    cot_status status = COT_E_CANCELLED, own = COT_E_IO;
    cot_search_options o = options_for(&p);
    o.method = COT_SEARCH_GRID;
    o.test_data = p.data;
    o.build = build_plain;
    o.on_epoch_end = interrupt;
    o.user = &status;
    check_interrupted(&p, &o, COT_E_CANCELLED);
    o.user = &own;
    check_interrupted(&p, &o, COT_E_IO);
    o.user = NULL;
    o.cancel = &flag;
    check_interrupted(&p, &o, COT_E_CANCELLED);
    o.method = COT_SEARCH_HALVING; /* those that wait for the next round are ended, too */
    o.trials = 4;
    o.min_epochs = 2;
    o.factor = 2;
    check_interrupted(&p, &o, COT_E_CANCELLED);
    o.on_epoch_end = NULL;
    o.on_trial_end = interrupt; /* trial 2 ends with more epochs than one */
    o.cancel = NULL;
    o.method = COT_SEARCH_GRID;
    cot_search_result_destroy(search_ok(&p, &o));
    problem_free(&p);
}

/* ---- what makes no sense ---- */

typedef void (*spoil)(cot_search_options *o, const problem *p);

static const cot_range good_range = {.name = "rate", .low = 1, .high = 2};

#define SPOIL(name, statement)                                                                     \
    static void name(cot_search_options *o, const problem *p) {                                    \
        (void)p;                                                                                   \
        statement;                                                                                 \
    }
#define SPOIL_RANGE(name, ...)                                                                     \
    static void name(cot_search_options *o, const problem *p) {                                    \
        static const cot_range range = {__VA_ARGS__};                                              \
        (void)p;                                                                                   \
        o->ranges = (cot_range_list){&range, 1};                                                   \
    }
static const double not_finite[] = {1.0, (double)INFINITY};
static const char *const no_text[] = {"a", NULL};
static const cot_range twice[] = {{.name = "a", .low = 1, .high = 2},
                                  {.name = "a", .low = 1, .high = 2}};
static const cot_range huge[] = {
    {.name = "a", .kind = COT_RANGE_INTEGERS, .low = 1, .high = 65536},
    {.name = "b", .kind = COT_RANGE_INTEGERS, .low = 1, .high = 65536}};
SPOIL(no_build, o->build = NULL)
SPOIL(no_data, o->data = NULL)
SPOIL(no_validation, o->validation_split = 0.0)
SPOIL(split_of_all, o->validation_split = 1.0)
SPOIL(trained_monitor, o->monitor = "loss")
SPOIL(negative_trials, o->trials = -1)
SPOIL(negative_epochs, o->epochs = -1)
SPOIL(negative_beside, o->side_by_side = -1)
SPOIL(negative_memory, o->memory_limit = -1)
SPOIL(factor_of_one, o->factor = 1)
SPOIL(late_choice, o->min_epochs = 7)
SPOIL(unknown_method, o->method = (cot_search_method)9)
SPOIL(no_ranges, o->ranges.n = 0)
SPOIL(same_names, o->ranges = ((cot_range_list){twice, 2}))
SPOIL(huge_grid, (o->ranges = (cot_range_list){huge, 2}, o->method = COT_SEARCH_GRID))
SPOIL(no_struct_size, o->struct_size = 0)
SPOIL_RANGE(no_name, .low = 1, .high = 2)
SPOIL_RANGE(reversed, .name = "a", .low = 2, .high = 1)
SPOIL_RANGE(not_a_number, .name = "a", .low = (double)NAN, .high = 1)
SPOIL_RANGE(too_far, .name = "a", .low = -1e308, .high = 1e308)
SPOIL_RANGE(log_of_zero, .name = "a", .kind = COT_RANGE_LOG_UNIFORM, .low = 0, .high = 1)
SPOIL_RANGE(one_point, .name = "a", .high = 1, .points = 1)
SPOIL_RANGE(fractions, .name = "a", .kind = COT_RANGE_INTEGERS, .low = 0.5, .high = 3)
SPOIL_RANGE(no_step, .name = "a", .kind = COT_RANGE_INTEGERS, .high = 3, .step = -1)
SPOIL_RANGE(no_numbers, .name = "a", .kind = COT_RANGE_NUMBERS)
SPOIL_RANGE(infinite, .name = "a", .kind = COT_RANGE_NUMBERS, .number = not_finite, .n = 2)
SPOIL_RANGE(null_text, .name = "a", .kind = COT_RANGE_TEXTS, .text = no_text, .n = 2)
SPOIL_RANGE(unknown_kind, .name = "a", .kind = (cot_range_kind)9)

static void test_misuse(void **state) {
    (void)state;
    static const struct {
        spoil spoil;
        const char *text;
    } row[] = {
        {no_build, "build is NULL"},
        {no_data, "data is NULL"},
        {no_validation, "validation_split is 0 and there are no validation_data"},
        {split_of_all, "validation_split is 1"},
        {trained_monitor, "monitor is \"loss\", expected a number of the validation set"},
        {negative_trials, "trials is -1, expected 1 or more"},
        {negative_epochs, "epochs is -1"},
        {negative_beside, "side_by_side is -1"},
        {negative_memory, "memory_limit is -1"},
        {factor_of_one, "factor is 1, expected 2 or more"},
        {late_choice, "min_epochs is 7, epochs 6"},
        {unknown_method, "unknown method 9"},
        {no_ranges, "there are no ranges"},
        {same_names, "two ranges are \"a\""},
        {huge_grid, "more than 2^31 - 1 trials with range \"b\""},
        {no_struct_size, "without a struct_size"},
        {no_name, "range 0 has no name"},
        {reversed, "\"a\" (uniform) is from 2 to 1"},
        {not_a_number, "two finite numbers"},
        {too_far, "two finite numbers"},
        {log_of_zero, "two finite numbers above 0"},
        {one_point, "has 1 points, expected 2 or more"},
        {fractions, "(integers) is from 0.5 to 3, expected two whole numbers"},
        {no_step, "a step of -1"},
        {no_numbers, "(numbers) has 0 entries"},
        {infinite, "all finite"},
        {null_text, "none NULL"},
        {unknown_kind, "of unknown kind 9"},
    };
    problem p = problem_make(1, 1);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        cot_search_options o = options_for(&p);
        cot_search_result *result = (cot_search_result *)(void *)&p;
        o.ranges = (cot_range_list){&good_range, 1};
        row[i].spoil(&o, &p);
        assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_ARG);
        CHECK_ERROR(p.context, COT_E_ARG, row[i].text);
        assert_null(result);
    }
    cot_search_options o = options_for(&p);
    assert_int_equal(cot_search_with(p.context, NULL, &o), COT_E_ARG);
    CHECK_ERROR(p.context, COT_E_ARG, "the result is NULL");
    cot_search_result *result = NULL;
    assert_int_equal(cot_search_with(NULL, &result, &o), COT_E_ARG);
    problem_free(&p);
}

/* Sets whose columns differ are told before anything is trained. */
static void test_columns(void **state) {
    (void)state;
    problem p = problem_make(1, 1);
    cot_array narrow = array_of(p.x, ROWS, FEATURES - 1), y = array_of(p.y, ROWS, 1), none = y;
    cot_search_options o = options_for(&p);
    cot_search_result *result = NULL;
    cot_dataset *bad = cot_dataset_create(p.context, (cot_array_list){&narrow, 1},
                                          (cot_array_list){&y, 1}, COT_BORROW);
    o.test_data = bad;
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_SHAPE);
    CHECK_ERROR(p.context, COT_E_SHAPE, "rows of input 0 have 2 elements in the test set, 3 in");
    o.test_data = NULL;
    o.validation_data = bad;
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_SHAPE);
    CHECK_ERROR(p.context, COT_E_SHAPE, "in the validation set");
    cot_dataset_destroy(bad);
    cot_array x = array_of(p.x, ROWS, FEATURES);
    bad = cot_dataset_create(p.context, (cot_array_list){&x, 1}, (cot_array_list){NULL, 0},
                             COT_BORROW);
    o.validation_data = bad;
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_SHAPE);
    CHECK_ERROR(p.context, COT_E_SHAPE, "has 1 inputs and 0 targets, the training set 1 and 1");
    cot_dataset_destroy(bad);
    x.n_rows = none.n_rows = 0;
    bad = cot_dataset_create(p.context, (cot_array_list){&x, 1}, (cot_array_list){&none, 1},
                             COT_BORROW);
    o.validation_data = NULL;
    o.test_data = bad;
    assert_int_equal(cot_search_with(p.context, &result, &o), COT_E_ARG);
    CHECK_ERROR(p.context, COT_E_ARG, "the test set has no rows");
    cot_dataset_destroy(bad);
    problem_free(&p);
}

static void test_nothing(void **state) {
    (void)state;
    assert_int_equal(cot_search_n_trials(NULL), 0);
    assert_null(cot_search_trial(NULL, 0));
    assert_null(cot_search_ranked(NULL, 0));
    assert_null(cot_search_best(NULL));
    assert_null(cot_search_model(NULL));
    assert_int_equal(cot_search_test(NULL).n, 0);
    assert_string_equal(cot_search_monitor(NULL), "");
    assert_int_equal(cot_search_n_ranges(NULL), 0);
    assert_null(cot_search_range(NULL, 0));
    assert_int_equal(cot_search_n_rounds(NULL), 0);
    assert_int_equal(cot_search_write_csv(NULL, collect, NULL), COT_E_ARG);
    assert_int_equal(cot_trial_index(NULL), -1);
    assert_null(cot_trial_context(NULL));
    assert_null(cot_trial_alloc(NULL, 1));
    assert_true(isnan(cot_trial_float(NULL, "a")));
    assert_int_equal(cot_trial_int(NULL, "a"), 0);
    assert_string_equal(cot_trial_text(NULL, "a"), "");
    assert_string_equal(cot_trial_get_info(NULL).message, "");
    assert_string_equal(cot_trial_state_name((cot_trial_state)99), "?");
    assert_string_equal(cot_range_kind_name((cot_range_kind)99), "?");
    cot_search_result_destroy(NULL);
    assert_null(cot_dataset_borrow(NULL, NULL));
}

/* ---- memory ---- */

typedef struct scenario {
    cot_search_method method;
    int32_t trials, threads;
} scenario;

/* A search in a context with this allocator; what it returned, which the context has recorded. */
static cot_status search_in(alloc_fail *memory, const scenario *what) {
    cot_options options = {.struct_size = sizeof options,
                           .seed = 4,
                           .threads = what->threads,
                           .allocator = alloc_fail_allocator(memory),
                           .environment = COT_OFF,
                           .jit = use_jit ? COT_ON : COT_OFF};
    static float x[ROWS * FEATURES], y[ROWS];
    cot_context *context = cot_context_create(&options);
    if (context == NULL) {
        return COT_E_NOMEM;
    }
    fill_line(x, y);
    cot_array inputs = array_of(x, ROWS, FEATURES), targets = array_of(y, ROWS, 1);
    problem p = {.context = context,
                 .data = cot_dataset_create(context, (cot_array_list){&inputs, 1},
                                            (cot_array_list){&targets, 1}, COT_BORROW)};
    cot_status status = COT_E_NOMEM;
    if (p.data != NULL) {
        static collected text;
        cot_search_result *result = NULL;
        cot_search_options o = options_for(&p);
        o.build = build_averaged;
        o.ranges = COT_RANGES(cot_range_log_uniform("rate", 1e-3, 0.1),
                              cot_range_texts("name", "some", "other"));
        o.method = what->method;
        o.trials = what->trials;
        o.epochs = 4;
        o.factor = 2;
        o.test_data = p.data;
        status = cot_search_with(context, &result, &o);
        memset(&text, 0, sizeof text);
        if (status == COT_OK) {
            status = cot_search_write_table(result, collect, &text);
        }
        if (status == COT_OK) {
            status = cot_search_write_csv(result, collect, &text);
        }
        assert_int_equal(status, cot_error_get(context).status);
        cot_search_result_destroy(result);
    }
    cot_dataset_destroy(p.data);
    cot_context_destroy(context);
    return status;
}

/* Every refusal is a trial's, which then fails, or the search's; nothing is left behind. The calls
   to refuse are spread over as many as the search makes when nothing is refused. */
static void test_out_of_memory(void **state) {
    (void)state;
    static const scenario what[] = {{COT_SEARCH_RANDOM, 2, 1}, {COT_SEARCH_HALVING, 4, 2}};
    const int64_t n_points = use_jit ? 6 : 100;
    for (int i = 0; i < 2; i++) {
        alloc_fail memory;
        alloc_fail_init(&memory);
        assert_int_equal(search_in(&memory, &what[i]), COT_OK);
        const int64_t n_calls = memory.n_calls;
        assert_true(n_calls > n_points);
        int64_t n_lost = 0, n_survived = 0;
        for (int64_t point = 0; point < 2 * n_points; point++) {
            alloc_fail_init(&memory);
            memory.fail_at = 1 + point / 2 * (n_calls - 1) / n_points;
            memory.for_ever = point % 2 == 1;
            cot_status status = search_in(&memory, &what[i]);
            bool refused = memory.n_failed > 0; /* not if two threads shared the work otherwise */
            assert_true(status == COT_OK || (status == COT_E_NOMEM && refused));
            n_lost += status != COT_OK;
            n_survived += status == COT_OK && refused;
            CHECK_NO_COMPLAINT(alloc_fail_complaint(&memory));
        }
        assert_true(n_lost > 0 && n_survived > 0);
    }
}

/* Twenty times as many trials take no more memory at once, but for their rows of the table. */
static void test_memory_is_bounded(void **state) {
    (void)state;
    int64_t peak[2];
    for (int i = 0; i < 2; i++) {
        const scenario what = {COT_SEARCH_RANDOM, i == 0 ? 3 : 60, 1};
        alloc_fail memory;
        alloc_fail_init(&memory);
        assert_int_equal(search_in(&memory, &what), COT_OK);
        peak[i] = memory.peak_bytes;
    }
    assert_true(peak[1] - peak[0] < 60 * (2048 + 1024));
}

/* ---- texts ---- */

static void test_texts(void **state) {
    (void)state;
    static collected text;
    static const char *const what[] = {"good", "a \"b\", c", "wild", "nothing"};
    static const double half[] = {0.5};
    const cot_range range[] = {{.name = "what", .kind = COT_RANGE_TEXTS, .text = what, .n = 4},
                               {.name = "half", .kind = COT_RANGE_NUMBERS, .number = half, .n = 1}};
    problem p = problem_make(5, 1);
    cot_search_options o = options_for(&p);
    o.build = build_badly;
    o.method = COT_SEARCH_GRID;
    o.ranges = (cot_range_list){range, 2};
    cot_search_result *result = search_ok(&p, &o);
    assert_int_equal(cot_search_n_ranges(result), 2);
    assert_string_equal(cot_search_range(result, 1)->name, "half");
    assert_true(cot_search_range(result, 1)->number[0] == 0.5);
    memset(&text, 0, sizeof text);
    CHECK_OK(p.context, cot_search_write_csv(result, collect, &text));
    assert_ptr_equal(strstr(text.text, "trial,state,val_loss,best_epoch,epochs,seconds,params,"
                                       "what,half,message\r\n0,done,"),
                     text.text);
    assert_non_null(strstr(text.text, ",4,\"a \"\"b\"\", c\",0.5,\r\n2,diverged,,,"));
    assert_non_null(strstr(text.text, ",0,nothing,0.5,cot_search: build made no model\r\n"));
    int lines = 0;
    for (const char *at = text.text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 5);
    memset(&text, 0, sizeof text);
    CHECK_OK(p.context, cot_search_write_table(result, collect, &text));
    assert_ptr_equal(strstr(text.text, "  trial  "), text.text);
    const char *good = strstr(text.text, "  done      "), *wild = strstr(text.text, "  diverged  ");
    assert_true(good != NULL && wild != NULL && good < wild);
    assert_int_equal(cot_search_write_table(result, NULL, NULL), COT_E_ARG);
    CHECK_ERROR(p.context, COT_E_ARG, "write is NULL");
    memset(&text, 0, sizeof text);
    text.n = sizeof text.text; /* it refuses everything */
    assert_int_equal(cot_search_write_csv(result, collect, &text), COT_E_IO);
    CHECK_ERROR(p.context, COT_E_IO, "the writer refused");
    /* Asked afterwards, a trial tells the caller's context. */
    (void)cot_trial_int(cot_search_best(result), "what");
    CHECK_ERROR(p.context, COT_E_ARG, "option \"what\" (texts) is not always a whole number");
    assert_null(cot_trial_alloc(cot_search_best(result), 8));
    cot_search_result_destroy(result);
    problem_free(&p);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_test_set),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_all_fail),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
