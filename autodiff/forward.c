/*
 * Products of a vector with a Jacobian from the right, and with a Hessian, made of reverse-mode
 * passes alone, so every operation that has a rule has them too.
 *
 *     J v    u' J is linear in u, so its derivative with respect to u, along v, is J v, whatever u:
 *            the gradient of <J'u, v> with respect to u. Two passes.
 *     H v    the gradient of <grad y, v>, v held constant. Two passes.
 *
 * Both are taken apart (apart.h), since u and v must be values that nothing else in the graph is
 * equal to; only the nodes of the result come back.
 *
 * Source: B. Christianson, "Automatic Hessians by reverse accumulation", IMA Journal of Numerical
 * Analysis 12 (1992); J. Townsend, "A new trick for calculating Jacobian vector products" (2017).
 */
#include "apart.h"
#include "grad.h"

/* sum + <a, b>, in f64 where the terms' dtypes differ; sum may be none (graph NULL). */
static cot_value add_inner(cot_value sum, cot_value a, cot_value b) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_value term = cot_op_binary(COT_OP_MUL, a, b);
    int32_t rank = cot_value_shape(term).rank;
    term = rank > 0 ? cot_op_reduce(COT_OP_SUM, term, axes, rank, false) : term;
    if (sum.graph == NULL) {
        return term;
    }
    if (cot_value_dtype(sum) != cot_value_dtype(term)) {
        sum = cot_value_dtype(sum) == COT_F64 ? sum : cot_op_cast(sum, COT_F64);
        term = cot_value_dtype(term) == COT_F64 ? term : cot_op_cast(term, COT_F64);
    }
    return cot_op_binary(COT_OP_ADD, sum, term);
}

/* sum_i <a_i, b_i>, a scalar; 0 of no terms. */
static cot_value inner_product(cot_graph *graph, const cot_value *a, const cot_value *b,
                               int32_t n) {
    cot_value sum = coti_poison();
    for (int32_t i = 0; i < n; i++) {
        if (a[i].graph == NULL || b[i].graph == NULL) {
            return coti_poison();
        }
        sum = add_inner(sum, a[i], b[i]);
        if (sum.graph == NULL) {
            return sum;
        }
    }
    return n == 0 ? cot_op_constant(graph, COT_F64, 0.0) : sum;
}

/* One call: a list of values, what they are differentiated with respect to, and vectors. */
typedef struct product {
    const char *op;
    const cot_value *y, *wrt, *vector;
    int32_t n_y, n;
    coti_arena arena;
    coti_apart apart;
} product;

static cot_status check_lists(const cot_graph *graph, const product *p, const cot_value *out) {
    bool no_y = p->n_y < 0 || (p->n_y > 0 && p->y == NULL);
    bool no_wrt = p->n < 0 || (p->n > 0 && (p->wrt == NULL || p->vector == NULL));
    if (no_y || no_wrt || out == NULL) {
        return COTI_OP_FAIL(graph->context, COT_E_ARG, p->op, NULL,
                            "an array is NULL, or a count is negative (%d, %d)", (int)p->n_y,
                            (int)p->n);
    }
    for (int32_t i = 0; i < p->n_y; i++) {
        COTI_TRY(coti_grad_check(graph, p->op, p->y[i], "y", p->n_y == 1 ? -1 : i));
    }
    for (int32_t i = 0; i < p->n; i++) {
        COTI_TRY(coti_grad_check(graph, p->op, p->wrt[i], "wrt", i));
        COTI_TRY(coti_grad_check(graph, p->op, p->vector[i], "the vector", i));
        COTI_TRY(coti_grad_check_type(p->op, p->vector[i], "the vector", p->wrt[i], "its wrt"));
    }
    return COT_OK;
}

/* y and wrt in the copy, and placeholders for the vectors. */
static cot_status copy_lists(product *p, cot_value *y, cot_value *wrt, cot_value *vector) {
    for (int32_t i = 0; i < p->n_y; i++) {
        y[i] = coti_apart_value(&p->apart, p->y[i]);
    }
    for (int32_t i = 0; i < p->n; i++) {
        wrt[i] = coti_apart_value(&p->apart, p->wrt[i]);
        vector[i] = coti_apart_placeholder(&p->apart, p->wrt[i], p->vector[i]);
        if (vector[i].graph == NULL) {
            return cot_error_get(p->apart.graph->context).status;
        }
    }
    return COT_OK;
}

/* The gradient of an inner product of the copy, unless it could not be made. */
static cot_status differentiate(const product *p, cot_value inner, const cot_value *wrt, int32_t n,
                                cot_value *grads_out) {
    return inner.graph != NULL ? cot_grad(inner, wrt, n, grads_out)
                               : cot_error_get(p->apart.graph->context).status;
}

