/*
 * Builders of reductions, products, indexing, random numbers and composites.
 */
#include "build.h"

#include <string.h>

/* ---- reductions ---- */

/* y has lost the axes; give them back with extent 1. */
static cot_value keep_axes(cot_value y, const cot_shape *before, const coti_attr_AXES_type *axes) {
    cot_shape shape = *before;
    for (int32_t i = 0; i < axes->n; i++) {
        shape.batched = shape.batched && axes->v[i] != 0;
        shape.dim[axes->v[i]] = 1;
    }
    return cot_op_reshape(y, shape);
}

/* A composite that has axes reduces them, as the rows of kind REDUCE do. */
static bool is_reduction(cot_op op) {
    if ((size_t)op >= COT_OP_COUNT) {
        return false;
    }
    const coti_op_info *info = &coti_op_table[op];
    return info->kind == COTI_KIND_REDUCE ||
           (info->kind == COTI_KIND_COMPOSITE && info->attr == COTI_ATTR_AXES);
}

cot_value cot_op_reduce(cot_op op, cot_value x, const int32_t *axes, int32_t n_axes, bool keep) {
    coti_attr_AXES attr = {0};
    cot_graph *graph = coti_graph_of(cot_op_name(op), &x, 1);
    if (graph == NULL) {
        return coti_poison();
    }
    if (!is_reduction(op)) {
        COTI_OP_FAIL(graph->context, COT_E_ARG, cot_op_name(op), graph->layer,
                     "operation %d is no reduction", (int)op);
        return coti_poison();
    }
    if (!coti_build_axes(op, x, axes, n_axes, true, &attr.axes)) {
        return coti_poison();
    }
    const cot_shape before = coti_node_of(x)->shape;
    cot_value y = coti_graph_add(graph, op, &x, 1, &attr, COT_F32, NULL);
    return keep && n_axes > 0 && y.graph != NULL ? keep_axes(y, &before, &attr.axes) : y;
}

/* Elements summed into one, in x's dtype: the product of the extents, times N if that is summed. */
static cot_value summed_elements(cot_value x, const coti_attr_AXES_type *axes) {
    const cot_shape shape = coti_node_of(x)->shape;
    cot_dtype dtype = cot_value_dtype(x);
    int64_t count = 1;
    bool rows = false;
    for (int32_t i = 0; i < axes->n; i++) {
        /* Cannot overflow: a part of x's own element count, or 0. */
        count *= shape.dim[axes->v[i]];
        rows = rows || coti_axis_batched(&shape, axes->v[i]);
    }
    if (!rows) {
        return cot_op_constant(x.graph, dtype, (double)count);
    }
    cot_value n = cot_op_rows(x.graph);
    if (count != 1) {
        n = cot_op_binary(COT_OP_MUL, n, cot_op_constant(x.graph, COT_I64, (double)count));
    }
    return cot_op_cast(n, dtype);
}

cot_value cot_op_mean(cot_value x, const int32_t *axes, int32_t n_axes, bool keep) {
    coti_attr_AXES attr = {0};
    cot_graph *graph = coti_graph_of("mean", &x, 1);
    if (graph == NULL) {
        return coti_poison();
    }
    cot_dtype dtype = cot_value_dtype(x);
    if (dtype != COT_F32 && dtype != COT_F64) {
        char type[COTI_TYPE_BYTES];
        COTI_OP_FAIL(graph->context, COT_E_DTYPE, "mean", graph->layer,
                     "x must be f32 or f64: x is %s",
                     coti_type_text(type, dtype, &coti_node_of(x)->shape));
        return coti_poison();
    }
    cot_value sum = cot_op_reduce(COT_OP_SUM, x, axes, n_axes, keep);
    if (sum.graph == NULL || !coti_build_axes(COT_OP_SUM, x, axes, n_axes, true, &attr.axes)) {
        return coti_poison();
    }
    return cot_op_binary(COT_OP_DIV, sum, summed_elements(x, &attr.axes));
}

static cot_value place_of(cot_op op, cot_value x, int32_t axis) {
    if (coti_graph_of(cot_op_name(op), &x, 1) == NULL) {
        return coti_poison();
    }
    const coti_attr_AXIS attr = {.axis = coti_build_axis(x, axis)};
    return coti_graph_add(x.graph, op, &x, 1, &attr, COT_F32, NULL);
}

cot_value cot_op_argmax(cot_value x, int32_t axis) {
    return place_of(COT_OP_ARGMAX, x, axis);
}

cot_value cot_op_argmin(cot_value x, int32_t axis) {
    return place_of(COT_OP_ARGMIN, x, axis);
}

