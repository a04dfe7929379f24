/*
 * Programs and sessions, each test on the evaluator and, where there is one, on the JIT's kernels:
 * results against plain loops on small integers, which float arithmetic keeps exact in any order.
 */
#include "alloc_fail.h"
#include "check.h"

#include "program_network.h"

#include "codegen/jit.h"
#include "codegen/program.h"

#include <pthread.h>

static float x[DATA_ROWS * COLUMNS];
static unsigned char bytes[DATA_ROWS * COLUMNS];
static int64_t order[DATA_ROWS];
static bool jit; /* of the test at hand */

/* One step of the network on these rows, in place. */
static void step(const float *rows, int64_t n, float weights[COLUMNS * OUT], float *sum,
                 float *y_out, float *total_out) {
    float total = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < OUT; j++) {
            float y = *sum;
            for (int64_t k = 0; k < COLUMNS; k++) {
                y += rows[i * COLUMNS + k] * weights[k * OUT + j];
            }
            y_out[i * OUT + j] = y;
            total += y;
        }
    }
    for (int64_t i = 0; i < COLUMNS * OUT; i++) {
        weights[i] += *sum;
    }
    *sum += 1;
    *total_out = total;
}

static const cot_array x_array = {
    .data = x, .n_rows = DATA_ROWS, .row_elements = COLUMNS, .dtype = COT_F32};

static cot_session *session_of(const cot_program *program, const cot_array *array) {
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    assert_int_equal(cot_session_bind(session, "x", array), COT_OK);
    return session;
}

/* ---- what a run gives ---- */

static void a_step_gives_outputs_and_updates(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    network n = network_make(context);
    cot_variable *kept = cot_variable_retain(n.w);
    cot_program *program = network_program(n.graph, MAX_ROWS);
    network_drop(&n);
    cot_session *session = session_of(program, &x_array);
    float y[MAX_ROWS * OUT], total = 0, expected_y[MAX_ROWS * OUT], expected_total = 0, sum = 0;
    float weights[COLUMNS * OUT], found[COLUMNS * OUT];
    memcpy(weights, network_w, sizeof network_w);
    assert_int_equal(cot_session_bind_output(session, "y", y, sizeof y), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "total", &total, sizeof total), COT_OK);
    static const int64_t rows[] = {MAX_ROWS, 1, 9};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cot_session_run(session, rows[i]), COT_OK);
        assert_string_equal(cot_session_message(session), "");
        step(x, rows[i], weights, &sum, expected_y, &expected_total);
        assert_memory_equal(y, expected_y, (size_t)rows[i] * OUT * sizeof *y);
        assert_true(total == expected_total);
        CHECK_OK(context, cot_variable_get(kept, found, sizeof found));
        assert_memory_equal(found, weights, sizeof weights);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_variable_release(kept);
    cot_context_destroy(context);
}

