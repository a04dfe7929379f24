/*
 * A run allocates nothing: malloc and its kin are interposed and counted, so that the C library's
 * and OpenMP's own allocations count too. A test by itself, because sanitizers interpose them as
 * well.
 */
#include "check.h"

#include "hand_program.h"

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

static void a_run_allocates_nothing(void **state) {
    (void)state;
    enum { ROWS = 200 };
    if (!INTERPOSED) {
        skip();
    }
    static float x[ROWS * COLUMNS], y[ROWS], two = 2;
    const cot_array array = {.data = x, .n_rows = ROWS, .row_elements = COLUMNS};
    const cot_array scale = {.data = &two, .n_rows = 1, .row_elements = 1};
    hand_program hand;
    hand_program_init(&hand, 1e9);
    cot_context *context = cot_context_create(NULL);
    cotr_session *session = NULL;
    CHECK_OK(context, cotr_session_create(context, &hand.program, 2, &session));
    assert_int_equal(cotr_session_bind_input(session, INPUT_X, &array, NULL), COT_OK);
    assert_int_equal(cotr_session_bind_input(session, INPUT_SCALE, &scale, NULL), COT_OK);
    assert_int_equal(cotr_session_bind_output(session, 0, y, ROWS), COT_OK);
    assert_true(n_allocations > 0); /* the interposition works */
    /* OpenMP makes its threads at the first team. */
    assert_int_equal(cotr_session_run(session, 0, ROWS, 64, NULL, NULL), COT_OK);
    int64_t before = n_allocations;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(cotr_session_run(session, i, ROWS - i, 64 - i, NULL, NULL), COT_OK);
    }
    assert_int_equal(n_allocations, before);
    cotr_session_destroy(session);
    cot_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
