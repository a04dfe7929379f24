/*
 * Bodies on their way into another graph (body.h): each replaced by what a function makes of it,
 * passes among them, and inlined.
 */
#include "body.h"

#include "attr.h"

/* ---- replacing bodies ---- */

/* What the i-th body becomes, itself where that is equal to it. */
static cot_status map_body(coti_body_map *map, size_t i, coti_body_fn make, void *user) {
    const cot_graph *body = map->bodies.body.data[i];
    cot_graph *result = NULL;
    COTI_TRY(make(map, body, user, &result));
    cot_status status = coti_graph_body(map->library, result, &map->mapped[i]);
    cot_graph_destroy(result);
    if (status == COT_OK && coti_body_equal(map->mapped[i], body)) {
        map->mapped[i] = body;
    }
    return status;
}

void coti_body_map_init(coti_body_map *map, cot_context *context) {
    *map = (coti_body_map){.library = NULL};
    coti_arena_init(&map->bodies.arena, context);
    coti_map_init(&map->bodies.index, context);
}

cot_status coti_body_map_make(coti_body_map *map, const cot_graph *graph, coti_body_fn make,
                              void *user) {
    cot_context *context = graph->context;
    *map = (coti_body_map){.library = NULL};
    COTI_TRY(coti_bodies_find(&map->bodies, graph));
    if (map->bodies.body.count == 0) {
        return COT_OK;
    }
    map->library = cot_graph_create(context, "library");
    map->mapped = coti_calloc(context, map->bodies.body.count, sizeof(*map->mapped));
    if (map->library == NULL || map->mapped == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < map->bodies.body.count; i++) {
        COTI_TRY(map_body(map, i, make, user));
    }
    return COT_OK;
}

void coti_body_map_free(coti_body_map *map) {
    cot_context *context = map->bodies.arena.context;
    coti_bodies_free(&map->bodies);
    coti_free(context, (void *)map->mapped);
    cot_graph_destroy(map->library);
}

bool coti_runs_bodies(const coti_node *node) {
    const coti_field *f = coti_attr_fields(coti_op_table[node->op].attr);
    while (f->name != NULL && f->type != COTI_FIELD_BODY) {
        f++;
    }
    return f->name != NULL;
}

cot_status coti_body_map_attr(const coti_body_map *map, coti_arena *arena, const coti_node *node,
                              const void **attr_out) {
    coti_attr_id attr = coti_op_table[node->op].attr;
    *attr_out = node->attr;
    if (!coti_runs_bodies(node)) {
        return COT_OK;
    }
    char *replaced = coti_arena_copy(arena, node->attr, coti_attr_bytes(attr));
    if (replaced == NULL) {
        return COT_E_NOMEM;
    }
    for (const coti_field *f = coti_attr_fields(attr); f->name != NULL; f++) {
        if (f->type == COTI_FIELD_BODY) {
            void *field = replaced + f->offset;
            coti_attr_BODY_type *body = field;
            *body = map->mapped[coti_bodies_at(&map->bodies, *body)];
        }
    }
    *attr_out = replaced;
    return COT_OK;
}

/* ---- passes ---- */

/* Has a body that a node of the graph runs become another? */
static bool is_stale(const coti_body_map *map, const cot_graph *graph) {
    for (size_t i = 0; i < graph->body.count; i++) {
        size_t at = coti_bodies_at(&map->bodies, graph->body.data[i]);
        if (at != SIZE_MAX && map->mapped[at] != map->bodies.body.data[at]) {
            return true;
        }
    }
    return false;
}

/* user: the coti_body_map. A node as it was, but for its bodies. */
static cot_value substitute(coti_rewrite *rewrite, uint32_t id, void *user) {
    const void *attr = NULL;
    if (coti_body_map_attr(user, &rewrite->to->arena, coti_node_at(rewrite->from, id), &attr) !=
        COT_OK) {
        return coti_poison();
    }
    return coti_rewrite_keep_with(rewrite, id, attr);
}

/* A pass at work over all bodies. */
typedef struct body_pass {
    coti_pass_fn pass;
    bool changed;
} body_pass;

/* One graph, whose bodies have been through the pass, through the pass. user: the body_pass. */
static cot_status pass_one(const coti_body_map *map, const cot_graph *graph, void *user,
                           cot_graph **result_out) {
    body_pass *work = user;
    cot_graph *fresh = NULL;
    cot_status status = COT_OK;
    bool changed = false;
    if (is_stale(map, graph)) {
        status = coti_graph_rewrite(graph, substitute, (void *)(uintptr_t)map, &fresh);
    }
    if (status == COT_OK) {
        status = work->pass(fresh != NULL ? fresh : graph, result_out, &changed);
    }
    cot_graph_destroy(fresh);
    work->changed = work->changed || changed;
    return status;
}

