/*
 * The parser of the text form: the grammar of text.h, read once from front to back.
 *
 * No recursion, no limit but memory, and no trust in the text: what it builds goes through
 * coti_graph_add and cot_graph_update like anything else, and their errors get the line and column
 * in front. The one limit is on the memory of states, which a short text could otherwise ask for
 * without bounds.
 */
#include "parse.h"

#include "body.h"

#include <stdio.h>
#include <string.h>

/* Bytes of all states of a text together. */
#define STATES_BYTES ((int64_t)1 << 32)

enum { MOST_REGIONS = 1 << 30 }; /* so that there are numbers left */

/* A value of the text by its name. Names and numbers are two name spaces. */
typedef struct named_value {
    const char *name;
    bool number;
    cot_value value;
} named_value;

typedef struct parser {
    coti_cursor cursor;
    coti_arena arena; /* names, words, attributes; dropped at the end */
    cot_graph *graph;
    size_t graph_at;           /* where it stands */
    coti_parsed_bodies bodies; /* the graphs before it */
    cot_graph *library;        /* holds them */
    COTI_VEC(named_value) named;
    coti_map names; /* to indices in named */
    COTI_VEC(cot_value) operand;
    int64_t state_bytes;
    bool clean; /* the context had no error at the start: its error is ours */
} parser;

/* Put "line, column" before the message of an error that a builder has recorded. */
static cot_status located(const parser *parse, size_t at) {
    coti_error *error = &parse->cursor.context->error;
    if (parse->clean && error->status != COT_E_NOMEM) {
        char place[64];
        coti_position position = coti_cursor_position(&parse->cursor, at);
        int length =
            snprintf(place, sizeof place, "line %zu, column %zu: ", position.line, position.column);
        size_t n = length < 0 ? 0 : (size_t)length;
        /* What no longer fits at the end is cut off. */
        memmove(error->message + n, error->message, sizeof error->message - n);
        memcpy(error->message, place, n);
        error->message[sizeof error->message - 1] = '\0';
    }
    return error->status;
}

/* ---- names ---- */

typedef struct name_key {
    const parser *parse;
    const char *name;
    bool number;
} name_key;

static bool name_equal(const void *user, uint32_t i) {
    const name_key *key = user;
    const named_value *named = &key->parse->named.data[i];
    return named->number == key->number && strcmp(named->name, key->name) == 0;
}

static uint64_t name_hash(const char *name, bool number) {
    return coti_hash(number ? 1 : 0, name, strlen(name));
}

/* "%name" of a new value, not yet defined. */
static cot_status take_new_name(parser *parse, const char **name_out, bool *number_out) {
    size_t start = coti_cursor_skip(&parse->cursor);
    COTI_TRY(coti_cursor_value(&parse->cursor, name_out, number_out));
    name_key key = {parse, *name_out, *number_out};
    uint32_t i = 0;
    if (coti_map_find(&parse->names, name_hash(*name_out, *number_out), name_equal, &key, &i)) {
        return coti_cursor_fail(&parse->cursor, start, "%%%.80s is defined twice", *name_out);
    }
    return COT_OK;
}

static cot_status define(parser *parse, const char *name, bool number, cot_value value) {
    cot_context *context = parse->cursor.context;
    size_t i = parse->named.count;
    COTI_TRY(coti_vec_reserve(context, &parse->named, i + 1));
    COTI_TRY(coti_map_add(&parse->names, name_hash(name, number), (uint32_t)i));
    parse->named.data[i] = (named_value){name, number, value};
    parse->named.count++;
    return COT_OK;
}

/* "%name" of a value that is defined. */
static cot_status take_value(parser *parse, cot_value *value_out) {
    const char *name = NULL;
    bool number = false;
    size_t start = coti_cursor_skip(&parse->cursor);
    COTI_TRY(coti_cursor_value(&parse->cursor, &name, &number));
    name_key key = {parse, name, number};
    uint32_t i = 0;
    if (!coti_map_find(&parse->names, name_hash(name, number), name_equal, &key, &i)) {
        return coti_cursor_fail(&parse->cursor, start, "%%%.80s is not defined", name);
    }
    *value_out = parse->named.data[i].value;
    return COT_OK;
}

/* ---- the head ---- */

