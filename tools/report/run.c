/* Curves and their points: see run.h. */
#include "run.h"

#include "../command.h"

#include <stdlib.h>
#include <string.h>

void *report_grow(void *pointer, size_t n, size_t size) {
    void *grown = n <= SIZE_MAX / size ? realloc(pointer, n > 0 ? n * size : 1) : NULL;
    if (grown == NULL) {
        (void)fputs("cotangent report: out of memory\n", stderr);
        exit(COMMAND_FAILED);
    }
    return grown;
}

char *report_copy(const char *text, size_t n) {
    char *copy = report_grow(NULL, n + 1, 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

static bool is_series(const report_series *series, const char *name, bool validation,
                      bool by_step) {
    return series->validation == validation && series->by_step == by_step &&
           strcmp(series->name, name) == 0;
}

const report_series *report_find(const report_run *run, const char *name, bool validation,
                                 bool by_step) {
    for (size_t i = 0; i < run->n_series; i++) {
        if (is_series(&run->series[i], name, validation, by_step)) {
            return &run->series[i];
        }
    }
    return NULL;
}

/* Points come in the same order every epoch, so the series behind the latest is tried first. */
static report_series *series_of(report_run *run, const char *name, bool validation, bool by_step) {
    for (size_t i = 0; i < run->n_series; i++) {
        size_t at = (run->next + i) % run->n_series;
        if (is_series(&run->series[at], name, validation, by_step)) {
            run->next = at + 1;
            return &run->series[at];
        }
    }
    if (run->n_series == run->series_capacity) {
        run->series_capacity = run->series_capacity == 0 ? 16 : 2 * run->series_capacity;
        run->series = report_grow(run->series, run->series_capacity, sizeof *run->series);
    }
    report_series *series = &run->series[run->n_series++];
    *series = (report_series){
        .name = report_copy(name, strlen(name)), .validation = validation, .by_step = by_step};
    run->next = run->n_series;
    return series;
}

void report_add(report_run *run, const char *name, bool validation, bool by_step, double x,
                double y) {
    report_series *s = series_of(run, name, validation, by_step);
    size_t at = s->n;
    while (at > 0 && s->x[at - 1] > x) {
        at--;
    }
    if (at > 0 && s->x[at - 1] == x) {
        s->y[at - 1] = y;
        return;
    }
    if (s->n == s->capacity) {
        s->capacity = s->capacity == 0 ? 32 : 2 * s->capacity;
        s->x = report_grow(s->x, s->capacity, sizeof *s->x);
        s->y = report_grow(s->y, s->capacity, sizeof *s->y);
    }
    memmove(s->x + at + 1, s->x + at, (s->n - at) * sizeof *s->x);
    memmove(s->y + at + 1, s->y + at, (s->n - at) * sizeof *s->y);
    s->x[at] = x;
    s->y[at] = y;
    s->n++;
}

void report_free(report_run *run) {
    for (size_t i = 0; i < run->n_series; i++) {
        free(run->series[i].name);
        free(run->series[i].x);
        free(run->series[i].y);
    }
    for (size_t i = 0; i < run->n_nodes; i++) {
        report_node *node = &run->node[i];
        for (size_t k = 0; k < node->n_inputs; k++) {
            free(node->input[k]);
        }
        free((void *)node->input);
        free(node->name);
        free(node->op);
        free(node->shape);
    }
    free(run->series);
    free(run->node);
}
