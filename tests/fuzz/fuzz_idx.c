/*
 * Fuzz target: IDX files. One file of inputs and perhaps one of targets, plain or gzip, whole or
 * damaged, are read on a memory budget.
 */
#include "data_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes bytes = {data, data + size};
    fuzz_heap heap;
    cot_context *context = fuzz_context_create(&heap, fuzz_limit(size));
    bool has_targets = fuzz_below(&bytes, 2) == 1;
    cot_read_options options = data_options(&bytes, (int64_t)heap.limit / 4);
    data_file inputs = data_file_make(&bytes, 1);
    data_file targets = data_file_make(&bytes, 1);
    cot_dataset *dataset =
        cot_dataset_read_idx(context, inputs.path, has_targets ? targets.path : NULL, &options);
    data_file_close(&inputs);
    data_file_close(&targets);
    data_check(context, dataset);
    fuzz_context_destroy(context, &heap);
    return 0;
}
