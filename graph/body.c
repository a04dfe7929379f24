/*
 * Bodies (body.h): sealing, one of a kind a graph, the list of all, passes over them, inlining.
 */
#include "body.h"

#include "attr.h"
#include "text.h"

#include <string.h>

/* ---- identity ---- */

/* Recursion ends at COTI_MAX_BODY_DEPTH; unequal hashes end it before. */
bool coti_body_equal(const cot_graph *a, const cot_graph *b) {
    if (a == b) {
        return true;
    }
    if (a->seal.hash != b->seal.hash || a->seal.bytes != b->seal.bytes ||
        memcmp(a->seal.text, b->seal.text, a->seal.bytes) != 0 || a->body.count != b->body.count) {
        return false;
    }
    for (size_t i = 0; i < a->body.count; i++) {
        if (!coti_body_equal(a->body.data[i], b->body.data[i])) {
            return false;
        }
    }
    return true;
}

/* A graph on the way, and the field of a node to look at next. */
typedef struct visit {
    const cot_graph *graph;
    uint32_t id;
    size_t i_field;
} visit;

/* The next body of a node of the graph; NULL: no more. */
static const cot_graph *next_body(visit *at) {
    for (; at->id < at->graph->node.count; at->id++, at->i_field = 0) {
        const coti_node *node = coti_node_at(at->graph, at->id);
        const coti_field *fields = coti_attr_fields(coti_op_table[node->op].attr);
        while (fields[at->i_field].name != NULL) {
            const coti_field *field = &fields[at->i_field++];
            if (field->type == COTI_FIELD_BODY) {
                return *(const coti_attr_BODY_type *)coti_field_at(node->attr, field);
            }
        }
    }
    return NULL;
}

/* The text says where in graph->body a node's body stands; the hash adds what stands there. */
static cot_status set_identity(cot_graph *graph, coti_seal seal) {
    coti_str text;
    coti_str_init(&text, graph->context);
    cot_status status = coti_text_identity(&text, graph);
    if (status == COT_OK) {
        seal.text = coti_arena_copy(&graph->arena, text.data, text.count);
        seal.bytes = text.count;
        seal.hash = coti_hash(0, text.data, text.count);
        for (size_t i = 0; i < graph->body.count; i++) {
            uint64_t inner = graph->body.data[i]->seal.hash;
            seal.hash = coti_hash(seal.hash, &inner, sizeof inner);
        }
        graph->seal = seal;
        status = seal.text != NULL ? COT_OK : COT_E_NOMEM;
    }
    coti_str_free(&text);
    return status;
}

/* Depth and number of nodes, within their limits. */
static cot_status measure(const cot_graph *graph, coti_seal *seal) {
    visit at = {graph, 1, 0};
    *seal = (coti_seal){.depth = 1, .nodes = (int64_t)graph->node.count - 1};
    for (const cot_graph *inner = next_body(&at); inner != NULL; inner = next_body(&at)) {
        int32_t depth = inner->seal.depth + 1;
        seal->depth = depth > seal->depth ? depth : seal->depth;
        if (!coti_size_add(seal->nodes, inner->seal.nodes, &seal->nodes)) {
            seal->nodes = COTI_SIZE_MAX;
        }
    }
    if (seal->depth > COTI_MAX_BODY_DEPTH) {
        return COTI_FAIL(graph->context, COT_E_UNSUPPORTED,
                         "graph \"%s\" cannot be a body: it holds bodies to a depth of %d, at most "
                         "%d is supported",
                         graph->name, seal->depth - 1, COTI_MAX_BODY_DEPTH - 1);
    }
    if (seal->nodes > COTI_MAX_BODY_NODES) {
        return COTI_FAIL(graph->context, COT_E_UNSUPPORTED,
                         "graph \"%s\" cannot be a body: with the bodies inside it has %lld nodes, "
                         "at most %d are supported",
                         graph->name, (long long)seal->nodes, COTI_MAX_BODY_NODES);
    }
    return COT_OK;
}

