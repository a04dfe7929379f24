/*
 * Layers: names, shapes, what they compute, their initial weights, and the order in which a model
 * has them. Reference values: Keras 3.16.
 */
#include "frontend_support.h"

#include <math.h>

#include "frontend/layers/layer.h"
#include "graph/graph.h"

/* ---- names ---- */

static void automatic_names_count_per_stem(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor x2 = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor named = cot_input(context, COT_F32, COT_SHAPE(4), "image");
    cot_tensor a = cot_dense(x, 3), b = cot_dense(x2, 3);
    cot_tensor c = cot_dense(named, 3, .name = "head");
    cot_tensor d = cot_dense(c, 2);
    cot_tensor e = cot_add(COT_TENSORS(a, b)), f = cot_concatenate(COT_TENSORS(e, c));
    cot_tensor g = cot_activation(f, COT_RELU), h = cot_flatten(g);
    const struct {
        cot_tensor tensor;
        const char *name, *class;
    } expected[] = {{x, "input_layer", "InputLayer"},  {x2, "input_layer_1", "InputLayer"},
                    {named, "image", "InputLayer"},    {a, "dense", "Dense"},
                    {b, "dense_1", "Dense"},           {c, "head", "Dense"},
                    {d, "dense_2", "Dense"},           {e, "add", "Add"},
                    {f, "concatenate", "Concatenate"}, {g, "activation", "Activation"},
                    {h, "flatten", "Flatten"}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const cot_layer *layer = cot_tensor_layer(expected[i].tensor);
        assert_string_equal(cot_layer_name(layer), expected[i].name);
        assert_string_equal(cot_layer_class(layer), expected[i].class);
    }
    assert_string_equal(cot_variable_name(cot_tensor_layer(c)->weight[0]), "head/kernel");
    assert_string_equal(cot_variable_name(cot_tensor_layer(c)->weight[1]), "head/bias");
    cot_context_destroy(context);
}

static void failed_calls_use_no_names(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor scalar = cot_input(context, COT_F32, COT_SCALAR, NULL);
    assert_int_equal(cot_dense(scalar, 3).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "dense \"dense\": input is f32[N]");
    assert_int_equal(cot_dense(x, 0).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "units is 0");
    assert_string_equal(cot_layer_name(cot_tensor_layer(cot_dense(x, 3))), "dense");
    assert_null(cot_model_create(context, COT_TENSORS(x), ((cot_tensor_list){NULL, 0}), NULL));
    cot_error_clear(context);
    cot_tensor y = cot_dense(x, 3);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_string_equal(cot_model_name(model), "functional");
    cot_model *second = cot_sequential_create(context, COT_F32, COT_SHAPE(2), NULL);
    assert_string_equal(cot_model_name(second), "sequential");
    cot_model_destroy(second);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- shapes ---- */

static void check_shape(cot_tensor tensor, const char *expected) {
    char text[COTI_TYPE_BYTES];
    cot_shape shape = cot_tensor_shape(tensor);
    assert_string_equal(coti_type_text(text, cot_tensor_dtype(tensor), &shape), expected);
}

static void shapes_follow_keras(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(5, 4), NULL);
    cot_tensor y = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor s = cot_input(context, COT_F32, COT_SCALAR, NULL);
    cot_tensor w = cot_input(context, COT_F64, COT_SHAPE(2), NULL);
    check_shape(x, "f32[N,5,4]");
    check_shape(s, "f32[N]");
    check_shape(cot_dense(x, 7), "f32[N,5,7]");
    check_shape(cot_dense(w, 7), "f64[N,7]");
    check_shape(cot_flatten(x), "f32[N,20]");
    check_shape(cot_flatten(s), "f32[N,1]");
    check_shape(cot_add(COT_TENSORS(x)), "f32[N,5,4]");
    check_shape(cot_add(COT_TENSORS(x, y)), "f32[N,5,4]");
    check_shape(cot_add(COT_TENSORS(y, x)), "f32[N,5,4]");
    check_shape(cot_concatenate(COT_TENSORS(x, x)), "f32[N,5,8]");
    check_shape(cot_concatenate(COT_TENSORS(x, x, x), .axis = 1), "f32[N,15,4]");
    check_shape(cot_concatenate(COT_TENSORS(x, x), .axis = -2), "f32[N,10,4]");
    check_shape(cot_activation(s, COT_TANH), "f32[N]");
    assert_int_equal(cot_error_get(context).status, COT_OK);
    cot_context_destroy(context);
}

/* ---- what layers compute ---- */

