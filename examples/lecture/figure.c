/*
 * Figures as SVG, see figure.h. A panel is a title, a legend in as many rows as it needs, a frame
 * with ticks, and inside it contours, then lines. All panels of a figure are equally large; a
 * figure with long legends grows in height.
 */
#include "figure.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANEL_WIDTH = 440,
    PLOT_HEIGHT = 220,
    LEFT = 70,
    RIGHT = 16,
    TITLE_HEIGHT = 26,
    LEGEND_ROW = 18,
    BOTTOM = 50,
    HEADING = 34,
    MOST_TICKS = 16,
    MOST_POINTS = 200 /* of a line; of longer ones every so many are drawn */
};

/* Light, then dark; in the order of figure.h. */
static const char *const palette[2][FIGURE_N_COLORS] = {
    {"#0072b2", "#d55e00", "#009e73", "#b4528a", "#c98500", "#3a9bd6", "#7f7f7f", "#1f2328"},
    {"#5aaef0", "#ff8a3d", "#2fc79a", "#e59ac6", "#f0b429", "#8fd0ff", "#9a9a9a", "#e6edf3"}};

/* An axis: values, or their logarithms, to places. */
typedef struct axis {
    bool is_log;
    double low, high; /* of values; of their logarithms where is_log */
    double begin, end;
    int n_ticks;
    double tick[MOST_TICKS]; /* values */
} axis;

/* A panel with its place in the figure. */
typedef struct frame {
    const figure_panel *panel;
    axis x, y;
    double left, top, legend_top; /* top: of the plot */
    size_t number;
} frame;

static void write_text(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '&' || *text == '<' || *text == '>') {
            (void)fprintf(out, "&#%d;", *text);
        } else {
            (void)fputc(*text, out);
        }
    }
}

/* Characters of UTF-8 text. */
static size_t length_of(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xC0U) != 0x80U;
    }
    return n;
}

/* ---- axes ---- */

static double place(const axis *a, double value) {
    double at = a->is_log ? log10(value) : value;
    return a->begin + (at - a->low) / (a->high - a->low) * (a->end - a->begin);
}

static bool has_place(const axis *a, double value) {
    return isfinite(value) && (!a->is_log || value > 0.0);
}

/* 1, 2 or 5 times a power of ten: a step that makes about n of the range. */
static double round_step(double range, int n) {
    double power = pow(10.0, floor(log10(range / n)));
    double factor = range / n / power;
    return power * (factor <= 1.0 ? 1.0 : factor <= 2.0 ? 2.0 : factor <= 5.0 ? 5.0 : 10.0);
}

static void add_tick(axis *a, double value) {
    if (a->n_ticks < MOST_TICKS) {
        a->tick[a->n_ticks++] = value;
    }
}

/* Multiples of a round step; on a logarithmic axis powers of ten, and 2 and 5 times such where
 * there are few. */
static void choose_ticks(axis *a, int wanted) {
    double range = a->high - a->low;
    double step = round_step(range, wanted);
    step = a->is_log && step < 1.0 ? 1.0 : step;
    static const double multiple[] = {1.0, 2.0, 5.0};
    int64_t first = (int64_t)floor(a->low / step), last = (int64_t)ceil(a->high / step);
    for (int64_t k = first; k <= last; k++) {
        for (int i = 0; i < (a->is_log && range < 2.0 ? 3 : 1); i++) {
            double at = (double)k * step + (a->is_log ? log10(multiple[i]) : 0.0);
            if (at >= a->low - 1e-9 * step && at <= a->high + 1e-9 * step) {
                add_tick(a, a->is_log ? pow(10.0, at) : at);
            }
        }
    }
}

static double coordinate(const figure_line *line, bool of_y, size_t i) {
    double step = line->x_step > 0.0 ? line->x_step : 1.0;
    return of_y ? line->y[i] : line->x != NULL ? line->x[i] : step * (double)(i + 1);
}

