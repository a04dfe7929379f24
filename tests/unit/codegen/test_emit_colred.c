/* COLRED kernels: serial sums in blocks, tiles of columns, reductions on reductions. */
#include "alloc_fail.h"
#include "check.h"
#include "emit_case.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* x [n | m]: column j's elements are x[i * n + j]. */
static int32_t begin(emit_case *c, cot_dtype dtype, int64_t n, int64_t m) {
    emit_case_begin(c, COTI_SKELETON_COLRED, 2, 1, (int64_t[]){n, m});
    int32_t x = emit_case_slot(c, dtype, n * m, false);
    return emit_case_load(c, emit_case_access(c, x, 0, (int64_t[]){1, n}));
}

static void store_column(emit_case *c, int32_t expr) {
    int32_t y = emit_case_slot(c, c->expr[expr].dtype, c->kernel.extent[0], true);
    emit_case_store(c, expr, emit_case_access(c, y, 0, (int64_t[]){1, 0}));
}

static void sums(void **state) {
    (void)state;
    static const int64_t columns[] = {1, 3, 10, 16, 17, 64, 70, 150};
    static const int64_t rows[] = {0, 1, 2, 5, 130};
    static const cot_dtype dtype[] = {COT_F32, COT_F64, COT_I32, COT_I64, COT_U8};
    for (size_t i = 0; i < COUNT(columns); i++) {
        for (size_t k = 0; k < COUNT(rows); k++) {
            emit_case c;
            int32_t x = begin(&c, dtype[(i + k) % COUNT(dtype)], columns[i], rows[k]);
            store_column(&c, emit_case_reduce(&c, COT_OP_SUM, x));
            emit_case_run(&c, "sums");
        }
    }
}

/* Around the blocks' ends, with a static and with a batched number of rows. */
static void blocks(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 511, 512, 513, 1024, 1025, 1600};
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int batched = 0; batched < 2; batched++) {
            emit_case c;
            int32_t x = begin(&c, COT_F32, 21, rows[i]);
            store_column(&c, emit_case_reduce(&c, COT_OP_SUM, x));
            store_column(&c, emit_case_reduce(&c, COT_OP_ARGMAX, x));
            if (batched) {
                c.kernel.extent[1] = 1;
                c.kernel.rows_dim = 1;
                c.rows = rows[i];
            }
            emit_case_run(&c, batched ? "batched blocks" : "blocks");
        }
    }
}

/* [1 | N, 10]: the mean of everything, as losses have it. */
static void to_scalar(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 32, 600};
    for (size_t i = 0; i < COUNT(rows); i++) {
        emit_case c;
        emit_case_begin(&c, COTI_SKELETON_COLRED, 3, 1, (int64_t[]){1, 1, 10});
        c.kernel.rows_dim = 1;
        c.rows = rows[i];
        int64_t none[] = {0, 0, 0};
        int32_t x = emit_case_slot(&c, COT_F32, rows[i] * 10, false);
        int32_t y = emit_case_slot(&c, COT_F32, 1, true);
        int32_t total = emit_case_slot(&c, COT_F64, 1, true);
        int32_t v = emit_case_load(&c, emit_case_access(&c, x, 0, (int64_t[]){0, 10, 1}));
        int32_t sum = emit_case_reduce(&c, COT_OP_SUM, emit_case_op2(&c, COT_OP_MUL, v, v));
        c.expr[c.kernel.body.n_exprs] = (coti_expr){.kind = COTI_EXPR_ROWS, .dtype = COT_I64};
        int32_t count = emit_case_cast(&c, COT_F32, c.kernel.body.n_exprs++);
        int32_t mean = emit_case_op2(&c, COT_OP_DIV, sum, count);
        int32_t at = emit_case_access(&c, total, 0, none);
        emit_case_store(&c, mean, emit_case_access(&c, y, 0, none));
        emit_case_store(&c,
                        emit_case_op2(&c, COT_OP_ADD, emit_case_load(&c, at),
                                      emit_case_cast(&c, COT_F64, mean)),
                        at);
        emit_case_run(&c, "to scalar");
    }
}

/* Mean and variance of columns, and the maximum with its place: two walks. */
static void statistics(void **state) {
    (void)state;
    static const int64_t columns[] = {1, 5, 16, 40, 200};
    for (size_t i = 0; i < COUNT(columns); i++) {
        emit_case c;
        int32_t x = begin(&c, COT_F32, columns[i], 70);
        int32_t count = emit_case_number(&c, COT_F32, 70);
        int32_t mean = emit_case_op2(&c, COT_OP_DIV, emit_case_reduce(&c, COT_OP_SUM, x), count);
        int32_t centred = emit_case_op2(&c, COT_OP_SUB, x, mean);
        int32_t square = emit_case_op2(&c, COT_OP_MUL, centred, centred);
        int32_t variance =
            emit_case_op2(&c, COT_OP_DIV, emit_case_reduce(&c, COT_OP_SUM, square), count);
        store_column(&c, mean);
        store_column(&c, variance);
        store_column(&c, emit_case_reduce(&c, COT_OP_REDUCE_MAX, x));
        store_column(&c, emit_case_reduce(&c, COT_OP_ARGMAX, centred));
        emit_case_run(&c, "statistics");
    }
}

