/*
 * The test of the tests: no row of graph/ops.def without a case on the evaluator, a hand-written
 * example and a case of the JIT; and no dtype that an operation takes without a case of that dtype.
 *
 * (That a rule itself is not missing is the linker's to say: each stage pastes its table of rules
 * from the rows. That no gradient case is missing is the compiler's:
 * tests/unit/autodiff/grad_case.c.)
 */
#include "check.h"
#include "graph/graph.h"
#include "op_case.h"

/* Fails with the names of all ops for which `lacks` holds. */
static void fail_for(bool (*lacks)(cot_op op), const char *what) {
    char names[2048] = "";
    size_t used = 0;
    for (int32_t op = 0; op < COT_OP_COUNT; op++) {
        if (lacks((cot_op)op) && used < sizeof names) {
            used +=
                (size_t)snprintf(names + used, sizeof names - used, " %s", cot_op_name((cot_op)op));
        }
    }
    if (used > 0) {
        fail_msg("no %s:%s", what, names);
    }
}

/* dtypes that some case of the op runs, on the evaluator or on the JIT. */
static unsigned cased_dtypes(cot_op op, bool jit) {
    unsigned dtypes = 0;
    for (int32_t i = 0; i < n_op_cases; i++) {
        if (op_cases[i].op == op) {
            dtypes |= jit ? op_cases[i].jit_dtypes : op_cases[i].eval_dtypes;
        }
    }
    return dtypes;
}

static bool lacks_eval_case(cot_op op) {
    return cased_dtypes(op, false) == 0;
}

static bool lacks_jit_case(cot_op op) {
    return cased_dtypes(op, true) == 0;
}

static bool lacks_literal(cot_op op) {
    for (int32_t i = 0; i < n_op_literals; i++) {
        if (op_literals[i].op == op) {
            return false;
        }
    }
    return true;
}

/* What the row's flags let in; the ops without such a flag take what their infer rule says. */
static unsigned allowed_dtypes(cot_op op) {
    static const unsigned own[COT_OP_COUNT] = {
        [COT_OP_ROWS] = I64,          [COT_OP_IOTA] = FLOATS | I32 | I64,
        [COT_OP_ONE_HOT] = I32 | I64, [COT_OP_SCATTER_ADD] = NUMBERS,
        [COT_OP_RANDOM] = FLOATS,     [COT_OP_CUSTOM] = FLOATS,
        [COT_OP_ATTENTION] = FLOATS,
    };
    uint32_t flags = coti_op_table[op].flags;
    if (own[op] != 0) {
        return own[op];
    }
    return flags & COTI_FLOATS    ? FLOATS
           : flags & COTI_NUMBERS ? NUMBERS
           : flags & COTI_BOOLS   ? BOOL
                                  : ANY;
}

static bool lacks_a_dtype(cot_op op) {
    return (allowed_dtypes(op) & ~cased_dtypes(op, false)) != 0;
}

static void test_every_op_has_a_case_on_the_evaluator(void **state) {
    (void)state;
    fail_for(lacks_eval_case, "OP_CASE on the evaluator in tests/ops_cases.def");
}

static void test_every_op_has_a_literal_example(void **state) {
    (void)state;
    fail_for(lacks_literal, "OP_LITERAL in tests/ops_cases.def");
}

static void test_every_op_has_a_case_on_the_jit(void **state) {
    (void)state;
    fail_for(lacks_jit_case, "OP_CASE on the JIT in tests/ops_cases.def");
}

static void test_every_dtype_has_a_case(void **state) {
    (void)state;
    fail_for(lacks_a_dtype, "OP_CASE for each dtype that the row takes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op_has_a_case_on_the_evaluator),
        cmocka_unit_test(test_every_op_has_a_literal_example),
        cmocka_unit_test(test_every_op_has_a_case_on_the_jit),
        cmocka_unit_test(test_every_dtype_has_a_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
