/* File names with numbers in them: contract in file_pattern.h. */
#include "file_pattern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 96, MOST_WIDTH = 64, MOST_PRECISION = 20, NUMBER_BYTES = 512 };

/* What stands between two braces. */
typedef struct field {
    char name[NAME_BYTES];
    bool zeros;
    int32_t width, precision; /* precision -1: none is given */
    char type;                /* 0: none is given */
} field;

typedef struct pattern {
    cot_context *context;
    const char *text, *at;
    int64_t epoch, batch;
    const cot_logs *logs;
    coti_str *out;
} pattern;

static cot_status fail(const pattern *p, const char *what) {
    return COTI_FAIL(p->context, COT_E_ARG, "\"%.200s\", character %lld: %s", p->text,
                     (long long)(p->at - p->text), what);
}

static bool read_count(pattern *p, int32_t most, int32_t *out) {
    int32_t value = 0;
    for (; *p->at >= '0' && *p->at <= '9'; p->at++) {
        value = value > most ? value : 10 * value + (*p->at - '0');
    }
    *out = value;
    return value <= most;
}

static cot_status read_format(pattern *p, field *f) {
    if (*p->at == '0') {
        f->zeros = true;
        p->at++;
    }
    if (!read_count(p, MOST_WIDTH, &f->width)) {
        return fail(p, "a width of more than 64");
    }
    if (*p->at == '.') {
        p->at++;
        if (*p->at < '0' || *p->at > '9' || !read_count(p, MOST_PRECISION, &f->precision)) {
            return fail(p, "expected a precision from 0 to 20");
        }
    }
    if (*p->at != '\0' && strchr("defg", *p->at) != NULL) {
        f->type = *p->at++;
    }
    return COT_OK;
}

/* From behind the opening brace to behind the closing one. */
static cot_status read_field(pattern *p, field *f) {
    size_t n = strcspn(p->at, ":{}");
    *f = (field){.precision = -1};
    if (n == 0 || n >= sizeof f->name) {
        return fail(p, "expected a name of a log behind '{'");
    }
    memcpy(f->name, p->at, n);
    p->at += n;
    if (*p->at == ':') {
        p->at++;
        COTI_TRY(read_format(p, f));
    }
    if (*p->at != '}') {
        return fail(p, "expected '}', or a format of [0][width][.precision][d, e, f or g]");
    }
    p->at++;
    return COT_OK;
}

/* Append what printf made, with a point for what is the locale's. */
static void append_number(coti_str *out, const char *text) {
    static const char known[] = "0123456789+-eainf ";
    for (size_t n = 0; *text != '\0'; text += n) {
        n = strspn(text, known);
        coti_str_append_bytes(out, text, n);
        if (n == 0) {
            n = strcspn(text, known);
            coti_str_append(out, ".");
        }
    }
}

static cot_status append_whole(pattern *p, const field *f, int64_t value) {
    char text[NUMBER_BYTES];
    if (f->precision >= 0 && (f->type == 0 || f->type == 'd')) {
        return fail(p, "a whole number has no precision");
    }
    (void)snprintf(text, sizeof text, f->zeros ? "%0*lld" : "%*lld", (int)f->width,
                   (long long)value);
    coti_str_append(p->out, text);
    return COT_OK;
}

static cot_status append_real(pattern *p, const field *f, double value) {
    char text[NUMBER_BYTES];
    int precision = f->precision >= 0 ? f->precision : 6;
    if (f->type == 'd') {
        return fail(p, "d is for whole numbers: epoch and batch");
    }
    if (f->type == 0 && f->precision < 0 && f->width == 0) {
        coti_str_double(p->out, value);
        return COT_OK;
    }
    bool zeros = f->zeros && isfinite(value);
    switch (f->type) {
    case 'e':
        (void)snprintf(text, sizeof text, zeros ? "%0*.*e" : "%*.*e", (int)f->width, precision,
                       value);
        break;
    case 'f':
        (void)snprintf(text, sizeof text, zeros ? "%0*.*f" : "%*.*f", (int)f->width, precision,
                       value);
        break;
    default:
        (void)snprintf(text, sizeof text, zeros ? "%0*.*g" : "%*.*g", (int)f->width, precision,
                       value);
        break;
    }
    append_number(p->out, text);
    return COT_OK;
}

static cot_status append_field(pattern *p, const field *f) {
    bool is_epoch = strcmp(f->name, "epoch") == 0, is_batch = strcmp(f->name, "batch") == 0;
    if (is_epoch || (is_batch && p->batch >= 0)) {
        int64_t value = is_epoch ? p->epoch : p->batch;
        return f->type == 0 || f->type == 'd' ? append_whole(p, f, value)
                                              : append_real(p, f, (double)value);
    }
    for (int32_t i = 0; i < p->logs->n; i++) {
        if (strcmp(p->logs->log[i].name, f->name) == 0) {
            return append_real(p, f, p->logs->log[i].value);
        }
    }
    return COTI_FAIL(p->context, COT_E_ARG, "\"%.200s\": there is no \"%.60s\" in the logs",
                     p->text, f->name);
}

cot_status coti_file_pattern(cot_context *context, const char *name, int64_t epoch, int64_t batch,
                             const cot_logs *logs, coti_str *out) {
    pattern p = {context, name, name, epoch, batch, logs, out};
    while (*p.at != '\0') {
        size_t n = strcspn(p.at, "{}");
        coti_str_append_bytes(out, p.at, n);
        p.at += n;
        if (*p.at == '\0') {
            break;
        }
        char brace = *p.at++;
        if (*p.at == brace) {
            coti_str_append_bytes(out, p.at++, 1);
            continue;
        }
        field f;
        if (brace == '}') {
            return fail(&p, "a '}' without a '{'");
        }
        COTI_TRY(read_field(&p, &f));
        COTI_TRY(append_field(&p, &f));
    }
    return coti_str_status(out);
}
