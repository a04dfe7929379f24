/*
 * Checked arithmetic for every size and shape product. Each function returns false on overflow and
 * leaves *out alone. Sizes are limited to COTI_SIZE_MAX so that sums of a few of them, and byte
 * offsets, stay within int64.
 */
#ifndef COTI_SIZE_H
#define COTI_SIZE_H

#include "cotangent/base.h"

#define COTI_SIZE_MAX ((int64_t)1 << 47)

static inline bool coti_size_mul(int64_t a, int64_t b, int64_t *out) {
    int64_t product = 0;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) || product > COTI_SIZE_MAX) {
        return false;
    }
    *out = product;
    return true;
}

static inline bool coti_size_add(int64_t a, int64_t b, int64_t *out) {
    int64_t sum = 0;
    if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum) || sum > COTI_SIZE_MAX) {
        return false;
    }
    *out = sum;
    return true;
}

/* Elements of a shape when N = rows (rows is ignored unless batched). False on overflow or a
 * negative extent. */
static inline bool coti_shape_elements(const cot_shape *shape, int64_t rows, int64_t *out) {
    int64_t elements = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (!coti_size_mul(elements, shape->dim[i], &elements)) {
            return false;
        }
    }
    return coti_size_mul(elements, shape->batched ? rows : 1, out);
}

/* Round up to a multiple of `unit` (a power of two). */
static inline int64_t coti_round_up(int64_t value, int64_t unit) {
    return (value + unit - 1) & ~(unit - 1);
}

#endif
