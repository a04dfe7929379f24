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

/* ---- activations: value and gradient, as Keras gives them ---- */

enum { N_POINTS = 7 };
static const float points[N_POINTS] = {-3.5f, -1.0f, -0.5f, 0.0f, 0.25f, 1.0f, 4.0f};

typedef struct activation_case {
    cot_activation_kind kind;
    double value[N_POINTS];
    bool has_gradient;
    double gradient[N_POINTS];
} activation_case;

static const activation_case activation_cases[] = {
    {COT_LINEAR, {-3.5, -1, -0.5, 0, 0.25, 1, 4}, true, {1, 1, 1, 1, 1, 1, 1}},
    {COT_RELU, {0, 0, 0, 0, 0.25, 1, 4}, true, {0, 0, 0, 0, 1, 1, 1}},
    {COT_SIGMOID,
     {0.029312231, 0.26894143, 0.37754068, 0.5, 0.56217653, 0.7310586, 0.98201376},
     true,
     {0.028453022, 0.19661194, 0.23500371, 0.25, 0.24613407, 0.19661193, 0.017662734}},
    {COT_TANH,
     {-0.99817789, -0.76159418, -0.46211717, 0.0, 0.24491866, 0.76159418, 0.99932933},
     true,
     {0.0036409078, 0.4199743, 0.7864477, 1.0, 0.94001484, 0.4199743, 0.0013408931}},
    {COT_GELU,
     {-0.00081433356, -0.15865529, -0.15426879, 0.0, 0.14967656, 0.84134471, 3.9998732},
     true,
     {-0.0028217137, -0.083315432, 0.13250491, 0.5, 0.6953733, 1.0833154, 1.0005037}},
    {COT_GELU_TANH,
     {-0.00061614811, -0.15880799, -0.154286, 0.0, 0.14967535, 0.84119201, 3.9999299},
     false,
     {0}},
    {COT_SOFTMAX,
     {0.00049826503, 0.0060701105, 0.01000792, 0.016500272, 0.021186767, 0.044852387, 0.90088427},
     false,
     {0}},
    {COT_RELU6, {0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 4.0}, true, {0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0}},
    {COT_LEAKY_RELU,
     {-0.69999999, -0.2, -0.1, 0.0, 0.25, 1.0, 4.0},
     true,
     {0.2, 0.2, 0.2, 0.2, 1.0, 1.0, 1.0}},
    {COT_ELU,
     {-0.96980262, -0.63212055, -0.39346933, 0.0, 0.25, 1.0, 4.0},
     true,
     {0.030197384, 0.36787945, 0.60653067, 1.0, 1.0, 1.0, 1.0}},
    {COT_SELU,
     {-1.7050093, -1.1113307, -0.69175816, 0.0, 0.26267526, 1.050701, 4.2028041},
     true,
     {0.053089999, 0.64676863, 1.0663412, 1.050701, 1.050701, 1.050701, 1.050701}},
    {COT_CELU,
     {-0.96980262, -0.63212055, -0.39346933, 0.0, 0.25, 1.0, 4.0},
     true,
     {0.030197384, 0.36787945, 0.60653067, 1.0, 1.0, 1.0, 1.0}},
    {COT_SOFTPLUS,
     {0.029750418, 0.31326169, 0.47407699, 0.69314718, 0.82593942, 1.3132616, 4.0181499},
     true,
     {0.029312231, 0.26894143, 0.37754068, 0.5, 0.56217653, 0.7310586, 0.98201376}},
    {COT_SOFTSIGN,
     {-0.77777779, -0.5, -0.33333334, 0.0, 0.2, 0.5, 0.80000001},
     true,
     {0.049382716, 0.25, 0.44444448, 1.0, 0.63999999, 0.25, 0.040000007}},
    {COT_SILU,
     {-0.10259281, -0.26894143, -0.18877034, 0.0, 0.14054413, 0.7310586, 3.928055},
     true,
     {-0.070273347, 0.072329484, 0.26003882, 0.5, 0.62371004, 0.92767054, 1.0526646}},
    {COT_MISH,
     {-0.10409575, -0.30340147, -0.22074378, 0.0, 0.16957241, 0.86509836, 3.9974129},
     true,
     {-0.072760411, 0.059216753, 0.28951067, 0.60000002, 0.75417268, 1.0490363, 1.0044327}},
    {COT_HARD_SIGMOID,
     {0.0, 0.33333334, 0.41666666, 0.5, 0.54166669, 0.66666669, 1.0},
     true,
     {0.0, 0.16666667, 0.16666667, 0.16666667, 0.16666667, 0.16666667, 0.0}},
    {COT_HARD_SILU,
     {-0.0, -0.33333334, -0.20833333, 0.0, 0.13541667, 0.66666669, 4.0},
     true,
     {0.0, 0.16666666, 0.33333331, 0.5, 0.58333331, 0.83333337, 1.0}},
    {COT_HARD_TANH,
     {-1.0, -1.0, -0.5, 0.0, 0.25, 1.0, 1.0},
     true,
     {0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0}},
    {COT_EXPONENTIAL,
     {0.030197384, 0.36787945, 0.60653067, 1.0, 1.2840254, 2.7182817, 54.598152},
     true,
     {0.030197384, 0.36787945, 0.60653067, 1.0, 1.2840254, 2.7182817, 54.598152}},
    {COT_LOG_SIGMOID,
     {-3.5297503, -1.3132617, -0.97407699, -0.69314718, -0.57593942, -0.31326169, -0.018149929},
     true,
     {0.97068775, 0.7310586, 0.62245929, 0.5, 0.4378235, 0.26894143, 0.01798621}},
    {COT_LOG_SOFTMAX,
     {-7.6043787, -5.1043787, -4.6043787, -4.1043787, -3.8543785, -3.1043785, -0.1043785},
     false,
     {0}},
    {COT_SQUAREPLUS,
     {0.26556444, 0.61803401, 0.78077638, 1.0, 1.1327822, 1.618034, 4.2360678},
     true,
     {0.065878451, 0.2763932, 0.37873217, 0.5, 0.56201738, 0.72360682, 0.94721359}},
    {COT_SOFT_SHRINK,
     {-3.0, -0.5, 0.0, 0.0, 0.0, 0.5, 3.5},
     true,
     {1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0}},
    {COT_HARD_SHRINK,
     {-3.5, -1.0, 0.0, 0.0, 0.0, 1.0, 4.0},
     true,
     {1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0}},
    {COT_TANH_SHRINK,
     {-2.501822, -0.23840582, -0.037882835, 0.0, 0.0050813407, 0.23840582, 3.0006707},
     true,
     {0.99635911, 0.58002567, 0.2135523, 0.0, 0.059985161, 0.58002567, 0.99865913}},
    {COT_SPARSE_PLUS,
     {0.0, 0.0, 0.0625, 0.25, 0.390625, 1.0, 4.0},
     true,
     {0.0, 0.0, 0.25, 0.5, 0.625, 1.0, 1.0}},
    {COT_SPARSE_SIGMOID,
     {0.0, 0.0, 0.25, 0.5, 0.625, 1.0, 1.0},
     true,
     {0.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0}},
    {COT_SPARSEMAX, {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0}, false, {0}}};

