/*
 * fit, evaluate, predict: Keras's own traces, what an epoch's numbers mean, and everything that a
 * host can do in between.
 */
#include "frontend_support.h"

/* ---- the network of the reference fits: 4 -> 3 relu -> 2 softmax ---- */

typedef struct world {
    cot_context *context;
    cot_model *model;
    cot_dataset *data; /* 10 rows g(4), 2; targets one-hot of row % 2 */
    float x[40], y[20];
} world;

static void begin(world *w) {
    memset(w, 0, sizeof *w);
    w->context = new_context(1);
    w->model = cot_sequential_create(w->context, COT_F32, COT_SHAPE(4), NULL);
    CHECK_OK(w->context,
             cot_sequential_add(w->model, cot_dense_layer(w->context, 3, .activation = COT_RELU)));
    CHECK_OK(w->context, cot_sequential_add(
                             w->model, cot_dense_layer(w->context, 2, .activation = COT_SOFTMAX)));
    set_weights(w->model);
    fill_g(w->x, 40, 0, 2.0);
    for (int i = 0; i < 10; i++) {
        w->y[2 * i + i % 2] = 1.0f;
    }
    cot_array x = array_of(w->x, 10, 4), y = array_of(w->y, 10, 2);
    w->data = cot_dataset_create(w->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                 COT_BORROW);
    assert_non_null(w->data);
}

static void end(world *w) {
    cot_dataset_destroy(w->data);
    cot_model_destroy(w->model);
    cot_context_destroy(w->context);
}

static void compile_sgd(world *w, double learning_rate) {
    CHECK_OK(w->context,
             cot_model_compile(w->model, .optimizer = cot_sgd(.learning_rate = learning_rate),
                               .loss = COT_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY}));
}

static void check_history(const cot_model *model, const char *name, const double *expected,
                          int32_t n, double tolerance) {
    const cot_history *history = cot_model_history(model);
    assert_int_equal(cot_history_n_epochs(history), n);
    const double *value = cot_history_values(history, name);
    assert_non_null(value);
    for (int32_t i = 0; i < n; i++) {
        if (!(fabs(value[i] - expected[i]) <= tolerance)) {
            fail_msg("%s of epoch %d is %.9g, expected %.9g", name, i, value[i], expected[i]);
        }
    }
}

/* ---- traces of Keras ---- */

typedef struct trace {
    cot_compile_options options;
    double loss[3], val_loss[3];
} trace;

static void fits_of_keras(void **state) {
    (void)state;
    static const double half[3] = {0.5, 0.5, 0.5};
    const trace traces[] = {
        {{.optimizer = cot_sgd(.learning_rate = 0.1), .loss = COT_CATEGORICAL_CROSSENTROPY},
         {0.81176269, 0.7785942, 0.75306499},
         {0.74391663, 0.71844167, 0.69868672}},
        {{.optimizer = cot_adam(.learning_rate = 0.01), .loss = COT_CATEGORICAL_CROSSENTROPY},
         {0.81515032, 0.78819966, 0.76490283},
         {0.75930035, 0.7387315, 0.72023082}},
        {{.optimizer = cot_sgd(.learning_rate = 0.01, .momentum = 0.9, .nesterov = true),
          .loss = COT_MEAN_SQUARED_ERROR},
         {0.30730569, 0.30553269, 0.30289197},
         {0.28767759, 0.2853061, 0.2822358}}};
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        world w;
        begin(&w);
        cot_compile_options options = traces[i].options;
        options.struct_size = sizeof options;
        options.metrics[0] = COT_ACCURACY;
        CHECK_OK(w.context, cot_model_compile_with(w.model, &options));
        CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 3, .batch_size = 4,
                                          .validation_split = 0.2, .shuffle = COT_OFF));
        check_history(w.model, "loss", traces[i].loss, 3, 2e-6);
        check_history(w.model, "val_loss", traces[i].val_loss, 3, 2e-6);
        check_history(w.model, "accuracy", half, 3, 1e-12);
        check_history(w.model, "val_accuracy", half, 3, 1e-12);
        end(&w);
    }
}

