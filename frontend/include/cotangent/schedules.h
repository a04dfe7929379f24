/*
 * Cotangent, schedules: learning rates that are functions of the step. Names, formulas and defaults
 * are Keras 3's. Wherever an optimizer takes a learning rate it takes a schedule:
 *
 *     .optimizer = cot_sgd(.schedule = cot_exponential_decay(.initial_learning_rate = 0.1,
 *                                                            .decay_steps = 1000,
 *                                                            .decay_rate = 0.5))
 *
 * A schedule is part of the compiled step, a few nodes on the optimizer's iterations: nothing is
 * done for it between steps. It is evaluated, in f64, at s, the number of steps before this one:
 * the first step's s is 0, also where gradients are collected over several. Of the options nothing
 * is kept when compile returns, but for what a custom schedule is given as `user`.
 *
 * A zero field is the default; where the number zero is meant and is not the default, write
 * COT_ZERO.
 */
#ifndef COTANGENT_SCHEDULES_H
#define COTANGENT_SCHEDULES_H

#include "base.h"
#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(ID, name): every schedule; cot_<name>_options are its options. */
#define COT_SCHEDULE_LIST(X)                                                                       \
    X(EXPONENTIAL_DECAY, exponential_decay)                                                        \
    X(INVERSE_TIME_DECAY, inverse_time_decay)                                                      \
    X(PIECEWISE_CONSTANT_DECAY, piecewise_constant_decay)                                          \
    X(POLYNOMIAL_DECAY, polynomial_decay)                                                          \
    X(COSINE_DECAY, cosine_decay)                                                                  \
    X(COSINE_DECAY_RESTARTS, cosine_decay_restarts)                                                \
    X(CUSTOM_SCHEDULE, custom_schedule)

typedef enum cot_schedule_kind {
    COT_SCHEDULE_NONE = 0,
#define COT_SCHEDULE_ENUM(id, name) COT_SCHEDULE_##id,
    COT_SCHEDULE_LIST(COT_SCHEDULE_ENUM)
#undef COT_SCHEDULE_ENUM
} cot_schedule_kind;

/* "exponential_decay", ...; "?" for a value that is no schedule. */
COT_API const char *cot_schedule_name(cot_schedule_kind kind);

/* The first field of every schedule's options: which schedule, and how large its options are. */
typedef struct cot_schedule {
    size_t struct_size; /* of the whole options */
    cot_schedule_kind kind;
} cot_schedule;

/* A const cot_schedule * to options that live as long as the block that it stands in. */
#define COT_SCHEDULE_OF(options, kind, ...)                                                        \
    (&(const options){.base = {sizeof(options), kind}, __VA_ARGS__}.base)

/*
 * lr rate^(s / decay_steps); staircase: the exponent's whole part. Here and below lr is
 * initial_learning_rate; 0: the optimizer's learning_rate. The lecture's lr e^(-k t) is decay_steps
 * = 1, decay_rate = e^-k; cot_step_decay is the one with stairs: halve every decay_steps steps.
 */
typedef struct cot_exponential_decay_options {
    cot_schedule base;
    double initial_learning_rate;
    double decay_steps; /* above 0; required */
    double decay_rate;  /* at least 0; 0: required; COT_ZERO: 0 */
    bool staircase;
} cot_exponential_decay_options;
#define COT_EXPONENTIAL_DECAY_OPTIONS_INIT                                                         \
    {{sizeof(cot_exponential_decay_options), COT_SCHEDULE_EXPONENTIAL_DECAY}, 0.0, 0.0, 0.0, false}
#define cot_exponential_decay(...)                                                                 \
    COT_SCHEDULE_OF(cot_exponential_decay_options, COT_SCHEDULE_EXPONENTIAL_DECAY, __VA_ARGS__)
#define cot_step_decay(...)                                                                        \
    COT_SCHEDULE_OF(cot_exponential_decay_options, COT_SCHEDULE_EXPONENTIAL_DECAY,                 \
                    .staircase = true, __VA_ARGS__)

/* lr / (1 + decay_rate s / decay_steps); staircase: s / decay_steps' whole part. The lecture's
 * lr / (1 + k t), and the `decay` of Keras's first optimizers, have decay_steps = 1. */
typedef cot_exponential_decay_options cot_inverse_time_decay_options;
#define COT_INVERSE_TIME_DECAY_OPTIONS_INIT                                                        \
    {{sizeof(cot_inverse_time_decay_options), COT_SCHEDULE_INVERSE_TIME_DECAY},                    \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     false}
#define cot_inverse_time_decay(...)                                                                \
    COT_SCHEDULE_OF(cot_inverse_time_decay_options, COT_SCHEDULE_INVERSE_TIME_DECAY, __VA_ARGS__)

