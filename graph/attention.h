/*
 * What the decomposition of ATTENTION and its gradient rule share: nodes of the same weights, so
 * that both make them once; and the loop that both go by where scores are many.
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

/* ---- loops (attention_loop.c) ---- */

/*
 * Scores that would not stay in the second cache are made piece by piece, by a scan: over the
 * leading axes, N apart, a matrix of scores a step (a head); over blocks of queries where one
 * matrix is still too large. A step is an ATTENTION again, of a piece: so a head's becomes a loop
 * over blocks in turn. What is in memory at once is a piece of the scores, and results.
 *
 * A loop is made in this order: begin; carries; sequences; the step; outputs (the carries' new
 * values, then stacks); end. Poison passes through, and end says whether there was any.
 */
enum { COTI_ATTENTION_MOST_OPERANDS = 8 }; /* two sums, a cotangent, q, k, v, mask, positions */

typedef struct coti_attention_loop {
    cot_graph *graph, *body;
    const coti_node *node; /* the ATTENTION and its operands, borrowed */
    const cot_value *input;
    int64_t steps;
    int64_t block; /* queries a step, the last ones perhaps none; 0: a step is a head */
    bool cut[3];   /* q, k, v: a step sees a piece of it; else all */
    bool failed;   /* an operand is missing */
    int32_t n_carries, n_sequences, n_operands, n_outputs;
    cot_value operand[COTI_ATTENTION_MOST_OPERANDS];
} coti_attention_loop;

/* Are there so many scores that attention of these operands is a loop? */
bool coti_attention_loops(const cot_value *input);

/* Such a loop, without operands yet. `end` follows in any case. */
cot_status coti_attention_loop_begin(coti_attention_loop *loop, const coti_node *node,
                                     const cot_value *input);
/* An operand of the scan; its input in the body. A carry is added up from zeros, in the shape of
 * `like`; a sequence is x [*,Tq,c] (of heads: [*,t,c]) cut in pieces. */
cot_value coti_attention_loop_carry(coti_attention_loop *loop, cot_value like);
cot_value coti_attention_loop_sequence(coti_attention_loop *loop, cot_value x);
/* The step's ATTENTION; formal_out: its operands q, k, v, in the body. */
cot_value coti_attention_loop_step(coti_attention_loop *loop, cot_value *formal_out);
void coti_attention_loop_output(coti_attention_loop *loop, cot_value value);
/* The scan's results, one for each output; poison if anything failed. Frees the body. */
void coti_attention_loop_end(coti_attention_loop *loop, cot_value *results_out);
/* A stack of pieces put together, in the shape of what it is of. */
cot_value coti_attention_loop_join(const coti_attention_loop *loop, cot_value stack,
                                   const cot_shape *shape);

#endif
