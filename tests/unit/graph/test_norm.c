/*
 * Normalisations and statistics beyond what the op cases show: Keras's numbers, statistics that are
 * computed once for whoever asks, f32 at large means, equal elements, no rows, infinities.
 */
#include "graph_run.h"

#include <math.h>

/* ---- Keras ---- */

/* Made by Keras 3.16's layers in float32; they agree to its rounding, 2e-6. */
static const double keras_layer[8] = {0.58546603,  -0.46621746, 0.42663303,  0.47835502,
                                      -0.10266733, -0.4226647,  -0.17439482, -0.035567362};
static const double keras_group[8] = {0.42287821,  -0.47949532, 0.34522372, 0.6089431,
                                      -0.27752256, -0.42856395, -0.3576293, 0.085858941};
static const double keras_batch[12] = {-0.63546401, -1.7556809, 2.1815372,  -0.096309826,
                                       -0.89215767, -1.2271755, 0.44284433, -0.02863428,
                                       -0.85259163, 0.98199844, 0.83488905, -0.47800782};
static const double keras_moving[6] = {-0.0028712868, 0.0044554453, -0.0032178219,
                                       0.99049014,    0.99049014,   0.99501985};
static const double keras_inference[12] = {-0.18220054, -0.31930083, 1.0948138,   -0.061107755,
                                           -0.12535551, -1.3275197,  0.059985027, 0.068589807,
                                           -1.0613291,  0.18107781,  0.26253515,  -0.79513866};

static void keras_layer_and_group(void **state) {
    fixture *f = *state;
    float x[8], gamma[4], beta[4], whole[2][8], parts[2][8];
    cot_value rows = cot_op_input(f->graph, COT_F32, SHAPE(2, 4), "x");
    cot_value image = cot_op_reshape(rows, SHAPE(1, 2, 4));
    cot_value scale = cot_op_input(f->graph, COT_F32, SHAPE(4), "gamma");
    cot_value offset = cot_op_input(f->graph, COT_F32, SHAPE(4), "beta");
    fill(x, 8, 3, 2);
    fill(gamma, 4, 0, 1);
    fill(beta, 4, 7, 1);
    CHECK_OK(f->context, cot_graph_output(cot_op_layer_norm(rows, scale, offset, 1e-3), "layer"));
    CHECK_OK(f->context,
             cot_graph_output(cot_op_group_norm(image, scale, offset, 2, 1e-3), "group"));
    run_both(f->graph, 1, (const float *[]){x, gamma, beta}, (float *[]){whole[0], whole[1]},
             (float *[]){parts[0], parts[1]});
    check_near(whole[0], keras_layer, 8, 2e-6);
    check_near(parts[0], keras_layer, 8, 2e-6);
    check_near(whole[1], keras_group, 8, 2e-6);
    check_near(parts[1], keras_group, 8, 2e-6);
}

/* A training step and then inference: the running statistics are made of cot_op_moments. */
static void keras_batch_norm(void **state) {
    fixture *f = *state;
    float x[12], gamma[3], beta[3], whole[4][12], parts[4][12];
    cot_value in = cot_op_input(f->graph, COT_F32, BATCH(1, 3), "x");
    cot_value scale = cot_op_input(f->graph, COT_F32, SHAPE(3), "gamma");
    cot_value offset = cot_op_input(f->graph, COT_F32, SHAPE(3), "beta");
    cot_value mean, variance;
    fill(x, 12, 3, 2);
    fill(gamma, 3, 0, 1);
    fill(beta, 3, 7, 1);
    for (int i = 0; i < 3; i++) {
        gamma[i] += 1;
    }
    CHECK_OK(f->context, cot_op_moments(in, AXES(0), 1, false, &mean, &variance));
    cot_value momentum = cot_op_constant(f->graph, COT_F32, 0.99);
    cot_value rest = cot_op_constant(f->graph, COT_F32, 0.01);
    mean = cot_op_binary(COT_OP_MUL, mean, rest); /* the running mean was 0, the variance 1 */
    variance = cot_op_binary(COT_OP_ADD, momentum, cot_op_binary(COT_OP_MUL, variance, rest));
    cot_value epsilon = cot_op_constant(f->graph, COT_F32, 1e-3);
    cot_value inverse = cot_op_unary(COT_OP_RSQRT, cot_op_binary(COT_OP_ADD, variance, epsilon));
    cot_value y = cot_op_binary(COT_OP_MUL, cot_op_binary(COT_OP_SUB, in, mean), inverse);
    y = cot_op_binary(COT_OP_ADD, cot_op_binary(COT_OP_MUL, y, scale), offset);
    CHECK_OK(f->context, cot_graph_output(cot_op_batch_norm(in, scale, offset, 1e-3), "y"));
    CHECK_OK(f->context, cot_graph_output(mean, "mean"));
    CHECK_OK(f->context, cot_graph_output(variance, "variance"));
    CHECK_OK(f->context, cot_graph_output(y, "inference"));
    run_both(f->graph, 4, (const float *[]){x, gamma, beta},
             (float *[]){whole[0], whole[1], whole[2], whole[3]},
             (float *[]){parts[0], parts[1], parts[2], parts[3]});
    check_near(whole[0], keras_batch, 12, 2e-6);
    check_near(parts[0], keras_batch, 12, 2e-6);
    check_near(whole[1], keras_moving, 3, 2e-6);
    check_near(whole[2], keras_moving + 3, 3, 2e-6);
    check_near(whole[3], keras_inference, 12, 2e-6);
}

