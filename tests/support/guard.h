/*
 * Memory between two pages that may not be touched: whoever reads or writes one byte too far dies
 * of SIGSEGV at once.
 */
#ifndef TEST_GUARD_H
#define TEST_GUARD_H

#include <stddef.h>

/* Which end of the block lies against a forbidden page. */
typedef enum guard_side { GUARD_END, GUARD_START } guard_side;

typedef struct guard {
    void *data; /* `bytes` zeroed bytes */
    size_t bytes;
    void *map;
    size_t map_bytes;
} guard;

/*
 * GUARD_END: data + bytes is the forbidden page's first byte, so data is aligned only as far as
 * `bytes` is a multiple of. GUARD_START: data is the first byte after a forbidden page. Ends the
 * test when memory is short.
 */
guard guard_create(size_t bytes, guard_side side);
void guard_destroy(guard *block);

#endif
