/*
 * Dead ReLUs and Leaky ReLU. Units die when a step that is too long, or bad first weights, make
 * their sum negative for every row: then the ReLU's gradient is 0 and they stay so. The share of
 * dead units is the library's instrument; for Leaky ReLU, whose units cannot die, the program
 * counts by itself those that are off for all rows, and so for ReLU, to compare.
 */
#include "lesson.h"

enum { N_LAYERS = 3, WIDTH = 128, ROWS = 2000, STEPS = 40, MOST_EPOCHS = 40, N_NETWORKS = 5 };

static const lesson_text text = {
    .name = "dead_relu",
    .title = "Dead ReLUs and Leaky ReLU",
    .lecture = "Acts as a Gate: If a > 0 then it passes gradient through, if a < 0 then it kills "
               "the gradient. The Dead ReLU Problem. Leaky ReLU: Has all the advantages of ReLU + "
               "Does not saturate",
    .what =
        "Networks 784-128-128-128-10 learn Fashion-MNIST by SGD with momentum. A rate that is "
        "too big for the first steps, or biases that begin at -3, leave ReLUs that no row switches "
        "on. They get no gradient, so they never come back. Leaky ReLUs that begin in the same "
        "way do: what they are short of is a gradient, and a fifth of it passes."};

typedef struct network {
    const char *label;
    cot_activation_kind activation;
    double rate, bias;
    int color;
    figure_style style;
    cot_model *model, *hidden;
    int n_epochs;
    double off[MOST_EPOCHS];  /* the share of all hidden units that are off for all rows */
    double layer[N_LAYERS];   /* the same of each layer, at the end */
    float *outputs[N_LAYERS]; /* of the hidden layers for ROWS rows */
    const cot_dataset *rows;
} network;

/* A second model of the same layers gives the hidden layers' outputs. */
static void build(cot_context *context, network *net) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor x = image, hidden[N_LAYERS];
    for (int i = 0; i < N_LAYERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "hidden_%d", (i + 1) % 10);
        x = cot_dense(x, WIDTH, .activation = net->activation, .name = name,
                      .kernel_initializer = COT_HE_UNIFORM, .bias_initializer = COT_CONSTANT,
                      .kernel_numbers = cot_initializer_numbers(.seed = 1U + (uint64_t)i),
                      .bias_numbers = cot_initializer_numbers(.value = net->bias));
        hidden[i] = x;
    }
    cot_tensor class = cot_dense(x, 10, .activation = COT_SOFTMAX, .name = "class",
                                 .kernel_numbers = cot_initializer_numbers(.seed = 9));
    net->model = cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
    net->hidden =
        cot_model_create(context, COT_TENSORS(image), (cot_tensor_list){hidden, N_LAYERS}, NULL);
}

/* Is a unit not above 0 for any row? */
static bool is_off(const float *outputs, int unit) {
    bool off = true;
    for (int64_t row = 0; row < ROWS && off; row++) {
        off = !(outputs[row * WIDTH + unit] > 0.0F);
    }
    return off;
}

/* A callback: count the units that are off. user: the network. */
static cot_status count_units(cot_model *model, int32_t epoch, const cot_logs *logs, void *user) {
    network *net = user;
    const size_t bytes = sizeof(float) * ROWS * WIDTH;
    const cot_buffer buffer[N_LAYERS] = {
        {net->outputs[0], bytes}, {net->outputs[1], bytes}, {net->outputs[2], bytes}};
    cot_status status =
        cot_model_predict(net->hidden, net->rows, ((cot_buffer_list){buffer, N_LAYERS}));
    (void)model;
    (void)logs;
    net->off[epoch] = 0.0;
    for (int i = 0; i < N_LAYERS && status == COT_OK; i++) {
        int n = 0;
        for (int unit = 0; unit < WIDTH; unit++) {
            n += is_off(net->outputs[i], unit);
        }
        net->layer[i] = (double)n / WIDTH;
        net->off[epoch] += net->layer[i] / N_LAYERS;
    }
    net->n_epochs = epoch + 1;
    return status;
}

static bool train(lesson *l, network *net) {
    build(l->context, net);
    return lesson_made(l, net->model) && lesson_made(l, net->hidden) &&
           lesson_good(l, cot_model_compile(net->hidden, .max_batch = ROWS)) &&
           lesson_good(l, cot_model_compile(
                              net->model,
                              .optimizer = cot_sgd(.learning_rate = net->rate, .momentum = 0.9),
                              .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                              .instruments = COT_INSTRUMENT_UNITS)) &&
           lesson_good(l,
                       cot_model_fit(net->model, l->train, .epochs = l->quick ? 15 : MOST_EPOCHS,
                                     .batch_size = LESSON_BATCH, .steps_per_epoch = STEPS,
                                     .callbacks = {cot_lambda_callback(.on_epoch_end = count_units,
                                                                       .user = net)}));
}

