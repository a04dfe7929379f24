/*
 * The object cache's folder and files.
 *
 * A file: 32 bytes of head (magic, version, sizes), 16 bytes of checksum over everything else, then
 * the key, the symbol and the object. Numbers are in the machine's own order: the key names the
 * machine, and a file of another order has no known version.
 */
#include "cache.h"

#include "runtime/base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    VERSION = 1,
    NAME_BYTES = 48,
    PATH_BYTES = 4096, /* a longer path has no cache */
    COMPONENT_BYTES = 256,
    USED_AGAIN_SECONDS = 600, /* a file's time of use is this coarse, so that finding is reading */
    NAMES_TRIED = 4
};

/* No kernel comes near: a limit on what is believed of a file's size. */
#define LARGEST_FILE ((int64_t)64 << 20)

typedef struct head {
    char magic[8];
    uint32_t version, symbol_bytes; /* with its end */
    uint64_t key_bytes, object_bytes;
    uint64_t checksum[2]; /* of the 32 bytes before it and of what follows it */
} head;

_Static_assert(sizeof(head) == 48 && offsetof(head, checksum) == 32, "no padding is written");

static const char magic[8] = {'c', 'o', 't', 'k', 'e', 'r', 'n', '\n'};
static const uint64_t checksum_seed[2] = {UINT64_C(0x243F6A8885A308D3),
                                          UINT64_C(0x13198A2E03707344)};
static const uint64_t name_seed[2] = {UINT64_C(0xA4093822299F31D0), UINT64_C(0x082EFA98EC4E6C89)};

/* ---- names ---- */

void coti_cache_hash(coti_cache_key *key) {
    for (int i = 0; i < 2; i++) {
        key->hash[i] = coti_hash(name_seed[i], key->text, key->bytes);
    }
}

static void format_name(char name[NAME_BYTES], const coti_cache_key *key) {
    (void)snprintf(name, NAME_BYTES, "%016llx%016llx.o", (unsigned long long)key->hash[0],
                   (unsigned long long)key->hash[1]);
}

/* ---- trust ---- */

