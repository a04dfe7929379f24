/*
 * Builders that are misused: each call gives poison, the exact status, and one line that names the
 * op, the layer and the types of the operands. The graph is as it was, and usable.
 */
#include "misuse.h"

static void bad_leaves(void **state) {
    values v = make_values(*state);
    const cot_shape rank_9 = {.rank = 9};
    const cot_shape rank_minus = {.rank = -1};
    const cot_shape batched_scalar = {.rank = 0, .batched = true};
    const unsigned char two[1] = {2};
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(2), NULL), COT_E_ARG, "input \"dense_1\": ", "name");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(2), ""), COT_E_ARG, "input \"dense_1\": ", "name");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(2), "x"), COT_E_ARG, "\"x\" is already taken",
        "an input");
    BAD(cot_op_input(v.graph, (cot_dtype)77, SHAPE(2), "y"), COT_E_DTYPE, "77 is no dtype");
    BAD(cot_op_input(v.graph, COT_F32, rank_9, "y"), COT_E_SHAPE, "rank 9", "0..8");
    BAD(cot_op_input(v.graph, COT_F32, rank_minus, "y"), COT_E_SHAPE, "rank -1");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(2, -3), "y"), COT_E_SHAPE, "-3", "axis 1", "negative");
    BAD(cot_op_input(v.graph, COT_F32, batched_scalar, "y"), COT_E_SHAPE, "batched", "rank 0");
    BAD(cot_op_input(v.graph, COT_F32, BATCH(0, 3), "y"), COT_E_SHAPE, "batched axis",
        "at least 1");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(1 << 24, 1 << 24), "y"), COT_E_SHAPE, "input",
        "[16777216,16777216]", "140737488355328");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(INT64_MAX, INT64_MAX, INT64_MAX), "y"), COT_E_SHAPE,
        "9223372036854775807", "elements");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(0, COTI_SIZE_MAX + 1), "y"), COT_E_SHAPE,
        "[0,140737488355329]", "elements");
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(0, 1 << 24, 1 << 24), "y"), COT_E_SHAPE,
        "[0,16777216,16777216]", "empty axis");
    BAD(cot_op_constant_array(v.graph, COT_F32, BATCH(1, 2), NULL), COT_E_SHAPE, "const",
        "batched");
    BAD(cot_op_constant_array(v.graph, COT_F32, SHAPE(2), NULL), COT_E_ARG, "const", "f32[2]");
    BAD(cot_op_constant_array(v.graph, COT_F32, rank_9, NULL), COT_E_SHAPE, "const", "rank 9");
    BAD(cot_op_constant_array(v.graph, COT_BOOL, SHAPE(1), two), COT_E_ARG, "const",
        "must be 0 or");
    BAD(cot_op_constant(v.graph, (cot_dtype)-1, 1), COT_E_DTYPE, "const", "no dtype");
    BAD(cot_op_iota(v.graph, COT_U8, SHAPE(3), 0), COT_E_DTYPE, "iota \"dense_1\": ", "u8");
    BAD(cot_op_iota(v.graph, COT_I32, SHAPE(3), 1), COT_E_SHAPE, "iota", "axis 1", "rank 1");
    BAD(cot_op_iota(v.graph, COT_I32, SHAPE(3), -2), COT_E_SHAPE, "iota", "axis -1");
    BAD(cot_op_iota(v.graph, COT_I32, SCALAR, 0), COT_E_SHAPE, "iota", "rank 0");
    BAD(cot_op_state(v.graph, NULL), COT_E_ARG, "state \"dense_1\": ", "NULL");
}

