/*
 * The meaning of the leaves, of one_hot and of random numbers: results that are made rather than
 * computed from elements of the same place.
 */
#include "eval.h"
#include "runtime/base/philox.h"

#include <string.h>

static size_t out_bytes(const coti_eval *eval) {
    return (size_t)coti_tensor_count(eval->out) * cot_dtype_bytes(eval->out->dtype);
}

/* The tensor that the run binds, as it is. */
cot_status coti_eval_INPUT(const coti_eval *eval) {
    size_t bytes = out_bytes(eval);
    if (bytes > 0) {
        memcpy(eval->out->data, eval->input[0].data, bytes);
    }
    return COT_OK;
}

cot_status coti_eval_STATE(const coti_eval *eval) {
    const coti_attr_VARIABLE *attr = eval->node->attr;
    return cot_variable_get(attr->variable, eval->out->data, out_bytes(eval));
}

cot_status coti_eval_CONST(const coti_eval *eval) {
    const coti_attr_DATA *attr = eval->node->attr;
    size_t bytes = out_bytes(eval);
    if (bytes > 0) {
        memcpy(eval->out->data, attr->data.data, bytes);
    }
    return COT_OK;
}

cot_status coti_eval_ROWS(const coti_eval *eval) {
    coti_tensor_set_int(eval->out, 0, eval->rows);
    return COT_OK;
}

cot_status coti_eval_IOTA(const coti_eval *eval) {
    const coti_attr_AXIS *attr = eval->node->attr;
    coti_walk walk = coti_walk_make(eval->out->shape.rank, eval->out->shape.dim);
    int64_t count = coti_walk_count(&walk);
    for (int64_t i = 0; i < count; i++, coti_walk_next(&walk)) {
        coti_tensor_set_int(eval->out, i, walk.index[attr->axis]);
    }
    return COT_OK;
}

/* y[.., c] = (x[..] == c): an index outside of [0, depth) matches no c. */
cot_status coti_eval_ONE_HOT(const coti_eval *eval) {
    int64_t depth = eval->out->shape.dim[eval->out->shape.rank - 1];
    int64_t count = coti_tensor_count(&eval->input[0]);
    for (int64_t i = 0; i < count; i++) {
        int64_t index = coti_tensor_get_int(&eval->input[0], i);
        for (int64_t c = 0; c < depth; c++) {
            coti_tensor_set_int(eval->out, i * depth + c, index == c);
        }
    }
    return COT_OK;
}

/* Element i of the row-major result is element i of the stream at this step. */
cot_status coti_eval_RANDOM(const coti_eval *eval) {
    const coti_attr_RANDOM *attr = eval->node->attr;
    uint64_t seed = (uint64_t)coti_tensor_get_int(&eval->input[0], 0);
    uint64_t step = (uint64_t)coti_tensor_get_int(&eval->input[1], 0);
    coti_philox_key key = coti_philox_make_key(seed, (uint64_t)attr->stream);
    int64_t count = coti_tensor_count(eval->out);
    for (int64_t i = 0; i < count; i++) {
        double value = attr->distribution == COT_NORMAL
                           ? coti_philox_normal(key, step, (uint64_t)i)
                           : coti_philox_uniform(key, step, (uint64_t)i);
        coti_tensor_set(eval->out, i, value);
    }
    return COT_OK;
}
