/*
 * Prepare a graph for fusion: rewrite it so that every node that is no view becomes part of exactly
 * one kernel, and every view is an affine access (view.h). An ordinary graph comes out, with the
 * same inputs, outputs and states.
 *
 *   copies       a CAST of a value to its own dtype: put under a RESHAPE, PAD, WINDOW, DOT or
 *                column sum whose operand's strides do not fit, and on outputs and updates that
 *                are leaves, views, or taken already
 *   reductions   those that a single loop cannot make are split, inner axes first: rows together
 *                with all else, and several separate runs of axes under a kept innermost one; and
 *                sums of large arrays to one scalar, which one thread would have to make alone.
 *                Which form a reduction has is a function of its shape alone, for that fixes the
 *                order of summation.
 *   CONCAT       selects among padded operands by index
 *   SCAN         operands that are not dense in memory are copied; one without steps is its
 *                operands
 *   DOT          operands whose axes do not collapse to batch, in two parts at most, free and
 *                contracted are copied in that order
 *   CONV, and its like: operands that a kernel of windows cannot read as they lie are copied
 *   SCATTER_ADD  so are operands whose axes do not collapse to those of its kernel
 *   GATHER       operands that are padded are copied
 */
#include "cluster.h"

#include "graph/scan.h"

#include <string.h>

enum { WHOLE_SUM = 16384 }; /* elements that one loop sums to a scalar; more are shared */

typedef struct preparation {
    coti_views views; /* of the new graph */
    bool started;
    bool in_place;  /* the new graph is the old one, and views go no further than prepared nodes */
    bool undecided; /* in place: the view of a later node was asked for */
} preparation;

static const coti_node *node_of(cot_value value) {
    return coti_node_at(value.graph, value.id);
}

/* Is the view of x known from now on? */
static bool see(preparation *p, cot_value x) {
    if (!p->in_place) {
        return coti_views_extend(&p->views) == COT_OK;
    }
    p->undecided = p->undecided || x.id >= p->views.view.count;
    return !p->undecided;
}

static cot_value keep_node(const preparation *p, coti_rewrite *rewrite, uint32_t id) {
    return p->in_place ? rewrite->map[id] : coti_rewrite_keep(rewrite, id);
}

static cot_value reshape_to(cot_value x, const cot_shape *shape) {
    if (x.graph == NULL || coti_shape_equal(&node_of(x)->shape, shape)) {
        return x;
    }
    return cot_op_reshape(x, *shape);
}

/* ---- reductions ---- */

uint32_t coti_reduced_axes(const coti_node *node) {
    if (node->op == COT_OP_ARGMAX) {
        return (uint32_t)1 << ((const coti_attr_AXIS *)node->attr)->axis;
    }
    const coti_attr_AXES_type *axes = &((const coti_attr_AXES *)node->attr)->axes;
    uint32_t mask = 0;
    for (int32_t i = 0; i < axes->n; i++) {
        mask |= (uint32_t)1 << axes->v[i];
    }
    return mask;
}

static uint32_t live_mask(const cot_shape *shape) {
    uint32_t mask = 0;
    for (int32_t a = 0; a < shape->rank; a++) {
        mask |= coti_axis_live(shape, a) ? (uint32_t)1 << a : 0;
    }
    return mask;
}

static int32_t highest(uint32_t mask) {
    return 31 - __builtin_clz(mask);
}

bool coti_reduces_rowwise(const cot_shape *shape, uint32_t reduced) {
    uint32_t live = live_mask(shape);
    bool rows = shape->batched && (reduced & 1) != 0;
    return !rows && (reduced & live) != 0 && (reduced >> highest(live) & 1) != 0;
}

static int64_t elements_of(const cot_shape *shape) {
    int64_t elements = 0;
    return coti_shape_elements(shape, 1, &elements) ? elements : COTI_SIZE_MAX;
}

