/*
 * Every elementwise op in every dtype that it has a kernel for, select, and every cast, on values
 * that matter: zeros of both signs, infinities, NaN, subnormals, limits of integers. Results are
 * the reference evaluator's bits. Functions (exp, ...) are in test_emit_math.c.
 */
#include "check.h"
#include "emit_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const double reals[] = {0.0,          -0.0,          1.0,           -1.0,       0.5,
                               -2.5,         3.99,          -3.99,         255.5,      256.0,
                               -0.9,         1e-40,         -1e-45,        16777217.0, 2147483520.0,
                               2147483648.0, -2147483648.0, -2147483904.0, 9.3e18,     -9.3e18,
                               3.4e38,       -3.4e38,       INFINITY,      -INFINITY,  NAN};
static const int64_t integers[] = {0,         1,
                                   -1,        2,
                                   -7,        100,
                                   127,       128,
                                   255,       256,
                                   -128,      INT32_MAX,
                                   INT32_MIN, INT64_MAX,
                                   INT64_MIN, 65536,
                                   1 << 24,   (1 << 24) + 1,
                                   1LL << 40, -(1LL << 53) - 1};

enum { PAIRS = 25 * 25 + 7 };

/* Value number `at` of a dtype into element i. */
static void set_element(cot_dtype dtype, void *data, size_t i, size_t at) {
    switch (dtype) {
    case COT_F32:
        ((float *)data)[i] = (float)reals[at % COUNT(reals)];
        break;
    case COT_F64:
        ((double *)data)[i] = reals[at % COUNT(reals)];
        break;
    case COT_I32:
        ((int32_t *)data)[i] = (int32_t)(uint32_t)(uint64_t)integers[at % COUNT(integers)];
        break;
    case COT_I64:
        ((int64_t *)data)[i] = integers[at % COUNT(integers)];
        break;
    case COT_U8:
        ((uint8_t *)data)[i] = (uint8_t)integers[at % COUNT(integers)];
        break;
    case COT_BOOL:
        ((uint8_t *)data)[i] = (uint8_t)(integers[at % COUNT(integers)] & 1);
        break;
    }
}

/* All pairs of values of a dtype, in two arrays; a part at the end repeats them. */
static void make_pairs(cot_dtype dtype, void *a, void *b) {
    bool real = dtype == COT_F32 || dtype == COT_F64;
    size_t n = real ? COUNT(reals) : COUNT(integers);
    for (size_t i = 0; i < PAIRS; i++) {
        set_element(dtype, a, i, i % n);
        set_element(dtype, b, i, i / n);
    }
}

typedef struct pairs {
    double a[PAIRS], b[PAIRS]; /* of any dtype */
} pairs;

/* y = op(a, b) in dtype. */
static void run_op(cot_op op, cot_dtype dtype) {
    static pairs data;
    make_pairs(dtype, data.a, data.b);
    emit_case c;
    int64_t one[] = {1};
    bool compare = coti_op_table[op].kind == COTI_KIND_COMPARE;
    emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){PAIRS});
    int32_t a = emit_case_slot(&c, dtype, PAIRS, false),
            b = emit_case_slot(&c, dtype, PAIRS, false);
    int32_t y = emit_case_slot(&c, compare ? COT_BOOL : dtype, PAIRS, true);
    c.slot_data[a] = data.a;
    c.slot_data[b] = data.b;
    int32_t va = emit_case_load(&c, emit_case_access(&c, a, 0, one));
    int32_t vb = emit_case_load(&c, emit_case_access(&c, b, 0, one));
    int32_t result =
        coti_op_table[op].n_inputs == 1 ? emit_case_op1(&c, op, va) : emit_case_op2(&c, op, va, vb);
    emit_case_store(&c, result, emit_case_access(&c, y, 0, one));
    char what[64];
    (void)snprintf(what, sizeof what, "%s of %s", cot_op_name(op), cot_dtype_name(dtype));
    emit_case_run(&c, what);
}

static void run_dtypes(const cot_op *op, size_t n_ops, const cot_dtype *dtype, size_t n_dtypes) {
    for (size_t i = 0; i < n_ops; i++) {
        for (size_t t = 0; t < n_dtypes; t++) {
            run_op(op[i], dtype[t]);
        }
    }
}

static const cot_dtype numbers[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8};
static const cot_dtype all_dtypes[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8, COT_BOOL};
static const cot_dtype floats[] = {COT_F32, COT_F64};
static const cot_dtype booleans[] = {COT_BOOL};

static void arithmetic(void **state) {
    (void)state;
    static const cot_op op[] = {COT_OP_ADD, COT_OP_SUB, COT_OP_MUL, COT_OP_MAX,
                                COT_OP_MIN, COT_OP_NEG, COT_OP_ABS, COT_OP_SIGN};
    run_dtypes(op, COUNT(op), numbers, COUNT(numbers));
}

