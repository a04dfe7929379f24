/*
 * Cotangent, training: compile a model, fit it, evaluate it, predict with it.
 *
 * cot_model_compile makes three programs, for training, evaluation and prediction, each for any
 * number of rows up to `max_batch`; after it, fit with a short last batch, evaluate and predict
 * compile nothing. Names, defaults, formulas and the order of things follow Keras 3.
 *
 * Option macros are for C: `cot_model_fit(model, data, .epochs = 10)`. C++ and bindings fill the
 * option struct from its _INIT and call the `_with` function. A zero field is the default; where
 * the number zero is meant and is not the default, write COT_ZERO.
 */
#ifndef COTANGENT_TRAINING_H
#define COTANGENT_TRAINING_H

#include "base.h"
#include "data.h"
#include "instruments.h"
#include "losses.h"
#include "model.h"
#include "optimizers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- compile: outputs ---- */

#define COT_MAX_OUTPUT_OPTIONS 32

/* What one output is trained and judged by, where it differs from the model's. */
typedef struct cot_output_options {
    size_t struct_size;
    const char *output;                           /* its name; required */
    double loss_weight;                           /* 0: 1; COT_ZERO: 0 */
    cot_loss loss;                                /* COT_NO_LOSS: the model's loss */
    bool from_logits;                             /* as in cot_compile_options */
    bool no_loss;                                 /* leave this output out of the loss */
    bool no_metrics;                              /* do not judge this output */
    cot_metric metrics[COT_MAX_METRICS];          /* none: the model's metrics */
    const cot_loss_options *loss_options;         /* NULL: the model's */
    cot_metric weighted_metrics[COT_MAX_METRICS]; /* none: the model's */
    const cot_custom_metric *custom_metrics[COT_MAX_METRICS]; /* none: the model's */
    const cot_metric_options *metrics_with[COT_MAX_METRICS];  /* none: the model's */
} cot_output_options;
#define COT_OUTPUT_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(cot_output_options), NULL, 0.0, COT_NO_LOSS, false, false, false, {COT_NO_METRIC},  \
            NULL, {COT_NO_METRIC}, {NULL}, {                                                       \
            NULL                                                                                   \
        }                                                                                          \
    }
/* `.outputs = {cot_output("class", .loss_weight = 0.5), ...}` */
#define cot_output(...)                                                                            \
    (&(const cot_output_options){.struct_size = sizeof(cot_output_options), .output = __VA_ARGS__})

/* ---- compile ---- */

typedef struct cot_compile_options {
    size_t struct_size;
    const cot_optimizer *optimizer;      /* NULL: the model can be evaluated, not fitted */
    cot_loss loss;                       /* of every output without a loss of its own */
    cot_metric metrics[COT_MAX_METRICS]; /* of every output without metrics of its own */
    bool from_logits; /* the outputs are logits, not probabilities (cross-entropies only) */
    /*
     * Cross-entropy of an output whose layer ends in softmax (binary: in sigmoid) is taken from the
     * logits before it, without clipping (default: on). Off: from the probabilities, clipped to
     * [1e-7, 1 - 1e-7].
     */
    cot_switch fuse_softmax;
    const cot_output_options *outputs[COT_MAX_OUTPUT_OPTIONS]; /* ended by NULL, in any order */
    int64_t max_batch; /* most rows of one step; 0: 128. fit with a larger batch compiles anew */
    const cot_loss_options
        *loss_options; /* of every output without some of its own; NULL: defaults */
    /*
     * Of every output without some of its own: metrics that count rows by their sample or class
     * weights, where there are any; and one's own, ended by NULL.
     */
    cot_metric weighted_metrics[COT_MAX_METRICS];
    const cot_custom_metric *custom_metrics[COT_MAX_METRICS];
    int32_t top_k; /* of the top-k accuracies; 0: 5 */
    /*
     * Most bytes that a training step of max_batch rows may take; 0: any. Counted are the arena,
     * which holds all values of a step, and the scratch of all the context's threads: what
     * cot_program_info.memory_bytes says of the training program. Weights, optimizer state and data
     * are not. A step that needs more makes weight gradients sooner, in more phases, and where that
     * does not do computes some of its values again in the backward pass instead of keeping them:
     * as little as will do, of those ways that are tried. Losses, gradients and weights have the
     * same bits. cot_model_train_memory says what it costs.
     */
    int64_t memory_budget;
    uint32_t instruments; /* COT_INSTRUMENT_ values, or-ed; 0: none */
    /* Of every output without some of its own: metrics with options, ended by NULL. */
    const cot_metric_options *metrics_with[COT_MAX_METRICS];
} cot_compile_options;
#define COT_COMPILE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(cot_compile_options), NULL, COT_NO_LOSS, {COT_NO_METRIC}, false, COT_DEFAULT,       \
            {NULL}, 0, NULL, {COT_NO_METRIC}, {NULL}, 0, 0, 0, {                                   \
            NULL                                                                                   \
        }                                                                                          \
    }

