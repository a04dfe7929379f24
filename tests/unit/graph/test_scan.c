/*
 * Scans: the recurrences of Keras against its numbers, others against plain loops; lengths; both
 * directions; no rows and no steps; what the builder refuses; text, passes and memory that runs
 * out.
 */
#include "alloc_fail.h"
#include "graph_test.h"

#include "graph/scan.h"
#include "scan_case.h"

#include <math.h>

enum { MOST_ELEMENTS = 4096 };

/* Inputs x0, x1, ... of a graph, with data of their own, and one output. */
typedef struct run {
    cot_context *context;
    cot_graph *graph;
    int64_t rows;
    int32_t n;
    cot_value x[SCAN_CASE_OPERANDS];
    float data[SCAN_CASE_OPERANDS][MOST_ELEMENTS];
    float y[MOST_ELEMENTS];
} run;

static run *run_begin(int64_t rows) {
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->context = cot_context_create(NULL);
    r->graph = cot_graph_create(r->context, "scan");
    r->rows = rows;
    return r;
}

static void run_end(run *r) {
    cot_graph_destroy(r->graph);
    cot_context_destroy(r->context);
    free(r);
}

static int64_t count_of(const run *r, cot_shape shape) {
    int64_t n = 0;
    assert_true(coti_shape_elements(&shape, r->rows, &n) && n <= MOST_ELEMENTS);
    return n;
}

/* The numbers of Keras's tests: element k is ((k + offset) * 37 + 11) mod 101 / 101 - 0.5. */
static void add_input(run *r, cot_shape shape, int64_t offset, double scale) {
    char name[16];
    (void)snprintf(name, sizeof name, "x%d", (int)r->n);
    for (int64_t k = 0; k < count_of(r, shape); k++) {
        r->data[r->n][k] =
            (float)(((double)(((k + offset) * 37 + 11) % 101) / 101.0 - 0.5) * scale);
    }
    r->x[r->n++] = cot_op_input(r->graph, COT_F32, shape, name);
}

static void add_zeros(run *r, cot_shape shape) {
    add_input(r, shape, 0, 0);
}

/* Evaluate y into r->y, after the graph has gone through its text. */
static void evaluate(run *r, cot_value y) {
    coti_tensor input[SCAN_CASE_OPERANDS];
    const cot_shape shape = cot_value_shape(y);
    assert_non_null(y.graph);
    CHECK_OK(r->context, cot_graph_output(y, "y"));
    CHECK_OK(r->context, coti_graph_verify(r->graph));
    coti_str text;
    coti_str_init(&text, r->context);
    CHECK_OK(r->context, cot_graph_print(r->graph, append_text, &text));
    cot_graph *parsed = cot_graph_parse(r->context, coti_str_text(&text), text.count);
    CHECK_OK(r->context, cot_error_get(r->context).status);
    for (int32_t i = 0; i < r->n; i++) {
        const cot_shape own = cot_value_shape(r->x[i]);
        input[i] = (coti_tensor){COT_F32, coti_shape_bind(&own, r->rows), r->data[i]};
    }
    coti_tensor output = {COT_F32, coti_shape_bind(&shape, r->rows), r->y};
    CHECK_OK(r->context, coti_eval_graph(parsed, r->rows, input, &output));
    cot_graph_destroy(parsed);
    coti_str_free(&text);
}

static void check_close(const float *y, const double *expected, int64_t n, double tolerance) {
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs((double)y[i] - expected[i]) <= tolerance)) {
            fail_msg("element %lld is %.9g, expected %.9g", (long long)i, (double)y[i],
                     expected[i]);
        }
    }
}

/* ---- cells, by Keras's numbers ---- */

/* x [2,4,2], three units; weights are offset by 7 each. */
static void check_cell(const char *name, int64_t gates, bool two_biases, const double *expected) {
    run *r = run_begin(2);
    const scan_case *c = scan_case_find(name);
    for (int32_t i = 0; i < c->n_carries; i++) {
        add_zeros(r, BATCH(1, 3));
    }
    add_input(r, BATCH(1, 4, 2), 3, 2);
    add_input(r, SHAPE(2, 3 * gates), 0, 1);
    add_input(r, SHAPE(3, 3 * gates), 7, 1);
    add_input(r, two_biases ? SHAPE(2, 3 * gates) : SHAPE(3 * gates), 14, 1);
    evaluate(r, scan_case_result(name, r->x, false, 0));
    check_close(r->y, expected, 6, 2e-6);
    run_end(r);
}

