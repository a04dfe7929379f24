/*
 * From the members of a cluster to a kernel's body: scalar expressions, accesses, stores, slots.
 *
 * Members are taken in order, so that what an expression needs has been made before, but for what
 * is computed again, which is made where it is first needed. Slots are numbered by first use, which
 * makes kernels of equal structure equal. An expression is full only if it varies along a reduced
 * dimension: what does not is evaluated once for each kept point.
 */
#include "cluster.h"

#include <string.h>

enum { MAX_ACCESSES = COTI_MAX_EXPRS, MAX_STORES = COTI_MAX_SLOTS, MAX_NODES = 2 * COTI_MAX_EXPRS };

/* ---- a kernel being made ---- */

static cot_status body_init(cot_context *context, coti_body *body) {
    body->expr = coti_calloc(context, COTI_MAX_EXPRS, sizeof *body->expr);
    body->access = coti_calloc(context, MAX_ACCESSES, sizeof *body->access);
    body->store = coti_calloc(context, MAX_STORES, sizeof *body->store);
    return body->expr != NULL && body->access != NULL && body->store != NULL ? COT_OK : COT_E_NOMEM;
}

static void body_free(cot_context *context, coti_body *body) {
    coti_free(context, body->expr);
    coti_free(context, body->access);
    coti_free(context, body->store);
}

