/*
 * A file of the CSVLogger callback: a line of names, the first "epoch", then a line an epoch. The
 * separator is what stands behind "epoch". A number that is missing ("NA", or nothing) is no point.
 */
#include "run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A line without its end; NULL at the file's end. The buffer grows; the caller frees it. */
static char *read_line(FILE *file, char **buffer, size_t *capacity) {
    size_t n = 0;
    for (int c = fgetc(file); c != EOF || n > 0; c = fgetc(file)) {
        if (n + 1 >= *capacity) {
            *capacity = *capacity == 0 ? 1024 : 2 * *capacity;
            *buffer = report_grow(*buffer, *capacity, 1);
        }
        if (c == '\n' || c == EOF) {
            n -= n > 0 && (*buffer)[n - 1] == '\r';
            (*buffer)[n] = '\0';
            return *buffer;
        }
        (*buffer)[n++] = (char)c;
    }
    return NULL;
}

/* The next cell of a line, ended by NUL; NULL: there is none. */
static char *next_cell(char **line, char separator) {
    char *cell = *line;
    if (cell == NULL) {
        return NULL;
    }
    char *end = strchr(cell, separator);
    *line = end != NULL ? end + 1 : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return cell;
}

static bool read_number(const char *cell, double *out) {
    char *end = NULL;
    *out = strtod(cell, &end);
    return end != cell && *end == '\0';
}

/* One epoch's numbers, under the names of the head. false: it is no such line. */
static bool add_line(report_run *run, char *line, char *const *name, size_t n, char separator) {
    double epoch = 0.0, value = 0.0;
    char *cell = next_cell(&line, separator);
    if (cell == NULL || !read_number(cell, &epoch) || !isfinite(epoch)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        cell = next_cell(&line, separator);
        if (cell == NULL) {
            return false;
        }
        bool validation = strncmp(name[i], "val_", 4) == 0;
        if (read_number(cell, &value)) {
            report_add(run, name[i] + (validation ? 4 : 0), validation, false, epoch, value);
        }
    }
    return line == NULL;
}

static bool read_table(report_run *run, FILE *file, const char *path) {
    char *buffer = NULL, *head = NULL, **name = NULL;
    size_t capacity = 0, n = 0, n_lines = 1;
    char *line = read_line(file, &buffer, &capacity);
    bool fine = line != NULL && strncmp(line, "epoch", 5) == 0 && line[5] != '\0';
    char separator = fine ? line[5] : ',';
    if (fine) {
        head = report_copy(line + 6, strlen(line + 6));
        char *rest = head;
        for (char *cell = next_cell(&rest, separator); cell != NULL;
             cell = next_cell(&rest, separator)) {
            name = report_grow((void *)name, n + 1, sizeof *name);
            name[n++] = cell;
        }
    }
    while (fine && (line = read_line(file, &buffer, &capacity)) != NULL) {
        n_lines++;
        fine = line[0] == '\0' || add_line(run, line, name, n, separator);
    }
    if (!fine) {
        (void)fprintf(stderr, "cotangent report: %s: line %zu is no %s\n", path, n_lines,
                      n_lines == 1 ? "line of names that begins with \"epoch\""
                                   : "epoch with a number for each name");
    }
    free((void *)name);
    free(head);
    free(buffer);
    return fine;
}

bool report_read_csv(report_run *run, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "cotangent report: %s: %s\n", path, strerror(errno));
        return false;
    }
    bool fine = read_table(run, file, path);
    (void)fclose(file);
    return fine;
}