static void cells_give_what_keras_gives(void **state) {
    (void)state;
    static const double rnn[] = {-0.22921813,  0.055929646, 0.58688152,
                                 0.0051449086, 0.08529637,  0.58033222};
    static const double lstm[] = {-0.053117525,  0.2020593, -0.18542735,
                                  -0.0079378542, 0.1287986, -0.14344303};
    static const double gru[] = {0.031642675, 0.058146574, -0.28421426,
                                 0.089635819, 0.18349113,  -0.27750304};
    static const double reset_before[] = {-0.10880629,  0.22966069, -0.24682258,
                                          -0.065388888, 0.36736816, -0.23129211};
    check_cell("rnn", 1, false, rnn);
    check_cell("lstm", 4, false, lstm);
    check_cell("gru", 3, true, gru);
    check_cell("grus", 3, false, reset_before);
}

/* ---- others, by loops ---- */

/* Two carries, two sequences, a constant; four results, on rows of two. */
static void check_twist(bool reverse, int32_t result) {
    enum { T = 5, D = 2, N = 3 };
    double expected[N * T * D];
    run *r = run_begin(N);
    add_input(r, BATCH(1, D), 1, 1);
    add_input(r, BATCH(1, D), 9, 1);
    add_input(r, BATCH(1, T, D), 3, 1);
    add_input(r, BATCH(1, T, D), 31, 1);
    add_input(r, BATCH(1, D), 17, 2);
    evaluate(r, scan_case_result("twist", r->x, reverse, result));
    for (int32_t i = 0; i < N * D; i++) {
        double a = (double)r->data[0][i], b = (double)r->data[1][i], k = (double)r->data[4][i];
        for (int32_t n = 0; n < T; n++) {
            const int32_t at = (i / D * T + (reverse ? T - 1 - n : n)) * D + i % D;
            const double x = (double)r->data[2][at], y = (double)r->data[3][at];
            const double stacked[] = {a * y, b + x, a, b};
            const double new_a = a * b + x;
            b = tanh(b * k - y);
            a = new_a;
            if (result >= 2) {
                expected[at] = stacked[result - 2];
            }
        }
        if (result < 2) {
            expected[i] = result == 0 ? a : b;
        }
    }
    check_close(r->y, expected, result < 2 ? N * D : N * T * D, 2e-6);
    run_end(r);
}

static void several_of_everything(void **state) {
    (void)state;
    for (int32_t result = 0; result < 6; result++) {
        check_twist(false, result);
        check_twist(true, result);
    }
}

/* A step that takes a mean over the rows. */
static void a_body_that_reduces_rows(void **state) {
    (void)state;
    enum { T = 3, N = 4 };
    double c[N], expected[N * T];
    run *r = run_begin(N);
    add_input(r, BATCH(1), 1, 1);
    add_input(r, BATCH(1, T), 5, 3);
    evaluate(r, scan_case_result("centre", r->x, false, 1));
    for (int32_t i = 0; i < N; i++) {
        c[i] = (double)r->data[0][i];
    }
    for (int32_t t = 0; t < T; t++) {
        double mean = 0;
        for (int32_t i = 0; i < N; i++) {
            expected[i * T + t] = c[i];
            mean += (double)r->data[1][i * T + t] / N;
        }
        for (int32_t i = 0; i < N; i++) {
            c[i] += (double)r->data[1][i * T + t] - mean * mean;
        }
    }
    check_close(r->y, expected, N * T, 1e-6);
    run_end(r);
}

/* c' = tanh(last c of an inner affine scan, in reverse) + the sum of what that stacks. */
static void a_scan_in_a_scan(void **state) {
    (void)state;
    enum { T = 3, S = 4, N = 2 };
    double expected[N];
    run *r = run_begin(N);
    add_input(r, BATCH(1), 1, 1);
    add_input(r, BATCH(1, T, S), 5, 1);
    add_input(r, BATCH(1), 8, 1);
    evaluate(r, scan_case_result("nested", r->x, false, 0));
    for (int32_t i = 0; i < N; i++) {
        double c = (double)r->data[0][i], k = (double)r->data[2][i];
        for (int32_t t = 0; t < T; t++) {
            double sum = 0, inner = c;
            for (int32_t s = S - 1; s >= 0; s--) {
                const double x = (double)r->data[1][(i * T + t) * S + s];
                sum += x * inner;
                inner = inner * k + x;
            }
            c = tanh(inner) + sum;
        }
        expected[i] = c;
    }
    check_close(r->y, expected, N, 2e-6);
    run_end(r);
}

