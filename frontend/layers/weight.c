/*
 * What holds weights: regularizers, which add to the loss, and constraints, which end an update;
 * formulas stand in cotangent/weights.h. Initial values are initializer.c's.
 */
#include "frontend/layers/formula.h"
#include "layer.h"

#include <math.h>
#include <stdio.h>

/* Keras's epsilon(). */
#define EPSILON 1e-7
#define LARGEST 3e38

/* ---- options ---- */

bool coti_regularizer_is_none(const cot_regularizer *regularizer) {
    return regularizer->l1 == 0.0 && regularizer->l2 == 0.0 && regularizer->orthogonal == 0.0 &&
           regularizer->function == NULL;
}

cot_status coti_regularizer_read(cot_context *context, const char *op, const char *layer,
                                 const char *what, const cot_regularizer *given,
                                 cot_regularizer *out) {
    *out = (cot_regularizer)COT_REGULARIZER_INIT;
    if (given == NULL) {
        return COT_OK;
    }
    COTI_TRY(coti_options_copy(context, what, given, out, sizeof *out));
    const double factor[3] = {out->l1, out->l2, out->orthogonal};
    static const char *const name[3] = {"l1", "l2", "orthogonal"};
    for (int i = 0; i < 3; i++) {
        if (!(factor[i] >= 0.0 && factor[i] <= LARGEST)) {
            return COTI_OP_FAIL(context, COT_E_ARG, op, layer, "%s: %s is %g, expected 0 to %g",
                                what, name[i], factor[i], LARGEST);
        }
    }
    return (int)out->vectors == COT_VECTORS_ROWS || out->vectors == COT_VECTORS_COLUMNS
               ? COT_OK
               : COTI_OP_FAIL(context, COT_E_ARG, op, layer, "%s: %d is no cot_vectors", what,
                              (int)out->vectors);
}

static double value_or(double value, double otherwise) {
    return value == 0.0 && !signbit(value) ? otherwise : value;
}

static cot_status check_norms(cot_context *context, const char *op, const char *layer,
                              const char *weight, const cot_constraint *c) {
    if (!(c->min_value >= 0.0 && c->min_value <= c->max_value && c->max_value <= LARGEST &&
          c->rate >= 0.0 && c->rate <= 1.0)) {
        return COTI_OP_FAIL(context, COT_E_ARG, op, layer,
                            "%s_constraint: norms from %g to %g at a rate of %g, expected 0 <= min "
                            "<= max and a rate in [0, 1]",
                            weight, c->min_value, c->max_value, c->rate);
    }
    bool ascend = c->n_axes >= 0 && c->n_axes <= COT_MAX_RANK;
    for (int32_t i = 0; ascend && i < c->n_axes; i++) {
        ascend = c->axes[i] >= 0 && (i == 0 || c->axes[i] > c->axes[i - 1]);
    }
    return ascend ? COT_OK
                  : COTI_OP_FAIL(context, COT_E_ARG, op, layer,
                                 "%s_constraint: axes must ascend from 0 on, and be at most %d",
                                 weight, COT_MAX_RANK);
}

static cot_status read_constraint(cot_context *context, const char *op, const char *layer,
                                  const char *weight, const cot_constraint *given,
                                  cot_constraint *out) {
    *out = (cot_constraint)COT_CONSTRAINT_INIT;
    if (given == NULL) {
        return COT_OK;
    }
    COTI_TRY(coti_options_copy(context, "constraint", given, out, sizeof *out));
    if ((int)out->kind < 0 || out->kind > COT_CONSTRAINT_CUSTOM) {
        return COTI_OP_FAIL(context, COT_E_ARG, op, layer, "%s_constraint: %d is no constraint",
                            weight, (int)out->kind);
    }
    if (out->kind == COT_CONSTRAINT_CUSTOM && out->function == NULL) {
        return COTI_OP_FAIL(context, COT_E_ARG, op, layer, "%s_constraint: function is NULL",
                            weight);
    }
    out->max_value = value_or(out->max_value, out->kind == COT_CONSTRAINT_MIN_MAX_NORM ? 1.0 : 2.0);
    out->rate = value_or(out->rate, 1.0);
    if (out->n_axes == 0) {
        out->axes[0] = 0;
        out->n_axes = 1;
    }
    return check_norms(context, op, layer, weight, out);
}

