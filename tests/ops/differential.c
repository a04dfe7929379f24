/* Differential testing: contract in differential.h. */
#include "graph/graph.h"

#include "differential.h"

#include "codegen/jit.h"
#include "guard.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 40, MORE_ROWS = 300, RUNS = 3 };

static const int64_t row_counts[] = {1, 3, 16, 17, MAX_ROWS};

const char *treatment_text(treatment t) {
    static const char *const text[] = {
#define TREATMENT_TEXT(id, text) text,
        TREATMENT_LIST(TREATMENT_TEXT)
#undef TREATMENT_TEXT
            "nothing"};
    return text[t];
}

unsigned all_treatments(void) {
    return (1u << N_TREATMENTS) - 1;
}

unsigned two_treatments(uint64_t seed) {
    unsigned first = (unsigned)(seed % (N_TREATMENTS - 1));
    unsigned second = (first + 1 + (unsigned)(seed / (N_TREATMENTS - 1) % (N_TREATMENTS - 2))) %
                      (N_TREATMENTS - 1);
    return 1u << EACH_NODE | 1u << (first + 1) | 1u << (second + 1);
}

/* ---- contexts ---- */

/* Treatments on one instruction set share a context, and so the kernels that they have in common.
 */
static treatment owner_of(treatment t) {
    return t == BASELINE || t == NARROW ? t : EACH_NODE;
}

static void set_treatment(cot_context *context, treatment t) {
    context->threads = t == FUSED ? 3 : 1;
    context->fuse = t != UNFUSED;
    context->optimize = t != UNSIMPLIFIED;
    context->plan = t != UNSHARED;
}

static cot_context *open_context(treatment t) {
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF, .threads = 3};
    options.isa = t == BASELINE ? COT_ISA_BASELINE : t == NARROW ? COT_ISA_AVX2 : COT_ISA_DEFAULT;
    return cot_context_create(&options);
}

bool laboratory_open(laboratory *lab) {
    coti_target target = {.isa = COT_ISA_BASELINE};
    for (int32_t t = 0; t < N_TREATMENTS; t++) {
        treatment owner = owner_of((treatment)t);
        lab->context[t] = (int32_t)owner < t ? lab->context[owner] : NULL;
        if (lab->context[t] != NULL || (t == NARROW && target.isa != COT_ISA_AVX512)) {
            continue;
        }
        lab->context[t] = open_context((treatment)t);
        bool opened = lab->context[t] != NULL;
        if (t == EACH_NODE && opened && coti_jit_available()) {
            opened = coti_jit_target(lab->context[t], &target) == COT_OK;
        }
        if (!opened) {
            return false;
        }
    }
    return true;
}

void laboratory_close(laboratory *lab) {
    for (int32_t t = 0; t < N_TREATMENTS; t++) {
        if ((int32_t)owner_of((treatment)t) == t) {
            cot_context_destroy(lab->context[t]);
        }
    }
}

/* ---- one program of a graph ---- */

/* The graph, compiled in one way, and what came out of it. */
typedef struct experiment {
    treatment treatment;
    cot_context *context;
    cot_graph *graph;
    uint64_t seed;
    int64_t rows;
    pool pool;
    coti_tensor *value; /* by node id; data NULL: not known */
    tensor *updated;    /* of each state, after a step; v NULL: it has no update */
    guard *guard;       /* n_guards of them */
    size_t n_guards;
    cot_program *program;
    cot_session *session;
    char wrong[512]; /* "" when all is well */
} experiment;

/* Is every node held to the evaluator? */
static bool is_by_node(treatment t) {
    return t == EACH_NODE || t == BASELINE || t == UNSIMPLIFIED;
}

static bool is_leaf(const coti_node *node) {
    return coti_op_table[node->op].kind == COTI_KIND_LEAF;
}

static void complain(experiment *x, const char *what, const char *why) {
    if (x->wrong[0] == '\0') {
        snprintf(x->wrong, sizeof x->wrong, "%s: %.450s", what, why);
    }
}

