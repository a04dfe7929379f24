/*
 * Gradient rule of the maximum pool (graph/pool.h): back through its stages, first spatial axis to
 * last. Along each, the cotangent of a position goes to the first maximum of its windows, and
 * overlapping windows add up. The stages are those of the decomposition, so that a compiler finds
 * them made. The requirements on a rule stand in vjp.h.
 */
#include "vjp.h"

#include "graph/pool.h"
#include "graph/window.h"

#include <math.h>

/* x repeated along a new axis. */
static cot_value repeat_axis(cot_value x, int32_t axis, cot_shape shape) {
    int32_t axes[COT_MAX_RANK];
    for (int32_t i = 0; i + 1 < shape.rank; i++) {
        axes[i] = i < axis ? i : i + 1;
    }
    return cot_op_broadcast(x, shape, axes, shape.rank - 1);
}

/* g at the first maximum of windows along `axis`, 0 at their other elements. A NaN is a maximum. */
static cot_value to_first_maximum(const coti_vjp *v, cot_value g, cot_value windows, int32_t axis) {
    cot_shape shape = cot_value_shape(windows);
    cot_value first = repeat_axis(cot_op_argmax(windows, axis), axis, shape);
    cot_value place = cot_op_iota(v->graph, COT_I32, shape, axis);
    return cot_op_select(cot_op_binary(COT_OP_EQ, place, first), repeat_axis(g, axis, shape),
                         coti_make_scalar(v, 0.0));
}

/* Reads x. */
void coti_vjp_MAX_POOL(const coti_vjp *v, cot_value *grad) {
    const coti_attr_POOL *attr = v->node.attr;
    int32_t n = attr->size.n;
    cot_value stage[COT_MAX_SPATIAL + 1]; /* what has windows along axis i is stage[i + 1] */
    int64_t start[COT_MAX_RANK] = {0};
    int64_t ones[COT_MAX_RANK];
    if (coti_shape_is_empty(&v->node.shape)) { /* its windows may be larger than any tensor */
        grad[0] = coti_zeros(v->input[0], cot_value_shape(v->input[0]));
        return;
    }
    stage[n] = coti_pool_pad(v->input[0], attr, -INFINITY);
    for (int32_t i = n - 1; i > 0; i--) {
        stage[i] = coti_pool_reduce(COT_OP_REDUCE_MAX, coti_pool_windows(stage[i + 1], attr, i), i);
    }
    cot_value g = v->g;
    for (int32_t i = 0; i < n; i++) {
        const coti_attr_WINDOW window = coti_pool_window(attr, i);
        cot_shape shape = cot_value_shape(stage[i + 1]);
        cot_value windows = coti_pool_windows(stage[i + 1], attr, i);
        g = coti_overlap_add(to_first_maximum(v, g, windows, i + 2), &window, &shape);
        start[i + 1] = attr->low.v[i];
    }
    for (int32_t a = 0; a < COT_MAX_RANK; a++) {
        ones[a] = 1;
    }
    cot_shape shape = cot_value_shape(v->input[0]);
    cot_shape padded = cot_value_shape(g);
    grad[0] = coti_shape_equal(&shape, &padded) ? g : cot_op_slice(g, start, shape.dim, ones);
}
