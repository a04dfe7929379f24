/*
 * Groups as fusion and lowering leave them: their end, and their text.
 */
#include "group.h"

#include <inttypes.h>
#include <string.h>

void coti_groups_destroy(coti_groups *groups) {
    if (groups == NULL) {
        return;
    }
    for (size_t i = 0; i < groups->body.count; i++) {
        coti_groups_destroy(groups->body.data[i]); /* no deeper than bodies lie in each other */
    }
    coti_vec_free(groups->context, &groups->body);
    coti_arena_clear(&groups->arena);
    cot_graph_destroy(groups->graph);
    coti_free(groups->context, groups);
}

/* ---- text ---- */

static const char *const operand_name[] = {"value", "state", "source", "input", "const"};

static const char *const reason_text[] = {
#define REASON_TEXT(id, text) [COTI_REASON_##id] = text,
    COTI_REASON_LIST(REASON_TEXT)
#undef REASON_TEXT
};

/* "%w", "%12": as the graph's text calls it. */
static void print_name(coti_str *out, const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    if (node->name != NULL) {
        coti_str_printf(out, "%%%s", node->name);
    } else {
        coti_str_printf(out, "%%%" PRIu32, node->number);
    }
}

static void print_reason(coti_str *out, const cot_graph *graph, const coti_reason *reason) {
    const char *text = reason_text[reason->kind];
    const char *other = strchr(text, '~');
    if (other == NULL) {
        coti_str_append(out, text);
        return;
    }
    coti_str_append_bytes(out, text, (size_t)(other - text));
    print_name(out, graph, reason->node);
    coti_str_append(out, other + 1);
}

static void print_partition(coti_str *out, const coti_group *group) {
    if (group->rows) {
        coti_str_printf(out, "%" PRId64 "N rows", group->coefficient);
    } else {
        coti_str_printf(out, "%" PRId64 " units", group->n_units);
    }
    coti_str_printf(out, ", work %.4g", group->work);
    if (group->shared_bytes > 0) {
        coti_str_printf(out, ", %" PRId64 " bytes shared", group->shared_bytes);
    }
}

static void print_operands(coti_str *out, const coti_groups *groups, const coti_group *group) {
    for (int32_t s = 0; s < coti_group_n_operands(group); s++) {
        const coti_operand *operand = &group->operand[s];
        coti_str_printf(out, "  slot %" PRId32 ": %s ", s, operand_name[operand->kind]);
        print_name(out, groups->graph, operand->id);
        coti_str_append(out, operand->written ? operand->read ? ", in place" : ", written" : "");
        coti_str_append(out, "\n");
    }
}

static void print_members(coti_str *out, const coti_groups *groups, const coti_group *group) {
    for (int32_t i = 0; i < group->n_nodes; i++) {
        coti_str_append(out, "  ");
        coti_node_print(out, groups->graph, group->node[i]);
        coti_str_append(out, "  -- ");
        print_reason(out, groups->graph, &group->reason[i]);
        coti_str_append(out, "\n");
    }
}

/* The kernel's text, or where it stands already. */
static void print_kernel(coti_str *out, const coti_groups *groups, int32_t i) {
    for (int32_t j = 0; j < i; j++) {
        if (groups->group[j].kernel == groups->group[i].kernel) {
            coti_str_printf(out, "  kernel of group %" PRId32 "\n", j);
            return;
        }
    }
    coti_str kernel;
    coti_str_init(&kernel, out->context);
    coti_kernel_print(&kernel, groups->group[i].kernel);
    const char *line = coti_str_text(&kernel);
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");
        coti_str_append(out, "  | ");
        coti_str_append_bytes(out, line, length);
        coti_str_append(out, "\n");
        line += length + (line[length] == '\n');
    }
    out->failed = out->failed || kernel.failed;
    coti_str_free(&kernel);
}

/* Its steps, what its memory is, and the groups of its body. */
static void print_loop(coti_str *out, const coti_groups *groups, const coti_group *group) {
    const coti_loop *loop = group->loop;
    const cot_graph *body = loop->body->graph;
    coti_str_printf(out, "  %" PRId64 " steps%s of \"%s\"\n", loop->steps,
                    loop->reverse ? ", from the last to the first," : "", body->name);
    for (size_t i = 0; i < body->input.count; i++) {
        const coti_loop_memory *memory = &loop->memory[i];
        coti_str_append(out, "  memory ");
        print_name(out, body, body->input.data[i]);
        coti_str_append(out, memory->operand >= 0 ? ": " : ": of the loop's own");
        if (memory->operand >= 0) {
            print_name(out, groups->graph, group->operand[memory->operand].id);
        }
        if (memory->initial >= 0) {
            coti_str_append(out, ", at first a copy of ");
            print_name(out, groups->graph, group->operand[memory->initial].id);
        }
        if (memory->stride != 0) {
            coti_str_printf(out, ", %" PRId64 " bytes on at each step", memory->stride);
        }
        coti_str_append(out, "\n");
    }
    coti_str_printf(out, "\nstep of \"%s\": ", body->name);
    coti_groups_print(out, loop->body); /* no deeper than bodies lie in each other */
    coti_str_printf(out, "\nend of the step of \"%s\"\n", body->name);
}

void coti_groups_print(coti_str *out, const coti_groups *groups) {
    coti_str_printf(out, "%" PRId32 " groups\n", groups->n_groups);
    for (int32_t i = 0; i < groups->n_groups; i++) {
        const coti_group *group = &groups->group[i];
        coti_str_printf(out, "\ngroup %" PRId32 " %s: ", i, coti_group_hint(group));
        print_partition(out, group);
        coti_str_append(out, "\n");
        print_members(out, groups, group);
        print_operands(out, groups, group);
        if (group->loop != NULL) {
            print_loop(out, groups, group);
        } else {
            print_kernel(out, groups, i);
        }
    }
}