/* The range that all lines need, with a little room; logarithms where the axis is. */
static void fit_range(axis *a, const figure_panel *panel, bool of_y) {
    a->low = DBL_MAX;
    a->high = -DBL_MAX;
    for (size_t i = 0; i < panel->n; i++) {
        for (size_t k = 0; k < panel->line[i].n; k++) {
            double value = coordinate(&panel->line[i], of_y, k);
            if (has_place(a, value)) {
                value = a->is_log ? log10(value) : value;
                a->low = fmin(a->low, value);
                a->high = fmax(a->high, value);
            }
        }
    }
    if (!(a->low <= a->high)) {
        a->low = 0.0;
        a->high = 1.0;
    }
    double range = a->high - a->low;
    double room = range > 0.0 ? (of_y ? 0.06 : 0.02) * range : 0.5;
    bool from_zero = of_y && !a->is_log && a->low >= 0.0 && a->low < 0.4 * a->high;
    a->low = from_zero ? 0.0 : a->low - room;
    a->high += room;
}

static axis make_axis(const figure_panel *panel, bool of_y) {
    axis a = {.is_log = of_y ? panel->log_y : panel->log_x};
    double low = of_y ? panel->y_low : panel->x_low;
    double high = of_y ? panel->y_high : panel->x_high;
    if (low < high) {
        a.low = a.is_log ? log10(low) : low;
        a.high = a.is_log ? log10(high) : high;
    } else {
        fit_range(&a, panel, of_y);
    }
    choose_ticks(&a, of_y && !a.is_log ? 5 : 7);
    return a;
}

/* ---- legend ---- */

static double entry_width(const figure_line *line) {
    return 42.0 + 6.9 * (double)length_of(line->label);
}

/* Draw the legend from `top` on, or with out NULL only count its rows. */
static int write_legend(FILE *out, const figure_panel *panel, double left, double top) {
    static const char *const dashes[] = {"", " stroke-dasharray=\"6 3\"",
                                         " stroke-dasharray=\"2 3\"", "", ""};
    double x = 0.0;
    int rows = 0;
    for (size_t i = 0; i < panel->n; i++) {
        const figure_line *line = &panel->line[i];
        if (line->label == NULL) {
            continue;
        }
        if (rows == 0 || x + entry_width(line) > PANEL_WIDTH - LEFT - RIGHT + 8) {
            x = 0.0;
            rows++;
        }
        double at = left + x, y = top + LEGEND_ROW * (rows - 1);
        if (out != NULL && line->style != FIGURE_POINTS) {
            (void)fprintf(out, "<path class=\"l s%d\"%s d=\"M%.0f %.1fh22\"/>", line->color,
                          dashes[line->style], at, y + 8.0);
        }
        if (out != NULL && line->style >= FIGURE_POINTS) {
            (void)fprintf(out, "<circle class=\"f%d\" cx=\"%.0f\" cy=\"%.1f\" r=\"3\"/>",
                          line->color, at + 11.0, y + 8.0);
        }
        if (out != NULL) {
            (void)fprintf(out, "<text x=\"%.0f\" y=\"%.1f\">", at + 27.0, y + 12.0);
            write_text(out, line->label);
            (void)fputs("</text>\n", out);
        }
        x += entry_width(line);
    }
    return rows;
}

/* ---- frame ---- */

/* A tick's number; a power of ten far from 1 as such. */
static void write_number(FILE *out, const axis *a, double value) {
    double power = log10(fabs(value));
    if (a->is_log && (power < -2.5 || power > 3.5)) {
        double whole = floor(power + 1e-9);
        double factor = value / pow(10.0, whole);
        if (factor > 1.5) {
            (void)fprintf(out, "%.0f·", factor);
        }
        (void)fprintf(out, "10<tspan dy=\"-5\" font-size=\"9\">%.0f</tspan>", whole);
    } else {
        (void)fprintf(out, "%.6g", value);
    }
}

