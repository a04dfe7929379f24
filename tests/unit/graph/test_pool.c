/*
 * Pools against Keras: values that Keras 3.16 computes, by the evaluator and by the decomposition;
 * where a tie's gradient goes, by hand; and what is refused.
 */
#include "graph_test.h"

#include <math.h>

enum { MOST = 64 };

/* Element k of the reference tensors: generated, so that nobody need store them. */
static cot_value generated_array(cot_graph *graph, cot_shape shape, int64_t offset, double scale) {
    float data[MOST];
    int64_t count = 0;
    assert_true(coti_shape_elements(&shape, 1, &count) && count <= MOST);
    for (int64_t k = 0; k < count; k++) {
        data[k] = (float)(((double)(((k + offset) * 37 + 11) % 101) / 101.0 - 0.5) * scale);
    }
    return cot_op_constant_array(graph, COT_F32, shape, data);
}

/* The graph's one output. A NaN equals a NaN. */
static void check_values(const cot_graph *graph, const double *expected, int64_t n) {
    float result[MOST];
    assert_true(n <= MOST);
    coti_tensor out = {COT_F32, cot_value_shape(cot_graph_output_at(graph, 0)), result};
    CHECK_OK(graph->context, coti_eval_graph(graph, 1, NULL, &out));
    for (int64_t i = 0; i < n; i++) {
        double got = (double)result[i];
        if (!(fabs(got - expected[i]) <= 1e-6) && !(isnan(got) && isnan(expected[i])) &&
            got != expected[i]) {
            fail_msg("element %lld: %.9g, expected %.9g", (long long)i, got, expected[i]);
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

static cot_pool_axes same_2d(int64_t extent, int64_t size, int64_t stride) {
    cot_pool_axes axes = {.size = {size, size}, .stride = {stride, stride}};
    for (int32_t i = 0; i < 2; i++) {
        cot_conv_same(extent, size, stride, 1, &axes.low[i], &axes.high[i]);
    }
    return axes;
}

static void keras_average(void **state) {
    fixture *f = *state;
    static const double expected[] = {-0.11881188, 0.11386135,   -0.019802004,
                                      0.07920792,  -0.18811883,  -0.82178223,
                                      0.17821783,  -0.089108914, -0.7227723};
    const cot_pool_axes axes = same_2d(3, 2, 1);
    cot_value x = generated_array(f->graph, SHAPE(1, 3, 3, 1), 3, 2);
    check_both(f->graph, cot_op_avg_pool(x, &axes), expected, 9);
}

static void keras_maximum(void **state) {
    fixture *f = *state;
    static const double expected[] = {0.34653464, 0.88118809, 0.54455447, -0.7227723};
    const cot_pool_axes axes = same_2d(3, 2, 2);
    cot_value x = generated_array(f->graph, SHAPE(1, 3, 3, 1), 3, 2);
    check_both(f->graph, cot_op_max_pool(x, &axes), expected, 4);
}

/* x [1, h, w, 1] and the gradient of the sum of 1, 2, 3, ... times its pool's elements. */
static void check_gradient(fixture *f, bool is_max, cot_shape shape, const float *x,
                           const cot_pool_axes *axes, const double *expected) {
    static const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    cot_graph *graph = cot_graph_create(f->context, "gradient");
    cot_value input = cot_op_constant_array(graph, COT_F32, shape, x);
    cot_value y = is_max ? cot_op_max_pool(input, axes) : cot_op_avg_pool(input, axes);
    cot_value u = cot_op_constant_array(graph, COT_F32, cot_value_shape(y), weights);
    cot_value dx = coti_poison();
    CHECK_OK(f->context, cot_vjp(y, u, &input, 1, &dx));
    CHECK_OK(f->context, cot_graph_output(dx, "dx"));
    check_values(graph, expected, shape.dim[1] * shape.dim[2]);
    cot_graph_destroy(graph);
}

/* The first in row-major order: not the first column's, and not a later row's. */
static void a_tie_is_the_first(void **state) {
    fixture *f = *state;
    const cot_pool_axes four = {.size = {2, 2}};
    const cot_pool_axes overlapping = {.size = {2, 2}, .stride = {1, 1}, .low = {1, 0}};
    const float ties[] = {1, 7, 3, 3, 7, 7, 3, 3};
    check_gradient(f, true, SHAPE(1, 2, 4, 1), ties, &four,
                   (const double[]){0, 1, 2, 0, 0, 0, 0, 0});
    const float below[] = {1, 2, 5, 4, 5, 9};
    check_gradient(f, true, SHAPE(1, 3, 2, 1), below, &(cot_pool_axes){.size = {3, 2}},
                   (const double[]){0, 0, 0, 0, 0, 1});
    const float equal[] = {6, 6, 6, 6, 6, 6};
    check_gradient(f, true, SHAPE(1, 2, 3, 1), equal, &overlapping,
                   (const double[]){1 + 3, 2 + 4, 0, 0, 0, 0});
    const float nan[] = {1, NAN, NAN, INFINITY};
    check_gradient(f, true, SHAPE(1, 2, 2, 1), nan, &four, (const double[]){0, 1, 0, 0});
}

/* Each element's share is one over how many of its window are in x. */
static void a_mean_counts_its_own(void **state) {
    fixture *f = *state;
    const cot_pool_axes axes = {.size = {2, 2}, .stride = {1, 1}, .high = {1, 1}};
    const float x[] = {1, 2, 3, 4};
    check_gradient(f, false, SHAPE(1, 2, 2, 1), x, &axes,
                   (const double[]){0.25, 0.25 + 1, 0.25 + 1.5, 0.25 + 1 + 1.5 + 4});
}

/* Windows of an empty axis have padding alone. */
static void nothing_to_pool(void **state) {
    fixture *f = *state;
    const cot_pool_axes axes = {.size = {2}, .low = {1}, .high = {1}};
    const double most[] = {-INFINITY, -INFINITY}, mean[] = {NAN, NAN};
    cot_value x = generated_array(f->graph, SHAPE(1, 0, 2), 0, 1);
    check_both(f->graph, cot_op_max_pool(x, &axes), most, 2);
    cot_graph *second = cot_graph_create(f->context, "second");
    x = generated_array(second, SHAPE(1, 0, 2), 0, 1);
    check_both(second, cot_op_avg_pool(x, &axes), mean, 2);
    cot_graph_destroy(second);
}

static void check_refused(cot_context *context, cot_value value, cot_status status,
                          const char *text, const char *operand) {
    cot_error error = cot_error_get(context);
    assert_null(value.graph);
    if (error.status != status || strstr(error.message, text) == NULL ||
        strstr(error.message, operand) == NULL) {
        fail_msg("\"%s\" and \"%s\" expected: %s", text, operand, error.message);
    }
    cot_error_clear(context);
}

static void bad_pools(void **state) {
    fixture *f = *state;
    cot_context *k = f->context;
    cot_graph_set_layer(f->graph, "p1");
    cot_value x = cot_op_input(f->graph, COT_F32, BATCH(1, 5, 5, 6), "x");
    cot_value i = cot_op_input(f->graph, COT_I32, BATCH(1, 5, 6), "i");
    cot_value flat = cot_op_input(f->graph, COT_F64, BATCH(1, 5), "flat");
    cot_value deep = cot_op_input(f->graph, COT_F32, SHAPE(1, 2, 2, 2, 2, 2), "deep");
    check_refused(k, cot_op_max_pool(x, NULL), COT_E_ARG, "max_pool \"p1\": \"axes\" is NULL",
                  "x is f32[N,5,5,6]");
    check_refused(k, cot_op_avg_pool(x, &(cot_pool_axes){.size = {2}}), COT_E_SHAPE,
                  "avg_pool \"p1\": size 0 of spatial axis 1", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_max_pool(x, &(cot_pool_axes){.size = {2, 2}, .stride = {0, -1}}),
                  COT_E_SHAPE, "stride -1 of spatial axis 1", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_max_pool(x, &(cot_pool_axes){.size = {2, 3}, .low = {0, 3}}),
                  COT_E_SHAPE, "low 3 of spatial axis 1 must be 0 or more, 2 at most",
                  "x is f32[N,5,5,6]");
    check_refused(k, cot_op_max_pool(x, &(cot_pool_axes){.size = {2, 3}, .high = {-1, 0}}),
                  COT_E_SHAPE, "high -1 of spatial axis 0", "x is f32[N,5,5,6]");
    check_refused(k,
                  cot_op_max_pool(
                      x, &(cot_pool_axes){.size = {COTI_SIZE_MAX, 1}, .low = {COTI_SIZE_MAX - 1}}),
                  COT_E_SHAPE, "too long", "x is f32[N,5,5,6]");
    check_refused(k, cot_op_max_pool(i, &(cot_pool_axes){.size = {2}}), COT_E_DTYPE, "f32 or f64",
                  "x is i32[N,5,6]");
    check_refused(k, cot_op_max_pool(flat, &(cot_pool_axes){.size = {2}}), COT_E_SHAPE,
                  "the rank must be 3 to 5", "x is f64[N,5]");
    check_refused(k, cot_op_avg_pool(deep, &(cot_pool_axes){.size = {2, 2, 2}}), COT_E_SHAPE,
                  "1 to 3 spatial axes", "x is f32[1,2,2,2,2,2]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(keras_average),      FIXTURE_TEST(keras_maximum),
        FIXTURE_TEST(a_tie_is_the_first), FIXTURE_TEST(a_mean_counts_its_own),
        FIXTURE_TEST(nothing_to_pool),    FIXTURE_TEST(bad_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
