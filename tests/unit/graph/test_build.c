/*
 * Builders that succeed: the type of each result, broadcasting, hash-consing, names, variables'
 * nodes, updates and outputs.
 */
#include "graph_test.h"

static cot_value input(fixture *f, cot_dtype dtype, cot_shape shape, const char *name) {
    cot_value value = cot_op_input(f->graph, dtype, shape, name);
    assert_non_null(value.graph);
    return value;
}

static void leaves_have_the_types_asked_for(void **state) {
    fixture *f = *state;
    CHECK_TYPE(cot_op_input(f->graph, COT_F32, BATCH(1, 784), "x"), "f32[N,784]");
    CHECK_TYPE(cot_op_input(f->graph, COT_I32, BATCH(4), "tokens"), "i32[4N]");
    CHECK_TYPE(cot_op_input(f->graph, COT_U8, SHAPE(2, 0, 3), "empty"), "u8[2,0,3]");
    CHECK_TYPE(cot_op_constant(f->graph, COT_F64, 0.5), "f64[]");
    CHECK_TYPE(cot_op_constant_array(f->graph, COT_I64, SHAPE(2), INTS(5, -7)), "i64[2]");
    CHECK_TYPE(cot_op_constant_array(f->graph, COT_F32, SHAPE(0), NULL), "f32[0]");
    CHECK_TYPE(cot_op_rows(f->graph), "i64[]");
    CHECK_TYPE(cot_op_iota(f->graph, COT_F32, BATCH(2, 3), -1), "f32[2N,3]");
    assert_int_equal(f->graph->input.count, 3);
}

/* Read back through the graph's own copy. */
static double constant_value(cot_value value) {
    const coti_attr_DATA *attr = coti_node_of(value)->attr;
    double element[1] = {0};
    memcpy(element, attr->data.data, (size_t)attr->data.bytes);
    coti_tensor tensor = {cot_value_dtype(value), SCALAR, element};
    return coti_tensor_get(&tensor, 0);
}

static void constants_convert_their_number(void **state) {
    fixture *f = *state;
    assert_true(constant_value(cot_op_constant(f->graph, COT_F32, 0.1)) == (double)0.1f);
    assert_true(constant_value(cot_op_constant(f->graph, COT_F64, 0.1)) == 0.1);
    assert_true(constant_value(cot_op_constant(f->graph, COT_I32, -2.9)) == -2);
    assert_true(constant_value(cot_op_constant(f->graph, COT_I32, 1e20)) == INT32_MAX);
    assert_true(constant_value(cot_op_constant(f->graph, COT_U8, -3)) == 0);
    assert_true(constant_value(cot_op_constant(f->graph, COT_U8, 300)) == 255);
    assert_true(constant_value(cot_op_constant(f->graph, COT_BOOL, 0.25)) == 1);
    double nan = strtod("nan", NULL);
    assert_true(constant_value(cot_op_constant(f->graph, COT_I64, nan)) == 0);
    CHECK_TYPE(cot_op_constant(f->graph, COT_I64, 1e300), "i64[]");
}

static void elementwise_operations_keep_shape_and_dtype(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, BATCH(1, 3), "x");
    cot_value i = input(f, COT_I32, BATCH(1, 3), "i");
    cot_value p = input(f, COT_BOOL, BATCH(1, 3), "p");
    static const cot_op functions[] = {COT_OP_SOFTPLUS, COT_OP_ERFC,    COT_OP_GELU,  COT_OP_SIN,
                                       COT_OP_COS,      COT_OP_FLOOR,   COT_OP_EXPM1, COT_OP_LOG1P,
                                       COT_OP_EXP,      COT_OP_LOG,     COT_OP_SQRT,  COT_OP_RSQRT,
                                       COT_OP_TANH,     COT_OP_SIGMOID, COT_OP_ERF,   COT_OP_RELU};
    for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++) {
        CHECK_TYPE(cot_op_unary(functions[k], x), "f32[N,3]");
    }
    CHECK_TYPE(cot_op_unary(COT_OP_NEG, i), "i32[N,3]");
    CHECK_TYPE(cot_op_unary(COT_OP_ABS, i), "i32[N,3]");
    CHECK_TYPE(cot_op_unary(COT_OP_SIGN, x), "f32[N,3]");
    CHECK_TYPE(cot_op_unary(COT_OP_NOT, p), "bool[N,3]");
    CHECK_TYPE(cot_op_stop_gradient(p), "bool[N,3]");
    CHECK_TYPE(cot_op_binary(COT_OP_ADD, i, i), "i32[N,3]");
    CHECK_TYPE(cot_op_binary(COT_OP_DIV, x, x), "f32[N,3]");
    CHECK_TYPE(cot_op_binary(COT_OP_AND, p, p), "bool[N,3]");
    CHECK_TYPE(cot_op_binary(COT_OP_LT, i, i), "bool[N,3]");
    CHECK_TYPE(cot_op_binary(COT_OP_EQ, p, p), "bool[N,3]");
    CHECK_TYPE(cot_op_select(p, i, i), "i32[N,3]");
    CHECK_TYPE(cot_op_cast(p, COT_F64), "f64[N,3]");
}

