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
    cot_muon_options muon;
    cot_schedule_free_adamw_options schedule_free;
    cot_custom_optimizer_options custom;
} coti_optimizer;

enum { COTI_MOST_SLOTS = COT_MAX_SLOTS };

/* What a rule may know of a weight beside its values. */
typedef struct coti_place_of {
    cot_shape shape;
    bool adamw; /* Muon's: it is updated as AdamW does */
} coti_place_of;

/* A variable that a rule keeps for a weight. */
typedef struct coti_slot {
    const char *name;
    cot_shape shape;
    double initial; /* of every element */
} coti_slot;

/* What Adam makes of a rate and a count, kept for the next weight that has the same: without it a
 * third of its nodes would be made in vain. */
typedef struct coti_alpha {
    cot_value rate, t, value;
} coti_alpha;

/* One weight's update. All values are in the weight's dtype; a rule reads the first group and sets
 * the second. */
typedef struct coti_step {
    const coti_optimizer *optimizer;
    const coti_place_of *place;
    cot_value undecayed; /* the weight before its decay */
    cot_value weight, gradient, rate;
    cot_value t; /* number of this update, from 1 */
    coti_alpha *alpha;
    cot_value slot[COTI_MOST_SLOTS];
    cot_value product; /* Nadam's, before the update; shared by all weights */

    cot_value new_weight, new_slot[COTI_MOST_SLOTS];
    cot_value new_product; /* Nadam's, else poison */
} coti_step;

typedef struct coti_optimizer_class {
    const char *name;
    size_t options_bytes;
    const coti_option *option; /* beside those that all have but for learning_rate, weight_decay */
    /* The slots of a weight; their number. */
    int32_t (*slots)(const coti_optimizer *optimizer, const coti_place_of *place,
                     coti_slot slot_out[COTI_MOST_SLOTS]);
    void (*update)(coti_step *step);
    bool has_product;
    cot_status (*check)(cot_context *context, coti_optimizer *optimizer); /* what is no number */
} coti_optimizer_class;

/* 1 - beta in those of Keras's rules that round beta to the weights' dtype before they subtract: of
 * 0.999 in f32 it is 1.3e-5 of itself less. optimizer_rules.c */
double coti_rounded_rest(cot_value weight, double beta);

/* What rules share. x + (target - x) share. optimizer_rules.c */
cot_value coti_move_by(cot_value x, cot_value target, double share);
/* 1 - beta^t, in the weights' dtype, as Keras: cancellation at small t is part of the result.
 * optimizer_rules.c */
cot_value coti_correction(double beta, cot_value t);

/* optimizer_more.c: Muon, schedule-free AdamW, one's own. */
int32_t coti_muon_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                        coti_slot slot_out[COTI_MOST_SLOTS]);
void coti_muon_update(coti_step *step);
cot_status coti_muon_check(cot_context *context, coti_optimizer *optimizer);
int32_t coti_schedule_free_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                                 coti_slot slot_out[COTI_MOST_SLOTS]);
void coti_schedule_free_update(coti_step *step);
int32_t coti_custom_slots(const coti_optimizer *optimizer, const coti_place_of *place,
                          coti_slot slot_out[COTI_MOST_SLOTS]);
void coti_custom_update(coti_step *step);
cot_status coti_custom_check(cot_context *context, coti_optimizer *optimizer);

/* NULL for a kind that is no optimizer. */
const coti_optimizer_class *coti_optimizer_class_of(cot_optimizer_kind kind);

#endif
