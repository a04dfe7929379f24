/*
 * Fusion: the walk that puts every node of a prepared graph into a cluster, and coti_fuse, which
 * strings all of it together.
 *
 * Greedy, in the order of the nodes, which is topological: a node joins the best cluster of those
 * that make its operands, or starts one (fuse_join.c). Products and reductions are where clusters
 * start; what follows elementwise grows on them, the backward pass's on the product that makes its
 * operand, the optimizer's on the product that makes the gradient. Every step is bounded, so the
 * whole is near-linear in nodes.
 */
#include "cluster.h"

#include <string.h>

/* ---- nodes ---- */

const cot_shape *coti_frame(const coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    return coti_is_reduction(node) ? &coti_fnode(f, node->input[0])->shape : &node->shape;
}

coti_place coti_own_place(const coti_fusion *f, uint32_t id, const coti_place *place) {
    const coti_node *node = coti_fnode(f, id);
    if (!coti_is_reduction(node)) {
        return *place;
    }
    coti_place own;
    memset(&own, -1, sizeof own);
    uint32_t reduced = coti_reduced_axes(node);
    int32_t to = 0;
    for (int32_t a = 0; a < coti_frame(f, id)->rank; a++) {
        if ((reduced >> a & 1) == 0) {
            own.dim[to++] = place->dim[a];
        }
    }
    return own;
}

/* A gather's operands over its result [B,L,I,T]: x [B,L,d,T] without d, index [B,I]. They have no
 * bounds (prepare.c). */
static coti_view gather_operand(const coti_fusion *f, const coti_node *node, int32_t i) {
    const coti_attr_GATHER *attr = node->attr;
    const coti_view *own = coti_view_at(&f->views, node->input[i]);
    const int32_t n_batch = (int32_t)attr->n_batch;
    const int32_t n_index = coti_fnode(f, node->input[1])->shape.rank - n_batch;
    const int32_t rank = coti_fnode(f, node->input[i])->shape.rank;
    coti_view view = *own;
    memset(view.stride, 0, sizeof view.stride);
    for (int32_t a = 0; a < rank; a++) {
        if (i == 1) {
            view.stride[a < n_batch ? a : attr->axis + a - n_batch] = own->stride[a];
        } else if (a != attr->axis) {
            view.stride[a < attr->axis ? a : a - 1 + n_index] = own->stride[a];
        }
    }
    return view;
}

/* Of all other nodes they are the operands' own: a one_hot's last axis and a random's axes are not
 * its operands', their strides are 0. */
static cot_status view_gathered(coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    const coti_view both[2] = {gather_operand(f, node, 0), gather_operand(f, node, 1)};
    f->member[id].gathered = coti_arena_copy(&f->views.arena, both, sizeof both);
    return f->member[id].gathered != NULL ? COT_OK : COT_E_NOMEM;
}

bool coti_is_inline(const coti_fusion *f, const coti_view *view) {
    const coti_node *root = coti_fnode(f, view->root);
    int64_t count = 0;
    if (root->op == COT_OP_ROWS) {
        return view->bounds == NULL;
    }
    return root->op == COT_OP_CONST && view->bounds == NULL &&
           coti_shape_elements(&root->shape, 1, &count) && count == 1;
}

uint32_t coti_cluster_follow(const coti_fusion *f, uint32_t id) {
    uint32_t cluster = f->member[id].cluster;
    while (f->cluster.data[cluster].merged_into != 0) {
        cluster = f->cluster.data[cluster].merged_into;
    }
    f->member[id].cluster = cluster; /* shorten the way for the next */
    return cluster;
}

/* ---- clusters ---- */

/* Loops over axes name COT_MAX_RANK, which no shape's rank exceeds: gcc sees it nowhere else. */
static void add_dim(coti_cluster *c, coti_place *place, const cot_shape *shape, int32_t axis) {
    place->dim[axis] = (int8_t)c->n_dims;
    c->extent[c->n_dims++] = shape->dim[axis];
}

