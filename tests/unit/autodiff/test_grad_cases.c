/*
 * Every gradient against finite differences: the cases of grad_cases.def, in f64 and f32 graphs,
 * first derivatives and derivatives of derivatives. Prints the matrix of what was run: op by class,
 * dtype and order.
 *
 * test_grad_cases [ID]: the cases of one row of ops.def alone, as scripts/mutants wants them.
 */
#include "check.h"

#include "grad_case.h"

#include "cotangent/inspect.h"

#include <stdio.h>

/* Of the relative error, unless the row says why not. */
#define FIRST_ORDER 1e-7
#define SECOND_ORDER 1e-5

/* What has been run: cases of an op, class, dtype (f64, f32) and order. */
static int32_t n_run[COT_OP_COUNT][GRAD_N_CLASSES][2][2];

static cot_op only = COT_OP_COUNT; /* COT_OP_COUNT: all */

/* ---- running one ---- */

static double tolerance_of(const grad_case *c, int order) {
    double own = order == 1 ? c->limits.first : c->limits.second;
    return own > 0 ? own : order == 1 ? FIRST_ORDER : SECOND_ORDER;
}

/* Does it pass? Says what is wrong if not. */
static bool check_case(const grad_case *c, cot_dtype dtype, int order) {
    cot_context *context = cot_context_create(NULL);
    grad_graph g = grad_case_build(cot_graph_create(context, "case"), c, dtype, "");
    grad_case_check_class(&g, c);
    if (order == 2) {
        grad_case_add_gradients(&g);
    }
    CHECK_OK(context, coti_graph_verify(g.graph));
    cot_gradcheck_report report = {0};
    cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
    /* in f64 an f32 graph's rule is an f64 graph's: most of its elements have been checked there */
    options.max_elements = dtype == COT_F32 ? 16 : 256;
    options.tolerance = tolerance_of(c, order);
    options.f32 = dtype == COT_F32 ? COT_ON : COT_OFF;
    cot_status status = cot_gradcheck(g.graph, &options, &report);
    bool passed = status == COT_OK && report.passed && report.n_compared > 0;
    if (!passed) {
        print_error("%s %s, %s, order %d: %s of %s: %s%s\n", cot_op_name(c->op),
                    grad_class_names[c->class], cot_dtype_name(dtype), order, c->text, c->inputs,
                    report.message, cot_error_message(context));
    }
    n_run[c->op][c->class][dtype == COT_F32][order - 1]++;
    cot_graph_destroy(g.graph);
    cot_context_destroy(context);
    return passed;
}

static void check_all(cot_dtype dtype, int order) {
    int32_t n_failed = 0;
    for (int32_t i = 0; i < grad_n_cases; i++) {
        const grad_limits *limits = &grad_cases[i].limits;
        bool skipped = (order == 2 && limits->no_second) || (dtype == COT_F32 && limits->no_f32) ||
                       (dtype == COT_F64 && limits->no_f64);
        skipped = skipped || (only != COT_OP_COUNT && grad_cases[i].op != only);
        n_failed += !skipped && !check_case(&grad_cases[i], dtype, order);
    }
    assert_int_equal(n_failed, 0);
}

static void test_first_order_f64(void **state) {
    (void)state;
    check_all(COT_F64, 1);
}

static void test_first_order_f32(void **state) {
    (void)state;
    check_all(COT_F32, 1);
}

static void test_second_order_f64(void **state) {
    (void)state;
    check_all(COT_F64, 2);
}

static void test_second_order_f32(void **state) {
    (void)state;
    check_all(COT_F32, 2);
}

/* ---- the table ---- */

/* A limit without a reason, or a case of an operation without a gradient, is a mistake. */
static void test_rows_are_sound(void **state) {
    (void)state;
    static const grad_limits none = {0};
    for (int32_t i = 0; i < grad_n_cases; i++) {
        const grad_case *c = &grad_cases[i];
        assert_true(grad_is_wanted(c->op));
        bool limited = memcmp(&c->limits, &none, sizeof none) != 0;
        assert_true(limited == (c->reason != NULL && strlen(c->reason) > 10));
    }
    for (int32_t i = 0; i < grad_n_exempt; i++) {
        assert_true(grad_is_wanted(grad_exempt[i].op));
        assert_true(strlen(grad_exempt[i].reason) > 10);
    }
}

/* ---- the matrix ---- */

