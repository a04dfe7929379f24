/*
 * Cotangent, layers: inputs, layers and the tensors between them.
 *
 * A cot_tensor is the result of calling a layer; it holds no numbers. Layers and tensors are owned
 * by their context and live as long as it does. Builders are sticky: a bad call records the
 * context's first error and returns a poisoned tensor (id 0); later calls on it do nothing;
 * cot_model_create reports the error. A tensor of another context poisons the result.
 *
 * The forms with option macros are for C: `cot_dense(x, 512, .activation = COT_RELU)`. C++ and
 * bindings fill the option struct from its _INIT and call the `_with` function. A zero field is the
 * default. Use a context, and all that hangs on it, from one thread at a time.
 */
#ifndef COTANGENT_LAYERS_H
#define COTANGENT_LAYERS_H

#include "base.h"
#include "weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A layer: what may be called, once or more often, and owns weights. */
typedef struct cot_layer cot_layer;

/* One result of one call of a layer. Copy it freely. Poisoned: id is 0. */
typedef struct cot_tensor {
    cot_context *context;
    uint32_t id;
} cot_tensor;

/* n tensors, borrowed for the time of the call. */
typedef struct cot_tensor_list {
    const cot_tensor *tensor;
    int32_t n;
} cot_tensor_list;

/* The tensors that are named, as a list: COT_TENSORS(a, b). C only. */
#define COT_TENSORS(...)                                                                           \
    ((cot_tensor_list){(const cot_tensor[]){__VA_ARGS__},                                          \
                       (int32_t)(sizeof((const cot_tensor[]){__VA_ARGS__}) / sizeof(cot_tensor))})

/* dtype and shape of a tensor (the shape is batched); {COT_F32, rank 0} for a poisoned one. */
COT_API cot_dtype cot_tensor_dtype(cot_tensor tensor);
COT_API cot_shape cot_tensor_shape(cot_tensor tensor);

/* The layer that made a tensor; NULL for a poisoned one. Call it again to share its weights. */
COT_API cot_layer *cot_tensor_layer(cot_tensor tensor);

/* ---- activations ---- */

/*
 * X(constant, name, formula). Names and formulas are Keras's; softmax, log_softmax and sparsemax
 * are over the last axis. Gradients at kinks: relu, relu6, hard_sigmoid, hard_silu, sparse_plus,
 * sparse_sigmoid, soft_shrink and hard_shrink 0 on the border of their flat part, hard_tanh 1,
 * leaky_relu its slope at 0, elu and celu 1, selu 1.0507. cot_activation takes the numbers that
 * others than these formulas have; glu, which halves the last axis, is there alone.
 */
#define COT_ACTIVATION_LIST(X)                                                                     \
    X(COT_LINEAR, "linear", "x")                                                                   \
    X(COT_RELU, "relu", "max(x, 0)")                                                               \
    X(COT_SIGMOID, "sigmoid", "1 / (1 + exp(-x))")                                                 \
    X(COT_TANH, "tanh", "tanh(x)")                                                                 \
    X(COT_GELU, "gelu", "x/2 * (1 + erf(x / sqrt(2)))")                                            \
    X(COT_GELU_TANH, "gelu_tanh", "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))")           \
    X(COT_SOFTMAX, "softmax", "exp(x) / sum(exp(x))")                                              \
    X(COT_RELU6, "relu6", "min(max(x, 0), 6)")                                                     \
    X(COT_LEAKY_RELU, "leaky_relu", "x > 0 ? x : x/5")                                             \
    X(COT_ELU, "elu", "x > 0 ? x : exp(x) - 1")                                                    \
    X(COT_SELU, "selu", "1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (exp(x) - 1))")    \
    X(COT_CELU, "celu", "max(x, 0) + min(exp(x) - 1, 0)")                                          \
    X(COT_SOFTPLUS, "softplus", "log(1 + exp(x))")                                                 \
    X(COT_SOFTSIGN, "softsign", "x / (1 + |x|)")                                                   \
    X(COT_SILU, "silu", "x * sigmoid(x), also called swish")                                       \
    X(COT_MISH, "mish", "x * tanh(softplus(x))")                                                   \
    X(COT_HARD_SIGMOID, "hard_sigmoid", "relu6(x + 3) / 6")                                        \
    X(COT_HARD_SILU, "hard_silu", "x * hard_sigmoid(x), also called hard_swish")                   \
    X(COT_HARD_TANH, "hard_tanh", "x within [-1, 1]")                                              \
    X(COT_EXPONENTIAL, "exponential", "exp(x)")                                                    \
    X(COT_LOG_SIGMOID, "log_sigmoid", "log(sigmoid(x))")                                           \
    X(COT_LOG_SOFTMAX, "log_softmax", "x - log(sum(exp(x)))")                                      \
    X(COT_SQUAREPLUS, "squareplus", "(x + sqrt(x^2 + 4)) / 2")                                     \
    X(COT_SOFT_SHRINK, "soft_shrink", "x moved by 1/2 towards 0, 0 where |x| <= 1/2")              \
    X(COT_HARD_SHRINK, "hard_shrink", "|x| > 1/2 ? x : 0")                                         \
    X(COT_TANH_SHRINK, "tanh_shrink", "x - tanh(x)")                                               \
    X(COT_SPARSE_PLUS, "sparse_plus", "x <= -1 ? 0 : x < 1 ? (x + 1)^2 / 4 : x")                   \
    X(COT_SPARSE_SIGMOID, "sparse_sigmoid", "(x + 1) / 2 within [0, 1]")                           \
    X(COT_SPARSEMAX, "sparsemax", "the nearest point to x whose elements are >= 0 and sum to 1")   \
    X(COT_THRESHOLD, "threshold", "x > 0 ? x : 0")                                                 \
    X(COT_GLU, "glu", "a * sigmoid(b), of the halves a, b of the last axis")

