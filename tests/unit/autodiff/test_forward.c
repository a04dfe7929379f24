/*
 * Jacobian-vector and Hessian-vector products, and whole Jacobians: against differences in f64,
 * against each other, u'(J v) = (J'u)'v on every gradient case, and by hand at the edges.
 */
#include "check.h"

#include "alloc_fail.h"
#include "grad_case.h"
#include "shapes.h"

#include <math.h>
#include <stdio.h>

enum { MOST_ELEMENTS = 4096, ROWS = 3 };

/* Numbers in (0.2, 1.2) or of both signs, a different one for each place. */
static double draw(uint64_t *state, bool positive) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double unit = (double)(*state >> 11) * 0x1p-53;
    return positive ? 0.2 + unit : 2 * unit - 1;
}

static int64_t elements_of(cot_value value) {
    cot_shape shape = cot_value_shape(value);
    int64_t n = 0;
    assert_true(coti_shape_elements(&shape, ROWS, &n) && n <= MOST_ELEMENTS);
    return n;
}

static cot_value input_like(cot_value value, const char *stem, int32_t i) {
    char name[32];
    snprintf(name, sizeof name, "%s%d", stem, (int)i);
    return cot_op_input(value.graph, cot_value_dtype(value), cot_value_shape(value), name);
}

static void output(cot_value value, const char *stem, int32_t i) {
    char name[32];
    snprintf(name, sizeof name, "%s%d", stem, (int)i);
    CHECK_OK(value.graph->context, cot_graph_output(value, name));
}

/* Values of all inputs of a graph, by place; of bools half are true. */
static double *fill_inputs(const cot_graph *graph, double **at, bool positive) {
    double *data = calloc(16, MOST_ELEMENTS * sizeof *data);
    assert_true(graph->input.count <= 16);
    uint64_t state = 7;
    for (size_t i = 0; i < graph->input.count; i++) {
        cot_value input = cot_graph_input_at(graph, (int32_t)i);
        at[i] = data + i * MOST_ELEMENTS;
        for (int64_t k = 0; k < elements_of(input); k++) {
            if (cot_value_dtype(input) == COT_BOOL) {
                ((uint8_t *)at[i])[k] = draw(&state, false) > 0;
            } else {
                at[i][k] = draw(&state, positive);
            }
        }
    }
    return data;
}

static double *run_all(const cot_graph *graph, double *const *in, double **out) {
    double *data = calloc(16, MOST_ELEMENTS * sizeof *data);
    const double *from[16];
    for (size_t i = 0; i < graph->input.count; i++) {
        from[i] = in[i];
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        out[i] = data + i * MOST_ELEMENTS;
    }
    run_f64(graph, ROWS, from, out);
    return data;
}

/* *size: of the terms, what the error is relative to. */
static double inner(const double *a, const double *b, int64_t n, double *size) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
        *size += fabs(a[i] * b[i]);
    }
    return sum;
}

/* ---- u'(J v) = (J'u)'v ---- */

typedef struct both_ways {
    cot_graph *graph;
    cot_value y;
    cot_value wrt[GRAD_MOST_INPUTS];
    int32_t n, n_inputs; /* inputs of the case; then come u and v */
    double tolerance;
} both_ways;

/* Outputs: y, J v, and J'u of each wrt. */
static both_ways make_both(cot_context *context, const grad_case *c) {
    both_ways b = {.graph = cot_graph_create(context, "case"), .tolerance = 1e-11};
    grad_graph g = grad_case_build(b.graph, c, COT_F64, "");
    cot_value v[GRAD_MOST_INPUTS], grad[GRAD_MOST_INPUTS], jv;
    b.y = cot_value_dtype(g.y) == COT_F64 ? g.y : cot_op_cast(g.y, COT_F64);
    b.n_inputs = g.n;
    for (int32_t i = 0; i < g.n; i++) {
        if (cot_value_dtype(g.x[i]) == COT_F64) {
            b.wrt[b.n++] = g.x[i];
        }
    }
    for (uint32_t id = 1; id < b.graph->node.count; id++) {
        bool narrow = coti_node_at(b.graph, id)->dtype == COT_F32;
        b.tolerance = narrow ? 1e-5 : b.tolerance; /* a float of 24 bits on the way */
    }
    cot_value u = input_like(b.y, "u", 0);
    for (int32_t i = 0; i < b.n; i++) {
        v[i] = input_like(b.wrt[i], "v", i);
    }
    CHECK_OK(context, cot_jvp(&b.y, 1, b.wrt, v, b.n, &jv));
    CHECK_OK(context, cot_vjp(b.y, u, b.wrt, b.n, grad));
    output(jv, "jv", 0);
    for (int32_t i = 0; i < b.n; i++) {
        output(grad[i], "g", i);
    }
    CHECK_OK(context, coti_graph_verify(b.graph));
    return b;
}

