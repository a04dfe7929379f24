/*
 * Fuzz target: mapped files. One file of inputs and perhaps one of targets, .npy, IDX or raw rows,
 * whole or damaged: refused, or readable to the last byte.
 */
#include "data_file.h"

/* Rows as the input describes them, or (mostly) as the file does. */
static cot_file describe(fuzz_bytes *bytes, const data_file *from) {
    static const int64_t numbers[] = {0, 1, 2, 3, 4, 8, 12, 64, -1, INT64_MAX};
    cot_file file = {.path = from->path};
    if (fuzz_below(bytes, 4) == 3) {
        file.row_elements = numbers[fuzz_below(bytes, 10)];
        file.dtype = (cot_dtype)fuzz_below(bytes, 7);
        file.header_bytes = numbers[fuzz_below(bytes, 10)];
        file.row_bytes = numbers[fuzz_below(bytes, 10)];
        file.n_rows = numbers[fuzz_below(bytes, 10)];
    }
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes bytes = {data, data + size};
    fuzz_heap heap;
    cot_context *context = fuzz_context_create(&heap, fuzz_limit(size));
    bool has_targets = fuzz_below(&bytes, 2) == 1;
    data_file inputs = data_file_make(&bytes, 1);
    data_file targets = data_file_make(&bytes, 1);
    const cot_file file[2] = {describe(&bytes, &inputs), describe(&bytes, &targets)};
    cot_dataset *dataset = cot_dataset_map(context, (cot_file_list){&file[0], 1},
                                           (cot_file_list){&file[1], has_targets});
    data_file_close(&inputs);
    data_file_close(&targets);
    data_check(context, dataset);
    fuzz_context_destroy(context, &heap);
    return 0;
}
