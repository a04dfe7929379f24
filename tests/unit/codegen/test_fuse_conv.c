/*
 * What convolutions and pools become: how many kernels, and what of them is in memory.
 */
#include "check.h"

#include "codegen/plan.h"
#include "fuse_case.h"

static cot_context *context;

static int make_context(void **state) {
    (void)state;
    context = cot_context_create(
        &(cot_options){.struct_size = sizeof(cot_options), .threads = 2, .environment = COT_OFF});
    return context == NULL;
}

static int drop_context(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

/* The groups of a text, whose results have been held to the evaluator's. */
static coti_groups *groups_of(const char *text, int64_t max_rows) {
    fuse_check_text(context, text);
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    assert_non_null(graph);
    coti_groups *groups = fuse_groups(graph, max_rows);
    cot_graph_destroy(graph);
    return groups;
}

static void check_skeletons(const coti_groups *groups, const coti_skeleton *expected, int32_t n) {
    assert_int_equal(groups->n_groups, n);
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(groups->group[i].kernel->skeleton, expected[i]);
    }
}

/* Elements a row of the largest value that a group writes. */
static int64_t largest_value(const coti_groups *groups) {
    int64_t largest = 0;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const coti_group *group = &groups->group[g];
        for (int32_t s = 0; s < group->kernel->n_slots; s++) {
            int64_t elements = 0;
            const cot_shape *shape = &coti_node_at(groups->graph, group->operand[s].id)->shape;
            assert_true(coti_shape_elements(shape, 1, &elements));
            largest = group->operand[s].written && elements > largest ? elements : largest;
        }
    }
    return largest;
}

/* The plan needs no memory but for outputs of these elements a row, and what chunks hold. */
static void check_chunk_local(const coti_groups *groups, int64_t output_elements) {
    coti_plan *plan = NULL;
    CHECK_OK(context, coti_plan_make(groups, &fuse_target, &plan));
    assert_int_equal(plan->program.n_phases, 1);
    assert_true(plan->program.local_bytes > 0);
    assert_int_equal(plan->program.arena_bytes, groups->max_rows * output_elements * 4);
    coti_plan_destroy(plan);
}

static const char same_text[] =
    "graph @conv(%x: f32[N,8,8,3], state %w: f32[3,3,3,16], state %b: f32[16]) {\n"
    "  %0 = conv %x, %w {stride=[1, 1], dilation=[1, 1], low=[1, 1], high=[1, 1], groups=1}"
    " : f32[N,8,8,16]\n"
    "  %1 = broadcast %b {axes=[3]} : f32[N,8,8,16]\n"
    "  %2 = add %0, %1 : f32[N,8,8,16]\n"
    "  %3 = relu %2 : f32[N,8,8,16]\n"
    "  return y=%3\n}\n";

/* Neither a padded copy nor windows: one product, with bias and relu, of x as it lies. */
static void a_convolution_copies_nothing(void **state) {
    (void)state;
    static const coti_skeleton expected[] = {COTI_SKELETON_LOAD, COTI_SKELETON_GEMM};
    coti_groups *groups = groups_of(same_text, 128);
    check_skeletons(groups, expected, 2);
    const coti_gemm *g = &groups->group[1].kernel->gemm;
    assert_int_equal(g->window.role, COTI_WINDOW_ROWS);
    assert_int_equal(g->window.image_stride, 8 * 8 * 3);
    assert_true(g->tile_broadcast <= 8);
    check_chunk_local(groups, 8 * 8 * 16);
    coti_groups_destroy(groups);
}

/* The weights' gradient: its update, the bias' gradient and update are one call. */
static void a_weight_gradient_updates_weights_and_bias(void **state) {
    (void)state;
    coti_groups *groups =
        groups_of("graph @dw(%x: f32[N,9,8,4], %g: f32[N,9,8,20], state %w: f32[3,3,4,20],"
                  " state %b: f32[20]) {\n"
                  "  %0 = conv_dw %x, %g {size=[3, 3], stride=[1, 1], dilation=[1, 1], low=[1, 1],"
                  " high=[1, 1], groups=1} : f32[3,3,4,20]\n"
                  "  %1 = const {data=0.001} : f32[]\n"
                  "  %2 = broadcast %1 : f32[3,3,4,20]\n"
                  "  %3 = mul %0, %2 : f32[3,3,4,20]\n"
                  "  %4 = sub %w, %3 : f32[3,3,4,20]\n"
                  "  %5 = sum %g {axes=[0, 1, 2]} : f32[20]\n"
                  "  %6 = broadcast %1 : f32[20]\n"
                  "  %7 = mul %5, %6 : f32[20]\n"
                  "  %8 = sub %b, %7 : f32[20]\n"
                  "  update %w <- %4\n"
                  "  update %b <- %8\n"
                  "  return\n}\n",
                  128);
    const int32_t n_groups = groups->n_groups;
    const coti_kernel *kernel = groups->group[n_groups - 1].kernel;
    assert_int_equal(n_groups, 3); /* two loads before it */
    assert_int_equal(kernel->gemm.window.role, COTI_WINDOW_TAPS);
    assert_true(kernel->gemm.side.n_stores > 0);
    coti_groups_destroy(groups);
}

/* By x, with a stride: the cotangent where it lies, one copy of the kernel, and a product. */
static void a_gradient_by_x_is_a_convolution(void **state) {
    (void)state;
    coti_groups *groups =
        groups_of("graph @dx(%g: f32[N,5,5,8], state %w: f32[3,3,4,8]) {\n"
                  "  %0 = conv_dx %g, %w {size=[9, 10], stride=[2, 2], dilation=[1, 1], low=[1, 0],"
                  " high=[1, 1], groups=1} : f32[N,9,10,4]\n"
                  "  return dx=%0\n}\n",
                  128);
    const int32_t last = fuse_find(groups, COT_OP_CONV_DX, 0);
    assert_true(last > 0);
    assert_int_equal(groups->group[last].kernel->gemm.window.role, COTI_WINDOW_ROWS);
    assert_int_equal(largest_value(groups), 9 * 10 * 4);
    coti_groups_destroy(groups);
}

