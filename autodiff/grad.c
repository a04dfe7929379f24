/*
 * Reverse-mode differentiation: the walk, which knows no operation. What an operation's derivative
 * is stands in its rule (vjp.h, vjp_*.c); the rule table is pasted from ops.def.
 *
 *     check        y and wrt are values of one graph, floats; y is a scalar (cot_grad)
 *     dump         the graph as it was before its first backward part
 *     mark reached upwards from wrt: nodes through which y may depend on a wrt
 *     mark live    downwards from y: of those, the ones that y does depend on
 *     look         at regions that are to be recomputed (remat.h): rules read copies of their
 * values walk         live nodes by descending id; each node's rule turns its cotangent, complete
 * by then, into its inputs'; several uses of a value add up in a chain of ADDs, in descending order
 * of their users, so that the order of every sum is fixed collect      the cotangents of wrt, zeros
 * where there is none
 *
 * Each step is one loop over ids, so the whole is linear in the nodes up to y, and nothing
 * recurses. The forward part is not changed: nodes are appended, under the layer name of the node
 * whose rule makes them. What needs no gradient is never reached, so no rule ever works for it.
 *
 * A path ends silently at an operation whose derivative is zero by definition (ZERO) and at a value
 * that is no float. An operation without derivative (NONE) on a path is COT_E_NOGRAD. After a
 * failure the graph may hold nodes that nothing uses, and is otherwise as before; grads_out is
 * poisoned.
 */
#include "grad.h"
#include "remat.h"
#include "results.h"
#include "vjp.h"

#include <stdio.h>

#define TABLE_RULE(id) coti_vjp_##id
#define TABLE_EXPAND(id) coti_vjp_expand
#define TABLE_ZERO(id) NULL
#define TABLE_NONE(id) NULL
static const coti_vjp_fn rule_table[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, gradient, flags)                                    \
    [COT_OP_##id] = TABLE_##gradient(id),
#include <cotangent/ops.def>
#undef COT_OP
};

/* One call's scratch, by node id up to y. */
typedef struct walk {
    cot_graph *graph;
    coti_arena *arena; /* owns the arrays */
    uint32_t y;        /* the last one, if there are several */
    bool *is_wrt, *is_reached, *is_live;
    cot_value *cotangent; /* graph NULL: none yet */
    cot_value *input;     /* of the widest live node: its inputs, their cotangents, their mask */
    cot_value *grad;
    bool *needs;
    bool *runs; /* by node: its rule will run */
    coti_remat remat;
    coti_results results;
    bool fills; /* zeros stand for the cotangents of what y does not depend on */
} walk;

static bool is_float(cot_dtype dtype) {
    return dtype == COT_F32 || dtype == COT_F64;
}

/* ---- check ---- */

cot_status coti_grad_check(const cot_graph *graph, const char *op, cot_value value,
                           const char *what, int32_t i) {
    cot_context *context = graph->context;
    cot_error before = cot_error_get(context);
    char name[COTI_NAME_BYTES];
    if (i < 0) {
        (void)snprintf(name, sizeof name, "%s", what);
    } else {
        (void)snprintf(name, sizeof name, "%s[%d]", what, (int)i);
    }
    if (value.graph == NULL) {
        /* what poisoned it, unless that was cleared */
        return before.status != COT_OK
                   ? before.status
                   : COTI_OP_FAIL(context, COT_E_ARG, op, NULL, "%s is a poisoned value", name);
    }
    if (value.graph != graph) {
        return COTI_OP_FAIL(context, COT_E_ARG, op, NULL, "%s is of graph %s, expected graph %s",
                            name, value.graph->name, graph->name);
    }
    if (value.id == 0 || value.id >= graph->node.count) {
        return COTI_OP_FAIL(context, COT_E_ARG, op, NULL, "%s is no value of graph %s", name,
                            graph->name);
    }
    const coti_node *node = coti_node_of(value);
    if (!is_float((cot_dtype)node->dtype)) {
        char type[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(context, COT_E_DTYPE, op, node->layer, "%s is %s, expected f32 or f64",
                            name, coti_type_text(type, (cot_dtype)node->dtype, &node->shape));
    }
    return COT_OK;
}

cot_graph *coti_grad_graph(cot_value y, const cot_value *wrt, int32_t n) {
    cot_graph *graph = y.graph;
    for (int32_t i = 0; graph == NULL && wrt != NULL && i < n; i++) {
        graph = wrt[i].graph;
    }
    return graph;
}

static cot_status check_arguments(const cot_graph *graph, cot_value y, const cot_value *wrt,
                                  int32_t n, const cot_value *grads_out) {
    if (n < 0 || (n > 0 && (wrt == NULL || grads_out == NULL))) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, "grad", NULL,
                            "wrt or grads_out is NULL, or n is negative (%d)", (int)n);
    }
    COTI_TRY(coti_grad_check(graph, "grad", y, "y", -1));
    for (int32_t i = 0; i < n; i++) {
        COTI_TRY(coti_grad_check(graph, "grad", wrt[i], "wrt", i));
    }
    return COT_OK;
}