static void of_floats(void **state) {
    (void)state;
    static const cot_op op[] = {COT_OP_DIV, COT_OP_SQRT, COT_OP_RSQRT, COT_OP_RELU,
                                COT_OP_STOP_GRADIENT};
    run_dtypes(op, COUNT(op), floats, COUNT(floats));
}

static void comparisons(void **state) {
    (void)state;
    static const cot_op op[] = {COT_OP_EQ, COT_OP_NE, COT_OP_LT, COT_OP_LE, COT_OP_GT, COT_OP_GE};
    run_dtypes(op, COUNT(op), all_dtypes, COUNT(all_dtypes));
}

static void logic(void **state) {
    (void)state;
    static const cot_op op[] = {COT_OP_AND, COT_OP_OR, COT_OP_NOT};
    run_dtypes(op, COUNT(op), booleans, COUNT(booleans));
}

static void casts(void **state) {
    (void)state;
    static pairs data;
    for (size_t from = 0; from < COUNT(all_dtypes); from++) {
        for (size_t to = 0; to < COUNT(all_dtypes); to++) {
            emit_case c;
            int64_t one[] = {1};
            make_pairs(all_dtypes[from], data.a, data.b);
            emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){PAIRS});
            int32_t a = emit_case_slot(&c, all_dtypes[from], PAIRS, false);
            int32_t y = emit_case_slot(&c, all_dtypes[to], PAIRS, true);
            c.slot_data[a] = data.a;
            int32_t v = emit_case_load(&c, emit_case_access(&c, a, 0, one));
            emit_case_store(&c, emit_case_cast(&c, all_dtypes[to], v),
                            emit_case_access(&c, y, 0, one));
            char what[64];
            (void)snprintf(what, sizeof what, "cast of %s to %s", cot_dtype_name(all_dtypes[from]),
                           cot_dtype_name(all_dtypes[to]));
            emit_case_run(&c, what);
        }
    }
}

/* y = a < b ? a : b, the condition also kept as bool in memory and read back by another kernel. */
static void selects(void **state) {
    (void)state;
    static pairs data;
    for (size_t t = 0; t < COUNT(all_dtypes); t++) {
        emit_case c;
        int64_t one[] = {1};
        make_pairs(all_dtypes[t], data.a, data.b);
        emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){PAIRS});
        int32_t a = emit_case_slot(&c, all_dtypes[t], PAIRS, false);
        int32_t b = emit_case_slot(&c, all_dtypes[t], PAIRS, false);
        int32_t k = emit_case_slot(&c, COT_BOOL, PAIRS, false);
        int32_t y = emit_case_slot(&c, all_dtypes[t], PAIRS, true);
        int32_t z = emit_case_slot(&c, COT_BOOL, PAIRS, true);
        c.slot_data[a] = data.a;
        c.slot_data[b] = data.b;
        int32_t va = emit_case_load(&c, emit_case_access(&c, a, 0, one));
        int32_t vb = emit_case_load(&c, emit_case_access(&c, b, 0, one));
        int32_t vk = emit_case_load(&c, emit_case_access(&c, k, 0, one));
        int32_t less = emit_case_op2(&c, COT_OP_OR, emit_case_op2(&c, COT_OP_LT, va, vb), vk);
        emit_case_store(&c, emit_case_select(&c, less, va, vb), emit_case_access(&c, y, 0, one));
        emit_case_store(&c, less, emit_case_access(&c, z, 0, one));
        emit_case_run(&c, "select");
    }
}

/* What has no kernel is refused with its name, and nothing else breaks. */
static void refused(void **state) {
    (void)state;
    static const cot_op op[] = {COT_OP_EXP,      COT_OP_EXPM1, COT_OP_LOG,     COT_OP_LOG1P,
                                COT_OP_SOFTPLUS, COT_OP_ERFC,  COT_OP_GELU,    COT_OP_SIN,
                                COT_OP_COS,      COT_OP_TANH,  COT_OP_SIGMOID, COT_OP_ERF};
    for (size_t i = 0; i < COUNT(op); i++) {
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){8});
        int32_t at = emit_case_access(&c, emit_case_slot(&c, COT_I32, 8, true), 0, (int64_t[]){1});
        emit_case_store(&c, emit_case_op1(&c, op[i], emit_case_load(&c, at)), at);
        emit_case_refused(&c, "has no kernel for i32");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(arithmetic),  cmocka_unit_test(of_floats),
                                       cmocka_unit_test(comparisons), cmocka_unit_test(logic),
                                       cmocka_unit_test(casts),       cmocka_unit_test(selects),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
