/*
 * How compiled kernels are called. The code generator emits against this layout; changing it
 * changes every kernel.
 *
 * A kernel works on the half-open range [begin, end) of its partition axis: rows (times the axis'
 * coefficient) or units of its output. Every address, row count and data layout arrives here; a
 * kernel's code holds none.
 */
#ifndef COTR_KERNEL_ABI_H
#define COTR_KERNEL_ABI_H

#include "cotangent/base.h"

/* Where a LOAD kernel finds one input's rows. Row i of the step is source row index[first + i], or
 * first + i. */
typedef struct cotr_source {
    const unsigned char *base;
    int64_t row_bytes;
    const int64_t *index; /* NULL: rows in order */
    int32_t dtype;        /* cot_dtype of the data */
    float scale, offset;  /* u8 to f32 */
    int32_t reserved;
} cotr_source;

typedef struct cotr_args {
    void *const *buffer; /* base address of each of the kernel's slots */
    int64_t rows;        /* N of this step */
    int64_t first;       /* position of the step's first row in the order of the sources */
    void *scratch; /* this thread's, 64-byte aligned, as large as the program's largest need */
} cotr_args;

typedef void (*cotr_kernel)(const cotr_args *args, int64_t begin, int64_t end);

_Static_assert(sizeof(void *) == 8, "kernels are emitted for 64-bit addresses");
_Static_assert(offsetof(cotr_args, buffer) == 0 && offsetof(cotr_args, rows) == 8 &&
                   offsetof(cotr_args, first) == 16 && offsetof(cotr_args, scratch) == 24,
               "the emitter knows this layout");
_Static_assert(offsetof(cotr_source, base) == 0 && offsetof(cotr_source, row_bytes) == 8 &&
                   offsetof(cotr_source, index) == 16 && offsetof(cotr_source, dtype) == 24 &&
                   offsetof(cotr_source, scale) == 28 && offsetof(cotr_source, offset) == 32,
               "the emitter knows this layout");

#endif
