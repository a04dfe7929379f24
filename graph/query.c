/* Looking at a graph from outside: its inputs, outputs and states by position. */
#include "graph.h"

/* The graph is only read through the value that is returned, unless the caller builds on with it.
 */
static cot_value value_of(const cot_graph *graph, uint32_t id) {
    return (cot_value){(cot_graph *)(uintptr_t)graph, id};
}

int32_t cot_graph_n_inputs(const cot_graph *graph) {
    return graph == NULL ? 0 : (int32_t)graph->input.count;
}

cot_value cot_graph_input_at(const cot_graph *graph, int32_t i) {
    if (i < 0 || i >= cot_graph_n_inputs(graph)) {
        return coti_poison();
    }
    return value_of(graph, graph->input.data[i]);
}

const char *cot_graph_input_name(const cot_graph *graph, int32_t i) {
    cot_value input = cot_graph_input_at(graph, i);
    return input.graph == NULL ? NULL : coti_node_of(input)->name;
}

int32_t cot_graph_n_outputs(const cot_graph *graph) {
    return graph == NULL ? 0 : (int32_t)graph->output.count;
}

cot_value cot_graph_output_at(const cot_graph *graph, int32_t i) {
    if (i < 0 || i >= cot_graph_n_outputs(graph)) {
        return coti_poison();
    }
    return value_of(graph, graph->output.data[i].value);
}

const char *cot_graph_output_name(const cot_graph *graph, int32_t i) {
    if (i < 0 || i >= cot_graph_n_outputs(graph)) {
        return NULL;
    }
    return graph->output.data[i].name;
}

int32_t cot_graph_n_states(const cot_graph *graph) {
    return graph == NULL ? 0 : (int32_t)graph->state.count;
}

cot_value cot_graph_state_at(const cot_graph *graph, int32_t i) {
    if (i < 0 || i >= cot_graph_n_states(graph)) {
        return coti_poison();
    }
    return value_of(graph, graph->state.data[i]);
}

cot_variable *cot_graph_state_variable(const cot_graph *graph, int32_t i) {
    cot_value state = cot_graph_state_at(graph, i);
    if (state.graph == NULL) {
        return NULL;
    }
    return ((const coti_attr_VARIABLE *)coti_node_of(state)->attr)->variable;
}

bool cot_graph_has_backward(const cot_graph *graph) {
    return graph != NULL && graph->has_backward;
}
