/*
 * Fuzz target: the text form. Any bytes are parsed; what is refused is refused with a message, on a
 * memory budget; what is accepted holds all that a graph must hold, its gradient included.
 */
#include "fuzz.h"

#include <string.h>

/* Only states may make the parser ask for more than its budget: a short text can declare large
 * ones, up to a limit that the parser states. */
static bool may_need_memory(const uint8_t *data, size_t size) {
    return size > 0 && memmem(data, size, "state", 5) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char none[1] = "";
    fuzz_heap heap;
    cot_context *context = fuzz_context_create(&heap, fuzz_limit(size));
    cot_graph *graph = cot_graph_parse(context, size > 0 ? (const char *)data : none, size);
    if (graph == NULL) {
        fuzz_check_error(context, cot_error_get(context).status);
    }
    FUZZ_CHECK(heap.n_refused == 0 || may_need_memory(data, size),
               "%zu bytes of text need more than %zu bytes of memory", size, heap.limit);
    if (graph != NULL) {
        heap.limit = SIZE_MAX;
        fuzz_check_graph(graph);
    }
    cot_graph_destroy(graph);
    fuzz_context_destroy(context, &heap);
    return 0;
}
