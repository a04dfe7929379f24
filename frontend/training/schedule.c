/*
 * The nodes of each schedule; formulas stand beside their options in cotangent/schedules.h. All is
 * f64, so that the steps of a staircase fall where they should, whatever the step's number.
 */
#include "frontend/training/schedule.h"

#include "frontend/layers/formula.h"
#include "frontend/layers/layer.h"

#include <math.h>

#define PI 3.14159265358979323846
#define LARGEST 3e38
#define SMALLEST 1e-30

/* ---- shorthand ---- */

static cot_value smaller(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MIN, a, b);
}
static cot_value whole(cot_value x) {
    return cot_op_unary(COT_OP_FLOOR, x);
}
/* base^x */
static cot_value raised(double base, cot_value x) {
    return cot_op_binary(COT_OP_POW, coti_number(x, base), x);
}
static cot_value per(cot_value x, double steps) {
    return coti_div(x, coti_number(x, steps));
}

/* ---- exponential, 1/t ---- */

static cot_value exponential(const cot_schedule *schedule, cot_value step) {
    const cot_exponential_decay_options *o = (const cot_exponential_decay_options *)schedule;
    cot_value done = per(step, o->decay_steps);
    done = o->staircase ? whole(done) : done;
    return coti_scale(raised(o->decay_rate, done), o->initial_learning_rate);
}

static cot_value inverse_time(const cot_schedule *schedule, cot_value step) {
    const cot_inverse_time_decay_options *o = (const cot_inverse_time_decay_options *)schedule;
    cot_value done = per(step, o->decay_steps);
    done = o->staircase ? whole(done) : done;
    return coti_div(coti_number(done, o->initial_learning_rate),
                    coti_plus(coti_scale(done, o->decay_rate), 1.0));
}

/* ---- piecewise ---- */

static cot_value piecewise(const cot_schedule *schedule, cot_value step) {
    const cot_piecewise_constant_decay_options *o =
        (const cot_piecewise_constant_decay_options *)schedule;
    cot_value rate = coti_number(step, o->values[o->n_boundaries]);
    for (int32_t i = o->n_boundaries; i-- > 0;) {
        cot_value until = coti_number(step, (double)o->boundaries[i]);
        rate = cot_op_select(cot_op_binary(COT_OP_LE, step, until), coti_number(step, o->values[i]),
                             rate);
    }
    return rate;
}

/* ---- polynomial ---- */

static cot_value polynomial(const cot_schedule *schedule, cot_value step) {
    const cot_polynomial_decay_options *o = (const cot_polynomial_decay_options *)schedule;
    cot_value done = per(smaller(step, coti_number(step, o->decay_steps)), o->decay_steps);
    if (o->cycle) {
        cot_value one = coti_number(step, 1.0);
        cot_value minus = cot_op_unary(COT_OP_NEG, per(step, o->decay_steps));
        cot_value rounds = cot_op_unary(COT_OP_NEG, whole(minus));
        rounds = cot_op_binary(COT_OP_MAX, rounds, one);
        done = coti_div(step, coti_scale(rounds, o->decay_steps));
    }
    cot_value left = coti_sub(coti_number(step, 1.0), done);
    cot_value share = cot_op_binary(COT_OP_POW, left, coti_number(left, o->power));
    double range = o->initial_learning_rate - o->end_learning_rate;
    return coti_plus(coti_scale(share, range), o->end_learning_rate);
}

/* ---- cosines ---- */

/* (1 - alpha) (1 + cos(pi u)) / 2 + alpha, the first part times a factor if there is one. */
static cot_value cosine_of(cot_value u, double alpha, cot_value factor) {
    cot_value wave = coti_scale(coti_plus(cot_op_unary(COT_OP_COS, coti_scale(u, PI)), 1.0), 0.5);
    wave = factor.graph != NULL ? coti_mul(wave, factor) : wave;
    return coti_plus(coti_scale(wave, 1.0 - alpha), alpha);
}

