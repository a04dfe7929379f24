/*
 * Cotangent, callbacks: Keras's, ready made. Each is a struct that begins with a cot_callback and
 * holds options and state, so it serves one fit at a time. In C:
 *
 *     cot_model_fit(model, data, .epochs = 100, .validation_split = 0.2,
 *                   .callbacks = {cot_early_stopping(.patience = 3)})
 *
 * or, to look at the state afterwards, as a variable of one's own:
 *
 *     cot_early_stopping_callback stop = {.base = cot_early_stopping_base(), .patience = 3};
 *     ... .callbacks = {&stop.base} ...
 *
 * A callback that watches a number finds it in the epoch's logs; if it is not there, fit fails with
 * COT_E_ARG and says which there are.
 */
#ifndef COTANGENT_CALLBACKS_H
#define COTANGENT_CALLBACKS_H

#include "training.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Functions of one's own, as Keras's LambdaCallback: cot_lambda_callback(.on_epoch_end = f, .user =
 * u); the fields are cot_callback's. */
#define cot_lambda_callback(...)                                                                   \
    (&(const cot_callback){.struct_size = sizeof(cot_callback), __VA_ARGS__})

/* Which way is better. COT_MODE_AUTO: down for losses and errors, up for accuracies and the like.
 */
typedef enum cot_monitor_mode { COT_MODE_AUTO = 0, COT_MODE_MIN, COT_MODE_MAX } cot_monitor_mode;

/*
 * Stop when a number has not become better for so many epochs (Keras's EarlyStopping): better by
 * more than min_delta than the best so far; the first epoch never stops.
 */
typedef struct cot_early_stopping_callback {
    cot_callback base;
    const char *monitor; /* NULL: "val_loss" */
    double min_delta;    /* its sign does not matter */
    int32_t patience;
    cot_monitor_mode mode;
    double baseline;           /* the number must beat it, too; 0: none; COT_ZERO: 0 */
    bool restore_best_weights; /* when fit ends: those of the best epoch */
    int32_t start_from_epoch;  /* epochs before it do not count */
    /* state */
    double best;
    int32_t best_epoch;
    int32_t stopped_epoch; /* the epoch after which it stopped the training; 0: it did not */
    int32_t wait;          /* epochs without improvement */
} cot_early_stopping_callback;
COT_API cot_callback cot_early_stopping_base(void);
#define cot_early_stopping(...)                                                                    \
    (&(cot_early_stopping_callback){.base = cot_early_stopping_base(), __VA_ARGS__}.base)

/*
 * Multiply the learning rate by `factor` when a number has not become better for `patience` epochs
 * (Keras's ReduceLROnPlateau). Logs learning_rate, as it was during the epoch.
 */
typedef struct cot_reduce_lr_callback {
    cot_callback base;
    const char *monitor; /* NULL: "val_loss" */
    double factor;       /* below 1; 0: 0.1; COT_ZERO: 0 */
    int32_t patience;    /* 0: 10 */
    cot_monitor_mode mode;
    double min_delta; /* 0: 1e-4; COT_ZERO: 0 */
    int32_t cooldown; /* epochs after a reduction that do not count */
    double min_lr;
    /* state */
    double best;
    int32_t wait, cooling;
} cot_reduce_lr_callback;
COT_API cot_callback cot_reduce_lr_base(void);
#define cot_reduce_lr_on_plateau(...)                                                              \
    (&(cot_reduce_lr_callback){.base = cot_reduce_lr_base(), __VA_ARGS__}.base)

/* Set the learning rate at the begin of each epoch (Keras's LearningRateScheduler). Logs
 * learning_rate. */
typedef struct cot_lr_scheduler_callback {
    cot_callback base;
    double (*schedule)(int32_t epoch, double learning_rate, void *user); /* epochs count from 0 */
    void *user;                                                          /* handed on */
} cot_lr_scheduler_callback;
COT_API cot_callback cot_lr_scheduler_base(void);
#define cot_learning_rate_scheduler(...)                                                           \
    (&(cot_lr_scheduler_callback){.base = cot_lr_scheduler_base(), .schedule = __VA_ARGS__}.base)

/* Stop after a batch whose loss, the running mean of the epoch, is not finite (Keras's
 * TerminateOnNaN). */
typedef struct cot_terminate_on_nan_callback {
    cot_callback base;
    bool has_stopped; /* state */
    int64_t batch;
} cot_terminate_on_nan_callback;
COT_API cot_callback cot_terminate_on_nan_base(void);
#define cot_terminate_on_nan()                                                                     \
    (&(cot_terminate_on_nan_callback){.base = cot_terminate_on_nan_base()}.base)

/*
 * Write every epoch's logs as a line of a file (Keras's CSVLogger): the epoch, from 0, then the
 * numbers by name, NA where an epoch has none; line ends are CR LF. The columns are those of the
 * fit's first epoch; if that was not validated, then a val_ column of each of them. The file is
 * whole after every epoch. A fit that goes on from a checkpoint goes on with the file as it was
 * when that was made. fails: COT_E_IO
 */
