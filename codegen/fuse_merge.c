/*
 * May two clusters become one? The merging of clusters that a node needs both of, and the side
 * reductions of products.
 */
#include "cluster.h"

#include <string.h>

bool coti_is_early(const coti_fusion *f, uint32_t cluster) {
    const coti_cluster *c = coti_cluster_at(f, cluster);
    for (size_t i = 0; i < c->read.count; i++) {
        uint32_t maker = coti_cluster_of(f, c->read.data[i]);
        if (maker != 0 && maker != cluster) {
            return false;
        }
    }
    return true;
}

/* ---- merging ---- */

/* Does the cluster read one of the roots already? */
static bool reads(const coti_cluster *c, uint32_t root) {
    for (size_t i = 0; i < c->read.count; i++) {
        if (c->read.data[i] == root) {
            return true;
        }
    }
    return false;
}

/* As of a node (fuse_join.c): room, and one era. */
static bool has_room_for(const coti_fusion *f, uint32_t into, uint32_t from) {
    const coti_cluster *c = coti_cluster_at(f, into);
    const coti_cluster *h = coti_cluster_at(f, from);
    int32_t n_slots = (int32_t)c->read.count + c->n_must + h->n_must;
    for (size_t i = 0; i < h->read.count; i++) {
        n_slots += !reads(c, h->read.data[i]);
    }
    return c->era == h->era && c->n_members + h->n_members <= COTI_PREFERRED_NODES &&
           n_slots <= COTI_PREFERRED_SLOTS;
}

/*
 * Where the dimensions of `from` go in the domain of `into`, told by what node `id` of `into` takes
 * of member `root` of `from`; the reduced ones of two reductions of one kind correspond in order.
 */
static bool map_dims(const coti_fusion *f, uint32_t into, uint32_t from, uint32_t id, int32_t i,
                     int8_t to[COT_MAX_RANK]) {
    const coti_cluster *c = coti_cluster_at(f, into);
    const coti_cluster *h = coti_cluster_at(f, from);
    const coti_view *view = coti_operand_view(f, id, i);
    const coti_view *made = coti_view_at(&f->views, view->root);
    const cot_shape *shape = &coti_fnode(f, view->root)->shape;
    coti_place own = coti_own_place(f, view->root, &f->member[view->root].place);
    int8_t axis[COT_MAX_RANK];
    uint32_t mask = 0;
    memset(to, -1, COT_MAX_RANK);
    if (!coti_view_match(view, coti_frame(f, id), made, shape, axis)) {
        return false;
    }
    for (int32_t j = 0; j < shape->rank; j++) {
        if (axis[j] >= 0) {
            to[own.dim[j]] = f->member[id].place.dim[axis[j]];
        }
    }
    if (h->skeleton != COTI_SKELETON_MAP) {
        for (int32_t d = 0; d < h->n_dims - h->n_kept; d++) {
            if (d >= c->n_dims - c->n_kept ||
                c->extent[c->n_kept + d] != h->extent[h->n_kept + d]) {
                return false;
            }
            to[h->n_kept + d] = (int8_t)(c->n_kept + d);
        }
    }
    for (int32_t d = 0; d < h->n_dims; d++) {
        bool kept_as_kept = h->skeleton == COTI_SKELETON_MAP || d >= h->n_kept || to[d] < c->n_kept;
        if (to[d] < 0 || (mask >> to[d] & 1) != 0 || !kept_as_kept) {
            return false;
        }
        mask |= (uint32_t)1 << to[d];
    }
    uint32_t kept = ((uint32_t)1 << c->n_kept) - 1;
    uint32_t full = ((uint32_t)1 << c->n_dims) - 1;
    return mask == kept || (mask == full && (c->skeleton != COTI_SKELETON_COLRED ||
                                             h->skeleton == COTI_SKELETON_COLRED));
}