/* A new variable and the node that reads it. */
static cot_value make_state(parser *parse, cot_dtype dtype, cot_shape shape, const char *name) {
    cot_context *context = parse->cursor.context;
    int64_t bytes = 0;
    if (shape.batched || !coti_shape_elements(&shape, 1, &bytes) ||
        !coti_size_mul(bytes, (int64_t)cot_dtype_bytes(dtype), &bytes) ||
        !coti_size_add(bytes, parse->state_bytes, &bytes) || bytes > STATES_BYTES) {
        char type[COTI_TYPE_BYTES];
        COTI_OP_FAIL(context, COT_E_SHAPE, "state", NULL,
                     "\"%.80s\" is %s, must be static, and all states of a text together at most "
                     "%lld bytes",
                     name, coti_type_text(type, dtype, &shape), (long long)STATES_BYTES);
        return coti_poison();
    }
    parse->state_bytes = bytes;
    cot_variable *variable = cot_variable_create(context, dtype, shape, name);
    if (variable == NULL) {
        return coti_poison();
    }
    cot_value state = cot_op_state(parse->graph, variable);
    cot_variable_release(variable); /* the graph holds its own reference */
    return state;
}

/* "%x: f32[N,784]" or "state %w: f32[784,10]". */
static cot_status take_leaf(parser *parse) {
    coti_cursor *cursor = &parse->cursor;
    const char *name = NULL;
    bool number = false;
    cot_dtype dtype = COT_F32;
    cot_shape shape = {.rank = 0};
    bool state = coti_cursor_take_word(cursor, "state");
    size_t start = coti_cursor_skip(cursor);
    COTI_TRY(take_new_name(parse, &name, &number));
    if (number) {
        return coti_cursor_fail(cursor, start,
                                "%%%.80s: an input or a state has a name, not a number", name);
    }
    COTI_TRY(coti_cursor_need(cursor, ":"));
    COTI_TRY(coti_cursor_type(cursor, &dtype, &shape));
    cot_value value = state ? make_state(parse, dtype, shape, name)
                            : cot_op_input(parse->graph, dtype, shape, name);
    return value.graph != NULL ? define(parse, name, false, value) : located(parse, start);
}

static cot_status take_leaves(parser *parse) {
    do {
        COTI_TRY(take_leaf(parse));
    } while (coti_cursor_take(&parse->cursor, ","));
    return COT_OK;
}

/* From "graph" to "{": makes the graph. */
static cot_status take_head(parser *parse) {
    coti_cursor *cursor = &parse->cursor;
    const char *name = NULL;
    parse->graph_at = coti_cursor_skip(cursor);
    if (!coti_cursor_take_word(cursor, "graph")) {
        return coti_cursor_expected(cursor, "\"graph\"");
    }
    COTI_TRY(coti_cursor_need(cursor, "@"));
    COTI_TRY(coti_cursor_label(cursor, &name));
    if (coti_parsed_bodies_find(&parse->bodies, name) != NULL) {
        return coti_cursor_fail(cursor, parse->graph_at, "graph @%.80s is defined twice", name);
    }
    parse->graph = cot_graph_create(cursor->context, name);
    if (parse->graph == NULL) {
        return cursor->context->error.status;
    }
    COTI_TRY(coti_cursor_need(cursor, "("));
    COTI_TRY(coti_cursor_peek(cursor, ')') ? COT_OK : take_leaves(parse));
    COTI_TRY(coti_cursor_need(cursor, ")"));
    parse->graph->has_backward = coti_cursor_take_word(cursor, "backward");
    return coti_cursor_need(cursor, "{");
}

/* ---- the body ---- */

static cot_status take_op(coti_cursor *cursor, cot_op *op_out) {
    const char *word = NULL;
    size_t length = 0;
    size_t start = coti_cursor_skip(cursor);
    COTI_TRY(coti_cursor_word(cursor, "an operation", &word, &length));
    if (!coti_op_find(word, length, op_out)) {
        return coti_cursor_fail(cursor, start, "\"%.*s\" is no operation",
                                (int)(length > 40 ? 40 : length), word);
    }
    if (*op_out == COT_OP_INPUT || *op_out == COT_OP_STATE) {
        return coti_cursor_fail(cursor, start, "inputs and states stand in the graph's head");
    }
    return COT_OK;
}

/* The operands, into parse->operand. */
static cot_status take_operands(parser *parse) {
    parse->operand.count = 0;
    if (!coti_cursor_peek(&parse->cursor, '%')) {
        return COT_OK;
    }
    do {
        size_t n = parse->operand.count;
        COTI_TRY(coti_vec_reserve(parse->cursor.context, &parse->operand, n + 1));
        COTI_TRY(take_value(parse, &parse->operand.data[n]));
        parse->operand.count++;
    } while (coti_cursor_take(&parse->cursor, ","));
    return COT_OK;
}

