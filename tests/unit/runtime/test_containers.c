/* Arena, growing arrays, strings, sizes and the hash map. */
#include "alloc_fail.h"
#include "check.h"

#include "runtime/base/arena.h"
#include "runtime/base/map.h"
#include "runtime/base/size.h"
#include "runtime/base/str.h"

#include <locale.h>
#include <math.h>

static cot_context *context;

static int make_context(void **state) {
    (void)state;
    context = cot_context_create(NULL);
    return context == NULL;
}

static int drop_context(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

/* ---- arena ---- */

static void arena_objects_are_zeroed_and_apart(void **state) {
    (void)state;
    enum { N = 2000 };
    coti_arena arena;
    coti_arena_init(&arena, context);
    static unsigned char *object[N];
    for (size_t i = 0; i < N; i++) {
        size_t bytes = i % 97 + (i == 1000 ? 5000000 : 0);
        object[i] = coti_arena_alloc(&arena, bytes);
        assert_non_null(object[i]);
        assert_int_equal((uintptr_t)object[i] % 16, 0);
        for (size_t b = 0; b < bytes; b++) {
            assert_int_equal(object[i][b], 0);
        }
        memset(object[i], (int)(i % 251), bytes);
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t b = 0; b < i % 97; b++) {
            assert_int_equal(object[i][b], i % 251);
        }
    }
    coti_arena_clear(&arena);
    coti_arena_clear(&arena);
    assert_string_equal(coti_arena_printf(&arena, "%d-%s", 42, "x"), "42-x");
    assert_string_equal(coti_arena_strdup(&arena, ""), "");
    assert_memory_equal(coti_arena_copy(&arena, "abc", 3), "abc", 3);
    assert_non_null(coti_arena_copy(&arena, NULL, 0));
    assert_null(coti_arena_array(&arena, SIZE_MAX / 2, 4));
    CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
    assert_null(coti_arena_alloc(&arena, SIZE_MAX));
    CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
    coti_arena_clear(&arena);
}

static void arrays_grow(void **state) {
    (void)state;
    COTI_VEC(int32_t) numbers = {0};
    for (int32_t i = 0; i < 1000; i++) {
        CHECK_OK(context, coti_vec_push(context, &numbers, i * i));
    }
    assert_int_equal(numbers.count, 1000);
    for (int32_t i = 0; i < 1000; i++) {
        assert_int_equal(numbers.data[i], i * i);
    }
    assert_int_equal(coti_vec_reserve(context, &numbers, SIZE_MAX / 2), COT_E_NOMEM);
    CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
    assert_int_equal(numbers.data[999], 999 * 999);
    coti_vec_free(context, &numbers);
}

static cot_status fill(cot_context *own, void *user) {
    (void)user;
    coti_arena arena;
    coti_str str;
    coti_map map;
    coti_arena_init(&arena, own);
    coti_str_init(&str, own);
    coti_map_init(&map, own);
    cot_status status = COT_OK;
    for (uint32_t i = 0; i < 300 && status == COT_OK; i++) {
        status = coti_arena_printf(&arena, "%u and some more", i) != NULL ? COT_OK : COT_E_NOMEM;
        status = status == COT_OK ? coti_map_add(&map, i, i) : status;
        coti_str_printf(&str, "%u", i);
    }
    status = status == COT_OK ? coti_str_status(&str) : status;
    coti_map_free(&map);
    coti_str_free(&str);
    coti_arena_clear(&arena);
    return status;
}

static void containers_survive_without_memory(void **state) {
    (void)state;
    char text[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, NULL, fill, NULL));
}

/* ---- strings ---- */

static const char *double_text(coti_str *str, double value) {
    coti_str_clear(str);
    coti_str_double(str, value);
    return coti_str_text(str);
}

static void doubles_are_short_and_exact(void **state) {
    (void)state;
    coti_str str;
    coti_str_init(&str, context);
    assert_string_equal(coti_str_text(&str), "");
    assert_string_equal(double_text(&str, 0.1), "0.1");
    assert_string_equal(double_text(&str, 1.0), "1");
    assert_string_equal(double_text(&str, -0.0), "-0");
    assert_string_equal(double_text(&str, 1e300), "1e+300");
    assert_string_equal(double_text(&str, 5e-324), "5e-324");
    assert_string_equal(double_text(&str, 0.1f), "0.10000000149011612");
    assert_string_equal(double_text(&str, INFINITY), "inf");
    assert_string_equal(double_text(&str, -INFINITY), "-inf");
    assert_string_equal(double_text(&str, (double)NAN), "nan");
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            assert_true(strtod(double_text(&str, value), NULL) == value);
        }
    }
    coti_str_free(&str);
}

