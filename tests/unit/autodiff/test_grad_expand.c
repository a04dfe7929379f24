/*
 * The rule of the EXPAND rows (vjp_expand.c): gradients by hand at zeros, ties and empties, where a
 * quotient or a closed form would be wrong; and against the rules of composites that have one, with
 * operands that are equal, made of each other, or equal to a node inside the decomposition.
 */
#include "shapes.h"

#include "alloc_fail.h"
#include "autodiff/vjp.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum { MOST = 16 };

typedef struct fixture {
    cot_context *context;
    cot_graph *graph;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->context = cot_context_create(NULL);
    f->graph = cot_graph_create(f->context, "test");
    *state = f;
    return f->graph == NULL;
}

static int teardown(void **state) {
    fixture *f = *state;
    cot_graph_destroy(f->graph);
    cot_context_destroy(f->context);
    free(f);
    return 0;
}

static cot_value input(fixture *f, const char *shape, const char *name) {
    return cot_op_input(f->graph, COT_F64, read_shape(shape), name);
}

static cot_value reduce(cot_op op, cot_value x, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_reduce(op, x, list, read_axes(axes, list), false);
}

static cot_value bin(cot_op op, cot_value a, cot_value b) {
    return cot_op_binary(op, a, b);
}

/* ---- by hand ---- */

/* The gradient of op over `axes` of x, whose shape is given, for the cotangent u. */
static void check_reduction(cot_op op, const char *shape, const char *axes, const double *x,
                            const double *u, const double *want, int n) {
    fixture f = {cot_context_create(NULL), NULL};
    f.graph = cot_graph_create(f.context, "test");
    cot_value in = input(&f, shape, "x");
    cot_value y = reduce(op, in, axes);
    cot_value g;
    CHECK_OK(f.context,
             cot_vjp(y, cot_op_input(f.graph, COT_F64, cot_value_shape(y), "u"), &in, 1, &g));
    CHECK_OK(f.context, coti_graph_verify(f.graph));
    CHECK_OK(f.context, cot_graph_output(g, "g"));
    double result[MOST];
    run_f64(f.graph, 2, (const double *[]){x, u}, (double *[]){result});
    for (int i = 0; i < n; i++) {
        if (!(result[i] == want[i])) {
            fail_msg("%s %s: [%d] is %.17g, expected %.17g", cot_op_name(op), shape, i, result[i],
                     want[i]);
        }
    }
    cot_graph_destroy(f.graph);
    cot_context_destroy(f.context);
}

/* Of one zero the gradient is the product of the others; of two there is none; 2 3 5 7 1: the
 * others' product, with an odd count on each level. */
static void test_products(void **state) {
    (void)state;
    check_reduction(COT_OP_PROD, "3,3", "1", (const double[]){2, 0, 3, 0, 4, 0, -1, 2, 5},
                    (const double[]){1, 1, 2}, (const double[]){0, 6, 0, 0, 0, 0, 20, -10, -4}, 9);
    check_reduction(COT_OP_PROD, "5", "0", (const double[]){2, 3, 5, 7, 1}, (const double[]){2},
                    (const double[]){210, 140, 84, 60, 420}, 5);
    check_reduction(COT_OP_PROD, "N,2,2", "1,2", (const double[]){1, 2, 3, 4, -1, 1, 2, 0},
                    (const double[]){1, 3}, (const double[]){24, 12, 8, 6, 0, 0, 0, -6}, 8);
    check_reduction(COT_OP_PROD, "2,2", "", (const double[]){1, 2, 3, 4},
                    (const double[]){5, 6, 7, 8}, (const double[]){5, 6, 7, 8}, 4);
    check_reduction(COT_OP_PROD, "1,3", "0", (const double[]){1, 2, 3}, (const double[]){5, 6, 7},
                    (const double[]){5, 6, 7}, 3);
}

