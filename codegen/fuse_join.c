/*
 * May a node join a cluster, and where do its elements lie in the cluster's domain?
 *
 * A node finds its place through a value that it shares with a member: one that the member makes,
 * or that both read. Where the node's view of that value has the strides of the member's, the
 * node's axes run along the member's dimensions. It then fits if
 *   - its axes are the dimensions of the cluster's domain: all of them, or the kept ones,
 *   - it takes every value that the cluster makes at the point where it is made,
 *   - every other operand is an access that the kernel can make,
 *   - no cluster of another operand depends on this one, and
 *   - the cluster has room.
 * Tried in order: products, row reductions, column reductions, maps; the latest of each first.
 */
#include "cluster.h"

#include <string.h>

/* ---- accesses ---- */

void coti_place_strides(const coti_view *view, const cot_shape *shape, const coti_place *place,
                        int64_t stride_out[COT_MAX_RANK], uint32_t *bounded_out) {
    memset(stride_out, 0, COT_MAX_RANK * sizeof *stride_out);
    *bounded_out = 0;
    for (int32_t a = 0; a < shape->rank; a++) {
        if (place->dim[a] >= 0) {
            stride_out[place->dim[a]] = view->stride[a];
            if (view->bounds != NULL && (view->bounds->axes >> a & 1) != 0) {
                *bounded_out |= (uint32_t)1 << place->dim[a];
            }
        }
    }
}

/* Does the kernel treat dimensions d and d + 1 as one? */
static bool is_collapsed(const coti_cluster *c, int32_t d) {
    if (c->skeleton == COTI_SKELETON_GEMM) {
        return c->axis_class[d] == c->axis_class[d + 1];
    }
    return c->skeleton == COTI_SKELETON_COLRED && d >= c->n_kept;
}

/* Does it so with any? Else every access fits, and every index can be had. */
static bool collapses(const coti_cluster *c) {
    for (int32_t d = 0; d + 1 < c->n_dims; d++) {
        if (is_collapsed(c, d)) {
            return true;
        }
    }
    return false;
}

bool coti_access_fits(const coti_cluster *c, const int64_t stride[COT_MAX_RANK], uint32_t bounded) {
    for (int32_t d = 0; d + 1 < c->n_dims; d++) {
        if (is_collapsed(c, d) &&
            ((bounded >> d & 3) != 0 || stride[d] != stride[d + 1] * c->extent[d + 1])) {
            return false;
        }
    }
    return true;
}

/* Can the index along a dimension be had? */
static bool index_fits(const coti_cluster *c, int32_t d) {
    return d < 0 ||
           ((d + 1 == c->n_dims || !is_collapsed(c, d)) && (d == 0 || !is_collapsed(c, d - 1)));
}

/* Does the kernel need the index along an axis of the node? -1: of none. */
static int32_t indexed_axis(const coti_node *node) {
    if (node->op == COT_OP_IOTA) {
        return ((const coti_attr_AXIS *)node->attr)->axis;
    }
    return node->op == COT_OP_ONE_HOT ? node->shape.rank - 1 : -1;
}

bool coti_operands_fit(const coti_fusion *f, const coti_cluster *c, uint32_t id,
                       const coti_place *place) {
    const coti_node *node = coti_fnode(f, id);
    int64_t stride[COT_MAX_RANK];
    uint32_t bounded = 0;
    int32_t axis = indexed_axis(node);
    if (!collapses(c)) {
        return true;
    }
    if (axis >= 0 && !index_fits(c, place->dim[axis])) {
        return false;
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        coti_place_strides(coti_operand_view(f, id, i), coti_frame(f, id), place, stride, &bounded);
        if (!coti_access_fits(c, stride, bounded)) {
            return false;
        }
    }
    /* What it makes may be stored, or counted as elements of a random stream. */
    coti_place own = coti_own_place(f, id, place);
    coti_place_strides(coti_view_at(&f->views, id), &node->shape, &own, stride, &bounded);
    return coti_access_fits(c, stride, bounded);
}

/* ---- places ---- */

