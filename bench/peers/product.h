/*
 * One product by a library, on request, as `bench serve` does it (serve.h) and on the same numbers:
 *
 *   PROGRAM NAME wall|processor
 *                      "ready LIBRARY VERSION", then "run ROUNDS" -> "SECONDS SUM", "quit"
 *
 * NAME is as in bench/products.c. Each program is these two files and one library's: sgemm.c with
 * OpenBLAS, BLIS or oneDNN, and conv_onednn.c. Threads come by OMP_NUM_THREADS.
 */
#ifndef PEERS_PRODUCT_H
#define PEERS_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct peer_product peer_product;
struct peer_product {
    float *a, *b, *out; /* row-major; owned by the main program */
    int64_t n_a, n_b, n_out;
    bool (*prepare)(peer_product *product); /* from a and b as filled; NULL: nothing to do */
    bool (*run)(peer_product *product, int64_t rounds);
    bool (*collect)(peer_product *product); /* fetch the result into out; NULL: it is there */
    void (*destroy)(peer_product *product); /* the library's own; NULL: nothing */
    int64_t m, k, n;                        /* of a matrix product: [m,k] by [k,n] */
    bool transposed;                        /* a lies as [k,m] */
    void *library;                          /* the library's own */
};

/* Three numbers of a name behind `prefix`, parted by `separator`; false: it is another name. */
bool peer_read_name(const char *name, const char *prefix, char separator, int64_t number_out[3]);

/* "OpenBLAS 0.3.21", in a buffer of 64 bytes. */
void peer_version(char text_out[64]);

/* Fill in a product of this name; false: the library has no such product. */
bool peer_matrix(const char *name, peer_product *out);
bool peer_convolution(const char *name, peer_product *out);

#endif
