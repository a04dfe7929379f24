/* Runs of a hand-made program: who may run what where, and that nothing depends on it. */
#include "alloc_fail.h"
#include "check.h"

#include "hand_program.h"
#include "runtime/threads.h"

#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DATA_ROWS = 301 };
static const double shared_work = 1e9, tiny_work = 1;

static float data[DATA_ROWS * COLUMNS];
static unsigned char bytes[DATA_ROWS * COLUMNS];
static int64_t order[DATA_ROWS];
static float one = 2.0f;
static cot_context *context;

static int make_data(void **state) {
    (void)state;
    for (int32_t i = 0; i < DATA_ROWS * COLUMNS; i++) {
        bytes[i] = (unsigned char)(i * 89 % 256);
        data[i] = (float)(i * 37 % 101) - 50.0f;
    }
    for (int64_t i = 0; i < DATA_ROWS; i++) {
        order[i] = i * 120 % DATA_ROWS; /* 120 and 301 have no common factor: a permutation */
    }
    context = cot_context_create(NULL);
    return context == NULL;
}

static int drop_data(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

static cot_array dense_x(void) {
    return (cot_array){
        .data = data, .dtype = COT_F32, .n_rows = DATA_ROWS, .row_elements = COLUMNS};
}

static const cot_array scale_array = {.data = &one, .n_rows = 1, .row_elements = 1};

static cotr_session *session_for(const hand_program *hand, int32_t threads, const cot_array *x,
                                 const int64_t *index) {
    cotr_session *session = NULL;
    CHECK_OK(context, cotr_session_create(context, &hand->program, threads, &session));
    assert_int_equal(cotr_session_bind_input(session, INPUT_X, x, index), COT_OK);
    assert_int_equal(cotr_session_bind_input(session, INPUT_SCALE, &scale_array, NULL), COT_OK);
    return session;
}

/* Run once and compare y and w with the plain loops, bit by bit. */
static void check_run(double work, int32_t threads, const int64_t *index, int64_t first,
                      int64_t n_rows, int64_t batch) {
    hand_program hand;
    float y[DATA_ROWS + 1], expected_y[DATA_ROWS], expected_w[COLUMNS] = {0};
    const cot_array x = dense_x();
    int64_t steps = -1;
    hand_program_init(&hand, work);
    cotr_session *session = session_for(&hand, threads, &x, index);
    memset(y, 0x7f, sizeof y);
    float sentinel = y[n_rows];
    assert_int_equal(cotr_session_bind_output(session, 0, y, n_rows), COT_OK);
    assert_int_equal(cotr_session_run(session, first, n_rows, batch, NULL, &steps), COT_OK);
    assert_string_equal(cotr_session_error(session)->message, "");
    assert_int_equal(steps, (n_rows + batch - 1) / batch);
    hand_reference(data, index, one, first, n_rows, batch, expected_y, expected_w);
    assert_memory_equal(y, expected_y, (size_t)n_rows * sizeof(float));
    assert_memory_equal(hand.w, expected_w, sizeof expected_w);
    assert_memory_equal(&y[n_rows], &sentinel, sizeof sentinel);
    cotr_session_destroy(session);
}

static void all_rows_batches_and_threads(void **state) {
    (void)state;
    static const int64_t row[][3] = {{0, 1, 1},    {0, 1, 64},   {0, 64, 64}, {5, 63, 64},
                                     {1, 300, 64}, {0, 301, 17}, {300, 1, 1}, {7, 65, 64},
                                     {3, 31, 2},   {2, 299, 9},  {0, 0, 8}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        for (int32_t threads = 1; threads <= 4; threads++) {
            check_run(shared_work, threads, NULL, row[i][0], row[i][1], row[i][2]);
            check_run(shared_work, threads, order, row[i][0], row[i][1], row[i][2]);
            check_run(tiny_work, threads, order, row[i][0], row[i][1], row[i][2]);
        }
    }
}

/* The bits after many short steps are those of the plain loops, more threads than processors or
 * not. */
static void many_steps_keep_in_step(void **state) {
    (void)state;
    for (int32_t threads = 2; threads <= 4; threads++) {
        hand_program hand;
        float expected_y[DATA_ROWS], expected_w[COLUMNS] = {0};
        const cot_array x = dense_x();
        hand_program_init(&hand, shared_work);
        cotr_session *session = session_for(&hand, threads, &x, order);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(cotr_session_run(session, 0, DATA_ROWS, 3, NULL, NULL), COT_OK);
            hand_reference(data, order, one, 0, DATA_ROWS, 3, expected_y, expected_w);
        }
        assert_memory_equal(hand.w, expected_w, sizeof expected_w);
        cotr_session_destroy(session);
    }
}