/* (shape of a, shape of b) -> shape of a + b, by NumPy's rules with N an extent like no other. */
static void operands_are_broadcast_as_numpy_does(void **state) {
    fixture *f = *state;
    const struct {
        cot_shape a, b;
        const char *result;
    } rows[] = {
        {SHAPE(2, 3), SHAPE(3), "f32[2,3]"},
        {SHAPE(3), SHAPE(2, 3), "f32[2,3]"},
        {SHAPE(2, 1), SHAPE(1, 3), "f32[2,3]"},
        {SHAPE(4, 1, 3), SHAPE(2, 1), "f32[4,2,3]"},
        {SCALAR, SHAPE(2, 3), "f32[2,3]"},
        {SCALAR, SCALAR, "f32[]"},
        {SHAPE(1), SHAPE(0), "f32[0]"},
        {SHAPE(0, 3), SHAPE(3), "f32[0,3]"},
        {BATCH(1, 3), SHAPE(3), "f32[N,3]"},
        {BATCH(1, 3), SCALAR, "f32[N,3]"},
        {BATCH(1, 3), SHAPE(1, 3), "f32[N,3]"},
        {SHAPE(1, 1), BATCH(2, 3), "f32[2N,3]"},
        {BATCH(1, 1), BATCH(1, 3), "f32[N,3]"},
        {BATCH(1), SHAPE(1), "f32[N]"},
        {BATCH(1, 5, 1), SHAPE(5, 7), "f32[N,5,7]"},
        {SHAPE(1), BATCH(3), "f32[3N]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[2][16];
        snprintf(name[0], sizeof name[0], "a%zu", i);
        snprintf(name[1], sizeof name[1], "b%zu", i);
        cot_value a = input(f, COT_F32, rows[i].a, name[0]);
        cot_value b = input(f, COT_F32, rows[i].b, name[1]);
        cot_value sum = cot_op_binary(COT_OP_ADD, a, b);
        CHECK_TYPE(sum, rows[i].result);
        /* Operands of the right shape are used as they are. */
        const coti_node *node = coti_node_of(sum);
        cot_shape shape = cot_value_shape(sum);
        assert_int_equal(node->input[0] == a.id, coti_shape_equal(&rows[i].a, &shape));
        assert_int_equal(node->input[1] == b.id, coti_shape_equal(&rows[i].b, &shape));
    }
    cot_value p = input(f, COT_BOOL, SHAPE(2, 1), "p");
    cot_value s = input(f, COT_F32, SCALAR, "s");
    cot_value t = input(f, COT_F32, SHAPE(3), "t");
    CHECK_TYPE(cot_op_select(p, s, t), "f32[2,3]");
}

/* What is stretched goes where NumPy puts it: checked by the axes of the views that come in. */
static void broadcast_views_name_the_right_axes(void **state) {
    fixture *f = *state;
    cot_value a = input(f, COT_F32, SHAPE(4, 1, 3), "a");
    cot_value b = input(f, COT_F32, SHAPE(2, 1), "b");
    const coti_node *sum = coti_node_of(cot_op_binary(COT_OP_SUB, a, b));
    const coti_attr_AXES *left = coti_node_at(f->graph, sum->input[0])->attr;
    const coti_attr_AXES *right = coti_node_at(f->graph, sum->input[1])->attr;
    assert_int_equal(left->axes.n, 3);
    assert_memory_equal(left->axes.v, AXES(0, 1, 2), 3 * sizeof(int32_t));
    assert_int_equal(right->axes.n, 2);
    assert_memory_equal(right->axes.v, AXES(1, 2), 2 * sizeof(int32_t));
}

static void views_give_the_shapes_of_their_rules(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, SHAPE(2, 3, 4), "x");
    cot_value n = input(f, COT_F32, BATCH(1, 4, 7), "n");
    cot_value b = input(f, COT_F32, SHAPE(3), "b");
    CHECK_TYPE(cot_op_reshape(x, SHAPE(6, 4)), "f32[6,4]");
    CHECK_TYPE(cot_op_reshape(n, BATCH(4, 7)), "f32[4N,7]");
    CHECK_TYPE(cot_op_reshape(cot_op_reshape(n, BATCH(28)), BATCH(2, 14)), "f32[2N,14]");
    CHECK_TYPE(cot_op_reshape(input(f, COT_F32, SHAPE(1, 1), "one"), SCALAR), "f32[]");
    CHECK_TYPE(cot_op_permute(x, AXES(2, 0, 1), 3), "f32[4,2,3]");
    CHECK_TYPE(cot_op_permute(n, AXES(0, -1, 1), 3), "f32[N,7,4]");
    CHECK_TYPE(cot_op_permute(input(f, COT_F32, SCALAR, "s"), NULL, 0), "f32[]");
    CHECK_TYPE(cot_op_broadcast(b, SHAPE(2, 3, 5), AXES(1), 1), "f32[2,3,5]");
    CHECK_TYPE(cot_op_broadcast(b, BATCH(2, 3), AXES(1), 1), "f32[2N,3]");
    CHECK_TYPE(cot_op_broadcast(n, BATCH(1, 4, 2, 7), AXES(0, 1, 3), 3), "f32[N,4,2,7]");
    CHECK_TYPE(cot_op_slice(x, INTS(0, 2, 1), INTS(2, 1, 2), INTS(1, 5, 2)), "f32[2,1,2]");
    CHECK_TYPE(cot_op_slice(x, INTS(2, 0, 0), INTS(0, 3, 4), INTS(1, 1, 1)), "f32[0,3,4]");
    CHECK_TYPE(cot_op_slice(n, INTS(0, 1, 6), INTS(1, 3, 1), INTS(1, 1, 1)), "f32[N,3,1]");
    CHECK_TYPE(cot_op_pad(x, INTS(1, 0, 2), INTS(0, 0, 3), 0.5), "f32[3,3,9]");
    CHECK_TYPE(cot_op_pad(n, INTS(0, 1, 0), INTS(0, 0, 1), 0), "f32[N,5,8]");
    CHECK_TYPE(cot_op_flip(x, AXES(-1, 0), 2), "f32[2,3,4]");
    CHECK_TYPE(cot_op_flip(n, AXES(1), 1), "f32[N,4,7]");
    CHECK_TYPE(cot_op_concat((cot_value[]){x, x, cot_op_permute(x, AXES(0, 1, 2), 3)}, 3, 1),
               "f32[2,9,4]");
    CHECK_TYPE(cot_op_concat((cot_value[]){n, n}, 2, -1), "f32[N,4,14]");
    CHECK_TYPE(cot_op_concat(&n, 1, 1), "f32[N,4,7]");
}

