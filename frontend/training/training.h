/*
 * What compile makes of a model: a head an output (its loss, metrics and target), the variables
 * that a step updates beside the weights, and three programs with a session each.
 *
 * Sums: each loss and each metric has an f64 scalar, to which a step adds the sum over its rows;
 * divided by the rows so far it is the value that logs show, so an epoch's loss weighs batches by
 * their rows. Training and evaluation have sums of their own, as callbacks may evaluate amid an
 * epoch.
 */
#ifndef COTI_TRAINING_H
#define COTI_TRAINING_H

#include "autodiff/remat_mark.h"
#include "codegen/program.h"
#include "cotangent/callbacks.h"
#include "cotangent/training.h"
#include "frontend/data/dataset.h"
#include "frontend/model/model.h"
#include "frontend/training/optimizer.h"

/* A metric of an output. */
typedef struct coti_judge {
    const char *name;           /* in logs, without the output's */
    cot_metric metric;          /* COT_ACCURACY resolved; COT_NO_METRIC: custom */
    bool weighted;              /* by sample weights */
    bool masked;                /* by its output's mask: a mean of values, as Keras has it */
    int32_t n_classes;          /* the last axis of its output */
    cot_metric_options numbers; /* with defaults filled in; not of a custom metric */
    cot_custom_metric custom;
} coti_judge;

/* metrics, those with options, weighted metrics, custom metrics */
enum { COTI_MOST_JUDGES = 4 * COT_MAX_METRICS };

/* How an output's sample weights come: not at all, one a row, one a value of its loss. */
typedef enum coti_weighting {
    COTI_UNWEIGHTED,
    COTI_WEIGHTED_BY_ROW,
    COTI_WEIGHTED_BY_VALUE
} coti_weighting;

/* One output, and how it is trained and judged. */
typedef struct coti_head {
    const char *name; /* the output's */
    coti_type type;   /* the output's */
    bool masked;      /* it has a mask */
    cot_loss loss;
    double weight;    /* of its loss in the total */
    bool from_logits; /* the output, as the user has it, is logits */
    bool fuse;        /* take a final softmax's or sigmoid's logits for a cross-entropy */
    int32_t top_k;
    cot_loss_options numbers; /* of the loss, with defaults filled in; axis is 0 for the last */
    int32_t n_judges;
    coti_judge *judge;
    int32_t i_target; /* among the targets; -1: needs none */
    coti_type target;
    int32_t i_loss_sum,
        i_metric_sum; /* among the sums; -1: none. Metrics' sums follow each other */
} coti_head;

/* A named number of a step or an epoch: a metric, sum / rows, or the weighted total of the losses.
 */
typedef struct coti_log_entry {
    const char *name;
    int32_t i_sum;           /* -1: the total */
    const coti_judge *judge; /* NULL: a loss */
} coti_log_entry;

/* Most sums that a metric keeps. */
enum { COTI_MOST_SUMS = 4096 };

#define COTI_TARGET_BYTES (2 * COTI_NAME_BYTES)

typedef enum coti_mode_id { COTI_TRAIN, COTI_EVALUATE, COTI_PREDICT, COTI_MODE_COUNT } coti_mode_id;

typedef struct coti_mode {
    cot_program *program; /* NULL: the model was compiled without what it needs */
    cot_session *session;
    int64_t max_rows;
    cot_variable **sum;        /* n_sums; NULL for predict */
    coti_weighting *weighting; /* n_heads: what the program reads */
} coti_mode;

/* Where a running fit is, for checkpoints (checkpoint.c). */
typedef struct coti_place {
    const cot_callback *const *callbacks; /* COT_MAX_CALLBACKS, or ended by NULL */
    int64_t n_rows, batch_size;
    bool shuffle;
    int32_t epoch;
    int64_t step, rows; /* of that epoch, done */
    bool begun;         /* its on_epoch_begin has been called */
    bool may_restore;   /* in on_train_begin */
    bool resumed;       /* epoch, step, rows and begun are those of a checkpoint */
} coti_place;

struct coti_safetensors;
struct coti_instruments;

