/*
 * Memory that runs out: building, printing, parsing, verifying and every pass, with each allocation
 * refused in turn. Each refusal comes out as COT_E_NOMEM, and nothing is leaked.
 */
#include "graph_test.h"

#include "alloc_fail.h"
#include "custom_function.h"
#include "sample.h"

/* The context's error, or COT_OK: what a builder's poison stands for. */
static cot_status recorded(cot_context *context) {
    return cot_error_get(context).status;
}

/* A layer, its loss, and an update; poison goes through to the end. */
static cot_status build(cot_graph *g, cot_variable *w) {
    cot_value x = cot_op_input(g, COT_F32, BATCH(1, 4), "x");
    cot_value t = cot_op_input(g, COT_F32, BATCH(1, 3), "t");
    cot_graph_set_layer(g, "dense_1");
    cot_value s = cot_op_state(g, w);
    cot_value y = cot_op_matmul(x, s);
    cot_value one = cot_op_constant(g, COT_F32, 1);
    cot_value two = cot_op_binary(COT_OP_ADD, one, cot_op_unary(COT_OP_NEG, one));
    cot_value z = cot_op_binary(COT_OP_MUL, cot_op_binary(COT_OP_ADD, y, two), one);
    cot_value loss = cot_op_mean(cot_op_softmax_cross_entropy(t, z), AXES(0), 1, true);
    cot_value many[10] = {s, s, s, s, s, s, s, s, s, s};
    cot_value wide = cot_op_concat(many, 10, 0);
    cot_value update = cot_op_slice(wide, INTS(4, 0), INTS(4, 3), INTS(1, 1));
    cot_value class = custom_nested(cot_op_softmax(z));
    COTI_TRY(recorded(g->context));
    COTI_TRY(cot_graph_update(s, update));
    COTI_TRY(cot_graph_output(loss, "loss"));
    return cot_graph_output(class, "class");
}

/* Print, parse what was printed, compare the two texts. */
static cot_status round_trip(const cot_graph *graph) {
    cot_context *context = graph->context;
    coti_str text;
    coti_str again;
    coti_str_init(&text, context);
    coti_str_init(&again, context);
    cot_graph *back = NULL;
    cot_status status = cot_graph_print(graph, append_text, &text);
    status = status == COT_OK ? coti_str_status(&text) : status;
    if (status == COT_OK) {
        back = cot_graph_parse(context, coti_str_text(&text), text.count);
        status = back != NULL ? cot_graph_print(back, append_text, &again) : recorded(context);
        status = status == COT_OK ? coti_str_status(&again) : status;
    }
    if (status == COT_OK) {
        assert_string_equal(coti_str_text(&again), coti_str_text(&text));
    }
    cot_graph_destroy(back);
    coti_str_free(&text);
    coti_str_free(&again);
    return status;
}

static cot_status run_passes(const cot_graph *graph) {
    static cot_status (*const passes[])(const cot_graph *, cot_graph **,
                                        bool *) = {coti_pass_simplify,
                                                   coti_pass_fold,
                                                   coti_pass_cse,
                                                   coti_pass_dce,
                                                   coti_pass_expand,
                                                   coti_pass_expand_for_kernels,
                                                   coti_pass_expand_simplified};
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        cot_graph *result = NULL;
        bool changed = false;
        cot_status status = passes[i](graph, &result, &changed);
        assert_int_equal(status == COT_OK, result != NULL);
        cot_graph_destroy(result);
        COTI_TRY(status);
    }
    return COT_OK;
}

static cot_status build_print_parse_rewrite(cot_context *context, void *user) {
    (void)user;
    cot_variable *w = cot_variable_create(context, COT_F32, SHAPE(4, 3), "dense_1/kernel");
    cot_graph *graph = w != NULL ? cot_graph_create(context, "g") : NULL;
    cot_status status = graph != NULL ? build(graph, w) : recorded(context);
    status = status == COT_OK ? round_trip(graph) : status;
    status = status == COT_OK ? run_passes(graph) : status;
    cot_graph_destroy(graph);
    cot_variable_release(w);
    return status;
}

static cot_status parse_sample(cot_context *context, void *user) {
    (void)user;
    cot_graph *graph = cot_graph_parse(context, sample_text, sizeof sample_text - 1);
    cot_status status = graph != NULL ? run_passes(graph) : recorded(context);
    cot_graph_destroy(graph);
    return status;
}

static void a_built_graph(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, build_print_parse_rewrite, NULL));
}

static void a_parsed_graph(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, parse_sample, NULL));
}

/* A builder that ran out of memory leaves the graph as it was: the same call then succeeds. */
static void a_refused_builder_can_be_called_again(void **state) {
    (void)state;
    alloc_fail memory;
    alloc_fail_init(&memory);
    cot_options options = {.struct_size = sizeof options,
                           .allocator = alloc_fail_allocator(&memory)};
    cot_context *context = cot_context_create(&options);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F32, SHAPE(2), "x");
    int n_refused = 0;
    for (int i = 0; i < 2000; i++) {
        size_t before = graph->node.count;
        memory.fail_at = memory.n_calls + 1;
        cot_value y = cot_op_unary(i % 2 == 0 ? COT_OP_EXP : COT_OP_TANH, x);
        memory.fail_at = 0;
        if (y.graph == NULL) {
            n_refused++;
            CHECK_ERROR(context, COT_E_NOMEM, "out of memory");
            assert_int_equal(graph->node.count, before);
            CHECK_OK(context, coti_graph_verify(graph));
            y = cot_op_unary(i % 2 == 0 ? COT_OP_EXP : COT_OP_TANH, x);
        }
        assert_non_null(y.graph);
        x = y;
    }
    assert_true(n_refused > 10);
    assert_int_equal(graph->node.count, 2002);
    CHECK_OK(context, coti_graph_verify(graph));
    cot_graph_destroy(graph);
    cot_context_destroy(context);
    CHECK_NO_COMPLAINT(alloc_fail_complaint(&memory));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_built_graph),
        cmocka_unit_test(a_parsed_graph),
        cmocka_unit_test(a_refused_builder_can_be_called_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
