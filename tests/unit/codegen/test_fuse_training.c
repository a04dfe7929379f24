/*
 * Training steps of random small networks: dense layers with several activations, residual and
 * joined branches, shared weights, dropout, row and column normalisation; several losses; plain
 * SGD, momentum, Adam and clipping by the norm of all gradients. Run by the interpreter, fused and
 * not, in every bit alike, and against the evaluator.
 */
#include "fuse_case.h"

#include "groups_interpret.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t first_seed = 0, n_seeds = 80;
static cot_context *context;

enum { MAX_PARAMETERS = 32 };

#define OP(op, a, b) cot_op_binary(COT_OP_##op, (a), (b))

/* A network being built. */
typedef struct network {
    cot_graph *graph;
    uint64_t random;
    cot_value parameter[MAX_PARAMETERS];
    int32_t n_parameters, n_states;
    cot_value step; /* i64 */
} network;

static uint32_t draw(network *n, uint32_t bound) {
    n->random = n->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(n->random >> 33) % bound;
}

static cot_value number(network *n, double value) {
    return cot_op_constant(n->graph, COT_F32, value);
}

static cot_value unary(cot_op op, cot_value x) {
    return cot_op_unary(op, x);
}

static cot_value state_of(network *n, cot_dtype dtype, cot_shape shape) {
    char name[32];
    (void)snprintf(name, sizeof name, "s%d", n->n_states++);
    cot_variable *variable = cot_variable_create(context, dtype, shape, name);
    cot_value state = cot_op_state(n->graph, variable);
    cot_variable_release(variable);
    return state;
}

static cot_value parameter_of(network *n, cot_shape shape) {
    cot_value p = state_of(n, COT_F32, shape);
    n->parameter[n->n_parameters++] = p;
    return p;
}

static int64_t width_of(cot_value x) {
    return cot_value_shape(x).dim[1];
}

static cot_value dense(network *n, cot_value x, int64_t width) {
    cot_value w = parameter_of(n, (cot_shape){.rank = 2, .dim = {width_of(x), width}});
    cot_value y = OP(MUL, cot_op_matmul(x, w), number(n, 0.25));
    if (draw(n, 4) == 0) {
        return y;
    }
    return OP(ADD, y, parameter_of(n, (cot_shape){.rank = 1, .dim = {width}}));
}

static cot_value activation(network *n, cot_value x) {
    switch (draw(n, 6)) {
    case 0:
        return unary(COT_OP_RELU, x);
    case 1:
        return unary(COT_OP_TANH, x);
    case 2:
        return unary(COT_OP_SIGMOID, x);
    case 3:
        return OP(MUL, x, unary(COT_OP_SIGMOID, x));
    case 4:
        return cot_op_softmax(x);
    default:
        return x;
    }
}

static cot_value dropout(network *n, cot_value x) {
    cot_value seed = cot_op_constant(n->graph, COT_I64, 5);
    cot_value noise = cot_op_random(seed, n->step, COT_F32, cot_value_shape(x), COT_UNIFORM,
                                    1024 + n->n_states++);
    cot_value kept = OP(LT, noise, number(n, 0.75));
    return cot_op_select(kept, OP(DIV, x, number(n, 0.75)), number(n, 0));
}

/* To mean 0 and variance 1 along an axis. */
static cot_value normalise(cot_value x, int32_t axis) {
    cot_value centred = OP(SUB, x, cot_op_mean(x, &axis, 1, true));
    cot_value variance = cot_op_mean(OP(MUL, centred, centred), &axis, 1, true);
    cot_value guard = cot_op_constant(x.graph, COT_F32, 0.5);
    return OP(MUL, centred, unary(COT_OP_RSQRT, OP(ADD, variance, guard)));
}

static cot_value layer(network *n, cot_value x, cot_value earlier) {
    const cot_value both[2] = {x, earlier};
    switch (draw(n, 8)) {
    case 0:
        return dropout(n, x);
    case 1:
        return normalise(x, 1);
    case 2:
        return normalise(x, 0);
    case 3:
        return cot_op_concat(both, 2, 1);
    case 4:
        return OP(ADD, x, activation(n, dense(n, x, width_of(x))));
    case 5: /* one weight twice */
        x = dense(n, x, width_of(x));
        return cot_op_matmul(
            x, parameter_of(n, (cot_shape){.rank = 2, .dim = {width_of(x), width_of(x)}}));
    default:
        return activation(n, dense(n, x, 2 + draw(n, 7)));
    }
}

static cot_value loss_of(network *n, cot_value z, cot_value label) {
    const int32_t axes[2] = {0, 1};
    cot_value target = cot_op_one_hot(label, width_of(z), COT_F32);
    cot_value gap = OP(SUB, z, target);
    switch (draw(n, 3)) {
    case 0:
        return cot_op_mean(cot_op_softmax_cross_entropy(target, z), axes, 1, false);
    case 1:
        return cot_op_mean(OP(MUL, gap, gap), axes, 2, false);
    default:
        return cot_op_mean(unary(COT_OP_ABS, cot_op_reduce(COT_OP_SUM, gap, &axes[1], 1, false)),
                           axes, 1, false);
    }
}

