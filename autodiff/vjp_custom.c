/*
 * The gradient rule of custom: what the host has given.
 */
#include "graph/body.h"
#include "vjp.h"

/* The backward body's arguments: operands, output, cotangent. Which of its outputs are wanted, and
 * room for them. */
typedef struct backward_call {
    cot_value *input;
    cot_value *output;
    bool *wanted;
} backward_call;

static bool is_float(cot_value value) {
    return cot_value_dtype(value) == COT_F32 || cot_value_dtype(value) == COT_F64;
}

static bool make_call(const coti_vjp *v, coti_arena *arena, backward_call *call) {
    size_t n = (size_t)v->node.n_inputs;
    call->input = coti_arena_array(arena, n + 2, sizeof *call->input);
    call->output = coti_arena_array(arena, n, sizeof *call->output);
    call->wanted = coti_arena_array(arena, n, sizeof *call->wanted);
    if (call->input == NULL || call->output == NULL || call->wanted == NULL) {
        return false;
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        call->input[i] = v->input[i];
        if (is_float(v->input[i])) {
            call->wanted[k++] = v->needs[i];
        }
    }
    call->input[n] = v->output;
    call->input[n + 1] = v->g;
    return true;
}

/* The nodes of the backward body that the wanted cotangents need; reads what they read. */
void coti_vjp_CUSTOM(const coti_vjp *v, cot_value *grad) {
    const coti_attr_CUSTOM *attr = v->node.attr;
    backward_call call = {NULL, NULL, NULL};
    coti_arena arena;
    coti_arena_init(&arena, v->graph->context);
    if (make_call(v, &arena, &call) && coti_graph_inline_some(v->graph, attr->backward, call.input,
                                                              call.wanted, call.output) == COT_OK) {
        for (int32_t i = 0, k = 0; i < v->node.n_inputs; i++) {
            if (is_float(v->input[i])) {
                cot_value given = call.output[k++];
                grad[i] = v->needs[i] ? given : coti_poison();
            }
        }
    }
    coti_arena_clear(&arena);
}