cot_status coti_graph_map_bodies(const cot_graph *graph, coti_pass_fn pass, cot_graph **result_out,
                                 bool *changed_out) {
    cot_graph *result = NULL;
    body_pass work = {pass, false};
    coti_body_map map;
    if (graph->body.count == 0) {
        return pass(graph, result_out, changed_out);
    }
    cot_status status = coti_body_map_make(&map, graph, pass_one, &work);
    status = status == COT_OK ? pass_one(&map, graph, &work, &result) : status;
    coti_body_map_free(&map);
    if (status == COT_OK) {
        *result_out = result;
        *changed_out = work.changed;
    }
    return status;
}

/* ---- inlining ---- */

/* input[i] stands for the body's i-th input, if that is needed. */
static cot_status map_inputs(cot_graph *to, const cot_graph *body, const cot_value *input,
                             const bool *reached, cot_value *map) {
    for (size_t i = 0; i < body->input.count; i++) {
        if (!reached[body->input.data[i]]) {
            continue;
        }
        const coti_node *node = coti_node_at(body, body->input.data[i]);
        cot_shape shape = cot_value_shape(input[i]);
        if (input[i].graph == NULL) {
            cot_status status = to->context->error.status;
            return status != COT_OK ? status : COT_E_ARG;
        }
        if (input[i].graph != to || cot_value_dtype(input[i]) != (cot_dtype)node->dtype ||
            !coti_shape_equal(&shape, &node->shape)) {
            return COTI_FAIL(to->context, COT_E_INTERNAL,
                             "input \"%s\" of body \"%s\" is given a value of another type or "
                             "graph",
                             node->name, body->name);
        }
        map[body->input.data[i]] = input[i];
    }
    return COT_OK;
}

/* reached[id]: an output that is wanted depends on it. */
static void mark_wanted(const cot_graph *body, const bool *wanted, bool *reached) {
    for (size_t i = 0; i < body->output.count; i++) {
        reached[body->output.data[i].value] |= wanted == NULL || wanted[i];
    }
    for (uint32_t id = (uint32_t)body->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(body, id);
        for (int32_t i = 0; reached[id] && i < node->n_inputs; i++) {
            reached[node->input[i]] = true;
        }
    }
}

/* Which layer and region a copied node belongs to: those that `to` is set to, else its own; regions
 * get new numbers. */
static cot_status follow(cot_graph *to, const coti_node *node, const coti_placement *set,
                         uint32_t n_regions) {
    if (set->layer == NULL) {
        cot_graph_set_layer(to, node->layer);
    }
    to->region = set->region;
    if (set->region == 0 && node->region != 0) {
        to->region = n_regions + node->region;
        to->n_regions = to->region > to->n_regions ? to->region : to->n_regions;
    }
    return to->layer != NULL || set->layer != NULL || node->layer == NULL ? COT_OK : COT_E_NOMEM;
}

/* Nodes in order, through a frame of passes that starts from what `to` has already. */
static cot_status copy_nodes(cot_graph *to, const cot_graph *body, const bool *reached,
                             cot_value *map) {
    const coti_placement set = coti_graph_placement(to);
    const uint32_t n_regions = to->n_regions;
    coti_rewrite frame = {.from = body, .to = to, .map = map};
    for (uint32_t id = 1; id < body->node.count; id++) {
        const coti_node *node = coti_node_at(body, id);
        if (node->op == COT_OP_INPUT || !reached[id]) {
            continue;
        }
        COTI_TRY(follow(to, node, &set, n_regions));
        map[id] = coti_rewrite_keep(&frame, id);
        if (map[id].graph == NULL) {
            return to->context->error.status;
        }
    }
    return COT_OK;
}

cot_status coti_graph_inline_some(cot_graph *to, const cot_graph *body, const cot_value *input,
                                  const bool *wanted, cot_value *output_out) {
    const coti_placement set = coti_graph_placement(to);
    cot_value *map = coti_calloc(to->context, body->node.count, sizeof *map);
    bool *reached = coti_calloc(to->context, body->node.count, sizeof *reached);
    cot_status status = map != NULL && reached != NULL ? COT_OK : COT_E_NOMEM;
    if (status == COT_OK) {
        mark_wanted(body, wanted, reached);
        status = map_inputs(to, body, input, reached, map);
    }
    status = status == COT_OK ? copy_nodes(to, body, reached, map) : status;
    coti_graph_place(to, set);
    for (size_t i = 0; i < body->output.count; i++) {
        bool made = status == COT_OK && (wanted == NULL || wanted[i]);
        output_out[i] = made ? map[body->output.data[i].value] : coti_poison();
    }
    coti_free(to->context, map);
    coti_free(to->context, reached);
    return status;
}

cot_status coti_graph_inline(cot_graph *to, const cot_graph *body, const cot_value *input,
                             cot_value *output_out) {
    return coti_graph_inline_some(to, body, input, NULL, output_out);
}
