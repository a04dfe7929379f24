/*
 * Losses along another axis than the last, beside what tests/reference holds to Keras: a softmax
 * layer along that axis, metrics and weights beside the loss, gradients, and what does not fit.
 */
#include "frontend_support.h"

enum { ROWS = 3, CLASSES = 4, PLACES = 2, ELEMENTS = CLASSES * PLACES };

/* One-hot along the axis of 4, and logits of which some are far apart. */
typedef struct numbers {
    float logits[ROWS * ELEMENTS], target[ROWS * ELEMENTS], turned[ROWS * ELEMENTS];
    float turned_target[ROWS * ELEMENTS];
} numbers;

static numbers make_numbers(double scale) {
    numbers n;
    memset(&n, 0, sizeof n);
    fill_g(n.logits, ROWS * ELEMENTS, 3, scale);
    for (int row = 0; row < ROWS; row++) {
        for (int place = 0; place < PLACES; place++) {
            int class = (row * 7 + place * 2 + 1) % CLASSES;
            n.target[row * ELEMENTS + class * PLACES + place] = 1.0f;
            n.turned_target[row * ELEMENTS + place * CLASSES + class] = 1.0f;
            for (int k = 0; k < CLASSES; k++) {
                n.turned[row * ELEMENTS + place * CLASSES + k] =
                    n.logits[row * ELEMENTS + k * PLACES + place];
            }
        }
    }
    return n;
}

static double loss_of(cot_model *model, const float *x, const float *target) {
    cot_context *context = cot_model_context(model);
    cot_array in = array_of(x, ROWS, ELEMENTS), out = array_of(target, ROWS, ELEMENTS);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    cot_logs logs;
    assert_non_null(data);
    CHECK_OK(context, cot_model_evaluate(model, data, &logs));
    double loss = cot_logs_get(&logs, "loss");
    cot_dataset_destroy(data);
    return loss;
}

/* A softmax along the axis of 4 gives its logits to a loss along it: far beyond what probabilities
 * in f32 can tell it is the loss of the turned rows from logits. */
static void a_softmax_along_the_axis(void **state) {
    (void)state;
    const numbers n = make_numbers(300.0);
    double found[2];
    for (int i = 0; i < 2; i++) {
        cot_context *context = new_context(1);
        cot_tensor x =
            cot_input(context, COT_F32,
                      i == 0 ? COT_SHAPE(CLASSES, PLACES) : COT_SHAPE(PLACES, CLASSES), "x");
        cot_tensor y = i == 0 ? cot_softmax(x, .axis = 1) : cot_activation(x, COT_LINEAR);
        cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
        CHECK_OK(context, cot_model_compile(
                              model, .loss = COT_CATEGORICAL_CROSSENTROPY, .from_logits = i == 1,
                              .loss_options = i == 0 ? cot_loss_numbers(.axis = 1) : NULL));
        found[i] =
            i == 0 ? loss_of(model, n.logits, n.target) : loss_of(model, n.turned, n.turned_target);
        cot_model_destroy(model);
        cot_context_destroy(context);
    }
    assert_true(found[1] > 20.0); /* more than the clip's 16.1 */
    CHECK_NEAR(found[0], found[1], 1e-5 * found[1]);
}

/* A softmax along the last axis is none along another: then the probabilities count. And the argmax
 * of a metric is not that of the logits of a softmax along another axis. */
static void other_softmaxes(void **state) {
    (void)state;
    const numbers n = make_numbers(3.0);
    double expected = 0.0, hits = 0.0;
    float p[ROWS * ELEMENTS];
    for (int i = 0; i < ROWS * ELEMENTS; i += PLACES) {
        float a = expf(n.logits[i]), b = expf(n.logits[i + 1]);
        p[i] = a / (a + b);
        p[i + 1] = b / (a + b);
    }
    for (int row = 0; row < ROWS; row++) {
        for (int place = 0; place < PLACES; place++) {
            const float *at = p + row * ELEMENTS + place, *t = n.target + row * ELEMENTS + place;
            double sum = 0.0;
            for (int k = 0; k < CLASSES; k++) {
                sum += (double)at[k * PLACES];
            }
            for (int k = 0; k < CLASSES; k++) {
                expected -= (double)t[k * PLACES] * log((double)at[k * PLACES] / sum);
            }
        }
        for (int k = 0; k < CLASSES; k++) {
            const float *t = n.target + row * ELEMENTS + k * PLACES;
            const float *l = n.logits + row * ELEMENTS + k * PLACES;
            hits += (t[1] > t[0]) == (l[1] > l[0]);
        }
    }
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(CLASSES, PLACES), "x");
    cot_tensor y = cot_activation(x, COT_SOFTMAX);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    CHECK_OK(context, cot_model_compile(model, .loss = COT_CATEGORICAL_CROSSENTROPY,
                                        .loss_options = cot_loss_numbers(.axis = 1),
                                        .metrics = {COT_CATEGORICAL_ACCURACY}));
    CHECK_NEAR(loss_of(model, n.logits, n.target), expected / (ROWS * PLACES), 2e-6);
    cot_array in = array_of(n.logits, ROWS, ELEMENTS), out = array_of(n.target, ROWS, ELEMENTS);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    cot_logs logs;
    CHECK_OK(context, cot_model_evaluate(model, data, &logs));
    CHECK_NEAR(cot_logs_get(&logs, "categorical_accuracy"), hits / (ROWS * CLASSES), 1e-12);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* The argmax along the last axis of a softmax along another is that of the probabilities. */
