/*
 * The gradient rule of the EXPAND rows: a composite that has no closed form of its own is
 * decomposed in the graph, and the cotangent walks back through that.
 *
 *     collect   the decomposition's nodes: what its result is made of, down to the operands
 *     mark      of those, the ones that depend on an operand whose cotangent is wanted
 *     walk      by descending id, each node's own rule, as the walk of the whole graph does
 * (grad.c)
 *
 * The operands are where it ends, even if one is made of another: what lies below them is the
 * whole walk's business. The cost is that of the decomposition, wherever in the graph it stands. A
 * rule inside may expand in turn: as deep as composites of earlier rows lie inside each other.
 */
#include "vjp.h"

#include <stdlib.h>

typedef struct expansion {
    const coti_vjp *v;
    coti_arena arena; /* owns all that follows */
    size_t n;
    uint32_t *id; /* of the decomposition's nodes, ascending; no operand is among them */
    bool *depends;
    cot_value *cotangent; /* graph NULL: none yet */
    cot_value *operand;   /* cotangents of the operands; equal ones have theirs at the first */
} expansion;

static const coti_node *node_of(const expansion *e, uint32_t id) {
    return coti_node_at(e->v->graph, id);
}

/* The first operand that is this node, or -1. */
static int32_t find_operand(const expansion *e, uint32_t id) {
    for (int32_t i = 0; i < e->v->node.n_inputs; i++) {
        if (e->v->input[i].id == id) {
            return i;
        }
    }
    return -1;
}

