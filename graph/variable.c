/*
 * Variables: reference-counted tensors that outlive graphs and programs.
 *
 * A variable is destroyed with its last reference; graphs and programs hold one each. Storage is
 * one 64-byte aligned block in the home layout; the outside sees row-major values. bool elements
 * are stored as 0 or 1, whatever non-zero byte came in.
 */
#include "graph.h"

#include <string.h>

static cot_status check_type(cot_context *context, cot_dtype dtype, const cot_shape *shape,
                             const char *name, int64_t *bytes_out) {
    if (cot_dtype_bytes(dtype) == 0) {
        return COTI_OP_FAIL(context, COT_E_DTYPE, "variable", name, "%d is no dtype", (int)dtype);
    }
    COTI_TRY(coti_shape_check(context, shape, "variable", name));
    if (shape->batched) {
        char type[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(context, COT_E_SHAPE, "variable", name, "%s is batched, must be static",
                            coti_type_text(type, dtype, shape));
    }
    int64_t elements = 0;
    if (!coti_shape_elements(shape, 1, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes(dtype), bytes_out)) {
        char type[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(context, COT_E_SHAPE, "variable", name, "%s is too large",
                            coti_type_text(type, dtype, shape));
    }
    return COT_OK;
}

cot_variable *cot_variable_create(cot_context *context, cot_dtype dtype, cot_shape shape,
                                  const char *name) {
    if (context == NULL) {
        return NULL;
    }
    if (name == NULL || name[0] == '\0') {
        COTI_FAIL(context, COT_E_ARG, "variable: a variable needs a name");
        return NULL;
    }
    int64_t bytes = 0;
    if (check_type(context, dtype, &shape, name, &bytes) != COT_OK) {
        return NULL;
    }
    for (int32_t i = shape.rank; i < COT_MAX_RANK; i++) {
        shape.dim[i] = 0;
    }
    cot_variable *variable = coti_calloc(context, 1, sizeof *variable);
    char *copy = variable != NULL ? coti_strdup(context, name) : NULL;
    void *storage = copy != NULL ? coti_alloc_array(context, (size_t)bytes) : NULL;
    if (storage == NULL) {
        coti_free(context, copy);
        coti_free(context, variable);
        return NULL;
    }
    memset(storage, 0, (size_t)bytes);
    /* Row-major homes everywhere: kernels reach what they read by strides. */
    *variable = (cot_variable){.context = context,
                               .references = 1,
                               .dtype = dtype,
                               .shape = shape,
                               .transposed = false,
                               .bytes = bytes,
                               .storage = storage,
                               .name = copy,
                               .id = context->next_id++};
    return variable;
}

cot_variable *cot_variable_retain(cot_variable *variable) {
    if (variable != NULL) {
        variable->references++;
    }
    return variable;
}

void cot_variable_release(cot_variable *variable) {
    if (variable == NULL || --variable->references > 0) {
        return;
    }
    coti_free_array(variable->context, variable->storage);
    coti_free(variable->context, variable->name);
    coti_free(variable->context, variable);
}

const char *cot_variable_name(const cot_variable *variable) {
    return variable != NULL ? variable->name : "";
}

cot_dtype cot_variable_dtype(const cot_variable *variable) {
    return variable != NULL ? variable->dtype : COT_F32;
}

cot_shape cot_variable_shape(const cot_variable *variable) {
    return variable != NULL ? variable->shape : (cot_shape){.rank = 0};
}

static cot_status check_bytes(const cot_variable *variable, const void *data, size_t bytes) {
    if (bytes != (size_t)variable->bytes || (bytes > 0 && data == NULL)) {
        char type[COTI_TYPE_BYTES];
        return COTI_OP_FAIL(variable->context, COT_E_ARG, "variable", variable->name,
                            "%s holds %lld bytes, %zu are given%s",
                            coti_type_text(type, variable->dtype, &variable->shape),
                            (long long)variable->bytes, bytes, data == NULL ? " at NULL" : "");
    }
    return COT_OK;
}

/* to[i,j] = from[j,i] for a matrix `to` of `rows` x `columns` elements of `bytes` each. */
static void transpose(char *to, const char *from, int64_t rows, int64_t columns, size_t bytes) {
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            memcpy(to + (size_t)(i * columns + j) * bytes, from + (size_t)(j * rows + i) * bytes,
                   bytes);
        }
    }
}

cot_status cot_variable_set(cot_variable *variable, const void *data, size_t bytes) {
    if (variable == NULL) {
        return COT_E_ARG;
    }
    COTI_TRY(check_bytes(variable, data, bytes));
    if (variable->transposed) {
        transpose(variable->storage, data, variable->shape.dim[1], variable->shape.dim[0],
                  cot_dtype_bytes(variable->dtype));
    } else if (bytes > 0) {
        memcpy(variable->storage, data, bytes);
    }
    unsigned char *byte = variable->storage;
    for (size_t i = 0; variable->dtype == COT_BOOL && i < bytes; i++) {
        byte[i] = byte[i] != 0;
    }
    return COT_OK;
}

void coti_variable_fill(cot_variable *variable, double value) {
    int64_t n = variable->bytes / (int64_t)cot_dtype_bytes(variable->dtype);
    for (int64_t i = 0; i < n; i++) {
        if (variable->dtype == COT_F32) {
            ((float *)variable->storage)[i] = (float)value;
        } else if (variable->dtype == COT_F64) {
            ((double *)variable->storage)[i] = value;
        }
    }
}

void coti_variable_copy(cot_variable *to, const cot_variable *from) {
    if (from->bytes > 0) {
        memcpy(to->storage, from->storage, (size_t)from->bytes);
    }
}

cot_status cot_variable_get(const cot_variable *variable, void *data, size_t bytes) {
    if (variable == NULL) {
        return COT_E_ARG;
    }
    COTI_TRY(check_bytes(variable, data, bytes));
    if (variable->transposed) {
        transpose(data, variable->storage, variable->shape.dim[0], variable->shape.dim[1],
                  cot_dtype_bytes(variable->dtype));
    } else if (bytes > 0) {
        memcpy(data, variable->storage, bytes);
    }
    return COT_OK;
}
