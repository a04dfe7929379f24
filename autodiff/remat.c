/*
 * Recomputation (remat.h).
 *
 *     look    which values leave their regions, which are constant; a list of nodes a region
 *     enter   the first rule of a region: mark what its rules read, and what that is made of, down
 *             to what enters; copy it, in order
 *     read    a rule's operand or result: its copy where there is one
 *
 * Each node is looked at a few times, once for its region: linear.
 */
#include "remat.h"

/* ---- look ---- */

/* A value that is made of constants alone costs nothing: a pass folds it, or it is N's or an
 * index's. Random numbers are worth more. */
static bool is_constant(const coti_remat *r, const coti_node *node) {
    if (node->n_inputs == 0) {
        return node->op != COT_OP_INPUT && node->op != COT_OP_STATE;
    }
    bool constant = node->op != COT_OP_RANDOM && node->op != COT_OP_BARRIER;
    for (int32_t i = 0; i < node->n_inputs && constant; i++) {
        constant = r->constant[node->input[i]];
    }
    return constant;
}

typedef struct region_key {
    const coti_remat *remat;
    uint32_t region;
} region_key;

static bool region_equal(const void *user, uint32_t i) {
    const region_key *key = user;
    uint32_t first = key->remat->head[i];
    return coti_node_at(key->remat->graph, first)->region == key->region;
}

/* Where in head the node's region stands; n_regions: nowhere yet. */
static uint32_t find_region(const coti_remat *r, uint32_t region) {
    const region_key key = {r, region};
    uint32_t i = r->n_regions;
    (void)coti_map_find(&r->regions, coti_hash(0, &region, sizeof region), region_equal, &key, &i);
    return i;
}

/* Put a node before the others of its region: lists are by descending id. */
static cot_status list_node(coti_remat *r, uint32_t id) {
    uint32_t region = coti_node_at(r->graph, id)->region;
    uint32_t i = find_region(r, region);
    if (i == r->n_regions) {
        r->head[i] = id; /* the map compares with it */
        COTI_TRY(coti_map_add(&r->regions, coti_hash(0, &region, sizeof region), i));
        r->n_regions++;
        return COT_OK;
    }
    r->next[id] = r->head[i];
    r->head[i] = id;
    return COT_OK;
}

static bool any_region(const cot_graph *graph, uint32_t last) {
    for (uint32_t id = 1; id <= last; id++) {
        if (coti_node_at(graph, id)->region != 0) {
            return true;
        }
    }
    return false;
}

static bool make_arrays(coti_remat *r, coti_arena *arena) {
    size_t n = (size_t)r->last + 1;
    r->leaves = coti_arena_array(arena, n, sizeof *r->leaves);
    r->constant = coti_arena_array(arena, n, sizeof *r->constant);
    r->wanted = coti_arena_array(arena, n, sizeof *r->wanted);
    r->begun = coti_arena_array(arena, n, sizeof *r->begun);
    r->next = coti_arena_array(arena, n, sizeof *r->next);
    r->copy = coti_arena_array(arena, n, sizeof *r->copy);
    r->head = coti_arena_array(arena, n, sizeof *r->head);
    return r->leaves != NULL && r->constant != NULL && r->wanted != NULL && r->begun != NULL &&
           r->next != NULL && r->copy != NULL && r->head != NULL;
}

cot_status coti_remat_init(coti_remat *r, cot_graph *graph, uint32_t last, coti_arena *arena) {
    *r = (coti_remat){.graph = graph, .last = last};
    coti_map_init(&r->regions, graph->context);
    r->active = any_region(graph, last);
    if (!r->active) {
        return COT_OK;
    }
    if (!make_arrays(r, arena)) {
        return COT_E_NOMEM;
    }
    r->leaves[last] = true;
    for (uint32_t id = 1; id <= last; id++) {
        const coti_node *node = coti_node_at(graph, id);
        r->constant[id] = is_constant(r, node);
        for (int32_t i = 0; i < node->n_inputs; i++) {
            bool same = coti_node_at(graph, node->input[i])->region == node->region;
            r->leaves[node->input[i]] = r->leaves[node->input[i]] || !same;
        }
        COTI_TRY(node->region != 0 ? list_node(r, id) : COT_OK);
    }
    return COT_OK;
}