static void bad_elementwise(void **state) {
    values v = make_values(*state);
    BAD(cot_op_unary(COT_OP_EXP, v.i), COT_E_DTYPE, "exp \"dense_1\": ", "f32 or f64",
        "x is i32[N,784]");
    BAD(cot_op_unary(COT_OP_EXPM1, v.i), COT_E_DTYPE, "expm1 \"dense_1\": ", "x is i32[N,784]");
    BAD(cot_op_unary(COT_OP_LOG1P, v.p), COT_E_DTYPE, "log1p", "f32 or f64", "x is bool[3]");
    BAD(cot_op_unary(COT_OP_FLOOR, v.u), COT_E_DTYPE, "floor", "f32 or f64", "x is u8[3]");
    BAD(cot_op_unary(COT_OP_SOFTPLUS, v.i), COT_E_DTYPE, "softplus", "f32 or f64",
        "x is i32[N,784]");
    BAD(cot_op_unary(COT_OP_ERFC, v.u), COT_E_DTYPE, "erfc", "f32 or f64", "x is u8[3]");
    BAD(cot_op_unary(COT_OP_GELU, v.i), COT_E_DTYPE, "gelu \"dense_1\": ", "x is i32[N,784]");
    BAD(cot_op_unary(COT_OP_SIN, v.p), COT_E_DTYPE, "sin", "f32 or f64", "x is bool[3]");
    BAD(cot_op_unary(COT_OP_COS, v.i), COT_E_DTYPE, "cos", "f32 or f64", "x is i32[N,784]");
    BAD(cot_op_binary(COT_OP_FLOOR, v.v, v.v), COT_E_ARG, "floor", "no binary");
    BAD(cot_op_unary(COT_OP_RELU, v.u), COT_E_DTYPE, "relu", "x is u8[3]");
    BAD(cot_op_unary(COT_OP_NEG, v.p), COT_E_DTYPE, "neg", "a float or an integer", "x is bool[3]");
    BAD(cot_op_unary(COT_OP_NOT, v.v), COT_E_DTYPE, "not", "must be bool", "x is f32[3]");
    BAD(cot_op_unary(COT_OP_ADD, v.v), COT_E_ARG, "add", "no unary");
    BAD(cot_op_unary(COT_OP_SOFTMAX, v.v), COT_E_ARG, "softmax", "no unary");
    BAD(cot_op_unary(COT_OP_CAST, v.v), COT_E_ARG, "cast", "no unary");
    BAD(cot_op_unary((cot_op)9999, v.v), COT_E_ARG, "9999");
    BAD(cot_op_unary((cot_op)-1, v.v), COT_E_ARG, "-1");
    BAD(cot_op_binary(COT_OP_EXP, v.v, v.v), COT_E_ARG, "exp", "no binary");
    BAD(cot_op_binary(COT_OP_SELECT, v.v, v.v), COT_E_ARG, "select", "no binary");
    BAD(cot_op_binary(COT_OP_DOT, v.v, v.v), COT_E_ARG, "dot", "no binary");
    BAD(cot_op_binary(COT_OP_ADD, v.v, v.d), COT_E_DTYPE,
        "add \"dense_1\": ", "dtypes of a and b differ", "a is f32[3]", "b is f64[3]");
    BAD(cot_op_binary(COT_OP_ADD, v.p, v.p), COT_E_DTYPE, "add", "a is bool[3], b is bool[3]");
    BAD(cot_op_binary(COT_OP_DIV, v.i, v.i), COT_E_DTYPE, "div", "a is i32[N,784]");
    BAD(cot_op_binary(COT_OP_POW, v.u, v.u), COT_E_DTYPE, "pow", "a is u8[3]");
    BAD(cot_op_binary(COT_OP_AND, v.v, v.v), COT_E_DTYPE, "and", "must be bool", "b is f32[3]");
    BAD(cot_op_binary(COT_OP_EQ, v.u, v.p), COT_E_DTYPE, "eq", "a is u8[3], b is bool[3]");
    BAD(cot_op_binary(COT_OP_ADD, v.w, v.v), COT_E_SHAPE, "add", "do not broadcast",
        "a is f32[784,10], b is f32[3]");
    BAD(cot_op_binary(COT_OP_SUB, v.x, v.w), COT_E_SHAPE, "sub", "a is f32[N,784]",
        "b is f32[784,10]");
    BAD(cot_op_binary(COT_OP_SUB, v.x, v.x2), COT_E_SHAPE, "sub", "b is f32[2N,784]");
    BAD(cot_op_binary(COT_OP_MUL, v.heads, v.x), COT_E_SHAPE, "mul", "batched axis",
        "axis 1 of the result", "must lead", "a is f32[4,5,784], b is f32[N,784]");
    BAD(cot_op_binary(COT_OP_MUL, v.rows, v.x), COT_E_SHAPE, "mul", "must lead",
        "a is f32[N], b is f32[N,784]");
    BAD(cot_op_binary(COT_OP_ADD, v.empty, v.w), COT_E_SHAPE, "add", "a is f32[3,0]");
    BAD(cot_op_select(v.v, v.v, v.v), COT_E_DTYPE, "select \"dense_1\": ", "condition must be bool",
        "condition is f32[3], a is f32[3], b is f32[3]");
    BAD(cot_op_select(v.p, v.v, v.d), COT_E_DTYPE, "select", "a and b differ", "b is f64[3]");
    BAD(cot_op_select(v.p, v.w, v.s), COT_E_SHAPE, "select", "a is f32[784,10], b is f32[]");
    BAD(cot_op_cast(v.v, (cot_dtype)6), COT_E_DTYPE, "cast", "6 is no dtype", "x is f32[3]");
}

