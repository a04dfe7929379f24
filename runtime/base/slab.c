/*
 * Memory for variables: what coti_alloc_array and coti_free_array hand out.
 *
 * A step of a network with more weights than the caches hold walks all of them, and of their
 * moments, from memory: 157 MB on 40,000 pages of 4 kB are more than the processor remembers
 * addresses of. Arrays that have no huge page of their own therefore share slabs that do, once a
 * context has so many that it matters. A slab is returned with its last array.
 */
#include "context.h"

#include <string.h>

enum {
    LINE = 64,
    APART = 7 * LINE,         /* see stagger() in context.c */
    LEAST_BYTES = 16 * 1024,  /* of an array for a slab, ... */
    MOST_BYTES = 2048 * 1024, /* ... and those that have huge pages themselves */
    SLAB_BYTES = 8192 * 1024,
    WORTH_BYTES = 16384 * 1024 /* of arrays before the first slab: waste is at most a third */
};

/* At a slab's beginning; its address, and so a pointer to it, is even. */
struct coti_slab {
    int64_t n_arrays;
    size_t used;
};

static uintptr_t word_before(const void *array) {
    uintptr_t word = 0;
    memcpy(&word, (const char *)array - sizeof word, sizeof word);
    return word;
}

static bool open_slab(cot_context *context) {
    struct coti_slab *slab = coti_alloc_aligned(context, SLAB_BYTES);
    if (slab != NULL) {
        *slab = (struct coti_slab){.used = sizeof *slab};
        context->slab = slab;
    }
    return slab != NULL;
}

/* Where an array begins that is taken from a slab filled so far. */
static size_t place(size_t used) {
    return (used + APART + LINE - 1) / LINE * LINE;
}

void *coti_alloc_array(cot_context *context, size_t bytes) {
    const bool shares = bytes >= LEAST_BYTES && bytes < MOST_BYTES;
    if (!shares || context->array_bytes < WORTH_BYTES) {
        context->array_bytes += shares ? bytes : 0;
        return coti_alloc_aligned(context, bytes);
    }
    if (context->slab == NULL || place(context->slab->used) + bytes > SLAB_BYTES) {
        if (!open_slab(context)) {
            return NULL;
        }
    }
    struct coti_slab *slab = context->slab;
    const size_t at = place(slab->used);
    char *array = (char *)slab + at;
    const uintptr_t word = (uintptr_t)slab | 1; /* coti_alloc_aligned's own is even */
    memcpy(array - sizeof word, &word, sizeof word);
    slab->used = at + bytes;
    slab->n_arrays++;
    return array;
}

void coti_free_array(cot_context *context, void *array) {
    if (array == NULL || (word_before(array) & 1) == 0) {
        coti_free_aligned(context, array);
        return;
    }
    struct coti_slab *slab = (struct coti_slab *)(word_before(array) - 1);
    if (--slab->n_arrays == 0) {
        context->slab = context->slab == slab ? NULL : context->slab;
        coti_free_aligned(context, slab);
    }
}
