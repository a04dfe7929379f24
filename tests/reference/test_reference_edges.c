/*
 * Twenty edges of training, a test each, against what Keras does there (edges.py, data/edges.txt);
 * and metrics of single batches. The last of the twenty, that a checkpoint changes no bit of the
 * next step, is compared with going on without one.
 */
#include "edge_case.h"

#include <unistd.h>

/* ---- rows and their weights ---- */

static void edge_01_short_last_batch(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "1", "short_last_batch"));
    end(&e);
}

static void edge_02_fewer_rows_than_a_batch(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 32, .epochs = 2);
    compare(&e, case_of(&e, "2", "fewer_rows_than_a_batch"));
    end(&e);
}

static void edge_03_one_row_for_validation(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 4, .epochs = 2, .validation_split = 0.05);
    compare(&e, case_of(&e, "3", "one_row_for_validation"));
    end(&e);
}

static void compile_weighted(edge *e) {
    COMPILE(e, .optimizer = cot_sgd(.learning_rate = 0.5), .loss = COT_CATEGORICAL_CROSSENTROPY,
            .metrics = {COT_ACCURACY}, .weighted_metrics = {COT_ACCURACY});
}

static void edge_04_a_class_without_a_weight(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_weighted(&e);
    FIT(&e, .batch_size = 4, .epochs = 2, .class_weight = COT_CLASS_WEIGHTS(3));
    compare(&e, case_of(&e, "4", "a_class_without_a_weight"));
    end(&e);
}

static void edge_05_weights_that_are_all_zero(void **state) {
    (void)state;
    static const float zero[10];
    edge e = begin_classifier();
    const cot_array weights = array_of(zero, 10, 1);
    compile_weighted(&e);
    FIT(&e, .batch_size = 4, .epochs = 2, .sample_weight = {&weights, 1});
    compare(&e, case_of(&e, "5", "weights_that_are_all_zero"));
    end(&e);
}

/* ---- targets ---- */

/* The values of a loss of four rows with targets of two shapes are the same; a third is refused. */
static void compare_shapes(edge *e, cot_loss loss, int64_t classes, cot_dtype dtype) {
    static const float y[8] = {0.5f, -1, 2, 0, 1, 0.25f, 3, -2}, t[4] = {1, 0, -0.5f, 2};
    static const int32_t label[4] = {1, 0, 0, 1};
    float plain[4], columns[4];
    cot_graph *graph = cot_graph_create(e->context, "shapes");
    cot_value output = cot_op_input(graph, COT_F32, COT_BATCH(classes), "y");
    cot_value row =
        cot_op_input(graph, dtype, (cot_shape){.rank = 1, .batched = true, .dim = {1}}, "t");
    cot_value column = cot_op_reshape(row, COT_BATCH(1));
    CHECK_OK(e->context, cot_graph_output(cot_op_loss(loss, row, output, false, NULL), "plain"));
    CHECK_OK(e->context,
             cot_graph_output(cot_op_loss(loss, column, output, false, NULL), "columns"));
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    const cot_array ay = array_of(y, 4, classes);
    const cot_array at = dtype == COT_I32 ? labels_of(label, 4) : array_of(t, 4, 1);
    assert_int_equal(cot_session_bind(session, "y", &ay), COT_OK);
    assert_int_equal(cot_session_bind(session, "t", &at), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "plain", plain, sizeof plain), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "columns", columns, sizeof columns), COT_OK);
    assert_int_equal(cot_session_run(session, 4), COT_OK);
    assert_memory_equal(plain, columns, sizeof plain);
    for (int i = 0; i < 4 && dtype == COT_F32; i++) {
        CHECK_NEAR(plain[i], (y[i] - t[i]) * (y[i] - t[i]), 1e-6);
    }
    cot_value wide = cot_op_input(graph, dtype, COT_BATCH(3), "wide");
    assert_null(cot_op_loss(loss, wide, output, false, NULL).graph);
    CHECK_ERROR(e->context, COT_E_SHAPE, "the target is");
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
}

