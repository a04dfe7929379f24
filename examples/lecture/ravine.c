/*
 * Six optimizers in a ravine: the library's own, on a loss of two weights that is steep in one of
 * them and shallow in the other.
 */
#include "lesson.h"

enum { N_STEPS = 120, N_OPTIMIZERS = 6, N_LEVELS = 7 };

static const double steep = 40.0, shallow = 1.0, start[2] = {-4.5, 1.6};

static const lesson_text text = {
    .name = "ravine",
    .title = "Optimizers in a ravine",
    .lecture = "Loss changes quickly in one direction and slowly in another. Slow progress in "
               "shallow direction, jitter along steep direction",
    .what = "The loss is w1²/2 + 40 w2²/2. SGD's rate must be small enough for w2, and is then "
            "too small for w1. Momentum adds up what is the same in every step and cancels what "
            "changes its sign; AdaGrad, RMSprop and Adam give each weight a rate of its own. "
            "SGD has nearly the largest rate with which it does not diverge, the two momenta half "
            "of that."};

typedef struct path {
    const char *label;
    const cot_optimizer *optimizer;
    int color;
    double w1[N_STEPS + 1], w2[N_STEPS + 1], loss[N_STEPS + 1];
} path;

static double height(double w1, double w2) {
    return 0.5 * (shallow * w1 * w1 + steep * w2 * w2);
}

/* The same as nodes: the scalar sum(w * w * {shallow, steep} / 2). */
static cot_value valley(cot_value target, cot_value output, void *user) {
    (void)target;
    (void)user;
    const float half[2] = {(float)(0.5 * shallow), (float)(0.5 * steep)};
    cot_value factor = cot_op_constant_array(output.graph, COT_F32, COT_SHAPE(2), half);
    cot_value square = cot_op_binary(COT_OP_MUL, output, output);
    cot_value all = cot_op_binary(COT_OP_MUL, square, factor);
    return cot_op_reduce(COT_OP_SUM, all, (const int32_t[]){0, 1}, 2, false);
}

static bool descend(lesson *l, path *p) {
    p->w1[0] = start[0];
    p->w2[0] = start[1];
    bool good = lesson_descend(l, p->optimizer, valley, N_STEPS, p->w1, p->w2);
    for (int i = 0; i <= N_STEPS; i++) {
        p->loss[i] = height(p->w1[i], p->w2[i]);
    }
    return good;
}

/* Steps until the loss has come below a tenth and stays there. */
static int steps_needed(const path *p) {
    int n = N_STEPS + 1;
    while (n > 0 && p->loss[n - 1] < 0.1) {
        n--;
    }
    return n;
}

/* How often w2 has crossed the bottom of the ravine. */
static int crossings(const path *p) {
    int n = 0;
    for (int i = 1; i <= N_STEPS; i++) {
        n += p->w2[i] * p->w2[i - 1] < 0.0;
    }
    return n;
}

/* The rate of w1, its step over its gradient, in step n as a share of that in step 1. */
static double rate(const path *p, int n) {
    double first = (p->w1[1] - p->w1[0]) / p->w1[0],
           later = (p->w1[n] - p->w1[n - 1]) / p->w1[n - 1];
    return later / first;
}

static void report(lesson *l, const path *p) {
    int need[N_OPTIMIZERS];
    (void)printf("%-10s %22s %14s %18s %20s\n", "", "first step (w1, w2)", "w2 crosses 0",
                 "loss at 20 steps", "steps to loss 0.1");
    for (int i = 0; i < N_OPTIMIZERS; i++) {
        char steps[24];
        need[i] = steps_needed(&p[i]);
        (void)snprintf(steps, sizeof steps, need[i] > N_STEPS ? "more than %d" : "%d",
                       need[i] > N_STEPS ? N_STEPS : need[i]);
        (void)printf("%-10s %14.3f %7.3f %14d %18.3g %20s\n", p[i].label, p[i].w1[1] - p[i].w1[0],
                     p[i].w2[1] - p[i].w2[0], crossings(&p[i]), p[i].loss[20], steps);
    }
    lesson_claim(l, crossings(&p[0]) > 15,
                 "SGD jitters across the ravine: w2 changes its sign %d times", crossings(&p[0]));
    lesson_claim(l, need[1] < need[0] && need[2] < need[0],
                 "momentum is faster along it, at half the rate");
    lesson_claim(l, need[2] < need[1], "Nesterov momentum works better");
    for (int i = 3; i < N_OPTIMIZERS; i++) {
        double ratio = (p[i].w2[1] - p[i].w2[0]) / (p[i].w1[1] - p[i].w1[0]);
        lesson_claim(l, fabs(fabs(ratio) - 1.0) < 0.01,
                     "%s's first step is as long in both directions", p[i].label);
    }
    lesson_claim(l, rate(&p[3], 60) < rate(&p[3], 20) && rate(&p[3], 60) < 0.5,
                 "AdaGrad's rate of w1 only falls: %.2f of the first in step 20, %.2f in step 60",
                 rate(&p[3], 20), rate(&p[3], 60));
    lesson_claim(l, rate(&p[4], 60) > 1.2 * rate(&p[4], 20),
                 "RMSprop forgets large gradients, its rate rises again: %.2f, then %.2f",
                 rate(&p[4], 20), rate(&p[4], 60));
}

static void draw(lesson *l, const path *p) {
    static const double level[N_LEVELS] = {0.5, 3.0, 8.0, 16.0, 28.0, 45.0, 65.0};
    figure_line line[N_OPTIMIZERS];
    figure_panel panel[N_OPTIMIZERS];
    for (int i = 0; i < N_OPTIMIZERS; i++) {
        line[i] = (figure_line){.color = p[i].color,
                                .style = FIGURE_PATH,
                                .n = N_STEPS + 1,
                                .x = p[i].w1,
                                .y = p[i].w2};
        panel[i] = (figure_panel){.title = p[i].label,
                                  .x_label = "w1",
                                  .y_label = "w2",
                                  .x_low = -5.0,
                                  .x_high = 2.5,
                                  .y_low = -2.0,
                                  .y_high = 2.0,
                                  .hills = {height, level, N_LEVELS},
                                  .line = &line[i],
                                  .n = 1};
    }
    lesson_picture(l, panel, N_OPTIMIZERS, 2);
}

int main(int argc, char **argv) {
    path p[N_OPTIMIZERS] = {
        {.label = "SGD", .color = FIGURE_RED, .optimizer = cot_sgd(.learning_rate = 0.0475)},
        {.label = "momentum",
         .color = FIGURE_ORANGE,
         .optimizer = cot_sgd(.learning_rate = 0.0225, .momentum = 0.8)},
        {.label = "Nesterov",
         .color = FIGURE_PINK,
         .optimizer = cot_sgd(.learning_rate = 0.0225, .momentum = 0.8, .nesterov = true)},
        {.label = "AdaGrad",
         .color = FIGURE_GREEN,
         .optimizer = cot_adagrad(.learning_rate = 0.8, .initial_accumulator_value = COT_ZERO)},
        {.label = "RMSprop", .color = FIGURE_SKY, .optimizer = cot_rmsprop(.learning_rate = 0.08)},
        {.label = "Adam", .color = FIGURE_BLUE, .optimizer = cot_adam(.learning_rate = 0.4)},
    };
    lesson l;
    bool good = lesson_begin(&l, &text, argc, argv);
    for (int i = 0; i < N_OPTIMIZERS && good; i++) {
        good = descend(&l, &p[i]);
    }
    if (good) {
        report(&l, p);
        draw(&l, p);
    }
    return lesson_end(&l);
}
