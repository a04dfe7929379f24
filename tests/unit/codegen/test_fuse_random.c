/*
 * Random graphs (tests/ops/random_graph.h) cut into groups and run by the interpreter, fused and
 * not, against the reference evaluator. test_fuse_random FIRST COUNT runs other seeds.
 *
 * First every node that is no leaf is an output, and each is held to the evaluator applied to the
 * groups' own values of its operands, so that errors do not add up. Then few are: values stay in
 * registers, are computed again, or are never made. The fused and the unfused run must agree in
 * every bit but the sign of zeros.
 */
#include "fuse_case.h"

#include "groups_interpret.h"
#include "random_graph.h"

#include <math.h>
#include <stdlib.h>

static uint64_t first_seed = 0, n_seeds = 200;
static cot_context *context;

enum { N_RUNS = 3 };

/* Inputs of a graph for the seed, as the interpreter takes them. */
static coti_tensor *inputs_of(pool *p, const random_graph *g, uint64_t seed, int64_t rows) {
    coti_tensor *list = pool_take(p, MAX_GRAPH_INPUTS + 1, sizeof *list);
    for (size_t i = 0; i < g->graph->input.count; i++) {
        tensor x = random_graph_input(p, g, seed, (int32_t)i, rows);
        list[i] = (coti_tensor){x.dtype, x.shape, tensor_bytes(p, &x)};
    }
    return list;
}

/* Room for the outputs, and for the variable in the last place. */
static coti_tensor *outputs_of(pool *p, const random_graph *g, int64_t rows) {
    size_t n = g->graph->output.count;
    coti_tensor *list = pool_take(p, n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        const coti_node *node = coti_node_at(g->graph, g->graph->output.data[i].value);
        tensor x = tensor_make(p, (cot_dtype)node->dtype, &node->shape, rows);
        list[i] = (coti_tensor){x.dtype, x.shape, tensor_bytes(p, &x)};
    }
    return list;
}

static void set_variable(pool *p, const random_graph *g, uint64_t seed) {
    if (g->variable != NULL) {
        tensor w = random_graph_variable(p, g, seed);
        CHECK_OK(context, cot_variable_set(g->variable, tensor_bytes(p, &w),
                                           (size_t)w.count * cot_dtype_bytes(w.dtype)));
    }
}

static void get_variable(pool *p, const random_graph *g, uint64_t seed, coti_tensor *out) {
    if (g->variable != NULL) {
        tensor w = random_graph_variable(p, g, seed);
        *out = (coti_tensor){w.dtype, w.shape, tensor_bytes(p, &w)};
        CHECK_OK(context, cot_variable_get(g->variable, out->data,
                                           (size_t)w.count * cot_dtype_bytes(w.dtype)));
    }
}

static bool print_text(const char *text, size_t bytes, void *user) {
    return fwrite(text, 1, bytes, user) == bytes;
}

static void fail_graph(const random_graph *g, uint64_t seed, const char *which, size_t output,
                       const char *why) {
    cot_graph_print(g->graph, print_text, stderr);
    fail_msg("seed %llu, %s, output %d: %s", (unsigned long long)seed, which, (int)output, why);
}

/* Equal but for the sign of zeros, as bits of any NaN are. */
static const char *differ(pool *p, const coti_tensor *a, const coti_tensor *b) {
    static const tolerance same = ANY_ZERO;
    static char why[256];
    tensor x = tensor_read(p, a->dtype, &a->shape, 1, a->data);
    tensor y = tensor_read(p, b->dtype, &b->shape, 1, b->data);
    return compare(why, &x, &y, NULL, same);
}

static long double largest(const tensor *x) {
    long double largest_yet = 1;
    for (int64_t i = 0; i < x->count; i++) {
        largest_yet = isfinite(x->v[i]) ? fmaxl(largest_yet, fabsl(x->v[i])) : largest_yet;
    }
    return largest_yet;
}

/* Values of all nodes: outputs by name, leaves as they are bound. */
static coti_tensor *values_of(pool *p, const random_graph *g, uint64_t seed, int64_t rows,
                              const coti_tensor *out) {
    coti_tensor *value = pool_take(p, g->graph->node.count, sizeof *value);
    coti_tensor *input = inputs_of(p, g, seed, rows);
    for (size_t i = 0; i < g->graph->input.count; i++) {
        value[g->graph->input.data[i]] = input[i];
    }
    for (size_t i = 0; i < g->graph->output.count; i++) {
        value[g->graph->output.data[i].value] = out[i];
    }
    set_variable(p, g, seed);
    for (uint32_t id = 1; id < g->graph->node.count; id++) {
        const coti_node *node = coti_node_at(g->graph, id);
        if (value[id].data == NULL) {
            tensor x = tensor_make(p, (cot_dtype)node->dtype, &node->shape, rows);
            value[id] = (coti_tensor){x.dtype, x.shape, tensor_bytes(p, &x)};
            CHECK_OK(context, coti_eval_node(context, node, NULL, rows, &value[id]));
        }
    }
    return value;
}

/*
 * Is a node's value what the evaluator makes of its operands' values, all as the groups gave them?
 * Floats within 1e-5 of the largest there is, times the terms of a sum: what is wrong is far away.
 * Sums that overflow in the node's dtype do not in the evaluator's; composites may sum squares.
 */
