/*
 * Every op case on compiled kernels against the reference evaluator: as a graph of one op through
 * cot_program_create and cot_session_run, for each instruction set that the host has; plainly and
 * with operands that are views; 1 to 128 rows, compiled for at most 128 and 256 (sums: 600,
 * compiled for 640 and 1280); 1, 2 and 4 threads, between which every bit must be equal. A case
 * that falls back to the evaluator fails.
 *
 * test_ops_jit [quick|PATTERN]. Everything takes a minute, most of it LLVM's; "quick" runs every
 * sixth shape, on one instruction set by turns. One cmocka test an op and instruction set; a
 * pattern picks some of them, as in "dot on *".
 */
#include "check.h"
#include "codegen/jit.h"
#include "graph/graph.h"
#include "jit_run.h"

#include <math.h>

/* The last one, for sums alone: it takes them past a block of rows. */
static const int64_t batches[] = {1, 15, 16, 17, 128, 600};
enum { N_BATCHES = sizeof batches / sizeof batches[0], SUM_FACTOR = 5 };

/*
 * The first one's results are held to the evaluator, the others' to the first one's bits. max_rows
 * is SUM_FACTOR times as much for sums.
 */
static const jit_setup setups[] = {{128, 1}, {128, 2}, {128, 4}, {256, 2}};
enum { N_SETUPS = sizeof setups / sizeof setups[0] };

static const struct {
    cot_isa isa;
    const char *name;
} isas[] = {{COT_ISA_BASELINE, "baseline"}, {COT_ISA_AVX2, "avx2"}, {COT_ISA_AVX512, "avx512"}};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

typedef struct op_on_isa {
    cot_op op;
    int32_t isa;
    char name[48];
} op_on_isa;

static cot_context *contexts[N_ISAS]; /* the host has the first n_contexts, the last is its best */
static int32_t n_contexts;
static bool quick;

static bool is_sum(cot_op op) {
    return op == COT_OP_SCATTER_ADD || coti_op_table[op].kind == COTI_KIND_REDUCE ||
           coti_op_table[op].kind == COTI_KIND_CONTRACT;
}

/* ---- one trial ---- */

/* What is done with a trial: operands through a view or given, the result given or evaluated. */
typedef struct treatment {
    operand_view view;
    const tensor *operand, *want; /* NULL: made; evaluated */
    tolerance tol;
} treatment;

/* The evaluator's result on the case's inputs, or on their absolute values. */
static bool evaluate(pool *p, const graph_case *g, int64_t rows, bool absolute, tensor *out) {
    graph_case own = *g;
    for (int32_t i = 0; absolute && i < g->n; i++) {
        if (g->input[i].dtype != COT_F32 && g->input[i].dtype != COT_F64) {
            continue; /* an index, which says where */
        }
        own.input[i].v = pool_take(p, (size_t)g->input[i].count, sizeof(long double));
        for (int64_t e = 0; e < g->input[i].count; e++) {
            own.input[i].v[e] = fabsl(g->input[i].v[e]);
        }
    }
    return eval_graph_case(p, &own, rows, out);
}

/* Run the case under every setup. NULL when all is well. */
static const char *run_setups(char why[256], pool *p, const jit_run *run, const graph_case *g,
                              int64_t rows, const tensor *want, tolerance tol) {
    static const tolerance same = EXACT;
    tensor magnitude = {.v = NULL}, first = {.v = NULL}, got;
    if (tol.kind == TOL_ABS_SUM && !evaluate(p, g, rows, true, &magnitude)) {
        return cot_error_message(cot_graph_context(g->graph));
    }
    for (int32_t s = 0; s < N_SETUPS; s++) {
        const char *wrong = jit_step(why, p, &run[s], g, rows, &got);
        if (wrong == NULL) {
            wrong = s == 0 ? compare(why, &got, want, &magnitude, tol)
                           : compare(why, &got, &first, NULL, same);
        }
        if (wrong != NULL) {
            char text[256];
            snprintf(text, sizeof text, "%s", wrong);
            snprintf(why, 256, "max_rows %lld, %d threads: %.200s", (long long)setups[s].max_rows,
                     setups[s].threads, text);
            return why;
        }
        first = s == 0 ? got : first;
    }
    return NULL;
}

/* One row count: the same program on operands of as many rows. */
static const char *check_rows(char why[256], cot_context *context, const jit_run *run,
                              const trial *t, const treatment *how) {
    pool p = {NULL};
    graph_case g = make_graph_case(&p, context, t, how->view, how->operand);
    tensor want;
    const char *wrong = NULL;
    if (how->want != NULL) {
        want = *how->want;
    } else if (!evaluate(&p, &g, t->rows, false, &want)) {
        wrong = cot_error_message(context);
    }
    wrong = wrong != NULL ? wrong : run_setups(why, &p, run, &g, t->rows, &want, how->tol);
    cot_graph_destroy(g.graph);
    pool_empty(&p);
    return wrong;
}

/*
 * A trial with every row count, on one program a setup. False: the view does not apply to the
 * trial's shapes.
 */
static bool check_trial(cot_context *context, trial *t, treatment how) {
    pool p = {NULL};
    char text[512], why[256];
    jit_run run[N_SETUPS] = {{NULL, NULL}};
    t->rows = 1;
    graph_case g = make_graph_case(&p, context, t, how.view, how.operand);
    bool applies = how.view == VIEW_NONE || g.viewed;
    const char *wrong = g.result.graph == NULL ? cot_error_message(context) : NULL;
    for (int32_t s = 0; applies && s < N_SETUPS && wrong == NULL; s++) {
        jit_setup setup = setups[s];
        setup.max_rows *= is_sum(t->op) ? SUM_FACTOR : 1;
        wrong = jit_open(why, &g, setup, &run[s]);
    }
    int32_t n_batches = !t->batched ? 1 : is_sum(t->op) ? N_BATCHES : N_BATCHES - 1;
    for (int32_t b = 0; applies && b < n_batches && wrong == NULL; b++) {
        t->rows = batches[b];
        wrong = check_rows(why, context, run, t, &how);
    }
    if (applies && wrong != NULL) {
        fail_msg("%s %s: %s", trial_text(text, t), view_name(how.view), wrong);
    }
    for (int32_t s = 0; s < N_SETUPS; s++) {
        jit_close(&run[s]);
    }
    cot_graph_destroy(g.graph);
    pool_empty(&p);
    return applies;
}

