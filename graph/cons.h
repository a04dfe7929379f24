/*
 * Hash-consing. A node's key is its op, dtype, shape, inputs and attributes; equal keys are one
 * node, whatever layer asked for it. The operands of a commutative op are ordered by id in the key
 * alone, the node keeps the order of its first maker: that changes no result, which NaN it is
 * apart. A key is a coti_infer whose rule has run.
 */
#ifndef COTI_CONS_H
#define COTI_CONS_H

#include "infer.h"

uint64_t coti_cons_hash(const coti_infer *key);

/* File the nodes that are not yet, each under its hash: a key's own. COT_E_NOMEM. */
cot_status coti_cons_fill(cot_graph *graph);

/* The node of key->graph, all of whose nodes are filed, that is equal to the key, whose hash this
 * is. False: there is none. */
bool coti_cons_find(const coti_infer *key, uint64_t hash, uint32_t *id_out);

#endif