/* values[i] for the first i with s <= boundaries[i], else the last of the values. */
typedef struct cot_piecewise_constant_decay_options {
    cot_schedule base;
    const int64_t *boundaries; /* n_boundaries, ascending */
    const double *values;      /* n_boundaries + 1 */
    int32_t n_boundaries;      /* at least 1 */
} cot_piecewise_constant_decay_options;
#define COT_PIECEWISE_CONSTANT_DECAY_OPTIONS_INIT                                                  \
    {{sizeof(cot_piecewise_constant_decay_options), COT_SCHEDULE_PIECEWISE_CONSTANT_DECAY},        \
     NULL,                                                                                         \
     NULL,                                                                                         \
     0}
#define cot_piecewise_constant_decay(...)                                                          \
    COT_SCHEDULE_OF(cot_piecewise_constant_decay_options, COT_SCHEDULE_PIECEWISE_CONSTANT_DECAY,   \
                    __VA_ARGS__)

/* (lr - end) (1 - u)^power + end, u = min(s, D) / D, D = decay_steps; cycle: u = s / D' with D' the
 * next multiple of D from s on, and D for s = 0. */
typedef struct cot_polynomial_decay_options {
    cot_schedule base;
    double initial_learning_rate;
    double decay_steps;       /* above 0; required */
    double end_learning_rate; /* 0: 1e-4; COT_ZERO: 0 */
    double power;             /* 0: 1 */
    bool cycle;
} cot_polynomial_decay_options;
#define COT_POLYNOMIAL_DECAY_OPTIONS_INIT                                                          \
    {{sizeof(cot_polynomial_decay_options), COT_SCHEDULE_POLYNOMIAL_DECAY},                        \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     false}
#define cot_polynomial_decay(...)                                                                  \
    COT_SCHEDULE_OF(cot_polynomial_decay_options, COT_SCHEDULE_POLYNOMIAL_DECAY, __VA_ARGS__)

/*
 * lr ((1 - alpha) (1 + cos(pi u)) / 2 + alpha), u = min(s, decay_steps) / decay_steps. With
 * warmup_steps: first a line from lr to warmup_target, then the cosine from warmup_target, over
 * decay_steps more. Loshchilov, Hutter, "SGDR", 2017.
 */
typedef struct cot_cosine_decay_options {
    cot_schedule base;
    double initial_learning_rate; /* COT_ZERO for a warm-up from 0 */
    double decay_steps;           /* above 0; required */
    double alpha;                 /* in [0, 1] */
    double warmup_target;         /* with warmup_steps: required */
    double warmup_steps;          /* 0: none */
} cot_cosine_decay_options;
#define COT_COSINE_DECAY_OPTIONS_INIT                                                              \
    {{sizeof(cot_cosine_decay_options), COT_SCHEDULE_COSINE_DECAY}, 0.0, 0.0, 0.0, 0.0, 0.0}
#define cot_cosine_decay(...)                                                                      \
    COT_SCHEDULE_OF(cot_cosine_decay_options, COT_SCHEDULE_COSINE_DECAY, __VA_ARGS__)

/* The cosine without warm-up over first_decay_steps, then again over t_mul times as many, from
 * m_mul times the rate, and so on. */
typedef struct cot_cosine_decay_restarts_options {
    cot_schedule base;
    double initial_learning_rate;
    double first_decay_steps; /* above 0; required */
    double t_mul;             /* at least 1; 0: 2 */
    double m_mul;             /* at least 0; 0: 1; COT_ZERO: 0 */
    double alpha;             /* in [0, 1] */
} cot_cosine_decay_restarts_options;
#define COT_COSINE_DECAY_RESTARTS_OPTIONS_INIT                                                     \
    {{sizeof(cot_cosine_decay_restarts_options), COT_SCHEDULE_COSINE_DECAY_RESTARTS},              \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0}
#define cot_cosine_decay_restarts(...)                                                             \
    COT_SCHEDULE_OF(cot_cosine_decay_restarts_options, COT_SCHEDULE_COSINE_DECAY_RESTARTS,         \
                    __VA_ARGS__)

/*
 * A schedule of your own: append nodes to `step.graph` and return the rate, an f32 or f64 scalar;
 * `step` is an f64 scalar. Called whenever the training program or a number of it is made anew, so
 * what `user` points to must live as long as the model is compiled.
 */
typedef cot_value (*cot_schedule_function)(cot_value step, void *user);

typedef struct cot_custom_schedule_options {
    cot_schedule base;
    cot_schedule_function function; /* required */
    void *user;
} cot_custom_schedule_options;
#define COT_CUSTOM_SCHEDULE_OPTIONS_INIT                                                           \
    {{sizeof(cot_custom_schedule_options), COT_SCHEDULE_CUSTOM_SCHEDULE}, NULL, NULL}
#define cot_custom_schedule(...)                                                                   \
    COT_SCHEDULE_OF(cot_custom_schedule_options, COT_SCHEDULE_CUSTOM_SCHEDULE,                     \
                    .function = __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
