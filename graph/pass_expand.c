/*
 * Replace composites by their decompositions, one rule a COMPOSITE row of the op table; but, for
 * kernels, convolutions that have some of their own by the form that those take.
 *
 * Simplification, which looks at nothing but a node's operands, can be done on the same walk: a
 * copy of the graph less. The nodes of a decomposition are then simplified as they are made.
 */
#include "body.h"
#include "conv.h"
#include "decompose.h"
#include "simplify.h"

#define DECOMPOSE_LEAF(id) NULL
#define DECOMPOSE_ELEMWISE(id) NULL
#define DECOMPOSE_COMPARE(id) NULL
#define DECOMPOSE_VIEW(id) NULL
#define DECOMPOSE_REDUCE(id) NULL
#define DECOMPOSE_CONTRACT(id) NULL
#define DECOMPOSE_OTHER(id) NULL
#define DECOMPOSE_COMPOSITE(id) coti_decompose_##id

static const coti_decompose_fn rules[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags) [COT_OP_##id] = DECOMPOSE_##kind(id),
#include "ops.def"
#undef COT_OP
};

cot_value coti_decompose(const coti_node *node, const cot_value *input) {
    const coti_node composite = *node; /* the graph's own may move as nodes are added */
    const char *name = cot_op_name((cot_op)composite.op);
    cot_graph *graph = coti_graph_of(name, input, composite.n_inputs);
    if (graph == NULL) {
        return coti_poison();
    }
    if (rules[composite.op] == NULL) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, name, graph->layer, "has no decomposition");
        return coti_poison();
    }
    return rules[composite.op](&composite, input);
}

typedef struct expansion {
    bool for_kernels; /* convolutions that have kernels of their own stay */
    bool simplifies;
    bool expanded, simplified; /* something has been */
} expansion;

static bool is_convolution(const coti_node *node) {
    return node->op == COT_OP_CONV || node->op == COT_OP_CONV_DX || node->op == COT_OP_CONV_DW;
}

/* Does a node stay as it is? */
static bool stays(const cot_graph *graph, const coti_node *node, bool for_kernels) {
    if (rules[node->op] == NULL) {
        return true;
    }
    return for_kernels && is_convolution(node) &&
           coti_conv_is_direct(node, &coti_node_at(graph, node->input[0])->shape,
                               &coti_node_at(graph, node->input[1])->shape);
}

static cot_value replace(const coti_node *node, const cot_value *input, bool for_kernels) {
    cot_value result;
    if (for_kernels && is_convolution(node) && coti_conv_direct(node, input, &result)) {
        return result;
    }
    return coti_decompose(node, input);
}

/* user: an expansion. */
static cot_value expand(coti_rewrite *rewrite, uint32_t id, void *user) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    expansion *how = user;
    if (stays(rewrite->from, node, how->for_kernels)) {
        return how->simplifies ? coti_simplify_node(rewrite, id, &how->simplified)
                               : coti_rewrite_keep(rewrite, id);
    }
    cot_context *context = rewrite->to->context;
    cot_value *input = coti_calloc(context, (size_t)node->n_inputs, sizeof *input);
    if (input == NULL) {
        return coti_poison();
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = rewrite->map[node->input[i]];
    }
    how->expanded = true;
    rewrite->to->simplified = how->simplifies ? &how->simplified : NULL;
    cot_value result = replace(node, input, how->for_kernels);
    rewrite->to->simplified = NULL;
    coti_free(context, input);
    return result;
}

static bool is_expanded(const cot_graph *graph, bool for_kernels) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        if (!stays(graph, coti_node_at(graph, id), for_kernels)) {
            return false;
        }
    }
    return true;
}

/* A decomposition may hold composites of earlier rows: as many rounds as they lie inside each
 * other. */
static cot_status expand_graph(const cot_graph *graph, expansion *how, cot_graph **result_out) {
    cot_graph *expanded = NULL;
    COTI_TRY(coti_graph_rewrite(graph, expand, how, &expanded));
    while (!is_expanded(expanded, how->for_kernels)) {
        cot_graph *next = NULL;
        cot_status status = coti_graph_rewrite(expanded, expand, how, &next);
        cot_graph_destroy(expanded);
        COTI_TRY(status);
        expanded = next;
    }
    *result_out = expanded;
    return COT_OK;
}

static cot_status expand_one(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    expansion how = {.for_kernels = false};
    COTI_TRY(expand_graph(graph, &how, result_out));
    *changed_out = how.expanded || (*result_out)->node.count != graph->node.count;
    return COT_OK;
}

static cot_status expand_one_for_kernels(const cot_graph *graph, cot_graph **result_out,
                                         bool *changed_out) {
    expansion how = {.for_kernels = true};
    COTI_TRY(expand_graph(graph, &how, result_out));
    *changed_out = how.expanded || (*result_out)->node.count != graph->node.count;
    return COT_OK;
}

static cot_status expand_one_simplified(const cot_graph *graph, cot_graph **result_out,
                                        bool *simplified_out) {
    expansion how = {.for_kernels = true, .simplifies = true};
    COTI_TRY(expand_graph(graph, &how, result_out));
    *simplified_out = how.simplified;
    return COT_OK;
}

/* Have all bodies been expanded? A decomposition may be a scan of what has a decomposition. */
static cot_status find_unexpanded(const cot_graph *graph, bool for_kernels, bool *found_out) {
    coti_bodies bodies;
    cot_status status = coti_bodies_find(&bodies, graph);
    *found_out = false;
    for (size_t i = 0; i < bodies.body.count && status == COT_OK; i++) {
        *found_out = *found_out || !is_expanded(bodies.body.data[i], for_kernels);
    }
    coti_bodies_free(&bodies);
    return status;
}

/* `pass` over the graph and its bodies, as many rounds as it makes bodies that want one more. */
static cot_status expand_bodies(const cot_graph *graph, coti_pass_fn pass, bool for_kernels,
                                cot_graph **result_out, bool *changed_out) {
    cot_graph *expanded = NULL;
    bool more = false;
    COTI_TRY(coti_graph_map_bodies(graph, pass, &expanded, changed_out));
    cot_status status = find_unexpanded(expanded, for_kernels, &more);
    while (status == COT_OK && more) {
        cot_graph *next = NULL;
        bool changed = false;
        status = coti_graph_map_bodies(expanded, pass, &next, &changed);
        *changed_out = *changed_out || changed;
        if (status == COT_OK) {
            cot_graph_destroy(expanded);
            expanded = next;
            status = find_unexpanded(expanded, for_kernels, &more);
        }
    }
    if (status != COT_OK) {
        cot_graph_destroy(expanded);
        return status;
    }
    *result_out = expanded;
    return COT_OK;
}

cot_status coti_pass_expand(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    return expand_bodies(graph, expand_one, false, result_out, changed_out);
}

cot_status coti_pass_expand_for_kernels(const cot_graph *graph, cot_graph **result_out,
                                        bool *changed_out) {
    return expand_bodies(graph, expand_one_for_kernels, true, result_out, changed_out);
}

cot_status coti_pass_expand_simplified(const cot_graph *graph, cot_graph **result_out,
                                       bool *simplified_out) {
    return expand_bodies(graph, expand_one_simplified, true, result_out, simplified_out);
}
