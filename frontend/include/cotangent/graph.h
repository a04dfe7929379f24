/*
 * Cotangent, graph: build any tensor function, differentiate it, compile it, run it on your own
 * buffers.
 *
 * A cot_graph is a list of pure nodes. Builders are sticky: a bad call records the context's first
 * error and returns a poisoned value (graph == NULL); later calls on it do nothing;
 * cot_program_create and cot_grad report the error.
 */
#ifndef COTANGENT_GRAPH_H
#define COTANGENT_GRAPH_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every operation of the tensor graph: COT_OP_ADD, COT_OP_EXP, ... The table is described in
 * ops.def itself. */
typedef enum cot_op {
#define COT_OP(id, name, n_inputs, kind, attr, grad, flags) COT_OP_##id,
#include <cotangent/ops.def>
#undef COT_OP
    COT_OP_COUNT
} cot_op;

/* "add", "exp", ...; "?" for a value that is no operation. */
COT_API const char *cot_op_name(cot_op op);

typedef struct cot_graph cot_graph;

/* A node's result. Copy it freely; it lives as long as its graph. Poisoned: graph is NULL. */
typedef struct cot_value {
    cot_graph *graph;
    uint32_t id;
} cot_value;

/* ---- graphs ---- */

/* An empty graph. name: letters, digits, '_'. NULL when memory is short. Destroy before the
 * context. */
COT_API cot_graph *cot_graph_create(cot_context *context, const char *name);
COT_API void cot_graph_destroy(cot_graph *graph);

COT_API cot_context *cot_graph_context(const cot_graph *graph);

/* dtype and shape of a value; {COT_F32, rank 0} for a poisoned one. */
COT_API cot_dtype cot_value_dtype(cot_value value);
COT_API cot_shape cot_value_shape(cot_value value);

/* Nodes made from now on carry this layer name in messages and dumps; NULL: none. The text is
 * copied. */
COT_API void cot_graph_set_layer(cot_graph *graph, const char *layer);

/*
 * Nodes made from now on belong to a region (on, a new one each time this is called), or to none.
 * Where gradients are taken, values inside a region are computed again from those that enter it,
 * when the backward part first needs one of them, instead of being kept since the forward part:
 * less memory, one more forward computation of the region. Values that leave the region are kept.
 * Gradients are the same. Mark before cot_grad what is to be recomputed: a block of layers, say.
 */
COT_API void cot_graph_set_remat(cot_graph *graph, bool on);

/* ---- leaves ---- */

/* An input that is bound by name at run time. shape.batched: its leading extent is the run's row
 * count. */
COT_API cot_value cot_op_input(cot_graph *graph, cot_dtype dtype, cot_shape shape,
                               const char *name);

/* A scalar constant; integers and booleans are converted from `value`. */
COT_API cot_value cot_op_constant(cot_graph *graph, cot_dtype dtype, double value);

/* A constant of any static shape; `data` (row-major) is copied. */
COT_API cot_value cot_op_constant_array(cot_graph *graph, cot_dtype dtype, cot_shape shape,
                                        const void *data);

/* The run's row count N, as an i64 scalar. */
COT_API cot_value cot_op_rows(cot_graph *graph);

/* 0, 1, 2, ... along `axis` of a tensor of this shape; dtype i32, i64, f32 or f64. */
COT_API cot_value cot_op_iota(cot_graph *graph, cot_dtype dtype, cot_shape shape, int32_t axis);

/* ---- state ---- */

/*
 * A reference-counted tensor that outlives graphs and programs: a parameter, an optimizer slot, a
 * counter. A graph reads it by cot_op_state and replaces it, after every read of the step, by
 * cot_graph_update. Values start at zero.
 */
typedef struct cot_variable cot_variable;

/* shape must not be batched. One reference is the caller's. NULL on error (see the context). */
COT_API cot_variable *cot_variable_create(cot_context *context, cot_dtype dtype, cot_shape shape,
                                          const char *name);
COT_API cot_variable *cot_variable_retain(cot_variable *variable);
COT_API void cot_variable_release(cot_variable *variable);
COT_API const char *cot_variable_name(const cot_variable *variable);
COT_API cot_dtype cot_variable_dtype(const cot_variable *variable);
COT_API cot_shape cot_variable_shape(const cot_variable *variable);

