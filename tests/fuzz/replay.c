/*
 * Runs a fuzz target over files: the committed corpus as a regression test, or one input that a
 * fuzzer has kept.
 *   replay_<target> FILE-OR-DIRECTORY...
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

static int give_up(const char *path) {
    perror(path);
    return -1;
}

/* Runs the target over a file; 1, or -1 when it cannot be read. */
static int replay_file(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return give_up(path);
    }
    uint8_t *data = malloc(size > 0 ? size : 1); /* no larger, so that a sanitizer sees its end */
    bool whole = data != NULL && fread(data, 1, size, file) == size;
    fclose(file);
    if (whole) {
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return whole ? 1 : give_up(path);
}

/* Inputs run, or -1. */
static int replay_directory(const char *path) {
    DIR *directory = opendir(path);
    int total = 0;
    if (directory == NULL) {
        return give_up(path);
    }
    for (struct dirent *entry = readdir(directory); entry != NULL && total >= 0;
         entry = readdir(directory)) {
        char name[PATH_BYTES];
        struct stat facts;
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (length < 0 || length >= PATH_BYTES || stat(name, &facts) != 0) {
            total = give_up(entry->d_name);
        } else if (S_ISREG(facts.st_mode)) {
            total = replay_file(name, (size_t)facts.st_size) < 0 ? -1 : total + 1;
        }
    }
    closedir(directory);
    return total;
}

static int replay(const char *path) {
    struct stat facts;
    if (stat(path, &facts) != 0) {
        return give_up(path);
    }
    return S_ISDIR(facts.st_mode) ? replay_directory(path)
                                  : replay_file(path, (size_t)facts.st_size);
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n < 0) {
            return EXIT_FAILURE;
        }
        total += n;
    }
    printf("%d inputs\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
