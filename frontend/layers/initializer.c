/*
 * Initial weights, from Philox (runtime/base/philox.h): stream COTI_STREAM_INITIAL, step the
 * weight's ordinal in its context, element the row-major index. So a weight's values depend on the
 * seed and on how many weights were made before it, on nothing else.
 *
 * Formulas are Keras's: fans of a rank-2 kernel are (in, out), of rank 1 (n, n), of higher ranks
 * the last two extents times the others.
 */
#include "layer.h"
#include "runtime/base/philox.h"

#include <math.h>

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

/* How each element is drawn: a constant, or a distribution and its scale. */
typedef enum draw { DRAW_CONSTANT, DRAW_UNIFORM, DRAW_NORMAL, DRAW_TRUNCATED } draw;

typedef struct recipe {
    draw draw;
    double scale; /* the constant, the limit, or the deviation before cutting */
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
    return (recipe){DRAW_UNIFORM, sqrt(3.0 * variance)};
}

static recipe truncated_of(double variance) {
    return (recipe){DRAW_TRUNCATED, sqrt(variance) / TRUNCATED_DEVIATION};
}

/* parameter 0: `otherwise`; negative zero: 0. */
static double parameter_or(double parameter, double otherwise) {
    return parameter == 0.0 && !signbit(parameter) ? otherwise : parameter;
}

static recipe choose(cot_initializer initializer, double parameter, const cot_shape *shape) {
    double fan_in = 1.0, fan_out = 1.0;
    find_fans(shape, &fan_in, &fan_out);
    switch (initializer) {
    case COT_INITIALIZER_DEFAULT:
        return shape->rank > 1 ? uniform_of(2.0 / (fan_in + fan_out)) : (recipe){0};
    case COT_GLOROT_UNIFORM:
        return uniform_of(2.0 / (fan_in + fan_out));
    case COT_GLOROT_NORMAL:
        return truncated_of(2.0 / (fan_in + fan_out));
    case COT_HE_UNIFORM:
        return uniform_of(2.0 / fan_in);
    case COT_HE_NORMAL:
        return truncated_of(2.0 / fan_in);
    case COT_LECUN_UNIFORM:
        return uniform_of(1.0 / fan_in);
    case COT_LECUN_NORMAL:
        return truncated_of(1.0 / fan_in);
    case COT_RANDOM_UNIFORM:
        return (recipe){DRAW_UNIFORM, parameter_or(parameter, 0.05)};
    case COT_RANDOM_NORMAL:
        return (recipe){DRAW_NORMAL, parameter_or(parameter, 0.05)};
    case COT_ZEROS:
        return (recipe){DRAW_CONSTANT, 0.0};
    case COT_ONES:
        return (recipe){DRAW_CONSTANT, 1.0};
    case COT_CONSTANT:
        return (recipe){DRAW_CONSTANT, parameter};
    }
    return (recipe){0};
}

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
        return (2.0 * coti_philox_uniform(key, step, element) - 1.0) * from->scale;
    case DRAW_NORMAL:
        return coti_philox_normal(key, step, element) * from->scale;
    case DRAW_TRUNCATED:
        return truncated_normal(key, step, element, n) * from->scale;
    case DRAW_CONSTANT:
        break;
    }
    return from->scale;
}

cot_status coti_initialize(cot_variable *variable, cot_initializer initializer, double parameter,
                           uint64_t ordinal) {
    cot_context *context = variable->context;
    bool wide = variable->dtype == COT_F64;
    int64_t n = variable->bytes / (int64_t)cot_dtype_bytes(variable->dtype);
    /* An even stride keeps the pairs of Box-Muller apart. */
    uint64_t stride = (uint64_t)n + (uint64_t)(n & 1);
    recipe chosen = choose(initializer, parameter, &variable->shape);
    coti_philox_key key = coti_philox_make_key(context->seed, COTI_STREAM_INITIAL);
    void *value = coti_alloc(context, (size_t)variable->bytes);
    if (value == NULL) {
        return COT_E_NOMEM;
    }
    for (int64_t i = 0; i < n; i++) {
        double drawn = draw_one(&chosen, key, ordinal, (uint64_t)i, stride);
        if (wide) {
            ((double *)value)[i] = drawn;
        } else {
            ((float *)value)[i] = (float)drawn;
        }
    }
    cot_status status = cot_variable_set(variable, value, (size_t)variable->bytes);
    coti_free(context, value);
    return status;
}