static void a_long_concat_is_no_special_case(void **state) {
    fixture *f = *state;
    enum { MANY = 300 };
    cot_value part[MANY];
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        part[i] = input(f, COT_I32, SHAPE(i % 3), name);
    }
    cot_value joined = cot_op_concat(part, MANY, 0);
    CHECK_TYPE(joined, "i32[300]");
    assert_int_equal(cot_op_concat(part, MANY, 0).id, joined.id);
}

static void reductions_drop_or_keep_their_axes(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, BATCH(2, 3, 4), "x");
    cot_value i = input(f, COT_I32, SHAPE(5, 0), "i");
    CHECK_TYPE(cot_op_reduce(COT_OP_SUM, x, AXES(-1), 1, false), "f32[2N,3]");
    CHECK_TYPE(cot_op_reduce(COT_OP_SUM, x, AXES(2, 0), 2, false), "f32[3]");
    CHECK_TYPE(cot_op_reduce(COT_OP_SUM, x, AXES(0, 1, 2), 3, false), "f32[]");
    CHECK_TYPE(cot_op_reduce(COT_OP_SUM, x, NULL, 0, true), "f32[2N,3,4]");
    CHECK_TYPE(cot_op_reduce(COT_OP_REDUCE_MAX, x, AXES(1), 1, true), "f32[2N,1,4]");
    CHECK_TYPE(cot_op_reduce(COT_OP_SUM, x, AXES(0), 1, true), "f32[1,3,4]");
    CHECK_TYPE(cot_op_reduce(COT_OP_SUM, i, AXES(1), 1, false), "i32[5]");
    CHECK_TYPE(cot_op_reduce(COT_OP_REDUCE_MAX, i, AXES(0), 1, false), "i32[0]");
    CHECK_TYPE(cot_op_argmax(x, -1), "i32[2N,3]");
    CHECK_TYPE(cot_op_argmax(x, 0), "i32[3,4]");
    CHECK_TYPE(cot_op_argmin(x, -1), "i32[2N,3]");
    CHECK_TYPE(cot_op_argmin(x, 0), "i32[3,4]");
    CHECK_TYPE(cot_op_reduce(COT_OP_REDUCE_MIN, x, AXES(0, 2), 2, true), "f32[1,3,1]");
    CHECK_TYPE(cot_op_reduce(COT_OP_PROD, x, AXES(-1, 1), 2, true), "f32[2N,1,1]");
    CHECK_TYPE(cot_op_reduce(COT_OP_PROD, x, AXES(1), 1, false), "f32[2N,4]");
    CHECK_TYPE(cot_op_reduce(COT_OP_PROD, i, AXES(1), 1, false), "i32[5]");
    CHECK_TYPE(cot_op_mean(x, AXES(-1), 1, false), "f32[2N,3]");
    CHECK_TYPE(cot_op_mean(x, AXES(0, 2), 2, true), "f32[1,3,1]");
    CHECK_TYPE(cot_op_mean(input(f, COT_F64, BATCH(1), "y"), AXES(0), 1, false), "f64[]");
}

