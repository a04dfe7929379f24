/*
 * Attention beyond what the op cases show: Keras's multi-head attention composed of it, and what is
 * shared between its forward and backward part.
 */
#include "graph_run.h"

#include <math.h>

static const cot_value none = {NULL, 0};

/* x [.., d] by a kernel [d, heads, k], plus a bias [heads, k]; heads moved before the positions. */
static cot_value project(cot_value x, cot_value kernel, cot_value bias) {
    const cot_dot_axes axes = {.n_contract = 1, .a_contract = {2}, .b_contract = {0}};
    cot_value y = cot_op_binary(COT_OP_ADD, cot_op_dot(x, kernel, &axes), bias);
    return cot_op_permute(y, AXES(0, 2, 1, 3), 4);
}

/*
 * MultiHeadAttention(2, 3) of x [1,4,5] by itself: weights are kernel and bias of query, key, value
 * and output, of 3 features a head. In f32, the numbers by Keras 3.16; they agree to its rounding.
 */
static void keras_multi_head_attention(void **state) {
    fixture *f = *state;
    static const double want[2][10] = {
        {-0.61950761, -0.017810501, 0.32811511, -0.079454035, 0.092340752, -0.62086982,
         -0.015412413, 0.32320493, -0.070097476, 0.094289713},
        {-0.59288496, -0.1018712, 0.46844849, -0.43726346, 0.032477878, -0.56674117, -0.11191463,
         0.51509225, -0.44917548, 0.016430117}};
    const cot_shape shapes[8] = {SHAPE(5, 2, 3), SHAPE(2, 3), SHAPE(5, 2, 3), SHAPE(2, 3),
                                 SHAPE(5, 2, 3), SHAPE(2, 3), SHAPE(2, 3, 5), SHAPE(5)};
    float x[20], weight[8][30];
    cot_value w[8];
    cot_value in = cot_op_input(f->graph, COT_F32, BATCH(1, 4, 5), "x");
    const float *inputs[9] = {x};
    fill(x, 20, 3, 2);
    for (int i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        w[i] = cot_op_input(f->graph, COT_F32, shapes[i], name);
        fill(weight[i], 30, 7 * i, 1);
        inputs[i + 1] = weight[i];
    }
    for (int causal = 0; causal < 2; causal++) {
        cot_value y = cot_op_attention(
            project(in, w[0], w[1]), project(in, w[2], w[3]), project(in, w[4], w[5]), none,
            &(cot_attention_options){.struct_size = sizeof(cot_attention_options),
                                     .causal = causal == 1});
        const cot_dot_axes axes = {.n_contract = 2, .a_contract = {1, 3}, .b_contract = {0, 1}};
        y = cot_op_binary(COT_OP_ADD, cot_op_dot(y, w[6], &axes), w[7]);
        CHECK_TYPE(y, "f32[N,4,5]");
        CHECK_OK(f->context, cot_graph_output(y, causal == 1 ? "causal" : "y"));
    }
    float whole[2][20], parts[2][20];
    run_both(f->graph, 1, inputs, (float *[]){whole[0], whole[1]}, (float *[]){parts[0], parts[1]});
    for (int i = 0; i < 2; i++) {
        check_near(whole[i], want[i], 10, 2e-6);
        check_near(parts[i], want[i], 10, 2e-6);
    }
}

static int count_op(const cot_graph *graph, cot_op op) {
    int n = 0;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        n += coti_node_at(graph, id)->op == op;
    }
    return n;
}

/* The scores and their weights are made once for forward and backward part: two products forward
 * and four backward, one exp; and only what is wanted. */
static void weights_are_made_once(void **state) {
    fixture *f = *state;
    cot_value q = cot_op_input(f->graph, COT_F32, BATCH(1, 2, 4, 3), "q");
    cot_value k = cot_op_input(f->graph, COT_F32, BATCH(1, 2, 5, 3), "k");
    cot_value v = cot_op_input(f->graph, COT_F32, BATCH(1, 2, 5, 6), "v");
    cot_value y = cot_op_attention(q, k, v, none, NULL), grad[3];
    cot_value g = cot_op_input(f->graph, COT_F32, cot_value_shape(y), "g");
    CHECK_OK(f->context, cot_vjp(y, g, (cot_value[]){q, k, v}, 3, grad));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(f->context, cot_graph_output(grad[i], (const char *[]){"dq", "dk", "dv"}[i]));
    }
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(f->context, coti_pass_expand(f->graph, &expanded, &changed));
    assert_int_equal(count_op(expanded, COT_OP_DOT), 6);
    assert_int_equal(count_op(expanded, COT_OP_EXP), 1);
    assert_int_equal(count_op(expanded, COT_OP_PERMUTE), 0);
    cot_graph_destroy(expanded);
}

/* Scores so large that their exponentials overflow, and scores far below the mask's. */
static void extreme_scores(void **state) {
    fixture *f = *state;
    cot_value q = cot_op_input(f->graph, COT_F32, SHAPE(3, 1), "q");
    cot_value k = cot_op_input(f->graph, COT_F32, SHAPE(2, 1), "k");
    cot_value v = cot_op_input(f->graph, COT_F32, SHAPE(2, 1), "v");
    cot_value mask = cot_op_binary(COT_OP_NE, cot_op_iota(f->graph, COT_I32, SHAPE(2), 0),
                                   cot_op_constant(f->graph, COT_I32, 0));
    cot_value y = cot_op_attention(q, k, v, none, NULL);
    cot_value seen = cot_op_attention(q, k, v, mask, NULL);
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    CHECK_OK(f->context, cot_graph_output(seen, "seen"));
    coti_tensor in[3] = {{COT_F32, SHAPE(3, 1), (float[]){1e15F, -1e15F, 0}},
                         {COT_F32, SHAPE(2, 1), (float[]){1, 1e15F}},
                         {COT_F32, SHAPE(2, 1), (float[]){5, 7}}};
    float found[2][3];
    coti_tensor out[2] = {{COT_F32, SHAPE(3, 1), found[0]}, {COT_F32, SHAPE(3, 1), found[1]}};
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(f->context, coti_pass_expand(f->graph, &expanded, &changed));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(f->context, coti_eval_graph(i == 0 ? f->graph : expanded, 1, in, out));
        assert_true(found[0][0] == 7 && found[0][1] == 5 && found[0][2] == 6);
        assert_true(found[1][0] == 7 && found[1][1] == 7 && found[1][2] == 7);
    }
    cot_graph_destroy(expanded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(keras_multi_head_attention),
        FIXTURE_TEST(weights_are_made_once),
        FIXTURE_TEST(extreme_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
