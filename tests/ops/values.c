/*
 * Operands of the op cases: deterministic, by a small generator of the test's own, so that a
 * failure shows again. The special values stand first in cycles of equal length, operand 1 turning
 * once for each turn of operand 0, so that 31 * 31 elements show every pair.
 */
#include "op_case.h"

#include <float.h>
#include <math.h>

enum { N_SPECIAL = 31 };

static const long double special_reals[N_SPECIAL] = {
    0.0L,      -0.0L,      1.0L,  -1.0L,  INFINITY, -INFINITY, NAN,      0.5L,
    -0.5L,     2.0L,       -3.0L, 1e-40L, -1e-40L,  0x1p-149L, FLT_MIN,  -FLT_MIN,
    FLT_MAX,   -FLT_MAX,   1e10L, -1e10L, 1e-8L,    88.5L,     -88.5L,   -103.5L,
    0.999999L, 1.0000001L, 9.0L,  -95.0L, 710.5L,   1e300L,    -1e-310L,
};

static const long double wide_reals[N_SPECIAL] = {
    0.0L,  -0.0L,  1.0L,   -1.0L,   INFINITY, -INFINITY, NAN,    0.5L,   -0.5L, 2.0L, -3.0L,
    1e15L, -1e15L, 1e-15L, -1e-15L, 100.0L,   -100.0L,   30.0L,  -30.0L, 7.0L,  1.5L, -1.5L,
    1e5L,  -1e5L,  0.25L,  4.0L,    -4.0L,    10.0L,     -10.0L, 0.125L, 3.0L,
};

static const long double special_ints[N_SPECIAL] = {
    0,
    1,
    -1,
    2,
    -2,
    3,
    7,
    -7,
    10,
    100,
    127,
    128,
    -128,
    -129,
    255,
    256,
    -255,
    32767,
    65536,
    -65537,
    2147483647,
    -2147483648.0L,
    2147483648.0L,
    4294967295.0L,
    16777217,
    -16777219,
    9007199254740993.0L,
    9223372036854775807.0L,
    -9223372036854775808.0L,
    -9223372036854775807.0L,
    1099511627776.0L,
};

static const long double kinks[] = {0.0L,     -0.0L,  0x1p-149L, -0x1p-149L, FLT_MIN,
                                    -FLT_MIN, 1e-10L, -1e-10L,   1e-3L,      -1e-3L,
                                    0.1L,     -0.1L,  1e-320L,   -1e-320L};

static const long double label_values[] = {
    0, 1, 2, 3, 4, 5, -1, 7, 2147483647, 4, 0, -2, 16, 17, -2147483648.0L};

/* Duplicates, negatives, extremes, and what truncation to 32 bits would bring into range. */
static const long double index_values[] = {0,
                                           1,
                                           2,
                                           0,
                                           3,
                                           -1,
                                           1,
                                           4,
                                           2147483647,
                                           2,
                                           2,
                                           5,
                                           -2147483648.0L,
                                           16,
                                           0,
                                           7,
                                           4294967297.0L,
                                           1,
                                           -4,
                                           15,
                                           6,
                                           9223372036854775807.0L,
                                           3,
                                           -4294967295.0L};

