/*
 * Random small graphs: contract in random_graph.h.
 *
 * Each try_* makes one node of its kind from values that fit, and adds it; where none fits it adds
 * nothing. No builder is ever called with operands that it should refuse: an error is a bug, here
 * or in the builders.
 */
#include "random_pick.h"

#include "custom_function.h"
#include "graph/graph.h"

#include <string.h>

/* Would NumPy broadcast these two? N must lead and meets only the same c*N, or 1, or nothing. */
static bool broadcastable(const cot_shape *a, const cot_shape *b) {
    if (a->rank < b->rank) {
        const cot_shape *swap = a;
        a = b;
        b = swap;
    }
    int32_t shift = a->rank - b->rank;
    if (b->batched && shift > 0) {
        return false;
    }
    for (int32_t d = 0; d < b->rank; d++) {
        int64_t x = a->dim[d + shift], y = b->dim[d];
        bool x_batch = a->batched && d + shift == 0, y_batch = b->batched && d == 0;
        bool one = (x == 1 && !x_batch) || (y == 1 && !y_batch);
        if (!one && (x != y || x_batch != y_batch)) {
            return false;
        }
    }
    return true;
}

/* A second operand that broadcasts with a; now and then a itself. */
static bool choose_partner(random_graph *g, cot_value a, cot_value *out) {
    cot_shape shape = cot_value_shape(a);
    if (below(g, 8) == 0) {
        *out = a;
        return true;
    }
    for (int32_t attempt = 0; attempt < 24; attempt++) {
        cot_value b;
        if (choose(g, cot_value_dtype(a), &b)) {
            cot_shape other = cot_value_shape(b);
            if (broadcastable(&shape, &other)) {
                *out = b;
                return true;
            }
        }
    }
    return false;
}

/* ---- elementwise ---- */

static void try_unary(random_graph *g) {
    static const cot_op ops[] = {COT_OP_NEG,     COT_OP_ABS,   COT_OP_SIGN,  COT_OP_EXP,
                                 COT_OP_LOG,     COT_OP_SQRT,  COT_OP_RSQRT, COT_OP_TANH,
                                 COT_OP_SIGMOID, COT_OP_ERF,   COT_OP_RELU,  COT_OP_STOP_GRADIENT,
                                 COT_OP_FLOOR,   COT_OP_EXPM1, COT_OP_LOG1P, COT_OP_SOFTPLUS,
                                 COT_OP_ERFC,    COT_OP_GELU,  COT_OP_SIN,   COT_OP_COS};
    cot_value x;
    cot_op op = ops[below(g, sizeof ops / sizeof ops[0])];
    if (choose(g, g->real, &x)) {
        keep(g, op == COT_OP_STOP_GRADIENT ? cot_op_stop_gradient(x) : cot_op_unary(op, x));
    }
}

static void try_binary(random_graph *g) {
    static const cot_op ops[] = {COT_OP_ADD, COT_OP_SUB, COT_OP_MUL, COT_OP_DIV,
                                 COT_OP_MAX, COT_OP_MIN, COT_OP_POW, COT_OP_ADD,
                                 COT_OP_SUB, COT_OP_MUL, COT_OP_MUL};
    cot_value a, b;
    cot_op op = ops[below(g, sizeof ops / sizeof ops[0])];
    if (choose(g, g->real, &a) && choose_partner(g, a, &b)) {
        keep(g, below(g, 2) ? cot_op_binary(op, a, b) : cot_op_binary(op, b, a));
    }
}

static void try_integer(random_graph *g) {
    static const cot_op ops[] = {COT_OP_ADD, COT_OP_SUB, COT_OP_MUL, COT_OP_MAX};
    cot_value a, b;
    if (choose(g, below(g, 4) == 0 ? COT_U8 : g->whole, &a) && choose_partner(g, a, &b)) {
        keep(g, cot_op_binary(ops[below(g, 4)], a, b));
    }
}

