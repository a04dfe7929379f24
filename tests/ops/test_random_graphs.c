/*
 * Random small graphs on compiled kernels, 200 of them by seed (or: test_random_graphs FIRST
 * COUNT).
 *
 * Several programs of each graph. In the first, every node is an output: each is held to the
 * reference evaluator applied to the kernels' own values of its operands, so that errors do not add
 * up and every op's own tolerance applies. In the others only what nobody uses and a few values
 * more are outputs: fused, on three threads and compiled for more rows; one kernel a node
 * (cot_options.fuse off); and, where the host has both AVX-512 and AVX2, for the narrower vectors.
 * These must agree with the first program in every bit but the sign of zeros: fusion, threads, row
 * limits and vector width change no result. Updates of a state are compared too. Every program runs
 * twice, so that nothing may hang on what memory held before.
 *
 * A failure prints the graph's text and its seed.
 */
#include "check.h"
#include "codegen/jit.h"
#include "graph/graph.h"
#include "random_graph.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static uint64_t first_seed = 0, n_seeds = 200;

/* Seeds beyond those that have shown a bug once. */
static const uint64_t past_seeds[] = {1420, 11520};

static cot_context *fused, *unfused, *narrow; /* narrow: NULL if the host has not both */

static const int64_t row_counts[] = {1, 3, 16, 17, 40};
enum { MAX_ROWS = 40, MORE_ROWS = 300 };

/* Values of nodes by id; data NULL: not known. */
typedef struct node_values {
    uint32_t n;
    coti_tensor *v;
} node_values;

/* One program of a graph, and what came out of it. */
typedef struct outcome {
    node_values values;
    tensor variable; /* after the step; v NULL: the graph has none */
    const char *wrong;
} outcome;

static bool is_leaf(const coti_node *node) {
    return coti_op_table[node->op].kind == COTI_KIND_LEAF;
}

/* ---- running them ---- */

/* What the leaves hold: bound data, constants, and what the evaluator says of the rest. */
static void fill_leaves(pool *p, cot_context *context, const random_graph *g, uint64_t seed,
                        int64_t rows, node_values *values) {
    for (uint32_t id = 1; id < values->n; id++) {
        const coti_node *node = coti_node_at(g->graph, id);
        if (!is_leaf(node)) {
            continue;
        }
        tensor room = tensor_make(p, (cot_dtype)node->dtype, &node->shape, rows);
        tensor data = room;
        if (node->op == COT_OP_STATE) {
            data = random_graph_variable(p, g, seed);
        }
        for (int32_t i = 0; node->op == COT_OP_INPUT && i < MAX_GRAPH_INPUTS; i++) {
            if (g->graph->input.data[i] == id) {
                data = random_graph_input(p, g, seed, i, rows);
            }
        }
        values->v[id] = (coti_tensor){data.dtype, data.shape, tensor_bytes(p, &data)};
        if (node->op != COT_OP_STATE && node->op != COT_OP_INPUT) {
            CHECK_OK(context, coti_eval_node(context, node, NULL, rows, &values->v[id]));
        }
    }
}

static cot_status bind_all(pool *p, cot_session *session, const random_graph *g, int64_t rows,
                           node_values *values) {
    for (size_t i = 0; i < g->graph->input.count; i++) {
        uint32_t id = g->graph->input.data[i];
        const coti_node *node = coti_node_at(g->graph, id);
        const coti_attr_NAME *attr = node->attr;
        int64_t elements = 0, n_rows = node->shape.batched ? rows : 1;
        coti_shape_elements(&values->v[id].shape, 1, &elements);
        cot_array array = {.data = values->v[id].data,
                           .dtype = (cot_dtype)node->dtype,
                           .n_rows = n_rows,
                           .row_elements = elements / n_rows};
        COTI_TRY(cot_session_bind(session, attr->name, &array));
    }
    for (size_t i = 0; i < g->graph->output.count; i++) {
        const coti_output *output = &g->graph->output.data[i];
        const coti_node *node = coti_node_at(g->graph, output->value);
        tensor room = tensor_make(p, (cot_dtype)node->dtype, &node->shape, rows);
        coti_tensor *value = &values->v[output->value];
        *value = (coti_tensor){room.dtype, room.shape, tensor_bytes(p, &room)};
        COTI_TRY(cot_session_bind_output(session, output->name, value->data,
                                         (size_t)room.count * cot_dtype_bytes(room.dtype)));
    }
    return COT_OK;
}