static void write_ticks(FILE *out, const frame *f) {
    for (int i = 0; i < f->y.n_ticks; i++) {
        double at = place(&f->y, f->y.tick[i]);
        (void)fprintf(out, "<path class=\"g\" d=\"M%.0f %.1fH%.0f\"/>", f->x.begin, at, f->x.end);
        (void)fprintf(out, "<text class=\"e\" x=\"%.0f\" y=\"%.1f\">", f->x.begin - 7.0, at + 4.0);
        write_number(out, &f->y, f->y.tick[i]);
        (void)fputs("</text>\n", out);
    }
    for (int i = 0; i < f->x.n_ticks; i++) {
        double at = place(&f->x, f->x.tick[i]);
        (void)fprintf(out, "<path class=\"g\" d=\"M%.1f %.0fV%.0f\"/>", at, f->y.begin, f->y.end);
        (void)fprintf(out, "<text class=\"m\" x=\"%.1f\" y=\"%.0f\">", at, f->y.begin + 17.0);
        write_number(out, &f->x, f->x.tick[i]);
        (void)fputs("</text>\n", out);
    }
}

static void write_frame(FILE *out, const frame *f) {
    const figure_panel *panel = f->panel;
    double middle = (f->x.begin + f->x.end) / 2.0, center = (f->y.begin + f->y.end) / 2.0;
    (void)fprintf(out, "<text class=\"b\" x=\"%.0f\" y=\"%.0f\">", f->x.begin,
                  f->legend_top - 10.0);
    write_text(out, panel->title);
    (void)fputs("</text>\n", out);
    (void)write_legend(out, panel, f->x.begin, f->legend_top);
    write_ticks(out, f);
    (void)fprintf(out, "<path class=\"a\" d=\"M%.0f %.0fV%.0fH%.0f\"/>\n", f->x.begin, f->y.end,
                  f->y.begin, f->x.end);
    (void)fprintf(out, "<text class=\"m\" x=\"%.0f\" y=\"%.0f\">", middle, f->y.begin + 36.0);
    write_text(out, panel->x_label);
    (void)fprintf(out, "</text>\n<text class=\"m\" transform=\"translate(%.0f %.0f)rotate(-90)\">",
                  f->left + 18.0, center);
    write_text(out, panel->y_label);
    (void)fputs("</text>\n", out);
}

/* ---- contours ---- */

/* A place of the picture, in tenths, so that ends that are to meet are equal. */
typedef struct spot {
    int x, y;
} spot;

/* A piece of a contour in one cell; what has been drawn is taken out. */
typedef struct piece {
    spot end[2];
} piece;

enum { ACROSS = 56, UP = 36, MOST_PIECES = 2 * ACROSS * UP };

typedef struct contour {
    int n;
    piece piece[MOST_PIECES];
} contour;

/* Where the level cuts the side between two corners, whose heights are on different sides of it. */
static spot cut(const frame *f, const double p[3], const double q[3], double level) {
    double t = (level - p[2]) / (q[2] - p[2]);
    double x = place(&f->x, p[0] + t * (q[0] - p[0])), y = place(&f->y, p[1] + t * (q[1] - p[1]));
    return (spot){(int)lround(10.0 * x), (int)lround(10.0 * y)};
}

/* Marching squares: a cell whose sides are cut twice has a piece of the contour, four times two. */
static void add_cell(contour *c, const frame *f, int i, int k, double level) {
    double corner[4][3];
    for (int n = 0; n < 4; n++) {
        double *at = corner[n];
        at[0] = f->x.low + (f->x.high - f->x.low) * (i + (n == 1 || n == 2)) / ACROSS;
        at[1] = f->y.low + (f->y.high - f->y.low) * (k + (n >= 2)) / UP;
        at[2] = f->panel->hills.height(at[0], at[1]);
    }
    spot found[4];
    int n_found = 0;
    for (int n = 0; n < 4; n++) {
        const double *p = corner[n], *q = corner[(n + 1) % 4];
        if ((p[2] < level) != (q[2] < level)) {
            found[n_found++] = cut(f, p, q, level);
        }
    }
    for (int n = 0; n + 1 < n_found; n += 2) {
        c->piece[c->n++] = (piece){{found[n], found[n + 1]}};
    }
}

