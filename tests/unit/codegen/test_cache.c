/*
 * The object cache as a store: what comes out is what went in under the same key by somebody who
 * finished, or nothing; and nothing that a file system can do is an error.
 */
#include "cache_case.h"
#include "check.h"
#include "effort.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { OTHER_USER = 54321, MIB = 1 << 20 };

static char place[CACHE_PATH_BYTES];

static int set_up(void **state) {
    (void)state;
    cache_make_place(place);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cache_remove_place(place);
    return 0;
}

/* A context whose cache is place/`folder`, or `folder` itself if it is a path. */
static cot_context *context_with(const char *folder, int64_t bytes) {
    char path[2 * CACHE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", place, folder);
    cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                             .environment = COT_OFF,
                                                             .cache_dir = path,
                                                             .cache_bytes = bytes});
    assert_non_null(context);
    return context;
}

static coti_cache_key key_of(const char *text) {
    coti_cache_key key = {.text = text, .bytes = strlen(text)};
    coti_cache_hash(&key);
    return key;
}

static void store(const cot_context *context, const char *key, const char *object, size_t bytes) {
    coti_cache cache;
    const coti_cache_key k = key_of(key);
    coti_cache_open(context, &cache);
    (void)coti_cache_store(&cache, &k, "a_symbol", object, bytes);
    coti_cache_close(&cache);
}

/* Is the key's object there? It then is this one. */
static bool has(cot_context *context, const char *key, const char *object, size_t bytes) {
    coti_cache cache;
    coti_cached found;
    const coti_cache_key k = key_of(key);
    coti_cache_open(context, &cache);
    CHECK_OK(context, coti_cache_find(&cache, context, &k, &found));
    const bool there = found.file != NULL;
    assert_true(there == (found.file_bytes > 0));
    if (there) {
        assert_string_equal(found.symbol, "a_symbol");
        assert_int_equal(found.object_bytes, bytes);
        assert_memory_equal(found.object, object, bytes);
    }
    coti_cache_release(context, &found);
    assert_null(found.file);
    coti_cache_close(&cache);
    assert_int_equal(cot_error_get(context).status, COT_OK);
    return there;
}

static void path_in(char path[2 * CACHE_PATH_BYTES], const char *name) {
    (void)snprintf(path, 2 * CACHE_PATH_BYTES, "%s/%s", place, name);
}

/* The path of the only object in place/`folder`. */
static void only_object(char path[2 * CACHE_PATH_BYTES], const char *folder) {
    char at[2 * CACHE_PATH_BYTES], name[2][64];
    path_in(at, folder);
    assert_int_equal(cache_list_objects(at, name, 2), 1);
    (void)snprintf(path, 2 * CACHE_PATH_BYTES, "%.900s/%s", at, name[0]);
}

static size_t read_whole(const char *path, char *to, size_t room) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(to, 1, room, file);
    (void)fclose(file);
    return n;
}

