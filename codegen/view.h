/*
 * Views as strides: where the elements of a node lie in the memory of the node that it views.
 *
 * Every view but CONCAT is affine: element [i0, i1, ..] lies at offset + sum i_a * stride_a of its
 * root, a node that is no view. A RESHAPE is affine only if its operand's strides merge and split
 * accordingly, a PAD only if the paddings under it fill with the same number, a WINDOW only if its
 * axes are not padded (bounds are of one axis each): where they do not, prepare.c has put a copy
 * under them, so that in a prepared graph every view has this form. Under a WINDOW two axes may run
 * along one of the root, so an element may be several of the view's.
 *
 * Axes of extent 1 (but a batched one) are not live: they have stride 0 and are left out of every
 * comparison.
 */
#ifndef COTI_VIEW_H
#define COTI_VIEW_H

#include "graph/graph.h"

/* From PAD: elements with an index outside of lo <= i < hi on a bounded axis are `fill`. */
typedef struct coti_bounds {
    uint32_t axes; /* bit a: axis a is bounded */
    bool nowhere;  /* every element is `fill` */
    int64_t lo[COT_MAX_RANK], hi[COT_MAX_RANK];
    double fill;
} coti_bounds;

typedef struct coti_view {
    uint32_t root;
    int64_t offset;
    int64_t stride[COT_MAX_RANK]; /* of each axis of the view's shape */
    const coti_bounds *bounds;    /* NULL: none */
} coti_view;

/* The views of a graph's nodes, computed in order of making and kept up by coti_views_extend. */
typedef struct coti_views {
    cot_context *context;
    const cot_graph *graph;
    coti_arena arena; /* owns the bounds */
    COTI_VEC(coti_view) view;
} coti_views;

void coti_views_init(coti_views *views, const cot_graph *graph);
void coti_views_free(coti_views *views);

/* Compute the views of nodes made since. COT_E_INTERNAL for a view that is not affine. */
cot_status coti_views_extend(coti_views *views);
/* To the first n nodes. */
cot_status coti_views_extend_to(coti_views *views, size_t n);

/* The view of a node that has been extended to; of one that is no view, its own memory. Views move
 * when more are made. */
static inline const coti_view *coti_view_at(const coti_views *views, uint32_t id) {
    return &views->view.data[id];
}

/* Would a RESHAPE of x to this shape, or this PAD or WINDOW of x, be affine? */
bool coti_view_can_reshape(const coti_views *views, uint32_t x, const cot_shape *shape);
bool coti_view_can_pad(const coti_views *views, uint32_t x, const coti_attr_PAD *attr);
bool coti_view_can_window(const coti_views *views, uint32_t x, const coti_attr_WINDOW *attr);

static inline bool coti_axis_live(const cot_shape *shape, int32_t axis) {
    return shape->dim[axis] != 1 || (axis == 0 && shape->batched);
}

/* Are they the same number: -0 is not 0, and a NaN is itself? */
bool coti_same_bits(double a, double b);

/* Row-major strides of a shape, per row of the batch. */
void coti_view_dense(const cot_shape *shape, int64_t stride[COT_MAX_RANK]);

/*
 * Is `view` a rearrangement of `base`, whose axes it may permute and repeat? Then axis_out[j] is
 * the view's axis that runs along axis j of base (-1: j is not live), and axes of the view not
 * named have stride 0. False too if their roots differ, or an element is left out or padded. Where
 * both are the very same view, the shapes are one's too, but for axes of stride 0 that one may have
 * behind the other's.
 */
bool coti_view_match(const coti_view *view, const cot_shape *view_shape, const coti_view *base,
                     const cot_shape *base_shape, int8_t axis_out[COT_MAX_RANK]);

/* Axes that act as one: its extent (per row if the first is batched) and stride. */
typedef struct coti_run {
    int64_t extent, stride;
} coti_run;

/* Do these axes, in this order, make one axis? No live axis: extent 1, stride 0; an empty one:
 * extent 0. False if bounded. */
bool coti_view_collapse(const coti_view *view, const cot_shape *shape, const int32_t *axis,
                        int32_t n_axes, coti_run *run_out);

#endif
