/* Integer labels to one-hot rows, as Keras's to_categorical. */
#include "frontend/data/dataset.h"

#include <string.h>

static cot_status check_labels(cot_context *context, const cot_array *labels) {
    if (labels == NULL || (labels->data == NULL && labels->n_rows > 0)) {
        return COTI_FAIL(context, COT_E_ARG, "cot_to_categorical: labels are NULL");
    }
    if (labels->dtype != COT_U8 && labels->dtype != COT_I32 && labels->dtype != COT_I64) {
        return COTI_FAIL(context, COT_E_DTYPE,
                         "cot_to_categorical: labels are %s, expected u8, i32 or i64",
                         cot_dtype_name(labels->dtype));
    }
    if (labels->row_elements != 1 || labels->n_rows < 0) {
        return COTI_FAIL(context, COT_E_SHAPE,
                         "cot_to_categorical: %lld rows of %lld labels, expected one a row",
                         (long long)labels->n_rows, (long long)labels->row_elements);
    }
    return COT_OK;
}

/* Classes: as asked, or the largest label + 1; every label must be below. */
static cot_status count_classes(cot_context *context, const cot_array *labels, int64_t asked,
                                int64_t *n_out) {
    int64_t limit = asked > 0 ? asked : COTI_SIZE_MAX, largest = -1;
    for (int64_t row = 0; row < labels->n_rows; row++) {
        int64_t label = coti_array_integer(labels, row, 0);
        if (label < 0 || label >= limit) {
            return COTI_FAIL(context, COT_E_DATA,
                             "cot_to_categorical: the label of row %lld is %lld, expected 0 to "
                             "%lld",
                             (long long)row, (long long)label, (long long)limit - 1);
        }
        largest = label > largest ? label : largest;
    }
    *n_out = asked > 0 ? asked : largest + 1;
    return COT_OK;
}

/* Bytes of the result. */
static cot_status measure(cot_context *context, const cot_array *labels, int64_t n_classes,
                          int64_t *bytes_out) {
    int64_t elements = 0;
    if (!coti_size_mul(labels->n_rows, n_classes, &elements) ||
        !coti_size_mul(elements, (int64_t)sizeof(float), bytes_out)) {
        return COTI_FAIL(context, COT_E_SHAPE,
                         "cot_to_categorical: %lld rows of %lld classes are too large",
                         (long long)labels->n_rows, (long long)n_classes);
    }
    return COT_OK;
}

static void fill(const cot_array *labels, int64_t n_classes, float *out) {
    memset(out, 0, (size_t)(labels->n_rows * n_classes) * sizeof *out);
    for (int64_t row = 0; row < labels->n_rows; row++) {
        out[row * n_classes + coti_array_integer(labels, row, 0)] = 1.0f;
    }
}

cot_status cot_to_categorical(cot_context *context, const cot_array *labels, int64_t n_classes,
                              float *out, size_t out_bytes, int64_t *n_classes_out) {
    if (context == NULL) {
        return COT_E_ARG;
    }
    int64_t n = 0, bytes = 0;
    COTI_TRY(check_labels(context, labels));
    cot_array own = *labels;
    own.row_bytes = own.row_bytes != 0 ? own.row_bytes : (int64_t)cot_dtype_bytes(own.dtype);
    COTI_TRY(count_classes(context, &own, n_classes, &n));
    COTI_TRY(measure(context, &own, n, &bytes));
    if (out != NULL && out_bytes != (size_t)bytes) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_to_categorical: out has %llu bytes, %lld rows of %lld classes are "
                         "%lld",
                         (unsigned long long)out_bytes, (long long)own.n_rows, (long long)n,
                         (long long)bytes);
    }
    if (out != NULL) {
        fill(&own, n, out);
    }
    if (n_classes_out != NULL) {
        *n_classes_out = n;
    }
    return COT_OK;
}

cot_dataset *cot_dataset_to_categorical(const cot_dataset *dataset, int32_t i_target,
                                        int64_t n_classes) {
    if (dataset == NULL) {
        return NULL;
    }
    cot_context *context = dataset->context;
    const cot_array *labels = cot_dataset_target(dataset, i_target);
    int64_t n = 0, bytes = 0;
    if (labels == NULL) {
        COTI_FAIL(context, COT_E_ARG, "data set: there is no target %d among %d", (int)i_target,
                  (int)dataset->n_targets);
        return NULL;
    }
    if (check_labels(context, labels) != COT_OK ||
        count_classes(context, labels, n_classes, &n) != COT_OK ||
        measure(context, labels, n, &bytes) != COT_OK) {
        return NULL;
    }
    if (n < 1) {
        COTI_FAIL(context, COT_E_ARG,
                  "data set: target %d has no rows to count classes from: give n_classes",
                  (int)i_target);
        return NULL;
    }
    coti_block *block = coti_block_create(context, bytes);
    cot_dataset *result = block != NULL ? cot_dataset_slice(dataset, 0, dataset->n_rows) : NULL;
    if (result != NULL) {
        coti_column *column = &result->column[dataset->n_inputs + i_target];
        void *hot = block->data; /* 16-byte aligned */
        fill(labels, n, hot);
        coti_block_release(column->block);
        *column = (coti_column){.array = {.data = block->data,
                                          .dtype = COT_F32,
                                          .n_rows = labels->n_rows,
                                          .row_elements = n,
                                          .row_bytes = n * (int64_t)sizeof(float),
                                          .scale = 1.0f},
                                .block = block};
        block = NULL; /* taken by the column */
    }
    coti_block_release(block);
    return result;
}