/* Set the variable, run a step, read it back. Outputs are bound anew. */
static cot_status step(pool *p, cot_session *session, const random_graph *g, uint64_t seed,
                       int64_t rows, outcome *out) {
    COTI_TRY(bind_all(p, session, g, rows, &out->values));
    if (g->variable == NULL) {
        return cot_session_run(session, rows);
    }
    tensor w = random_graph_variable(p, g, seed);
    size_t bytes = (size_t)w.count * cot_dtype_bytes(w.dtype);
    void *data = tensor_bytes(p, &w);
    COTI_TRY(cot_variable_set(g->variable, data, bytes));
    COTI_TRY(cot_session_run(session, rows));
    COTI_TRY(cot_variable_get(g->variable, data, bytes));
    out->variable = tensor_read(p, w.dtype, &w.shape, 1, data);
    return COT_OK;
}

/* Is there an element in any output? */
static bool has_elements(const random_graph *g) {
    for (size_t i = 0; i < g->graph->output.count; i++) {
        const coti_node *node = coti_node_at(g->graph, g->graph->output.data[i].value);
        int64_t elements = 0;
        if (coti_shape_elements(&node->shape, 1, &elements) && elements > 0) {
            return true;
        }
    }
    return false;
}

/* Compile and run a finished graph, twice. out->wrong: what failed. */
static outcome run_graph(pool *p, cot_context *context, const random_graph *g, uint64_t seed,
                         int64_t rows, int32_t threads) {
    cot_program_options options = {.struct_size = sizeof options,
                                   .max_rows = threads > 1 ? MORE_ROWS : MAX_ROWS};
    outcome out = {.values = {(uint32_t)g->graph->node.count, NULL}, .wrong = NULL};
    out.values.v = pool_take(p, out.values.n, sizeof *out.values.v);
    out.variable.v = NULL;
    fill_leaves(p, context, g, seed, rows, &out.values);
    cot_program *program = cot_program_create(g->graph, &options);
    context->threads = threads; /* read when a session is made */
    cot_session *session = program != NULL ? cot_session_create(program) : NULL;
    if (session == NULL) {
        out.wrong = cot_error_message(context);
    } else if (cot_program_get_info(program).n_kernels == 0 && has_elements(g)) {
        out.wrong = "no kernel was compiled: the evaluator ran it";
    } else if (step(p, session, g, seed, rows, &out) != COT_OK ||
               step(p, session, g, seed, rows, &out) != COT_OK) {
        char *copy = pool_take(p, 512, 1);
        snprintf(copy, 512, "run: %.500s", cot_session_message(session));
        out.wrong = copy;
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    return out;
}

/* ---- the evaluator's word on one node ---- */

static tensor to_tensor(pool *p, const coti_tensor *x) {
    return tensor_read(p, x->dtype, &x->shape, 1, x->data);
}

/* Terms of one sum of the node. */
static double terms_of(const coti_node *node, const tensor *input, const tensor *out) {
    if (node->op == COT_OP_DOT) {
        const coti_attr_DOT *attr = node->attr;
        double terms = 1;
        for (int32_t i = 0; i < attr->a_contract.n; i++) {
            terms *= (double)input->shape.dim[attr->a_contract.v[i]];
        }
        return terms;
    }
    return out->count > 0 ? (double)input->count / (double)out->count : 1;
}

/* Sum of |terms| of the node's sums, by the evaluator on the operands' absolute values. */
static tensor magnitude_of(pool *p, cot_context *context, const coti_node *node,
                           const tensor *operand, int64_t rows, const coti_tensor *out) {
    coti_tensor input[2], sum = *out;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        tensor x = tensor_make(p, operand[i].dtype, &operand[i].shape, 1);
        for (int64_t e = 0; e < x.count; e++) {
            x.v[e] = fabsl(operand[i].v[e]);
        }
        input[i] = (coti_tensor){x.dtype, x.shape, tensor_bytes(p, &x)};
    }
    tensor room = tensor_make(p, out->dtype, &out->shape, 1);
    sum.data = tensor_bytes(p, &room);
    CHECK_OK(context, coti_eval_node(context, node, input, rows, &sum));
    return to_tensor(p, &sum);
}

/* sum |t| (1 + |log p|): what rounding errors of a cross-entropy are proportional to. */
static tensor entropy_magnitude(pool *p, const tensor *operand, const tensor *out) {
    tensor sum = tensor_make(p, out->dtype, &out->shape, 1);
    int64_t n = operand[1].shape.dim[operand[1].shape.rank - 1];
    for (int64_t r = 0; r < out->count; r++) {
        long double max = -INFINITY, total = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            max = fmaxl(max, operand[1].v[i]);
        }
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            total += expl(operand[1].v[i] - max);
        }
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            sum.v[r] +=
                fabsl(operand[0].v[i]) * (1 + fabsl(operand[1].v[i] - max) + fabsl(logl(total)));
        }
    }
    return sum;
}

