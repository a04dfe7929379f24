/*
 * The team (one OpenMP parallel region) and the gate inside it.
 *
 * OpenMP's own barrier and its fork and join cost tens to hundreds of microseconds when a processor
 * is shared; so a region is opened once for many steps, and inside it threads wait here. A waiting
 * thread first spins, because what it waits for is expected within microseconds, and then sleeps on
 * a futex, because on a shared machine a spinning thread may be what keeps the others from working.
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

void cotr_gate_init(cotr_gate *gate, bool crowded) {
    atomic_init(&gate->n_opened, 0);
    atomic_init(&gate->sleepers, 0);
    gate->spins = crowded ? SPINS_CROWDED : SPINS;
}

uint32_t cotr_gate_look(cotr_gate *gate) {
    return atomic_load_explicit(&gate->n_opened, memory_order_acquire);
}

/*
 * The order of `n_opened` and `sleepers` is sequentially consistent here and in cotr_gate_open:
 * either who opens sees the sleeper and wakes it, or the sleeper sees that the gate was opened.
 */
void cotr_gate_wait(cotr_gate *gate, uint32_t looked) {
    for (int32_t i = 0; i < gate->spins; i++) {
        if (cotr_gate_look(gate) != looked) {
            return;
        }
        spin_pause();
    }
    atomic_fetch_add(&gate->sleepers, 1);
    while (atomic_load(&gate->n_opened) == looked) {
        sleep_while(&gate->n_opened, looked);
    }
    atomic_fetch_sub(&gate->sleepers, 1);
}

void cotr_gate_open(cotr_gate *gate) {
    atomic_fetch_add(&gate->n_opened, 1);
    if (atomic_load(&gate->sleepers) > 0) {
        wake_all(&gate->n_opened);
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
    body(user, omp_get_thread_num());
}
