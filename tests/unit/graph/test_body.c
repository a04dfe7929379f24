/*
 * Bodies: what sealing keeps and refuses, that equal ones are one, that passes and inlining reach
 * them, and that none is leaked (the whole suite runs under LeakSanitizer).
 */
#include "graph_test.h"

#include "custom_function.h"
#include "graph/attr.h"
#include "graph/body.h"

/* y = x + c, by layer `layer`, in a graph of this name; with a dead node on request. */
static cot_graph *add_constant(cot_context *context, const char *name, double c, const char *layer,
                               bool dead) {
    cot_graph *g = cot_graph_create(context, name);
    cot_value x = cot_op_input(g, COT_F32, SHAPE(3), "x");
    if (dead) {
        cot_op_unary(COT_OP_EXP, x);
    }
    cot_graph_set_layer(g, layer);
    cot_value y = cot_op_binary(COT_OP_ADD, x, cot_op_constant(g, COT_F32, c));
    CHECK_OK(context, cot_graph_output(y, "y"));
    return g;
}

static const cot_graph *own(cot_graph *graph, const cot_graph *body) {
    const cot_graph *held = NULL;
    CHECK_OK(graph->context, coti_graph_body(graph, body, &held));
    assert_non_null(held);
    return held;
}

static void equal_bodies_are_one(void **state) {
    fixture *f = *state;
    cot_graph *a = add_constant(f->context, "a", 1, "dense_1", false);
    cot_graph *b = add_constant(f->context, "b", 1, "dense_2", true);
    cot_graph *c = add_constant(f->context, "a", 2, "dense_1", false);
    cot_graph *other = cot_graph_create(f->context, "other");
    const cot_graph *first = own(f->graph, a);
    assert_ptr_not_equal(first, a);
    assert_ptr_equal(own(f->graph, a), first);
    assert_ptr_equal(own(f->graph, b), first);
    assert_ptr_equal(own(f->graph, first), first);
    assert_string_equal(first->name, "a");
    const cot_graph *second = own(f->graph, c);
    assert_ptr_not_equal(second, first);
    assert_false(coti_body_equal(first, second));
    assert_int_equal(f->graph->body.count, 2);
    /* Another graph shares it; one made elsewhere from an equal graph is equal, not the same. */
    assert_ptr_equal(own(other, first), first);
    cot_graph *third = cot_graph_create(f->context, "third");
    const cot_graph *twin = own(third, b);
    assert_ptr_not_equal(twin, first);
    assert_true(coti_body_equal(twin, first));
    assert_true(twin->seal.hash == first->seal.hash);
    cot_graph_destroy(a);
    cot_graph_destroy(b);
    cot_graph_destroy(c);
    cot_graph_destroy(third);
    cot_graph_destroy(other);
}

/* What the maker does to his graph afterwards is not seen by the body. */
static void a_body_is_a_clone(void **state) {
    fixture *f = *state;
    cot_graph *a = add_constant(f->context, "a", 1, NULL, true);
    const cot_graph *body = own(f->graph, a);
    size_t nodes = body->node.count;
    assert_int_equal(a->node.count, nodes + 1); /* the dead node is not in it */
    CHECK_OK(f->context, cot_graph_output(cot_graph_input_at(a, 0), "more"));
    assert_int_equal(body->output.count, 1);
    const cot_graph *larger = own(f->graph, a);
    assert_ptr_not_equal(larger, body);
    cot_graph_destroy(a);
    char *text = text_of(body);
    assert_string_equal(text, "graph @a(%x: f32[3]) {\n"
                              "  %0 = const {data=1} : f32[]\n"
                              "  %1 = broadcast %0 : f32[3]\n"
                              "  %2 = add %x, %1 : f32[3]\n"
                              "  return y=%2\n"
                              "}\n");
    free(text);
    cot_value poison = cot_op_unary(COT_OP_EXP, cot_graph_input_at(body, 0));
    assert_null(poison.graph);
    CHECK_ERROR(f->context, COT_E_INTERNAL, "graph \"a\" is a body and does not change");
}