/* Every node that is no leaf an output, under the name v<id>. */
static void output_all(cot_graph *graph) {
    bool *is_output = calloc(graph->node.count, sizeof *is_output);
    for (size_t i = 0; i < graph->output.count; i++) {
        is_output[graph->output.data[i].value] = true;
    }
    for (uint32_t id = 1; id < graph->node.count; id++) {
        char name[24];
        snprintf(name, sizeof name, "node_%u_", (unsigned)id);
        if (!is_output[id] && !is_leaf(coti_node_at(graph, id))) {
            cot_graph_output((cot_value){graph, id}, name);
        }
    }
    free(is_output);
}

/* A row count for the seed; 1 where nothing depends on it. */
static int64_t rows_for(const cot_graph *graph, uint64_t seed) {
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        if (node->shape.batched || node->op == COT_OP_ROWS) {
            return row_counts[seed % (sizeof row_counts / sizeof row_counts[0])];
        }
    }
    return 1;
}

/* The numbers of a leaf that is number i of its kind. */
static tensor leaf_numbers(experiment *x, const coti_node *node, int32_t i) {
    bool is_real = node->dtype == COT_F32 || node->dtype == COT_F64;
    trial t = {.op = (cot_op)(x->seed % COT_OP_COUNT),
               .rows = x->rows,
               .values = !is_real           ? LABELS
                         : x->seed % 5 == 0 ? WIDE
                                            : NORMAL};
    t.operand[i % MAX_OPERANDS] = (cot_dtype)node->dtype;
    return make_operand(&x->pool, &t, i % MAX_OPERANDS, &node->shape);
}

/* Guarded memory of a tensor's size: its end, or for every second graph its start, against a
 * forbidden page. */
static void *guarded(experiment *x, size_t bytes) {
    guard block = guard_create(bytes, x->seed % 2 == 0 ? GUARD_END : GUARD_START);
    x->guard[x->n_guards++] = block;
    return block.data;
}

/* What the leaves hold: numbers of the seed, and what the evaluator says of the rest. */
static void fill_leaves(experiment *x) {
    int32_t n_numbers = 0;
    for (uint32_t id = 1; id < x->graph->node.count; id++) {
        const coti_node *node = coti_node_at(x->graph, id);
        if (!is_leaf(node)) {
            continue;
        }
        tensor room = tensor_make(&x->pool, (cot_dtype)node->dtype, &node->shape, x->rows);
        bool is_given = node->op == COT_OP_STATE || node->op == COT_OP_INPUT;
        tensor data = is_given ? leaf_numbers(x, node, n_numbers++) : room;
        size_t bytes = (size_t)data.count * cot_dtype_bytes(data.dtype);
        void *values = tensor_bytes(&x->pool, &data);
        if (node->op == COT_OP_INPUT) {
            void *safe = guarded(x, bytes);
            memcpy(safe, values, bytes);
            values = safe;
        }
        x->value[id] = (coti_tensor){data.dtype, data.shape, values};
        if (!is_given && coti_eval_node(x->context, node, NULL, x->rows, &x->value[id]) != COT_OK) {
            complain(x, "the evaluator", cot_error_message(x->context));
        }
    }
}

/* Room for each output, guarded. */
static void make_outputs(experiment *x) {
    for (size_t i = 0; i < x->graph->output.count; i++) {
        uint32_t id = x->graph->output.data[i].value;
        const coti_node *node = coti_node_at(x->graph, id);
        tensor room = tensor_make(&x->pool, (cot_dtype)node->dtype, &node->shape, x->rows);
        if (!is_leaf(node)) {
            size_t bytes = (size_t)room.count * cot_dtype_bytes(room.dtype);
            x->value[id] = (coti_tensor){room.dtype, room.shape, guarded(x, bytes)};
        }
    }
}

static int64_t elements_of(const coti_tensor *value) {
    int64_t elements = 0;
    (void)coti_shape_elements(&value->shape, 1, &elements);
    return elements;
}

