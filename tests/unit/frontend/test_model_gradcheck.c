/*
 * The gradient check of models: compiled or not, with data or without; a layer whose gradient is
 * wrong is found and named.
 */
#include "frontend_support.h"

#include "alloc_fail.h"
#include "frontend/layers/layer.h"
#include "frontend/model/model.h"

/* 4 -> 5 tanh -> 2 softmax. */
static cot_model *make_model(cot_context *context) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), "x");
    cot_tensor h = cot_dense(x, 5, .activation = COT_TANH, .name = "hidden");
    cot_tensor y = cot_dense(h, 2, .activation = COT_SOFTMAX, .name = "class");
    return cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), "net");
}

typedef struct fixture {
    cot_context *context;
    cot_model *model;
    cot_gradcheck_options options;
    cot_gradcheck_report report;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->context = new_context(1);
    f->model = make_model(f->context);
    assert_non_null(f->model);
    f->options = (cot_gradcheck_options)COT_GRADCHECK_OPTIONS_INIT;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    cot_model_destroy(f->model);
    cot_context_destroy(f->context);
    free(f);
    return 0;
}

static bool check(fixture *f) {
    CHECK_OK(f->context, cot_model_gradcheck(f->model, &f->options, &f->report));
    return f->report.passed;
}

static void compile(fixture *f) {
    CHECK_OK(f->context, cot_model_compile(f->model, .optimizer = cot_sgd(),
                                           .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                           .metrics = {COT_ACCURACY}));
}

/* x 12 + kernels 20 + 10 + biases 5 + 2 = 49 elements at three rows. */
enum { N_X = 49 };

static void test_outputs_of_a_model(void **state) {
    fixture *f = *state;
    assert_true(check(f));
    /* the whole Jacobian of the output's 6 elements, and three directions */
    assert_int_equal(f->report.n_compared, N_X * 6 + 3 * (1 + 6 + 1));
}

static void test_loss_of_a_model(void **state) {
    fixture *f = *state;
    compile(f);
    float before[20];
    float after[20];
    cot_variable *kernel = cot_model_find_weight(f->model, "hidden/kernel");
    CHECK_OK(f->context, cot_variable_get(kernel, before, sizeof before));
    f->options.f32 = f->options.second = COT_ON;
    assert_true(check(f));
    assert_string_equal(f->report.output, "loss");
    CHECK_OK(f->context, cot_variable_get(kernel, after, sizeof after));
    assert_memory_equal(before, after, sizeof before);
}

/* Compiled without an optimizer, and without anything. */
static void test_other_compilations(void **state) {
    fixture *f = *state;
    CHECK_OK(f->context, cot_model_compile(f->model, .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY));
    assert_true(check(f));
    assert_string_equal(f->report.output, "loss");
    cot_model_destroy(f->model);
    f->model = make_model(f->context);
    CHECK_OK(f->context, cot_model_compile(f->model, .max_batch = 4));
    assert_true(check(f));
    assert_string_equal(f->report.output, "class");
}

/* Weights have their values: with a kernel of zeros x has no influence at all. */
static void test_weights_keep_their_values(void **state) {
    fixture *f = *state;
    const float zeros[20] = {0};
    cot_variable *kernel = cot_model_find_weight(f->model, "hidden/kernel");
    CHECK_OK(f->context, cot_variable_set(kernel, zeros, sizeof zeros));
    collected text = {.n = 0};
    f->options.write = collect;
    f->options.user = &text;
    assert_true(check(f));
    assert_non_null(strstr(text.text, "input \"x\" f64[3,4]: 72 derivatives by element, largest "
                                      "error 0\n"));
    f->options.keep_states = COT_OFF;
    text.n = 0;
    assert_true(check(f));
    assert_null(strstr(text.text, "input \"x\" f64[3,4]: 72 derivatives by element, largest error "
                                  "0\n"));
}

/* ---- a wrong layer ---- */

static coti_built (*right_build)(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                                 int32_t n, bool training);

/* As the layer itself, but half of its gradient is lost. */
static coti_built build_wrongly(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                                int32_t n, bool training) {
    coti_built built = right_build(layer, graph, input, n, training);
    cot_value half = cot_op_constant(graph, COT_F32, 0.5);
    cot_value kept = cot_op_binary(COT_OP_MUL, built.value, half);
    return coti_plain(cot_op_binary(COT_OP_ADD, kept, cot_op_stop_gradient(kept)));
}

static void test_wrong_layer_is_named(void **state) {
    fixture *f = *state;
    cot_layer *layer = cot_model_find_layer(f->model, "hidden");
    static coti_layer_class wrong;
    wrong = *layer->class;
    right_build = wrong.build;
    wrong.build = build_wrongly;
    layer->class = &wrong;
    compile(f);
    assert_false(check(f));
    assert_string_equal(f->report.op, "stop_gradient");
    assert_string_equal(f->report.layer, "hidden");
    assert_non_null(strstr(f->report.message, "suspect: stop_gradient \"hidden\""));
    assert_non_null(strstr(f->report.part, "stop_gradient %in0 : f32[N,5]  # \"hidden\""));
}

/* ---- data ---- */

/* Targets are called after their outputs. */
static void test_given_data(void **state) {
    fixture *f = *state;
    compile(f);
    const float x[2][4] = {{1, 2, 3, 4}, {0, 0, 0, 0}};
    const int32_t labels[2] = {1, 0};
    const cot_gradcheck_data data[] = {{"x", x}, {"class/target", labels}};
    f->options.data = data;
    f->options.n_data = 2;
    f->options.rows = 2;
    assert_true(check(f));
}

static void test_misuse(void **state) {
    fixture *f = *state;
    assert_int_equal(cot_model_gradcheck(NULL, NULL, &f->report), COT_E_ARG);
    assert_int_equal(cot_model_gradcheck(f->model, NULL, NULL), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "report_out");
    f->options.struct_size = 1;
    assert_int_equal(cot_model_gradcheck(f->model, &f->options, &f->report), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "struct_size is 1");
    f->options.struct_size = sizeof(size_t) + sizeof(int64_t); /* an older caller's */
    f->options.rows = 1;
    assert_true(check(f));
    f->options = (cot_gradcheck_options)COT_GRADCHECK_OPTIONS_INIT;
    f->options.rows = -1;
    assert_int_equal(cot_model_gradcheck(f->model, &f->options, &f->report), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "negative");
}

static cot_status check_model(cot_context *context, void *user) {
    (void)user;
    cot_model *model = make_model(context);
    cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
    options.n_directions = 1;
    options.max_elements = 1;
    cot_gradcheck_report report;
    cot_status status = model != NULL ? cot_model_gradcheck(model, &options, &report)
                                      : cot_error_get(context).status;
    cot_model_destroy(model);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    char text[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 7, NULL, check_model, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_outputs_of_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_of_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_compilations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights_keep_their_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_layer_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misuse, setup, teardown),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("model_gradcheck", tests, NULL, NULL);
}
