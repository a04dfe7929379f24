/*
 * From clusters to groups: decide what is stored, lower each cluster to a kernel, order the groups.
 *
 * Three things can only be seen on the way, and each begins it anew: a kernel that becomes too
 * large (its cluster is taken apart: each node is a cluster), a state that its kernel reads at
 * other elements than it writes, and a state whose readers cannot all come before its writer (then
 * its new value is stored, and copied after all). All are rare, and each happens at most once to a
 * cluster or a state.
 */
#include "cluster.h"

#include "tile.h"

#include <string.h>

/* ---- products ---- */

/* Fill the product of a cluster: extents, strides, slots; a's slot is 0. */
static cot_status lower_product(coti_lowering *l, const coti_cluster *c) {
    coti_fusion *f = l->f;
    const coti_node *dot = coti_fnode(f, c->anchor);
    const coti_attr_DOT *attr = dot->attr;
    const cot_shape *a_shape = &coti_fnode(f, dot->input[0])->shape;
    coti_gemm *g = &l->kernel.gemm;
    coti_run run[2][4]; /* of a and of b: batch, free, contracted, the batch's second part */
    int32_t n_first = 0;
    if (dot->op != COT_OP_DOT) {
        coti_lower_conv(l, c);
        return COT_OK;
    }
    COTI_ASSERT(f->context, coti_product_collapse(f, c->anchor, run[0], run[1], &n_first));
    int32_t a = c->swapped ? 1 : 0; /* the operand whose free axes are m */
    const coti_view *view[2] = {coti_operand_view(f, c->anchor, 0),
                                coti_operand_view(f, c->anchor, 1)};
    g->dtype = (cot_dtype)dot->dtype;
    g->b = run[a][0].extent;
    g->m = run[a][1].extent;
    g->n = run[1 - a][1].extent;
    g->k = run[a][2].extent;
    g->inner = n_first < attr->a_batch.n ? run[a][3].extent : 0;
    if (a_shape->batched) {
        g->b_rows = attr->a_batch.n > 0 && attr->a_batch.v[0] == 0;
        for (int32_t i = 0; i < attr->a_contract.n; i++) {
            g->k_rows = g->k_rows || attr->a_contract.v[i] == 0;
        }
        g->m_rows = !g->b_rows && !g->k_rows;
    }
    g->a_slot = coti_lowering_slot(l, coti_root_kind(f, view[a]->root), view[a]->root);
    g->b_slot = coti_lowering_slot(l, coti_root_kind(f, view[1 - a]->root), view[1 - a]->root);
    l->operand[g->a_slot].read = true;
    l->operand[g->b_slot].read = true;
    g->a_offset = view[a]->offset;
    g->b_offset = view[1 - a]->offset;
    for (int32_t i = 0; i < 4; i++) {
        g->a_stride[i] = run[a][i].stride;
    }
    g->b_stride[0] = run[1 - a][0].stride;
    g->b_stride[1] = run[1 - a][2].stride;
    g->b_stride[2] = run[1 - a][1].stride;
    g->b_stride[3] = run[1 - a][3].stride;
    return COT_OK;
}

/* ---- what a group says of itself ---- */

static double operation_cost(const coti_expr *expr) {
    switch ((int32_t)expr->op) {
    case COT_OP_EXP:
    case COT_OP_EXPM1:
    case COT_OP_LOG:
    case COT_OP_LOG1P:
    case COT_OP_TANH:
    case COT_OP_SIGMOID:
    case COT_OP_SOFTPLUS:
    case COT_OP_ERF:
    case COT_OP_ERFC:
    case COT_OP_GELU:
    case COT_OP_SIN:
    case COT_OP_COS:
    case COT_OP_POW:
        return 20;
    default:
        return 1;
    }
}

static double body_work(const coti_body *body, double kept, double full) {
    double work = 0;
    for (int32_t i = 0; i < body->n_exprs; i++) {
        const coti_expr *expr = &body->expr[i];
        if (expr->kind == COTI_EXPR_REDUCE) {
            work += full;
        } else if (expr->kind == COTI_EXPR_OP || expr->kind == COTI_EXPR_RANDOM ||
                   expr->kind == COTI_EXPR_GATHER) {
            double cost = expr->kind == COTI_EXPR_RANDOM ? 20 : operation_cost(expr);
            work += cost * (expr->full ? full : kept);
        }
    }
    for (int32_t i = 0; i < body->n_stores; i++) {
        work += body->expr[body->store[i].expr].full ? full : kept;
    }
    return work;
}