static void edge_06_targets_without_a_last_axis(void **state) {
    (void)state;
    float y[10];
    edge e = begin();
    put_model(&e, 3, COT_TANH, 1, COT_LINEAR);
    fill_g(y, 10, 50, 2.0);
    put_data(&e, e.x, 4, array_of(y, 10, 1));
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.1), .loss = COT_MEAN_SQUARED_ERROR,
            .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)});
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "6", "targets_without_a_last_axis"));
    /* what Keras stretches over the outputs is refused */
    put_data(&e, e.x, 4, array_of(e.hot, 10, 2));
    assert_int_equal(cot_model_fit(e.model, e.data), COT_E_SHAPE);
    CHECK_ERROR(e.context, COT_E_SHAPE, "a row of the data has 2 elements, not 1");
    compare_shapes(&e, COT_MEAN_SQUARED_ERROR, 1, COT_F32);
    end(&e);
}

static void edge_07_classes_with_a_last_axis(void **state) {
    (void)state;
    edge e = begin_classifier();
    put_data(&e, e.x, 4, labels_of(e.label, 10));
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.5),
            .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY});
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "7", "classes_with_a_last_axis"));
    compare_shapes(&e, COT_SPARSE_CATEGORICAL_CROSSENTROPY, 2, COT_I32);
    end(&e);
}

static void saturate(cot_switch fuse, const char *what) {
    static const float kernel[4] = {200, 0, 0, 200}, bias[2], x[4] = {1, 0, 0, 1};
    static const float y[4] = {0, 1, 1, 0};
    edge e = begin();
    put_data(&e, x, 2, array_of(y, 2, 2));
    e.model = cot_sequential_create(e.context, COT_F32, COT_SHAPE(2), NULL);
    cot_sequential_add(e.model, cot_dense_layer(e.context, 2, .activation = COT_SOFTMAX));
    CHECK_OK(e.context, cot_variable_set(cot_model_weight(e.model, 0), kernel, sizeof kernel));
    CHECK_OK(e.context, cot_variable_set(cot_model_weight(e.model, 1), bias, sizeof bias));
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 1.0), .loss = COT_CATEGORICAL_CROSSENTROPY,
            .fuse_softmax = fuse);
    FIT(&e, .batch_size = 4, .epochs = 1);
    compare(&e, case_of(&e, "8", what));
    end(&e);
}

static void edge_08_saturated_softmax(void **state) {
    (void)state;
    saturate(COT_DEFAULT, "saturated_softmax_fused");
    saturate(COT_OFF, "saturated_softmax_unfused");
}

/* ---- normalization ---- */

enum { CHANNELS = 3, N_NUMBERS = 6 };

/* What a layer of batch normalization is made of: the output, and what the moving numbers become.
 * Frozen, it takes them for the batch's and leaves them as they are. */
static cot_value normalize(cot_value x, cot_value gamma, cot_value beta, bool frozen,
                           cot_value *mean, cot_value *variance) {
    static const int32_t rows[1] = {0};
    if (frozen) {
        cot_value epsilon = cot_op_constant(x.graph, COT_F32, 1e-3);
        cot_value inverse =
            cot_op_unary(COT_OP_RSQRT, cot_op_binary(COT_OP_ADD, *variance, epsilon));
        cot_value scaled = cot_op_binary(
            COT_OP_MUL, cot_op_binary(COT_OP_MUL, cot_op_binary(COT_OP_SUB, x, *mean), inverse),
            gamma);
        return cot_op_binary(COT_OP_ADD, scaled, beta);
    }
    cot_value momentum = cot_op_constant(x.graph, COT_F32, 0.99);
    cot_value rest = cot_op_constant(x.graph, COT_F32, 0.01);
    cot_value of_batch[2];
    assert_int_equal(cot_op_moments(x, rows, 1, false, &of_batch[0], &of_batch[1]), COT_OK);
    *mean = cot_op_binary(COT_OP_ADD, cot_op_binary(COT_OP_MUL, *mean, momentum),
                          cot_op_binary(COT_OP_MUL, of_batch[0], rest));
    *variance = cot_op_binary(COT_OP_ADD, cot_op_binary(COT_OP_MUL, *variance, momentum),
                              cot_op_binary(COT_OP_MUL, of_batch[1], rest));
    return cot_op_batch_norm(x, gamma, beta, 1e-3);
}

