/*
 * Builders of statistics and of the composites that normalise by them.
 */
#include "build.h"
#include "norm.h"

/* ---- statistics ---- */

/* Extents of 1 for the axes that x has lost. */
static cot_value with_axes(cot_value y, cot_value x, const coti_attr_AXES_type *axes) {
    cot_shape shape = cot_value_shape(x);
    for (int32_t i = 0; i < axes->n; i++) {
        shape.batched = shape.batched && axes->v[i] != 0;
        shape.dim[axes->v[i]] = 1;
    }
    return axes->n > 0 ? cot_op_reshape(y, shape) : y;
}

/* Is x a float with these axes? Takes the list in ascending order. Records what is wrong. */
static bool take_axes(const char *name, cot_value x, const int32_t *axes, int32_t n_axes,
                      coti_attr_AXES_type *out) {
    /* The mean says what is wrong with dtype and axes; its node is one of those to come. */
    return coti_graph_of(name, &x, 1) != NULL &&
           cot_op_mean(x, axes, n_axes, false).graph != NULL &&
           coti_build_axes(COT_OP_SUM, x, axes, n_axes, true, out);
}

cot_status cot_op_moments(cot_value x, const int32_t *axes, int32_t n_axes, bool keep,
                          cot_value *mean_out, cot_value *variance_out) {
    coti_attr_AXES_type sorted = {0};
    coti_moments moments = {coti_poison(), coti_poison(), coti_poison()};
    if (take_axes("moments", x, axes, n_axes, &sorted)) {
        moments = coti_make_moments(x, sorted.v, sorted.n);
    }
    if (keep && moments.variance.graph != NULL) {
        moments.mean = with_axes(moments.mean, x, &sorted);
        moments.variance = with_axes(moments.variance, x, &sorted);
    }
    /* What else was made is as good as they are: an error in any of it is an error. */
    bool made = moments.mean.graph != NULL && moments.variance.graph != NULL &&
                moments.centred.graph != NULL;
    *mean_out = made ? moments.mean : coti_poison();
    *variance_out = made ? moments.variance : coti_poison();
    if (made) {
        return COT_OK;
    }
    return x.graph != NULL ? cot_error_get(x.graph->context).status : COT_E_ARG;
}

cot_value cot_op_variance(cot_value x, const int32_t *axes, int32_t n_axes, bool keep) {
    cot_value mean;
    cot_value variance;
    (void)cot_op_moments(x, axes, n_axes, keep, &mean, &variance); /* poison says it as well */
    return variance;
}

/*
 * m + log(sum(exp(x - m))), m the maximum where that is finite, else 0: an infinite one comes out
 * of the sum. m counts as a constant in gradients: it changes nothing, so its own would be 0.
 */
cot_value cot_op_logsumexp(cot_value x, const int32_t *axes, int32_t n_axes, bool keep) {
    coti_attr_AXES_type sorted = {0};
    if (!take_axes("logsumexp", x, axes, n_axes, &sorted)) {
        return coti_poison();
    }
    const cot_shape shape = cot_value_shape(x);
    cot_value zero = cot_op_constant(x.graph, cot_value_dtype(x), 0);
    cot_value max = cot_op_reduce(COT_OP_REDUCE_MAX, x, sorted.v, sorted.n, false);
    cot_value is_finite = cot_op_binary(COT_OP_EQ, cot_op_binary(COT_OP_SUB, max, max), zero);
    cot_value m = cot_op_stop_gradient(cot_op_select(is_finite, max, zero));
    cot_value shifted = cot_op_binary(COT_OP_SUB, x, coti_spread(m, &shape, sorted.v, sorted.n));
    cot_value sum =
        cot_op_reduce(COT_OP_SUM, cot_op_unary(COT_OP_EXP, shifted), sorted.v, sorted.n, false);
    cot_value y = cot_op_binary(COT_OP_ADD, cot_op_unary(COT_OP_LOG, sum), m);
    return keep && y.graph != NULL ? with_axes(y, x, &sorted) : y;
}

/* ---- normalisations ---- */

static cot_value add_norm(cot_op op, const cot_value *input, int32_t n, const void *attr) {
    cot_graph *graph = coti_graph_of(cot_op_name(op), input, n);
    return coti_graph_add(graph, op, input, n, attr, COT_F32, NULL);
}

cot_value cot_op_layer_norm(cot_value x, cot_value scale, cot_value offset, double epsilon) {
    const cot_value input[3] = {x, scale, offset};
    return add_norm(COT_OP_LAYER_NORM, input, 3, &(coti_attr_EPSILON){.epsilon = epsilon});
}

cot_value cot_op_rms_norm(cot_value x, cot_value scale, double epsilon) {
    const cot_value input[2] = {x, scale};
    return add_norm(COT_OP_RMS_NORM, input, 2, &(coti_attr_EPSILON){.epsilon = epsilon});
}

cot_value cot_op_group_norm(cot_value x, cot_value scale, cot_value offset, int64_t groups,
                            double epsilon) {
    const cot_value input[3] = {x, scale, offset};
    return add_norm(COT_OP_GROUP_NORM, input, 3,
                    &(coti_attr_GROUPS){.groups = groups, .epsilon = epsilon});
}

cot_value cot_op_batch_norm(cot_value x, cot_value scale, cot_value offset, double epsilon) {
    const cot_value input[3] = {x, scale, offset};
    return add_norm(COT_OP_BATCH_NORM, input, 3, &(coti_attr_EPSILON){.epsilon = epsilon});
}
