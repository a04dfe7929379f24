/* The context: options, environment, memory, errors. */
#include "alloc_fail.h"
#include "check.h"

#include "runtime/base/context.h"
#include "runtime/base/options.h"

static void clear_environment(void) {
    for (const coti_environment *row = coti_environment_table; row->name != NULL; row++) {
        unsetenv(row->name);
    }
}

static void defaults(void **state) {
    (void)state;
    clear_environment();
    cot_context *context = cot_context_create(NULL);
    assert_non_null(context);
    assert_true(context->threads >= 1);
    assert_int_equal(context->isa, COT_ISA_DEFAULT);
    assert_true(context->seed == 0 && context->jit && context->fuse);
    assert_true(context->optimize && context->plan);
    assert_string_equal(context->dump_dir, ".");
    for (int i = 0; i < COTI_STAGE_COUNT; i++) {
        assert_false(context->dump[i]);
    }
    assert_int_equal(cot_error_get(context).status, COT_OK);
    assert_string_equal(cot_error_message(context), "");
    cot_context_destroy(context);
    cot_context_destroy(NULL);
}

static void every_environment_variable_acts(void **state) {
    (void)state;
    clear_environment();
    setenv("COT_DUMP", "graph,plan,asm", 1);
    setenv("COT_DUMP_DIR", "/nowhere", 1);
    setenv("COT_THREADS", "7", 1);
    setenv("COT_ISA", "avx2", 1);
    setenv("COT_SEED", "0xffffffffffffffff", 1);
    setenv("COT_JIT", "0", 1);
    setenv("COT_FUSE", "off", 1);
    setenv("COT_OPT", "no", 1);
    setenv("COT_PLAN", "false", 1);
    setenv("COT_VERIFY", "1", 1);
    cot_context *context = cot_context_create(NULL);
    assert_non_null(context);
    assert_true(context->dump[COTI_STAGE_GRAPH] && context->dump[COTI_STAGE_PLAN] &&
                context->dump[COTI_STAGE_ASM]);
    assert_false(context->dump[COTI_STAGE_GRAD] || context->dump[COTI_STAGE_LLVM]);
    assert_string_equal(context->dump_dir, "/nowhere");
    assert_int_equal(context->threads, 7);
    assert_int_equal(context->isa, COT_ISA_AVX2);
    assert_true(context->seed == UINT64_MAX);
    assert_false(context->jit || context->fuse || context->optimize || context->plan);
    assert_true(context->verify);
    cot_context_destroy(context);

    /* Options given in code win, and the environment may be shut out. */
    cot_options options = {.struct_size = sizeof options,
                           .threads = 3,
                           .isa = COT_ISA_BASELINE,
                           .seed = 5,
                           .dump = "llvm",
                           .dump_dir = "here",
                           .jit = COT_ON,
                           .verify = COT_OFF};
    context = cot_context_create(&options);
    assert_non_null(context);
    assert_int_equal(context->threads, 3);
    assert_int_equal(context->isa, COT_ISA_BASELINE);
    assert_true(context->seed == 5 && context->jit && !context->fuse && !context->verify);
    assert_true(context->dump[COTI_STAGE_LLVM] && !context->dump[COTI_STAGE_GRAPH]);
    assert_string_equal(context->dump_dir, "here");
    cot_context_destroy(context);

    context = cot_context_create(
        &(cot_options){.struct_size = sizeof(cot_options), .environment = COT_OFF});
    assert_non_null(context);
    assert_true(context->jit && context->seed == 0 && !context->dump[COTI_STAGE_GRAPH]);
    cot_context_destroy(context);
    clear_environment();
}

static void dump_all(void **state) {
    (void)state;
    clear_environment();
    cot_context *context =
        cot_context_create(&(cot_options){.struct_size = sizeof(cot_options), .dump = "all"});
    for (int i = 0; i < COTI_STAGE_COUNT; i++) {
        assert_true(context->dump[i]);
    }
    cot_context_destroy(context);
}