static cot_value dot(cot_value a, cot_value b, cot_dot_axes axes) {
    return cot_op_dot(a, b, &axes);
}

static void products_order_their_axes(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, BATCH(1, 784), "x");
    cot_value w = input(f, COT_F32, SHAPE(784, 10), "w");
    cot_value g = input(f, COT_F32, BATCH(1, 10), "g");
    cot_value q = input(f, COT_F32, BATCH(1, 4, 64, 16), "q");
    cot_value k = input(f, COT_F32, BATCH(1, 4, 64, 16), "k");
    cot_value v = input(f, COT_F32, SHAPE(784), "v");
    CHECK_TYPE(cot_op_matmul(x, w), "f32[N,10]");
    CHECK_TYPE(dot(g, w, (cot_dot_axes){.n_contract = 1, .a_contract = {1}, .b_contract = {1}}),
               "f32[N,784]");
    CHECK_TYPE(dot(x, g, (cot_dot_axes){.n_contract = 1, .a_contract = {0}, .b_contract = {0}}),
               "f32[784,10]");
    CHECK_TYPE(dot(q, k,
                   (cot_dot_axes){.n_batch = 2,
                                  .n_contract = 1,
                                  .a_batch = {0, 1},
                                  .b_batch = {0, 1},
                                  .a_contract = {3},
                                  .b_contract = {3}}),
               "f32[N,4,64,64]");
    CHECK_TYPE(dot(x, x,
                   (cot_dot_axes){.n_batch = 1,
                                  .n_contract = 1,
                                  .a_batch = {0},
                                  .b_batch = {0},
                                  .a_contract = {1},
                                  .b_contract = {1}}),
               "f32[N]");
    CHECK_TYPE(cot_op_matmul(v, w), "f32[10]");
    CHECK_TYPE(dot(v, v, (cot_dot_axes){.n_contract = 1}), "f32[]");
    CHECK_TYPE(dot(v, w, (cot_dot_axes){.n_contract = 0}), "f32[784,784,10]");
    CHECK_TYPE(
        cot_op_matmul(input(f, COT_F64, SHAPE(3, 0), "e"), input(f, COT_F64, SHAPE(0, 2), "h")),
        "f64[3,2]");
}

