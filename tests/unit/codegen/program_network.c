/* The network of the tests of programs. */
#include "program_network.h"

#include "check.h"

float network_w[COLUMNS * OUT];

void network_init(void) {
    for (int32_t i = 0; i < COLUMNS * OUT; i++) {
        network_w[i] = (float)(i * 5 % 7 - 3);
    }
}

cot_context *network_context(bool jit) {
    cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                             .threads = 2,
                                                             .verify = COT_ON,
                                                             .jit = jit ? COT_ON : COT_OFF,
                                                             .environment = COT_OFF});
    assert_non_null(context);
    return context;
}

network network_make(cot_context *context) {
    network n = {.context = context, .graph = cot_graph_create(context, "net")};
    static const int32_t both[] = {0, 1};
    n.w = cot_variable_create(context, COT_F32, COT_SHAPE(COLUMNS, OUT), "w");
    n.sum = cot_variable_create(context, COT_F32, COT_SCALAR, "sum");
    cot_value input = cot_op_input(n.graph, COT_F32, COT_BATCH(COLUMNS), "x");
    cot_op_input(n.graph, COT_I32, COT_BATCH(1), "unused");
    cot_value state = cot_op_state(n.graph, n.w), sum = cot_op_state(n.graph, n.sum);
    cot_value y = cot_op_binary(COT_OP_ADD, cot_op_matmul(input, state), sum);
    cot_value total = cot_op_reduce(COT_OP_SUM, y, both, 2, false);
    cot_graph_output(y, "y");
    cot_graph_output(total, "total");
    cot_graph_update(state, cot_op_binary(COT_OP_ADD, state, sum));
    cot_graph_update(sum, cot_op_binary(COT_OP_ADD, sum, cot_op_constant(n.graph, COT_F32, 1)));
    if (n.w != NULL) {
        cot_variable_set(n.w, network_w, sizeof network_w);
    }
    return n;
}

void network_drop(network *n) {
    cot_graph_destroy(n->graph);
    cot_variable_release(n->w);
    cot_variable_release(n->sum);
}

cot_program *network_program(const cot_graph *graph, int64_t max_rows) {
    cot_program_options options = {.struct_size = sizeof options, .max_rows = max_rows};
    cot_program *program = cot_program_create(graph, &options);
    if (program == NULL) {
        fail_msg("%s", cot_error_message(cot_graph_context(graph)));
    }
    return program;
}