void coti_remat_free(coti_remat *r) {
    coti_map_free(&r->regions);
}

/* ---- enter ---- */

/* Is the value inside the region: of it, not leaving, and worth a copy? */
static bool is_inside(const coti_remat *r, uint32_t region, uint32_t value) {
    return coti_node_at(r->graph, value)->region == region && !r->leaves[value] &&
           !r->constant[value];
}

/* Mark what rules read, and what that is made of: operands have smaller ids than their users, so
 * one walk down the list does. */
static void mark_wanted(coti_remat *r, uint32_t first, const bool *runs) {
    uint32_t region = coti_node_at(r->graph, first)->region;
    for (uint32_t id = first; id != 0; id = r->next[id]) {
        const coti_node *node = coti_node_at(r->graph, id);
        r->wanted[id] = (r->wanted[id] || runs[id]) && is_inside(r, region, id);
        for (int32_t i = 0; i < node->n_inputs && (r->wanted[id] || runs[id]); i++) {
            r->wanted[node->input[i]] =
                r->wanted[node->input[i]] || is_inside(r, region, node->input[i]);
        }
    }
}

/* Operand i of a copy. Parameters are there anyway; what else enters comes through a barrier. */
static cot_value operand_of_copy(const coti_remat *r, const coti_node *node, int32_t i) {
    uint32_t value = node->input[i];
    const cot_value original = {r->graph, value};
    if (r->copy[value].graph != NULL) {
        return r->copy[value];
    }
    bool there = r->constant[value] || coti_node_at(r->graph, value)->op == COT_OP_STATE;
    return there ? original : cot_op_barrier(original, node->region);
}

static cot_status copy_node(coti_remat *r, uint32_t id, coti_arena *arena) {
    const coti_node node = *coti_node_at(r->graph, id); /* nodes move as some are added */
    cot_value *input = coti_arena_array(arena, (size_t)node.n_inputs, sizeof *input);
    bool differs = false;
    if (input == NULL) {
        return COT_E_NOMEM;
    }
    r->graph->layer = node.layer;
    for (int32_t i = 0; i < node.n_inputs; i++) {
        input[i] = operand_of_copy(r, &node, i);
        differs = differs || input[i].id != node.input[i];
    }
    if (!differs && node.n_inputs > 0) { /* of parameters alone: it would be the original */
        input[0] = cot_op_barrier(input[0], node.region);
    }
    r->copy[id] = coti_graph_add(r->graph, (cot_op)node.op, input, node.n_inputs, node.attr,
                                 (cot_dtype)node.dtype, &node.shape);
    return r->copy[id].graph != NULL ? COT_OK : cot_error_get(r->graph->context).status;
}

/* The list is by descending id, and operands are to be copied before their users: turn it. */
static uint32_t turn_list(coti_remat *r, uint32_t first) {
    uint32_t turned = 0;
    while (first != 0) {
        uint32_t next = r->next[first];
        r->next[first] = turned;
        r->begun[first] = true;
        turned = first;
        first = next;
    }
    return turned;
}

cot_status coti_remat_enter(coti_remat *r, uint32_t id, const bool *runs) {
    if (!r->active || coti_node_at(r->graph, id)->region == 0 || r->begun[id]) {
        return COT_OK;
    }
    uint32_t first = r->head[find_region(r, coti_node_at(r->graph, id)->region)];
    const coti_placement placement = coti_graph_placement(r->graph);
    coti_arena arena;
    coti_arena_init(&arena, r->graph->context);
    cot_status status = COT_OK;
    mark_wanted(r, first, runs);
    r->graph->region = 0;
    for (uint32_t node = turn_list(r, first); node != 0 && status == COT_OK; node = r->next[node]) {
        status = r->wanted[node] ? copy_node(r, node, &arena) : COT_OK;
    }
    coti_graph_place(r->graph, placement);
    coti_arena_clear(&arena);
    return status;
}

/* ---- read ---- */

cot_value coti_remat_read(const coti_remat *r, uint32_t id, uint32_t value) {
    const cot_value original = {r->graph, value};
    if (!r->active || r->copy[value].graph == NULL ||
        coti_node_at(r->graph, value)->region != coti_node_at(r->graph, id)->region) {
        return original;
    }
    return r->copy[value];
}