/* Two kept and three reduced dimensions in every order of memory; a bias updated in place by its
 * gradient; values of the kept dimensions alone and of the reduced ones alone. */
static void many_dims(void **state) {
    (void)state;
    static const int64_t extent[][5] = {
        {2, 5, 3, 4, 2}, {3, 17, 6, 1, 5}, {1, 64, 2, 2, 2}, {4, 1, 3, 1, 1}, {2, 33, 1, 7, 3}};
    static const int order[][5] = {{0, 1, 2, 3, 4}, {2, 0, 3, 4, 1}, {4, 3, 2, 1, 0}};
    for (size_t i = 0; i < COUNT(extent); i++) {
        for (size_t o = 0; o < COUNT(order); o++) {
            const int64_t *d = extent[i];
            int64_t stride[5], n = 1, kept[] = {d[1], 1, 0, 0, 0}, none[] = {0, 0, 0, 0, 0};
            for (int k = 4; k >= 0; k--) {
                stride[order[o][k]] = n;
                n *= d[order[o][k]];
            }
            emit_case c;
            emit_case_begin(&c, COTI_SKELETON_COLRED, 5, 2, d);
            int32_t x = emit_case_slot(&c, COT_F32, n, false);
            int32_t w = emit_case_slot(&c, COT_F32, d[2] * d[4], false);
            int32_t rate = emit_case_slot(&c, COT_F32, 1, false);
            int32_t bias = emit_case_slot(&c, COT_F32, d[0] * d[1], true);
            int32_t place = emit_case_slot(&c, COT_I32, d[0] * d[1], true);
            int32_t v = emit_case_load(&c, emit_case_access(&c, x, 0, stride));
            int32_t weight =
                emit_case_load(&c, emit_case_access(&c, w, 0, (int64_t[]){0, 0, d[4], 0, 1}));
            int32_t at = emit_case_access(&c, bias, 0, kept);
            int32_t b = emit_case_load(&c, at);
            int32_t value =
                emit_case_op2(&c, COT_OP_MUL, emit_case_op2(&c, COT_OP_SUB, v, b), weight);
            int32_t gradient = emit_case_reduce(&c, COT_OP_SUM, value);
            int32_t r = emit_case_load(&c, emit_case_access(&c, rate, 0, none));
            emit_case_store(
                &c, emit_case_op2(&c, COT_OP_SUB, b, emit_case_op2(&c, COT_OP_MUL, r, gradient)),
                at);
            emit_case_store(&c, emit_case_reduce(&c, COT_OP_ARGMAX, v),
                            emit_case_access(&c, place, 0, kept));
            emit_case_run(&c, "many dims");
        }
    }
}

/* Compile two reducing kernels; the row's needs scratch. */
static cot_status compile_two(cot_context *context, void *user) {
    static const cot_op ops[] = {COT_OP_SUM, COT_OP_ARGMAX};
    (void)user;
    for (int k = 0; k < 2; k++) {
        emit_case c;
        int32_t x = begin(&c, COT_F32, 40, 300);
        int32_t sum = emit_case_reduce(&c, ops[k], emit_case_op1(&c, COT_OP_NEG, x));
        store_column(&c, sum);
        if (k == 0) {
            c.kernel.skeleton = COTI_SKELETON_ROWRED;
        }
        c.kernel.body.expr = c.expr;
        c.kernel.body.access = c.access;
        c.kernel.body.store = c.store;
        coti_target target;
        COTI_TRY(coti_jit_target(context, &target));
        c.kernel.scratch_bytes = coti_jit_scratch_bytes(&c.kernel, &target);
        const coti_kernel *kernel = &c.kernel;
        cotr_kernel code = NULL;
        int32_t n_compiled = 0;
        COTI_TRY(coti_jit_compile(context, "memory", &kernel, 1, &code, &n_compiled));
    }
    return COT_OK;
}

static void out_of_memory(void **state) {
    (void)state;
    char buffer[256];
    cot_options options = {.threads = 1, .environment = COT_OFF};
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, &options, compile_two, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),       cmocka_unit_test(blocks),    cmocka_unit_test(to_scalar),
        cmocka_unit_test(statistics), cmocka_unit_test(many_dims), cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
