/*
 * The context: made from options and environment, and the only door to memory.
 *
 * The allocator table is copied into the context, which itself is its first allocation. Everything
 * that runs out of memory says so here, once; callers only pass COT_E_NOMEM on.
 */
#include "context.h"

#include "options.h"

#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

enum { ALIGNMENT = 64, PAGE = 4096, HUGE_PAGE = 2 << 20 };

const char *cot_version(void) {
    return VERSION_TEXT(COT_VERSION_MAJOR, COT_VERSION_MINOR, COT_VERSION_PATCH);
}

/* ---- the default allocator ---- */

static void *heap_alloc(size_t bytes, void *user) {
    (void)user;
    return malloc(bytes);
}

static void *heap_realloc(void *pointer, size_t old_bytes, size_t new_bytes, void *user) {
    (void)old_bytes;
    (void)user;
    return realloc(pointer, new_bytes);
}

static void heap_free(void *pointer, void *user) {
    (void)user;
    free(pointer);
}

/* False when the table is filled in part. */
static bool choose_allocator(const cot_allocator *given, cot_allocator *chosen_out) {
    int32_t n_given = (given->alloc != NULL) + (given->realloc != NULL) + (given->free != NULL);
    *chosen_out =
        n_given == 0 ? (cot_allocator){heap_alloc, heap_realloc, heap_free, NULL} : *given;
    return n_given == 0 || n_given == 3;
}

/* ---- life ---- */

/*
 * Take over the caller's options, whose struct may be an older, shorter one: what it lacks is zero.
 * False when struct_size is not one of ours.
 */
static bool copy_options(const cot_options *given, cot_options *copy_out) {
    memset(copy_out, 0, sizeof *copy_out);
    if (given == NULL) {
        return true;
    }
    if (given->struct_size < sizeof given->struct_size ||
        given->struct_size > sizeof(cot_options)) {
        return false;
    }
    memcpy(copy_out, given, given->struct_size);
    return true;
}

cot_context *cot_context_create(const cot_options *given) {
    cot_options options;
    cot_allocator allocator;
    if (!copy_options(given, &options) || !choose_allocator(&options.allocator, &allocator)) {
        return NULL;
    }
    cot_context *context = allocator.alloc(sizeof *context, allocator.user);
    if (context == NULL) {
        return NULL;
    }
    memset(context, 0, sizeof *context);
    context->allocator = allocator;
    if (coti_options_apply(context, &options) != COT_OK) {
        cot_context_destroy(context);
        return NULL;
    }
    return context;
}

void cot_context_destroy(cot_context *context) {
    if (context == NULL) {
        return;
    }
    for (int32_t i = COTI_SLOT_COUNT - 1; i >= 0; i--) {
        if (context->slot[i].destroy != NULL) {
            context->slot[i].destroy(context->slot[i].state);
        }
    }
    coti_free(context, context->cache_dir);
    coti_free(context, context->dump_dir);
    cot_allocator allocator = context->allocator;
    allocator.free(context, allocator.user);
}

/* ---- memory ---- */

static void *out_of_memory(cot_context *context) {
    coti_fail_at(context, __FILE__, __LINE__, COT_E_NOMEM, NULL, NULL, "out of memory");
    return NULL;
}

void *coti_alloc(cot_context *context, size_t bytes) {
    void *pointer = context->allocator.alloc(bytes == 0 ? 1 : bytes, context->allocator.user);
    return pointer != NULL ? pointer : out_of_memory(context);
}

void *coti_calloc(cot_context *context, size_t n, size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        return out_of_memory(context);
    }
    if (context->allocator.alloc == heap_alloc) { /* which knows what the system has cleared */
        void *cleared = calloc(1, bytes == 0 ? 1 : bytes);
        return cleared != NULL ? cleared : out_of_memory(context);
    }
    void *pointer = coti_alloc(context, bytes);
    if (pointer != NULL) {
        memset(pointer, 0, bytes);
    }
    return pointer;
}

void *coti_realloc(cot_context *context, void *pointer, size_t old_bytes, size_t new_bytes) {
    if (pointer == NULL) {
        return coti_alloc(context, new_bytes);
    }
    /* coti_alloc never asks for 0 bytes, so the allocator knows a block of 0 as one of 1. */
    void *moved =
        context->allocator.realloc(pointer, old_bytes == 0 ? 1 : old_bytes,
                                   new_bytes == 0 ? 1 : new_bytes, context->allocator.user);
    return moved != NULL ? moved : out_of_memory(context);
}

void coti_free(cot_context *context, void *pointer) {
    if (pointer != NULL) {
        context->allocator.free(pointer, context->allocator.user);
    }
}

/*
 * Ask for huge pages where a block has whole ones: products walk its rows, of which each of 4 kB
 * and more is on a page of its own, and a step's memory has more pages than the processor remembers
 * addresses of. Only what is inside the block is named, so nothing grows; that it is refused is no
 * failure.
 */
static void prefer_huge_pages(char *block, size_t bytes) {
#ifdef MADV_HUGEPAGE
    const size_t before = (0 - (uintptr_t)block) & (HUGE_PAGE - 1);
    const size_t whole = bytes > before ? (bytes - before) / HUGE_PAGE * HUGE_PAGE : 0;
    if (whole > 0) {
        (void)madvise(block + before, whole, MADV_HUGEPAGE);
    }
#else
    (void)block;
    (void)bytes;
#endif
}

/*
 * Where in a page a large block is to begin. An update walks rows of a weight and of its moments at
 * once, and rows often lie half a page or a page apart: were the arrays to begin at the same place
 * in a page, as malloc has large ones do, they would all fall into the same few sets of the first
 * cache. So each begins seven lines after the one before.
 */
static size_t stagger(cot_context *context, size_t bytes) {
    return bytes < PAGE ? 0 : context->n_large_blocks++ * 7 * ALIGNMENT % PAGE;
}

/* The pointer that the allocator gave stands in the 8 bytes before the aligned block. */
void *coti_alloc_aligned(cot_context *context, size_t bytes) {
    const size_t before = stagger(context, bytes) + sizeof(void *);
    size_t padded = 0;
    if (__builtin_add_overflow(bytes, before + ALIGNMENT, &padded)) {
        return out_of_memory(context);
    }
    char *block = coti_alloc(context, padded);
    if (block == NULL) {
        return NULL;
    }
    uintptr_t first = (uintptr_t)block + before;
    char *aligned = block + before + ((0 - first) & (ALIGNMENT - 1));
    memcpy(aligned - sizeof(void *), (const void *)&block, sizeof(void *));
    prefer_huge_pages(aligned, bytes);
    return aligned;
}

void coti_free_aligned(cot_context *context, void *pointer) {
    if (pointer != NULL) {
        char *block = NULL;
        memcpy((void *)&block, (char *)pointer - sizeof(void *), sizeof(void *));
        coti_free(context, block);
    }
}

char *coti_strdup(cot_context *context, const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = coti_alloc(context, bytes);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
    }
    return copy;
}
