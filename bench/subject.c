/* The table of training workloads, and what all subjects share (subject.h). */
#include "subject.h"
#include "peak.h"

#include <stdlib.h>
#include <string.h>

typedef struct workload {
    const char *name;
    bench_make make;
    int32_t variant;
} workload;

static const workload workloads[] = {
    {"a", bench_make_model, 0},
    {"b", bench_make_model, 1},
    {"b-nesterov", bench_make_model, 2},
    {"c", bench_make_model, 3},
    {"d", bench_make_cnn, 0},
    {"e", bench_make_transformer, 0},
    {"empty", bench_make_empty, 0},
    {"smallest", bench_make_model, 4},
};
enum { N_WORKLOADS = sizeof workloads / sizeof workloads[0], N_EMPTY = 2 /* the last ones */ };

const char *bench_subject_name(bool training, int32_t i) {
    if (!training) {
        return bench_product_name(i);
    }
    return i < N_WORKLOADS - N_EMPTY ? workloads[i].name : NULL;
}

static bench_subject *make(cot_context *context, const char *name, const bench_setup *setup) {
    for (int32_t i = 0; i < N_WORKLOADS; i++) {
        if (strcmp(workloads[i].name, name) == 0) {
            return workloads[i].make(context, setup, workloads[i].variant);
        }
    }
    return bench_make_product(context, setup, name);
}

bench_subject *bench_subject_create(const char *name, const bench_setup *setup) {
    cot_options options = {.struct_size = sizeof options,
                           .threads = setup->threads,
                           .cache = COT_OFF}; /* compiling is told, too */
    cot_context *context = cot_context_create(&options);
    if (context == NULL) {
        (void)fprintf(stderr, "bench %s: no context\n", name);
        return NULL;
    }
    bench_subject *subject = make(context, name, setup);
    if (subject == NULL) {
        (void)fprintf(stderr, "bench %s: %s\n", name, cot_error_message(context));
        cot_context_destroy(context);
    }
    return subject;
}

void bench_subject_destroy(bench_subject *subject) {
    if (subject == NULL) {
        return;
    }
    cot_context *context = subject->context;
    subject->destroy(subject);
    cot_context_destroy(context);
}

int64_t bench_size(const bench_setup *setup, int64_t size) {
    int64_t smaller = size / 8 > 2 ? size / 8 : 2;
    return setup->tiny ? smaller : size;
}

/* Knuth's linear congruential generator, the high bits of which are good. */
static uint64_t next(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 40;
}

void bench_fill(float *x, int64_t n, uint64_t seed) {
    uint64_t state = seed + 1;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)next(&state) * 0x1p-24F - 0.5F;
    }
}

void bench_fill_labels(int32_t *y, int64_t n, int32_t below, uint64_t seed) {
    uint64_t state = seed + 1;
    for (int64_t i = 0; i < n; i++) {
        y[i] = (int32_t)(next(&state) % (uint64_t)below);
    }
}