/* Minima that tie share; a row with a NaN takes nothing. */
static void test_minima(void **state) {
    (void)state;
    check_reduction(
        COT_OP_REDUCE_MIN, "3,4", "1", (const double[]){-5, 1, -5, -5, 2, 3, 1, 9, 1, NAN, 1, 0},
        (const double[]){6, 7, 8}, (const double[]){2, 0, 2, 2, 0, 0, 7, 0, 0, 0, 0, 0}, 12);
    check_reduction(COT_OP_REDUCE_MIN, "N,2", "0", (const double[]){INFINITY, 1, INFINITY, -1},
                    (const double[]){2, 3}, (const double[]){1, 0, 1, 3}, 4);
}

/* An empty product is 1 whatever x: zeros, of x's shape, by a decomposition that has no operand. */
static void test_nothing_depends_on_nothing(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "2,0", "x");
    cot_value y = reduce(COT_OP_PROD, x, "1");
    cot_value g;
    CHECK_OK(f->context, cot_vjp(y, input(f, "2", "u"), &x, 1, &g));
    assert_int_equal(cot_value_shape(g).rank, 2);
    assert_int_equal(cot_value_shape(g).dim[1], 0);
}

/* A path through integers ends, though the row has a gradient for floats. */
static void test_integers_end_a_path(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value whole = cot_op_cast(x, COT_I32);
    cot_value least = cot_op_cast(reduce(COT_OP_REDUCE_MIN, whole, "0"), COT_F64);
    cot_value product = cot_op_cast(reduce(COT_OP_PROD, whole, "0"), COT_F64);
    cot_value y = bin(COT_OP_ADD, bin(COT_OP_MUL, least, product), reduce(COT_OP_SUM, x, "0"));
    cot_value g;
    CHECK_OK(f->context, cot_grad(y, &x, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    double result[3];
    run_f64(f->graph, 1, (const double *[]){(const double[]){4, 5, 6}}, (double *[]){result});
    assert_true(result[0] == 1 && result[1] == 1 && result[2] == 1);
}

/* The nodes carry the composite's layer, and nothing is added but what the gradient needs. */
static void test_what_is_brought_over(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value u = input(f, "-", "u");
    cot_graph_set_layer(f->graph, "forward");
    cot_value y = reduce(COT_OP_PROD, x, "0");
    cot_graph_set_layer(f->graph, "later");
    size_t before = f->graph->node.count;
    cot_value g;
    CHECK_OK(f->context, cot_vjp(y, u, &x, 1, &g));
    CHECK_OK(f->context, cot_graph_output(g, "g"));
    for (size_t id = before; id < f->graph->node.count; id++) {
        assert_string_equal(coti_node_at(f->graph, (uint32_t)id)->layer, "forward");
        assert_int_not_equal(coti_node_at(f->graph, (uint32_t)id)->op, COT_OP_INPUT);
    }
    cot_graph *kept = NULL;
    bool changed = true;
    CHECK_OK(f->context, coti_pass_dce(f->graph, &kept, &changed));
    assert_int_equal(kept->node.count, f->graph->node.count - 1); /* y itself */
    cot_graph_destroy(kept);
}

/* ---- against the rules ---- */

enum { ROWS = 2 };

/* Cotangents of the operands of a composite, by the expansion and by its rule: outputs by turns. */
static void output_both_ways(fixture *f, cot_value y, coti_vjp_fn rule, const bool *needs) {
    coti_node node = *coti_node_of(y);
    cot_value in[MOST], grad[2][MOST];
    for (int32_t i = 0; i < node.n_inputs; i++) {
        in[i] = (cot_value){y.graph, node.input[i]};
        grad[0][i] = grad[1][i] = coti_poison();
    }
    cot_value u = cot_op_input(f->graph, COT_F64, cot_value_shape(y), "u");
    coti_vjp call = {
        .graph = y.graph, .node = node, .input = in, .needs = needs, .output = y, .g = u};
    coti_vjp_expand(&call, grad[0]);
    rule(&call, grad[1]);
    CHECK_OK(f->context, cot_error_get(f->context).status);
    for (int32_t i = 0; i < 2 * node.n_inputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s%d", i % 2 == 0 ? "e" : "r", (int)i / 2);
        assert_true((grad[i % 2][i / 2].graph != NULL) == needs[i / 2]);
        if (needs[i / 2]) {
            CHECK_OK(f->context, cot_graph_output(grad[i % 2][i / 2], name));
        }
    }
}

/* Run the graph on numbers of all inputs; outputs 0 and 1, 2 and 3, ... must agree. */
static void check_agreement(fixture *f) {
    double in[MOST][64], out[MOST][64];
    const double *inputs[MOST];
    double *outputs[MOST];
    for (int i = 0; i < MOST; i++) {
        for (int k = 0; k < 64; k++) {
            in[i][k] = sin(1 + 13 * i + 7 * k) * (k % 5 == 0 ? 3 : 1);
            out[i][k] = 0;
        }
        inputs[i] = in[i];
        outputs[i] = out[i];
    }
    CHECK_OK(f->context, coti_graph_verify(f->graph));
    run_f64(f->graph, ROWS, inputs, outputs);
    for (size_t i = 0; i < f->graph->output.count; i += 2) {
        for (int k = 0; k < 64; k++) {
            /* sums of at most 30 terms of the size of 10 */
            if (!(fabs(out[i][k] - out[i + 1][k]) <= 1e-13 * fmax(1, fabs(out[i + 1][k])))) {
                fail_msg("%s[%d] is %.17g, by the rule %.17g", f->graph->output.data[i].name, k,
                         out[i][k], out[i + 1][k]);
            }
        }
    }
}

/* Cross-entropy of `target` and x [N,3], both ways. */
static void check_entropy(fixture *f, cot_value target, cot_value x, bool first, bool second) {
    cot_value y = cot_op_softmax_cross_entropy(target, x);
    output_both_ways(f, y, coti_vjp_SOFTMAX_XENT, (const bool[]){first, second});
    check_agreement(f);
}

/* Each operand has its own part, though they are one value. */
static void test_repeated_operands(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "N,3", "x");
    check_entropy(f, x, x, true, true);
}

static void test_one_of_two_operands(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "N,3", "x");
    check_entropy(f, x, x, false, true);
}

