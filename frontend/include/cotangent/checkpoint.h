/*
 * Cotangent, checkpoints: weights and whole states of training in files.
 *
 * Files are safetensors, which other tools read: weights have the names that cot_model_weight
 * shows, Keras's layout, and our metadata. Each tensor and the header have a checksum. A file is
 * written beside its place, forced to the disk and renamed: whatever ends the process, its name
 * stands for the old file or the new one. Everything in a file is checked before anything of a
 * model is changed; an error names the file, the tensor, what was found and what was expected.
 *
 * A checkpoint holds all that a training is: weights, optimizer state, the steps and rows of the
 * epoch that are done, the sums of its losses and metrics, the seed and the order of rows, the
 * states of callbacks, the history. A fit that goes on from it, with the same data and options,
 * gives the bits that the undisturbed fit would have given, also amid an epoch.
 */
#ifndef COTANGENT_CHECKPOINT_H
#define COTANGENT_CHECKPOINT_H

#include "base.h"
#include "model.h"
#include "training.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- weights ---- */

typedef struct cot_save_weights_options {
    size_t struct_size;
    const char *path;     /* required */
    cot_switch overwrite; /* off: COT_E_IO if the file exists (default: on) */
} cot_save_weights_options;
#define COT_SAVE_WEIGHTS_OPTIONS_INIT {sizeof(cot_save_weights_options), NULL, COT_DEFAULT}

/* Write the model's weights alone. fails: COT_E_ARG, COT_E_IO, COT_E_NOMEM */
COT_API cot_status cot_model_save_weights_with(const cot_model *model,
                                               const cot_save_weights_options *options);
#define cot_model_save_weights(model, ...)                                                         \
    cot_model_save_weights_with(                                                                   \
        model, &(cot_save_weights_options){.struct_size = sizeof(cot_save_weights_options),        \
                                           .path = __VA_ARGS__})

typedef struct cot_load_weights_options {
    size_t struct_size;
    const char *path;   /* required: weights, a checkpoint, or a safetensors file of others */
    bool skip_mismatch; /* leave out weights that the file lacks, or has in another shape or dtype,
                           and tensors that the model lacks */
} cot_load_weights_options;
#define COT_LOAD_WEIGHTS_OPTIONS_INIT {sizeof(cot_load_weights_options), NULL, false}

/*
 * Read the model's weights, by name, from a file. Optimizer state stays. On failure the weights are
 * as before. fails: COT_E_ARG, COT_E_IO, COT_E_PARSE (the file is damaged, or does not hold this
 * model's weights), COT_E_NOMEM
 */
COT_API cot_status cot_model_load_weights_with(cot_model *model,
                                               const cot_load_weights_options *options);
#define cot_model_load_weights(model, ...)                                                         \
    cot_model_load_weights_with(                                                                   \
        model, &(cot_load_weights_options){.struct_size = sizeof(cot_load_weights_options),        \
                                           .path = __VA_ARGS__})

/* ---- the whole state ---- */

/*
 * Write the state of a compiled model; amid a fit, by a callback, also where that fit is. What the
 * callbacks that come later in the list make of the same moment is not in it: set `last` in a
 * callback that saves. fails: COT_E_ARG (not compiled with an optimizer), COT_E_IO, COT_E_NOMEM
 */
COT_API cot_status cot_model_save_checkpoint(cot_model *model, const char *path);

/*
 * Read such a state into a model that was built and compiled in the same way. If it was made amid a
 * fit, the next fit goes on from there, whatever its initial_epoch: give it the same data, batch
 * size and callbacks, in the same order among those of a kind. Not amid a fit, but for
 * on_train_begin. On failure everything is as before.
 * fails: COT_E_ARG (not compiled with an optimizer; amid a fit), COT_E_IO, COT_E_NOMEM, COT_E_PARSE
 * (the file is damaged, no checkpoint, or of another model, optimizer or seed)
 */
COT_API cot_status cot_model_restore_checkpoint(cot_model *model, const char *path);

/* ---- the newest of several ---- */

/*
 * Write the next checkpoint of a directory, which is made if it is not there:
 * "checkpoint-000000000001.safetensors" and so on, and remove all but the newest `keep` (0: 2).
 * fails: as cot_model_save_checkpoint
 */
COT_API cot_status cot_model_save_newest(cot_model *model, const char *directory, int32_t keep);

#define COT_PATH_BYTES 512

/* What cot_model_restore_newest did. */
typedef struct cot_restored {
    bool found;                   /* a checkpoint was restored; else there was none at all */
    int32_t n_skipped;            /* newer ones that could not be read */
    char path[COT_PATH_BYTES];    /* of the one that was restored */
    char skipped[COT_PATH_BYTES]; /* why the newest of those could not */
} cot_restored;

/*
 * Restore the newest checkpoint of a directory that can be read. A directory that is not there, or
 * holds none, is no error. restored_out may be NULL.
 * fails: as cot_model_restore_checkpoint, with the newest one's error if none can be restored
 */
COT_API cot_status cot_model_restore_newest(cot_model *model, const char *directory,
                                            cot_restored *restored_out);

#ifdef __cplusplus
}
#endif
#endif