static void weights_after_a_fit_of_keras(void **state) {
    (void)state;
    static const double k0[12] = {-0.38597694, -0.024752475, 0.37303603, -0.25332531,
                                  0.074257426, 0.35035077,   -0.2435776, 0.17326732,
                                  -0.3824614,  -0.06686458,  0.27227724, -0.40514669};
    static const double b0[3] = {0.19488703, -0.46039605, -0.18099929};
    static const double k1[6] = {-0.26261839, 0.10420253, 0.47029704,
                                 -0.16336633, 0.15066983, -0.37839261};
    static const double b1[2] = {0.2138554, -0.24355833};
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 3, .batch_size = 4,
                                      .validation_split = 0.2, .shuffle = COT_OFF));
    check_variable(cot_model_find_weight(w.model, "dense/kernel"), k0, 2e-6);
    check_variable(cot_model_find_weight(w.model, "dense/bias"), b0, 2e-6);
    check_variable(cot_model_find_weight(w.model, "dense_1/kernel"), k1, 2e-6);
    check_variable(cot_model_find_weight(w.model, "dense_1/bias"), b1, 2e-6);
    end(&w);
}

/* Rows 4, 4, 2: the mean over rows, not over batches; the same from fit and from evaluate. */
static void an_epochs_loss_weighs_batches_by_rows(void **state) {
    (void)state;
    static const double expected[1] = {0.46732432};
    float x[40], y[20];
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor out = cot_dense(in, 2);
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    set_weights(model);
    fill_g(x, 40, 0, 2.0);
    fill_g(y, 20, 9, 1.0);
    cot_array ax = array_of(x, 10, 4), ay = array_of(y, 10, 2);
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, (cot_array_list){&ay, 1}, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = COT_ZERO),
                                        .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_OK(context, cot_model_fit(model, data, .batch_size = 4, .shuffle = COT_OFF));
    check_history(model, "loss", expected, 1, 2e-6);
    cot_logs report;
    for (int64_t batch = 1; batch <= 11; batch += 5) {
        CHECK_OK(context, cot_model_evaluate(model, data, &report, .batch_size = batch));
        assert_int_equal(report.n, 1);
        CHECK_NEAR(cot_logs_get(&report, "loss"), expected[0], 2e-6);
    }
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- what continues, what repeats ---- */

static void read_weights(const cot_model *model, float out[23]) {
    for (int32_t i = 0, at = 0; i < cot_model_n_weights(model); i++) {
        int64_t n = count_of(cot_model_weight(model, i));
        assert_int_equal(
            cot_variable_get(cot_model_weight(model, i), out + at, (size_t)n * sizeof(float)),
            COT_OK);
        at += (int32_t)n;
    }
}

/* Two fits of two epochs are one of four: optimizer state, iterations and orders go on. */
static void a_second_fit_goes_on(void **state) {
    (void)state;
    float found[2][23];
    for (int i = 0; i < 2; i++) {
        world w;
        begin(&w);
        CHECK_OK(w.context, cot_model_compile(w.model, .optimizer = cot_adam(.learning_rate = 0.05),
                                              .loss = COT_CATEGORICAL_CROSSENTROPY));
        if (i == 0) {
            CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 4, .batch_size = 3));
            assert_int_equal(cot_history_n_epochs(cot_model_history(w.model)), 4);
        } else {
            CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 3));
            CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 4, .initial_epoch = 2,
                                              .batch_size = 3));
            const cot_history *history = cot_model_history(w.model);
            assert_int_equal(cot_history_n_epochs(history), 2);
            assert_int_equal(cot_history_epoch(history, 1), 3);
        }
        int64_t iterations = 0;
        CHECK_OK(w.context, cot_variable_get(cot_model_optimizer_variable(w.model, 0), &iterations,
                                             sizeof iterations));
        assert_int_equal(iterations, 16);
        read_weights(w.model, found[i]);
        end(&w);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
}

/* A shuffled epoch of one batch sees all rows, so only the order of sums may differ. */
static void every_row_is_seen_once_an_epoch(void **state) {
    (void)state;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_logs report;
    CHECK_OK(w.context, cot_model_evaluate(w.model, w.data, &report));
    double before = cot_logs_get(&report, "loss");
    CHECK_OK(w.context, cot_model_set_learning_rate(w.model, 0.0));
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 5, .batch_size = 3));
    const double expected[5] = {before, before, before, before, before};
    check_history(w.model, "loss", expected, 5, 1e-6);
    end(&w);
}

