/*
 * One network for the tests of programs: y = x w + sum; total = sum over rows and columns of y;
 * w = w + sum; sum = sum + 1. Its weights are small integers, on which float arithmetic is exact.
 */
#ifndef PROGRAM_NETWORK_H
#define PROGRAM_NETWORK_H

#include "cotangent/graph.h"
#include "cotangent/inspect.h"

enum { COLUMNS = 7, OUT = 3, DATA_ROWS = 100, MAX_ROWS = 16 };

typedef struct network {
    cot_context *context;
    cot_graph *graph;
    cot_variable *w, *sum;
} network;

extern float network_w[COLUMNS * OUT]; /* the first weights */

void network_init(void); /* sets network_w */

/* Two threads, graphs verified; fails the test where there is none. The caller destroys it. */
cot_context *network_context(bool jit);

/* Members are NULL where memory ran out; the caller drops it all the same. */
network network_make(cot_context *context);

/* The graph and our references go; a program must not miss them. */
void network_drop(network *n);

/* Fails the test with the error's text where there is none. The caller destroys it. */
cot_program *network_program(const cot_graph *graph, int64_t max_rows);

#endif
