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
 * numbers by name; line ends are CR LF. The file is whole after every epoch. fails: COT_E_IO
 */
typedef struct cot_csv_logger_callback {
    cot_callback base;
    const char *filename;
    char separator;  /* 0: ',' */
    bool append;     /* go on with a file that is there */
    bool has_header; /* state */
} cot_csv_logger_callback;
COT_API cot_callback cot_csv_logger_base(void);
#define cot_csv_logger(...)                                                                        \
    (&(cot_csv_logger_callback){.base = cot_csv_logger_base(), .filename = __VA_ARGS__}.base)

#ifdef __cplusplus
}
#endif
#endif
