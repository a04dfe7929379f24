/*
 * Rescaling, Normalization, CategoryEncoding: numbers worked out by hand as Keras's documentation
 * has them, adapting, what training leaves alone, and what fuses.
 */
#include "frontend_support.h"

#include "alloc_fail.h"
#include "graph/graph.h"

/* A model's outputs for rows of `in` elements. */
static void predict(cot_model *model, const cot_array *x, float *y, size_t bytes) {
    cot_context *context = cot_model_context(model);
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){x, 1}, COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .max_batch = 4));
    CHECK_OK(context, cot_model_predict(model, data, COT_BUFFERS({y, bytes})));
    cot_dataset_destroy(data);
}

static cot_model *model_of(cot_tensor x, cot_tensor y) {
    cot_model *model = cot_model_create(x.context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    if (model == NULL) {
        fail_msg("%s", cot_error_message(x.context));
    }
    return model;
}

/* ---- rescaling ---- */

static void rescaling_scales_and_shifts(void **state) {
    (void)state;
    const float x[6] = {0, 127.5F, 255, 51, -255, 1};
    cot_context *context = new_context(1);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(1, 3), "x");
    cot_model *model = model_of(input, cot_rescaling(input, 1.0 / 127.5, .offset = -1.0));
    const cot_array array = array_of(x, 2, 3);
    float y[6];
    predict(model, &array, y, sizeof y);
    check_floats("y", y, (const double[]){-1, 0, 1, -0.6, -3, 1.0 / 127.5 - 1}, 6, 1e-6);
    cot_model_destroy(model);
    cot_layer *layer = cot_rescaling_layer(context, 2.0, .name = "twice");
    assert_string_equal(cot_layer_class(layer), "Rescaling");
    model = model_of(input, cot_call(layer, input));
    predict(model, &array, y, sizeof y);
    check_floats("y", y, (const double[]){0, 255, 510, 102, -510, 2}, 6, 0);
    assert_null(cot_rescaling_layer(context, NAN));
    CHECK_ERROR(context, COT_E_ARG, "scale is nan");
    assert_null(cot_rescaling_layer(context, 0.0));
    CHECK_ERROR(context, COT_E_ARG, "scale is 0");
    assert_int_equal(cot_rescaling(input, 1.0, .offset = INFINITY).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "offset inf");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- normalization ---- */

/* Keras's example: columns of [[0, 7, 4], [2, 9, 6], [0, 7, 4], [2, 9, 6]] become -1 and 1. */
static void normalization_adapts_to_columns(void **state) {
    (void)state;
    const float x[12] = {0, 7, 4, 2, 9, 6, 0, 7, 4, 2, 9, 6};
    cot_context *context = new_context(1);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(3), "x");
    cot_layer *layer = cot_normalization_layer(context);
    cot_model *model = model_of(input, cot_call(layer, input));
    const cot_array array = array_of(x, 4, 3);
    float y[12];
    predict(model, &array, y, sizeof y); /* mean 0, variance 1 at first */
    assert_memory_equal(y, x, sizeof x);
    cot_dataset *data = cot_dataset_create(context, COT_ARRAYS(array), COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_normalization_adapt(layer, data, 0));
    check_variable(cot_model_find_weight(model, "normalization/mean"), (const double[]){1, 8, 5},
                   0);
    check_variable(cot_model_find_weight(model, "normalization/variance"),
                   (const double[]){1, 1, 1}, 0);
    predict(model, &array, y, sizeof y);
    check_floats("y", y, (const double[]){-1, -1, -1, 1, 1, 1, -1, -1, -1, 1, 1, 1}, 12, 0);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* u8 as the model sees them; all elements alike; several vectors a row; back again by invert; a
 * column without variance is not divided by 0. */
static void normalization_of_pixels(void **state) {
    (void)state;
    const unsigned char x[12] = {10, 50, 30, 50, 50, 50, 20, 50, 40, 50, 60, 50};
    cot_context *context = new_context(1);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(2, 2), "x");
    cot_layer *vector = cot_normalization_layer(context);
    cot_layer *scalar = cot_normalization_layer(context, .scalar = true, .name = "all");
    cot_layer *back = cot_normalization_layer(context, .invert = true);
    cot_tensor normal = cot_call(vector, input);
    cot_tensor all = cot_call(scalar, input), same = cot_call(back, normal);
    const cot_array array = {
        .data = x, .dtype = COT_U8, .n_rows = 3, .row_elements = 4, .scale = 0.5F, .offset = 1.0F};
    cot_dataset *data = cot_dataset_create(context, COT_ARRAYS(array), COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_normalization_adapt(vector, data, 0));
    CHECK_OK(context, cot_normalization_adapt(back, data, 0));
    CHECK_OK(context, cot_normalization_adapt(scalar, data, 0));
    /* columns 10 30 50 20 40 60 (mean 35, variance 1750/6) and 50; all: mean 42.5, variance 202.083
     */
    float y[12];
    cot_model *model = model_of(input, normal);
    check_variable(cot_model_weight(model, 0), (const double[]){18.5, 26}, 1e-6);
    check_variable(cot_model_weight(model, 1), (const double[]){1750.0 / 24, 0}, 1e-5);
    predict(model, &array, y, sizeof y);
    const double d = sqrt(1750.0 / 6);
    check_floats(
        "y", y, (const double[]){-25 / d, 0, -5 / d, 0, 15 / d, 0, -15 / d, 0, 5 / d, 0, 25 / d, 0},
        12, 2e-6);
    cot_model_destroy(model);
    model = model_of(input, all);
    check_variable(cot_model_weight(model, 0), (const double[]){22.25}, 1e-6);
    check_variable(cot_model_weight(model, 1), (const double[]){(2425.0 / 12) / 4}, 1e-4);
    cot_model_destroy(model);
    model = model_of(input, same);
    predict(model, &array, y, sizeof y);
    for (int i = 0; i < 12; i++) {
        CHECK_NEAR(y[i], 0.5 * x[i] + 1.0, 1e-5);
    }
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Far from 0 a sum of squares alone would have no digits left. */
static void adapting_keeps_digits(void **state) {
    (void)state;
    enum { N = 1001 };
    static double x[N];
    for (int i = 0; i < N; i++) {
        x[i] = 1e9 + (i % 2 == 0 ? 0.001 : -0.001);
    }
    cot_context *context = new_context(1);
    cot_tensor input = cot_input(context, COT_F64, COT_SHAPE(1), "x");
    cot_layer *layer = cot_normalization_layer(context);
    cot_model *model = model_of(input, cot_call(layer, input));
    cot_dataset *data = cot_dataset_create(
        context, COT_ARRAYS({.data = x, .dtype = COT_F64, .n_rows = N, .row_elements = 1}),
        COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_normalization_adapt(layer, data, 0));
    double variance = 0;
    CHECK_OK(context, cot_variable_get(cot_model_weight(model, 1), &variance, sizeof variance));
    CHECK_NEAR(variance, 1e-6, 1e-9); /* x itself is rounded to 1.2e-7 */
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void adapting_refuses(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, NAN};
    const int32_t labels[2] = {1, 2};
    cot_context *context = new_context(1);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(2), "x");
    cot_layer *layer = cot_normalization_layer(context), *dense = cot_dense_layer(context, 2);
    cot_dataset *data = cot_dataset_create(
        context, COT_ARRAYS(array_of(x, 2, 2), array_of(x, 2, 1), labels_of(labels, 2)),
        COT_NO_ARRAYS, COT_BORROW);
    assert_int_equal(cot_normalization_adapt(layer, data, 0), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "has been called");
    (void)cot_call(dense, cot_call(layer, input));
    assert_int_equal(cot_normalization_adapt(dense, data, 0), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "expected a Normalization");
    assert_int_equal(cot_normalization_adapt(layer, data, 0), COT_E_DATA);
    CHECK_ERROR(context, COT_E_DATA, "row 1, element 1 is nan");
    assert_int_equal(cot_normalization_adapt(layer, data, 1), COT_E_SHAPE);
    CHECK_ERROR(context, COT_E_SHAPE, "a multiple of 2");
    assert_int_equal(cot_normalization_adapt(layer, data, 2), COT_E_DTYPE);
    CHECK_ERROR(context, COT_E_DTYPE, "i32");
    assert_int_equal(cot_normalization_adapt(layer, data, 3), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "input 3");
    assert_int_equal(cot_normalization_adapt(layer, NULL, 0), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "0 inputs");
    assert_int_equal(cot_normalization_adapt(NULL, data, 0), COT_E_ARG);
    assert_null(cot_normalization_layer(NULL));
    cot_dataset_destroy(data);
    cot_context_destroy(context);
}

