/*
 * Sums over the steps of a loop (scan_total.h). Three walks over the nodes of a step: upwards for
 * what is invariant and what is linear in reductions over rows, downwards from the sums that are
 * wanted to what is stacked or added up, upwards again to make them.
 */
#include "scan_total.h"

#include "graph/scan.h"

/* facts */
enum { INVARIANT = 1, SPLITS = 2 }; /* SPLITS: linear in something that is worth stacking */
/* wants */
enum { WANT_SAME = 1, WANT_TOTAL = 2 };

static const coti_node *node_at(const coti_totals *t, uint32_t id) {
    return coti_node_at(t->step, id);
}

static bool is_invariant(const coti_totals *t, uint32_t id) {
    return (t->facts[id] & INVARIANT) != 0;
}

static bool splits(const coti_totals *t, uint32_t id) {
    return (t->facts[id] & SPLITS) != 0;
}

/* ---- what an operation is in its operands ---- */

/* Linear in its only operand, whatever its attributes are. */
static bool is_linear(const coti_node *node) {
    switch (node->op) {
    case COT_OP_NEG:
    case COT_OP_STOP_GRADIENT:
    case COT_OP_RESHAPE:
    case COT_OP_PERMUTE:
    case COT_OP_BROADCAST:
    case COT_OP_SLICE:
    case COT_OP_FLIP:
    case COT_OP_SUM:
        return true;
    case COT_OP_PAD:
        return ((const coti_attr_PAD *)node->attr)->value == 0;
    default:
        return false;
    }
}

/* Of a product or quotient that is linear in one operand, as the other is invariant: that operand;
 * else -1. */
static int32_t linear_operand(const coti_totals *t, const coti_node *node) {
    const bool first = is_invariant(t, node->input[0]);
    if (node->op == COT_OP_DIV) {
        return is_invariant(t, node->input[1]) ? 0 : -1;
    }
    if (node->op != COT_OP_MUL && node->op != COT_OP_DOT) {
        return -1;
    }
    return first ? 1 : is_invariant(t, node->input[1]) ? 0 : -1;
}

static bool can_stack(const coti_totals *t, uint32_t id) {
    return node_at(t, id)->shape.rank < COT_MAX_RANK;
}

static double size_of(const coti_totals *t, uint32_t id) {
    int64_t elements = 0;
    return coti_shape_elements(&node_at(t, id)->shape, 1, &elements) ? (double)elements : 0;
}

/* A sum over rows. */
static bool sums_rows(const coti_totals *t, const coti_node *node) {
    return node->op == COT_OP_SUM && node_at(t, node->input[0])->shape.batched &&
           !node->shape.batched;
}

/* A product of two varying values: is it better made once behind the loop? Over rows always; of
 * others if the operands are smaller than the result. */
static bool is_outer_product(const coti_totals *t, uint32_t id) {
    const coti_node *node = node_at(t, id);
    const uint32_t a = node->input[0], b = node->input[1];
    return can_stack(t, a) && can_stack(t, b) &&
           (node_at(t, a)->shape.batched || size_of(t, a) + size_of(t, b) <= size_of(t, id));
}

/* Is the value linear in what is to be stacked? Its operands' facts are set. */
static bool find_splits(const coti_totals *t, uint32_t id) {
    const coti_node *node = node_at(t, id);
    if (node->shape.batched || is_invariant(t, id)) {
        return false;
    }
    if (sums_rows(t, node)) {
        return can_stack(t, node->input[0]);
    }
    if (is_linear(node)) {
        return splits(t, node->input[0]);
    }
    if (node->op == COT_OP_ADD || node->op == COT_OP_SUB) {
        return splits(t, node->input[0]) || splits(t, node->input[1]);
    }
    if (node->op != COT_OP_MUL && node->op != COT_OP_DIV && node->op != COT_OP_DOT) {
        return false;
    }
    const int32_t linear = linear_operand(t, node);
    if (linear >= 0) {
        const uint32_t x = node->input[linear];
        return node_at(t, x)->shape.batched ? can_stack(t, x) : splits(t, x);
    }
    return node->op == COT_OP_DOT && is_outer_product(t, id);
}