/* The inferred type must be the one that is written. */
static cot_status check_type(const parser *parse, size_t at, cot_value value, cot_dtype dtype,
                             const cot_shape *shape) {
    const coti_node *node = coti_node_of(value);
    if ((cot_dtype)node->dtype == dtype && coti_shape_equal(&node->shape, shape)) {
        return COT_OK;
    }
    char written[COTI_TYPE_BYTES];
    char inferred[COTI_TYPE_BYTES];
    return coti_cursor_fail(&parse->cursor, at, "the type is written %s, but %s gives %s",
                            coti_type_text(written, dtype, shape), cot_op_name((cot_op)node->op),
                            coti_type_text(inferred, (cot_dtype)node->dtype, &node->shape));
}

/* "remat 3" or nothing. */
static cot_status take_region(parser *parse) {
    coti_cursor *cursor = &parse->cursor;
    cot_graph *graph = parse->graph;
    int64_t region = 0;
    size_t start = cursor->at;
    graph->region = 0;
    if (!coti_cursor_take_word(cursor, "remat")) {
        cursor->at = start; /* a comment on this line may name the layer */
        return COT_OK;
    }
    start = coti_cursor_skip(cursor);
    COTI_TRY(coti_cursor_int(cursor, &region));
    if (region < 1 || region > MOST_REGIONS) {
        return coti_cursor_fail(cursor, start, "region %lld is not from 1 to %d", (long long)region,
                                MOST_REGIONS);
    }
    graph->region = (uint32_t)region;
    graph->n_regions = graph->region > graph->n_regions ? graph->region : graph->n_regions;
    return COT_OK;
}

/* "%2 = add %0, %1 : f32[N,10]  # "dense_1"". */
static cot_status take_node(parser *parse) {
    coti_cursor *cursor = &parse->cursor;
    const char *name = NULL;
    const char *layer = NULL;
    bool number = false;
    cot_op op = COT_OP_COUNT;
    coti_parsed_attr attr;
    cot_dtype dtype = COT_F32;
    cot_shape shape = {.rank = 0};
    size_t start = coti_cursor_skip(cursor);
    COTI_TRY(take_new_name(parse, &name, &number));
    COTI_TRY(coti_cursor_need(cursor, "="));
    COTI_TRY(take_op(cursor, &op));
    COTI_TRY(take_operands(parse));
    COTI_TRY(coti_parse_attr(cursor, coti_op_table[op].attr, &parse->bodies, &attr));
    COTI_TRY(coti_cursor_need(cursor, ":"));
    size_t type_at = coti_cursor_skip(cursor);
    COTI_TRY(coti_cursor_type(cursor, &dtype, &shape));
    if (attr.data != NULL) {
        COTI_TRY(coti_parse_data(cursor, &attr, dtype, &shape));
    }
    COTI_TRY(take_region(parse));
    COTI_TRY(coti_cursor_layer(cursor, &layer));
    if (parse->operand.count > INT32_MAX) {
        return coti_cursor_fail(cursor, start, "the node has too many operands");
    }
    cot_graph_set_layer(parse->graph, layer);
    if (layer != NULL && parse->graph->layer == NULL) {
        return COT_E_NOMEM;
    }
    cot_value value = coti_graph_add(parse->graph, op, parse->operand.data,
                                     (int32_t)parse->operand.count, attr.attr, dtype, &shape);
    if (value.graph == NULL) {
        return located(parse, start);
    }
    COTI_TRY(check_type(parse, type_at, value, dtype, &shape));
    return define(parse, name, number, value);
}

/* "update %w <- %17"; the word has been taken. */
static cot_status take_update(parser *parse) {
    cot_value state = coti_poison();
    cot_value value = coti_poison();
    size_t start = coti_cursor_skip(&parse->cursor);
    COTI_TRY(take_value(parse, &state));
    COTI_TRY(coti_cursor_need(&parse->cursor, "<-"));
    COTI_TRY(take_value(parse, &value));
    cot_graph_set_layer(parse->graph, NULL);
    return cot_graph_update(state, value) == COT_OK ? COT_OK : located(parse, start);
}

/* "loss=%9" */
static cot_status take_result(parser *parse) {
    coti_cursor *cursor = &parse->cursor;
    const char *name = NULL;
    cot_value value = coti_poison();
    size_t start = coti_cursor_skip(cursor);
    COTI_TRY(coti_cursor_name(cursor, &name));
    COTI_TRY(coti_cursor_need(cursor, "="));
    COTI_TRY(take_value(parse, &value));
    return cot_graph_output(value, name) == COT_OK ? COT_OK : located(parse, start);
}

/* "loss=%9, y=%4" or nothing, then "}"; "return" has been taken. */
static cot_status take_results(parser *parse) {
    coti_cursor *cursor = &parse->cursor;
    while (!coti_cursor_peek(cursor, '}')) {
        bool first = parse->graph->output.count == 0;
        COTI_TRY(first ? COT_OK : coti_cursor_need(cursor, ","));
        COTI_TRY(take_result(parse));
    }
    return coti_cursor_need(cursor, "}");
}

