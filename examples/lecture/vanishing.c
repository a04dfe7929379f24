/*
 * Vanishing gradients: a deep network of sigmoids, and its cures. Three networks of 20 hidden
 * layers are trained alike but for what a layer is, and two of 200; the library's instruments tell
 * the norm of each layer's gradient in each epoch.
 */
#include "lesson.h"

enum { DEEP = 20, VERY_DEEP = 200, WIDTH = 64, N_DEEP = 3, N_NETWORKS = 5, STEPS = 25 };

static const lesson_text text = {
    .name = "vanishing",
    .title = "Vanishing gradients",
    .lecture = "Problem: The gradient δ would die to 0 after a few layers. [...] Residual "
               "Connections: Enables the training of models with hundreds of hidden layers",
    .what = "Three networks of 20 hidden layers of 64 units learn Fashion-MNIST with the same "
            "optimizer. With sigmoids the error signal loses a factor in every layer that it "
            "passes, so the first layers never learn and the loss stays where guessing is, at "
            "ln 10. ReLUs pass it on; so do the same sigmoids when what enters a layer is added to "
            "what leaves it. With 200 hidden layers ReLUs alone do not learn either; with residual "
            "connections they do."};

typedef struct network {
    const char *label;
    cot_activation_kind activation;
    bool is_residual;
    int32_t n_layers;
    int color;
    figure_style style;
    cot_model *model;
    double norm[DEEP]; /* of the gradients of each layer in the first epoch */
} network;

/* Residual branches of very deep networks begin small, so that their sum does not grow with their
 * number: variance 2 / (inputs * layers) instead of 2 / inputs. */
static cot_tensor hidden_layer(const network *net, cot_tensor x, int i) {
    char name[32];
    (void)snprintf(name, sizeof name, "layer_%d", i + 1);
    bool is_branch = net->is_residual && i > 0;
    double variance = net->activation == COT_RELU ? 2.0 : 1.0;
    variance = is_branch && net->n_layers > DEEP ? variance / net->n_layers : variance;
    cot_tensor y = cot_dense(x, WIDTH, .activation = net->activation, .name = name,
                             .kernel_initializer = COT_VARIANCE_SCALING,
                             .kernel_numbers = cot_initializer_numbers(.scale = variance));
    return is_branch ? cot_add(COT_TENSORS(x, y)) : y;
}

static cot_model *build(cot_context *context, const network *net) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor x = image;
    for (int i = 0; i < net->n_layers; i++) {
        x = hidden_layer(net, x, i);
    }
    cot_tensor class = cot_dense(x, 10, .activation = COT_SOFTMAX, .name = "class");
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
}

/* Epochs are of 25 steps, to see what happens early. */
static bool train(lesson *l, network *net) {
    net->model = build(l->context, net);
    if (!lesson_made(l, net->model) ||
        !lesson_good(l, cot_model_compile(net->model, .optimizer = cot_adam(.learning_rate = 0.001),
                                          .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                          .instruments = COT_INSTRUMENT_NORMS)) ||
        !lesson_good(l, cot_model_fit(net->model, l->train, .epochs = l->quick ? 8 : 40,
                                      .batch_size = LESSON_BATCH, .steps_per_epoch = STEPS))) {
        return false;
    }
    for (int i = 0; i < DEEP; i++) {
        char name[48];
        (void)snprintf(name, sizeof name, "layer_%d/gradient_norm", i + 1);
        net->norm[i] = cot_history_values(cot_model_history(net->model), name)[0];
    }
    return true;
}

static figure_line curve(const network *net, const char *name) {
    figure_line line = lesson_curve(net->model, name, net->label, net->color, net->style);
    line.x_step = STEPS;
    return line;
}

