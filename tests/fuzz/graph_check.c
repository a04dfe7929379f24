/*
 * What must hold of any graph (fuzz.h): text, passes, evaluation, gradients.
 *
 * Values are compared where a pass promises to change no bit: all but `expand`. Which of several
 * NaNs comes out may change, and the sign of a zero that is summed over no axis; so zeros of both
 * signs are equal.
 */
#include "fuzz.h"

#include "graph/scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_NODES = 400, SMALL_ELEMENTS = 8192, MOST_ROWS = 3, MOST_WRT = 16 };

/* ---- text ---- */

static bool append(const char *text, size_t bytes, void *str) {
    coti_str_append_bytes(str, text, bytes);
    return true;
}

/* To be freed by coti_str_free. */
static coti_str text_of(const cot_graph *graph) {
    coti_str text;
    coti_str_init(&text, graph->context);
    cot_status status = cot_graph_print(graph, append, &text);
    FUZZ_CHECK(status == COT_OK && coti_str_status(&text) == COT_OK, "print: %s",
               cot_error_message(graph->context));
    return text;
}

static bool same_text(const coti_str *a, const coti_str *b) {
    return a->count == b->count && memcmp(a->data, b->data, a->count) == 0;
}

static void check_text(const cot_graph *graph) {
    coti_str first = text_of(graph);
    cot_graph *read = cot_graph_parse(graph->context, first.data, first.count);
    FUZZ_CHECK(read != NULL, "%s in\n%.*s", cot_error_message(graph->context), (int)first.count,
               first.data);
    FUZZ_CHECK(coti_graph_verify(read) == COT_OK, "%s", cot_error_message(graph->context));
    coti_str second = text_of(read);
    FUZZ_CHECK(same_text(&first, &second), "the text changes from\n%.*s\nto\n%.*s",
               (int)first.count, first.data, (int)second.count, second.data);
    coti_str_free(&first);
    coti_str_free(&second);
    cot_graph_destroy(read);
}

/* ---- sizes ---- */

/* Add up the elements of all values, those of a scan's body once a step. False: too many, or nodes
 * too many, or an extent, which is what one step of a walk may take where a tensor is empty. */
static bool add_elements(const cot_graph *graph, int64_t times, int64_t *total) {
    if (graph->node.count > SMALL_NODES) {
        return false;
    }
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        int64_t elements = 0, steps = times;
        if (!coti_shape_elements(&node->shape, MOST_ROWS, &elements) ||
            !coti_size_add(elements, 1, &elements) || !coti_size_mul(elements, times, &elements) ||
            !coti_size_add(*total, elements, total) || *total > SMALL_ELEMENTS) {
            return false;
        }
        for (int32_t i = 0; i < node->shape.rank; i++) {
            if (node->shape.dim[i] > SMALL_ELEMENTS) {
                return false;
            }
        }
        /* As deep as bodies lie in each other; a scan is evaluated once a result. */
        if (node->op == COT_OP_SCAN && (!coti_size_mul(times, coti_scan_of(node).steps, &steps) ||
                                        !add_elements(coti_scan_of(node).body, steps, total))) {
            return false;
        }
    }
    return true;
}

/* May the graph be evaluated here? */
static bool is_small(const cot_graph *graph) {
    int64_t total = 0;
    return add_elements(graph, 1, &total);
}

/* A sum over no axis may lose the sign of a zero: does the graph have both one of those and an
 * operation that makes more of it than a zero? */
static bool tells_zeros_apart(const cot_graph *graph) {
    bool sums_nothing = false, tells = false;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        sums_nothing = sums_nothing || (node->op == COT_OP_SUM &&
                                        ((const coti_attr_AXES *)node->attr)->axes.n == 0);
        tells = tells || node->op == COT_OP_DIV || node->op == COT_OP_POW ||
                node->op == COT_OP_RSQRT || node->op == COT_OP_LOG;
    }
    return sums_nothing && tells;
}

