/*
 * A bump allocator whose blocks die together. Under COTI_ARENA_MALLOC (sanitizer builds) each
 * object is a malloc of its own, so that overruns are seen. Not thread-safe.
 */
#ifndef COTI_ARENA_H
#define COTI_ARENA_H

#include "context.h"

typedef struct coti_arena {
    cot_context *context;
    struct coti_arena_block *blocks; /* newest first */
    size_t used, capacity;           /* of the newest block */
} coti_arena;

void coti_arena_init(coti_arena *arena, cot_context *context);
/* Frees everything; the arena may be used again. */
void coti_arena_clear(coti_arena *arena);
/* 16-byte aligned, zeroed. NULL with COT_E_NOMEM recorded. bytes 0 gives a valid pointer. */
void *coti_arena_alloc(coti_arena *arena, size_t bytes);
/* n * size, checked. */
void *coti_arena_array(coti_arena *arena, size_t n, size_t size);
/* Copies; NULL with COT_E_NOMEM recorded. */
void *coti_arena_copy(coti_arena *arena, const void *data, size_t bytes);
char *coti_arena_strdup(coti_arena *arena, const char *text);
char *coti_arena_printf(coti_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * A growing array in the heap: `COTI_VEC(type) name` in a struct, zero-initialised; coti_vec_push
 * grows it. Returns COT_E_NOMEM (recorded) and leaves it as it was when memory is short.
 */
#define COTI_VEC(type)                                                                             \
    struct {                                                                                       \
        type *data;                                                                                \
        size_t count, capacity;                                                                    \
    }
cot_status coti_vec_grow(cot_context *context, void **data, size_t *capacity, size_t count,
                         size_t element_bytes);
#define coti_vec_reserve(context, vec, n)                                                          \
    ((vec)->capacity >= (n) ? COT_OK                                                               \
                            : coti_vec_grow((context), (void **)&(vec)->data, &(vec)->capacity,    \
                                            (n), sizeof *(vec)->data))
#define coti_vec_push(context, vec, element)                                                       \
    (coti_vec_reserve((context), (vec), (vec)->count + 1) == COT_OK                                \
         ? ((vec)->data[(vec)->count++] = (element), COT_OK)                                       \
         : COT_E_NOMEM)
#define coti_vec_free(context, vec) coti_free((context), (void *)(vec)->data)

#endif