/* Adam changes what is behind, and not the statistics, though the layer counts as trainable. */
static void fit_leaves_statistics_alone(void **state) {
    (void)state;
    const float x[8] = {1, 20, 2, 40, 3, 10, 4, 30};
    const int32_t y[4] = {0, 1, 0, 1};
    cot_context *context = new_context(1);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(2), "x");
    cot_layer *layer = cot_normalization_layer(context);
    cot_tensor out = cot_dense(cot_call(layer, input), 2, .activation = COT_SOFTMAX);
    cot_model *model = model_of(input, out);
    cot_dataset *data = cot_dataset_create(context, COT_ARRAYS(array_of(x, 4, 2)),
                                           COT_ARRAYS(labels_of(y, 4)), COT_BORROW);
    CHECK_OK(context, cot_normalization_adapt(layer, data, 0));
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.1),
                                        .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY));
    float before[4], kernel[4];
    CHECK_OK(context, cot_variable_get(cot_model_weight(model, 2), before, sizeof before));
    CHECK_OK(context, cot_model_fit(model, data, .epochs = 3, .batch_size = 3));
    CHECK_OK(context, cot_variable_get(cot_model_weight(model, 2), kernel, sizeof kernel));
    assert_true(memcmp(before, kernel, sizeof kernel) != 0);
    check_variable(cot_model_weight(model, 0), (const double[]){2.5, 25}, 0);
    check_variable(cot_model_weight(model, 1), (const double[]){1.25, 125}, 0);
    assert_true(cot_layer_is_trainable(layer));
    static collected text;
    cot_console console = console_for(&text);
    CHECK_OK(context, cot_model_summary(model, &console));
    assert_non_null(strstr(text.text, "Non-trainable params: 4 "));
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- category encoding ---- */

