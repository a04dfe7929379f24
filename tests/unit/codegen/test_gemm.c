/*
 * Products on every instruction set that this machine has: each result has exactly the bits that
 * the order of sums in kernel.h gives, whatever form, tile, packing, units and chunks, and whatever
 * the layouts. Operands and scratch lie against forbidden pages.
 */
#include "gemm_case.h"

#include "check.h"
#include "codegen/tile.h"
#include "effort.h"

#include <inttypes.h>
#include <stdio.h>

static cot_context *context_for(cot_isa isa, coti_target *target_out) {
    cot_context *context = cot_context_create(
        &(cot_options){.struct_size = sizeof(cot_options), .threads = 1, .isa = isa});
    assert_non_null(context);
    if (coti_jit_target(context, target_out) != COT_OK) {
        cot_context_destroy(context);
        return NULL;
    }
    return context;
}

static void describe(char *text, size_t bytes, const gemm_test *test, cot_isa isa) {
    const gemm_case *c = &test->c;
    const coti_gemm *g = &test->kernel.gemm;
    (void)snprintf(
        text, bytes,
        "isa %d, %" PRId64 " by %" PRId64 " x [%" PRId64 ", %" PRId64 ", %" PRId64 "], N %" PRId64
        " (b %d, m %d, k %d), a_by_m %d b_by_k %d c_by_m %d, step %" PRId64 " pad %" PRId64
        ", %s tile %d x %d pack %d unit %" PRId64 " x %" PRId64 ", end %d side %d",
        (int)isa, c->b, c->heads, c->m, c->n, c->k, c->rows, c->b_rows, c->m_rows, c->k_rows,
        c->a_by_m, c->b_by_k, c->c_by_m, c->step, c->pad,
        g->form == COTI_GEMM_N_VECTORS ? "n_vectors" : "m_vectors", (int)g->tile_broadcast,
        (int)g->tile_vectors, g->pack, g->unit_m, g->unit_n, (int)c->end, c->side);
}

/* Compile, run in chunks, compare. */
static void run_case(cot_context *context, const coti_target *target, const gemm_case *c,
                     guard_side side, int64_t chunk) {
    gemm_test test;
    char what[512];
    gemm_test_init(&test, c, target);
    describe(what, sizeof what, &test, target->isa);
    const coti_kernel *kernel = &test.kernel;
    cotr_kernel code = NULL;
    int32_t n_compiled = 0;
    if (coti_jit_compile(context, "test", &kernel, 1, &code, &n_compiled) != COT_OK) {
        fail_msg("%s: %s", what, cot_error_message(context));
    }
    gemm_test_data(&test, target, side);
    gemm_test_run(&test, code, chunk);
    gemm_test_check(&test, what);
    gemm_test_free(&test);
}

/* Quick: every case on one instruction set, by turns. */
static void run_cases(const gemm_case *c, size_t n) {
    for (int32_t isa = COT_ISA_BASELINE; isa <= (int32_t)COT_ISA_AVX512; isa++) {
        coti_target target;
        cot_context *context = context_for((cot_isa)isa, &target);
        for (size_t i = 0; context != NULL && i < n; i++) {
            if (effort_is_quick() && i % COT_ISA_AVX512 != (size_t)(isa - COT_ISA_BASELINE)) {
                continue;
            }
            run_case(context, &target, &c[i], i % 2 == 0 ? GUARD_END : GUARD_START, 1 + (int64_t)i);
        }
        cot_context_destroy(context);
    }
}

#define RUN_CASES(cases) run_cases((cases), sizeof(cases) / sizeof *(cases))

/* ---- what training needs ---- */

