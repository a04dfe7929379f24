/*
 * Random windows, convolutions and pools: contract in random_graph.h.
 */
#include "random_pick.h"

/* Windows along one axis or two; of an operand that is short, sometimes none. */
void random_try_window(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x);
    int64_t size[2], stride[2], dilation[2];
    int32_t room = shape.rank - free_axis(&shape);
    if (room == 0 || shape.rank >= 4) {
        return;
    }
    int32_t axis = free_axis(&shape) + (int32_t)below(g, room);
    int32_t n = axis + 1 < shape.rank && shape.rank < 3 ? 1 + (int32_t)below(g, 2) : 1;
    for (int32_t i = 0; i < n; i++) {
        size[i] = 1 + below(g, 3);
        stride[i] = 1 + below(g, 3);
        dilation[i] = 1 + below(g, 2);
        int64_t last = (size[i] - 1) * dilation[i];
        if (last >= shape.dim[axis + i] && below(g, 8) > 0) {
            size[i] = 1;
        }
    }
    keep(g, cot_op_window(x, axis, n, size, stride, dilation));
}

/* ---- convolutions ---- */

/* A kernel: numbers of its own, sometimes times a scalar of the graph. Poison if it is too large.
 */
static cot_value make_kernel(random_graph *g, cot_shape shape) {
    float data[256];
    int64_t count = 0;
    if (!coti_shape_elements(&shape, 1, &count) || count > 256) {
        return coti_poison();
    }
    for (int64_t i = 0; i < count; i++) {
        data[i] = (float)(below(g, 9) - 4) * 0.125f;
    }
    cot_value w = cot_op_constant_array(g->graph, COT_F32, shape, data);
    cot_value scale;
    w = g->real == COT_F32 ? w : cot_op_cast(w, g->real);
    if (!choose(g, g->real, &scale) || cot_value_shape(scale).rank != 0) {
        return w;
    }
    return cot_op_binary(COT_OP_MUL, w, cot_op_unary(COT_OP_TANH, scale));
}

/* A convolution, and now and then its own transposes of what it gives. */
static void keep_conv(random_graph *g, cot_value x, cot_value w, const cot_conv_axes *axes) {
    cot_value y = cot_op_conv(x, w, axes);
    const cot_shape of_x = cot_value_shape(x), of_w = cot_value_shape(w);
    keep(g, y);
    switch (small_enough(y) ? below(g, 3) : 0) {
    case 1:
        keep(g, cot_op_conv_dx(y, w, of_x.dim + 1, axes));
        break;
    case 2:
        keep(g, cot_op_conv_dw(x, y, of_w.dim, axes));
        break;
    default:
        break;
    }
}

/* A convolution of a value of rank 2 or 3, seen as one of one spatial axis or of two. */
void random_try_conv(random_graph *g) {
    cot_value x;
    if (!choose(g, g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    if (shape.rank < 2 || shape.rank > 3) {
        return;
    }
    if (shape.rank == 2 || below(g, 2) == 0) {
        shape.dim[shape.rank++] = 1;
        x = cot_op_reshape(x, shape);
    }
    int32_t n = shape.rank - 2;
    int64_t cin = shape.dim[n + 1];
    cot_conv_axes axes = {.groups = below(g, 2) == 0 || cin == 0 ? 1 : cin};
    cot_shape kernel = {.rank = n + 2};
    for (int32_t i = 0; i < n; i++) {
        axes.stride[i] = 1 + below(g, 2);
        axes.dilation[i] = 1 + below(g, 2);
        axes.low[i] = below(g, 3);
        axes.high[i] = below(g, 2);
        kernel.dim[i] = 1 + below(g, 3);
    }
    kernel.dim[n] = cin / axes.groups;
    kernel.dim[n + 1] = axes.groups * (1 + below(g, 2));
    cot_value w = make_kernel(g, kernel);
    if (w.graph != NULL) {
        keep_conv(g, x, w, &axes);
    }
}

/* A pool of a value of rank 2 or 3, seen as a convolution sees it. */
void random_try_pool(random_graph *g) {
    cot_value x;
    if (!choose(g, g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    if (shape.rank < 2 || shape.rank > 3) {
        return;
    }
    if (shape.rank == 2 || below(g, 2) == 0) {
        shape.dim[shape.rank++] = 1;
        x = cot_op_reshape(x, shape);
    }
    cot_pool_axes axes = {.size = {0}};
    for (int32_t i = 0; i < shape.rank - 2; i++) {
        axes.size[i] = 1 + below(g, 3);
        axes.stride[i] = below(g, 3);
        axes.low[i] = below(g, axes.size[i]);
        axes.high[i] = below(g, axes.size[i]);
    }
    keep(g, below(g, 2) == 0 ? cot_op_max_pool(x, &axes) : cot_op_avg_pool(x, &axes));
}
