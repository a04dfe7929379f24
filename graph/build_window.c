/*
 * The builder of windows, and what stands around them (window.h): zeros between and beside
 * elements.
 */
#include "build.h"
#include "window.h"

#include <string.h>

/* ---- the builder ---- */

/* False with COT_E_ARG recorded if the list is NULL. */
static bool copy_list(cot_value x, const int64_t *list, int32_t n, const char *what,
                      coti_attr_INTS_type *out) {
    if (list == NULL) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, COT_OP_WINDOW, &x, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "the list \"%s\" is NULL", what);
        return false;
    }
    out->n = n;
    memcpy(out->v, list, (size_t)n * sizeof *list);
    return true;
}

cot_value cot_op_window(cot_value x, int32_t axis, int32_t n_axes, const int64_t *size,
                        const int64_t *stride, const int64_t *dilation) {
    if (coti_graph_of("window", &x, 1) == NULL) {
        return coti_poison();
    }
    if (n_axes < 1 || n_axes > COT_MAX_RANK) {
        coti_operands operands;
        coti_operands_fill(&operands, x.graph, COT_OP_WINDOW, &x, 1);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "along %d axes, expected 1 to %d", n_axes,
                        COT_MAX_RANK);
        return coti_poison();
    }
    coti_attr_WINDOW attr = {.axis = coti_build_axis(x, axis)};
    if (!copy_list(x, size, n_axes, "size", &attr.size) ||
        !copy_list(x, stride, n_axes, "stride", &attr.stride) ||
        !copy_list(x, dilation, n_axes, "dilation", &attr.dilation)) {
        return coti_poison();
    }
    return coti_graph_add(x.graph, COT_OP_WINDOW, &x, 1, &attr, COT_F32, NULL);
}

int64_t coti_window_count(int64_t extent, int64_t size, int64_t stride, int64_t dilation) {
    int64_t last = 0;
    if (!coti_size_mul(size - 1, dilation, &last) || last >= extent) {
        return 0;
    }
    return (extent - last - 1) / stride + 1;
}

/* ---- in the midst of zeros ---- */

static cot_value reshape_to(cot_value x, const cot_shape *shape) {
    cot_shape now = cot_value_shape(x);
    return coti_shape_equal(&now, shape) ? x : cot_op_reshape(x, *shape);
}

cot_value coti_zeros(cot_value x, cot_shape shape) {
    cot_value zero = cot_op_constant(x.graph, cot_value_dtype(x), 0.0);
    return shape.rank == 0 ? zero : cot_op_broadcast(zero, shape, NULL, 0);
}

/*
 * As reshapes around a pad: the axis behind it (one of extent 1, where it is the last) grows to
 * `stride` times its extent, and all but its first part then joins the strided axis.
 */
cot_value coti_dilate(cot_value x, int32_t axis, int64_t stride) {
    cot_shape result = cot_value_shape(x);
    cot_shape open = result;
    int32_t behind = axis + 1;
    if (x.graph == NULL || stride == 1) {
        return x;
    }
    if (behind == open.rank && open.rank < COT_MAX_RANK) {
        open.dim[open.rank++] = 1;
    } else if (behind == open.rank) {
        open.dim[1] *= open.dim[2]; /* room for one more axis: axes 1 and 2 are never the rows */
        for (int32_t i = 2; i + 1 < open.rank; i++) {
            open.dim[i] = open.dim[i + 1];
        }
        open.dim[axis] = 1;
        behind = axis;
    }
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    high[behind] = (stride - 1) * open.dim[behind];
    result.dim[axis] *= stride;
    return cot_op_reshape(cot_op_pad(reshape_to(x, &open), low, high, 0.0), result);
}

cot_value coti_place(cot_value x, const int64_t *at, const int64_t *extent) {
    cot_shape shape = cot_value_shape(x);
    cot_shape whole = shape;
    cot_shape part = shape;
    int64_t start[COT_MAX_RANK] = {0};
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    int64_t ones[COT_MAX_RANK];
    bool cut = false;
    bool pad = false;
    bool none = false;
    for (int32_t a = 0; a < shape.rank; a++) {
        int64_t end = extent[a] - at[a] < shape.dim[a] ? extent[a] - at[a] : shape.dim[a];
        ones[a] = 1;
        start[a] = at[a] < 0 ? -at[a] : 0;
        whole.dim[a] = extent[a];
        part.dim[a] = end - start[a];
        low[a] = at[a] > 0 ? at[a] : 0;
        high[a] = extent[a] - low[a] - part.dim[a];
        none = none || part.dim[a] <= 0;
        cut = cut || part.dim[a] != shape.dim[a];
        pad = pad || low[a] != 0 || high[a] != 0;
    }
    if (x.graph == NULL || none) {
        return x.graph == NULL ? x : coti_zeros(x, whole);
    }
    x = cut ? cot_op_slice(x, start, part.dim, ones) : x;
    return pad ? cot_op_pad(x, low, high, 0.0) : x;
}
