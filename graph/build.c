/*
 * Builders of leaves and elementwise operations, and the one place where operands are broadcast.
 *
 * Broadcasting is NumPy's: shapes are aligned at the last axis and an extent of 1 stretches. N is
 * an extent like any other that equals only itself with the same coefficient, and it must come to
 * lead the result. Operands of the right shape stay as they are; others go through one BROADCAST.
 */
#include "build.h"

#include "eval.h"

#include <string.h>

/* ---- shared by the builders ---- */

void coti_operands_fill(coti_operands *operands, cot_graph *graph, cot_op op,
                        const cot_value *value, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        operands->id[i] = value[i].id;
    }
    operands->infer = (coti_infer){
        .graph = graph, .op = op, .layer = graph->layer, .n_inputs = n, .input = operands->id};
}

int32_t coti_build_axis(cot_value x, int32_t axis) {
    return axis < 0 ? axis + coti_node_of(x)->shape.rank : axis;
}

bool coti_build_axes(cot_op op, cot_value x, const int32_t *axes, int32_t n, bool sort,
                     coti_attr_AXES_type *out) {
    if (n < 0 || n > COT_MAX_RANK || (n > 0 && axes == NULL)) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, op, &x, 1);
        if (n < 0 || n > COT_MAX_RANK) {
            COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "number of axes %d is out of range 0..%d",
                            n, COT_MAX_RANK);
        } else {
            COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "the list of axes is NULL");
        }
        return false;
    }
    out->n = n;
    for (int32_t i = 0; i < n; i++) {
        int32_t axis = coti_build_axis(x, axes[i]);
        int32_t at = i;
        for (; sort && at > 0 && out->v[at - 1] > axis; at--) {
            out->v[at] = out->v[at - 1];
        }
        out->v[at] = axis;
    }
    return true;
}

/* ---- leaves ---- */

cot_value cot_op_input(cot_graph *graph, cot_dtype dtype, cot_shape shape, const char *name) {
    const coti_attr_NAME attr = {.name = name};
    return coti_graph_add(graph, COT_OP_INPUT, NULL, 0, &attr, dtype, &shape);
}

cot_value cot_op_state(cot_graph *graph, cot_variable *variable) {
    const coti_attr_VARIABLE attr = {.variable = variable};
    return coti_graph_add(graph, COT_OP_STATE, NULL, 0, &attr, COT_F32, NULL);
}

cot_value cot_op_constant(cot_graph *graph, cot_dtype dtype, double value) {
    const cot_shape scalar = {.rank = 0};
    unsigned char bytes[8] = {0};
    const float f32 = (float)value;
    const int64_t integer = coti_saturate(value, dtype);
    const int32_t i32 = (int32_t)integer;
    switch (dtype) {
    case COT_F32:
        memcpy(bytes, &f32, sizeof f32);
        break;
    case COT_F64:
        memcpy(bytes, &value, sizeof value);
        break;
    case COT_I32:
        memcpy(bytes, &i32, sizeof i32);
        break;
    case COT_I64:
        memcpy(bytes, &integer, sizeof integer);
        break;
    case COT_U8:
    case COT_BOOL:
        bytes[0] = (unsigned char)integer;
        break;
    }
    return cot_op_constant_array(graph, dtype, scalar, bytes);
}

cot_value cot_op_constant_array(cot_graph *graph, cot_dtype dtype, cot_shape shape,
                                const void *data) {
    if (graph == NULL ||
        coti_shape_check(graph->context, &shape, "const", graph->layer) != COT_OK) {
        return coti_poison();
    }
    coti_attr_DATA attr = {.data = {.data = data}};
    /* Sizes beyond what fits leave 0 bytes, which the infer rule refuses. */
    if (coti_shape_elements(&shape, 1, &attr.data.bytes) &&
        !coti_size_mul(attr.data.bytes, (int64_t)cot_dtype_bytes(dtype), &attr.data.bytes)) {
        attr.data.bytes = 0;
    }
    return coti_graph_add(graph, COT_OP_CONST, NULL, 0, &attr, dtype, &shape);
}

cot_value cot_op_rows(cot_graph *graph) {
    return coti_graph_add(graph, COT_OP_ROWS, NULL, 0, NULL, COT_I64, NULL);
}

cot_value cot_op_iota(cot_graph *graph, cot_dtype dtype, cot_shape shape, int32_t axis) {
    const coti_attr_AXIS attr = {.axis = axis < 0 ? axis + shape.rank : axis};
    return coti_graph_add(graph, COT_OP_IOTA, NULL, 0, &attr, dtype, &shape);
}

/* ---- broadcasting ---- */