/* Flops at the largest row count; a store counts one. */
static double kernel_work(const coti_kernel *k, int64_t max_rows) {
    double rows = (double)max_rows;
    double kept = k->rows ? rows : 1;
    double full = k->rows_dim >= 0 ? rows : 1;
    for (int32_t d = 0; d < k->n_dims; d++) {
        *(d < k->n_kept ? &kept : &full) *= (double)k->extent[d];
    }
    double work = body_work(&k->body, kept, kept * full);
    if (k->skeleton == COTI_SKELETON_GEMM) {
        const coti_gemm *g = &k->gemm;
        double inner = (double)g->k * (g->k_rows ? rows : 1);
        double columns = (double)(g->b * coti_gemm_inner(g)) * (double)g->n;
        work += 2 * kept * inner + body_work(&g->side, columns, columns);
        work += g->side.n_exprs > 0 ? columns * inner : 0;
    }
    if (k->skeleton == COTI_SKELETON_SCATTER) {
        const coti_scatter *s = &k->scatter;
        double updates = (double)s->i * (double)s->t * (k->rows || s->i_rows ? rows : 1);
        work += kept + 2 * (double)s->b * (double)s->l * updates;
    }
    return work;
}

/* Does a gather read the slot? Of a table it reads few rows. */
static bool is_gathered(const coti_kernel *k, int32_t slot) {
    const coti_body *bodies[2] = {&k->body, &k->gemm.side};
    for (int32_t b = 0; b < 2; b++) {
        for (int32_t i = 0; i < bodies[b]->n_exprs; i++) {
            const coti_expr *expr = &bodies[b]->expr[i];
            if (expr->kind == COTI_EXPR_GATHER && bodies[b]->access[expr->index].slot == slot) {
                return true;
            }
        }
    }
    return false;
}

/* Bytes of operands that do not grow with the batch, and are read as a whole. */
static int64_t unbatched_bytes(const coti_lowering *l) {
    int64_t total = 0;
    for (int32_t s = 0; s < l->kernel.n_slots; s++) {
        const coti_node *node = coti_fnode(l->f, l->operand[s].id);
        int64_t elements = 0;
        if (l->operand[s].read && !node->shape.batched && !is_gathered(&l->kernel, s) &&
            coti_shape_elements(&node->shape, 1, &elements)) {
            total += elements * (int64_t)cot_dtype_bytes((cot_dtype)node->dtype);
        }
    }
    return total;
}

/* The coefficient c of a batched partition axis c*N, or the units of another. */
static void set_partition(coti_group *group) {
    const coti_kernel *k = group->kernel;
    const coti_gemm *g = &k->gemm;
    group->rows = k->rows;
    group->coefficient = 1;
    if (k->skeleton == COTI_SKELETON_GEMM) {
        if (k->rows) {
            group->coefficient = g->m_rows ? g->m : g->b;
        } else {
            group->n_units = coti_tile_units(g);
        }
    } else if (k->skeleton != COTI_SKELETON_LOAD) {
        *(k->rows ? &group->coefficient : &group->n_units) = k->extent[0];
    }
}

/* Make a group of what has been lowered and append it. */
static cot_status append_group(coti_lowering *l, coti_lowered_list *list, uint32_t cluster,
                               uint32_t first) {
    coti_groups *groups = l->f->groups;
    coti_lowered lowered = {.cluster = cluster, .first = first};
    coti_group *group = &lowered.group;
    size_t n_slots = (size_t)l->kernel.n_slots;
    size_t n_nodes = (size_t)l->n_nodes;
    COTI_TRY(coti_intern_kernel(l, &group->kernel));
    group->operand = coti_arena_copy(&groups->arena, l->operand, n_slots * sizeof *group->operand);
    group->node = coti_arena_copy(&groups->arena, l->node, n_nodes * sizeof *group->node);
    group->reason = coti_arena_copy(&groups->arena, l->reason, n_nodes * sizeof *group->reason);
    if (group->operand == NULL || group->node == NULL || group->reason == NULL) {
        return COT_E_NOMEM;
    }
    group->n_nodes = l->n_nodes;
    group->era = cluster != 0 ? coti_cluster_at(l->f, cluster)->era : 0;
    set_partition(group);
    group->work = kernel_work(group->kernel, groups->max_rows);
    group->shared_bytes = group->rows ? unbatched_bytes(l) : 0;
    COTI_TRY(coti_vec_reserve(l->f->context, &list->at, list->at.count + 1));
    list->at.data[list->at.count++] = lowered;
    return COT_OK;
}

