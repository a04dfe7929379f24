/*
 * What is compiled, and when: the lecture's network is two phases with the update inside the
 * weight-gradient kernel; a hundred equal blocks share their kernels; after compile nothing is
 * compiled any more.
 */
#include "promises.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static cot_status compile(cot_model *model, const cot_optimizer *optimizer) {
    return cot_model_compile(model, .optimizer = optimizer,
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                             .metrics = {COT_ACCURACY});
}

/* ---- the lecture's plan ---- */

/* The text of the dump file in `dir` whose name holds `part`; every file there is removed. */
static char *take_dump(const char *dir, const char *part) {
    char *text = NULL;
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[512];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (strstr(entry->d_name, part) != NULL) {
            FILE *file = fopen(path, "rb");
            assert_non_null(file);
            text = calloc(1, 1 << 20);
            assert_non_null(text);
            assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
            (void)fclose(file);
        }
        (void)unlink(path);
    }
    (void)closedir(folder);
    return text;
}

/* The plan has a call of a gemm kernel that reads the input and the update's rate, and writes
 * kernel and bias. */
static void expect_fused_update(const char *plan) {
    const char *writes = strstr(plan, "writes %dense/kernel [state");
    assert_non_null(writes);
    const char *line_end = strchr(writes, '\n');
    const char *bias = strstr(writes, "%dense/bias [state");
    assert_true(bias != NULL && bias < line_end);
    const char *call = writes;
    while (strncmp(call, "call ", 5) != 0) {
        assert_true(call > plan);
        call--;
    }
    const char *reads = strstr(call, "reads %x ");
    const char *rate = strstr(call, "%optimizer/learning_rate");
    const char *gemm = strstr(call, "\"gemm");
    assert_true(gemm != NULL && gemm < writes);
    assert_true(reads != NULL && reads < writes);
    assert_true(rate != NULL && rate < writes);
}

static void lecture_is_two_phases(void **state) {
    (void)state;
    char dir[] = "/tmp/cot_plan_XXXXXX";
    assert_non_null(mkdtemp(dir));
    cot_options options = {.struct_size = sizeof options,
                           .threads = 2,
                           .environment = COT_OFF,
                           .dump = "plan",
                           .dump_dir = dir};
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    cot_model *model = promise_lecture(context, 3072);
    assert_non_null(model);
    assert_int_equal(compile(model, cot_sgd(.learning_rate = 0.01)), COT_OK);
    cot_program_info info = cot_program_get_info(cot_model_train_program(model));
    assert_true(info.n_kernels > 0);
    assert_int_equal(info.n_phases, 2);
    assert_true(info.arena_bytes >= info.arena_bound_bytes);
    assert_true((double)info.arena_bytes <= 1.1 * (double)info.arena_bound_bytes);
    char *plan = take_dump(dir, "train_plan");
    assert_non_null(plan);
    expect_fused_update(plan);
    free(plan);
    cot_model_destroy(model);
    cot_context_destroy(context);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- memory ---- */

/* Of the training program: the arena, which is within a tenth of the liveness bound. */
static int64_t arena_of(const cot_model *model, const char *what) {
    const cot_program_info info = cot_program_get_info(cot_model_train_program(model));
    assert_true(info.arena_bytes >= info.arena_bound_bytes && info.arena_bound_bytes > 0);
    if (info.arena_bytes * 10 > info.arena_bound_bytes * 11) {
        fail_msg("%s: an arena of %lld bytes, the bound is %lld", what, (long long)info.arena_bytes,
                 (long long)info.arena_bound_bytes);
    }
    return info.arena_bytes;
}

static cot_status compile_within(cot_model *model, int64_t budget) {
    return cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.001),
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .memory_budget = budget);
}

