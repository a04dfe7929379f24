/*
 * Every gradient rule against central differences: the cases of grad_cases.def, in f64 and f32
 * graphs, first derivatives and derivatives of derivatives. The tolerance is 1e-6 relative, some
 * thousand times what the extrapolated differences err.
 */
#include "shapes.h"

#include "autodiff/vjp.h"
#include "cotangent/inspect.h"

#include <stdio.h>

enum { MOST_INPUTS = 4 };

/* ---- shorthands of the cases ---- */

#define un(id, x) cot_op_unary(COT_OP_##id, (x))
#define bin(id, a, b) cot_op_binary(COT_OP_##id, (a), (b))

/* A constant of x's dtype. */
static cot_value num(cot_value x, double value) {
    return cot_op_constant(x.graph, cot_value_dtype(x), value);
}

static cot_value other_float(cot_value x) {
    return cot_op_cast(x, cot_value_dtype(x) == COT_F32 ? COT_F64 : COT_F32);
}

/* y * (y + 1): so that the cotangent of a linear operation differs from element to element. */
static cot_value curve(cot_value y) {
    return bin(MUL, y, bin(ADD, y, num(y, 1)));
}

static cot_value reshape(cot_value x, const char *shape) {
    return cot_op_reshape(x, read_shape(shape));
}

static cot_value permute(cot_value x, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_permute(x, list, read_axes(axes, list));
}

static cot_value broadcast(cot_value x, const char *shape, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    int32_t n = read_axes(axes, list);
    return cot_op_broadcast(x, read_shape(shape), list, n);
}

static cot_value slice(cot_value x, const char *start, const char *size, const char *stride) {
    int64_t starts[COT_MAX_RANK];
    int64_t sizes[COT_MAX_RANK];
    int64_t strides[COT_MAX_RANK];
    read_list(start, starts);
    read_list(size, sizes);
    read_list(stride, strides);
    return cot_op_slice(x, starts, sizes, strides);
}

static cot_value pad(cot_value x, const char *low, const char *high, double value) {
    int64_t lows[COT_MAX_RANK];
    int64_t highs[COT_MAX_RANK];
    read_list(low, lows);
    read_list(high, highs);
    return cot_op_pad(x, lows, highs, value);
}

static cot_value flip(cot_value x, const char *axes) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_flip(x, list, read_axes(axes, list));
}

static cot_value concat(const cot_value *x, int32_t n, int32_t axis) {
    return cot_op_concat(x, n, axis);
}

static cot_value reduce(cot_op op, cot_value x, const char *axes, bool keep) {
    int32_t list[COT_MAX_RANK] = {0};
    return cot_op_reduce(op, x, list, read_axes(axes, list), keep);
}

static cot_value sum(cot_value x, const char *axes, bool keep) {
    return reduce(COT_OP_SUM, x, axes, keep);
}

static cot_value largest(cot_value x, const char *axes, bool keep) {
    return reduce(COT_OP_REDUCE_MAX, x, axes, keep);
}

static cot_value dot(cot_value a, cot_value b, const char *a_batch, const char *b_batch,
                     const char *a_contract, const char *b_contract) {
    cot_dot_axes axes = {0};
    axes.n_batch = read_axes(a_batch, axes.a_batch);
    read_axes(b_batch, axes.b_batch);
    axes.n_contract = read_axes(a_contract, axes.a_contract);
    read_axes(b_contract, axes.b_contract);
    return cot_op_dot(a, b, &axes);
}

/* ---- the table ---- */

typedef struct grad_case {
    const char *name;
    cot_op op;
    const char *inputs;
    cot_value (*build)(const cot_value *x);
} grad_case;

#define GRAD_CASE(id, variant, inputs, ...)                                                        \
    static cot_value case_##id##_##variant(const cot_value *x) {                                   \
        return __VA_ARGS__;                                                                        \
    }
#include "grad_cases.def"
#undef GRAD_CASE

