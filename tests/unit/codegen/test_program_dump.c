/* What programs show of their stages, each test on the evaluator and, where there is one, on the
 * JIT. */
#include "check.h"
#include "program_network.h"

#include "codegen/jit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool jit; /* of the test at hand */

static bool collect(const char *text, size_t n, void *user) {
    char *all = user;
    size_t used = strlen(all);
    if (used + n < 60000) {
        memcpy(all + used, text, n);
        all[used + n] = '\0';
    }
    return true;
}

static bool refuse(const char *text, size_t n, void *user) {
    (void)text;
    (void)n;
    (void)user;
    return false;
}

static void stages_are_shown(void **state) {
    (void)state;
    static const char *const row[][2] = {
        {"graph", "graph @net"}, {"grad", "update %w"},           {"opt", "# stage opt of net"},
        {"fuse", "x"},           {"plan", "plan of net: phases"}, {"llvm", "define"},
        {"asm", ".text"},
    };
    static char text[60001];
    cot_context *context = network_context(jit);
    network n = network_make(context);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        text[0] = '\0';
        cot_status status = cot_graph_dump(n.graph, row[i][0], NULL, collect, text);
        if (!jit && i > 2) {
            assert_int_equal(status, COT_E_UNSUPPORTED);
            CHECK_ERROR(context, COT_E_UNSUPPORTED, row[i][0]);
            continue;
        }
        CHECK_OK(context, status);
        if (strstr(text, row[i][1]) == NULL) {
            fail_msg("stage %s lacks \"%s\":\n%s", row[i][0], row[i][1], text);
        }
    }
    assert_int_equal(cot_graph_dump(n.graph, "opt", NULL, refuse, NULL), COT_E_IO);
    CHECK_ERROR(context, COT_E_IO, "");
    assert_int_equal(cot_graph_dump(n.graph, "optimized", NULL, collect, text), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "optimized");
    assert_int_equal(cot_graph_dump(n.graph, NULL, NULL, collect, text), COT_E_ARG);
    cot_error_clear(context);
    assert_int_equal(cot_graph_dump(n.graph, "opt", NULL, NULL, text), COT_E_ARG);
    cot_error_clear(context);
    assert_int_equal(cot_graph_dump(NULL, "opt", NULL, collect, text), COT_E_ARG);
    network_drop(&n);
    cot_context_destroy(context);
}

static void dumps_go_to_files(void **state) {
    (void)state;
    static const char *const file[] = {"00_net_graph.cot", "01_net_opt.cot", "02_net_fuse.txt",
                                       "03_net_plan.txt",  "04_net_llvm.ll", "05_net_asm.s"};
    char directory[] = "/tmp/cot_program_XXXXXX", path[128];
    assert_non_null(mkdtemp(directory));
    cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                             .dump = "all",
                                                             .dump_dir = directory,
                                                             .jit = jit ? COT_ON : COT_OFF,
                                                             .environment = COT_OFF});
    network n = network_make(context);
    cot_program_destroy(network_program(n.graph, MAX_ROWS));
    for (size_t i = 0; i < (jit ? 6 : 2); i++) {
        struct stat found;
        snprintf(path, sizeof path, "%s/%s", directory, file[i]);
        assert_int_equal(stat(path, &found), 0);
        assert_true(found.st_size > 100);
        unlink(path);
    }
    assert_int_equal(rmdir(directory), 0); /* and no others */
    network_drop(&n);
    cot_context_destroy(context);
}

/* Time is counted while it is asked for, call by call, and on kernels only. */
static void calls_tell_their_time(void **state) {
    (void)state;
    static float x[MAX_ROWS * COLUMNS];
    const cot_array array = {
        .data = x, .n_rows = MAX_ROWS, .row_elements = COLUMNS, .dtype = COT_F32};
    cot_context *context = network_context(jit);
    network n = network_make(context);
    cot_program *program = network_program(n.graph, MAX_ROWS);
    cot_session *session = cot_session_create(program);
    assert_int_equal(cot_session_bind(session, "x", &array), COT_OK);
    const int32_t n_calls = cot_session_n_calls(session);
    assert_int_equal(n_calls, jit ? cot_program_get_info(program).n_calls : 0);
    double seconds[3] = {0}, flops = 0;
    for (int32_t run = 0; run < 3; run++) {
        cot_session_set_profiling(session, run == 1);
        assert_int_equal(cot_session_run(session, MAX_ROWS), COT_OK);
        for (int32_t i = 0; i < n_calls; i++) {
            cot_call_info call = cot_session_call(session, i);
            assert_non_null(call.kernel);
            assert_in_range(call.phase, 0, n_calls - 1);
            seconds[run] += call.seconds;
            flops += run == 0 ? call.flops : 0;
        }
    }
    assert_true(seconds[0] == 0 && seconds[1] == seconds[2]);
    assert_true(seconds[1] > 0 || !jit);
    assert_true(flops >= 2.0 * MAX_ROWS * COLUMNS * OUT || !jit);
    assert_null(cot_session_call(session, n_calls).kernel);
    assert_null(cot_session_call(session, -1).kernel);
    assert_null(cot_session_call(NULL, 0).kernel);
    assert_int_equal(cot_session_n_calls(NULL), 0);
    cot_session_set_profiling(NULL, true);
    cot_session_destroy(session);
    cot_program_destroy(program);
    network_drop(&n);
    cot_context_destroy(context);
}

static int run_all(bool with_jit) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_are_shown),
        cmocka_unit_test(dumps_go_to_files),
        cmocka_unit_test(calls_tell_their_time),
    };
    jit = with_jit;
    return cmocka_run_group_tests_name(with_jit ? "on kernels" : "on the evaluator", tests, NULL,
                                       NULL);
}

int main(void) {
    network_init();
    int failed = run_all(false);
    return coti_jit_available() ? failed + run_all(true) : failed;
}