static cot_value cosine(const cot_schedule *schedule, cot_value step) {
    const cot_cosine_decay_options *o = (const cot_cosine_decay_options *)schedule;
    const cot_value none = {NULL, 0};
    bool warms = o->warmup_steps > 0.0;
    double from = warms ? o->warmup_target : o->initial_learning_rate;
    cot_value behind = warms ? coti_plus(step, -o->warmup_steps) : step;
    behind = smaller(behind, coti_number(step, o->decay_steps));
    cot_value rate = coti_scale(cosine_of(per(behind, o->decay_steps), o->alpha, none), from);
    if (!warms) {
        return rate;
    }
    cot_value line = coti_scale(per(step, o->warmup_steps), from - o->initial_learning_rate);
    cot_value is_warm = cot_op_binary(COT_OP_LT, step, coti_number(step, o->warmup_steps));
    return cot_op_select(is_warm, coti_plus(line, o->initial_learning_rate), rate);
}

/* (t^i - 1) / (t - 1): lengths of the first i rounds together, the first being 1. */
static cot_value rounds_length(double t, cot_value i) {
    return coti_scale(coti_plus(raised(t, i), -1.0), 1.0 / (t - 1.0));
}

/* Which round `done` first rounds lie in; the logarithm may be off by one at a round's end. */
static cot_value round_of(double t, cot_value done) {
    cot_value inside = coti_plus(coti_scale(done, t - 1.0), 1.0);
    cot_value i = whole(coti_scale(cot_op_unary(COT_OP_LOG, inside), 1.0 / log(t)));
    cot_value next = coti_plus(i, 1.0);
    cot_value is_over = cot_op_binary(COT_OP_GE, done, rounds_length(t, next));
    i = cot_op_select(is_over, next, i);
    cot_value is_early = cot_op_binary(COT_OP_LT, done, rounds_length(t, i));
    return cot_op_select(is_early, coti_plus(i, -1.0), i);
}

static cot_value cosine_restarts(const cot_schedule *schedule, cot_value step) {
    const cot_cosine_decay_restarts_options *o =
        (const cot_cosine_decay_restarts_options *)schedule;
    cot_value done = per(step, o->first_decay_steps);
    cot_value i = o->t_mul == 1.0 ? whole(done) : round_of(o->t_mul, done);
    cot_value u = o->t_mul == 1.0
                      ? coti_sub(done, i)
                      : coti_div(coti_sub(done, rounds_length(o->t_mul, i)), raised(o->t_mul, i));
    return coti_scale(cosine_of(u, o->alpha, raised(o->m_mul, i)), o->initial_learning_rate);
}

/* ---- one's own ---- */

static cot_value custom(const cot_schedule *schedule, cot_value step) {
    const cot_custom_schedule_options *o = (const cot_custom_schedule_options *)schedule;
    cot_value rate = o->function(step, o->user);
    if (step.graph == NULL || rate.graph == NULL) {
        cot_context *context = step.graph != NULL ? cot_graph_context(step.graph) : NULL;
        if (context != NULL && cot_error_get(context).status == COT_OK) {
            COTI_FAIL(context, COT_E_ARG, "custom_schedule: the function gives no value");
        }
        return (cot_value){NULL, 0};
    }
    cot_dtype dtype = cot_value_dtype(rate);
    cot_shape shape = cot_value_shape(rate);
    bool fits =
        rate.graph == step.graph && shape.rank == 0 && (dtype == COT_F32 || dtype == COT_F64);
    if (!fits) {
        char text[COTI_TYPE_BYTES];
        COTI_FAIL_OP(
            cot_graph_context(step.graph), COT_E_SHAPE, "custom_schedule", NULL,
            "custom_schedule: the function gives %s%s, expected a scalar f32 or f64 of the "
            "step's graph",
            coti_type_text(text, dtype, &shape),
            rate.graph == step.graph ? "" : " of another graph");
        return (cot_value){NULL, 0};
    }
    return cot_op_cast(rate, COT_F64);
}

/* ---- the table ---- */

typedef struct schedule_class {
    const char *name;
    size_t options_bytes;
    const coti_option *option; /* its numbers */
    bool has_initial;          /* the second field is initial_learning_rate */
    cot_value (*build)(const cot_schedule *schedule, cot_value step);
} schedule_class;