/* ---- lengths ---- */

/* Rows of 0, 1, 2, ... steps of an affine scan. */
static void check_lengths(bool reverse, int32_t result) {
    enum { T = 4, D = 2, N = 6 };
    double expected[N * T * D];
    cot_value results[SCAN_CASE_RESULTS];
    run *r = run_begin(N);
    add_input(r, BATCH(1, D), 1, 1);
    add_input(r, BATCH(1, T, D), 5, 1);
    add_input(r, BATCH(1, D), 8, 1);
    const cot_value lengths = cot_op_iota(r->graph, COT_I32, BATCH(1), 0);
    CHECK_OK(r->context, scan_case_build("affine", r->x, reverse, &lengths, results));
    evaluate(r, results[result]);
    for (int32_t i = 0; i < N * D; i++) {
        double c = (double)r->data[0][i], k = (double)r->data[2][i];
        for (int32_t n = 0; n < T; n++) {
            const int32_t t = reverse ? T - 1 - n : n, at = (i / D * T + t) * D + i % D;
            const double x = (double)r->data[1][at];
            const bool active = t < i / D;
            if (result > 0) {
                expected[at] = !active ? 0 : result == 1 ? c : x * c;
            }
            c = active ? c * k + x : c;
        }
        if (result == 0) {
            expected[i] = c;
        }
    }
    check_close(r->y, expected, result == 0 ? N * D : N * T * D, 1e-6);
    run_end(r);
}

static void rows_end_at_their_lengths(void **state) {
    (void)state;
    for (int32_t result = 0; result < 3; result++) {
        check_lengths(false, result);
        check_lengths(true, result);
    }
}

/* What stands behind a row's length, NaN even, is not seen. */
static void padding_is_not_seen(void **state) {
    (void)state;
    cot_value results[SCAN_CASE_RESULTS];
    run *r = run_begin(2);
    add_input(r, BATCH(1), 1, 1);
    add_input(r, BATCH(1, 3), 5, 1);
    r->data[1][0] = r->data[1][1] = r->data[1][2] = NAN; /* of row 0, which has no steps */
    r->data[1][4] = r->data[1][5] = NAN;                 /* of row 1, which has one */
    const cot_value lengths = cot_op_iota(r->graph, COT_I32, BATCH(1), 0);
    CHECK_OK(r->context, scan_case_build("sum", r->x, false, &lengths, results));
    evaluate(r, results[0]);
    assert_true(r->y[0] == r->data[0][0]);
    assert_true(r->y[1] == r->data[0][1] + r->data[1][3]);
    run_end(r);
}

/* ---- edges ---- */

static void no_steps_and_no_rows(void **state) {
    (void)state;
    for (int32_t result = 0; result < 3; result++) {
        run *r = run_begin(3);
        add_input(r, BATCH(1, 2), 1, 1);
        add_input(r, BATCH(1, 0, 2), 1, 1);
        r->y[0] = 7;
        evaluate(r, scan_case_result("sum", r->x, false, result));
        assert_memory_equal(r->y, result == 0 ? r->data[0] : &(float){7},
                            result == 0 ? 24 : sizeof(float));
        run_end(r);
        r = run_begin(0);
        add_input(r, BATCH(1, 2), 1, 1);
        add_input(r, BATCH(1, 4, 2), 1, 1);
        evaluate(r, scan_case_result("sum", r->x, true, result));
        run_end(r);
    }
}

