/*
 * Scans on kernels: as many kernels for a thousand steps as for ten, and no longer to compile; rows
 * in chunks where they are independent, all at once where a step mixes them; the same bits for any
 * number of threads and rows; weights' gradients behind the loop; what dumps show; memory that runs
 * out.
 */
#include "alloc_fail.h"
#include "check.h"

#include "codegen/compile.h"
#include "cotangent/inspect.h"
#include "graph/scan.h"
#include "scan_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUTS = 6, UNITS = 5, MOST_ROWS = 37, MOST_OUTPUTS = 8 };

typedef struct net {
    cot_context *context;
    cot_graph *graph;
    int32_t n_inputs, n_outputs;
    cot_value x[SCAN_CASE_OPERANDS];
} net;

static cot_context *context_for(int32_t threads) {
    const cot_options options = {
        .struct_size = sizeof options, .threads = threads, .environment = COT_OFF};
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    return context;
}

static void add_input(net *n, cot_shape shape) {
    char name[16];
    (void)snprintf(name, sizeof name, "x%d", (int)n->n_inputs);
    n->x[n->n_inputs++] = cot_op_input(n->graph, COT_F32, shape, name);
}

static void add_output(net *n, cot_value value) {
    char name[16];
    (void)snprintf(name, sizeof name, "y%d", (int)n->n_outputs++);
    CHECK_OK(n->context, cot_graph_output(value, name));
}

/* A recurrent layer over `steps` steps, its loss, and all gradients of that. */
static net make_net(int32_t threads, const char *cell, int64_t gates, int64_t steps) {
    net n = {.context = context_for(threads)};
    const scan_case *c = scan_case_find(cell);
    cot_value results[SCAN_CASE_RESULTS], grad[SCAN_CASE_OPERANDS];
    n.graph = cot_graph_create(n.context, "net");
    for (int32_t i = 0; i < c->n_carries; i++) {
        add_input(&n, COT_BATCH(UNITS));
    }
    add_input(&n, COT_BATCH(steps, INPUTS));
    add_input(&n, COT_SHAPE(INPUTS, UNITS * gates));
    add_input(&n, COT_SHAPE(UNITS, UNITS * gates));
    add_input(&n, COT_SHAPE(UNITS * gates));
    CHECK_OK(n.context, scan_case_build(cell, n.x, false, NULL, results));
    const cot_value y = results[c->n_results - 1];
    const cot_value loss =
        cot_op_mean(cot_op_binary(COT_OP_MUL, y, y), (int32_t[]){0, 1, 2}, 3, false);
    CHECK_OK(n.context, cot_grad(loss, n.x, n.n_inputs, grad));
    add_output(&n, loss);
    for (int32_t i = 0; i < n.n_inputs; i++) {
        add_output(&n, grad[i]);
    }
    return n;
}

static void drop_net(net *n) {
    cot_graph_destroy(n->graph);
    cot_context_destroy(n->context);
}

/* ---- running ---- */

static int64_t count_of(cot_value value, int64_t rows) {
    const cot_shape shape = cot_value_shape(value);
    int64_t count = 0;
    assert_true(coti_shape_elements(&shape, rows, &count));
    return count;
}

static float number(int32_t input, int64_t i) {
    return (float)((i * 37 + 11 * input + 5) % 101) / 101.0F - 0.5F;
}

