/*
 * Recomputation: the same gradients, bit for bit on the evaluator and from kernels, in less memory;
 * and that regions and barriers survive printing, passes and inlining.
 */
#include "check.h"

#include "alloc_fail.h"
#include "graph/body.h"
#include "shapes.h"

#include <math.h>
#include <stdio.h>

static size_t count_op(const cot_graph *graph, cot_op op) {
    size_t n = 0;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        n += coti_node_at(graph, id)->op == op;
    }
    return n;
}

/* ---- a chain ---- */

enum { WIDTH = 24, ROWS = 32, DEPTH = 32, BLOCK = 4 };

typedef struct chain {
    cot_context *context;
    cot_graph *graph;
    cot_variable *w[DEPTH];
} chain;

/* One layer: dropout of tanh(x w), some of them with a softmax, so that rules read operands,
 * results, masks and composites. */
static cot_value layer(chain *c, cot_value x, int i) {
    char name[16];
    cot_graph *g = c->graph;
    cot_dtype dtype = cot_value_dtype(x);
    snprintf(name, sizeof name, "w%d", i);
    c->w[i] = cot_variable_create(c->context, dtype, (cot_shape){2, false, {WIDTH, WIDTH}}, name);
    cot_value y = cot_op_unary(COT_OP_TANH, cot_op_matmul(x, cot_op_state(g, c->w[i])));
    cot_value seed = cot_op_constant(g, COT_I64, 5);
    cot_value step = cot_op_constant(g, COT_I64, 0);
    cot_value random = cot_op_random(seed, step, dtype, cot_value_shape(y), COT_UNIFORM, 100 + i);
    cot_value keep = cot_op_binary(COT_OP_GE, random, cot_op_constant(g, dtype, 0.25));
    cot_value zero = cot_op_constant(g, dtype, 0);
    y = cot_op_select(keep, y, zero);
    if (i % 3 == 1) {
        y = cot_op_binary(COT_OP_ADD, y, cot_op_softmax(x));
    }
    return cot_op_binary(COT_OP_MUL, y, cot_op_constant(g, dtype, 1.25));
}

/* Outputs: loss, and the gradient of each weight. block 0: nothing is marked. */
static chain make_chain(cot_dtype dtype, int block) {
    static const int32_t axes[2] = {0, 1};
    chain c = {.context = cot_context_create(NULL)};
    c.graph = cot_graph_create(c.context, "chain");
    cot_value x = cot_op_input(c.graph, dtype, (cot_shape){2, true, {1, WIDTH}}, "x");
    for (int i = 0; i < DEPTH; i++) {
        if (block > 0 && i % block == 0) {
            cot_graph_set_remat(c.graph, true);
        }
        x = layer(&c, x, i);
    }
    cot_graph_set_remat(c.graph, false);
    cot_value loss = cot_op_mean(cot_op_binary(COT_OP_MUL, x, x), axes, 2, false);
    CHECK_OK(c.context, cot_graph_output(loss, "loss"));
    cot_value w[DEPTH], grad[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        w[i] = cot_op_state(c.graph, c.w[i]);
    }
    CHECK_OK(c.context, cot_grad(loss, w, DEPTH, grad));
    for (int i = 0; i < DEPTH; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        CHECK_OK(c.context, cot_graph_output(grad[i], name));
    }
    CHECK_OK(c.context, coti_graph_verify(c.graph));
    return c;
}

static void free_chain(chain *c) {
    for (int i = 0; i < DEPTH; i++) {
        cot_variable_release(c->w[i]);
    }
    cot_graph_destroy(c->graph);
    cot_context_destroy(c->context);
}

/* Numbers that depend on the place alone. */
static double number(int64_t i) {
    return (double)(i * 7919 % 1009) / 1009 - 0.5;
}

static void fill(cot_dtype dtype, void *data, int64_t n, int64_t offset) {
    for (int64_t i = 0; i < n; i++) {
        double value = number(i + offset);
        if (dtype == COT_F32) {
            ((float *)data)[i] = (float)value;
        } else {
            ((double *)data)[i] = value;
        }
    }
}

/* Gradients, one after another; to be freed. Weights: about 1 / sqrt(WIDTH). */
static char *make_room(const chain *c, cot_dtype dtype, char *x) {
    size_t bytes = cot_dtype_bytes(dtype);
    char w[WIDTH * WIDTH * 8];
    for (int i = 0; i < DEPTH; i++) {
        fill(dtype, w, (int64_t)WIDTH * WIDTH, 31 * i);
        CHECK_OK(c->context, cot_variable_set(c->w[i], w, WIDTH * WIDTH * bytes));
    }
    fill(dtype, x, (int64_t)ROWS * WIDTH, 17);
    char *out = calloc(DEPTH + 1, WIDTH * WIDTH * 8);
    assert_non_null(out);
    return out;
}