static cot_graph *normalization_graph(edge *e, bool frozen, const char *const *name) {
    static const char *const input_name[] = {"gamma", "beta", "mean", "variance"};
    cot_graph *graph = cot_graph_create(e->context, "normalization");
    cot_value x = cot_op_input(graph, COT_F32, COT_BATCH(CHANNELS), "x");
    cot_value cotangent = cot_op_input(graph, COT_F32, COT_BATCH(CHANNELS), "cotangent");
    cot_value in[4], gradient[3];
    for (int i = 0; i < 4; i++) {
        in[i] = cot_op_input(graph, COT_F32, COT_SHAPE(CHANNELS), input_name[i]);
    }
    cot_value y = normalize(x, in[0], in[1], frozen, &in[2], &in[3]);
    CHECK_OK(e->context, cot_vjp(y, cotangent, (cot_value[]){x, in[0], in[1]}, 3, gradient));
    const cot_value out[N_NUMBERS] = {y, gradient[0], gradient[1], gradient[2], in[2], in[3]};
    for (int i = 0; i < N_NUMBERS; i++) {
        /* a frozen moving number is an input as it is: its sum with 0 can be an output */
        cot_value zero = cot_op_constant(graph, COT_F32, 0.0);
        cot_value value = frozen && i > 3 ? cot_op_binary(COT_OP_ADD, out[i], zero) : out[i];
        CHECK_OK(e->context, cot_graph_output(value, name[i]));
    }
    return graph;
}

static void bind(cot_session *session, const char *name, const float *value, int64_t n_rows) {
    const cot_array array = array_of(value, n_rows, CHANNELS);
    assert_int_equal(cot_session_bind(session, name, &array), COT_OK);
}

static void compare_normalization(int64_t n_rows, bool frozen, const char *what) {
    static const char *const name[N_NUMBERS] = {
        "y", "gradient", "gradient/gamma", "gradient/beta", "moving/mean", "moving/variance"};
    float x[12], cotangent[12], gamma[3], beta[3], mean[3], variance[3], out[N_NUMBERS][12];
    edge e = begin();
    fill_g(x, n_rows * CHANNELS, 3, 2.0);
    fill_g(cotangent, n_rows * CHANNELS, 40, 2.0);
    fill_g(gamma, 3, 0, 1.0);
    fill_g(beta, 3, 7, 1.0);
    fill_g(mean, 3, 14, 1.0);
    fill_g(variance, 3, 21, 1.0);
    for (int i = 0; i < 3; i++) {
        gamma[i] += 1.0f;
        variance[i] += 1.0f;
    }
    cot_graph *graph = normalization_graph(&e, frozen, name);
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    bind(session, "x", x, n_rows);
    bind(session, "cotangent", cotangent, n_rows);
    bind(session, "gamma", gamma, 1);
    bind(session, "beta", beta, 1);
    bind(session, "mean", mean, 1);
    bind(session, "variance", variance, 1);
    for (int i = 0; i < N_NUMBERS; i++) {
        size_t n = (size_t)(i < 2 ? n_rows : 1) * CHANNELS;
        assert_int_equal(cot_session_bind_output(session, name[i], out[i], n * sizeof(float)),
                         COT_OK);
    }
    assert_int_equal(cot_session_run(session, n_rows), COT_OK);
    reference_case *c = case_of(&e, "9", what);
    for (int i = 0; i < N_NUMBERS; i++) {
        reference_check(c, reference_need(c, name[i]), 0, out[i], (i < 2 ? n_rows : 1) * CHANNELS,
                        TOLERANCE);
    }
    reference_check_used(c);
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    end(&e);
}

static void edge_09_normalization(void **state) {
    (void)state;
    compare_normalization(1, false, "normalization_one_row");
    compare_normalization(4, true, "normalization_frozen");
}