/* Where compiled kernels are kept, by the XDG base directory specification. */
static void cache_is_where_xdg_says(void **state) {
    (void)state;
    const size_t size = sizeof(cot_options);
    const struct {
        const char *home, *xdg, *ours, *off;
        cot_options options;
        const char *want; /* NULL: no cache */
    } table[] = {
        {"/home/u", NULL, NULL, NULL, {.struct_size = size}, "/home/u/.cache/cotangent"},
        {"/home/u", "/var/c", NULL, NULL, {.struct_size = size}, "/var/c/cotangent"},
        {"/home/u", "c", NULL, NULL, {.struct_size = size}, "/home/u/.cache/cotangent"},
        {"/home/u", "", NULL, NULL, {.struct_size = size}, "/home/u/.cache/cotangent"},
        {"home", NULL, NULL, NULL, {.struct_size = size}, NULL},
        {NULL, NULL, NULL, NULL, {.struct_size = size}, NULL},
        {NULL, "/c", NULL, NULL, {.struct_size = size}, "/c/cotangent"},
        {"/home/u", "/c", "here", NULL, {.struct_size = size}, "here"},
        {"/home/u", "/c", "here", NULL, {.struct_size = size, .cache_dir = "there"}, "there"},
        {"/home/u", "/c", NULL, NULL, {.struct_size = size, .environment = COT_OFF}, NULL},
        {"/h",
         NULL,
         "x",
         NULL,
         {.struct_size = size, .environment = COT_OFF, .cache = COT_ON},
         "/h/.cache/cotangent"},
        {NULL,
         NULL,
         NULL,
         NULL,
         {.struct_size = size, .environment = COT_OFF, .cache_dir = "d"},
         "d"},
        {"/h", NULL, NULL, "0", {.struct_size = size}, NULL},
        {"/h", NULL, NULL, "0", {.struct_size = size, .cache_dir = "d"}, NULL},
        {"/h", NULL, NULL, "0", {.struct_size = size, .cache = COT_ON}, "/h/.cache/cotangent"},
        {"/h", NULL, NULL, NULL, {.struct_size = size, .cache = COT_OFF, .cache_dir = "d"}, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *const name[] = {"HOME", "XDG_CACHE_HOME", "COT_CACHE_DIR", "COT_CACHE"};
        const char *const value[] = {table[i].home, table[i].xdg, table[i].ours, table[i].off};
        clear_environment();
        for (int v = 0; v < 4; v++) {
            (void)(value[v] != NULL ? setenv(name[v], value[v], 1) : unsetenv(name[v]));
        }
        cot_context *context = cot_context_create(&table[i].options);
        assert_non_null(context);
        assert_int_equal(cot_error_get(context).status, COT_OK);
        assert_int_equal(context->cache_dir != NULL, table[i].want != NULL);
        if (table[i].want != NULL) {
            assert_string_equal(context->cache_dir, table[i].want);
        }
        assert_int_equal(context->cache_bytes, 256 << 20);
        cot_context_destroy(context);
    }
    clear_environment();
}

static void bad_environment_is_named(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"COT_THREADS", "0"},     {"COT_THREADS", "-1"},
        {"COT_THREADS", "2x"},    {"COT_THREADS", "1025"},
        {"COT_ISA", "sse9"},      {"COT_JIT", "maybe"},
        {"COT_DUMP", "graph,xy"}, {"COT_SEED", "99999999999999999999"},
        {"COT_VERIFY", "2"},      {"COT_CACHE", "maybe"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clear_environment();
        setenv(bad[i][0], bad[i][1], 1);
        cot_context *context = cot_context_create(NULL);
        assert_non_null(context);
        CHECK_ERROR(context, COT_E_ARG, bad[i][0]);
        assert_true(context->threads >= 1 && context->jit);
        cot_context_destroy(context);
    }
    clear_environment();
}

