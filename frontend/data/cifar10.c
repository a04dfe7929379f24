/*
 * CIFAR-10's binary batches: records of a label and three planes of 32 rows of 32 pixels, red,
 * green, blue. A record becomes 32 x 32 x 3 pixels, channels last, as Keras loads and flattens
 * them.
 */
#include "frontend/data/dataset.h"
#include "frontend/data/file.h"
#include "frontend/layers/layer.h"

#include <string.h>

enum {
    PIXELS = 32 * 32,
    CHANNELS = 3,
    ROW_BYTES = PIXELS * CHANNELS,
    RECORD_BYTES = 1 + ROW_BYTES,
    N_CLASSES = 10
};

/* Where records go; grows when gzip hides how many there are. */
typedef struct batches {
    cot_context *context;
    int64_t max_rows;
    coti_block *pixels, *labels;
    int64_t n_rows, capacity;
} batches;

static cot_status grow_block(batches *b, coti_block **block, int64_t used, int64_t bytes) {
    coti_block *larger = coti_block_create(b->context, bytes);
    if (larger == NULL) {
        return COT_E_NOMEM;
    }
    if (*block != NULL) {
        memcpy(larger->data, (*block)->data, (size_t)used);
    }
    coti_block_release(*block);
    *block = larger;
    return COT_OK;
}

static cot_status reserve(batches *b, const char *path, int64_t n_rows) {
    if (n_rows > b->max_rows) {
        return COTI_FAIL(b->context, COT_E_PARSE,
                         "\"%s\": the records up to here are more than %lld bytes", path,
                         (long long)b->max_rows * ROW_BYTES);
    }
    if (n_rows <= b->capacity) {
        return COT_OK;
    }
    int64_t capacity = 2 * b->capacity < n_rows ? n_rows : 2 * b->capacity;
    capacity = capacity > b->max_rows ? b->max_rows : capacity;
    COTI_TRY(grow_block(b, &b->pixels, b->n_rows * ROW_BYTES, capacity * ROW_BYTES));
    COTI_TRY(grow_block(b, &b->labels, b->n_rows, capacity));
    b->capacity = capacity;
    return COT_OK;
}

static void store(batches *b, const unsigned char *record) {
    unsigned char *pixel = b->pixels->data + b->n_rows * ROW_BYTES;
    b->labels->data[b->n_rows++] = record[0];
    for (int32_t i = 0; i < PIXELS; i++) {
        for (int32_t c = 0; c < CHANNELS; c++) {
            pixel[i * CHANNELS + c] = record[1 + c * PIXELS + i];
        }
    }
}

static cot_status read_record(batches *b, const char *path, coti_file *file, int64_t i_record) {
    unsigned char record[RECORD_BYTES];
    COTI_TRY(coti_file_read(file, record, sizeof record, "last record"));
    if (record[0] >= N_CLASSES) {
        return COTI_FAIL(b->context, COT_E_DATA,
                         "\"%s\": the label of record %lld is %d, expected 0 to %d", path,
                         (long long)i_record, record[0], N_CLASSES - 1);
    }
    COTI_TRY(reserve(b, path, b->n_rows + 1));
    COTI_ASSERT(b->context, b->pixels != NULL && b->labels != NULL);
    store(b, record);
    return COT_OK;
}

static cot_status read_records(batches *b, const char *path, coti_file *file) {
    int64_t bytes = coti_file_bound(file);
    if (!coti_file_is_gzip(file)) {
        if (bytes == 0 || bytes % RECORD_BYTES != 0) {
            return COTI_FAIL(b->context, COT_E_PARSE,
                             "\"%s\" has %lld bytes, expected a multiple of %d", path,
                             (long long)bytes, RECORD_BYTES);
        }
        COTI_TRY(reserve(b, path, b->n_rows + bytes / RECORD_BYTES));
    }
    bool more = true;
    for (int64_t i = 0; more; i++) {
        COTI_TRY(read_record(b, path, file, i));
        COTI_TRY(coti_file_more(file, &more));
    }
    return COT_OK;
}

static cot_status read_batch(batches *b, const char *path) {
    coti_file *file = NULL;
    COTI_TRY(coti_file_open(b->context, path, &file));
    cot_status status = read_records(b, path, file);
    coti_file_close(file);
    return status;
}

static cot_dataset *make(const batches *b, const cot_read_options *options) {
    coti_column column[2] = {{.array = {.data = b->pixels->data,
                                        .dtype = COT_U8,
                                        .n_rows = b->n_rows,
                                        .row_elements = ROW_BYTES,
                                        .row_bytes = ROW_BYTES,
                                        .scale = (float)options->scale,
                                        .offset = (float)options->offset},
                              .block = b->pixels},
                             {.array = {.data = b->labels->data,
                                        .dtype = COT_U8,
                                        .n_rows = b->n_rows,
                                        .row_elements = 1,
                                        .row_bytes = 1,
                                        .scale = 1.0f},
                              .block = b->labels}};
    return coti_dataset_make(b->context, column, 1, 1);
}

cot_dataset *cot_dataset_read_cifar10(cot_context *context, const char *const *paths,
                                      int32_t n_paths, const cot_read_options *options) {
    if (context == NULL) {
        return NULL;
    }
    cot_read_options own;
    if (coti_read_options(context, "cot_dataset_read_cifar10", options, &own) != COT_OK) {
        return NULL;
    }
    if (paths == NULL || n_paths < 1) {
        COTI_FAIL(context, COT_E_ARG, "cot_dataset_read_cifar10: no paths are given");
        return NULL;
    }
    batches b = {.context = context, .max_rows = own.max_bytes / ROW_BYTES};
    cot_status status = COT_OK;
    for (int32_t i = 0; i < n_paths && status == COT_OK; i++) {
        status = read_batch(&b, paths[i]);
    }
    cot_dataset *dataset = status == COT_OK ? make(&b, &own) : NULL;
    coti_block_release(b.pixels);
    coti_block_release(b.labels);
    return dataset;
}