/* Do the skeletons and what they work on allow merging? */
static bool kinds_merge(const coti_fusion *f, uint32_t into, uint32_t from) {
    const coti_cluster *c = coti_cluster_at(f, into);
    const coti_cluster *h = coti_cluster_at(f, from);
    if (h->skeleton == COTI_SKELETON_MAP) {
        /* Scalar work is kept apart: it must not wait for a reduction, nor early work for late. */
        bool scalars = c->scalar && coti_is_early(f, into) == coti_is_early(f, from);
        return h->scalar ? scalars : !c->scalar;
    }
    return h->skeleton == c->skeleton && h->skeleton != COTI_SKELETON_GEMM &&
           h->skeleton != COTI_SKELETON_SCATTER && h->n_dims - h->n_kept == c->n_dims - c->n_kept &&
           h->reduced_rows == c->reduced_rows;
}

/* Has another cluster been built on what `from` makes? It would have to wait for `into`. */
static bool serves_others(const coti_fusion *f, uint32_t into, uint32_t from) {
    for (uint32_t m = coti_cluster_at(f, from)->head; m != 0; m = f->member[m].next) {
        for (uint32_t u = f->users_of[m]; u < f->users_of[m + 1]; u++) {
            uint32_t user = coti_cluster_of(f, f->users[u]);
            if (user != 0 && user != into && user != from) {
                return true;
            }
        }
    }
    return false;
}

static coti_place move_place(const coti_place *place, const int8_t to[COT_MAX_RANK]) {
    coti_place moved = *place;
    for (int32_t a = 0; a < COT_MAX_RANK; a++) {
        moved.dim[a] = place->dim[a] >= 0 ? to[place->dim[a]] : (int8_t)-1;
    }
    return moved;
}

static bool members_fit(const coti_fusion *f, uint32_t into, uint32_t from,
                        const int8_t to[COT_MAX_RANK]) {
    for (uint32_t m = coti_cluster_at(f, from)->head; m != 0; m = f->member[m].next) {
        coti_place place = move_place(&f->member[m].place, to);
        if (!coti_operands_fit(f, coti_cluster_at(f, into), m, &place)) {
            return false;
        }
    }
    return true;
}

/*
 * Does member m, of another cluster, take each value of `from` at the point where it would be made?
 * What is read from memory never is.
 */
static bool takes_in_place(const coti_fusion *f, uint32_t m, uint32_t from,
                           const int8_t to[COT_MAX_RANK]) {
    const coti_node *node = coti_fnode(f, m);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const coti_view *view = coti_operand_view(f, m, i);
        if (coti_cluster_of(f, view->root) != from) {
            continue;
        }
        const coti_view *made = coti_view_at(&f->views, view->root);
        const cot_shape *shape = &coti_fnode(f, view->root)->shape;
        coti_place own = coti_own_place(f, view->root, &f->member[view->root].place);
        coti_place moved = move_place(&own, to);
        int8_t axis[COT_MAX_RANK];
        if (coti_reads_memory(node, i) ||
            !coti_view_match(view, coti_frame(f, m), made, shape, axis)) {
            return false;
        }
        for (int32_t j = 0; j < shape->rank; j++) {
            if (axis[j] >= 0 && f->member[m].place.dim[axis[j]] != moved.dim[j]) {
                return false;
            }
        }
    }
    return true;
}

static bool all_take_in_place(const coti_fusion *f, uint32_t into, uint32_t from,
                              const int8_t to[COT_MAX_RANK]) {
    for (uint32_t m = coti_cluster_at(f, into)->head; m != 0; m = f->member[m].next) {
        if (!takes_in_place(f, m, from, to)) {
            return false;
        }
    }
    return true;
}

