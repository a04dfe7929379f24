/*
 * What normalisations and attention become: how many kernels, of which kinds. Each text is also
 * run, fused and not, against the evaluator.
 */
#include "check.h"

#include "fuse_case.h"

#include <stdlib.h>

#define LOAD COTI_SKELETON_LOAD
#define MAP COTI_SKELETON_MAP
#define ROWS COTI_SKELETON_ROWRED
#define COLUMNS COTI_SKELETON_COLRED
#define GEMM COTI_SKELETON_GEMM

static cot_context *context;

static int make_context(void **state) {
    (void)state;
    context = cot_context_create(
        &(cot_options){.struct_size = sizeof(cot_options), .threads = 2, .environment = COT_OFF});
    return context == NULL;
}

static int drop_context(void **state) {
    (void)state;
    cot_status left = cot_error_get(context).status;
    cot_context_destroy(context);
    return left != COT_OK;
}

/* The text's groups have these skeletons, in order. */
static void check_groups(const char *text, const coti_skeleton *expected, int32_t n) {
    fuse_check_text(context, text);
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    assert_non_null(graph);
    coti_groups *groups = fuse_groups(graph, 64);
    char *groups_text = fuse_text(groups);
    bool same = groups->n_groups == n;
    for (int32_t g = 0; same && g < n; g++) {
        same = groups->group[g].kernel->skeleton == expected[g];
    }
    if (!same) {
        fail_msg("%s", groups_text);
    }
    free(groups_text);
    coti_groups_destroy(groups);
    cot_graph_destroy(graph);
}

#define CHECK_GROUPS(text, ...)                                                                    \
    check_groups(text, (const coti_skeleton[]){__VA_ARGS__},                                       \
                 (int32_t)(sizeof((const coti_skeleton[]){__VA_ARGS__}) / sizeof(coti_skeleton)))

/* All of it works on the same rows. */
static void test_layer_norm(void **state) {
    (void)state;
    CHECK_GROUPS("graph @layer(%x: f32[N,33], %s: f32[33], %o: f32[33]) {\n"
                 "  %0 = layer_norm %x, %s, %o {epsilon=0.001} : f32[N,33]\n"
                 "  return y=%0\n}\n",
                 LOAD, ROWS);
    CHECK_GROUPS("graph @rms(%x: f32[N,33], %s: f32[33]) {\n"
                 "  %0 = rms_norm %x, %s {epsilon=0.001} : f32[N,33]\n"
                 "  return y=%0\n}\n",
                 LOAD, ROWS);
}

/* A mean, both sums of the differences from it in one, the result. The differences and their
 * squares are computed again where they are needed, and never stored. */
static void test_batch_norm(void **state) {
    (void)state;
    CHECK_GROUPS("graph @batch(%x: f32[N,5,3], %s: f32[3], %o: f32[3]) {\n"
                 "  %0 = batch_norm %x, %s, %o {epsilon=0.001} : f32[N,5,3]\n"
                 "  return y=%0\n}\n",
                 LOAD, COLUMNS, COLUMNS, MAP);
}

/* Mask and scale in the epilogue of the scores' product, and no copies between the products. */
static void test_attention(void **state) {
    (void)state;
    CHECK_GROUPS("graph @attention(%q: f32[N,2,5,4], %k: f32[N,2,5,4], %v: f32[N,2,5,3]) {\n"
                 "  %0 = attention %q, %k, %v {scale=0.5, causal=1} : f32[N,2,5,3]\n"
                 "  return y=%0\n}\n",
                 LOAD, LOAD, LOAD, GEMM, ROWS, GEMM);
}

/*
 * Heads inside the rows of a sequence: the products read them where they are, and what merges them
 * again is stored by the product that makes it. Forward: q, k and v, scores, softmax, sums, the
 * last layer.
 */
static void test_heads(void **state) {
    (void)state;
    CHECK_GROUPS("graph @heads(%x: f32[N,5,12], %w: f32[12,12]) {\n"
                 "  %0 = dot %x, %w {a_contract=[2], b_contract=[0]} : f32[N,5,12]\n"
                 "  %1 = reshape %0 : f32[N,5,3,4]\n"
                 "  %2 = permute %1 {axes=[0, 2, 1, 3]} : f32[N,3,5,4]\n"
                 "  %3 = attention %2, %2, %2 {scale=0.5, causal=0} : f32[N,3,5,4]\n"
                 "  %4 = permute %3 {axes=[0, 2, 1, 3]} : f32[N,5,3,4]\n"
                 "  %5 = reshape %4 : f32[N,5,12]\n"
                 "  %6 = dot %5, %w {a_contract=[2], b_contract=[0]} : f32[N,5,12]\n"
                 "  return y=%6\n}\n",
                 LOAD, GEMM, GEMM, ROWS, GEMM, GEMM);
    /* Without a batch too; and where two parts do not suffice, one operand is copied, not both. */
    CHECK_GROUPS("graph @units(%x: f32[2,5,3,4], %y: f32[2,3,5,4]) {\n"
                 "  %0 = permute %x {axes=[0, 2, 1, 3]} : f32[2,3,5,4]\n"
                 "  %1 = dot %0, %y {a_batch=[0, 1], b_batch=[0, 1], a_contract=[3], "
                 "b_contract=[3]} : f32[2,3,5,5]\n"
                 "  return y=%1\n}\n",
                 GEMM);
    CHECK_GROUPS("graph @parts(%x: f32[4,5,3,2,6], %y: f32[2,3,4,5,6]) {\n"
                 "  %0 = dot %x, %y {a_batch=[3, 2, 0], b_batch=[0, 1, 2], a_contract=[4], "
                 "b_contract=[4]} : f32[2,3,4,5,5]\n"
                 "  return y=%0\n}\n",
                 MAP, GEMM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, make_context, drop_context);
}
