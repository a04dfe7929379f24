/*
 * Workload e: an encoder of two layers over 64 tokens of a vocabulary of 256, width 256, 4 heads,
 * inner width 1024. Pre-norm: x += attention(norm(x)), x += dense(relu(dense(norm(x)))), a norm at
 * the end; embedding plus learnt positions before, logits of the vocabulary for each token behind.
 * Attention sees all tokens; no dropout. Adam.
 */
#include "trainer.h"

enum { BATCH = 16, STEPS = 2, N_LAYERS = 2, N_HEADS = 4 };

typedef struct encoder {
    bench_trainer *trainer;
    int64_t width, tokens, inner, vocabulary;
    double flops; /* of the forward products of a row */
} encoder;

static cot_value layer_norm(encoder *net, cot_value x, const char *name) {
    cot_value scale = bench_parameter(net->trainer, COT_SHAPE(net->width), BENCH_ONES, name);
    cot_value offset = bench_parameter(net->trainer, COT_SHAPE(net->width), BENCH_ZEROS, name);
    return cot_op_layer_norm(x, scale, offset, 1e-5);
}

static cot_value dense(encoder *net, cot_value x, int64_t n_in, int64_t n_out, const char *name) {
    net->flops += 2.0 * (double)(net->tokens * n_in * n_out);
    return bench_dense(net->trainer, x, n_in, n_out, name);
}

/* [N, tokens, width] to [N, heads, tokens, width / heads]. */
static cot_value split_heads(const encoder *net, cot_value x) {
    static const int32_t axes[] = {0, 2, 1, 3};
    cot_value split = cot_op_reshape(x, COT_BATCH(net->tokens, N_HEADS, net->width / N_HEADS));
    return cot_op_permute(split, axes, 4);
}

static cot_value self_attention(encoder *net, cot_value x) {
    static const int32_t axes[] = {0, 2, 1, 3};
    cot_value q = split_heads(net, dense(net, x, net->width, net->width, "query"));
    cot_value k = split_heads(net, dense(net, x, net->width, net->width, "key"));
    cot_value v = split_heads(net, dense(net, x, net->width, net->width, "value"));
    cot_value y = cot_op_attention(q, k, v, (cot_value){NULL, 0}, NULL);
    cot_value merged =
        cot_op_reshape(cot_op_permute(y, axes, 4), COT_BATCH(net->tokens, net->width));
    net->flops += 4.0 * (double)(net->tokens * net->tokens * net->width);
    return dense(net, merged, net->width, net->width, "attention");
}

static cot_value feed_forward(encoder *net, cot_value x) {
    cot_value inner = dense(net, x, net->width, net->inner, "inner");
    return dense(net, cot_op_unary(COT_OP_RELU, inner), net->inner, net->width, "outer");
}

static cot_value logits(encoder *net, cot_value tokens) {
    cot_value table =
        bench_parameter(net->trainer, COT_SHAPE(net->vocabulary, net->width), BENCH_SMALL, "table");
    cot_value positions =
        bench_parameter(net->trainer, COT_SHAPE(net->tokens, net->width), BENCH_SMALL, "position");
    cot_value x = cot_op_binary(COT_OP_ADD, cot_op_gather(table, tokens, 0, 0), positions);
    for (int32_t i = 0; i < N_LAYERS; i++) {
        cot_value attended = self_attention(net, layer_norm(net, x, "norm_1"));
        x = cot_op_binary(COT_OP_ADD, x, attended);
        cot_value fed = feed_forward(net, layer_norm(net, x, "norm_2"));
        x = cot_op_binary(COT_OP_ADD, x, fed);
    }
    return dense(net, layer_norm(net, x, "norm_end"), net->width, net->vocabulary, "logits");
}

bench_subject *bench_make_transformer(cot_context *context, const bench_setup *setup,
                                      int32_t variant) {
    (void)variant;
    bench_trainer *trainer = bench_trainer_create(
        context, "e", "transformer encoder, 2 layers, width 256, 4 heads, 64 tokens, Adam");
    if (trainer == NULL) {
        return NULL;
    }
    encoder net = {.trainer = trainer,
                   .width = bench_size(setup, 256),
                   .tokens = bench_size(setup, 64),
                   .inner = bench_size(setup, 1024),
                   .vocabulary = bench_size(setup, 256)};
    int64_t batch = setup->batch > 0 ? setup->batch : BATCH;
    bench_data data = {
        .rows = STEPS * batch, .batch = batch, .x_elements = net.tokens, .y_elements = net.tokens};
    if (!bench_trainer_take_data(trainer, data)) {
        bench_trainer_destroy(&trainer->base);
        return NULL;
    }
    int64_t n = data.rows * net.tokens;
    bench_fill_labels(trainer->x_memory, n, (int32_t)net.vocabulary, 0);
    bench_fill_labels(trainer->y_memory, n, (int32_t)net.vocabulary, 1);
    cot_value tokens = cot_op_input(trainer->graph, COT_I32, COT_BATCH(net.tokens), "x");
    cot_value labels = cot_op_input(trainer->graph, COT_I32, COT_BATCH(net.tokens), "y");
    cot_value loss = bench_cross_entropy(logits(&net, tokens), labels);
    trainer->base.flops = 3.0 * net.flops * (double)batch; /* forward, by weights, by inputs */
    return bench_trainer_compile(trainer, loss, COT_I32);
}
