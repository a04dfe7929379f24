/*
 * Keras's callbacks, driven by hand with numbers of epochs as Keras's own rules have them, and in
 * fits.
 */
#include "frontend_support.h"

#include "cotangent/callbacks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A model of one weight that learns y = 2 x from 8 rows, with validation. */
typedef struct setup {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float x[8], y[8];
} setup;

static setup begin(void) {
    setup s = {.context = new_context(1)};
    for (int i = 0; i < 8; i++) {
        s.x[i] = (float)i / 8.0f;
        s.y[i] = 2.0f * s.x[i];
    }
    cot_tensor in = cot_input(s.context, COT_F32, COT_SHAPE(1), "x");
    cot_tensor out = cot_dense(in, 1, .use_bias = COT_OFF, .name = "y");
    s.model = cot_model_create(s.context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    CHECK_OK(s.context,
             cot_model_compile(s.model, .optimizer = cot_sgd(.learning_rate = 0.5),
                               .loss = COT_MEAN_SQUARED_ERROR,
                               .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)}));
    return s;
}

static void add_data(setup *s) {
    cot_array x = array_of(s->x, 8, 1), y = array_of(s->y, 8, 1);
    s->data = cot_dataset_create(s->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
    assert_non_null(s->data);
}

static void end(setup *s) {
    cot_dataset_destroy(s->data);
    cot_model_destroy(s->model);
    cot_context_destroy(s->context);
}

static float weight_now(const setup *s) {
    float w = 0;
    CHECK_OK(s->context, cot_variable_get(cot_model_weight(s->model, 0), &w, sizeof w));
    return w;
}

static void put_weight(const setup *s, float w) {
    CHECK_OK(s->context, cot_variable_set(cot_model_weight(s->model, 0), &w, sizeof w));
}

/* ---- early stopping ---- */

/* val_loss of each epoch; after which one it stops (-1: never), and the best one. */
typedef struct early_case {
    cot_early_stopping_callback options;
    double number[8];
    int32_t n, stops, best;
} early_case;

/* The epoch after which it stops. */
static int32_t drive_early(setup *s, cot_early_stopping_callback *c, const early_case *given) {
    CHECK_OK(s->context, c->base.on_train_begin(s->model, c));
    for (int32_t epoch = 0; epoch < given->n; epoch++) {
        const cot_log log = {"val_loss", given->number[epoch]};
        const cot_logs logs = {1, &log};
        put_weight(s, (float)epoch);
        CHECK_OK(s->context, c->base.on_epoch_end(s->model, epoch, &logs, c));
        if (c->stopped_epoch != 0) {
            break;
        }
    }
    CHECK_OK(s->context, c->base.on_train_end(s->model, NULL, c));
    return c->stopped_epoch != 0 ? c->stopped_epoch : -1;
}

static void early_stopping(void **state) {
    (void)state;
    const early_case cases[] = {
        /* the golden cases (tests/reference/test_reference_layers.c lists them all) */
        {{.patience = 2}, {1.0, 0.9, 0.95, 0.91, 0.5}, 5, 3, 1},
        {{.patience = 0}, {1.0, 1.1, 1.2}, 3, 1, 0},
        {{.patience = 1, .baseline = 0.5}, {1.0, 0.9, 0.8, 0.7}, 4, -1, 3},
        {{.patience = 1, .min_delta = 0.1}, {1.0, 0.95, 0.93, 0.8}, 4, 1, 0},
        {{.patience = 1, .start_from_epoch = 2}, {1.0, 1.1, 1.2, 1.3}, 4, 3, 2},
        /* and more */
        {{.patience = 2}, {5, 4, 4.5, 4.2, 3}, 5, 3, 1},
        {{.patience = 2}, {5, 4, 4.5, 3, 3.5, 3.2}, 6, 5, 3},
        /* never after the first epoch; patience 0 and 1 are alike */
        {{.patience = 0}, {5, 6, 7}, 3, 1, 0},
        {{.patience = 1}, {5, 6, 7}, 3, 1, 0},
        {{.patience = 0}, {5, 4, 3, 2}, 4, -1, 3},
        /* equal is not better, nor is less than min_delta */
        {{.patience = 2}, {5, 5, 5}, 3, 2, 0},
        {{.patience = 2, .min_delta = 0.5}, {5, 4.6, 4.3, 4.2, 4.1}, 5, 4, 2},
        {{.patience = 2, .mode = COT_MODE_MAX}, {1, 2, 1.5, 1.8}, 4, 3, 1},
        /* a baseline that is never beaten: goes on while it improves, stops when it does not */
        {{.patience = 1, .baseline = 1.0}, {5, 4, 3, 3.5}, 4, 3, 2},
        {{.patience = 1, .start_from_epoch = 2}, {1, 2, 9, 8, 8.5}, 5, 4, 3},
        /* NaN is never better */
        {{.patience = 2}, {5, NAN, NAN}, 3, 2, 0},
    };
    setup s = begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_early_stopping_callback c = cases[i].options;
        c.base = cot_early_stopping_base();
        c.restore_best_weights = true;
        int32_t stopped = drive_early(&s, &c, &cases[i]);
        if (stopped != cases[i].stops || c.best_epoch != cases[i].best) {
            fail_msg("case %d: stopped after %d, expected %d; best %d, expected %d", (int)i,
                     (int)stopped, (int)cases[i].stops, (int)c.best_epoch, (int)cases[i].best);
        }
        assert_true(weight_now(&s) == (float)cases[i].best);
    }
    end(&s);
}

