/*
 * Cotangent, search: choosing hyper-parameters on the validation set.
 *
 * The caller names options and their ranges, and gives a function that builds a model from values
 * of them; the search trains a model for each of many choices, a trial each, watches a number of
 * the validation set, and keeps the model, with the weights of its best epoch, of the best trial.
 * The test set, if there is one, is read once: after the search, by that model. No trial sees it.
 *
 *     cot_model *build(const cot_trial *trial, cot_fit_options *fit, void *user) {
 *         cot_context *ctx = cot_trial_context(trial);
 *         cot_tensor x = cot_input(ctx, COT_F32, COT_SHAPE(784), NULL);
 *         cot_tensor h = cot_dense(x, cot_trial_int(trial, "units"), .activation = COT_RELU);
 *         cot_tensor y = cot_dense(h, 10, .activation = COT_SOFTMAX);
 *         cot_model *model = cot_model_create(ctx, COT_TENSORS(x), COT_TENSORS(y), NULL);
 *         cot_model_compile(model, .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
 *             .optimizer = cot_adam(.learning_rate = cot_trial_float(trial, "learning_rate")));
 *         fit->batch_size = 128;
 *         return model;
 *     }
 *     ...
 *     cot_search(ctx, &result, build, .data = train, .validation_split = 0.1, .test_data = test,
 *                .ranges = COT_RANGES(cot_range_log_uniform("learning_rate", 1e-4, 1e-1),
 *                                     cot_range_numbers("units", 64, 128, 256)),
 *                .method = COT_SEARCH_HALVING, .trials = 27, .epochs = 9);
 */
#ifndef COTANGENT_SEARCH_H
#define COTANGENT_SEARCH_H

#include "base.h"
#include "callbacks.h"
#include "data.h"
#include "model.h"
#include "training.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what is searched ---- */

/* X(constant, name, values) */
#define COT_RANGE_LIST(X)                                                                          \
    X(COT_RANGE_UNIFORM, "uniform", "numbers from low to high, each as probable")                  \
    X(COT_RANGE_LOG_UNIFORM, "log_uniform",                                                        \
      "numbers from low to high, each order of magnitude as probable")                             \
    X(COT_RANGE_INTEGERS, "integers", "low, low + step, ... up to high")                           \
    X(COT_RANGE_NUMBERS, "numbers", "one of a list of numbers")                                    \
    X(COT_RANGE_TEXTS, "texts", "one of a list of texts")

typedef enum cot_range_kind {
#define COT_RANGE_ENUM(constant, name, values) constant,
    COT_RANGE_LIST(COT_RANGE_ENUM)
#undef COT_RANGE_ENUM
} cot_range_kind;

/* "uniform" ...; "?" for a value that is no kind. */
COT_API const char *cot_range_kind_name(cot_range_kind kind);

/* An option and what it may be. */
typedef struct cot_range {
    const char *name;
    cot_range_kind kind;
    double low, high;        /* of uniform, log_uniform and integers, whole numbers for these */
    double step;             /* integers; 0: 1 */
    int32_t points;          /* of uniform and log_uniform in a grid, both ends among them; 0: 5 */
    const double *number;    /* numbers */
    const char *const *text; /* texts */
    int32_t n;               /* of these */
} cot_range;

typedef struct cot_range_list {
    const cot_range *range;
    int32_t n;
} cot_range_list;

/* cot_range_uniform("dropout", 0, 0.5), cot_range_log_uniform("learning_rate", 1e-4, 1e-1, .points
 * = 4), cot_range_integers("units", 32, 256, .step = 32), cot_range_numbers("batch", 32, 128),
 * cot_range_texts("optimizer", "sgd", "adam"). C only, as all that follow. */
#define cot_range_uniform(range_name, from, ...)                                                   \
    ((cot_range){                                                                                  \
        .name = (range_name), .kind = COT_RANGE_UNIFORM, .low = (from), .high = __VA_ARGS__})