/* ---- once ---- */

static int count_op(const cot_graph *graph, cot_op op) {
    int n = 0;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        n += coti_node_at(graph, id)->op == op;
    }
    return n;
}

/*
 * A batch norm, its gradients and its statistics: three sums make the statistics, two the gradients
 * (of g and g n), and one root the inverse, whoever asks, and in whichever form.
 */
static void statistics_are_made_once(void **state) {
    fixture *f = *state;
    cot_value x = cot_op_input(f->graph, COT_F32, BATCH(1, 5, 3), "x");
    cot_value scale = cot_op_input(f->graph, COT_F32, SHAPE(3), "scale");
    cot_value offset = cot_op_input(f->graph, COT_F32, SHAPE(3), "offset");
    cot_value y = cot_op_batch_norm(x, scale, offset, 1e-3);
    cot_value mean[2], variance[2], grad[3];
    CHECK_OK(f->context, cot_op_moments(x, AXES(0, 1), 2, false, &mean[0], &variance[0]));
    CHECK_OK(f->context, cot_op_moments(x, AXES(-2, 0), 2, true, &mean[1], &variance[1]));
    CHECK_TYPE(mean[0], "f32[3]");
    CHECK_TYPE(variance[1], "f32[1,1,3]");
    CHECK_OK(f->context, cot_vjp(y, cot_op_input(f->graph, COT_F32, BATCH(1, 5, 3), "g"),
                                 (cot_value[]){x, scale, offset}, 3, grad));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    for (int i = 0; i < 7; i++) {
        const cot_value all[7] = {mean[0], variance[0], mean[1], variance[1],
                                  grad[0], grad[1],     grad[2]};
        char name[8];
        snprintf(name, sizeof name, "o%d", i);
        CHECK_OK(f->context, cot_graph_output(all[i], name));
    }
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(f->context, coti_pass_expand(f->graph, &expanded, &changed));
    assert_int_equal(count_op(expanded, COT_OP_SUM), 5);
    assert_int_equal(count_op(expanded, COT_OP_RSQRT), 1);
    cot_graph_destroy(expanded);
}

/* ---- f32 ---- */

/* y of the decomposition in f32, and in f64 of the same x. */
static void large_means(void **state) {
    (void)state;
    enum { ROWS = 4, C = 33 };
    static const double means[ROWS] = {0, 1e4, -1e6, 3e-20};
    fixture f = {cot_context_create(NULL), NULL};
    f.graph = cot_graph_create(f.context, "large");
    float x[ROWS * C], scale[C], offset[C], whole[ROWS * C], parts[ROWS * C];
    for (int i = 0; i < ROWS * C; i++) {
        x[i] = (float)(means[i / C] + (i * 37 % 101 - 50) * (means[i / C] < 1 ? 1 : 0.0625));
        scale[i % C] = 1;
        offset[i % C] = 0;
    }
    cot_value in = cot_op_input(f.graph, COT_F32, SHAPE(ROWS, C), "x");
    cot_value s = cot_op_input(f.graph, COT_F32, SHAPE(C), "s");
    cot_value o = cot_op_input(f.graph, COT_F32, SHAPE(C), "o");
    CHECK_OK(f.context, cot_graph_output(cot_op_layer_norm(in, s, o, 1e-3), "y"));
    run_both(f.graph, 1, (const float *[]){x, scale, offset}, (float *[]){whole},
             (float *[]){parts});
    for (int i = 0; i < ROWS * C; i++) {
        /* a few roundings of at most sqrt(33), whatever the mean */
        assert_true(fabs((double)whole[i] - parts[i]) <= 8 * ldexp(6, -24));
    }
    cot_graph_destroy(f.graph);
    cot_context_destroy(f.context);
}

/* A row of equal elements, whose sum rounds: its differences from the mean are 0, not a rounding
 * error that a small epsilon would blow up. */
static void equal_elements(void **state) {
    fixture *f = *state;
    enum { C = 100 };
    float x[2 * C], scale[C], offset[C], whole[2 * C], parts[2 * C];
    for (int i = 0; i < 2 * C; i++) {
        x[i] = i < C ? 10000.1F : -0.3F;
        scale[i % C] = 1;
        offset[i % C] = 0.5F;
    }
    cot_value in = cot_op_input(f->graph, COT_F32, SHAPE(2, C), "x");
    cot_value s = cot_op_input(f->graph, COT_F32, SHAPE(C), "s");
    cot_value o = cot_op_input(f->graph, COT_F32, SHAPE(C), "o");
    CHECK_OK(f->context, cot_graph_output(cot_op_layer_norm(in, s, o, 1e-6), "y"));
    run_both(f->graph, 1, (const float *[]){x, scale, offset}, (float *[]){whole},
             (float *[]){parts});
    for (int i = 0; i < 2 * C; i++) {
        assert_true(whole[i] == 0.5F && fabs(parts[i] - 0.5) < 1e-6);
    }
}

