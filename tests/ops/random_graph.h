/*
 * Small valid graphs by seed: leaves of a few related shapes (scalars, extents of 1, empty axes,
 * batches), then random operations on values made before, among them repeated operands, broadcast
 * chains, views of views, products, reductions and composites; then gradients and a step of
 * descent.
 */
#ifndef RANDOM_GRAPH_H
#define RANDOM_GRAPH_H

#include "op_case.h"

enum { MAX_VALUES = 96, MAX_GRAPH_INPUTS = 4 };

typedef struct random_graph {
    cot_graph *graph; /* owned by the caller */
    uint64_t state;   /* of the generator */
    int32_t n_values;
    cot_value value[MAX_VALUES]; /* to choose operands from */
    cot_dtype real, whole;       /* of most of its values: a float, a signed integer */
    int64_t batch, outer, inner; /* extents of this graph: c of c*N, and two others */
    cot_variable *variable;      /* NULL, or the caller's to release */
    bool uses_wide;              /* its inputs take infinities and NaN too */
} random_graph;

/* The graph of a seed. Equal seeds make equal graphs. Ops that did not fit are left out. */
random_graph random_graph_make(cot_context *context, uint64_t seed);

/*
 * Outputs "v<id>" and the update of its variable. all: every node that is no leaf is an output;
 * else what nobody uses, and a few more.
 */
void random_graph_finish(random_graph *g, uint64_t seed, bool all);

/* The values of its inputs for a row count, and of its variable: functions of seed and rows. */
tensor random_graph_input(pool *p, const random_graph *g, uint64_t seed, int32_t i, int64_t rows);
tensor random_graph_variable(pool *p, const random_graph *g, uint64_t seed);

#endif
