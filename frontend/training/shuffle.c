/*
 * The order of rows of an epoch: Fisher-Yates, drawn from Philox (stream COTI_STREAM_SHUFFLE). The
 * step is the epoch in the high half, so that a draw's retries, which take the steps that follow,
 * stay within it.
 */
#include "frontend/training/training.h"
#include "runtime/base/philox.h"

void coti_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t block, int64_t *order_out) {
    coti_philox_key key = coti_philox_make_key(seed, COTI_STREAM_SHUFFLE);
    for (int64_t i = 0; i < n; i++) {
        order_out[i] = i;
    }
    for (int64_t first = 0; first < n; first += block) {
        int64_t size = n - first < block ? n - first : block;
        int64_t *order = order_out + first;
        for (int64_t i = size - 1; i > 0; i--) {
            uint64_t draw =
                coti_philox_below(key, epoch << 32, (uint64_t)(first + i), (uint64_t)i + 1);
            int64_t kept = order[i];
            order[i] = order[draw];
            order[draw] = kept;
        }
    }
}
