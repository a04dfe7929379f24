/*
 * Scatter_add as a kernel: axes in runs, and which part of the result a task owns.
 *
 * A task owns whole rows of the result where there are many (always where they are the batch), else
 * a range of places along the axis in every row; it then reads the whole index and takes its own.
 * Either way an element is summed by one task, in the order of the updates: its bits do not depend
 * on the partition.
 */
#include "cluster.h"

enum { MANY_ROWS = 8 }; /* enough for every thread to have some */

/* Axes [first, last) as one. */
static bool collapse(const coti_view *view, const cot_shape *shape, int32_t first, int32_t last,
                     coti_run *run_out) {
    int32_t axis[COT_MAX_RANK];
    for (int32_t a = first; a < last; a++) {
        axis[a - first] = a;
    }
    return coti_view_collapse(view, shape, axis, last - first, run_out);
}

static bool is_readable(const coti_views *views, const coti_view *view) {
    return view->bounds == NULL && coti_node_at(views->graph, view->root)->op != COT_OP_ROWS;
}

bool coti_scatter_collapse(const coti_views *views, const coti_node *node, coti_run updates_out[4],
                           coti_run index_out[2]) {
    const coti_attr_SCATTER *attr = node->attr;
    const cot_shape *updates = &coti_node_at(views->graph, node->input[0])->shape;
    const cot_shape *index = &coti_node_at(views->graph, node->input[1])->shape;
    const int32_t n_batch = (int32_t)attr->n_batch;
    const int32_t after = attr->axis + index->rank - n_batch; /* the first trailing axis */
    const coti_view *u = coti_view_at(views, node->input[0]);
    const coti_view *x = coti_view_at(views, node->input[1]);
    return is_readable(views, u) && is_readable(views, x) &&
           collapse(u, updates, 0, n_batch, &updates_out[0]) &&
           collapse(u, updates, n_batch, attr->axis, &updates_out[1]) &&
           collapse(u, updates, attr->axis, after, &updates_out[2]) &&
           collapse(u, updates, after, updates->rank, &updates_out[3]) &&
           collapse(x, index, 0, n_batch, &index_out[0]) &&
           collapse(x, index, n_batch, index->rank, &index_out[1]);
}

/* The slot of an operand; *offset_out: of its first element. */
static int32_t operand_slot(coti_lowering *l, uint32_t id, int64_t *offset_out) {
    const coti_view *view = coti_view_at(&l->f->views, id);
    int32_t slot = coti_lowering_slot(l, coti_root_kind(l->f, view->root), view->root);
    l->operand[slot].read = true;
    *offset_out = view->offset;
    return slot;
}

static void set_domain(coti_kernel *k, bool rows) {
    coti_scatter *s = &k->scatter;
    int64_t n_rows = s->b * s->l;
    s->by_row = rows || (!s->i_rows && (n_rows >= MANY_ROWS || n_rows >= s->d));
    k->skeleton = COTI_SKELETON_SCATTER;
    k->rows = rows;
    k->n_dims = 2;
    k->n_kept = 2;
    k->extent[0] = s->by_row ? n_rows : s->d;
    k->extent[1] = s->by_row ? s->d * s->t : n_rows * s->t;
}

cot_status coti_lower_scatter(coti_lowering *l, const coti_cluster *c) {
    const coti_fusion *f = l->f;
    const coti_node *node = coti_fnode(f, c->anchor);
    coti_scatter *s = &l->kernel.scatter;
    coti_run u[4];
    coti_run x[2];
    COTI_ASSERT(f->context, coti_scatter_collapse(&f->views, node, u, x));
    s->b = u[0].extent;
    s->l = u[1].extent;
    s->i = u[2].extent;
    s->t = u[3].extent;
    s->d = ((const coti_attr_SCATTER *)node->attr)->extent;
    s->l_rows = node->shape.batched && ((const coti_attr_SCATTER *)node->attr)->n_batch == 0;
    s->i_rows = coti_fnode(f, node->input[0])->shape.batched && !node->shape.batched;
    s->dtype = (cot_dtype)node->dtype;
    s->index_dtype = (cot_dtype)coti_fnode(f, node->input[1])->dtype;
    s->updates_slot = operand_slot(l, node->input[0], &s->updates_offset);
    s->index_slot = operand_slot(l, node->input[1], &s->index_offset);
    for (int32_t i = 0; i < 4; i++) {
        s->updates_stride[i] = u[i].stride;
    }
    s->index_stride[0] = x[0].stride;
    s->index_stride[1] = x[1].stride;
    s->result_slot = coti_lowering_slot(l, COTI_OPERAND_VALUE, c->anchor);
    l->operand[s->result_slot].written = true;
    l->kernel.slot_written[s->result_slot] = true;
    l->node[l->n_nodes] = c->anchor;
    l->reason[l->n_nodes++] = f->member[c->anchor].reason;
    set_domain(&l->kernel, node->shape.batched);
    return COT_OK;
}
