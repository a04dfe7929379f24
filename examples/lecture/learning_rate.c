/*
 * The learning rate: too small, good, too big, and one that decays, as the lecture's three formulas
 * say. All are SGD's on one network with the same first weights.
 */
#include "lesson.h"

enum { N_RUNS = 7, N_CONSTANT = 4, N_DECAYED = N_RUNS - N_CONSTANT + 1, STEPS = 20 };

static const double big = 0.7;

static const lesson_text text = {
    .name = "learning_rate",
    .title = "Learning rates",
    .lecture = "Too small: converge very slowly. Too big: overshoot and even diverge. [...] "
               "Learning rate decay over time! step decay, exponential decay α = α0 e^(-kt), 1/t "
               "decay α = α0 / (1 + kt)",
    .what = "A network 784-128-10 with ReLU is trained by SGD from the same weights. With a rate "
            "of 0.7 "
            "it learns, but jumps about where it should settle; the same rate, decayed in the "
            "course of training, makes it settle lower, on data that it has not seen too."};

typedef struct run {
    const char *label;
    const cot_optimizer *optimizer;
    int color;
    figure_style style;
    cot_model *model;
    double loss, worst, validation;
} run;

static cot_model *build(cot_context *context) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor hidden = cot_dense(image, 128, .activation = COT_RELU, .name = "hidden",
                                  .kernel_numbers = cot_initializer_numbers(.seed = 1));
    cot_tensor class = cot_dense(hidden, 10, .activation = COT_SOFTMAX, .name = "class",
                                 .kernel_numbers = cot_initializer_numbers(.seed = 2));
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
}

static bool train(lesson *l, run *r, int32_t steps) {
    cot_logs logs = {0};
    r->model = build(l->context);
    bool good =
        lesson_made(l, r->model) &&
        lesson_good(l, cot_model_compile(r->model, .optimizer = r->optimizer,
                                         .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY)) &&
        lesson_good(
            l, cot_model_fit(r->model, l->train, .epochs = steps / STEPS,
                             .batch_size = LESSON_BATCH, .steps_per_epoch = STEPS,
                             .validation_data = l->validation, .validation_steps = 10,
                             .callbacks = {cot_lambda_callback(.logs_learning_rate = true)})) &&
        lesson_good(l, cot_model_evaluate(r->model, l->validation, &logs));
    r->validation = cot_logs_get(&logs, "loss");
    return good;
}

/* The mean of the last 10 losses: a big rate's jumps. And the largest one. */
static void summarize(run *r) {
    figure_line loss = lesson_curve(r->model, "loss", NULL, 0, FIGURE_SOLID);
    r->loss = 0.0;
    r->worst = 0.0;
    for (size_t i = 0; i < loss.n; i++) {
        r->loss += i + 10 >= loss.n ? loss.y[i] / 10.0 : 0.0;
        r->worst = loss.y[i] > r->worst ? loss.y[i] : r->worst;
    }
}

static void report(lesson *l, run *r) {
    (void)printf("%-22s %14s %14s %17s\n", "", "last loss", "largest loss", "validation loss");
    for (int i = 0; i < N_RUNS; i++) {
        summarize(&r[i]);
        (void)printf("%-22s %14.3f %14.3g %17.3f\n", r[i].label, r[i].loss, r[i].worst,
                     r[i].validation);
    }
    lesson_claim(l, r[0].loss > 1.5 * r[1].loss, "too small: it converges very slowly");
    lesson_claim(l, !(r[3].loss < log(10.0)),
                 "too big: it overshoots, and ends no better than guessing, %.3f", log(10.0));
    for (int i = N_CONSTANT; i < N_RUNS; i++) {
        lesson_claim(l, r[i].loss < r[2].loss && r[i].validation < r[2].validation,
                     "%s settles lower than the constant %.1f, in training and validation",
                     r[i].label, big);
    }
}

