/*
 * The JIT's functions of f64 against the C library's long double ones: over a sample of every sign
 * and exponent, denser where the functions live and densest around the places where their formulas
 * change; and pow over pairs whose power is near the range of f64, and over all pairs of special
 * values. The error is measured in ulp of the true value; the bounds stand in op_case.h. Zeros must
 * have the true value's sign.
 *
 * A long double of 64 bits resolves 2^-11 ulp. Where long double has fewer the test would measure
 * the C library's functions as much as ours, and skips itself.
 *
 * Each function runs again in shorter rows, which put elements at other lanes and behind masks, and
 * on a few vectors of three elements, narrower than a register: the bits must be equal. So must
 * those of all instruction sets that have fma.
 */
#include "check.h"
#include "codegen/jit.h"
#include "op_case.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* ---- samples ---- */

enum {
    LONG_ROW = 1000,
    SHORT_ROW = 25, /* no multiple of any vector's lanes */
    NARROW = 3,
    N_SAMPLES = 160000,
    PER_EXPONENT = 10,
    PER_BUSY = 1024, /* of exponents between 2^-30 and 2^10, where the functions live */
    FIRST_BUSY = 1023 - 30,
    LAST_BUSY = 1023 + 10,
    AROUND_BORDER = 24
};
_Static_assert(N_SAMPLES % LONG_ROW == 0 && LONG_ROW % SHORT_ROW == 0, "whole rows");

/* Where a formula changes, where a result leaves the range, where it first is 1 or 0; the multiples
 * of pi/2 that doubles come closest to (6381956970095103 * 2^797: Kahan). */
static const double borders[] = {0x1p-1074,
                                 0x1p-1022,
                                 0x1p-54,
                                 0x1p-53,
                                 0x1p-28,
                                 0.25,
                                 0.2928932188134524,
                                 0.34657359027997264,
                                 0.41421356237309503,
                                 0.5,
                                 0.625,
                                 0.6875,
                                 0.70710678118654757,
                                 0.84375,
                                 1,
                                 1.0397207708399179,
                                 1.0986122886681098,
                                 1.1931471805599454,
                                 1.25,
                                 1.4142135623730951,
                                 1.5707963267948966,
                                 1.7677669529663689,
                                 2,
                                 2.8571428571428572,
                                 3.1415926535897931,
                                 4.7123889803846897,
                                 5.9215871957945083,
                                 6,
                                 9.0109133472792881,
                                 18.714973875118524,
                                 19.061547465398498,
                                 22,
                                 26.543258430632299,
                                 27.226017111108366,
                                 36.7368005696771,
                                 37.5,
                                 38.5,
                                 40,
                                 645699.99,
                                 708.39641853226408,
                                 709.43613930310391,
                                 709.78271289338397,
                                 710,
                                 744.44007192138122,
                                 745.13321910194122,
                                 746,
                                 1647099,
                                 0x1p31,
                                 0x1p52,
                                 0x1p53,
                                 6381956970095103. * 0x1p797,
                                 0x1.fffffffffffffp1023};
enum { N_BORDERS = sizeof borders / sizeof borders[0] };

/* xorshift64* (Vigna, 2016). */
static uint64_t next_word(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static double from_bits(uint64_t bits) {
    double x = 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t to_bits(double x) {
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof x);
    return bits;
}

/* Mantissas spread evenly over each exponent, jittered but for the first (0) and the last (all
 * ones). Returns the end. */
static double *fill_exponent(double *x, uint64_t top, uint64_t n, uint64_t *state) {
    uint64_t step = (UINT64_C(1) << 52) / n;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t jitter = next_word(state) % step;
        jitter = k == 0 ? 0 : k == n - 1 ? (UINT64_C(1) << 52) - 1 - k * step : jitter;
        *x++ = from_bits(top << 52 | (k * step + jitter));
    }
    return x;
}

/* The sample; what room is left holds multiples of pi/2, near which sin and cos lose the most. */
static void fill_samples(double *x) {
    double *end = x + N_SAMPLES;
    uint64_t state = 42;
    for (uint64_t top = 0; top < 4096; top++) {
        uint64_t exponent = top & 2047;
        bool busy = exponent >= FIRST_BUSY && exponent <= LAST_BUSY;
        x = fill_exponent(x, top, busy ? PER_BUSY : PER_EXPONENT, &state);
    }
    for (int32_t b = 0; b < 2 * N_BORDERS; b++) {
        double border = b % 2 == 0 ? borders[b / 2] : -borders[b / 2];
        for (uint64_t k = 0; k < 2 * AROUND_BORDER; k++) {
            *x++ = from_bits(to_bits(border) + k - AROUND_BORDER);
        }
    }
    if (x >= end) {
        fail_msg("more than %d samples", N_SAMPLES);
    }
    while (x < end) {
        double n = (double)(next_word(&state) >> (33 + next_word(&state) % 30));
        *x++ = (double)(n * 1.57079632679489661923L);
    }
}