static void what_cannot_be_a_body(void **state) {
    fixture *f = *state;
    const cot_graph *held = NULL;
    assert_int_equal(coti_graph_body(f->graph, NULL, &held), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "a body is NULL");
    cot_context *elsewhere = cot_context_create(NULL);
    cot_graph *foreign = add_constant(elsewhere, "foreign", 1, NULL, false);
    assert_int_equal(coti_graph_body(f->graph, foreign, &held), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "a body is a graph of another context");
    cot_graph_destroy(foreign);
    cot_context_destroy(elsewhere);
    cot_graph *counter =
        parse_text(f->context, "graph @counter(state %n: i64[]) { update %n <- %n return y=%n }");
    assert_int_equal(coti_graph_body(f->graph, counter, &held), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG,
                "graph \"counter\" cannot be a body: it has a state \"n\", a body has inputs and "
                "outputs alone");
    cot_graph_destroy(counter);
    assert_null(held);
    assert_int_equal(f->graph->body.count, 0);
}

/* Attributes with bodies: hash, comparison and copy go by what the bodies are. */
static void attributes_hold_bodies(void **state) {
    fixture *f = *state;
    cot_graph *a = add_constant(f->context, "a", 1, NULL, false);
    cot_graph *b = add_constant(f->context, "b", 2, NULL, false);
    cot_graph *other = cot_graph_create(f->context, "other");
    const coti_attr_CUSTOM ab = {.forward = own(f->graph, a), .backward = own(f->graph, b)};
    const coti_attr_CUSTOM ba = {.forward = ab.backward, .backward = ab.forward};
    const coti_attr_CUSTOM twin = {.forward = own(other, a), .backward = own(other, b)};
    assert_true(coti_attr_equal(COTI_ATTR_CUSTOM, &ab, &twin));
    assert_false(coti_attr_equal(COTI_ATTR_CUSTOM, &ab, &ba));
    assert_true(coti_attr_hash(1, COTI_ATTR_CUSTOM, &ab) ==
                coti_attr_hash(1, COTI_ATTR_CUSTOM, &twin));
    assert_true(coti_attr_hash(1, COTI_ATTR_CUSTOM, &ab) !=
                coti_attr_hash(1, COTI_ATTR_CUSTOM, &ba));
    const void *copy = NULL;
    CHECK_OK(f->context, coti_attr_copy(f->graph, COTI_ATTR_CUSTOM, &twin, &copy));
    assert_ptr_equal(((const coti_attr_CUSTOM *)copy)->forward, ab.forward);
    assert_ptr_equal(((const coti_attr_CUSTOM *)copy)->backward, ab.backward);
    cot_graph *fresh = cot_graph_create(f->context, "fresh");
    CHECK_OK(f->context, coti_attr_copy(fresh, COTI_ATTR_CUSTOM, &twin, &copy));
    cot_graph_destroy(other); /* shared: the fresh graph keeps them alive */
    assert_string_equal(((const coti_attr_CUSTOM *)copy)->forward->name, "a");
    cot_graph_destroy(fresh);
    cot_graph_destroy(a);
    cot_graph_destroy(b);
}

static void inlining_copies_nodes(void **state) {
    fixture *f = *state;
    cot_graph *g = f->graph;
    cot_graph *body =
        parse_text(f->context, "graph @body(%a: f32[N,2], %b: f32[N,2]) {\n"
                               "%0 = sub %a, %b : f32[N,2] # \"inner\"\n%1 = exp %0 : f32[N,2]\n"
                               "return difference=%0, a=%a, twice=%1 }");
    cot_value u = cot_op_input(g, COT_F32, BATCH(1, 2), "u");
    cot_value v = cot_op_input(g, COT_F32, BATCH(1, 2), "v");
    cot_value out[3];
    cot_value existing = cot_op_binary(COT_OP_SUB, u, v);
    CHECK_OK(f->context, coti_graph_inline(g, body, (cot_value[]){u, v}, out));
    assert_int_equal(out[0].id, existing.id); /* hash-consed with what is there */
    assert_int_equal(out[1].id, u.id);
    CHECK_TYPE(out[2], "f32[N,2]");
    cot_graph_set_layer(g, "call");
    CHECK_OK(f->context, coti_graph_inline(g, body, (cot_value[]){v, u}, out));
    assert_string_equal(coti_node_of(out[0])->layer, "call");
    assert_string_equal(g->layer, "call");
    cot_graph_set_layer(g, NULL);
    CHECK_OK(f->context, coti_graph_inline(g, body, (cot_value[]){v, v}, out));
    assert_string_equal(coti_node_of(out[0])->layer, "inner");
    assert_null(coti_node_of(out[2])->layer);
    assert_null(g->layer);
    /* A value of another type is our mistake, and poison stays poison. */
    cot_value narrow = cot_op_input(g, COT_F32, SHAPE(2, 2), "narrow");
    assert_int_equal(coti_graph_inline(g, body, (cot_value[]){u, narrow}, out), COT_E_INTERNAL);
    assert_null(out[2].graph);
    CHECK_ERROR(f->context, COT_E_INTERNAL, "input \"b\" of body \"body\" is given a value");
    assert_int_not_equal(coti_graph_inline(g, body, (cot_value[]){u, {NULL, 0}}, out), COT_OK);
    assert_null(out[0].graph);
    cot_graph_destroy(body);
}