static void the_rest_has_its_types(void **state) {
    fixture *f = *state;
    cot_value i = input(f, COT_I32, BATCH(1), "i");
    cot_value x = input(f, COT_F64, BATCH(1, 3), "x");
    cot_value seed = cot_op_constant(f->graph, COT_I64, 7);
    CHECK_TYPE(cot_op_one_hot(i, 10, COT_F32), "f32[N,10]");
    CHECK_TYPE(cot_op_one_hot(i, 0, COT_BOOL), "bool[N,0]");
    cot_value table = input(f, COT_U8, SHAPE(5, 3), "table");
    CHECK_TYPE(cot_op_gather(table, i, 0, 0), "u8[N,3]");
    CHECK_TYPE(cot_op_gather(table, seed, -1, 0), "u8[5]");
    CHECK_TYPE(cot_op_gather(x, i, 1, 1), "f64[N]");
    CHECK_TYPE(cot_op_gather(x, seed, 1, 0), "f64[N]");
    CHECK_TYPE(cot_op_take_along_axis(x, cot_op_cast(x, COT_I32), -1), "f64[N,3]");
    CHECK_TYPE(cot_op_scatter_add(x, i, 0, 0, 7), "f64[7,3]");
    CHECK_TYPE(cot_op_scatter_add(x, i, 1, 1, 7), "f64[N,7,3]");
    CHECK_TYPE(cot_op_scatter_add(x, seed, -1, 0, 7), "f64[N,3,7]");
    CHECK_TYPE(cot_op_dynamic_slice(table, seed, 0, 2), "u8[2,3]");
    CHECK_TYPE(cot_op_dynamic_slice(x, seed, -1, 0), "f64[N,0]");
    CHECK_TYPE(cot_op_dynamic_update(x, x, seed, -1), "f64[N,3]");
    CHECK_TYPE(cot_op_argsort(x, true), "i32[N,3]");
    CHECK_TYPE(cot_op_sort(table, false), "u8[5,3]");
    CHECK_TYPE(cot_op_cumsum(x, -1), "f64[N,3]");
    cot_value best = {0}, places = {0};
    cot_op_top_k(x, 2, &best, &places);
    CHECK_TYPE(best, "f64[N,2]");
    CHECK_TYPE(places, "i32[N,2]");
    CHECK_TYPE(cot_op_random(seed, seed, COT_F32, BATCH(1, 3), COT_NORMAL, 1024), "f32[N,3]");
    CHECK_TYPE(cot_op_softmax(x), "f64[N,3]");
    CHECK_TYPE(cot_op_log_softmax(x), "f64[N,3]");
    CHECK_TYPE(cot_op_softmax_cross_entropy(x, x), "f64[N]");
    cot_value image = input(f, COT_F64, BATCH(2, 5, 7, 3), "image");
    cot_value scale = input(f, COT_F64, SHAPE(3), "scale");
    CHECK_TYPE(cot_op_layer_norm(x, scale, scale, 0.1), "f64[N,3]");
    CHECK_TYPE(cot_op_layer_norm(scale, scale, scale, 0.1), "f64[3]");
    CHECK_TYPE(cot_op_rms_norm(image, scale, 0.1), "f64[2N,5,7,3]");
    CHECK_TYPE(cot_op_group_norm(image, scale, scale, 3, 0.1), "f64[2N,5,7,3]");
    CHECK_TYPE(cot_op_batch_norm(image, scale, scale, 0), "f64[2N,5,7,3]");
    const cot_value none = {NULL, 0};
    cot_value keys = input(f, COT_F64, BATCH(2, 5, 4, 3), "keys");
    cot_value values = input(f, COT_F64, BATCH(2, 5, 4, 6), "values");
    cot_value mask = input(f, COT_BOOL, SHAPE(7, 1), "mask");
    CHECK_TYPE(cot_op_attention(image, keys, values, none, NULL), "f64[2N,5,7,6]");
    CHECK_TYPE(cot_op_attention(image, keys, values, mask, NULL), "f64[2N,5,7,6]");
    CHECK_TYPE(cot_op_attention(image, image, image, none, NULL), "f64[2N,5,7,3]");
    CHECK_TYPE(cot_op_variance(image, AXES(-1, 0), 2, false), "f64[5,7]");
    CHECK_TYPE(cot_op_variance(image, AXES(-1), 1, true), "f64[2N,5,7,1]");
    CHECK_TYPE(cot_op_logsumexp(image, AXES(0, 1, 2, 3), 4, false), "f64[]");
    CHECK_TYPE(cot_op_logsumexp(x, AXES(0), 1, true), "f64[1,3]");
    CHECK_TYPE(cot_op_logsumexp(x, NULL, 0, true), "f64[N,3]");
}

/* ---- hash-consing ---- */

