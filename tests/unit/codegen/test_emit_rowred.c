/* ROWRED kernels: order of sums, maxima and their places, passes that depend on one another. */
#include "check.h"
#include "emit_case.h"

#include <math.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Short rows stay in registers (64 elements at most), long ones loop. */
static const int64_t lengths[] = {0,  1,  2,  3,  5,  8,  10, 15, 16,  17,  31,
                                  32, 33, 48, 63, 64, 65, 80, 96, 100, 129, 1000};

/* What a row-wise case begins with: x [m, n] dense, its access and its load. */
typedef struct rowwise {
    int32_t x, at, load;
    int64_t dense[COTI_MAX_DIMS];
} rowwise;

static rowwise begin(emit_case *c, cot_dtype dtype, int64_t m, int64_t n) {
    rowwise r;
    emit_case_begin(c, COTI_SKELETON_ROWRED, 2, 1, (int64_t[]){m, n});
    emit_case_dense(c, r.dense);
    r.x = emit_case_slot(c, dtype, m * n, false);
    r.at = emit_case_access(c, r.x, 0, r.dense);
    r.load = emit_case_load(c, r.at);
    return r;
}

/* Store a value of the row into a slot of its own. */
static void store_row(emit_case *c, int32_t expr) {
    int32_t y = emit_case_slot(c, c->expr[expr].dtype, c->kernel.extent[0], true);
    emit_case_store(c, expr, emit_case_access(c, y, 0, (int64_t[]){1, 0}));
}

/* Store a value of each element. */
static void store_full(emit_case *c, int32_t expr) {
    int64_t dense[COTI_MAX_DIMS];
    emit_case_dense(c, dense);
    int32_t y =
        emit_case_slot(c, c->expr[expr].dtype, c->kernel.extent[0] * c->kernel.extent[1], true);
    emit_case_store(c, expr, emit_case_access(c, y, 0, dense));
}

static void sums(void **state) {
    (void)state;
    static const cot_dtype dtype[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        for (size_t t = 0; t < 2; t++) { /* f32 always, the others in turn */
            emit_case c;
            rowwise r = begin(&c, dtype[t == 0 ? 0 : i % COUNT(dtype)], 3, lengths[i]);
            store_row(&c, emit_case_reduce(&c, COT_OP_SUM, r.load));
            emit_case_run(&c, "sums");
        }
    }
}

static void maxima(void **state) {
    (void)state;
    static const cot_dtype dtype[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8};
    for (size_t i = 1; i < COUNT(lengths); i++) {
        for (size_t t = 0; t < 2; t++) {
            emit_case c;
            rowwise r = begin(&c, dtype[t == 0 ? 0 : i % COUNT(dtype)], 5, lengths[i]);
            store_row(&c, emit_case_reduce(&c, COT_OP_REDUCE_MAX, r.load));
            store_row(&c, emit_case_reduce(&c, COT_OP_ARGMAX, r.load));
            emit_case_run(&c, "maxima");
        }
    }
}

/* NaN anywhere, ties, rows of the lowest value only. */
static void maxima_special(void **state) {
    (void)state;
    static const int64_t length[] = {3, 16, 20, 64, 70, 200};
    for (size_t i = 0; i < COUNT(length); i++) {
        int64_t n = length[i], m = 8;
        float *x = calloc((size_t)(m * n), sizeof *x);
        assert_non_null(x);
        for (int64_t j = 0; j < m * n; j++) {
            x[j] = (float)(j * 7 % 5);
        }
        for (int64_t j = 0; j < n; j++) {
            x[j] = -INFINITY;
            x[n + j] = NAN;
            x[2 * n + j] = -0.0f;
        }
        x[3 * n + n / 2] = NAN;
        x[4 * n + n - 1] = NAN;
        x[4 * n + n / 3] = INFINITY;
        x[5 * n] = INFINITY;
        x[6 * n + n - 1] = INFINITY;
        emit_case c;
        rowwise r = begin(&c, COT_F32, m, n);
        c.slot_data[r.x] = x;
        store_row(&c, emit_case_reduce(&c, COT_OP_REDUCE_MAX, r.load));
        store_row(&c, emit_case_reduce(&c, COT_OP_ARGMAX, r.load));
        emit_case_run(&c, "special maxima");
        free(x);
    }
    static const int32_t lowest[] = {INT32_MIN, INT32_MIN, INT32_MIN, 5, 7, 7};
    emit_case c;
    rowwise r = begin(&c, COT_I32, 2, 3);
    c.slot_data[r.x] = lowest;
    store_row(&c, emit_case_reduce(&c, COT_OP_ARGMAX, r.load));
    emit_case_run(&c, "lowest integers");
}

