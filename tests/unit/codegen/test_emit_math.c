/*
 * The functions: exp, log, tanh, erf and their kin, sin, cos, rsqrt and pow of f32, against double
 * precision, over floats of all magnitudes (every STEP-th of the 2^32; the bounds were found with
 * all of them), and at values that matter. Bounds are in units in the last place of the exact
 * result; results for AVX2 and AVX-512 are the same bits.
 */
#include "check.h"
#include "emit_case.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { BLOCK = 1 << 14, SETS = COT_ISA_AVX512 + 1 };
/* A prime, so that mantissas of all kinds occur. */
#define STEP 2477u

static double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

static double rsqrt(double x) {
    return 1.0 / sqrt(x);
}

static double softplus(double x) {
    return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
}

/* -0 at -inf. */
static double gelu(double x) {
    return x < -100 ? -0.0 : 0.5 * x * erfc(x * -0.70710678118654752440);
}

typedef struct function {
    cot_op op;
    double (*exact)(double x);
    double ulp, ulp_without_fma;
} function;

static const function functions[] = {
    {COT_OP_EXP, exp, 1.02, 1.02},         {COT_OP_EXPM1, expm1, 1.55, 1.6},
    {COT_OP_LOG, log, 0.76, 0.83},         {COT_OP_LOG1P, log1p, 0.76, 0.83},
    {COT_OP_TANH, tanh, 1.20, 1.20},       {COT_OP_SIGMOID, sigmoid, 1.70, 1.75},
    {COT_OP_ERF, erf, 0.95, 1.11},         {COT_OP_ERFC, erfc, 0.56, 0.56},
    {COT_OP_SOFTPLUS, softplus, 1.6, 1.7}, {COT_OP_GELU, gelu, 0.56, 0.56},
    {COT_OP_SIN, sin, 0.502, 0.502},       {COT_OP_COS, cos, 0.502, 0.502},
    {COT_OP_RSQRT, rsqrt, 1.51, 1.51},
};

/* A function compiled for all sets, and where its arguments and results are. */
typedef struct bench {
    cot_context *context[SETS]; /* NULL: this machine lacks the set */
    cotr_kernel code[SETS];
    float x[BLOCK], y[BLOCK], result[SETS][BLOCK];
} bench;

static bench *bench_create(cot_op op) {
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (int isa = COT_ISA_BASELINE; isa < SETS; isa++) {
        static emit_case c;
        int64_t one[] = {1};
        emit_case_begin(&c, COTI_SKELETON_MAP, 1, 1, (int64_t[]){BLOCK});
        int32_t x = emit_case_slot(&c, COT_F32, BLOCK, false);
        int32_t y = emit_case_slot(&c, COT_F32, BLOCK, false);
        int32_t r = emit_case_slot(&c, COT_F32, BLOCK, true);
        int32_t vx = emit_case_load(&c, emit_case_access(&c, x, 0, one));
        int32_t vy = emit_case_load(&c, emit_case_access(&c, y, 0, one));
        int32_t result =
            op == COT_OP_POW ? emit_case_op2(&c, op, vx, vy) : emit_case_op1(&c, op, vx);
        emit_case_store(&c, result, emit_case_access(&c, r, 0, one));
        c.kernel.body.expr = c.expr;
        c.kernel.body.access = c.access;
        c.kernel.body.store = c.store;
        cot_context *context = emit_case_context((cot_isa)isa);
        coti_target target;
        if (coti_jit_target(context, &target) == COT_OK) {
            b->context[isa] = context;
            b->code[isa] = emit_case_compile(context, &c.kernel);
        } else {
            cot_context_destroy(context);
        }
    }
    return b;
}

static void bench_destroy(bench *b) {
    for (int isa = COT_ISA_BASELINE; isa < SETS; isa++) {
        cot_context_destroy(b->context[isa]);
    }
    free(b);
}