static char *evaluate(const chain *c, cot_dtype dtype) {
    char x[ROWS * WIDTH * 8];
    char *out = make_room(c, dtype, x);
    coti_tensor in = {dtype, (cot_shape){2, false, {ROWS, WIDTH}}, x};
    coti_tensor result[DEPTH + 1];
    for (int i = 0; i <= DEPTH; i++) {
        cot_shape shape = {i == 0 ? 0 : 2, false, {WIDTH, WIDTH}};
        result[i] = (coti_tensor){dtype, shape, out + (size_t)i * WIDTH * WIDTH * 8};
    }
    CHECK_OK(c->context, coti_eval_graph(c->graph, ROWS, &in, result));
    return out;
}

static char *run_compiled(const chain *c, cot_dtype dtype, cot_program_info *info_out) {
    char x[ROWS * WIDTH * 8];
    char *out = make_room(c, dtype, x);
    const cot_program_options options = {.struct_size = sizeof options, .max_rows = ROWS};
    cot_program *program = cot_program_create(c->graph, &options);
    if (program == NULL) {
        fail_msg("%s", cot_error_message(c->context));
    }
    cot_session *session = cot_session_create(program);
    const cot_array array = {.data = x, .dtype = dtype, .n_rows = ROWS, .row_elements = WIDTH};
    CHECK_OK(c->context, cot_session_bind(session, "x", &array));
    for (int i = 0; i <= DEPTH; i++) {
        size_t bytes = (i == 0 ? 1 : WIDTH * WIDTH) * cot_dtype_bytes(dtype);
        CHECK_OK(c->context, cot_session_bind_output(session, cot_graph_output_name(c->graph, i),
                                                     out + (size_t)i * WIDTH * WIDTH * 8, bytes));
    }
    if (cot_session_run(session, ROWS) != COT_OK) {
        fail_msg("%s", cot_session_message(session));
    }
    *info_out = cot_program_get_info(program);
    cot_session_destroy(session);
    cot_program_destroy(program);
    return out;
}

/* The gradients are no zeros, so that equal means something. */
static void check_gradients_are_there(const char *out, cot_dtype dtype) {
    for (int i = 1; i <= DEPTH; i++) {
        const char *g = out + (size_t)i * WIDTH * WIDTH * 8;
        double value = dtype == COT_F32 ? (double)((const float *)(const void *)g)[1]
                                        : ((const double *)(const void *)g)[1];
        assert_true(value != 0 && isfinite(value));
    }
}

static void the_evaluator_gives_the_same_bits(void **state) {
    (void)state;
    static const cot_dtype dtypes[] = {COT_F32, COT_F64};
    for (size_t d = 0; d < 2; d++) {
        chain plain = make_chain(dtypes[d], 0);
        char *want = evaluate(&plain, dtypes[d]);
        check_gradients_are_there(want, dtypes[d]);
        assert_int_equal(count_op(plain.graph, COT_OP_BARRIER), 0);
        for (int block = 1; block <= DEPTH; block *= 2) {
            chain marked = make_chain(dtypes[d], block);
            char *found = evaluate(&marked, dtypes[d]);
            assert_memory_equal(found, want, (DEPTH + 1) * WIDTH * WIDTH * 8);
            free(found);
            free_chain(&marked);
        }
        free(want);
        free_chain(&plain);
    }
}

/* Kernels too: what they compute again they compute by the same expressions. And memory falls: by
 * the plan, of DEPTH layers' values about DEPTH / BLOCK + BLOCK layers' remain. */
static void kernels_give_the_same_bits_in_less_memory(void **state) {
    (void)state;
    cot_program_info plain_info, marked_info;
    chain plain = make_chain(COT_F32, 0);
    chain marked = make_chain(COT_F32, BLOCK);
    assert_true(count_op(marked.graph, COT_OP_BARRIER) > 0);
    char *want = run_compiled(&plain, COT_F32, &plain_info);
    char *found = run_compiled(&marked, COT_F32, &marked_info);
    check_gradients_are_there(want, COT_F32);
    for (int i = 0; i <= DEPTH; i++) {
        size_t at = (size_t)i * WIDTH * WIDTH * 8;
        if (memcmp(found + at, want + at, WIDTH * WIDTH * 4) != 0) {
            fail_msg("output %d differs", i);
        }
    }
    print_message(
        "arena: %lld bytes plain, %lld with regions of %d of %d layers (bounds %lld, %lld)\n",
        (long long)plain_info.arena_bytes, (long long)marked_info.arena_bytes, BLOCK, DEPTH,
        (long long)plain_info.arena_bound_bytes, (long long)marked_info.arena_bound_bytes);
    assert_true(marked_info.arena_bytes * 10 < plain_info.arena_bytes * 6);
    free(want);
    free(found);
    free_chain(&plain);
    free_chain(&marked);
}