/* A sealed clone of a graph; one reference is the caller's. */
static cot_status seal_clone(const cot_graph *graph, cot_graph **sealed_out) {
    cot_graph *clone = NULL;
    bool changed = false;
    coti_seal seal = {.text = NULL};
    if (graph->state.count > 0) {
        return COTI_FAIL(graph->context, COT_E_ARG,
                         "graph \"%s\" cannot be a body: it has a state \"%s\", a body has inputs "
                         "and outputs alone",
                         graph->name, coti_node_at(graph, graph->state.data[0])->name);
    }
    COTI_TRY(coti_pass_dce(graph, &clone, &changed));
    cot_status status = measure(clone, &seal);
    status = status == COT_OK ? set_identity(clone, seal) : status;
    if (status == COT_OK) {
        *sealed_out = clone;
    } else {
        cot_graph_destroy(clone);
    }
    return status;
}

/* ---- the bodies that a graph holds ---- */

typedef struct held_key {
    const cot_graph *graph, *body;
} held_key;

static bool held_equal(const void *user, uint32_t i) {
    const held_key *key = user;
    return coti_body_equal(key->graph->body.data[i], key->body);
}

const cot_graph *coti_graph_find_body(const cot_graph *graph, const cot_graph *body) {
    held_key key = {graph, body};
    uint32_t i = 0;
    bool found = coti_map_find(&graph->bodies, body->seal.hash, held_equal, &key, &i);
    return found ? graph->body.data[i] : NULL;
}

/* Hold a sealed body, whose reference is taken, unless an equal one is held. */
static cot_status hold(cot_graph *graph, cot_graph *body, const cot_graph **own_out) {
    const cot_graph *held = coti_graph_find_body(graph, body);
    size_t i = graph->body.count;
    cot_status status = COT_OK;
    if (held != NULL) {
        cot_graph_destroy(body);
        *own_out = held;
        return COT_OK;
    }
    if (coti_vec_reserve(graph->context, &graph->body, i + 1) != COT_OK ||
        coti_map_add(&graph->bodies, body->seal.hash, (uint32_t)i) != COT_OK) {
        status = COT_E_NOMEM;
    }
    if (status != COT_OK) {
        cot_graph_destroy(body);
        return status;
    }
    graph->body.data[graph->body.count++] = body;
    *own_out = body;
    return COT_OK;
}

cot_status coti_graph_body(cot_graph *graph, const cot_graph *body, const cot_graph **own_out) {
    cot_graph *sealed = NULL;
    if (body == NULL || body->context != graph->context) {
        return COTI_FAIL(graph->context, COT_E_ARG, "a body is %s",
                         body == NULL ? "NULL" : "a graph of another context");
    }
    if (body->seal.text == NULL) {
        COTI_TRY(seal_clone(body, &sealed));
    } else {
        sealed = (cot_graph *)(uintptr_t)body; /* shared: only its count of references changes */
        sealed->references++;
    }
    return hold(graph, sealed, own_out);
}

/* ---- the list of all ---- */

typedef struct listed_key {
    const coti_bodies *bodies;
    const cot_graph *body;
} listed_key;

static bool listed_equal(const void *user, uint32_t i) {
    const listed_key *key = user;
    return coti_body_equal(key->bodies->body.data[i], key->body);
}

size_t coti_bodies_at(const coti_bodies *bodies, const cot_graph *body) {
    listed_key key = {bodies, body};
    uint32_t i = 0;
    return coti_map_find(&bodies->index, body->seal.hash, listed_equal, &key, &i) ? i : SIZE_MAX;
}

static cot_status list_body(coti_bodies *bodies, const cot_graph *body) {
    cot_context *context = bodies->arena.context;
    size_t i = bodies->body.count;
    COTI_TRY(coti_vec_reserve(context, &bodies->body, i + 1));
    COTI_TRY(coti_map_add(&bodies->index, body->seal.hash, (uint32_t)i));
    bodies->body.data[bodies->body.count++] = body;
    return COT_OK;
}

cot_status coti_bodies_find(coti_bodies *bodies, const cot_graph *graph) {
    visit stack[COTI_MAX_BODY_DEPTH + 1] = {{graph, 1, 0}};
    size_t depth = graph->body.count > 0 ? 1 : 0;
    *bodies = (coti_bodies){.body = {NULL, 0, 0}};
    coti_arena_init(&bodies->arena, graph->context);
    coti_map_init(&bodies->index, graph->context);
    while (depth > 0) {
        visit *top = &stack[depth - 1];
        const cot_graph *next = next_body(top);
        if (next != NULL) {
            if (coti_bodies_at(bodies, next) == SIZE_MAX) {
                COTI_ASSERT(graph->context, depth <= COTI_MAX_BODY_DEPTH);
                stack[depth++] = (visit){next, 1, 0};
            }
        } else if (--depth > 0) {
            COTI_TRY(list_body(bodies, top->graph));
        }
    }
    return COT_OK;
}

