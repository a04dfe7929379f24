/*
 * The smallest part of a graph whose gradient is wrong, at the values that it has at the point of
 * the failure. A part is one value and some of the nodes that make it; what it takes from the
 * others are its inputs.
 *
 *     one node      each operation alone, in order: the first that is wrong is the culprit
 *     else a cone   the first value that is wrong with all that it is made of; then node after node
 *                   is replaced by its value, and stays so as long as the rest fails
 *
 * The first finds a wrong rule, the second what only the interplay of nodes makes wrong. The part
 * is given as text, in the source's dtypes, with the values of its inputs as comments.
 */
#include "gradcheck.h"

#include <stdio.h>
#include <string.h>

/* Parts that are tried after no operation was found wrong. */
#define MOST_TRIES 256
/* Elements of an input that are written. */
#define SHOWN 64

typedef struct search {
    const coti_check *check;
    const coti_check_settings *settings;
    bool native;
    coti_arena arena;
    coti_tensor *value; /* of the source's nodes, floats as f64; data NULL: not needed */
    bool *is_in;        /* of the source's nodes: in the part */
    int32_t n_tries;
} search;

/* A part as a graph of its own. */
typedef struct part {
    const search *s;
    coti_arena arena;
    cot_graph *graph;
    coti_check *check; /* NULL: nothing to derive by */
    cot_value *map;    /* of the source's ids */
    cot_value *input;  /* of the node at work */
    uint32_t *origin;  /* of each input: the source's node */
    int32_t n;
} part;

static bool is_float_id(const cot_graph *graph, uint32_t id) {
    uint8_t dtype = coti_node_at(graph, id)->dtype;
    return dtype == COT_F32 || dtype == COT_F64;
}

static bool is_leaf(const coti_node *node) {
    return node->op == COT_OP_INPUT || node->op == COT_OP_STATE;
}

/* ---- a part ---- */

static cot_status add_input(part *p, uint32_t id) {
    const coti_node *node = coti_node_at(p->s->check->source, id);
    char name[COTI_NAME_BYTES];
    (void)snprintf(name, sizeof name, "in%d", (int)p->n);
    p->map[id] = cot_op_input(p->graph, (cot_dtype)node->dtype, node->shape, name);
    p->origin[p->n++] = id;
    return p->map[id].graph == NULL ? cot_error_get(p->graph->context).status : COT_OK;
}

/* A node on its inputs, which stand in the map. */
static cot_status add_node(part *p, uint32_t id) {
    const cot_graph *source = p->s->check->source;
    const coti_node *node = coti_node_at(source, id);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        p->input[i] = p->map[node->input[i]];
    }
    cot_graph_set_layer(p->graph, node->layer);
    if (node->layer != NULL && p->graph->layer == NULL) {
        return COT_E_NOMEM;
    }
    p->map[id] = coti_graph_add(p->graph, (cot_op)node->op, p->input, node->n_inputs, node->attr,
                                (cot_dtype)node->dtype, &node->shape);
    return p->map[id].graph == NULL ? cot_error_get(p->graph->context).status : COT_OK;
}

/* Which nodes does `root` need, those that are not in the part being its inputs? */
static void mark_needed(const search *s, uint32_t root, bool *is_needed) {
    is_needed[root] = true;
    for (uint32_t id = root; id > 0; id--) {
        const coti_node *node = coti_node_at(s->check->source, id);
        for (int32_t i = 0; is_needed[id] && s->is_in[id] && i < node->n_inputs; i++) {
            is_needed[node->input[i]] = true;
        }
    }
}

/* The lists of a part that ends in `root`, and its graph, empty. */
static cot_status part_make(part *p, uint32_t root) {
    const cot_graph *source = p->s->check->source;
    size_t n = source->node.count;
    size_t widest = 1;
    for (uint32_t id = 1; id <= root; id++) {
        size_t n_inputs = (size_t)coti_node_at(source, id)->n_inputs;
        widest = n_inputs > widest ? n_inputs : widest;
    }
    p->map = coti_arena_array(&p->arena, n, sizeof *p->map);
    p->origin = coti_arena_array(&p->arena, n, sizeof *p->origin);
    p->input = coti_arena_array(&p->arena, widest, sizeof *p->input);
    p->graph = cot_graph_create(source->context, "part");
    bool made = p->map != NULL && p->origin != NULL && p->input != NULL && p->graph != NULL;
    return made ? COT_OK : COT_E_NOMEM;
}

