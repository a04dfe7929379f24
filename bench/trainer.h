/*
 * Training by the graph API alone, for the workloads whose layers the model API does not have:
 * parameters with initial values, a loss, and Adam as Keras has it, all in one graph, run step by
 * step over data in memory.
 */
#ifndef BENCH_TRAINER_H
#define BENCH_TRAINER_H

#include "export.h"
#include "subject.h"

enum { BENCH_MOST_PARAMETERS = 64 };

typedef enum bench_initial {
    BENCH_ZEROS,
    BENCH_ONES,
    BENCH_GLOROT, /* uniform, by the fans of a dense or convolution kernel */
    BENCH_SMALL   /* uniform in [-0.05, 0.05) */
} bench_initial;

typedef struct bench_trainer {
    bench_subject base; /* first: a bench_subject * is one of these */
    cot_graph *graph;
    cot_program *program;
    cot_session *session;
    cot_value parameter[BENCH_MOST_PARAMETERS];
    cot_variable *weight[BENCH_MOST_PARAMETERS];
    cot_variable *slot[2 * BENCH_MOST_PARAMETERS + 1]; /* m and v of each; iterations */
    int32_t n_parameters, n_slots;
    cot_array x, y;    /* one batch */
    bench_data data;   /* all batches */
    void *x_memory;    /* data.x, owned */
    int32_t *y_memory; /* data.y, owned */
    int64_t i_batch;   /* the next one */
    float loss;        /* of the last step */
} bench_trainer;

/* A trainer with an empty graph that takes over `context`'s part of the subject; NULL: no memory.
 */
bench_trainer *bench_trainer_create(cot_context *context, const char *name, const char *what);

/* The next parameter, of at least rank 1. Poisoned on error, reported by bench_trainer_compile. */
cot_value bench_parameter(bench_trainer *trainer, cot_shape shape, bench_initial initial,
                          const char *name);

/* y = x w + b over the last axis of x, which has `n_in` elements. */
cot_value bench_dense(bench_trainer *trainer, cot_value x, int64_t n_in, int64_t n_out,
                      const char *name);

/* Mean of the cross-entropy of logits [N,..,c] against labels i32 [N,..]. */
cot_value bench_cross_entropy(cot_value logits, cot_value labels);

/* Memory for `rows` rows in batches of `batch`, for the caller to fill; false when there is none.
 */
bool bench_trainer_take_data(bench_trainer *trainer, bench_data data);

/*
 * Append the gradient and Adam's updates for `loss`, compile, and bind the data, whose dtype and
 * that of the graph's input "x" is x_dtype; its labels are its input "y". On failure destroys the
 * trainer and returns NULL.
 */
bench_subject *bench_trainer_compile(bench_trainer *trainer, cot_value loss, cot_dtype x_dtype);

void bench_trainer_destroy(bench_subject *subject);

#endif