/* ---- learning rates ---- */

static void reduce_on_plateau(void **state) {
    (void)state;
    setup s = begin();
    cot_reduce_lr_callback c = {
        .base = cot_reduce_lr_base(), .factor = 0.5, .patience = 2, .cooldown = 1, .min_lr = 0.2};
    /* 1: best. 2, 3 do not improve: reduced after 3. 4 cools. 5, 6: reduced after 6, to min_lr. */
    const double number[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const double rate[] = {0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2};
    CHECK_OK(s.context, c.base.on_train_begin(s.model, &c));
    for (int32_t epoch = 0; epoch < 9; epoch++) {
        const cot_log log = {"val_loss", number[epoch]};
        CHECK_OK(s.context, c.base.on_epoch_end(s.model, epoch, &(cot_logs){1, &log}, &c));
        if (fabs(cot_model_learning_rate(s.model) - rate[epoch]) > 1e-7) {
            fail_msg("epoch %d: %g, expected %g", (int)epoch, cot_model_learning_rate(s.model),
                     rate[epoch]);
        }
    }
    end(&s);
}

/* What cannot be reduced neither cools nor waits anew: a rate that is raised goes down at once. A
 * rate of min_lr, rounded to f32, cannot, though the rounded number is the larger one. */
static void reduce_from_the_least(void **state) {
    (void)state;
    setup s = begin();
    cot_reduce_lr_callback c = {
        .base = cot_reduce_lr_base(), .factor = 0.5, .patience = 2, .cooldown = 3, .min_lr = 0.4};
    const double rate[] = {0.5, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4};
    const int32_t wait[] = {0, 1, 0, 0, 0, 1, 2, 3, 0}, cooling[] = {0, 0, 3, 2, 1, 0, 0, 0, 3};
    CHECK_OK(s.context, c.base.on_train_begin(s.model, &c));
    for (int32_t epoch = 0; epoch < 9; epoch++) {
        const cot_log log = {"val_loss", 1.0};
        if (epoch == 8) {
            CHECK_OK(s.context, cot_model_set_learning_rate(s.model, 0.5));
        }
        CHECK_OK(s.context, c.base.on_epoch_end(s.model, epoch, &(cot_logs){1, &log}, &c));
        CHECK_NEAR(cot_model_learning_rate(s.model), rate[epoch], 1e-7);
        assert_int_equal(c.wait, wait[epoch]);
        assert_int_equal(c.cooling, cooling[epoch]);
    }
    end(&s);
}

static double halved(int32_t epoch, double rate, void *user) {
    int32_t *calls = user;
    (*calls)++;
    return epoch == 0 ? rate : rate / 2;
}

/* In a fit: the rate is set at each epoch's begin, and its value during the epoch is logged, by
 * name among training's numbers. */
static void scheduler_in_a_fit(void **state) {
    (void)state;
    setup s = begin();
    add_data(&s);
    int32_t calls = 0;
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 3, .validation_split = 0.25,
                           .callbacks = {cot_learning_rate_scheduler(halved, .user = &calls)}));
    const cot_history *history = cot_model_history(s.model);
    const double *rate = cot_history_values(history, "learning_rate");
    assert_int_equal(calls, 3);
    assert_non_null(rate);
    assert_true(rate[0] == 0.5 && rate[1] == 0.25 && rate[2] == 0.125);
    assert_int_equal(cot_history_n_names(history), 5);
    const char *const names[] = {"learning_rate", "loss", "mean_absolute_error", "val_loss",
                                 "val_mean_absolute_error"};
    for (int32_t i = 0; i < 5; i++) {
        assert_string_equal(cot_history_name(history, i), names[i]);
        assert_non_null(cot_history_values(history, names[i]));
    }
    assert_true(cot_history_values(history, "val_loss")[2] <
                cot_history_values(history, "val_loss")[0]);
    end(&s);
}

