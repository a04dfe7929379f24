/*
 * The text form: what is printed, what is read, and what the parser says of what it cannot read.
 */
#include "graph_test.h"
#include "sample.h"

#include <locale.h>

/* Parse, print: the same text; parse that again: the same once more. */
static void check_round_trip(cot_context *context, const char *text) {
    cot_graph *graph = parse_text(context, text);
    char *printed = text_of(graph);
    assert_string_equal(printed, text);
    cot_graph_destroy(graph);
    free(printed);
}

static void the_sample_reads_back_as_it_is(void **state) {
    fixture *f = *state;
    check_round_trip(f->context, sample_text);
}

/* Every row of the op table but the leaves of the head stands in the sample. */
static void the_sample_has_every_operation(void **state) {
    (void)state;
    for (int op = 0; op < COT_OP_COUNT; op++) {
        char needle[64];
        snprintf(needle, sizeof needle, "= %s ", cot_op_name((cot_op)op));
        if (op != COT_OP_INPUT && op != COT_OP_STATE && strstr(sample_text, needle) == NULL) {
            fail_msg("%s is missing", cot_op_name((cot_op)op));
        }
    }
}

static void a_built_graph_prints_as_the_form_says(void **state) {
    fixture *f = *state;
    cot_graph *g = f->graph;
    cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(784, 10), "w");
    cot_value x = cot_op_input(g, COT_F32, BATCH(1, 784), "x");
    cot_graph_set_layer(g, "dense_1");
    cot_value y = cot_op_matmul(x, cot_op_state(g, w));
    cot_value loss = cot_op_mean(y, AXES(0, 1), 2, false);
    cot_graph_set_layer(g, NULL);
    CHECK_OK(f->context,
             cot_graph_update(cot_op_state(g, w), cot_op_unary(COT_OP_NEG, cot_op_state(g, w))));
    CHECK_OK(f->context, cot_graph_output(loss, "loss"));
    char *text = text_of(g);
    assert_string_equal(
        text, "graph @test(%x: f32[N,784], state %w: f32[784,10]) {\n"
              "  %0 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,10]  # \"dense_1\"\n"
              "  %1 = sum %0 {axes=[0, 1]} : f32[]  # \"dense_1\"\n"
              "  %2 = rows : i64[]  # \"dense_1\"\n"
              "  %3 = const {data=10} : i64[]  # \"dense_1\"\n"
              "  %4 = mul %2, %3 : i64[]  # \"dense_1\"\n"
              "  %5 = cast %4 : f32[]  # \"dense_1\"\n"
              "  %6 = div %1, %5 : f32[]  # \"dense_1\"\n"
              "  %7 = neg %w : f32[784,10]\n"
              "  update %w <- %7\n"
              "  return loss=%6\n"
              "}\n");
    check_round_trip(f->context, text);
    free(text);
    cot_variable_release(w);
}

static void an_empty_graph_has_a_text(void **state) {
    fixture *f = *state;
    char *text = text_of(f->graph);
    assert_string_equal(text, "graph @test() {\n  return\n}\n");
    check_round_trip(f->context, text);
    free(text);
}

/* Variables of one name, and one made after nodes: the text tells them apart and keeps its order.
 */
static void names_that_clash_are_numbered(void **state) {
    fixture *f = *state;
    cot_variable *a = cot_variable_create(f->context, COT_F32, SHAPE(2), "w");
    cot_variable *b = cot_variable_create(f->context, COT_F32, SHAPE(2), "w");
    cot_value x = cot_op_input(f->graph, COT_F32, SHAPE(2), "x");
    cot_value y = cot_op_binary(COT_OP_ADD, x, cot_op_state(f->graph, a));
    y = cot_op_binary(COT_OP_MUL, cot_op_state(f->graph, b), y);
    CHECK_OK(f->context, cot_graph_output(y, "0"));
    char *text = text_of(f->graph);
    assert_string_equal(text, "graph @test(%x: f32[2], state %w: f32[2], state %w.1: f32[2]) {\n"
                              "  %0 = add %x, %w : f32[2]\n"
                              "  %1 = mul %w.1, %0 : f32[2]\n"
                              "  return \"0\"=%1\n"
                              "}\n");
    check_round_trip(f->context, text);
    free(text);
    cot_variable_release(a);
    cot_variable_release(b);
}