cot_status coti_grad_check_type(const char *op, cot_value value, const char *what, cot_value y,
                                const char *y_name) {
    cot_shape want = cot_value_shape(y);
    cot_shape have = cot_value_shape(value);
    bool same_dtype = cot_value_dtype(y) == cot_value_dtype(value);
    if (same_dtype && coti_shape_equal(&want, &have)) {
        return COT_OK;
    }
    char want_text[COTI_TYPE_BYTES];
    char have_text[COTI_TYPE_BYTES];
    return COTI_OP_FAIL(y.graph->context, same_dtype ? COT_E_SHAPE : COT_E_DTYPE, op,
                        coti_node_of(y)->layer, "%s is %s, %s is %s", what,
                        coti_type_text(have_text, cot_value_dtype(value), &have), y_name,
                        coti_type_text(want_text, cot_value_dtype(y), &want));
}

cot_status coti_grad_check_scalar(const char *op, cot_value y, const char *otherwise) {
    cot_shape shape = cot_value_shape(y);
    if (shape.rank == 0) {
        return COT_OK;
    }
    char type[COTI_TYPE_BYTES];
    return COTI_OP_FAIL(y.graph->context, COT_E_SHAPE, op, coti_node_of(y)->layer,
                        "y is %s, expected a scalar (reduce it, or use %s)",
                        coti_type_text(type, cot_value_dtype(y), &shape), otherwise);
}

/* ---- dump ---- */

cot_status coti_grad_begin(const cot_graph *graph) {
    coti_dump *dump = NULL;
    if (graph->has_backward) {
        return COT_OK;
    }
    COTI_TRY(coti_dump_open(graph->context, COTI_STAGE_GRAPH, graph->name, "cot", &dump));
    cot_status status = dump == NULL ? COT_OK : cot_graph_print(graph, coti_dump_write, dump);
    cot_status closed = coti_dump_close(graph->context, dump);
    return status != COT_OK ? status : closed;
}

/* ---- mark ---- */

static bool any_reached(const walk *w, const coti_node *node) {
    for (int32_t i = 0; i < node->n_inputs; i++) {
        if (w->is_reached[node->input[i]]) {
            return true;
        }
    }
    return false;
}

static void mark_reached(walk *w) {
    for (uint32_t id = 1; id <= w->y; id++) {
        const coti_node *node = coti_node_at(w->graph, id);
        bool passes = is_float((cot_dtype)node->dtype) &&
                      coti_op_table[node->op].grad != COTI_GRAD_ZERO && any_reached(w, node);
        w->is_reached[id] = w->is_wrt[id] || passes;
    }
}

/* A wrt that this reached node depends on. */
static uint32_t find_wrt(const walk *w, uint32_t id) {
    while (!w->is_wrt[id]) {
        const coti_node *node = coti_node_at(w->graph, id);
        int32_t i = 0;
        while (!w->is_reached[node->input[i]]) {
            i++;
        }
        id = node->input[i];
    }
    return id;
}

/* What the text form calls a node. */
static const char *node_text(char buffer[COTI_NAME_BYTES], const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    if (node->name != NULL) {
        (void)snprintf(buffer, COTI_NAME_BYTES, "%%%s", node->name);
    } else {
        (void)snprintf(buffer, COTI_NAME_BYTES, "%%%u", (unsigned)node->number);
    }
    return buffer;
}