static void bad_options_give_null(void **state) {
    (void)state;
    clear_environment();
    const size_t size = sizeof(cot_options);
    const cot_options bad[] = {
        {.struct_size = 0},
        {.struct_size = size + 1},
        {.struct_size = size, .threads = -1},
        {.struct_size = size, .threads = COTI_MAX_THREADS + 1},
        {.struct_size = size, .isa = (cot_isa)9},
        {.struct_size = size, .isa = (cot_isa)-1},
        {.struct_size = size, .jit = (cot_switch)3},
        {.struct_size = size, .cache = (cot_switch)3},
        {.struct_size = size, .cache_bytes = -1},
        {.struct_size = size, .dump = "graph,nonsense"},
        {.struct_size = size, .dump = "averyveryverylongstagename"},
        {.struct_size = size, .allocator = {.alloc = alloc_fail_alloc}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(cot_context_create(&bad[i]));
    }
}

static void shorter_options_are_accepted(void **state) {
    (void)state;
    clear_environment();
    cot_options options = {.struct_size = offsetof(cot_options, isa), .threads = 2};
    options.isa = (cot_isa)77; /* beyond struct_size: not read */
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    assert_int_equal(context->threads, 2);
    assert_int_equal(context->isa, COT_ISA_DEFAULT);
    cot_context_destroy(context);
}

static void first_error_stays(void **state) {
    (void)state;
    clear_environment();
    cot_context *context = cot_context_create(NULL);
    assert_int_equal(COTI_FAIL_OP(context, COT_E_SHAPE, "dot", "dense_1", "%d differs", 784),
                     COT_E_SHAPE);
    assert_int_equal(COTI_FAIL(context, COT_E_DTYPE, "later"), COT_E_DTYPE);
    cot_error error = cot_error_get(context);
    assert_int_equal(error.status, COT_E_SHAPE);
    assert_string_equal(error.message, "784 differs");
    assert_string_equal(error.op, "dot");
    assert_string_equal(error.layer, "dense_1");
    assert_non_null(strstr(error.file, "test_context.c"));
    assert_true(error.line > 0);
    cot_error_clear(context);
    assert_int_equal(cot_error_get(context).status, COT_OK);
    assert_string_equal(cot_error_message(context), "");
    assert_int_equal(COTI_FAIL(context, COT_E_DTYPE, "later"), COT_E_DTYPE);
    assert_string_equal(cot_error_message(context), "later");
    cot_context_destroy(context);
    assert_int_equal(cot_error_get(NULL).status, COT_E_ARG);
    assert_string_not_equal(cot_error_message(NULL), "");
    cot_error_clear(NULL);
}

static void a_message_is_one_line(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    COTI_FAIL_OP(context, COT_E_ARG, "add\n", "a\tb\x7f", "name \"%s\" is taken", "x\ny\r");
    cot_error error = cot_error_get(context);
    assert_string_equal(error.message, "name \"x?y?\" is taken");
    assert_string_equal(error.op, "add?");
    assert_string_equal(error.layer, "a?b?");
    cot_context_destroy(context);
    coti_error record;
    coti_error_set(&record, COT_E_IO, "\"%s\" is missing, sch\xc3\xb6n", "\x1b[2J");
    assert_string_equal(record.message, "\"?[2J\" is missing, sch\xc3\xb6n");
}

static void processors_are_counted(void **state) {
    (void)state;
    assert_true(coti_count_processors() >= 1 && coti_count_processors() <= COTI_MAX_THREADS);
    assert_int_equal(coti_parse_cpu_max("max 100000\n"), 0);
    assert_int_equal(coti_parse_cpu_max("200000 100000\n"), 2);
    assert_int_equal(coti_parse_cpu_max("150000 100000\n"), 2);
    assert_int_equal(coti_parse_cpu_max("1000 100000"), 1);
    assert_int_equal(coti_parse_cpu_max("100000 0"), 0);
    assert_int_equal(coti_parse_cpu_max("100000"), 0);
    assert_int_equal(coti_parse_cpu_max("-1 100000"), 0);
    assert_int_equal(coti_parse_cpu_max(""), 0);
}

static void long_messages_are_cut(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    char text[2 * COTI_MESSAGE_BYTES];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    COTI_FAIL_OP(context, COT_E_ARG, text, text, "%s", text);
    assert_int_equal(strlen(cot_error_get(context).message), COTI_MESSAGE_BYTES - 1);
    assert_int_equal(strlen(cot_error_get(context).layer), COTI_NAME_BYTES - 1);
    cot_context_destroy(context);
}

static void names_and_sizes(void **state) {
    (void)state;
    assert_string_equal(cot_version(), "0.1.0");
    assert_string_equal(cot_status_name(COT_OK), "ok");
    assert_string_equal(cot_status_name(COT_E_INTERNAL), "internal");
    assert_string_equal(cot_status_name((cot_status)999), "unknown");
    assert_string_equal(cot_status_name((cot_status)-1), "unknown");
    assert_string_equal(cot_dtype_name(COT_BOOL), "bool");
    assert_string_equal(cot_dtype_name((cot_dtype)99), "?");
    assert_int_equal(cot_dtype_bytes(COT_F32), 4);
    assert_int_equal(cot_dtype_bytes(COT_F64), 8);
    assert_int_equal(cot_dtype_bytes(COT_U8), 1);
    assert_int_equal(cot_dtype_bytes((cot_dtype)-1), 0);
}

static void memory_is_aligned_and_checked(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    for (size_t bytes = 0; bytes < 200; bytes += 7) {
        void *block = coti_alloc_aligned(context, bytes);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 1, bytes);
        coti_free_aligned(context, block);
    }
    for (size_t bytes = 1 << 21; bytes < 9 << 20; bytes = bytes * 2 + 13) { /* huge pages inside */
        unsigned char *block = coti_alloc_aligned(context, bytes);
        assert_non_null(block);
        memset(block, 1, bytes);
        assert_int_equal(block[0] + block[bytes / 2] + block[bytes - 1], 3);
        coti_free_aligned(context, block);
    }
    coti_free_aligned(context, NULL);
    coti_free(context, NULL);
    void *empty = coti_alloc(context, 0);
    assert_non_null(empty);
    empty = coti_realloc(context, empty, 0, 100);
    assert_non_null(empty);
    coti_free(context, empty);
    const unsigned char *zeroed = coti_calloc(context, 3, 5);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    coti_free(context, (void *)zeroed);
    assert_null(coti_calloc(context, SIZE_MAX / 2, 3));
    CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
    assert_null(coti_alloc_aligned(context, SIZE_MAX - 3));
    CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
    cot_context_destroy(context);
}