/* Where f32 sums may overflow on the way and the evaluator's wider ones do not: anything goes. */
static void forgive_overflow(const tensor *got, const tensor *magnitude, tensor *want) {
    for (int64_t i = 0; i < want->count; i++) {
        if (!(magnitude->v[i] < FLT_MAX / 8)) {
            want->v[i] = got->v[i];
        }
    }
}

/* NULL when the node's value is what the evaluator makes of its operands' values. */
static const char *check_node(char why[256], pool *p, cot_context *context, const coti_node *node,
                              const node_values *values, const coti_tensor *got_raw, int64_t rows) {
    coti_tensor input[8], out = *got_raw;
    tensor operand[8], magnitude = {.v = NULL};
    tensor got = to_tensor(p, got_raw);
    tolerance tol = first_case((cot_op)node->op)->jit;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        input[i] = values->v[node->input[i]];
        operand[i] = to_tensor(p, &input[i]);
    }
    out.data = tensor_bytes(p, &got);
    if (coti_eval_node(context, node, input, rows, &out) != COT_OK) {
        return cot_error_message(context);
    }
    tensor want = to_tensor(p, &out);
    tol.any_zero = true;
    if (tol.kind == TOL_ABS_SUM || node->op == COT_OP_SUM) {
        double terms = terms_of(node, &operand[0], &got);
        magnitude = magnitude_of(p, context, node, operand, rows, got_raw);
        tol = (tolerance)ABS_SUM(terms + 4);
    } else if (node->op == COT_OP_SOFTMAX_XENT) {
        int64_t n = operand[1].shape.dim[operand[1].shape.rank - 1];
        magnitude = entropy_magnitude(p, operand, &got);
        tol = (tolerance)ABS_SUM((double)n + 8);
    } else if (node->op == COT_OP_RANDOM || node->op == COT_OP_SOFTMAX) {
        tol = (tolerance)ULP_AT(24, 1);
    }
    if (magnitude.v != NULL) {
        forgive_overflow(&got, &magnitude, &want);
    }
    return compare(why, &got, &want, &magnitude, tol);
}

/* ---- one graph ---- */

static bool print_text(const char *text, size_t bytes, void *user) {
    return fwrite(text, 1, bytes, user) == bytes;
}

static void fail_graph(const random_graph *g, uint64_t seed, int64_t rows, const char *program,
                       uint32_t id, const char *why) {
    cot_graph_print(g->graph, print_text, stderr);
    if (id != 0) {
        coti_str line;
        coti_str_init(&line, cot_graph_context(g->graph));
        coti_node_print(&line, g->graph, id);
        fprintf(stderr, "at output v%u: %s\n", id, coti_str_text(&line));
        coti_str_free(&line);
    }
    fail_msg("seed %llu, %lld rows, %s: %s", (unsigned long long)seed, (long long)rows, program,
             why);
}

static void check_every_node(pool *p, const random_graph *g, uint64_t seed, int64_t rows,
                             const outcome *all) {
    char why[256];
    if (all->wrong != NULL) {
        fail_graph(g, seed, rows, "all outputs", 0, all->wrong);
    }
    for (size_t i = 0; i < g->graph->output.count; i++) {
        uint32_t id = g->graph->output.data[i].value;
        const char *wrong = check_node(why, p, fused, coti_node_at(g->graph, id), &all->values,
                                       &all->values.v[id], rows);
        if (wrong != NULL) {
            fail_graph(g, seed, rows, "all outputs", id, wrong);
        }
    }
    if (g->variable != NULL) {
        static const tolerance same = EXACT;
        tensor want = to_tensor(p, &all->values.v[g->graph->update.data[0].value]);
        const char *wrong = compare(why, &all->variable, &want, NULL, same);
        if (wrong != NULL) {
            fail_graph(g, seed, rows, "the update", g->graph->update.data[0].value, wrong);
        }
    }
}

