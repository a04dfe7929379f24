/*
 * The hash map and its hash.
 *
 * The hash is XXH64 (Collet, xxHash specification 0.1.1) in its form for fewer than 32 bytes,
 * applied to inputs of any length: keys here are short. Words are read little-endian on every
 * machine, because hashes go into the kernel cache's keys.
 */
#include "map.h"

#include <string.h>

enum { FIRST_CAPACITY = 16 };

static const uint64_t prime1 = UINT64_C(0x9E3779B185EBCA87);
static const uint64_t prime2 = UINT64_C(0xC2B2AE3D27D4EB4F);
static const uint64_t prime3 = UINT64_C(0x165667B19E3779F9);
static const uint64_t prime4 = UINT64_C(0x85EBCA77C2B2AE63);
static const uint64_t prime5 = UINT64_C(0x27D4EB2F165667C5);

static uint64_t rotate(uint64_t x, int n) {
    return (x << n) | (x >> (64 - n));
}

/* n bytes (4 or 8), little-endian on every machine. */
static uint64_t read_word(const unsigned char *p, size_t n) {
    uint64_t word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&word, p, n);
#else
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)p[i] << (8 * i);
    }
#endif
    return word;
}

uint64_t coti_hash(uint64_t seed, const void *data, size_t bytes) {
    const unsigned char *p = data;
    uint64_t h = seed + prime5 + (uint64_t)bytes;
    size_t left = bytes;
    for (; left >= 8; left -= 8, p += 8) {
        h ^= rotate(read_word(p, 8) * prime2, 31) * prime1;
        h = rotate(h, 27) * prime1 + prime4;
    }
    if (left >= 4) {
        h ^= read_word(p, 4) * prime1;
        h = rotate(h, 23) * prime2 + prime3;
        left -= 4;
        p += 4;
    }
    for (; left > 0; left--, p++) {
        h ^= *p * prime5;
        h = rotate(h, 11) * prime1;
    }
    h = (h ^ (h >> 33)) * prime2;
    h = (h ^ (h >> 29)) * prime3;
    return h ^ (h >> 32);
}

void coti_map_init(coti_map *map, cot_context *context) {
    *map = (coti_map){.context = context};
}

void coti_map_free(coti_map *map) {
    coti_free(map->context, map->entry);
    coti_map_init(map, map->context);
}

void coti_map_clear(coti_map *map) {
    if (map->capacity > 0) {
        memset(map->entry, 0, map->capacity * sizeof *map->entry);
    }
    map->count = 0;
}

bool coti_map_find(const coti_map *map, uint64_t hash, coti_map_equal_fn equal, const void *user,
                   uint32_t *value_out) {
    if (map->capacity == 0) {
        return false;
    }
    const uint32_t half = (uint32_t)hash;
    for (size_t i = half & (map->capacity - 1); map->entry[i].value != 0;
         i = (i + 1) & (map->capacity - 1)) {
        uint32_t value = map->entry[i].value - 1;
        if (map->entry[i].hash == half && equal(user, value)) {
            *value_out = value;
            return true;
        }
    }
    return false;
}

/* Into the first free place; there is one. */
static void place(struct coti_map_entry *entry, size_t capacity, struct coti_map_entry added) {
    size_t i = added.hash & (capacity - 1);
    while (entry[i].value != 0) {
        i = (i + 1) & (capacity - 1);
    }
    entry[i] = added;
}

static cot_status grow(coti_map *map, size_t capacity) {
    struct coti_map_entry *entry = coti_calloc(map->context, capacity, sizeof *entry);
    if (entry == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entry[i].value != 0) {
            place(entry, capacity, map->entry[i]);
        }
    }
    coti_free(map->context, map->entry);
    map->entry = entry;
    map->capacity = capacity;
    return COT_OK;
}

cot_status coti_map_reserve(coti_map *map, size_t n) {
    size_t capacity = map->capacity == 0 ? FIRST_CAPACITY : map->capacity;
    while (capacity - capacity / 3 < n && capacity <= SIZE_MAX / 4) {
        capacity *= 2;
    }
    return capacity > map->capacity ? grow(map, capacity) : COT_OK;
}

cot_status coti_map_add(coti_map *map, uint64_t hash, uint32_t value) {
    if (value == UINT32_MAX) {
        return COTI_FAIL(map->context, COT_E_INTERNAL, "a map cannot hold the value %u", value);
    }
    if (map->count >= map->capacity / 2) { /* below, there is room */
        COTI_TRY(coti_map_reserve(map, map->count + 1));
    }
    place(map->entry, map->capacity, (struct coti_map_entry){(uint32_t)hash, value + 1});
    map->count++;
    return COT_OK;
}
