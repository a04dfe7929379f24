/* Data sets from arrays, their slices and splits. */
#include "frontend/data/dataset.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

/* ---- blocks ---- */

coti_block *coti_block_create(cot_context *context, int64_t bytes) {
    int64_t whole = 0;
    if (!coti_size_add(bytes, (int64_t)sizeof(coti_block), &whole)) {
        COTI_FAIL(context, COT_E_SHAPE, "data of %lld bytes are too large", (long long)bytes);
        return NULL;
    }
    coti_block *block = coti_alloc_aligned(context, (size_t)whole); /* in huge pages */
    if (block != NULL) {
        block->context = context;
        block->references = 1;
        block->bytes = bytes;
        block->mapping = NULL;
    }
    return block;
}

void coti_block_release(coti_block *block) {
    if (block != NULL && --block->references == 0) {
        if (block->mapping != NULL) {
            (void)munmap(block->mapping, (size_t)block->bytes);
        }
        coti_free_aligned(block->context, block);
    }
}

/* ---- making ---- */

cot_dataset *coti_dataset_make(cot_context *context, const coti_column *column, int32_t n_inputs,
                               int32_t n_targets) {
    size_t n = (size_t)n_inputs + (size_t)n_targets;
    cot_dataset *dataset = coti_calloc(context, 1, sizeof *dataset);
    coti_column *own = coti_calloc(context, n, sizeof *own);
    if (dataset == NULL || own == NULL) {
        coti_free(context, own);
        coti_free(context, dataset);
        return NULL;
    }
    memcpy(own, column, n * sizeof *own);
    for (size_t i = 0; i < n; i++) {
        if (own[i].block != NULL) {
            own[i].block->references++;
        }
    }
    *dataset = (cot_dataset){.context = context,
                             .n_rows = column[0].array.n_rows,
                             .n_inputs = n_inputs,
                             .n_targets = n_targets,
                             .column = own};
    return dataset;
}

cot_dataset *coti_dataset_with_weights(const cot_dataset *dataset, const coti_column *weight,
                                       int32_t n_weights) {
    cot_context *context = dataset->context;
    int32_t n = dataset->n_inputs + dataset->n_targets;
    coti_column *column = coti_calloc(context, (size_t)n + (size_t)n_weights, sizeof *column);
    cot_dataset *result = NULL;
    if (column != NULL) {
        memcpy(column, dataset->column, (size_t)n * sizeof *column);
        for (int32_t i = 0; i < n_weights; i++) {
            column[n + i] = weight[i];
        }
        result =
            coti_dataset_make(context, column, dataset->n_inputs, dataset->n_targets + n_weights);
    }
    coti_free(context, column);
    if (result != NULL) {
        result->n_rows = dataset->n_rows;
        result->n_targets = dataset->n_targets;
        result->n_weights = n_weights;
    }
    return result;
}

cot_dataset *cot_dataset_borrow(cot_context *context, const cot_dataset *dataset) {
    if (context == NULL || dataset == NULL) {
        return NULL;
    }
    int32_t n = coti_dataset_n_columns(dataset);
    coti_column *column = coti_calloc(context, (size_t)n, sizeof *column);
    if (column == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        column[i].array = dataset->column[i].array;
    }
    cot_dataset *result =
        coti_dataset_make(context, column, dataset->n_inputs, n - dataset->n_inputs);
    coti_free(context, column);
    if (result != NULL) {
        result->n_rows = dataset->n_rows;
        result->n_targets = dataset->n_targets;
        result->n_weights = dataset->n_weights;
    }
    return result;
}

void cot_dataset_destroy(cot_dataset *dataset) {
    if (dataset == NULL) {
        return;
    }
    for (int32_t i = 0; i < coti_dataset_n_columns(dataset); i++) {
        coti_block_release(dataset->column[i].block);
    }
    coti_free(dataset->context, dataset->column);
    coti_free(dataset->context, dataset);
}

