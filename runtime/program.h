/*
 * A program as the runtime sees it: phases of chains of kernel calls, and where each buffer lives.
 * No graphs, no LLVM.
 *
 * A step runs the phases in order with a barrier between. The tasks of a phase are independent: a
 * chain's tasks are chunks of its partition axis, and a task makes all the chain's calls on its
 * chunk, in order. A result never depends on how many chunks there are or on who runs them.
 */
#ifndef COTR_PROGRAM_H
#define COTR_PROGRAM_H

#include "base/context.h"
#include "kernel_abi.h"

/* Where a buffer lives. X(ID, meaning of offset) */
#define COTR_BUFFER_LIST(X)                                                                        \
    X(ARENA, "bytes from the session's arena")                                                     \
    X(LOCAL, "bytes from the running thread's local block: holds the rows of one chunk")           \
    X(STATE, "index of the program's state")                                                       \
    X(SOURCE, "index of the program's input: the slot's address is its cotr_source")               \
    X(INPUT, "index of the program's input: the slot's address is the bound data itself")          \
    X(OUTPUT, "index of the program's output: the slot's address is the bound memory, at the "     \
              "step's first row")

typedef enum cotr_buffer_kind {
#define COTR_BUFFER_ENUM(id, meaning) COTR_##id,
    COTR_BUFFER_LIST(COTR_BUFFER_ENUM)
#undef COTR_BUFFER_ENUM
} cotr_buffer_kind;

typedef struct cotr_buffer {
    cotr_buffer_kind kind;
    int64_t offset;
    int64_t row_bytes; /* bytes of one row (per N, coefficient included) of a batched buffer; 0: not
                          batched */
    int64_t bytes;     /* at the largest row count (LOCAL: at the largest chunk) */
} cotr_buffer;

typedef struct cotr_call {
    cotr_kernel kernel;
    int32_t n_slots;
    const int32_t *slot; /* index of a cotr_buffer for each slot */
    int64_t coefficient; /* the kernel's range is coefficient * the chain's range (c of a c*N axis;
                            1 for units) */
    const char *name;    /* for dumps and messages */
} cotr_call;

typedef struct cotr_chain {
    bool rows;       /* partition axis: rows of the batch, or n_units units */
    int64_t n_units; /* of a chain that is not over rows */
    int64_t
        grain;   /* smallest chunk, in rows or units; chunks are multiples of it but for the last */
    bool coarse; /* one chunk a thread rather than many: the chain streams more weights than the
                    cache holds */
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
    void *const *state; /* each state's storage */
    int64_t max_rows;   /* 1 when nothing is batched */
    int64_t max_chunk;  /* largest row chunk: LOCAL buffers hold this many rows */
    int64_t arena_bytes, local_bytes, scratch_bytes;
} cotr_program;

/* ---- sessions (exec.c) ---- */

typedef struct cotr_session cotr_session;

/* Memory of a program for at most `threads` threads. The program must outlive it. */
cot_status cotr_session_create(cot_context *context, const cotr_program *program, int32_t threads,
                               cotr_session **session_out);
void cotr_session_destroy(cotr_session *session);

/* Bind input i: checked against its dtype and row size. index: NULL, or row numbers (borrowed)
 * within [0, n_rows). */
cot_status cotr_session_bind_input(cotr_session *session, int32_t i_input,
                                   const struct cot_array *array, const int64_t *index);
/* Bind output i to memory for at least the rows that are run in all (borrowed); NULL unbinds. */
cot_status cotr_session_bind_output(cotr_session *session, int32_t i_output, void *data,
                                    int64_t n_rows);

/*
 * Run steps over rows [first, first + n_rows) of the sources' order, `batch` rows each but for the
 * last, all inside one parallel region. Allocates nothing. *cancel (may be NULL) is read every
 * step; steps_done_out (may be NULL) tells how many steps were completed. fails: COT_E_ARG (an
 * input is not bound, too few rows), COT_E_CANCELLED, COT_E_FORKED.
 */
cot_status cotr_session_run(cotr_session *session, int64_t first, int64_t n_rows, int64_t batch,
                            const volatile int32_t *cancel, int64_t *steps_done_out);

const coti_error *cotr_session_error(const cotr_session *session);

/* Seconds spent in each call since the last reset, summed over threads, when timing is on (off at
 * first). */
void cotr_session_set_timing(cotr_session *session, bool on);
/* i_call counts calls through all phases and chains in order. */
double cotr_session_call_seconds(const cotr_session *session, int32_t i_call);

#endif
