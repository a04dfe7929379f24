/*
 * The order of the groups: each after those whose values it reads, and the one that writes a state
 * after all others that read it.
 *
 * Values alone never make a cycle, but states can: two states that are exchanged, or a reader that
 * needs what the writer makes. Such a write is taken out: the new value is stored, and copied at
 * the end. So is the write of a scalar whose group serves others (the step counter beside the
 * learning rate), lest all of them wait for the state's readers: the copy of a scalar costs
 * nothing.
 *
 * Kahn's algorithm; of groups that are ready the one with the smallest first node goes first, so
 * groups come in the order of the graph where nothing else decides. Near-linear: a heap, and each
 * edge is looked at twice.
 */
#include "cluster.h"

#include <string.h>

/* Edges between groups, by their source: `to` of edge e is target[e], e from begin[g] on. */
typedef struct edges {
    uint32_t *begin, *target;
} edges;

typedef struct sorter {
    coti_fusion *f;
    const coti_lowered_list *list;
    uint32_t n;
    uint32_t *maker;        /* by node: 1 + the group that writes its value or state; 0: none */
    bool *has_reader;       /* by node: a group that does not write the state reads it */
    edges values, states;   /* "must run before": for its value, as a reader of its state */
    uint32_t *waits_values; /* by group: edges of each kind that come in and are not yet done */
    uint32_t *waits_states;
    bool *done;
    uint32_t *heap; /* of groups, the smallest first node at the top */
    uint32_t n_heap;
} sorter;

static const coti_group *group_at(const sorter *s, uint32_t g) {
    return &s->list->at.data[g].group;
}

/* ---- heap ---- */

static bool comes_before(const sorter *s, uint32_t a, uint32_t b) {
    uint32_t x = s->list->at.data[a].first;
    uint32_t y = s->list->at.data[b].first;
    return x != y ? x < y : a < b;
}