/* ---- values ---- */

static uint64_t mix(uint64_t seed, uint64_t i) {
    uint64_t z =
        seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 (Steele et al. 2014) */
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static int64_t count_of(const coti_tensor *tensor) {
    int64_t elements = 0;
    FUZZ_CHECK(coti_shape_elements(&tensor->shape, 1, &elements), "a tensor is too large");
    return elements;
}

static size_t bytes_of(const coti_tensor *tensor) {
    return (size_t)count_of(tensor) * cot_dtype_bytes(tensor->dtype);
}

/* Numbers of all kinds. */
static void fill(coti_tensor *tensor, uint64_t seed) {
    static const double numbers[] = {0,           -0.0, 1,     -1,    0.5,      2,
                                     -3.25,       1e-3, 1e30,  1e-42, INFINITY, -INFINITY,
                                     (double)NAN, 7,    0.125, -0.75};
    for (int64_t i = 0; i < count_of(tensor); i++) {
        uint64_t word = mix(seed, (uint64_t)i);
        double number = numbers[word % 16];
        float narrow = (float)number;
        int64_t integer = word % 3 == 0 ? (int64_t)(word >> 8) : (int64_t)(word >> 8) % 10;
        unsigned char bytes[8];
        memcpy(bytes, &integer, sizeof bytes);
        if (tensor->dtype == COT_F32) {
            memcpy(bytes, &narrow, sizeof narrow);
        } else if (tensor->dtype == COT_F64) {
            memcpy(bytes, &number, sizeof number);
        } else if (tensor->dtype == COT_BOOL) {
            bytes[0] = word >> 16 & 1;
        }
        size_t size = cot_dtype_bytes(tensor->dtype);
        memcpy((char *)tensor->data + (size_t)i * size, bytes, size);
    }
}

/* Room for a value of the graph at this row count. */
static coti_tensor make_tensor(const cot_graph *graph, uint32_t id, int64_t rows) {
    const coti_node *node = coti_node_at(graph, id);
    coti_tensor tensor = {(cot_dtype)node->dtype, coti_shape_bind(&node->shape, rows), NULL};
    tensor.data = malloc(bytes_of(&tensor) + 1);
    FUZZ_CHECK(tensor.data != NULL, "no memory");
    return tensor;
}

/* ---- evaluation ---- */

/* Outputs, then the variables as the step has left them. */
typedef struct results {
    size_t n;
    coti_tensor *tensor;
} results;

static void results_free(results *r) {
    for (size_t i = 0; i < r->n; i++) {
        free(r->tensor[i].data);
    }
    free(r->tensor);
}

static cot_variable *variable_at(const cot_graph *graph, size_t i) {
    return ((const coti_attr_VARIABLE *)coti_node_at(graph, graph->state.data[i])->attr)->variable;
}

static void set_variables(const cot_graph *graph, uint64_t seed) {
    for (size_t i = 0; i < graph->state.count; i++) {
        coti_tensor value = make_tensor(graph, graph->state.data[i], 1);
        fill(&value, mix(seed, i));
        FUZZ_CHECK(cot_variable_set(variable_at(graph, i), value.data, bytes_of(&value)) == COT_OK,
                   "%s", cot_error_message(graph->context));
        free(value.data);
    }
}

/* `made` computes what `graph` does, with the variables of `graph`. */
static results evaluate(const cot_graph *graph, const cot_graph *made, uint64_t seed) {
    int64_t rows = 1 + (int64_t)(seed % MOST_ROWS);
    size_t n_inputs = made->input.count, n_outputs = made->output.count;
    results r = {.n = n_outputs + graph->state.count};
    coti_tensor *input = calloc(n_inputs + 1, sizeof *input);
    r.tensor = calloc(r.n + 1, sizeof *r.tensor);
    FUZZ_CHECK(input != NULL && r.tensor != NULL, "no memory");
    for (size_t i = 0; i < n_inputs; i++) {
        input[i] = make_tensor(made, made->input.data[i], rows);
        fill(&input[i], mix(~seed, i));
    }
    for (size_t i = 0; i < n_outputs; i++) {
        r.tensor[i] = make_tensor(made, made->output.data[i].value, rows);
    }
    set_variables(graph, seed);
    FUZZ_CHECK(coti_eval_graph(made, rows, input, r.tensor) == COT_OK, "evaluator: %s",
               cot_error_message(graph->context));
    for (size_t i = 0; i < graph->state.count; i++) {
        coti_tensor *value = &r.tensor[n_outputs + i];
        *value = make_tensor(graph, graph->state.data[i], 1);
        FUZZ_CHECK(cot_variable_get(variable_at(graph, i), value->data, bytes_of(value)) == COT_OK,
                   "%s", cot_error_message(graph->context));
    }
    for (size_t i = 0; i < n_inputs; i++) {
        free(input[i].data);
    }
    free(input);
    return r;
}

/* Equal bits, but for NaNs and the sign of zeros. */
static bool same_element(const coti_tensor *a, const coti_tensor *b, int64_t i) {
    if (a->dtype != COT_F32 && a->dtype != COT_F64) {
        return coti_tensor_get_int(a, i) == coti_tensor_get_int(b, i);
    }
    double x = coti_tensor_get(a, i), y = coti_tensor_get(b, i);
    return x == y || (isnan(x) && isnan(y));
}

static void check_same(const cot_graph *graph, const char *pass, const results *want,
                       const results *got) {
    FUZZ_CHECK(want->n == got->n, "%s: %zu results became %zu", pass, want->n, got->n);
    for (size_t i = 0; i < want->n; i++) {
        const coti_tensor *a = &want->tensor[i], *b = &got->tensor[i];
        FUZZ_CHECK(a->dtype == b->dtype && coti_shape_equal(&a->shape, &b->shape),
                   "%s changes the type of result %zu", pass, i);
        for (int64_t k = 0; k < count_of(a); k++) {
            coti_str text = {0};
            if (!same_element(a, b, k)) {
                text = text_of(graph);
            }
            FUZZ_CHECK(text.count == 0,
                       "%s: element %lld of result %zu was %.17g and is %.17g in\n%.*s", pass,
                       (long long)k, i, coti_tensor_get(a, k), coti_tensor_get(b, k),
                       (int)text.count, text.data);
        }
    }
}

/* ---- passes ---- */

typedef struct pass {
    const char *name;
    cot_status (*run)(const cot_graph *graph, cot_graph **result_out, bool *changed_out);
    bool keeps_bits;
} pass;

static const pass passes[] = {{"simplify", coti_pass_simplify, true},
                              {"fold", coti_pass_fold, true},
                              {"cse", coti_pass_cse, true},
                              {"dce", coti_pass_dce, true},
                              {"expand", coti_pass_expand, false},
                              {"expand_for_kernels", coti_pass_expand_for_kernels, false}};
enum { N_PASSES = sizeof passes / sizeof *passes };

/* The pass's result, to be destroyed. */
static cot_graph *run_pass(const pass *p, const cot_graph *graph, bool *changed_out) {
    cot_graph *result = NULL;
    cot_status status = p->run(graph, &result, changed_out);
    FUZZ_CHECK(status == COT_OK && coti_graph_verify(result) == COT_OK, "%s: %s", p->name,
               cot_error_message(graph->context));
    if (!*changed_out) {
        coti_str before = text_of(graph), after = text_of(result);
        FUZZ_CHECK(same_text(&before, &after),
                   "%s claims to change nothing, but makes\n%.*s\nof\n%.*s", p->name,
                   (int)after.count, after.data, (int)before.count, before.data);
        coti_str_free(&before);
        coti_str_free(&after);
    }
    return result;
}

/* All passes in a row, from any of them on, so that each meets graphs that no other has seen. */
static void check_passes(const cot_graph *graph, uint64_t seed, const results *want) {
    bool compares = !tells_zeros_apart(graph);
    cot_graph *last = NULL;
    for (uint64_t i = 0; i < N_PASSES; i++) {
        const pass *p = &passes[(seed + i) % N_PASSES];
        bool changed = false;
        cot_graph *result = run_pass(p, last != NULL ? last : graph, &changed);
        compares = compares && (p->keeps_bits || !changed);
        if (want != NULL && changed) {
            results got = evaluate(graph, result, seed);
            if (compares) {
                check_same(graph, p->name, want, &got);
            }
            results_free(&got);
        }
        cot_graph_destroy(last);
        last = result;
    }
    check_text(last);
    cot_graph_destroy(last);
}

static void check_no_error(const cot_context *context) {
    FUZZ_CHECK(cot_error_get(context).status == COT_OK, "left behind: %s",
               cot_error_message(context));
}

/* ---- gradients ---- */

static bool is_float(cot_value value) {
    cot_dtype dtype = cot_value_dtype(value);
    return dtype == COT_F32 || dtype == COT_F64;
}

/* The sum of all elements of all float outputs; poisoned: there are none. */
static cot_value sum_outputs(const cot_graph *graph) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_value total = coti_poison();
    for (int32_t i = 0; i < cot_graph_n_outputs(graph); i++) {
        cot_value y = cot_graph_output_at(graph, i);
        if (!is_float(y)) {
            continue;
        }
        cot_value sum = cot_op_reduce(COT_OP_SUM, y, axes, cot_value_shape(y).rank, false);
        sum = cot_op_cast(sum, COT_F64);
        total = total.graph == NULL ? sum : cot_op_binary(COT_OP_ADD, total, sum);
    }
    return total;
}