static int compare_ids(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The place of a node that is no operand. */
static size_t place_of(const expansion *e, uint32_t id) {
    const uint32_t *found = bsearch(&id, e->id, e->n, sizeof *e->id, compare_ids);
    return (size_t)(found - e->id);
}

/* ---- collect ---- */

typedef COTI_VEC(uint32_t) id_list;

typedef struct seen_id {
    const id_list *list;
    uint32_t id;
} seen_id;

static bool is_seen(const void *user, uint32_t value) {
    const seen_id *seen = user;
    return seen->list->data[value] == seen->id;
}

/* Append a node to the list unless it is an operand or there already. */
static cot_status note(const expansion *e, id_list *list, coti_map *places, uint32_t id) {
    cot_context *context = e->v->graph->context;
    uint64_t hash = coti_hash(0, &id, sizeof id);
    seen_id seen = {list, id};
    uint32_t place = 0;
    if (find_operand(e, id) >= 0 || coti_map_find(places, hash, is_seen, &seen, &place)) {
        return COT_OK;
    }
    COTI_TRY(coti_vec_reserve(context, list, list->count + 1));
    COTI_TRY(coti_map_add(places, hash, (uint32_t)list->count));
    list->data[list->count++] = id;
    return COT_OK;
}

/* The list is its own queue: nodes before `i` have had their inputs noted. */
static cot_status note_all(const expansion *e, id_list *list, coti_map *places, uint32_t result) {
    COTI_TRY(note(e, list, places, result));
    for (size_t i = 0; i < list->count; i++) {
        const coti_node *node = node_of(e, list->data[i]);
        for (int32_t k = 0; k < node->n_inputs; k++) {
            COTI_TRY(note(e, list, places, node->input[k]));
        }
    }
    return COT_OK;
}

static cot_status collect(expansion *e, uint32_t result) {
    cot_context *context = e->v->graph->context;
    id_list list = {0};
    coti_map places;
    coti_map_init(&places, context);
    cot_status status = note_all(e, &list, &places, result);
    if (status == COT_OK) {
        e->n = list.count;
        e->id = coti_arena_array(&e->arena, e->n, sizeof *e->id);
        e->depends = coti_arena_array(&e->arena, e->n, sizeof *e->depends);
        e->cotangent = coti_arena_array(&e->arena, e->n, sizeof *e->cotangent);
        e->operand = coti_arena_array(&e->arena, (size_t)e->v->node.n_inputs, sizeof *e->operand);
        bool made = e->id != NULL && e->depends != NULL && e->cotangent != NULL;
        status = made && e->operand != NULL ? COT_OK : COT_E_NOMEM;
    }
    for (size_t i = 0; status == COT_OK && i < e->n; i++) {
        e->id[i] = list.data[i];
    }
    if (status == COT_OK) {
        qsort(e->id, e->n, sizeof *e->id, compare_ids);
    }
    coti_map_free(&places);
    coti_vec_free(context, &list);
    return status;
}

/* ---- mark ---- */

/* Is the cotangent of this node, operand or not, wanted? */
static bool is_wanted(const expansion *e, uint32_t id) {
    for (int32_t i = 0; i < e->v->node.n_inputs; i++) {
        if (e->v->input[i].id == id) {
            return e->v->needs[i];
        }
    }
    return e->depends[place_of(e, id)];
}

static void mark(expansion *e) {
    for (size_t k = 0; k < e->n; k++) {
        const coti_node *node = node_of(e, e->id[k]);
        bool passes = (node->dtype == COT_F32 || node->dtype == COT_F64) &&
                      coti_vjp_rule((cot_op)node->op) != NULL;
        for (int32_t i = 0; passes && i < node->n_inputs; i++) {
            e->depends[k] = e->depends[k] || is_wanted(e, node->input[i]);
        }
    }
}

/* ---- walk ---- */

static void accumulate(expansion *e, uint32_t id, cot_value part) {
    int32_t operand = find_operand(e, id);
    cot_value *sum = operand >= 0 ? &e->operand[operand] : &e->cotangent[place_of(e, id)];
    *sum = sum->graph == NULL ? part : coti_make_add(*sum, part);
}

static cot_status walk_node(expansion *e, size_t k) {
    cot_graph *graph = e->v->graph;
    coti_node node = *node_of(e, e->id[k]); /* nodes move while the rule adds some */
    size_t n = (size_t)node.n_inputs;
    cot_value *input = coti_arena_array(&e->arena, n, sizeof *input);
    cot_value *grad = coti_arena_array(&e->arena, n, sizeof *grad);
    bool *needs = coti_arena_array(&e->arena, n, sizeof *needs);
    if (input == NULL || grad == NULL || needs == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        input[i] = (cot_value){graph, node.input[i]};
        needs[i] = is_wanted(e, node.input[i]);
    }
    coti_vjp call = {.graph = graph,
                     .node = node,
                     .input = input,
                     .needs = needs,
                     .output = {graph, e->id[k]},
                     .g = e->cotangent[k]};
    coti_vjp_rule((cot_op)node.op)(&call, grad);
    for (size_t i = 0; i < n; i++) {
        if (needs[i] && grad[i].graph == NULL) {
            return cot_error_get(graph->context).status;
        }
        if (needs[i]) {
            accumulate(e, node.input[i], grad[i]);
        }
    }
    return COT_OK;
}

static cot_status walk_all(expansion *e) {
    for (size_t k = e->n; k-- > 0;) {
        if (e->depends[k] && e->cotangent[k].graph != NULL) {
            COTI_TRY(walk_node(e, k));
        }
    }
    return COT_OK;
}

/* ---- the whole ---- */

/*
 * Each wanted operand's cotangent. An operand that was given before has had it there, and gets
 * zeros here, negative ones: adding them changes no bit, and simplify takes the addition away.
 */
static void hand_over(const expansion *e, cot_value *grad) {
    for (int32_t i = 0; i < e->v->node.n_inputs; i++) {
        if (!e->v->needs[i]) {
            continue;
        }
        cot_value x = e->v->input[i];
        bool is_first = find_operand(e, x.id) == i;
        grad[i] = is_first ? e->operand[i] : coti_poison();
        if (grad[i].graph == NULL) {
            cot_value zero = cot_op_constant(x.graph, cot_value_dtype(x), is_first ? 0.0 : -0.0);
            grad[i] = cot_op_broadcast(zero, cot_value_shape(x), NULL, 0);
        }
    }
}

void coti_vjp_expand(const coti_vjp *v, cot_value *grad) {
    cot_value result = coti_decompose(&v->node, v->input);
    if (result.graph == NULL) {
        return;
    }
    expansion e = {.v = v};
    coti_arena_init(&e.arena, v->graph->context);
    cot_status status = collect(&e, result.id);
    if (status == COT_OK) {
        mark(&e);
        accumulate(&e, result.id, v->g);
        status = walk_all(&e);
    }
    if (status == COT_OK) {
        hand_over(&e, grad);
    }
    coti_arena_clear(&e.arena);
}
