/*
 * From a trial to the node of its op, by the public builders.
 */
#include "op_case.h"

#include "custom_function.h"
#include "graph/graph.h"
#include "scan_case.h"

static void to_axes(const char *attr, const char *key, int32_t axes[COT_MAX_RANK], int32_t *n_out) {
    int64_t v[COT_MAX_RANK];
    attr_ints(attr, key, v, n_out);
    for (int32_t i = 0; i < *n_out; i++) {
        axes[i] = (int32_t)v[i];
    }
}

/* ---- leaves ---- */

static cot_value build_input(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)graph, (void)t, (void)data;
    return x[0];
}

static cot_value build_state(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)x;
    pool p = {NULL};
    cot_context *context = cot_graph_context(graph);
    cot_variable *variable = cot_variable_create(context, t->dtype, data->shape, "variable");
    size_t bytes = (size_t)data->count * cot_dtype_bytes(t->dtype);
    cot_value value = coti_poison();
    if (variable != NULL && cot_variable_set(variable, tensor_bytes(&p, data), bytes) == COT_OK) {
        value = cot_op_state(graph, variable);
    }
    cot_variable_release(variable); /* the graph holds its own reference */
    pool_empty(&p);
    return value;
}

static cot_value build_const(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)x;
    pool p = {NULL};
    cot_value value = cot_op_constant_array(graph, t->dtype, data->shape, tensor_bytes(&p, data));
    pool_empty(&p);
    return value;
}

static cot_value build_rows(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    (void)t, (void)x, (void)data;
    return cot_op_rows(graph);
}

static cot_value build_iota(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    (void)x, (void)data;
    int32_t axis = (int32_t)attr_int(t->attr, "axis", 0);
    return cot_op_iota(graph, t->dtype, t->result, axis < 0 ? axis + t->result.rank : axis);
}

/* ---- elementwise ---- */

static cot_value build_unary(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)graph, (void)data;
    return cot_op_unary(t->op, x[0]);
}

static cot_value build_binary(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)data;
    return cot_op_binary(t->op, x[0], x[1]);
}

static cot_value build_stop_gradient(cot_graph *graph, const trial *t, const cot_value *x,
                                     const tensor *data) {
    (void)graph, (void)t, (void)data;
    return cot_op_stop_gradient(x[0]);
}

static cot_value build_select(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)t, (void)data;
    return cot_op_select(x[0], x[1], x[2]);
}

static cot_value build_cast(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    (void)graph, (void)data;
    return cot_op_cast(x[0], attr_dtype(t->attr, "to", COT_F32));
}

/* ---- views ---- */

static cot_value build_reshape(cot_graph *graph, const trial *t, const cot_value *x,
                               const tensor *data) {
    (void)graph, (void)data;
    return cot_op_reshape(x[0], t->result);
}

/* PERMUTE, BROADCAST, FLIP: views by axes. */
static cot_value build_axes_view(cot_graph *graph, const trial *t, const cot_value *x,
                                 const tensor *data) {
    (void)graph, (void)data;
    int32_t axes[COT_MAX_RANK], n = 0;
    to_axes(t->attr, "axes", axes, &n);
    if (t->op == COT_OP_BROADCAST) {
        return cot_op_broadcast(x[0], t->result, axes, n);
    }
    return t->op == COT_OP_PERMUTE ? cot_op_permute(x[0], axes, n) : cot_op_flip(x[0], axes, n);
}

static cot_value build_slice(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)graph, (void)data;
    int64_t start[COT_MAX_RANK], size[COT_MAX_RANK], stride[COT_MAX_RANK];
    int32_t n = 0;
    attr_ints(t->attr, "start", start, &n);
    attr_ints(t->attr, "size", size, &n);
    attr_ints(t->attr, "stride", stride, &n);
    return cot_op_slice(x[0], start, size, stride);
}