static void note_only(coti_lowering *l, uint32_t id, coti_reason_kind reason) {
    l->node[l->n_nodes] = id;
    l->reason[l->n_nodes++] = (coti_reason){reason, 0};
}

/* ---- loads and copies ---- */

/* The kernel that brings an input's rows into the step, if it is batched and read: an input c*N has
 * rows of c parts. */
static cot_status lower_load(coti_lowering *l, coti_lowered_list *list, uint32_t id) {
    const cot_shape *shape = &coti_fnode(l->f, id)->shape;
    coti_kernel *k = &l->kernel;
    if (!l->f->member[id].used || !shape->batched || l->f->is_body) {
        return COT_OK;
    }
    coti_lowering_reset(l);
    k->skeleton = COTI_SKELETON_LOAD;
    k->rows = true;
    k->n_dims = 2;
    k->n_kept = 2;
    k->extent[0] = 1;
    if (!coti_shape_elements(shape, 1, &k->extent[1])) {
        return COTI_FAIL(l->f->context, COT_E_INTERNAL, "input: too many elements");
    }
    l->operand[coti_lowering_slot(l, COTI_OPERAND_SOURCE, id)].read = true;
    int32_t slot = coti_lowering_slot(l, COTI_OPERAND_VALUE, id);
    l->operand[slot].written = true;
    k->slot_written[slot] = true;
    note_only(l, id, COTI_REASON_LOAD);
    COTI_TRY(append_group(l, list, 0, id));
    coti_group *group = &list->at.data[list->at.count - 1].group;
    group->work = (double)k->extent[1] * (double)l->f->groups->max_rows;
    return COT_OK;
}

/*
 * A group that copies values to their states' storage: the next writes from *i on that are copied;
 * all scalars that fit, or one array. A cluster that is thrown away lends its domain.
 */
static cot_status lower_copies(coti_lowering *l, coti_lowered_list *list, size_t *i) {
    coti_fusion *f = l->f;
    uint32_t cluster = (uint32_t)f->cluster.count;
    uint32_t first = 0;
    COTI_TRY(coti_vec_reserve(f->context, &f->cluster, f->cluster.count + 1));
    coti_lowering_reset(l);
    for (; *i < f->write.count && l->kernel.n_slots < COTI_PREFERRED_SLOTS; (*i)++) {
        const coti_write *write = &f->write.data[*i];
        const cot_shape *shape = &coti_fnode(f, write->value)->shape;
        coti_cluster c = {.skeleton = COTI_SKELETON_MAP, .rows = shape->batched};
        coti_place place;
        if (!write->copied) {
            continue;
        }
        memset(&place, -1, sizeof place);
        /* The second bound, which no rank exceeds, is for gcc: it does not see the first's. */
        for (int32_t a = 0; a < shape->rank && a < COT_MAX_RANK; a++) {
            if (coti_axis_live(shape, a)) {
                place.dim[a] = (int8_t)c.n_dims;
                c.extent[c.n_dims++] = shape->dim[a];
            }
        }
        c.n_kept = c.n_dims;
        if (first != 0 && c.n_dims > 0) {
            break;
        }
        f->cluster.data[cluster] = c;
        coti_lower_copy(l, cluster, write, &place);
        note_only(l, write->value, COTI_REASON_COPY);
        first = write->value;
        if (c.n_dims > 0) {
            (*i)++;
            break;
        }
    }
    if (first == 0) {
        return COT_OK;
    }
    coti_lower_domain(l, cluster);
    return append_group(l, list, 0, first);
}

/* ---- clusters ---- */