static void equal_nodes_are_one(void **state) {
    fixture *f = *state;
    cot_value a = input(f, COT_F32, SHAPE(3), "a");
    cot_value b = input(f, COT_F32, SHAPE(3), "b");
    cot_value sum = cot_op_binary(COT_OP_ADD, a, b);
    size_t n = f->graph->node.count;
    assert_int_equal(cot_op_binary(COT_OP_ADD, a, b).id, sum.id);
    assert_int_equal(cot_op_binary(COT_OP_ADD, b, a).id, sum.id);
    assert_int_equal(coti_node_of(sum)->input[0], a.id);
    assert_int_equal(f->graph->node.count, n);
    cot_value square = cot_op_binary(COT_OP_MUL, a, a);
    assert_int_equal(cot_op_binary(COT_OP_MUL, a, a).id, square.id);
    assert_int_not_equal(cot_op_binary(COT_OP_SUB, a, b).id, cot_op_binary(COT_OP_SUB, b, a).id);
    assert_int_not_equal(cot_op_binary(COT_OP_LT, a, b).id, cot_op_binary(COT_OP_GT, a, b).id);
    assert_int_not_equal(cot_op_reduce(COT_OP_SUM, a, NULL, 0, false).id,
                         cot_op_reduce(COT_OP_SUM, a, AXES(0), 1, false).id);
    assert_int_not_equal(cot_op_cast(a, COT_F64).id, cot_op_cast(a, COT_I32).id);
    assert_int_not_equal(cot_op_reshape(a, SHAPE(1, 3)).id, cot_op_reshape(a, SHAPE(3, 1)).id);
    assert_int_not_equal(cot_op_pad(a, INTS(1), INTS(0), 0).id,
                         cot_op_pad(a, INTS(0), INTS(1), 0).id);
    assert_int_not_equal(cot_op_pad(a, INTS(1), INTS(0), 0).id,
                         cot_op_pad(a, INTS(1), INTS(0), -0.0).id);
}

static void constants_are_equal_by_their_bits(void **state) {
    fixture *f = *state;
    const uint32_t quiet = 0x7fc00000;
    const uint32_t other = 0x7fc00001;
    cot_value nan = cot_op_constant_array(f->graph, COT_F32, SCALAR, &quiet);
    assert_int_equal(cot_op_constant_array(f->graph, COT_F32, SCALAR, &quiet).id, nan.id);
    assert_int_not_equal(cot_op_constant_array(f->graph, COT_F32, SCALAR, &other).id, nan.id);
    assert_int_not_equal(cot_op_constant(f->graph, COT_F32, 0.0).id,
                         cot_op_constant(f->graph, COT_F32, -0.0).id);
    assert_int_not_equal(cot_op_constant(f->graph, COT_F32, 1).id,
                         cot_op_constant(f->graph, COT_I32, 1).id);
    const float one[1] = {1};
    assert_int_not_equal(cot_op_constant_array(f->graph, COT_F32, SHAPE(1), one).id,
                         cot_op_constant(f->graph, COT_F32, 1).id);
}

static void only_random_numbers_of_one_stream_are_equal(void **state) {
    fixture *f = *state;
    cot_value s = cot_op_constant(f->graph, COT_I64, 1);
    cot_value r = cot_op_random(s, s, COT_F32, SHAPE(4), COT_UNIFORM, 5);
    assert_int_equal(cot_op_random(s, s, COT_F32, SHAPE(4), COT_UNIFORM, 5).id, r.id);
    assert_int_not_equal(cot_op_random(s, s, COT_F32, SHAPE(4), COT_UNIFORM, 6).id, r.id);
    assert_int_not_equal(cot_op_random(s, s, COT_F32, SHAPE(4), COT_NORMAL, 5).id, r.id);
}

/* ---- layers, states, results ---- */

static void nodes_keep_the_layer_of_their_first_maker(void **state) {
    fixture *f = *state;
    char layer[] = "dense_1";
    cot_value x = input(f, COT_F32, SHAPE(3), "x");
    cot_graph_set_layer(f->graph, layer);
    layer[0] = '!';
    cot_value y = cot_op_unary(COT_OP_EXP, x);
    cot_graph_set_layer(f->graph, "dense_2");
    assert_int_equal(cot_op_unary(COT_OP_EXP, x).id, y.id);
    cot_value z = cot_op_unary(COT_OP_EXP, y);
    cot_graph_set_layer(f->graph, NULL);
    cot_value last = cot_op_unary(COT_OP_EXP, z);
    assert_null(coti_node_of(x)->layer);
    assert_string_equal(coti_node_of(y)->layer, "dense_1");
    assert_string_equal(coti_node_of(z)->layer, "dense_2");
    assert_null(coti_node_of(last)->layer);
}