/* Results of one execution are told apart, equal ones are one node. */
static void results_are_nodes_of_one_execution(void **state) {
    (void)state;
    run *r = run_begin(1);
    cot_value first[SCAN_CASE_RESULTS], again[SCAN_CASE_RESULTS];
    add_input(r, BATCH(1), 1, 1);
    add_input(r, BATCH(1, 3), 5, 1);
    CHECK_OK(r->context, scan_case_build("sum", r->x, false, NULL, first));
    CHECK_OK(r->context, scan_case_build("sum", r->x, false, NULL, again));
    assert_int_equal(first[0].id, again[0].id);
    assert_int_equal(first[1].id, again[1].id);
    assert_int_not_equal(first[0].id, first[1].id);
    assert_int_equal(r->graph->body.count, 1);
    assert_true(coti_scan_same(coti_node_of(first[0]), coti_node_of(first[1])));
    assert_int_equal(coti_scan_hash(coti_node_of(first[0])),
                     coti_scan_hash(coti_node_of(first[1])));
    CHECK_OK(r->context, scan_case_build("sum", r->x, true, NULL, again));
    assert_false(coti_scan_same(coti_node_of(first[0]), coti_node_of(again[0])));
    run_end(r);
}

/* A body that knows N is not folded, though its operands are constants. */
static void constants_are_not_folded(void **state) {
    (void)state;
    cot_context *context = cot_context_create(NULL);
    cot_graph *graph = cot_graph_create(context, "g"), *body = cot_graph_create(context, "b");
    const cot_value c = cot_op_input(body, COT_I64, (cot_shape){.rank = 0}, "c");
    CHECK_OK(context, cot_graph_output(cot_op_binary(COT_OP_ADD, c, cot_op_rows(body)), "c"));
    const cot_value zero = cot_op_constant(graph, COT_I64, 0);
    const cot_scan_options options = {.struct_size = sizeof options, .n_carries = 1, .steps = 3};
    cot_value y;
    CHECK_OK(context, cot_op_scan(body, &zero, 1, &options, &y));
    CHECK_OK(context, cot_graph_output(y, "y"));
    cot_graph *folded = NULL;
    bool changed = false;
    CHECK_OK(context, coti_pass_fold(graph, &folded, &changed));
    int64_t n = 0;
    coti_tensor output = {COT_I64, {.rank = 0}, &n};
    CHECK_OK(context, coti_eval_graph(folded, 5, NULL, &output));
    assert_int_equal(n, 15);
    cot_graph_destroy(folded);
    cot_graph_destroy(body);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- misuse ---- */

/* A body of one carry c: f32[N,2] and one sequence x: f32[N,2]; what is wrong with it, by number.
 */
static cot_graph *body_of(cot_context *context, int32_t wrong) {
    cot_graph *body = cot_graph_create(context, "step");
    const cot_value c = cot_op_input(body, COT_F32, BATCH(1, 2), "c");
    const cot_value x = cot_op_input(body, COT_F32, BATCH(1, 2), "x");
    cot_value next = cot_op_binary(COT_OP_ADD, c, x);
    if (wrong == 1) {
        next = cot_op_cast(next, COT_F64);
    } else if (wrong == 2) {
        next = cot_op_reduce(COT_OP_SUM, next, (int32_t[]){1}, 1, false);
    }
    CHECK_OK(context, wrong == 3 ? COT_OK : cot_graph_output(next, "next"));
    if (wrong == 4) {
        cot_variable *v = cot_variable_create(context, COT_F32, SHAPE(2), "v");
        (void)cot_op_state(body, v);
        cot_variable_release(v);
    }
    return body;
}

typedef struct misuse {
    cot_context *context;
    cot_graph *graph;
    cot_value c, x, lengths;
} misuse;

/* The scan of a body with operands c and x fails so, with its result poisoned. */
static void check_misuse(misuse *m, int32_t wrong, const cot_value operand[2], int32_t n,
                         const cot_scan_options *options, cot_status status, const char *text) {
    cot_graph *body = body_of(m->context, wrong);
    cot_value y = m->c;
    assert_int_equal(cot_op_scan(body, operand, n, options, &y), status);
    if (body->output.count > 0) {
        assert_int_equal(y.graph != NULL, status == COT_OK);
    }
    CHECK_ERROR(m->context, status, text);
    CHECK_OK(m->context, coti_graph_verify(m->graph));
    cot_graph_destroy(body);
}

static void misuse_is_named(void **state) {
    (void)state;
    misuse m = {.context = cot_context_create(NULL)};
    m.graph = cot_graph_create(m.context, "g");
    cot_graph_set_layer(m.graph, "rnn_1");
    m.c = cot_op_input(m.graph, COT_F32, BATCH(1, 2), "c");
    m.x = cot_op_input(m.graph, COT_F32, BATCH(1, 4, 2), "x");
    m.lengths = cot_op_input(m.graph, COT_I32, BATCH(1), "lengths");
    const cot_value good[2] = {m.c, m.x}, swapped[2] = {m.x, m.c}, poisoned[2] = {m.c, {NULL, 0}};
    cot_scan_options options = {
        .struct_size = sizeof options, .n_carries = 1, .n_sequences = 1, .steps = 4};
    const cot_scan_options right = options;
    check_misuse(
        &m, 1, good, 2, &right, COT_E_DTYPE,
        "scan \"rnn_1\": carry 0 is f32[N,2], the body's output \"next\" makes it f64[N,2]");
    check_misuse(&m, 2, good, 2, &right, COT_E_SHAPE, "makes it f32[N]");
    check_misuse(&m, 3, good, 2, &right, COT_E_ARG, "do not fit 2 operands and body \"step\"");
    check_misuse(&m, 4, good, 2, &right, COT_E_ARG, "it has a state \"v\"");
    check_misuse(&m, 0, swapped, 2, &right, COT_E_SHAPE,
                 "carry 0 is f32[N,4,2], the body's input \"c\" and 4 steps need f32[N,2]");
    check_misuse(&m, 0, good, 1, &right, COT_E_ARG, "do not fit 1 operands");
    check_misuse(&m, 0, poisoned, 2, &right, COT_E_ARG, "operand 2 of 2 is poisoned");
    check_misuse(&m, 0, NULL, 2, &right, COT_E_ARG, "there are no operands");
    check_misuse(&m, 0, good, 2, NULL, COT_E_ARG, "struct_size");
    options.struct_size = 3;
    check_misuse(&m, 0, good, 2, &options, COT_E_ARG, "struct_size");
    options = right;
    options.steps = 5;
    check_misuse(&m, 0, good, 2, &options, COT_E_SHAPE,
                 "sequence 0 is f32[N,4,2], the body's input \"x\" and 5 steps need f32[N,5,2]");
    options.steps = -1;
    check_misuse(&m, 0, good, 2, &options, COT_E_ARG, "-1 steps");
    options = right;
    options.n_carries = -1;
    check_misuse(&m, 0, good, 2, &options, COT_E_ARG, "-1 carries");
    options.n_carries = 2;
    check_misuse(&m, 0, good, 2, &options, COT_E_ARG, "2 carries and 1 sequences do not fit");
    options = right;
    options.lengths = &m.c;
    check_misuse(&m, 0, good, 2, &options, COT_E_ARG, "lengths are f32[N,2], expected i32[N]");
    options.lengths = &poisoned[1];
    check_misuse(&m, 0, good, 2, &options, COT_E_ARG, "lengths are a poisoned value");
    options = right;
    check_misuse(&m, 0, good, 2, &options, COT_OK, "");
    cot_graph_destroy(m.graph);
    cot_context_destroy(m.context);
}

/* Lengths are of rows: of as many as the carries have. */
static void lengths_need_rows(void **state) {
    (void)state;
    run *r = run_begin(1);
    cot_value results[SCAN_CASE_RESULTS];
    const cot_value lengths = cot_op_input(r->graph, COT_I32, BATCH(1), "lengths");
    const cot_value c = cot_op_input(r->graph, COT_F32, SHAPE(2), "c");
    const cot_value x = cot_op_input(r->graph, COT_F32, SHAPE(3, 2), "x");
    const cot_value c2 = cot_op_input(r->graph, COT_F32, BATCH(2), "c2");
    const cot_value x2 = cot_op_input(r->graph, COT_F32, BATCH(2, 3), "x2");
    const cot_value one_row[] = {c, x}, two_rows[] = {c2, x2};
    assert_int_equal(scan_case_build("sum", one_row, false, &lengths, results), COT_E_SHAPE);
    CHECK_ERROR(r->context, COT_E_SHAPE, "the body's output \"o0\" is f32[2]");
    assert_int_equal(scan_case_build("sum", two_rows, false, &lengths, results), COT_E_SHAPE);
    CHECK_ERROR(r->context, COT_E_SHAPE, "as many as there are lengths");
    assert_null(results[0].graph);
    run_end(r);
}

/* What the text may say that no builder would. */
static void hostile_attributes_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *attr, *type, *message;
    } rows[] = {
        {"n_carries=1, n_sequences=1, steps=2, reverse=0, result=0", "f32[]", ""},
        {"n_carries=1, n_sequences=1, steps=2, reverse=0, result=1", "f32[]", "scan gives f32[2]"},
        {"n_carries=1, n_sequences=1, steps=2, reverse=2, result=0", "f32[]", "reverse 2"},
        {"n_carries=1, n_sequences=1, steps=-2, reverse=0, result=0", "f32[]", "-2 steps"},
        {"n_carries=1, n_sequences=1, steps=2, reverse=0, result=3", "f32[]", "result 3"},
        {"n_carries=1, n_sequences=1, steps=2, reverse=0, result=-1", "f32[]", "result -1"},
        {"n_carries=2, n_sequences=0, steps=2, reverse=0, result=0", "f32[]", "carry 1"},
        {"n_carries=3, n_sequences=0, steps=2, reverse=0, result=0", "f32[]", "3 carries"},
        {"n_carries=-1, n_sequences=1, steps=2, reverse=0, result=0", "f32[]", "-1 carries"},
        {"n_carries=1, n_sequences=9223372036854775807, steps=2, reverse=0, result=0", "f32[]",
         "sequences"},
    };
    cot_context *context = cot_context_create(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "graph @b(%%c: f32[], %%x: f32[]) {\n  %%0 = add %%c, %%x : f32[]\n"
                       "  return a=%%0, b=%%0\n}\n\n"
                       "graph @g(%%c: f32[], %%x: f32[2]) {\n"
                       "  %%0 = scan %%c, %%x {body=@b, %s} : %s\n  return y=%%0\n}\n",
                       rows[i].attr, rows[i].type);
        cot_graph *graph = cot_graph_parse(context, text, strlen(text));
        assert_int_equal(graph != NULL, i == 0);
        if (i > 0) {
            CHECK_ERROR(context, cot_error_get(context).status, rows[i].message);
        }
        cot_graph_destroy(graph);
    }
    cot_context_destroy(context);
}

