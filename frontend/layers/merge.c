/*
 * Layers that make one tensor of several: Add and Concatenate. Add works as Keras's: an input of
 * lower rank gets extents of 1 after its batch axis, extents of 1 stretch, and the sum is formed
 * from left to right.
 */
#include "layer.h"

/* [N,b] among inputs of rank 3 -> [N,1,b]. */
cot_shape coti_lift_shape(const cot_shape *shape, int32_t rank) {
    cot_shape lifted = *shape;
    int32_t shift = rank - shape->rank;
    lifted.rank = rank;
    for (int32_t i = 1; i < rank; i++) {
        lifted.dim[i] = i <= shift ? 1 : shape->dim[i - shift];
    }
    return lifted;
}

static int32_t largest_rank(const coti_type *input, int32_t n) {
    int32_t rank = 0;
    for (int32_t i = 0; i < n; i++) {
        rank = input[i].shape.rank > rank ? input[i].shape.rank : rank;
    }
    return rank;
}

static cot_status misfit(const cot_layer *layer, const coti_type *first, const coti_type *other,
                         int32_t i_other) {
    char a[COTI_TYPE_BYTES], b[COTI_TYPE_BYTES];
    return COTI_OP_FAIL(layer->context, COT_E_SHAPE, layer->class->prefix, layer->name,
                        "input %d is %s, which does not fit %s before it", (int)i_other,
                        coti_type_text(b, other->dtype, &other->shape),
                        coti_type_text(a, first->dtype, &first->shape));
}

/* ---- add ---- */

static cot_status infer_add(const cot_layer *layer, const coti_type *input, int32_t n,
                            coti_type *result_out) {
    int32_t rank = largest_rank(input, n);
    coti_type sum = {input[0].dtype, coti_lift_shape(&input[0].shape, rank)};
    for (int32_t i = 1; i < n; i++) {
        cot_shape shape = coti_lift_shape(&input[i].shape, rank);
        coti_type before = sum;
        for (int32_t k = 0; k < rank; k++) {
            if (sum.shape.dim[k] != shape.dim[k] &&
                (k == 0 || (sum.shape.dim[k] != 1 && shape.dim[k] != 1))) {
                return misfit(layer, &before, &input[i], i);
            }
            sum.shape.dim[k] = sum.shape.dim[k] == 1 ? shape.dim[k] : sum.shape.dim[k];
        }
    }
    *result_out = sum;
    return coti_shape_check(layer->context, &sum.shape, "add", layer->name);
}

static cot_value lift_value(cot_value x, int32_t rank) {
    cot_shape shape = cot_value_shape(x);
    return x.graph == NULL || shape.rank == rank ? x
                                                 : cot_op_reshape(x, coti_lift_shape(&shape, rank));
}

static coti_built build_add(const cot_layer *layer, cot_graph *graph, const cot_value *input,
                            int32_t n, bool training) {
    (void)layer;
    (void)graph;
    (void)training;
    int32_t rank = 0;
    for (int32_t i = 0; i < n; i++) {
        cot_shape shape = cot_value_shape(input[i]);
        rank = shape.rank > rank ? shape.rank : rank;
    }
    cot_value sum = lift_value(input[0], rank);
    for (int32_t i = 1; i < n; i++) {
        sum = cot_op_binary(COT_OP_ADD, sum, lift_value(input[i], rank));
    }
    return coti_plain(sum);
}

const coti_layer_class coti_class_add = {.name = "Add",
                                         .prefix = "add",
                                         .max_inputs = COTI_ANY_INPUTS,
                                         .masking = COTI_MERGES_MASKS,
                                         .infer = infer_add,
                                         .build = build_add};

cot_layer *cot_add_layer(cot_context *context, const char *name) {
    return context != NULL ? coti_layer_create(context, &coti_class_add, name, "", 0) : NULL;
}

/* The context of the first tensor that has one. */
static cot_context *context_of(cot_tensor_list inputs) {
    for (int32_t i = 0; inputs.tensor != NULL && i < inputs.n; i++) {
        if (inputs.tensor[i].context != NULL) {
            return inputs.tensor[i].context;
        }
    }
    return NULL;
}

cot_tensor cot_add_with(const cot_add_options *options) {
    cot_add_options own = {0};
    cot_context *context = options != NULL ? context_of(options->inputs) : NULL;
    if (context == NULL ||
        coti_options_copy(context, "cot_add", options, &own, sizeof own) != COT_OK) {
        return (cot_tensor){context, 0};
    }
    return coti_layer_apply(&coti_class_add, own.name, true, "", 0, own.inputs);
}

