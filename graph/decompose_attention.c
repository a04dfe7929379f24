/*
 * The decomposition of attention (decompose.h, attention.h):
 *
 *     scores = scale q k^T    weights = softmax(allowed ? scores : low)    y = weights v
 *
 * The products stay under their leading axes (rows, heads), and read k and v where they are. Of
 * scores that would not stay in cache it is a loop of pieces (attention_loop.c).
 */
#include "attention.h"
#include "decompose.h"

#include <float.h>

double coti_attention_low(cot_dtype dtype) {
    return dtype == COT_F32 ? -0.7 * (double)FLT_MAX : -0.7 * DBL_MAX;
}

cot_value coti_attention_dot(cot_value a, int32_t a_axis, cot_value b, int32_t b_axis) {
    int32_t rank = cot_value_shape(a).rank;
    cot_dot_axes axes = {.n_batch = rank - 2, .n_contract = 1};
    for (int32_t i = 0; i < rank - 2; i++) {
        axes.a_batch[i] = i;
        axes.b_batch[i] = i;
    }
    axes.a_contract[0] = rank + a_axis;
    axes.b_contract[0] = rank + b_axis;
    return cot_op_dot(a, b, &axes);
}

/* bool [Tq,Tk]: row >= column. */
static cot_value lower_triangle(const cot_value *input) {
    cot_shape q = cot_value_shape(input[0]);
    cot_shape k = cot_value_shape(input[1]);
    cot_shape square = {.rank = 2, .dim = {q.dim[q.rank - 2], k.dim[k.rank - 2]}};
    cot_graph *graph = input[0].graph;
    return cot_op_binary(COT_OP_GE, cot_op_iota(graph, COT_I32, square, 0),
                         cot_op_iota(graph, COT_I32, square, 1));
}

cot_value coti_attention_allowed(const coti_node *node, const cot_value *input) {
    const coti_attr_ATTENTION *attr = node->attr;
    cot_value mask = node->n_inputs == 4 ? input[3] : coti_poison();
    if (attr->causal == 0) {
        return mask;
    }
    cot_shape scores = cot_value_shape(input[0]);
    cot_shape k = cot_value_shape(input[1]);
    scores.dim[scores.rank - 1] = k.dim[k.rank - 2];
    const int32_t last[2] = {scores.rank - 2, scores.rank - 1};
    cot_value lower = cot_op_broadcast(lower_triangle(input), scores, last, 2);
    return node->n_inputs == 4 ? cot_op_binary(COT_OP_AND, mask, lower) : lower;
}

cot_value coti_attention_weights(const coti_node *node, const cot_value *input, cot_value allowed) {
    const coti_attr_ATTENTION *attr = node->attr;
    cot_graph *graph = input[0].graph;
    cot_dtype dtype = cot_value_dtype(input[0]);
    cot_value scores = coti_attention_dot(input[0], -1, input[1], -1);
    scores = cot_op_binary(COT_OP_MUL, scores, cot_op_constant(graph, dtype, attr->scale));
    if (allowed.graph != NULL) {
        cot_value low = cot_op_constant(graph, dtype, coti_attention_low(dtype));
        scores = cot_op_select(allowed, scores, low);
    }
    return cot_op_softmax(scores);
}

static cot_value by_loop(const coti_node *node, const cot_value *input) {
    coti_attention_loop loop;
    cot_value formal[3], stack = coti_poison();
    if (coti_attention_loop_begin(&loop, node, input) == COT_OK) {
        coti_attention_loop_output(&loop, coti_attention_loop_step(&loop, formal));
    }
    coti_attention_loop_end(&loop, &stack);
    return coti_attention_loop_join(&loop, stack, &node->shape);
}

cot_value coti_decompose_ATTENTION(const coti_node *node, const cot_value *input) {
    if (coti_attention_loops(input)) {
        return by_loop(node, input);
    }
    cot_value allowed = coti_attention_allowed(node, input);
    cot_value weights = coti_attention_weights(node, input, allowed);
    return coti_attention_dot(weights, -1, input[2], -2);
}
