/*
 * The op cases of tests/ops_cases.def, and what their runners share: the table, operands made from
 * it, the graph of a case, the expected result by arithmetic of the test's own, and the comparison.
 *
 * The test's tensors hold long doubles whatever the dtype: x87's and IEEE quad's 64 and 113 bits
 * hold every value of every dtype exactly. Nothing here calls the evaluator.
 */
#ifndef OP_CASE_H
#define OP_CASE_H

#include "cotangent/graph.h"

#include <stdio.h>

/* ---- memory: everything of a case dies together ---- */

typedef struct pool_block pool_block;
typedef struct pool {
    pool_block *blocks;
} pool;

/* Zeroed; ends the process when there is none, as a test has nothing to do then. */
void *pool_take(pool *p, size_t n, size_t size);
void pool_empty(pool *p);

typedef struct tensor {
    cot_dtype dtype;
    cot_shape shape; /* N bound */
    int64_t count;
    long double *v;
} tensor;

/* ---- the table (op_case.c) ---- */

enum {
    NOWHERE = 0,
    F32 = 1 << COT_F32,
    F64 = 1 << COT_F64,
    I32 = 1 << COT_I32,
    I64 = 1 << COT_I64,
    U8 = 1 << COT_U8,
    BOOL = 1 << COT_BOOL,
    FLOATS = F32 | F64,
    INTS = I32 | I64 | U8,
    NUMBERS = FLOATS | INTS,
    ANY = NUMBERS | BOOL
};

/* How operands are made: values.c. */
typedef enum value_kind {
    NONE,       /* no operands */
    SPECIAL,    /* zeros, ones, denormals, extremes, infinities, NaN: every pair in 961 elements */
    WIDE,       /* as SPECIAL, but finite ones at most 1e15; targets of cross-entropy: one-hot */
    NORMAL,     /* about standard normal, times 1, 4 or 1/8; integers: any */
    POSITIVE,   /* 2^u, u uniform in [-8, 8] */
    KINK,       /* 0, -0 and the smallest and small numbers of both signs */
    TIES,       /* -2, -1, 0, 1, 2 (unsigned: 0 to 4) */
    SMALL_INTS, /* -15 to 15 (unsigned: 0 to 30), every pair in 961 elements */
    INDEX,      /* 0, 1, 2, ...: each element its place (u8: mod 251; bool: by a pattern) */
    LABELS,     /* -2 to 7 and the extremes */
    SEEDS,      /* seed and step of a stream */
    FAR,        /* 10000 and more, as NORMAL; of normalisations x alone, the others NORMAL */
    PROBABILITIES, /* operand 0: rows of the last axis that sum to 1; the others NORMAL */
} value_kind;

typedef enum tolerance_kind { TOL_ULP, TOL_ABS_SUM } tolerance_kind;

/* The words of the table's columns, as ops_cases.def explains them. */
typedef struct tolerance {
    tolerance_kind kind;
    double ulps;     /* TOL_ULP: of the result's dtype; TOL_ABS_SUM: units of half an ulp of 1 */
    double f64_more; /* ulps more in f64 */
    double floor;    /* ulp of the larger of |result| and this */
    bool any_zero;   /* zeros of both signs are equal */
} tolerance;

/*
 * The one place of these bounds: the JIT's functions, and its pow, are within so many f32 ulp of
 * the true value, over all floats. test_math_ulp.c holds them to it, scripts/sweep all over.
 */
#define MATH_ULP 2
#define POW_ULP 1

/* The same in f64, of the true value in f64 ulp: test_math64_ulp.c. */
#define MATH64_ULP 2
#define POW64_ULP 1

#define EXACT {TOL_ULP, 0, 0, 0, false}
#define ANY_ZERO {TOL_ULP, 0, 0, 0, true}
#define ROUNDED {TOL_ULP, 0, 1, 0, false}
#define ULP(n) {TOL_ULP, (n), 0, 0, false}
#define ULP_2(n, m) {TOL_ULP, (n), (m) - (n), 0, false}
#define ULP_AT(n, x) {TOL_ULP, (n), 0, (x), true}
#define ULP_AT_2(n, m, x) {TOL_ULP, (n), (m) - (n), (x), true}
#define ABS_SUM(n) {TOL_ABS_SUM, (n), 0, 0, true}

typedef struct op_case {
    int32_t line; /* in ops_cases.def */
    cot_op op;
    unsigned eval_dtypes, jit_dtypes;
    value_kind values;
    const char *shapes, *attr;
    tolerance eval, jit;
    const char *reason;
} op_case;

typedef struct op_literal {
    int32_t line;
    cot_op op;
    const char *operands, *attr, *result;
} op_literal;

extern const op_case op_cases[];
extern const int32_t n_op_cases;
extern const op_literal op_literals[];
extern const int32_t n_op_literals;

/* Is operand i an index: i32, or as `index=` says, with values of its own (values.c), or that of
 * `start=`? */
