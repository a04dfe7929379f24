/*
 * A place apart (apart.h).
 */
#include "apart.h"

#include "graph/body.h"
#include "graph/symbol.h"

#include <stdio.h>

static cot_status status_of(const cot_graph *graph) {
    return cot_error_get(graph->context).status;
}

/* Node `id` as it is, at the same id. */
static cot_status copy_node(coti_apart *apart, coti_rewrite *frame, uint32_t id, cot_value *map) {
    const coti_node *node = coti_node_at(apart->source, id);
    cot_graph_set_layer(apart->graph, node->layer);
    apart->graph->region = node->region;
    if (node->layer != NULL && apart->graph->layer == NULL) {
        return COT_E_NOMEM;
    }
    map[id] = coti_rewrite_keep(frame, id);
    if (map[id].graph == NULL) {
        return status_of(apart->graph);
    }
    COTI_ASSERT(apart->graph->context, map[id].id == id);
    if (node->op == COT_OP_INPUT) {
        cot_value actual = {apart->source, id};
        return coti_vec_push(apart->graph->context, &apart->actual, actual);
    }
    return COT_OK;
}

cot_status coti_apart_make(coti_apart *apart, cot_graph *source, uint32_t last) {
    *apart =
        (coti_apart){.source = source, .graph = cot_graph_create(source->context, source->name)};
    if (apart->graph == NULL) {
        return COT_E_NOMEM;
    }
    apart->graph->has_backward = true; /* so that it is not dumped as a forward graph */
    apart->graph->n_regions = source->n_regions;
    cot_value *map = coti_calloc(source->context, (size_t)last + 1, sizeof *map);
    if (map == NULL) {
        return COT_E_NOMEM;
    }
    coti_rewrite frame = {.from = source, .to = apart->graph, .map = map};
    cot_status status = COT_OK;
    for (uint32_t id = 1; id <= last && status == COT_OK; id++) {
        status = copy_node(apart, &frame, id, map);
    }
    coti_graph_place(apart->graph, (coti_placement){NULL, 0});
    coti_free(source->context, map);
    return status;
}

void coti_apart_free(coti_apart *apart) {
    coti_vec_free(apart->source->context, &apart->actual);
    cot_graph_destroy(apart->graph);
}

cot_value coti_apart_placeholder(coti_apart *apart, cot_value like, cot_value actual) {
    char name[COTI_NAME_BYTES];
    const coti_symbol *taken = NULL;
    do {
        (void)snprintf(name, sizeof name, "placeholder.%lu",
                       (unsigned long)apart->n_placeholders++);
        taken = coti_graph_find_symbol(apart->graph, name);
    } while (taken != NULL && taken->value != 0);
    cot_value input =
        cot_op_input(apart->graph, cot_value_dtype(like), cot_value_shape(like), name);
    if (input.graph == NULL) {
        return input;
    }
    cot_status status = coti_vec_push(apart->graph->context, &apart->actual, actual);
    return status == COT_OK ? input : coti_poison();
}

/* used[id]: some node or output of the graph reads node id. */
static void mark_used(const cot_graph *graph, bool *used) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        for (int32_t i = 0; i < node->n_inputs; i++) {
            used[node->input[i]] = true;
        }
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        used[graph->output.data[i].value] = true;
    }
}

/* Zeros for the placeholders that stand for nothing, where the lean graph still reads them. */
static cot_status fill_zeros(coti_apart *apart, const cot_graph *lean) {
    bool *used = coti_calloc(lean->context, lean->node.count, sizeof *used);
    if (used == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = COT_OK;
    mark_used(lean, used);
    for (size_t i = 0; i < lean->input.count && status == COT_OK; i++) {
        const coti_node *node = coti_node_at(lean, lean->input.data[i]);
        if (apart->actual.data[i].graph == NULL && used[lean->input.data[i]]) {
            cot_value zero = cot_op_constant(apart->source, (cot_dtype)node->dtype, 0.0);
            apart->actual.data[i] = cot_op_broadcast(zero, node->shape, NULL, 0);
            status = apart->actual.data[i].graph != NULL ? COT_OK : status_of(lean);
        }
    }
    coti_free(lean->context, used);
    return status;
}

cot_status coti_apart_bring(coti_apart *apart, const cot_value *value, int32_t n, cot_value *out) {
    cot_graph *lean = NULL;
    bool changed = false;
    const coti_placement placement = coti_graph_placement(apart->source);
    for (int32_t i = 0; i < n; i++) {
        char name[COTI_NAME_BYTES];
        (void)snprintf(name, sizeof name, "out%d", (int)i);
        COTI_TRY(cot_graph_output(value[i], name));
    }
    COTI_TRY(coti_pass_dce(apart->graph, &lean, &changed));
    coti_graph_place(apart->source, (coti_placement){NULL, 0}); /* nodes keep their own */
    cot_status status = fill_zeros(apart, lean);
    if (status == COT_OK) {
        status = coti_graph_inline(apart->source, lean, apart->actual.data, out);
    }
    coti_graph_place(apart->source, placement);
    cot_graph_destroy(lean);
    return status;
}