/* Two seeds, two orders; one seed, the same weights. The rows differ, so orders show in weights. */
static void shuffling_depends_on_the_seed(void **state) {
    (void)state;
    float found[3][23];
    for (int i = 0; i < 3; i++) {
        world w;
        begin(&w);
        cot_dataset_destroy(w.data);
        cot_model_destroy(w.model);
        cot_context_destroy(w.context);
        w.context = new_context(i == 2 ? 5 : 4);
        cot_tensor in = cot_input(w.context, COT_F32, COT_SHAPE(4), NULL);
        cot_tensor h = cot_dense(in, 3, .activation = COT_RELU);
        cot_tensor out = cot_dense(h, 2, .activation = COT_SOFTMAX);
        w.model = cot_model_create(w.context, COT_TENSORS(in), COT_TENSORS(out), NULL);
        set_weights(w.model);
        cot_array x = array_of(w.x, 10, 4), y = array_of(w.y, 10, 2);
        w.data = cot_dataset_create(w.context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                                    COT_COPY);
        compile_sgd(&w, 0.5);
        CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 3));
        read_weights(w.model, found[i]);
        end(&w);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    assert_memory_not_equal(found[0], found[2], sizeof found[0]);
}

/* Nothing is compiled after compile: short batches, other batches, one row. */
static void nothing_is_compiled_later(void **state) {
    (void)state;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    int64_t before = cot_context_kernels_compiled(w.context);
    assert_int_equal(before > 0, use_jit);
    float out[20];
    cot_logs report;
    CHECK_OK(w.context,
             cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 3, .validation_split = 0.3));
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .batch_size = 128));
    CHECK_OK(w.context, cot_model_evaluate(w.model, w.data, &report, .batch_size = 7));
    CHECK_OK(w.context, cot_model_evaluate(w.model, w.data, &report, .batch_size = 1000));
    CHECK_OK(w.context, cot_model_predict(w.model, w.data, COT_BUFFERS({out, sizeof out})));
    cot_dataset *one = cot_dataset_slice(w.data, 3, 1);
    float row[2];
    CHECK_OK(w.context, cot_model_predict(w.model, one, COT_BUFFERS({row, sizeof row})));
    assert_memory_equal(row, out + 6, sizeof row);
    assert_int_equal(cot_context_kernels_compiled(w.context), before);
    cot_dataset_destroy(one);
    end(&w);
}

/* Rows predicted in batches of any size are the same bits. */
static void predict_does_not_depend_on_the_batch(void **state) {
    (void)state;
    world w;
    begin(&w);
    float first[20], other[20];
    CHECK_OK(w.context, cot_model_compile(w.model, .max_batch = 8));
    CHECK_OK(w.context, cot_model_predict(w.model, w.data, COT_BUFFERS({first, sizeof first})));
    for (int64_t batch = 1; batch <= 11; batch++) {
        memset(other, 0xff, sizeof other);
        CHECK_OK(w.context, cot_model_predict(w.model, w.data, COT_BUFFERS({other, sizeof other}),
                                              .batch_size = batch));
        assert_memory_equal(first, other, sizeof first);
    }
    end(&w);
}

/* A larger batch than the model was compiled for: the same bits as with one that was. */
static void a_larger_batch_recompiles_once(void **state) {
    (void)state;
    float found[2][23];
    for (int i = 0; i < 2; i++) {
        world w;
        begin(&w);
        CHECK_OK(w.context, cot_model_compile(w.model, .optimizer = cot_adam(),
                                              .loss = COT_CATEGORICAL_CROSSENTROPY,
                                              .max_batch = i == 0 ? 2 : 128));
        CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2, .batch_size = 7));
        read_weights(w.model, found[i]);
        end(&w);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
}

static void train_on_batch_is_one_step(void **state) {
    (void)state;
    world w, v;
    float found[2][23];
    begin(&w);
    begin(&v);
    compile_sgd(&w, 0.1);
    compile_sgd(&v, 0.1);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .batch_size = 10, .shuffle = COT_OFF));
    cot_logs logs;
    CHECK_OK(v.context, cot_model_train_on_batch(v.model, v.data, &logs));
    read_weights(w.model, found[0]);
    read_weights(v.model, found[1]);
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    assert_int_equal(logs.n, 2);
    assert_string_equal(logs.log[0].name, "loss");
    assert_string_equal(logs.log[1].name, "accuracy");
    check_history(w.model, "loss", &logs.log[0].value, 1, 0.0);
    CHECK_OK(v.context, cot_model_train_on_batch(v.model, v.data, NULL));
    end(&w);
    end(&v);
}