static bool ours_alone(const struct stat *about) {
    return about->st_uid == geteuid() && (about->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Is it ours to make folders in? Ours, or a place for everybody's, such as /tmp. A program that
 * runs as another user, with this user's HOME, leaves nothing there. */
static bool may_make_in(int parent) {
    struct stat about;
    return fstat(parent, &about) == 0 &&
           (about.st_uid == geteuid() || (about.st_mode & S_ISVTX) != 0);
}

static int open_parent(const char *path, size_t length) {
    char parent[PATH_BYTES];
    if (length >= sizeof parent) {
        return -1;
    }
    memcpy(parent, path, length);
    parent[length] = '\0';
    return open(length == 0 ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Bytes of the path before its last component; -1: it is a single component. */
static ptrdiff_t parent_length(const char *path, size_t length) {
    while (length > 0 && path[length - 1] != '/') {
        length--;
    }
    while (length > 1 && path[length - 1] == '/' && path[length - 2] == '/') {
        length--;
    }
    return (ptrdiff_t)length - 1;
}

/* Make the folder that the first `length` bytes of a path name, readable by its owner alone. False
 * when its parent is missing or not a place for it. */
static bool make_folder(const char *path, size_t length) {
    const ptrdiff_t before = parent_length(path, length);
    char name[COMPONENT_BYTES];
    const size_t bytes = length - (size_t)(before + 1);
    const int parent = before < 0 ? open_parent(".", 1) : open_parent(path, (size_t)before);
    bool made = false;
    if (parent >= 0 && bytes > 0 && bytes < sizeof name && may_make_in(parent)) {
        memcpy(name, path + before + 1, bytes);
        name[bytes] = '\0';
        made = mkdirat(parent, name, S_IRWXU) == 0;
    }
    if (parent >= 0) {
        (void)close(parent);
    }
    return made;
}

static int open_folder(const char *path) {
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Open the folder, made with its parent (as ~/.cache may have to be) if need be; -1. */
static int find_folder(const char *path, size_t length) {
    int folder = open_folder(path);
    if (folder >= 0 || errno != ENOENT) {
        return folder;
    }
    if (!make_folder(path, length)) {
        const ptrdiff_t before = parent_length(path, length);
        if (before > 0 && make_folder(path, (size_t)before)) {
            (void)make_folder(path, length);
        }
    }
    return open_folder(path); /* perhaps another process has just made it */
}

void coti_cache_open(const cot_context *context, coti_cache *cache) {
    struct stat about;
    char path[PATH_BYTES];
    *cache = (coti_cache){.folder = -1, .limit_bytes = context->cache_bytes};
    size_t length = context->cache_dir == NULL ? 0 : strlen(context->cache_dir);
    while (length > 1 && context->cache_dir[length - 1] == '/') {
        length--; /* "link/" would be followed */
    }
    if (length == 0 || length >= sizeof path) {
        return;
    }
    memcpy(path, context->cache_dir, length);
    path[length] = '\0';
    cache->folder = find_folder(path, length);
    if (cache->folder >= 0 && (fstat(cache->folder, &about) != 0 || !ours_alone(&about))) {
        (void)close(cache->folder);
        cache->folder = -1;
    }
}

void coti_cache_close(coti_cache *cache) {
    if (cache->folder < 0) {
        return;
    }
    if (atomic_load(&cache->grown)) {
        coti_cache_trim(cache);
    }
    (void)close(cache->folder);
    cache->folder = -1;
}

/* ---- reading ---- */

static bool read_all(int file, char *to, size_t bytes) {
    while (bytes > 0) {
        const ssize_t n = read(file, to, bytes);
        if (n <= 0) {
            if (n < 0 && errno == EINTR) {
                continue;
            }
            return false;
        }
        to += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Head, key, symbol and object, hashed one after the other. */
static void checksum(const head *h, const char *key, const char *symbol, const char *object,
                     uint64_t sum_out[2]) {
    for (int i = 0; i < 2; i++) {
        uint64_t sum = coti_hash(checksum_seed[i], h, offsetof(head, checksum));
        sum = coti_hash(sum, key, h->key_bytes);
        sum = coti_hash(sum, symbol, h->symbol_bytes);
        sum_out[i] = coti_hash(sum, object, h->object_bytes);
    }
}

/* Does a file hold this key's object, whole? Points *found_out into it. */
static bool accept(char *file, size_t bytes, const coti_cache_key *key, coti_cached *found_out) {
    head h;
    memcpy(&h, file, sizeof h);
    const uint64_t rest = bytes - sizeof h;
    if (memcmp(h.magic, magic, sizeof magic) != 0 || h.version != VERSION ||
        h.key_bytes != key->bytes || h.symbol_bytes < 2 ||
        h.symbol_bytes > COTI_CACHE_SYMBOL_BYTES || h.key_bytes > rest ||
        h.symbol_bytes > rest - h.key_bytes ||
        h.object_bytes != rest - h.key_bytes - h.symbol_bytes) {
        return false;
    }
    const char *text = file + sizeof h, *symbol = text + h.key_bytes;
    const char *object = symbol + h.symbol_bytes;
    uint64_t sum[2];
    checksum(&h, text, symbol, object, sum);
    if (memcmp(sum, h.checksum, sizeof sum) != 0 || memcmp(text, key->text, key->bytes) != 0 ||
        strnlen(symbol, h.symbol_bytes) != h.symbol_bytes - 1) {
        return false;
    }
    *found_out = (coti_cached){file, symbol, object, h.object_bytes, (int64_t)bytes};
    return true;
}

/* A file that was found is one that is used. */
static void mark_used(int file, const struct stat *about) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) == 0 &&
        (about->st_mtim.tv_sec > now.tv_sec ||
         now.tv_sec - about->st_mtim.tv_sec > USED_AGAIN_SECONDS)) {
        (void)futimens(file, NULL);
    }
}

static cot_status read_file(cot_context *context, int file, const coti_cache_key *key,
                            coti_cached *found_out) {
    struct stat about;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || !ours_alone(&about) ||
        about.st_size < (off_t)sizeof(head) || about.st_size > (off_t)LARGEST_FILE) {
        return COT_OK;
    }
    const size_t bytes = (size_t)about.st_size;
    char *content = coti_alloc(context, bytes);
    if (content == NULL) {
        return COT_E_NOMEM;
    }
    if (!read_all(file, content, bytes) || !accept(content, bytes, key, found_out)) {
        coti_free(context, content);
        return COT_OK;
    }
    mark_used(file, &about);
    return COT_OK;
}

cot_status coti_cache_find(const coti_cache *cache, cot_context *context, const coti_cache_key *key,
                           coti_cached *found_out) {
    char name[NAME_BYTES];
    *found_out = (coti_cached){NULL, NULL, NULL, 0, 0};
    if (cache->folder < 0) {
        return COT_OK;
    }
    format_name(name, key);
    /* Not to be held up by a FIFO of that name. */
    const int file = openat(cache->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        return COT_OK;
    }
    const cot_status status = read_file(context, file, key, found_out);
    (void)close(file);
    return status;
}

void coti_cache_release(cot_context *context, coti_cached *found) {
    coti_free(context, found->file);
    *found = (coti_cached){NULL, NULL, NULL, 0, 0};
}

/* ---- writing ---- */

static bool write_all(int file, const void *from, size_t bytes) {
    const char *at = from;
    while (bytes > 0) {
        const ssize_t n = write(file, at, bytes);
        if (n <= 0) {
            if (n < 0 && errno == EINTR) {
                continue;
            }
            return false;
        }
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* A new file for a temporary name, which is unlike any other's. */
static int open_temporary(int folder, char name[NAME_BYTES]) {
    int file = -1;
    for (int i = 0; i < NAMES_TRIED && file < 0; i++) {
        uint64_t number = 0;
        if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number) {
            return -1;
        }
        (void)snprintf(name, NAME_BYTES, "tmp-%016llx", (unsigned long long)number);
        file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
        if (file < 0 && errno != EEXIST) {
            return -1;
        }
    }
    return file;
}

bool coti_cache_may_write(int64_t bytes) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
           (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (rlim_t)bytes);
}

int64_t coti_cache_store(coti_cache *cache, const coti_cache_key *key, const char *symbol,
                         const char *object, size_t object_bytes) {
    head h = {.version = VERSION,
              .symbol_bytes = (uint32_t)strlen(symbol) + 1,
              .key_bytes = key->bytes,
              .object_bytes = object_bytes};
    const int64_t bytes = (int64_t)(sizeof h + h.key_bytes + h.symbol_bytes + h.object_bytes);
    char name[NAME_BYTES], temporary[NAME_BYTES];
    if (cache->folder < 0 || bytes > LARGEST_FILE || bytes > cache->limit_bytes ||
        !coti_cache_may_write(bytes)) {
        return 0;
    }
    memcpy(h.magic, magic, sizeof magic);
    checksum(&h, key->text, symbol, object, h.checksum);
    coti_cache_account(cache, bytes);
    const int file = open_temporary(cache->folder, temporary);
    if (file < 0) {
        return 0;
    }
    bool written = write_all(file, &h, sizeof h) && write_all(file, key->text, key->bytes) &&
                   write_all(file, symbol, h.symbol_bytes) && write_all(file, object, object_bytes);
    written = close(file) == 0 && written;
    format_name(name, key);
    if (!written || renameat(cache->folder, temporary, cache->folder, name) != 0) {
        (void)unlinkat(cache->folder, temporary, 0);
        return 0;
    }
    atomic_store(&cache->grown, true);
    return bytes;
}