typedef struct coti_training {
    cot_context *context;
    const cot_model *model;
    coti_arena arena;
    coti_optimizer optimizer;
    int64_t max_batch;      /* as asked */
    int64_t memory_budget;  /* of a training step; 0: any */
    cot_memory_info memory; /* of the training program */
    int32_t n_heads, n_targets, n_sums, n_logs;
    int32_t i_penalty_sum;        /* of what regularizers add to the loss; -1: there are none */
    coti_head *head;              /* one an output */
    coti_log_entry *log;          /* n_logs, in alphabetical order */
    int32_t *report;              /* indices in log, in evaluate's order */
    const char **validation_name; /* "val_" + name, as log */
    coti_mode mode[COTI_MODE_COUNT];
    int32_t n_variables; /* of the optimizer: iterations, learning rate, slots */
    int32_t i_scale;     /* of the dynamic scale among them; its steps follow */
    cot_variable **variable;
    cot_log *reported;                    /* n_logs: the latest report, borrowed by the user */
    struct coti_instruments *instruments; /* NULL: none */
    coti_place *place;                    /* of the running fit; NULL: there is none */
    struct coti_safetensors *resume; /* a checkpoint that the next fit goes on from; NULL: none */
} coti_training;

/* NULL is fine. */
void coti_training_destroy(coti_training *training);

/* ---- resolve.c: options to heads and logs ---- */

/* Also finds out whether anything is regularized. */
cot_status coti_resolve_heads(coti_training *training, const cot_compile_options *options);
cot_status coti_resolve_logs(coti_training *training);

/* ---- optimizer.c ---- */

/* given may be NULL. What it points to is copied into the arena. fails: COT_E_ARG (unknown kind, a
 * number out of range), COT_E_NOMEM. */
cot_status coti_optimizer_read(cot_context *context, coti_arena *arena, const cot_optimizer *given,
                               coti_optimizer *out);

/* Make iterations, learning rate and slots for the trainable weights. */
cot_status coti_optimizer_make_variables(coti_training *training);

/* Append the update of every trainable weight, given its gradient (in coti_trainable's order). */
cot_status coti_optimizer_update(const coti_training *training, cot_graph *graph,
                                 const cot_value *gradient);

/* When fit ends: weights become their averages, where the options say so. */
cot_status coti_optimizer_finish(const coti_training *training);

/* The variable "<weight>/<name>" from index *from on, which is then behind it: variables are in the
 * weights' order. NULL: there is none. */
const cot_variable *coti_optimizer_slot(const coti_training *training, const cot_variable *weight,
                                        const char *name, int32_t *from);

/* ---- loss_scale.c ---- */

/* The loss of which gradients are taken: times the dynamic scale, if there is one. */
cot_value coti_scale_loss(const coti_training *training, cot_value loss);
/* Its gradients, as they were without the scale. */
void coti_unscale(const coti_training *training, cot_value *gradient, int32_t n);
/* The scale; are all elements of all gradients (n >= 1) finite; the scale's own update. */
cot_value coti_loss_scale(const coti_training *training, cot_graph *graph);
cot_value coti_all_finite(const cot_value *gradient, int32_t n);
cot_status coti_loss_scale_update(const coti_training *training, cot_value finite);

/* A weight that fit updates. */
typedef struct coti_trainee {
    cot_variable *variable;
    const coti_weight_options *options;
} coti_trainee;

/* The model's weights that fit updates, in order; out (may be NULL) has room for all. */
int32_t coti_trainable(const cot_model *model, coti_trainee *out);

/* ---- lower.c: the layer graph to a tensor graph ---- */

/* Values of a model's outputs in a graph, in order. */
typedef struct coti_forward {
    coti_built *output; /* owned by whoever called coti_lower_forward */
    coti_built *call;   /* of every call, by id; likewise. No value: not in the model */
    cot_value penalty;  /* what activity regularizers add to the loss; poison: nothing */
} coti_forward;

/* Append inputs (in the model's order) and every layer call. */
cot_status coti_lower_forward(const cot_model *model, cot_graph *graph, bool training,
                              coti_forward *forward_out);

/* The error behind a poisoned value. */
cot_status coti_status_of(cot_context *context);

/* *sum += term, in the first term's dtype. */
void coti_add_penalty(cot_value *sum, cot_value term);

/* ---- heads.c: losses, metrics, regularization ---- */

/*
 * Append targets and sample weights (after all inputs), losses, metrics and the updates of the
 * mode's sums. *loss_out: the total loss, poison if no output has one.
 */
cot_status coti_lower_heads(const coti_training *training, cot_graph *graph, coti_mode_id mode,
                            const coti_forward *forward, cot_value *loss_out);

/* "class/target", "class/sample_weight": what they are called among a program's inputs. */
void coti_target_name(const coti_head *head, char name[COTI_TARGET_BYTES]);
void coti_weight_name(const coti_head *head, char name[COTI_TARGET_BYTES]);

