/*
 * The derivatives that are conventions: at kinks, ties and corners, exactly; and the softmax family
 * against the derivatives of its decompositions. Each value is by hand from ops.def's comments.
 */
#include "shapes.h"

#include <math.h>

/* y = op(x0[, x1]), its gradients for the cotangent u, compared by bits (any NaN equals any). */
static void check_rule(cot_op op, const double *a, const double *b, const double *u,
                       const double *da, const double *db, int64_t n) {
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "kink");
    cot_shape shape = {.rank = 1, .dim = {n}};
    int32_t n_in = coti_op_table[op].n_inputs;
    cot_value x[2] = {cot_op_input(graph, COT_F64, shape, "a"), {NULL, 0}};
    if (n_in == 2) {
        x[1] = cot_op_input(graph, COT_F64, shape, "b");
    }
    cot_value y = n_in == 2 ? cot_op_binary(op, x[0], x[1]) : cot_op_unary(op, x[0]);
    cot_value g[2];
    CHECK_OK(context, cot_vjp(y, cot_op_input(graph, COT_F64, shape, "u"), x, n_in, g));
    double result[2][16];
    const double *want[2] = {da, db};
    for (int32_t i = 0; i < n_in; i++) {
        CHECK_OK(context, cot_graph_output(g[i], i == 0 ? "da" : "db"));
    }
    const double *in_one[] = {a, u};
    const double *in_two[] = {a, b, u};
    run_f64(graph, 1, n_in == 2 ? in_two : in_one, (double *[]){result[0], result[1]});
    for (int32_t i = 0; i < n_in; i++) {
        for (int64_t k = 0; k < n; k++) {
            bool same = result[i][k] == want[i][k] || (isnan(result[i][k]) && isnan(want[i][k]));
            if (!same) {
                fail_msg("%s: d%c[%d] is %.17g, expected %.17g", cot_op_name(op), 'a' + i, (int)k,
                         result[i][k], want[i][k]);
            }
        }
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static const double ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static void test_relu(void **state) {
    (void)state;
    const double x[] = {-2, -0.0, 0, 1e-300, 3, NAN, INFINITY, -INFINITY};
    const double u[] = {5, 5, 5, 5, 5, 5, 5, INFINITY};
    const double want[] = {0, 0, 0, 5, 5, 0, 5, 0};
    check_rule(COT_OP_RELU, x, NULL, u, want, NULL, 8);
}

static void test_abs(void **state) {
    (void)state;
    const double x[] = {-2, -0.0, 0, 3, NAN, -INFINITY};
    const double u[] = {5, 5, 5, 5, 5, 5};
    const double want[] = {-5, 0, 0, 5, NAN, -5};
    check_rule(COT_OP_ABS, x, NULL, u, want, NULL, 6);
}

/* A tie is half each, of zeros of both signs too; a NaN operand takes nothing. */
static void test_max_min(void **state) {
    (void)state;
    const double a[] = {1, 2, 3, 0.0, NAN, 1, INFINITY};
    const double b[] = {2, 2, 2, -0.0, 1, NAN, INFINITY};
    const double u[] = {8, 8, 8, 8, 8, 8, 8};
    const double larger_a[] = {0, 4, 8, 4, 0, 0, 4};
    const double larger_b[] = {8, 4, 0, 4, 0, 0, 4};
    const double smaller_a[] = {8, 4, 0, 4, 0, 0, 4};
    const double smaller_b[] = {0, 4, 8, 4, 0, 0, 4};
    check_rule(COT_OP_MAX, a, b, u, larger_a, larger_b, 7);
    check_rule(COT_OP_MIN, a, b, u, smaller_a, smaller_b, 7);
    const double huge[] = {INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};
    const double huge_a[] = {0, INFINITY, INFINITY, INFINITY, 0, 0, INFINITY};
    const double huge_b[] = {INFINITY, INFINITY, 0, INFINITY, 0, 0, INFINITY};
    check_rule(COT_OP_MAX, a, b, huge, huge_a, huge_b, 7);
}

/* 0^0: 0 and 0. 0^1: 1 and 0. 0^2: 0 and 0. 0^0.5: infinite and 0. Negative base: real by the base,
 * no number by the exponent. x^0: 0 and log x. */
static void test_pow(void **state) {
    (void)state;
    const double a[] = {0, 0, 0, 0, -2, 1, 4, 0, INFINITY};
    const double b[] = {0, 1, 2, 0.5, 3, 0, 2, -1, 0};
    const double da[] = {0, 1, 0, INFINITY, 12, 0, 8, -INFINITY, 0};
    const double db[] = {0, 0, 0, 0, NAN, 0, 16 * log(4.0), NAN, INFINITY};
    check_rule(COT_OP_POW, a, b, ones, da, db, 9);
}

/* A constant exponent, which takes a shorter way. */
static void test_pow_of_constant(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    const double exponent[] = {0, 1, 2};
    const double x[] = {0, -3};
    const double want[3][2] = {{0, 0}, {1, 1}, {0, -6}};
    for (int i = 0; i < 3; i++) {
        cot_graph *graph = cot_graph_create(context, "pow");
        cot_value in = cot_op_input(graph, COT_F64, (cot_shape){.rank = 1, .dim = {2}}, "x");
        cot_value y = cot_op_binary(COT_OP_POW, in, cot_op_constant(graph, COT_F64, exponent[i]));
        cot_value u = cot_op_input(graph, COT_F64, cot_value_shape(y), "u");
        cot_value g;
        CHECK_OK(context, cot_vjp(y, u, &in, 1, &g));
        CHECK_OK(context, cot_graph_output(g, "g"));
        double result[2];
        run_f64(graph, 1, (const double *[]){x, ones}, (double *[]){result});
        assert_true(result[0] == want[i][0] && result[1] == want[i][1]);
        cot_graph_destroy(graph);
    }
    cot_context_destroy(context);
}

static void test_division_and_roots(void **state) {
    (void)state;
    const double a[] = {6, 0, 1};
    const double b[] = {2, 4, INFINITY};
    const double da[] = {0.5, 0.25, 0};
    const double db[] = {-1.5, -0.0, -0.0};
    check_rule(COT_OP_DIV, a, b, ones, da, db, 3);
    const double x[] = {4, 0.25, 0, INFINITY};
    const double root[] = {0.25, 1, INFINITY, 0};
    const double reciprocal[] = {-1.0 / 16, -4, -INFINITY, -0.0};
    check_rule(COT_OP_SQRT, x, NULL, ones, root, NULL, 4);
    check_rule(COT_OP_RSQRT, x, NULL, ones, reciprocal, NULL, 4);
}

static void test_saturated(void **state) {
    (void)state;
    const double x[] = {0, 1000, -1000, INFINITY, -INFINITY};
    const double sigmoid[] = {0.25, 0, 0, 0, 0};
    const double tangent[] = {1, 0, 0, 0, 0};
    const double erf_slope[] = {1.12837916709551257390, 0, 0, 0, 0};
    check_rule(COT_OP_SIGMOID, x, NULL, ones, sigmoid, NULL, 5);
    check_rule(COT_OP_TANH, x, NULL, ones, tangent, NULL, 5);
    check_rule(COT_OP_ERF, x, NULL, ones, erf_slope, NULL, 5);
}

static void test_exponential_and_logarithm(void **state) {
    (void)state;
    const double x[] = {0, -0.0, 1000, -1000, INFINITY, -INFINITY};
    const double power[] = {1, 1, INFINITY, 0, INFINITY, 0};
    check_rule(COT_OP_EXPM1, x, NULL, ones, power, NULL, 6);
    const double above[] = {0, 1, -1, INFINITY, -0.75, 0x1p-60};
    const double reciprocal[] = {1, 0.5, INFINITY, 0, 4, 1};
    check_rule(COT_OP_LOG1P, above, NULL, ones, reciprocal, NULL, 6);
}

static void test_gauss_and_waves(void **state) {
    (void)state;
    const double x[] = {0, 1000, -1000, INFINITY, -INFINITY};
    const double softplus[] = {0.5, 1, 0, 1, 0};
    const double erfc_slope[] = {-1.12837916709551257390, 0, 0, 0, 0};
    const double gelu[] = {0.5, 1, 0, NAN, NAN};
    check_rule(COT_OP_SOFTPLUS, x, NULL, ones, softplus, NULL, 5);
    check_rule(COT_OP_ERFC, x, NULL, ones, erfc_slope, NULL, 5);
    check_rule(COT_OP_GELU, x, NULL, ones, gelu, NULL, 5);
    const double angle[] = {0, -0.0, INFINITY, NAN};
    const double cosine[] = {1, 1, NAN, NAN}, minus_sine[] = {0, 0, NAN, NAN};
    check_rule(COT_OP_SIN, angle, NULL, ones, cosine, NULL, 4);
    check_rule(COT_OP_COS, angle, NULL, ones, minus_sine, NULL, 4);
}

enum { N_TAIL = 4000 };

/* The derivative of gelu at x, both in `dtype`, by the evaluator. */
static void gelu_slopes(cot_dtype dtype, void *x, void *slope_out) {
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "tail");
    cot_shape shape = {.rank = 1, .dim = {N_TAIL}};
    cot_value in = cot_op_input(graph, dtype, shape, "x"), slope;
    cot_value one = cot_op_broadcast(cot_op_constant(graph, dtype, 1), shape, NULL, 0);
    CHECK_OK(context, cot_vjp(cot_op_unary(COT_OP_GELU, in), one, &in, 1, &slope));
    CHECK_OK(context, cot_graph_output(slope, "slope"));
    coti_tensor operand = {dtype, shape, x}, result = {dtype, shape, slope_out};
    CHECK_OK(context, coti_eval_graph(graph, 1, &operand, &result));
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* Left of -1.5 both terms are small: as exact as ops.def says, down to where gelu is subnormal. */
static void test_gelu_tail(void **state) {
    (void)state;
    static float x32[N_TAIL], slope32[N_TAIL];
    static double x64[N_TAIL], slope64[N_TAIL];
    for (int32_t i = 0; i < N_TAIL; i++) {
        x32[i] = -1.5F - 11.4F * (float)i / N_TAIL;
        x64[i] = -1.5 - 36.0 * i / N_TAIL;
    }
    gelu_slopes(COT_F32, x32, slope32);
    gelu_slopes(COT_F64, x64, slope64);
    for (int32_t i = 0; i < 2 * N_TAIL; i++) {
        bool single = i < N_TAIL;
        long double x = single ? x32[i] : x64[i - N_TAIL];
        long double got = single ? slope32[i] : slope64[i - N_TAIL];
        long double phi = expl(-x * x / 2) * 0.3989422804014326779399460599343819L;
        long double want = erfcl(-x / sqrtl(2)) / 2 + x * phi;
        long double bound = (x * x + 8) * (single ? 0x1p-24L : 0x1p-53L);
        if (!(fabsl(got - want) <= bound * fabsl(want))) {
            fail_msg("slope of gelu at %.9Lg is %.17Lg, expected %.17Lg within %.3Lg", x, got, want,
                     bound);
        }
    }
}

/* Zero by definition, whatever the operand and the cotangent. */
static void test_floor(void **state) {
    (void)state;
    const double x[] = {0, -0.5, 3, 2.75, INFINITY, NAN};
    const double u[] = {5, 5, 5, INFINITY, 5, NAN};
    const double none[] = {0, 0, 0, 0, 0, 0};
    check_rule(COT_OP_FLOOR, x, NULL, u, none, NULL, 6);
}

/* Three maxima share 6; a row with a NaN takes nothing. */
static void test_reduce_max_ties(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "ties");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("3,4"), "x");
    cot_value y = cot_op_reduce(COT_OP_REDUCE_MAX, x, &(int32_t){1}, 1, false);
    cot_value g;
    CHECK_OK(context, cot_vjp(y, cot_op_input(graph, COT_F64, read_shape("3"), "u"), &x, 1, &g));
    CHECK_OK(context, cot_graph_output(g, "g"));
    const double values[] = {5, 1, 5, 5, 2, 3, 1, 0, 1, NAN, 1, 0};
    const double u[] = {6, 7, 8};
    const double want[] = {2, 0, 2, 2, 0, 7, 0, 0, 0, 0, 0, 0};
    double result[12];
    run_f64(graph, 1, (const double *[]){values, u}, (double *[]){result});
    for (int i = 0; i < 12; i++) {
        assert_true(result[i] == want[i]);
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* An infinite cotangent of the branch not taken stays out. */
static void test_select_branches(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "select");
    cot_shape shape = {.rank = 1, .dim = {2}};
    cot_value a = cot_op_input(graph, COT_F64, shape, "a");
    cot_value b = cot_op_input(graph, COT_F64, shape, "b");
    cot_value u = cot_op_input(graph, COT_F64, shape, "u");
    cot_value y = cot_op_select(cot_op_binary(COT_OP_LT, a, b), a, b);
    cot_value g[2];
    CHECK_OK(context, cot_vjp(y, u, (cot_value[]){a, b}, 2, g));
    CHECK_OK(context, cot_graph_output(g[0], "ga"));
    CHECK_OK(context, cot_graph_output(g[1], "gb"));
    const double va[] = {1, 5}, vb[] = {2, 4}, vu[] = {INFINITY, 7};
    double ga[2], gb[2];
    run_f64(graph, 1, (const double *[]){va, vb, vu}, (double *[]){ga, gb});
    assert_true(ga[0] == INFINITY && ga[1] == 0 && gb[0] == 0 && gb[1] == 7);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- composites against their decompositions ---- */

static cot_value build_composite(cot_op op, const cot_value *x, bool decomposed) {
    cot_value y = op == COT_OP_SOFTMAX       ? cot_op_softmax(x[0])
                  : op == COT_OP_LOG_SOFTMAX ? cot_op_log_softmax(x[0])
                                             : cot_op_softmax_cross_entropy(x[0], x[1]);
    return decomposed ? coti_decompose(coti_node_of(y), x) : y;
}

static void composite_gradients(cot_op op, bool decomposed, double result[2][12]) {
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "composite");
    int32_t n = coti_op_table[op].n_inputs;
    cot_value x[2];
    x[0] = cot_op_input(graph, COT_F64, read_shape("N,4"), "x0");
    x[1] = n == 2 ? cot_op_input(graph, COT_F64, read_shape("N,4"), "x1") : x[0];
    cot_value y = build_composite(op, x, decomposed);
    cot_value u = cot_op_input(graph, COT_F64, cot_value_shape(y), "u");
    cot_value g[2];
    CHECK_OK(context, cot_vjp(y, u, x, n, g));
    for (int32_t i = 0; i < n; i++) {
        CHECK_OK(context, cot_graph_output(g[i], i == 0 ? "g0" : "g1"));
    }
    /* a target that does not sum to 1, logits far apart */
    const double v0[] = {0.5, 2, 0, -1, 1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25};
    const double v1[] = {1, -2, 30, 0.5, 0, 0, 0, 0, -3, 2, 1, 700};
    const double vu[] = {1, -2, 0.5, 3, 2, 1, -1, 0.25, 4, -4, 1, 2};
    run_f64(graph, 3, n == 2 ? (const double *[]){v0, v1, vu} : (const double *[]){v1, vu, NULL},
            (double *[]){result[0], result[1]});
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void test_composites(void **state) {
    (void)state;
    const cot_op ops[] = {COT_OP_SOFTMAX, COT_OP_LOG_SOFTMAX, COT_OP_SOFTMAX_XENT};
    for (int i = 0; i < 3; i++) {
        double closed[2][12], composed[2][12];
        composite_gradients(ops[i], false, closed);
        composite_gradients(ops[i], true, composed);
        for (int k = 0; k < coti_op_table[ops[i]].n_inputs * 12; k++) {
            double want = composed[k / 12][k % 12];
            double found = closed[k / 12][k % 12];
            /* sums of four terms of at most a few thousand: some ulp of the largest */
            assert_true(fabs(found - want) <= 1e-12 * fmax(1, fabs(want)));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relu),
        cmocka_unit_test(test_abs),
        cmocka_unit_test(test_max_min),
        cmocka_unit_test(test_pow),
        cmocka_unit_test(test_pow_of_constant),
        cmocka_unit_test(test_division_and_roots),
        cmocka_unit_test(test_saturated),
        cmocka_unit_test(test_exponential_and_logarithm),
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_gauss_and_waves),
        cmocka_unit_test(test_gelu_tail),
        cmocka_unit_test(test_reduce_max_ties),
        cmocka_unit_test(test_select_branches),
        cmocka_unit_test(test_composites),
    };
    return cmocka_run_group_tests_name("grad_kinks", tests, NULL, NULL);
}