static cot_value build_pad(cot_graph *graph, const trial *t, const cot_value *x,
                           const tensor *data) {
    (void)graph, (void)data;
    int64_t low[COT_MAX_RANK], high[COT_MAX_RANK];
    int32_t n = 0;
    attr_ints(t->attr, "low", low, &n);
    attr_ints(t->attr, "high", high, &n);
    return cot_op_pad(x[0], low, high, attr_real(t->attr, "value", 0));
}

static cot_value build_barrier(cot_graph *graph, const trial *t, const cot_value *x,
                               const tensor *data) {
    (void)graph, (void)t, (void)data;
    return cot_op_barrier(x[0], 7);
}

static cot_value build_concat(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)data;
    return cot_op_concat(x, t->n, (int32_t)attr_int(t->attr, "axis", 0));
}

static cot_value build_window(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)data;
    int64_t size[COT_MAX_RANK], stride[COT_MAX_RANK], dilation[COT_MAX_RANK];
    int32_t n = 0;
    attr_ints(t->attr, "stride", stride, &n);
    attr_ints(t->attr, "dilation", dilation, &n);
    attr_ints(t->attr, "size", size, &n);
    int32_t axis = (int32_t)attr_int(t->attr, "axis", 0);
    return cot_op_window(x[0], axis, n, size, stride, dilation);
}

/* ---- reductions, products, the rest ---- */

static cot_value build_reduce(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)data;
    int32_t axes[COT_MAX_RANK], n = 0;
    to_axes(t->attr, "axes", axes, &n);
    return cot_op_reduce(t->op, x[0], axes, n, false);
}

static cot_value build_place(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)graph, (void)data;
    int32_t axis = (int32_t)attr_int(t->attr, "axis", 0);
    return t->op == COT_OP_ARGMAX ? cot_op_argmax(x[0], axis) : cot_op_argmin(x[0], axis);
}

static cot_value build_dot(cot_graph *graph, const trial *t, const cot_value *x,
                           const tensor *data) {
    (void)graph, (void)data;
    cot_dot_axes axes = {.n_batch = 0};
    to_axes(t->attr, "ab", axes.a_batch, &axes.n_batch);
    to_axes(t->attr, "bb", axes.b_batch, &axes.n_batch);
    to_axes(t->attr, "ac", axes.a_contract, &axes.n_contract);
    to_axes(t->attr, "bc", axes.b_contract, &axes.n_contract);
    return cot_op_dot(x[0], x[1], &axes);
}

static cot_value build_gather(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)data;
    return cot_op_gather(x[0], x[1], (int32_t)attr_int(t->attr, "axis", 0),
                         (int32_t)attr_int(t->attr, "nb", 0));
}

static cot_value build_scatter_add(cot_graph *graph, const trial *t, const cot_value *x,
                                   const tensor *data) {
    (void)graph, (void)data;
    return cot_op_scatter_add(x[0], x[1], (int32_t)attr_int(t->attr, "axis", 0),
                              (int32_t)attr_int(t->attr, "nb", 0), attr_int(t->attr, "extent", 0));
}

/* Integers of spatial axes; those that are not given stay as they are. */
static void attr_spatial(const char *attr, const char *key, int64_t v[COT_MAX_SPATIAL]) {
    int64_t list[COT_MAX_RANK];
    int32_t n = 0;
    attr_ints(attr, key, list, &n);
    for (int32_t i = 0; i < n && i < COT_MAX_SPATIAL; i++) {
        v[i] = list[i];
    }
}

static cot_value build_conv(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    (void)graph, (void)data;
    int64_t size[COT_MAX_RANK] = {0};
    int32_t n = 0;
    cot_conv_axes axes = {.groups = attr_int(t->attr, "groups", 1)};
    attr_spatial(t->attr, "stride", axes.stride);
    attr_spatial(t->attr, "dilation", axes.dilation);
    attr_spatial(t->attr, "low", axes.low);
    attr_spatial(t->attr, "high", axes.high);
    attr_ints(t->attr, "size", size, &n);
    if (t->op == COT_OP_CONV) {
        return cot_op_conv(x[0], x[1], &axes);
    }
    return t->op == COT_OP_CONV_DX ? cot_op_conv_dx(x[0], x[1], size, &axes)
                                   : cot_op_conv_dw(x[0], x[1], size, &axes);
}

