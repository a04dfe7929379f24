/*
 * Initial weights, from Philox (runtime/base/philox.h): stream COTI_STREAM_INITIAL, step the
 * weight's ordinal in its context, element the row-major index. So a weight's values depend on the
 * seed and on how many weights were made before it, on nothing else; or, from a seed of its own
 * (stream COTI_STREAM_SEEDED, step 0), on that seed.
 *
 * Formulas are Keras's: fans of a rank-2 kernel are (in, out), of rank 1 (n, n), of higher ranks
 * the last two extents times the others.
 */
#include "layer.h"
#include "runtime/base/philox.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The deviation of a standard normal cut at +-2. */
#define TRUNCATED_DEVIATION 0.87962566103423978

const char *cot_initializer_name(cot_initializer initializer) {
#define NAME(constant, name, values) name,
    static const char *const table[] = {COT_INITIALIZER_LIST(NAME)};
#undef NAME
    return coti_initializer_is_valid(initializer) ? table[initializer] : "?";
}

bool coti_initializer_is_valid(cot_initializer initializer) {
#define ONE(constant, name, values) +1
    return (int)initializer >= 0 && (int)initializer < 0 COT_INITIALIZER_LIST(ONE);
#undef ONE
}

/* How each element is drawn: a constant, or a distribution and its numbers. */
typedef enum draw { DRAW_CONSTANT, DRAW_UNIFORM, DRAW_NORMAL, DRAW_TRUNCATED } draw;

typedef struct recipe {
    draw draw;
    double a, b; /* the constant; the limits; mean and deviation before cutting */
} recipe;

static void find_fans(const cot_shape *shape, double *in_out, double *out_out) {
    double field = 1.0;
    for (int32_t i = 0; i + 2 < shape->rank; i++) {
        field *= (double)shape->dim[i];
    }
    double last = shape->rank > 0 ? (double)shape->dim[shape->rank - 1] : 1.0;
    double first = shape->rank > 1 ? (double)shape->dim[shape->rank - 2] : last;
    *in_out = field * first;
    *out_out = field * last;
}

static recipe uniform_of(double variance) {
    double limit = sqrt(3.0 * variance);
    return (recipe){DRAW_UNIFORM, -limit, limit};
}

static recipe truncated_of(double variance) {
    return (recipe){DRAW_TRUNCATED, 0.0, sqrt(variance) / TRUNCATED_DEVIATION};
}

static recipe constant_of(double value) {
    return (recipe){DRAW_CONSTANT, value, 0.0};
}

static double at_least_one(double fan) {
    return fan > 1.0 ? fan : 1.0;
}

static recipe scaled(const cot_initializer_options *numbers, double in, double out) {
    double fan = in;
    if (numbers->mode == COT_FAN_OUT || numbers->mode == COT_FAN_AVG) {
        fan = numbers->mode == COT_FAN_OUT ? out : (in + out) / 2.0;
    }
    double variance = numbers->scale / at_least_one(fan);
    if (numbers->distribution == COT_DRAW_UNIFORM) {
        return uniform_of(variance);
    }
    return numbers->distribution == COT_DRAW_UNTRUNCATED_NORMAL
               ? (recipe){DRAW_NORMAL, 0.0, sqrt(variance)}
               : truncated_of(variance);
}

