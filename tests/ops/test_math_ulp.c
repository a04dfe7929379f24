/*
 * The JIT's functions against the C library's long double ones, over a sample of all f32 bit
 * patterns: each sign and exponent, zeros, denormals, infinities and NaN among them; and pow over
 * pairs whose power is near the range of f32. The error is measured in ulp of the true value; the
 * bounds stand in op_case.h. Zeros must have the true value's sign.
 */
#include "check.h"
#include "codegen/jit.h"
#include "op_case.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* ---- samples ---- */

enum {
    COLUMNS = 1024,      /* elements in a row of the program's input */
    PER_EXPONENT = 2048, /* patterns of each sign and exponent */
    PER_BUSY = 8192,     /* of exponents between 2^-27 and 2^13, where the functions live */
    FIRST_BUSY = 100,
    LAST_BUSY = 140,
    N_SAMPLES = 2 * (256 * PER_EXPONENT + (LAST_BUSY - FIRST_BUSY + 1) * (PER_BUSY - PER_EXPONENT)),
    N_ROWS = N_SAMPLES / COLUMNS
};
_Static_assert(N_SAMPLES >= 1 << 20, "the promise of this test");
_Static_assert(N_SAMPLES % COLUMNS == 0, "whole rows");

/* xorshift64* (Vigna, 2016). */
static uint64_t next_word(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static float from_bits(uint32_t bits) {
    float x = 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Mantissas spread evenly over each exponent, jittered but for the first (0) and the last (all
 * ones). */
static void fill_samples(float *x) {
    uint64_t state = 42;
    for (uint32_t top = 0; top < 512; top++) {
        uint32_t exponent = top & 255;
        bool busy = exponent >= FIRST_BUSY && exponent <= LAST_BUSY;
        uint32_t n = busy ? PER_BUSY : PER_EXPONENT, step = (1u << 23) / n;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t jitter = (uint32_t)(next_word(&state) % step);
            jitter = k == 0 ? 0 : k == n - 1 ? step - 1 : jitter;
            *x++ = from_bits(top << 23 | (k * step + jitter));
        }
    }
}

/* Positive bases of every exponent, and exponents that bring the power to 2^-160 ... 2^135. */
static void fill_pairs(float *x, float *y) {
    uint64_t state = 43;
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        x[i] = from_bits((uint32_t)(next_word(&state) % 0x7F800000u));
        if (i % 4 == 0) { /* near 1, where the exponents are large */
            x[i] = from_bits(0x3F800000u + (uint32_t)(next_word(&state) % 0x20000u) - 0x10000u);
        }
        double power = (double)(next_word(&state) >> 11) * 0x1p-53 * 295 - 160;
        y[i] = (float)(power / log2((double)x[i]));
        if (i % 8 == 1) { /* whole exponents, negative bases */
            x[i] = -x[i];
            y[i] = roundf(y[i]);
        }
    }
}

/* ---- errors ---- */

static long double ulp_f32(long double x) {
    int exponent = -125;
    if (x != 0) {
        frexpl(x, &exponent);
    }
    return ldexpl(1, (exponent < -125 ? -125 : exponent > 128 ? 128 : exponent) - 24);
}

/* Error in ulp of the true value; an infinity counts as 2^128, where the next binade would begin.
 */
static double error_of(float got, long double truth) {
    long double top = 0x1p128L;
    if (isnan(got) || isnan(truth)) {
        return isnan(got) && isnan(truth) ? 0 : INFINITY;
    }
    if (got == 0 && !signbit(got) != !signbit(truth)) {
        return INFINITY;
    }
    long double want = fabsl(truth) > 2 * top ? copysignl(top, truth) : truth;
    long double have = isinf(got) ? copysignl(top, got) : got;
    if (isinf(got) && fabsl(truth) >= top) {
        return have * want > 0 ? 0 : INFINITY;
    }
    return (double)(fabsl(have - want) / ulp_f32(want));
}

typedef struct worst {
    double error;
    int64_t at;
} worst;

static worst worst_of(const float *got, const double *truth) {
    worst w = {0, 0};
    for (int64_t i = 0; i < N_SAMPLES; i++) {
        double error = error_of(got[i], truth[i]);
        if (error > w.error) {
            w = (worst){error, i};
        }
    }
    return w;
}

/* ---- the functions ---- */

static long double sigmoidl(long double x) {
    return 1 / (1 + expl(-x));
}

/* Its first term is all that counts far left of 0, and x itself far right. */
static long double softplusl(long double x) {
    return x > 60 ? x : x < -60 ? expl(x) : log1pl(expl(x));
}

/* -0 at -inf. */
static long double gelul(long double x) {
    return x < -200 ? -0.0L : x * erfcl(-x / sqrtl(2)) / 2;
}

static const struct {
    cot_op op;
    const char *name;
    long double (*truth)(long double x);
} functions[] = {{COT_OP_EXP, "exp", expl},
                 {COT_OP_EXPM1, "expm1", expm1l},
                 {COT_OP_LOG1P, "log1p", log1pl},
                 {COT_OP_LOG, "log", logl},
                 {COT_OP_TANH, "tanh", tanhl},
                 {COT_OP_SIGMOID, "sigmoid", sigmoidl},
                 {COT_OP_SOFTPLUS, "softplus", softplusl},
                 {COT_OP_ERF, "erf", erfl},
                 {COT_OP_ERFC, "erfc", erfcl},
                 {COT_OP_GELU, "gelu", gelul},
                 {COT_OP_SIN, "sin", sinl},
                 {COT_OP_COS, "cos", cosl}};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };

static const struct {
    cot_isa isa;
    const char *name;
} isas[] = {{COT_ISA_BASELINE, "baseline"}, {COT_ISA_AVX2, "avx2"}, {COT_ISA_AVX512, "avx512"}};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

static float samples[N_SAMPLES], bases[N_SAMPLES], exponents[N_SAMPLES];
static float results[N_FUNCTIONS][N_SAMPLES];
static double truths[N_FUNCTIONS][N_SAMPLES]; /* 2^-29 ulp of f32 off at most */

/* NULL: this build or this host cannot. */
static cot_context *context_for(cot_isa isa) {
    cot_options options = {.struct_size = sizeof options, .isa = isa, .environment = COT_OFF};
    cot_context *context = coti_jit_available() ? cot_context_create(&options) : NULL;
    coti_target target;
    if (context != NULL && coti_jit_target(context, &target) != COT_OK) {
        cot_context_destroy(context);
        return NULL;
    }
    return context;
}

static void bind_samples(cot_context *context, cot_session *session, const char *name,
                         const float *data) {
    cot_array array = {.data = data, .dtype = COT_F32, .n_rows = N_ROWS, .row_elements = COLUMNS};
    (void)context;
    if (cot_session_bind(session, name, &array) != COT_OK) {
        fail_msg("%s", cot_session_message(session));
    }
}

/* Compile a graph of outputs "0", "1", ..., run it over all samples into results. */
static void run_graph(cot_context *context, cot_graph *graph, int32_t n_outputs, const float *x,
                      const float *y) {
    cot_program_options options = {.struct_size = sizeof options, .max_rows = N_ROWS};
    cot_program *program = cot_program_create(graph, &options);
    cot_session *session = program != NULL ? cot_session_create(program) : NULL;
    if (session == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    assert_true(cot_program_get_info(program).n_kernels > 0);
    bind_samples(context, session, "x", x);
    if (y != NULL) {
        bind_samples(context, session, "y", y);
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        CHECK_OK(context, cot_session_bind_output(session, name, results[i], sizeof results[i]));
    }
    if (cot_session_run(session, N_ROWS) != COT_OK) {
        fail_msg("%s", cot_session_message(session));
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
}

static const cot_shape rows_shape = {2, true, {1, COLUMNS}};

static void test_functions(void **state) {
    int32_t i_isa = *(const int32_t *)*state;
    cot_context *context = context_for(isas[i_isa].isa);
    if (context == NULL) {
        skip();
    }
    cot_graph *graph = cot_graph_create(context, "functions");
    cot_value x = cot_op_input(graph, COT_F32, rows_shape, "x");
    for (int32_t f = 0; f < N_FUNCTIONS; f++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", f);
        CHECK_OK(context, cot_graph_output(cot_op_unary(functions[f].op, x), name));
    }
    run_graph(context, graph, N_FUNCTIONS, samples, NULL);
    for (int32_t f = 0; f < N_FUNCTIONS; f++) {
        worst w = worst_of(results[f], truths[f]);
        print_message("%s on %s: at most %.3f ulp, at %a\n", functions[f].name, isas[i_isa].name,
                      w.error, (double)samples[w.at]);
        if (w.error > MATH_ULP) {
            fail_msg("%s(%a) is %a, expected %a: %.3f ulp", functions[f].name,
                     (double)samples[w.at], (double)results[f][w.at], truths[f][w.at], w.error);
        }
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void test_pow(void **state) {
    int32_t i_isa = *(const int32_t *)*state;
    cot_context *context = context_for(isas[i_isa].isa);
    if (context == NULL) {
        skip();
    }
    cot_graph *graph = cot_graph_create(context, "power");
    cot_value x = cot_op_input(graph, COT_F32, rows_shape, "x");
    cot_value y = cot_op_input(graph, COT_F32, rows_shape, "y");
    CHECK_OK(context, cot_graph_output(cot_op_binary(COT_OP_POW, x, y), "f0"));
    run_graph(context, graph, 1, bases, exponents);
    worst w = worst_of(results[0], truths[0]);
    print_message("pow on %s: at most %.3f ulp, at %a, %a\n", isas[i_isa].name, w.error,
                  (double)bases[w.at], (double)exponents[w.at]);
    if (w.error > POW_ULP) {
        fail_msg("pow(%a, %a) is %a, expected %a: %.3f ulp", (double)bases[w.at],
                 (double)exponents[w.at], (double)results[0][w.at], truths[0][w.at], w.error);
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static int prepare_functions(void **state) {
    (void)state;
    fill_samples(samples);
    for (int32_t f = 0; f < N_FUNCTIONS; f++) {
        for (int32_t i = 0; i < N_SAMPLES; i++) {
            truths[f][i] = (double)functions[f].truth(samples[i]);
        }
    }
    return 0;
}

static int prepare_pow(void **state) {
    (void)state;
    fill_pairs(bases, exponents);
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        truths[0][i] = (double)powl(bases[i], exponents[i]);
    }
    return 0;
}

int main(void) {
    static int32_t index[N_ISAS];
    struct CMUnitTest of_functions[N_ISAS], of_pow[N_ISAS];
    for (int32_t i = 0; i < N_ISAS; i++) {
        index[i] = i;
        of_functions[i] = (struct CMUnitTest){isas[i].name, test_functions, NULL, NULL, &index[i]};
        of_pow[i] = (struct CMUnitTest){isas[i].name, test_pow, NULL, NULL, &index[i]};
    }
    int failed = cmocka_run_group_tests_name("functions", of_functions, prepare_functions, NULL);
    return failed + cmocka_run_group_tests_name("pow", of_pow, prepare_pow, NULL);
}