/* A cluster that a node may join, and a value that gives it its place there. */
typedef struct candidate {
    uint32_t cluster;
    const coti_view *view, *base; /* of the value: by the node's frame, by the member's axes */
    const cot_shape *shape;       /* of base */
    coti_place place;             /* of base's axes */
    coti_reason_kind reason;      /* if it joins */
    uint32_t node;                /* for the reason */
} candidate;

/* The node's place, as far as the value tells it; other axes are -1. False: it does not fit. */
static bool place_by(const coti_fusion *f, uint32_t id, const candidate *at, coti_place *place) {
    int8_t axis[COT_MAX_RANK];
    if (!coti_view_match(at->view, coti_frame(f, id), at->base, at->shape, axis)) {
        return false;
    }
    memset(place, -1, sizeof *place);
    for (int32_t j = 0; j < at->shape->rank; j++) {
        if (axis[j] >= 0) {
            place->dim[axis[j]] = at->place.dim[j];
        }
    }
    return true;
}

/* Bit d: an axis runs along dimension d. Also counts the live axes that run along none. */
static uint32_t covered(const cot_shape *shape, const coti_place *place, int32_t *n_missing) {
    uint32_t mask = 0;
    *n_missing = 0;
    for (int32_t a = 0; a < shape->rank; a++) {
        if (place->dim[a] >= 0) {
            mask |= (uint32_t)1 << place->dim[a];
        } else if (coti_axis_live(shape, a)) {
            (*n_missing)++;
        }
    }
    return mask;
}

static uint32_t low_bits(int32_t n) {
    return ((uint32_t)1 << n) - 1;
}

/*
 * Let the axes that have no place run along the reduced dimensions of a row reduction: the node
 * repeats a result of it over the row. They must be as many, of the same extents, in order.
 */
static bool spread_over_row(const coti_cluster *c, const cot_shape *shape, coti_place *place) {
    int32_t d = c->n_kept;
    for (int32_t a = 0; a < shape->rank; a++) {
        if (place->dim[a] >= c->n_kept) {
            return false;
        }
        if (place->dim[a] < 0 && coti_axis_live(shape, a)) {
            bool batched = a == 0 && shape->batched;
            if (batched || d == c->n_dims || c->extent[d] != shape->dim[a]) {
                return false;
            }
            place->dim[a] = (int8_t)d++;
        }
    }
    return d == c->n_dims;
}

/* The place of an elementwise node: on all dimensions of the domain, or on the kept ones. */
static bool place_elementwise(const coti_fusion *f, uint32_t id, const candidate *at,
                              coti_place *place) {
    const coti_cluster *c = coti_cluster_at(f, at->cluster);
    const cot_shape *shape = coti_frame(f, id);
    int32_t n_missing = 0;
    if (!place_by(f, id, at, place)) {
        return false;
    }
    covered(shape, place, &n_missing);
    if (n_missing > 0 &&
        (c->skeleton != COTI_SKELETON_ROWRED || !spread_over_row(c, shape, place))) {
        return false;
    }
    uint32_t mask = covered(shape, place, &n_missing);
    bool kept = mask == low_bits(c->n_kept);
    bool full = mask == low_bits(c->n_dims) && c->skeleton != COTI_SKELETON_COLRED;
    return kept || full;
}

/* Does the node take each value that the cluster makes at the point where it is made? */
static bool same_points(const coti_fusion *f, uint32_t cluster, uint32_t id,
                        const coti_place *place) {
    const coti_node *node = coti_fnode(f, id);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const coti_view *view = coti_operand_view(f, id, i);
        const uint32_t root = view->root;
        if (coti_cluster_of(f, root) != cluster) {
            continue;
        }
        const cot_shape *shape = &coti_fnode(f, root)->shape;
        coti_place own = coti_own_place(f, root, &f->member[root].place);
        int8_t axis[COT_MAX_RANK];
        if (coti_reads_memory(node, i) ||
            !coti_view_match(view, coti_frame(f, id), coti_view_at(&f->views, root), shape, axis)) {
            return false;
        }
        for (int32_t j = 0; j < shape->rank; j++) {
            if (axis[j] >= 0 && place->dim[axis[j]] != own.dim[j]) {
                return false;
            }
        }
    }
    return true;
}

/* ---- room and cycles ---- */

