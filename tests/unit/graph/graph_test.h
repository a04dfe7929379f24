/*
 * What the graph's tests share: a context and a graph a test, shapes by one call, text of graphs.
 */
#ifndef GRAPH_TEST_H
#define GRAPH_TEST_H

#include "check.h"

#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>

#define UNUSED __attribute__((unused))

/* dims: up to the terminating -1. */
#define SHAPE(...) shape_of((const int64_t[]){__VA_ARGS__, -1}, false)
#define BATCH(...) shape_of((const int64_t[]){__VA_ARGS__, -1}, true)
#define SCALAR ((cot_shape){.rank = 0})
#define AXES(...)                                                                                  \
    (const int32_t[]) {                                                                            \
        __VA_ARGS__                                                                                \
    }
#define INTS(...)                                                                                  \
    (const int64_t[]) {                                                                            \
        __VA_ARGS__                                                                                \
    }

UNUSED static cot_shape shape_of(const int64_t *dims, bool batched) {
    cot_shape shape = {.rank = 0, .batched = batched};
    for (; dims[shape.rank] != -1; shape.rank++) {
        shape.dim[shape.rank] = dims[shape.rank];
    }
    return shape;
}

/* "f32[N,3]" of a value, in one of a few static buffers. */
UNUSED static const char *type_of(cot_value value) {
    static char buffer[4][COTI_TYPE_BYTES];
    static int next = 0;
    cot_shape shape = cot_value_shape(value);
    next = (next + 1) % 4;
    return coti_type_text(buffer[next], cot_value_dtype(value), &shape);
}

#define CHECK_TYPE(value, expected)                                                                \
    do {                                                                                           \
        cot_value check_value_ = (value);                                                          \
        assert_non_null(check_value_.graph);                                                       \
        assert_string_equal(type_of(check_value_), expected);                                      \
    } while (0)

UNUSED static bool append_text(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

/* The text of a graph, to be freed. */
UNUSED static char *text_of(const cot_graph *graph) {
    coti_str text;
    coti_str_init(&text, graph->context);
    CHECK_OK(graph->context, cot_graph_print(graph, append_text, &text));
    assert_int_equal(coti_str_status(&text), COT_OK);
    assert_int_equal(strlen(coti_str_text(&text)), text.count);
    char *copy = malloc(text.count + 1);
    assert_non_null(copy);
    memcpy(copy, coti_str_text(&text), text.count + 1);
    coti_str_free(&text);
    return copy;
}

/* Parse, or fail the test with the parser's message. The result has been verified. */
UNUSED static cot_graph *parse_text(cot_context *context, const char *text) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s in\n%s", cot_error_message(context), text);
    }
    CHECK_OK(context, coti_graph_verify(graph));
    return graph;
}

/* One context and one graph for each test. */
typedef struct fixture {
    cot_context *context;
    cot_graph *graph;
} fixture;

UNUSED static int fixture_setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->context = cot_context_create(NULL);
    f->graph = cot_graph_create(f->context, "test");
    *state = f;
    return f->graph == NULL;
}

/* A test leaves no error behind, and a graph that holds its invariants. */
UNUSED static int fixture_teardown(void **state) {
    fixture *f = *state;
    cot_status left = cot_error_get(f->context).status;
    if (left != COT_OK) {
        print_error("left behind: %s\n", cot_error_message(f->context));
    }
    cot_error_clear(f->context);
    cot_status verified = coti_graph_verify(f->graph);
    if (verified != COT_OK) {
        print_error("%s\n", cot_error_message(f->context));
    }
    cot_graph_destroy(f->graph);
    cot_context_destroy(f->context);
    free(f);
    return left != COT_OK || verified != COT_OK;
}

#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