#define cot_range_log_uniform(range_name, from, ...)                                               \
    ((cot_range){                                                                                  \
        .name = (range_name), .kind = COT_RANGE_LOG_UNIFORM, .low = (from), .high = __VA_ARGS__})
#define cot_range_integers(range_name, from, ...)                                                  \
    ((cot_range){                                                                                  \
        .name = (range_name), .kind = COT_RANGE_INTEGERS, .low = (from), .high = __VA_ARGS__})
#define cot_range_numbers(range_name, ...)                                                         \
    ((cot_range){.name = (range_name),                                                             \
                 .kind = COT_RANGE_NUMBERS,                                                        \
                 .number = (const double[]){__VA_ARGS__},                                          \
                 .n = (int32_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double))})
#define cot_range_texts(range_name, ...)                                                           \
    ((cot_range){.name = (range_name),                                                             \
                 .kind = COT_RANGE_TEXTS,                                                          \
                 .text = (const char *const[]){__VA_ARGS__},                                       \
                 .n = (int32_t)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))})
#define COT_RANGES(...)                                                                            \
    ((cot_range_list){(const cot_range[]){__VA_ARGS__},                                            \
                      (int32_t)(sizeof((const cot_range[]){__VA_ARGS__}) / sizeof(cot_range))})

/* ---- a trial ---- */

/* One choice of values, and what its training came to. Owned by the result of the search. */
typedef struct cot_trial cot_trial;

/* X(constant, name, meaning) */
#define COT_TRIAL_STATE_LIST(X)                                                                    \
    X(COT_TRIAL_WAITING, "waiting", "it has not begun")                                            \
    X(COT_TRIAL_RUNNING, "running", "it has begun")                                                \
    X(COT_TRIAL_DONE, "done", "all epochs were trained")                                           \
    X(COT_TRIAL_STOPPED, "stopped", "a callback has stopped it, as early stopping does")           \
    X(COT_TRIAL_OUTRANKED, "outranked", "halving has gone on with others")                         \
    X(COT_TRIAL_DIVERGED, "diverged", "a loss or the number watched was not finite")               \
    X(COT_TRIAL_FAILED, "failed", "an error, which the message tells")                             \
    X(COT_TRIAL_CANCELLED, "cancelled", "the search was ended before it")

typedef enum cot_trial_state {
#define COT_TRIAL_STATE_ENUM(constant, name, meaning) constant,
    COT_TRIAL_STATE_LIST(COT_TRIAL_STATE_ENUM)
#undef COT_TRIAL_STATE_ENUM
} cot_trial_state;

/* "waiting" ...; "?" for a value that is no state. */
COT_API const char *cot_trial_state_name(cot_trial_state state);

/* From 0, in the order in which values were chosen; -1 for NULL. */
COT_API int32_t cot_trial_index(const cot_trial *trial);

/*
 * The trial's value of an option. A name that no range has, and a kind that does not fit, are
 * errors of the context (of the trial's, while it is built and trained: the trial fails): NaN, 0
 * and "" are returned. cot_trial_int takes ranges of integers, and of numbers that are all whole;
 * cot_trial_float takes all but texts.
 */
COT_API double cot_trial_float(const cot_trial *trial, const char *name);
COT_API int64_t cot_trial_int(const cot_trial *trial, const char *name);
COT_API const char *cot_trial_text(const cot_trial *trial, const char *name);

/* The trial's own context, in which its model is made; NULL when the model is gone. */
COT_API cot_context *cot_trial_context(const cot_trial *trial);

/* Zeroed memory that lives as long as the trial's model: for callbacks of its fit, and their state.
 * While it is built only; NULL with COT_E_NOMEM recorded in its context. */
COT_API void *cot_trial_alloc(const cot_trial *trial, size_t bytes);

