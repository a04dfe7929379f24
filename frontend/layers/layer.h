/*
 * The layer graph of a context: layers, and their calls. A call has one result, so a call's id is
 * also its tensor's. Everything here is owned by the context's frontend state and dies with it; the
 * layer classes (dense.c, merge.c, ...) fill a table of functions each.
 *
 * Invariants: ids start at 1; a call's inputs have smaller ids than the call; a layer that was
 * called has all its weights.
 */
#ifndef COTI_LAYER_H
#define COTI_LAYER_H

#include "cotangent/layers.h"
#include "graph/graph.h"
#include "runtime/base/arena.h"

/* What a tensor is: f32[N,784]. */
typedef struct coti_type {
    cot_dtype dtype;
    cot_shape shape;
} coti_type;

/*
 * A call's values in a tensor graph. logits: what its final softmax or sigmoid, which `squashed`
 * says it was, was taken of, or poison; a softmax along squash_axis. mask: which places count,
 * bool, of the value's shape without its last axis; poison: all of them.
 */
typedef struct coti_built {
    cot_value value, logits;
    cot_activation_kind squashed;
    int32_t squash_axis; /* 0: the last */
    cot_value mask;
} coti_built;

/* A value that is no softmax and no sigmoid. */
static inline coti_built coti_plain(cot_value value) {
    return (coti_built){value, {NULL, 0}, COT_LINEAR, 0, {NULL, 0}};
}

/* How a weight begins and what holds it: options that were checked, defaults filled in. */
typedef struct coti_weight_options {
    cot_initializer initializer;
    cot_initializer_options numbers;
    cot_regularizer regularizer; /* none: all zero */
    cot_constraint constraint;
} coti_weight_options;

/* What becomes of the masks of a layer's inputs (mask.c). */
typedef enum coti_masking {
    COTI_DROPS_MASKS = 0, /* the result has none */
    COTI_KEEPS_MASK,      /* it has the first input's */
    COTI_MERGES_MASKS,    /* if all inputs have one: what counts in any of them */
    COTI_JOINS_MASKS,     /* if any input has one: the class's `mask` makes it */
    COTI_MAKES_MASK       /* always: the class's `mask` makes it */
} coti_masking;

typedef struct coti_layer_class {
    const char *name;   /* "Dense" */
    const char *prefix; /* "dense": stem of automatic names, and the op in messages */
    int32_t max_inputs; /* 1, or COTI_ANY_INPUTS */
    bool fixed;         /* training never changes its weights, trainable or not */
    bool mixed;         /* its inputs may have different dtypes */
    coti_masking masking;
    /* The result's type; inputs are checked to be one or more, within max_inputs, of one dtype. */
    cot_status (*infer)(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out);
    /* Make the weights at the first call, after infer; NULL: it has none. */
    cot_status (*make_weights)(cot_layer *layer, const coti_type *input);
    /* Append the layer to a tensor graph; training is a constant of that graph. */
    coti_built (*build)(const cot_layer *layer, cot_graph *graph, const cot_value *input, int32_t n,
                        bool training);
    /* In its place, of a class that looks at its inputs' masks. */
    coti_built (*build_masked)(const cot_layer *layer, cot_graph *graph, const coti_built *input,
                               int32_t n, bool training);
    /* The mask of the result, where `masking` says that the class makes it. */
    cot_value (*mask)(const cot_layer *layer, const coti_built *input, int32_t n);
} coti_layer_class;

enum { COTI_ANY_INPUTS = INT32_MAX };

struct cot_layer {
    cot_context *context;
    const coti_layer_class *class;
    const char *name;
    uint32_t index; /* among the context's layers */
    bool trainable;
    const void *config;       /* the class's own */
    cot_regularizer activity; /* of its outputs */
    int32_t n_weights;        /* 0 before the first call */
    cot_variable **weight;
    const coti_weight_options **weight_options; /* of each */
    bool *frozen;                               /* each: fit leaves it as it is */
    COTI_VEC(uint32_t) call;                    /* its calls' ids, in order */
};

/* Does training change its weights? */
static inline bool coti_layer_trains(const cot_layer *layer) {
    return layer->trainable && !layer->class->fixed;
}

static inline bool coti_layer_trains_weight(const cot_layer *layer, int32_t i) {
    return coti_layer_trains(layer) && !layer->frozen[i];
}

typedef struct coti_call {
    cot_layer *layer;
    int32_t index; /* among its layer's calls */
    int32_t n_inputs;
    const uint32_t *input; /* ids */
    coti_type type;
    bool masked; /* its result has a mask */
} coti_call;

/* How many automatic names of a stem were given out. */
typedef struct coti_name_count {
    const char *prefix;
    int32_t n;
} coti_name_count;

typedef struct coti_frontend {
    cot_context *context;
    coti_arena arena; /* names, configurations, lists of inputs, layers */
    COTI_VEC(cot_layer *) layer;
    COTI_VEC(coti_call) call; /* [0] is reserved */
    COTI_VEC(coti_name_count) count;
    uint64_t n_weights; /* made so far: each draws its own initial values */
} coti_frontend;

/* ---- state.c ---- */

/* The context's state, made at the first use. NULL: no memory, recorded; or context is NULL. */
coti_frontend *coti_frontend_get(cot_context *context);

static inline const coti_call *coti_call_at(const coti_frontend *frontend, uint32_t id) {
    return &frontend->call.data[id];
}

/*
 * Make a name: a copy of `name`, checked to be an identifier, or the next automatic one of the
 * stem. *name_out lives as long as the context. what: "layer" or "model", for the message.
 */
