/*
 * Cotangent's speed, beside the machine's FMA peak.
 *
 *   bench [OPTIONS] [NAME...]      training workloads (a, b, b-nesterov, c, d, e), sections
 *                                  (training, products, empty, compile; contention, vocabulary),
 *                                  or products by name; when there is no name, all sections but
 *                                  contention and vocabulary
 *
 *   bench serve NAME [OPTIONS]     work on request (serve.h)
 *
 * A sample stands between two bursts of the FMA peak on the same number of threads; its share of
 * the peak is against their mean. Medians and quartiles over the samples.
 */
#include "compile.h"
#include "contention.h"
#include "figures.h"
#include "serve.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMES = 64 };

typedef struct bench_options {
    bench_setup setup;
    bench_measure measure;
    bool serve;
    const char *directory; /* to export to when serving */
    const char *name[MOST_NAMES];
    int n_names;
} bench_options;

static const char *const usage =
    "usage: bench [OPTIONS] [NAME...]\n"
    "       bench serve NAME [--threads N] [--processor-time] [--tiny] [--export DIRECTORY]\n"
    "names: a b b-nesterov c d e; training, products, empty, compile, contention, vocabulary; a "
    "product's name\n"
    "  --threads N       worker threads: 2\n"
    "  --samples N       of each: 15, of vocabulary 200 pairs\n"
    "  --batch N         rows of a training step: the workload's own\n"
    "  --shuffle         a new order of rows every epoch (a, b, c)\n"
    "  --processor-time  count processor time instead of the wall's, on one thread: for a busy "
    "machine\n"
    "  --tiny            an eighth of every size: no measurement, but everything is run\n";

/* ---- the command line ---- */

/* The number behind an option, in [1, most]; 0: not one. */
static int number(const char *text, int most) {
    char *end = NULL;
    long value = text == NULL ? 0 : strtol(text, &end, 10);
    return text != NULL && *end == '\0' && value >= 1 && value <= most ? (int)value : 0;
}

static bool parse_switch(const char *text, bench_options *out) {
    if (strcmp(text, "--shuffle") == 0) {
        out->setup.shuffle = true;
    } else if (strcmp(text, "--tiny") == 0) {
        out->setup.tiny = true;
    } else if (strcmp(text, "--processor-time") == 0) {
        out->measure.clock = BENCH_PROCESSOR;
    } else {
        return false;
    }
    return true;
}

/* An option and its value. */
static bool parse_value(const char *text, const char *value, bench_options *out) {
    if (strcmp(text, "--threads") == 0) {
        return (out->setup.threads = number(value, 1024)) > 0;
    }
    if (strcmp(text, "--samples") == 0) {
        out->measure.samples = out->measure.pairs = number(value, BENCH_MOST_SAMPLES);
        return out->measure.samples > 0;
    }
    if (strcmp(text, "--batch") == 0) {
        return (out->setup.batch = number(value, 1 << 20)) > 0;
    }
    if (strcmp(text, "--export") == 0) {
        out->directory = value;
        return value != NULL;
    }
    return false;
}

static bool parse(int argc, char **argv, bench_options *out) {
    int first = argc > 1 && strcmp(argv[1], "serve") == 0 ? 2 : 1;
    out->serve = first == 2;
    for (int i = first; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (out->n_names == MOST_NAMES) {
                return false;
            }
            out->name[out->n_names++] = argv[i];
        } else if (!parse_switch(argv[i], out)) {
            if (!parse_value(argv[i], argv[i + 1], out)) {
                return false;
            }
            i++;
        }
    }
    if (out->measure.clock == BENCH_PROCESSOR) {
        out->setup.threads = 1;
    }
    out->measure.threads = out->setup.threads;
    return out->serve ? out->n_names == 1 : out->directory == NULL;
}

/* ---- sections ---- */

static bool show_all(const bench_options *options, bool training) {
    bool good = true;
    for (int32_t i = 0; bench_subject_name(training, i) != NULL; i++) {
        const char *name = bench_subject_name(training, i);
        good = (training ? bench_show_training(name, &options->setup, &options->measure)
                         : bench_show_product(name, &options->setup, &options->measure)) &&
               good;
    }
    (void)printf("%s", training ? "" : "\n");
    return good;
}

static bool is_training(const char *name) {
    for (int32_t i = 0; bench_subject_name(true, i) != NULL; i++) {
        if (strcmp(bench_subject_name(true, i), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool show(const bench_options *options, const char *name) {
    if (strcmp(name, "training") == 0 || strcmp(name, "products") == 0) {
        return show_all(options, name[0] == 't');
    }
    if (strcmp(name, "compile") == 0) {
        return bench_show_compile(&options->setup, options->measure.samples);
    }
    if (strcmp(name, "empty") == 0) {
        return bench_show_empty(&options->setup, &options->measure);
    }
    if (strcmp(name, "contention") == 0) {
        return bench_show_contention(&options->setup, &options->measure);
    }
    if (strncmp(name, "vocabulary", strlen("vocabulary")) == 0) {
        return bench_show_vocabulary(name, &options->setup, &options->measure);
    }
    return is_training(name) ? bench_show_training(name, &options->setup, &options->measure)
                             : bench_show_product(name, &options->setup, &options->measure);
}

static const char *const sections[] = {"training", "products", "empty", "compile"};

static int run(const bench_options *options) {
    const bench_measure *measure = &options->measure;
    (void)printf("%d thread%s, %s time, FMA peak %.1f GFLOP/s (%s)\n\n", measure->threads,
                 measure->threads == 1 ? "" : "s",
                 measure->clock == BENCH_PROCESSOR ? "processor" : "wall",
                 1e-9 * bench_fma_peak(measure->clock, measure->threads, 0.05), bench_peak_isa());
    bool all = options->n_names == 0;
    int n = all ? (int)(sizeof sections / sizeof sections[0]) : options->n_names;
    bool good = true;
    for (int i = 0; i < n; i++) {
        good = show(options, all ? sections[i] : options->name[i]) && good;
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    bench_options options = {
        .setup = {.threads = 2},
        .measure = {.clock = BENCH_WALL, .samples = 15, .pairs = 200, .seconds = 0.02}};
    if (!parse(argc, argv, &options)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    return options.serve ? bench_serve(options.name[0], &options.setup, options.measure.clock,
                                       options.directory)
                         : run(&options);
}
