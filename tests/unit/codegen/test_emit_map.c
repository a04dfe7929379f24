/* MAP kernels: domains, strides, bounds, in-place updates, what is worked out before the loops. */
#include "check.h"
#include "emit_case.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* y = x * s + x over n elements, s a scalar. */
static void build_flat(emit_case *c, int64_t n) {
    emit_case_begin(c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){n});
    int32_t a = emit_case_slot(c, COT_F32, n, false);
    int32_t s = emit_case_slot(c, COT_F32, 1, false);
    int32_t y = emit_case_slot(c, COT_F32, n, true);
    int32_t x = emit_case_load(c, emit_case_access(c, a, 0, (int64_t[]){1}));
    int32_t k = emit_case_load(c, emit_case_access(c, s, 0, (int64_t[]){0}));
    int32_t product = emit_case_op2(c, COT_OP_MUL, x, k);
    emit_case_store(c, emit_case_op2(c, COT_OP_ADD, product, x),
                    emit_case_access(c, y, 0, (int64_t[]){1}));
}

static void lengths(void **state) {
    (void)state;
    static const int64_t n[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 1000};
    for (size_t i = 0; i < COUNT(n); i++) {
        emit_case c;
        build_flat(&c, n[i]);
        emit_case_run(&c, "flat");
    }
}

/* A batched axis c*N: the range is c*N, the extent in memory follows. */
static void batched(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 5, 16, 37};
    for (size_t i = 0; i < COUNT(rows); i++) {
        emit_case c;
        build_flat(&c, 3);
        c.kernel.rows = true;
        c.rows = rows[i];
        c.slot_elements[0] = c.slot_elements[2] = 3 * rows[i];
        emit_case_run(&c, "batched");
    }
}

/* y[i,j,k] = max(a[i,j,k], row[i,j]) - column[k] * index(dim). */
static void build_broadcast(emit_case *c, const int64_t extent[3], int32_t index_dim) {
    emit_case_begin(c, COTI_SKELETON_MAP, 3, 3, extent);
    int64_t n = extent[0] * extent[1] * extent[2], dense[COTI_MAX_DIMS];
    int32_t a = emit_case_slot(c, COT_F32, n, false);
    int32_t row = emit_case_slot(c, COT_F32, extent[0] * extent[1], false);
    int32_t column = emit_case_slot(c, COT_F32, extent[2], false);
    int32_t y = emit_case_slot(c, COT_F32, n, true);
    emit_case_dense(c, dense);
    int32_t x = emit_case_load(c, emit_case_access(c, a, 0, dense));
    int32_t r = emit_case_load(c, emit_case_access(c, row, 0, (int64_t[]){extent[1], 1, 0}));
    int32_t k = emit_case_load(c, emit_case_access(c, column, 0, (int64_t[]){0, 0, 1}));
    int32_t i = emit_case_index(c, COT_F32, index_dim);
    int32_t result = emit_case_op2(c, COT_OP_SUB, emit_case_op2(c, COT_OP_MAX, x, r),
                                   emit_case_op2(c, COT_OP_MUL, k, i));
    emit_case_store(c, result, emit_case_access(c, y, 0, dense));
}

static void broadcasts(void **state) {
    (void)state;
    static const int64_t extent[][3] = {{4, 3, 5},  {2, 1, 16}, {1, 7, 17}, {3, 2, 64},
                                        {9, 1, 1},  {5, 4, 80}, {1, 1, 1},  {2, 0, 5},
                                        {3, 16, 1}, {2, 3, 100}};
    for (size_t i = 0; i < COUNT(extent); i++) {
        for (int32_t d = 0; d < 3; d++) {
            emit_case c;
            build_broadcast(&c, extent[i], d);
            emit_case_run(&c, "broadcast");
        }
    }
}

