/*
 * Mapped files (mapped.h), and data sets made of them.
 *
 *     cot_file -> map -> .npy, IDX or rows as described -> a column that borrows from the mapping
 *
 * A mapping is a block like any other: slices share it, the last of them unmaps it.
 */
#include "frontend/data/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- mapping ---- */

static cot_status fail_errno(cot_context *context, const char *path, const char *what) {
    return COTI_FAIL(context, COT_E_IO, "\"%s\" cannot be %s: %s", path, what, strerror(errno));
}

/* A block without data; the mapping is to be filled in. */
static cot_status map_open_file(cot_context *context, const char *path, int fd, coti_block *block) {
    struct stat facts = {0};
    if (fstat(fd, &facts) != 0) {
        return fail_errno(context, path, "opened");
    }
    if (!S_ISREG(facts.st_mode)) {
        return COTI_FAIL(context, COT_E_IO, "\"%s\" is no regular file", path);
    }
    if (facts.st_size == 0) {
        return COTI_FAIL(context, COT_E_PARSE, "\"%s\" is empty", path);
    }
    if (facts.st_size > COTI_SIZE_MAX) {
        return COTI_FAIL(context, COT_E_IO, "\"%s\" has %lld bytes, expected at most 2^47", path,
                         (long long)facts.st_size);
    }
    void *mapping = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
        return fail_errno(context, path, "mapped");
    }
    block->mapping = mapping;
    block->bytes = facts.st_size;
    return COT_OK;
}

cot_status coti_map_file(cot_context *context, const char *path, coti_block **block_out) {
    *block_out = NULL;
    if (path == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "the path of a data file is NULL");
    }
    coti_block *block = coti_block_create(context, 0);
    if (block == NULL) {
        return COT_E_NOMEM;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    cot_status status =
        fd < 0 ? fail_errno(context, path, "opened") : map_open_file(context, path, fd, block);
    if (fd >= 0) {
        close(fd); /* the mapping stays */
    }
    if (status != COT_OK) {
        coti_block_release(block);
        return status;
    }
    *block_out = block;
    return COT_OK;
}

/* ---- advice ---- */

int coti_map_advice(coti_access access, int64_t bytes, int64_t memory_bytes) {
    switch (access) {
    case COTI_ACCESS_IN_ORDER:
        break;
    case COTI_ACCESS_ONCE:
        return MADV_SEQUENTIAL;
    case COTI_ACCESS_SHUFFLED:
        return bytes > memory_bytes / 2 ? MADV_RANDOM : MADV_NORMAL;
    }
    return MADV_NORMAL;
}

/* Advice is a favour: that it is refused changes nothing. */
void coti_dataset_advise(const cot_dataset *dataset, coti_access access) {
    const int32_t n = dataset != NULL ? dataset->n_inputs + dataset->n_targets : 0;
    int64_t bytes = 0;
    for (int32_t i = 0; i < n; i++) {
        const coti_block *block = dataset->column[i].block;
        bytes += block != NULL && block->mapping != NULL ? block->bytes : 0;
    }
    const int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    const int advice = coti_map_advice(access, bytes, memory);
    for (int32_t i = 0; i < n; i++) {
        const coti_block *block = dataset->column[i].block;
        if (block != NULL && block->mapping != NULL) {
            (void)madvise(block->mapping, (size_t)block->bytes, advice);
        }
    }
}

/* ---- rows as described ---- */

static bool has_element(cot_dtype dtype) {
    switch (dtype) {
    case COT_F32:
    case COT_F64:
    case COT_I32:
    case COT_I64:
    case COT_U8:
        return true;
    case COT_BOOL:
        break;
    }
    return false;
}

static cot_status check_description(cot_context *context, const cot_file *file, int64_t *row_out,
                                    int64_t *distance_out) {
    if (!has_element(file->dtype)) {
        return COTI_FAIL(context, COT_E_DTYPE,
                         "\"%s\": rows of %s are asked for, expected f32, f64, i32, i64 or u8",
                         file->path, cot_dtype_name(file->dtype));
    }
    const int64_t element = (int64_t)cot_dtype_bytes(file->dtype);
    if (file->row_elements < 0 || !coti_size_mul(file->row_elements, element, row_out)) {
        return COTI_FAIL(context, COT_E_ARG, "\"%s\": rows of %lld elements are asked for",
                         file->path, (long long)file->row_elements);
    }
    *distance_out = file->row_bytes == 0 ? *row_out : file->row_bytes;
    if (*distance_out < *row_out || *distance_out % element != 0 || file->header_bytes < 0 ||
        file->header_bytes % element != 0 || file->n_rows < 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "\"%s\": %lld rows %lld bytes apart from byte %lld on are asked for, "
                         "expected 0 or more, %lld bytes or more apart, all multiples of %lld",
                         file->path, (long long)file->n_rows, (long long)*distance_out,
                         (long long)file->header_bytes, (long long)*row_out, (long long)element);
    }
    return COT_OK;
}

