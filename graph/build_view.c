/*
 * Builders of views.
 */
#include "build.h"

#include <string.h>

cot_value cot_op_reshape(cot_value x, cot_shape shape) {
    return coti_graph_add(x.graph, COT_OP_RESHAPE, &x, 1, NULL, COT_F32, &shape);
}

cot_value cot_op_permute(cot_value x, const int32_t *axes, int32_t n_axes) {
    coti_attr_AXES attr = {0};
    if (coti_graph_of("permute", &x, 1) == NULL ||
        !coti_build_axes(COT_OP_PERMUTE, x, axes, n_axes, false, &attr.axes)) {
        return coti_poison();
    }
    return coti_graph_add(x.graph, COT_OP_PERMUTE, &x, 1, &attr, COT_F32, NULL);
}

cot_value cot_op_broadcast(cot_value x, cot_shape shape, const int32_t *axes, int32_t n_axes) {
    coti_attr_AXES attr = {0};
    if (coti_graph_of("broadcast", &x, 1) == NULL) {
        return coti_poison();
    }
    /* These axes are the result's: they do not count from the end of x. */
    if (n_axes < 0 || n_axes > COT_MAX_RANK || (n_axes > 0 && axes == NULL)) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, COT_OP_BROADCAST, &x, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "list of %d axes is NULL or too long", n_axes);
        return coti_poison();
    }
    attr.axes.n = n_axes;
    for (int32_t i = 0; i < n_axes; i++) {
        attr.axes.v[i] = axes[i];
    }
    return coti_graph_add(x.graph, COT_OP_BROADCAST, &x, 1, &attr, COT_F32, &shape);
}

/* Copy one number for each axis of x; false with COT_E_ARG recorded if the list is NULL. */
static bool copy_list(cot_op op, cot_value x, const int64_t *list, const char *what,
                      coti_attr_INTS_type *out) {
    out->n = coti_node_of(x)->shape.rank;
    if (out->n > 0 && list == NULL) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, op, &x, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "the list \"%s\" is NULL", what);
        return false;
    }
    for (int32_t i = 0; i < out->n; i++) {
        out->v[i] = list[i];
    }
    return true;
}

cot_value cot_op_slice(cot_value x, const int64_t *start, const int64_t *size,
                       const int64_t *stride) {
    coti_attr_SLICE attr = {0};
    coti_attr_INTS_type sizes = {0};
    if (coti_graph_of("slice", &x, 1) == NULL ||
        !copy_list(COT_OP_SLICE, x, start, "start", &attr.start) ||
        !copy_list(COT_OP_SLICE, x, size, "size", &sizes) ||
        !copy_list(COT_OP_SLICE, x, stride, "stride", &attr.stride)) {
        return coti_poison();
    }
    cot_shape shape = coti_node_of(x)->shape;
    memcpy(shape.dim, sizes.v, sizeof shape.dim);
    return coti_graph_add(x.graph, COT_OP_SLICE, &x, 1, &attr, COT_F32, &shape);
}

cot_value cot_op_pad(cot_value x, const int64_t *low, const int64_t *high, double value) {
    coti_attr_PAD attr = {.value = value};
    if (coti_graph_of("pad", &x, 1) == NULL || !copy_list(COT_OP_PAD, x, low, "low", &attr.low) ||
        !copy_list(COT_OP_PAD, x, high, "high", &attr.high)) {
        return coti_poison();
    }
    return coti_graph_add(x.graph, COT_OP_PAD, &x, 1, &attr, COT_F32, NULL);
}

cot_value cot_op_flip(cot_value x, const int32_t *axes, int32_t n_axes) {
    coti_attr_AXES attr = {0};
    if (coti_graph_of("flip", &x, 1) == NULL ||
        !coti_build_axes(COT_OP_FLIP, x, axes, n_axes, true, &attr.axes)) {
        return coti_poison();
    }
    return coti_graph_add(x.graph, COT_OP_FLIP, &x, 1, &attr, COT_F32, NULL);
}

cot_value cot_op_barrier(cot_value x, int64_t id) {
    const coti_attr_BARRIER attr = {.id = id};
    return coti_graph_add(coti_graph_of("barrier", &x, 1), COT_OP_BARRIER, &x, 1, &attr, COT_F32,
                          NULL);
}

cot_value cot_op_concat(const cot_value *x, int32_t n, int32_t axis) {
    cot_graph *graph = x != NULL && n > 0 ? coti_graph_of("concat", x, n) : NULL;
    if (graph == NULL) {
        return coti_poison();
    }
    const coti_attr_AXIS attr = {.axis = coti_build_axis(x[0], axis)};
    return coti_graph_add(graph, COT_OP_CONCAT, x, n, &attr, COT_F32, NULL);
}
