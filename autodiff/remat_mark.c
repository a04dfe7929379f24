/*
 * Regions by size (remat_mark.h).
 *
 *     weigh    the bytes of each value; a view has none, and lives in what it is a view of
 *     cross    for each place between two nodes, the bytes of values on its one side that nodes on
 *              the other read
 *     cut      from the end towards the beginning, each stretch as long as it may be or somewhat
 *              shorter
 *     mark     all but the last
 *
 * What gradient rules will keep is not known yet: that a stretch's values are all kept is an upper
 * bound, which is too large by what fusion never stores. Whoever asks plans and sees.
 */
#include "remat_mark.h"

typedef struct marker {
    cot_graph *graph;
    uint32_t end; /* one beyond the last node */
    int64_t rows;
    int64_t *weight; /* by node: bytes that it adds */
    int64_t *cross;  /* by node: bytes that cross between those before it and the rest */
    uint32_t *root;  /* by node: what it is a view of; itself */
    uint32_t *last;  /* by root: its latest reader */
} marker;

/* ---- weigh ---- */

/* Leaves are there anyway; views are no memory of their own. */
static bool is_free(const marker *m, uint32_t id) {
    const coti_node *node = coti_node_at(m->graph, id);
    return node->n_inputs == 0 || m->root[id] != id;
}

static bool is_view(const coti_node *node) {
    return coti_op_table[node->op].kind == COTI_KIND_VIEW && node->n_inputs == 1 &&
           node->op != COT_OP_PAD && node->op != COT_OP_BARRIER;
}

static cot_status weigh(marker *m, int64_t *total_out) {
    for (uint32_t id = 1; id < m->end; id++) {
        const coti_node *node = coti_node_at(m->graph, id);
        int64_t elements = 0;
        m->root[id] = is_view(node) ? m->root[node->input[0]] : id;
        for (int32_t i = 0; i < node->n_inputs; i++) {
            m->last[m->root[node->input[i]]] = id;
        }
        if (is_free(m, id)) {
            continue;
        }
        if (!coti_shape_elements(&node->shape, m->rows, &elements) ||
            !coti_size_mul(elements, (int64_t)cot_dtype_bytes((cot_dtype)node->dtype),
                           &m->weight[id]) ||
            !coti_size_add(*total_out, m->weight[id], total_out)) {
            return COTI_FAIL(m->graph->context, COT_E_SHAPE,
                             "graph \"%s\": the values of a step need too much memory",
                             m->graph->name);
        }
    }
    return COT_OK;
}

/* ---- cross ---- */

static void find_crossing(marker *m) {
    for (uint32_t id = 1; id < m->end; id++) {
        if (!is_free(m, id) && m->last[id] > id) { /* crosses before id + 1 up to before last */
            m->cross[id + 1] += m->weight[id];
            m->cross[m->last[id] + 1] -= m->weight[id];
        }
    }
    for (uint32_t id = 1; id <= m->end; id++) {
        m->cross[id] += m->cross[id - 1];
    }
}

/* ---- cut ---- */

/* Does what is elementwise after the node join it, rather than what is before it? */
static bool begins_kernel(const coti_node *node) {
    switch (coti_op_table[node->op].kind) {
    case COTI_KIND_REDUCE:
    case COTI_KIND_CONTRACT:
    case COTI_KIND_COMPOSITE:
        return true;
    case COTI_KIND_LEAF:
    case COTI_KIND_ELEMWISE:
    case COTI_KIND_COMPARE:
    case COTI_KIND_VIEW:
    case COTI_KIND_OTHER:
        break;
    }
    return false;
}

/* Is a cut before node a better one than before node b (0: none yet), which is nearer the end? */
static bool is_better(const marker *m, uint32_t a, uint32_t b) {
    if (b == 0) {
        return true;
    }
    const bool a_begins = begins_kernel(coti_node_at(m->graph, a));
    const bool b_begins = begins_kernel(coti_node_at(m->graph, b));
    return a_begins != b_begins ? a_begins : m->cross[a] <= m->cross[b];
}

/* The first node of the stretch that ends before node `end`; it has one node at least. */
static uint32_t find_begin(const marker *m, uint32_t end, int64_t stretch_bytes) {
    uint32_t best = 0, id = end - 1;
    int64_t bytes = m->weight[id];
    while (id > 1 && bytes + m->weight[id - 1] <= stretch_bytes) {
        if (bytes >= stretch_bytes / 2 && is_better(m, id, best)) {
            best = id;
        }
        id--;
        bytes += m->weight[id];
    }
    return id == 1 || is_better(m, id, best) ? id : best; /* 1: what is left is one stretch */
}

/* ---- mark ---- */

static void mark_range(cot_graph *graph, uint32_t first, uint32_t end) {
    const uint32_t region = ++graph->n_regions;
    for (uint32_t id = first; id < end; id++) {
        coti_node *node = &graph->node.data[id];
        if (node->n_inputs > 0 && node->region == 0) {
            node->region = region;
        }
    }
}

static void cut_and_mark(marker *m, int64_t stretch_bytes, coti_stretches *out) {
    bool is_last = true;
    for (uint32_t end = m->end; end > 1;) {
        const uint32_t begin = find_begin(m, end, stretch_bytes);
        if (!is_last) {
            mark_range(m->graph, begin, end);
            out->n_regions++;
        }
        is_last = false;
        end = begin;
    }
}

static cot_status mark(marker *m, coti_arena *arena, int64_t stretch_bytes, coti_stretches *out) {
    const size_t n = (size_t)m->end + 2;
    m->weight = coti_arena_array(arena, n, sizeof *m->weight);
    m->cross = coti_arena_array(arena, n, sizeof *m->cross);
    m->root = coti_arena_array(arena, n, sizeof *m->root);
    m->last = coti_arena_array(arena, n, sizeof *m->last);
    if (m->weight == NULL || m->cross == NULL || m->root == NULL || m->last == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(weigh(m, &out->bytes));
    if (stretch_bytes > 0) {
        find_crossing(m);
        cut_and_mark(m, stretch_bytes, out);
    }
    return COT_OK;
}

cot_status coti_remat_mark(cot_graph *graph, int64_t rows, int64_t stretch_bytes,
                           coti_stretches *stretches_out) {
    marker m = {.graph = graph, .end = (uint32_t)graph->node.count, .rows = rows};
    coti_arena arena;
    coti_arena_init(&arena, graph->context);
    *stretches_out = (coti_stretches){0, 0};
    cot_status status = mark(&m, &arena, stretch_bytes, stretches_out);
    coti_arena_clear(&arena);
    return status;
}
