/*
 * How the weights begin: the size of the activations in each layer of a network that nobody has
 * trained. A second output of the model for each layer shows them.
 */
#include "lesson.h"

enum { N_LAYERS = 10, WIDTH = 256, ROWS = 500, N_NETWORKS = 6, N_TANH = 3 };

static const lesson_text text = {
    .name = "initial_weights",
    .title = "Initial weights",
    .lecture = "How to initialize the weight parameters properly?",
    .what =
        "Images of Fashion-MNIST, with mean 0 and deviation 1, pass through 10 untrained layers "
        "of 256 units. Weights that are too small make the signal fade from layer to layer, "
        "weights that are too large drive tanh into saturation and ReLU to infinity. Glorot's "
        "variance 2 / (inputs + outputs) keeps it in networks of tanh; ReLU, which throws half "
        "of it away, needs He's, 2 / inputs."};

typedef struct network {
    const char *label;
    cot_activation_kind activation;
    cot_initializer initializer;
    double stddev; /* of random_normal */
    int color;
    figure_style style;
    double size[N_LAYERS]; /* root mean square of the layer's outputs */
    double saturated;      /* share of the last layer's outputs beyond +-0.99 */
} network;

static cot_model *build(cot_context *context, const network *net) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor x = image, outputs[N_LAYERS];
    for (int i = 0; i < N_LAYERS; i++) {
        x = cot_dense(x, WIDTH, .activation = net->activation,
                      .kernel_initializer = net->initializer,
                      .kernel_numbers = cot_initializer_numbers(.stddev = net->stddev));
        outputs[i] = x;
    }
    return cot_model_create(context, COT_TENSORS(image), (cot_tensor_list){outputs, N_LAYERS},
                            NULL);
}

static void measure(network *net, const float *outputs, int i_layer) {
    double sum = 0.0;
    int n_saturated = 0;
    for (int64_t k = 0; k < (int64_t)ROWS * WIDTH; k++) {
        sum += (double)outputs[k] * (double)outputs[k];
        n_saturated += fabsf(outputs[k]) > 0.99F;
    }
    net->size[i_layer] = sqrt(sum / (ROWS * WIDTH));
    net->saturated = (double)n_saturated / (ROWS * WIDTH);
}

static bool pass(lesson *l, network *net, const cot_dataset *images, float *memory) {
    const size_t n = (size_t)ROWS * WIDTH;
    cot_buffer buffer[N_LAYERS];
    for (int i = 0; i < N_LAYERS; i++) {
        buffer[i] = (cot_buffer){memory + (size_t)i * n, n * sizeof(float)};
    }
    cot_model *model = build(l->context, net);
    bool good =
        lesson_made(l, model) && lesson_good(l, cot_model_compile(model, .max_batch = ROWS)) &&
        lesson_good(l,
                    cot_model_predict_on_batch(model, images, (cot_buffer_list){buffer, N_LAYERS}));
    for (int i = 0; i < N_LAYERS && good; i++) {
        measure(net, memory + (size_t)i * n, i);
    }
    cot_model_destroy(model);
    return good;
}

/* ROWS images with mean 0 and deviation 1 over all pixels, which are 0.2860 and 0.3530. */
static cot_dataset *normalized(lesson *l) {
    cot_array images = *cot_dataset_input(l->train, 0);
    images.n_rows = ROWS;
    images.scale = (float)(1.0 / 255.0 / 0.3530);
    images.offset = (float)(-0.2860 / 0.3530);
    return cot_dataset_create(l->context, (cot_array_list){&images, 1}, COT_NO_ARRAYS, COT_BORROW);
}

