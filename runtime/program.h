/*
 * A program as the runtime sees it: phases of chains of kernel calls, and where each buffer lives.
 * No graphs, no LLVM.
 *
 * A step runs the phases in order, each when all of the one before is done. The tasks of a phase
 * are independent: a chain's tasks are chunks of its partition axis, and a task makes all the
 * chain's calls on its chunk, in order, those of a loop once a step of the loop. A result never
 * depends on how many chunks there are or on who runs them.
 */
#ifndef COTR_PROGRAM_H
#define COTR_PROGRAM_H

#include "base/context.h"
#include "kernel_abi.h"

struct cot_array; /* cotangent/graph.h */

/* Where a buffer lives. X(ID, meaning of offset) */
#define COTR_BUFFER_LIST(X)                                                                        \
    X(ARENA, "bytes from the session's arena")                                                     \
    X(LOCAL, "bytes from the running thread's local block: holds the rows of one chunk")           \
    X(STATE, "index of the program's state")                                                       \
    X(SOURCE, "index of the program's input: the slot's address is its cotr_source")               \
    X(INPUT, "index of the program's input: the slot's address is the bound data itself")          \
    X(OUTPUT, "index of the program's output: the slot's address is the bound memory, at the "     \
              "step's first row, or the arena's at arena_offset when nothing is bound")

typedef enum cotr_buffer_kind {
#define COTR_BUFFER_ENUM(id, meaning) COTR_##id,
    COTR_BUFFER_LIST(COTR_BUFFER_ENUM)
#undef COTR_BUFFER_ENUM
} cotr_buffer_kind;

typedef struct cotr_buffer {
    cotr_buffer_kind kind;
    int64_t offset;
    /* Bytes of one row (per N, coefficient included) of a batched buffer; 0: not batched. */
    int64_t row_bytes;
    /* At the largest row count; LOCAL: at its chain's largest chunk. */
    int64_t bytes;
    /* Of an OUTPUT: where it is while nothing is bound. */
    int64_t arena_offset;
} cotr_buffer;

/* Loops within loops, at most. */
enum { COTR_MAX_NESTING = 8 };

/* A slot that moves on with a loop's steps: at step t its address is the buffer's + t * bytes. */
typedef struct cotr_stride {
    int32_t call; /* of the loop's calls */
    int32_t slot;
    int64_t bytes;
} cotr_stride;

/*
 * A loop: the n_calls calls that follow it in its chain (loops among them, and theirs) are made
 * once a step, for the steps 0, 1, .. or in reverse the last, .., 0. A slot of a call in an inner
 * loop may move with that loop and with this one.
 */
typedef struct cotr_loop {
    int64_t steps;
    bool reverse;
    int32_t n_calls;
    int32_t n_strides;
    const cotr_stride *stride;
} cotr_loop;

/* What a call does. X(ID, meaning) */
#define COTR_CALL_LIST(X)                                                                          \
    X(KERNEL, "a kernel on its range")                                                             \
    X(COPY,                                                                                        \
      "the rows of slot 0 of its range to slot 1, which is of the same type; all of it when "      \
      "it is not batched")                                                                         \
    X(LOOP, "the calls that follow it, again and again; it has no slots")

typedef enum cotr_call_kind {
#define COTR_CALL_ENUM(id, meaning) COTR_CALL_##id,
    COTR_CALL_LIST(COTR_CALL_ENUM)
#undef COTR_CALL_ENUM
} cotr_call_kind;

/* On what a call works. X(ID, meaning) */
#define COTR_RANGE_LIST(X)                                                                         \
    X(CHAIN, "on the rows or units of the chain's task")                                           \
    X(ROWS, "on all rows of the step: in a chain that is not over rows")                           \
    X(UNITS, "on all its units, of which there are `units`")

typedef enum cotr_range_kind {
#define COTR_RANGE_ENUM(id, meaning) COTR_RANGE_##id,
    COTR_RANGE_LIST(COTR_RANGE_ENUM)
#undef COTR_RANGE_ENUM
} cotr_range_kind;

typedef struct cotr_call {
    cotr_kernel kernel;
    int32_t n_slots;
    const int32_t *slot; /* index of a cotr_buffer for each slot */
    /* The kernel's range is coefficient * the range in rows: c of a c*N axis; 1 for units. */
    int64_t coefficient;
    /* Input whose rows this call copies, and no more, to the program's `loaded` buffer of that
     * input; -1: it does something else. */
    int32_t loads;
    const char *name; /* for dumps and messages */
    cotr_call_kind kind;
    cotr_range_kind range;
    int64_t units;
    double work; /* estimated flops of all its range, and all its steps, at the largest row count */
    cotr_loop loop; /* of a LOOP */
} cotr_call;

typedef struct cotr_chain {
    bool rows;       /* partition axis: rows of the batch, or n_units units */
    int64_t n_units; /* of a chain that is not over rows */
    /* Over rows: the rows of a task. LOCAL buffers hold so many, or max_rows if that is fewer. A
     * step that has too few rows to give every thread a task takes smaller ones, multiples of
     * grain. */
    int64_t chunk, grain;
    int32_t n_calls;
    const cotr_call *call;
    double work; /* estimated flops of the whole chain at the largest row count */
} cotr_chain;