/* Copy row-major values in or out; `bytes` must be exactly the tensor's size. Not while a session
 * runs. */
COT_API cot_status cot_variable_set(cot_variable *variable, const void *data, size_t bytes);
COT_API cot_status cot_variable_get(const cot_variable *variable, void *data, size_t bytes);

/* The variable's value at the start of the step. One node a variable and graph. */
COT_API cot_value cot_op_state(cot_graph *graph, cot_variable *variable);

/* At the end of the step the variable behind `state` becomes `value` (equal dtype and shape). Once
 * a state. */
COT_API cot_status cot_graph_update(cot_value state, cot_value value);

/* ---- elementwise ---- */

/* y = op(x) for the unary operations of kind ELEMWISE. */
COT_API cot_value cot_op_unary(cot_op op, cot_value x);

/*
 * y = op(a, b) for the binary operations of kind ELEMWISE; operands of equal dtype are broadcast as
 * NumPy does it: aligned at the last axis, extent 1 stretches. Comparisons give bool.
 */
COT_API cot_value cot_op_binary(cot_op op, cot_value a, cot_value b);

/* condition ? a : b, elementwise, broadcast as above. condition is bool. */
COT_API cot_value cot_op_select(cot_value condition, cot_value a, cot_value b);

/* Convert. Float to integer truncates and saturates, NaN gives 0; anything to bool is x != 0. */
COT_API cot_value cot_op_cast(cot_value x, cot_dtype dtype);

/* Identity whose gradient is zero. */
COT_API cot_value cot_op_stop_gradient(cot_value x);

/* ---- views ---- */

/* Same elements in row-major order under another shape. A batched x stays batched: c*N rows of r
 * become c*r/q * N of q. */
COT_API cot_value cot_op_reshape(cot_value x, cot_shape shape);

/* Axis i of the result is axis axes[i] of x. A batched leading axis stays first. */
COT_API cot_value cot_op_permute(cot_value x, const int32_t *axes, int32_t n_axes);

/* Axis i of x becomes axis axes[i] (ascending) of a tensor of this shape; the others repeat, as do
 * extents of 1. */
COT_API cot_value cot_op_broadcast(cot_value x, cot_shape shape, const int32_t *axes,
                                   int32_t n_axes);

/* x[start : start + size*stride : stride] on every axis; a batched leading axis must be whole
 * (start 0, stride 1). */
COT_API cot_value cot_op_slice(cot_value x, const int64_t *start, const int64_t *size,
                               const int64_t *stride);

/* Surround x by low[i] and high[i] elements of `value` on axis i (none on a batched leading axis).
 */
COT_API cot_value cot_op_pad(cot_value x, const int64_t *low, const int64_t *high, double value);

/* Reverse along axes (not a batched leading one). */
COT_API cot_value cot_op_flip(cot_value x, const int32_t *axes, int32_t n_axes);

/* y = x, which passes neither remove nor merge with a barrier of another id; the gradient passes.
 * What is computed behind it is not taken for the same computation before it. */
COT_API cot_value cot_op_barrier(cot_value x, int64_t id);

/* Join along axis (not a batched leading one); the other extents are equal. n >= 1. */
COT_API cot_value cot_op_concat(const cot_value *x, int32_t n, int32_t axis);

/*
 * Sliding windows along n_axes consecutive axes from `axis` on (not a batched leading one): [..,
 * d.., ..] becomes [.., o.., size.., ..], whose element (o, k) is x's element o * stride + k *
 * dilation; each list has n_axes entries of at least 1. Only windows that fit: o runs to (d - (size
 * - 1) * dilation - 1) / stride, over nothing if that is negative.
 */
COT_API cot_value cot_op_window(cot_value x, int32_t axis, int32_t n_axes, const int64_t *size,
                                const int64_t *stride, const int64_t *dilation);

/* ---- reductions, products ---- */

/* Reduce over axes (negative counts from the end) with COT_OP_SUM, COT_OP_PROD (not over the
 * batch), COT_OP_REDUCE_MAX or COT_OP_REDUCE_MIN; keep: leave extents of 1. */
COT_API cot_value cot_op_reduce(cot_op op, cot_value x, const int32_t *axes, int32_t n_axes,
                                bool keep);

/* Mean over axes: sum / count; over a batched axis the count includes the run's row count. */
COT_API cot_value cot_op_mean(cot_value x, const int32_t *axes, int32_t n_axes, bool keep);

