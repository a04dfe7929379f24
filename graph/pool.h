/*
 * What the files of pools share. A pool goes along one spatial axis after the other, last to first:
 * windows along that axis alone, and their maximum or sum. So nothing of a window's whole extent
 * ever lies in memory, the work grows with the sum of its extents, and the first of several maxima
 * along each axis is the first in the window, row by row.
 */
#ifndef COTI_POOL_H
#define COTI_POOL_H

#include "graph.h"

/* x [batch, x.., channels], its spatial axes padded by `value`. */
cot_value coti_pool_pad(cot_value x, const coti_attr_POOL *attr, double value);

/* Windows along spatial axis i of x: their positions are axis i + 1, their elements axis i + 2. */
coti_attr_WINDOW coti_pool_window(const coti_attr_POOL *attr, int32_t i);
cot_value coti_pool_windows(cot_value x, const coti_attr_POOL *attr, int32_t i);

/* Reduce axis i + 2 of such windows. */
cot_value coti_pool_reduce(cot_op op, cot_value windows, int32_t i);

#endif
