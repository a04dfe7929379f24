/* The line protocol of serve.h. */
#include "serve.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number behind `command ` in the line; 0: it is another command, or the number is not
 * positive.
 */
static int64_t argument(const char *line, const char *command) {
    size_t n = strlen(command);
    return strncmp(line, command, n) == 0 && line[n] == ' ' ? strtoll(line + n, NULL, 10) : 0;
}

static int serve_peak(const bench_setup *setup, bench_clock clock) {
    char line[64];
    (void)puts("ready");
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "quit\n") != 0) {
        int64_t microseconds = argument(line, "run");
        if (microseconds < 1) {
            return EXIT_FAILURE;
        }
        (void)printf("%.6g\n", bench_fma_peak(clock, setup->threads, 1e-6 * (double)microseconds));
        (void)fflush(stdout);
    }
    return EXIT_SUCCESS;
}

static bool answer_run(bench_subject *subject, bench_clock clock, int64_t rounds) {
    double start = bench_now(clock);
    cot_status status = subject->run(subject, rounds);
    double seconds = bench_now(clock) - start;
    if (status != COT_OK) {
        (void)fprintf(stderr, "bench serve: %s\n", cot_error_message(subject->context));
        return false;
    }
    (void)printf("%.9g %.9g\n", seconds, subject->loss);
    return true;
}

static int answer(bench_subject *subject, bench_clock clock) {
    char line[64];
    bench_reset_peak_resident();
    int64_t resident = bench_resident_bytes();
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "quit\n") != 0) {
        int64_t rounds = argument(line, "run");
        if (rounds > 0) {
            if (!answer_run(subject, clock, rounds)) {
                return EXIT_FAILURE;
            }
        } else if (strcmp(line, "memory\n") == 0) {
            int64_t peak = bench_peak_resident_bytes();
            (void)printf("%lld\n", resident < 0 || peak < 0 ? -1LL : (long long)(peak - resident));
        } else {
            (void)fprintf(stderr, "bench serve: what is %s", line);
            return EXIT_FAILURE;
        }
        (void)fflush(stdout);
    }
    return EXIT_SUCCESS;
}

int bench_serve(const char *name, const bench_setup *setup, bench_clock clock,
                const char *directory) {
    if (strcmp(name, "peak") == 0) {
        return serve_peak(setup, clock);
    }
    bench_subject *subject = bench_subject_create(name, setup);
    if (subject == NULL) {
        return EXIT_FAILURE;
    }
    int status = EXIT_SUCCESS;
    if (directory != NULL &&
        (subject->write == NULL || subject->write(subject, directory) != COT_OK)) {
        (void)fprintf(stderr, "bench serve %s: its data could not be written to %s\n", name,
                      directory);
        status = EXIT_FAILURE;
    }
    if (status == EXIT_SUCCESS) {
        (void)printf("ready %lld %.17g %.6f %lld %lld\n", (long long)subject->units, subject->flops,
                     subject->compile_seconds, (long long)subject->info.arena_bytes,
                     (long long)subject->info.arena_bound_bytes);
        (void)fflush(stdout);
        status = answer(subject, clock);
    }
    bench_subject_destroy(subject);
    return status;
}