static void bad_views(void **state) {
    values v = make_values(*state);
    const cot_shape rank_9 = {.rank = 9};
    int32_t nine[9] = {0};
    BAD(cot_op_reshape(v.w, SHAPE(784, 11)), COT_E_SHAPE, "reshape \"dense_1\": ", "f32[784,11]",
        "8624", "7840", "x is f32[784,10]");
    BAD(cot_op_reshape(v.x, SHAPE(784)), COT_E_SHAPE, "reshape", "stays batched", "f32[784]",
        "x is f32[N,784]");
    BAD(cot_op_reshape(v.w, BATCH(784, 10)), COT_E_SHAPE, "reshape", "f32[784N,10]",
        "which is batched", "x is f32[784,10]");
    BAD(cot_op_reshape(v.x, BATCH(3, 261)), COT_E_SHAPE, "reshape", "783", "a row", "784");
    BAD(cot_op_reshape(v.w, rank_9), COT_E_SHAPE, "reshape", "rank 9");
    BAD(cot_op_permute(v.w, AXES(0), 1), COT_E_SHAPE, "permute \"dense_1\": ", "1 axes", "rank 2",
        "x is f32[784,10]");
    BAD(cot_op_permute(v.w, AXES(0, 0), 2), COT_E_SHAPE, "permute", "twice", "x is f32[784,10]");
    BAD(cot_op_permute(v.w, AXES(0, 2), 2), COT_E_SHAPE, "permute", "axis 2", "x is f32[784,10]");
    BAD(cot_op_permute(v.w, AXES(0, -3), 2), COT_E_SHAPE, "permute", "axis -1");
    BAD(cot_op_permute(v.x, AXES(1, 0), 2), COT_E_SHAPE, "permute", "must stay first",
        "x is f32[N,784]");
    BAD(cot_op_permute(v.w, NULL, 2), COT_E_ARG, "permute", "NULL", "x is f32[784,10]");
    BAD(cot_op_permute(v.w, nine, 9), COT_E_ARG, "permute", "9");
    BAD(cot_op_permute(v.w, nine, -1), COT_E_ARG, "permute", "-1");
    BAD(cot_op_broadcast(v.v, SHAPE(2, 4), AXES(1), 1), COT_E_SHAPE,
        "broadcast \"dense_1\": ", "axis 0 does not fit axis 1 of f32[2,4]", "x is f32[3]");
    BAD(cot_op_broadcast(v.v, SHAPE(3, 3), AXES(0, 1), 2), COT_E_SHAPE, "broadcast", "2 axes",
        "rank 1", "x is f32[3]");
    BAD(cot_op_broadcast(v.v, SHAPE(3, 3), AXES(2), 1), COT_E_SHAPE, "broadcast", "axis 2");
    BAD(cot_op_broadcast(v.w, SHAPE(10, 784), AXES(1, 0), 2), COT_E_SHAPE, "broadcast", "ascend");
    BAD(cot_op_broadcast(v.x, SHAPE(5, 784), AXES(0, 1), 2), COT_E_SHAPE, "broadcast",
        "x is f32[N,784]");
    BAD(cot_op_broadcast(v.x, BATCH(2, 784), AXES(0, 1), 2), COT_E_SHAPE, "broadcast",
        "f32[2N,784]");
    BAD(cot_op_broadcast(v.v, BATCH(3, 3), AXES(0), 1), COT_E_SHAPE, "broadcast", "f32[3N,3]");
    BAD(cot_op_broadcast(v.v, SHAPE(3), NULL, 1), COT_E_ARG, "broadcast", "NULL", "x is f32[3]");
    BAD(cot_op_slice(v.v, INTS(1), INTS(3), INTS(1)), COT_E_SHAPE, "slice \"dense_1\": ", "start 1",
        "axis 0", "x is f32[3]");
    BAD(cot_op_slice(v.v, INTS(-1), INTS(1), INTS(1)), COT_E_SHAPE, "slice", "start -1");
    BAD(cot_op_slice(v.v, INTS(0), INTS(2), INTS(0)), COT_E_SHAPE, "slice", "stride 0");
    BAD(cot_op_slice(v.v, INTS(0), INTS(2), INTS(-1)), COT_E_SHAPE, "slice", "stride -1");
    BAD(cot_op_slice(v.v, INTS(0), INTS(1), INTS(COTI_SIZE_MAX + 1)), COT_E_SHAPE, "slice",
        "stride 140737488355329");
    BAD(cot_op_slice(v.v, INTS(0), INTS(-2), INTS(1)), COT_E_SHAPE, "slice", "-2", "negative");
    BAD(cot_op_slice(v.v, INTS(0), INTS(2), INTS(INT64_MAX)), COT_E_SHAPE, "slice", "x is f32[3]");
    BAD(cot_op_slice(v.v, INTS(4), INTS(0), INTS(1)), COT_E_SHAPE, "slice", "start 4");
    BAD(cot_op_slice(v.x, INTS(0, 0), INTS(1, 3), INTS(2, 1)), COT_E_SHAPE, "slice",
        "batched axis must be whole", "x is f32[N,784]");
    BAD(cot_op_slice(v.x, INTS(0, 0), INTS(2, 3), INTS(1, 1)), COT_E_SHAPE, "slice", "size 1");
    BAD(cot_op_slice(v.v, NULL, INTS(2), INTS(1)), COT_E_ARG, "slice", "\"start\" is NULL");
    BAD(cot_op_slice(v.v, INTS(0), INTS(2), NULL), COT_E_ARG, "slice", "\"stride\" is NULL");
    BAD(cot_op_pad(v.v, INTS(-1), INTS(1), 0), COT_E_SHAPE, "pad \"dense_1\": ", "-1",
        "x is f32[3]");
    BAD(cot_op_pad(v.v, INTS(0), INTS(INT64_MAX), 0), COT_E_SHAPE, "pad", "too large");
    BAD(cot_op_pad(v.x, INTS(1, 0), INTS(0, 0), 0), COT_E_SHAPE, "pad", "batched axis",
        "x is f32[N,784]");
    BAD(cot_op_pad(v.u, INTS(1), INTS(1), 0.5), COT_E_ARG, "pad", "0.5 is no u8", "x is u8[3]");
    BAD(cot_op_pad(v.u, INTS(1), INTS(1), 256), COT_E_ARG, "pad", "256 is no u8");
    BAD(cot_op_pad(v.p, INTS(1), INTS(1), 2), COT_E_ARG, "pad", "2 is no bool");
    BAD(cot_op_pad(v.v, INTS(1), NULL, 0), COT_E_ARG, "pad", "\"high\" is NULL");
    BAD(cot_op_flip(v.w, AXES(1, -1), 2), COT_E_SHAPE, "flip \"dense_1\": ", "twice",
        "x is f32[784,10]");
    BAD(cot_op_flip(v.x, AXES(0), 1), COT_E_SHAPE, "flip", "batched axis", "x is f32[N,784]");
    BAD(cot_op_flip(v.v, AXES(1), 1), COT_E_SHAPE, "flip", "axis 1 is out of range for rank 1");
    BAD(cot_op_window(v.v, 0, 1, INTS(0), INTS(1), INTS(1)), COT_E_SHAPE,
        "window \"dense_1\": ", "size 0 of axis 0", "x is f32[3]");
    BAD(cot_op_window(v.w, 0, 2, INTS(1, 1), INTS(1, -1), INTS(1, 1)), COT_E_SHAPE, "window",
        "stride -1 of axis 1", "x is f32[784,10]");
    BAD(cot_op_window(v.v, 0, 1, INTS(1), INTS(1), INTS(COTI_SIZE_MAX + 1)), COT_E_SHAPE, "window",
        "dilation 140737488355329 of axis 0");
    BAD(cot_op_window(v.w, 0, 1, INTS(COTI_SIZE_MAX), INTS(1), INTS(COTI_SIZE_MAX)), COT_E_SHAPE,
        "window", "[0,140737488355328,10] has more");
    BAD(cot_op_window(v.x, 0, 1, INTS(1), INTS(1), INTS(1)), COT_E_SHAPE, "window", "batched axis",
        "x is f32[N,784]");
    BAD(cot_op_window(v.w, 1, 2, INTS(1, 1), INTS(1, 1), INTS(1, 1)), COT_E_SHAPE, "window",
        "2 axes from axis 1 on do not fit rank 2");
    BAD(cot_op_window(v.w, 2, 1, INTS(1), INTS(1), INTS(1)), COT_E_SHAPE, "window", "axis 2");
    BAD(cot_op_window(v.w, -3, 1, INTS(1), INTS(1), INTS(1)), COT_E_SHAPE, "window", "axis -1");
    BAD(cot_op_window(v.w, 0, 0, INTS(1), INTS(1), INTS(1)), COT_E_ARG, "window", "0 axes");
    BAD(cot_op_window(v.w, 0, 9, INTS(1), INTS(1), INTS(1)), COT_E_ARG, "window", "9 axes");
    BAD(cot_op_window(v.w, 0, 1, INTS(1), NULL, INTS(1)), COT_E_ARG, "window",
        "\"stride\" is NULL");
    BAD(cot_op_concat((cot_value[]){v.v, v.d}, 2, 0), COT_E_DTYPE,
        "concat \"dense_1\": ", "operand 1 is f64[3]", "x0 is f32[3]");
    BAD(cot_op_concat((cot_value[]){v.w, v.empty}, 2, 1), COT_E_SHAPE, "concat",
        "operand 1 is f32[3,0]", "x0 is f32[784,10]");
    BAD(cot_op_concat((cot_value[]){v.w, v.v}, 2, 1), COT_E_SHAPE, "concat", "operand 1 is f32[3]");
    BAD(cot_op_concat((cot_value[]){v.x, v.x}, 2, 0), COT_E_SHAPE, "concat", "batched axis",
        "x0 is f32[N,784], x1 is f32[N,784]");
    BAD(cot_op_concat((cot_value[]){v.x, v.x2}, 2, 1), COT_E_SHAPE, "concat", "f32[2N,784]");
    BAD(cot_op_concat((cot_value[]){v.v, v.v}, 2, 1), COT_E_SHAPE, "concat", "axis 1");
    BAD(cot_op_concat((cot_value[]){v.s}, 1, 0), COT_E_SHAPE, "concat", "rank 0");
    BAD(cot_op_concat((cot_value[]){v.big, v.big}, 2, 0), COT_E_SHAPE, "concat",
        "[33554432,8388608]");
}

