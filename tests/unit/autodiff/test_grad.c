/*
 * The walk: what is differentiated and what is not, in which order sums are made, what a failure
 * says and leaves behind. Expected numbers are worked out by hand in the comments.
 */
#include "shapes.h"

#include "alloc_fail.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

typedef struct fixture {
    cot_context *context;
    cot_graph *graph;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->context = cot_context_create(NULL);
    f->graph = cot_graph_create(f->context, "test");
    *state = f;
    return f->graph == NULL;
}

static int teardown(void **state) {
    fixture *f = *state;
    cot_graph_destroy(f->graph);
    cot_context_destroy(f->context);
    free(f);
    return 0;
}

static cot_value input(fixture *f, const char *shape, const char *name) {
    return cot_op_input(f->graph, COT_F64, read_shape(shape), name);
}

static cot_value number(fixture *f, double value) {
    return cot_op_constant(f->graph, COT_F64, value);
}

static cot_value add(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_ADD, a, b);
}

static cot_value mul(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MUL, a, b);
}

static cot_value sum_all(cot_value x) {
    int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cot_op_reduce(COT_OP_SUM, x, axes, cot_value_shape(x).rank, false);
}

static int count_op(const cot_graph *graph, cot_op op) {
    int n = 0;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        n += coti_node_at(graph, id)->op == op;
    }
    return n;
}

static void assert_numbers(const double *found, const double *want, int n) {
    for (int i = 0; i < n; i++) {
        if (!(found[i] == want[i])) {
            fail_msg("[%d] is %.17g, expected %.17g", i, found[i], want[i]);
        }
    }
}

/* ---- a network by hand ---- */

typedef struct mlp {
    cot_value x, w1, b1, w2, b2, loss;
} mlp;

/* loss = mean((relu(x w1 + b1) w2 + b2 - target)^2), two inputs, two hidden units, one output. */
static mlp make_mlp(fixture *f) {
    mlp m = {.x = input(f, "N,2", "x"),
             .w1 = input(f, "2,2", "w1"),
             .b1 = input(f, "2", "b1"),
             .w2 = input(f, "2,1", "w2"),
             .b2 = input(f, "1", "b2")};
    cot_value target = input(f, "N,1", "target");
    cot_value h = cot_op_unary(COT_OP_RELU, add(cot_op_matmul(m.x, m.w1), m.b1));
    cot_value difference = cot_op_binary(COT_OP_SUB, add(cot_op_matmul(h, m.w2), m.b2), target);
    m.loss = cot_op_mean(mul(difference, difference), (const int32_t[]){0, 1}, 2, false);
    return m;
}

/*
 * w1 = [1 -1; .5 2], b1 = (.5 -4), w2 = (2 3), b2 = 1, targets 4 and 4.
 * row 1: x = (1 2):  z = (2.5 -1), h = (2.5 0), y = 6, difference 2
 * row 2: x = (-1 0): z = (-.5 -3), h = (0 0),   y = 1, difference -3
 * loss = (4 + 9) / 2. dy = 2 difference / 2 = (2 -3).
 * dw2 = h'dy = (5 0), db2 = -1, dz = (4 0; 0 0), dw1 = x'dz = [4 0; 8 0], db1 = (4 0),
 * dx = dz w1' = [4 2; 0 0].
 */
static void test_mlp_by_hand(void **state) {
    fixture *f = *state;
    mlp m = make_mlp(f);
    cot_value g[5];
    CHECK_OK(f->context, cot_grad(m.loss, (cot_value[]){m.x, m.w1, m.b1, m.w2, m.b2}, 5, g));
    CHECK_OK(f->context, cot_graph_output(m.loss, "loss"));
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        CHECK_OK(f->context, cot_graph_output(g[i], name));
    }
    const double x[] = {1, 2, -1, 0}, w1[] = {1, -1, 0.5, 2}, b1[] = {0.5, -4}, w2[] = {2, 3},
                 b2[] = {1}, target[] = {4, 4};
    double loss, dx[4], dw1[4], db1[2], dw2[2], db2[1];
    run_f64(f->graph, 2, (const double *[]){x, w1, b1, w2, b2, target},
            (double *[]){&loss, dx, dw1, db1, dw2, db2});
    assert_numbers(&loss, (const double[]){6.5}, 1);
    assert_numbers(dx, (const double[]){4, 2, 0, 0}, 4);
    assert_numbers(dw1, (const double[]){4, 0, 8, 0}, 4);
    assert_numbers(db1, (const double[]){4, 0}, 2);
    assert_numbers(dw2, (const double[]){5, 0}, 2);
    assert_numbers(db2, (const double[]){-1}, 1);
}

