/*
 * What the tests of the gradient check share: a context, a graph, options and a report for each
 * test, and shorthands. cot_op_stop_gradient serves as a wrong gradient: its slope is 1, its rule
 * says 0.
 */
#ifndef AUTODIFF_GRADCHECK_FIXTURE_H
#define AUTODIFF_GRADCHECK_FIXTURE_H

#include "shapes.h"

#include "cotangent/inspect.h"

typedef struct fixture {
    cot_context *context;
    cot_graph *graph;
    cot_gradcheck_options options;
    cot_gradcheck_report report;
} fixture;

SHAPES_UNUSED static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->context = cot_context_create(NULL);
    f->graph = cot_graph_create(f->context, "test");
    f->options = (cot_gradcheck_options)COT_GRADCHECK_OPTIONS_INIT;
    *state = f;
    return f->graph == NULL;
}

SHAPES_UNUSED static int teardown(void **state) {
    fixture *f = *state;
    cot_graph_destroy(f->graph);
    cot_context_destroy(f->context);
    free(f);
    return 0;
}

SHAPES_UNUSED static cot_value input(fixture *f, cot_dtype dtype, const char *shape,
                                     const char *name) {
    return cot_op_input(f->graph, dtype, read_shape(shape), name);
}

SHAPES_UNUSED static cot_value mul(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_MUL, a, b);
}

SHAPES_UNUSED static cot_value add(cot_value a, cot_value b) {
    return cot_op_binary(COT_OP_ADD, a, b);
}

SHAPES_UNUSED static cot_value scaled(cot_value x, double factor) {
    return mul(x, cot_op_constant(x.graph, cot_value_dtype(x), factor));
}

SHAPES_UNUSED static bool check(fixture *f) {
    CHECK_OK(f->context, cot_gradcheck(f->graph, &f->options, &f->report));
    return f->report.passed;
}

SHAPES_UNUSED static void expect_text(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", text, part);
    }
}

#define CHECK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
