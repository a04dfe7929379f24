/*
 * A session's insides, shared by session.c (which makes and binds it) and exec.c (which runs it).
 *
 * Slot addresses. Each thread has its own table of the slot addresses of all calls, one after
 * another. Addresses that never change are written once, at creation; those of inputs, outputs and
 * loaded buffers (`moving`) at a thread's first task of each step; those of LOCAL buffers
 * (`local_slot`) before each task. So tasks share nothing that is written, and a run allocates
 * nothing.
 */
#ifndef COTR_SESSION_H
#define COTR_SESSION_H

#include "base/arena.h"
#include "program.h"

#include <stdatomic.h>

/* A slot whose address is not fixed: which entry of the address table, of which buffer, which input
 * is loaded into that (-1: none). */
typedef struct cotr_slot {
    int32_t entry, buffer, input;
} cotr_slot;

typedef struct cotr_binding {
    cotr_source source; /* base NULL: nothing bound */
    int64_t n_rows;
    bool used;       /* a buffer of the program names it */
    bool direct;     /* its loaded buffer's slots point at the caller's rows */
    void *converted; /* of an input that is not batched and is bound in another dtype; owned */
    int32_t loaded;  /* buffer; -1: none */
} cotr_binding;

typedef struct cotr_destination {
    unsigned char *data; /* NULL: nothing bound */
    int64_t n_rows;
} cotr_destination;

/* A chain as laid out for `layout_rows` rows. */
typedef struct cotr_chain_layout {
    const cotr_chain *chain;
    int32_t first_call; /* of the calls of all chains */
    int32_t first_local_slot, n_local_slots;
    int64_t range, chunk;
    int64_t first_task; /* within its phase */
} cotr_chain_layout;

typedef struct cotr_phase_layout {
    int32_t first_chain;
    int64_t n_tasks;
    bool alone; /* one thread runs it */
} cotr_phase_layout;

typedef struct cotr_thread {
    _Alignas(64) _Atomic int64_t unclaimed; /* tasks of this thread's block that nobody has taken */
    _Alignas(64) void **address;
    unsigned char *local, *scratch; /* one block */
    int64_t *call_ns;               /* a call */
    int64_t step;                   /* the step that the moving addresses belong to */
} cotr_thread;

struct cotr_session {
    const cotr_program *program;
    cot_allocator allocator;
    coti_arena memory; /* of the tables below; its context serves as allocator only */
    coti_error error;
    int32_t n_threads, n_calls, n_chains;
    bool crowded;                  /* more threads than processors */
    cotr_binding *binding;         /* an input */
    cotr_destination *destination; /* an output */
    const int32_t *first_entry;    /* a call: where its slots start in a thread's address table */
    int32_t *loader;               /* a buffer: the input that is loaded into it; -1: none */
    cotr_slot *local_slot, *moving;
    int32_t n_local_slots, n_moving;
    cotr_phase_layout *phase;
    cotr_chain_layout *chain;
    int64_t layout_rows; /* 0: none yet */
    unsigned char *arena;
    cotr_thread *thread;
    bool timing;
    int64_t n_steps; /* since creation: numbers steps, so that threads notice a new one */
};

/* The address of a moving buffer, for the step whose first row is position `first` of the sources
 * and row `done` of the outputs. NULL for a LOCAL buffer that is not read in place. */
void *cotr_moving_address(const cotr_session *session, int32_t i_buffer, int64_t first,
                          int64_t done);

#endif