/* Does it hold? *finite_out: whether the numbers tell. */
static bool holds(const both_ways *b, bool positive, bool *finite_out) {
    double *in[16], *out[16];
    double *inputs = fill_inputs(b->graph, in, positive);
    double *outputs = run_all(b->graph, in, out);
    double *const *u = &in[b->n_inputs], *const *v = &in[b->n_inputs + 1];
    double size = 1e-300;
    double forward = inner(u[0], out[1], elements_of(b->y), &size);
    double reverse = 0;
    for (int32_t i = 0; i < b->n; i++) {
        reverse += inner(out[2 + i], v[i], elements_of(b->wrt[i]), &size);
    }
    *finite_out = isfinite(forward) && isfinite(reverse);
    bool same = fabs(forward - reverse) <= b->tolerance * size;
    free(inputs);
    free(outputs);
    return same;
}

static void both_ways_agree_on_every_case(void **state) {
    (void)state;
    int32_t n_failed = 0;
    for (int32_t i = 0; i < grad_n_cases; i++) {
        const grad_case *c = &grad_cases[i];
        if (c->limits.no_f64) {
            continue;
        }
        cot_context *context = cot_context_create(NULL);
        both_ways b = make_both(context, c);
        bool finite = false;
        bool good = holds(&b, false, &finite);
        good = finite ? good : holds(&b, true, &finite) && finite;
        if (!good) {
            print_error("%s %s: %s of %s\n", cot_op_name(c->op), grad_class_names[c->class],
                        c->text, c->inputs);
            n_failed++;
        }
        cot_graph_destroy(b.graph);
        cot_context_destroy(context);
    }
    assert_int_equal(n_failed, 0);
}

/* ---- against differences ---- */

/* A classifier: mean cross-entropy of tanh(x w1) w2 against softmax(t), of some f64 type. */
static cot_value classifier(const cot_value *x) {
    static const int32_t rows[1] = {0};
    cot_value hidden = cot_op_unary(COT_OP_TANH, cot_op_matmul(x[0], x[1]));
    cot_value logits = cot_op_matmul(hidden, x[2]);
    cot_value loss = cot_op_softmax_cross_entropy(cot_op_softmax(x[3]), logits);
    return cot_op_mean(loss, rows, 1, false);
}

enum { N_X = 4 };