static void numbers_ignore_the_locale(void **state) {
    (void)state;
    static const char *const with_comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof with_comma / sizeof with_comma[0] && set == NULL; i++) {
        set = setlocale(LC_NUMERIC, with_comma[i]);
    }
    if (set == NULL) {
        skip(); /* no such locale is installed */
    }
    coti_str str;
    coti_str_init(&str, context);
    assert_string_equal(double_text(&str, -2.5e-7), "-2.5e-07");
    coti_str_free(&str);
    setlocale(LC_NUMERIC, "C");
}

static void types_read_well(void **state) {
    (void)state;
    char buffer[COTI_TYPE_BYTES];
    const cot_shape scalar = {.rank = 0};
    const cot_shape batch = {.rank = 2, .batched = true, .dim = {1, 784}};
    const cot_shape merged = {.rank = 2, .batched = true, .dim = {4, 7}};
    const cot_shape fixed = {.rank = 3, .dim = {2, 0, 5}};
    cot_shape widest = {.rank = COT_MAX_RANK, .batched = true};
    for (int i = 0; i < COT_MAX_RANK; i++) {
        widest.dim[i] = INT64_MIN;
    }
    assert_string_equal(coti_type_text(buffer, COT_F32, &scalar), "f32[]");
    assert_string_equal(coti_type_text(buffer, COT_F32, &batch), "f32[N,784]");
    assert_string_equal(coti_type_text(buffer, COT_I32, &merged), "i32[4N,7]");
    assert_string_equal(coti_type_text(buffer, COT_BOOL, &fixed), "bool[2,0,5]");
    assert_int_equal(strlen(coti_type_text(buffer, COT_BOOL, &widest)), 4 + 2 + 8 * 20 + 7 + 1);
    coti_str str;
    coti_str_init(&str, context);
    coti_str_append(&str, "x: ");
    coti_str_type(&str, COT_F64, &batch);
    coti_str_append_bytes(&str, "!?", 1);
    assert_string_equal(coti_str_text(&str), "x: f64[N,784]!");
    coti_str_free(&str);
}

static void strings_report_failure_once(void **state) {
    (void)state;
    alloc_fail fail;
    alloc_fail_init(&fail);
    cot_context *own = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                         .allocator = alloc_fail_allocator(&fail)});
    coti_str str;
    coti_str_init(&str, own);
    coti_str_append(&str, "kept");
    fail.fail_at = fail.n_calls + 1;
    for (int i = 0; i < 100; i++) {
        coti_str_printf(&str, "%d", i);
    }
    assert_int_equal(coti_str_status(&str), COT_E_NOMEM);
    assert_memory_equal(coti_str_text(&str), "kept", 4);
    assert_int_equal(fail.n_failed, 1);
    coti_str_clear(&str);
    coti_str_append(&str, "again");
    assert_int_equal(coti_str_status(&str), COT_OK);
    coti_str_free(&str);
    cot_context_destroy(own);
    CHECK_NO_COMPLAINT(alloc_fail_complaint(&fail));
}

/* ---- sizes ---- */

static void sizes_do_not_overflow(void **state) {
    (void)state;
    int64_t out = -7;
    assert_false(coti_size_mul(INT64_MAX, 2, &out));
    assert_false(coti_size_mul(COTI_SIZE_MAX, 2, &out));
    assert_false(coti_size_mul(-1, 1, &out));
    assert_false(coti_size_add(COTI_SIZE_MAX, 1, &out));
    assert_int_equal(out, -7);
    assert_true(coti_size_mul(COTI_SIZE_MAX, 1, &out) && out == COTI_SIZE_MAX);
    assert_true(coti_size_mul(INT64_MAX, 0, &out) && out == 0);
    const cot_shape batch = {.rank = 2, .batched = true, .dim = {2, 5}};
    assert_true(coti_shape_elements(&batch, 3, &out) && out == 30);
    const cot_shape scalar = {.rank = 0};
    assert_true(coti_shape_elements(&scalar, 3, &out) && out == 1);
    assert_int_equal(coti_round_up(0, 64), 0);
    assert_int_equal(coti_round_up(1, 64), 64);
    assert_int_equal(coti_round_up(64, 64), 64);
}