/* No rows: no gradient, and no NaN but in the loss itself. */
static void test_no_rows(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "N,2", "x");
    cot_value w = input(f, "2,3", "w");
    cot_value g;
    CHECK_OK(f->context, cot_grad(sum_all(cot_op_matmul(x, w)), &w, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    const double values[6] = {1, 2, 3, 4, 5, 6};
    double result[6] = {9, 9, 9, 9, 9, 9};
    run_f64(f->graph, 0, (const double *[]){values, values}, (double *[]){result});
    assert_numbers(result, (const double[6]){0}, 6);
}

/* Weights alone: two products forward, one for each weight, one back through the second layer;
 * none for the first layer's input; no transpose anywhere. */
static void test_nothing_is_made_for_inputs(void **state) {
    fixture *f = *state;
    mlp m = make_mlp(f);
    cot_value g[2];
    CHECK_OK(f->context, cot_grad(m.loss, (cot_value[]){m.w1, m.w2}, 2, g));
    assert_int_equal(count_op(f->graph, COT_OP_DOT), 2 + 2 + 1);
    assert_int_equal(count_op(f->graph, COT_OP_PERMUTE), 0);
}

/* ---- what depends on what ---- */

static void test_dead_inputs_are_zero(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value dead = input(f, "N,2", "dead");
    cot_value y = sum_all(mul(x, x));
    cot_value later = input(f, "2", "later"); /* made after y */
    cot_value g[3];
    CHECK_OK(f->context, cot_grad(y, (cot_value[]){dead, x, later}, 3, g));
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        CHECK_OK(f->context, cot_graph_output(g[i], name));
    }
    assert_true(cot_value_shape(g[0]).batched);
    const double vx[] = {1, 2, 3}, vd[] = {7, 7, 7, 7}, vl[] = {7, 7};
    double gd[4] = {9, 9, 9, 9}, gx[3], gl[2] = {9, 9};
    run_f64(f->graph, 2, (const double *[]){vx, vd, vl}, (double *[]){gd, gx, gl});
    assert_numbers(gd, (const double[]){0, 0, 0, 0}, 4);
    assert_numbers(gx, (const double[]){2, 4, 6}, 3);
    assert_numbers(gl, (const double[]){0, 0}, 2);
}

/* y = 3 a with a = x^2 at x = 2: by a 3, by x 12, by y 1; a value asked for twice answers twice. */
static void test_intermediate_repeated_and_itself(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "-", "x");
    cot_value a = mul(x, x);
    cot_value y = mul(number(f, 3), a);
    cot_value g[4];
    CHECK_OK(f->context, cot_grad(y, (cot_value[]){x, a, y, x}, 4, g));
    assert_int_equal(g[0].id, g[3].id);
    CHECK_OK(f->context, cot_graph_output(g[0], "gx"));
    CHECK_OK(f->context, cot_graph_output(g[1], "ga"));
    CHECK_OK(f->context, cot_graph_output(g[2], "gy"));
    double gx, ga, gy;
    run_f64(f->graph, 1, (const double *[]){(const double[]){2}}, (double *[]){&gx, &ga, &gy});
    assert_numbers((const double[]){gx, ga, gy}, (const double[]){12, 3, 1}, 3);
}

