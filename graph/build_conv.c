/*
 * Builders of convolutions, and their extents (conv.h).
 */
#include "build.h"
#include "conv.h"
#include "window.h"

#include <string.h>

/* ---- extents ---- */

static void copy_spatial(int64_t *to, const int64_t *from, int32_t n) {
    memcpy(to, from, (size_t)n * sizeof *to);
}

/* Attributes but size, which only two of the three have. */
static void take_attributes(coti_conv *c, const coti_attr_INTS_type *stride,
                            const coti_attr_INTS_type *dilation, const coti_attr_INTS_type *low,
                            const coti_attr_INTS_type *high, int64_t groups) {
    c->n = stride->n;
    c->groups = groups;
    copy_spatial(c->stride, stride->v, c->n);
    copy_spatial(c->dilation, dilation->v, c->n);
    copy_spatial(c->low, low->v, c->n);
    copy_spatial(c->high, high->v, c->n);
}

/* What no operand has is the size: x's extents of CONV_DX, the kernel's of CONV_DW. */
static void take_shapes(coti_conv *c, cot_op op, const coti_attr_INTS_type *size,
                        const cot_shape *a, const cot_shape *b) {
    copy_spatial(c->x, op == COT_OP_CONV_DX ? size->v : &a->dim[1], c->n);
    copy_spatial(c->k, op == COT_OP_CONV_DW ? size->v : b->dim, c->n);
    c->batch = a->dim[0];
    c->batched = a->batched;
    c->cin = op == COT_OP_CONV_DX ? b->dim[c->n] * c->groups : a->dim[c->n + 1];
    c->cout = b->dim[c->n + 1]; /* b: the kernel, or y's cotangent */
}

coti_conv coti_conv_of(cot_op op, const void *attr, const cot_shape *a, const cot_shape *b) {
    const coti_attr_CONV *plain = attr;
    const coti_attr_CONV_SIZED *sized = attr;
    coti_conv c = {.n = 0};
    for (int32_t i = 0; i < COTI_SPATIAL; i++) {
        c.x[i] = c.k[i] = c.o[i] = c.stride[i] = c.dilation[i] = 1;
    }
    if (op == COT_OP_CONV) {
        take_attributes(&c, &plain->stride, &plain->dilation, &plain->low, &plain->high,
                        plain->groups);
        take_shapes(&c, op, NULL, a, b);
    } else {
        take_attributes(&c, &sized->stride, &sized->dilation, &sized->low, &sized->high,
                        sized->groups);
        take_shapes(&c, op, &sized->size, a, b);
    }
    for (int32_t i = 0; i < c.n; i++) {
        c.o[i] =
            coti_window_count(c.x[i] + c.low[i] + c.high[i], c.k[i], c.stride[i], c.dilation[i]);
    }
    return c;
}

cot_conv_axes coti_conv_axes_of(const coti_conv *c) {
    cot_conv_axes axes = {.groups = c->groups};
    copy_spatial(axes.stride, c->stride, c->n);
    copy_spatial(axes.dilation, c->dilation, c->n);
    copy_spatial(axes.low, c->low, c->n);
    copy_spatial(axes.high, c->high, c->n);
    return axes;
}

cot_shape coti_conv_data_shape(const coti_conv *c, const int64_t *spatial, int64_t channels) {
    cot_shape shape = {.rank = c->n + 2, .batched = c->batched, .dim = {c->batch}};
    copy_spatial(&shape.dim[1], spatial, c->n);
    shape.dim[c->n + 1] = channels;
    return shape;
}

cot_shape coti_conv_weight_shape(const coti_conv *c) {
    cot_shape shape = {.rank = c->n + 2};
    copy_spatial(shape.dim, c->k, c->n);
    shape.dim[c->n] = c->cin / c->groups;
    shape.dim[c->n + 1] = c->cout;
    return shape;
}

void cot_conv_same(int64_t extent, int64_t size, int64_t stride, int64_t dilation, int64_t *low_out,
                   int64_t *high_out) {
    int64_t covered = 0;
    int64_t span = 0;
    *low_out = *high_out = 0;
    if (extent < 1 || size < 1 || stride < 1 || dilation < 1 ||
        !coti_size_mul((extent - 1) / stride, stride, &covered) ||
        !coti_size_mul(size - 1, dilation, &span) || !coti_size_add(covered, span + 1, &covered) ||
        covered <= extent) {
        return;
    }
    *low_out = (covered - extent) / 2;
    *high_out = covered - extent - *low_out;
}

/* ---- builders ---- */

/* How many spatial axes an operand of the call has; 0 where the infer rule will say that its rank
 * is wrong. */
static int32_t spatial_axes(cot_value value) {
    int32_t n = coti_node_of(value)->shape.rank - 2;
    return n < 0 ? 0 : n > COTI_SPATIAL ? COTI_SPATIAL : n;
}

/* A list of options; 0 stands for `otherwise`. */
static coti_attr_INTS_type option_list(const int64_t *list, int32_t n, int64_t otherwise) {
    coti_attr_INTS_type ints = {.n = n};
    for (int32_t i = 0; i < n; i++) {
        ints.v[i] = list[i] == 0 ? otherwise : list[i];
    }
    return ints;
}

/* False, with COT_E_ARG recorded, if one is missing. */
static bool check_given(cot_op op, const cot_value *value, const void *given, const char *what) {
    if (given == NULL) {
        coti_operands operands;
        coti_operands_fill(&operands, value[0].graph, op, value, 2);
        COTI_INFER_FAIL(&operands.infer, COT_E_ARG, "\"%s\" is NULL", what);
    }
    return given != NULL;
}

/* One of the three; size is NULL for CONV. */
static cot_value add_conv(cot_op op, const cot_value *value, const int64_t *size,
                          const cot_conv_axes *axes) {
    cot_graph *graph = coti_graph_of(cot_op_name(op), value, 2);
    if (graph == NULL || !check_given(op, value, axes, "axes") ||
        (op != COT_OP_CONV && !check_given(op, value, size, "size"))) {
        return coti_poison();
    }
    int32_t n = spatial_axes(value[0]);
    const coti_attr_CONV plain = {.stride = option_list(axes->stride, n, 1),
                                  .dilation = option_list(axes->dilation, n, 1),
                                  .low = option_list(axes->low, n, 0),
                                  .high = option_list(axes->high, n, 0),
                                  .groups = axes->groups == 0 ? 1 : axes->groups};
    if (op == COT_OP_CONV) {
        return coti_graph_add(graph, op, value, 2, &plain, COT_F32, NULL);
    }
    const coti_attr_CONV_SIZED sized = {.size = option_list(size, n, 0),
                                        .stride = plain.stride,
                                        .dilation = plain.dilation,
                                        .low = plain.low,
                                        .high = plain.high,
                                        .groups = plain.groups};
    return coti_graph_add(graph, op, value, 2, &sized, COT_F32, NULL);
}

cot_value cot_op_conv(cot_value x, cot_value w, const cot_conv_axes *axes) {
    const cot_value value[2] = {x, w};
    return add_conv(COT_OP_CONV, value, NULL, axes);
}

cot_value cot_op_conv_dx(cot_value g, cot_value w, const int64_t *size, const cot_conv_axes *axes) {
    const cot_value value[2] = {g, w};
    return add_conv(COT_OP_CONV_DX, value, size, axes);
}

cot_value cot_op_conv_dw(cot_value x, cot_value g, const int64_t *size, const cot_conv_axes *axes) {
    const cot_value value[2] = {x, g};
    return add_conv(COT_OP_CONV_DW, value, size, axes);
}