/* Ranges of batches in an order: positions, short last batches, outputs of all rows. */
static void ranges_run_in_batches(void **state) {
    (void)state;
    static const int64_t row[][3] = {{0, 100, 16}, {5, 16, 16}, {3, 50, 7}, {99, 1, 16}, {0, 0, 4}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const int64_t first = row[i][0], n_rows = row[i][1], batch = row[i][2];
        cot_context *context = network_context(jit);
        network n = network_make(context);
        cot_program *program = network_program(n.graph, MAX_ROWS);
        cot_session *session = session_of(program, &x_array);
        float y[DATA_ROWS * OUT], expected[DATA_ROWS * OUT], gathered[MAX_ROWS * COLUMNS];
        float weights[COLUMNS * OUT], sum = 0, total = 0, found = 0;
        int64_t steps = -1;
        memcpy(weights, network_w, sizeof network_w);
        int32_t i_x = coti_program_find_input(program, "x");
        assert_int_equal(coti_session_bind_ordered(session, i_x, &x_array, order), COT_OK);
        size_t bytes_y = (size_t)n_rows * OUT * sizeof *y;
        assert_int_equal(cot_session_bind_output(session, "y", y, bytes_y), COT_OK);
        assert_int_equal(coti_session_run_range(session, first, n_rows, batch, NULL, &steps),
                         COT_OK);
        assert_int_equal(steps, (n_rows + batch - 1) / batch);
        for (int64_t done = 0; done < n_rows; done += batch) {
            int64_t rows = batch < n_rows - done ? batch : n_rows - done;
            for (int64_t r = 0; r < rows; r++) {
                memcpy(gathered + r * COLUMNS, x + order[first + done + r] * COLUMNS,
                       COLUMNS * sizeof *x);
            }
            step(gathered, rows, weights, &sum, expected + done * OUT, &total);
        }
        assert_memory_equal(y, expected, bytes_y);
        CHECK_OK(context, cot_variable_get(n.sum, &found, sizeof found));
        assert_true(found == sum);
        cot_session_destroy(session);
        cot_program_destroy(program);
        network_drop(&n);
        cot_context_destroy(context);
    }
}

static void data_of_other_dtypes_is_converted(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    cot_graph *graph = cot_graph_create(context, "convert");
    cot_value pixel = cot_op_input(graph, COT_F32, COT_BATCH(COLUMNS), "pixel");
    cot_value label = cot_op_input(graph, COT_I32, COT_BATCH(1), "label");
    cot_value factor = cot_op_input(graph, COT_F32, COT_SHAPE(COLUMNS), "factor");
    cot_graph_output(cot_op_binary(COT_OP_MUL, pixel, factor), "scaled");
    cot_graph_output(cot_op_binary(COT_OP_ADD, label, label), "twice");
    cot_program *program = network_program(graph, MAX_ROWS);
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    float factors[COLUMNS], scaled[4 * COLUMNS];
    int64_t labels[4] = {3, -1, 1 << 20, 0};
    int32_t twice[4];
    unsigned char small[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        small[i] = (unsigned char)(i + 1);
        factors[i] = 0.5f * (float)small[i];
    }
    cot_array pixels = {.data = bytes,
                        .dtype = COT_U8,
                        .n_rows = 4,
                        .row_elements = COLUMNS,
                        .row_bytes = 2 * COLUMNS,
                        .scale = 0.25f,
                        .offset = 1};
    cot_array label_array = {.data = labels, .dtype = COT_I64, .n_rows = 4, .row_elements = 1};
    cot_array factor_array = {
        .data = small, .dtype = COT_U8, .n_rows = 1, .row_elements = COLUMNS, .scale = 0.5f};
    assert_int_equal(cot_session_bind(session, "pixel", &pixels), COT_OK);
    assert_int_equal(cot_session_bind(session, "label", &label_array), COT_OK);
    assert_int_equal(cot_session_bind(session, "factor", &factor_array), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "scaled", scaled, sizeof scaled), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "twice", twice, sizeof twice), COT_OK);
    /* The last two positions, one by one, and then all: `factor` has no rows to count off. */
    assert_int_equal(coti_session_run_range(session, 2, 2, 1, NULL, NULL), COT_OK);
    for (int j = 0; j < COLUMNS; j++) {
        float value = (float)bytes[3 * 2 * COLUMNS + j] * 0.25f + 1;
        assert_true(scaled[COLUMNS + j] == value * factors[j]);
    }
    assert_int_equal(cot_session_run(session, 4), COT_OK);
    for (int r = 0; r < 4; r++) {
        assert_int_equal(twice[r], 2 * labels[r]);
        for (int j = 0; j < COLUMNS; j++) {
            float value = (float)bytes[r * 2 * COLUMNS + j] * 0.25f + 1;
            assert_true(scaled[r * COLUMNS + j] == value * factors[j]);
        }
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* An input that goes into a state and nowhere else is missed when it is not bound. */
static void an_input_may_become_a_state(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    cot_graph *graph = cot_graph_create(context, "store");
    cot_variable *kept = cot_variable_create(context, COT_F32, COT_SHAPE(3), "kept");
    cot_value a = cot_op_input(graph, COT_F32, COT_SHAPE(3), "a");
    CHECK_OK(context, cot_graph_update(cot_op_state(graph, kept), a));
    cot_program *program = network_program(graph, 0);
    cot_session *session = cot_session_create(program);
    float in[3] = {1, -2, 3}, out[3] = {0};
    assert_int_equal(cot_session_run(session, 1), COT_E_ARG);
    assert_non_null(strstr(cot_session_message(session), "\"a\" is not bound"));
    const cot_array array = {.data = in, .n_rows = 1, .row_elements = 3};
    assert_int_equal(cot_session_bind(session, "a", &array), COT_OK);
    assert_int_equal(cot_session_run(session, 1), COT_OK);
    CHECK_OK(context, cot_variable_get(kept, out, sizeof out));
    assert_memory_equal(out, in, sizeof in);
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_variable_release(kept);
    cot_context_destroy(context);
}

/* Constants and an input that is an output at once; nothing batched: one row, always. */
static void graphs_without_rows_run_once(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    cot_graph *graph = cot_graph_create(context, "plain");
    static const float table[6] = {1, 2, 3, 4, 5, 6};
    cot_value a = cot_op_input(graph, COT_F32, COT_SHAPE(2, 3), "a");
    cot_value c = cot_op_constant_array(graph, COT_F32, COT_SHAPE(2, 3), table);
    cot_graph_output(cot_op_binary(COT_OP_SUB, a, c), "difference");
    cot_graph_output(a, "same");
    cot_graph_output(c, "constant");
    cot_program *program = network_program(graph, 0);
    cot_graph_destroy(graph);
    cot_session *session = cot_session_create(program);
    float in[6] = {10, 20, 30, 40, 50, 60}, out[6], same[6], constant[6];
    const cot_array array = {.data = in, .n_rows = 1, .row_elements = 6};
    assert_int_equal(cot_session_bind(session, "a", &array), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "difference", out, sizeof out), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "same", same, sizeof same), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "constant", constant, sizeof constant),
                     COT_OK);
    assert_int_equal(cot_session_run(session, 1), COT_OK);
    for (int i = 0; i < 6; i++) {
        assert_true(out[i] == in[i] - table[i]);
    }
    assert_memory_equal(same, in, sizeof in);
    assert_memory_equal(constant, table, sizeof table);
    assert_int_equal(cot_session_run(session, 2), COT_E_ARG);
    assert_non_null(strstr(cot_session_message(session), "a run of 2 rows"));
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_context_destroy(context);
}

