/*
 * The verifier: do a graph's invariants (graph.h) hold? Run after every pass in debug builds and in
 * all tests.
 *
 * It trusts pointers and nothing else: ids, types, attributes, names and lists are checked again,
 * by the same rules that made them. One walk, and one over each body. What it finds is a bug of
 * ours, so it fails with COT_E_INTERNAL, or with the infer rule's own error where that refuses the
 * node.
 */
#include "attr.h"
#include "body.h"
#include "cons.h"
#include "symbol.h"

#include <string.h>

#define BROKEN(graph, node, ...)                                                                   \
    COTI_OP_FAIL((graph)->context, COT_E_INTERNAL, cot_op_name((cot_op)(node)->op), (node)->layer, \
                 "verify: " __VA_ARGS__)

/* Is the string the graph's own copy? */
static bool is_interned(const cot_graph *graph, const char *text) {
    const coti_symbol *symbol = coti_graph_find_symbol(graph, text);
    return symbol != NULL && symbol->text == text;
}

/* op, dtype and inputs: what the infer rule needs to stand on. */
static cot_status check_frame(const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    if (node->op >= COT_OP_COUNT) {
        return BROKEN(graph, node, "node %u has operation %u", id, node->op);
    }
    if (node->n_inputs < 0) {
        return BROKEN(graph, node, "node %u has %d inputs", id, node->n_inputs);
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        if (node->input[i] == 0 || node->input[i] >= id) {
            return BROKEN(graph, node, "node %u reads node %u, which does not precede it", id,
                          node->input[i]);
        }
    }
    return COT_OK;
}

/* The type is what the rule gives; the node is the one of its key. */
static cot_status check_type(const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    coti_infer infer = {
        graph,      (cot_op)node->op,       node->layer, node->n_inputs, node->input,
        node->attr, (cot_dtype)node->dtype, node->shape};
    char found[COTI_TYPE_BYTES];
    char expected[COTI_TYPE_BYTES];
    uint32_t equal = 0;
    COTI_TRY(coti_infer_run(&infer));
    if (infer.dtype != (cot_dtype)node->dtype || !coti_shape_equal(&infer.shape, &node->shape)) {
        return BROKEN(graph, node, "node %u is %s, its rule gives %s", id,
                      coti_type_text(found, (cot_dtype)node->dtype, &node->shape),
                      coti_type_text(expected, infer.dtype, &infer.shape));
    }
    const uint64_t hash = coti_cons_hash(&infer);
    const bool filed = id < graph->n_consed;
    if (filed && node->hash != hash) {
        return BROKEN(graph, node, "node %u is not filed under its hash", id);
    }
    const bool is_there = coti_cons_find(&infer, hash, &equal);
    if (is_there ? equal != id : filed) {
        return BROKEN(graph, node, "node %u is equal to node %u", id, equal);
    }
    return COT_OK;
}

/* What the walk has met so far. */
typedef struct met {
    size_t inputs, states;
    uint32_t numbered;
} met;

/* Names and numbers, and the lists of inputs and states. */
static cot_status check_names(const cot_graph *graph, uint32_t id, met *so_far) {
    const coti_node *node = coti_node_at(graph, id);
    bool input = node->op == COT_OP_INPUT;
    if (node->region > graph->n_regions) {
        return BROKEN(graph, node, "node %u is of region %u of %u", id, node->region,
                      graph->n_regions);
    }
    if (node->layer != NULL && !is_interned(graph, node->layer)) {
        return BROKEN(graph, node, "the layer's name of node %u is not the graph's own", id);
    }
    if (!input && node->op != COT_OP_STATE) {
        if (node->name != NULL || node->number != so_far->numbered++) {
            return BROKEN(graph, node, "node %u has number %u, or a name", id, node->number);
        }
        return COT_OK;
    }
    size_t i = input ? so_far->inputs++ : so_far->states++;
    size_t n = input ? graph->input.count : graph->state.count;
    const uint32_t *list = input ? graph->input.data : graph->state.data;
    if (i >= n || list[i] != id) {
        return BROKEN(graph, node, "node %u is not at its place in the graph's list", id);
    }
    const coti_symbol *symbol =
        node->name != NULL ? coti_graph_find_symbol(graph, node->name) : NULL;
    if (symbol == NULL || symbol->text != node->name || symbol->value != id ||
        symbol != &graph->symbol.data[node->number]) {
        return BROKEN(graph, node, "node %u does not own its name", id);
    }
    if (input && strcmp(((const coti_attr_NAME *)node->attr)->name, node->name) != 0) {
        return BROKEN(graph, node, "input \"%s\" goes by the name \"%s\"",
                      ((const coti_attr_NAME *)node->attr)->name, node->name);
    }
    return COT_OK;
}

