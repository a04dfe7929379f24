/*
 * Simplification of views and of reductions that reduce nothing (simplify.h).
 */
#include "simplify.h"

#include <string.h>

/* A view like the site's own, but for op, operand and attribute. */
static cot_value make(const coti_site *site, cot_op op, cot_value x, const void *attr) {
    coti_site inner = *site;
    inner.op = op;
    inner.input = &x;
    inner.n_inputs = 1;
    inner.attr = attr;
    return coti_simplify_make(&inner);
}

/* The operand, if it has the result's shape already and the view keeps every element's place. */
static bool same_shape(const coti_site *site, cot_value *value_out) {
    *value_out = site->input[0];
    return coti_shape_equal(&coti_node_of(site->input[0])->shape, site->shape);
}

/* A view of one scalar repeated is that scalar repeated. */
static bool view_of_scalar(const coti_site *site, cot_value *value_out) {
    static const coti_attr_AXES no_axes = {.axes = {.n = 0}};
    const coti_node *broadcast = coti_site_operand(site, 0, COT_OP_BROADCAST);
    if (broadcast == NULL || coti_node_at(site->graph, broadcast->input[0])->shape.rank != 0) {
        return false;
    }
    *value_out = make(site, COT_OP_BROADCAST, coti_site_input(site, broadcast, 0), &no_axes);
    return true;
}

/* To the same shape; of a reshape. */
static bool rule_reshape(const coti_site *site, cot_value *value_out) {
    if (same_shape(site, value_out)) {
        return true;
    }
    const coti_node *inner = coti_site_operand(site, 0, COT_OP_RESHAPE);
    if (inner != NULL) {
        *value_out = make(site, COT_OP_RESHAPE, coti_site_input(site, inner, 0), NULL);
        return true;
    }
    return view_of_scalar(site, value_out);
}

static bool is_identity(const coti_attr_AXES_type *axes) {
    for (int32_t i = 0; i < axes->n; i++) {
        if (axes->v[i] != i) {
            return false;
        }
    }
    return true;
}

/* The identity; of a permute. */
static bool rule_permute(const coti_site *site, cot_value *value_out) {
    const coti_attr_AXES_type *outer = &((const coti_attr_AXES *)site->attr)->axes;
    if (is_identity(outer)) {
        *value_out = site->input[0];
        return true;
    }
    const coti_node *inner = coti_site_operand(site, 0, COT_OP_PERMUTE);
    if (inner == NULL) {
        return view_of_scalar(site, value_out);
    }
    const coti_attr_AXES_type *first = &((const coti_attr_AXES *)inner->attr)->axes;
    coti_attr_AXES both = {.axes = {.n = outer->n}};
    for (int32_t i = 0; i < outer->n; i++) {
        both.axes.v[i] = first->v[outer->v[i]];
    }
    *value_out = make(site, COT_OP_PERMUTE, coti_site_input(site, inner, 0), &both);
    return true;
}

/*
 * Does `reshaped` differ from `x` by further axes of extent 1 only? place[i] is then where axis i
 * of x stands in it.
 */
static bool only_inserts_ones(const cot_shape *x, const cot_shape *reshaped, int32_t *place) {
    int32_t next = 0;
    for (int32_t i = 0; i < reshaped->rank; i++) {
        bool rows = reshaped->batched && i == 0;
        if (next < x->rank && x->dim[next] == reshaped->dim[i] &&
            (x->batched && next == 0) == rows) {
            place[next++] = i;
        } else if (reshaped->dim[i] != 1 || rows) {
            return false;
        }
    }
    return next == x->rank;
}

/* To the same shape; of a broadcast; of a reshape that only inserts axes of extent 1. */
static bool rule_broadcast(const coti_site *site, cot_value *value_out) {
    const coti_attr_AXES_type *outer = &((const coti_attr_AXES *)site->attr)->axes;
    if (same_shape(site, value_out)) {
        return true;
    }
    const coti_node *broadcast = coti_site_operand(site, 0, COT_OP_BROADCAST);
    const coti_node *reshape = coti_site_operand(site, 0, COT_OP_RESHAPE);
    const coti_node *inner = broadcast != NULL ? broadcast : reshape;
    if (inner == NULL) {
        return false;
    }
    const cot_value x = coti_site_input(site, inner, 0);
    const cot_shape *shape = &coti_node_of(x)->shape;
    int32_t place[COT_MAX_RANK];
    if (broadcast != NULL) {
        memcpy(place, ((const coti_attr_AXES *)broadcast->attr)->axes.v, sizeof place);
    } else if (!only_inserts_ones(shape, &reshape->shape, place)) {
        return false;
    }
    coti_attr_AXES both = {.axes = {.n = shape->rank}};
    for (int32_t i = 0; i < shape->rank; i++) {
        both.axes.v[i] = outer->v[place[i]];
    }
    *value_out = make(site, COT_OP_BROADCAST, x, &both);
    return true;
}