/* Dense, without an index: the dimensions are one loop. */
static void merged(void **state) {
    (void)state;
    static const int64_t extent[][3] = {{4, 3, 5}, {7, 1, 10}, {2, 5, 100}, {33, 1, 1}};
    for (size_t i = 0; i < COUNT(extent); i++) {
        emit_case c;
        int64_t n = extent[i][0] * extent[i][1] * extent[i][2], dense[COTI_MAX_DIMS];
        emit_case_begin(&c, COTI_SKELETON_MAP, 3, 3, extent[i]);
        int32_t a = emit_case_slot(&c, COT_F32, n, false);
        int32_t b = emit_case_slot(&c, COT_F32, n + 5, false);
        int32_t y = emit_case_slot(&c, COT_F32, n, true);
        emit_case_dense(&c, dense);
        int32_t sum =
            emit_case_op2(&c, COT_OP_ADD, emit_case_load(&c, emit_case_access(&c, a, 0, dense)),
                          emit_case_load(&c, emit_case_access(&c, b, 5, dense)));
        emit_case_store(&c, sum, emit_case_access(&c, y, 0, dense));
        emit_case_run(&c, "merged");
    }
}

/* y[i,j] = x[j,i], and reversed, and every third element: strides of all kinds, read and written.
 */
static void strides(void **state) {
    (void)state;
    static const int64_t extent[][2] = {{5, 7}, {16, 16}, {33, 17}, {3, 70}, {1, 40}};
    for (size_t i = 0; i < COUNT(extent); i++) {
        int64_t m = extent[i][0], n = extent[i][1];
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_MAP, 2, 2, extent[i]);
        int32_t x = emit_case_slot(&c, COT_F32, m * n, false);
        int32_t z = emit_case_slot(&c, COT_F64, m * n, false);
        int32_t t = emit_case_slot(&c, COT_F32, m * n, true);
        int32_t r = emit_case_slot(&c, COT_F32, m * n, true);
        int32_t w = emit_case_slot(&c, COT_F64, m * n * 3, true);
        int32_t v = emit_case_load(&c, emit_case_access(&c, x, 0, (int64_t[]){1, m}));
        int32_t u = emit_case_load(&c, emit_case_access(&c, z, m * n - 1, (int64_t[]){-n, -1}));
        emit_case_store(&c, v, emit_case_access(&c, t, 0, (int64_t[]){n, 1}));
        emit_case_store(&c, emit_case_op1(&c, COT_OP_NEG, v),
                        emit_case_access(&c, r, 0, (int64_t[]){1, m}));
        emit_case_store(&c, u, emit_case_access(&c, w, 1, (int64_t[]){3 * n, 3}));
        emit_case_run(&c, "strides");
    }
}

/* Transpositions inside a batch, large enough for tiles, with operands of every rank. */
static void tiles(void **state) {
    (void)state;
    static const int64_t extent[][3] = {{2, 16, 8}, {3, 40, 21}, {1, 17, 70}, {2, 100, 9}};
    for (size_t i = 0; i < COUNT(extent); i++) {
        const int64_t *d = extent[i];
        int64_t n = d[0] * d[1] * d[2], dense[COTI_MAX_DIMS];
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_MAP, 3, 3, d);
        emit_case_dense(&c, dense);
        int32_t x = emit_case_slot(&c, COT_F32, n, false);
        int32_t row = emit_case_slot(&c, COT_F32, d[1], false);
        int32_t column = emit_case_slot(&c, COT_F32, d[0] * d[2], false);
        int32_t y = emit_case_slot(&c, COT_F32, n, true);
        int32_t t =
            emit_case_load(&c, emit_case_access(&c, x, 0, (int64_t[]){d[1] * d[2], 1, d[1]}));
        int32_t r = emit_case_load(&c, emit_case_access(&c, row, 0, (int64_t[]){0, 1, 0}));
        int32_t k = emit_case_load(&c, emit_case_access(&c, column, 0, (int64_t[]){d[2], 0, 1}));
        int32_t sum = emit_case_op2(&c, COT_OP_ADD, emit_case_op2(&c, COT_OP_MUL, t, r), k);
        emit_case_store(&c, emit_case_op2(&c, COT_OP_SUB, sum, emit_case_index(&c, COT_F32, 1)),
                        emit_case_access(&c, y, 0, dense));
        emit_case_run(&c, "tiles");
    }
}

