/*
 * The bodies of a graph that is checked, in f64: inputs, constants and results that are floats
 * become f64, as those of the graph itself do (gradcheck_graph.c).
 */
#include "gradcheck.h"

static cot_dtype promote(uint8_t dtype) {
    return dtype == COT_F32 ? COT_F64 : (cot_dtype)dtype;
}

cot_value coti_check_promote_const(cot_graph *to, const coti_node *node) {
    const coti_attr_DATA *attr = node->attr;
    if (node->dtype != COT_F32) {
        return cot_op_constant_array(to, (cot_dtype)node->dtype, node->shape, attr->data.data);
    }
    size_t n = (size_t)attr->data.bytes / sizeof(float);
    double *data = coti_calloc(to->context, n, sizeof *data);
    if (data == NULL) {
        return coti_poison();
    }
    for (size_t i = 0; i < n; i++) {
        data[i] = (double)((const float *)attr->data.data)[i];
    }
    cot_value value = cot_op_constant_array(to, COT_F64, node->shape, data);
    coti_free(to->context, data);
    return value;
}

bool coti_check_makes_floats(const cot_graph *source, const coti_node *node) {
    for (int32_t i = 0; i < node->n_inputs; i++) {
        uint8_t dtype = coti_node_at(source, node->input[i])->dtype;
        if (dtype == COT_F32 || dtype == COT_F64) {
            return false;
        }
    }
    return node->dtype == COT_F32 || node->dtype == COT_F64;
}

/* A node on the promoted values of its operands; `input` has room for them. */
static cot_value promote_node(cot_graph *to, const coti_body_map *bodies, const cot_graph *body,
                              uint32_t id, const cot_value *map, cot_value *input) {
    const coti_node *node = coti_node_at(body, id);
    cot_dtype dtype = promote(node->dtype);
    const void *attr = NULL;
    if (node->op == COT_OP_INPUT) {
        return cot_op_input(to, dtype, node->shape, node->name);
    }
    if (node->op == COT_OP_CONST) {
        return coti_check_promote_const(to, node);
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = map[node->input[i]];
    }
    cot_graph_set_layer(to, node->layer);
    if (node->layer != NULL && to->layer == NULL) {
        return coti_poison();
    }
    if (coti_body_map_attr(bodies, &to->arena, node, &attr) != COT_OK) {
        return coti_poison();
    }
    bool makes = coti_check_makes_floats(body, node);
    cot_value value = coti_graph_add(to, (cot_op)node->op, input, node->n_inputs, attr,
                                     makes ? (cot_dtype)node->dtype : dtype, &node->shape);
    return makes && (cot_dtype)node->dtype != dtype ? cot_op_cast(value, dtype) : value;
}

static cot_status promote_nodes(const coti_body_map *bodies, const cot_graph *body, cot_graph *to,
                                coti_arena *arena) {
    size_t widest = 1;
    for (uint32_t id = 1; id < body->node.count; id++) {
        size_t n = (size_t)coti_node_at(body, id)->n_inputs;
        widest = n > widest ? n : widest;
    }
    cot_value *map = coti_arena_array(arena, body->node.count, sizeof *map);
    cot_value *input = coti_arena_array(arena, widest, sizeof *input);
    if (map == NULL || input == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t id = 1; id < body->node.count; id++) {
        map[id] = promote_node(to, bodies, body, id, map, input);
        if (map[id].graph == NULL) {
            return cot_error_get(to->context).status;
        }
    }
    for (size_t i = 0; i < body->output.count; i++) {
        COTI_TRY(cot_graph_output(map[body->output.data[i].value], body->output.data[i].name));
    }
    return COT_OK;
}

static cot_status promote_body(const coti_body_map *bodies, const cot_graph *body, void *user,
                               cot_graph **result_out) {
    (void)user;
    cot_graph *to = cot_graph_create(body->context, body->name);
    if (to == NULL) {
        return cot_error_get(body->context).status;
    }
    coti_arena arena;
    coti_arena_init(&arena, body->context);
    cot_status status = promote_nodes(bodies, body, to, &arena);
    coti_arena_clear(&arena);
    if (status == COT_OK) {
        *result_out = to;
    } else {
        cot_graph_destroy(to);
    }
    return status;
}

cot_status coti_check_promote_bodies(const cot_graph *source, coti_body_map *map_out) {
    return coti_body_map_make(map_out, source, promote_body, NULL);
}
