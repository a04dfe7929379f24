/*
 * Reading JSON (RFC 8259), strictly and without a tree: the caller walks objects and arrays and
 * takes each value or skips it. Text comes from outside: nesting is limited, strings are valid
 * UTF-8 without NUL and of limited length, nothing is read past the end, no walk recurses.
 *
 *     COTI_TRY(coti_json_enter(&json, '{'));
 *     for (bool more = true;;) {
 *         COTI_TRY(coti_json_key(&json, &key, &more));
 *         if (!more) break;
 *         COTI_TRY(coti_json_skip(&json));
 *     }
 *     COTI_TRY(coti_json_end(&json));
 *
 * Every function fails with COT_E_PARSE and a text that names the source and the byte, or with
 * COT_E_NOMEM; after a failure the reader is of no more use.
 */
#ifndef COTI_JSON_H
#define COTI_JSON_H

#include "runtime/base/str.h"

enum { COTI_JSON_DEPTH = 64, COTI_JSON_STRING_BYTES = 4096 };

typedef struct coti_json {
    cot_context *context;
    const char *source; /* a file's name, for messages; borrowed */
    const char *begin, *at, *end;
    int32_t depth;
    uint64_t has_value; /* bit i: the container at depth i + 1 has a value already */
    uint64_t is_object; /* bit i: it is an object */
} coti_json;

/* text: `bytes` long, borrowed; need not end in NUL. */
void coti_json_init(coti_json *json, cot_context *context, const char *source, const char *text,
                    size_t bytes);

/* Go into an object or array ('{' or '['), which the next value must be. */
cot_status coti_json_enter(coti_json *json, char open);
/* The next key of the object, whose value is to be taken next; or, *more_out false, leave it. */
cot_status coti_json_key(coti_json *json, coti_str *key_out, bool *more_out);
/* Is there another element in the array? If not, leave it. */
cot_status coti_json_element(coti_json *json, bool *more_out);

/* The next value, which must be a string: its text, unescaped, replaces `out`'s. */
cot_status coti_json_string(coti_json *json, coti_str *out);
/* The next value, which must be a whole number from 0 to INT64_MAX. */
cot_status coti_json_integer(coti_json *json, int64_t *out);
/* The next value, whatever it is. */
cot_status coti_json_skip(coti_json *json);
/* Nothing but blanks may be left. */
cot_status coti_json_end(coti_json *json);

/* Record an error at the place that the reader has reached. */
cot_status coti_json_fail(const coti_json *json, const char *message);

/* Append a string in quotes, escaped. */
void coti_json_append(coti_str *str, const char *text);

#endif