static void hessian_products_are_differences_of_gradients(void **state) {
    (void)state;
    static const char *const shapes[N_X] = {"N,4", "4,5", "5,3", "N,3"};
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x[N_X], v[N_X], grad[N_X], hv[N_X];
    for (int32_t i = 0; i < N_X; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", (int)i);
        x[i] = cot_op_input(graph, COT_F64, read_shape(shapes[i]), name);
    }
    cot_value loss = classifier(x);
    for (int32_t i = 0; i < N_X; i++) {
        v[i] = input_like(x[i], "v", i);
    }
    CHECK_OK(context, cot_grad(loss, x, N_X, grad));
    CHECK_OK(context, cot_hvp(loss, x, v, N_X, hv));
    for (int32_t i = 0; i < N_X; i++) {
        output(grad[i], "g", i);
        output(hv[i], "hv", i);
    }
    double *in[16], *at[3][16];
    double *inputs = fill_inputs(graph, in, false);
    double *base = run_all(graph, in, at[0]);
    const double h = 1e-5; /* error h^2 of the differences, and 1e-16 / h of rounding */
    double *moved[2];
    for (int side = 0; side < 2; side++) {
        for (int32_t i = 0; i < N_X; i++) {
            for (int64_t k = 0; k < elements_of(x[i]); k++) {
                in[i][k] += (side == 0 ? h : -2 * h) * in[N_X + i][k];
            }
        }
        moved[side] = run_all(graph, in, at[1 + side]);
    }
    for (int32_t i = 0; i < N_X; i++) {
        for (int64_t k = 0; k < elements_of(x[i]); k++) {
            double differences = (at[1][2 * i][k] - at[2][2 * i][k]) / (2 * h);
            double found = at[0][2 * i + 1][k];
            if (!(fabs(found - differences) <= 1e-8)) {
                fail_msg("H v of x%d[%d] is %.12g, by differences %.12g", (int)i, (int)k, found,
                         differences);
            }
        }
    }
    free(base);
    free(moved[0]);
    free(moved[1]);
    free(inputs);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* y = softmax(tanh(x w)) of x [3] by w [3,4], reshaped to [2,2]. */
static cot_value small_map(cot_value x, cot_value w) {
    const int32_t contract[1] = {0};
    cot_dot_axes axes = {.n_contract = 1};
    axes.a_contract[0] = contract[0];
    axes.b_contract[0] = contract[0];
    cot_value y = cot_op_softmax(cot_op_unary(COT_OP_TANH, cot_op_dot(x, w, &axes)));
    return cot_op_reshape(y, read_shape("2,2"));
}

static void jacobians_are_differences(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("3"), "x");
    cot_value w = cot_op_input(graph, COT_F64, read_shape("3,4"), "w");
    cot_value y = small_map(x, w);
    cot_value v = input_like(x, "v", 0);
    cot_value jx, jw, jv;
    CHECK_OK(context, cot_jacobian(y, x, &jx));
    CHECK_OK(context, cot_jacobian(y, w, &jw));
    CHECK_OK(context, cot_jvp(&y, 1, &x, &v, 1, &jv));
    assert_int_equal(cot_value_shape(jx).rank, 3);
    assert_int_equal(cot_value_shape(jw).rank, 4);
    output(y, "y", 0);
    output(jx, "jx", 0);
    output(jw, "jw", 0);
    output(jv, "jv", 0);
    double *in[16], *at[3][16];
    double *inputs = fill_inputs(graph, in, false);
    double *base = run_all(graph, in, at[0]);
    const double h = 1e-5;
    for (int32_t i = 0; i < 2; i++) {
        int64_t n = i == 0 ? 3 : 12;
        for (int64_t k = 0; k < n; k++) {
            double *moved[2];
            for (int side = 0; side < 2; side++) {
                in[i][k] += side == 0 ? h : -2 * h;
                moved[side] = run_all(graph, in, at[1 + side]);
            }
            in[i][k] += h;
            for (int64_t row = 0; row < 4; row++) {
                double differences = (at[1][0][row] - at[2][0][row]) / (2 * h);
                assert_true(fabs(at[0][1 + i][row * n + k] - differences) <= 1e-9);
            }
            free(moved[0]);
            free(moved[1]);
        }
    }
    for (int64_t row = 0; row < 4; row++) { /* and J v is J times v */
        double size = 1e-300;
        double product = inner(&at[0][1][row * 3], in[2], 3, &size);
        assert_true(fabs(product - at[0][3][row]) <= 1e-13 * size);
    }
    free(base);
    free(inputs);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- by hand ---- */

static cot_value mul(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MUL, a, b);
}

static cot_value sum_all(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cot_op_reduce(COT_OP_SUM, x, axes, cot_value_shape(x).rank, false);
}

static void check_output(const cot_graph *graph, double *const *in, int32_t i, int64_t n,
                         const double *want) {
    double *out[16];
    double *data = run_all(graph, in, out);
    for (int64_t k = 0; k < n; k++) {
        if (out[i][k] != want[k]) {
            fail_msg("output %d [%d] is %.17g, expected %.17g", (int)i, (int)k, out[i][k], want[k]);
        }
    }
    free(data);
}

