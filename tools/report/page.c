/*
 * The page: one file of HTML that needs nothing else. What the run came to, a chart for each number
 * with training and validation in it, the learning rate, the instruments with a line a layer, the
 * model, and all numbers as a table.
 */
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Okabe and Ito's colours, which the colour-blind tell apart. */
const char *const report_palette[REPORT_COLORS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                   "#e69f00", "#56b4e9", "#7f7f7f", "#b3a100"};
enum { COLOR_ROOM = 32 };

const char *const report_style =
    ":root{color-scheme:light dark}"
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1220px;padding:0 1rem}"
    "h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2rem 0 .6rem}"
    "h3{font-size:1rem;margin:0 0 .3rem}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));"
    "gap:1.2rem}"
    "figure{margin:0;padding:.8rem;border:1px solid #8884;border-radius:8px}"
    "svg{width:100%;height:auto;display:block}svg.model{width:auto;max-width:none}"
    ".scroll{overflow-x:auto}"
    "text{fill:currentColor;font:12px system-ui,sans-serif}text.tick{opacity:.7;font-size:11px}"
    "text.name{font-weight:600}"
    ".grid{stroke:#8883}.axis{stroke:currentColor;opacity:.6}"
    ".mark{stroke:currentColor;opacity:.5;stroke-dasharray:3 3}"
    ".edge{fill:none;stroke:currentColor;opacity:.45}.box{fill:#0072b218;stroke:#0072b2}"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.4rem 0 0;padding:0;list-style:none;"
    "font-size:13px}.legend i{display:inline-block;width:1.4em;height:0;border-top:3px solid;"
    "vertical-align:middle;margin-right:.4em}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #8883}"
    "th:first-child,td:first-child{text-align:left}"
    ".alarm{padding:.6rem 1rem;border-left:4px solid #d55e00;background:#d55e0022}"
    ".quiet{opacity:.7}";

/* ---- which numbers there are ---- */

static bool is_instrument(const char *name) {
    return strchr(name, '/') != NULL;
}

/* Has an earlier series the same name and kind of x? Then its chart shows this one as well. */
static bool is_repeated(const report_run *run, size_t i) {
    for (size_t k = 0; k < i; k++) {
        if (run->series[k].by_step == run->series[i].by_step &&
            strcmp(run->series[k].name, run->series[i].name) == 0) {
            return true;
        }
    }
    return false;
}

/* Place of the best number: the highest of what "accuracy" and its kin are, else the lowest. */
static size_t best_of(const report_series *s) {
    static const char *const rising[] = {"accuracy", "auc", "precision", "recall", "f1"};
    bool high = false;
    for (size_t i = 0; i < sizeof rising / sizeof rising[0]; i++) {
        high = high || strstr(s->name, rising[i]) != NULL;
    }
    size_t best = 0;
    for (size_t i = 1; i < s->n; i++) {
        bool better = high ? s->y[i] > s->y[best] : s->y[i] < s->y[best];
        best = better || !isfinite(s->y[best]) ? i : best;
    }
    return best;
}

/* The epoch of the lowest validation loss, NAN without validation. */
static double best_epoch(const report_run *run) {
    const report_series *loss = report_find(run, "loss", true, false);
    return loss != NULL && loss->n > 0 ? loss->x[best_of(loss)] : NAN;
}

/* ---- charts ---- */

static void write_legend(FILE *out, const report_line *line, size_t n) {
    (void)fputs("<ul class=\"legend\">", out);
    for (size_t i = 0; i < n; i++) {
        if (n > 12 && i != 0 && i != n - 1) {
            continue; /* their colours lie between */
        }
        (void)fprintf(out, "<li><i style=\"border-color:%s%s\"></i>", line[i].color,
                      line[i].dashed ? ";border-top-style:dashed" : "");
        report_escape(out, line[i].label);
        (void)fputs(n > 12 && i == 0 ? " … </li>" : "</li>", out);
    }
    (void)fputs("</ul>", out);
}

static void write_figure(FILE *out, const report_chart *chart) {
    (void)fputs("<figure><h3>", out);
    report_escape(out, chart->title);
    (void)fputs("</h3>\n", out);
    report_chart_write(out, chart);
    write_legend(out, chart->line, chart->n);
    (void)fputs("</figure>\n", out);
}

