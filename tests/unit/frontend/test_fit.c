/*
 * fit: Keras's own traces, what an epoch's numbers mean, what continues and what repeats.
 */
#include "fit_support.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
