/*
 * The dimensions of a kernel, from those of its cluster.
 *
 * Adjacent dimensions become one where every access steps through both as through one, so that the
 * common dense case is a flat loop; kept and reduced ones stay apart, and so do dimensions whose
 * index is asked for or bounded. A batched dimension c*N that merges with the next, of extent e,
 * becomes ce*N. A product has one dimension for each of its classes of axes, and a column reduction
 * one for all that it reduces: that their accesses merge has been seen to (coti_access_fits). A
 * kernel without kept dimensions gets one of extent 1.
 */
#include "cluster.h"

/* Where each dimension goes; those with equal targets are adjacent. -1: nowhere, all strides are 0.
 */
typedef struct domain_map {
    int32_t n; /* dimensions of the cluster */
    int32_t to[COT_MAX_RANK];
} domain_map;

/* ---- what merges ---- */

/* Bit d: the index along dimension d is asked for. */
static uint32_t indexed_dims(const coti_body *body) {
    uint32_t mask = 0;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (body->expr[i].kind == COTI_EXPR_INDEX) {
            mask |= (uint32_t)1 << body->expr[i].index;
        }
    }
    return mask;
}

/* Do all accesses step through dimensions d and d + 1 as through one? */
static bool merge_everywhere(const coti_cluster *c, const coti_body *body, int32_t d) {
    for (int32_t i = 0; i < body->n_accesses; i++) {
        const coti_access *access = &body->access[i];
        if ((access->bounded >> d & 3) != 0 ||
            access->stride[d] != access->stride[d + 1] * c->extent[d + 1]) {
            return false;
        }
    }
    return true;
}

static domain_map merged_map(const coti_cluster *c, const coti_body *body, coti_kernel *k,
                             bool *overflow) {
    domain_map map = {.n = c->n_dims};
    uint32_t indexed = indexed_dims(body);
    if (c->n_kept == 0) {
        k->extent[k->n_dims++] = 1;
        k->n_kept = 1;
    }
    for (int32_t d = 0; d < c->n_dims; d++) {
        bool starts = d == 0 || d == c->n_kept || (indexed >> (d - 1) & 3) != 0 ||
                      !merge_everywhere(c, body, d - 1);
        if (starts && k->n_dims == COTI_MAX_DIMS) {
            *overflow = true;
            return map;
        }
        if (starts) {
            k->extent[k->n_dims++] = c->extent[d];
        } else {
            k->extent[k->n_dims - 1] *= c->extent[d];
        }
        map.to[d] = k->n_dims - 1;
        k->n_kept = d < c->n_kept ? k->n_dims : k->n_kept;
    }
    return map;
}

static domain_map product_map(const coti_cluster *c, coti_kernel *k) {
    static const int32_t swapped[4] = {0, 2, 1, 3};
    domain_map map = {.n = c->n_dims};
    k->n_dims = k->gemm.inner > 0 ? 4 : 3;
    k->n_kept = k->n_dims;
    k->extent[0] = k->extent[1] = k->extent[2] = k->extent[3] = 1;
    for (int32_t d = 0; d < c->n_dims; d++) {
        map.to[d] = c->swapped ? swapped[c->axis_class[d]] : c->axis_class[d];
        k->extent[map.to[d]] *= c->extent[d];
    }
    return map;
}

/* Of a side reduction: what it keeps is n. */
static domain_map side_map(const coti_cluster *side) {
    domain_map map = {.n = side->n_dims};
    for (int32_t d = 0; d < side->n_dims; d++) {
        map.to[d] = d < side->n_kept ? 2 : -1;
    }
    return map;
}

/* ---- turning accesses ---- */

static void turn_access(const domain_map *map, coti_access *access) {
    coti_access turned = {.slot = access->slot, .offset = access->offset, .fill = access->fill};
    for (int32_t d = 0; d < map->n; d++) {
        int32_t to = map->to[d];
        if (to < 0) {
            continue;
        }
        turned.stride[to] = access->stride[d]; /* the last one's: that of the merged dimension */
        if ((access->bounded >> d & 1) != 0) {
            turned.bounded |= (uint32_t)1 << to;
            turned.lo[to] = access->lo[d];
            turned.hi[to] = access->hi[d];
        }
    }
    if ((access->bounded & COTI_NOWHERE) != 0) {
        turned.bounded |= 1;
        turned.lo[0] = turned.hi[0] = 0;
    }
    *access = turned;
}

static void turn_body(const domain_map *map, coti_body *body) {
    for (int32_t i = 0; i < body->n_accesses; i++) {
        turn_access(map, &body->access[i]);
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        if (body->expr[i].kind == COTI_EXPR_INDEX) {
            body->expr[i].index = map->to[body->expr[i].index];
        }
    }
}

void coti_lower_domain(coti_lowering *l, uint32_t cluster) {
    const coti_cluster *c = coti_cluster_at(l->f, cluster);
    coti_kernel *k = &l->kernel;
    bool is_product = c->skeleton == COTI_SKELETON_GEMM;
    k->skeleton = c->skeleton;
    k->n_dims = 0;
    k->n_kept = 0;
    k->rows = c->rows;
    domain_map map = is_product ? product_map(c, k) : merged_map(c, &k->body, k, &l->overflow);
    if (l->overflow) {
        return;
    }
    k->rows_dim = c->reduced_rows ? k->n_kept : -1;
    turn_body(&map, &k->body);
    if (c->side != 0) {
        map = side_map(coti_cluster_at(l->f, c->side));
        turn_body(&map, &k->gemm.side);
    }
}