static void heap_push(sorter *s, uint32_t g) {
    uint32_t at = s->n_heap++;
    for (; at > 0 && comes_before(s, g, s->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        s->heap[at] = s->heap[(at - 1) / 2];
    }
    s->heap[at] = g;
}

static uint32_t heap_pop(sorter *s) {
    uint32_t top = s->heap[0];
    uint32_t last = s->heap[--s->n_heap];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= s->n_heap) {
            break;
        }
        if (child + 1 < s->n_heap && comes_before(s, s->heap[child + 1], s->heap[child])) {
            child++;
        }
        if (!comes_before(s, s->heap[child], last)) {
            break;
        }
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

/* ---- edges ---- */

/* Does the operand make group g wait for another, or that one for g? */
static bool edge_of(const sorter *s, uint32_t g, const coti_operand *operand, uint32_t *from,
                    uint32_t *to) {
    uint32_t maker = s->maker[operand->id];
    if (!operand->read || maker == 0 || maker - 1 == g) {
        return false;
    }
    bool is_state = operand->kind == COTI_OPERAND_STATE;
    *from = is_state ? g : maker - 1;
    *to = is_state ? maker - 1 : g;
    return is_state || operand->kind == COTI_OPERAND_VALUE;
}

/* Count the edges of one kind; or, when there is room for them, put them in place. */
static void visit_edges(const sorter *s, edges *e, bool states, uint32_t *waits) {
    for (uint32_t g = 0; g < s->n; g++) {
        const coti_group *group = group_at(s, g);
        for (int32_t i = 0; i < coti_group_n_operands(group); i++) {
            const coti_operand *operand = &group->operand[i];
            uint32_t from = 0;
            uint32_t to = 0;
            if ((operand->kind == COTI_OPERAND_STATE) != states ||
                !edge_of(s, g, operand, &from, &to)) {
                continue;
            }
            if (e->target == NULL) {
                e->begin[from]++;
                waits[to]++;
            } else {
                e->target[--e->begin[from]] = to;
            }
        }
    }
}

static cot_status collect_edges(sorter *s, edges *e, bool states, uint32_t *waits) {
    cot_context *context = s->f->context;
    e->begin = coti_calloc(context, (size_t)s->n + 1, sizeof *e->begin);
    if (e->begin == NULL) {
        return COT_E_NOMEM;
    }
    visit_edges(s, e, states, waits);
    for (uint32_t g = 0; g < s->n; g++) {
        e->begin[g + 1] += e->begin[g]; /* where each one's end */
    }
    e->target = coti_calloc(context, (size_t)e->begin[s->n] + 1, sizeof *e->target);
    if (e->target == NULL) {
        return COT_E_NOMEM;
    }
    visit_edges(s, e, states, waits); /* where each one's begin, now */
    return COT_OK;
}

static void note_makers(sorter *s) {
    for (uint32_t g = 0; g < s->n; g++) {
        const coti_group *group = group_at(s, g);
        for (int32_t i = 0; i < coti_group_n_operands(group); i++) {
            if (group->operand[i].written) {
                s->maker[group->operand[i].id] = g + 1;
            }
        }
    }
    for (uint32_t g = 0; g < s->n; g++) {
        const coti_group *group = group_at(s, g);
        for (int32_t i = 0; i < coti_group_n_operands(group); i++) {
            if (group->operand[i].read && !group->operand[i].written) {
                s->has_reader[group->operand[i].id] = true;
            }
        }
    }
}

/* ---- states that are better copied ---- */

/* Writes of group g become copies where others read the state. */
static void copy_writes(sorter *s, uint32_t g, bool *changed_out) {
    const coti_group *group = group_at(s, g);
    for (int32_t i = 0; i < coti_group_n_operands(group); i++) {
        const coti_operand *operand = &group->operand[i];
        if (operand->kind == COTI_OPERAND_STATE && operand->written && s->has_reader[operand->id]) {
            s->f->write.data[s->f->first_write[operand->id]].copied = true;
            *changed_out = true;
        }
    }
}

/* Groups of scalars that serve others do not wait for readers of a state. */
static void free_scalars(sorter *s, bool *changed_out) {
    for (uint32_t g = 0; g < s->n; g++) {
        uint32_t cluster = s->list->at.data[g].cluster;
        bool serves = s->values.begin[g + 1] > s->values.begin[g];
        if (serves && s->waits_states[g] > 0 && coti_cluster_at(s->f, cluster)->scalar) {
            copy_writes(s, g, changed_out);
        }
    }
}

/* A cycle: of the groups that wait for readers of states only, the first writes by copies. */
static void break_cycle(sorter *s, bool *changed_out) {
    uint32_t best = s->n;
    for (uint32_t g = 0; g < s->n; g++) {
        if (!s->done[g] && s->waits_values[g] == 0 && (best == s->n || comes_before(s, g, best))) {
            best = g;
        }
    }
    if (best < s->n) {
        copy_writes(s, best, changed_out);
        s->waits_states[best] = 0;
        heap_push(s, best);
    }
}

/* ---- sorting ---- */

static void release(sorter *s, const edges *e, uint32_t g, uint32_t *waits, const uint32_t *other) {
    for (uint32_t i = e->begin[g]; i < e->begin[g + 1]; i++) {
        uint32_t to = e->target[i];
        if (s->done[to] || waits[to] == 0) {
            continue; /* a cycle was broken here */
        }
        waits[to]--;
        if (waits[to] == 0 && other[to] == 0) {
            heap_push(s, to);
        }
    }
}

static cot_status sort(sorter *s, uint32_t *order_out, bool *changed_out) {
    uint32_t n_done = 0;
    for (uint32_t g = 0; g < s->n; g++) {
        if (s->waits_values[g] == 0 && s->waits_states[g] == 0) {
            heap_push(s, g);
        }
    }
    while (n_done < s->n) {
        if (s->n_heap == 0) {
            break_cycle(s, changed_out);
        }
        COTI_ASSERT(s->f->context, s->n_heap > 0); /* values make no cycle */
        uint32_t g = heap_pop(s);
        s->done[g] = true;
        order_out[n_done++] = g;
        release(s, &s->values, g, s->waits_values, s->waits_states);
        release(s, &s->states, g, s->waits_states, s->waits_values);
    }
    return COT_OK;
}

static cot_status sorter_init(sorter *s) {
    cot_context *context = s->f->context;
    s->maker = coti_calloc(context, s->f->graph->node.count, sizeof *s->maker);
    s->has_reader = coti_calloc(context, s->f->graph->node.count, sizeof *s->has_reader);
    s->waits_values = coti_calloc(context, s->n, sizeof *s->waits_values);
    s->waits_states = coti_calloc(context, s->n, sizeof *s->waits_states);
    s->done = coti_calloc(context, s->n, sizeof *s->done);
    s->heap = coti_calloc(context, s->n, sizeof *s->heap);
    if (s->maker == NULL || s->has_reader == NULL || s->waits_values == NULL ||
        s->waits_states == NULL || s->done == NULL || s->heap == NULL) {
        return COT_E_NOMEM;
    }
    note_makers(s);
    COTI_TRY(collect_edges(s, &s->values, false, s->waits_values));
    return collect_edges(s, &s->states, true, s->waits_states);
}

static void sorter_free(sorter *s) {
    cot_context *context = s->f->context;
    coti_free(context, s->maker);
    coti_free(context, s->has_reader);
    coti_free(context, s->waits_values);
    coti_free(context, s->waits_states);
    coti_free(context, s->done);
    coti_free(context, s->heap);
    coti_free(context, s->values.begin);
    coti_free(context, s->values.target);
    coti_free(context, s->states.begin);
    coti_free(context, s->states.target);
}

cot_status coti_order_groups(coti_fusion *f, const coti_lowered_list *list, uint32_t *order_out,
                             bool *changed_out) {
    sorter s = {.f = f, .list = list, .n = (uint32_t)list->at.count};
    cot_status status = sorter_init(&s);
    if (status == COT_OK) {
        free_scalars(&s, changed_out);
    }
    if (status == COT_OK && !*changed_out) {
        status = sort(&s, order_out, changed_out);
    }
    sorter_free(&s);
    return status;
}
