/*
 * Graphs: making them, their strings, and coti_graph_add, through which every node comes.
 *
 * Equal nodes are one node (cons.h). An INPUT is unique by its name, so a second one of a name is
 * an error; a STATE is unique by its variable.
 *
 * Failure. coti_graph_add reserves all that it needs before it changes anything that can be seen,
 * so a graph whose last add failed is as it was before, but for some bytes in its arena.
 */
#include "attr.h"
#include "cons.h"
#include "simplify.h"
#include "symbol.h"

#include <stdio.h>
#include <string.h>

enum { FEW_INPUTS = 8 };

/* ---- life ---- */

/* Letters, digits, '_'; not empty. */
static bool valid_graph_name(const char *name) {
    for (const char *c = name; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';
        if (!letter && (*c < '0' || *c > '9')) {
            return false;
        }
    }
    return name[0] != '\0';
}

cot_graph *cot_graph_create(cot_context *context, const char *name) {
    if (context == NULL) {
        return NULL;
    }
    if (name == NULL || !valid_graph_name(name)) {
        COTI_FAIL(context, COT_E_ARG, "graph name \"%s\" must be letters, digits and '_'",
                  name != NULL ? name : "NULL");
        return NULL;
    }
    cot_graph *graph = coti_calloc(context, 1, sizeof *graph);
    if (graph == NULL) {
        return NULL;
    }
    graph->context = context;
    graph->references = 1;
    coti_map_init(&graph->bodies, context);
    coti_arena_init(&graph->arena, context);
    coti_map_init(&graph->consed, context);
    coti_map_init(&graph->symbols, context);
    graph->name = coti_arena_strdup(&graph->arena, name);
    if (graph->name == NULL || coti_vec_reserve(context, &graph->node, 1) != COT_OK) {
        cot_graph_destroy(graph);
        return NULL;
    }
    graph->node.data[0] = (coti_node){0};
    graph->node.count = 1;
    graph->n_consed = 1;
    return graph;
}

/* Recursion ends at COTI_MAX_BODY_DEPTH: a body holds none but shallower ones. */
void cot_graph_destroy(cot_graph *graph) {
    if (graph == NULL || --graph->references > 0) {
        return;
    }
    cot_context *context = graph->context;
    for (size_t i = 0; i < graph->state.count; i++) {
        const coti_attr_VARIABLE *attr = coti_node_at(graph, graph->state.data[i])->attr;
        cot_variable_release(attr->variable);
    }
    for (size_t i = 0; i < graph->body.count; i++) {
        cot_graph_destroy(graph->body.data[i]);
    }
    coti_vec_free(context, &graph->body);
    coti_map_free(&graph->bodies);
    coti_vec_free(context, &graph->node);
    coti_vec_free(context, &graph->input);
    coti_vec_free(context, &graph->state);
    coti_vec_free(context, &graph->update);
    coti_vec_free(context, &graph->output);
    coti_vec_free(context, &graph->symbol);
    coti_map_free(&graph->consed);
    coti_map_free(&graph->symbols);
    coti_arena_clear(&graph->arena);
    coti_free(context, graph);
}

cot_context *cot_graph_context(const cot_graph *graph) {
    return graph != NULL ? graph->context : NULL;
}

/* ---- strings ---- */

typedef struct symbol_key {
    const cot_graph *graph;
    const char *text;
} symbol_key;

static bool symbol_equal(const void *user, uint32_t i) {
    const symbol_key *key = user;
    return strcmp(key->graph->symbol.data[i].text, key->text) == 0;
}

coti_symbol *coti_graph_find_symbol(const cot_graph *graph, const char *text) {
    symbol_key key = {graph, text};
    uint32_t i = 0;
    bool found =
        coti_map_find(&graph->symbols, coti_hash(0, text, strlen(text)), symbol_equal, &key, &i);
    return found ? &graph->symbol.data[i] : NULL;
}

coti_symbol *coti_graph_symbol(cot_graph *graph, const char *text) {
    coti_symbol *found = coti_graph_find_symbol(graph, text);
    if (found != NULL) {
        return found;
    }
    const char *copy = coti_arena_strdup(&graph->arena, text);
    size_t i = graph->symbol.count;
    if (copy == NULL || coti_vec_reserve(graph->context, &graph->symbol, i + 1) != COT_OK ||
        coti_map_add(&graph->symbols, coti_hash(0, text, strlen(text)), (uint32_t)i) != COT_OK) {
        return NULL;
    }
    graph->symbol.data[i] = (coti_symbol){.text = copy};
    graph->symbol.count++;
    return &graph->symbol.data[i];
}

