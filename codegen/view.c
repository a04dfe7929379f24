/*
 * Views as strides (view.h): one rule for each view operation, applied to its operand's view.
 */
#include "view.h"

#include <string.h>

void coti_view_dense(const cot_shape *shape, int64_t stride[COT_MAX_RANK]) {
    int64_t step = 1;
    for (int32_t a = shape->rank - 1; a >= 0; a--) {
        stride[a] = coti_axis_live(shape, a) ? step : 0;
        step *= shape->dim[a] > 1 ? shape->dim[a] : 1;
    }
}

bool coti_same_bits(double a, double b) {
    uint64_t bits[2];
    memcpy(&bits[0], &a, sizeof a);
    memcpy(&bits[1], &b, sizeof b);
    return bits[0] == bits[1];
}

/* ---- bounds ---- */

/* A new view's bounds while they are made. */
typedef struct bounded_view {
    coti_view view;
    bool has_bounds;
    coti_bounds bounds;
} bounded_view;

static bounded_view view_from(const coti_view *x) {
    bounded_view y = {.view = *x, .has_bounds = x->bounds != NULL};
    if (y.has_bounds) {
        y.bounds = *x->bounds;
        y.bounds.axes = 0;
    }
    memset(y.view.stride, 0, sizeof y.view.stride);
    return y;
}

static bool is_bounded(const coti_view *x, int32_t axis) {
    return x->bounds != NULL && (x->bounds->axes >> axis & 1) != 0;
}

/* Axis `axis` of y is bounded by [lo, hi). An axis of one element is inside or the view nowhere. */
static void bound(bounded_view *y, const cot_shape *shape, int32_t axis, int64_t lo, int64_t hi) {
    int64_t extent = shape->dim[axis];
    lo = lo < 0 ? 0 : lo;
    hi = hi > extent ? extent : hi;
    if (coti_axis_live(shape, axis)) {
        y->bounds.axes |= (uint32_t)1 << axis;
        y->bounds.lo[axis] = lo;
        y->bounds.hi[axis] = hi < lo ? lo : hi;
    } else if (lo > 0 || hi < 1) {
        y->bounds.nowhere = true;
    }
}

/* ---- the rules ---- */

static bounded_view permute(const coti_view *x, const cot_shape *shape,
                            const coti_attr_AXES *attr) {
    bounded_view y = view_from(x);
    for (int32_t a = 0; a < attr->axes.n; a++) {
        int32_t from = attr->axes.v[a];
        y.view.stride[a] = x->stride[from];
        if (is_bounded(x, from)) {
            bound(&y, shape, a, x->bounds->lo[from], x->bounds->hi[from]);
        }
    }
    return y;
}

static bounded_view broadcast(const coti_view *x, const cot_shape *x_shape, const cot_shape *shape,
                              const coti_attr_AXES *attr) {
    bounded_view y = view_from(x);
    for (int32_t from = 0; from < attr->axes.n; from++) {
        int32_t a = attr->axes.v[from];
        if (coti_axis_live(x_shape, from)) {
            y.view.stride[a] = x->stride[from];
            if (is_bounded(x, from)) {
                bound(&y, shape, a, x->bounds->lo[from], x->bounds->hi[from]);
            }
        }
    }
    return y;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return a <= 0 ? -(-a / b) : (a + b - 1) / b;
}

static bounded_view slice(const coti_view *x, const cot_shape *shape, const coti_attr_SLICE *attr) {
    bounded_view y = view_from(x);
    for (int32_t a = 0; a < shape->rank; a++) {
        int64_t start = attr->start.v[a];
        int64_t step = attr->stride.v[a];
        y.view.offset += start * x->stride[a];
        y.view.stride[a] = coti_axis_live(shape, a) ? step * x->stride[a] : 0;
        if (is_bounded(x, a)) {
            bound(&y, shape, a, ceil_div(x->bounds->lo[a] - start, step),
                  ceil_div(x->bounds->hi[a] - start, step));
        }
    }
    return y;
}

