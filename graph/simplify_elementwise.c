/*
 * Simplification of elementwise operations (simplify.h).
 *
 * x + (+0) is no identity: it turns -0 into +0. x + (-0) and x - (+0) are; so is x * 1, but not
 * x * 0 for floats. a + (-b) and a - b are the same operation in IEEE 754 (6.1, 6.3 of 754-2019).
 */
#include "simplify.h"

#include <string.h>

/* An elementwise node of `n` operands like the site's own, but for op and operands. */
static cot_value make(const coti_site *site, cot_op op, const cot_value *input, int32_t n) {
    coti_site inner = *site;
    inner.op = op;
    inner.input = input;
    inner.n_inputs = n;
    inner.attr = NULL;
    return coti_simplify_make(&inner);
}

static bool is_float(const coti_site *site) {
    cot_dtype dtype = cot_value_dtype(site->input[0]);
    return dtype == COT_F32 || dtype == COT_F64;
}

static bool same(cot_value a, cot_value b) {
    return a.id == b.id;
}

/* ---- arithmetic ---- */

/* x + (-0), a + (-b), (-a) + b */
static bool rule_add(const coti_site *site, cot_value *value_out) {
    double zero = is_float(site) ? -0.0 : 0.0;
    for (int32_t i = 0; i < 2; i++) {
        cot_value other = site->input[1 - i];
        if (coti_site_is_number(site, i, zero)) {
            *value_out = other;
            return true;
        }
        const coti_node *neg = coti_site_operand(site, i, COT_OP_NEG);
        if (neg != NULL) {
            const cot_value operands[2] = {other, coti_site_input(site, neg, 0)};
            *value_out = make(site, COT_OP_SUB, operands, 2);
            return true;
        }
    }
    return false;
}

/* x - (+0), a - (-b) */
static bool rule_sub(const coti_site *site, cot_value *value_out) {
    if (coti_site_is_number(site, 1, 0.0)) {
        *value_out = site->input[0];
        return true;
    }
    const coti_node *neg = coti_site_operand(site, 1, COT_OP_NEG);
    if (neg != NULL) {
        const cot_value operands[2] = {site->input[0], coti_site_input(site, neg, 0)};
        *value_out = make(site, COT_OP_ADD, operands, 2);
        return true;
    }
    return false;
}

/* x * 1, 1 * x */
static bool rule_mul(const coti_site *site, cot_value *value_out) {
    for (int32_t i = 0; i < 2; i++) {
        if (coti_site_is_number(site, i, 1.0)) {
            *value_out = site->input[1 - i];
            return true;
        }
    }
    return false;
}

/* x / 1, x to the power of 1 */
static bool rule_one_right(const coti_site *site, cot_value *value_out) {
    *value_out = site->input[0];
    return coti_site_is_number(site, 1, 1.0);
}

/* op(x, x) = x, of max, min, and, or */
static bool rule_idempotent(const coti_site *site, cot_value *value_out) {
    *value_out = site->input[0];
    return same(site->input[0], site->input[1]);
}

/* op(op(x)) = x, of neg */
static bool rule_involution(const coti_site *site, cot_value *value_out) {
    const coti_node *inner = coti_site_operand(site, 0, site->op);
    if (inner == NULL) {
        return false;
    }
    *value_out = coti_site_input(site, inner, 0);
    return true;
}

/* op(op(x)) = op(x), of relu and floor */
static bool rule_projection(const coti_site *site, cot_value *value_out) {
    *value_out = site->input[0];
    return coti_site_operand(site, 0, site->op) != NULL;
}

/* |-x| = |x|, but not for u8, whose -x is 256 - x; ||x|| = |x| */
static bool rule_abs(const coti_site *site, cot_value *value_out) {
    const coti_node *neg = coti_site_operand(site, 0, COT_OP_NEG);
    if (neg != NULL && site->dtype != COT_U8) {
        const cot_value x = coti_site_input(site, neg, 0);
        *value_out = make(site, COT_OP_ABS, &x, 1);
        return true;
    }
    return rule_projection(site, value_out);
}

/* Identity, once gradients have been taken. */
static bool rule_stop_gradient(const coti_site *site, cot_value *value_out) {
    *value_out = site->input[0];
    return true;
}