/* And are both of one era? What comes behind a barrier is not drawn before it, nor holds it up. */
static bool has_room(const coti_fusion *f, uint32_t cluster, uint32_t id) {
    const coti_cluster *c = coti_cluster_at(f, cluster);
    if (c->era != f->member[id].era) {
        return false;
    }
    const coti_node *node = coti_fnode(f, id);
    int32_t n_slots = (int32_t)c->read.count + c->n_must + f->member[id].must;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const coti_view *view = coti_operand_own(f, id, i);
        n_slots += !coti_is_inline(f, view) && coti_cluster_of(f, view->root) != cluster;
    }
    return c->n_members < COTI_PREFERRED_NODES && n_slots <= COTI_PREFERRED_SLOTS;
}

/*
 * Would joining make the cluster wait for what it need not wait for? A scalar joins what is no mere
 * scalar work, or scalar work that can be done early, only if all else it takes is early: a sum of
 * norms must not chain the reductions that make them.
 */
static bool scalar_may_join(coti_fusion *f, uint32_t cluster, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    const coti_cluster *c = coti_cluster_at(f, cluster);
    bool is_late_map = c->scalar && !coti_is_early(f, cluster);
    for (int32_t a = 0; a < coti_frame(f, id)->rank; a++) {
        if (coti_axis_live(coti_frame(f, id), a)) {
            return true;
        }
    }
    for (int32_t i = 0; i < node->n_inputs && !is_late_map; i++) {
        uint32_t other = coti_cluster_of(f, coti_operand_root(f, id, i));
        if (other != 0 && other != cluster && !coti_is_early(f, other)) {
            return false;
        }
    }
    return true;
}

/* Does no operand's cluster depend on this one? The search is then at its end (coti_move_found). */
static bool makes_no_cycle(coti_fusion *f, uint32_t cluster, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    coti_search_begin(f, coti_group_of(f, cluster));
    for (int32_t i = 0; i < node->n_inputs; i++) {
        uint32_t other = coti_cluster_of(f, coti_operand_root(f, id, i));
        if (other != 0 && other != cluster && !coti_search_from(f, other)) {
            return false;
        }
    }
    return coti_search_end(f);
}

/* ---- elementwise nodes ---- */

/* What makes_no_cycle has found moves. */
static cot_status join(coti_fusion *f, uint32_t id, const candidate *at, const coti_place *place) {
    coti_move_found(f);
    f->member[id].place = *place;
    f->member[id].reason = (coti_reason){at->reason, at->node};
    return coti_cluster_append(f, at->cluster, id);
}

static cot_status try_elementwise(coti_fusion *f, uint32_t id, const candidate *at,
                                  bool *joined_out) {
    coti_place place;
    if (place_elementwise(f, id, at, &place) && same_points(f, at->cluster, id, &place) &&
        has_room(f, at->cluster, id) && scalar_may_join(f, at->cluster, id) &&
        coti_operands_fit(f, coti_cluster_at(f, at->cluster), id, &place) &&
        makes_no_cycle(f, at->cluster, id)) {
        *joined_out = true;
        return join(f, id, at, &place);
    }
    return COT_OK;
}

/* Through operand i, which a cluster makes. False: none makes it. */
static bool candidate_of_maker(const coti_fusion *f, uint32_t id, int32_t i, candidate *at) {
    const coti_view *view = coti_operand_view(f, id, i);
    uint32_t cluster = coti_cluster_of(f, view->root);
    if (cluster == 0 || coti_reads_memory(coti_fnode(f, id), i) ||
        coti_cluster_at(f, cluster)->skeleton == COTI_SKELETON_SCATTER) {
        return false;
    }
    *at = (candidate){.cluster = cluster,
                      .view = view,
                      .base = coti_view_at(&f->views, view->root),
                      .shape = &coti_fnode(f, view->root)->shape,
                      .place = coti_own_place(f, view->root, &f->member[view->root].place),
                      .node = view->root};
    coti_skeleton skeleton = coti_cluster_at(f, cluster)->skeleton;
    at->reason = skeleton == COTI_SKELETON_GEMM     ? COTI_REASON_EPILOGUE
                 : skeleton == COTI_SKELETON_ROWRED ? COTI_REASON_ROW
                 : skeleton == COTI_SKELETON_COLRED ? COTI_REASON_EPILOGUE
                                                    : COTI_REASON_ELEMENTWISE;
    return true;
}

