/*
 * The gradient check itself: it must pass what is right, fail what is wrong, say where, and not be
 * fooled by kinks. cot_op_stop_gradient serves as a wrong gradient: its slope is 1, its rule says
 * 0.
 */
#include "alloc_fail.h"
#include "gradcheck_fixture.h"

#include <math.h>

/* A network with every kind of leaf: batched f32 input, labels, states, a mask. */
static cot_status build_network(cot_graph *graph, cot_variable *w, cot_variable *b) {
    cot_value x = cot_op_input(graph, COT_F32, read_shape("N,3"), "x");
    cot_value label = cot_op_input(graph, COT_I32, read_shape("N"), "label");
    cot_value mask = cot_op_input(graph, COT_BOOL, read_shape("N,1"), "mask");
    cot_value h = add(cot_op_matmul(x, cot_op_state(graph, w)), cot_op_state(graph, b));
    h = cot_op_select(mask, cot_op_unary(COT_OP_TANH, h), h);
    cot_value target = cot_op_one_hot(label, 4, COT_F32);
    cot_value loss = cot_op_softmax_cross_entropy(target, h);
    COTI_TRY(cot_graph_output(cot_op_mean(loss, &(int32_t){0}, 1, false), "loss"));
    COTI_TRY(cot_graph_output(cot_op_argmax(h, -1), "class"));
    return cot_graph_output(cot_op_softmax(h), "p");
}

static void test_network_passes(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F32, read_shape("3,4"), "w");
    cot_variable *b = cot_variable_create(f->context, COT_F32, read_shape("4"), "b");
    CHECK_OK(f->context, build_network(f->graph, w, b));
    size_t before = f->graph->node.count;
    assert_true(check(f));
    assert_int_equal(f->graph->node.count, before);
    /* x 9 + w 12 + b 4 = 25 elements, loss and p of 1 + 12: the whole Jacobian, and directions */
    assert_int_equal(f->report.n_compared, 25 * 13 + 3 * (1 + 13 + 1));
    assert_int_equal(f->report.n_points, 1);
    assert_true(f->report.error <= 1e-6 && f->report.error > 0);
    expect_text(f->report.message, "370 derivatives, largest error ");
    assert_string_equal(f->report.op, "");
    const float zero[12] = {0};
    float values[12];
    CHECK_OK(f->context, cot_variable_get(w, values, sizeof values));
    assert_memory_equal(values, zero, sizeof values); /* random states stay out of the variables */
    cot_variable_release(w);
    cot_variable_release(b);
}

/* y = x * stop(x): 2x in truth, x by the rule. */
static void test_wrong_gradient_is_found(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "5", "weights");
    cot_value h = cot_op_unary(COT_OP_TANH, x);
    cot_graph_set_layer(f->graph, "dense_7");
    cot_value y = mul(h, cot_op_stop_gradient(h));
    CHECK_OK(f->context, cot_graph_output(y, "out"));
    assert_false(check(f));
    const cot_gradcheck_report *r = &f->report;
    assert_string_equal(r->input, "weights");
    assert_string_equal(r->output, "out");
    assert_true(r->element >= 0 && r->element < 5);
    assert_int_equal(r->element, r->output_element);
    assert_true(fabs(r->numeric - 2 * r->analytic) <= 1e-6 * fabs(r->numeric));
    assert_true(fabs(r->error - 0.5) <= 1e-6);
    assert_string_equal(r->op, "stop_gradient");
    assert_string_equal(r->layer, "dense_7");
    expect_text(r->message, "d output \"out\"[");
    expect_text(r->message, "] / d input \"weights\"[");
    expect_text(r->message, "suspect: stop_gradient \"dense_7\"");
}

