/*
 * Reading safetensors: contract in safetensors.h. The header is read whole, at most 100 MB of it,
 * and checked completely before any of the data is; the file may then lie about numbers only.
 */
#include "safetensors.h"

#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_HEADER_BYTES INT64_C(100000000)
enum { MOST_TENSORS = 1000000, CHECKSUM_DIGITS = 16 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data are written as memory holds them");

/* X(name in files, bits of an element, ours) */
#define DTYPE_LIST(X)                                                                              \
    X("F32", 32, COT_F32)                                                                          \
    X("F64", 64, COT_F64)                                                                          \
    X("I32", 32, COT_I32)                                                                          \
    X("I64", 64, COT_I64)                                                                          \
    X("U8", 8, COT_U8)                                                                             \
    X("BOOL", 8, COT_BOOL)

/* Those that no tensor of ours can take, so that a file that holds them is still read. */
static const struct foreign_dtype {
    const char *name;
    int32_t bits;
} foreign_dtypes[] = {{"F16", 16},    {"BF16", 16},   {"I8", 8},          {"I16", 16},
                      {"U16", 16},    {"U32", 32},    {"U64", 64},        {"F8_E5M2", 8},
                      {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6},     {"F6_E3M2", 6},
                      {"F4", 4},      {"C64", 64},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};

const char *coti_safetensors_dtype(cot_dtype dtype) {
    switch (dtype) {
#define ROW(name, bits, ours)                                                                      \
    case ours:                                                                                     \
        return name;
        DTYPE_LIST(ROW)
#undef ROW
    default:
        return "?";
    }
}

/* Bits of an element; 0: no such dtype. */
static int32_t bits_of(const char *dtype) {
#define ROW(name, bits, ours)                                                                      \
    if (strcmp(dtype, name) == 0) {                                                                \
        return bits;                                                                               \
    }
    DTYPE_LIST(ROW)
#undef ROW
    for (size_t i = 0; i < sizeof foreign_dtypes / sizeof foreign_dtypes[0]; i++) {
        if (strcmp(dtype, foreign_dtypes[i].name) == 0) {
            return foreign_dtypes[i].bits;
        }
    }
    return 0;
}

/* ---- names ---- */

typedef struct name_key {
    const coti_safetensors *file;
    const char *name;
} name_key;

static bool is_tensor(const void *user, uint32_t value) {
    const name_key *key = user;
    return strcmp(key->file->tensor.data[value].name, key->name) == 0;
}

static bool is_metadata(const void *user, uint32_t value) {
    const name_key *key = user;
    return strcmp(key->file->metadata.data[value].key, key->name) == 0;
}

static uint64_t hash_name(const char *name) {
    return coti_hash(0, name, strlen(name));
}

const coti_tensor_entry *coti_safetensors_find(const coti_safetensors *file, const char *name) {
    name_key key = {file, name};
    uint32_t i = 0;
    return coti_map_find(&file->by_name, hash_name(name), is_tensor, &key, &i)
               ? &file->tensor.data[i]
               : NULL;
}

const char *coti_safetensors_metadata(const coti_safetensors *file, const char *key) {
    name_key wanted = {file, key};
    uint32_t i = 0;
    return coti_map_find(&file->by_key, hash_name(key), is_metadata, &wanted, &i)
               ? file->metadata.data[i].value
               : NULL;
}

cot_status coti_safetensors_integer(const coti_safetensors *file, const char *key, int64_t *out) {
    const char *value = coti_safetensors_metadata(file, key);
    int64_t number = 0;
    size_t n = value != NULL ? strspn(value, "0123456789") : 0;
    if (n == 0 || n > 18 || value[n] != '\0') {
        return COTI_FAIL(file->context, COT_E_PARSE,
                         "\"%.200s\": metadata \"%s\" is \"%.40s\", expected a whole number",
                         file->path, key, value != NULL ? value : "");
    }
    for (size_t i = 0; i < n; i++) {
        number = 10 * number + (value[i] - '0');
    }
    *out = number;
    return COT_OK;
}

/* ---- one tensor of the header ---- */

/* What has been read of an entry so far. */
typedef struct entry_parts {
    bool has_dtype, has_shape, has_offsets;
    int64_t end;
} entry_parts;

static cot_status fail_tensor(const coti_safetensors *file, const coti_tensor_entry *tensor,
                              const char *what) {
    return COTI_FAIL(file->context, COT_E_PARSE, "\"%.200s\": tensor \"%.100s\": %s", file->path,
                     tensor->name, what);
}

static cot_status read_shape(coti_json *json, const coti_safetensors *file,
                             coti_tensor_entry *tensor) {
    COTI_TRY(coti_json_enter(json, '['));
    for (bool more = true;;) {
        int64_t extent = 0;
        COTI_TRY(coti_json_element(json, &more));
        if (!more) {
            return COT_OK;
        }
        COTI_TRY(coti_json_integer(json, &extent));
        if (tensor->shape.rank == COT_MAX_RANK) {
            return fail_tensor(file, tensor, "the rank is more than 8");
        }
        tensor->shape.dim[tensor->shape.rank++] = extent;
    }
}

static cot_status read_offsets(coti_json *json, coti_tensor_entry *tensor, entry_parts *parts) {
    bool more = true;
    COTI_TRY(coti_json_enter(json, '['));
    COTI_TRY(coti_json_element(json, &more));
    COTI_TRY(more ? coti_json_integer(json, &tensor->begin) : COT_OK);
    COTI_TRY(more ? coti_json_element(json, &more) : COT_OK);
    COTI_TRY(more ? coti_json_integer(json, &parts->end) : COT_OK);
    if (!more) {
        return coti_json_fail(json, "expected two offsets");
    }
    COTI_TRY(coti_json_element(json, &more));
    return more ? coti_json_fail(json, "expected two offsets") : COT_OK;
}

/* One of dtype, shape and data_offsets. */
static cot_status read_part(coti_json *json, coti_safetensors *file, coti_tensor_entry *tensor,
                            entry_parts *parts, coti_str *text) {
    const char *key = coti_str_text(text);
    if (strcmp(key, "shape") == 0 && !parts->has_shape) {
        parts->has_shape = true;
        return read_shape(json, file, tensor);
    }
    if (strcmp(key, "data_offsets") == 0 && !parts->has_offsets) {
        parts->has_offsets = true;
        return read_offsets(json, tensor, parts);
    }
    if (strcmp(key, "dtype") != 0 || parts->has_dtype) {
        return coti_json_fail(json, "expected dtype, shape and data_offsets, once each");
    }
    parts->has_dtype = true;
    COTI_TRY(coti_json_string(json, text));
    tensor->dtype = coti_arena_strdup(&file->arena, coti_str_text(text));
    return tensor->dtype != NULL ? COT_OK : COT_E_NOMEM;
}

/* Do dtype, shape and offsets agree, and lie within the data? */
static cot_status check_entry(const coti_safetensors *file, coti_tensor_entry *tensor,
                              const entry_parts *parts) {
    int64_t elements = 0, bits = 0;
    if (!parts->has_dtype || !parts->has_shape || !parts->has_offsets) {
        return fail_tensor(file, tensor, "expected dtype, shape and data_offsets");
    }
    int32_t element_bits = bits_of(tensor->dtype);
    if (element_bits == 0) {
        return COTI_FAIL(file->context, COT_E_PARSE,
                         "\"%.200s\": tensor \"%.100s\": \"%.20s\" is no dtype", file->path,
                         tensor->name, tensor->dtype);
    }
    if (!coti_shape_elements(&tensor->shape, 1, &elements) ||
        !coti_size_mul(elements, element_bits, &bits) || bits % 8 != 0) {
        return fail_tensor(file, tensor, "the shape makes no whole number of bytes below 2^44");
    }
    tensor->bytes = bits / 8;
    if (tensor->begin > parts->end || parts->end > file->data_bytes ||
        parts->end - tensor->begin != tensor->bytes) {
        return COTI_FAIL(file->context, COT_E_PARSE,
                         "\"%.200s\": tensor \"%.100s\" lies at %lld to %lld, expected %lld bytes "
                         "within the file's %lld",
                         file->path, tensor->name, (long long)tensor->begin, (long long)parts->end,
                         (long long)tensor->bytes, (long long)file->data_bytes);
    }
    return COT_OK;
}

static cot_status add_tensor(coti_safetensors *file, const coti_tensor_entry *tensor) {
    if (coti_safetensors_find(file, tensor->name) != NULL) {
        return fail_tensor(file, tensor, "the name stands there twice");
    }
    if (file->tensor.count >= MOST_TENSORS) {
        return fail_tensor(file, tensor, "there are more than 1000000 tensors");
    }
    COTI_TRY(coti_vec_reserve(file->context, &file->tensor, file->tensor.count + 1));
    COTI_TRY(coti_map_add(&file->by_name, hash_name(tensor->name), (uint32_t)file->tensor.count));
    file->tensor.data[file->tensor.count++] = *tensor;
    return COT_OK;
}

static cot_status read_tensor(coti_json *json, coti_safetensors *file, coti_str *text) {
    coti_tensor_entry tensor = {.name = coti_arena_strdup(&file->arena, coti_str_text(text))};
    entry_parts parts = {0};
    if (tensor.name == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(coti_json_enter(json, '{'));
    for (bool more = true;;) {
        COTI_TRY(coti_json_key(json, text, &more));
        if (!more) {
            break;
        }
        COTI_TRY(read_part(json, file, &tensor, &parts, text));
    }
    COTI_TRY(check_entry(file, &tensor, &parts));
    return add_tensor(file, &tensor);
}

/* ---- the header ---- */

static cot_status add_metadata(coti_json *json, coti_safetensors *file,
                               const coti_metadata_entry *entry) {
    if (entry->key == NULL || entry->value == NULL) {
        return COT_E_NOMEM;
    }
    if (coti_safetensors_metadata(file, entry->key) != NULL) {
        return coti_json_fail(json, "a key of the metadata stands there twice");
    }
    if (file->metadata.count >= 2 * MOST_TENSORS) {
        return coti_json_fail(json, "there are more than 2000000 metadata");
    }
    COTI_TRY(coti_vec_reserve(file->context, &file->metadata, file->metadata.count + 1));
    COTI_TRY(coti_map_add(&file->by_key, hash_name(entry->key), (uint32_t)file->metadata.count));
    file->metadata.data[file->metadata.count++] = *entry;
    return COT_OK;
}

static cot_status read_metadata(coti_json *json, coti_safetensors *file, coti_str *text) {
    COTI_TRY(coti_json_enter(json, '{'));
    for (bool more = true;;) {
        COTI_TRY(coti_json_key(json, text, &more));
        if (!more) {
            return COT_OK;
        }
        coti_metadata_entry entry = {.key = coti_arena_strdup(&file->arena, coti_str_text(text))};
        COTI_TRY(coti_json_string(json, text));
        entry.value = coti_arena_strdup(&file->arena, coti_str_text(text));
        COTI_TRY(add_metadata(json, file, &entry));
        if (strcmp(entry.key, "checksum") == 0) {
            /* Without escapes, so that it stands in the header as it is. */
            if (strspn(entry.value, "0123456789abcdef") != CHECKSUM_DIGITS ||
                strlen(entry.value) != CHECKSUM_DIGITS ||
                json->at[-1 - CHECKSUM_DIGITS - 1] != '"') {
                return coti_json_fail(json, "a checksum is no 16 hexadecimal digits");
            }
            file->checksum_at = json->at - json->begin - 1 - CHECKSUM_DIGITS;
        }
    }
}

/* What stands behind a key of the header. */
static cot_status read_entry(coti_json *json, coti_safetensors *file, coti_str *text,
                             bool *has_metadata) {
    if (strcmp(coti_str_text(text), "__metadata__") != 0) {
        return read_tensor(json, file, text);
    }
    if (*has_metadata) {
        return coti_json_fail(json, "__metadata__ stands there twice");
    }
    *has_metadata = true;
    return read_metadata(json, file, text);
}

static cot_status read_entries(coti_json *json, coti_safetensors *file, coti_str *text) {
    bool more = true, has_metadata = false;
    COTI_TRY(coti_json_enter(json, '{'));
    COTI_TRY(coti_json_key(json, text, &more));
    while (more) {
        COTI_TRY(read_entry(json, file, text, &has_metadata));
        COTI_TRY(coti_json_key(json, text, &more));
    }
    return coti_json_end(json);
}

uint64_t coti_safetensors_checksum(const char *header, size_t bytes, int64_t checksum_at) {
    static const char zeros[] = "0000000000000000";
    size_t at = (size_t)checksum_at;
    uint64_t hash = coti_hash(bytes, header, at);
    hash = coti_hash(hash, zeros, CHECKSUM_DIGITS);
    return coti_hash(hash, header + at + CHECKSUM_DIGITS, bytes - at - CHECKSUM_DIGITS);
}

static bool is_checksum(const char *text, uint64_t checksum) {
    char digits[CHECKSUM_DIGITS + 1];
    (void)snprintf(digits, sizeof digits, "%016" PRIx64, checksum);
    return strcmp(digits, text) == 0;
}

static cot_status check_header(const coti_safetensors *file, const char *header) {
    const char *found = coti_safetensors_metadata(file, "checksum");
    if (found == NULL) {
        return coti_safetensors_metadata(file, "cotangent") == NULL
                   ? COT_OK
                   : COTI_FAIL(file->context, COT_E_PARSE,
                               "\"%.200s\" is damaged: its header has no checksum", file->path);
    }
    uint64_t checksum =
        coti_safetensors_checksum(header, (size_t)file->header_bytes, file->checksum_at);
    return is_checksum(found, checksum)
               ? COT_OK
               : COTI_FAIL(file->context, COT_E_PARSE,
                           "\"%.200s\" is damaged: the header's checksum is %016" PRIx64
                           ", expected %s",
                           file->path, checksum, found);
}

static int by_place(const void *a, const void *b) {
    const coti_tensor_entry *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* One behind the other, without holes, to the file's end. Also brings them into that order. */
static cot_status check_places(coti_safetensors *file) {
    int64_t end = 0;
    if (file->tensor.count > 0) {
        qsort(file->tensor.data, file->tensor.count, sizeof *file->tensor.data, by_place);
    }
    coti_map_free(&file->by_name);
    for (size_t i = 0; i < file->tensor.count; i++) {
        const coti_tensor_entry *tensor = &file->tensor.data[i];
        if (tensor->begin != end) {
            return COTI_FAIL(file->context, COT_E_PARSE,
                             "\"%.200s\": tensor \"%.100s\" begins at %lld, expected %lld",
                             file->path, tensor->name, (long long)tensor->begin, (long long)end);
        }
        end += tensor->bytes;
        COTI_TRY(coti_map_add(&file->by_name, hash_name(tensor->name), (uint32_t)i));
    }
    return end == file->data_bytes
               ? COT_OK
               : COTI_FAIL(file->context, COT_E_PARSE,
                           "\"%.200s\" has %lld bytes of data, its tensors have %lld", file->path,
                           (long long)file->data_bytes, (long long)end);
}

static cot_status parse_header(coti_safetensors *file, const char *header) {
    coti_json json;
    coti_str text;
    coti_str_init(&text, file->context);
    coti_json_init(&json, file->context, file->path, header, (size_t)file->header_bytes);
    cot_status status = read_entries(&json, file, &text);
    coti_str_free(&text);
    if (status == COT_OK) {
        status = check_header(file, header);
    }
    return status == COT_OK ? check_places(file) : status;
}

/* ---- the file ---- */

/* Exactly so many bytes from a place. */
static cot_status read_at(const coti_safetensors *file, void *data, int64_t bytes, int64_t at,
                          const char *what) {
    char *to = data;
    while (bytes > 0) {
        ssize_t n = pread(file->fd, to, (size_t)bytes, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return COTI_FAIL(file->context, COT_E_IO, "\"%.300s\" cannot be read: %s", file->path,
                             strerror(errno));
        }
        if (n == 0) {
            return COTI_FAIL(file->context, COT_E_PARSE,
                             "\"%.200s\" ends within its %s: %lld bytes are missing", file->path,
                             what, (long long)bytes);
        }
        to += n;
        at += n;
        bytes -= n;
    }
    return COT_OK;
}

static cot_status read_lengths(coti_safetensors *file) {
    struct stat facts = {0};
    unsigned char length[8] = {0};
    uint64_t header = 0;
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &facts) != 0) {
        return COTI_FAIL(file->context, COT_E_IO, "\"%.300s\" cannot be opened: %s", file->path,
                         strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return COTI_FAIL(file->context, COT_E_IO, "\"%.300s\" is no regular file", file->path);
    }
    COTI_TRY(read_at(file, length, sizeof length, 0, "header's length"));
    for (int i = 8; i-- > 0;) {
        header = header << 8 | length[i];
    }
    int64_t left = facts.st_size - 8;
    if (header > (uint64_t)MOST_HEADER_BYTES || (int64_t)header > left) {
        return COTI_FAIL(file->context, COT_E_PARSE,
                         "\"%.200s\" is no safetensors file: its header has %llu bytes, expected "
                         "at most %lld",
                         file->path, (unsigned long long)header,
                         (long long)(left < MOST_HEADER_BYTES ? left : MOST_HEADER_BYTES));
    }
    file->header_bytes = (int64_t)header;
    file->data_bytes = left - file->header_bytes;
    return COT_OK;
}

static cot_status read_header(coti_safetensors *file) {
    COTI_TRY(read_lengths(file));
    char *header = coti_alloc(file->context, (size_t)file->header_bytes);
    if (header == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = read_at(file, header, file->header_bytes, 8, "header");
    if (status == COT_OK) {
        status = parse_header(file, header);
    }
    coti_free(file->context, header);
    return status;
}

cot_status coti_safetensors_open(cot_context *context, const char *path,
                                 coti_safetensors **file_out) {
    *file_out = NULL;
    coti_safetensors *file = coti_calloc(context, 1, sizeof *file);
    if (file == NULL) {
        return COT_E_NOMEM;
    }
    file->context = context;
    file->fd = -1;
    coti_arena_init(&file->arena, context);
    coti_map_init(&file->by_name, context);
    coti_map_init(&file->by_key, context);
    file->path = coti_arena_strdup(&file->arena, path);
    cot_status status = file->path != NULL ? read_header(file) : COT_E_NOMEM;
    if (status != COT_OK) {
        coti_safetensors_close(file);
        return status;
    }
    *file_out = file;
    return COT_OK;
}

void coti_safetensors_close(coti_safetensors *file) {
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    coti_vec_free(file->context, &file->tensor);
    coti_vec_free(file->context, &file->metadata);
    coti_map_free(&file->by_name);
    coti_map_free(&file->by_key);
    coti_free(file->context, file->data);
    coti_arena_clear(&file->arena);
    coti_free(file->context, file);
}

/* ---- data ---- */

static cot_status check_data(const coti_safetensors *file, const coti_tensor_entry *tensor,
                             coti_str *key) {
    coti_str_clear(key);
    coti_str_printf(key, "checksum %s", tensor->name);
    COTI_TRY(coti_str_status(key));
    const char *expected = coti_safetensors_metadata(file, coti_str_text(key));
    if (expected == NULL) {
        return file->checksum_at == 0 ? COT_OK : fail_tensor(file, tensor, "it has no checksum");
    }
    uint64_t checksum = coti_hash(0, coti_safetensors_data(file, tensor), (size_t)tensor->bytes);
    return is_checksum(expected, checksum)
               ? COT_OK
               : COTI_FAIL(file->context, COT_E_PARSE,
                           "\"%.200s\": tensor \"%.100s\" is damaged: its checksum is %016" PRIx64
                           ", expected %.16s",
                           file->path, tensor->name, checksum, expected);
}

cot_status coti_safetensors_load(coti_safetensors *file) {
    coti_str key;
    if (file->data == NULL) {
        file->data = coti_alloc(file->context, (size_t)file->data_bytes);
    }
    if (file->data == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(read_at(file, file->data, file->data_bytes, 8 + file->header_bytes, "data"));
    coti_str_init(&key, file->context);
    cot_status status = COT_OK;
    for (size_t i = 0; status == COT_OK && i < file->tensor.count; i++) {
        status = check_data(file, &file->tensor.data[i], &key);
    }
    coti_str_free(&key);
    return status;
}

cot_status coti_safetensors_check(const coti_safetensors *file, const coti_tensor_entry *tensor,
                                  cot_dtype dtype, const cot_shape *shape) {
    bool same = strcmp(tensor->dtype, coti_safetensors_dtype(dtype)) == 0 &&
                tensor->shape.rank == shape->rank;
    for (int32_t i = 0; same && i < shape->rank; i++) {
        same = tensor->shape.dim[i] == shape->dim[i];
    }
    if (same) {
        return COT_OK;
    }
    char expected[COTI_TYPE_BYTES], found[COTI_TYPE_BYTES];
    coti_type_text(expected, dtype, shape);
    const char *extents = strchr(coti_type_text(found, COT_F32, &tensor->shape), '[');
    return COTI_FAIL(file->context, COT_E_PARSE,
                     "\"%.200s\": tensor \"%.100s\" is %s%s, expected %s%s", file->path,
                     tensor->name, tensor->dtype, extents, coti_safetensors_dtype(dtype),
                     strchr(expected, '['));
}