/* Of axis a of a product's result, of whose n_batch batch axes the first n_first are one run, which
 * n_free axes of its first operand follow: the class. */
static int8_t product_class(int32_t a, int32_t n_first, int32_t n_batch, int32_t n_free) {
    return a < n_first ? 0 : a < n_batch ? 3 : a < n_batch + n_free ? 1 : 2;
}

/* Domain of a product: the axes of its result. */
static void start_product(coti_cluster *c, coti_place *place, const coti_node *node,
                          int32_t n_first, int32_t n_batch, int32_t n_free) {
    c->skeleton = COTI_SKELETON_GEMM;
    for (int32_t a = 0; a < node->shape.rank && a < COT_MAX_RANK; a++) {
        if (coti_axis_live(&node->shape, a)) {
            c->axis_class[c->n_dims] = product_class(a, n_first, n_batch, n_free);
            add_dim(c, place, &node->shape, a);
        }
    }
    c->n_kept = c->n_dims;
    c->rows = node->shape.batched;
}

/* Batch axes of a product that are one run wherever it is to be written; at least 1. */
static int32_t run_of_writes(const coti_fusion *f, uint32_t id, int32_t n_batch) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    coti_run run;
    for (uint32_t w = f->first_write[id]; w != 0; w = f->write.data[w].next) {
        const coti_view *view = coti_view_at(&f->views, f->write.data[w].view);
        while (n_batch > 1 &&
               !coti_view_collapse(view, &coti_fnode(f, id)->shape, axes, n_batch, &run)) {
            n_batch--;
        }
    }
    return n_batch;
}

/* Where the operands do not go by that, the product is copied there. */
bool coti_product_collapse(const coti_fusion *f, uint32_t id, coti_run a_out[4], coti_run b_out[4],
                           int32_t *n_first_out) {
    const coti_node *node = coti_fnode(f, id);
    const int32_t n_batch = ((const coti_attr_DOT *)node->attr)->a_batch.n;
    return coti_dot_collapse(&f->views, node, run_of_writes(f, id, n_batch), a_out, b_out,
                             n_first_out) ||
           coti_dot_collapse(&f->views, node, n_batch, a_out, b_out, n_first_out);
}

static cot_status start_dot(const coti_fusion *f, coti_cluster *c, coti_place *place, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    const coti_attr_DOT *attr = node->attr;
    const cot_shape *a_shape = &coti_fnode(f, node->input[0])->shape;
    const int32_t n_free = a_shape->rank - attr->a_batch.n - attr->a_contract.n;
    int32_t n_first = 0;
    coti_run run[2][4];
    COTI_ASSERT(f->context, coti_product_collapse(f, id, run[0], run[1], &n_first));
    start_product(c, place, node, n_first, attr->a_batch.n, n_free);
    return COT_OK;
}

/* Domain of a reduction: the kept axes, then the reduced ones. */
static void start_reduction(coti_cluster *c, coti_place *place, const cot_shape *shape,
                            uint32_t reduced) {
    c->skeleton =
        coti_reduces_rowwise(shape, reduced) ? COTI_SKELETON_ROWRED : COTI_SKELETON_COLRED;
    for (int32_t part = 0; part < 2; part++) {
        c->n_kept = c->n_dims;
        for (int32_t a = 0; a < shape->rank && a < COT_MAX_RANK; a++) {
            if ((int32_t)(reduced >> a & 1) == part && coti_axis_live(shape, a)) {
                add_dim(c, place, shape, a);
            }
        }
    }
    c->rows = shape->batched && (reduced & 1) == 0;
    c->reduced_rows = shape->batched && (reduced & 1) != 0;
}

