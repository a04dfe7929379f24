/* Measuring and printing what figures.h lists. */
#include "figures.h"

#include <stdio.h>

/* Make, sample, print by `show`, destroy. */
static bool measured(const char *name, const bench_setup *setup, const bench_measure *measure,
                     void (*show)(const bench_subject *, bench_samples *)) {
    static bench_samples samples;
    bench_subject *subject = bench_subject_create(name, setup);
    if (subject == NULL) {
        return false;
    }
    cot_status status = bench_sample(subject, measure, &samples);
    if (status == COT_OK) {
        show(subject, &samples);
        (void)fflush(stdout);
    } else {
        (void)fprintf(stderr, "bench %s: %s\n", name, cot_error_message(subject->context));
    }
    bench_subject_destroy(subject);
    return status == COT_OK;
}

static double share_of(int64_t part, int64_t whole) {
    return (double)part / (double)(whole > 0 ? whole : 1);
}

static void show_training(const bench_subject *subject, bench_samples *samples) {
    const cot_program_info *info = &subject->info;
    int n = samples->n;
    double median = bench_quartile(samples->seconds, n, 2);
    long long steps = (long long)samples->rounds * subject->units;
    (void)printf("%s  %s\n", subject->name, subject->what);
    (void)printf("   step        %8.3f ms   (quartiles %.3f to %.3f, %d samples of %lld steps)\n",
                 1e3 * median, 1e3 * bench_quartile(samples->seconds, n, 1),
                 1e3 * bench_quartile(samples->seconds, n, 3), n, steps);
    (void)printf("   speed       %8.1f GFLOP/s, %.1f MFLOP a step\n",
                 1e-9 * subject->flops / median, 1e-6 * subject->flops);
    (void)printf("   of peak     %8.1f %%    (quartiles %.1f to %.1f)\n",
                 100.0 * bench_quartile(samples->share, n, 2),
                 100.0 * bench_quartile(samples->share, n, 1),
                 100.0 * bench_quartile(samples->share, n, 3));
    (void)printf("   compile     %8.1f ms   training program %.1f ms, %lld kernels of which %lld "
                 "were compiled\n",
                 1e3 * subject->compile_seconds, 1e3 * info->compile_seconds,
                 (long long)info->n_kernels, (long long)info->n_compiled);
    (void)printf("   plan        %8lld phases, %lld kernel calls\n", (long long)info->n_phases,
                 (long long)info->n_calls);
    (void)printf("   arena       %8lld bytes  %.3f of the liveness bound; scratch %lld bytes a "
                 "thread\n",
                 (long long)info->arena_bytes, share_of(info->arena_bytes, info->arena_bound_bytes),
                 (long long)info->scratch_bytes);
    (void)printf("   resident    %8.1f MiB more than before the first step\n",
                 (double)samples->growth_bytes / 1048576.0);
    (void)printf("   loss        %8.4f in the first %lld steps\n\n", samples->first_loss,
                 (long long)subject->units);
}

bool bench_show_training(const char *name, const bench_setup *setup, const bench_measure *measure) {
    return measured(name, setup, measure, show_training);
}

static void show_product(const bench_subject *subject, bench_samples *samples) {
    int n = samples->n;
    double median = bench_quartile(samples->seconds, n, 2);
    (void)printf(
        "%-24s %10.1f us %8.1f GFLOP/s %6.1f %% of peak (quartiles %.1f to %.1f)\n", subject->name,
        1e6 * median, 1e-9 * subject->flops / median, 100.0 * bench_quartile(samples->share, n, 2),
        100.0 * bench_quartile(samples->share, n, 1), 100.0 * bench_quartile(samples->share, n, 3));
}

bool bench_show_product(const char *name, const bench_setup *setup, const bench_measure *measure) {
    return measured(name, setup, measure, show_product);
}

static void show_empty(const bench_subject *subject, bench_samples *samples) {
    int n = samples->n;
    (void)printf("%-24s %10.2f us (quartiles %.2f to %.2f)  %s\n", subject->name,
                 1e6 * bench_quartile(samples->seconds, n, 2),
                 1e6 * bench_quartile(samples->seconds, n, 1),
                 1e6 * bench_quartile(samples->seconds, n, 3), subject->what);
}

bool bench_show_empty(const bench_setup *setup, const bench_measure *measure) {
    bool good = measured("empty", setup, measure, show_empty);
    good = measured("smallest", setup, measure, show_empty) && good;
    (void)printf("\n");
    return good;
}