/* Variance over axes: mean of the squared differences from the mean (divided by the count, not less
 * 1). */
COT_API cot_value cot_op_variance(cot_value x, const int32_t *axes, int32_t n_axes, bool keep);

/*
 * Mean and variance over axes at once, as the normalisations below make them: beside a
 * cot_op_batch_norm of x, over all axes but the last, they cost nothing. Both are poisoned when
 * either cannot be made.
 */
COT_API cot_status cot_op_moments(cot_value x, const int32_t *axes, int32_t n_axes, bool keep,
                                  cot_value *mean_out, cot_value *variance_out);

/* log(sum(exp(x))) over axes, without overflow; -inf where all elements are. */
COT_API cot_value cot_op_logsumexp(cot_value x, const int32_t *axes, int32_t n_axes, bool keep);

/* Index of the first maximum along axis, i32; a NaN counts as the maximum. */
COT_API cot_value cot_op_argmax(cot_value x, int32_t axis);

/* Index of the first minimum along axis, i32; a NaN counts as the minimum. */
COT_API cot_value cot_op_argmin(cot_value x, int32_t axis);

/* Axes of a general product. Result axes: batch (as in a), the other axes of a, the other axes of
 * b. */
typedef struct cot_dot_axes {
    int32_t n_batch, n_contract;
    int32_t a_batch[COT_MAX_RANK], b_batch[COT_MAX_RANK];
    int32_t a_contract[COT_MAX_RANK], b_contract[COT_MAX_RANK];
} cot_dot_axes;

/* Sum of products over the contracted axes. f32 or f64. */
COT_API cot_value cot_op_dot(cot_value a, cot_value b, const cot_dot_axes *axes);

/* Contract a's last axis with b's last but one; leading axes of b, if any, are batch axes of both.
 */
COT_API cot_value cot_op_matmul(cot_value a, cot_value b);

/* ---- convolutions and pools: channels-last, 1 to 3 spatial axes ---- */

enum { COT_MAX_SPATIAL = 3 };

/* Entry i is of spatial axis i; those beyond x's are ignored. A zero means the default. */
typedef struct cot_conv_axes {
    int64_t stride[COT_MAX_SPATIAL];   /* of the kernel's positions; 0: 1 */
    int64_t dilation[COT_MAX_SPATIAL]; /* distance of the kernel's taps; 0: 1 */
    int64_t low[COT_MAX_SPATIAL];      /* zeros before x */
    int64_t high[COT_MAX_SPATIAL];     /* zeros behind x */
    int64_t groups;                    /* that channels are divided into; 0: 1 */
} cot_conv_axes;

/*
 * Convolution (a correlation, as in Keras) of x [batch, x.., cin] with a kernel w [k.., cin /
 * groups, cout]: [batch, o.., cout], o = (low + x + high - (k - 1) * dilation - 1) / stride + 1, or
 * 0 where the kernel does not fit. f32 or f64. groups = cin makes it depthwise: with w [k.., 1, cin
 * * m], as Keras's [k.., cin, m] reshaped.
 */
COT_API cot_value cot_op_conv(cot_value x, cot_value w, const cot_conv_axes *axes);

/* The gradient of that to x, whose spatial extents are `size`, from y's cotangent g [batch, o..,
 * cout]: [batch, size.., cin]. Also a transposed convolution of g. */
COT_API cot_value cot_op_conv_dx(cot_value g, cot_value w, const int64_t *size,
                                 const cot_conv_axes *axes);

/* And to w, whose spatial extents are `size`: [size.., cin / groups, cout]. */
COT_API cot_value cot_op_conv_dw(cot_value x, cot_value g, const int64_t *size,
                                 const cot_conv_axes *axes);

/* Entry i is of spatial axis i; those beyond x's are ignored. */
typedef struct cot_pool_axes {
    int64_t size[COT_MAX_SPATIAL];   /* of a window; at least 1 */
    int64_t stride[COT_MAX_SPATIAL]; /* of windows; 0: their size */
    int64_t low[COT_MAX_SPATIAL];    /* elements before x that a window may begin at; below size */
    int64_t high[COT_MAX_SPATIAL];   /* and behind x */
} cot_pool_axes;

/*
 * Maximum, and mean, of windows of x [batch, x.., channels]: [batch, o.., channels], o = (low + x +
 * high - size) / stride + 1, or 0 where no window fits. What is outside of x does not count. f32 or
 * f64.
 */
