/*
 * Hash-consing (cons.h).
 */
#include "cons.h"

#include "attr.h"

#include <string.h>

/* Operands of a commutative op in ascending order; false: as they stand. */
static bool swaps(cot_op op, int32_t n_inputs, const uint32_t *input) {
    return (coti_op_table[op].flags & COTI_COMMUTATIVE) != 0 && n_inputs == 2 &&
           input[0] > input[1];
}

enum { PACKED_INPUTS = 8 }; /* with more, the rest is hashed apart */

/* Op, dtype, extents and inputs go through the hash as one block. */
uint64_t coti_cons_hash(const coti_infer *key) {
    uint64_t block[1 + COT_MAX_RANK + PACKED_INPUTS / 2] = {0};
    const size_t rank = (size_t)key->shape.rank, n = (size_t)key->n_inputs;
    const size_t packed = n < PACKED_INPUTS ? n : PACKED_INPUTS;
    block[0] = (uint64_t)key->op | (uint64_t)key->dtype << 16 | (uint64_t)rank << 24 |
               (uint64_t)key->shape.batched << 31 | (uint64_t)n << 32;
    memcpy(block + 1, key->shape.dim, rank * sizeof key->shape.dim[0]);
    uint32_t *input = (uint32_t *)(block + 1 + rank);
    if (swaps(key->op, key->n_inputs, key->input)) {
        input[0] = key->input[1];
        input[1] = key->input[0];
    } else if (packed > 0) {
        memcpy(input, key->input, packed * sizeof key->input[0]);
    }
    uint64_t hash = coti_hash(0, block, (1 + rank + (packed + 1) / 2) * sizeof block[0]);
    if (n > packed) {
        hash = coti_hash(hash, key->input + packed, (n - packed) * sizeof key->input[0]);
    }
    return coti_attr_hash(hash, coti_op_table[key->op].attr, key->attr);
}

static bool inputs_equal(const coti_infer *key, const coti_node *node) {
    if (key->n_inputs != node->n_inputs) {
        return false;
    }
    if (swaps(key->op, key->n_inputs, key->input) != swaps(key->op, node->n_inputs, node->input)) {
        return key->input[0] == node->input[1] && key->input[1] == node->input[0];
    }
    return key->n_inputs == 0 ||
           memcmp(key->input, node->input, (size_t)key->n_inputs * sizeof key->input[0]) == 0;
}

static bool key_equal(const void *user, uint32_t id) {
    const coti_infer *key = user;
    const coti_node *node = coti_node_at(key->graph, id);
    return (cot_op)node->op == key->op && (cot_dtype)node->dtype == key->dtype &&
           coti_shape_equal(&node->shape, &key->shape) && inputs_equal(key, node) &&
           coti_attr_equal(coti_op_table[key->op].attr, key->attr, node->attr);
}

bool coti_cons_find(const coti_infer *key, uint64_t hash, uint32_t *id_out) {
    return coti_map_find(&key->graph->consed, hash, key_equal, key, id_out);
}