/* Values of a row of this shape, one for each place of all axes but the batch's and this one (0:
 * the last); and of the head's loss. */
int64_t coti_values_a_row(const cot_shape *shape, int32_t axis);
int64_t coti_loss_values_a_row(const coti_head *head);

/* Does anything of the head look at sample weights? */
bool coti_head_takes_weights(const coti_head *head);

/* ---- loss.c, metric.c: values of rows ---- */

/* The shape of the loss's values: the output's without the axis that it is along. */
cot_shape coti_loss_shape(const coti_head *head);

/* Loss of each row, of that shape, or a custom loss's scalar. */
cot_value coti_loss_build(const coti_head *head, coti_built output, cot_value target);

/* Which rows count, 0 or 1 in the output's dtype, of the values' shape; poison: all. */
cot_value coti_loss_mask(const coti_head *head, cot_value target);

/* Read and check the head's numbers. given: NULL for defaults. fails: COT_E_ARG */
cot_status coti_loss_read(cot_context *context, const cot_loss_options *given, coti_head *head);

/* What a function of the user's gave; poison, with an error, if it is not a value a row (or a
 * scalar, if that is allowed). what: for the message. */
cot_value coti_row_values(const coti_head *head, const char *what, cot_value output,
                          cot_value given, bool may_be_scalar);

/* Does the loss take integer classes? (else floats of the output's shape) */
bool coti_loss_takes_classes(cot_loss loss);
/* The same of the head's, which may be the user's own. */
bool coti_loss_is_sparse(const coti_head *head);
bool coti_loss_is_valid(cot_loss loss);

/*
 * What a step adds to a metric's sums, [] or [n]. weight: of each value (the output's shape without
 * its last axis), in the output's dtype; poison: 1. The output's mask counts, too, where the judge
 * is masked.
 */
cot_value coti_metric_build(const coti_judge *judge, const coti_head *head, coti_built output,
                            cot_value target, cot_value weight);
bool coti_metric_is_valid(cot_metric metric);

/*
 * A judge of an output of this head's type, whose top_k is known: options checked, defaults filled
 * in. numbers: options in full, with a metric that is not COT_ACCURACY; its name is borrowed.
 * fails: COT_E_ARG, COT_E_SHAPE (metric_options.c)
 */
cot_status coti_metric_read(cot_context *context, const coti_head *head,
                            const cot_metric_options *numbers, coti_judge *judge_out);
/* Does it take integer classes? */
bool coti_metric_is_sparse(const coti_judge *judge);
/* How many sums it keeps, and its value from them after so many rows. */
int32_t coti_metric_sums(const coti_judge *judge);
double coti_metric_value(const coti_judge *judge, const double *sum, double rows);
/* Does an output's mask count? In means of rows' values, but not in the root of one, as in Keras.
 */
bool coti_metric_takes_mask(const coti_judge *judge);
/* +1: more is better; -1: less is; 0: neither. */
int32_t coti_metric_direction(const coti_judge *judge);

/* ---- logs.c ---- */

cot_status coti_reset_sums(const coti_training *training, coti_mode_id mode);
/* Which way the number of this name, also behind "val_", is better: +1 or -1; 0: it is unknown. */
int32_t coti_log_direction(const coti_training *training, const char *name);
/* Values after `rows` rows, one an entry of training->log. */
cot_status coti_read_sums(const coti_training *training, coti_mode_id mode, int64_t rows,
                          double *value_out);
/* Put values (as coti_read_sums) into training->reported, in evaluate's order. */
void coti_report(coti_training *training, const double *value, cot_logs *logs_out);

/* ---- history.c ---- */

typedef struct cot_history coti_history;

/* An empty history of these names; name strings are copied. */
cot_status coti_history_create(cot_context *context, int32_t n_names, const char *const *name,
                               coti_history **history_out);
void coti_history_destroy(coti_history *history);
cot_status coti_history_append(coti_history *history, int32_t epoch, const double *value);
/* The numbers of its epochs. */
const int32_t *coti_history_epochs(const coti_history *history);

/* ---- callbacks.c: watching a number ---- */

/* As given, or "val_loss" for NULL. */
const char *coti_monitor_name(const char *monitor);
/* +1: more is better, -1: less is. COT_E_ARG: it is not known; callback: for the message. */
cot_status coti_monitor_direction(const cot_model *model, const char *callback, const char *monitor,
                                  cot_monitor_mode mode, int32_t *direction_out);
