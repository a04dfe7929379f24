/*
 * What the gradient check does on request and after a failure: the smallest part that fails, second
 * order, the graph's own dtypes, whole Jacobians, points that the caller gives.
 */
#include "gradcheck_fixture.h"

#include "alloc_fail.h"
#include "autodiff/gradcheck.h"

#include <math.h>

/* ---- the smallest part that fails ---- */

/* Parse the part, as a user would, and check it alone. */
static bool part_passes(fixture *f, const char *text) {
    cot_graph *graph = cot_graph_parse(f->context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s\n%s", cot_error_message(f->context), text);
    }
    cot_gradcheck_report report = {0};
    CHECK_OK(f->context, cot_gradcheck(graph, NULL, &report));
    cot_graph_destroy(graph);
    return report.passed;
}

static size_t lines_with(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

/* A wrong operation amid others: it alone, with the values of its operand. */
static void test_part_of_one_operation(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "2", "x");
    cot_value h = cot_op_unary(COT_OP_TANH, scaled(x, 3));
    cot_graph_set_layer(f->graph, "dense_7");
    cot_value y = add(cot_op_unary(COT_OP_EXP, cot_op_stop_gradient(h)), x);
    CHECK_OK(f->context, cot_graph_output(y, "out"));
    assert_false(check(f));
    const char *part = f->report.part;
    expect_text(part, "# in0 = [");
    expect_text(part, "stop_gradient %in0 : f32[2]");
    expect_text(part, "return y=");
    assert_int_equal(lines_with(part, " : f32[2]"), 1); /* no other node */
    assert_false(part_passes(f, part));
}

/* A slope that is lost through integers: the casts are wrong together, and x -> 1e7 x is no part.
 */
static void test_part_of_several(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "3", "x");
    cot_value steps = cot_op_cast(cot_op_cast(scaled(x, 1e7), COT_I64), COT_F64);
    CHECK_OK(f->context, cot_graph_output(add(scaled(steps, 1e-7), x), "y"));
    f->options.tolerance = 1e-3;
    assert_false(check(f));
    assert_string_equal(f->report.op, "");
    assert_int_equal(lines_with(f->report.part, " = cast "), 2);
    assert_int_equal(lines_with(f->report.part, " = mul "), 1);
    assert_int_equal(lines_with(f->report.part, " = add "), 0);
}

static bool append(const char *text, size_t bytes, void *user) {
    char *page = user;
    assert_true(strlen(page) + bytes < 4096);
    strncat(page, text, bytes);
    return true;
}

/* The whole text goes to the caller. */
static void test_part_is_written(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "3", "x");
    CHECK_OK(f->context, cot_graph_output(cot_op_stop_gradient(x), "y"));
    char page[4096] = "";
    f->options.write = append;
    f->options.user = page;
    assert_false(check(f));
    expect_text(page, "the smallest part that fails:\n# in0 = [");
    expect_text(page, f->report.part);
}

/* ---- second order, other dtypes, data ---- */

static void test_second_order(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "N,3", "x");
    cot_value w = input(f, COT_F32, "3,2", "w");
    cot_value y = cot_op_unary(COT_OP_TANH, cot_op_matmul(x, w));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    assert_true(check(f));
    int64_t first = f->report.n_compared;
    f->options.second = COT_ON;
    assert_true(check(f));
    /* gradients of 9 + 6 elements, by 9 + 6 inputs and 6 cotangents, and along directions */
    assert_int_equal(f->report.n_compared, first + 15 * 21 + 3 * (1 + 15 + 1));
    expect_text(f->report.message, " of second order, largest error ");
    assert_int_equal(f->report.order, 1);
}

/* Right in first order, its gradient a function that is not. */
static void test_wrong_second_order(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "3", "x");
    /* x^2 + (s - x)^2 with s = stop(x): the value x^2, the first derivative 2x, the second 4 */
    cot_value d = cot_op_binary(COT_OP_SUB, cot_op_stop_gradient(x), x);
    CHECK_OK(f->context, cot_graph_output(add(mul(x, x), mul(d, d)), "y"));
    assert_true(check(f));
    f->options.second = COT_ON;
    f->options.second_tolerance = 1e-4;
    assert_false(check(f));
    assert_int_equal(f->report.order, 2);
    assert_string_equal(f->report.output, "gradient by x");
    assert_string_equal(f->report.input, "x");
    assert_true(fabs(f->report.analytic - 2 * f->report.numeric) <=
                1e-4 * fabs(f->report.analytic));
    assert_string_equal(f->report.op, "stop_gradient");
    assert_false(part_passes(f, f->report.part));
}

