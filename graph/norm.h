/*
 * What the builders, the decompositions and the gradient rules of normalisations share, so that all
 * make the same nodes of the same statistics and a graph computes them once.
 */
#ifndef COTI_NORM_H
#define COTI_NORM_H

#include "graph.h"

typedef struct coti_moments {
    cot_value mean, variance; /* x's shape without the axes */
    cot_value centred;        /* x - mean, x's shape */
} coti_moments;

/*
 * Mean and variance (divided by the count, not less 1) of x over ascending axes, which may include
 * N. By the corrected two-pass algorithm: with m the mean as it comes out rounded, and c = x - m,
 *     mean = m + mean(c)    centred = c - mean(c)    variance = max(mean(c^2) - mean(c)^2, 0)
 * In exact arithmetic mean(c) is 0. What is subtracted is of the size of m's rounding error, so
 * nothing cancels; equal elements have variance 0 to rounding, however large they are. Both sums
 * over c are made in one pass. Src: Chan, Golub, LeVeque, "Algorithms for computing the sample
 * variance: analysis and recommendations", The American Statistician 37 (1983), eq. 1.7.
 */
coti_moments coti_make_moments(cot_value x, const int32_t *axes, int32_t n_axes);

/* A value without the axes repeated along them, to `shape`. */
cot_value coti_spread(cot_value value, const cot_shape *shape, const int32_t *axes, int32_t n_axes);

/* One of LAYER_NORM, RMS_NORM, GROUP_NORM, BATCH_NORM, on x of a shape. */
typedef struct coti_norm {
    cot_shape shape; /* x's */
    cot_shape view;  /* x as it is normalised: its shape; for groups [n, positions, groups, c] */
    int32_t axes[COT_MAX_RANK];
    int32_t n_axes;   /* of view: the statistics are over these */
    int32_t n_scaled; /* the last axes of view are those of scale and offset */
    bool is_centred;  /* the mean is subtracted */
    double epsilon;
} coti_norm;

/* node: one of the four, from any graph. */
coti_norm coti_norm_of(const coti_node *node, const cot_shape *shape);

/* 1 / sqrt(variance + epsilon), without the axes, and x less its mean times that, both of view. */
typedef struct coti_normal {
    cot_value inverse, normal;
} coti_normal;
coti_normal coti_make_normal(const coti_norm *norm, cot_value x);

/* To view, and back. scale and offset go to view's last axes. */
cot_value coti_norm_view(const coti_norm *norm, cot_value x);
cot_value coti_norm_unview(const coti_norm *norm, cot_value y);
cot_value coti_norm_factor(const coti_norm *norm, cot_value scale);

#endif