static const char *check_node(pool *p, const coti_node *node, const coti_tensor *value, uint32_t id,
                              int64_t rows) {
    static char why[256];
    coti_tensor input[8];
    tensor got = tensor_read(p, value[id].dtype, &value[id].shape, 1, value[id].data);
    coti_tensor out = {got.dtype, got.shape, tensor_bytes(p, &got)};
    long double scale = 1, squares = 0;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = value[node->input[i]];
        tensor x = tensor_read(p, input[i].dtype, &input[i].shape, 1, input[i].data);
        bool adds = node->op == COT_OP_DOT || node->op == COT_OP_SUM ||
                    (node->op == COT_OP_SCATTER_ADD && i == 0);
        scale *= adds ? largest(&x) * x.count : 1;
        squares = fmaxl(squares, largest(&x) * largest(&x) * x.count);
    }
    CHECK_OK(context, coti_eval_node(context, node, input, rows, &out));
    tensor want = tensor_read(p, out.dtype, &out.shape, 1, out.data);
    bool real = out.dtype == COT_F32 || out.dtype == COT_F64;
    bool is_composite = coti_op_table[node->op].kind == COTI_KIND_COMPOSITE;
    long double limit = real ? 1e-5L * fmaxl(scale, largest(&want)) : 0;
    for (int64_t i = 0; i < want.count; i++) {
        bool equal = want.v[i] == got.v[i] || (isnan(want.v[i]) && isnan(got.v[i]));
        bool overflow = scale > 1e37L || (is_composite && squares > 1e37L);
        if (!equal && !overflow && !(fabsl(want.v[i] - got.v[i]) <= limit)) {
            snprintf(why, sizeof why, "element %lld is %Lg, expected %Lg", (long long)i, got.v[i],
                     want.v[i]);
            return why;
        }
    }
    return NULL;
}

static void check_nodes(pool *p, const random_graph *g, uint64_t seed, int64_t rows,
                        const coti_tensor *out) {
    coti_tensor *value = values_of(p, g, seed, rows, out);
    for (size_t i = 0; i < g->graph->output.count; i++) {
        uint32_t id = g->graph->output.data[i].value;
        const char *why = check_node(p, coti_node_at(g->graph, id), value, id, rows);
        if (why != NULL) {
            fail_graph(g, seed, "against the evaluator", i, why);
        }
    }
}

/* Run the groups of a graph, made anew. False: there is no kernel for it. */
static bool run_groups(pool *p, uint64_t seed, bool all, bool fuse, int64_t rows,
                       coti_tensor **out) {
    context->fuse = fuse;
    random_graph g = random_graph_make(context, seed);
    random_graph_finish(&g, seed, all);
    cot_graph *expanded = NULL;
    coti_groups *groups = NULL;
    bool changed = false;
    CHECK_OK(context, coti_pass_expand_for_kernels(g.graph, &expanded, &changed));
    cot_status status = coti_fuse(&expanded, &fuse_target, 40, &groups);
    if (status == COT_OK) {
        const char *complaint = fuse_complaint(groups);
        if (complaint != NULL) {
            fail_graph(&g, seed, fuse ? "fused" : "not fused", 0, complaint);
        }
        *out = outputs_of(p, &g, rows);
        set_variable(p, &g, seed);
        CHECK_OK(context, coti_groups_interpret(groups, rows, fuse ? 3 : 64,
                                                inputs_of(p, &g, seed, rows), *out));
        get_variable(p, &g, seed, &(*out)[g.graph->output.count]);
    } else if (status == COT_E_UNSUPPORTED) {
        cot_error_clear(context);
    } else {
        fail_graph(&g, seed, "coti_fuse", 0, cot_error_message(context));
    }
    coti_groups_destroy(groups);
    cot_graph_destroy(expanded);
    cot_graph_destroy(g.graph);
    cot_variable_release(g.variable);
    return status == COT_OK;
}

static int64_t rows_for(const random_graph *g, uint64_t seed) {
    static const int64_t rows[] = {1, 3, 16, 17, 40};
    for (uint32_t id = 1; id < g->graph->node.count; id++) {
        if (coti_node_at(g->graph, id)->shape.batched) {
            return rows[seed % (sizeof rows / sizeof rows[0])];
        }
    }
    return 1;
}

static void check_seed(uint64_t seed, bool all, int32_t *n_run) {
    pool p = {NULL};
    coti_tensor *fused = NULL;
    coti_tensor *unfused = NULL;
    random_graph g = random_graph_make(context, seed);
    random_graph_finish(&g, seed, all);
    int64_t rows = rows_for(&g, seed);
    size_t n = g.graph->output.count;
    if (run_groups(&p, seed, all, true, rows, &fused) &&
        run_groups(&p, seed, all, false, rows, &unfused)) {
        for (size_t i = 0; i < n; i++) {
            const char *why = differ(&p, &fused[i], &unfused[i]);
            if (why != NULL) {
                fail_graph(&g, seed, "fused against unfused", i, why);
            }
        }
        if (all) {
            check_nodes(&p, &g, seed, rows, fused);
        }
        if (g.variable != NULL && differ(&p, &fused[n], &unfused[n]) != NULL) {
            fail_graph(&g, seed, "fused against unfused", n, "the variable differs");
        }
        (*n_run)++;
    }
    cot_graph_destroy(g.graph);
    cot_variable_release(g.variable);
    pool_empty(&p);
}

static void check_seeds(bool all) {
    int32_t n_run = 0;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        check_seed(seed, all, &n_run);
    }
    assert_true((uint64_t)n_run >= n_seeds / 4);
}

static void test_all_outputs(void **state) {
    (void)state;
    check_seeds(true);
}

static void test_few_outputs(void **state) {
    (void)state;
    check_seeds(false);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_outputs),
        cmocka_unit_test(test_few_outputs),
    };
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        n_seeds = strtoull(argv[2], NULL, 10);
    }
    int failed = context == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    cot_context_destroy(context);
    return failed;
}
