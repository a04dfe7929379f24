/*
 * Workload d: images 32x32x3, two convolutions of 32 channels, a pool, two of 64, a pool, a dense
 * layer of 128, and 10 classes. All convolutions 3x3 with the padding "same" and ReLU, the pools
 * 2x2 maxima; Adam.
 */
#include "trainer.h"

enum { N_CLASSES = 10, BATCH = 64, STEPS = 2, N_CONVOLUTIONS = 4 };

typedef struct cnn {
    bench_trainer *trainer;
    cot_value x;
    int64_t extent, channels; /* of x: extent x extent x channels */
    double flops;             /* of the layers so far, of a row's step */
} cnn;

/* Taps of a 3-wide kernel that fall into `extent` elements, over all positions of the padding
 * "same". */
static double needed_taps(int64_t extent) {
    return 3.0 * (double)extent - 2.0;
}

static void convolution(cnn *net, int64_t channels, const char *name) {
    static const cot_conv_axes same = {.low = {1, 1}, .high = {1, 1}};
    bool first = net->flops == 0.0;
    cot_graph_set_layer(net->trainer->graph, name);
    cot_value w =
        bench_parameter(net->trainer, COT_SHAPE(3, 3, net->channels, channels), BENCH_GLOROT, name);
    cot_value b = bench_parameter(net->trainer, COT_SHAPE(channels), BENCH_ZEROS, name);
    cot_value y = cot_op_binary(COT_OP_ADD, cot_op_conv(net->x, w, &same), b);
    net->x = cot_op_unary(COT_OP_RELU, y);
    double taps = needed_taps(net->extent);
    net->flops += (first ? 4.0 : 6.0) * taps * taps * (double)(net->channels * channels);
    net->channels = channels;
}

static void pool(cnn *net) {
    static const cot_pool_axes halves = {.size = {2, 2}};
    net->x = cot_op_max_pool(net->x, &halves);
    net->extent /= 2;
}

static void dense(cnn *net, int64_t n_in, int64_t n_out, const char *name) {
    net->x = bench_dense(net->trainer, net->x, n_in, n_out, name);
    net->flops += 6.0 * (double)(n_in * n_out);
}

static cot_value logits(cnn *net, const bench_setup *setup) {
    int64_t narrow = bench_size(setup, 32);
    convolution(net, narrow, "conv_1");
    convolution(net, narrow, "conv_2");
    pool(net);
    convolution(net, 2 * narrow, "conv_3");
    convolution(net, 2 * narrow, "conv_4");
    pool(net);
    int64_t flat = net->extent * net->extent * net->channels;
    net->x = cot_op_reshape(net->x, COT_BATCH(flat));
    dense(net, flat, bench_size(setup, 128), "dense_1");
    net->x = cot_op_unary(COT_OP_RELU, net->x);
    dense(net, bench_size(setup, 128), N_CLASSES, "dense_2");
    return net->x;
}

bench_subject *bench_make_cnn(cot_context *context, const bench_setup *setup, int32_t variant) {
    (void)variant;
    bench_trainer *trainer = bench_trainer_create(
        context, "d", "CNN 32x32x3: conv 32, conv 32, pool, conv 64, conv 64, pool, 128, 10, Adam");
    if (trainer == NULL) {
        return NULL;
    }
    int64_t batch = setup->batch > 0 ? setup->batch : BATCH;
    int64_t extent = setup->tiny ? 8 : 32;
    cnn net = {.trainer = trainer, .extent = extent, .channels = 3};
    bench_data data = {.rows = STEPS * batch,
                       .batch = batch,
                       .x_elements = extent * extent * net.channels,
                       .y_elements = 1};
    if (!bench_trainer_take_data(trainer, data)) {
        bench_trainer_destroy(&trainer->base);
        return NULL;
    }
    bench_fill(trainer->x_memory, data.rows * data.x_elements, 0);
    bench_fill_labels(trainer->y_memory, data.rows, N_CLASSES, 1);
    net.x = cot_op_input(trainer->graph, COT_F32, COT_BATCH(extent, extent, 3), "x");
    cot_value labels = cot_op_input(trainer->graph, COT_I32, ((cot_shape){1, true, {1}}), "y");
    cot_value loss = bench_cross_entropy(logits(&net, setup), labels);
    trainer->base.flops = net.flops * (double)batch;
    return bench_trainer_compile(trainer, loss, COT_F32);
}
