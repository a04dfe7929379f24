/*
 * Random normalisations and attention: contract in random_graph.h.
 */
#include "random_pick.h"

/* A value of one element a channel, or a constant. */
static cot_value choose_factor(random_graph *g, int64_t channels) {
    const cot_shape wanted = {.rank = 1, .dim = {channels}};
    cot_value x;
    for (int32_t attempt = 0; attempt < 8; attempt++) {
        if (choose(g, g->real, &x)) {
            cot_shape shape = cot_value_shape(x);
            if (coti_shape_equal(&shape, &wanted)) {
                return x;
            }
        }
    }
    cot_value number = cot_op_constant(g->graph, g->real, (double)below(g, 5) - 1.5);
    return cot_op_broadcast(number, wanted, NULL, 0);
}

void random_try_norm(random_graph *g) {
    cot_value x;
    if (!choose(g, g->real, &x)) {
        return;
    }
    cot_shape shape = cot_value_shape(x);
    if (shape.rank <= free_axis(&shape) || shape.dim[shape.rank - 1] == 0) {
        return;
    }
    int64_t channels = shape.dim[shape.rank - 1], kind = below(g, 4);
    double epsilon = below(g, 2) ? 1e-3 : 1;
    cot_value scale = choose_factor(g, channels), offset = choose_factor(g, channels);
    if (kind == 0 && shape.rank > 1) {
        int64_t groups = channels % 2 == 0 ? 2 : below(g, 2) ? channels : 1;
        keep(g, cot_op_group_norm(x, scale, offset, groups, epsilon));
    } else if (kind == 1) {
        keep(g, cot_op_rms_norm(x, scale, epsilon));
    } else if (kind == 2) {
        keep(g, cot_op_batch_norm(x, scale, offset, epsilon));
    } else {
        keep(g, cot_op_layer_norm(x, scale, offset, epsilon));
    }
}

/* Another value of x's shape, or x itself. */
static cot_value choose_alike(random_graph *g, cot_value x) {
    cot_shape wanted = cot_value_shape(x);
    cot_value y;
    for (int32_t attempt = 0; attempt < 8; attempt++) {
        if (choose(g, g->real, &y)) {
            cot_shape shape = cot_value_shape(y);
            if (coti_shape_equal(&shape, &wanted)) {
                return y;
            }
        }
    }
    return x;
}

/* All keys but one. */
static cot_value hide_key(random_graph *g, int64_t n_keys) {
    const cot_shape keys = {.rank = 1, .dim = {n_keys}};
    cot_value hidden = cot_op_constant(g->graph, COT_I32, (double)below(g, n_keys));
    return cot_op_binary(COT_OP_NE, cot_op_iota(g->graph, COT_I32, keys, 0), hidden);
}

void random_try_attention(random_graph *g) {
    cot_value q;
    cot_value mask = {NULL, 0};
    if (!choose(g, g->real, &q)) {
        return;
    }
    cot_shape shape = cot_value_shape(q);
    if (shape.rank < 2 || (shape.batched && shape.rank < 3) || shape.dim[shape.rank - 2] == 0 ||
        shape.dim[shape.rank - 1] == 0) {
        return;
    }
    if (below(g, 2) == 0) {
        mask = hide_key(g, shape.dim[shape.rank - 2]);
    }
    cot_attention_options options = {.struct_size = sizeof options, .causal = below(g, 2) == 0};
    cot_value k = choose_alike(g, q);
    keep(g, cot_op_attention(q, k, choose_alike(g, q), mask, &options));
}
