/*
 * What checkpoints and fit share: where a fit is, what of a file is still to be taken, and the
 * format's names.
 */
#ifndef COTI_CHECKPOINT_H
#define COTI_CHECKPOINT_H

#include "cotangent/checkpoint.h"
#include "frontend/training/training.h"

enum { COTI_CHECKPOINT_VERSION = 1, COTI_RNG_VERSION = 1 };
#define COTI_FORMAT_WEIGHTS "weights"
#define COTI_FORMAT_CHECKPOINT "checkpoint"

/* COT_E_ARG: NULL, empty. */
cot_status coti_check_path(const cot_model *model, const char *function, const char *path);
/* COT_E_ARG: not compiled, or without an optimizer. */
cot_status coti_check_trained(const cot_model *model, const char *function);

/* The callbacks of a fit that have a state, one after the other; begin with zeros. */
typedef struct coti_callback_walk {
    int32_t next;
    cot_callback callback;
    void *user;
    char name[80]; /* its kind, with _1, _2, ... behind the first of that kind */
} coti_callback_walk;
bool coti_next_callback(const coti_place *place, coti_callback_walk *walk);

#endif
