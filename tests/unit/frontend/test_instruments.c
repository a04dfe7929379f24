/*
 * Instruments against plain arithmetic on the weights and rows of a small training: shares of dead
 * units and saturated outputs, norms, the first value that is not finite; and that they change
 * nothing.
 */
#include "checkpoint_support.h"

#include "runtime/base/context.h"
#include "runtime/base/str.h"

enum { UNITS = 6, STEPS = 6 }; /* 22 rows of 4: six steps, the last of two rows */

/* x [5] -> relu 6, sigmoid 6, tanh 6 -> softmax 3. */
typedef struct net {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float x[ROWS * FEATURES];
    int32_t y[ROWS];
} net;

static net *net_make(const cot_optimizer *optimizer, uint32_t instruments) {
    net *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->context = new_context(3);
    cot_tensor x = cot_input(t->context, COT_F32, COT_SHAPE(FEATURES), "x");
    cot_tensor r = cot_dense(x, UNITS, .activation = COT_RELU, .name = "relu");
    cot_tensor s = cot_dense(x, UNITS, .activation = COT_SIGMOID, .name = "sigmoid");
    cot_tensor h = cot_activation(cot_dense(x, UNITS, .name = "plain"), COT_TANH, .name = "tanh");
    cot_tensor y = cot_dense(cot_concatenate(COT_TENSORS(r, s, h)), CLASSES,
                             .activation = COT_SOFTMAX, .name = "class");
    t->model = cot_model_create(t->context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(t->model);
    CHECK_OK(t->context, cot_model_compile(t->model, .optimizer = optimizer,
                                           .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                           .max_batch = BATCH, .instruments = instruments));
    fill_g(t->x, ROWS * FEATURES, 3, 4.0);
    for (int i = 0; i < ROWS; i++) {
        t->y[i] = (i * 7 + i / 5) % CLASSES;
    }
    cot_array in = array_of(t->x, ROWS, FEATURES), out = labels_of(t->y, ROWS);
    t->data = cot_dataset_create(t->context, (cot_array_list){&in, 1}, (cot_array_list){&out, 1},
                                 COT_BORROW);
    assert_non_null(t->data);
    return t;
}

static void net_free(net *t) {
    cot_dataset_destroy(t->data);
    cot_model_destroy(t->model);
    cot_context_destroy(t->context);
    free(t);
}

static double logged(const net *t, const char *name, int epoch) {
    const double *values = cot_history_values(cot_model_history(t->model), name);
    if (values == NULL) {
        fail_msg("there is no %s in the history", name);
        return NAN;
    }
    return values[epoch];
}

/* A weight's numbers. */
static size_t weight_of(const net *t, const char *name, float *to) {
    const cot_variable *weight = cot_model_find_weight(t->model, name);
    assert_non_null(weight);
    size_t n = (size_t)count_of(weight);
    CHECK_OK(t->context, cot_variable_get(weight, to, n * sizeof *to));
    return n;
}

static void set_bias(const net *t, const char *name, const float *value) {
    CHECK_OK(t->context,
             cot_variable_set(cot_model_find_weight(t->model, name), value, UNITS * sizeof *value));
}

/* x . kernel + bias of one row and unit. */
static double pre_activation(const net *t, const char *layer, int row, int unit) {
    char kernel_name[32], bias_name[32];
    float kernel[FEATURES * UNITS], bias[UNITS];
    (void)snprintf(kernel_name, sizeof kernel_name, "%s/kernel", layer);
    (void)snprintf(bias_name, sizeof bias_name, "%s/bias", layer);
    (void)weight_of(t, kernel_name, kernel);
    (void)weight_of(t, bias_name, bias);
    double z = (double)bias[unit];
    for (int k = 0; k < FEATURES; k++) {
        z += (double)t->x[row * FEATURES + k] * (double)kernel[k * UNITS + unit];
    }
    return z;
}

/* ---- units ---- */

/* With a learning rate of 0 the weights stay, so that an epoch is a sum over its rows. */
static void shares_of_units(void **state) {
    (void)state;
    static const float shift[UNITS] = {-100, 100, 0, -3, 3, -100};
    net *t = net_make(cot_sgd(.learning_rate = COT_ZERO), COT_INSTRUMENT_UNITS);
    set_bias(t, "relu/bias", shift);
    set_bias(t, "sigmoid/bias", shift);
    set_bias(t, "plain/bias", shift);
    CHECK_OK(t->context, cot_model_fit(t->model, t->data, .epochs = 2, .batch_size = BATCH));
    int dead = 0, sigmoid = 0, tanh_ends = 0;
    for (int unit = 0; unit < UNITS; unit++) {
        int n_on = 0;
        for (int row = 0; row < ROWS; row++) {
            double s = 1.0 / (1.0 + exp(-pre_activation(t, "sigmoid", row, unit)));
            double h = tanh(pre_activation(t, "plain", row, unit));
            n_on += pre_activation(t, "relu", row, unit) > 0.0;
            sigmoid += s < 0.01 || s > 0.99;
            tanh_ends += fabs(h) > 0.99;
        }
        dead += n_on == 0;
    }
    assert_true(dead >= 2 && dead < UNITS && sigmoid > 3 * ROWS && sigmoid < UNITS * ROWS);
    for (int epoch = 0; epoch < 2; epoch++) {
        CHECK_NEAR(logged(t, "relu/dead_units", epoch), dead / (double)UNITS, 1e-12);
        CHECK_NEAR(logged(t, "sigmoid/saturated", epoch), sigmoid / (double)(UNITS * ROWS), 1e-12);
        CHECK_NEAR(logged(t, "tanh/saturated", epoch), tanh_ends / (double)(UNITS * ROWS), 1e-12);
    }
    assert_null(cot_history_values(cot_model_history(t->model), "class/saturated"));
    assert_null(cot_history_values(cot_model_history(t->model), "relu/weight_norm"));
    assert_int_equal(cot_history_n_names(cot_model_history(t->model)), 4); /* and the loss */
    net_free(t);
}

/* ---- norms ---- */

/* Sums of squares of what the steps of an epoch change. */
typedef struct watcher {
    cot_callback base;
    net *net;
    float before[FEATURES * UNITS + UNITS];
    double squares;
} watcher;

static size_t relu_weights(const net *t, float *to) {
    size_t n = weight_of(t, "relu/kernel", to);
    return n + weight_of(t, "relu/bias", to + n);
}

static cot_status before_step(cot_model *model, int64_t batch, void *user) {
    watcher *w = user;
    (void)model;
    (void)batch;
    (void)relu_weights(w->net, w->before);
    return COT_OK;
}

static cot_status after_step(cot_model *model, int64_t batch, const cot_logs *logs, void *user) {
    watcher *w = user;
    float after[FEATURES * UNITS + UNITS];
    size_t n = relu_weights(w->net, after);
    (void)model;
    (void)batch;
    (void)logs;
    for (size_t i = 0; i < n; i++) {
        double change = (double)after[i] - (double)w->before[i];
        w->squares += change * change;
    }
    return COT_OK;
}

/* Plain SGD changes weights by the rate times the gradient. */
static void norms(void **state) {
    (void)state;
    const double rate = 0.25;
    net *t = net_make(cot_sgd(.learning_rate = 0.25), COT_INSTRUMENT_NORMS);
    watcher w = {.base = {.struct_size = sizeof w.base,
                          .on_batch_begin = before_step,
                          .on_batch_end = after_step},
                 .net = t};
    CHECK_OK(t->context,
             cot_model_fit(t->model, t->data, .batch_size = BATCH, .callbacks = {&w.base}));
    float weights[FEATURES * UNITS + UNITS];
    double squares = 0.0;
    size_t n = relu_weights(t, weights);
    for (size_t i = 0; i < n; i++) {
        squares += (double)weights[i] * (double)weights[i];
    }
    double update = sqrt(w.squares / STEPS);
    assert_true(update > 1e-3);
    CHECK_NEAR(logged(t, "relu/weight_norm", 0), sqrt(squares), 1e-9);
    CHECK_NEAR(logged(t, "relu/update_norm", 0), update, 1e-5 * update);
    CHECK_NEAR(logged(t, "relu/gradient_norm", 0), update / rate, 1e-5 * update / rate);
    assert_null(cot_history_values(cot_model_history(t->model), "tanh/weight_norm"));
    assert_null(cot_history_values(cot_model_history(t->model), "relu/dead_units"));
    net_free(t);
}

/* ---- what is not finite ---- */

/* Before step `at`, counted over all epochs, a bias becomes so large that exp overflows. */
typedef struct heater {
    cot_callback base;
    net *net;
    int at;
    float bias;
} heater;

static cot_status heat(cot_model *model, int64_t batch, void *user) {
    heater *h = user;
    (void)batch;
    if (h->at-- == 0) {
        cot_variable *bias = cot_model_find_weight(model, "hot/bias");
        return cot_variable_set(bias, &h->bias, sizeof h->bias);
    }
    return COT_OK;
}

/* x -> exp -> mean squared error: the overflow is the layer's; NaN comes later, in the loss. */
static net *hot_net(void) {
    net *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->context = new_context(1);
    cot_tensor x = cot_input(t->context, COT_F32, COT_SHAPE(FEATURES), "x");
    cot_tensor h = cot_dense(x, 1, .activation = COT_EXPONENTIAL, .name = "hot");
    t->model = cot_model_create(t->context, COT_TENSORS(x), COT_TENSORS(h), NULL);
    assert_non_null(t->model);
    CHECK_OK(t->context, cot_model_compile(t->model, .optimizer = cot_sgd(.learning_rate = 1e-4),
                                           .loss = COT_MEAN_SQUARED_ERROR, .max_batch = BATCH,
                                           .instruments = COT_INSTRUMENT_NONFINITE));
    cot_array in = array_of(t->x, ROWS, FEATURES), out = array_of(t->x, ROWS, 1);
    t->data = cot_dataset_create(t->context, (cot_array_list){&in, 1}, (cot_array_list){&out, 1},
                                 COT_BORROW);
    assert_non_null(t->data);
    return t;
}

static void the_first_that_is_not_finite(void **state) {
    (void)state;
    net *t = hot_net();
    cot_nonfinite found;
    heater h = {.base = {.struct_size = sizeof h.base, .on_batch_begin = heat},
                .net = t,
                .at = 8, /* in the second epoch */
                .bias = 200.0f};
    CHECK_OK(t->context, cot_model_nonfinite(t->model, &found));
    assert_false(found.found);
    CHECK_OK(t->context, cot_model_fit(t->model, t->data, .epochs = 3, .batch_size = BATCH,
                                       .callbacks = {&h.base}));
    assert_true(logged(t, "nonfinite/step", 0) == -1.0);
    assert_true(logged(t, "nonfinite/step", 1) == 8.0);
    assert_true(logged(t, "nonfinite/step", 2) == 8.0);
    CHECK_OK(t->context, cot_model_nonfinite(t->model, &found));
    assert_true(found.found);
    assert_int_equal(found.step, 8);
    assert_string_equal(found.op, "exp");
    assert_string_equal(found.layer, "hot");
    /* Made anew for larger batches, it still knows. */
    CHECK_OK(t->context, cot_model_fit(t->model, t->data, .batch_size = 2 * BATCH));
    CHECK_OK(t->context, cot_model_nonfinite(t->model, &found));
    assert_int_equal(found.step, 8);
    assert_string_equal(found.op, "exp");
    net_free(t);
}

/* The forward pass is fine; a gradient is not: 2 y d overflows although the loss does not. */
static void in_a_gradient(void **state) {
    (void)state;
    net *t = hot_net();
    cot_nonfinite found;
    /* exp(44) squared is below the largest float, times 4 y above it. */
    heater h = {.base = {.struct_size = sizeof h.base, .on_batch_begin = heat},
                .net = t,
                .at = 0,
                .bias = 44.0f};
    CHECK_OK(t->context,
             cot_model_fit(t->model, t->data, .batch_size = BATCH, .callbacks = {&h.base}));
    CHECK_OK(t->context, cot_model_nonfinite(t->model, &found));
    assert_true(found.found);
    assert_int_equal(found.step, 0);
    assert_string_not_equal(found.op, "exp");
    net_free(t);
}

/* ---- nothing changes ---- */

static void the_same_training(void **state) {
    (void)state;
    const cot_optimizer *optimizer =
        cot_adam(.learning_rate = 0.05, .global_clipnorm = 0.5, .weight_decay = 0.01);
    net *plain = net_make(optimizer, 0), *watched = net_make(optimizer, COT_INSTRUMENT_ALL);
    CHECK_OK(plain->context,
             cot_model_fit(plain->model, plain->data, .epochs = 3, .batch_size = BATCH));
    CHECK_OK(watched->context,
             cot_model_fit(watched->model, watched->data, .epochs = 3, .batch_size = BATCH));
    for (int32_t i = 0; i < cot_model_n_weights(plain->model); i++) {
        state_bytes a = {.n = 0}, b = {.n = 0};
        add_bytes(&a, cot_model_weight(plain->model, i));
        add_bytes(&b, cot_model_weight(watched->model, i));
        assert_true(same_state(&a, &b));
    }
    const double *a = cot_history_values(cot_model_history(plain->model), "loss");
    const double *b = cot_history_values(cot_model_history(watched->model), "loss");
    assert_memory_equal(a, b, 3 * sizeof *a);
    assert_true(logged(watched, "nonfinite/step", 2) == -1.0);
    net_free(plain);
    net_free(watched);
}

/* A chain of layers, for 5 steps under a memory budget: its loss, and what a step takes. */
static double chain_loss(uint32_t instruments, int64_t budget, int64_t *bytes_out) {
    cot_context *context = new_context(5);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(FEATURES), "x"), h = x;
    for (int i = 0; i < 8; i++) {
        h = cot_dense(h, 32, .activation = COT_TANH);
    }
    cot_tensor y = cot_dense(h, CLASSES, .activation = COT_SOFTMAX);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = 0.1),
                               .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .max_batch = ROWS,
                               .instruments = instruments, .memory_budget = budget));
    float rows[ROWS * FEATURES];
    int32_t labels[ROWS];
    fill_g(rows, ROWS * FEATURES, 3, 4.0);
    for (int i = 0; i < ROWS; i++) {
        labels[i] = i % CLASSES;
    }
    cot_array in = array_of(rows, ROWS, FEATURES), out = labels_of(labels, ROWS);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    CHECK_OK(context, cot_model_fit(model, data, .epochs = 5, .batch_size = ROWS));
    double loss = cot_history_values(cot_model_history(model), "loss")[4];
    *bytes_out = cot_program_get_info(cot_model_train_program(model)).memory_bytes;
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    return loss;
}

