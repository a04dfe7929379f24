/*
 * What `cotangent report` knows of a run: curves, and the model's graph. Read from event files
 * (events.c) or a CSV file (csv.c); shown as charts (chart.c), a picture of the model (picture.c)
 * and a page (page.c). A process that runs out of memory says so and ends.
 */
#ifndef REPORT_RUN_H
#define REPORT_RUN_H

#include <cotangent.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A curve: points by ascending x. */
typedef struct report_series {
    char *name; /* "loss", "hidden/dead_units"; without "val_" */
    bool validation;
    bool by_step; /* x counts steps, not epochs */
    size_t n, capacity;
    double *x, *y;
} report_series;

/* A layer call. */
typedef struct report_node {
    char *name, *op, *shape; /* shape: "?, 28, 28" */
    size_t n_inputs;
    char **input; /* names */
} report_node;

typedef struct report_run {
    const char *source; /* what it was read from */
    size_t n_series, series_capacity;
    report_series *series;
    size_t next; /* where the next point's series probably is */
    size_t n_nodes, node_capacity;
    report_node *node;
} report_run;

/* ---- run.c ---- */

/* Memory, or the end of the process. */
void *report_grow(void *pointer, size_t n, size_t size);
char *report_copy(const char *text, size_t n);

/* Add a point; one of the same x is replaced. */
void report_add(report_run *run, const char *name, bool validation, bool by_step, double x,
                double y);
const report_series *report_find(const report_run *run, const char *name, bool validation,
                                 bool by_step);
void report_free(report_run *run);

/* ---- events.c, csv.c ---- */

/* Read a log directory of the TensorBoard callback: its event files and those of train/ and
 * validation/. false after a message on stderr. */
bool report_read_events(report_run *run, const char *directory);
/* Read a file of the CSVLogger callback. */
bool report_read_csv(report_run *run, const char *path);

/* ---- chart.c ---- */

typedef struct report_line {
    const char *label;
    const char *color;
    bool dashed;
    const report_series *series;
} report_line;

typedef struct report_chart {
    const char *title, *x_label;
    size_t n;
    const report_line *line;
    double mark;     /* an x to mark; NAN: none */
    bool all_points; /* also where there are many lines */
} report_chart;

/* Text with &, <, > and quotes escaped. */
void report_escape(FILE *out, const char *text);
/* An SVG element. The y axis is logarithmic where all is positive and spans two decades. */
void report_chart_write(FILE *out, const report_chart *chart);

/* Values against an option: points of a series, x numbers or places in a list of names. */
typedef struct report_scatter {
    const char *title, *x_label;
    bool log_x;
    size_t n_names;
    const char *const *name; /* NULL: x are numbers */
    const report_series *series;
    const char *const *label; /* of each point, for the pointer */
    size_t best;              /* a point that is marked; series->n: none */
} report_scatter;

/* An SVG element; y as in a chart. Points that are not finite are left out. */
void report_scatter_write(FILE *out, const report_scatter *scatter);

/* ---- picture.c, page.c, search.c ---- */

/* Okabe and Ito's colours, which the colour-blind tell apart; and the pages' style sheet. */
enum { REPORT_COLORS = 8 };
extern const char *const report_palette[REPORT_COLORS];
extern const char *const report_style;

/* The model's graph as an SVG element; inputs above. */
void report_picture_write(FILE *out, const report_run *run);
void report_page_write(FILE *out, const report_run *run);
/* A search: its best trial, curves of all, a chart an option, the table. source: of what. */
void report_search_write(FILE *out, const char *source, const cot_search_result *result);

#endif
