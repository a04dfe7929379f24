/*
 * The bump allocator, and the growth of COTI_VEC arrays.
 *
 * Blocks double up to a megabyte; an object larger than the next block gets a block of its own
 * size. Objects are 16-byte aligned because block headers are 16 bytes and the context's memory is
 * aligned as malloc's.
 */
#include "arena.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_BLOCK_BYTES = 4096, LARGEST_BLOCK_BYTES = 1 << 20, FIRST_COUNT = 8 };

typedef struct coti_arena_block {
    struct coti_arena_block *next;
    size_t bytes; /* of the payload that follows */
} block;

_Static_assert(sizeof(block) % ALIGNMENT == 0, "payloads start aligned");

void coti_arena_init(coti_arena *arena, cot_context *context) {
    *arena = (coti_arena){.context = context};
}

void coti_arena_clear(coti_arena *arena) {
    while (arena->blocks != NULL) {
        block *next = arena->blocks->next;
        coti_free(arena->context, arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
    arena->capacity = 0;
}

/* Put a block with at least `bytes` of payload in front. */
static bool add_block(coti_arena *arena, size_t bytes) {
#ifdef COTI_ARENA_MALLOC
    size_t payload = bytes;
#else
    size_t payload = arena->blocks == NULL ? FIRST_BLOCK_BYTES : 2 * arena->blocks->bytes;
    payload = payload > LARGEST_BLOCK_BYTES ? LARGEST_BLOCK_BYTES : payload;
    payload = payload < bytes ? bytes : payload;
#endif
    block *added = coti_alloc(arena->context, sizeof(block) + payload);
    if (added == NULL) {
        return false;
    }
    *added = (block){arena->blocks, payload};
    arena->blocks = added;
    arena->used = 0;
    arena->capacity = payload;
    return true;
}

/* Room, as it was left. */
static void *take(coti_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 2) {
        COTI_FAIL(arena->context, COT_E_NOMEM, "out of memory");
        return NULL;
    }
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
#ifdef COTI_ARENA_MALLOC
    const bool fits = false;
    rounded = bytes; /* so that the sanitizer sees the first byte past the end */
#else
    rounded = rounded == 0 ? ALIGNMENT : rounded;
    const bool fits = arena->blocks != NULL && rounded <= arena->capacity - arena->used;
#endif
    if (!fits && !add_block(arena, rounded)) {
        return NULL;
    }
    void *object = (char *)(arena->blocks + 1) + arena->used;
    arena->used += rounded;
    return object;
}

void *coti_arena_alloc(coti_arena *arena, size_t bytes) {
    void *object = take(arena, bytes);
    return object != NULL ? memset(object, 0, bytes) : NULL;
}

void *coti_arena_array(coti_arena *arena, size_t n, size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        bytes = SIZE_MAX; /* refused, with its message, by coti_arena_alloc */
    }
    return coti_arena_alloc(arena, bytes);
}

void *coti_arena_copy(coti_arena *arena, const void *data, size_t bytes) {
    void *copy = take(arena, bytes);
    if (copy != NULL && bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *coti_arena_strdup(coti_arena *arena, const char *text) {
    return coti_arena_copy(arena, text, strlen(text) + 1);
}

char *coti_arena_printf(coti_arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        COTI_FAIL(arena->context, COT_E_INTERNAL, "a text could not be formatted");
        return NULL;
    }
    char *text = coti_arena_alloc(arena, (size_t)length + 1);
    if (text != NULL) {
        va_start(arguments, format);
        (void)vsnprintf(text, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    return text;
}

cot_status coti_vec_grow(cot_context *context, void **data, size_t *capacity, size_t count,
                         size_t element_bytes) {
    size_t wanted = *capacity < FIRST_COUNT / 2 ? FIRST_COUNT : 2 * *capacity;
    wanted = wanted < count ? count : wanted;
    size_t bytes = 0;
    if (*capacity > SIZE_MAX / 4 || __builtin_mul_overflow(wanted, element_bytes, &bytes)) {
        return COTI_FAIL(context, COT_E_NOMEM, "out of memory");
    }
    /* `data` is the address of a pointer of another type: read and write it as bytes. */
    void *old = NULL;
    memcpy((void *)&old, (const void *)data, sizeof old);
    void *grown = coti_realloc(context, old, *capacity * element_bytes, bytes);
    if (grown == NULL) {
        return COT_E_NOMEM;
    }
    memcpy((void *)data, (const void *)&grown, sizeof grown);
    *capacity = wanted;
    return COT_OK;
}
