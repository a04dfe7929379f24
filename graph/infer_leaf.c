/*
 * Inference of leaves: their dtype and shape come from the caller, or from the variable.
 */
#include "infer.h"

/* Any dtype, any shape; the name is not empty. That it is new in the graph, coti_graph_add sees to.
 */
cot_status coti_infer_INPUT(coti_infer *infer) {
    const coti_attr_NAME *attr = infer->attr;
    if (attr->name == NULL || attr->name[0] == '\0') {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "an input needs a name");
    }
    return COT_OK;
}

/* The variable's own dtype and shape; the variable is of the graph's context. */
cot_status coti_infer_STATE(coti_infer *infer) {
    const coti_attr_VARIABLE *attr = infer->attr;
    if (attr->variable == NULL) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "the variable is NULL");
    }
    if (attr->variable->context != infer->graph->context) {
        return COTI_INFER_FAIL(infer, COT_E_ARG, "variable \"%s\" belongs to another context",
                               attr->variable->name);
    }
    infer->dtype = attr->variable->dtype;
    infer->shape = attr->variable->shape;
    return COT_OK;
}

/* Any dtype, static shape, data of exactly its size; bools are 0 or 1. */
cot_status coti_infer_CONST(coti_infer *infer) {
    const coti_attr_DATA_type *data = &((const coti_attr_DATA *)infer->attr)->data;
    if (infer->shape.batched) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "a constant cannot be batched");
    }
    int64_t bytes = 0;
    if (!coti_shape_elements(&infer->shape, 1, &bytes) ||
        !coti_size_mul(bytes, (int64_t)cot_dtype_bytes(infer->dtype), &bytes) ||
        bytes != data->bytes || (bytes > 0 && data->data == NULL)) {
        char text[COTI_TYPE_BYTES];
        return COTI_INFER_FAIL(infer, COT_E_ARG, "%lld bytes of data do not fill %s",
                               (long long)data->bytes,
                               coti_type_text(text, infer->dtype, &infer->shape));
    }
    const unsigned char *byte = data->data;
    for (int64_t i = 0; infer->dtype == COT_BOOL && i < bytes; i++) {
        if (byte[i] > 1) {
            return COTI_INFER_FAIL(infer, COT_E_ARG, "bool element %lld is %d, must be 0 or 1",
                                   (long long)i, byte[i]);
        }
    }
    return COT_OK;
}

/* The i64 scalar N. */
cot_status coti_infer_ROWS(coti_infer *infer) {
    infer->dtype = COT_I64;
    infer->shape = (cot_shape){.rank = 0};
    return COT_OK;
}

/* i32, i64, f32 or f64, any shape of rank 1 or more; axis within it, a batched one too. */
cot_status coti_infer_IOTA(coti_infer *infer) {
    const coti_attr_AXIS *attr = infer->attr;
    if (infer->dtype == COT_U8 || infer->dtype == COT_BOOL) {
        return COTI_INFER_FAIL(infer, COT_E_DTYPE, "%s is not i32, i64, f32 or f64",
                               cot_dtype_name(infer->dtype));
    }
    return coti_infer_axis(infer, attr->axis, infer->shape.rank);
}
