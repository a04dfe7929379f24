/*
 * The verifier refuses every graph that one of its invariants does not hold for. Each test breaks
 * one thing by hand, sees it named, and mends it: the fixture's teardown verifies once more.
 */
#include "graph_test.h"

/* x, y: inputs; w, b: states; %0 = exp x, %1 = add x y, %2 = sum %1, two updates, two outputs. */
typedef struct graph_under_test {
    fixture *f;
    cot_graph *g;
    cot_value x, y, w, b, e, s, r;
} graph_under_test;

static graph_under_test make(void **state) {
    fixture *f = *state;
    cot_graph *g = f->graph;
    cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(2, 3), "w");
    cot_variable *b = cot_variable_create(f->context, COT_F32, SHAPE(2, 3), "b");
    graph_under_test t = {.f = f, .g = g};
    t.x = cot_op_input(g, COT_F32, SHAPE(2, 3), "x");
    t.y = cot_op_input(g, COT_F32, SHAPE(2, 3), "y");
    t.w = cot_op_state(g, w);
    t.b = cot_op_state(g, b);
    cot_graph_set_layer(g, "dense_1");
    t.e = cot_op_unary(COT_OP_EXP, t.x);
    t.s = cot_op_binary(COT_OP_ADD, t.x, t.y);
    t.r = cot_op_reduce(COT_OP_SUM, t.s, AXES(0), 1, false);
    CHECK_OK(f->context, cot_graph_update(t.w, t.e));
    CHECK_OK(f->context, cot_graph_update(t.b, t.s));
    CHECK_OK(f->context, cot_graph_output(t.r, "r"));
    CHECK_OK(f->context, cot_graph_output(t.e, "e"));
    CHECK_OK(f->context, coti_graph_verify(g));
    cot_variable_release(w);
    cot_variable_release(b);
    return t;
}

/* With `lvalue` set to `broken`, verification fails with this status and this text. */
#define BREAKS(type, lvalue, broken, status, text)                                                 \
    do {                                                                                           \
        type whole_ = (lvalue);                                                                    \
        (lvalue) = (broken);                                                                       \
        assert_int_equal(coti_graph_verify(t.g), status);                                          \
        CHECK_ERROR(t.f->context, status, text);                                                   \
        (lvalue) = whole_;                                                                         \
        CHECK_OK(t.f->context, coti_graph_verify(t.g));                                            \
    } while (0)

static coti_node *node_of(cot_value value) {
    return &value.graph->node.data[value.id];
}

static void nodes(void **state) {
    graph_under_test t = make(state);
    BREAKS(uint16_t, node_of(t.e)->op, 999, COT_E_INTERNAL, "operation 999");
    BREAKS(uint16_t, node_of(t.e)->op, COT_OP_LOG, COT_E_INTERNAL, "not filed under its hash");
    BREAKS(uint16_t, node_of(t.e)->op, COT_OP_NOT, COT_E_DTYPE, "not \"dense_1\": x must be bool");
    BREAKS(uint8_t, node_of(t.e)->dtype, COT_F64, COT_E_INTERNAL, "f64[2,3], its rule gives f32");
    BREAKS(uint8_t, node_of(t.e)->dtype, 200, COT_E_DTYPE, "200 is no dtype");
    BREAKS(int64_t, node_of(t.e)->shape.dim[1], 4, COT_E_INTERNAL, "f32[2,4], its rule gives");
    BREAKS(int32_t, node_of(t.e)->shape.rank, 9, COT_E_SHAPE, "rank 9");
    BREAKS(bool, node_of(t.r)->shape.batched, true, COT_E_INTERNAL,
           "f32[3N], its rule gives f32[3]");
    BREAKS(int32_t, node_of(t.e)->n_inputs, -1, COT_E_INTERNAL, "-1 inputs");
    BREAKS(int32_t, node_of(t.e)->n_inputs, 0, COT_E_ARG, "0 operands given, 1 expected");
    BREAKS(uint64_t, node_of(t.e)->hash, 1, COT_E_INTERNAL, "not filed under its hash");
    const uint32_t self[1] = {t.e.id};
    const uint32_t none[1] = {0};
    const uint32_t later[2] = {t.x.id, t.r.id};
    BREAKS(const uint32_t *, node_of(t.e)->input, self, COT_E_INTERNAL, "does not precede it");
    BREAKS(const uint32_t *, node_of(t.e)->input, none, COT_E_INTERNAL, "does not precede it");
    BREAKS(const uint32_t *, node_of(t.s)->input, later, COT_E_INTERNAL, "does not precede it");
    const coti_attr_AXES beyond = {.axes = {.n = 1, .v = {2}}};
    const coti_attr_AXES too_many = {.axes = {.n = 99}};
    const coti_attr_AXES other = {.axes = {.n = 1, .v = {1}}};
    BREAKS(const void *, node_of(t.r)->attr, &beyond, COT_E_SHAPE, "axis 2 is out of range");
    BREAKS(const void *, node_of(t.r)->attr, &too_many, COT_E_SHAPE, "99 axes");
    BREAKS(const void *, node_of(t.r)->attr, &other, COT_E_INTERNAL, "its rule gives f32[2]");
    BREAKS(const void *, node_of(t.r)->attr, NULL, COT_E_INTERNAL, "attributes are missing");
    BREAKS(const char *, node_of(t.e)->layer, "dense_1", COT_E_INTERNAL, "layer's name");
}

