/*
 * A search inside: what its result holds, a trial's life, and the choice of values.
 *
 * Threads. Trials are trained by several threads, each with a context of its own trial; whatever
 * they share is in `coti_search` and guarded by its lock, but for the caller's functions, which
 * have a lock of their own. The caller's context is touched only before the threads begin and after
 * they have ended. All contexts take their memory from its allocator, one call at a time.
 *
 * The test set is no part of this: cot_search_with keeps it to itself until all trials have ended.
 */
#ifndef COTI_SEARCH_H
#define COTI_SEARCH_H

#include "cotangent/search.h"
#include "frontend/training/training.h"

#include <pthread.h>

struct coti_search;

struct cot_trial {
    cot_search_result *owner;
    struct coti_search *search; /* NULL: it is over */
    int32_t index;
    double *value; /* one a range; of texts the index */
    cot_trial_state state;
    cot_status failure; /* of a failed one */
    bool diverged;
    /* Of when it last came in; guarded by the search's lock. */
    bool waits;   /* for the next round */
    bool ended;   /* for good */
    double score; /* coti_trial_score */
    double best;  /* of the number watched; NAN: none */
    int32_t direction, best_epoch, n_epochs;
    double *curve; /* one an epoch, NAN where it was not validated */
    int64_t n_params, bytes;
    double seconds;
    char message[COTI_MESSAGE_BYTES];
    /* while its model is there */
    cot_context *context;
    coti_arena arena; /* cot_trial_alloc */
    cot_dataset *data, *validation;
    cot_model *model;
    coti_fit *fit;      /* NULL: not begun, or ended */
    char *kept;         /* weights of the best epoch, one after the other */
    int64_t batch_size; /* of validation */
    cot_callback watch; /* the search's own */
};

/* Doubling epochs reaches INT32_MAX in 31 rounds. */
enum { COTI_MOST_ROUNDS = 33 };

struct cot_search_result {
    cot_context *context;
    coti_arena arena; /* ranges, trials, names */
    pthread_mutex_t memory_lock;
    const char *monitor;
    int32_t n_ranges, n_trials, n_rounds, epochs;
    cot_range *range;
    cot_trial *trial;
    cot_search_round round[COTI_MOST_ROUNDS];
    cot_trial *best;  /* NULL: none has come to a number */
    cot_trial **rank; /* n_trials, the best first, when the search is over */
    int32_t n_test;
    cot_log *test;
};

/* A search that runs. */
typedef struct coti_search {
    cot_search_result *result;
    cot_search_options options; /* without the test set */
    int32_t n_workers, threads; /* of this round: trials at once, threads of each */
    int32_t round, keep;        /* so many go on to the next round */
    pthread_mutex_t lock;       /* of all below */
    pthread_cond_t changed;     /* a trial has ended, or is known better */
    int32_t n_todo, next;
    cot_trial **todo; /* the round's trials */
    int32_t n_running;
    int64_t live_bytes, largest_bytes, limit_bytes; /* of models */
    cot_status stop;                                /* why to end; COT_OK: go on */
    pthread_mutex_t caller_lock;                    /* around the caller's functions */
} coti_search;

/* ---- options.c ---- */

/* Check the options and fill in what is left out. The test set is only in test_out (NULL: none)
 * from then on. fails: COT_E_ARG, COT_E_SHAPE */
cot_status coti_search_read_options(cot_context *context, const cot_search_options *given,
                                    cot_search_options *own, const cot_dataset **test_out);

/* ---- ranges.c ---- */

/* Check the ranges and copy them into the result. fails: COT_E_ARG, COT_E_NOMEM */
cot_status coti_search_take_ranges(cot_search_result *result, cot_range_list list);

/* Trials of a grid. fails: COT_E_ARG (too many) */
cot_status coti_search_count_grid(const cot_search_result *result, int32_t *n_out);
/* The values of the grid's i-th trial. */
void coti_search_fill_grid(const cot_search_result *result, int64_t i, double *value_out);
/* Values of a trial, drawn: a function of seed, trial and attempt. */
void coti_search_draw(const cot_search_result *result, uint64_t seed, int32_t trial,
                      int32_t attempt, double *value_out);

/* ---- trial.c ---- */

/* The best number, turned so that less is better; INFINITY without one. */
double coti_trial_score(const cot_trial *trial);
/* By `score`; of equal ones the first. */
bool coti_trial_is_better(const cot_trial *a, const cot_trial *b);

/* Build the model and begin its fit, on so many threads. On failure the trial can be closed. */
cot_status coti_trial_begin(cot_trial *trial, int32_t threads);
/* Train until so many epochs are done. */
cot_status coti_trial_advance(cot_trial *trial, int32_t epochs, int32_t threads);
/* End the fit, if there is one, after this status: the trial is then in this state, or has failed
 * where only its end did. */
void coti_trial_finish(cot_trial *trial, cot_trial_state state, cot_status status);
/* The weights of the best epoch become the model's. */
void coti_trial_restore_best(cot_trial *trial);
/* Its programs, after the search, use so many threads. */
cot_status coti_trial_widen(cot_trial *trial, int32_t threads);
/* Destroy model and context, if they are there. Needs coti_trial_finish. */
void coti_trial_close(cot_trial *trial);

#endif