/* Through operand i, which a member reads too. False: none does, or not from a map or a reduction.
 */
static bool candidate_of_reader(const coti_fusion *f, uint32_t id, int32_t i, candidate *at) {
    const coti_view *view = coti_operand_view(f, id, i);
    uint32_t reader = f->member[view->root].reader;
    uint32_t cluster = reader != 0 ? coti_cluster_of(f, reader) : 0;
    if (cluster == 0 || coti_reads_memory(coti_fnode(f, id), i) ||
        coti_cluster_at(f, cluster)->skeleton == COTI_SKELETON_GEMM) {
        return false;
    }
    int32_t of_reader = 0;
    while (coti_operand_root(f, reader, of_reader) != view->root ||
           coti_reads_memory(coti_fnode(f, reader), of_reader)) {
        of_reader++;
    }
    *at = (candidate){.cluster = cluster,
                      .view = view,
                      .base = coti_operand_view(f, reader, of_reader),
                      .shape = coti_frame(f, reader),
                      .place = f->member[reader].place,
                      .reason = COTI_REASON_SIBLING,
                      .node = reader};
    return true;
}

/* The better of two clusters: by skeleton, then the later. */
static bool is_better(const coti_fusion *f, uint32_t a, uint32_t b) {
    static const int8_t rank[] = {
        [COTI_SKELETON_GEMM] = 4, [COTI_SKELETON_ROWRED] = 3,  [COTI_SKELETON_COLRED] = 2,
        [COTI_SKELETON_MAP] = 1,  [COTI_SKELETON_SCATTER] = 0, [COTI_SKELETON_LOAD] = 0};
    const coti_cluster *x = coti_cluster_at(f, a);
    const coti_cluster *y = coti_cluster_at(f, b);
    if (x->skeleton != y->skeleton) {
        return rank[x->skeleton] > rank[y->skeleton];
    }
    return x->last > y->last;
}

/* Candidates through the makers of operands, best first. */
static int32_t list_makers(const coti_fusion *f, uint32_t id, candidate list[3]) {
    const coti_node *node = coti_fnode(f, id);
    int32_t n = 0;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        candidate at;
        if (!candidate_of_maker(f, id, i, &at)) {
            continue;
        }
        int32_t to = n++;
        for (; to > 0 && is_better(f, at.cluster, list[to - 1].cluster); to--) {
            list[to] = list[to - 1];
        }
        list[to] = at;
    }
    return n;
}

/* Is every operand a leaf, or made by the cluster? */
static bool needs_no_other(const coti_fusion *f, uint32_t cluster, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        uint32_t maker = coti_cluster_of(f, coti_operand_root(f, id, i));
        if (maker != 0 && maker != cluster) {
            return false;
        }
    }
    return true;
}

/* With the scalars that need nothing else, if it is one. */
static cot_status try_early_scalar(coti_fusion *f, uint32_t id, bool *joined_out) {
    const cot_shape *shape = coti_frame(f, id);
    int32_t n_live = 0;
    coti_place nowhere;
    memset(&nowhere, -1, sizeof nowhere);
    covered(shape, &nowhere, &n_live);
    if (n_live > 0 || f->early_scalar == 0) {
        return COT_OK;
    }
    candidate at = {.reason = COTI_REASON_SCALAR};
    at.cluster = coti_cluster_of(f, coti_cluster_at(f, f->early_scalar)->head);
    if (!coti_is_early(f, at.cluster) || !coti_cluster_at(f, at.cluster)->scalar ||
        !needs_no_other(f, at.cluster, id) || !same_points(f, at.cluster, id, &nowhere) ||
        !has_room(f, at.cluster, id) || !makes_no_cycle(f, at.cluster, id)) {
        return COT_OK;
    }
    *joined_out = true;
    return join(f, id, &at, &nowhere);
}

