/*
 * Shapes: equality and validity.
 */
#include "graph.h"

#include <string.h>

/* An empty axis limits the others no less than one of extent 1: strides, parts and axes that are
 * dropped or permuted then overflow nowhere. */
static bool extents_fit(const cot_shape *shape) {
    int64_t product = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        int64_t extent = shape->dim[i] == 0 ? 1 : shape->dim[i];
        if (!coti_size_mul(product, extent, &product)) {
            return false;
        }
    }
    return true;
}

bool coti_shape_is_empty(const cot_shape *shape) {
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0) {
            return true;
        }
    }
    return false;
}

static bool is_valid(const cot_shape *shape) {
    return shape->rank >= 0 && shape->rank <= COT_MAX_RANK &&
           (!shape->batched || (shape->rank > 0 && shape->dim[0] >= 1)) && extents_fit(shape);
}

/* What is wrong with a shape that is not valid. */
static cot_status refuse(cot_context *context, const cot_shape *shape, const char *who,
                         const char *layer) {
    if (shape->rank < 0 || shape->rank > COT_MAX_RANK) {
        return COTI_OP_FAIL(context, COT_E_SHAPE, who, layer, "rank %d is out of range 0..%d",
                            shape->rank, COT_MAX_RANK);
    }
    if (shape->batched && shape->rank == 0) {
        return COTI_OP_FAIL(context, COT_E_SHAPE, who, layer,
                            "a batched shape needs a leading axis, this one has rank 0");
    }
    if (shape->batched && shape->dim[0] < 1) {
        return COTI_OP_FAIL(context, COT_E_SHAPE, who, layer,
                            "the batched axis has %lld rows a run's row, must be at least 1",
                            (long long)shape->dim[0]);
    }
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0) {
            return COTI_OP_FAIL(context, COT_E_SHAPE, who, layer,
                                "extent %lld of axis %d is "
                                "negative",
                                (long long)shape->dim[i], i);
        }
    }
    char text[COTI_TYPE_BYTES];
    const char *type = coti_type_text(text, COT_F32, shape);
    return COTI_OP_FAIL(context, COT_E_SHAPE, who, layer,
                        "%s has more than %lld elements, counting an empty axis as 1",
                        strchr(type, '['), (long long)COTI_SIZE_MAX);
}

cot_status coti_shape_check(cot_context *context, const cot_shape *shape, const char *op,
                            const char *layer) {
    return is_valid(shape) ? COT_OK : refuse(context, shape, op != NULL ? op : "shape", layer);
}