/* The number in the logs; COT_E_ARG if it is not there. */
cot_status coti_monitor_number(const cot_model *model, const char *callback, const char *monitor,
                               const cot_logs *logs, double *value_out);
/* Is it in the logs of an epoch, or in none? false: this epoch was not validated. */
bool coti_monitor_is_due(const cot_model *model, const char *monitor, const cot_logs *logs);
/* A count that a checkpoint holds, whatever stands there. */
int32_t coti_count_of(double value);

/* ---- newest.c ---- */

/* Remove a directory's checkpoints, and the directory if it is then empty. */
cot_status coti_remove_newest(const cot_model *model, const char *directory);

/* ---- restore.c ---- */

/*
 * Take what a restored checkpoint says of a fit, if there is one: the place, sums, states of
 * callbacks, the best weights, the history. place: with callbacks, rows, batch size and shuffle of
 * the fit that goes on. fails: COT_E_ARG (that fit is another), COT_E_PARSE, COT_E_NOMEM
 */
cot_status coti_resume_take(cot_model *model, coti_place *place);
/* The state has moved on: nothing is to be taken any more. */
void coti_resume_forget(coti_training *training);

/* ---- bind.c: data against the model ---- */

typedef enum coti_data_use {
    COTI_USE_INPUTS = 0,
    COTI_USE_TARGETS = 1, /* targets are read: check labels, too */
    COTI_USE_FINITE = 2   /* floats must be finite */
} coti_data_use;

/*
 * Do a data set's columns fit the model, and are their values allowed? uses: of coti_data_use,
 * or-ed. fails: COT_E_ARG, COT_E_SHAPE, COT_E_DTYPE, COT_E_DATA; the text names layer, row and
 * value.
 */
cot_status coti_check_data(const coti_training *training, const char *function,
                           const cot_dataset *data, uint32_t uses);

/* Bind inputs, and targets unless predicting, to a mode's session; order: NULL, or row indices. */
cot_status coti_bind_data(const coti_training *training, coti_mode_id id, const cot_dataset *data,
                          const int64_t *order);

/* Take a session's error over into the context; returns status. */
cot_status coti_take_error(cot_context *context, const cot_session *session, cot_status status);

/* ---- shuffle.c ---- */

/* A permutation of 0..n-1, a function of seed and epoch, that moves nothing out of its block of so
 * many (n: of anything). */
void coti_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t block, int64_t *order_out);

/* ---- budget.c ---- */

/* How a training step is made to fit. */
typedef struct coti_fitting {
    int64_t stretch_bytes; /* as coti_remat_mark takes it; 0: nothing is computed again */
    cot_memory_info memory;
} coti_fitting;

/*
 * Find out how a training step of max_rows rows fits the budget, of which there is one. fails:
 * COT_E_BUDGET, COT_E_UNSUPPORTED on the evaluator, what building the graph does.
 */
cot_status coti_fit_budget(const coti_training *training, int64_t max_rows, coti_fitting *out);

/* Lines that tell of the regions of a graph, for the heads of dumps; n_layers is set. */
cot_status coti_describe_regions(const cot_graph *graph, cot_memory_info *memory, coti_str *text);

/* ---- compile.c ---- */

/*
 * The graph of a mode. stretch_bytes: as coti_remat_mark, at max_rows rows, before gradients are
 * taken; *stretches_out (may be NULL) is what was marked. NULL on error, recorded.
 */
cot_graph *coti_build_graph(const coti_training *training, coti_mode_id mode, int64_t max_rows,
                            int64_t stretch_bytes, coti_stretches *stretches_out);

/* Make a mode's program anew for steps of up to max_rows rows; the state stays. */
cot_status coti_reopen_mode(coti_training *training, coti_mode_id id, int64_t max_rows);

/* Let a mode's program read the sample weights that a data set has, and no others: made anew where
 * it does not. The data were checked. */
cot_status coti_match_weights(coti_training *training, coti_mode_id id, const cot_dataset *data);

/* The next step's learning rate; NaN without an optimizer. fails: COT_E_NOMEM, with a schedule */
cot_status coti_learning_rate(const coti_training *training, double *rate_out);

/* The model's training state, or COT_E_ARG: `function` needs a compiled model. */
cot_status coti_training_of(const cot_model *model, const char *function,
                            coti_training **training_out);

/* ---- progress.c ---- */