static void write_whole(const char *path, const char *from, size_t bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(from, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* ---- keeping and finding ---- */

static void what_is_stored_is_found(void **state) {
    (void)state;
    static char large[MIB + 3];
    memset(large, 0x5a, sizeof large);
    cot_context *context = context_with("c", 0);
    assert_false(has(context, "one", NULL, 0));
    store(context, "one", "object 1", 8);
    store(context, "two", large, sizeof large);
    store(context, "three", "", 0);
    assert_true(has(context, "one", "object 1", 8));
    assert_true(has(context, "two", large, sizeof large));
    assert_true(has(context, "three", "", 0));
    assert_false(has(context, "four", NULL, 0));
    store(context, "one", "another", 7);
    assert_true(has(context, "one", "another", 7));
    cot_context_destroy(context);
    /* Another process would find it as well. */
    context = context_with("c", 0);
    assert_true(has(context, "one", "another", 7));
    cot_context_destroy(context);
}

static mode_t mode_of(const char *path) {
    struct stat about;
    assert_int_equal(lstat(path, &about), 0);
    return about.st_mode & 07777;
}

static void nobody_else_can_read(void **state) {
    (void)state;
    char path[2 * CACHE_PATH_BYTES];
    const mode_t before = umask(0);
    cot_context *context = context_with("made/c", 0);
    store(context, "one", "object", 6);
    (void)umask(before);
    path_in(path, "made");
    assert_int_equal(mode_of(path), 0700);
    path_in(path, "made/c");
    assert_int_equal(mode_of(path), 0700);
    path_in(path, "made/c/account");
    assert_int_equal(mode_of(path), 0600);
    only_object(path, "made/c");
    assert_int_equal(mode_of(path), 0600);
    assert_true(has(context, "one", "object", 6));
    cot_context_destroy(context);
}

static void no_context_no_cache(void **state) {
    (void)state;
    char path[2 * CACHE_PATH_BYTES];
    path_in(path, "c");
    const cot_options options[] = {
        {.struct_size = sizeof(cot_options), .environment = COT_OFF},
        {.struct_size = sizeof(cot_options), .cache = COT_OFF, .cache_dir = path},
    };
    for (size_t i = 0; i < 2; i++) {
        cot_context *context = cot_context_create(&options[i]);
        assert_non_null(context);
        store(context, "one", "object", 6);
        assert_false(has(context, "one", NULL, 0));
        cot_context_destroy(context);
    }
    assert_int_not_equal(access(path, F_OK), 0);
}

/* ---- damage ---- */

/* Every byte changed, in one bit and in all; every length; more than there should be. */
static void no_damage_is_accepted(void **state) {
    (void)state;
    enum { OBJECT = 150, ROOM = 512 };
    static char good[ROOM], bad[ROOM];
    char object[OBJECT], path[2 * CACHE_PATH_BYTES];
    for (int i = 0; i < OBJECT; i++) {
        object[i] = (char)(i * 37);
    }
    cot_context *context = context_with("c", 0);
    store(context, "key of many bytes", object, OBJECT);
    only_object(path, "c");
    const size_t bytes = read_whole(path, good, ROOM);
    assert_true(bytes > OBJECT && bytes < ROOM);
    for (size_t i = 0; i < bytes; i++) {
        for (int bit = 0; bit <= 8; bit++) {
            memcpy(bad, good, bytes);
            bad[i] = (char)(bad[i] ^ (bit < 8 ? 1 << bit : 0xff));
            write_whole(path, bad, bytes);
            assert_false(has(context, "key of many bytes", object, OBJECT));
        }
    }
    for (size_t length = 0; length < bytes; length++) {
        write_whole(path, good, length);
        assert_false(has(context, "key of many bytes", object, OBJECT));
    }
    memcpy(bad, good, bytes);
    bad[bytes] = 0;
    write_whole(path, bad, bytes + 1);
    assert_false(has(context, "key of many bytes", object, OBJECT));
    /* What is no good is replaced. */
    store(context, "key of many bytes", object, OBJECT);
    assert_true(has(context, "key of many bytes", object, OBJECT));
    cot_context_destroy(context);
}

/* As if two keys had one hash: a whole, good file under the name of another key. */
static void the_whole_key_counts(void **state) {
    (void)state;
    char one[2 * CACHE_PATH_BYTES], two[2 * CACHE_PATH_BYTES];
    cot_context *context = context_with("c", 0), *other = context_with("d", 0);
    store(context, "key 1", "object", 6);
    store(other, "key 2", "object", 6);
    only_object(one, "c");
    only_object(two, "d");
    char content[512];
    const size_t bytes = read_whole(one, content, sizeof content);
    write_whole(two, content, bytes);
    assert_false(has(other, "key 2", "object", 6));
    assert_false(has(other, "key 1", "object", 6));
    assert_true(has(context, "key 1", "object", 6));
    cot_context_destroy(other);
    cot_context_destroy(context);
}

/* ---- trust ---- */

static void check_unused(const char *folder) {
    cot_context *context = context_with(folder, 0);
    assert_false(has(context, "one", NULL, 0));
    store(context, "one", "object", 6);
    assert_false(has(context, "one", NULL, 0));
    cot_context_destroy(context);
}

static void folders_of_others_are_not_used(void **state) {
    (void)state;
    char path[2 * CACHE_PATH_BYTES], link[2 * CACHE_PATH_BYTES];
    cot_context *context = context_with("c", 0);
    store(context, "one", "object", 6);
    path_in(path, "c");
    path_in(link, "link");
    assert_int_equal(symlink(path, link), 0);
    check_unused("link");
    check_unused("link/"); /* would be followed */
    assert_int_equal(chmod(path, 0770), 0);
    check_unused("c");
    assert_int_equal(chmod(path, 0702), 0);
    check_unused("c");
    assert_int_equal(chmod(path, 0755), 0);
    assert_true(has(context, "one", "object", 6));
    if (geteuid() == 0) {
        assert_int_equal(chown(path, OTHER_USER, (gid_t)-1), 0);
        check_unused("c");
    }
    path_in(path, "file");
    write_whole(path, "text", 4);
    check_unused("file");
    check_unused("file/c");
    check_unused("missing/missing/c"); /* two are made at most */
    path_in(path, "missing");
    assert_int_not_equal(access(path, F_OK), 0);
    cot_context_destroy(context);
}

/* A program of another user with this one's HOME leaves nothing there. */
static void folders_are_made_among_our_own(void **state) {
    (void)state;
    char path[2 * CACHE_PATH_BYTES];
    if (geteuid() != 0) {
        return;
    }
    path_in(path, "home");
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chown(path, OTHER_USER, (gid_t)-1), 0);
    check_unused("home/cotangent");
    path_in(path, "home/cotangent");
    assert_int_not_equal(access(path, F_OK), 0);
    path_in(path, "home");
    assert_int_equal(chmod(path, 01777), 0); /* a place for everybody's */
    cot_context *context = context_with("home/cotangent", 0);
    store(context, "one", "object", 6);
    assert_true(has(context, "one", "object", 6));
    cot_context_destroy(context);
}

/* In the place of an object: what is no file of ours. None of it holds anybody up. */
static void strange_files_are_not_used(void **state) {
    (void)state;
    char path[2 * CACHE_PATH_BYTES], elsewhere[2 * CACHE_PATH_BYTES];
    cot_context *context = context_with("c", 0);
    store(context, "one", "object", 6);
    only_object(path, "c");
    assert_int_equal(chmod(path, 0620), 0);
    assert_false(has(context, "one", NULL, 0));
    assert_int_equal(chmod(path, 0602), 0);
    assert_false(has(context, "one", NULL, 0));
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(has(context, "one", "object", 6));
    if (geteuid() == 0) {
        assert_int_equal(chown(path, OTHER_USER, (gid_t)-1), 0);
        assert_false(has(context, "one", NULL, 0));
        assert_int_equal(chown(path, 0, (gid_t)-1), 0);
    }
    path_in(elsewhere, "elsewhere");
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_false(has(context, "one", NULL, 0));
    store(context, "one", "object", 6); /* takes the link's place */
    assert_true(has(context, "one", "object", 6));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(has(context, "one", NULL, 0));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    store(context, "one", "object", 6);
    assert_false(has(context, "one", NULL, 0));
    assert_int_equal(rmdir(path), 0);
    /* The account likewise. */
    path_in(path, "c/account");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    store(context, "one", "object", 6);
    assert_true(has(context, "one", "object", 6));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    const mode_t before = mode_of(elsewhere);
    store(context, "two", "object", 6);
    assert_true(has(context, "two", "object", 6) && mode_of(elsewhere) == before);
    cot_context_destroy(context);
}

/* ---- no room ---- */

/* A process may write files of so many bytes: more would be a signal that ends it. */
static void a_limit_on_files_ends_nobody(void **state) {
    (void)state;
    static char object[1000];
    cot_context *context = context_with("c", MIB);
    const pid_t child = fork();
    if (child == 0) {
        for (rlim_t limit = 0; limit < 1200; limit += 50) {
            const struct rlimit r = {limit, RLIM_INFINITY};
            if (setrlimit(RLIMIT_FSIZE, &r) != 0) {
                _exit(1);
            }
            store(context, "one", object, sizeof object);
        }
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cot_context_destroy(context);
}

static int64_t bytes_in(const char *folder) {
    char path[2 * CACHE_PATH_BYTES], name[256][64];
    int64_t bytes = 0;
    path_in(path, folder);
    const int n = cache_list_objects(path, name, 256);
    for (int i = 0; i < n; i++) {
        char file[4 * CACHE_PATH_BYTES];
        struct stat about;
        assert_true(snprintf(file, sizeof file, "%s/%s", path, name[i]) < (int)sizeof file);
        assert_int_equal(stat(file, &about), 0);
        bytes += about.st_size;
    }
    return bytes;
}

/* Give all objects a time of use of so many seconds ago. */
static void make_older(const char *folder, int64_t seconds) {
    char path[2 * CACHE_PATH_BYTES], name[256][64];
    path_in(path, folder);
    const int n = cache_list_objects(path, name, 256);
    for (int i = 0; i < n; i++) {
        char file[4 * CACHE_PATH_BYTES];
        struct stat about;
        assert_true(snprintf(file, sizeof file, "%s/%s", path, name[i]) < (int)sizeof file);
        assert_int_equal(stat(file, &about), 0);
        const struct timespec times[2] = {{.tv_sec = about.st_mtim.tv_sec - seconds},
                                          {.tv_sec = about.st_mtim.tv_sec - seconds}};
        assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    }
}

/* Never larger than allowed after a compile; what was used last stays, what is not ours as well. */
static void what_is_used_least_goes(void **state) {
    (void)state;
    enum { OBJECTS = 120, BYTES = 8000, LIMIT = 64 * 8192 };
    static char object[BYTES];
    char path[2 * CACHE_PATH_BYTES], key[32];
    cot_context *context = context_with("c", LIMIT);
    store(context, "first", object, BYTES);
    path_in(path, "c/README");
    write_whole(path, object, BYTES);
    for (int i = 0; i < OBJECTS; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        store(context, key, object, BYTES);
        assert_true(bytes_in("c") <= LIMIT);
        make_older("c", 1000);
        assert_true(has(context, "first", object, BYTES)); /* is used */
    }
    assert_true(bytes_in("c") > LIMIT / 2);
    assert_false(has(context, "key 0", NULL, 0));
    for (int i = OBJECTS - 32; i < OBJECTS; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        assert_true(has(context, key, object, BYTES));
    }
    assert_int_equal(access(path, F_OK), 0);
    static char large[LIMIT];
    store(context, "too large", large, LIMIT);
    assert_false(has(context, "too large", large, LIMIT));
    assert_true(has(context, "first", object, BYTES));
    cot_context_destroy(context);
}

/* Somebody took the account away, or it was never made: files are counted. */
static void a_lost_account_is_made_again(void **state) {
    (void)state;
    enum { BYTES = 8000, LIMIT = 16 * 8192 };
    static char object[BYTES];
    char path[2 * CACHE_PATH_BYTES], key[32];
    cot_context *context = context_with("c", LIMIT);
    path_in(path, "c/account");
    for (int i = 0; i < 64; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        store(context, key, object, BYTES);
        assert_int_equal(unlink(path), 0);
        assert_true(bytes_in("c") <= LIMIT + BYTES);
    }
    cot_context_destroy(context);
}

/* What killed processes left behind goes with the next cleaning, if it is old enough. */
static void leftovers_go(void **state) {
    (void)state;
    char old[2 * CACHE_PATH_BYTES], young[2 * CACHE_PATH_BYTES], alike[2 * CACHE_PATH_BYTES];
    cot_context *context = context_with("c", 0);
    store(context, "one", "object", 6);
    path_in(old, "c/tmp-0123456789abcdef");
    path_in(young, "c/tmp-0123456789abcde0");
    path_in(alike, "c/tmp-mine");
    write_whole(old, "half", 4);
    write_whole(young, "half", 4);
    write_whole(alike, "half", 4);
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, alike, times, 0), 0);
    char account[2 * CACHE_PATH_BYTES];
    path_in(account, "c/account");
    assert_int_equal(unlink(account), 0);
    store(context, "two", "object", 6);
    assert_int_not_equal(access(old, F_OK), 0);
    assert_int_equal(access(young, F_OK), 0);
    assert_int_equal(access(alike, F_OK), 0);
    cot_context_destroy(context);
}

