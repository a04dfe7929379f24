/*
 * The evaluator's walk over a graph: when states are read and written, what is computed at all, how
 * long values live, what it says of wrong tensors, and that it survives every refused allocation.
 */
#include "alloc_fail.h"
#include "check.h"
#include "graph/graph.h"

#include <math.h>

static const cot_shape scalar = {0, false, {0}};
static const cot_shape matrix_2_3 = {2, false, {2, 3}};
static const cot_shape batch_4 = {2, true, {1, 4}};

static cot_context *context_new(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    assert_non_null(context);
    return context;
}

static cot_variable *variable_of(cot_context *context, const char *name, cot_shape shape,
                                 const float *data, bool transposed) {
    cot_variable *variable = cot_variable_create(context, COT_F32, shape, name);
    assert_non_null(variable);
    variable->transposed = transposed;
    CHECK_OK(context, cot_variable_set(variable, data, (size_t)variable->bytes));
    return variable;
}

/* ---- states ---- */

/* w and v change places; the output sees both as they were. */
static void test_updates_come_after_all_reads(void **state) {
    cot_context *context = context_new(state);
    float one = 1, two = 2, sum = 0;
    cot_variable *w = variable_of(context, "w", scalar, &one, false);
    cot_variable *v = variable_of(context, "v", scalar, &two, false);
    cot_graph *graph = cot_graph_create(context, "swap");
    cot_value read_w = cot_op_state(graph, w), read_v = cot_op_state(graph, v);
    CHECK_OK(context, cot_graph_update(read_w, read_v));
    CHECK_OK(context, cot_graph_update(read_v, read_w));
    CHECK_OK(context, cot_graph_output(cot_op_binary(COT_OP_SUB, read_w,
                                                     cot_op_binary(COT_OP_MUL, read_v, read_v)),
                                       "y"));
    coti_tensor output = {COT_F32, scalar, &sum};
    CHECK_OK(context, coti_eval_graph(graph, 1, NULL, &output));
    CHECK_OK(context, cot_variable_get(w, &one, sizeof one));
    CHECK_OK(context, cot_variable_get(v, &two, sizeof two));
    assert_true(one == 2 && two == 1 && sum == 1 - 2 * 2);
    cot_graph_destroy(graph);
    cot_variable_release(w);
    cot_variable_release(v);
    cot_context_destroy(context);
}

/* A column-major home is read and written as what it means. */
static void test_transposed_variable(void **state) {
    cot_context *context = context_new(state);
    const float data[6] = {1, 2, 3, 4, 5, 6};
    float read[6] = {0}, after[6] = {0};
    cot_variable *w = variable_of(context, "w", matrix_2_3, data, true);
    assert_true(((const float *)w->storage)[1] == 4);
    cot_graph *graph = cot_graph_create(context, "transposed");
    cot_value value = cot_op_state(graph, w);
    CHECK_OK(context, cot_graph_output(value, "y"));
    CHECK_OK(context, cot_graph_update(value, cot_op_unary(COT_OP_NEG, value)));
    coti_tensor output = {COT_F32, matrix_2_3, read};
    CHECK_OK(context, coti_eval_graph(graph, 1, NULL, &output));
    CHECK_OK(context, cot_variable_get(w, after, sizeof after));
    for (int i = 0; i < 6; i++) {
        assert_true(read[i] == data[i] && after[i] == -data[i]);
    }
    assert_true(((const float *)w->storage)[1] == -4);
    cot_graph_destroy(graph);
    cot_variable_release(w);
    cot_context_destroy(context);
}

/* ---- inputs and outputs ---- */