/* ---- gradients of zero, and none ---- */

/* The first layer gives exactly 0 before its relu. */
static edge begin_dead(const cot_optimizer *optimizer) {
    static const float zero[12];
    edge e = begin_classifier();
    CHECK_OK(e.context, cot_variable_set(cot_model_weight(e.model, 0), zero, sizeof zero));
    CHECK_OK(e.context, cot_variable_set(cot_model_weight(e.model, 1), zero, 3 * sizeof(float)));
    compile_classifier(&e, optimizer);
    return e;
}

static void edge_10_relu_of_exactly_zero(void **state) {
    (void)state;
    edge e = begin_dead(cot_sgd(.learning_rate = 0.5));
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "10", "relu_of_exactly_zero"));
    end(&e);
}

static void edge_11_clipped_norm_of_zero(void **state) {
    (void)state;
    edge e = begin_dead(cot_sgd(.learning_rate = 0.5, .clipnorm = 0.01));
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "11", "clipped_norm_of_zero"));
    end(&e);
}

static void edge_12_global_norm_of_infinity(void **state) {
    (void)state;
    float y[10];
    edge e = begin();
    put_model(&e, 3, COT_LINEAR, 1, COT_LINEAR);
    for (int i = 0; i < 40; i++) {
        e.x[i] *= 1e25f;
    }
    fill_g(y, 10, 50, 2.0);
    put_data(&e, e.x, 4, array_of(y, 10, 1));
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.1, .global_clipnorm = 1.0),
            .loss = COT_MEAN_SQUARED_ERROR);
    FIT(&e, .batch_size = 4, .epochs = 1);
    compare(&e, case_of(&e, "12", "global_norm_of_infinity"));
    end(&e);
}

static void edge_13_adam_of_zero(void **state) {
    (void)state;
    edge e = begin_dead(cot_adam(.learning_rate = 0.1));
    FIT(&e, .batch_size = 10, .epochs = 1);
    compare(&e, case_of(&e, "13", "adam_of_zero"));
    end(&e);
}

/* ---- callbacks, fits ---- */

static void stop_at_once(double baseline, const char *what) {
    edge e = begin_classifier();
    compile_classifier(&e, cot_sgd(.learning_rate = COT_ZERO));
    cot_early_stopping_callback stop = {
        .base = cot_early_stopping_base(), .monitor = "loss", .baseline = baseline};
    FIT(&e, .batch_size = 4, .epochs = 5, .callbacks = {&stop.base});
    reference_case *c = case_of(&e, "14", what);
    assert_int_equal(stop.stopped_epoch, (int32_t)reference_number(c, "stopped", -1));
    assert_int_equal(stop.best_epoch, (int32_t)reference_number(c, "best_epoch", -1));
    assert_int_equal(stop.wait, (int32_t)reference_number(c, "wait", -1));
    compare(&e, c);
    end(&e);
}

static void edge_14_patience_of_zero(void **state) {
    (void)state;
    stop_at_once(0.0, "patience_0");
    stop_at_once(1e-3, "patience_0_and_a_baseline");
}

static void edge_15_a_rate_of_a_schedule_is_not_reduced(void **state) {
    (void)state;
    edge e = begin_classifier();
    reference_case *c = case_of(&e, "15", "a_rate_of_a_schedule_is_not_reduced");
    assert_true(reference_switch(c, "refused"));
    compile_classifier(
        &e, cot_sgd(.schedule = cot_exponential_decay(.initial_learning_rate = 0.1,
                                                      .decay_steps = 10, .decay_rate = 0.5)));
    assert_int_equal(
        cot_model_fit(e.model, e.data, .epochs = 5,
                      .callbacks = {cot_reduce_lr_on_plateau(.monitor = "loss", .patience = 1,
                                                             .min_delta = 9.0)}),
        COT_E_ARG);
    CHECK_ERROR(e.context, COT_E_ARG, "the learning rate follows a schedule (exponential_decay)");
    end(&e);
}

