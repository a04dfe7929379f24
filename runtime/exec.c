/*
 * Running a session: steps, phases, tasks.
 *
 *   advance   by one thread: end a step, begin the next, run phases that are too small to share;
 *             stops at a phase that is to be shared, or at the end of the run
 *   share     by every thread: claim and run tasks of that phase, until none is left to claim
 *   finish    whoever finishes the last task of the phase advances and opens the gate; the others
 *             wait there when they find nothing to claim
 *
 * A phase is over when its tasks are done, not when all threads have come by: one that has no
 * processor just then, and no task, is not waited for. It finds itself in a later phase when it
 * goes on, which does not matter, since a thread knows nothing of a phase before it has claimed a
 * task of it, and a phase cannot end before that task is done.
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

#include <string.h>
#include <time.h>

/* Tasks of all unit chains of a phase together, a thread. */
static const double unit_tasks = 32;

/* A task of units has at least this much work, if its chain has: some 2 us. */
static const double least_task_work = 1e5;

typedef struct run {
    _Alignas(64) _Atomic int64_t unfinished; /* tasks of the phase at hand */
    cotr_session *session;
    const volatile int32_t *cancel;
    int64_t first, rows; /* of the step at hand */
    int64_t done, left;  /* rows before and from the step at hand on */
    int64_t batch;
    int64_t steps_done;
    int32_t phase;
    bool cancelled;
    _Atomic bool finished;
    cotr_gate gate;
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

/* A task at work: its chain, its part of the chain's range, and the thread that runs it. */
typedef struct task {
    const run *r;
    const cotr_chain_layout *chain;
    cotr_thread *thread;
    int64_t begin, end;
    cotr_args args;
} task;

static void **entries_of(const task *t, int32_t i_call) {
    return t->thread->address + t->r->session->first_entry[t->chain->first_call + i_call];
}

static void copy(const task *t, const cotr_call *call, int64_t begin, int64_t end) {
    const cotr_buffer *buffer = &t->r->session->program->buffer[call->slot[1]];
    const bool rows = buffer->row_bytes != 0;
    const int64_t bytes = rows ? (end - begin) * buffer->row_bytes : buffer->bytes;
    const uintptr_t skipped = rows ? (uintptr_t)(begin * buffer->row_bytes) : 0;
    const uintptr_t from = (uintptr_t)t->args.buffer[0], to = (uintptr_t)t->args.buffer[1];
    if (bytes > 0 && from != to) {
        memcpy((void *)(to + skipped), (const void *)(from + skipped), (size_t)bytes);
    }
}

/* A KERNEL or COPY on its range. */
static void make_call(task *t, int32_t i_call) {
    const cotr_call *call = &t->chain->chain->call[i_call];
    int64_t begin = t->begin, end = t->end;
    if (call->range != COTR_RANGE_CHAIN) {
        begin = 0;
        end = call->range == COTR_RANGE_ROWS ? t->r->rows : call->units;
    }
    t->args.buffer = entries_of(t, i_call);
    if (call->kind == COTR_CALL_COPY) {
        copy(t, call, begin, end);
    } else {
        call->kernel(&t->args, begin * call->coefficient, end * call->coefficient);
    }
}

static void make_timed_call(task *t, int32_t i_call) {
    const int64_t start = t->r->session->timing ? now_ns() : 0;
    make_call(t, i_call);
    if (t->r->session->timing) {
        t->thread->call_ns[t->chain->first_call + i_call] += now_ns() - start;
    }
}

/* A loop that is being run. */
typedef struct open_loop {
    int32_t i_call; /* the loop's own */
    int64_t left;   /* steps, from the one at hand on */
} open_loop;

/* Move the addresses of a loop's calls on by a number of steps. */
static void move_on(const task *t, int32_t i_call, int64_t steps) {
    const cotr_loop *loop = &t->chain->chain->call[i_call].loop;
    for (int32_t i = 0; i < loop->n_strides; i++) {
        const cotr_stride *stride = &loop->stride[i];
        void **address = &entries_of(t, i_call + 1 + stride->call)[stride->slot];
        *address = (void *)((uintptr_t)*address + (uintptr_t)(steps * stride->bytes));
    }
}

/* To the first step of a loop that has one. */
static open_loop enter_loop(const task *t, int32_t i_call) {
    const cotr_loop *loop = &t->chain->chain->call[i_call].loop;
    move_on(t, i_call, loop->reverse ? loop->steps - 1 : 0);
    return (open_loop){.i_call = i_call, .left = loop->steps};
}

/* The call behind a loop. */
static int32_t loop_end(const task *t, int32_t i_call) {
    return i_call + 1 + t->chain->chain->call[i_call].loop.n_calls;
}

/* At the end of a step: to the next one, or, with the addresses as they were before the loop, out
 * of it. */
static bool next_step(const task *t, open_loop *at) {
    const cotr_loop *loop = &t->chain->chain->call[at->i_call].loop;
    at->left--;
    if (at->left > 0) {
        move_on(t, at->i_call, loop->reverse ? -1 : 1);
        return true;
    }
    move_on(t, at->i_call, loop->reverse ? 0 : 1 - loop->steps);
    return false;
}

/* All calls of the task's chain, in order; loops that are being run stand on a stack. */
static void run_calls(task *t) {
    const cotr_chain *chain = t->chain->chain;
    open_loop stack[COTR_MAX_NESTING];
    int32_t depth = 0;
    for (int32_t i = 0; i < chain->n_calls || depth > 0;) {
        open_loop *inner = depth > 0 ? &stack[depth - 1] : NULL;
        if (inner != NULL && i == loop_end(t, inner->i_call)) {
            const bool again = next_step(t, inner);
            i = again ? inner->i_call + 1 : i;
            depth -= !again;
            continue;
        }
        const cotr_call *call = &chain->call[i];
        if (call->kind == COTR_CALL_LOOP && call->loop.steps > 0) {
            stack[depth++] = enter_loop(t, i);
        } else if (call->kind == COTR_CALL_LOOP) {
            i = loop_end(t, i);
            continue;
        } else if (call->loads < 0 || !t->r->session->binding[call->loads].direct) {
            make_timed_call(t, i);
        }
        i++;
    }
}

/* The chain of the phase that this task belongs to: the last whose first task is not after it. */
static const cotr_chain_layout *find_chain(const cotr_session *session, int32_t i_phase,
                                           int64_t i_task) {
    const cotr_chain_layout *chain = &session->chain[session->phase[i_phase].first_chain];
    int32_t low = 0, high = session->program->phase[i_phase].n_chains;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (chain[middle].first_task <= i_task) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &chain[low];
}

static void run_task(const run *r, cotr_thread *thread, int64_t i_task) {
    const cotr_chain_layout *chain = find_chain(r->session, r->phase, i_task);
    int64_t begin = (i_task - chain->first_task) * chain->chunk;
    int64_t end = begin + chain->chunk < chain->range ? begin + chain->chunk : chain->range;
    task t = {.r = r,
              .chain = chain,
              .thread = thread,
              .begin = begin,
              .end = end,
              .args = {.rows = r->rows, .first = r->first, .scratch = thread->scratch}};
    move_slots(r, thread);
    place_local_slots(r->session, chain, thread, begin);
    run_calls(&t);
}

/* ---- all threads: one phase ---- */

/* The end of the block of tasks that thread `owner` has; it begins where the one before ends. */
static int64_t block_end(const run *r, int32_t owner) {
    const cotr_session *session = r->session;
    return session->phase[r->phase].n_tasks * (owner + 1) / session->n_threads;
}

/*
 * Take a task of an owner's block: its number, or -1 when none is left. Only after that may the
 * thread look at the phase. That the count may by now be a later phase's does no harm: then the
 * task is of that phase.
 */
static int64_t claim(const run *r, int32_t owner) {
    _Atomic int64_t *unclaimed = &r->session->thread[owner].unclaimed;
    int64_t n = atomic_load_explicit(unclaimed, memory_order_relaxed);
    while (n > 0) {
        if (atomic_compare_exchange_weak_explicit(unclaimed, &n, n - 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return block_end(r, owner) - n;
        }
    }
    return -1;
}

/* Run what can be claimed, of the own block first; how many tasks that was. */
static int64_t share(const run *r, int32_t i_thread) {
    cotr_session *session = r->session;
    int64_t n_done = 0;
    for (int32_t i = 0; i < session->n_threads; i++) {
        const int32_t owner = (i_thread + i) % session->n_threads;
        for (int64_t i_task = claim(r, owner); i_task >= 0; i_task = claim(r, owner)) {
            run_task(r, &session->thread[i_thread], i_task);
            n_done++;
        }
    }
    return n_done;
}

/* ---- one thread: between phases ---- */

/* Set up the step at hand, unless the run is over. */
static void begin_step(run *r) {
    r->cancelled =
        r->left > 0 && r->cancel != NULL && __atomic_load_n(r->cancel, __ATOMIC_RELAXED) != 0;
    const bool finished = r->left == 0 || r->cancelled;
    atomic_store_explicit(&r->finished, finished, memory_order_relaxed);
    if (!finished) {
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

static bool is_finished(const run *r) {
    return atomic_load_explicit(&r->finished, memory_order_relaxed);
}

/* Let the phase's tasks be claimed. */
static void offer_tasks(run *r) {
    cotr_session *session = r->session;
    int64_t begin = 0;
    atomic_store_explicit(&r->unfinished, session->phase[r->phase].n_tasks, memory_order_relaxed);
    for (int32_t i = 0; i < session->n_threads; i++) {
        const int64_t end = block_end(r, i);
        atomic_store_explicit(&session->thread[i].unclaimed, end - begin, memory_order_release);
        begin = end;
    }
}

/* From the start of r->phase on, to the start of a phase to share or to the end of the run. */
static void advance(run *r, int32_t i_thread) {
    const cotr_session *session = r->session;
    while (!is_finished(r)) {
        if (r->phase == session->program->n_phases) {
            end_step(r);
            begin_step(r);
            continue;
        }
        if (!session->phase[r->phase].alone) {
            offer_tasks(r);
            break;
        }
        for (int64_t i = 0; i < session->phase[r->phase].n_tasks; i++) {
            run_task(r, &r->session->thread[i_thread], i);
        }
        r->phase++;
    }
}

/* n_done tasks of the phase are done: if they were the last, go on to the next phase. */
static void finish_tasks(run *r, int32_t i_thread, int64_t n_done) {
    int64_t before = atomic_fetch_sub_explicit(&r->unfinished, n_done, memory_order_acq_rel);
    if (before == n_done) {
        r->phase++;
        advance(r, i_thread);
        cotr_gate_open(&r->gate);
    }
}

static void team_body(void *user, int32_t i_thread) {
    run *r = user;
    for (;;) {
        uint32_t looked = cotr_gate_look(&r->gate);
        if (is_finished(r)) {
            break;
        }
        int64_t n_done = share(r, i_thread);
        if (n_done > 0) {
            finish_tasks(r, i_thread, n_done);
        } else {
            cotr_gate_wait(&r->gate, looked);
        }
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
    if (!is_finished(&r) && needs_team(session) && !cotr_team_claim()) {
        return cotr_session_fail(session, COT_E_FORKED,
                                 "this process was forked from one whose worker threads had "
                                 "started: use one thread here, or start it by exec");
    }
    if (!is_finished(&r)) {
        convert_inputs(session);
        advance(&r, 0);
    }
    if (!is_finished(&r)) {
        cotr_gate_init(&r.gate, session->crowded);
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