static void frozen_layers_keep_their_weights(void **state) {
    (void)state;
    world w;
    float before[23], after[23];
    begin(&w);
    CHECK_OK(w.context, cot_layer_set_trainable(cot_model_layer(w.model, 0), false));
    CHECK_OK(w.context, cot_model_compile(w.model, .optimizer = cot_adam(.learning_rate = 0.1),
                                          .loss = COT_CATEGORICAL_CROSSENTROPY));
    assert_int_equal(cot_model_n_optimizer_variables(w.model), 2 + 2 * 2);
    read_weights(w.model, before);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 2));
    read_weights(w.model, after);
    assert_memory_equal(before, after, 15 * sizeof(float));
    assert_true(before[21] != after[21] && before[22] != after[22]);
    end(&w);
}

/* u8 pixels with a scale and i64 or u8 classes train as the floats that they stand for. */
static void bytes_and_classes_train_as_floats(void **state) {
    (void)state;
    unsigned char pixels[40], small[10];
    int64_t large[10];
    float floats[40], found[3][23];
    int32_t classes[10];
    for (int i = 0; i < 40; i++) {
        pixels[i] = (unsigned char)(i * 37 % 256);
        floats[i] = (float)pixels[i] * (1.0f / 255.0f) + -0.5f;
    }
    for (int i = 0; i < 10; i++) {
        classes[i] = i % 2;
        small[i] = (unsigned char)classes[i];
        large[i] = classes[i];
    }
    for (int i = 0; i < 3; i++) {
        world w;
        begin(&w);
        cot_array x = i == 0 ? array_of(floats, 10, 4)
                             : (cot_array){.data = pixels,
                                           .dtype = COT_U8,
                                           .n_rows = 10,
                                           .row_elements = 4,
                                           .scale = 1.0f / 255.0f,
                                           .offset = -0.5f};
        cot_array y =
            i == 0 ? labels_of(classes, 10)
            : i == 1
                ? (cot_array){.data = small, .dtype = COT_U8, .n_rows = 10, .row_elements = 1}
                : (cot_array){.data = large, .dtype = COT_I64, .n_rows = 10, .row_elements = 1};
        cot_dataset *data = cot_dataset_create(w.context, (cot_array_list){&x, 1},
                                               (cot_array_list){&y, 1}, COT_BORROW);
        CHECK_OK(w.context, cot_model_compile(w.model, .optimizer = cot_sgd(.learning_rate = 0.5),
                                              .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY));
        CHECK_OK(w.context, cot_model_fit(w.model, data, .epochs = 3, .batch_size = 4));
        read_weights(w.model, found[i]);
        cot_dataset_destroy(data);
        end(&w);
    }
    for (int i = 0; i < 23; i++) {
        CHECK_NEAR(found[1][i], found[0][i], 1e-6);
    }
    assert_memory_equal(found[1], found[2], sizeof found[1]);
}

/* ---- validation ---- */

static void validation_data_are_what_is_validated_on(void **state) {
    (void)state;
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    cot_dataset *first = NULL, *last = NULL;
    CHECK_OK(w.context, cot_dataset_split(w.data, 0.05, &first, &last)); /* 9 rows and 1 */
    assert_int_equal(cot_dataset_n_rows(last), 1);
    CHECK_OK(w.context, cot_model_fit(w.model, first, .epochs = 2, .validation_data = last,
                                      .validation_split = 0.5));
    cot_logs report;
    CHECK_OK(w.context, cot_model_evaluate(w.model, last, &report));
    const cot_history *history = cot_model_history(w.model);
    CHECK_NEAR(cot_history_values(history, "val_loss")[1], cot_logs_get(&report, "loss"), 1e-12);
    static const char *const names[] = {"accuracy", "loss", "val_accuracy", "val_loss"};
    assert_int_equal(cot_history_n_names(history), 4);
    for (int32_t i = 0; i < 4; i++) {
        assert_string_equal(cot_history_name(history, i), names[i]);
    }
    assert_null(cot_history_name(history, 4));
    assert_null(cot_history_values(history, "val_lost"));
    CHECK_OK(w.context, cot_model_fit(w.model, first, .epochs = 1));
    assert_int_equal(cot_history_n_names(cot_model_history(w.model)), 2);
    cot_dataset_destroy(first);
    cot_dataset_destroy(last);
    end(&w);
}