static void a_variable_has_one_node_a_graph(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(2, 3), "w");
    cot_variable *twin = cot_variable_create(f->context, COT_F32, SHAPE(2, 3), "w");
    cot_value a = cot_op_state(f->graph, w);
    cot_value b = cot_op_state(f->graph, twin);
    CHECK_TYPE(a, "f32[2,3]");
    assert_int_equal(cot_op_state(f->graph, w).id, a.id);
    assert_int_not_equal(b.id, a.id);
    assert_int_equal(w->references, 2);
    /* The second of a name is told apart by number, and both are found by their names. */
    assert_string_equal(coti_node_of(a)->name, "w");
    assert_string_equal(coti_node_of(b)->name, "w.1");
    assert_ptr_equal(cot_graph_find_variable(f->graph, "w"), w);
    assert_ptr_equal(cot_graph_find_variable(f->graph, "w.1"), twin);
    assert_null(cot_graph_find_variable(f->graph, "v"));
    cot_graph *second = cot_graph_create(f->context, "second");
    assert_non_null(cot_op_state(second, w).graph);
    assert_int_equal(w->references, 3);
    cot_graph_destroy(second);
    assert_int_equal(w->references, 2);
    cot_variable_release(w);
    cot_variable_release(twin);
}

static void updates_and_outputs_are_kept_in_order(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(3), "w");
    cot_value s = cot_op_state(f->graph, w);
    cot_value t = cot_op_unary(COT_OP_NEG, s);
    CHECK_OK(f->context, cot_graph_update(s, t));
    CHECK_OK(f->context, cot_graph_output(t, "y"));
    CHECK_OK(f->context, cot_graph_output(t, "x"));
    assert_int_equal(f->graph->update.data[0].state, s.id);
    assert_int_equal(f->graph->update.data[0].value, t.id);
    assert_string_equal(f->graph->output.data[0].name, "y");
    assert_string_equal(f->graph->output.data[1].name, "x");
    cot_variable_release(w);
}

/* ---- NULL and poison ---- */

static void null_and_poison_do_nothing(void **state) {
    fixture *f = *state;
    const cot_value poison = {NULL, 0};
    assert_null(cot_graph_create(NULL, "x"));
    cot_graph_destroy(NULL);
    cot_graph_set_layer(NULL, "x");
    assert_null(cot_graph_context(NULL));
    assert_null(cot_op_input(NULL, COT_F32, SCALAR, "x").graph);
    assert_null(cot_op_constant(NULL, COT_F32, 1).graph);
    assert_null(cot_op_constant_array(NULL, COT_F32, SCALAR, NULL).graph);
    assert_null(cot_op_rows(NULL).graph);
    assert_null(cot_op_iota(NULL, COT_F32, SHAPE(3), 0).graph);
    assert_null(cot_op_state(NULL, NULL).graph);
    assert_null(cot_op_unary(COT_OP_EXP, poison).graph);
    assert_null(cot_op_binary(COT_OP_ADD, poison, poison).graph);
    assert_null(cot_op_select(poison, poison, poison).graph);
    assert_null(cot_op_cast(poison, COT_F32).graph);
    assert_null(cot_op_stop_gradient(poison).graph);
    assert_null(cot_op_reshape(poison, SCALAR).graph);
    assert_null(cot_op_permute(poison, NULL, 0).graph);
    assert_null(cot_op_broadcast(poison, SCALAR, NULL, 0).graph);
    assert_null(cot_op_slice(poison, NULL, NULL, NULL).graph);
    assert_null(cot_op_pad(poison, NULL, NULL, 0).graph);
    assert_null(cot_op_flip(poison, NULL, 0).graph);
    assert_null(cot_op_concat(&poison, 1, 0).graph);
    assert_null(cot_op_concat(NULL, 0, 0).graph);
    assert_null(cot_op_reduce(COT_OP_SUM, poison, NULL, 0, true).graph);
    assert_null(cot_op_mean(poison, NULL, 0, false).graph);
    assert_null(cot_op_argmax(poison, 0).graph);
    assert_null(cot_op_argmin(poison, 0).graph);
    assert_null(cot_op_variance(poison, NULL, 0, false).graph);
    assert_null(cot_op_attention(poison, poison, poison, poison, NULL).graph);
    assert_null(cot_op_logsumexp(poison, NULL, 0, false).graph);
    assert_null(cot_op_layer_norm(poison, poison, poison, 0).graph);
    assert_null(cot_op_rms_norm(poison, poison, 0).graph);
    assert_null(cot_op_group_norm(poison, poison, poison, 0, 0).graph);
    assert_null(cot_op_batch_norm(poison, poison, poison, 0).graph);
    assert_null(cot_op_reduce(COT_OP_PROD, poison, NULL, 0, true).graph);
    assert_null(cot_op_dot(poison, poison, NULL).graph);
    assert_null(cot_op_matmul(poison, poison).graph);
    assert_null(cot_op_one_hot(poison, 3, COT_F32).graph);
    assert_null(cot_op_gather(poison, poison, 0, 0).graph);
    assert_null(cot_op_take_along_axis(poison, poison, 0).graph);
    assert_null(cot_op_scatter_add(poison, poison, 0, 0, 3).graph);
    assert_null(cot_op_dynamic_slice(poison, poison, 0, 3).graph);
    assert_null(cot_op_dynamic_update(poison, poison, poison, 0).graph);
    assert_null(cot_op_argsort(poison, true).graph);
    assert_null(cot_op_sort(poison, true).graph);
    assert_null(cot_op_cumsum(poison, 0).graph);
    cot_value best[2];
    cot_op_top_k(poison, 1, &best[0], &best[1]);
    assert_true(best[0].graph == NULL && best[1].graph == NULL);
    assert_null(cot_op_random(poison, poison, COT_F32, SCALAR, COT_UNIFORM, 0).graph);
    assert_null(cot_op_softmax(poison).graph);
    assert_null(cot_op_log_softmax(poison).graph);
    assert_null(cot_op_softmax_cross_entropy(poison, poison).graph);
    assert_null(coti_decompose(&(coti_node){.op = COT_OP_SOFTMAX, .n_inputs = 1}, &poison).graph);
    assert_int_equal(cot_graph_output(poison, "y"), COT_E_ARG);
    assert_int_equal(cot_graph_update(poison, poison), COT_E_ARG);
    assert_int_equal(cot_graph_print(NULL, append_text, NULL), COT_E_ARG);
    assert_null(cot_graph_parse(NULL, "", 0));
    assert_null(cot_graph_find_variable(NULL, "x"));
    assert_null(cot_graph_find_variable(f->graph, NULL));
    assert_int_equal(cot_value_dtype(poison), COT_F32);
    assert_int_equal(cot_value_shape(poison).rank, 0);
    assert_string_equal(cot_op_name((cot_op)9999), "?");
    assert_int_equal(cot_error_get(f->context).status, COT_OK);
}

