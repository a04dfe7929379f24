/*
 * Cotangent, weights: how a layer's weights begin, what is added to the loss for their size, and
 * what an update may not make of them. Names, defaults and formulas are Keras 3's.
 *
 *     cot_dense(x, 64, .kernel_initializer = COT_ORTHOGONAL, .kernel_regularizer = cot_l2(0.01),
 *               .kernel_constraint = cot_max_norm(.max_value = 3))
 *
 * Options are read, and copied, when the layer is made. A zero field is the default; where the
 * number zero is meant and is not the default, write COT_ZERO. The macros are for C.
 */
#ifndef COTANGENT_WEIGHTS_H
#define COTANGENT_WEIGHTS_H

#include "base.h"
#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- initializers ---- */

/*
 * X(constant, name, values). fan_in and fan_out are a kernel's last but one and last extent, each
 * times the extents before them. The truncated normals are cut at two standard deviations; those
 * that scale by fans are widened so that their deviation is the stated one. Every weight draws from
 * the context's seed and from its place among the context's weights. Glorot, Bengio, 2010; He et
 * al., 2015; LeCun et al., 1998; Saxe et al., 2014.
 */
#define COT_INITIALIZER_LIST(X)                                                                    \
    X(COT_INITIALIZER_DEFAULT, "default", "glorot_uniform for kernels, zeros for biases")          \
    X(COT_GLOROT_UNIFORM, "glorot_uniform", "uniform, limit sqrt(6 / (fan_in + fan_out))")         \
    X(COT_GLOROT_NORMAL, "glorot_normal", "truncated normal, sqrt(2 / (fan_in + fan_out))")        \
    X(COT_HE_UNIFORM, "he_uniform", "uniform, limit sqrt(6 / fan_in)")                             \
    X(COT_HE_NORMAL, "he_normal", "truncated normal, sqrt(2 / fan_in)")                            \
    X(COT_LECUN_UNIFORM, "lecun_uniform", "uniform, limit sqrt(3 / fan_in)")                       \
    X(COT_LECUN_NORMAL, "lecun_normal", "truncated normal, sqrt(1 / fan_in)")                      \
    X(COT_RANDOM_UNIFORM, "random_uniform", "uniform in [minval, maxval)")                         \
    X(COT_RANDOM_NORMAL, "random_normal", "normal, mean and stddev")                               \
    X(COT_ZEROS, "zeros", "0")                                                                     \
    X(COT_ONES, "ones", "1")                                                                       \
    X(COT_CONSTANT, "constant", "value")                                                           \
    X(COT_TRUNCATED_NORMAL, "truncated_normal", "normal, cut at mean +- 2 stddev")                 \
    X(COT_VARIANCE_SCALING, "variance_scaling", "variance scale / fan, by mode and distribution")  \
    X(COT_ORTHOGONAL, "orthogonal", "gain times orthonormal rows or columns, whichever are fewer") \
    X(COT_IDENTITY, "identity", "gain times the identity matrix, of rank 2")

typedef enum cot_initializer {
#define COT_INITIALIZER_ENUM(constant, name, values) constant,
    COT_INITIALIZER_LIST(COT_INITIALIZER_ENUM)
#undef COT_INITIALIZER_ENUM
} cot_initializer;

/* "glorot_uniform" ...; "?" for a value that is no initializer. */
COT_API const char *cot_initializer_name(cot_initializer initializer);

/* The fan that variance_scaling divides by (default: in), and what it draws from (default: the
 * truncated normal). */
typedef enum cot_fan { COT_FAN_DEFAULT = 0, COT_FAN_IN, COT_FAN_OUT, COT_FAN_AVG } cot_fan;
typedef enum cot_draw {
    COT_DRAW_DEFAULT = 0,
    COT_DRAW_TRUNCATED_NORMAL,
    COT_DRAW_UNTRUNCATED_NORMAL,
    COT_DRAW_UNIFORM
} cot_draw;

/*
 * Numbers of initializers, by Keras's names. A seed other than 0 makes the values a function of it
 * and of the shape alone: the same seed gives the same values each time, whatever the context.
 */
typedef struct cot_initializer_options {
    size_t struct_size;
    double value;          /* constant */
    double minval, maxval; /* random_uniform: -0.05, 0.05 */
    double mean, stddev;   /* random_normal, truncated_normal: 0, 0.05 */
    double scale;          /* variance_scaling: 1 */
    double gain;           /* orthogonal, identity: 1 */
    cot_fan mode;          /* variance_scaling */
    cot_draw distribution; /* variance_scaling */
    uint64_t seed;
} cot_initializer_options;
#define COT_INITIALIZER_OPTIONS_INIT                                                               \
    {sizeof(cot_initializer_options),                                                              \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     COT_FAN_DEFAULT,                                                                              \
     COT_DRAW_DEFAULT,                                                                             \
     0}
