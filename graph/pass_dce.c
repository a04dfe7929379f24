/*
 * Dead code elimination: the frame of passes copies only what outputs and updates reach, so
 * copying is all there is to do. Inputs stay, they are part of the graph's signature; states that
 * nothing reads or updates go.
 */
#include "graph.h"

static cot_value keep(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)user;
    return coti_rewrite_keep(rewrite, id);
}

cot_status coti_pass_dce(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    COTI_TRY(coti_graph_rewrite(graph, keep, NULL, result_out));
    *changed_out = (*result_out)->node.count != graph->node.count;
    return COT_OK;
}