static cot_value dot(cot_value a, cot_value b, cot_dot_axes axes) {
    return cot_op_dot(a, b, &axes);
}

static void bad_reductions_and_products(void **state) {
    values v = make_values(*state);
    BAD(cot_op_reduce(COT_OP_SUM, v.p, AXES(0), 1, false), COT_E_DTYPE,
        "sum \"dense_1\": ", "x is bool[3]");
    BAD(cot_op_reduce(COT_OP_SUM, v.w, AXES(2), 1, false), COT_E_SHAPE, "sum", "axis 2", "rank 2",
        "x is f32[784,10]");
    BAD(cot_op_reduce(COT_OP_SUM, v.w, AXES(-3), 1, true), COT_E_SHAPE, "sum", "axis -1");
    BAD(cot_op_reduce(COT_OP_SUM, v.w, AXES(1, -1), 2, true), COT_E_SHAPE, "sum", "twice");
    BAD(cot_op_reduce(COT_OP_SUM, v.w, NULL, 1, true), COT_E_ARG, "sum", "NULL",
        "x is f32[784,10]");
    BAD(cot_op_reduce(COT_OP_ARGMAX, v.w, AXES(0), 1, false), COT_E_ARG, "argmax", "no reduction");
    BAD(cot_op_reduce((cot_op)777, v.w, AXES(0), 1, false), COT_E_ARG, "777", "no reduction");
    BAD(cot_op_reduce(COT_OP_REDUCE_MAX, v.empty, AXES(1), 1, false), COT_E_SHAPE, "reduce_max",
        "axis 1 is empty", "x is f32[3,0]");
    BAD(cot_op_argmax(v.empty, 1), COT_E_SHAPE, "argmax", "axis 1 is empty", "x is f32[3,0]");
    BAD(cot_op_argmax(v.w, 2), COT_E_SHAPE, "argmax", "axis 2", "x is f32[784,10]");
    BAD(cot_op_argmax(v.s, 0), COT_E_SHAPE, "argmax", "rank 0");
    BAD(cot_op_argmax(v.p, 0), COT_E_DTYPE, "argmax", "x is bool[3]");
    BAD(cot_op_reduce(COT_OP_ARGMIN, v.w, AXES(0), 1, false), COT_E_ARG, "argmin", "no reduction");
    BAD(cot_op_reduce(COT_OP_SOFTMAX, v.w, AXES(0), 1, false), COT_E_ARG, "softmax",
        "no reduction");
    BAD(cot_op_reduce(COT_OP_PERMUTE, v.w, AXES(0), 1, false), COT_E_ARG, "permute",
        "no reduction");
    BAD(cot_op_reduce(COT_OP_REDUCE_MIN, v.empty, AXES(1), 1, false), COT_E_SHAPE, "reduce_min",
        "axis 1 is empty and has no minimum", "x is f32[3,0]");
    BAD(cot_op_reduce(COT_OP_REDUCE_MIN, v.p, AXES(0), 1, false), COT_E_DTYPE, "reduce_min",
        "x is bool[3]");
    BAD(cot_op_reduce(COT_OP_REDUCE_MIN, v.w, AXES(2), 1, false), COT_E_SHAPE, "reduce_min",
        "axis 2", "x is f32[784,10]");
    BAD(cot_op_argmin(v.empty, 1), COT_E_SHAPE, "argmin \"dense_1\": ", "axis 1 is empty",
        "minimum", "x is f32[3,0]");
    BAD(cot_op_argmin(v.w, 2), COT_E_SHAPE, "argmin", "axis 2", "x is f32[784,10]");
    BAD(cot_op_argmin(v.p, 0), COT_E_DTYPE, "argmin", "x is bool[3]");
    BAD(cot_op_reduce(COT_OP_PROD, v.x, AXES(1, 0), 2, false), COT_E_SHAPE,
        "prod \"dense_1\": ", "a product over the batch", "x is f32[N,784]");
    BAD(cot_op_reduce(COT_OP_PROD, v.p, AXES(0), 1, false), COT_E_DTYPE, "prod", "x is bool[3]");
    BAD(cot_op_reduce(COT_OP_PROD, v.w, AXES(0, 0), 2, false), COT_E_SHAPE, "prod", "twice");
    BAD(cot_op_mean(v.i, AXES(1), 1, false), COT_E_DTYPE, "mean \"dense_1\": ", "x is i32[N,784]");
    BAD(cot_op_mean(v.w, AXES(5), 1, false), COT_E_SHAPE, "axis 5", "x is f32[784,10]");

    const cot_dot_axes inner = {.n_contract = 1, .a_contract = {1}, .b_contract = {0}};
    BAD(dot(v.x, v.heads, inner), COT_E_SHAPE, "dot \"dense_1\": inner dimensions differ",
        "a is f32[N,784], b is f32[4,5,784]");
    BAD(cot_op_dot(v.x, v.w, NULL), COT_E_ARG, "dot", "NULL", "a is f32[N,784], b is f32[784,10]");
    BAD(dot(v.x, v.w, (cot_dot_axes){.n_contract = 9}), COT_E_ARG, "dot", "0..8");
    BAD(dot(v.x, v.w, (cot_dot_axes){.n_batch = -1}), COT_E_ARG, "dot", "0..8");
    BAD(dot(v.v, v.d, (cot_dot_axes){.n_contract = 1}), COT_E_DTYPE, "dot", "a is f32[3]",
        "b is f64[3]");
    BAD(dot(v.i, v.i, inner), COT_E_DTYPE, "dot", "a is i32[N,784]");
    BAD(dot(v.x, v.w, (cot_dot_axes){.n_contract = 1, .a_contract = {2}}), COT_E_SHAPE, "dot",
        "a_contract", "axis 2");
    BAD(dot(v.w, v.w, (cot_dot_axes){.n_contract = 2}), COT_E_SHAPE, "dot", "twice");
    BAD(dot(v.w, v.w, (cot_dot_axes){.n_batch = 1, .n_contract = 1}), COT_E_SHAPE, "dot",
        "both batch and contracted", "a is f32[784,10]");
    BAD(dot(v.x, v.w, (cot_dot_axes){.n_batch = 1, .n_contract = 1, .a_contract = {1}}),
        COT_E_SHAPE, "dot", "both");
    BAD(dot(v.x, v.heads, (cot_dot_axes){.n_batch = 1}), COT_E_SHAPE, "dot",
        "batch dimensions differ");
    BAD(dot(v.w, v.x, (cot_dot_axes){.n_contract = 1, .a_contract = {0}, .b_contract = {1}}),
        COT_E_SHAPE, "dot", "swap a and b", "a is f32[784,10], b is f32[N,784]");
    BAD(dot(v.x, v.rows, (cot_dot_axes){.n_batch = 0}), COT_E_SHAPE, "dot", "swap a and b");
    cot_value batch = cot_op_input(v.graph, COT_F32, BATCH(1, 784, 7), "batch");
    BAD(dot(batch, v.heads,
            (cot_dot_axes){.n_batch = 1, .a_batch = {1}, .b_batch = {2}, .n_contract = 0}),
        COT_E_SHAPE, "dot", "axis 1 of the result", "must lead");
    BAD(dot(batch, batch, (cot_dot_axes){.n_batch = 2, .a_batch = {1, 0}, .b_batch = {1, 0}}),
        COT_E_SHAPE, "dot", "listed first", "number 1");
    cot_value six = cot_op_input(v.graph, COT_F32, SHAPE(1, 1, 1, 1, 1, 1), "six");
    BAD(dot(six, v.heads, (cot_dot_axes){0}), COT_E_SHAPE, "dot", "more than 8 axes",
        "a is f32[1,1,1,1,1,1]");
    BAD(dot(v.big, v.big, (cot_dot_axes){0}), COT_E_SHAPE, "dot",
        "[16777216,8388608,16777216,8388608]");
    BAD(cot_op_matmul(v.s, v.w), COT_E_SHAPE, "dot \"dense_1\": ", "rank", "a is f32[]");
    BAD(cot_op_matmul(v.v, v.v), COT_E_SHAPE, "dot", "rank", "b is f32[3]");
    BAD(cot_op_matmul(v.v, v.heads), COT_E_SHAPE, "dot", "b is f32[4,5,784]");
    BAD(cot_op_matmul(v.x, v.x), COT_E_SHAPE, "dot", "a is f32[N,784], b is f32[N,784]");
}