static void threads_and_maximum_change_no_bit(void **state) {
    (void)state;
    float first[DATA_ROWS * OUT], y[DATA_ROWS * OUT], inexact[DATA_ROWS * COLUMNS];
    for (int i = 0; i < DATA_ROWS * COLUMNS; i++) {
        inexact[i] = x[i] / 37.0f;
    }
    cot_array array = x_array;
    array.data = inexact;
    for (int32_t variant = 0; variant < 6; variant++) {
        cot_context *context =
            cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                              .threads = 1 + variant % 4,
                                              .plan = variant == 4 ? COT_OFF : COT_ON,
                                              .fuse = variant == 5 ? COT_OFF : COT_ON,
                                              .jit = jit ? COT_ON : COT_OFF,
                                              .environment = COT_OFF});
        network n = network_make(context);
        cot_program *program = network_program(n.graph, variant % 2 == 0 ? 16 : 64);
        cot_session *session = session_of(program, &array);
        assert_int_equal(cot_session_bind_output(session, "y", variant == 0 ? first : y, sizeof y),
                         COT_OK);
        assert_int_equal(coti_session_run_range(session, 0, DATA_ROWS, 16, NULL, NULL), COT_OK);
        if (variant > 0) {
            assert_memory_equal(y, first, sizeof y);
        }
        cot_session_destroy(session);
        cot_program_destroy(program);
        network_drop(&n);
        cot_context_destroy(context);
    }
}