/* ---- what is copied, and what is not ---- */

/* h1 = exp x, h2 = tanh h1, y = h2 w: h1 and h2 of the region, and what they become. */
static const char small_text[] = "graph @small(%x: f64[N,3], %w: f64[3]) {\n"
                                 "  %0 = exp %x : f64[N,3] remat 1\n"
                                 "  %1 = tanh %0 : f64[N,3] remat 1  # \"inner\"\n"
                                 "  %2 = broadcast %w {axes=[1]} : f64[N,3]\n"
                                 "  %3 = mul %1, %2 : f64[N,3]\n"
                                 "  %4 = sum %3 {axes=[0, 1]} : f64[]\n"
                                 "  return y=%4\n"
                                 "}\n";

static cot_graph *parse(cot_context *context, const char *text) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    return graph;
}

static bool append_text(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

static void check_text(const cot_graph *graph, const char *want) {
    coti_str text;
    coti_str_init(&text, graph->context);
    CHECK_OK(graph->context, cot_graph_print(graph, append_text, &text));
    assert_string_equal(coti_str_text(&text), want);
    coti_str_free(&text);
}

/* tanh's result leaves the region and is read as it is; exp's is inside and is made again. */
static void what_is_inside_is_made_again(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = parse(context, small_text);
    check_text(graph, small_text);
    cot_value x = cot_graph_input_at(graph, 0);
    cot_value dx;
    CHECK_OK(context, cot_grad(cot_graph_output_at(graph, 0), &x, 1, &dx));
    CHECK_OK(context, cot_graph_output(dx, "dx"));
    CHECK_OK(context, coti_graph_verify(graph));
    assert_int_equal(count_op(graph, COT_OP_BARRIER), 1);
    assert_int_equal(count_op(graph, COT_OP_EXP), 2);
    assert_int_equal(count_op(graph, COT_OP_TANH), 1);
    const coti_node *last = coti_node_of(dx); /* g' times exp x, the copy of it */
    const coti_node *again = coti_node_at(graph, last->input[1]);
    assert_int_equal(again->op, COT_OP_EXP);
    assert_int_equal(coti_node_at(graph, again->input[0])->op, COT_OP_BARRIER);
    assert_int_equal(again->region, 0);
    /* A second gradient uses the same copies. */
    size_t nodes = graph->node.count;
    cot_value once_more;
    CHECK_OK(context, cot_grad(cot_graph_output_at(graph, 0), &x, 1, &once_more));
    assert_int_equal(once_more.id, dx.id);
    assert_int_equal(graph->node.count, nodes);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* Constants are not copied, parameters come without a barrier, and random numbers are the same. */
static void what_costs_nothing_is_not_copied(void **state) {
    (void)state;
    static const char text[] =
        "graph @g(%x: f64[N,3], state %w: f64[3,3]) {\n"
        "  %0 = const {data=2} : f64[] remat 7\n"
        "  %1 = broadcast %0 : f64[N,3] remat 7\n"
        "  %2 = const {data=1} : i64[] remat 7\n"
        "  %3 = random %2, %2 {distribution=uniform, stream=4} : f64[N,3] remat 7\n"
        "  %4 = mul %x, %1 : f64[N,3] remat 7\n"
        "  %5 = mul %4, %3 : f64[N,3] remat 7\n"
        "  %6 = dot %5, %w {a_contract=[1], b_contract=[0]} : f64[N,3] remat 7\n"
        "  %7 = exp %6 : f64[N,3] remat 7\n"
        "  %8 = sum %7 {axes=[0, 1]} : f64[] remat 7\n"
        "  return y=%8\n"
        "}\n";
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = parse(context, text);
    const cot_value wrt[2] = {cot_graph_input_at(graph, 0), cot_graph_state_at(graph, 0)};
    cot_value grad[2];
    CHECK_OK(context, cot_grad(cot_graph_output_at(graph, 0), wrt, 2, grad));
    CHECK_OK(context, cot_graph_output(grad[0], "dx"));
    CHECK_OK(context, cot_graph_output(grad[1], "dw"));
    /* One before x, one before the seed, which is all that the random numbers come from. */
    assert_int_equal(count_op(graph, COT_OP_BARRIER), 2);
    assert_int_equal(count_op(graph, COT_OP_RANDOM), 2);
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        if (node->op == COT_OP_RANDOM) {
            assert_int_equal(((const coti_attr_RANDOM *)node->attr)->stream, 4);
        }
        if (node->op == COT_OP_BARRIER) {
            assert_int_equal(((const coti_attr_BARRIER *)node->attr)->id, 7);
            assert_int_not_equal(coti_node_at(graph, node->input[0])->op, COT_OP_STATE);
        }
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* A hundred regions of a hundred layers: each node is copied at most once, in linear time. */
static void ten_thousand_layers_in_regions(void **state) {
    (void)state;
    enum { LAYERS = 10000 };
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "deep");
    cot_value x = cot_op_input(graph, COT_F64, read_shape("2"), "x");
    cot_value y = x;
    for (int i = 0; i < LAYERS; i++) {
        if (i % 100 == 0) {
            cot_graph_set_remat(graph, true);
        }
        y = cot_op_unary(COT_OP_TANH, y);
    }
    cot_graph_set_remat(graph, false);
    cot_value u = cot_op_input(graph, COT_F64, read_shape("2"), "u");
    size_t before = graph->node.count;
    cot_value dx;
    CHECK_OK(context, cot_vjp(y, u, &x, 1, &dx));
    assert_int_equal(count_op(graph, COT_OP_TANH), LAYERS + LAYERS - LAYERS / 100);
    assert_int_equal(count_op(graph, COT_OP_BARRIER), LAYERS / 100);
    /* A copy, y y, 1 - y y, g times that; a barrier a region; 1, spread. */
    assert_true(graph->node.count - before <= 4 * LAYERS + LAYERS / 100 + 2);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- marks ---- */

static void marks_go_with_their_nodes(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F32, read_shape("3"), "x");
    cot_graph_set_remat(graph, true);
    cot_value a = cot_op_unary(COT_OP_EXP, x);
    cot_value z = cot_op_input(graph, COT_F32, read_shape("3"), "z"); /* leaves are in none */
    cot_graph_set_remat(graph, true);
    cot_value b = cot_op_unary(COT_OP_TANH, a);
    cot_graph_set_remat(graph, false);
    cot_value c = cot_op_binary(COT_OP_ADD, cot_op_unary(COT_OP_EXP, x), b);
    assert_int_equal(coti_node_of(a)->region, 1);
    assert_int_equal(coti_node_of(z)->region, 0);
    assert_int_equal(coti_node_of(b)->region, 2);
    assert_int_equal(coti_node_of(c)->region, 0);
    CHECK_OK(context, cot_graph_output(c, "y"));
    cot_graph_set_remat(NULL, true);
    cot_graph *copy = NULL;
    bool changed = false;
    CHECK_OK(context, coti_pass_simplify(graph, &copy, &changed));
    static const char text[] = "graph @g(%x: f32[3], %z: f32[3]) {\n"
                               "  %0 = exp %x : f32[3] remat 1\n"
                               "  %1 = tanh %0 : f32[3] remat 2\n"
                               "  %2 = add %0, %1 : f32[3]\n"
                               "  return y=%2\n"
                               "}\n";
    check_text(copy, text);
    cot_graph_set_remat(copy, true); /* a new one, there too */
    assert_int_equal(copy->region, 3);
    cot_graph_set_remat(copy, false);
    /* Inlined, regions get numbers of their own; or they are those of the place. */
    cot_graph *to = cot_graph_create(context, "to");
    const cot_value in[2] = {cot_op_input(to, COT_F32, read_shape("3"), "x"),
                             cot_op_input(to, COT_F32, read_shape("3"), "z")};
    cot_graph_set_remat(to, true);
    cot_graph_set_remat(to, false);
    cot_value y;
    CHECK_OK(context, coti_graph_inline(to, copy, in, &y));
    const coti_node *tanh = coti_node_at(to, coti_node_of(y)->input[1]);
    assert_int_equal(tanh->region, 3);
    assert_int_equal(coti_node_at(to, tanh->input[0])->region, 2);
    assert_int_equal(to->n_regions, 3);
    cot_graph_set_remat(to, true);
    const cot_value swapped[2] = {in[1], in[0]};
    CHECK_OK(context, coti_graph_inline(to, copy, swapped, &y));
    assert_int_equal(coti_node_of(y)->region, 4);
    CHECK_OK(context, coti_graph_verify(to));
    cot_graph_destroy(to);
    cot_graph_destroy(copy);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void broken_marks_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *mark, *message;
    } bad[] = {{"remat", "expected an integer"},
               {"remat 0", "region 0 is not from 1 to"},
               {"remat -1", "region -1 is not from 1 to"},
               {"remat 1073741825", "region 1073741825 is not from 1 to 1073741824"},
               {"remat 1 remat 2", "expected a node"},
               {"remote 1", "expected a node"}};
    cot_context *context = cot_context_create(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "graph @g(%%x: f32[2]) { %%0 = exp %%x : f32[2] %s return y=%%0 }", bad[i].mark);
        assert_null(cot_graph_parse(context, text, strlen(text)));
        CHECK_ERROR(context, COT_E_PARSE, bad[i].message);
    }
    cot_context_destroy(context);
}