/* Predict one output of a model on rows of g(row_elements, offset, 2). */
static void predict(cot_model *model, int64_t n_rows, int64_t offset, float *out, size_t bytes) {
    cot_context *context = cot_model_context(model);
    float x[256];
    cot_shape shape = cot_tensor_shape(cot_model_input(model, 0));
    int64_t row = 1;
    for (int32_t i = 1; i < shape.rank; i++) {
        row *= shape.dim[i];
    }
    fill_g(x, n_rows * row, offset, 2.0);
    cot_array array = array_of(x, n_rows, row);
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&array, 1}, COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_model_compile(model, .max_batch = 2));
    CHECK_OK(context, cot_model_predict(model, data, COT_BUFFERS({out, bytes})));
    cot_dataset_destroy(data);
}

static void dense_matches_keras(void **state) {
    (void)state;
    static const double expected[6] = {0.16875796, 0.0, 0.40844029, 0.037986472, 0.0, 0.21316537};
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
    cot_tensor y = cot_dense(x, 3, .activation = COT_RELU);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    set_weights(model);
    float out[6];
    predict(model, 2, 20, out, sizeof out);
    check_floats("y", out, expected, 6, 2e-6);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Dense on [N,2,3] is Dense on each of the 2; Add lifts ranks; Concatenate joins in order. */
static void merging_layers_compute_what_they_say(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2, 3), NULL);
    cot_tensor d = cot_dense(x, 2, .use_bias = COT_OFF);
    cot_tensor flat = cot_flatten(x);
    cot_tensor v = cot_dense(flat, 2, .kernel_initializer = COT_ONES);
    cot_tensor sum = cot_add(COT_TENSORS(v, d));
    cot_tensor y = cot_concatenate(COT_TENSORS(sum, d), .axis = 1);
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    float kernel[6], in[12], out[16];
    fill_g(kernel, 6, 0, 1.0);
    fill_g(in, 12, 3, 2.0);
    CHECK_OK(context,
             cot_variable_set(cot_model_find_weight(model, "dense/kernel"), kernel, sizeof kernel));
    predict(model, 2, 3, out, sizeof out);
    for (int r = 0; r < 2; r++) {
        double all = 0.0;
        for (int i = 0; i < 6; i++) {
            all += (double)in[6 * r + i];
        }
        for (int t = 0; t < 2; t++) {
            for (int u = 0; u < 2; u++) {
                double dot = 0.0;
                for (int i = 0; i < 3; i++) {
                    dot += (double)in[6 * r + 3 * t + i] * (double)kernel[2 * i + u];
                }
                CHECK_NEAR(out[8 * r + 2 * t + u], dot + all, 2e-6);
                CHECK_NEAR(out[8 * r + 4 + 2 * t + u], dot, 2e-6);
            }
        }
    }
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void a_shared_layer_has_one_set_of_weights(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor a = cot_input(context, COT_F32, COT_SHAPE(3), "a");
    cot_tensor b = cot_input(context, COT_F32, COT_SHAPE(3), "b");
    cot_layer *shared = cot_dense_layer(context, 2, .name = "shared");
    assert_int_equal(cot_layer_count_params(shared), 0);
    cot_tensor y = cot_add(COT_TENSORS(cot_call(shared, a), cot_call(shared, b)));
    assert_int_equal(cot_layer_count_params(shared), 8);
    cot_model *model = cot_model_create(context, COT_TENSORS(a, b), COT_TENSORS(y), NULL);
    assert_int_equal(cot_model_n_weights(model), 2);
    assert_int_equal(cot_model_count_params(model), 8);
    assert_int_equal(cot_model_n_layers(model), 4);
    cot_tensor c = cot_input(context, COT_F32, COT_SHAPE(4), "c");
    assert_int_equal(cot_call(shared, c).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE,
                "dense \"shared\": input is f32[N,4], but the kernel made by an earlier call is "
                "f32[3,2]");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- order ---- */

static void check_order(const cot_model *model, const char *const *name, int32_t n) {
    assert_int_equal(cot_model_n_layers(model), n);
    for (int32_t i = 0; i < n; i++) {
        assert_string_equal(cot_layer_name(cot_model_layer(model, i)), name[i]);
    }
}

/* The model of which the notes give Keras's order: an input that is used late stands late. */
static void layers_are_in_order_of_depth(void **state) {
    (void)state;
    static const char *const expected[] = {"img",   "h",   "meta", "concatenate",
                                           "dense", "add", "a",    "b"};
    cot_context *context = new_context(1);
    cot_tensor img = cot_input(context, COT_F32, COT_SHAPE(8), "img");
    cot_tensor meta = cot_input(context, COT_F32, COT_SHAPE(3), "meta");
    cot_tensor h = cot_dense(img, 5, .name = "h");
    cot_tensor both = cot_concatenate(COT_TENSORS(h, meta));
    cot_tensor d = cot_dense(both, 8);
    cot_tensor sum = cot_add(COT_TENSORS(d, both));
    cot_tensor a = cot_dense(sum, 2, .name = "a"), b = cot_dense(sum, 4, .name = "b");
    cot_model *model = cot_model_create(context, COT_TENSORS(img, meta), COT_TENSORS(a, b), "m");
    check_order(model, expected, 8);
    assert_string_equal(cot_variable_name(cot_model_weight(model, 0)), "h/kernel");
    assert_string_equal(cot_variable_name(cot_model_weight(model, 7)), "b/bias");
    assert_ptr_equal(cot_model_find_weight(model, "dense/bias"), cot_model_weight(model, 3));
    assert_null(cot_model_find_weight(model, "dense/gamma"));
    assert_null(cot_model_find_weight(model, "dense"));
    assert_null(cot_model_find_weight(model, "den/kernel"));
    assert_null(cot_model_weight(model, 8));
    assert_null(cot_model_weight(model, -1));
    assert_string_equal(cot_model_output_name(model, 1), "b");
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* An input that nothing needs stands before the others of depth 0. */
static void unused_inputs_are_kept(void **state) {
    (void)state;
    static const char *const expected[] = {"x", "unused", "y"};
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2), "x");
    cot_tensor unused = cot_input(context, COT_F32, COT_SHAPE(2), "unused");
    cot_tensor y = cot_dense(x, 2, .name = "y");
    cot_model *model = cot_model_create(context, COT_TENSORS(x, unused), COT_TENSORS(y), NULL);
    check_order(model, expected, 3);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void ten_thousand_layers_are_walked(void **state) {
    (void)state;
    enum { N = 10000 };
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2), "x"), y = x;
    for (int i = 0; i < N / 2; i++) {
        y = cot_add(COT_TENSORS(y, cot_activation(y, COT_RELU)));
    }
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(model);
    assert_int_equal(cot_model_n_layers(model), N + 1);
    assert_string_equal(cot_layer_name(cot_model_layer(model, N)), "add_4999");
    assert_non_null(cot_model_find_layer(model, "activation_1234"));
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- initializers ---- */

