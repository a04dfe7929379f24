/*
 * Whole Jacobians: a vector-Jacobian product for each element of y, the rows joined.
 *
 * The rows are joined by a tree of narrow concatenations: a wide one costs a kernel as many choices
 * for each element as it has operands.
 */
#include "grad.h"

enum { FAN_IN = 8 };

static cot_status status_of(cot_value value) {
    return cot_error_get(value.graph->context).status;
}

/* rank, batch and size are such that there is a Jacobian. *n_rows_out: elements of y. */
static cot_status check(cot_graph *graph, cot_value y, cot_value x, int64_t *n_rows_out) {
    COTI_TRY(coti_grad_check(graph, "jacobian", y, "y", -1));
    COTI_TRY(coti_grad_check(graph, "jacobian", x, "x", -1));
    const coti_node *y_node = coti_node_of(y);
    const coti_node *x_node = coti_node_of(x);
    char text[2][COTI_TYPE_BYTES];
    coti_type_text(text[0], (cot_dtype)y_node->dtype, &y_node->shape);
    coti_type_text(text[1], (cot_dtype)x_node->dtype, &x_node->shape);
    if (y_node->shape.batched || x_node->shape.batched) {
        return COTI_OP_FAIL(graph->context, COT_E_SHAPE, "jacobian", y_node->layer,
                            "y is %s and x is %s, expected values without N", text[0], text[1]);
    }
    if (y_node->shape.rank + x_node->shape.rank > COT_MAX_RANK) {
        return COTI_OP_FAIL(graph->context, COT_E_SHAPE, "jacobian", y_node->layer,
                            "y is %s and x is %s, together they may have %d axes", text[0], text[1],
                            COT_MAX_RANK);
    }
    if (!coti_shape_elements(&y_node->shape, 1, n_rows_out) ||
        *n_rows_out > COT_MAX_JACOBIAN_ROWS) {
        return COTI_OP_FAIL(graph->context, COT_E_UNSUPPORTED, "jacobian", y_node->layer,
                            "y is %s, it may have %d elements: each is a backward pass of its own",
                            text[0], COT_MAX_JACOBIAN_ROWS);
    }
    return COT_OK;
}

/* Row i, the gradient of y's i-th element: [1, x.shape..], but x's shape if it is the only one. */
static cot_status make_row(cot_value y, cot_value x, int64_t i, int64_t n_rows, cot_value *row) {
    cot_value at = cot_op_constant(y.graph, COT_I32, (double)i);
    cot_value pick = cot_op_one_hot(at, n_rows, cot_value_dtype(y));
    pick = cot_op_reshape(pick, cot_value_shape(y));
    COTI_TRY(pick.graph != NULL ? cot_vjp(y, pick, &x, 1, row) : status_of(y));
    if (n_rows == 1) {
        return COT_OK;
    }
    cot_shape shape = cot_value_shape(x);
    cot_shape wide = {.rank = shape.rank + 1, .dim = {1}};
    for (int32_t d = 0; d < shape.rank; d++) {
        wide.dim[d + 1] = shape.dim[d];
    }
    *row = cot_op_reshape(*row, wide);
    return row->graph != NULL ? COT_OK : status_of(y);
}

/* Join n rows in place; the result is row[0]. */
static cot_status join(cot_value *row, int64_t n) {
    while (n > 1) {
        int64_t joined = 0;
        for (int64_t i = 0; i < n; i += FAN_IN) {
            int32_t some = (int32_t)(n - i < FAN_IN ? n - i : FAN_IN);
            cot_value wide = some == 1 ? row[i] : cot_op_concat(&row[i], some, 0);
            if (wide.graph == NULL) {
                return cot_error_get(row[i].graph->context).status;
            }
            row[joined++] = wide;
        }
        n = joined;
    }
    return COT_OK;
}

static cot_shape joined_shape(cot_value y, cot_value x) {
    cot_shape shape = cot_value_shape(y);
    cot_shape inner = cot_value_shape(x);
    for (int32_t d = 0; d < inner.rank; d++) {
        shape.dim[shape.rank++] = inner.dim[d];
    }
    return shape;
}

static cot_status jacobian(cot_graph *graph, cot_value y, cot_value x, cot_value *out) {
    int64_t n = 0;
    COTI_TRY(check(graph, y, x, &n));
    COTI_TRY(coti_grad_begin(graph));
    const coti_placement placement = coti_graph_placement(graph);
    coti_graph_place(graph, (coti_placement){NULL, 0});
    cot_value *row = coti_calloc(graph->context, (size_t)n + 1, sizeof *row);
    cot_status status = row != NULL ? COT_OK : COT_E_NOMEM;
    for (int64_t i = 0; i < n && status == COT_OK; i++) {
        status = make_row(y, x, i, n, &row[i]);
    }
    status = status == COT_OK ? join(row, n) : status;
    if (status == COT_OK) {
        cot_shape shape = joined_shape(y, x);
        *out = n > 0 ? cot_op_reshape(row[0], shape)
                     : cot_op_broadcast(cot_op_constant(graph, cot_value_dtype(x), 0.0), shape,
                                        NULL, 0);
        status = out->graph != NULL ? COT_OK : status_of(y);
    }
    coti_free(graph->context, row);
    coti_graph_place(graph, placement);
    graph->has_backward = graph->has_backward || status == COT_OK;
    return status;
}

cot_status cot_jacobian(cot_value y, cot_value x, cot_value *out) {
    cot_graph *graph = coti_grad_graph(y, &x, 1);
    cot_status status = graph == NULL || out == NULL ? COT_E_ARG : jacobian(graph, y, x, out);
    return coti_grad_finish(status, out, 1);
}
