/*
 * Sums over the steps of a loop, outside of it.
 *
 * A constant's cotangent is the sum of what the steps give it. A step's part often comes from a
 * reduction over the rows: a weight matrix's is a product over N. Adding that up in a carry would
 * make the steps one after another over all rows at once. But it is linear: instead the operands of
 * the reduction are stacked, [N,T,..], and one reduction over rows and time is made behind the
 * loop. What reads no rows, and what is not linear in such reductions, is added up in a carry.
 *
 *     plan    which values of a step are to be stacked, which added up in carries
 *     make    the sums, as nodes of the outer graph, once stacks and carries are there
 */
#ifndef COTI_SCAN_TOTAL_H
#define COTI_SCAN_TOTAL_H

#include "graph/graph.h"

typedef COTI_VEC(uint32_t) coti_id_list;

typedef struct coti_totals {
    const cot_graph *step;  /* what is computed in a step */
    const bool *varies;     /* by input of the step: differs from step to step */
    uint8_t *facts, *wants; /* by node */
    coti_arena *arena;
    coti_id_list stack;                /* nodes to be stacked */
    coti_id_list sum;                  /* nodes to be added up in carries */
    uint32_t *stack_place, *sum_place; /* by node: 1 + its place there; 0: none */
    /* Set before coti_totals_make: the stacks and final carries, and what does not vary. */
    cot_graph *outer;
    const cot_value *stacked, *summed; /* by place in stack and sum */
    const cot_value *constant;         /* by input of the step; only of those that do not vary */
    cot_value *same, *total;           /* by node of the step; made */
} coti_totals;

/* Plan the sums of n nodes of the step. The arena owns what is made; lists are freed by
 * coti_totals_free, whatever the status is. */
cot_status coti_totals_plan(coti_totals *totals, const uint32_t *node, int32_t n);
/* Make them; totals->total[node[i]] is then the sum. */
cot_status coti_totals_make(coti_totals *totals);
void coti_totals_free(coti_totals *totals);

#endif
