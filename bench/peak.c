/* The FMA burst of peak.h: 16 independent chains, the widest vectors that the host has. */
#include "peak.h"

#include <omp.h>
#include <time.h>

enum { CHAINS = 16, ROUNDS = 4096 };

double bench_now(bench_clock clock) {
    struct timespec now;
    clockid_t id = clock == BENCH_PROCESSOR ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    if (clock_gettime(id, &now) != 0) {
        return 0.0;
    }
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bench_seconds(void) {
    return bench_now(BENCH_WALL);
}

/*
 * One burst of ROUNDS fused multiply-adds on each chain, by vectors of `lanes` floats. The
 * multiplier and the addend keep the values near 1, so that no subnormal slows the loop; the sum is
 * returned so that nothing is removed.
 */
#define BURST_BODY(type)                                                                           \
    type chain[CHAINS];                                                                            \
    for (int c = 0; c < CHAINS; c++) {                                                             \
        chain[c] = (type){0} + 1.0F + (float)c * 0.01F;                                            \
    }                                                                                              \
    type scale = (type){0} + 0.999F;                                                               \
    type shift = (type){0} + 0.001F;                                                               \
    for (int r = 0; r < ROUNDS; r++) {                                                             \
        __asm__ volatile("" : "+v"(scale), "+v"(shift));                                           \
        _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++) {                                \
            chain[c] = chain[c] * scale + shift;                                                   \
        }                                                                                          \
    }                                                                                              \
    for (int c = 1; c < CHAINS; c++) {                                                             \
        chain[0] += chain[c];                                                                      \
    }                                                                                              \
    return chain[0][0];

#if defined(__x86_64__)
typedef float v16 __attribute__((vector_size(64)));
typedef float v8 __attribute__((vector_size(32)));
typedef float v4 __attribute__((vector_size(16)));

__attribute__((target("avx512f,fma"))) static float burst_avx512(void) {
    BURST_BODY(v16)
}

__attribute__((target("avx2,fma"))) static float burst_avx2(void) {
    BURST_BODY(v8)
}

static float burst_baseline(void) {
    BURST_BODY(v4)
}

static int lanes(void) {
    if (__builtin_cpu_supports("avx512f")) {
        return 16;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8 : 4;
}

static float burst(int n_lanes) {
    return n_lanes == 16 ? burst_avx512() : n_lanes == 8 ? burst_avx2() : burst_baseline();
}
#else
typedef float v4 __attribute__((vector_size(16)));

static int lanes(void) {
    return 4;
}

static float burst(int n_lanes) {
    (void)n_lanes;
    BURST_BODY(v4)
}
#endif

const char *bench_peak_isa(void) {
    int n = lanes();
    return n == 16 ? "AVX-512" : n == 8 ? "AVX2" : "baseline";
}

double bench_fma_peak(bench_clock clock, int threads, double seconds) {
    int n_lanes = lanes();
    volatile float sink = 0.0F;
    double flops = 0.0;
    double longest = 0.0;
#pragma omp parallel num_threads(threads) reduction(+ : flops) reduction(max : longest)
    {
        sink = burst(n_lanes);
#pragma omp barrier
        double start = bench_now(clock);
        double now = start;
        while (now - start < seconds) {
            sink = burst(n_lanes);
            flops += 2.0 * (double)(CHAINS * ROUNDS) * n_lanes;
            now = bench_now(clock);
        }
        longest = now - start;
    }
    (void)sink;
    return longest > 0.0 ? flops / longest : 0.0;
}
