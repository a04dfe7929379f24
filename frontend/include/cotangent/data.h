/*
 * Cotangent, data: data sets made of arrays, IDX files and CIFAR-10 batches.
 *
 * A cot_dataset is a number of rows, each with inputs and, for training, targets, in the order of
 * the model's inputs and outputs. u8 pixels stay u8 in memory and become scaled floats inside the
 * first kernel of a step. A data set is not changed by fit, evaluate and predict; several models of
 * one context may read it.
 */
#ifndef COTANGENT_DATA_H
#define COTANGENT_DATA_H

#include "base.h"
#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cot_dataset cot_dataset;

/* ---- from arrays ---- */

/*
 * n arrays. Each array's n_rows, row_elements, dtype, row_bytes, scale and offset are as cot_array
 * describes; a row's elements are in row-major order, whatever the rank of the input they feed.
 */
typedef struct cot_array_list {
    const cot_array *array;
    int32_t n;
} cot_array_list;

/* COT_ARRAYS({.data = x, .dtype = COT_F32, .n_rows = 100, .row_elements = 784}). C only. */
#define COT_ARRAYS(...)                                                                            \
    ((cot_array_list){(const cot_array[]){__VA_ARGS__},                                            \
                      (int32_t)(sizeof((const cot_array[]){__VA_ARGS__}) / sizeof(cot_array))})

/* No arrays: the targets of a data set for cot_model_predict. C only. */
#define COT_NO_ARRAYS ((cot_array_list){NULL, 0})

/* COT_BORROW: the data must outlive the data set and its slices. COT_COPY: it is copied. */
typedef enum cot_ownership { COT_BORROW = 0, COT_COPY = 1 } cot_ownership;

/*
 * A data set of inputs and targets (none: for predict) with equal numbers of rows. NULL on error:
 * COT_E_ARG (no input, NULL data), COT_E_SHAPE (row counts differ, sizes overflow), COT_E_DTYPE.
 */
COT_API cot_dataset *cot_dataset_create(cot_context *context, cot_array_list inputs,
                                        cot_array_list targets, cot_ownership ownership);

/* Destroy before the context. Slices keep what they share. NULL is fine. */
COT_API void cot_dataset_destroy(cot_dataset *dataset);

COT_API int64_t cot_dataset_n_rows(const cot_dataset *dataset);
COT_API int32_t cot_dataset_n_inputs(const cot_dataset *dataset);
COT_API int32_t cot_dataset_n_targets(const cot_dataset *dataset);

/* The i-th input or target, borrowed; NULL when there is none. */
COT_API const cot_array *cot_dataset_input(const cot_dataset *dataset, int32_t i);
COT_API const cot_array *cot_dataset_target(const cot_dataset *dataset, int32_t i);

/* Rows [first, first + n_rows), sharing the data. NULL on error: COT_E_ARG (out of range). */
COT_API cot_dataset *cot_dataset_slice(const cot_dataset *dataset, int64_t first, int64_t n_rows);

/*
 * Two slices: the first floor(n * (1 - fraction)) rows, and the last. Both must have a row. On
 * failure both results are NULL.
 */
COT_API cot_status cot_dataset_split(const cot_dataset *dataset, double fraction,
                                     cot_dataset **first_out, cot_dataset **last_out);

/*
 * The same data set for models of another context, which may be another thread's: nothing is
 * copied, and the given data set must outlive the result. NULL: no memory, or an argument is NULL.
 */
COT_API cot_dataset *cot_dataset_borrow(cot_context *context, const cot_dataset *dataset);

/* ---- weights of rows ---- */

/*
 * The same data set with sample weights: losses and weighted metrics count rows by them, in fit,
 * evaluate and the batch functions. One array for all outputs, or one for each target; f32, one
 * element a row, or, for an output with axes between the batch and the last one, one for each of
 * its values. NULL on error: COT_E_ARG, COT_E_SHAPE.
 */
COT_API cot_dataset *cot_dataset_with_sample_weights(const cot_dataset *dataset,
                                                     cot_array_list weights,
                                                     cot_ownership ownership);
COT_API int32_t cot_dataset_n_sample_weights(const cot_dataset *dataset);
/* Borrowed; NULL when there is none. */
COT_API const cot_array *cot_dataset_sample_weight(const cot_dataset *dataset, int32_t i);

/* Weights of classes 0, 1, ..; a class beyond them weighs 1. */
typedef struct cot_class_weights {
    const double *weight;
    int32_t n; /* 0: none are given */
} cot_class_weights;

/* COT_CLASS_WEIGHTS(1, 5). C only. */
#define COT_CLASS_WEIGHTS(...)                                                                     \
    ((cot_class_weights){(const double[]){__VA_ARGS__},                                            \
                         (int32_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double))})

/*
 * Sample weights by the class of each row's one target: a label, or the first largest element of a
 * row of several. NULL on error: COT_E_ARG (several targets, sample weights already).
 */
COT_API cot_dataset *cot_dataset_with_class_weights(const cot_dataset *dataset,
                                                    cot_class_weights weights);