static const grad_case table[] = {
#define GRAD_CASE(id, variant, inputs, ...)                                                        \
    {#id " " #variant, COT_OP_##id, inputs, case_##id##_##variant},
#include "grad_cases.def"
#undef GRAD_CASE
};

enum { N_CASES = sizeof table / sizeof *table };

/* ---- running one ---- */

static int32_t make_inputs(cot_graph *graph, cot_dtype dtype, const char *text, cot_value *x) {
    int32_t n = 0;
    while (text != NULL) {
        char name[16];
        bool is_bool = strncmp(text, "bool ", 5) == 0;
        text += is_bool ? 5 : 0;
        snprintf(name, sizeof name, "x%d", (int)n);
        assert_true(n < MOST_INPUTS);
        x[n++] = cot_op_input(graph, is_bool ? COT_BOOL : dtype, read_shape(text), name);
        text = strchr(text, ';');
        text = text == NULL ? NULL : text + 1;
    }
    return n;
}

static bool has_op(const cot_graph *graph, cot_op op) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        if (coti_node_at(graph, id)->op == op) {
            return true;
        }
    }
    return false;
}

/* The gradients of <u, y> with respect to the float inputs become outputs too. */
static void output_gradients(cot_value y, const cot_value *x, int32_t n) {
    cot_value wrt[MOST_INPUTS];
    cot_value grad[MOST_INPUTS];
    int32_t n_wrt = 0;
    for (int32_t i = 0; i < n; i++) {
        if (cot_value_dtype(x[i]) != COT_BOOL) {
            wrt[n_wrt++] = x[i];
        }
    }
    cot_value u = cot_op_input(y.graph, cot_value_dtype(y), cot_value_shape(y), "u");
    CHECK_OK(y.graph->context, cot_vjp(y, u, wrt, n_wrt, grad));
    for (int32_t i = 0; i < n_wrt; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", (int)i);
        CHECK_OK(y.graph->context, cot_graph_output(grad[i], name));
    }
}

static void check_case(const grad_case *c, cot_dtype dtype, int order) {
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "case");
    cot_value x[MOST_INPUTS];
    int32_t n = make_inputs(graph, dtype, c->inputs, x);
    cot_value y = c->build(x);
    if (y.graph == NULL) {
        fail_msg("%s: %s", c->name, cot_error_message(context));
    }
    if (!has_op(graph, c->op)) {
        fail_msg("%s: the operation does not occur", c->name);
    }
    CHECK_OK(context, cot_graph_output(y, "y"));
    if (order == 2) {
        output_gradients(y, x, n);
    }
    CHECK_OK(context, coti_graph_verify(graph));
    cot_gradcheck_report report = {0};
    cot_gradcheck_options options = COT_GRADCHECK_OPTIONS_INIT;
    options.max_elements = 256;
    cot_status status = cot_gradcheck(graph, &options, &report);
    if (status != COT_OK || !report.passed) {
        fail_msg("%s, %s, order %d: %s%s", c->name, cot_dtype_name(dtype), order, report.message,
                 cot_error_message(context));
    }
    assert_true(report.n_compared > 0);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

static void check_all(cot_dtype dtype, int order) {
    for (int i = 0; i < N_CASES; i++) {
        check_case(&table[i], dtype, order);
    }
}

static void test_first_order_f64(void **state) {
    (void)state;
    check_all(COT_F64, 1);
}

static void test_first_order_f32(void **state) {
    (void)state;
    check_all(COT_F32, 1);
}

static void test_second_order(void **state) {
    (void)state;
    check_all(COT_F64, 2);
}

/* A row of ops.def with a rule and without a case is a hole in the net. */
static void test_every_rule_has_a_case(void **state) {
    (void)state;
    for (int op = 0; op < COT_OP_COUNT; op++) {
        int n = 0;
        for (int i = 0; i < N_CASES; i++) {
            n += (int)table[i].op == op;
        }
        if (coti_op_table[op].grad == COTI_GRAD_RULE && n == 0) {
            fail_msg("%s has a gradient rule and no gradient case", coti_op_table[op].name);
        }
        assert_true(coti_op_table[op].grad == COTI_GRAD_RULE || n == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_has_a_case),
        cmocka_unit_test(test_first_order_f64),
        cmocka_unit_test(test_first_order_f32),
        cmocka_unit_test(test_second_order),
    };
    return cmocka_run_group_tests_name("grad_cases", tests, NULL, NULL);
}
