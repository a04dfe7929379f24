/*
 * Errors: the first one of a context stays until it is cleared. Text is formatted into the record
 * itself, so that running out of memory needs none; it is one line, whatever names it quotes. Also
 * the tables of statuses and dtypes.
 */
#include "context.h"

#include <stdio.h>
#include <string.h>

/* ---- tables ---- */

const char *cot_status_name(cot_status status) {
    static const char *const name[] = {
#define STATUS_NAME(constant, text, meaning) [constant] = text,
        COT_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    };
    return (size_t)status < sizeof name / sizeof name[0] ? name[status] : "unknown";
}

static const struct {
    const char *name;
    size_t bytes;
} dtype_table[] = {
#define DTYPE_ROW(constant, text, n_bytes) [constant] = {text, n_bytes},
    COT_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};

static bool dtype_valid(cot_dtype dtype) {
    return (size_t)dtype < sizeof dtype_table / sizeof dtype_table[0];
}

const char *cot_dtype_name(cot_dtype dtype) {
    return dtype_valid(dtype) ? dtype_table[dtype].name : "?";
}

size_t cot_dtype_bytes(cot_dtype dtype) {
    return dtype_valid(dtype) ? dtype_table[dtype].bytes : 0;
}

/* ---- recording ---- */

/* Names come from outside and may hold line ends and other control characters. */
static void make_one_line(char *text) {
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        *text = c < 0x20 || c == 0x7f ? '?' : *text;
    }
}

static void copy_name(char target[COTI_NAME_BYTES], const char *name) {
    (void)snprintf(target, COTI_NAME_BYTES, "%s", name != NULL ? name : "");
    make_one_line(target);
}

cot_status coti_fail_at(cot_context *context, const char *file, int32_t line, cot_status status,
                        const char *op, const char *layer, const char *format, ...) {
    coti_error *error = &context->error;
    if (error->status != COT_OK) {
        return status;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    make_one_line(error->message);
    copy_name(error->op, op);
    copy_name(error->layer, layer);
    error->status = status;
    error->file = file;
    error->line = line;
    return status;
}

cot_status coti_error_set(coti_error *error, cot_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    make_one_line(error->message);
    error->op[0] = '\0';
    error->layer[0] = '\0';
    error->status = status;
    error->file = "";
    error->line = 0;
    return status;
}

/* ---- reading ---- */

cot_error cot_error_get(const cot_context *context) {
    if (context == NULL) {
        return (cot_error){COT_E_ARG, "the context is NULL", "", "", __FILE__, __LINE__};
    }
    const coti_error *error = &context->error;
    return (cot_error){error->status,
                       error->message,
                       error->op,
                       error->layer,
                       error->file != NULL ? error->file : "",
                       error->line};
}

const char *cot_error_message(const cot_context *context) {
    return cot_error_get(context).message;
}

void cot_error_clear(cot_context *context) {
    if (context != NULL) {
        memset(&context->error, 0, sizeof context->error);
    }
}
