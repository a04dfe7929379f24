/*
 * Cotangent, optimizers: how a training step changes the weights. Formulas, defaults and the order
 * of things are Keras 3's; sources stand beside them. Chosen in cot_compile_options:
 *
 *     cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.01, .clipnorm = 1.0), ...)
 *
 * A zero field is the default; where the number zero is meant and is not the default, write
 * COT_ZERO. The option macros are for C; C++ and bindings fill a struct from its _INIT and pass the
 * address of its base.
 *
 * In the formulas w is a weight, g its gradient, t the number of the update, from 1, and lr the
 * learning rate of this step.
 */
#ifndef COTANGENT_OPTIMIZERS_H
#define COTANGENT_OPTIMIZERS_H

#include "base.h"
#include "schedules.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(ID, name): every optimizer; cot_<name>_options are its options. */
#define COT_OPTIMIZER_LIST(X)                                                                      \
    X(SGD, sgd)                                                                                    \
    X(ADAM, adam)                                                                                  \
    X(ADAMW, adamw)                                                                                \
    X(RMSPROP, rmsprop)                                                                            \
    X(ADAGRAD, adagrad)                                                                            \
    X(ADADELTA, adadelta)                                                                          \
    X(ADAMAX, adamax)                                                                              \
    X(NADAM, nadam)                                                                                \
    X(FTRL, ftrl)                                                                                  \
    X(LION, lion)                                                                                  \
    X(LAMB, lamb)                                                                                  \
    X(ADAFACTOR, adafactor)                                                                        \
    X(MUON, muon)                                                                                  \
    X(SCHEDULE_FREE_ADAMW, schedule_free_adamw)                                                    \
    X(CUSTOM_OPTIMIZER, custom_optimizer)

typedef enum cot_optimizer_kind {
    COT_OPTIMIZER_NONE = 0,
#define COT_OPTIMIZER_ENUM(id, name) COT_OPTIMIZER_##id,
    COT_OPTIMIZER_LIST(COT_OPTIMIZER_ENUM)
#undef COT_OPTIMIZER_ENUM
} cot_optimizer_kind;

/* "sgd", "adam", ...; "?" for a value that is no optimizer. */
COT_API const char *cot_optimizer_name(cot_optimizer_kind kind);

/* The first field of every optimizer's options: which optimizer, and how large its options are. */
typedef struct cot_optimizer {
    size_t struct_size; /* of the whole options */
    cot_optimizer_kind kind;
} cot_optimizer;

/* What is different for the weights whose name contains `weights`: "bias", "dense_1/". Where
 * several rules are for one weight, multipliers multiply, and what one of them turns on is on. */
typedef struct cot_weight_rule {
    const char *weights;             /* required */
    double learning_rate_multiplier; /* at least 0; 0: 1; COT_ZERO: 0 */
    bool no_weight_decay;
    bool no_muon; /* muon: update it as AdamW does */
} cot_weight_rule;

typedef struct cot_weight_rule_list {
    const cot_weight_rule *rule;
    int32_t n;
} cot_weight_rule_list;

/* `.weight_rules = COT_WEIGHT_RULES({.weights = "bias", .no_weight_decay = true})`. C only. */
#define COT_WEIGHT_RULES(...)                                                                      \
    {(const cot_weight_rule[]){__VA_ARGS__},                                                       \
     (int32_t)(sizeof((const cot_weight_rule[]){__VA_ARGS__}) / sizeof(cot_weight_rule))}

