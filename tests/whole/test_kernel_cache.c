/*
 * The object cache as a user meets it: a second process compiles nothing and computes the same
 * bits; whatever happens to the files, or to the process that writes them, costs time and nothing
 * else.
 *
 * Each training is a process of its own, forked from this one, which runs none.
 */
#include "promises.h"

#include "effort.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INPUTS = 60, WEIGHTS = 60 * 20 + 20 + 20 * 15 + 15 + 15 * 10 + 10, PATH_BYTES = 512 };

/* What a training leaves. */
typedef struct result {
    bool complete;
    int64_t kernels, compiled, cached, read_bytes, written_bytes; /* of the three programs */
    float weight[WEIGHTS];
} result;

static char place[64];          /* a directory of the test's own */
static char folder[PATH_BYTES]; /* place/c, where the cache is by option */

static int set_up(void **state) {
    (void)state;
    (void)strcpy(place, "/tmp/cotangent_warm_XXXXXX");
    if (mkdtemp(place) == NULL) {
        return 1;
    }
    (void)snprintf(folder, sizeof folder, "%s/c", place);
    return 0;
}

static void remove_tree(const char *path) {
    DIR *files = opendir(path);
    for (struct dirent *file = files != NULL ? readdir(files) : NULL; file != NULL;
         file = readdir(files)) {
        char name[2 * PATH_BYTES];
        (void)snprintf(name, sizeof name, "%s/%s", path, file->d_name);
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0 &&
            unlink(name) != 0) {
            remove_tree(name);
        }
    }
    if (files != NULL) {
        (void)closedir(files);
    }
    (void)rmdir(path);
}

static int tear_down(void **state) {
    (void)state;
    remove_tree(place);
    return 0;
}

/* ---- a training ---- */

static void add_info(result *r, const cot_program *program) {
    const cot_program_info info = cot_program_get_info(program);
    r->kernels += info.n_kernels;
    r->compiled += info.n_compiled;
    r->cached += info.n_cached;
    r->read_bytes += info.cache_read_bytes;
    r->written_bytes += info.cache_written_bytes;
}

static bool take_weights(const cot_model *model, result *r) {
    size_t n = 0;
    for (int32_t i = 0; i < cot_model_n_weights(model); i++) {
        const cot_variable *weight = cot_model_weight(model, i);
        const cot_shape shape = cot_variable_shape(weight);
        size_t elements = 1;
        for (int32_t d = 0; d < shape.rank; d++) {
            elements *= (size_t)shape.dim[d];
        }
        if (n + elements > WEIGHTS ||
            cot_variable_get(weight, r->weight + n, elements * sizeof(float)) != COT_OK) {
            return false;
        }
        n += elements;
    }
    return n == WEIGHTS;
}

static void train(const cot_options *options, result *r) {
    cot_options own = *options;
    own.struct_size = sizeof own;
    own.threads = 2;
    own.seed = 7;
    cot_context *context = cot_context_create(&own);
    cot_model *model = promise_lecture(context, INPUTS);
    cot_dataset *data = promise_data(context, 300, INPUTS);
    if (cot_model_compile(model, .optimizer = cot_sgd(.learning_rate = 0.1),
                          .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY) != COT_OK ||
        cot_model_fit(model, data, .epochs = 2, .verbose = COT_VERBOSE_SILENT) != COT_OK) {
        return;
    }
    add_info(r, cot_model_train_program(model));
    add_info(r, cot_model_evaluate_program(model));
    add_info(r, cot_model_predict_program(model));
    r->complete = take_weights(model, r) && cot_context_kernels_compiled(context) == r->compiled;
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* Train in a process of its own. */
static result train_apart(const cot_options *options) {
    static result r;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    r = (result){0};
    if (child == 0) {
        train(options, &r);
        _exit(write(ends[1], &r, sizeof r) == (ssize_t)sizeof r ? 0 : 1);
    }
    (void)close(ends[1]);
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n < sizeof r; n += got > 0 ? (size_t)got : 0) {
        got = read(ends[0], (char *)&r + n, sizeof r - n);
    }
    (void)close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(n == sizeof r && r.complete);
    assert_int_equal(r.compiled + r.cached > 0, true);
    return r;
}

static const cot_options uncached = {.struct_size = sizeof(cot_options), .environment = COT_OFF};

