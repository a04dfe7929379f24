/*
 * Momentum at a local minimum and at a saddle point: two losses of two weights, which SGD descends
 * without and with momentum.
 */
#include "lesson.h"

enum { N_STEPS = 250, N_PATHS = 4, N_LEVELS = 9, N_CURVE = 81 };

static const double half_way = 0.7; /* from the saddle point to the minima at w2 = 1 and -1 */

static const lesson_text text = {
    .name = "saddle",
    .title = "Momentum at local minima and saddle points",
    .lecture = "The ball accumulates momentum as it rolls downhill, becoming faster and faster "
               "along the way. Helps with both Local Minima as well as Saddle Points",
    .what = "Left, the loss (w² - 1)² + 0.3 w has a local minimum at 0.96 and a lower one at "
            "-1.04, and the way begins at 2. Right, the loss w1² - w2² + w2⁴/2 has a saddle point "
            "at (0, 0), and the way begins near its ridge, where the slope along w2 is small. With "
            "and without momentum the learning rate is the same."};

typedef struct path {
    const char *label;
    const cot_optimizer *optimizer;
    cot_row_function loss;
    double (*height)(double w1, double w2);
    int color;
    double w1[N_STEPS + 1], w2[N_STEPS + 1], loss_at[N_STEPS + 1];
} path;

/* ---- the losses, as functions and as nodes ---- */

static double wells(double w1, double w2) {
    (void)w2;
    return (w1 * w1 - 1.0) * (w1 * w1 - 1.0) + 0.3 * w1;
}

static double saddle(double w1, double w2) {
    return w1 * w1 - w2 * w2 + 0.5 * w2 * w2 * w2 * w2;
}

/* The scalar sum(c1 w + c2 w^2 + c4 w^4), coefficients for each of the two weights. */
static cot_value polynomial(cot_value w, const float c1[2], const float c2[2], const float c4[2]) {
    const float *const coefficients[3] = {c1, c2, c4};
    cot_value square = cot_op_binary(COT_OP_MUL, w, w);
    cot_value power[3] = {w, square, cot_op_binary(COT_OP_MUL, square, square)};
    cot_value sum = {NULL, 0};
    for (int i = 0; i < 3; i++) {
        cot_value c = cot_op_constant_array(w.graph, COT_F32, COT_SHAPE(2), coefficients[i]);
        cot_value term = cot_op_binary(COT_OP_MUL, power[i], c);
        sum = i == 0 ? term : cot_op_binary(COT_OP_ADD, sum, term);
    }
    return cot_op_reduce(COT_OP_SUM, sum, (const int32_t[]){0, 1}, 2, false);
}

/* Less the constant 1. */
static cot_value wells_nodes(cot_value target, cot_value w, void *user) {
    (void)target;
    (void)user;
    return polynomial(w, (const float[]){0.3F, 0.0F}, (const float[]){-2.0F, 0.0F},
                      (const float[]){1.0F, 0.0F});
}

static cot_value saddle_nodes(cot_value target, cot_value w, void *user) {
    (void)target;
    (void)user;
    return polynomial(w, (const float[]){0.0F, 0.0F}, (const float[]){1.0F, -1.0F},
                      (const float[]){0.0F, 0.5F});
}

/* ---- what is seen ---- */

static bool descend(lesson *l, path *p) {
    bool at_saddle = p->height == saddle;
    p->w1[0] = at_saddle ? -1.4 : 2.0;
    p->w2[0] = at_saddle ? 0.001 : 0.0;
    bool good = lesson_descend(l, p->optimizer, p->loss, N_STEPS, p->w1, p->w2);
    for (int i = 0; i <= N_STEPS; i++) {
        p->loss_at[i] = p->height(p->w1[i], p->w2[i]);
    }
    return good;
}

/* Steps until the way is half down from the saddle point. */
static int steps_to_leave(const path *p) {
    int n = 0;
    while (n < N_STEPS && fabs(p->w2[n]) < half_way) {
        n++;
    }
    return n;
}

