/*
 * Random normalisations: contract in random_graph.h.
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