typedef enum cot_activation_kind {
#define COT_ACTIVATION_ENUM(constant, name, formula) constant,
    COT_ACTIVATION_LIST(COT_ACTIVATION_ENUM)
#undef COT_ACTIVATION_ENUM
} cot_activation_kind;

/* "relu" ...; "?" for a value that is no activation. */
COT_API const char *cot_activation_name(cot_activation_kind activation);

/* ---- input ---- */

/*
 * A model's input. shape is that of one row, without the batch: COT_SHAPE(784); rank 0 to 7. dtype
 * f32 or f64 (u8 data feeds an f32 input). name: letters, digits and '_', first no digit; NULL:
 * "input_layer", "input_layer_1", ...
 */
COT_API cot_tensor cot_input(cot_context *context, cot_dtype dtype, cot_shape shape,
                             const char *name);

/* ---- dense ---- */

/* y[..., j] = activation(sum_i x[..., i] * kernel[i, j] + bias[j]). Weights: kernel, bias. */
typedef struct cot_dense_options {
    size_t struct_size;
    int64_t units;                                                /* at least 1; required */
    cot_activation_kind activation;                               /* default: linear */
    cot_switch use_bias;                                          /* default: on */
    cot_initializer kernel_initializer;                           /* default: glorot_uniform */
    cot_initializer bias_initializer;                             /* default: zeros */
    const cot_initializer_options *kernel_numbers, *bias_numbers; /* NULL: defaults */
    const cot_regularizer *kernel_regularizer, *bias_regularizer; /* NULL: none */
    const cot_regularizer *activity_regularizer;                  /* of the output; NULL: none */
    const cot_constraint *kernel_constraint, *bias_constraint;    /* NULL: none */
    cot_switch trainable; /* off: fit leaves the weights as they are (default: on) */
    const char *name;     /* default: "dense", "dense_1", ... */
} cot_dense_options;
#define COT_DENSE_OPTIONS_INIT                                                                     \
    {sizeof(cot_dense_options),                                                                    \
     0,                                                                                            \
     COT_LINEAR,                                                                                   \
     COT_DEFAULT,                                                                                  \
     COT_INITIALIZER_DEFAULT,                                                                      \
     COT_INITIALIZER_DEFAULT,                                                                      \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     NULL,                                                                                         \
     COT_DEFAULT,                                                                                  \
     NULL}

/* x f32|f64 [N,...,in] -> [N,...,units]. fails: COT_E_ARG, COT_E_SHAPE, COT_E_NOMEM. */
COT_API cot_tensor cot_dense_with(cot_tensor x, const cot_dense_options *options);
/* The layer alone, to be called by cot_call or added to a sequential model. NULL on error. */
COT_API cot_layer *cot_dense_layer_with(cot_context *context, const cot_dense_options *options);
#define cot_dense(x, ...)                                                                          \
    cot_dense_with(                                                                                \
        x, &(cot_dense_options){.struct_size = sizeof(cot_dense_options), .units = __VA_ARGS__})
