/*
 * Optimizers, inside: what the table of rules (optimizer_rules.c) and the step around a rule
 * (optimizer.c) share. One row an optimizer; a new one is its options in cotangent/optimizers.h,
 * its row and its rule.
 */
#ifndef COTI_OPTIMIZER_H
#define COTI_OPTIMIZER_H

#include "cotangent/graph.h"
#include "cotangent/optimizers.h"
#include "frontend/layers/layer.h"

/* Options of any optimizer, by base.kind, with defaults filled in. */
typedef union coti_optimizer {
    cot_optimizer base; /* kind 0: none */
    cot_optimizer_options all;
    cot_sgd_options sgd;
    cot_adam_options adam; /* of AdamW too */
    cot_rmsprop_options rmsprop;
    cot_adagrad_options adagrad;
    cot_adadelta_options adadelta;
    cot_adamax_options adamax; /* of Nadam and Lamb too */
    cot_ftrl_options ftrl;
    cot_lion_options lion;
    cot_adafactor_options adafactor;
} coti_optimizer;

enum { COTI_MOST_SLOTS = 3 };

/* A variable that a rule keeps for a weight. */
typedef struct coti_slot {
    const char *name;
    cot_shape shape;
    double initial; /* of every element */
} coti_slot;

/* One weight's update. All values are in the weight's dtype; a rule reads the first group and sets
 * the second. */
typedef struct coti_step {
    const coti_optimizer *optimizer;
    cot_value weight, gradient, rate;
    cot_value t; /* number of this update, from 1 */
    cot_value slot[COTI_MOST_SLOTS];
    cot_value product; /* Nadam's, before the update; shared by all weights */

    cot_value new_weight, new_slot[COTI_MOST_SLOTS];
    cot_value new_product; /* Nadam's, else poison */
} coti_step;

typedef struct coti_optimizer_class {
    const char *name;
    size_t options_bytes;
    const coti_option *option; /* beside those that all have but for learning_rate, weight_decay */
    /* The slots of a weight of this shape; their number. */
    int32_t (*slots)(const coti_optimizer *optimizer, const cot_shape *shape,
                     coti_slot slot_out[COTI_MOST_SLOTS]);
    void (*update)(coti_step *step);
    bool has_product;
} coti_optimizer_class;

/* NULL for a kind that is no optimizer. */
const coti_optimizer_class *coti_optimizer_class_of(cot_optimizer_kind kind);

#endif
