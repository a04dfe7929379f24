/*
 * Which nodes are results of one execution (results.h): by a map of what is equal but for the
 * attribute `result`.
 */
#include "results.h"

#include "graph/scan.h"

typedef struct sought {
    const cot_graph *graph;
    uint32_t id;
} sought;

static bool is_same(const void *user, uint32_t id) {
    const sought *s = user;
    return coti_scan_same(coti_node_at(s->graph, id), coti_node_at(s->graph, s->id));
}

/* Put a SCAN at the end of its execution's list; last[first] is where that ends. */
static cot_status enter(const cot_graph *graph, uint32_t id, coti_map *firsts, uint32_t *last,
                        coti_results *results) {
    const uint64_t hash = coti_scan_hash(coti_node_at(graph, id));
    const sought s = {graph, id};
    uint32_t first = 0;
    if (!coti_map_find(firsts, hash, is_same, &s, &first)) {
        results->first[id] = id;
        last[id] = id;
        return coti_map_add(firsts, hash, id);
    }
    results->first[id] = first;
    results->next[last[first]] = id;
    last[first] = id;
    return COT_OK;
}

cot_status coti_results_find(const cot_graph *graph, uint32_t last_id, const bool *live,
                             coti_arena *arena, coti_results *results_out) {
    const size_t n = (size_t)last_id + 1;
    size_t n_scans = 0;
    coti_map firsts;
    *results_out = (coti_results){.first = NULL};
    for (uint32_t id = 1; id <= last_id && graph->body.count > 0; id++) {
        n_scans += live[id] && coti_node_at(graph, id)->op == COT_OP_SCAN;
    }
    if (n_scans == 0) {
        return COT_OK;
    }
    uint32_t *last = coti_arena_array(arena, n, sizeof *last);
    results_out->first = coti_arena_array(arena, n, sizeof *results_out->first);
    results_out->next = coti_arena_array(arena, n, sizeof *results_out->next);
    results_out->list = coti_arena_array(arena, n_scans, sizeof *results_out->list);
    if (last == NULL || results_out->first == NULL || results_out->next == NULL ||
        results_out->list == NULL) {
        return COT_E_NOMEM;
    }
    coti_map_init(&firsts, graph->context);
    cot_status status = COT_OK;
    for (uint32_t id = 1; id <= last_id && status == COT_OK; id++) {
        if (live[id] && coti_node_at(graph, id)->op == COT_OP_SCAN) {
            status = enter(graph, id, &firsts, last, results_out);
        }
    }
    coti_map_free(&firsts);
    return status;
}

void coti_results_give(const coti_results *results, uint32_t id, const cot_value *cotangent,
                       coti_vjp *call) {
    if (results->first == NULL || results->first[id] != id) {
        return;
    }
    for (; id != 0; id = results->next[id]) {
        const int32_t result = coti_scan_of(coti_node_at(call->graph, id)).result;
        results->list[call->n_results++] = (coti_vjp_result){result, cotangent[id]};
    }
    call->results = results->list;
}
