/*
 * The JIT around the emitter: equal kernels are compiled once, counters tell the truth, threads
 * agree, dumps hold every kernel, failures leave the context usable, and no allocation is lost.
 */
#include "cache_case.h"
#include "gemm_case.h"

#include "alloc_fail.h"
#include "check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static gemm_case square(int64_t n) {
    return (gemm_case){.m = n, .n = n, .k = n};
}

static cot_context *context_with(int32_t threads) {
    cot_context *context = cot_context_create(&(cot_options){
        .struct_size = sizeof(cot_options), .threads = threads, .environment = COT_OFF});
    assert_non_null(context);
    return context;
}

static coti_target target_of(cot_context *context) {
    coti_target target;
    CHECK_OK(context, coti_jit_target(context, &target));
    return target;
}

/* The code computes what it should. */
static void check_code(gemm_test *test, const coti_target *target, cotr_kernel code) {
    gemm_test_data(test, target, GUARD_END);
    gemm_test_run(test, code, 1);
    gemm_test_check(test, "compiled kernel");
    gemm_test_free(test);
}

static void test_equal_kernels_are_one(void **state) {
    (void)state;
    cot_context *context = context_with(1);
    coti_target target = target_of(context);
    static gemm_test test[3];
    gemm_case c = square(8), other = square(9);
    gemm_test_init(&test[0], &c, &target);
    gemm_test_init(&test[1], &c, &target);
    gemm_test_init(&test[2], &other, &target);
    test[1].kernel.hint = "another_name";
    const coti_kernel *kernel[] = {&test[0].kernel, &test[1].kernel, &test[2].kernel};
    cotr_kernel code[3] = {NULL}, again[3] = {NULL};
    int32_t n = -1;
    CHECK_OK(context, coti_jit_compile(context, "first", kernel, 3, code, &n));
    assert_int_equal(n, 2);
    assert_true(code[0] == code[1] && code[0] != code[2] && code[2] != NULL);
    assert_int_equal(context->n_kernels_compiled, 2);
    CHECK_OK(context, coti_jit_compile(context, "second", kernel, 3, again, &n));
    assert_int_equal(n, 0);
    assert_int_equal(context->n_kernels_compiled, 2);
    assert_memory_equal(code, again, sizeof code);
    check_code(&test[2], &target, again[2]);
    CHECK_OK(context, coti_jit_compile(context, "nothing", kernel, 0, again, &n));
    assert_int_equal(n, 0);
    cot_context_destroy(context);
}

/* A kernel for another instruction set is another kernel. */
static void test_instruction_sets_are_apart(void **state) {
    (void)state;
    cot_context *context = context_with(1);
    static gemm_test test;
    gemm_case c = square(8);
    cotr_kernel code[2] = {NULL};
    const cot_isa isa[] = {COT_ISA_BASELINE, COT_ISA_DEFAULT};
    for (int32_t i = 0; i < 2; i++) {
        context->isa = isa[i];
        coti_target target = target_of(context);
        gemm_test_init(&test, &c, &target);
        const coti_kernel *kernel = &test.kernel;
        int32_t n = 0;
        CHECK_OK(context, coti_jit_compile(context, "isa", &kernel, 1, &code[i], &n));
        check_code(&test, &target, code[i]);
    }
    context->isa = COT_ISA_DEFAULT;
    if (target_of(context).isa != COT_ISA_BASELINE) {
        assert_true(code[0] != code[1]);
        assert_int_equal(context->n_kernels_compiled, 2);
    }
    cot_context_destroy(context);
}

static void test_target_is_real(void **state) {
    (void)state;
    cot_context *context = context_with(1);
    coti_target best = target_of(context);
    assert_true(best.isa != COT_ISA_DEFAULT);
    for (int32_t isa = COT_ISA_BASELINE; isa <= (int32_t)COT_ISA_AVX512; isa++) {
        coti_target target = {.isa = COT_ISA_DEFAULT};
        context->isa = (cot_isa)isa;
        cot_status status = coti_jit_target(context, &target);
        if (status == COT_OK) {
            assert_int_equal(target.isa, isa);
            assert_true(target.isa <= best.isa && target.lanes <= best.lanes);
        } else {
            assert_int_equal(target.isa, COT_ISA_DEFAULT); /* untouched */
            CHECK_ERROR(context, COT_E_UNSUPPORTED, "this processor does not have");
            assert_true(isa > (int32_t)best.isa);
        }
    }
    cot_context_destroy(context);
}