/* Take a cluster apart: its side reduction first, if it has one, then each node from the others. */
static cot_status dissolve(coti_fusion *f, uint32_t cluster) {
    coti_cluster *c = coti_cluster_at(f, cluster);
    if (c->side != 0) {
        coti_cluster_at(f, c->side)->side_of = 0;
        c->side = 0;
        c->swapped = false;
        return COT_OK;
    }
    if (c->n_members <= 1) {
        const coti_node *node = coti_fnode(f, c->head);
        return COTI_FAIL_OP(f->context, COT_E_UNSUPPORTED, cot_op_name((cot_op)node->op),
                            node->layer, "%s: its kernel would be too large",
                            cot_op_name((cot_op)node->op));
    }
    uint32_t next = 0;
    for (uint32_t m = c->head; m != 0; m = next) {
        uint32_t alone = 0;
        next = f->member[m].next;
        COTI_TRY(coti_cluster_start(f, m, &alone));
        f->member[m].reason = (coti_reason){COTI_REASON_ALONE, 0};
    }
    c = coti_cluster_at(f, cluster); /* may have moved */
    c->head = c->tail = 0;
    c->n_members = 0;
    c->read.count = 0;
    return COT_OK;
}

/* Is an access in bodies other than the written element, or in a reduction? Then a state cannot be
 * written in place. */
static bool reads_elsewhere(const coti_lowering *l, const coti_body *writer, int32_t written) {
    const coti_kernel *k = &l->kernel;
    const coti_body *bodies[2] = {&k->body, &k->gemm.side};
    int32_t slot = writer->access[written].slot;
    if (k->skeleton == COTI_SKELETON_GEMM && (slot == k->gemm.a_slot || slot == k->gemm.b_slot)) {
        return true;
    }
    if (is_gathered(k, slot)) {
        return true;
    }
    for (int32_t b = 0; b < 2; b++) {
        for (int32_t i = 0; i < bodies[b]->n_accesses; i++) {
            const coti_access *access = &bodies[b]->access[i];
            bool same = bodies[b] == writer && i == written &&
                        (k->skeleton != COTI_SKELETON_ROWRED || !l->operand[slot].read);
            if (access->slot == slot && !same) {
                return true;
            }
        }
    }
    return false;
}

/* States that the kernel cannot write in place are to be copied; so is what it cannot write where
 * that lies. */
static bool check_in_place(coti_lowering *l, const coti_cluster *c) {
    coti_fusion *f = l->f;
    coti_body *bodies[2] = {&l->kernel.body, &l->kernel.gemm.side};
    bool changed = false;
    for (int32_t b = 0; b < 2; b++) {
        for (int32_t i = 0; i < bodies[b]->n_stores; i++) {
            int32_t i_access = bodies[b]->store[i].access;
            const coti_access *access = &bodies[b]->access[i_access];
            const coti_operand *operand = &l->operand[access->slot];
            const bool fits = b == 1 || coti_access_fits(c, access->stride, access->bounded);
            if (operand->kind == COTI_OPERAND_STATE &&
                (!fits || reads_elsewhere(l, bodies[b], i_access))) {
                f->write.data[f->first_write[operand->id]].copied = true;
                changed = true;
            }
        }
    }
    return changed;
}

static cot_status append_loop(coti_lowering *l, coti_lowered_list *list, uint32_t cluster) {
    coti_lowered lowered = {.cluster = cluster, .first = coti_cluster_at(l->f, cluster)->first};
    lowered.group.era = coti_cluster_at(l->f, cluster)->era;
    COTI_TRY(coti_lower_loop(l->f, cluster, &lowered.group));
    COTI_TRY(coti_vec_reserve(l->f->context, &list->at, list->at.count + 1));
    list->at.data[list->at.count++] = lowered;
    return COT_OK;
}

