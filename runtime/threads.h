/*
 * A team of threads, and a gate at which they wait. The one place that knows OpenMP and futexes.
 */
#ifndef COTR_THREADS_H
#define COTR_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A gate that is opened again and again: whoever has seen how often it was open waits until it has
 * been opened once more. What was written before an opening is seen by those that it lets pass.
 */
typedef struct cotr_gate {
    _Alignas(64) _Atomic uint32_t n_opened; /* the futex word; wraps */
    _Atomic int32_t sleepers;
    int32_t spins; /* pauses before a waiting thread sleeps */
} cotr_gate;

/* crowded: the team has more threads than there are processors, so that waiting ones sleep early.
 */
void cotr_gate_init(cotr_gate *gate, bool crowded);
uint32_t cotr_gate_look(cotr_gate *gate);
/* Wait until the gate has been opened since it was looked at. */
void cotr_gate_wait(cotr_gate *gate, uint32_t looked);
void cotr_gate_open(cotr_gate *gate);

/* What each thread of a team does. */
typedef void (*cotr_body)(void *user, int32_t thread);

/*
 * May this process run a team? Not when it is the child of one that has: the threads were not
 * forked with it, and OpenMP would wait for them for ever. A true answer makes this the process
 * that has.
 */
bool cotr_team_claim(void);

/* Run body on `threads` threads or fewer, numbered from 0, the calling one. needs a claim. */
void cotr_team_run(int32_t threads, cotr_body body, void *user);

#endif
