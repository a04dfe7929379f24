/* Findings, memory on a budget, choices: contract in fuzz.h. */
#include "fuzz.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_finding(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "finding: %s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* ---- memory ---- */

size_t fuzz_limit(size_t input_bytes) {
    return 64 * input_bytes + ((size_t)16 << 20);
}

/* Count a call that wants `bytes` more; true when it is refused. */
static bool refuse(fuzz_heap *heap, size_t bytes) {
    heap->n_calls++;
    bool refused =
        heap->n_calls == heap->fail_at || bytes > heap->limit || heap->live > heap->limit - bytes;
    heap->n_refused += refused;
    return refused;
}

static void *heap_alloc(size_t bytes, void *user) {
    fuzz_heap *heap = user;
    void *pointer = refuse(heap, bytes) ? NULL : malloc(bytes);
    if (pointer != NULL) {
        heap->live += malloc_usable_size(pointer);
        heap->n_live++;
    }
    return pointer;
}

static void heap_free(void *pointer, void *user) {
    fuzz_heap *heap = user;
    heap->live -= malloc_usable_size(pointer);
    heap->n_live--;
    free(pointer);
}

/* Always moves, so that a stale pointer is seen. */
static void *heap_realloc(void *pointer, size_t old_bytes, size_t new_bytes, void *user) {
    void *moved = heap_alloc(new_bytes, user);
    if (moved != NULL) {
        memcpy(moved, pointer, old_bytes < new_bytes ? old_bytes : new_bytes);
        heap_free(pointer, user);
    }
    return moved;
}

cot_context *fuzz_context_create(fuzz_heap *heap, size_t limit) {
    *heap = (fuzz_heap){.limit = limit};
    const cot_options options = {.struct_size = sizeof options,
                                 .threads = 1,
                                 .allocator = {heap_alloc, heap_realloc, heap_free, heap},
                                 .environment = COT_OFF,
                                 .verify = COT_OFF};
    cot_context *context = cot_context_create(&options);
    FUZZ_CHECK(context != NULL, "no context");
    return context;
}

void fuzz_context_destroy(cot_context *context, fuzz_heap *heap) {
    cot_context_destroy(context);
    FUZZ_CHECK(heap->n_live == 0, "%lld blocks of %zu bytes were leaked", (long long)heap->n_live,
               heap->live);
}

/* ---- errors ---- */

void fuzz_check_error(const cot_context *context, cot_status status) {
    cot_error error = cot_error_get(context);
    size_t length = strlen(error.message);
    FUZZ_CHECK(status != COT_OK && error.status == status, "returned %s, recorded %s: %s",
               cot_status_name(status), cot_status_name(error.status), error.message);
    FUZZ_CHECK(status != COT_E_INTERNAL, "internal: %s", error.message);
    FUZZ_CHECK(length > 0, "%s without a message", cot_status_name(status));
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)error.message[i];
        FUZZ_CHECK(c >= 0x20 && c != 0x7f, "byte 0x%02x in a message: %s", c, error.message);
    }
}

/* ---- choices ---- */

uint8_t fuzz_byte(fuzz_bytes *bytes) {
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

int32_t fuzz_below(fuzz_bytes *bytes, int32_t n) {
    return fuzz_byte(bytes) % n;
}
