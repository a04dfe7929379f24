/*
 * A graph lowered to groups and run by the interpreter, against the reference evaluator.
 */
#include "fuse_case.h"

#include "groups_interpret.h"
#include "runtime/base/philox.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const coti_target fuse_target = {COT_ISA_AVX512, 16, 32, true};

coti_groups *fuse_groups(const cot_graph *graph, int64_t max_rows) {
    cot_graph *expanded = NULL;
    coti_groups *groups = NULL;
    bool changed = false;
    CHECK_OK(graph->context, coti_pass_expand_for_kernels(graph, &expanded, &changed));
    CHECK_OK(graph->context, coti_fuse(&expanded, &fuse_target, max_rows, &groups));
    cot_graph_destroy(expanded);
    return groups;
}

/* ---- what the planner relies on ---- */

/* By node: 1 + the group that writes its value, its state. */
typedef struct writers {
    int32_t *value, *state;
} writers;

static const char *check_reads(const coti_groups *groups, const writers *w, int32_t g) {
    const coti_group *group = &groups->group[g];
    for (int32_t s = 0; s < coti_group_n_operands(group); s++) {
        const coti_operand *operand = &group->operand[s];
        const coti_node *node = coti_node_at(groups->graph, operand->id);
        int32_t writer =
            operand->kind == COTI_OPERAND_STATE ? w->state[operand->id] : w->value[operand->id];
        if (!operand->read && !operand->written) {
            return "a slot is neither read nor written";
        }
        if (group->loop == NULL && (cot_dtype)node->dtype != group->kernel->slot_dtype[s]) {
            return "a slot has another dtype than its operand";
        }
        if (group->loop == NULL && operand->written != group->kernel->slot_written[s]) {
            return "a slot is written, its operand is not, or the other way round";
        }
        if (operand->kind == COTI_OPERAND_VALUE && operand->read && writer == 0) {
            return "a value is read before it is written";
        }
        if (operand->kind == COTI_OPERAND_VALUE && operand->written && writer != 0) {
            return "a value is written twice";
        }
        if (operand->kind == COTI_OPERAND_STATE && operand->read && writer != 0) {
            return "a state is read after it was written";
        }
        if (operand->kind == COTI_OPERAND_STATE && operand->written && writer != 0) {
            return "a state is written twice";
        }
    }
    return NULL;
}

static const char *check_order(const coti_groups *groups, writers *w) {
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const char *complaint = check_reads(groups, w, g);
        if (complaint != NULL) {
            return complaint;
        }
        const coti_group *group = &groups->group[g];
        for (int32_t s = 0; s < coti_group_n_operands(group); s++) {
            if (group->operand[s].written) {
                bool state = group->operand[s].kind == COTI_OPERAND_STATE;
                (state ? w->state : w->value)[group->operand[s].id] = g + 1;
            }
        }
        if (group->work < 0 || (group->rows ? group->coefficient < 0 : group->n_units < 0) ||
            group->n_nodes < 1) {
            return "a group says nonsense of itself";
        }
    }
    for (size_t i = 0; i < groups->graph->output.count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (groups->output[i] == groups->output[j]) {
                return "two outputs share a value";
            }
        }
        if (w->value[groups->output[i]] == 0) {
            return "an output is not written";
        }
    }
    for (size_t i = 0; i < groups->graph->update.count; i++) {
        if (w->state[groups->graph->update.data[i].state] == 0) {
            return "a state is not written";
        }
    }
    return NULL;
}

/* Is the kernel of every group in the list of all, those of loops' groups too? */
static bool all_listed(const coti_groups *all, const coti_groups *groups) {
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const coti_group *group = &groups->group[g];
        bool listed = group->loop != NULL && all_listed(all, group->loop->body);
        for (int32_t k = 0; k < all->n_kernels && group->loop == NULL; k++) {
            listed = listed || all->kernel[k] == group->kernel;
        }
        if (!listed) {
            return false;
        }
    }
    return true;
}

/* Equal text, and only that, is one kernel. */
static const char *check_shared(const coti_groups *groups) {
    const char *complaint = all_listed(groups, groups) ? NULL : "a kernel is not in the list";
    int32_t n = groups->n_kernels;
    coti_str *text = calloc((size_t)n + 1, sizeof *text);
    for (int32_t k = 0; k < n; k++) {
        coti_str_init(&text[k], groups->context);
        coti_kernel_print(&text[k], groups->kernel[k]);
        if (coti_kernel_verify(groups->context, groups->kernel[k]) != COT_OK) {
            complaint = cot_error_message(groups->context);
        }
        for (int32_t h = 0; h < k; h++) {
            if (strcmp(coti_str_text(&text[k]), coti_str_text(&text[h])) == 0) {
                complaint = "kernels of equal text are two";
            }
        }
    }
    for (int32_t k = 0; k < n; k++) {
        coti_str_free(&text[k]);
    }
    free(text);
    return complaint;
}

