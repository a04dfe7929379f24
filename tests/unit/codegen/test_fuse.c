/*
 * How graphs are cut into groups: which nodes share a kernel, which values reach memory, where
 * states are written.
 */
#include "fuse_case.h"

#include <stdio.h>

static cot_context *context;

static cot_shape rows_of(int64_t width) {
    return (cot_shape){.rank = 2, .batched = true, .dim = {1, width}};
}

static cot_value parameter(cot_graph *graph, int64_t m, int64_t n, const char *name) {
    cot_shape shape = {.rank = n > 0 ? 2 : 1, .dim = {m, n}};
    cot_variable *variable = cot_variable_create(context, COT_F32, shape, name);
    cot_value state = cot_op_state(graph, variable);
    cot_variable_release(variable);
    return state;
}

/* x w + b */
static cot_value dense(cot_graph *graph, cot_value x, int64_t m, int64_t n, int32_t i, cot_value *w,
                       cot_value *b) {
    char name[32];
    snprintf(name, sizeof name, "w%d", i);
    *w = parameter(graph, m, n, name);
    snprintf(name, sizeof name, "b%d", i);
    *b = parameter(graph, n, 0, name);
    return cot_op_binary(COT_OP_ADD, cot_op_matmul(x, *w), *b);
}

static void update_by_sgd(cot_graph *graph, cot_value parameter_value, cot_value gradient) {
    cot_value rate = cot_op_constant(graph, COT_F32, 0.1);
    cot_value step = cot_op_binary(COT_OP_MUL, gradient, rate);
    CHECK_OK(context,
             cot_graph_update(parameter_value, cot_op_binary(COT_OP_SUB, parameter_value, step)));
}

static cot_value mean_cross_entropy(cot_value target, cot_value logits) {
    const int32_t axis = 0;
    return cot_op_mean(cot_op_softmax_cross_entropy(target, logits), &axis, 1, false);
}

static void test_mlp(void **state) {
    (void)state;
    cot_graph *graph = cot_graph_create(context, "mlp");
    cot_value w[2], b[2], grad[4];
    cot_value x = cot_op_input(graph, COT_F32, rows_of(20), "x");
    cot_value y = cot_op_input(graph, COT_F32, rows_of(10), "y");
    cot_value h = cot_op_unary(COT_OP_RELU, dense(graph, x, 20, 15, 0, &w[0], &b[0]));
    cot_value z = dense(graph, h, 15, 10, 1, &w[1], &b[1]);
    cot_value loss = mean_cross_entropy(y, z);
    const cot_value wrt[4] = {w[0], b[0], w[1], b[1]};
    CHECK_OK(context, cot_grad(loss, wrt, 4, grad));
    for (int32_t i = 0; i < 4; i++) {
        update_by_sgd(graph, wrt[i], grad[i]);
    }
    CHECK_OK(context, cot_graph_output(loss, "loss"));
    coti_groups *groups = fuse_groups(graph, 128);

    CHECK_NO_COMPLAINT(fuse_complaint(groups));
    coti_groups_destroy(groups);
    fuse_check(graph, 40, 3, 1e-5);
    cot_graph_destroy(graph);
}

static int setup(void **state) {
    (void)state;
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    return context == NULL;
}

static int teardown(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