typedef struct draw_case {
    cot_initializer initializer;
    cot_initializer_options numbers;
    double limit, deviation; /* expected: largest magnitude, standard deviation */
} draw_case;

/* Moments of 100 x 300 values; a mean of 30,000 has a deviation of sigma / 173. */
static void initial_weights_are_distributed_as_stated(void **state) {
    (void)state;
    enum { IN = 100, OUT = 300, N = IN * OUT };
    const double in = IN, n = N, glorot = sqrt(2.0 / (IN + OUT));
    const double he = sqrt(2.0 / in), lecun = sqrt(1.0 / in);
    const double cut = 2.0 / 0.87962566103423978;
#define NUMBERS(...) {.struct_size = sizeof(cot_initializer_options), __VA_ARGS__}
    const draw_case cases[] = {
        {COT_INITIALIZER_DEFAULT, NUMBERS(.seed = 0), glorot * sqrt(3.0), glorot},
        {COT_GLOROT_UNIFORM, NUMBERS(.seed = 0), glorot * sqrt(3.0), glorot},
        {COT_GLOROT_NORMAL, NUMBERS(.seed = 3), glorot * cut, glorot},
        {COT_HE_UNIFORM, NUMBERS(.seed = 0), he * sqrt(3.0), he},
        {COT_HE_NORMAL, NUMBERS(.seed = 0), he * cut, he},
        {COT_LECUN_UNIFORM, NUMBERS(.seed = 9), lecun * sqrt(3.0), lecun},
        {COT_LECUN_NORMAL, NUMBERS(.seed = 0), lecun * cut, lecun},
        {COT_RANDOM_UNIFORM, NUMBERS(.seed = 0), 0.05, 0.05 / sqrt(3.0)},
        {COT_RANDOM_UNIFORM, NUMBERS(.minval = -0.5, .maxval = 0.5), 0.5, 0.5 / sqrt(3.0)},
        {COT_RANDOM_NORMAL, NUMBERS(.seed = 0), 0.05 * 5.5, 0.05},
        {COT_RANDOM_NORMAL, NUMBERS(.stddev = 2.0), 2.0 * 5.5, 2.0},
        {COT_TRUNCATED_NORMAL, NUMBERS(.seed = 0), 0.1, 0.05 * 0.87962566103423978},
        {COT_TRUNCATED_NORMAL, NUMBERS(.stddev = 3.0), 6.0, 3.0 * 0.87962566103423978},
        {COT_VARIANCE_SCALING, NUMBERS(.seed = 0), lecun * cut, lecun},
        {COT_VARIANCE_SCALING,
         NUMBERS(.scale = 3, .mode = COT_FAN_OUT, .distribution = COT_DRAW_UNIFORM),
         3.0 / sqrt(OUT), sqrt(3.0 / OUT)},
        {COT_VARIANCE_SCALING,
         NUMBERS(.mode = COT_FAN_AVG, .distribution = COT_DRAW_UNTRUNCATED_NORMAL), glorot * 5.5,
         glorot}};
    static float value[N];
    cot_context *context = new_context(7);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(IN), NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cot_tensor y = cot_dense(x, OUT, .kernel_initializer = cases[i].initializer,
                                 .kernel_numbers = &cases[i].numbers);
        CHECK_OK(context, cot_variable_get(cot_tensor_layer(y)->weight[0], value, sizeof value));
        double sum = 0.0, squares = 0.0, largest = 0.0;
        for (int k = 0; k < N; k++) {
            sum += (double)value[k];
            squares += (double)value[k] * (double)value[k];
            largest = fmax(largest, fabs((double)value[k]));
        }
        double mean = sum / n, deviation = sqrt(squares / n - mean * mean);
        CHECK_NEAR(mean, 0.0, 6 * cases[i].deviation / sqrt(n));
        CHECK_NEAR(deviation / cases[i].deviation, 1.0, 0.02);
        assert_true(largest <= cases[i].limit * (1 + 1e-6));
        bool bounded = cases[i].initializer != COT_RANDOM_NORMAL &&
                       cases[i].numbers.distribution != COT_DRAW_UNTRUNCATED_NORMAL;
        assert_true(!bounded || largest > 0.98 * cases[i].limit);
    }
    cot_context_destroy(context);
}

