/* Files that are whole or not there: contract in atomic_file.h. */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_WRITERS = 16 };

static cot_status fail_errno(const coti_atomic_file *file, const char *what) {
    return COTI_FAIL(file->context, COT_E_IO, "\"%.300s\" cannot be %s: %s", file->path, what,
                     strerror(errno));
}

static void close_file(coti_atomic_file *file) {
    if (file->fd >= 0) {
        (void)close(file->fd); /* it has been forced to the disk, or is given up */
    }
    file->fd = -1;
    coti_free(file->context, file->path);
    coti_free(file->context, file->temporary);
    file->path = file->temporary = NULL;
}

/* ---- opening ---- */

/* The name behind symbolic links; mode_out: of the file that is there, 0: there is none. */
static cot_status find_target(coti_atomic_file *file, const char *path, mode_t *mode_out) {
    struct stat facts = {0};
    char real[PATH_MAX];
    file->path = coti_strdup(file->context, path);
    if (file->path == NULL) {
        return COT_E_NOMEM;
    }
    *mode_out = 0;
    if (stat(path, &facts) != 0) {
        return errno == ENOENT ? COT_OK : fail_errno(file, "written");
    }
    if (!S_ISREG(facts.st_mode)) {
        return COTI_FAIL(file->context, COT_E_IO, "\"%.300s\" cannot be written: no regular file",
                         path);
    }
    *mode_out = facts.st_mode & 07777;
    if (realpath(path, real) == NULL) {
        return fail_errno(file, "written");
    }
    coti_free(file->context, file->path);
    file->path = coti_strdup(file->context, real);
    return file->path != NULL ? COT_OK : COT_E_NOMEM;
}

/* Is the open file, now that it is locked, still the one of that name? */
static bool is_same(int fd, const char *name) {
    struct stat open_file = {0}, named = {0};
    return fstat(fd, &open_file) == 0 && stat(name, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* One attempt: -1 with errno EWOULDBLOCK when another writer has it. */
static int open_temporary(const char *name) {
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        return -1;
    }
    bool is_ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same(fd, name);
    if (is_ours && ftruncate(fd, 0) == 0) {
        return fd;
    }
    int reason = is_ours ? errno : EWOULDBLOCK;
    if (is_ours) {
        (void)unlink(name);
    }
    (void)close(fd);
    errno = reason;
    return -1;
}

static cot_status find_temporary(coti_atomic_file *file) {
    size_t room = strlen(file->path) + 16;
    file->temporary = coti_alloc(file->context, room);
    if (file->temporary == NULL) {
        return COT_E_NOMEM;
    }
    errno = EWOULDBLOCK;
    for (int32_t i = 0; i < MOST_WRITERS && file->fd < 0 && errno == EWOULDBLOCK; i++) {
        (void)snprintf(file->temporary, room, i == 0 ? "%s.tmp" : "%s.tmp%d", file->path, (int)i);
        file->fd = open_temporary(file->temporary);
    }
    return file->fd >= 0 ? COT_OK : fail_errno(file, "written");
}

cot_status coti_atomic_open(cot_context *context, const char *path, coti_atomic_file *file) {
    *file = (coti_atomic_file){.context = context, .fd = -1};
    mode_t mode = 0;
    cot_status status = find_target(file, path, &mode);
    if (status == COT_OK) {
        status = find_temporary(file);
    }
    if (file->fd >= 0 && status == COT_OK && mode != 0 && fchmod(file->fd, mode) != 0) {
        status = fail_errno(file, "written");
    }
    if (status != COT_OK) {
        coti_atomic_abandon(file);
    }
    return status;
}

/* ---- writing ---- */

cot_status coti_atomic_write(coti_atomic_file *file, const void *data, size_t bytes) {
    const char *from = data;
    while (bytes > 0) {
        ssize_t n = write(file->fd, from, bytes);
        if (n < 0 && errno != EINTR) {
            return fail_errno(file, "written");
        }
        size_t done = n > 0 ? (size_t)n : 0;
        from += done;
        bytes -= done;
    }
    return COT_OK;
}

/* Force the directory, so that the new name is on the disk. Some file systems cannot (EINVAL). */
static cot_status force_directory(const coti_atomic_file *file) {
    const char *slash = strrchr(file->path, '/');
    size_t n = slash == NULL ? 0 : slash == file->path ? 1 : (size_t)(slash - file->path);
    char *directory = n == 0 ? coti_strdup(file->context, ".") : coti_alloc(file->context, n + 1);
    if (directory == NULL) {
        return COT_E_NOMEM;
    }
    if (n > 0) {
        memcpy(directory, file->path, n);
        directory[n] = '\0';
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool forced = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    cot_status status = forced ? COT_OK : fail_errno(file, "put into its directory");
    if (fd >= 0) {
        (void)close(fd);
    }
    coti_free(file->context, directory);
    return status;
}

cot_status coti_atomic_commit(coti_atomic_file *file) {
    if (fsync(file->fd) != 0 || rename(file->temporary, file->path) != 0) {
        cot_status status = fail_errno(file, "written");
        coti_atomic_abandon(file);
        return status;
    }
    cot_status status = force_directory(file);
    close_file(file);
    return status;
}

void coti_atomic_abandon(coti_atomic_file *file) {
    if (file->fd >= 0) {
        (void)unlink(file->temporary);
    }
    close_file(file);
}
