/*
 * Safetensors files: named tensors, and a map of strings.
 *
 *   8 bytes   length of the header, little-endian
 *   header    JSON: {"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets"}},
 *             padded with blanks so that the data are aligned to 64 bytes
 *   data      the tensors, row-major, little-endian, one right behind the other
 *
 * Ours carry in their metadata a checksum of each tensor ("checksum <name>") and one of the header
 * ("checksum"), both coti_hash in 16 hexadecimal digits; the header's is taken with zeros in its
 * own place and with the header's length as the seed. So no bit of a file can turn unnoticed.
 * Files of others have none, and are read as well.
 *
 * src: the format's published description and reference implementation (names unique, offsets
 * without holes, the last end the file's).
 */
#ifndef COTI_SAFETENSORS_H
#define COTI_SAFETENSORS_H

#include "graph/graph.h"
#include "runtime/base/arena.h"

/* ---- reading (safetensors.c) ---- */

typedef struct coti_tensor_entry {
    const char *name;
    const char *dtype; /* the file's: "F32" */
    cot_shape shape;
    int64_t begin, bytes; /* in the data */
} coti_tensor_entry;

typedef struct coti_metadata_entry {
    const char *key, *value;
} coti_metadata_entry;

typedef struct coti_safetensors {
    cot_context *context;
    const char *path; /* a copy */
    coti_arena arena; /* all text */
    int fd;
    int64_t header_bytes, data_bytes;
    COTI_VEC(coti_tensor_entry) tensor; /* by place in the data */
    COTI_VEC(coti_metadata_entry) metadata;
    coti_map by_name, by_key;
    int64_t checksum_at; /* where in the header its checksum stands; 0: it has none */
    unsigned char *data; /* NULL before coti_safetensors_load */
} coti_safetensors;

/*
 * Open a file and check its header. Nothing in it is believed: memory is taken only for bytes that
 * are there. fails: COT_E_IO, COT_E_PARSE (the text names file, tensor, what was found and what was
 * expected), COT_E_NOMEM. *file_out is NULL on failure.
 */
cot_status coti_safetensors_open(cot_context *context, const char *path,
                                 coti_safetensors **file_out);
/* NULL is fine. */
void coti_safetensors_close(coti_safetensors *file);
/* Read the data and check their checksums. fails as open does. */
cot_status coti_safetensors_load(coti_safetensors *file);

/* NULL: there is none. */
const coti_tensor_entry *coti_safetensors_find(const coti_safetensors *file, const char *name);
const char *coti_safetensors_metadata(const coti_safetensors *file, const char *key);
/* A metadata value that must be a whole number, 0 or more: COT_E_PARSE if it is missing or is
 * something else. */
cot_status coti_safetensors_integer(const coti_safetensors *file, const char *key, int64_t *out);

/* COT_E_PARSE unless the tensor has this dtype and shape. */
cot_status coti_safetensors_check(const coti_safetensors *file, const coti_tensor_entry *tensor,
                                  cot_dtype dtype, const cot_shape *shape);
/* The tensor's bytes; needs coti_safetensors_load. */
static inline const void *coti_safetensors_data(const coti_safetensors *file,
                                                const coti_tensor_entry *tensor) {
    return file->data + tensor->begin;
}

/* ---- writing (safetensors_write.c) ---- */

/* What is to be written: names and data are borrowed until then. Errors are kept and reported by
 * coti_tensors_write. */
typedef struct coti_tensors {
    cot_context *context;
    coti_arena arena;
    cot_status status;
    coti_str metadata, header;
    int64_t bytes; /* of the data so far */
    COTI_VEC(struct coti_piece {
        const void *data;
        size_t bytes;
    })
    piece;
} coti_tensors;

void coti_tensors_begin(coti_tensors *tensors, cot_context *context);
void coti_tensors_free(coti_tensors *tensors);
void coti_tensors_metadata(coti_tensors *tensors, const char *key, const char *value);
void coti_tensors_integer(coti_tensors *tensors, const char *key, int64_t value);
/* prefix: in front of the name, "" for none. */
void coti_tensors_add(coti_tensors *tensors, const char *prefix, const char *name, cot_dtype dtype,
                      const cot_shape *shape, const void *data);
void coti_tensors_add_variable(coti_tensors *tensors, const char *prefix,
                               const cot_variable *variable);
/* Write all to a file, as coti_atomic_file does. */
cot_status coti_tensors_write(coti_tensors *tensors, const char *path);

/* "F32" ... */
const char *coti_safetensors_dtype(cot_dtype dtype);
/* The header's checksum: header with 16 zeros at checksum_at. */
uint64_t coti_safetensors_checksum(const char *header, size_t bytes, int64_t checksum_at);

#endif