static bounded_view flip(const coti_view *x, const cot_shape *shape, const coti_attr_AXES *attr) {
    bounded_view y = view_from(x);
    uint32_t flipped = 0;
    for (int32_t i = 0; i < attr->axes.n; i++) {
        flipped |= (uint32_t)1 << attr->axes.v[i];
    }
    for (int32_t a = 0; a < shape->rank; a++) {
        int64_t extent = shape->dim[a];
        bool is_flipped = (flipped >> a & 1) != 0;
        y.view.stride[a] = is_flipped ? -x->stride[a] : x->stride[a];
        y.view.offset += is_flipped ? (extent - 1) * x->stride[a] : 0;
        if (is_bounded(x, a)) {
            int64_t lo = x->bounds->lo[a];
            int64_t hi = x->bounds->hi[a];
            bound(&y, shape, a, is_flipped ? extent - hi : lo, is_flipped ? extent - lo : hi);
        }
    }
    return y;
}

static bool pads_anything(const coti_attr_PAD *attr) {
    bool any = false;
    for (int32_t a = 0; a < attr->low.n; a++) {
        any = any || attr->low.v[a] != 0 || attr->high.v[a] != 0;
    }
    return any;
}

/* False: x is padded with another number already. */
static bool pad(const coti_view *x, const cot_shape *x_shape, const cot_shape *shape,
                const coti_attr_PAD *attr, bounded_view *y_out) {
    bounded_view y = view_from(x);
    if (pads_anything(attr)) {
        if (y.has_bounds && !coti_same_bits(y.bounds.fill, attr->value)) {
            return false;
        }
        y.has_bounds = true;
        y.bounds.fill = attr->value;
    }
    for (int32_t a = 0; a < shape->rank; a++) {
        int64_t low = attr->low.v[a];
        y.view.offset -= low * x->stride[a];
        y.view.stride[a] = x->stride[a];
        if (is_bounded(x, a)) {
            bound(&y, shape, a, x->bounds->lo[a] + low, x->bounds->hi[a] + low);
        } else if (low != 0 || attr->high.v[a] != 0) {
            bound(&y, shape, a, low, low + x_shape->dim[a]);
        }
    }
    *y_out = y;
    return true;
}

static bool windows_bounded(const coti_view *x, const coti_attr_WINDOW *attr) {
    bool any = false;
    for (int32_t i = 0; i < attr->size.n; i++) {
        any = any || is_bounded(x, attr->axis + i);
    }
    return any;
}

/* Positions and elements inside run along the same axis of x. False: it is padded. */
static bool window(const coti_view *x, const cot_shape *x_shape, const cot_shape *shape,
                   const coti_attr_WINDOW *attr, bounded_view *y_out) {
    bounded_view y = view_from(x);
    int32_t n = attr->size.n;
    if (windows_bounded(x, attr)) {
        return false;
    }
    for (int32_t from = 0; from < x_shape->rank; from++) {
        int32_t i = from - attr->axis;
        int32_t a = i < n ? from : from + n;
        if (i >= 0 && i < n) {
            /* The step of one element or none may be past any tensor's end. */
            y.view.stride[a] = shape->dim[a] > 1 ? attr->stride.v[i] * x->stride[from] : 0;
            y.view.stride[a + n] = shape->dim[a + n] > 1 && shape->dim[a] > 0
                                       ? attr->dilation.v[i] * x->stride[from]
                                       : 0;
        } else {
            y.view.stride[a] = x->stride[from];
            if (is_bounded(x, from)) {
                bound(&y, shape, a, x->bounds->lo[from], x->bounds->hi[from]);
            }
        }
    }
    *y_out = y;
    return true;
}

/* Live axes of a shape, as reshape pairs them. */
typedef struct axis_list {
    int32_t n;
    int32_t axis[COT_MAX_RANK];
} axis_list;

static axis_list live_axes(const cot_shape *shape) {
    axis_list list = {.n = 0};
    for (int32_t a = 0; a < shape->rank; a++) {
        if (coti_axis_live(shape, a)) {
            list.axis[list.n++] = a;
        }
    }
    return list;
}

/* Axes from[0..n_from) of one shape that become axes to[0..n_to) of another. */
typedef struct axis_group {
    const int32_t *from, *to;
    int32_t n_from, n_to;
} axis_group;

/* True if x's axes of the group merge; a bounded one only becomes an axis of the same extent. */
static bool reshape_group(const coti_view *x, const cot_shape *x_shape, bounded_view *y,
                          const cot_shape *shape, const axis_group *g) {
    if (g->n_from == 1 && g->n_to == 1) {
        int32_t from = g->from[0];
        y->view.stride[g->to[0]] = x->stride[from];
        if (is_bounded(x, from)) {
            bound(y, shape, g->to[0], x->bounds->lo[from], x->bounds->hi[from]);
        }
        return true;
    }
    coti_run run;
    if (!coti_view_collapse(x, x_shape, g->from, g->n_from, &run)) {
        return false;
    }
    int64_t step = run.stride;
    for (int32_t i = g->n_to - 1; i >= 0; i--) {
        y->view.stride[g->to[i]] = step;
        step *= shape->dim[g->to[i]];
    }
    return true;
}