static const double specials[] = {0,
                                  1,
                                  2,
                                  3,
                                  0.5,
                                  1.5,
                                  0x1p-1074,
                                  0x1p-1022,
                                  0x1.fffffffffffffp-1,
                                  0x1.0000000000001p0,
                                  0x1.fffffffffffffp1023,
                                  0x1p52,
                                  0x1.0000000000001p52,
                                  0x1.fffffffffffffp51,
                                  0x1p53,
                                  0x1.fffffffffffffp52,
                                  0x1p64,
                                  1e300,
                                  INFINITY,
                                  NAN};
enum { N_SPECIALS = sizeof specials / sizeof specials[0] };
enum { N_PAIRS = 4 * (int)N_SPECIALS * (int)N_SPECIALS };
_Static_assert((int)N_PAIRS < (int)N_SAMPLES, "room for all pairs");

static double special(int32_t i) {
    return i < N_SPECIALS ? specials[i] : -specials[i - N_SPECIALS];
}

/* All pairs of special values; then positive bases of every exponent, and exponents that bring the
 * power to 2^-1090 ... 2^1030. */
static void fill_pairs(double *x, double *y) {
    uint64_t state = 43;
    for (int32_t i = 0; i < N_PAIRS; i++) {
        x[i] = special(i / (2 * N_SPECIALS));
        y[i] = special(i % (2 * N_SPECIALS));
    }
    for (int32_t i = N_PAIRS; i < N_SAMPLES; i++) {
        x[i] = from_bits(next_word(&state) % UINT64_C(0x7FF0000000000000));
        if (i % 4 == 0) { /* near 1, where the exponents are large */
            uint64_t window = UINT64_C(1) << (10 + next_word(&state) % 40);
            x[i] = from_bits(to_bits(1) + next_word(&state) % window - window / 2);
        } else if (i % 4 == 2) {
            x[i] = ldexp(x[i], -ilogb(x[i]) + (int)(next_word(&state) % 3) - 1);
        }
        double power = (double)(next_word(&state) >> 11) * 0x1p-53 * 2120 - 1090;
        y[i] = (double)(power / log2l(x[i]));
        if (i % 8 == 1) { /* whole exponents, negative bases */
            x[i] = -x[i];
            y[i] = round(y[i]);
        }
    }
}

/* ---- errors ---- */

static long double ulp_f64(long double x) {
    int exponent = -1021;
    if (x != 0) {
        frexpl(x, &exponent);
    }
    return ldexpl(1, (exponent < -1021 ? -1021 : exponent > 1024 ? 1024 : exponent) - 53);
}

/* Error in ulp of the true value; an infinity counts as 2^1024, where the next binade would begin.
 */
static double error_of(double got, long double truth) {
    long double top = 0x1p1024L;
    if (isnan(got) || isnan(truth)) {
        return isnan(got) && isnan(truth) ? 0 : INFINITY;
    }
    if (got == 0 && !signbit(got) != !signbit(truth)) {
        return INFINITY;
    }
    long double want = fabsl(truth) > 2 * top ? copysignl(2 * top, truth) : truth;
    long double have = isinf(got) ? copysignl(top, got) : got;
    if (isinf(got) && fabsl(truth) >= top) {
        return have * want > 0 ? 0 : INFINITY;
    }
    return (double)(fabsl(have - want) / ulp_f64(want));
}

static bool same_bits(double a, double b) {
    return (isnan(a) && isnan(b)) || to_bits(a) == to_bits(b);
}

/* ---- the functions ---- */

static long double sigmoidl(long double x) {
    return 1 / (1 + expl(-x));
}

static long double rsqrtl(long double x) {
    return 1 / sqrtl(x);
}

static long double softplusl(long double x) {
    return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
}

/*
 * x erfc(-x / sqrt(2)) / 2. Far in the left tail the rounding of x / sqrt(2) to a long double would
 * count: erfc(a + d) is erfc(a) e^(-2 a d) there, for a tiny d.
 */