/* Values that are computed again for want of memory are counted all the same. */
static void under_a_budget(void **state) {
    (void)state;
    const uint32_t which = COT_INSTRUMENT_UNITS | COT_INSTRUMENT_NORMS;
    int64_t bytes = 0, fewer = 0;
    double plain = chain_loss(0, 0, &bytes);
    double watched = chain_loss(which, 0, &bytes);
    double budgeted = chain_loss(which, use_jit ? bytes - 1 : 0, &fewer);
    assert_true(plain == watched && plain == budgeted);
    assert_true(!use_jit || fewer < bytes);
}

/* ---- what they cost ---- */

static bool collect_dump(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

static cot_status compile_plainly(const net *t) {
    return cot_model_compile(t->model, .optimizer = cot_adam(),
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .max_batch = BATCH);
}

/* The plan of a model that had instruments, or was asked for none, is that of one without. */
static void none_cost_nothing(void **state) {
    (void)state;
    if (!use_jit) { /* the evaluator has no plan */
        skip();
    }
    net *t = net_make(cot_adam(), 0);
    coti_str plain, after;
    coti_str_init(&plain, t->context);
    coti_str_init(&after, t->context);
    t->context->dump[COTI_STAGE_PLAN] = true;
    t->context->dump_write = collect_dump;
    t->context->dump_user = &plain;
    CHECK_OK(t->context, compile_plainly(t));
    const cot_program_info a = cot_program_get_info(cot_model_train_program(t->model));
    t->context->dump_user = &after;
    CHECK_OK(t->context, cot_model_compile(t->model, .optimizer = cot_adam(),
                                           .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                           .max_batch = BATCH, .instruments = COT_INSTRUMENT_ALL));
    assert_non_null(strstr(coti_str_text(&after), "relu/dead_units"));
    coti_str_clear(&after);
    CHECK_OK(t->context, compile_plainly(t));
    const cot_program_info b = cot_program_get_info(cot_model_train_program(t->model));
    assert_true(a.n_kernels == b.n_kernels && a.n_calls == b.n_calls && a.n_phases == b.n_phases);
    assert_null(strstr(coti_str_text(&plain), "dead_units"));
    assert_non_null(strstr(coti_str_text(&plain), "# stage plan"));
    assert_string_equal(coti_str_text(&plain), coti_str_text(&after));
    coti_str_free(&plain);
    coti_str_free(&after);
    net_free(t);
}

/* ---- elsewhere ---- */

static void in_files_but_not_on_the_line(void **state) {
    (void)state;
    directory d = directory_make();
    file_path path = path_in(&d, "log.csv");
    static collected text;
    cot_console console = console_for(&text);
    net *t = net_make(cot_sgd(), COT_INSTRUMENT_NORMS | COT_INSTRUMENT_NONFINITE);
    CHECK_OK(t->context,
             cot_model_fit(t->model, t->data, .batch_size = BATCH, .console = &console,
                           .validation_split = 0.2, .callbacks = {cot_csv_logger(path.text)}));
    content c = read_content(path.text);
    c.data[c.n] = '\0';
    static const char head[] = "epoch,class/gradient_norm,class/update_norm,class/weight_norm,loss,"
                               "nonfinite/step,plain/gradient_norm,";
    assert_memory_equal(c.data, head, sizeof head - 1);
    assert_null(strstr(text.text, "norm"));
    assert_non_null(strstr(text.text, "loss: "));
    free(c.data);
    net_free(t);
    directory_remove(&d);
}

static void misuse(void **state) {
    (void)state;
    net *t = net_make(cot_sgd(), COT_INSTRUMENT_UNITS);
    cot_nonfinite found;
    assert_int_equal(cot_model_nonfinite(t->model, &found), COT_E_ARG);
    CHECK_ERROR(t->context, COT_E_ARG, "was compiled without COT_INSTRUMENT_NONFINITE");
    assert_int_equal(cot_model_nonfinite(NULL, &found), COT_E_ARG);
    assert_int_equal(cot_model_compile(t->model, .optimizer = cot_sgd(),
                                       .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                       .instruments = 8),
                     COT_E_ARG);
    CHECK_ERROR(t->context, COT_E_ARG, "instruments is 0x8, expected COT_INSTRUMENT_ values");
    net_free(t);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_of_units),
        cmocka_unit_test(norms),
        cmocka_unit_test(the_first_that_is_not_finite),
        cmocka_unit_test(in_a_gradient),
        cmocka_unit_test(the_same_training),
        cmocka_unit_test(under_a_budget),
        cmocka_unit_test(none_cost_nothing),
        cmocka_unit_test(in_files_but_not_on_the_line),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