static void try_compare(random_graph *g) {
    static const cot_op ops[] = {COT_OP_EQ, COT_OP_NE, COT_OP_LT, COT_OP_LE, COT_OP_GT, COT_OP_GE};
    cot_value a, b;
    if (choose(g, below(g, 4) == 0 ? g->whole : g->real, &a) && choose_partner(g, a, &b)) {
        keep(g, cot_op_binary(ops[below(g, 6)], a, b));
    }
}

static void try_logic(random_graph *g) {
    cot_value a, b;
    if (choose(g, COT_BOOL, &a) && choose_partner(g, a, &b)) {
        keep(g, below(g, 3) == 0 ? cot_op_unary(COT_OP_NOT, a)
                                 : cot_op_binary(below(g, 2) ? COT_OP_AND : COT_OP_OR, a, b));
    }
}

static void try_select(random_graph *g) {
    cot_value c, a, b;
    if (choose(g, COT_BOOL, &c) && choose(g, g->real, &a) && choose_partner(g, a, &b)) {
        cot_value both = cot_op_binary(COT_OP_ADD, a, b);
        cot_shape x = cot_value_shape(c), y = cot_value_shape(both);
        if (small_enough(both) && broadcastable(&x, &y)) {
            keep(g, cot_op_select(c, a, b));
        }
    }
}

static void try_cast(random_graph *g) {
    const cot_dtype dtypes[] = {g->real, g->whole, COT_BOOL, COT_U8, g->real, g->whole};
    cot_value x;
    if (choose(g, dtypes[below(g, 6)], &x)) {
        keep(g, cot_op_cast(x, dtypes[below(g, 6)]));
    }
}

/* ---- views ---- */

static void try_reshape(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x);
    int32_t first = free_axis(&shape);
    if (below(g, 2) == 0 && shape.rank < 5) { /* an axis of 1 at the end */
        shape.dim[shape.rank++] = 1;
    } else if (shape.rank > first) { /* all free axes into one */
        for (int32_t d = first + 1; d < shape.rank; d++) {
            shape.dim[first] *= shape.dim[d];
        }
        shape.rank = first + 1;
    }
    keep(g, cot_op_reshape(x, shape));
}

static void try_permute(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x);
    int32_t axes[COT_MAX_RANK];
    for (int32_t d = 0; d < shape.rank; d++) {
        axes[d] = d;
    }
    for (int32_t d = shape.rank - 1; d > free_axis(&shape); d--) {
        int32_t other = free_axis(&shape) + (int32_t)below(g, d - free_axis(&shape) + 1);
        int32_t swap = axes[d];
        axes[d] = axes[other];
        axes[other] = swap;
    }
    keep(g, cot_op_permute(x, axes, shape.rank));
}

/* One more axis somewhere behind the batch, or a batch before everything. */
static void try_broadcast(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x), result = shape;
    int32_t axes[COT_MAX_RANK];
    if (shape.rank >= 4) {
        return;
    }
    int32_t at = free_axis(&shape) + (int32_t)below(g, shape.rank - free_axis(&shape) + 1);
    bool batch = at == 0 && below(g, 2) == 0;
    result.rank++;
    for (int32_t d = 0; d < shape.rank; d++) {
        axes[d] = d < at ? d : d + 1;
        result.dim[axes[d]] = shape.dim[d];
    }
    result.dim[at] = batch ? g->batch : below(g, 2) == 0 ? g->inner : g->outer;
    result.batched = batch || shape.batched;
    keep(g, cot_op_broadcast(x, result, axes, shape.rank));
}

static void try_slice(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x);
    int64_t start[COT_MAX_RANK] = {0}, size[COT_MAX_RANK] = {0}, stride[COT_MAX_RANK] = {0};
    for (int32_t d = 0; d < shape.rank; d++) {
        int64_t extent = shape.dim[d];
        bool whole = d < free_axis(&shape) || extent == 0;
        start[d] = whole ? 0 : below(g, extent);
        stride[d] = whole ? 1 : 1 + below(g, 3);
        int64_t room = whole ? extent : (extent - start[d] + stride[d] - 1) / stride[d];
        size[d] = whole || below(g, 4) > 0 ? room : below(g, room + 1);
    }
    keep(g, cot_op_slice(x, start, size, stride));
}