static cot_status fail_nograd(const walk *w, uint32_t id) {
    const coti_node *node = coti_node_at(w->graph, id);
    const char *op = coti_op_table[node->op].name;
    char name[COTI_NAME_BYTES];
    char wrt[COTI_NAME_BYTES];
    return COTI_OP_FAIL(w->graph->context, COT_E_NOGRAD, op, node->layer,
                        "%s has no gradient, and y depends on %s through it; "
                        "cot_op_stop_gradient makes it a constant",
                        node_text(name, w->graph, id), node_text(wrt, w->graph, find_wrt(w, id)));
}

/* Of the reached nodes, those that y depends on, y being marked. *widest_out: most inputs that one
 * of them has. */
static cot_status mark_live(walk *w, int32_t *widest_out) {
    for (uint32_t id = w->y; id > 0; id--) {
        const coti_node *node = coti_node_at(w->graph, id);
        if (!w->is_live[id] || coti_op_table[node->op].grad == COTI_GRAD_ZERO) {
            continue;
        }
        bool none = coti_op_table[node->op].grad == COTI_GRAD_NONE;
        for (int32_t i = 0; i < node->n_inputs; i++) {
            uint32_t input = node->input[i];
            if (none && w->is_reached[input]) {
                return fail_nograd(w, id);
            }
            w->is_live[input] = w->is_live[input] || w->is_reached[input];
        }
        w->runs[id] = any_reached(w, node) && rule_table[node->op] != NULL;
        *widest_out = *widest_out < node->n_inputs ? node->n_inputs : *widest_out;
    }
    return COT_OK;
}

/* ---- walk ---- */

/* What a rule returned must be there and be of its input's type: else an error met while building,
 * or a bug in the rule. */
