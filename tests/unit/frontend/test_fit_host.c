/*
 * Everything that a host can do in between while fit runs: callbacks, stopping, cancelling, setting
 * the learning rate, and the text that fit writes.
 */
#include "fit_support.h"

/* ---- callbacks ---- */

typedef struct watcher {
    char calls[512];
    size_t n;
    int64_t stop_at_batch; /* -1: never */
    double last_loss;
    cot_status answer;
    cot_dataset *other; /* evaluated amid the epoch, when not NULL */
} watcher;

static void note(watcher *w, char what) {
    if (w->n + 1 < sizeof w->calls) {
        w->calls[w->n++] = what;
    }
}

static cot_status train_begin(cot_model *model, void *user) {
    (void)model;
    note(user, '[');
    return COT_OK;
}

static cot_status train_end(cot_model *model, const cot_logs *logs, void *user) {
    (void)model;
    (void)logs;
    note(user, ']');
    return COT_OK;
}

static cot_status epoch_begin(cot_model *model, int32_t epoch, void *user) {
    (void)model;
    note(user, (char)('0' + epoch));
    return COT_OK;
}

static cot_status epoch_end(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    watcher *w = user;
    (void)model;
    (void)epoch;
    note(w, isnan(cot_logs_get(logs, "val_loss")) ? 'e' : 'v');
    return w->answer;
}

static cot_status batch_begin(cot_model *model, int64_t batch, void *user) {
    (void)model;
    (void)batch;
    note(user, '(');
    return COT_OK;
}

static cot_status batch_end(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    watcher *w = user;
    note(w, ')');
    w->last_loss = cot_logs_get(logs, "loss");
    if (w->other != NULL && cot_model_evaluate(model, w->other, NULL) != COT_OK) {
        return COT_E_INTERNAL;
    }
    if (batch == w->stop_at_batch) {
        cot_model_stop_training(model);
    }
    return COT_OK;
}

static cot_callback watch(watcher *w) {
    cot_callback callback = COT_CALLBACK_INIT;
    *w = (watcher){.stop_at_batch = -1};
    callback.user = w;
    callback.on_train_begin = train_begin;
    callback.on_train_end = train_end;
    callback.on_epoch_begin = epoch_begin;
    callback.on_epoch_end = epoch_end;
    callback.on_batch_begin = batch_begin;
    callback.on_batch_end = batch_end;
    return callback;
}

static void callbacks_come_in_order(void **state) {
    (void)state;
    world w;
    watcher seen;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_callback callback = watch(&seen);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 4,
                                      .validation_split = 0.2, .callbacks = {&callback}));
    assert_string_equal(seen.calls, "[0()()v1()()v]");
    CHECK_NEAR(seen.last_loss, cot_history_values(cot_model_history(w.model), "loss")[1], 0.0);
    end(&w);
}

static cot_status count_epoch(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    int *n = user;
    (void)model;
    (void)logs;
    *n = 10 * *n + epoch + 1;
    return COT_OK;
}

static void functions_are_callbacks(void **state) {
    (void)state;
    world w;
    int n = 0;
    begin(&w);
    compile_sgd(&w, 0.1);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 3,
                                      .callbacks = {cot_lambda_callback(.on_epoch_end = count_epoch,
                                                                        .user = &n)}));
    assert_int_equal(n, 123);
    end(&w);
}

static void training_stops_after_the_batch(void **state) {
    (void)state;
    world w;
    watcher seen;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_callback callback = watch(&seen);
    seen.stop_at_batch = 1;
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 5, .batch_size = 2,
                                      .callbacks = {&callback}));
    assert_string_equal(seen.calls, "[0()()e]");
    assert_int_equal(cot_history_n_epochs(cot_model_history(w.model)), 1);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 1));
    end(&w);
}

/* Evaluating within an epoch changes nothing of it. */
static void callbacks_may_evaluate(void **state) {
    (void)state;
    double loss[2];
    for (int i = 0; i < 2; i++) {
        world w;
        watcher seen;
        begin(&w);
        compile_sgd(&w, 0.1);
        cot_callback callback = watch(&seen);
        seen.other = i == 1 ? w.data : NULL;
        CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 3,
                                          .callbacks = {&callback}));
        loss[i] = cot_history_values(cot_model_history(w.model), "loss")[1];
        end(&w);
    }
    assert_true(loss[0] == loss[1]);
}

static void a_failing_callback_ends_fit(void **state) {
    (void)state;
    world w;
    watcher seen;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_callback callback = watch(&seen);
    seen.answer = COT_E_IO;
    assert_int_equal(cot_model_fit(w.model, w.data, .epochs = 2, .callbacks = {&callback}),
                     COT_E_IO);
    CHECK_ERROR(w.context, COT_E_IO, "callback 0");
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2));
    end(&w);
}

/* fit within fit, compile within fit. */
static cot_status misbehave(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    (void)epoch;
    (void)logs;
    assert_int_equal(cot_model_fit(model, user), COT_E_ARG);
    CHECK_ERROR(cot_model_context(model), COT_E_ARG, "is being fitted");
    assert_int_equal(cot_model_train_on_batch(model, user, NULL), COT_E_ARG);
    CHECK_ERROR(cot_model_context(model), COT_E_ARG, "is being fitted");
    assert_int_equal(cot_model_compile(model, .loss = COT_MEAN_SQUARED_ERROR), COT_E_ARG);
    CHECK_ERROR(cot_model_context(model), COT_E_ARG, "is being fitted");
    return COT_OK;
}

static void fit_is_not_reentrant(void **state) {
    (void)state;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_callback callback = COT_CALLBACK_INIT;
    callback.user = w.data;
    callback.on_epoch_end = misbehave;
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .callbacks = {&callback}));
    end(&w);
}

