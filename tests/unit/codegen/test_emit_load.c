/*
 * LOAD kernels: rows gathered in order and by index, from sources of each dtype that a destination
 * takes, with rows that begin at odd bytes, next to pages that may not be touched.
 */
#include "check.h"
#include "emit_case.h"
#include "guard.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROWS = 9, SOURCE_ROWS = 12, FIRST = 2 };

typedef struct load_case {
    cot_dtype to, from;
    int64_t count; /* elements of a row */
    int64_t pad;   /* bytes between rows of the source */
    bool ordered;  /* by an index */
} load_case;

/* Position -> source row; the first FIRST positions belong to an earlier step. */
static const int64_t order[] = {11, 10, 3, 0, 7, 7, 1, 11, 5, 2, 8};

/* Element c of source row r, and what the destination makes of it. */
static uint8_t byte_at(int64_t r, int64_t c) {
    return (uint8_t)(r * 37 + c * 11 + 200);
}
static int64_t integer_at(int64_t r, int64_t c) {
    return (r - 5) * ((int64_t)1 << 31) * 3 + c * 1000003 - 17;
}

static const float scale = 1.0f / 255.0f, offset = -0.3f;

static void put(cot_dtype dtype, void *at, int64_t r, int64_t c) {
    uint8_t byte = byte_at(r, c), truth = byte & 1u;
    int64_t integer = integer_at(r, c);
    int32_t small = (int32_t)(uint32_t)(uint64_t)integer;
    float real = (float)integer;
    double wide = (double)integer * 1.5;
    const void *from[] = {[COT_F32] = &real,    [COT_F64] = &wide, [COT_I32] = &small,
                          [COT_I64] = &integer, [COT_U8] = &byte,  [COT_BOOL] = &truth};
    memcpy(at, from[dtype], cot_dtype_bytes(dtype));
}

static void want(const load_case *l, void *at, int64_t r, int64_t c) {
    if (l->to == l->from) {
        put(l->to, at, r, c);
        return;
    }
    if (l->to == COT_F32) {
        float product = (float)byte_at(r, c) * scale;
        float sum = product + offset;
        memcpy(at, &sum, sizeof sum);
        return;
    }
    int64_t x = l->from == COT_U8    ? byte_at(r, c)
                : l->from == COT_I32 ? (int64_t)(int32_t)(uint32_t)(uint64_t)integer_at(r, c)
                                     : integer_at(r, c);
    int32_t small = (int32_t)(uint32_t)(uint64_t)x;
    memcpy(at, l->to == COT_I32 ? (void *)&small : (void *)&x, cot_dtype_bytes(l->to));
}

/* Rows of the destination, wanted and got, in two pieces, for one compiled kernel. */
static void run(const load_case *l, cotr_kernel code, guard_side side) {
    size_t from = cot_dtype_bytes(l->from), to = cot_dtype_bytes(l->to);
    int64_t row_bytes = l->count * (int64_t)from + l->pad;
    guard data = guard_create((size_t)(SOURCE_ROWS * row_bytes - l->pad), side);
    guard out = guard_create((size_t)(ROWS * l->count) * to, side);
    guard index = guard_create(sizeof order, side);
    memcpy(index.data, order, sizeof order);
    for (int64_t r = 0; r < SOURCE_ROWS; r++) {
        for (int64_t c = 0; c < l->count; c++) {
            put(l->from, (char *)data.data + r * row_bytes + c * (int64_t)from, r, c);
        }
    }
    cotr_source source = {.base = data.data,
                          .row_bytes = row_bytes,
                          .index = l->ordered ? index.data : NULL,
                          .dtype = (int32_t)l->from,
                          .scale = scale,
                          .offset = offset};
    void *buffer[] = {&source, out.data};
    cotr_args args = {.buffer = buffer, .rows = ROWS, .first = FIRST};
    code(&args, 0, 4);
    code(&args, 4, ROWS);
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t c = 0; c < l->count; c++) {
            int64_t r = l->ordered ? order[FIRST + i] : FIRST + i;
            char expected[8];
            want(l, expected, r, c);
            assert_memory_equal((char *)out.data + (size_t)(i * l->count + c) * to, expected, to);
        }
    }
    guard_destroy(&data);
    guard_destroy(&out);
    guard_destroy(&index);
}

/* One destination and row length, all that it takes, on one instruction set. */
static void run_destination(cot_context *context, cot_dtype to, int64_t count) {
    static const cot_dtype takes[][3] = {
        [COT_F32] = {COT_F32, COT_U8, COT_F32}, [COT_F64] = {COT_F64, COT_F64, COT_F64},
        [COT_I32] = {COT_I32, COT_U8, COT_I64}, [COT_I64] = {COT_I64, COT_I32, COT_U8},
        [COT_U8] = {COT_U8, COT_U8, COT_U8},    [COT_BOOL] = {COT_BOOL, COT_BOOL, COT_BOOL}};
    static emit_case c;
    emit_case_begin(&c, COTI_SKELETON_LOAD, 2, 2, (int64_t[]){1, count});
    c.kernel.rows = true;
    (void)emit_case_slot(&c, COT_U8, 0, false);
    (void)emit_case_slot(&c, to, 0, true);
    cotr_kernel code = emit_case_compile(context, &c.kernel);
    for (int k = 0; k < 12; k++) {
        load_case l = {.to = to,
                       .from = takes[to][k / 4],
                       .count = count,
                       .pad = k % 2 == 0 ? 0 : 3,
                       .ordered = k / 2 % 2 == 0};
        run(&l, code, k % 3 == 0 ? GUARD_START : GUARD_END);
    }
}

static void destinations(void **state) {
    (void)state;
    static const int64_t counts[] = {1, 2, 7, 15, 16, 17, 31, 100, 784};
    for (int isa = COT_ISA_BASELINE; isa <= COT_ISA_AVX512; isa++) {
        cot_context *context = emit_case_context((cot_isa)isa);
        coti_target target;
        for (size_t i = 0; i < COUNT(counts) && coti_jit_target(context, &target) == COT_OK; i++) {
            for (int to = COT_F32; to <= COT_BOOL; to++) {
                run_destination(context, (cot_dtype)to, counts[i]);
            }
        }
        cot_context_destroy(context);
    }
}

/* A row of no elements, and no rows. */
static void empty(void **state) {
    (void)state;
    cot_context *context = emit_case_context(COT_ISA_DEFAULT);
    static emit_case c;
    emit_case_begin(&c, COTI_SKELETON_LOAD, 2, 2, (int64_t[]){1, 0});
    c.kernel.rows = true;
    (void)emit_case_slot(&c, COT_U8, 0, false);
    (void)emit_case_slot(&c, COT_F32, 0, true);
    cotr_kernel code = emit_case_compile(context, &c.kernel);
    int64_t index[] = {0, 0, 0, 0, 0};
    cotr_source source = {.dtype = COT_F32, .index = index};
    void *buffer[] = {&source, NULL};
    cotr_args args = {.buffer = buffer, .rows = 5};
    code(&args, 0, 5);
    code(&args, 3, 3);
    cot_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(destinations), cmocka_unit_test(empty)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
