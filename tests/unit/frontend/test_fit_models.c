/*
 * Models of many shapes in fit: several inputs and outputs, shared layers, odd extents, f64, and
 * the same bits whatever the threads and the maximum.
 */
#include "fit_support.h"

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

/* ---- numbers of Keras ---- */

/* RMSprop, and a rate that is halved after the second epoch. */
static void a_rate_that_falls(void **state) {
    (void)state;
    static const double loss[3] = {0.80655426, 0.75195819, 0.72231013},
                        val_loss[3] = {0.72666323, 0.69824445, 0.68713164},
                        rate[3] = {0.01, 0.01, 0.005};
    world w;
    begin(&w);
    CHECK_OK(w.context,
             cot_model_compile(w.model, .optimizer = cot_rmsprop(.learning_rate = 0.01),
                               .loss = COT_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY}));
    CHECK_OK(w.context,
             cot_model_fit(w.model, w.data, .epochs = 3, .batch_size = 4, .validation_split = 0.2,
                           .shuffle = COT_OFF,
                           .callbacks = {cot_reduce_lr_on_plateau(.factor = 0.5, .patience = 1,
                                                                  .min_delta = 1)}));
    check_history(w.model, "loss", loss, 3, 5e-6);
    check_history(w.model, "val_loss", val_loss, 3, 5e-6);
    check_history(w.model, "learning_rate", rate, 3, 1e-8);
    end(&w);
}

/* An epoch's loss weighs batches by their rows: the mean of batches' means would be 0.45936239. */
static void a_short_batch_weighs_less(void **state) {
    (void)state;
    static const double loss[1] = {0.46732432};
    float x[40], y[20];
    fill_g(x, 40, 0, 2.0);
    fill_g(y, 20, 9, 1.0);
    const cot_array ax = array_of(x, 10, 4), ay = array_of(y, 10, 2);
    cot_context *context = new_context(1);
    cot_model *model = cot_sequential_create(context, COT_F32, COT_SHAPE(4), NULL);
    CHECK_OK(context, cot_sequential_add(model, cot_dense_layer(context, 2)));
    set_weights(model);
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, (cot_array_list){&ay, 1}, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = 1e-30),
                                        .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_OK(context, cot_model_fit(model, data, .batch_size = 4));
    check_history(model, "loss", loss, 1, 2e-6);
    cot_logs report;
    CHECK_OK(context, cot_model_evaluate(model, data, &report, .batch_size = 4));
    CHECK_NEAR(cot_logs_get(&report, "loss"), loss[0], 2e-6);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_order_of_several_outputs),
        cmocka_unit_test(gradients_reach_shared_layers_from_all_sides),
        cmocka_unit_test(outputs_may_be_left_out),
        cmocka_unit_test(odd_models_work),
        cmocka_unit_test(models_in_f64),
        cmocka_unit_test(weights_are_the_same_bits),
        cmocka_unit_test(a_rate_that_falls),
        cmocka_unit_test(a_short_batch_weighs_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