/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t random_word(uint64_t seed, uint64_t i) {
    uint64_t z = seed * UINT64_C(0xD1342543DE82EF95) + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Uniform in (0, 1). */
static long double uniform(uint64_t seed, uint64_t i) {
    return ((long double)(random_word(seed, i) >> 11) + 0.5L) * 0x1p-53L;
}

/* About standard normal (the sum of twelve uniforms less six). */
static long double normal(uint64_t seed, uint64_t i) {
    long double sum = -6;
    for (uint64_t k = 0; k < 12; k++) {
        sum += uniform(seed, 12 * i + k);
    }
    return sum;
}

static bool is_real(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* Any bits of an integer dtype as its value. */
static long double integer_of(cot_dtype dtype, uint64_t word) {
    switch (dtype) {
    case COT_I32:
        return (int32_t)(uint32_t)word;
    case COT_I64:
        return (int64_t)word;
    case COT_U8:
        return (uint8_t)word;
    case COT_BOOL:
        return word & 1;
    case COT_F32:
    case COT_F64:
        break;
    }
    return 0;
}

/* An integer of the lists, wrapped to the dtype. */
static long double wrapped(cot_dtype dtype, long double value) {
    uint64_t word = value < 0 ? 0 - (uint64_t)-value : (uint64_t)value;
    return integer_of(dtype, word);
}

/* Place of element e of operand i in a cycle of n values. */
static int64_t cycled(int64_t e, int32_t i, int64_t n) {
    int64_t turn = i == 0 ? e : i == 1 ? e / n + e : e + 7;
    return turn % n;
}

static long double real_value(value_kind kind, int64_t e, int32_t i, uint64_t seed) {
    static const long double scales[] = {1, 4, 0.125L};
    uint64_t n = (uint64_t)e;
    switch (kind) {
    case SPECIAL:
        return special_reals[cycled(e, i, N_SPECIAL)];
    case WIDE:
        return e % 3 == 2 ? normal(seed, n) : wide_reals[random_word(seed, n) % N_SPECIAL];
    case FAR:
        return 10000 + normal(seed, n) * scales[n / 64 % 3];
    case NORMAL:
    case PROBABILITIES:
        return normal(seed, n) * scales[n / 64 % 3];
    case POSITIVE:
        return exp2l(16 * uniform(seed, n) - 8);
    case KINK:
        return kinks[cycled(e, i, sizeof kinks / sizeof kinks[0])];
    case TIES:
        return (long double)(random_word(seed, n) % 5) - 2;
    case SMALL_INTS:
        return (long double)(cycled(e, i, N_SPECIAL) - 15);
    case INDEX:
        return (long double)(e + 1000 * i);
    case NONE:
    case LABELS:
    case SEEDS:
        break;
    }
    return 0;
}

static long double int_value(value_kind kind, cot_dtype dtype, int64_t e, int32_t i,
                             uint64_t seed) {
    uint64_t word = random_word(seed, (uint64_t)e);
    bool is_signed = dtype == COT_I32 || dtype == COT_I64;
    switch (kind) {
    case SPECIAL:
    case WIDE:
        return wrapped(dtype, special_ints[cycled(e, i, N_SPECIAL)]);
    case TIES:
        return dtype == COT_BOOL ? (long double)(word & 1)
                                 : (long double)(word % 5) - (is_signed ? 2 : 0);
    case SMALL_INTS:
        return (long double)(cycled(e, i, N_SPECIAL) - (is_signed ? 15 : 0));
    case INDEX:
        return dtype == COT_BOOL
                   ? (long double)(e * e % 7 % 2)
                   : (long double)(dtype == COT_U8 ? (e + 3 * i) % 251 : e + 1000 * i);
    case LABELS:
        return label_values[(e + (int64_t)(seed % 3)) % 15];
    case SEEDS:
        return (long double)(i == 0 ? INT64_C(-81985529216486896) : INT64_C(4294967299));
    case NONE:
    case NORMAL:
    case POSITIVE:
    case KINK:
    case FAR:
    case PROBABILITIES:
        break;
    }
    return kind == NONE ? 0 : integer_of(dtype, word);
}

/* Targets: positive, rows of the last axis divided by their sum. */
static void fill_probabilities(tensor *x, uint64_t seed) {
    int64_t n = x->shape.dim[x->shape.rank - 1];
    for (int64_t first = 0; first < x->count; first += n) {
        long double sum = 0;
        for (int64_t e = first; e < first + n; e++) {
            x->v[e] = uniform(seed, (uint64_t)e);
            sum += x->v[e];
        }
        for (int64_t e = first; e < first + n; e++) {
            x->v[e] /= sum;
        }
    }
}

/* Targets: one 1 a row. */
static void fill_one_hot(tensor *x, uint64_t seed) {
    int64_t n = x->shape.dim[x->shape.rank - 1];
    for (int64_t e = 0; e < x->count; e++) {
        x->v[e] = e % n == (int64_t)(random_word(seed, (uint64_t)(e / n)) % (uint64_t)n);
    }
}

tensor make_operand(pool *p, const trial *t, int32_t i, const cot_shape *shape) {
    tensor x = tensor_make(p, t->operand[i], shape, t->rows);
    uint64_t seed = (uint64_t)t->op * 64 + (uint64_t)t->values * 4 + (uint64_t)i;
    bool target = t->op == COT_OP_SOFTMAX_XENT && i == 0 && x.shape.rank > 0;
    value_kind values = is_norm(t->op) && i > 0 ? NORMAL : t->values;
    if (target && (t->values == PROBABILITIES || t->values == WIDE)) {
        (t->values == WIDE ? fill_one_hot : fill_probabilities)(&x, seed);
    } else if (is_index_operand(t->op, i) && !is_real(x.dtype)) {
        for (int64_t e = 0; e < x.count; e++) {
            long double value = index_values[(e + e / 24 % 5 * 7) % 24];
            bool is_long = value > INT32_MAX || value < INT32_MIN;
            x.v[e] = x.dtype == COT_I32 && is_long ? 1 : value;
            x.v[e] = (long double)attr_int(t->attr, "start", (int64_t)x.v[e]);
        }
    } else {
        for (int64_t e = 0; e < x.count; e++) {
            x.v[e] = is_real(x.dtype) ? real_value(values, e, i, seed)
                                      : int_value(values, x.dtype, e, i, seed);
        }
    }
    for (int64_t e = 0; e < x.count; e++) {
        x.v[e] = round_to(x.dtype, x.v[e]);
    }
    return x;
}
