/*
 * Gathers and scatters by hand: rows of a table as whole vectors, elements lane by lane, what an
 * index outside gives, sums in order however the result is cut. All on guarded memory.
 */
#include "check.h"
#include "emit_case.h"

#include <stdio.h>

enum { N_INDICES = 96 };

static int32_t index_i32[N_INDICES];
static int64_t index_i64[N_INDICES];

/* Places below `extent`, many twice; every fifth outside, extremes among them. */
static void fill_indices(int64_t extent) {
    static const int64_t outside[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 32,
                                      -((int64_t)1 << 31)};
    for (int32_t i = 0; i < N_INDICES; i++) {
        bool out = i % 5 == 3;
        index_i64[i] = out ? outside[i / 5 % 5] : (int64_t)i * i * 7 % (extent + (i % 7 == 0));
        index_i32[i] = !out             ? (int32_t)index_i64[i]
                       : i / 5 % 3 == 0 ? INT32_MIN
                       : i / 5 % 3 == 1 ? INT32_MAX
                                        : -1;
    }
}

/* A slot of `n` indices. */
static int32_t index_slot(emit_case *c, cot_dtype dtype, int64_t n) {
    int32_t slot = emit_case_slot(c, dtype, n, false);
    assert_true(n <= N_INDICES);
    c->slot_data[slot] = dtype == COT_I32 ? (const void *)index_i32 : (const void *)index_i64;
    return slot;
}

static int32_t gather(emit_case *c, int32_t index, int32_t access, int64_t extent, int64_t step) {
    bool full = c->expr[index].full;
    for (int32_t d = c->kernel.n_kept; d < c->kernel.n_dims; d++) {
        full = full || c->access[access].stride[d] != 0;
    }
    c->expr[c->kernel.body.n_exprs] =
        (coti_expr){.kind = COTI_EXPR_GATHER,
                    .dtype = c->kernel.slot_dtype[c->access[access].slot],
                    .full = full,
                    .n_args = 1,
                    .arg = {index},
                    .index = access,
                    .integer = extent,
                    .step = step};
    return c->kernel.body.n_exprs++;
}

static const cot_dtype index_dtypes[] = {COT_I32, COT_I64};

/* ---- gathers ---- */

/* y[i, j] = table[index[i], j] or, transposed, table[j, index[i]]. */
static void check_rows(cot_dtype dtype, cot_dtype index, int64_t m, int64_t n, int64_t extent,
                       bool transposed) {
    emit_case c;
    char what[96];
    emit_case_begin(&c, COTI_SKELETON_MAP, 2, 2, (int64_t[]){m, n});
    fill_indices(extent);
    int32_t table = emit_case_slot(&c, dtype, extent * n, false);
    int32_t places = index_slot(&c, index, m);
    int32_t y = emit_case_slot(&c, dtype, m * n, true);
    int32_t at = emit_case_load(&c, emit_case_access(&c, places, 0, (int64_t[]){1, 0}));
    int32_t x = emit_case_access(&c, table, 0, (int64_t[]){0, transposed ? extent : 1});
    int32_t value = gather(&c, at, x, extent, transposed ? 1 : n);
    emit_case_store(&c, value, emit_case_access(&c, y, 0, (int64_t[]){n, 1}));
    snprintf(what, sizeof what, "%s rows by %s, [%d, %d] of %d%s", cot_dtype_name(dtype),
             cot_dtype_name(index), (int)m, (int)n, (int)extent, transposed ? ", transposed" : "");
    emit_case_run(&c, what);
}

static void test_rows_of_a_table(void **state) {
    (void)state;
    static const int64_t widths[] = {1, 2, 7, 16, 17, 33, 70};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        check_rows(COT_F32, index_dtypes[i % 2], 9, widths[i], 5, i % 3 == 2);
    }
    for (int32_t d = COT_F32; d <= COT_BOOL; d++) {
        check_rows((cot_dtype)d, index_dtypes[d % 2], 7, 19, 3, false);
        check_rows((cot_dtype)d, index_dtypes[(d + 1) % 2], 5, 18, 4, true);
    }
    check_rows(COT_F32, COT_I64, 6, 17, 1, false);
}