static void try_pad(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x);
    int64_t low[COT_MAX_RANK] = {0}, high[COT_MAX_RANK] = {0};
    for (int32_t d = free_axis(&shape); d < shape.rank; d++) {
        low[d] = below(g, 3);
        high[d] = below(g, 2);
    }
    keep(g, cot_op_pad(x, low, high, (double)below(g, 2)));
}

static void try_flip(random_graph *g) {
    cot_value x;
    choose_any(g, &x);
    cot_shape shape = cot_value_shape(x);
    int32_t axes[COT_MAX_RANK], n = 0;
    for (int32_t d = free_axis(&shape); d < shape.rank; d++) {
        axes[n] = d;
        n += below(g, 2) == 0;
    }
    keep(g, cot_op_flip(x, axes, n));
}

/* Two values that differ at most on the last axis, which is not the batch. */
static void try_concat(random_graph *g) {
    cot_value x[2];
    choose_any(g, &x[0]);
    cot_shape a = cot_value_shape(x[0]);
    for (int32_t attempt = 0; attempt < 16 && a.rank > free_axis(&a); attempt++) {
        choose_any(g, &x[1]);
        cot_shape b = cot_value_shape(x[1]);
        bool fits = b.rank == a.rank && b.batched == a.batched &&
                    cot_value_dtype(x[0]) == cot_value_dtype(x[1]) &&
                    memcmp(a.dim, b.dim, (size_t)(a.rank - 1) * sizeof a.dim[0]) == 0;
        if (fits) {
            keep(g, cot_op_concat(x, 2, a.rank - 1));
            return;
        }
    }
}

/* ---- reductions, products, composites ---- */