/*
 * What every optimizer has, in this order: the gradient is divided by loss_scale_factor, collected
 * over gradient_accumulation_steps, clipped; the weight decays; it is updated; its average follows.
 *
 *   learning_rate       lr. It is a variable: it may be set between steps
 *   schedule            lr as a function of the step (cotangent/schedules.h); NULL: constant. Then
 *                       the variable holds the latest step's rate, and cannot be set
 *   decay               lr / (1 + decay * iterations), the `decay` of Keras's first optimizers
 *   weight_decay        w -= w * weight_decay * lr before the update, as AdamW's, in any optimizer,
 *                       biases too
 *   clipnorm            g * clipnorm / max(|g|, clipnorm), each weight by itself
 *   clipvalue           g within [-clipvalue, clipvalue]
 *   global_clipnorm     as clipnorm, |g| being the norm of all gradients together; if it is not
 *                       finite, all become NaN
 *                       At most one of the three may be set.
 *   use_ema             keep an average a of each weight: w after the first step, then
 *                       a = ema_momentum a + (1 - ema_momentum) w
 *   ema_momentum        0: 0.99; COT_ZERO: 0
 *   ema_overwrite_frequency  the weights become their averages every so many steps; 0: when fit
 *                       ends
 *   gradient_accumulation_steps  update with the mean of so many steps' gradients at the last of
 *                       them; t counts updates. 0: 1
 *   loss_scale_factor   0: 1. The caller has multiplied the loss by it
 *   weight_rules        exceptions; Keras's exclude_from_weight_decay
 *   dynamic_loss_scale  Keras's LossScaleOptimizer: gradients are taken of the loss times a scale
 *                       and divided by it again. A step with a gradient that is not finite changes
 *                       nothing but the scale, which it halves; after dynamic_growth_steps steps
 *                       without one it is doubled. Not with loss_scale_factor
 *   initial_scale       0: 2^15
 *   dynamic_growth_steps  0: 2000
 */
#define COT_OPTIMIZER_FIELDS                                                                       \
    cot_optimizer base;                                                                            \
    double learning_rate;                                                                          \
    const cot_schedule *schedule;                                                                  \
    double decay;                                                                                  \
    double weight_decay;                                                                           \
    double clipnorm;                                                                               \
    double clipvalue;                                                                              \
    double global_clipnorm;                                                                        \
    bool use_ema;                                                                                  \
    double ema_momentum;                                                                           \
    int32_t ema_overwrite_frequency;                                                               \
    int32_t gradient_accumulation_steps;                                                           \
    double loss_scale_factor;                                                                      \
    cot_weight_rule_list weight_rules;                                                             \
    bool dynamic_loss_scale;                                                                       \
    double initial_scale;                                                                          \
    int32_t dynamic_growth_steps;
#define COT_OPTIMIZER_FIELDS_INIT(options, kind)                                                   \
    {sizeof(options), kind}, 0.0, NULL, 0.0, 0.0, 0.0, 0.0, 0.0, false, 0.0, 0, 0, 0.0, {NULL, 0}, \
        false, 0.0, 0

/* The options of any optimizer begin like these. */
typedef struct cot_optimizer_options {
    COT_OPTIMIZER_FIELDS
} cot_optimizer_options;

/* `.optimizer = cot_sgd(.learning_rate = 0.1)`: a const cot_optimizer * to options that live as
 * long as the block that it stands in. */
#define COT_OPTIMIZER_OF(options, kind, ...)                                                       \
    (&(const options){.base = {sizeof(options), kind}, __VA_ARGS__}.base)

/*
 * SGD. w -= lr g; with momentum m: v = m v - lr g, w += v; with Nesterov's too: w += m v - lr g,
 * which is the lecture's look-ahead point w + m v. Sutskever et al., "On the importance of
 * initialization and momentum in deep learning", 2013.
 */
typedef struct cot_sgd_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.01 */
        double momentum; /* in [0, 1] */
    bool nesterov;
} cot_sgd_options;
#define COT_SGD_OPTIONS_INIT                                                                       \
    {COT_OPTIMIZER_FIELDS_INIT(cot_sgd_options, COT_OPTIMIZER_SGD), 0.0, false}
#define cot_sgd(...) COT_OPTIMIZER_OF(cot_sgd_options, COT_OPTIMIZER_SGD, __VA_ARGS__)

/*
 * Adam. m += (g - m)(1 - beta_1), v += (g^2 - v)(1 - beta_2), w -= a m / (sqrt(v) + epsilon),
 * a = lr sqrt(1 - beta_2^t) / (1 - beta_1^t), powers in float32. amsgrad: the largest v so far in
 * v's place. epsilon_inside: the lecture's form, w -= lr m^ / sqrt(v^ + epsilon) with
 * m^ = m / (1 - beta_1^t), v^ = v / (1 - beta_2^t). Kingma, Ba, "Adam", 2015; Reddi et al., "On the
 * convergence of Adam and beyond", 2018.
 */
