/*
 * Which values go to memory, and which are computed again by those who need them.
 *
 * A value that another cluster reads is stored, unless it is cheap to compute again from what is in
 * memory anyway: then each reader does, and its maker drops it if it does not need it itself. So
 * relu's mask is made in the backward pass from the stored activation. Never computed again:
 * functions, quotients, random numbers, what reads a reduction or a product, and what is read
 * through a barrier; but a scalar that depends on N alone (1 / N) is, since waiting for it costs
 * more than it does. Computing again gives the same bits: expressions are evaluated as they are
 * written.
 */
#include "cluster.h"

static bool is_scalar(const cot_shape *shape) {
    for (int32_t a = 0; a < shape->rank; a++) {
        if (coti_axis_live(shape, a)) {
            return false;
        }
    }
    return true;
}

/* Where a root lies at the axes of a view of it; false: the view is no rearrangement of it. */
static bool root_axes(const coti_fusion *f, const coti_view *view, const cot_shape *shape,
                      int8_t axis[COT_MAX_RANK]) {
    const coti_view *made = coti_view_at(&f->views, view->root);
    return coti_view_match(view, shape, made, &coti_fnode(f, view->root)->shape, axis);
}

coti_element coti_element_of(const coti_fusion *f, uint32_t cluster, uint32_t id,
                             const coti_place *place, int32_t i) {
    coti_element e = {.kind = COTI_FROM_MEMORY,
                      .view = coti_operand_view(f, id, i),
                      .shape = coti_frame(f, id),
                      .place = *place};
    e.node = e.view->root;
    if (coti_is_inline(f, e.view)) {
        e.kind = coti_fnode(f, e.node)->op == COT_OP_ROWS ? COTI_FROM_ROWS : COTI_FROM_CONST;
        return e;
    }
    if (!coti_is_computed(coti_fnode(f, e.node))) {
        return e;
    }
    if (coti_cluster_of(f, e.node) == cluster) {
        e.kind = COTI_FROM_REGISTER;
        return e;
    }
    int8_t axis[COT_MAX_RANK];
    if (!f->member[e.node].stored && root_axes(f, e.view, e.shape, axis)) {
        e.kind = COTI_FROM_AGAIN;
        for (int32_t j = 0; j < COT_MAX_RANK; j++) {
            bool live = j < coti_fnode(f, e.node)->shape.rank && axis[j] >= 0;
            e.place.dim[j] = live ? place->dim[axis[j]] : (int8_t)-1;
        }
    }
    return e;
}

/* ---- what may be computed again ---- */

/* Note who reads what from another cluster, and which readers can only take it from memory. */
static void note_readers(coti_fusion *f) {
    for (uint32_t id = 1; id < f->graph->node.count; id++) {
        const coti_node *node = coti_fnode(f, id);
        uint32_t cluster = coti_cluster_of(f, id);
        for (int32_t i = 0; cluster != 0 && i < node->n_inputs; i++) {
            const uint32_t maker = coti_cluster_of(f, coti_operand_root(f, id, i));
            int8_t axis[COT_MAX_RANK];
            if (maker == 0 || maker == cluster) {
                continue;
            }
            const coti_view *view = coti_operand_view(f, id, i);
            f->member[view->root].outside = true;
            if (coti_reads_memory(node, i) || f->member[node->input[i]].barred ||
                !root_axes(f, view, coti_frame(f, id), axis)) {
                f->member[view->root].stored = true;
            }
        }
    }
}

static bool depends_on_rows_alone(const coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    bool cheap = (coti_op_table[node->op].flags & COTI_CHEAP) != 0 || node->op == COT_OP_DIV;
    bool alone = cheap && is_scalar(&node->shape) && node->op != COT_OP_IOTA;
    for (int32_t i = 0; i < node->n_inputs && alone; i++) {
        const coti_view *view = coti_operand_own(f, id, i);
        alone = coti_is_inline(f, view) || f->member[view->root].of_rows;
    }
    return alone;
}

/* Take up operand i into what computing the member again needs. False: it cannot be had. */
static bool add_operand(const coti_fusion *f, uint32_t id, int32_t i, coti_member *m) {
    const coti_view *view = coti_operand_view(f, id, i);
    const coti_member *from = &f->member[view->root];
    int8_t axis[COT_MAX_RANK];
    if (coti_is_inline(f, view)) {
        return true;
    }
    if (!coti_is_computed(coti_fnode(f, view->root)) || from->stored) {
        m->leaves++;
        m->arrays = (uint8_t)(m->arrays + !is_scalar(&coti_fnode(f, view->root)->shape));
        return true;
    }
    if (!from->again || !root_axes(f, view, coti_frame(f, id), axis)) {
        return false;
    }
    m->leaves = (uint8_t)(m->leaves + from->leaves);
    m->arrays = (uint8_t)(m->arrays + from->arrays);
    m->depth = from->depth > m->depth ? from->depth : m->depth;
    return true;
}