static void other_chunks_give_the_same(void **state) {
    (void)state;
    hand_program hand;
    float y[DATA_ROWS], expected_y[DATA_ROWS], expected_w[COLUMNS] = {0};
    const cot_array x = dense_x();
    hand_program_init(&hand, shared_work);
    hand.chain[0].chunk = 5; /* no multiple of the grain */
    cotr_session *session = session_for(&hand, 3, &x, order);
    assert_int_equal(cotr_session_bind_output(session, 0, y, DATA_ROWS), COT_OK);
    assert_int_equal(cotr_session_run(session, 0, DATA_ROWS, 13, NULL, NULL), COT_OK);
    hand_reference(data, order, one, 0, DATA_ROWS, 13, expected_y, expected_w);
    assert_memory_equal(y, expected_y, sizeof y);
    assert_memory_equal(hand.w, expected_w, sizeof expected_w);
    cotr_session_destroy(session);
}

static void bytes_are_scaled(void **state) {
    (void)state;
    hand_program hand;
    float x[DATA_ROWS * COLUMNS], y[DATA_ROWS], expected_y[DATA_ROWS], expected_w[COLUMNS] = {0};
    const float scale = 1.0f / 255;
    for (int i = 0; i < DATA_ROWS * COLUMNS; i++) {
        x[i] = (float)bytes[i] * scale + 0.5f;
    }
    cot_array array = {.data = bytes,
                       .dtype = COT_U8,
                       .n_rows = DATA_ROWS,
                       .row_elements = COLUMNS,
                       .scale = scale,
                       .offset = 0.5f};
    hand_program_init(&hand, shared_work);
    cotr_session *session = session_for(&hand, 2, &array, order);
    assert_int_equal(cotr_session_bind_output(session, 0, y, DATA_ROWS), COT_OK);
    assert_int_equal(cotr_session_run(session, 0, 100, 64, NULL, NULL), COT_OK);
    hand_reference(x, order, one, 0, 100, 64, expected_y, expected_w);
    assert_memory_equal(y, expected_y, 100 * sizeof(float));
    cotr_session_destroy(session);
}

/* Dense f32 rows in order are read where they are; anything else is loaded. */
static void dense_rows_are_not_copied(void **state) {
    (void)state;
    const cot_array dense = dense_x();
    cot_array strided = dense;
    strided.n_rows = DATA_ROWS / 2;
    strided.row_bytes = 2 * COLUMNS * sizeof(float);
    cot_array told = dense; /* the same as 0: adjacent */
    told.row_bytes = COLUMNS * sizeof(float);
    const struct {
        const cot_array *array;
        const int64_t *index;
        bool copied;
    } row[] = {
        {&dense, NULL, false}, {&told, NULL, false}, {&dense, order, true}, {&strided, NULL, true}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        for (int kind = 0; kind < 2; kind++) {
            hand_program hand;
            float y[90], expected_y[90], expected_w[COLUMNS] = {0}, x[DATA_ROWS * COLUMNS];
            hand_program_init(&hand, shared_work);
            if (kind ==
                1) { /* the loaded rows chunk-local: then only the rows chain may read them */
                hand.buffer[BUFFER_A].kind = COTR_LOCAL;
                hand.buffer[BUFFER_A].offset = 64 + CHUNK * COLUMNS * sizeof(float) + 20;
                hand.program.local_bytes *= 3;
                hand.program.n_phases = 1;
            }
            cotr_session *session = session_for(&hand, 2, row[i].array, row[i].index);
            assert_int_equal(cotr_session_bind_output(session, 0, y, 90), COT_OK);
            hand_n_loads = 0;
            assert_int_equal(cotr_session_run(session, 7, 90, 32, NULL, NULL), COT_OK);
            assert_int_equal(hand_n_loads, row[i].copied ? 90 : 0);
            for (int64_t r = 0; r < row[i].array->n_rows; r++) {
                memcpy(x + r * COLUMNS, data + r * COLUMNS * (row[i].array == &strided ? 2 : 1),
                       COLUMNS * sizeof(float));
            }
            hand_reference(x, row[i].index, one, 7, 90, 32, expected_y, expected_w);
            assert_memory_equal(y, expected_y, sizeof y);
            if (kind == 0) {
                assert_memory_equal(hand.w, expected_w, sizeof expected_w);
            }
            cotr_session_destroy(session);
        }
    }
}