const char *coti_graph_intern(cot_graph *graph, const char *text) {
    coti_symbol *symbol = text != NULL ? coti_graph_symbol(graph, text) : NULL;
    return symbol != NULL ? symbol->text : NULL;
}

void cot_graph_set_layer(cot_graph *graph, const char *layer) {
    if (graph != NULL) {
        bool named = layer != NULL && layer[0] != '\0';
        graph->layer = named ? coti_graph_intern(graph, layer) : NULL;
    }
}

void cot_graph_set_remat(cot_graph *graph, bool on) {
    if (graph != NULL) {
        graph->region = on ? ++graph->n_regions : 0;
    }
}

/* ---- values ---- */

static bool value_exists(cot_value value) {
    return value.id > 0 && value.id < value.graph->node.count;
}

cot_graph *coti_graph_of(const char *op, const cot_value *value, int32_t n) {
    cot_graph *graph = NULL;
    for (int32_t i = 0; i < n && graph == NULL; i++) {
        graph = value[i].graph;
    }
    if (graph == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        const char *problem = NULL;
        if (value[i].graph == NULL) {
            problem = "is poisoned: the call that should have made it failed";
        } else if (value[i].graph->context != graph->context) {
            problem = "belongs to a graph of another context";
        } else if (value[i].graph != graph) {
            problem = "belongs to another graph";
        } else if (!value_exists(value[i])) {
            problem = "is no value of its graph";
        }
        if (problem != NULL) {
            COTI_OP_FAIL(graph->context, COT_E_ARG, op, graph->layer, "operand %d of %d %s", i + 1,
                         n, problem);
            return NULL;
        }
    }
    return graph;
}

cot_dtype cot_value_dtype(cot_value value) {
    return value.graph != NULL && value_exists(value) ? (cot_dtype)coti_node_of(value)->dtype
                                                      : COT_F32;
}

cot_shape cot_value_shape(cot_value value) {
    return value.graph != NULL && value_exists(value) ? coti_node_of(value)->shape
                                                      : (cot_shape){.rank = 0};
}

/* ---- names of inputs and states ---- */

/* The input's own name, which nothing else in the graph may have. */
static coti_symbol *input_symbol(cot_graph *graph, const coti_infer *key) {
    const coti_attr_NAME *attr = key->attr;
    coti_symbol *symbol = coti_graph_symbol(graph, attr->name);
    if (symbol != NULL && symbol->value != 0) {
        bool state = coti_node_at(graph, symbol->value)->op == COT_OP_STATE;
        COTI_OP_FAIL(graph->context, COT_E_ARG, "input", key->layer,
                     "name \"%s\" is already taken by %s of the graph", attr->name,
                     state ? "a state" : "an input");
        return NULL;
    }
    return symbol;
}

/* The variable's name, or that with a number if an input or another variable has it. */
static coti_symbol *state_symbol(cot_graph *graph, const coti_infer *key) {
    const coti_attr_VARIABLE *attr = key->attr;
    coti_symbol *symbol = coti_graph_symbol(graph, attr->variable->name);
    for (size_t i = graph->state.count; symbol != NULL && symbol->value != 0; i++) {
        const char *name = coti_arena_printf(&graph->arena, "%s.%zu", attr->variable->name, i);
        symbol = name != NULL ? coti_graph_symbol(graph, name) : NULL;
    }
    return symbol;
}

/* ---- adding ---- */

static bool is_named(cot_op op) {
    return op == COT_OP_INPUT || op == COT_OP_STATE;
}

/* Make the node, with copies of the key's lists and attributes in the arena, behind the last one.
 */
static cot_status fill_node(cot_graph *graph, const coti_infer *key, uint64_t hash,
                            coti_node *node) {
    const uint32_t *input =
        coti_arena_copy(&graph->arena, key->input, (size_t)key->n_inputs * sizeof key->input[0]);
    const void *attr = NULL;
    if (input == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_attr_copy(graph, coti_op_table[key->op].attr, key->attr, &attr));
    *node = (coti_node){.op = (uint16_t)key->op,
                        .dtype = (uint8_t)key->dtype,
                        .n_inputs = key->n_inputs,
                        .input = input,
                        .shape = key->shape,
                        .attr = attr,
                        .layer = key->layer,
                        .region = is_named(key->op) ? 0 : graph->region,
                        .hash = hash};
    return COT_OK;
}

/* What an INPUT or a STATE has that others have not: a name, and a place in its list. Fails before
 * anything is changed that can be seen. */
