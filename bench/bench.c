/*
 * Training steps of whole models, beside the machine's FMA peak.
 *
 *   bench [--threads N] [--samples N] [--batch N] [--shuffle] [a] [b] [c]
 *
 *   a   3072-20-15-10, SGD                              the lecture's CIFAR-10 network
 *   b   784-512-10, Adam; and with SGD, Nesterov momentum
 *   c   784-256, 100 residual blocks of two layers of 256, 10; Adam
 *
 * A sample is a number of steps inside one epoch of `fit`, between two bursts of the FMA peak on
 * the same number of threads; its share of the peak is against their mean. Medians and quartiles
 * over the samples. FLOPs count the matrix products alone: 2*M*K*N for a layer's forward product,
 * as much for its weights' gradient, and, but for the first layer, as much for its input's
 * gradient.
 */
#include "peak.h"

#include <cotangent.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES = 1000, N_CLASSES = 10 };

typedef struct bench_options {
    int threads, samples, batch;
    bool shuffle;
    bool chosen[256]; /* by the workload's letter */
} bench_options;

typedef struct workload {
    char letter;
    const char *what;
    int64_t inputs;    /* elements of a row */
    int64_t width[4];  /* units of hidden layers, ended by 0 */
    int32_t blocks;    /* residual blocks after the hidden layers */
    int32_t optimizer; /* 0: SGD, 1: Nesterov, 2: Adam */
    int32_t steps;     /* in one sample */
} workload;

static const workload workloads[] = {
    {'a', "3072-20-15-10, SGD", 3072, {20, 15}, 0, 0, 64},
    {'b', "784-512-10, Adam", 784, {512}, 0, 2, 16},
    {'b', "784-512-10, SGD with Nesterov momentum", 784, {512}, 0, 1, 16},
    {'c', "784-256, 100 residual blocks of 2 x 256, 10, Adam", 784, {256}, 100, 2, 2},
};

/* ---- the models ---- */

static cot_model *build(cot_context *context, const workload *work) {
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(work->inputs), "x");
    cot_tensor x = input;
    for (int i = 0; work->width[i] != 0; i++) {
        x = cot_dense(x, work->width[i], .activation = COT_RELU);
    }
    for (int32_t i = 0; i < work->blocks; i++) {
        int64_t width = cot_tensor_shape(x).dim[1];
        cot_tensor branch = cot_dense(x, width, .activation = COT_RELU);
        x = cot_add(COT_TENSORS(x, cot_dense(branch, width)));
    }
    cot_tensor y = cot_dense(x, N_CLASSES, .activation = COT_SOFTMAX);
    return cot_model_create(context, COT_TENSORS(input), COT_TENSORS(y), NULL);
}

static double step_flops(const workload *work, int64_t batch) {
    double rows = (double)batch;
    double flops = 0.0;
    int64_t fan_in = work->inputs;
    for (int i = 0; work->width[i] != 0; i++) {
        flops += (i == 0 ? 4.0 : 6.0) * rows * (double)(fan_in * work->width[i]);
        fan_in = work->width[i];
    }
    flops += 2.0 * work->blocks * 6.0 * rows * (double)(fan_in * fan_in);
    return flops + 6.0 * rows * (double)(fan_in * N_CLASSES);
}

static cot_status compile(cot_model *model, const workload *work, int64_t batch) {
    const cot_optimizer *optimizer[3] = {
        cot_sgd(.learning_rate = 0.01),
        cot_sgd(.learning_rate = 0.01, .momentum = 0.9, .nesterov = true),
        cot_adam(.learning_rate = 1e-4)};
    return cot_model_compile(model, .optimizer = optimizer[work->optimizer],
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .max_batch = batch);
}

/* Random rows in [-0.5, 0.5) and labels; the caller frees both arrays after the data set. */
static cot_dataset *make_data(cot_context *context, const workload *work, int64_t rows,
                              float **x_out, int32_t **y_out) {
    int64_t n = rows * work->inputs;
    float *x = malloc((size_t)n * sizeof *x);
    int32_t *y = malloc((size_t)rows * sizeof *y);
    *x_out = x;
    *y_out = y;
    if (x == NULL || y == NULL) {
        return NULL;
    }
    uint64_t state = 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        x[i] = (float)(state >> 40) * 0x1p-24F - 0.5F;
    }
    for (int64_t i = 0; i < rows; i++) {
        y[i] = (int32_t)((i * 7) % N_CLASSES);
    }
    return cot_dataset_create(
        context,
        COT_ARRAYS({.data = x, .dtype = COT_F32, .n_rows = rows, .row_elements = work->inputs}),
        COT_ARRAYS({.data = y, .dtype = COT_I32, .n_rows = rows, .row_elements = 1}), COT_BORROW);
}

/* ---- measuring ---- */

typedef struct bench_samples {
    int n;
    double seconds[MAX_SAMPLES]; /* a step */
    double share[MAX_SAMPLES];   /* of the peak */
    double gflops[MAX_SAMPLES];
} bench_samples;

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quartile q (1, 2, 3) of n values, which are sorted in place. */
static double quartile(double *value, int n, int q) {
    qsort(value, (size_t)n, sizeof *value, compare);
    return value[(n - 1) * q / 4];
}

static cot_status run_epoch(cot_model *model, const cot_dataset *data,
                            const bench_options *options) {
    return cot_model_fit(model, data, .epochs = 1, .batch_size = options->batch,
                         .shuffle = options->shuffle ? COT_ON : COT_OFF, .allow_nonfinite = true,
                         .verbose = COT_VERBOSE_SILENT);
}