static void find_facts(coti_totals *t) {
    size_t i_input = 0;
    for (uint32_t id = 1; id < t->step->node.count; id++) {
        const coti_node *node = node_at(t, id);
        bool invariant = node->op != COT_OP_INPUT || !t->varies[i_input];
        i_input += node->op == COT_OP_INPUT;
        for (int32_t i = 0; i < node->n_inputs; i++) {
            invariant = invariant && is_invariant(t, node->input[i]);
        }
        t->facts[id] = invariant ? INVARIANT : 0;
        t->facts[id] |= find_splits(t, id) ? SPLITS : 0;
    }
}

/* ---- downwards ---- */

static cot_status enter(const coti_totals *t, coti_id_list *list, uint32_t *place, uint32_t id) {
    if (place[id] != 0) {
        return COT_OK;
    }
    COTI_TRY(coti_vec_reserve(t->step->context, list, list->count + 1));
    list->data[list->count++] = id;
    place[id] = (uint32_t)list->count;
    return COT_OK;
}

static cot_status enter_stack(coti_totals *t, uint32_t id) {
    return enter(t, &t->stack, t->stack_place, id);
}

static cot_status want_total(coti_totals *t, uint32_t id) {
    const coti_node *node = node_at(t, id);
    if (node->shape.batched) {
        return enter_stack(t, id);
    }
    if (!splits(t, id)) {
        return enter(t, &t->sum, t->sum_place, id);
    }
    if (sums_rows(t, node)) {
        return enter_stack(t, node->input[0]);
    }
    const bool product = node->op == COT_OP_MUL || node->op == COT_OP_DIV || node->op == COT_OP_DOT;
    const int32_t linear = product ? linear_operand(t, node) : -1;
    if (product && linear < 0) {
        COTI_TRY(enter_stack(t, node->input[0]));
        return enter_stack(t, node->input[1]);
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        t->wants[node->input[i]] |= product && i != linear ? WANT_SAME : WANT_TOTAL;
    }
    return COT_OK;
}

cot_status coti_totals_plan(coti_totals *t, const uint32_t *node, int32_t n) {
    const size_t n_nodes = t->step->node.count;
    t->facts = coti_arena_array(t->arena, n_nodes, sizeof *t->facts);
    t->wants = coti_arena_array(t->arena, n_nodes, sizeof *t->wants);
    t->stack_place = coti_arena_array(t->arena, n_nodes, sizeof *t->stack_place);
    t->sum_place = coti_arena_array(t->arena, n_nodes, sizeof *t->sum_place);
    t->same = coti_arena_array(t->arena, n_nodes, sizeof *t->same);
    t->total = coti_arena_array(t->arena, n_nodes, sizeof *t->total);
    if (t->facts == NULL || t->wants == NULL || t->stack_place == NULL || t->sum_place == NULL ||
        t->same == NULL || t->total == NULL) {
        return COT_E_NOMEM;
    }
    find_facts(t);
    for (int32_t i = 0; i < n; i++) {
        t->wants[node[i]] |= WANT_TOTAL;
    }
    for (uint32_t id = (uint32_t)n_nodes; id-- > 1;) {
        const coti_node *at = node_at(t, id);
        for (int32_t i = 0; i < at->n_inputs && (t->wants[id] & WANT_SAME) != 0; i++) {
            t->wants[at->input[i]] |= WANT_SAME;
        }
        COTI_TRY((t->wants[id] & WANT_TOTAL) != 0 ? want_total(t, id) : COT_OK);
    }
    return COT_OK;
}

void coti_totals_free(coti_totals *t) {
    coti_vec_free(t->step->context, &t->stack);
    coti_vec_free(t->step->context, &t->sum);
}

/* ---- the sums ---- */

static cot_value stack_of(const coti_totals *t, uint32_t id) {
    return t->stacked[t->stack_place[id] - 1];
}

/* Where an axis of an element is in its stack. */
static int32_t shifted(const cot_shape *element, int32_t axis) {
    return axis < coti_scan_axis(element) ? axis : axis + 1;
}

static cot_value sum_stack(const coti_totals *t, uint32_t id, const coti_attr_AXES_type *axes) {
    const cot_shape *element = &node_at(t, id)->shape;
    int32_t list[COT_MAX_RANK + 1] = {coti_scan_axis(element)};
    int32_t n = 1;
    for (int32_t i = 0; axes != NULL && i < axes->n; i++) {
        list[n++] = shifted(element, axes->v[i]);
    }
    return cot_op_reduce(COT_OP_SUM, stack_of(t, id), list, n, false);
}