static void start_map(coti_cluster *c, coti_place *place, const cot_shape *shape) {
    c->skeleton = COTI_SKELETON_MAP;
    for (int32_t a = 0; a < shape->rank && a < COT_MAX_RANK; a++) {
        if (coti_axis_live(shape, a)) {
            add_dim(c, place, shape, a);
        }
    }
    c->n_kept = c->n_dims;
    c->scalar = c->n_dims == 0;
    c->rows = shape->batched;
}

cot_status coti_cluster_start(coti_fusion *f, uint32_t id, uint32_t *cluster_out) {
    COTI_TRY(coti_vec_reserve(f->context, &f->cluster, f->cluster.count + 1));
    coti_cluster c = {.skeleton = COTI_SKELETON_MAP, .first = id, .era = f->member[id].era};
    const coti_node *node = coti_fnode(f, id);
    coti_place *place = &f->member[id].place;
    memset(place, -1, sizeof *place);
    if (node->op == COT_OP_DOT) {
        COTI_TRY(start_dot(f, &c, place, id));
        c.anchor = id;
    } else if (coti_is_product(node)) {
        start_product(&c, place, node, 0, 0, node->shape.rank - 1);
        c.anchor = id;
    } else if (coti_is_reduction(node)) {
        start_reduction(&c, place, coti_frame(f, id), coti_reduced_axes(node));
        c.anchor = id;
    } else {
        start_map(&c, place, &node->shape);
    }
    if (node->op == COT_OP_SCATTER_ADD || node->op == COT_OP_SCAN) {
        c.skeleton = COTI_SKELETON_SCATTER;
        c.is_loop = node->op == COT_OP_SCAN;
        c.scalar = false;
        c.anchor = id;
    }
    *cluster_out = (uint32_t)f->cluster.count;
    f->cluster.data[f->cluster.count++] = c;
    coti_order_append(f, *cluster_out);
    return coti_cluster_append(f, *cluster_out, id);
}

/* Note that the cluster reads a root, if it has not yet. */
static cot_status note_read(coti_fusion *f, coti_cluster *c, uint32_t root) {
    for (size_t i = 0; i < c->read.count; i++) {
        if (c->read.data[i] == root) {
            return COT_OK;
        }
    }
    COTI_TRY(coti_vec_reserve(f->context, &c->read, c->read.count + 1));
    c->read.data[c->read.count++] = root;
    return COT_OK;
}

cot_status coti_cluster_append(coti_fusion *f, uint32_t cluster, uint32_t id) {
    coti_cluster *c = coti_cluster_at(f, cluster);
    const coti_node *node = coti_fnode(f, id);
    f->member[id].cluster = cluster;
    f->member[id].next = 0;
    if (c->head == 0) {
        c->head = id;
    } else {
        f->member[c->tail].next = id;
    }
    c->tail = id;
    c->first = id < c->first ? id : c->first;
    c->last = id > c->last ? id : c->last;
    c->n_members++;
    c->n_must += f->member[id].must;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const coti_view *view = coti_operand_own(f, id, i);
        if (coti_is_inline(f, view) || coti_cluster_of(f, view->root) == cluster) {
            continue;
        }
        COTI_TRY(note_read(f, c, view->root));
        if (!coti_reads_memory(node, i)) {
            f->member[view->root].reader = id;
        }
    }
    return COT_OK;
}

/* ---- before the walk ---- */

/* What the JIT has no kernel for: what should have been expanded. */
static cot_status check_supported(const coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    const coti_op_info *info = &coti_op_table[node->op];
    if (info->kind == COTI_KIND_COMPOSITE && !coti_is_product(node)) {
        char type[COTI_TYPE_BYTES];
        return COTI_FAIL_OP(f->context, COT_E_UNSUPPORTED, info->name, node->layer,
                            "%s: there is no kernel for a result of type %s", info->name,
                            coti_type_text(type, (cot_dtype)node->dtype, &node->shape));
    }
    return COT_OK;
}

/* What a used node reads is used, too; a computed one is a user of its operands' roots, which
 * users_of counts as yet. */
