/*
 * Simplification: one walk, each node made through the local rules of simplify.h, bottom up.
 */
#include "simplify.h"

#include "body.h"

#include <math.h>
#include <string.h>

/* Views that a constant is looked for under: simplified operands have no longer chains. */
enum { LOOK_THROUGH = 3 };

const coti_node *coti_site_operand(const coti_site *site, int32_t i, cot_op op) {
    const coti_node *node = coti_node_of(site->input[i]);
    return (cot_op)node->op == op ? node : NULL;
}

/* The CONST of one element that the value repeats; NULL: none. */
static const coti_node *uniform_constant(cot_value value) {
    const coti_node *node = coti_node_of(value);
    for (int depth = 0; depth < LOOK_THROUGH; depth++) {
        if (node->op != COT_OP_BROADCAST && node->op != COT_OP_RESHAPE) {
            break;
        }
        node = coti_node_at(value.graph, node->input[0]);
    }
    if (node->op != COT_OP_CONST) {
        return NULL;
    }
    const coti_attr_DATA *attr = node->attr;
    return attr->data.bytes == (int64_t)cot_dtype_bytes((cot_dtype)node->dtype) ? node : NULL;
}

bool coti_site_is_number(const coti_site *site, int32_t i, double number) {
    const coti_node *constant = uniform_constant(site->input[i]);
    if (constant == NULL) {
        return false;
    }
    coti_tensor element = {(cot_dtype)constant->dtype, {.rank = 0}, NULL};
    unsigned char bytes[8];
    const coti_attr_DATA *attr = constant->attr;
    memcpy(bytes, attr->data.data, (size_t)attr->data.bytes);
    element.data = bytes;
    double found = coti_tensor_get(&element, 0);
    bool is_float = element.dtype == COT_F32 || element.dtype == COT_F64;
    return found == number && (!is_float || signbit(found) == signbit(number));
}

bool coti_simplify_try(const coti_site *site, cot_value *value_out) {
    coti_simplify_fn rule = coti_simplify_elementwise_rule(site->op);
    rule = rule != NULL ? rule : coti_simplify_view_rule(site->op);
    return (rule != NULL && rule(site, value_out)) || coti_simplify_hoist(site, value_out);
}

cot_value coti_simplify_make(const coti_site *site) {
    cot_value value = coti_poison();
    if (coti_simplify_try(site, &value)) {
        *site->changed = true;
        return value;
    }
    return coti_graph_add(site->graph, site->op, site->input, site->n_inputs, site->attr,
                          site->dtype, site->shape);
}

enum { FEW_INPUTS = 8 };

cot_value coti_simplify_node(coti_rewrite *rewrite, uint32_t id, bool *changed) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    cot_value input[FEW_INPUTS];
    if (node->n_inputs > FEW_INPUTS) {
        return coti_rewrite_keep(rewrite, id); /* a long concat: no rule is for it */
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = rewrite->map[node->input[i]];
    }
    const coti_site site = {rewrite->to, (cot_op)node->op,       node->n_inputs, input,
                            node->attr,  (cot_dtype)node->dtype, &node->shape,   changed};
    cot_value value = coti_poison();
    if (coti_simplify_try(&site, &value)) {
        *site.changed = true;
        return value;
    }
    return coti_graph_keep(rewrite->to, node, input);
}

/* user: a bool, set when a rule applies. */
static cot_value simplify(coti_rewrite *rewrite, uint32_t id, void *user) {
    return coti_simplify_node(rewrite, id, user);
}

/* A walk changes something if and only if there is a first node that a rule is for, whose operands
 * it then finds as they are. */
cot_status coti_simplify_applies(cot_graph *graph, bool *applies_out) {
    const uint32_t n = (uint32_t)graph->node.count;
    bool applies = graph->body.count > 0, ignored = false;
    for (uint32_t id = 1; id < n && !applies; id++) {
        const coti_node node = *coti_node_at(graph, id); /* the graph's own may move */
        cot_value input[FEW_INPUTS], value = coti_poison();
        if (node.n_inputs > FEW_INPUTS) {
            continue;
        }
        for (int32_t i = 0; i < node.n_inputs; i++) {
            input[i] = (cot_value){graph, node.input[i]};
        }
        const coti_site site = {graph,     (cot_op)node.op,       node.n_inputs, input,
                                node.attr, (cot_dtype)node.dtype, &node.shape,   &ignored};
        applies = coti_simplify_try(&site, &value);
        if (applies && value.graph == NULL) {
            return graph->context->error.status;
        }
    }
    *applies_out = applies;
    return COT_OK;
}

/* One graph, without its bodies. */
static cot_status simplify_one(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    bool changed = false;
    COTI_TRY(coti_graph_rewrite(graph, simplify, &changed, result_out));
    *changed_out = changed || (*result_out)->node.count != graph->node.count;
    return COT_OK;
}

cot_status coti_pass_simplify(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    return coti_graph_map_bodies(graph, simplify_one, result_out, changed_out);
}
