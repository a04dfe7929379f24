/*
 * Weights of rows: a data set's own, and those of classes, which become weights of rows by the
 * rows' targets, as in Keras: the class is the label, or the first largest element of a row of
 * several.
 */
#include "frontend/data/dataset.h"

#include <math.h>
#include <string.h>

/* ---- sample weights ---- */

static cot_status read_weight(const cot_dataset *dataset, const cot_array *given, int32_t i,
                              coti_column *column) {
    cot_array *array = &column->array;
    *array = *given;
    if (array->dtype != COT_F32 || array->data == NULL || array->row_elements < 1 ||
        array->n_rows != dataset->n_rows || array->row_elements > COTI_SIZE_MAX / 4) {
        return COTI_FAIL(dataset->context, COT_E_ARG,
                         "sample weights %d: %s, %lld rows of %lld elements%s, expected f32 and "
                         "%lld rows of 1 or more",
                         (int)i, cot_dtype_name(array->dtype), (long long)array->n_rows,
                         (long long)array->row_elements, array->data == NULL ? " at NULL" : "",
                         (long long)dataset->n_rows);
    }
    int64_t row = array->row_elements * 4;
    int64_t all = 0;
    array->row_bytes = array->row_bytes == 0 ? row : array->row_bytes;
    array->scale = 1.0f;
    return array->row_bytes >= row && coti_size_mul(array->row_bytes, array->n_rows, &all)
               ? COT_OK
               : COTI_FAIL(dataset->context, COT_E_SHAPE,
                           "sample weights %d: rows are %lld bytes apart and %lld bytes long",
                           (int)i, (long long)array->row_bytes, (long long)row);
}

static cot_status copy_weight(cot_context *context, coti_column *column) {
    cot_array *array = &column->array;
    int64_t row = array->row_elements * 4;
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

cot_dataset *cot_dataset_with_sample_weights(const cot_dataset *dataset, cot_array_list weights,
                                             cot_ownership ownership) {
    if (dataset == NULL) {
        return NULL;
    }
    cot_context *context = dataset->context;
    int32_t n = weights.array != NULL ? weights.n : 0;
    if (n < 1 || (n != 1 && n != dataset->n_targets)) {
        COTI_FAIL(context, COT_E_ARG,
                  "sample weights: %d arrays for a data set of %d targets, expected one for all or "
                  "one for each",
                  (int)n, (int)dataset->n_targets);
        return NULL;
    }
    coti_column *column = coti_calloc(context, (size_t)n, sizeof *column);
    cot_status status = column != NULL ? COT_OK : COT_E_NOMEM;
    for (int32_t i = 0; status == COT_OK && i < n; i++) {
        status = read_weight(dataset, &weights.array[i], i, &column[i]);
        if (status == COT_OK && ownership == COT_COPY) {
            status = copy_weight(context, &column[i]);
        }
    }
    cot_dataset *result = status == COT_OK ? coti_dataset_with_weights(dataset, column, n) : NULL;
    for (int32_t i = 0; column != NULL && i < n; i++) {
        coti_block_release(column[i].block);
    }
    coti_free(context, column);
    return result;
}

/* ---- class weights ---- */

static double element(const cot_array *array, int64_t row, int64_t k) {
    const unsigned char *data = coti_array_row(array, row);
    if (array->dtype == COT_F32) {
        float value = 0.0f;
        memcpy(&value, data + k * 4, sizeof value);
        return (double)value;
    }
    if (array->dtype == COT_F64) {
        double value = 0.0;
        memcpy(&value, data + k * 8, sizeof value);
        return value;
    }
    return (double)coti_array_integer(array, row, k);
}

static int64_t class_of(const cot_array *target, int64_t row) {
    if (target->row_elements == 1) {
        double label = nearbyint(element(target, row, 0));
        return label >= 0.0 && label < 1e15 ? (int64_t)label : -1;
    }
    int64_t best = 0;
    for (int64_t k = 1; k < target->row_elements; k++) {
        best = element(target, row, k) > element(target, row, best) ? k : best;
    }
    return best;
}

cot_dataset *cot_dataset_with_class_weights(const cot_dataset *dataset, cot_class_weights weights) {
    if (dataset == NULL) {
        return NULL;
    }
    cot_context *context = dataset->context;
    if (weights.weight == NULL || weights.n < 1 || dataset->n_targets != 1) {
        COTI_FAIL(context, COT_E_ARG,
                  "class weights: %d weights for a data set of %d targets, expected one target and "
                  "one or more weights",
                  weights.weight != NULL ? (int)weights.n : 0, (int)dataset->n_targets);
        return NULL;
    }
    if (dataset->n_weights > 0) {
        COTI_FAIL(context, COT_E_ARG, "class weights: the data set has sample weights already");
        return NULL;
    }
    coti_block *block = coti_block_create(context, dataset->n_rows * 4);
    if (block == NULL) {
        return NULL;
    }
    for (int64_t row = 0; row < dataset->n_rows; row++) {
        int64_t class = class_of(cot_dataset_target(dataset, 0), row);
        bool known = class >= 0 && class < weights.n;
        float weight = known ? (float)weights.weight[class] : 1.0f;
        memcpy(block->data + row * 4, &weight, sizeof weight);
    }
    const coti_column column = {.array = {.data = block->data,
                                          .dtype = COT_F32,
                                          .n_rows = dataset->n_rows,
                                          .row_elements = 1,
                                          .row_bytes = 4,
                                          .scale = 1.0f},
                                .block = block};
    cot_dataset *result = coti_dataset_with_weights(dataset, &column, 1);
    coti_block_release(block);
    return result;
}