/* The axes to reduce first, of live reduced ones: all, if one loop does. */
static uint32_t first_part(const cot_shape *shape, uint32_t reduced) {
    uint32_t live = live_mask(shape);
    uint32_t kept = live & ~reduced;
    uint32_t rest = reduced & live;
    if (coti_reduces_rowwise(shape, reduced)) {
        bool is_large = kept == 0 && (rest & (rest - 1)) != 0 && elements_of(shape) > WHOLE_SUM;
        return is_large ? rest & (rest - 1) : rest; /* all axes but the first */
    }
    if (kept == 0) {
        return rest == 1 ? rest : rest & ~(uint32_t)1; /* all is summed: rows come last */
    }
    uint32_t run = 0; /* the innermost run of adjacent live axes */
    for (int32_t a = highest(rest); a >= 0 && (kept >> a & 1) == 0; a--) {
        run |= rest & ((uint32_t)1 << a);
    }
    return run;
}

static int32_t mask_to_axes(uint32_t mask, int32_t *axes) {
    int32_t n = 0;
    for (int32_t a = 0; a < COT_MAX_RANK; a++) {
        if ((mask >> a & 1) != 0) {
            axes[n++] = a;
        }
    }
    return n;
}

/* Take the axes of `gone` out of a mask, as the axes after them move up. */
static uint32_t drop_axes(uint32_t mask, uint32_t gone) {
    uint32_t result = 0;
    int32_t to = 0;
    for (int32_t a = 0; a < COT_MAX_RANK; a++) {
        if ((gone >> a & 1) == 0) {
            result |= (mask >> a & 1) << to++;
        }
    }
    return result;
}

/*
 * A column sum needs its run of axes to have one stride; so does a sum of everything that has as
 * many axes as a kernel has dimensions, since it takes one more.
 */
static cot_value fit_operand_of_sum(preparation *p, cot_value x, uint32_t part) {
    int32_t axes[COT_MAX_RANK];
    int32_t n = mask_to_axes(part, axes);
    const cot_shape *shape = &node_of(x)->shape;
    coti_run run;
    if (n < 2 || (n < COTI_MAX_DIMS && coti_reduces_rowwise(shape, part))) {
        return x;
    }
    if (!see(p, x)) {
        return coti_poison();
    }
    const coti_view *view = coti_view_at(&p->views, x.id);
    return coti_view_collapse(view, shape, axes, n, &run) ? x : coti_copy_of(x);
}

/* A sum of no elements is 0 whatever they are: no kernel may read what is not there. */
static cot_value zeros_like(cot_graph *graph, const coti_node *node) {
    cot_value zero = cot_op_constant(graph, (cot_dtype)node->dtype, 0.0);
    return node->shape.rank == 0 ? zero : cot_op_broadcast(zero, node->shape, NULL, 0);
}

static cot_value prepare_reduction(preparation *p, coti_rewrite *rewrite, uint32_t id,
                                   const coti_node *node) {
    cot_value x = rewrite->map[node->input[0]];
    uint32_t reduced = coti_reduced_axes(node);
    const cot_op op = (cot_op)node->op;
    const cot_shape result = node->shape;
    if (x.graph != NULL && op == COT_OP_SUM && elements_of(&node_of(x)->shape) == 0) {
        return zeros_like(x.graph, node);
    }
    while (x.graph != NULL && (reduced & live_mask(&node_of(x)->shape)) != 0) {
        uint32_t live = live_mask(&node_of(x)->shape);
        uint32_t part = first_part(&node_of(x)->shape, reduced);
        x = fit_operand_of_sum(p, x, part);
        if (x.graph == NULL) {
            break;
        }
        part |= reduced & ~live; /* extents of 1 go along with the first */
        if (part == coti_reduced_axes(node) && x.id == rewrite->map[node->input[0]].id) {
            return keep_node(p, rewrite, id);
        }
        int32_t axes[COT_MAX_RANK];
        int32_t n = mask_to_axes(part, axes);
        x = cot_op_reduce(op, x, axes, n, false);
        reduced = drop_axes(reduced, part);
    }
    return reshape_to(x, &result);
}

