/*
 * Loops of hand-made programs: steps forwards and backwards, moving slots, copies before, a loop in
 * a loop, loops over chunks of rows and over all rows at once; by plain loops it is told what they
 * must give.
 *
 * The program: x [N,T,C], c [N,C] and w [T,C] are inputs; s [N,C] starts as c, and at step t
 *     s = s / 2 + x_t (1 + w_t);  y_t = s;  e = the last s
 * with s in the running thread's block, or, of the loop over all rows, in the arena.
 */
#include "check.h"

#include "cotangent/graph.h"
#include "runtime/program.h"

enum { ROWS = 23, MOST_STEPS = 9, WIDTH = 3, CHUNK = 4, INNER = 2 };
enum { BUFFER_X, BUFFER_C, BUFFER_W, BUFFER_S, BUFFER_Y, BUFFER_E, N_BUFFERS };
enum { ROW = WIDTH * sizeof(float) };

static float x[ROWS * MOST_STEPS * WIDTH], c[ROWS * WIDTH], w[MOST_STEPS * WIDTH];
static cot_context *context;

static int make_data(void **state) {
    (void)state;
    for (int32_t i = 0; i < ROWS * MOST_STEPS * WIDTH; i++) {
        x[i] = (float)(i * 37 % 101) - 50.0f;
    }
    for (int32_t i = 0; i < ROWS * WIDTH; i++) {
        c[i] = (float)(i * 13 % 17);
    }
    for (int32_t i = 0; i < MOST_STEPS * WIDTH; i++) {
        w[i] = (float)(i * 5 % 7) * 0.25f;
    }
    context = cot_context_create(NULL);
    return context == NULL;
}

static int drop_data(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

/* ---- the program ---- */

typedef struct loop_program {
    cotr_program program;
    cotr_phase phase;
    cotr_chain chain;
    cotr_call call[6];
    cotr_stride stride[4];
    cotr_buffer buffer[N_BUFFERS];
    cotr_input input[3];
    cotr_output output[2];
    int64_t steps;
} loop_program;

static int64_t steps_of_kernel; /* T, which a compiled kernel holds as a stride */

/* slots: x_t (rows T * WIDTH apart), w_t, s, y_t (as x_t) */
static void kernel_step(const cotr_args *args, int64_t begin, int64_t end) {
    const float *x_t = args->buffer[0], *w_t = args->buffer[1];
    float *s = args->buffer[2], *y_t = args->buffer[3];
    for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < WIDTH; j++) {
            const int64_t moving = i * steps_of_kernel * WIDTH + j;
            s[i * WIDTH + j] = s[i * WIDTH + j] * 0.5f + x_t[moving] * (1 + w_t[j]);
            y_t[moving] = s[i * WIDTH + j];
        }
    }
}

/* slots: s, e */
static void kernel_end(const cotr_args *args, int64_t begin, int64_t end) {
    const float *s = args->buffer[0];
    float *e = args->buffer[1];
    for (int64_t i = begin * WIDTH; i < end * WIDTH; i++) {
        e[i] = s[i];
    }
}

static void make_types(loop_program *p) {
    const cot_shape sequence = {.rank = 3, .batched = true, .dim = {1, p->steps, WIDTH}};
    const cot_shape carry = {.rank = 2, .batched = true, .dim = {1, WIDTH}};
    p->input[0] = (cotr_input){"x", COT_F32, sequence};
    p->input[1] = (cotr_input){"c", COT_F32, carry};
    p->input[2] = (cotr_input){"w", COT_F32, {.rank = 2, .dim = {p->steps, WIDTH}}};
    p->output[0] = (cotr_output){"y", COT_F32, sequence};
    p->output[1] = (cotr_output){"e", COT_F32, carry};
}

