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

/* The axes of w, or of y's cotangent, as the product has them: contracted, and the channels. */
static bool collapse_other(const coti_view *view, const cot_shape *shape, coti_run *k_out,
                           coti_run *n_out) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int32_t last = shape->rank - 1;
    return view->bounds == NULL && coti_view_collapse(view, shape, axes, last, k_out) &&
           coti_view_collapse(view, shape, &axes[last], 1, n_out) && k_out->stride >= 0 &&
           n_out->stride >= 0;
}

/* Channels side by side, and nothing beyond x's own elements. */
static bool fits_as_x(const coti_view *view, const cot_shape *shape) {
    const int32_t last = shape->rank - 1;
    bool fits = view->bounds == NULL && (view->stride[last] == 1 || !coti_axis_live(shape, last));
    for (int32_t a = 0; a < last; a++) {
        fits = fits && view->stride[a] >= 0;
    }
    return fits;
}

bool coti_conv_fits(const coti_views *views, const coti_node *node, int32_t i) {
    const cot_shape *shape = &coti_node_at(views->graph, node->input[i])->shape;
    const coti_view view = coti_view_at(views, node->input[i]);
    const coti_conv c = conv_of(views->graph, node);
    coti_run k, n;
    if (coti_node_at(views->graph, view.root)->op == COT_OP_ROWS) {
        return false;
    }
    return i == 0 ? fits_as_x(&view, shape)
                  : collapse_other(&view, shape, &k, &n) && (c.groups == 1 || n.stride == 1);
}

static coti_window window_of(const coti_conv *c, const coti_view *x, coti_window_role role) {
    coti_window w = {.role = role,
                     .channels = c->cin / c->groups,
                     .columns = c->cout / c->groups,
                     .image_stride = x->stride[0]};
    const int32_t row = coti_conv_row_axis(c);
    for (int32_t i = 0; i < 2; i++) {
        const int32_t from = i == 1 ? row : 1 - row;
        w.x[i] = c->x[from];
        w.k[i] = c->k[from];
        w.o[i] = c->o[from];
        w.stride[i] = c->stride[from];
        w.dilation[i] = c->dilation[from];
        w.low[i] = c->low[from];
        w.x_stride[i] = from < c->n ? x->stride[from + 1] : 0;
    }
    return w;
}

void coti_lower_conv(coti_lowering *l, const coti_cluster *cluster) {
    coti_fusion *f = l->f;
    const coti_node *node = coti_fnode(f, cluster->anchor);
    const coti_conv c = conv_of(f->graph, node);
    const coti_view x = coti_operand_view(f, cluster->anchor, 0);
    const coti_view other = coti_operand_view(f, cluster->anchor, 1);
    const bool rows = node->op == COT_OP_CONV;
    coti_run k = {0}, n = {0};
    coti_gemm *g = &l->kernel.gemm;
    (void)collapse_other(&other, &coti_fnode(f, node->input[1])->shape, &k, &n);
    g->window = window_of(&c, &x, rows ? COTI_WINDOW_ROWS : COTI_WINDOW_TAPS);
    const int64_t places = c.batch * c.o[0] * c.o[1], taps = c.k[0] * c.k[1] * g->window.channels;
    g->dtype = (cot_dtype)node->dtype;
    g->b = 1;
    g->m = rows ? places : taps;
    g->n = c.cout;
    g->k = rows ? taps : places;
    g->m_rows = rows && c.batched;
    g->k_rows = !rows && c.batched;
    g->a_slot = coti_lowering_slot(l, coti_root_kind(f, x.root), x.root);
    g->b_slot = coti_lowering_slot(l, coti_root_kind(f, other.root), other.root);
    l->operand[g->a_slot].read = true;
    l->operand[g->b_slot].read = true;
    g->a_offset = x.offset;
    g->b_offset = other.offset;
    g->b_stride[1] = k.stride;
    g->b_stride[2] = n.stride;
}