/* ---- labels ---- */

/*
 * One-hot rows: out[r, c] = (labels[r] == c), f32. labels: u8, i32 or i64, one element a row.
 * n_classes 0: the largest label + 1, written to *n_classes_out (may be NULL). out_bytes must be
 * n_rows * n_classes * 4; out NULL: only count. fails: COT_E_DATA names the row and label.
 */
COT_API cot_status cot_to_categorical(cot_context *context, const cot_array *labels,
                                      int64_t n_classes, float *out, size_t out_bytes,
                                      int64_t *n_classes_out);

/* The same data set, but for target i, which becomes one-hot f32. NULL on error, as above. */
COT_API cot_dataset *cot_dataset_to_categorical(const cot_dataset *dataset, int32_t i_target,
                                                int64_t n_classes);

/* ---- files ---- */

typedef struct cot_read_options {
    size_t struct_size;
    double scale;      /* of u8 inputs; 0: 1/255; give 1 to keep 0..255 */
    double offset;     /* of u8 inputs, added after scaling */
    int64_t max_bytes; /* most memory that one file's data may take; 0: 8 GiB */
} cot_read_options;
#define COT_READ_OPTIONS_INIT {sizeof(cot_read_options), 0.0, 0.0, 0}

/*
 * Inputs and targets from two IDX files, plain or gzip (told by their first bytes). targets_path
 * may be NULL. The first extent is the number of rows, the others make a row. Elements: u8 stays
 * u8; i8, i16 and i32 become i32; f32 and f64 stay. options may be NULL. NULL on error: COT_E_IO,
 * COT_E_PARSE (not IDX, header and length disagree, bytes after the end, corrupt gzip), COT_E_SHAPE
 * (row counts differ), COT_E_NOMEM; the text names the file.
 */
COT_API cot_dataset *cot_dataset_read_idx(cot_context *context, const char *inputs_path,
                                          const char *targets_path,
                                          const cot_read_options *options);

/*
 * CIFAR-10's binary batches, one after the other: records of a label byte (0..9) and 3072 bytes, a
 * plane each of red, green and blue. Rows become u8 [32,32,3] (row, column, channel), the order in
 * which Keras flattens them; targets are the labels, u8. Errors as above, and COT_E_DATA for a
 * label above 9.
 */
COT_API cot_dataset *cot_dataset_read_cifar10(cot_context *context, const char *const *paths,
                                              int32_t n_paths, const cot_read_options *options);

/* ---- files that stay on disk ---- */

/*
 * A file of rows that is mapped into memory, not read: its pages come and go as rows are used, so
 * it may be larger than memory. It must not become shorter while a data set or slice of it is
 * there.
 *
 * row_elements 0: the file describes itself: a .npy file as numpy.save makes it (versions 1 to 3,
 * row-major; u1 and b1, i4, i8, f4, f8, little-endian), or an IDX file of unsigned bytes, not
 * compressed. The first extent is the number of rows, the others make a row.
 *
 * Otherwise: rows of row_elements little-endian elements of dtype, from byte header_bytes on. So
 * one file can hold several arrays, or records of which each column is a part: of records of a
 * label byte and 3072 pixels {.path = p, .row_elements = 3072, .dtype = COT_U8, .header_bytes = 1,
 * .row_bytes = 3073} are the pixels.
 */
typedef struct cot_file {
    const char *path;
    int64_t row_elements;
    cot_dtype dtype;
    int64_t header_bytes; /* before the first row */
    int64_t row_bytes;    /* distance of rows; 0: adjacent */
    int64_t n_rows;       /* 0: all that the file holds, which must be whole rows */
    float scale, offset;  /* of u8, as in cot_array: 0: 1 */
} cot_file;

typedef struct cot_file_list {
    const cot_file *file;
    int32_t n;
} cot_file_list;

/* COT_FILES({.path = "x.npy", .scale = 1.0F / 255.0F}). C only. */
#define COT_FILES(...)                                                                             \
    ((cot_file_list){(const cot_file[]){__VA_ARGS__},                                              \
                     (int32_t)(sizeof((const cot_file[]){__VA_ARGS__}) / sizeof(cot_file))})
#define COT_NO_FILES ((cot_file_list){NULL, 0})

/*
 * A data set of mapped files, an input or a target each: cot_dataset_map(ctx,
 * COT_FILES({.path = "x.npy"}), COT_FILES({.path = "y.npy"})). fit reads targets and floats once,
 * in order, for its checks (allow_nonfinite leaves the floats out); steps read the rows where they
 * lie. NULL on error: COT_E_IO, COT_E_PARSE (a header is malformed, or the file has not the bytes
 * that it promises), COT_E_UNSUPPORTED (column-major or big-endian .npy, elements of other types,
 * gzip), COT_E_ARG, COT_E_DTYPE, COT_E_SHAPE (row counts differ); the text names the file, what was
 * found and what was expected.
 */
COT_API cot_dataset *cot_dataset_map(cot_context *context, cot_file_list inputs,
                                     cot_file_list targets);

#ifdef __cplusplus
}
#endif
#endif
