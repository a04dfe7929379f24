/*
 * The inner loops of products, as assembly: for the shapes that training has, at the tiles that are
 * chosen for them, no loop that sums touches the stack, each holds the fmas of its tile and no
 * more, and the vectors are as wide as the instruction set's.
 */
#include "gemm_case.h"

#include "check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_LINES = 20000 };

typedef struct assembly {
    char *text;
    char *line[MAX_LINES];
    size_t n;
} assembly;

/* ---- the dump ---- */

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    (void)fseek(file, 0, SEEK_END);
    size_t bytes = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, bytes, file), bytes);
    text[bytes] = '\0';
    (void)fclose(file);
    return text;
}

/* Read the directory's one .s file, and empty the directory. */
static char *take_assembly(const char *directory) {
    char *text = NULL;
    DIR *listing = opendir(directory);
    assert_non_null(listing);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        char path[512];
        size_t length = strlen(entry->d_name);
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (length > 2 && strcmp(entry->d_name + length - 2, ".s") == 0) {
            assert_null(text);
            text = read_file(path);
        }
        if (entry->d_name[0] != '.') {
            (void)unlink(path);
        }
    }
    (void)closedir(listing);
    assert_non_null(text);
    return text;
}

static void split(assembly *a, char *text) {
    a->text = text;
    a->n = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(a->n < MAX_LINES);
        a->line[a->n++] = line;
    }
}

/* ---- loops ---- */

static bool is_label(const char *line) {
    size_t length = strlen(line);
    return line[0] != '\t' && length > 1 && line[length - 1] == ':';
}

/* The line of the label that a conditional jump at `i` goes back to; i: it is no such jump. */
static size_t target_of(const assembly *a, size_t i) {
    const char *jump = a->line[i];
    const char *name = strstr(jump, ".LBB");
    if (jump[0] != '\t' || jump[1] != 'j' || strncmp(jump, "\tjmp", 4) == 0 || name == NULL) {
        return i;
    }
    size_t length = strlen(name);
    for (size_t l = i; l-- > 0;) {
        if (strncmp(a->line[l], name, length) == 0 && a->line[l][length] == ':') {
            return l;
        }
    }
    return i;
}

static int32_t count(const assembly *a, size_t from, size_t to, const char *text) {
    int32_t n = 0;
    for (size_t i = from; i < to; i++) {
        n += strstr(a->line[i], text) != NULL;
    }
    return n;
}

static bool has_inner(const assembly *a, size_t from, size_t to) {
    for (size_t i = from + 1; i < to; i++) {
        if (is_label(a->line[i])) {
            return true;
        }
    }
    return false;
}

/* What the innermost loops that sum products hold. */
typedef struct findings {
    int32_t n_loops; /* with at least a tile's fmas */
    int32_t n_stack; /* references to the stack in them */
    bool whole;      /* each holds a multiple of the tile's fmas, in full vectors */
} findings;

static findings look_at_loops(const assembly *a, const coti_gemm *gemm, const coti_target *target) {
    findings f = {.whole = true};
    int32_t tile = gemm->tile_broadcast * gemm->tile_vectors;
    const char *wide = target->lanes == 16 ? "%zmm" : "%ymm";
    for (size_t i = 0; i < a->n; i++) {
        size_t from = target_of(a, i);
        int32_t fmas = from == i || has_inner(a, from, i) ? 0 : count(a, from, i, "vfmadd");
        if (fmas >= tile) {
            f.n_loops++;
            f.n_stack += count(a, from, i, "(%rsp)");
            f.whole &= fmas % tile == 0 && count(a, from, i, wide) >= fmas;
        }
    }
    return f;
}

/* Compile for an instruction set and look at the assembly; false where the machine lacks it. */
static bool look_at_case(cot_isa isa, const gemm_case *c, findings *findings_out) {
    char directory[] = "/tmp/cotangent_asm_XXXXXX";
    assert_non_null(mkdtemp(directory));
    cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                             .threads = 1,
                                                             .isa = isa,
                                                             .environment = COT_OFF,
                                                             .dump = "asm",
                                                             .dump_dir = directory});
    coti_target target;
    bool possible = coti_jit_target(context, &target) == COT_OK;
    if (possible) {
        static gemm_test test;
        static assembly a;
        gemm_test_init(&test, c, &target);
        const coti_kernel *kernel = &test.kernel;
        cotr_kernel code = NULL;
        int32_t n = 0;
        CHECK_OK(context, coti_jit_compile(context, "asm", &kernel, 1, &code, &n));
        split(&a, take_assembly(directory));
        *findings_out = look_at_loops(&a, &kernel->gemm, &target);
        assert_int_equal(count(&a, 0, a.n, "%zmm") > 0, isa == COT_ISA_AVX512);
        free(a.text);
    }
    cot_context_destroy(context);
    (void)rmdir(directory);
    return possible;
}

static void check_case(cot_isa isa, const gemm_case *c, const char *what) {
    findings f = {0};
    if (!look_at_case(isa, c, &f)) {
        return;
    }
    if (f.n_loops == 0 || f.n_stack != 0 || !f.whole) {
        fail_msg("%s, isa %d: %d loops, %d references to the stack, whole tiles %d", what, (int)isa,
                 (int)f.n_loops, (int)f.n_stack, f.whole);
    }
}

/* A tile that no register file holds: what the check above is there to see. */
static void test_spills_are_seen(void **state) {
    (void)state;
    gemm_case c = {.m = 1, .rows = 64, .m_rows = true, .k = 64, .n = 64, .height = 8, .vectors = 3};
    findings f = {0};
    if (look_at_case(COT_ISA_AVX2, &c, &f)) {
        assert_true(f.n_loops > 0 && f.n_stack > 0);
    }
}

static void test_inner_loops(void **state) {
    (void)state;
    const struct {
        const char *name;
        gemm_case c;
    } cases[] = {
        {"forward 784 to 512", {.m = 1, .rows = 128, .m_rows = true, .k = 784, .n = 512}},
        {"forward 256 to 256", {.m = 1, .rows = 128, .m_rows = true, .k = 256, .n = 256}},
        {"forward 3072 to 20", {.m = 1, .rows = 128, .m_rows = true, .k = 3072, .n = 20}},
        {"forward 512 to 10", {.m = 1, .rows = 128, .m_rows = true, .k = 512, .n = 10}},
        {"back 512 to 784",
         {.m = 1, .rows = 128, .m_rows = true, .k = 512, .n = 784, .b_by_k = true}},
        {"back 256 to 256",
         {.m = 1, .rows = 128, .m_rows = true, .k = 256, .n = 256, .b_by_k = true}},
        {"weights 784 by 512",
         {.m = 784, .n = 512, .k = 1, .rows = 128, .k_rows = true, .a_by_m = true}},
        {"weights 256 by 256",
         {.m = 256, .n = 256, .k = 1, .rows = 128, .k_rows = true, .a_by_m = true}},
        {"weights 3072 by 20",
         {.m = 3072, .n = 20, .k = 1, .rows = 128, .k_rows = true, .a_by_m = true}},
        {"wide tile",
         {.m = 1, .rows = 128, .m_rows = true, .k = 64, .n = 64, .height = 3, .vectors = 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(COT_ISA_AVX512, &cases[i].c, cases[i].name);
        check_case(COT_ISA_AVX2, &cases[i].c, cases[i].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_inner_loops),
                                       cmocka_unit_test(test_spills_are_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