static void test_threads(void **state) {
    (void)state;
    enum { KERNELS = 12 };
    cot_context *context = context_with(4);
    coti_target target = target_of(context);
    static gemm_test test[KERNELS];
    const coti_kernel *kernel[KERNELS];
    cotr_kernel code[KERNELS];
    for (int32_t i = 0; i < KERNELS; i++) {
        gemm_case c = square(3 + i);
        gemm_test_init(&test[i], &c, &target);
        kernel[i] = &test[i].kernel;
    }
    int32_t n = 0;
    CHECK_OK(context, coti_jit_compile(context, "many", kernel, KERNELS, code, &n));
    assert_int_equal(n, KERNELS);
    for (int32_t i = 0; i < KERNELS; i++) {
        check_code(&test[i], &target, code[i]);
    }
    cot_context_destroy(context);
}

/* ---- failures ---- */

/* A kernel that cannot be emitted fails the whole call, by name; the others compile afterwards. */
static void test_failure_is_reported(void **state) {
    (void)state;
    for (int32_t threads = 1; threads <= 2; threads++) {
        cot_context *context = context_with(threads);
        coti_target target = target_of(context);
        static gemm_test test[2];
        gemm_case c = square(8), other = square(9);
        gemm_test_init(&test[0], &c, &target);
        gemm_test_init(&test[1], &other, &target);
        test[1].kernel.gemm.dtype = COT_I32;
        test[1].kernel.hint = "the_bad-one";
        const coti_kernel *kernel[] = {&test[0].kernel, &test[1].kernel};
        cotr_kernel code[2] = {NULL};
        int32_t n = -1;
        cot_status status = coti_jit_compile(context, "bad program", kernel, 2, code, &n);
        assert_int_equal(status, COT_E_UNSUPPORTED);
        CHECK_ERROR(context, COT_E_UNSUPPORTED, "kernel \"the_bad-one\": products of i32");
        assert_true(code[0] == NULL && code[1] == NULL && n == -1);
        assert_int_equal(context->n_kernels_compiled, 0);
        test[1].kernel.gemm.dtype = COT_F32;
        CHECK_OK(context, coti_jit_compile(context, "good", kernel, 2, code, &n));
        assert_int_equal(n, 2);
        check_code(&test[0], &target, code[0]);
        check_code(&test[1], &target, code[1]);
        cot_context_destroy(context);
    }
}

/* Each allocation fails once; the same call then succeeds. Returns false when none failed. */
static bool compile_with_failure(int64_t fail_at, const char *cache_dir) {
    alloc_fail allocations;
    alloc_fail_init(&allocations);
    cot_context *context =
        cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                          .threads = 2,
                                          .environment = COT_OFF,
                                          .cache_dir = cache_dir,
                                          .allocator = alloc_fail_allocator(&allocations)});
    assert_non_null(context);
    coti_target target = target_of(context);
    static gemm_test test[2];
    gemm_case c = square(4), other = square(5);
    gemm_test_init(&test[0], &c, &target);
    gemm_test_init(&test[1], &other, &target);
    const coti_kernel *kernel[] = {&test[0].kernel, &test[1].kernel};
    cotr_kernel code[2] = {NULL};
    int32_t n = 0;
    allocations.fail_at = allocations.n_calls + fail_at;
    cot_status status = coti_jit_compile(context, "memory", kernel, 2, code, &n);
    bool failed = allocations.n_failed > 0;
    if (failed) {
        assert_int_equal(status, COT_E_NOMEM);
        CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
        assert_null(code[0]);
        allocations.fail_at = 0;
        CHECK_OK(context, coti_jit_compile(context, "memory", kernel, 2, code, &n));
    } else {
        CHECK_OK(context, status);
    }
    check_code(&test[1], &target, code[1]);
    cot_context_destroy(context);
    CHECK_NO_COMPLAINT(alloc_fail_complaint(&allocations));
    return failed;
}

/* Without a cache, with an empty one, and with one that has everything. */
static void test_out_of_memory(void **state) {
    (void)state;
    char cold[CACHE_PATH_BYTES], warm[CACHE_PATH_BYTES];
    cache_make_place(warm);
    assert_false(compile_with_failure(INT32_MAX, warm));
    const char *const cache_dir[] = {NULL, cold, warm};
    for (int32_t i = 0; i < 3; i++) {
        int64_t n = 0;
        bool failed = true;
        while (failed) {
            cache_make_place(cold);
            failed = compile_with_failure(++n, cache_dir[i]);
            cache_remove_place(cold);
        }
        assert_true(n > 5);
    }
    cache_remove_place(warm);
}

