/*
 * Simplification rules: local identities, tried where a node is about to be made.
 *
 * Requirements on every rule:
 * - it changes no bit of a result, -0 and the infinities included. Two things are excepted: which
 * of several NaNs comes out, and that a -0 summed over no axis at all stays -0;
 * - it looks at the site and a bounded number of nodes below it, so that the pass stays linear, and
 *   makes each node it wants by coti_simplify_make: what comes out is simplified in turn, each rule
 *   leaving less to do, so the depth is a small constant;
 * - it relies on operands that are simplified already: no broadcast of a broadcast, no reshape of a
 *   reshape, ...
 */
#ifndef COTI_SIMPLIFY_H
#define COTI_SIMPLIFY_H

#include "graph.h"

/* A node that is about to be made in the new graph. dtype and shape are the node's own. */
typedef struct coti_site {
    cot_graph *graph;
    cot_op op;
    int32_t n_inputs;
    const cot_value *input;
    const void *attr;
    cot_dtype dtype;
    const cot_shape *shape;
    bool *changed; /* set when a rule applies */
} coti_site;

/* True: *value_out is used instead of the node (poison when making it failed). */
typedef bool (*coti_simplify_fn)(const coti_site *site, cot_value *value_out);

/* Does a rule apply? *value_out is then what it makes. */
bool coti_simplify_try(const coti_site *site, cot_value *value_out);

/* What a node of the old graph becomes in the new one; *changed is set when a rule applies. */
cot_value coti_simplify_node(coti_rewrite *rewrite, uint32_t id, bool *changed);

/* The rules' results, or else the node itself. */
cot_value coti_simplify_make(const coti_site *site);

/* The node an operand of the site is; NULL: it is no `op`. */
const coti_node *coti_site_operand(const coti_site *site, int32_t i, cot_op op);

/* Input i of a node of the site's graph. */
static inline cot_value coti_site_input(const coti_site *site, const coti_node *node, int32_t i) {
    return (cot_value){site->graph, node->input[i]};
}

/* Is the operand this number in every element? A zero is told from the other zero. */
bool coti_site_is_number(const coti_site *site, int32_t i, double number);

/* Rules by op; NULL: none (simplify_elementwise.c, simplify_view.c). */
coti_simplify_fn coti_simplify_elementwise_rule(cot_op op);
coti_simplify_fn coti_simplify_view_rule(cot_op op);

/* Of all elementwise ops, after their own rule: op(broadcast a, broadcast b) = broadcast op(a, b).
 */
bool coti_simplify_hoist(const coti_site *site, cot_value *value_out);

#endif
