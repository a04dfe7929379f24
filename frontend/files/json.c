/* The JSON reader: contract in json.h. */
#include "json.h"

#include <string.h>

void coti_json_init(coti_json *json, cot_context *context, const char *source, const char *text,
                    size_t bytes) {
    *json = (coti_json){
        .context = context, .source = source, .begin = text, .at = text, .end = text + bytes};
}

cot_status coti_json_fail(const coti_json *json, const char *message) {
    return COTI_FAIL(json->context, COT_E_PARSE, "\"%.200s\": JSON, byte %lld: %s", json->source,
                     (long long)(json->at - json->begin), message);
}

/* ---- tokens ---- */

static void skip_blanks(coti_json *json) {
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r')) {
        json->at++;
    }
}

/* The next byte that is no blank; 0 at the end. */
static char peek(coti_json *json) {
    skip_blanks(json);
    return json->at < json->end ? *json->at : '\0';
}

static bool take(coti_json *json, char c) {
    if (peek(json) != c || json->at == json->end) {
        return false;
    }
    json->at++;
    return true;
}

/* The byte at `at` without skipping; 0 at the end. */
static char byte_at(const coti_json *json) {
    return json->at < json->end ? *json->at : '\0';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* ---- strings ---- */

static int32_t hex_value(char c) {
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static cot_status read_hex4(coti_json *json, uint32_t *code_out) {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int32_t digit = hex_value(byte_at(json));
        if (digit < 0) {
            return coti_json_fail(json, "expected four hexadecimal digits after \\u");
        }
        code = code * 16 + (uint32_t)digit;
        json->at++;
    }
    *code_out = code;
    return COT_OK;
}

/* What follows \u, two of them for a code point above the first plane. */
static cot_status read_code_point(coti_json *json, uint32_t *code_out) {
    uint32_t high = 0, low = 0;
    COTI_TRY(read_hex4(json, &high));
    if (high >= 0xD800 && high < 0xDC00) {
        if (json->end - json->at < 2 || json->at[0] != '\\' || json->at[1] != 'u') {
            return coti_json_fail(json, "half a surrogate pair");
        }
        json->at += 2;
        COTI_TRY(read_hex4(json, &low));
        if (low < 0xDC00 || low > 0xDFFF) {
            return coti_json_fail(json, "half a surrogate pair");
        }
        high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    } else if (high >= 0xDC00 && high < 0xE000) {
        return coti_json_fail(json, "half a surrogate pair");
    }
    *code_out = high;
    return high != 0 ? COT_OK : coti_json_fail(json, "a NUL in a string");
}

static void append_utf8(coti_str *out, uint32_t code) {
    char byte[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1;) {
        byte[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    byte[0] = (char)(lead[n == 1 ? 0 : n] | code);
    coti_str_append_bytes(out, byte, n);
}

static cot_status read_escape(coti_json *json, coti_str *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = byte_at(json);
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found != NULL) {
        json->at++;
        coti_str_append_bytes(out, &to[found - from], 1);
        return COT_OK;
    }
    if (c != 'u') {
        return coti_json_fail(json, "an unknown escape in a string");
    }
    uint32_t code = 0;
    json->at++;
    COTI_TRY(read_code_point(json, &code));
    append_utf8(out, code);
    return COT_OK;
}

/* Length of the UTF-8 sequence at p, of at most `left` bytes; 0: it is none. Src: RFC 3629. */
static size_t utf8_length(const unsigned char *p, size_t left) {
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3 : 4;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    /* not longer than needed, no surrogates, at most U+10FFFF */
    bool fine = !(p[0] == 0xE0 && p[1] < 0xA0) && !(p[0] == 0xED && p[1] > 0x9F) &&
                !(p[0] == 0xF0 && p[1] < 0x90) && !(p[0] == 0xF4 && p[1] > 0x8F);
    return fine ? n : 0;
}

/* One character of a string, escaped or not. */
static cot_status read_character(coti_json *json, coti_str *out) {
    if (*json->at == '\\') {
        json->at++;
        return read_escape(json, out);
    }
    if ((unsigned char)*json->at < 0x20) {
        return coti_json_fail(json, "a control character in a string");
    }
    size_t n = utf8_length((const unsigned char *)json->at, (size_t)(json->end - json->at));
    if (n == 0) {
        return coti_json_fail(json, "a string is not UTF-8");
    }
    coti_str_append_bytes(out, json->at, n);
    json->at += n;
    return COT_OK;
}

/* A string, from its opening quote. */
static cot_status read_string(coti_json *json, coti_str *out) {
    coti_str_clear(out);
    if (!take(json, '"')) {
        return coti_json_fail(json, "expected a string");
    }
    while (json->at < json->end && *json->at != '"') {
        COTI_TRY(read_character(json, out));
        if (out->count > COTI_JSON_STRING_BYTES) {
            return coti_json_fail(json, "a string of more than 4096 bytes");
        }
    }
    return take(json, '"') ? coti_str_status(out) : coti_json_fail(json, "a string has no end");
}

/* ---- containers ---- */

static uint64_t bit_of(int32_t depth) {
    return UINT64_C(1) << (depth - 1);
}

cot_status coti_json_enter(coti_json *json, char open) {
    if (!take(json, open)) {
        return coti_json_fail(json, open == '{' ? "expected an object" : "expected an array");
    }
    if (json->depth == COTI_JSON_DEPTH) {
        return coti_json_fail(json, "nested deeper than 64");
    }
    uint64_t bit = bit_of(++json->depth);
    json->has_value &= ~bit;
    json->is_object = open == '{' ? json->is_object | bit : json->is_object & ~bit;
    return COT_OK;
}

/* Before a value of the innermost container: its comma. Or its end. */
static cot_status next_value(coti_json *json, bool *more_out) {
    uint64_t bit = bit_of(json->depth);
    bool is_object = (json->is_object & bit) != 0;
    *more_out = false;
    if (take(json, is_object ? '}' : ']')) {
        json->depth--;
        return COT_OK;
    }
    if ((json->has_value & bit) != 0 && !take(json, ',')) {
        return coti_json_fail(json, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    json->has_value |= bit;
    *more_out = true;
    return COT_OK;
}

cot_status coti_json_key(coti_json *json, coti_str *key_out, bool *more_out) {
    COTI_TRY(next_value(json, more_out));
    if (!*more_out) {
        return COT_OK;
    }
    COTI_TRY(read_string(json, key_out));
    return take(json, ':') ? COT_OK : coti_json_fail(json, "expected ':' after a key");
}

cot_status coti_json_element(coti_json *json, bool *more_out) {
    return next_value(json, more_out);
}

/* ---- values ---- */

cot_status coti_json_string(coti_json *json, coti_str *out) {
    return read_string(json, out);
}

cot_status coti_json_integer(coti_json *json, int64_t *out) {
    int64_t value = 0;
    if (!is_digit(peek(json))) {
        return coti_json_fail(json, "expected a whole number");
    }
    bool leading_zero = *json->at == '0';
    for (int32_t n = 0; is_digit(byte_at(json)); n++, json->at++) {
        int32_t digit = *json->at - '0';
        if ((n > 0 && leading_zero) || value > (INT64_MAX - digit) / 10) {
            return coti_json_fail(json, leading_zero ? "a number begins with 0"
                                                     : "a number is larger than 2^63 - 1");
        }
        value = 10 * value + digit;
    }
    char c = byte_at(json);
    if (c == '.' || c == 'e' || c == 'E') {
        return coti_json_fail(json, "expected a whole number");
    }
    *out = value;
    return COT_OK;
}

static cot_status skip_digits(coti_json *json) {
    if (!is_digit(byte_at(json))) {
        return coti_json_fail(json, "expected a digit");
    }
    while (is_digit(byte_at(json))) {
        json->at++;
    }
    return COT_OK;
}

static cot_status skip_number(coti_json *json) {
    json->at += *json->at == '-';
    const char *first = json->at;
    COTI_TRY(skip_digits(json));
    if (*first == '0' && json->at - first > 1) {
        return coti_json_fail(json, "a number begins with 0");
    }
    if (byte_at(json) == '.') {
        json->at++;
        COTI_TRY(skip_digits(json));
    }
    if (byte_at(json) == 'e' || byte_at(json) == 'E') {
        json->at++;
        json->at += byte_at(json) == '+' || byte_at(json) == '-';
        COTI_TRY(skip_digits(json));
    }
    return COT_OK;
}

static cot_status skip_word(coti_json *json, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(json->end - json->at) < n || memcmp(json->at, word, n) != 0) {
        return coti_json_fail(json, "expected a value");
    }
    json->at += n;
    return COT_OK;
}

/* A value that is no container. */
static cot_status skip_scalar(coti_json *json, char first, coti_str *scratch) {
    switch (first) {
    case '"':
        return read_string(json, scratch);
    case 't':
        return skip_word(json, "true");
    case 'f':
        return skip_word(json, "false");
    case 'n':
        return skip_word(json, "null");
    default:
        return first == '-' || is_digit(first) ? skip_number(json)
                                               : coti_json_fail(json, "expected a value");
    }
}

static cot_status skip_one(coti_json *json, coti_str *scratch) {
    char first = peek(json);
    return first == '{' || first == '[' ? coti_json_enter(json, first)
                                        : skip_scalar(json, first, scratch);
}

/* The innermost container's next value, or its end. */
static cot_status skip_next(coti_json *json, coti_str *scratch) {
    bool is_object = (json->is_object & bit_of(json->depth)) != 0, more = false;
    COTI_TRY(is_object ? coti_json_key(json, scratch, &more) : coti_json_element(json, &more));
    return more ? skip_one(json, scratch) : COT_OK;
}

cot_status coti_json_skip(coti_json *json) {
    coti_str scratch;
    coti_str_init(&scratch, json->context);
    int32_t depth = json->depth;
    cot_status status = skip_one(json, &scratch);
    while (status == COT_OK && json->depth > depth) {
        status = skip_next(json, &scratch);
    }
    coti_str_free(&scratch);
    return status;
}

cot_status coti_json_end(coti_json *json) {
    skip_blanks(json);
    return json->at == json->end ? COT_OK
                                 : coti_json_fail(json, "something follows behind the value");
}

/* ---- writing ---- */

void coti_json_append(coti_str *str, const char *text) {
    coti_str_append_bytes(str, "\"", 1);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            coti_str_append_bytes(str, "\\", 1);
        }
        if (c < 0x20) {
            coti_str_printf(str, "\\u%04x", c);
        } else {
            coti_str_append_bytes(str, text, 1);
        }
    }
    coti_str_append_bytes(str, "\"", 1);
}
