/*
 * Sample and class weights, reductions, weighted metrics, and losses and metrics of one's own:
 * Keras's numbers, formulas by hand, and the edges where weights are all zero or a class is
 * missing.
 */
#include "fit_support.h"

static const float truth[6] = {0, 1, 0, 0, 0, 1};
static const float guess[6] = {0.05f, 0.95f, 0, 0.1f, 0.8f, 0.1f};

/* A model of one output that passes its input through, and data with weights. */
typedef struct judged {
    cot_context *context;
    cot_model *model;
    cot_dataset *plain, *data; /* data: weighted, or as plain */
} judged;

static void begin_judged(judged *j, cot_shape shape, const cot_array *x, const cot_array *y,
                         const cot_array *weight) {
    j->context = new_context(1);
    cot_tensor in = cot_input(j->context, COT_F32, shape, "x");
    cot_tensor out = cot_activation(in, COT_LINEAR, .name = "y");
    j->model = cot_model_create(j->context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    j->plain =
        cot_dataset_create(j->context, (cot_array_list){x, 1}, (cot_array_list){y, 1}, COT_BORROW);
    j->data =
        weight != NULL
            ? cot_dataset_with_sample_weights(j->plain, (cot_array_list){weight, 1}, COT_BORROW)
            : cot_dataset_slice(j->plain, 0, cot_dataset_n_rows(j->plain));
    assert_non_null(j->data);
}

static void end_judged(judged *j) {
    cot_dataset_destroy(j->data);
    cot_dataset_destroy(j->plain);
    cot_model_destroy(j->model);
    cot_context_destroy(j->context);
}

static double evaluate(const judged *j, int64_t batch, const char *name) {
    cot_logs report;
    CHECK_OK(j->context, cot_model_evaluate(j->model, j->data, &report, .batch_size = batch));
    return cot_logs_get(&report, name);
}

/* ---- Keras's numbers ---- */

static void reductions_of_keras(void **state) {
    (void)state;
    static const float weight[2] = {1, 0.5f};
    const cot_array x = array_of(guess, 2, 3), y = array_of(truth, 2, 3),
                    w = array_of(weight, 2, 1);
    const struct {
        cot_reduction reduction;
        bool weighted;
        double expected;
    } cases[] = {
        {COT_REDUCTION_DEFAULT, false, 1.1769392},
        {COT_REDUCTION_DEFAULT, true, 0.60129291},
        {COT_SUM_OVER_BATCH_SIZE, true, 0.60129291},
        {COT_REDUCTION_MEAN, true, 0.60129291},
        {COT_MEAN_WITH_SAMPLE_WEIGHT, true, 0.8017239},
        {COT_MEAN_WITH_SAMPLE_WEIGHT, false, 1.1769392},
        {COT_REDUCTION_SUM, false, 2.3538785},
        {COT_REDUCTION_SUM, true, 0.051293306 + 0.5 * 2.3025851},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        judged j;
        begin_judged(&j, COT_SHAPE(3), &x, &y, cases[i].weighted ? &w : NULL);
        CHECK_OK(j.context, cot_model_compile(
                                j.model, .loss = COT_CATEGORICAL_CROSSENTROPY,
                                .loss_options = cot_loss_numbers(.reduction = cases[i].reduction),
                                .metrics = {COT_CATEGORICAL_ACCURACY},
                                .weighted_metrics = {COT_CATEGORICAL_ACCURACY, COT_ACCURACY}));
        CHECK_NEAR(evaluate(&j, 2, "loss"), cases[i].expected, 2e-6);
        CHECK_NEAR(evaluate(&j, 2, "categorical_accuracy"), 0.5, 1e-12);
        double share = cases[i].weighted ? 0.66666669 : 0.5;
        CHECK_NEAR(evaluate(&j, 2, "weighted_categorical_accuracy"), share, 1e-7);
        CHECK_NEAR(evaluate(&j, 1, "accuracy"), share, 1e-7);
        end_judged(&j);
    }
}

/* Rows of the class do not count; also one that the output does not have. */
static void a_class_is_ignored(void **state) {
    (void)state;
    float logits[6];
    fill_g(logits, 6, 0, 6.0);
    for (int k = 0; k < 2; k++) {
        const int32_t ignored = k == 0 ? 2 : -1;
        const int32_t classes[2] = {1, ignored};
        static const float weight[2] = {3, 5};
        const cot_array x = array_of(logits, 2, 3), y = labels_of(classes, 2);
        const cot_array w = array_of(weight, 2, 1);
        const double expected[3] = {2.3143339, 2.3143339, 3 * 2.3143339};
        for (int i = 0; i < 3; i++) {
            judged j;
            begin_judged(&j, COT_SHAPE(3), &x, &y, i == 2 ? &w : NULL);
            CHECK_OK(
                j.context,
                cot_model_compile(
                    j.model, .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .from_logits = true,
                    .loss_options = cot_loss_numbers(.ignores_class = true, .ignore_class = ignored,
                                                     .reduction = i == 0 ? COT_REDUCTION_DEFAULT
                                                                         : COT_REDUCTION_SUM)));
            CHECK_NEAR(evaluate(&j, 2, "loss"), expected[i], 2e-6);
            end_judged(&j);
        }
    }
}

/* ---- by hand ---- */

/* Every metric on rows that weigh 2 is the metric on rows that come twice. */
static void a_weight_of_two_is_a_row_twice(void **state) {
    (void)state;
    static const float p[5] = {0.1f, 0.4f, 0.35f, 0.8f, 0.5f}, t[5] = {0, 0, 1, 1, 1};
    static const float weight[5] = {2, 1, 2, 1, 1};
    static const float p2[7] = {0.1f, 0.1f, 0.4f, 0.35f, 0.35f, 0.8f, 0.5f};
    static const float t2[7] = {0, 0, 0, 1, 1, 1, 1};
    static const cot_metric metrics[] = {COT_BINARY_ACCURACY,
                                         COT_TRUE_POSITIVES,
                                         COT_FALSE_POSITIVES,
                                         COT_TRUE_NEGATIVES,
                                         COT_FALSE_NEGATIVES,
                                         COT_PRECISION,
                                         COT_RECALL,
                                         COT_AUC,
                                         COT_AUC_PR,
                                         COT_ROOT_MEAN_SQUARED_ERROR,
                                         COT_LOSS_AS_METRIC(COT_HUBER)};
    const cot_array x[2] = {array_of(p, 5, 1), array_of(p2, 7, 1)};
    const cot_array y[2] = {array_of(t, 5, 1), array_of(t2, 7, 1)};
    const cot_array w = array_of(weight, 5, 1);
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        double value[2];
        for (int twice = 0; twice < 2; twice++) {
            judged j;
            begin_judged(&j, COT_SHAPE(1), &x[twice], &y[twice], twice ? NULL : &w);
            CHECK_OK(j.context, cot_model_compile(j.model, .loss = COT_MEAN_SQUARED_ERROR,
                                                  .weighted_metrics = {metrics[m]}));
            value[twice] = evaluate(&j, 2, cot_metric_name(metrics[m]));
            end_judged(&j);
        }
        if (!(fabs(value[0] - value[1]) < 1e-6)) {
            fail_msg("%s: %.9g with weights, %.9g with rows twice", cot_metric_name(metrics[m]),
                     value[0], value[1]);
        }
    }
}

