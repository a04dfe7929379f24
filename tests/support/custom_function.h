/*
 * Functions with gradients of their own, for tests: bodies built for the operands' types, applied
 * by cot_op_custom. All are poison where something failed.
 */
#ifndef CUSTOM_FUNCTION_H
#define CUSTOM_FUNCTION_H

#include "cotangent/graph.h"

#include <stdio.h>

#define CUSTOM_UNUSED __attribute__((unused))

/* An input of a body like `value`. */
CUSTOM_UNUSED static cot_value custom_input(cot_graph *body, cot_value value, const char *name) {
    return cot_op_input(body, cot_value_dtype(value), cot_value_shape(value), name);
}

/* Apply the two bodies, which are destroyed. */
CUSTOM_UNUSED static cot_value custom_apply(cot_graph *forward, cot_graph *backward,
                                            const cot_value *operands, int32_t n) {
    cot_value y = cot_op_custom(forward, backward, operands, n);
    cot_graph_destroy(forward);
    cot_graph_destroy(backward);
    return y;
}

/* y = a b: backward reads both operands and gives g b and g a. */
CUSTOM_UNUSED static cot_value custom_product(cot_value a, cot_value b) {
    const cot_value both[2] = {a, b};
    cot_context *context = cot_graph_context(a.graph);
    cot_graph *forward = cot_graph_create(context, "product");
    cot_graph *backward = cot_graph_create(context, "product_backward");
    cot_value y =
        cot_op_binary(COT_OP_MUL, custom_input(forward, a, "a"), custom_input(forward, b, "b"));
    (void)cot_graph_output(y, "y");
    cot_value x0 = custom_input(backward, a, "a");
    cot_value x1 = custom_input(backward, b, "b");
    (void)custom_input(backward, y, "y");
    cot_value g = custom_input(backward, y, "g");
    (void)cot_graph_output(cot_op_binary(COT_OP_MUL, g, x1), "da");
    (void)cot_graph_output(cot_op_binary(COT_OP_MUL, g, x0), "db");
    return custom_apply(forward, backward, both, 2);
}

/* y = tanh x: backward reads the output and gives g (1 - y y) times `factor`, right for 1. */
CUSTOM_UNUSED static cot_value custom_tanh(cot_value x, double factor) {
    cot_context *context = cot_graph_context(x.graph);
    cot_graph *forward = cot_graph_create(context, "bend");
    cot_graph *backward = cot_graph_create(context, "bend");
    (void)cot_graph_output(cot_op_unary(COT_OP_TANH, custom_input(forward, x, "x")), "y");
    (void)custom_input(backward, x, "x");
    cot_value y = custom_input(backward, x, "y");
    cot_value g = custom_input(backward, x, "g");
    cot_value one = cot_op_constant(backward, cot_value_dtype(x), 1);
    cot_value slope = cot_op_binary(COT_OP_SUB, one, cot_op_binary(COT_OP_MUL, y, y));
    cot_value dx = cot_op_binary(COT_OP_MUL, g, slope);
    dx = cot_op_binary(COT_OP_MUL, dx, cot_op_constant(backward, cot_value_dtype(x), factor));
    (void)cot_graph_output(dx, "dx");
    return custom_apply(forward, backward, &x, 1);
}

/* y = condition ? x : 0; the condition is bool and gets no cotangent. */
CUSTOM_UNUSED static cot_value custom_mask(cot_value condition, cot_value x) {
    const cot_value both[2] = {condition, x};
    cot_context *context = cot_graph_context(x.graph);
    cot_graph *forward = cot_graph_create(context, "mask");
    cot_graph *backward = cot_graph_create(context, "mask_backward");
    cot_value zero = cot_op_constant(forward, cot_value_dtype(x), 0);
    cot_value c = custom_input(forward, condition, "condition");
    (void)cot_graph_output(cot_op_select(c, custom_input(forward, x, "x"), zero), "y");
    c = custom_input(backward, condition, "condition");
    (void)custom_input(backward, x, "x");
    (void)custom_input(backward, x, "y");
    cot_value g = custom_input(backward, x, "g");
    zero = cot_op_constant(backward, cot_value_dtype(x), 0);
    (void)cot_graph_output(cot_op_select(c, g, zero), "dx");
    return custom_apply(forward, backward, both, 2);
}

/* y = softmax(tanh(x)), whose forward holds a custom function, and whose backward is made of its
 * own derivative. */
CUSTOM_UNUSED static cot_value custom_nested(cot_value x) {
    cot_context *context = cot_graph_context(x.graph);
    cot_graph *forward = cot_graph_create(context, "outer");
    cot_graph *backward = cot_graph_create(context, "outer_backward");
    cot_value y = cot_op_softmax(custom_tanh(custom_input(forward, x, "x"), 1));
    (void)cot_graph_output(y, "y");
    cot_value again = custom_input(backward, x, "x");
    (void)custom_input(backward, x, "y");
    cot_value g = custom_input(backward, x, "g");
    cot_value dx = {NULL, 0};
    (void)cot_vjp(cot_op_softmax(custom_tanh(again, 1)), g, &again, 1, &dx);
    (void)cot_graph_output(dx, "dx");
    return custom_apply(forward, backward, &x, 1);
}

#endif
