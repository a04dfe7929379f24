/*
 * Checkpoints where the system fails: each call of open, write, fsync, rename, ftruncate and pread
 * in turn fails with each error that it may, is interrupted, or does less than it was asked for;
 * and the process ends at each of them. A file is the old one or the new one, whole, and nothing
 * else is left but by a process that ended.
 *
 * The linker hands the library's calls to the __wrap_ functions here.
 */
#include "checkpoint_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

typedef enum call { OPEN, WRITE, FSYNC, RENAME, FTRUNCATE, PREAD, N_CALLS } call;
static const char *const call_name[N_CALLS] = {"open",   "write",     "fsync",
                                               "rename", "ftruncate", "pread"};

typedef enum fault { FAILS, IS_SHORT, ENDS } fault;

/* The at-th of these calls, from 0, does not go well; at -1: all do. */
static struct {
    call call;
    fault fault;
    int error, at, n;
} plan = {.at = -1};

/* Is it this one? Then *result and errno are what it returns, unless it is to be short. */
static bool strikes(call which, ssize_t *result) {
    if (plan.at < 0 || which != plan.call || plan.n++ != plan.at) {
        return false;
    }
    if (plan.fault == ENDS) {
        _exit(0);
    }
    *result = -1;
    errno = plan.error;
    return true;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t n);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_ftruncate(int fd, off_t n);
ssize_t __real_pread(int fd, void *data, size_t n, off_t at);

int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode) {
    ssize_t result = 0;
    return strikes(OPEN, &result) ? (int)result : __real_open(path, flags, mode);
}

ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n) {
    ssize_t result = 0;
    if (!strikes(WRITE, &result)) {
        return __real_write(fd, data, n);
    }
    return plan.fault == IS_SHORT ? __real_write(fd, data, n / 3) : result;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
    ssize_t result = 0;
    return strikes(FSYNC, &result) ? (int)result : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to) {
    ssize_t result = 0;
    return strikes(RENAME, &result) ? (int)result : __real_rename(from, to);
}

int __wrap_ftruncate(int fd, off_t n);
int __wrap_ftruncate(int fd, off_t n) {
    ssize_t result = 0;
    return strikes(FTRUNCATE, &result) ? (int)result : __real_ftruncate(fd, n);
}

ssize_t __wrap_pread(int fd, void *data, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t n, off_t at) {
    ssize_t result = 0;
    if (!strikes(PREAD, &result)) {
        return __real_pread(fd, data, n, at);
    }
    return plan.fault == IS_SHORT ? __real_pread(fd, data, n / 3, at) : result;
}

static void arm(call which, fault what, int error, int at) {
    plan.call = which;
    plan.fault = what;
    plan.error = error;
    plan.at = at;
    plan.n = 0;
}

static void disarm(void) {
    plan.at = -1;
}

/* ---- an old state, and a new one in its place ---- */

typedef struct scene {
    directory d;
    file_path path;
    trainee *old, *new, *reader;
    state_bytes old_bytes, new_bytes;
} scene;

static void set_bias(trainee *t, float value) {
    const float bias[CLASSES] = {value, value, value};
    CHECK_OK(t->context,
             cot_variable_set(cot_model_find_weight(t->model, "class/bias"), bias, sizeof bias));
}

static scene *scene_make(void) {
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->d = directory_make();
    s->path = path_in(&s->d, "state");
    s->old = trainee_make(cot_sgd(), 1);
    s->new = trainee_make(cot_sgd(), 1);
    s->reader = trainee_make(cot_sgd(), 1);
    set_bias(s->old, 1.0f);
    set_bias(s->new, 2.0f);
    s->old_bytes = state_of(s->old->model);
    s->new_bytes = state_of(s->new->model);
    CHECK_OK(s->old->context, cot_model_save_checkpoint(s->old->model, s->path.text));
    return s;
}

static void scene_free(scene *s) {
    trainee_free(s->old);
    trainee_free(s->new);
    trainee_free(s->reader);
    directory_remove(&s->d);
    free(s);
}

/* The file can be read: 'o' or 'n'. Puts the old one back. */
static char which_is_there(scene *s) {
    set_bias(s->reader, 3.0f);
    CHECK_OK(s->reader->context, cot_model_restore_checkpoint(s->reader->model, s->path.text));
    const state_bytes found = state_of(s->reader->model);
    char which = same_state(&found, &s->old_bytes)   ? 'o'
                 : same_state(&found, &s->new_bytes) ? 'n'
                                                     : '?';
    CHECK_OK(s->old->context, cot_model_save_checkpoint(s->old->model, s->path.text));
    return which;
}