static void edge_16_adam_in_two_fits(void **state) {
    (void)state;
    edge e = begin_classifier();
    compile_classifier(&e, cot_adam(.learning_rate = 0.05));
    FIT(&e, .batch_size = 4, .epochs = 2);
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "16", "adam_in_two_fits"));
    end(&e);
}

/* ---- graphs of layers ---- */

static void edge_17_evaluate_of_two_outputs(void **state) {
    (void)state;
    static const char *const order[] = {"loss", "z_kind_loss", "a_size_loss",
                                        "a_size_mean_absolute_error", "z_kind_accuracy"};
    float size[10];
    cot_logs report;
    edge e = begin();
    cot_tensor x = cot_input(e.context, COT_F32, COT_SHAPE(4), "x");
    cot_tensor h = cot_dense(x, 3, .activation = COT_TANH, .name = "h");
    cot_tensor kind = cot_dense(h, 2, .activation = COT_SOFTMAX, .name = "z_kind");
    cot_tensor value = cot_dense(h, 1, .name = "a_size");
    e.model = cot_model_create(e.context, COT_TENSORS(x), COT_TENSORS(kind, value), NULL);
    set_weights(e.model);
    fill_g(size, 10, 50, 2.0);
    const cot_array input = array_of(e.x, 10, 4);
    const cot_array targets[2] = {array_of(e.hot, 10, 2), array_of(size, 10, 1)};
    cot_dataset_destroy(e.data);
    e.data = cot_dataset_create(e.context, (cot_array_list){&input, 1},
                                (cot_array_list){targets, 2}, COT_BORROW);
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.1),
            .outputs = {cot_output("z_kind", .loss = COT_CATEGORICAL_CROSSENTROPY,
                                   .metrics = {COT_ACCURACY}),
                        cot_output("a_size", .loss = COT_MEAN_SQUARED_ERROR, .loss_weight = 0.5,
                                   .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)})});
    FIT(&e, .batch_size = 5, .epochs = 2);
    reference_case *c = case_of(&e, "17", "evaluate_of_two_outputs");
    const reference_array *listed = reference_need(c, "evaluate");
    const reference_array *named = reference_need(c, "named"); /* by the names in `order` */
    CHECK_OK(e.context, cot_model_evaluate(e.model, e.data, &report, .batch_size = 5));
    assert_int_equal(report.n, listed->n);
    for (int32_t i = 0; i < report.n; i++) {
        assert_string_equal(report.log[i].name, order[i]);
        reference_check_number(c, order[i], report.log[i].value, listed->value[i], TOLERANCE);
        reference_check_number(c, order[i], report.log[i].value, named->value[i], TOLERANCE);
    }
    compare(&e, c);
    end(&e);
}

static void edge_18_a_layer_called_again(void **state) {
    (void)state;
    edge e = begin();
    cot_tensor x = cot_input(e.context, COT_F32, COT_SHAPE(4), NULL);
    cot_layer *shared = cot_dense_layer(e.context, 4, .activation = COT_TANH);
    cot_tensor once = cot_call(shared, x), again = cot_call(shared, once);
    cot_tensor out = cot_dense(cot_add(COT_TENSORS(once, again)), 2, .activation = COT_SOFTMAX);
    e.model = cot_model_create(e.context, COT_TENSORS(x), COT_TENSORS(out), NULL);
    set_weights(e.model);
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.5), .loss = COT_CATEGORICAL_CROSSENTROPY);
    FIT(&e, .batch_size = 4, .epochs = 2);
    compare(&e, case_of(&e, "18", "a_layer_called_again"));
    end(&e);
}

/* Names of the model's layers, separated by commas. */
static void compare_layers(const cot_model *model, const char *names) {
    for (int32_t i = 0; i < cot_model_n_layers(model); i++) {
        const char *name = cot_layer_name(cot_model_layer(model, i));
        size_t n = strlen(name);
        assert_memory_equal(names, name, n);
        assert_true(names[n] == ',' || names[n] == '\0');
        names += n + (names[n] == ',');
    }
    assert_string_equal(names, "");
}

