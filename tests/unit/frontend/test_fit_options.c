/*
 * What fit, evaluate and predict may be asked for beside data: steps of epochs, when to validate
 * and on how much, orders within batches, single batches.
 */
#include "fit_support.h"

#include "cotangent/callbacks.h"
#include "frontend/training/training.h"

#include <unistd.h>

enum { N = 10, ALL = (1 << N) - 1, MOST_STEPS = 64 };

/*
 * A model that passes its input through, and a metric that is the mean of it. Row i is 2^i, so the
 * sum of the rows that a step saw says which ones they were.
 */
typedef struct spied {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float x[N], y[N];
    cot_callback callback;
    int64_t batch_size, epoch_rows;
    int seen[MOST_STEPS]; /* of each step: which rows */
    int n_steps, n_epochs, epoch_at[MOST_STEPS];
    int n_logs[MOST_STEPS]; /* of each epoch */
} spied;

static cot_status epoch_begin(cot_model *model, int32_t epoch, void *user) {
    spied *s = user;
    (void)model;
    (void)epoch;
    s->epoch_at[s->n_epochs] = s->n_steps;
    return COT_OK;
}

static cot_status batch_end(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    spied *s = user;
    (void)model;
    int64_t rows = (batch + 1) * s->batch_size;
    rows = rows < s->epoch_rows ? rows : s->epoch_rows;
    int so_far = (int)lrint(cot_logs_get(logs, "rows") * (double)rows);
    for (int i = s->epoch_at[s->n_epochs]; i < s->n_steps; i++) {
        so_far -= s->seen[i];
    }
    s->seen[s->n_steps++] = so_far;
    return COT_OK;
}

static cot_status epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    spied *s = user;
    (void)model;
    (void)epoch;
    s->n_logs[s->n_epochs++] = logs->n;
    return COT_OK;
}

static cot_value of_rows(cot_value t, cot_value p, void *user) {
    static const int32_t axis[1] = {1};
    (void)t;
    (void)user;
    return cot_op_mean(p, axis, 1, false);
}

static void begin_spied(spied *s, int64_t batch_size, int64_t epoch_rows) {
    static const float one = 1.0f;
    memset(s, 0, sizeof *s);
    s->batch_size = batch_size;
    s->epoch_rows = epoch_rows;
    s->context = new_context(9);
    cot_tensor in = cot_input(s->context, COT_F32, COT_SHAPE(1), "x");
    cot_tensor out = cot_dense(in, 1, .use_bias = COT_OFF);
    s->model = cot_model_create(s->context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    CHECK_OK(s->context, cot_variable_set(cot_model_weight(s->model, 0), &one, sizeof one));
    for (int i = 0; i < N; i++) {
        s->x[i] = (float)(1 << i);
    }
    const cot_array x = array_of(s->x, N, 1), y = array_of(s->y, N, 1);
    s->data = cot_dataset_create(s->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
    s->callback = (cot_callback)COT_CALLBACK_INIT;
    s->callback.user = s;
    s->callback.on_epoch_begin = epoch_begin;
    s->callback.on_batch_end = batch_end;
    s->callback.on_epoch_end = epoch_end;
    CHECK_OK(s->context,
             cot_model_compile(s->model, .optimizer = cot_sgd(.learning_rate = COT_ZERO),
                               .loss = COT_MEAN_SQUARED_ERROR,
                               .custom_metrics = {cot_metric_of("rows", of_rows)}));
}

static void end_spied(spied *s) {
    cot_dataset_destroy(s->data);
    cot_model_destroy(s->model);
    cot_context_destroy(s->context);
}

/* ---- steps of epochs ---- */

/* Five batches in epochs of two: two, two, one, and a new pass. */
static void an_epoch_of_some_steps(void **state) {
    (void)state;
    static const int steps[7] = {3, 3 << 2, 3 << 4, 3 << 6, 3 << 8, 3, 3 << 2};
    static const int epochs[4] = {0, 2, 4, 5};
    spied s;
    begin_spied(&s, 2, 4);
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 2, .batch_size = 2, .steps_per_epoch = 2,
                           .shuffle = COT_OFF, .callbacks = {&s.callback}));
    s.epoch_rows = 2; /* the third epoch's */
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .initial_epoch = 2, .epochs = 3, .batch_size = 2,
                           .steps_per_epoch = 2, .shuffle = COT_OFF, .callbacks = {&s.callback}));
    s.epoch_rows = 4;
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .initial_epoch = 3, .epochs = 4, .batch_size = 2,
                           .steps_per_epoch = 2, .shuffle = COT_OFF, .callbacks = {&s.callback}));
    assert_int_equal(s.n_steps, 7);
    assert_int_equal(s.n_epochs, 4);
    assert_memory_equal(s.seen, steps, sizeof steps);
    assert_memory_equal(s.epoch_at, epochs, sizeof epochs);
    end_spied(&s);
}

