/*
 * References, errors and kernels of the f32 functions: contract in math_truth.h.
 */
#include "math_truth.h"

#include "codegen/jit.h"
#include "op_case.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- references ---- */

static double near_rsqrt(double x) {
    return 1 / sqrt(x);
}
static long double true_rsqrt(long double x) {
    return 1 / sqrtl(x);
}
static double near_sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static long double true_sigmoid(long double x) {
    return 1 / (1 + expl(-x));
}
static double near_softplus(double x) {
    return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
}
/* Its first term is all that counts far left of 0, and x itself far right. */
static long double true_softplus(long double x) {
    return x > 60 ? x : x < -60 ? expl(x) : log1pl(expl(x));
}
/* -0 at -inf. The argument's rounding costs 2^-53 x^2, x^2 < 200 where the result is not 0. */
static double near_gelu(double x) {
    return x < -100 ? -0.0 : 0.5 * x * erfc(x * -0.70710678118654752440);
}
static long double true_gelu(long double x) {
    return x < -200 ? -0.0L : x * erfcl(-x / sqrtl(2)) / 2;
}

const math_function math_functions[MATH_FUNCTIONS] = {
    {COT_OP_EXP, MATH_ULP, exp, expl},
    {COT_OP_EXPM1, MATH_ULP, expm1, expm1l},
    {COT_OP_LOG, MATH_ULP, log, logl},
    {COT_OP_LOG1P, MATH_ULP, log1p, log1pl},
    {COT_OP_SQRT, 0.5, sqrt, sqrtl},
    {COT_OP_RSQRT, 1.5, near_rsqrt, true_rsqrt}, /* two roundings */
    {COT_OP_TANH, MATH_ULP, tanh, tanhl},
    {COT_OP_SIGMOID, MATH_ULP, near_sigmoid, true_sigmoid},
    {COT_OP_SOFTPLUS, MATH_ULP, near_softplus, true_softplus},
    {COT_OP_ERF, MATH_ULP, erf, erfl},
    {COT_OP_ERFC, MATH_ULP, erfc, erfcl},
    {COT_OP_GELU, MATH_ULP, near_gelu, true_gelu},
    {COT_OP_SIN, MATH_ULP, sin, sinl},
    {COT_OP_COS, MATH_ULP, cos, cosl},
};

const math_isa math_isas[MATH_ISAS] = {
    {COT_ISA_BASELINE, "baseline"}, {COT_ISA_AVX2, "avx2"}, {COT_ISA_AVX512, "avx512"}};

#define INF (float)INFINITY
#define NOT (float)NAN

const math_power math_powers[] = {
    /* zero to a negative power: odd, not odd, infinite; to a positive one */
    {0, -1, INF},
    {-0.0F, -1, -INF},
    {0, -3, INF},
    {-0.0F, -3, -INF},
    {0, -2, INF},
    {-0.0F, -2, INF},
    {0, -2.5F, INF},
    {-0.0F, -2.5F, INF},
    {0, -INF, INF},
    {-0.0F, -INF, INF},
    {0, 3, 0},
    {-0.0F, 3, -0.0F},
    {0, 2, 0},
    {-0.0F, 2, 0},
    {-0.0F, 2.5F, 0},
    {-0.0F, INF, 0},
    /* odd and even up to where every float is even */
    {-0.0F, 16777215, -0.0F},
    {-0.0F, 16777216, 0},
    {-0.0F, -16777215, -INF},
    {-0.0F, -16777216, INF},
    {-INF, 16777215, -INF},
    {-INF, FLT_MAX, INF},
    {-1, 16777215, -1},
    {-1, 16777216, 1},
    {-1, FLT_MAX, 1},
    /* -1 to an infinite power; 1 to any; any to 0 */
    {-1, INF, 1},
    {-1, -INF, 1},
    {1, 0, 1},
    {1, -2.5F, 1},
    {1, INF, 1},
    {1, -INF, 1},
    {1, NOT, 1},
    {0, 0, 1},
    {-0.0F, -0.0F, 1},
    {-2.5F, 0, 1},
    {INF, -0.0F, 1},
    {-INF, 0, 1},
    {NOT, 0, 1},
    {NOT, -0.0F, 1},
    /* a negative number to what is no integer */
    {-2, 0.5F, NOT},
    {-0.5F, -1.5F, NOT},
    {-FLT_MAX, 0.5F, NOT},
    {-FLT_TRUE_MIN, 8388607.5F, NOT},
    /* infinite powers */
    {0.5F, -INF, INF},
    {-0.5F, -INF, INF},
    {2, -INF, 0},
    {-2, -INF, 0},
    {0.5F, INF, 0},
    {-0.5F, INF, 0},
    {2, INF, INF},
    {-2, INF, INF},
    /* infinite bases */
    {-INF, -3, -0.0F},
    {-INF, -2, 0},
    {-INF, -2.5F, 0},
    {-INF, -INF, 0},
    {-INF, 3, -INF},
    {-INF, 2, INF},
    {-INF, 2.5F, INF},
    {-INF, INF, INF},
    {INF, -1, 0},
    {INF, -0.5F, 0},
    {INF, -INF, 0},
    {INF, 2, INF},
    {INF, 0.5F, INF},
    {INF, INF, INF},
    /* otherwise a NaN stays one */
    {NOT, 1, NOT},
    {2, NOT, NOT},
    {NOT, NOT, NOT},
    {-INF, NOT, NOT},
    {0, NOT, NOT},
};
const int32_t n_math_powers = sizeof math_powers / sizeof math_powers[0];