static cot_status name_node(cot_graph *graph, const coti_infer *key, coti_node *node) {
    const bool is_input = key->op == COT_OP_INPUT;
    COTI_TRY(coti_vec_reserve(graph->context, &graph->input, graph->input.count + 1));
    COTI_TRY(coti_vec_reserve(graph->context, &graph->state, graph->state.count + 1));
    const coti_symbol *symbol = is_input ? input_symbol(graph, key) : state_symbol(graph, key);
    if (symbol == NULL) {
        return graph->context->error.status;
    }
    node->name = symbol->text;
    node->number = (uint32_t)(symbol - graph->symbol.data);
    return COT_OK;
}

/* Enter a named node's name and list. */
static void list_node(cot_graph *graph, const coti_node *node, uint32_t id) {
    graph->symbol.data[node->number].value = id;
    if (node->op == COT_OP_INPUT) {
        graph->input.data[graph->input.count++] = id;
    } else {
        cot_variable_retain(((const coti_attr_VARIABLE *)node->attr)->variable);
        graph->state.data[graph->state.count++] = id;
    }
}

/* Enter a node that has no equal. On failure the graph is as before. */
static cot_status enter_node(cot_graph *graph, const coti_infer *key, uint64_t hash,
                             uint32_t *id_out) {
    const uint32_t id = (uint32_t)graph->node.count;
    const bool named = is_named(key->op);
    if (graph->node.count >= UINT32_MAX - 1) {
        return COTI_FAIL(graph->context, COT_E_UNSUPPORTED, "a graph holds at most %u nodes",
                         UINT32_MAX - 2);
    }
    COTI_TRY(coti_vec_reserve(graph->context, &graph->node, graph->node.count + 1));
    coti_node *node = &graph->node.data[id]; /* not yet among the nodes */
    COTI_TRY(fill_node(graph, key, hash, node));
    COTI_TRY(named ? name_node(graph, key, node) : COT_OK);
    COTI_TRY(coti_map_add(&graph->consed, hash, id));
    if (named) {
        list_node(graph, node, id);
    } else {
        node->number = graph->n_numbered++;
    }
    graph->n_consed = (uint32_t)++graph->node.count;
    *id_out = id;
    return COT_OK;
}

static cot_status find_or_enter(cot_graph *graph, const coti_infer *key, uint32_t *id_out) {
    const uint64_t hash = coti_cons_hash(key);
    COTI_TRY(coti_cons_fill(graph));
    /* A second INPUT of a name is not found but entered, which refuses it. */
    if (key->op != COT_OP_INPUT && coti_cons_find(key, hash, id_out)) {
        return COT_OK;
    }
    return enter_node(graph, key, hash, id_out);
}

/* Is a node that is about to be made simplified, and does a rule apply? *value_out is what it
 * makes.
 */
static bool simplifies(cot_graph *graph, const coti_infer *key, const cot_value *input,
                       cot_value *value_out) {
    if (graph->simplified == NULL || key->n_inputs > FEW_INPUTS) {
        return false;
    }
    const coti_site site = {graph,     key->op,    key->n_inputs, input,
                            key->attr, key->dtype, &key->shape,   graph->simplified};
    const bool applies = coti_simplify_try(&site, value_out);
    *graph->simplified = *graph->simplified || applies;
    return applies;
}

cot_value coti_graph_add(cot_graph *graph, cot_op op, const cot_value *input, int32_t n_inputs,
                         const void *attr, cot_dtype dtype, const cot_shape *shape) {
    if (graph == NULL || n_inputs < 0) {
        return coti_poison();
    }
    cot_context *context = graph->context;
    if (graph->seal.text != NULL) {
        COTI_FAIL(context, COT_E_INTERNAL, "graph \"%s\" is a body and does not change",
                  graph->name);
        return coti_poison();
    }
    cot_graph *owner = n_inputs > 0 ? coti_graph_of(cot_op_name(op), input, n_inputs) : graph;
    if (owner != graph) {
        if (owner != NULL) {
            COTI_OP_FAIL(context, COT_E_ARG, cot_op_name(op), graph->layer,
                         "the operands belong to another graph");
        }
        return coti_poison();
    }
    uint32_t few[FEW_INPUTS] = {0};
    uint32_t *ids = few;
    if (n_inputs > FEW_INPUTS) {
        ids = coti_calloc(context, (size_t)n_inputs, sizeof *ids);
        if (ids == NULL) {
            return coti_poison();
        }
    }
    for (int32_t i = 0; i < n_inputs; i++) {
        ids[i] = input[i].id;
    }
    const cot_shape scalar = {.rank = 0};
    coti_infer key = {graph, op,   graph->layer, n_inputs,
                      ids,   attr, dtype,        shape != NULL ? *shape : scalar};
    cot_value value = {graph, 0};
    cot_status status = coti_infer_run(&key);
    if (status == COT_OK && !simplifies(graph, &key, input, &value)) {
        status = find_or_enter(graph, &key, &value.id);
    }
    if (ids != few) {
        coti_free(context, ids);
    }
    return status == COT_OK ? value : coti_poison();
}