static void shift_axes(const coti_attr_AXES_type *axes, const cot_shape *element, int32_t *out) {
    for (int32_t i = 0; i < axes->n; i++) {
        out[i] = shifted(element, axes->v[i]);
    }
}

/* A product of two elements as one of their stacks, over time too. */
static cot_value dot_stacks(const coti_totals *t, const coti_node *node) {
    const coti_attr_DOT *attr = node->attr;
    const cot_shape *a = &node_at(t, node->input[0])->shape;
    const cot_shape *b = &node_at(t, node->input[1])->shape;
    cot_dot_axes axes = {.n_batch = attr->a_batch.n, .n_contract = attr->a_contract.n + 1};
    shift_axes(&attr->a_batch, a, axes.a_batch);
    shift_axes(&attr->b_batch, b, axes.b_batch);
    shift_axes(&attr->a_contract, a, axes.a_contract);
    shift_axes(&attr->b_contract, b, axes.b_contract);
    axes.a_contract[attr->a_contract.n] = coti_scan_axis(a);
    axes.b_contract[attr->b_contract.n] = coti_scan_axis(b);
    return cot_op_dot(stack_of(t, node->input[0]), stack_of(t, node->input[1]), &axes);
}

/* The node once more in the outer graph, of other operands. */
static cot_value remake(const coti_totals *t, const coti_node *node, int32_t linear) {
    cot_value operand[3];
    if (node->n_inputs > 3) {
        return coti_poison();
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        operand[i] = linear == i || linear < 0 ? t->total[node->input[i]] : t->same[node->input[i]];
    }
    return coti_graph_add(t->outer, (cot_op)node->op, operand, node->n_inputs, node->attr,
                          (cot_dtype)node->dtype, &node->shape);
}

static cot_value make_total(const coti_totals *t, uint32_t id) {
    const coti_node *node = node_at(t, id);
    if (node->shape.batched) {
        return sum_stack(t, id, NULL);
    }
    if (!splits(t, id)) {
        return t->summed[t->sum_place[id] - 1];
    }
    if (sums_rows(t, node)) {
        return sum_stack(t, node->input[0], &((const coti_attr_AXES *)node->attr)->axes);
    }
    const bool product = node->op == COT_OP_MUL || node->op == COT_OP_DIV || node->op == COT_OP_DOT;
    const int32_t linear = product ? linear_operand(t, node) : -1;
    return product && linear < 0 ? dot_stacks(t, node) : remake(t, node, linear);
}

/* An invariant value, in the outer graph. */
static cot_value make_same(const coti_totals *t, uint32_t id) {
    const coti_node *node = node_at(t, id);
    cot_context *context = t->step->context;
    cot_value *operand = coti_calloc(context, (size_t)node->n_inputs + 1, sizeof *operand);
    if (operand == NULL) {
        return coti_poison();
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        operand[i] = t->same[node->input[i]];
    }
    const cot_value same = coti_graph_add(t->outer, (cot_op)node->op, operand, node->n_inputs,
                                          node->attr, (cot_dtype)node->dtype, &node->shape);
    coti_free(context, operand);
    return same;
}

cot_status coti_totals_make(coti_totals *t) {
    size_t i_input = 0;
    for (uint32_t id = 1; id < t->step->node.count; id++) {
        const bool input = node_at(t, id)->op == COT_OP_INPUT;
        if ((t->wants[id] & WANT_SAME) != 0) {
            t->same[id] = input ? t->constant[i_input] : make_same(t, id);
        }
        if ((t->wants[id] & WANT_TOTAL) != 0) {
            t->total[id] = make_total(t, id);
        }
        if (((t->wants[id] & WANT_SAME) != 0 && t->same[id].graph == NULL) ||
            ((t->wants[id] & WANT_TOTAL) != 0 && t->total[id].graph == NULL)) {
            cot_status status = cot_error_get(t->outer->context).status;
            return status != COT_OK ? status : COT_E_INTERNAL;
        }
        i_input += input;
    }
    return COT_OK;
}
