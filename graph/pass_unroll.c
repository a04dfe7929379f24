/*
 * Unrolling: each scan by the steps that it stands for, inlined one after another. No stage of
 * compilation does this, whose programs loop. It is what a scan means in terms of the other
 * operations: for the gradient check, whose trials round each operation, and for tests.
 */
#include "body.h"
#include "scan.h"

enum { MOST_NODES = 1 << 20 }; /* of an unrolled scan; a longer one stays as it is */

/* An execution that has been unrolled. */
typedef struct unrolled {
    uint32_t id;       /* of its first result met, in the old graph */
    cot_value *result; /* all of them, in the new one */
} unrolled;

typedef struct unrolling {
    coti_arena arena; /* owns the results */
    COTI_VEC(unrolled) list;
    coti_map map; /* to indices in list */
    bool changed;
} unrolling;

/* One execution on its way. */
typedef struct steps {
    coti_rewrite *rewrite;
    const coti_node *node;
    coti_scan scan;
    cot_value *operand;        /* in the new graph */
    cot_value *input, *output; /* of the body at a step */
    cot_value *element;        /* of stacks and histories: all of each, by step */
} steps;

/* ---- elements ---- */

/* Element t of a sequence whose elements have this shape. */
static cot_value take(cot_value sequence, const cot_shape *element, int64_t t) {
    const cot_shape shape = cot_value_shape(sequence);
    const int32_t axis = coti_scan_axis(element);
    int64_t start[COT_MAX_RANK] = {0}, size[COT_MAX_RANK], stride[COT_MAX_RANK];
    for (int32_t a = 0; a < shape.rank; a++) {
        size[a] = a == axis ? 1 : shape.dim[a];
        start[a] = a == axis ? t : 0;
        stride[a] = 1;
    }
    const cot_value slice = cot_op_slice(sequence, start, size, stride);
    return slice.graph != NULL ? cot_op_reshape(slice, *element) : slice;
}

/* The stack of elements, which are reshaped in place; zero of them: nothing. */
static cot_value stack(cot_graph *graph, const coti_node *type, cot_value *element, int64_t n) {
    cot_shape one;
    if (!coti_scan_stack(&type->shape, n > 0 ? 1 : 0, &one)) {
        return coti_poison(); /* the node would not be there */
    }
    if (n == 0) {
        return cot_op_broadcast(cot_op_constant(graph, (cot_dtype)type->dtype, 0), one, NULL, 0);
    }
    for (int64_t t = 0; t < n; t++) {
        element[t] = element[t].graph != NULL ? cot_op_reshape(element[t], one) : element[t];
    }
    return cot_op_concat(element, (int32_t)n, coti_scan_axis(&type->shape));
}

/* ---- one execution ---- */

static cot_value *stack_of(const steps *s, int32_t result) {
    return s->element + (int64_t)(result - s->scan.n_carries) * s->scan.steps;
}

static cot_status run_step(const steps *s, int64_t t) {
    const coti_scan *scan = &s->scan;
    const int32_t n_carries = scan->n_carries, n_outputs = n_carries + scan->n_stacks;
    for (int32_t i = n_carries; i < n_carries + scan->n_sequences; i++) {
        const coti_node *node = coti_node_at(scan->body, scan->body->input.data[i]);
        s->input[i] = take(s->operand[i], &node->shape, t);
    }
    for (int32_t i = 0; i < n_carries; i++) {
        stack_of(s, n_outputs + i)[t] = s->input[i];
    }
    COTI_TRY(coti_graph_inline(s->rewrite->to, scan->body, s->input, s->output));
    for (int32_t i = 0; i < n_outputs; i++) {
        *(i < n_carries ? &s->input[i] : &stack_of(s, i)[t]) = s->output[i];
    }
    return COT_OK;
}

static cot_status run(const steps *s, cot_value *result) {
    const coti_scan *scan = &s->scan;
    const int32_t n_results = 2 * scan->n_carries + scan->n_stacks;
    for (int32_t i = 0; i < s->node->n_inputs; i++) {
        s->input[i] = s->operand[i];
    }
    for (int64_t n = 0; n < scan->steps; n++) {
        COTI_TRY(run_step(s, scan->reverse ? scan->steps - 1 - n : n));
    }
    for (int32_t r = 0; r < n_results; r++) {
        result[r] = r < scan->n_carries ? s->input[r]
                                        : stack(s->rewrite->to, coti_scan_element(scan, r),
                                                stack_of(s, r), scan->steps);
        if (result[r].graph == NULL) {
            return cot_error_get(s->rewrite->to->context).status;
        }
    }
    return COT_OK;
}

