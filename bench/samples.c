/* Samples between bursts, quartiles, and the resident size from /proc (samples.h). */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double burst_seconds = 0.003;

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quartile(double *value, int n, int q) {
    qsort(value, (size_t)n, sizeof *value, compare);
    return value[(n - 1) * q / 4];
}

/* How many rounds take the wanted time, from the time of one. */
static int64_t rounds_for(double wanted, double seconds) {
    double rounds = seconds > 0.0 ? wanted / seconds : 1.0;
    return rounds < 1.0 ? 1 : rounds > 1e6 ? 1000000 : (int64_t)rounds;
}

static cot_status warm_up(bench_subject *subject, const bench_measure *measure,
                          bench_samples *out) {
    int64_t resident = bench_resident_bytes();
    cot_status status = subject->run(subject, 1);
    out->first_loss = subject->loss;
    double start = bench_now(measure->clock);
    if (status == COT_OK) {
        status = subject->run(subject, 1);
    }
    out->rounds = rounds_for(measure->seconds, bench_now(measure->clock) - start);
    out->growth_bytes = resident < 0 ? -1 : bench_resident_bytes() - resident;
    return status;
}

cot_status bench_sample(bench_subject *subject, const bench_measure *measure, bench_samples *out) {
    cot_status status = warm_up(subject, measure, out);
    out->n = 0;
    double before = bench_fma_peak(measure->clock, measure->threads, burst_seconds);
    while (out->n < measure->samples && status == COT_OK) {
        double start = bench_now(measure->clock);
        status = subject->run(subject, out->rounds);
        double seconds = bench_now(measure->clock) - start;
        double after = bench_fma_peak(measure->clock, measure->threads, burst_seconds);
        double units = (double)(out->rounds * subject->units);
        out->seconds[out->n] = seconds / units;
        out->share[out->n] = subject->flops * units / seconds / (0.5 * (before + after));
        out->n++;
        before = after;
    }
    return status;
}

/* ---- resident size ---- */

/* The number of KiB behind a name in /proc/self/status, as bytes; -1: there is none. */
static int64_t status_bytes(const char *name) {
    FILE *file = fopen("/proc/self/status", "r");
    int64_t bytes = -1;
    char line[256];
    size_t n = strlen(name);
    while (file != NULL && bytes < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, n) == 0) {
            bytes = strtoll(line + n, NULL, 10) * 1024;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

int64_t bench_resident_bytes(void) {
    return status_bytes("VmRSS:");
}

int64_t bench_peak_resident_bytes(void) {
    return status_bytes("VmHWM:");
}

void bench_reset_peak_resident(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file != NULL) {
        (void)fputs("5", file);
        (void)fclose(file);
    }
}
