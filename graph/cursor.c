/*
 * The lexical half of the parser (cursor.h, text.h). Numbers do not depend on the locale.
 */
#include "cursor.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- positions and errors ---- */

coti_position coti_cursor_position(const coti_cursor *cursor, size_t at) {
    coti_position position = {1, 1};
    for (size_t i = 0; i < at && i < cursor->bytes; i++) {
        position.column++;
        if (cursor->text[i] == '\n') {
            position.line++;
            position.column = 1;
        }
    }
    return position;
}

cot_status coti_cursor_fail(const coti_cursor *cursor, size_t at, const char *format, ...) {
    char text[COTI_MESSAGE_BYTES];
    coti_position position = coti_cursor_position(cursor, at);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return COTI_FAIL(cursor->context, COT_E_PARSE, "line %zu, column %zu: %s", position.line,
                     position.column, text);
}

cot_status coti_cursor_expected(coti_cursor *cursor, const char *what) {
    size_t at = coti_cursor_skip(cursor);
    if (at == cursor->bytes) {
        return coti_cursor_fail(cursor, at, "found the end of the text, expected %s", what);
    }
    unsigned char found = (unsigned char)cursor->text[at];
    if (found >= 0x20 && found < 0x7f) {
        return coti_cursor_fail(cursor, at, "found '%c', expected %s", found, what);
    }
    return coti_cursor_fail(cursor, at, "found byte 0x%02x, expected %s", found, what);
}

/* ---- characters ---- */

/* The byte at the cursor; NUL at the end (a NUL in the text is no part of any token). */
static char here(const coti_cursor *cursor) {
    return cursor->at < cursor->bytes ? cursor->text[cursor->at] : '\0';
}

