/*
 * Gradient rules of the views and the reductions. A view's rule reads nothing: it moves the
 * cotangent back to where the elements came from. The requirements on a rule stand in vjp.h.
 */
#include "vjp.h"

#include "graph/window.h"

/* x under another shape; x itself if it has that shape. */
static cot_value reshape_to(cot_value x, const cot_shape *shape) {
    cot_shape now = cot_value_shape(x);
    return coti_shape_equal(&now, shape) ? x : cot_op_reshape(x, *shape);
}

/* ---- same elements ---- */

void coti_vjp_RESHAPE(const coti_vjp *v, cot_value *grad) {
    grad[0] = cot_op_reshape(v->g, cot_value_shape(v->input[0]));
}

/* By the inverse permutation. */
void coti_vjp_PERMUTE(const coti_vjp *v, cot_value *grad) {
    const coti_attr_AXES *attr = v->node.attr;
    int32_t inverse[COT_MAX_RANK];
    for (int32_t i = 0; i < attr->axes.n; i++) {
        inverse[attr->axes.v[i]] = i;
    }
    grad[0] = cot_op_permute(v->g, inverse, attr->axes.n);
}

void coti_vjp_FLIP(const coti_vjp *v, cot_value *grad) {
    const coti_attr_AXES *attr = v->node.attr;
    grad[0] = cot_op_flip(v->g, attr->axes.v, attr->axes.n);
}

void coti_vjp_BARRIER(const coti_vjp *v, cot_value *grad) {
    grad[0] = v->g;
}

/* ---- broadcast and sum ---- */

/* Does the result's axis repeat elements of x, which is the result's axis `axis` in x's axis
 * `from` (-1: in none)? */
static bool repeats(const cot_shape *x, int32_t from, const cot_shape *result, int32_t axis) {
    bool is_rows = axis == 0 && result->batched;
    if (from < 0) {
        return is_rows || result->dim[axis] != 1;
    }
    bool was_rows = from == 0 && x->batched;
    return is_rows != was_rows || x->dim[from] != result->dim[axis];
}

/* Sum over the axes that repeat elements; the one place where a broadcast is undone. */
void coti_vjp_BROADCAST(const coti_vjp *v, cot_value *grad) {
    const coti_attr_AXES *attr = v->node.attr;
    cot_shape shape = cot_value_shape(v->input[0]);
    int32_t from[COT_MAX_RANK];
    for (int32_t i = 0; i < v->node.shape.rank; i++) {
        from[i] = -1;
    }
    for (int32_t i = 0; i < attr->axes.n; i++) {
        from[attr->axes.v[i]] = i;
    }
    int32_t axes[COT_MAX_RANK];
    int32_t n_axes = 0;
    for (int32_t i = 0; i < v->node.shape.rank; i++) {
        if (repeats(&shape, from[i], &v->node.shape, i)) {
            axes[n_axes++] = i;
        }
    }
    cot_value sum = n_axes == 0 ? v->g : cot_op_reduce(COT_OP_SUM, v->g, axes, n_axes, false);
    grad[0] = reshape_to(sum, &shape);
}

/* Repeat a reduction's result (its cotangent, say) along the axes that were reduced. */
static cot_value unreduce(const coti_vjp *v, cot_value reduced) {
    const coti_attr_AXES *attr = v->node.attr;
    cot_shape shape = cot_value_shape(v->input[0]);
    bool is_reduced[COT_MAX_RANK] = {false};
    for (int32_t i = 0; i < attr->axes.n; i++) {
        is_reduced[attr->axes.v[i]] = true;
    }
    int32_t kept[COT_MAX_RANK];
    int32_t n_kept = 0;
    for (int32_t i = 0; i < shape.rank; i++) {
        if (!is_reduced[i]) {
            kept[n_kept++] = i;
        }
    }
    return cot_op_broadcast(reduced, shape, kept, n_kept);
}

/* Reads nothing. */
void coti_vjp_SUM(const coti_vjp *v, cot_value *grad) {
    grad[0] = unreduce(v, v->g);
}

/* g / (number of maxima) at each maximum, 0 elsewhere. Reads x and y. A NaN equals nothing: 0. */
void coti_vjp_REDUCE_MAX(const coti_vjp *v, cot_value *grad) {
    const coti_attr_AXES *attr = v->node.attr;
    cot_value is_max = cot_op_binary(COT_OP_EQ, v->input[0], unreduce(v, v->output));
    cot_value count = cot_op_reduce(COT_OP_SUM, cot_op_cast(is_max, cot_value_dtype(v->g)),
                                    attr->axes.v, attr->axes.n, false);
    cot_value share = unreduce(v, coti_make_div(v->g, count));
    grad[0] = cot_op_select(is_max, share, coti_make_scalar(v, 0.0));
}

/* ---- parts ---- */

static cot_value slice_rank(cot_value x, const int64_t *start, const cot_shape *shape) {
    int64_t ones[COT_MAX_RANK];
    for (int32_t i = 0; i < COT_MAX_RANK; i++) {
        ones[i] = 1;
    }
    return cot_op_slice(x, start, shape->dim, ones);
}

/*
 * Each element of g back to its place, zeros in between and around. The last stride may reach past
 * the end of x: those zeros are cut off.
 */
void coti_vjp_SLICE(const coti_vjp *v, cot_value *grad) {
    const coti_attr_SLICE *attr = v->node.attr;
    cot_shape shape = cot_value_shape(v->input[0]);
    cot_shape fit = v->node.shape;
    if (coti_shape_is_empty(&fit)) {
        grad[0] = cot_op_broadcast(coti_make_scalar(v, 0.0), shape, NULL, 0);
        return;
    }
    cot_value g = v->g;
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    int64_t zero[COT_MAX_RANK] = {0};
    bool cut = false;
    bool pad = false;
    for (int32_t i = 0; i < shape.rank; i++) {
        int64_t room = shape.dim[i] - attr->start.v[i];
        if (attr->stride.v[i] > 1 && fit.dim[i] > 1) {
            g = coti_dilate(g, i, attr->stride.v[i]);
            fit.dim[i] *= attr->stride.v[i];
            cut = cut || fit.dim[i] > room;
        }
        fit.dim[i] = fit.dim[i] < room ? fit.dim[i] : room;
        low[i] = attr->start.v[i];
        high[i] = room - fit.dim[i];
        pad = pad || low[i] > 0 || high[i] > 0;
    }
    g = cut ? slice_rank(g, zero, &fit) : g;
    grad[0] = pad ? cot_op_pad(g, low, high, 0.0) : g;
}

/* The part of g over x. */
void coti_vjp_PAD(const coti_vjp *v, cot_value *grad) {
    const coti_attr_PAD *attr = v->node.attr;
    cot_shape shape = cot_value_shape(v->input[0]);
    grad[0] = slice_rank(v->g, attr->low.v, &shape);
}

/* To each operand its part of g. */
void coti_vjp_CONCAT(const coti_vjp *v, cot_value *grad) {
    const coti_attr_AXIS *attr = v->node.attr;
    int64_t start[COT_MAX_RANK] = {0};
    for (int32_t i = 0; i < v->node.n_inputs; i++) {
        cot_shape shape = cot_value_shape(v->input[i]);
        if (v->needs[i]) {
            grad[i] = slice_rank(v->g, start, &shape);
        }
        start[attr->axis] += shape.dim[attr->axis];
    }
}