/* ---- several at once ---- */

enum { KEYS = 40, ROUNDS = 4, THREADS = 4, OBJECT_BYTES = 20000 };

/* The object of key i in any round: its bytes all say i. */
static void fill_object(char object[OBJECT_BYTES], int i) {
    memset(object, 1 + i, OBJECT_BYTES);
}

/* Store and find the same keys as everybody else; true when all that is found is whole. */
static bool store_and_find(coti_cache *cache, cot_context *context, int i) {
    char object[OBJECT_BYTES], text[32];
    (void)snprintf(text, sizeof text, "key %d", i);
    const coti_cache_key key = key_of(text);
    coti_cached found;
    fill_object(object, i);
    (void)coti_cache_store(cache, &key, "a_symbol", object, OBJECT_BYTES);
    const bool good = coti_cache_find(cache, context, &key, &found) == COT_OK &&
                      (found.file == NULL || (found.object_bytes == OBJECT_BYTES &&
                                              memcmp(found.object, object, OBJECT_BYTES) == 0));
    coti_cache_release(context, &found);
    return good;
}

static void *share(void *wrong_out) {
    cot_context *context = context_with("c", KEYS * OBJECT_BYTES / 2);
    for (int i = 0; i < KEYS * ROUNDS; i++) {
        coti_cache cache;
        coti_cache_open(context, &cache);
        *(bool *)wrong_out = !store_and_find(&cache, context, i * 7 % KEYS) || *(bool *)wrong_out;
        coti_cache_close(&cache);
    }
    cot_context_destroy(context);
    return NULL;
}

