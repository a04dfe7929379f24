/* What a search came to, as text: a table for people, the best trial first, and CSV. */
#include "frontend/search/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL_BYTES = 64, N_COLUMNS = 6 }; /* columns beside the options' */

/* ---- a table ---- */

/* "3.16e-03" and the like, as far as people compare them. */
static void write_number(char cell[CELL_BYTES], double value) {
    if (isnan(value)) {
        (void)snprintf(cell, CELL_BYTES, "-");
    } else {
        (void)snprintf(cell, CELL_BYTES, "%.5g", value);
    }
}

static void write_count(char cell[CELL_BYTES], int64_t value) {
    (void)snprintf(cell, CELL_BYTES, "%lld", (long long)value);
}

/* Text, cut where a letter ends. */
static void write_text(char cell[CELL_BYTES], const char *text) {
    size_t n = strlen(text);
    if (n >= CELL_BYTES) {
        n = CELL_BYTES - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) {
            n--;
        }
    }
    memcpy(cell, text, n);
    cell[n] = '\0';
}

static void write_cell(const cot_trial *t, int32_t column, char cell[CELL_BYTES]) {
    const cot_search_result *result = t->owner;
    switch (column) {
    case 0:
        write_count(cell, t->index);
        return;
    case 1:
        write_number(cell, t->best);
        return;
    case 2:
        write_number(cell, t->best_epoch >= 0 ? t->best_epoch + 1.0 : NAN);
        return;
    case 3:
        write_count(cell, t->n_epochs);
        return;
    case 4:
        write_text(cell, cot_trial_state_name(t->state));
        return;
    case 5:
        (void)snprintf(cell, CELL_BYTES, "%.2f", t->seconds);
        return;
    default:
        break;
    }
    const int32_t i = column - N_COLUMNS;
    if (result->range[i].kind == COT_RANGE_TEXTS) {
        write_text(cell, result->range[i].text[(int32_t)t->value[i]]);
    } else {
        write_number(cell, t->value[i]);
    }
}

static const char *head_of(const cot_search_result *result, int32_t column) {
    static const char *const name[N_COLUMNS] = {"trial",  NULL,    "at epoch",
                                                "epochs", "state", "seconds"};
    return column == 1          ? result->monitor
           : column < N_COLUMNS ? name[column]
                                : result->range[column - N_COLUMNS].name;
}

/* Columns of a terminal that UTF-8 takes, a letter each. */
static int32_t width_of(const char *text) {
    int32_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return n;
}

static bool is_left(const cot_search_result *result, int32_t column) {
    return column == 4 ||
           (column >= N_COLUMNS && result->range[column - N_COLUMNS].kind == COT_RANGE_TEXTS);
}

static int32_t choose_width(const cot_search_result *result, int32_t column) {
    int32_t most = width_of(head_of(result, column));
    for (int32_t i = 0; i < result->n_trials; i++) {
        char cell[CELL_BYTES];
        write_cell(&result->trial[i], column, cell);
        most = width_of(cell) > most ? width_of(cell) : most;
    }
    return most;
}

static void append_cell(coti_str *text, const char *cell, int32_t width, bool left) {
    const int32_t room = width - width_of(cell);
    coti_str_printf(text, "  %*s%s%*s", left ? 0 : (int)room, "", cell, left ? (int)room : 0, "");
}

static void append_row(coti_str *text, const cot_trial *t, const int32_t *width) {
    const cot_search_result *result = t->owner;
    for (int32_t c = 0; c < N_COLUMNS + result->n_ranges; c++) {
        char cell[CELL_BYTES];
        write_cell(t, c, cell);
        append_cell(text, cell, width[c], is_left(result, c));
    }
    coti_str_printf(text, "%s%s\n", t->message[0] != '\0' ? "  " : "", t->message);
}

