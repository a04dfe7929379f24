/*
 * The meaning of the views: the same elements, arranged differently. All but reshape are one walk
 * that copies element by element between two strided placings; pad and concat place their operands
 * inside the result.
 */
#include "eval.h"

#include <string.h>

/* Copy the walk's elements: out[offset 0] = in[offset 1]. */
static void copy_walk(coti_walk walk, coti_tensor *out, const coti_tensor *in) {
    size_t bytes = cot_dtype_bytes(out->dtype);
    int64_t count = coti_walk_count(&walk);
    for (int64_t i = 0; i < count; i++, coti_walk_next(&walk)) {
        memcpy((char *)out->data + (size_t)walk.offset[0] * bytes,
               (const char *)in->data + (size_t)walk.offset[1] * bytes, bytes);
    }
}

/* A walk over the result, dense in it; the caller places the operand by stride[1] and offset[1]. */
static coti_walk walk_result(const coti_eval *eval) {
    coti_walk walk = coti_walk_make(eval->out->shape.rank, eval->out->shape.dim);
    coti_dense_strides(&eval->out->shape, walk.stride[0]);
    return walk;
}

/* A walk over an operand, dense in it, that lies in the result with element 0 at offset[0]. */
static coti_walk walk_operand(const coti_eval *eval, const coti_tensor *x) {
    coti_walk walk = coti_walk_make(x->shape.rank, x->shape.dim);
    coti_dense_strides(&eval->out->shape, walk.stride[0]);
    coti_dense_strides(&x->shape, walk.stride[1]);
    return walk;
}

/* Same elements in the same order. */
static void copy_all(const coti_eval *eval) {
    size_t bytes = (size_t)coti_tensor_count(eval->out) * cot_dtype_bytes(eval->out->dtype);
    if (bytes > 0) {
        memcpy(eval->out->data, eval->input[0].data, bytes);
    }
}

cot_status coti_eval_RESHAPE(const coti_eval *eval) {
    copy_all(eval);
    return COT_OK;
}

cot_status coti_eval_STOP_GRADIENT(const coti_eval *eval) {
    copy_all(eval);
    return COT_OK;
}

cot_status coti_eval_BARRIER(const coti_eval *eval) {
    copy_all(eval);
    return COT_OK;
}

cot_status coti_eval_PERMUTE(const coti_eval *eval) {
    const coti_attr_AXES *attr = eval->node->attr;
    int64_t stride[COT_MAX_RANK];
    coti_dense_strides(&eval->input[0].shape, stride);
    coti_walk walk = walk_result(eval);
    for (int32_t d = 0; d < walk.rank; d++) {
        walk.stride[1][d] = stride[attr->axes.v[d]];
    }
    copy_walk(walk, eval->out, &eval->input[0]);
    return COT_OK;
}

/* Axes that the operand lacks, and its extents of 1, repeat: stride 0. */
cot_status coti_eval_BROADCAST(const coti_eval *eval) {
    const coti_attr_AXES *attr = eval->node->attr;
    const cot_shape *from = &eval->input[0].shape;
    int64_t stride[COT_MAX_RANK];
    coti_dense_strides(from, stride);
    coti_walk walk = walk_result(eval);
    for (int32_t d = 0; d < from->rank; d++) {
        walk.stride[1][attr->axes.v[d]] = from->dim[d] == 1 ? 0 : stride[d];
    }
    copy_walk(walk, eval->out, &eval->input[0]);
    return COT_OK;
}

cot_status coti_eval_SLICE(const coti_eval *eval) {
    const coti_attr_SLICE *attr = eval->node->attr;
    int64_t stride[COT_MAX_RANK];
    coti_dense_strides(&eval->input[0].shape, stride);
    coti_walk walk = walk_result(eval);
    for (int32_t d = 0; d < walk.rank; d++) {
        walk.offset[1] += attr->start.v[d] * stride[d];
        /* The stride of one element or none may be past any tensor's end. */
        walk.stride[1][d] = walk.extent[d] > 1 ? attr->stride.v[d] * stride[d] : 0;
    }
    copy_walk(walk, eval->out, &eval->input[0]);
    return COT_OK;
}

cot_status coti_eval_FLIP(const coti_eval *eval) {
    const coti_attr_AXES *attr = eval->node->attr;
    coti_walk walk = walk_result(eval);
    coti_dense_strides(&eval->input[0].shape, walk.stride[1]);
    for (int32_t i = 0; i < attr->axes.n; i++) {
        int32_t d = attr->axes.v[i];
        walk.offset[1] += (walk.extent[d] - 1) * walk.stride[1][d];
        walk.stride[1][d] = -walk.stride[1][d];
    }
    copy_walk(walk, eval->out, &eval->input[0]);
    return COT_OK;
}

cot_status coti_eval_PAD(const coti_eval *eval) {
    const coti_attr_PAD *attr = eval->node->attr;
    coti_tensor *out = eval->out;
    int64_t count = coti_tensor_count(out);
    for (int64_t i = 0; i < count; i++) {
        if (coti_dtype_is_float(out->dtype)) {
            coti_tensor_set(out, i, attr->value);
        } else {
            coti_tensor_set_int(out, i, coti_saturate(attr->value, out->dtype));
        }
    }
    coti_walk walk = walk_operand(eval, &eval->input[0]);
    for (int32_t d = 0; d < walk.rank; d++) {
        walk.offset[0] += attr->low.v[d] * walk.stride[0][d];
    }
    copy_walk(walk, out, &eval->input[0]);
    return COT_OK;
}

cot_status coti_eval_CONCAT(const coti_eval *eval) {
    const coti_attr_AXIS *attr = eval->node->attr;
    int64_t at = 0;
    for (int32_t k = 0; k < eval->node->n_inputs; k++) {
        const coti_tensor *x = &eval->input[k];
        coti_walk walk = walk_operand(eval, x);
        walk.offset[0] = at * walk.stride[0][attr->axis];
        copy_walk(walk, eval->out, x);
        at += x->shape.dim[attr->axis];
    }
    return COT_OK;
}