/* Training and validation of one number. */
static void write_number(FILE *out, const report_run *run, const report_series *s, double mark) {
    report_line line[2];
    size_t n = 0;
    const report_series *train = report_find(run, s->name, false, s->by_step);
    const report_series *validation = report_find(run, s->name, true, s->by_step);
    if (train != NULL) {
        line[n++] = (report_line){"training", report_palette[0], false, train};
    }
    if (validation != NULL) {
        line[n++] = (report_line){"validation", report_palette[1], false, validation};
    }
    write_figure(out, &(report_chart){.title = s->name,
                                      .x_label = s->by_step ? "step" : "epoch",
                                      .n = n,
                                      .line = line,
                                      .mark = validation != NULL ? mark : NAN});
}

/* Loss first, then the others as they come. */
static void write_numbers(FILE *out, const report_run *run, bool by_step) {
    double mark = by_step ? NAN : best_epoch(run);
    (void)fputs("<div class=\"charts\">\n", out);
    for (int losses = 1; losses >= 0; losses--) {
        for (size_t i = 0; i < run->n_series; i++) {
            const report_series *s = &run->series[i];
            if (s->by_step == by_step && !is_instrument(s->name) && !is_repeated(run, i) &&
                (strcmp(s->name, "loss") == 0) == (losses == 1)) {
                write_number(out, run, s, mark);
            }
        }
    }
    (void)fputs("</div>\n", out);
    if (isfinite(mark)) {
        (void)fprintf(
            out, "<p class=\"quiet\">Dashed: epoch %g, of the lowest validation loss.</p>\n", mark);
    }
}

static bool has_numbers(const report_run *run, bool by_step, bool instruments) {
    for (size_t i = 0; i < run->n_series; i++) {
        if (run->series[i].by_step == by_step &&
            is_instrument(run->series[i].name) == instruments) {
            return true;
        }
    }
    return false;
}

/* ---- instruments ---- */

static const struct {
    const char *kind, *title, *what;
} instruments[] = {
    {"dead_units", "Dead units",
     "Share of a ReLU layer's units that no row of the epoch has switched on."},
    {"saturated", "Saturated outputs",
     "Share of a sigmoid's or tanh's outputs within 0.01 of the ends of its range."},
    {"gradient_norm", "Norm of gradients", "Root mean square over the epoch's steps."},
    {"update_norm", "Norm of updates", "Root mean square over the epoch's steps."},
    {"weight_norm", "Norm of weights", "At the epoch's end."},
};

/* "hidden/dead_units" of this kind? Its layer's name is as long as *n_out. */
static bool is_of_kind(const char *name, const char *kind, size_t *n_out) {
    const char *slash = strrchr(name, '/');
    *n_out = slash != NULL ? (size_t)(slash - name) : 0;
    return slash != NULL && strcmp(slash + 1, kind) == 0;
}

/* The i-th of n: a colour of the palette, or for many from blue to red. */
static void choose_color(char color[COLOR_ROOM], size_t i, size_t n) {
    if (n <= REPORT_COLORS) {
        (void)snprintf(color, COLOR_ROOM, "%s", report_palette[i]);
    } else {
        (void)snprintf(color, COLOR_ROOM, "hsl(%d,70%%,45%%)",
                       (int)(225.0 - 225.0 * (double)i / (double)(n - 1)));
    }
}

/* The layer's place in the model; behind all others where the graph does not know it. */
static size_t place_of(const report_run *run, const report_line *line) {
    size_t i = 0;
    while (i < run->n_nodes && strcmp(run->node[i].name, line->label) != 0) {
        i++;
    }
    return i;
}

/* By place in the model, else as they are. */
static void sort_lines(const report_run *run, report_line *line, size_t n) {
    size_t *place = report_grow(NULL, n, sizeof *place);
    for (size_t i = 0; i < n; i++) {
        const report_line own = line[i];
        size_t own_place = place_of(run, &own), at = i;
        for (; at > 0 && place[at - 1] > own_place; at--) {
            place[at] = place[at - 1];
            line[at] = line[at - 1];
        }
        place[at] = own_place;
        line[at] = own;
    }
    free(place);
}

