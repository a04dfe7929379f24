/*
 * The machine's ceiling at this moment: fused multiply-adds a second on a number of threads, by a
 * short burst of independent chains in registers. On a shared machine the clock drifts by a factor
 * of two, so every timing stands between two bursts and is reported as a share of their mean.
 */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

/* What seconds are counted by: the wall's clock; or the processor time of the whole process, which
 * on a busy machine says more, and means something on one thread alone. */
typedef enum bench_clock { BENCH_WALL, BENCH_PROCESSOR } bench_clock;

/* Seconds since some fixed moment. */
double bench_now(bench_clock clock);

/* The same by the wall's clock. */
double bench_seconds(void);

/* FLOP/s (two a fused multiply-add) that `threads` threads reach together, measured for about
 * `seconds`. */
double bench_fma_peak(bench_clock clock, int threads, double seconds);

/* "AVX-512", "AVX2" or "baseline": the vectors that the burst used. */
const char *bench_peak_isa(void);

#endif