/* ---- barriers ---- */

static void nothing_looks_through_a_barrier(void **state) {
    (void)state;
    static cot_status (*const passes[])(const cot_graph *, cot_graph **, bool *) = {
        coti_pass_simplify, coti_pass_fold, coti_pass_cse, coti_pass_dce, coti_pass_expand};
    static const char text[] = "graph @g(%x: f32[3]) {\n"
                               "  %0 = barrier %x {id=1} : f32[3]\n"
                               "  %1 = barrier %x {id=2} : f32[3]\n"
                               "  %2 = barrier %0 {id=1} : f32[3]\n"
                               "  %3 = const {data=[1, 2, 3]} : f32[3]\n"
                               "  %4 = barrier %3 {id=1} : f32[3]\n"
                               "  return a=%0, b=%1, c=%2, d=%4\n"
                               "}\n";
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = parse(context, text);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        cot_graph *result = NULL;
        bool changed = false;
        CHECK_OK(context, passes[i](graph, &result, &changed));
        check_text(result, text);
        assert_false(changed);
        cot_graph_destroy(result);
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- memory that runs out ---- */

static cot_status differentiate_small(cot_context *context, void *user) {
    (void)user;
    cot_graph *graph = cot_graph_parse(context, small_text, sizeof small_text - 1);
    cot_status status = cot_error_get(context).status;
    if (graph != NULL) {
        cot_value x = cot_graph_input_at(graph, 0);
        cot_value out;
        status = cot_grad(cot_graph_output_at(graph, 0), &x, 1, &out);
        status =
            status == COT_OK ? cot_hvp(cot_graph_output_at(graph, 0), &x, &x, 1, &out) : status;
    }
    cot_graph_destroy(graph);
    return status;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, differentiate_small, NULL));
}