/* Is operand i an earlier one once more, as both of a square are one value? */
static bool is_repeated(const coti_node *node, int32_t i) {
    for (int32_t j = 0; j < i; j++) {
        if (node->input[j] == node->input[i]) {
            return true;
        }
    }
    return false;
}

static void decide(coti_fusion *f, uint32_t id) {
    coti_member *m = &f->member[id];
    const coti_node *node = coti_fnode(f, id);
    m->of_rows = depends_on_rows_alone(f, id);
    m->again =
        f->context->fuse && ((coti_op_table[node->op].flags & COTI_CHEAP) != 0 || m->of_rows);
    m->depth = 0;
    m->leaves = 0;
    m->arrays = 0;
    for (int32_t i = 0; i < node->n_inputs && m->again; i++) {
        m->again = is_repeated(node, i) || add_operand(f, id, i, m);
    }
    m->depth++;
    m->again = m->again && m->depth <= COTI_MAX_DEPTH && m->leaves <= COTI_MAX_LEAVES &&
               m->arrays <= COTI_MAX_ARRAYS;
    m->stored = m->stored || m->must || (m->outside && !m->again);
}

/* ---- accesses that a reader cannot make ---- */

/* Has the cluster dimensions that its kernel takes as one? */
static bool collapses(const coti_cluster *c) {
    if (c->skeleton == COTI_SKELETON_COLRED) {
        return c->n_dims - c->n_kept > 1 || (c->side_of != 0 && c->n_kept > 1);
    }
    for (int32_t d = 0; d + 1 < c->n_dims && c->skeleton == COTI_SKELETON_GEMM; d++) {
        if (c->axis_class[d] == c->axis_class[d + 1]) {
            return true;
        }
    }
    return false;
}

/*
 * Operand i of a member is to be computed again: store it if the reader's kernel cannot make all
 * accesses that this takes. The kept dimensions of a side reduction are one dimension, too; there
 * the cluster is not asked, and everything is read from memory.
 */
static void check_reader(coti_fusion *f, uint32_t cluster, uint32_t id, int32_t i) {
    const coti_cluster *c = coti_cluster_at(f, cluster);
    coti_element pending[COTI_MAX_LEAVES * COTI_MAX_DEPTH];
    int32_t n = 1;
    pending[0] = coti_element_of(f, cluster, id, &f->member[id].place, i);
    uint32_t read = pending[0].node;
    while (n > 0 && !f->member[read].stored) {
        coti_element e = pending[--n];
        if (e.kind != COTI_FROM_AGAIN) {
            continue;
        }
        if (c->side_of != 0 || !coti_operands_fit(f, c, e.node, &e.place)) {
            f->member[read].stored = true;
        }
        for (int32_t k = 0; k < coti_fnode(f, e.node)->n_inputs; k++) {
            coti_element next = coti_element_of(f, cluster, e.node, &e.place, k);
            if (next.kind == COTI_FROM_AGAIN) {
                pending[n++] = next;
            }
        }
    }
}

static void check_readers(coti_fusion *f) {
    for (uint32_t id = 1; id < f->graph->node.count; id++) {
        uint32_t cluster = coti_cluster_of(f, id);
        if (cluster == 0 || !collapses(coti_cluster_at(f, cluster)) ||
            coti_is_product(coti_fnode(f, id))) {
            continue;
        }
        for (int32_t i = 0; i < coti_fnode(f, id)->n_inputs; i++) {
            check_reader(f, cluster, id, i);
        }
    }
}

/* ---- what is computed at all ---- */

/* Users have larger ids: one pass from the last node to the first. */
static void mark_live(coti_fusion *f) {
    for (uint32_t id = (uint32_t)f->graph->node.count; id-- > 1;) {
        coti_member *m = &f->member[id];
        m->live = m->cluster != 0 && (m->live || m->stored || f->first_write[id] != 0);
        for (int32_t i = 0; m->live && i < coti_fnode(f, id)->n_inputs; i++) {
            uint32_t root = coti_operand_root(f, id, i);
            if (coti_cluster_of(f, root) == coti_cluster_of(f, id)) {
                f->member[root].live = true;
            }
        }
    }
}

void coti_decide_stores(coti_fusion *f) {
    for (uint32_t id = 1; id < f->graph->node.count; id++) {
        f->member[id].outside = false;
        f->member[id].stored = false;
        f->member[id].live = false;
    }
    note_readers(f);
    for (size_t w = 1; w < f->write.count; w++) {
        f->member[f->write.data[w].value].stored |= f->write.data[w].copied;
    }
    for (uint32_t id = 1; id < f->graph->node.count; id++) {
        if (f->member[id].cluster != 0) {
            decide(f, id);
        }
    }
    check_readers(f);
    mark_live(f);
}