typedef struct cotr_phase {
    int32_t n_chains;
    const cotr_chain *chain;
    bool serial; /* too small to share: one thread runs it */
} cotr_phase;

/* An input's type, against which sources are checked. */
typedef struct cotr_input {
    const char *name;
    cot_dtype dtype;
    cot_shape shape;
} cotr_input;

typedef cotr_input cotr_output;

typedef struct cotr_program {
    int32_t n_phases, n_buffers, n_states, n_inputs, n_outputs;
    const cotr_phase *phase;
    const cotr_buffer *buffer;
    const cotr_input *input;
    const cotr_output *output;
    /*
     * For each input the ARENA or LOCAL buffer that a call with `loads` fills with its rows; -1:
     * none. When the bound rows are such already (dtype, order, adjacency), the session leaves the
     * call out and lets the buffer's slots point at the caller's rows.
     */
    const int32_t *loaded;
    void *const *state; /* each state's storage */
    int64_t max_rows;   /* 1 when nothing is batched */
    int64_t arena_bytes, local_bytes, scratch_bytes;
} cotr_program;

/* Bytes of a session's memory: the arena, and each thread's local and scratch blocks. */
static inline int64_t cotr_program_memory(const cotr_program *program, int32_t threads) {
    const int64_t line = 64;
    const int64_t local = (program->local_bytes + line - 1) / line * line;
    const int64_t scratch = (program->scratch_bytes + line - 1) / line * line;
    return program->arena_bytes + threads * (local + scratch);
}

/* Phases with less work than this, at the rows of a step, stay on one thread: about 5 us. */
#define COTR_SERIAL_WORK 2e5

/* ---- sessions (session.c) ---- */

/*
 * Memory to run a program in, what is bound, and an error of its own. Used by one thread at a time;
 * sessions of one program may run in several threads at once. Each call below first forgets the
 * error of the call before.
 */
typedef struct cotr_session cotr_session;

/*
 * Memory of a program for at most `threads` threads, taken here. The program must outlive it.
 * fails: COT_E_NOMEM, recorded in the context, which the session afterwards uses for its allocator
 * only.
 */
cot_status cotr_session_create(cot_context *context, const cotr_program *program, int32_t threads,
                               cotr_session **session_out);
/* NULL is fine. */
void cotr_session_destroy(cotr_session *session);

/*
 * Bind input i: checked against its dtype and row size. The rows are read in the runs that follow.
 * index: NULL, or row numbers (borrowed) within [0, n_rows), as many as are run. An input that no
 * buffer of the program names need not be bound. fails: COT_E_ARG, COT_E_DTYPE, COT_E_SHAPE; what
 * was bound before then stays bound.
 */
cot_status cotr_session_bind_input(cotr_session *session, int32_t i_input,
                                   const struct cot_array *array, const int64_t *index);
/* Bind output i to memory for at least the rows that are run in all (borrowed; 1 row when it is not
 * batched); NULL unbinds. */
cot_status cotr_session_bind_output(cotr_session *session, int32_t i_output, void *data,
                                    int64_t n_rows);

/* May steps of `batch` rows over [first, first + n_rows) be run with what is bound? The checks of
 * cotr_session_run. */
cot_status cotr_session_check(cotr_session *session, int64_t first, int64_t n_rows, int64_t batch);

/* The bound rows of an input; base is NULL when nothing is bound. The bound memory of an output;
 * NULL: none. */
const cotr_source *cotr_session_source(const cotr_session *session, int32_t i_input);
void *cotr_session_output(const cotr_session *session, int32_t i_output);

const coti_error *cotr_session_error(const cotr_session *session);
/* Record an error as the session's own; returns status. */
cot_status cotr_session_fail(cotr_session *session, cot_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Seconds spent in each call since timing was switched on, summed over threads (off at first). */
void cotr_session_set_timing(cotr_session *session, bool on);
/* i_call counts calls through all phases and chains in order. */
double cotr_session_call_seconds(const cotr_session *session, int32_t i_call);

/* ---- running (exec.c) ---- */

/*
 * Run steps over rows [first, first + n_rows) of the sources' order, `batch` rows each but for the
 * last, in at most one parallel region. Row r of a bound output is position first + r; an output
 * that is not batched holds the last step's value. Allocates nothing. *cancel (may be NULL) is read
 * before every step; steps_done_out (may be NULL) tells how many steps were completed. fails:
 * COT_E_ARG (an input is not bound, too few rows), COT_E_CANCELLED, COT_E_FORKED; before the first
 * step but for COT_E_CANCELLED, which leaves whole steps done.
 */
cot_status cotr_session_run(cotr_session *session, int64_t first, int64_t n_rows, int64_t batch,
                            const volatile int32_t *cancel, int64_t *steps_done_out);

/* ---- gathering (gather.c) ---- */

/* Can rows of dtype `from` be read as an input of dtype `to`? */
bool cotr_can_gather(cot_dtype from, cot_dtype to);

/* What a LOAD kernel does, in C: rows [first, first + rows) of the source's order, converted to
 * dtype `to`, dense, into `out`. */
void cotr_gather(const cotr_source *source, cot_dtype to, int64_t row_elements, int64_t first,
                 int64_t rows, void *out);

#endif
