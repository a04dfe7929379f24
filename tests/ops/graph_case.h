/*
 * A trial as a graph that can be run: inputs x0, x1, ..., output y; and its run on the evaluator.
 */
#ifndef GRAPH_CASE_H
#define GRAPH_CASE_H

#include "op_case.h"

/* What stands between a graph's input and the op's operand, so that kernels meet odd strides. */
typedef enum operand_view {
    VIEW_NONE,
    VIEW_PERMUTE,   /* the input holds the axes in reverse order */
    VIEW_SLICE,     /* every second element from the second on */
    VIEW_FLIP,      /* the last axis backwards */
    VIEW_BROADCAST, /* the input lacks the first axis that is not the batch */
    VIEW_PAD,       /* the input is short of the first and the last element of the last axis */
    VIEW_RESHAPE,   /* the input has one axis (a batch: two) */
    VIEW_CONCAT,    /* two inputs' last axes joined */
    N_VIEWS
} operand_view;

const char *view_name(operand_view view);

enum { MAX_INPUTS = 2 * MAX_OPERANDS };

typedef struct graph_case {
    cot_graph *graph; /* owned by the caller */
    int32_t n;
    tensor input[MAX_INPUTS]; /* what to bind */
    cot_value result;         /* poisoned: a builder refused */
    bool viewed;              /* the view applied to some operand */
} graph_case;

/* The graph of a trial, its inputs' values in the pool. given (may be NULL): operands instead of
 * make_operand's, without a view. */
graph_case make_graph_case(pool *p, cot_context *context, const trial *t, operand_view view,
                           const tensor *given);

/* Output y by the evaluator. False: it failed, the context says why. */
bool eval_graph_case(pool *p, const graph_case *g, int64_t rows, tensor *out);

#endif