static void test_operands_made_of_each_other(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "N,3", "x");
    check_entropy(f, cot_op_softmax(bin(COT_OP_MUL, x, x)), x, true, true);
}

/* A target that is exp(x - max x), which the decomposition computes of the logits: what is wanted
 * is what hangs on the operand, not on the node inside that equals it. */
static void test_an_operand_that_is_also_inside(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "N,3", "x");
    cot_value max = cot_op_reduce(COT_OP_REDUCE_MAX, x, (const int32_t[]){1}, 1, false);
    cot_value spread = cot_op_broadcast(max, cot_value_shape(x), (const int32_t[]){0}, 1);
    cot_value e = cot_op_unary(COT_OP_EXP, bin(COT_OP_SUB, x, spread));
    check_entropy(f, e, x, true, false);
}

static void test_layer_norm(void **state) {
    fixture *f = *state;
    cot_value y =
        cot_op_layer_norm(input(f, "N,3,5", "x"), input(f, "5", "s"), input(f, "5", "o"), 0.1);
    output_both_ways(f, y, coti_vjp_LAYER_NORM, (const bool[]){true, true, true});
    check_agreement(f);
}

static void test_layer_norm_by_itself(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "5", "x");
    cot_value y = cot_op_layer_norm(x, x, x, 0.1);
    output_both_ways(f, y, coti_vjp_LAYER_NORM, (const bool[]){true, true, true});
    check_agreement(f);
}

static void test_rms_norm(void **state) {
    fixture *f = *state;
    cot_value y = cot_op_rms_norm(input(f, "2N,5", "x"), input(f, "5", "s"), 0.1);
    output_both_ways(f, y, coti_vjp_RMS_NORM, (const bool[]){true, true});
    check_agreement(f);
}

static void test_group_norm(void **state) {
    fixture *f = *state;
    cot_value y =
        cot_op_group_norm(input(f, "N,3,4", "x"), input(f, "4", "s"), input(f, "4", "o"), 2, 0.1);
    output_both_ways(f, y, coti_vjp_GROUP_NORM, (const bool[]){true, true, true});
    check_agreement(f);
}

static void test_batch_norm(void **state) {
    fixture *f = *state;
    cot_value y =
        cot_op_batch_norm(input(f, "N,5,3", "x"), input(f, "3", "s"), input(f, "3", "o"), 0.1);
    output_both_ways(f, y, coti_vjp_BATCH_NORM, (const bool[]){true, false, true});
    check_agreement(f);
}

