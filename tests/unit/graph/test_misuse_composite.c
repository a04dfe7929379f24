/*
 * Misused builders of normalisations, statistics and attention, as test_misuse.c has the others.
 */
#include "misuse.h"

#include <math.h>

static void bad_normalisations(void **state) {
    values v = make_values(*state);
    cot_value c = cot_op_input(v.graph, COT_F32, SHAPE(784), "c");
    cot_value ten = cot_op_input(v.graph, COT_F32, SHAPE(10), "ten");
    cot_value mean = v.x, variance = v.x;
    BAD(cot_op_layer_norm(v.s, c, c, 0.1), COT_E_SHAPE, "layer_norm \"dense_1\": ", "scalar",
        "x is f32[], scale is f32[784], offset is f32[784]");
    BAD(cot_op_layer_norm(v.x, v.v, c, 0.1), COT_E_SHAPE, "layer_norm",
        "scale must have the elements of x's last axis, 784", "scale is f32[3]");
    BAD(cot_op_layer_norm(v.x, c, v.x, 0.1), COT_E_SHAPE, "layer_norm", "offset must have",
        "offset is f32[N,784]");
    BAD(cot_op_layer_norm(v.v, v.v, v.d, 0.1), COT_E_DTYPE, "layer_norm", "offset is f64[3]");
    BAD(cot_op_layer_norm(v.i, c, c, 0.1), COT_E_DTYPE, "layer_norm", "x is i32[N,784]");
    BAD(cot_op_layer_norm(v.rows, c, c, 0.1), COT_E_SHAPE, "layer_norm", "batch", "x is f32[N]");
    BAD(cot_op_layer_norm(v.empty, c, c, 0.1), COT_E_SHAPE, "layer_norm", "the last axis is empty");
    BAD(cot_op_layer_norm(v.x, c, c, -1e-3), COT_E_ARG, "layer_norm", "epsilon -0.001",
        "at least 0");
    BAD(cot_op_layer_norm(v.x, c, c, INFINITY), COT_E_ARG, "layer_norm", "epsilon inf");
    BAD(cot_op_rms_norm(v.x, ten, 0.1), COT_E_SHAPE, "rms_norm \"dense_1\": ", "scale", "784",
        "x is f32[N,784], scale is f32[10]");
    BAD(cot_op_rms_norm(v.x, c, (double)NAN), COT_E_ARG, "rms_norm", "epsilon");
    BAD(cot_op_batch_norm(v.x, v.rows, c, 0.1), COT_E_SHAPE, "batch_norm \"dense_1\": ", "scale",
        "scale is f32[N]");
    BAD(cot_op_batch_norm(v.x, c, ten, 0.1), COT_E_SHAPE, "batch_norm", "offset is f32[10]");
    BAD(cot_op_group_norm(v.x, c, c, 3, 0.1), COT_E_ARG,
        "group_norm \"dense_1\": ", "3 groups do not divide 784 channels", "x is f32[N,784]");
    BAD(cot_op_group_norm(v.x, c, c, 0, 0.1), COT_E_ARG, "group_norm", "0 groups");
    BAD(cot_op_group_norm(v.x, c, c, -2, 0.1), COT_E_ARG, "group_norm", "-2 groups");
    BAD(cot_op_group_norm(v.v, v.v, v.v, 1, 0.1), COT_E_SHAPE, "group_norm", "axis of rows",
        "x is f32[3]");
    BAD(cot_op_group_norm(v.x, ten, c, 1, 0.1), COT_E_SHAPE, "group_norm", "scale is f32[10]");
    BAD(cot_op_variance(v.i, AXES(1), 1, false), COT_E_DTYPE, "x is i32[N,784]");
    BAD(cot_op_variance(v.w, AXES(2), 1, false), COT_E_SHAPE, "axis 2", "x is f32[784,10]");
    BAD(cot_op_logsumexp(v.i, AXES(1), 1, true), COT_E_DTYPE, "x is i32[N,784]");
    BAD(cot_op_logsumexp(v.empty, AXES(1), 1, true), COT_E_SHAPE, "axis 1 is empty",
        "x is f32[3,0]");
    assert_int_equal(cot_op_moments(v.w, NULL, 1, true, &mean, &variance), COT_E_ARG);
    BAD(mean, COT_E_ARG, "NULL", "x is f32[784,10]");
    assert_null(variance.graph);
}

static cot_value attention(cot_value q, cot_value k, cot_value v, cot_value mask, double scale) {
    return cot_op_attention(q, k, v, mask,
                            &(cot_attention_options){sizeof(cot_attention_options), scale, false});
}

