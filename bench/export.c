/* Writing what export.h describes. */
#include "export.h"

#include <stdio.h>
#include <stdlib.h>

static FILE *open_in(const char *directory, const char *name) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    return n > 0 && (size_t)n < sizeof path ? fopen(path, "wb") : NULL;
}

static cot_status close_file(FILE *file, bool good) {
    bool failed = file == NULL || !good || ferror(file) != 0;
    return (file != NULL && fclose(file) != 0) || failed ? COT_E_IO : COT_OK;
}

static cot_status write_array(const char *directory, const char *name, const void *data,
                              int64_t elements) {
    FILE *file = open_in(directory, name);
    bool good = file != NULL && fwrite(data, 4, (size_t)elements, file) == (size_t)elements;
    return close_file(file, good);
}

static cot_status write_weight(FILE *text, FILE *values, const cot_variable *weight) {
    cot_shape shape = cot_variable_shape(weight);
    (void)fprintf(text, "%s", cot_variable_name(weight));
    size_t n = 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        (void)fprintf(text, " %lld", (long long)shape.dim[i]);
        n *= (size_t)shape.dim[i];
    }
    (void)fprintf(text, "\n");
    float *value = malloc(n * sizeof *value);
    if (value == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = cot_variable_get(weight, value, n * sizeof *value);
    if (status == COT_OK && fwrite(value, sizeof *value, n, values) != n) {
        status = COT_E_IO;
    }
    free(value);
    return status;
}

static cot_status write_weights(const char *directory, cot_variable *const *weight,
                                int32_t n_weights) {
    FILE *text = open_in(directory, "weights.txt");
    FILE *values = open_in(directory, "weights.bin");
    cot_status status = text != NULL && values != NULL ? COT_OK : COT_E_IO;
    for (int32_t i = 0; i < n_weights && status == COT_OK; i++) {
        status = write_weight(text, values, weight[i]);
    }
    cot_status text_status = close_file(text, true);
    cot_status values_status = close_file(values, true);
    return status != COT_OK ? status : text_status != COT_OK ? text_status : values_status;
}

cot_status bench_export(const char *directory, cot_variable *const *weight, int32_t n_weights,
                        const bench_data *data) {
    cot_status status = write_weights(directory, weight, n_weights);
    if (status == COT_OK) {
        status = write_array(directory, "x.bin", data->x, data->rows * data->x_elements);
    }
    if (status == COT_OK) {
        status = write_array(directory, "y.bin", data->y, data->rows * data->y_elements);
    }
    if (status == COT_OK) {
        FILE *file = open_in(directory, "work.txt");
        bool good = file != NULL && fprintf(file, "batch %lld\nrows %lld\n", (long long)data->batch,
                                            (long long)data->rows) > 0;
        status = close_file(file, good);
    }
    return status;
}
