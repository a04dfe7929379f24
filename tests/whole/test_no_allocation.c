/*
 * A run takes no memory, from the first step on: malloc and its kin are interposed and
 * counted, for this program and for every library in it.
 */
#include "promises.h"

#include "count_malloc.h"

enum { ROWS = 50, INPUTS = 40, CLASSES = 10 };

/* x in four parts, each part's hyperbolic tangent with what was carried from the one before. */
static cot_value recur(cot_graph *graph, cot_value x) {
    enum { STEPS = 4 };
    cot_graph *body = cot_graph_create(cot_graph_context(graph), "recur");
    const cot_value c = cot_op_input(body, COT_F32, COT_BATCH(INPUTS / STEPS), "c");
    const cot_value part = cot_op_input(body, COT_F32, COT_BATCH(INPUTS / STEPS), "x");
    const cot_value next = cot_op_unary(COT_OP_TANH, cot_op_binary(COT_OP_ADD, c, part));
    (void)cot_graph_output(next, "c");
    (void)cot_graph_output(next, "y");
    const cot_value zero = cot_op_constant(graph, COT_F32, 0);
    const cot_value operands[] = {cot_op_broadcast(zero, COT_BATCH(INPUTS / STEPS), NULL, 0),
                                  cot_op_reshape(x, COT_BATCH(STEPS, INPUTS / STEPS))};
    const cot_scan_options options = {
        .struct_size = sizeof options, .n_carries = 1, .n_sequences = 1, .steps = STEPS};
    cot_value results[2] = {{0}, {0}};
    (void)cot_op_scan(body, operands, 2, &options, results);
    cot_graph_destroy(body);
    return cot_op_reshape(results[1], COT_BATCH(INPUTS));
}

/* One step of gradient descent for a recurrence and a layer with softmax: a whole training step. */
static cot_program *make_step(cot_context *context, cot_variable *kernel) {
    cot_graph *graph = cot_graph_create(context, "step");
    cot_value x = cot_op_input(graph, COT_F32, COT_BATCH(INPUTS), "x");
    cot_value y =
        cot_op_input(graph, COT_I32, (cot_shape){.rank = 1, .batched = true, .dim = {1}}, "y");
    cot_value w = cot_op_state(graph, kernel);
    cot_value target = cot_op_one_hot(y, CLASSES, COT_F32);
    cot_value rows = cot_op_softmax_cross_entropy(target, cot_op_matmul(recur(graph, x), w));
    cot_value loss = cot_op_mean(rows, (const int32_t[]){0}, 1, false);
    cot_value gradient = {0};
    (void)cot_grad(loss, &w, 1, &gradient);
    cot_value rate = cot_op_constant(graph, COT_F32, 0.1);
    cot_value step = cot_op_binary(COT_OP_MUL, gradient, rate);
    (void)cot_graph_update(w, cot_op_binary(COT_OP_SUB, w, step));
    (void)cot_graph_output(loss, "loss");
    cot_program *program = cot_program_create(graph, NULL);
    cot_graph_destroy(graph);
    return program;
}

static void runs_take_no_memory(void **state) {
    (void)state;
    static float x[ROWS * INPUTS];
    static int32_t y[ROWS];
    float loss[2] = {0.0F, 0.0F};
    for (int i = 0; i < ROWS * INPUTS; i++) {
        x[i] = (float)((i * 37) % 101) / 101.0F - 0.5F;
    }
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % CLASSES;
    }
    cot_context *context = promise_context(2);
    cot_variable *kernel = cot_variable_create(context, COT_F32, COT_SHAPE(INPUTS, CLASSES), "w");
    cot_program *program = make_step(context, kernel);
    assert_non_null(program);
    assert_true(cot_program_get_info(program).n_kernels > 0);
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    const cot_array xs = {.data = x, .dtype = COT_F32, .n_rows = ROWS, .row_elements = INPUTS};
    const cot_array ys = {.data = y, .dtype = COT_I32, .n_rows = ROWS, .row_elements = 1};
    assert_int_equal(cot_session_bind(session, "x", &xs), COT_OK);
    assert_int_equal(cot_session_bind(session, "y", &ys), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "loss", loss, sizeof loss[0]), COT_OK);

    long before = n_allocations;
    assert_true(before > 0); /* the count works */
    assert_int_equal(cot_session_run(session, ROWS), COT_OK);
    assert_int_equal(n_allocations - before, 0);
    float first = loss[0];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cot_session_run(session, i % 2 == 0 ? ROWS : 7), COT_OK);
    }
    assert_int_equal(n_allocations - before, 0);
    assert_true(loss[0] < first);

    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_variable_release(kernel);
    cot_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_take_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