static long double gelul(long double x) {
    const long double root = 0x0.b504f333f9de6484p0L, root_low = 0x0.b2fb1366ea957d3ep-65L;
    if (!(fabsl(x) < 60)) {
        return x < 0 ? -0.0L : x;
    }
    long double a = -x * root;
    long double rest = fmal(-x, root, -a) - x * root_low;
    return x / 2 * erfcl(a) * expl(a > 1 ? -2 * a * rest : 0);
}

typedef struct function {
    cot_op op;
    const char *name;
    double bound;
    long double (*of_one)(long double x);
    long double (*of_two)(long double x, long double y);
} function;

static const function functions[] = {
    {COT_OP_SQRT, "sqrt", 0.5, sqrtl, NULL},
    {COT_OP_RSQRT, "rsqrt", MATH64_ULP, rsqrtl, NULL},
    {COT_OP_EXP, "exp", MATH64_ULP, expl, NULL},
    {COT_OP_EXPM1, "expm1", MATH64_ULP, expm1l, NULL},
    {COT_OP_LOG, "log", MATH64_ULP, logl, NULL},
    {COT_OP_LOG1P, "log1p", MATH64_ULP, log1pl, NULL},
    {COT_OP_TANH, "tanh", MATH64_ULP, tanhl, NULL},
    {COT_OP_SIGMOID, "sigmoid", MATH64_ULP, sigmoidl, NULL},
    {COT_OP_SOFTPLUS, "softplus", MATH64_ULP, softplusl, NULL},
    {COT_OP_ERF, "erf", MATH64_ULP, erfl, NULL},
    {COT_OP_ERFC, "erfc", MATH64_ULP, erfcl, NULL},
    {COT_OP_GELU, "gelu", MATH64_ULP, gelul, NULL},
    {COT_OP_SIN, "sin", MATH64_ULP, sinl, NULL},
    {COT_OP_COS, "cos", MATH64_ULP, cosl, NULL},
    {COT_OP_POW, "pow", POW64_ULP, NULL, powl},
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };

static const struct {
    cot_isa isa;
    const char *name;
} isas[] = {{COT_ISA_BASELINE, "baseline"}, {COT_ISA_AVX2, "avx2"}, {COT_ISA_AVX512, "avx512"}};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

static double samples[N_SAMPLES], bases[N_SAMPLES], exponents[N_SAMPLES];
static double results[N_ISAS][N_SAMPLES], again[N_SAMPLES];
static long double truths[N_SAMPLES];

/* ---- runs ---- */

static cot_context *contexts[N_ISAS]; /* NULL: this build or this host cannot */
static coti_target targets[N_ISAS];

static cot_context *context_for(cot_isa isa, coti_target *target) {
    cot_options options = {.struct_size = sizeof options, .isa = isa, .environment = COT_OFF};
    cot_context *context = coti_jit_available() ? cot_context_create(&options) : NULL;
    if (context != NULL && coti_jit_target(context, target) != COT_OK) {
        cot_context_destroy(context);
        return NULL;
    }
    return context;
}

static void bind_samples(cot_session *session, const char *name, const double *data, int64_t n_rows,
                         int64_t row) {
    cot_array array = {.data = data, .dtype = COT_F64, .n_rows = n_rows, .row_elements = row};
    if (cot_session_bind(session, name, &array) != COT_OK) {
        fail_msg("%s", cot_session_message(session));
    }
}