/* Nodes of a softmax of the loaded row: exp(x - max), and 1 / its sum by division later. */
typedef struct softmax {
    int32_t shifted, exp, sum, y;
} softmax;

static softmax add_softmax(emit_case *c, int32_t x) {
    softmax s;
    int32_t max = emit_case_reduce(c, COT_OP_REDUCE_MAX, x);
    s.shifted = emit_case_op2(c, COT_OP_SUB, x, max);
    s.exp = emit_case_op1(c, COT_OP_EXP, s.shifted);
    s.sum = emit_case_reduce(c, COT_OP_SUM, s.exp);
    s.y = emit_case_op2(c, COT_OP_DIV, s.exp, s.sum);
    return s;
}

static void softmaxes(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        emit_case c;
        rowwise r = begin(&c, COT_F32, 4, lengths[i]);
        store_full(&c, add_softmax(&c, r.load).y);
        c.compare = EMIT_ULP;
        c.ulp = 4;
        emit_case_run(&c, "softmax");
    }
}

/* The same, over its own input. */
static void softmax_in_place(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        emit_case c;
        rowwise r = begin(&c, COT_F32, 4, lengths[i]);
        c.kernel.slot_written[r.x] = true;
        emit_case_store(&c, add_softmax(&c, r.load).y, r.at);
        /* A later pass's other use of the old value. */
        store_full(&c,
                   emit_case_op2(&c, COT_OP_SUB, r.load, emit_case_reduce(&c, COT_OP_SUM, r.load)));
        c.compare = EMIT_ULP;
        c.ulp = 4;
        emit_case_run(&c, "softmax in place");
    }
}

/* A value that is known at once goes where later passes still read: they must see the old one. */
static void early_store_in_place(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        emit_case c;
        rowwise r = begin(&c, COT_F32, 3, lengths[i]);
        c.kernel.slot_written[r.x] = true;
        int32_t sum = emit_case_reduce(&c, COT_OP_SUM, r.load);
        store_full(&c, emit_case_op2(&c, COT_OP_SUB, r.load, sum));
        emit_case_store(&c, emit_case_op2(&c, COT_OP_ADD, r.load, r.load), r.at);
        emit_case_run(&c, "early store in place");
    }
}

/*
 * Loss and gradient of softmax and cross-entropy with targets of a class index, the accuracy, a
 * mask that lives from the first pass to the last, and values of all ranks in one kernel.
 */
static void loss_and_gradient(void **state) {
    (void)state;
    static const int64_t length[] = {1, 7, 10, 16, 50, 64, 77, 160, 1000};
    for (size_t i = 0; i < COUNT(length); i++) {
        int64_t n = length[i];
        static const int32_t label[] = {0, 3, 9, 4, 2};
        emit_case c;
        rowwise r = begin(&c, COT_F32, 5, n);
        int32_t labels = emit_case_slot(&c, COT_I32, 5, false);
        int32_t scale = emit_case_slot(&c, COT_F32, 1, false);
        c.slot_data[labels] = label;
        int32_t l = emit_case_load(&c, emit_case_access(&c, labels, 0, (int64_t[]){1, 0}));
        int32_t k = emit_case_load(&c, emit_case_access(&c, scale, 0, (int64_t[]){0, 0}));
        int32_t hot = emit_case_op2(&c, COT_OP_EQ, emit_case_index(&c, COT_I32, 1), l);
        int32_t target = emit_case_cast(&c, COT_F32, hot);
        softmax s = add_softmax(&c, r.load);
        int32_t log_sum = emit_case_op1(&c, COT_OP_LOG, s.sum);
        int32_t log_y = emit_case_op2(&c, COT_OP_SUB, s.shifted, log_sum);
        int32_t loss = emit_case_op1(
            &c, COT_OP_NEG,
            emit_case_reduce(&c, COT_OP_SUM, emit_case_op2(&c, COT_OP_MUL, target, log_y)));
        int32_t best = emit_case_reduce(&c, COT_OP_ARGMAX, s.y);
        store_row(&c, loss);
        store_row(&c, emit_case_op2(&c, COT_OP_EQ, best, l));
        store_full(&c,
                   emit_case_op2(&c, COT_OP_MUL, emit_case_op2(&c, COT_OP_SUB, s.y, target), k));
        store_full(&c, hot);
        c.compare = EMIT_ULP;
        c.ulp = 8;
        c.relative_to_slot = true;
        emit_case_run(&c, "loss and gradient");
    }
}