/* Binding anew between runs changes what the next run reads, both ways. */
static void bindings_may_change(void **state) {
    (void)state;
    hand_program hand;
    float y[10], z[10], expected[10], w[COLUMNS] = {0};
    const cot_array dense = dense_x();
    hand_program_init(&hand, shared_work);
    cotr_session *session = session_for(&hand, 2, &dense, NULL);
    const int64_t *const index[] = {NULL, order, NULL};
    float *const target[] = {y, z, y};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cotr_session_bind_input(session, INPUT_X, &dense, index[i]), COT_OK);
        assert_int_equal(cotr_session_bind_output(session, 0, target[i], 10), COT_OK);
        assert_int_equal(cotr_session_run(session, 20, 10, 10, NULL, NULL), COT_OK);
        hand_reference(data, index[i], one, 20, 10, 10, expected, w);
        assert_memory_equal(target[i], expected, sizeof expected);
    }
    /* Unbound, y goes to the arena and no memory of ours changes. */
    memset(y, 1, sizeof y);
    memcpy(z, y, sizeof y);
    assert_int_equal(cotr_session_bind_output(session, 0, NULL, 0), COT_OK);
    assert_int_equal(cotr_session_run(session, 0, 64, 64, NULL, NULL), COT_OK);
    assert_memory_equal(y, z, sizeof y);
    cotr_session_destroy(session);
}

static void inputs_without_rows_are_converted(void **state) {
    (void)state;
    hand_program hand;
    float y[4], expected[4], w[COLUMNS] = {0};
    const cot_array dense = dense_x();
    unsigned char three = 3;
    const cot_array array = {
        .data = &three, .dtype = COT_U8, .n_rows = 1, .row_elements = 1, .scale = 0.5f};
    hand_program_init(&hand, tiny_work);
    cotr_session *session = session_for(&hand, 1, &dense, NULL);
    assert_int_equal(cotr_session_bind_input(session, INPUT_SCALE, &array, NULL), COT_OK);
    assert_int_equal(cotr_session_bind_output(session, 0, y, 4), COT_OK);
    /* A scale of negative zero is the number zero, not the default. */
    cot_array zero = array;
    zero.scale = (float)COT_ZERO;
    assert_int_equal(cotr_session_bind_input(session, INPUT_SCALE, &zero, NULL), COT_OK);
    assert_int_equal(cotr_session_run(session, 0, 4, 4, NULL, NULL), COT_OK);
    assert_true(y[0] == 0 && y[3] == 0);
    assert_int_equal(cotr_session_bind_input(session, INPUT_SCALE, &array, NULL), COT_OK);
    for (; three < 6; three++) { /* read at each run, not when bound */
        assert_int_equal(cotr_session_run(session, 0, 4, 4, NULL, NULL), COT_OK);
        hand_reference(data, NULL, 0.5f * three, 0, 4, 4, expected, w);
        assert_memory_equal(y, expected, sizeof y);
    }
    cotr_session_destroy(session);
}

/* ---- stopping ---- */