/* With one that reads operand i too, if that makes the cluster wait for nothing. */
static cot_status try_reader(coti_fusion *f, uint32_t id, int32_t i, bool *joined_out) {
    candidate at;
    if (candidate_of_reader(f, id, i, &at) && needs_no_other(f, at.cluster, id)) {
        return try_elementwise(f, id, &at, joined_out);
    }
    return COT_OK;
}

static cot_status join_elementwise(coti_fusion *f, uint32_t id, bool *joined_out) {
    candidate list[3];
    int32_t n = list_makers(f, id, list);
    for (int32_t i = 0; i < n && !*joined_out; i++) {
        COTI_TRY(try_elementwise(f, id, &list[i], joined_out));
    }
    for (int32_t i = 0; i < coti_fnode(f, id)->n_inputs && !*joined_out; i++) {
        COTI_TRY(try_reader(f, id, i, joined_out));
    }
    return *joined_out ? COT_OK : try_early_scalar(f, id, joined_out);
}

/* ---- reductions ---- */

/* Does the reduction keep and reduce the dimensions that the cluster does, in its order? */
static bool same_partition(const coti_fusion *f, const coti_cluster *c, uint32_t id,
                           const coti_place *place) {
    const cot_shape *shape = coti_frame(f, id);
    uint32_t reduced = coti_reduced_axes(coti_fnode(f, id));
    bool rowwise = coti_reduces_rowwise(shape, reduced);
    int32_t n_missing = 0;
    int32_t next = c->n_kept;
    if (c->skeleton != (rowwise ? COTI_SKELETON_ROWRED : COTI_SKELETON_COLRED) ||
        covered(shape, place, &n_missing) != low_bits(c->n_dims) || n_missing > 0) {
        return false;
    }
    for (int32_t a = 0; a < shape->rank; a++) {
        bool is_reduced = (reduced >> a & 1) != 0;
        if (place->dim[a] >= 0 && is_reduced != (place->dim[a] >= c->n_kept)) {
            return false;
        }
        if (place->dim[a] >= 0 && is_reduced && place->dim[a] != next++) {
            return false;
        }
    }
    return true;
}

/* Are the members of a cluster for the reduction alone: nothing of theirs need be stored? */
static bool serves_only(const coti_fusion *f, uint32_t cluster, uint32_t id) {
    const coti_cluster *c = coti_cluster_at(f, cluster);
    for (uint32_t m = c->head; m != 0; m = f->member[m].next) {
        if (f->member[m].must || f->first_write[m] != 0) {
            return false;
        }
        for (uint32_t u = f->users_of[m]; u < f->users_of[m + 1]; u++) {
            if (f->users[u] != id && coti_cluster_of(f, f->users[u]) != cluster) {
                return false;
            }
        }
    }
    return true;
}

/* A map as the reduction's cluster: dimensions in the order of its axes, kept ones first. to[d] is
 * where the map's dimension d goes. */
static coti_cluster turned(const coti_fusion *f, const coti_cluster *map, uint32_t id,
                           const coti_place *place, int8_t to[COT_MAX_RANK]) {
    const cot_shape *shape = coti_frame(f, id);
    uint32_t reduced = coti_reduced_axes(coti_fnode(f, id));
    coti_cluster c = *map;
    c.skeleton = coti_reduces_rowwise(shape, reduced) ? COTI_SKELETON_ROWRED : COTI_SKELETON_COLRED;
    c.n_dims = 0;
    for (uint32_t part = 0; part < 2; part++) {
        c.n_kept = c.n_dims;
        for (int32_t a = 0; a < shape->rank; a++) {
            if ((reduced >> a & 1) == part && place->dim[a] >= 0) {
                to[place->dim[a]] = (int8_t)c.n_dims;
                c.extent[c.n_dims++] = map->extent[place->dim[a]];
            }
        }
    }
    c.reduced_rows = map->rows && (reduced & 1) != 0;
    c.rows = map->rows && !c.reduced_rows;
    c.anchor = id;
    return c;
}

static coti_place turn_place(const coti_place *place, const int8_t to[COT_MAX_RANK]) {
    coti_place result = *place;
    for (int32_t a = 0; a < COT_MAX_RANK; a++) {
        result.dim[a] = place->dim[a] >= 0 ? to[place->dim[a]] : (int8_t)-1;
    }
    return result;
}

