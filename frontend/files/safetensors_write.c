/* Writing safetensors: contract in safetensors.h. The same tensors give the same bytes. */
#include "atomic_file.h"
#include "json.h"
#include "safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, LENGTH_BYTES = 8 };

/* The first of the metadata, so that its place is known. */
static const char head[] = "{\"__metadata__\":{\"checksum\":\"";
static const char zeros[] = "0000000000000000\"";

void coti_tensors_begin(coti_tensors *tensors, cot_context *context) {
    *tensors = (coti_tensors){.context = context};
    coti_arena_init(&tensors->arena, context);
    coti_str_init(&tensors->metadata, context);
    coti_str_init(&tensors->header, context);
}

void coti_tensors_free(coti_tensors *tensors) {
    coti_str_free(&tensors->metadata);
    coti_str_free(&tensors->header);
    coti_vec_free(tensors->context, &tensors->piece);
    coti_arena_clear(&tensors->arena);
}

void coti_tensors_metadata(coti_tensors *tensors, const char *key, const char *value) {
    coti_str_append(&tensors->metadata, ",");
    coti_json_append(&tensors->metadata, key);
    coti_str_append(&tensors->metadata, ":");
    coti_json_append(&tensors->metadata, value);
}

void coti_tensors_integer(coti_tensors *tensors, const char *key, int64_t value) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    coti_tensors_metadata(tensors, key, text);
}

static void append_entry(coti_str *header, const char *name, const char *dtype,
                         const cot_shape *shape, int64_t begin, int64_t end) {
    coti_str_append(header, ",");
    coti_json_append(header, name);
    coti_str_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", dtype);
    for (int32_t i = 0; i < shape->rank; i++) {
        coti_str_printf(header, "%s%" PRId64, i == 0 ? "" : ",", shape->dim[i]);
    }
    coti_str_printf(header, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", begin, end);
}

void coti_tensors_add(coti_tensors *tensors, const char *prefix, const char *name, cot_dtype dtype,
                      const cot_shape *shape, const void *data) {
    int64_t elements = 0, bytes = 0, end = 0;
    if (tensors->status != COT_OK) {
        return;
    }
    if (!coti_shape_elements(shape, 1, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes(dtype), &bytes) ||
        !coti_size_add(tensors->bytes, bytes, &end)) {
        tensors->status = COTI_FAIL(tensors->context, COT_E_SHAPE,
                                    "tensor \"%.100s\" is too large to be written", name);
        return;
    }
    const char *whole = coti_arena_printf(&tensors->arena, "%s%s", prefix, name);
    const char *key = coti_arena_printf(&tensors->arena, "checksum %s%s", prefix, name);
    char checksum[20];
    size_t n = tensors->piece.count;
    if (whole == NULL || key == NULL ||
        coti_vec_reserve(tensors->context, &tensors->piece, n + 1) != COT_OK) {
        tensors->status = COT_E_NOMEM;
        return;
    }
    tensors->piece.data[n] = (struct coti_piece){data, (size_t)bytes};
    tensors->piece.count = n + 1;
    (void)snprintf(checksum, sizeof checksum, "%016" PRIx64, coti_hash(0, data, (size_t)bytes));
    coti_tensors_metadata(tensors, key, checksum);
    append_entry(&tensors->header, whole, coti_safetensors_dtype(dtype), shape, tensors->bytes,
                 end);
    tensors->bytes = end;
}

void coti_tensors_add_variable(coti_tensors *tensors, const char *prefix,
                               const cot_variable *variable) {
    const void *data = variable->storage;
    if (variable->transposed) {
        void *copy = coti_arena_alloc(&tensors->arena, (size_t)variable->bytes);
        if (copy == NULL || cot_variable_get(variable, copy, (size_t)variable->bytes) != COT_OK) {
            tensors->status = tensors->status != COT_OK ? tensors->status : COT_E_NOMEM;
            return;
        }
        data = copy;
    }
    coti_tensors_add(tensors, prefix, variable->name, variable->dtype, &variable->shape, data);
}

/* The header, complete: checksum, padding. */
static cot_status finish_header(coti_tensors *tensors, coti_str *header) {
    coti_str_append(header, head);
    coti_str_append(header, zeros);
    coti_str_append(header, coti_str_text(&tensors->metadata));
    coti_str_append(header, "}");
    coti_str_append(header, coti_str_text(&tensors->header));
    coti_str_append(header, "}");
    while ((header->count + LENGTH_BYTES) % ALIGNMENT != 0 && !header->failed) {
        coti_str_append(header, " ");
    }
    COTI_TRY(coti_str_status(&tensors->metadata));
    COTI_TRY(coti_str_status(&tensors->header));
    COTI_TRY(coti_str_status(header));
    size_t at = sizeof head - 1;
    char checksum[20];
    (void)snprintf(checksum, sizeof checksum, "%016" PRIx64,
                   coti_safetensors_checksum(header->data, header->count, (int64_t)at));
    memcpy(header->data + at, checksum, 16);
    return COT_OK;
}

static cot_status write_all(const coti_tensors *tensors, const coti_str *header,
                            coti_atomic_file *file) {
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++) {
        length[i] = (unsigned char)((uint64_t)header->count >> (8 * i));
    }
    COTI_TRY(coti_atomic_write(file, length, sizeof length));
    COTI_TRY(coti_atomic_write(file, header->data, header->count));
    for (size_t i = 0; i < tensors->piece.count; i++) {
        COTI_TRY(
            coti_atomic_write(file, tensors->piece.data[i].data, tensors->piece.data[i].bytes));
    }
    return COT_OK;
}

cot_status coti_tensors_write(coti_tensors *tensors, const char *path) {
    COTI_TRY(tensors->status);
    coti_str header;
    coti_atomic_file file;
    coti_str_init(&header, tensors->context);
    cot_status status = finish_header(tensors, &header);
    if (status == COT_OK) {
        status = coti_atomic_open(tensors->context, path, &file);
    }
    if (status == COT_OK) {
        status = write_all(tensors, &header, &file);
        if (status == COT_OK) {
            status = coti_atomic_commit(&file);
        } else {
            coti_atomic_abandon(&file);
        }
    }
    coti_str_free(&header);
    return status;
}