/* In f32 as well as in f64, in both orders. */
static void test_own_dtypes(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "N,3", "x");
    cot_value y = cot_op_unary(COT_OP_SIGMOID, scaled(x, 4));
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    f->options.f32 = COT_ON;
    f->options.second = COT_ON;
    assert_true(check(f));
    assert_true(f->report.n_compared > 9);
}

static void test_whole_jacobian(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "100", "x");
    CHECK_OK(f->context, cot_graph_output(mul(x, cot_op_unary(COT_OP_EXP, x)), "y"));
    f->options.jacobian = COT_ON;
    f->options.n_directions = 1;
    assert_true(check(f));
    assert_int_equal(f->report.n_compared, 100 * 100 + (1 + 100 + 1));
    f->options.jacobian = COT_OFF;
    assert_true(check(f));
    assert_int_equal(f->report.n_compared, 1 + 100 + 1);
}

static void test_whole_jacobian_too_large(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F64, "5000", "x");
    CHECK_OK(f->context, cot_graph_output(mul(x, x), "y"));
    f->options.jacobian = COT_ON;
    assert_int_equal(cot_gradcheck(f->graph, &f->options, &f->report), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "5000 x 5000");
}

/* Data decides the point: x stop(x) is wrong by x where the label is 7, and nowhere else. */
static void test_given_data(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "N", "x");
    cot_value label = input(f, COT_I32, "N", "label");
    cot_value seven = cot_op_constant(f->graph, COT_I32, 7);
    cot_value hit = cot_op_cast(cot_op_binary(COT_OP_EQ, label, seven), COT_F32);
    CHECK_OK(f->context, cot_graph_output(mul(mul(x, cot_op_stop_gradient(x)), hit), "y"));
    const float xs[] = {100, 1000, 3};
    const int32_t labels[] = {0, 7, 0};
    const cot_gradcheck_data data[] = {{"x", xs}, {"label", labels}};
    f->options.data = data;
    f->options.n_data = 2;
    assert_false(check(f));
    assert_int_equal(f->report.element, 1);
    assert_true(fabs(f->report.analytic - 1000) <= 1e-9);
    assert_true(fabs(f->report.numeric - 2000) <= 1e-3);
    f->options.n_data = -1;
    assert_int_equal(cot_gradcheck(f->graph, &f->options, &f->report), COT_E_ARG);
    CHECK_ERROR(f->context, COT_E_ARG, "n_data");
}

/* ---- what rounding explains ---- */

static coti_check *check_of(fixture *f, cot_value y) {
    coti_check *made = NULL;
    CHECK_OK(f->context, cot_graph_output(y, "y"));
    CHECK_OK(f->context, coti_check_create(y.graph, 1, &made));
    return made;
}

/* How far roundings move y(x). */
static double spread_of(coti_check *made, double x) {
    const coti_rounding rounding = {.n_samples = 16, .seed = 5};
    double exact = 0;
    double spread = 0;
    bool overflows = false;
    made->x[0] = x;
    CHECK_OK(made->context, coti_check_rounding(made, &rounding, &exact, &spread, &overflows));
    assert_false(overflows);
    return spread;
}

/* Exact operations move nothing, and neither do ties; a sum that cancels moves by its terms' ulp.
 */
static void test_spread(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "-", "x");
    cot_value third = cot_op_binary(COT_OP_DIV, x, cot_op_constant(f->graph, COT_F32, 3));
    cot_value larger = cot_op_binary(COT_OP_MAX, third, cot_op_unary(COT_OP_RELU, third));
    cot_value exactly =
        cot_op_binary(COT_OP_SUB, scaled(x, 4), add(third, cot_op_unary(COT_OP_NEG, larger)));
    coti_check *exact = check_of(f, exactly);
    assert_true(spread_of(exact, (double)0.3f) == 0);
    coti_check_destroy(exact);
    cot_graph *other = cot_graph_create(f->context, "other");
    x = cot_op_input(other, COT_F32, read_shape("-"), "x");
    cot_value big = cot_op_constant(other, COT_F32, 8192);
    coti_check *cancels = check_of(f, cot_op_binary(COT_OP_SUB, add(x, big), big));
    double ulp = ldexp(1, 13 - 23);
    double spread = spread_of(cancels, (double)0.3f);
    assert_true(spread > ulp / 8 && spread <= ulp);
    coti_check_destroy(cancels);
    cot_graph_destroy(other);
}