/* The index of a maximum among one is 0. */
static cot_value prepare_argmax(coti_rewrite *rewrite, uint32_t id, const coti_node *node) {
    const coti_node *x = coti_node_at(rewrite->from, node->input[0]);
    if ((coti_reduced_axes(node) & live_mask(&x->shape)) != 0) {
        return coti_rewrite_keep(rewrite, id);
    }
    return cot_op_broadcast(cot_op_constant(rewrite->to, COT_I32, 0), node->shape, NULL, 0);
}

/* ---- views ---- */

static cot_value prepare_reshape(preparation *p, cot_value x, const cot_shape *shape) {
    if (!coti_view_can_reshape(&p->views, x.id, shape)) {
        x = coti_copy_of(x);
    }
    return x.graph != NULL ? cot_op_reshape(x, *shape) : x;
}

static cot_value prepare_pad(preparation *p, cot_value x, const coti_attr_PAD *attr) {
    if (!coti_view_can_pad(&p->views, x.id, attr)) {
        x = coti_copy_of(x);
    }
    return x.graph != NULL ? cot_op_pad(x, attr->low.v, attr->high.v, attr->value) : x;
}

static cot_value prepare_window(preparation *p, cot_value x, const coti_attr_WINDOW *attr) {
    if (!coti_view_can_window(&p->views, x.id, attr)) {
        x = coti_copy_of(x);
    }
    return x.graph != NULL ? cot_op_window(x, attr->axis, attr->size.n, attr->size.v,
                                           attr->stride.v, attr->dilation.v)
                           : x;
}

/* Operand x of a concat, ending at `end` of `total` along the axis, padded to the whole. */
static cot_value pad_part(preparation *p, cot_value x, int32_t axis, int64_t end, int64_t total) {
    coti_attr_PAD attr = {.low.n = node_of(x)->shape.rank, .high.n = node_of(x)->shape.rank};
    attr.low.v[axis] = end - node_of(x)->shape.dim[axis];
    attr.high.v[axis] = total - end;
    return attr.low.v[axis] + attr.high.v[axis] == 0 ? x : prepare_pad(p, x, &attr);
}

/* concat(x0, x1, x2) is select(i < end of x0, x0 padded, select(i < end of x1, x1 padded, x2
 * padded)), made from the last operand on. */
static cot_value prepare_concat(preparation *p, coti_rewrite *rewrite, const coti_node *node) {
    p->undecided = p->in_place;
    if (p->undecided) {
        return coti_poison(); /* it becomes other nodes for certain */
    }
    int32_t axis = ((const coti_attr_AXIS *)node->attr)->axis;
    const cot_shape shape = node->shape;
    cot_dtype index = shape.dim[axis] < INT32_MAX ? COT_I32 : COT_I64;
    cot_value result = coti_poison();
    int64_t end = shape.dim[axis];
    for (int32_t i = node->n_inputs - 1; i >= 0; i--) {
        cot_value x = rewrite->map[node->input[i]];
        int64_t extent = node_of(x)->shape.dim[axis];
        if (extent == 0) {
            continue;
        }
        x = pad_part(p, x, axis, end, shape.dim[axis]);
        if (x.graph != NULL && result.graph != NULL) {
            cot_value at = cot_op_iota(rewrite->to, index, shape, axis);
            cot_value limit = cot_op_constant(rewrite->to, index, (double)end);
            x = cot_op_select(cot_op_binary(COT_OP_LT, at, limit), x, result);
        }
        if (x.graph == NULL) {
            return x;
        }
        result = x;
        end -= extent;
    }
    return result.graph != NULL ? result : rewrite->map[node->input[0]];
}

/* ---- products ---- */

static void append_axes(int32_t *order, int32_t *n, int32_t *axis, int32_t n_axes) {
    for (int32_t i = 0; i < n_axes; i++) {
        order[*n] = axis[i];
        axis[i] = (*n)++; /* where it will be */
    }
}

/* Can a product read x as it lies, n_first of its batch axes as one run? */
static bool operand_fits(const preparation *p, cot_value x, const coti_dot_side *side,
                         int32_t n_first) {
    const coti_view *view = coti_view_at(&p->views, x.id);
    coti_run run[4];
    cot_op root = (cot_op)coti_node_at(p->views.graph, view->root)->op;
    return root != COT_OP_ROWS &&
           coti_dot_collapse_side(view, &node_of(x)->shape, side, n_first, run);
}

