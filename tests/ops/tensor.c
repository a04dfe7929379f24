/*
 * The test's tensors: memory, element order, rounding to a dtype, and comparison in ulp.
 */
#include "op_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

struct pool_block {
    pool_block *next;
    long double data[];
};

void *pool_take(pool *p, size_t n, size_t size) {
    pool_block *block = calloc(1, sizeof *block + n * size + 1);
    if (block == NULL) {
        fputs("the test is out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    block->next = p->blocks;
    p->blocks = block;
    return block->data;
}

void pool_empty(pool *p) {
    while (p->blocks != NULL) {
        pool_block *next = p->blocks->next;
        free(p->blocks);
        p->blocks = next;
    }
}

/* ---- elements ---- */

tensor tensor_make(pool *p, cot_dtype dtype, const cot_shape *shape, int64_t rows) {
    tensor x = {.dtype = dtype, .shape = *shape, .count = 1};
    if (shape->batched) {
        x.shape.dim[0] *= rows;
        x.shape.batched = false;
    }
    for (int32_t d = 0; d < shape->rank; d++) {
        x.count *= x.shape.dim[d];
    }
    x.v = pool_take(p, (size_t)x.count, sizeof *x.v);
    return x;
}

void tensor_index(const tensor *x, int64_t i, int64_t index[COT_MAX_RANK]) {
    for (int32_t d = x->shape.rank - 1; d >= 0; d--) {
        index[d] = i % x->shape.dim[d];
        i /= x->shape.dim[d];
    }
}

int64_t tensor_at(const tensor *x, const int64_t index[COT_MAX_RANK]) {
    int64_t at = 0;
    for (int32_t d = 0; d < x->shape.rank; d++) {
        at = at * x->shape.dim[d] + index[d];
    }
    return at;
}

long double round_to(cot_dtype dtype, long double value) {
    if (dtype == COT_F32) {
        return (float)value;
    }
    if (dtype == COT_F64) {
        return (double)value;
    }
    return dtype == COT_BOOL ? (long double)(value != 0) : truncl(value);
}

void *tensor_bytes(pool *p, const tensor *x) {
    size_t size = cot_dtype_bytes(x->dtype);
    char *bytes = pool_take(p, (size_t)x->count, size);
    for (int64_t i = 0; i < x->count; i++) {
        char *at = bytes + (size_t)i * size;
        float f32 = (float)x->v[i];
        double f64 = (double)x->v[i];
        bool real = x->dtype == COT_F32 || x->dtype == COT_F64;
        int64_t i64 = real ? 0 : (int64_t)x->v[i];
        int32_t i32 = (int32_t)i64;
        uint8_t u8 = (uint8_t)i64;
        const void *from = x->dtype == COT_F32   ? (void *)&f32
                           : x->dtype == COT_F64 ? (void *)&f64
                           : x->dtype == COT_I32 ? (void *)&i32
                           : x->dtype == COT_I64 ? (void *)&i64
                                                 : (void *)&u8;
        memcpy(at, from, size);
    }
    return bytes;
}

static long double read_element(cot_dtype dtype, const void *bytes, int64_t i) {
    switch (dtype) {
    case COT_F32:
        return ((const float *)bytes)[i];
    case COT_F64:
        return ((const double *)bytes)[i];
    case COT_I32:
        return ((const int32_t *)bytes)[i];
    case COT_I64:
        return ((const int64_t *)bytes)[i];
    case COT_U8:
    case COT_BOOL:
        return ((const uint8_t *)bytes)[i];
    }
    return 0;
}

tensor tensor_read(pool *p, cot_dtype dtype, const cot_shape *shape, int64_t rows,
                   const void *bytes) {
    tensor x = tensor_make(p, dtype, shape, rows);
    for (int64_t i = 0; i < x.count; i++) {
        x.v[i] = read_element(dtype, bytes, i);
    }
    return x;
}

/* ---- comparison ---- */

/* Floats of either width as integers in the order of their values; -0 and 0 both map to 0. */
static int64_t ordered(cot_dtype dtype, long double value) {
    int64_t bits = 0;
    if (dtype == COT_F32) {
        float f = (float)value;
        int32_t narrow = 0;
        memcpy(&narrow, &f, sizeof f);
        bits = narrow;
        return bits < 0 ? INT32_MIN - bits : bits;
    }
    double f = (double)value;
    memcpy(&bits, &f, sizeof f);
    return bits < 0 ? INT64_MIN - bits : bits;
}

double ulp_distance(cot_dtype dtype, long double a, long double b) {
    if (isnan(a) || isnan(b)) {
        return isnan(a) && isnan(b) ? 0 : INFINITY;
    }
    return fabs((double)((long double)ordered(dtype, a) - (long double)ordered(dtype, b)));
}

/* The gap from |x| to the next larger number of a float dtype, 2^-24 and 2^-53 of a binade's top.
 */
static long double ulp_of(cot_dtype dtype, long double x) {
    int digits = dtype == COT_F32 ? 24 : 53;
    int lowest = dtype == COT_F32 ? -125 : -1021;
    int exponent = lowest;
    if (x != 0) {
        frexpl(x, &exponent);
    }
    return ldexpl(1, (exponent < lowest ? lowest : exponent) - digits);
}

/* Error of a float element in the tolerance's unit. */
static double float_error(const tensor *got, const tensor *want, const tensor *magnitude,
                          tolerance tol, int64_t i) {
    long double a = got->v[i], b = round_to(want->dtype, want->v[i]);
    double distance = ulp_distance(want->dtype, a, b);
    if (a == 0 && b == 0 && signbit(a) != signbit(b)) {
        return tol.any_zero ? 0 : INFINITY;
    }
    if (!isfinite(a) || !isfinite(b)) {
        return distance;
    }
    if (tol.kind == TOL_ABS_SUM) {
        long double unit = magnitude->v[i] * (want->dtype == COT_F32 ? 0x1p-24L : 0x1p-53L);
        return a == b ? 0 : (double)(fabsl(a - b) / unit);
    }
    if (fabsl(b) < tol.floor) {
        return (double)(fabsl(a - b) / ulp_of(want->dtype, tol.floor));
    }
    return distance;
}

const char *compare(char buffer[256], const tensor *got, const tensor *want,
                    const tensor *magnitude, tolerance tol) {
    bool real = want->dtype == COT_F32 || want->dtype == COT_F64;
    double allowed = tol.ulps + (want->dtype == COT_F64 ? tol.f64_more : 0);
    bool same_shape = got->shape.rank == want->shape.rank;
    for (int32_t d = 0; same_shape && d < want->shape.rank; d++) {
        same_shape = got->shape.dim[d] == want->shape.dim[d];
    }
    if (got->dtype != want->dtype || !same_shape) {
        snprintf(buffer, 256, "dtype or shape differs: %s of rank %d, expected %s of rank %d",
                 cot_dtype_name(got->dtype), got->shape.rank, cot_dtype_name(want->dtype),
                 want->shape.rank);
        return buffer;
    }
    for (int64_t i = 0; i < want->count; i++) {
        double error = real                      ? float_error(got, want, magnitude, tol, i)
                       : got->v[i] == want->v[i] ? 0
                                                 : INFINITY;
        if (!(error <= allowed)) {
            snprintf(buffer, 256,
                     "element %lld is %.9Lg (%La), expected %.9Lg (%La): off by %.3g, allowed %g",
                     (long long)i, got->v[i], got->v[i], want->v[i], want->v[i], error, allowed);
            return buffer;
        }
    }
    return NULL;
}