static void metrics_of_a_softmax_along_another_axis(void **state) {
    (void)state;
    /* Along the last axis the logits say 1, 1; the shares of each column say 0, 1. */
    static const float logits[4] = {1.0f, 5.0f, 0.0f, 9.0f}, target[4] = {1, 0, 0, 1};
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2, 2), "x");
    cot_tensor y = cot_softmax(x, .axis = 1);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    CHECK_OK(context, cot_model_compile(model, .metrics = {COT_CATEGORICAL_ACCURACY}));
    cot_array in = array_of(logits, 1, 4), out = array_of(target, 1, 4);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    cot_logs logs;
    CHECK_OK(context, cot_model_evaluate(model, data, &logs));
    CHECK_NEAR(cot_logs_get(&logs, "categorical_accuracy"), 1.0, 0.0);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Weights one a row are for weighted metrics too; those of the loss's values are not. */
static void weights_beside_the_loss(void **state) {
    (void)state;
    const numbers n = make_numbers(3.0);
    static const float by_row[ROWS] = {1, 0, 3}, by_value[ROWS * PLACES] = {1, 1, 0, 0, 3, 3};
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(CLASSES, PLACES), "x");
    cot_tensor y = cot_activation(x, COT_SIGMOID);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    cot_array in = array_of(n.logits, ROWS, ELEMENTS), out = array_of(n.target, ROWS, ELEMENTS);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    const cot_array weights[2] = {array_of(by_row, ROWS, 1), array_of(by_value, ROWS, PLACES)};
    double loss[2];
    for (int i = 0; i < 3; i++) {
        cot_logs logs;
        cot_dataset *weighted =
            cot_dataset_with_sample_weights(data, (cot_array_list){&weights[i > 0], 1}, COT_BORROW);
        CHECK_OK(context, cot_model_compile(
                              model, .loss = COT_BINARY_CROSSENTROPY,
                              .loss_options = cot_loss_numbers(.axis = 1),
                              .weighted_metrics = {i == 1 ? COT_NO_METRIC : COT_BINARY_ACCURACY}));
        cot_status status = cot_model_evaluate(model, weighted, &logs);
        if (i == 2) {
            assert_int_equal(status, COT_E_ARG);
            CHECK_ERROR(context, COT_E_ARG, "not along the last axis as its weighted metrics are");
        } else {
            CHECK_OK(context, status);
            loss[i] = cot_logs_get(&logs, "loss");
        }
        cot_dataset_destroy(weighted);
    }
    CHECK_NEAR(loss[0], loss[1], 1e-7);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void misuse(void **state) {
    (void)state;
    const struct {
        cot_loss loss;
        int32_t axis;
        bool masked;
        const char *text;
    } cases[] = {
        {COT_BINARY_CROSSENTROPY, 3, false, "axis of the loss is 3, expected one of an output of"},
        {COT_BINARY_CROSSENTROPY, -3, false, "axis of the loss is -3"},
        {COT_BINARY_CROSSENTROPY, INT32_MIN, false, "axis of the loss is -2147483648"},
        {COT_MEAN_SQUARED_ERROR, 1, false, "mean_squared_error is along the last axis"},
        {COT_SPARSE_CATEGORICAL_CROSSENTROPY, 1, false, "is along the last axis"},
        {COT_COSINE_SIMILARITY, 1, true, "is along the last axis of an output with a mask"},
        {COT_MEAN_SQUARED_ERROR, 2, false, NULL},
        {COT_MEAN_SQUARED_ERROR, -1, false, NULL},
    };
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(CLASSES, PLACES), "x");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_tensor y = cases[i].masked ? cot_masking(x) : cot_activation(x, COT_LINEAR);
        cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
        cot_status status = cot_model_compile(
            model, .loss = cases[i].loss, .loss_options = cot_loss_numbers(.axis = cases[i].axis));
        assert_int_equal(status, cases[i].text != NULL ? COT_E_ARG : COT_OK);
        if (cases[i].text != NULL) {
            CHECK_ERROR(context, COT_E_ARG, cases[i].text);
        }
        cot_model_destroy(model);
    }
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_softmax_along_the_axis),
        cmocka_unit_test(other_softmaxes),
        cmocka_unit_test(metrics_of_a_softmax_along_another_axis),
        cmocka_unit_test(weights_beside_the_loss),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