static void try_reduce(random_graph *g) {
    cot_value x;
    if (!choose(g, g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    int32_t axes[COT_MAX_RANK], n = 0;
    bool empty = false, keep_axes = below(g, 2) == 0;
    for (int32_t d = 0; d < shape.rank; d++) {
        bool taken = below(g, 2) == 0;
        /* a batched axis may stay behind as 1 only by its reduction: builders allow that */
        axes[n] = d;
        n += taken;
        empty = empty || (taken && shape.dim[d] == 0);
    }
    int64_t kind = below(g, 6);
    bool over_batch = n > 0 && axes[0] == 0 && shape.batched;
    if (kind == 0 && !empty) {
        keep(g, cot_op_reduce(COT_OP_REDUCE_MAX, x, axes, n, keep_axes));
    } else if (kind == 2 && !empty) {
        keep(g, cot_op_reduce(COT_OP_REDUCE_MIN, x, axes, n, keep_axes));
    } else if (kind == 3 && !over_batch) {
        keep(g, cot_op_reduce(COT_OP_PROD, x, axes, n, keep_axes));
    } else if (kind == 1) {
        keep(g, cot_op_mean(x, axes, n, keep_axes));
    } else {
        keep(g, cot_op_reduce(COT_OP_SUM, x, axes, n, keep_axes));
    }
}

static void try_place(random_graph *g) {
    cot_value x;
    if (choose(g, g->real, &x)) {
        cot_shape shape = cot_value_shape(x);
        int32_t last = shape.rank - 1;
        if (last >= free_axis(&shape) && shape.dim[last] > 0) {
            keep(g, below(g, 2) ? cot_op_argmax(x, last) : cot_op_argmin(x, last));
        }
    }
}

/* The axes of two matrices that can be contracted: a's 0 or 1 with b's 0 or 1. */
static bool dot_fits(const cot_shape *a, const cot_shape *b, int32_t a_axis, int32_t b_axis) {
    bool a_batch = a->batched && a_axis == 0, b_batch = b->batched && b_axis == 0;
    if (b->batched && !b_batch) {
        return false; /* b's batch would not lead the result */
    }
    return a->dim[a_axis] == b->dim[b_axis] && a_batch == b_batch;
}

static void try_dot(random_graph *g) {
    for (int32_t attempt = 0; attempt < 32; attempt++) {
        cot_value x, y;
        if (!choose(g, g->real, &x) || !choose(g, g->real, &y)) {
            return;
        }
        cot_shape a = cot_value_shape(x), b = cot_value_shape(y);
        int32_t a_axis = (int32_t)below(g, 2), b_axis = (int32_t)below(g, 2);
        if (a.rank == 2 && b.rank == 2 && dot_fits(&a, &b, a_axis, b_axis)) {
            cot_dot_axes axes = {.n_contract = 1, .a_contract = {a_axis}, .b_contract = {b_axis}};
            keep(g, cot_op_dot(x, y, &axes));
            return;
        }
    }
}

/* A product a batch element, of values of rank 3. */
static void try_batch_dot(random_graph *g) {
    for (int32_t attempt = 0; attempt < 32; attempt++) {
        cot_value x, y;
        if (!choose(g, g->real, &x) || !choose(g, g->real, &y)) {
            return;
        }
        cot_shape a = cot_value_shape(x), b = cot_value_shape(y);
        if (a.rank == 3 && b.rank == 3 && a.batched == b.batched && a.dim[0] == b.dim[0] &&
            a.dim[2] == b.dim[2]) {
            cot_dot_axes axes = {
                .n_batch = 1, .n_contract = 1, .a_contract = {2}, .b_contract = {2}};
            keep(g, cot_op_dot(x, y, &axes));
            return;
        }
    }
}

static void try_one_hot(random_graph *g) {
    cot_value x;
    if (choose(g, g->whole, &x) && cot_value_shape(x).rank < 4) {
        keep(g, cot_op_one_hot(x, g->inner > 0 ? g->inner : 3, g->real));
    }
}

/* Has the shape a last axis to normalise over? */
static bool has_classes(const cot_shape *shape) {
    return shape->rank > free_axis(shape) && shape->dim[shape->rank - 1] > 0;
}

static void try_composite(random_graph *g) {
    cot_value x, y;
    if (!choose(g, g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    if (!has_classes(&shape)) {
        return;
    }
    int64_t kind = below(g, 3);
    for (int32_t attempt = 0; kind == 2 && attempt < 24; attempt++) {
        if (choose(g, g->real, &y)) {
            cot_shape other = cot_value_shape(y);
            if (coti_shape_equal(&shape, &other)) {
                keep(g, cot_op_softmax_cross_entropy(y, x));
                return;
            }
        }
    }
    keep(g, kind == 0 ? cot_op_softmax(x) : cot_op_log_softmax(x));
}

static void try_barrier(random_graph *g) {
    cot_value x;
    if (choose(g, g->real, &x)) {
        keep(g, cot_op_barrier(x, below(g, 3)));
    }
}

/* A function of the host, of two values of one type. */
static void try_custom(random_graph *g) {
    cot_value x, y;
    for (int32_t attempt = 0; attempt < 24; attempt++) {
        if (!choose(g, g->real, &x) || !choose(g, g->real, &y)) {
            return;
        }
        cot_shape shape = cot_value_shape(x);
        cot_shape other = cot_value_shape(y);
        if (coti_shape_equal(&shape, &other)) {
            keep(g, custom_product(x, y));
            return;
        }
    }
}

/* ---- leaves ---- */

/* One of the graph's shapes. */
static cot_shape leaf_shape(random_graph *g) {
    int64_t b = g->batch, o = g->outer, i = g->inner;
    const cot_shape shapes[] = {
        {2, true, {b, i}},     {2, true, {b, i}},    {2, true, {b, o}},  {1, true, {b}},
        {2, true, {b, 1}},     {3, true, {b, o, i}}, {2, false, {i, o}}, {2, false, {o, i}},
        {1, false, {i}},       {1, false, {o}},      {2, false, {1, i}}, {0, false, {0}},
        {3, false, {2, o, i}}, {1, false, {1}},
    };
    return shapes[below(g, sizeof shapes / sizeof shapes[0])];
}

static void add_leaves(random_graph *g, cot_context *context) {
    for (int32_t k = 0; k < MAX_GRAPH_INPUTS; k++) {
        char name[8];
        name[0] = 'x';
        name[1] = (char)('0' + k);
        name[2] = '\0';
        keep(g, cot_op_input(g->graph, k == 3 ? g->whole : g->real, leaf_shape(g), name));
    }
    keep(g, cot_op_constant(g->graph, g->real, (double)below(g, 5) - 1.5));
    cot_shape shape = leaf_shape(g);
    if (!shape.batched) {
        g->variable = cot_variable_create(context, g->real, shape, "w");
        keep(g, cot_op_state(g->graph, g->variable));
    }
}

static void try_leaf(random_graph *g) {
    int64_t kind = below(g, 4);
    cot_shape shape = leaf_shape(g);
    if (kind == 0) {
        cot_value seed = cot_op_constant(g->graph, COT_I64, (double)below(g, 1000));
        cot_value step = cot_op_constant(g->graph, COT_I64, (double)below(g, 1000));
        keep(g, cot_op_random(seed, step, g->real, shape, below(g, 2) ? COT_NORMAL : COT_UNIFORM,
                              2000 + below(g, 100)));
    } else if (kind == 1 && shape.rank > 0) {
        keep(g, cot_op_iota(g->graph, below(g, 2) ? g->real : g->whole, shape,
                            (int32_t)below(g, shape.rank)));
    } else if (kind == 2) {
        keep(g, cot_op_cast(cot_op_rows(g->graph), g->real));
    } else if (kind == 3 && !shape.batched) {
        float data[2048];
        int64_t elements = 0;
        for (int32_t i = 0; i < 2048; i++) {
            data[i] = (float)(below(g, 2001) - 1000) * 0x1p-8f;
        }
        if (coti_shape_elements(&shape, 1, &elements) && elements <= 2048) {
            cot_value x = cot_op_constant_array(g->graph, COT_F32, shape, data);
            keep(g, g->real == COT_F32 ? x : cot_op_cast(x, g->real));
        }
    }
}

/* ---- graphs ---- */

/* Entries that stand more than once are chosen more often. */
static void (*const tries[])(random_graph *g) = {try_unary,
                                                 try_unary,
                                                 try_unary,
                                                 try_unary,
                                                 try_unary,
                                                 try_binary,
                                                 try_binary,
                                                 try_binary,
                                                 try_binary,
                                                 try_integer,
                                                 try_compare,
                                                 try_compare,
                                                 try_logic,
                                                 try_logic,
                                                 try_select,
                                                 try_cast,
                                                 try_reshape,
                                                 try_permute,
                                                 try_slice,
                                                 try_pad,
                                                 try_flip,
                                                 try_broadcast,
                                                 try_concat,
                                                 try_reduce,
                                                 try_reduce,
                                                 try_reduce,
                                                 try_place,
                                                 try_dot,
                                                 try_dot,
                                                 try_dot,
                                                 try_batch_dot,
                                                 try_one_hot,
                                                 try_leaf,
                                                 try_composite,
                                                 try_composite,
                                                 random_try_window,
                                                 random_try_conv,
                                                 random_try_pool,
                                                 random_try_gather,
                                                 random_try_scatter_add,
                                                 try_unary,
                                                 try_custom,
                                                 random_try_norm,
                                                 random_try_norm,
                                                 random_try_attention,
                                                 random_try_attention,
                                                 try_barrier,
                                                 random_try_scan,
                                                 random_try_scan,
                                                 random_try_dynamic,
                                                 random_try_order,
                                                 random_try_cumsum,
                                                 try_unary,
                                                 try_binary};

/*
 * The gradient of some value's mean with respect to the float inputs and the state, and a step down
 * it, which becomes the state's update.
 */
static void add_gradients(random_graph *g) {
    static const int32_t all_axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_value y, wrt[MAX_GRAPH_INPUTS], grad[MAX_GRAPH_INPUTS];
    int32_t n = 0;
    if (!choose(g, g->real, &y)) {
        return;
    }
    for (int32_t i = 0; i < MAX_GRAPH_INPUTS - 1; i++) {
        wrt[n++] = (cot_value){g->graph, g->graph->input.data[i]};
    }
    if (g->variable != NULL) {
        wrt[n++] = (cot_value){g->graph, g->graph->state.data[0]};
    }
    cot_value loss = cot_op_mean(y, all_axes, cot_value_shape(y).rank, false);
    cot_grad(loss, wrt, n, grad);
    for (int32_t i = 0; i < n; i++) {
        keep(g, grad[i]);
    }
    if (g->variable != NULL) {
        cot_value rate = cot_op_constant(g->graph, g->real, 0.25);
        cot_value change = cot_op_binary(COT_OP_MUL, rate, grad[n - 1]);
        keep(g, cot_op_binary(COT_OP_SUB, wrt[n - 1], change));
    }
}

random_graph random_graph_make(cot_context *context, uint64_t seed) {
    static const int64_t outers[] = {1, 3, 17, 16, 3}, inners[] = {5, 16, 1, 33, 10, 0, 17};
    random_graph g = {.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    g.graph = cot_graph_create(context, "random");
    g.real = below(&g, 4) == 0 ? COT_F64 : COT_F32;
    g.whole = below(&g, 3) == 0 ? COT_I64 : COT_I32;
    g.batch = below(&g, 4) == 0 ? 2 : 1;
    g.outer = outers[below(&g, 5)];
    g.inner = inners[below(&g, below(&g, 8) == 0 ? 7 : 5)];
    g.uses_wide = below(&g, 5) == 0;
    add_leaves(&g, context);
    int64_t n_ops = 3 + below(&g, 22);
    for (int64_t i = 0; i < n_ops; i++) {
        tries[below(&g, sizeof tries / sizeof tries[0])](&g);
    }
    keep(&g, cot_op_unary(COT_OP_NEG, g.value[0])); /* so that no graph is leaves alone */
    add_gradients(&g);
    return g;
}

/* The newest value that can become the variable's; 0: none. */
static uint32_t updating_value(const random_graph *g) {
    cot_shape wanted = cot_variable_shape(g->variable);
    for (int32_t i = g->n_values; i-- > 0;) {
        cot_shape shape = cot_value_shape(g->value[i]);
        if (cot_value_dtype(g->value[i]) == g->real && coti_shape_equal(&shape, &wanted)) {
            return g->value[i].id;
        }
    }
    return 0;
}

void random_graph_finish(random_graph *g, uint64_t seed, bool all) {
    uint32_t n_nodes = (uint32_t)g->graph->node.count;
    pool p = {NULL};
    bool *used = pool_take(&p, n_nodes, sizeof *used);
    for (uint32_t id = 1; id < n_nodes; id++) {
        const coti_node *node = coti_node_at(g->graph, id);
        for (int32_t i = 0; i < node->n_inputs; i++) {
            used[node->input[i]] = true;
        }
    }
    for (uint32_t id = 1; id < n_nodes; id++) {
        bool wanted = all || !used[id] || (id * 7 + seed) % 5 == 0;
        if (wanted && coti_op_table[coti_node_at(g->graph, id)->op].kind != COTI_KIND_LEAF) {
            char name[16];
            snprintf(name, sizeof name, "v%u", id);
            cot_graph_output((cot_value){g->graph, id}, name);
        }
    }
    if (g->variable != NULL) {
        uint32_t state = g->graph->state.data[0];
        cot_graph_update((cot_value){g->graph, state}, (cot_value){g->graph, updating_value(g)});
    }
    pool_empty(&p);
}