static void use_operands(coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    const bool computed = coti_is_computed(node);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        f->member[node->input[i]].used = true;
        if (computed) {
            const uint32_t root = coti_operand_root(f, id, i);
            f->member[root].must = f->member[root].must || coti_reads_memory(node, i);
            f->users_of[root]++;
        }
    }
}

/* Which nodes outputs and updates need, and how many users each root has. Is there a barrier? */
static bool mark_used(coti_fusion *f) {
    bool has_barrier = false;
    for (size_t i = 0; i < f->graph->output.count; i++) {
        f->member[f->graph->output.data[i].value].used = true;
        f->member[f->graph->output.data[i].value].must = true;
    }
    for (size_t i = 0; i < f->graph->update.count; i++) {
        f->member[f->graph->update.data[i].value].used = true;
    }
    for (uint32_t id = (uint32_t)f->graph->node.count; id-- > 1;) {
        has_barrier = has_barrier || coti_fnode(f, id)->op == COT_OP_BARRIER;
        if (f->member[id].used) {
            use_operands(f, id);
        }
    }
    return has_barrier;
}

/* Fill users: for each root, the computed nodes that read it. */
static cot_status collect_users(coti_fusion *f) {
    size_t n_nodes = f->graph->node.count;
    for (size_t i = 0; i < n_nodes; i++) {
        f->users_of[i + 1] += f->users_of[i]; /* where each one's end */
    }
    f->users = coti_calloc(f->context, f->users_of[n_nodes] + 1, sizeof *f->users);
    if (f->users == NULL) {
        return COT_E_NOMEM;
    }
    for (uint32_t id = (uint32_t)n_nodes; id-- > 1;) {
        const coti_node *node = coti_fnode(f, id);
        bool counts = f->member[id].used && coti_is_computed(node);
        for (int32_t i = 0; counts && i < node->n_inputs; i++) {
            f->users[--f->users_of[coti_operand_root(f, id, i)]] = id; /* and begin, at last */
        }
    }
    return COT_OK;
}

static cot_status collect_writes(coti_fusion *f) {
    COTI_TRY(coti_vec_reserve(f->context, &f->write, f->graph->update.count + 1));
    f->write.data[f->write.count++] = (coti_write){.state = 0};
    for (size_t i = 0; i < f->graph->update.count; i++) {
        const coti_update *update = &f->graph->update.data[i];
        const uint32_t root = coti_view_at(&f->views, update->state)->root;
        uint32_t *first = &f->first_write[update->value];
        f->write.data[f->write.count] = (coti_write){
            .state = root, .value = update->value, .view = update->state, .next = *first};
        f->first_write[root] = (uint32_t)f->write.count;
        *first = (uint32_t)f->write.count++;
    }
    return COT_OK;
}

/* ---- eras ---- */

typedef struct era_key {
    const coti_fusion *f;
    int64_t id;
} era_key;

/* Is barrier node `at` of this id? */
static bool era_equal(const void *user, uint32_t at) {
    const era_key *key = user;
    return ((const coti_attr_BARRIER *)coti_fnode(key->f, at)->attr)->id == key->id;
}

/* The era that a barrier begins: a number that ascends with the first barriers of each id. */
static cot_status begin_era(const coti_fusion *f, coti_map *eras, uint32_t *n_eras, uint32_t id) {
    const coti_attr_BARRIER *attr = coti_fnode(f, id)->attr;
    const era_key key = {f, attr->id};
    uint64_t hash = coti_hash(0, &attr->id, sizeof attr->id);
    uint32_t first = id;
    if (!coti_map_find(eras, hash, era_equal, &key, &first)) {
        COTI_TRY(coti_map_add(eras, hash, id));
        f->member[id].era = ++*n_eras;
        return COT_OK;
    }
    f->member[id].era = f->member[first].era;
    return COT_OK;
}

