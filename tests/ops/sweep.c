/*
 * sweep [--stride N] [FUNCTION...]: the JIT's f32 functions over all 2^32 inputs (pow: 2^32 pairs,
 * and the cases of C17) at each vector width that this machine has, against double precision, and
 * against long double wherever the bound would be broken. A table of function and width: largest
 * error in ulp, where, the bound, how many results are more than 1 ulp off. The sets with fma must
 * give the same bits. Status 1 if a bound is broken or bits differ.
 *
 * --stride N takes one input of each N neighbours, by chance but always the same.
 *
 * Threads, one a processor, take blocks of inputs from a common counter. Each has kernels of its
 * own; the reference is worked out once for an input, the error once for each distinct result.
 */
#include "math_truth.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 16, BLOCK = ROWS * MATH_COLUMNS, MAX_THREADS = 256 };

/* What is known of one function at one width. */
typedef struct tally {
    bool present;
    double error;
    float x, x2; /* where */
    uint64_t above;
} tally;

typedef struct task {
    cot_op op;
    const math_function *function; /* NULL: pow */
    uint64_t stride;
    _Atomic uint64_t next; /* first input of the next block */
} task;

typedef struct worker {
    task *task;
    pthread_t thread;
    const char *trouble; /* NULL: none */
    char text[256];
    math_kernel kernel[MATH_ISAS];
    tally tally[MATH_ISAS];
    uint64_t differ; /* results that are not the same bits on both sets with fma */
    float x[BLOCK], x2[BLOCK], y[MATH_ISAS][BLOCK];
} worker;

/* SplitMix64's finish, to choose among neighbours. */
static uint64_t shuffle(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return z ^ (z >> 27);
}

/* Inputs first, first + 1, ... of those that the stride leaves; pow's specials stand before all. */
static void fill(worker *w, uint64_t first) {
    const task *t = w->task;
    for (uint64_t i = 0; i < BLOCK; i++) {
        uint64_t k = first + i;
        uint64_t at = k * t->stride + (t->stride > 1 ? shuffle(k) % t->stride : 0);
        if (t->function != NULL) {
            w->x[i] = math_float((uint32_t)at);
        } else {
            math_pair(at, &w->x[i], &w->x2[i]);
        }
    }
}

static double error_of(const task *t, float x, float x2, float got, double truth) {
    double error = math_error_near(got, truth);
    double bound = t->function != NULL ? t->function->bound : 1;
    if (error <= bound - 0x1p-10) {
        return error;
    }
    return math_error(got, t->function != NULL ? t->function->truth(x) : powl(x, x2));
}

static void judge(worker *w) {
    const task *t = w->task;
    for (int64_t i = 0; i < BLOCK; i++) {
        float x = w->x[i], x2 = w->x2[i];
        double truth = t->function != NULL ? t->function->near(x) : pow(x, x2), error = 0;
        uint32_t last = 0;
        bool known = false;
        for (int32_t k = 0; k < MATH_ISAS; k++) {
            if (!w->tally[k].present) {
                continue;
            }
            uint32_t bits = math_bits(w->y[k][i]);
            if (!known || bits != last) {
                error = error_of(t, x, x2, w->y[k][i], truth);
            }
            known = true;
            last = bits;
            w->tally[k].above += error > 1;
            if (error > w->tally[k].error) {
                w->tally[k] = (tally){true, error, x, x2, w->tally[k].above};
            }
        }
    }
    if (w->tally[1].present && w->tally[2].present && memcmp(w->y[1], w->y[2], sizeof w->y[1])) {
        for (int64_t i = 0; i < BLOCK; i++) {
            w->differ += math_bits(w->y[1][i]) != math_bits(w->y[2][i]);
        }
    }
}

static bool run_block(worker *w) {
    for (int32_t k = 0; k < MATH_ISAS && w->trouble == NULL; k++) {
        if (w->tally[k].present) {
            w->trouble = math_kernel_run(&w->kernel[k], w->x, w->x2, w->y[k], ROWS);
        }
    }
    return w->trouble == NULL;
}

static void *work(void *user) {
    worker *w = user;
    uint64_t inputs = (UINT64_C(1) << 32) / w->task->stride;
    for (int32_t k = 0; k < MATH_ISAS && w->trouble == NULL; k++) {
        w->trouble = math_kernel_create(&w->kernel[k], w->task->op, math_isas[k].isa, ROWS);
        w->tally[k].present = w->kernel[k].context != NULL;
    }
    for (;;) {
        uint64_t first = atomic_fetch_add(&w->task->next, BLOCK);
        if (w->trouble != NULL || first >= inputs) {
            break;
        }
        fill(w, first);
        if (run_block(w)) {
            judge(w);
        }
    }
    if (w->trouble != NULL) { /* the message dies with the kernel */
        snprintf(w->text, sizeof w->text, "%s", w->trouble);
        w->trouble = w->text;
    }
    for (int32_t k = 0; k < MATH_ISAS; k++) {
        math_kernel_destroy(&w->kernel[k]);
    }
    return NULL;
}