/* ---- several inputs and outputs ---- */

typedef struct branches {
    cot_context *context;
    cot_model *model;
    cot_dataset *data;
    float a[24], b[16], one[16], two[8];
    int32_t label[8];
} branches;

/* Two inputs, a layer that both go through, two outputs. */
static void begin_branches(branches *w) {
    memset(w, 0, sizeof *w);
    w->context = new_context(3);
    cot_tensor a = cot_input(w->context, COT_F32, COT_SHAPE(3), "a");
    cot_tensor b = cot_input(w->context, COT_F32, COT_SHAPE(2), "b");
    cot_tensor wide = cot_dense(b, 3, .activation = COT_TANH, .name = "wide");
    cot_layer *shared = cot_dense_layer(w->context, 4, .name = "shared", .activation = COT_SIGMOID);
    cot_tensor both = cot_concatenate(COT_TENSORS(cot_call(shared, a), cot_call(shared, wide)));
    cot_tensor kind = cot_dense(both, 3, .activation = COT_SOFTMAX, .name = "kind");
    cot_tensor size = cot_dense(both, 1, .name = "size");
    w->model = cot_model_create(w->context, COT_TENSORS(a, b), COT_TENSORS(size, kind), "branches");
    assert_non_null(w->model);
    set_weights(w->model);
    fill_g(w->a, 24, 1, 2.0);
    fill_g(w->b, 16, 2, 2.0);
    fill_g(w->two, 8, 5, 1.0);
    for (int i = 0; i < 8; i++) {
        w->label[i] = i % 3;
    }
    const cot_array inputs[2] = {array_of(w->a, 8, 3), array_of(w->b, 8, 2)};
    const cot_array targets[2] = {array_of(w->two, 8, 1), labels_of(w->label, 8)};
    w->data = cot_dataset_create(w->context, (cot_array_list){inputs, 2},
                                 (cot_array_list){targets, 2}, COT_BORROW);
    assert_non_null(w->data);
}

static void end_branches(branches *w) {
    cot_dataset_destroy(w->data);
    cot_model_destroy(w->model);
    cot_context_destroy(w->context);
}

static void compile_branches(branches *w, double learning_rate) {
    CHECK_OK(w->context,
             cot_model_compile(
                 w->model, .optimizer = cot_sgd(.learning_rate = learning_rate),
                 .loss = COT_MEAN_SQUARED_ERROR, .metrics = {COT_ACCURACY},
                 .outputs = {cot_output("kind", .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                        .loss_weight = 0.25)}));
}

static double total_loss(branches *w) {
    cot_logs report;
    CHECK_OK(w->context, cot_model_evaluate(w->model, w->data, &report));
    return cot_logs_get(&report, "loss");
}

static void names_and_order_of_several_outputs(void **state) {
    (void)state;
    static const char *const report_order[] = {"loss", "size_loss", "kind_loss", "kind_accuracy",
                                               "size_accuracy"};
    static const char *const history_order[] = {"kind_accuracy", "kind_loss", "loss",
                                                "size_accuracy", "size_loss"};
    branches w;
    cot_logs report;
    begin_branches(&w);
    compile_branches(&w, 0.1);
    CHECK_OK(w.context, cot_model_evaluate(w.model, w.data, &report));
    assert_int_equal(report.n, 5);
    for (int32_t i = 0; i < 5; i++) {
        assert_string_equal(report.log[i].name, report_order[i]);
    }
    CHECK_NEAR(report.log[0].value, report.log[1].value + 0.25 * report.log[2].value, 1e-12);
    CHECK_OK(w.context, cot_model_fit(w.model, w.data, .validation_split = 0.25));
    for (int32_t i = 0; i < 5; i++) {
        assert_string_equal(cot_history_name(cot_model_history(w.model), i), history_order[i]);
    }
    assert_string_equal(cot_history_name(cot_model_history(w.model), 7), "val_loss");
    end_branches(&w);
}

