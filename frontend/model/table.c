/*
 * A table with box-drawing lines, laid out as Python's rich does it for Keras's summary: heavy
 * lines around the head, light ones below, a rule after every row. A cell's text is wrapped at
 * spaces; a word longer than the cell has a line of its own and ends in an ellipsis. Cells are
 * ASCII, without spaces at their start: a byte is a column.
 */
#include "frontend/model/model.h"

#include <string.h>

/* The pieces of one horizontal line: left end, fill, join, right end. */
typedef struct rule {
    const char *left, *fill, *join, *right;
} rule;

static const rule top_rule = {"┏", "━", "┳", "┓"};
static const rule head_rule = {"┡", "━", "╇", "┩"};
static const rule row_rule = {"├", "─", "┼", "┤"};
static const rule end_rule = {"└", "─", "┴", "┘"};

static void append_rule(const coti_table *table, coti_str *text, const rule *line) {
    for (int32_t i = 0; i < table->n_columns; i++) {
        coti_str_append(text, i == 0 ? line->left : line->join);
        for (int32_t k = 0; k < table->width[i] + 2; k++) {
            coti_str_append(text, line->fill);
        }
    }
    coti_str_append(text, line->right);
    coti_str_append(text, "\n");
}

/* Letters up to the next space. */
static size_t count_letters(const char *text) {
    return strcspn(text, " ");
}

static size_t count_spaces(const char *text) {
    return strspn(text, " ");
}

/*
 * Take the next line of a cell: words as far as they fit, at least one. Its length, without the
 * spaces at its end; more than `width` for a single word that no line holds.
 */
static size_t take_line(const char **rest, size_t width, const char **line_out) {
    const char *line = *rest, *at = line;
    size_t length = 0;
    while (*at != '\0') {
        size_t letters = count_letters(at);
        size_t used = (size_t)(at - line);
        if (used > 0 && used + letters > width) {
            break;
        }
        length = used + letters;
        at += letters;
        at += count_spaces(at);
    }
    *rest = at;
    *line_out = line;
    return length;
}

static void append_spaces(coti_str *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        coti_str_append(text, " ");
    }
}

/* A line of a cell between its padding; a word that is too long loses its end. */
static void append_line(coti_str *text, const char *line, size_t length, size_t width, bool right) {
    bool cut = length > width;
    size_t blank = cut ? 0 : width - length;
    append_spaces(text, 1 + (right ? blank : 0));
    coti_str_append_bytes(text, line, cut ? width - 1 : length);
    coti_str_append(text, cut ? "…" : "");
    append_spaces(text, 1 + (right ? 0 : blank));
}

static void append_cells(const coti_table *table, coti_str *text, const char *bar,
                         const char *const cell[COTI_TABLE_COLUMNS]) {
    const char *rest[COTI_TABLE_COLUMNS] = {NULL};
    bool more = true;
    for (int32_t i = 0; i < table->n_columns; i++) {
        rest[i] = cell[i];
    }
    while (more) {
        more = false;
        for (int32_t i = 0; i < table->n_columns; i++) {
            const char *line = NULL;
            size_t width = (size_t)table->width[i];
            size_t length = take_line(&rest[i], width, &line);
            coti_str_append(text, bar);
            append_line(text, line, length, width, table->right[i]);
            more = more || *rest[i] != '\0';
        }
        coti_str_append(text, bar);
        coti_str_append(text, "\n");
    }
}

void coti_table_begin(const coti_table *table, coti_str *text,
                      const char *const cell[COTI_TABLE_COLUMNS]) {
    append_rule(table, text, &top_rule);
    append_cells(table, text, "┃", cell);
    append_rule(table, text, &head_rule);
}

void coti_table_row(const coti_table *table, coti_str *text, bool first,
                    const char *const cell[COTI_TABLE_COLUMNS]) {
    if (!first) {
        append_rule(table, text, &row_rule);
    }
    append_cells(table, text, "│", cell);
}

void coti_table_end(const coti_table *table, coti_str *text) {
    append_rule(table, text, &end_rule);
}