static void make_buffers(loop_program *p, bool rows) {
    const int64_t wide = p->steps * ROW;
    p->buffer[BUFFER_X] = (cotr_buffer){.kind = COTR_INPUT, .offset = 0, .row_bytes = wide};
    p->buffer[BUFFER_C] = (cotr_buffer){.kind = COTR_INPUT, .offset = 1, .row_bytes = ROW};
    p->buffer[BUFFER_W] = (cotr_buffer){.kind = COTR_INPUT, .offset = 2, .bytes = wide};
    p->buffer[BUFFER_S] =
        (cotr_buffer){.kind = rows ? COTR_LOCAL : COTR_ARENA, .offset = 64, .row_bytes = ROW};
    p->buffer[BUFFER_Y] = (cotr_buffer){.kind = COTR_OUTPUT, .offset = 0, .row_bytes = wide};
    p->buffer[BUFFER_E] = (cotr_buffer){.kind = COTR_OUTPUT, .offset = 1, .row_bytes = ROW};
}

/* rows: the chain is over rows, in chunks; else the loop is one unit, and its calls are over all
 * rows. */
static void loop_program_init(loop_program *p, int64_t steps, bool reverse, bool rows) {
    static const int32_t copy_slots[] = {BUFFER_C, BUFFER_S}, end_slots[] = {BUFFER_S, BUFFER_E},
                         step_slots[] = {BUFFER_X, BUFFER_W, BUFFER_S, BUFFER_Y};
    const cotr_range_kind range = rows ? COTR_RANGE_CHAIN : COTR_RANGE_ROWS;
    const cotr_call call = {.coefficient = 1, .loads = -1, .range = range, .n_slots = 2};
    memset(p, 0, sizeof *p);
    p->steps = steps;
    steps_of_kernel = steps;
    make_types(p);
    make_buffers(p, rows);
    p->stride[0] = (cotr_stride){0, 0, ROW};
    p->stride[1] = (cotr_stride){0, 1, ROW};
    p->stride[2] = (cotr_stride){0, 3, ROW};
    for (int32_t i = 0; i < 4; i++) {
        p->call[i] = call;
    }
    p->call[0].kind = COTR_CALL_COPY;
    p->call[0].slot = copy_slots;
    p->call[1] =
        (cotr_call){.kind = COTR_CALL_LOOP, .loads = -1, .loop = {steps, reverse, 1, 3, p->stride}};
    p->call[2].kernel = kernel_step;
    p->call[2].slot = step_slots;
    p->call[2].n_slots = 4;
    p->call[3].kernel = kernel_end;
    p->call[3].slot = end_slots;
    p->chain = (cotr_chain){.rows = rows,
                            .n_units = 1,
                            .chunk = CHUNK,
                            .grain = 2,
                            .n_calls = 4,
                            .call = p->call,
                            .work = 1e9};
    p->phase = (cotr_phase){1, &p->chain, false};
    p->program = (cotr_program){.n_phases = 1,
                                .n_buffers = N_BUFFERS,
                                .n_inputs = 3,
                                .n_outputs = 2,
                                .phase = &p->phase,
                                .buffer = p->buffer,
                                .input = p->input,
                                .output = p->output,
                                .max_rows = ROWS,
                                .arena_bytes = 64 + ROWS * (2 * steps + 4) * ROW,
                                .local_bytes = 64 + CHUNK * ROW};
}

/* What it must give. */
static void expect(int64_t steps, bool reverse, float *y, float *e) {
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t j = 0; j < WIDTH; j++) {
            float s = c[i * WIDTH + j];
            for (int64_t n = 0; n < steps; n++) {
                const int64_t t = reverse ? steps - 1 - n : n;
                s = s * 0.5f + x[(i * steps + t) * WIDTH + j] * (1 + w[t * WIDTH + j]);
                y[(i * steps + t) * WIDTH + j] = s;
            }
            e[i * WIDTH + j] = s;
        }
    }
}

