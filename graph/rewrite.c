/*
 * The frame of passes: a graph in, a new graph out, node by node in order.
 *
 * The new graph has all inputs, in order and first; of the rest only what its outputs and updates
 * reach: where a pass has left nodes without a use, they are taken out (compact.c). Names, layers,
 * regions, the order of outputs and updates, and has_backward are carried over here, so that no
 * pass can forget them. The old graph is only read. With the context's `verify` on, the new graph
 * is verified before anyone sees it.
 */
#include "cons.h"

enum { FEW_INPUTS = 8 };

/* The status behind a poisoned value. */
static cot_status poison_status(cot_context *context) {
    return context->error.status != COT_OK
               ? context->error.status
               : COTI_FAIL(context, COT_E_INTERNAL, "a pass gave no value, and no error");
}

/* Nodes made from now on belong to the layer and the region that this one of the old graph does. */
static cot_status follow(coti_rewrite *rewrite, const coti_node *node) {
    cot_graph *to = rewrite->to;
    to->region = node->region;
    if (node->layer != rewrite->layer || to->layer == NULL) {
        to->layer = coti_graph_intern(to, node->layer);
        rewrite->layer = node->layer;
    }
    return node->layer == NULL || to->layer != NULL ? COT_OK : COT_E_NOMEM;
}

/* A copy has about as many nodes and names. */
static cot_status make_room(cot_graph *copy, const cot_graph *graph) {
    cot_context *context = copy->context;
    COTI_TRY(coti_vec_reserve(context, &copy->node, graph->node.count));
    COTI_TRY(coti_vec_reserve(context, &copy->input, graph->input.count));
    COTI_TRY(coti_vec_reserve(context, &copy->state, graph->state.count));
    COTI_TRY(coti_vec_reserve(context, &copy->update, graph->update.count));
    COTI_TRY(coti_vec_reserve(context, &copy->symbol, graph->symbol.count));
    COTI_TRY(coti_map_reserve(&copy->consed, graph->node.count));
    return coti_map_reserve(&copy->symbols, graph->symbol.count);
}

static cot_status copy_inputs(cot_graph *copy, const cot_graph *graph) {
    coti_rewrite frame = {.from = graph, .to = copy};
    for (size_t i = 0; i < graph->input.count; i++) {
        const coti_node *node = coti_node_at(graph, graph->input.data[i]);
        COTI_TRY(follow(&frame, node));
        if (cot_op_input(copy, (cot_dtype)node->dtype, node->shape, node->name).graph == NULL) {
            return poison_status(graph->context);
        }
    }
    copy->layer = NULL;
    copy->region = 0;
    return COT_OK;
}

cot_status coti_graph_begin_copy(const cot_graph *graph, cot_graph **copy_out) {
    cot_graph *copy = cot_graph_create(graph->context, graph->name);
    if (copy == NULL) {
        return poison_status(graph->context);
    }
    copy->has_backward = graph->has_backward;
    copy->n_regions = graph->n_regions;
    cot_status status = make_room(copy, graph);
    status = status == COT_OK ? copy_inputs(copy, graph) : status;
    if (status != COT_OK) {
        cot_graph_destroy(copy);
        return status;
    }
    *copy_out = copy;
    return COT_OK;
}

cot_value coti_rewrite_keep(coti_rewrite *rewrite, uint32_t id) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    cot_value input[FEW_INPUTS];
    if (node->n_inputs > FEW_INPUTS) {
        return coti_rewrite_keep_with(rewrite, id, node->attr);
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = rewrite->map[node->input[i]];
    }
    return coti_graph_keep(rewrite->to, node, input);
}

cot_value coti_rewrite_keep_with(coti_rewrite *rewrite, uint32_t id, const void *attr) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    cot_context *context = rewrite->to->context;
    cot_value *input = coti_calloc(context, (size_t)node->n_inputs, sizeof *input);
    if (input == NULL) {
        return coti_poison();
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = rewrite->map[node->input[i]];
    }
    cot_value kept = coti_graph_add(rewrite->to, (cot_op)node->op, input, node->n_inputs, attr,
                                    (cot_dtype)node->dtype, &node->shape);
    coti_free(context, input);
    return kept;
}

/* reached[id] for every node that outputs and updates depend on, themselves included. */
static void mark_reached(const cot_graph *graph, bool *reached) {
    for (size_t i = 0; i < graph->output.count; i++) {
        reached[graph->output.data[i].value] = true;
    }
    for (size_t i = 0; i < graph->update.count; i++) {
        reached[graph->update.data[i].state] = true;
        reached[graph->update.data[i].value] = true;
    }
    for (size_t id = graph->node.count - 1; id > 0; id--) {
        const coti_node *node = coti_node_at(graph, (uint32_t)id);
        for (int32_t i = 0; reached[id] && i < node->n_inputs; i++) {
            reached[node->input[i]] = true;
        }
    }
}