/* y[i] = x[index[i] * step]: the place differs from lane to lane. */
static void test_elements(void **state) {
    (void)state;
    static const int64_t counts[] = {1, 3, 15, 16, 17, 40, 65, 96};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int32_t k = 0; k < 2; k++) {
            emit_case c;
            char what[64];
            int64_t n = counts[i], step = i % 3 == 0 ? 1 : i % 3 == 1 ? 3 : -2, extent = 11;
            cot_dtype dtype = (cot_dtype)(i % (COT_BOOL + 1));
            emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){n});
            fill_indices(extent);
            int32_t x =
                emit_case_slot(&c, dtype, (extent - 1) * (step < 0 ? -step : step) + 1, false);
            int32_t places = index_slot(&c, index_dtypes[k], n);
            int32_t y = emit_case_slot(&c, dtype, n, true);
            int32_t at = emit_case_load(&c, emit_case_access(&c, places, 0, (int64_t[]){1}));
            int64_t first = step < 0 ? -step * (extent - 1) : 0;
            int32_t value =
                gather(&c, at, emit_case_access(&c, x, first, (int64_t[]){0}), extent, step);
            emit_case_store(&c, value, emit_case_access(&c, y, 0, (int64_t[]){1}));
            snprintf(what, sizeof what, "%d elements by %s", (int)n,
                     cot_dtype_name(index_dtypes[k]));
            emit_case_run(&c, what);
        }
    }
}

/* y[i, j] = x[i, index[i, j], j] with an index that is computed: both move along the lanes. */
static void test_computed_index(void **state) {
    (void)state;
    enum { M = 5, N = 18, EXTENT = 4 };
    emit_case c;
    emit_case_begin(&c, COTI_SKELETON_MAP, 2, 2, (int64_t[]){M, N});
    fill_indices(EXTENT);
    int32_t x = emit_case_slot(&c, COT_F32, M * EXTENT * N, false);
    int32_t places = index_slot(&c, COT_I32, M * N);
    int32_t y = emit_case_slot(&c, COT_F32, M * N, true);
    int32_t at = emit_case_load(&c, emit_case_access(&c, places, 0, (int64_t[]){N, 1}));
    at = emit_case_op2(&c, COT_OP_SUB, emit_case_number(&c, COT_I32, 3), at);
    int32_t value =
        gather(&c, at, emit_case_access(&c, x, 0, (int64_t[]){EXTENT * N, 1}), EXTENT, N);
    value = emit_case_op1(&c, COT_OP_NEG, value);
    emit_case_store(&c, value, emit_case_access(&c, y, 0, (int64_t[]){N, 1}));
    emit_case_run(&c, "a computed index");
}

/* One place for all: known before any loop. */
static void test_one_place(void **state) {
    (void)state;
    emit_case c;
    for (int32_t number = -1; number <= 3; number++) {
        emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){21});
        int32_t x = emit_case_slot(&c, COT_F32, 3, false);
        int32_t y = emit_case_slot(&c, COT_F32, 21, true);
        int32_t at = emit_case_number(&c, COT_I64, number);
        int32_t value = gather(&c, at, emit_case_access(&c, x, 0, (int64_t[]){0}), 3, 1);
        emit_case_store(&c, value, emit_case_access(&c, y, 0, (int64_t[]){1}));
        emit_case_run(&c, "one place");
    }
}

/* Sums of gathered elements: along rows (the table's, whole; or an index of each element), and down
 * columns. */
static void test_in_reductions(void **state) {
    (void)state;
    static const int64_t widths[] = {1, 7, 16, 33};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        for (int32_t kind = 0; kind < 4; kind++) {
            enum { M = 6, EXTENT = 5 };
            emit_case c;
            int64_t n = widths[i] > 15 && kind % 2 == 1 ? 15 : widths[i];
            coti_skeleton skeleton = kind < 2 ? COTI_SKELETON_ROWRED : COTI_SKELETON_COLRED;
            emit_case_begin(&c, skeleton, 2, 1, (int64_t[]){M, n});
            fill_indices(EXTENT);
            bool by_element = kind % 2 == 1;
            int32_t x = emit_case_slot(&c, COT_F32, EXTENT * n, false);
            int32_t places = index_slot(&c, COT_I32, by_element ? M * n : M);
            int32_t y = emit_case_slot(&c, COT_F32, M, true);
            int32_t at = emit_case_load(
                &c, emit_case_access(&c, places, 0,
                                     by_element ? (int64_t[]){n, 1} : (int64_t[]){1, 0}));
            int32_t from = emit_case_access(&c, x, 0, (int64_t[]){0, 1});
            int32_t sum = emit_case_reduce(&c, COT_OP_SUM, gather(&c, at, from, EXTENT, n));
            emit_case_store(&c, sum, emit_case_access(&c, y, 0, (int64_t[]){1, 0}));
            emit_case_run(&c, "a sum of gathered elements");
        }
    }
}