/*
 * Pair up the shortest groups of live axes with equal products, left to right. An axis c*N counts
 * as c: both shapes lead with theirs, so N cancels in the first group.
 */
static bool reshape(const coti_view *x, const cot_shape *x_shape, const cot_shape *shape,
                    bounded_view *y_out) {
    bounded_view y = view_from(x);
    axis_list from = live_axes(x_shape);
    axis_list to = live_axes(shape);
    int32_t i = 0;
    int32_t j = 0;
    if (coti_shape_is_empty(x_shape)) {
        *y_out = y; /* nothing is ever read */
        return true;
    }
    while (i < from.n || j < to.n) {
        int32_t i0 = i;
        int32_t j0 = j;
        int64_t before = i < from.n ? x_shape->dim[from.axis[i++]] : 1;
        int64_t after = j < to.n ? shape->dim[to.axis[j++]] : 1;
        while (before != after) {
            if (before < after && i < from.n) {
                before *= x_shape->dim[from.axis[i++]];
            } else if (before > after && j < to.n) {
                after *= shape->dim[to.axis[j++]];
            } else {
                return false;
            }
        }
        const axis_group g = {&from.axis[i0], &to.axis[j0], i - i0, j - j0};
        if (!reshape_group(x, x_shape, &y, shape, &g)) {
            return false;
        }
    }
    *y_out = y;
    return true;
}

/* ---- views of a graph ---- */

void coti_views_init(coti_views *views, const cot_graph *graph) {
    *views = (coti_views){.context = graph->context, .graph = graph};
    coti_arena_init(&views->arena, graph->context);
}

void coti_views_free(coti_views *views) {
    coti_vec_free(views->context, &views->view);
    coti_arena_clear(&views->arena);
}

/* A node that is no view, and node 0, which is none: its memory is dense, but for a state's home.
 */
static void add_memory(coti_views *views, uint32_t id) {
    const coti_node *node = coti_node_at(views->graph, id);
    coti_view *view = &views->view.data[id];
    *view = (coti_view){.root = id};
    coti_view_dense(&node->shape, view->stride);
    if (node->op == COT_OP_STATE &&
        ((const coti_attr_VARIABLE *)node->attr)->variable->transposed) {
        view->stride[0] = coti_axis_live(&node->shape, 0) ? 1 : 0;
        view->stride[1] = coti_axis_live(&node->shape, 1) ? node->shape.dim[0] : 0;
    }
}

static bool view_of(const coti_views *views, const coti_node *node, bounded_view *y) {
    const coti_view *x = coti_view_at(views, node->input[0]);
    const cot_shape *x_shape = &coti_node_at(views->graph, node->input[0])->shape;
    switch (node->op) {
    case COT_OP_PERMUTE:
        *y = permute(x, &node->shape, node->attr);
        return true;
    case COT_OP_BROADCAST:
        *y = broadcast(x, x_shape, &node->shape, node->attr);
        return true;
    case COT_OP_SLICE:
        *y = slice(x, &node->shape, node->attr);
        return true;
    case COT_OP_FLIP:
        *y = flip(x, &node->shape, node->attr);
        return true;
    case COT_OP_PAD:
        return pad(x, x_shape, &node->shape, node->attr, y);
    case COT_OP_WINDOW:
        return window(x, x_shape, &node->shape, node->attr, y);
    case COT_OP_BARRIER:
        *y = (bounded_view){.view = *x, .has_bounds = x->bounds != NULL};
        if (y->has_bounds) {
            y->bounds = *x->bounds;
        }
        return true;
    case COT_OP_RESHAPE:
        return reshape(x, x_shape, &node->shape, y);
    default:
        return false;
    }
}

static cot_status add_affine(coti_views *views, uint32_t id) {
    const coti_node *node = coti_node_at(views->graph, id);
    bounded_view y = {.has_bounds = false};
    if (!view_of(views, node, &y)) {
        return COTI_FAIL_OP(views->context, COT_E_INTERNAL, cot_op_name((cot_op)node->op),
                            node->layer, "%s is not affine", cot_op_name((cot_op)node->op));
    }
    y.view.bounds = NULL;
    if (y.has_bounds && (y.bounds.axes != 0 || y.bounds.nowhere)) {
        y.view.bounds = coti_arena_copy(&views->arena, &y.bounds, sizeof y.bounds);
        if (y.view.bounds == NULL) {
            return COT_E_NOMEM;
        }
    }
    views->view.data[id] = y.view;
    return COT_OK;
}

