/*
 * Six optimizers on Fashion-MNIST: one network, the same first weights and the same order of rows,
 * and the loss of every 20 steps.
 */
#include "lesson.h"

enum { N_OPTIMIZERS = 6, STEPS = 20 };

static const lesson_text text = {
    .name = "optimizers",
    .title = "Optimizers on Fashion-MNIST",
    .lecture = "Learning Rate Adaptation: AdaGrad, RMSProp. Faster Convergence: Momentum, Nesterov "
               "Momentum. Combination Technique: Adam",
    .what = "A network 784-128-10 with ReLU is trained from the same weights, in the same order of "
            "rows. Momentum and Nesterov momentum have SGD's learning rate, the three that adapt "
            "it per weight a rate that is typical of them."};

typedef struct run {
    const char *label;
    const cot_optimizer *optimizer;
    int color;
    figure_style style;
    cot_model *model;
    int steps; /* until the loss is as low as SGD's at the end */
    double loss, accuracy;
} run;

/* Seeds of the initial weights make them the same in every model. */
static cot_model *build(cot_context *context) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor hidden = cot_dense(image, 128, .activation = COT_RELU, .name = "hidden",
                                  .kernel_numbers = cot_initializer_numbers(.seed = 1));
    cot_tensor class = cot_dense(hidden, 10, .activation = COT_SOFTMAX, .name = "class",
                                 .kernel_numbers = cot_initializer_numbers(.seed = 2));
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
}

static bool train(lesson *l, run *r) {
    cot_logs logs = {0};
    r->model = build(l->context);
    bool good =
        lesson_made(l, r->model) &&
        lesson_good(l, cot_model_compile(r->model, .optimizer = r->optimizer,
                                         .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                         .metrics = {COT_ACCURACY})) &&
        lesson_good(l, cot_model_fit(r->model, l->train,
                                     .epochs = (l->quick ? 1 : 4) * LESSON_BATCHES / STEPS,
                                     .batch_size = LESSON_BATCH, .steps_per_epoch = STEPS)) &&
        lesson_good(l, cot_model_evaluate(r->model, l->validation, &logs));
    r->accuracy = cot_logs_get(&logs, "accuracy");
    return good;
}

/* The first 20 steps whose loss is at most a goal, as steps. */
static int steps_to(const run *r, double goal) {
    figure_line loss = lesson_curve(r->model, "loss", NULL, 0, FIGURE_SOLID);
    size_t i = 0;
    while (i < loss.n && loss.y[i] > goal) {
        i++;
    }
    return (int)(i + 1) * STEPS;
}

static void report(lesson *l, run *r) {
    double goal = lesson_last(r[0].model, "loss");
    (void)printf("%-18s %14s %24s %22s\n", "", "last loss", "steps to SGD's last loss",
                 "validation accuracy");
    for (int i = 0; i < N_OPTIMIZERS; i++) {
        r[i].loss = lesson_last(r[i].model, "loss");
        r[i].steps = steps_to(&r[i], goal);
        (void)printf("%-18s %14.3f %24d %22.4f\n", r[i].label, r[i].loss, r[i].steps,
                     r[i].accuracy);
    }
    for (int i = 1; i < N_OPTIMIZERS; i++) {
        lesson_claim(l, 2 * r[i].steps <= r[0].steps && r[i].loss < r[0].loss,
                     "%s comes to SGD's loss in %.1f times fewer steps", r[i].label,
                     (double)r[0].steps / r[i].steps);
    }
}

static void draw(lesson *l, const run *r) {
    figure_line line[N_OPTIMIZERS], adaptive[4];
    for (int i = 0; i < N_OPTIMIZERS; i++) {
        line[i] = lesson_curve(r[i].model, "loss", r[i].label, r[i].color, r[i].style);
        line[i].x_step = STEPS;
    }
    adaptive[0] = line[0];
    memcpy(adaptive + 1, line + 3, 3 * sizeof(figure_line));
    const figure_panel panel[] = {
        {.title = "Plain, and with momentum",
         .x_label = "step",
         .y_label = "training loss",
         .log_y = true,
         .y_low = 0.25,
         .y_high = 2.3,
         .line = line,
         .n = 3},
        {.title = "A rate for each weight",
         .x_label = "step",
         .y_label = "training loss",
         .log_y = true,
         .y_low = 0.25,
         .y_high = 2.3,
         .line = adaptive,
         .n = 4},
    };
    lesson_picture(l, panel, 2, 2);
}

int main(int argc, char **argv) {
    run r[N_OPTIMIZERS] = {
        {.label = "SGD 0.01", .color = FIGURE_RED, .optimizer = cot_sgd(.learning_rate = 0.01)},
        {.label = "momentum 0.9",
         .color = FIGURE_ORANGE,
         .style = FIGURE_DASHED,
         .optimizer = cot_sgd(.learning_rate = 0.01, .momentum = 0.9)},
        {.label = "Nesterov 0.9",
         .color = FIGURE_PINK,
         .style = FIGURE_DOTTED,
         .optimizer = cot_sgd(.learning_rate = 0.01, .momentum = 0.9, .nesterov = true)},
        {.label = "AdaGrad 0.02",
         .color = FIGURE_GREEN,
         .optimizer = cot_adagrad(.learning_rate = 0.02, .initial_accumulator_value = COT_ZERO)},
        {.label = "RMSprop 0.001",
         .color = FIGURE_SKY,
         .style = FIGURE_DASHED,
         .optimizer = cot_rmsprop(.learning_rate = 0.001)},
        {.label = "Adam 0.001",
         .color = FIGURE_BLUE,
         .style = FIGURE_DOTTED,
         .optimizer = cot_adam(.learning_rate = 0.001)},
    };
    lesson l;
    bool good = lesson_begin(&l, &text, argc, argv) && lesson_data(&l);
    for (int i = 0; i < N_OPTIMIZERS && good; i++) {
        good = train(&l, &r[i]);
    }
    if (good) {
        report(&l, r);
        draw(&l, r);
    }
    for (int i = 0; i < N_OPTIMIZERS; i++) {
        cot_model_destroy(r[i].model);
    }
    return lesson_end(&l);
}