static recipe choose(const coti_weight_options *options, const cot_shape *shape) {
    const cot_initializer_options *numbers = &options->numbers;
    double in = 1.0, out = 1.0;
    find_fans(shape, &in, &out);
    double glorot = 1.0 / at_least_one((in + out) / 2.0), lecun = 1.0 / at_least_one(in);
    switch (options->initializer) {
    case COT_INITIALIZER_DEFAULT:
        return shape->rank > 1 ? uniform_of(glorot) : constant_of(0.0);
    case COT_GLOROT_UNIFORM:
        return uniform_of(glorot);
    case COT_GLOROT_NORMAL:
        return truncated_of(glorot);
    case COT_HE_UNIFORM:
        return uniform_of(2.0 * lecun);
    case COT_HE_NORMAL:
        return truncated_of(2.0 * lecun);
    case COT_LECUN_UNIFORM:
        return uniform_of(lecun);
    case COT_LECUN_NORMAL:
        return truncated_of(lecun);
    case COT_RANDOM_UNIFORM:
        return (recipe){DRAW_UNIFORM, numbers->minval, numbers->maxval};
    case COT_RANDOM_NORMAL:
        return (recipe){DRAW_NORMAL, numbers->mean, numbers->stddev};
    case COT_TRUNCATED_NORMAL:
        return (recipe){DRAW_TRUNCATED, numbers->mean, numbers->stddev};
    case COT_VARIANCE_SCALING:
        return scaled(numbers, in, out);
    case COT_ORTHOGONAL:
        return (recipe){DRAW_NORMAL, 0.0, 1.0};
    case COT_ZEROS:
    case COT_IDENTITY:
        return constant_of(0.0);
    case COT_ONES:
        return constant_of(1.0);
    case COT_CONSTANT:
        return constant_of(numbers->value);
    }
    return (recipe){DRAW_CONSTANT, 0.0, 0.0};
}

/* ---- numbers ---- */

