/*
 * Fuzz target: CIFAR-10's binary batches. Up to three files, plain or gzip, whole or damaged, are
 * read on a memory budget.
 */
#include "data_file.h"

enum { RECORD_BYTES = 1 + 3 * 32 * 32, MOST_FILES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes bytes = {data, data + size};
    fuzz_heap heap;
    cot_context *context = fuzz_context_create(&heap, fuzz_limit(size));
    data_file file[MOST_FILES];
    const char *paths[MOST_FILES];
    int32_t n = fuzz_below(&bytes, MOST_FILES + 1);
    cot_read_options options = data_options(&bytes, (int64_t)heap.limit / 8);
    for (int32_t i = 0; i < n; i++) {
        file[i] = data_file_make(&bytes, RECORD_BYTES);
        paths[i] = file[i].path;
    }
    cot_dataset *dataset = cot_dataset_read_cifar10(context, paths, n, &options);
    for (int32_t i = 0; i < n; i++) {
        data_file_close(&file[i]);
    }
    if (dataset != NULL) {
        FUZZ_CHECK(cot_dataset_input(dataset, 0)->row_elements == RECORD_BYTES - 1, "3072 pixels");
        FUZZ_CHECK(cot_dataset_n_rows(dataset) > 0, "no rows");
    }
    data_check(context, dataset);
    fuzz_context_destroy(context, &heap);
    return 0;
}
