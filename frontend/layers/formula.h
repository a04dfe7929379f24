/*
 * Shorthand for formulas on graph values: what activations, losses and optimizers are written in.
 * A number takes the dtype of the value that it meets. Poisoned values pass through.
 */
#ifndef COTI_FORMULA_H
#define COTI_FORMULA_H

#include "cotangent/graph.h"

static inline cot_value coti_number(cot_value like, double value) {
    return cot_op_constant(like.graph, cot_value_dtype(like), value);
}
static inline cot_value coti_add(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_ADD, a, b);
}
static inline cot_value coti_sub(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_SUB, a, b);
}
static inline cot_value coti_mul(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MUL, a, b);
}
static inline cot_value coti_div(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_DIV, a, b);
}
static inline cot_value coti_scale(cot_value x, double factor) {
    return coti_mul(x, coti_number(x, factor));
}
static inline cot_value coti_plus(cot_value x, double term) {
    return coti_add(x, coti_number(x, term));
}

#endif
