/*
 * The header of .npy files, as numpy.save writes them:
 *
 *     \x93NUMPY  major  minor  length (little-endian, 2 bytes in version 1, else 4)
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }  spaces  \n
 *     elements
 *
 * The dictionary is a Python literal; its keys come in any order, each once. Texts from the file
 * reach messages printable and cut short.
 */
#include "frontend/data/mapped.h"

#include <string.h>

enum { MAGIC_BYTES = 6, MOST_AXES = 32, WORD_BYTES = 16 };

static const unsigned char magic[MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* The dictionary's text, and what it says. */
typedef struct npy_header {
    cot_context *context;
    const char *path;
    const unsigned char *at, *end;
    bool has_descr, has_order, has_shape, column_major;
    char descr[WORD_BYTES];
    int32_t rank;
    int64_t extent[MOST_AXES];
} npy_header;

bool coti_npy_is(const unsigned char *file, int64_t bytes) {
    return bytes >= MAGIC_BYTES && memcmp(file, magic, sizeof magic) == 0;
}

static cot_status fail_header(const npy_header *h, const char *expected) {
    char found[WORD_BYTES] = "";
    size_t n = 0;
    for (const unsigned char *at = h->at; at < h->end && n + 1 < sizeof found; at++) {
        found[n++] = *at >= 0x20 && *at < 0x7f ? (char)*at : '?';
    }
    return COTI_FAIL(h->context, COT_E_PARSE, "\"%s\": its .npy header has \"%s\", expected %s",
                     h->path, found, expected);
}

/* ---- the dictionary's words ---- */

static void skip_spaces(npy_header *h) {
    while (h->at < h->end &&
           (*h->at == ' ' || *h->at == '\t' || *h->at == '\n' || *h->at == '\r')) {
        h->at++;
    }
}

/* Take this character after spaces, if it is next. */
static bool take(npy_header *h, char wanted) {
    skip_spaces(h);
    const bool found = h->at < h->end && *h->at == (unsigned char)wanted;
    h->at += found;
    return found;
}

/* A quoted text of printable characters that fits. */
static cot_status take_text(npy_header *h, char text[WORD_BYTES]) {
    const char quote = take(h, '"') ? '"' : '\'';
    size_t n = 0;
    if (quote == '\'' && !take(h, '\'')) {
        return fail_header(h, "a quoted text");
    }
    const unsigned char *begin = h->at;
    while (h->at < h->end && *h->at != (unsigned char)quote && n + 1 < WORD_BYTES) {
        text[n++] = *h->at >= 0x20 && *h->at < 0x7f ? (char)*h->at : '?';
        h->at++;
    }
    text[n] = '\0';
    if (!take(h, quote)) {
        h->at = begin;
        return fail_header(h, "a shorter quoted text");
    }
    return COT_OK;
}

static cot_status take_number(npy_header *h, int64_t *out) {
    skip_spaces(h);
    const unsigned char *begin = h->at;
    int64_t value = 0;
    while (h->at < h->end && *h->at >= '0' && *h->at <= '9') {
        if (!coti_size_mul(value, 10, &value) || !coti_size_add(value, *h->at - '0', &value)) {
            h->at = begin;
            return fail_header(h, "an extent of at most 2^47");
        }
        h->at++;
    }
    if (h->at == begin) {
        return fail_header(h, "an extent");
    }
    h->at += h->at < h->end && *h->at == 'L'; /* Python 2's long */
    *out = value;
    return COT_OK;
}

/* (), (3,), (3, 4), (3, 4,) */
static cot_status take_shape(npy_header *h) {
    if (!take(h, '(')) {
        return fail_header(h, "a tuple of extents");
    }
    while (!take(h, ')')) {
        if (h->rank == MOST_AXES) {
            return fail_header(h, "at most 32 extents");
        }
        COTI_TRY(take_number(h, &h->extent[h->rank++]));
        if (!take(h, ',')) {
            return take(h, ')') ? COT_OK : fail_header(h, ", or )");
        }
    }
    return COT_OK;
}

static cot_status take_order(npy_header *h) {
    static const char *const word[2] = {"False", "True"};
    skip_spaces(h);
    for (int i = 0; i < 2; i++) {
        const size_t n = strlen(word[i]);
        if ((size_t)(h->end - h->at) >= n && memcmp(h->at, word[i], n) == 0) {
            h->at += n;
            h->column_major = i == 1;
            return COT_OK;
        }
    }
    return fail_header(h, "True or False");
}

/* Elements with names are a list of pairs. */
static cot_status take_descr(npy_header *h) {
    if (take(h, '[')) {
        return COTI_FAIL(h->context, COT_E_UNSUPPORTED,
                         "\"%s\" has elements of several fields, expected numbers", h->path);
    }
    return take_text(h, h->descr);
}

static cot_status take_entry(npy_header *h) {
    char key[WORD_BYTES];
    skip_spaces(h);
    const unsigned char *begin = h->at;
    COTI_TRY(take_text(h, key));
    bool *seen = strcmp(key, "descr") == 0           ? &h->has_descr
                 : strcmp(key, "fortran_order") == 0 ? &h->has_order
                 : strcmp(key, "shape") == 0         ? &h->has_shape
                                                     : NULL;
    if (seen == NULL || *seen) {
        h->at = begin;
        return fail_header(h, "'descr', 'fortran_order' and 'shape', each once");
    }
    *seen = true;
    if (!take(h, ':')) {
        return fail_header(h, ":");
    }
    return seen == &h->has_descr   ? take_descr(h)
           : seen == &h->has_order ? take_order(h)
                                   : take_shape(h);
}

static cot_status take_dictionary(npy_header *h) {
    if (!take(h, '{')) {
        return fail_header(h, "{");
    }
    for (bool more = !take(h, '}'); more;) {
        COTI_TRY(take_entry(h));
        const bool comma = take(h, ',');
        more = !take(h, '}');
        if (more && !comma) {
            return fail_header(h, ", or }");
        }
    }
    skip_spaces(h);
    if (h->at != h->end) {
        return fail_header(h, "the end");
    }
    return h->has_descr && h->has_order && h->has_shape
               ? COT_OK
               : fail_header(h, "'descr', 'fortran_order' and 'shape'");
}

/* ---- what it means ---- */

/* "<f4": order, kind, bytes. bool is a byte of 0 or 1. */
static cot_status find_dtype(const npy_header *h, cot_dtype *out) {
    static const struct {
        const char *kind;
        cot_dtype dtype;
    } table[] = {{"f4", COT_F32}, {"f8", COT_F64}, {"i4", COT_I32},
                 {"i8", COT_I64}, {"u1", COT_U8},  {"b1", COT_U8}};
    const char order = h->descr[0];
    for (size_t i = 0; i < sizeof table / sizeof table[0] && order != '\0'; i++) {
        const bool is_byte = table[i].dtype == COT_U8;
        if (strcmp(h->descr + 1, table[i].kind) == 0 &&
            (order == '<' || order == '=' || (is_byte && (order == '|' || order == '>')))) {
            *out = table[i].dtype;
            return COT_OK;
        }
    }
    return COTI_FAIL(h->context, COT_E_UNSUPPORTED,
                     "\"%s\" has elements '%s', expected little-endian f4, f8, i4 or i8, or u1 or "
                     "b1",
                     h->path, h->descr);
}

/* Rows of a tensor of some shape: the first extent, and the product of the others. */
static cot_status find_rows(const npy_header *h, cot_array *array) {
    if (h->rank == 0) {
        return COTI_FAIL(h->context, COT_E_UNSUPPORTED,
                         "\"%s\" holds a scalar, expected an array of rows", h->path);
    }
    if (h->column_major && h->rank > 1) {
        return COTI_FAIL(h->context, COT_E_UNSUPPORTED,
                         "\"%s\" is in column-major (Fortran) order, expected row-major: save "
                         "numpy.ascontiguousarray of it",
                         h->path);
    }
    array->n_rows = h->extent[0];
    array->row_elements = 1;
    for (int32_t i = 1; i < h->rank; i++) {
        if (!coti_size_mul(array->row_elements, h->extent[i], &array->row_elements)) {
            return COTI_FAIL(h->context, COT_E_PARSE, "\"%s\": a row has more than 2^47 elements",
                             h->path);
        }
    }
    return array->row_elements > 0
               ? COT_OK
               : COTI_FAIL(h->context, COT_E_PARSE, "\"%s\": a row has no elements", h->path);
}

static cot_status check_length(const npy_header *h, const cot_array *array, int64_t begin,
                               int64_t bytes) {
    const int64_t element = (int64_t)cot_dtype_bytes(array->dtype);
    int64_t all = 0;
    if (!coti_size_mul(array->row_elements, element, &all) ||
        !coti_size_mul(all, array->n_rows, &all) || all != bytes - begin) {
        return COTI_FAIL(h->context, COT_E_PARSE,
                         "\"%s\": its header promises %lld rows of %lld elements of %lld bytes, "
                         "found %lld bytes after the header",
                         h->path, (long long)array->n_rows, (long long)array->row_elements,
                         (long long)element, (long long)(bytes - begin));
    }
    return begin % element == 0
               ? COT_OK
               : COTI_FAIL(h->context, COT_E_UNSUPPORTED,
                           "\"%s\": its elements begin at byte %lld, expected a multiple of %lld",
                           h->path, (long long)begin, (long long)element);
}

/* Where the dictionary begins and ends. */
static cot_status find_dictionary(npy_header *h, const unsigned char *file, int64_t bytes) {
    const int64_t fixed = bytes > MAGIC_BYTES && file[MAGIC_BYTES] == 1 ? 10 : 12;
    if (!coti_npy_is(file, bytes) || bytes < fixed) {
        return COTI_FAIL(h->context, COT_E_PARSE,
                         "\"%s\" ends within its .npy header, at byte %lld", h->path,
                         (long long)bytes);
    }
    const unsigned char *version = file + MAGIC_BYTES;
    if (version[0] < 1 || version[0] > 3 || version[1] != 0) {
        return COTI_FAIL(h->context, COT_E_PARSE,
                         "\"%s\" is a .npy file of version %d.%d, expected 1.0, 2.0 or 3.0",
                         h->path, version[0], version[1]);
    }
    int64_t length = file[8] | file[9] << 8;
    if (fixed == 12) {
        length |= (int64_t)file[10] << 16 | (int64_t)file[11] << 24;
    }
    if (length > bytes - fixed) {
        return COTI_FAIL(h->context, COT_E_PARSE,
                         "\"%s\": its .npy header promises %lld bytes, found %lld", h->path,
                         (long long)length, (long long)(bytes - fixed));
    }
    h->at = file + fixed;
    h->end = h->at + length;
    return COT_OK;
}

cot_status coti_npy_read(cot_context *context, const char *path, const unsigned char *file,
                         int64_t bytes, cot_array *array) {
    npy_header h = {.context = context, .path = path};
    cot_array own = {.scale = 1.0F};
    COTI_TRY(find_dictionary(&h, file, bytes));
    const int64_t begin = h.end - file;
    COTI_TRY(take_dictionary(&h));
    COTI_TRY(find_dtype(&h, &own.dtype));
    COTI_TRY(find_rows(&h, &own));
    COTI_TRY(check_length(&h, &own, begin, bytes));
    own.row_bytes = own.row_elements * (int64_t)cot_dtype_bytes(own.dtype);
    own.data = file + begin;
    *array = own;
    return COT_OK;
}
