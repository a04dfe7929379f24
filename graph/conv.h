/*
 * What the files of convolutions share: the extents of one, however it is given.
 *
 * Layouts are channels-last, of 1 to 3 spatial axes: x [batch, x.., cin], w [k.., cin / groups,
 * cout], y [batch, o.., cout]. Position o meets tap k at x's o * stride + k * dilation - low, which
 * is zero outside of x. conv, conv_dx and conv_dw are the three parts of this one trilinear form,
 * and so each other's derivatives.
 */
#ifndef COTI_CONV_H
#define COTI_CONV_H

#include "graph.h"

enum { COTI_SPATIAL = COT_MAX_SPATIAL };

/* Spatial axes from n on have extents and steps of 1, and no padding. */
typedef struct coti_conv {
    int32_t n;
    int64_t batch; /* c of c*N, if batched */
    bool batched;
    int64_t x[COTI_SPATIAL], k[COTI_SPATIAL], o[COTI_SPATIAL];
    int64_t stride[COTI_SPATIAL], dilation[COTI_SPATIAL], low[COTI_SPATIAL], high[COTI_SPATIAL];
    int64_t cin, cout, groups;
} coti_conv;

/* Of a CONV, CONV_DX or CONV_DW that its infer rule has accepted: its attributes, its operands'
 * shapes, whose N may be bound. */
coti_conv coti_conv_of(cot_op op, const void *attr, const cot_shape *a, const cot_shape *b);

/* The options that say the same as a node's attributes. */
cot_conv_axes coti_conv_axes_of(const coti_conv *c);

/* ---- kernels of their own (conv_direct.c) ---- */

/* The spatial axis along which a kernel takes positions together: the last, or the first if the
 * other is nothing but a place. */
int32_t coti_conv_row_axis(const coti_conv *c);

/* One axis of a convolution. */
typedef struct coti_conv_axis {
    int64_t x, k, o, stride, dilation, low;
} coti_conv_axis;

/* Along it: how many of the o positions begin before x, and how many end behind it; both counts may
 * tell of the same position. */
void coti_conv_borders(const coti_conv_axis *axis, int64_t *first_out, int64_t *last_out);

/* Of groups that share a vector, the most terms of a row of taps that a kernel of its own takes. */
enum { COTI_CONV_ROW_TERMS = 32 };

/*
 * A CONV_DX as a CONV: of the cotangent, with stride - 1 zeros between its positions, and the
 * kernel turned. Position x meets tap k of that at x + k dilation - low.
 */
coti_conv coti_conv_turned(const coti_conv *c);
/* w [k.., a, b] with its taps in reverse order and its channels exchanged: [k.., b, a]; in each of
 * its groups, w [k.., a, group b]: [k.., b, group a]. */
cot_value coti_conv_turn_weights(cot_value w, const coti_conv *c);
/* Depthwise: each channel of the result has one of x for itself. */
static inline bool coti_conv_is_depthwise(const coti_conv *c) {
    return c->groups > 1 && c->groups == c->cin && c->groups == c->cout;
}

/* Has this node, of operands of these shapes, a kernel of its own? */
bool coti_conv_is_direct(const coti_node *node, const cot_shape *a, const cot_shape *b);

/* Of a CONV, CONV_DX or CONV_DW, the same by a node that has one; false: there is none. */
bool coti_conv_direct(const coti_node *node, const cot_value *input, cot_value *result_out);

/* ---- shapes ---- */

/* x [batch, x.., cin] and y [batch, o.., cout]; w [k.., cin / groups, cout]. */
cot_shape coti_conv_data_shape(const coti_conv *c, const int64_t *spatial, int64_t channels);
cot_shape coti_conv_weight_shape(const coti_conv *c);

#endif