/* A pass is shuffled as a whole: its epochs see every row once, in the order of the epoch that
 * would have been the pass. */
static void shuffled_passes_go_on(void **state) {
    (void)state;
    spied whole, parts;
    begin_spied(&whole, 2, N);
    begin_spied(&parts, 2, 2);
    CHECK_OK(whole.context, cot_model_fit(whole.model, whole.data, .epochs = 2, .batch_size = 2,
                                          .callbacks = {&whole.callback}));
    CHECK_OK(parts.context, cot_model_fit(parts.model, parts.data, .epochs = 10, .batch_size = 2,
                                          .steps_per_epoch = 1, .callbacks = {&parts.callback}));
    assert_int_equal(whole.n_steps, 10);
    assert_int_equal(parts.n_steps, 10);
    assert_memory_equal(whole.seen, parts.seen, 10 * sizeof(int));
    int first = 0, second = 0;
    for (int i = 0; i < 5; i++) {
        first += parts.seen[i];
        second += parts.seen[5 + i];
    }
    assert_int_equal(first, ALL);
    assert_int_equal(second, ALL);
    assert_memory_not_equal(parts.seen, parts.seen + 5, 5 * sizeof(int));
    end_spied(&whole);
    end_spied(&parts);
}

/* More steps than a pass has: the epoch ends with the pass. */
static void too_many_steps_are_a_pass(void **state) {
    (void)state;
    spied s;
    begin_spied(&s, 3, N);
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 2, .batch_size = 3,
                                      .steps_per_epoch = 100, .callbacks = {&s.callback}));
    assert_int_equal(s.n_steps, 8);
    assert_int_equal(s.seen[0] + s.seen[1] + s.seen[2] + s.seen[3], ALL);
    end_spied(&s);
}

/* Rows stay within their batch; the weights show that their order is another. */
static void orders_within_batches(void **state) {
    (void)state;
    spied s;
    begin_spied(&s, 4, N);
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 3, .batch_size = 4,
                                      .shuffle_within_batches = true, .callbacks = {&s.callback}));
    for (int epoch = 0; epoch < 3; epoch++) {
        assert_int_equal(s.seen[3 * epoch], 0xf);
        assert_int_equal(s.seen[3 * epoch + 1], 0xf0);
        assert_int_equal(s.seen[3 * epoch + 2], 0x300);
    }
    end_spied(&s);
    int64_t order[12];
    bool moved = false;
    coti_shuffle(3, 0, 12, 5, order);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(order[i] / 5, i / 5);
        moved = moved || order[i] != i;
    }
    assert_true(moved);
}

/* ---- validation ---- */

static void check_validated(const spied *s, const char *which) {
    const double *loss = cot_history_values(cot_model_history(s->model), "val_loss");
    assert_int_equal(cot_history_n_epochs(cot_model_history(s->model)), (int)strlen(which));
    for (int i = 0; which[i] != '\0'; i++) {
        assert_int_equal(isnan(loss[i]), which[i] == '-');
        assert_int_equal(s->n_logs[i], which[i] == '-' ? 2 : 4);
    }
}

static void validation_every_few_epochs(void **state) {
    (void)state;
    static const int32_t chosen[3] = {1, 4, 0};
    spied s;
    begin_spied(&s, 8, 8);
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 5, .validation_split = 0.2, .batch_size = 8,
                           .validation_freq = 2, .callbacks = {&s.callback}));
    check_validated(&s, "-v-v-");
    end_spied(&s);
    begin_spied(&s, 8, 8);
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 5, .validation_split = 0.2, .batch_size = 8,
                           .validation_epochs = chosen, .callbacks = {&s.callback}));
    check_validated(&s, "v--v-");
    end_spied(&s);
}

/* Callbacks that watch val_loss count validated epochs alone. The loss never improves. */
static void callbacks_wait_for_validation(void **state) {
    (void)state;
    spied s;
    cot_early_stopping_callback stop = {.base = cot_early_stopping_base(), .patience = 2};
    begin_spied(&s, 8, 8);
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 50, .validation_split = 0.2,
                           .validation_freq = 3,
                           .callbacks = {&stop.base, cot_reduce_lr_on_plateau(.patience = 1)}));
    assert_int_equal(stop.stopped_epoch, 8); /* validated after 2 (the best), 5 and 8 */
    end_spied(&s);
}

static void tables_say_na(void **state) {
    (void)state;
    char path[] = "/tmp/cotangent_csv_XXXXXX";
    char text[1024];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    spied s;
    begin_spied(&s, 8, 8);
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 2, .validation_split = 0.2,
                                      .validation_freq = 2, .callbacks = {cot_csv_logger(path)}));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    assert_int_equal(fclose(file), 0);
    unlink(path);
    assert_memory_equal(text, "epoch,loss,rows,val_loss,val_rows\r\n0,", 37);
    const char *first = strstr(text, "\r\n") + 2;
    const char *second = strstr(first, "\r\n") + 2;
    assert_memory_equal(second - 8, ",NA,NA\r\n", 8);
    assert_null(strstr(second, "NA"));
    end_spied(&s);
}

