/*
 * The op table: what ops.def says of each operation, and the search by text name.
 */
#include "graph.h"

#include <string.h>

/* The flags' names as they stand in the rows. */
enum {
    NO_FLAGS = COTI_NO_FLAGS,
    COMMUTATIVE = COTI_COMMUTATIVE,
    CHEAP = COTI_CHEAP,
    FLOATS = COTI_FLOATS,
    NUMBERS = COTI_NUMBERS,
    BOOLS = COTI_BOOLS,
    NONEMPTY = COTI_NONEMPTY
};

const coti_op_info coti_op_table[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags)                                        \
    [COT_OP_##id] = {name, n_inputs, COTI_KIND_##kind, COTI_ATTR_##attr, COTI_GRAD_##grad, flags},
#include "ops.def"
#undef COT_OP
};

const char *cot_op_name(cot_op op) {
    return (size_t)op < COT_OP_COUNT ? coti_op_table[op].name : "?";
}

bool coti_op_find(const char *name, size_t length, cot_op *op_out) {
    for (size_t i = 0; i < COT_OP_COUNT; i++) {
        const char *candidate = coti_op_table[i].name;
        if (strlen(candidate) == length && memcmp(candidate, name, length) == 0) {
            *op_out = (cot_op)i;
            return true;
        }
    }
    return false;
}
