/*
 * A cursor over the text form: the lexical half of the parser.
 *
 * The text is `bytes` long and need not end in NUL; no byte of it is trusted. A function that takes
 * something skips space and comments before it. Errors say line, column, what was found and what
 * was expected, and leave the cursor anywhere: the parser gives up at the first.
 */
#ifndef COTI_CURSOR_H
#define COTI_CURSOR_H

#include "text.h"

typedef struct coti_cursor {
    cot_context *context;
    coti_arena *arena; /* of names and words */
    const char *text;
    size_t bytes, at;
} coti_cursor;

/* COT_E_PARSE: "line 3, column 7: found X, expected <what>", at the next token. */
cot_status coti_cursor_expected(coti_cursor *cursor, const char *what);
/* The same with a text of one's own, about the byte at position `at`. */
cot_status coti_cursor_fail(const coti_cursor *cursor, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "line 3, column 7" of the byte at position `at`, from 1. */
typedef struct coti_position {
    size_t line, column;
} coti_position;
coti_position coti_cursor_position(const coti_cursor *cursor, size_t at);

/* Skip space, line ends and comments; the position of the next token. */
size_t coti_cursor_skip(coti_cursor *cursor);

/* Take the character, or the two, if they come next. */
bool coti_cursor_take(coti_cursor *cursor, const char *punctuation);
/* The same, and COT_E_PARSE if they do not. */
cot_status coti_cursor_need(coti_cursor *cursor, const char *punctuation);

/* Is this character next? */
bool coti_cursor_peek(coti_cursor *cursor, char c);

/* Is this word (and not a longer one) next? Take it. */
bool coti_cursor_take_word(coti_cursor *cursor, const char *word);
/* A letter or '_', then letters, digits and '_'. */
cot_status coti_cursor_word(coti_cursor *cursor, const char *what, const char **word_out,
                            size_t *length_out);

/* A graph's name, as a string in the arena: letters, digits and '_'. */
cot_status coti_cursor_label(coti_cursor *cursor, const char **label_out);

/* A plain or quoted name, never empty, as a string in the arena. */
cot_status coti_cursor_name(coti_cursor *cursor, const char **name_out);

/* What follows '%', the '%' included: a name, or digits (number_out: which of the two). */
cot_status coti_cursor_value(coti_cursor *cursor, const char **name_out, bool *number_out);

/* An integer within int64. */
cot_status coti_cursor_int(coti_cursor *cursor, int64_t *value_out);

/* An element of this dtype, stored at `to`. Out of its range is an error; decimals are rounded. */
cot_status coti_cursor_element(coti_cursor *cursor, cot_dtype dtype, void *to);
/* Any one scalar, unread. */
cot_status coti_cursor_skip_scalar(coti_cursor *cursor);

/* "f32[N,784]"; the shape's rank and extents are valid. */
cot_status coti_cursor_type(coti_cursor *cursor, cot_dtype *dtype_out, cot_shape *shape_out);

/* The layer named in a comment on the rest of this line, the comment taken; NULL in *layer_out if
 * there is none. */
cot_status coti_cursor_layer(coti_cursor *cursor, const char **layer_out);

#endif