static void check_activation(cot_context *context, const activation_case *c) {
    cot_graph *graph = cot_graph_create(context, "activation");
    cot_value x = cot_op_input(graph, COT_F32, COT_BATCH(N_POINTS), "x");
    cot_value y = coti_activation_build(c->kind, x).value;
    cot_value one = cot_op_constant(graph, COT_F32, 1.0);
    cot_value ones = cot_op_broadcast(one, cot_value_shape(y), NULL, 0), dx = {NULL, 0};
    CHECK_OK(context, cot_vjp(y, ones, &x, 1, &dx));
    CHECK_OK(context, cot_graph_output(y, "y"));
    CHECK_OK(context, cot_graph_output(dx, "dx"));
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    float value[N_POINTS], gradient[N_POINTS];
    cot_array array = array_of(points, 1, N_POINTS);
    assert_int_equal(cot_session_bind(session, "x", &array), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "y", value, sizeof value), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "dx", gradient, sizeof gradient), COT_OK);
    assert_int_equal(cot_session_run(session, 1), COT_OK);
    double largest = 1.0; /* exp(4) is not within 2e-6 of anything in f32 */
    for (int32_t i = 0; i < N_POINTS; i++) {
        largest = fmax(largest, fabs(c->value[i]) / 4.0);
    }
    check_floats(cot_activation_name(c->kind), value, c->value, N_POINTS, 2e-6 * largest);
    if (c->has_gradient) {
        check_floats("its gradient", gradient, c->gradient, N_POINTS, 2e-6 * largest);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
}

/* A sparsemax of a few rows by hand: (x - tau) of the support, tau from the condition that they sum
 * to 1; equal elements share. */