void coti_bodies_free(coti_bodies *bodies) {
    cot_context *context = bodies->arena.context;
    coti_vec_free(context, &bodies->body);
    coti_vec_free(context, &bodies->name);
    coti_map_free(&bodies->index);
    coti_arena_clear(&bodies->arena);
}

/* ---- names ---- */

typedef struct taken_key {
    const coti_bodies *bodies;
    const char *graph, *name;
} taken_key;

/* Index 0 is the graph's name, i the (i-1)-th body's. */
static bool taken_equal(const void *user, uint32_t i) {
    const taken_key *key = user;
    return strcmp(i == 0 ? key->graph : key->bodies->name.data[i - 1], key->name) == 0;
}

/* `name`, or `name_i` for the first i from its place on that is new. */
static const char *new_name(coti_bodies *bodies, const coti_map *map, const char *graph,
                            const char *name) {
    taken_key key = {bodies, graph, name};
    uint32_t found = 0;
    for (size_t i = bodies->name.count; key.name != NULL; i++) {
        if (!coti_map_find(map, coti_hash(0, key.name, strlen(key.name)), taken_equal, &key,
                           &found)) {
            break;
        }
        key.name = coti_arena_printf(&bodies->arena, "%s_%zu", name, i);
    }
    return key.name;
}

static cot_status name_all(coti_bodies *bodies, coti_map *map, const char *graph) {
    COTI_TRY(coti_map_add(map, coti_hash(0, graph, strlen(graph)), 0));
    COTI_TRY(coti_vec_reserve(bodies->arena.context, &bodies->name, bodies->body.count));
    while (bodies->name.count < bodies->body.count) {
        size_t i = bodies->name.count;
        const char *name = new_name(bodies, map, graph, bodies->body.data[i]->name);
        if (name == NULL) {
            return COT_E_NOMEM;
        }
        COTI_TRY(coti_map_add(map, coti_hash(0, name, strlen(name)), (uint32_t)i + 1));
        bodies->name.data[bodies->name.count++] = name;
    }
    return COT_OK;
}

cot_status coti_bodies_name(coti_bodies *bodies, const char *taken) {
    coti_map map;
    coti_map_init(&map, bodies->arena.context);
    cot_status status = name_all(bodies, &map, taken);
    coti_map_free(&map);
    return status;
}

/* ---- passes ---- */

/* Bodies on their way through a pass: mapped[i] is what bodies->body.data[i] has become. */
typedef struct body_map {
    coti_bodies bodies;
    const cot_graph **mapped;
    cot_graph *library; /* holds the new bodies until the new graph does */
    coti_pass_fn pass;
    bool changed;
} body_map;

static const cot_graph *mapped_body(const body_map *map, const cot_graph *body) {
    return map->mapped[coti_bodies_at(&map->bodies, body)];
}

static bool runs_bodies(const coti_node *node) {
    const coti_field *f = coti_attr_fields(coti_op_table[node->op].attr);
    while (f->name != NULL && f->type != COTI_FIELD_BODY) {
        f++;
    }
    return f->name != NULL;
}

/* user: the body_map. A node as it was, but for its bodies. */
static cot_value substitute(coti_rewrite *rewrite, uint32_t id, void *user) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    coti_attr_id attr = coti_op_table[node->op].attr;
    if (!runs_bodies(node)) {
        return coti_rewrite_keep(rewrite, id);
    }
    /* Bit by bit: what coti_graph_add keeps it copies itself. */
    char *replaced = coti_arena_copy(&rewrite->to->arena, node->attr, coti_attr_bytes(attr));
    if (replaced == NULL) {
        return coti_poison();
    }
    for (const coti_field *f = coti_attr_fields(attr); f->name != NULL; f++) {
        if (f->type == COTI_FIELD_BODY) {
            coti_attr_BODY_type *body = (coti_attr_BODY_type *)(void *)(replaced + f->offset);
            *body = mapped_body(user, *body);
        }
    }
    return coti_rewrite_keep_with(rewrite, id, replaced);
}

