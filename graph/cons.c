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
    uint64_t hash = coti_hash_word((uint64_t)key->op | (uint64_t)key->dtype << 16,
                                   (uint64_t)key->shape.rank | (uint64_t)key->shape.batched << 31 |
                                       (uint64_t)key->n_inputs << 32);
    for (int32_t i = 0; i < key->shape.rank; i++) {
        hash = coti_hash_word(hash, (uint64_t)key->shape.dim[i]);
    }
    if (swaps(key->op, key->n_inputs, key->input)) {
        hash = coti_hash_word(coti_hash_word(hash, key->input[1]), key->input[0]);
    } else {
        for (int32_t i = 0; i < key->n_inputs; i++) {
            hash = coti_hash_word(hash, key->input[i]);
        }
    }
    return coti_hash_end(coti_attr_hash(hash, coti_op_table[key->op].attr, key->attr));
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

cot_status coti_cons_fill(cot_graph *graph) {
    for (; graph->n_consed < graph->node.count; graph->n_consed++) {
        coti_node *node = &graph->node.data[graph->n_consed];
        const coti_infer key = {
            graph,      (cot_op)node->op,       node->layer, node->n_inputs, node->input,
            node->attr, (cot_dtype)node->dtype, node->shape};
        node->hash = coti_cons_hash(&key);
        COTI_TRY(coti_map_add(&graph->consed, node->hash, graph->n_consed));
    }
    return COT_OK;
}

bool coti_cons_find(const coti_infer *key, uint64_t hash, uint32_t *id_out) {
    return coti_map_find(&key->graph->consed, hash, key_equal, key, id_out);
}