/* Weights of rows that have several values, one for the row or one for each. */
static void weights_of_values(void **state) {
    (void)state;
    static const float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, y[12] = {0};
    static const float by_row[2] = {1, 3}, by_value[6] = {1, 0, 2, 0.5f, 1, 4};
    const cot_array ax = array_of(x, 2, 6), ay = array_of(y, 2, 6);
    for (int each = 0; each < 2; each++) {
        const cot_array w = each ? array_of(by_value, 2, 3) : array_of(by_row, 2, 1);
        double sum = 0.0, weights = 0.0;
        for (int v = 0; v < 6; v++) { /* a value is the mean of two squares */
            double a = (double)x[2 * v], b = (double)x[2 * v + 1];
            double of_value = (double)(each ? by_value[v] : by_row[v / 3]);
            sum += of_value * (a * a + b * b) / 2;
            weights += of_value;
        }
        for (int r = 0; r < 3; r++) {
            static const cot_reduction reductions[3] = {COT_REDUCTION_DEFAULT, COT_REDUCTION_SUM,
                                                        COT_MEAN_WITH_SAMPLE_WEIGHT};
            const double expected[3] = {sum / 6, sum, sum / weights};
            judged j;
            begin_judged(&j, COT_SHAPE(3, 2), &ax, &ay, &w);
            CHECK_OK(j.context,
                     cot_model_compile(j.model, .loss = COT_MEAN_SQUARED_ERROR,
                                       .loss_options = cot_loss_numbers(.reduction = reductions[r]),
                                       .weighted_metrics = {COT_ROOT_MEAN_SQUARED_ERROR}));
            CHECK_NEAR(evaluate(&j, 2, "loss"), expected[r], 1e-4);
            CHECK_NEAR(evaluate(&j, 1, "root_mean_squared_error"), sqrt(sum / weights), 1e-5);
            end_judged(&j);
        }
    }
}

