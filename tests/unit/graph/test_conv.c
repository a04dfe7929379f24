/*
 * Convolutions against Keras: values that Keras 3.16 computes, by the evaluator and by the
 * decomposition; "same" padding; and that a decomposition grows with no extent.
 */
#include "graph_test.h"

#include <math.h>

enum { MOST = 64 };

/* Element k of the reference tensors: generated, so that nobody need store them. */
static float generated(int64_t k, int64_t offset, double scale) {
    return (float)(((double)(((k + offset) * 37 + 11) % 101) / 101.0 - 0.5) * scale);
}

static cot_value generated_array(cot_graph *graph, cot_shape shape, int64_t offset, double scale) {
    float data[MOST];
    int64_t count = 0;
    assert_true(coti_shape_elements(&shape, 1, &count) && count <= MOST);
    for (int64_t k = 0; k < count; k++) {
        data[k] = generated(k, offset, scale);
    }
    return cot_op_constant_array(graph, COT_F32, shape, data);
}

static void check_values(const cot_graph *graph, const double *expected, int64_t n) {
    float result[MOST];
    assert_true(n <= MOST);
    coti_tensor out = {COT_F32, cot_value_shape(cot_graph_output_at(graph, 0)), result};
    CHECK_OK(graph->context, coti_eval_graph(graph, 1, NULL, &out));
    for (int64_t i = 0; i < n; i++) {
        if (fabs((double)result[i] - expected[i]) > 1e-6) {
            fail_msg("element %lld: %.9g, expected %.9g", (long long)i, (double)result[i],
                     expected[i]);
        }
    }
}

/* The graph's output as it is and decomposed. */
static void check_both(cot_graph *graph, cot_value y, const double *expected, int64_t n) {
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(graph->context, cot_graph_output(y, "y"));
    check_values(graph, expected, n);
    CHECK_OK(graph->context, coti_pass_expand(graph, &expanded, &changed));
    assert_true(changed);
    check_values(expanded, expected, n);
    cot_graph_destroy(expanded);
}

/* Padding of the first n spatial axes as "same" has it. */
static void pad_same(cot_value x, cot_value w, cot_conv_axes *axes) {
    for (int32_t i = 0; i < cot_value_shape(x).rank - 2; i++) {
        int64_t stride = axes->stride[i] > 0 ? axes->stride[i] : 1;
        cot_conv_same(cot_value_shape(x).dim[i + 1], cot_value_shape(w).dim[i], stride, 1,
                      &axes->low[i], &axes->high[i]);
    }
}

/* Conv2D(2, 3): kernel and bias are weights 0 and 1. */
static void keras_conv_2d(void **state) {
    fixture *f = *state;
    static const double same[] = {-0.0093618333, 0.81771386,  -0.62292922,  -0.6696893,
                                  0.73125184,    -0.67429668, -0.098372713, -0.76860118};
    static const double valid[] = {-0.0093618333, 0.81771386, 0.13709448,  -0.42275265,
                                   0.52695823,    0.14297611, -0.25727874, -0.02818352};
    for (int padded = 0; padded < 2; padded++) {
        cot_graph *graph = cot_graph_create(f->context, "conv");
        cot_value x = generated_array(graph, SHAPE(1, 4, 4, 2), 3, 2);
        cot_value w = generated_array(graph, SHAPE(3, 3, 2, 2), 0, 1);
        cot_value bias = generated_array(graph, SHAPE(2), 7, 1);
        cot_conv_axes axes = {.groups = 1};
        if (padded == 1) {
            axes.stride[0] = axes.stride[1] = 2;
            pad_same(x, w, &axes);
            assert_true(axes.low[0] == 0 && axes.high[0] == 1);
        }
        cot_value y = cot_op_binary(COT_OP_ADD, cot_op_conv(x, w, &axes), bias);
        check_both(graph, y, padded == 1 ? same : valid, 8);
        cot_graph_destroy(graph);
    }
}

/* DepthwiseConv2D(3, padding="same", depth_multiplier=2): the kernel [3,3,2,2] reshaped. */
static void keras_depthwise_conv_2d(void **state) {
    fixture *f = *state;
    static const double expected[] = {-0.37275755,  0.07562983, -0.15356338, 0.18032548,
                                      0.82996762,   -1.0652387, 0.12905596,  -0.076512098,
                                      -0.048475668, 0.15111262, 0.032104701, 0.64194691};
    cot_graph *graph = cot_graph_create(f->context, "depthwise");
    cot_value x = generated_array(graph, SHAPE(1, 3, 3, 2), 3, 2);
    cot_value w =
        cot_op_reshape(generated_array(graph, SHAPE(3, 3, 2, 2), 0, 1), SHAPE(3, 3, 1, 4));
    cot_value bias = generated_array(graph, SHAPE(4), 7, 1);
    cot_conv_axes axes = {.groups = 2};
    pad_same(x, w, &axes);
    cot_value y = cot_op_binary(COT_OP_ADD, cot_op_conv(x, w, &axes), bias);
    check_both(graph, y, expected, 12);
    cot_graph_destroy(graph);
}