#define OPTION(type, field, otherwise, low, high)                                                  \
    {#field, offsetof(cot_##type##_options, field), (otherwise), (low), (high)}
#define INITIAL(type) OPTION(type, initial_learning_rate, 0.0, 0.0, LARGEST)
#define STEPS(type) OPTION(type, decay_steps, 0.0, SMALLEST, LARGEST)
#define END {NULL, 0, 0.0, 0.0, 0.0}

/* A rate that is left out is none, which no range holds. */
static const coti_option exponential_options[] = {
    INITIAL(exponential_decay), STEPS(exponential_decay),
    OPTION(exponential_decay, decay_rate, NAN, 0.0, LARGEST), END};
static const coti_option polynomial_options[] = {
    INITIAL(polynomial_decay), STEPS(polynomial_decay),
    OPTION(polynomial_decay, end_learning_rate, 1e-4, 0.0, LARGEST),
    OPTION(polynomial_decay, power, 1.0, SMALLEST, LARGEST), END};
static const coti_option cosine_options[] = {INITIAL(cosine_decay),
                                             STEPS(cosine_decay),
                                             OPTION(cosine_decay, alpha, 0.0, 0.0, 1.0),
                                             OPTION(cosine_decay, warmup_target, 0.0, 0.0, LARGEST),
                                             OPTION(cosine_decay, warmup_steps, 0.0, 0.0, LARGEST),
                                             END};
static const coti_option restarts_options[] = {
    INITIAL(cosine_decay_restarts),
    OPTION(cosine_decay_restarts, first_decay_steps, 0.0, SMALLEST, LARGEST),
    OPTION(cosine_decay_restarts, t_mul, 2.0, 1.0, LARGEST),
    OPTION(cosine_decay_restarts, m_mul, 1.0, 0.0, LARGEST),
    OPTION(cosine_decay_restarts, alpha, 0.0, 0.0, 1.0),
    END};
static const coti_option no_options[] = {END};

static const schedule_class classes[] = {
    [COT_SCHEDULE_EXPONENTIAL_DECAY] = {"exponential_decay", sizeof(cot_exponential_decay_options),
                                        exponential_options, true, exponential},
    [COT_SCHEDULE_INVERSE_TIME_DECAY] = {"inverse_time_decay",
                                         sizeof(cot_inverse_time_decay_options),
                                         exponential_options, true, inverse_time},
    [COT_SCHEDULE_PIECEWISE_CONSTANT_DECAY] = {"piecewise_constant_decay",
                                               sizeof(cot_piecewise_constant_decay_options),
                                               no_options, false, piecewise},
    [COT_SCHEDULE_POLYNOMIAL_DECAY] = {"polynomial_decay", sizeof(cot_polynomial_decay_options),
                                       polynomial_options, true, polynomial},
    [COT_SCHEDULE_COSINE_DECAY] = {"cosine_decay", sizeof(cot_cosine_decay_options), cosine_options,
                                   true, cosine},
    [COT_SCHEDULE_COSINE_DECAY_RESTARTS] = {"cosine_decay_restarts",
                                            sizeof(cot_cosine_decay_restarts_options),
                                            restarts_options, true, cosine_restarts},
    [COT_SCHEDULE_CUSTOM_SCHEDULE] = {"custom_schedule", sizeof(cot_custom_schedule_options),
                                      no_options, false, custom},
};

/* NULL for a kind that is no schedule. */
static const schedule_class *class_of(cot_schedule_kind kind) {
    bool is_one = (int)kind > 0 && (size_t)kind < sizeof classes / sizeof classes[0];
    return is_one ? &classes[kind] : NULL;
}

const char *cot_schedule_name(cot_schedule_kind kind) {
    const schedule_class *class = class_of(kind);
    return class != NULL ? class->name : "?";
}

/* ---- reading ---- */

/* Any schedule's options. */
typedef union any_schedule {
    cot_schedule base;
    cot_exponential_decay_options exponential; /* of inverse_time_decay, too */
    cot_piecewise_constant_decay_options piecewise;
    cot_polynomial_decay_options polynomial;
    cot_cosine_decay_options cosine;
    cot_cosine_decay_restarts_options restarts;
    cot_custom_schedule_options custom;
} any_schedule;

static cot_status check_boundaries(cot_context *context,
                                   const cot_piecewise_constant_decay_options *o) {
    if (o->boundaries == NULL || o->values == NULL || o->n_boundaries < 1) {
        return COTI_FAIL(context, COT_E_ARG,
                         "piecewise_constant_decay: boundaries or values are NULL, or n_boundaries "
                         "is %d, expected 1 or more",
                         (int)o->n_boundaries);
    }
    for (int32_t i = 0; i <= o->n_boundaries; i++) {
        if (!(o->values[i] >= 0.0 && o->values[i] <= LARGEST)) {
            return COTI_FAIL(context, COT_E_ARG,
                             "piecewise_constant_decay: value %d is %g, expected 0 to %g", (int)i,
                             o->values[i], LARGEST);
        }
        if (i > 0 && i < o->n_boundaries && o->boundaries[i] <= o->boundaries[i - 1]) {
            return COTI_FAIL(context, COT_E_ARG,
                             "piecewise_constant_decay: boundary %d is %lld after %lld, expected "
                             "more",
                             (int)i, (long long)o->boundaries[i], (long long)o->boundaries[i - 1]);
        }
    }
    return COT_OK;
}

/* Check and copy what numbers do not hold. */
static cot_status read_rest(cot_context *context, coti_arena *arena, any_schedule *own) {
    cot_piecewise_constant_decay_options *pieces = &own->piecewise;
    if (own->base.kind == COT_SCHEDULE_PIECEWISE_CONSTANT_DECAY) {
        COTI_TRY(check_boundaries(context, pieces));
        size_t n = (size_t)pieces->n_boundaries;
        pieces->boundaries = coti_arena_copy(arena, pieces->boundaries, n * sizeof(int64_t));
        pieces->values = coti_arena_copy(arena, pieces->values, (n + 1) * sizeof(double));
        return pieces->boundaries != NULL && pieces->values != NULL ? COT_OK : COT_E_NOMEM;
    }
    if (own->base.kind == COT_SCHEDULE_CUSTOM_SCHEDULE && own->custom.function == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "custom_schedule: function is NULL");
    }
    const cot_cosine_decay_options *cosine_own = &own->cosine;
    if (own->base.kind == COT_SCHEDULE_COSINE_DECAY && cosine_own->warmup_steps == 0.0 &&
        cosine_own->warmup_target != 0.0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cosine_decay: warmup_target is %g, but warmup_steps is 0",
                         cosine_own->warmup_target);
    }
    return COT_OK;
}