static const grad_case *exemption(cot_op op, grad_class class) {
    for (int32_t i = 0; i < grad_n_exempt; i++) {
        if (grad_exempt[i].op == op && grad_exempt[i].class == class) {
            return &grad_exempt[i];
        }
    }
    return NULL;
}

/* A row's reason for what was not run; NULL: there is none. */
static const char *row_reason(cot_op op, grad_class class) {
    for (int32_t i = 0; i < grad_n_cases; i++) {
        if (grad_cases[i].op == op && grad_cases[i].class == class &&
            grad_cases[i].reason != NULL) {
            return grad_cases[i].reason;
        }
    }
    return NULL;
}

/* One cell: how many cases ran in f64 first and second order, f32 first and second; true: it is
 * filled, or exempt with a reason. */
static bool print_cell(cot_op op, grad_class class) {
    const int32_t(*n)[2] = (const int32_t(*)[2])n_run[op][class];
    if (exemption(op, class) != NULL) {
        printf(" %9s", "-");
        return true;
    }
    printf("   %d%d %d%d", (int)n[0][0], (int)n[0][1], (int)n[1][0], (int)n[1][1]);
    bool all = n[0][0] > 0 && n[0][1] > 0 && n[1][0] > 0 && n[1][1] > 0;
    return all || row_reason(op, class) != NULL;
}

static void print_reasons(void) {
    for (int32_t i = 0; i < grad_n_exempt; i++) {
        const grad_case *c = &grad_exempt[i];
        printf("-  %s %s: %s\n", cot_op_name(c->op), grad_class_names[c->class], c->reason);
    }
    for (int32_t i = 0; i < grad_n_cases; i++) {
        const grad_case *c = &grad_cases[i];
        if (c->reason != NULL) {
            printf("!  %s %s: %s\n", cot_op_name(c->op), grad_class_names[c->class], c->reason);
        }
    }
}

/* After the others: prints what they ran, and fails where a cell stayed empty. */
static void test_every_cell_was_run(void **state) {
    (void)state;
    const char *hole = NULL;
    cot_op hole_op = COT_OP_COUNT;
    printf("cases run in f64 (first, second order) and f32 (first, second); - : cannot be\n%-16s",
           "");
    for (int class = 0; class < GRAD_CLASS_extra; class ++) {
        printf(" %9s", grad_class_names[class]);
    }
    printf("\n");
    for (int op = 0; op < COT_OP_COUNT; op++) {
        if (!grad_is_wanted((cot_op)op)) {
            continue;
        }
        printf("%-16s", cot_op_name((cot_op)op));
        for (int class = 0; class < GRAD_CLASS_extra; class ++) {
            if (!print_cell((cot_op)op, (grad_class) class)) {
                hole = grad_class_names[class];
                hole_op = (cot_op)op;
            }
        }
        printf("\n");
    }
    print_reasons();
    if (hole != NULL) {
        fail_msg("%s %s was not run in both dtypes and orders", cot_op_name(hole_op), hole);
    }
}

/* The op of an ID as it stands in ops.def, or COT_OP_COUNT. */
static cot_op find_id(const char *id) {
    static const char *const ids[COT_OP_COUNT] = {
#define COT_OP(id, name, n_inputs, kind, attr, gradient, flags) [COT_OP_##id] = #id,
#include <cotangent/ops.def>
#undef COT_OP
    };
    int32_t op = 0;
    while (op < COT_OP_COUNT && strcmp(ids[op], id) != 0) {
        op++;
    }
    return (cot_op)op;
}

int main(int argc, char **argv) {
    const struct CMUnitTest orders[] = {
        cmocka_unit_test(test_first_order_f64),
        cmocka_unit_test(test_first_order_f32),
        cmocka_unit_test(test_second_order_f64),
        cmocka_unit_test(test_second_order_f32),
    };
    const struct CMUnitTest whole[] = {
        cmocka_unit_test(test_rows_are_sound),
        cmocka_unit_test(test_every_cell_was_run),
    };
    only = argc > 1 ? find_id(argv[1]) : COT_OP_COUNT;
    if (argc > 1 && (only == COT_OP_COUNT || !grad_is_wanted(only))) {
        fprintf(stderr, "%s has no gradient cases\n", argv[1]);
        return 2;
    }
    int failed = cmocka_run_group_tests_name("grad_cases", orders, NULL, NULL);
    return argc > 1 ? failed
                    : failed + cmocka_run_group_tests_name("grad_matrix", whole, NULL, NULL);
}