typedef struct cot_csv_logger_callback {
    cot_callback base;
    const char *filename;
    char separator; /* 0: ',' */
    bool append;    /* go on with a file that is there */
    /* state */
    bool has_header;
    bool is_new; /* the next line begins the file */
    bool has_columns;
    bool adds_validation; /* the first epoch was not validated */
} cot_csv_logger_callback;
COT_API cot_callback cot_csv_logger_base(void);
#define cot_csv_logger(...)                                                                        \
    (&(cot_csv_logger_callback){.base = cot_csv_logger_base(), .filename = __VA_ARGS__}.base)

/*
 * Save the model as it trains (Keras's ModelCheckpoint): at each epoch's end, or every save_freq
 * batches, counted across epochs.
 *
 * filepath names the file: {epoch} is the epoch, from 1, {batch} the batch, from 1, and {val_loss}
 * or another name of a log its number; formats are Python's, as in "net-{epoch:02d}-{val_loss:.2f}"
 * (fill with 0, width, precision, d e f g); {{ and }} are braces. Batch logs have no val_ numbers.
 *
 * What is written is a checkpoint, from which a fit can go on, or with save_weights_only the
 * weights. fails: COT_E_ARG (a name that the logs lack, a bad format), COT_E_IO
 */
typedef struct cot_model_checkpoint_callback {
    cot_callback base;
    const char *filepath;
    const char *monitor; /* NULL: "val_loss" */
    bool save_best_only; /* only when the number is better than at every earlier save */
    bool save_weights_only;
    cot_monitor_mode mode;
    int32_t save_freq;              /* batches; 0: at each epoch's end */
    double initial_value_threshold; /* the number must beat it, too; 0: none; COT_ZERO: 0 */
    const cot_console *console;     /* says what was saved and why; NULL: nothing is said */
    /* state */
    bool has_best;
    double best;
    int32_t n_saved;
    int32_t batches; /* since the latest save */
    int32_t epoch;   /* the running one, from 0 */
    char path[512];  /* of the latest save; "": none */
} cot_model_checkpoint_callback;
COT_API cot_callback cot_model_checkpoint_base(void);
#define cot_model_checkpoint(...)                                                                  \
    (&(cot_model_checkpoint_callback){.base = cot_model_checkpoint_base(),                         \
                                      .filepath = __VA_ARGS__}                                     \
          .base)

/*
 * Keep checkpoints of the fit in a directory of its own, and go on from the newest that can be read
 * when the same fit is begun again (Keras's BackupAndRestore): after an interruption of any kind it
 * ends with the bits that it would have had without. When the fit ends, the checkpoints are
 * removed.
 */
typedef struct cot_backup_and_restore_callback {
    cot_callback base;
    const char *backup_dir;
    int32_t save_freq;            /* batches; 0: at each epoch's end */
    int32_t keep;                 /* checkpoints that are kept; 0: 2 */
    cot_switch delete_checkpoint; /* remove them when the fit ends (default: on) */
    /* state */
    bool has_restored;
    int32_t n_skipped; /* checkpoints that could not be read */
    int32_t batches;   /* since the latest save */
} cot_backup_and_restore_callback;
COT_API cot_callback cot_backup_and_restore_base(void);
#define cot_backup_and_restore(...)                                                                \
    (&(cot_backup_and_restore_callback){.base = cot_backup_and_restore_base(),                     \
                                        .backup_dir = __VA_ARGS__}                                 \
          .base)

/*
 * Write event files that TensorBoard shows (Keras's TensorBoard), under Keras's names:
 * log_dir/train and log_dir/validation with "epoch_loss" and so on by epoch, and
 * "evaluation_loss_vs_iterations"; with update_freq "batch_loss" by step, as running means; with
 * histogram_freq the distribution of each weight; and the graph of the layers. Other numbers of the
 * epoch's logs are written likewise. Each fit begins new files; they are whole after every epoch.
 * fails: COT_E_ARG, COT_E_IO
 */
typedef struct cot_tensorboard_callback {
    cot_callback base;
    const char *log_dir;    /* NULL: "logs" */
    int32_t histogram_freq; /* epochs between histograms of the weights; 0: none */
    cot_switch write_graph; /* default: on */
    bool write_steps_per_second;
    int32_t update_freq; /* steps between batch_ numbers; 0: none */
    /* state */
    char train_path[512], validation_path[512]; /* of the event files; "": none */
    double epoch_begin, batch_begin;            /* seconds of a clock */
    int64_t first_step;                         /* of the epoch */
} cot_tensorboard_callback;
COT_API cot_callback cot_tensorboard_base(void);
#define cot_tensorboard(...)                                                                       \
    (&(cot_tensorboard_callback){.base = cot_tensorboard_base(), .log_dir = __VA_ARGS__}.base)

#ifdef __cplusplus
}
#endif
#endif