static cot_value build_pool(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    (void)graph, (void)data;
    cot_pool_axes axes = {.size = {0}};
    attr_spatial(t->attr, "size", axes.size);
    attr_spatial(t->attr, "stride", axes.stride);
    attr_spatial(t->attr, "low", axes.low);
    attr_spatial(t->attr, "high", axes.high);
    return t->op == COT_OP_MAX_POOL ? cot_op_max_pool(x[0], &axes) : cot_op_avg_pool(x[0], &axes);
}

static cot_value build_dynamic(cot_graph *graph, const trial *t, const cot_value *x,
                               const tensor *data) {
    (void)graph, (void)data;
    int32_t axis = (int32_t)attr_int(t->attr, "axis", 0);
    return t->op == COT_OP_DYNAMIC_SLICE
               ? cot_op_dynamic_slice(x[0], x[1], axis, attr_int(t->attr, "size", 0))
               : cot_op_dynamic_update(x[0], x[1], x[2], axis);
}

static cot_value build_order(cot_graph *graph, const trial *t, const cot_value *x,
                             const tensor *data) {
    (void)graph, (void)data;
    return t->op == COT_OP_ARGSORT ? cot_op_argsort(x[0], attr_int(t->attr, "descending", 0) != 0)
                                   : cot_op_cumsum(x[0], (int32_t)attr_int(t->attr, "axis", 0));
}

static cot_value build_one_hot(cot_graph *graph, const trial *t, const cot_value *x,
                               const tensor *data) {
    (void)graph, (void)data;
    int64_t depth = attr_int(t->attr, "depth", 0);
    return cot_op_one_hot(x[0], depth, attr_dtype(t->attr, "to", COT_F32));
}

static cot_value build_random(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)data;
    cot_distribution distribution = attr_is(t->attr, "dist", "normal") ? COT_NORMAL : COT_UNIFORM;
    return cot_op_random(x[0], x[1], t->dtype, t->result, distribution,
                         attr_int(t->attr, "stream", 0));
}

static cot_value build_scan(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    static const char *const bodies[] = {"delay", "sum", "affine"};
    const bool reverse = attr_int(t->attr, "reverse", 0) != 0;
    const int32_t result = (int32_t)attr_int(t->attr, "result", 0);
    (void)graph, (void)data;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        if (attr_is(t->attr, "body", bodies[i])) {
            return scan_case_result(bodies[i], x, reverse, result);
        }
    }
    return coti_poison();
}

static cot_value build_composite(cot_graph *graph, const trial *t, const cot_value *x,
                                 const tensor *data) {
    (void)graph, (void)data;
    if (t->op == COT_OP_SOFTMAX_XENT) {
        return cot_op_softmax_cross_entropy(x[0], x[1]);
    }
    return t->op == COT_OP_SOFTMAX ? cot_op_softmax(x[0]) : cot_op_log_softmax(x[0]);
}

static cot_value build_custom(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data) {
    (void)graph, (void)t, (void)data;
    return custom_product(x[0], x[1]);
}

static cot_value build_norm(cot_graph *graph, const trial *t, const cot_value *x,
                            const tensor *data) {
    (void)graph, (void)data;
    double epsilon = attr_real(t->attr, "epsilon", 0);
    if (t->op == COT_OP_RMS_NORM) {
        return cot_op_rms_norm(x[0], x[1], epsilon);
    }
    if (t->op == COT_OP_GROUP_NORM) {
        return cot_op_group_norm(x[0], x[1], x[2], attr_int(t->attr, "groups", 1), epsilon);
    }
    return t->op == COT_OP_LAYER_NORM ? cot_op_layer_norm(x[0], x[1], x[2], epsilon)
                                      : cot_op_batch_norm(x[0], x[1], x[2], epsilon);
}