static void edge_19_an_input_that_comes_late(void **state) {
    (void)state;
    float meta[20], size[10];
    edge e = begin();
    cot_tensor image = cot_input(e.context, COT_F32, COT_SHAPE(4), "image");
    cot_tensor late = cot_input(e.context, COT_F32, COT_SHAPE(2), "meta");
    cot_tensor h = cot_dense(image, 3, .activation = COT_RELU, .name = "h");
    cot_tensor joined = cot_concatenate(COT_TENSORS(h, late), .name = "joined");
    cot_tensor deep = cot_dense(joined, 3, .activation = COT_TANH, .name = "deep");
    cot_tensor a = cot_dense(deep, 2, .activation = COT_SOFTMAX, .name = "a");
    cot_tensor b = cot_dense(h, 1, .name = "b");
    e.model = cot_model_create(e.context, COT_TENSORS(late, image), COT_TENSORS(b, a), NULL);
    set_weights(e.model);
    fill_g(meta, 20, 60, 2.0);
    fill_g(size, 10, 50, 2.0);
    const cot_array inputs[2] = {array_of(meta, 10, 2), array_of(e.x, 10, 4)};
    const cot_array targets[2] = {array_of(size, 10, 1), array_of(e.hot, 10, 2)};
    cot_dataset_destroy(e.data);
    e.data = cot_dataset_create(e.context, (cot_array_list){inputs, 2},
                                (cot_array_list){targets, 2}, COT_BORROW);
    COMPILE(&e, .optimizer = cot_sgd(.learning_rate = 0.5),
            .outputs = {cot_output("b", .loss = COT_MEAN_SQUARED_ERROR),
                        cot_output("a", .loss = COT_CATEGORICAL_CROSSENTROPY)});
    FIT(&e, .batch_size = 5, .epochs = 2);
    reference_case *c = case_of(&e, "19", "an_input_that_comes_late");
    compare_layers(e.model, reference_text(c, "layers"));
    compare(&e, c);
    end(&e);
}

/* ---- checkpoints ---- */

static void compare_bits(cot_variable *a, cot_variable *b) {
    unsigned char bytes[2][MOST_ELEMENTS] = {{0}};
    size_t n = (size_t)count_of(a) * cot_dtype_bytes(cot_variable_dtype(a));
    assert_in_range(n, 1, MOST_ELEMENTS);
    assert_int_equal(cot_variable_get(a, bytes[0], n), COT_OK);
    assert_int_equal(cot_variable_get(b, bytes[1], n), COT_OK);
    assert_memory_equal(bytes[0], bytes[1], n);
}

static void edge_20_the_step_after_a_checkpoint(void **state) {
    (void)state;
    char path[] = "/tmp/cotangent_edge_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    edge went_on = begin_classifier(), came_back = begin_classifier();
    compile_classifier(&went_on, cot_nadam(.learning_rate = 0.05, .use_ema = true));
    compile_classifier(&came_back, cot_nadam(.learning_rate = 0.05, .use_ema = true));
    FIT(&went_on, .batch_size = 4, .epochs = 2);
    CHECK_OK(went_on.context, cot_model_save_checkpoint(went_on.model, path));
    CHECK_OK(came_back.context, cot_model_restore_checkpoint(came_back.model, path));
    unlink(path);
    CHECK_OK(went_on.context, cot_model_train_on_batch(went_on.model, went_on.data, NULL));
    CHECK_OK(came_back.context, cot_model_train_on_batch(came_back.model, came_back.data, NULL));
    for (int32_t i = 0; i < cot_model_n_weights(went_on.model); i++) {
        compare_bits(cot_model_weight(went_on.model, i), cot_model_weight(came_back.model, i));
    }
    int32_t n = cot_model_n_optimizer_variables(went_on.model);
    assert_true(n > 2);
    for (int32_t i = 0; i < n; i++) {
        compare_bits(cot_model_optimizer_variable(went_on.model, i),
                     cot_model_optimizer_variable(came_back.model, i));
    }
    end(&went_on);
    end(&came_back);
}

/* ---- single batches ---- */

typedef cot_status (*on_batch)(cot_model *model, const cot_dataset *data, cot_logs *logs_out);

