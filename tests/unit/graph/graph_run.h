/*
 * Graphs of f32 run by the evaluator, as they stand and decomposed, and the numbers of Keras's
 * reference values: for tests of composites.
 */
#ifndef GRAPH_RUN_H
#define GRAPH_RUN_H

#include "graph_test.h"

#include <math.h>

enum { MOST = 16 };

/* Evaluate a graph of f32 inputs and outputs. */
UNUSED static void run(const cot_graph *graph, int64_t rows, const float *const *input,
                       float *const *output) {
    coti_tensor in[MOST];
    coti_tensor out[MOST];
    assert_true(graph->input.count <= MOST && graph->output.count <= MOST);
    for (size_t i = 0; i < graph->input.count; i++) {
        const coti_node *node = coti_node_at(graph, graph->input.data[i]);
        in[i] = (coti_tensor){COT_F32, coti_shape_bind(&node->shape, rows),
                              (void *)(uintptr_t)input[i]};
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        const coti_node *node = coti_node_at(graph, graph->output.data[i].value);
        assert_int_equal(node->dtype, COT_F32);
        out[i] = (coti_tensor){COT_F32, coti_shape_bind(&node->shape, rows), output[i]};
    }
    CHECK_OK(graph->context, coti_eval_graph(graph, rows, in, out));
}

/* Both as it stands and decomposed. */
UNUSED static void run_both(const cot_graph *graph, int64_t rows, const float *const *input,
                            float *const *whole, float *const *parts) {
    cot_graph *expanded = NULL;
    bool changed = false;
    run(graph, rows, input, whole);
    CHECK_OK(graph->context, coti_pass_expand(graph, &expanded, &changed));
    assert_true(changed);
    run(expanded, rows, input, parts);
    cot_graph_destroy(expanded);
}

UNUSED static void check_near(const float *found, const double *want, int n, double tolerance) {
    for (int i = 0; i < n; i++) {
        if (!(fabs(found[i] - want[i]) <= tolerance)) {
            fail_msg("[%d] is %.9g, expected %.9g", i, (double)found[i], want[i]);
        }
    }
}

/* The tensors of the reference values: f32((((k + first) 37 + 11) mod 101 / 101 - 0.5) scale). */
UNUSED static void fill(float *x, int n, int first, double scale) {
    for (int k = 0; k < n; k++) {
        x[k] = (float)((((k + first) * 37 + 11) % 101 / 101.0 - 0.5) * scale);
    }
}

#endif