static void test_training_shapes(void **state) {
    (void)state;
    const gemm_case cases[] = {
        {.m = 1, .rows = 37, .m_rows = true, .k = 50, .n = 70, .end = GEMM_BIAS_RELU},
        {.m = 1, .rows = 50, .m_rows = true, .k = 100, .n = 20, .end = GEMM_BIAS_RELU},
        {.m = 1, .rows = 33, .m_rows = true, .k = 51, .n = 10, .end = GEMM_BIAS_RELU},
        {.m = 1, .rows = 45, .m_rows = true, .k = 20, .n = 96, .b_by_k = true, .end = GEMM_MASK},
        {.m = 1, .rows = 32, .m_rows = true, .k = 10, .n = 65, .b_by_k = true, .end = GEMM_MASK},
        {.m = 96,
         .n = 80,
         .k = 1,
         .rows = 40,
         .k_rows = true,
         .a_by_m = true,
         .end = GEMM_UPDATE,
         .side = true},
        {.m = 200,
         .n = 20,
         .k = 1,
         .rows = 40,
         .k_rows = true,
         .a_by_m = true,
         .end = GEMM_UPDATE,
         .side = true},
        {.m = 20,
         .n = 15,
         .k = 1,
         .rows = 40,
         .k_rows = true,
         .a_by_m = true,
         .end = GEMM_UPDATE,
         .side = true},
        {.m = 64,
         .n = 10,
         .k = 3,
         .rows = 13,
         .k_rows = true,
         .a_by_m = true,
         .c_by_m = true,
         .end = GEMM_UPDATE,
         .side = true},
        {.m = 4, .rows = 9, .m_rows = true, .k = 30, .n = 48, .b = 3, .end = GEMM_STORE},
        {.b = 1, .rows = 6, .b_rows = true, .m = 17, .n = 19, .k = 23, .b_by_k = true},
        {.b = 2, .rows = 3, .b_rows = true, .m = 5, .n = 40, .k = 9, .a_by_m = true},
        {.heads = 3, .rows = 2, .b_rows = true, .m = 17, .n = 17, .k = 9, .b_by_k = true},
        {.heads = 4, .rows = 3, .b_rows = true, .m = 16, .n = 8, .k = 16, .end = GEMM_MASK},
        {.b = 2, .heads = 2, .rows = 5, .m_rows = true, .m = 1, .n = 33, .k = 7},
        {.b = 3, .heads = 5, .m = 7, .n = 18, .k = 4, .unit_m = 3, .unit_n = 16, .a_by_m = true},
    };
    RUN_CASES(cases);
}

/* Blocks of rows: none, one, one whole, one and a row, two and a row. */
static void test_rows_in_blocks(void **state) {
    (void)state;
    const int64_t rows[] = {0, 1, 511, 512, 513, 1025};
    const struct {
        coti_gemm_form form;
        bool pack, a_by_m, b_by_k;
    } kind[] = {
        {COTI_GEMM_N_VECTORS, false, true, false}, {COTI_GEMM_M_VECTORS, false, true, false},
        {COTI_GEMM_N_VECTORS, true, true, false},  {COTI_GEMM_M_VECTORS, true, false, false},
        {COTI_GEMM_N_VECTORS, true, false, true},
    };
    gemm_case cases[sizeof kind / sizeof *kind * (sizeof rows / sizeof *rows)];
    size_t n = 0;
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            cases[n++] = (gemm_case){.m = 21,
                                     .n = 19,
                                     .k = 1,
                                     .k_rows = true,
                                     .rows = rows[j],
                                     .a_by_m = kind[i].a_by_m,
                                     .b_by_k = kind[i].b_by_k,
                                     .form = kind[i].form,
                                     .height = 3,
                                     .vectors = 1,
                                     .pack = kind[i].pack,
                                     .end = GEMM_UPDATE,
                                     .side = true};
        }
    }
    RUN_CASES(cases);
}

/* ---- special ways ---- */

/* k is cut into chunks: by the second cache, by the first when few tiles read the panel. */
static void test_chunks_of_k(void **state) {
    (void)state;
    const gemm_case cases[] = {
        {.m = 1,
         .rows = 300,
         .m_rows = true,
         .k = 2700,
         .n = 17,
         .b_by_k = true,
         .form = COTI_GEMM_N_VECTORS,
         .height = 2,
         .vectors = 2,
         .pack = true},
        {.m = 1,
         .rows = 21,
         .m_rows = true,
         .k = 1111,
         .n = 9,
         .form = COTI_GEMM_M_VECTORS,
         .height = 5,
         .vectors = 2,
         .pack = true},
        {.m = 1,
         .rows = 21,
         .m_rows = true,
         .k = 5200,
         .n = 9,
         .form = COTI_GEMM_M_VECTORS,
         .height = 3,
         .vectors = 3,
         .pack = true,
         .a_by_m = true},
        {.m = 9,
         .k = 1300,
         .n = 30,
         .b_by_k = true,
         .form = COTI_GEMM_N_VECTORS,
         .height = 9,
         .vectors = 2,
         .pack = true,
         .unit_m = 9,
         .unit_n = 30},
    };
    RUN_CASES(cases);
}

/* The last range of v, or the only one, is as wide as the narrow tile: no wider tile fits. */
static void test_range_of_a_narrow_tile(void **state) {
    (void)state;
    const gemm_case cases[] = {
        {.m = 9,
         .n = 80,
         .k = 5,
         .form = COTI_GEMM_N_VECTORS,
         .height = 4,
         .vectors = 3,
         .unit_m = 9,
         .unit_n = 64},
        {.m = 9, .n = 16, .k = 5, .form = COTI_GEMM_N_VECTORS, .height = 4, .vectors = 3},
        {.m = 80,
         .n = 9,
         .k = 5,
         .a_by_m = true,
         .form = COTI_GEMM_M_VECTORS,
         .height = 4,
         .vectors = 3,
         .unit_m = 64,
         .unit_n = 9},
        {.m = 16,
         .n = 9,
         .k = 5,
         .a_by_m = true,
         .form = COTI_GEMM_M_VECTORS,
         .height = 4,
         .vectors = 3},
    };
    RUN_CASES(cases);
}

