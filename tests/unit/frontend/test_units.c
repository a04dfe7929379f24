/* PReLU and Maxout: Keras's numbers, formulas by hand, gradients, shapes that do not fit. */
#include "fit_support.h"

#include "cotangent/inspect.h"

/* What a model makes of n rows. */
static void predict(cot_model *model, const float *x, int64_t n, int64_t row, float *y,
                    size_t y_bytes) {
    cot_context *context = cot_model_context(model);
    const cot_array ax = array_of(x, n, row);
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&ax, 1}, COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .max_batch = 8));
    CHECK_OK(context, cot_model_predict(model, data, COT_BUFFERS({y, y_bytes})));
    cot_dataset_destroy(data);
}

static void prelu_of_keras(void **state) {
    (void)state;
    static const double expected[8] = {0.228458,   0.14851485,  0.88118809,   0.11278306,
                                       0.34653464, 0.022791883, -0.064258404, 0.54455447};
    float x[8], y[8];
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor out = cot_prelu(in);
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_string_equal(cot_layer_name(cot_tensor_layer(out)), "p_re_lu");
    assert_string_equal(cot_variable_name(cot_model_weight(model, 0)), "p_re_lu/alpha");
    fill_g(x, 8, 3, 2.0);
    predict(model, x, 2, 4, y, sizeof y);
    for (int i = 0; i < 8; i++) {
        assert_true(y[i] == fmaxf(x[i], 0.0f)); /* slopes begin at 0 */
    }
    set_weights(model);
    predict(model, x, 2, 4, y, sizeof y);
    check_floats("prelu", y, expected, 8, 1e-7);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Slopes along shared axes are one. */
static void shared_slopes(void **state) {
    (void)state;
    static const float alpha[3] = {0.5f, 0, -1};
    float x[12], y[12];
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(2, 3), NULL);
    cot_tensor out = cot_prelu(in, .shared_axes = {1}, .n_shared_axes = 1);
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    assert_int_equal(cot_model_count_params(model), 3);
    CHECK_OK(context, cot_variable_set(cot_model_weight(model, 0), alpha, sizeof alpha));
    fill_g(x, 12, 3, 2.0);
    predict(model, x, 2, 6, y, sizeof y);
    for (int i = 0; i < 12; i++) {
        assert_true(y[i] == (x[i] > 0 ? x[i] : alpha[i % 3] * x[i]));
    }
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void maxout_by_hand(void **state) {
    (void)state;
    float x[24], y[8];
    fill_g(x, 24, 3, 2.0);
    for (int way = 0; way < 2; way++) { /* [N,6] by the last axis; [N,6,2] by the first */
        cot_context *context = new_context(1);
        cot_tensor in =
            cot_input(context, COT_F32, way == 0 ? COT_SHAPE(6) : COT_SHAPE(6, 2), NULL);
        cot_tensor out = way == 0 ? cot_maxout(in, 2) : cot_maxout(in, 2, .axis = 1);
        cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
        int64_t row = way == 0 ? 6 : 12, n = way == 0 ? 4 : 2;
        int inner = way == 0 ? 1 : 2;
        predict(model, x, n, row, y, sizeof y);
        for (int64_t r = 0; r < n; r++) {
            for (int j = 0; j < 2; j++) {
                for (int i = 0; i < inner; i++) {
                    float most = -INFINITY;
                    for (int k = 0; k < 3; k++) {
                        most = fmaxf(most, x[r * row + (k * 2 + j) * inner + i]);
                    }
                    assert_true(y[(r * 2 + j) * inner + i] == most);
                }
            }
        }
        cot_model_destroy(model);
        cot_context_destroy(context);
    }
}

static void gradients_of_units(void **state) {
    (void)state;
    cot_gradcheck_report report;
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(3), NULL);
    cot_tensor h = cot_prelu(cot_dense(in, 6), .alpha_initializer = COT_CONSTANT,
                             .alpha_numbers = cot_initializer_numbers(.value = 0.25));
    cot_tensor out = cot_maxout(h, 2);
    cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_sgd(), .loss = COT_MEAN_SQUARED_ERROR));
    CHECK_OK(context, cot_model_gradcheck(model, NULL, &report));
    assert_true(report.passed);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void layers_of_a_stack(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_model *model = cot_sequential_create(context, COT_F32, COT_SHAPE(6), NULL);
    cot_prelu_options prelu = COT_PRELU_OPTIONS_INIT;
    cot_maxout_options maxout = COT_MAXOUT_OPTIONS_INIT;
    maxout.num_units = 3;
    CHECK_OK(context, cot_sequential_add(model, cot_prelu_layer_with(context, &prelu)));
    CHECK_OK(context, cot_sequential_add(model, cot_maxout_layer_with(context, &maxout)));
    assert_int_equal(cot_tensor_shape(cot_model_output(model, 0)).dim[1], 3);
    assert_string_equal(cot_layer_class(cot_model_layer(model, 0)), "PReLU");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void wrong_units_are_refused(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(6), "x");
    assert_int_equal(cot_maxout(x, 4, .name = "m").id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "input is f32[N,6], expected a multiple of 4 elements");
    assert_int_equal(cot_maxout(x, 0).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "num_units is 0");
    assert_int_equal(cot_maxout(x, 2, .axis = 5).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "along axis 5");
    assert_int_equal(cot_prelu(x, .shared_axes = {2}, .n_shared_axes = 1).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "it has no axis 2");
    assert_int_equal(cot_prelu(x, .shared_axes = {0}, .n_shared_axes = 1).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "shared_axes must ascend from 1 on");
    cot_tensor y = cot_prelu(x);
    cot_tensor wide = cot_input(context, COT_F32, COT_SHAPE(7), "wide");
    assert_int_equal(cot_call(cot_tensor_layer(y), wide).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "does not fit the slopes made by an earlier call");
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prelu_of_keras),    cmocka_unit_test(shared_slopes),
        cmocka_unit_test(maxout_by_hand),    cmocka_unit_test(gradients_of_units),
        cmocka_unit_test(layers_of_a_stack), cmocka_unit_test(wrong_units_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