/* A line a layer that has this instrument, in the model's order. */
static void write_instrument(FILE *out, const report_run *run, size_t kind) {
    size_t n = 0, length = 0;
    report_line *line = report_grow(NULL, run->n_series, sizeof *line);
    char(*color)[COLOR_ROOM] = report_grow(NULL, run->n_series, sizeof *color);
    for (size_t i = 0; i < run->n_series; i++) {
        const report_series *s = &run->series[i];
        if (!s->by_step && is_of_kind(s->name, instruments[kind].kind, &length)) {
            line[n++] = (report_line){report_copy(s->name, length), NULL, false, s};
        }
    }
    sort_lines(run, line, n);
    for (size_t i = 0; i < n; i++) {
        choose_color(color[i], i, n);
        line[i].color = color[i];
    }
    if (n > 0) {
        (void)fputs("<figure><h3>", out);
        report_escape(out, instruments[kind].title);
        (void)fputs("</h3>\n", out);
        report_chart_write(out, &(report_chart){.title = instruments[kind].title,
                                                .x_label = "epoch",
                                                .n = n,
                                                .line = line,
                                                .mark = NAN});
        write_legend(out, line, n);
        (void)fprintf(out, "<p class=\"quiet\">%s</p></figure>\n", instruments[kind].what);
    }
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)line[i].label);
    }
    free(line);
    free(color);
}

static void write_nonfinite(FILE *out, const report_run *run) {
    const report_series *s = report_find(run, "nonfinite/step", false, false);
    if (s != NULL && s->n > 0 && s->y[s->n - 1] >= 0.0) {
        (void)fprintf(out,
                      "<p class=\"alarm\">Step %g was the first to compute a NaN or an "
                      "infinity.</p>\n",
                      s->y[s->n - 1]);
    }
}

/* ---- tables ---- */

static void write_result(FILE *out, const report_series *s) {
    size_t best = best_of(s);
    (void)fputs("<tr><td>", out);
    report_escape(out, s->validation ? "val_" : "");
    report_escape(out, s->name);
    (void)fprintf(out, "</td><td>%.6g</td><td>%.6g</td><td>%g</td></tr>\n", s->y[s->n - 1],
                  s->y[best], s->x[best]);
}

static void write_results(FILE *out, const report_run *run) {
    (void)fputs("<table><tr><th></th><th>last</th><th>best</th><th>at epoch</th></tr>\n", out);
    for (int validation = 0; validation < 2; validation++) {
        for (size_t i = 0; i < run->n_series; i++) {
            const report_series *s = &run->series[i];
            if (s->n > 0 && !s->by_step && !is_instrument(s->name) &&
                s->validation == (validation == 1) && strcmp(s->name, "learning_rate") != 0 &&
                strcmp(s->name, "steps_per_second") != 0) {
                write_result(out, s);
            }
        }
    }
    (void)fputs("</table>\n", out);
}

/* A row a number, as there may be more of them than epochs fit beside each other. */
static void write_all_numbers(FILE *out, const report_run *run) {
    (void)fputs("<details><summary>All numbers by epoch</summary><div class=\"scroll\"><table>\n",
                out);
    for (size_t i = 0; i < run->n_series; i++) {
        const report_series *s = &run->series[i];
        if (s->by_step) {
            continue;
        }
        (void)fputs("<tr><td>", out);
        report_escape(out, s->validation ? "val_" : "");
        report_escape(out, s->name);
        (void)fputs("</td>", out);
        for (size_t k = 0; k < s->n; k++) {
            (void)fprintf(out, "<td title=\"epoch %g\">%.6g</td>", s->x[k], s->y[k]);
        }
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table></div></details>\n", out);
}

void report_page_write(FILE *out, const report_run *run) {
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width\"><title>",
                out);
    report_escape(out, run->source);
    (void)fprintf(out, "</title><style>%s</style></head><body>\n<h1>A training run</h1>\n",
                  report_style);
    (void)fputs("<p class=\"quiet\">", out);
    report_escape(out, run->source);
    (void)fputs("</p>\n", out);
    write_nonfinite(out, run);
    write_results(out, run);
    (void)fputs("<h2>By epoch</h2>\n", out);
    write_numbers(out, run, false);
    if (has_numbers(run, false, true)) {
        (void)fputs("<h2>Inside the network</h2>\n<div class=\"charts\">\n", out);
        for (size_t i = 0; i < sizeof instruments / sizeof instruments[0]; i++) {
            write_instrument(out, run, i);
        }
        (void)fputs("</div>\n", out);
    }
    if (has_numbers(run, true, false)) {
        (void)fputs("<h2>By step</h2>\n", out);
        write_numbers(out, run, true);
    }
    if (run->n_nodes > 0) {
        (void)fputs("<h2>The model</h2>\n<div class=\"scroll\">\n", out);
        report_picture_write(out, run);
        (void)fputs("</div>\n", out);
    }
    (void)fputs("<h2>Numbers</h2>\n", out);
    write_all_numbers(out, run);
    (void)fputs("</body></html>\n", out);
}