static void cancel_is_heard(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    network n = network_make(context);
    cot_program *program = network_program(n.graph, MAX_ROWS);
    cot_session *session = session_of(program, &x_array);
    int32_t cancel = 1;
    int64_t steps = -1;
    float sum = 0;
    assert_int_equal(coti_session_run_range(session, 0, DATA_ROWS, 4, &cancel, &steps),
                     COT_E_CANCELLED);
    assert_int_equal(steps, 0);
    assert_int_equal(coti_session_error(session)->status, COT_E_CANCELLED);
    CHECK_OK(context, cot_variable_get(n.sum, &sum, sizeof sum));
    assert_true(sum == 0);
    cancel = 0;
    assert_int_equal(coti_session_run_range(session, 0, DATA_ROWS, 4, &cancel, &steps), COT_OK);
    assert_int_equal(steps, 25);
    cot_session_destroy(session);
    cot_program_destroy(program);
    network_drop(&n);
    cot_context_destroy(context);
}

/* ---- threads of the host ---- */

typedef struct worker {
    const cot_program *program;
    cot_session *session;
    float y[DATA_ROWS * OUT];
    cot_status status;
} worker;

static void *work(void *user) {
    worker *own = user;
    for (int i = 0; i < 20 && own->status == COT_OK; i++) {
        own->status = coti_session_run_range(own->session, 0, DATA_ROWS, 7, NULL, NULL);
    }
    return NULL;
}

