/*
 * A training that is killed (SIGKILL) at random moments, and begun again each time, ends with the
 * bits of the training that was left alone. The killed one is this program, started with a
 * directory; it keeps a backup of every step there.
 *
 *   test_killed                 200 kills
 *   test_killed DIRECTORY       train, with backups in DIRECTORY/backup; the weights go to
 *                               DIRECTORY/final.safetensors
 */
#include "promises.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 90, INPUTS = 12, BATCH = 8, EPOCHS = 4, PATH_ROOM = 256 };

static const char *own_path;
static int n_kills = 200;

/* ---- the training ---- */

static double slower(int32_t epoch, double rate, void *user) {
    (void)user;
    return epoch == 0 ? rate : rate * 0.8;
}

static cot_context *evaluator_context(void) {
    cot_options options = {.struct_size = sizeof options,
                           .threads = 1,
                           .seed = 7,
                           .environment = COT_OFF,
                           .jit = COT_OFF}; /* no time is spent on compiling */
    cot_context *context = cot_context_create(&options);
    assert_non_null(context);
    return context;
}

/* backup: a directory, or NULL for none. Exit status of the process. */
static int train(const char *backup, const char *result) {
    cot_context *context = evaluator_context();
    cot_model *model = promise_lecture(context, INPUTS);
    cot_dataset *data = promise_data(context, ROWS, INPUTS);
    cot_status status = cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.01),
                                          .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                          .metrics = {COT_ACCURACY}, .max_batch = BATCH);
    if (status == COT_OK) {
        status = cot_model_fit(
            model, data, .epochs = EPOCHS, .batch_size = BATCH, .validation_split = 0.2,
            .callbacks = {cot_learning_rate_scheduler(slower),
                          cot_early_stopping(.patience = 2, .restore_best_weights = true),
                          backup == NULL ? NULL : cot_backup_and_restore(backup, .save_freq = 1)});
    }
    if (status == COT_OK) {
        status = cot_model_save_checkpoint(model, result);
    }
    if (status != COT_OK) {
        (void)fprintf(stderr, "%s\n", cot_error_message(context));
    }
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    return status == COT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- killing it ---- */

typedef struct place {
    char directory[PATH_ROOM], backup[PATH_ROOM + 32], result[PATH_ROOM + 32],
        expected[PATH_ROOM + 32];
} place;

static place make_place(void) {
    place p;
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(p.directory, sizeof p.directory, "%s/cotangent_killed_XXXXXX", root);
    assert_non_null(mkdtemp(p.directory));
    (void)snprintf(p.backup, sizeof p.backup, "%s/backup", p.directory);
    (void)snprintf(p.result, sizeof p.result, "%s/final.safetensors", p.directory);
    (void)snprintf(p.expected, sizeof p.expected, "%s/expected.safetensors", p.directory);
    return p;
}

static void same_files(const char *a, const char *b) {
    FILE *one = fopen(a, "rb"), *two = fopen(b, "rb");
    assert_non_null(one);
    assert_non_null(two);
    int x = 0, y = 0;
    int64_t n = 0;
    for (; x == y && x != EOF; n++) {
        x = fgetc(one);
        y = fgetc(two);
    }
    fclose(one);
    fclose(two);
    assert_true(n > 1000);
    if (x != y) {
        fail_msg("byte %lld differs", (long long)n);
    }
}

static pid_t start(const place *p) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execl(own_path, own_path, p->directory, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Kill it after so many microseconds; was it faster? It never fails. */
static bool run_for(const place *p, long microseconds) {
    const struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    int status = 0;
    pid_t child = start(p);
    (void)nanosleep(&pause, NULL);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || status == 0);
    return !WIFSIGNALED(status);
}

/* Left alone; microseconds that it takes. */
static long run_whole(const place *p) {
    struct timespec begin, end;
    int status = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(waitpid(start(p), &status, 0) > 0 ? status : -1, 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000L + (end.tv_nsec - begin.tv_nsec) / 1000;
}

/* It has ended: with the bits that are expected, and without its backups. */
static void check_end(const place *p) {
    same_files(p->result, p->expected);
    assert_int_equal(access(p->backup, F_OK), -1);
    assert_int_equal(unlink(p->result), 0);
}

static void killed_at_random_moments(void **state) {
    (void)state;
    place p = make_place();
    uint32_t random = 12345;
    int n_ended = 0;
    assert_int_equal(train(NULL, p.expected), EXIT_SUCCESS);
    double most = 0.6 * (double)run_whole(&p);
    check_end(&p);
    for (int n = 0; n < n_kills;) {
        random = random * 1664525U + 1013904223U;
        if (run_for(&p, (long)(most * (double)(random >> 8) / 16777216.0))) {
            check_end(&p);
            n_ended++;
        } else {
            n++;
        }
    }
    (void)run_whole(&p);
    check_end(&p);
    print_message("%d kills, %d trainings ended\n", n_kills, n_ended + 1);
    (void)unlink(p.expected);
    (void)rmdir(p.directory);
}

int main(int argc, char **argv) {
    own_path = argv[0];
    if (argc > 1 && argv[1][0] == '/') {
        place p;
        (void)snprintf(p.backup, sizeof p.backup, "%s/backup", argv[1]);
        (void)snprintf(p.result, sizeof p.result, "%s/final.safetensors", argv[1]);
        return train(p.backup, p.result);
    }
    n_kills = getenv("COT_TEST_QUICK") != NULL ? 12 : 200;
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_random_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
