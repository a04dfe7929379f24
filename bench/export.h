/*
 * A workload's initial weights and data as files, for programs that do the same work by other
 * means: in a directory,
 *
 *   weights.txt   one line a weight: its name, then its extents
 *   weights.bin   their values, f32, row-major, one behind the other
 *   x.bin         inputs of all rows (f32, or i32 for tokens)
 *   y.bin         labels of all rows, i32
 *   work.txt      "batch N", "rows N": rows of a step and of the data
 */
#ifndef BENCH_EXPORT_H
#define BENCH_EXPORT_H

#include <cotangent.h>

typedef struct bench_data {
    const void *x; /* four bytes an element */
    const int32_t *y;
    int64_t rows, batch;
    int64_t x_elements, y_elements; /* of a row */
} bench_data;

/* fails: COT_E_IO (a file cannot be written), COT_E_NOMEM. */
cot_status bench_export(const char *directory, cot_variable *const *weight, int32_t n_weights,
                        const bench_data *data);

#endif