/* Put all members of `from` into `into`, for the sake of node id. */
static cot_status merge(coti_fusion *f, uint32_t into, uint32_t from, uint32_t id,
                        const int8_t to[COT_MAX_RANK]) {
    coti_cluster *c = coti_cluster_at(f, into);
    coti_cluster *h = coti_cluster_at(f, from);
    COTI_TRY(coti_vec_reserve(f->context, &c->read, c->read.count + h->read.count));
    coti_unite(f, into, from);
    for (uint32_t m = h->head; m != 0; m = f->member[m].next) {
        f->member[m].place = move_place(&f->member[m].place, to);
        if (f->member[m].reason.kind == COTI_REASON_ALONE ||
            f->member[m].reason.kind == COTI_REASON_REDUCTION) {
            f->member[m].reason = (coti_reason){COTI_REASON_MERGED, id};
        }
    }
    f->member[c->tail].next = h->head;
    c->tail = h->tail;
    c->first = h->first < c->first ? h->first : c->first;
    c->last = h->last > c->last ? h->last : c->last;
    c->n_members += h->n_members;
    c->n_must += h->n_must;
    h->merged_into = into;
    for (size_t i = 0; i < h->read.count; i++) {
        if (!reads(c, h->read.data[i])) {
            c->read.data[c->read.count++] = h->read.data[i];
        }
    }
    size_t n_kept = 0; /* what is now made inside is read no more */
    for (size_t i = 0; i < c->read.count; i++) {
        if (coti_cluster_of(f, c->read.data[i]) != into) {
            c->read.data[n_kept++] = c->read.data[i];
        }
    }
    c->read.count = n_kept;
    coti_vec_free(f->context, &h->read);
    memset(&h->read, 0, sizeof h->read);
    return COT_OK;
}

/* Merge the cluster of operand i of a node into the node's, if it is another and that can be. */
static cot_status try_merge(coti_fusion *f, uint32_t id, int32_t i) {
    int8_t to[COT_MAX_RANK];
    uint32_t into = coti_cluster_of(f, id);
    uint32_t from = coti_cluster_of(f, coti_operand_root(f, id, i));
    if (from == 0 || from == into) {
        return COT_OK;
    }
    coti_skeleton skeleton = coti_cluster_at(f, into)->skeleton;
    bool may_wait = skeleton == COTI_SKELETON_MAP || skeleton == COTI_SKELETON_ROWRED;
    if (kinds_merge(f, into, from) && map_dims(f, into, from, id, i, to) &&
        has_room_for(f, into, from) && (may_wait || !serves_others(f, into, from)) &&
        members_fit(f, into, from, to) && all_take_in_place(f, into, from, to) &&
        coti_can_unite(f, into, from)) {
        return merge(f, into, from, id, to);
    }
    return COT_OK;
}

cot_status coti_absorb_operands(coti_fusion *f, uint32_t id) {
    int32_t n_inputs = coti_fnode(f, id)->n_inputs;
    for (int32_t i = 0; i < 2 * n_inputs; i++) { /* twice: one may stand in the way of another */
        COTI_TRY(try_merge(f, id, i % n_inputs));
    }
    return COT_OK;
}

/* ---- side reductions ---- */

/* Is a cluster a sum over all rows of one value, read as it is, with what follows from it? */
static bool is_plain_column_sum(const coti_fusion *f, uint32_t cluster) {
    const coti_cluster *c = coti_cluster_at(f, cluster);
    if (c->merged_into != 0 || c->skeleton != COTI_SKELETON_COLRED || !c->reduced_rows ||
        coti_fnode(f, c->anchor)->op != COT_OP_SUM) {
        return false;
    }
    if (coti_cluster_of(f, coti_operand_root(f, c->anchor, 0)) == cluster) {
        return false;
    }
    for (uint32_t m = c->head; m != 0; m = f->member[m].next) {
        if (m != c->anchor && coti_is_reduction(coti_fnode(f, m))) {
            return false;
        }
    }
    /* The product has one axis for all that are kept. */
    coti_cluster kept = *c;
    kept.skeleton = COTI_SKELETON_GEMM;
    kept.n_dims = c->n_kept;
    memset(kept.axis_class, 2, sizeof kept.axis_class);
    int64_t stride[COT_MAX_RANK];
    uint32_t bounded = 0;
    coti_place_strides(coti_operand_view(f, c->anchor, 0), coti_frame(f, c->anchor),
                       &f->member[c->anchor].place, stride, &bounded);
    bool fits = coti_access_fits(&kept, stride, bounded);
    for (uint32_t m = c->head; m != 0 && fits; m = f->member[m].next) {
        fits = m == c->anchor || coti_operands_fit(f, &kept, m, &f->member[m].place);
    }
    return fits;
}

