/*
 * The object cache's size: an account of what is written, and the removal of what was used longest
 * ago.
 *
 * A compile that stores something looks at the account's length, no more; the folder is read when
 * the account is beyond the limit, which is after a quarter of it was written anew. Removal goes by
 * times of use alone and needs no memory but a few names at a time: the oldest that one reading
 * finds. Only files that look like the cache's own are ever removed.
 */
#include "cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    UNIT = 4096,     /* bytes that a byte of the account stands for */
    HEX_DIGITS = 32, /* of an object's name */
    TEMPORARY_DIGITS = 16,
    OLDEST = 128, /* files that are removed after one reading of the folder */
    OBJECT_NAME_BYTES = HEX_DIGITS + sizeof ".o",
    TEMPORARY_SECONDS = 3600 /* older ones were left by a process that was killed */
};

static const char account_name[] = "account";

/* ---- names ---- */

static size_t count_digits(const char *text) {
    return strspn(text, "0123456789abcdef");
}

bool coti_cache_is_object(const char *name) {
    return count_digits(name) == HEX_DIGITS && strcmp(name + HEX_DIGITS, ".o") == 0;
}

bool coti_cache_is_temporary(const char *name) {
    return strncmp(name, "tmp-", 4) == 0 && count_digits(name + 4) == TEMPORARY_DIGITS &&
           name[4 + TEMPORARY_DIGITS] == '\0';
}

/* ---- the account ---- */

static int64_t units_of(int64_t bytes) {
    return (bytes + UNIT - 1) / UNIT;
}

/* -1 if it cannot be had, or is no file of ours. */
static int open_account(const coti_cache *cache, struct stat *about) {
    const int file = openat(cache->folder, account_name,
                            O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                            S_IRUSR | S_IWUSR);
    if (file >= 0 &&
        (fstat(file, about) != 0 || !S_ISREG(about->st_mode) || about->st_uid != geteuid())) {
        (void)close(file);
        return -1;
    }
    return file;
}

void coti_cache_account(const coti_cache *cache, int64_t bytes) {
    static const char zeros[256];
    const int64_t limit = cache->limit_bytes / UNIT;
    int64_t left = units_of(bytes);
    struct stat about;
    const int file = open_account(cache, &about);
    if (file < 0) {
        return;
    }
    const int64_t so_far = about.st_size > limit ? about.st_size : limit;
    bool writable = coti_cache_may_write(so_far + 1 + left);
    if (writable && about.st_size == 0) {
        /* Nobody has counted: beyond the limit, until somebody does. */
        writable = ftruncate(file, (off_t)(limit + 1)) == 0;
    }
    while (writable && left > 0) {
        const size_t n = left < (int64_t)sizeof zeros ? (size_t)left : sizeof zeros;
        const ssize_t done = write(file, zeros, n);
        left = done > 0 ? left - done : 0; /* a full disk: nothing will be stored either */
    }
    (void)close(file);
}

/* ---- the oldest files ---- */

typedef struct used {
    struct timespec at;
    int64_t units;
    char name[OBJECT_NAME_BYTES];
} used;

/* What one reading of the folder found. */
typedef struct survey {
    int64_t units; /* of all files */
    int32_t n;
    used oldest[OLDEST]; /* the oldest first */
} survey;

static bool earlier(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Keep an object's file in mind if it is among the oldest. */
static void note(survey *s, const struct stat *about, const char *name) {
    int32_t at = s->n;
    while (at > 0 && earlier(&about->st_mtim, &s->oldest[at - 1].at)) {
        at--;
    }
    if (at == OLDEST) {
        return;
    }
    s->n += s->n < OLDEST;
    memmove(&s->oldest[at + 1], &s->oldest[at], (size_t)(s->n - 1 - at) * sizeof(used));
    s->oldest[at].at = about->st_mtim;
    s->oldest[at].units = units_of(about->st_size);
    memcpy(s->oldest[at].name, name, OBJECT_NAME_BYTES);
}

static void look_at(const coti_cache *cache, const char *name, time_t now, survey *s) {
    struct stat about;
    const bool temporary = coti_cache_is_temporary(name);
    if ((!temporary && !coti_cache_is_object(name)) ||
        fstatat(cache->folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode)) {
        return;
    }
    if (temporary && now - about.st_mtim.tv_sec > TEMPORARY_SECONDS &&
        unlinkat(cache->folder, name, 0) == 0) {
        return;
    }
    s->units += units_of(about.st_size);
    if (!temporary) {
        note(s, &about, name);
    }
}

static bool read_folder(const coti_cache *cache, survey *s) {
    const int copy = openat(cache->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL; /* takes the descriptor */
    s->units = 0;
    s->n = 0;
    if (folder == NULL) {
        if (copy >= 0) {
            (void)close(copy);
        }
        return false;
    }
    const time_t now = time(NULL);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        look_at(cache, entry->d_name, now, s);
    }
    return closedir(folder) == 0;
}

/* Remove the oldest until `limit` units are left, at most those of one survey. False when nothing
 * more can be done. */
static bool remove_oldest(const coti_cache *cache, survey *s, int64_t limit) {
    bool any = false;
    for (int32_t i = 0; i < s->n && s->units > limit; i++) {
        if (unlinkat(cache->folder, s->oldest[i].name, 0) == 0) {
            s->units -= s->oldest[i].units;
            any = true;
        }
    }
    return any && s->units > limit;
}

/* Read, and remove, until it fits; then the account is what was found. */
static void clean(const coti_cache *cache, int account) {
    const int64_t limit = cache->limit_bytes / UNIT;
    survey s;
    if (!read_folder(cache, &s)) {
        return;
    }
    if (s.units > limit) {
        while (remove_oldest(cache, &s, limit - limit / 4) && read_folder(cache, &s)) {
        }
    }
    /* Never empty: an empty account says that nobody has counted. */
    if (ftruncate(account, (off_t)(s.units > 0 ? s.units : 1)) != 0) {
        return; /* then the next one counts again */
    }
}

void coti_cache_trim(const coti_cache *cache) {
    struct stat about;
    const int account = open_account(cache, &about);
    if (account < 0) {
        return;
    }
    /* Whoever else is about to clean does it for all. */
    if (about.st_size > cache->limit_bytes / UNIT && flock(account, LOCK_EX | LOCK_NB) == 0) {
        clean(cache, account);
    }
    (void)close(account);
}
