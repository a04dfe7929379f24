/*
 * Running a session: steps, phases, tasks.
 *
 *   advance   by one thread while the others wait: end a step, begin the next, run phases that are
 *             too small to share; stops at a phase that is to be shared, or at the end
 *   share     by every thread: claim and run tasks of that phase
 *   barrier   the last to arrive calls advance
 *
 * The calling thread advances first, alone: a run whose phases are all small never opens a parallel
 * region, others open one for all their steps. Nothing here allocates, and inside the region
 * nothing can fail: what a run needs is checked before.
 *
 * Each thread owns a block of consecutive tasks of a phase, so that it meets the rows again that
 * it had in the phase before, and takes from others' blocks when its own is done. Who runs a task
 * changes no result.
 */
#include "base/size.h"
#include "session.h"
#include "threads.h"

#include <time.h>

/* Tasks of all unit chains of a phase together, a thread. */
static const double unit_tasks = 8;

/* A task of units has at least this much work, if its chain has: some 2 us. */
static const double least_task_work = 1e5;

typedef struct run {
    cotr_session *session;
    const volatile int32_t *cancel;
    int64_t first, rows; /* of the step at hand */
    int64_t done, left;  /* rows before and from the step at hand on */
    int64_t batch;
    int64_t steps_done;
    int32_t phase;
    bool finished, cancelled;
    cotr_barrier barrier;
} run;

/* ---- layout: tasks of each chain, for a number of rows ---- */

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Work of a chain at this row count. A unit chain's is taken as it is at the largest. */
static double work_at(const cotr_chain *chain, int64_t rows, int64_t max_rows) {
    return chain->rows ? chain->work * ((double)rows / (double)max_rows) : chain->work;
}

/* The chunk of a chain with `range` rows or units, of a phase with this much work in all. */
static int64_t choose_chunk(const cotr_chain *chain, int64_t range, int32_t threads,
                            double phase_work) {
    if (chain->rows) {
        int64_t share = divide_up(divide_up(range, threads), chain->grain) * chain->grain;
        return share < chain->chunk && share > 0 ? share : chain->chunk;
    }
    double share = phase_work > 0 ? chain->work / phase_work : 1;
    double most = chain->work / least_task_work;
    double tasks = share * threads * unit_tasks;
    tasks = tasks > most ? most : tasks;
    int64_t chunk = divide_up(range, tasks < 1 ? 1 : (int64_t)(tasks + 0.5));
    return chunk < 1 ? 1 : chunk;
}

static void lay_out_phase(cotr_session *session, int32_t i_phase, int64_t rows) {
    const cotr_phase *phase = &session->program->phase[i_phase];
    const int64_t max_rows = session->program->max_rows;
    cotr_phase_layout *layout = &session->phase[i_phase];
    cotr_chain_layout *chain = &session->chain[layout->first_chain];
    double work = 0;
    for (int32_t i = 0; i < phase->n_chains; i++) {
        work += work_at(&phase->chain[i], rows, max_rows);
    }
    layout->n_tasks = 0;
    for (int32_t i = 0; i < phase->n_chains; i++) {
        chain[i].range = phase->chain[i].rows ? rows : phase->chain[i].n_units;
        chain[i].chunk = choose_chunk(&phase->chain[i], chain[i].range, session->n_threads, work);
        chain[i].first_task = layout->n_tasks;
        layout->n_tasks += divide_up(chain[i].range, chain[i].chunk);
    }
    layout->alone =
        phase->serial || session->n_threads == 1 || layout->n_tasks < 2 || work < COTR_SERIAL_WORK;
}

static void lay_out(cotr_session *session, int64_t rows) {
    for (int32_t i = 0; i < session->program->n_phases && session->layout_rows != rows; i++) {
        lay_out_phase(session, i, rows);
    }
    session->layout_rows = rows;
}

/* ---- one task ---- */

