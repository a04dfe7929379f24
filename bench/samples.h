/*
 * Timing a subject: samples of a number of rounds, each between two bursts of the machine's FMA
 * peak on as many threads, as shares of their mean; medians and quartiles.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include "peak.h"
#include "subject.h"

enum { BENCH_MOST_SAMPLES = 1000 };

typedef struct bench_samples {
    int n;
    int64_t rounds;                     /* in a sample */
    double seconds[BENCH_MOST_SAMPLES]; /* of a unit */
    double share[BENCH_MOST_SAMPLES];   /* of the peak */
    double first_loss;                  /* of the first round */
    int64_t growth_bytes; /* of the resident size, since before the first round; -1: not known */
} bench_samples;

typedef struct bench_measure {
    bench_clock clock;
    int threads;    /* of the bursts */
    int samples;    /* up to BENCH_MOST_SAMPLES */
    int pairs;      /* the same, of what is measured in pairs */
    double seconds; /* a sample takes at least: rounds are chosen so */
} bench_measure;

/* One round unmeasured, one to choose the number of rounds, then the samples. */
cot_status bench_sample(bench_subject *subject, const bench_measure *measure, bench_samples *out);

/* Quartile q (1, 2, 3) of n values, which are sorted in place. */
double bench_quartile(double *value, int n, int q);

/* Resident size of this process, in bytes, and its largest since bench_reset_peak_resident (or
 * since the start, where a process may not reset it); -1: not known. */
int64_t bench_resident_bytes(void);
int64_t bench_peak_resident_bytes(void);
void bench_reset_peak_resident(void);

#endif