static cot_options cached(void) {
    return (cot_options){
        .struct_size = sizeof(cot_options), .environment = COT_OFF, .cache_dir = folder};
}

static void assert_same_weights(const result *a, const result *b) {
    assert_memory_equal(a->weight, b->weight, sizeof a->weight);
}

/* ---- files ---- */

static int list_objects(const char *path, char (*name_out)[PATH_BYTES], int most) {
    int n = 0;
    DIR *files = opendir(path);
    for (struct dirent *file = files != NULL ? readdir(files) : NULL; file != NULL;
         file = readdir(files)) {
        const size_t length = strlen(file->d_name);
        if (length > 2 && strcmp(file->d_name + length - 2, ".o") == 0 && n < most) {
            (void)snprintf(name_out[n++], PATH_BYTES, "%.200s/%s", path, file->d_name);
        }
    }
    if (files != NULL) {
        (void)closedir(files);
    }
    return n;
}

/* ---- warm and cold ---- */

static void a_second_process_compiles_nothing(void **state) {
    (void)state;
    const cot_options options = cached();
    const result plain = train_apart(&uncached), cold = train_apart(&options),
                 warm = train_apart(&options);
    assert_true(plain.compiled > 0 && plain.cached == 0);
    assert_true(plain.read_bytes == 0 && plain.written_bytes == 0);
    assert_true(cold.compiled == plain.compiled && cold.cached == 0);
    assert_true(cold.read_bytes == 0 && cold.written_bytes > 0);
    assert_true(warm.compiled == 0 && warm.cached == cold.compiled);
    assert_true(warm.read_bytes == cold.written_bytes && warm.written_bytes == 0);
    assert_same_weights(&plain, &cold);
    assert_same_weights(&plain, &warm);
}

/* Another instruction set finds nothing of this one's, even under the names that it looks for. */
static void instruction_sets_are_apart(void **state) {
    (void)state;
    enum { MOST = 64 };
    static char old[MOST][PATH_BYTES], all[2 * MOST][PATH_BYTES];
    cot_options options = cached();
    options.isa = COT_ISA_BASELINE;
    const result base = train_apart(&options);
    const int n_base = list_objects(folder, old, MOST);
    assert_int_equal(n_base, base.compiled);
    options.isa = COT_ISA_DEFAULT;
    const result best = train_apart(&options);
    if (best.cached > 0) {
        return; /* the baseline is the best that this machine has */
    }
    const int n_all = list_objects(folder, all, 2 * MOST);
    assert_int_equal(n_all, base.compiled + best.compiled);
    /* Whole, good files of the one under names of the other. */
    for (int i = 0, k = 0; i < n_all; i++) {
        bool is_old = false;
        for (int j = 0; j < n_base; j++) {
            is_old = is_old || strcmp(all[i], old[j]) == 0;
        }
        if (!is_old && k < n_base) {
            assert_int_equal(rename(old[k++], all[i]), 0);
        }
    }
    const result again = train_apart(&options);
    assert_true(again.cached == 0 || again.cached < best.compiled);
    assert_same_weights(&best, &again);
}

/* ---- damage ---- */