/* Lower one cluster and append its group, if it has anything to do. */
static cot_status lower_cluster(coti_lowering *l, coti_lowered_list *list, uint32_t cluster,
                                bool *changed_out) {
    const coti_cluster *c = coti_cluster_at(l->f, cluster);
    if (c->merged_into != 0 || c->n_members == 0 || c->side_of != 0) {
        return COT_OK; /* it stands for nothing, or its product is lowered */
    }
    if (c->is_loop) {
        return append_loop(l, list, cluster);
    }
    coti_lowering_reset(l);
    l->kernel.skeleton = c->skeleton;
    if (c->skeleton == COTI_SKELETON_GEMM) {
        COTI_TRY(lower_product(l, c));
    }
    if (c->skeleton == COTI_SKELETON_SCATTER) {
        COTI_TRY(coti_lower_scatter(l, c));
        return append_group(l, list, cluster, c->first);
    }
    coti_lower_body(l, cluster, &l->kernel.body);
    if (c->side != 0) {
        coti_lower_body(l, c->side, &l->kernel.gemm.side);
    }
    if (!l->overflow && l->kernel.body.n_stores + l->kernel.gemm.side.n_stores == 0) {
        return COT_OK; /* all that it makes is made again by those who need it */
    }
    if (!l->overflow && check_in_place(l, c)) {
        *changed_out = true;
        return COT_OK;
    }
    if (!l->overflow) {
        coti_lower_domain(l, cluster);
    }
    if (l->overflow) {
        *changed_out = true;
        return dissolve(l->f, cluster);
    }
    return append_group(l, list, cluster, c->first);
}

/* ---- all of them ---- */

static cot_status lower_all(coti_lowering *l, coti_lowered_list *list, bool *changed_out) {
    coti_fusion *f = l->f;
    uint32_t n_clusters = (uint32_t)f->cluster.count;
    coti_decide_stores(f);
    for (size_t i = 0; i < f->graph->input.count; i++) {
        COTI_TRY(lower_load(l, list, f->graph->input.data[i]));
    }
    for (uint32_t cluster = 1; cluster < n_clusters; cluster++) {
        COTI_TRY(lower_cluster(l, list, cluster, changed_out));
    }
    return COT_OK;
}

static cot_status hand_over(coti_lowering *l, coti_lowered_list *list, const uint32_t *order) {
    coti_fusion *f = l->f;
    coti_groups *groups = f->groups;
    size_t n_ordered = list->at.count;
    for (size_t i = 1; i < f->write.count;) {
        COTI_TRY(lower_copies(l, list, &i));
    }
    size_t n_outputs = f->graph->output.count;
    uint32_t *output = coti_arena_array(&groups->arena, n_outputs, sizeof *output);
    groups->group = coti_arena_array(&groups->arena, list->at.count, sizeof *groups->group);
    if (groups->group == NULL || output == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < list->at.count; i++) {
        groups->group[i] = list->at.data[i < n_ordered ? order[i] : i].group;
    }
    for (size_t i = 0; i < n_outputs; i++) {
        output[i] = f->graph->output.data[i].value;
    }
    groups->n_groups = (int32_t)list->at.count;
    groups->output = output;
    return COT_OK;
}

/* Lower and order once. *order_out is allocated anew; the old one is freed. */
static cot_status lower_and_order(coti_lowering *l, coti_lowered_list *list, uint32_t **order_out,
                                  bool *changed_out) {
    list->at.count = 0;
    coti_free(l->f->context, *order_out);
    *order_out = NULL;
    COTI_TRY(lower_all(l, list, changed_out));
    if (*changed_out) {
        return COT_OK;
    }
    *order_out = coti_calloc(l->f->context, list->at.count, sizeof **order_out);
    return *order_out != NULL ? coti_order_groups(l->f, list, *order_out, changed_out)
                              : COT_E_NOMEM;
}

/* Lower and order until nothing changes any more. */
static cot_status settle(coti_lowering *l, coti_lowered_list *list, uint32_t **order_out) {
    bool changed = true;
    while (changed) {
        changed = false;
        COTI_TRY(lower_and_order(l, list, order_out, &changed));
    }
    return COT_OK;
}

cot_status coti_lower_clusters(coti_fusion *f) {
    coti_lowering l;
    coti_lowered_list list = {0};
    uint32_t *order = NULL;
    cot_status status = coti_lowering_init(&l, f);
    if (status == COT_OK) {
        status = settle(&l, &list, &order);
    }
    if (status == COT_OK) {
        status = hand_over(&l, &list, order);
    }
    coti_free(f->context, order);
    coti_vec_free(f->context, &list.at);
    coti_lowering_free(&l);
    return status;
}