/*
 * Make the model's programs; optimizer state starts anew, weights stay. Nothing of `options` is
 * kept. Compile again to change anything. On failure the model is as before.
 * fails: COT_E_ARG (NULL, unknown output, bad number), COT_E_SHAPE (a loss or metric does not fit
 * an output), COT_E_BUDGET (no way that was tried fits memory_budget: the text tells the smallest
 * budget that would do and the largest values that are then alive at the peak), and what
 * cot_program_create reports.
 */
COT_API cot_status cot_model_compile_with(cot_model *model, const cot_compile_options *options);
#define cot_model_compile(model, ...)                                                              \
    cot_model_compile_with(                                                                        \
        model, &(cot_compile_options){.struct_size = sizeof(cot_compile_options), __VA_ARGS__})

/* The compiled programs, borrowed, for inspection; NULL when there is none. */
COT_API const cot_program *cot_model_train_program(const cot_model *model);
COT_API const cot_program *cot_model_evaluate_program(const cot_model *model);
COT_API const cot_program *cot_model_predict_program(const cot_model *model);

/* What a training step takes, and what it cost to fit the budget. */
typedef struct cot_memory_info {
    int64_t budget;      /* compile's memory_budget; 0: none */
    int64_t bytes;       /* of a step, as the budget counts them */
    int64_t plain_bytes; /* of a step without a budget */
    int32_t n_regions;   /* stretches of the network that are computed again; 0: none */
    int32_t n_layers;    /* layers that have a part in them */
    double flops;        /* of a step of max_batch rows, by the plan's estimate */
    double plain_flops;  /* of a step without a budget */
} cot_memory_info;

/* All zero without a training program, or on the reference evaluator. */
COT_API cot_memory_info cot_model_train_memory(const cot_model *model);

/*
 * Optimizer state: iterations (i64), learning_rate (f32), then for each weight in turn its average
 * and collected gradients, where the options ask for them, and the slots of the optimizer; Nadam's
 * product last. NULL: no such variable. Borrowed, until the next compile.
 */
COT_API int32_t cot_model_n_optimizer_variables(const cot_model *model);
COT_API cot_variable *cot_model_optimizer_variable(const cot_model *model, int32_t i);

/*
 * The learning rate of the next step, before `decay`; NaN without an optimizer. It may be set
 * between steps, also by callbacks, unless it follows a schedule (COT_E_ARG).
 */
COT_API double cot_model_learning_rate(const cot_model *model);
COT_API cot_status cot_model_set_learning_rate(cot_model *model, double learning_rate);

/*
 * Of a model trained by cot_schedule_free_adamw: make the weights that are trained, y, those that
 * are to be evaluated, x = (y - (1 - beta_1) z) / beta_1, and the other way round. Which of the two
 * they are is for the caller to know. fails: COT_E_ARG (another optimizer, no step yet, amid fit)
 */
COT_API cot_status cot_model_swap_to_evaluation(cot_model *model);
COT_API cot_status cot_model_swap_to_training(cot_model *model);

/* ---- logs, history, callbacks ---- */

/* A named number: "loss", "accuracy", "class_loss", "val_loss", ... */
typedef struct cot_log {
    const char *name;
    double value;
} cot_log;

/* Borrowed: until the next call on the model that made it. */
typedef struct cot_logs {
    int32_t n;
    const cot_log *log;
} cot_logs;

/* The value of that name; NaN when there is none. */
COT_API double cot_logs_get(const cot_logs *logs, const char *name);

/* The values of every epoch of a fit. */
typedef struct cot_history cot_history;

/* Of the model's latest fit, borrowed until the next fit or the model's end; NULL before. */
COT_API const cot_history *cot_model_history(const cot_model *model);
COT_API int32_t cot_history_n_epochs(const cot_history *history);
/* The number (from 0) of the i-th epoch in it; -1 when there is none. */
COT_API int32_t cot_history_epoch(const cot_history *history, int32_t i);
COT_API int32_t cot_history_n_names(const cot_history *history);
/* Names in alphabetical order, those of validation after the others; NULL when there is none. */
COT_API const char *cot_history_name(const cot_history *history, int32_t i);
/* One value an epoch, NaN where it was not validated; NULL when there is no such name. */
COT_API const double *cot_history_values(const cot_history *history, const char *name);

#define COT_MAX_CALLBACKS 16