/* The outputs of a program with fewer of them have the first program's bits. */
static void check_same(pool *p, const random_graph *g, uint64_t seed, int64_t rows,
                       const char *program, const outcome *few, const outcome *all) {
    static const tolerance same = ANY_ZERO;
    char why[256];
    if (few->wrong != NULL) {
        fail_graph(g, seed, rows, program, 0, few->wrong);
    }
    for (size_t i = 0; i < g->graph->output.count; i++) {
        uint32_t id = g->graph->output.data[i].value;
        tensor got = to_tensor(p, &few->values.v[id]), want = to_tensor(p, &all->values.v[id]);
        const char *wrong = compare(why, &got, &want, NULL, same);
        if (wrong != NULL) {
            fail_graph(g, seed, rows, program, id, wrong);
        }
    }
    if (g->variable != NULL) {
        const char *wrong = compare(why, &few->variable, &all->variable, NULL, same);
        if (wrong != NULL) {
            fail_graph(g, seed, rows, program, g->graph->update.data[0].value, wrong);
        }
    }
}

static random_graph fresh_graph(cot_context *context, uint64_t seed, bool all) {
    random_graph g = random_graph_make(context, seed);
    if (cot_error_get(context).status != COT_OK) {
        fail_msg("seed %llu: a builder refuses: %s", (unsigned long long)seed,
                 cot_error_message(context));
    }
    random_graph_finish(&g, seed, all);
    return g;
}

static void drop_graph(random_graph *g) {
    cot_graph_destroy(g->graph);
    cot_variable_release(g->variable);
}

/* A row count for the seed; 1 where nothing depends on it. */
static int64_t rows_for(const random_graph *g, uint64_t seed) {
    for (uint32_t id = 1; id < g->graph->node.count; id++) {
        const coti_node *node = coti_node_at(g->graph, id);
        if (node->shape.batched || node->op == COT_OP_ROWS) {
            return row_counts[seed % (sizeof row_counts / sizeof row_counts[0])];
        }
    }
    return 1;
}

static void check_seed(uint64_t seed) {
    pool p = {NULL};
    random_graph g = fresh_graph(fused, seed, true);
    int64_t rows = rows_for(&g, seed);
    outcome all = run_graph(&p, fused, &g, seed, rows, 1);
    check_every_node(&p, &g, seed, rows, &all);
    drop_graph(&g);
    g = fresh_graph(fused, seed, false);
    outcome few = run_graph(&p, fused, &g, seed, rows, 3);
    check_same(&p, &g, seed, rows, "fused, 3 threads", &few, &all);
    drop_graph(&g);
    g = fresh_graph(unfused, seed, false);
    outcome apart = run_graph(&p, unfused, &g, seed, rows, 1);
    check_same(&p, &g, seed, rows, "not fused", &apart, &all);
    drop_graph(&g);
    if (narrow != NULL) {
        g = fresh_graph(narrow, seed, false);
        outcome other = run_graph(&p, narrow, &g, seed, rows, 1);
        check_same(&p, &g, seed, rows, "narrower vectors", &other, &all);
        drop_graph(&g);
    }
    pool_empty(&p);
}

static void test_random_graphs(void **state) {
    (void)state;
    if (!coti_jit_available()) {
        skip();
    }
    for (size_t i = 0; i < sizeof past_seeds / sizeof past_seeds[0]; i++) {
        check_seed(past_seeds[i]);
    }
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        check_seed(seed);
    }
}

/* The generator itself: every op stands in some graph of the default seeds. */
static void test_all_ops_occur(void **state) {
    (void)state;
    int32_t count[COT_OP_COUNT] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        random_graph g = random_graph_make(fused, seed);
        CHECK_OK(fused, cot_error_get(fused).status);
        for (uint32_t id = 1; id < g.graph->node.count; id++) {
            count[coti_node_at(g.graph, id)->op]++;
        }
        drop_graph(&g);
    }
    for (int32_t op = 0; op < COT_OP_COUNT; op++) {
        if (count[op] < 10) {
            fail_msg("%s stands %d times in 200 graphs", cot_op_name((cot_op)op), count[op]);
        }
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ops_occur),
        cmocka_unit_test(test_random_graphs),
    };
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    coti_target target;
    fused = cot_context_create(&options);
    if (fused != NULL && coti_jit_available() && coti_jit_target(fused, &target) == COT_OK &&
        target.isa == COT_ISA_AVX512) {
        options.isa = COT_ISA_AVX2;
        narrow = cot_context_create(&options);
        options.isa = COT_ISA_DEFAULT;
    }
    options.fuse = COT_OFF;
    unfused = cot_context_create(&options);
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        n_seeds = strtoull(argv[2], NULL, 10);
    }
    int failed = fused == NULL || unfused == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    cot_context_destroy(narrow);
    cot_context_destroy(unfused);
    cot_context_destroy(fused);
    return failed;
}