COT_API cot_value cot_op_max_pool(cot_value x, const cot_pool_axes *axes);
COT_API cot_value cot_op_avg_pool(cot_value x, const cot_pool_axes *axes);

/*
 * The padding that Keras and TensorFlow call "same", of one axis: it makes ceil(extent / stride)
 * positions; of an odd amount the larger part is high. For pools too, with a dilation of 1. Zeros
 * where an argument is less than 1.
 */
COT_API void cot_conv_same(int64_t extent, int64_t size, int64_t stride, int64_t dilation,
                           int64_t *low_out, int64_t *high_out);

/* ---- indexing ---- */

/* y[..., c] = (index[...] == c), in dtype; index i32 or i64. An index outside [0, depth) gives a
 * row of zeros. */
COT_API cot_value cot_op_one_hot(cot_value index, int64_t depth, cot_dtype dtype);

/*
 * Slices of x along an axis: y[b, l, i, t] = x[b, l, index[b, i], t], as tf.gather with batch_dims.
 * x [B,L,d,T], axis its d; index [B,I], i32 or i64; B their first n_batch axes, n_batch <= axis;
 * result [B,L,I,T]. An index outside [0, d) gives 0. d is not N, and N stays the leading axis: it
 * leads B; or L, if index has none; or I, if B and L are empty.
 */
COT_API cot_value cot_op_gather(cot_value x, cot_value index, int32_t axis, int32_t n_batch);

/* y[.., i, ..] = x[.., index[.., i, ..], ..] along an axis, as np.take_along_axis: x and index have
 * equal extents but for that axis, which is not N. Composed of gather. */
COT_API cot_value cot_op_take_along_axis(cot_value x, cot_value index, int32_t axis);

/*
 * The transpose of gather: zeros [B,L,extent,T], to which updates [B,L,I,T] are added, in row-major
 * order of I, where index [B,I] says; those whose index is outside [0, extent) are dropped. Floats
 * or integers.
 */
COT_API cot_value cot_op_scatter_add(cot_value updates, cot_value index, int32_t axis,
                                     int32_t n_batch, int64_t extent);

/*
 * `size` elements of x along an axis from `start` on, an i32 or i64 scalar that is brought into [0,
 * d - size] first; and x with `update` written there, start brought into [0, d - u] for an update
 * of u. The axis is not N, of neither; update has x's dtype and extents but for the axis.
 */
COT_API cot_value cot_op_dynamic_slice(cot_value x, cot_value start, int32_t axis, int64_t size);
COT_API cot_value cot_op_dynamic_update(cot_value x, cot_value update, cot_value start,
                                        int32_t axis);

/*
 * Order along the last axis, not N, of floats or integers; stable; a NaN counts as the largest
 * number. argsort: the i32 places of the elements in order; no gradient. sort: the elements. top_k:
 * the k largest, largest first, and their places; on failure both are poisoned. n^2 comparisons for
 * a row of n.
 */
COT_API cot_value cot_op_argsort(cot_value x, bool descending);
COT_API cot_value cot_op_sort(cot_value x, bool descending);
COT_API void cot_op_top_k(cot_value x, int64_t k, cot_value *values_out, cot_value *indices_out);

/* Sums of x along an axis up to each element, that one included. The axis is not N. Floats or
 * integers. */
COT_API cot_value cot_op_cumsum(cot_value x, int32_t axis);

/* ---- random ---- */

typedef enum cot_distribution { COT_UNIFORM = 0, COT_NORMAL = 1 } cot_distribution;

/*
 * Random f32 or f64 numbers: uniform in [0,1) or standard normal. Philox4x32-10 keyed by (seed,
 * stream), counted by (element, step): a pure function of these, whatever the threads. seed, step:
 * i64 scalars.
 */
COT_API cot_value cot_op_random(cot_value seed, cot_value step, cot_dtype dtype, cot_shape shape,
                                cot_distribution distribution, int64_t stream);

/* ---- loops ---- */

typedef struct cot_scan_options {
    size_t struct_size; /* sizeof(cot_scan_options) */
    int32_t n_carries, n_sequences;
    int64_t steps;            /* 0 or more; the extent of every sequence's time axis */
    bool reverse;             /* from the last step to the first */
    const cot_value *lengths; /* i32[N]: steps of each row; NULL: all rows have all */
} cot_scan_options;