/* A node's era is not before those of its operands; a view is barred as its operands are. */
static void inherit_era(const coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    coti_member *m = &f->member[id];
    const bool is_view = coti_op_table[node->op].kind == COTI_KIND_VIEW;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        const coti_member *from = &f->member[node->input[i]];
        m->era = from->era > m->era ? from->era : m->era;
        m->barred = m->barred || (is_view && from->barred);
    }
}

/* Of a node the latest era of its operands; a barrier begins one, unless a later one has begun. */
static cot_status find_eras(const coti_fusion *f, coti_map *eras) {
    uint32_t n_eras = 0;
    for (uint32_t id = 1; id < f->graph->node.count; id++) {
        const bool begins = coti_fnode(f, id)->op == COT_OP_BARRIER;
        COTI_TRY(begins ? begin_era(f, eras, &n_eras, id) : COT_OK);
        f->member[id].barred = f->member[id].barred || begins;
        inherit_era(f, id);
    }
    return COT_OK;
}

static cot_status note_eras(const coti_fusion *f) {
    coti_map eras;
    coti_map_init(&eras, f->context);
    cot_status status = find_eras(f, &eras);
    coti_map_free(&eras);
    return status;
}

/* ---- the walk ---- */

/* Why a node starts a group of its own. */
static coti_reason reason_alone(const coti_fusion *f, uint32_t id) {
    const coti_node *node = coti_fnode(f, id);
    if (!f->context->fuse) {
        return (coti_reason){COTI_REASON_UNFUSED, 0};
    }
    if (coti_is_product(node)) {
        return (coti_reason){COTI_REASON_PRODUCT, 0};
    }
    if (coti_is_reduction(node)) {
        return (coti_reason){COTI_REASON_REDUCTION, coti_operand_root(f, id, 0)};
    }
    for (uint32_t u = f->users_of[id]; u < f->users_of[id + 1]; u++) {
        if (coti_is_product(coti_fnode(f, f->users[u]))) {
            return (coti_reason){COTI_REASON_OPERAND, f->users[u]};
        }
    }
    return (coti_reason){COTI_REASON_ALONE, 0};
}

static cot_status place_node(coti_fusion *f, uint32_t id) {
    bool joined = false;
    if (!f->member[id].used || !coti_is_computed(coti_fnode(f, id))) {
        return COT_OK;
    }
    COTI_TRY(check_supported(f, id));
    COTI_TRY(coti_fnode(f, id)->op == COT_OP_GATHER ? view_gathered(f, id) : COT_OK);
    if (coti_fnode(f, id)->op == COT_OP_SCAN) {
        return coti_place_loop(f, id);
    }
    if (f->context->fuse) {
        COTI_TRY(coti_join(f, id, &joined));
    }
    COTI_TRY(f->status);
    if (joined) {
        COTI_TRY(coti_absorb_operands(f, id));
        return f->status;
    }
    uint32_t cluster = 0;
    COTI_TRY(coti_cluster_start(f, id, &cluster));
    f->member[id].reason = reason_alone(f, id);
    const coti_cluster *c = coti_cluster_at(f, cluster);
    if (c->scalar && coti_is_early(f, cluster)) {
        f->early_scalar = cluster;
    }
    if (c->skeleton == COTI_SKELETON_COLRED && c->n_kept == 0 && c->reduced_rows) {
        f->scalar_totals = cluster;
    }
    return COT_OK;
}

static cot_status walk(coti_fusion *f) {
    COTI_TRY(coti_vec_reserve(f->context, &f->cluster, 64));
    memset(&f->cluster.data[0], 0, sizeof f->cluster.data[0]);
    f->cluster.count = 1;
    for (uint32_t id = 1; id < f->graph->node.count; id++) {
        COTI_TRY(place_node(f, id));
    }
    if (f->context->fuse) {
        coti_find_sides(f);
    }
    return f->status;
}

/* ---- coti_fuse ---- */