static volatile int32_t cancel_flag;

static cot_status raise_flag(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    (void)model;
    (void)logs;
    (void)user;
    cancel_flag = batch == 1;
    return COT_OK;
}

static void a_flag_cancels(void **state) {
    (void)state;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_callback callback = COT_CALLBACK_INIT;
    callback.on_batch_end = raise_flag;
    cancel_flag = 0;
    assert_int_equal(cot_model_fit(w.model, w.data, .batch_size = 2, .cancel = &cancel_flag,
                                   .callbacks = {&callback}),
                     COT_E_CANCELLED);
    assert_int_equal(cot_error_get(w.context).status, COT_E_CANCELLED);
    cot_error_clear(w.context);
    int64_t iterations = 0;
    CHECK_OK(w.context, cot_variable_get(cot_model_optimizer_variable(w.model, 0), &iterations,
                                         sizeof iterations));
    assert_int_equal(iterations, 2);
    cancel_flag = 1;
    assert_int_equal(cot_model_evaluate(w.model, w.data, NULL, .cancel = &cancel_flag),
                     COT_E_CANCELLED);
    cot_error_clear(w.context);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data));
    end(&w);
}

static cot_status halve_rate(cot_model *model, int32_t epoch, void *user) {
    (void)user;
    return epoch == 0 ? COT_OK
                      : cot_model_set_learning_rate(model, cot_model_learning_rate(model) / 2);
}

static void the_learning_rate_can_be_set(void **state) {
    (void)state;
    world w;
    begin(&w);
    assert_true(isnan(cot_model_learning_rate(w.model)));
    compile_sgd(&w, 0.5);
    cot_callback callback = COT_CALLBACK_INIT;
    callback.on_epoch_begin = halve_rate;
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 3, .callbacks = {&callback}));
    CHECK_NEAR(cot_model_learning_rate(w.model), 0.125, 0.0);
    end(&w);
}

/* ---- text ---- */

static void a_line_an_epoch_where_there_is_no_terminal(void **state) {
    (void)state;
    static collected text;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_console console = console_for(&text);
    CHECK_OK(w.context,
             cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 4, .validation_split = 0.2,
                           .shuffle = COT_OFF, .console = &console));
    int n_steps = 0, seconds = -1;
    double rate = 0.0;
    char unit[8] = "", rest[256] = "";
    assert_int_equal(sscanf(text.text, "Epoch 1/2\n%d/2 - %ds - %lf%2[mus]/step - %255[^\n]",
                            &n_steps, &seconds, &rate, unit, rest),
                     5);
    assert_int_equal(n_steps, 2);
    assert_string_equal(
        rest, "accuracy: 0.5000 - loss: 0.8118 - val_accuracy: 0.5000 - val_loss: 0.7439");
    assert_non_null(strstr(text.text, "\nEpoch 2/2\n2/2 - "));
    console = console_for(&text);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .console = &console));
    assert_null(strstr(text.text, "Epoch")); /* a single epoch has no heading */
    console = console_for(&text);
    CHECK_OK(w.context,
             cot_model_fit(w.model, w.data, .console = &console, .verbose = COT_VERBOSE_SILENT));
    assert_int_equal(text.n, 0);
    end(&w);
}

static void a_bar_on_a_terminal(void **state) {
    (void)state;
    static collected text;
    float out[20];
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_console console = console_for(&text);
    console.terminal = true;
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .batch_size = 1, .console = &console));
    assert_non_null(strstr(text.text, "\r 1/10 ━━"));
    const char *last = strstr(text.text, "\r10/10 ━━━━━━━━━━━━━━━━━━━━ ");
    assert_non_null(last);
    assert_non_null(strstr(last, "/step - accuracy: "));
    assert_int_equal(text.text[text.n - 1], '\n');
    console = console_for(&text);
    console.terminal = true;
    CHECK_OK(w.context, cot_model_evaluate(w.model, w.data, NULL, .console = &console));
    assert_non_null(strstr(text.text, " - loss: "));
    CHECK_OK(w.context, cot_model_predict(w.model, w.data, COT_BUFFERS({out, sizeof out}),
                                          .console = &console, .batch_size = 3));
    assert_non_null(strstr(text.text, "4/4 ━━━━━━━━━━━━━━━━━━━━ "));
    end(&w);
}

static void a_console_that_refuses_ends_fit(void **state) {
    (void)state;
    static collected text;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_console console = console_for(&text);
    text.fail_after = 1;
    assert_int_equal(cot_model_fit(w.model, w.data, .epochs = 3, .console = &console), COT_E_IO);
    CHECK_ERROR(w.context, COT_E_IO, "refused");
    end(&w);
}

static void nan_is_let_through_on_request(void **state) {
    (void)state;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    w.x[7] = NAN;
    assert_int_equal(cot_model_fit(w.model, w.data), COT_E_DATA);
    CHECK_ERROR(w.context, COT_E_DATA, "input \"input_layer\": row 1, element 3 is nan");
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .allow_nonfinite = true));
    end(&w);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_come_in_order),
        cmocka_unit_test(functions_are_callbacks),
        cmocka_unit_test(training_stops_after_the_batch),
        cmocka_unit_test(callbacks_may_evaluate),
        cmocka_unit_test(a_failing_callback_ends_fit),
        cmocka_unit_test(fit_is_not_reentrant),
        cmocka_unit_test(a_flag_cancels),
        cmocka_unit_test(the_learning_rate_can_be_set),
        cmocka_unit_test(a_line_an_epoch_where_there_is_no_terminal),
        cmocka_unit_test(a_bar_on_a_terminal),
        cmocka_unit_test(a_console_that_refuses_ends_fit),
        cmocka_unit_test(nan_is_let_through_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