/* An input that is an output, twice, beside a value that reads it twice. */
static void test_input_as_output(void **state) {
    cot_context *context = context_new(state);
    const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    float first[8], second[8], square[8];
    cot_graph *graph = cot_graph_create(context, "inputs");
    cot_value x = cot_op_input(graph, COT_F32, batch_4, "x");
    CHECK_OK(context, cot_graph_output(x, "first"));
    CHECK_OK(context, cot_graph_output(x, "second"));
    CHECK_OK(context, cot_graph_output(cot_op_binary(COT_OP_MUL, x, x), "square"));
    cot_shape bound = coti_shape_bind(&batch_4, 2);
    assert_true(!bound.batched && bound.dim[0] == 2 && bound.dim[1] == 4);
    float copy[8];
    memcpy(copy, data, sizeof data);
    coti_tensor input = {COT_F32, bound, copy};
    coti_tensor output[3] = {
        {COT_F32, bound, first}, {COT_F32, bound, second}, {COT_F32, bound, square}};
    CHECK_OK(context, coti_eval_graph(graph, 2, &input, output));
    assert_memory_equal(copy, data, sizeof data);
    assert_memory_equal(first, data, sizeof data);
    assert_memory_equal(second, data, sizeof data);
    for (int i = 0; i < 8; i++) {
        assert_true(square[i] == data[i] * data[i]);
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void test_wrong_tensors_are_refused(void **state) {
    cot_context *context = context_new(state);
    float x_data[12] = {0}, y_data[12] = {0};
    cot_graph *graph = cot_graph_create(context, "checks");
    cot_value x = cot_op_input(graph, COT_F32, batch_4, "pixels");
    CHECK_OK(context, cot_graph_output(cot_op_unary(COT_OP_NEG, x), "darker"));
    coti_tensor input = {COT_F32, coti_shape_bind(&batch_4, 3), x_data};
    coti_tensor output = {COT_F32, coti_shape_bind(&batch_4, 3), y_data};
    CHECK_OK(context, coti_eval_graph(graph, 3, &input, &output));
    assert_int_equal(coti_eval_graph(graph, 2, &input, &output), COT_E_SHAPE);
    CHECK_ERROR(context, COT_E_SHAPE, "input \"pixels\" is f32[3,4], expected f32[2,4]");
    input.dtype = COT_F64;
    assert_int_equal(coti_eval_graph(graph, 3, &input, &output), COT_E_DTYPE);
    CHECK_ERROR(context, COT_E_DTYPE, "\"pixels\" is f64[3,4]");
    input.dtype = COT_F32;
    input.data = NULL;
    assert_int_equal(coti_eval_graph(graph, 3, &input, &output), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "\"pixels\" has no data");
    input.data = x_data;
    output.shape.rank = 1;
    assert_int_equal(coti_eval_graph(graph, 3, &input, &output), COT_E_SHAPE);
    CHECK_ERROR(context, COT_E_SHAPE, "output \"darker\" is f32[3]");
    assert_int_equal(coti_eval_graph(graph, -1, &input, &output), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "-1 rows");
    assert_int_equal(coti_eval_graph(graph, COTI_SIZE_MAX, &input, &output), COT_E_SHAPE);
    CHECK_ERROR(context, COT_E_SHAPE, "too large");
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* An empty batch: sums are zero, a maximum is an error, and one that nobody reads is not computed.
 */
static void test_empty_batch(void **state) {
    cot_context *context = context_new(state);
    const int32_t axis = 0;
    float sum[4] = {7, 7, 7, 7}, max[4];
    cot_graph *graph = cot_graph_create(context, "empty");
    cot_value x = cot_op_input(graph, COT_F32, batch_4, "x");
    cot_graph_set_layer(graph, "peak");
    cot_value unread = cot_op_reduce(COT_OP_REDUCE_MAX, x, &axis, 1, false);
    CHECK_OK(context, cot_graph_output(cot_op_reduce(COT_OP_SUM, x, &axis, 1, false), "sum"));
    coti_tensor input = {COT_F32, {2, false, {0, 4}}, NULL};
    coti_tensor output[2] = {{COT_F32, {1, false, {4}}, sum}, {COT_F32, {1, false, {4}}, max}};
    CHECK_OK(context, coti_eval_graph(graph, 0, &input, output));
    assert_true(sum[0] == 0 && sum[3] == 0);
    CHECK_OK(context, cot_graph_output(unread, "max"));
    assert_int_equal(coti_eval_graph(graph, 0, &input, output), COT_E_SHAPE);
    assert_string_equal(cot_error_get(context).op, "reduce_max");
    assert_string_equal(cot_error_get(context).layer, "peak");
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- memory ---- */

/* x -> -x -> |-x| -> ..., n ops; the result is x's absolute value for n >= 2. */
static cot_graph *chain_new(cot_context *context, cot_shape shape, int n) {
    cot_graph *graph = cot_graph_create(context, "chain");
    cot_value x = cot_op_input(graph, COT_F32, shape, "x");
    for (int i = 0; i < n; i++) {
        x = cot_op_unary(i % 2 == 0 ? COT_OP_NEG : COT_OP_ABS, x);
    }
    CHECK_OK(context, cot_graph_output(x, "y"));
    return graph;
}

/* Values die at their last use: a chain needs two at a time, however long it is. */
static void test_values_die_at_their_last_use(void **state) {
    (void)state;
    enum { ELEMENTS = 25000, BYTES = 4 * ELEMENTS, OPS = 100 };
    static float data[ELEMENTS];
    const cot_shape shape = {1, false, {ELEMENTS}};
    alloc_fail counter;
    alloc_fail_init(&counter);
    cot_options options = {.struct_size = sizeof options,
                           .allocator = alloc_fail_allocator(&counter)};
    cot_context *context = cot_context_create(&options);
    cot_graph *graph = chain_new(context, shape, OPS);
    coti_tensor tensor = {COT_F32, shape, data};
    data[3] = 5;
    int64_t before = counter.live_bytes;
    counter.peak_bytes = before;
    CHECK_OK(context, coti_eval_graph(graph, 1, &tensor, &tensor));
    assert_true(data[3] == 5);
    assert_true(counter.live_bytes == before);
    assert_true(counter.peak_bytes - before >= 2 * BYTES);
    assert_true(counter.peak_bytes - before < 3 * BYTES);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
    CHECK_NO_COMPLAINT(alloc_fail_complaint(&counter));
}

/* A node that reads one value twice frees it once; ten thousand nodes are no trouble. */
static void test_long_graph(void **state) {
    cot_context *context = context_new(state);
    cot_graph *graph = cot_graph_create(context, "long");
    cot_value x = cot_op_input(graph, COT_F64, scalar, "x");
    cot_value half = cot_op_constant(graph, COT_F64, 0.5);
    double data = 3, result = 0;
    for (int i = 0; i < 5000; i++) {
        x = cot_op_binary(COT_OP_MUL, cot_op_binary(COT_OP_ADD, x, x), half);
    }
    CHECK_OK(context, cot_graph_output(x, "y"));
    coti_tensor input = {COT_F64, scalar, &data}, output = {COT_F64, scalar, &result};
    CHECK_OK(context, coti_eval_graph(graph, 1, &input, &output));
    assert_true(result == 3);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* Build, run and check a training step of one dense layer; any refusal must leave w as it was. */
static cot_status dense_step(cot_context *context, void *user) {
    (void)user;
    const cot_shape shape = {2, false, {4, 3}};
    float w_data[12] = {3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, x_data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    float after[12], loss = 0;
    cot_variable *w = cot_variable_create(context, COT_F32, shape, "w");
    cot_graph *graph = w != NULL ? cot_graph_create(context, "step") : NULL;
    cot_status status = graph == NULL ? COT_E_NOMEM : COT_OK;
    if (graph != NULL) {
        cot_variable_set(w, w_data, sizeof w_data);
        cot_value x = cot_op_input(graph, COT_F32, batch_4, "x");
        cot_value state = cot_op_state(graph, w);
        cot_value p = cot_op_log_softmax(cot_op_matmul(x, state));
        cot_value y = cot_op_mean(p, (const int32_t[]){0, 1}, 2, false);
        cot_graph_update(state, cot_op_binary(COT_OP_MUL, state, state));
        cot_graph_output(y, "loss");
        coti_tensor input = {COT_F32, {2, false, {2, 4}}, x_data};
        coti_tensor output = {COT_F32, scalar, &loss};
        status = cot_error_get(context).status;
        if (status == COT_OK) {
            status = coti_eval_graph(graph, 2, &input, &output);
            cot_variable_get(w, after, sizeof after);
            w_data[0] = status == COT_OK ? 9 : 3;
            assert_memory_equal(after, w_data, sizeof after);
        }
    }
    cot_graph_destroy(graph);
    cot_variable_release(w);
    return status;
}

static void test_every_refused_allocation(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, dense_step, NULL));
}

/* ---- elements ---- */

static void test_elements(void **state) {
    (void)state;
    int64_t big = INT64_MAX;
    uint8_t byte = 7;
    double huge = 1e300;
    const coti_tensor i64 = {COT_I64, scalar, &big}, truth = {COT_BOOL, scalar, &byte},
                      u8 = {COT_U8, scalar, &byte}, f64 = {COT_F64, scalar, &huge};
    assert_true(coti_tensor_get(&i64, 0) == 0x1p63);
    assert_true(coti_tensor_get_int(&i64, 0) == INT64_MAX);
    assert_true(coti_tensor_get(&truth, 0) == 1 && coti_tensor_get_int(&truth, 0) == 1);
    assert_true(coti_tensor_get(&u8, 0) == 7);
    assert_true(coti_tensor_get(&f64, 0) == 1e300 && coti_tensor_get_int(&f64, 0) == INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_updates_come_after_all_reads),
        cmocka_unit_test(test_transposed_variable),
        cmocka_unit_test(test_input_as_output),
        cmocka_unit_test(test_wrong_tensors_are_refused),
        cmocka_unit_test(test_empty_batch),
        cmocka_unit_test(test_values_die_at_their_last_use),
        cmocka_unit_test(test_long_graph),
        cmocka_unit_test(test_every_refused_allocation),
        cmocka_unit_test(test_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