static cot_status bind_all(experiment *x) {
    for (size_t i = 0; i < x->graph->input.count; i++) {
        uint32_t id = x->graph->input.data[i];
        const coti_node *node = coti_node_at(x->graph, id);
        int64_t n_rows = node->shape.batched ? x->rows : 1;
        cot_array array = {.data = x->value[id].data,
                           .dtype = (cot_dtype)node->dtype,
                           .n_rows = n_rows,
                           .row_elements = elements_of(&x->value[id]) / n_rows};
        COTI_TRY(cot_session_bind(x->session, node->name, &array));
    }
    for (size_t i = 0; i < x->graph->output.count; i++) {
        const coti_output *output = &x->graph->output.data[i];
        const coti_tensor *value = &x->value[output->value];
        size_t bytes = (size_t)elements_of(value) * cot_dtype_bytes(value->dtype);
        if (!is_leaf(coti_node_at(x->graph, output->value))) {
            COTI_TRY(cot_session_bind_output(x->session, output->name, value->data, bytes));
        }
    }
    return COT_OK;
}

/* Set the states, run a step, read back those that it updates. */
static cot_status step(experiment *x) {
    for (size_t i = 0; i < x->graph->state.count; i++) {
        const coti_tensor *value = &x->value[x->graph->state.data[i]];
        size_t bytes = (size_t)elements_of(value) * cot_dtype_bytes(value->dtype);
        cot_variable *variable = cot_graph_state_variable(x->graph, (int32_t)i);
        COTI_TRY(cot_variable_set(variable, value->data, bytes));
    }
    COTI_TRY(cot_session_run(x->session, x->rows));
    for (size_t i = 0; i < x->graph->update.count; i++) {
        coti_update update = x->graph->update.data[i];
        const coti_node *node = coti_node_at(x->graph, update.state);
        const coti_attr_VARIABLE *attr = node->attr;
        tensor room = tensor_make(&x->pool, (cot_dtype)node->dtype, &node->shape, 1);
        size_t bytes = (size_t)room.count * cot_dtype_bytes(room.dtype);
        void *data = tensor_bytes(&x->pool, &room);
        COTI_TRY(cot_variable_get(attr->variable, data, bytes));
        x->updated[i] = tensor_read(&x->pool, room.dtype, &room.shape, 1, data);
    }
    return COT_OK;
}

/* Is there an element in any output that a kernel makes? */
static bool has_elements(const experiment *x) {
    for (size_t i = 0; i < x->graph->output.count; i++) {
        uint32_t id = x->graph->output.data[i].value;
        if (!is_leaf(coti_node_at(x->graph, id)) && elements_of(&x->value[id]) > 0) {
            return true;
        }
    }
    return false;
}

static void run_experiment(experiment *x) {
    cot_program_options options = {.struct_size = sizeof options,
                                   .max_rows = x->treatment == FUSED ? MORE_ROWS : MAX_ROWS};
    x->program = cot_program_create(x->graph, &options);
    x->session = x->program != NULL ? cot_session_create(x->program) : NULL;
    if (x->session == NULL) {
        complain(x, "compile", cot_error_message(x->context));
        return;
    }
    if (cot_program_get_info(x->program).n_kernels == 0 && has_elements(x)) {
        complain(x, "compile", "no kernel was compiled: the evaluator ran it");
        return;
    }
    cot_status status = bind_all(x);
    for (int32_t i = 0; status == COT_OK && i < RUNS; i++) {
        status = step(x);
    }
    if (status != COT_OK) {
        complain(x, "run", cot_session_message(x->session));
    }
}

static experiment *open_experiment(const laboratory *lab, treatment t, const char *text,
                                   uint64_t seed) {
    experiment *x = calloc(1, sizeof *x);
    x->treatment = t;
    x->context = lab->context[t];
    x->seed = seed;
    set_treatment(x->context, t);
    cot_error_clear(x->context);
    x->graph = cot_graph_parse(x->context, text, strlen(text));
    if (x->graph == NULL) {
        complain(x, "parse", cot_error_message(x->context));
        return x;
    }
    x->rows = rows_for(x->graph, seed);
    if (is_by_node(t)) {
        output_all(x->graph);
    }
    size_t n_nodes = x->graph->node.count;
    x->value = pool_take(&x->pool, n_nodes, sizeof *x->value);
    x->updated = pool_take(&x->pool, x->graph->update.count + 1, sizeof *x->updated);
    x->guard = pool_take(&x->pool, n_nodes + x->graph->output.count, sizeof *x->guard);
    fill_leaves(x);
    make_outputs(x);
    if (x->wrong[0] == '\0') {
        run_experiment(x);
    }
    return x;
}