/*
 * Functions that fit calls on its own thread between steps; any may be NULL. They may read and set
 * weights, evaluate, predict, set the learning rate and stop the training, but not fit, compile or
 * destroy this model. epoch and batch count from 0. logs of on_batch_end are the epoch's running
 * means. A status other than COT_OK ends fit with that status. `user` is handed on; where it is
 * NULL, the callback itself is, so that it may be the first field of a larger struct.
 *
 * A callback whose numbers change during a fit names its kind and gives them to checkpoints by
 * get_state; where a fit goes on from a checkpoint, it gets them back by set_state, after
 * on_train_begin; the epoch that is gone on with does not begin again.
 */
typedef struct cot_callback {
    size_t struct_size;
    void *user;
    cot_status (*on_train_begin)(cot_model *model, void *user);
    cot_status (*on_train_end)(cot_model *model, const cot_logs *logs, void *user);
    cot_status (*on_epoch_begin)(cot_model *model, int32_t epoch, void *user);
    cot_status (*on_epoch_end)(cot_model *model, int32_t epoch, const cot_logs *logs, void *user);
    cot_status (*on_batch_begin)(cot_model *model, int64_t batch, void *user);
    cot_status (*on_batch_end)(cot_model *model, int64_t batch, const cot_logs *logs, void *user);
    bool logs_learning_rate; /* an epoch's logs hold "learning_rate", as it was during the epoch */
    bool last;               /* at each moment it is called after all callbacks that are not */
    bool (*wants_batches)(const void *user); /* false: on_batch_ are not called; NULL: they are */
    const char *kind;                        /* "early_stopping"; NULL: it has no state */
    int32_t n_state;                         /* numbers of its state */
    cot_status (*get_state)(const cot_model *model, double *state_out, void *user);
    cot_status (*set_state)(cot_model *model, const double *state, void *user);
} cot_callback;
#define COT_CALLBACK_INIT                                                                          \
    {sizeof(cot_callback),                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     false,                                                                                        \
     false,                                                                                        \
     NULL,                                                                                         \
     NULL,                                                                                         \
     0,                                                                                            \
     NULL,                                                                                         \
     NULL}

/* End the running fit after the current step; on_epoch_end and on_train_end are still called. */
COT_API void cot_model_stop_training(cot_model *model);

/* ---- fit ---- */

/* COT_VERBOSE_AUTO: a bar on a terminal, else a line an epoch. */
typedef enum cot_verbose {
    COT_VERBOSE_AUTO = 0,
    COT_VERBOSE_SILENT,
    COT_VERBOSE_BAR,
    COT_VERBOSE_LINE
} cot_verbose;

typedef struct cot_fit_options {
    size_t struct_size;
    const cot_dataset *data;            /* required */
    int64_t batch_size;                 /* 0: 32 */
    int32_t epochs;                     /* number of the last epoch; 0: 1 */
    int32_t initial_epoch;              /* epochs - initial_epoch are run */
    cot_switch shuffle;                 /* a new order every epoch (default: on) */
    double validation_split;            /* share of the rows, the last ones, kept for validation */
    const cot_dataset *validation_data; /* overrides validation_split */
    int64_t validation_batch_size;      /* 0: batch_size */
    cot_verbose verbose;
    const cot_console *console;                       /* NULL: nothing is written */
    const cot_callback *callbacks[COT_MAX_CALLBACKS]; /* ended by NULL */
    const volatile int32_t *cancel; /* not 0: end with COT_E_CANCELLED after the current step */
    bool allow_nonfinite;           /* do not refuse NaN and infinity in the data */
    /* Rows weigh by their class, or by these arrays, as in cotangent/data.h; in training only, and
     * sample_weight in validation by validation_split, too. At most one of the two. */
    cot_class_weights class_weight;
    cot_array_list sample_weight;
    /*
     * Steps of an epoch; 0: as many as make a pass over the data. Passes go on from epoch to epoch,
     * each in an order of its own; an epoch ends where its pass ends, so with more steps than that
     * it is a pass. The place of an epoch in its pass follows from its number.
     */
    int64_t steps_per_epoch;
    int64_t validation_steps;         /* of validation's first batches; 0: all */
    int32_t validation_freq;          /* validate after every so many epochs; 0: 1 */
    const int32_t *validation_epochs; /* or after these, from 1, ended by 0; NULL: by freq */
    bool shuffle_within_batches;      /* rows change places within their batch only */
} cot_fit_options;
#define COT_FIT_OPTIONS_INIT                                                                       \
    {sizeof(cot_fit_options),                                                                      \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     COT_DEFAULT,                                                                                  \
     0.0,                                                                                          \
     NULL,                                                                                         \
     0,                                                                                            \
     COT_VERBOSE_AUTO,                                                                             \
     NULL,                                                                                         \
     {NULL},                                                                                       \
     NULL,                                                                                         \
     false,                                                                                        \
     {NULL, 0},                                                                                    \
     {NULL, 0},                                                                                    \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     NULL,                                                                                         \
     false}

