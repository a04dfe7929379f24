/*
 * Index walks and element access of the reference evaluator: how every rule reaches its elements,
 * whatever the rank, the strides and the dtype. Contract: eval.h.
 */
#include "eval.h"

coti_walk coti_walk_make(int32_t rank, const int64_t *extent) {
    coti_walk walk = {.rank = rank};
    for (int32_t d = 0; d < rank; d++) {
        walk.extent[d] = extent[d];
    }
    return walk;
}

int64_t coti_walk_count(const coti_walk *walk) {
    int64_t count = 1;
    for (int32_t d = 0; d < walk->rank; d++) {
        count *= walk->extent[d];
    }
    return count;
}

void coti_walk_next(coti_walk *walk) {
    for (int32_t d = walk->rank - 1; d >= 0; d--) {
        walk->index[d]++;
        walk->offset[0] += walk->stride[0][d];
        walk->offset[1] += walk->stride[1][d];
        if (walk->index[d] < walk->extent[d]) {
            return;
        }
        walk->index[d] = 0;
        walk->offset[0] -= walk->stride[0][d] * walk->extent[d];
        walk->offset[1] -= walk->stride[1][d] * walk->extent[d];
    }
}

void coti_dense_strides(const cot_shape *shape, int64_t stride[COT_MAX_RANK]) {
    int64_t step = 1;
    for (int32_t d = shape->rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= shape->dim[d];
    }
}

cot_shape coti_shape_bind(const cot_shape *shape, int64_t rows) {
    cot_shape bound = *shape;
    if (shape->batched) {
        bound.batched = false;
        bound.dim[0] = shape->dim[0] * rows;
    }
    return bound;
}

int64_t coti_tensor_count(const coti_tensor *tensor) {
    coti_walk walk = coti_walk_make(tensor->shape.rank, tensor->shape.dim);
    return coti_walk_count(&walk);
}

double coti_tensor_get(const coti_tensor *tensor, int64_t i) {
    if (tensor->dtype == COT_F32) {
        return (double)((const float *)tensor->data)[i];
    }
    if (tensor->dtype == COT_F64) {
        return ((const double *)tensor->data)[i];
    }
    return (double)coti_tensor_get_int(tensor, i);
}

int64_t coti_tensor_get_int(const coti_tensor *tensor, int64_t i) {
    switch (tensor->dtype) {
    case COT_F32:
    case COT_F64:
        return coti_saturate(coti_tensor_get(tensor, i), COT_I64);
    case COT_I32:
        return ((const int32_t *)tensor->data)[i];
    case COT_I64:
        return ((const int64_t *)tensor->data)[i];
    case COT_U8:
        return ((const uint8_t *)tensor->data)[i];
    case COT_BOOL:
        return ((const uint8_t *)tensor->data)[i] != 0;
    }
    return 0;
}

void coti_tensor_set(coti_tensor *tensor, int64_t i, long double value) {
    if (tensor->dtype == COT_F32) {
        ((float *)tensor->data)[i] = (float)value;
    } else {
        ((double *)tensor->data)[i] = (double)value;
    }
}

void coti_tensor_set_int(coti_tensor *tensor, int64_t i, int64_t value) {
    switch (tensor->dtype) {
    case COT_F32:
        ((float *)tensor->data)[i] = (float)value;
        break;
    case COT_F64:
        ((double *)tensor->data)[i] = (double)value;
        break;
    case COT_I32:
        ((uint32_t *)tensor->data)[i] = (uint32_t)value;
        break;
    case COT_I64:
        ((int64_t *)tensor->data)[i] = value;
        break;
    case COT_U8:
        ((uint8_t *)tensor->data)[i] = (uint8_t)value;
        break;
    case COT_BOOL:
        ((uint8_t *)tensor->data)[i] = value != 0;
        break;
    }
}

/* value to an integer in [low, high]; `above` is the smallest double past high. */
static int64_t clamp_to(double value, int64_t low, int64_t high, double above) {
    if (value != value) {
        return 0;
    }
    if (value >= above) {
        return high;
    }
    return value <= (double)low ? low : (int64_t)value;
}

int64_t coti_saturate(double value, cot_dtype dtype) {
    switch (dtype) {
    case COT_I32:
        return clamp_to(value, INT32_MIN, INT32_MAX, 0x1p31);
    case COT_I64:
        return clamp_to(value, INT64_MIN, INT64_MAX, 0x1p63);
    case COT_U8:
        return clamp_to(value, 0, UINT8_MAX, 0x1p8);
    case COT_BOOL:
        return value != 0;
    case COT_F32:
    case COT_F64:
        break;
    }
    return 0;
}
