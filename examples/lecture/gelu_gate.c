/*
 * GELU as the mean of its random gate. A compiled graph draws, for each x on a grid, gates that are
 * open with probability Phi(x), and returns the mean of what passes; its error against gelu shrinks
 * as the statistics of a mean of n draws says.
 */
#include "lesson.h"

enum { N_X = 81, N_SIZES = 9, N_SHOWN = 2 };

static const lesson_text text = {
    .name = "gelu_gate",
    .title = "GELU is the mean of a random gate",
    .lecture = "y = x with probability Φ(x), 0 with probability 1 - Φ(x); GeLU: xΦ(x)",
    .what = "At 81 points x from -4 to 4 a gate is drawn that passes x with probability Φ(x), "
            "the standard normal distribution, and else gives 0. The mean of n such draws is near "
            "gelu(x). Its variance is x²Φ(x)(1 - Φ(x)) / n, so the error shrinks as 1/√n."};

/* Numbers of draws; and of those, which are drawn as points in the left panel. */
static const int64_t size[N_SIZES] = {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536};
static const int shown[N_SHOWN] = {1, 3};

typedef struct gates {
    double x[N_X];
    double gelu[N_X];
    double mean[N_SIZES][N_X]; /* of the first size[i] draws */
    double n[N_SIZES], error[N_SIZES], expected[N_SIZES];
} gates;

/* The distribution function of the standard normal, erfc(-x / sqrt(2)) / 2. */
static cot_value phi(cot_value x) {
    cot_value factor = cot_op_constant(x.graph, COT_F64, -sqrt(0.5));
    cot_value tail = cot_op_unary(COT_OP_ERFC, cot_op_binary(COT_OP_MUL, x, factor));
    return cot_op_binary(COT_OP_MUL, tail, cot_op_constant(x.graph, COT_F64, 0.5));
}

/* "gelu": that of each x. "passed": what a fresh gate lets pass of it. The state counts the runs,
 * so that each draws other numbers. */
static cot_graph *build(cot_context *context, cot_variable *runs) {
    cot_graph *graph = cot_graph_create(context, "gate");
    cot_value x = cot_op_input(graph, COT_F64, COT_SHAPE(N_X), "x");
    cot_value run = cot_op_state(graph, runs);
    cot_value seed = cot_op_constant(graph, COT_I64, 7.0);
    cot_value u = cot_op_random(seed, run, COT_F64, COT_SHAPE(N_X), COT_UNIFORM, 1);
    cot_value is_open = cot_op_binary(COT_OP_LT, u, phi(x));
    cot_value zero = cot_op_constant(graph, COT_F64, 0.0);
    (void)cot_graph_output(cot_op_select(is_open, x, zero), "passed");
    (void)cot_graph_output(cot_op_unary(COT_OP_GELU, x), "gelu");
    cot_value one = cot_op_constant(graph, COT_I64, 1.0);
    (void)cot_graph_update(run, cot_op_binary(COT_OP_ADD, run, one));
    return graph;
}

/* Run the program as often as the largest size says; keep the means on the way. */
static bool draw_gates(gates *g, cot_session *session) {
    double passed[N_X], sum[N_X] = {0.0};
    const cot_array x = {.data = g->x, .dtype = COT_F64, .n_rows = 1, .row_elements = N_X};
    bool good = cot_session_bind(session, "x", &x) == COT_OK &&
                cot_session_bind_output(session, "passed", passed, sizeof passed) == COT_OK &&
                cot_session_bind_output(session, "gelu", g->gelu, sizeof g->gelu) == COT_OK;
    int64_t done = 0;
    for (int i = 0; i < N_SIZES && good; i++) {
        for (; done < size[i] && good; done++) {
            good = cot_session_run(session, 1) == COT_OK;
            for (int k = 0; k < N_X; k++) {
                sum[k] += passed[k];
            }
        }
        for (int k = 0; k < N_X; k++) {
            g->mean[i][k] = sum[k] / (double)done;
        }
    }
    return good;
}

