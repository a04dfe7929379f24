/*
 * What is timed: something compiled once that runs a number of units, training steps or products,
 * on request. Each subject has a context of its own, counts the FLOPs of its matrix products (a
 * convolution's needed taps only: those that fall on the padding are no work), and tells the mean
 * loss of the steps that it ran last, so that others can be checked to do the same work.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <cotangent.h>

#include <stdio.h>

typedef struct bench_setup {
    int threads;
    int64_t batch;   /* rows of a training step; 0: the workload's own number */
    bool shuffle;    /* workloads that train by `fit`: a new order of rows every epoch */
    bool tiny;       /* sizes divided by 8: a test that everything works, no measurement */
    const char *log; /* workloads that train by `fit`: with metrics, a schedule, clipping by value,
                        and a CSV log in this file; NULL: plainly */
} bench_setup;

/* A size of the setup: itself, or an eighth of it, at least 2. */
int64_t bench_size(const bench_setup *setup, int64_t size);

typedef struct bench_subject bench_subject;
struct bench_subject {
    const char *name;       /* "a", "b-nesterov", "gemm-128x3072x20", "conv-dw-32-64-16" */
    const char *what;       /* the model in words; "" for products */
    cot_context *context;   /* owned */
    double flops;           /* of a unit */
    int64_t units;          /* of a round: steps in a pass over the data; 1 */
    double compile_seconds; /* of all programs that the subject needs */
    cot_program_info info;  /* of the program that is run */
    double loss; /* mean over the units of the last run; of products: of their elements */

    /* Run `rounds` times `units` units; sets loss. The context, or `message`, says what failed. */
    cot_status (*run)(bench_subject *subject, int64_t rounds);
    /* Write the initial weights, inputs and labels for others (export.h); NULL: cannot. */
    cot_status (*write)(bench_subject *subject, const char *directory);
    void (*destroy)(bench_subject *subject); /* all but the context and the subject itself */
};

/*
 * The subject of this name, compiled, its data in memory, not yet run; NULL, with a line on
 * stderr, if there is none or making it fails. The caller destroys it.
 */
bench_subject *bench_subject_create(const char *name, const bench_setup *setup);
void bench_subject_destroy(bench_subject *subject);

/* Names in order of report; NULL beyond the last. `training`: training steps, else products. */
const char *bench_subject_name(bool training, int32_t i);

/* ---- what the kinds of subjects give: NULL when memory is short or compiling fails ---- */

typedef bench_subject *(*bench_make)(cot_context *context, const bench_setup *setup,
                                     int32_t variant);

bench_subject *bench_make_model(cot_context *context, const bench_setup *setup, int32_t variant);
bench_subject *bench_make_cnn(cot_context *context, const bench_setup *setup, int32_t variant);
bench_subject *bench_make_transformer(cot_context *context, const bench_setup *setup,
                                      int32_t variant);
bench_subject *bench_make_empty(cot_context *context, const bench_setup *setup, int32_t variant);
bench_subject *bench_make_product(cot_context *context, const bench_setup *setup, const char *name);
const char *bench_product_name(int32_t i);

/* ---- data ---- */

/* Numbers in [-0.5, 0.5) that depend on `seed` alone. */
void bench_fill(float *x, int64_t n, uint64_t seed);

/* Numbers in [0, below), in a fixed order without a pattern. */
void bench_fill_labels(int32_t *y, int64_t n, int32_t below, uint64_t seed);

#endif