/* Check one array and fill in its defaults. */
static cot_status complete(cot_context *context, const char *what, int32_t i, cot_array *array) {
    int64_t row = 0, all = 0;
    size_t element = cot_dtype_bytes(array->dtype);
    if (element == 0 || array->dtype == COT_BOOL) {
        return COTI_FAIL(context, COT_E_DTYPE,
                         "data set: %s %d has dtype %s, expected f32, f64, i32, i64 or u8", what,
                         (int)i, cot_dtype_name(array->dtype));
    }
    if (array->n_rows < 0 || array->row_elements < 1 ||
        !coti_size_mul(array->row_elements, (int64_t)element, &row) ||
        !coti_size_mul(row, array->n_rows, &all)) {
        return COTI_FAIL(context, COT_E_SHAPE,
                         "data set: %s %d has %lld rows of %lld elements, expected 0 or more rows "
                         "of 1 or more, 2^47 bytes at most",
                         what, (int)i, (long long)array->n_rows, (long long)array->row_elements);
    }
    if (array->data == NULL && array->n_rows > 0) {
        return COTI_FAIL(context, COT_E_ARG, "data set: the data of %s %d are NULL", what, (int)i);
    }
    array->row_bytes = array->row_bytes == 0 ? row : array->row_bytes;
    if (array->row_bytes < row || !coti_size_mul(array->row_bytes, array->n_rows, &all)) {
        return COTI_FAIL(context, COT_E_SHAPE,
                         "data set: rows of %s %d are %lld bytes apart and %lld bytes long", what,
                         (int)i, (long long)array->row_bytes, (long long)row);
    }
    array->scale = array->scale == 0.0f ? 1.0f : array->scale;
    if (!isfinite(array->scale) || !isfinite(array->offset)) {
        return COTI_FAIL(context, COT_E_ARG,
                         "data set: scale %g or offset %g of %s %d is not "
                         "finite",
                         (double)array->scale, (double)array->offset, what, (int)i);
    }
    return COT_OK;
}

/* Replace borrowed data by a dense copy. */
static cot_status copy_column(cot_context *context, coti_column *column) {
    cot_array *array = &column->array;
    int64_t row = array->row_elements * (int64_t)cot_dtype_bytes(array->dtype);
    column->block = coti_block_create(context, row * array->n_rows);
    if (column->block == NULL) {
        return COT_E_NOMEM;
    }
    for (int64_t i = 0; i < array->n_rows; i++) {
        memcpy(column->block->data + i * row, coti_array_row(array, i), (size_t)row);
    }
    array->data = column->block->data;
    array->row_bytes = row;
    return COT_OK;
}

cot_status coti_check_column(cot_context *context, const char *what, int32_t i, int64_t *n_rows,
                             coti_column *column) {
    COTI_TRY(complete(context, what, i, &column->array));
    *n_rows = *n_rows < 0 ? column->array.n_rows : *n_rows;
    if (column->array.n_rows != *n_rows) {
        return COTI_FAIL(context, COT_E_SHAPE, "data set: %s %d has %lld rows, input 0 has %lld",
                         what, (int)i, (long long)column->array.n_rows, (long long)*n_rows);
    }
    return COT_OK;
}

static cot_status read_columns(cot_context *context, const char *what, cot_array_list list,
                               cot_ownership ownership, int64_t *n_rows, coti_column *column) {
    cot_status status = COT_OK;
    for (int32_t i = 0; status == COT_OK && i < list.n; i++) {
        column[i].array = list.array[i];
        status = coti_check_column(context, what, i, n_rows, &column[i]);
        if (status == COT_OK && ownership == COT_COPY) {
            status = copy_column(context, &column[i]);
        }
    }
    return status;
}

static bool is_list(cot_array_list list) {
    return list.n >= 0 && (list.n == 0 || list.array != NULL);
}

cot_dataset *cot_dataset_create(cot_context *context, cot_array_list inputs, cot_array_list targets,
                                cot_ownership ownership) {
    if (context == NULL) {
        return NULL;
    }
    if (!is_list(inputs) || inputs.n < 1 || !is_list(targets)) {
        COTI_FAIL(
            context, COT_E_ARG, "data set of %d inputs and %d targets: expected one or more inputs",
            inputs.array != NULL ? (int)inputs.n : 0, targets.array != NULL ? (int)targets.n : 0);
        return NULL;
    }
    size_t n = (size_t)inputs.n + (size_t)targets.n;
    coti_column *column = coti_calloc(context, n, sizeof *column);
    if (column == NULL) {
        return NULL;
    }
    cot_dataset *dataset = NULL;
    int64_t n_rows = -1;
    if (read_columns(context, "input", inputs, ownership, &n_rows, column) == COT_OK &&
        read_columns(context, "target", targets, ownership, &n_rows, column + inputs.n) == COT_OK) {
        dataset = coti_dataset_make(context, column, inputs.n, targets.n);
    }
    for (size_t i = 0; i < n; i++) {
        coti_block_release(column[i].block);
    }
    coti_free(context, column);
    return dataset;
}

/* ---- getters ---- */

int64_t cot_dataset_n_rows(const cot_dataset *dataset) {
    return dataset != NULL ? dataset->n_rows : 0;
}