static void texts_of_several_graphs(void **state) {
    fixture *f = *state;
    static const struct {
        const char *text;
        cot_status status;
        const char *message;
    } bad[] = {
        {"graph @a() { return } graph @b() { return }", COT_E_PARSE,
         "line 1, column 1: no node of a graph that follows runs graph @a"},
        {"graph @a() { return }\ngraph @a() { return }", COT_E_PARSE,
         "line 2, column 1: graph @a is defined twice"},
        {"graph @a() { return } x", COT_E_PARSE, "expected another graph, or the end of the text"},
        {"graph @a() { return } gone", COT_E_PARSE, "expected \"graph\""},
        {"graph @a(state %n: i64[]) { return y=%n }\ngraph @b() { return }", COT_E_ARG,
         "line 1, column 1: graph \"a\" cannot be a body: it has a state \"n\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(cot_graph_parse(f->context, bad[i].text, strlen(bad[i].text)));
        CHECK_ERROR(f->context, bad[i].status, bad[i].message);
    }
}

/* ---- in nodes ---- */

static void check_round_trip(cot_context *context, const cot_graph *graph) {
    char *text = text_of(graph);
    cot_graph *back = parse_text(context, text);
    char *again = text_of(back);
    assert_string_equal(again, text);
    cot_graph_destroy(back);
    free(text);
    free(again);
}

/* Bodies of one name, one used twice, one inside another and beside it: each is printed once, under
 * a name of its own, before what needs it. */
static void bodies_are_printed_before_their_users(void **state) {
    fixture *f = *state;
    cot_graph *g = f->graph;
    cot_value x = cot_op_input(g, COT_F32, SHAPE(3), "x");
    cot_value y = custom_tanh(custom_tanh(x, 1), 1);
    y = cot_op_binary(COT_OP_ADD, y, custom_nested(x));
    y = cot_op_binary(COT_OP_ADD, y, custom_tanh(x, 2));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    char *text = text_of(g);
    static const char *const order[] = {"graph @bend(",
                                        "graph @bend_1(",
                                        "graph @outer(",
                                        "graph @outer_backward(",
                                        "graph @bend_4(",
                                        "graph @test(",
                                        "forward=@bend, backward=@bend_1}",
                                        "forward=@outer, backward=@outer_backward}",
                                        "forward=@bend, backward=@bend_4}"};
    const char *at = text;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const char *found = strstr(at, order[i]);
        if (found == NULL) {
            fail_msg("%s is not in its place in\n%s", order[i], text);
        }
        assert_true(i >= 6 || strstr(found + 1, order[i]) == NULL);
        at = found;
    }
    free(text);
    check_round_trip(f->context, g);
}

/* The graph's own name is taken. */
static void a_body_may_be_called_as_its_graph_is(void **state) {
    fixture *f = *state;
    cot_graph *bend = cot_graph_create(f->context, "bend");
    cot_value x = cot_op_input(bend, COT_F32, SHAPE(3), "x");
    CHECK_OK(f->context, cot_graph_output(custom_tanh(x, 1), "y"));
    char *text = text_of(bend);
    assert_non_null(strstr(text, "{forward=@bend_0, backward=@bend_1}"));
    assert_non_null(strstr(text, "graph @bend(%x: f32[3]) {"));
    free(text);
    check_round_trip(f->context, bend);
    cot_graph_destroy(bend);
}

static const char twice_inside[] =
    "graph @f(%x: f32[2]) {\n"
    "  %0 = const {data=1} : f32[]\n"
    "  %1 = broadcast %0 : f32[2]\n"
    "  %2 = mul %x, %1 : f32[2]\n"
    "  %3 = neg %2 : f32[2]\n"
    "  %4 = neg %3 : f32[2]\n"
    "  %5 = const {data=[1, 2]} : f32[2]\n"
    "  %6 = exp %5 : f32[2]\n"
    "  %7 = add %4, %6 : f32[2]\n"
    "  %8 = softmax %7 : f32[2]\n"
    "  return y=%8\n"
    "}\n"
    "graph @b(%x: f32[2], %y: f32[2], %g: f32[2]) { return dx=%g }\n"
    "graph @outer(%x: f32[2]) { %0 = custom %x {forward=@f, backward=@b} : f32[2] return y=%0 }\n"
    "graph @main(%a: f32[2]) {\n"
    "  %0 = custom %a {forward=@outer, backward=@b} : f32[2]\n"
    "  %1 = custom %0 {forward=@f, backward=@b} : f32[2]\n"
    "  return y=%1\n"
    "}\n";

