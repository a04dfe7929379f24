/* A folder of a test's own for the object cache, and what may be done to its files. */
#ifndef CACHE_CASE_H
#define CACHE_CASE_H

#include "codegen/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CACHE_PATH_BYTES = 512 };

/* A fresh directory under /tmp, which is to become or to hold a cache. */
static inline void cache_make_place(char path[CACHE_PATH_BYTES]) {
    (void)strcpy(path, "/tmp/cotangent_cache_XXXXXX");
    if (mkdtemp(path) == NULL) {
        abort();
    }
}

/* Remove a directory, and what it holds, two levels deep. */
static inline void cache_remove_place(const char *path) {
    DIR *folder = opendir(path);
    for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL;
         entry = readdir(folder)) {
        char name[2 * CACHE_PATH_BYTES];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        const int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (length < (int)sizeof name && unlink(name) != 0) {
            cache_remove_place(name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    (void)rmdir(path);
}

/* Names of the object files in a folder, in no order; how many (at most `most`). */
static inline int cache_list_objects(const char *path, char (*name_out)[64], int most) {
    int n = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL;
         entry = readdir(folder)) {
        if (coti_cache_is_object(entry->d_name) && n < most) {
            (void)snprintf(name_out[n++], 64, "%.63s", entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return n;
}

#endif
