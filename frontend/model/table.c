/*
 * A table with box-drawing lines, laid out as Python's rich does it for Keras's summary: heavy
 * lines around the head, light ones below, a rule after every row. A cell's text is wrapped at
 * spaces; a word longer than the cell starts a line and is cut. Cells are ASCII: a byte is a
 * column.
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

/* What is left of a cell; inside: the last line ended within a word. */
typedef struct cell_rest {
    const char *text;
    bool inside;
} cell_rest;

static size_t count_spaces(const char *text) {
    return strspn(text, " ");
}

/* Take the next line, without the spaces at its end; its length. */
static size_t take_line(cell_rest *rest, size_t width, const char **line_out) {
    const char *line = rest->text, *at = line;
    size_t used = 0;
    while (*at != '\0') {
        size_t lead = count_spaces(at);
        size_t letters = lead + strcspn(at + lead, " ");
        size_t whole = letters + count_spaces(at + letters);
        size_t needed = rest->inside && at == line ? whole : letters;
        if (used + needed > width) {
            break;
        }
        used += whole;
        at += whole;
    }
    rest->inside = at == line && *at != '\0';
    if (rest->inside) { /* a word that no line holds: cut it */
        at += width;
    }
    rest->text = at;
    size_t length = (size_t)(at - line);
    length = length > width ? width : length;
    while (length > 0 && line[length - 1] == ' ') {
        length--;
    }
    *line_out = line;
    return length;
}

static void append_spaces(coti_str *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        coti_str_append(text, " ");
    }
}

static void append_cells(const coti_table *table, coti_str *text, const char *bar,
                         const char *const cell[COTI_TABLE_COLUMNS]) {
    cell_rest rest[COTI_TABLE_COLUMNS] = {{NULL, false}};
    bool more = true;
    for (int32_t i = 0; i < table->n_columns; i++) {
        rest[i].text = cell[i];
    }
    while (more) {
        more = false;
        for (int32_t i = 0; i < table->n_columns; i++) {
            const char *line = NULL;
            size_t width = (size_t)table->width[i];
            size_t length = take_line(&rest[i], width, &line);
            coti_str_append(text, bar);
            append_spaces(text, 1 + (table->right[i] ? width - length : 0));
            coti_str_append_bytes(text, line, length);
            append_spaces(text, 1 + (table->right[i] ? 0 : width - length));
            more = more || *rest[i].text != '\0';
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