typedef struct cot_trial_info {
    cot_trial_state state;
    double value;        /* of the number watched, at the best epoch; NaN: there is none */
    int32_t best_epoch;  /* from 0; -1: there is none */
    int32_t n_epochs;    /* trained */
    const double *curve; /* the number watched by epoch, NaN where it was not validated */
    int64_t n_params;    /* of the model; 0: it was not built */
    double seconds;      /* of building and training it, beside the others */
    const char *message; /* why it has failed or diverged; "" */
} cot_trial_info;

COT_API cot_trial_info cot_trial_get_info(const cot_trial *trial);

/* ---- the search ---- */

/*
 * COT_SEARCH_RANDOM: each value is drawn independently, from Philox, seeded by the context's seed;
 * a choice that an earlier trial has is drawn anew, up to 100 times, then there are no more trials
 * (Bergstra, Bengio: Random Search for Hyper-Parameter Optimization, JMLR 13, 2012).
 * COT_SEARCH_GRID: all combinations; the last range changes fastest.
 * COT_SEARCH_HALVING: random choices; after min_epochs only the best 1/factor of them, rounded down
 * but at least one, go on to factor times as many epochs, and so on up to `epochs`; one that is
 * alone goes on to the end at once (Jamieson, Talwalkar: Non-stochastic Best Arm Identification and
 * Hyperparameter Optimization, AISTATS 2016). This is one bracket of Hyperband, of min_epochs; its
 * others are searches of their own, with more min_epochs and fewer trials.
 */
typedef enum cot_search_method {
    COT_SEARCH_RANDOM = 0,
    COT_SEARCH_GRID,
    COT_SEARCH_HALVING
} cot_search_method;

typedef struct cot_search_options {
    size_t struct_size;
    /*
     * Make a trial's model in cot_trial_context(trial), compile it and return it: the search owns
     * it. NULL, or an error in that context: the trial fails. `fit` holds what it will be trained
     * by and may be changed, batch_size and callbacks above all; what a callback points to must
     * live as long as the trial (cot_trial_alloc). The search sets data, validation, epochs and
     * cancel, whatever stands there, and needs one callback for itself.
     *
     * Trials that run side by side are built by several threads at once: the function may read
     * what it shares, not write it.
     */
    cot_model *(*build)(const cot_trial *trial, cot_fit_options *fit, void *user);
    void *user;
    cot_range_list ranges;              /* one or more; copied */
    const cot_dataset *data;            /* required: the training set */
    double validation_split;            /* as in cot_fit_options; one of these two is required */
    const cot_dataset *validation_data; /* overrides validation_split */
    const cot_dataset *test_data;       /* NULL: none */
    cot_search_method method;
    int32_t trials;        /* random, halving: how many, 0: 10; grid: the first so many, 0: all */
    int32_t epochs;        /* of each trial, of those that get so far; 0: 10 */
    int32_t min_epochs;    /* halving: before the first choice; 0: 1 */
    int32_t factor;        /* halving: 2 or more; 0: 3 */
    const char *monitor;   /* a number of the validation set, "val_..."; NULL: "val_loss" */
    cot_monitor_mode mode; /* as in callbacks */
    /*
     * Trials that are trained at the same time, among which the context's threads are divided; 0:
     * as many as there are threads. Never more than threads, nor more than fit into memory_limit,
     * by their programs, weights and optimizer state; 0: half of the machine's memory. Neither
     * changes any number of the result but seconds.
     */
    int32_t side_by_side;
    int64_t memory_limit;
    const volatile int32_t *cancel; /* not 0: end with COT_E_CANCELLED after the current steps */
    /*
     * Called one at a time, on the thread that trains the trial: after each of its epochs, and when
     * it has ended in whatever way. They may read this trial. A status other than COT_OK ends the
     * search with it. NULL: not called.
     */
    cot_status (*on_epoch_end)(const cot_trial *trial, void *user);
    cot_status (*on_trial_end)(const cot_trial *trial, void *user);
} cot_search_options;
#define COT_SEARCH_OPTIONS_INIT                                                                    \
    {sizeof(cot_search_options),                                                                   \
     NULL,                                                                                         \
     NULL,                                                                                         \
     {NULL, 0},                                                                                    \
     NULL,                                                                                         \
     0.0,                                                                                          \
     NULL,                                                                                         \
     NULL,                                                                                         \
     COT_SEARCH_RANDOM,                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     NULL,                                                                                         \
     COT_MODE_AUTO,                                                                                \
     0,                                                                                            \
     0,                                                                                            \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL}