static void edges_by_hand(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("2"), "x");
    cot_value z = cot_op_input(graph, COT_F64, read_shape("2"), "z");
    cot_value v = cot_op_input(graph, COT_F64, read_shape("2"), "v");
    const cot_value wrt[2] = {x, z};
    const cot_value same[2] = {x, x};
    const cot_value along[2] = {v, z};
    cot_value square = mul(x, x);
    const cot_value list[4] = {x, square, z, v};
    cot_value jv[4], hv[2], jacobian;
    /* x along v, x x: 2 x v, z along z: z, v is reached by none. */
    CHECK_OK(context, cot_jvp(list, 4, wrt, along, 2, jv));
    for (int32_t i = 0; i < 4; i++) {
        output(jv[i], "jv", i);
    }
    /* The direction depends on x and is a constant nevertheless: 2 x (x x). */
    CHECK_OK(context, cot_jvp(&square, 1, &x, &square, 1, jv));
    output(jv[0], "own", 0);
    /* The same wrt twice: both directions count. */
    CHECK_OK(context, cot_jvp(&square, 1, same, along, 2, jv));
    output(jv[0], "twice", 0);
    /* sum x x x: H v = 6 x v; nothing for z. v depends on x in the second. */
    CHECK_OK(context, cot_hvp(sum_all(mul(square, x)), wrt, along, 2, hv));
    output(hv[0], "hv", 0);
    output(hv[1], "hv", 1);
    CHECK_OK(context, cot_hvp(sum_all(mul(square, x)), &x, &square, 1, hv));
    output(hv[0], "hown", 0);
    CHECK_OK(context, cot_jacobian(x, x, &jacobian));
    output(jacobian, "identity", 0);
    CHECK_OK(context, cot_jacobian(square, z, &jacobian));
    output(jacobian, "nothing", 0);
    /* With respect to a value inside: x x of x x is the identity, and y = (x x)' z by x x is z. */
    CHECK_OK(context, cot_jacobian(sum_all(mul(square, z)), square, &jacobian));
    output(jacobian, "inside", 0);
    CHECK_OK(context, coti_graph_verify(graph));
    double xs[2] = {3, -2}, zs[2] = {5, 7}, vs[2] = {10, 100};
    double *const in[3] = {xs, zs, vs};
    check_output(graph, in, 0, 2, (double[]){10, 100});
    check_output(graph, in, 1, 2, (double[]){60, -400});
    check_output(graph, in, 2, 2, (double[]){5, 7});
    check_output(graph, in, 3, 2, (double[]){0, 0});
    check_output(graph, in, 4, 2, (double[]){54, -16});
    check_output(graph, in, 5, 2, (double[]){90, -428});
    check_output(graph, in, 6, 2, (double[]){180, -1200});
    check_output(graph, in, 7, 2, (double[]){0, 0});
    check_output(graph, in, 8, 2, (double[]){162, -48});
    check_output(graph, in, 9, 4, (double[]){1, 0, 0, 1});
    check_output(graph, in, 10, 4, (double[]){0, 0, 0, 0});
    check_output(graph, in, 11, 2, (double[]){5, 7});
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* Empty values, scalars, and more rows than one concatenation joins. */
static void jacobians_of_odd_sizes(void **state) {
    (void)state;
    static const struct {
        const char *y, *x;
    } pairs[] = {{"0", "3"},  {"3", "0"},   {"-", "-"}, {"-", "2,1,1,1,1,1,1,1"},
                 {"17", "-"}, {"9,8", "2"}, {"1", "2"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        cot_context *context = cot_context_create(NULL);
        cot_graph *graph = cot_graph_create(context, "g");
        cot_value x = cot_op_input(graph, COT_F64, read_shape(pairs[i].x), "x");
        cot_value s = sum_all(mul(x, x));
        cot_value c = cot_op_input(graph, COT_F64, read_shape(pairs[i].y), "c");
        cot_value y = mul(c, s); /* dy/dx = 2 c x */
        cot_value jacobian;
        CHECK_OK(context, cot_jacobian(y, x, &jacobian));
        output(jacobian, "j", 0);
        double *in[16], *out[16];
        double *inputs = fill_inputs(graph, in, false);
        double *outputs = run_all(graph, in, out);
        int64_t n_x = elements_of(x), n_y = elements_of(y);
        assert_int_equal(elements_of(jacobian), n_x * n_y);
        for (int64_t k = 0; k < n_x * n_y; k++) {
            double want = 2 * in[1][k / n_x] * in[0][k % n_x];
            assert_true(fabs(out[0][k] - want) <= 1e-15);
        }
        free(inputs);
        free(outputs);
        cot_graph_destroy(graph);
        cot_context_destroy(context);
    }
}

/* Only the result's nodes come back, linear in the layers, and the forward part is not doubled. */
static void only_what_results_need_is_added(void **state) {
    (void)state;
    enum { LAYERS = 2000 };
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("2"), "x");
    cot_value v = cot_op_input(graph, COT_F64, read_shape("2"), "v");
    cot_value y = x;
    for (int i = 0; i < LAYERS; i++) {
        y = cot_op_unary(COT_OP_TANH, y);
    }
    size_t before = graph->node.count;
    cot_value jv;
    CHECK_OK(context, cot_jvp(&y, 1, &x, &v, 1, &jv));
    /* A layer's tangent: t (1 - y y), and 1 spread; and a few nodes for all. */
    assert_true(graph->node.count - before <= 3 * LAYERS + 8);
    CHECK_OK(context, cot_graph_output(jv, "jv"));
    cot_graph *lean = NULL;
    bool changed = true;
    CHECK_OK(context, coti_pass_dce(graph, &lean, &changed));
    assert_int_equal(lean->node.count, graph->node.count);
    cot_graph_destroy(lean);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- complaints ---- */

static void what_is_refused(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F32, read_shape("2"), "x");
    cot_value i = cot_op_input(graph, COT_I32, read_shape("2"), "i");
    cot_value n = cot_op_input(graph, COT_F32, read_shape("N"), "n");
    cot_value wide = cot_op_input(graph, COT_F32, read_shape("1,1,1,1,1,1,1,1"), "wide");
    cot_value many = cot_op_input(graph, COT_F32, read_shape("1025"), "many");
    const cot_value poison = {NULL, 0};
    cot_value out[2];
    size_t before = graph->node.count;
#define REFUSED(call, status, text)                                                                \
    do {                                                                                           \
        out[0] = x;                                                                                \
        assert_int_equal(call, status);                                                            \
        assert_null(out[0].graph);                                                                 \
        CHECK_ERROR(context, status, text);                                                        \
    } while (0)
    REFUSED(cot_jvp(&i, 1, &x, &x, 1, out), COT_E_DTYPE, "jvp: y is i32[2], expected f32 or f64");
    REFUSED(cot_jvp(&x, 1, &x, &n, 1, out), COT_E_SHAPE,
            "jvp: the vector is f32[N], its wrt is f32[2]");
    REFUSED(cot_jvp(&x, 1, &poison, &x, 1, out), COT_E_ARG, "jvp: wrt[0] is a poisoned value");
    REFUSED(cot_jvp(&x, 1, NULL, &x, 1, out), COT_E_ARG, "jvp: an array is NULL");
    REFUSED(cot_jvp(&x, 1, &x, &x, -1, out), COT_E_ARG, "count is negative (1, -1)");
    REFUSED(cot_hvp(x, &x, &x, 1, out), COT_E_SHAPE, "hvp: y is f32[2], expected a scalar");
    REFUSED(cot_jacobian(n, x, out), COT_E_SHAPE,
            "jacobian: y is f32[N] and x is f32[2], expected values without N");
    REFUSED(cot_jacobian(x, wide, out), COT_E_SHAPE, "together they may have 8 axes");
    REFUSED(cot_jacobian(many, x, out), COT_E_UNSUPPORTED,
            "jacobian: y is f32[1025], it may have 1024 elements");
    REFUSED(cot_jacobian(x, i, out), COT_E_DTYPE, "jacobian: x is i32[2], expected f32 or f64");
    assert_int_equal(graph->node.count, before);
    assert_int_equal(cot_jvp(&x, 1, &x, &x, 1, NULL), COT_E_ARG);
    cot_error_clear(context);
    assert_int_equal(cot_jvp(NULL, 0, NULL, NULL, 0, out), COT_E_ARG);
    assert_int_equal(cot_jacobian(poison, poison, out), COT_E_ARG);
    /* No directions at all: nothing moves. */
    CHECK_OK(context, cot_jvp(&x, 1, NULL, NULL, 0, out));
    assert_int_equal(coti_node_of(out[0])->op, COT_OP_BROADCAST);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- memory that runs out ---- */

static cot_status build(cot_graph *graph) {
    cot_context *context = graph->context;
    cot_value x = cot_op_input(graph, COT_F64, read_shape("3"), "x");
    cot_value w = cot_op_input(graph, COT_F64, read_shape("3,4"), "w");
    cot_value y = small_map(x, w);
    cot_value out = {NULL, 0};
    COTI_TRY(cot_error_get(context).status);
    COTI_TRY(cot_jvp(&y, 1, &x, &x, 1, &out));
    COTI_TRY(cot_jacobian(y, x, &out));
    y = sum_all(mul(y, y));
    COTI_TRY(cot_error_get(context).status);
    return cot_hvp(y, &w, &w, 1, &out);
}

static cot_status all_of_them(cot_context *context, void *user) {
    (void)user;
    cot_graph *graph = cot_graph_create(context, "g");
    cot_status status = graph != NULL ? build(graph) : cot_error_get(context).status;
    cot_graph_destroy(graph);
    return status;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, all_of_them, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_agree_on_every_case),
        cmocka_unit_test(hessian_products_are_differences_of_gradients),
        cmocka_unit_test(jacobians_are_differences),
        cmocka_unit_test(edges_by_hand),
        cmocka_unit_test(jacobians_of_odd_sizes),
        cmocka_unit_test(only_what_results_need_is_added),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
