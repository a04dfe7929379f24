/*
 * Variables: values in and out, the transposed home, references, misuse.
 */
#include "graph_test.h"

static void values_start_at_zero_and_come_back(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(2, 3), "dense/kernel");
    const float values[6] = {1, 2, 3, 4, 5, 6};
    float back[6] = {9, 9, 9, 9, 9, 9};
    const float zeros[6] = {0};
    assert_string_equal(cot_variable_name(w), "dense/kernel");
    assert_int_equal(cot_variable_dtype(w), COT_F32);
    assert_int_equal(cot_variable_shape(w).dim[1], 3);
    assert_int_equal((uintptr_t)w->storage % 64, 0);
    CHECK_OK(f->context, cot_variable_get(w, back, sizeof back));
    assert_memory_equal(back, zeros, sizeof zeros);
    CHECK_OK(f->context, cot_variable_set(w, values, sizeof values));
    CHECK_OK(f->context, cot_variable_get(w, back, sizeof back));
    assert_memory_equal(back, values, sizeof values);
    assert_memory_equal(w->storage, values, sizeof values);
    cot_variable_release(w);
}

/* Column-major storage: element [i,j] of 2 x 3 stands at 2*j + i; the outside sees row-major. */
static void a_transposed_home_is_row_major_outside(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F64, SHAPE(2, 3), "w");
    const double values[6] = {1, 2, 3, 4, 5, 6};
    const double stored[6] = {1, 4, 2, 5, 3, 6};
    double back[6] = {0};
    w->transposed = true;
    CHECK_OK(f->context, cot_variable_set(w, values, sizeof values));
    assert_memory_equal(w->storage, stored, sizeof stored);
    CHECK_OK(f->context, cot_variable_get(w, back, sizeof back));
    assert_memory_equal(back, values, sizeof values);
    cot_variable_release(w);
}

static void scalars_empty_tensors_and_bools_work(void **state) {
    fixture *f = *state;
    cot_variable *step = cot_variable_create(f->context, COT_I64, SCALAR, "iterations");
    cot_variable *empty = cot_variable_create(f->context, COT_F32, SHAPE(3, 0), "empty");
    cot_variable *mask = cot_variable_create(f->context, COT_BOOL, SHAPE(3), "mask");
    int64_t one = 1;
    int64_t back = 0;
    CHECK_OK(f->context, cot_variable_set(step, &one, sizeof one));
    CHECK_OK(f->context, cot_variable_get(step, &back, sizeof back));
    assert_int_equal(back, 1);
    CHECK_OK(f->context, cot_variable_set(empty, NULL, 0));
    CHECK_OK(f->context, cot_variable_get(empty, NULL, 0));
    unsigned char bytes[3] = {0, 1, 200};
    CHECK_OK(f->context, cot_variable_set(mask, bytes, sizeof bytes));
    CHECK_OK(f->context, cot_variable_get(mask, bytes, sizeof bytes));
    assert_memory_equal(bytes, ((unsigned char[]){0, 1, 1}), 3);
    assert_int_not_equal(step->id, empty->id);
    cot_variable_release(step);
    cot_variable_release(empty);
    cot_variable_release(mask);
}

static void a_variable_outlives_its_graph(void **state) {
    fixture *f = *state;
    cot_graph *graph = cot_graph_create(f->context, "short_lived");
    cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(3), "w");
    assert_ptr_equal(cot_variable_retain(w), w);
    assert_non_null(cot_op_state(graph, w).graph);
    assert_int_equal(w->references, 3);
    cot_variable_release(w);
    cot_graph_destroy(graph);
    assert_int_equal(w->references, 1);
    assert_int_equal(cot_variable_shape(w).rank, 1);
    cot_variable_release(w);
}

static void misuse_is_told(void **state) {
    fixture *f = *state;
    cot_context *c = f->context;
    cot_variable *w = cot_variable_create(c, COT_F32, SHAPE(2, 2), "w");
    float values[5] = {0};
    assert_null(cot_variable_create(c, COT_F32, SHAPE(2), NULL));
    CHECK_ERROR(c, COT_E_ARG, "needs a name");
    assert_null(cot_variable_create(c, COT_F32, SHAPE(2), ""));
    CHECK_ERROR(c, COT_E_ARG, "needs a name");
    assert_null(cot_variable_create(c, (cot_dtype)50, SHAPE(2), "v"));
    CHECK_ERROR(c, COT_E_DTYPE, "variable \"v\": 50 is no dtype");
    assert_null(cot_variable_create(c, COT_F32, BATCH(1, 2), "v"));
    CHECK_ERROR(c, COT_E_SHAPE, "variable \"v\": f32[N,2] is batched");
    assert_null(cot_variable_create(c, COT_F32, SHAPE(2, -5), "v"));
    CHECK_ERROR(c, COT_E_SHAPE, "variable \"v\": extent -5 of axis 1");
    assert_null(cot_variable_create(c, COT_F64, SHAPE(1 << 24, 1 << 23), "v"));
    CHECK_ERROR(c, COT_E_SHAPE, "variable \"v\": f64[16777216,8388608] is too large");
    assert_int_equal(cot_variable_set(w, values, sizeof values), COT_E_ARG);
    CHECK_ERROR(c, COT_E_ARG, "variable \"w\": f32[2,2] holds 16 bytes, 20 are given");
    assert_int_equal(cot_variable_get(w, values, 12), COT_E_ARG);
    CHECK_ERROR(c, COT_E_ARG, "variable \"w\": f32[2,2] holds 16 bytes, 12 are given");
    assert_int_equal(cot_variable_get(w, NULL, 16), COT_E_ARG);
    CHECK_ERROR(c, COT_E_ARG, "at NULL");
    assert_int_equal(cot_variable_set(NULL, values, 4), COT_E_ARG);
    assert_int_equal(cot_variable_get(NULL, values, 4), COT_E_ARG);
    assert_null(cot_variable_create(NULL, COT_F32, SHAPE(2), "v"));
    assert_null(cot_variable_retain(NULL));
    cot_variable_release(NULL);
    assert_string_equal(cot_variable_name(NULL), "");
    assert_int_equal(cot_variable_shape(NULL).rank, 0);
    assert_int_equal(cot_variable_dtype(NULL), COT_F32);
    cot_variable_release(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(values_start_at_zero_and_come_back),
        FIXTURE_TEST(a_transposed_home_is_row_major_outside),
        FIXTURE_TEST(scalars_empty_tensors_and_bools_work),
        FIXTURE_TEST(a_variable_outlives_its_graph),
        FIXTURE_TEST(misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
