/*
 * Random gathers and scatters, dynamic slices, orders and running sums: contract in random_graph.h.
 */
#include "random_pick.h"

#include <string.h>

/* An index for x: one in range most often, of a few places or of some per row. */
static bool choose_index(random_graph *g, const cot_shape *x, cot_value *out) {
    cot_shape shape = {1, false, {1 + below(g, 5)}};
    if (below(g, 3) > 0 && choose(g, g->whole, out)) {
        return true;
    }
    if (x->batched) {
        shape = (cot_shape){2, true, {x->dim[0], 1 + below(g, 4)}};
    }
    cot_value iota = cot_op_iota(g->graph, COT_I32, shape, shape.rank - 1);
    *out = cot_op_binary(COT_OP_MUL, iota, cot_op_constant(g->graph, COT_I32, (double)below(g, 3)));
    return true;
}

/* Can this be gathered: as the infer rule says, for an axis that is not N? */
static bool gather_fits(const cot_shape *x, const cot_shape *index, int32_t axis, int32_t n_batch) {
    if (n_batch > index->rank || n_batch > axis || x->rank + index->rank - n_batch - 1 > 5) {
        return false;
    }
    for (int32_t d = 0; d < n_batch; d++) {
        if (x->dim[d] != index->dim[d] || (d == 0 && x->batched != index->batched)) {
            return false;
        }
    }
    bool moves = index->batched && n_batch == 0 && (axis > 0 || x->batched);
    return !moves && (n_batch > 0 || !x->batched || !index->batched);
}

void random_try_gather(random_graph *g) {
    cot_value x, index;
    if (!choose(g, below(g, 6) == 0 ? g->whole : g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    for (int32_t attempt = 0; attempt < 16 && shape.rank > free_axis(&shape); attempt++) {
        int32_t axis = free_axis(&shape) + (int32_t)below(g, shape.rank - free_axis(&shape));
        int32_t n_batch = (int32_t)below(g, axis + 1);
        if (!choose_index(g, &shape, &index)) {
            return;
        }
        cot_shape places = cot_value_shape(index);
        if (gather_fits(&shape, &places, axis, n_batch)) {
            keep(g, cot_op_gather(x, index, axis, n_batch));
            return;
        }
    }
}

/* Updates whose leading axes are the index', over rows too; or a row's own. */
void random_try_scatter_add(random_graph *g) {
    cot_value x, index;
    if (!choose(g, g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    if (shape.rank == 0) {
        return;
    }
    int64_t extent = 1 + below(g, 20);
    int32_t n_batch = (int32_t)below(g, 2), n_index = 1 + (int32_t)below(g, shape.rank);
    cot_shape places = shape;
    places.rank = n_index;
    n_batch = n_batch > n_index ? n_index : n_batch;
    if (below(g, 3) == 0 && choose(g, g->whole, &index)) {
        places = cot_value_shape(index);
        n_index = places.rank;
        if (n_index > shape.rank || n_batch > n_index || places.batched != shape.batched ||
            memcmp(places.dim, shape.dim, (size_t)n_index * sizeof places.dim[0]) != 0) {
            return;
        }
    } else {
        cot_value iota = cot_op_iota(g->graph, COT_I32, places, (int32_t)below(g, n_index));
        cot_value most = cot_op_constant(g->graph, COT_I32, (double)below(g, 12));
        index = cot_op_binary(below(g, 2) ? COT_OP_MIN : COT_OP_SUB, iota, most);
    }
    if (shape.rank - n_index + n_batch < COT_MAX_RANK) {
        keep(g, cot_op_scatter_add(x, index, n_batch, n_batch, extent));
    }
}

/* A value, and an axis of it that is not N; false: it has none. */
static bool choose_axis(random_graph *g, cot_value *x, int32_t *axis) {
    if (!choose(g, below(g, 5) == 0 ? g->whole : g->real, x)) {
        return false;
    }
    cot_shape shape = cot_value_shape(*x);
    int32_t first = free_axis(&shape);
    *axis = shape.rank > first ? first + (int32_t)below(g, shape.rank - first) : -1;
    return *axis >= 0;
}

/* An i32 or i64 scalar: N, or a number, which may be outside. */
static cot_value make_start(random_graph *g) {
    if (below(g, 4) == 0) {
        return cot_op_rows(g->graph);
    }
    return cot_op_constant(g->graph, below(g, 2) ? COT_I32 : COT_I64, (double)(below(g, 24) - 4));
}

/* A part of a value; or the value with a part of itself moved, doubled. */
void random_try_dynamic(random_graph *g) {
    cot_value x;
    int32_t axis = 0;
    if (!choose_axis(g, &x, &axis)) {
        return;
    }
    int64_t size = below(g, cot_value_shape(x).dim[axis] + 1);
    cot_value part = cot_op_dynamic_slice(x, make_start(g), axis, size);
    if (below(g, 2) == 0) {
        keep(g, part);
    } else {
        part = cot_op_binary(COT_OP_ADD, part, part);
        keep(g, cot_op_dynamic_update(x, part, make_start(g), axis));
    }
}

void random_try_order(random_graph *g) {
    cot_value x, places;
    int32_t axis = 0;
    if (!choose_axis(g, &x, &axis)) {
        return;
    }
    bool descending = below(g, 2) == 0;
    cot_shape shape = cot_value_shape(x);
    int64_t kind = below(g, 3);
    if (kind == 0) {
        keep(g, cot_op_argsort(x, descending));
    } else if (kind == 1) {
        keep(g, cot_op_sort(x, descending));
    } else {
        cot_op_top_k(x, below(g, shape.dim[shape.rank - 1] + 1), &x, &places);
        keep(g, x);
        keep(g, places);
    }
}

void random_try_cumsum(random_graph *g) {
    cot_value x;
    int32_t axis = 0;
    if (choose_axis(g, &x, &axis)) {
        keep(g, cot_op_cumsum(x, axis));
    }
}
