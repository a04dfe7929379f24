/*
 * The JIT's f32 functions and the truth about them: what test_math_ulp (a sample) and sweep (every
 * input) share. Errors are measured in ulp of the true value.
 *
 * Two references: the C library's functions of double, which are quick and within some 2^-50 of the
 * true value (the GNU C Library manual, "Known Maximum Errors in Math Functions": 5 ulp for erfc,
 * fewer for the others), so that an error in ulp of f32 is right to 2^-25; and those of long
 * double, for whoever wants to know whether a bound is broken.
 */
#ifndef MATH_TRUTH_H
#define MATH_TRUTH_H

#include "cotangent/graph.h"

#include <stdint.h>

typedef struct math_function {
    cot_op op;
    double bound; /* in ulp */
    double (*near)(double x);
    long double (*truth)(long double x);
} math_function;

enum { MATH_FUNCTIONS = 14, MATH_ISAS = 3 };
extern const math_function math_functions[MATH_FUNCTIONS];

/* Narrowest first. */
typedef struct math_isa {
    cot_isa isa;
    const char *name;
} math_isa;
extern const math_isa math_isas[MATH_ISAS];

float math_float(uint32_t bits);
uint32_t math_bits(float x);

/*
 * Error of `got` in ulp of the true value. An infinity counts as 2^128, where the next binade would
 * begin, a NaN is right where the truth is one, and a zero must have the truth's sign: otherwise
 * the error is infinite.
 */
double math_error(float got, long double truth);
/* The same, quicker. */
double math_error_near(float got, double truth);

/* The i-th of infinitely many pairs for pow: bases of every exponent, one of four near 1, one of
 * eight negative with a whole exponent; powers between 2^-160 and 2^135. */
void math_pair(uint64_t i, float *x_out, float *y_out);

/* pow where C17 says what it is, F.10.4.4; a NaN stands for any. */
typedef struct math_power {
    float x, y, want;
} math_power;
extern const math_power math_powers[];
extern const int32_t n_math_powers;

/* ---- an operation compiled for one instruction set ---- */

enum { MATH_COLUMNS = 1024 };

typedef struct math_kernel {
    cot_context *context; /* NULL: this build or this machine cannot */
    cot_graph *graph;
    cot_program *program;
    cot_session *session;
} math_kernel;

/* y = op(x), or op(x, x2), of at most `rows` rows of MATH_COLUMNS, on one thread. NULL, or what
 * went wrong. */
const char *math_kernel_create(math_kernel *kernel, cot_op op, cot_isa isa, int64_t rows);
/* x2 is not read by an op of one operand. NULL, or what went wrong. */
const char *math_kernel_run(math_kernel *kernel, const float *x, const float *x2, float *y,
                            int64_t rows);
void math_kernel_destroy(math_kernel *kernel);

#endif