/* A node of the source that the part needs: as it is, or as an input. */
static cot_status add_needed(part *p, uint32_t id) {
    const coti_node *node = coti_node_at(p->s->check->source, id);
    bool inside = p->s->is_in[id] || (node->n_inputs == 0 && !is_leaf(node));
    return inside ? add_node(p, id) : add_input(p, id);
}

static cot_status part_fill(part *p, uint32_t root) {
    const search *s = p->s;
    const cot_graph *source = s->check->source;
    bool *is_needed = coti_arena_array(&p->arena, source->node.count, sizeof *is_needed);
    if (is_needed == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(part_make(p, root));
    mark_needed(s, root, is_needed);
    for (uint32_t id = 1; id <= root; id++) {
        COTI_TRY(is_needed[id] ? add_needed(p, id) : COT_OK);
    }
    COTI_TRY(cot_graph_output(p->map[root], "y"));
    bool varies = false;
    for (int32_t i = 0; i < p->n; i++) {
        varies = varies || is_float_id(source, p->origin[i]);
    }
    return varies ? coti_check_create(p->graph, s->check->rows, &p->check) : COT_OK;
}

static void part_free(part *p) {
    coti_check_destroy(p->check);
    cot_graph_destroy(p->graph);
    coti_arena_clear(&p->arena);
}

/* The source's node that a leaf of the part's check stands for. */
static uint32_t origin_of(const part *p, const coti_check_part *leaf) {
    int32_t i = 0;
    while (p->graph->input.data[i] != leaf->id) {
        i++;
    }
    return p->origin[i];
}

static cot_status part_probe(part *p, bool *failed_out) {
    const search *s = p->s;
    coti_check *check = p->check;
    for (int32_t i = 0; i < check->n_leaves; i++) {
        const coti_check_part *leaf = &check->leaf[i];
        const coti_tensor *value = &s->value[origin_of(p, leaf)];
        for (int64_t k = 0; leaf->at >= 0 && k < leaf->count; k++) {
            check->x[leaf->at + k] = coti_check_fit(check, leaf, coti_tensor_get(value, k));
        }
        if (leaf->at < 0) {
            memcpy(leaf->data, value->data, (size_t)leaf->count * cot_dtype_bytes(leaf->dtype));
        }
    }
    coti_check_settings settings = *s->settings;
    settings.n_directions = settings.n_directions < 2 ? 2 : settings.n_directions;
    coti_check_result result = {0};
    bool is_finite = true;
    if (s->native) {
        COTI_TRY(coti_check_probe_native(check, settings.seed, &result));
    } else {
        COTI_TRY(coti_check_probe(check, &settings, &result, &is_finite));
    }
    *failed_out = is_finite && result.failed;
    return COT_OK;
}

/* ---- its text ---- */

static bool append_text(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

static void append_values(coti_str *out, const part *p) {
    for (int32_t i = 0; i < p->check->n_leaves; i++) {
        const coti_check_part *leaf = &p->check->leaf[i];
        coti_str_printf(out, "# %s = [", leaf->name);
        for (int64_t k = 0; k < leaf->count && k < SHOWN; k++) {
            const coti_tensor *value = &p->s->value[origin_of(p, leaf)];
            double v = leaf->at >= 0 ? p->check->x[leaf->at + k] : coti_tensor_get(value, k);
            coti_str_append(out, k > 0 ? ", " : "");
            coti_str_double(out, v);
        }
        coti_str_append(out, leaf->count > SHOWN ? ", ...]\n" : "]\n");
    }
}

/* Try the part that ends in `root`; text, if wanted (not NULL), of one that fails. */
static cot_status try_part(search *s, uint32_t root, coti_str *text, bool *failed_out) {
    part p = {.s = s};
    coti_arena_init(&p.arena, s->check->context);
    cot_status status = part_fill(&p, root);
    *failed_out = false;
    if (status == COT_OK && p.check != NULL) {
        status = part_probe(&p, failed_out);
    }
    if (status == COT_OK && *failed_out && text != NULL) {
        coti_str_clear(text);
        append_values(text, &p);
        status = cot_graph_print(p.graph, append_text, text);
        status = status == COT_OK ? coti_str_status(text) : status;
    }
    part_free(&p);
    return status;
}

/* ---- the search ---- */

/* Can a part end here: a float made of floats? */
static bool is_candidate(const search *s, uint32_t id) {
    const cot_graph *source = s->check->source;
    const coti_node *node = coti_node_at(source, id);
    bool has_float = false;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        has_float = has_float || is_float_id(source, node->input[i]);
    }
    return has_float && is_float_id(source, id) && s->value[id].data != NULL;
}

static cot_status find_node(search *s, coti_check_culprit *culprit, uint32_t *found_out) {
    const cot_graph *source = s->check->source;
    for (uint32_t id = 1; *found_out == 0 && id < source->node.count; id++) {
        bool failed = false;
        if (!is_candidate(s, id)) {
            continue;
        }
        s->is_in[id] = true;
        COTI_TRY(try_part(s, id, &culprit->text, &failed));
        s->is_in[id] = false;
        *found_out = failed ? id : 0;
    }
    return COT_OK;
}

/* The first value that is wrong with all that it is made of. */
static cot_status find_cone(search *s, uint32_t *found_out) {
    const cot_graph *source = s->check->source;
    for (uint32_t id = 1; id < source->node.count; id++) {
        const coti_node *node = coti_node_at(source, id);
        bool failed = false;
        s->is_in[id] = !is_leaf(node) && s->value[id].data != NULL;
        if (!is_candidate(s, id) || s->n_tries >= MOST_TRIES) {
            continue;
        }
        s->n_tries++;
        COTI_TRY(try_part(s, id, NULL, &failed));
        if (failed) {
            *found_out = id;
            return COT_OK;
        }
    }
    return COT_OK;
}

/* Replace nodes by their values while the rest fails; then its text. */
static cot_status shrink_cone(search *s, uint32_t root, coti_str *text) {
    bool failed = false;
    for (uint32_t id = 1; id < root && s->n_tries < 2 * MOST_TRIES; id++) {
        const coti_node *node = coti_node_at(s->check->source, id);
        if (!s->is_in[id] || node->n_inputs == 0) {
            continue;
        }
        s->n_tries++;
        s->is_in[id] = false;
        COTI_TRY(try_part(s, root, NULL, &failed));
        s->is_in[id] = !failed;
    }
    return try_part(s, root, text, &failed);
}

static cot_status run(search *s, coti_check_culprit *culprit) {
    const cot_graph *source = s->check->source;
    s->is_in = coti_arena_array(&s->arena, source->node.count, sizeof *s->is_in);
    if (s->is_in == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_check_values(s->check, &s->arena, &s->value));
    uint32_t found = 0;
    COTI_TRY(find_node(s, culprit, &found));
    if (found != 0) {
        culprit->op = coti_op_table[coti_node_at(source, found)->op].name;
        culprit->layer = coti_node_at(source, found)->layer;
        return COT_OK;
    }
    COTI_TRY(find_cone(s, &found));
    return found != 0 ? shrink_cone(s, found, &culprit->text) : COT_OK;
}

cot_status coti_check_find_culprit(const coti_check *check, const coti_check_settings *settings,
                                   bool native, coti_check_culprit *culprit) {
    search s = {.check = check, .settings = settings, .native = native};
    coti_arena_init(&s.arena, check->context);
    cot_status status = run(&s, culprit);
    coti_arena_clear(&s.arena);
    return status;
}
