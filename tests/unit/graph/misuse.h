/*
 * What tests of misused builders share: operands of many types, and the check of a refusal.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "graph_test.h"

/* Values of many types, in layer "dense_1". */
typedef struct values {
    fixture *f;
    cot_graph *graph;
    cot_value x, w, v, s;    /* f32[N,784], f32[784,10], f32[3], f32[] */
    cot_value x2, heads;     /* f32[2N,784], f32[4,5,784] */
    cot_value i, l, u, p, d; /* i32[N,784], i64[], u8[3], bool[3], f64[3] */
    cot_value empty;         /* f32[3,0] */
    cot_value high;          /* i32[1,1,1,1,1,1,1,1] */
    cot_value rows;          /* f32[N] */
    cot_value big;           /* f32[2^24,2^23]: as many elements as a tensor may have */
} values;

UNUSED static values make_values(fixture *f) {
    cot_graph *g = f->graph;
    values v = {
        .f = f,
        .graph = g,
        .x = cot_op_input(g, COT_F32, BATCH(1, 784), "x"),
        .w = cot_op_input(g, COT_F32, SHAPE(784, 10), "w"),
        .v = cot_op_input(g, COT_F32, SHAPE(3), "v"),
        .s = cot_op_input(g, COT_F32, SCALAR, "s"),
        .x2 = cot_op_input(g, COT_F32, BATCH(2, 784), "x2"),
        .heads = cot_op_input(g, COT_F32, SHAPE(4, 5, 784), "heads"),
        .i = cot_op_input(g, COT_I32, BATCH(1, 784), "i"),
        .l = cot_op_input(g, COT_I64, SCALAR, "l"),
        .u = cot_op_input(g, COT_U8, SHAPE(3), "u"),
        .p = cot_op_input(g, COT_BOOL, SHAPE(3), "p"),
        .d = cot_op_input(g, COT_F64, SHAPE(3), "d"),
        .empty = cot_op_input(g, COT_F32, SHAPE(3, 0), "empty"),
        .high = cot_op_input(g, COT_I32, SHAPE(1, 1, 1, 1, 1, 1, 1, 1), "high"),
        .rows = cot_op_input(g, COT_F32, BATCH(1), "rows"),
        .big = cot_op_input(g, COT_F32, SHAPE(1 << 24, 1 << 23), "big"),
    };
    assert_int_equal(cot_error_get(f->context).status, COT_OK);
    cot_graph_set_layer(g, "dense_1");
    return v;
}

/* The error, with each of the texts in its message, one line of it; then cleared. */
UNUSED static void check_message(cot_context *context, cot_status status, const char *const *texts,
                                 int line) {
    cot_error error = cot_error_get(context);
    if (error.status != status) {
        fail_msg("line %d: status %s, expected %s: %s", line, cot_status_name(error.status),
                 cot_status_name(status), error.message);
    }
    for (; *texts != NULL; texts++) {
        if (strstr(error.message, *texts) == NULL) {
            fail_msg("line %d: \"%s\" is not in: %s", line, *texts, error.message);
        }
    }
    size_t length = strlen(error.message);
    assert_null(strchr(error.message, '\n'));
    assert_true(length > 0 && error.message[length - 1] != '.');
    assert_string_equal(error.file + strlen(error.file) - 2, ".c");
    cot_error_clear(context);
}

/* BAD(call, status, texts...) */
#define BAD(call, status, ...)                                                                     \
    do {                                                                                           \
        size_t before_ = v.graph->node.count;                                                      \
        cot_value bad_ = (call);                                                                   \
        assert_null(bad_.graph);                                                                   \
        check_message(v.f->context, status, (const char *const[]){__VA_ARGS__, NULL}, __LINE__);   \
        CHECK_OK(v.f->context, coti_graph_verify(v.graph));                                        \
        assert_true(v.graph->node.count >= before_);                                               \
    } while (0)

#endif