static void bad_indexing(void **state) {
    values v = make_values(*state);
    cot_value few = cot_op_input(v.graph, COT_I32, SHAPE(4), "few");
    cot_value each = cot_op_input(v.graph, COT_I32, BATCH(1, 4), "each");
    cot_value doubled = cot_op_input(v.graph, COT_I32, BATCH(2), "doubled");
    BAD(cot_op_gather(v.w, v.v, 0, 0), COT_E_DTYPE,
        "gather \"dense_1\": ", "index must be i32 or i64", "x is f32[784,10], index is f32[3]");
    BAD(cot_op_gather(v.w, v.u, 0, 0), COT_E_DTYPE, "gather", "index is u8[3]");
    BAD(cot_op_gather(v.s, few, 0, 0), COT_E_SHAPE, "gather", "axis 0", "rank 0");
    BAD(cot_op_gather(v.w, few, 2, 0), COT_E_SHAPE, "gather", "axis 2", "rank 2");
    BAD(cot_op_gather(v.w, few, -3, 0), COT_E_SHAPE, "gather", "axis -1", "rank 2");
    BAD(cot_op_gather(v.w, few, 1, 2), COT_E_SHAPE, "gather", "n_batch 2", "axis 1");
    BAD(cot_op_gather(v.w, v.l, 1, 1), COT_E_SHAPE, "gather", "n_batch 1", "rank of index, 0");
    BAD(cot_op_gather(v.w, few, 1, -1), COT_E_SHAPE, "gather", "n_batch -1");
    BAD(cot_op_gather(v.w, few, 1, 1), COT_E_SHAPE, "gather", "batch axis 0 of x and index differ");
    BAD(cot_op_gather(v.x, doubled, 1, 1), COT_E_SHAPE, "gather", "batch axis 0",
        "index is i32[2N]");
    BAD(cot_op_gather(v.x, few, 0, 0), COT_E_SHAPE, "gather", "batched axis", "x is f32[N,784]");
    BAD(cot_op_gather(v.x, each, 1, 0), COT_E_SHAPE, "gather", "N would become axis 1",
        "index is i32[N,4]");
    BAD(cot_op_gather(v.w, each, 1, 0), COT_E_SHAPE, "gather", "N would become axis 1");
    BAD(cot_op_gather(v.heads, v.high, 0, 0), COT_E_SHAPE, "gather", "more than 8 axes");
    BAD(cot_op_take_along_axis(v.w, few, 0), COT_E_SHAPE, "take_along_axis", "equal but for axis 0",
        "index is i32[4]");
    BAD(cot_op_take_along_axis(v.x, v.i, 0), COT_E_SHAPE, "take_along_axis", "batched axis");
    BAD(cot_op_take_along_axis(v.x, v.i, 2), COT_E_SHAPE, "take_along_axis", "axis 2");
    BAD(cot_op_take_along_axis(v.x, v.x, 1), COT_E_DTYPE, "gather", "index is f32[N,784]");
    BAD(cot_op_scatter_add(v.v, v.v, 0, 0, 3), COT_E_DTYPE,
        "scatter_add \"dense_1\": ", "updates is f32[3], index is f32[3]");
    BAD(cot_op_scatter_add(v.p, few, 0, 0, 3), COT_E_DTYPE, "scatter_add", "float or an integer",
        "updates is bool[3]");
    BAD(cot_op_scatter_add(v.v, few, 0, 0, 3), COT_E_SHAPE, "scatter_add",
        "axis 0 of updates is not axis 0 of index");
    BAD(cot_op_scatter_add(v.v, few, 1, 0, 3), COT_E_SHAPE, "scatter_add", "lack axes of index");
    BAD(cot_op_scatter_add(v.v, few, 2, 0, 3), COT_E_SHAPE, "scatter_add", "axis 2", "rank 2");
    BAD(cot_op_scatter_add(v.w, v.l, 0, 0, -5), COT_E_SHAPE, "scatter_add", "-5", "negative");
    BAD(cot_op_scatter_add(v.x, v.l, 0, 0, 5), COT_E_SHAPE, "scatter_add", "N would become axis 1");
    BAD(cot_op_scatter_add(v.x, v.i, 1, 2, 5), COT_E_SHAPE, "scatter_add", "n_batch 2");
    BAD(cot_op_scatter_add(v.x, doubled, 1, 1, 5), COT_E_SHAPE, "scatter_add",
        "batch axis 0 of updates and index differ");
    BAD(cot_op_scatter_add(v.x, doubled, 0, 0, 5), COT_E_SHAPE, "scatter_add", "axis 0 of updates");
    BAD(cot_op_scatter_add(v.high, v.l, 0, 0, 5), COT_E_SHAPE, "scatter_add", "more than 8 axes");
}