/* How many batch axes to take as one run, so that as few operands as can be are copied. */
static int32_t choose_first(const preparation *p, cot_value a, const coti_dot_side *a_side,
                            cot_value b, const coti_dot_side *b_side) {
    int32_t best = a_side->n_batch, most = -1;
    for (int32_t n = a_side->n_batch; n > 0; n--) {
        int32_t n_fit = operand_fits(p, a, a_side, n) + operand_fits(p, b, b_side, n);
        if (n_fit > most) {
            most = n_fit;
            best = n;
        }
    }
    return best;
}

/* x copied so that its axes of each kind are adjacent, rows first; `side` then tells the new axes.
 */
static cot_value copy_operand(cot_value x, coti_dot_side *side) {
    const cot_shape shape = node_of(x)->shape;
    int32_t order[COT_MAX_RANK];
    int32_t n = 0;
    bool rows_contracted = shape.batched && side->n_contract > 0 && side->contract[0] == 0;
    if (rows_contracted) {
        append_axes(order, &n, side->contract, side->n_contract);
    }
    append_axes(order, &n, side->batch, side->n_batch);
    append_axes(order, &n, side->free, side->n_free);
    if (!rows_contracted) {
        append_axes(order, &n, side->contract, side->n_contract);
    }
    return coti_copy_of(cot_op_permute(x, order, n));
}

/* Are the contracted axes in the order in which they are named? */
static bool is_sorted(const coti_node *node, const coti_dot_side *a) {
    const coti_attr_AXES_type *named = &((const coti_attr_DOT *)node->attr)->a_contract;
    return memcmp(named->v, a->contract, (size_t)named->n * sizeof *named->v) == 0;
}

static cot_value prepare_dot(preparation *p, coti_rewrite *rewrite, uint32_t id,
                             const coti_node *node) {
    cot_value a = rewrite->map[node->input[0]], b = rewrite->map[node->input[1]];
    coti_dot_side a_side;
    coti_dot_side b_side;
    coti_dot_sides(node, &node_of(a)->shape, &node_of(b)->shape, &a_side, &b_side);
    const int32_t n_first = choose_first(p, a, &a_side, b, &b_side);
    const bool a_fits = operand_fits(p, a, &a_side, n_first);
    const bool b_fits = operand_fits(p, b, &b_side, n_first);
    if (a_fits && b_fits && is_sorted(node, &a_side)) {
        return keep_node(p, rewrite, id);
    }
    a = a_fits ? a : copy_operand(a, &a_side);
    b = b_fits ? b : copy_operand(b, &b_side);
    cot_dot_axes axes = {.n_batch = a_side.n_batch, .n_contract = a_side.n_contract};
    memcpy(axes.a_batch, a_side.batch, sizeof axes.a_batch);
    memcpy(axes.b_batch, b_side.batch, sizeof axes.b_batch);
    memcpy(axes.a_contract, a_side.contract, sizeof axes.a_contract);
    memcpy(axes.b_contract, b_side.contract, sizeof axes.b_contract);
    return a.graph != NULL && b.graph != NULL ? cot_op_dot(a, b, &axes) : coti_poison();
}

/* A direct convolution, of operands that its kernel can read. */
static cot_value prepare_conv(preparation *p, coti_rewrite *rewrite, const coti_node *node) {
    cot_value operand[2] = {rewrite->map[node->input[0]], rewrite->map[node->input[1]]};
    const uint32_t input[2] = {operand[0].id, operand[1].id};
    coti_node here = *node;
    here.input = input;
    for (int32_t i = 0; i < 2; i++) {
        operand[i] =
            coti_conv_fits(&p->views, &here, i) ? operand[i] : coti_conv_copy(&here, i, operand[i]);
    }
    return coti_graph_add(rewrite->to, (cot_op)node->op, operand, 2, node->attr,
                          (cot_dtype)node->dtype, NULL);
}

/* ---- indexing ---- */