/* A relative error of 1e-4 in one element of twenty: found at the default, let pass at 1e-3. */
static void test_small_error_is_found(void **state) {
    fixture *f = *state;
    double spoilt[20] = {0};
    spoilt[13] = 1e-4;
    cot_value x = input(f, COT_F64, "20", "x");
    cot_value spoil = cot_op_constant_array(f->graph, COT_F64, read_shape("20"), spoilt);
    cot_value y = add(x, mul(cot_op_stop_gradient(x), spoil));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    assert_false(check(f));
    assert_int_equal(f->report.element, 13);
    assert_true(fabs(f->report.error - 1e-4) < 1e-6);
    f->options.tolerance = 1e-3;
    assert_true(check(f));
}

/* Of a scalar output too, whose gradient is not compared output by output: too many inputs. */
static void test_wrong_gradient_of_a_large_input(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "40,50", "x");
    cot_value y = cot_op_reduce(COT_OP_SUM, mul(x, x), (const int32_t[]){0, 1}, 2, false);
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    assert_true(check(f));
    assert_int_equal(f->report.n_compared, 3 * 3 + 8);
    cot_value z = cot_op_reduce(COT_OP_SUM, mul(x, cot_op_stop_gradient(x)),
                                (const int32_t[]){0, 1}, 2, false);
    CHECK_OK(f->context, cot_graph_output(z, "z"));
    assert_false(check(f));
    assert_string_equal(f->report.op, "stop_gradient");
}

/* Two stopped paths that cancel in value but not in slope: each alone is caught by the culprit's
 * search, the first in order is named. */
static void test_first_culprit_is_named(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "3", "x");
    cot_graph_set_layer(f->graph, "one");
    cot_value a = cot_op_stop_gradient(cot_op_unary(COT_OP_EXP, x));
    cot_graph_set_layer(f->graph, "two");
    cot_value b = cot_op_stop_gradient(cot_op_unary(COT_OP_TANH, x));
    CHECK_OK(f->context, cot_graph_output(mul(add(a, b), x), "y"));
    assert_false(check(f));
    assert_string_equal(f->report.layer, "one");
}

/* A slope that is lost through integers: no operation is at fault alone. */
static void test_no_culprit(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "3", "x");
    cot_value steps = cot_op_cast(cot_op_cast(scaled(x, 1e7), COT_I64), COT_F64);
    CHECK_OK(f->context, cot_graph_output(add(scaled(steps, 1e-7), x), "y"));
    f->options.tolerance = 1e-3;
    assert_false(check(f));
    assert_string_equal(f->report.op, "");
    assert_string_equal(f->report.layer, "");
}

/* ---- kinks ---- */

/* States that lie at relu's kink: that point is left, another decides. */
static void test_point_at_a_kink_is_left(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F64, read_shape("4"), "w");
    cot_value y = cot_op_unary(COT_OP_RELU, cot_op_state(f->graph, w));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    f->options.keep_states = COT_ON;
    assert_true(check(f));
    assert_int_equal(f->report.n_points, 2);
    f->options.n_points = 1;
    assert_false(check(f));
    expect_text(f->report.message, "a kink near each of 1 point");
    assert_string_equal(f->report.op, "");
    cot_variable_release(w);
}

/* At the variables' own values, where those are fine: d(w^2) = 2 w. */
static void test_states_are_kept(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F32, read_shape("2"), "w");
    const float values[] = {3.0F, 3.0F};
    CHECK_OK(f->context, cot_variable_set(w, values, sizeof values));
    cot_value s = cot_op_state(f->graph, w);
    CHECK_OK(f->context, cot_graph_output(mul(s, cot_op_stop_gradient(s)), "y"));
    f->options.keep_states = COT_ON;
    assert_false(check(f));
    assert_true(f->report.analytic == 3.0);
    assert_true(fabs(f->report.numeric - 6.0) < 1e-6);
    expect_text(f->report.message, "d state \"w\"[");
    cot_variable_release(w);
}