static void threads_share_a_folder(void **state) {
    (void)state;
    pthread_t thread[THREADS];
    bool wrong[THREADS] = {false};
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, share, &wrong[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_false(wrong[i]);
    }
}

/* ---- killed ---- */

/* Write objects until somebody ends it. */
static void write_for_ever(void) {
    cot_context *context = context_with("c", 0);
    for (int i = 0;; i = (i + 1) % KEYS) {
        coti_cache cache;
        coti_cache_open(context, &cache);
        if (!store_and_find(&cache, context, i)) {
            _exit(1);
        }
        coti_cache_close(&cache);
    }
}

/* 200 writers (20 among the quick tests) are killed, each at another moment; what they leave loads
 * or is ignored. */
static void killed_writers_leave_a_good_cache(void **state) {
    (void)state;
    const int trials = effort_is_quick() ? 20 : 200;
    int64_t n_found = 0, n_killed = 0;
    cot_context *context = context_with("c", 0);
    uint64_t random = 12345;
    for (int trial = 0; trial < trials; trial++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_for_ever();
        }
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const struct timespec pause = {.tv_nsec = (long)((random >> 33) % 3000000)};
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        n_killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        for (int i = 0; i < KEYS; i++) {
            char object[OBJECT_BYTES], text[32];
            (void)snprintf(text, sizeof text, "key %d", i);
            fill_object(object, i);
            n_found += has(context, text, object, OBJECT_BYTES);
        }
    }
    assert_int_equal(n_killed, trials);
    assert_true(n_found > trials);
    store(context, "after", "object", 6);
    assert_true(has(context, "after", "object", 6));
    cot_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_stored_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_else_can_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_context_no_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_damage_is_accepted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_whole_key_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_of_others_are_not_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_are_made_among_our_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strange_files_are_not_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_limit_on_files_ends_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_used_least_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_account_is_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leftovers_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_share_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_writers_leave_a_good_cache, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