/* Float inputs and states. */
static int32_t collect_wrt(const cot_graph *graph, cot_value wrt[MOST_WRT]) {
    int32_t n = 0;
    int32_t n_inputs = cot_graph_n_inputs(graph);
    for (int32_t i = 0; i < n_inputs + cot_graph_n_states(graph) && n < MOST_WRT; i++) {
        cot_value leaf =
            i < n_inputs ? cot_graph_input_at(graph, i) : cot_graph_state_at(graph, i - n_inputs);
        if (is_float(leaf)) {
            wrt[n++] = leaf;
        }
    }
    return n;
}

/* Outputs for the gradients of the graph, if it has any. */
static void append_gradient(cot_graph *graph) {
    cot_context *context = graph->context;
    cot_value wrt[MOST_WRT], grad[MOST_WRT];
    cot_value y = sum_outputs(graph);
    int32_t n = y.graph != NULL ? collect_wrt(graph, wrt) : 0;
    cot_status status = n > 0 ? cot_grad(y, wrt, n, grad) : COT_E_NOGRAD;
    FUZZ_CHECK(status == COT_OK || status == COT_E_NOGRAD, "gradient: %s",
               cot_error_message(context));
    for (int32_t i = 0; i < n && status == COT_OK; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "the gradient %d", (int)i);
        (void)cot_graph_output(grad[i], name); /* the name may be taken: then it is no output */
    }
    cot_error_clear(context);
}

void fuzz_check_graph(cot_graph *graph) {
    cot_context *context = graph->context;
    check_no_error(context);
    if (is_small(graph)) {
        append_gradient(graph);
    }
    FUZZ_CHECK(coti_graph_verify(graph) == COT_OK, "%s", cot_error_message(context));
    check_text(graph);
    uint64_t seed = graph->node.data[graph->node.count - 1].hash;
    if (is_small(graph)) {
        results want = evaluate(graph, graph, seed);
        check_passes(graph, seed, &want);
        results_free(&want);
    } else {
        check_passes(graph, seed, NULL);
    }
    check_no_error(context);
}
