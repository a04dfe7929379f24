/*
 * What the decomposition of ATTENTION and its gradient rule share, so that both make the same nodes
 * of the same weights.
 */
#ifndef COTI_ATTENTION_H
#define COTI_ATTENTION_H

#include "graph.h"

/* What a score becomes that a mask takes out: finite, so that a row of such scores alone has equal
 * weights, and so low that beside any other score its weight is 0. dtype: f32 or f64. */
double coti_attention_low(cot_dtype dtype);

/*
 * node: an ATTENTION, from any graph; input: its operands. Both bool [*,Tq,Tk]: may query i see key
 * j? Poisoned, without an error, where nothing is masked.
 */
cot_value coti_attention_allowed(const coti_node *node, const cot_value *input);

/* The weights: softmax of the scaled and masked scores, [*,Tq,Tk]. */
cot_value coti_attention_weights(const coti_node *node, const cot_value *input, cot_value allowed);

/*
 * Products of matrices under equal leading axes: a's axis a_axis is contracted with b's b_axis,
 * each counted from the end (-1 or -2).
 */
cot_value coti_attention_dot(cot_value a, int32_t a_axis, cot_value b, int32_t b_axis);

#endif
