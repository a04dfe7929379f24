/*
 * Shrinking a graph that fails: contract in differential.h.
 *
 * Each round tries, in order, to keep one output alone, to drop the updates, and to make each node
 * an input, from the last one on; what still fails is kept. Rounds go on until nothing is left that
 * can go. What no output needs goes with it.
 */
#include "graph/graph.h"

#include "differential.h"

#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

typedef struct text_buffer {
    char *text;
    size_t bytes;
} text_buffer;

static bool append(const char *text, size_t bytes, void *user) {
    text_buffer *b = user;
    char *grown = realloc(b->text, b->bytes + bytes + 1);
    if (grown == NULL) {
        return false;
    }
    memcpy(grown + b->bytes, text, bytes);
    b->text = grown;
    b->bytes += bytes;
    b->text[b->bytes] = '\0';
    return true;
}

char *graph_text(const cot_graph *graph) {
    text_buffer b = {NULL, 0};
    if (cot_graph_print(graph, append, &b) != COT_OK) {
        free(b.text);
        return NULL;
    }
    return b.text;
}

/* ---- candidates ---- */

/* A part of a graph: of its outputs one, or all (-1); its updates or none; a node to be an input
 * (0: none). */
typedef struct part {
    int32_t output;
    bool updates;
    uint32_t cut;
} part;

static void mark_needed(const cot_graph *graph, part keep, bool *needed) {
    for (size_t i = 0; i < graph->output.count; i++) {
        if (keep.output < 0 || (size_t)keep.output == i) {
            needed[graph->output.data[i].value] = true;
        }
    }
    for (size_t i = 0; keep.updates && i < graph->update.count; i++) {
        needed[graph->update.data[i].state] = true;
        needed[graph->update.data[i].value] = true;
    }
    for (size_t id = graph->node.count; id-- > 1;) {
        const coti_node *node = coti_node_at(graph, (uint32_t)id);
        for (int32_t i = 0; needed[id] && id != keep.cut && i < node->n_inputs; i++) {
            needed[node->input[i]] = true;
        }
    }
}

static cot_value copy_node(const cot_graph *from, cot_graph *to, uint32_t id, const cot_value *map,
                           bool cut) {
    const coti_node *node = coti_node_at(from, id);
    cot_value input[64];
    char name[24];
    snprintf(name, sizeof name, "cut_%u", (unsigned)id);
    if (cut) {
        return cot_op_input(to, (cot_dtype)node->dtype, node->shape, name);
    }
    if (node->n_inputs > 64) {
        return coti_poison();
    }
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = map[node->input[i]];
    }
    return coti_graph_add(to, (cot_op)node->op, input, node->n_inputs, node->attr,
                          (cot_dtype)node->dtype, &node->shape);
}

/* The text of the part; NULL if it cannot be made. */
static char *text_of_part(cot_context *context, const cot_graph *graph, part keep) {
    cot_graph *to = cot_graph_create(context, graph->name);
    bool *needed = calloc(graph->node.count, sizeof *needed);
    cot_value *map = calloc(graph->node.count, sizeof *map);
    mark_needed(graph, keep, needed);
    for (uint32_t id = 1; id < graph->node.count; id++) {
        if (needed[id]) {
            map[id] = copy_node(graph, to, id, map, id == keep.cut);
        }
    }
    for (size_t i = 0; keep.updates && i < graph->update.count; i++) {
        cot_graph_update(map[graph->update.data[i].state], map[graph->update.data[i].value]);
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        if (keep.output < 0 || (size_t)keep.output == i) {
            cot_graph_output(map[graph->output.data[i].value], graph->output.data[i].name);
        }
    }
    bool made = cot_error_get(context).status == COT_OK;
    char *text = made ? graph_text(to) : NULL;
    cot_error_clear(context);
    free(needed);
    free(map);
    cot_graph_destroy(to);
    return text;
}

/* Does the part fail too? Then *text becomes it. */
static bool try_part(const laboratory *lab, char **text, const cot_graph *graph, uint64_t seed,
                     treatment failing, part keep) {
    char *candidate = text_of_part(lab->context[EACH_NODE], graph, keep);
    if (candidate == NULL || strcmp(candidate, *text) == 0) {
        free(candidate);
        return false;
    }
    finding f = differential_check(lab, candidate, seed, 1u << failing);
    if (f.treatment == N_TREATMENTS || strncmp(f.message, "parse", 5) == 0) {
        free(candidate);
        return false;
    }
    free(*text);
    *text = candidate;
    return true;
}

/* One step smaller; false: there is none. */
static bool shrink_once(const laboratory *lab, char **text, uint64_t seed, treatment failing) {
    cot_context *context = lab->context[EACH_NODE];
    cot_error_clear(context);
    cot_graph *graph = cot_graph_parse(context, *text, strlen(*text));
    bool smaller = false;
    if (graph == NULL) {
        return false;
    }
    for (size_t i = 0; !smaller && graph->output.count > 1 && i < graph->output.count; i++) {
        smaller = try_part(lab, text, graph, seed, failing, (part){(int32_t)i, false, 0});
    }
    if (!smaller && graph->update.count > 0) {
        smaller = try_part(lab, text, graph, seed, failing, (part){-1, false, 0});
    }
    for (uint32_t id = (uint32_t)graph->node.count - 1; !smaller && id > 0; id--) {
        if (coti_op_table[coti_node_at(graph, id)->op].kind != COTI_KIND_LEAF) {
            smaller = try_part(lab, text, graph, seed, failing, (part){-1, true, id});
        }
    }
    cot_graph_destroy(graph);
    return smaller;
}

char *shrink(const laboratory *lab, const char *text, uint64_t seed, treatment failing) {
    char *result = calloc(strlen(text) + 1, 1);
    memcpy(result, text, strlen(text));
    while (shrink_once(lab, &result, seed, failing)) {
    }
    return result;
}