typedef struct cot_adam_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.001; AdamW: weight_decay: 0.004 */
        double beta_1;   /* 0: 0.9; COT_ZERO: 0 */
    double beta_2;       /* 0: 0.999; COT_ZERO: 0 */
    double epsilon;      /* 0: 1e-7; COT_ZERO: 0 */
    bool amsgrad;
    bool epsilon_inside; /* the lecture's form */
} cot_adam_options;
#define COT_ADAM_OPTIONS_INIT                                                                      \
    {COT_OPTIMIZER_FIELDS_INIT(cot_adam_options, COT_OPTIMIZER_ADAM), 0.0, 0.0, 0.0, false, false}
#define cot_adam(...) COT_OPTIMIZER_OF(cot_adam_options, COT_OPTIMIZER_ADAM, __VA_ARGS__)

/* AdamW: Adam whose weights decay by 0.004. Loshchilov, Hutter, "Decoupled weight decay
 * regularization", 2019. */
typedef cot_adam_options cot_adamw_options;
#define COT_ADAMW_OPTIONS_INIT                                                                     \
    {COT_OPTIMIZER_FIELDS_INIT(cot_adam_options, COT_OPTIMIZER_ADAMW), 0.0, 0.0, 0.0, false, false}
#define cot_adamw(...) COT_OPTIMIZER_OF(cot_adam_options, COT_OPTIMIZER_ADAMW, __VA_ARGS__)

/*
 * RMSprop. v = rho v + (1 - rho) g^2, d = lr g / sqrt(v + epsilon), w -= d; centered: v less the
 * square of the mean gradient a = rho a + (1 - rho) g; with momentum: m = momentum m + d, w -= m.
 * Hinton, "Neural networks for machine learning", lecture 6e, 2012.
 */
typedef struct cot_rmsprop_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.001 */
        double rho;      /* 0: 0.9; COT_ZERO: 0 */
    double momentum;     /* in [0, 1] */
    double epsilon;      /* 0: 1e-7; COT_ZERO: 0 */
    bool centered;
} cot_rmsprop_options;
#define COT_RMSPROP_OPTIONS_INIT                                                                   \
    {COT_OPTIMIZER_FIELDS_INIT(cot_rmsprop_options, COT_OPTIMIZER_RMSPROP), 0.0, 0.0, 0.0, false}
#define cot_rmsprop(...) COT_OPTIMIZER_OF(cot_rmsprop_options, COT_OPTIMIZER_RMSPROP, __VA_ARGS__)

/*
 * Adagrad. a += g^2, w -= lr g / sqrt(a + epsilon). The lecture's begins with a = 0
 * (initial_accumulator_value = COT_ZERO). Duchi, Hazan, Singer, 2011.
 */
typedef struct cot_adagrad_options {
    COT_OPTIMIZER_FIELDS                  /* learning_rate: 0.001 */
        double initial_accumulator_value; /* 0: 0.1; COT_ZERO: 0 */
    double epsilon;                       /* 0: 1e-7; COT_ZERO: 0 */
} cot_adagrad_options;
#define COT_ADAGRAD_OPTIONS_INIT                                                                   \
    {COT_OPTIMIZER_FIELDS_INIT(cot_adagrad_options, COT_OPTIMIZER_ADAGRAD), 0.0, 0.0}
#define cot_adagrad(...) COT_OPTIMIZER_OF(cot_adagrad_options, COT_OPTIMIZER_ADAGRAD, __VA_ARGS__)

/*
 * Adadelta. a = rho a + (1 - rho) g^2, d = sqrt(b + epsilon) / sqrt(a + epsilon) g,
 * b = rho b + (1 - rho) d^2, w -= lr d. Zeiler, 2012.
 */