cot_status coti_lowering_init(coti_lowering *l, coti_fusion *f) {
    memset(l, 0, sizeof *l);
    l->f = f;
    l->made = coti_calloc(f->context, COTI_MAX_EXPRS, sizeof *l->made);
    l->node = coti_calloc(f->context, MAX_NODES, sizeof *l->node);
    l->reason = coti_calloc(f->context, MAX_NODES, sizeof *l->reason);
    if (l->made == NULL || l->node == NULL || l->reason == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(body_init(f->context, &l->kernel.body));
    return body_init(f->context, &l->kernel.gemm.side);
}

void coti_lowering_free(coti_lowering *l) {
    body_free(l->f->context, &l->kernel.body);
    body_free(l->f->context, &l->kernel.gemm.side);
    coti_free(l->f->context, l->made);
    coti_free(l->f->context, l->node);
    coti_free(l->f->context, l->reason);
}

static void body_reset(coti_body *body) {
    body->n_exprs = 0;
    body->n_accesses = 0;
    body->n_stores = 0;
}

void coti_lowering_reset(coti_lowering *l) {
    coti_kernel empty = {.rows_dim = -1, .body = l->kernel.body};
    empty.gemm.side = l->kernel.gemm.side;
    l->kernel = empty;
    body_reset(&l->kernel.body);
    body_reset(&l->kernel.gemm.side);
    l->overflow = false;
    l->n_nodes = 0;
}

int32_t coti_lowering_slot(coti_lowering *l, coti_operand_kind kind, uint32_t id) {
    coti_kernel *k = &l->kernel;
    for (int32_t s = 0; s < k->n_slots; s++) {
        if (l->operand[s].kind == kind && l->operand[s].id == id) {
            return s;
        }
    }
    if (k->n_slots == COTI_MAX_SLOTS) {
        l->overflow = true;
        return 0;
    }
    k->slot_dtype[k->n_slots] = (cot_dtype)coti_fnode(l->f, id)->dtype;
    k->slot_written[k->n_slots] = false;
    l->operand[k->n_slots] = (coti_operand){.kind = kind, .id = id};
    return k->n_slots++;
}

coti_operand_kind coti_root_kind(const coti_fusion *f, uint32_t root) {
    const coti_node *node = coti_fnode(f, root);
    switch (node->op) {
    case COT_OP_STATE:
        return COTI_OPERAND_STATE;
    case COT_OP_CONST:
        return COTI_OPERAND_CONST;
    case COT_OP_INPUT:
        return f->is_body            ? COTI_OPERAND_STATE
               : node->shape.batched ? COTI_OPERAND_VALUE
                                     : COTI_OPERAND_INPUT;
    default:
        return COTI_OPERAND_VALUE;
    }
}

static bool access_equal(const coti_access *a, const coti_access *b) {
    bool equal = a->slot == b->slot && a->offset == b->offset && a->bounded == b->bounded &&
                 coti_same_bits(a->fill, b->fill);
    for (int32_t d = 0; d < COTI_MAX_DIMS && equal; d++) {
        equal = a->stride[d] == b->stride[d] && a->lo[d] == b->lo[d] && a->hi[d] == b->hi[d];
    }
    return equal;
}

/* Equal accesses are one. */
static int32_t add_access(coti_lowering *l, const coti_access *access) {
    coti_body *body = l->body;
    for (int32_t i = 0; i < body->n_accesses; i++) {
        if (access_equal(&body->access[i], access)) {
            return i;
        }
    }
    if (body->n_accesses == MAX_ACCESSES) {
        l->overflow = true;
        return 0;
    }
    body->access[body->n_accesses] = *access;
    return body->n_accesses++;
}

int32_t coti_lowering_access(coti_lowering *l, int32_t slot, const coti_view *view,
                             const cot_shape *shape, const coti_place *place) {
    coti_access access = {.slot = slot, .offset = view->offset};
    coti_place_strides(view, shape, place, access.stride, &access.bounded);
    if (view->bounds != NULL) {
        access.fill = view->bounds->fill;
        access.bounded |= view->bounds->nowhere ? COTI_NOWHERE : 0;
        for (int32_t a = 0; a < shape->rank; a++) {
            if ((view->bounds->axes >> a & 1) != 0 && place->dim[a] >= 0) {
                access.lo[place->dim[a]] = view->bounds->lo[a];
                access.hi[place->dim[a]] = view->bounds->hi[a];
            }
        }
    }
    return add_access(l, &access);
}

int32_t coti_lowering_expr(coti_lowering *l, const coti_expr *expr) {
    coti_body *body = l->body;
    if (body->n_exprs == COTI_MAX_EXPRS) {
        l->overflow = true;
        return 0;
    }
    body->expr[body->n_exprs] = *expr;
    return body->n_exprs++;
}

void coti_lowering_store(coti_lowering *l, int32_t expr, int32_t access) {
    coti_body *body = l->body;
    int32_t slot = body->access[access].slot;
    if (body->n_stores == MAX_STORES) {
        l->overflow = true;
        return;
    }
    l->kernel.slot_written[slot] = true;
    l->operand[slot].written = true;
    body->store[body->n_stores++] = (coti_store){expr, access};
}

/* ---- leaves ---- */

static const coti_cluster *cluster_of(const coti_lowering *l) {
    return coti_cluster_at(l->f, l->cluster);
}

static bool access_is_full(const coti_lowering *l, const coti_access *access) {
    const coti_cluster *c = cluster_of(l);
    for (int32_t d = c->n_kept; d < c->n_dims; d++) {
        if (access->stride[d] != 0 || (access->bounded >> d & 1) != 0) {
            return true;
        }
    }
    return false;
}

/* An expression without arguments that may be there already. */
static int32_t leaf(coti_lowering *l, const coti_expr *expr) {
    for (int32_t i = 0; i < l->body->n_exprs; i++) {
        const coti_expr *old = &l->body->expr[i];
        if (old->kind == expr->kind && old->dtype == expr->dtype && old->index == expr->index &&
            coti_same_bits(old->number, expr->number) && old->integer == expr->integer) {
            return i;
        }
    }
    return coti_lowering_expr(l, expr);
}

static int32_t load(coti_lowering *l, const coti_element *e) {
    int32_t slot = coti_lowering_slot(l, coti_root_kind(l->f, e->node), e->node);
    l->operand[slot].read = true;
    coti_expr expr = {.kind = COTI_EXPR_LOAD, .dtype = l->kernel.slot_dtype[slot]};
    expr.index = coti_lowering_access(l, slot, e->view, e->shape, &e->place);
    expr.full = access_is_full(l, &l->body->access[expr.index]);
    return leaf(l, &expr);
}

static int32_t constant(coti_lowering *l, uint32_t id) {
    const coti_node *node = coti_fnode(l->f, id);
    const void *data = ((const coti_attr_DATA *)node->attr)->data.data;
    coti_tensor scalar = {(cot_dtype)node->dtype, {.rank = 0}, NULL};
    coti_expr expr = {.kind = COTI_EXPR_CONST, .dtype = (cot_dtype)node->dtype};
    uint64_t bytes = 0;
    memcpy(&bytes, data, cot_dtype_bytes(expr.dtype));
    scalar.data = &bytes;
    if (expr.dtype == COT_F32 || expr.dtype == COT_F64) {
        expr.number = coti_tensor_get(&scalar, 0);
    } else {
        expr.integer = coti_tensor_get_int(&scalar, 0);
    }
    return leaf(l, &expr);
}

/* The index along an axis of a node at a place; 0 if the axis has one element. */
static int32_t index_along(coti_lowering *l, const coti_place *place, int32_t axis,
                           cot_dtype dtype) {
    coti_expr expr = {.kind = COTI_EXPR_CONST, .dtype = dtype};
    if (place->dim[axis] >= 0) {
        expr.kind = COTI_EXPR_INDEX;
        expr.index = (int32_t)place->dim[axis];
        expr.full = expr.index >= cluster_of(l)->n_kept;
    }
    return leaf(l, &expr);
}

/* ---- operations ---- */

static int32_t operation(coti_lowering *l, cot_op op, cot_dtype dtype, const int32_t *arg,
                         int32_t n_args) {
    coti_expr expr = {.kind = COTI_EXPR_OP, .op = op, .dtype = dtype, .n_args = n_args};
    for (int32_t i = 0; i < n_args; i++) {
        expr.arg[i] = arg[i];
        expr.full = expr.full || l->body->expr[arg[i]].full;
    }
    return coti_lowering_expr(l, &expr);
}

/* A value as a full expression: what does not vary is passed through an identity. */
static int32_t as_full(coti_lowering *l, int32_t e) {
    if (l->body->expr[e].full) {
        return e;
    }
    e = operation(l, COT_OP_STOP_GRADIENT, l->body->expr[e].dtype, &e, 1);
    l->body->expr[e].full = true;
    return e;
}

static int32_t reduction(coti_lowering *l, const coti_node *node, int32_t arg) {
    coti_expr expr = {.kind = COTI_EXPR_REDUCE,
                      .op = (cot_op)node->op,
                      .dtype = (cot_dtype)node->dtype,
                      .n_args = 1};
    expr.arg[0] = as_full(l, arg);
    return coti_lowering_expr(l, &expr);
}

static int32_t accumulator(coti_lowering *l) {
    coti_expr expr = {.kind = COTI_EXPR_ACC, .dtype = l->kernel.gemm.dtype};
    return coti_lowering_expr(l, &expr);
}

static int32_t one_hot(coti_lowering *l, const coti_node *node, const coti_place *place,
                       int32_t arg) {
    cot_dtype index = l->body->expr[arg].dtype;
    int32_t both[2] = {arg, index_along(l, place, node->shape.rank - 1, index)};
    int32_t equal = operation(l, COT_OP_EQ, COT_BOOL, both, 2);
    return node->dtype == COT_BOOL ? equal
                                   : operation(l, COT_OP_CAST, (cot_dtype)node->dtype, &equal, 1);
}

static int32_t random(coti_lowering *l, uint32_t id, const coti_place *place, const int32_t *arg) {
    const coti_node *node = coti_fnode(l->f, id);
    const coti_attr_RANDOM *attr = node->attr;
    coti_view elements = {.root = id};
    coti_view_dense(&node->shape, elements.stride);
    coti_expr expr = {.kind = COTI_EXPR_RANDOM,
                      .dtype = (cot_dtype)node->dtype,
                      .n_args = 2,
                      .arg = {arg[0], arg[1]},
                      .integer = attr->stream,
                      .distribution = attr->distribution};
    expr.index = coti_lowering_access(l, -1, &elements, &node->shape, place);
    expr.full = access_is_full(l, &l->body->access[expr.index]);
    return coti_lowering_expr(l, &expr);
}

/* Where an operand of x, element `index` along its axis, lies at a place. */
static int32_t gather(coti_lowering *l, uint32_t id, const coti_place *place, int32_t index) {
    const coti_node *node = coti_fnode(l->f, id);
    const coti_attr_GATHER *attr = node->attr;
    const coti_view *view = coti_operand_view(l->f, id, 0);
    int32_t slot = coti_lowering_slot(l, coti_root_kind(l->f, view->root), view->root);
    l->operand[slot].read = true;
    coti_expr expr = {.kind = COTI_EXPR_GATHER,
                      .dtype = (cot_dtype)node->dtype,
                      .n_args = 1,
                      .arg = {index},
                      .integer = coti_fnode(l->f, node->input[0])->shape.dim[attr->axis],
                      .step = coti_view_at(&l->f->views, node->input[0])->stride[attr->axis]};
    expr.index = coti_lowering_access(l, slot, view, &node->shape, place);
    expr.full = access_is_full(l, &l->body->access[expr.index]) || l->body->expr[index].full;
    return coti_lowering_expr(l, &expr);
}

/* The expression of a node whose operands have been made. */
static int32_t emit_node(coti_lowering *l, uint32_t id, const coti_place *place,
                         const int32_t *arg) {
    const coti_node *node = coti_fnode(l->f, id);
    switch (node->op) {
    case COT_OP_IOTA:
        return index_along(l, place, ((const coti_attr_AXIS *)node->attr)->axis,
                           (cot_dtype)node->dtype);
    case COT_OP_ONE_HOT:
        return one_hot(l, node, place, arg[0]);
    case COT_OP_RANDOM:
        return random(l, id, place, arg);
    case COT_OP_GATHER:
        return gather(l, id, place, arg[1]);
    case COT_OP_STOP_GRADIENT:
        return arg[0];
    case COT_OP_CAST:
        if (l->body->expr[arg[0]].dtype == (cot_dtype)node->dtype) {
            return arg[0];
        }
        break;
    default:
        break;
    }
    if (coti_is_reduction(node)) {
        return reduction(l, node, arg[0]);
    }
    return operation(l, (cot_op)node->op, (cot_dtype)node->dtype, arg, node->n_inputs);
}

/* ---- operands ---- */

/* A node being made, waiting for its operands. */
typedef struct frame {
    uint32_t node;
    coti_place place;
    int32_t n_args;
    int32_t arg[3];
} frame;

/* A node that has been computed again at a place; -1: it has not. */
static int32_t find_again(const coti_lowering *l, uint32_t node, const coti_place *place) {
    for (int32_t i = 0; i < l->n_made; i++) {
        if (l->made[i].node == node && memcmp(&l->made[i].place, place, sizeof *place) == 0) {
            return l->made[i].expr;
        }
    }
    return -1;
}

static void note_node(coti_lowering *l, uint32_t id, coti_reason reason) {
    if (l->n_nodes < MAX_NODES) {
        l->node[l->n_nodes] = id;
        l->reason[l->n_nodes++] = reason;
    }
}

static void note_again(coti_lowering *l, const frame *at, int32_t expr) {
    if (l->n_made == COTI_MAX_EXPRS) {
        l->overflow = true;
        return;
    }
    l->made[l->n_made++] = (coti_made){at->node, at->place, expr};
}

/* An element that is not computed again, or has been; -1: it must be made first. */
static int32_t ready(coti_lowering *l, const coti_element *e) {
    switch (e->kind) {
    case COTI_FROM_CONST:
        return constant(l, e->node);
    case COTI_FROM_ROWS:
        return leaf(l, &(coti_expr){.kind = COTI_EXPR_ROWS, .dtype = COT_I64});
    case COTI_FROM_MEMORY:
        return load(l, e);
    case COTI_FROM_REGISTER:
        return l->f->member[e->node].expr;
    case COTI_FROM_AGAIN:
        return find_again(l, e->node, &e->place);
    }
    return -1;
}

/* Does the node take its operands elsewhere: from the product's loop, from the side's? */
static bool is_accumulator(const coti_lowering *l, uint32_t id) {
    const coti_cluster *c = cluster_of(l);
    return coti_is_product(coti_fnode(l->f, id)) || (c->side_of != 0 && id == c->anchor);
}

/*
 * The expression of a member at its place. What it needs and is computed again is made on the way,
 * on a stack: no deeper than COTI_MAX_DEPTH below the member.
 */
static int32_t make(coti_lowering *l, uint32_t id) {
    frame stack[COTI_MAX_DEPTH + 2];
    int32_t depth = 0;
    int32_t expr = 0;
    stack[0] = (frame){.node = id, .place = l->f->member[id].place};
    while (depth >= 0 && !l->overflow) {
        frame *at = &stack[depth];
        int32_t n_inputs = is_accumulator(l, at->node) ? 0 : coti_fnode(l->f, at->node)->n_inputs;
        if (at->n_args < n_inputs && coti_reads_memory(coti_fnode(l->f, at->node), at->n_args)) {
            at->arg[at->n_args++] = -1; /* no element of its own: see gather */
            continue;
        }
        if (at->n_args < n_inputs) {
            coti_element e = coti_element_of(l->f, l->cluster, at->node, &at->place, at->n_args);
            int32_t arg = ready(l, &e);
            if (arg >= 0) {
                at->arg[at->n_args++] = arg;
            } else if (e.kind == COTI_FROM_AGAIN && depth <= COTI_MAX_DEPTH) {
                note_node(l, e.node, (coti_reason){COTI_REASON_AGAIN, id});
                stack[++depth] = (frame){.node = e.node, .place = e.place};
            } else {
                l->overflow = true; /* cannot be: a member's operand comes before it */
            }
            continue;
        }
        expr = is_accumulator(l, at->node) ? accumulator(l)
                                           : emit_node(l, at->node, &at->place, at->arg);
        if (depth > 0) {
            note_again(l, at, expr);
        }
        depth--;
    }
    return expr;
}

/* ---- members ---- */

static void store_view(coti_lowering *l, uint32_t id, int32_t expr, coti_operand_kind kind,
                       uint32_t target) {
    coti_fusion *f = l->f;
    const cot_shape *shape = &coti_fnode(f, id)->shape;
    coti_place own = coti_own_place(f, id, &f->member[id].place);
    const coti_view *view = coti_view_at(&f->views, target);
    bool full = false;
    for (int32_t a = 0; a < shape->rank; a++) {
        full = full || own.dim[a] >= cluster_of(l)->n_kept;
    }
    int32_t slot = coti_lowering_slot(l, kind, view->root);
    int32_t access = coti_lowering_access(l, slot, view, shape, &own);
    coti_lowering_store(l, full ? as_full(l, expr) : expr, access);
}

/* Live members in order of id, none of which is an expression yet. */
static int32_t live_members(const coti_lowering *l, uint32_t *list) {
    const coti_cluster *c = cluster_of(l);
    int32_t n = 0;
    for (uint32_t m = c->head; m != 0; m = l->f->member[m].next) {
        l->f->member[m].expr = -1;
        if (!l->f->member[m].live || n == COTI_MAX_EXPRS) {
            continue;
        }
        int32_t to = n++;
        for (; to > 0 && list[to - 1] > m; to--) {
            list[to] = list[to - 1];
        }
        list[to] = m;
    }
    return n;
}

void coti_lower_body(coti_lowering *l, uint32_t cluster, coti_body *body) {
    coti_fusion *f = l->f;
    uint32_t list[COTI_MAX_EXPRS];
    l->cluster = cluster;
    l->body = body;
    l->n_made = 0;
    int32_t n = live_members(l, list);
    for (int32_t i = 0; i < n && !l->overflow; i++) {
        note_node(l, list[i], f->member[list[i]].reason);
        f->member[list[i]].expr = make(l, list[i]);
    }
    for (int32_t i = 0; i < n && !l->overflow; i++) {
        const int32_t expr = f->member[list[i]].expr;
        if (f->member[list[i]].stored) {
            store_view(l, list[i], expr, COTI_OPERAND_VALUE, list[i]);
        }
        for (uint32_t w = f->first_write[list[i]]; w != 0; w = f->write.data[w].next) {
            if (!f->write.data[w].copied) {
                store_view(l, list[i], expr, COTI_OPERAND_STATE, f->write.data[w].view);
            }
        }
    }
}

void coti_lower_copy(coti_lowering *l, uint32_t cluster, const coti_write *write,
                     const coti_place *place) {
    const cot_shape *shape = &coti_fnode(l->f, write->value)->shape;
    const coti_view *state = coti_view_at(&l->f->views, write->view);
    coti_element value = {.kind = COTI_FROM_MEMORY,
                          .node = write->value,
                          .view = coti_view_at(&l->f->views, write->value),
                          .shape = shape,
                          .place = *place};
    l->cluster = cluster;
    l->body = &l->kernel.body;
    int32_t expr = load(l, &value);
    int32_t slot = coti_lowering_slot(l, COTI_OPERAND_STATE, write->state);
    coti_lowering_store(l, expr, coti_lowering_access(l, slot, state, shape, place));
}