static void close_experiment(experiment *x) {
    cot_session_destroy(x->session);
    cot_program_destroy(x->program);
    cot_graph_destroy(x->graph);
    for (size_t i = 0; i < x->n_guards; i++) {
        guard_destroy(&x->guard[i]);
    }
    pool_empty(&x->pool);
    free(x);
}

/* ---- comparing ---- */

static finding nothing(void) {
    return (finding){.treatment = N_TREATMENTS};
}

static finding found(treatment t, const char *output, const char *why) {
    finding f = {.treatment = t};
    snprintf(f.output, sizeof f.output, "%s", output);
    snprintf(f.message, sizeof f.message, "%s", why);
    return f;
}

static tensor tensor_of(experiment *x, uint32_t id) {
    const coti_tensor *value = &x->value[id];
    return tensor_read(&x->pool, value->dtype, &value->shape, 1, value->data);
}

/* Every output that is no leaf, by the evaluator. */
static finding check_nodes(experiment *x) {
    char why[256];
    for (size_t i = 0; i < x->graph->output.count; i++) {
        const coti_output *output = &x->graph->output.data[i];
        const coti_node *node = coti_node_at(x->graph, output->value);
        if (is_leaf(node)) {
            continue;
        }
        size_t n_inputs = (size_t)node->n_inputs;
        coti_tensor *input = pool_take(&x->pool, n_inputs, sizeof *input);
        for (size_t k = 0; k < n_inputs; k++) {
            input[k] = x->value[node->input[k]];
        }
        const char *wrong =
            node_check(why, &x->pool, node, input, &x->value[output->value], x->rows, x->context);
        if (wrong != NULL) {
            return found(x->treatment, output->name, wrong);
        }
    }
    static const tolerance same = EXACT;
    for (size_t i = 0; i < x->graph->update.count; i++) {
        tensor want = tensor_of(x, x->graph->update.data[i].value);
        const char *wrong = compare(why, &x->updated[i], &want, NULL, same);
        if (wrong != NULL) {
            return found(x->treatment, "(an update)", wrong);
        }
    }
    return nothing();
}

/* The graph's own outputs and updates have the bits that they have where every node is an output.
 */
static finding check_same(experiment *x, experiment *all) {
    static const tolerance same = ANY_ZERO;
    char why[256];
    for (size_t i = 0; i < x->graph->output.count; i++) {
        const coti_output *output = &x->graph->output.data[i];
        tensor got = tensor_of(x, output->value), want = tensor_of(all, output->value);
        const char *wrong = compare(why, &got, &want, NULL, same);
        if (wrong != NULL) {
            return found(x->treatment, output->name, wrong);
        }
    }
    for (size_t i = 0; i < x->graph->update.count; i++) {
        const char *wrong = compare(why, &x->updated[i], &all->updated[i], NULL, same);
        if (wrong != NULL) {
            return found(x->treatment, "(an update)", wrong);
        }
    }
    return nothing();
}

static finding check_experiment(experiment *x, experiment *all) {
    if (x->wrong[0] != '\0') {
        return found(x->treatment, "", x->wrong);
    }
    return is_by_node(x->treatment) ? check_nodes(x) : check_same(x, all);
}

finding differential_check(const laboratory *lab, const char *text, uint64_t seed,
                           unsigned treatments) {
    experiment *all = open_experiment(lab, EACH_NODE, text, seed);
    finding result = check_experiment(all, all);
    for (int32_t t = EACH_NODE + 1; t < N_TREATMENTS && result.treatment == N_TREATMENTS; t++) {
        if ((treatments >> t & 1) != 0 && lab->context[t] != NULL) {
            experiment *x = open_experiment(lab, (treatment)t, text, seed);
            result = check_experiment(x, all);
            close_experiment(x);
        }
    }
    close_experiment(all);
    return result;
}
