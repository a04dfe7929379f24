/*
 * The growing string, and the text of types.
 *
 * After the first failed allocation the string ignores appends; what was there stays readable.
 */
#include "str.h"

#include "arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE_BYTES = 40 };

void coti_str_init(coti_str *str, cot_context *context) {
    *str = (coti_str){.context = context};
}

void coti_str_free(coti_str *str) {
    coti_free(str->context, str->data);
    coti_str_init(str, str->context);
}

void coti_str_clear(coti_str *str) {
    str->count = 0;
    str->failed = false;
    if (str->data != NULL) {
        str->data[0] = '\0';
    }
}

/* Room for `bytes` more and the NUL. */
static bool make_room(coti_str *str, size_t bytes) {
    if (str->failed) {
        return false;
    }
    size_t needed = str->count + bytes + 1;
    if (bytes > SIZE_MAX / 2 || coti_vec_reserve(str->context, str, needed) != COT_OK) {
        str->failed = true;
        return false;
    }
    return true;
}

void coti_str_append_bytes(coti_str *str, const char *text, size_t bytes) {
    if (make_room(str, bytes)) {
        memcpy(str->data + str->count, text, bytes);
        str->count += bytes;
        str->data[str->count] = '\0';
    }
}

void coti_str_append(coti_str *str, const char *text) {
    coti_str_append_bytes(str, text, strlen(text));
}

void coti_str_printf(coti_str *str, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !make_room(str, (size_t)length)) {
        str->failed = true;
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(str->data + str->count, (size_t)length + 1, format, arguments);
    va_end(arguments);
    str->count += (size_t)length;
}

/*
 * "%.*g" with the fewest digits that read back. 15 digits give every decimal of up to 15 digits
 * back unchanged (C17 5.2.4.2.2, DBL_DIG), so fewer need a try only where that does not hold: below
 * the smallest normal number.
 */
static void format_double(char text[DOUBLE_BYTES], double value) {
    int digits = fabs(value) < 2.3e-308 ? 1 : 15;
    do {
        (void)snprintf(text, DOUBLE_BYTES, "%.*g", digits, value);
    } while (strtod(text, NULL) != value && ++digits <= 17);
}

void coti_str_double(coti_str *str, double value) {
    if (!isfinite(value)) {
        coti_str_append(str, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    char text[DOUBLE_BYTES];
    format_double(text, value);
    /* What is neither digit, sign nor exponent is the locale's decimal point. */
    for (const char *c = text; *c != '\0';) {
        size_t n = strspn(c, "0123456789+-e");
        coti_str_append_bytes(str, c, n);
        c += n;
        n = strcspn(c, "0123456789+-e");
        if (n > 0) {
            coti_str_append(str, ".");
            c += n;
        }
    }
}

const char *coti_type_text(char buffer[COTI_TYPE_BYTES], cot_dtype dtype, const cot_shape *shape) {
    size_t used = (size_t)snprintf(buffer, COTI_TYPE_BYTES, "%s[", cot_dtype_name(dtype));
    int32_t rank = shape->rank < 0 ? 0 : shape->rank > COT_MAX_RANK ? COT_MAX_RANK : shape->rank;
    for (int32_t i = 0; i < rank; i++) {
        bool rows = shape->batched && i == 0;
        char extent[24] = "";
        if (!rows || shape->dim[i] != 1) {
            (void)snprintf(extent, sizeof extent, "%lld", (long long)shape->dim[i]);
        }
        used += (size_t)snprintf(buffer + used, COTI_TYPE_BYTES - used, "%s%s%s", i == 0 ? "" : ",",
                                 extent, rows ? "N" : "");
    }
    (void)snprintf(buffer + used, COTI_TYPE_BYTES - used, "]");
    return buffer;
}

void coti_str_type(coti_str *str, cot_dtype dtype, const cot_shape *shape) {
    char buffer[COTI_TYPE_BYTES];
    coti_str_append(str, coti_type_text(buffer, dtype, shape));
}

const char *coti_str_text(coti_str *str) {
    return str->data != NULL ? str->data : "";
}

cot_status coti_str_status(const coti_str *str) {
    return str->failed ? COT_E_NOMEM : COT_OK;
}
