/*
 * Masks beside what tests/reference holds to Keras: which values count, which tensors have a mask,
 * masks of different ranks, losses where nothing counts, and what does not fit.
 */
#include "fit_support.h"

#include "frontend/layers/layer.h"

/* What a model makes of n rows of each input. */
static void predict(cot_context *context, cot_tensor_list in, cot_tensor out, const cot_array *x,
                    void *y, size_t y_bytes) {
    cot_model *model = cot_model_create(context, in, COT_TENSORS(out), NULL);
    if (model == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){x, in.n}, COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .max_batch = 8));
    CHECK_OK(context, cot_model_predict(model, data, COT_BUFFERS({y, y_bytes})));
    cot_dataset_destroy(data);
    cot_model_destroy(model);
}

/* ---- what counts ---- */

/* A NaN is another value, -0 is 0; one element is enough; what does not count is +0. */
static void values_that_count(void **state) {
    (void)state;
    static const float x[6][2] = {{0, 0}, {-0.0f, 0}, {NAN, 0}, {0, INFINITY}, {1, 2}, {0, 1e-45f}};
    static const unsigned char expected[6] = {0, 0, 1, 1, 1, 1};
    cot_context *context = new_context(1);
    cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(2), NULL), kept = cot_masking(in);
    const cot_array ax = array_of(x[0], 6, 2);
    unsigned char mask[6];
    float y[6][2];
    assert_string_equal(cot_layer_name(cot_tensor_layer(kept)), "masking");
    predict(context, (cot_tensor_list){&in, 1}, cot_tensor_mask(kept), &ax, mask, sizeof mask);
    assert_memory_equal(mask, expected, sizeof mask);
    predict(context, (cot_tensor_list){&in, 1}, kept, &ax, y, sizeof y);
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 2; k++) {
            float wanted = expected[i] != 0 ? x[i][k] : 0.0f;
            assert_true(isnan(wanted) ? isnan(y[i][k]) : y[i][k] == wanted);
        }
    }
    cot_context_destroy(context);
}

/* ---- who has a mask ---- */

static void who_passes_it_on(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2, 3), NULL), m = cot_masking(x);
    assert_false(cot_tensor_has_mask(x));
    assert_true(cot_tensor_has_mask(m));
    assert_true(cot_tensor_has_mask(cot_dense(m, 4, .activation = COT_SOFTMAX)));
    assert_true(cot_tensor_has_mask(cot_prelu(m)));
    assert_true(cot_tensor_has_mask(cot_softmax(m)));
    assert_true(cot_tensor_has_mask(cot_rescaling(m, 2.0)));
    assert_true(cot_tensor_has_mask(cot_add(COT_TENSORS(m, m))));
    assert_false(cot_tensor_has_mask(cot_add(COT_TENSORS(m, x))));
    assert_true(cot_tensor_has_mask(cot_concatenate(COT_TENSORS(x, m))));
    assert_false(cot_tensor_has_mask(cot_concatenate(COT_TENSORS(x, x))));
    assert_false(cot_tensor_has_mask(cot_maxout(m, 1)));
    assert_false(cot_tensor_has_mask(cot_flatten(m)));
    assert_false(cot_tensor_has_mask(cot_dense(x, 4)));
    assert_false(cot_tensor_has_mask(cot_tensor_mask(m)));
    assert_false(cot_tensor_has_mask((cot_tensor){NULL, 0}));
    assert_int_equal(cot_tensor_dtype(cot_tensor_mask(m)), COT_BOOL);
    assert_int_equal(cot_tensor_shape(cot_tensor_mask(m)).rank, 2);
    assert_int_equal(cot_tensor_shape(cot_tensor_mask(m)).dim[1], 2);
    /* One layer, once with a mask and once without. */
    cot_layer *shared = cot_dense_layer(context, 2);
    assert_true(cot_tensor_has_mask(cot_call(shared, m)));
    assert_false(cot_tensor_has_mask(cot_call(shared, x)));
    cot_context_destroy(context);
}

/* The mask of the input of lower rank, [N], is lifted to [N,1] beside [N,2]. */
static void ranks_that_differ(void **state) {
    (void)state;
    static const float a[3][2] = {{0, 0}, {1, 0}, {0, 0}};
    static const float b[3][2][2] = {{{0, 0}, {0, 3}}, {{0, 0}, {0, 0}}, {{0, 0}, {0, 0}}};
    static const unsigned char expected[3][2] = {{0, 1}, {1, 1}, {0, 0}};
    cot_context *context = new_context(1);
    const cot_tensor in[2] = {cot_input(context, COT_F32, COT_SHAPE(2), "a"),
                              cot_input(context, COT_F32, COT_SHAPE(2, 2), "b")};
    const cot_array x[2] = {array_of(a[0], 3, 2), array_of(b[0][0], 3, 4)};
    unsigned char mask[3][2];
    cot_tensor sum = cot_add(COT_TENSORS(cot_masking(in[0]), cot_masking(in[1])));
    predict(context, (cot_tensor_list){in, 2}, cot_tensor_mask(sum), x, mask, sizeof mask);
    assert_memory_equal(mask, expected, sizeof mask);
    cot_context_destroy(context);
}

/* ---- where nothing counts ---- */

static cot_value row_sum(cot_value t, cot_value p, void *user) {
    static const int32_t last[1] = {-1};
    (void)user;
    return cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_ADD, t, p), last, 1, false);
}