static cot_status fusion_init(coti_fusion *f) {
    coti_map_init(&f->loops, f->context);
    size_t n_nodes = f->graph->node.count;
    f->member = coti_calloc(f->context, n_nodes, sizeof *f->member);
    f->first_write = coti_calloc(f->context, n_nodes, sizeof *f->first_write);
    f->users_of = coti_calloc(f->context, n_nodes + 1, sizeof *f->users_of);
    if (f->member == NULL || f->first_write == NULL || f->users_of == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_views_extend(&f->views));
    COTI_TRY(mark_used(f) ? note_eras(f) : COT_OK);
    COTI_TRY(collect_users(f));
    return collect_writes(f);
}

static void fusion_free(coti_fusion *f) {
    for (size_t i = 0; i < f->cluster.count; i++) {
        coti_vec_free(f->context, &f->cluster.data[i].read);
    }
    coti_vec_free(f->context, &f->cluster);
    coti_vec_free(f->context, &f->write);
    coti_vec_free(f->context, &f->found);
    coti_map_free(&f->loops);
    coti_free(f->context, f->member);
    coti_free(f->context, f->first_write);
    coti_free(f->context, f->users);
    coti_free(f->context, f->users_of);
    coti_views_free(&f->views);
}

static coti_groups *new_groups(cot_context *context, int64_t max_rows) {
    coti_groups *groups = coti_calloc(context, 1, sizeof *groups);
    if (groups != NULL) {
        groups->context = context;
        groups->max_rows = max_rows;
        coti_arena_init(&groups->arena, context);
    }
    return groups;
}

/* Fuse the prepared graph that the groups have; the views that there are of it are taken. */
static cot_status fuse(coti_fusion *f, coti_groups *groups) {
    f->context = groups->context;
    f->groups = groups;
    f->graph = groups->graph;
    cot_status status = fusion_init(f);
    status = status == COT_OK ? walk(f) : status;
    status = status == COT_OK ? coti_lower_clusters(f) : status;
    fusion_free(f);
    return status;
}

cot_status coti_fuse_body(const coti_fusion *f, cot_graph **graph, coti_groups **groups_out) {
    coti_groups *groups = new_groups(f->context, f->groups->max_rows);
    coti_fusion inner = {.target = f->target, .interned = f->interned, .is_body = true};
    if (groups == NULL) {
        return COT_E_NOMEM;
    }
    groups->graph = *graph;
    *graph = NULL;
    coti_views_init(&inner.views, groups->graph);
    cot_status status = fuse(&inner, groups);
    if (status != COT_OK) {
        coti_groups_destroy(groups);
        return status;
    }
    *groups_out = groups;
    return COT_OK;
}

/* The list of all kernels, for those who need each once. */
static cot_status list_kernels(coti_groups *groups, const coti_interned *interned) {
    const size_t bytes = interned->kernel.count * sizeof *groups->kernel;
    groups->kernel =
        (coti_kernel **)coti_arena_copy(&groups->arena, (const void *)interned->kernel.data, bytes);
    groups->n_kernels = (int32_t)interned->kernel.count;
    return groups->kernel != NULL ? COT_OK : COT_E_NOMEM;
}

cot_status coti_fuse(cot_graph **graph, const coti_target *target, int64_t max_rows,
                     coti_groups **groups_out) {
    cot_context *context = (*graph)->context;
    coti_groups *groups = new_groups(context, max_rows);
    if (groups == NULL) {
        return COT_E_NOMEM;
    }
    groups->graph = *graph;
    *graph = NULL;
    coti_interned interned;
    coti_fusion f = {.target = target, .interned = &interned};
    coti_interned_init(&interned, &groups->arena);
    cot_status status = coti_prepare(&groups->graph, &f.views);
    status = status == COT_OK ? fuse(&f, groups) : status;
    status = status == COT_OK ? list_kernels(groups, &interned) : status;
    coti_interned_free(&interned, context);
    if (status != COT_OK) {
        coti_groups_destroy(groups);
        return status;
    }
    *groups_out = groups;
    return COT_OK;
}