cot_status coti_weight_options_read(cot_context *context, const char *op, const char *layer,
                                    const coti_weight_given *given, coti_weight_options *out) {
    char what[64];
    *out = (coti_weight_options){.initializer = given->initializer};
    if (!coti_initializer_is_valid(given->initializer)) {
        return COTI_OP_FAIL(context, COT_E_ARG, op, layer, "%s_initializer %d is no initializer",
                            given->name, (int)given->initializer);
    }
    (void)snprintf(what, sizeof what, "%s_regularizer", given->name);
    COTI_TRY(coti_initializer_read(context, op, layer, given->name, given->numbers, &out->numbers));
    COTI_TRY(
        coti_regularizer_read(context, op, layer, what, given->regularizer, &out->regularizer));
    return read_constraint(context, op, layer, given->name, given->constraint, &out->constraint);
}

cot_status coti_weight_options_check(cot_context *context, const char *weight,
                                     const cot_shape *shape, const coti_weight_options *options) {
    const cot_constraint *c = &options->constraint;
    bool wants_matrix =
        options->regularizer.orthogonal != 0.0 || options->initializer == COT_IDENTITY;
    bool has_norms = c->kind == COT_CONSTRAINT_MAX_NORM || c->kind == COT_CONSTRAINT_UNIT_NORM ||
                     c->kind == COT_CONSTRAINT_MIN_MAX_NORM;
    if (wants_matrix && shape->rank != 2) {
        return COTI_FAIL_OP(context, COT_E_SHAPE, "weight", weight,
                            "%s has rank %d, but its %s expects 2", weight, (int)shape->rank,
                            options->initializer == COT_IDENTITY ? "initializer (identity)"
                                                                 : "orthogonal regularizer");
    }
    if (options->initializer == COT_ORTHOGONAL && shape->rank < 2) {
        return COTI_FAIL_OP(context, COT_E_SHAPE, "weight", weight,
                            "%s has rank %d, but its initializer (orthogonal) expects 2 or more",
                            weight, (int)shape->rank);
    }
    if (has_norms && c->axes[c->n_axes - 1] >= shape->rank) {
        return COTI_FAIL_OP(context, COT_E_SHAPE, "weight", weight,
                            "%s has rank %d, but its constraint takes norms over axis %d", weight,
                            (int)shape->rank, (int)c->axes[c->n_axes - 1]);
    }
    return COT_OK;
}

/* ---- regularizers ---- */

static const int32_t all_axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};

static cot_value sum_of_all(cot_value x) {
    return cot_op_reduce(COT_OP_SUM, x, all_axes, cot_value_shape(x).rank, false);
}

static cot_value square(cot_value x) {
    return coti_mul(x, x);
}

/* 1 - (i == j), [n, n]. */
static cot_value off_diagonal(cot_value like, int64_t n) {
    const cot_shape shape = {.rank = 2, .dim = {n, n}};
    cot_value row = cot_op_iota(like.graph, COT_I64, shape, 0);
    cot_value column = cot_op_iota(like.graph, COT_I64, shape, 1);
    return cot_op_cast(cot_op_binary(COT_OP_NE, row, column), cot_value_dtype(like));
}

/* The mean of |<u_i, u_j>| over pairs i < j is half the sum over i != j, by n (n - 1) / 2. */
static cot_value mean_product(cot_value w, cot_vectors vectors) {
    const cot_shape shape = cot_value_shape(w);
    const int32_t along = vectors == COT_VECTORS_ROWS ? 1 : 0;
    const int32_t turned[2] = {1, 0};
    int64_t n = shape.dim[1 - along];
    if (n < 2) {
        return coti_number(w, 0.0);
    }
    cot_value squares = cot_op_reduce(COT_OP_SUM, square(w), &along, 1, true);
    cot_value least = cot_op_binary(COT_OP_MAX, squares, coti_number(w, EPSILON));
    cot_value u = coti_mul(w, cot_op_unary(COT_OP_RSQRT, least));
    u = along == 1 ? u : cot_op_permute(u, turned, 2);
    cot_value products = cot_op_matmul(u, cot_op_permute(u, turned, 2));
    cot_value pairs = coti_mul(cot_op_unary(COT_OP_ABS, products), off_diagonal(w, n));
    return coti_scale(sum_of_all(pairs), 1.0 / ((double)n * ((double)n - 1.0)));
}

