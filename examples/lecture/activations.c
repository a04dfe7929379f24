/*
 * The lecture's activations and their derivatives, each a graph of nodes whose gradient the library
 * takes. A graph's input is a column of x; the derivative is the gradient of the sum of f(x).
 */
#include "lesson.h"

enum { N_X = 121, MIDDLE = 60, LEFT = MIDDLE - 50, RIGHT = MIDDLE + 50, N_FUNCTIONS = 6 };

static const lesson_text text = {
    .name = "activations",
    .title = "Activations and their derivatives",
    .lecture = "If a node is saturated (i.e. |a| >> 0), then its gradient will go to zero [...]. "
               "tanh: squashes inputs into the range [-1, +1]. ReLU: does not saturate (for a > 0)",
    .what = "Each function is built of the graph's nodes, the library takes its derivative. The "
            "sigmoid's is never above 1/4 and, like tanh's, is gone a few units from 0. ReLU is a "
            "gate; Leaky ReLU, here max(0.1x, x), lets a part through when it is shut. ELU with "
            "α = 1 and GELU are smooth."};

typedef struct function {
    const char *label;
    cot_value (*build)(cot_value x);
    int color;
    figure_style style;
    double x[N_X], y[N_X], slope[N_X];
} function;

/* ---- the functions ---- */

static cot_value number(cot_value x, double value) {
    return cot_op_constant(x.graph, COT_F64, value);
}

static cot_value sigmoid(cot_value x) {
    return cot_op_unary(COT_OP_SIGMOID, x);
}

static cot_value hyperbolic_tangent(cot_value x) {
    return cot_op_unary(COT_OP_TANH, x);
}

static cot_value relu(cot_value x) {
    return cot_op_unary(COT_OP_RELU, x);
}

static cot_value leaky_relu(cot_value x) {
    return cot_op_binary(COT_OP_MAX, cot_op_binary(COT_OP_MUL, x, number(x, 0.1)), x);
}

static cot_value elu(cot_value x) {
    cot_value is_positive = cot_op_binary(COT_OP_GE, x, number(x, 0.0));
    return cot_op_select(is_positive, x, cot_op_unary(COT_OP_EXPM1, x));
}

static cot_value gelu(cot_value x) {
    return cot_op_unary(COT_OP_GELU, x);
}

/* ---- values and derivatives ---- */

static cot_graph *build(cot_context *context, const function *f) {
    cot_graph *graph = cot_graph_create(context, "activation");
    cot_value x = cot_op_input(graph, COT_F64, COT_SHAPE(N_X), "x");
    cot_value y = f->build(x), slope = {NULL, 0};
    cot_value sum = cot_op_reduce(COT_OP_SUM, y, (const int32_t[]){0}, 1, false);
    (void)cot_grad(sum, &x, 1, &slope);
    (void)cot_graph_output(y, "y");
    (void)cot_graph_output(slope, "slope");
    return graph;
}

