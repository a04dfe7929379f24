/*
 * Views as strides: each element of a view, found through its strides, is what the evaluator finds;
 * and the comparisons that fusion makes of views.
 */
#include "check.h"

#include "codegen/view.h"

#include <stdlib.h>

static cot_context *context;

static cot_graph *parse(const char *text) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s in\n%s", cot_error_message(context), text);
    }
    return graph;
}

static uint32_t output(const cot_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->output.count; i++) {
        if (strcmp(graph->output.data[i].name, name) == 0) {
            return graph->output.data[i].value;
        }
    }
    fail_msg("no output %s", name);
    return 0;
}

/* Is the element at this index inside all bounds? */
static bool is_inside(const coti_view *view, const int64_t *index, int32_t rank) {
    bool inside = view->bounds == NULL || !view->bounds->nowhere;
    for (int32_t a = 0; a < rank && inside && view->bounds != NULL; a++) {
        if ((view->bounds->axes >> a & 1) != 0) {
            inside = index[a] >= view->bounds->lo[a] && index[a] < view->bounds->hi[a];
        }
    }
    return inside;
}

/* Every element of node `id`, whose root holds 0, 1, 2, ..., through its view. */
static void check_view(const coti_views *views, uint32_t id, int64_t rows, const float *expected) {
    cot_shape shape = coti_shape_bind(&coti_node_at(views->graph, id)->shape, rows);
    coti_view view = *coti_view_at(views, id);
    int64_t count = 0;
    assert_true(coti_shape_elements(&shape, 1, &count));
    for (int64_t i = 0; i < count; i++) {
        int64_t index[COT_MAX_RANK];
        int64_t at = view.offset;
        int64_t rest = i;
        for (int32_t a = shape.rank - 1; a >= 0; a--) {
            index[a] = rest % shape.dim[a];
            rest /= shape.dim[a];
            at += index[a] * view.stride[a];
        }
        double found = is_inside(&view, index, shape.rank) ? (double)at : view.bounds->fill;
        if (found != (double)expected[i]) {
            fail_msg("node %u, element %lld: found %g, expected %g", id, (long long)i, found,
                     (double)expected[i]);
        }
    }
}

/* All nodes of a graph of one input and views of it. */
static void check_graph(const char *text, int64_t rows) {
    cot_graph *graph = parse(text);
    coti_views views;
    coti_views_init(&views, graph);
    CHECK_OK(context, coti_views_extend(&views));
    size_t n = graph->node.count;
    coti_tensor *value = calloc(n, sizeof *value);
    for (uint32_t id = 1; id < n; id++) {
        const coti_node *node = coti_node_at(graph, id);
        int64_t count = 0;
        assert_true(coti_shape_elements(&node->shape, rows, &count));
        value[id] = (coti_tensor){COT_F32, coti_shape_bind(&node->shape, rows),
                                  calloc((size_t)count + 1, sizeof(float))};
        for (int64_t i = 0; i < count && node->op == COT_OP_INPUT; i++) {
            ((float *)value[id].data)[i] = (float)i;
        }
        if (node->op != COT_OP_INPUT) {
            CHECK_OK(context,
                     coti_eval_node(context, node, &value[node->input[0]], rows, &value[id]));
        }
        check_view(&views, id, rows, value[id].data);
    }
    for (uint32_t id = 1; id < n; id++) {
        free(value[id].data);
    }
    free(value);
    coti_views_free(&views);
    cot_graph_destroy(graph);
}