/* Operations without slope and values that are no floats end a path without a word. */
static void test_silent_ends(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value stopped = cot_op_stop_gradient(mul(x, x));
    cot_value sign = cot_op_unary(COT_OP_SIGN, x);
    cot_value integer = cot_op_cast(cot_op_cast(x, COT_I32), COT_F64);
    cot_value hot = cot_op_one_hot(cot_op_argmax(x, 0), 3, COT_F64);
    cot_value compared = cot_op_cast(cot_op_binary(COT_OP_GT, x, number(f, 1)), COT_F64);
    cot_value y = sum_all(add(add(stopped, sign), add(integer, add(hot, compared))));
    cot_value g;
    CHECK_OK(f->context, cot_grad(y, &x, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    double result[3];
    run_f64(f->graph, 1, (const double *[]){(const double[]){1.5, -2, 3}}, (double *[]){result});
    assert_numbers(result, (const double[]){0, 0, 0}, 3);
}

/* ---- the order of sums ---- */

/*
 * y = x + (-1e16) x + 1e16 x: the contributions 1, -1e16, 1e16 add up from the last user to the
 * first, (1e16 + -1e16) + 1 = 1. From the first to the last it would be 0.
 */
static void test_uses_add_up_in_descending_order(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "-", "x");
    cot_value first = mul(x, number(f, 1));
    cot_value second = mul(x, number(f, -1e16));
    cot_value third = mul(x, number(f, 1e16));
    cot_value g;
    CHECK_OK(f->context, cot_grad(add(add(first, second), third), &x, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    double result;
    run_f64(f->graph, 1, (const double *[]){(const double[]){2}}, (double *[]){&result});
    assert_numbers(&result, (const double[]){1}, 1);
}

/* x^3 as x (x x): 3 x^2; the second derivative 6 x; the third 6. */
static void test_gradients_of_gradients(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "-", "x");
    cot_value y = mul(x, mul(x, x));
    cot_value g[3];
    CHECK_OK(f->context, cot_grad(y, &x, 1, &g[0]));
    CHECK_OK(f->context, cot_grad(g[0], &x, 1, &g[1]));
    CHECK_OK(f->context, cot_grad(g[1], &x, 1, &g[2]));
    double result[3];
    CHECK_OK(f->context, cot_graph_output(g[0], "g0"));
    CHECK_OK(f->context, cot_graph_output(g[1], "g1"));
    CHECK_OK(f->context, cot_graph_output(g[2], "g2"));
    run_f64(f->graph, 1, (const double *[]){(const double[]){5}},
            (double *[]){&result[0], &result[1], &result[2]});
    assert_numbers(result, (const double[]){75, 30, 6}, 3);
}

static void test_vjp_takes_a_cotangent(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value u = input(f, "3", "u");
    cot_value g;
    CHECK_OK(f->context, cot_vjp(mul(x, x), u, &x, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    double result[3];
    run_f64(f->graph, 1, (const double *[]){(const double[]){1, 2, 3}, (const double[]){1, -1, 10}},
            (double *[]){result});
    assert_numbers(result, (const double[]){2, -4, 60}, 3);
}

static void test_dtypes_follow_the_inputs(void **state) {
    fixture *f = *state;
    cot_value x = cot_op_input(f->graph, COT_F32, read_shape("3"), "x");
    cot_value y = sum_all(cot_op_unary(COT_OP_EXP, cot_op_cast(x, COT_F64)));
    cot_value g;
    CHECK_OK(f->context, cot_grad(y, &x, 1, &g));
    assert_int_equal(cot_value_dtype(g), COT_F32);
}

/* ---- names and marks ---- */

static void test_layers_follow_the_forward_nodes(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_graph_set_layer(f->graph, "first");
    cot_value h = cot_op_unary(COT_OP_TANH, x);
    cot_graph_set_layer(f->graph, "second");
    cot_value y = sum_all(cot_op_unary(COT_OP_EXP, h));
    cot_graph_set_layer(f->graph, "mine");
    uint32_t before = (uint32_t)f->graph->node.count;
    assert_false(f->graph->has_backward);
    cot_value g;
    CHECK_OK(f->context, cot_grad(y, &x, 1, &g));
    assert_true(f->graph->has_backward);
    int n_first = 0;
    int n_second = 0;
    for (uint32_t id = before; id < f->graph->node.count; id++) {
        const coti_node *node = coti_node_at(f->graph, id);
        n_first += node->layer != NULL && strcmp(node->layer, "first") == 0;
        n_second += node->layer != NULL && strcmp(node->layer, "second") == 0;
    }
    assert_int_equal(n_first, 3);  /* y^2, 1 - y^2, the product of that with the cotangent */
    assert_int_equal(n_second, 2); /* the sum's broadcast of 1, the product with exp */
    cot_value later = cot_op_unary(COT_OP_NEG, g);
    assert_string_equal(coti_node_of(later)->layer, "mine");
}

static void check_dump(const char *path, bool expected) {
    FILE *file = fopen(path, "r");
    assert_int_equal(file != NULL, expected);
    char text[4096] = "";
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        unlink(path);
        assert_non_null(strstr(text, "tanh"));
        assert_null(strstr(text, "sub")); /* of 1 - y^2: the backward part */
    }
}

/* The forward graph is dumped once, before its first backward part. */
static void test_dump_of_the_forward_graph(void **state) {
    (void)state;
    char directory[] = "/tmp/cotangent_grad_XXXXXX";
    assert_non_null(mkdtemp(directory));
    cot_options options = {.struct_size = sizeof options,
                           .dump = "graph",
                           .dump_dir = directory,
                           .environment = COT_OFF};
    cot_context *context = cot_context_create(&options);
    cot_graph *graph = cot_graph_create(context, "net");
    cot_value x = cot_op_input(graph, COT_F32, read_shape("-"), "x");
    cot_value y = cot_op_unary(COT_OP_TANH, x);
    CHECK_OK(context, cot_graph_output(y, "y"));
    cot_value g;
    CHECK_OK(context, cot_grad(y, &x, 1, &g));
    CHECK_OK(context, cot_grad(g, &x, 1, &g));
    char path[128];
    snprintf(path, sizeof path, "%s/00_net_graph.cot", directory);
    check_dump(path, true);
    snprintf(path, sizeof path, "%s/01_net_graph.cot", directory);
    check_dump(path, false);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
    assert_int_equal(rmdir(directory), 0);
}

/* ---- failures ---- */

/* A call that must fail: status, text, poisoned result, context fit for use. */
static void expect_failure(fixture *f, cot_value y, const cot_value *wrt, int32_t n,
                           cot_status status, const char *text) {
    cot_value g[2] = {{f->graph, 1}, {f->graph, 1}};
    assert_int_equal(cot_grad(y, wrt, n, g), status);
    CHECK_ERROR(f->context, status, text);
    assert_null(g[0].graph);
    cot_value x = cot_op_input(f->graph, COT_F64, (cot_shape){0}, text);
    CHECK_OK(f->context, cot_grad(mul(x, x), &x, 1, g));
}

static void test_misuse(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value y = sum_all(x);
    cot_value whole = cot_op_cast(x, COT_I32);
    cot_value poison = {NULL, 0};
    cot_graph *other = cot_graph_create(f->context, "other");
    cot_value foreign = cot_op_input(other, COT_F64, (cot_shape){0}, "x");
    f->graph->layer = coti_graph_intern(f->graph, "dense_1");
    cot_value named = cot_op_unary(COT_OP_EXP, x);
    f->graph->layer = NULL;

    expect_failure(f, named, &x, 1, COT_E_SHAPE, "y is f64[3], expected a scalar");
    expect_failure(f, named, &x, 1, COT_E_SHAPE, "dense_1");
    expect_failure(f, whole, &x, 1, COT_E_DTYPE, "y is i32[3], expected f32 or f64");
    expect_failure(f, y, &whole, 1, COT_E_DTYPE, "wrt[0] is i32[3]");
    expect_failure(f, poison, &x, 1, COT_E_ARG, "y is a poisoned value");
    expect_failure(f, y, (cot_value[]){x, poison}, 2, COT_E_ARG, "wrt[1] is a poisoned value");
    expect_failure(f, y, &foreign, 1, COT_E_ARG, "wrt[0] is of graph other, expected graph test");
    expect_failure(f, y, &(cot_value){f->graph, 0}, 1, COT_E_ARG, "is no value of graph test");
    expect_failure(f, y, &(cot_value){f->graph, 1000000}, 1, COT_E_ARG, "wrt[0] is no value");
    expect_failure(f, y, NULL, 1, COT_E_ARG, "wrt or grads_out is NULL");
    assert_int_equal(cot_grad(y, &x, 1, NULL), COT_E_ARG);
    cot_error_clear(f->context);
    assert_int_equal(cot_grad(y, &x, -1, NULL), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "-1");
    assert_int_equal(cot_grad(poison, &poison, 1, &(cot_value){f->graph, 1}), COT_E_ARG);
    assert_int_equal(cot_grad(y, NULL, 0, NULL), COT_OK);
    cot_graph_destroy(other);
}

/* What poisoned y is what cot_grad reports. */
static void test_first_error_is_reported(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value y = sum_all(add(x, input(f, "4", "four")));
    assert_null(y.graph);
    cot_value g;
    assert_int_equal(cot_grad(y, &x, 1, &g), COT_E_SHAPE);
    assert_null(g.graph);
    CHECK_ERROR(f->context, COT_E_SHAPE, "add");
}

static void test_cotangent_of_another_type(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value y = cot_op_unary(COT_OP_EXP, x);
    cot_value g;
    assert_int_equal(cot_vjp(y, input(f, "4", "u"), &x, 1, &g), COT_E_SHAPE);
    CHECK_ERROR(f->context, COT_E_SHAPE, "the cotangent is f64[4], y is f64[3]");
    assert_int_equal(cot_vjp(y, cot_op_cast(x, COT_F32), &x, 1, &g), COT_E_DTYPE);
    CHECK_ERROR(f->context, COT_E_DTYPE, "the cotangent is f32[3], y is f64[3]");
    assert_int_equal(cot_vjp(y, cot_op_cast(x, COT_I32), &x, 1, &g), COT_E_DTYPE);
    CHECK_ERROR(f->context, COT_E_DTYPE, "the cotangent is i32[3], expected f32 or f64");
    assert_int_equal(cot_vjp(y, (cot_value){NULL, 0}, &x, 1, &g), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "the cotangent is a poisoned value");
}

/*
 * Every operation that has inputs has a rule or a slope of zero, so one without gradient is made
 * here by force: the node is told to be a leaf's row.
 */
static void test_no_gradient_through_an_operation(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_graph_set_layer(f->graph, "sorted");
    cot_value h = cot_op_unary(COT_OP_EXP, cot_op_unary(COT_OP_TANH, x));
    cot_graph_set_layer(f->graph, NULL);
    cot_value y = sum_all(h);
    cot_value aside = sum_all(x);
    f->graph->node.data[h.id].op = COT_OP_IOTA;
    cot_value g = {f->graph, 1};
    size_t before = f->graph->node.count;
    assert_int_equal(cot_grad(y, &x, 1, &g), COT_E_NOGRAD);
    cot_error error = cot_error_get(f->context);
    assert_string_equal(error.op, "iota");
    assert_string_equal(error.layer, "sorted");
    assert_non_null(strstr(error.message, "%x"));
    CHECK_ERROR(f->context, COT_E_NOGRAD, "%1 has no gradient");
    assert_null(g.graph);
    assert_true(f->graph->node.count <= before + 1);  /* found before anything is built */
    CHECK_OK(f->context, cot_grad(aside, &x, 1, &g)); /* no path through it */
    CHECK_OK(f->context, cot_grad(y, &h, 1, &g));     /* the path ends at it */
    f->graph->node.data[h.id].op = COT_OP_EXP;
}

/* ---- size ---- */

/* 10,000 layers of h = tanh(h + 0.5 h): one pass, no recursion, and time that does not explode. */
static void test_long_chain(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "-", "x");
    cot_value h = x;
    for (int i = 0; i < 10000; i++) {
        h = cot_op_unary(COT_OP_TANH, add(h, mul(h, number(f, 0.5))));
    }
    cot_value g;
    clock_t start = clock();
    CHECK_OK(f->context, cot_grad(h, &x, 1, &g));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_true(seconds < 1.0);
    CHECK_OK(f->context, cot_graph_output(g, "g"));
}

/* 10,000 uses of one value. */
static void test_many_uses(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "-", "x");
    cot_value y = x;
    for (int i = 1; i < 10000; i++) {
        y = add(y, mul(x, number(f, i)));
    }
    cot_value g;
    CHECK_OK(f->context, cot_grad(y, &x, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    double result;
    run_f64(f->graph, 1, (const double *[]){(const double[]){1}}, (double *[]){&result});
    assert_numbers(&result, (const double[]){1 + 9999.0 * 10000 / 2}, 1);
}

/* ---- memory ---- */

static cot_status differentiate_mlp(cot_context *context, void *user) {
    (void)user;
    fixture f = {context, cot_graph_create(context, "oom")};
    cot_status status = COT_E_NOMEM;
    if (f.graph != NULL) {
        mlp m = make_mlp(&f);
        cot_value g[3];
        status = cot_grad(m.loss, (cot_value[]){m.w1, m.b1, m.w2}, 3, g);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(g[i].graph != NULL, status == COT_OK);
        }
        /* all of them poisoned: there is no graph left to ask */
        status = status == COT_E_ARG ? cot_error_get(context).status : status;
    }
    cot_graph_destroy(f.graph);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, differentiate_mlp, NULL));
}

#define WALK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WALK_TEST(test_mlp_by_hand),
        WALK_TEST(test_no_rows),
        WALK_TEST(test_nothing_is_made_for_inputs),
        WALK_TEST(test_dead_inputs_are_zero),
        WALK_TEST(test_intermediate_repeated_and_itself),
        WALK_TEST(test_silent_ends),
        WALK_TEST(test_uses_add_up_in_descending_order),
        WALK_TEST(test_gradients_of_gradients),
        WALK_TEST(test_vjp_takes_a_cotangent),
        WALK_TEST(test_dtypes_follow_the_inputs),
        WALK_TEST(test_layers_follow_the_forward_nodes),
        cmocka_unit_test(test_dump_of_the_forward_graph),
        WALK_TEST(test_misuse),
        WALK_TEST(test_first_error_is_reported),
        WALK_TEST(test_cotangent_of_another_type),
        WALK_TEST(test_no_gradient_through_an_operation),
        WALK_TEST(test_long_chain),
        WALK_TEST(test_many_uses),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("grad", tests, NULL, NULL);
}