/* Has the value memory, all of it there to be read? */
static bool is_plain_memory(const preparation *p, cot_value x) {
    const coti_view *view = coti_view_at(&p->views, x.id);
    return view->bounds == NULL && coti_node_at(p->views.graph, view->root)->op != COT_OP_ROWS;
}

/* A gather of nothing is 0. */
static cot_value prepare_gather(preparation *p, cot_value x, cot_value index,
                                const coti_node *node) {
    const coti_attr_GATHER *attr = node->attr;
    if (elements_of(&node_of(x)->shape) == 0) {
        return zeros_like(x.graph, node);
    }
    x = is_plain_memory(p, x) ? x : coti_copy_of(x);
    index = is_plain_memory(p, index) ? index : coti_copy_of(index);
    return cot_op_gather(x, index, attr->axis, (int32_t)attr->n_batch);
}

/* A scatter of nothing, too. */
static cot_value prepare_scatter(preparation *p, cot_value updates, cot_value index,
                                 const coti_node *node) {
    const coti_attr_SCATTER *attr = node->attr;
    coti_run run[6];
    if (elements_of(&node_of(updates)->shape) == 0 || attr->extent == 0) {
        return zeros_like(updates.graph, node);
    }
    const uint32_t input[2] = {updates.id, index.id};
    coti_node here = *node;
    here.input = input;
    if (!coti_scatter_collapse(&p->views, &here, run, run + 4)) {
        updates = coti_copy_of(updates);
        index = coti_copy_of(index);
    }
    return cot_op_scatter_add(updates, index, attr->axis, (int32_t)attr->n_batch, attr->extent);
}

/* ---- loops ---- */

/* Does a value stand in memory as a tensor of its type does, whatever it is called there? */
static bool is_dense(const preparation *p, cot_value x) {
    const cot_shape *shape = &node_of(x)->shape;
    const coti_view *view = coti_view_at(&p->views, x.id);
    const coti_node *root = coti_node_at(p->views.graph, view->root);
    int64_t stride[COT_MAX_RANK], count = 0;
    bool one = !root->shape.batched && coti_shape_elements(&root->shape, 1, &count) && count == 1;
    bool dense = view->bounds == NULL && view->offset == 0 && root->op != COT_OP_ROWS &&
                 !(root->op == COT_OP_CONST && one);
    coti_view_dense(shape, stride);
    for (int32_t a = 0; a < shape->rank && dense; a++) {
        dense = !coti_axis_live(shape, a) || view->stride[a] == stride[a];
    }
    return dense && root->shape.batched == shape->batched;
}

/* Operands that a loop can read and write in their memory. Without steps it gives its operands. */
static cot_value prepare_scan(preparation *p, coti_rewrite *rewrite, const coti_node *node) {
    const coti_scan scan = coti_scan_of(node);
    const size_t n = (size_t)node->n_inputs;
    if (scan.steps == 0) {
        return coti_scan_is_carry(&scan, scan.result) ? rewrite->map[node->input[scan.result]]
                                                      : zeros_like(rewrite->to, node);
    }
    cot_value *operand = coti_calloc(rewrite->to->context, n, sizeof *operand);
    bool made = operand != NULL;
    for (size_t i = 0; i < n && made; i++) {
        operand[i] = rewrite->map[node->input[i]];
        operand[i] = is_dense(p, operand[i]) ? operand[i] : coti_copy_of(operand[i]);
        made = operand[i].graph != NULL && (p->in_place || coti_views_extend(&p->views) == COT_OK);
    }
    const cot_value result = made ? coti_scan_add(rewrite->to, &scan, operand) : coti_poison();
    coti_free(rewrite->to->context, operand);
    return result;
}

/* ---- the pass ---- */

