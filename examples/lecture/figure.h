/*
 * Figures as SVG files: panels side by side, each with axes, lines, points and the contours of a
 * function. A file stands for itself: it has its own background and follows the reader's choice of
 * light or dark; colours are told apart by colour-blind eyes (Okabe and Ito's), and lines by their
 * dashes too.
 */
#ifndef EXAMPLES_FIGURE_H
#define EXAMPLES_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

/* Colours of lines. */
enum {
    FIGURE_BLUE,
    FIGURE_RED,
    FIGURE_GREEN,
    FIGURE_PINK,
    FIGURE_ORANGE,
    FIGURE_SKY,
    FIGURE_GREY,
    FIGURE_TEXT, /* that of the text */
    FIGURE_N_COLORS
};

typedef enum figure_style {
    FIGURE_SOLID,
    FIGURE_DASHED,
    FIGURE_DOTTED,
    FIGURE_POINTS, /* no line */
    FIGURE_PATH    /* a thin line with a point at each place: where a search has been */
} figure_style;

/* Points (x[i], y[i]); what is not finite, or not positive on a logarithmic axis, leaves a gap. */
typedef struct figure_line {
    const char *label; /* in the legend; NULL: not there */
    int color;
    figure_style style;
    size_t n;
    const double *x; /* NULL: 1, 2, .. n times x_step */
    double x_step;   /* 0: 1 */
    const double *y;
} figure_line;

/* Contour lines of a function of two variables. */
typedef struct figure_hills {
    double (*height)(double x, double y); /* NULL: none */
    const double *level;
    size_t n_levels;
} figure_hills;

typedef struct figure_panel {
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    double x_low, x_high, y_low, y_high; /* equal ones: what the lines need */
    figure_hills hills;
    const figure_line *line;
    size_t n;
} figure_panel;

/*
 * Write a figure of n panels, so many in a row. What lies outside of a panel's range is cut. false
 * when the file cannot be written.
 */
bool figure_write(const char *path, const char *title, const figure_panel *panel, size_t n,
                  size_t columns);

#endif