/* Results of the first n arguments for all sets, the sets with fma held to the same bits. */
static void bench_run(bench *b, int64_t n) {
    for (int isa = COT_ISA_BASELINE; isa < SETS; isa++) {
        void *buffer[] = {b->x, b->y, b->result[isa]};
        cotr_args args = {.buffer = buffer, .rows = 1};
        if (b->code[isa] != NULL) {
            b->code[isa](&args, 0, n);
        }
    }
    if (b->code[COT_ISA_AVX2] != NULL && b->code[COT_ISA_AVX512] != NULL) {
        assert_memory_equal(b->result[COT_ISA_AVX2], b->result[COT_ISA_AVX512],
                            (size_t)n * sizeof(float));
    }
}

/* Is a result as good as it should be? Zeros have the right sign, NaN is NaN, inf is inf. */
static void check_result(const char *name, int isa, float x, float y, float got, double exact,
                         double ulp) {
    bool sign = exact != 0 || (signbit(got) != 0) == (signbit(exact) != 0);
    double error = emit_case_ulp(got, exact);
    if (!(error <= ulp) || !sign) {
        fail_msg("%s(%.9g, %.9g) is %.9g, exactly %.17g: %.3f ulp, instruction set %d", name,
                 (double)x, (double)y, (double)got, exact, error, isa);
    }
}

static void check_block(bench *b, const function *f, int64_t n) {
    bench_run(b, n);
    for (int64_t i = 0; i < n; i++) {
        double exact = f->exact((double)b->x[i]);
        for (int isa = COT_ISA_BASELINE; isa < SETS; isa++) {
            if (b->code[isa] != NULL) {
                double ulp = isa == COT_ISA_BASELINE ? f->ulp_without_fma : f->ulp;
                check_result(cot_op_name(f->op), isa, b->x[i], 0, b->result[isa][i], exact, ulp);
            }
        }
    }
}

static void sweep(void **state) {
    (void)state;
    for (size_t f = 0; f < COUNT(functions); f++) {
        bench *b = bench_create(functions[f].op);
        for (uint64_t bits = 0; bits < (UINT64_C(1) << 32);) {
            int64_t n = 0;
            for (; n < BLOCK && bits < (UINT64_C(1) << 32); n++, bits += STEP) {
                uint32_t u = (uint32_t)bits;
                memcpy(&b->x[n], &u, sizeof u);
            }
            check_block(b, &functions[f], n);
        }
        bench_destroy(b);
    }
}

/* Where functions change their form, and at the ends of their ranges; neighbours on both sides. */
static void edges(void **state) {
    (void)state;
    static const float at[] = {
        0.0f,        FLT_MIN,     1e-45f,      1.0f,       0.5f,        0.625f,     0.927734375f,
        3.92f,       4.0f,        9.02f,       10.0f,      17.0f,       25.0f,      87.33655f,
        88.72284f,   89.0f,       103.97208f,  104.0f,     0.70710677f, 1.4142135f, 0.34657359f,
        5.85708f,    16.6505f,    16777216.0f, FLT_MAX,    0x1p22f,     0x1p49f,    0x1p73f,
        0x1p97f,     0x1p121f,    10.0546875f, 10.5f,      14.14f,      15.0f,      18.0f,
        0.41421354f, 0.29289323f, 0.78539819f, 1.5707964f, 3.1415927f,  710.0f,     (float)INFINITY,
        (float)NAN};
    for (size_t f = 0; f < COUNT(functions); f++) {
        bench *b = bench_create(functions[f].op);
        int64_t n = 0;
        for (size_t i = 0; i < COUNT(at); i++) {
            float x = at[i];
            for (int k = 0; k < 20; k++) {
                b->x[n++] = x;
                b->x[n++] = -x;
                x = nextafterf(x, k < 10 ? INFINITY : -INFINITY);
            }
        }
        check_block(b, &functions[f], n);
        bench_destroy(b);
    }
}