/* A second node of one key, entered by hand as coti_graph_add never would. */
static void equal_nodes(void **state) {
    graph_under_test t = make(state);
    coti_node twin = *node_of(t.e);
    twin.number = t.g->n_numbered++;
    CHECK_OK(t.f->context, coti_vec_reserve(t.f->context, &t.g->node, t.g->node.count + 1));
    t.g->node.data[t.g->node.count++] = twin;
    assert_int_equal(coti_graph_verify(t.g), COT_E_INTERNAL);
    CHECK_ERROR(t.f->context, COT_E_INTERNAL, "is equal to node");
    t.g->node.count--;
    t.g->n_numbered--;
}

static void names_and_numbers(void **state) {
    graph_under_test t = make(state);
    BREAKS(const char *, node_of(t.x)->name, NULL, COT_E_INTERNAL, "does not own its name");
    BREAKS(const char *, node_of(t.x)->name, node_of(t.y)->name, COT_E_INTERNAL,
           "does not own its name");
    BREAKS(const char *, node_of(t.x)->name, "x", COT_E_INTERNAL, "does not own its name");
    BREAKS(const char *, node_of(t.e)->name, node_of(t.y)->name, COT_E_INTERNAL, "or a name");
    BREAKS(uint32_t, node_of(t.s)->number, 7, COT_E_INTERNAL, "number 7");
    BREAKS(uint32_t, t.g->n_numbered, 7, COT_E_INTERNAL, "lists name nodes that are not there");
    BREAKS(uint32_t, t.g->input.data[0], t.y.id, COT_E_INTERNAL, "not at its place");
    BREAKS(uint32_t, t.g->state.data[1], t.w.id, COT_E_INTERNAL, "not at its place");
    BREAKS(size_t, t.g->input.count, 1, COT_E_INTERNAL, "not at its place");
    BREAKS(size_t, t.g->state.count, 1, COT_E_INTERNAL, "not at its place");
    const coti_attr_NAME z = {.name = "z"};
    BREAKS(const void *, node_of(t.x)->attr, &z, COT_E_INTERNAL, "not filed under its hash");
}

static void updates_and_outputs(void **state) {
    graph_under_test t = make(state);
    coti_update *update = t.g->update.data;
    coti_output *output = t.g->output.data;
    BREAKS(uint32_t, update[0].state, t.x.id, COT_E_INTERNAL, "of no state");
    BREAKS(uint32_t, update[0].state, 0, COT_E_INTERNAL, "names no node");
    BREAKS(uint32_t, update[0].value, 4096, COT_E_INTERNAL, "names no node");
    BREAKS(uint32_t, update[0].value, t.r.id, COT_E_INTERNAL, "changes the type of \"w\"");
    BREAKS(uint32_t, update[1].state, t.w.id, COT_E_INTERNAL, "twice");
    BREAKS(size_t, t.g->update.count, 1, COT_E_INTERNAL, "1 updates of 2 states");
    BREAKS(uint32_t, output[1].value, 0, COT_E_INTERNAL, "\"e\" names no node");
    BREAKS(uint32_t, output[1].value, 4096, COT_E_INTERNAL, "\"e\" names no node");
    BREAKS(const char *, output[1].name, "e", COT_E_INTERNAL, "does not own its name");
    BREAKS(const char *, output[1].name, output[0].name, COT_E_INTERNAL, "own");
    BREAKS(size_t, t.g->output.count, 1, COT_E_INTERNAL, "1 outputs by 2 names");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(nodes),
        FIXTURE_TEST(equal_nodes),
        FIXTURE_TEST(names_and_numbers),
        FIXTURE_TEST(updates_and_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