/* top_k, its values; its places must be poisoned too. */
static cot_value best(cot_value x, int64_t k) {
    cot_value largest, at;
    cot_op_top_k(x, k, &largest, &at);
    assert_true((largest.graph == NULL) == (at.graph == NULL));
    return largest;
}

static void bad_order(void **state) {
    values v = make_values(*state);
    cot_value few = cot_op_input(v.graph, COT_I32, SHAPE(4), "few");
    cot_value tens = cot_op_input(v.graph, COT_F32, BATCH(1, 10), "tens");
    BAD(cot_op_dynamic_update(v.w, tens, v.l, 0), COT_E_SHAPE, "dynamic_update",
        "update does not fit x along axis 0", "f32[N,10]");
    BAD(cot_op_dynamic_slice(v.w, v.s, 0, 2), COT_E_DTYPE,
        "dynamic_slice \"dense_1\": ", "start must be i32 or i64",
        "x is f32[784,10], start is f32[]");
    BAD(cot_op_dynamic_slice(v.w, few, 0, 2), COT_E_SHAPE, "dynamic_slice", "scalar", "i32[4]");
    BAD(cot_op_dynamic_slice(v.w, v.l, 2, 2), COT_E_SHAPE, "dynamic_slice", "axis 2", "rank 2");
    BAD(cot_op_dynamic_slice(v.x, v.l, 0, 2), COT_E_SHAPE, "dynamic_slice", "the batch",
        "x is f32[N,784]");
    BAD(cot_op_dynamic_slice(v.w, v.l, 1, 11), COT_E_SHAPE, "dynamic_slice", "size 11 of axis 1",
        "0..10");
    BAD(cot_op_dynamic_slice(v.w, v.l, 1, -1), COT_E_SHAPE, "dynamic_slice", "size -1");
    BAD(cot_op_dynamic_slice(v.s, v.l, 0, 0), COT_E_SHAPE, "dynamic_slice", "rank 0");
    BAD(cot_op_dynamic_update(v.w, v.w, v.s, 0), COT_E_DTYPE,
        "dynamic_update \"dense_1\": ", "x is f32[784,10], update is f32[784,10], start is f32[]");
    BAD(cot_op_dynamic_update(v.v, v.d, v.l, 0), COT_E_DTYPE, "dynamic_update",
        "dtypes of x and update differ");
    BAD(cot_op_dynamic_update(v.v, few, v.l, 0), COT_E_DTYPE, "dynamic_update");
    BAD(cot_op_dynamic_update(v.x, v.x, v.l, 0), COT_E_SHAPE, "dynamic_update", "the batch");
    BAD(cot_op_dynamic_update(v.x, v.w, v.l, 1), COT_E_SHAPE, "dynamic_update",
        "update does not fit x along axis 1");
    BAD(cot_op_dynamic_update(v.x, v.x2, v.l, 1), COT_E_SHAPE, "dynamic_update", "f32[2N,784]");
    BAD(cot_op_dynamic_update(v.v, v.w, v.l, 0), COT_E_SHAPE, "dynamic_update", "does not fit");
    BAD(cot_op_dynamic_update(v.empty, v.w, v.l, 1), COT_E_SHAPE, "dynamic_update", "does not fit");
    BAD(cot_op_argsort(v.p, false), COT_E_DTYPE, "argsort \"dense_1\": ", "x is bool[3]");
    BAD(cot_op_argsort(v.s, false), COT_E_SHAPE, "argsort", "scalar", "x is f32[]");
    BAD(cot_op_argsort(v.rows, true), COT_E_SHAPE, "argsort", "the batch", "x is f32[N]");
    BAD(cot_op_sort(v.p, false), COT_E_DTYPE, "argsort", "x is bool[3]");
    BAD(best(v.v, 4), COT_E_SHAPE, "argsort", "top_k: k 4", "0..3");
    BAD(best(v.v, -1), COT_E_SHAPE, "argsort", "top_k: k -1");
    BAD(best(v.s, 1), COT_E_SHAPE, "argsort", "scalar");
    BAD(coti_graph_add(v.graph, COT_OP_ARGSORT, &v.v, 1, &(coti_attr_ARGSORT){.descending = 2},
                       COT_F32, NULL),
        COT_E_ARG, "argsort", "descending is 2");
    BAD(cot_op_cumsum(v.p, 0), COT_E_DTYPE, "cumsum \"dense_1\": ", "x is bool[3]");
    BAD(cot_op_cumsum(v.v, 1), COT_E_SHAPE, "cumsum", "axis 1", "rank 1");
    BAD(cot_op_cumsum(v.x, 0), COT_E_SHAPE, "cumsum", "the batch");
}

