/* Dump files: which are written, what they are called, and what happens when they cannot be. */
#include "alloc_fail.h"
#include "check.h"

#include "runtime/base/context.h"

#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static int make_directory(void **state) {
    (void)state;
    strcpy(directory, "/tmp/cot_dump_XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int drop_directory(void **state) {
    (void)state;
    return rmdir(directory) != 0;
}

static cot_context *context_for(const char *stages, const char *dump_dir) {
    return cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                             .dump = stages,
                                             .dump_dir = dump_dir,
                                             .environment = COT_OFF});
}

/* The file's whole content must be `expected`; it is removed. */
static void check_file(const char *name, const char *expected) {
    char path[256], content[256] = {0};
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("%s is missing", path);
        return;
    }
    size_t n = fread(content, 1, sizeof content - 1, file);
    fclose(file);
    assert_int_equal(n, strlen(expected));
    assert_string_equal(content, expected);
    assert_int_equal(unlink(path), 0);
}

static void files_are_numbered_in_order(void **state) {
    (void)state;
    cot_context *context = context_for("graph,plan", directory);
    coti_dump *dump = NULL;
    CHECK_OK(context, coti_dump_open(context, COTI_STAGE_GRAPH, "my.net", "cot", &dump));
    assert_non_null(dump);
    assert_true(coti_dump_write("hello ", 6, dump));
    assert_true(coti_dump_write("world!!", 5, dump));
    CHECK_OK(context, coti_dump_close(context, dump));
    CHECK_OK(context, coti_dump_open(context, COTI_STAGE_FUSE, "my.net", "txt", &dump));
    assert_null(dump);
    CHECK_OK(context, coti_dump_close(context, dump));
    CHECK_OK(context, coti_dump_open(context, COTI_STAGE_PLAN, "my.net", "txt", &dump));
    CHECK_OK(context, coti_dump_close(context, dump));
    check_file("00_my_net_graph.cot", "hello world");
    check_file("01_my_net_plan.txt", "");
    cot_context_destroy(context);
}

static void the_directory_is_made(void **state) {
    (void)state;
    char below[128];
    snprintf(below, sizeof below, "%s/below", directory);
    cot_context *context = context_for("asm", below);
    coti_dump *dump = NULL;
    CHECK_OK(context, coti_dump_open(context, COTI_STAGE_ASM, "f", "s", &dump));
    CHECK_OK(context, coti_dump_close(context, dump));
    check_file("below/00_f_asm.s", "");
    assert_int_equal(rmdir(below), 0);
    cot_context_destroy(context);
}

static void failures_are_told(void **state) {
    (void)state;
    cot_context *context = context_for("graph", "/proc/no/such/place");
    coti_dump *dump = NULL;
    assert_int_equal(coti_dump_open(context, COTI_STAGE_GRAPH, "f", "cot", &dump), COT_E_IO);
    assert_null(dump);
    CHECK_ERROR(context, COT_E_IO, "/proc/no/such/place/00_f_graph.cot");
    cot_context_destroy(context);
}

static void full_disk_is_told(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/00_f_graph.cot", directory);
    if (symlink("/dev/full", path) != 0) {
        skip();
    }
    cot_context *context = context_for("graph", directory);
    coti_dump *dump = NULL;
    CHECK_OK(context, coti_dump_open(context, COTI_STAGE_GRAPH, "f", "cot", &dump));
    coti_dump_write("text", 4, dump);
    assert_int_equal(coti_dump_close(context, dump), COT_E_IO);
    CHECK_ERROR(context, COT_E_IO, "No space left");
    cot_context_destroy(context);
    unlink(path);
}

static void stages_have_names(void **state) {
    (void)state;
    coti_stage stage = COTI_STAGE_GRAPH;
    assert_true(coti_stage_find("llvm", &stage) && stage == COTI_STAGE_LLVM);
    assert_false(coti_stage_find("", &stage));
    assert_string_equal(coti_stage_name(COTI_STAGE_FUSE), "fuse");
    assert_string_equal(coti_stage_name(COTI_STAGE_COUNT), "?");
}

static cot_status write_one(cot_context *context, void *user) {
    (void)user;
    coti_dump *dump = NULL;
    COTI_TRY(coti_dump_open(context, COTI_STAGE_GRAPH, "f", "cot", &dump));
    return coti_dump_close(context, dump);
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256], path[128];
    cot_options options = {.dump = "graph", .dump_dir = directory};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, &options, write_one, NULL));
    snprintf(path, sizeof path, "%s/00_f_graph.cot", directory);
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_numbered_in_order), cmocka_unit_test(the_directory_is_made),
        cmocka_unit_test(failures_are_told),           cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(stages_have_names),           cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, make_directory, drop_directory);
}