static void cancel_stops_all_after_the_same_step(void **state) {
    (void)state;
    for (int32_t threads = 1; threads <= 3; threads++) {
        hand_program hand;
        float y[DATA_ROWS], expected_y[DATA_ROWS], expected_w[COLUMNS] = {0};
        const cot_array x = dense_x();
        int64_t steps = -1;
        hand_program_init(&hand, shared_work);
        cotr_session *session = session_for(&hand, threads, &x, NULL);
        assert_int_equal(cotr_session_bind_output(session, 0, y, DATA_ROWS), COT_OK);
        hand_cancel = 0;
        hand_cancel_after = 5;
        assert_int_equal(cotr_session_run(session, 0, DATA_ROWS, 10, &hand_cancel, &steps),
                         COT_E_CANCELLED);
        assert_int_equal(steps, 5);
        assert_non_null(strstr(cotr_session_error(session)->message, "5 steps"));
        hand_reference(data, NULL, one, 0, 50, 10, expected_y, expected_w);
        assert_memory_equal(y, expected_y, 50 * sizeof(float));
        assert_memory_equal(hand.w, expected_w, sizeof expected_w);
        /* Set from the start: no step at all. The session stays usable. */
        assert_int_equal(cotr_session_run(session, 0, 20, 10, &hand_cancel, &steps),
                         COT_E_CANCELLED);
        assert_int_equal(steps, 0);
        hand_cancel = 0;
        hand_cancel_after = 0;
        assert_int_equal(cotr_session_run(session, 0, 20, 10, &hand_cancel, &steps), COT_OK);
        assert_int_equal(steps, 2);
        cotr_session_destroy(session);
    }
}

/* ---- errors ---- */

static void check_session_error(const cotr_session *session, cot_status found, cot_status expected,
                                const char *text) {
    assert_int_equal(found, expected);
    assert_int_equal(cotr_session_error(session)->status, expected);
    if (strstr(cotr_session_error(session)->message, text) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", cotr_session_error(session)->message, text);
    }
}

static void mistakes_are_named(void **state) {
    (void)state;
    hand_program hand;
    float y[8];
    hand_program_init(&hand, tiny_work);
    cotr_session *s = NULL;
    CHECK_OK(context, cotr_session_create(context, &hand.program, 2, &s));
    const cot_array good = dense_x();
    check_session_error(s, cotr_session_run(s, 0, 1, 1, NULL, NULL), COT_E_ARG,
                        "input \"x\" is not bound");
    cot_array bad = good;
    bad.dtype = COT_F64;
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, &bad, NULL), COT_E_DTYPE,
                        "\"x\" is f32[N,5] and does not take an array of f64");
    bad = good;
    bad.row_elements = 6;
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, &bad, NULL), COT_E_SHAPE,
                        "f32[N,5]: the array has 6 elements in a row, expected 5");
    bad = good;
    bad.n_rows = -1;
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, &bad, NULL), COT_E_SHAPE, "-1 rows");
    bad = good;
    bad.data = NULL;
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, &bad, NULL), COT_E_ARG, "NULL");
    bad = good;
    bad.row_bytes = 22;
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, &bad, NULL), COT_E_ARG, "row_bytes");
    bad = good;
    bad.data = bytes + 1;
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, &bad, NULL), COT_E_ARG, "multiples");
    bad = scale_array;
    bad.n_rows = 2;
    check_session_error(s, cotr_session_bind_input(s, INPUT_SCALE, &bad, NULL), COT_E_SHAPE,
                        "2 rows, expected 1");
    check_session_error(s, cotr_session_bind_input(s, INPUT_SCALE, &scale_array, order), COT_E_ARG,
                        "not batched");
    check_session_error(s, cotr_session_bind_input(s, 9, &good, NULL), COT_E_ARG, "9");
    check_session_error(s, cotr_session_bind_input(s, INPUT_X, NULL, NULL), COT_E_ARG, "NULL");
    check_session_error(s, cotr_session_bind_output(s, -1, y, 8), COT_E_ARG, "-1");
    check_session_error(s, cotr_session_bind_output(s, 0, (char *)y + 1, 1), COT_E_ARG, "aligned");

    assert_int_equal(cotr_session_bind_input(s, INPUT_X, &good, NULL), COT_OK);
    assert_int_equal(cotr_session_error(s)->status, COT_OK);
    check_session_error(s, cotr_session_run(s, 0, 1, 1, NULL, NULL), COT_E_ARG, "\"scale\"");
    assert_int_equal(cotr_session_bind_input(s, INPUT_SCALE, &scale_array, NULL), COT_OK);
    check_session_error(s, cotr_session_run(s, 300, 2, 2, NULL, NULL), COT_E_ARG,
                        "bound to 301 rows, the run reads up to row 302");
    check_session_error(s, cotr_session_run(s, 0, 65, 65, NULL, NULL), COT_E_ARG,
                        "65 rows is more than the 64");
    check_session_error(s, cotr_session_run(s, -1, 2, 2, NULL, NULL), COT_E_ARG, "-1");
    check_session_error(s, cotr_session_run(s, 0, -2, 2, NULL, NULL), COT_E_ARG, "-2");
    check_session_error(s, cotr_session_run(s, 0, 2, 0, NULL, NULL), COT_E_ARG, "batches of 0");
    check_session_error(s, cotr_session_run(s, INT64_MAX, 2, 2, NULL, NULL), COT_E_ARG, "run");
    assert_int_equal(cotr_session_bind_output(s, 0, y, 7), COT_OK);
    check_session_error(s, cotr_session_run(s, 0, 8, 2, NULL, NULL), COT_E_ARG,
                        "memory for 7 rows, the run has 8");
    /* A batch larger than what is left is no mistake. */
    assert_int_equal(cotr_session_run(s, 0, 7, 1000, NULL, NULL), COT_OK);
    cotr_session_destroy(s);
    cotr_session_destroy(NULL);
}