/* A program of the function for operands of a shape. */
static cot_session *open_session(cot_context *context, const function *f, cot_shape shape,
                                 int64_t max_rows, cot_program **program_out) {
    cot_graph *graph = cot_graph_create(context, f->name);
    cot_value x = cot_op_input(graph, COT_F64, shape, "x"), y = {0};
    if (f->of_two != NULL) {
        y = cot_op_input(graph, COT_F64, shape, "y");
    }
    cot_value result = f->of_two != NULL ? cot_op_binary(f->op, x, y) : cot_op_unary(f->op, x);
    CHECK_OK(context, cot_graph_output(result, "f"));
    cot_program_options options = {.struct_size = sizeof options, .max_rows = max_rows};
    cot_program *program = cot_program_create(graph, &options);
    cot_session *session = program != NULL ? cot_session_create(program) : NULL;
    if (session == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    assert_true(cot_program_get_info(program).n_kernels > 0);
    cot_graph_destroy(graph);
    *program_out = program;
    return session;
}

/* The function of samples (pow: of pairs) first ..., n_rows * row of them. */
static void run_session(cot_session *session, const function *f, int64_t first, int64_t n_rows,
                        int64_t row, double *out) {
    bind_samples(session, "x", (f->of_two != NULL ? bases : samples) + first, n_rows, row);
    if (f->of_two != NULL) {
        bind_samples(session, "y", exponents + first, n_rows, row);
    }
    size_t bytes = (size_t)(n_rows * row) * sizeof *out;
    if (cot_session_bind_output(session, "f", out + first, bytes) != COT_OK ||
        cot_session_run(session, n_rows) != COT_OK) {
        fail_msg("%s", cot_session_message(session));
    }
}

/* All samples, as rows of `row` elements. */
static void run_rows(cot_context *context, const function *f, int64_t row, double *out) {
    cot_program *program = NULL;
    int64_t n_rows = N_SAMPLES / row;
    cot_session *session =
        open_session(context, f, (cot_shape){2, true, {1, row}}, n_rows, &program);
    run_session(session, f, 0, n_rows, row, out);
    cot_session_destroy(session);
    cot_program_destroy(program);
}

/* Some of the samples, as vectors of NARROW elements, into their places of `out`. */
static void run_narrow(cot_context *context, const function *f, double *out) {
    cot_program *program = NULL;
    cot_session *session = open_session(context, f, (cot_shape){1, false, {NARROW}}, 1, &program);
    for (int64_t first = 0; first + NARROW <= N_SAMPLES; first += N_SAMPLES / 100) {
        run_session(session, f, first, 1, NARROW, out);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
}

static double operand(const function *f, int32_t i) {
    return f->of_two != NULL ? bases[i] : samples[i];
}

static void check_errors(const function *f, const double *got, const char *isa) {
    double worst = 0;
    int32_t at = 0;
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        double error = error_of(got[i], truths[i]);
        if (error > worst) {
            worst = error;
            at = i;
        }
    }
    double y = f->of_two != NULL ? exponents[at] : 0;
    print_message("%s on %s: at most %.3f ulp, at %a, %a\n", f->name, isa, worst, operand(f, at),
                  y);
    if (worst > f->bound) {
        fail_msg("%s(%a, %a) on %s is %a, expected %.18La: %.3f ulp", f->name, operand(f, at), y,
                 isa, got[at], truths[at], worst);
    }
}

static void check_same(const function *f, const double *a, const double *b, const char *what) {
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        if (!same_bits(a[i], b[i])) {
            fail_msg("%s(%a): %a and %a %s", f->name, operand(f, i), a[i], b[i], what);
        }
    }
}

static void test_function(void **state) {
    const function *f = *state;
    int32_t with_fma = -1, n_run = 0;
    if (LDBL_MANT_DIG < 64) {
        skip();
    }
    for (int32_t i = 0; i < N_SAMPLES; i++) {
        truths[i] = f->of_two != NULL ? f->of_two(bases[i], exponents[i]) : f->of_one(samples[i]);
    }
    for (int32_t i = 0; i < N_ISAS; i++) {
        if (contexts[i] == NULL) {
            continue;
        }
        n_run++;
        run_rows(contexts[i], f, LONG_ROW, results[i]);
        run_rows(contexts[i], f, SHORT_ROW, again);
        check_errors(f, results[i], isas[i].name);
        check_same(f, results[i], again, "in rows of two lengths");
        run_narrow(contexts[i], f, again);
        check_same(f, results[i], again, "in vectors of two widths");
        if (targets[i].fma && with_fma >= 0) {
            check_same(f, results[with_fma], results[i], "on two instruction sets with fma");
        }
        with_fma = targets[i].fma ? i : with_fma;
    }
    if (n_run == 0) {
        skip();
    }
}

int main(void) {
    struct CMUnitTest test[N_FUNCTIONS];
    fill_samples(samples);
    fill_pairs(bases, exponents);
    for (int32_t i = 0; i < N_ISAS; i++) {
        contexts[i] = context_for(isas[i].isa, &targets[i]);
    }
    for (int32_t i = 0; i < N_FUNCTIONS; i++) {
        test[i] = (struct CMUnitTest){functions[i].name, test_function, NULL, NULL,
                                      (void *)(uintptr_t)&functions[i]};
    }
    int failed = cmocka_run_group_tests_name("f64", test, NULL, NULL);
    for (int32_t i = 0; i < N_ISAS; i++) {
        cot_context_destroy(contexts[i]);
    }
    return failed;
}