/*
 * A recurrence. operands: carries, sequences, then constants, one for each input of `body` in the
 * order of making: a carry and a constant are of the input's type, a sequence has one axis more,
 * time, of extent `steps`: its first, or the second if the first is batched. The body's outputs are
 * the carries' new values, of their types, then what is stacked. results_out has room for as many
 * as the body's outputs: the carries' last values and the stacks, whose time axis is as the
 * sequences'. In reverse, stacks are written where each step is. At steps t >= lengths[row] a row's
 * carries keep their values and its stacked elements are 0: then all carries and stacks are
 * batched. N is the same in body and graph. The body is copied: it has no states and may be
 * destroyed afterwards. fails: as other builders do, with all results poisoned; COT_E_ARG too when
 * the operands are poisoned already.
 */
COT_API cot_status cot_op_scan(const cot_graph *body, const cot_value *operands, int32_t n_operands,
                               const cot_scan_options *options, cot_value *results_out);

/* ---- composites (each has a decomposition) ---- */

/* Over the last axis; f32 or f64. */
COT_API cot_value cot_op_softmax(cot_value x);
COT_API cot_value cot_op_log_softmax(cot_value x);

/* -sum_c target[...,c] * log_softmax(logits)[...,c], shape [...]. target and logits equal shape and
 * dtype. */
COT_API cot_value cot_op_softmax_cross_entropy(cot_value target, cot_value logits);

/* ---- functions with gradients of your own ---- */

/*
 * y = forward(operands..), differentiated by `backward` instead of by the rules of forward's nodes.
 *
 * forward   a graph of the same context with n inputs, of the operands' types and in their order,
 *           and one output, f32 or f64
 * backward  a graph whose inputs are of the types of forward's, then of its output (the value) and
 *           of its output again (the cotangent), and whose outputs are the cotangents of the float
 *           operands, in order; what it computes for an operand that needs none is left out
 *
 * Neither may hold states; names of inputs and outputs do not matter. Both are copied, and stay
 * yours. Derivatives of derivatives are those of backward's nodes. That backward is right nobody
 * knows but cot_gradcheck. Fails: COT_E_ARG, COT_E_SHAPE, COT_E_DTYPE, and COT_E_UNSUPPORTED where
 * such functions lie more than 8 deep inside each other.
 */
COT_API cot_value cot_op_custom(const cot_graph *forward, const cot_graph *backward,
                                const cot_value *operands, int32_t n);

/*
 * Normalisations: (x - mean) / sqrt(variance + epsilon) * scale + offset. x [...,c], f32 or f64;
 * scale and offset [c]. Mean and variance are taken over the last axis (layer_norm), over c /
 * groups channels at all positions of a row (group_norm; x [n,...,c]), or over all axes but the
 * last, the batch included (batch_norm, as in training). rms_norm has no mean and no offset, and
 * the mean of squares for the variance.
 */
COT_API cot_value cot_op_layer_norm(cot_value x, cot_value scale, cot_value offset, double epsilon);
COT_API cot_value cot_op_rms_norm(cot_value x, cot_value scale, double epsilon);
COT_API cot_value cot_op_group_norm(cot_value x, cot_value scale, cot_value offset, int64_t groups,
                                    double epsilon);
COT_API cot_value cot_op_batch_norm(cot_value x, cot_value scale, cot_value offset, double epsilon);

typedef struct cot_attention_options {
    size_t struct_size; /* sizeof(cot_attention_options) */
    double scale;       /* of the scores; 0: 1 / sqrt(d) */
    bool causal;        /* a query sees the keys up to its own position */
} cot_attention_options;

/*
 * softmax(scale * q k^T) v over the keys that a query may see. q [...,tq,d], k [...,tk,d], v
 * [...,tk,dv], f32 or f64, with equal leading axes (rows, heads); y [...,tq,dv]. mask: bool, true
 * where a query may see a key, broadcast to [...,tq,tk]; or a poisoned value ((cot_value){NULL, 0})
 * for none. A query that may see no key takes the mean of v. options may be NULL.
 */
COT_API cot_value cot_op_attention(cot_value q, cot_value k, cot_value v, cot_value mask,
                                   const cot_attention_options *options);

/* ---- results and gradients ---- */

