/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011), and the one fixed way in which Cotangent draws from it. Changing anything here changes
 * every stream: the layout is frozen.
 *
 * key     = { seed low, seed high ^ mix(stream) }: see coti_philox_key
 * counter = { block low, block high, step low, step high } with block = element / 4
 * element e uses word e % 4 of block e / 4.
 */
#ifndef COTI_PHILOX_H
#define COTI_PHILOX_H

#include <stdint.h>

#define COTI_PHILOX_M0 0xD2511F53u
#define COTI_PHILOX_M1 0xCD9E8D57u
#define COTI_PHILOX_W0 0x9E3779B9u
#define COTI_PHILOX_W1 0xBB67AE85u
#define COTI_PHILOX_ROUNDS 10

typedef struct coti_philox_key {
    uint32_t k[2];
} coti_philox_key;

/* k[0] = low(seed) ^ low(z), k[1] = high(seed) ^ high(z), z = stream * 0x9E3779B97F4A7C15 (mod
 * 2^64). */
static inline coti_philox_key coti_philox_make_key(uint64_t seed, uint64_t stream) {
    uint64_t z = stream * UINT64_C(0x9E3779B97F4A7C15);
    coti_philox_key key = {
        {(uint32_t)seed ^ (uint32_t)z, (uint32_t)(seed >> 32) ^ (uint32_t)(z >> 32)}};
    return key;
}

/* The four words of one counter. */
void coti_philox4x32(const uint32_t counter[4], coti_philox_key key, uint32_t out[4]);

/* Word of element `element` at `step`. */
uint32_t coti_philox_word(coti_philox_key key, uint64_t step, uint64_t element);

/* Uniform in [0,1): (word >> 8) * 2^-24, exact in f32 and f64 alike. */
double coti_philox_uniform(coti_philox_key key, uint64_t step, uint64_t element);

/*
 * Standard normal, f32, by Box-Muller: elements 2i and 2i+1 are r*cos(t), r*sin(t), r = sqrt(-2
 * log(u1)), t = 2 pi u2, u1 = ((word(2i) >> 8) + 1) * 2^-24, u2 = (word(2i+1) >> 8) * 2^-24.
 */
double coti_philox_normal(coti_philox_key key, uint64_t step, uint64_t element);

/*
 * Uniform integer in [0, bound) without bias; bound >= 1. Word 2*element is the high half of a
 * 64-bit draw, word 2*element+1 the low half; a draw that would favour small results is refused and
 * made again at step + 1, step + 2, ... Used to shuffle.
 */
uint64_t coti_philox_below(coti_philox_key key, uint64_t step, uint64_t element, uint64_t bound);

/* Streams that the library itself uses; nodes use streams >= COTI_STREAM_FIRST_NODE. */
enum {
    COTI_STREAM_SHUFFLE = 1,
    COTI_STREAM_INITIAL = 2,
    COTI_STREAM_SEEDED = 3, /* initial weights from a seed of their own */
    COTI_STREAM_SEARCH = 4, /* hyper-parameters */
    COTI_STREAM_FIRST_NODE = 1024
};

#endif
