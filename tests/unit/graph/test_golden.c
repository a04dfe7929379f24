/*
 * Golden files of the graph's passes: tests/golden/<pass>/<case>.cot.
 *
 * A file holds a line "# RUN: <pass> <pass> ...", a graph, a line "# EXPECT", and the text that the
 * passes must make of it, byte by byte. Beyond that, for each file: every result is verified; a
 * pass says that it changed something exactly when the text changed (nodes that the parser merged
 * count for nothing); and the last pass, run on its own result, changes nothing.
 */
#include "graph_test.h"

#include <dirent.h>

typedef cot_status (*pass_fn)(const cot_graph *graph, cot_graph **result_out, bool *changed_out);

static const struct {
    const char *name;
    pass_fn run;
} passes[] = {
    {"simplify", coti_pass_simplify}, {"fold", coti_pass_fold},     {"cse", coti_pass_cse},
    {"dce", coti_pass_dce},           {"expand", coti_pass_expand},
};
enum { N_PASSES = sizeof passes / sizeof passes[0] };

static pass_fn find_pass(const char *name, size_t length) {
    for (size_t i = 0; i < N_PASSES; i++) {
        if (strlen(passes[i].name) == length && strncmp(passes[i].name, name, length) == 0) {
            return passes[i].run;
        }
    }
    fail_msg("there is no pass \"%.*s\"", (int)length, name);
    return NULL;
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
    }
    char *text = malloc(1 << 16);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 16) - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

/* Run one pass and take the graph over; what it says of changes must be so. */
static cot_graph *run_pass(cot_graph *graph, pass_fn pass, const char *path) {
    cot_context *context = graph->context;
    cot_graph *result = NULL;
    bool changed = false;
    CHECK_OK(context, pass(graph, &result, &changed));
    CHECK_OK(context, coti_graph_verify(result));
    char *before = text_of(graph);
    char *after = text_of(result);
    if (changed != (strcmp(before, after) != 0)) {
        fail_msg("%s: the pass says %s, from\n%sto\n%s", path, changed ? "changed" : "unchanged",
                 before, after);
    }
    free(before);
    free(after);
    cot_graph_destroy(graph);
    return result;
}

static void check_file(cot_context *context, const char *path) {
    char *text = read_file(path);
    static const char run_mark[] = "# RUN: ";
    static const char expect_mark[] = "\n# EXPECT\n";
    char *expected = strstr(text, expect_mark);
    if (strncmp(text, run_mark, sizeof run_mark - 1) != 0 || expected == NULL) {
        fail_msg("%s has no RUN or no EXPECT line", path);
    }
    *expected = '\0';
    expected += sizeof expect_mark - 1;
    cot_graph *graph = parse_text(context, text);
    pass_fn pass = NULL;
    const char *name = text + sizeof run_mark - 1;
    while (*name != '\n') {
        size_t n = strcspn(name, " \n");
        pass = find_pass(name, n);
        graph = run_pass(graph, pass, path);
        name += n + strspn(name + n, " ");
    }
    char *printed = text_of(graph);
    if (strcmp(printed, expected) != 0) {
        fail_msg("%s gives\n%s", path, printed);
    }
    graph = run_pass(graph, pass, path);
    char *again = text_of(graph);
    assert_string_equal(again, printed);
    free(again);
    free(printed);
    free(text);
    cot_graph_destroy(graph);
}

static void every_file_gives_what_it_expects(void **state) {
    fixture *f = *state;
    for (size_t i = 0; i < N_PASSES; i++) {
        char path[1024];
        int n_files = 0;
        snprintf(path, sizeof path, "%s/%s", COT_GOLDEN_DIR, passes[i].name);
        DIR *directory = opendir(path);
        if (directory == NULL) {
            fail_msg("cannot open %s", path);
        }
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            size_t length = strlen(entry->d_name);
            if (length > 4 && strcmp(entry->d_name + length - 4, ".cot") == 0) {
                snprintf(path, sizeof path, "%s/%s/%s", COT_GOLDEN_DIR, passes[i].name,
                         entry->d_name);
                check_file(f->context, path);
                n_files++;
            }
        }
        closedir(directory);
        assert_true(n_files > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_file_gives_what_it_expects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