static void bad_attention(void **state) {
    values v = make_values(*state);
    cot_graph *g = v.graph;
    const cot_value none = {NULL, 0};
    cot_value q = cot_op_input(g, COT_F32, BATCH(1, 2, 3, 4), "q");
    cot_value k = cot_op_input(g, COT_F32, BATCH(1, 2, 5, 4), "k");
    cot_value one_head = cot_op_input(g, COT_F32, BATCH(1, 1, 5, 4), "one_head");
    cot_value two_rows = cot_op_input(g, COT_F32, BATCH(2, 2, 5, 4), "two_rows");
    cot_value fixed = cot_op_input(g, COT_F32, SHAPE(1, 2, 5, 4), "fixed");
    cot_value narrow = cot_op_input(g, COT_F32, BATCH(1, 2, 5, 3), "narrow");
    cot_value wide = cot_op_input(g, COT_F64, BATCH(1, 2, 5, 4), "wide");
    cot_value no_keys = cot_op_input(g, COT_F32, BATCH(1, 2, 0, 4), "no_keys");
    cot_value no_d = cot_op_input(g, COT_F32, SHAPE(3, 0), "no_d");
    cot_value vast = cot_op_input(g, COT_F32, SHAPE(20000000, 4), "vast");
    cot_value mask = cot_op_input(g, COT_BOOL, SHAPE(3, 5), "mask");
    cot_value rows_mask = cot_op_input(g, COT_BOOL, BATCH(1, 5), "rows_mask");
    BAD(attention(q, k, v.x, none, 0), COT_E_SHAPE, "attention \"dense_1\": ", "one rank",
        "q is f32[N,2,3,4], k is f32[N,2,5,4], v is f32[N,784]");
    BAD(attention(v.v, v.v, v.v, none, 0), COT_E_SHAPE, "attention", "rank, of 2 or more");
    BAD(attention(v.x, v.x, v.x, none, 0), COT_E_SHAPE, "attention", "positions of q",
        "must not be the batch");
    BAD(attention(q, one_head, k, none, 0), COT_E_SHAPE, "attention", "axis 1 of q and k differs");
    BAD(attention(q, k, two_rows, none, 0), COT_E_SHAPE, "attention", "axis 0 of q and v differs");
    BAD(attention(q, fixed, k, none, 0), COT_E_SHAPE, "attention", "axis 0 of q and k differs");
    BAD(attention(q, narrow, k, none, 0), COT_E_SHAPE, "attention",
        "features of q and k differ, 4 and 3");
    BAD(attention(q, k, q, none, 0), COT_E_SHAPE, "attention",
        "positions of k and v differ, 5 and 3");
    BAD(attention(q, no_keys, no_keys, none, 0), COT_E_SHAPE, "attention", "no position of k");
    BAD(attention(vast, vast, vast, none, 0), COT_E_SHAPE, "attention",
        "20000000 positions of q and 20000000 of k have more than 140737488355328 scores");
    BAD(attention(q, wide, k, none, 0), COT_E_DTYPE, "attention", "k is f64[N,2,5,4]");
    BAD(attention(v.i, v.i, v.i, none, 0), COT_E_DTYPE, "attention", "q must be f32 or f64");
    BAD(attention(q, k, k, q, 0), COT_E_DTYPE, "attention", "mask must be bool",
        "mask is f32[N,2,3,4]");
    BAD(attention(k, k, k, mask, 0), COT_E_SHAPE, "attention", "bool[N,2,5,5]",
        "mask is bool[3,5]");
    BAD(attention(q, k, k, rows_mask, 0), COT_E_SHAPE, "attention", "bool[N,2,3,5]",
        "mask is bool[N,5]");
    BAD(attention(q, k, k, none, INFINITY), COT_E_ARG, "attention", "scale inf");
    BAD(attention(no_d, no_d, no_d, none, 0), COT_E_ARG, "attention", "scale inf");
    BAD(cot_op_attention(q, k, k, none, &(cot_attention_options){.struct_size = 3}), COT_E_ARG,
        "attention", "struct_size is 3");
    BAD(coti_graph_add(g, COT_OP_ATTENTION, &q, 1, &(coti_attr_ATTENTION){.scale = 1}, COT_F32,
                       NULL),
        COT_E_ARG, "attention", "1 operands given, 3 or 4 expected");
    BAD(coti_graph_add(g, COT_OP_ATTENTION, (cot_value[]){q, k, k}, 3,
                       &(coti_attr_ATTENTION){.scale = 1, .causal = 2}, COT_F32, NULL),
        COT_E_ARG, "attention", "causal is 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(bad_normalisations),
        FIXTURE_TEST(bad_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