/* Has a body that a node of the graph runs become another? */
static bool is_stale(const body_map *map, const cot_graph *graph) {
    for (size_t i = 0; i < graph->body.count; i++) {
        size_t at = coti_bodies_at(&map->bodies, graph->body.data[i]);
        if (at != SIZE_MAX && map->mapped[at] != map->bodies.body.data[at]) {
            return true;
        }
    }
    return false;
}

/* One graph, whose bodies have been through the pass, through the pass. */
static cot_status map_one(body_map *map, const cot_graph *graph, cot_graph **result_out) {
    cot_graph *fresh = NULL;
    cot_status status = COT_OK;
    bool changed = false;
    if (is_stale(map, graph)) {
        status = coti_graph_rewrite(graph, substitute, map, &fresh);
    }
    if (status == COT_OK) {
        status = map->pass(fresh != NULL ? fresh : graph, result_out, &changed);
    }
    cot_graph_destroy(fresh);
    map->changed = map->changed || changed;
    return status;
}

static cot_status map_all(body_map *map, const cot_graph *graph, cot_graph **result_out) {
    cot_context *context = graph->context;
    size_t n = map->bodies.body.count;
    map->library = cot_graph_create(context, "library");
    map->mapped = coti_calloc(context, n, sizeof(*map->mapped));
    if (map->library == NULL || map->mapped == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        cot_graph *result = NULL;
        COTI_TRY(map_one(map, map->bodies.body.data[i], &result));
        cot_status status = coti_graph_body(map->library, result, &map->mapped[i]);
        cot_graph_destroy(result);
        COTI_TRY(status);
        if (coti_body_equal(map->mapped[i], map->bodies.body.data[i])) {
            map->mapped[i] = map->bodies.body.data[i];
        }
    }
    return map_one(map, graph, result_out);
}

cot_status coti_graph_map_bodies(const cot_graph *graph, coti_pass_fn pass, cot_graph **result_out,
                                 bool *changed_out) {
    cot_graph *result = NULL;
    body_map map = {.pass = pass};
    if (graph->body.count == 0) {
        return pass(graph, result_out, changed_out);
    }
    cot_status status = coti_bodies_find(&map.bodies, graph);
    status = status == COT_OK ? map_all(&map, graph, &result) : status;
    coti_bodies_free(&map.bodies);
    coti_free(graph->context, (void *)map.mapped);
    cot_graph_destroy(map.library);
    if (status == COT_OK) {
        *result_out = result;
        *changed_out = map.changed;
    }
    return status;
}

/* ---- inlining ---- */

/* input[i] stands for the body's i-th input. */
static cot_status map_inputs(cot_graph *to, const cot_graph *body, const cot_value *input,
                             cot_value *map) {
    for (size_t i = 0; i < body->input.count; i++) {
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

/* Nodes in order, through a frame of passes that starts from what `to` has already. */
static cot_status copy_nodes(cot_graph *to, const cot_graph *body, cot_value *map) {
    const char *layer = to->layer;
    coti_rewrite frame = {.from = body, .to = to, .map = map};
    for (uint32_t id = 1; id < body->node.count; id++) {
        const coti_node *node = coti_node_at(body, id);
        if (node->op == COT_OP_INPUT) {
            continue;
        }
        if (layer == NULL) {
            cot_graph_set_layer(to, node->layer);
        }
        map[id] = coti_rewrite_keep(&frame, id);
        if (map[id].graph == NULL) {
            return to->context->error.status;
        }
    }
    return COT_OK;
}

cot_status coti_graph_inline(cot_graph *to, const cot_graph *body, const cot_value *input,
                             cot_value *output_out) {
    const char *layer = to->layer;
    cot_value *map = coti_calloc(to->context, body->node.count, sizeof *map);
    cot_status status = map != NULL ? map_inputs(to, body, input, map) : COT_E_NOMEM;
    status = status == COT_OK ? copy_nodes(to, body, map) : status;
    to->layer = layer;
    for (size_t i = 0; i < body->output.count; i++) {
        output_out[i] = status == COT_OK ? map[body->output.data[i].value] : coti_poison();
    }
    coti_free(to->context, map);
    return status;
}
