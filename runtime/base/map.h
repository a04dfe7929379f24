/*
 * A hash map from byte strings or from 64-bit hashes with a caller's equality, to 32-bit values.
 * Open addressing, no deletion; grows by itself. An entry holds half of its hash: in a large map a
 * search costs the wait for one line of memory, and half as large is half as far.
 */
#ifndef COTI_MAP_H
#define COTI_MAP_H

#include "context.h"

/* 64-bit hash of bytes, seeded: chain fields by passing the previous hash as seed. Stable across
 * runs and machines. */
uint64_t coti_hash(uint64_t seed, const void *data, size_t bytes);

/*
 * The same for what is no text, a word at a time: begin with any seed, end once. A third of the
 * work for keys of a few words.
 */
static inline uint64_t coti_hash_word(uint64_t hash, uint64_t word) {
    hash ^= word * UINT64_C(0xC2B2AE3D27D4EB4F);
    return ((hash << 31) | (hash >> 33)) * UINT64_C(0x9E3779B185EBCA87);
}
static inline uint64_t coti_hash_end(uint64_t hash) {
    hash = (hash ^ (hash >> 29)) * UINT64_C(0x165667B19E3779F9);
    return hash ^ (hash >> 32);
}

typedef struct coti_map {
    cot_context *context;
    struct coti_map_entry {
        uint32_t hash;  /* its lower half */
        uint32_t value; /* value + 1; 0: empty */
    } *entry;
    size_t count, capacity;
} coti_map;

void coti_map_init(coti_map *map, cot_context *context);
void coti_map_free(coti_map *map);

/* Make room for n values in all, so that adding them grows nothing. COT_E_NOMEM. */
cot_status coti_map_reserve(coti_map *map, size_t n);

/* Forget all entries; the room for them stays. */
void coti_map_clear(coti_map *map);

/* Is stored `value` the thing looked for? */
typedef bool (*coti_map_equal_fn)(const void *user, uint32_t value);

/* Find an entry with this hash for which equal(user, value) holds. False: none. */
bool coti_map_find(const coti_map *map, uint64_t hash, coti_map_equal_fn equal, const void *user,
                   uint32_t *value_out);
/* Add without looking (find first). COT_E_NOMEM recorded when memory is short; the map is then
 * unchanged. */
cot_status coti_map_add(coti_map *map, uint64_t hash, uint32_t value);

#endif
