/*
 * A C host that has no "model": it builds a function of tensors, differentiates it, compiles it,
 * and runs it on its own buffers. Here: fit a line y = a*x + b to noisy points by gradient descent,
 * the whole step (prediction, loss, gradient and update) being one compiled program.
 *
 *   graph_api          prints a and b, which are near 2 and -1
 */
#include <cotangent.h>

#include <stdio.h>
#include <stdlib.h>

enum { N_POINTS = 200, N_STEPS = 500 };

/* The points: x in [-1, 1), y = 2x - 1 plus a small deterministic disturbance. */
static void make_points(float *x, float *y) {
    for (int i = 0; i < N_POINTS; i++) {
        x[i] = 2.0F * (float)i / (float)N_POINTS - 1.0F;
        y[i] = 2.0F * x[i] - 1.0F + 0.05F * (float)((i * 37) % 11 - 5) / 5.0F;
    }
}

/* One step of gradient descent on the mean squared error of a*x + b, as a graph over N rows. */
static cot_graph *build_step(cot_context *context, cot_variable *a, cot_variable *b) {
    cot_graph *graph = cot_graph_create(context, "fit_line");
    cot_shape column = {.rank = 1, .batched = true, .dim = {1}};
    cot_value x = cot_op_input(graph, COT_F32, column, "x");
    cot_value y = cot_op_input(graph, COT_F32, column, "y");
    cot_value state[2] = {cot_op_state(graph, a), cot_op_state(graph, b)};

    cot_value line = cot_op_binary(COT_OP_ADD, cot_op_binary(COT_OP_MUL, x, state[0]), state[1]);
    cot_value error = cot_op_binary(COT_OP_SUB, line, y);
    cot_value square = cot_op_binary(COT_OP_MUL, error, error);
    cot_value loss = cot_op_mean(square, (const int32_t[]){0}, 1, false);

    cot_value gradient[2] = {{0}};
    (void)cot_grad(loss, state, 2, gradient);
    cot_value rate = cot_op_constant(graph, COT_F32, 0.1);
    for (int i = 0; i < 2; i++) {
        cot_value step = cot_op_binary(COT_OP_MUL, gradient[i], rate);
        (void)cot_graph_update(state[i], cot_op_binary(COT_OP_SUB, state[i], step));
    }
    (void)cot_graph_output(loss, "loss");
    return graph; /* builders are sticky: cot_program_create reports whatever went wrong */
}

/* Run the program N_STEPS times on the points; leaves the last loss in *loss_out. */
static cot_status train(cot_program *program, const float *x, const float *y, float *loss_out) {
    cot_session *session = cot_session_create(program);
    if (session == NULL) {
        return COT_E_NOMEM;
    }
    cot_array xs = {.data = x, .dtype = COT_F32, .n_rows = N_POINTS, .row_elements = 1};
    cot_array ys = {.data = y, .dtype = COT_F32, .n_rows = N_POINTS, .row_elements = 1};
    cot_status status = cot_session_bind(session, "x", &xs);
    if (status == COT_OK) {
        status = cot_session_bind(session, "y", &ys);
    }
    if (status == COT_OK) {
        status = cot_session_bind_output(session, "loss", loss_out, sizeof *loss_out);
    }
    for (int i = 0; i < N_STEPS && status == COT_OK; i++) {
        status = cot_session_run(session, N_POINTS);
    }
    if (status != COT_OK) {
        (void)fprintf(stderr, "run: %s\n", cot_session_message(session));
    }
    cot_session_destroy(session);
    return status;
}

int main(void) {
    cot_context *context = cot_context_create(NULL);
    if (context == NULL) {
        return EXIT_FAILURE;
    }
    cot_variable *a = cot_variable_create(context, COT_F32, (cot_shape){.rank = 0}, "a");
    cot_variable *b = cot_variable_create(context, COT_F32, (cot_shape){.rank = 0}, "b");
    cot_graph *graph = build_step(context, a, b);
    cot_program_options options = {.struct_size = sizeof options, .max_rows = N_POINTS};
    cot_program *program = cot_program_create(graph, &options);
    cot_graph_destroy(graph);

    int exit_status = EXIT_FAILURE;
    if (program == NULL) {
        (void)fprintf(stderr, "compile: %s\n", cot_error_message(context));
    } else {
        float x[N_POINTS];
        float y[N_POINTS];
        float loss = 0.0F;
        float slope = 0.0F;
        float intercept = 0.0F;
        make_points(x, y);
        if (train(program, x, y, &loss) == COT_OK &&
            cot_variable_get(a, &slope, sizeof slope) == COT_OK &&
            cot_variable_get(b, &intercept, sizeof intercept) == COT_OK) {
            (void)printf("a = %.3f, b = %.3f, loss = %.5f\n", (double)slope, (double)intercept,
                         (double)loss);
            exit_status = EXIT_SUCCESS;
        }
    }
    cot_program_destroy(program);
    cot_variable_release(a);
    cot_variable_release(b);
    cot_context_destroy(context);
    return exit_status;
}
