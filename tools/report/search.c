/*
 * The page of a search: which trial was best, how all of them went, the number watched against each
 * option, and the table. One file of HTML that needs nothing else.
 */
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_ROOM = 96, COLOR_ROOM = 32, MOST_NAMED = 12 };

/* What of a text fits, whole characters of UTF-8: one that would be cut is left out. */
static void copy_text(char *to, size_t room, const char *from) {
    size_t n = strlen(from);
    if (n >= room) {
        n = room - 1;
        while (n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    memcpy(to, from, n);
    to[n] = '\0';
}

/* A trial's value of an option as text. */
static void write_value(char *text, size_t room, const cot_trial *trial, const cot_range *range) {
    if (range->kind == COT_RANGE_TEXTS) {
        copy_text(text, room, cot_trial_text(trial, range->name));
    } else {
        (void)snprintf(text, room, "%.5g", cot_trial_float(trial, range->name));
    }
}

/* ---- curves ---- */

/* The best in the first colour, the others from the second best to the worst paler. */
static void choose_color(char color[COLOR_ROOM], int32_t rank, int32_t n) {
    if (rank == 0) {
        (void)snprintf(color, COLOR_ROOM, "%s", report_palette[1]);
    } else {
        (void)snprintf(color, COLOR_ROOM, "hsl(205,60%%,%d%%)", 35 + 40 * rank / n);
    }
}

static report_series curve_of(const cot_trial *trial) {
    const cot_trial_info info = cot_trial_get_info(trial);
    report_series s = {.n = (size_t)info.n_epochs,
                       .x = report_grow(NULL, (size_t)info.n_epochs + 1, sizeof(double)),
                       .y = report_grow(NULL, (size_t)info.n_epochs + 1, sizeof(double))};
    for (size_t i = 0; i < s.n; i++) {
        s.x[i] = (double)i + 1.0;
        s.y[i] = info.curve[i];
    }
    return s;
}

/* All trials, the best on top of the others. */
static void write_curves(FILE *out, const cot_search_result *result) {
    const size_t n = (size_t)cot_search_n_trials(result);
    report_line *line = report_grow(NULL, n, sizeof *line);
    report_series *series = report_grow(NULL, n, sizeof *series);
    char(*text)[LABEL_ROOM] = report_grow(NULL, n, sizeof *text);
    char(*color)[COLOR_ROOM] = report_grow(NULL, n, sizeof *color);
    for (size_t i = 0; i < n; i++) {
        const int32_t rank = (int32_t)(n - 1 - i);
        const cot_trial *trial = cot_search_ranked(result, rank);
        series[i] = curve_of(trial);
        (void)snprintf(text[i], LABEL_ROOM, "trial %d", (int)cot_trial_index(trial));
        choose_color(color[i], rank, (int32_t)n);
        line[i] = (report_line){text[i], color[i], false, &series[i]};
    }
    (void)fputs("<figure><h3>All trials</h3>\n", out);
    report_chart_write(out, &(report_chart){.title = "All trials",
                                            .x_label = "epoch",
                                            .n = n,
                                            .line = line,
                                            .mark = NAN,
                                            .all_points = true});
    (void)fprintf(out, "<p class=\"quiet\">The best is orange; the paler a line, the worse its "
                       "trial.</p></figure>\n");
    for (size_t i = 0; i < n; i++) {
        free(series[i].x);
        free(series[i].y);
    }
    free(line);
    free(series);
    free((void *)text);
    free((void *)color);
}

/* ---- against an option ---- */

/* Lists have a place an entry; where they are long, and numbers, an axis. */
static bool is_named(const cot_range *range) {
    return range->kind == COT_RANGE_TEXTS ||
           (range->kind == COT_RANGE_NUMBERS && range->n <= MOST_NAMED);
}

static double place_of(const cot_trial *trial, const cot_range *range) {
    if (!is_named(range)) {
        return cot_trial_float(trial, range->name);
    }
    for (int32_t i = 0; i < range->n; i++) {
        if (range->kind == COT_RANGE_TEXTS
                ? strcmp(range->text[i], cot_trial_text(trial, range->name)) == 0
                : range->number[i] == cot_trial_float(trial, range->name)) {
            return i;
        }
    }
    return NAN;
}

/* The names of a list's entries; NULL for an axis of numbers. text holds those that are made. */
static const char **make_names(const cot_range *range, char (*text)[LABEL_ROOM]) {
    const char **name = is_named(range) ? report_grow(NULL, (size_t)range->n, sizeof *name) : NULL;
    for (int32_t i = 0; name != NULL && i < range->n; i++) {
        if (range->kind != COT_RANGE_TEXTS) {
            (void)snprintf(text[i], LABEL_ROOM, "%.5g", range->number[i]);
        }
        name[i] = range->kind == COT_RANGE_TEXTS ? range->text[i] : text[i];
    }
    return name;
}

static void write_option(FILE *out, const cot_search_result *result, const cot_range *range) {
    const size_t n = (size_t)cot_search_n_trials(result);
    report_series s = {.n = n,
                       .x = report_grow(NULL, n, sizeof(double)),
                       .y = report_grow(NULL, n, sizeof(double))};
    char(*text)[LABEL_ROOM] = report_grow(NULL, n, sizeof *text);
    char(*own)[LABEL_ROOM] = report_grow(NULL, (size_t)range->n + 1, sizeof *own);
    const char **label = report_grow(NULL, n, sizeof *label);
    const char **name = make_names(range, own);
    for (size_t i = 0; i < n; i++) { /* the best last: on top */
        const cot_trial *trial = cot_search_ranked(result, (int32_t)(n - 1 - i));
        char value[LABEL_ROOM / 2];
        write_value(value, sizeof value, trial, range);
        s.x[i] = place_of(trial, range);
        s.y[i] = cot_trial_get_info(trial).value;
        (void)snprintf(text[i], LABEL_ROOM, "trial %d, %s: %.6g", (int)cot_trial_index(trial),
                       value, s.y[i]);
        label[i] = text[i];
    }
    (void)fputs("<figure><h3>", out);
    report_escape(out, range->name);
    (void)fputs("</h3>\n", out);
    report_scatter_write(out, &(report_scatter){.title = range->name,
                                                .x_label = range->name,
                                                .log_x = range->kind != COT_RANGE_UNIFORM &&
                                                         range->kind != COT_RANGE_INTEGERS,
                                                .n_names = (size_t)range->n,
                                                .name = name,
                                                .series = &s,
                                                .label = label,
                                                .best = n - 1});
    (void)fputs("</figure>\n", out);
    free(s.x);
    free(s.y);
    free((void *)text);
    free((void *)own);
    free((void *)label);
    free((void *)name);
}

/* ---- the table ---- */

static void write_row(FILE *out, const cot_search_result *result, const cot_trial *trial) {
    const cot_trial_info info = cot_trial_get_info(trial);
    (void)fprintf(out, "<tr><td>%d</td>", (int)cot_trial_index(trial));
    if (isfinite(info.value)) {
        (void)fprintf(out, "<td>%.6g</td><td>%d</td>", info.value, (int)info.best_epoch + 1);
    } else {
        (void)fputs("<td></td><td></td>", out);
    }
    (void)fprintf(out, "<td>%d</td><td>%.2f</td>", (int)info.n_epochs, info.seconds);
    for (int32_t i = 0; i < cot_search_n_ranges(result); i++) {
        char value[LABEL_ROOM];
        write_value(value, sizeof value, trial, cot_search_range(result, i));
        (void)fputs("<td>", out);
        report_escape(out, value);
        (void)fputs("</td>", out);
    }
    (void)fputs("<td style=\"text-align:left\">", out);
    report_escape(out, cot_trial_state_name(info.state));
    (void)fputs(info.message[0] != '\0' ? ": " : "", out);
    report_escape(out, info.message);
    (void)fputs("</td></tr>\n", out);
}

static void write_table(FILE *out, const cot_search_result *result) {
    (void)fputs("<div class=\"scroll\"><table>\n<tr><th>trial</th><th>", out);
    report_escape(out, cot_search_monitor(result));
    (void)fputs("</th><th>at epoch</th><th>epochs</th><th>seconds</th>", out);
    for (int32_t i = 0; i < cot_search_n_ranges(result); i++) {
        (void)fputs("<th>", out);
        report_escape(out, cot_search_range(result, i)->name);
        (void)fputs("</th>", out);
    }
    (void)fputs("<th></th></tr>\n", out);
    for (int32_t i = 0; i < cot_search_n_trials(result); i++) {
        write_row(out, result, cot_search_ranked(result, i));
    }
    (void)fputs("</table></div>\n", out);
}

static void write_best(FILE *out, const cot_search_result *result) {
    const cot_trial *best = cot_search_best(result);
    const cot_logs test = cot_search_test(result);
    if (best == NULL) {
        (void)fputs("<p class=\"alarm\">No trial has come to a number.</p>\n", out);
        return;
    }
    (void)fprintf(out, "<p>Best of %d trials: trial %d, ", (int)cot_search_n_trials(result),
                  (int)cot_trial_index(best));
    report_escape(out, cot_search_monitor(result));
    (void)fprintf(out, " %.6g at epoch %d", cot_trial_get_info(best).value,
                  (int)cot_trial_get_info(best).best_epoch + 1);
    for (int32_t i = 0; i < cot_search_n_ranges(result); i++) {
        char value[LABEL_ROOM];
        write_value(value, sizeof value, best, cot_search_range(result, i));
        (void)fputs(", ", out);
        report_escape(out, cot_search_range(result, i)->name);
        (void)fputs(" ", out);
        report_escape(out, value);
    }
    (void)fputs(".</p>\n", out);
    for (int32_t i = 0; i < test.n; i++) {
        (void)fputs(i == 0 ? "<p>On the test set, evaluated once: " : ", ", out);
        report_escape(out, test.log[i].name);
        (void)fprintf(out, " %.6g", test.log[i].value);
    }
    (void)fputs(test.n > 0 ? ".</p>\n" : "", out);
}

void report_search_write(FILE *out, const char *source, const cot_search_result *result) {
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width\"><title>",
                out);
    report_escape(out, source);
    (void)fprintf(out,
                  "</title><style>%s</style></head><body>\n<h1>A search for hyper-parameters</h1>\n"
                  "<p class=\"quiet\">",
                  report_style);
    report_escape(out, source);
    (void)fputs("</p>\n", out);
    write_best(out, result);
    (void)fputs("<h2>", out);
    report_escape(out, cot_search_monitor(result));
    (void)fputs("</h2>\n<div class=\"charts\">\n", out);
    write_curves(out, result);
    for (int32_t i = 0; i < cot_search_n_ranges(result); i++) {
        write_option(out, result, cot_search_range(result, i));
    }
    (void)fputs("</div>\n<h2>Trials</h2>\n", out);
    write_table(out, result);
    (void)fputs("</body></html>\n", out);
}
