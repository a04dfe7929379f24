/*
 * Decompositions of pools (decompose.h, pool.h): along one spatial axis after the other, of x
 * padded by what changes neither: -inf under a maximum, 0 under a sum. The mean divides by how many
 * elements of a window are x's own, which is a product of one number each axis.
 */
#include "decompose.h"
#include "pool.h"
#include "window.h"

#include <math.h>

static cot_value reduce_stages(cot_op op, cot_value x, const coti_attr_POOL *attr) {
    for (int32_t i = attr->size.n - 1; i >= 0; i--) {
        x = coti_pool_reduce(op, coti_pool_windows(x, attr, i), i);
    }
    return x;
}

cot_value coti_decompose_MAX_POOL(const coti_node *node, const cot_value *input) {
    const coti_attr_POOL *attr = node->attr;
    if (coti_shape_is_empty(&node->shape)) { /* its windows may be larger than any tensor */
        return coti_zeros(input[0], node->shape);
    }
    return reduce_stages(COT_OP_REDUCE_MAX, coti_pool_pad(input[0], attr, -INFINITY), attr);
}

/* How many elements of the window at position o along axis i are not padding. */
static int64_t own_elements(const coti_attr_POOL *attr, int32_t i, int64_t extent, int64_t o) {
    int64_t first = o * attr->stride.v[i] - attr->low.v[i];
    int64_t end = first + attr->size.v[i];
    first = first < 0 ? 0 : first;
    end = end > extent ? extent : end;
    return end > first ? end - first : 0;
}

/* These numbers along axis i of a tensor like y, extents of 1 elsewhere: [o, 1, .., 1]. */
static cot_value counts_along(cot_graph *graph, const coti_node *node, int32_t i, int64_t extent) {
    const coti_attr_POOL *attr = node->attr;
    int64_t n = node->shape.dim[i + 1];
    cot_shape shape = {.rank = node->shape.rank - i - 1, .dim = {n}};
    double *count = coti_calloc(graph->context, (size_t)n, sizeof *count);
    if (count == NULL) {
        return coti_poison();
    }
    for (int32_t a = 1; a < shape.rank; a++) {
        shape.dim[a] = 1;
    }
    for (int64_t o = 0; o < n; o++) {
        count[o] = (double)own_elements(attr, i, extent, o);
    }
    cot_value counts = cot_op_constant_array(graph, COT_F64, shape, count);
    coti_free(graph->context, count);
    return cot_op_cast(counts, (cot_dtype)node->dtype);
}

cot_value coti_decompose_AVG_POOL(const coti_node *node, const cot_value *input) {
    const coti_attr_POOL *attr = node->attr;
    const cot_shape x = cot_value_shape(input[0]);
    if (coti_shape_is_empty(&node->shape)) {
        return coti_zeros(input[0], node->shape);
    }
    cot_value sum = reduce_stages(COT_OP_SUM, coti_pool_pad(input[0], attr, 0.0), attr);
    double whole = 1; /* along the axes that are not padded */
    cot_value count = coti_poison();
    for (int32_t i = attr->size.n - 1; i >= 0; i--) {
        if (attr->low.v[i] == 0 && attr->high.v[i] == 0) {
            whole *= (double)attr->size.v[i];
            continue;
        }
        cot_value along = counts_along(input[0].graph, node, i, x.dim[i + 1]);
        count = count.graph == NULL ? along : cot_op_binary(COT_OP_MUL, along, count);
        if (count.graph == NULL) {
            return count;
        }
    }
    cot_value rest = cot_op_constant(input[0].graph, (cot_dtype)node->dtype, whole);
    count = count.graph == NULL ? rest : cot_op_binary(COT_OP_MUL, count, rest);
    return cot_op_binary(COT_OP_DIV, sum, count);
}
