/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011, section 3.3) and the draws made from it.
 * Generated kernels compute the same words inline; the reference evaluator calls these.
 */
#include "philox.h"

#include <math.h>

void coti_philox4x32(const uint32_t counter[4], coti_philox_key key, uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key.k[0], k1 = key.k[1];
    for (int i = 0; i < COTI_PHILOX_ROUNDS; i++) {
        uint64_t p0 = (uint64_t)COTI_PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)COTI_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += COTI_PHILOX_W0;
        k1 += COTI_PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t coti_philox_word(coti_philox_key key, uint64_t step, uint64_t element) {
    uint64_t block = element / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)step,
                           (uint32_t)(step >> 32)};
    uint32_t word[4];
    coti_philox4x32(counter, key, word);
    return word[element % 4];
}

double coti_philox_uniform(coti_philox_key key, uint64_t step, uint64_t element) {
    return (coti_philox_word(key, step, element) >> 8) * 0x1p-24;
}

double coti_philox_normal(coti_philox_key key, uint64_t step, uint64_t element) {
    const double two_pi = 6.283185307179586476925287;
    uint64_t even = element & ~UINT64_C(1);
    double u1 = ((coti_philox_word(key, step, even) >> 8) + 1) * 0x1p-24;
    double u2 = (coti_philox_word(key, step, even + 1) >> 8) * 0x1p-24;
    double radius = sqrt(-2.0 * log(u1));
    return radius * (element == even ? cos(two_pi * u2) : sin(two_pi * u2));
}

/*
 * Draws above the largest multiple of `bound` are thrown away, so that each remainder is equally
 * likely. threshold = 2^64 mod bound; a draw below it is refused, which leaves a multiple of bound.
 */
uint64_t coti_philox_below(coti_philox_key key, uint64_t step, uint64_t element, uint64_t bound) {
    uint64_t threshold = (0 - bound) % bound;
    for (;; step++) {
        uint64_t high = coti_philox_word(key, step, 2 * element);
        uint64_t draw = high << 32 | coti_philox_word(key, step, 2 * element + 1);
        if (draw >= threshold) {
            return draw % bound;
        }
    }
}