/* Keras's progress bar, or its line an epoch. Times are in seconds of any clock. */
typedef struct coti_progress {
    cot_console console;
    bool bar;                          /* else: a line at the end */
    int64_t n_steps;                   /* in all */
    double begin, after_first, latest; /* after_first < 0: not known; latest < 0: not drawn */
    int32_t drawn;                     /* width of what is on the line */
    coti_str text;
} coti_progress;

/* Seconds between redraws. */
#define COTI_REDRAW_SECONDS 0.05

/* console: checked (coti_console_read). */
void coti_progress_init(coti_progress *progress, cot_context *context, const cot_console *console,
                        bool bar);
void coti_progress_free(coti_progress *progress);
/* Begin a row of n_steps steps. */
void coti_progress_begin(coti_progress *progress, int64_t n_steps, double now);
/*
 * Show that `done` steps are done, if it is time to; last: for certain, with the line's end.
 * fails: COT_E_IO, COT_E_NOMEM
 */
cot_status coti_progress_show(coti_progress *progress, int64_t done, const cot_logs *logs,
                              double now, bool last);
/* End a line that is half drawn, before an error. */
cot_status coti_progress_break(coti_progress *progress);
/* Is it time to show? */
bool coti_progress_is_due(const coti_progress *progress, double now);

/* ---- loop.c ---- */

/* Seconds of a clock that never goes back. */
double coti_now(void);

/*
 * All steps over rows of a data set, in regions that end at host events: every step when each_step,
 * a redraw when there is a bar, else only the end.
 */
typedef struct coti_loop {
    coti_training *training;
    coti_mode_id mode;
    int64_t first_row, n_rows, batch;
    const volatile int32_t *cancel;
    coti_progress *progress; /* NULL: nothing is shown */
    bool each_step;
    int64_t done_rows, done_steps; /* so far */
    double step_seconds;           /* of the latest region */
} coti_loop;

int64_t coti_loop_n_steps(const coti_loop *loop);
/* Run one region; needs done_rows < n_rows. */
cot_status coti_loop_advance(coti_loop *loop);
/* Show progress with these logs, if any is shown and it is time; last: the end of the line. */
cot_status coti_loop_show(coti_loop *loop, const cot_logs *logs, bool last);

/* ---- fit_options.c, fit.c ---- */

/* The options as given, with their defaults. fails: COT_E_ARG */
cot_status coti_fit_read(cot_context *context, const cot_fit_options *given, cot_fit_options *own);

/*
 * cot_model_fit_with in parts, between which the model may be read and evaluated and other fits may
 * run: begin checks and prepares, advance trains on until so many epochs are done (counted from 0,
 * at most the options'), end calls on_train_end if all went well (status: what advance gave), and
 * frees the fit. Parts give the bits of the whole. Callbacks in the options must live until the
 * end.
 */
typedef struct coti_fit coti_fit;
cot_status coti_fit_begin(cot_model *model, const cot_fit_options *options, coti_fit **fit_out);
cot_status coti_fit_advance(coti_fit *fit, int32_t epochs);
/* All epochs are done, or it was stopped: advance does nothing any more. */
bool coti_fit_is_over(const coti_fit *fit);
cot_status coti_fit_end(coti_fit *fit, cot_status status);

/* The context has so many threads from now on, and the steps of the fit use them. Between epochs.
 * On failure they may use those that they had. */
cot_status coti_fit_set_threads(coti_fit *fit, int32_t threads);

/* May it be trained now? COT_E_ARG: it is being fitted, or has no optimizer. */
cot_status coti_check_state(const cot_model *model, const char *function);

/* ---- evaluate.c ---- */

/* Rows a step as asked, 0: 32. COT_E_ARG: negative. */
cot_status coti_choose_batch(cot_context *context, const char *function, int64_t asked,
                             int64_t *batch_out);

/* Rows of so many steps of a batch; steps 0: all. COT_E_ARG: negative. */
cot_status coti_choose_rows(cot_context *context, const char *function, int64_t steps,
                            int64_t batch, int64_t n_rows, int64_t *n_rows_out);

/* What to show on a console (NULL: nothing), and how; *console is complete if *shown_out. */
cot_status coti_choose_progress(cot_context *context, const cot_console *given, cot_verbose verbose,
                                cot_console *console, bool *shown_out, bool *bar_out);

/* Evaluate the first rows of a data set that was checked: values as coti_read_sums. progress may be
 * NULL. */
cot_status coti_evaluate(coti_training *training, const cot_dataset *data, int64_t n_rows,
                         int64_t batch, const volatile int32_t *cancel, coti_progress *progress,
                         double *value_out);

#endif