/* ---- hash and map ---- */

static void hash_is_xxh64(void **state) {
    (void)state;
    /* Published values of XXH64 with seed 0. */
    assert_true(coti_hash(0, "", 0) == UINT64_C(0xef46db3751d8e999));
    assert_true(coti_hash(0, "a", 1) == UINT64_C(0xd24ec4f1a98c6e5b));
    assert_true(coti_hash(0, "abc", 3) == UINT64_C(0x44bc2cf5ad770999));
}

/* Flipping any one bit of key or seed flips each bit of the hash about half of the time. */
static void hash_avalanches(void **state) {
    (void)state;
    unsigned char key[45];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (unsigned char)(i * 37);
    }
    uint64_t base = coti_hash(1, key, sizeof key);
    int64_t flips = 0;
    for (size_t bit = 0; bit < 8 * sizeof key; bit++) {
        key[bit / 8] ^= (unsigned char)(1u << bit % 8);
        int n = __builtin_popcountll(base ^ coti_hash(1, key, sizeof key));
        assert_true(n >= 10 && n <= 54);
        flips += n;
        key[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    double mean = (double)flips / (8.0 * sizeof key);
    assert_true(mean > 31 && mean < 33);
    assert_true(coti_hash(2, key, sizeof key) != base);
}

static bool equal_number(const void *user, uint32_t value) {
    return *(const uint32_t *)user == value;
}

static void map_finds_what_was_added(void **state) {
    (void)state;
    coti_map map;
    coti_map_init(&map, context);
    uint32_t found = 0;
    assert_false(coti_map_find(&map, 1, equal_number, &found, &found));
    /* Hash i / 3: three entries share each hash, and many share a place. */
    for (uint32_t i = 0; i < 3000; i++) {
        CHECK_OK(context, coti_map_add(&map, (uint64_t)(i / 3) << 3, i));
    }
    assert_int_equal(map.count, 3000);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_true(coti_map_find(&map, (uint64_t)(i / 3) << 3, equal_number, &i, &found));
        assert_int_equal(found, i);
        assert_false(coti_map_find(&map, ((uint64_t)(i / 3) << 3) + 1, equal_number, &i, &found));
    }
    assert_int_equal(coti_map_add(&map, 0, UINT32_MAX), COT_E_INTERNAL);
    cot_error_clear(context);
    coti_map_clear(&map);
    assert_int_equal(map.count, 0);
    found = 5;
    assert_false(coti_map_find(&map, 0, equal_number, &found, &found));
    /* As many as before, and as many as there is room for, need no more. */
    const size_t capacity = map.capacity;
    CHECK_OK(context, coti_map_reserve(&map, 3000));
    assert_int_equal(map.capacity, capacity);
    CHECK_OK(context, coti_map_reserve(&map, 100000));
    const size_t room = map.capacity;
    for (uint32_t i = 0; i < 100000; i++) {
        /* Hashes that differ in their upper halves alone share a place; equality tells them. */
        CHECK_OK(context, coti_map_add(&map, (uint64_t)i << 32 | i / 4, i));
    }
    assert_true(map.capacity == room && room > 100000);
    for (uint32_t i = 0; i < 100000; i += 7) {
        assert_true(coti_map_find(&map, (uint64_t)i << 32 | i / 4, equal_number, &i, &found));
        assert_int_equal(found, i);
    }
    coti_map_free(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_objects_are_zeroed_and_apart),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(containers_survive_without_memory),
        cmocka_unit_test(doubles_are_short_and_exact),
        cmocka_unit_test(numbers_ignore_the_locale),
        cmocka_unit_test(types_read_well),
        cmocka_unit_test(strings_report_failure_once),
        cmocka_unit_test(sizes_do_not_overflow),
        cmocka_unit_test(hash_is_xxh64),
        cmocka_unit_test(hash_avalanches),
        cmocka_unit_test(map_finds_what_was_added),
    };
    return cmocka_run_group_tests(tests, make_context, drop_context);
}