/* A scalar that a function of the user's gave; poison, with an error, if it is none. */
static cot_value user_scalar(cot_value x, cot_value given) {
    cot_context *context = cot_graph_context(x.graph);
    if (given.graph == NULL && cot_error_get(context).status == COT_OK) {
        COTI_FAIL(context, COT_E_ARG, "a regularizer's function gives no value");
    }
    if (given.graph == NULL) {
        return given;
    }
    cot_dtype dtype = cot_value_dtype(given);
    cot_shape shape = cot_value_shape(given);
    if (given.graph != x.graph || shape.rank != 0 || (dtype != COT_F32 && dtype != COT_F64)) {
        char text[COTI_TYPE_BYTES];
        COTI_FAIL(context, COT_E_SHAPE,
                  "a regularizer's function gives %s, expected a scalar f32 or f64 of the same "
                  "graph",
                  coti_type_text(text, dtype, &shape));
        return coti_poison();
    }
    return cot_op_cast(given, cot_value_dtype(x));
}

/* *sum += term */
static void add_term(cot_value *sum, cot_value term) {
    *sum = sum->graph == NULL ? term : coti_add(*sum, term);
}

cot_value coti_regularizer_build(const cot_regularizer *regularizer, cot_value x) {
    cot_value sum = coti_poison();
    if (x.graph == NULL) {
        return x;
    }
    if (regularizer->l1 != 0.0) {
        add_term(&sum, coti_scale(sum_of_all(cot_op_unary(COT_OP_ABS, x)), regularizer->l1));
    }
    if (regularizer->l2 != 0.0) {
        add_term(&sum, coti_scale(sum_of_all(square(x)), regularizer->l2));
    }
    if (regularizer->orthogonal != 0.0) {
        add_term(&sum, coti_scale(mean_product(x, regularizer->vectors), regularizer->orthogonal));
    }
    if (regularizer->function != NULL) {
        cot_value own = user_scalar(x, regularizer->function(x, regularizer->user));
        if (own.graph == NULL) {
            return own;
        }
        add_term(&sum, own);
    }
    return sum.graph != NULL ? sum : coti_number(x, 0.0);
}

/* ---- constraints ---- */

static cot_value clip(cot_value x, double low, double high) {
    cot_value below = cot_op_binary(COT_OP_MIN, x, coti_number(x, high));
    return cot_op_binary(COT_OP_MAX, below, coti_number(x, low));
}

static cot_value norms_of(const cot_constraint *c, cot_value w) {
    return cot_op_unary(COT_OP_SQRT,
                        cot_op_reduce(COT_OP_SUM, square(w), c->axes, c->n_axes, true));
}

static cot_value custom_constraint(const cot_constraint *c, cot_value w) {
    cot_value made = c->function(w, c->user);
    cot_context *context = w.graph != NULL ? cot_graph_context(w.graph) : NULL;
    if (context == NULL || (made.graph == NULL && cot_error_get(context).status != COT_OK)) {
        return coti_poison();
    }
    cot_shape shape = cot_value_shape(made);
    const cot_shape wanted = cot_value_shape(w);
    if (made.graph != w.graph || cot_value_dtype(made) != cot_value_dtype(w) ||
        !coti_shape_equal(&shape, &wanted)) {
        char text[COTI_TYPE_BYTES];
        COTI_FAIL(context, COT_E_SHAPE,
                  "a constraint's function gives no value of the weight's graph, dtype and shape, "
                  "%s",
                  coti_type_text(text, cot_value_dtype(w), &wanted));
        return coti_poison();
    }
    return made;
}

cot_value coti_constraint_build(const cot_constraint *c, cot_value w) {
    cot_value norms;
    switch (c->kind) {
    case COT_NO_CONSTRAINT:
        break;
    case COT_CONSTRAINT_NON_NEG:
        return cot_op_binary(COT_OP_MAX, w, coti_number(w, 0.0));
    case COT_CONSTRAINT_MAX_NORM:
        norms = norms_of(c, w);
        return coti_mul(w, coti_div(clip(norms, 0.0, c->max_value), coti_plus(norms, EPSILON)));
    case COT_CONSTRAINT_UNIT_NORM:
        return coti_div(w, coti_plus(norms_of(c, w), EPSILON));
    case COT_CONSTRAINT_MIN_MAX_NORM:
        norms = norms_of(c, w);
        return coti_mul(
            w, coti_div(coti_add(coti_scale(clip(norms, c->min_value, c->max_value), c->rate),
                                 coti_scale(norms, 1.0 - c->rate)),
                        coti_plus(norms, EPSILON)));
    case COT_CONSTRAINT_CUSTOM:
        return custom_constraint(c, w);
    }
    return w;
}