cot_status coti_schedule_read(cot_context *context, coti_arena *arena, const cot_schedule *given,
                              double rate, const cot_schedule **out) {
    const schedule_class *class = class_of(given->kind);
    any_schedule own;
    if (class == NULL) {
        return COTI_FAIL(context, COT_E_ARG,
                         "%d is no schedule: begin with cot_exponential_decay or another",
                         (int)given->kind);
    }
    COTI_TRY(coti_options_copy(context, class->name, given, &own, class->options_bytes));
    double *initial = &own.exponential.initial_learning_rate;
    if (class->has_initial && *initial == 0.0 && !signbit(*initial)) {
        *initial = rate;
    }
    COTI_TRY(coti_options_numbers(context, class->name, class->option, &own));
    COTI_TRY(read_rest(context, arena, &own));
    const any_schedule *copy = coti_arena_copy(arena, &own, sizeof own);
    *out = copy != NULL ? &copy->base : NULL;
    return copy != NULL ? COT_OK : COT_E_NOMEM;
}

/* ---- values ---- */

cot_value coti_schedule_build(const cot_schedule *schedule, cot_value step) {
    return class_of(schedule->kind)->build(schedule, step);
}

cot_status coti_schedule_at(cot_context *context, const cot_schedule *schedule, int64_t step,
                            double *rate_out) {
    cot_graph *graph = cot_graph_create(context, "schedule");
    if (graph == NULL) {
        return COT_E_NOMEM;
    }
    cot_value rate = coti_schedule_build(schedule, cot_op_constant(graph, COT_F64, (double)step));
    coti_tensor out = {.dtype = COT_F64, .data = rate_out};
    cot_status status =
        rate.graph != NULL ? cot_graph_output(rate, "rate") : cot_error_get(context).status;
    status = status == COT_OK ? coti_eval_graph(graph, 1, NULL, &out) : status;
    cot_graph_destroy(graph);
    return status;
}