/* Return `value` from the graph under this name (unique in the graph). */
COT_API cot_status cot_graph_output(cot_value value, const char *name);

/*
 * Append the gradient of a float scalar (rank 0) with respect to each of n values of the same
 * graph, by reverse mode. grads_out[i] has wrt[i]'s dtype and shape; zeros where y does not depend
 * on it. fails: COT_E_NOGRAD if a path goes through an operation without gradient, COT_E_SHAPE if y
 * is no scalar, COT_E_DTYPE if y or a wrt is no float; every grads_out[i] is then poisoned.
 */
COT_API cot_status cot_grad(cot_value y, const cot_value *wrt, int32_t n, cot_value *grads_out);

/* Vector-Jacobian product: as cot_grad, for a y of any shape and a cotangent of y's dtype and
 * shape. */
COT_API cot_status cot_vjp(cot_value y, cot_value cotangent, const cot_value *wrt, int32_t n,
                           cot_value *grads_out);

/*
 * Jacobian-vector product: out[i], of y[i]'s dtype and shape, is how y[i] moves when every wrt[j]
 * moves along tangent[j] (of wrt[j]'s dtype and shape; a constant here, whatever it depends on).
 * Zeros where y[i] does not depend on a wrt. Made of two reverse passes, so it costs about three
 * times y, and what cot_grad refuses it refuses.
 */
COT_API cot_status cot_jvp(const cot_value *y, int32_t n_y, const cot_value *wrt,
                           const cot_value *tangent, int32_t n, cot_value *out);

/*
 * Hessian-vector product of a float scalar: out[i], of wrt[i]'s dtype and shape, is the derivative
 * of y's gradient with respect to wrt[i] along all vectors (each of its wrt's dtype and shape, and
 * a constant). Costs about four times y. Fails as cot_grad.
 */
COT_API cot_status cot_hvp(cot_value y, const cot_value *wrt, const cot_value *vector, int32_t n,
                           cot_value *out);

/* Elements that the y of a Jacobian may have. */
enum { COT_MAX_JACOBIAN_ROWS = 1024 };

/*
 * The Jacobian of y with respect to x, [y's shape.., x's shape..], of x's dtype: out[i.., j..] is
 * the derivative of y[i..] with respect to x[j..]. Neither may be batched, together they have at
 * most COT_MAX_RANK axes. A backward pass for each element of y, in the graph and at run time: for
 * small y; COT_E_UNSUPPORTED beyond COT_MAX_JACOBIAN_ROWS. Fails as cot_vjp otherwise.
 */
COT_API cot_status cot_jacobian(cot_value y, cot_value x, cot_value *out);

/* ---- text ---- */

/* Write the text form, which cot_graph_parse reads back to an equal graph. */
COT_API cot_status cot_graph_print(const cot_graph *graph, cot_write_fn write, void *user);

/* Parse one graph. States become new variables (zero), owned by the graph. NULL on error, with line
 * and column. */
COT_API cot_graph *cot_graph_parse(cot_context *context, const char *text, size_t bytes);

/* The variable behind a state, by its name in the text; NULL if there is none. Borrowed. */
COT_API cot_variable *cot_graph_find_variable(const cot_graph *graph, const char *name);

/* ---- looking at a graph ---- */

/* Inputs, outputs and states in order of making; a poisoned value, or NULL, when there is none. */
COT_API int32_t cot_graph_n_inputs(const cot_graph *graph);
COT_API cot_value cot_graph_input_at(const cot_graph *graph, int32_t i);
COT_API const char *cot_graph_input_name(const cot_graph *graph, int32_t i);
COT_API int32_t cot_graph_n_outputs(const cot_graph *graph);
COT_API cot_value cot_graph_output_at(const cot_graph *graph, int32_t i);
COT_API const char *cot_graph_output_name(const cot_graph *graph, int32_t i);
COT_API int32_t cot_graph_n_states(const cot_graph *graph);
COT_API cot_value cot_graph_state_at(const cot_graph *graph, int32_t i);
/* The variable behind the i-th state. Borrowed. */
COT_API cot_variable *cot_graph_state_variable(const cot_graph *graph, int32_t i);
/* Has cot_grad or cot_vjp appended to it? */
COT_API bool cot_graph_has_backward(const cot_graph *graph);

/* ---- arrays ---- */

