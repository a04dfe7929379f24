/*
 * An order of the clusters in which each comes after those that it reads from, kept up as they
 * grow.
 *
 * It is what makes the search for cycles cheap: a cluster can only depend on those before it, so a
 * search for whether one depends on another ends at that other, and most searches find nothing to
 * do at all. Where a cluster is to wait for some that come after it, and they do not depend on it,
 * these move to just before it, together with what they need that comes after it too: the search
 * has found them. Nothing else moves.
 *
 * The order is a list; labels that ascend along it tell which of two comes first. A label for a new
 * place is taken from the gap; where there is none, all labels are made anew, with wide gaps, which
 * is rare: a gap lasts for some hundred insertions at one place.
 */
#include "cluster.h"

#include <string.h>

enum { GAP_BITS = 38, SHARE_OF_GAP = 16 };

uint32_t coti_group_of(const coti_fusion *f, uint32_t cluster) {
    uint32_t product = coti_cluster_at(f, cluster)->side_of;
    return product != 0 ? product : cluster;
}

/* ---- the list: cluster 0 is its end and its beginning ---- */

static void unlink_cluster(coti_fusion *f, uint32_t cluster) {
    coti_cluster *c = coti_cluster_at(f, cluster);
    coti_cluster_at(f, c->before)->after = c->after;
    coti_cluster_at(f, c->after)->before = c->before;
}

static void relabel(coti_fusion *f) {
    int64_t label = 0;
    for (uint32_t c = coti_cluster_at(f, 0)->after; c != 0; c = coti_cluster_at(f, c)->after) {
        label += (int64_t)1 << GAP_BITS;
        coti_cluster_at(f, c)->label = label;
    }
}

/* Put a cluster that is in no place right before `next` (0: at the end). */
static void link_before(coti_fusion *f, uint32_t cluster, uint32_t next) {
    coti_cluster *c = coti_cluster_at(f, cluster);
    coti_cluster *n = coti_cluster_at(f, next);
    c->before = n->before;
    c->after = next;
    coti_cluster_at(f, c->before)->after = cluster;
    n->before = cluster;
    int64_t low = c->before != 0 ? coti_cluster_at(f, c->before)->label : 0;
    if (next == 0) {
        c->label = low + ((int64_t)1 << GAP_BITS);
        return;
    }
    int64_t share = (n->label - low) / SHARE_OF_GAP;
    c->label = low + share;
    if (share == 0) {
        relabel(f);
    }
}

void coti_order_append(coti_fusion *f, uint32_t cluster) {
    link_before(f, cluster, 0);
}

/* ---- searching ---- */

static bool push(coti_fusion *f, uint32_t cluster) {
    if (coti_vec_reserve(f->context, &f->found, f->found.count + 1) != COT_OK) {
        f->status = COT_E_NOMEM;
        return false;
    }
    f->found.data[f->found.count++] = cluster;
    coti_cluster_at(f, cluster)->visit = f->n_searches;
    return true;
}

void coti_search_begin(coti_fusion *f, uint32_t target) {
    f->n_searches++;
    f->found.count = 0;
    f->sought = target;
}

bool coti_search_from(coti_fusion *f, uint32_t cluster) {
    cluster = coti_group_of(f, cluster);
    const coti_cluster *c = coti_cluster_at(f, cluster);
    if (cluster == f->sought) {
        return false;
    }
    bool is_before = c->label < coti_cluster_at(f, f->sought)->label;
    return is_before || c->visit == f->n_searches || push(f, cluster);
}

/* All that a cluster reads from; `except`: but for this one. */
static bool search_reads(coti_fusion *f, uint32_t cluster, uint32_t except) {
    for (size_t i = 0; i < coti_cluster_at(f, cluster)->read.count; i++) {
        uint32_t maker = coti_cluster_of(f, coti_cluster_at(f, cluster)->read.data[i]);
        if (maker != 0 && maker != except && maker != cluster && !coti_search_from(f, maker)) {
            return false;
        }
    }
    return true;
}

bool coti_search_end(coti_fusion *f) {
    for (size_t next = 0; next < f->found.count; next++) {
        uint32_t cluster = f->found.data[next];
        uint32_t side = coti_cluster_at(f, cluster)->side;
        if (next >= COTI_MAX_VISITS || !search_reads(f, cluster, 0) ||
            (side != 0 && !search_reads(f, side, 0))) {
            return false;
        }
    }
    return true;
}

/* ---- moving ---- */

void coti_move_found(coti_fusion *f) {
    for (size_t i = 1; i < f->found.count; i++) { /* in order; there are few */
        uint32_t cluster = f->found.data[i];
        size_t at = i;
        for (; at > 0 && coti_cluster_at(f, f->found.data[at - 1])->label >
                             coti_cluster_at(f, cluster)->label;
             at--) {
            f->found.data[at] = f->found.data[at - 1];
        }
        f->found.data[at] = cluster;
    }
    for (size_t i = 0; i < f->found.count; i++) {
        unlink_cluster(f, f->found.data[i]);
        link_before(f, f->found.data[i], f->sought);
    }
    f->found.count = 0;
}

bool coti_can_unite(coti_fusion *f, uint32_t a, uint32_t b) {
    a = coti_group_of(f, a);
    b = coti_group_of(f, b);
    bool a_first = coti_cluster_at(f, a)->label < coti_cluster_at(f, b)->label;
    uint32_t low = a_first ? a : b;
    uint32_t high = a_first ? b : a;
    uint32_t side = coti_cluster_at(f, high)->side;
    coti_search_begin(f, low);
    return search_reads(f, high, low) && (side == 0 || search_reads(f, side, low)) &&
           coti_search_end(f);
}

void coti_unite(coti_fusion *f, uint32_t into, uint32_t from) {
    coti_move_found(f);
    into = coti_group_of(f, into);
    if (coti_cluster_at(f, from)->label < coti_cluster_at(f, into)->label) {
        unlink_cluster(f, into);
        link_before(f, into, from);
    }
    unlink_cluster(f, from);
}