/* `.kernel_numbers = cot_initializer_numbers(.stddev = 0.1)` */
#define cot_initializer_numbers(...)                                                               \
    (&(const cot_initializer_options){.struct_size = sizeof(cot_initializer_options), __VA_ARGS__})

/* ---- regularizers ---- */

/* Which vectors an orthogonal regularizer compares. */
typedef enum cot_vectors { COT_VECTORS_ROWS = 0, COT_VECTORS_COLUMNS } cot_vectors;

/*
 * A number that is added to the loss, in training and in evaluation, and to what logs call "loss".
 * Of a weight w, as long as the weight is trained:
 *
 *     l1 sum(|w|) + l2 sum(w^2) + orthogonal sum_{i != j} |<u_i, u_j>| / (n (n - 1)) + function(w)
 *
 * u being the n rows or columns of w, of rank 2, divided by their norms (at least by sqrt(1e-7));
 * with fewer than two there are no pairs, and the term is 0. Of a layer's output, that number
 * divided by the batch's rows.
 */
typedef struct cot_regularizer {
    size_t struct_size;
    double l1, l2;     /* at least 0 */
    double orthogonal; /* at least 0; weights of rank 2 only */
    cot_vectors vectors;
    /* One's own: append nodes to w's graph, return an f32 or f64 scalar. `user` is handed on and
     * must live as long as the layer. NULL: none. */
    cot_value (*function)(cot_value w, void *user);
    void *user;
} cot_regularizer;
#define COT_REGULARIZER_INIT {sizeof(cot_regularizer), 0.0, 0.0, 0.0, COT_VECTORS_ROWS, NULL, NULL}
#define cot_regularizer_of(...)                                                                    \
    (&(const cot_regularizer){.struct_size = sizeof(cot_regularizer), __VA_ARGS__})
/* Keras's "l1", "l2", "l1_l2" and OrthogonalRegularizer have factors of 0.01. */
#define cot_l1(factor) cot_regularizer_of(.l1 = (factor))
#define cot_l2(factor) cot_regularizer_of(.l2 = (factor))
#define cot_l1_l2(factor_1, factor_2) cot_regularizer_of(.l1 = (factor_1), .l2 = (factor_2))
#define cot_orthogonal_regularizer(factor, of)                                                     \
    cot_regularizer_of(.orthogonal = (factor), .vectors = (of))

/* ---- constraints ---- */

typedef enum cot_constraint_kind {
    COT_NO_CONSTRAINT = 0,
    COT_CONSTRAINT_MAX_NORM,
    COT_CONSTRAINT_NON_NEG,
    COT_CONSTRAINT_UNIT_NORM,
    COT_CONSTRAINT_MIN_MAX_NORM,
    COT_CONSTRAINT_CUSTOM
} cot_constraint_kind;

/*
 * What a weight is made to be at the end of every step, after its update and its average; e is
 * 1e-7, and n the norms over axes:
 *
 *     max_norm      w min(n, max_value) / (e + n)
 *     non_neg       max(w, 0)
 *     unit_norm     w / (e + n)
 *     min_max_norm  w (rate clip(n, min_value, max_value) + (1 - rate) n) / (e + n)
 *     custom        function(w), of w's dtype and shape
 */
typedef struct cot_constraint {
    size_t struct_size;
    cot_constraint_kind kind;
    double max_value;           /* max_norm: 0: 2; min_max_norm: 0: 1; COT_ZERO: 0 */
    double min_value;           /* at most max_value */
    double rate;                /* in [0, 1]; 0: 1; COT_ZERO: 0 */
    int32_t axes[COT_MAX_RANK]; /* ascending */
    int32_t n_axes;             /* 0: axis 0 alone, a unit's incoming weights in a dense kernel */
    cot_value (*function)(cot_value w, void *user);
    void *user; /* handed on; must live as long as the layer */
} cot_constraint;
#define COT_CONSTRAINT_INIT                                                                        \
    {sizeof(cot_constraint), COT_NO_CONSTRAINT, 0.0, 0.0, 0.0, {0}, 0, NULL, NULL}
#define cot_constraint_of(which, ...)                                                              \
    (&(const cot_constraint){.struct_size = sizeof(cot_constraint), .kind = (which), __VA_ARGS__})
#define cot_max_norm(...) cot_constraint_of(COT_CONSTRAINT_MAX_NORM, __VA_ARGS__)
#define cot_non_neg() cot_constraint_of(COT_CONSTRAINT_NON_NEG, .n_axes = 0)
#define cot_unit_norm(...) cot_constraint_of(COT_CONSTRAINT_UNIT_NORM, __VA_ARGS__)
#define cot_min_max_norm(...) cot_constraint_of(COT_CONSTRAINT_MIN_MAX_NORM, __VA_ARGS__)
#define cot_custom_constraint(...) cot_constraint_of(COT_CONSTRAINT_CUSTOM, .function = __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