static int64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* At a thread's first task of a step: point its moving slots at the step's rows. */
static void move_slots(const run *r, cotr_thread *thread) {
    const cotr_session *session = r->session;
    if (thread->step == session->n_steps) {
        return;
    }
    thread->step = session->n_steps;
    for (int32_t i = 0; i < session->n_moving; i++) {
        const cotr_slot *slot = &session->moving[i];
        thread->address[slot->entry] =
            cotr_moving_address(session, slot->buffer, r->first, r->done);
    }
}

/*
 * Point a chain's LOCAL slots at the thread's block, such that row `begin` comes to lie at the
 * buffer's start. Integer arithmetic, because row 0 may lie outside the block.
 */
static void place_local_slots(const cotr_session *session, const cotr_chain_layout *chain,
                              cotr_thread *thread, int64_t begin) {
    const cotr_slot *slot = &session->local_slot[chain->first_local_slot];
    for (int32_t i = 0; i < chain->n_local_slots; i++) {
        const cotr_buffer *buffer = &session->program->buffer[slot[i].buffer];
        if (slot[i].input >= 0 && session->binding[slot[i].input].direct) {
            continue;
        }
        thread->address[slot[i].entry] =
            (void *)((uintptr_t)thread->local +
                     (uintptr_t)(buffer->offset - begin * buffer->row_bytes));
    }
}

static void run_calls(const run *r, const cotr_chain_layout *chain, cotr_thread *thread,
                      int64_t begin, int64_t end) {
    const cotr_session *session = r->session;
    cotr_args args = {.rows = r->rows, .first = r->first, .scratch = thread->scratch};
    for (int32_t i = 0; i < chain->chain->n_calls; i++) {
        const cotr_call *call = &chain->chain->call[i];
        const int32_t i_call = chain->first_call + i;
        if (call->loads >= 0 && session->binding[call->loads].direct) {
            continue;
        }
        args.buffer = thread->address + session->first_entry[i_call];
        if (!session->timing) {
            call->kernel(&args, begin * call->coefficient, end * call->coefficient);
            continue;
        }
        int64_t start = now_ns();
        call->kernel(&args, begin * call->coefficient, end * call->coefficient);
        thread->call_ns[i_call] += now_ns() - start;
    }
}

/* The chain of the phase that this task belongs to: the last whose first task is not after it. */
static const cotr_chain_layout *find_chain(const cotr_session *session, int32_t i_phase,
                                           int64_t task) {
    const cotr_chain_layout *chain = &session->chain[session->phase[i_phase].first_chain];
    int32_t low = 0, high = session->program->phase[i_phase].n_chains;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (chain[middle].first_task <= task) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &chain[low];
}

static void run_task(const run *r, cotr_thread *thread, int64_t task) {
    const cotr_chain_layout *chain = find_chain(r->session, r->phase, task);
    int64_t begin = (task - chain->first_task) * chain->chunk;
    int64_t end = begin + chain->chunk < chain->range ? begin + chain->chunk : chain->range;
    move_slots(r, thread);
    place_local_slots(r->session, chain, thread, begin);
    run_calls(r, chain, thread, begin, end);
}

/* ---- all threads: one phase ---- */

static void share(const run *r, int32_t i_thread, int32_t n_threads) {
    cotr_session *session = r->session;
    const int64_t n_tasks = session->phase[r->phase].n_tasks;
    for (int32_t i = 0; i < n_threads; i++) {
        int32_t owner = (i_thread + i) % n_threads;
        int64_t from = n_tasks * owner / n_threads, to = n_tasks * (owner + 1) / n_threads;
        _Atomic int64_t *claimed = &session->thread[owner].claimed;
        for (;;) {
            int64_t task = from + atomic_fetch_add_explicit(claimed, 1, memory_order_relaxed);
            if (task >= to) {
                break;
            }
            run_task(r, &session->thread[i_thread], task);
        }
    }
}

/* ---- one thread: between phases ---- */

