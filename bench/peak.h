/*
 * The machine's ceiling at this moment: fused multiply-adds a second on a number of threads, by a
 * short burst of independent chains in registers. On a shared machine the clock drifts by a factor
 * of two, so every timing stands between two bursts and is reported as a share of their mean.
 */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

/* Seconds since some fixed moment. */
double bench_seconds(void);

/* FLOP/s (two a fused multiply-add) that `threads` threads reach together, measured for about
 * `seconds`. */
double bench_fma_peak(int threads, double seconds);

/* "AVX-512", "AVX2" or "baseline": the vectors that the burst used. */
const char *bench_peak_isa(void);

#endif
