/* A project outside the tree: differentiate y = sum(x * x) and check dy/dx = 2x on its own buffers.
 */
#include <cotangent.h>

static int run(cot_context *context) {
    cot_graph *graph = cot_graph_create(context, "square");
    cot_value x = cot_op_input(graph, COT_F32, (cot_shape){.rank = 1, .dim = {3}}, "x");
    cot_value y =
        cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_MUL, x, x), (const int32_t[]){0}, 1, false);
    cot_value dx = {0};
    if (cot_grad(y, &x, 1, &dx) != COT_OK || cot_graph_output(dx, "dx") != COT_OK) {
        return 2;
    }
    cot_program *program = cot_program_create(graph, NULL);
    cot_graph_destroy(graph);
    cot_session *session = cot_session_create(program);
    const float data[3] = {1.0F, -2.0F, 0.5F};
    float result[3] = {0};
    cot_array array = {.data = data, .dtype = COT_F32, .n_rows = 1, .row_elements = 3};
    int bad = cot_session_bind(session, "x", &array) != COT_OK ||
              cot_session_bind_output(session, "dx", result, sizeof result) != COT_OK ||
              cot_session_run(session, 1) != COT_OK;
    cot_session_destroy(session);
    cot_program_destroy(program);
    return bad || result[0] != 2.0F || result[1] != -4.0F || result[2] != 1.0F;
}

int main(void) {
    cot_context *context = cot_context_create(NULL);
    if (context == NULL) {
        return 1;
    }
    int status = run(context);
    cot_context_destroy(context);
    return status;
}
