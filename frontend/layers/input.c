/*
 * Inputs. An input is a layer that was called once, on nothing; what it builds is the graph's
 * input, which the model binds to data (see training/lower.c).
 */
#include "layer.h"

static cot_status infer(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out) {
    (void)input;
    (void)n;
    (void)result_out;
    return COTI_OP_FAIL(layer->context, COT_E_ARG, "input", layer->name,
                        "an input cannot be called");
}

const coti_layer_class coti_class_input = {
    .name = "InputLayer", .prefix = "input_layer", .max_inputs = 1, .infer = infer};

static cot_status check_type(cot_context *context, cot_dtype dtype, const cot_shape *shape,
                             const char *name) {
    if (dtype != COT_F32 && dtype != COT_F64) {
        return COTI_OP_FAIL(context, COT_E_DTYPE, "input", name,
                            "dtype is %s, expected f32 or f64 (u8 data feed an f32 input)",
                            cot_dtype_name(dtype));
    }
    if (shape->batched || shape->rank < 0 || shape->rank >= COT_MAX_RANK) {
        return COTI_OP_FAIL(context, COT_E_SHAPE, "input", name,
                            shape->batched ? "the shape is batched, expected that of one row"
                                           : "the shape of one row has rank %d, expected 0 to %d",
                            (int)shape->rank, COT_MAX_RANK - 1);
    }
    int64_t elements = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 1) {
            return COTI_OP_FAIL(context, COT_E_SHAPE, "input", name,
                                "extent %d is %lld, expected at least 1", (int)i,
                                (long long)shape->dim[i]);
        }
    }
    if (!coti_shape_elements(shape, 1, &elements)) {
        return COTI_OP_FAIL(context, COT_E_SHAPE, "input", name,
                            "a row has more than 2^47 elements");
    }
    return COT_OK;
}

/* [a,b] -> [N,a,b]. */
static cot_shape batch_of(const cot_shape *row) {
    cot_shape shape = {.rank = row->rank + 1, .batched = true, .dim = {1}};
    for (int32_t i = 0; i < row->rank; i++) {
        shape.dim[i + 1] = row->dim[i];
    }
    return shape;
}

cot_tensor cot_input(cot_context *context, cot_dtype dtype, cot_shape shape, const char *name) {
    cot_tensor result = {context, 0};
    coti_frontend *frontend = coti_frontend_get(context);
    if (frontend == NULL || check_type(context, dtype, &shape, name) != COT_OK ||
        coti_vec_reserve(context, &frontend->call, frontend->call.count + 1) != COT_OK) {
        return result;
    }
    /* The layer's list of calls is reserved first: the layer is the last thing that can fail. */
    uint32_t *call = NULL;
    size_t capacity = 0;
    if (coti_vec_grow(context, (void **)&call, &capacity, 1, sizeof *call) != COT_OK) {
        return result;
    }
    cot_layer *layer = coti_layer_create(context, &coti_class_input, name, "", 0);
    if (layer == NULL) {
        coti_free(context, call);
        return result;
    }
    layer->call.data = call;
    layer->call.capacity = capacity;
    layer->call.data[layer->call.count++] = (uint32_t)frontend->call.count;
    result.id = (uint32_t)frontend->call.count;
    frontend->call.data[frontend->call.count++] =
        (coti_call){.layer = layer, .type = {dtype, batch_of(&shape)}};
    return result;
}