static void draw(lesson *l, const run *r) {
    figure_line loss[N_RUNS], rate[N_RUNS], decayed[N_DECAYED], validation[N_DECAYED];
    for (int i = 0; i < N_RUNS; i++) {
        loss[i] = lesson_curve(r[i].model, "loss", r[i].label, r[i].color, r[i].style);
        rate[i] = lesson_curve(r[i].model, "learning_rate", r[i].label, r[i].color, r[i].style);
        loss[i].x_step = rate[i].x_step = STEPS;
    }
    for (int i = 0; i < N_DECAYED; i++) { /* beside the same rate, constant */
        int k = i == 0 ? 2 : N_CONSTANT + i - 1;
        decayed[i] = loss[k];
        validation[i] = lesson_curve(r[k].model, "val_loss", r[k].label, r[k].color, r[k].style);
        validation[i].x_step = STEPS;
    }
    const figure_panel panel[] = {
        {.title = "Constant rates",
         .x_label = "step",
         .y_label = "training loss",
         .log_y = true,
         .y_low = 0.1,
         .y_high = 20.0,
         .line = loss,
         .n = N_CONSTANT},
        {.title = "Rates that decay",
         .x_label = "step",
         .y_label = "training loss",
         .log_y = true,
         .y_low = 0.2,
         .y_high = 2.5,
         .line = decayed,
         .n = N_DECAYED},
        {.title = "The decayed rates themselves",
         .x_label = "step",
         .y_label = "learning rate",
         .line = rate + N_CONSTANT,
         .n = N_RUNS - N_CONSTANT},
        {.title = "Loss on 1,280 rows of validation",
         .x_label = "step",
         .y_label = "validation loss",
         .log_y = true,
         .y_low = 0.2,
         .y_high = 2.5,
         .line = validation,
         .n = N_DECAYED},
    };
    lesson_picture(l, panel, 4, 2);
}

int main(int argc, char **argv) {
    lesson l;
    bool good = lesson_begin(&l, &text, argc, argv) && lesson_data(&l);
    int32_t steps = (l.quick ? 3 : 8) * LESSON_BATCHES;
    run r[N_RUNS] = {
        {.label = "too small: 0.001",
         .color = FIGURE_ORANGE,
         .style = FIGURE_DOTTED,
         .optimizer = cot_sgd(.learning_rate = 0.001)},
        {.label = "good: 0.1", .color = FIGURE_GREEN, .optimizer = cot_sgd(.learning_rate = 0.1)},
        {.label = "big: 0.7",
         .color = FIGURE_RED,
         .style = FIGURE_DASHED,
         .optimizer = cot_sgd(.learning_rate = big)},
        {.label = "too big: 5", .color = FIGURE_PINK, .optimizer = cot_sgd(.learning_rate = 5.0)},
        {.label = "step decay from 0.7",
         .color = FIGURE_BLUE,
         .optimizer =
             cot_sgd(.schedule = cot_step_decay(.initial_learning_rate = big,
                                                .decay_steps = steps / 6.0, .decay_rate = 0.5))},
        {.label = "exponential",
         .color = FIGURE_SKY,
         .style = FIGURE_DASHED,
         .optimizer =
             cot_sgd(.schedule = cot_exponential_decay(.initial_learning_rate = big,
                                                       .decay_steps = steps, .decay_rate = 0.02))},
        {.label = "1/t",
         .color = FIGURE_GREY,
         .style = FIGURE_DOTTED,
         .optimizer =
             cot_sgd(.schedule = cot_inverse_time_decay(.initial_learning_rate = big,
                                                        .decay_steps = steps, .decay_rate = 30.0))},
    };
    for (int i = 0; i < N_RUNS && good; i++) {
        good = train(&l, &r[i], steps);
    }
    if (good) {
        report(&l, r);
        draw(&l, r);
    }
    for (int i = 0; i < N_RUNS; i++) {
        cot_model_destroy(r[i].model);
    }
    return lesson_end(&l);
}