/* All weights 0: loss 0, no NaN, and nothing is learnt. */
static void all_weights_zero(void **state) {
    (void)state;
    static const float zeros[10] = {0};
    static const cot_reduction reductions[2] = {COT_REDUCTION_DEFAULT, COT_MEAN_WITH_SAMPLE_WEIGHT};
    for (int i = 0; i < 2; i++) {
        world w;
        float before[23], after[23];
        begin(&w);
        CHECK_OK(w.context,
                 cot_model_compile(w.model, .optimizer = cot_sgd(.learning_rate = 0.1),
                                   .loss = COT_CATEGORICAL_CROSSENTROPY,
                                   .loss_options = cot_loss_numbers(.reduction = reductions[i]),
                                   .weighted_metrics = {COT_ACCURACY}));
        read_weights(w.model, before);
        const cot_array weight = array_of(zeros, 10, 1);
        CHECK_OK(w.context,
                 cot_model_fit(w.model, w.data, .batch_size = 4, .sample_weight = {&weight, 1}));
        read_weights(w.model, after);
        assert_memory_equal(before, after, sizeof before);
        assert_true(cot_history_values(cot_model_history(w.model), "loss")[0] == 0.0);
        assert_true(cot_history_values(cot_model_history(w.model), "accuracy")[0] == 0.0);
        end(&w);
    }
}

/* ---- in fit ---- */

/* Classes weigh 1 and 2; validation's rows weigh alike. */
static void a_fit_of_keras_with_class_weights(void **state) {
    (void)state;
    static const double loss[3] = {1.3724174, 1.2102902, 1.1046631};
    static const double val_loss[3] = {0.70470881, 0.66565847, 0.64167273};
    static const double accuracy[3] = {0.5, 0.5, 0.5}, val_accuracy[3] = {0.5, 0.5, 1.0};
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    CHECK_OK(w.context,
             cot_model_fit(w.model, w.data, .epochs = 3, .batch_size = 4, .validation_split = 0.2,
                           .shuffle = COT_OFF, .class_weight = COT_CLASS_WEIGHTS(1, 2)));
    check_history(w.model, "loss", loss, 3, 2e-6);
    check_history(w.model, "val_loss", val_loss, 3, 2e-6);
    check_history(w.model, "accuracy", accuracy, 3, 1e-12);
    check_history(w.model, "val_accuracy", val_accuracy, 3, 1e-12);
    end(&w);
}

/* Class weights are sample weights by the label; a missing class weighs 1; validation's rows weigh
 * alike. One-hot targets and labels are the same. */
static void class_weights_are_sample_weights(void **state) {
    (void)state;
    float found[4][23];
    double val[4];
    float weight[10];
    int32_t labels[10];
    for (int i = 0; i < 10; i++) {
        labels[i] = i % 2;
        weight[i] = i % 2 == 0 ? 2.5f : 1.0f;
    }
    for (int i = 0; i < 4; i++) {
        world w;
        begin(&w);
        bool sparse = i % 2 == 1;
        const cot_array x = array_of(w.x, 10, 4), y = labels_of(labels, 10);
        cot_dataset *of_labels = cot_dataset_create(w.context, (cot_array_list){&x, 1},
                                                    (cot_array_list){&y, 1}, COT_BORROW);
        cot_dataset *data = sparse ? of_labels : w.data;
        CHECK_OK(w.context, cot_model_compile(w.model, .optimizer = cot_sgd(.learning_rate = 0.1),
                                              .loss = sparse ? COT_SPARSE_CATEGORICAL_CROSSENTROPY
                                                             : COT_CATEGORICAL_CROSSENTROPY));
        cot_fit_options options = COT_FIT_OPTIONS_INIT;
        const cot_array by_row = array_of(weight, 10, 1);
        cot_dataset *last = cot_dataset_slice(data, 7, 3);
        options.data = data;
        options.epochs = 3;
        options.batch_size = 4;
        options.validation_data = last;
        options.class_weight = COT_CLASS_WEIGHTS(2.5); /* the list lives to the end of this block */
        if (i >= 2) {
            options.class_weight = (cot_class_weights){NULL, 0};
            options.sample_weight = (cot_array_list){&by_row, 1};
        }
        CHECK_OK(w.context, cot_model_fit_with(w.model, &options));
        read_weights(w.model, found[i]);
        val[i] = cot_history_values(cot_model_history(w.model), "val_loss")[2];
        cot_dataset_destroy(last);
        cot_dataset_destroy(of_labels);
        end(&w);
    }
    for (int i = 1; i < 4; i++) {
        for (int k = 0; k < 23; k++) {
            CHECK_NEAR(found[i][k], found[0][k], 1e-6);
        }
        CHECK_NEAR(val[i], val[0], 1e-6);
    }
}