/* ---- logic ---- */

/* x and true, x and false, x or true, x or false, and equal operands */
static bool rule_logic(const coti_site *site, cot_value *value_out) {
    double neutral = site->op == COT_OP_AND ? 1.0 : 0.0;
    for (int32_t i = 0; i < 2; i++) {
        if (coti_site_is_number(site, i, neutral)) {
            *value_out = site->input[1 - i];
            return true;
        }
        if (coti_site_is_number(site, i, 1.0 - neutral)) {
            *value_out = site->input[i];
            return true;
        }
    }
    return rule_idempotent(site, value_out);
}

/* not not x = x; not (a == b) is a != b, and the other way round, NaN included */
static bool rule_not(const coti_site *site, cot_value *value_out) {
    const coti_node *eq = coti_site_operand(site, 0, COT_OP_EQ);
    const coti_node *ne = coti_site_operand(site, 0, COT_OP_NE);
    const coti_node *compare = eq != NULL ? eq : ne;
    if (compare != NULL) {
        const cot_value operands[2] = {coti_site_input(site, compare, 0),
                                       coti_site_input(site, compare, 1)};
        *value_out = make(site, eq != NULL ? COT_OP_NE : COT_OP_EQ, operands, 2);
        return true;
    }
    return rule_involution(site, value_out);
}

/* Equal branches, a constant condition, a negated condition */
static bool rule_select(const coti_site *site, cot_value *value_out) {
    const coti_node *not = coti_site_operand(site, 0, COT_OP_NOT);
    if (same(site->input[1], site->input[2]) || coti_site_is_number(site, 0, 1.0)) {
        *value_out = site->input[1];
        return true;
    }
    if (coti_site_is_number(site, 0, 0.0)) {
        *value_out = site->input[2];
        return true;
    }
    if (not!= NULL) {
        const cot_value operands[3] = {coti_site_input(site, not, 0), site->input[2],
                                       site->input[1]};
        *value_out = make(site, COT_OP_SELECT, operands, 3);
        return true;
    }
    return false;
}

/* ---- casts ---- */

/* Does `to` hold every value of `from` exactly? */
static bool holds(cot_dtype from, cot_dtype to) {
    static const uint32_t held_by[] = {
        [COT_F32] = 1u << COT_F32 | 1u << COT_F64,
        [COT_F64] = 1u << COT_F64,
        [COT_I32] = 1u << COT_I32 | 1u << COT_I64 | 1u << COT_F64,
        [COT_I64] = 1u << COT_I64,
        [COT_U8] = 1u << COT_U8 | 1u << COT_I32 | 1u << COT_I64 | 1u << COT_F32 | 1u << COT_F64,
        [COT_BOOL] = 1u << COT_BOOL | 1u << COT_U8 | 1u << COT_I32 | 1u << COT_I64 | 1u << COT_F32 |
                     1u << COT_F64,
    };
    return (held_by[from] >> to & 1) != 0;
}

/*
 * To its own dtype: nothing. By way of a dtype that holds the source exactly: straight, except from
 * i32 over f64 to u8, which saturates where the straight way wraps.
 */
static bool rule_cast(const coti_site *site, cot_value *value_out) {
    if (cot_value_dtype(site->input[0]) == site->dtype) {
        *value_out = site->input[0];
        return true;
    }
    const coti_node *inner = coti_site_operand(site, 0, COT_OP_CAST);
    if (inner == NULL) {
        return false;
    }
    const cot_value x = coti_site_input(site, inner, 0);
    const cot_dtype from = cot_value_dtype(x);
    const cot_dtype by = (cot_dtype)inner->dtype;
    if (!holds(from, by) || (from == COT_I32 && by == COT_F64 && site->dtype == COT_U8)) {
        return false;
    }
    *value_out = make(site, COT_OP_CAST, &x, 1);
    return true;
}

/* ---- every elementwise op ---- */