cot_status coti_frontend_name(coti_frontend *frontend, const char *what, const char *prefix,
                              const char *name, const char **name_out);
/* Give the latest automatic name of a stem back: what bore it could not be made. */
void coti_frontend_unname(coti_frontend *frontend, const char *prefix);

/* Is it a live tensor of this context? Records nothing. */
bool coti_tensor_is_valid(const cot_context *context, cot_tensor tensor);

/* ---- layer.c ---- */

/*
 * A new layer; config is copied. name may be NULL. NULL on error, recorded; nothing is then left
 * of it.
 */
cot_layer *coti_layer_create(cot_context *context, const coti_layer_class *class, const char *name,
                             const void *config, size_t config_bytes);

/*
 * Make a layer and call it, for the functional forms. If either fails no layer is left. The context
 * is that of the first tensor.
 */
cot_tensor coti_layer_apply(const coti_layer_class *class, const char *name, bool trainable,
                            const void *config, size_t config_bytes, cot_tensor_list inputs);

/* Make room for n weights, before the first of them is added. */
cot_status coti_layer_reserve_weights(cot_layer *layer, int32_t n);

/* Append a weight `<layer>/<name>` with its initial values. options: read, and alive as long as the
 * layer. fails: COT_E_SHAPE, where initializer, regularizer or constraint do not go with its shape
 */
cot_status coti_layer_add_weight(cot_layer *layer, const char *name, coti_type type,
                                 const coti_weight_options *options);

/*
 * Copy a caller's options into `copy`, whose struct may be shorter or newer: what it lacks is zero.
 * fails: COT_E_ARG (NULL, a struct_size of 0), COT_E_UNSUPPORTED (newer, and unknown fields are
 * set).
 */
cot_status coti_options_copy(cot_context *context, const char *function, const void *options,
                             void *copy, size_t copy_bytes);

/* A number of an option struct. */
typedef struct coti_option {
    const char *name; /* NULL ends a list */
    size_t offset;    /* of the double in the struct */
    double otherwise; /* what a zero means; NaN: it must be given */
    double low, high; /* what it must lie in */
} coti_option;

/* Fill in the defaults of a list of numbers of `options` and check their ranges. function: for the
 * messages. fails: COT_E_ARG */
cot_status coti_options_numbers(cot_context *context, const char *function,
                                const coti_option *option, void *options);

/* ---- weight.c: what holds weights ---- */

/* A weight's options as the user gives them; any pointer may be NULL. */
typedef struct coti_weight_given {
    const char *name; /* "kernel" */
    cot_initializer initializer;
    const cot_initializer_options *numbers;
    const cot_regularizer *regularizer;
    const cot_constraint *constraint;
} coti_weight_given;

/* Check and complete. op, layer: for the messages. fails: COT_E_ARG */
cot_status coti_weight_options_read(cot_context *context, const char *op, const char *layer,
                                    const coti_weight_given *given, coti_weight_options *out);

/* The same for a regularizer alone; given NULL: none. what: "activity_regularizer" */
cot_status coti_regularizer_read(cot_context *context, const char *op, const char *layer,
                                 const char *what, const cot_regularizer *given,
                                 cot_regularizer *out);

bool coti_regularizer_is_none(const cot_regularizer *regularizer);

/* The term of x, a scalar of its dtype; poison on failure. */
cot_value coti_regularizer_build(const cot_regularizer *regularizer, cot_value x);

/* What the constraint makes of w; w itself if there is none. */
cot_value coti_constraint_build(const cot_constraint *constraint, cot_value w);

/* Do a weight's options go with its shape? fails: COT_E_SHAPE */
cot_status coti_weight_options_check(cot_context *context, const char *weight,
                                     const cot_shape *shape, const coti_weight_options *options);

/* ---- mask.c ---- */

/* Has the result of a layer of this class a mask, if those of its inputs have? */
bool coti_is_masked(const coti_layer_class *class, const bool *masked, int32_t n);

/* The mask of a call's result, which has one. input: what the call was built of. Poison on error.
 */
cot_value coti_mask_build(const cot_layer *layer, const coti_built *input, int32_t n);

/* ---- merge.c ---- */

/* A shape of lower rank among others: extents of 1 after its batch axis. */
cot_shape coti_lift_shape(const cot_shape *shape, int32_t rank);

/* ---- activation.c, initializer.c ---- */

bool coti_activation_is_valid(cot_activation_kind activation);
coti_built coti_activation_build(cot_activation_kind activation, cot_value x);

bool coti_initializer_is_valid(cot_initializer initializer);
/* Complete and check an initializer's numbers; given NULL: defaults. fails: COT_E_ARG */
cot_status coti_initializer_read(cot_context *context, const char *op, const char *layer,
                                 const char *weight, const cot_initializer_options *given,
                                 cot_initializer_options *out);
/*
 * Fill a new variable (f32 or f64). ordinal: its place among the context's weights, which with the
 * seed determines the values. COT_INITIALIZER_DEFAULT: zeros for rank 1, else glorot_uniform.
 */
cot_status coti_initialize(cot_variable *variable, const coti_weight_options *options,
                           uint64_t ordinal);

/* ---- the classes ---- */

extern const coti_layer_class coti_class_input, coti_class_dense, coti_class_prelu,
    coti_class_maxout, coti_class_activation, coti_class_flatten, coti_class_add,
    coti_class_concatenate, coti_class_normalization, coti_class_masking, coti_class_mask,
    coti_class_softmax;

#endif
