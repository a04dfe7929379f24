/*
 * IDX files, as MNIST and Fashion-MNIST come: two zero bytes, a type, a rank, the extents (32 bits,
 * big-endian), then the elements, big-endian. Nothing is believed: the header's promise is checked
 * against the cap and against what the file can hold before memory is taken, and the file must end
 * where it says.
 */
#include "frontend/data/dataset.h"
#include "frontend/data/file.h"
#include "frontend/data/mapped.h"
#include "frontend/layers/layer.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { IDX_MAX_RANK = 8 };
#define DEFAULT_MAX_BYTES (INT64_C(8) << 30)

/* X(type byte, bytes in the file, dtype in memory) */
#define IDX_TYPE_LIST(X)                                                                           \
    X(0x08, 1, COT_U8)                                                                             \
    X(0x09, 1, COT_I32)                                                                            \
    X(0x0B, 2, COT_I32)                                                                            \
    X(0x0C, 4, COT_I32)                                                                            \
    X(0x0D, 4, COT_F32)                                                                            \
    X(0x0E, 8, COT_F64)

typedef struct idx_header {
    int32_t type, file_bytes; /* of one element */
    cot_dtype dtype;
    int64_t n_rows, row_elements;
} idx_header;

static uint64_t big_endian(const unsigned char *data, int32_t bytes) {
    uint64_t value = 0;
    for (int32_t i = 0; i < bytes; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

static bool find_type(int32_t type, idx_header *header) {
    switch (type) {
#define ROW(byte, bytes, in_memory)                                                                \
    case byte:                                                                                     \
        *header = (idx_header){.type = byte, .file_bytes = bytes, .dtype = in_memory};             \
        return true;
        IDX_TYPE_LIST(ROW)
#undef ROW
    default:
        return false;
    }
}

/* The first four bytes. */
static cot_status read_magic(cot_context *context, const char *path, const unsigned char *magic,
                             idx_header *header) {
    if (magic[0] != 0 || magic[1] != 0 || !find_type(magic[2], header)) {
        return COTI_FAIL(context, COT_E_PARSE,
                         "\"%s\" is no IDX file: it begins with %02x %02x %02x %02x", path,
                         magic[0], magic[1], magic[2], magic[3]);
    }
    if (magic[3] < 1 || magic[3] > IDX_MAX_RANK) {
        return COTI_FAIL(context, COT_E_PARSE, "\"%s\" has rank %d, expected 1 to %d", path,
                         magic[3], IDX_MAX_RANK);
    }
    return COT_OK;
}

/* The extents, four bytes each. */
static cot_status read_extents(cot_context *context, const char *path, const unsigned char *extent,
                               int32_t rank, idx_header *header) {
    header->n_rows = (int64_t)big_endian(extent, 4);
    header->row_elements = 1;
    for (int32_t i = 1; i < rank; i++) {
        if (!coti_size_mul(header->row_elements, (int64_t)big_endian(extent + 4 * i, 4),
                           &header->row_elements)) {
            return COTI_FAIL(context, COT_E_PARSE, "\"%s\": a row has more than 2^47 elements",
                             path);
        }
    }
    return header->row_elements > 0
               ? COT_OK
               : COTI_FAIL(context, COT_E_PARSE, "\"%s\": a row has no elements", path);
}

static cot_status read_header(cot_context *context, const char *path, coti_file *file,
                              idx_header *header) {
    unsigned char magic[4] = {0}, extent[4 * IDX_MAX_RANK] = {0};
    COTI_TRY(coti_file_read(file, magic, sizeof magic, "header"));
    COTI_TRY(read_magic(context, path, magic, header));
    COTI_TRY(coti_file_read(file, extent, 4 * (int64_t)magic[3], "header"));
    return read_extents(context, path, extent, magic[3], header);
}

/* Check the promised size; elements_out: of the whole file. */
static cot_status check_size(cot_context *context, const char *path, const coti_file *file,
                             const idx_header *header, int64_t max_bytes, int64_t *elements_out) {
    int64_t memory = 0, stored = 0;
    if (!coti_size_mul(header->n_rows, header->row_elements, elements_out) ||
        !coti_size_mul(*elements_out, (int64_t)cot_dtype_bytes(header->dtype), &memory) ||
        !coti_size_mul(*elements_out, header->file_bytes, &stored) || memory > max_bytes) {
        return COTI_FAIL(
            context, COT_E_PARSE, "\"%s\": %lld rows of %lld elements are more than %lld bytes",
            path, (long long)header->n_rows, (long long)header->row_elements, (long long)max_bytes);
    }
    if (stored > coti_file_bound(file)) {
        return COTI_FAIL(context, COT_E_PARSE,
                         "\"%s\" is too short for %lld rows of %lld elements: it holds at most "
                         "%lld bytes after its header",
                         path, (long long)header->n_rows, (long long)header->row_elements,
                         (long long)coti_file_bound(file));
    }
    return COT_OK;
}

/* One element's value in memory from its bytes in the file. */
static void decode(const idx_header *header, const unsigned char *from, unsigned char *to) {
    uint64_t bits = big_endian(from, header->file_bytes);
    if (header->dtype == COT_F64) {
        memcpy(to, &bits, sizeof bits);
        return;
    }
    uint32_t word = (uint32_t)bits;
    if (header->type == 0x09) {
        word = (uint32_t)(int32_t)(int8_t)bits;
    } else if (header->type == 0x0B) {
        word = (uint32_t)(int32_t)(int16_t)bits;
    }
    memcpy(to, &word, sizeof word);
}

/*
 * The elements stand at the end of the block, as in the file, and are decoded from the front: an
 * element in memory is never smaller than in the file, so none is overwritten before it was read.
 */
static cot_status read_elements(coti_file *file, const idx_header *header, int64_t elements,
                                coti_block *block) {
    int64_t stored = elements * header->file_bytes;
    int64_t step = (int64_t)cot_dtype_bytes(header->dtype);
    unsigned char *from = block->data + (block->bytes - stored), *to = block->data;
    COTI_TRY(coti_file_read(file, from, stored, "data"));
    COTI_TRY(coti_file_expect_end(file));
    for (int64_t i = 0; header->dtype != COT_U8 && i < elements; i++) {
        unsigned char element[8];
        memcpy(element, from + i * header->file_bytes, (size_t)header->file_bytes);
        decode(header, element, to + i * step);
    }
    return COT_OK;
}

/* A whole file as a column with a block of its own. */
static cot_status read_column(cot_context *context, const char *path, int64_t max_bytes,
                              coti_column *column) {
    coti_file *file = NULL;
    idx_header header = {0};
    int64_t elements = 0;
    COTI_TRY(coti_file_open(context, path, &file));
    cot_status status = read_header(context, path, file, &header);
    if (status == COT_OK) {
        status = check_size(context, path, file, &header, max_bytes, &elements);
    }
    if (status == COT_OK) {
        int64_t step = (int64_t)cot_dtype_bytes(header.dtype);
        *column = (coti_column){.array = {.dtype = header.dtype,
                                          .n_rows = header.n_rows,
                                          .row_elements = header.row_elements,
                                          .row_bytes = header.row_elements * step,
                                          .scale = 1.0f},
                                .block = coti_block_create(context, elements * step)};
        status = column->block != NULL ? read_elements(file, &header, elements, column->block)
                                       : COT_E_NOMEM;
    }
    coti_file_close(file);
    if (status == COT_OK) {
        column->array.data = column->block->data;
    } else {
        coti_block_release(column->block);
        column->block = NULL;
    }
    return status;
}

/* ---- mapped ---- */

cot_status coti_idx_map(cot_context *context, const char *path, const unsigned char *file,
                        int64_t bytes, cot_array *array) {
    idx_header header = {0};
    if (bytes < 4) {
        return COTI_FAIL(context, COT_E_PARSE, "\"%s\" ends within its header, at byte %lld", path,
                         (long long)bytes);
    }
    COTI_TRY(read_magic(context, path, file, &header));
    const int64_t begin = 4 + 4 * (int64_t)file[3];
    int64_t promised = 0;
    if (bytes < begin) {
        return COTI_FAIL(context, COT_E_PARSE, "\"%s\" ends within its header, at byte %lld", path,
                         (long long)bytes);
    }
    COTI_TRY(read_extents(context, path, file + 4, file[3], &header));
    if (header.dtype != COT_U8) {
        return COTI_FAIL(context, COT_E_UNSUPPORTED,
                         "\"%s\" has elements of type 0x%02x, expected unsigned bytes, 0x08: the "
                         "others are big-endian and must be read (cot_dataset_read_idx)",
                         path, (unsigned)header.type);
    }
    if (!coti_size_mul(header.n_rows, header.row_elements, &promised) ||
        promised != bytes - begin) {
        return COTI_FAIL(context, COT_E_PARSE,
                         "\"%s\": its header promises %lld rows of %lld bytes, found %lld bytes "
                         "after the header",
                         path, (long long)header.n_rows, (long long)header.row_elements,
                         (long long)(bytes - begin));
    }
    *array = (cot_array){.data = file + begin,
                         .dtype = COT_U8,
                         .n_rows = header.n_rows,
                         .row_elements = header.row_elements,
                         .row_bytes = header.row_elements};
    return COT_OK;
}

/* ---- options, data sets ---- */

cot_status coti_read_options(cot_context *context, const char *function,
                             const cot_read_options *given, cot_read_options *out) {
    static const cot_read_options none = COT_READ_OPTIONS_INIT;
    COTI_TRY(coti_options_copy(context, function, given != NULL ? given : &none, out, sizeof *out));
    if (out->max_bytes < 0) {
        return COTI_FAIL(context, COT_E_ARG, "%s: max_bytes is %lld, expected 0 or more", function,
                         (long long)out->max_bytes);
    }
    if (!(fabs(out->scale) <= FLT_MAX) || !(fabs(out->offset) <= FLT_MAX)) {
        return COTI_FAIL(context, COT_E_ARG, "%s: scale is %g and offset %g, expected floats",
                         function, out->scale, out->offset);
    }
    out->max_bytes = out->max_bytes == 0 ? DEFAULT_MAX_BYTES : out->max_bytes;
    out->scale = out->scale == 0.0 ? 1.0 / 255.0 : out->scale;
    return COT_OK;
}

cot_dataset *cot_dataset_read_idx(cot_context *context, const char *inputs_path,
                                  const char *targets_path, const cot_read_options *options) {
    if (context == NULL) {
        return NULL;
    }
    cot_read_options own;
    coti_column column[2] = {{.block = NULL}, {.block = NULL}};
    cot_dataset *dataset = NULL;
    if (coti_read_options(context, "cot_dataset_read_idx", options, &own) != COT_OK ||
        read_column(context, inputs_path, own.max_bytes, &column[0]) != COT_OK) {
        return NULL;
    }
    if (column[0].array.dtype == COT_U8) {
        column[0].array.scale = (float)own.scale;
        column[0].array.offset = (float)own.offset;
    }
    if (targets_path == NULL) {
        dataset = coti_dataset_make(context, column, 1, 0);
    } else if (read_column(context, targets_path, own.max_bytes, &column[1]) == COT_OK) {
        if (column[0].array.n_rows == column[1].array.n_rows) {
            dataset = coti_dataset_make(context, column, 1, 1);
        } else {
            COTI_FAIL(context, COT_E_SHAPE, "\"%s\" has %lld rows, \"%s\" has %lld", inputs_path,
                      (long long)column[0].array.n_rows, targets_path,
                      (long long)column[1].array.n_rows);
        }
    }
    coti_block_release(column[0].block);
    coti_block_release(column[1].block);
    return dataset;
}
