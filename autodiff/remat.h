/*
 * Recomputation in the backward part (cot_graph_set_remat): what a gradient rule reads of a marked
 * region, computed again from what entered it.
 *
 * Of a region's values, those that a node outside of it reads leave it: they are kept, as are those
 * that enter. The others are inside. Where a rule would read one of these it gets a copy, made of
 * copies of the region's nodes on values that enter through barriers, which keep the copy from
 * being merged with the original. Values of constants alone are no cost to keep and are not copied;
 * random numbers keep their streams, so they come out the same.
 */
#ifndef COTI_REMAT_H
#define COTI_REMAT_H

#include "graph/graph.h"

typedef struct coti_remat {
    cot_graph *graph;
    uint32_t last;   /* ids up to this are looked at */
    bool active;     /* some node is in a region; else nothing below is there */
    bool *leaves;    /* by node: its value is read outside of its region, or is wanted itself */
    bool *constant;  /* by node: made of constants alone */
    bool *wanted;    /* by node: a rule reads it or a copy does */
    bool *begun;     /* by node: its region has been copied */
    uint32_t *next;  /* by node: the next of its region; 0: none */
    cot_value *copy; /* by node: graph NULL: none */
    uint32_t *head;  /* by region, of those that there are: its first node */
    coti_map regions;
    uint32_t n_regions;
} coti_remat;

/*
 * Look at the nodes up to id `last`, whose value is wanted itself. Arrays in the arena, which
 * outlives the rest; linear. coti_remat_free is due whatever the status.
 */
cot_status coti_remat_init(coti_remat *remat, cot_graph *graph, uint32_t last, coti_arena *arena);
void coti_remat_free(coti_remat *remat);

/*
 * Before the rule of node `id` runs: if it is the first of its region, copy what rules of the
 * region's nodes read; runs[id]: whether the rule of a node will run. Nodes are made in no layer
 * but their originals', and in no region.
 */
cot_status coti_remat_enter(coti_remat *remat, uint32_t id, const bool *runs);

/* What a rule of node `id` reads for its operand or result `value`: a copy or the value itself. */
cot_value coti_remat_read(const coti_remat *remat, uint32_t id, uint32_t value);

#endif