#define cot_dense_layer(context, ...)                                                              \
    cot_dense_layer_with(context, &(cot_dense_options){.struct_size = sizeof(cot_dense_options),   \
                                                       .units = __VA_ARGS__})

/* ---- activation ---- */

/*
 * Numbers of activations, by Keras's names, as of its functions and its layers ReLU, LeakyReLU and
 * ELU; those of other activations must be 0. In the formulas s is negative_slope, m max_value and h
 * threshold.
 *
 *   relu         min(x > h ? x : 0, m) - s max(h - x, 0); with h < 0 and m not below 0
 *   leaky_relu   x > 0 ? x : s x
 *   elu          x > 0 ? x : alpha (exp(x) - 1)
 *   celu         x > 0 ? x : alpha (exp(x / alpha) - 1)
 *   squareplus   (x + sqrt(x^2 + b)) / 2
 *   soft_shrink  x moved by h towards 0, 0 where |x| <= h
 *   hard_shrink  |x| > h ? x : 0
 *   threshold    x > h ? x : default_value
 *
 * The gradient of relu at x = m is 1, but 0 for the m of 6 without h, which is relu6.
 */
typedef struct cot_activation_options {
    size_t struct_size;
    cot_activation_kind activation; /* required; COT_LINEAR is the identity */
    const char *name;               /* default: "activation", "activation_1", ... */
    double negative_slope;          /* at least 0; leaky_relu: 0: 0.2; COT_ZERO: 0 */
    double max_value;               /* at least 0; 0: none; COT_ZERO: 0 */
    double threshold;               /* soft_shrink, hard_shrink: 0: 0.5; COT_ZERO: 0 */
    double alpha;                   /* 0: 1; elu: COT_ZERO: 0 */
    double b;                       /* above 0; 0: 4 */
    double default_value;
} cot_activation_options;
#define COT_ACTIVATION_OPTIONS_INIT                                                                \
    {sizeof(cot_activation_options), COT_LINEAR, NULL, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}

/* cot_activation(x, COT_RELU), cot_activation(x, COT_LEAKY_RELU, .negative_slope = 0.1). Any shape,
 * kept but by glu. fails: COT_E_ARG, COT_E_SHAPE. */
COT_API cot_tensor cot_activation_with(cot_tensor x, const cot_activation_options *options);
/* The layer alone, with options or by its name. NULL on error. */
COT_API cot_layer *cot_activation_layer_with(cot_context *context,
                                             const cot_activation_options *options);
COT_API cot_layer *cot_activation_layer(cot_context *context, cot_activation_kind activation,
                                        const char *name);
#define cot_activation(x, ...)                                                                     \
    cot_activation_with(x,                                                                         \
                        &(cot_activation_options){.struct_size = sizeof(cot_activation_options),   \
                                                  .activation = __VA_ARGS__})

/* ---- PReLU, Maxout ---- */

/*
 * relu(x) - alpha relu(-x), an alpha, which is learnt, for each element of a row. Its gradient by
 * alpha is x where x < 0, else 0; by x at 0 it is 0. Weight: alpha. He et al., "Delving deep into
 * rectifiers", 2015.
 */
typedef struct cot_prelu_options {
    size_t struct_size;
    cot_tensor input;                             /* required; not of the layer alone */
    cot_initializer alpha_initializer;            /* default: zeros */
    const cot_initializer_options *alpha_numbers; /* NULL: defaults */
    const cot_regularizer *alpha_regularizer;     /* NULL: none */
    const cot_constraint *alpha_constraint;       /* NULL: none */
    int32_t shared_axes[COT_MAX_RANK]; /* along which alpha is the same; ascending, from 1 on: the
                                          batch, axis 0, always is */
    int32_t n_shared_axes;
    const char *name; /* default: "p_re_lu", "p_re_lu_1", ... */
} cot_prelu_options;
#define COT_PRELU_OPTIONS_INIT                                                                     \
    {sizeof(cot_prelu_options), {NULL, 0}, COT_INITIALIZER_DEFAULT, NULL, NULL, NULL, {0}, 0, NULL}

