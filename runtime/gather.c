/*
 * What a LOAD kernel does, in plain C: gather rows in order or by an index, and convert them. Used
 * for inputs that are not batched, and by sessions that run on the reference evaluator.
 */
#include "program.h"

#include <string.h>

/* X(from, to): the conversions that are not plain copies. */
#define CONVERSION_LIST(X)                                                                         \
    X(COT_U8, COT_F32)                                                                             \
    X(COT_U8, COT_I32)                                                                             \
    X(COT_I64, COT_I32)

bool cotr_can_gather(cot_dtype from, cot_dtype to) {
    static const cot_dtype pair[][2] = {
#define CONVERSION_PAIR(a, b) {a, b},
        CONVERSION_LIST(CONVERSION_PAIR)
#undef CONVERSION_PAIR
    };
    for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        if (from == pair[i][0] && to == pair[i][1]) {
            return true;
        }
    }
    return from == to;
}

static void scale_bytes(const unsigned char *in, float scale, float offset, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)in[i] * scale + offset;
    }
}

static void widen_bytes(const unsigned char *in, int64_t n, int32_t *out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = in[i];
    }
}

/* Modulo 2^32, as kernels truncate; labels are checked where data is taken in. */
static void narrow_longs(const unsigned char *in, int64_t n, int32_t *out) {
    for (int64_t i = 0; i < n; i++) {
        int64_t value = 0;
        memcpy(&value, in + 8 * i, sizeof value);
        out[i] = (int32_t)(uint32_t)(uint64_t)value;
    }
}

void cotr_gather(const cotr_source *source, cot_dtype to, int64_t row_elements, int64_t first,
                 int64_t rows, void *out) {
    const int64_t out_bytes = row_elements * (int64_t)cot_dtype_bytes(to);
    if (out_bytes == 0) {
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t row = source->index != NULL ? source->index[first + i] : first + i;
        const unsigned char *in = source->base + row * source->row_bytes;
        void *target = (unsigned char *)out + i * out_bytes;
        if (source->dtype == (int32_t)to) {
            memcpy(target, in, (size_t)out_bytes);
        } else if (to == COT_F32) {
            scale_bytes(in, source->scale, source->offset, row_elements, target);
        } else if (source->dtype == COT_U8) {
            widen_bytes(in, row_elements, target);
        } else {
            narrow_longs(in, row_elements, target);
        }
    }
}