/* The cases of C17 for pow, on every set; false: one is wrong. */
static bool check_powers(void) {
    static float x[BLOCK], x2[BLOCK], y[BLOCK];
    bool good = true;
    for (int32_t i = 0; i < n_math_powers; i++) {
        x[i] = math_powers[i].x;
        x2[i] = math_powers[i].y;
    }
    for (int32_t k = 0; k < MATH_ISAS; k++) {
        math_kernel kernel;
        const char *trouble = math_kernel_create(&kernel, COT_OP_POW, math_isas[k].isa, ROWS);
        if (trouble == NULL && kernel.context != NULL) {
            trouble = math_kernel_run(&kernel, x, x2, y, ROWS);
        }
        for (int32_t i = 0; kernel.context != NULL && i < n_math_powers; i++) {
            double error = trouble == NULL ? math_error(y[i], math_powers[i].want) : INFINITY;
            if (error > 0) {
                printf("pow(%a, %a) on %s is %a, expected %a\n", (double)x[i], (double)x2[i],
                       math_isas[k].name, (double)y[i], (double)math_powers[i].want);
                good = false;
            }
        }
        math_kernel_destroy(&kernel);
    }
    return good;
}

static void merge(tally *into, const tally *from) {
    uint64_t above = into->above + from->above;
    if (from->error > into->error) {
        *into = *from;
    }
    into->present = into->present || from->present;
    into->above = above;
}

static bool print_width(const task *t, int32_t isa, const tally *sum, double seconds) {
    double bound = t->function != NULL ? t->function->bound : 1;
    char where[64];
    snprintf(where, sizeof where, t->function != NULL ? "%a" : "%a, %a", (double)sum->x,
             (double)sum->x2);
    printf("%-9s %-9s %8.4f %6.2f  %-28s %12llu %8.0f%s\n", cot_op_name(t->op), math_isas[isa].name,
           sum->error, bound, where, (unsigned long long)sum->above, seconds,
           sum->error > bound ? "  BROKEN" : "");
    fflush(stdout);
    return sum->error <= bound;
}

/* One function at all widths; false: a bound is broken, bits differ, or it cannot run. */
static bool sweep(cot_op op, const math_function *function, uint64_t stride, int32_t n_threads,
                  worker **workers) {
    task t = {.op = op, .function = function, .stride = stride, .next = 0};
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int32_t n = 0;
    for (; n < n_threads; n++) {
        memset(workers[n], 0, sizeof *workers[n]);
        workers[n]->task = &t;
        if (pthread_create(&workers[n]->thread, NULL, work, workers[n]) != 0) {
            break;
        }
    }
    tally sum[MATH_ISAS] = {{false, 0, 0, 0, 0}};
    uint64_t differ = 0;
    bool good = n > 0;
    for (int32_t i = 0; i < n; i++) {
        pthread_join(workers[i]->thread, NULL);
        if (workers[i]->trouble != NULL) {
            fprintf(stderr, "sweep: %s: %s\n", cot_op_name(op), workers[i]->trouble);
            good = false;
        }
        differ += workers[i]->differ;
        for (int32_t k = 0; k < MATH_ISAS; k++) {
            merge(&sum[k], &workers[i]->tally[k]);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
    for (int32_t k = 0; k < MATH_ISAS; k++) {
        good = (!sum[k].present || print_width(&t, k, &sum[k], seconds)) && good;
    }
    if (differ > 0) {
        printf("%-9s %llu results differ between avx2 and avx512\n", cot_op_name(op),
               (unsigned long long)differ);
    }
    return good && differ == 0;
}

static bool is_wanted(cot_op op, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], cot_op_name(op)) == 0) {
            return true;
        }
    }
    return argc == 0;
}

/* Every name must be a function's. */
static bool are_known(int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        bool known = strcmp(argv[i], cot_op_name(COT_OP_POW)) == 0;
        for (int32_t f = 0; f < MATH_FUNCTIONS; f++) {
            known = known || strcmp(argv[i], cot_op_name(math_functions[f].op)) == 0;
        }
        if (!known) {
            fprintf(stderr, "sweep: no such function: %s\n", argv[i]);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    uint64_t stride = 1;
    argc--;
    argv++;
    if (argc >= 2 && strcmp(argv[0], "--stride") == 0) {
        stride = strtoull(argv[1], NULL, 10);
        argc -= 2;
        argv += 2;
    }
    if (stride < 1 || stride > 1 << 16 || !are_known(argc, argv)) {
        fprintf(stderr, "usage: sweep [--stride N] [FUNCTION...], N from 1 to 65536\n");
        return 2;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t n_threads = cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : (int32_t)cores;
    worker *workers[MAX_THREADS];
    for (int32_t i = 0; i < n_threads; i++) {
        workers[i] = malloc(sizeof *workers[i]);
        if (workers[i] == NULL) {
            fprintf(stderr, "sweep: no memory\n");
            return 1;
        }
    }
    printf("%-9s %-9s %8s %6s  %-28s %12s %8s\n", "function", "width", "max ulp", "bound", "at",
           "above 1 ulp", "seconds");
    bool good = true;
    for (int32_t f = 0; f < MATH_FUNCTIONS; f++) {
        if (is_wanted(math_functions[f].op, argc, argv)) {
            good =
                sweep(math_functions[f].op, &math_functions[f], stride, n_threads, workers) && good;
        }
    }
    if (is_wanted(COT_OP_POW, argc, argv)) {
        good = check_powers() && good;
        good = sweep(COT_OP_POW, NULL, stride, n_threads, workers) && good;
    }
    for (int32_t i = 0; i < n_threads; i++) {
        free(workers[i]);
    }
    return good ? 0 : 1;
}
