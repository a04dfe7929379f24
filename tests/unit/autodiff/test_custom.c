/*
 * Custom gradients: that the backward body is what is used, that a wrong one is found by the
 * gradient check, that nothing is made for what needs no gradient, and every complaint.
 */
#include "check.h"

#include "custom_function.h"
#include "graph/body.h"
#include "shapes.h"

#include "cotangent/inspect.h"

static size_t count_op(const cot_graph *graph, cot_op op) {
    size_t n = 0;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        n += coti_node_at(graph, id)->op == op;
    }
    return n;
}

static cot_gradcheck_report check(cot_value y) {
    cot_gradcheck_report report = {0};
    cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
    cot_context *context = cot_graph_context(y.graph);
    CHECK_OK(context, cot_graph_output(y, "y"));
    CHECK_OK(context, cot_gradcheck(y.graph, &options, &report));
    return report;
}

static void a_right_backward_passes_and_a_wrong_one_fails(void **state) {
    (void)state;
    static const double factors[] = {1, 1.001, -1, 0, 2};
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        cot_context *context = cot_context_create(NULL);
        cot_graph *graph = cot_graph_create(context, "g");
        cot_value x = cot_op_input(graph, COT_F32, read_shape("N,3"), "x");
        cot_gradcheck_report report = check(custom_tanh(x, factors[i]));
        assert_true(report.n_compared > 0);
        assert_int_equal(report.passed, factors[i] == 1);
        cot_graph_destroy(graph);
        cot_context_destroy(context);
    }
}

/* Wrong in a body inside a body. */
static void a_wrong_inner_backward_fails(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("3"), "x");
    cot_graph *forward = cot_graph_create(context, "f");
    cot_graph *backward = cot_graph_create(context, "b");
    cot_value y = custom_tanh(custom_input(forward, x, "x"), 1);
    CHECK_OK(context, cot_graph_output(y, "y"));
    cot_value again = custom_input(backward, x, "x");
    custom_input(backward, x, "y");
    cot_value g = custom_input(backward, x, "g");
    cot_value dx;
    CHECK_OK(context, cot_vjp(custom_tanh(again, 0.5), g, &again, 1, &dx));
    CHECK_OK(context, cot_graph_output(dx, "dx"));
    cot_gradcheck_report report = check(custom_apply(forward, backward, &x, 1));
    assert_true(report.n_compared > 0);
    assert_false(report.passed);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* The host's derivative is used even where it is not the derivative of forward's nodes. */