static void metrics(network *n, cot_value z, cot_value label, cot_value loss) {
    cot_value hit = OP(EQ, cot_op_argmax(z, 1), label);
    const int32_t axis = 0;
    cot_value hits = cot_op_reduce(COT_OP_SUM, cot_op_cast(hit, COT_F64), &axis, 1, false);
    cot_value total = state_of(n, COT_F64, (cot_shape){.rank = 0});
    cot_value rows = state_of(n, COT_I64, (cot_shape){.rank = 0});
    cot_value losses = state_of(n, COT_F64, (cot_shape){.rank = 0});
    CHECK_OK(context, cot_graph_update(total, OP(ADD, total, hits)));
    CHECK_OK(context, cot_graph_update(rows, OP(ADD, rows, cot_op_rows(n->graph))));
    CHECK_OK(context, cot_graph_update(losses, OP(ADD, losses, cot_op_cast(loss, COT_F64))));
}

static cot_value clip(network *n, cot_value *grad) {
    cot_value total = number(n, 0.1);
    for (int32_t i = 0; i < n->n_parameters; i++) {
        const int32_t axes[2] = {0, 1};
        int32_t rank = cot_value_shape(grad[i]).rank;
        total =
            OP(ADD, total, cot_op_reduce(COT_OP_SUM, OP(MUL, grad[i], grad[i]), axes, rank, false));
    }
    return OP(MIN, number(n, 1), OP(DIV, number(n, 0.5), unary(COT_OP_SQRT, total)));
}

static void update(network *n, cot_value p, cot_value g, uint32_t optimizer, cot_value rate) {
    cot_value m = {0};
    cot_value v = {0};
    switch (optimizer) {
    case 0:
        CHECK_OK(context, cot_graph_update(p, OP(SUB, p, OP(MUL, g, rate))));
        return;
    case 1:
        m = state_of(n, COT_F32, cot_value_shape(p));
        v = OP(SUB, OP(MUL, m, number(n, 0.9)), OP(MUL, g, rate));
        CHECK_OK(context, cot_graph_update(m, v));
        CHECK_OK(context, cot_graph_update(p, OP(ADD, p, v)));
        return;
    default:
        m = state_of(n, COT_F32, cot_value_shape(p));
        v = state_of(n, COT_F32, cot_value_shape(p));
        cot_value m_new = OP(ADD, m, OP(MUL, OP(SUB, g, m), number(n, 0.1)));
        cot_value v_new = OP(ADD, v, OP(MUL, OP(SUB, OP(MUL, g, g), v), number(n, 0.01)));
        cot_value scale = OP(ADD, unary(COT_OP_SQRT, unary(COT_OP_ABS, v_new)), number(n, 0.1));
        CHECK_OK(context, cot_graph_update(m, m_new));
        CHECK_OK(context, cot_graph_update(v, v_new));
        CHECK_OK(context, cot_graph_update(p, OP(SUB, p, OP(DIV, OP(MUL, m_new, rate), scale))));
    }
}

/* The whole step of a seed. */
static cot_graph *training_step(uint64_t seed) {
    network n = {.graph = cot_graph_create(context, "step"), .random = seed * 77 + 5};
    cot_shape rows = {.rank = 2, .batched = true, .dim = {1, 3 + (int64_t)(seed % 4)}};
    cot_shape labels = {.rank = 1, .batched = true, .dim = {1}};
    cot_value x = cot_op_input(n.graph, COT_F32, rows, "x");
    cot_value label = cot_op_input(n.graph, COT_I32, labels, "label");
    n.step = state_of(&n, COT_I64, (cot_shape){.rank = 0});
    cot_value one = cot_op_constant(n.graph, COT_I64, 1);
    CHECK_OK(context, cot_graph_update(n.step, OP(ADD, n.step, one)));
    cot_value earlier = x;
    uint32_t n_layers = 1 + draw(&n, 4);
    for (uint32_t i = 0; i < n_layers; i++) {
        cot_value next = layer(&n, x, earlier);
        earlier = x;
        x = next;
    }
    cot_value z = dense(&n, x, 5);
    cot_value loss = loss_of(&n, z, label);
    cot_value grad[MAX_PARAMETERS];
    CHECK_OK(context, cot_grad(loss, n.parameter, n.n_parameters, grad));
    cot_value rate = number(&n, 0.05);
    uint32_t optimizer = draw(&n, 3);
    if (optimizer == 2) {
        cot_value t = OP(ADD, unary(COT_OP_ABS, cot_op_cast(n.step, COT_F32)), number(&n, 2));
        rate = OP(DIV, rate, OP(SUB, number(&n, 1), OP(POW, number(&n, 0.9), t)));
    }
    cot_value scale = draw(&n, 3) == 0 ? clip(&n, grad) : (cot_value){0};
    for (int32_t i = 0; i < n.n_parameters; i++) {
        cot_value g = scale.graph != NULL ? OP(MUL, grad[i], scale) : grad[i];
        update(&n, n.parameter[i], g, optimizer, rate);
    }
    metrics(&n, z, label, loss);
    CHECK_OK(context, cot_graph_output(loss, "loss"));
    CHECK_OK(context, cot_graph_output(z, "z"));
    return n.graph;
}

static void test_training(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 7, 20};
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        cot_graph *graph = training_step(seed);
        for (int32_t fuse = 0; fuse < 2; fuse++) {
            context->fuse = fuse == 1;
            fuse_check(graph, rows[seed % 3], seed, 2e-3);
        }
        context->fuse = true;
        fuse_check_same(graph, rows[seed % 3], seed);
        cot_graph_destroy(graph);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_training)};
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        n_seeds = strtoull(argv[2], NULL, 10);
    }
    int failed = context == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    cot_context_destroy(context);
    return failed;
}