static void test_elements(void **state) {
    (void)state;
    static const char *const graphs[] = {
        "graph @a(%x: f32[N,4,6]) {\n"
        "  %0 = permute %x {axes=[0, 2, 1]} : f32[N,6,4]\n"
        "  %1 = slice %0 {start=[0, 1, 1], stride=[1, 2, 1]} : f32[N,3,3]\n"
        "  %2 = flip %1 {axes=[1]} : f32[N,3,3]\n"
        "  %3 = pad %2 {low=[0, 1, 0], high=[0, 2, 1], value=-5} : f32[N,6,4]\n"
        "  %4 = flip %3 {axes=[1, 2]} : f32[N,6,4]\n"
        "  %5 = slice %4 {start=[0, 1, 0], stride=[1, 2, 3]} : f32[N,2,2]\n"
        "  %6 = pad %5 {low=[0, 0, 3], high=[0, 1, 0], value=-5} : f32[N,3,5]\n"
        "  %7 = permute %6 {axes=[0, 2, 1]} : f32[N,5,3]\n"
        "  %8 = broadcast %7 {axes=[0, 2, 3]} : f32[N,2,5,3]\n"
        "  %9 = reshape %8 : f32[N,2,5,1,3]\n"
        "  return y=%9\n}\n",
        "graph @b(%x: f32[2N,3,4]) {\n"
        "  %0 = reshape %x : f32[N,6,4]\n"
        "  %1 = reshape %x : f32[6N,2,2]\n"
        "  %2 = reshape %1 : f32[N,24]\n"
        "  %3 = slice %0 {start=[0, 0, 1], stride=[1, 1, 2]} : f32[N,6,2]\n"
        "  %4 = reshape %3 : f32[N,2,3,2]\n"
        "  %5 = reshape %3 : f32[6N,2]\n"
        "  %6 = slice %4 {start=[0, 1, 0, 0], stride=[1, 1, 1, 1]} : f32[N,1,3,2]\n"
        "  %7 = reshape %6 : f32[N,3,2]\n"
        "  return a=%2, b=%5, c=%7\n}\n",
        "graph @c(%x: f32[3]) {\n"
        "  %0 = pad %x {low=[2], high=[2], value=9} : f32[7]\n"
        "  %1 = slice %0 {start=[0], stride=[1]} : f32[1]\n"
        "  %2 = slice %0 {start=[3], stride=[1]} : f32[1]\n"
        "  %3 = broadcast %1 {axes=[0]} : f32[4]\n"
        "  %4 = broadcast %2 {axes=[1]} : f32[2,5]\n"
        "  %5 = flip %0 {axes=[0]} : f32[7]\n"
        "  %6 = slice %5 {start=[1], stride=[3]} : f32[2]\n"
        "  %7 = slice %0 {start=[6], stride=[2]} : f32[0]\n"
        "  %8 = reshape %0 : f32[1,7,1]\n"
        "  return a=%3, b=%4, c=%6, d=%7, e=%8\n}\n",
        "graph @w(%x: f32[N,5,4]) {\n"
        "  %0 = window %x {axis=1, size=[2, 2], stride=[2, 1], dilation=[3, 2]}"
        " : f32[N,1,2,2,2]\n"
        "  %1 = flip %0 {axes=[2, 3]} : f32[N,1,2,2,2]\n"
        "  %2 = pad %x {low=[0, 1, 0], high=[0, 0, 0], value=-5} : f32[N,6,4]\n"
        "  %3 = window %2 {axis=2, size=[3], stride=[1], dilation=[1]} : f32[N,6,2,3]\n"
        "  %4 = permute %3 {axes=[0, 3, 2, 1]} : f32[N,3,2,6]\n"
        "  %5 = window %x {axis=1, size=[3], stride=[140737488355328], dilation=[1]}"
        " : f32[N,1,3,4]\n"
        "  %6 = window %5 {axis=2, size=[2], stride=[1], dilation=[1]} : f32[N,1,2,2,4]\n"
        "  %7 = window %x {axis=1, size=[6], stride=[9], dilation=[140737488355328]}"
        " : f32[N,0,6,4]\n"
        "  return a=%1, b=%4, c=%6, d=%7\n}\n",
    };
    for (size_t i = 0; i < sizeof graphs / sizeof graphs[0]; i++) {
        check_graph(graphs[i], 1);
        check_graph(graphs[i], 3);
    }
}

