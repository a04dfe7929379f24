/*
 * Decompositions: what each composite means, as nodes of the other operations.
 *
 * Requirements on every rule: built by the public builders from the operands, and from nothing else
 * that an operand may depend on; result of the node's own dtype and shape; a maximum is subtracted
 * before any exp, so that no exp overflows. A composite inside must stand in an earlier row of the
 * op table, or be of the same row and smaller: so expansion ends.
 */
#ifndef COTI_DECOMPOSE_H
#define COTI_DECOMPOSE_H

#include "graph.h"

/* `node` tells attributes, dtype and shape; its input ids mean nothing here: `input` are the
 * operands. */
typedef cot_value (*coti_decompose_fn)(const coti_node *node, const cot_value *input);

/* The prototypes, from the rows. */
#define COTI_DECOMPOSE_LEAF(id)
#define COTI_DECOMPOSE_ELEMWISE(id)
#define COTI_DECOMPOSE_COMPARE(id)
#define COTI_DECOMPOSE_VIEW(id)
#define COTI_DECOMPOSE_REDUCE(id)
#define COTI_DECOMPOSE_CONTRACT(id)
#define COTI_DECOMPOSE_OTHER(id)
#define COTI_DECOMPOSE_COMPOSITE(id)                                                               \
    cot_value coti_decompose_##id(const coti_node *node, const cot_value *input);
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags) COTI_DECOMPOSE_##kind(id)
#include "ops.def"
#undef COT_OP
#undef COTI_DECOMPOSE_LEAF
#undef COTI_DECOMPOSE_ELEMWISE
#undef COTI_DECOMPOSE_COMPARE
#undef COTI_DECOMPOSE_VIEW
#undef COTI_DECOMPOSE_REDUCE
#undef COTI_DECOMPOSE_CONTRACT
#undef COTI_DECOMPOSE_OTHER
#undef COTI_DECOMPOSE_COMPOSITE

#endif
