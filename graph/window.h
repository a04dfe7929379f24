/*
 * Windows: the arithmetic of their extents, and what decompositions and gradient rules put around
 * them. All of it is nodes of the other operations.
 */
#ifndef COTI_WINDOW_H
#define COTI_WINDOW_H

#include "graph.h"

/*
 * How many windows of `size` elements, `dilation` apart, begin `stride` apart in `extent` elements:
 * 0 if none fits. size, stride, dilation >= 1, extent >= 0; no product overflows.
 */
int64_t coti_window_count(int64_t extent, int64_t size, int64_t stride, int64_t dilation);

/*
 * Put stride-1 zeros behind each element along an axis: [.., n, ..] becomes [.., n*stride, ..]; x
 * itself for a stride of 1. Not a batched leading axis.
 */
cot_value coti_dilate(cot_value x, int32_t axis, int64_t stride);

/*
 * x in the midst of zeros: element i of axis a becomes element i + at[a] of extent[a] there, one
 * entry for each axis of x. What falls outside, at[a] may be negative, is dropped. A batched
 * leading axis must stay as it is: at 0, its own extent.
 */
cot_value coti_place(cot_value x, const int64_t *at, const int64_t *extent);

/* Zeros of x's dtype. */
cot_value coti_zeros(cot_value x, cot_shape shape);

#endif