/* A step on rows that weigh w_i is a step on the rows of the loss sum(w_i l_i) / n: SGD's change is
 * the weighted mean of the rows' own changes. */
static void weights_scale_gradients(void **state) {
    (void)state;
    static const float weight[10] = {1, 0, 3, 0.5f, 2, 1, 0, 1, 4, 0.25f};
    float before[23], after[23];
    double expected[23] = {0};
    for (int row = -1; row < 10; row++) {
        world w;
        begin(&w);
        compile_sgd(&w, 0.1);
        read_weights(w.model, before);
        const cot_array all = array_of(weight, 10, 1);
        cot_dataset *data =
            row < 0 ? cot_dataset_with_sample_weights(w.data, (cot_array_list){&all, 1}, COT_COPY)
                    : cot_dataset_slice(w.data, row, 1);
        CHECK_OK(w.context, cot_model_train_on_batch(w.model, data, NULL));
        float changed[23];
        read_weights(w.model, changed);
        for (int k = 0; k < 23; k++) {
            if (row < 0) {
                after[k] = changed[k];
            } else {
                expected[k] += (double)weight[row] * ((double)changed[k] - (double)before[k]) / 10;
            }
        }
        cot_dataset_destroy(data);
        end(&w);
    }
    for (int k = 0; k < 23; k++) {
        CHECK_NEAR(after[k] - before[k], expected[k], 1e-6);
    }
}

/* Weights may come and go: each call sees those of its data. */
static void weights_come_and_go(void **state) {
    (void)state;
    static const float weight[2] = {1, 0.5f};
    const cot_array x = array_of(guess, 2, 3), y = array_of(truth, 2, 3),
                    w = array_of(weight, 2, 1);
    judged j;
    begin_judged(&j, COT_SHAPE(3), &x, &y, &w);
    CHECK_OK(j.context, cot_model_compile(j.model, .loss = COT_CATEGORICAL_CROSSENTROPY));
    for (int i = 0; i < 4; i++) {
        cot_logs report;
        CHECK_OK(j.context,
                 cot_model_test_on_batch(j.model, i % 2 == 0 ? j.data : j.plain, &report));
        CHECK_NEAR(cot_logs_get(&report, "loss"), i % 2 == 0 ? 0.60129291 : 1.1769392, 2e-6);
    }
    cot_dataset *last = cot_dataset_slice(j.data, 1, 1); /* a slice takes its weights along */
    cot_logs report;
    CHECK_OK(j.context, cot_model_evaluate(j.model, last, &report));
    CHECK_NEAR(cot_logs_get(&report, "loss"), 0.5 * 2.3025851, 2e-6);
    assert_int_equal(cot_dataset_n_sample_weights(last), 1);
    assert_int_equal(cot_dataset_sample_weight(last, 0)->n_rows, 1);
    assert_null(cot_dataset_sample_weight(last, 1));
    cot_dataset_destroy(last);
    end_judged(&j);
}

/* ---- several outputs ---- */