/* One file after the other: a byte changed, cut short, emptied, exchanged for another. */
static void damaged_files_are_compiled_again(void **state) {
    (void)state;
    enum { MOST = 64, WAYS = 4 };
    static char name[MOST][PATH_BYTES], content[1 << 20];
    const cot_options options = cached();
    const result cold = train_apart(&options);
    const int n = list_objects(folder, name, MOST);
    assert_int_equal(n, cold.compiled);
    for (int i = 0; i < n; i += effort_is_quick() ? 7 : 1) {
        FILE *file = fopen(name[i], "rb");
        assert_non_null(file);
        size_t bytes = fread(content, 1, sizeof content, file);
        (void)fclose(file);
        const char *other = name[(i + 1) % n];
        switch (i % WAYS) {
        case 0:
            content[bytes - 1 - (size_t)i * 31 % (bytes / 2)] ^= 0x20;
            break;
        case 1:
            bytes -= 1 + (size_t)i;
            break;
        case 2:
            bytes = 0;
            break;
        default:
            file = fopen(other, "rb");
            assert_non_null(file);
            bytes = fread(content, 1, sizeof content, file);
            (void)fclose(file);
            break;
        }
        file = fopen(name[i], "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(content, 1, bytes, file), bytes);
        assert_int_equal(fclose(file), 0);
        const result again = train_apart(&options);
        assert_int_equal(again.compiled, 1);
        assert_int_equal(again.cached, cold.compiled - 1);
        assert_same_weights(&cold, &again);
    }
    const result last = train_apart(&options);
    assert_int_equal(last.compiled, 0);
}

/* ---- where, and whether ---- */

static void the_environment_says_where(void **state) {
    (void)state;
    char path[PATH_BYTES];
    struct stat about;
    const cot_options open = {.struct_size = sizeof open};
    assert_int_equal(unsetenv("COT_CACHE"), 0);
    assert_int_equal(setenv("HOME", place, 1), 0);
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    result r = train_apart(&open);
    (void)snprintf(path, sizeof path, "%s/.cache/cotangent", place);
    assert_true(r.written_bytes > 0 && stat(path, &about) == 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0); /* is as good as unset */
    r = train_apart(&open);
    assert_int_equal(r.compiled, 0);
    (void)snprintf(path, sizeof path, "%s/xdg", place);
    assert_int_equal(setenv("XDG_CACHE_HOME", path, 1), 0);
    r = train_apart(&open);
    assert_true(r.compiled > 0 && r.written_bytes > 0);
    (void)snprintf(path, sizeof path, "%s/xdg/cotangent", place);
    assert_int_equal(stat(path, &about), 0);
    /* An option wins, and so does a variable that is ours. */
    assert_int_equal(setenv("COT_CACHE_DIR", folder, 1), 0);
    r = train_apart(&open);
    assert_true(r.compiled > 0 && stat(folder, &about) == 0);
    r = train_apart(&(cot_options){.struct_size = sizeof open, .cache_dir = path});
    assert_int_equal(r.compiled, 0);
    assert_int_equal(unsetenv("COT_CACHE_DIR"), 0);
    /* Off. */
    r = train_apart(&(cot_options){.struct_size = sizeof open, .cache = COT_OFF});
    assert_true(r.compiled > 0 && r.cached == 0 && r.written_bytes == 0);
    assert_int_equal(setenv("COT_CACHE", "0", 1), 0);
    r = train_apart(&open);
    assert_true(r.compiled > 0 && r.cached == 0 && r.written_bytes == 0);
    r = train_apart(&(cot_options){.struct_size = sizeof open, .cache = COT_ON});
    assert_int_equal(r.compiled, 0);
    /* Nobody says: environment off, or no HOME. */
    r = train_apart(&uncached);
    assert_true(r.compiled > 0 && r.cached == 0 && r.written_bytes == 0);
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    assert_int_equal(unsetenv("HOME"), 0);
    r = train_apart(&(cot_options){.struct_size = sizeof open, .cache = COT_ON});
    assert_true(r.compiled > 0 && r.cached == 0 && r.written_bytes == 0);
}

/* ---- killed ---- */

/* 200 trainings (a few among the quick tests) are killed while they compile and write, each at
 * another moment, in a cache that is empty, half full or full; the next one is none the worse. */
static void killed_compiles_leave_a_good_cache(void **state) {
    (void)state;
    const int trials = effort_is_quick() ? 8 : 200;
    const cot_options options = cached();
    const result want = train_apart(&uncached);
    struct timespec from, to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    result cold = train_apart(&options);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    const int64_t span = (to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
    uint64_t random = 99;
    int64_t n_cached = 0;
    for (int trial = 0; trial < trials; trial++) {
        if (trial % 4 == 0) {
            remove_tree(folder);
        }
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            train(&options, &cold);
            _exit(0);
        }
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const int64_t wait = (int64_t)((random >> 20) % (uint64_t)span);
        const struct timespec pause = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
        (void)nanosleep(&pause, NULL);
        (void)kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        const result after = train_apart(&options);
        assert_int_equal(after.compiled + after.cached, want.compiled);
        assert_same_weights(&want, &after);
        n_cached += after.cached;
    }
    assert_true(n_cached > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_process_compiles_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(instruction_sets_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files_are_compiled_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_environment_says_where, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_compiles_leave_a_good_cache, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