static char next(const coti_cursor *cursor) {
    return cursor->at + 1 < cursor->bytes ? cursor->text[cursor->at + 1] : '\0';
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t coti_cursor_skip(coti_cursor *cursor) {
    while (is_space(here(cursor)) || here(cursor) == '#') {
        if (here(cursor) == '#') {
            while (cursor->at < cursor->bytes && here(cursor) != '\n') {
                cursor->at++;
            }
        } else {
            cursor->at++;
        }
    }
    return cursor->at;
}

bool coti_cursor_take(coti_cursor *cursor, const char *punctuation) {
    size_t n = strlen(punctuation);
    coti_cursor_skip(cursor);
    if (n > cursor->bytes - cursor->at || memcmp(cursor->text + cursor->at, punctuation, n) != 0) {
        return false;
    }
    cursor->at += n;
    return true;
}

bool coti_cursor_peek(coti_cursor *cursor, char c) {
    coti_cursor_skip(cursor);
    return cursor->at < cursor->bytes && cursor->text[cursor->at] == c;
}

cot_status coti_cursor_need(coti_cursor *cursor, const char *punctuation) {
    if (!coti_cursor_take(cursor, punctuation)) {
        char what[16];
        (void)snprintf(what, sizeof what, "'%s'", punctuation);
        return coti_cursor_expected(cursor, what);
    }
    return COT_OK;
}

/* ---- words and names ---- */

/* Bytes of the word at the cursor; 0: none. */
static size_t word_length(const coti_cursor *cursor) {
    size_t end = cursor->at;
    if (!coti_is_letter(here(cursor))) {
        return 0;
    }
    while (end < cursor->bytes &&
           (coti_is_letter(cursor->text[end]) || coti_is_digit(cursor->text[end]))) {
        end++;
    }
    return end - cursor->at;
}

bool coti_cursor_take_word(coti_cursor *cursor, const char *word) {
    coti_cursor_skip(cursor);
    size_t n = word_length(cursor);
    if (n != strlen(word) || memcmp(cursor->text + cursor->at, word, n) != 0) {
        return false;
    }
    cursor->at += n;
    return true;
}

cot_status coti_cursor_word(coti_cursor *cursor, const char *what, const char **word_out,
                            size_t *length_out) {
    coti_cursor_skip(cursor);
    size_t n = word_length(cursor);
    if (n == 0) {
        return coti_cursor_expected(cursor, what);
    }
    *word_out = cursor->text + cursor->at;
    *length_out = n;
    cursor->at += n;
    return COT_OK;
}

static int hex_digit(char c) {
    if (coti_is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The character that the escape at the cursor (a '\') stands for, the cursor at its last byte; 0:
 * none. */
static char escaped(coti_cursor *cursor) {
    cursor->at++;
    char c = here(cursor);
    if (c == '"' || c == '\\') {
        return c;
    }
    int high = c == 'x' ? hex_digit(next(cursor)) : -1;
    cursor->at += high >= 0;
    int low = high >= 0 ? hex_digit(next(cursor)) : -1;
    cursor->at += low >= 0;
    return low >= 0 ? (char)(16 * high + low) : '\0';
}

/* One past the last byte of the quoted string at the cursor; 0: it does not end on its line. */
static size_t quoted_end(const coti_cursor *cursor) {
    size_t end = cursor->at + 1;
    while (end < cursor->bytes && cursor->text[end] != '"' && cursor->text[end] != '\n') {
        end += cursor->text[end] == '\\' ? 2 : 1;
    }
    return end < cursor->bytes && cursor->text[end] == '"' ? end + 1 : 0;
}

/* Take the quoted string at the cursor (a '"'). *problem_out: NULL, or why it is malformed. */
static cot_status take_quoted(coti_cursor *cursor, const char **text_out,
                              const char **problem_out) {
    size_t end = quoted_end(cursor);
    *problem_out = "the quoted string does not end on its line";
    if (end == 0) {
        return COT_OK;
    }
    char *text = coti_arena_alloc(cursor->arena, end - cursor->at);
    if (text == NULL) {
        return COT_E_NOMEM;
    }
    *problem_out = "a quoted string holds text and the escapes \\\" \\\\ \\xHH, never a NUL";
    size_t n = 0;
    for (cursor->at++; cursor->at < end - 1; cursor->at++) {
        bool control = (unsigned char)here(cursor) < 0x20;
        char c = here(cursor) == '\\' ? escaped(cursor) : here(cursor);
        if (c == '\0' || control) {
            return COT_OK;
        }
        text[n++] = c;
    }
    cursor->at = end;
    *text_out = text;
    *problem_out = NULL;
    return COT_OK;
}

/* `n` bytes at the cursor as a string. */
static cot_status take_bytes(coti_cursor *cursor, size_t n, const char **text_out) {
    char *text = coti_arena_alloc(cursor->arena, n + 1);
    if (text == NULL) {
        return COT_E_NOMEM;
    }
    memcpy(text, cursor->text + cursor->at, n);
    cursor->at += n;
    *text_out = text;
    return COT_OK;
}

cot_status coti_cursor_label(coti_cursor *cursor, const char **label_out) {
    size_t end = coti_cursor_skip(cursor);
    while (end < cursor->bytes &&
           (coti_is_letter(cursor->text[end]) || coti_is_digit(cursor->text[end]))) {
        end++;
    }
    return end > cursor->at ? take_bytes(cursor, end - cursor->at, label_out)
                            : coti_cursor_expected(cursor, "a graph's name");
}

cot_status coti_cursor_name(coti_cursor *cursor, const char **name_out) {
    size_t start = coti_cursor_skip(cursor);
    if (here(cursor) == '"') {
        const char *problem = NULL;
        COTI_TRY(take_quoted(cursor, name_out, &problem));
        if (problem == NULL && (*name_out)[0] == '\0') {
            problem = "a name is empty";
        }
        return problem == NULL ? COT_OK : coti_cursor_fail(cursor, start, "%s", problem);
    }
    if (!coti_is_letter(here(cursor))) {
        return coti_cursor_expected(cursor, "a name");
    }
    size_t end = start;
    while (end < cursor->bytes && coti_is_name_char(cursor->text[end])) {
        end++;
    }
    return take_bytes(cursor, end - start, name_out);
}

cot_status coti_cursor_value(coti_cursor *cursor, const char **name_out, bool *number_out) {
    if (!coti_cursor_take(cursor, "%")) {
        return coti_cursor_expected(cursor, "a value, which begins with '%'");
    }
    *number_out = coti_is_digit(here(cursor));
    if (!*number_out) {
        bool adjacent = coti_is_letter(here(cursor)) || here(cursor) == '"';
        return adjacent ? coti_cursor_name(cursor, name_out)
                        : coti_cursor_expected(cursor, "a name or a number right after '%'");
    }
    size_t end = cursor->at;
    while (end < cursor->bytes && coti_is_digit(cursor->text[end])) {
        end++;
    }
    return take_bytes(cursor, end - cursor->at, name_out);
}

/* ---- numbers ---- */

cot_status coti_cursor_int(coti_cursor *cursor, int64_t *value_out) {
    size_t start = coti_cursor_skip(cursor);
    bool negative = here(cursor) == '-';
    int64_t value = 0;
    cursor->at += negative;
    if (!coti_is_digit(here(cursor))) {
        cursor->at = start;
        return coti_cursor_expected(cursor, "an integer");
    }
    for (; coti_is_digit(here(cursor)); cursor->at++) {
        int64_t digit = here(cursor) - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) {
            return coti_cursor_fail(cursor, start, "the integer is too large");
        }
    }
    /* Counted downwards, because the smallest int64 has no positive counterpart. */
    if (!negative && __builtin_sub_overflow(0, value, &value)) {
        return coti_cursor_fail(cursor, start, "the integer is too large");
    }
    *value_out = value;
    return COT_OK;
}

/* Bytes of the scalar at the cursor, without the "(...)" of a NaN. */
static size_t scalar_length(const coti_cursor *cursor) {
    size_t end = cursor->at;
    while (end < cursor->bytes &&
           (coti_is_letter(cursor->text[end]) || coti_is_digit(cursor->text[end]) ||
            cursor->text[end] == '.' || cursor->text[end] == '-' || cursor->text[end] == '+')) {
        end++;
    }
    return end - cursor->at;
}

/* "(0x7fc00001)" behind "nan": the bits themselves. */
static cot_status take_nan_bits(coti_cursor *cursor, uint64_t *bits_out) {
    uint64_t bits = 0;
    size_t start = cursor->at;
    int n = 0;
    COTI_TRY(coti_cursor_need(cursor, "(0x"));
    for (; hex_digit(here(cursor)) >= 0 && n < 16; cursor->at++, n++) {
        bits = bits << 4 | (uint64_t)hex_digit(here(cursor));
    }
    if (n == 0 || here(cursor) != ')') {
        return coti_cursor_fail(cursor, start, "the bits of a NaN are written nan(0x7fc00000)");
    }
    cursor->at++;
    *bits_out = bits;
    return COT_OK;
}

/* Is the scalar at the cursor of this spelling? */
static bool scalar_is(const coti_cursor *cursor, size_t length, const char *word) {
    return length == strlen(word) && memcmp(cursor->text + cursor->at, word, length) == 0;
}

/* A decimal number at the cursor, `length` bytes, as the nearest double. */
static cot_status take_decimal(coti_cursor *cursor, size_t length, double *value_out) {
    size_t start = cursor->at;
    const char *text = NULL;
    char *end = NULL;
    bool decimal = length > 0;
    for (size_t i = 0; i < length; i++) {
        char c = cursor->text[start + i];
        decimal = decimal && (coti_is_digit(c) || strchr("+-.eE", c) != NULL);
    }
    if (!decimal) {
        return coti_cursor_expected(cursor, "a number");
    }
    COTI_TRY(take_bytes(cursor, length, &text));
    /* strtod wants the locale's decimal point. */
    const char *point = localeconv()->decimal_point;
    const char *dot = strchr(text, '.');
    if (dot != NULL && strcmp(point, ".") != 0) {
        text =
            coti_arena_printf(cursor->arena, "%.*s%s%s", (int)(dot - text), text, point, dot + 1);
        if (text == NULL) {
            return COT_E_NOMEM;
        }
    }
    *value_out = strtod(text, &end);
    return *end == '\0' ? COT_OK : coti_cursor_fail(cursor, start, "the number is malformed");
}

/* "nan" or "nan(0x7fc00001)"; stored as bits, since a conversion would quieten a signalling NaN. */
static cot_status take_nan(coti_cursor *cursor, cot_dtype dtype, void *to) {
    uint64_t bits = dtype == COT_F32 ? COTI_NAN_BITS_F32 : COTI_NAN_BITS_F64;
    size_t start = cursor->at;
    cursor->at += strlen("nan");
    COTI_TRY(here(cursor) == '(' ? take_nan_bits(cursor, &bits) : COT_OK);
    bool fits = dtype == COT_F32 ? bits <= UINT32_MAX && (bits & INT32_MAX) > 0x7f800000
                                 : (bits & INT64_MAX) > UINT64_C(0x7ff0000000000000);
    if (!fits) {
        return coti_cursor_fail(cursor, start, "0x%llx are not the bits of a NaN in %s",
                                (unsigned long long)bits, cot_dtype_name(dtype));
    }
    uint32_t low = (uint32_t)bits;
    memcpy(to, dtype == COT_F32 ? (void *)&low : (void *)&bits, cot_dtype_bytes(dtype));
    return COT_OK;
}

static cot_status take_float(coti_cursor *cursor, cot_dtype dtype, void *to) {
    double value = 0;
    size_t length = scalar_length(cursor);
    if (scalar_is(cursor, length, "nan")) {
        return take_nan(cursor, dtype, to);
    }
    if (scalar_is(cursor, length, "inf") || scalar_is(cursor, length, "-inf")) {
        value = here(cursor) == '-' ? -(double)HUGE_VALF : (double)HUGE_VALF;
        cursor->at += length;
    } else {
        COTI_TRY(take_decimal(cursor, length, &value));
    }
    float narrow = (float)value;
    memcpy(to, dtype == COT_F32 ? (void *)&narrow : (void *)&value, cot_dtype_bytes(dtype));
    return COT_OK;
}

static cot_status take_bool(coti_cursor *cursor, void *to) {
    size_t length = scalar_length(cursor);
    bool is_true = scalar_is(cursor, length, "true");
    if (!is_true && !scalar_is(cursor, length, "false")) {
        return coti_cursor_expected(cursor, "true or false");
    }
    cursor->at += length;
    *(uint8_t *)to = is_true;
    return COT_OK;
}

static cot_status take_integer(coti_cursor *cursor, cot_dtype dtype, void *to) {
    size_t start = cursor->at;
    int64_t value = 0;
    COTI_TRY(coti_cursor_int(cursor, &value));
    if (dtype == COT_I64) {
        memcpy(to, &value, sizeof value);
        return COT_OK;
    }
    int64_t low = dtype == COT_I32 ? INT32_MIN : 0;
    int64_t high = dtype == COT_I32 ? INT32_MAX : UINT8_MAX;
    if (value < low || value > high) {
        return coti_cursor_fail(cursor, start, "%lld is no %s", (long long)value,
                                cot_dtype_name(dtype));
    }
    int32_t word = (int32_t)value;
    uint8_t byte = (uint8_t)value;
    memcpy(to, dtype == COT_I32 ? (void *)&word : (void *)&byte, cot_dtype_bytes(dtype));
    return COT_OK;
}

cot_status coti_cursor_element(coti_cursor *cursor, cot_dtype dtype, void *to) {
    coti_cursor_skip(cursor);
    switch (dtype) {
    case COT_F32:
    case COT_F64:
        return take_float(cursor, dtype, to);
    case COT_BOOL:
        return take_bool(cursor, to);
    case COT_I32:
    case COT_I64:
    case COT_U8:
        return take_integer(cursor, dtype, to);
    }
    return coti_cursor_expected(cursor, "an element");
}

cot_status coti_cursor_skip_scalar(coti_cursor *cursor) {
    coti_cursor_skip(cursor);
    size_t length = scalar_length(cursor);
    if (length == 0) {
        return coti_cursor_expected(cursor, "a number");
    }
    bool nan = scalar_is(cursor, length, "nan");
    uint64_t bits = 0;
    cursor->at += length;
    return nan && here(cursor) == '(' ? take_nan_bits(cursor, &bits) : COT_OK;
}

/* ---- types and layers ---- */

static cot_status take_dtype(coti_cursor *cursor, cot_dtype *dtype_out) {
    static const cot_dtype all[] = {
#define DTYPE_ROW(constant, name, n_bytes) constant,
        COT_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (coti_cursor_take_word(cursor, cot_dtype_name(all[i]))) {
            *dtype_out = all[i];
            return COT_OK;
        }
    }
    return coti_cursor_expected(cursor, "a dtype: f32, f64, i32, i64, u8 or bool");
}

/* "784", "N" or "4N"; N on the leading axis only. */
static cot_status take_extent(coti_cursor *cursor, cot_shape *shape) {
    size_t start = coti_cursor_skip(cursor);
    int64_t extent = 1;
    if (here(cursor) != 'N') {
        COTI_TRY(coti_cursor_int(cursor, &extent));
    }
    bool rows = here(cursor) == 'N';
    cursor->at += rows;
    if (shape->rank == COT_MAX_RANK) {
        return coti_cursor_fail(cursor, start, "a shape has at most %d axes", COT_MAX_RANK);
    }
    if (rows && shape->rank > 0) {
        return coti_cursor_fail(cursor, start, "only the leading extent can be N");
    }
    if (extent < 0 || extent > COTI_SIZE_MAX || (rows && extent == 0)) {
        return coti_cursor_fail(cursor, start, "the extent is out of range");
    }
    shape->batched = shape->batched || rows;
    shape->dim[shape->rank++] = extent;
    return COT_OK;
}

static cot_status take_extents(coti_cursor *cursor, cot_shape *shape) {
    do {
        COTI_TRY(take_extent(cursor, shape));
    } while (coti_cursor_take(cursor, ","));
    return COT_OK;
}

cot_status coti_cursor_type(coti_cursor *cursor, cot_dtype *dtype_out, cot_shape *shape_out) {
    cot_shape shape = {.rank = 0};
    COTI_TRY(take_dtype(cursor, dtype_out));
    COTI_TRY(coti_cursor_need(cursor, "["));
    COTI_TRY(coti_cursor_peek(cursor, ']') ? COT_OK : take_extents(cursor, &shape));
    *shape_out = shape;
    return coti_cursor_need(cursor, "]");
}

static void skip_blanks(coti_cursor *cursor) {
    while (here(cursor) == ' ' || here(cursor) == '\t') {
        cursor->at++;
    }
}

cot_status coti_cursor_layer(coti_cursor *cursor, const char **layer_out) {
    *layer_out = NULL;
    skip_blanks(cursor);
    if (here(cursor) != '#') {
        return COT_OK;
    }
    size_t comment = cursor->at++;
    skip_blanks(cursor);
    if (here(cursor) == '"') {
        const char *text = "";
        const char *problem = NULL; /* a comment may be anything */
        COTI_TRY(take_quoted(cursor, &text, &problem));
        skip_blanks(cursor);
        bool ends = cursor->at == cursor->bytes || here(cursor) == '\n' || here(cursor) == '\r';
        *layer_out = problem == NULL && ends && text[0] != '\0' ? text : NULL;
    }
    cursor->at = comment; /* to be skipped as any comment is */
    return COT_OK;
}