/* Take out a piece that ends at *at and move on to its other end; false: there is none. */
static bool follow(contour *c, spot *at) {
    for (int i = 0; i < c->n; i++) {
        for (int k = 0; k < 2; k++) {
            spot end = c->piece[i].end[k];
            if (abs(end.x - at->x) <= 1 && abs(end.y - at->y) <= 1) {
                *at = c->piece[i].end[1 - k];
                c->piece[i] = c->piece[--c->n];
                return true;
            }
        }
    }
    return false;
}

/* Pieces that meet become one line, first one way from where it was met, then the other. */
static void write_contour(FILE *out, contour *c) {
    while (c->n > 0) {
        piece first = c->piece[--c->n];
        for (int k = 0; k < 2; k++) {
            spot from = first.end[1 - k], to = first.end[k];
            if (k == 0) {
                (void)fprintf(out, "M%d %dl%d %d", from.x, from.y, to.x - from.x, to.y - from.y);
            } else {
                (void)fprintf(out, "M%d %d", to.x, to.y);
            }
            for (from = to; follow(c, &to); from = to) {
                (void)fprintf(out, "l%d %d", to.x - from.x, to.y - from.y);
            }
        }
    }
}

static void write_hills(FILE *out, const frame *f) {
    const figure_hills *hills = &f->panel->hills;
    contour c;
    for (size_t n = 0; hills->height != NULL && n < hills->n_levels; n++) {
        c.n = 0;
        for (int i = 0; i < ACROSS * UP; i++) {
            add_cell(&c, f, i % ACROSS, i / ACROSS, hills->level[n]);
        }
        (void)fputs("<path class=\"h\" transform=\"scale(.1)\" d=\"", out);
        write_contour(out, &c);
        (void)fputs("\"/>\n", out);
    }
}

/* ---- lines ---- */

/* Points are lines of no length with round ends. */
static void write_points(FILE *out, const frame *f, const figure_line *line) {
    (void)fprintf(out, "<path class=\"s%d q%s\" d=\"", line->color,
                  line->style == FIGURE_PATH ? " n" : "");
    for (size_t i = 0; i < line->n; i++) {
        double x = coordinate(line, false, i), y = line->y[i];
        if (has_place(&f->x, x) && has_place(&f->y, y)) {
            (void)fprintf(out, "M%.1f %.1fh0", place(&f->x, x), place(&f->y, y));
        }
    }
    (void)fputs("\"/>\n", out);
}

static void write_line(FILE *out, const frame *f, const figure_line *line) {
    static const char *const dashes[] = {"", " d1", " d2", "", " t"};
    size_t every = line->style == FIGURE_PATH ? 1 : line->n / MOST_POINTS + 1;
    bool open = false;
    (void)fprintf(out, "<path class=\"l s%d%s\" d=\"", line->color, dashes[line->style]);
    for (size_t k = 0; k * every < line->n + every - 1; k++) {
        size_t i = k * every < line->n ? k * every : line->n - 1; /* the last one always */
        double x = coordinate(line, false, i), y = line->y[i];
        bool shown = has_place(&f->x, x) && has_place(&f->y, y);
        if (shown) {
            double at = place(&f->y, y); /* far away it is cut all the same, but the text short */
            (void)fprintf(out, "%c%.1f %.1f", open ? 'L' : 'M', place(&f->x, x),
                          fmax(-1e4, fmin(1e4, at)));
        }
        open = shown;
    }
    (void)fputs("\"/>\n", out);
}