static cot_value prepare_node(coti_rewrite *rewrite, uint32_t id, void *user) {
    preparation *p = user;
    const coti_node own = *coti_node_at(rewrite->from, id); /* the graph's may move */
    const coti_node *node = &own;
    if (!p->started) {
        coti_views_init(&p->views, rewrite->to);
        p->started = true;
    }
    if ((p->in_place ? coti_views_extend_to(&p->views, id) : coti_views_extend(&p->views)) !=
        COT_OK) {
        return coti_poison();
    }
    switch (node->op) {
    case COT_OP_SUM:
    case COT_OP_REDUCE_MAX:
        return prepare_reduction(p, rewrite, id, node);
    case COT_OP_ARGMAX:
        return prepare_argmax(rewrite, id, node);
    case COT_OP_CONCAT:
        return prepare_concat(p, rewrite, node);
    case COT_OP_RESHAPE:
        return prepare_reshape(p, rewrite->map[node->input[0]], &node->shape);
    case COT_OP_PAD:
        return prepare_pad(p, rewrite->map[node->input[0]], node->attr);
    case COT_OP_WINDOW:
        return prepare_window(p, rewrite->map[node->input[0]], node->attr);
    case COT_OP_GATHER:
        return prepare_gather(p, rewrite->map[node->input[0]], rewrite->map[node->input[1]], node);
    case COT_OP_SCATTER_ADD:
        return prepare_scatter(p, rewrite->map[node->input[0]], rewrite->map[node->input[1]], node);
    case COT_OP_DOT:
        return prepare_dot(p, rewrite, id, node);
    case COT_OP_CONV:
    case COT_OP_CONV_DX:
    case COT_OP_CONV_DW:
        return prepare_conv(p, rewrite, node);
    case COT_OP_SCAN:
        return prepare_scan(p, rewrite, node);
    default:
        return keep_node(p, rewrite, id);
    }
}

/*
 * Is the graph prepared already? A walk changes something if and only if there is a first node that
 * becomes another, whose operands it then finds as they are: so nodes are asked in the graph
 * itself, and what they become is there already or is added without a use.
 */
static cot_status ask_nodes(cot_graph *graph, preparation *p, cot_value *map, bool *prepared_out) {
    const size_t n = graph->node.count;
    coti_rewrite itself = {.from = graph, .to = graph, .map = map};
    bool same = true;
    for (uint32_t id = 1; id < n && same; id++) {
        map[id] = (cot_value){graph, id};
        const cot_value made = prepare_node(&itself, id, p);
        if (made.graph == NULL && !p->undecided) {
            return graph->context->error.status;
        }
        same = made.graph != NULL && made.id == id && graph->node.count == n;
    }
    *prepared_out = same;
    return COT_OK;
}

static void preparation_free(preparation *p) {
    if (p->started) {
        coti_views_free(&p->views);
    }
}

/* Where it is, *views_out is what has been seen of it. */
static cot_status is_prepared(cot_graph *graph, bool *prepared_out, coti_views *views_out) {
    preparation p = {.in_place = true};
    cot_value *map = coti_calloc(graph->context, graph->node.count, sizeof *map);
    const cot_status status = map != NULL ? ask_nodes(graph, &p, map, prepared_out) : COT_E_NOMEM;
    if (status == COT_OK && *prepared_out && p.started) {
        *views_out = p.views;
    } else {
        preparation_free(&p);
    }
    coti_free(graph->context, map);
    return status;
}

/* The walk, if it changes anything. */
static cot_status prepare_nodes(cot_graph **in_out, coti_views *views_out) {
    bool prepared = false;
    COTI_TRY(is_prepared(*in_out, &prepared, views_out));
    if (prepared) {
        return COT_OK;
    }
    preparation p = {.started = false};
    cot_graph *result = NULL;
    const cot_status status = coti_graph_rewrite(*in_out, prepare_node, &p, &result);
    preparation_free(&p);
    if (status == COT_OK) {
        cot_graph_destroy(*in_out);
        *in_out = result;
    }
    return status;
}

cot_status coti_prepare(cot_graph **in_out, coti_views *views_out) {
    coti_views views = {.context = (*in_out)->context};
    cot_status status = prepare_nodes(in_out, &views);
    status = status == COT_OK ? coti_own_results(*in_out) : status;
    if (status == COT_OK && views.graph == NULL) {
        coti_views_init(&views, *in_out);
    }
    if (status == COT_OK && views_out != NULL) {
        *views_out = views;
    } else {
        coti_views_free(&views);
    }
    return status;
}