/* Rows that are there; what is left after the last may be the space between rows, no more. */
static cot_status count_rows(cot_context *context, const cot_file *file, int64_t bytes, int64_t row,
                             int64_t distance, int64_t *rows_out) {
    const int64_t there = bytes - file->header_bytes;
    const int64_t n = there >= row ? (there - row) / distance + 1 : 0;
    const int64_t left = n > 0 ? there - (n - 1) * distance - row : there;
    if (there < 0 || file->n_rows > n) {
        return COTI_FAIL(
            context, COT_E_PARSE,
            "\"%s\": %lld rows of %lld bytes from byte %lld on are asked for, the file "
            "has %lld bytes: %lld rows",
            file->path, (long long)file->n_rows, (long long)row, (long long)file->header_bytes,
            (long long)bytes, (long long)n);
    }
    if (file->n_rows == 0 && left > distance - row) {
        return COTI_FAIL(context, COT_E_PARSE,
                         "\"%s\": %lld bytes from byte %lld on are no whole number of rows of %lld "
                         "bytes",
                         file->path, (long long)there, (long long)file->header_bytes,
                         (long long)distance);
    }
    *rows_out = file->n_rows > 0 ? file->n_rows : n;
    return COT_OK;
}

static cot_status describe_rows(cot_context *context, const cot_file *file, const coti_block *block,
                                cot_array *array) {
    int64_t row = 0, distance = 0, n_rows = 0;
    COTI_TRY(check_description(context, file, &row, &distance));
    COTI_TRY(count_rows(context, file, block->bytes, row, distance, &n_rows));
    *array = (cot_array){.data = (const unsigned char *)block->mapping + file->header_bytes,
                         .dtype = file->dtype,
                         .n_rows = n_rows,
                         .row_elements = file->row_elements,
                         .row_bytes = distance};
    return COT_OK;
}

/* ---- columns ---- */

static cot_status read_self_described(cot_context *context, const cot_file *file,
                                      const coti_block *block, cot_array *array) {
    const unsigned char *data = block->mapping;
    if (coti_npy_is(data, block->bytes)) {
        return coti_npy_read(context, file->path, data, block->bytes, array);
    }
    if (block->bytes >= 2 && data[0] == 0 && data[1] == 0) {
        return coti_idx_map(context, file->path, data, block->bytes, array);
    }
    const bool gzip = block->bytes >= 2 && data[0] == 0x1f && data[1] == 0x8b;
    return COTI_FAIL(context, gzip ? COT_E_UNSUPPORTED : COT_E_PARSE,
                     "\"%s\" is %s, expected .npy, IDX or a number of row_elements", file->path,
                     gzip ? "compressed, which cannot be mapped" : "no file that describes itself");
}

/* On success the column owns the mapping. */
static cot_status map_column(cot_context *context, const cot_file *file, coti_column *column) {
    coti_block *block = NULL;
    COTI_TRY(coti_map_file(context, file->path, &block));
    cot_status status = file->row_elements != 0
                            ? describe_rows(context, file, block, &column->array)
                            : read_self_described(context, file, block, &column->array);
    if (status != COT_OK) {
        coti_block_release(block);
        return status;
    }
    column->array.scale = file->scale;
    column->array.offset = file->offset;
    column->block = block;
    return COT_OK;
}

static cot_status map_columns(cot_context *context, const char *what, cot_file_list list,
                              int64_t *n_rows, coti_column *column) {
    for (int32_t i = 0; i < list.n; i++) {
        COTI_TRY(map_column(context, &list.file[i], &column[i]));
        COTI_TRY(coti_check_column(context, what, i, n_rows, &column[i]));
    }
    return COT_OK;
}

static bool is_list(cot_file_list list) {
    return list.n >= 0 && (list.n == 0 || list.file != NULL);
}

cot_dataset *cot_dataset_map(cot_context *context, cot_file_list inputs, cot_file_list targets) {
    if (context == NULL) {
        return NULL;
    }
    if (!is_list(inputs) || inputs.n < 1 || !is_list(targets)) {
        COTI_FAIL(context, COT_E_ARG,
                  "cot_dataset_map: %d files of inputs and %d of targets, expected one or more of "
                  "inputs",
                  inputs.file != NULL ? (int)inputs.n : 0,
                  targets.file != NULL ? (int)targets.n : 0);
        return NULL;
    }
    const size_t n = (size_t)inputs.n + (size_t)targets.n;
    coti_column *column = coti_calloc(context, n, sizeof *column);
    if (column == NULL) {
        return NULL;
    }
    cot_dataset *dataset = NULL;
    int64_t n_rows = -1;
    if (map_columns(context, "input", inputs, &n_rows, column) == COT_OK &&
        map_columns(context, "target", targets, &n_rows, column + inputs.n) == COT_OK) {
        dataset = coti_dataset_make(context, column, inputs.n, targets.n);
    }
    for (size_t i = 0; i < n; i++) {
        coti_block_release(column[i].block);
    }
    coti_free(context, column);
    return dataset;
}