typedef struct cot_adadelta_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.001 */
        double rho;      /* 0: 0.95; COT_ZERO: 0 */
    double epsilon;      /* 0: 1e-7; COT_ZERO: 0 */
} cot_adadelta_options;
#define COT_ADADELTA_OPTIONS_INIT                                                                  \
    {COT_OPTIMIZER_FIELDS_INIT(cot_adadelta_options, COT_OPTIMIZER_ADADELTA), 0.0, 0.0}
#define cot_adadelta(...)                                                                          \
    COT_OPTIMIZER_OF(cot_adadelta_options, COT_OPTIMIZER_ADADELTA, __VA_ARGS__)

/* Adamax. m as Adam's, u = max(beta_2 u, |g|), w -= lr m / ((1 - beta_1^t)(u + epsilon)). Kingma,
 * Ba, 2015, section 7.1. */
typedef struct cot_adamax_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.001 */
        double beta_1;   /* 0: 0.9; COT_ZERO: 0 */
    double beta_2;       /* 0: 0.999; COT_ZERO: 0 */
    double epsilon;      /* 0: 1e-7; COT_ZERO: 0 */
} cot_adamax_options;
#define COT_ADAMAX_OPTIONS_INIT                                                                    \
    {COT_OPTIMIZER_FIELDS_INIT(cot_adamax_options, COT_OPTIMIZER_ADAMAX), 0.0, 0.0, 0.0}
#define cot_adamax(...) COT_OPTIMIZER_OF(cot_adamax_options, COT_OPTIMIZER_ADAMAX, __VA_ARGS__)

/*
 * Nadam. m, v as Adam's; u_t = beta_1 (1 - 0.96^t / 2), P_t = u_1 u_2 .. u_t,
 * m^ = u_(t+1) m / (1 - P_(t+1)) + (1 - u_t) g / (1 - P_t), v^ = v / (1 - beta_2^t),
 * w -= lr m^ / (sqrt(v^) + epsilon). Dozat, 2016.
 */
typedef cot_adamax_options cot_nadam_options;
#define COT_NADAM_OPTIONS_INIT                                                                     \
    {COT_OPTIMIZER_FIELDS_INIT(cot_nadam_options, COT_OPTIMIZER_NADAM), 0.0, 0.0, 0.0}
#define cot_nadam(...) COT_OPTIMIZER_OF(cot_nadam_options, COT_OPTIMIZER_NADAM, __VA_ARGS__)

/*
 * Ftrl. n' = n + g^2, z += g + 2 s w - (n'^-p - n^-p) / lr w, q = n'^-p / lr + 2 (l2 + beta/(2
 * lr)), w = (clip(z, -l1, l1) - z) / q. p is learning_rate_power, s the l2 shrinkage. McMahan et
 * al., "Ad click prediction", 2013.
 */
typedef struct cot_ftrl_options {
    COT_OPTIMIZER_FIELDS              /* learning_rate: 0.001 */
        double learning_rate_power;   /* at most 0; 0: -0.5; COT_ZERO: 0 */
    double initial_accumulator_value; /* 0: 0.1; COT_ZERO: 0 */
    double l1_regularization_strength;
    double l2_regularization_strength;
    double l2_shrinkage_regularization_strength;
    double beta;
} cot_ftrl_options;
#define COT_FTRL_OPTIONS_INIT                                                                      \
    {COT_OPTIMIZER_FIELDS_INIT(cot_ftrl_options, COT_OPTIMIZER_FTRL), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}
#define cot_ftrl(...) COT_OPTIMIZER_OF(cot_ftrl_options, COT_OPTIMIZER_FTRL, __VA_ARGS__)

/* Lion. w -= lr sign(beta_1 m + (1 - beta_1) g), then m = beta_2 m + (1 - beta_2) g. Chen et al.,
 * "Symbolic discovery of optimization algorithms", 2023. */
typedef struct cot_lion_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.001 */
        double beta_1;   /* 0: 0.9; COT_ZERO: 0 */
    double beta_2;       /* 0: 0.99; COT_ZERO: 0 */
} cot_lion_options;
#define COT_LION_OPTIONS_INIT                                                                      \
    {COT_OPTIMIZER_FIELDS_INIT(cot_lion_options, COT_OPTIMIZER_LION), 0.0, 0.0}