/* ---- stopping a fit ---- */

static void early_stopping_in_a_fit(void **state) {
    (void)state;
    setup s = begin();
    add_data(&s);
    cot_early_stopping_callback stop = {.base = cot_early_stopping_base(),
                                        .monitor = "val_loss",
                                        .patience = 2,
                                        .min_delta = 1e9,
                                        .restore_best_weights = true};
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 50, .validation_split = 0.25,
                                      .callbacks = {&stop.base}));
    assert_int_equal(stop.stopped_epoch, 2);
    assert_int_equal(stop.best_epoch, 0);
    assert_int_equal(cot_history_n_epochs(cot_model_history(s.model)), 3);
    end(&s);
}

static void terminate_on_nan(void **state) {
    (void)state;
    setup s = begin();
    add_data(&s);
    put_weight(&s, 1e30f);
    cot_terminate_on_nan_callback c = {.base = cot_terminate_on_nan_base()};
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 5, .batch_size = 4, .callbacks = {&c.base}));
    assert_true(c.has_stopped);
    assert_int_equal(c.batch, 0);
    assert_int_equal(cot_history_n_epochs(cot_model_history(s.model)), 1);
    end(&s);
}

/* ---- files ---- */

static void read_file(const char *path, char *text, size_t bytes) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, bytes - 1, file)] = '\0';
    fclose(file);
}

static void csv_logger(void **state) {
    (void)state;
    char path[] = "csv_XXXXXX", text[1024];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    setup s = begin();
    add_data(&s);
    put_weight(&s, 2.0f); /* it has learnt: every number is 0 */
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 2, .validation_split = 0.25,
                                      .callbacks = {cot_csv_logger(path, .separator = ';')}));
    read_file(path, text, sizeof text);
    assert_string_equal(text, "epoch;loss;mean_absolute_error;val_loss;val_mean_absolute_error\r\n"
                              "0;0;0;0;0\r\n1;0;0;0;0\r\n");
    CHECK_OK(s.context,
             cot_model_fit(s.model, s.data, .epochs = 1, .validation_split = 0.25,
                           .callbacks = {cot_csv_logger(path, .separator = ';', .append = true)}));
    read_file(path, text, sizeof text);
    assert_string_equal(text, "epoch;loss;mean_absolute_error;val_loss;val_mean_absolute_error\r\n"
                              "0;0;0;0;0\r\n1;0;0;0;0\r\n0;0;0;0;0\r\n");
    /* without validation there are columns for it all the same */
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .callbacks = {cot_csv_logger(path)}));
    read_file(path, text, sizeof text);
    assert_string_equal(text, "epoch,loss,mean_absolute_error,val_loss,val_mean_absolute_error\r\n"
                              "0,0,0,NA,NA\r\n");
    remove(path);
    end(&s);
}

static cot_value zero_of_rows(cot_value target, cot_value output, void *user) {
    (void)user, (void)output;
    cot_value difference = cot_op_binary(COT_OP_SUB, target, target);
    return cot_op_reshape(difference, (cot_shape){.rank = 1, .batched = true, .dim = {1}});
}