static void report(lesson *l, const network *net) {
    (void)printf("%-26s %15s %15s %18s\n", "root mean square of layer", "1", "10", "saturated");
    for (int i = 0; i < N_NETWORKS; i++) {
        (void)printf("%s, %-20s %15.3g %15.3g", i < N_TANH ? "tanh" : "ReLU", net[i].label,
                     net[i].size[0], net[i].size[N_LAYERS - 1]);
        (void)printf(i < N_TANH ? " %16.0f %%\n" : "\n", 100.0 * net[i].saturated);
    }
    const double *small = net[0].size, *glorot_relu = net[3].size, *he = net[4].size;
    lesson_claim(l, small[N_LAYERS - 1] < 1e-3 * small[0],
                 "too small: of the signal %.0e is left after 10 layers",
                 small[N_LAYERS - 1] / small[0]);
    lesson_claim(l, net[1].saturated > 0.5, "too large: %.0f %% of the tanhs are saturated",
                 100.0 * net[1].saturated);
    lesson_claim(l, net[2].size[N_LAYERS - 1] > 0.2 && net[2].saturated < 0.05,
                 "Glorot's: tanhs neither fade nor saturate");
    lesson_claim(l, glorot_relu[N_LAYERS - 1] < 0.1 * glorot_relu[0],
                 "with Glorot's ReLUs fade, to %.2f", glorot_relu[N_LAYERS - 1] / glorot_relu[0]);
    lesson_claim(l, he[N_LAYERS - 1] > 0.5 * he[0] && he[N_LAYERS - 1] < 2.0 * he[0],
                 "with He's they do not: %.2f", he[N_LAYERS - 1] / he[0]);
    lesson_claim(l, net[5].size[N_LAYERS - 1] > 1e3 * net[5].size[0],
                 "with large weights they grow to %.0e", net[5].size[N_LAYERS - 1]);
}

static void draw(lesson *l, const network *net) {
    figure_line line[N_NETWORKS];
    for (int i = 0; i < N_NETWORKS; i++) {
        line[i] = (figure_line){.label = net[i].label,
                                .color = net[i].color,
                                .style = net[i].style,
                                .n = N_LAYERS,
                                .y = net[i].size};
    }
    const figure_panel panel[] = {
        {.title = "10 layers of tanh",
         .x_label = "layer",
         .y_label = "root mean square",
         .log_y = true,
         .line = line,
         .n = N_TANH},
        {.title = "10 layers of ReLU",
         .x_label = "layer",
         .y_label = "root mean square",
         .log_y = true,
         .line = line + N_TANH,
         .n = N_NETWORKS - N_TANH},
    };
    lesson_picture(l, panel, 2, 2);
}

int main(int argc, char **argv) {
    network net[N_NETWORKS] = {
        {"small: 0.01", COT_TANH, COT_RANDOM_NORMAL, 0.01, FIGURE_ORANGE, FIGURE_DOTTED, {0}, 0.0},
        {"large: 0.5", COT_TANH, COT_RANDOM_NORMAL, 0.5, FIGURE_RED, FIGURE_DASHED, {0}, 0.0},
        {"Glorot", COT_TANH, COT_GLOROT_NORMAL, 0.0, FIGURE_BLUE, FIGURE_SOLID, {0}, 0.0},
        {"Glorot", COT_RELU, COT_GLOROT_NORMAL, 0.0, FIGURE_BLUE, FIGURE_DOTTED, {0}, 0.0},
        {"He", COT_RELU, COT_HE_NORMAL, 0.0, FIGURE_GREEN, FIGURE_SOLID, {0}, 0.0},
        {"large: 0.5", COT_RELU, COT_RANDOM_NORMAL, 0.5, FIGURE_RED, FIGURE_DASHED, {0}, 0.0},
    };
    lesson l;
    float *memory = malloc(sizeof(float) * N_LAYERS * ROWS * WIDTH);
    bool good = lesson_begin(&l, &text, argc, argv) && memory != NULL && lesson_data(&l);
    cot_dataset *images = good ? normalized(&l) : NULL;
    good = good && lesson_made(&l, images);
    for (int i = 0; i < N_NETWORKS && good; i++) {
        good = pass(&l, &net[i], images, memory);
    }
    if (good) {
        report(&l, net);
        draw(&l, net);
    }
    cot_dataset_destroy(images);
    free(memory);
    return lesson_end(&l);
}