/* One tile reads the panel: it is packed meanwhile. k: a whole block, one more, one less than two,
 * and so many that a panel that is packed first would be cut. */
static void test_streams(void **state) {
    (void)state;
    gemm_case cases[16];
    const int64_t k[] = {16, 17, 31, 600};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool along_m = i / 8 == 0;
        cases[i] = (gemm_case){.m = along_m ? 1 : 5,
                               .rows = 37,
                               .m_rows = along_m,
                               .k = k[i % 4],
                               .n = along_m ? 5 : 37,
                               .pad = i / 4 % 2 == 0 ? 0 : 3,
                               .b_by_k = !along_m,
                               .form = along_m ? COTI_GEMM_M_VECTORS : COTI_GEMM_N_VECTORS,
                               .height = 5,
                               .vectors = 1,
                               .pack = true,
                               .end = GEMM_UPDATE};
    }
    RUN_CASES(cases);
}

/* The cases above take the way that they are there to test. */
static void test_streams_are_streams(void **state) {
    (void)state;
    coti_target target;
    cot_context *context = context_for(COT_ISA_DEFAULT, &target);
    gemm_case c = {.m = 1,
                   .rows = 37,
                   .m_rows = true,
                   .k = 16,
                   .n = 5,
                   .height = 5,
                   .vectors = 1,
                   .form = COTI_GEMM_M_VECTORS,
                   .pack = true};
    gemm_test test;
    gemm_test_init(&test, &c, &target);
    assert_true(coti_tile_streams(&test.kernel.gemm, &target));
    c.height = 4;
    gemm_test_init(&test, &c, &target);
    assert_false(coti_tile_streams(&test.kernel.gemm, &target));
    cot_context_destroy(context);
}

/* Updates of arrays so large that tiles ask for their lines ahead, whole tiles or not. */
static void test_fetching_ahead(void **state) {
    (void)state;
    const gemm_case cases[] = {
        {.m = 203,
         .n = 171,
         .k = 1,
         .rows = 5,
         .k_rows = true,
         .a_by_m = true,
         .end = GEMM_UPDATE,
         .side = true},
        {.m = 3500, .n = 10, .k = 1, .rows = 5, .k_rows = true, .a_by_m = true, .end = GEMM_UPDATE},
        {.m = 203,
         .n = 171,
         .k = 1,
         .rows = 600,
         .k_rows = true,
         .a_by_m = true,
         .end = GEMM_UPDATE,
         .form = COTI_GEMM_M_VECTORS,
         .height = 3,
         .vectors = 2},
        {.m = 203,
         .n = 171,
         .k = 9,
         .end = GEMM_MASK,
         .form = COTI_GEMM_N_VECTORS,
         .height = 60,
         .vectors = 1},
        {.m = 203, .n = 171, .k = 9, .c_by_m = true, .b = 2, .end = GEMM_MASK},
    };
    RUN_CASES(cases);
}

/* A finished tile waits, and the next one's steps of k go by in pieces: fewer steps than it has
 * vectors, as many, more; tiles and units that overlap, several units a call, blocks of rows.
 */
static void test_ends_beside_sums(void **state) {
    (void)state;
    gemm_case cases[18];
    const int64_t rows[] = {1, 5, 22, 23, 24, 25, 100, 129, 1100};
    const size_t n = sizeof cases / sizeof *cases, n_rows = sizeof rows / sizeof *rows;
    for (size_t i = 0; i < n; i++) {
        const bool along_m = i >= n_rows;
        cases[i] = (gemm_case){.m = along_m ? 336 : 211,
                               .n = along_m ? 101 : 160,
                               .k = 1,
                               .rows = rows[i % n_rows],
                               .k_rows = true,
                               .a_by_m = true,
                               .c_by_m = i % 2 != 0,
                               .form = along_m ? COTI_GEMM_M_VECTORS : COTI_GEMM_N_VECTORS,
                               .height = 8,
                               .vectors = 1,
                               .unit_m = along_m ? 112 : 60,
                               .unit_n = along_m ? 50 : 80,
                               .end = GEMM_UPDATE,
                               .side = true};
    }
    RUN_CASES(cases);
}

/* Many tiles take one block of a sequence's rows before the next: as many as wait together, and
 * more. */