/* Mean, variance, normalised value, with scale and shift a column: three passes on two levels. */
static void normalise(void **state) {
    (void)state;
    for (size_t i = 1; i < COUNT(lengths); i++) {
        int64_t n = lengths[i];
        emit_case c;
        rowwise r = begin(&c, COT_F32, 3, n);
        int32_t gamma = emit_case_slot(&c, COT_F32, n, false);
        int32_t g = emit_case_load(&c, emit_case_access(&c, gamma, 0, (int64_t[]){0, 1}));
        int32_t count = emit_case_number(&c, COT_F32, (double)n);
        int32_t mean =
            emit_case_op2(&c, COT_OP_DIV, emit_case_reduce(&c, COT_OP_SUM, r.load), count);
        int32_t centred = emit_case_op2(&c, COT_OP_SUB, r.load, mean);
        int32_t square = emit_case_op2(&c, COT_OP_MUL, centred, centred);
        int32_t variance =
            emit_case_op2(&c, COT_OP_DIV, emit_case_reduce(&c, COT_OP_SUM, square), count);
        int32_t shifted =
            emit_case_op2(&c, COT_OP_ADD, variance, emit_case_number(&c, COT_F32, 1e-3));
        int32_t y =
            emit_case_op2(&c, COT_OP_MUL, centred, emit_case_op1(&c, COT_OP_RSQRT, shifted));
        store_full(&c, emit_case_op2(&c, COT_OP_MUL, y, g));
        store_row(&c, mean);
        store_row(&c, variance);
        emit_case_run(&c, "normalise");
    }
}

/* Rows [a, b, | c, d] where the reduced dimensions do, or do not, lie in memory as one. */
static void several_dims(void **state) {
    (void)state;
    static const int64_t extent[][4] = {{2, 3, 4, 5},  {3, 1, 7, 16}, {2, 2, 1, 33},
                                        {1, 4, 20, 1}, {2, 1, 5, 48}, {3, 2, 13, 7}};
    for (size_t i = 0; i < COUNT(extent); i++) {
        const int64_t *d = extent[i];
        int64_t n = d[0] * d[1] * d[2] * d[3];
        for (int transposed = 0; transposed < 2; transposed++) {
            emit_case c;
            int64_t dense[COTI_MAX_DIMS], kept[] = {d[1], 1, 0, 0};
            emit_case_begin(&c, COTI_SKELETON_ROWRED, 4, 2, d);
            emit_case_dense(&c, dense);
            if (transposed) {
                dense[2] = 1;
                dense[3] = d[2];
            }
            int32_t x = emit_case_slot(&c, COT_F32, n, false);
            int32_t y = emit_case_slot(&c, COT_F32, d[0] * d[1], true);
            int32_t a = emit_case_slot(&c, COT_I32, d[0] * d[1], true);
            int32_t z = emit_case_slot(&c, COT_F32, n, true);
            int32_t at = emit_case_access(&c, x, 0, dense);
            int32_t v = emit_case_load(&c, at);
            int32_t weighted =
                emit_case_op2(&c, COT_OP_MUL, v, emit_case_index(&c, COT_F32, transposed ? 3 : 0));
            int32_t sum = emit_case_reduce(&c, COT_OP_SUM, weighted);
            emit_case_store(&c, sum, emit_case_access(&c, y, 0, kept));
            emit_case_store(&c, emit_case_reduce(&c, COT_OP_ARGMAX, v),
                            emit_case_access(&c, a, 0, kept));
            emit_case_store(&c, emit_case_op2(&c, COT_OP_SUB, weighted, sum),
                            emit_case_access(&c, z, 0, dense));
            emit_case_run(&c, transposed ? "several dims, transposed" : "several dims");
        }
    }
}

