/*
 * The interface of a gradient rule: one function coti_vjp_<ID> for each row of ops.def whose grad
 * column says RULE. Given the cotangent of a node's output it makes the cotangents of the inputs,
 * as graph nodes, through the same builders as anyone.
 *
 * Requirements on every rule
 *   - grad[i] is set for each i with needs[i], and for no other i: nothing is computed that nobody
 *     asked for. Its dtype and shape are those of input i (the walk checks it).
 *   - No node is changed; the walk, its order and its sums are none of a rule's business.
 *   - Operands of elementwise rows have equal shapes, so no rule undoes a broadcast but
 * BROADCAST's.
 *   - A rule reads as little as it can (the output rather than the input where both would do), as
 *     what it reads stays alive until the backward part runs. The comment above a rule says what.
 *   - What it makes is differentiable again wherever the derivative exists: no select that hides a
 *     NaN or an infinity made by the branch not taken.
 *   - Poisoned values pass through: a rule checks nothing, the walk reports.
 */
#ifndef COTI_VJP_H
#define COTI_VJP_H

#include "graph/graph.h"

/* The cotangent of one result of an execution. */
typedef struct coti_vjp_result {
    int32_t result; /* the node's attribute of that name */
    cot_value g;
} coti_vjp_result;

typedef struct coti_vjp {
    cot_graph *graph;
    coti_node node; /* a copy: the graph's own moves as nodes are added */
    const cot_value *input;
    const bool *needs; /* of each input: is its cotangent wanted? */
    cot_value output;
    cot_value g; /* cotangent of the output: its dtype, its shape */
    /* Of a SCAN: the cotangents of all results of its execution that have one, this one's among
     * them; 0: output and g are all there is. */
    int32_t n_results;
    const coti_vjp_result *results;
} coti_vjp;

typedef void (*coti_vjp_fn)(const coti_vjp *v, cot_value *grad);

/* The prototypes, from the rows: a rule that no row asks for does not compile, a rule that is
 * missing does not link. */
#define COTI_VJP_RULE(id) void coti_vjp_##id(const coti_vjp *v, cot_value *grad);
#define COTI_VJP_EXPAND(id)
#define COTI_VJP_ZERO(id)
#define COTI_VJP_NONE(id)
#define COT_OP(id, name, n_inputs, kind, attr, gradient, flags) COTI_VJP_##gradient(id)
#include <cotangent/ops.def>
#undef COT_OP
#undef COTI_VJP_RULE
#undef COTI_VJP_EXPAND
#undef COTI_VJP_ZERO
#undef COTI_VJP_NONE

/* The rule of the EXPAND rows: the chain rule through the node's decomposition (vjp_expand.c); of
 * any other composite, what its own rule must equal. */
void coti_vjp_expand(const coti_vjp *v, cot_value *grad);

/*
 * (vjp_window.c) The adjoint of cot_op_window: add up the windows g [.., o1..os, size1..sizes, ..]
 * where they lie in a tensor of `shape` [.., d1..ds, ..]. Along one axis after the other, first to
 * last; along each, the elements of a window in their order.
 */
cot_value coti_overlap_add(cot_value g, const coti_attr_WINDOW *attr, const cot_shape *shape);

/*
 * The walk itself, for rules whose operation runs a body: the sum of the vector-Jacobian products
 * of n_y values of one graph, cotangent[i] being of y[i]'s type. grads_out[i] is poison, and the
 * status COT_OK, where no y depends on wrt[i]. (grad.c)
 */
cot_status coti_vjp_sum(cot_graph *graph, const cot_value *y, const cot_value *cotangent,
                        int32_t n_y, const cot_value *wrt, int32_t n, cot_value *grads_out);

/* ---- shorthand of the rules ---- */

/* A scalar constant of the cotangent's dtype; elementwise builders stretch it. */
static inline cot_value coti_make_scalar(const coti_vjp *v, double value) {
    return cot_op_constant(v->graph, cot_value_dtype(v->g), value);
}
static inline cot_value coti_make_add(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_ADD, a, b);
}
static inline cot_value coti_make_sub(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_SUB, a, b);
}
static inline cot_value coti_make_mul(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MUL, a, b);
}
static inline cot_value coti_make_div(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_DIV, a, b);
}
static inline cot_value coti_make_neg(cot_value x) {
    return cot_op_unary(COT_OP_NEG, x);
}

#endif