static void report(lesson *l, const path *p) {
    (void)printf("%-30s %18s %12s %24s\n", "", "last w1, w2", "loss", "steps to leave the saddle");
    for (int i = 0; i < N_PATHS; i++) {
        (void)printf("%-30s %9.3f, %7.3f %12.3f", p[i].label, p[i].w1[N_STEPS], p[i].w2[N_STEPS],
                     p[i].loss_at[N_STEPS]);
        (void)printf(p[i].height == saddle ? " %23d\n" : "\n", steps_to_leave(&p[i]));
    }
    lesson_claim(l, fabs(p[0].w1[N_STEPS] - 0.96) < 0.01, "SGD ends in the local minimum");
    lesson_claim(l, fabs(p[1].w1[N_STEPS] + 1.04) < 0.1,
                 "with momentum it rolls through, into the lower one");
    lesson_claim(l, 2 * steps_to_leave(&p[3]) < steps_to_leave(&p[2]),
                 "with momentum it leaves the saddle point in less than half the steps: %d, not %d",
                 steps_to_leave(&p[3]), steps_to_leave(&p[2]));
}

static void draw(lesson *l, const path *p) {
    static const double level[N_LEVELS] = {-0.45, -0.3, -0.1, 0.0, 0.15, 0.4, 0.8, 1.3, 2.0};
    double x[N_CURVE], y[N_CURVE];
    for (int i = 0; i < N_CURVE; i++) {
        x[i] = -1.8 + 3.9 * i / (N_CURVE - 1.0);
        y[i] = wells(x[i], 0.0);
    }
    const figure_line curve = {.label = "loss", .color = FIGURE_GREY, .n = N_CURVE, .x = x, .y = y};
    figure_line line[N_PATHS][2];
    figure_panel panel[N_PATHS];
    for (int i = 0; i < N_PATHS; i++) {
        bool at_saddle = p[i].height == saddle;
        line[i][0] = curve;
        line[i][1] = (figure_line){.label = "step",
                                   .color = p[i].color,
                                   .style = FIGURE_PATH,
                                   .n = N_STEPS + 1,
                                   .x = p[i].w1,
                                   .y = at_saddle ? p[i].w2 : p[i].loss_at};
        panel[i] = (figure_panel){.title = p[i].label,
                                  .x_label = at_saddle ? "w1" : "w",
                                  .y_label = at_saddle ? "w2" : "loss",
                                  .line = at_saddle ? &line[i][1] : line[i],
                                  .n = at_saddle ? 1 : 2};
        panel[i].x_low = at_saddle ? -1.6 : -1.8;
        panel[i].x_high = at_saddle ? 1.6 : 2.1;
        panel[i].y_low = at_saddle ? -0.4 : -1.0;
        panel[i].y_high = at_saddle ? 1.4 : 10.0;
        if (at_saddle) {
            panel[i].hills = (figure_hills){saddle, level, N_LEVELS};
        }
    }
    const figure_panel in_rows[] = {panel[0], panel[2], panel[1], panel[3]};
    lesson_picture(l, in_rows, N_PATHS, 2);
}

int main(int argc, char **argv) {
    const cot_optimizer *plain = cot_sgd(.learning_rate = 0.02);
    const cot_optimizer *momentum = cot_sgd(.learning_rate = 0.02, .momentum = 0.8);
    path p[N_PATHS] = {
        {.label = "Local minimum: SGD",
         .optimizer = plain,
         .loss = wells_nodes,
         .height = wells,
         .color = FIGURE_RED},
        {.label = "Local minimum: momentum",
         .optimizer = momentum,
         .loss = wells_nodes,
         .height = wells,
         .color = FIGURE_BLUE},
        {.label = "Saddle point: SGD",
         .optimizer = plain,
         .loss = saddle_nodes,
         .height = saddle,
         .color = FIGURE_RED},
        {.label = "Saddle point: momentum",
         .optimizer = momentum,
         .loss = saddle_nodes,
         .height = saddle,
         .color = FIGURE_BLUE},
    };
    lesson l;
    bool good = lesson_begin(&l, &text, argc, argv);
    for (int i = 0; i < N_PATHS && good; i++) {
        good = descend(&l, &p[i]);
    }
    if (good) {
        report(&l, p);
        draw(&l, p);
    }
    return lesson_end(&l);
}
