/*
 * Gradient rules of the convolutions: conv, conv_dx and conv_dw are the three parts of one
 * trilinear form of x, w and g,
 *
 *     sum g conv(x, w)  =  sum x conv_dx(g, w)  =  sum w conv_dw(x, g),
 *
 * so each one's derivatives are the two others. A rule reads each operand for the other. The
 * requirements on a rule stand in vjp.h.
 */
#include "vjp.h"

#include "graph/conv.h"

static coti_conv extents(const coti_vjp *v) {
    cot_shape a = cot_value_shape(v->input[0]);
    cot_shape b = cot_value_shape(v->input[1]);
    return coti_conv_of((cot_op)v->node.op, v->node.attr, &a, &b);
}

void coti_vjp_CONV(const coti_vjp *v, cot_value *grad) {
    const coti_conv c = extents(v);
    const cot_conv_axes axes = coti_conv_axes_of(&c);
    if (v->needs[0]) {
        grad[0] = cot_op_conv_dx(v->g, v->input[1], c.x, &axes);
    }
    if (v->needs[1]) {
        grad[1] = cot_op_conv_dw(v->input[0], v->g, c.k, &axes);
    }
}

/* The cotangent stands for x. */
void coti_vjp_CONV_DX(const coti_vjp *v, cot_value *grad) {
    const coti_conv c = extents(v);
    const cot_conv_axes axes = coti_conv_axes_of(&c);
    if (v->needs[0]) {
        grad[0] = cot_op_conv(v->g, v->input[1], &axes);
    }
    if (v->needs[1]) {
        grad[1] = cot_op_conv_dw(v->g, v->input[0], c.k, &axes);
    }
}

/* The cotangent stands for w. */
void coti_vjp_CONV_DW(const coti_vjp *v, cot_value *grad) {
    const coti_conv c = extents(v);
    const cot_conv_axes axes = coti_conv_axes_of(&c);
    if (v->needs[0]) {
        grad[0] = cot_op_conv_dx(v->input[1], v->g, c.x, &axes);
    }
    if (v->needs[1]) {
        grad[1] = cot_op_conv(v->input[0], v->g, &axes);
    }
}
