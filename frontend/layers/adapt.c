/*
 * Adapting a Normalization: mean and variance of each element over the rows of a data set, in one
 * pass, which data larger than memory allow no more than. The first vector is taken off all: what
 * is summed is then of the size of the differences, so that squares lose nothing that f64 has.
 *
 *     mean = k + sum(x - k) / n      variance = sum((x - k)^2) / n - (sum(x - k) / n)^2
 */
#include "cotangent/preprocessing.h"
#include "frontend/data/mapped.h"
#include "layer.h"

#include <math.h>
#include <string.h>

/* Sums over vectors of n elements. */
typedef struct moments {
    int64_t n, count; /* elements of a vector; vectors so far */
    double *shift, *sum, *squares;
} moments;

/* Element k of a row as the model gets it: u8 is scaled in f32, and rounded after each step. */
static double element_at(const cot_array *array, const unsigned char *row, int64_t k) {
    if (array->dtype == COT_U8) {
        const float scaled = (float)row[k] * array->scale;
        return (double)(scaled + array->offset);
    }
    if (array->dtype == COT_F32) {
        float value = 0.0F;
        memcpy(&value, row + 4 * k, sizeof value);
        return (double)value;
    }
    double value = 0.0;
    memcpy(&value, row + 8 * k, sizeof value);
    return value;
}

/* Add the vectors of a row; the first that is not finite: its place, else -1. */
static int64_t add_row(moments *m, const cot_array *array, int64_t i_row) {
    const unsigned char *row = coti_array_row(array, i_row);
    for (int64_t k = 0; k < array->row_elements; k++) {
        const double value = element_at(array, row, k);
        const int64_t i = k % m->n;
        if (!isfinite(value)) {
            return k;
        }
        if (m->count == 0 && k < m->n) {
            m->shift[i] = value;
        }
        m->sum[i] += value - m->shift[i];
        m->squares[i] += (value - m->shift[i]) * (value - m->shift[i]);
    }
    m->count += array->row_elements / m->n;
    return -1;
}

static cot_status add_rows(const cot_layer *layer, moments *m, const cot_array *array) {
    for (int64_t row = 0; row < array->n_rows; row++) {
        const int64_t bad = add_row(m, array, row);
        if (bad >= 0) {
            return COTI_OP_FAIL(layer->context, COT_E_DATA, "normalization", layer->name,
                                "adapt: row %lld, element %lld is %g, expected finite numbers",
                                (long long)row, (long long)bad,
                                element_at(array, coti_array_row(array, row), bad));
        }
    }
    return COT_OK;
}

static void store(cot_variable *variable, int64_t i, double value) {
    if (variable->dtype == COT_F32) {
        ((float *)variable->storage)[i] = (float)value;
    } else {
        ((double *)variable->storage)[i] = value;
    }
}

static void set_statistics(const cot_layer *layer, const moments *m) {
    for (int64_t i = 0; i < m->n; i++) {
        const double mean = m->sum[i] / (double)m->count;
        const double variance = m->squares[i] / (double)m->count - mean * mean;
        store(layer->weight[0], i, m->shift[i] + mean);
        store(layer->weight[1], i, variance > 0.0 ? variance : 0.0);
    }
}

static cot_status check_data(const cot_layer *layer, const cot_dataset *data, int32_t i_input,
                             const cot_array **array_out) {
    cot_context *context = layer->context;
    const cot_array *array = cot_dataset_input(data, i_input);
    if (layer->class != &coti_class_normalization || layer->n_weights == 0) {
        return COTI_OP_FAIL(context, COT_E_ARG, layer->class->prefix, layer->name,
                            "adapt: expected a Normalization layer that has been called");
    }
    if (array == NULL || array->n_rows == 0) {
        return COTI_OP_FAIL(context, COT_E_ARG, "normalization", layer->name,
                            "adapt: the data set has %d inputs and %lld rows: none of input %d",
                            (int)cot_dataset_n_inputs(data), (long long)cot_dataset_n_rows(data),
                            (int)i_input);
    }
    if (array->dtype != COT_U8 && array->dtype != COT_F32 && array->dtype != COT_F64) {
        return COTI_OP_FAIL(context, COT_E_DTYPE, "normalization", layer->name,
                            "adapt: the data are %s, expected f32, f64 or u8",
                            cot_dtype_name(array->dtype));
    }
    const int64_t n = cot_variable_shape(layer->weight[0]).dim[0];
    if (array->row_elements % n != 0) {
        return COTI_OP_FAIL(context, COT_E_SHAPE, "normalization", layer->name,
                            "adapt: a row of the data has %lld elements, expected a multiple of "
                            "%lld",
                            (long long)array->row_elements, (long long)n);
    }
    *array_out = array;
    return COT_OK;
}

cot_status cot_normalization_adapt(cot_layer *layer, const cot_dataset *data, int32_t i_input) {
    const cot_array *array = NULL;
    if (layer == NULL) {
        return COT_E_ARG;
    }
    COTI_TRY(check_data(layer, data, i_input, &array));
    moments m = {.n = cot_variable_shape(layer->weight[0]).dim[0]};
    m.shift = coti_calloc(layer->context, (size_t)m.n, 3 * sizeof *m.shift);
    if (m.shift == NULL) {
        return COT_E_NOMEM;
    }
    m.sum = m.shift + m.n;
    m.squares = m.sum + m.n;
    coti_dataset_advise(data, COTI_ACCESS_ONCE);
    cot_status status = add_rows(layer, &m, array);
    coti_dataset_advise(data, COTI_ACCESS_IN_ORDER);
    if (status == COT_OK) {
        set_statistics(layer, &m);
    }
    coti_free(layer->context, m.shift);
    return status;
}
