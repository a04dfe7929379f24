/*
 * The results of one execution: a SCAN has several, each a node of its own, but one gradient. The
 * walk has its rule called once, at the first of the nodes that are live, by which time the
 * cotangents of all of them are complete, since all their users come later.
 */
#ifndef COTI_RESULTS_H
#define COTI_RESULTS_H

#include "vjp.h"

/* By node id: of nodes that share an execution the first, and the next; 0: none. NULL: there are
 * no such nodes in the graph. */
typedef struct coti_results {
    uint32_t *first, *next;
    coti_vjp_result *list; /* room for the results of the largest execution */
} coti_results;

/* Of the live nodes of a graph, up to `last`. The arena owns the lists. Linear. */
cot_status coti_results_find(const cot_graph *graph, uint32_t last, const bool *live,
                             coti_arena *arena, coti_results *results_out);

/* Is the rule to be called at another node of this one's execution? */
static inline bool coti_results_later(const coti_results *results, uint32_t id) {
    return results->first != NULL && results->first[id] != 0 && results->first[id] != id;
}

/* Give a call of a rule at node `id`, the first of its execution, the cotangents of all. What the
 * rule reads as its output may be a copy. */
void coti_results_give(const coti_results *results, uint32_t id, const cot_value *cotangent,
                       coti_vjp *call);

#endif
