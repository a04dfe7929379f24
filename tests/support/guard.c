/* Guarded memory by mmap and mprotect: a page, the block's pages, a page. */
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

guard guard_create(size_t bytes, guard_side side) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inner = (bytes + page - 1) / page * page;
    guard block = {.bytes = bytes, .map_bytes = inner + 2 * page};
    block.map = mmap(NULL, block.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block.map == MAP_FAILED) {
        fail_msg("no memory for a guarded block of %zu bytes", bytes);
    }
    char *first = (char *)block.map + page;
    if (inner > 0 && mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) {
        fail_msg("cannot open a guarded block of %zu bytes", bytes);
    }
    block.data = side == GUARD_END ? first + inner - bytes : first;
    return block;
}

void guard_destroy(guard *block) {
    (void)munmap(block->map, block->map_bytes);
    *block = (guard){0};
}
