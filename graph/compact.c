/*
 * Taking nodes out of a graph that a pass has just made, before anyone has seen it: what is left is
 * renumbered in its place. A copy would give the same, at many times the cost: every node would be
 * looked for and entered again. Nodes are filed under their new keys only when one is looked for,
 * which need not happen any more.
 *
 * Order is kept, so an input's id stays smaller than its user's, and the operands of a commutative
 * operation stay in order. Where a state or a body might go, names and lists of bodies would have
 * to be made anew; such a graph is copied by the caller.
 */
#include "graph.h"

/* Is all that would go a node of the ordinary kind? */
static bool can_compact(const cot_graph *graph, const bool *reached) {
    for (size_t i = 0; i < graph->state.count; i++) {
        if (!reached[graph->state.data[i]]) {
            return false;
        }
    }
    return graph->body.count == 0;
}

/* One node at its new place. */
static void move_node(cot_graph *graph, uint32_t from, uint32_t to, const uint32_t *id) {
    coti_node *node = &graph->node.data[to];
    *node = graph->node.data[from];
    /* In the graph's own arena; const is for those who see the graph. */
    uint32_t *input = (uint32_t *)(uintptr_t)node->input;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = id[input[i]];
    }
    if (node->name == NULL) {
        node->number = graph->n_numbered++;
    } else {
        graph->symbol.data[node->number].value = to;
    }
}

static void renumber(cot_graph *graph, const uint32_t *id) {
    for (size_t i = 0; i < graph->input.count; i++) {
        graph->input.data[i] = id[graph->input.data[i]];
    }
    for (size_t i = 0; i < graph->state.count; i++) {
        graph->state.data[i] = id[graph->state.data[i]];
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        graph->output.data[i].value = id[graph->output.data[i].value];
    }
    for (size_t i = 0; i < graph->update.count; i++) {
        coti_update *update = &graph->update.data[i];
        *update = (coti_update){id[update->state], id[update->value]};
    }
}

cot_status coti_graph_compact(cot_graph *graph, const bool *reached, bool *done_out) {
    *done_out = can_compact(graph, reached);
    if (!*done_out) {
        return COT_OK;
    }
    uint32_t *id = coti_calloc(graph->context, graph->node.count, sizeof *id);
    if (id == NULL) {
        return COT_E_NOMEM;
    }
    uint32_t n = 1;
    coti_map_clear(&graph->consed);
    graph->n_consed = 1;
    graph->n_numbered = 0;
    for (uint32_t i = 1; i < graph->node.count; i++) {
        if (reached[i] || graph->node.data[i].op == COT_OP_INPUT) {
            id[i] = n;
            move_node(graph, i, n++, id);
        }
    }
    renumber(graph, id);
    graph->node.count = n;
    coti_free(graph->context, id);
    return COT_OK;
}