static void weights_of_several_outputs(void **state) {
    (void)state;
    static const float x[4] = {1, 2, 3, 4}, y[4] = {0}, wa[4] = {1, 2, 0, 1}, wb[4] = {0, 0, 1, 0};
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(1), "x");
    cot_tensor a = cot_activation(in, COT_LINEAR, .name = "a");
    cot_tensor b = cot_activation(in, COT_LINEAR, .name = "b");
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(a, b), NULL);
    const cot_array ax = array_of(x, 4, 1), ay[2] = {array_of(y, 4, 1), array_of(y, 4, 1)};
    const cot_array w[2] = {array_of(wa, 4, 1), array_of(wb, 4, 1)};
    cot_dataset *plain =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, (cot_array_list){ay, 2}, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .loss = COT_MEAN_SQUARED_ERROR,
                                        .outputs = {cot_output("b", .loss_weight = 10.0)}));
    for (int shared = 0; shared < 2; shared++) {
        cot_dataset *data =
            cot_dataset_with_sample_weights(plain, (cot_array_list){w, shared ? 1 : 2}, COT_BORROW);
        cot_logs report;
        CHECK_OK(context, cot_model_evaluate(model, data, &report));
        double of_a = (1 + 2 * 4 + 16) / 4.0, of_b = shared ? of_a : 9 / 4.0;
        CHECK_NEAR(cot_logs_get(&report, "a_loss"), of_a, 1e-6);
        CHECK_NEAR(cot_logs_get(&report, "b_loss"), of_b, 1e-6);
        CHECK_NEAR(cot_logs_get(&report, "loss"), of_a + 10 * of_b, 1e-5);
        cot_dataset_destroy(data);
    }
    cot_dataset_destroy(plain);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- one's own ---- */

static const int32_t last_axis[1] = {-1};

/* Mean of the fourth powers of the errors. */
static cot_value fourth(cot_value t, cot_value p, void *user) {
    const double *factor = user;
    cot_value e = cot_op_binary(COT_OP_SUB, t, p);
    cot_value square = cot_op_binary(COT_OP_MUL, e, e);
    cot_value mean = cot_op_mean(cot_op_binary(COT_OP_MUL, square, square), last_axis, 1, false);
    return cot_op_binary(COT_OP_MUL, mean, cot_op_constant(t.graph, COT_F32, *factor));
}

/* The largest of a batch's squared errors. */
static cot_value worst(cot_value t, cot_value p, void *user) {
    static const int32_t axes[2] = {0, 1};
    (void)user;
    cot_value e = cot_op_binary(COT_OP_SUB, t, p);
    return cot_op_reduce(COT_OP_REDUCE_MAX, cot_op_binary(COT_OP_MUL, e, e), axes, 2, false);
}

/* Half a squared error and half an absolute one, of losses that are there. */
static cot_value mixed(cot_value t, cot_value p, void *user) {
    (void)user;
    cot_value a = cot_op_loss(COT_MEAN_SQUARED_ERROR, t, p, false, NULL);
    cot_value b = cot_op_loss(COT_MEAN_ABSOLUTE_ERROR, t, p, false, NULL);
    cot_value half = cot_op_constant(t.graph, COT_F32, 0.5);
    return cot_op_binary(COT_OP_MUL, cot_op_binary(COT_OP_ADD, a, b), half);
}