static void report(lesson *l, const network *net) {
    double end[N_NETWORKS], loss[N_NETWORKS];
    (void)printf("%-30s %s\n", "",
                 "off at the end: layer 1, 2, 3   after epoch 1    at the end    loss");
    for (int i = 0; i < N_NETWORKS; i++) {
        const network *n = &net[i];
        end[i] = n->off[n->n_epochs - 1];
        loss[i] = lesson_last(n->model, "loss");
        (void)printf("%-30s %13.0f %% %5.0f %% %5.0f %% %13.1f %% %11.1f %% %7.3f\n", n->label,
                     100.0 * n->layer[0], 100.0 * n->layer[1], 100.0 * n->layer[2],
                     100.0 * n->off[0], 100.0 * end[i], loss[i]);
    }
    lesson_claim(l, end[0] < 0.1, "with a good rate and good first weights few ReLUs are dead");
    lesson_claim(l, end[1] > 4.0 * end[0] && loss[1] > loss[0],
                 "a rate that is too big kills %.0f %% of them, %.0f %% of the first layer",
                 100.0 * end[1], 100.0 * net[1].layer[0]);
    lesson_claim(l, end[2] < 0.25 * end[1], "of Leaky ReLUs with that rate only %.1f %% are off",
                 100.0 * end[2]);
    lesson_claim(l, end[3] > 0.5 && end[4] < 0.7 * end[3],
                 "after bad first weights %.0f %% of the ReLUs stay dead, of Leaky ReLUs %.0f %% "
                 "are still off",
                 100.0 * end[3], 100.0 * end[4]);
    lesson_claim(l, loss[2] < loss[1] && loss[4] < loss[3], "Leaky ReLU learns more each time");
}

/* The instrument looks at all rows of an epoch while the weights change, the program at 2,000 rows
 * at its end; so the instrument finds a few units that were on once. */
static void compare_instrument(lesson *l, const network *net) {
    double dead = 0.0, off = net->off[net->n_epochs - 1];
    for (int i = 0; i < N_LAYERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "hidden_%d/dead_units", i + 1);
        dead += lesson_last(net->model, name) / N_LAYERS;
    }
    lesson_claim(l, dead > off - 0.05 && dead < off + 0.005,
                 "the library's instrument calls %.0f %% dead: off for all rows of the epoch",
                 100.0 * dead);
}

static void draw(lesson *l, const network *net) {
    figure_line off[N_NETWORKS], loss[N_NETWORKS];
    for (int i = 0; i < N_NETWORKS; i++) {
        off[i] = (figure_line){.label = net[i].label,
                               .color = net[i].color,
                               .style = net[i].style,
                               .n = (size_t)net[i].n_epochs,
                               .x_step = STEPS,
                               .y = net[i].off};
        loss[i] = lesson_curve(net[i].model, "loss", net[i].label, net[i].color, net[i].style);
        loss[i].x_step = STEPS;
    }
    const figure_panel panel[] = {
        {.title = "Units that are off for all of 2,000 rows",
         .x_label = "step",
         .y_label = "share of the hidden units",
         .y_high = 1.05,
         .line = off,
         .n = N_NETWORKS},
        {.title = "What comes of it",
         .x_label = "step",
         .y_label = "training loss",
         .y_high = 3.0,
         .line = loss,
         .n = N_NETWORKS},
    };
    lesson_picture(l, panel, 2, 2);
}

static bool make_outputs(float *outputs[N_LAYERS]) {
    for (int i = 0; i < N_LAYERS; i++) {
        outputs[i] = malloc(sizeof(float) * ROWS * WIDTH);
    }
    return outputs[0] != NULL && outputs[1] != NULL && outputs[2] != NULL;
}

int main(int argc, char **argv) {
    network net[N_NETWORKS] = {
        {.label = "ReLU, good rate", .activation = COT_RELU, .rate = 0.02, .color = FIGURE_BLUE},
        {.label = "ReLU, rate too big", .activation = COT_RELU, .rate = 0.1, .color = FIGURE_RED},
        {.label = "Leaky ReLU, the same rate",
         .activation = COT_LEAKY_RELU,
         .rate = 0.1,
         .color = FIGURE_RED,
         .style = FIGURE_DASHED},
        {.label = "ReLU, biases -3",
         .activation = COT_RELU,
         .rate = 0.02,
         .bias = -3.0,
         .color = FIGURE_GREEN},
        {.label = "Leaky ReLU, biases -3",
         .activation = COT_LEAKY_RELU,
         .rate = 0.02,
         .bias = -3.0,
         .color = FIGURE_GREEN,
         .style = FIGURE_DASHED},
    };
    lesson l;
    float *outputs[N_LAYERS] = {NULL};
    bool good = lesson_begin(&l, &text, argc, argv) && lesson_data(&l) && make_outputs(outputs);
    cot_dataset *rows = good ? cot_dataset_slice(l.train, 0, ROWS) : NULL;
    good = good && lesson_made(&l, rows);
    for (int i = 0; i < N_NETWORKS && good; i++) {
        memcpy(net[i].outputs, outputs, sizeof outputs);
        net[i].rows = rows;
        good = train(&l, &net[i]);
    }
    if (good) {
        report(&l, net);
        compare_instrument(&l, &net[1]);
        draw(&l, net);
    }
    for (int i = 0; i < N_NETWORKS; i++) {
        cot_model_destroy(net[i].model);
        cot_model_destroy(net[i].hidden);
    }
    for (int i = 0; i < N_LAYERS; i++) {
        free(outputs[i]);
    }
    cot_dataset_destroy(rows);
    return lesson_end(&l);
}