/* ---- concatenate ---- */

/* The axis of the configuration, counted from the front; -1: out of range. */
static int32_t axis_of(const cot_layer *layer, int32_t rank) {
    int32_t axis = *(const int32_t *)layer->config;
    axis = axis == 0 ? -1 : axis;
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 1 && axis < rank ? axis : -1;
}

static cot_status infer_concatenate(const cot_layer *layer, const coti_type *input, int32_t n,
                                    coti_type *result_out) {
    int32_t rank = input[0].shape.rank, axis = axis_of(layer, rank);
    char text[COTI_TYPE_BYTES];
    if (axis < 0) {
        return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "concatenate", layer->name,
                            "axis %d of %s: expected an axis beside the batch",
                            *(const int32_t *)layer->config,
                            coti_type_text(text, input[0].dtype, &input[0].shape));
    }
    coti_type joined = input[0];
    for (int32_t i = 1; i < n; i++) {
        const cot_shape *shape = &input[i].shape;
        bool fits = shape->rank == rank;
        for (int32_t k = 0; fits && k < rank; k++) {
            fits = k == axis || shape->dim[k] == joined.shape.dim[k];
        }
        if (!fits) {
            return misfit(layer, &input[0], &input[i], i);
        }
        if (!coti_size_add(joined.shape.dim[axis], shape->dim[axis], &joined.shape.dim[axis])) {
            return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "concatenate", layer->name,
                                "a row has more than 2^47 elements");
        }
    }
    *result_out = joined;
    return coti_shape_check(layer->context, &joined.shape, "concatenate", layer->name);
}

static coti_built build_concatenate(const cot_layer *layer, cot_graph *graph,
                                    const cot_value *input, int32_t n, bool training) {
    (void)graph;
    (void)training;
    cot_value y = input[0];
    if (n > 1) {
        y = cot_op_concat(input, n, axis_of(layer, cot_value_shape(input[0]).rank));
    }
    return coti_plain(y);
}

/* Of an input that has no mask all places count. */
static cot_value mask_or_all(const coti_built *input) {
    cot_shape shape = cot_value_shape(input->value);
    if (input->mask.graph != NULL || input->value.graph == NULL) {
        return input->mask;
    }
    shape.dim[--shape.rank] = 0;
    return cot_op_broadcast(cot_op_constant(input->value.graph, COT_BOOL, 1.0), shape, NULL, 0);
}

/* Joined along the last axis a place counts if it does in any input; along another, the masks are
 * joined like the inputs. */
static cot_value join_masks(const cot_layer *layer, const coti_built *input, int32_t n) {
    int32_t rank = cot_value_shape(input[0].value).rank, axis = axis_of(layer, rank);
    cot_value joined = mask_or_all(&input[0]);
    for (int32_t i = 1; i < n && joined.graph != NULL; i++) {
        const cot_value pair[2] = {joined, mask_or_all(&input[i])};
        joined = axis == rank - 1 ? cot_op_binary(COT_OP_OR, pair[0], pair[1])
                                  : cot_op_concat(pair, 2, axis);
    }
    return joined;
}

const coti_layer_class coti_class_concatenate = {.name = "Concatenate",
                                                 .prefix = "concatenate",
                                                 .max_inputs = COTI_ANY_INPUTS,
                                                 .masking = COTI_JOINS_MASKS,
                                                 .infer = infer_concatenate,
                                                 .build = build_concatenate,
                                                 .mask = join_masks};

cot_layer *cot_concatenate_layer(cot_context *context, int32_t axis, const char *name) {
    return context != NULL
               ? coti_layer_create(context, &coti_class_concatenate, name, &axis, sizeof axis)
               : NULL;
}

cot_tensor cot_concatenate_with(const cot_concatenate_options *options) {
    cot_concatenate_options own = {0};
    cot_context *context = options != NULL ? context_of(options->inputs) : NULL;
    if (context == NULL ||
        coti_options_copy(context, "cot_concatenate", options, &own, sizeof own) != COT_OK) {
        return (cot_tensor){context, 0};
    }
    return coti_layer_apply(&coti_class_concatenate, own.name, true, &own.axis, sizeof own.axis,
                            own.inputs);
}
