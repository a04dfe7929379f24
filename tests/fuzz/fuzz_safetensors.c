/*
 * Fuzz target: safetensors files, read as the weights of a model, with and without mismatches
 * skipped, and as a checkpoint; on a memory budget. The first byte says how the input becomes a
 * file: as it is; or as a header whose length, checksum and data are put right, so that what lies
 * behind those checks is reached.
 */
#include "fuzz.h"

#include "cotangent.h"
#include "frontend/files/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIX_LENGTH = 1, FIX_CHECKSUM = 2, MOST_DATA = 255, LENGTH_BYTES = 8, DIGITS = 16 };

static void write_all(int descriptor, const void *data, size_t n) {
    FUZZ_CHECK(write(descriptor, data, n) == (ssize_t)n, "no room in memory");
}

/* Put the right checksum where the header has a place for one. */
static void fix_checksum(char *header, size_t n) {
    static const char key[] = "\"checksum\":\"";
    const char *found = n > 0 ? memmem(header, n, key, sizeof key - 1) : NULL;
    size_t at = found != NULL ? (size_t)(found - header) + sizeof key - 1 : n;
    if (n - at < DIGITS) {
        return;
    }
    char digits[DIGITS + 1];
    uint64_t checksum = coti_safetensors_checksum(header, n, (int64_t)at);
    (void)snprintf(digits, sizeof digits, "%016" PRIx64, checksum);
    memcpy(header + at, digits, DIGITS);
}

/* A file in memory from the input. */
static int make_file(fuzz_bytes *bytes) {
    uint8_t flags = fuzz_byte(bytes);
    int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(descriptor >= 0, "no file in memory");
    if ((flags & FIX_LENGTH) == 0) {
        write_all(descriptor, bytes->at, (size_t)(bytes->end - bytes->at));
        return descriptor;
    }
    unsigned char data[MOST_DATA] = {0}, length[LENGTH_BYTES];
    size_t n_data = fuzz_byte(bytes), n = (size_t)(bytes->end - bytes->at);
    char *header = malloc(n + 1);
    FUZZ_CHECK(header != NULL, "no memory");
    memcpy(header, bytes->at, n);
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        length[i] = (unsigned char)(n >> (8 * i));
    }
    if ((flags & FIX_CHECKSUM) != 0) {
        fix_checksum(header, n);
    }
    write_all(descriptor, length, sizeof length);
    write_all(descriptor, header, n);
    write_all(descriptor, data, n_data);
    free(header);
    return descriptor;
}

/* x [2] -> a: kernel [2,3], bias [3]. */
static cot_model *make_model(cot_context *context) {
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(2), "x");
    cot_tensor a = cot_dense(x, 3, .name = "a");
    return cot_model_create(context, COT_TENSORS(x), COT_TENSORS(a), "m");
}

/* The bytes of all weights. */
static void read_weights(const cot_model *model, float value[9]) {
    cot_status status = cot_variable_get(cot_model_weight(model, 0), value, 6 * sizeof *value);
    FUZZ_CHECK(status == COT_OK, "a kernel");
    status = cot_variable_get(cot_model_weight(model, 1), value + 6, 3 * sizeof *value);
    FUZZ_CHECK(status == COT_OK, "a bias");
}

static void check_load(cot_model *model, const char *path, bool skip) {
    float before[9], after[9];
    cot_context *context = cot_model_context(model);
    read_weights(model, before);
    cot_status status = cot_model_load_weights(model, path, .skip_mismatch = skip);
    if (status != COT_OK) {
        fuzz_check_error(context, status);
        cot_error_clear(context);
        read_weights(model, after);
        FUZZ_CHECK(memcmp(before, after, sizeof before) == 0, "a failure changed weights");
    }
}

/* A checkpoint, and if it is one, a fit that goes on from it. */
static void check_restore(cot_model *model, const char *path) {
    static const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[12] = {1, 0, 1};
    cot_context *context = cot_model_context(model);
    const cot_array in = {.data = x, .dtype = COT_F32, .n_rows = 4, .row_elements = 2};
    const cot_array out = {.data = y, .dtype = COT_F32, .n_rows = 4, .row_elements = 3};
    cot_status status = cot_model_compile(model, .optimizer = cot_sgd(),
                                          .loss = COT_MEAN_SQUARED_ERROR, .max_batch = 2);
    FUZZ_CHECK(status == COT_OK, "compile: %s", cot_error_message(context));
    cot_dataset *data = cot_dataset_create(context, (cot_array_list){&in, 1},
                                           (cot_array_list){&out, 1}, COT_BORROW);
    FUZZ_CHECK(data != NULL, "data: %s", cot_error_message(context));
    status = cot_model_restore_checkpoint(model, path);
    if (status == COT_OK) {
        status = cot_model_fit(
            model, data, .batch_size = 2, .epochs = 2,
            .callbacks = {cot_early_stopping(.monitor = "loss", .restore_best_weights = true)});
    }
    if (status != COT_OK) {
        fuzz_check_error(context, status);
        cot_error_clear(context);
    }
    cot_dataset_destroy(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes bytes = {data, data + size};
    fuzz_heap heap;
    cot_context *context = fuzz_context_create(&heap, fuzz_limit(size));
    context->jit = false;
    char path[64];
    int descriptor = make_file(&bytes);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    cot_model *model = make_model(context);
    FUZZ_CHECK(model != NULL, "a model");
    check_load(model, path, false);
    check_load(model, path, true);
    check_restore(model, path);
    (void)close(descriptor);
    cot_model_destroy(model);
    fuzz_context_destroy(context, &heap);
    return 0;
}
