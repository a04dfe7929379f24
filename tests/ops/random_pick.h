/*
 * What the files of random graphs share: choices, and the values to choose from.
 */
#ifndef RANDOM_PICK_H
#define RANDOM_PICK_H

#include "random_graph.h"

#include "graph/graph.h"

/* xorshift64* (Vigna, 2016). */
static inline uint64_t next_word(random_graph *g) {
    g->state ^= g->state >> 12;
    g->state ^= g->state << 25;
    g->state ^= g->state >> 27;
    return g->state * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

static inline int64_t below(random_graph *g, int64_t n) {
    return (int64_t)(next_word(g) % (uint64_t)n);
}

/* Elements of the values are few, whatever N (at most 40). */
static inline bool small_enough(cot_value value) {
    cot_shape shape = cot_value_shape(value);
    int64_t elements = 0;
    return coti_shape_elements(&shape, 40, &elements) && elements <= 40000;
}

static inline void keep(random_graph *g, cot_value value) {
    if (value.graph != NULL && g->n_values < MAX_VALUES && small_enough(value)) {
        g->value[g->n_values++] = value;
    }
}

/* A value of the dtype, newer ones more often; false: there is none. */
static inline bool choose(random_graph *g, cot_dtype dtype, cot_value *out) {
    for (int32_t attempt = 0; attempt < 24; attempt++) {
        int64_t a = below(g, g->n_values), b = below(g, g->n_values);
        *out = g->value[a > b ? a : b];
        if (cot_value_dtype(*out) == dtype) {
            return true;
        }
    }
    return false;
}

/* First axis that is not the batch. */
static inline int32_t free_axis(const cot_shape *shape) {
    return shape->batched ? 1 : 0;
}

static inline bool choose_any(random_graph *g, cot_value *out) {
    *out = g->value[below(g, g->n_values)];
    return true;
}

/* ---- one node of its kind from values that fit, or nothing ---- */

void random_try_window(random_graph *g);      /* random_window.c */
void random_try_conv(random_graph *g);        /* random_window.c */
void random_try_pool(random_graph *g);        /* random_window.c */
void random_try_gather(random_graph *g);      /* random_index.c */
void random_try_dynamic(random_graph *g);     /* random_index.c */
void random_try_order(random_graph *g);       /* random_index.c */
void random_try_cumsum(random_graph *g);      /* random_index.c */
void random_try_scatter_add(random_graph *g); /* random_index.c */
void random_try_norm(random_graph *g);        /* random_norm.c */
void random_try_attention(random_graph *g);   /* random_norm.c */
void random_try_scan(random_graph *g);        /* random_scan.c */

#endif