static void append_table(coti_str *text, const cot_search_result *result, int32_t *width) {
    for (int32_t c = 0; c < N_COLUMNS + result->n_ranges; c++) {
        width[c] = choose_width(result, c);
        append_cell(text, head_of(result, c), width[c], is_left(result, c));
    }
    coti_str_append(text, "\n");
    for (int32_t i = 0; i < result->n_trials; i++) {
        append_row(text, result->rank[i], width);
    }
}

/* Hand the text over, and free it. */
static cot_status deliver(coti_str *text, cot_write_fn write, void *user) {
    cot_status status = coti_str_status(text);
    if (status == COT_OK && !write(coti_str_text(text), text->count, user)) {
        status = COTI_FAIL(text->context, COT_E_IO, "cot_search: the writer refused %llu bytes",
                           (unsigned long long)text->count);
    }
    coti_str_free(text);
    return status;
}

static cot_status check(const cot_search_result *result, const char *function, cot_write_fn write) {
    if (result == NULL) {
        return COT_E_ARG;
    }
    return write != NULL ? COT_OK
                         : COTI_FAIL(result->context, COT_E_ARG, "%s: write is NULL", function);
}

cot_status cot_search_write_table(const cot_search_result *result, cot_write_fn write, void *user) {
    COTI_TRY(check(result, "cot_search_write_table", write));
    coti_str text;
    const size_t n = (size_t)N_COLUMNS + (size_t)result->n_ranges;
    int32_t *width = coti_calloc(result->context, n, sizeof *width);
    if (width == NULL) {
        return COT_E_NOMEM;
    }
    coti_str_init(&text, result->context);
    append_table(&text, result, width);
    coti_free(result->context, width);
    return deliver(&text, write, user);
}

/* ---- CSV ---- */

/* In quotes where it needs them; quotes inside are doubled. */
static void append_field(coti_str *text, const char *field) {
    if (strpbrk(field, ",\"\r\n") == NULL) {
        coti_str_append(text, field);
        return;
    }
    coti_str_append(text, "\"");
    for (; *field != '\0'; field++) {
        coti_str_append_bytes(text, field, 1);
        if (*field == '"') {
            coti_str_append(text, "\"");
        }
    }
    coti_str_append(text, "\"");
}

static void append_number(coti_str *text, double value) {
    if (!isnan(value)) {
        coti_str_double(text, value);
    }
}

static void append_line(coti_str *text, const cot_trial *t) {
    const cot_search_result *result = t->owner;
    coti_str_printf(text, "%d,%s,", (int)t->index, cot_trial_state_name(t->state));
    append_number(text, t->best);
    coti_str_append(text, ",");
    append_number(text, t->best_epoch >= 0 ? (double)t->best_epoch : (double)NAN);
    coti_str_printf(text, ",%d,", (int)t->n_epochs);
    append_number(text, t->seconds);
    coti_str_printf(text, ",%lld", (long long)t->n_params);
    for (int32_t i = 0; i < result->n_ranges; i++) {
        coti_str_append(text, ",");
        if (result->range[i].kind == COT_RANGE_TEXTS) {
            append_field(text, result->range[i].text[(int32_t)t->value[i]]);
        } else {
            append_number(text, t->value[i]);
        }
    }
    coti_str_append(text, ",");
    append_field(text, t->message);
    coti_str_append(text, "\r\n");
}

cot_status cot_search_write_csv(const cot_search_result *result, cot_write_fn write, void *user) {
    COTI_TRY(check(result, "cot_search_write_csv", write));
    coti_str text;
    coti_str_init(&text, result->context);
    coti_str_append(&text, "trial,state,");
    append_field(&text, result->monitor);
    coti_str_append(&text, ",best_epoch,epochs,seconds,params");
    for (int32_t i = 0; i < result->n_ranges; i++) {
        coti_str_append(&text, ",");
        append_field(&text, result->range[i].name);
    }
    coti_str_append(&text, ",message\r\n");
    for (int32_t i = 0; i < result->n_trials; i++) {
        append_line(&text, &result->trial[i]);
    }
    return deliver(&text, write, user);
}