/* 40,000 nodes and 20,000 states: nothing on the way is quadratic, or this test would not end. */
static void large_graphs_are_no_special_case(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, BATCH(1, 4), "x");
    for (int i = 0; i < 20000; i++) {
        cot_variable *b = cot_variable_create(f->context, COT_F32, SHAPE(4), "bias");
        cot_value s = cot_op_state(f->graph, b);
        cot_variable_release(b);
        x = cot_op_binary(COT_OP_ADD, x, s);
        assert_int_equal(cot_graph_update(s, cot_op_unary(COT_OP_NEG, s)), COT_OK);
    }
    CHECK_OK(f->context, cot_graph_output(x, "y"));
    assert_int_equal(f->graph->node.count, 1 + 1 + 4 * 20000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(leaves_have_the_types_asked_for),
        FIXTURE_TEST(constants_convert_their_number),
        FIXTURE_TEST(elementwise_operations_keep_shape_and_dtype),
        FIXTURE_TEST(operands_are_broadcast_as_numpy_does),
        FIXTURE_TEST(broadcast_views_name_the_right_axes),
        FIXTURE_TEST(views_give_the_shapes_of_their_rules),
        FIXTURE_TEST(a_long_concat_is_no_special_case),
        FIXTURE_TEST(reductions_drop_or_keep_their_axes),
        FIXTURE_TEST(products_order_their_axes),
        FIXTURE_TEST(the_rest_has_its_types),
        FIXTURE_TEST(equal_nodes_are_one),
        FIXTURE_TEST(constants_are_equal_by_their_bits),
        FIXTURE_TEST(only_random_numbers_of_one_stream_are_equal),
        FIXTURE_TEST(nodes_keep_the_layer_of_their_first_maker),
        FIXTURE_TEST(a_variable_has_one_node_a_graph),
        FIXTURE_TEST(updates_and_outputs_are_kept_in_order),
        FIXTURE_TEST(null_and_poison_do_nothing),
        FIXTURE_TEST(large_graphs_are_no_special_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