/* cot_prelu(x), cot_prelu(x, .shared_axes = {1, 2}, .n_shared_axes = 2). Any shape, kept. */
COT_API cot_tensor cot_prelu_with(const cot_prelu_options *options);
COT_API cot_layer *cot_prelu_layer_with(cot_context *context, const cot_prelu_options *options);
#define cot_prelu(...)                                                                             \
    cot_prelu_with(                                                                                \
        &(cot_prelu_options){.struct_size = sizeof(cot_prelu_options), .input = __VA_ARGS__})

/*
 * The largest of C / num_units units: along an axis of C elements, y[j] = max_k x[k num_units + j].
 * Goodfellow et al., "Maxout networks", 2013; as TensorFlow Addons has it.
 */
typedef struct cot_maxout_options {
    size_t struct_size;
    int64_t num_units; /* at least 1, a divisor of the axis' extent; required */
    int32_t axis;      /* not the batch's; 0: the last (-1) */
    const char *name;  /* default: "maxout", "maxout_1", ... */
} cot_maxout_options;
#define COT_MAXOUT_OPTIONS_INIT {sizeof(cot_maxout_options), 0, 0, NULL}

/* cot_maxout(x, 10): [..,C,..] -> [..,num_units,..]. */
COT_API cot_tensor cot_maxout_with(cot_tensor x, const cot_maxout_options *options);
COT_API cot_layer *cot_maxout_layer_with(cot_context *context, const cot_maxout_options *options);
#define cot_maxout(x, ...)                                                                         \
    cot_maxout_with(x, &(cot_maxout_options){.struct_size = sizeof(cot_maxout_options),            \
                                             .num_units = __VA_ARGS__})

/* ---- flatten ---- */

typedef struct cot_flatten_options {
    size_t struct_size;
    cot_tensor input; /* required */
    const char *name; /* default: "flatten", "flatten_1", ... */
} cot_flatten_options;

/* cot_flatten(x): [N,a,b,...] -> [N,a*b*...], row-major; [N] -> [N,1]. */
COT_API cot_tensor cot_flatten_with(const cot_flatten_options *options);
COT_API cot_layer *cot_flatten_layer(cot_context *context, const char *name);
#define cot_flatten(...)                                                                           \
    cot_flatten_with(                                                                              \
        &(cot_flatten_options){.struct_size = sizeof(cot_flatten_options), .input = __VA_ARGS__})

/* ---- add, concatenate ---- */

typedef struct cot_add_options {
    size_t struct_size;
    cot_tensor_list inputs; /* required: one or more */
    const char *name;       /* default: "add", "add_1", ... */
} cot_add_options;

/*
 * cot_add(COT_TENSORS(a, b)): the sum, from left to right. Extents of 1 stretch; an input of lower
 * rank gets extents of 1 after its batch axis.
 */
COT_API cot_tensor cot_add_with(const cot_add_options *options);
COT_API cot_layer *cot_add_layer(cot_context *context, const char *name);
#define cot_add(...)                                                                               \
    cot_add_with(&(cot_add_options){.struct_size = sizeof(cot_add_options), .inputs = __VA_ARGS__})

typedef struct cot_concatenate_options {
    size_t struct_size;
    cot_tensor_list inputs; /* required: one or more, of equal rank */
    int32_t axis;           /* the batch is axis 0 and cannot be joined; 0: the last (-1) */
    const char *name;       /* default: "concatenate", "concatenate_1", ... */
} cot_concatenate_options;

/* cot_concatenate(COT_TENSORS(a, b), .axis = 1): joined along an axis, the other extents equal. */
COT_API cot_tensor cot_concatenate_with(const cot_concatenate_options *options);
COT_API cot_layer *cot_concatenate_layer(cot_context *context, int32_t axis, const char *name);
#define cot_concatenate(...)                                                                       \
    cot_concatenate_with(&(cot_concatenate_options){                                               \
        .struct_size = sizeof(cot_concatenate_options), .inputs = __VA_ARGS__})

/* ---- masks ---- */