/* ---- cases ---- */

/* Does alternative k of a case run on this instruction set? f32 everywhere, others less often. */
static bool is_chosen(int32_t k, cot_dtype dtype, int32_t isa) {
    int32_t turn = k / n_contexts; /* quick: every instruction set is met once a turn */
    if (quick) {
        return k % n_contexts == isa &&
               (dtype == COT_F32 ? turn % 6 == 0 : (turn + (int32_t)dtype) % 8 == 0);
    }
    return dtype == COT_F32 || isa == n_contexts - 1 || (k + isa) % 3 == 0;
}

/* Operands through a view: by turns one of those that apply. False: none does. */
static bool check_viewed(cot_context *context, const op_case *c, trial *t, int32_t k) {
    bool done = false;
    for (int32_t v = 1; v < N_VIEWS && !done && takes_inputs(c->op); v++) {
        operand_view view = (operand_view)(1 + (k + v) % (N_VIEWS - 1));
        done = check_trial(context, t, (treatment){view, NULL, NULL, c->jit});
    }
    return done;
}

/* Chosen alternatives, plainly and in f32 through a view; quick: one of the two by turns. */
static void check_case(cot_context *context, const op_case *c, cot_dtype dtype, int32_t isa) {
    char where[64];
    snprintf(where, sizeof where, "ops_cases.def:%d", c->line);
    const char *cursor = c->shapes;
    trial t;
    for (int32_t k = c->line; next_trial(c, dtype, &cursor, &t); k++) {
        t.where = where;
        if (is_chosen(k, dtype, isa)) {
            bool wants_view = dtype == COT_F32 && (!quick || k / n_contexts % 12 == 0);
            bool viewed = wants_view && check_viewed(context, c, &t, k);
            if (!viewed || !quick) {
                check_trial(context, &t, (treatment){VIEW_NONE, NULL, NULL, c->jit});
            }
        }
    }
}

static bool check_literal(cot_context *context, const op_literal *literal) {
    pool p = {NULL};
    char where[64];
    trial t;
    tensor operand[MAX_OPERANDS], want;
    const op_case *usual = first_case(literal->op);
    snprintf(where, sizeof where, "ops_cases.def:%d", literal->line);
    literal_trial(&p, literal, &t, operand);
    t.where = where;
    bool runs = (usual->jit_dtypes & 1u << t.dtype) != 0;
    const char *cursor = literal->result;
    if (runs && next_literal(&p, &cursor, &want)) {
        check_trial(context, &t, (treatment){VIEW_NONE, operand, &want, usual->jit});
    }
    pool_empty(&p);
    return runs;
}

static void test_op(void **state) {
    const op_on_isa *what = *state;
    cot_context *context = contexts[what->isa];
    int32_t n_checked = 0;
    if (context == NULL) {
        skip();
    }
    for (int32_t i = 0; i < n_op_cases; i++) {
        for (int32_t d = 0; op_cases[i].op == what->op && d <= COT_BOOL; d++) {
            if (op_cases[i].jit_dtypes & 1u << d) {
                check_case(context, &op_cases[i], (cot_dtype)d, what->isa);
                n_checked++;
            }
        }
    }
    for (int32_t i = 0; i < n_op_literals; i++) {
        if (op_literals[i].op == what->op) {
            n_checked += check_literal(context, &op_literals[i]);
        }
    }
    assert_true(n_checked >= 1);
}

/* A context for an instruction set; NULL when this build or this host lacks it. */
static cot_context *context_for(cot_isa isa) {
    cot_options options = {.struct_size = sizeof options, .isa = isa, .environment = COT_OFF};
    cot_context *context = coti_jit_available() ? cot_context_create(&options) : NULL;
    coti_target target;
    if (context != NULL && coti_jit_target(context, &target) != COT_OK) {
        cot_context_destroy(context);
        return NULL;
    }
    return context;
}

int main(int argc, char **argv) {
    static op_on_isa what[N_ISAS * COT_OP_COUNT];
    static struct CMUnitTest test[N_ISAS * COT_OP_COUNT];
    for (int32_t i = 0; i < N_ISAS * COT_OP_COUNT; i++) {
        what[i] = (op_on_isa){(cot_op)(i % COT_OP_COUNT), i / COT_OP_COUNT, ""};
        snprintf(what[i].name, sizeof what[i].name, "%s on %s", cot_op_name(what[i].op),
                 isas[what[i].isa].name);
        test[i] = (struct CMUnitTest){what[i].name, test_op, NULL, NULL, &what[i]};
    }
    quick = argc == 2 && strcmp(argv[1], "quick") == 0;
    if (argc == 2 && !quick) {
        cmocka_set_test_filter(argv[1]);
    }
    while (n_contexts < N_ISAS &&
           (contexts[n_contexts] = context_for(isas[n_contexts].isa)) != NULL) {
        n_contexts++;
    }
    int failed = cmocka_run_group_tests(test, NULL, NULL);
    for (int32_t i = 0; i < N_ISAS; i++) {
        cot_context_destroy(contexts[i]);
    }
    return failed;
}