static void test_tiles_in_blocks(void **state) {
    (void)state;
    gemm_case cases[6];
    const int64_t rows[] = {1, 128, 129, 150, 257, 300};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool many = i == 3;
        cases[i] = (gemm_case){.m = many ? 1000 : 45,
                               .n = many ? 17 : 37,
                               .k = 4,
                               .rows = rows[i],
                               .k_rows = true,
                               .a_by_m = true,
                               .form = i % 2 == 0 ? COTI_GEMM_M_VECTORS : COTI_GEMM_N_VECTORS,
                               .height = many ? 1 : 5,
                               .vectors = many ? 1 : 2,
                               .unit_m = many ? 1000 : 45,
                               .unit_n = many ? 17 : 37,
                               .end = GEMM_UPDATE,
                               .side = true};
    }
    RUN_CASES(cases);
}

/* Nothing to sum, nothing to write. */
static void test_empty(void **state) {
    (void)state;
    const gemm_case cases[] = {
        {.m = 7, .n = 18, .k = 0, .end = GEMM_UPDATE, .side = true},
        {.m = 0, .n = 18, .k = 4},
        {.m = 7, .n = 0, .k = 4},
        {.m = 1, .rows = 0, .m_rows = true, .n = 18, .k = 4},
        {.b = 1, .rows = 0, .b_rows = true, .m = 3, .n = 18, .k = 4},
    };
    RUN_CASES(cases);
}

/* ---- at random ---- */

typedef struct dice {
    uint64_t state;
} dice;

/* A number in [0, n). */
static int64_t roll(dice *d, int64_t n) {
    d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((d->state >> 33) % (uint64_t)n);
}

static void roll_partition(dice *d, gemm_case *c) {
    switch (roll(d, 4)) {
    case 0:
        c->m_rows = true;
        c->rows = c->m;
        c->m = 1 + roll(d, 2);
        return;
    case 1:
        c->b_rows = true;
        c->rows = 1 + roll(d, 5);
        return;
    case 2:
        c->k_rows = true;
        c->rows = 1 + roll(d, 40);
        c->k = 1 + roll(d, 2);
        break;
    default:
        break;
    }
    if (roll(d, 2) == 0) {
        c->unit_m = 1 + roll(d, c->m);
        c->unit_n = 1 + roll(d, c->n);
    }
    c->side = c->b == 1 && c->heads == 0 && c->end != GEMM_BIAS_RELU && roll(d, 2) == 0;
}

static gemm_case roll_case(dice *d, const coti_target *target) {
    int64_t most = roll(d, 5) == 0 ? 100 : 40;
    gemm_case c = {.m = 1 + roll(d, most),
                   .n = 1 + roll(d, most),
                   .k = roll(d, 10) == 0 ? 0 : 1 + roll(d, most),
                   .b = roll(d, 4) == 0 ? 3 : 1,
                   .heads = roll(d, 3) == 0 ? 1 + roll(d, 4) : 0,
                   .rows = 1,
                   .a_by_m = roll(d, 2) == 0,
                   .b_by_k = roll(d, 2) == 0,
                   .c_by_m = roll(d, 2) == 0,
                   .step = roll(d, 8) == 0 ? 2 : 1,
                   .pad = roll(d, 3) == 0 ? roll(d, 20) : 0,
                   .end = (gemm_end)roll(d, 4)};
    if (roll(d, 4) != 0) {
        c.form = (coti_gemm_form)roll(d, 2);
        c.vectors = 1 + (int32_t)roll(d, 3);
        c.height = 1 + (int32_t)roll(d, (target->registers - c.vectors - 2) / c.vectors);
        c.pack = roll(d, 2) == 0;
    }
    roll_partition(d, &c);
    return c;
}

static void test_random(void **state) {
    (void)state;
    const int32_t n_cases = effort_is_quick() ? 30 : 120;
    for (int32_t isa = COT_ISA_BASELINE; isa <= (int32_t)COT_ISA_AVX512; isa++) {
        coti_target target;
        cot_context *context = context_for((cot_isa)isa, &target);
        dice d = {(uint64_t)isa};
        for (int32_t i = 0; context != NULL && i < n_cases; i++) {
            gemm_case c = roll_case(&d, &target);
            run_case(context, &target, &c, (guard_side)roll(&d, 2), 1 + roll(&d, 30));
        }
        cot_context_destroy(context);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_shapes), cmocka_unit_test(test_rows_in_blocks),
        cmocka_unit_test(test_chunks_of_k),     cmocka_unit_test(test_range_of_a_narrow_tile),
        cmocka_unit_test(test_streams),         cmocka_unit_test(test_streams_are_streams),
        cmocka_unit_test(test_fetching_ahead),  cmocka_unit_test(test_ends_beside_sums),
        cmocka_unit_test(test_tiles_in_blocks), cmocka_unit_test(test_empty),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
