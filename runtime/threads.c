/*
 * The team (one OpenMP parallel region) and the sense-reversing barrier inside it.
 *
 * OpenMP's own barrier and its fork and join cost tens to hundreds of microseconds when a processor
 * is shared; so a region is opened once for many steps, and inside it threads meet here. A waiting
 * thread first spins, because the others are expected within microseconds, and then sleeps on a
 * futex, because on a shared machine a spinning thread may be what keeps the others from arriving.
 */
#include "threads.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

enum {
    SPINS = 1500,        /* some 30 to 60 us */
    SPINS_CROWDED = 100, /* more threads than processors: whoever is awaited may need this one */
};

/* ---- waiting ---- */

static inline void spin_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#ifdef __linux__
static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
#else
static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
    (void)word;
    (void)value;
    sched_yield();
}

static void wake_all(_Atomic uint32_t *word) {
    (void)word;
}
#endif

void cotr_barrier_init(cotr_barrier *barrier, bool crowded) {
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->generation, 0);
    atomic_init(&barrier->sleepers, 0);
    barrier->spins = crowded ? SPINS_CROWDED : SPINS;
}

/*
 * The order of `generation` and `sleepers` is sequentially consistent on both sides: either the
 * last thread sees the sleeper and wakes it, or the sleeper sees the new generation.
 */
static void wait_for_others(cotr_barrier *barrier, uint32_t generation) {
    for (int32_t i = 0; i < barrier->spins; i++) {
        if (atomic_load_explicit(&barrier->generation, memory_order_acquire) != generation) {
            return;
        }
        spin_pause();
    }
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == generation) {
        sleep_while(&barrier->generation, generation);
    }
    atomic_fetch_sub(&barrier->sleepers, 1);
}

void cotr_barrier_wait(cotr_barrier *barrier, int32_t n_threads,
                       void (*alone)(void *user, int32_t thread), void *user, int32_t thread) {
    uint32_t generation = atomic_load_explicit(&barrier->generation, memory_order_relaxed);
    int32_t before = atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel);
    if (before + 1 < n_threads) {
        wait_for_others(barrier, generation);
        return;
    }
    alone(user, thread);
    atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
    atomic_store(&barrier->generation, generation + 1);
    if (atomic_load(&barrier->sleepers) > 0) {
        wake_all(&barrier->generation);
    }
}

/* ---- teams ---- */

/*
 * The process in which OpenMP's threads live; 0: none yet. The one mutable global of the library:
 * what it records is a fact of the process, and a child that makes a fresh context must find it.
 */
static _Atomic int32_t team_process;

bool cotr_team_claim(void) {
    int32_t process = (int32_t)getpid();
    int32_t none = 0;
    return atomic_compare_exchange_strong(&team_process, &none, process) || none == process;
}

void cotr_team_run(int32_t threads, cotr_body body, void *user) {
#pragma omp parallel num_threads(threads)
    body(user, omp_get_thread_num(), omp_get_num_threads());
}