#define LARGEST 3e38
#define NUMBER(field, otherwise, low)                                                              \
    {#field, offsetof(cot_initializer_options, field), (otherwise), (low), LARGEST}
static const coti_option numbers_of[] = {
    NUMBER(value, 0.0, -LARGEST), NUMBER(minval, -0.05, -LARGEST), NUMBER(maxval, 0.05, -LARGEST),
    NUMBER(mean, 0.0, -LARGEST),  NUMBER(stddev, 0.05, 0.0),       NUMBER(scale, 1.0, 1e-30),
    NUMBER(gain, 1.0, -LARGEST),  {NULL, 0, 0.0, 0.0, 0.0}};

cot_status coti_initializer_read(cot_context *context, const char *op, const char *layer,
                                 const char *weight, const cot_initializer_options *given,
                                 cot_initializer_options *out) {
    char what[64];
    *out = (cot_initializer_options)COT_INITIALIZER_OPTIONS_INIT;
    if (given != NULL) {
        COTI_TRY(coti_options_copy(context, "cot_initializer_numbers", given, out, sizeof *out));
    }
    (void)snprintf(what, sizeof what, "%s: %s_initializer", op, weight);
    COTI_TRY(coti_options_numbers(context, what, numbers_of, out));
    bool known = (int)out->mode >= 0 && out->mode <= COT_FAN_AVG && (int)out->distribution >= 0 &&
                 out->distribution <= COT_DRAW_UNIFORM;
    return known && out->minval <= out->maxval
               ? COT_OK
               : COTI_OP_FAIL(context, COT_E_ARG, op, layer,
                              "%s_initializer: mode %d, distribution %d, minval %g, maxval %g: "
                              "expected values of cot_fan and cot_draw, and minval <= maxval",
                              weight, (int)out->mode, (int)out->distribution, out->minval,
                              out->maxval);
}

/* ---- drawing ---- */

/* A normal within +-2, by rejection: try t of element e is element e + t * n, so tries differ. */
static double truncated_normal(coti_philox_key key, uint64_t step, uint64_t element, uint64_t n) {
    double value = 0.0;
    do {
        value = coti_philox_normal(key, step, element);
        element += n;
    } while (fabs(value) > 2.0);
    return value;
}

static double draw_one(const recipe *from, coti_philox_key key, uint64_t step, uint64_t element,
                       uint64_t n) {
    switch (from->draw) {
    case DRAW_UNIFORM:
        return from->a + coti_philox_uniform(key, step, element) * (from->b - from->a);
    case DRAW_NORMAL:
        return from->a + coti_philox_normal(key, step, element) * from->b;
    case DRAW_TRUNCATED:
        return from->a + truncated_normal(key, step, element, n) * from->b;
    case DRAW_CONSTANT:
        break;
    }
    return from->a;
}

static void draw_all(const recipe *from, coti_philox_key key, uint64_t step, double *value,
                     int64_t n) {
    /* An even stride keeps the pairs of Box-Muller apart. */
    uint64_t stride = (uint64_t)n + (uint64_t)(n & 1);
    for (int64_t i = 0; i < n; i++) {
        value[i] = draw_one(from, key, step, (uint64_t)i, stride);
    }
}

/* ---- matrices ---- */

/* Take the part along the unit vector q out of v. */
static void take_out(double *v, const double *q, int64_t n, int64_t stride) {
    double product = 0.0;
    for (int64_t i = 0; i < n; i++) {
        product += v[i * stride] * q[i * stride];
    }
    for (int64_t i = 0; i < n; i++) {
        v[i * stride] -= product * q[i * stride];
    }
}

/*
 * The vectors, `count` of n elements each, made orthonormal in order: Gram-Schmidt, twice, as once
 * is not enough in floating point. That is the factor Q of a QR decomposition whose R has a
 * positive diagonal, which Keras gets by flipping signs. Vector k begins at k * next; elements lie
 * `stride` apart.
 */
static void orthonormalize(double *value, int64_t count, int64_t next, int64_t n, int64_t stride) {
    for (int64_t k = 0; k < count; k++) {
        double *v = value + k * next;
        for (int64_t j = 0; j < 2 * k; j++) {
            take_out(v, value + j % k * next, n, stride);
        }
        double squares = 0.0;
        for (int64_t i = 0; i < n; i++) {
            squares += v[i * stride] * v[i * stride];
        }
        double scale = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
        for (int64_t i = 0; i < n; i++) {
            v[i * stride] *= scale;
        }
    }
}

/* What is not drawn element by element. */
static void shape_matrix(const coti_weight_options *options, const cot_shape *shape, double *value,
                         int64_t n) {
    int64_t columns = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
    int64_t rows = columns > 0 ? n / columns : 0;
    if (options->initializer == COT_IDENTITY) {
        for (int64_t i = 0; i < rows && i < columns; i++) {
            value[i * columns + i] = options->numbers.gain;
        }
        return;
    }
    if (rows < columns) {
        orthonormalize(value, rows, columns, columns, 1);
    } else {
        orthonormalize(value, columns, 1, rows, columns);
    }
    for (int64_t i = 0; i < n; i++) {
        value[i] *= options->numbers.gain;
    }
}

/* Store doubles as the variable's elements. */
static cot_status store(cot_variable *variable, double *value, int64_t n) {
    if (variable->dtype == COT_F32) {
        float *narrow = (float *)value; /* each is written behind where doubles are still read */
        for (int64_t i = 0; i < n; i++) {
            float rounded = (float)value[i];
            memcpy(&narrow[i], &rounded, sizeof rounded);
        }
    }
    return cot_variable_set(variable, value, (size_t)variable->bytes);
}

cot_status coti_initialize(cot_variable *variable, const coti_weight_options *options,
                           uint64_t ordinal) {
    cot_context *context = variable->context;
    const cot_initializer_options *numbers = &options->numbers;
    int64_t n = variable->bytes / (int64_t)cot_dtype_bytes(variable->dtype);
    recipe chosen = choose(options, &variable->shape);
    bool seeded = numbers->seed != 0;
    coti_philox_key key = coti_philox_make_key(seeded ? numbers->seed : context->seed,
                                               seeded ? COTI_STREAM_SEEDED : COTI_STREAM_INITIAL);
    double *value = coti_calloc(context, (size_t)n, sizeof *value);
    if (value == NULL) {
        return COT_E_NOMEM;
    }
    draw_all(&chosen, key, seeded ? 0 : ordinal, value, n);
    if (options->initializer == COT_ORTHOGONAL || options->initializer == COT_IDENTITY) {
        shape_matrix(options, &variable->shape, value, n);
    }
    cot_status status = store(variable, value, n);
    coti_free(context, value);
    return status;
}