/* ---- derivatives of derivatives ---- */

/* H v of the marked graph is the unmarked one's, but for the order of sums: what reaches x by way
 * of the copy is added to what reaches it by way of the original, a few roundings of 2^-53. */
static void second_order_is_the_same(void **state) {
    (void)state;
    double result[2][6];
    for (int marked = 0; marked < 2; marked++) {
        cot_context *context = cot_context_create(NULL);
        char text[sizeof small_text];
        memcpy(text, small_text, sizeof text);
        for (char *at = text; marked == 0 && (at = strstr(at, " remat 1")) != NULL;) {
            memset(at, ' ', strlen(" remat 1"));
        }
        cot_graph *graph = parse(context, text);
        cot_value x = cot_graph_input_at(graph, 0);
        cot_value hv;
        CHECK_OK(context, cot_hvp(cot_graph_output_at(graph, 0), &x, &x, 1, &hv));
        CHECK_OK(context, cot_graph_output(hv, "hv"));
        const double xs[6] = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6};
        const double ws[3] = {1, 2, 3};
        double y = 0;
        run_f64(graph, 2, (const double *const[]){xs, ws}, (double *const[]){&y, result[marked]});
        cot_graph_destroy(graph);
        cot_context_destroy(context);
    }
    for (int i = 0; i < 6; i++) {
        assert_true(fabs(result[0][i] - result[1][i]) <= 8 * 0x1p-53 * fabs(result[0][i]));
        assert_true(result[0][i] != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_evaluator_gives_the_same_bits),
        cmocka_unit_test(kernels_give_the_same_bits_in_less_memory),
        cmocka_unit_test(what_is_inside_is_made_again),
        cmocka_unit_test(what_costs_nothing_is_not_copied),
        cmocka_unit_test(ten_thousand_layers_in_regions),
        cmocka_unit_test(marks_go_with_their_nodes),
        cmocka_unit_test(broken_marks_are_refused),
        cmocka_unit_test(nothing_looks_through_a_barrier),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(second_order_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
