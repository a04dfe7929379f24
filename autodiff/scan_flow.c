/* Which carries of a scan have a cotangent in its gradient's loop (scan_flow.h). */
#include "scan_flow.h"

static bool is_float(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* Does cotangent pass through a node of the body? */
static bool passes(const coti_node *node) {
    return is_float((cot_dtype)node->dtype) && coti_op_table[node->op].grad != COTI_GRAD_ZERO;
}

/* Set reached of all nodes that depend on what is set. */
static void reach(const cot_graph *body, bool *reached) {
    for (uint32_t id = 1; id < body->node.count; id++) {
        const coti_node *node = coti_node_at(body, id);
        for (int32_t i = 0; i < node->n_inputs && !reached[id] && passes(node); i++) {
            reached[id] = reached[node->input[i]];
        }
    }
}

/* Set live of all nodes that what is set depends on. */
static void enliven(const cot_graph *body, bool *live) {
    for (uint32_t id = (uint32_t)body->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(body, id);
        for (int32_t i = 0; i < node->n_inputs && live[id] && passes(node); i++) {
            live[node->input[i]] = true;
        }
    }
}

/* Carries that depend on what is asked for, by way of earlier steps too: reached, by node. */
static void find_reached(const coti_scan_flow *s, bool *reached) {
    const cot_graph *body = s->scan->body;
    bool changed = true;
    for (int32_t i = 0; i < s->n_operands; i++) {
        reached[body->input.data[i]] = s->needs[i];
    }
    while (changed) {
        changed = false;
        reach(body, reached);
        for (int32_t i = 0; i < s->scan->n_carries; i++) {
            const uint32_t before = body->input.data[i];
            if (!reached[before] && reached[body->output.data[i].value]) {
                reached[before] = true;
                changed = true;
            }
        }
    }
}

/* Carries that what has a cotangent depends on, by way of later steps too: live, by node. */
static void find_live(const coti_scan_flow *s, bool *live) {
    const cot_graph *body = s->scan->body;
    const int32_t n_outputs = s->scan->n_carries + s->scan->n_stacks;
    bool changed = true;
    for (int32_t i = 0; i < n_outputs; i++) {
        live[body->output.data[i].value] |= s->result_g[i].graph != NULL;
    }
    for (int32_t i = 0; i < s->scan->n_carries; i++) {
        live[body->input.data[i]] |= s->result_g[n_outputs + i].graph != NULL;
    }
    while (changed) {
        changed = false;
        enliven(body, live);
        for (int32_t i = 0; i < s->scan->n_carries; i++) {
            const uint32_t after = body->output.data[i].value;
            if (live[body->input.data[i]] && !live[after]) {
                live[after] = true;
                changed = true;
            }
        }
    }
}

cot_status coti_scan_find_flow(const coti_scan_flow *s, coti_arena *arena, bool *flows_out) {
    const cot_graph *body = s->scan->body;
    bool *reached = coti_arena_array(arena, body->node.count, sizeof *reached);
    bool *live = coti_arena_array(arena, body->node.count, sizeof *live);
    if (reached == NULL || live == NULL) {
        return COT_E_NOMEM;
    }
    find_reached(s, reached);
    find_live(s, live);
    for (int32_t i = 0; i < s->scan->n_carries; i++) {
        const uint32_t id = body->input.data[i];
        flows_out[i] =
            reached[id] && live[id] && is_float((cot_dtype)coti_node_at(body, id)->dtype);
    }
    return COT_OK;
}
