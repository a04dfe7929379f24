/*
 * What the files of the target of the graph API share: contexts, graphs and values, arguments
 * chosen by the bytes, and what a call may answer.
 */
#ifndef BUILDER_WORLD_H
#define BUILDER_WORLD_H

#include "fuzz.h"

enum { N_CONTEXTS = 2, N_GRAPHS = 3, N_VALUES = 48, N_VARIABLES = 4, N_LIST = 16, N_DATA = 512 };

/* Graphs 0 and 1 are of context 0, graph 2 is of context 1. */
typedef struct world {
    fuzz_bytes bytes;
    fuzz_heap heap[N_CONTEXTS];
    cot_context *context[N_CONTEXTS];
    cot_graph *graph[N_GRAPHS];
    int32_t n_values;
    cot_value value[N_VALUES]; /* the newest replace the oldest */
    cot_variable *variable[N_VARIABLES];
    int64_t n_refused; /* allocations, before the call at work */
    bool quiet;        /* an operand of the call is poisoned or NULL: it may say nothing */
} world;

/* ---- arguments: right ones most often ---- */

cot_graph *pick_graph(world *w);
cot_value pick(world *w);
cot_dtype pick_dtype(world *w);
cot_op pick_op(world *w, coti_kind kind, int32_t n_inputs);
int64_t pick_size(world *w);
int32_t pick_axis(world *w);
double pick_number(world *w);
cot_shape pick_shape(world *w);
const char *pick_name(world *w);
const int32_t *pick_axes(world *w, int32_t list[N_LIST], int32_t *n_out);
const int64_t *pick_sizes(world *w, int64_t list[N_LIST], int64_t usual);

/* ---- what a call may answer ---- */

/* Before each call. */
void before(world *w);
/* The context that has an error; NULL: none. */
const cot_context *failed(const world *w);
/* After a call: an error has a message, and says that memory is short when and only when an
 * allocation failed. */
void check_failure(const world *w);
/* What a call returned. */
void accept_value(world *w, cot_value value);
void accept_status(world *w, cot_status status);

/* ---- builder_scan.c ---- */

void call_scan(world *w);

#endif