/* Bind and run all rows in batches; whatever bytes there were in y and e are overwritten. */
static cot_status run(const loop_program *p, int32_t threads, int64_t batch, float *y, float *e) {
    const int64_t n = p->steps * WIDTH;
    const cot_array arrays[] = {{.data = x, .n_rows = ROWS, .row_elements = n},
                                {.data = c, .n_rows = ROWS, .row_elements = WIDTH},
                                {.data = w, .n_rows = 1, .row_elements = n}};
    cotr_session *session = NULL;
    COTI_TRY(cotr_session_create(context, &p->program, threads, &session));
    cot_status status = COT_OK;
    for (int32_t i = 0; i < 3 && status == COT_OK; i++) {
        status = cotr_session_bind_input(session, i, &arrays[i], NULL);
    }
    status = status == COT_OK ? cotr_session_bind_output(session, 0, y, ROWS) : status;
    status = status == COT_OK ? cotr_session_bind_output(session, 1, e, ROWS) : status;
    /* an INPUT buffer is at the data's first row in every step, so there is one step */
    status = status == COT_OK ? cotr_session_run(session, 0, batch, batch, NULL, NULL) : status;
    cotr_session_destroy(session);
    return status;
}

static void check_program(const loop_program *p, bool reverse, int32_t threads) {
    float y[ROWS * MOST_STEPS * WIDTH], e[ROWS * WIDTH];
    float expected_y[ROWS * MOST_STEPS * WIDTH], expected_e[ROWS * WIDTH];
    memset(y, 0x7f, sizeof y);
    memset(e, 0x7f, sizeof e);
    CHECK_OK(context, run(p, threads, ROWS, y, e));
    expect(p->steps, reverse, expected_y, expected_e);
    assert_memory_equal(y, expected_y, (size_t)(ROWS * p->steps * ROW));
    assert_memory_equal(e, expected_e, sizeof e);
}

/* ---- tests ---- */

static void all_steps_directions_and_threads(void **state) {
    (void)state;
    loop_program p;
    for (int64_t steps = 0; steps <= MOST_STEPS; steps++) {
        for (int32_t way = 0; way < 4; way++) {
            loop_program_init(&p, steps, (way & 1) != 0, (way & 2) != 0);
            for (int32_t threads = 1; threads <= 4; threads++) {
                check_program(&p, (way & 1) != 0, threads);
            }
        }
    }
}

/* Odd chunks, and a chain whose tasks are all one thread's: addresses are put back after a loop. */
static void other_chunks_give_the_same(void **state) {
    (void)state;
    loop_program p;
    for (int64_t chunk = 1; chunk <= CHUNK; chunk++) {
        loop_program_init(&p, MOST_STEPS, chunk % 2 == 0, true);
        p.chain.chunk = chunk;
        p.chain.work = chunk == 3 ? 1 : 1e9;
        check_program(&p, chunk % 2 == 0, 2);
    }
}

static _Atomic int64_t n_inner; /* calls of the kernel below, for the first row */

/* slots: y at the steps of both loops */
static void kernel_mark(const cotr_args *args, int64_t begin, int64_t end) {
    float *y = args->buffer[0];
    for (int64_t i = begin; i < end; i++) {
        y[i * MOST_STEPS * WIDTH] = (float)(100 * i + n_inner);
    }
    n_inner++;
}

