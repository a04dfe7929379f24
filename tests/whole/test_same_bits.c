/*
 * The weights after 20 steps are the same bits for 1, 2, 3 and 4 threads, and whether the largest
 * batch was compiled as 128 rows or 256: the order of every sum follows from shapes alone.
 */
#include "promises.h"

enum { ROWS = 128 * 19 + 37 /* 20 steps, the last one short */ };

typedef struct run {
    int32_t threads;
    int64_t max_batch;
} run;

typedef cot_model *(*build_fn)(cot_context *context);

static cot_model *build_lecture(cot_context *context) {
    return promise_lecture(context, 300);
}

static cot_model *build_wide(cot_context *context) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(300), "x");
    cot_tensor h = cot_dense(x, 130, .activation = COT_GELU);
    cot_tensor g = cot_dense(x, 130, .activation = COT_TANH);
    cot_tensor y = cot_dense(cot_add(COT_TENSORS(h, g)), 10, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), "wide");
}

/* Train for one epoch and return all the weights, one after the other. */
static float *train(build_fn build, const cot_optimizer *optimizer, run how, int64_t *n_out) {
    cot_context *context = promise_context(how.threads);
    cot_model *model = build(context);
    assert_non_null(model);
    cot_dataset *data = promise_data(context, ROWS, 300);
    assert_int_equal(cot_model_compile(model, .optimizer = optimizer,
                                       .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                       .metrics = {COT_ACCURACY}, .max_batch = how.max_batch),
                     COT_OK);
    assert_int_equal(cot_model_fit(model, data, .batch_size = 128), COT_OK);
    int64_t n = cot_model_count_params(model);
    float *weights = malloc((size_t)n * sizeof *weights);
    assert_non_null(weights);
    int64_t done = 0;
    for (int32_t i = 0; i < cot_model_n_weights(model); i++) {
        cot_variable *weight = cot_model_weight(model, i);
        cot_shape shape = cot_variable_shape(weight);
        int64_t elements = shape.rank == 2 ? shape.dim[0] * shape.dim[1] : shape.dim[0];
        assert_int_equal(
            cot_variable_get(weight, weights + done, (size_t)elements * sizeof *weights), COT_OK);
        done += elements;
    }
    assert_int_equal(done, n);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    *n_out = n;
    return weights;
}

static void check(build_fn build, const cot_optimizer *optimizer) {
    static const run runs[] = {{1, 128}, {2, 128}, {3, 128}, {4, 128}, {1, 256}, {3, 256}};
    int64_t n = 0;
    float *first = train(build, optimizer, runs[0], &n);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)(first[i] * first[i]);
    }
    assert_true(sum > 0.1 && sum < 1e6); /* it trained, and did not run away */
    for (size_t i = 1; i < sizeof runs / sizeof runs[0]; i++) {
        int64_t n_other = 0;
        float *other = train(build, optimizer, runs[i], &n_other);
        assert_int_equal(n_other, n);
        assert_memory_equal(first, other, (size_t)n * sizeof *first);
        free(other);
    }
    free(first);
}

static void lecture_sgd(void **state) {
    (void)state;
    check(build_lecture, cot_sgd(.learning_rate = 0.05));
}

static void lecture_nesterov(void **state) {
    (void)state;
    check(build_lecture, cot_sgd(.learning_rate = 0.01, .momentum = 0.9, .nesterov = true));
}

static void wide_adam(void **state) {
    (void)state;
    check(build_wide, cot_adam(.learning_rate = 0.001));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lecture_sgd),
                                       cmocka_unit_test(lecture_nesterov),
                                       cmocka_unit_test(wide_adam)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
