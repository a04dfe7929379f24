/*
 * The parts of a SCAN: what its attributes say of its operands and results, for all stages.
 *
 *     operands   carries (C), sequences (Q), constants (K), as the inputs of its body
 *     results    C final carries, S stacks, C histories, by the attribute `result`; a node has one,
 *                and nodes that differ in that attribute alone are one execution
 *     body       inputs: carries, an element of each sequence, constants; outputs: the C new
 *                carries, S elements of stacks
 *
 * The time axis of a sequence, stack or history is the first, but the second of a batched one.
 */
#ifndef COTI_SCAN_H
#define COTI_SCAN_H

#include "graph.h"

typedef struct coti_scan {
    const cot_graph *body;
    int32_t n_carries, n_sequences, n_constants, n_stacks;
    int64_t steps;
    bool reverse;
    int32_t result;
} coti_scan;

/* The parts of a SCAN node of a graph. */
coti_scan coti_scan_of(const coti_node *node);

/* What a result is. */
static inline bool coti_scan_is_carry(const coti_scan *scan, int32_t result) {
    return result < scan->n_carries;
}
static inline bool coti_scan_is_history(const coti_scan *scan, int32_t result) {
    return result >= scan->n_carries + scan->n_stacks;
}
/* Of a stack or history, else of a carry, the body's output or input whose type an element has. */
static inline const coti_node *coti_scan_element(const coti_scan *scan, int32_t result) {
    const cot_graph *body = scan->body;
    const int32_t n_outputs = scan->n_carries + scan->n_stacks;
    return coti_node_at(body, result < n_outputs ? body->output.data[result].value
                                                 : body->input.data[result - n_outputs]);
}

/* Where time runs in a sequence whose elements have this shape. */
static inline int32_t coti_scan_axis(const cot_shape *element) {
    return element->batched ? 1 : 0;
}

/* The shape of a sequence of such elements. False: too many axes. */
bool coti_scan_stack(const cot_shape *element, int64_t steps, cot_shape *stack_out);

/* Another result of the execution that a SCAN node belongs to; poison on failure. */
cot_value coti_scan_sibling(cot_graph *graph, uint32_t id, int32_t result);

/* Nodes of one execution: equal but for `result`. The hash is equal for equal ones. */
uint64_t coti_scan_hash(const coti_node *node);
bool coti_scan_same(const coti_node *a, const coti_node *b);

/* A SCAN node, not through the public builder; operands.n is the body's inputs'. Poison on
 * failure. */
cot_value coti_scan_add(cot_graph *graph, const coti_scan *scan, const cot_value *operand);

#endif