/* Where windows lie as the product wants them, nothing is copied. */
static void one_tap_is_read_in_place(void **state) {
    (void)state;
    static const coti_skeleton expected[] = {COTI_SKELETON_LOAD, COTI_SKELETON_GEMM};
    coti_groups *groups = groups_of(
        "graph @one(%x: f32[N,5,7,3], state %w: f32[1,1,3,4]) {\n"
        "  %0 = conv %x, %w {stride=[1, 1], dilation=[1, 1], low=[0, 0], high=[0, 0], groups=1}"
        " : f32[N,5,7,4]\n"
        "  return y=%0\n}\n",
        128);
    check_skeletons(groups, expected, 2);
    coti_groups_destroy(groups);
    groups = groups_of(
        "graph @patches(%x: f32[N,12,2], state %w: f32[3,2,4]) {\n"
        "  %0 = conv %x, %w {stride=[3], dilation=[1], low=[0], high=[0], groups=1} : f32[N,4,4]\n"
        "  return y=%0\n}\n",
        128);
    check_skeletons(groups, expected, 2);
    coti_groups_destroy(groups);
}

/* Forward, one product; by x, another, of the kernel turned; by weights, one with the bias' sum. */
static void a_depthwise_convolution_copies_nothing(void **state) {
    (void)state;
    static const coti_skeleton expected[] = {COTI_SKELETON_LOAD, COTI_SKELETON_GEMM};
    coti_groups *groups = groups_of(
        "graph @depthwise(%x: f32[N,8,8,4], state %w: f32[3,3,1,4], state %b: f32[4]) {\n"
        "  %0 = conv %x, %w {stride=[1, 1], dilation=[1, 1], low=[1, 1], high=[1, 1], groups=4}"
        " : f32[N,8,8,4]\n"
        "  %1 = broadcast %b {axes=[3]} : f32[N,8,8,4]\n"
        "  %2 = add %0, %1 : f32[N,8,8,4]\n"
        "  %3 = relu %2 : f32[N,8,8,4]\n"
        "  return y=%3\n}\n",
        128);
    check_skeletons(groups, expected, 2);
    assert_int_equal(groups->group[1].kernel->gemm.window.columns, 1);
    check_chunk_local(groups, 8 * 8 * 4);
    coti_groups_destroy(groups);
    groups =
        groups_of("graph @depthwise_dx(%g: f32[N,8,8,4], state %w: f32[3,3,1,4]) {\n"
                  "  %0 = conv_dx %g, %w {size=[8, 8], stride=[1, 1], dilation=[1, 1], low=[1, 1],"
                  " high=[1, 1], groups=4} : f32[N,8,8,4]\n"
                  "  return dx=%0\n}\n",
                  128);
    assert_int_equal(largest_value(groups), 8 * 8 * 4);
    assert_true(groups->n_groups <= 3); /* the load, the kernel turned, the product */
    coti_groups_destroy(groups);
    groups =
        groups_of("graph @depthwise_dw(%x: f32[N,8,8,4], %g: f32[N,8,8,4], state %w: f32[3,3,1,4],"
                  " state %b: f32[4]) {\n"
                  "  %0 = conv_dw %x, %g {size=[3, 3], stride=[1, 1], dilation=[1, 1], low=[1, 1],"
                  " high=[1, 1], groups=4} : f32[3,3,1,4]\n"
                  "  %1 = sub %w, %0 : f32[3,3,1,4]\n"
                  "  %2 = sum %g {axes=[0, 1, 2]} : f32[4]\n"
                  "  %3 = sub %b, %2 : f32[4]\n"
                  "  update %w <- %1\n"
                  "  update %b <- %3\n"
                  "  return\n}\n",
                  128);
    assert_int_equal(groups->n_groups, 3); /* two loads before it */
    assert_int_equal(groups->group[2].kernel->gemm.window.role, COTI_WINDOW_TAPS);
    assert_true(groups->group[2].kernel->gemm.side.n_stores > 0);
    coti_groups_destroy(groups);
}

/* Two reductions, of x where it lies. */
static void a_pool_copies_nothing(void **state) {
    (void)state;
    static const coti_skeleton expected[] = {COTI_SKELETON_LOAD, COTI_SKELETON_COLRED,
                                             COTI_SKELETON_COLRED};
    coti_groups *groups =
        groups_of("graph @pool(%x: f32[N,9,9,4]) {\n"
                  "  %0 = max_pool %x {size=[3, 3], stride=[2, 2], low=[0, 0], high=[0, 0]}"
                  " : f32[N,4,4,4]\n"
                  "  return y=%0\n}\n",
                  128);
    check_skeletons(groups, expected, 3);
    check_chunk_local(groups, 4 * 4 * 4);
    coti_groups_destroy(groups);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_convolution_copies_nothing),
        cmocka_unit_test(a_weight_gradient_updates_weights_and_bias),
        cmocka_unit_test(a_gradient_by_x_is_a_convolution),
        cmocka_unit_test(one_tap_is_read_in_place),
        cmocka_unit_test(a_depthwise_convolution_copies_nothing),
        cmocka_unit_test(a_pool_copies_nothing),
    };
    return cmocka_run_group_tests(tests, make_context, drop_context);
}