#define cot_lion(...) COT_OPTIMIZER_OF(cot_lion_options, COT_OPTIMIZER_LION, __VA_ARGS__)

/*
 * Lamb. m, v as Adam's; u = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon),
 * w -= lr |w|/|u| u, the ratio being 1 where a norm is 0. You et al., "Large batch optimization for
 * deep learning", 2020.
 */
typedef cot_adamax_options cot_lamb_options;
#define COT_LAMB_OPTIONS_INIT                                                                      \
    {COT_OPTIMIZER_FIELDS_INIT(cot_lamb_options, COT_OPTIMIZER_LAMB), 0.0, 0.0, 0.0}
#define cot_lamb(...) COT_OPTIMIZER_OF(cot_lamb_options, COT_OPTIMIZER_LAMB, __VA_ARGS__)

/*
 * Adafactor. b = 1 - t^beta_2_decay, s = g^2 + epsilon_1; for a weight of rank 2 or more
 * r = b r + (1-b) mean(s, last axis), c = b c + (1-b) mean(s, last axis but one) and
 * v = r / mean(r) c, else v = b v + (1-b) s; u = g / sqrt(v), divided by
 * max(1, rms(u) / clip_threshold); w -= max(epsilon_2, rms(w)) lr' u, where lr' = lr, or with
 * relative_step min(lr, 1/sqrt(t)). Shazeer, Stern, 2018.
 */
typedef struct cot_adafactor_options {
    COT_OPTIMIZER_FIELDS      /* learning_rate: 0.001 */
        double beta_2_decay;  /* at most 0; 0: -0.8; COT_ZERO: 0 */
    double epsilon_1;         /* 0: 1e-30; COT_ZERO: 0 */
    double epsilon_2;         /* 0: 1e-3; COT_ZERO: 0 */
    double clip_threshold;    /* 0: 1 */
    cot_switch relative_step; /* default: on */
} cot_adafactor_options;
#define COT_ADAFACTOR_OPTIONS_INIT                                                                 \
    {COT_OPTIMIZER_FIELDS_INIT(cot_adafactor_options, COT_OPTIMIZER_ADAFACTOR),                    \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     COT_DEFAULT}
#define cot_adafactor(...)                                                                         \
    COT_OPTIMIZER_OF(cot_adafactor_options, COT_OPTIMIZER_ADAFACTOR, __VA_ARGS__)

/*
 * Muon, for matrices: m = momentum m + g, u = g + momentum m (nesterov) or m,
 * w -= lr rms_rate sqrt(max(rows, columns)) O(u). O orthogonalizes, nearly: x = u / (|u| + 1e-7),
 * turned so that it is wide, then ns_steps times A = x x^T, x = muon_a x + (muon_b A + muon_c A A)
 * x. Weights of other ranks, those of embeddings ("embedding" in the name) and those that a rule
 * excludes take AdamW's step at adam_lr_ratio lr, and decay by adam_weight_decay. Jordan et al.,
 * "Muon", 2024; Liu et al., "Muon is scalable for LLM training", 2025. As in Keras 3.15; others
 * have had other defaults.
 */
typedef struct cot_muon_options {
    COT_OPTIMIZER_FIELDS           /* learning_rate: 0.001, weight_decay: 0.004 */
        double adam_beta_1;        /* 0: 0.9; COT_ZERO: 0 */
    double adam_beta_2;            /* 0: 0.999; COT_ZERO: 0 */
    double epsilon;                /* 0: 1e-7; COT_ZERO: 0 */
    double muon_a, muon_b, muon_c; /* 0: 3.4445, -4.775, 2.0315 */
    double adam_lr_ratio;          /* 0: 1; COT_ZERO: 0 */
    double momentum;               /* 0: 0.95; COT_ZERO: 0 */
    int32_t ns_steps;              /* 0: 5 */
    cot_switch nesterov;           /* default: on */
    cot_switch exclude_embeddings; /* default: on */
    double rms_rate;               /* 0: 0.2; COT_ZERO: w -= lr O(u) */
    double adam_weight_decay;      /* 0: 0.004; COT_ZERO: 0 */
} cot_muon_options;
#define COT_MUON_OPTIONS_INIT                                                                      \
    {COT_OPTIMIZER_FIELDS_INIT(cot_muon_options, COT_OPTIMIZER_MUON),                              \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0,                                                                                            \
     COT_DEFAULT,                                                                                  \
     COT_DEFAULT,                                                                                  \
     0.0,                                                                                          \
     0.0}
