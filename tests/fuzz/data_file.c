/* Files in memory and checks of data sets: contract in data_file.h. */
#include "data_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

enum { REPEAT = 1, GZIP = 2, TWO_MEMBERS = 4, FLIP = 8, CUT = 16, MOST_CLASSES = 64 };

/* ---- files ---- */

typedef struct content {
    uint8_t *data;
    size_t n;
} content;

/* The input's bytes, repeated if asked. */
static content take_content(fuzz_bytes *bytes, size_t n, size_t record_bytes, bool repeat) {
    size_t left = (size_t)(bytes->end - bytes->at);
    n = n < left ? n : left;
    size_t whole = repeat ? (n / record_bytes + 1) * record_bytes : n;
    content c = {malloc(whole + 1), whole};
    FUZZ_CHECK(c.data != NULL, "no memory");
    for (size_t i = 0; i < whole; i++) {
        c.data[i] = n > 0 ? bytes->at[i % n] : 0;
    }
    bytes->at += n;
    return c;
}

/* A gzip member; its size. */
static size_t compress_member(const uint8_t *data, size_t n, uint8_t *to, size_t room) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data,
                       .avail_in = (uInt)n,
                       .next_out = to,
                       .avail_out = (uInt)room};
    int made = deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    FUZZ_CHECK(made == Z_OK && deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib");
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static content compress_content(content plain, bool two) {
    size_t room = compressBound((uLong)plain.n) + 64; /* a member's head and tail take 18 */
    content c = {malloc(2 * room), 0};
    FUZZ_CHECK(c.data != NULL, "no memory");
    size_t first = two ? plain.n / 2 : plain.n;
    c.n = compress_member(plain.data, first, c.data, room);
    if (two) {
        c.n += compress_member(plain.data + first, plain.n - first, c.data + c.n, room);
    }
    free(plain.data);
    return c;
}

data_file data_file_make(fuzz_bytes *bytes, size_t record_bytes) {
    uint8_t flags = fuzz_byte(bytes);
    size_t n = fuzz_byte(bytes);
    n |= (size_t)fuzz_byte(bytes) << 8;
    uint8_t place = (flags & (FLIP | CUT)) != 0 ? fuzz_byte(bytes) : 0;
    content c = take_content(bytes, n, record_bytes, (flags & REPEAT) != 0);
    if ((flags & GZIP) != 0) {
        c = compress_content(c, (flags & TWO_MEMBERS) != 0);
    }
    if ((flags & FLIP) != 0 && c.n > 0) {
        c.data[place * c.n / 256] ^= (uint8_t)(1 << place % 8);
    }
    if ((flags & CUT) != 0) {
        c.n = place * c.n / 256;
    }
    data_file file = {.descriptor = memfd_create("fuzz", MFD_CLOEXEC)};
    FUZZ_CHECK(file.descriptor >= 0, "no file in memory");
    FUZZ_CHECK(write(file.descriptor, c.data, c.n) == (ssize_t)c.n, "no room in memory");
    free(c.data);
    (void)snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.descriptor);
    return file;
}

void data_file_close(data_file *file) {
    close(file->descriptor);
}

cot_read_options data_options(fuzz_bytes *bytes, int64_t most_bytes) {
    static const double numbers[] = {0, 0, 1, -0.0, 0.5, 1e300, -1, INFINITY};
    cot_read_options options = COT_READ_OPTIONS_INIT;
    options.scale = numbers[fuzz_below(bytes, 8)];
    options.offset = numbers[fuzz_below(bytes, 8)];
    int32_t i = fuzz_below(bytes, 8);
    options.max_bytes = i == 7 ? -1 : i == 6 ? 100 : most_bytes;
    return options;
}

/* ---- data sets ---- */

/* Read every byte of an array, so that a sanitizer sees those that are not there. */
static uint64_t sum_of(const cot_array *array, int64_t n_rows) {
    uint64_t sum = 0;
    FUZZ_CHECK(array != NULL && array->n_rows == n_rows && array->row_elements > 0, "an array");
    int64_t row = array->row_elements * (int64_t)cot_dtype_bytes(array->dtype);
    FUZZ_CHECK(row > 0 && array->row_bytes >= row, "rows overlap");
    for (int64_t i = 0; i < n_rows; i++) {
        const uint8_t *data = (const uint8_t *)array->data + i * array->row_bytes;
        for (int64_t k = 0; k < row; k++) {
            sum += data[k];
        }
    }
    return sum;
}

static uint64_t sum_all(const cot_dataset *dataset) {
    uint64_t sum = sum_of(cot_dataset_input(dataset, 0), cot_dataset_n_rows(dataset));
    for (int32_t i = 0; i < cot_dataset_n_targets(dataset); i++) {
        sum += sum_of(cot_dataset_target(dataset, i), cot_dataset_n_rows(dataset));
    }
    return sum;
}

static void check_split(cot_context *context, const cot_dataset *dataset) {
    cot_dataset *part[2] = {NULL, NULL};
    cot_status status = cot_dataset_split(dataset, 0.4, &part[0], &part[1]);
    if (status == COT_OK) {
        FUZZ_CHECK(sum_all(part[0]) + sum_all(part[1]) == sum_all(dataset), "a split loses data");
    } else {
        FUZZ_CHECK(part[0] == NULL && part[1] == NULL, "half a split");
        FUZZ_CHECK(cot_dataset_n_rows(dataset) < 3, "no split: %s", cot_error_message(context));
        fuzz_check_error(context, status);
        cot_error_clear(context);
    }
    cot_dataset_destroy(part[0]);
    cot_dataset_destroy(part[1]);
}

/* One-hot targets: a 1 a row. */
static void check_categorical(cot_context *context, const cot_dataset *dataset) {
    cot_dataset *hot = cot_dataset_to_categorical(dataset, 0, MOST_CLASSES);
    if (hot == NULL) {
        fuzz_check_error(context, cot_error_get(context).status);
        cot_error_clear(context);
        return;
    }
    const cot_array *array = cot_dataset_target(hot, 0);
    (void)sum_of(array, cot_dataset_n_rows(dataset));
    for (int64_t row = 0; row < array->n_rows; row++) {
        float sum = 0;
        for (int64_t k = 0; k < array->row_elements; k++) {
            sum += ((const float *)array->data)[row * array->row_elements + k];
        }
        FUZZ_CHECK(array->row_elements == MOST_CLASSES && sum == 1, "row %lld is not one-hot",
                   (long long)row);
    }
    cot_dataset_destroy(hot);
}

void data_check(cot_context *context, cot_dataset *dataset) {
    if (dataset == NULL) {
        cot_status status = cot_error_get(context).status;
        fuzz_check_error(context, status);
        FUZZ_CHECK(status != COT_E_NOMEM, "more memory than the options allow");
        return;
    }
    FUZZ_CHECK(cot_error_get(context).status == COT_OK, "a data set, and: %s",
               cot_error_message(context));
    (void)sum_all(dataset);
    check_split(context, dataset);
    check_categorical(context, dataset);
    cot_dataset *slice = cot_dataset_slice(dataset, 0, cot_dataset_n_rows(dataset));
    FUZZ_CHECK(slice != NULL && sum_all(slice) == sum_all(dataset), "a slice loses data");
    cot_dataset_destroy(dataset); /* the slice keeps what they share */
    (void)sum_all(slice);
    cot_dataset_destroy(slice);
}
