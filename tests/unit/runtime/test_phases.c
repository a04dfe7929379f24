/* Phases, the chains in them, and the gate at which threads wait for the next. */
#include "check.h"

#include "runtime/session.h"
#include "runtime/threads.h"

#include <sched.h>
#include <stdatomic.h>

static const double shared_work = 1e9;
static cot_context *context;

static int make_context(void **state) {
    (void)state;
    context = cot_context_create(NULL);
    return context == NULL;
}

static int drop_context(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

static _Atomic int64_t trace_length, trace[64];
static _Atomic int32_t n_running, most_running;

static void kernel_trace(const cotr_args *args, int64_t begin, int64_t end) {
    (void)end;
    const int64_t *phase = args->buffer[0];
    int32_t running = atomic_fetch_add(&n_running, 1) + 1;
    int32_t most = atomic_load(&most_running);
    while (running > most && !atomic_compare_exchange_weak(&most_running, &most, running)) {
    }
    trace[atomic_fetch_add(&trace_length, 1)] = *phase * 100 + begin;
    for (volatile int i = 0; i < 20000; i++) {
    }
    atomic_fetch_sub(&n_running, 1);
}

/* Phases shared and serial in turn: every task once a step, no task before the phase before it. */
static void phases_keep_their_order(void **state) {
    (void)state;
    enum { N_PHASES = 5, N_UNITS = 4 };
    static const bool serial[N_PHASES] = {true, false, true, true, false};
    static const int32_t slot[N_PHASES] = {0, 1, 2, 3, 4};
    int64_t number[N_PHASES];
    void *numbers[N_PHASES];
    cotr_call call[N_PHASES];
    cotr_chain chain[N_PHASES];
    cotr_phase phase[N_PHASES];
    cotr_buffer buffer[N_PHASES];
    for (int32_t i = 0; i < N_PHASES; i++) {
        number[i] = i;
        numbers[i] = &number[i];
        call[i] = (cotr_call){.kernel = kernel_trace,
                              .n_slots = 1,
                              .slot = &slot[i],
                              .coefficient = 1,
                              .loads = -1,
                              .name = "trace"};
        chain[i] =
            (cotr_chain){.n_units = N_UNITS, .n_calls = 1, .call = &call[i], .work = shared_work};
        phase[i] = (cotr_phase){1, &chain[i], serial[i]};
        buffer[i] = (cotr_buffer){.kind = COTR_STATE, .offset = i};
    }
    const cotr_program program = {.n_phases = N_PHASES,
                                  .n_buffers = N_PHASES,
                                  .n_states = N_PHASES,
                                  .phase = phase,
                                  .buffer = buffer,
                                  .state = numbers,
                                  .max_rows = 1};
    for (int32_t threads = 1; threads <= 3; threads++) {
        cotr_session *session = NULL;
        CHECK_OK(context, cotr_session_create(context, &program, threads, &session));
        trace_length = 0;
        assert_int_equal(cotr_session_run(session, 0, 3, 1, NULL, NULL), COT_OK);
        assert_int_equal(trace_length, 3 * N_PHASES * N_UNITS);
        for (int64_t i = 0; i < trace_length; i += N_UNITS) {
            int64_t seen = 0;
            for (int64_t j = i; j < i + N_UNITS; j++) {
                assert_int_equal(trace[j] / 100, i / N_UNITS % N_PHASES);
                seen |= 1 << trace[j] % 100;
            }
            assert_int_equal(seen, (1 << N_UNITS) - 1);
        }
        cotr_session_destroy(session);
    }
}

/* slots: a cell of counts for each row or unit; counts visits */
static void kernel_count(const cotr_args *args, int64_t begin, int64_t end) {
    _Atomic int32_t *count = args->buffer[0];
    for (int64_t i = begin; i < end; i++) {
        atomic_fetch_add(&count[i], 1);
    }
}

/* One phase of chains over rows and units, with coefficients: each element once, timed or not. */
static void chains_of_a_phase_cover_their_ranges(void **state) {
    (void)state;
    enum { N_CHAINS = 4, CELLS = 200, ROWS = 37 };
    static const int64_t coefficient[N_CHAINS] = {1, 1, 3, 1}, n_units[N_CHAINS] = {1, 0, 0, 90};
    static const int32_t slot[N_CHAINS] = {0, 1, 2, 3};
    static _Atomic int32_t count[N_CHAINS][CELLS];
    void *cells[N_CHAINS];
    cotr_call call[N_CHAINS];
    cotr_chain chain[N_CHAINS];
    cotr_buffer buffer[N_CHAINS];
    for (int32_t i = 0; i < N_CHAINS; i++) {
        cells[i] = count[i];
        call[i] = (cotr_call){.kernel = kernel_count,
                              .n_slots = 1,
                              .slot = &slot[i],
                              .coefficient = coefficient[i],
                              .loads = -1,
                              .name = "count"};
        chain[i] = (cotr_chain){.rows = n_units[i] == 0,
                                .n_units = n_units[i],
                                .grain = 4,
                                .chunk = 8,
                                .n_calls = 1,
                                .call = &call[i],
                                .work = shared_work};
        buffer[i] = (cotr_buffer){.kind = COTR_STATE, .offset = i};
    }
    const cotr_phase phase = {N_CHAINS, chain, false};
    const cotr_program program = {.n_phases = 1,
                                  .n_buffers = N_CHAINS,
                                  .n_states = N_CHAINS,
                                  .phase = &phase,
                                  .buffer = buffer,
                                  .state = cells,
                                  .max_rows = ROWS};
    for (int32_t variant = 0; variant < 6; variant++) {
        cotr_session *session = NULL;
        memset(count, 0, sizeof count);
        CHECK_OK(context, cotr_session_create(context, &program, 1 + variant / 2, &session));
        cotr_session_set_timing(session, variant % 2 == 1);
        assert_int_equal(cotr_session_run(session, 0, ROWS, ROWS, NULL, NULL), COT_OK);
        for (int32_t i = 0; i < N_CHAINS; i++) {
            int64_t range = coefficient[i] * (n_units[i] == 0 ? ROWS : n_units[i]);
            for (int64_t j = 0; j < CELLS; j++) {
                assert_int_equal(count[i][j], j < range);
            }
        }
        cotr_session_destroy(session);
    }
}

/* ---- the gate by itself ---- */

enum { ROUNDS = 3000 };

typedef struct meeting {
    cotr_gate gate;
    _Atomic int64_t arrived;
    int64_t round, n_expected; /* round: written by the last to arrive only */
    int64_t seen[64];          /* by thread, far enough apart */
    _Atomic int32_t wrong, n_threads;
} meeting;

/* A barrier made of the gate. Nobody passes early, and what was written before is seen: written in
 * even rounds, read after them, and left alone in odd ones. */
static void meet(void *user, int32_t thread) {
    meeting *m = user;
    m->n_threads++;
    while (m->n_threads < m->n_expected) {
        sched_yield();
    }
    for (int64_t i = 0; i < 2 * ROUNDS; i++) {
        if (i % 2 == 0) {
            m->seen[thread * 8] = i;
        }
        uint32_t looked = cotr_gate_look(&m->gate);
        if (++m->arrived == m->n_expected * (i + 1)) {
            m->round++;
            cotr_gate_open(&m->gate);
        } else {
            cotr_gate_wait(&m->gate, looked);
        }
        m->wrong += m->round != i + 1;
        for (int32_t other = 0; other < m->n_expected && i % 2 == 0; other++) {
            m->wrong += m->seen[other * 8] != i;
        }
    }
}

static void nobody_passes_a_gate_early(void **state) {
    (void)state;
    for (int32_t threads = 1; threads <= 4; threads++) {
        meeting m = {.n_expected = threads};
        cotr_gate_init(&m.gate, threads > 2);
        assert_true(cotr_team_claim());
        cotr_team_run(threads, meet, &m);
        assert_int_equal(m.wrong, 0);
        assert_int_equal(m.round, 2 * ROUNDS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_keep_their_order),
        cmocka_unit_test(chains_of_a_phase_cover_their_ranges),
        cmocka_unit_test(nobody_passes_a_gate_early),
    };
    return cmocka_run_group_tests(tests, make_context, drop_context);
}