/* Are they all values of this graph? */
static bool all_here(const cot_graph *graph, const cot_value *input, int32_t n) {
    bool here = true;
    for (int32_t i = 0; i < n; i++) {
        here = here && input[i].graph == graph && value_exists(input[i]);
    }
    return here;
}

cot_value coti_graph_keep(cot_graph *graph, const coti_node *node, const cot_value *input) {
    uint32_t ids[FEW_INPUTS] = {0};
    if (node->n_inputs > FEW_INPUTS || graph->seal.text != NULL || graph->context->verify ||
        !all_here(graph, input, node->n_inputs)) {
        return coti_graph_add(graph, (cot_op)node->op, input, node->n_inputs, node->attr,
                              (cot_dtype)node->dtype, &node->shape);
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        ids[i] = input[i].id;
    }
    const coti_infer key = {graph, (cot_op)node->op, graph->layer,           node->n_inputs,
                            ids,   node->attr,       (cot_dtype)node->dtype, node->shape};
    uint32_t id = 0;
    return find_or_enter(graph, &key, &id) == COT_OK ? (cot_value){graph, id} : coti_poison();
}

/* ---- results ---- */

cot_status cot_graph_output(cot_value value, const char *name) {
    cot_graph *graph = coti_graph_of("output", &value, 1);
    if (graph == NULL) {
        return COT_E_ARG;
    }
    if (name == NULL || name[0] == '\0') {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "output", NULL, "an output needs a name");
    }
    COTI_TRY(coti_vec_reserve(graph->context, &graph->output, graph->output.count + 1));
    coti_symbol *symbol = coti_graph_symbol(graph, name);
    if (symbol == NULL) {
        return COT_E_NOMEM;
    }
    if (symbol->output != 0) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "output", NULL,
                            "name \"%s\" is already taken by an output of the graph", name);
    }
    graph->output.data[graph->output.count++] = (coti_output){value.id, symbol->text};
    symbol->output = (uint32_t)graph->output.count;
    return COT_OK;
}

/* An update that cannot be: no state, or one of another type. */
static cot_status refuse_update(cot_graph *graph, const coti_node *to, const coti_node *from) {
    char type[2][COTI_TYPE_BYTES];
    coti_type_text(type[0], (cot_dtype)to->dtype, &to->shape);
    coti_type_text(type[1], (cot_dtype)from->dtype, &from->shape);
    if (to->op != COT_OP_STATE) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "update", graph->layer,
                            "%s of type %s is updated, only a state can be",
                            cot_op_name((cot_op)to->op), type[0]);
    }
    return COTI_OP_FAIL(graph->context, to->dtype != from->dtype ? COT_E_DTYPE : COT_E_SHAPE,
                        "update", graph->layer, "state \"%s\" is %s, its new value is %s", to->name,
                        type[0], type[1]);
}

cot_status cot_graph_update(cot_value state, cot_value value) {
    const cot_value both[2] = {state, value};
    cot_graph *graph = coti_graph_of("update", both, 2);
    if (graph == NULL) {
        return COT_E_ARG;
    }
    const coti_node *to = coti_node_of(state);
    const coti_node *from = coti_node_of(value);
    if (to->op != COT_OP_STATE || to->dtype != from->dtype ||
        !coti_shape_equal(&to->shape, &from->shape)) {
        return refuse_update(graph, to, from);
    }
    COTI_TRY(coti_vec_reserve(graph->context, &graph->update, graph->update.count + 1));
    coti_symbol *symbol = &graph->symbol.data[to->number];
    if (symbol->update != 0) {
        char type[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "update", graph->layer,
                            "state \"%s\" (%s) is updated twice", to->name,
                            coti_type_text(type, (cot_dtype)to->dtype, &to->shape));
    }
    graph->update.data[graph->update.count++] = (coti_update){state.id, value.id};
    symbol->update = (uint32_t)graph->update.count;
    return COT_OK;
}

cot_variable *cot_graph_find_variable(const cot_graph *graph, const char *name) {
    const coti_symbol *symbol =
        graph != NULL && name != NULL ? coti_graph_find_symbol(graph, name) : NULL;
    if (symbol == NULL || symbol->value == 0) {
        return NULL;
    }
    const coti_node *node = coti_node_at(graph, symbol->value);
    return node->op == COT_OP_STATE ? ((const coti_attr_VARIABLE *)node->attr)->variable : NULL;
}
