/*
 * Steps with and without metrics, schedule, clipping and log (vocabulary.h). An epoch of the
 * benchmark has 2 to 64 steps, so that the log's line comes many times as often as in a training.
 */
#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double burst_seconds = 0.003;

/* Two trainings of one workload, and the pairs of their times. */
typedef struct pairs {
    bench_subject *plain, *full;
    int64_t rounds; /* of one of a pair */
    int n;
    double ratio[BENCH_MOST_SAMPLES];
    double plain_share[BENCH_MOST_SAMPLES], full_share[BENCH_MOST_SAMPLES]; /* of the peak */
} pairs;

/* Run both once, and choose how many rounds take the wanted time. */
static cot_status warm_up(pairs *p, const bench_measure *measure) {
    cot_status status = p->plain->run(p->plain, 1);
    status = status == COT_OK ? p->full->run(p->full, 1) : status;
    double start = bench_now(measure->clock);
    status = status == COT_OK ? p->plain->run(p->plain, 1) : status;
    double once = bench_now(measure->clock) - start;
    p->rounds = once > 0.0 && once < measure->seconds ? (int64_t)(measure->seconds / once) + 1 : 1;
    return status;
}

static cot_status timed(bench_subject *subject, int64_t rounds, bench_clock clock,
                        double *seconds_out) {
    double start = bench_now(clock);
    cot_status status = subject->run(subject, rounds);
    *seconds_out = bench_now(clock) - start;
    return status;
}

/* One pair, the plain one first or last. */
static cot_status take_pair(const pairs *p, bench_clock clock, bool plain_first, double *plain,
                            double *full) {
    cot_status status = COT_OK;
    if (plain_first) {
        status = timed(p->plain, p->rounds, clock, plain);
    }
    status = status == COT_OK ? timed(p->full, p->rounds, clock, full) : status;
    if (!plain_first && status == COT_OK) {
        status = timed(p->plain, p->rounds, clock, plain);
    }
    return status;
}

static cot_status take_pairs(pairs *p, const bench_measure *measure) {
    cot_status status = warm_up(p, measure);
    double before = bench_fma_peak(measure->clock, measure->threads, burst_seconds);
    double flops = p->plain->flops * (double)(p->rounds * p->plain->units);
    p->n = 0;
    while (p->n < measure->pairs && status == COT_OK) {
        double plain = 1.0, full = 1.0;
        status = take_pair(p, measure->clock, p->n % 2 == 0, &plain, &full);
        double after = bench_fma_peak(measure->clock, measure->threads, burst_seconds);
        double peak = 0.5 * (before + after);
        p->ratio[p->n] = full / plain;
        p->plain_share[p->n] = flops / plain / peak;
        p->full_share[p->n] = flops / full / peak;
        p->n++;
        before = after;
    }
    return status;
}

static void show(pairs *p) {
    const long long steps = p->rounds * p->plain->units;
    (void)printf("%-12s %.3f times as long (quartiles %.3f to %.3f, %d pairs of %lld steps); %.1f "
                 "%% of peak, without %.1f %%\n",
                 p->plain->name, bench_quartile(p->ratio, p->n, 2),
                 bench_quartile(p->ratio, p->n, 1), bench_quartile(p->ratio, p->n, 3), p->n, steps,
                 100.0 * bench_quartile(p->full_share, p->n, 2),
                 100.0 * bench_quartile(p->plain_share, p->n, 2));
    (void)fflush(stdout);
}

static bool measured(const char *name, const bench_setup *setup, const bench_measure *measure,
                     const char *log) {
    static pairs p;
    bench_setup full = *setup;
    full.log = log;
    p.plain = bench_subject_create(name, setup);
    p.full = bench_subject_create(name, &full);
    cot_status status = COT_E_NOMEM;
    if (p.plain != NULL && p.full != NULL) {
        status = take_pairs(&p, measure);
        if (status == COT_OK) {
            show(&p);
        } else {
            (void)fprintf(stderr, "bench vocabulary %s: %s%s\n", name,
                          cot_error_message(p.plain->context), cot_error_message(p.full->context));
        }
    }
    bench_subject_destroy(p.plain);
    bench_subject_destroy(p.full);
    return status == COT_OK;
}

bool bench_show_vocabulary(const char *name, const bench_setup *setup,
                           const bench_measure *measure) {
    static const char *const workloads[] = {"a", "b", "b-nesterov", "c"};
    const char *dash = strchr(name, '-');
    char log[] = "/tmp/cotangent-bench-XXXXXX";
    int file = mkstemp(log);
    if (file < 0) {
        (void)fputs("bench vocabulary: no file for the log in /tmp\n", stderr);
        return false;
    }
    (void)close(file);
    (void)puts("vocabulary: two metrics, schedule, clipping by value and CSV log against none");
    bool good = true, found = false;
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (dash == NULL || strcmp(dash + 1, workloads[i]) == 0) {
            good = measured(workloads[i], setup, measure, log) && good;
            found = true;
        }
    }
    if (!found) {
        (void)fprintf(stderr, "bench: there is no \"%s\"\n", name);
    }
    (void)puts("");
    (void)unlink(log);
    return good && found;
}
