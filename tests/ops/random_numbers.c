/* What the inputs and the variable of a random graph hold: contract in random_graph.h. */
#include "random_graph.h"

#include "graph/graph.h"

static tensor numbers(pool *p, const random_graph *g, uint64_t seed, int32_t i, int64_t rows,
                      cot_dtype dtype, const cot_shape *shape) {
    bool is_real = dtype == COT_F32 || dtype == COT_F64;
    trial t = {.op = (cot_op)(seed % COT_OP_COUNT),
               .rows = rows,
               .values = !is_real       ? LABELS
                         : g->uses_wide ? WIDE
                                        : NORMAL};
    t.operand[i] = dtype;
    return make_operand(p, &t, i, shape);
}

tensor random_graph_input(pool *p, const random_graph *g, uint64_t seed, int32_t i, int64_t rows) {
    const coti_node *node = coti_node_at(g->graph, g->graph->input.data[i]);
    return numbers(p, g, seed, i, rows, (cot_dtype)node->dtype, &node->shape);
}

tensor random_graph_variable(pool *p, const random_graph *g, uint64_t seed) {
    cot_shape shape = cot_variable_shape(g->variable);
    return numbers(p, g, seed, 0, 1, cot_variable_dtype(g->variable), &shape);
}