static void sparsemax_by_hand(void **state) {
    (void)state;
    static const float x[4][3] = {{0, 0, 0}, {0.5f, 0.25f, -3}, {1, 1, 0.9f}, {-7, -7.5f, -7.25f}};
    static const double y[4][3] = {{1.0 / 3, 1.0 / 3, 1.0 / 3},
                                   {0.625, 0.375, 0},
                                   {1.0 - 1.9 / 3, 1.0 - 1.9 / 3, 0.9 - 1.9 / 3},
                                   {1.0 / 3 + 0.25, 1.0 / 3 - 0.25, 1.0 / 3}};
    cot_context *context = new_context(1);
    cot_graph *graph = cot_graph_create(context, "sparsemax");
    cot_value in = cot_op_input(graph, COT_F32, COT_BATCH(3), "x");
    CHECK_OK(context, cot_graph_output(coti_activation_build(COT_SPARSEMAX, in).value, "y"));
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = cot_session_create(program);
    float value[12];
    cot_array array = array_of(x[0], 4, 3);
    assert_int_equal(cot_session_bind(session, "x", &array), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "y", value, sizeof value), COT_OK);
    assert_int_equal(cot_session_run(session, 4), COT_OK);
    check_floats("sparsemax", value, y[0], 12, 1e-6);
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void activations_match_keras(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    for (size_t i = 0; i < sizeof activation_cases / sizeof activation_cases[0]; i++) {
        check_activation(context, &activation_cases[i]);
    }
    assert_string_equal(cot_activation_name(COT_GELU_TANH), "gelu_tanh");
    assert_string_equal(cot_activation_name((cot_activation_kind)99), "?");
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

/* LeakyReLU() of Keras has a slope of 0.3, its function one of 0.2. */
static void numbers_of_activations(void **state) {
    (void)state;
    static const double leaky[N_POINTS] = {-1.0500001, -0.30000001, -0.15000001, 0, 0.25, 1, 4};
    float y[N_POINTS];
    cot_context *context = new_context(1);
    cot_model *model = cot_sequential_create(context, COT_F32, COT_SHAPE(1), NULL);
    cot_activation_options options = COT_ACTIVATION_OPTIONS_INIT;
    options.activation = COT_LEAKY_RELU;
    options.negative_slope = 0.3;
    CHECK_OK(context, cot_sequential_add(model, cot_activation_layer_with(context, &options)));
    CHECK_OK(context, cot_model_compile(model, .max_batch = N_POINTS));
    const cot_array x = array_of(points, N_POINTS, 1);
    cot_dataset *data =
        cot_dataset_create(context, (cot_array_list){&x, 1}, COT_NO_ARRAYS, COT_BORROW);
    CHECK_OK(context, cot_model_predict(model, data, COT_BUFFERS({y, sizeof y})));
    check_floats("leaky", y, leaky, N_POINTS, 1e-6);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void numbers_that_are_refused(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(5), "x");
    assert_int_equal(cot_activation(x, COT_TANH, .alpha = 0.5, .name = "t").id, 0);
    CHECK_ERROR(context, COT_E_ARG, "alpha is 0.5, but tanh has no such number");
    assert_int_equal(cot_activation(x, COT_ELU, .negative_slope = COT_ZERO).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "negative_slope is -0, but elu has no such number");
    assert_int_equal(cot_activation(x, COT_LEAKY_RELU, .negative_slope = -0.1).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "negative_slope is -0.1");
    assert_int_equal(cot_activation(x, COT_RELU, .max_value = (double)NAN).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "max_value is nan");
    assert_int_equal(cot_activation(x, COT_CELU, .alpha = COT_ZERO).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "alpha is -0");
    assert_int_equal(cot_activation(x, COT_GLU).id, 0);
    CHECK_ERROR(context, COT_E_SHAPE, "glu of f32[N,5]: expected a last axis that can be halved");
    assert_int_equal(cot_dense(x, 4, .activation = COT_GLU).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "glu");
    assert_int_equal(cot_activation(x, (cot_activation_kind)99).id, 0);
    CHECK_ERROR(context, COT_E_ARG, "99 is no activation");
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_activations),
        cmocka_unit_test(numbers_that_are_refused),
        cmocka_unit_test(automatic_names_count_per_stem),
        cmocka_unit_test(failed_calls_use_no_names),
        cmocka_unit_test(shapes_follow_keras),
        cmocka_unit_test(activations_match_keras),
        cmocka_unit_test(sparsemax_by_hand),
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