static void sessions_of_one_program_run_together(void **state) {
    (void)state;
    enum { WORKERS = 3 };
    static worker workers[WORKERS];
    cot_context *context = network_context(jit);
    cot_graph *graph = cot_graph_create(context, "shared");
    cot_value input = cot_op_input(graph, COT_F32, COT_BATCH(COLUMNS), "x");
    cot_value weights = cot_op_constant_array(graph, COT_F32, COT_SHAPE(COLUMNS, OUT), network_w);
    cot_graph_output(cot_op_matmul(input, weights), "y");
    cot_program *program = network_program(graph, MAX_ROWS);
    pthread_t thread[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.program = program, .session = session_of(program, &x_array)};
        assert_int_equal(
            cot_session_bind_output(workers[i].session, "y", workers[i].y, sizeof workers[i].y),
            COT_OK);
        assert_int_equal(pthread_create(&thread[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(workers[i].status, COT_OK);
        for (int r = 0; r < DATA_ROWS; r++) {
            float expected = 0;
            for (int k = 0; k < COLUMNS; k++) {
                expected += x[r * COLUMNS + k] * network_w[k * OUT + r % OUT];
            }
            assert_true(workers[i].y[r * OUT + r % OUT] == expected);
        }
        cot_session_destroy(workers[i].session);
    }
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- facts ---- */

static void facts_are_told(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    network n = network_make(context);
    cot_program *program = network_program(n.graph, MAX_ROWS);
    cot_program_info info = cot_program_get_info(program);
    assert_true(info.compile_seconds > 0);
    assert_int_equal(cot_context_kernels_compiled(context), info.n_compiled);
    if (jit) {
        assert_true(info.n_kernels > 0 && info.n_kernels == info.n_compiled);
        assert_true(info.n_calls >= info.n_kernels);
        assert_true(info.arena_bytes >= info.arena_bound_bytes && info.arena_bound_bytes > 0);
    } else {
        assert_int_equal(info.n_kernels, 0);
    }
    /* The same again: nothing is compiled anew. */
    int64_t compiled = cot_context_kernels_compiled(context);
    cot_program *again = network_program(n.graph, MAX_ROWS);
    assert_int_equal(cot_context_kernels_compiled(context), compiled);
    assert_int_equal(cot_program_get_info(again).n_compiled, 0);
    assert_int_equal(coti_program_find_input(program, "unused"), 1);
    assert_int_equal(coti_program_find_input(program, "y"), -1);
    assert_int_equal(coti_program_find_input(program, NULL), -1);
    assert_int_equal(coti_program_find_output(program, "total"), 1);
    cot_program_destroy(again);
    cot_program_destroy(program);
    network_drop(&n);
    cot_context_destroy(context);
    assert_int_equal(cot_program_get_info(NULL).n_calls, 0);
    assert_int_equal(cot_context_kernels_compiled(NULL), 0);
    cot_program_destroy(NULL);
    cot_session_destroy(NULL);
}

/* ---- mistakes ---- */

#define CHECK_SESSION(session, expression, expected_status, text)                                  \
    do {                                                                                           \
        assert_int_equal(expression, expected_status);                                             \
        if (strstr(cot_session_message(session), text) == NULL) {                                  \
            fail_msg("\"%s\" lacks \"%s\"", cot_session_message(session), text);                   \
        }                                                                                          \
    } while (0)

static void session_mistakes_are_named(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    network n = network_make(context);
    cot_program *program = network_program(n.graph, MAX_ROWS);
    cot_session *s = cot_session_create(program);
    float y[MAX_ROWS * OUT];
    CHECK_SESSION(s, cot_session_run(s, 1), COT_E_ARG, "input \"x\" is not bound");
    CHECK_SESSION(s, cot_session_bind(s, "z", &x_array), COT_E_ARG,
                  "program \"net\" has no input \"z\"; it has \"x\", \"unused\"");
    CHECK_SESSION(s, cot_session_bind(s, NULL, &x_array), COT_E_ARG, "(NULL)");
    CHECK_SESSION(s, cot_session_bind(s, "x", NULL), COT_E_ARG, "NULL");
    CHECK_SESSION(s, cot_session_bind_output(s, "x", y, sizeof y), COT_E_ARG,
                  "no output \"x\"; it has \"y\", \"total\"");
    CHECK_SESSION(s, cot_session_bind_output(s, "y", y, 13), COT_E_ARG,
                  "output \"y\" is f32[N,3]: 13 bytes are given, expected a multiple of 12");
    CHECK_SESSION(s, cot_session_bind_output(s, "total", y, 8), COT_E_ARG, "expected 4");
    assert_int_equal(cot_session_bind(s, "x", &x_array), COT_OK);
    CHECK_SESSION(s, cot_session_run(s, 0), COT_E_ARG, "0 rows: the program takes 1 to 16");
    CHECK_SESSION(s, cot_session_run(s, 17), COT_E_ARG, "17 rows");
    CHECK_SESSION(s, cot_session_run(s, INT64_MIN), COT_E_ARG, "rows");
    assert_int_equal(cot_session_bind_output(s, "y", y, 2 * OUT * sizeof *y), COT_OK);
    CHECK_SESSION(s, cot_session_run(s, 3), COT_E_ARG, "memory for 2 rows");
    assert_int_equal(cot_session_bind_output(s, "y", NULL, 0), COT_OK);
    assert_int_equal(cot_session_run(s, 3), COT_OK);
    assert_string_equal(cot_session_message(s), "");
    assert_int_equal(cot_session_run(NULL, 1), COT_E_ARG);
    assert_int_equal(cot_session_bind(NULL, "x", &x_array), COT_E_ARG);
    assert_int_equal(cot_session_bind_output(NULL, "y", y, 4), COT_E_ARG);
    assert_string_not_equal(cot_session_message(NULL), "");
    assert_null(cot_session_create(NULL));
    cot_session_destroy(s);
    cot_program_destroy(program);
    network_drop(&n);
    cot_context_destroy(context);
}

static void program_mistakes_are_named(void **state) {
    (void)state;
    cot_context *context = network_context(jit);
    network n = network_make(context);
    assert_null(cot_program_create(NULL, NULL));
    cot_program_options options = {.struct_size = sizeof options + 8};
    assert_null(cot_program_create(n.graph, &options));
    CHECK_ERROR(context, COT_E_ARG, "struct_size");
    options = (cot_program_options){.struct_size = sizeof options, .max_rows = -1};
    assert_null(cot_program_create(n.graph, &options));
    CHECK_ERROR(context, COT_E_ARG, "max_rows is -1");
    options.max_rows = (int64_t)1 << 46;
    assert_null(jit ? cot_program_create(n.graph, &options) : NULL);
    cot_error_clear(context);
    cot_graph *empty = cot_graph_create(context, "empty");
    assert_null(cot_program_create(empty, NULL));
    CHECK_ERROR(context, COT_E_ARG, "\"empty\" has neither outputs nor updates");
    /* A builder's error comes out here. */
    cot_graph_output(cot_op_matmul(cot_op_constant(empty, COT_F32, 1), coti_poison()), "bad");
    assert_null(cot_program_create(empty, NULL));
    assert_int_not_equal(cot_error_get(context).status, COT_OK);
    cot_error_clear(context);
    cot_graph_destroy(empty);
    network_drop(&n);
    cot_context_destroy(context);
}

/* ---- memory ---- */

static cot_status build_and_run(cot_context *context, void *user) {
    (void)user;
    network n = network_make(context);
    cot_program *program = cot_program_create(n.graph, NULL);
    cot_session *session = program != NULL ? cot_session_create(program) : NULL;
    cot_status status = cot_error_get(context).status;
    if (session != NULL) {
        float y[4 * OUT];
        status = cot_session_bind(session, "x", &x_array);
        status = status == COT_OK ? cot_session_bind_output(session, "y", y, sizeof y) : status;
        status = status == COT_OK ? cot_session_run(session, 4) : status;
        if (status != COT_OK) {
            COTI_FAIL(context, status, "%s", cot_session_message(session));
        }
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    network_drop(&n);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    cot_options options = {
        .jit = jit ? COT_ON : COT_OFF, .environment = COT_OFF, .threads = 2, .verify = COT_OFF};
    /* With kernels each try compiles: a sample of the calls. */
    CHECK_NO_COMPLAINT(alloc_fail_every(text, jit ? 7 : 1, &options, build_and_run, NULL));
}

static int run_all(bool with_jit) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_gives_outputs_and_updates),
        cmocka_unit_test(ranges_run_in_batches),
        cmocka_unit_test(data_of_other_dtypes_is_converted),
        cmocka_unit_test(an_input_may_become_a_state),
        cmocka_unit_test(graphs_without_rows_run_once),
        cmocka_unit_test(threads_and_maximum_change_no_bit),
        cmocka_unit_test(cancel_is_heard),
        cmocka_unit_test(sessions_of_one_program_run_together),
        cmocka_unit_test(facts_are_told),
        cmocka_unit_test(session_mistakes_are_named),
        cmocka_unit_test(program_mistakes_are_named),
        cmocka_unit_test(survives_without_memory),
    };
    jit = with_jit;
    return cmocka_run_group_tests_name(with_jit ? "on kernels" : "on the evaluator", tests, NULL,
                                       NULL);
}

int main(void) {
    for (int32_t i = 0; i < DATA_ROWS * COLUMNS; i++) {
        bytes[i] = (unsigned char)(i * 89 % 256);
        x[i] = (float)(i * 37 % 9 - 4);
    }
    network_init();
    for (int64_t i = 0; i < DATA_ROWS; i++) {
        order[i] = i * 37 % DATA_ROWS; /* a permutation: 37 and 100 have no common factor */
    }
    int failed = run_all(false);
    return coti_jit_available() ? failed + run_all(true) : failed;
}