const char *fuse_complaint(const coti_groups *groups) {
    size_t n = groups->graph->node.count;
    writers w = {calloc(n, sizeof *w.value), calloc(n, sizeof *w.state)};
    const char *complaint = check_order(groups, &w);
    free(w.value);
    free(w.state);
    return complaint != NULL ? complaint : check_shared(groups);
}

/* ---- data ---- */

static void fill(coti_tensor *x, uint64_t seed, int64_t count) {
    coti_philox_key key = coti_philox_make_key(seed, 77);
    for (int64_t i = 0; i < count; i++) {
        double normal = coti_philox_normal(key, 0, (uint64_t)i);
        uint32_t word = coti_philox_word(key, 1, (uint64_t)i);
        switch (x->dtype) {
        case COT_F32:
            ((float *)x->data)[i] = (float)normal;
            break;
        case COT_F64:
            ((double *)x->data)[i] = normal;
            break;
        case COT_I32:
            ((int32_t *)x->data)[i] = (int32_t)(word % 7) - 1;
            break;
        case COT_I64:
            ((int64_t *)x->data)[i] = (int64_t)(word % 7) - 1;
            break;
        case COT_U8:
            ((uint8_t *)x->data)[i] = (uint8_t)word;
            break;
        case COT_BOOL:
            ((uint8_t *)x->data)[i] = word & 1;
            break;
        }
    }
}

static int64_t count_of(const cot_shape *shape, int64_t rows) {
    int64_t count = 0;
    assert_true(coti_shape_elements(shape, rows, &count));
    return count;
}

static coti_tensor tensor_for(const coti_node *node, int64_t rows) {
    size_t bytes = (size_t)count_of(&node->shape, rows) * cot_dtype_bytes((cot_dtype)node->dtype);
    return (coti_tensor){(cot_dtype)node->dtype, coti_shape_bind(&node->shape, rows),
                         calloc(1, bytes + 1)};
}

static coti_tensor *tensors_for(const cot_graph *graph, const uint32_t *id, size_t n,
                                int64_t rows) {
    coti_tensor *list = calloc(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        list[i] = tensor_for(coti_node_at(graph, id[i]), rows);
    }
    return list;
}

static void free_tensors(coti_tensor *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(list[i].data);
    }
    free(list);
}

static cot_variable *variable_of(const cot_graph *graph, size_t i) {
    const coti_attr_VARIABLE *attr = coti_node_at(graph, graph->state.data[i])->attr;
    return attr->variable;
}

/* Copy states from variables to tensors, or back. */
static void move_states(const cot_graph *graph, coti_tensor *list, bool set) {
    for (size_t i = 0; i < graph->state.count; i++) {
        size_t bytes = (size_t)count_of(&list[i].shape, 1) * cot_dtype_bytes(list[i].dtype);
        cot_variable *variable = variable_of(graph, i);
        CHECK_OK(graph->context, set ? cot_variable_set(variable, list[i].data, bytes)
                                     : cot_variable_get(variable, list[i].data, bytes));
    }
}

/* ---- comparison ---- */

