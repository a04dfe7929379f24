/*
 * Builders of indexing, order and running sums.
 */
#include "build.h"

cot_value cot_op_gather(cot_value x, cot_value index, int32_t axis, int32_t n_batch) {
    const cot_value both[2] = {x, index};
    cot_graph *graph = coti_graph_of("gather", both, 2);
    if (graph == NULL) {
        return coti_poison();
    }
    const coti_attr_GATHER attr = {.axis = coti_build_axis(x, axis), .n_batch = n_batch};
    return coti_graph_add(graph, COT_OP_GATHER, both, 2, &attr, COT_F32, NULL);
}

cot_value cot_op_scatter_add(cot_value updates, cot_value index, int32_t axis, int32_t n_batch,
                             int64_t extent) {
    const cot_value both[2] = {updates, index};
    cot_graph *graph = coti_graph_of("scatter_add", both, 2);
    if (graph == NULL) {
        return coti_poison();
    }
    if (axis < 0) { /* from the end of the result, whose rank this is if n_batch is right */
        int64_t n_index = (int64_t)coti_node_of(index)->shape.rank - n_batch;
        axis = (int32_t)(axis + coti_node_of(updates)->shape.rank - n_index + 1);
    }
    const coti_attr_SCATTER attr = {.axis = axis, .n_batch = n_batch, .extent = extent};
    return coti_graph_add(graph, COT_OP_SCATTER_ADD, both, 2, &attr, COT_F32, NULL);
}

/* ---- take_along_axis ---- */

static bool equal_but_for(const cot_shape *a, const cot_shape *b, int32_t axis) {
    bool equal = a->rank == b->rank;
    for (int32_t i = 0; i < a->rank && equal; i++) {
        equal = i == axis || coti_axis_equal(a, i, b, i);
    }
    return equal;
}

/* The axis last, the others in order; or back from there. */
static cot_value move_axis(cot_value x, int32_t axis, bool back) {
    int32_t order[COT_MAX_RANK];
    int32_t rank = cot_value_shape(x).rank;
    for (int32_t i = 0; i < rank; i++) {
        int32_t from = i < axis ? i : i == rank - 1 ? axis : i + 1;
        order[back ? from : i] = back ? i : from;
    }
    return axis == rank - 1 ? x : cot_op_permute(x, order, rank);
}

cot_value cot_op_take_along_axis(cot_value x, cot_value index, int32_t axis) {
    const cot_value both[2] = {x, index};
    cot_graph *graph = coti_graph_of("take_along_axis", both, 2);
    if (graph == NULL) {
        return coti_poison();
    }
    const cot_shape shape = coti_node_of(x)->shape;
    axis = coti_build_axis(x, axis);
    if (axis < 0 || axis >= shape.rank ||
        !equal_but_for(&shape, &coti_node_of(index)->shape, axis)) {
        coti_operands operands;
        coti_operands_fill(&operands, graph, COT_OP_GATHER, both, 2);
        COTI_INFER_FAIL(&operands.infer, COT_E_SHAPE,
                        "take_along_axis needs extents that are equal but for axis %d", axis);
        return coti_poison();
    }
    if (coti_axis_batched(&shape, axis) || coti_axis_batched(&coti_node_of(index)->shape, axis)) {
        coti_operands operands;
        coti_operands_fill(&operands, graph, COT_OP_GATHER, both, 2);
        COTI_INFER_FAIL(&operands.infer, COT_E_SHAPE,
                        "take_along_axis: the batched axis cannot be gathered along");
        return coti_poison();
    }
    cot_value y = cot_op_gather(move_axis(x, axis, false), move_axis(index, axis, false),
                                shape.rank - 1, shape.rank - 1);
    return move_axis(y, axis, true);
}

/* ---- dynamic places ---- */

cot_value cot_op_dynamic_slice(cot_value x, cot_value start, int32_t axis, int64_t size) {
    const cot_value both[2] = {x, start};
    cot_graph *graph = coti_graph_of("dynamic_slice", both, 2);
    if (graph == NULL) {
        return coti_poison();
    }
    const coti_attr_DYNAMIC_SLICE attr = {.axis = coti_build_axis(x, axis), .size = size};
    return coti_graph_add(graph, COT_OP_DYNAMIC_SLICE, both, 2, &attr, COT_F32, NULL);
}

cot_value cot_op_dynamic_update(cot_value x, cot_value update, cot_value start, int32_t axis) {
    const cot_value all[3] = {x, update, start};
    cot_graph *graph = coti_graph_of("dynamic_update", all, 3);
    if (graph == NULL) {
        return coti_poison();
    }
    const coti_attr_AXIS attr = {.axis = coti_build_axis(x, axis)};
    return coti_graph_add(graph, COT_OP_DYNAMIC_UPDATE, all, 3, &attr, COT_F32, NULL);
}

/* ---- order, running sums ---- */

cot_value cot_op_argsort(cot_value x, bool descending) {
    if (coti_graph_of("argsort", &x, 1) == NULL) {
        return coti_poison();
    }
    const coti_attr_ARGSORT attr = {.descending = descending};
    return coti_graph_add(x.graph, COT_OP_ARGSORT, &x, 1, &attr, COT_F32, NULL);
}

/* x's elements at places of its last axis. */
static cot_value take_last(cot_value x, cot_value places) {
    if (places.graph == NULL) {
        return coti_poison();
    }
    int32_t last = coti_node_of(x)->shape.rank - 1;
    return cot_op_gather(x, places, last, last);
}

cot_value cot_op_sort(cot_value x, bool descending) {
    return take_last(x, cot_op_argsort(x, descending));
}

/* The first k along the last axis. */
static cot_value first_of_last(cot_value x, int64_t k) {
    const cot_shape shape = coti_node_of(x)->shape;
    int64_t start[COT_MAX_RANK] = {0}, size[COT_MAX_RANK], stride[COT_MAX_RANK];
    for (int32_t a = 0; a < shape.rank; a++) {
        size[a] = a + 1 == shape.rank ? k : shape.dim[a];
        stride[a] = 1;
    }
    return cot_op_slice(x, start, size, stride);
}

void cot_op_top_k(cot_value x, int64_t k, cot_value *values_out, cot_value *indices_out) {
    *values_out = *indices_out = coti_poison();
    cot_value order = cot_op_argsort(x, true);
    if (order.graph == NULL) {
        return;
    }
    int32_t last = coti_node_of(x)->shape.rank - 1;
    if (k < 0 || k > coti_node_of(x)->shape.dim[last]) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, COT_OP_ARGSORT, &x, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_SHAPE, "top_k: k %lld must be within 0..%lld",
                        (long long)k, (long long)coti_node_of(x)->shape.dim[last]);
        return;
    }
    cot_value places = first_of_last(order, k);
    cot_value values = take_last(x, places);
    if (values.graph != NULL) {
        *values_out = values;
        *indices_out = places;
    }
}

cot_value cot_op_cumsum(cot_value x, int32_t axis) {
    if (coti_graph_of("cumsum", &x, 1) == NULL) {
        return coti_poison();
    }
    const coti_attr_AXIS attr = {.axis = coti_build_axis(x, axis)};
    return coti_graph_add(x.graph, COT_OP_CUMSUM, &x, 1, &attr, COT_F32, NULL);
}