/*
 * Turn a map into the reduction of what it makes. Column reductions store nothing full, and a
 * reduction to one result runs in one piece: then the map must serve the reduction only.
 */
static bool turn_map(coti_fusion *f, uint32_t cluster, uint32_t id, coti_place *place) {
    coti_cluster *map = coti_cluster_at(f, cluster);
    const cot_shape *shape = coti_frame(f, id);
    int8_t to[COT_MAX_RANK];
    int32_t n_missing = 0;
    if (map->skeleton != COTI_SKELETON_MAP || map->scalar ||
        covered(shape, place, &n_missing) != low_bits(map->n_dims) || n_missing > 0) {
        return false;
    }
    coti_cluster c = turned(f, map, id, place, to);
    if ((c.skeleton == COTI_SKELETON_COLRED || c.n_kept == 0) && !serves_only(f, cluster, id)) {
        return false;
    }
    for (uint32_t m = map->head; m != 0; m = f->member[m].next) {
        coti_place turned_place = turn_place(&f->member[m].place, to);
        if (!coti_operands_fit(f, &c, m, &turned_place)) {
            return false;
        }
    }
    for (uint32_t m = map->head; m != 0; m = f->member[m].next) {
        f->member[m].place = turn_place(&f->member[m].place, to);
    }
    *map = c;
    *place = turn_place(place, to);
    return true;
}

static cot_status try_reduction(coti_fusion *f, uint32_t id, const candidate *at, bool makes,
                                bool *joined_out) {
    coti_place place;
    if (!place_by(f, id, at, &place) || !same_points(f, at->cluster, id, &place) ||
        !has_room(f, at->cluster, id) || !makes_no_cycle(f, at->cluster, id)) {
        return COT_OK;
    }
    bool fits = same_partition(f, coti_cluster_at(f, at->cluster), id, &place) &&
                coti_operands_fit(f, coti_cluster_at(f, at->cluster), id, &place);
    if (fits || (makes && turn_map(f, at->cluster, id, &place))) {
        *joined_out = true;
        return join(f, id, at, &place);
    }
    return COT_OK;
}

/* With the other sums of values over all rows into scalars. */
static cot_status try_total(coti_fusion *f, uint32_t id, bool *joined_out) {
    if (f->scalar_totals == 0) {
        return COT_OK;
    }
    candidate at = {.reason = COTI_REASON_TOTAL};
    at.cluster = coti_cluster_of(f, coti_cluster_at(f, f->scalar_totals)->head);
    coti_place place;
    memset(&place, -1, sizeof place);
    place.dim[0] = 0;
    const coti_cluster *c = coti_cluster_at(f, at.cluster);
    const cot_shape *shape = coti_frame(f, id);
    if (shape->rank > 0 && shape->batched && c->n_dims == 1 && c->extent[0] == shape->dim[0] &&
        c->reduced_rows && same_partition(f, c, id, &place) &&
        same_points(f, at.cluster, id, &place) && has_room(f, at.cluster, id) &&
        makes_no_cycle(f, at.cluster, id)) {
        *joined_out = true;
        return join(f, id, &at, &place);
    }
    return COT_OK;
}

static cot_status join_reduction(coti_fusion *f, uint32_t id, bool *joined_out) {
    candidate at;
    if (candidate_of_maker(f, id, 0, &at)) {
        at.reason = COTI_REASON_REDUCES;
        COTI_TRY(try_reduction(f, id, &at, true, joined_out));
    }
    if (!*joined_out && candidate_of_reader(f, id, 0, &at)) {
        COTI_TRY(try_reduction(f, id, &at, false, joined_out));
    }
    return *joined_out ? COT_OK : try_total(f, id, joined_out);
}

cot_status coti_join(coti_fusion *f, uint32_t id, bool *joined_out) {
    const coti_node *node = coti_fnode(f, id);
    if (coti_is_product(node) || node->op == COT_OP_SCATTER_ADD) {
        return COT_OK;
    }
    return coti_is_reduction(node) ? join_reduction(f, id, joined_out)
                                   : join_elementwise(f, id, joined_out);
}
