/*
 * Regions of recomputation chosen by size (cot_graph_set_remat says what a region is): the nodes so
 * far, in their order, are cut into stretches, and every stretch but the last becomes a region.
 *
 * The last needs none: the backward part begins with it, while its values are there. So the peak is
 * what leaves all stretches, and the values of one stretch. In a chain of n equal layers stretches
 * of sqrt(n) layers have the lowest peak; longer ones have a higher one and compute less again.
 */
#ifndef COTI_REMAT_MARK_H
#define COTI_REMAT_MARK_H

#include "graph/graph.h"

typedef struct coti_stretches {
    int64_t bytes;     /* of all values, at the rows asked: what stretches are measured by */
    int32_t n_regions; /* that were marked */
} coti_stretches;

/*
 * Mark the nodes of the graph, which holds no backward part yet. rows: at which values are
 * measured. stretch_bytes: most bytes of a stretch's values, if one value is not larger; 0: mark
 * nothing. Cuts are where the fewest bytes cross, of those places that make a stretch at least half
 * as long as it may be, and before a product, a reduction or a composite, so that what follows one
 * elementwise stays with it. Nodes that are in a region stay there. Linear.
 * fails: COT_E_NOMEM, COT_E_SHAPE (too large)
 */
cot_status coti_remat_mark(cot_graph *graph, int64_t rows, int64_t stretch_bytes,
                           coti_stretches *stretches_out);

#endif
