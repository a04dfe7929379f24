/*
 * Bodies (body.h): sealing, one of a kind a graph, the list of all and their names.
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
    COTI_ASSERT(graph->context, sealed != NULL);
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
        if (next != NULL && coti_bodies_at(bodies, next) != SIZE_MAX) {
            continue; /* listed already */
        }
        COTI_ASSERT(graph->context, next == NULL || depth <= COTI_MAX_BODY_DEPTH);
        if (next != NULL) {
            stack[depth++] = (visit){next, 1, 0};
            continue;
        }
        depth--;
        COTI_TRY(depth > 0 ? list_body(bodies, top->graph) : COT_OK);
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