static void bad_others(void **state) {
    values v = make_values(*state);
    BAD(cot_op_one_hot(v.v, 3, COT_F32), COT_E_DTYPE, "one_hot \"dense_1\": ", "x is f32[3]");
    BAD(cot_op_one_hot(v.u, 3, COT_F32), COT_E_DTYPE, "one_hot", "i32 or i64", "x is u8[3]");
    BAD(cot_op_one_hot(v.i, -1, COT_F32), COT_E_SHAPE, "one_hot", "-1", "negative");
    BAD(cot_op_one_hot(v.high, 2, COT_F32), COT_E_SHAPE, "one_hot", "more than 8 axes");
    BAD(cot_op_one_hot(v.i, 2, (cot_dtype)99), COT_E_DTYPE, "one_hot", "99");
    BAD(cot_op_random(v.s, v.l, COT_F32, SHAPE(2), COT_UNIFORM, 1), COT_E_DTYPE,
        "random \"dense_1\": ", "seed must be i64", "seed is f32[], step is i64[]");
    cot_value pair = cot_op_constant_array(v.graph, COT_I64, SHAPE(2), INTS(1, 2));
    BAD(cot_op_random(v.l, pair, COT_F32, SHAPE(2), COT_UNIFORM, 1), COT_E_SHAPE, "random",
        "step must be a scalar", "step is i64[2]");
    BAD(cot_op_random(v.l, v.l, COT_I32, SHAPE(2), COT_UNIFORM, 1), COT_E_DTYPE, "random", "i32");
    BAD(cot_op_random(v.l, v.l, COT_F32, SHAPE(2), (cot_distribution)7, 1), COT_E_ARG, "random",
        "7 is no distribution");
    BAD(cot_op_random(v.l, v.l, COT_F32, SHAPE(2), COT_NORMAL, -1), COT_E_ARG, "random",
        "stream -1");
    BAD(cot_op_softmax(v.s), COT_E_SHAPE, "softmax \"dense_1\": ", "scalar", "x is f32[]");
    BAD(cot_op_softmax(v.i), COT_E_DTYPE, "softmax", "x is i32[N,784]");
    BAD(cot_op_softmax(v.rows), COT_E_SHAPE, "softmax", "batch", "x is f32[N]");
    BAD(cot_op_log_softmax(v.empty), COT_E_SHAPE, "log_softmax", "empty", "x is f32[3,0]");
    BAD(cot_op_softmax_cross_entropy(v.v, v.d), COT_E_DTYPE, "softmax_xent", "target is f32[3]",
        "logits is f64[3]");
    BAD(cot_op_softmax_cross_entropy(v.x, v.w), COT_E_SHAPE, "softmax_xent",
        "shapes of target and logits differ", "target is f32[N,784], logits is f32[784,10]");
    BAD(coti_decompose(coti_node_of(cot_op_binary(COT_OP_ADD, v.v, v.v)), (cot_value[]){v.v, v.v}),
        COT_E_ARG, "add", "no decomposition");
    BAD(coti_graph_add(v.graph, COT_OP_ADD, &v.v, 1, NULL, COT_F32, NULL), COT_E_ARG, "add",
        "1 operands given, 2 expected", "x is f32[3]");
    BAD(coti_graph_add(v.graph, COT_OP_CONCAT, NULL, 0, &(coti_attr_AXIS){.axis = 0}, COT_F32,
                       NULL),
        COT_E_ARG, "concat", "0 operands given, 1 or more expected");
    BAD(coti_graph_add(v.graph, COT_OP_SUM, &v.v, 1, NULL, COT_F32, NULL), COT_E_INTERNAL, "sum",
        "attributes are missing");
    BAD(coti_graph_add(v.graph, (cot_op)4444, &v.v, 1, NULL, COT_F32, NULL), COT_E_ARG, "4444");
}

/* ---- handles ---- */

static void handles_of_another_graph_or_context_poison(void **state) {
    values v = make_values(*state);
    cot_context *other_context = cot_context_create(NULL);
    cot_graph *elsewhere = cot_graph_create(other_context, "elsewhere");
    cot_graph *second = cot_graph_create(v.f->context, "second");
    cot_value far = cot_op_input(elsewhere, COT_F32, SHAPE(3), "v");
    cot_value near = cot_op_input(second, COT_F32, SHAPE(3), "v");
    BAD(cot_op_binary(COT_OP_ADD, v.v, near), COT_E_ARG, "add \"dense_1\": ", "operand 2 of 2",
        "another graph");
    BAD(cot_op_binary(COT_OP_ADD, v.v, far), COT_E_ARG, "add", "operand 2 of 2", "another context");
    BAD(cot_op_select(v.p, v.v, near), COT_E_ARG, "select", "operand 3 of 3", "another graph");
    BAD(cot_op_dot(v.v, far, &(cot_dot_axes){0}), COT_E_ARG, "dot", "another context");
    BAD(cot_op_concat((cot_value[]){v.v, near}, 2, 0), COT_E_ARG, "concat", "another graph");
    BAD(cot_op_softmax_cross_entropy(v.v, near), COT_E_ARG, "softmax_xent", "another graph");
    BAD(coti_graph_add(v.graph, COT_OP_EXP, &near, 1, NULL, COT_F32, NULL), COT_E_ARG, "exp",
        "another graph");
    BAD(cot_op_binary(COT_OP_ADD, v.v, ((cot_value){NULL, 0})), COT_E_ARG, "operand 2 of 2",
        "poisoned");
    BAD(cot_op_binary(COT_OP_ADD, ((cot_value){NULL, 0}), v.v), COT_E_ARG, "operand 1 of 2",
        "poisoned");
    BAD(cot_op_unary(COT_OP_EXP, ((cot_value){v.graph, 0})), COT_E_ARG, "exp", "no value");
    BAD(cot_op_unary(COT_OP_EXP, ((cot_value){v.graph, 1u << 30})), COT_E_ARG, "exp", "no value");
    /* A value that is none has the type of a poisoned one. */
    assert_int_equal(cot_value_shape((cot_value){v.graph, 1u << 30}).rank, 0);
    assert_int_equal(cot_error_get(other_context).status, COT_OK);
    cot_variable *foreign = cot_variable_create(other_context, COT_F32, SHAPE(3), "foreign");
    BAD(cot_op_state(v.graph, foreign), COT_E_ARG, "state", "\"foreign\"", "another context");
    cot_variable_release(foreign);
    cot_graph_destroy(elsewhere);
    cot_graph_destroy(second);
    cot_context_destroy(other_context);
}