static cot_value build_attention(cot_graph *graph, const trial *t, const cot_value *x,
                                 const tensor *data) {
    (void)graph, (void)data;
    cot_attention_options options = {.struct_size = sizeof options,
                                     .scale = attr_real(t->attr, "scale", 0),
                                     .causal = attr_int(t->attr, "causal", 0) != 0};
    return cot_op_attention(x[0], x[1], x[2], t->n == 4 ? x[3] : (cot_value){NULL, 0}, &options);
}

typedef cot_value (*build_fn)(cot_graph *graph, const trial *t, const cot_value *x,
                              const tensor *data);

static const build_fn build_table[COT_OP_COUNT] = {
    [COT_OP_INPUT] = build_input,
    [COT_OP_STATE] = build_state,
    [COT_OP_CONST] = build_const,
    [COT_OP_ROWS] = build_rows,
    [COT_OP_IOTA] = build_iota,
    [COT_OP_STOP_GRADIENT] = build_stop_gradient,
    [COT_OP_SELECT] = build_select,
    [COT_OP_CAST] = build_cast,
    [COT_OP_RESHAPE] = build_reshape,
    [COT_OP_PERMUTE] = build_axes_view,
    [COT_OP_BROADCAST] = build_axes_view,
    [COT_OP_SLICE] = build_slice,
    [COT_OP_PAD] = build_pad,
    [COT_OP_FLIP] = build_axes_view,
    [COT_OP_BARRIER] = build_barrier,
    [COT_OP_CONCAT] = build_concat,
    [COT_OP_WINDOW] = build_window,
    [COT_OP_SUM] = build_reduce,
    [COT_OP_REDUCE_MAX] = build_reduce,
    [COT_OP_ARGMAX] = build_place,
    [COT_OP_REDUCE_MIN] = build_reduce,
    [COT_OP_ARGMIN] = build_place,
    [COT_OP_PROD] = build_reduce,
    [COT_OP_DOT] = build_dot,
    [COT_OP_CONV] = build_conv,
    [COT_OP_CONV_DX] = build_conv,
    [COT_OP_CONV_DW] = build_conv,
    [COT_OP_MAX_POOL] = build_pool,
    [COT_OP_AVG_POOL] = build_pool,
    [COT_OP_ONE_HOT] = build_one_hot,
    [COT_OP_GATHER] = build_gather,
    [COT_OP_SCATTER_ADD] = build_scatter_add,
    [COT_OP_DYNAMIC_SLICE] = build_dynamic,
    [COT_OP_DYNAMIC_UPDATE] = build_dynamic,
    [COT_OP_ARGSORT] = build_order,
    [COT_OP_CUMSUM] = build_order,
    [COT_OP_RANDOM] = build_random,
    [COT_OP_SCAN] = build_scan,
    [COT_OP_SOFTMAX] = build_composite,
    [COT_OP_LOG_SOFTMAX] = build_composite,
    [COT_OP_SOFTMAX_XENT] = build_composite,
    [COT_OP_CUSTOM] = build_custom,
    [COT_OP_LAYER_NORM] = build_norm,
    [COT_OP_RMS_NORM] = build_norm,
    [COT_OP_GROUP_NORM] = build_norm,
    [COT_OP_BATCH_NORM] = build_norm,
    [COT_OP_ATTENTION] = build_attention,
};

bool takes_inputs(cot_op op) {
    return op != COT_OP_STATE && op != COT_OP_CONST;
}

/* Every op that is not in the table is an elementwise one, whose builder takes the op. */
cot_value build_op(cot_graph *graph, const trial *t, const cot_value *x, const tensor *data) {
    build_fn build = build_table[t->op];
    if (build == NULL) {
        build = t->n == 1 ? build_unary : build_binary;
    }
    return build(graph, t, x, data);
}