static void arenas_are_near_their_bounds(void **state) {
    (void)state;
    cot_context *context = promise_context(2);
    cot_model *lecture = promise_lecture(context, 3072);
    assert_int_equal(compile_within(lecture, 0), COT_OK);
    (void)arena_of(lecture, "lecture");
    static const int32_t blocks[] = {1, 7, 60, 400};
    static const int64_t width[] = {64, 33, 128, 16};
    for (int i = 0; i < 4; i++) {
        cot_model *model = promise_residual(context, blocks[i], width[i]);
        assert_int_equal(compile_within(model, 0), COT_OK);
        const int64_t plain = arena_of(model, "residual");
        if (blocks[i] > 7) { /* with values computed again, too */
            assert_int_equal(compile_within(model, plain / 2), COT_OK);
            assert_true(arena_of(model, "half of it") <= plain / 2);
        }
        cot_model_destroy(model);
    }
    cot_model_destroy(lecture);
    cot_context_destroy(context);
}

/*
 * Weight gradients run while the backward pass goes on, so that of all layers' values only those of
 * the forward pass, and a few megabytes of cotangents, are there at a time.
 */
static void cotangents_do_not_gather(void **state) {
    (void)state;
    enum { BLOCKS = 60, WIDTH = 256, BATCH = 128 };
    const int64_t forward = (int64_t)2 * BLOCKS * WIDTH * BATCH * 4;
    cot_context *context = promise_context(2);
    cot_model *model = promise_residual(context, BLOCKS, WIDTH);
    assert_int_equal(compile_within(model, 0), COT_OK);
    const int64_t arena = arena_of(model, "residual");
    assert_true(arena > forward);
    assert_true(arena < forward + (5 << 20));
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- kernels are shared ---- */

static int64_t kernels_of_residual(int32_t blocks) {
    cot_context *context = promise_context(2);
    cot_model *model = promise_residual(context, blocks, 64);
    assert_non_null(model);
    assert_int_equal(compile(model, cot_adam(.learning_rate = 0.001)), COT_OK);
    int64_t n = cot_context_kernels_compiled(context);
    assert_true(n > 0);
    cot_model_destroy(model);
    cot_context_destroy(context);
    return n;
}

static void equal_blocks_share_kernels(void **state) {
    (void)state;
    int64_t ten = kernels_of_residual(10);
    int64_t hundred = kernels_of_residual(100);
    assert_true(hundred <= 40);
    assert_int_equal(ten, hundred);
}

/* ---- nothing is compiled after compile ---- */

static void nothing_is_compiled_later(void **state) {
    (void)state;
    cot_context *context = promise_context(2);
    cot_model *model = promise_lecture(context, 60);
    cot_dataset *data = promise_data(context, 300, 60);
    cot_dataset *one = cot_dataset_slice(data, 3, 1);
    assert_non_null(model);
    assert_non_null(one);
    assert_int_equal(compile(model, cot_sgd(.learning_rate = 0.01)), COT_OK);
    int64_t compiled = cot_context_kernels_compiled(context);
    assert_true(compiled > 0);

    float probabilities[10] = {0};
    cot_logs report = {0};
    assert_int_equal(cot_model_fit(model, data, .batch_size = 128), COT_OK); /* 128, 128, 44 */
    assert_int_equal(cot_model_fit(model, data, .batch_size = 31, .validation_split = 0.2), COT_OK);
    assert_int_equal(cot_model_evaluate(model, data, &report, .batch_size = 77), COT_OK);
    assert_int_equal(
        cot_model_predict(model, one, COT_BUFFERS({probabilities, sizeof probabilities})), COT_OK);
    assert_int_equal(cot_context_kernels_compiled(context), compiled);

    float sum = 0.0F;
    for (int i = 0; i < 10; i++) {
        sum += probabilities[i];
    }
    assert_true(sum > 0.9999F && sum < 1.0001F);
    cot_dataset_destroy(one);
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lecture_is_two_phases), cmocka_unit_test(arenas_are_near_their_bounds),
        cmocka_unit_test(cotangents_do_not_gather), cmocka_unit_test(equal_blocks_share_kernels),
        cmocka_unit_test(nothing_is_compiled_later)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
