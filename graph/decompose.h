/*
 * Decompositions: what each composite means, as nodes of the other operations.
 *
 * Requirements on every rule: built by the public builders from the inputs' graph; result of the
 * node's own dtype and shape; a maximum is subtracted before any exp, so that no exp overflows; no
 * composite inside.
 */
#ifndef COTI_DECOMPOSE_H
#define COTI_DECOMPOSE_H

#include "graph.h"

typedef cot_value (*coti_decompose_fn)(const cot_value *input);

cot_value coti_decompose_SOFTMAX(const cot_value *input);
cot_value coti_decompose_LOG_SOFTMAX(const cot_value *input);
cot_value coti_decompose_SOFTMAX_XENT(const cot_value *input);

#endif
