/*
 * Writing a file so that its name never stands for half of it: the bytes go to a temporary file in
 * the same directory, which is forced to the disk and renamed, and the directory is forced as well.
 * A process that is killed, or a power failure, at any moment leaves the old file or the new one.
 *
 * The temporary file is "<name>.tmp" (or .tmp1, .tmp2, ... while other writers are at it). It is
 * locked while it is written; one that is not locked is left over from a process that was killed,
 * and is written over.
 *
 * An error names the path and the system's reason; after it the old file is untouched and the
 * temporary file is gone. SIGXFSZ, which the system sends at a limit on file sizes, is the host's
 * to ignore.
 */
#ifndef COTI_ATOMIC_FILE_H
#define COTI_ATOMIC_FILE_H

#include "runtime/base/context.h"

typedef struct coti_atomic_file {
    cot_context *context;
    char *path;      /* with symbolic links followed; owned */
    char *temporary; /* owned */
    int fd;          /* -1: closed */
} coti_atomic_file;

/* Begin. path may be that of a regular file, which is replaced in the end. fails: COT_E_IO,
 * COT_E_NOMEM; nothing is then left to be abandoned. */
cot_status coti_atomic_open(cot_context *context, const char *path, coti_atomic_file *file);
cot_status coti_atomic_write(coti_atomic_file *file, const void *data, size_t bytes);
/* Put the file in its place. Whatever comes of it, the file is closed. */
cot_status coti_atomic_commit(coti_atomic_file *file);
/* Close and remove what was written. */
void coti_atomic_abandon(coti_atomic_file *file);

#endif