/* ---- memory ---- */

static cot_status build_and_evaluate(cot_context *context, void *user) {
    (void)user;
    float c[2] = {1, 2}, x[6] = {1, 2, 3, 4, 5, 6}, k[2] = {1, 1}, y[6], dk[2];
    int32_t length[2] = {1, 3};
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value results[SCAN_CASE_RESULTS];
    if (graph == NULL) {
        return COT_E_NOMEM;
    }
    const cot_value operand[] = {cot_op_input(graph, COT_F32, BATCH(1), "c"),
                                 cot_op_input(graph, COT_F32, BATCH(1, 3), "x"),
                                 cot_op_input(graph, COT_F32, BATCH(1), "k")};
    const cot_value lengths = cot_op_input(graph, COT_I32, BATCH(1), "lengths");
    cot_status status = cot_error_get(context).status;
    status =
        status == COT_OK ? scan_case_build("affine", operand, false, &lengths, results) : status;
    cot_value grad[3];
    status = status == COT_OK ? cot_vjp(results[1], results[2], operand, 3, grad) : status;
    status = status == COT_OK ? cot_graph_output(grad[1], "dx") : status;
    status = status == COT_OK ? cot_graph_output(grad[2], "dk") : status;
    coti_tensor input[] = {{COT_F32, SHAPE(2), c},
                           {COT_F32, SHAPE(2, 3), x},
                           {COT_F32, SHAPE(2), k},
                           {COT_I32, SHAPE(2), length}};
    coti_tensor output[] = {{COT_F32, SHAPE(2, 3), y}, {COT_F32, SHAPE(2), dk}};
    status = status == COT_OK ? coti_eval_graph(graph, 2, input, output) : status;
    cot_graph_destroy(graph);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, NULL, build_and_evaluate, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_give_what_keras_gives),
        cmocka_unit_test(several_of_everything),
        cmocka_unit_test(a_body_that_reduces_rows),
        cmocka_unit_test(a_scan_in_a_scan),
        cmocka_unit_test(rows_end_at_their_lengths),
        cmocka_unit_test(padding_is_not_seen),
        cmocka_unit_test(no_steps_and_no_rows),
        cmocka_unit_test(results_are_nodes_of_one_execution),
        cmocka_unit_test(constants_are_not_folded),
        cmocka_unit_test(misuse_is_named),
        cmocka_unit_test(lengths_need_rows),
        cmocka_unit_test(hostile_attributes_are_refused),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
