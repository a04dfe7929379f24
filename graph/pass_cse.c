/*
 * Common subexpressions: equal nodes become one when they are made (cons.h), so copying a graph is
 * all there is to do. A graph built through coti_graph_add never has any left; the pass stands for
 * those that ask for it by name, and costs one walk.
 */
#include "graph.h"

static cot_value keep(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)user;
    return coti_rewrite_keep(rewrite, id);
}

cot_status coti_pass_cse(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    COTI_TRY(coti_graph_rewrite(graph, keep, NULL, result_out));
    *changed_out = (*result_out)->node.count != graph->node.count;
    return COT_OK;
}
