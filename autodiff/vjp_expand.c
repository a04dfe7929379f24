/*
 * The gradient rule of the EXPAND rows: a composite that has no closed form of its own has the
 * gradient of its decomposition.
 *
 *     apart     a graph of its own, with an input for each operand and one for the cotangent
 *     differentiate   the decomposition there, by the walk of any graph (grad.c)
 *     bring over      the nodes of the cotangents, the operands in the place of the inputs (body.h)
 *
 * Apart, as equal nodes are one: in the graph itself an operand that is given twice, or that equals
 * a node inside the decomposition of another, could not be told from that, and its cotangent would
 * be another's too. The cost is that of the decomposition, wherever in the graph it stands. A rule
 * inside may expand in turn: as deep as composites of earlier rows lie inside each other.
 */
#include "vjp.h"

#include "graph/body.h"

#include <stdio.h>

typedef struct expansion {
    const coti_vjp *v;
    coti_arena arena; /* owns the arrays */
    cot_graph *apart;
    cot_value *formal; /* the graph's inputs: the operands, then their result's cotangent */
    cot_value *actual; /* what these stand for */
    cot_value *wrt;    /* the wanted operands apart, one after another */
    cot_value *grad;   /* their cotangents */
    int32_t n_wrt;
} expansion;

/* ---- apart ---- */

static cot_status make_arrays(expansion *e) {
    size_t n = (size_t)e->v->node.n_inputs + 1;
    e->formal = coti_arena_array(&e->arena, n, sizeof *e->formal);
    e->actual = coti_arena_array(&e->arena, n, sizeof *e->actual);
    e->wrt = coti_arena_array(&e->arena, n, sizeof *e->wrt);
    e->grad = coti_arena_array(&e->arena, n, sizeof *e->grad);
    bool made = e->formal != NULL && e->actual != NULL && e->wrt != NULL && e->grad != NULL;
    return made ? COT_OK : COT_E_NOMEM;
}

static cot_status make_apart(expansion *e) {
    const coti_vjp *v = e->v;
    COTI_TRY(make_arrays(e));
    e->apart = cot_graph_create(v->graph->context, "apart");
    if (e->apart == NULL) {
        return COT_E_NOMEM;
    }
    e->apart->has_backward = true; /* so that it is not dumped as a forward graph */
    cot_graph_set_layer(e->apart, v->node.layer);
    if (v->node.layer != NULL && e->apart->layer == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i <= v->node.n_inputs; i++) {
        char name[COTI_NAME_BYTES];
        cot_value x = i < v->node.n_inputs ? v->input[i] : v->g;
        (void)snprintf(name, sizeof name, "x%d", (int)i);
        e->actual[i] = x;
        e->formal[i] = cot_op_input(e->apart, cot_value_dtype(x), cot_value_shape(x), name);
        if (e->formal[i].graph == NULL) {
            return cot_error_get(v->graph->context).status;
        }
        if (i < v->node.n_inputs && v->needs[i]) {
            e->wrt[e->n_wrt++] = e->formal[i];
        }
    }
    return COT_OK;
}

static cot_status differentiate(expansion *e) {
    cot_value y = coti_decompose(&e->v->node, e->formal);
    if (y.graph == NULL) {
        return cot_error_get(e->v->graph->context).status;
    }
    return cot_vjp(y, e->formal[e->v->node.n_inputs], e->wrt, e->n_wrt, e->grad);
}

/* ---- bring over ---- */

/* The cotangents as values of the graph, in the place of those apart. */
static cot_status bring_over(expansion *e) {
    cot_graph *lean = NULL;
    bool changed = false;
    for (int32_t i = 0; i < e->n_wrt; i++) {
        char name[COTI_NAME_BYTES];
        (void)snprintf(name, sizeof name, "g%d", (int)i);
        COTI_TRY(cot_graph_output(e->grad[i], name));
    }
    COTI_TRY(coti_pass_dce(e->apart, &lean, &changed));
    cot_status status = coti_graph_inline(e->v->graph, lean, e->actual, e->grad);
    cot_graph_destroy(lean);
    return status;
}

/* ---- the whole ---- */

void coti_vjp_expand(const coti_vjp *v, cot_value *grad) {
    expansion e = {.v = v};
    coti_arena_init(&e.arena, v->graph->context);
    cot_status status = make_apart(&e);
    status = status == COT_OK ? differentiate(&e) : status;
    status = status == COT_OK ? bring_over(&e) : status;
    for (int32_t i = 0, k = 0; status == COT_OK && i < v->node.n_inputs; i++) {
        if (v->needs[i]) {
            grad[i] = e.grad[k++];
        }
    }
    cot_graph_destroy(e.apart);
    coti_arena_clear(&e.arena);
}