/* An object under the right key, but with the symbol of another kernel, is not linked. */
static void test_strange_symbol(void **state) {
    (void)state;
    char place[CACHE_PATH_BYTES], name[2][64], path[2 * CACHE_PATH_BYTES];
    static char file[1 << 16];
    cache_make_place(place);
    static gemm_test test;
    gemm_case c = square(8);
    for (int32_t i = 0; i < 3; i++) {
        cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                                 .threads = 1,
                                                                 .environment = COT_OFF,
                                                                 .cache_dir = place});
        coti_target target = target_of(context);
        gemm_test_init(&test, &c, &target);
        const coti_kernel *kernel = &test.kernel;
        cotr_kernel code = NULL;
        int32_t n = -1;
        CHECK_OK(context, coti_jit_compile(context, "symbol", &kernel, 1, &code, &n));
        assert_int_equal(n, i == 1 ? 0 : 1);
        check_code(&test, &target, code);
        assert_int_equal(cache_list_objects(place, name, 2), 1);
        if (i == 1) { /* store it again, whole and good but for the symbol */
            (void)snprintf(path, sizeof path, "%s/%s", place, name[0]);
            FILE *in = fopen(path, "rb");
            assert_non_null(in);
            assert_true(fread(file, 1, sizeof file, in) > 48);
            (void)fclose(in);
            uint64_t key_bytes = 0;
            memcpy(&key_bytes, file + 16, sizeof key_bytes);
            coti_cache_key key = {.text = file + 48, .bytes = key_bytes};
            coti_cache cache;
            coti_cache_hash(&key);
            coti_cache_open(context, &cache);
            (void)coti_cache_store(&cache, &key, "memset", "garbage", 7);
            coti_cache_close(&cache);
        }
        cot_context_destroy(context);
    }
    cache_remove_place(place);
}

/* ---- dumps ---- */

static void take_file(const char *directory, const char *ending, char *text, size_t bytes) {
    DIR *listing = opendir(directory);
    assert_non_null(listing);
    text[0] = '\0';
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        size_t length = strlen(entry->d_name), tail = strlen(ending);
        if (length < tail || strcmp(entry->d_name + length - tail, ending) != 0) {
            continue;
        }
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        text[fread(text, 1, bytes - 1, file)] = '\0';
        (void)fclose(file);
        (void)unlink(path);
    }
    (void)closedir(listing);
}

/* Both files name both kernels, in order, the second time too. */
static void test_dumps(void **state) {
    (void)state;
    enum { BYTES = 1 << 20 };
    char directory[] = "/tmp/cotangent_jit_XXXXXX", *text = malloc(BYTES);
    assert_non_null(mkdtemp(directory));
    cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                             .environment = COT_OFF,
                                                             .dump = "llvm,asm",
                                                             .dump_dir = directory});
    coti_target target = target_of(context);
    static gemm_test test[2];
    gemm_case c = square(8), other = square(9);
    gemm_test_init(&test[0], &c, &target);
    gemm_test_init(&test[1], &other, &target);
    test[0].kernel.hint = "one";
    test[1].kernel.hint = "two";
    const coti_kernel *kernel[] = {&test[0].kernel, &test[1].kernel, &test[0].kernel};
    for (int32_t i = 0; i < 2; i++) {
        cotr_kernel code[3];
        int32_t n = 0;
        CHECK_OK(context, coti_jit_compile(context, "dumped", kernel, 3, code, &n));
        assert_int_equal(n, i == 0 ? 2 : 0);
        const char *const ending[] = {"_dumped_llvm.ll", "_dumped_asm.s"};
        const char *const content[] = {"define void @cotk_two_", "retq"};
        for (int32_t f = 0; f < 2; f++) {
            take_file(directory, ending[f], text, BYTES);
            const char *const counts =
                i == 0 ? "; 2 kernels: 2 compiled, 0 from the object cache, 0 there already\n"
                       : "; 2 kernels: 0 compiled, 0 from the object cache, 2 there already\n";
            assert_int_equal(strncmp(text, counts, strlen(counts)), 0);
            const char *one = strstr(text, "; kernel cotk_one_"), *two = NULL;
            assert_non_null(one);
            two = strstr(one + 1, "; kernel cotk_two_");
            assert_non_null(two);
            assert_null(strstr(two + 1, "; kernel "));
#if defined(__x86_64__)
            assert_non_null(strstr(two, content[f]));
#else
            (void)content;
#endif
        }
    }
    cot_context_destroy(context);
    free(text);
    assert_int_equal(rmdir(directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_kernels_are_one),
        cmocka_unit_test(test_instruction_sets_are_apart),
        cmocka_unit_test(test_target_is_real),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_failure_is_reported),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_strange_symbol),
        cmocka_unit_test(test_dumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