/* All outputs, one after another, of a program on so many rows; to be freed. */
static float *run_program(const net *n, int64_t max_rows, int64_t rows, size_t *count_out) {
    const cot_program_options options = {.struct_size = sizeof options, .max_rows = max_rows};
    cot_program *program = cot_program_create(n->graph, &options);
    if (program == NULL) {
        fail_msg("%s", cot_error_message(n->context));
    }
    assert_null(program->reference); /* on kernels */
    cot_session *session = cot_session_create(program);
    float *data[SCAN_CASE_OPERANDS];
    size_t total = 0;
    for (int32_t i = 0; i < n->n_inputs; i++) {
        const cot_shape shape = cot_value_shape(n->x[i]);
        const int64_t count = count_of(n->x[i], rows), n_rows = shape.batched ? rows : 1;
        data[i] = malloc((size_t)count * sizeof(float));
        for (int64_t k = 0; k < count; k++) {
            data[i][k] = number(i, k);
        }
        const cot_array array = {.data = data[i], .n_rows = n_rows, .row_elements = count / n_rows};
        char name[16];
        (void)snprintf(name, sizeof name, "x%d", (int)i);
        assert_int_equal(cot_session_bind(session, name, &array), COT_OK);
    }
    for (int32_t i = 0; i < n->n_outputs; i++) {
        total += (size_t)count_of(cot_graph_output_at(n->graph, i), rows);
    }
    float *y = calloc(total, sizeof *y), *at = y;
    for (int32_t i = 0; i < n->n_outputs; i++) {
        const size_t count = (size_t)count_of(cot_graph_output_at(n->graph, i), rows);
        assert_int_equal(cot_session_bind_output(session, cot_graph_output_name(n->graph, i), at,
                                                 count * sizeof(float)),
                         COT_OK);
        at += count;
    }
    for (int32_t k = 0; k < 2; k++) { /* what a run leaves behind does not matter */
        assert_int_equal(cot_session_run(session, rows), COT_OK);
    }
    for (int32_t i = 0; i < n->n_inputs; i++) {
        free(data[i]);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    *count_out = total;
    return y;
}

/* The same by the evaluator. */
static void check_evaluator(const net *n, int64_t rows, const float *y) {
    coti_tensor input[SCAN_CASE_OPERANDS], output[MOST_OUTPUTS];
    for (int32_t i = 0; i < n->n_inputs; i++) {
        const cot_shape shape = cot_value_shape(n->x[i]);
        const int64_t count = count_of(n->x[i], rows);
        input[i] = (coti_tensor){COT_F32, coti_shape_bind(&shape, rows),
                                 malloc((size_t)count * sizeof(float))};
        for (int64_t k = 0; k < count; k++) {
            ((float *)input[i].data)[k] = number(i, k);
        }
    }
    for (int32_t i = 0; i < n->n_outputs; i++) {
        const cot_value value = cot_graph_output_at(n->graph, i);
        const cot_shape shape = cot_value_shape(value);
        output[i] = (coti_tensor){COT_F32, coti_shape_bind(&shape, rows),
                                  malloc((size_t)count_of(value, rows) * sizeof(float))};
    }
    CHECK_OK(n->context, coti_eval_graph(n->graph, rows, input, output));
    for (int32_t i = 0; i < n->n_outputs; i++) {
        const int64_t count = count_of(cot_graph_output_at(n->graph, i), rows);
        for (int64_t k = 0; k < count; k++, y++) {
            const double want = (double)((const float *)output[i].data)[k];
            if (!(fabs((double)*y - want) <= 1e-6 + 1e-5 * fabs(want))) {
                fail_msg("output %d, element %lld: %g, expected %g", i, (long long)k, (double)*y,
                         want);
            }
        }
        free(output[i].data);
    }
    for (int32_t i = 0; i < n->n_inputs; i++) {
        free(input[i].data);
    }
}

/* ---- tests ---- */

static cot_program_info info_of(const char *cell, int64_t gates, int64_t steps) {
    net n = make_net(2, cell, gates, steps);
    cot_program *program = cot_program_create(n.graph, NULL);
    if (program == NULL) {
        fail_msg("%s", cot_error_message(n.context));
    }
    assert_null(program->reference);
    const cot_program_info info = cot_program_get_info(program);
    cot_program_destroy(program);
    drop_net(&n);
    return info;
}

static void steps_cost_no_kernels(void **state) {
    (void)state;
    const cot_program_info ten = info_of("lstm", 4, 10), thousand = info_of("lstm", 4, 1000);
    assert_true(ten.n_kernels > 0 && ten.n_kernels < 40);
    assert_int_equal(ten.n_kernels, thousand.n_kernels);
    assert_int_equal(ten.n_calls, thousand.n_calls);
    assert_int_equal(ten.n_compiled, thousand.n_compiled);
    assert_true(thousand.compile_seconds < 3 * ten.compile_seconds + 0.5);
    assert_int_equal(thousand.scratch_bytes > 0, true);
}

static void threads_and_rows_change_no_bit(void **state) {
    (void)state;
    static const struct {
        const char *cell;
        int64_t gates;
    } cells[] = {{"rnn", 1}, {"lstm", 4}};
    static const int64_t most[] = {MOST_ROWS, 128, 300, MOST_ROWS + 3};
    for (size_t c = 0; c < sizeof cells / sizeof cells[0]; c++) {
        float *first = NULL;
        for (int32_t threads = 1; threads <= 4; threads++) {
            size_t count = 0;
            net n = make_net(threads, cells[c].cell, cells[c].gates, 7);
            float *y = run_program(&n, most[threads - 1], MOST_ROWS, &count);
            if (threads == 1) {
                check_evaluator(&n, MOST_ROWS, y);
                first = y;
            } else {
                assert_memory_equal(y, first, count * sizeof *y);
                free(y);
            }
            drop_net(&n);
        }
        free(first);
    }
}

/* All the same on one row and on a chunk's worth. */
static void few_rows(void **state) {
    (void)state;
    static const int64_t rows[] = {1, 8, 9};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t count = 0;
        net n = make_net(2, "rnn", 1, 3);
        float *y = run_program(&n, 16, rows[i], &count);
        check_evaluator(&n, rows[i], y);
        free(y);
        drop_net(&n);
    }
}