static void run_pass(coti_pass_fn pass, cot_graph **graph, bool changes) {
    cot_graph *result = NULL;
    bool changed = false;
    CHECK_OK((*graph)->context, pass(*graph, &result, &changed));
    CHECK_OK((*graph)->context, coti_graph_verify(result));
    assert_int_equal(changed, changes);
    cot_graph_destroy(*graph);
    *graph = result;
}

static void passes_work_inside_bodies(void **state) {
    fixture *f = *state;
    cot_graph *graph = parse_text(f->context, twice_inside);
    run_pass(coti_pass_simplify, &graph, true);
    run_pass(coti_pass_simplify, &graph, false);
    run_pass(coti_pass_fold, &graph, true);
    run_pass(coti_pass_fold, &graph, false);
    char *text = text_of(graph);
    assert_string_equal(text, "graph @f(%x: f32[2]) {\n"
                              "  %0 = const {data=[2.7182817, 7.389056]} : f32[2]\n"
                              "  %1 = add %x, %0 : f32[2]\n"
                              "  %2 = softmax %1 : f32[2]\n"
                              "  return y=%2\n"
                              "}\n"
                              "\n"
                              "graph @b(%x: f32[2], %y: f32[2], %g: f32[2]) {\n"
                              "  return dx=%g\n"
                              "}\n"
                              "\n"
                              "graph @outer(%x: f32[2]) {\n"
                              "  %0 = custom %x {forward=@f, backward=@b} : f32[2]\n"
                              "  return y=%0\n"
                              "}\n"
                              "\n"
                              "graph @main(%a: f32[2]) {\n"
                              "  %0 = custom %a {forward=@outer, backward=@b} : f32[2]\n"
                              "  %1 = custom %0 {forward=@f, backward=@b} : f32[2]\n"
                              "  return y=%1\n"
                              "}\n");
    free(text);
    run_pass(coti_pass_expand, &graph, true);
    run_pass(coti_pass_expand, &graph, false);
    assert_int_equal(graph->body.count, 0); /* all is inlined, to the last */
    for (uint32_t id = 1; id < graph->node.count; id++) {
        assert_int_not_equal(coti_op_table[coti_node_at(graph, id)->op].kind, COTI_KIND_COMPOSITE);
    }
    cot_graph_destroy(graph);
}

/* A text of bodies, each of which runs the one before it n_uses times. */
static char *tower(int32_t depth, int32_t n_uses) {
    static char text[1 << 16];
    size_t used = 0;
    used += (size_t)snprintf(text, sizeof text,
                             "graph @b(%%x: f32[], %%y: f32[], %%g: f32[]) { return dx=%%g }\n"
                             "graph @f1(%%x: f32[]) { %%0 = exp %%x : f32[] return y=%%0 }\n");
    for (int32_t level = 2; level <= depth + 1; level++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "graph @f%d(%%x: f32[]) {\n",
                                 (int)level);
        for (int32_t i = 0; i < n_uses; i++) {
            char operand[16] = "x";
            if (i > 0) {
                snprintf(operand, sizeof operand, "%d", (int)i - 1);
            }
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "%%%d = custom %%%s {forward=@f%d, backward=@b} : f32[]\n",
                                     (int)i, operand, (int)level - 1);
        }
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "return y=%%%d }\n", (int)n_uses - 1);
    }
    return text;
}

static void depth_and_size_are_bounded(void **state) {
    fixture *f = *state;
    /* The last graph of the text is no body. */
    cot_graph *deepest = parse_text(f->context, tower(COTI_MAX_BODY_DEPTH, 1));
    check_round_trip(f->context, deepest);
    run_pass(coti_pass_expand, &deepest, true);
    assert_int_equal(deepest->node.count, 3); /* x, exp x */
    cot_graph_destroy(deepest);
    const char *text = tower(COTI_MAX_BODY_DEPTH + 1, 1);
    assert_null(cot_graph_parse(f->context, text, strlen(text)));
    CHECK_ERROR(f->context, COT_E_UNSUPPORTED,
                "graph \"f9\" cannot be a body: it holds bodies to a depth of 8, at most 7 is "
                "supported");
    text = tower(COTI_MAX_BODY_DEPTH, 12);
    assert_null(cot_graph_parse(f->context, text, strlen(text)));
    CHECK_ERROR(f->context, COT_E_UNSUPPORTED, "nodes, at most 1048576 are supported");
}

