/*
 * A team of threads and its barrier. The one place that knows OpenMP and futexes.
 */
#ifndef COTR_THREADS_H
#define COTR_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A barrier for a team whose size is told at each wait. Reusable at once; no thread may be waiting
 * when it is initialised.
 */
typedef struct cotr_barrier {
    _Alignas(64) _Atomic int32_t arrived;
    _Alignas(64) _Atomic uint32_t generation; /* the futex word */
    _Atomic int32_t sleepers;
    int32_t spins; /* pauses before a waiting thread sleeps */
} cotr_barrier;

/* crowded: the team has more threads than there are processors, so that waiting ones sleep early.
 */
void cotr_barrier_init(cotr_barrier *barrier, bool crowded);

/*
 * Wait until all n_threads have arrived. The last to arrive calls alone(user, thread) before any is
 * let go: what it writes is seen by all. The memory order is that of a full barrier.
 */
void cotr_barrier_wait(cotr_barrier *barrier, int32_t n_threads,
                       void (*alone)(void *user, int32_t thread), void *user, int32_t thread);

/* What each thread of a team does; n_threads may be fewer than were asked for, the same for all. */
typedef void (*cotr_body)(void *user, int32_t thread, int32_t n_threads);

/*
 * May this process run a team? Not when it is the child of one that has: the threads were not
 * forked with it, and OpenMP would wait for them for ever. A true answer makes this the process
 * that has.
 */
bool cotr_team_claim(void);

/* Run body on up to `threads` threads, the calling one being number 0. needs a claim. */
void cotr_team_run(int32_t threads, cotr_body body, void *user);

#endif
