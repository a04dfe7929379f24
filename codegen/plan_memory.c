/*
 * Placing blocks with lifetimes in one stretch of memory.
 *
 * Blocks of equal lifetime are laid side by side and placed as one: phases are few, so that
 * thousands of buffers become tens of blocks. Three ways are tried: walking through time forwards
 * and backwards, placing each block when it begins to live into the first gap that holds it; and,
 * when blocks are few enough for quadratic work, by falling size into the first gap among those
 * that are live at the same time. Forwards is exact for lifetimes nested like a stack's, as a
 * training step's are; size mends what is not nested.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_SQUARED = 1500,    /* blocks that are placed by size */
    MAX_GAPS_TRIED = 16384 /* by the walks, of each block: keeps them near-linear */
};

typedef struct placement {
    cot_context *context;
    coti_arena memory;
    coti_plan_block *block; /* merged: one a lifetime */
    int32_t n_blocks, times;
    int64_t *offset; /* of the way at hand, by block */
    int64_t *best_offset;
    int64_t best_total;
} placement;

/* ---- merging equal lifetimes ---- */

static int compare_lives(const void *a, const void *b) {
    const coti_plan_block *x = *(const coti_plan_block *const *)a,
                          *y = *(const coti_plan_block *const *)b;
    if (x->life.first != y->life.first) {
        return x->life.first < y->life.first ? -1 : 1;
    }
    if (x->life.last != y->life.last) {
        return x->life.last > y->life.last ? -1 : 1;
    }
    return x < y ? -1 : x > y; /* so that the order is the same on every machine */
}

/*
 * Fill p->block from the caller's blocks, sorted by first life and then longest first; member[i] is
 * the merged block of sorted[i], whose offset becomes its place in that.
 */
static cot_status merge_lives(placement *p, coti_plan_block **sorted, int32_t *member, int32_t n) {
    qsort((void *)sorted, (size_t)n, sizeof *sorted, compare_lives);
    for (int32_t i = 0; i < n; i++) {
        coti_plan_block *last = p->n_blocks > 0 ? &p->block[p->n_blocks - 1] : NULL;
        bool same = last != NULL && last->life.first == sorted[i]->life.first &&
                    last->life.last == sorted[i]->life.last;
        if (!same) {
            last = &p->block[p->n_blocks++];
            *last = (coti_plan_block){.life = sorted[i]->life};
        }
        member[i] = p->n_blocks - 1;
        sorted[i]->offset = last->bytes;
        if (!coti_size_add(last->bytes, sorted[i]->bytes, &last->bytes)) {
            return COTI_FAIL(p->context, COT_E_SHAPE, "the buffers of a step need too much memory");
        }
    }
    return COT_OK;
}

/* The most bytes live at any one time. */
static cot_status find_bound(placement *p, int64_t *bound_out) {
    int64_t *change = coti_arena_array(&p->memory, (size_t)p->times + 1, sizeof *change);
    if (change == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < p->n_blocks; i++) {
        change[p->block[i].life.first] += p->block[i].bytes;
        change[p->block[i].life.last + 1] -= p->block[i].bytes;
    }
    int64_t live = 0, most = 0;
    for (int32_t t = 0; t < p->times; t++) {
        live += change[t];
        most = live > most ? live : most;
    }
    *bound_out = most;
    return COT_OK;
}

/* ---- what a way has found ---- */

static void keep_if_better(placement *p) {
    int64_t total = 0;
    for (int32_t i = 0; i < p->n_blocks; i++) {
        int64_t end = p->offset[i] + p->block[i].bytes;
        total = end > total ? end : total;
    }
    if (p->best_total < 0 || total < p->best_total) {
        p->best_total = total;
        memcpy(p->best_offset, p->offset, (size_t)p->n_blocks * sizeof *p->offset);
    }
}

static void place_apart(placement *p) {
    int64_t next = 0;
    for (int32_t i = 0; i < p->n_blocks; i++) {
        p->offset[i] = next;
        next += p->block[i].bytes;
    }
    keep_if_better(p);
}

/* ---- through time ---- */

/* Free stretches below `top`, by offset, none touching another; above top all is free. */
typedef struct gap {
    int64_t offset, bytes;
} gap;