static void compare(const cot_graph *graph, const char *what, size_t which,
                    const coti_tensor *expected, const coti_tensor *found, double tolerance) {
    int64_t count = count_of(&expected->shape, 1);
    for (int64_t i = 0; i < count; i++) {
        double a = coti_tensor_get(expected, i);
        double b = coti_tensor_get(found, i);
        double limit = expected->dtype == COT_F32 || expected->dtype == COT_F64
                           ? tolerance * (fabs(a) > 1 ? fabs(a) : 1)
                           : 0;
        bool equal = (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= limit;
        if (!equal) {
            fail_msg("graph %s: %s %d, element %lld: expected %.9g, found %.9g", graph->name, what,
                     (int)which, (long long)i, a, b);
        }
    }
}

static void compare_all(const cot_graph *graph, const char *what, const coti_tensor *expected,
                        const coti_tensor *found, size_t n, double tolerance) {
    for (size_t i = 0; i < n; i++) {
        compare(graph, what, i, &expected[i], &found[i], tolerance);
    }
}

static uint32_t *output_ids(const cot_graph *graph) {
    uint32_t *id = calloc(graph->output.count + 1, sizeof *id);
    for (size_t i = 0; i < graph->output.count; i++) {
        id[i] = graph->output.data[i].value;
    }
    return id;
}

/* What a graph runs on and what comes out, twice: of the run that is right, and of another. */
typedef struct trial {
    const cot_graph *graph;
    int64_t rows;
    size_t n_inputs, n_outputs, n_states;
    coti_tensor *input, *before;
    coti_tensor *expected, *after;
    coti_tensor *found, *state;
} trial;

static trial trial_make(const cot_graph *graph, int64_t rows, uint64_t seed) {
    trial t = {.graph = graph,
               .rows = rows,
               .n_inputs = graph->input.count,
               .n_outputs = graph->output.count,
               .n_states = graph->state.count};
    uint32_t *ids = output_ids(graph);
    t.input = tensors_for(graph, graph->input.data, t.n_inputs, rows);
    t.before = tensors_for(graph, graph->state.data, t.n_states, rows);
    t.expected = tensors_for(graph, ids, t.n_outputs, rows);
    t.found = tensors_for(graph, ids, t.n_outputs, rows);
    t.after = tensors_for(graph, graph->state.data, t.n_states, rows);
    t.state = tensors_for(graph, graph->state.data, t.n_states, rows);
    for (size_t i = 0; i < t.n_inputs; i++) {
        fill(&t.input[i], seed + i, count_of(&t.input[i].shape, 1));
    }
    for (size_t i = 0; i < t.n_states; i++) {
        fill(&t.before[i], seed + 100 + i, count_of(&t.before[i].shape, 1));
    }
    free(ids);
    return t;
}

static void trial_free(trial *t) {
    free_tensors(t->input, t->n_inputs);
    free_tensors(t->before, t->n_states);
    free_tensors(t->expected, t->n_outputs);
    free_tensors(t->found, t->n_outputs);
    free_tensors(t->after, t->n_states);
    free_tensors(t->state, t->n_states);
}

static void run_groups(const trial *t, const coti_groups *groups, int64_t chunk,
                       coti_tensor *output, coti_tensor *state) {
    move_states(t->graph, t->before, true);
    CHECK_OK(t->graph->context, coti_groups_interpret(groups, t->rows, chunk, t->input, output));
    move_states(t->graph, state, false);
}

static void compare_trial(const trial *t, double tolerance) {
    compare_all(t->graph, "output", t->expected, t->found, t->n_outputs, tolerance);
    compare_all(t->graph, "state", t->after, t->state, t->n_states, tolerance);
}

void fuse_check(const cot_graph *graph, int64_t rows, uint64_t seed, double tolerance) {
    trial t = trial_make(graph, rows, seed);
    coti_groups *groups = fuse_groups(graph, 64);
    CHECK_NO_COMPLAINT(fuse_complaint(groups));
    move_states(graph, t.before, true);
    CHECK_OK(graph->context, coti_eval_graph(graph, rows, t.input, t.expected));
    move_states(graph, t.after, false);
    for (int64_t chunk = 1; chunk <= 16; chunk += 15) {
        run_groups(&t, groups, chunk, t.found, t.state);
        compare_trial(&t, tolerance);
    }
    coti_groups_destroy(groups);
    trial_free(&t);
}

void fuse_check_same(const cot_graph *graph, int64_t rows, uint64_t seed) {
    trial t = trial_make(graph, rows, seed);
    bool fuse = graph->context->fuse;
    for (int32_t i = 0; i < 2; i++) {
        graph->context->fuse = i == 1;
        coti_groups *groups = fuse_groups(graph, 64);
        run_groups(&t, groups, i == 1 ? 5 : 64, i == 1 ? t.found : t.expected,
                   i == 1 ? t.state : t.after);
        coti_groups_destroy(groups);
    }
    graph->context->fuse = fuse;
    compare_trial(&t, 0);
    trial_free(&t);
}

void fuse_check_text(cot_context *context, const char *text) {
    static const int64_t rows[] = {1, 3, 40};
    for (int32_t fuse = 0; fuse < 2; fuse++) {
        cot_graph *graph = cot_graph_parse(context, text, strlen(text));
        if (graph == NULL) {
            fail_msg("%s in\n%s", cot_error_message(context), text);
        }
        context->fuse = fuse == 1;
        for (uint64_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            fuse_check(graph, rows[i], i, 2e-5);
        }
        context->fuse = true;
        cot_graph_destroy(graph);
    }
}

/* ---- looking into groups ---- */

char *fuse_text(const coti_groups *groups) {
    coti_str text;
    coti_str_init(&text, groups->context);
    coti_groups_print(&text, groups);
    assert_int_equal(coti_str_status(&text), COT_OK);
    char *copy = strdup(coti_str_text(&text));
    coti_str_free(&text);
    return copy;
}

int32_t fuse_count_kernels(const coti_groups *groups) {
    int32_t n = 0;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        bool is_new = true;
        for (int32_t h = 0; h < g && is_new; h++) {
            is_new = groups->group[h].kernel != groups->group[g].kernel;
        }
        n += is_new;
    }
    return n;
}

int32_t fuse_find(const coti_groups *groups, cot_op op, int32_t from) {
    for (int32_t g = from; g < groups->n_groups; g++) {
        for (int32_t i = 0; i < groups->group[g].n_nodes; i++) {
            if (coti_node_at(groups->graph, groups->group[g].node[i])->op == (uint16_t)op) {
                return g;
            }
        }
    }
    return -1;
}