bool is_index_operand(cot_op op, int32_t i);

/* The first case of an op, which sets its usual tolerances. */
const op_case *first_case(cot_op op);

/* ---- attributes of a row (op_case.c) ---- */

/* Integers of `key=1,2,3`; an 'N' reads as 1. False: no such key. */
bool attr_ints(const char *attr, const char *key, int64_t v[COT_MAX_RANK], int32_t *n_out);
int64_t attr_int(const char *attr, const char *key, int64_t otherwise);
double attr_real(const char *attr, const char *key, double otherwise);
bool attr_is(const char *attr, const char *key, const char *word);
/* Does the op normalise: x, scale, offset? */
bool is_norm(cot_op op);
cot_dtype attr_dtype(const char *attr, const char *key, cot_dtype otherwise);

/* ---- trials: a case with a dtype, shapes and a row count (op_case.c) ---- */

enum { MAX_OPERANDS = 4 };

typedef struct trial {
    const char *where; /* "ops_cases.def:17" and more, for messages */
    cot_op op;
    const char *attr;
    cot_dtype dtype;
    value_kind values;
    int64_t rows;
    int32_t n;                       /* operands */
    cot_shape shape[MAX_OPERANDS];   /* with N not bound */
    cot_dtype operand[MAX_OPERANDS]; /* their dtypes */
    bool repeated[MAX_OPERANDS];     /* the first operand once more */
    bool has_result;                 /* IOTA, RANDOM, RESHAPE, BROADCAST */
    cot_shape result;
    bool batched; /* some shape is */
} trial;

/* The next alternative of a row's shapes; false at the end. `cursor` starts at the row's text. */
bool next_trial(const op_case *c, cot_dtype dtype, const char **cursor, trial *t);

/* A trial in words, into `buffer`: "ops_cases.def:17: add f32 [N,5] [5] {axis=1} N=16". */
const char *trial_text(char buffer[512], const trial *t);

/* "f32 2,3: 1 2 3 4 5 6"; *cursor moves past it and a '|'. False at the end. */
bool next_literal(pool *p, const char **cursor, tensor *out);
/* A literal as a trial, and its operands. */
void literal_trial(pool *p, const op_literal *literal, trial *t, tensor operand[MAX_OPERANDS]);

/* ---- tensors (tensor.c) ---- */

tensor tensor_make(pool *p, cot_dtype dtype, const cot_shape *shape, int64_t rows);
/* Round a number to a dtype's values, as a store would: integers must be in range. */
long double round_to(cot_dtype dtype, long double value);
/* To and from memory of the tensor's dtype. */
void *tensor_bytes(pool *p, const tensor *x);
tensor tensor_read(pool *p, cot_dtype dtype, const cot_shape *shape, int64_t rows,
                   const void *bytes);
/* The index of element i on each axis, and the element at an index. */
void tensor_index(const tensor *x, int64_t i, int64_t index[COT_MAX_RANK]);
int64_t tensor_at(const tensor *x, const int64_t index[COT_MAX_RANK]);

/* Operand i of a trial, filled as its values say; a pure function of its arguments. */
tensor make_operand(pool *p, const trial *t, int32_t i, const cot_shape *shape);

/* ---- graphs (build.c) ---- */

/*
 * The trial's op on x[0..n). STATE and CONST take their data from `data[0]` and have no x. The
 * result is poisoned when a builder refuses, with the context's error.
 */
cot_value build_op(cot_graph *graph, const trial *t, const cot_value *x, const tensor *data);
/* Does the op take its operands from graph inputs? STATE and CONST do not. */
bool takes_inputs(cot_op op);

/* ---- expected results (expect_*.c) ---- */

/*
 * What the op gives, computed from the operands by index formulas and long double arithmetic, and
 * rounded to the dtype. magnitude_out (may be NULL): the sum of |terms| of each element, for sums
 * and products; NULL data for others.
 */
tensor expect_op(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);

typedef tensor (*expect_fn)(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_elementwise(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_compare(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_select(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_cast(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_view(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_window(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_concat(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_leaf(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_reduce(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_dot(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_conv(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_pool(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_one_hot(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_gather(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_scatter_add(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_dynamic(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_argsort(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_cumsum(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_random(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_scan(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_composite(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_custom(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_norm(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);
tensor expect_attention(pool *p, const trial *t, const tensor *x, tensor *magnitude_out);

/* ---- comparison (tensor.c) ---- */

/* Distance in units in the last place of `dtype`: 0 for equal bits or two NaNs, infinite for a NaN
 * against a number. */
double ulp_distance(cot_dtype dtype, long double a, long double b);

/* NULL when got is want within the tolerance; else a text in `buffer`. magnitude: for TOL_ABS_SUM.
 */
const char *compare(char buffer[256], const tensor *got, const tensor *want,
                    const tensor *magnitude, tolerance tol);

#endif
