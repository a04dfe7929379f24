/*
 * Instruments: sums that a training step keeps beside those of losses and metrics, and what an
 * epoch's logs make of them. They are made with the training program; where that is made anew they
 * stay, for the same graph asks for the same ones in the same order.
 */
#ifndef COTI_INSTRUMENTS_H
#define COTI_INSTRUMENTS_H

#include "cotangent/instruments.h"
#include "frontend/training/training.h"

typedef enum coti_instrument_kind {
    COTI_DEAD_UNITS,
    COTI_SATURATED,
    COTI_WEIGHT_NORM,
    COTI_GRADIENT_NORM,
    COTI_UPDATE_NORM,
    COTI_NONFINITE
} coti_instrument_kind;

typedef struct coti_instrument {
    coti_instrument_kind kind;
    const cot_layer *layer; /* NULL: the whole step */
    const char *name;       /* in logs */
    cot_variable *sum;      /* f64; NULL: needs none */
    double a_row;           /* of COTI_SATURATED: outputs of a row */
} coti_instrument;

/* The first non-finite value of a training is one number: its step times this, and its place in
 * `watched`. Exact in f64 for 2^32 steps, and a place is exact in f32. */
#define COTI_MOST_WATCHED (INT64_C(1) << 20)

/* A value of the step that is watched. */
typedef struct coti_watched {
    const char *op, *layer;
} coti_watched;

typedef struct coti_instruments {
    cot_context *context;
    coti_arena arena; /* texts */
    uint32_t which;
    COTI_VEC(coti_instrument) all;
    size_t next; /* the one that is asked for next, while a graph is built */
    COTI_VEC(coti_watched) watched;
} coti_instruments;

/* *out: NULL if none is asked for. fails: COT_E_ARG (unknown bits), COT_E_NOMEM */
cot_status coti_instruments_create(cot_context *context, uint32_t which, coti_instruments **out);
/* NULL is fine, here and below. */
void coti_instruments_destroy(coti_instruments *instruments);

/* The weights that a step trains, in coti_trainable's order, and their gradients. */
typedef struct coti_trained {
    const coti_trainee *weight;
    const cot_value *gradient;
    int32_t n;
} coti_trained;

/* Append the instruments of a training step whose updates have been appended. */
cot_status coti_instruments_append(const coti_training *training, cot_graph *graph,
                                   const coti_forward *forward, coti_trained trained);

/* ---- nonfinite.c ---- */

/*
 * *first_out: the place in instruments->watched, which is filled, of the first value of the step
 * that is not finite, or -1: f64 scalar. Looked at are the nodes below n that the graph's updates
 * depend on, in their order. fails: COT_E_NOMEM
 */
cot_status coti_find_nonfinite(coti_instruments *instruments, cot_graph *graph, size_t n,
                               cot_value *first_out);

/* ---- instruments.c ---- */

int32_t coti_instruments_count(const coti_instruments *instruments);
/* An epoch begins. */
void coti_instruments_reset(const coti_instruments *instruments);
/* Values after so many rows and steps of the epoch, one an instrument. */
cot_status coti_instruments_read(const coti_instruments *instruments, int64_t rows, int64_t steps,
                                 double *value_out);

#endif
