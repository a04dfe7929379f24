/*
 * Random small graphs on compiled kernels; and files, such as those of corpus/, which have shown a
 * bug once.
 *
 *   test_random_graphs                      graphs 0 to 999, two ways each
 *   test_random_graphs FIRST COUNT [all]    these graphs, two ways each, or every way
 *   test_random_graphs FILE.cot...          these files, every way, with the numbers of ten seeds
 * (one where effort.h says quick)
 *
 * What is compared, and the ways, stand in differential.h. A graph that fails is made smaller as
 * long as it fails, and written to random_SEED.cot: with its fix it joins the corpus. The status is
 * 1 if any failed.
 */
#include "check.h"
#include "codegen/jit.h"
#include "differential.h"
#include "effort.h"
#include "graph/graph.h"
#include "random_graph.h"

#include <stdlib.h>

enum { FILE_SEEDS = 10, MOST_FAILURES = 10, LEAST_OCCURRENCES = 10 };

static laboratory lab;
static int32_t n_failures;
static int64_t n_graphs, n_nodes, op_count[COT_OP_COUNT];

/* ---- reporting ---- */

static void write_text(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    bool written = file != NULL && fputs(text, file) >= 0;
    if ((file != NULL && fclose(file) != 0) || !written) {
        fprintf(stderr, "%s cannot be written\n", name);
    }
}

static void report(const char *what, const char *text, uint64_t seed, const finding *f) {
    char name[64];
    char *small = shrink(&lab, text, seed, f->treatment);
    finding last = differential_check(&lab, small, seed, 1u << f->treatment);
    snprintf(name, sizeof name, "random_%llu.cot", (unsigned long long)seed);
    write_text(name, small);
    fprintf(stderr,
            "%s, numbers of seed %llu: %s: output %s: %s\nsmaller (%s): %s: output %s: %s\n%s",
            what, (unsigned long long)seed, treatment_text(f->treatment), f->output, f->message,
            name, treatment_text(last.treatment), last.output, last.message, small);
    free(small);
    n_failures++;
}

static void check_text(const char *what, const char *text, uint64_t seed, unsigned treatments) {
    finding f = differential_check(&lab, text, seed, treatments);
    if (f.treatment != N_TREATMENTS) {
        report(what, text, seed, &f);
    }
}

/* ---- graphs ---- */

static void count_nodes(const cot_graph *graph) {
    n_graphs++;
    n_nodes += (int64_t)graph->node.count - 1;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        op_count[coti_node_at(graph, id)->op]++;
    }
}

/* The text of a seed's graph. */
static char *random_text(uint64_t seed) {
    cot_context *context = lab.context[EACH_NODE];
    cot_error_clear(context);
    random_graph g = random_graph_make(context, seed);
    if (cot_error_get(context).status != COT_OK) {
        fail_msg("seed %llu: a builder refuses: %s", (unsigned long long)seed,
                 cot_error_message(context));
    }
    random_graph_finish(&g, seed, false);
    count_nodes(g.graph);
    char *text = graph_text(g.graph);
    cot_graph_destroy(g.graph);
    cot_variable_release(g.variable);
    assert_non_null(text);
    return text;
}

static void check_seeds(uint64_t first, uint64_t count, bool all) {
    for (uint64_t seed = first; seed < first + count && n_failures < MOST_FAILURES; seed++) {
        char what[48];
        char *text = random_text(seed);
        snprintf(what, sizeof what, "graph %llu", (unsigned long long)seed);
        check_text(what, text, seed, all ? all_treatments() : two_treatments(seed));
        free(text);
    }
}

static void check_file(const char *path) {
    enum { MOST_BYTES = 1 << 20 };
    FILE *file = fopen(path, "r");
    char *text = calloc(MOST_BYTES + 1, 1);
    size_t bytes = file != NULL ? fread(text, 1, MOST_BYTES, file) : 0;
    if (bytes == 0) {
        fail_msg("%s cannot be read", path);
    }
    fclose(file);
    if (effort_is_quick()) { /* two of the ways, by turns */
        check_text(path, text, 0, two_treatments((uint64_t)bytes));
    }
    for (uint64_t seed = 0; seed < FILE_SEEDS && !effort_is_quick(); seed++) {
        check_text(path, text, seed, all_treatments());
    }
    free(text);
}

/* ---- the suite ---- */

static void test_random_graphs(void **state) {
    (void)state;
    check_seeds(0, 1000, false);
    assert_int_equal(n_failures, 0);
}

/* The generator itself: every op stands in some of the suite's graphs. */
static void test_all_ops_occur(void **state) {
    (void)state;
    for (int32_t op = 0; op < COT_OP_COUNT; op++) {
        if (op_count[op] < LEAST_OCCURRENCES) {
            fail_msg("%s stands %d times in %d graphs", cot_op_name((cot_op)op), (int)op_count[op],
                     (int)n_graphs);
        }
    }
}

static int run_suite(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_all_ops_occur),
    };
    return cmocka_run_group_tests_name("random_graphs", tests, NULL, NULL);
}

static int run_command(int argc, char **argv) {
    if (strstr(argv[1], ".cot") != NULL) {
        for (int i = 1; i < argc; i++) {
            check_file(argv[i]);
        }
    } else {
        bool all = argc == 4 && strcmp(argv[3], "all") == 0;
        check_seeds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), all);
        printf("%lld graphs, %lld nodes, %d failures\n", (long long)n_graphs, (long long)n_nodes,
               (int)n_failures);
    }
    return n_failures > 0;
}

int main(int argc, char **argv) {
    if (!coti_jit_available()) {
        return 0;
    }
    int failed = laboratory_open(&lab) ? 0 : 1;
    if (failed == 0) {
        failed = argc > 1 ? run_command(argc, argv) : run_suite();
    }
    laboratory_close(&lab);
    return failed;
}