#define cot_muon(...) COT_OPTIMIZER_OF(cot_muon_options, COT_OPTIMIZER_MUON, __VA_ARGS__)

/*
 * Schedule-free AdamW. Of a weight y that is trained: v as Adam's, z -= lr' g / (sqrt(v / (1 -
 * beta_2^t)) + epsilon), x = (1 - 1/t) x + z / t, y = (1 - beta_1) z + beta_1 x, where z and x
 * begin as y and lr' = lr min(1, t / warmup_steps). x is what is to be evaluated and kept, see
 * cot_model_swap_to_evaluation. Defazio et al., "The road less scheduled", 2024.
 */
typedef struct cot_schedule_free_adamw_options {
    COT_OPTIMIZER_FIELDS /* learning_rate: 0.0025 */
        double beta_1;   /* above 0; 0: 0.9 */
    double beta_2;       /* 0: 0.999; COT_ZERO: 0 */
    double epsilon;      /* 0: 1e-8; COT_ZERO: 0 */
    double warmup_steps;
} cot_schedule_free_adamw_options;
#define COT_SCHEDULE_FREE_ADAMW_OPTIONS_INIT                                                       \
    {COT_OPTIMIZER_FIELDS_INIT(cot_schedule_free_adamw_options,                                    \
                               COT_OPTIMIZER_SCHEDULE_FREE_ADAMW),                                 \
     0.0, 0.0, 0.0, 0.0}
#define cot_schedule_free_adamw(...)                                                               \
    COT_OPTIMIZER_OF(cot_schedule_free_adamw_options, COT_OPTIMIZER_SCHEDULE_FREE_ADAMW,           \
                     __VA_ARGS__)

/* ---- one's own ---- */

/* Most slots that a rule keeps for a weight. */
#define COT_MAX_SLOTS 4

/* One weight's update, all values of its dtype: what the rule sees. */
typedef struct cot_update_step {
    cot_value weight;        /* after its decay */
    cot_value gradient;      /* unscaled, collected, clipped */
    cot_value learning_rate; /* a scalar, times the rule's multiplier */
    cot_value t;             /* a scalar: the number of the update, from 1 */
    cot_value slot[COT_MAX_SLOTS];
} cot_update_step;

/*
 * A rule of your own: append nodes to the weight's graph, write new_slot, of the weight's shape,
 * for each slot, and return the new weight. What all optimizers do before and after it is done.
 * `user` must live as long as the model is compiled.
 */
typedef cot_value (*cot_update_function)(const cot_update_step *step, cot_value *new_slot,
                                         void *user);

typedef struct cot_custom_optimizer_options {
    COT_OPTIMIZER_FIELDS              /* learning_rate: 0.01 */
        cot_update_function function; /* required */
    void *user;
    int32_t n_slots;               /* each of its weight's shape */
    double initial[COT_MAX_SLOTS]; /* of every element of a slot */
} cot_custom_optimizer_options;
#define COT_CUSTOM_OPTIMIZER_OPTIONS_INIT                                                          \
    {COT_OPTIMIZER_FIELDS_INIT(cot_custom_optimizer_options, COT_OPTIMIZER_CUSTOM_OPTIMIZER),      \
     NULL,                                                                                         \
     NULL,                                                                                         \
     0,                                                                                            \
     {0.0}}
#define cot_custom_optimizer(...)                                                                  \
    COT_OPTIMIZER_OF(cot_custom_optimizer_options, COT_OPTIMIZER_CUSTOM_OPTIMIZER,                 \
                     .function = __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
