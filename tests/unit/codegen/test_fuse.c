/*
 * How graphs are cut into groups: which nodes share a kernel, which values reach memory, where
 * states are written. Every graph here is run against the evaluator as well.
 */
#include "fuse_case.h"

#include <stdio.h>
#include <stdlib.h>

static cot_context *context;

/* ---- building ---- */

#define OP(op, a, b) cot_op_binary(COT_OP_##op, (a), (b))

static cot_shape rows_of(int64_t width) {
    return (cot_shape){.rank = 2, .batched = true, .dim = {1, width}};
}

static cot_value state_of(cot_graph *graph, cot_dtype dtype, cot_shape shape, const char *kind,
                          int32_t i) {
    char name[32];
    snprintf(name, sizeof name, "%s%d", kind, i);
    cot_variable *variable = cot_variable_create(context, dtype, shape, name);
    cot_value state = cot_op_state(graph, variable);
    cot_variable_release(variable);
    return state;
}

static cot_value number(cot_graph *graph, double value) {
    return cot_op_constant(graph, COT_F32, value);
}

/* x w + b; *w and *b get the parameters. */
static cot_value dense(cot_graph *graph, cot_value x, int64_t m, int64_t n, int32_t i, cot_value *w,
                       cot_value *b) {
    *w = state_of(graph, COT_F32, (cot_shape){.rank = 2, .dim = {m, n}}, "w", i);
    *b = state_of(graph, COT_F32, (cot_shape){.rank = 1, .dim = {n}}, "b", i);
    return OP(ADD, cot_op_matmul(x, *w), *b);
}

static void update_by_sgd(cot_value parameter, cot_value gradient) {
    cot_value step = OP(MUL, gradient, number(parameter.graph, 0.1));
    CHECK_OK(context, cot_graph_update(parameter, OP(SUB, parameter, step)));
}

/* Adam with the step size `rate`; its moments are states number i. */
static void update_by_adam(cot_value parameter, cot_value gradient, cot_value rate, int32_t i) {
    cot_graph *graph = parameter.graph;
    cot_shape shape = cot_value_shape(parameter);
    cot_value m = state_of(graph, COT_F32, shape, "m", i);
    cot_value v = state_of(graph, COT_F32, shape, "v", i);
    cot_value m_new = OP(ADD, m, OP(MUL, OP(SUB, gradient, m), number(graph, 0.1)));
    cot_value squared = OP(MUL, gradient, gradient);
    cot_value v_new = OP(ADD, v, OP(MUL, OP(SUB, squared, v), number(graph, 0.001)));
    cot_value scale =
        OP(ADD, cot_op_unary(COT_OP_SQRT, cot_op_unary(COT_OP_ABS, v_new)), number(graph, 1e-2));
    CHECK_OK(context, cot_graph_update(m, m_new));
    CHECK_OK(context, cot_graph_update(v, v_new));
    CHECK_OK(context,
             cot_graph_update(parameter, OP(SUB, parameter, OP(DIV, OP(MUL, m_new, rate), scale))));
}

/* rate * sqrt(1 - 0.999^t) / (1 - 0.9^t), t = iterations + 1, which is also counted. */
static cot_value adam_rate(cot_graph *graph) {
    cot_value iterations = state_of(graph, COT_I64, (cot_shape){.rank = 0}, "iterations", 0);
    cot_value next = OP(ADD, iterations, cot_op_constant(graph, COT_I64, 1));
    CHECK_OK(context, cot_graph_update(iterations, next));
    cot_value t = OP(ADD, cot_op_cast(iterations, COT_F32), number(graph, 2));
    cot_value second = OP(SUB, number(graph, 1), OP(POW, number(graph, 0.999), t));
    cot_value first = OP(SUB, number(graph, 1), OP(POW, number(graph, 0.9), t));
    return OP(DIV, OP(MUL, number(graph, 0.01), cot_op_unary(COT_OP_SQRT, second)), first);
}

static cot_value mean_over_rows(cot_value x) {
    const int32_t axis = 0;
    return cot_op_mean(x, &axis, 1, false);
}

static cot_graph *parse(const char *text) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s in\n%s", cot_error_message(context), text);
    }
    return graph;
}

/* ---- looking ---- */

static const coti_node *node_at(const coti_groups *groups, uint32_t id) {
    return coti_node_at(groups->graph, id);
}

