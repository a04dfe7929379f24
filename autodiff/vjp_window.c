/*
 * Gradient rule of windows: their overlap-add.
 *
 * It goes along one axis at a time, so that the number of nodes grows with the sum of a window's
 * extents, not with their product. Along an axis whose windows are disjoint nothing is added:
 * positions and elements inside are one axis, cut apart. The requirements on a rule stand in vjp.h.
 */
#include "vjp.h"

#include "graph/infer.h"
#include "graph/window.h"

static cot_value reshape_to(cot_value x, const cot_shape *shape) {
    cot_shape now = cot_value_shape(x);
    return coti_shape_equal(&now, shape) ? x : cot_op_reshape(x, *shape);
}

/* One axis of windows: positions on axis `o` of g, elements inside on axis `k` > o. */
typedef struct window_axis {
    int32_t o, k;
    int64_t extent; /* of the tensor that the windows lie in */
    int64_t size, stride, dilation;
} window_axis;

/* g in place at offset `at` of the extent along axis o. */
static cot_value place_along(cot_value g, int32_t o, int64_t at, int64_t extent) {
    cot_shape shape = cot_value_shape(g);
    int64_t offset[COT_MAX_RANK] = {0};
    shape.dim[o] = extent;
    offset[o] = at;
    return coti_place(g, offset, shape.dim);
}

/* Windows that touch and do not overlap. */
static cot_value join(cot_value g, const window_axis *w) {
    cot_shape shape = cot_value_shape(g);
    cot_shape joined = {.rank = 0, .batched = shape.batched};
    int32_t order[COT_MAX_RANK];
    int32_t n = 0;
    for (int32_t a = 0; a < shape.rank; a++) {
        if (a == w->k) {
            continue;
        }
        order[n++] = a;
        joined.dim[joined.rank++] = shape.dim[a] * (a == w->o ? w->size : 1);
        if (a == w->o) {
            order[n++] = w->k;
        }
    }
    cot_value adjacent = w->k == w->o + 1 ? g : cot_op_permute(g, order, n);
    return place_along(reshape_to(adjacent, &joined), w->o, 0, w->extent);
}

/* Element `tap` of each window, in its place. */
static cot_value place_tap(cot_value g, const window_axis *w, int64_t tap) {
    cot_shape shape = cot_value_shape(g);
    int64_t start[COT_MAX_RANK] = {0};
    int64_t ones[COT_MAX_RANK];
    for (int32_t a = 0; a < shape.rank; a++) {
        ones[a] = 1;
    }
    start[w->k] = tap;
    shape.dim[w->k] = 1;
    cot_value part = w->size == 1 ? g : cot_op_slice(g, start, shape.dim, ones);
    cot_shape without = coti_shape_drop(&shape, (uint32_t)1 << w->k);
    /* A single window has no neighbour to keep away from. */
    int64_t stride = shape.dim[w->o] == 1 ? 1 : w->stride;
    part = coti_dilate(reshape_to(part, &without), w->o, stride);
    return place_along(part, w->o, tap * w->dilation, w->extent);
}

static cot_value overlap_add_axis(cot_value g, const window_axis *w) {
    if (w->stride == w->size && w->dilation == 1) {
        return join(g, w);
    }
    cot_value sum = place_tap(g, w, 0);
    for (int64_t tap = 1; tap < w->size && sum.graph != NULL; tap++) {
        sum = coti_make_add(sum, place_tap(g, w, tap));
    }
    return sum;
}

cot_value coti_overlap_add(cot_value g, const coti_attr_WINDOW *attr, const cot_shape *shape) {
    cot_shape windows = cot_value_shape(g);
    int32_t n = attr->size.n;
    if (g.graph == NULL || coti_shape_is_empty(&windows)) {
        return g.graph == NULL ? g : coti_zeros(g, *shape);
    }
    for (int32_t i = 0; i < n && g.graph != NULL; i++) {
        const window_axis w = {.o = attr->axis + i,
                               .k = attr->axis + n, /* the axes inside go, one after the other */
                               .extent = shape->dim[attr->axis + i],
                               .size = attr->size.v[i],
                               .stride = attr->stride.v[i],
                               .dilation = attr->dilation.v[i]};
        g = overlap_add_axis(g, &w);
    }
    return g;
}

/* Reads nothing. */
void coti_vjp_WINDOW(const coti_vjp *v, cot_value *grad) {
    cot_shape shape = cot_value_shape(v->input[0]);
    grad[0] = coti_overlap_add(v->g, v->node.attr, &shape);
}