/* A row whose length is 2N, and N of them. */
static void row_of_rows(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 7, 8, 40, 130};
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t n = 2 * rows[i];
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_ROWRED, 2, 1, (int64_t[]){3, 2});
        c.kernel.rows_dim = 1;
        c.rows = rows[i];
        /* The distance of rows must be static: columns of a [2N, 3] matrix. */
        int32_t x = emit_case_slot(&c, COT_F32, 3 * n, false);
        int32_t y = emit_case_slot(&c, COT_F32, 3 * n, true);
        int32_t s = emit_case_slot(&c, COT_F32, 3, true);
        int64_t column[] = {1, 3};
        int32_t v = emit_case_load(&c, emit_case_access(&c, x, 0, column));
        softmax soft = add_softmax(&c, v);
        emit_case_store(&c, soft.y, emit_case_access(&c, y, 0, column));
        emit_case_store(&c, soft.sum, emit_case_access(&c, s, 0, (int64_t[]){1, 0}));
        c.compare = EMIT_ULP;
        c.ulp = 8;
        emit_case_run(&c, "row of rows");
    }
}

static void batched_rows(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 3, 33};
    for (size_t i = 0; i < COUNT(rows); i++) {
        emit_case c;
        rowwise r = begin(&c, COT_F32, 2, 10);
        c.kernel.rows = true;
        c.rows = rows[i];
        c.slot_elements[r.x] = 2 * rows[i] * 10;
        int32_t y = emit_case_slot(&c, COT_F32, 2 * rows[i] * 10, true);
        emit_case_store(&c, add_softmax(&c, r.load).y, emit_case_access(&c, y, 0, r.dense));
        c.compare = EMIT_ULP;
        c.ulp = 4;
        emit_case_run(&c, "batched rows");
    }
}

/* What a later pass needs is kept, once each, and only that: exp of a softmax, not the row itself.
 */
static void scratch(void **state) {
    (void)state;
    coti_target target = {COT_ISA_AVX2, 8, 16, true};
    static const int64_t length[] = {10, 64, 65, 1000};
    static const int64_t bytes[] = {0, 0, 80 * 4, 1008 * 4};
    for (size_t i = 0; i < COUNT(length); i++) {
        emit_case c;
        rowwise r = begin(&c, COT_F32, 4, length[i]);
        store_full(&c, add_softmax(&c, r.load).y);
        c.kernel.body.expr = c.expr;
        c.kernel.body.access = c.access;
        c.kernel.body.store = c.store;
        assert_int_equal(coti_jit_scratch_bytes(&c.kernel, &target), bytes[i]);
    }
}

/* A loop carries 128 values: 64 maxima with their places fit, 65 do not. */
static void too_many(void **state) {
    (void)state;
    for (int n = 64; n <= 65; n++) {
        emit_case c;
        rowwise r = begin(&c, COT_F32, 2, 70);
        int32_t opposite = emit_case_op1(&c, COT_OP_NEG, r.load);
        int32_t total = emit_case_reduce(&c, COT_OP_ARGMAX, opposite);
        for (int i = 1; i < n; i++) {
            int32_t place = emit_case_reduce(&c, COT_OP_ARGMAX, i % 2 == 0 ? opposite : r.load);
            total = emit_case_op2(&c, COT_OP_SUB, place, total);
        }
        store_row(&c, total);
        if (n == 64) {
            emit_case_run(&c, "many");
        } else {
            emit_case_refused(&c, "130 running values of reductions: at most 128 fit");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums),
                                       cmocka_unit_test(maxima),
                                       cmocka_unit_test(maxima_special),
                                       cmocka_unit_test(softmaxes),
                                       cmocka_unit_test(softmax_in_place),
                                       cmocka_unit_test(early_store_in_place),
                                       cmocka_unit_test(loss_and_gradient),
                                       cmocka_unit_test(normalise),
                                       cmocka_unit_test(several_dims),
                                       cmocka_unit_test(row_of_rows),
                                       cmocka_unit_test(batched_rows),
                                       cmocka_unit_test(scratch),
                                       cmocka_unit_test(too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