/* Metrics of three batches, one after the other: each its own, none runs on. */
static void compare_batches(edge *e, reference_case *c, const char *name, on_batch call) {
    static const int64_t first[3] = {0, 4, 8};
    char loss[64], accuracy[64];
    (void)snprintf(loss, sizeof loss, "%s/loss", name);
    (void)snprintf(accuracy, sizeof accuracy, "%s/accuracy", name);
    const reference_array *losses = reference_need(c, loss);
    const reference_array *accuracies = reference_need(c, accuracy);
    for (int i = 0; i < 3; i++) {
        cot_dataset *part = cot_dataset_slice(e->data, first[i], i < 2 ? 4 : 2);
        cot_logs logs;
        CHECK_OK(e->context, call(e->model, part, &logs));
        reference_check_number(c, loss, cot_logs_get(&logs, "loss"), losses->value[i], TOLERANCE);
        reference_check_number(c, accuracy, cot_logs_get(&logs, "accuracy"), accuracies->value[i],
                               TOLERANCE);
        cot_dataset_destroy(part);
    }
}

static void batches_by_themselves(void **state) {
    (void)state;
    edge e = begin_classifier();
    float y[6];
    cot_logs logs;
    reference_case *c = case_of(&e, "on_batch", "");
    compile_classifier(&e, cot_sgd(.learning_rate = 0.5));
    compare_batches(&e, c, "train", cot_model_train_on_batch);
    compare_batches(&e, c, "test", cot_model_test_on_batch);
    compare_batches(&e, c, "train_again", cot_model_train_on_batch);
    cot_dataset *four = cot_dataset_slice(e.data, 0, 4), *three = cot_dataset_slice(e.data, 0, 3);
    cot_dataset *weighted = cot_dataset_with_class_weights(four, COT_CLASS_WEIGHTS(2, 0.5));
    CHECK_OK(e.context, cot_model_train_on_batch(e.model, weighted, &logs));
    reference_check_number(c, "class_weights/loss", cot_logs_get(&logs, "loss"),
                           reference_need(c, "class_weights/loss")->value[0], TOLERANCE);
    CHECK_OK(e.context, cot_model_predict_on_batch(e.model, three, COT_BUFFERS({y, sizeof y})));
    reference_check(c, reference_need(c, "predict"), 0, y, 6, TOLERANCE);
    for (int32_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "weight/%d", (int)i);
        compare_weight(&e, c, reference_need(c, name));
    }
    reference_check_used(c);
    cot_dataset_destroy(weighted);
    cot_dataset_destroy(three);
    cot_dataset_destroy(four);
    end(&e);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edge_01_short_last_batch),
        cmocka_unit_test(edge_02_fewer_rows_than_a_batch),
        cmocka_unit_test(edge_03_one_row_for_validation),
        cmocka_unit_test(edge_04_a_class_without_a_weight),
        cmocka_unit_test(edge_05_weights_that_are_all_zero),
        cmocka_unit_test(edge_06_targets_without_a_last_axis),
        cmocka_unit_test(edge_07_classes_with_a_last_axis),
        cmocka_unit_test(edge_08_saturated_softmax),
        cmocka_unit_test(edge_09_normalization),
        cmocka_unit_test(edge_10_relu_of_exactly_zero),
        cmocka_unit_test(edge_11_clipped_norm_of_zero),
        cmocka_unit_test(edge_12_global_norm_of_infinity),
        cmocka_unit_test(edge_13_adam_of_zero),
        cmocka_unit_test(edge_14_patience_of_zero),
        cmocka_unit_test(edge_15_a_rate_of_a_schedule_is_not_reduced),
        cmocka_unit_test(edge_16_adam_in_two_fits),
        cmocka_unit_test(edge_17_evaluate_of_two_outputs),
        cmocka_unit_test(edge_18_a_layer_called_again),
        cmocka_unit_test(edge_19_an_input_that_comes_late),
        cmocka_unit_test(edge_20_the_step_after_a_checkpoint),
        cmocka_unit_test(batches_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