/* One save with a fault; was there such a call? */
static bool save_with(scene *s, call which, fault what, int error, int at) {
    arm(which, what, error, at);
    cot_status status = cot_model_save_checkpoint(s->new->model, s->path.text);
    bool struck = plan.n > at;
    disarm();
    bool goes_well = what == IS_SHORT || (error == EINTR && which == WRITE);
    if (struck && !goes_well &&
        (status != COT_E_IO || strstr(cot_error_message(s->new->context), "state\"") == NULL)) {
        fail_msg("%s %d: %s: %s", call_name[which], at, cot_status_name(status),
                 cot_error_message(s->new->context));
    }
    assert_true(struck || status == COT_OK);
    cot_error_clear(s->new->context);
    assert_int_equal(count_entries(s->d.path), 1); /* nothing temporary is left */
    char there = which_is_there(s);
    bool renamed = (which == OPEN || which == FSYNC) && at == 1; /* of the directory, behind it */
    if (there != (status == COT_OK || renamed ? 'n' : 'o')) {
        fail_msg("%s %d gives '%c', status %s", call_name[which], at, there,
                 cot_status_name(status));
    }
    return struck;
}

static void saves(void **state) {
    (void)state;
    static const struct {
        call call;
        fault fault;
        int error, n; /* n: calls that a save makes, at least */
    } cases[] = {
        {OPEN, FAILS, EACCES, 2},   {OPEN, FAILS, EMFILE, 2},   {WRITE, FAILS, ENOSPC, 4},
        {WRITE, FAILS, EIO, 4},     {WRITE, FAILS, EINTR, 4},   {WRITE, IS_SHORT, 0, 4},
        {FSYNC, FAILS, EIO, 2},     {FSYNC, FAILS, ENOSPC, 2},  {RENAME, FAILS, EACCES, 1},
        {RENAME, FAILS, ENOSPC, 1}, {FTRUNCATE, FAILS, EIO, 1},
    };
    scene *s = scene_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int at = 0;
        while (save_with(s, cases[i].call, cases[i].fault, cases[i].error, at)) {
            at++;
        }
        if (at < cases[i].n) {
            fail_msg("%s is called %d times", call_name[cases[i].call], at);
        }
    }
    scene_free(s);
}

/* The process ends before each call. */
static void ends_of_the_process(void **state) {
    (void)state;
    scene *s = scene_make();
    int n_new = 0;
    for (int which = 0; which < PREAD; which++) {
        bool struck = true;
        for (int at = 0; struck; at++) {
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                arm((call)which, ENDS, 0, at);
                cot_status status = cot_model_save_checkpoint(s->new->model, s->path.text);
                _exit(status == COT_OK ? 1 : 2);
            }
            int status = 0;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
            struck = WEXITSTATUS(status) == 0;
            char there = which_is_there(s); /* its save writes over what is left over */
            assert_true(there == 'n' || (there == 'o' && struck));
            n_new += there == 'n' && struck;
            assert_int_equal(count_entries(s->d.path), 1);
        }
    }
    assert_true(n_new > 0); /* behind the rename */
    scene_free(s);
}

static void loads(void **state) {
    (void)state;
    static const struct {
        fault fault;
        int error;
    } cases[] = {{FAILS, EIO}, {FAILS, EINTR}, {IS_SHORT, 0}};
    scene *s = scene_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool struck = true;
        int at = 0;
        for (; struck; at++) {
            set_bias(s->reader, 3.0f);
            const state_bytes before = state_of(s->reader->model);
            arm(PREAD, cases[i].fault, cases[i].error, at);
            cot_status status = cot_model_restore_checkpoint(s->reader->model, s->path.text);
            struck = plan.n > at;
            disarm();
            bool fails = struck && cases[i].error == EIO;
            assert_int_equal(status, fails ? COT_E_IO : COT_OK);
            const state_bytes after = state_of(s->reader->model);
            assert_true(same_state(&after, fails ? &before : &s->old_bytes));
            cot_error_clear(s->reader->context);
        }
        assert_true(at > 3);
    }
    scene_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saves),
        cmocka_unit_test(ends_of_the_process),
        cmocka_unit_test(loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
