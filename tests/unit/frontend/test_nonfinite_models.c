/*
 * The first value that is not finite, of models: the operation's layer and step, with a memory
 * budget and without, whatever the threads; masks, which are no fault.
 */
#include "frontend_support.h"

enum { DEPTH = 8, MODEL_ROWS = 24, MODEL_COLUMNS = 5, BATCH = 8 };

/* Before step `at` an element of a layer's bias becomes `value`. */
typedef struct poisoner {
    cot_callback base;
    const char *bias;
    float value;
    int at;
} poisoner;

static cot_status poison_bias(cot_model *model, int64_t batch, void *user) {
    poisoner *p = user;
    float bias[32];
    (void)batch;
    if (p->at-- != 0) {
        return COT_OK;
    }
    cot_variable *variable = cot_model_find_weight(model, p->bias);
    assert_int_equal(cot_variable_get(variable, bias, sizeof bias), COT_OK);
    bias[17] = p->value;
    return cot_variable_set(variable, bias, sizeof bias);
}

static cot_model *chain(cot_context *context, int64_t budget) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(MODEL_COLUMNS), "x"), h = x;
    for (int i = 0; i < DEPTH; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "d%d", i);
        h = cot_dense(h, 32, .activation = i % 2 == 0 ? COT_TANH : COT_RELU, .name = name);
    }
    cot_tensor y = cot_dense(h, 3, .activation = COT_SOFTMAX);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(model);
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_adam(),
                               .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                               .metrics = {COT_ACCURACY}, .max_batch = BATCH,
                               .instruments = COT_INSTRUMENT_NONFINITE, .memory_budget = budget));
    return model;
}

static cot_nonfinite fit_poisoned(cot_model *model, poisoner *p) {
    cot_context *context = cot_model_context(model);
    float x[MODEL_ROWS * MODEL_COLUMNS];
    int32_t y[MODEL_ROWS];
    cot_nonfinite found;
    fill_g(x, MODEL_ROWS * MODEL_COLUMNS, 3, 4.0);
    for (int i = 0; i < MODEL_ROWS; i++) {
        y[i] = i % 3;
    }
    cot_array in = array_of(x, MODEL_ROWS, MODEL_COLUMNS), out = labels_of(y, MODEL_ROWS);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    assert_non_null(data);
    CHECK_OK(context,
             cot_model_fit(model, data, .epochs = 2, .batch_size = BATCH, .callbacks = {&p->base}));
    CHECK_OK(context, cot_model_nonfinite(model, &found));
    cot_dataset_destroy(data);
    return found;
}

/* The layer and the step, with values that are computed again and without, whatever the threads. */
static void of_a_model(void **state) {
    (void)state;
    static const float values[2] = {NAN, -INFINITY};
    for (int i = 0; i < 4; i++) {
        cot_context *context = new_context_of(1, use_jit, 1 + i % 2);
        cot_model *model = chain(context, 0);
        int64_t bytes = cot_program_get_info(cot_model_train_program(model)).memory_bytes;
        if (i >= 2 && use_jit) {
            cot_model_destroy(model);
            model = chain(context, bytes - 1);
            assert_true(cot_program_get_info(cot_model_train_program(model)).memory_bytes < bytes);
        }
        char layer[8], bias[16];
        (void)snprintf(layer, sizeof layer, "d%d", 1 + 2 * i);
        (void)snprintf(bias, sizeof bias, "%s/bias", layer);
        poisoner p = {.base = {.struct_size = sizeof p.base, .on_batch_begin = poison_bias},
                      .bias = bias,
                      .value = values[i % 2],
                      .at = i};
        const cot_nonfinite found = fit_poisoned(model, &p);
        assert_true(found.found);
        assert_int_equal(found.step, i);
        assert_string_equal(found.op, "add");
        assert_string_equal(found.layer, layer);
        cot_model_destroy(model);
        cot_context_destroy(context);
    }
}

/* A masked softmax with a row that is masked throughout, and places that do not count. */
static void masks_are_no_fault(void **state) {
    (void)state;
    cot_context *context = new_context_of(1, use_jit, 1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(3, 4), "x");
    cot_tensor m = cot_masking(x), score = cot_dense(cot_flatten(x), 3, .name = "score");
    cot_tensor weight = cot_softmax(score, .mask = cot_tensor_mask(m));
    cot_tensor h = cot_concatenate(COT_TENSORS(weight, cot_flatten(cot_dense(m, 1, .name = "h"))));
    cot_tensor y = cot_dense(h, 3, .name = "y");
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(model);
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = 0.1),
                                        .loss = COT_MEAN_SQUARED_ERROR,
                                        .weighted_metrics = {COT_ROOT_MEAN_SQUARED_ERROR},
                                        .instruments = COT_INSTRUMENT_NONFINITE));
    float rows[4 * 12] = {0}, target[4 * 3] = {0}; /* two batches, the second of no places */
    cot_nonfinite found;
    fill_g(rows, 2 * 12, 5, 1.0);
    cot_array in = array_of(rows, 4, 12), out = array_of(target, 4, 3);
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    CHECK_OK(context, cot_model_fit(model, data, .epochs = 2, .batch_size = 2, .shuffle = COT_OFF));
    CHECK_OK(context, cot_model_nonfinite(model, &found));
    assert_false(found.found);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_model),
        cmocka_unit_test(masks_are_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