static cot_value attention(cot_value q, cot_value k, cot_value v, bool causal) {
    return cot_op_attention(q, k, v, (cot_value){NULL, 0},
                            &(cot_attention_options){sizeof(cot_attention_options), 0, causal});
}

/* A composite in a composite: the softmax inside has a rule of its own. */
static void test_attention(void **state) {
    fixture *f = *state;
    cot_value y =
        attention(input(f, "N,3,4", "q"), input(f, "N,5,4", "k"), input(f, "N,5,2", "v"), true);
    output_both_ways(f, y, coti_vjp_ATTENTION, (const bool[]){true, true, true});
    check_agreement(f);
}

static void test_attention_to_itself(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "N,3,4", "x");
    output_both_ways(f, attention(x, x, x, false), coti_vjp_ATTENTION,
                     (const bool[]){true, true, true});
    check_agreement(f);
}

/* The mask is no float: nobody wants its cotangent, and it hides what depends on q and k. The first
 * query sees no key. */
static void test_attention_with_a_mask(void **state) {
    fixture *f = *state;
    const unsigned char seen[6] = {0, 0, 0, 1, 0, 1};
    cot_value mask = cot_op_constant_array(f->graph, COT_BOOL, read_shape("2,3"), seen);
    cot_value y = cot_op_attention(input(f, "N,2,4", "q"), input(f, "N,3,4", "k"),
                                   input(f, "N,3,2", "v"), mask, NULL);
    output_both_ways(f, y, coti_vjp_ATTENTION, (const bool[]){true, true, true, false});
    check_agreement(f);
}

/* ---- size and memory ---- */

/* 3,000 composites in a chain: each costs what its decomposition does. */
static void test_many_expansions(void **state) {
    fixture *f = *state;
    cot_value x = input(f, "3", "x");
    cot_value h = x;
    for (int i = 0; i < 3000; i++) {
        h = bin(COT_OP_SUB, h, reduce(i % 2 ? COT_OP_PROD : COT_OP_REDUCE_MIN, h, "0"));
    }
    cot_value g;
    clock_t start = clock();
    CHECK_OK(f->context, cot_grad(reduce(COT_OP_SUM, h, "0"), &x, 1, &g));
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2.0);
    assert_non_null(g.graph);
}

static cot_status differentiate(cot_context *context, void *user) {
    (void)user;
    fixture f = {context, cot_graph_create(context, "oom")};
    cot_status status = COT_E_NOMEM;
    if (f.graph != NULL) {
        cot_value x = input(&f, "2,3", "x");
        cot_value y =
            bin(COT_OP_ADD, reduce(COT_OP_PROD, x, "0,1"), reduce(COT_OP_REDUCE_MIN, x, "0,1"));
        cot_value g;
        status = cot_grad(y, &x, 1, &g);
        assert_int_equal(g.graph != NULL, status == COT_OK);
        status = status == COT_E_ARG ? cot_error_get(context).status : status;
    }
    cot_graph_destroy(f.graph);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 1, NULL, differentiate, NULL));
}

#define EXPAND_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_minima),
        EXPAND_TEST(test_nothing_depends_on_nothing),
        EXPAND_TEST(test_integers_end_a_path),
        EXPAND_TEST(test_what_is_brought_over),
        EXPAND_TEST(test_repeated_operands),
        EXPAND_TEST(test_one_of_two_operands),
        EXPAND_TEST(test_operands_made_of_each_other),
        EXPAND_TEST(test_an_operand_that_is_also_inside),
        EXPAND_TEST(test_layer_norm),
        EXPAND_TEST(test_layer_norm_by_itself),
        EXPAND_TEST(test_rms_norm),
        EXPAND_TEST(test_group_norm),
        EXPAND_TEST(test_batch_norm),
        EXPAND_TEST(test_attention),
        EXPAND_TEST(test_attention_to_itself),
        EXPAND_TEST(test_attention_with_a_mask),
        EXPAND_TEST(test_many_expansions),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("grad_expand", tests, NULL, NULL);
}