static cot_status measure(cot_model *model, const cot_dataset *data, const workload *work,
                          const bench_options *options, bench_samples *out) {
    double flops = step_flops(work, options->batch);
    cot_status status = run_epoch(model, data, options); /* touch the memory, warm up */
    out->n = 0;
    double before = bench_fma_peak(options->threads, 0.003);
    while (out->n < options->samples && status == COT_OK) {
        double start = bench_seconds();
        status = run_epoch(model, data, options);
        double seconds = (bench_seconds() - start) / work->steps;
        double after = bench_fma_peak(options->threads, 0.003);
        out->seconds[out->n] = seconds;
        out->gflops[out->n] = 1e-9 * flops / seconds;
        out->share[out->n] = flops / seconds / (0.5 * (before + after));
        out->n++;
        before = after;
    }
    return status;
}

static void report(const workload *work, const cot_program_info *info, double compile_seconds,
                   bench_samples *samples) {
    int n = samples->n;
    double median = quartile(samples->seconds, n, 2);
    (void)printf("%c  %s\n", work->letter, work->what);
    (void)printf("   step        %8.3f ms   (quartiles %.3f to %.3f, %d samples of %d steps)\n",
                 1e3 * median, 1e3 * quartile(samples->seconds, n, 1),
                 1e3 * quartile(samples->seconds, n, 3), n, work->steps);
    (void)printf("   speed       %8.1f GFLOP/s\n", quartile(samples->gflops, n, 2));
    (void)printf("   of peak     %8.1f %%    (quartiles %.1f to %.1f)\n",
                 100.0 * quartile(samples->share, n, 2), 100.0 * quartile(samples->share, n, 1),
                 100.0 * quartile(samples->share, n, 3));
    (void)printf("   compile     %8.1f ms   training program %.1f ms, %lld kernels of which %lld "
                 "were compiled\n",
                 1e3 * compile_seconds, 1e3 * info->compile_seconds, (long long)info->n_kernels,
                 (long long)info->n_compiled);
    (void)printf("   plan        %8lld phases, %lld kernel calls\n", (long long)info->n_phases,
                 (long long)info->n_calls);
    (void)printf("   arena       %8lld bytes  %.3f of the liveness bound; scratch %lld bytes a "
                 "thread\n\n",
                 (long long)info->arena_bytes,
                 (double)info->arena_bytes /
                     (double)(info->arena_bound_bytes > 0 ? info->arena_bound_bytes : 1),
                 (long long)info->scratch_bytes);
}

static bool run_workload(const workload *work, const bench_options *options) {
    static bench_samples samples;
    cot_options context_options = {.struct_size = sizeof context_options,
                                   .threads = options->threads};
    cot_context *context = cot_context_create(&context_options);
    if (context == NULL) {
        return false;
    }
    float *x = NULL;
    int32_t *y = NULL;
    cot_model *model = build(context, work);
    cot_dataset *data = make_data(context, work, (int64_t)work->steps * options->batch, &x, &y);
    double start = bench_seconds();
    cot_status status =
        model == NULL || data == NULL ? COT_E_NOMEM : compile(model, work, options->batch);
    double compile_seconds = bench_seconds() - start;
    if (status == COT_OK) {
        status = measure(model, data, work, options, &samples);
    }
    if (status == COT_OK) {
        cot_program_info info = cot_program_get_info(cot_model_train_program(model));
        report(work, &info, compile_seconds, &samples);
    } else {
        (void)fprintf(stderr, "bench %c: %s\n", work->letter, cot_error_message(context));
    }
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
    free(x);
    free(y);
    return status == COT_OK;
}

static bool parse(int argc, char **argv, bench_options *options) {
    bool any = false;
    for (int i = 1; i < argc; i++) {
        int *number = strcmp(argv[i], "--threads") == 0   ? &options->threads
                      : strcmp(argv[i], "--samples") == 0 ? &options->samples
                      : strcmp(argv[i], "--batch") == 0   ? &options->batch
                                                          : NULL;
        if (number != NULL && i + 1 < argc) {
            *number = (int)strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--shuffle") == 0) {
            options->shuffle = true;
        } else if (argv[i][0] >= 'a' && argv[i][0] <= 'c' && argv[i][1] == '\0') {
            options->chosen[(unsigned char)argv[i][0]] = true;
            any = true;
        } else {
            return false;
        }
    }
    for (unsigned char letter = 'a'; letter <= 'c' && !any; letter++) {
        options->chosen[letter] = true;
    }
    return options->threads >= 1 && options->samples >= 1 && options->samples <= MAX_SAMPLES &&
           options->batch >= 1;
}

int main(int argc, char **argv) {
    bench_options options = {.threads = 2, .samples = 15, .batch = 128};
    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: bench [--threads N] [--samples N] [--batch N] [--shuffle] "
                              "[a] [b] [c]\n");
        return 2;
    }
    (void)printf("batch %d, %d threads, FMA peak %.1f GFLOP/s (%s)\n\n", options.batch,
                 options.threads, 1e-9 * bench_fma_peak(options.threads, 0.05), bench_peak_isa());
    bool good = true;
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (options.chosen[(unsigned char)workloads[i].letter]) {
            good = run_workload(&workloads[i], &options) && good;
        }
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
