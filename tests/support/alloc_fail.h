/*
 * An allocator for tests: it counts, can fail the n-th call once or every call from the n-th on,
 * checks what the library tells it (sizes given to realloc, pointers given to free), fills fresh
 * memory with garbage and knows what is still live.
 *
 * Header-only, so that a test needs nothing but the include. May be used from several threads.
 */
#ifndef ALLOC_FAIL_H
#define ALLOC_FAIL_H

#include "cotangent/base.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define ALLOC_FAIL_UNUSED __attribute__((unused))
#else
#define ALLOC_FAIL_UNUSED
#endif

typedef struct alloc_fail {
    pthread_mutex_t lock;
    int64_t fail_at;  /* number of the call to fail, from 1; 0: none */
    bool for_ever;    /* every call from fail_at on */
    int64_t n_calls;  /* of alloc and realloc, refused ones included */
    int64_t n_failed; /* refused so far */
    int64_t n_live, live_bytes;
    int64_t peak_bytes;
    const char *misuse; /* first broken promise of the library; NULL: none */
} alloc_fail;

/* What stands before each block. 32 bytes, so that blocks stay aligned as malloc's. */
typedef struct alloc_fail_header {
    size_t bytes;
    uint64_t magic;
    char padding[16];
} alloc_fail_header;

#define ALLOC_FAIL_LIVE UINT64_C(0x6c69766520626c6b)
#define ALLOC_FAIL_DEAD UINT64_C(0x6465616420626c6b)

ALLOC_FAIL_UNUSED static void alloc_fail_misused(alloc_fail *state, const char *what) {
    state->misuse = state->misuse == NULL ? what : state->misuse;
}

/* Count a call; true when it is to be refused. */
ALLOC_FAIL_UNUSED static bool alloc_fail_refuse(alloc_fail *state) {
    state->n_calls++;
    bool refused = state->fail_at > 0 && (state->for_ever ? state->n_calls >= state->fail_at
                                                          : state->n_calls == state->fail_at);
    state->n_failed += refused;
    return refused;
}

ALLOC_FAIL_UNUSED static void *alloc_fail_make(alloc_fail *state, size_t bytes) {
    alloc_fail_header *header = malloc(sizeof *header + bytes);
    if (header == NULL) {
        return NULL;
    }
    *header = (alloc_fail_header){.bytes = bytes, .magic = ALLOC_FAIL_LIVE};
    memset(header + 1, 0xA5, bytes);
    state->n_live++;
    state->live_bytes += (int64_t)bytes;
    state->peak_bytes =
        state->peak_bytes < state->live_bytes ? state->live_bytes : state->peak_bytes;
    return header + 1;
}

ALLOC_FAIL_UNUSED static void alloc_fail_drop(alloc_fail *state, void *pointer) {
    alloc_fail_header *header = (alloc_fail_header *)pointer - 1;
    if (header->magic != ALLOC_FAIL_LIVE) {
        alloc_fail_misused(state, "free of a pointer that is not live");
        return;
    }
    state->n_live--;
    state->live_bytes -= (int64_t)header->bytes;
    header->magic = ALLOC_FAIL_DEAD;
    free(header);
}

ALLOC_FAIL_UNUSED static void *alloc_fail_alloc(size_t bytes, void *user) {
    alloc_fail *state = user;
    pthread_mutex_lock(&state->lock);
    if (bytes == 0) {
        alloc_fail_misused(state, "alloc of 0 bytes");
    }
    void *pointer = alloc_fail_refuse(state) ? NULL : alloc_fail_make(state, bytes);
    pthread_mutex_unlock(&state->lock);
    return pointer;
}

/* Always moves, so that a stale pointer is seen. */
ALLOC_FAIL_UNUSED static void *alloc_fail_realloc(void *pointer, size_t old_bytes, size_t new_bytes,
                                                  void *user) {
    alloc_fail *state = user;
    pthread_mutex_lock(&state->lock);
    const alloc_fail_header *header = (const alloc_fail_header *)pointer - 1;
    if (pointer == NULL || new_bytes == 0 || header->bytes != old_bytes) {
        alloc_fail_misused(state, "realloc of NULL, to 0 bytes or with a wrong old size");
    }
    void *moved = alloc_fail_refuse(state) ? NULL : alloc_fail_make(state, new_bytes);
    if (moved != NULL && pointer != NULL) {
        memcpy(moved, pointer, header->bytes < new_bytes ? header->bytes : new_bytes);
        alloc_fail_drop(state, pointer);
    }
    pthread_mutex_unlock(&state->lock);
    return moved;
}

