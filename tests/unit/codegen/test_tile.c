/*
 * The choice of tiles: whatever the product, a choice that the emitter can use and the registers
 * hold; and for the products that training has, the choices that measurements call for.
 */
#include "codegen/tile.h"

#include "check.h"

static const coti_target targets[] = {
    {COT_ISA_BASELINE, 4, 16, false}, {COT_ISA_AVX2, 8, 16, true}, {COT_ISA_AVX512, 16, 32, true}};
static const coti_target *const avx512 = &targets[2];

/* Row-major operands: y[m, n] = sum over k of a[m, k] b[k, n]. */
static coti_gemm product(int64_t m, int64_t n, int64_t k) {
    return (coti_gemm){.b = 1,
                       .m = m,
                       .n = n,
                       .k = k,
                       .dtype = COT_F32,
                       .b_slot = 1,
                       .a_stride = {m * k, k, 1},
                       .b_stride = {k * n, n, 1}};
}

static coti_gemm forward(int64_t n, int64_t k) {
    coti_gemm gemm = product(1, n, k);
    gemm.m_rows = true;
    return gemm;
}

/* dx[m, n] = sum over k of dy[m, k] w[n, k] */
static coti_gemm back(int64_t n, int64_t k) {
    coti_gemm gemm = forward(n, k);
    gemm.b_stride[1] = 1;
    gemm.b_stride[2] = k;
    return gemm;
}

/* dw[m, n] = sum over rows of x[row, m] dy[row, n] */
static coti_gemm weights(int64_t m, int64_t n) {
    coti_gemm gemm = product(m, n, 1);
    gemm.k_rows = true;
    gemm.a_stride[1] = 1;
    gemm.a_stride[2] = m;
    return gemm;
}

static void check_usable(const coti_gemm *g, const coti_target *target) {
    bool n_vectors = g->form == COTI_GEMM_N_VECTORS;
    int64_t s = n_vectors ? g->m : g->n, v = n_vectors ? g->n : g->m;
    int64_t v_stride = n_vectors ? g->b_stride[2] : g->a_stride[1];
    bool s_rows = n_vectors && g->m_rows, v_rows = !n_vectors && g->m_rows;
    assert_true(g->tile_broadcast >= 1 && g->tile_vectors >= 1);
    assert_true(g->tile_broadcast * g->tile_vectors + g->tile_vectors + 1 <= target->registers);
    assert_true(s_rows || g->tile_broadcast <= (s < 1 ? 1 : s));
    assert_true(g->pack || (v_stride == 1 && !v_rows));
    assert_true(g->pack || v >= (int64_t)g->tile_vectors * target->lanes);
    assert_true(g->unit_m >= 1 && g->unit_n >= 1);
    int64_t i = (g->m + g->unit_m - 1) / g->unit_m, j = (g->n + g->unit_n - 1) / g->unit_n;
    assert_int_equal(coti_tile_units(g), g->b * i * j);
}

static uint64_t next(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void test_any_product(void **state) {
    (void)state;
    uint64_t dice = 1;
    const int64_t extents[] = {0,  1,  2,  3,  5,  7,   8,   10,   15,
                               16, 17, 20, 31, 64, 100, 257, 1000, 4096};
    enum { N = sizeof extents / sizeof *extents };
    for (int32_t i = 0; i < 3000; i++) {
        int64_t m = extents[next(&dice) % N], n = extents[next(&dice) % N];
        int64_t k = extents[next(&dice) % N];
        coti_gemm kinds[] = {product(m, n, k), forward(n, k), back(n, k), weights(m, n)};
        coti_gemm *gemm = &kinds[next(&dice) % 4];
        gemm->b = 1 + (int64_t)(next(&dice) % 3);
        const coti_target *target = &targets[next(&dice) % 3];
        coti_tile_choose(gemm, target, 128);
        check_usable(gemm, target);
    }
}

static void test_weights_make_many_units(void **state) {
    (void)state;
    const int64_t shape[][2] = {{784, 512}, {256, 256}, {3072, 20}, {512, 10}, {1024, 4096}};
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
            coti_gemm gemm = weights(shape[i][0], shape[i][1]);
            coti_tile_choose(&gemm, &targets[t], 128);
            int64_t units = coti_tile_units(&gemm);
            bool small = shape[i][0] * shape[i][1] < 16384;
            assert_in_range(units, small ? 2 : 13, 4096);
        }
        coti_gemm tiny = weights(20, 15);
        coti_tile_choose(&tiny, &targets[t], 128);
        assert_int_equal(coti_tile_units(&tiny), 1);
    }
}