/* A padded operand: y[i,j] = i in [1, m-1) and j in [lo, hi) ? x[i-1,j-lo] : fill. */
static void build_padded(emit_case *c, cot_dtype dtype, int64_t m, int64_t n, int64_t lo,
                         int64_t hi, int64_t step) {
    emit_case_begin(c, COTI_SKELETON_MAP, 2, 2, (int64_t[]){m, n});
    int64_t width = (hi - lo) * step;
    int32_t x = emit_case_slot(c, dtype, (m - 2) * width, false);
    int32_t y = emit_case_slot(c, dtype, m * n, true);
    int32_t from = emit_case_access(c, x, -width - lo * step, (int64_t[]){width, step});
    c->access[from].bounded = 3;
    c->access[from].lo[0] = 1;
    c->access[from].hi[0] = m - 1;
    c->access[from].lo[1] = lo;
    c->access[from].hi[1] = hi;
    c->access[from].fill = 1;
    emit_case_store(c, emit_case_load(c, from), emit_case_access(c, y, 0, (int64_t[]){n, 1}));
}

static void padded(void **state) {
    (void)state;
    static const cot_dtype dtype[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8, COT_BOOL};
    for (size_t t = 0; t < COUNT(dtype); t++) {
        for (int64_t step = 1; step <= 2; step++) {
            emit_case c;
            build_padded(&c, dtype[t], 5, 20, 3, 18, step);
            emit_case_run(&c, "padded");
            build_padded(&c, dtype[t], 4, 90, 0, 90, step);
            emit_case_run(&c, "padded in rows only");
            build_padded(&c, dtype[t], 3, 130, 100, 103, step);
            emit_case_run(&c, "padded widely");
        }
    }
}

/* A padded operand that does not move along the vectors, and one with bounds there all the same. */
static void padded_broadcast(void **state) {
    (void)state;
    emit_case c;
    emit_case_begin(&c, COTI_SKELETON_MAP, 2, 2, (int64_t[]){6, 37});
    int32_t x = emit_case_slot(&c, COT_F32, 4, false);
    int32_t s = emit_case_slot(&c, COT_F32, 1, false);
    int32_t y = emit_case_slot(&c, COT_F32, 6 * 37, true);
    int32_t a = emit_case_access(&c, x, -1, (int64_t[]){1, 0});
    c.access[a].bounded = 1;
    c.access[a].lo[0] = 1;
    c.access[a].hi[0] = 5;
    c.access[a].fill = -2;
    int32_t b = emit_case_access(&c, s, 0, (int64_t[]){0, 0});
    c.access[b].bounded = 2;
    c.access[b].lo[1] = 30;
    c.access[b].hi[1] = 33;
    c.access[b].fill = 9;
    emit_case_store(&c, emit_case_op2(&c, COT_OP_MUL, emit_case_load(&c, a), emit_case_load(&c, b)),
                    emit_case_access(&c, y, 0, (int64_t[]){37, 1}));
    emit_case_run(&c, "padded broadcast");
}