/* The loss, its gradient and the metrics are 0, by every reduction; nothing is NaN. */
static void nothing_counts(void **state) {
    (void)state;
    static const float x[3][2] = {{0, 0}, {0, 0}, {0, 0}};
    static const float y[3] = {1, 2, 3};
    static const cot_reduction reductions[] = {COT_REDUCTION_DEFAULT, COT_REDUCTION_SUM,
                                               COT_MEAN_WITH_SAMPLE_WEIGHT};
    const cot_array ax = array_of(x[0], 3, 2), ay = array_of(y, 3, 1);
    for (size_t i = 0; i < sizeof reductions / sizeof reductions[0]; i++) {
        cot_context *context = new_context(1);
        cot_tensor in = cot_input(context, COT_F32, COT_SHAPE(2), NULL);
        cot_tensor out = cot_dense(cot_masking(in), 1);
        cot_model *model = cot_model_create(context, COT_TENSORS(in), COT_TENSORS(out), NULL);
        cot_dataset *data = cot_dataset_create(context, (cot_array_list){&ax, 1},
                                               (cot_array_list){&ay, 1}, COT_BORROW);
        cot_logs logs;
        float before[2], after[2], bias = NAN;
        CHECK_OK(context,
                 cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = 1.0),
                                   .loss = COT_MEAN_SQUARED_ERROR,
                                   .loss_options = cot_loss_numbers(.reduction = reductions[i]),
                                   .metrics = {COT_LOSS_AS_METRIC(COT_MEAN_ABSOLUTE_ERROR)},
                                   .custom_metrics = {cot_metric_of("own", row_sum)}));
        CHECK_OK(context, cot_variable_get(cot_model_weight(model, 0), before, sizeof before));
        CHECK_OK(context, cot_model_train_on_batch(model, data, &logs));
        assert_true(cot_logs_get(&logs, "loss") == 0.0);
        assert_true(cot_logs_get(&logs, "mean_absolute_error") == 0.0);
        assert_true(cot_logs_get(&logs, "own") == 0.0);
        CHECK_OK(context, cot_variable_get(cot_model_weight(model, 0), after, sizeof after));
        CHECK_OK(context, cot_variable_get(cot_model_weight(model, 1), &bias, sizeof bias));
        assert_true(before[0] == after[0] && before[1] == after[1] && bias == 0.0f);
        cot_dataset_destroy(data);
        cot_model_destroy(model);
        cot_context_destroy(context);
    }
}

/* ---- gradients ---- */

/* In f64 by finite differences, and the second ones; along either axis nothing counts in a vector
 * of each row. */
static void gradients_of_a_masked_softmax(void **state) {
    (void)state;
    static const unsigned char seen[2][24] = {
        {1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 0},
        {1, 0, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0}};
    for (int32_t axis = 1; axis <= 2; axis++) {
        cot_context *context = new_context(1);
        cot_graph *graph = cot_graph_create(context, "masked");
        const cot_layer *layer = cot_softmax_layer(context, axis, NULL);
        const cot_shape shape = {.rank = 3, .dim = {2, 4, 3}};
        cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
        cot_gradcheck_report report;
        options.second = COT_ON;
        assert_non_null(layer);
        const cot_value input[2] = {cot_op_input(graph, COT_F64, shape, "x"),
                                    cot_op_constant_array(graph, COT_BOOL, shape, seen[axis - 1])};
        const coti_built built = coti_class_softmax.build(layer, graph, input, 2, true);
        CHECK_OK(context, cot_graph_output(built.value, "y"));
        CHECK_OK(context, cot_gradcheck(graph, &options, &report));
        if (!report.passed) {
            fail_msg("axis %d: %s", (int)axis, report.message);
        }
        assert_true(report.n_compared >= 24 * 24);
        cot_graph_destroy(graph);
        cot_context_destroy(context);
    }
}

/* ---- what does not fit ---- */

static void misuse(void **state) {
    (void)state;
    cot_context *context = new_context(1), *other = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2, 3), "x"), m = cot_masking(x);
    cot_tensor foreign = cot_tensor_mask(cot_masking(cot_input(other, COT_F32, COT_SHAPE(3), "y")));
    assert_int_equal(cot_masking(cot_input(context, COT_F32, (cot_shape){0}, "n")).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "f32[N]: expected numbers and an axis beside the batch");
    assert_int_equal(cot_tensor_mask(x).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "the layer's tensor has no mask");
    assert_int_equal(cot_masking(cot_tensor_mask(m)).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "bool[N,2]: expected numbers and an axis");
    assert_int_equal(cot_softmax(x, .axis = 3).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "axis 3 of f32[N,2,3]");
    assert_int_equal(cot_softmax(x, .mask = x).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE,
                "the second f32[N,2,3]: expected at most two, the second a "
                "bool mask that stretches to f32[N,2,3]");
    assert_int_equal(cot_softmax(x, .mask = cot_tensor_mask(m)).id,
                     0); /* [N,2] along an axis of 3 */
    CHECK_ERROR(context, COT_E_SHAPE, "the second bool[N,2]");
    assert_int_equal(cot_softmax(x, .mask = foreign).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "belongs to another context");
    assert_int_equal(cot_masking_with(NULL).id, 0);
    assert_int_equal(cot_softmax_with(NULL).id, 0);
    assert_null(cot_masking_layer(NULL, 0.0, NULL));
    assert_null(cot_softmax_layer(NULL, 0, NULL));
    /* A layer that hands out masks, called on what has none. */
    cot_tensor wrong = cot_call(cot_tensor_layer(cot_tensor_mask(m)), x);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(wrong), NULL);
    assert_non_null(model);
    assert_int_equal(cot_model_compile(model, .max_batch = 8), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "its input has no mask");
    cot_model_destroy(model);
    cot_context_destroy(context);
    cot_context_destroy(other);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_count),
        cmocka_unit_test(who_passes_it_on),
        cmocka_unit_test(ranks_that_differ),
        cmocka_unit_test(nothing_counts),
        cmocka_unit_test(gradients_of_a_masked_softmax),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