/* A source that every broadcast operand can share: the first that is no scalar, else the first. */
static const coti_node *widest_source(const coti_site *site) {
    const coti_node *found = NULL;
    for (int32_t i = 0; i < site->n_inputs; i++) {
        const coti_node *broadcast = coti_site_operand(site, i, COT_OP_BROADCAST);
        if (broadcast == NULL) {
            return NULL;
        }
        bool scalar = coti_node_at(site->graph, broadcast->input[0])->shape.rank == 0;
        if (found == NULL ||
            (!scalar && coti_node_at(site->graph, found->input[0])->shape.rank == 0)) {
            found = broadcast;
        }
    }
    return found;
}

/* Do the two broadcasts lay sources of equal shape along the same axes? */
static bool broadcast_alike(const cot_graph *graph, const coti_node *a, const coti_node *b) {
    const coti_attr_AXES_type *left = &((const coti_attr_AXES *)a->attr)->axes;
    const coti_attr_AXES_type *right = &((const coti_attr_AXES *)b->attr)->axes;
    return coti_shape_equal(&coti_node_at(graph, a->input[0])->shape,
                            &coti_node_at(graph, b->input[0])->shape) &&
           memcmp(left->v, right->v, (size_t)left->n * sizeof left->v[0]) == 0;
}

static cot_value make_broadcast(const coti_site *site, cot_value x, const void *axes,
                                const cot_shape *shape) {
    coti_site inner = *site;
    inner.op = COT_OP_BROADCAST;
    inner.input = &x;
    inner.n_inputs = 1;
    inner.attr = axes;
    inner.dtype = cot_value_dtype(x);
    inner.shape = shape;
    return coti_simplify_make(&inner);
}

bool coti_simplify_hoist(const coti_site *site, cot_value *value_out) {
    const coti_op_info *info = &coti_op_table[site->op];
    bool elementwise = info->kind == COTI_KIND_ELEMWISE || info->kind == COTI_KIND_COMPARE ||
                       site->op == COT_OP_SELECT || site->op == COT_OP_CAST;
    const coti_node *widest = elementwise ? widest_source(site) : NULL;
    if (widest == NULL) {
        return false;
    }
    /* Copies: making nodes moves the graph's array of nodes. */
    const void *axes = widest->attr;
    const cot_shape inner_shape = coti_node_at(site->graph, widest->input[0])->shape;
    cot_value input[3];
    for (int32_t i = 0; i < site->n_inputs; i++) {
        const coti_node *broadcast = coti_site_operand(site, i, COT_OP_BROADCAST);
        input[i] = coti_site_input(site, broadcast, 0);
        if (coti_node_of(input[i])->shape.rank != 0 &&
            !broadcast_alike(site->graph, broadcast, widest)) {
            return false;
        }
    }
    static const coti_attr_AXES no_axes = {.axes = {.n = 0}};
    for (int32_t i = 0; i < site->n_inputs; i++) {
        if (input[i].graph != NULL && cot_value_shape(input[i]).rank != inner_shape.rank) {
            input[i] = make_broadcast(site, input[i], &no_axes, &inner_shape);
        }
    }
    coti_site inner = *site;
    inner.input = input;
    inner.shape = &inner_shape;
    cot_value value = coti_simplify_make(&inner);
    *value_out = value.graph != NULL ? make_broadcast(site, value, axes, site->shape) : value;
    return true;
}

/* ---- the table ---- */

coti_simplify_fn coti_simplify_elementwise_rule(cot_op op) {
    static const coti_simplify_fn rules[COT_OP_COUNT] = {
        [COT_OP_ADD] = rule_add,          [COT_OP_SUB] = rule_sub,
        [COT_OP_MUL] = rule_mul,          [COT_OP_DIV] = rule_one_right,
        [COT_OP_POW] = rule_one_right,    [COT_OP_MAX] = rule_idempotent,
        [COT_OP_MIN] = rule_idempotent,   [COT_OP_AND] = rule_logic,
        [COT_OP_OR] = rule_logic,         [COT_OP_NEG] = rule_involution,
        [COT_OP_NOT] = rule_not,          [COT_OP_ABS] = rule_abs,
        [COT_OP_RELU] = rule_projection,  [COT_OP_STOP_GRADIENT] = rule_stop_gradient,
        [COT_OP_SELECT] = rule_select,    [COT_OP_CAST] = rule_cast,
        [COT_OP_FLOOR] = rule_projection,
    };
    return rules[op];
}