/* Hundreds of kinks on every side: steps small enough are found. */
static void test_among_many_kinks(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "N,16", "x");
    cot_value w = input(f, COT_F64, "16,64", "w");
    cot_value h = cot_op_unary(COT_OP_RELU, cot_op_matmul(x, w));
    cot_value y = cot_op_reduce(COT_OP_SUM, mul(h, h), &(int32_t){1}, 1, false);
    CHECK_OK(f->context, cot_graph_output(cot_op_unary(COT_OP_SQRT, y), "y"));
    CHECK_OK(f->context, cot_graph_output(h, "h"));
    f->options.rows = 5;
    assert_true(check(f));
}

/* ---- where the function is defined ---- */

static void test_positive_domain_is_found(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "9", "x");
    CHECK_OK(f->context, cot_graph_output(cot_op_unary(COT_OP_LOG, x), "y"));
    assert_true(check(f));
    assert_true(f->report.n_points >= 2);
}

static void test_nowhere_finite(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "3", "x");
    cot_value negative = cot_op_binary(COT_OP_SUB, cot_op_unary(COT_OP_NEG, mul(x, x)),
                                       cot_op_constant(f->graph, COT_F64, 1));
    CHECK_OK(f->context, cot_graph_output(cot_op_unary(COT_OP_LOG, negative), "y"));
    assert_false(check(f));
    assert_int_equal(f->report.n_points, 8);
    expect_text(f->report.message, "not finite at 8 points");
}

static void test_empty_and_extreme_shapes(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "N,0", "x");
    cot_value s = input(f, COT_F64, "-", "s");
    CHECK_OK(f->context, cot_graph_output(cot_op_unary(COT_OP_EXP, x), "nothing"));
    CHECK_OK(f->context, cot_graph_output(cot_op_unary(COT_OP_EXP, s), "one"));
    CHECK_OK(f->context, cot_graph_output(s, "itself"));
    assert_true(check(f));
}

/* Repeatable by the seed; another seed is another point. */
static void test_seed_decides(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "6", "x");
    CHECK_OK(f->context, cot_graph_output(cot_op_unary(COT_OP_EXP, x), "y"));
    assert_true(check(f));
    cot_gradcheck_report first = f->report;
    assert_true(check(f));
    assert_memory_equal(&first, &f->report, sizeof first);
    f->options.seed = 1;
    assert_true(check(f));
    assert_true(first.numeric != f->report.numeric);
}

/* ---- options and texts ---- */

typedef struct page {
    char text[1024];
    size_t n;
    bool full;
} page;

static bool write_page(const char *text, size_t bytes, void *user) {
    page *p = user;
    if (p->full || p->n + bytes >= sizeof p->text) {
        return false;
    }
    memcpy(p->text + p->n, text, bytes);
    p->n += bytes;
    return true;
}

static void test_lines(void **state) {
    fixture *f = *state;
    cot_variable *w = cot_variable_create(f->context, COT_F64, read_shape("2"), "w");
    cot_value x = input(f, COT_F64, "N,2", "x");
    cot_value y = mul(x, cot_op_state(f->graph, w));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    page p = {{0}, 0, false};
    f->options.write = write_page;
    f->options.user = &p;
    assert_true(check(f));
    expect_text(p.text, "input \"x\" f64[3,2]: 36 derivatives by element, largest error ");
    expect_text(p.text, "\nstate \"w\" f64[2]: 12 derivatives by element, largest error ");
    assert_true(p.text[p.n - 1] == '\n');
    p.full = true;
    cot_gradcheck_report before = f->report;
    assert_int_equal(cot_gradcheck(f->graph, &f->options, &f->report), COT_E_IO);
    assert_memory_equal(&before, &f->report, sizeof before);
    CHECK_ERROR(f->context, COT_E_IO, "stopped");
    cot_variable_release(w);
}

