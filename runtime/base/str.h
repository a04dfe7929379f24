/*
 * A growing string. Appends after a failed allocation do nothing; the failure is reported once, by
 * coti_str_status. Numbers are written locale-independently.
 */
#ifndef COTI_STR_H
#define COTI_STR_H

#include "context.h"

typedef struct coti_str {
    cot_context *context;
    char *data; /* NUL-terminated when count > 0 or after coti_str_text; owned */
    size_t count, capacity;
    bool failed;
} coti_str;

void coti_str_init(coti_str *str, cot_context *context);
void coti_str_free(coti_str *str);
void coti_str_clear(coti_str *str);
void coti_str_append(coti_str *str, const char *text);
void coti_str_append_bytes(coti_str *str, const char *text, size_t bytes);
void coti_str_printf(coti_str *str, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Shortest decimal form that reads back to the same double ("inf", "-inf", "nan" for those). */
void coti_str_double(coti_str *str, double value);
/* "f32[N,784]", "f32[4N,7]", "f32[]". */
void coti_str_type(coti_str *str, cot_dtype dtype, const cot_shape *shape);
/* Never NULL. */
const char *coti_str_text(coti_str *str);
cot_status coti_str_status(const coti_str *str);

/* The same into a buffer, for messages: returns buffer. COTI_TYPE_BYTES is always enough. */
#define COTI_TYPE_BYTES 256
const char *coti_type_text(char buffer[COTI_TYPE_BYTES], cot_dtype dtype, const cot_shape *shape);

#endif