/* Beyond f32 on the way. */
static void test_overflow_is_seen(void **state) {
    fixture *f = *state;
    cot_value x = input(f, COT_F32, "-", "x");
    coti_check *made = check_of(f, scaled(scaled(x, 1e30), 1e-30));
    const coti_rounding rounding = {.n_samples = 1};
    double exact = 0;
    double spread = 0;
    bool overflows = false;
    made->x[0] = 1e10;
    CHECK_OK(f->context, coti_check_rounding(made, &rounding, &exact, &spread, &overflows));
    assert_true(overflows);
    coti_check_destroy(made);
}

/* A gradient of x^2 in f32, held to that of c x^2 in f64: found where c is off by more than f32's
 * last bits. */
static void test_gradient_that_rounding_does_not_explain(void **state) {
    fixture *f = *state;
    const double factors[] = {1, 1 + 1e-9, 1 + 1e-5, -1};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        cot_graph *graph[2];
        coti_check *made[2];
        for (int k = 0; k < 2; k++) {
            graph[k] = cot_graph_create(f->context, "square");
            cot_value x = cot_op_input(graph[k], k == 0 ? COT_F32 : COT_F64, read_shape("5"), "x");
            made[k] = check_of(f, scaled(mul(x, x), k == 0 ? 1 : factors[i]));
        }
        for (int64_t k = 0; k < 5; k++) {
            made[0]->x[k] = 0.75 + (double)k;
        }
        cot_graph *right = made[0]->reverse;
        made[0]->reverse = made[1]->reverse;
        coti_check_result result = {0};
        CHECK_OK(f->context, coti_check_probe_native(made[0], 3, &result));
        assert_int_equal(result.failed, i >= 2);
        assert_int_equal(result.n_compared, 5);
        made[0]->reverse = right;
        for (int k = 0; k < 2; k++) {
            coti_check_destroy(made[k]);
            cot_graph_destroy(graph[k]);
        }
    }
}

/* ---- memory ---- */

/* Second order fails, of which no operation is guilty alone: every part of the check has its turn.
 */
static cot_status check_everything(cot_context *context, void *user) {
    (void)user;
    cot_graph *graph = cot_graph_create(context, "oom");
    if (graph == NULL) {
        return COT_E_NOMEM;
    }
    cot_value x = cot_op_input(graph, COT_F32, read_shape("2"), "x");
    cot_value d = cot_op_binary(COT_OP_SUB, cot_op_stop_gradient(x), x);
    cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
    options.f32 = options.second = COT_ON;
    options.max_elements = 1;
    options.n_directions = 1;
    cot_gradcheck_report report = {0};
    cot_status status = cot_graph_output(add(mul(x, x), mul(d, d)), "y");
    if (status == COT_OK) {
        status = cot_gradcheck(graph, &options, &report);
        assert_false(report.passed);
        assert_true(status != COT_OK || report.part[0] != '\0');
    }
    status = status == COT_E_ARG ? cot_error_get(context).status : status;
    cot_graph_destroy(graph);
    return status;
}

static void test_out_of_memory(void **state) {
    (void)state;
    char buffer[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(buffer, 13, NULL, check_everything, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_part_of_one_operation),
        CHECK_TEST(test_part_of_several),
        CHECK_TEST(test_part_is_written),
        CHECK_TEST(test_second_order),
        CHECK_TEST(test_wrong_second_order),
        CHECK_TEST(test_own_dtypes),
        CHECK_TEST(test_whole_jacobian),
        CHECK_TEST(test_whole_jacobian_too_large),
        CHECK_TEST(test_given_data),
        CHECK_TEST(test_spread),
        CHECK_TEST(test_overflow_is_seen),
        CHECK_TEST(test_gradient_that_rounding_does_not_explain),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("gradcheck_part", tests, NULL, NULL);
}
