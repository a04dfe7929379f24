/*
 * Masks: which places of a tensor count. A mask is a bool tensor of the shape of what it belongs
 * to, without the last axis. Masking makes one; the layers that Keras says support masking pass it
 * on (coti_masking of their class), all others drop it; losses and metrics of a masked output count
 * its places only (heads.c). It is a node of the graph like any other, which a class that has
 * `build_masked` may look at and the user by cot_tensor_mask.
 */
#include "formula.h"
#include "layer.h"

static const int32_t leading[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};

/* ---- what becomes of masks ---- */

bool coti_is_masked(const coti_layer_class *class, const bool *masked, int32_t n) {
    bool any = false, all = true;
    for (int32_t i = 0; i < n; i++) {
        any = any || masked[i];
        all = all && masked[i];
    }
    switch (class->masking) {
    case COTI_DROPS_MASKS:
        return false;
    case COTI_KEEPS_MASK:
        return masked[0];
    case COTI_MERGES_MASKS:
        return all;
    case COTI_JOINS_MASKS:
        return any;
    case COTI_MAKES_MASK:
        return true;
    }
    return false;
}

/* Inputs are lifted to the largest rank, as their values are in merge.c, and so are their masks. */
static cot_value merge_masks(const coti_built *input, int32_t n) {
    cot_value merged = coti_poison();
    int32_t rank = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t own = cot_value_shape(input[i].mask).rank;
        rank = own > rank ? own : rank;
    }
    for (int32_t i = 0; i < n && input[i].mask.graph != NULL; i++) {
        const cot_shape shape = cot_value_shape(input[i].mask);
        cot_value mask = cot_op_reshape(input[i].mask, coti_lift_shape(&shape, rank));
        merged = i == 0 ? mask : cot_op_binary(COT_OP_OR, merged, mask);
    }
    return merged;
}

cot_value coti_mask_build(const cot_layer *layer, const coti_built *input, int32_t n) {
    switch (layer->class->masking) {
    case COTI_DROPS_MASKS:
        break;
    case COTI_KEEPS_MASK:
        return input[0].mask;
    case COTI_MERGES_MASKS:
        return merge_masks(input, n);
    case COTI_JOINS_MASKS:
    case COTI_MAKES_MASK:
        return layer->class->mask(layer, input, n);
    }
    return coti_poison();
}

/* ---- Masking ---- */

static cot_status infer_masking(const cot_layer *layer, const coti_type *input, int32_t n,
                                coti_type *result_out) {
    char text[COTI_TYPE_BYTES];
    (void)n;
    *result_out = input[0];
    return input[0].shape.rank >= 2 && input[0].dtype != COT_BOOL
               ? COT_OK
               : COTI_OP_FAIL(layer->context, COT_E_SHAPE, "masking", layer->name,
                              "%s: expected numbers and an axis beside the batch",
                              coti_type_text(text, input[0].dtype, &input[0].shape));
}

/* Is any element of the last axis another than the value? A NaN is. */
static cot_value masking_mask(const cot_layer *layer, const coti_built *input, int32_t n) {
    static const int32_t last[1] = {-1};
    cot_value x = input[0].value;
    (void)n;
    if (x.graph == NULL) {
        return x;
    }
    cot_value other = cot_op_binary(COT_OP_NE, x, coti_number(x, *(const double *)layer->config));
    cot_value count = cot_op_reduce(COT_OP_SUM, cot_op_cast(other, COT_F32), last, 1, false);
    return cot_op_binary(COT_OP_GT, count, coti_number(count, 0.0));
}

/* A mask [N,..] as large as a tensor [N,..,c]. */
static cot_value spread(cot_value mask, cot_value like) {
    return cot_op_broadcast(mask, cot_value_shape(like), leading, cot_value_shape(mask).rank);
}

/* What does not count becomes 0. */
static coti_built build_masking(const cot_layer *layer, cot_graph *graph, const coti_built *input,
                                int32_t n, bool training) {
    cot_value x = input[0].value;
    (void)graph;
    (void)training;
    cot_value mask = masking_mask(layer, input, n);
    if (mask.graph == NULL) {
        return coti_plain(coti_poison());
    }
    return coti_plain(cot_op_select(spread(mask, x), x, coti_number(x, 0.0)));
}