/* ---- products ---- */

static void copy_axes(coti_attr_AXES_type *to, const int32_t *from, int32_t n) {
    to->n = n;
    memcpy(to->v, from, (size_t)n * sizeof *from);
}

cot_value cot_op_dot(cot_value a, cot_value b, const cot_dot_axes *axes) {
    const cot_value both[2] = {a, b};
    cot_graph *graph = coti_graph_of("dot", both, 2);
    if (graph == NULL) {
        return coti_poison();
    }
    if (axes == NULL || axes->n_batch < 0 || axes->n_batch > COT_MAX_RANK || axes->n_contract < 0 ||
        axes->n_contract > COT_MAX_RANK) {
        coti_operands operands;
        coti_operands_fill(&operands, graph, COT_OP_DOT, both, 2);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "axes are NULL, or their number is not 0..%d",
                        COT_MAX_RANK);
        return coti_poison();
    }
    coti_attr_DOT attr = {0};
    copy_axes(&attr.a_batch, axes->a_batch, axes->n_batch);
    copy_axes(&attr.b_batch, axes->b_batch, axes->n_batch);
    copy_axes(&attr.a_contract, axes->a_contract, axes->n_contract);
    copy_axes(&attr.b_contract, axes->b_contract, axes->n_contract);
    return coti_graph_add(graph, COT_OP_DOT, both, 2, &attr, COT_F32, NULL);
}

cot_value cot_op_matmul(cot_value a, cot_value b) {
    const cot_value both[2] = {a, b};
    cot_graph *graph = coti_graph_of("matmul", both, 2);
    if (graph == NULL) {
        return coti_poison();
    }
    int32_t a_rank = coti_node_of(a)->shape.rank;
    int32_t b_rank = coti_node_of(b)->shape.rank;
    if (a_rank < 1 || b_rank < 2 || a_rank < b_rank - 1) {
        coti_operands operands;
        coti_operands_fill(&operands, graph, COT_OP_DOT, both, 2);
        COTI_INFER_FAIL(&operands.infer, COT_E_SHAPE,
                        "a matrix product needs b of rank 2 or more and a of at least that less 1");
        return coti_poison();
    }
    cot_dot_axes axes = {.n_batch = b_rank - 2, .n_contract = 1};
    for (int32_t i = 0; i < axes.n_batch; i++) {
        axes.a_batch[i] = i;
        axes.b_batch[i] = i;
    }
    axes.a_contract[0] = a_rank - 1;
    axes.b_contract[0] = b_rank - 2;
    return cot_op_dot(a, b, &axes);
}

/* ---- indexing, random ---- */

cot_value cot_op_one_hot(cot_value index, int64_t depth, cot_dtype dtype) {
    if (coti_graph_of("one_hot", &index, 1) == NULL) {
        return coti_poison();
    }
    cot_shape shape = coti_node_of(index)->shape;
    if (shape.rank == COT_MAX_RANK) {
        coti_operands operands;
        coti_operands_fill(&operands, index.graph, COT_OP_ONE_HOT, &index, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_SHAPE, "the result would have more than %d axes",
                        COT_MAX_RANK);
        return coti_poison();
    }
    shape.dim[shape.rank++] = depth;
    return coti_graph_add(index.graph, COT_OP_ONE_HOT, &index, 1, NULL, dtype, &shape);
}

cot_value cot_op_random(cot_value seed, cot_value step, cot_dtype dtype, cot_shape shape,
                        cot_distribution distribution, int64_t stream) {
    const cot_value both[2] = {seed, step};
    const coti_attr_RANDOM attr = {.distribution = distribution, .stream = stream};
    cot_graph *graph = coti_graph_of("random", both, 2);
    return coti_graph_add(graph, COT_OP_RANDOM, both, 2, &attr, dtype, &shape);
}

/* ---- composites ---- */

cot_value cot_op_softmax(cot_value x) {
    return coti_graph_add(x.graph, COT_OP_SOFTMAX, &x, 1, NULL, COT_F32, NULL);
}

cot_value cot_op_log_softmax(cot_value x) {
    return coti_graph_add(x.graph, COT_OP_LOG_SOFTMAX, &x, 1, NULL, COT_F32, NULL);
}

cot_value cot_op_softmax_cross_entropy(cot_value target, cot_value logits) {
    const cot_value both[2] = {target, logits};
    cot_graph *graph = coti_graph_of("softmax_xent", both, 2);
    return coti_graph_add(graph, COT_OP_SOFTMAX_XENT, both, 2, NULL, COT_F32, NULL);
}