/* Keras's examples, a token outside and one with a fraction. */
static void tokens_are_encoded(void **state) {
    (void)state;
    static const float rows[] = {0, 1, 0, 0, 1, 2, 3, 1}, one[] = {3, 2, 0, 1.9F, 4, -1};
    float y[24];
    cot_context *context = new_context(1);
    cot_tensor two = cot_input(context, COT_F32, COT_SHAPE(2), "two");
    cot_model *model = model_of(two, cot_category_encoding(two, 4));
    cot_array array = array_of(rows, 4, 2);
    predict(model, &array, y, 16 * sizeof *y);
    check_floats("multi_hot", y, (const double[]){1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1},
                 16, 0);
    cot_model_destroy(model);
    model = model_of(two, cot_category_encoding(two, 4, .output_mode = COT_ENCODE_COUNT));
    predict(model, &array, y, 16 * sizeof *y);
    check_floats("count", y, (const double[]){1, 1, 0, 0, 2, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1}, 16,
                 0);
    cot_model_destroy(model);
    static const double want[] = {0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0,
                                  0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int rank = 0; rank < 2; rank++) { /* [N] and [N,1] */
        cot_tensor x = rank == 0 ? cot_input(context, COT_F32, (cot_shape){.rank = 0}, NULL)
                                 : cot_input(context, COT_F32, COT_SHAPE(1), NULL);
        model = model_of(x, cot_category_encoding(x, 4, .output_mode = COT_ENCODE_ONE_HOT));
        array = array_of(one, 6, 1);
        predict(model, &array, y, sizeof y);
        check_floats("one_hot", y, want, 24, 0);
        cot_model_destroy(model);
    }
    assert_int_equal(cot_category_encoding(two, 4, .output_mode = COT_ENCODE_ONE_HOT).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "one token a row");
    assert_null(cot_category_encoding_layer(context, 0));
    CHECK_ERROR(context, COT_E_ARG, "num_tokens is 0");
    assert_null(cot_category_encoding_layer(context, 3, .output_mode = (cot_encoding)9));
    CHECK_ERROR(context, COT_E_ARG, "output_mode 9");
    cot_context_destroy(context);
}

/* ---- what fuses ---- */