/* What is no affine view is known beforehand. */
static void test_refused(void **state) {
    (void)state;
    cot_graph *graph = parse("graph @r(%x: f32[N,4,6]) {\n"
                             "  %0 = permute %x {axes=[0, 2, 1]} : f32[N,6,4]\n"
                             "  %1 = pad %x {low=[0, 0, 1], high=[0, 0, 0], value=2} : f32[N,4,7]\n"
                             "  return permuted=%0, padded=%1\n}\n");
    coti_views views;
    coti_views_init(&views, graph);
    CHECK_OK(context, coti_views_extend(&views));
    const cot_shape flat = {.rank = 2, .batched = true, .dim = {1, 24}};
    const cot_shape split = {.rank = 4, .batched = true, .dim = {1, 2, 3, 4}};
    const cot_shape rows = {.rank = 3, .batched = true, .dim = {2, 2, 7}};
    const cot_shape columns = {.rank = 2, .batched = true, .dim = {1, 28}};
    uint32_t permuted = output(graph, "permuted");
    uint32_t padded = output(graph, "padded");
    assert_false(coti_view_can_reshape(&views, permuted, &flat));
    assert_true(coti_view_can_reshape(&views, permuted, &split));
    assert_true(coti_view_can_reshape(&views, padded, &rows)); /* the bounded axis stays */
    assert_false(coti_view_can_reshape(&views, padded, &columns));
    coti_attr_PAD pad = {.low = {3, {0, 1, 0}}, .high = {3, {0, 0, 0}}, .value = 2};
    assert_true(coti_view_can_pad(&views, padded, &pad));
    pad.value = -2;
    assert_false(coti_view_can_pad(&views, padded, &pad));
    assert_true(coti_view_can_pad(&views, permuted, &pad));
    pad.low.v[1] = 0; /* pads nothing */
    assert_true(coti_view_can_pad(&views, padded, &pad));
    coti_attr_WINDOW window = {.axis = 1, .size = {1, {2}}, .stride = {1, {1}}};
    window.dilation = window.stride;
    assert_true(coti_view_can_window(&views, padded, &window)); /* the bounded axis stays */
    window.axis = 2;
    assert_false(coti_view_can_window(&views, padded, &window));
    assert_true(coti_view_can_window(&views, permuted, &window));
    coti_views_free(&views);
    cot_graph_destroy(graph);
}

static void test_match(void **state) {
    (void)state;
    cot_graph *graph =
        parse("graph @m(%x: f32[N,1,4,6]) {\n"
              "  %0 = permute %x {axes=[0, 3, 1, 2]} : f32[N,6,1,4]\n"
              "  %1 = broadcast %0 {axes=[0, 1, 2, 4]} : f32[N,6,1,3,4]\n"
              "  %2 = slice %x {start=[0, 0, 0, 0], stride=[1, 1, 1, 1]} : f32[N,1,4,5]\n"
              "  %3 = flip %x {axes=[2]} : f32[N,1,4,6]\n"
              "  %4 = reshape %x : f32[N,24]\n"
              "  return permuted=%0, spread=%1, part=%2, flipped=%3, merged=%4\n}\n");
    static const char *const unlike[] = {"part", "flipped", "merged"};
    coti_views views;
    int8_t axis[COT_MAX_RANK];
    coti_views_init(&views, graph);
    CHECK_OK(context, coti_views_extend(&views));
    coti_view base = *coti_view_at(&views, graph->input.data[0]);
    const cot_shape *shape = &coti_node_at(graph, graph->input.data[0])->shape;
    uint32_t id = output(graph, "spread");
    coti_view view = *coti_view_at(&views, id);
    assert_true(coti_view_match(&view, &coti_node_at(graph, id)->shape, &base, shape, axis));
    assert_int_equal(axis[0], 0);
    assert_int_equal(axis[1], -1); /* an extent of 1 is nowhere */
    assert_int_equal(axis[2], 4);
    assert_int_equal(axis[3], 1);
    for (size_t i = 0; i < sizeof unlike / sizeof unlike[0]; i++) {
        id = output(graph, unlike[i]);
        view = *coti_view_at(&views, id);
        assert_false(coti_view_match(&view, &coti_node_at(graph, id)->shape, &base, shape, axis));
    }
    id = output(graph, "permuted");
    view = *coti_view_at(&views, id);
    coti_run run;
    assert_true(coti_view_collapse(&view, &coti_node_at(graph, id)->shape, (const int32_t[]){3, 1},
                                   2, &run));
    assert_int_equal(run.extent, 24);
    assert_int_equal(run.stride, 1);
    assert_false(coti_view_collapse(&view, &coti_node_at(graph, id)->shape, (const int32_t[]){1, 3},
                                    2, &run));
    assert_true(coti_view_collapse(&view, &coti_node_at(graph, id)->shape, NULL, 0, &run));
    assert_int_equal(run.extent, 1);
    assert_int_equal(run.stride, 0);
    coti_views_free(&views);
    cot_graph_destroy(graph);
}

static int setup(void **state) {
    (void)state;
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    return context == NULL;
}

static int teardown(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_match),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