static void one_node_prints_by_itself(void **state) {
    fixture *f = *state;
    coti_str text;
    coti_str_init(&text, f->context);
    cot_value x = cot_op_input(f->graph, COT_F32, SHAPE(2), "x y");
    cot_value y = cot_op_unary(COT_OP_EXP, x);
    coti_node_print(&text, f->graph, x.id);
    assert_string_equal(coti_str_text(&text), "%\"x y\" = input {name=\"x y\"} : f32[2]");
    coti_str_clear(&text);
    coti_node_print(&text, f->graph, y.id);
    assert_string_equal(coti_str_text(&text), "%0 = exp %\"x y\" : f32[2]");
    coti_str_free(&text);
}

static void space_and_comments_are_free(void **state) {
    fixture *f = *state;
    cot_graph *graph =
        parse_text(f->context, "# first\r\n#\n graph@g(%x:f32[ N , 2 ],state%w:f32[2])backward{#(\n"
                               "%a=broadcast%w{\naxes=[ # of the result\n1]}:f32\n[N,2]update%w<-%w"
                               "\t%b.c-d/e=add%x,%a{}:f32[N,2]# not \"a layer\"\n"
                               "%7=neg%b.c-d/e:f32[N,2] # \"layer\" \t\n"
                               "%8=exp%7:f32[N,2]#\"unfinished\n"
                               "%9=log%8:f32[N,2]# \"bad \\q escape\"\n"
                               "return y=%9}# end");
    char *printed = text_of(graph);
    assert_string_equal(printed, "graph @g(%x: f32[N,2], state %w: f32[2]) backward {\n"
                                 "  %0 = broadcast %w {axes=[1]} : f32[N,2]\n"
                                 "  %1 = add %x, %0 : f32[N,2]\n"
                                 "  %2 = neg %1 : f32[N,2]  # \"layer\"\n"
                                 "  %3 = exp %2 : f32[N,2]\n"
                                 "  %4 = log %3 : f32[N,2]\n"
                                 "  update %w <- %w\n"
                                 "  return y=%4\n"
                                 "}\n");
    assert_true(graph->has_backward);
    free(printed);
    cot_graph_destroy(graph);
}

static void states_become_zero_variables_of_the_graph(void **state) {
    fixture *f = *state;
    cot_graph *graph = parse_text(f->context, "graph @g(%x: f32[2], state %w: f32[2]) { return }");
    cot_variable *w = cot_graph_find_variable(graph, "w");
    float values[2] = {1, 1};
    assert_non_null(w);
    assert_int_equal(w->references, 1);
    CHECK_OK(f->context, cot_variable_get(w, values, sizeof values));
    assert_true(values[0] == 0 && values[1] == 0);
    assert_null(cot_graph_find_variable(graph, "x"));
    cot_variable_retain(w);
    cot_graph_destroy(graph);
    assert_string_equal(cot_variable_name(w), "w");
    cot_variable_release(w);
}

/* The elements of the graph's one constant. */
static const void *constant_data(const cot_graph *graph) {
    return ((const coti_attr_DATA *)coti_node_at(graph, 1)->attr)->data.data;
}

/* Any float32 prints to a text that reads back to its bits: a sweep over all exponents. */
static void floats_read_back_to_their_bits(void **state) {
    fixture *f = *state;
    enum { N = 4096 };
    static uint32_t bits[N];
    for (uint32_t i = 0; i < N; i++) {
        bits[i] = i * 0x000FFFF1u + (i >> 4) * 0x9E3779B9u;
    }
    cot_graph *g = cot_graph_create(f->context, "g");
    assert_non_null(cot_op_constant_array(g, COT_F32, SHAPE(N), bits).graph);
    char *text = text_of(g);
    cot_graph *back = parse_text(f->context, text);
    assert_memory_equal(constant_data(back), bits, sizeof bits);
    cot_graph_destroy(back);
    cot_graph_destroy(g);
    free(text);
    static uint64_t wide[N];
    for (uint64_t i = 0; i < N; i++) {
        wide[i] = i * UINT64_C(0x000FFFFFFFFFF1E3) + (i >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    }
    g = cot_graph_create(f->context, "g");
    assert_non_null(cot_op_constant_array(g, COT_F64, SHAPE(N), wide).graph);
    text = text_of(g);
    back = parse_text(f->context, text);
    assert_memory_equal(constant_data(back), wide, sizeof wide);
    cot_graph_destroy(back);
    cot_graph_destroy(g);
    free(text);
}

static void numbers_may_be_written_in_other_ways(void **state) {
    fixture *f = *state;
    cot_graph *g =
        parse_text(f->context, "graph @g() { %0 = const {data=[1.50, +2, 3e0, .5, 1e400, "
                               "-1e400, 16777217]} : f32[7] return }");
    const float *data = constant_data(g);
    const float expected[7] = {1.5f, 2, 3, 0.5f, (float)1e300 * 10, -(float)1e300 * 10, 16777216};
    assert_memory_equal(data, expected, sizeof expected);
    cot_graph_destroy(g);
}

/* A comma for a decimal point changes neither what is printed nor what is read. */
static void the_locale_does_not_matter(void **state) {
    fixture *f = *state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "pl_PL.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < sizeof locales / sizeof locales[0] && !set; i++) {
        set = setlocale(LC_NUMERIC, locales[i]) != NULL;
    }
    if (!set) {
        skip();
    }
    check_round_trip(f->context, sample_text);
    setlocale(LC_NUMERIC, "C");
}