/* ---- processes ---- */

/* In a child: 0 when all is as it must be. An alarm ends it should it wait for ever. */
static int child(cotr_session *old_session, const hand_program *hand, const cot_array *x) {
    alarm(20);
    if (cotr_session_run(old_session, 0, 64, 64, NULL, NULL) != COT_E_FORKED ||
        strstr(cotr_session_error(old_session)->message, "forked") == NULL) {
        return 1;
    }
    cot_context *fresh = cot_context_create(NULL);
    cotr_session *session = NULL;
    if (cotr_session_create(fresh, &hand->program, 2, &session) != COT_OK ||
        cotr_session_bind_input(session, INPUT_X, x, NULL) != COT_OK ||
        cotr_session_bind_input(session, INPUT_SCALE, &scale_array, NULL) != COT_OK ||
        cotr_session_run(session, 0, 64, 64, NULL, NULL) != COT_E_FORKED) {
        return 2;
    }
    cotr_session_destroy(session);
    if (cotr_session_create(fresh, &hand->program, 1, &session) != COT_OK ||
        cotr_session_bind_input(session, INPUT_X, x, NULL) != COT_OK ||
        cotr_session_bind_input(session, INPUT_SCALE, &scale_array, NULL) != COT_OK ||
        cotr_session_run(session, 0, 64, 64, NULL, NULL) != COT_OK) {
        return 3;
    }
    cotr_session_destroy(session);
    cot_context_destroy(fresh);
    return 0;
}

static void a_forked_child_is_told(void **state) {
    (void)state;
    hand_program hand;
    const cot_array x = dense_x();
    hand_program_init(&hand, shared_work);
    cotr_session *session = session_for(&hand, 2, &x, NULL);
    assert_int_equal(cotr_session_run(session, 0, 64, 64, NULL, NULL), COT_OK);
    pid_t process = fork();
    if (process == 0) {
        _exit(child(session, &hand, &x));
    }
    int status = -1;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(cotr_session_run(session, 0, 64, 64, NULL, NULL), COT_OK);
    cotr_session_destroy(session);
}