static cot_status check_grad(const walk *w, const coti_node *node, int32_t i) {
    cot_context *context = w->graph->context;
    cot_value grad = w->grad[i];
    cot_status status = cot_error_get(context).status;
    if (grad.graph == NULL && status != COT_OK) {
        return status;
    }
    cot_shape want = cot_value_shape(w->input[i]);
    cot_shape have = cot_value_shape(grad);
    if (grad.graph != w->graph || cot_value_dtype(grad) != cot_value_dtype(w->input[i]) ||
        !coti_shape_equal(&want, &have)) {
        char want_text[COTI_TYPE_BYTES];
        char have_text[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(context, COT_E_INTERNAL, coti_op_table[node->op].name, node->layer,
                            "the gradient rule gave input %d a cotangent of %s, the input is %s",
                            (int)i, coti_type_text(have_text, cot_value_dtype(grad), &have),
                            coti_type_text(want_text, cot_value_dtype(w->input[i]), &want));
    }
    return COT_OK;
}

static cot_status accumulate(walk *w, uint32_t id, cot_value grad) {
    cot_value *sum = &w->cotangent[id];
    *sum = sum->graph == NULL ? grad : coti_make_add(*sum, grad);
    return sum->graph == NULL ? cot_error_get(w->graph->context).status : COT_OK;
}

static cot_status walk_node(walk *w, uint32_t id) {
    coti_node node = *coti_node_at(w->graph, id); /* nodes move while the rule adds some */
    if (!w->runs[id]) {
        return COT_OK;
    }
    COTI_TRY(coti_remat_enter(&w->remat, id, w->runs));
    for (int32_t i = 0; i < node.n_inputs; i++) {
        w->input[i] = coti_remat_read(&w->remat, id, node.input[i]);
        w->grad[i] = coti_poison();
        w->needs[i] = w->is_reached[node.input[i]];
    }
    coti_vjp call = {.graph = w->graph,
                     .node = node,
                     .input = w->input,
                     .needs = w->needs,
                     .output = coti_remat_read(&w->remat, id, id),
                     .g = w->cotangent[id]};
    coti_results_give(&w->results, id, w->cotangent, &call);
    w->graph->layer = node.layer;
    rule_table[node.op](&call, w->grad);
    for (int32_t i = 0; i < node.n_inputs; i++) {
        if (!w->needs[i]) {
            continue;
        }
        COTI_TRY(check_grad(w, &node, i));
        COTI_TRY(accumulate(w, node.input[i], w->grad[i]));
    }
    return COT_OK;
}

static cot_status walk_all(walk *w) {
    for (uint32_t id = w->y; id > 0; id--) {
        if (!w->is_live[id]) {
            continue;
        }
        COTI_ASSERT(w->graph->context, w->cotangent[id].graph != NULL);
        COTI_TRY(walk_node(w, id));
    }
    return COT_OK;
}

/* ---- collect ---- */

/* wrt and grads_out may be the same list. */
static cot_status collect(const walk *w, const cot_value *wrt, int32_t n, cot_value *grads_out) {
    w->graph->layer = NULL;
    for (int32_t i = 0; i < n; i++) {
        bool found = wrt[i].id <= w->y && w->cotangent[wrt[i].id].graph != NULL;
        if (found || !w->fills) {
            grads_out[i] = found ? w->cotangent[wrt[i].id] : coti_poison();
            continue;
        }
        cot_value zero = cot_op_constant(w->graph, cot_value_dtype(wrt[i]), 0.0);
        grads_out[i] = cot_op_broadcast(zero, cot_value_shape(wrt[i]), NULL, 0);
        if (grads_out[i].graph == NULL) {
            return cot_error_get(w->graph->context).status;
        }
    }
    return COT_OK;
}

/* ---- the whole ---- */

static cot_status make_arrays(walk *w, coti_arena *arena, const cot_value *wrt, int32_t n) {
    size_t count = (size_t)w->y + 1;
    w->is_wrt = coti_arena_array(arena, count, sizeof *w->is_wrt);
    w->is_reached = coti_arena_array(arena, count, sizeof *w->is_reached);
    w->is_live = coti_arena_array(arena, count, sizeof *w->is_live);
    w->cotangent = coti_arena_array(arena, count, sizeof *w->cotangent);
    w->runs = coti_arena_array(arena, count, sizeof *w->runs);
    if (w->runs == NULL || w->is_wrt == NULL || w->is_reached == NULL || w->is_live == NULL ||
        w->cotangent == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        if (wrt[i].id <= w->y) {
            w->is_wrt[wrt[i].id] = true;
        }
    }
    return COT_OK;
}

static cot_status make_scratch(walk *w, coti_arena *arena, int32_t widest) {
    w->input = coti_arena_array(arena, (size_t)widest, sizeof *w->input);
    w->grad = coti_arena_array(arena, (size_t)widest, sizeof *w->grad);
    w->needs = coti_arena_array(arena, (size_t)widest, sizeof *w->needs);
    return w->input != NULL && w->grad != NULL && w->needs != NULL ? COT_OK : COT_E_NOMEM;
}

/* Of the results of one execution the rule runs for the first. */
static void keep_first_results(walk *w) {
    for (uint32_t id = 1; id <= w->y && w->results.first != NULL; id++) {
        w->runs[id] = w->runs[id] && !coti_results_later(&w->results, id);
    }
}

static cot_status run_walk(walk *w, const cot_value *y, const cot_value *cotangent, int32_t n_y,
                           const cot_value *wrt, int32_t n, cot_value *grads_out) {
    coti_arena *arena = w->arena;
    int32_t widest = 0;
    COTI_TRY(make_arrays(w, arena, wrt, n));
    mark_reached(w);
    for (int32_t i = 0; i < n_y; i++) {
        w->is_live[y[i].id] = w->is_reached[y[i].id];
    }
    COTI_TRY(mark_live(w, &widest));
    COTI_TRY(make_scratch(w, arena, widest));
    COTI_TRY(coti_results_find(w->graph, w->y, w->is_live, arena, &w->results));
    keep_first_results(w);
    for (int32_t i = 0; i < n_y; i++) {
        COTI_TRY(w->is_live[y[i].id] ? accumulate(w, y[i].id, cotangent[i]) : COT_OK);
    }
    cot_status status = coti_remat_init(&w->remat, w->graph, w->y, arena);
    status = status == COT_OK ? walk_all(w) : status;
    coti_remat_free(&w->remat);
    return status == COT_OK ? collect(w, wrt, n, grads_out) : status;
}

static cot_status walk_back(walk *w, const cot_value *y, const cot_value *cotangent, int32_t n_y,
                            const cot_value *wrt, int32_t n, cot_value *grads_out) {
    cot_graph *graph = w->graph;
    coti_arena arena;
    coti_arena_init(&arena, graph->context);
    const coti_placement placement = coti_graph_placement(graph);
    coti_graph_place(graph, (coti_placement){NULL, 0}); /* derivatives are in no region */
    for (int32_t i = 0; i < n_y; i++) {
        w->y = y[i].id > w->y ? y[i].id : w->y;
    }
    w->arena = &arena;
    cot_status status = run_walk(w, y, cotangent, n_y, wrt, n, grads_out);
    coti_graph_place(graph, placement);
    coti_arena_clear(&arena);
    return status;
}

cot_status coti_vjp_sum(cot_graph *graph, const cot_value *y, const cot_value *cotangent,
                        int32_t n_y, const cot_value *wrt, int32_t n, cot_value *grads_out) {
    walk w = {.graph = graph};
    return walk_back(&w, y, cotangent, n_y, wrt, n, grads_out);
}

/* Append the backward part, from a cotangent of y's type, or from 1 where that is poison. */
static cot_status differentiate(cot_value y, cot_value cotangent, const cot_value *wrt, int32_t n,
                                cot_value *grads_out) {
    cot_graph *graph = y.graph;
    walk w = {.graph = graph, .fills = true};
    COTI_TRY(coti_grad_begin(graph));
    const coti_placement placement = coti_graph_placement(graph);
    coti_graph_place(graph, (coti_placement){NULL, 0});
    if (cotangent.graph == NULL) {
        cotangent = cot_op_constant(graph, cot_value_dtype(y), 1.0);
    }
    coti_graph_place(graph, placement);
    cot_status status = cotangent.graph == NULL
                            ? cot_error_get(graph->context).status
                            : walk_back(&w, &y, &cotangent, 1, wrt, n, grads_out);
    graph->has_backward = graph->has_backward || status == COT_OK;
    return status;
}

static cot_status vjp(cot_graph *graph, cot_value y, cot_value cotangent, const cot_value *wrt,
                      int32_t n, cot_value *grads_out) {
    COTI_TRY(check_arguments(graph, y, wrt, n, grads_out));
    COTI_TRY(coti_grad_check(graph, "vjp", cotangent, "the cotangent", -1));
    COTI_TRY(coti_grad_check_type("vjp", cotangent, "the cotangent", y, "y"));
    return differentiate(y, cotangent, wrt, n, grads_out);
}

static cot_status grad(cot_graph *graph, cot_value y, const cot_value *wrt, int32_t n,
                       cot_value *grads_out) {
    COTI_TRY(check_arguments(graph, y, wrt, n, grads_out));
    COTI_TRY(coti_grad_check_scalar("grad", y, "cot_vjp"));
    return differentiate(y, coti_poison(), wrt, n, grads_out);
}

cot_status coti_grad_finish(cot_status status, cot_value *out, int32_t n) {
    for (int32_t i = 0; status != COT_OK && out != NULL && i < n; i++) {
        out[i] = coti_poison();
    }
    return status;
}

cot_status cot_vjp(cot_value y, cot_value cotangent, const cot_value *wrt, int32_t n,
                   cot_value *grads_out) {
    cot_graph *graph = coti_grad_graph(y, wrt, n);
    cot_status status = graph == NULL ? COT_E_ARG : vjp(graph, y, cotangent, wrt, n, grads_out);
    return coti_grad_finish(status, grads_out, n);
}

cot_status cot_grad(cot_value y, const cot_value *wrt, int32_t n, cot_value *grads_out) {
    cot_graph *graph = coti_grad_graph(y, wrt, n);
    cot_status status = graph == NULL ? COT_E_ARG : grad(graph, y, wrt, n, grads_out);
    return coti_grad_finish(status, grads_out, n);
}