static int destroyed[COTI_SLOT_COUNT], n_destroyed;

static void record_destroyed(void *slot) {
    destroyed[n_destroyed++] = *(int *)slot;
}

static void slots_die_in_reverse(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    int id[COTI_SLOT_COUNT];
    for (int i = 0; i < COTI_SLOT_COUNT; i++) {
        id[i] = i;
        context->slot[i].state = &id[i];
        context->slot[i].destroy = record_destroyed;
    }
    cot_context_destroy(context);
    assert_int_equal(n_destroyed, COTI_SLOT_COUNT);
    for (int i = 0; i < COTI_SLOT_COUNT; i++) {
        assert_int_equal(destroyed[i], COTI_SLOT_COUNT - 1 - i);
    }
}

/* Arrays of `bytes`, each filled with its number. */
enum { N_ARRAYS = 400 };

static void make_arrays(cot_context *context, size_t bytes, unsigned char **array) {
    for (int i = 0; i < N_ARRAYS; i++) {
        array[i] = coti_alloc_array(context, bytes);
        assert_non_null(array[i]);
        assert_int_equal((uintptr_t)array[i] % 64, 0);
        memset(array[i], i % 251, bytes);
    }
}

static void free_arrays(cot_context *context, size_t bytes, unsigned char **array) {
    for (int i = 0; i < N_ARRAYS; i++) { /* in an order of its own: 7 and 400 have no divisor */
        const int k = i * 7 % N_ARRAYS;
        assert_int_equal(array[k][0], k % 251);
        assert_int_equal(array[k][bytes - 1], k % 251);
        coti_free_array(context, array[k]);
    }
}

static void many_arrays_share_blocks(void **state) {
    (void)state;
    alloc_fail fail;
    alloc_fail_init(&fail);
    cot_options options = {.struct_size = sizeof options, .allocator = alloc_fail_allocator(&fail)};
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    const int64_t n_before = fail.n_live;
    static unsigned char *array[N_ARRAYS];
    for (int round = 0; round < 2; round++) {
        const size_t bytes = round == 0 ? 100 * 1000 : 16 * 1024;
        make_arrays(context, bytes, array);
        assert_true(fail.n_live - n_before < N_ARRAYS / 2);
        assert_true(fail.live_bytes < (int64_t)(3 * bytes * N_ARRAYS / 2));
        free_arrays(context, bytes, array);
        assert_int_equal(fail.n_live, n_before);
    }
    unsigned char *small = coti_alloc_array(context, 100), *none = coti_alloc_array(context, 0);
    assert_non_null(small);
    assert_non_null(none);
    coti_free_array(context, small);
    coti_free_array(context, none);
    coti_free_array(context, NULL);
    fail.fail_at = fail.n_calls + 1;
    assert_null(coti_alloc_array(context, 50 * 1000));
    assert_int_equal(cot_error_get(context).status, COT_E_NOMEM);
    cot_context_destroy(context);
    assert_null(alloc_fail_complaint(&fail));
}

static cot_status nothing(cot_context *context, void *user) {
    (void)user;
    char *copy = coti_strdup(context, "text");
    coti_free(context, copy);
    return copy != NULL ? COT_OK : COT_E_NOMEM;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    cot_options options = {.dump_dir = "somewhere"};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, &options, nothing, NULL));
}

/* The allocator of the tests must itself notice what it is there for. */
static void alloc_fail_notices(void **state) {
    (void)state;
    alloc_fail fail;
    alloc_fail_init(&fail);
    void *a = alloc_fail_alloc(10, &fail);
    assert_string_equal(alloc_fail_complaint(&fail), "memory was leaked");
    a = alloc_fail_realloc(a, 10, 20, &fail);
    assert_null(fail.misuse);
    a = alloc_fail_realloc(a, 10, 30, &fail);
    assert_non_null(fail.misuse);
    alloc_fail_free(a, &fail);
    assert_int_equal(fail.n_live, 0);
    assert_int_equal(fail.live_bytes, 0);
    assert_int_equal(fail.n_calls, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_environment_variable_acts),
        cmocka_unit_test(dump_all),
        cmocka_unit_test(bad_environment_is_named),
        cmocka_unit_test(cache_is_where_xdg_says),
        cmocka_unit_test(bad_options_give_null),
        cmocka_unit_test(shorter_options_are_accepted),
        cmocka_unit_test(first_error_stays),
        cmocka_unit_test(a_message_is_one_line),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(processors_are_counted),
        cmocka_unit_test(names_and_sizes),
        cmocka_unit_test(memory_is_aligned_and_checked),
        cmocka_unit_test(many_arrays_share_blocks),
        cmocka_unit_test(slots_die_in_reverse),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(alloc_fail_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