/* Serial phases, and programs without phases, run on the calling thread alone. */
static void serial_runs_open_no_team(void **state) {
    (void)state;
    hand_program hand;
    const cot_array x = dense_x();
    hand_program_init(&hand, tiny_work);
    cotr_session *session = session_for(&hand, 4, &x, NULL);
    pid_t process = fork(); /* were a team needed, the child could not have one */
    if (process == 0) {
        alarm(20);
        bool fine = cotr_session_run(session, 0, DATA_ROWS, 64, NULL, NULL) == COT_OK;
        hand.program.n_phases = 0;
        fine = fine && cotr_session_run(session, 0, DATA_ROWS, 64, NULL, NULL) == COT_OK;
        _exit(fine ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cotr_session_destroy(session);
}

static void time_is_counted_by_call(void **state) {
    (void)state;
    hand_program hand;
    const cot_array x = dense_x();
    hand_program_init(&hand, shared_work);
    cotr_session *session = session_for(&hand, 2, &x, NULL);
    assert_int_equal(cotr_session_run(session, 0, DATA_ROWS, 64, NULL, NULL), COT_OK);
    assert_true(cotr_session_call_seconds(session, 1) == 0);
    cotr_session_set_timing(session, true);
    assert_int_equal(cotr_session_run(session, 0, DATA_ROWS, 64, NULL, NULL), COT_OK);
    assert_true(cotr_session_call_seconds(session, 0) == 0); /* the load is left out */
    for (int32_t i = 1; i < 4; i++) {
        double seconds = cotr_session_call_seconds(session, i);
        assert_true(seconds > 0 && seconds < 10);
    }
    cotr_session_set_timing(session, false);
    double before = cotr_session_call_seconds(session, 2);
    assert_int_equal(cotr_session_run(session, 0, DATA_ROWS, 64, NULL, NULL), COT_OK);
    assert_true(cotr_session_call_seconds(session, 2) == before);
    cotr_session_set_timing(session, true);
    assert_true(cotr_session_call_seconds(session, 2) == 0);
    cotr_session_destroy(session);
}

/* OpenMP may give fewer threads than asked for, here one: it then does the others' blocks too. */
static void a_smaller_team_does_all(void **state) {
    (void)state;
    const int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    check_run(shared_work, 3, order, 4, 200, 64);
    omp_set_max_active_levels(levels);
}

/* ---- memory ---- */

static cot_status make_and_bind(cot_context *own, void *user) {
    const hand_program *hand = user;
    cotr_session *session = NULL;
    unsigned char scale = 1;
    const cot_array x = dense_x(),
                    array = {.data = &scale, .dtype = COT_U8, .n_rows = 1, .row_elements = 1};
    COTI_TRY(cotr_session_create(own, &hand->program, 2, &session));
    cot_status status = cotr_session_bind_input(session, INPUT_X, &x, NULL);
    status =
        status == COT_OK ? cotr_session_bind_input(session, INPUT_SCALE, &array, NULL) : status;
    status = status == COT_OK ? cotr_session_run(session, 0, 9, 4, NULL, NULL) : status;
    if (status != COT_OK) {
        COTI_FAIL(own, status, "%s", cotr_session_error(session)->message);
    }
    cotr_session_destroy(session);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    hand_program hand;
    hand_program_init(&hand, tiny_work);
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, NULL, make_and_bind, &hand));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serial_runs_open_no_team),
        cmocka_unit_test(all_rows_batches_and_threads),
        cmocka_unit_test(many_steps_keep_in_step),
        cmocka_unit_test(other_chunks_give_the_same),
        cmocka_unit_test(bytes_are_scaled),
        cmocka_unit_test(dense_rows_are_not_copied),
        cmocka_unit_test(bindings_may_change),
        cmocka_unit_test(inputs_without_rows_are_converted),
        cmocka_unit_test(cancel_stops_all_after_the_same_step),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_forked_child_is_told),
        cmocka_unit_test(time_is_counted_by_call),
        cmocka_unit_test(a_smaller_team_does_all),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, make_data, drop_data);
}