/* Take up one operand's extents into the common shape; the operand's axes end where `to`'s end. */
static cot_status join_shape(const coti_infer *infer, const cot_shape *from, cot_shape *to) {
    int32_t shift = to->rank - from->rank;
    for (int32_t i = 0; i < from->rank; i++) {
        bool batched = coti_axis_batched(from, i);
        if (from->dim[i] == 1 && !batched) {
            continue;
        }
        if (batched && shift > 0) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "aligned at the last axis, the batched axis would be axis %d of "
                                   "the result but must lead",
                                   shift);
        }
        bool free = to->dim[i + shift] == 1 && !coti_axis_batched(to, i + shift);
        if (!free && !coti_axis_equal(from, i, to, i + shift)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "shapes do not broadcast (axis %d from the "
                                   "end)",
                                   from->rank - i);
        }
        to->dim[i + shift] = from->dim[i];
        to->batched = to->batched || batched;
    }
    return COT_OK;
}

static bool shapes_equal(const coti_infer *infer, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        if (!coti_shape_equal(&coti_infer_in(infer, 0)->shape, &coti_infer_in(infer, i)->shape)) {
            return false;
        }
    }
    return true;
}

/* Replace n operands of one graph by operands of equal shape. False with the error recorded. */
static bool broadcast_operands(const coti_infer *infer, cot_value *value, int32_t n) {
    if (shapes_equal(infer, n)) {
        return true;
    }
    cot_shape shape = {.rank = 0};
    for (int32_t i = 0; i < n; i++) {
        int32_t rank = coti_infer_in(infer, i)->shape.rank;
        shape.rank = rank > shape.rank ? rank : shape.rank;
    }
    for (int32_t i = 0; i < shape.rank; i++) {
        shape.dim[i] = 1;
    }
    for (int32_t i = 0; i < n; i++) {
        if (join_shape(infer, &coti_infer_in(infer, i)->shape, &shape) != COT_OK) {
            return false;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        const cot_shape from = coti_infer_in(infer, i)->shape;
        int32_t axes[COT_MAX_RANK];
        for (int32_t j = 0; j < from.rank; j++) {
            axes[j] = shape.rank - from.rank + j;
        }
        if (!coti_shape_equal(&from, &shape)) {
            value[i] = cot_op_broadcast(value[i], shape, axes, from.rank);
        }
        if (value[i].graph == NULL) {
            return false;
        }
    }
    return true;
}

/* Broadcast the operands, whose dtypes from operand `typed` on must be equal, and add the node. */
static cot_value add_broadcast(cot_op op, cot_value *value, int32_t n, int32_t typed) {
    cot_graph *graph = coti_graph_of(cot_op_name(op), value, n);
    if (graph == NULL) {
        return coti_poison();
    }
    coti_operands operands;
    coti_operands_fill(&operands, graph, op, value, n);
    if (coti_infer_same_dtype(&operands.infer, typed, n - 1) != COT_OK ||
        !broadcast_operands(&operands.infer, value, n)) {
        return coti_poison();
    }
    return coti_graph_add(graph, op, value, n, NULL, COT_F32, NULL);
}

/* ---- elementwise ---- */

/* Is `op` an elementwise operation of n operands? Records COT_E_ARG if not. */
static bool check_elementwise(cot_graph *graph, cot_op op, int32_t n, const char *what) {
    bool known = (size_t)op < COT_OP_COUNT;
    coti_kind kind = known ? coti_op_table[op].kind : COTI_KIND_OTHER;
    if ((kind == COTI_KIND_ELEMWISE || kind == COTI_KIND_COMPARE) &&
        coti_op_table[op].n_inputs == n) {
        return true;
    }
    if (graph != NULL) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, cot_op_name(op), graph->layer,
                     "operation %d is no %s elementwise operation", (int)op, what);
    }
    return false;
}

cot_value cot_op_unary(cot_op op, cot_value x) {
    if (!check_elementwise(x.graph, op, 1, "unary")) {
        return coti_poison();
    }
    return coti_graph_add(x.graph, op, &x, 1, NULL, COT_F32, NULL);
}

cot_value cot_op_binary(cot_op op, cot_value a, cot_value b) {
    if (!check_elementwise(a.graph != NULL ? a.graph : b.graph, op, 2, "binary")) {
        return coti_poison();
    }
    cot_value value[2] = {a, b};
    return add_broadcast(op, value, 2, 0);
}

cot_value cot_op_select(cot_value condition, cot_value a, cot_value b) {
    cot_value value[3] = {condition, a, b};
    return add_broadcast(COT_OP_SELECT, value, 3, 1);
}

cot_value cot_op_cast(cot_value x, cot_dtype dtype) {
    return coti_graph_add(x.graph, COT_OP_CAST, &x, 1, NULL, dtype, NULL);
}

cot_value cot_op_stop_gradient(cot_value x) {
    return cot_op_unary(COT_OP_STOP_GRADIENT, x);
}
