/*
 * Charts as SVG: axes with round numbers, lines, and the value of each point under the pointer.
 * Colours of text and axes are the page's (currentColor), so that it may be dark.
 */
#include "run.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 560, HEIGHT = 280, LEFT = 64, RIGHT = 14, TOP = 14, BOTTOM = 40, MOST_TICKS = 12 };

/* An axis: values to pixels. */
typedef struct axis {
    double low, high; /* of values; of their logarithms where is_log */
    double begin, end;
    bool is_log;
    int n_ticks;
    double tick[MOST_TICKS]; /* values */
    const char *const *name; /* of ticks 0, 1, ..; NULL: they are numbers */
} axis;

void report_escape(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
        }
    }
}

static double place(const axis *a, double value) {
    double at = a->is_log ? log10(value) : value;
    return a->begin + (at - a->low) / (a->high - a->low) * (a->end - a->begin);
}

/* ---- scales ---- */

/* 1, 2 or 5 times a power of ten: a step that makes about n of the range. */
static double round_step(double range, int n) {
    double raw = range / n;
    double power = pow(10.0, floor(log10(raw)));
    double factor = raw / power;
    return power * (factor <= 1.0 ? 1.0 : factor <= 2.0 ? 2.0 : factor <= 5.0 ? 5.0 : 10.0);
}

static void choose_ticks(axis *a, int wanted, bool whole) {
    double step = round_step(a->high - a->low, wanted);
    step = (whole || a->is_log) && step < 1.0 ? 1.0 : step;
    for (double t = ceil(a->low / step - 1e-9) * step;
         t <= a->high + 1e-9 * step && a->n_ticks < MOST_TICKS; t += step) {
        double near = fabs(t) < 1e-9 * step ? 0.0 : t;
        a->tick[a->n_ticks++] = a->is_log ? pow(10.0, near) : near;
    }
}

/* Lowest and highest finite numbers of all lines. */
static bool find_range(const report_chart *chart, bool of_y, double *low, double *high) {
    *low = DBL_MAX;
    *high = -DBL_MAX;
    for (size_t i = 0; i < chart->n; i++) {
        const report_series *s = chart->line[i].series;
        for (size_t k = 0; k < s->n; k++) {
            double value = of_y ? s->y[k] : s->x[k];
            if (isfinite(value)) {
                *low = value < *low ? value : *low;
                *high = value > *high ? value : *high;
            }
        }
    }
    return *low <= *high;
}

static axis make_x(const report_chart *chart) {
    axis a = {.begin = LEFT, .end = WIDTH - RIGHT};
    if (!find_range(chart, false, &a.low, &a.high)) {
        a.low = 0.0;
        a.high = 1.0;
    }
    if (a.high - a.low < 1.0) {
        a.low -= 0.5;
        a.high += 0.5;
    }
    choose_ticks(&a, 8, true);
    return a;
}

static axis make_y(const report_chart *chart) {
    axis a = {.begin = HEIGHT - BOTTOM, .end = TOP};
    double low = 0.0, high = 1.0;
    if (!find_range(chart, true, &low, &high)) {
        low = 0.0;
        high = 1.0;
    }
    a.is_log = low > 0.0 && high / low > 100.0;
    a.low = a.is_log ? log10(low) : low;
    a.high = a.is_log ? log10(high) : high;
    if (low == 0.0 && high == 0.0) {
        a.high = 1.0; /* a share or a norm: never below */
    }
    double room = 0.05 * (a.high - a.low);
    if (!(room > 0.0)) {
        room = fabs(a.high) > 0.0 ? 0.1 * fabs(a.high) : 0.5;
    }
    a.low = !a.is_log && low >= 0.0 && (low < 0.35 * high || low == 0.0) ? 0.0 : a.low - room;
    a.high += room;
    choose_ticks(&a, 5, false);
    return a;
}

/* ---- drawing ---- */

static void draw_axes(FILE *out, const report_chart *chart, const axis *x, const axis *y) {
    for (int i = 0; i < y->n_ticks; i++) {
        double at = place(y, y->tick[i]);
        (void)fprintf(out,
                      "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                      "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.5g</text>\n",
                      LEFT, WIDTH - RIGHT, at, at, LEFT - 8, at + 4.0, y->tick[i]);
    }
    for (int i = 0; i < x->n_ticks; i++) {
        double at = place(x, x->tick[i]);
        (void)fprintf(out,
                      "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                      "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
                      at, at, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 5, at, HEIGHT - BOTTOM + 18);
        if (x->name != NULL) {
            report_escape(out, x->name[i]);
        } else {
            (void)fprintf(out, "%.6g", x->tick[i]);
        }
        (void)fputs("</text>\n", out);
    }
    (void)fprintf(out,
                  "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
                  "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
                  LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2,
                  HEIGHT - 6);
    report_escape(out, chart->x_label);
    (void)fputs("</text>\n", out);
}

