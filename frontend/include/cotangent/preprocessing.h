/*
 * Cotangent, preprocessing: layers that stand behind an input and bring data into the form that a
 * network learns from. They are part of the step: what they compute is computed in its first
 * kernels, for the rows of a task, and no copy of the data set is made.
 */
#ifndef COTANGENT_PREPROCESSING_H
#define COTANGENT_PREPROCESSING_H

#include "base.h"
#include "data.h"
#include "layers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rescaling ---- */

/* y = x * scale + offset. u8 data can be scaled as they are loaded instead (cot_array.scale). */
typedef struct cot_rescaling_options {
    size_t struct_size;
    double scale; /* required */
    double offset;
    const char *name; /* default: "rescaling", "rescaling_1", ... */
} cot_rescaling_options;
#define COT_RESCALING_OPTIONS_INIT {sizeof(cot_rescaling_options), 0.0, 0.0, NULL}

/* cot_rescaling(x, 1.0 / 127.5, .offset = -1.0). Any shape, kept. fails: COT_E_ARG (a number that
 * is missing or not finite). */
COT_API cot_tensor cot_rescaling_with(cot_tensor x, const cot_rescaling_options *options);
COT_API cot_layer *cot_rescaling_layer_with(cot_context *context,
                                            const cot_rescaling_options *options);
#define cot_rescaling(x, ...)                                                                      \
    cot_rescaling_with(x, &(cot_rescaling_options){.struct_size = sizeof(cot_rescaling_options),   \
                                                   .scale = __VA_ARGS__})
#define cot_rescaling_layer(context, ...)                                                          \
    cot_rescaling_layer_with(                                                                      \
        context, &(cot_rescaling_options){.struct_size = sizeof(cot_rescaling_options),            \
                                          .scale = __VA_ARGS__})

/* ---- normalization ---- */

/*
 * y = (x - mean) / max(sqrt(variance), 1e-7), with a mean and a variance for each element of the
 * last axis, or one of each. Weights: mean (0 at first), variance (1 at first), both of that many
 * elements ([1] if scalar). fit never changes them: cot_normalization_adapt and cot_variable_set
 * do.
 */
typedef struct cot_normalization_options {
    size_t struct_size;
    cot_context *context; /* required */
    bool scalar;          /* one mean and variance of all elements: Keras's axis = None */
    bool invert;          /* y = x * max(sqrt(variance), 1e-7) + mean */
    const char *name;     /* default: "normalization", "normalization_1", ... */
} cot_normalization_options;
#define COT_NORMALIZATION_OPTIONS_INIT {sizeof(cot_normalization_options), NULL, false, false, NULL}

/* cot_normalization_layer(ctx, .scalar = true): a layer, to be called by cot_call and adapted. x
 * f32|f64 [N,...,n] -> the same. NULL on error. */
COT_API cot_layer *cot_normalization_layer_with(const cot_normalization_options *options);
#define cot_normalization_layer(...)                                                               \
    cot_normalization_layer_with(&(cot_normalization_options){                                     \
        .struct_size = sizeof(cot_normalization_options), .context = __VA_ARGS__})

/*
 * Set mean and variance (divided by the count) to those of input i_input of a data set, as it
 * reaches the model: u8 scaled. Sums are in f64; data are read once, in order, which mapped files
 * are told. The layer must have been called. fails: COT_E_ARG (not a Normalization, not called, no
 * such input, no rows), COT_E_SHAPE (a row is no whole number of vectors of the layer's length),
 * COT_E_DTYPE (integers other than u8), COT_E_DATA (a NaN or infinity: the text names row and
 * element), COT_E_NOMEM. On failure the layer is as it was.
 */
COT_API cot_status cot_normalization_adapt(cot_layer *layer, const cot_dataset *data,
                                           int32_t i_input);

/* ---- category encoding ---- */

/* What a row of tokens t becomes. X(constant, name, meaning) */
#define COT_ENCODING_LIST(X)                                                                       \
    X(COT_ENCODE_MULTI_HOT, "multi_hot", "1 for each token that the row has")                      \
    X(COT_ENCODE_ONE_HOT, "one_hot", "1 for the row's one token")                                  \
    X(COT_ENCODE_COUNT, "count", "how often the row has each token")

typedef enum cot_encoding {
#define COT_ENCODING_ENUM(constant, name, meaning) constant,
    COT_ENCODING_LIST(COT_ENCODING_ENUM)
#undef COT_ENCODING_ENUM
} cot_encoding;

typedef struct cot_category_encoding_options {
    size_t struct_size;
    int64_t num_tokens;       /* required: tokens are 0 to num_tokens - 1 */
    cot_encoding output_mode; /* default: multi_hot */
    const char *name;         /* default: "category_encoding", ... */
} cot_category_encoding_options;
#define COT_CATEGORY_ENCODING_OPTIONS_INIT                                                         \
    {sizeof(cot_category_encoding_options), 0, COT_ENCODE_MULTI_HOT, NULL}

/*
 * cot_category_encoding(x, 10, .output_mode = COT_ENCODE_ONE_HOT): x f32|f64 [N,...,k] holds tokens
 * as whole numbers (u8 data feed an f32 input), [N] counts as [N,1] -> [N,...,num_tokens] of x's
 * dtype. COT_ENCODE_ONE_HOT needs k = 1. A number with a fraction counts as the token below it
 * (towards zero); a token outside the range is no token. No gradient passes. fails: COT_E_ARG,
 * COT_E_SHAPE.
 */
COT_API cot_tensor cot_category_encoding_with(cot_tensor x,
                                              const cot_category_encoding_options *options);
COT_API cot_layer *cot_category_encoding_layer_with(cot_context *context,
                                                    const cot_category_encoding_options *options);
#define cot_category_encoding(x, ...)                                                              \
    cot_category_encoding_with(                                                                    \
        x, &(cot_category_encoding_options){.struct_size = sizeof(cot_category_encoding_options),  \
                                            .num_tokens = __VA_ARGS__})
#define cot_category_encoding_layer(context, ...)                                                  \
    cot_category_encoding_layer_with(                                                              \
        context,                                                                                   \
        &(cot_category_encoding_options){.struct_size = sizeof(cot_category_encoding_options),     \
                                         .num_tokens = __VA_ARGS__})

#ifdef __cplusplus
}
#endif
#endif