static cot_status take_statement(parser *parse) {
    if (coti_cursor_peek(&parse->cursor, '%')) {
        return take_node(parse);
    }
    if (coti_cursor_take_word(&parse->cursor, "update")) {
        return take_update(parse);
    }
    return coti_cursor_expected(&parse->cursor, "a node, \"update\" or \"return\"");
}

static cot_status take_graph(parser *parse) {
    COTI_TRY(take_head(parse));
    while (!coti_cursor_take_word(&parse->cursor, "return")) {
        COTI_TRY(take_statement(parse));
    }
    cot_graph_set_layer(parse->graph, NULL);
    parse->graph->region = 0;
    return take_results(parse);
}

/* ---- several graphs ---- */

typedef struct body_key {
    const coti_parsed_bodies *bodies;
    const char *name;
} body_key;

static bool body_named(const void *user, uint32_t i) {
    const body_key *key = user;
    return strcmp(key->bodies->list.data[i].name, key->name) == 0;
}

coti_parsed_body *coti_parsed_bodies_find(const coti_parsed_bodies *bodies, const char *name) {
    body_key key = {bodies, name};
    uint32_t i = 0;
    bool found =
        coti_map_find(&bodies->names, coti_hash(0, name, strlen(name)), body_named, &key, &i);
    return found ? &bodies->list.data[i] : NULL;
}

/* The graph just read is a body: into the library, and the names of its values forgotten. */
static cot_status shelve(parser *parse) {
    cot_context *context = parse->cursor.context;
    coti_parsed_bodies *bodies = &parse->bodies;
    coti_parsed_body body = {.name = coti_arena_strdup(&parse->arena, parse->graph->name),
                             .at = parse->graph_at};
    if (parse->library == NULL) {
        parse->library = cot_graph_create(context, "library");
    }
    if (body.name == NULL || parse->library == NULL) {
        return COT_E_NOMEM;
    }
    if (coti_graph_body(parse->library, parse->graph, &body.body) != COT_OK) {
        return located(parse, parse->graph_at);
    }
    COTI_TRY(coti_vec_reserve(context, &bodies->list, bodies->list.count + 1));
    COTI_TRY(coti_map_add(&bodies->names, coti_hash(0, body.name, strlen(body.name)),
                          (uint32_t)bodies->list.count));
    bodies->list.data[bodies->list.count++] = body;
    cot_graph_destroy(parse->graph);
    parse->graph = NULL;
    parse->named.count = 0;
    coti_map_free(&parse->names);
    coti_map_init(&parse->names, context);
    return COT_OK;
}

/* The whole text: bodies, then the graph that is its result. */
static cot_status take_text(parser *parse) {
    COTI_TRY(take_graph(parse));
    while (coti_cursor_skip(&parse->cursor) != parse->cursor.bytes) {
        if (!coti_cursor_peek(&parse->cursor, 'g')) {
            return coti_cursor_expected(&parse->cursor, "another graph, or the end of the text");
        }
        COTI_TRY(shelve(parse));
        COTI_TRY(take_graph(parse));
    }
    for (size_t i = 0; i < parse->bodies.list.count; i++) {
        const coti_parsed_body *body = &parse->bodies.list.data[i];
        if (!body->used) {
            return coti_cursor_fail(&parse->cursor, body->at,
                                    "no node of a graph that follows runs graph @%.80s",
                                    body->name);
        }
    }
    return COT_OK;
}

cot_graph *cot_graph_parse(cot_context *context, const char *text, size_t bytes) {
    if (context == NULL) {
        return NULL;
    }
    if (text == NULL) {
        COTI_FAIL(context, COT_E_ARG, "parse: the text is NULL");
        return NULL;
    }
    parser parse = {.cursor = {.context = context, .text = text, .bytes = bytes},
                    .clean = context->error.status == COT_OK};
    coti_arena_init(&parse.arena, context);
    coti_map_init(&parse.names, context);
    coti_map_init(&parse.bodies.names, context);
    parse.cursor.arena = &parse.arena;
    if (take_text(&parse) != COT_OK) {
        cot_graph_destroy(parse.graph);
        parse.graph = NULL;
    }
    coti_vec_free(context, &parse.named);
    coti_vec_free(context, &parse.operand);
    coti_vec_free(context, &parse.bodies.list);
    coti_map_free(&parse.names);
    coti_map_free(&parse.bodies.names);
    cot_graph_destroy(parse.library);
    coti_arena_clear(&parse.arena);
    return parse.graph;
}