static uint32_t axes_mask(const coti_attr_AXES_type *axes) {
    uint32_t mask = 0;
    for (int32_t i = 0; i < axes->n; i++) {
        mask |= (uint32_t)1 << axes->v[i];
    }
    return mask;
}

/* Does the product contract, of operand i, just what the sum reduces of it, and nothing else? Of a
 * convolution only y's cotangent is read as it is. */
static bool contracts_same(const coti_fusion *f, uint32_t sum, uint32_t dot, int32_t i) {
    const coti_node *s = coti_fnode(f, sum);
    const coti_node *d = coti_fnode(f, dot);
    const coti_attr_DOT *attr = d->attr;
    if (d->op != COT_OP_DOT) {
        const uint32_t places = (UINT32_C(1) << (d->shape.rank - 1)) - 1;
        return d->op == COT_OP_CONV_DW && i == 1 && d->input[1] == s->input[0] &&
               coti_reduced_axes(s) == places;
    }
    return d->input[i] == s->input[0] && attr->a_batch.n == 0 &&
           coti_reduced_axes(s) == axes_mask(i == 0 ? &attr->a_contract : &attr->b_contract);
}

/* Does one cluster write a state that the other reads? The two run over different points. */
static bool writes_for(const coti_fusion *f, uint32_t writer, uint32_t reader) {
    for (uint32_t m = coti_cluster_at(f, writer)->head; m != 0; m = f->member[m].next) {
        for (uint32_t w = f->first_write[m]; w != 0; w = f->write.data[w].next) {
            if (reads(coti_cluster_at(f, reader), f->write.data[w].state)) {
                return true;
            }
        }
    }
    return false;
}

/* Does one cluster read a value of the other? */
static bool reads_value_of(const coti_fusion *f, uint32_t reader, uint32_t maker) {
    const coti_cluster *c = coti_cluster_at(f, reader);
    for (size_t i = 0; i < c->read.count; i++) {
        if (coti_cluster_of(f, c->read.data[i]) == maker) {
            return true;
        }
    }
    return false;
}

/* Make the column sum a side reduction of the product's cluster, if that can be. */
static bool try_side(coti_fusion *f, uint32_t columns, uint32_t dot) {
    uint32_t sum = coti_cluster_at(f, columns)->anchor;
    uint32_t product = coti_cluster_of(f, dot);
    coti_cluster *c = coti_cluster_at(f, product);
    bool of_b = contracts_same(f, sum, dot, 1);
    if ((!of_b && !contracts_same(f, sum, dot, 0)) || c->side != 0 || c->n_dims == 0) {
        return false;
    }
    for (int32_t d = 0; d < c->n_dims; d++) {
        if (c->extent[d] == 0) {
            return false; /* no unit would do the side's work */
        }
    }
    if (!has_room_for(f, product, columns) || writes_for(f, columns, product) ||
        writes_for(f, product, columns) || reads_value_of(f, columns, product) ||
        reads_value_of(f, product, columns) || !coti_can_unite(f, product, columns)) {
        return false;
    }
    coti_unite(f, product, columns);
    c->side = columns;
    c->swapped = !of_b;
    coti_cluster_at(f, columns)->side_of = product;
    for (uint32_t m = coti_cluster_at(f, columns)->head; m != 0; m = f->member[m].next) {
        if (m == sum) {
            f->member[m].reason = (coti_reason){COTI_REASON_SIDE, dot};
        }
    }
    return true;
}

void coti_find_sides(coti_fusion *f) {
    for (uint32_t cluster = 1; cluster < f->cluster.count; cluster++) {
        if (!is_plain_column_sum(f, cluster)) {
            continue;
        }
        uint32_t root = coti_operand_root(f, coti_cluster_at(f, cluster)->anchor, 0);
        bool found = false;
        for (uint32_t u = f->users_of[root]; u < f->users_of[root + 1] && !found; u++) {
            found =
                coti_is_product(coti_fnode(f, f->users[u])) && try_side(f, cluster, f->users[u]);
        }
    }
}