/* A product under two axes, and one whose free axes are two, go where the stack has their rows: not
 * side by side. */
static void products_are_stacked(void **state) {
    (void)state;
    static const char text[] =
        "graph @step(%a: f32[N,2,5,3], %b: f32[N,2,7,3], %c: f32[N,2,3]) {\n"
        "  %0 = exp %a : f32[N,2,5,3]\n"
        "  %1 = dot %0, %b {a_batch=[0,1], b_batch=[0,1], a_contract=[3], b_contract=[3]} "
        ": f32[N,2,5,7]\n"
        "  %2 = neg %1 : f32[N,2,5,7]\n"
        "  %3 = dot %0, %c {a_batch=[0], b_batch=[0], a_contract=[3], b_contract=[2]} "
        ": f32[N,2,5,2]\n"
        "  return y=%1, z=%2, s=%3\n}\n"
        "graph @net(%x0: f32[N,4,2,5,3], %x1: f32[N,2,7,3], %x2: f32[N,2,3]) {\n"
        "  %0 = scan %x0, %x1, %x2 {body=@step, n_carries=0, n_sequences=1, steps=4, reverse=0, "
        "result=0} : f32[N,4,2,5,7]\n"
        "  %1 = scan %x0, %x1, %x2 {body=@step, n_carries=0, n_sequences=1, steps=4, reverse=0, "
        "result=1} : f32[N,4,2,5,7]\n"
        "  %2 = scan %x0, %x1, %x2 {body=@step, n_carries=0, n_sequences=1, steps=4, reverse=0, "
        "result=2} : f32[N,4,2,5,2]\n"
        "  return y0=%0, y1=%1, y2=%2\n}\n";
    net n = {.context = context_for(2), .n_inputs = 3, .n_outputs = 3};
    size_t count = 0;
    n.graph = cot_graph_parse(n.context, text, sizeof text - 1);
    if (n.graph == NULL) {
        fail_msg("%s", cot_error_message(n.context));
    }
    for (int32_t i = 0; i < n.n_inputs; i++) {
        n.x[i] = cot_graph_input_at(n.graph, i);
    }
    float *y = run_program(&n, 9, 9, &count);
    check_evaluator(&n, 9, y);
    free(y);
    drop_net(&n);
}