/* Lines between finite points; a point that is not finite leaves a gap. */
static void draw_line(FILE *out, const report_line *line, const axis *x, const axis *y) {
    const report_series *s = line->series;
    bool open = false;
    (void)fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s d=\"", line->color,
                  line->dashed ? " stroke-dasharray=\"6 4\"" : "");
    for (size_t i = 0; i < s->n; i++) {
        bool finite = isfinite(s->y[i]);
        if (finite) {
            (void)fprintf(out, "%c%.1f %.1f", open ? 'L' : 'M', place(x, s->x[i]),
                          place(y, s->y[i]));
        }
        open = finite;
    }
    (void)fputs("\"/>\n", out);
}

/* Points, to be seen where there are few, to be pointed at always. */
static void draw_points(FILE *out, const report_line *line, const axis *x, const axis *y) {
    enum { FEW = 60, MOST = 400 };
    const report_series *s = line->series;
    for (size_t i = 0; s->n <= MOST && i < s->n; i++) {
        if (!isfinite(s->y[i])) {
            continue;
        }
        (void)fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"%s><title>",
                      place(x, s->x[i]), place(y, s->y[i]), s->n <= FEW ? 3 : 5, line->color,
                      s->n <= FEW ? "" : " fill-opacity=\"0\"");
        report_escape(out, line->label);
        (void)fprintf(out, ", %g: %.6g</title></circle>\n", s->x[i], s->y[i]);
    }
}

void report_chart_write(FILE *out, const report_chart *chart) {
    axis x = make_x(chart), y = make_y(chart);
    (void)fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    report_escape(out, chart->title);
    (void)fputs("\">\n", out);
    draw_axes(out, chart, &x, &y);
    if (isfinite(chart->mark)) {
        double at = place(&x, chart->mark);
        (void)fprintf(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n",
                      at, at, TOP, HEIGHT - BOTTOM);
    }
    for (size_t i = 0; i < chart->n; i++) {
        draw_line(out, &chart->line[i], &x, &y);
    }
    for (size_t i = 0; (chart->n <= 12 || chart->all_points) && i < chart->n; i++) {
        draw_points(out, &chart->line[i], &x, &y);
    }
    (void)fputs("</svg>\n", out);
}

/* ---- values against an option ---- */

static axis make_names(const report_scatter *scatter) {
    axis a = {.low = -0.5,
              .high = (double)scatter->n_names - 0.5,
              .begin = LEFT,
              .end = WIDTH - RIGHT,
              .name = scatter->name};
    while (a.n_ticks < MOST_TICKS && (size_t)a.n_ticks < scatter->n_names) {
        a.tick[a.n_ticks] = a.n_ticks;
        a.n_ticks++;
    }
    return a;
}

static axis make_numbers(const report_scatter *scatter, const report_chart *chart) {
    axis a = {.begin = LEFT, .end = WIDTH - RIGHT};
    double low = 0.0, high = 1.0;
    if (!find_range(chart, false, &low, &high)) {
        low = 0.0;
        high = 1.0;
    }
    a.is_log = scatter->log_x && low > 0.0 && high / low > 10.0;
    a.low = a.is_log ? log10(low) : low;
    a.high = a.is_log ? log10(high) : high;
    double room = a.high > a.low ? 0.04 * (a.high - a.low) : 0.5;
    a.low -= room;
    a.high += room;
    choose_ticks(&a, 6, false);
    return a;
}

void report_scatter_write(FILE *out, const report_scatter *scatter) {
    const report_series *s = scatter->series;
    const report_line line = {.series = s};
    const report_chart chart = {
        .title = scatter->title, .x_label = scatter->x_label, .n = 1, .line = &line};
    axis x = scatter->name != NULL ? make_names(scatter) : make_numbers(scatter, &chart);
    axis y = make_y(&chart);
    (void)fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    report_escape(out, scatter->title);
    (void)fputs("\">\n", out);
    draw_axes(out, &chart, &x, &y);
    for (size_t i = 0; i < s->n; i++) {
        if (!isfinite(s->y[i])) {
            continue;
        }
        (void)fprintf(out,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\" "
                      "fill-opacity=\".75\"><title>",
                      place(&x, s->x[i]), place(&y, s->y[i]), i == scatter->best ? 7 : 4,
                      report_palette[i == scatter->best]);
        report_escape(out, scatter->label[i]);
        (void)fputs("</title></circle>\n", out);
    }
    (void)fputs("</svg>\n", out);
}