/* An SGD step of rate r moves each weight by -r times the gradient, which is compared with central
 * differences of the loss: through the shared layer, both heads and the loss weight. */
static void gradients_reach_shared_layers_from_all_sides(void **state) {
    (void)state;
    const float h = 1e-2f;
    branches w;
    begin_branches(&w);
    compile_branches(&w, 1.0);
    for (int32_t i = 0; i < cot_model_n_weights(w.model); i++) {
        cot_variable *weight = cot_model_weight(w.model, i);
        int64_t n = count_of(weight);
        float start[64], moved[64];
        assert_in_range(n, 1, 64);
        for (int64_t k = 0; k < n; k += 3) {
            set_weights(w.model);
            cot_variable_get(weight, start, (size_t)n * sizeof(float));
            memcpy(moved, start, sizeof moved);
            moved[k] = start[k] + h;
            cot_variable_set(weight, moved, (size_t)n * sizeof(float));
            double up = total_loss(&w);
            moved[k] = start[k] - h;
            cot_variable_set(weight, moved, (size_t)n * sizeof(float));
            double down = total_loss(&w);
            cot_variable_set(weight, start, (size_t)n * sizeof(float));
            CHECK_OK(w.context, cot_model_train_on_batch(w.model, w.data, NULL));
            cot_variable_get(weight, moved, (size_t)n * sizeof(float));
            double slope = (up - down) / (2.0 * (double)h);
            CHECK_NEAR((double)start[k] - (double)moved[k], slope, 2e-4);
        }
    }
    end_branches(&w);
}

static void outputs_may_be_left_out(void **state) {
    (void)state;
    branches w;
    cot_logs report;
    begin_branches(&w);
    CHECK_OK(w.context,
             cot_model_compile(w.model, .optimizer = cot_sgd(.learning_rate = 0.1),
                               .outputs = {cot_output("size", .loss = COT_MEAN_SQUARED_ERROR)}));
    const cot_array inputs[2] = {array_of(w.a, 8, 3), array_of(w.b, 8, 2)};
    const cot_array target = array_of(w.two, 8, 1);
    cot_dataset *data = cot_dataset_create(w.context, (cot_array_list){inputs, 2},
                                           (cot_array_list){&target, 1}, COT_BORROW);
    CHECK_OK(w.context, cot_model_fit(w.model, data, .epochs = 2));
    CHECK_OK(w.context, cot_model_evaluate(w.model, data, &report));
    assert_int_equal(report.n, 1); /* one loss: it is the total */
    float size[8], kind[24];
    CHECK_OK(w.context, cot_model_predict(w.model, data,
                                          COT_BUFFERS({size, sizeof size}, {kind, sizeof kind})));
    for (int i = 0; i < 8; i++) {
        CHECK_NEAR(kind[3 * i] + kind[3 * i + 1] + kind[3 * i + 2], 1.0, 1e-6);
    }
    cot_dataset_destroy(data);
    end_branches(&w);
}

/* An input as an output, one tensor as two outputs, nothing to train. */
static void odd_models_work(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(3), "x");
    cot_tensor y = cot_activation(x, COT_SOFTMAX, .name = "y");
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(x, y, y), NULL);
    assert_non_null(model);
    assert_string_equal(cot_model_output_name(model, 0), "x");
    assert_string_equal(cot_model_output_name(model, 1), "y");
    assert_string_equal(cot_model_output_name(model, 2), "y_1");
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_sgd(.momentum = 0.5),
                               .outputs = {cot_output("y_1", .loss = COT_MEAN_SQUARED_ERROR)}));
    float in[15], a[15], b[15], c[15];
    fill_g(in, 15, 4, 3.0);
    const cot_array array = array_of(in, 5, 3);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&array, 1},
                                           (cot_array_list){&array, 1}, COT_BORROW);
    CHECK_OK(context, cot_model_fit(model, data, .epochs = 2, .batch_size = 2));
    CHECK_OK(context, cot_model_predict(model, data,
                                        COT_BUFFERS({a, sizeof a}, {b, sizeof b}, {c, sizeof c})));
    assert_memory_equal(a, in, sizeof in);
    assert_memory_equal(b, c, sizeof b);
    CHECK_NEAR(b[0] + b[1] + b[2], 1.0, 1e-6);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* A model in f64 trains in f64, where there are kernels or an evaluator for it. */