static void the_backward_given_is_the_one_used(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("-"), "x");
    cot_value dx, ddx;
    CHECK_OK(context, cot_grad(custom_tanh(x, 3), &x, 1, &dx));
    CHECK_OK(context, cot_grad(dx, &x, 1, &ddx));
    CHECK_OK(context, cot_graph_output(dx, "dx"));
    CHECK_OK(context, cot_graph_output(ddx, "ddx"));
    const double at = 0.5;
    double first = 0;
    double second = 0;
    run_f64(graph, 1, (const double *const[]){&at}, (double *const[]){&first, &second});
    double y = 0.46211715726000975850; /* tanh(1/2) */
    assert_true(first > 3 * (1 - y * y) - 1e-14 && first < 3 * (1 - y * y) + 1e-14);
    /* d/dx 3 (1 - y^2) = -6 y y', where y' is again the host's, 3 (1 - y^2). */
    double expected = -6 * y * 3 * (1 - y * y);
    assert_true(second > expected - 1e-13 && second < expected + 1e-13);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void nothing_is_made_for_what_needs_no_gradient(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value a = cot_op_input(graph, COT_F32, read_shape("N,3"), "a");
    cot_value b = cot_op_input(graph, COT_F32, read_shape("N,3"), "b");
    cot_value u = cot_op_input(graph, COT_F32, read_shape("N,3"), "u");
    cot_value y = custom_product(a, b);
    cot_value da;
    size_t nodes = graph->node.count;
    CHECK_OK(context, cot_vjp(y, u, &a, 1, &da));
    assert_int_equal(graph->node.count, nodes + 1); /* u b alone */
    assert_int_equal(coti_node_of(da)->op, COT_OP_MUL);
    assert_int_equal(coti_node_of(da)->input[1], b.id);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* Equal functions on equal operands are one node, whoever built their graphs. */
static void equal_calls_are_one_node(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F32, read_shape("3"), "x");
    cot_value first = custom_tanh(x, 1);
    assert_int_equal(custom_tanh(x, 1).id, first.id);
    assert_int_not_equal(custom_tanh(x, 2).id, first.id);
    assert_int_equal(count_op(graph, COT_OP_CUSTOM), 2);
    assert_int_equal(graph->body.count, 3); /* one forward, two backwards */
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- complaints ---- */

/* A body of inputs ("f32 2,3;bool -") whose outputs are the inputs named by index. */
static cot_graph *body_of(cot_context *context, const char *name, const char *inputs,
                          const char *outputs) {
    cot_graph *body = cot_graph_create(context, name);
    cot_value x[8];
    int32_t n = 0;
    for (const char *at = inputs; at != NULL && *at != '\0'; n++) {
        char label[16];
        snprintf(label, sizeof label, "i%d", (int)n);
        cot_dtype dtype = strncmp(at, "f64", 3) == 0   ? COT_F64
                          : strncmp(at, "i32", 3) == 0 ? COT_I32
                                                       : COT_F32;
        x[n] = cot_op_input(body, dtype, read_shape(at + 4), label);
        at = strchr(at, ';');
        at = at != NULL ? at + 1 : NULL;
    }
    for (const char *at = outputs; *at != '\0'; at++) {
        char label[2] = {(char)('a' + (at - outputs)), '\0'};
        CHECK_OK(context, cot_graph_output(x[*at - '0'], label));
    }
    return body;
}

typedef struct complaint {
    const char *forward_inputs, *forward_outputs, *backward_inputs, *backward_outputs;
    cot_status status;
    const char *message;
} complaint;

/* All are applied to x0 f32[2,3] and x1 i32[3]. */
static const complaint complaints[] = {
    {"f32 2,3", "0", "", "", COT_E_ARG, "custom \"host\": forward \"f\" has 1 inputs, 2 expected"},
    {"f32 2,3;i32 3", "", "", "", COT_E_ARG, "forward \"f\" has 0 outputs, 1 expected"},
    {"f32 2,3;i32 3", "00", "", "", COT_E_ARG, "forward \"f\" has 2 outputs, 1 expected"},
    {"f32 3,2;i32 3", "0", "", "", COT_E_SHAPE,
     "custom \"host\": value \"i0\" of graph \"f\" is f32[3,2], as an operand's value it must be "
     "f32[2,3]: x0 is f32[2,3], x1 is i32[3]"},
    {"f32 2,3;f32 3", "0", "", "", COT_E_DTYPE, "value \"i1\" of graph \"f\" is f32[3]"},
    {"f32 N,3;i32 3", "0", "", "", COT_E_SHAPE, "value \"i0\" of graph \"f\" is f32[N,3]"},
    {"f32 2,3;i32 3", "1", "", "", COT_E_DTYPE, "forward \"f\" gives i32, f32 or f64 expected"},
    {"f32 2,3;i32 3", "0", "f32 2,3;i32 3;f32 2,3", "0", COT_E_ARG,
     "backward \"b\" has 3 inputs, 4 expected"},
    {"f32 2,3;i32 3", "0", "f32 2,3;i32 3;f32 2,3;f32 2,3", "01", COT_E_ARG,
     "backward \"b\" has 2 outputs, 1 expected"},
    {"f32 2,3;i32 3", "0", "f32 2,3;i32 2;f32 2,3;f32 2,3", "0", COT_E_SHAPE,
     "value \"i1\" of graph \"b\" is i32[2], as an operand's value it must be i32[3]"},
    {"f32 2,3;i32 3", "0", "f32 2,3;i32 3;f32 2;f32 2,3", "0", COT_E_SHAPE,
     "value \"i2\" of graph \"b\" is f32[2], as the output it must be f32[2,3]"},
    {"f32 2,3;i32 3", "0", "f32 2,3;i32 3;f32 2,3;f64 2,3", "0", COT_E_DTYPE,
     "value \"i3\" of graph \"b\" is f64[2,3], as the cotangent it must be f32[2,3]"},
    {"f32 2,3;i32 3", "0", "f32 2,3;i32 3;f32 2,3;f32 2,3", "1", COT_E_DTYPE,
     "\"a\" of graph \"b\" is i32[3], as an operand's cotangent it must be f32[2,3]"},
};

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        const complaint *c = &complaints[i];
        cot_graph *graph = cot_graph_create(context, "g");
        cot_graph_set_layer(graph, "host");
        const cot_value x[2] = {cot_op_input(graph, COT_F32, read_shape("2,3"), "x"),
                                cot_op_input(graph, COT_I32, read_shape("3"), "i")};
        cot_graph *forward = body_of(context, "f", c->forward_inputs, c->forward_outputs);
        cot_graph *backward = body_of(context, "b", c->backward_inputs, c->backward_outputs);
        assert_null(custom_apply(forward, backward, x, 2).graph);
        CHECK_ERROR(context, c->status, c->message);
        CHECK_OK(context, coti_graph_verify(graph));
        cot_graph_destroy(graph);
    }
    cot_context_destroy(context);
}

static void nothing_given_is_refused(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F32, read_shape("2"), "x");
    cot_graph *body = body_of(context, "f", "f32 2", "0");
    assert_null(cot_op_custom(NULL, body, &x, 1).graph);
    CHECK_ERROR(context, COT_E_ARG, "custom: forward is NULL");
    assert_null(cot_op_custom(body, NULL, &x, 1).graph);
    CHECK_ERROR(context, COT_E_ARG, "custom: backward is NULL");
    assert_null(cot_op_custom(body, body, NULL, 1).graph);
    assert_null(cot_op_custom(body, body, &x, 0).graph);
    assert_null(cot_op_custom(body, body, &x, -1).graph);
    const cot_value poison = {NULL, 0};
    assert_null(cot_op_custom(body, body, &poison, 1).graph);
    CHECK_OK(context, cot_error_get(context).status);
    const cot_value foreign[2] = {x, cot_graph_input_at(body, 0)};
    assert_null(cot_op_custom(body, body, foreign, 2).graph);
    CHECK_ERROR(context, COT_E_ARG, "operand 2 of 2 belongs to another graph");
    cot_variable *w = cot_variable_create(context, COT_F32, read_shape("2"), "w");
    cot_graph *keeper = body_of(context, "keeper", "f32 2", "0");
    cot_op_state(keeper, w);
    assert_null(cot_op_custom(keeper, body, &x, 1).graph);
    CHECK_ERROR(context, COT_E_ARG, "graph \"keeper\" cannot be a body: it has a state \"w\"");
    cot_variable_release(w);
    cot_graph_destroy(keeper);
    cot_graph_destroy(body);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_backward_passes_and_a_wrong_one_fails),
        cmocka_unit_test(a_wrong_inner_backward_fails),
        cmocka_unit_test(the_backward_given_is_the_one_used),
        cmocka_unit_test(nothing_is_made_for_what_needs_no_gradient),
        cmocka_unit_test(equal_calls_are_one_node),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(nothing_given_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