/* The first error stays, and what follows from it says nothing. */
static void the_first_error_is_the_one_reported(void **state) {
    values v = make_values(*state);
    cot_value bad = cot_op_binary(COT_OP_ADD, v.w, v.v);
    cot_value worse = cot_op_unary(COT_OP_EXP, cot_op_binary(COT_OP_MUL, bad, v.v));
    assert_null(worse.graph);
    assert_null(cot_op_unary(COT_OP_NOT, v.v).graph);
    CHECK_ERROR(v.f->context, COT_E_SHAPE, "add \"dense_1\": shapes do not broadcast");
}

/* ---- updates, outputs, graphs ---- */

#define BAD_STATUS(call, status, ...)                                                              \
    do {                                                                                           \
        assert_int_equal(call, status);                                                            \
        check_message(v.f->context, status, (const char *const[]){__VA_ARGS__, NULL}, __LINE__);   \
        CHECK_OK(v.f->context, coti_graph_verify(v.graph));                                        \
    } while (0)

static void bad_updates_and_outputs(void **state) {
    values v = make_values(*state);
    cot_variable *variable = cot_variable_create(v.f->context, COT_F32, SHAPE(3), "bias");
    cot_value s = cot_op_state(v.graph, variable);
    cot_graph *second = cot_graph_create(v.f->context, "second");
    cot_value near = cot_op_input(second, COT_F32, SHAPE(3), "v");
    const cot_value poison = {NULL, 0};
    BAD_STATUS(cot_graph_update(v.v, s), COT_E_ARG, "update \"dense_1\": ", "input", "f32[3]",
               "only a state");
    BAD_STATUS(cot_graph_update(s, v.d), COT_E_DTYPE, "update", "\"bias\" is f32[3]", "f64[3]");
    BAD_STATUS(cot_graph_update(s, v.w), COT_E_SHAPE, "update", "\"bias\" is f32[3]",
               "f32[784,10]");
    BAD_STATUS(cot_graph_update(s, near), COT_E_ARG, "update", "another graph");
    BAD_STATUS(cot_graph_update(s, poison), COT_E_ARG, "update", "poisoned");
    CHECK_OK(v.f->context, cot_graph_update(s, v.v));
    BAD_STATUS(cot_graph_update(s, v.v), COT_E_ARG, "update", "\"bias\"", "twice", "f32[3]");
    BAD_STATUS(cot_graph_output(v.v, NULL), COT_E_ARG, "output", "name");
    BAD_STATUS(cot_graph_output(v.v, ""), COT_E_ARG, "output", "name");
    CHECK_OK(v.f->context, cot_graph_output(v.v, "y"));
    BAD_STATUS(cot_graph_output(v.w, "y"), COT_E_ARG, "output", "\"y\"", "already taken");
    BAD_STATUS(cot_graph_output((cot_value){v.graph, 0}, "z"), COT_E_ARG, "output", "no value");
    assert_int_equal(v.graph->output.count, 1);
    assert_int_equal(v.graph->update.count, 1);
    BAD(cot_op_input(v.graph, COT_F32, SHAPE(3), "bias"), COT_E_ARG, "\"bias\"", "a state");
    cot_graph_destroy(second);
    cot_variable_release(variable);
}

static void bad_graph_names(void **state) {
    fixture *f = *state;
    static const char *const names[] = {NULL, "", "a b", "a/b", "../x", "a-b", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_null(cot_graph_create(f->context, names[i]));
        CHECK_ERROR(f->context, COT_E_ARG, "letters, digits and '_'");
    }
    cot_graph *graph = cot_graph_create(f->context, "_7Aa");
    assert_non_null(graph);
    cot_graph_destroy(graph);
}

static bool refuse(const char *text, size_t bytes, void *user) {
    (void)text;
    (void)bytes;
    (void)user;
    return false;
}

static void bad_writers(void **state) {
    fixture *f = *state;
    assert_int_equal(cot_graph_print(f->graph, NULL, NULL), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "print: the writer is NULL");
    assert_int_equal(cot_graph_print(f->graph, refuse, NULL), COT_E_IO);
    CHECK_ERROR(f->context, COT_E_IO, "print: the writer refused");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(bad_leaves),
        FIXTURE_TEST(bad_elementwise),
        FIXTURE_TEST(bad_views),
        FIXTURE_TEST(bad_reductions_and_products),
        FIXTURE_TEST(bad_indexing),
        FIXTURE_TEST(bad_order),
        FIXTURE_TEST(bad_others),
        FIXTURE_TEST(handles_of_another_graph_or_context_poison),
        FIXTURE_TEST(the_first_error_is_the_one_reported),
        FIXTURE_TEST(bad_updates_and_outputs),
        FIXTURE_TEST(bad_graph_names),
        FIXTURE_TEST(bad_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