/* ---- scatters ---- */

/* How updates lie in memory along t: adjacent, across, repeated. */
typedef enum layout { ADJACENT, ACROSS, REPEATED } layout;

static void check_scatter(coti_scatter s, layout how) {
    emit_case c;
    char what[128];
    int64_t rows = s.b * s.l, points = rows * s.i;
    s.by_row = s.by_row || s.l_rows;
    emit_case_begin(&c, COTI_SKELETON_SCATTER, 2, 2,
                    s.by_row ? (int64_t[]){rows, s.d * s.t} : (int64_t[]){s.d, rows * s.t});
    fill_indices(s.d);
    s.updates_slot = emit_case_slot(&c, s.dtype, how == REPEATED ? points : points * s.t, false);
    s.index_slot = index_slot(&c, s.index_dtype, s.b * s.i);
    s.result_slot = emit_case_slot(&c, s.dtype, rows * s.d * s.t, true);
    int64_t inner = how == ADJACENT ? s.t : 1;
    s.updates_stride[3] = how == ADJACENT ? 1 : how == ACROSS ? points : 0;
    s.updates_stride[2] = inner;
    s.updates_stride[1] = s.i * inner;
    s.updates_stride[0] = s.l * s.i * inner;
    s.index_stride[0] = s.i;
    s.index_stride[1] = 1;
    c.kernel.scatter = s;
    snprintf(what, sizeof what, "scatter %s by %s, b %d l %d i %d d %d t %d, %s, layout %d",
             cot_dtype_name(s.dtype), cot_dtype_name(s.index_dtype), (int)s.b, (int)s.l, (int)s.i,
             (int)s.d, (int)s.t, s.by_row ? "by row" : "by place", (int)how);
    emit_case_run(&c, what);
}

static void test_scatters(void **state) {
    (void)state;
    static const int64_t widths[] = {1, 3, 8, 16, 17, 31, 40};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        coti_scatter s = {.b = 1, .l = 1, .i = 23, .d = 6, .t = widths[i]};
        s.dtype = i % 2 == 0 ? COT_F32 : COT_F64;
        s.index_dtype = index_dtypes[i / 2 % 2];
        check_scatter(s, (layout)(i % 3));
        s.b = 3;
        s.l = 2;
        check_scatter(s, ADJACENT);
        s.by_row = true;
        check_scatter(s, (layout)((i + 1) % 3));
    }
    for (int32_t d = COT_I32; d <= COT_U8; d++) {
        check_scatter((coti_scatter){.b = 2,
                                     .l = 1,
                                     .i = 40,
                                     .d = 4,
                                     .t = 19,
                                     .dtype = (cot_dtype)d,
                                     .index_dtype = COT_I64},
                      ADJACENT);
    }
}

/* A row of the result each index, rows by N, no updates at all. */
static void test_odd_scatters(void **state) {
    (void)state;
    check_scatter((coti_scatter){.b = 1, .l = 1, .i = 1, .d = 1, .t = 1, .index_dtype = COT_I32},
                  ADJACENT);
    check_scatter((coti_scatter){.b = 1, .l = 1, .i = 0, .d = 7, .t = 5, .index_dtype = COT_I32},
                  ADJACENT);
    check_scatter(
        (coti_scatter){
            .b = 4, .l = 1, .i = 0, .d = 7, .t = 5, .by_row = true, .index_dtype = COT_I64},
        ADJACENT);
    check_scatter(
        (coti_scatter){
            .b = 1, .l = 5, .i = 9, .d = 7, .t = 3, .by_row = true, .index_dtype = COT_I64},
        ACROSS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_a_table), cmocka_unit_test(test_elements),
        cmocka_unit_test(test_computed_index),  cmocka_unit_test(test_one_place),
        cmocka_unit_test(test_in_reductions),   cmocka_unit_test(test_scatters),
        cmocka_unit_test(test_odd_scatters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
