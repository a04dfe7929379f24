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

uint64_t coti_cons_hash(const coti_infer *key) {
    const int32_t head[4] = {(int32_t)key->op, (int32_t)key->dtype, key->shape.rank,
                             key->shape.batched ? 1 : 0};
    uint64_t hash = coti_hash(0, head, sizeof head);
    hash = coti_hash(hash, key->shape.dim, (size_t)key->shape.rank * sizeof key->shape.dim[0]);
    if (swaps(key->op, key->n_inputs, key->input)) {
        const uint32_t ordered[2] = {key->input[1], key->input[0]};
        hash = coti_hash(hash, ordered, sizeof ordered);
    } else {
        hash = coti_hash(hash, key->input, (size_t)key->n_inputs * sizeof key->input[0]);
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

bool coti_cons_find(const coti_infer *key, uint32_t *id_out) {
    return coti_map_find(&key->graph->consed, coti_cons_hash(key), key_equal, key, id_out);
}
