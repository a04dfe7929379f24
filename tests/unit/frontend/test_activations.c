/*
 * Activations: values and gradients against Keras 3.16's, their numbers, and what is refused.
 */
#include "frontend_support.h"

#include <math.h>

#include "frontend/layers/layer.h"
#include "graph/graph.h"

/* ---- value and gradient ---- */

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

/* ---- numbers ---- */

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
        cmocka_unit_test(activations_match_keras),
        cmocka_unit_test(sparsemax_by_hand),
        cmocka_unit_test(numbers_of_activations),
        cmocka_unit_test(numbers_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