static cot_status add_view(coti_views *views, uint32_t id) {
    if (coti_op_table[coti_node_at(views->graph, id)->op].kind == COTI_KIND_VIEW) {
        return add_affine(views, id);
    }
    add_memory(views, id);
    return COT_OK;
}

cot_status coti_views_extend(coti_views *views) {
    return coti_views_extend_to(views, views->graph->node.count);
}

cot_status coti_views_extend_to(coti_views *views, size_t n) {
    if (n > views->view.capacity) {
        COTI_TRY(coti_vec_reserve(views->context, &views->view, n));
    }
    for (; views->view.count < n; views->view.count++) {
        COTI_TRY(add_view(views, (uint32_t)views->view.count));
    }
    return COT_OK;
}

bool coti_view_can_reshape(const coti_views *views, uint32_t x, const cot_shape *shape) {
    const coti_view *view = coti_view_at(views, x);
    bounded_view y;
    return reshape(view, &coti_node_at(views->graph, x)->shape, shape, &y);
}

bool coti_view_can_pad(const coti_views *views, uint32_t x, const coti_attr_PAD *attr) {
    const coti_view *view = coti_view_at(views, x);
    return view->bounds == NULL || !pads_anything(attr) ||
           coti_same_bits(view->bounds->fill, attr->value);
}

bool coti_view_can_window(const coti_views *views, uint32_t x, const coti_attr_WINDOW *attr) {
    const coti_view *view = coti_view_at(views, x);
    return !windows_bounded(view, attr);
}

/* ---- comparison ---- */

static bool axis_is_batched(const cot_shape *shape, int32_t axis) {
    return axis == 0 && shape->batched;
}

bool coti_view_match(const coti_view *view, const cot_shape *view_shape, const coti_view *base,
                     const cot_shape *base_shape, int8_t axis_out[COT_MAX_RANK]) {
    uint32_t taken = 0;
    if (view == base && view->bounds == NULL) { /* each axis runs along itself */
        for (int32_t j = 0; j < base_shape->rank && j < COT_MAX_RANK; j++) {
            axis_out[j] = coti_axis_live(base_shape, j) ? (int8_t)j : (int8_t)-1;
        }
        return true;
    }
    if (view->root != base->root || view->offset != base->offset || view->bounds != NULL ||
        base->bounds != NULL) {
        return false;
    }
    for (int32_t j = 0; j < base_shape->rank; j++) {
        axis_out[j] = -1;
        for (int32_t a = 0; a < view_shape->rank && axis_out[j] < 0; a++) {
            if (coti_axis_live(base_shape, j) && coti_axis_live(view_shape, a) &&
                (taken >> a & 1) == 0 && view->stride[a] == base->stride[j] &&
                view_shape->dim[a] == base_shape->dim[j] &&
                axis_is_batched(view_shape, a) == axis_is_batched(base_shape, j)) {
                axis_out[j] = (int8_t)a;
                taken |= (uint32_t)1 << a;
            }
        }
        if (axis_out[j] < 0 && coti_axis_live(base_shape, j)) {
            return false;
        }
    }
    for (int32_t a = 0; a < view_shape->rank; a++) {
        if ((taken >> a & 1) == 0 && view->stride[a] != 0) {
            return false;
        }
    }
    return true;
}

bool coti_view_collapse(const coti_view *view, const cot_shape *shape, const int32_t *axis,
                        int32_t n_axes, coti_run *run_out) {
    coti_run run = {1, 0};
    bool is_first = true;
    for (int32_t i = 0; i < n_axes; i++) {
        if (shape->dim[axis[i]] == 0) {
            *run_out = (coti_run){0, 0}; /* nothing is ever read */
            return true;
        }
    }
    for (int32_t i = n_axes - 1; i >= 0; i--) {
        int32_t a = axis[i];
        if (!coti_axis_live(shape, a)) {
            continue;
        }
        if (is_bounded(view, a) || (!is_first && view->stride[a] != run.stride * run.extent)) {
            return false;
        }
        run.stride = is_first ? view->stride[a] : run.stride;
        run.extent *= shape->dim[a];
        is_first = false;
    }
    *run_out = run;
    return true;
}