/* Each update is where its state's symbol says, so no state has two; and there are no others. */
static cot_status check_updates(const cot_graph *graph) {
    size_t marks = 0;
    for (size_t i = 0; i < graph->symbol.count; i++) {
        marks += graph->symbol.data[i].update != 0;
    }
    if (marks != graph->update.count) {
        return COTI_FAIL(graph->context, COT_E_INTERNAL, "verify: %zu updates of %zu states",
                         graph->update.count, marks);
    }
    for (size_t i = 0; i < marks; i++) {
        coti_update update = graph->update.data[i];
        if (update.state == 0 || update.state >= graph->node.count || update.value == 0 ||
            update.value >= graph->node.count) {
            return COTI_FAIL(graph->context, COT_E_INTERNAL, "verify: update %zu names no node", i);
        }
        const coti_node *state = coti_node_at(graph, update.state);
        const coti_node *value = coti_node_at(graph, update.value);
        if (state->op != COT_OP_STATE ||
            coti_graph_find_symbol(graph, state->name)->update != i + 1) {
            return BROKEN(graph, state, "update %zu is of no state, or of one twice", i);
        }
        if (state->dtype != value->dtype || !coti_shape_equal(&state->shape, &value->shape)) {
            return BROKEN(graph, state, "update %zu changes the type of \"%s\"", i, state->name);
        }
    }
    return COT_OK;
}

/* As updates, by name. */
static cot_status check_outputs(const cot_graph *graph) {
    size_t marks = 0;
    for (size_t i = 0; i < graph->symbol.count; i++) {
        marks += graph->symbol.data[i].output != 0;
    }
    if (marks != graph->output.count) {
        return COTI_FAIL(graph->context, COT_E_INTERNAL, "verify: %zu outputs by %zu names",
                         graph->output.count, marks);
    }
    for (size_t i = 0; i < marks; i++) {
        coti_output output = graph->output.data[i];
        if (output.value == 0 || output.value >= graph->node.count) {
            return COTI_FAIL(graph->context, COT_E_INTERNAL, "verify: output \"%s\" names no node",
                             output.name);
        }
        if (!is_interned(graph, output.name) ||
            coti_graph_find_symbol(graph, output.name)->output != i + 1) {
            return COTI_FAIL(graph->context, COT_E_INTERNAL,
                             "verify: output \"%s\" does not own its name", output.name);
        }
    }
    return COT_OK;
}

/* The bodies that nodes run are those that the graph holds, sealed and shallower than it. */
static cot_status check_bodies(const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    for (const coti_field *f = coti_attr_fields(coti_op_table[node->op].attr); f->name != NULL;
         f++) {
        if (f->type == COTI_FIELD_BODY) {
            const cot_graph *body = *(const coti_attr_BODY_type *)coti_field_at(node->attr, f);
            const cot_graph *held = coti_graph_find_body(graph, body);
            if (held != body) {
                return BROKEN(graph, node, "node %u runs body \"%s\", which is not the graph's own",
                              id, body->name);
            }
        }
    }
    return COT_OK;
}

/* One graph, without its bodies. */
static cot_status verify_one(const cot_graph *graph) {
    met so_far = {0};
    for (uint32_t id = 1; id < graph->node.count; id++) {
        COTI_TRY(check_frame(graph, id));
        COTI_TRY(check_type(graph, id));
        COTI_TRY(check_names(graph, id, &so_far));
        COTI_TRY(graph->body.count > 0 ? check_bodies(graph, id) : COT_OK);
    }
    if (graph->seal.text != NULL && (graph->state.count > 0 || graph->update.count > 0)) {
        return COTI_FAIL(graph->context, COT_E_INTERNAL, "verify: body \"%s\" has a state",
                         graph->name);
    }
    if (so_far.inputs != graph->input.count || so_far.states != graph->state.count ||
        so_far.numbered != graph->n_numbered) {
        return COTI_FAIL(graph->context, COT_E_INTERNAL,
                         "verify: the graph's lists name nodes that are not there");
    }
    COTI_TRY(check_updates(graph));
    return check_outputs(graph);
}

cot_status coti_graph_verify(const cot_graph *graph) {
    coti_bodies bodies;
    if (graph->body.count == 0) {
        return verify_one(graph);
    }
    cot_status status = coti_bodies_find(&bodies, graph);
    for (size_t i = 0; i < bodies.body.count && status == COT_OK; i++) {
        status = verify_one(bodies.body.data[i]);
    }
    coti_bodies_free(&bodies);
    return status == COT_OK ? verify_one(graph) : status;
}
