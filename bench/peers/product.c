/* The main program of product.h. */
#include "product.h"
#include "../peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool peer_read_name(const char *name, const char *prefix, char separator, int64_t number_out[3]) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0) {
        return false;
    }
    const char *text = name + n;
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        number_out[i] = strtoll(text, &end, 10);
        if (end == text || number_out[i] < 1 || *end != (i < 2 ? separator : '\0')) {
            return false;
        }
        text = end + 1;
    }
    return true;
}

/* n of the numbers that bench_fill makes; NULL: no memory. */
static float *operand(int64_t n, uint64_t seed) {
    float *x = malloc((size_t)n * sizeof *x);
    uint64_t state = seed + 1;
    for (int64_t i = 0; x != NULL && i < n; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        x[i] = (float)(state >> 40) * 0x1p-24F - 0.5F;
    }
    return x;
}

static bool answer_run(peer_product *product, bench_clock clock, int64_t rounds) {
    double start = bench_now(clock);
    bool good = product->run(product, rounds);
    double seconds = bench_now(clock) - start;
    good = good && (product->collect == NULL || product->collect(product));
    double sum = 0.0;
    for (int64_t i = 0; i < product->n_out; i += 1 + product->n_out / 1000) {
        sum += (double)product->out[i];
    }
    (void)printf("%.9g %.9g\n", seconds, sum);
    (void)fflush(stdout);
    return good;
}

static bool answer(peer_product *product, bench_clock clock) {
    char line[64];
    bool good = true;
    while (good && fgets(line, sizeof line, stdin) != NULL && strncmp(line, "run ", 4) == 0) {
        good = answer_run(product, clock, strtoll(line + 4, NULL, 10));
    }
    return good;
}

int main(int argc, char **argv) {
    peer_product product = {.collect = NULL};
    char version[64];
    if (argc != 3 || (!peer_matrix(argv[1], &product) && !peer_convolution(argv[1], &product))) {
        (void)fprintf(stderr, "%s: expected the name of a product that the library has\n", argv[0]);
        return 2;
    }
    product.a = operand(product.n_a, 0);
    product.b = operand(product.n_b, 1);
    product.out = operand(product.n_out, 2);
    bool good = product.a != NULL && product.b != NULL && product.out != NULL;
    good = good && (product.prepare == NULL || product.prepare(&product));
    if (good) {
        peer_version(version);
        (void)printf("ready %s\n", version);
        (void)fflush(stdout);
        good = answer(&product, strcmp(argv[2], "wall") == 0 ? BENCH_WALL : BENCH_PROCESSOR);
    }
    if (product.destroy != NULL) {
        product.destroy(&product);
    }
    free(product.a);
    free(product.b);
    free(product.out);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
