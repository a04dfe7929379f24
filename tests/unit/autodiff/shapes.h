/*
 * Shapes and lists as text, for tests: "N,3", "2N", "-" (a scalar), "1,-1"; and a graph evaluated
 * on f64 literals.
 */
#ifndef AUTODIFF_SHAPES_H
#define AUTODIFF_SHAPES_H

#include "check.h"
#include "graph/graph.h"

#include <stdlib.h>

#if defined(__GNUC__)
#define SHAPES_UNUSED __attribute__((unused))
#else
#define SHAPES_UNUSED
#endif

/* Numbers by ',' up to the end or a ';'; how many. */
SHAPES_UNUSED static int32_t read_list(const char *text, int64_t list[COT_MAX_RANK]) {
    int32_t n = 0;
    while (*text != '\0' && *text != ';') {
        char *end = NULL;
        list[n++] = strtoll(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    return n;
}

SHAPES_UNUSED static int32_t read_axes(const char *text, int32_t axes[COT_MAX_RANK]) {
    int64_t list[COT_MAX_RANK];
    int32_t n = read_list(text, list);
    for (int32_t i = 0; i < n; i++) {
        axes[i] = (int32_t)list[i];
    }
    return n;
}

SHAPES_UNUSED static cot_shape read_shape(const char *text) {
    cot_shape shape = {0};
    if (*text == '-') {
        return shape;
    }
    while (*text != '\0' && *text != ';') {
        char *end = NULL;
        int64_t extent = strtoll(text, &end, 10);
        if (*end == 'N') {
            shape.batched = true;
            extent = end == text ? 1 : extent;
            end++;
        }
        shape.dim[shape.rank++] = extent;
        text = *end == ',' ? end + 1 : end;
    }
    return shape;
}

/*
 * Evaluate a graph of f64 inputs and outputs: input[i] and output[i] are dense arrays. A graph may
 * have at most 16 of each.
 */
SHAPES_UNUSED static void run_f64(const cot_graph *graph, int64_t rows, const double *const *input,
                                  double *const *output) {
    coti_tensor in[16];
    coti_tensor out[16];
    assert_true(graph->input.count <= 16 && graph->output.count <= 16);
    for (size_t i = 0; i < graph->input.count; i++) {
        const coti_node *node = coti_node_at(graph, graph->input.data[i]);
        in[i] = (coti_tensor){(cot_dtype)node->dtype, coti_shape_bind(&node->shape, rows),
                              (void *)(uintptr_t)input[i]};
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        const coti_node *node = coti_node_at(graph, graph->output.data[i].value);
        out[i] =
            (coti_tensor){(cot_dtype)node->dtype, coti_shape_bind(&node->shape, rows), output[i]};
    }
    CHECK_OK(graph->context, coti_eval_graph(graph, rows, in, out));
}

#endif