/* ---- no rows, one row ---- */

/* Without rows there is nothing to normalise, and scale and offset have gradients of 0; one row is
 * its own mean. */
static void few_rows(void **state) {
    fixture *f = *state;
    cot_value x = cot_op_input(f->graph, COT_F32, BATCH(1, 2), "x");
    cot_value s = cot_op_input(f->graph, COT_F32, SHAPE(2), "s");
    cot_value o = cot_op_input(f->graph, COT_F32, SHAPE(2), "o");
    cot_value g = cot_op_input(f->graph, COT_F32, BATCH(1, 2), "g");
    cot_value y = cot_op_batch_norm(x, s, o, 1e-3), grad[3];
    CHECK_OK(f->context, cot_vjp(y, g, (cot_value[]){x, s, o}, 3, grad));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(f->context, cot_graph_output(grad[i], (const char *[]){"dx", "ds", "do"}[i]));
    }
    const float vx[2] = {7, 10000}, vs[2] = {2, 3}, vo[2] = {1, -1}, vg[2] = {5, 6};
    float whole[4][2] = {{9, 9}, {9, 9}, {9, 9}, {9, 9}}, parts[4][2];
    run_both(f->graph, 0, (const float *[]){vx, vs, vo, vg},
             (float *[]){whole[0], whole[1], whole[2], whole[3]},
             (float *[]){parts[0], parts[1], parts[2], parts[3]});
    assert_true(whole[0][0] == 9 && whole[1][0] == 9); /* not written */
    for (int i = 0; i < 2; i++) {
        assert_true(whole[2][i] == 0 && whole[3][i] == 0 && parts[2][i] == 0 && parts[3][i] == 0);
    }
    run_both(f->graph, 1, (const float *[]){vx, vs, vo, vg},
             (float *[]){whole[0], whole[1], whole[2], whole[3]},
             (float *[]){parts[0], parts[1], parts[2], parts[3]});
    for (int i = 0; i < 2; i++) {
        assert_true(whole[0][i] == vo[i] && parts[0][i] == vo[i]);
        assert_true(whole[1][i] == 0 && whole[2][i] == 0 && whole[3][i] == vg[i]);
    }
}

/* ---- log of a sum ---- */

static void logsumexp_values(void **state) {
    fixture *f = *state;
    enum { ROWS = 6 };
    const float x[ROWS * 2] = {0,         0, 1000,      1000,      -1000, -1000,
                               -INFINITY, 3, -INFINITY, -INFINITY, 1,     INFINITY};
    const double want[ROWS] = {log(2), 1000 + log(2), log(2) - 1000, 3, -INFINITY, INFINITY};
    cot_value in = cot_op_input(f->graph, COT_F32, BATCH(1, 2), "x");
    cot_value y = cot_op_logsumexp(in, AXES(1), 1, false), g;
    CHECK_OK(f->context, cot_vjp(y, cot_op_input(f->graph, COT_F32, BATCH(1), "u"), &in, 1, &g));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    const float u[ROWS] = {1, 2, 4, 5, 1, 1};
    float found[ROWS], slope[ROWS * 2];
    run(f->graph, ROWS, (const float *[]){x, u}, (float *[]){found, slope});
    for (int i = 0; i < ROWS; i++) {
        assert_true(found[i] == want[i] || fabs(found[i] - want[i]) <= 1e-4);
    }
    /* the cotangent by softmax */
    check_near(slope, (const double[]){0.5, 0.5, 1, 1, 2, 2, 0, 5}, 8, 1e-6);
}

/* Biased: the mean square of -1.5, -0.5, 0.5, 1.5. */
static void variance_values(void **state) {
    fixture *f = *state;
    cot_value x = cot_op_input(f->graph, COT_F32, BATCH(1, 2), "x");
    CHECK_OK(f->context, cot_graph_output(cot_op_variance(x, AXES(1, 0), 2, false), "v"));
    CHECK_OK(f->context, cot_graph_output(cot_op_variance(x, AXES(-1), 1, true), "row"));
    float v, row[2];
    run(f->graph, 2, (const float *[]){(const float[]){10001, 10002, 10003, 10004}},
        (float *[]){&v, row});
    assert_true(v == 1.25F && row[0] == 0.25F && row[1] == 0.25F);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(keras_layer_and_group),    FIXTURE_TEST(keras_batch_norm),
        FIXTURE_TEST(statistics_are_made_once), cmocka_unit_test(large_means),
        FIXTURE_TEST(equal_elements),           FIXTURE_TEST(few_rows),
        FIXTURE_TEST(logsumexp_values),         FIXTURE_TEST(variance_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