const coti_layer_class coti_class_masking = {.name = "Masking",
                                             .prefix = "masking",
                                             .max_inputs = 1,
                                             .masking = COTI_MAKES_MASK,
                                             .infer = infer_masking,
                                             .build_masked = build_masking,
                                             .mask = masking_mask};

cot_layer *cot_masking_layer(cot_context *context, double mask_value, const char *name) {
    return context != NULL ? coti_layer_create(context, &coti_class_masking, name, &mask_value,
                                               sizeof mask_value)
                           : NULL;
}

cot_tensor cot_masking_with(const cot_masking_options *options) {
    cot_masking_options own = {0};
    cot_context *context = options != NULL ? options->input.context : NULL;
    if (context == NULL ||
        coti_options_copy(context, "cot_masking", options, &own, sizeof own) != COT_OK) {
        return (cot_tensor){context, 0};
    }
    return coti_layer_apply(&coti_class_masking, own.name, true, &own.mask_value,
                            sizeof own.mask_value, (cot_tensor_list){&own.input, 1});
}

/* ---- the mask itself, as a tensor ---- */

static cot_status infer_mask(const cot_layer *layer, const coti_type *input, int32_t n,
                             coti_type *result_out) {
    (void)n;
    *result_out = (coti_type){COT_BOOL, input[0].shape};
    if (input[0].shape.rank < 2) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "mask", layer->name,
                            "a tensor without an axis beside the batch has no mask");
    }
    result_out->shape.dim[--result_out->shape.rank] = 0;
    return COT_OK;
}

static coti_built build_mask(const cot_layer *layer, cot_graph *graph, const coti_built *input,
                             int32_t n, bool training) {
    (void)graph;
    (void)n;
    (void)training;
    if (input[0].value.graph != NULL && input[0].mask.graph == NULL) {
        COTI_OP_FAIL(layer->context, COT_E_ARG, "mask", layer->name, "its input has no mask");
    }
    return coti_plain(input[0].mask);
}

const coti_layer_class coti_class_mask = {.name = "Mask",
                                          .prefix = "mask",
                                          .max_inputs = 1,
                                          .infer = infer_mask,
                                          .build_masked = build_mask};

bool cot_tensor_has_mask(cot_tensor tensor) {
    return tensor.context != NULL && coti_tensor_is_valid(tensor.context, tensor) &&
           coti_call_at(coti_frontend_get(tensor.context), tensor.id)->masked;
}

cot_tensor cot_tensor_mask(cot_tensor tensor) {
    if (tensor.context != NULL && coti_tensor_is_valid(tensor.context, tensor) &&
        !cot_tensor_has_mask(tensor)) {
        COTI_OP_FAIL(tensor.context, COT_E_ARG, "mask", cot_layer_name(cot_tensor_layer(tensor)),
                     "the layer's tensor has no mask");
        return (cot_tensor){tensor.context, 0};
    }
    return coti_layer_apply(&coti_class_mask, NULL, true, "", 0, (cot_tensor_list){&tensor, 1});
}

/* ---- Softmax ---- */

/* The axis of the configuration, counted from the front; -1: out of range. */
static int32_t softmax_axis(const cot_layer *layer, int32_t rank) {
    int32_t axis = *(const int32_t *)layer->config;
    axis = axis == 0 ? -1 : axis;
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 1 && axis < rank ? axis : -1;
}

/* Does a mask, lifted to x's rank, stretch to x? */
static bool stretches(const cot_shape *mask, const cot_shape *x) {
    bool fits = mask->rank <= x->rank && mask->rank >= 1 && mask->dim[0] == x->dim[0] &&
                mask->batched == x->batched;
    if (!fits) {
        return false;
    }
    const cot_shape lifted = coti_lift_shape(mask, x->rank);
    for (int32_t i = 1; i < x->rank; i++) {
        fits = fits && (lifted.dim[i] == 1 || lifted.dim[i] == x->dim[i]);
    }
    return fits;
}