/* Set up the step at hand, unless the run is over. */
static void begin_step(run *r) {
    r->cancelled =
        r->left > 0 && r->cancel != NULL && __atomic_load_n(r->cancel, __ATOMIC_RELAXED) != 0;
    r->finished = r->left == 0 || r->cancelled;
    if (!r->finished) {
        r->rows = r->batch < r->left ? r->batch : r->left;
        r->phase = 0;
        r->session->n_steps++;
        lay_out(r->session, r->rows);
    }
}

static void end_step(run *r) {
    r->steps_done++;
    r->first += r->rows;
    r->done += r->rows;
    r->left -= r->rows;
}

/* From the start of r->phase on, to the start of a phase to share or to the end of the run. */
static void advance(void *user, int32_t i_thread) {
    run *r = user;
    cotr_session *session = r->session;
    while (!r->finished) {
        if (r->phase == session->program->n_phases) {
            end_step(r);
            begin_step(r);
            continue;
        }
        if (!session->phase[r->phase].alone) {
            break;
        }
        for (int64_t i = 0; i < session->phase[r->phase].n_tasks; i++) {
            run_task(r, &session->thread[i_thread], i);
        }
        r->phase++;
    }
    for (int32_t i = 0; i < session->n_threads; i++) {
        atomic_store_explicit(&session->thread[i].claimed, 0, memory_order_relaxed);
    }
}

static void leave_phase(void *user, int32_t i_thread) {
    ((run *)user)->phase++;
    advance(user, i_thread);
}

static void team_body(void *user, int32_t i_thread, int32_t n_threads) {
    run *r = user;
    while (!r->finished) {
        share(r, i_thread, n_threads);
        cotr_barrier_wait(&r->barrier, n_threads, leave_phase, r, i_thread);
    }
}

/* Inputs that are not batched, and are bound in another dtype, are converted here. */
static void convert_inputs(cotr_session *session) {
    for (int32_t i = 0; i < session->program->n_inputs; i++) {
        const cotr_input *input = &session->program->input[i];
        const cotr_binding *binding = &session->binding[i];
        int64_t elements = 0;
        if (binding->used && !input->shape.batched &&
            binding->source.dtype != (int32_t)input->dtype &&
            coti_shape_elements(&input->shape, 1, &elements)) {
            cotr_gather(&binding->source, input->dtype, elements, 0, 1, binding->converted);
        }
    }
}

/* Is any phase shared? If none is at the first step, none is at a last one that has fewer rows. */
static bool needs_team(const cotr_session *session) {
    for (int32_t i = 0; i < session->program->n_phases; i++) {
        if (!session->phase[i].alone) {
            return true;
        }
    }
    return false;
}

cot_status cotr_session_run(cotr_session *session, int64_t first, int64_t n_rows, int64_t batch,
                            const volatile int32_t *cancel, int64_t *steps_done_out) {
    run r = {.session = session, .cancel = cancel, .first = first, .left = n_rows, .batch = batch};
    if (steps_done_out != NULL) {
        *steps_done_out = 0;
    }
    COTI_TRY(cotr_session_check(session, first, n_rows, batch));
    begin_step(&r);
    if (!r.finished && needs_team(session) && !cotr_team_claim()) {
        return cotr_session_fail(session, COT_E_FORKED,
                                 "this process was forked from one whose worker threads had "
                                 "started: use one thread here, or start it by exec");
    }
    if (!r.finished) {
        convert_inputs(session);
        advance(&r, 0);
    }
    if (!r.finished) {
        cotr_barrier_init(&r.barrier, session->crowded);
        cotr_team_run(session->n_threads, team_body, &r);
    }
    if (steps_done_out != NULL) {
        *steps_done_out = r.steps_done;
    }
    return r.cancelled
               ? cotr_session_fail(session, COT_E_CANCELLED, "stopped on request after %lld steps",
                                   (long long)r.steps_done)
               : COT_OK;
}