static float first_of(const cot_variable *variable) {
    float value[MOST_ELEMENTS];
    assert_int_equal(cot_variable_get(variable, value, (size_t)count_of(variable) * sizeof(float)),
                     COT_OK);
    return value[0];
}

static void initial_weights_depend_on_seed_and_place_alone(void **state) {
    (void)state;
    float first[3], second[3];
    for (int i = 0; i < 3; i++) {
        cot_context *context = new_context(i == 2 ? 8 : 7);
        cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), NULL);
        cot_tensor failed = cot_dense(x, -1);
        assert_int_equal(failed.id, 0);
        cot_error_clear(context);
        cot_tensor a = cot_dense(x, 3), b = cot_dense(x, 3);
        first[i] = first_of(cot_tensor_layer(a)->weight[0]);
        second[i] = first_of(cot_tensor_layer(b)->weight[0]);
        cot_context_destroy(context);
    }
    assert_true(first[0] == first[1] && second[0] == second[1]);
    assert_true(first[0] != second[0] && first[0] != first[2]);
}

static void biases_and_constants(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2), NULL);
    cot_tensor y = cot_dense(x, 2, .kernel_initializer = COT_CONSTANT,
                             .kernel_numbers = cot_initializer_numbers(.value = 0.25),
                             .bias_initializer = COT_ONES);
    cot_tensor z = cot_dense(x, 2, .kernel_initializer = COT_ZEROS);
    const double quarter[4] = {0.25, 0.25, 0.25, 0.25}, ones[2] = {1, 1}, zeros[4] = {0};
    check_variable(cot_tensor_layer(y)->weight[0], quarter, 0.0);
    check_variable(cot_tensor_layer(y)->weight[1], ones, 0.0);
    check_variable(cot_tensor_layer(z)->weight[0], zeros, 0.0);
    check_variable(cot_tensor_layer(z)->weight[1], zeros, 0.0);
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic_names_count_per_stem),
        cmocka_unit_test(failed_calls_use_no_names),
        cmocka_unit_test(shapes_follow_keras),
        cmocka_unit_test(dense_matches_keras),
        cmocka_unit_test(merging_layers_compute_what_they_say),
        cmocka_unit_test(a_shared_layer_has_one_set_of_weights),
        cmocka_unit_test(layers_are_in_order_of_depth),
        cmocka_unit_test(unused_inputs_are_kept),
        cmocka_unit_test(ten_thousand_layers_are_walked),
        cmocka_unit_test(initial_weights_are_distributed_as_stated),
        cmocka_unit_test(initial_weights_depend_on_seed_and_place_alone),
        cmocka_unit_test(biases_and_constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
