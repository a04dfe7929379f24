/*
 * Files as arrays that stay where they are: the kernel brings their pages into memory as rows are
 * read, and takes them away again when memory is short. So data sets may be larger than memory.
 *
 * A mapped file must not become shorter while it is mapped: reading what has gone ends the process
 * (SIGBUS), as it does for every program that maps files.
 */
#ifndef COTI_MAPPED_H
#define COTI_MAPPED_H

#include "frontend/data/dataset.h"

/*
 * Map a regular file that has any bytes, for reading. block->mapping is its first byte,
 * block->bytes its length. fails: COT_E_ARG (path NULL), COT_E_IO, COT_E_PARSE (empty), COT_E_NOMEM
 */
cot_status coti_map_file(cot_context *context, const char *path, coti_block **block_out);

/* How rows will be read. */
typedef enum coti_access {
    COTI_ACCESS_IN_ORDER,
    COTI_ACCESS_ONCE,
    COTI_ACCESS_SHUFFLED
} coti_access;

/*
 * The advice (of madvise) for files of so many bytes in all, read in such a way, on a machine with
 * so many bytes of memory. Shuffled rows of files that fit into memory are best served by what the
 * kernel reads ahead by itself, since it brings the whole file in soon; of larger files that would
 * be thrown away before it is used.
 */
int coti_map_advice(coti_access access, int64_t bytes, int64_t memory_bytes);

/* Tell the kernel how the mapped columns of a data set (NULL is fine) will be read; others are left
 * alone. */
void coti_dataset_advise(const cot_dataset *dataset, coti_access access);

/* ---- npy.c ---- */

/*
 * Read the header of a .npy file of `bytes` bytes, versions 1.0 to 3.0, into array: data, dtype,
 * n_rows, row_elements, row_bytes. src: numpy.lib.format, "NEP 1". Nothing is believed: the
 * elements must be as many as the file holds after its header. fails: COT_E_PARSE (malformed, or
 * too short or too long), COT_E_UNSUPPORTED (column-major order, big-endian or other elements, a
 * rank of 0)
 */
cot_status coti_npy_read(cot_context *context, const char *path, const unsigned char *file,
                         int64_t bytes, cot_array *array);
bool coti_npy_is(const unsigned char *file, int64_t bytes);

/* ---- idx.c ---- */

/*
 * The same of an IDX file that is not compressed and whose elements are single bytes without sign.
 * fails: COT_E_PARSE, COT_E_UNSUPPORTED (other elements)
 */
cot_status coti_idx_map(cot_context *context, const char *path, const unsigned char *file,
                        int64_t bytes, cot_array *array);

#endif