static cot_status unroll(coti_rewrite *rewrite, const coti_node *node, coti_arena *arena,
                         cot_value *result) {
    steps s = {.rewrite = rewrite, .node = node, .scan = coti_scan_of(node)};
    const size_t n_inputs = (size_t)node->n_inputs;
    const size_t n_outputs = s.scan.body->output.count;
    const size_t n_elements = n_outputs * (size_t)s.scan.steps;
    s.operand = coti_arena_array(arena, n_inputs, sizeof *s.operand);
    s.input = coti_arena_array(arena, n_inputs, sizeof *s.input);
    s.output = coti_arena_array(arena, n_outputs, sizeof *s.output);
    s.element = coti_arena_array(arena, n_elements, sizeof *s.element);
    if (s.operand == NULL || s.input == NULL || s.output == NULL || s.element == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n_inputs; i++) {
        s.operand[i] = rewrite->map[node->input[i]];
    }
    return run(&s, result);
}

/* ---- the pass ---- */

typedef struct sought {
    const unrolling *u;
    const cot_graph *graph;
    uint32_t id;
} sought;

static bool is_same(const void *user, uint32_t i) {
    const sought *s = user;
    return coti_scan_same(coti_node_at(s->graph, s->u->list.data[i].id),
                          coti_node_at(s->graph, s->id));
}

/* The results of a node's execution; NULL on failure. */
static const cot_value *results_of(unrolling *u, coti_rewrite *rewrite, uint32_t id) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    const coti_scan scan = coti_scan_of(node);
    const uint64_t hash = coti_scan_hash(node);
    const sought s = {u, rewrite->from, id};
    uint32_t i = 0;
    if (coti_map_find(&u->map, hash, is_same, &s, &i)) {
        return u->list.data[i].result;
    }
    const size_t n_results = 2 * (size_t)scan.n_carries + (size_t)scan.n_stacks;
    unrolled new = {id, coti_arena_array(&u->arena, n_results, sizeof *new.result)};
    if (new.result == NULL ||
        coti_vec_reserve(rewrite->to->context, &u->list, u->list.count + 1) != COT_OK ||
        unroll(rewrite, node, &u->arena, new.result) != COT_OK ||
        coti_map_add(&u->map, hash, (uint32_t)u->list.count) != COT_OK) {
        return NULL;
    }
    u->list.data[u->list.count++] = new;
    return new.result;
}

/* user: the unrolling. */
static cot_value unroll_node(coti_rewrite *rewrite, uint32_t id, void *user) {
    const coti_node *node = coti_node_at(rewrite->from, id);
    unrolling *u = user;
    int64_t n_nodes = 0;
    if (node->op != COT_OP_SCAN) {
        return coti_rewrite_keep(rewrite, id);
    }
    const coti_scan scan = coti_scan_of(node);
    if (!coti_size_mul((int64_t)scan.body->node.count, scan.steps, &n_nodes) ||
        n_nodes > MOST_NODES) {
        return coti_rewrite_keep(rewrite, id);
    }
    u->changed = true;
    const cot_value *results = results_of(u, rewrite, id);
    return results != NULL ? results[scan.result] : coti_poison();
}

static cot_status unroll_one(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    unrolling u = {.changed = false};
    coti_arena_init(&u.arena, graph->context);
    coti_map_init(&u.map, graph->context);
    cot_status status = coti_graph_rewrite(graph, unroll_node, &u, result_out);
    *changed_out = u.changed;
    coti_vec_free(graph->context, &u.list);
    coti_map_free(&u.map);
    coti_arena_clear(&u.arena);
    return status;
}

cot_status coti_pass_unroll(const cot_graph *graph, cot_graph **result_out, bool *changed_out) {
    return coti_graph_map_bodies(graph, unroll_one, result_out, changed_out);
}
