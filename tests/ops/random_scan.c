/*
 * Random scans: contract in random_graph.h. Bodies are of operations that round once, on operands
 * of one shape, so that every program gives the evaluator's bits; the carry comes back into range
 * by a selection.
 */
#include "random_pick.h"

enum { MOST_STEPS = 9, BODY_VALUES = 12 };

static cot_shape drop_time(cot_shape shape) {
    for (int32_t a = free_axis(&shape); a + 1 < shape.rank; a++) {
        shape.dim[a] = shape.dim[a + 1];
    }
    shape.rank--;
    return shape;
}

/* A value with a short axis for time. */
static bool choose_sequence(random_graph *g, cot_value *out) {
    for (int32_t attempt = 0; attempt < 8; attempt++) {
        if (choose(g, g->real, out)) {
            const cot_shape shape = cot_value_shape(*out);
            const int32_t axis = free_axis(&shape);
            if (shape.rank > axis && shape.dim[axis] <= MOST_STEPS) {
                return true;
            }
        }
    }
    return false;
}

/* A value of the shape, or a number everywhere. */
static cot_value choose_like(random_graph *g, cot_shape shape) {
    cot_value x;
    for (int32_t attempt = 0; attempt < 8; attempt++) {
        if (choose(g, g->real, &x)) {
            const cot_shape other = cot_value_shape(x);
            if (coti_shape_equal(&other, &shape)) {
                return x;
            }
        }
    }
    const cot_value number = cot_op_constant(g->graph, g->real, (double)below(g, 5) - 1.5);
    return cot_op_broadcast(number, shape, NULL, 0);
}

/* Some values of a step, from its inputs on; the last is of moderate size. */
static int32_t make_step(random_graph *g, cot_value value[BODY_VALUES], int32_t n) {
    static const cot_op ops[] = {COT_OP_ADD, COT_OP_SUB, COT_OP_MUL};
    const int32_t wanted = n + 2 + (int32_t)below(g, 5);
    while (n < wanted) {
        const cot_value a = value[below(g, n)], b = value[below(g, n)];
        const int64_t kind = below(g, 6);
        value[n++] = kind < 4    ? cot_op_binary(ops[below(g, 3)], a, b)
                     : kind == 4 ? cot_op_unary(below(g, 2) ? COT_OP_NEG : COT_OP_ABS, a)
                                 : cot_op_select(cot_op_binary(COT_OP_LT, a, b), b, a);
    }
    const cot_value most = cot_op_constant(value[0].graph, g->real, 8);
    const cot_value large = cot_op_binary(COT_OP_GT, cot_op_unary(COT_OP_ABS, value[n - 1]), most);
    value[n] = cot_op_select(large, value[below(g, 2)], value[n - 1]);
    return n + 1;
}

/* The body of a carry, a sequence and a constant, all of one shape; two stacks. */
static cot_graph *make_body(random_graph *g, cot_shape shape) {
    cot_graph *body = cot_graph_create(cot_graph_context(g->graph), "step");
    cot_value value[BODY_VALUES];
    if (body == NULL) {
        return NULL;
    }
    value[0] = cot_op_input(body, g->real, shape, "c");
    value[1] = cot_op_input(body, g->real, shape, "x");
    value[2] = cot_op_input(body, g->real, shape, "k");
    const int32_t n = make_step(g, value, 3);
    cot_graph_output(value[n - 1], "c");
    cot_graph_output(value[below(g, n)], "y");
    cot_graph_output(value[below(g, n)], "z");
    return body;
}

void random_try_scan(random_graph *g) {
    cot_value x, results[3];
    if (!choose_sequence(g, &x)) {
        return;
    }
    const cot_shape sequence = cot_value_shape(x), shape = drop_time(sequence);
    const cot_value operand[] = {choose_like(g, shape), x, choose_like(g, shape)};
    cot_value lengths = {NULL, 0};
    if (shape.batched && below(g, 3) == 0) {
        lengths = cot_op_iota(g->graph, COT_I32,
                              (cot_shape){.rank = 1, .batched = true, .dim = {shape.dim[0]}}, 0);
    }
    const cot_scan_options options = {.struct_size = sizeof options,
                                      .n_carries = 1,
                                      .n_sequences = 1,
                                      .steps = sequence.dim[free_axis(&sequence)],
                                      .reverse = below(g, 2) == 0,
                                      .lengths = lengths.graph != NULL ? &lengths : NULL};
    cot_graph *body = make_body(g, shape);
    if (body != NULL && cot_op_scan(body, operand, 3, &options, results) == COT_OK) {
        const int64_t which = below(g, 7) + 1; /* some of the results */
        for (int32_t i = 0; i < 3; i++) {
            if ((which >> i & 1) != 0) {
                keep(g, results[i]);
            }
        }
    }
    cot_graph_destroy(body);
}