/* Ask for the replacement of one node; it must have the node's type. */
static cot_status replace(coti_rewrite *rewrite, uint32_t id, coti_rewrite_fn callback, void *user,
                          cot_value *value_out) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    cot_context *context = rewrite->to->context;
    COTI_TRY(follow(rewrite, node));
    cot_value value = callback(rewrite, id, user);
    if (value.graph == NULL) {
        return poison_status(context);
    }
    const coti_node *made = coti_node_of(value);
    if (value.graph != rewrite->to || made->dtype != node->dtype ||
        !coti_shape_equal(&made->shape, &node->shape)) {
        return COTI_OP_FAIL(context, COT_E_INTERNAL, cot_op_name((cot_op)node->op), node->layer,
                            "a pass replaced node %u by one of another type", id);
    }
    *value_out = value;
    return COT_OK;
}

/* Nodes, then updates and outputs. */
static cot_status fill(coti_rewrite *rewrite, const bool *reached, coti_rewrite_fn callback,
                       void *user, cot_value *map) {
    const cot_graph *from = rewrite->from;
    for (size_t i = 0; i < from->input.count; i++) {
        map[from->input.data[i]] = (cot_value){rewrite->to, rewrite->to->input.data[i]};
    }
    for (uint32_t id = 1; id < from->node.count; id++) {
        bool wanted = reached[id] && coti_node_at(from, id)->op != COT_OP_INPUT;
        COTI_TRY(wanted ? replace(rewrite, id, callback, user, &map[id]) : COT_OK);
    }
    rewrite->to->layer = NULL;
    rewrite->to->region = 0;
    for (size_t i = 0; i < from->update.count; i++) {
        coti_update update = from->update.data[i];
        COTI_TRY(cot_graph_update(map[update.state], map[update.value]));
    }
    for (size_t i = 0; i < from->output.count; i++) {
        COTI_TRY(cot_graph_output(map[from->output.data[i].value], from->output.data[i].name));
    }
    return COT_OK;
}

/* One walk: what is reached of `graph` through the callback into a new graph. */
static cot_status copy_reached(const cot_graph *graph, const bool *reached,
                               coti_rewrite_fn callback, void *user, cot_graph **result_out) {
    cot_context *context = graph->context;
    cot_graph *to = NULL;
    cot_value *map = coti_calloc(context, graph->node.count, sizeof *map);
    cot_status status = map != NULL ? coti_graph_begin_copy(graph, &to) : COT_E_NOMEM;
    if (status == COT_OK && to != NULL) {
        coti_rewrite frame = {.from = graph, .to = to, .map = map};
        status = fill(&frame, reached, callback, user, map);
    }
    coti_free(context, map);
    if (status == COT_OK) {
        *result_out = to;
    } else {
        cot_graph_destroy(to);
    }
    return status;
}

static cot_value keep(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)user;
    return coti_rewrite_keep(rewrite, id);
}

/* Is there a node, inputs apart, that nothing needs? */
static bool has_dead(const cot_graph *graph, const bool *reached) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        if (!reached[id] && coti_node_at(graph, id)->op != COT_OP_INPUT) {
            return true;
        }
    }
    return false;
}

/* What the making of a fresh graph has left without a use goes: in the graph itself, or else by
 * another copy. */
static cot_status sweep(cot_graph **in_out) {
    cot_graph *graph = *in_out;
    cot_graph *swept = graph;
    cot_status status = COT_OK;
    bool *reached = coti_calloc(graph->context, graph->node.count, sizeof *reached);
    if (reached == NULL) {
        return COT_E_NOMEM;
    }
    mark_reached(graph, reached);
    if (has_dead(graph, reached)) {
        bool done = false;
        status = coti_graph_compact(graph, reached, &done);
        if (status == COT_OK && !done) {
            status = copy_reached(graph, reached, keep, NULL, &swept);
        }
    }
    coti_free(graph->context, reached);
    if (status == COT_OK && swept != graph) {
        cot_graph_destroy(graph);
        *in_out = swept;
    }
    return status;
}

cot_status coti_graph_rewrite(const cot_graph *graph, coti_rewrite_fn rewrite, void *user,
                              cot_graph **result_out) {
    bool *reached = coti_calloc(graph->context, graph->node.count, sizeof *reached);
    if (reached == NULL) {
        return COT_E_NOMEM;
    }
    mark_reached(graph, reached);
    cot_graph *copied = NULL;
    cot_status status = copy_reached(graph, reached, rewrite, user, &copied);
    coti_free(graph->context, reached);
    if (status == COT_OK && copied != NULL) {
        status = sweep(&copied);
    }
    if (status == COT_OK && copied != NULL && graph->context->verify) {
        status = coti_cons_fill(copied); /* so that equal nodes are looked for, too */
        status = status == COT_OK ? coti_graph_verify(copied) : status;
    }
    if (status == COT_OK) {
        *result_out = copied;
    } else {
        cot_graph_destroy(copied);
    }
    return status;
}