/* ceil(extent / stride) positions, the odd element behind. */
static void same_padding(void **state) {
    (void)state;
    static const int64_t cases[][6] = {
        /* extent, size, stride, dilation: low, high */
        {5, 3, 1, 1, 1, 1}, {4, 3, 2, 1, 0, 1},         {5, 3, 2, 1, 1, 1}, {5, 2, 1, 1, 0, 1},
        {7, 3, 1, 2, 2, 2}, {5, 1, 3, 1, 0, 0},         {1, 5, 1, 1, 2, 2}, {10, 4, 3, 1, 1, 2},
        {0, 3, 1, 1, 0, 0}, {5, 3, INT64_MAX, 1, 0, 0}, {6, 2, 4, 1, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t *c = cases[i];
        int64_t low = -1, high = -1;
        cot_conv_same(c[0], c[1], c[2], c[3], &low, &high);
        if (low != c[4] || high != c[5]) {
            fail_msg("case %zu: %lld and %lld", i, (long long)low, (long long)high);
        }
    }
}

/* The error, with both texts in its message; then cleared. */
static void check_refused(cot_context *context, cot_value value, cot_status status,
                          const char *text, const char *operands) {
    cot_error error = cot_error_get(context);
    assert_null(value.graph);
    if (error.status != status || strstr(error.message, text) == NULL ||
        strstr(error.message, operands) == NULL) {
        fail_msg("\"%s\" and \"%s\" expected: %s", text, operands, error.message);
    }
    cot_error_clear(context);
}

static void bad_convolutions(void **state) {
    fixture *f = *state;
    cot_graph *g = f->graph;
    cot_context *k = f->context;
    cot_graph_set_layer(g, "c1");
    cot_value x = cot_op_input(g, COT_F32, BATCH(1, 5, 5, 6), "x");
    cot_value w = cot_op_input(g, COT_F32, SHAPE(3, 3, 6, 4), "w");
    cot_value y = cot_op_input(g, COT_F32, BATCH(1, 3, 3, 4), "y");
    cot_value d = cot_op_input(g, COT_F64, SHAPE(3, 3, 6, 4), "d");
    cot_value i = cot_op_input(g, COT_I32, BATCH(1, 5, 5, 6), "i");
    cot_value line = cot_op_input(g, COT_F32, SHAPE(3, 6, 4), "line");
    cot_value flat = cot_op_input(g, COT_F32, SHAPE(3, 6), "flat");
    cot_value deep = cot_op_input(g, COT_F32, SHAPE(1, 2, 2, 2, 2, 2), "deep");
    cot_value none = cot_op_input(g, COT_F32, SHAPE(0, 3, 6, 4), "none");
    const cot_conv_axes plain = {.groups = 1};
    check_refused(k, cot_op_conv(x, w, NULL), COT_E_ARG, "conv \"c1\": \"axes\" is NULL",
                  "x is f32[N,5,5,6], w is f32[3,3,6,4]");
    check_refused(k, cot_op_conv(x, d, &plain), COT_E_DTYPE, "dtypes of x and w differ",
                  "w is f64[3,3,6,4]");
    check_refused(k, cot_op_conv(i, i, &plain), COT_E_DTYPE, "x must be f32 or f64",
                  "x is i32[N,5,5,6]");
    check_refused(k, cot_op_conv(x, line, &plain), COT_E_SHAPE, "same rank", "w is f32[3,6,4]");
    check_refused(k, cot_op_conv(flat, flat, &plain), COT_E_SHAPE, "3 to 5", "x is f32[3,6]");
    check_refused(k, cot_op_conv(deep, deep, &plain), COT_E_SHAPE, "1 to 3 spatial axes",
                  "x is f32[1,2,2,2,2,2]");
    check_refused(k, cot_op_conv(x, x, &plain), COT_E_SHAPE, "w cannot be batched",
                  "w is f32[N,5,5,6]");
    check_refused(k, cot_op_conv(x, none, &plain), COT_E_SHAPE, "no tap along axis 0",
                  "w is f32[0,3,6,4]");
    check_refused(k, cot_op_conv(y, w, &plain), COT_E_SHAPE,
                  "x has 4 channels, w takes 6 in each of 1 groups", "x is f32[N,3,3,4]");
    check_refused(k, cot_op_conv(x, w, &(cot_conv_axes){.groups = 3}), COT_E_SHAPE,
                  "4 channels of the result do not make 3 groups", "w is f32[3,3,6,4]");
    check_refused(k, cot_op_conv(x, w, &(cot_conv_axes){.groups = -1}), COT_E_SHAPE, "-1 groups",
                  "x is f32[N,5,5,6]");
    check_refused(k, cot_op_conv(x, w, &(cot_conv_axes){.stride = {1, -2}}), COT_E_SHAPE,
                  "stride -2 of spatial axis 1", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_conv(x, w, &(cot_conv_axes){.low = {-1}}), COT_E_SHAPE,
                  "low -1 of spatial axis 0", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_conv(x, w, &(cot_conv_axes){.high = {0, INT64_MAX}}), COT_E_SHAPE,
                  "high 9223372036854775807 of spatial axis 1", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_conv(x, w, &(cot_conv_axes){.low = {COTI_SIZE_MAX}}), COT_E_SHAPE,
                  "too long", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_conv_dx(y, w, NULL, &plain), COT_E_ARG, "\"size\" is NULL",
                  "g is f32[N,3,3,4], w is f32[3,3,6,4]");
    check_refused(k, cot_op_conv_dx(y, w, INTS(6, 5), &plain), COT_E_SHAPE,
                  "that convolution gives f32[N,4,3,4]", "g is f32[N,3,3,4]");
    check_refused(k, cot_op_conv_dx(y, w, INTS(5, -1), &plain), COT_E_SHAPE,
                  "size -1 of spatial axis 1", "g is f32[N,3,3,4]");
    check_refused(k, cot_op_conv_dx(x, w, INTS(7, 7), &plain), COT_E_SHAPE,
                  "that convolution gives f32[N,5,5,4]", "g is f32[N,5,5,6]");
    check_refused(k, cot_op_conv_dw(x, y, INTS(3, 4), &plain), COT_E_SHAPE,
                  "that convolution gives f32[N,3,2,4]", "x is f32[N,5,5,6], g is f32[N,3,3,4]");
    check_refused(k, cot_op_conv_dw(x, y, INTS(0, 3), &plain), COT_E_SHAPE,
                  "size 0 of spatial axis 0", "g is f32[N,3,3,4]");
    check_refused(k, cot_op_conv_dw(x, y, INTS(3, 3), &(cot_conv_axes){.groups = 4}), COT_E_SHAPE,
                  "6 channels of x do not make 4 groups", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_conv_dw(x, w, INTS(3, 3), &plain), COT_E_SHAPE,
                  "that convolution gives f32[N,3,3,4]", "g is f32[3,3,6,4]");
}

/* Text may hold what no builder makes. */
static void bad_texts(void **state) {
    fixture *f = *state;
    static const struct {
        const char *node, *message;
    } cases[] = {
        {"window %x {axis=1, size=[2], stride=[1, 1], dilation=[1]} : f32[N,4,2,3]",
         "window: 1 sizes, 2 strides and 1 dilations given"},
        {"window %x {axis=1, stride=[1], dilation=[1]} : f32[N,4,2,3]", "window: 0 sizes"},
        {"window %x {axis=-1, size=[2], stride=[1], dilation=[1]} : f32[N,4,2,3]", "axis -1"},
        {"conv %x, %w {stride=[1, 1], dilation=[1], low=[0], high=[0], groups=1} : f32[N,4,4]",
         "conv: stride has 2 entries, expected one for each of 1 spatial axes"},
        {"conv %x, %w {stride=[1], dilation=[1], low=[], high=[0], groups=1} : f32[N,4,4]",
         "conv: low has 0 entries"},
        {"conv %x, %w {stride=[0], dilation=[1], low=[0], high=[0], groups=1} : f32[N,4,4]",
         "conv: stride 0 of spatial axis 0"},
        {"conv %x, %w {stride=[1], dilation=[1], low=[0], high=[0], groups=0} : f32[N,4,4]",
         "conv: 0 groups"},
        {"conv %x, %w {stride=[1], dilation=[1], low=[0], high=[0],"
         " groups=9223372036854775807} : f32[N,4,4]",
         "conv: 9223372036854775807 groups"},
        {"conv_dx %y, %w {stride=[1], dilation=[1], low=[0], high=[0], groups=1} : f32[N,5,3]",
         "conv_dx: size has 0 entries"},
        {"conv_dw %x, %y {size=[2, 2], stride=[1], dilation=[1], low=[0], high=[0], groups=1}"
         " : f32[2,3,4]",
         "conv_dw: size has 2 entries"},
        {"max_pool %x {size=[2], stride=[1], low=[0, 0], high=[0]} : f32[N,4,3]",
         "max_pool: 1 sizes, 1 strides, 2 lows and 1 highs given for 1 spatial axes"},
        {"avg_pool %x {size=[2], low=[0], high=[0]} : f32[N,4,3]", "avg_pool: 1 sizes, 0 strides"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "graph @g(%%x: f32[N,5,3], %%w: f32[2,3,4], %%y: f32[N,4,4]) {\n"
                       "  %%0 = %s\n  return y=%%0\n}\n",
                       cases[i].node);
        assert_null(cot_graph_parse(f->context, text, strlen(text)));
        cot_error error = cot_error_get(f->context);
        if (error.status != COT_E_SHAPE || strstr(error.message, cases[i].message) == NULL) {
            fail_msg("\"%s\" expected: %s", cases[i].message, error.message);
        }
        cot_error_clear(f->context);
    }
}

/* Where none fits, windows larger than any tensor are as good as others. */
static void windows_beyond_all_limits(void **state) {
    fixture *f = *state;
    cot_graph *g = f->graph;
    const int64_t far = COTI_SIZE_MAX;
    const cot_conv_axes axes = {.dilation = {far}, .groups = 2};
    const cot_pool_axes pool = {.size = {far}};
    cot_value x = cot_op_input(g, COT_F32, BATCH(1, 5, 2), "x");
    cot_value w = cot_op_input(g, COT_F32, SHAPE(3, 1, 4), "w");
    cot_value y = cot_op_conv(x, w, &axes), grad[2], most = cot_op_max_pool(x, &pool), dx[2];
    cot_value mean = cot_op_avg_pool(x, &pool);
    CHECK_TYPE(y, "f32[N,0,4]");
    CHECK_TYPE(most, "f32[N,0,2]");
    CHECK_OK(f->context, cot_vjp(y, y, (cot_value[]){x, w}, 2, grad));
    CHECK_OK(f->context, cot_vjp(most, most, &x, 1, &dx[0]));
    CHECK_OK(f->context, cot_vjp(mean, mean, &x, 1, &dx[1]));
    const cot_value all[] = {y, grad[0], grad[1], most, mean, dx[0], dx[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "y%zu", i);
        CHECK_OK(f->context, cot_graph_output(all[i], name));
    }
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(f->context, coti_pass_expand(g, &expanded, &changed));
    CHECK_OK(f->context, coti_graph_verify(expanded));
    cot_graph_destroy(expanded);
}

/* A decomposition has as many nodes for large extents as for small ones. */
static void decompositions_are_small(void **state) {
    fixture *f = *state;
    size_t count[2];
    for (int large = 0; large < 2; large++) {
        int64_t size = large == 1 ? 100 : 3;
        int64_t extent = large == 1 ? 1000 : 9;
        cot_graph *graph = cot_graph_create(f->context, "large");
        cot_value x = cot_op_input(graph, COT_F32, BATCH(1, extent, extent, 6), "x");
        cot_value w = cot_op_input(graph, COT_F32, SHAPE(size, size, 3, 4), "w");
        const cot_conv_axes axes = {.groups = 2, .stride = {2, 1}, .low = {1, 2}};
        cot_value y = cot_op_conv(x, w, &axes), grad[2];
        CHECK_OK(f->context, cot_vjp(y, y, (cot_value[]){x, w}, 2, grad));
        CHECK_OK(f->context, cot_graph_output(grad[0], "dx"));
        CHECK_OK(f->context, cot_graph_output(grad[1], "dw"));
        cot_graph *expanded = NULL;
        bool changed = false;
        CHECK_OK(f->context, coti_pass_expand(graph, &expanded, &changed));
        count[large] = expanded->node.count;
        cot_graph_destroy(expanded);
        cot_graph_destroy(graph);
    }
    assert_int_equal(count[0], count[1]);
    assert_true(count[0] < 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(keras_conv_2d),
        FIXTURE_TEST(keras_depthwise_conv_2d),
        cmocka_unit_test(same_padding),
        FIXTURE_TEST(bad_convolutions),
        FIXTURE_TEST(bad_texts),
        FIXTURE_TEST(windows_beyond_all_limits),
        FIXTURE_TEST(decompositions_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