/* ---- what cannot be read ---- */

#define HEAD "graph @g(%x: f32[2], state %w: f32[2]) {\n"

static void errors_say_where_and_what_was_expected(void **state) {
    fixture *f = *state;
    static const struct {
        const char *text;
        cot_status status;
        const char *message[2];
    } rows[] = {
        {"", COT_E_PARSE, {"line 1, column 1: found the end of the text", "\"graph\""}},
        {"# only\n  ", COT_E_PARSE, {"line 2, column 3: found the end"}},
        {"grap @g", COT_E_PARSE, {"line 1, column 1: found 'g', expected \"graph\""}},
        {"graph g", COT_E_PARSE, {"column 7: found 'g', expected '@'"}},
        {"graph @(", COT_E_PARSE, {"column 8", "a graph's name"}},
        {"graph @g(%0: f32[2])", COT_E_PARSE, {"column 10", "a name, not a number"}},
        {"graph @g(% x: f32[2])", COT_E_PARSE, {"column 12", "right after '%'"}},
        {"graph @g(x: f32[2])", COT_E_PARSE, {"column 10: found 'x'", "begins with '%'"}},
        {"graph @g(%x f32[2])", COT_E_PARSE, {"column 13: found 'f', expected ':'"}},
        {"graph @g(%x: f16[2])", COT_E_PARSE, {"column 14", "a dtype"}},
        {"graph @g(%x: f32)", COT_E_PARSE, {"column 17: found ')', expected '['"}},
        {"graph @g(%x: f32[2,])", COT_E_PARSE, {"column 20: found ']', expected an integer"}},
        {"graph @g(%x: f32[2,N])", COT_E_PARSE, {"column 20", "only the leading extent"}},
        {"graph @g(%x: f32[0N])", COT_E_PARSE, {"column 18", "out of range"}},
        {"graph @g(%x: f32[-1])", COT_E_PARSE, {"column 18", "out of range"}},
        {"graph @g(%x: f32[99999999999999999999])", COT_E_PARSE, {"column 18", "too large"}},
        {"graph @g(%x: f32[1,1,1,1,1,1,1,1,1])", COT_E_PARSE, {"column 34", "at most 8 axes"}},
        {"graph @g(%x: f32[16777216,16777216])", COT_E_SHAPE, {"line 1, column 10: input", ""}},
        {"graph @g(%x: f32[2], %x: f32[2])", COT_E_PARSE, {"column 22", "%x is defined twice"}},
        {"graph @g(%x: f32[2], state %x: f32[2])", COT_E_PARSE, {"column 28", "defined twice"}},
        {"graph @g(state %w: f32[N])", COT_E_SHAPE, {"column 16: state", "f32[N]"}},
        {"graph @g(state %w: f32[1000000,1000000])",
         COT_E_SHAPE,
         {"column 16: state", "4294967296"}},
        {"graph @g(%\"\": f32[2])", COT_E_PARSE, {"column 11", "a name is empty"}},
        {"graph @g(%\"a\n\": f32[2])", COT_E_PARSE, {"column 11", "does not end on its line"}},
        {"graph @g(%\"a\\q\": f32[2])", COT_E_PARSE, {"column 11", "escapes"}},
        {"graph @g(%\"\\x00\": f32[2])", COT_E_PARSE, {"column 11", "NUL"}},
        {HEAD "%x = neg %w : f32[2]", COT_E_PARSE, {"line 2, column 1: %x is defined twice"}},
        {HEAD "%0 neg", COT_E_PARSE, {"line 2, column 4: found 'n', expected '='"}},
        {HEAD "%0 = frob %x", COT_E_PARSE, {"line 2, column 6: \"frob\" is no operation"}},
        {HEAD "%0 = input : f32[2]", COT_E_PARSE, {"line 2, column 6", "the graph's head"}},
        {HEAD "%0 = state : f32[2]", COT_E_PARSE, {"line 2, column 6", "the graph's head"}},
        {HEAD "%0 = neg %y : f32[2]", COT_E_PARSE, {"line 2, column 10: %y is not defined"}},
        {HEAD "%0 = neg %0 : f32[2]", COT_E_PARSE, {"line 2, column 10: %0 is not defined"}},
        {HEAD "%0 = neg %x, : f32[2]", COT_E_PARSE, {"line 2, column 14", "begins with '%'"}},
        {HEAD "%0 = neg %x f32[2]", COT_E_PARSE, {"line 2, column 13: found 'f', expected ':'"}},
        {HEAD "%0 = neg %x : f32[3]",
         COT_E_PARSE,
         {"line 2, column 15: the type is written f32[3]", "neg gives f32[2]"}},
        {HEAD "%0 = neg %x : f64[2]", COT_E_PARSE, {"written f64[2], but neg gives f32[2]"}},
        {HEAD "%0 = add %x : f32[2]",
         COT_E_ARG,
         {"line 2, column 1: add: 1 operands", "x is f32[2]"}},
        {HEAD "%0 = add %x, %x, %x, %x : f32[2]",
         COT_E_ARG,
         {"4 operands given, 2 expected", "b is f32[2], a further operand is f32[2]"}},
        {HEAD "%0 = softmax_xent %x, %x, %x : f32[2]",
         COT_E_ARG,
         {"3 operands given", "logits is f32[2], a further operand is f32[2]"}},
        {HEAD "%0 = concat %x, %x, %x, %x, %x {axis=1} : f32[10]",
         COT_E_SHAPE,
         {"axis 1 is out of range for rank 1", "x3 is f32[2], ..."}},
        {HEAD "%0 = not %x : bool[2]", COT_E_DTYPE, {"line 2, column 1: not: x must be bool"}},
        {HEAD "\n\n  %0 = and %x, %x : f32[2] # \"l\"",
         COT_E_DTYPE,
         {"line 4, column 3: and \"l\": a must"}},
        {HEAD "%0 = sum %x {axis=[0]} : f32[]",
         COT_E_PARSE,
         {"line 2, column 14", "\"axis\" is unknown"}},
        {HEAD "%0 = sum %x {axes=[0], axes=[0]} : f32[]",
         COT_E_PARSE,
         {"column 24", "given twice"}},
        {HEAD "%0 = sum %x {axes=0} : f32[]", COT_E_PARSE, {"column 19: found '0', expected '['"}},
        {HEAD "%0 = sum %x {axes=[0,0,0,0,0,0,0,0,0]} : f32[]", COT_E_PARSE, {"more than 8"}},
        {HEAD "%0 = sum %x {axes=[4294967296]} : f32[]",
         COT_E_PARSE,
         {"column 20: axis 4294967296"}},
        {HEAD "%0 = sum %x {axes=[0 0]} : f32[]",
         COT_E_PARSE,
         {"column 22: found '0', expected ','"}},
        {HEAD "%0 = sum %x {axes=[1]} : f32[]",
         COT_E_SHAPE,
         {"line 2, column 1: sum: axes: axis 1"}},
        {HEAD "%0 = neg %x {axes=[0]} : f32[2]", COT_E_PARSE, {"column 14", "unknown to this op"}},
        {HEAD "%0 = argmax %x : i32[]", COT_E_PARSE, {"column 16: attribute \"axis\" is missing"}},
        {HEAD "%0 = pad %x {low=[0], high=[0]} : f32[2]", COT_E_PARSE, {"\"value\" is missing"}},
        {HEAD "%0 = pad %x {low=[0], high=[0], value=q} : f32[2]", COT_E_PARSE, {"a number"}},
        {HEAD "%0 = pad %x {low=[0], high=[0], value=1e} : f32[2]", COT_E_PARSE, {"malformed"}},
        {HEAD "%0 = const : f32[]", COT_E_PARSE, {"attribute \"data\" is missing"}},
        {HEAD "%0 = const {data=[1]} : f32[2]",
         COT_E_PARSE,
         {"column 18: 1 elements do not fill f32[2]"}},
        {HEAD "%0 = const {data=[1]} : f32[N]", COT_E_PARSE, {"do not fill f32[N]"}},
        {HEAD "%0 = const {data=1} : f32[100000000000]", COT_E_PARSE, {"1 elements do not fill"}},
        {HEAD "%0 = const {data=[1, 2]} : u8[2]", COT_OK, {NULL}},
        {HEAD "%0 = const {data=[1, 256]} : u8[2]", COT_E_PARSE, {"column 22: 256 is no u8"}},
        {HEAD "%0 = const {data=-1} : u8[]", COT_E_PARSE, {"-1 is no u8"}},
        {HEAD "%0 = const {data=2147483648} : i32[]", COT_E_PARSE, {"2147483648 is no i32"}},
        {HEAD "%0 = const {data=9223372036854775808} : i64[]", COT_E_PARSE, {"too large"}},
        {HEAD "%0 = const {data=1.5} : i32[]",
         COT_E_PARSE,
         {"column 19: found '.'", "the end of an element"}},
        {HEAD "%0 = const {data=1} : bool[]", COT_E_PARSE, {"true or false"}},
        {HEAD "%0 = const {data=truer} : bool[]", COT_E_PARSE, {"true or false"}},
        {HEAD "%0 = const {data=[true, 7x]} : f32[2]", COT_E_PARSE, {"a number"}},
        {HEAD "%0 = const {data=nan(0x)} : f32[]", COT_E_PARSE, {"nan(0x7fc00000)"}},
        {HEAD "%0 = const {data=nan(0x3f800000)} : f32[]",
         COT_E_PARSE,
         {"column 18: 0x3f800000 are not the bits of a NaN in f32"}},
        {HEAD "%0 = const {data=nan(0x7ff8000000000000)} : f32[]", COT_E_PARSE, {"in f32"}},
        {HEAD "%0 = const {data=nan(0x7fc00000)} : f64[]", COT_E_PARSE, {"in f64"}},
        {HEAD "%0 = const {data=nan(0xfff0000000000001)} : f64[]", COT_OK, {NULL}},
        {HEAD "%0 = const {data=[1, , 2]} : f32[2]", COT_E_PARSE, {"column 22: found ','"}},
        {HEAD "%0 = const {data=[1", COT_E_PARSE, {"the end of the text, expected ','"}},
        {HEAD "%0 = random %x, %x {distribution=gauss, stream=1} : f32[2]",
         COT_E_PARSE,
         {"uniform or normal"}},
        {HEAD "update %x <- %w", COT_E_ARG, {"line 2, column 8: update: input"}},
        {HEAD "update %w -> %x", COT_E_PARSE, {"column 11: found '-', expected '<-'"}},
        {HEAD "update %w <- %x update %w <- %x",
         COT_E_ARG,
         {"line 2, column 24: update: state \"w\"", "twice"}},
        {HEAD "retour", COT_E_PARSE, {"line 2, column 1: found 'r'", "\"return\""}},
        {HEAD "return y=%x, y=%w}", COT_E_ARG, {"line 2, column 14: output", "already taken"}},
        {HEAD "return y=%z}", COT_E_PARSE, {"column 10: %z is not defined"}},
        {HEAD "return %x}", COT_E_PARSE, {"column 8: found '%', expected a name"}},
        {HEAD "return y=%x w=%w}", COT_E_PARSE, {"expected ','"}},
        {HEAD "return", COT_E_PARSE, {"found the end of the text, expected a name"}},
        {HEAD "return} graph", COT_E_ARG, {"line 1, column 1", "cannot be a body: it has a state"}},
        {HEAD "return} x", COT_E_PARSE, {"found 'x', expected another graph, or the end"}},
        {HEAD "return}\n\x01", COT_E_PARSE, {"line 3, column 1: found byte 0x01"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", rows[i].text,
                 rows[i].status == COT_OK ? " return}" : "");
        cot_graph *graph = cot_graph_parse(f->context, text, strlen(text));
        cot_error error = cot_error_get(f->context);
        bool as_expected =
            error.status == rows[i].status && (graph != NULL) == (error.status == COT_OK);
        for (int k = 0; k < 2 && rows[i].message[k] != NULL; k++) {
            as_expected = as_expected && strstr(error.message, rows[i].message[k]) != NULL;
        }
        if (!as_expected) {
            fail_msg("%s\ngives %s: %s", text, cot_status_name(error.status), error.message);
        }
        cot_graph_destroy(graph);
        cot_error_clear(f->context);
    }
}

static void a_nul_in_the_text_is_no_end(void **state) {
    fixture *f = *state;
    static const char text[] = "graph @g() { return }\0# more";
    cot_graph *graph = cot_graph_parse(f->context, text, sizeof text - 1);
    assert_null(graph);
    CHECK_ERROR(f->context, COT_E_PARSE,
                "column 22: found byte 0x00, expected another graph, or the end of the text");
    assert_null(cot_graph_parse(f->context, NULL, 3));
    CHECK_ERROR(f->context, COT_E_ARG, "the text is NULL");
}

/* An error of before stays as it is; the parser works all the same. */
static void an_older_error_is_not_touched(void **state) {
    fixture *f = *state;
    assert_null(cot_graph_create(f->context, "a b"));
    char before[COTI_MESSAGE_BYTES];
    snprintf(before, sizeof before, "%s", cot_error_message(f->context));
    assert_null(cot_graph_parse(f->context, "graph @g(%x: f32[2]) {%0 = not %x", 33));
    assert_string_equal(cot_error_message(f->context), before);
    cot_graph *graph = cot_graph_parse(f->context, "graph @g(){return}", 18);
    assert_non_null(graph);
    cot_graph_destroy(graph);
    cot_error_clear(f->context);
}

/* Long chains, wide lists and long names: time and memory grow with the text, the stack does not.
 */
static void long_texts_are_read(void **state) {
    fixture *f = *state;
    enum { N = 20000 };
    coti_str text;
    coti_str_init(&text, f->context);
    coti_str_append(&text, "graph @g(%");
    for (int i = 0; i < N; i++) {
        coti_str_append(&text, "x");
    }
    coti_str_append(&text, ": f32[2]) {\n%0 = const {data=[");
    for (int i = 0; i < N; i++) {
        coti_str_append(&text, i == 0 ? "1" : ",1");
    }
    coti_str_printf(&text, "]} : f32[%d]\n", N);
    for (int i = 1; i < N; i++) {
        coti_str_printf(&text, "%%%d = exp %%%d : f32[%d]\n", i, i - 1, N);
    }
    coti_str_printf(&text, "%%%d = concat %%0", N);
    for (int i = 1; i < N; i++) {
        coti_str_printf(&text, ", %%%d", i);
    }
    coti_str_printf(&text, " {axis=0} : f32[%lld]\nreturn y=%%%d}", (long long)N * N, N);
    cot_graph *graph = parse_text(f->context, coti_str_text(&text));
    assert_int_equal(graph->node.count, 1 + 1 + N + 1);
    char *printed = text_of(graph);
    check_round_trip(f->context, printed);
    free(printed);
    cot_graph_destroy(graph);
    coti_str_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_sample_reads_back_as_it_is),
        FIXTURE_TEST(the_sample_has_every_operation),
        FIXTURE_TEST(a_built_graph_prints_as_the_form_says),
        FIXTURE_TEST(an_empty_graph_has_a_text),
        FIXTURE_TEST(names_that_clash_are_numbered),
        FIXTURE_TEST(one_node_prints_by_itself),
        FIXTURE_TEST(space_and_comments_are_free),
        FIXTURE_TEST(states_become_zero_variables_of_the_graph),
        FIXTURE_TEST(floats_read_back_to_their_bits),
        FIXTURE_TEST(numbers_may_be_written_in_other_ways),
        FIXTURE_TEST(the_locale_does_not_matter),
        FIXTURE_TEST(errors_say_where_and_what_was_expected),
        FIXTURE_TEST(a_nul_in_the_text_is_no_end),
        FIXTURE_TEST(an_older_error_is_not_touched),
        FIXTURE_TEST(long_texts_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