/*
 * A tensor may have a mask: which of its places, along all axes but the last, count. Losses and
 * metrics of an output with a mask are those of the places that count (cotangent/training.h).
 *
 * cot_masking makes one: a place counts unless all its elements are mask_value; what does not count
 * becomes 0. Of [N,time,features] it is which steps count, of [N,features] which rows.
 *
 * Dense, Activation, PReLU, Softmax, Normalization and Rescaling keep the mask of their input; the
 * result of Add has one if all inputs have: a place counts if it does in any of them; that of
 * Concatenate if any input has one, inputs without counting everywhere. Others drop it.
 */
typedef struct cot_masking_options {
    size_t struct_size;
    cot_tensor input;  /* required: numbers, of rank 2 or more */
    double mask_value; /* 0 */
    const char *name;  /* default: "masking", "masking_1", ... */
} cot_masking_options;
#define COT_MASKING_OPTIONS_INIT {sizeof(cot_masking_options), {NULL, 0}, 0.0, NULL}

/* cot_masking(x, .mask_value = -1.0). Any shape, kept. */
COT_API cot_tensor cot_masking_with(const cot_masking_options *options);
COT_API cot_layer *cot_masking_layer(cot_context *context, double mask_value, const char *name);
#define cot_masking(...)                                                                           \
    cot_masking_with(                                                                              \
        &(cot_masking_options){.struct_size = sizeof(cot_masking_options), .input = __VA_ARGS__})

/* Has it a mask? And that mask, bool, of its shape without the last axis, as a tensor: an output,
 * or what a layer takes. Without a mask it is poisoned. */
COT_API bool cot_tensor_has_mask(cot_tensor tensor);
COT_API cot_tensor cot_tensor_mask(cot_tensor tensor);

/*
 * exp(x) / sum(exp(x)) along an axis, as a layer. With a mask, a bool tensor that stretches to x as
 * an input of cot_add does, what does not count is -1e9 before and 0 after it: where nothing counts
 * all is 0. The mask that x itself has is passed on, not looked at.
 */
typedef struct cot_softmax_options {
    size_t struct_size;
    cot_tensor input; /* required */
    int32_t axis;     /* not the batch's; 0: the last (-1) */
    cot_tensor mask;  /* default: none */
    const char *name; /* default: "softmax", "softmax_1", ... */
} cot_softmax_options;
#define COT_SOFTMAX_OPTIONS_INIT {sizeof(cot_softmax_options), {NULL, 0}, 0, {NULL, 0}, NULL}

/* cot_softmax(scores, .mask = cot_tensor_mask(x)). A layer's second input is its mask. */
COT_API cot_tensor cot_softmax_with(const cot_softmax_options *options);
COT_API cot_layer *cot_softmax_layer(cot_context *context, int32_t axis, const char *name);
#define cot_softmax(...)                                                                           \
    cot_softmax_with(                                                                              \
        &(cot_softmax_options){.struct_size = sizeof(cot_softmax_options), .input = __VA_ARGS__})

/* ---- layers as objects ---- */

/*
 * Call a layer on one tensor, or on several. The first call makes its weights; every further call
 * shares them and must bring the same extents to them.
 */
COT_API cot_tensor cot_call(cot_layer *layer, cot_tensor x);
COT_API cot_tensor cot_call_many(cot_layer *layer, cot_tensor_list inputs);

/* "dense_1"; "Dense". "" for NULL. Live as long as the context. */
COT_API const char *cot_layer_name(const cot_layer *layer);
COT_API const char *cot_layer_class(const cot_layer *layer);

/* Elements of all its weights; 0 before the first call. */
COT_API int64_t cot_layer_count_params(const cot_layer *layer);

/* What later cot_model_compile calls do with its weights: update them in fit, or not. */
COT_API bool cot_layer_is_trainable(const cot_layer *layer);
COT_API cot_status cot_layer_set_trainable(cot_layer *layer, bool trainable);

/* The same for one weight of a layer that was called: "bias". fails: COT_E_ARG (no such weight) */
COT_API cot_status cot_layer_set_weight_trainable(cot_layer *layer, const char *weight,
                                                  bool trainable);

/* Regularize the outputs of every call of any layer, as later cot_model_compile calls see it; NULL:
 * no longer. Copied. fails: COT_E_ARG */
COT_API cot_status cot_layer_set_activity_regularizer(cot_layer *layer,
                                                      const cot_regularizer *regularizer);

#ifdef __cplusplus
}
#endif
#endif