static void models_in_f64(void **state) {
    (void)state;
    double x[20], y[5] = {1, 0, 1, 0, 1}, loss[2];
    for (int i = 0; i < 20; i++) {
        x[i] = sin(i);
    }
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F64, COT_SHAPE(4), NULL);
    cot_tensor h = cot_dense(in, 5, .activation = COT_GELU);
    cot_tensor out = cot_dense(h, 1);
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    const cot_array ax = {.data = x, .dtype = COT_F64, .n_rows = 5, .row_elements = 4};
    const cot_array ay = {.data = y, .dtype = COT_F64, .n_rows = 5, .row_elements = 1};
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, (cot_array_list){&ay, 1}, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.01),
                                        .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_OK(context, cot_model_fit(model, data, .epochs = 50));
    const double *history = cot_history_values(cot_model_history(model), "loss");
    loss[0] = history[0];
    loss[1] = history[49];
    assert_true(loss[1] < loss[0] / 2);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Twenty-one steps, every third one short: the same bits on 1 to 4 threads, for either maximum. */
static void weights_are_the_same_bits(void **state) {
    (void)state;
    enum { N = 300, IN = 37, HIDDEN = 21, OUT = 10 };
    static float x[N * IN];
    static int32_t y[N];
    float first[IN * HIDDEN], found[IN * HIDDEN];
    fill_g(x, N * IN, 3, 2.0);
    for (int i = 0; i < N; i++) {
        y[i] = i * 7 % OUT;
    }
    for (int run = 0; run < 8; run++) {
        cot_options options = {.struct_size = sizeof options,
                               .seed = 11,
                               .threads = 1 + run % 4,
                               .environment = COT_OFF,
                               .jit = use_jit ? COT_ON : COT_OFF};
        cot_context *context = cot_context_create(&options);
        cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(IN), NULL);
        cot_tensor h = cot_dense(in, HIDDEN, .activation = COT_RELU);
        cot_tensor out = cot_dense(h, OUT, .activation = COT_SOFTMAX);
        cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
        const cot_array ax = array_of(x, N, IN), ay = labels_of(y, N);
        cot_dataset *data = cot_dataset_create(context, (cot_array_list){&ax, 1},
                                               (cot_array_list){&ay, 1}, COT_BORROW);
        CHECK_OK(context, cot_model_compile(model, .optimizer = cot_adam(),
                                            .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                            .max_batch = run < 4 ? 128 : 256));
        CHECK_OK(context, cot_model_fit(model, data, .epochs = 7, .batch_size = 128));
        float *into = run == 0 ? first : found;
        CHECK_OK(context, cot_variable_get(cot_model_weight(model, 0), into, sizeof first));
        if (run > 0) {
            assert_memory_equal(first, found, sizeof first);
        }
        cot_dataset_destroy(data);
        cot_model_destroy(model);
        cot_context_destroy(context);
    }
}

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
    assert_true(isnan(cot_history_values(cot_model_history(w.model), "loss")[0]));
    end(&w);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_of_keras),
        cmocka_unit_test(weights_after_a_fit_of_keras),
        cmocka_unit_test(an_epochs_loss_weighs_batches_by_rows),
        cmocka_unit_test(a_second_fit_goes_on),
        cmocka_unit_test(every_row_is_seen_once_an_epoch),
        cmocka_unit_test(shuffling_depends_on_the_seed),
        cmocka_unit_test(nothing_is_compiled_later),
        cmocka_unit_test(predict_does_not_depend_on_the_batch),
        cmocka_unit_test(a_larger_batch_recompiles_once),
        cmocka_unit_test(train_on_batch_is_one_step),
        cmocka_unit_test(frozen_layers_keep_their_weights),
        cmocka_unit_test(bytes_and_classes_train_as_floats),
        cmocka_unit_test(validation_data_are_what_is_validated_on),
        cmocka_unit_test(names_and_order_of_several_outputs),
        cmocka_unit_test(gradients_reach_shared_layers_from_all_sides),
        cmocka_unit_test(outputs_may_be_left_out),
        cmocka_unit_test(odd_models_work),
        cmocka_unit_test(models_in_f64),
        cmocka_unit_test(weights_are_the_same_bits),
        cmocka_unit_test(callbacks_come_in_order),
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