/* The group that writes a state; -1: none. */
static int32_t writer_of(const coti_groups *groups, const char *state) {
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const coti_group *group = &groups->group[g];
        for (int32_t s = 0; s < group->kernel->n_slots; s++) {
            const coti_operand *operand = &group->operand[s];
            if (operand->kind == COTI_OPERAND_STATE && operand->written &&
                strcmp(node_at(groups, operand->id)->name, state) == 0) {
                return g;
            }
        }
    }
    return -1;
}

/* Values that a group writes to memory. */
static int32_t n_stored(const coti_group *group) {
    int32_t n = 0;
    for (int32_t s = 0; s < group->kernel->n_slots; s++) {
        n += group->operand[s].kind == COTI_OPERAND_VALUE && group->operand[s].written;
    }
    return n;
}

/* How often an op stands in the kernels of all groups. */
static int32_t n_evaluated(const coti_groups *groups, cot_op op) {
    int32_t n = 0;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const coti_body *body = &groups->group[g].kernel->body;
        for (int32_t e = 0; e < body->n_exprs; e++) {
            n += body->expr[e].kind == COTI_EXPR_OP && body->expr[e].op == op;
        }
    }
    return n;
}

static void check_skeletons(const coti_groups *groups, const coti_skeleton *expected, int32_t n) {
    assert_int_equal(groups->n_groups, n);
    for (int32_t g = 0; g < n; g++) {
        assert_int_equal(groups->group[g].kernel->skeleton, expected[g]);
    }
}

static void expect_text(const coti_groups *groups, const char *part) {
    char *text = fuse_text(groups);
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in\n%s", part, text);
    }
    free(text);
}

/* ---- training steps ---- */