static void draw(lesson *l, const network *net) {
    figure_line by_layer[N_DEEP], first[N_DEEP], loss[N_NETWORKS];
    for (int i = 0; i < N_NETWORKS; i++) {
        loss[i] = curve(&net[i], "loss");
    }
    for (int i = 0; i < N_DEEP; i++) {
        first[i] = curve(&net[i], "layer_1/gradient_norm");
        by_layer[i] = first[i];
        by_layer[i].n = DEEP;
        by_layer[i].y = net[i].norm;
        by_layer[i].x_step = 1.0;
    }
    const figure_panel panel[] = {
        {.title = "20 layers: gradients in the first 25 steps",
         .x_label = "hidden layer (20 is nearest to the loss)",
         .y_label = "norm of its gradient",
         .log_y = true,
         .line = by_layer,
         .n = N_DEEP},
        {.title = "20 layers: the first layer's gradient in training",
         .x_label = "step",
         .y_label = "norm of layer 1's gradient",
         .log_y = true,
         .line = first,
         .n = N_DEEP},
        {.title = "20 layers: what comes of it",
         .x_label = "step",
         .y_label = "training loss",
         .y_high = 4.0,
         .line = loss,
         .n = N_DEEP},
        {.title = "200 layers",
         .x_label = "step",
         .y_label = "training loss",
         .y_high = 4.0,
         .line = loss + N_DEEP,
         .n = N_NETWORKS - N_DEEP},
    };
    lesson_picture(l, panel, 4, 2);
}

static void report(lesson *l, const network *net) {
    double ratio[N_NETWORKS], loss[N_NETWORKS];
    (void)printf(
        "layers                        gradient of layer 1  of layer 20  20 : 1     loss\n");
    for (int i = 0; i < N_NETWORKS; i++) {
        const double *norm = net[i].norm;
        ratio[i] = norm[DEEP - 1] / norm[0];
        loss[i] = lesson_last(net[i].model, "loss");
        (void)printf("%3d  %-22s %21.2g %12.2g %7.2g %8.3f\n", net[i].n_layers, net[i].label,
                     norm[0], norm[DEEP - 1], ratio[i], loss[i]);
    }
    lesson_claim(l, ratio[0] > 1000.0,
                 "with sigmoids the first layer's gradient is %.0e times smaller than the last's",
                 ratio[0]);
    lesson_claim(l, ratio[1] < 100.0 && ratio[2] < 100.0,
                 "with ReLUs, and with residual connections, they are of one order");
    lesson_claim(l, loss[0] > 2.2, "the sigmoids learn nothing: guessing has a loss of %.3f",
                 log(10.0));
    lesson_claim(l, loss[1] < 1.0 && loss[2] < 1.0, "with either cure they learn");
    lesson_claim(l, loss[3] > 2.2 && loss[4] < 1.6,
                 "residual connections train 200 hidden layers, which do not learn without");
}

int main(int argc, char **argv) {
    network net[N_NETWORKS] = {
        {"sigmoid", COT_SIGMOID, false, DEEP, FIGURE_RED, FIGURE_SOLID, NULL, {0.0}},
        {"ReLU", COT_RELU, false, DEEP, FIGURE_BLUE, FIGURE_DASHED, NULL, {0.0}},
        {"sigmoid, residual", COT_SIGMOID, true, DEEP, FIGURE_GREEN, FIGURE_DOTTED, NULL, {0.0}},
        {"ReLU", COT_RELU, false, VERY_DEEP, FIGURE_BLUE, FIGURE_DASHED, NULL, {0.0}},
        {"ReLU, residual", COT_RELU, true, VERY_DEEP, FIGURE_PINK, FIGURE_SOLID, NULL, {0.0}},
    };
    lesson l;
    bool good = lesson_begin(&l, &text, argc, argv) && lesson_data(&l);
    for (int i = 0; i < N_NETWORKS && good; i++) {
        good = train(&l, &net[i]);
    }
    if (good) {
        report(&l, net);
        draw(&l, net);
    }
    for (int i = 0; i < N_NETWORKS; i++) {
        cot_model_destroy(net[i].model);
    }
    return lesson_end(&l);
}