/*
 * A borrowed view of the caller's data. An input of dtype T takes T; an f32 input also takes u8 (x
 * * scale + offset), an i32 input also u8 and i64. Rows need not be adjacent: row r starts at data
 * + r * row_bytes.
 */
typedef struct cot_array {
    const void *data;
    cot_dtype dtype;
    int64_t n_rows;       /* of a batched input; 1 otherwise */
    int64_t row_elements; /* elements in a row (of the whole tensor, when not batched) */
    int64_t row_bytes;    /* distance of rows; 0: adjacent */
    float scale;          /* u8 to f32 only; 0: 1 */
    float offset;         /* u8 to f32 only */
} cot_array;

/* ---- programs and sessions ---- */

/*
 * A compiled graph: immutable, keeps nothing of the graph but its variables, may be shared by
 * threads that each have a session of their own. Of sessions whose programs update a variable only
 * one may run at a time.
 */
typedef struct cot_program cot_program;
typedef struct cot_session cot_session;

typedef struct cot_program_options {
    size_t struct_size; /* sizeof(cot_program_options) */
    int64_t max_rows;   /* largest row count that a run may have; 0: 128 */
    /*
     * Most bytes of a session's memory (cot_program_info.memory_bytes); 0: any. Where the plan
     * needs more, weight gradients are made sooner, in more and smaller phases. COT_E_BUDGET: that
     * does not do; the text names the largest values that are alive at the peak. What is computed
     * stays the same: to have values computed again, mark regions (cot_graph_set_remat) before
     * cot_grad.
     */
    int64_t memory_budget;
} cot_program_options;

/* options may be NULL. The graph is not changed and may be destroyed afterwards. NULL on error. */
COT_API cot_program *cot_program_create(const cot_graph *graph, const cot_program_options *options);
COT_API void cot_program_destroy(cot_program *program);

/* Facts of a compiled program. */
typedef struct cot_program_info {
    int64_t n_phases;          /* that threads share; smaller ones run on one of them */
    int64_t n_calls;           /* kernel calls of a step, each over its chunks */
    int64_t n_kernels;         /* distinct kernels that the program uses */
    int64_t n_compiled;        /* of those, compiled for this program (others were there already) */
    int64_t arena_bytes;       /* planned memory of a session, without scratch and variables */
    int64_t arena_bound_bytes; /* the liveness bound on arena_bytes */
    int64_t scratch_bytes;     /* per thread */
    double compile_seconds;    /* all of cot_program_create */
    int64_t n_cached;          /* of n_kernels, found in the object cache */
    int64_t cache_read_bytes;  /* of its files that were found */
    int64_t cache_written_bytes; /* of those that were added */
    int64_t memory_bytes;        /* of a session: its arena, and the scratch of all its threads */
    double flops; /* of a step at the largest row count, as the plan estimates them: a function such
                     as exp counts 20 */
} cot_program_info;
COT_API cot_program_info cot_program_get_info(const cot_program *program);

/* Kernels that the context has compiled so far, those from the object cache not among them: it
 * stands still when nothing needs compiling. */
COT_API int64_t cot_context_kernels_compiled(const cot_context *context);

/*
 * Memory to run a program in: its arena and its threads' scratch, taken here; a run takes none. Use
 * by one thread at a time. NULL on error, reported by the program's context, which this call uses.
 */
COT_API cot_session *cot_session_create(const cot_program *program);
COT_API void cot_session_destroy(cot_session *session);

/* Bind an input's data; it is read in the runs that follow, not here. COT_E_ARG: no such input;
 * E_SHAPE, E_DTYPE. */
COT_API cot_status cot_session_bind(cot_session *session, const char *input,
                                    const cot_array *array);

/* Where an output goes: row-major, of the output's dtype, `bytes` long: max_rows rows, or the rows
 * that a run has. */
COT_API cot_status cot_session_bind_output(cot_session *session, const char *output, void *data,
                                           size_t bytes);

/*
 * Run once on `rows` rows (1 when nothing is batched): inputs' rows 0..rows-1, outputs to where
 * they are bound (an output that is not bound is not written anywhere visible). Updates its
 * variables.
 */
COT_API cot_status cot_session_run(cot_session *session, int64_t rows);

/* The session's own last error message; "" when there is none. */
COT_API const char *cot_session_message(const cot_session *session);

#ifdef __cplusplus
}
#endif
#endif