/* 20 columns fill no vectors: they run along the batch, and x is transposed beside the sums. */
static void test_narrow_forward_streams(void **state) {
    (void)state;
    const int64_t n[] = {10, 15, 20};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        coti_gemm gemm = forward(n[i], 3072);
        coti_tile_choose(&gemm, avx512, 128);
        assert_int_equal(gemm.form, COTI_GEMM_M_VECTORS);
        assert_int_equal(gemm.tile_broadcast, n[i]);
        assert_true(coti_tile_streams(&gemm, avx512));
    }
}

static void test_wide_forward_reads_weights_in_place(void **state) {
    (void)state;
    for (size_t t = 1; t < sizeof targets / sizeof *targets; t++) {
        coti_gemm gemm = forward(512, 784);
        coti_tile_choose(&gemm, &targets[t], 128);
        assert_int_equal(gemm.form, COTI_GEMM_N_VECTORS);
        assert_false(gemm.pack);
        assert_true(gemm.tile_broadcast * gemm.tile_vectors >= 12);
    }
}

/* The small operand is packed, not the weights. */
static void test_back_packs_the_gradient(void **state) {
    (void)state;
    coti_gemm gemm = back(784, 512);
    coti_tile_choose(&gemm, avx512, 128);
    assert_int_equal(gemm.form, COTI_GEMM_M_VECTORS);
    assert_true(gemm.pack);
}

/* Rows a page apart share a set of the cache, which has 8 ways. */
static void test_rows_that_alias(void **state) {
    (void)state;
    coti_gemm gemm = forward(512, 1024);
    coti_tile_choose(&gemm, avx512, 128);
    assert_true(gemm.form == COTI_GEMM_M_VECTORS || gemm.tile_broadcast <= 8);
    gemm = back(1024, 3072);
    coti_tile_choose(&gemm, avx512, 128);
    assert_true(gemm.tile_broadcast <= 8 || gemm.form == COTI_GEMM_N_VECTORS);
}

/*
 * The weights of a layer of a sequence, 64 rows of k to one of the batch: the operand whose k's are
 * pages apart is read in vectors, and a unit reads no more than a sixth of what it multiplies with.
 */
static void test_long_k(void **state) {
    (void)state;
    const int64_t shape[][2] = {{1024, 256}, {256, 1024}, {256, 256}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        coti_gemm gemm = weights(shape[i][0], shape[i][1]);
        gemm.k = 64;
        coti_tile_choose(&gemm, avx512, 16);
        if (shape[i][0] != shape[i][1]) {
            assert_int_equal(gemm.form == COTI_GEMM_M_VECTORS, shape[i][0] == 1024);
        }
        assert_false(gemm.pack);
        int64_t area = gemm.unit_m * gemm.unit_n;
        assert_true(6 * (gemm.unit_m + gemm.unit_n) <= area);
        assert_in_range(coti_tile_units(&gemm), 16, 128);
    }
}

/* A recurrence's: few units, large enough to read what is far away a few times only. */
static void test_recurrence(void **state) {
    (void)state;
    const int64_t shape[][2] = {{64, 256}, {32, 128}, {128, 512}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        coti_gemm gemm = weights(shape[i][0], shape[i][1]);
        gemm.k = 100;
        coti_tile_choose(&gemm, avx512, 128);
        assert_in_range(coti_tile_units(&gemm), 3, 12);
        assert_true(16 * (gemm.unit_m + gemm.unit_n) <= gemm.unit_m * gemm.unit_n);
    }
}

/* The transpose of attention's weights times values: the large operand is read once, in vectors. */
static void test_far_operand(void **state) {
    (void)state;
    coti_gemm gemm = product(512, 64, 512);
    gemm.a_stride[1] = 1;
    gemm.a_stride[2] = 512;
    gemm.b_rows = true;
    coti_tile_choose(&gemm, avx512, 4);
    assert_int_equal(gemm.form, COTI_GEMM_M_VECTORS);
    assert_false(gemm.pack);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_product),
        cmocka_unit_test(test_weights_make_many_units),
        cmocka_unit_test(test_narrow_forward_streams),
        cmocka_unit_test(test_wide_forward_reads_weights_in_place),
        cmocka_unit_test(test_back_packs_the_gradient),
        cmocka_unit_test(test_rows_that_alias),
        cmocka_unit_test(test_long_k),
        cmocka_unit_test(test_recurrence),
        cmocka_unit_test(test_far_operand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
