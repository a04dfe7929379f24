/*
 * The lecture's summary of activations: one network trained with each of eight, from first weights
 * that suit it, and how fast it learns. PReLU's slopes and Maxout are layers of their own.
 */
#include "lesson.h"

enum { N_NETWORKS = 8, N_LAYERS = 6, WIDTH = 64, STEPS = 20 };

static const lesson_text text = {
    .name = "which_activation",
    .title = "Which activation",
    .lecture = "Use ReLU or GeLU. Try out Leaky ReLU, PreLU, MaxOut. Don't use Sigmoid. Try out "
               "tanh but don't expect much improvement",
    .what = "Networks of 6 hidden layers of 64 units learn Fashion-MNIST by SGD with momentum. "
            "Weights begin with variances that suit: He's 2 / inputs for what is 0 or small where "
            "x < 0, Glorot's for sigmoid and tanh, 1 / inputs for Maxout, which takes the larger "
            "of two sums. PReLU learns a slope for each unit, from 0. Where weights begin well, "
            "tanh keeps up in a network like this; that ReLU is several times faster, as the "
            "lecture says of AlexNet, is not seen here."};

typedef struct network {
    const char *label;
    cot_activation_kind activation; /* COT_LINEAR: PReLU or Maxout */
    bool is_maxout;
    int color;
    figure_style style;
    cot_model *model;
    double loss;
    int steps; /* to a training loss of 0.6; 0: never */
} network;

static cot_tensor hidden_layer(const network *net, cot_tensor x, int i) {
    char name[32];
    (void)snprintf(name, sizeof name, "slopes_%d", i + 1);
    bool saturates = net->activation == COT_SIGMOID || net->activation == COT_TANH;
    cot_initializer initializer = net->is_maxout ? COT_LECUN_UNIFORM
                                  : saturates    ? COT_GLOROT_UNIFORM
                                                 : COT_HE_UNIFORM;
    cot_tensor y = cot_dense(x, net->is_maxout ? 2 * WIDTH : WIDTH, .activation = net->activation,
                             .kernel_initializer = initializer);
    if (net->is_maxout) {
        return cot_maxout(y, WIDTH);
    }
    return net->activation == COT_LINEAR ? cot_prelu(y, .name = name) : y;
}

static bool train(lesson *l, network *net) {
    cot_tensor image = cot_input(l->context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor x = image;
    for (int i = 0; i < N_LAYERS; i++) {
        x = hidden_layer(net, x, i);
    }
    cot_tensor class = cot_dense(x, 10, .activation = COT_SOFTMAX, .name = "class");
    net->model = cot_model_create(l->context, COT_TENSORS(image), COT_TENSORS(class), NULL);
    return lesson_made(l, net->model) &&
           lesson_good(
               l, cot_model_compile(net->model,
                                    .optimizer = cot_sgd(.learning_rate = 0.02, .momentum = 0.9),
                                    .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY)) &&
           lesson_good(l, cot_model_fit(net->model, l->train,
                                        .epochs = (l->quick ? 2 : 4) * LESSON_BATCHES / STEPS,
                                        .batch_size = LESSON_BATCH, .steps_per_epoch = STEPS));
}

/* The mean slope that PReLU has learnt for negative sums, over all units. */
static double mean_slope(const cot_model *model) {
    double sum = 0.0;
    for (int i = 0; i < N_LAYERS; i++) {
        char name[48];
        float alpha[WIDTH] = {0.0F};
        (void)snprintf(name, sizeof name, "slopes_%d/alpha", i + 1);
        if (cot_variable_get(cot_model_find_weight(model, name), alpha, sizeof alpha) != COT_OK) {
            return NAN;
        }
        for (int k = 0; k < WIDTH; k++) {
            sum += (double)alpha[k] / (N_LAYERS * WIDTH);
        }
    }
    return sum;
}

static void measure(network *net) {
    figure_line loss = lesson_curve(net->model, "loss", NULL, 0, FIGURE_SOLID);
    net->loss = 0.0;
    for (size_t i = 0; i < loss.n; i++) {
        net->loss += i + 10 >= loss.n ? loss.y[i] / 10.0 : 0.0;
        net->steps = net->steps == 0 && loss.y[i] < 0.6 ? (int)(i + 1) * STEPS : net->steps;
    }
}

static void report(lesson *l, network *net) {
    (void)printf("%-12s %22s %12s\n", "", "steps to a loss of 0.6", "last loss");
    for (int i = 0; i < N_NETWORKS; i++) {
        measure(&net[i]);
        (void)printf("%-12s ", net[i].label);
        (void)(net[i].steps > 0 ? printf("%22d", net[i].steps) : printf("%22s", "never"));
        (void)printf(" %12.3f\n", net[i].loss);
    }
    bool is_worst = true;
    for (int i = 1; i < N_NETWORKS; i++) {
        is_worst = is_worst && net[0].loss > 1.5 * net[i].loss && net[i].steps > 0;
    }
    lesson_claim(l, is_worst, "don't use sigmoid: its loss is far above that of all others");
    lesson_claim(l, net[1].loss > 0.8 * net[2].loss, "tanh: no great improvement over ReLU");
    lesson_claim(l, fabs(mean_slope(net[4].model)) > 0.01,
                 "PReLU's slopes are learnt: from 0 to %.3f on average", mean_slope(net[4].model));
}

static void draw(lesson *l, const network *net) {
    figure_line line[N_NETWORKS], right[5];
    for (int i = 0; i < N_NETWORKS; i++) {
        line[i] = lesson_curve(net[i].model, "loss", net[i].label, net[i].color, net[i].style);
        line[i].x_step = STEPS;
    }
    right[0] = line[2];
    memcpy(right + 1, line + 4, 4 * sizeof *right);
    figure_panel panel[] = {
        {.title = "Saturating ones, ReLU and Leaky ReLU", .line = line, .n = 4},
        {.title = "ReLU and its relatives", .line = right, .n = 5},
    };
    for (int i = 0; i < 2; i++) {
        panel[i].x_label = "step";
        panel[i].y_label = "training loss";
        panel[i].log_y = true;
        panel[i].y_low = 0.2;
        panel[i].y_high = 2.5;
    }
    lesson_picture(l, panel, 2, 2);
}

int main(int argc, char **argv) {
    network net[N_NETWORKS] = {
        {.label = "sigmoid", .activation = COT_SIGMOID, .color = FIGURE_RED},
        {.label = "tanh", .activation = COT_TANH, .color = FIGURE_ORANGE, .style = FIGURE_DASHED},
        {.label = "ReLU", .activation = COT_RELU, .color = FIGURE_BLUE},
        {.label = "Leaky ReLU",
         .activation = COT_LEAKY_RELU,
         .color = FIGURE_GREEN,
         .style = FIGURE_DOTTED},
        {.label = "PReLU", .color = FIGURE_SKY, .style = FIGURE_DASHED},
        {.label = "Maxout", .is_maxout = true, .color = FIGURE_PINK, .style = FIGURE_DOTTED},
        {.label = "ELU", .activation = COT_ELU, .color = FIGURE_ORANGE},
        {.label = "GELU", .activation = COT_GELU, .color = FIGURE_GREY, .style = FIGURE_DASHED},
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
