/*
 * Data sets inside: columns of arrays, and the reference-counted blocks that own data. A column
 * without a block borrows.
 */
#ifndef COTI_DATASET_H
#define COTI_DATASET_H

#include "cotangent/data.h"
#include "runtime/base/arena.h"
#include "runtime/base/size.h"

/* Owned memory, or a mapped file, shared by slices. */
typedef struct coti_block {
    cot_context *context;
    int32_t references;
    int64_t bytes;
    void *mapping;        /* of a file, `bytes` long; NULL: none, they are in data */
    unsigned char data[]; /* 16-byte aligned */
} coti_block;
_Static_assert(sizeof(coti_block) % 16 == 0, "data are aligned as their block is");

typedef struct coti_column {
    cot_array array;   /* complete: row_bytes and scale are never 0 */
    coti_block *block; /* NULL: borrowed */
} coti_column;

struct cot_dataset {
    cot_context *context;
    int64_t n_rows;
    int32_t n_inputs, n_targets, n_weights;
    coti_column *column; /* inputs, targets, sample weights */
};

static inline int32_t coti_dataset_n_columns(const cot_dataset *dataset) {
    return dataset->n_inputs + dataset->n_targets + dataset->n_weights;
}

/* Uninitialised; one reference is the caller's. NULL with COT_E_NOMEM recorded. */
coti_block *coti_block_create(cot_context *context, int64_t bytes);
/* NULL is fine. */
void coti_block_release(coti_block *block);

/*
 * Check a column and fill in its array's defaults; *n_rows: those of the columns before it, < 0: it
 * is the first. what: "input", "target". fails: COT_E_ARG, COT_E_DTYPE, COT_E_SHAPE
 */
cot_status coti_check_column(cot_context *context, const char *what, int32_t i, int64_t *n_rows,
                             coti_column *column);

/*
 * A data set of these columns (their row counts are equal). Takes a reference of its own to each
 * block. NULL: no memory.
 */
cot_dataset *coti_dataset_make(cot_context *context, const coti_column *column, int32_t n_inputs,
                               int32_t n_targets);

/* The same data set with these columns of sample weights in the place of its own. */
cot_dataset *coti_dataset_with_weights(const cot_dataset *dataset, const coti_column *weight,
                                       int32_t n_weights);

/*
 * Rows before a split: floor(n * (1 - fraction)), in double, as Keras's validation_split. COT_E_ARG
 * if a side would be empty.
 */
cot_status coti_split_rows(const cot_dataset *dataset, double fraction, int64_t *n_first_out);

/* Address of a row. */
static inline const unsigned char *coti_array_row(const cot_array *array, int64_t row) {
    return (const unsigned char *)array->data + row * array->row_bytes;
}

/* Reading options as given (NULL: none), checked, with their defaults filled in. */
cot_status coti_read_options(cot_context *context, const char *function,
                             const cot_read_options *given, cot_read_options *out);

/* Element k of a row of u8, i32 or i64. */
int64_t coti_array_integer(const cot_array *array, int64_t row, int64_t k);

#endif
