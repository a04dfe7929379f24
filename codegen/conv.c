/*
 * Convolutions as products: what their kernels can read, and the product that they become. A
 * kernel of windows (kernel.h) finds the elements of x that a position meets by their strides.
 */
#include "cluster.h"

#include "graph/conv.h"

static coti_conv conv_of(const cot_graph *graph, const coti_node *node) {
    return coti_conv_of((cot_op)node->op, node->attr, &coti_node_at(graph, node->input[0])->shape,
                        &coti_node_at(graph, node->input[1])->shape);
}

/* An operand that is no image, as the product has it: its contracted axes, and its columns. */
typedef struct other {
    coti_run k, n;
    int64_t offset;
} other;

/*
 * Of w, or of y's cotangent, the last axis is the columns; of w turned its taps run backwards, and
 * its last two axes are exchanged, but depthwise, where the one is nothing. False: they do not make
 * axes.
 */
static bool collapse_other(const coti_view *view, const cot_shape *shape, const coti_conv *c,
                           cot_op op, other *o) {
    int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int32_t last = shape->rank - 1;
    const bool turns = op == COT_OP_CONV_DX, depthwise = coti_conv_is_depthwise(c);
    coti_view v = *view;
    for (int32_t i = 0; turns && i < c->n; i++) {
        v.offset += (c->k[i] - 1) * v.stride[i];
        v.stride[i] = -v.stride[i];
    }
    if (turns && !depthwise) {
        axes[last - 1] = last;
        axes[last] = last - 1;
    }
    o->offset = v.offset;
    return v.bounds == NULL && coti_view_collapse(&v, shape, axes, last, &o->k) &&
           coti_view_collapse(&v, shape, &axes[last], 1, &o->n) &&
           (o->k.stride >= 0 || (turns && depthwise)) && o->n.stride >= 0 &&
           (c->groups == 1 || o->n.stride == 1);
}

/* Channels side by side, and nothing beyond the images' own elements. */
static bool fits_as_images(const coti_view *view, const cot_shape *shape) {
    const int32_t last = shape->rank - 1;
    bool fits = view->bounds == NULL && (view->stride[last] == 1 || !coti_axis_live(shape, last));
    for (int32_t a = 0; a < last; a++) {
        fits = fits && view->stride[a] >= 0;
    }
    return fits;
}

bool coti_conv_fits(const coti_views *views, const coti_node *node, int32_t i) {
    const cot_shape *shape = &coti_node_at(views->graph, node->input[i])->shape;
    const coti_view *view = coti_view_at(views, node->input[i]);
    const coti_conv c = conv_of(views->graph, node);
    other o;
    if (coti_node_at(views->graph, view->root)->op == COT_OP_ROWS) {
        return false;
    }
    return i == 0 ? fits_as_images(view, shape)
                  : collapse_other(view, shape, &c, (cot_op)node->op, &o);
}

cot_value coti_conv_copy(const coti_node *node, int32_t i, cot_value x) {
    static const int32_t flipped[COTI_SPATIAL] = {0, 1, 2};
    const cot_shape shape = cot_value_shape(x);
    const int32_t n = shape.rank - 2;
    int32_t order[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    if (node->op != COT_OP_CONV_DX || i == 0 ||
        ((const coti_attr_CONV_SIZED *)node->attr)->groups > 1) {
        return coti_copy_of(x);
    }
    order[n] = n + 1;
    order[n + 1] = n;
    x = coti_copy_of(cot_op_permute(cot_op_flip(x, flipped, n), order, n + 2));
    return cot_op_flip(cot_op_permute(x, order, n + 2), flipped, n);
}

/* Of x; of a CONV_DX, of the cotangent, whose positions are the strides' multiples. */
static coti_window window_of(const coti_conv *c, const coti_view *x, cot_op op) {
    const bool turns = op == COT_OP_CONV_DX;
    const int64_t a = c->cin / c->groups, b = c->cout / c->groups;
    const coti_conv t = turns ? coti_conv_turned(c) : *c;
    coti_window w = {.role = op == COT_OP_CONV_DW ? COTI_WINDOW_TAPS : COTI_WINDOW_ROWS,
                     .channels = turns ? b : a,
                     .columns = turns ? a : b,
                     .image_stride = x->stride[0]};
    const int32_t row = coti_conv_row_axis(c);
    for (int32_t i = 0; i < 2; i++) {
        const int32_t from = i == 1 ? row : 1 - row;
        w.x[i] = turns ? c->o[from] : c->x[from];
        w.k[i] = c->k[from];
        w.o[i] = t.o[from];
        w.stride[i] = t.stride[from];
        w.dilation[i] = c->dilation[from];
        w.low[i] = t.low[from];
        w.spread[i] = turns && c->o[from] > 1 ? c->stride[from] : 1;
        w.x_stride[i] = from < c->n ? x->stride[from + 1] : 0;
    }
    return w;
}

void coti_lower_conv(coti_lowering *l, const coti_cluster *cluster) {
    coti_fusion *f = l->f;
    const coti_node *node = coti_fnode(f, cluster->anchor);
    const cot_op op = (cot_op)node->op;
    const coti_conv c = conv_of(f->graph, node);
    const coti_view *x = coti_operand_view(f, cluster->anchor, 0);
    const coti_view *view = coti_operand_view(f, cluster->anchor, 1);
    const bool rows = op != COT_OP_CONV_DW;
    coti_gemm *g = &l->kernel.gemm;
    other o = {.offset = 0};
    (void)collapse_other(view, &coti_fnode(f, node->input[1])->shape, &c, op, &o);
    g->window = window_of(&c, x, op);
    const coti_window *w = &g->window;
    const int64_t places = c.batch * w->o[0] * w->o[1], taps = w->k[0] * w->k[1] * w->channels;
    g->dtype = (cot_dtype)node->dtype;
    g->b = 1;
    g->m = rows ? places : taps;
    g->n = w->columns * c.groups;
    g->k = rows ? taps : places;
    g->m_rows = rows && c.batched;
    g->k_rows = !rows && c.batched;
    g->a_slot = coti_lowering_slot(l, coti_root_kind(f, x->root), x->root);
    g->b_slot = coti_lowering_slot(l, coti_root_kind(f, view->root), view->root);
    l->operand[g->a_slot].read = true;
    l->operand[g->b_slot].read = true;
    g->a_offset = x->offset;
    g->b_offset = o.offset;
    g->b_stride[1] = o.k.stride;
    g->b_stride[2] = o.n.stride;
}