/* J v of each y, in the copy. */
static cot_status make_jvp(product *p, const cot_value *y, const cot_value *wrt,
                           const cot_value *vector, cot_value *result) {
    cot_graph *graph = p->apart.graph;
    cot_value *u = coti_arena_array(&p->arena, (size_t)p->n_y, sizeof *u);
    cot_value *g = coti_arena_array(&p->arena, (size_t)p->n, sizeof *g);
    if (u == NULL || g == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < p->n_y; i++) {
        u[i] = coti_apart_placeholder(&p->apart, y[i], coti_poison());
    }
    COTI_TRY(differentiate(p, inner_product(graph, u, y, p->n_y), wrt, p->n, g));
    return differentiate(p, inner_product(graph, g, vector, p->n), u, p->n_y, result);
}

/* H v of the only y, in the copy. */
static cot_status make_hvp(product *p, const cot_value *y, const cot_value *wrt,
                           const cot_value *vector, cot_value *result) {
    cot_value *g = coti_arena_array(&p->arena, (size_t)p->n, sizeof *g);
    if (g == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(cot_grad(y[0], wrt, p->n, g));
    return differentiate(p, inner_product(p->apart.graph, g, vector, p->n), wrt, p->n, result);
}

typedef cot_status (*make_fn)(product *p, const cot_value *y, const cot_value *wrt,
                              const cot_value *vector, cot_value *result);

static cot_status run_apart(product *p, make_fn make, int32_t n_out, cot_value *out) {
    cot_value *y = coti_arena_array(&p->arena, (size_t)p->n_y, sizeof *y);
    cot_value *wrt = coti_arena_array(&p->arena, (size_t)p->n, sizeof *wrt);
    cot_value *vector = coti_arena_array(&p->arena, (size_t)p->n, sizeof *vector);
    cot_value *result = coti_arena_array(&p->arena, (size_t)n_out, sizeof *result);
    if (y == NULL || wrt == NULL || vector == NULL || result == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(copy_lists(p, y, wrt, vector));
    COTI_TRY(make(p, y, wrt, vector, result));
    return coti_apart_bring(&p->apart, result, n_out, out);
}

/* Checked: take the derivative apart and bring the n_out results. */
static cot_status run(cot_graph *graph, product *p, make_fn make, int32_t n_out, cot_value *out) {
    uint32_t last = 0;
    COTI_TRY(coti_grad_begin(graph));
    for (int32_t i = 0; i < p->n_y; i++) {
        last = p->y[i].id > last ? p->y[i].id : last;
    }
    for (int32_t i = 0; i < p->n; i++) {
        last = p->wrt[i].id > last ? p->wrt[i].id : last;
    }
    coti_arena_init(&p->arena, graph->context);
    cot_status status = coti_apart_make(&p->apart, graph, last);
    status = status == COT_OK ? run_apart(p, make, n_out, out) : status;
    coti_apart_free(&p->apart);
    coti_arena_clear(&p->arena);
    graph->has_backward = graph->has_backward || status == COT_OK;
    return status;
}

static cot_graph *graph_of(const product *p) {
    cot_graph *graph = NULL;
    for (int32_t i = 0; p->y != NULL && i < p->n_y && graph == NULL; i++) {
        graph = p->y[i].graph;
    }
    return coti_grad_graph((cot_value){graph, 0}, p->wrt, p->n);
}

cot_status cot_jvp(const cot_value *y, int32_t n_y, const cot_value *wrt, const cot_value *tangent,
                   int32_t n, cot_value *out) {
    product p = {.op = "jvp", .y = y, .wrt = wrt, .vector = tangent, .n_y = n_y, .n = n};
    cot_graph *graph = graph_of(&p);
    cot_status status = graph == NULL ? COT_E_ARG : check_lists(graph, &p, out);
    status = status == COT_OK ? run(graph, &p, make_jvp, n_y, out) : status;
    return coti_grad_finish(status, out, n_y);
}

cot_status cot_hvp(cot_value y, const cot_value *wrt, const cot_value *vector, int32_t n,
                   cot_value *out) {
    product p = {.op = "hvp", .y = &y, .wrt = wrt, .vector = vector, .n_y = 1, .n = n};
    cot_graph *graph = graph_of(&p);
    cot_status status = graph == NULL ? COT_E_ARG : check_lists(graph, &p, out);
    status = status == COT_OK ? coti_grad_check_scalar("hvp", y, "cot_jvp of a cot_vjp") : status;
    status = status == COT_OK ? run(graph, &p, make_hvp, n, out) : status;
    return coti_grad_finish(status, out, n);
}
