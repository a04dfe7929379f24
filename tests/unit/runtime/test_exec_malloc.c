/*
 * A run allocates nothing: malloc and its kin are interposed and counted, so that the C library's
 * and OpenMP's own allocations count too. A test by itself, because sanitizers interpose them as
 * well.
 */
#include "check.h"
#include "count_malloc.h"

#include "hand_program.h"

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
