/*
 * A transformer encoder trains to the same bits whatever the threads, the chunks, the width of
 * vectors with fused multiply-adds, and near what the reference evaluator gives. Heads lie inside
 * the rows of the sequence, and no extent is a multiple of a vector.
 */
#include "promises.h"

#include <math.h>
#include <stdio.h>

enum {
    TOKENS = 7,
    HEADS = 3,
    WIDTH = 15,
    INNER = 18,
    VOCABULARY = 11,
    MOST_ROWS = 13,
    MOST_STATES = 64,
    MOST_ELEMENTS = 512
};

typedef struct encoder {
    cot_context *context;
    cot_graph *graph;
    cot_variable *variable[MOST_STATES];
    cot_value state[MOST_STATES];
    int32_t n_states;
    uint32_t dice;
} encoder;

static float next(encoder *net) {
    net->dice = net->dice * 1664525U + 1013904223U;
    return (float)(net->dice >> 8) * 0x1p-24F - 0.5F;
}

static int64_t count(cot_shape shape) {
    int64_t n = 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        n *= shape.dim[i];
    }
    return n;
}

static cot_value parameter(encoder *net, cot_shape shape, float mean) {
    float value[MOST_ELEMENTS];
    char name[16];
    assert_true(net->n_states < MOST_STATES && count(shape) <= MOST_ELEMENTS);
    (void)snprintf(name, sizeof name, "p%d", (int)net->n_states);
    for (int64_t i = 0; i < count(shape); i++) {
        value[i] = mean + next(net);
    }
    cot_variable *variable = cot_variable_create(net->context, COT_F32, shape, name);
    assert_non_null(variable);
    assert_int_equal(cot_variable_set(variable, value, (size_t)count(shape) * sizeof *value),
                     COT_OK);
    net->variable[net->n_states] = variable;
    net->state[net->n_states] = cot_op_state(net->graph, variable);
    return net->state[net->n_states++];
}

static cot_value add(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_ADD, a, b);
}

static cot_value dense(encoder *net, cot_value x, int64_t n_in, int64_t n_out) {
    cot_value w = parameter(net, COT_SHAPE(n_in, n_out), 0);
    return add(cot_op_matmul(x, w), parameter(net, COT_SHAPE(n_out), 0));
}

static cot_value norm(encoder *net, cot_value x) {
    cot_value scale = parameter(net, COT_SHAPE(WIDTH), 1);
    return cot_op_layer_norm(x, scale, parameter(net, COT_SHAPE(WIDTH), 0), 1e-5);
}

static cot_value heads(encoder *net, cot_value x) {
    cot_value split =
        cot_op_reshape(dense(net, x, WIDTH, WIDTH), COT_BATCH(TOKENS, HEADS, WIDTH / HEADS));
    return cot_op_permute(split, (const int32_t[]){0, 2, 1, 3}, 4);
}

static cot_value attention(encoder *net, cot_value x) {
    cot_value q = heads(net, x), k = heads(net, x), v = heads(net, x);
    cot_attention_options options = {.struct_size = sizeof options, .causal = true};
    cot_value y = cot_op_attention(q, k, v, (cot_value){NULL, 0}, &options);
    y = cot_op_reshape(cot_op_permute(y, (const int32_t[]){0, 2, 1, 3}, 4),
                       COT_BATCH(TOKENS, WIDTH));
    return dense(net, y, WIDTH, WIDTH);
}

/* The mean cross-entropy of the tokens' labels. */
static cot_value loss_of(encoder *net) {
    cot_value tokens = cot_op_input(net->graph, COT_I32, COT_BATCH(TOKENS), "tokens");
    cot_value labels = cot_op_input(net->graph, COT_I32, COT_BATCH(TOKENS), "labels");
    cot_value x = cot_op_gather(parameter(net, COT_SHAPE(VOCABULARY, WIDTH), 0), tokens, 0, 0);
    x = add(x, attention(net, norm(net, x)));
    cot_value inner = cot_op_unary(COT_OP_GELU, dense(net, norm(net, x), WIDTH, INNER));
    x = add(x, dense(net, inner, INNER, WIDTH));
    cot_value logits = dense(net, norm(net, x), WIDTH, VOCABULARY);
    cot_value target = cot_op_one_hot(labels, VOCABULARY, COT_F32);
    cot_value loss = cot_op_softmax_cross_entropy(target, logits);
    return cot_op_mean(loss, (const int32_t[]){0, 1}, 2, false);
}

static void update(encoder *net, cot_value loss) {
    cot_value gradient[MOST_STATES];
    assert_int_equal(cot_grad(loss, net->state, net->n_states, gradient), COT_OK);
    cot_value rate = cot_op_constant(net->graph, COT_F32, 0.25);
    for (int32_t i = 0; i < net->n_states; i++) {
        cot_value step = cot_op_binary(COT_OP_MUL, rate, gradient[i]);
        cot_value moved = cot_op_binary(COT_OP_SUB, net->state[i], step);
        assert_int_equal(cot_graph_update(net->state[i], moved), COT_OK);
    }
}

