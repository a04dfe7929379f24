/* Flatten: all axes but the batch become one, row-major. */
#include "layer.h"

static cot_status infer(const cot_layer *layer, const coti_type *input, int32_t n,
                        coti_type *result_out) {
    (void)n;
    int64_t elements = 1;
    for (int32_t i = 1; i < input[0].shape.rank; i++) {
        if (!coti_size_mul(elements, input[0].shape.dim[i], &elements)) {
            return COTI_OP_FAIL(layer->context, COT_E_SHAPE, "flatten", layer->name,
                                "a row has more than 2^47 elements");
        }
    }
    *result_out = (coti_type){
        input[0].dtype, {.rank = 2, .batched = true, .dim = {input[0].shape.dim[0], elements}}};
    return COT_OK;
}

static coti_built build(const cot_layer *layer, cot_graph *graph, const cot_value *input, int32_t n,
                        bool training) {
    (void)graph;
    (void)training;
    cot_shape given = cot_value_shape(input[0]);
    coti_type type = {cot_value_dtype(input[0]), given}, flat = type;
    if (input[0].graph == NULL || infer(layer, &type, n, &flat) != COT_OK) {
        return coti_plain(coti_poison());
    }
    cot_value y = given.rank == 2 ? input[0] : cot_op_reshape(input[0], flat.shape);
    return coti_plain(y);
}

const coti_layer_class coti_class_flatten = {
    .name = "Flatten", .prefix = "flatten", .max_inputs = 1, .infer = infer, .build = build};

cot_layer *cot_flatten_layer(cot_context *context, const char *name) {
    return context != NULL ? coti_layer_create(context, &coti_class_flatten, name, "", 0) : NULL;
}

cot_tensor cot_flatten_with(const cot_flatten_options *options) {
    cot_flatten_options own = {0};
    cot_context *context = options != NULL ? options->input.context : NULL;
    if (context == NULL ||
        coti_options_copy(context, "cot_flatten", options, &own, sizeof own) != COT_OK) {
        return (cot_tensor){context, 0};
    }
    return coti_layer_apply(&coti_class_flatten, own.name, true, "", 0,
                            (cot_tensor_list){&own.input, 1});
}