static void test_misuse(void **state) {
    fixture *f = *state;
    cot_gradcheck_report *r = &f->report;
    assert_int_equal(cot_gradcheck(NULL, NULL, r), COT_E_ARG);
    assert_int_equal(cot_gradcheck(f->graph, NULL, NULL), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "report_out");
    assert_int_equal(cot_gradcheck(f->graph, NULL, r), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "nothing to check");
    cot_value i = input(f, COT_I32, "3", "i");
    cot_value x = input(f, COT_F32, "3", "x");
    CHECK_OK(f->context, cot_graph_output(cot_op_cast(i, COT_F32), "y"));
    CHECK_OK(f->context, cot_graph_output(cot_op_cast(x, COT_I32), "z"));
    assert_int_equal(cot_gradcheck(f->graph, NULL, r), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "graph test depends on a float input");
    CHECK_OK(f->context, cot_graph_output(x, "x"));
    CHECK_OK(f->context, cot_gradcheck(f->graph, NULL, r));
    f->options.struct_size = 0;
    assert_int_equal(cot_gradcheck(f->graph, &f->options, r), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "struct_size is 0");
    f->options.struct_size = sizeof(size_t) + sizeof(int64_t); /* an older caller's */
    f->options.tolerance = -1;
    CHECK_OK(f->context, cot_gradcheck(f->graph, &f->options, r));
    f->options.struct_size = sizeof f->options;
    assert_int_equal(cot_gradcheck(f->graph, &f->options, r), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "tolerance");
    f->options.tolerance = 0;
    f->options.rows = -1;
    assert_int_equal(cot_gradcheck(f->graph, &f->options, r), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "negative");
    f->options.rows = (int64_t)1 << 60;
    input(f, COT_F32, "N,7", "rows");
    CHECK_OK(f->context, cot_gradcheck(f->graph, &f->options, r)); /* nothing has rows */
    cot_value wide = input(f, COT_F32, "N,8", "wide");
    CHECK_OK(f->context, cot_graph_output(wide, "wide"));
    assert_int_equal(cot_gradcheck(f->graph, &f->options, r), COT_E_SHAPE);
    CHECK_ERROR(f->context, COT_E_SHAPE, "\"wide\" is too large");
}

/* ---- memory ---- */

static cot_status check_network(cot_context *context, void *user) {
    (void)user;
    cot_status status = COT_E_NOMEM;
    cot_variable *w = cot_variable_create(context, COT_F32, read_shape("3,4"), "w");
    cot_variable *b =
        w == NULL ? NULL : cot_variable_create(context, COT_F32, read_shape("4"), "b");
    cot_graph *graph = b == NULL ? NULL : cot_graph_create(context, "oom");
    if (graph != NULL) {
        status = build_network(graph, w, b);
        cot_value s = cot_op_state(graph, w);
        if (status == COT_OK) {
            status = cot_graph_output(mul(s, cot_op_stop_gradient(s)), "wrong");
        }
        status = status == COT_E_ARG ? cot_error_get(context).status : status;
    }
    cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
    options.max_elements = 1;
    cot_gradcheck_report report = {0};
    if (status == COT_OK) {
        status = cot_gradcheck(graph, &options, &report);
        assert_false(report.passed);
    }
    cot_graph_destroy(graph);
    cot_variable_release(b);
    cot_variable_release(w);
    return status;
}

/* Every 97th call, as a check makes tens of thousands. */
static void test_out_of_memory(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 97, NULL, check_network, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_network_passes),
        CHECK_TEST(test_wrong_gradient_is_found),
        CHECK_TEST(test_small_error_is_found),
        CHECK_TEST(test_wrong_gradient_of_a_large_input),
        CHECK_TEST(test_first_culprit_is_named),
        CHECK_TEST(test_no_culprit),
        CHECK_TEST(test_point_at_a_kink_is_left),
        CHECK_TEST(test_states_are_kept),
        CHECK_TEST(test_among_many_kinks),
        CHECK_TEST(test_positive_domain_is_found),
        CHECK_TEST(test_nowhere_finite),
        CHECK_TEST(test_empty_and_extreme_shapes),
        CHECK_TEST(test_seed_decides),
        CHECK_TEST(test_lines),
        CHECK_TEST(test_misuse),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("gradcheck", tests, NULL, NULL);
}