/* How a step is compiled and run. */
typedef struct way {
    int32_t threads;
    int64_t max_rows;
    cot_isa isa;
    bool evaluator, unfused;
} way;

static void run_steps(cot_program *program) {
    int32_t tokens[MOST_ROWS * TOKENS], labels[MOST_ROWS * TOKENS];
    static const int64_t rows[] = {MOST_ROWS, 5, 1, MOST_ROWS};
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    for (int32_t i = 0; i < MOST_ROWS * TOKENS; i++) {
        tokens[i] = i * 5 % VOCABULARY;
        labels[i] = i * i % VOCABULARY;
    }
    cot_array x = {.data = tokens, .dtype = COT_I32, .n_rows = MOST_ROWS, .row_elements = TOKENS};
    cot_array y = {.data = labels, .dtype = COT_I32, .n_rows = MOST_ROWS, .row_elements = TOKENS};
    assert_int_equal(cot_session_bind(session, "tokens", &x), COT_OK);
    assert_int_equal(cot_session_bind(session, "labels", &y), COT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(cot_session_run(session, rows[i]), COT_OK);
    }
    cot_session_destroy(session);
}

/* All parameters after the steps, one after the other, to be freed; NULL: not on this machine. */
static float *train(way how, int64_t *n_out) {
    cot_options options = {.struct_size = sizeof options,
                           .threads = how.threads,
                           .isa = how.isa,
                           .jit = how.evaluator ? COT_OFF : COT_ON,
                           .fuse = how.unfused ? COT_OFF : COT_ON,
                           .environment = COT_OFF};
    encoder net = {.context = cot_context_create(&options), .dice = 1};
    assert_non_null(net.context);
    net.graph = cot_graph_create(net.context, "encoder");
    update(&net, loss_of(&net));
    cot_program_options program_options = {.struct_size = sizeof program_options,
                                           .max_rows = how.max_rows};
    cot_program *program = cot_program_create(net.graph, &program_options);
    if (program != NULL) {
        run_steps(program);
    }
    float *all = calloc(MOST_STATES, MOST_ELEMENTS * sizeof *all);
    assert_non_null(all);
    *n_out = 0;
    for (int32_t i = 0; i < net.n_states; i++) {
        int64_t n = count(cot_variable_shape(net.variable[i]));
        assert_int_equal(cot_variable_get(net.variable[i], all + *n_out, (size_t)n * sizeof *all),
                         COT_OK);
        *n_out += n;
        cot_variable_release(net.variable[i]);
    }
    bool ran = program != NULL;
    cot_program_destroy(program);
    cot_graph_destroy(net.graph);
    cot_context_destroy(net.context);
    if (!ran) {
        free(all);
        return NULL;
    }
    return all;
}

static void same_bits(void **state) {
    (void)state;
    static const way ways[] = {{.threads = 2, .max_rows = MOST_ROWS},
                               {.threads = 3, .max_rows = MOST_ROWS},
                               {.threads = 4, .max_rows = MOST_ROWS},
                               {.threads = 1, .max_rows = 64},
                               {.threads = 3, .max_rows = 64}};
    int64_t n = 0, n_other = 0;
    float *first = train((way){.threads = 1, .max_rows = MOST_ROWS}, &n);
    assert_non_null(first);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        float *other = train(ways[i], &n_other);
        assert_int_equal(n, n_other);
        assert_memory_equal(first, other, (size_t)n * sizeof *first);
        free(other);
    }
    free(first);
}

static void same_bits_on_all_widths(void **state) {
    (void)state;
    int64_t n = 0, n_other = 0;
    float *narrow = train((way){.threads = 2, .max_rows = MOST_ROWS, .isa = COT_ISA_AVX2}, &n);
    float *wide =
        train((way){.threads = 2, .max_rows = MOST_ROWS, .isa = COT_ISA_AVX512}, &n_other);
    if (narrow != NULL && wide != NULL) {
        assert_int_equal(n, n_other);
        assert_memory_equal(narrow, wide, (size_t)n * sizeof *narrow);
    }
    free(narrow);
    free(wide);
}

static void near_the_evaluator(void **state) {
    (void)state;
    static const way ways[] = {{.threads = 2, .max_rows = MOST_ROWS},
                               {.threads = 2, .max_rows = MOST_ROWS, .unfused = true},
                               {.threads = 2, .max_rows = MOST_ROWS, .isa = COT_ISA_BASELINE}};
    int64_t n = 0, n_other = 0;
    float *right = train((way){.threads = 1, .max_rows = MOST_ROWS, .evaluator = true}, &n);
    assert_non_null(right);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        float *other = train(ways[i], &n_other);
        assert_int_equal(n, n_other);
        for (int64_t j = 0; j < n; j++) {
            assert_true(fabsf(other[j] - right[j]) <= 2e-5F);
        }
        free(other);
    }
    free(right);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits),
                                       cmocka_unit_test(same_bits_on_all_widths),
                                       cmocka_unit_test(near_the_evaluator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