/* Root mean square errors over the grid, and what they should be: the root of the mean variance. */
static void compare(gates *g) {
    for (int i = 0; i < N_SIZES; i++) {
        double error = 0.0, variance = 0.0;
        for (int k = 0; k < N_X; k++) {
            double p = 0.5 * erfc(-g->x[k] * sqrt(0.5));
            error += (g->mean[i][k] - g->gelu[k]) * (g->mean[i][k] - g->gelu[k]);
            variance += g->x[k] * g->x[k] * p * (1.0 - p);
        }
        g->n[i] = (double)size[i];
        g->error[i] = sqrt(error / N_X);
        g->expected[i] = sqrt(variance / N_X / g->n[i]);
    }
}

static bool measure(lesson *l, gates *g) {
    for (int k = 0; k < N_X; k++) {
        g->x[k] = -4.0 + 0.1 * k;
    }
    cot_variable *runs = cot_variable_create(l->context, COT_I64, COT_SCALAR, "runs");
    cot_graph *graph = build(l->context, runs);
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = lesson_made(l, program) ? cot_session_create(program) : NULL;
    bool good = session != NULL && draw_gates(g, session);
    if (!good) {
        (void)fprintf(stderr, "gelu_gate: %s\n",
                      session != NULL ? cot_session_message(session) : "");
        l->exit_status = EXIT_FAILURE;
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_variable_release(runs);
    compare(g);
    return good;
}

/* The slope of log(error) over log(n), by least squares. */
static double slope(const gates *g) {
    double sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0;
    for (int i = 0; i < N_SIZES; i++) {
        double x = log(g->n[i]), y = log(g->error[i]);
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    return (N_SIZES * sxy - sx * sy) / (N_SIZES * sxx - sx * sx);
}

static void report(lesson *l, const gates *g) {
    (void)printf("%9s %18s %18s %9s\n", "n", "error of the mean", "by its variance", "ratio");
    bool as_expected = true;
    for (int i = 0; i < N_SIZES; i++) {
        double ratio = g->error[i] / g->expected[i];
        as_expected = as_expected && ratio > 0.7 && ratio < 1.4;
        (void)printf("%9.0f %18.5f %18.5f %9.2f\n", g->n[i], g->error[i], g->expected[i], ratio);
    }
    lesson_claim(l, as_expected,
                 "the mean of the gate is gelu(x), as near as its variance lets it");
    lesson_claim(l, fabs(slope(g) + 0.5) < 0.06, "the error goes as n to the power %.3f: 1/√n",
                 slope(g));
}

static void draw(lesson *l, const gates *g) {
    const figure_line left[] = {
        {.label = "mean of 4 gates",
         .color = FIGURE_ORANGE,
         .style = FIGURE_POINTS,
         .n = N_X,
         .x = g->x,
         .y = g->mean[shown[0]]},
        {.label = "of 64",
         .color = FIGURE_RED,
         .style = FIGURE_POINTS,
         .n = N_X,
         .x = g->x,
         .y = g->mean[shown[1]]},
        {.label = "gelu(x)", .color = FIGURE_BLUE, .n = N_X, .x = g->x, .y = g->gelu},
    };
    const figure_line right[] = {
        {.label = "by the gate's variance, ~ 1/√n",
         .color = FIGURE_BLUE,
         .n = N_SIZES,
         .x = g->n,
         .y = g->expected},
        {.label = "measured",
         .color = FIGURE_RED,
         .style = FIGURE_POINTS,
         .n = N_SIZES,
         .x = g->n,
         .y = g->error},
    };
    const figure_panel panel[] = {
        {.title = "The mean of a gate that passes x or 0",
         .x_label = "x",
         .y_label = "y",
         .line = left,
         .n = 3},
        {.title = "How far the mean is from gelu(x)",
         .x_label = "number of gates n",
         .y_label = "root mean square error",
         .log_x = true,
         .log_y = true,
         .line = right,
         .n = 2},
    };
    lesson_picture(l, panel, 2, 2);
}

int main(int argc, char **argv) {
    lesson l;
    gates g;
    if (lesson_begin(&l, &text, argc, argv) && measure(&l, &g)) {
        report(&l, &g);
        draw(&l, &g);
    }
    return lesson_end(&l);
}