static void broken_texts_of_bodies(void **state) {
    fixture *f = *state;
#define BODY "graph @f(%x: f32[2]) { return y=%x }\n"
#define BACK "graph @b(%x: f32[2], %y: f32[2], %g: f32[2]) { return dx=%g }\n"
#define MAIN "graph @main(%a: f32[2]) { %0 = custom %a "
    static const struct {
        const char *text;
        cot_status status;
        const char *message;
    } bad[] = {
        {BODY MAIN "{forward=@f, backward=@b} : f32[2] return }", COT_E_PARSE,
         "line 2, column 64: no graph @b stands before this one"},
        {BODY MAIN "{forward=@main, backward=@f} : f32[2] return }", COT_E_PARSE,
         "no graph @main stands before this one"},
        {"graph @f(%x: f32[2]) { %0 = custom %x {forward=@f, backward=@f} : f32[2] return y=%0 }",
         COT_E_PARSE, "no graph @f stands before this one"},
        {BODY BACK MAIN "{forward=@f} : f32[2] return }", COT_E_PARSE,
         "attribute \"backward\" is missing"},
        {BODY BACK MAIN "{forward=f, backward=@b} : f32[2] return }", COT_E_PARSE, "expected '@'"},
        {BODY BACK MAIN "{forward=@f, backward=@b, forward=@f} : f32[2] return }", COT_E_PARSE,
         "given twice"},
        {BODY BACK MAIN "{forward=@f, backward=@b} : f32[3] return }", COT_E_PARSE,
         "the type is written f32[3], but custom gives f32[2]"},
        {BODY BACK MAIN "{forward=@b, backward=@f} : f32[2] return }", COT_E_ARG,
         "line 3, column 27: custom: forward \"b\" has 3 inputs, 1 expected"},
        {BODY BACK "graph @main(%a: f32[2]) { return y=%a }", COT_E_PARSE,
         "line 1, column 1: no node of a graph that follows runs graph @f"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(cot_graph_parse(f->context, bad[i].text, strlen(bad[i].text)));
        CHECK_ERROR(f->context, bad[i].status, bad[i].message);
    }
}

/* The verifier looks at bodies, and at whose they are. */
static void the_verifier_goes_into_bodies(void **state) {
    fixture *f = *state;
    cot_graph *graph = parse_text(f->context, twice_inside);
    cot_graph *other = parse_text(f->context, twice_inside);
    cot_graph *body = graph->body.data[0]; /* outer */
    coti_node *inner = &body->node.data[body->node.count - 1];
    uint8_t dtype = inner->dtype;
    inner->dtype = COT_F64;
    assert_int_equal(coti_graph_verify(graph), COT_E_INTERNAL);
    CHECK_ERROR(f->context, COT_E_INTERNAL, "f64[2], its rule gives f32[2]");
    inner->dtype = dtype;
    CHECK_OK(f->context, coti_graph_verify(graph));
    coti_node *node = &graph->node.data[graph->node.count - 1];
    const coti_node *twin = &other->node.data[other->node.count - 1];
    const void *attr = node->attr;
    node->attr = twin->attr;
    assert_int_equal(coti_graph_verify(graph), COT_E_INTERNAL);
    CHECK_ERROR(f->context, COT_E_INTERNAL, "runs body \"f\", which is not the graph's own");
    node->attr = attr;
    CHECK_OK(f->context, coti_graph_verify(graph));
    cot_graph_destroy(graph);
    cot_graph_destroy(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(equal_bodies_are_one),
        FIXTURE_TEST(a_body_is_a_clone),
        FIXTURE_TEST(what_cannot_be_a_body),
        FIXTURE_TEST(attributes_hold_bodies),
        FIXTURE_TEST(inlining_copies_nodes),
        FIXTURE_TEST(texts_of_several_graphs),
        FIXTURE_TEST(bodies_are_printed_before_their_users),
        FIXTURE_TEST(a_body_may_be_called_as_its_graph_is),
        FIXTURE_TEST(passes_work_inside_bodies),
        FIXTURE_TEST(depth_and_size_are_bounded),
        FIXTURE_TEST(broken_texts_of_bodies),
        FIXTURE_TEST(the_verifier_goes_into_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