/* for t in reverse: { for u: mark y[t, u] }; then a call behind both, which sees where they left */
static void a_loop_in_a_loop(void **state) {
    (void)state;
    static const int32_t slots[] = {BUFFER_Y};
    loop_program p;
    float y[ROWS * MOST_STEPS * WIDTH], e[ROWS * WIDTH];
    loop_program_init(&p, MOST_STEPS, false, true);
    const cotr_call mark = {
        .kernel = kernel_mark, .coefficient = 1, .loads = -1, .n_slots = 1, .slot = slots};
    p.stride[0] = (cotr_stride){1, 0, ROW};
    p.stride[1] = (cotr_stride){0, 0, sizeof(float)};
    p.call[0] = (cotr_call){
        .kind = COTR_CALL_LOOP, .loads = -1, .loop = {MOST_STEPS, true, 3, 1, p.stride}};
    p.call[1] = (cotr_call){
        .kind = COTR_CALL_LOOP, .loads = -1, .loop = {INNER, false, 1, 1, p.stride + 1}};
    p.call[2] = mark;
    /* a loop of no steps is not run, wherever it stands */
    p.call[3] = (cotr_call){.kind = COTR_CALL_LOOP, .loads = -1, .loop = {.n_calls = 0}};
    p.call[4] = p.call[3];
    p.call[4].loop.n_calls = 1;
    p.call[5] = mark;
    p.chain.n_calls = 6;
    p.chain.chunk = ROWS;
    memset(y, 0, sizeof y);
    n_inner = 0;
    CHECK_OK(context, run(&p, 1, ROWS, y, e));
    assert_int_equal(n_inner, MOST_STEPS * INNER);
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t t = 0; t < MOST_STEPS; t++) {
            for (int64_t u = 0; u < WIDTH; u++) {
                const int64_t order = (MOST_STEPS - 1 - t) * INNER + u;
                const float wanted = u < INNER ? (float)(100 * i + order) : 0;
                assert_true(y[(i * MOST_STEPS + t) * WIDTH + u] == wanted);
            }
        }
    }
}

/* slots: s; units are columns, added up over all rows */
static void kernel_units(const cotr_args *args, int64_t begin, int64_t end) {
    float *s = args->buffer[0];
    for (int64_t u = begin; u < end; u++) {
        for (int64_t i = 1; i < args->rows; i++) {
            s[u] += s[i * WIDTH + u];
        }
    }
}

/* A call of a loop has a range of its own: all of its units, whatever the chain's are. */
static void calls_over_units(void **state) {
    (void)state;
    static const int32_t slots[] = {BUFFER_S};
    loop_program p;
    float y[ROWS * MOST_STEPS * WIDTH], e[ROWS * WIDTH];
    loop_program_init(&p, 1, false, false);
    p.call[2] = (cotr_call){.kernel = kernel_units,
                            .coefficient = 1,
                            .loads = -1,
                            .n_slots = 1,
                            .slot = slots,
                            .range = COTR_RANGE_UNITS,
                            .units = WIDTH};
    p.call[1].loop.n_strides = 0;
    CHECK_OK(context, run(&p, 3, 5, y, e));
    for (int64_t j = 0; j < WIDTH; j++) {
        float sum = 0;
        for (int64_t i = 0; i < 5; i++) {
            sum += c[i * WIDTH + j];
        }
        assert_true(e[j] == sum);
        assert_true(e[WIDTH + j] == c[WIDTH + j]);
    }
}

static void time_is_counted_in_loops(void **state) {
    (void)state;
    loop_program p;
    cotr_session *session = NULL;
    const cot_array arrays[] = {{.data = x, .n_rows = ROWS, .row_elements = MOST_STEPS * WIDTH},
                                {.data = c, .n_rows = ROWS, .row_elements = WIDTH},
                                {.data = w, .n_rows = 1, .row_elements = MOST_STEPS * WIDTH}};
    loop_program_init(&p, MOST_STEPS, false, true);
    CHECK_OK(context, cotr_session_create(context, &p.program, 1, &session));
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(cotr_session_bind_input(session, i, &arrays[i], NULL), COT_OK);
    }
    cotr_session_set_timing(session, true);
    for (int32_t i = 0; i < 100; i++) {
        assert_int_equal(cotr_session_run(session, 0, ROWS, ROWS, NULL, NULL), COT_OK);
    }
    assert_true(cotr_session_call_seconds(session, 2) > 0);
    assert_true(cotr_session_call_seconds(session, 1) == 0); /* a loop's are its calls' */
    cotr_session_destroy(session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_steps_directions_and_threads),
        cmocka_unit_test(other_chunks_give_the_same),
        cmocka_unit_test(a_loop_in_a_loop),
        cmocka_unit_test(calls_over_units),
        cmocka_unit_test(time_is_counted_in_loops),
    };
    return cmocka_run_group_tests(tests, make_data, drop_data);
}