ALLOC_FAIL_UNUSED static void alloc_fail_free(void *pointer, void *user) {
    alloc_fail *state = user;
    pthread_mutex_lock(&state->lock);
    if (pointer == NULL) {
        alloc_fail_misused(state, "free of NULL");
    } else {
        alloc_fail_drop(state, pointer);
    }
    pthread_mutex_unlock(&state->lock);
}

/* Start anew: nothing fails. Blocks still live from before are forgotten. */
ALLOC_FAIL_UNUSED static void alloc_fail_init(alloc_fail *state) {
    *state = (alloc_fail){.lock = PTHREAD_MUTEX_INITIALIZER};
}

/* The table for cot_options; `state` must outlive the context. */
ALLOC_FAIL_UNUSED static cot_allocator alloc_fail_allocator(alloc_fail *state) {
    return (cot_allocator){alloc_fail_alloc, alloc_fail_realloc, alloc_fail_free, state};
}

/* What is wrong now that everything should have been freed; NULL when all is well. */
ALLOC_FAIL_UNUSED static const char *alloc_fail_complaint(const alloc_fail *state) {
    return state->misuse != NULL ? state->misuse : state->n_live != 0 ? "memory was leaked" : NULL;
}

/*
 * What a test does with a context. Returns the status it met: COT_OK if all went well. It destroys
 * what it makes but not the context.
 */
typedef cot_status (*alloc_fail_scenario)(cot_context *context, void *user);

/* One run, with call `fail_at` refused; a complaint or NULL. *complete_out: nothing was refused. */
ALLOC_FAIL_UNUSED static const char *alloc_fail_once(alloc_fail *state, const cot_options *options,
                                                     alloc_fail_scenario scenario, void *user,
                                                     bool *complete_out) {
    cot_options own = options != NULL ? *options : (cot_options){0};
    own.struct_size = sizeof own;
    own.allocator = alloc_fail_allocator(state);
    cot_context *context = cot_context_create(&own);
    cot_status status = context != NULL ? scenario(context, user) : COT_E_NOMEM;
    cot_status recorded = context != NULL ? cot_error_get(context).status : COT_E_NOMEM;
    cot_context_destroy(context);
    *complete_out = state->n_failed == 0;
    cot_status expected = *complete_out ? COT_OK : COT_E_NOMEM;
    if (status != expected || recorded != expected) {
        return *complete_out ? "the scenario fails without any refusal"
                             : "a refused allocation was not reported as COT_E_NOMEM";
    }
    return alloc_fail_complaint(state);
}

/*
 * Run a scenario with the 1st, 2nd, 3rd, ... allocation refused, each once alone and once with all
 * that follow, until it passes without meeting a refusal. Each refusal must come out as
 * COT_E_NOMEM, both returned and recorded, and leave no memory behind. Every `stride`-th call is
 * tried (1: all). Returns NULL when all is well, else a text (in `buffer`) that tells what went
 * wrong at which call.
 */
ALLOC_FAIL_UNUSED static const char *alloc_fail_every(char buffer[256], int64_t stride,
                                                      const cot_options *options,
                                                      alloc_fail_scenario scenario, void *user) {
    bool complete = false;
    for (int64_t n = 1; !complete; n += stride) {
        for (int mode = 0; mode < 2; mode++) {
            alloc_fail state;
            alloc_fail_init(&state);
            state.fail_at = n;
            state.for_ever = mode == 1;
            const char *wrong = alloc_fail_once(&state, options, scenario, user, &complete);
            if (wrong != NULL) {
                snprintf(buffer, 256, "allocation %lld refused %s: %s (live: %lld blocks)",
                         (long long)n, mode == 1 ? "with all that follow" : "alone", wrong,
                         (long long)state.n_live);
                return buffer;
            }
        }
    }
    return NULL;
}

#endif
