/*
 * The analytic choice of a product's form, register tile, packing and units (notes on how it scores
 * stand in tile.c).
 */
#ifndef COTI_TILE_H
#define COTI_TILE_H

#include "jit.h"

/*
 * Fill form, tile_broadcast, tile_vectors, pack, unit_m and unit_n of a product whose extents and
 * strides are set. A function of those, of max_rows (an estimate for a batched extent) and of the
 * machine; never of threads.
 */
void coti_tile_choose(coti_gemm *gemm, const coti_target *machine, int64_t max_rows);

/* Lanes of a hardware vector of the product's dtype. */
int32_t coti_tile_lanes(const coti_gemm *gemm, const coti_target *target);

/* Does one tile alone read each packed panel, in rows of k? It is then packed while it is used. */
bool coti_tile_streams(const coti_gemm *gemm, const coti_target *target);

/* The same for a product of windows, whose `window` is set but for its run (tile_window.c). target:
 * with the lanes of the product's dtype. */
void coti_tile_choose_window(coti_gemm *gemm, const coti_target *target, int64_t max_rows);

/* Do vectors of so many lanes hold several groups of a product of windows? */
bool coti_tile_by_lanes(const coti_gemm *gemm, int32_t lanes);

/* Do a tile's sums fit the registers, with all else that a step needs? */
bool coti_tile_fits(const coti_target *target, int32_t height, int32_t vectors);
/* Time of one step of k of a tile, in vector fmas. */
double coti_tile_step_time(const coti_target *target, int32_t height, int32_t vectors);

/* Units of a product that is not over rows: b * inner * ceil(m / unit_m) * ceil(n / unit_n). */
int64_t coti_tile_units(const coti_gemm *gemm);

#endif