/* The course's step in small: what its plan's two phases rest on. */
static void test_mlp(void **state) {
    (void)state;
    static const coti_skeleton expected[] = {
        COTI_SKELETON_LOAD, COTI_SKELETON_LOAD,   COTI_SKELETON_GEMM,
        COTI_SKELETON_GEMM, COTI_SKELETON_ROWRED, COTI_SKELETON_COLRED,
        COTI_SKELETON_GEMM, COTI_SKELETON_GEMM,   COTI_SKELETON_GEMM,
    };
    cot_graph *graph = cot_graph_create(context, "mlp");
    cot_value w[2], b[2], grad[4];
    cot_value x = cot_op_input(graph, COT_F32, rows_of(20), "x");
    cot_value y = cot_op_input(graph, COT_F32, rows_of(10), "y");
    cot_value h = cot_op_unary(COT_OP_RELU, dense(graph, x, 20, 15, 0, &w[0], &b[0]));
    cot_value z = dense(graph, h, 15, 10, 1, &w[1], &b[1]);
    cot_value loss = mean_over_rows(cot_op_softmax_cross_entropy(y, z));
    const cot_value wrt[4] = {w[0], b[0], w[1], b[1]};
    CHECK_OK(context, cot_grad(loss, wrt, 4, grad));
    for (int32_t i = 0; i < 4; i++) {
        update_by_sgd(wrt[i], grad[i]);
    }
    CHECK_OK(context, cot_graph_output(loss, "loss"));
    coti_groups *groups = fuse_groups(graph, 128);
    CHECK_NO_COMPLAINT(fuse_complaint(groups));
    check_skeletons(groups, expected, 9);
    for (int32_t i = 0; i < 2; i++) {
        char name[2][8] = {"w0", "b0"};
        name[0][1] = name[1][1] = (char)('0' + i);
        int32_t g = writer_of(groups, name[0]);
        const coti_group *group = &groups->group[g];
        assert_true(g >= 7 && g == writer_of(groups, name[1])); /* dW, update, db, update */
        assert_true(group->kernel->gemm.k_rows && group->kernel->gemm.side.n_stores == 1);
        assert_false(group->rows);
        assert_int_equal(n_stored(group), 0); /* gradients never reach memory */
    }
    assert_int_equal(n_stored(&groups->group[2]), 1);    /* relu's output alone */
    assert_int_equal(n_evaluated(groups, COT_OP_GT), 1); /* its mask is made where it is used */
    assert_int_equal(n_stored(&groups->group[4]), 2);    /* the loss of each row, and dz */
    assert_int_equal(groups->group[2].shared_bytes, 4 * (20 * 15 + 15));
    expect_text(groups, "recomputed: cheap, for %");
    expect_text(groups, "side reduction of product %");
    expect_text(groups, "epilogue of %0: same space");
    coti_groups_destroy(groups);
    fuse_check(graph, 40, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* `n` blocks relu(h + dense(relu(dense(h)))) of width 8, trained by Adam. */
static cot_graph *residual_network(int32_t n) {
    cot_graph *graph = cot_graph_create(context, "residual");
    cot_value *parameter = calloc((size_t)n, 4 * sizeof *parameter);
    cot_value *grad = calloc((size_t)n, 4 * sizeof *grad);
    cot_value h = cot_op_input(graph, COT_F32, rows_of(8), "x");
    cot_value y = cot_op_input(graph, COT_F32, rows_of(8), "y");
    for (int32_t i = 0; i < n; i++) {
        cot_value *p = &parameter[4 * (size_t)i];
        cot_value a = dense(graph, h, 8, 8, 2 * i, &p[0], &p[1]);
        cot_value z = dense(graph, cot_op_unary(COT_OP_RELU, a), 8, 8, 2 * i + 1, &p[2], &p[3]);
        h = cot_op_unary(COT_OP_RELU, OP(ADD, h, z));
    }
    cot_value loss = mean_over_rows(cot_op_softmax_cross_entropy(y, h));
    CHECK_OK(context, cot_grad(loss, parameter, 4 * n, grad));
    cot_value rate = adam_rate(graph);
    for (int32_t i = 0; i < 4 * n; i++) {
        update_by_adam(parameter[i], grad[i], rate, i);
    }
    CHECK_OK(context, cot_graph_output(loss, "loss"));
    free(parameter);
    free(grad);
    return graph;
}

/* A block is two products forward, two backward, two with their updates; and kernels are shared. */
static void test_residual(void **state) {
    (void)state;
    int32_t n_kernels[2];
    static const int32_t n_blocks[2] = {10, 100};
    for (int32_t i = 0; i < 2; i++) {
        cot_graph *graph = residual_network(n_blocks[i]);
        coti_groups *groups = fuse_groups(graph, 128);
        CHECK_NO_COMPLAINT(fuse_complaint(groups));
        /* Two loads, the loss of a row, the loss, the rate; no gradient of the input. */
        assert_int_equal(groups->n_groups, 6 * n_blocks[i] + 5 - 1);
        n_kernels[i] = fuse_count_kernels(groups);
        coti_groups_destroy(groups);
        cot_graph_destroy(graph);
    }
    assert_true(n_kernels[0] <= 10);
    assert_int_equal(n_kernels[0], n_kernels[1]);
    cot_graph *graph = residual_network(2);
    fuse_check(graph, 19, 7, 1e-4);
    cot_graph_destroy(graph);
}

/* Fusion takes time in proportion to the layers: 3,000 of them, with a search for cycles each. */
static void test_deep(void **state) {
    (void)state;
    cot_graph *graph = cot_graph_create(context, "deep");
    cot_value w = state_of(graph, COT_F32, (cot_shape){.rank = 2, .dim = {4, 4}}, "w", 0);
    cot_value h = cot_op_input(graph, COT_F32, rows_of(4), "x");
    for (int32_t i = 0; i < 3000; i++) {
        h = OP(ADD, h, cot_op_unary(COT_OP_TANH, cot_op_matmul(h, w)));
    }
    cot_value grad;
    CHECK_OK(context,
             cot_grad(mean_over_rows(cot_op_reduce(COT_OP_SUM, h, &(int32_t){1}, 1, false)), &w, 1,
                      &grad));
    update_by_sgd(w, grad);
    coti_groups *groups = fuse_groups(graph, 16);
    assert_true(groups->n_groups >= 9000 && groups->n_groups <= 9010);
    coti_groups_destroy(groups);
    cot_graph_destroy(graph);
}

/* ---- row reductions ---- */

/* Softmax, cross-entropy of labels, its gradient, argmax and accuracy of a row are one kernel; the
 * sums over the rows another. */
static void test_loss_and_accuracy(void **state) {
    (void)state;
    cot_graph *graph = parse(
        "graph @metrics(%z: f32[N,7], %label: i32[N], state %loss: f64[], state %hits: f64[]) {\n"
        "  %0 = one_hot %label : f32[N,7]\n"
        "  %1 = softmax_xent %0, %z : f32[N]\n"
        "  %2 = softmax %z : f32[N,7]\n"
        "  %3 = sub %2, %0 : f32[N,7]\n"
        "  %4 = argmax %z {axis=1} : i32[N]\n"
        "  %5 = eq %4, %label : bool[N]\n"
        "  %6 = cast %5 : f64[N]\n"
        "  %7 = cast %1 : f64[N]\n"
        "  %8 = sum %7 {axes=[0]} : f64[]\n"
        "  %9 = sum %6 {axes=[0]} : f64[]\n"
        "  %10 = add %loss, %8 : f64[]\n"
        "  %11 = add %hits, %9 : f64[]\n"
        "  update %loss <- %10\n"
        "  update %hits <- %11\n"
        "  return dz=%3\n}\n");
    static const coti_skeleton expected[] = {COTI_SKELETON_LOAD, COTI_SKELETON_LOAD,
                                             COTI_SKELETON_ROWRED, COTI_SKELETON_COLRED};
    coti_groups *groups = fuse_groups(graph, 128);
    check_skeletons(groups, expected, 4);
    assert_int_equal(n_evaluated(groups, COT_OP_EXP), 1);
    assert_int_equal(writer_of(groups, "loss"), 3);
    assert_int_equal(writer_of(groups, "hits"), 3);
    coti_groups_destroy(groups);
    fuse_check(graph, 33, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* A map becomes the row reduction of what it makes, and a column reduction only if it serves that
 * alone. */
static void test_maps_turn(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @turn(%x: f32[N,5], %y: f32[N,5], %u: f32[6,5]) {\n"
                             "  %0 = exp %x : f32[N,5]\n"
                             "  %1 = mul %0, %y : f32[N,5]\n"
                             "  %2 = sum %1 {axes=[1]} : f32[N]\n"
                             "  %3 = log %u : f32[6,5]\n"
                             "  %4 = abs %3 : f32[6,5]\n"
                             "  %5 = sum %4 {axes=[0]} : f32[5]\n"
                             "  %6 = sum %1 {axes=[0]} : f32[5]\n"
                             "  return a=%1, b=%2, c=%5, d=%6\n}\n");
    static const coti_skeleton expected[] = {COTI_SKELETON_LOAD, COTI_SKELETON_LOAD,
                                             COTI_SKELETON_ROWRED, COTI_SKELETON_COLRED,
                                             COTI_SKELETON_COLRED};
    coti_groups *groups = fuse_groups(graph, 128);
    check_skeletons(groups, expected, 5);
    assert_int_equal(n_stored(&groups->group[2]), 2);
    assert_int_equal(n_stored(&groups->group[3]), 1);
    coti_groups_destroy(groups);
    fuse_check(graph, 20, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* ---- stored or computed again ---- */

static void test_stored_or_again(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @again(%x: f32[N,4], state %w: f32[4,4]) {\n"
                             "  %0 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,4]\n"
                             "  %1 = tanh %0 : f32[N,4]\n"
                             "  %2 = abs %1 : f32[N,4]\n"
                             "  %3 = dot %1, %w {a_contract=[1], b_contract=[0]} : f32[N,4]\n"
                             "  %4 = mul %3, %2 : f32[N,4]\n"
                             "  %5 = sigmoid %0 : f32[N,4]\n"
                             "  %6 = dot %4, %w {a_contract=[1], b_contract=[0]} : f32[N,4]\n"
                             "  %7 = mul %6, %5 : f32[N,4]\n"
                             "  return y=%7\n}\n");
    coti_groups *groups = fuse_groups(graph, 128);
    assert_int_equal(groups->n_groups, 4);
    /* %1 is a product's operand; %2 is cheap, from %1; %5 is a function. */
    assert_int_equal(n_stored(&groups->group[1]), 2);
    assert_int_equal(n_evaluated(groups, COT_OP_ABS), 1);
    assert_int_equal(n_evaluated(groups, COT_OP_SIGMOID), 1);
    assert_int_equal(groups->group[2].kernel->body.n_exprs, 4); /* acc, load, abs, mul */
    coti_groups_destroy(groups);
    fuse_check(graph, 20, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* A group all of whose values are made again by their readers disappears. */
static void test_group_disappears(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @gone(%x: f32[N,3], %label: i32[N], state %w: f32[3,4]) {\n"
                             "  %0 = one_hot %label : f32[N,4]\n"
                             "  %1 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,4]\n"
                             "  %2 = sub %1, %0 : f32[N,4]\n"
                             "  %3 = dot %2, %w {a_contract=[1], b_contract=[1]} : f32[N,3]\n"
                             "  %4 = dot %3, %w {a_contract=[1], b_contract=[0]} : f32[N,4]\n"
                             "  %5 = mul %4, %0 : f32[N,4]\n"
                             "  return y=%5\n}\n");
    coti_groups *groups = fuse_groups(graph, 128);
    assert_int_equal(groups->n_groups, 5);
    assert_int_equal(n_evaluated(groups, COT_OP_EQ), 2);
    coti_groups_destroy(groups);
    fuse_check(graph, 20, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* ---- scalars ---- */

/* Clipping by the norm of all gradients: the norms are not chained, the updates wait for them. */
static void test_clip_by_norm(void **state) {
    (void)state;
    enum { N = 4 };
    cot_graph *graph = cot_graph_create(context, "clip");
    cot_value w[N], b, grad[N], total = {0};
    cot_value h = cot_op_input(graph, COT_F32, rows_of(6), "x");
    for (int32_t i = 0; i < N; i++) {
        h = cot_op_unary(COT_OP_TANH, dense(graph, h, 6, 6, i, &w[i], &b));
    }
    cot_value loss = mean_over_rows(cot_op_reduce(COT_OP_SUM, h, &(int32_t){1}, 1, false));
    CHECK_OK(context, cot_grad(loss, w, N, grad));
    for (int32_t i = 0; i < N; i++) {
        const int32_t axes[2] = {0, 1};
        cot_value norm = cot_op_reduce(COT_OP_SUM, OP(MUL, grad[i], grad[i]), axes, 2, false);
        total = i == 0 ? norm : OP(ADD, total, norm);
    }
    cot_value scale =
        OP(DIV, number(graph, 1), OP(ADD, number(graph, 1), cot_op_unary(COT_OP_SQRT, total)));
    for (int32_t i = 0; i < N; i++) {
        update_by_sgd(w[i], OP(MUL, grad[i], scale));
    }
    coti_groups *groups = fuse_groups(graph, 32);
    int32_t n_sums = 0;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const coti_group *group = &groups->group[g];
        bool is_sum = group->kernel->skeleton == COTI_SKELETON_ROWRED && !group->rows;
        n_sums += is_sum;
        for (int32_t s = 0; is_sum && s < group->kernel->n_slots; s++) {
            /* a sum reads a gradient and no other sum */
            assert_true(group->operand[s].written ||
                        node_at(groups, group->operand[s].id)->shape.rank == 2);
        }
    }
    assert_int_equal(n_sums, N);
    coti_groups_destroy(groups);
    fuse_check(graph, 9, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* The step counter that dropout reads is copied at the end, so that the rate need not wait. */
static void test_counter_beside_rate(void **state) {
    (void)state;
    cot_graph *graph =
        parse("graph @counter(%x: f32[N,4], state %w: f32[4,6], state %step: i64[]) {\n"
              "  %0 = const {data=9} : i64[]\n"
              "  %1 = random %0, %step {distribution=uniform, stream=1030} : f32[N,6]\n"
              "  %2 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,6]\n"
              "  %3 = mul %1, %2 : f32[N,6]\n"
              "  %4 = const {data=1} : i64[]\n"
              "  %5 = add %step, %4 : i64[]\n"
              "  %6 = cast %5 : f32[]\n"
              "  %7 = exp %6 : f32[]\n"
              "  %8 = broadcast %7 : f32[4,6]\n"
              "  %9 = dot %x, %3 {a_contract=[0], b_contract=[0]} : f32[4,6]\n"
              "  %10 = div %9, %8 : f32[4,6]\n"
              "  update %w <- %10\n"
              "  update %step <- %5\n"
              "  return y=%3\n}\n");
    coti_groups *groups = fuse_groups(graph, 32);
    int32_t copy = writer_of(groups, "step");
    assert_int_equal(copy, groups->n_groups - 1);
    assert_int_equal(groups->group[copy].reason[0].kind, COTI_REASON_COPY);
    assert_int_equal(fuse_find(groups, COT_OP_RANDOM, 0), fuse_find(groups, COT_OP_DOT, 0));
    assert_int_equal(groups->n_groups, 5); /* load, forward, the rate, the update, the copy */
    coti_groups_destroy(groups);
    fuse_check(graph, 9, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* ---- states ---- */

/* Of two states that are exchanged, one is copied. */
static void test_exchange(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @exchange(state %a: f32[3], state %b: f32[3]) {\n"
                             "  update %a <- %b\n"
                             "  update %b <- %a\n"
                             "  return\n}\n");
    coti_groups *groups = fuse_groups(graph, 1);
    assert_int_equal(groups->n_groups, 3);
    assert_int_equal(groups->group[0].reason[0].kind, COTI_REASON_ALONE);
    assert_int_equal(groups->group[1].reason[0].kind, COTI_REASON_ALONE);
    assert_int_equal(groups->group[2].reason[0].kind, COTI_REASON_COPY);
    coti_groups_destroy(groups);
    cot_graph_destroy(graph);
}

/* A weight is written after the product that reads it, though its gradient is made before. */
static void test_writer_waits(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @waits(%x: f32[N,4], %g: f32[N,5], state %w: f32[4,5]) {\n"
                             "  %0 = dot %x, %g {a_contract=[0], b_contract=[0]} : f32[4,5]\n"
                             "  %1 = sub %w, %0 : f32[4,5]\n"
                             "  %2 = dot %g, %w {a_contract=[1], b_contract=[1]} : f32[N,4]\n"
                             "  update %w <- %1\n"
                             "  return dx=%2\n}\n");
    coti_groups *groups = fuse_groups(graph, 32);
    CHECK_NO_COMPLAINT(fuse_complaint(groups));
    assert_int_equal(writer_of(groups, "w"), 3);
    assert_int_equal(groups->n_groups, 4);
    coti_groups_destroy(groups);
    fuse_check(graph, 9, 3, 1e-5);
    cot_graph_destroy(graph);
}

/* ---- the whole ---- */

/* With fusion off a group is a node. */
static void test_fusion_off(void **state) {
    (void)state;
    cot_graph *graph = residual_network(1);
    context->fuse = false;
    coti_groups *groups = fuse_groups(graph, 32);
    context->fuse = true;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        assert_int_equal(groups->group[g].n_nodes, 1);
    }
    CHECK_NO_COMPLAINT(fuse_complaint(groups));
    coti_groups_destroy(groups);
    cot_graph_destroy(graph);
}

/* The dump: members, reasons, operands, kernel. */
static void test_text(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @text(%x: f32[2N,3], state %b: f32[3]) {\n"
                             "  %0 = broadcast %b {axes=[1]} : f32[2N,3]\n"
                             "  %1 = mul %x, %0 : f32[2N,3]\n"
                             "  %2 = relu %1 : f32[2N,3]\n"
                             "  return y=%2\n}\n");
    coti_groups *groups = fuse_groups(graph, 10);
    char *text = fuse_text(groups);
    assert_string_equal(text,
                        "2 groups\n"
                        "\n"
                        "group 0 load: 1N rows, work 60\n"
                        "  %x = input {name=\"x\"} : f32[2N,3]  -- loads the rows of an input\n"
                        "  slot 0: source %x\n"
                        "  slot 1: value %x, written\n"
                        "  | load rows [1N, 6]\n"
                        "  | slots 0 f32, 1 f32 written\n"
                        "\n"
                        "group 1 map_mul_relu: 2N rows, work 180, 12 bytes shared\n"
                        "  %1 = mul %x, %0 : f32[2N,3]  -- own group: no group takes it\n"
                        "  %2 = relu %1 : f32[2N,3]  -- with %1: same space\n"
                        "  slot 0: value %x\n"
                        "  slot 1: state %b\n"
                        "  slot 2: value %2, written\n"
                        "  | map rows [2N, 3]\n"
                        "  | slots 0 f32, 1 f32, 2 f32 written\n"
                        "  | e0 = load slot 0 [3, 1] : f32\n"
                        "  | e1 = load slot 1 [0, 1] : f32\n"
                        "  | e2 = mul e0, e1 : f32\n"
                        "  | e3 = relu e2 : f32\n"
                        "  | store e3 to slot 2 [3, 1]\n");
    free(text);
    coti_groups_destroy(groups);
    cot_graph_destroy(graph);
}

static int setup(void **state) {
    (void)state;
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    return context == NULL;
}

static int teardown(void **state) {
    (void)state;
    cot_status left = cot_error_get(context).status;
    cot_context_destroy(context);
    return left != COT_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_loss_and_accuracy),
        cmocka_unit_test(test_maps_turn),
        cmocka_unit_test(test_stored_or_again),
        cmocka_unit_test(test_group_disappears),
        cmocka_unit_test(test_clip_by_norm),
        cmocka_unit_test(test_counter_beside_rate),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_writer_waits),
        cmocka_unit_test(test_fusion_off),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