/*
 * Train. Weights, optimizer state and iterations go on from where they are. The data are scanned
 * once before the first step. On failure (also when cancelled) the weights are those of the last
 * complete step.
 * fails: COT_E_ARG, COT_E_SHAPE, COT_E_DTYPE (data and model do not fit), COT_E_DATA (a label out
 * of range, a NaN: the text names layer, row and value), COT_E_CANCELLED, COT_E_IO (the console
 * failed), a callback's status.
 */
COT_API cot_status cot_model_fit_with(cot_model *model, const cot_fit_options *options);
#define cot_model_fit(model, ...)                                                                  \
    cot_model_fit_with(                                                                            \
        model, &(cot_fit_options){.struct_size = sizeof(cot_fit_options), .data = __VA_ARGS__})

/* One step on all rows of a data set, at most max_batch of them. logs_out (may be NULL): of it. */
COT_API cot_status cot_model_train_on_batch(cot_model *model, const cot_dataset *data,
                                            cot_logs *logs_out);
/* Loss and metrics of all rows of a data set as one batch, at most max_batch of them. */
COT_API cot_status cot_model_test_on_batch(cot_model *model, const cot_dataset *data,
                                           cot_logs *logs_out);

/* ---- evaluate, predict ---- */

typedef struct cot_evaluate_options {
    size_t struct_size;
    cot_logs *report;   /* may be NULL */
    int64_t batch_size; /* 0: 32; more than max_batch counts as max_batch */
    cot_verbose verbose;
    const cot_console *console; /* NULL: nothing is written */
    const volatile int32_t *cancel;
    int64_t steps; /* only so many batches; 0: all */
} cot_evaluate_options;
#define COT_EVALUATE_OPTIONS_INIT                                                                  \
    {sizeof(cot_evaluate_options), NULL, 0, COT_VERBOSE_AUTO, NULL, NULL, 0}

/*
 * Loss and metrics on a data set: cot_model_evaluate(model, test, &report). The report's order is
 * Keras's: loss; of one output its metrics in the order of compile's options, of several each
 * output's loss and then the metrics by name.
 */
COT_API cot_status cot_model_evaluate_with(cot_model *model, const cot_dataset *data,
                                           const cot_evaluate_options *options);
#define cot_model_evaluate(model, data, ...)                                                       \
    cot_model_evaluate_with(model, data,                                                           \
                            &(cot_evaluate_options){.struct_size = sizeof(cot_evaluate_options),   \
                                                    .report = __VA_ARGS__})

/* Memory for one output: n_rows rows of the output's dtype, row-major; bytes must be exact. */
typedef struct cot_buffer {
    void *data;
    size_t bytes;
} cot_buffer;

typedef struct cot_buffer_list {
    const cot_buffer *buffer;
    int32_t n;
} cot_buffer_list;

/* COT_BUFFERS({y, sizeof y}). C only. */
#define COT_BUFFERS(...)                                                                           \
    ((cot_buffer_list){(const cot_buffer[]){__VA_ARGS__},                                          \
                       (int32_t)(sizeof((const cot_buffer[]){__VA_ARGS__}) / sizeof(cot_buffer))})

typedef struct cot_predict_options {
    size_t struct_size;
    cot_buffer_list outputs; /* required: one for each output, in order */
    int64_t batch_size;      /* 0: 32; more than max_batch counts as max_batch */
    cot_verbose verbose;
    const cot_console *console; /* NULL: nothing is written */
    const volatile int32_t *cancel;
    int64_t steps; /* only so many batches, for whose rows the memory is; 0: all */
} cot_predict_options;
#define COT_PREDICT_OPTIONS_INIT                                                                   \
    {sizeof(cot_predict_options), {NULL, 0}, 0, COT_VERBOSE_AUTO, NULL, NULL, 0}

/* Outputs for every row of a data set (its targets are not read). */
COT_API cot_status cot_model_predict_with(cot_model *model, const cot_dataset *data,
                                          const cot_predict_options *options);
/* For all rows of a data set as one batch, at most max_batch of them. */
COT_API cot_status cot_model_predict_on_batch(cot_model *model, const cot_dataset *data,
                                              cot_buffer_list outputs);
#define cot_model_predict(model, data, ...)                                                        \
    cot_model_predict_with(model, data,                                                            \
                           &(cot_predict_options){.struct_size = sizeof(cot_predict_options),      \
                                                  .outputs = __VA_ARGS__})

#ifdef __cplusplus
}
#endif
#endif