static void write_panel(FILE *out, const frame *f) {
    write_frame(out, f);
    (void)fprintf(out,
                  "<clipPath id=\"p%zu\"><rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" "
                  "height=\"%.0f\"/></clipPath>\n<g clip-path=\"url(#p%zu)\">\n",
                  f->number, f->x.begin, f->y.end - 2.0, f->x.end - f->x.begin + 1.0,
                  f->y.begin - f->y.end + 4.0, f->number);
    write_hills(out, f);
    for (size_t i = 0; i < f->panel->n; i++) {
        const figure_line *line = &f->panel->line[i];
        if (line->style != FIGURE_POINTS) {
            write_line(out, f, line);
        }
        if (line->style >= FIGURE_POINTS) {
            write_points(out, f, line);
        }
    }
    (void)fputs("</g>\n", out);
}

/* ---- the figure ---- */

static void write_colors(FILE *out, int dark) {
    (void)fprintf(out,
                  "svg{background:%s}.w{fill:%s}text{fill:%s}.a{stroke:%s}.g{stroke:%s}"
                  ".h{stroke:%s}",
                  dark ? "#0d1117" : "#fff", dark ? "#0d1117" : "#fff", palette[dark][FIGURE_TEXT],
                  palette[dark][FIGURE_TEXT], dark ? "#2a313a" : "#e4e7eb",
                  dark ? "#5b6672" : "#b0b8c1");
    for (int i = 0; i < FIGURE_N_COLORS; i++) {
        (void)fprintf(out, ".s%d{stroke:%s}.f%d{fill:%s}", i, palette[dark][i], i,
                      palette[dark][i]);
    }
}

static void write_head(FILE *out, const char *title, double width, double height) {
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                  "width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<title>",
                  width, height, width, height);
    write_text(out, title);
    (void)fputs("</title>\n<style>text{font:12px system-ui,sans-serif}.b{font-weight:600;"
                "font-size:13px}.t0{font-weight:600;font-size:16px}.m{text-anchor:middle}"
                ".e{text-anchor:end}path{fill:none}.l{stroke-width:2;stroke-linejoin:round}"
                ".d1{stroke-dasharray:6 3}.d2{stroke-dasharray:2 "
                "3}.t{stroke-width:1.2}.h{stroke-width:10}.q{stroke-width:6;stroke-linecap:round}."
                "n{stroke-width:4}\n",
                out);
    write_colors(out, 0);
    (void)fputs("\n@media(prefers-color-scheme:dark){", out);
    write_colors(out, 1);
    (void)fprintf(out, "}</style>\n<rect class=\"w\" width=\"%.0f\" height=\"%.0f\"/>\n", width,
                  height);
    (void)fputs("<text class=\"t0\" x=\"16\" y=\"24\">", out);
    write_text(out, title);
    (void)fputs("</text>\n", out);
}

bool figure_write(const char *path, const char *title, const figure_panel *panel, size_t n,
                  size_t columns) {
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return false;
    }
    int legend_rows = 0;
    for (size_t i = 0; i < n; i++) {
        int needed = write_legend(NULL, &panel[i], 0.0, 0.0);
        legend_rows = needed > legend_rows ? needed : legend_rows;
    }
    double legend = (double)legend_rows * LEGEND_ROW + 6.0;
    double panel_height = TITLE_HEIGHT + legend + PLOT_HEIGHT + BOTTOM;
    size_t rows = (n + columns - 1) / columns;
    write_head(out, title, (double)(columns * PANEL_WIDTH), HEADING + panel_height * (double)rows);
    for (size_t i = 0; i < n; i++) {
        frame f = {.panel = &panel[i], .number = i};
        f.left = (double)((i % columns) * PANEL_WIDTH);
        size_t row = i / columns;
        f.legend_top = HEADING + panel_height * (double)row + TITLE_HEIGHT;
        f.top = f.legend_top + legend;
        f.x = make_axis(&panel[i], false);
        f.x.begin = f.left + LEFT;
        f.x.end = f.left + PANEL_WIDTH - RIGHT;
        f.y = make_axis(&panel[i], true);
        f.y.begin = f.top + PLOT_HEIGHT;
        f.y.end = f.top;
        write_panel(out, &f);
    }
    (void)fputs("</svg>\n", out);
    bool good = ferror(out) == 0;
    return fclose(out) == 0 && good;
}