static bool collect_dump(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

/* The number of the call that the line with this text belongs to. */
static int call_of(const char *plan, const char *text) {
    const char *at = strstr(plan, text);
    if (at == NULL) {
        fail_msg("the plan does not have \"%s\":\n%.6000s", text, plan);
        return -1;
    }
    while (at > plan && strncmp(at, "call ", 5) != 0) {
        at--;
    }
    return (int)strtol(at + 5, NULL, 10);
}

/*
 * In a prediction rows are loaded, normalized and multiplied by one chain, a chunk at a time: the
 * arithmetic of both layers is one kernel behind the load, and neither result is there for more
 * rows than a chunk has. The reciprocal deviations are made once a step.
 */
static void normalizations_are_in_the_first_chain(void **state) {
    (void)state;
    coti_str dump;
    cot_context *context = new_context(1);
    coti_str_init(&dump, context);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(32), "x");
    cot_tensor scaled = cot_rescaling(input, 1.0 / 255);
    cot_tensor normal = cot_call(cot_normalization_layer(context), scaled);
    cot_model *model = model_of(input, cot_dense(normal, 16, .activation = COT_RELU));
    context->dump[COTI_STAGE_PLAN] = true;
    context->dump_write = collect_dump;
    context->dump_user = &dump;
    CHECK_OK(context, cot_model_compile(model, .max_batch = 64));
    const char *plan = coti_str_text(&dump);
    const int load = call_of(plan, "%x [source 0]"), map = call_of(plan, "%normalization/mean [");
    const int product = call_of(plan, "%dense/kernel ["), n_calls = product + 1;
    assert_int_equal(call_of(plan, "%normalization/variance ["), load - 1);
    assert_int_equal(map, load + 1);
    assert_int_equal(product, map + 1);
    assert_non_null(strstr(plan, "\"map_mul_sub_mul\"")); /* the rescaling is in it */
    const char *chain = strstr(plan, "chain over rows");
    assert_non_null(chain);
    assert_int_equal(call_of(plan, "writes %x [local +0]"), load);
    assert_null(strstr(chain + 1, "chain over"));
    const cot_program_info info = cot_program_get_info(cot_model_predict_program(model));
    assert_int_equal(info.n_calls, n_calls);
    /* of the deviations, and of the output that nobody has bound */
    assert_int_equal(info.arena_bytes, 32 * 4 + 64 * 16 * 4);
    coti_str_free(&dump);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Integer labels become one-hot rows inside the kernel of the loss: nothing of [N,classes] but the
 * probabilities and their gradient is in memory. */
static void labels_are_encoded_in_the_loss(void **state) {
    (void)state;
    coti_str dump;
    cot_context *context = new_context(1);
    coti_str_init(&dump, context);
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(8), "x");
    cot_model *model = model_of(input, cot_dense(input, 5, .activation = COT_SOFTMAX));
    context->dump[COTI_STAGE_FUSE] = true;
    context->dump_write = collect_dump;
    context->dump_user = &dump;
    CHECK_OK(context, cot_model_compile(model, .optimizer = cot_sgd(),
                                        .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY));
    const char *text = coti_str_text(&dump), *hot = strstr(text, "= one_hot ");
    assert_non_null(hot);
    const char *group = hot;
    while (group > text && strncmp(group, "group ", 6) != 0) {
        group--;
    }
    const char *end = strstr(hot, "\ngroup ");
    assert_non_null(end);
    char members[8192] = "";
    snprintf(members, sizeof members, "%.*s", (int)(end - group), group);
    assert_non_null(strstr(members, "exp"));
    assert_non_null(strstr(members, "target"));
    coti_str_free(&dump);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- memory that runs out ---- */

static cot_status live(cot_context *context, void *user) {
    (void)user;
    const float x[4] = {1, 2, 3, 4};
    cot_status status = COT_E_NOMEM;
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(2), "x");
    cot_layer *layer = cot_normalization_layer(context);
    cot_tensor y = cot_category_encoding(cot_call(layer, cot_rescaling(input, 2.0)), 3);
    cot_dataset *data =
        cot_dataset_create(context, COT_ARRAYS(array_of(x, 2, 2)), COT_NO_ARRAYS, COT_BORROW);
    if (y.id != 0 && data != NULL) {
        status = cot_normalization_adapt(layer, data, 0);
    } else {
        status = cot_error_get(context).status;
    }
    cot_dataset_destroy(data);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, NULL, live, NULL));
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rescaling_scales_and_shifts),
        cmocka_unit_test(normalization_adapts_to_columns),
        cmocka_unit_test(normalization_of_pixels),
        cmocka_unit_test(adapting_keeps_digits),
        cmocka_unit_test(adapting_refuses),
        cmocka_unit_test(fit_leaves_statistics_alone),
        cmocka_unit_test(tokens_are_encoded),
        cmocka_unit_test(survives_without_memory),
    };
    const struct CMUnitTest plans[] = {
        cmocka_unit_test(normalizations_are_in_the_first_chain),
        cmocka_unit_test(labels_are_encoded_in_the_loss),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + (use_jit ? cmocka_run_group_tests(plans, NULL, NULL) : 0);
}