/* ---- numbers ---- */

float math_float(uint32_t bits) {
    float x = 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

uint32_t math_bits(float x) {
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t random_word(uint64_t i) {
    uint64_t z = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void math_pair(uint64_t i, float *x_out, float *y_out) {
    uint64_t first = random_word(2 * i), second = random_word(2 * i + 1);
    float x = math_float((uint32_t)(first % 0x7F800000U));
    if (i % 4 == 0) { /* near 1, where the exponents are large */
        x = math_float(0x3F7F0000U + (uint32_t)(first % 0x20000U));
    }
    double power = (double)(second >> 11) * 0x1p-53 * 295 - 160;
    float y = (float)(power / log2((double)x));
    bool negative = i % 8 == 1;
    *x_out = negative ? -x : x;
    *y_out = negative ? roundf(y) : y;
}

static long double ulp_of(long double x) {
    int exponent = -125;
    if (x != 0) {
        frexpl(x, &exponent);
    }
    return ldexpl(1, (exponent < -125 ? -125 : exponent > 128 ? 128 : exponent) - 24);
}

double math_error(float got, long double truth) {
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
    return (double)(fabsl(have - want) / ulp_of(want));
}

double math_error_near(float got, double truth) {
    bool agree = !signbit(got) == !signbit(truth);
    if ((isnan(got) && isnan(truth)) || (isinf(got) && agree && fabs(truth) >= 0x1p128)) {
        return 0;
    }
    if (!isfinite(got) || !(fabs(truth) < 0x1p127) || (got == 0 && !agree)) {
        return math_error(got, truth);
    }
    uint64_t bits = 0;
    memcpy(&bits, &truth, sizeof bits);
    uint64_t exponent = bits >> 52 & 0x7FF, least = 1023 - 126;
    /* 2^23 over the truth's power of two, or the least normal one. */
    bits = (2046 + 23 - (exponent > least ? exponent : least)) << 52;
    double per_ulp = 0;
    memcpy(&per_ulp, &bits, sizeof per_ulp);
    return fabs((double)got - truth) * per_ulp;
}

/* ---- kernels ---- */

const char *math_kernel_create(math_kernel *kernel, cot_op op, cot_isa isa, int64_t rows) {
    cot_options options = {
        .struct_size = sizeof options, .isa = isa, .threads = 1, .environment = COT_OFF};
    *kernel = (math_kernel){NULL, NULL, NULL, NULL};
    cot_context *context = coti_jit_available() ? cot_context_create(&options) : NULL;
    coti_target target;
    if (context == NULL || coti_jit_target(context, &target) != COT_OK) {
        cot_context_destroy(context);
        return NULL;
    }
    kernel->context = context;
    kernel->graph = cot_graph_create(context, "function");
    const cot_shape shape = {2, true, {1, MATH_COLUMNS}};
    cot_value x = cot_op_input(kernel->graph, COT_F32, shape, "x");
    cot_value y = op == COT_OP_POW
                      ? cot_op_binary(op, x, cot_op_input(kernel->graph, COT_F32, shape, "x2"))
                      : cot_op_unary(op, x);
    cot_graph_output(y, "y");
    cot_program_options program = {.struct_size = sizeof program, .max_rows = rows};
    kernel->program = cot_program_create(kernel->graph, &program);
    kernel->session = kernel->program != NULL ? cot_session_create(kernel->program) : NULL;
    if (kernel->session == NULL) {
        return cot_error_message(context);
    }
    return cot_program_get_info(kernel->program).n_kernels > 0 ? NULL : "there is no kernel";
}

const char *math_kernel_run(math_kernel *kernel, const float *x, const float *x2, float *y,
                            int64_t rows) {
    cot_array array = {.data = x, .dtype = COT_F32, .n_rows = rows, .row_elements = MATH_COLUMNS};
    cot_status status = cot_session_bind(kernel->session, "x", &array);
    if (status == COT_OK && cot_graph_n_inputs(kernel->graph) == 2) {
        array.data = x2;
        status = cot_session_bind(kernel->session, "x2", &array);
    }
    if (status == COT_OK) {
        size_t bytes = (size_t)rows * MATH_COLUMNS * sizeof *y;
        status = cot_session_bind_output(kernel->session, "y", y, bytes);
    }
    status = status == COT_OK ? cot_session_run(kernel->session, rows) : status;
    return status == COT_OK ? NULL : cot_session_message(kernel->session);
}

void math_kernel_destroy(math_kernel *kernel) {
    cot_session_destroy(kernel->session);
    cot_program_destroy(kernel->program);
    if (kernel->graph != NULL) {
        cot_graph_destroy(kernel->graph);
    }
    cot_context_destroy(kernel->context);
}
