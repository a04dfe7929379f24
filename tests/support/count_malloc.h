/*
 * Counts every allocation of the program and of all its libraries, by interposing malloc and its
 * kin. For one source file a program; INTERPOSED is 0 under a sanitizer, which interposes them
 * itself.
 */
#ifndef TESTS_COUNT_MALLOC_H
#define TESTS_COUNT_MALLOC_H

#include <stdatomic.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INTERPOSED 0
#endif
#endif
#ifndef INTERPOSED
#define INTERPOSED 1
#endif

static _Atomic int64_t n_allocations;

#if INTERPOSED
/* glibc's own names for what is interposed. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *pointer, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
    n_allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes) {
    n_allocations++;
    return __libc_calloc(n, bytes);
}

void *realloc(void *pointer, size_t bytes) {
    n_allocations++;
    return __libc_realloc(pointer, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    n_allocations++;
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **pointer_out, size_t alignment, size_t bytes) {
    n_allocations++;
    *pointer_out = __libc_memalign(alignment, bytes);
    return *pointer_out == NULL;
}
#endif

#endif
