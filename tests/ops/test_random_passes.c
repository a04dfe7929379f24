/*
 * The graph's own machinery on 200 random graphs: the verifier accepts them, their text reads back
 * to the same text, and each pass keeps what the evaluator computes in every bit but the sign of
 * zeros, updates included. And the composites: their decompositions against the evaluator's closed
 * forms.
 */
#include "check.h"
#include "graph/graph.h"
#include "graph_case.h"
#include "random_graph.h"

enum { N_SEEDS = 200, ROWS = 3 };

static cot_context *context;

/* ---- text ---- */

static bool append(const char *text, size_t bytes, void *str) {
    coti_str_append_bytes(str, text, bytes);
    return true;
}

static coti_str text_of(const cot_graph *graph) {
    coti_str text;
    coti_str_init(&text, context);
    CHECK_OK(context, cot_graph_print(graph, append, &text));
    return text;
}

static void check_text(const cot_graph *graph) {
    coti_str first = text_of(graph);
    cot_graph *read = cot_graph_parse(context, first.data, first.count);
    if (read == NULL) {
        fail_msg("%s:\n%s", cot_error_message(context), first.data);
    }
    CHECK_OK(context, coti_graph_verify(read));
    coti_str second = text_of(read);
    assert_string_equal(first.data, second.data);
    coti_str_free(&first);
    coti_str_free(&second);
    cot_graph_destroy(read);
}

/* ---- passes ---- */

typedef cot_status (*pass_fn)(const cot_graph *graph, cot_graph **result_out, bool *changed_out);

static const struct {
    const char *name;
    pass_fn run;
} passes[] = {{"simplify", coti_pass_simplify},
              {"fold", coti_pass_fold},
              {"cse", coti_pass_cse},
              {"dce", coti_pass_dce}};
enum { N_PASSES = sizeof passes / sizeof passes[0], MAX_OUTPUTS = 256 };

/* What the evaluator makes of a graph: outputs, and the variable after the step (last). */
typedef struct evaluated {
    int32_t n;
    tensor v[MAX_OUTPUTS + 1];
} evaluated;

/* graph: g's own, or what a pass made of it. */
static evaluated *evaluate(pool *p, const random_graph *g, const cot_graph *graph, uint64_t seed) {
    evaluated *e = pool_take(p, 1, sizeof *e);
    coti_tensor input[MAX_GRAPH_INPUTS], output[MAX_OUTPUTS];
    assert_true(graph->output.count <= MAX_OUTPUTS);
    for (int32_t i = 0; i < MAX_GRAPH_INPUTS; i++) {
        tensor x = random_graph_input(p, g, seed, i, ROWS);
        input[i] = (coti_tensor){x.dtype, x.shape, tensor_bytes(p, &x)};
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        const coti_node *node = coti_node_at(graph, graph->output.data[i].value);
        tensor room = tensor_make(p, (cot_dtype)node->dtype, &node->shape, ROWS);
        output[i] = (coti_tensor){room.dtype, room.shape, tensor_bytes(p, &room)};
    }
    if (g->variable != NULL) {
        tensor w = random_graph_variable(p, g, seed);
        CHECK_OK(context,
                 cot_variable_set(g->variable, tensor_bytes(p, &w), (size_t)g->variable->bytes));
    }
    CHECK_OK(context, coti_eval_graph(graph, ROWS, input, output));
    for (size_t i = 0; i < graph->output.count; i++) {
        e->v[e->n++] = tensor_read(p, output[i].dtype, &output[i].shape, 1, output[i].data);
    }
    if (g->variable != NULL) {
        void *data = pool_take(p, (size_t)g->variable->bytes, 1);
        CHECK_OK(context, cot_variable_get(g->variable, data, (size_t)g->variable->bytes));
        e->v[e->n++] = tensor_read(p, COT_F32, &g->variable->shape, 1, data);
    }
    return e;
}

static void check_pass(pool *p, const random_graph *g, uint64_t seed, int32_t i_pass,
                       const evaluated *want) {
    static const tolerance same = ANY_ZERO;
    char why[256];
    cot_graph *result = NULL;
    bool changed = false;
    CHECK_OK(context, passes[i_pass].run(g->graph, &result, &changed));
    CHECK_OK(context, coti_graph_verify(result));
    coti_str before = text_of(g->graph), after = text_of(result);
    if (!changed) {
        assert_string_equal(before.data, after.data);
    }
    evaluated *got = evaluate(p, g, result, seed);
    assert_int_equal(got->n, want->n);
    for (int32_t i = 0; i < want->n; i++) {
        const char *wrong = compare(why, &got->v[i], &want->v[i], NULL, same);
        if (wrong != NULL) {
            fail_msg("seed %llu, %s, result %d: %s\n%s\nbecame\n%s", (unsigned long long)seed,
                     passes[i_pass].name, i, wrong, before.data, after.data);
        }
    }
    coti_str_free(&before);
    coti_str_free(&after);
    cot_graph_destroy(result);
}

static void test_texts_and_passes(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        pool p = {NULL};
        random_graph g = random_graph_make(context, seed);
        random_graph_finish(&g, seed, false);
        CHECK_OK(context, cot_error_get(context).status);
        CHECK_OK(context, coti_graph_verify(g.graph));
        check_text(g.graph);
        evaluated *want = evaluate(&p, &g, g.graph, seed);
        for (int32_t i = 0; i < N_PASSES; i++) {
            check_pass(&p, &g, seed, i, want);
        }
        cot_graph_destroy(g.graph);
        cot_variable_release(g.variable);
        pool_empty(&p);
    }
}

/* ---- asking first ---- */

/* What applies() says of a graph without dead nodes is what the pass then does. Returns the pass's
 * result in place of the graph. */
