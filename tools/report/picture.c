/*
 * The model as a picture: a box a layer call, a row for each distance from the inputs, a curve from
 * each input of a call to it. Calls come after their inputs, as the graph has them.
 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

enum { BOX_WIDTH = 168, BOX_HEIGHT = 44, GAP_X = 24, GAP_Y = 34, MARGIN = 8, MOST_NODES = 600 };

typedef struct box {
    int row, column, x; /* x: of its left edge */
} box;

/* The node of that name before the i-th; -1: there is none. Names near the end are looked at
 * first. */
static long find_node(const report_run *run, size_t i, const char *name) {
    while (i-- > 0) {
        if (strcmp(run->node[i].name, name) == 0) {
            return (long)i;
        }
    }
    return -1;
}

/* Rows and columns; *n_rows_out, *n_columns_out: of the whole. */
static void place_boxes(const report_run *run, size_t n, box *boxes, int *n_rows_out,
                        int *n_columns_out) {
    int *used = report_grow(NULL, n + 1, sizeof *used);
    memset(used, 0, (n + 1) * sizeof *used);
    *n_rows_out = *n_columns_out = 1;
    for (size_t i = 0; i < n; i++) {
        int row = 0;
        for (size_t k = 0; k < run->node[i].n_inputs; k++) {
            long input = find_node(run, i, run->node[i].input[k]);
            row = input >= 0 && boxes[input].row >= row ? boxes[input].row + 1 : row;
        }
        boxes[i] = (box){row, used[row]++, 0};
        *n_rows_out = row + 1 > *n_rows_out ? row + 1 : *n_rows_out;
        *n_columns_out = used[row] > *n_columns_out ? used[row] : *n_columns_out;
    }
    for (size_t i = 0; i < n; i++) { /* each row in the middle */
        int half_columns = 2 * boxes[i].column + *n_columns_out - used[boxes[i].row];
        boxes[i].x = MARGIN + half_columns * (BOX_WIDTH + GAP_X) / 2;
    }
    free(used);
}

static int y_of(box b) {
    return MARGIN + b.row * (BOX_HEIGHT + GAP_Y);
}

/* From the lower edge of one to the upper edge of another; past others, beside them. */
static void draw_edge(FILE *out, box from, box to) {
    int x1 = from.x + BOX_WIDTH / 2, y1 = y_of(from) + BOX_HEIGHT;
    int x2 = to.x + BOX_WIDTH / 2, y2 = y_of(to);
    int bend = to.row - from.row > 1 && from.x == to.x ? BOX_WIDTH / 2 + GAP_X / 2 : 0;
    (void)fprintf(out, "<path class=\"edge\" d=\"M%d %dC%d %d %d %d %d %d\"/>\n", x1, y1, x1 + bend,
                  y1 + GAP_Y, x2 + bend, y2 - GAP_Y, x2, y2);
}

/* Text in a box, cut to what fits. */
static void draw_text(FILE *out, const char *class, int x, int y, const char *text) {
    char cut[28];
    (void)snprintf(cut, sizeof cut, "%.27s", text);
    (void)fprintf(out, "<text class=\"%s\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", class, x, y);
    report_escape(out, cut);
    (void)fputs("</text>", out);
}

static void draw_box(FILE *out, const report_node *node, box b) {
    char below[64];
    int middle = b.x + BOX_WIDTH / 2;
    (void)fprintf(out,
                  "<g><rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>",
                  b.x, y_of(b), BOX_WIDTH, BOX_HEIGHT);
    draw_text(out, "name", middle, y_of(b) + 18, node->name);
    (void)snprintf(below, sizeof below, "%.20s %s%.24s%s", node->op, node->shape[0] ? "(" : "",
                   node->shape, node->shape[0] ? ")" : "");
    draw_text(out, "tick", middle, y_of(b) + 35, below);
    (void)fputs("<title>", out);
    report_escape(out, node->name);
    (void)fputs(": ", out);
    report_escape(out, node->op);
    (void)fputs(", ", out);
    report_escape(out, node->shape);
    (void)fputs("</title></g>\n", out);
}

void report_picture_write(FILE *out, const report_run *run) {
    size_t n = run->n_nodes < MOST_NODES ? run->n_nodes : MOST_NODES;
    box *boxes = report_grow(NULL, n, sizeof *boxes);
    int n_rows = 0, n_columns = 0;
    place_boxes(run, n, boxes, &n_rows, &n_columns);
    int width = 2 * MARGIN + n_columns * (BOX_WIDTH + GAP_X);
    int height = 2 * MARGIN + n_rows * (BOX_HEIGHT + GAP_Y) - GAP_Y;
    (void)fprintf(out,
                  "<svg class=\"model\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                  "role=\"img\" aria-label=\"the model\">\n",
                  width, height, width, height);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < run->node[i].n_inputs; k++) {
            long input = find_node(run, i, run->node[i].input[k]);
            if (input >= 0) {
                draw_edge(out, boxes[input], boxes[i]);
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        draw_box(out, &run->node[i], boxes[i]);
    }
    (void)fputs("</svg>\n", out);
    if (n < run->n_nodes) {
        (void)fprintf(out, "<p>The first %zu of %zu calls.</p>\n", n, run->n_nodes);
    }
    free(boxes);
}
