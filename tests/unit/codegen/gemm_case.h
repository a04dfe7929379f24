/*
 * A product to be tested: its kernel, its operands in guarded memory, and what it must give, bit by
 * bit, by plain C code that follows the order of sums that kernel.h promises.
 */
#ifndef TEST_GEMM_CASE_H
#define TEST_GEMM_CASE_H

#include "codegen/jit.h"
#include "guard.h"

/* What happens to the product. */
typedef enum gemm_end {
    GEMM_STORE,     /* c = acc */
    GEMM_BIAS_RELU, /* c = relu(acc + bias[n]) */
    GEMM_UPDATE,    /* c = c - rate * acc, c being read and written in place */
    GEMM_MASK       /* c = other[m, n] > 0 ? acc : 0 */
} gemm_end;

typedef struct gemm_case {
    int64_t b, m, n, k; /* b 0: 1. Of a batched extent, the coefficient */
    int64_t heads;      /* the batch's second part, inside the rows of all operands; 0: none */
    int64_t rows;       /* N; 0: 1 */
    bool b_rows, m_rows, k_rows;
    bool a_by_m, b_by_k, c_by_m; /* contiguous along this axis, not along the last */
    int64_t step;                /* elements between neighbours of the contiguous axis; 0: 1 */
    int64_t pad;                 /* elements between rows */
    coti_gemm_form form;         /* form, tile and pack: as given when height > 0 */
    int32_t height, vectors;
    bool pack;
    int64_t unit_m, unit_n; /* 0: as chosen */
    gemm_end end;
    bool side; /* bias[n] = bias[n] - rate * column sums of B */
} gemm_case;

enum { GEMM_A, GEMM_B, GEMM_C, GEMM_BIAS, GEMM_RATE, GEMM_OTHER, GEMM_SLOTS };

typedef struct gemm_test {
    gemm_case c;
    coti_kernel kernel;
    coti_expr expr[8], side_expr[8];
    coti_access access[8], side_access[8];
    coti_store store[1], side_store[1];
    guard buffer[GEMM_SLOTS], scratch;
    float *want_c, *want_bias, *double_c, *bound_c;
} gemm_test;

/* Fill in the kernel. `target` chooses tile and units where the case leaves them open. */
void gemm_test_init(gemm_test *t, const gemm_case *given, const coti_target *target);
/* Make operands (the same values whatever the layout) and the wanted results. */
void gemm_test_data(gemm_test *t, const coti_target *target, guard_side side);
/* Run over the whole partition axis in chunks of at most `chunk`. */
void gemm_test_run(gemm_test *t, cotr_kernel code, int64_t chunk);
/* The results are the wanted bits, and near the product in double precision. */
void gemm_test_check(const gemm_test *t, const char *what);
void gemm_test_free(gemm_test *t);

/* Length of the partition axis. */
int64_t gemm_test_range(const gemm_test *t);
/* Element c[b, m, n]; b: of both parts of the batch. */
float gemm_test_c(const gemm_test *t, int64_t b, int64_t m, int64_t n);

#endif
