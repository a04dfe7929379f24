/*
 * The JIT's f32 functions over a sample of all bit patterns, each sign and exponent, zeros,
 * denormals, infinities and NaN among them; pow over pairs whose power is near the range of f32,
 * and where C17 says what it is. The error is measured in ulp of the true value and held to the
 * bounds of op_case.h. scripts/sweep does the same over all patterns.
 */
#include "check.h"
#include "math_truth.h"
#include "op_case.h"

#include <math.h>
#include <stdlib.h>

/* ---- samples ---- */

enum {
    PER_EXPONENT = 1024, /* patterns of each sign and exponent */
    PER_BUSY = 4096,     /* of exponents between 2^-27 and 2^13, where the functions live */
    FIRST_BUSY = 100,
    LAST_BUSY = 140,
    N_SAMPLES = 2 * (256 * PER_EXPONENT + (LAST_BUSY - FIRST_BUSY + 1) * (PER_BUSY - PER_EXPONENT)),
    N_ROWS = N_SAMPLES / MATH_COLUMNS
};
_Static_assert(N_SAMPLES % MATH_COLUMNS == 0, "whole rows");

static float samples[N_SAMPLES], bases[N_SAMPLES], exponents[N_SAMPLES], results[N_SAMPLES];

/* xorshift64* (Vigna, 2016). */
static uint64_t next_word(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

/* Mantissas spread evenly over each exponent, jittered but for the first (0) and the last (all
 * ones); and pairs. */
static int fill_samples(void **state) {
    (void)state;
    uint64_t random = 42;
    float *x = samples;
    for (uint32_t top = 0; top < 512; top++) {
        uint32_t exponent = top & 255;
        bool busy = exponent >= FIRST_BUSY && exponent <= LAST_BUSY;
        uint32_t n = busy ? PER_BUSY : PER_EXPONENT, step = (1u << 23) / n;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t jitter = (uint32_t)(next_word(&random) % step);
            jitter = k == 0 ? 0 : k == n - 1 ? step - 1 : jitter;
            *x++ = math_float(top << 23 | (k * step + jitter));
        }
    }
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        math_pair((uint64_t)i, &bases[i], &exponents[i]);
    }
    return 0;
}

/* ---- tests ---- */

/* results = op(x, x2) of n_rows rows. */
static void run(cot_op op, const math_isa *isa, const float *x, const float *x2, int64_t rows) {
    math_kernel kernel;
    const char *trouble = math_kernel_create(&kernel, op, isa->isa, N_ROWS);
    if (trouble == NULL && kernel.context == NULL) {
        skip();
    }
    trouble = trouble == NULL ? math_kernel_run(&kernel, x, x2, results, rows) : trouble;
    if (trouble != NULL) {
        fail_msg("%s on %s: %s", cot_op_name(op), isa->name, trouble);
    }
    math_kernel_destroy(&kernel);
}

static void test_functions(void **state) {
    const math_isa *isa = *state;
    for (int32_t f = 0; f < MATH_FUNCTIONS; f++) {
        const math_function *function = &math_functions[f];
        const char *name = cot_op_name(function->op);
        run(function->op, isa, samples, NULL, N_ROWS);
        double worst = 0, at = 0;
        for (int32_t i = 0; i < N_SAMPLES; i++) {
            double x = samples[i], error = math_error_near(results[i], function->near(x));
            if (error > function->bound - 0x1p-10) {
                error = math_error(results[i], function->truth(x));
            }
            if (error > function->bound) {
                fail_msg("%s(%a) is %a, expected %a: %.3f ulp", name, x, (double)results[i],
                         function->near(x), error);
            }
            at = error > worst ? x : at;
            worst = error > worst ? error : worst;
        }
        print_message("%s on %s: at most %.3f ulp, at %a\n", name, isa->name, worst, at);
    }
}

static void test_pow(void **state) {
    const math_isa *isa = *state;
    run(COT_OP_POW, isa, bases, exponents, N_ROWS);
    double worst = 0;
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        double x = bases[i], y = exponents[i], error = math_error_near(results[i], pow(x, y));
        if (error > POW_ULP) {
            fail_msg("pow(%a, %a) is %a, expected %a: %.3f ulp", x, y, (double)results[i],
                     pow(x, y), error);
        }
        worst = error > worst ? error : worst;
    }
    print_message("pow on %s: at most %.3f ulp\n", isa->name, worst);
}

/* In every lane of a vector. */
static void test_pow_as_in_c17(void **state) {
    const math_isa *isa = *state;
    static float x[MATH_COLUMNS], y[MATH_COLUMNS];
    for (int32_t i = 0; i < MATH_COLUMNS; i++) {
        x[i] = math_powers[i % n_math_powers].x;
        y[i] = math_powers[i % n_math_powers].y;
    }
    run(COT_OP_POW, isa, x, y, 1);
    for (int32_t i = 0; i < MATH_COLUMNS; i++) {
        float want = math_powers[i % n_math_powers].want;
        if (math_error(results[i], want) > 0) {
            fail_msg("pow(%a, %a) is %a, expected %a", (double)x[i], (double)y[i],
                     (double)results[i], (double)want);
        }
    }
}

int main(void) {
    static math_isa isas[MATH_ISAS];
    struct CMUnitTest tests[3 * MATH_ISAS];
    for (int32_t i = 0; i < MATH_ISAS; i++) {
        isas[i] = math_isas[i];
        const char *name = isas[i].name;
        tests[3 * i] = (struct CMUnitTest){name, test_functions, NULL, NULL, &isas[i]};
        tests[3 * i + 1] = (struct CMUnitTest){name, test_pow, NULL, NULL, &isas[i]};
        tests[3 * i + 2] = (struct CMUnitTest){name, test_pow_as_in_c17, NULL, NULL, &isas[i]};
    }
    return cmocka_run_group_tests_name("functions", tests, fill_samples, NULL);
}