/* Sums of 2^i over the rows that were looked at. */
static void some_batches_alone(void **state) {
    (void)state;
    spied s;
    cot_logs report;
    begin_spied(&s, 8, 8);
    CHECK_OK(s.context, cot_model_evaluate(s.model, s.data, &report, .batch_size = 3, .steps = 2));
    CHECK_NEAR(cot_logs_get(&report, "rows"), 63.0 / 6, 1e-9);
    CHECK_OK(s.context, cot_model_evaluate(s.model, s.data, &report, .batch_size = 3, .steps = 9));
    CHECK_NEAR(cot_logs_get(&report, "rows"), 1023.0 / 10, 1e-9);
    float out[N] = {0};
    CHECK_OK(s.context, cot_model_predict(s.model, s.data, COT_BUFFERS({out, 4 * sizeof *out}),
                                          .batch_size = 2, .steps = 2));
    for (int i = 0; i < N; i++) {
        assert_true(out[i] == (i < 4 ? s.x[i] : 0.0f));
    }
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .validation_data = s.data,
                                      .validation_batch_size = 2, .validation_steps = 3));
    CHECK_NEAR(cot_history_values(cot_model_history(s.model), "val_rows")[0], 63.0 / 6, 1e-9);
    end_spied(&s);
}

/* ---- one batch ---- */

static void single_batches(void **state) {
    (void)state;
    spied s;
    cot_logs report;
    float out[N];
    begin_spied(&s, 8, 8);
    CHECK_OK(s.context, cot_model_test_on_batch(s.model, s.data, &report));
    assert_int_equal(report.n, 2);
    CHECK_NEAR(cot_logs_get(&report, "rows"), 1023.0 / 10, 1e-9);
    CHECK_OK(s.context, cot_model_test_on_batch(s.model, s.data, NULL)); /* sums begin anew */
    CHECK_OK(s.context,
             cot_model_predict_on_batch(s.model, s.data, COT_BUFFERS({out, sizeof out})));
    assert_memory_equal(out, s.x, sizeof out);
    CHECK_OK(s.context, cot_model_compile(s.model, .optimizer = cot_sgd(), .max_batch = 4,
                                          .loss = COT_MEAN_SQUARED_ERROR));
    assert_int_equal(cot_model_test_on_batch(s.model, s.data, NULL), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "cot_model_test_on_batch: the batch has 10 rows");
    assert_int_equal(cot_model_predict_on_batch(s.model, s.data, COT_BUFFERS({out, sizeof out})),
                     COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "cot_model_predict_on_batch: the batch has 10 rows");
    assert_int_equal(cot_model_test_on_batch(s.model, NULL, NULL), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "the data set is NULL");
    assert_int_equal(cot_model_predict_on_batch(s.model, NULL, COT_BUFFERS({out, sizeof out})),
                     COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "the data set is NULL");
    end_spied(&s);
}

static void wrong_counts_are_refused(void **state) {
    (void)state;
    spied s;
    float out[N];
    begin_spied(&s, 8, 8);
    assert_int_equal(cot_model_fit(s.model, s.data, .steps_per_epoch = -1), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "steps_per_epoch is -1");
    assert_int_equal(cot_model_fit(s.model, s.data, .validation_steps = -2), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "validation_steps -2");
    assert_int_equal(cot_model_fit(s.model, s.data, .validation_freq = -3), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "validation_freq -3");
    assert_int_equal(cot_model_evaluate(s.model, s.data, NULL, .steps = -1), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "cot_model_evaluate: steps is -1");
    assert_int_equal(
        cot_model_predict(s.model, s.data, COT_BUFFERS({out, sizeof out}), .steps = -1), COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "cot_model_predict: steps is -1");
    assert_int_equal(cot_model_fit(s.model, s.data, .class_weight = {(const double[1]){1}, -1}),
                     COT_E_ARG);
    CHECK_ERROR(s.context, COT_E_ARG, "class weights: -1 weights");
    end_spied(&s);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_of_some_steps),
        cmocka_unit_test(shuffled_passes_go_on),
        cmocka_unit_test(too_many_steps_are_a_pass),
        cmocka_unit_test(orders_within_batches),
        cmocka_unit_test(validation_every_few_epochs),
        cmocka_unit_test(callbacks_wait_for_validation),
        cmocka_unit_test(tables_say_na),
        cmocka_unit_test(some_batches_alone),
        cmocka_unit_test(single_batches),
        cmocka_unit_test(wrong_counts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