/* The whole; of a slice. */
static bool rule_slice(const coti_site *site, cot_value *value_out) {
    const coti_attr_SLICE *outer = site->attr;
    if (same_shape(site, value_out)) {
        return true;
    }
    const coti_node *inner = coti_site_operand(site, 0, COT_OP_SLICE);
    if (inner == NULL) {
        return view_of_scalar(site, value_out);
    }
    const coti_attr_SLICE *first = inner->attr;
    coti_attr_SLICE both = {.start = {.n = outer->start.n}, .stride = {.n = outer->start.n}};
    for (int32_t i = 0; i < outer->start.n; i++) {
        int64_t size = site->shape->dim[i];
        int64_t skipped = 0;
        both.stride.v[i] = 1; /* of one element or none, where the product could be out of range */
        if (size == 0) {
            continue; /* nothing is taken, from 0 on */
        }
        if (!coti_size_mul(outer->start.v[i], first->stride.v[i], &skipped) ||
            !coti_size_add(skipped, first->start.v[i], &both.start.v[i]) ||
            (size > 1 &&
             !coti_size_mul(outer->stride.v[i], first->stride.v[i], &both.stride.v[i]))) {
            return false;
        }
    }
    *value_out = make(site, COT_OP_SLICE, coti_site_input(site, inner, 0), &both);
    return true;
}

/* Of no axis, or of axes of at most one element; of a flip. */
static bool rule_flip(const coti_site *site, cot_value *value_out) {
    const coti_attr_AXES_type *axes = &((const coti_attr_AXES *)site->attr)->axes;
    const coti_node *inner = coti_site_operand(site, 0, COT_OP_FLIP);
    uint32_t asked = 0;
    for (int32_t i = 0; i < axes->n; i++) {
        asked |= (uint32_t)1 << axes->v[i];
    }
    uint32_t mask = asked;
    if (inner != NULL) {
        const coti_attr_AXES_type *first = &((const coti_attr_AXES *)inner->attr)->axes;
        for (int32_t i = 0; i < first->n; i++) {
            mask ^= (uint32_t)1 << first->v[i];
        }
    }
    coti_attr_AXES both = {.axes = {.n = 0}};
    for (int32_t i = 0; i < site->shape->rank; i++) {
        if ((mask >> i & 1) != 0 && site->shape->dim[i] > 1) {
            both.axes.v[both.axes.n++] = i;
        }
    }
    cot_value x = inner != NULL ? coti_site_input(site, inner, 0) : site->input[0];
    if (both.axes.n == 0) {
        *value_out = x;
        return true;
    }
    if (inner == NULL && both.axes.n == axes->n) {
        return view_of_scalar(site, value_out);
    }
    *value_out = make(site, COT_OP_FLIP, x, &both);
    return true;
}

/* Of one operand. */
static bool rule_concat(const coti_site *site, cot_value *value_out) {
    *value_out = site->input[0];
    return site->n_inputs == 1;
}

/* A sum over no axis: its operand, of whose zeros it would have made +0 (simplify.h). */
static bool rule_sum(const coti_site *site, cot_value *value_out) {
    return same_shape(site, value_out);
}

/* Over no axis or axes of extent 1: a maximum is then its one element. A sum starts at +0 and is
 * not. */
static bool rule_reduce_max(const coti_site *site, cot_value *value_out) {
    const coti_attr_AXES_type *axes = &((const coti_attr_AXES *)site->attr)->axes;
    const cot_shape *shape = &coti_node_of(site->input[0])->shape;
    for (int32_t i = 0; i < axes->n; i++) {
        if (shape->dim[axes->v[i]] != 1 || (shape->batched && axes->v[i] == 0)) {
            return false;
        }
    }
    *value_out = make(site, COT_OP_RESHAPE, site->input[0], NULL);
    return true;
}

coti_simplify_fn coti_simplify_view_rule(cot_op op) {
    static const coti_simplify_fn rules[COT_OP_COUNT] = {
        [COT_OP_RESHAPE] = rule_reshape,
        [COT_OP_PERMUTE] = rule_permute,
        [COT_OP_BROADCAST] = rule_broadcast,
        [COT_OP_SLICE] = rule_slice,
        [COT_OP_PAD] = same_shape, /* by nothing */
        [COT_OP_FLIP] = rule_flip,
        [COT_OP_CONCAT] = rule_concat,
        [COT_OP_SUM] = rule_sum,
        [COT_OP_REDUCE_MAX] = rule_reduce_max,
    };
    return rules[op];
}