static cot_graph *check_applies(cot_graph *graph, bool fold, int32_t *n_applied) {
    cot_graph *result = NULL;
    bool changed = false, applies = false;
    CHECK_OK(context, fold ? coti_pass_fold(graph, &result, &changed)
                           : coti_pass_simplify(graph, &result, &changed));
    if (fold) {
        applies = coti_fold_applies(graph);
    } else {
        CHECK_OK(context, coti_simplify_applies(graph, &applies));
    }
    if (graph->body.count == 0) { /* of one with bodies it need not know */
        assert_int_equal(applies, changed);
    }
    assert_true(applies || !changed);
    *n_applied += applies;
    cot_graph_destroy(graph);
    return result;
}

static void test_asking_first(void **state) {
    (void)state;
    enum { ROUNDS = 3 };
    int32_t n_applied[2] = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        random_graph g = random_graph_make(context, seed);
        random_graph_finish(&g, seed, false);
        cot_graph *graph = NULL;
        bool changed = false;
        CHECK_OK(context, coti_pass_dce(g.graph, &graph, &changed));
        for (int32_t round = 0; round < 2 * ROUNDS; round++) {
            graph = check_applies(graph, round % 2 == 1, &n_applied[round % 2]);
        }
        cot_graph_destroy(graph);
        cot_graph_destroy(g.graph);
        cot_variable_release(g.variable);
    }
    assert_true(n_applied[0] > 0 && n_applied[0] < (int32_t)N_SEEDS * ROUNDS);
    assert_true(n_applied[1] > 0 && n_applied[1] < (int32_t)N_SEEDS * ROUNDS);
}

/* ---- two passes on one walk ---- */

/* Expanding and simplifying at once gives what one after the other does, to the letter. */
static void test_one_walk(void **state) {
    (void)state;
    int32_t n_simplified = 0;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        random_graph g = random_graph_make(context, seed);
        random_graph_finish(&g, seed, false);
        cot_graph *expanded = NULL, *apart = NULL, *at_once = NULL;
        bool changed = false, simplified = false;
        CHECK_OK(context, coti_pass_expand_for_kernels(g.graph, &expanded, &changed));
        CHECK_OK(context, coti_pass_simplify(expanded, &apart, &changed));
        CHECK_OK(context, coti_pass_expand_simplified(g.graph, &at_once, &simplified));
        CHECK_OK(context, coti_graph_verify(at_once));
        coti_str first = text_of(apart), second = text_of(at_once);
        assert_string_equal(first.data, second.data);
        assert_int_equal(simplified, changed);
        n_simplified += simplified;
        coti_str_free(&first);
        coti_str_free(&second);
        cot_graph_destroy(expanded);
        cot_graph_destroy(apart);
        cot_graph_destroy(at_once);
        cot_graph_destroy(g.graph);
        cot_variable_release(g.variable);
    }
    assert_true(n_simplified > 0);
}

/* ---- decompositions ---- */

static void check_decomposition(pool *p, const trial *t, tolerance tol) {
    char text[512], why[256];
    graph_case g = make_graph_case(p, context, t, VIEW_NONE, NULL), apart = g;
    tensor whole, parts, magnitude = {.v = NULL};
    bool changed = false;
    CHECK_OK(context, coti_pass_expand(g.graph, &apart.graph, &changed));
    assert_true(changed);
    CHECK_OK(context, coti_graph_verify(apart.graph));
    for (uint32_t id = 1; id < apart.graph->node.count; id++) {
        assert_true(coti_op_table[coti_node_at(apart.graph, id)->op].kind != COTI_KIND_COMPOSITE);
    }
    if (tol.kind == TOL_ABS_SUM) {
        expect_op(p, t, g.input, &magnitude);
    }
    apart.result = (cot_value){apart.graph, apart.graph->output.data[0].value};
    if (!eval_graph_case(p, &g, t->rows, &whole) || !eval_graph_case(p, &apart, t->rows, &parts)) {
        fail_msg("%s: %s", trial_text(text, t), cot_error_message(context));
    }
    const char *wrong = compare(why, &parts, &whole, &magnitude, tol);
    if (wrong != NULL) {
        fail_msg("%s decomposed: %s", trial_text(text, t), wrong);
    }
    cot_graph_destroy(g.graph);
    cot_graph_destroy(apart.graph);
    pool_empty(p);
}

/* One of the dtypes of a mask, by turns. */
static cot_dtype nth_dtype(unsigned dtypes, int32_t turn) {
    int32_t dtype = turn % 6;
    while ((dtypes >> dtype & 1) == 0) {
        dtype = (dtype + 1) % 6;
    }
    return (cot_dtype)dtype;
}

/* Every case of a composite, in each of its dtypes by turns, with the tolerance that the JIT has:
 * it runs the same steps. */
static void test_decompositions(void **state) {
    (void)state;
    pool p = {NULL};
    int32_t n_checked = 0;
    for (int32_t i = 0; i < n_op_cases; i++) {
        const op_case *c = &op_cases[i];
        const char *cursor = c->shapes;
        char where[64];
        trial t;
        snprintf(where, sizeof where, "ops_cases.def:%d", c->line);
        while (coti_op_table[c->op].kind == COTI_KIND_COMPOSITE &&
               next_trial(c, nth_dtype(c->eval_dtypes, n_checked), &cursor, &t)) {
            t.where = where;
            t.rows = ROWS;
            check_decomposition(&p, &t, c->jit);
            n_checked++;
        }
    }
    assert_true(n_checked > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_and_passes),
        cmocka_unit_test(test_asking_first),
        cmocka_unit_test(test_one_walk),
        cmocka_unit_test(test_decompositions),
    };
    context = cot_context_create(NULL);
    int failed = context == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    cot_context_destroy(context);
    return failed;
}