static bool evaluate(lesson *l, function *f) {
    for (int i = 0; i < N_X; i++) {
        f->x[i] = (i - MIDDLE) / 10.0;
    }
    cot_graph *graph = build(l->context, f);
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = lesson_made(l, program) ? cot_session_create(program) : NULL;
    const cot_array x = {.data = f->x, .dtype = COT_F64, .n_rows = 1, .row_elements = N_X};
    bool good = session != NULL && cot_session_bind(session, "x", &x) == COT_OK &&
                cot_session_bind_output(session, "y", f->y, sizeof f->y) == COT_OK &&
                cot_session_bind_output(session, "slope", f->slope, sizeof f->slope) == COT_OK &&
                cot_session_run(session, 1) == COT_OK;
    if (!good && session != NULL) {
        (void)fprintf(stderr, "activations: %s\n", cot_session_message(session));
        l->exit_status = EXIT_FAILURE;
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    return good;
}

static double largest(const double *values) {
    double most = values[0];
    for (int i = 1; i < N_X; i++) {
        most = fmax(most, values[i]);
    }
    return most;
}

static void report(lesson *l, const function *f) {
    (void)printf("%-12s %9s %9s %9s %13s %9s %9s %12s\n", "", "f(-5)", "f(0)", "f(5)", "f'(-5)",
                 "f'(0)", "f'(5)", "largest f'");
    for (int i = 0; i < N_FUNCTIONS; i++) {
        (void)printf("%-12s %9.4f %9.4f %9.4f %13.4f %9.4f %9.4f %12.4f\n", f[i].label,
                     f[i].y[LEFT], f[i].y[MIDDLE], f[i].y[RIGHT], f[i].slope[LEFT],
                     f[i].slope[MIDDLE], f[i].slope[RIGHT], largest(f[i].slope));
    }
    lesson_claim(l, largest(f[0].slope) == 0.25,
                 "the sigmoid's derivative is at most 1/4: ten layers shrink a gradient by 4^10, "
                 "a million");
    lesson_claim(l,
                 f[0].slope[RIGHT] < 0.01 && f[0].slope[LEFT] < 0.01 && f[1].slope[RIGHT] < 0.01 &&
                     f[1].slope[LEFT] < 0.01,
                 "sigmoid and tanh saturate: 5 from 0 both derivatives are below 0.01");
    lesson_claim(l, f[1].y[MIDDLE] == 0.0 && f[1].y[LEFT] == -f[1].y[RIGHT] && f[0].y[LEFT] > 0.0,
                 "tanh is centered on zero, the sigmoid is not");
    lesson_claim(l, f[2].slope[RIGHT] == 1.0 && f[2].slope[LEFT] == 0.0,
                 "ReLU is a gate: it passes the gradient or kills it");
    lesson_claim(l, f[3].slope[RIGHT] == 1.0 && f[3].slope[LEFT] == 0.1,
                 "Leaky ReLU passes a tenth of it where ReLU passes nothing");
}

static void draw(lesson *l, const function *f) {
    figure_line value[N_FUNCTIONS], slope[N_FUNCTIONS];
    for (int i = 0; i < N_FUNCTIONS; i++) {
        value[i] = (figure_line){f[i].label, f[i].color, f[i].style, N_X, f[i].x, 0.0, f[i].y};
        slope[i] = value[i];
        slope[i].y = f[i].slope;
    }
    const figure_panel panel[] = {
        {.title = "They saturate",
         .x_label = "x",
         .y_label = "f(x)",
         .y_low = -1.2,
         .y_high = 1.2,
         .line = value,
         .n = 2},
        {.title = "Their derivatives",
         .x_label = "x",
         .y_label = "f'(x)",
         .y_low = -0.1,
         .y_high = 1.2,
         .line = slope,
         .n = 2},
        {.title = "They do not, for x > 0",
         .x_label = "x",
         .y_label = "f(x)",
         .x_low = -4.0,
         .x_high = 4.0,
         .y_low = -1.2,
         .y_high = 4.0,
         .line = value + 2,
         .n = N_FUNCTIONS - 2},
        {.title = "Their derivatives",
         .x_label = "x",
         .y_label = "f'(x)",
         .x_low = -4.0,
         .x_high = 4.0,
         .y_low = -0.2,
         .y_high = 1.2,
         .line = slope + 2,
         .n = N_FUNCTIONS - 2},
    };
    lesson_picture(l, panel, 4, 2);
}

int main(int argc, char **argv) {
    static function f[N_FUNCTIONS] = {
        {.label = "sigmoid", .build = sigmoid, .color = FIGURE_RED},
        {.label = "tanh",
         .build = hyperbolic_tangent,
         .color = FIGURE_ORANGE,
         .style = FIGURE_DASHED},
        {.label = "ReLU", .build = relu, .color = FIGURE_BLUE},
        {.label = "Leaky ReLU", .build = leaky_relu, .color = FIGURE_GREEN, .style = FIGURE_DASHED},
        {.label = "ELU", .build = elu, .color = FIGURE_PINK, .style = FIGURE_DOTTED},
        {.label = "GELU", .build = gelu, .color = FIGURE_GREY},
    };
    lesson l;
    bool good = lesson_begin(&l, &text, argc, argv);
    for (int i = 0; i < N_FUNCTIONS && good; i++) {
        good = evaluate(&l, &f[i]);
    }
    if (good) {
        report(&l, f);
        draw(&l, f);
    }
    return lesson_end(&l);
}