/* Results of pow, all sets, within half an ulp and a trifle; how many are not correctly rounded? */
static uint64_t check_pow(bench *b, int64_t n) {
    uint64_t n_off = 0;
    bench_run(b, n);
    for (int64_t i = 0; i < n; i++) {
        double exact = pow((double)b->x[i], (double)b->y[i]);
        for (int isa = COT_ISA_BASELINE; isa < SETS; isa++) {
            if (b->code[isa] != NULL) {
                check_result("pow", isa, b->x[i], b->y[i], b->result[isa][i], exact, 0.5001);
                n_off += !isnan(exact) && b->result[isa][i] != (float)exact;
            }
        }
    }
    return n_off;
}

/* C17 F.10.4.4, by the C library's pow: all pairs of values that it tells apart. */
static void pow_special(void **state) {
    (void)state;
    static const float value[] = {0.0f,          1.0f,       2.0f,
                                  0.5f,          3.0f,       1.5f,
                                  1e-45f,        1e-38f,     1e38f,
                                  0.99999994f,   1.0000001f, 16777215.0f,
                                  16777216.0f,   8388607.5f, 33554432.0f,
                                  2147483648.0f, 149.0f,     151.0f,
                                  127.0f,        128.0f,     (float)INFINITY,
                                  (float)NAN};
    bench *b = bench_create(COT_OP_POW);
    int64_t n = 0;
    for (size_t i = 0; i < 2 * COUNT(value); i++) {
        for (size_t k = 0; k < 2 * COUNT(value); k++, n++) {
            b->x[n] = (i % 2 == 0 ? 1.0f : -1.0f) * value[i / 2];
            b->y[n] = (k % 2 == 0 ? 1.0f : -1.0f) * value[k / 2];
        }
    }
    assert_int_equal(check_pow(b, n), 0);
    bench_destroy(b);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Random bases to exponents whose results are finite: correctly rounded, nearly always. */
static void pow_rounding(void **state) {
    (void)state;
    uint64_t random = 88172645463325252u, n_off = 0;
    bench *b = bench_create(COT_OP_POW);
    for (int block = 0; block < 40; block++) {
        for (int i = 0; i < BLOCK; i++) {
            uint32_t bits = (uint32_t)(next_random(&random) % 0x7f800000u);
            memcpy(&b->x[i], &bits, sizeof bits);
            double reach = (double)(next_random(&random) % 300000u) * 1e-3 - 150;
            double power = log2((double)b->x[i]);
            b->y[i] = power != 0 ? (float)(reach / power) : 0.0f;
        }
        n_off += check_pow(b, BLOCK);
    }
    /* Of 2 million; about one in 2^20 is to be expected. */
    assert_true(n_off <= 12);
    bench_destroy(b);
}

/* The bias corrections of optimizers: 1 - 0.999^t and 1 - 0.9^t. */
static void pow_bias_correction(void **state) {
    (void)state;
    static const float base[] = {0.9f, 0.99f, 0.999f};
    uint64_t n_off = 0, n = 0;
    bench *b = bench_create(COT_OP_POW);
    for (size_t k = 0; k < COUNT(base); k++) {
        for (int first = 0; first < 100000; first += BLOCK) {
            for (int i = 0; i < BLOCK; i++) {
                b->x[i] = base[k];
                b->y[i] = (float)(first + i);
            }
            bench_run(b, BLOCK);
            for (int i = 0; i < BLOCK; i++, n++) {
                float exact = (float)pow((double)b->x[i], (double)b->y[i]);
                n_off += b->result[COT_ISA_BASELINE][i] != exact;
            }
        }
    }
    assert_true(n_off * 100000 <= n);
    bench_destroy(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweep), cmocka_unit_test(edges), cmocka_unit_test(pow_special),
        cmocka_unit_test(pow_rounding), cmocka_unit_test(pow_bias_correction)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