static void losses_of_ones_own(void **state) {
    (void)state;
    static double factor = 3.0;
    static const float x[4] = {1, 2, -1, 0.5f}, y[4] = {0, 0, 1, 0}, weight[2] = {2, 0.5f};
    const cot_array ax = array_of(x, 2, 2), ay = array_of(y, 2, 2), w = array_of(weight, 2, 1);
    const double first = 3.0 * (1 + 16) / 2, second = 3.0 * (16 + 0.0625) / 2;
    const struct {
        cot_row_function function;
        bool weighted;
        int64_t batch;
        double expected;
    } cases[] = {
        {fourth, false, 2, (first + second) / 2},
        {fourth, true, 2, (2 * first + 0.5 * second) / 2},
        {fourth, true, 1, (2 * first + 0.5 * second) / 2},
        {worst, false, 2, 4.0},
        {worst, true, 1, 4.0}, /* a batch's number has no rows to weigh */
        {mixed, false, 2, ((2.5 + 1.5) / 2 + (2.125 + 1.25) / 2) / 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        judged j;
        begin_judged(&j, COT_SHAPE(2), &ax, &ay, cases[i].weighted ? &w : NULL);
        CHECK_OK(j.context,
                 cot_model_compile(j.model, .loss = COT_CUSTOM_LOSS,
                                   .loss_options = cot_loss_numbers(.function = cases[i].function,
                                                                    .user = &factor)));
        CHECK_NEAR(evaluate(&j, cases[i].batch, "loss"), cases[i].expected, 1e-5);
        end_judged(&j);
    }
}

/* Trained by a function that is the mean squared error, the same bits as by the loss itself. */
static cot_value squared(cot_value t, cot_value p, void *user) {
    (void)user;
    cot_value e = cot_op_binary(COT_OP_SUB, t, p);
    return cot_op_mean(cot_op_binary(COT_OP_MUL, e, e), last_axis, 1, false);
}

static void training_on_ones_own(void **state) {
    (void)state;
    float found[2][23];
    for (int i = 0; i < 2; i++) {
        world w;
        begin(&w);
        CHECK_OK(w.context,
                 cot_model_compile(w.model, .optimizer = cot_adam(.learning_rate = 0.01),
                                   .loss = i == 0 ? COT_MEAN_SQUARED_ERROR : COT_CUSTOM_LOSS,
                                   .loss_options =
                                       i == 0 ? NULL : cot_loss_numbers(.function = squared)));
        CHECK_OK(w.context, cot_model_fit(w.model, w.data, .epochs = 3, .batch_size = 4));
        read_weights(w.model, found[i]);
        end(&w);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
}

/* Share of the classes that are missed by one at most. */
static cot_value within_one(cot_value t, cot_value p, void *user) {
    (void)user;
    cot_value away = cot_op_binary(COT_OP_SUB, t, cot_op_argmax(p, -1));
    cot_value distance = cot_op_unary(COT_OP_ABS, cot_op_cast(away, COT_F32));
    cot_value one = cot_op_constant(t.graph, COT_F32, 1.0);
    return cot_op_cast(cot_op_binary(COT_OP_LE, distance, one), COT_F32);
}

static void metrics_of_ones_own(void **state) {
    (void)state;
    static const float p[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0}, weight[4] = {1, 1, 4, 2};
    static const int32_t label[4] = {2, 1, 1, 1}; /* missed by 2, 0, 1, 1 */
    const cot_array x = array_of(p, 4, 3), y = labels_of(label, 4), w = array_of(weight, 4, 1);
    judged j;
    begin_judged(&j, COT_SHAPE(3), &x, &y, &w);
    CHECK_OK(j.context,
             cot_model_compile(
                 j.model, .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY},
                 .custom_metrics = {
                     cot_metric_of("near", within_one, .sparse_targets = true, .better = 1),
                     cot_metric_of("near", within_one, .sparse_targets = true, .weighted = true)}));
    CHECK_NEAR(evaluate(&j, 3, "near"), 0.75, 1e-12);
    CHECK_NEAR(evaluate(&j, 3, "weighted_near"), 7.0 / 8, 1e-7);
    CHECK_NEAR(evaluate(&j, 3, "accuracy"), 0.25, 1e-12);
    end_judged(&j);
}

/* ---- misuse ---- */

static cot_value nothing(cot_value t, cot_value p, void *user) {
    (void)t;
    (void)p;
    (void)user;
    return (cot_value){NULL, 0};
}
static cot_value the_output(cot_value t, cot_value p, void *user) {
    (void)t;
    (void)user;
    return p;
}

static void wrong_losses_are_refused(void **state) {
    (void)state;
    const cot_array x = array_of(guess, 2, 3), y = array_of(truth, 2, 3);
    const struct {
        cot_compile_options options;
        const char *text;
    } cases[] = {
        {{.loss = COT_CUSTOM_LOSS}, "a function is not given"},
        {{.loss = COT_HUBER, .loss_options = cot_loss_numbers(.function = nothing)},
         "the loss is huber, and a function is given"},
        {{.loss = COT_CUSTOM_LOSS, .loss_options = cot_loss_numbers(.function = nothing)},
         "the function of custom_loss gives no value"},
        {{.loss = COT_CUSTOM_LOSS, .loss_options = cot_loss_numbers(.function = the_output)},
         "the function of custom_loss gives f32[N,3], expected f32[N] or a scalar"},
        {{.loss = COT_HUBER, .loss_options = cot_loss_numbers(.reduction = (cot_reduction)9)},
         "9 is no cot_reduction"},
        {{.loss = COT_HUBER, .loss_options = cot_loss_numbers(.ignores_class = true)},
         "the loss huber cannot ignore a class"},
        {{.custom_metrics = {cot_metric_of("m", NULL)}}, "custom metric 0 has no function"},
        {{.custom_metrics = {cot_metric_of(NULL, nothing)}}, "custom metric 0 has no name"},
        {{.custom_metrics = {cot_metric_of("m", the_output)}}, "the function of m gives f32[N,3]"},
        {{.metrics = {COT_LOSS_AS_METRIC(COT_CUSTOM_LOSS)}}, "is no metric"},
        {{.loss = COT_HUBER,
          .custom_metrics = {cot_metric_of("m", within_one, .sparse_targets = true)}},
         "metric m does not go with loss huber"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        judged j;
        begin_judged(&j, COT_SHAPE(3), &x, &y, NULL);
        cot_compile_options options = cases[i].options;
        options.struct_size = sizeof options;
        cot_status status = cot_model_compile_with(j.model, &options);
        assert_int_not_equal(status, COT_OK);
        CHECK_ERROR(j.context, status, cases[i].text);
        end_judged(&j);
    }
}

static void wrong_weights_are_refused(void **state) {
    (void)state;
    static const float weight[20] = {0};
    world w;
    begin(&w);
    compile_sgd(&w, 0.1);
    const cot_array short_one = array_of(weight, 9, 1), wide = array_of(weight, 10, 2);
    const cot_array whole = array_of(weight, 10, 1), labels = labels_of((const int32_t[10]){0}, 10);
    const cot_array two[2] = {whole, whole};
    assert_null(cot_dataset_with_sample_weights(w.data, (cot_array_list){&short_one, 1}, COT_COPY));
    CHECK_ERROR(w.context, COT_E_ARG, "sample weights 0: f32, 9 rows of 1 elements");
    assert_null(cot_dataset_with_sample_weights(w.data, (cot_array_list){&labels, 1}, COT_COPY));
    CHECK_ERROR(w.context, COT_E_ARG, "sample weights 0: i32");
    assert_null(cot_dataset_with_sample_weights(w.data, (cot_array_list){two, 2}, COT_COPY));
    CHECK_ERROR(w.context, COT_E_ARG, "2 arrays for a data set of 1 targets");
    assert_null(cot_dataset_with_sample_weights(NULL, (cot_array_list){two, 1}, COT_COPY));
    assert_int_equal(cot_model_fit(w.model, w.data, .sample_weight = {&wide, 1}), COT_E_SHAPE);
    CHECK_ERROR(w.context, COT_E_SHAPE, "sample weights of \"dense_1\" have 2 elements a row");
    assert_int_equal(cot_model_fit(w.model, w.data, .sample_weight = {&whole, 1},
                                   .class_weight = COT_CLASS_WEIGHTS(1, 2)),
                     COT_E_ARG);
    CHECK_ERROR(w.context, COT_E_ARG, "class_weight and sample_weight are given");
    float bad[10] = {0};
    bad[3] = NAN;
    const cot_array nan = array_of(bad, 10, 1);
    assert_int_equal(cot_model_fit(w.model, w.data, .sample_weight = {&nan, 1}), COT_E_DATA);
    CHECK_ERROR(w.context, COT_E_DATA, "sample weights of \"dense_1\": row 3, element 0 is nan");
    cot_dataset *weighted = cot_dataset_with_class_weights(w.data, COT_CLASS_WEIGHTS(1, 2));
    assert_null(cot_dataset_with_class_weights(weighted, COT_CLASS_WEIGHTS(1, 2)));
    CHECK_ERROR(w.context, COT_E_ARG, "has sample weights already");
    cot_dataset_destroy(weighted);
    end(&w);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reductions_of_keras),
        cmocka_unit_test(a_class_is_ignored),
        cmocka_unit_test(a_weight_of_two_is_a_row_twice),
        cmocka_unit_test(weights_of_values),
        cmocka_unit_test(all_weights_zero),
        cmocka_unit_test(a_fit_of_keras_with_class_weights),
        cmocka_unit_test(class_weights_are_sample_weights),
        cmocka_unit_test(weights_scale_gradients),
        cmocka_unit_test(weights_come_and_go),
        cmocka_unit_test(weights_of_several_outputs),
        cmocka_unit_test(losses_of_ones_own),
        cmocka_unit_test(training_on_ones_own),
        cmocka_unit_test(metrics_of_ones_own),
        cmocka_unit_test(wrong_losses_are_refused),
        cmocka_unit_test(wrong_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