int32_t cot_dataset_n_inputs(const cot_dataset *dataset) {
    return dataset != NULL ? dataset->n_inputs : 0;
}

int32_t cot_dataset_n_targets(const cot_dataset *dataset) {
    return dataset != NULL ? dataset->n_targets : 0;
}

const cot_array *cot_dataset_input(const cot_dataset *dataset, int32_t i) {
    return i >= 0 && i < cot_dataset_n_inputs(dataset) ? &dataset->column[i].array : NULL;
}

const cot_array *cot_dataset_target(const cot_dataset *dataset, int32_t i) {
    return i >= 0 && i < cot_dataset_n_targets(dataset)
               ? &dataset->column[dataset->n_inputs + i].array
               : NULL;
}

int32_t cot_dataset_n_sample_weights(const cot_dataset *dataset) {
    return dataset != NULL ? dataset->n_weights : 0;
}

const cot_array *cot_dataset_sample_weight(const cot_dataset *dataset, int32_t i) {
    return i >= 0 && i < cot_dataset_n_sample_weights(dataset)
               ? &dataset->column[dataset->n_inputs + dataset->n_targets + i].array
               : NULL;
}

int64_t coti_array_integer(const cot_array *array, int64_t row, int64_t k) {
    const unsigned char *data = coti_array_row(array, row);
    if (array->dtype == COT_U8) {
        return data[k];
    }
    if (array->dtype == COT_I32) {
        int32_t value = 0;
        memcpy(&value, data + k * 4, sizeof value);
        return value;
    }
    int64_t value = 0;
    memcpy(&value, data + k * 8, sizeof value);
    return value;
}

/* ---- slices ---- */

cot_dataset *cot_dataset_slice(const cot_dataset *dataset, int64_t first, int64_t n_rows) {
    if (dataset == NULL) {
        return NULL;
    }
    if (first < 0 || n_rows < 0 || first > dataset->n_rows || n_rows > dataset->n_rows - first) {
        COTI_FAIL(dataset->context, COT_E_ARG,
                  "slice of %lld rows from row %lld of a data set of %lld rows", (long long)n_rows,
                  (long long)first, (long long)dataset->n_rows);
        return NULL;
    }
    cot_dataset *slice = coti_dataset_with_weights(
        dataset, dataset->column + dataset->n_inputs + dataset->n_targets, dataset->n_weights);
    if (slice == NULL) {
        return NULL;
    }
    slice->n_rows = n_rows;
    for (int32_t i = 0; i < coti_dataset_n_columns(slice); i++) {
        cot_array *array = &slice->column[i].array;
        array->data = n_rows > 0 ? coti_array_row(array, first) : array->data;
        array->n_rows = n_rows;
    }
    return slice;
}

cot_status cot_dataset_split(const cot_dataset *dataset, double fraction, cot_dataset **first_out,
                             cot_dataset **last_out) {
    if (first_out != NULL) {
        *first_out = NULL;
    }
    if (last_out != NULL) {
        *last_out = NULL;
    }
    if (dataset == NULL || first_out == NULL || last_out == NULL) {
        return dataset != NULL
                   ? COTI_FAIL(dataset->context, COT_E_ARG, "cot_dataset_split: a result is NULL")
                   : COT_E_ARG;
    }
    int64_t n_first = 0;
    COTI_TRY(coti_split_rows(dataset, fraction, &n_first));
    *first_out = cot_dataset_slice(dataset, 0, n_first);
    *last_out =
        *first_out != NULL ? cot_dataset_slice(dataset, n_first, dataset->n_rows - n_first) : NULL;
    if (*last_out == NULL) {
        cot_dataset_destroy(*first_out);
        *first_out = NULL;
        return COT_E_NOMEM;
    }
    return COT_OK;
}

cot_status coti_split_rows(const cot_dataset *dataset, double fraction, int64_t *n_first_out) {
    double n = (double)dataset->n_rows;
    if (!(fraction > 0.0 && fraction < 1.0)) {
        return COTI_FAIL(dataset->context, COT_E_ARG,
                         "a split at %g: expected a fraction between 0 and 1", fraction);
    }
    int64_t n_first = (int64_t)floor(n * (1.0 - fraction));
    if (n_first < 1 || n_first >= dataset->n_rows) {
        return COTI_FAIL(dataset->context, COT_E_ARG,
                         "a split of %lld rows at %g leaves %lld and %lld rows: both need one",
                         (long long)dataset->n_rows, fraction, (long long)n_first,
                         (long long)(dataset->n_rows - n_first));
    }
    *n_first_out = n_first;
    return COT_OK;
}