static cot_status infer_softmax(const cot_layer *layer, const coti_type *input, int32_t n,
                                coti_type *result_out) {
    char text[COTI_TYPE_BYTES], mask_text[COTI_TYPE_BYTES];
    const cot_shape *shape = &input[0].shape;
    *result_out = input[0];
    if (softmax_axis(layer, shape->rank) < 0 ||
        (input[0].dtype != COT_F32 && input[0].dtype != COT_F64)) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "softmax", layer->name,
                            "axis %d of %s: expected floats and an axis beside the batch",
                            *(const int32_t *)layer->config,
                            coti_type_text(text, input[0].dtype, shape));
    }
    if (n > 2 || (n == 2 && (input[1].dtype != COT_BOOL || !stretches(&input[1].shape, shape)))) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "softmax", layer->name,
                            "%d inputs, the second %s: expected at most two, the second a bool "
                            "mask that stretches to %s",
                            (int)n, coti_type_text(mask_text, input[1].dtype, &input[1].shape),
                            coti_type_text(text, input[0].dtype, shape));
    }
    return COT_OK;
}

/* x with two axes exchanged. */
static cot_value exchange(cot_value x, int32_t a, int32_t b) {
    int32_t order[COT_MAX_RANK];
    for (int32_t i = 0; i < COT_MAX_RANK; i++) {
        order[i] = i == a ? b : i == b ? a : i;
    }
    return a == b ? x : cot_op_permute(x, order, cot_value_shape(x).rank);
}

/* A mask, stretched to x. */
static cot_value stretch(cot_value mask, cot_value x) {
    const cot_shape own = cot_value_shape(mask), shape = cot_value_shape(x);
    cot_value lifted = cot_op_reshape(mask, coti_lift_shape(&own, shape.rank));
    cot_value all = cot_op_broadcast(cot_op_constant(x.graph, COT_BOOL, 1.0), shape, NULL, 0);
    return cot_op_binary(COT_OP_AND, lifted, all);
}

/* What does not count is -1e9 among the logits, and 0 in the end: also where nothing counts. */
static coti_built build_softmax(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                                int32_t n, bool training) {
    const double low = -1e9;
    cot_value x = input[0];
    const int32_t last = cot_value_shape(x).rank - 1;
    const int32_t axis = softmax_axis(layer, last + 1);
    (void)graph;
    (void)training;
    if (x.graph == NULL || (n == 1 && axis == last)) {
        return coti_activation_build(COT_SOFTMAX, x);
    }
    cot_value mask = n == 2 ? stretch(input[1], x) : coti_poison();
    cot_value z = n == 2 ? cot_op_select(mask, x, coti_number(x, low)) : x;
    cot_value y = exchange(cot_op_softmax(exchange(z, axis, last)), axis, last);
    if (n == 2) {
        return coti_plain(cot_op_select(mask, y, coti_number(x, 0.0)));
    }
    return (coti_built){y, x, COT_SOFTMAX, axis, coti_poison()};
}

const coti_layer_class coti_class_softmax = {.name = "Softmax",
                                             .prefix = "softmax",
                                             .max_inputs = 2,
                                             .mixed = true,
                                             .masking = COTI_KEEPS_MASK,
                                             .infer = infer_softmax,
                                             .build = build_softmax};

cot_layer *cot_softmax_layer(cot_context *context, int32_t axis, const char *name) {
    return context != NULL
               ? coti_layer_create(context, &coti_class_softmax, name, &axis, sizeof axis)
               : NULL;
}

cot_tensor cot_softmax_with(const cot_softmax_options *options) {
    cot_softmax_options own = {0};
    cot_context *context = options != NULL ? options->input.context : NULL;
    if (context == NULL ||
        coti_options_copy(context, "cot_softmax", options, &own, sizeof own) != COT_OK) {
        return (cot_tensor){context, 0};
    }
    const cot_tensor both[2] = {own.input, own.mask};
    return coti_layer_apply(&coti_class_softmax, own.name, true, &own.axis, sizeof own.axis,
                            (cot_tensor_list){both, own.mask.context != NULL ? 2 : 1});
}