/* By name, wherever a name stands to those of validation. */
static void columns_by_name(void **state) {
    (void)state;
    char path[] = "csv_XXXXXX", text[1024];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    setup s = begin();
    add_data(&s);
    put_weight(&s, 2.0f);
    CHECK_OK(s.context, cot_model_compile(s.model, .optimizer = cot_sgd(.learning_rate = 0.5),
                                          .loss = COT_MEAN_SQUARED_ERROR,
                                          .custom_metrics = {cot_metric_of("zero", zero_of_rows)}));
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .validation_split = 0.25,
                                      .callbacks = {cot_csv_logger(path)}));
    read_file(path, text, sizeof text);
    assert_string_equal(text, "epoch,loss,val_loss,val_zero,zero\r\n0,0,0,0,0\r\n");
    remove(path);
    end(&s);
}

static double fixed_rate(int32_t epoch, double rate, void *user) {
    (void)epoch, (void)user;
    return rate;
}

/* The first epoch's names are the columns; numbers of validation that come later have a place. */
static void columns_of_the_first_epoch(void **state) {
    (void)state;
    char path[] = "csv_XXXXXX", text[1024];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    setup s = begin();
    add_data(&s);
    put_weight(&s, 2.0f);
    CHECK_OK(s.context, cot_model_compile(s.model, .optimizer = cot_sgd(.learning_rate = 0.5),
                                          .loss = COT_MEAN_SQUARED_ERROR,
                                          .custom_metrics = {cot_metric_of("zero", zero_of_rows)}));
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 3, .validation_split = 0.25,
                                      .validation_freq = 2, .callbacks = {cot_csv_logger(path)}));
    read_file(path, text, sizeof text);
    assert_string_equal(text, "epoch,loss,zero,val_loss,val_zero\r\n"
                              "0,0,0,NA,NA\r\n1,0,0,0,0\r\n2,0,0,NA,NA\r\n");
    CHECK_OK(s.context, cot_model_fit(s.model, s.data, .epochs = 2, .validation_split = 0.25,
                                      .validation_freq = 2,
                                      .callbacks = {cot_learning_rate_scheduler(fixed_rate),
                                                    cot_csv_logger(path, .append = true)}));
    read_file(path, text, sizeof text);
    assert_string_equal(text, "epoch,loss,zero,val_loss,val_zero\r\n"
                              "0,0,0,NA,NA\r\n1,0,0,0,0\r\n2,0,0,NA,NA\r\n"
                              "0,0.5,0,0,NA,NA,NA\r\n1,0.5,0,0,NA,0,0\r\n");
    remove(path);
    end(&s);
}

/* ---- misuse ---- */

static void misuse(void **state) {
    (void)state;
    const struct {
        const cot_callback *callback;
        cot_status status;
        const char *text;
    } cases[] = {
        {cot_early_stopping(.patience = 1), COT_E_ARG, "no \"val_loss\" in the logs: loss, "},
        {cot_early_stopping(.monitor = "nonsense"), COT_E_ARG, "\"nonsense\" is better"},
        {cot_reduce_lr_on_plateau(.monitor = "loss", .factor = 1.0), COT_E_ARG, "factor is 1"},
        {cot_learning_rate_scheduler(NULL), COT_E_ARG, "schedule is NULL"},
        {cot_csv_logger(NULL), COT_E_ARG, "filename is NULL"},
        {cot_csv_logger("/nowhere/at/all.csv"), COT_E_IO, "/nowhere/at/all.csv"},
        {cot_csv_logger("/dev/full"), COT_E_IO, "\"/dev/full\" cannot be written"},
    };
    setup s = begin();
    add_data(&s);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_status status = cot_model_fit(s.model, s.data, .callbacks = {cases[i].callback});
        assert_int_equal(status, cases[i].status);
        CHECK_ERROR(s.context, cases[i].status, cases[i].text);
        CHECK_OK(s.context, cot_model_fit(s.model, s.data));
    }
    end(&s);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_stopping),
        cmocka_unit_test(reduce_on_plateau),
        cmocka_unit_test(reduce_from_the_least),
        cmocka_unit_test(scheduler_in_a_fit),
        cmocka_unit_test(early_stopping_in_a_fit),
        cmocka_unit_test(terminate_on_nan),
        cmocka_unit_test(csv_logger),
        cmocka_unit_test(columns_by_name),
        cmocka_unit_test(columns_of_the_first_epoch),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
