/*
 * Every op case on the reference evaluator, against the arithmetic of expect_*.c and against the
 * literal examples: each dtype, shape and attribute of tests/ops_cases.def, batches of 1, 3, 16
 * and 17 rows. One cmocka test an op, so that a failure names it.
 */
#include "check.h"
#include "graph/graph.h"
#include "graph_case.h"

static const int64_t batches[] = {1, 3, 16, 17};

static cot_context *context;

/* Build and evaluate one trial; operands from the trial's values, or given. */
static void check_trial(pool *p, const trial *t, const tensor *given, const tensor *want_given,
                        tolerance tol) {
    char text[512], why[256];
    graph_case g = make_graph_case(p, context, t, VIEW_NONE, given);
    tensor operand[MAX_OPERANDS], got, want, magnitude = {.v = NULL};
    for (int32_t i = 0; i < t->n; i++) {
        operand[i] = given != NULL    ? given[i]
                     : t->repeated[i] ? operand[0]
                                      : make_operand(p, t, i, &t->shape[i]);
    }
    want = want_given != NULL ? *want_given : expect_op(p, t, operand, &magnitude);
    if (g.result.graph == NULL || !eval_graph_case(p, &g, t->rows, &got)) {
        fail_msg("%s: %s", trial_text(text, t), cot_error_message(context));
    }
    const char *wrong = compare(why, &got, &want, &magnitude, tol);
    if (wrong != NULL) {
        fail_msg("%s: %s", trial_text(text, t), wrong);
    }
    cot_graph_destroy(g.graph);
    pool_empty(p);
}

static void check_case(const op_case *c, cot_dtype dtype) {
    pool p = {NULL};
    char where[64];
    snprintf(where, sizeof where, "ops_cases.def:%d", c->line);
    const char *cursor = c->shapes;
    trial t;
    while (next_trial(c, dtype, &cursor, &t)) {
        t.where = where;
        size_t n_batches = t.batched ? sizeof batches / sizeof batches[0] : 1;
        for (size_t b = 0; b < n_batches; b++) {
            t.rows = batches[b];
            check_trial(&p, &t, NULL, NULL, c->eval);
        }
    }
}

static void check_literal(const op_literal *literal) {
    pool p = {NULL};
    char where[64];
    trial t;
    tensor operand[MAX_OPERANDS], want;
    snprintf(where, sizeof where, "ops_cases.def:%d", literal->line);
    literal_trial(&p, literal, &t, operand);
    t.where = where;
    const char *cursor = literal->result;
    assert_true(next_literal(&p, &cursor, &want));
    check_trial(&p, &t, operand, &want, first_case(literal->op)->eval);
}

static void test_op(void **state) {
    cot_op op = *(const cot_op *)*state;
    int32_t n_checked = 0;
    for (int32_t i = 0; i < n_op_cases; i++) {
        for (int32_t d = 0; op_cases[i].op == op && d <= COT_BOOL; d++) {
            if (op_cases[i].eval_dtypes & 1u << d) {
                check_case(&op_cases[i], (cot_dtype)d);
                n_checked++;
            }
        }
    }
    for (int32_t i = 0; i < n_op_literals; i++) {
        if (op_literals[i].op == op) {
            check_literal(&op_literals[i]);
            n_checked++;
        }
    }
    assert_true(n_checked >= 2);
}

int main(void) {
    static cot_op op[COT_OP_COUNT];
    static struct CMUnitTest test[COT_OP_COUNT];
    for (int32_t i = 0; i < COT_OP_COUNT; i++) {
        op[i] = (cot_op)i;
        test[i] = (struct CMUnitTest){cot_op_name(op[i]), test_op, NULL, NULL, &op[i]};
    }
    context = cot_context_create(NULL);
    int failed = context == NULL ? 1 : cmocka_run_group_tests(test, NULL, NULL);
    cot_context_destroy(context);
    return failed;
}