static bool append_text(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

static char *dump_of(const net *n, const char *stage) {
    coti_str text;
    coti_str_init(&text, n->context);
    CHECK_OK(n->context, cot_graph_dump(n->graph, stage, NULL, append_text, &text));
    char *copy = strdup(coti_str_text(&text));
    coti_str_free(&text);
    assert_non_null(copy);
    return copy;
}

static int32_t count_text(const char *text, const char *part) {
    int32_t n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

/* Forward and backward loop in chains over rows; the sums over rows and time are products. */
static void loops_are_over_rows(void **state) {
    (void)state;
    net n = make_net(2, "lstm", 4, 50);
    char *plan = dump_of(&n, "plan"), *fuse = dump_of(&n, "fuse");
    assert_int_equal(count_text(plan, " = 50 steps of the next "), 1);
    assert_int_equal(count_text(plan, " = 50 steps, from the last to the first, of the next "), 1);
    for (const char *at = strstr(plan, " steps"); at != NULL; at = strstr(at + 1, " steps")) {
        const char *chain = at;
        while (strncmp(chain, "  chain over ", 13) != 0) {
            assert_true(chain-- > plan);
        }
        assert_int_equal(strncmp(chain, "  chain over rows", 17), 0);
    }
    assert_int_equal(count_text(fuse, "own group: a loop"), 2);
    assert_true(count_text(fuse, "another result of the loop of ") >= 2);
    assert_true(count_text(fuse, "end of the step of \"lstm\"") == 2);
    free(plan);
    free(fuse);
    drop_net(&n);
}

/* No sum over rows and no running sum is left in the backward loop of a cell: its carries are the
 * cotangents of the cell's. */
static void weights_are_summed_behind_the_loop(void **state) {
    (void)state;
    net n = make_net(1, "lstm", 4, 5);
    int32_t n_backward = 0;
    for (uint32_t id = 1; id < n.graph->node.count; id++) {
        const coti_node *node = coti_node_at(n.graph, id);
        if (node->op != COT_OP_SCAN || !coti_scan_of(node).reverse) {
            continue;
        }
        const coti_scan scan = coti_scan_of(node);
        n_backward++;
        assert_int_equal(scan.n_carries, 2);
        for (uint32_t k = 1; k < scan.body->node.count; k++) {
            const coti_node *inner = coti_node_at(scan.body, k);
            if (inner->op == COT_OP_DOT || inner->op == COT_OP_SUM) {
                assert_true(inner->shape.batched);
            }
        }
    }
    assert_true(n_backward > 0);
    drop_net(&n);
}

/* A step that reduces over the rows: one unit, and right. */
static void a_step_that_mixes_rows(void **state) {
    (void)state;
    net n = {.context = context_for(3)};
    cot_value grad[2];
    n.graph = cot_graph_create(n.context, "mix");
    add_input(&n, COT_BATCH(3));
    add_input(&n, COT_BATCH(4, 3));
    const cot_value c = scan_case_result("centre", n.x, false, 0);
    const cot_value y = scan_case_result("centre", n.x, false, 1);
    const cot_value loss =
        cot_op_mean(cot_op_binary(COT_OP_MUL, y, y), (int32_t[]){0, 1, 2}, 3, false);
    CHECK_OK(n.context, cot_grad(loss, n.x, 2, grad));
    add_output(&n, c);
    add_output(&n, y);
    add_output(&n, grad[0]);
    add_output(&n, grad[1]);
    char *plan = dump_of(&n, "plan");
    for (const char *at = strstr(plan, " = 4 steps"); at != NULL;
         at = strstr(at + 1, " = 4 steps")) {
        const char *chain = at;
        while (strncmp(chain, "  chain over ", 13) != 0) {
            assert_true(chain-- > plan);
        }
        assert_int_equal(strncmp(chain, "  chain over 1 units", 20), 0);
    }
    free(plan);
    size_t count = 0;
    float *y_data = run_program(&n, 64, MOST_ROWS, &count);
    check_evaluator(&n, MOST_ROWS, y_data);
    free(y_data);
    drop_net(&n);
}

/* An RNN between two maps, all of it in a region that is computed again, or not. */
static net make_region(bool region) {
    net n = {.context = context_for(2)};
    cot_value results[SCAN_CASE_RESULTS], grad[SCAN_CASE_OPERANDS];
    n.graph = cot_graph_create(n.context, "region");
    add_input(&n, COT_BATCH(UNITS));
    add_input(&n, COT_BATCH(6, INPUTS));
    add_input(&n, COT_SHAPE(INPUTS, UNITS));
    add_input(&n, COT_SHAPE(UNITS, UNITS));
    add_input(&n, COT_SHAPE(UNITS));
    cot_graph_set_remat(n.graph, region);
    const cot_value operand[] = {n.x[0], cot_op_unary(COT_OP_TANH, n.x[1]), n.x[2], n.x[3], n.x[4]};
    CHECK_OK(n.context, scan_case_build("rnn", operand, false, NULL, results));
    const cot_value y = cot_op_unary(COT_OP_TANH, results[1]);
    const cot_value z = cot_op_binary(COT_OP_MUL, y, y);
    cot_graph_set_remat(n.graph, false);
    const cot_value loss =
        cot_op_mean(cot_op_binary(COT_OP_MUL, z, z), (int32_t[]){0, 1, 2}, 3, false);
    CHECK_OK(n.context, cot_grad(loss, n.x, n.n_inputs, grad));
    for (int32_t i = 0; i < n.n_inputs; i++) {
        add_output(&n, grad[i]);
    }
    CHECK_OK(n.context, coti_graph_verify(n.graph));
    return n;
}

static int32_t count_loops(const net *n) {
    char *fuse = dump_of(n, "fuse");
    const int32_t loops = count_text(fuse, "own group: a loop");
    free(fuse);
    return loops;
}

/* A region's loop is run again for its histories, and gives the same bits. */
static void regions_may_hold_loops(void **state) {
    (void)state;
    net plain = make_region(false), region = make_region(true);
    size_t n_plain = 0, n_region = 0;
    float *want = run_program(&plain, 64, MOST_ROWS, &n_plain);
    float *got = run_program(&region, 64, MOST_ROWS, &n_region);
    check_evaluator(&plain, MOST_ROWS, want);
    assert_int_equal(n_plain, n_region);
    assert_memory_equal(got, want, n_plain * sizeof *want);
    assert_int_equal(count_loops(&plain), 2);
    assert_int_equal(count_loops(&region), 3);
    free(want);
    free(got);
    drop_net(&plain);
    drop_net(&region);
}

static cot_status compile_net(cot_context *context, void *user) {
    (void)user;
    cot_graph *graph = cot_graph_create(context, "g");
    if (graph == NULL) {
        return COT_E_NOMEM;
    }
    const cot_value x[] = {cot_op_input(graph, COT_F32, COT_BATCH(2), "c"),
                           cot_op_input(graph, COT_F32, COT_BATCH(3, 2), "x"),
                           cot_op_input(graph, COT_F32, COT_BATCH(2), "k")};
    cot_value results[SCAN_CASE_RESULTS], grad;
    cot_status status = cot_error_get(context).status;
    status = status == COT_OK ? scan_case_build("affine", x, false, NULL, results) : status;
    const int32_t axes[] = {0, 1, 2};
    if (status == COT_OK) {
        const cot_value loss = cot_op_reduce(COT_OP_SUM, results[2], axes, 3, false);
        status = cot_grad(loss, &x[2], 1, &grad);
    }
    status = status == COT_OK ? cot_graph_output(grad, "dk") : status;
    cot_program *program = status == COT_OK ? cot_program_create(graph, NULL) : NULL;
    status = status == COT_OK && program == NULL ? cot_error_get(context).status : status;
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    const cot_options options = {
        .struct_size = sizeof options, .threads = 1, .environment = COT_OFF};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 7, &options, compile_net, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_cost_no_kernels),
        cmocka_unit_test(threads_and_rows_change_no_bit),
        cmocka_unit_test(few_rows),
        cmocka_unit_test(products_are_stacked),
        cmocka_unit_test(loops_are_over_rows),
        cmocka_unit_test(weights_are_summed_behind_the_loop),
        cmocka_unit_test(a_step_that_mixes_rows),
        cmocka_unit_test(regions_may_hold_loops),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