typedef struct free_list {
    gap *gap; /* room for one more than there are blocks */
    int32_t n;
    int64_t top;
} free_list;

static int64_t take(free_list *list, int64_t bytes) {
    int32_t tried = list->n < MAX_GAPS_TRIED ? list->n : MAX_GAPS_TRIED;
    for (int32_t i = 0; i < tried; i++) {
        gap *g = &list->gap[i];
        if (g->bytes >= bytes) {
            int64_t offset = g->offset;
            g->offset += bytes;
            g->bytes -= bytes;
            if (g->bytes == 0) {
                memmove(g, g + 1, (size_t)(list->n - i - 1) * sizeof *g);
                list->n--;
            }
            return offset;
        }
    }
    /* A gap that ends at the top grows beyond it. */
    gap *last = list->n > 0 ? &list->gap[list->n - 1] : NULL;
    int64_t offset = list->top;
    if (last != NULL && last->offset + last->bytes == list->top) {
        offset = last->offset;
        list->n--;
    }
    list->top = offset + bytes;
    return offset;
}

static void give_back(free_list *list, int64_t offset, int64_t bytes) {
    int32_t low = 0, high = list->n;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (list->gap[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    gap *g = list->gap;
    bool joins_before = low > 0 && g[low - 1].offset + g[low - 1].bytes == offset;
    bool joins_after = low < list->n && offset + bytes == g[low].offset;
    if (joins_before) {
        g[low - 1].bytes += bytes + (joins_after ? g[low].bytes : 0);
        if (joins_after) {
            memmove(&g[low], &g[low + 1], (size_t)(list->n - low - 1) * sizeof *g);
            list->n--;
        }
    } else if (joins_after) {
        g[low].offset = offset;
        g[low].bytes += bytes;
    } else {
        memmove(&g[low + 1], &g[low], (size_t)(list->n - low) * sizeof *g);
        g[low] = (gap){offset, bytes};
        list->n++;
    }
}

/* A block's life as seen by the walk: backwards, time t is times - 1 - t. */
static coti_lifetime seen(const placement *p, int32_t i, bool backwards) {
    coti_lifetime life = p->block[i].life;
    return backwards ? (coti_lifetime){p->times - 1 - life.last, p->times - 1 - life.first} : life;
}

/* Blocks in lists by a time (counting sort): at[t] .. at[t+1] of `order` begin (or end) at t. */
static int32_t *sort_by_time(placement *p, bool backwards, bool by_end, int32_t *order) {
    int32_t *at = coti_arena_array(&p->memory, (size_t)p->times + 2, sizeof *at);
    if (at == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < p->n_blocks; i++) {
        coti_lifetime life = seen(p, i, backwards);
        at[(by_end ? life.last : life.first) + 2]++;
    }
    for (int32_t t = 0; t < p->times; t++) {
        at[t + 1] += at[t];
    }
    for (int32_t i = 0; i < p->n_blocks; i++) {
        coti_lifetime life = seen(p, i, backwards);
        order[at[(by_end ? life.last : life.first) + 1]++] = i;
    }
    return at;
}

static cot_status place_through_time(placement *p, bool backwards) {
    const size_t n = (size_t)p->n_blocks;
    int32_t *begin = coti_arena_array(&p->memory, n, sizeof *begin);
    int32_t *end = coti_arena_array(&p->memory, n, sizeof *end);
    free_list list = {.gap = coti_arena_array(&p->memory, n + 1, sizeof *list.gap)};
    if (begin == NULL || end == NULL || list.gap == NULL) {
        return COT_E_NOMEM;
    }
    const int32_t *begin_at = sort_by_time(p, backwards, false, begin);
    const int32_t *end_at = begin_at != NULL ? sort_by_time(p, backwards, true, end) : NULL;
    if (end_at == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t t = 0; t < p->times; t++) {
        for (int32_t i = begin_at[t]; i < begin_at[t + 1]; i++) {
            p->offset[begin[i]] = take(&list, p->block[begin[i]].bytes);
        }
        for (int32_t i = end_at[t]; i < end_at[t + 1]; i++) {
            give_back(&list, p->offset[end[i]], p->block[end[i]].bytes);
        }
    }
    keep_if_better(p);
    return COT_OK;
}

/* ---- by size ---- */

typedef struct sized {
    int64_t bytes;
    int32_t block;
} sized;

static int compare_sizes(const void *a, const void *b) {
    const sized *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->block < y->block ? -1 : x->block > y->block;
}

static bool overlap(coti_lifetime a, coti_lifetime b) {
    return a.first <= b.last && b.first <= a.last;
}

/* The first offset at which a block overlaps none of the n placed ones, which go by offset. */
static int64_t find_gap(const placement *p, const coti_plan_block *block, const int32_t *placed,
                        int32_t n) {
    int64_t offset = 0;
    for (int32_t i = 0; i < n; i++) {
        const coti_plan_block *other = &p->block[placed[i]];
        if (!overlap(block->life, other->life)) {
            continue;
        }
        if (p->offset[placed[i]] >= offset + block->bytes) {
            break;
        }
        int64_t end = p->offset[placed[i]] + other->bytes;
        offset = end > offset ? end : offset;
    }
    return offset;
}

static cot_status place_by_size(placement *p) {
    sized *order = coti_arena_array(&p->memory, (size_t)p->n_blocks, sizeof *order);
    int32_t *placed = coti_arena_array(&p->memory, (size_t)p->n_blocks, sizeof *placed);
    if (order == NULL || placed == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < p->n_blocks; i++) {
        order[i] = (sized){p->block[i].bytes, i};
    }
    qsort(order, (size_t)p->n_blocks, sizeof *order, compare_sizes);
    for (int32_t i = 0; i < p->n_blocks; i++) {
        const int64_t offset = find_gap(p, &p->block[order[i].block], placed, i);
        p->offset[order[i].block] = offset;
        int32_t at = i;
        for (; at > 0 && p->offset[placed[at - 1]] > offset; at--) {
            placed[at] = placed[at - 1];
        }
        placed[at] = order[i].block;
    }
    keep_if_better(p);
    return COT_OK;
}

/* ---- all ways ---- */

static cot_status try_ways(placement *p, bool share, int64_t bound) {
    if (!share) {
        place_apart(p);
        return COT_OK;
    }
    COTI_TRY(place_through_time(p, false));
    if (p->best_total > bound) {
        COTI_TRY(place_through_time(p, true));
    }
    if (p->best_total > bound && p->n_blocks <= MAX_SQUARED) {
        COTI_TRY(place_by_size(p));
    }
    return COT_OK;
}

static cot_status place_all(placement *p, coti_plan_block *block, int32_t n, bool share,
                            int64_t *bound_out) {
    coti_plan_block **sorted =
        (coti_plan_block **)coti_arena_array(&p->memory, (size_t)n, sizeof *sorted);
    int32_t *member = coti_arena_array(&p->memory, (size_t)n, sizeof *member);
    p->block = coti_arena_array(&p->memory, (size_t)n, sizeof *p->block);
    p->offset = coti_arena_array(&p->memory, (size_t)n, sizeof *p->offset);
    p->best_offset = coti_arena_array(&p->memory, (size_t)n, sizeof *p->best_offset);
    if (sorted == NULL || member == NULL || p->block == NULL || p->offset == NULL ||
        p->best_offset == NULL) {
        return COT_E_NOMEM;
    }
    int32_t n_sorted = 0;
    for (int32_t i = 0; i < n; i++) {
        block[i].offset = 0;
        if (block[i].bytes > 0) {
            sorted[n_sorted++] = &block[i];
        }
    }
    COTI_TRY(merge_lives(p, sorted, member, n_sorted));
    COTI_TRY(find_bound(p, bound_out));
    COTI_TRY(try_ways(p, share, *bound_out));
    for (int32_t i = 0; i < n_sorted; i++) {
        sorted[i]->offset += p->best_offset[member[i]];
    }
    return COT_OK;
}

cot_status coti_place_blocks(cot_context *context, coti_plan_block *block, int32_t n, int32_t times,
                             bool share, int64_t *total_out, int64_t *bound_out) {
    placement p = {.context = context, .times = times, .best_total = -1};
    coti_arena_init(&p.memory, context);
    cot_status status = place_all(&p, block, n, share, bound_out);
    *total_out = p.best_total < 0 ? 0 : p.best_total;
    coti_arena_clear(&p.memory);
    return status;
}