/* w = w - rate * g and m = m * 0.9 + g, both in place; rate from powers of a counter. */
static void update_in_place(void **state) {
    (void)state;
    static const int64_t counter[] = {17};
    emit_case c;
    emit_case_begin(&c, COTI_SKELETON_MAP, 2, 2, (int64_t[]){9, 31});
    int32_t g = emit_case_slot(&c, COT_F32, 9 * 31, false);
    int32_t w = emit_case_slot(&c, COT_F32, 9 * 31, true);
    int32_t m = emit_case_slot(&c, COT_F32, 9 * 31, true);
    int32_t t = emit_case_slot(&c, COT_I64, 1, false);
    c.slot_data[t] = counter;
    int64_t dense[COTI_MAX_DIMS], none[] = {0, 0};
    emit_case_dense(&c, dense);
    int32_t at_w = emit_case_access(&c, w, 0, dense), at_m = emit_case_access(&c, m, 0, dense);
    int32_t count =
        emit_case_cast(&c, COT_F32, emit_case_load(&c, emit_case_access(&c, t, 0, none)));
    int32_t gradient = emit_case_load(&c, emit_case_access(&c, g, 0, dense));
    int32_t momentum = emit_case_op2(
        &c, COT_OP_ADD,
        emit_case_op2(&c, COT_OP_MUL, emit_case_load(&c, at_m), emit_case_number(&c, COT_F32, 0.9)),
        gradient);
    int32_t rate = emit_case_op2(&c, COT_OP_DIV, emit_case_number(&c, COT_F32, 0.01), count);
    int32_t moved = emit_case_op2(&c, COT_OP_SUB, emit_case_load(&c, at_w),
                                  emit_case_op2(&c, COT_OP_MUL, rate, momentum));
    emit_case_store(&c, moved, at_w);
    emit_case_store(&c, momentum, at_m);
    emit_case_run(&c, "update in place");
}

/* An inner dimension of 3 * N. */
static void inner_rows(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 8, 25};
    for (size_t i = 0; i < COUNT(rows); i++) {
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_MAP, 3, 3, (int64_t[]){1, 3, 4});
        c.kernel.rows_dim = 1;
        c.rows = rows[i];
        int32_t x = emit_case_slot(&c, COT_F32, 3 * rows[i] * 4, false);
        int32_t y = emit_case_slot(&c, COT_F32, 3 * rows[i] * 4, true);
        int32_t v = emit_case_load(&c, emit_case_access(&c, x, 0, (int64_t[]){0, 4, 1}));
        int32_t r = emit_case_op2(&c, COT_OP_ADD, v, emit_case_index(&c, COT_F32, 1));
        emit_case_store(&c, r, emit_case_access(&c, y, 0, (int64_t[]){0, 4, 1}));
        emit_case_run(&c, "inner rows");
    }
}

/* The row count as a value, an integer index in every dtype that has one, a stored constant. */
static void leaves(void **state) {
    (void)state;
    static const cot_dtype dtype[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8};
    for (size_t t = 0; t < COUNT(dtype); t++) {
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){1});
        c.kernel.rows = true;
        c.rows = 300;
        int32_t y = emit_case_slot(&c, dtype[t], 300, true);
        int32_t z = emit_case_slot(&c, dtype[t], 300, true);
        int32_t index = emit_case_index(&c, dtype[t], 0);
        c.expr[c.kernel.body.n_exprs] = (coti_expr){.kind = COTI_EXPR_ROWS, .dtype = COT_I64};
        int32_t rows = c.kernel.body.n_exprs++;
        int32_t left = emit_case_op2(&c, COT_OP_SUB, emit_case_cast(&c, dtype[t], rows), index);
        emit_case_store(&c, left, emit_case_access(&c, y, 0, (int64_t[]){1}));
        emit_case_store(&c, emit_case_number(&c, dtype[t], 7),
                        emit_case_access(&c, z, 0, (int64_t[]){1}));
        emit_case_run(&c, "leaves");
    }
}

/* One element: no stride at all. */
static void scalar(void **state) {
    (void)state;
    emit_case c;
    emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){1});
    int32_t x = emit_case_slot(&c, COT_I64, 1, true);
    int32_t at = emit_case_access(&c, x, 0, (int64_t[]){0});
    emit_case_store(
        &c, emit_case_op2(&c, COT_OP_ADD, emit_case_load(&c, at), emit_case_number(&c, COT_I64, 1)),
        at);
    emit_case_run(&c, "scalar");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),         cmocka_unit_test(batched),
        cmocka_unit_test(broadcasts),      cmocka_unit_test(merged),
        cmocka_unit_test(strides),         cmocka_unit_test(tiles),
        cmocka_unit_test(padded),          cmocka_unit_test(padded_broadcast),
        cmocka_unit_test(update_in_place), cmocka_unit_test(inner_rows),
        cmocka_unit_test(leaves),          cmocka_unit_test(scalar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