/* What a search came to. Destroy it before the context. */
typedef struct cot_search_result cot_search_result;

/*
 * Search. Every trial begins with the same seed, in a context like the given one, without dumps:
 * its numbers are those of a fit alone, whatever runs beside it. A trial counts by its best epoch,
 * whatever ended it; of equal ones the first is better. At the same time there are the models of
 * those that run, of the best so far, and in halving of as many as will go on.
 *
 * *result_out is set whenever trials have begun, also with an error: then it tells how far they
 * came. Else it is NULL.
 * fails: COT_E_ARG (an option, a range), COT_E_SHAPE (the sets' columns differ), COT_E_CANCELLED, a
 * callback's status, COT_E_NOMEM; if no trial has come to a number the first one's status; what
 * evaluating the test set does.
 */
COT_API cot_status cot_search_with(cot_context *context, cot_search_result **result_out,
                                   const cot_search_options *options);
#define cot_search(context, result_out, ...)                                                       \
    cot_search_with(                                                                               \
        context, result_out,                                                                       \
        &(cot_search_options){.struct_size = sizeof(cot_search_options), .build = __VA_ARGS__})

/* With the best model. NULL is fine. */
COT_API void cot_search_result_destroy(cot_search_result *result);

COT_API int32_t cot_search_n_trials(const cot_search_result *result);
/* In the order of their indices; NULL when there is none. */
COT_API const cot_trial *cot_search_trial(const cot_search_result *result, int32_t i);
/* The i-th best; those without a number come last, by index. */
COT_API const cot_trial *cot_search_ranked(const cot_search_result *result, int32_t i);
/* NULL: no trial has come to a number. */
COT_API const cot_trial *cot_search_best(const cot_search_result *result);
/* The best trial's model, with the weights of its best epoch, borrowed, in a context of its own;
 * NULL when there is none. */
COT_API cot_model *cot_search_model(const cot_search_result *result);
/* What evaluating it on the test set gave; empty without one. Borrowed. */
COT_API cot_logs cot_search_test(const cot_search_result *result);
/* "val_loss": the number watched. */
COT_API const char *cot_search_monitor(const cot_search_result *result);

COT_API int32_t cot_search_n_ranges(const cot_search_result *result);
/* Borrowed; NULL when there is none. */
COT_API const cot_range *cot_search_range(const cot_search_result *result, int32_t i);

/* So many trials are trained until so many epochs are done; fewer if some ended before. Methods
 * other than halving have one round. */
typedef struct cot_search_round {
    int32_t n_trials, epochs;
} cot_search_round;
COT_API int32_t cot_search_n_rounds(const cot_search_result *result);
/* All zero when there is none. */
COT_API cot_search_round cot_search_get_round(const cot_search_result *result, int32_t i);

/* The trials as a table for people, the best first. fails: COT_E_ARG, COT_E_IO, COT_E_NOMEM */
COT_API cot_status cot_search_write_table(const cot_search_result *result, cot_write_fn write,
                                          void *user);
/* As CSV (RFC 4180), a line a trial by index: trial, state, the number watched, best_epoch, epochs,
 * seconds, params, the options by name, message. Numbers that are not there are empty. */
COT_API cot_status cot_search_write_csv(const cot_search_result *result, cot_write_fn write,
                                        void *user);

#ifdef __cplusplus
}
#endif
#endif
