/*
 * The first value of a step that is not finite, exactly: small random training steps against the
 * evaluation of every one of their nodes, in order, with and without values that are computed
 * again, by one thread and two; what hides a NaN; what is infinite and no fault.
 */
#include "frontend_support.h"

#include "frontend/training/instruments.h"
#include "graph/graph.h"

enum {
    COLUMNS = 4,
    MOST_ROWS = 2000,
    MOST_POOL = 32,
    MOST_NODES = 600,
    N_TRIALS = 150,
    N_STEPS = 3
};

/* ---- a random training step ---- */

typedef struct step {
    cot_context *context;
    cot_graph *graph;
    cot_variable *kernel, *bias;
    cot_value pool[MOST_POOL]; /* f32 [N,COLUMNS] */
    int n;
    uint64_t state; /* of the generator */
} step;

static uint32_t draw(step *s, uint32_t n) {
    s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(s->state >> 33) % n;
}

/* One of the values so far, rather a late one. */
static cot_value some(step *s) {
    int back = (int)draw(s, 3);
    return s->pool[back < s->n ? s->n - 1 - back : 0];
}

static cot_value number(cot_value like, double value) {
    return cot_op_constant(like.graph, cot_value_dtype(like), value);
}

/* The largest of each element and its neighbours: a pool, padded with -infinity. */
static cot_value pool_of_three(cot_value x) {
    static const int64_t low[2] = {0, 1}, high[2] = {0, 1}, stride[2] = {1, 1};
    const int64_t size[2] = {1, COLUMNS};
    cot_value padded = cot_op_pad(x, low, high, -INFINITY), most = {NULL, 0};
    for (int64_t i = 0; i < 3; i++) {
        const int64_t start[2] = {0, i};
        cot_value part = cot_op_slice(padded, start, size, stride);
        most = i == 0 ? part : cot_op_binary(COT_OP_MAX, most, part);
    }
    return most;
}

/* Sums of rows, of x made larger, in f64 and back. */
static cot_value in_double(cot_value x) {
    static const int32_t last[1] = {-1};
    cot_value wide = cot_op_cast(x, COT_F64);
    cot_value sum = cot_op_reduce(COT_OP_SUM, cot_op_binary(COT_OP_MUL, wide, number(wide, 1e15)),
                                  last, 1, true);
    return cot_op_binary(COT_OP_ADD, x, cot_op_cast(sum, COT_F32));
}

static cot_value turned(cot_value x) {
    static const int32_t swap[3] = {0, 2, 1};
    const cot_shape apart = {.rank = 3, .dim = {1, 2, COLUMNS / 2}, .batched = true};
    return cot_op_reshape(cot_op_permute(cot_op_reshape(x, apart), swap, 3), cot_value_shape(x));
}

static cot_value unary(step *s, cot_value x) {
    static const cot_op ops[] = {COT_OP_EXP,  COT_OP_LOG, COT_OP_SQRT, COT_OP_TANH, COT_OP_SIGMOID,
                                 COT_OP_RELU, COT_OP_NEG, COT_OP_ABS,  COT_OP_EXP,  COT_OP_RELU};
    return cot_op_unary(ops[draw(s, sizeof ops / sizeof ops[0])], x);
}

static cot_value binary(step *s, cot_value x) {
    static const cot_op ops[] = {COT_OP_ADD, COT_OP_SUB, COT_OP_MUL,
                                 COT_OP_DIV, COT_OP_MAX, COT_OP_MIN};
    return cot_op_binary(ops[draw(s, sizeof ops / sizeof ops[0])], x, some(s));
}

static cot_value grown(step *s) {
    static const int32_t last[1] = {-1};
    cot_value x = some(s);
    switch (draw(s, 14)) {
    case 0:
    case 1:
    case 2:
        return binary(s, x);
    case 3:
    case 4:
    case 5:
        return unary(s, x);
    case 6:
        return cot_op_matmul(x, cot_op_state(s->graph, s->kernel));
    case 7:
        return cot_op_binary(COT_OP_ADD, x, cot_op_state(s->graph, s->bias));
    case 8:
        return cot_op_select(cot_op_binary(COT_OP_GT, x, number(x, 0.0)), some(s), number(x, 0.25));
    case 9:
        return cot_op_binary(draw(s, 2) == 0 ? COT_OP_MAX : COT_OP_MIN, x,
                             number(x, draw(s, 2) == 0 ? INFINITY : -INFINITY));
    case 10:
        return pool_of_three(x);
    case 11:
        return cot_op_binary(COT_OP_SUB, x, cot_op_reduce(COT_OP_REDUCE_MAX, x, last, 1, true));
    case 12:
        return in_double(x);
    default:
        return draw(s, 2) == 0 ? turned(x) : cot_op_softmax(x);
    }
}

static cot_status descend(cot_value loss, step *s) {
    cot_value state[2] = {cot_op_state(s->graph, s->kernel), cot_op_state(s->graph, s->bias)};
    cot_value gradient[2];
    COTI_TRY(cot_grad(loss, state, 2, gradient));
    for (int i = 0; i < 2; i++) {
        cot_value change = cot_op_binary(COT_OP_MUL, gradient[i], number(gradient[i], 0.125));
        COTI_TRY(cot_graph_update(state[i], cot_op_binary(COT_OP_SUB, state[i], change)));
    }
    return COT_OK;
}

/* The same for the same seed, in any context. */
static step step_make(cot_context *context, uint64_t seed) {
    static const int32_t both[2] = {0, 1};
    step s = {.context = context, .graph = cot_graph_create(context, "step"), .state = seed};
    const cot_shape square = {.rank = 2, .dim = {COLUMNS, COLUMNS}},
                    row = {.rank = 1, .dim = {COLUMNS}},
                    rows = {.rank = 2, .dim = {1, COLUMNS}, .batched = true};
    s.kernel = cot_variable_create(context, COT_F32, square, "kernel");
    s.bias = cot_variable_create(context, COT_F32, row, "bias");
    s.pool[s.n++] = cot_op_input(s.graph, COT_F32, rows, "x");
    int length = 3 + (int)draw(&s, 12);
    bool again = draw(&s, 2) == 0;
    while (s.n < length) {
        if (again && s.n % 3 == 1) {
            cot_graph_set_remat(s.graph, true);
        }
        s.pool[s.n] = grown(&s);
        s.n++;
    }
    cot_graph_set_remat(s.graph, false);
    cot_value y = cot_op_matmul(s.pool[s.n - 1], cot_op_state(s.graph, s.kernel));
    y = cot_op_binary(COT_OP_ADD, y, cot_op_state(s.graph, s.bias));
    cot_value loss = cot_op_mean(cot_op_binary(COT_OP_MUL, y, y), both, 2, false);
    CHECK_OK(context, descend(loss, &s));
    return s;
}

static void step_free(step *s) {
    cot_graph_destroy(s->graph);
    cot_variable_release(s->kernel);
    cot_variable_release(s->bias);
    cot_context_destroy(s->context);
}

/* ---- every node of it ---- */

/* The nodes that a step's updates depend on and that compute floats: place by place. */
static int watched_nodes(const cot_graph *graph, uint32_t *node_out) {
    size_t n = graph->node.count;
    unsigned char *needed = calloc(n, 1);
    int n_found = 0;
    assert_non_null(needed);
    for (size_t i = 0; i < graph->update.count; i++) {
        needed[graph->update.data[i].value] = 1;
    }
    for (size_t i = n; i-- > 1;) {
        const coti_node *node = coti_node_at(graph, (uint32_t)i);
        for (int32_t k = 0; needed[i] != 0 && k < node->n_inputs; k++) {
            needed[node->input[k]] = 1;
        }
    }
    for (uint32_t i = 1; i < n; i++) {
        const coti_node *node = coti_node_at(graph, i);
        coti_kind kind = coti_op_table[node->op].kind;
        bool is_float = node->dtype == COT_F32 || node->dtype == COT_F64;
        if (needed[i] != 0 && is_float && kind != COTI_KIND_LEAF && kind != COTI_KIND_VIEW) {
            assert_true(n_found < MOST_NODES);
            node_out[n_found++] = i;
        }
    }
    free(needed);
    return n_found;
}

static int64_t elements_of(const cot_graph *graph, uint32_t id, int64_t rows) {
    int64_t n = 0;
    assert_true(coti_shape_elements(&coti_node_at(graph, id)->shape, rows, &n));
    return n;
}

static bool is_bad(const cot_graph *graph, uint32_t id, const void *data, int64_t n) {
    bool bad = false;
    for (int64_t i = 0; i < n; i++) {
        bad = bad ||
              (coti_node_at(graph, id)->dtype == COT_F32 ? !isfinite(((const float *)data)[i])
                                                         : !isfinite(((const double *)data)[i]));
    }
    return bad;
}

/* Every node of a step, as outputs of a session. */
typedef struct all_nodes {
    step step;
    uint32_t node[MOST_NODES];
    void *data[MOST_NODES];
    int n;
    cot_program *program;
    cot_session *session;
} all_nodes;

static cot_session *session_of(cot_program *program, cot_context *context) {
    if (program == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    cot_session *session = cot_session_create(program);
    assert_non_null(session);
    return session;
}

static all_nodes *all_nodes_make(step s) {
    all_nodes *a = calloc(1, sizeof *a);
    const cot_program_options options = {.struct_size = sizeof options, .max_rows = MOST_ROWS};
    assert_non_null(a);
    a->step = s;
    a->n = watched_nodes(s.graph, a->node);
    for (int i = 0; i < a->n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        CHECK_OK(s.context, cot_graph_output((cot_value){s.graph, a->node[i]}, name));
    }
    a->program = cot_program_create(s.graph, &options);
    a->session = session_of(a->program, s.context);
    for (int i = 0; i < a->n; i++) {
        char name[16];
        size_t bytes = 8 * (size_t)elements_of(s.graph, a->node[i], MOST_ROWS);
        (void)snprintf(name, sizeof name, "n%d", i);
        a->data[i] = malloc(bytes);
        assert_non_null(a->data[i]);
        size_t exact = bytes / 8 * cot_dtype_bytes(coti_node_at(s.graph, a->node[i])->dtype);
        CHECK_OK(s.context, cot_session_bind_output(a->session, name, a->data[i], exact));
    }
    return a;
}

static void all_nodes_free(all_nodes *a) {
    for (int i = 0; i < a->n; i++) {
        free(a->data[i]);
    }
    cot_session_destroy(a->session);
    cot_program_destroy(a->program);
    step_free(&a->step);
    free(a);
}

static void copy_variable(const cot_variable *from, cot_variable *to) {
    float data[COLUMNS * COLUMNS];
    size_t bytes = (size_t)count_of(from) * sizeof *data;
    assert_int_equal(cot_variable_get(from, data, bytes), COT_OK);
    assert_int_equal(cot_variable_set(to, data, bytes), COT_OK);
}

/* The first node that is bad in a step on these weights; 0: none. */
static uint32_t first_of_all(all_nodes *a, const step *like, const cot_array *x) {
    copy_variable(like->kernel, a->step.kernel);
    copy_variable(like->bias, a->step.bias);
    CHECK_OK(a->step.context, cot_session_bind(a->session, "x", x));
    CHECK_OK(a->step.context, cot_session_run(a->session, x->n_rows));
    for (int i = 0; i < a->n; i++) {
        if (is_bad(a->step.graph, a->node[i], a->data[i],
                   elements_of(a->step.graph, a->node[i], x->n_rows))) {
            return a->node[i];
        }
    }
    return 0;
}

/* ---- the watch ---- */

typedef struct watch {
    step step;
    coti_instruments *instruments;
    cot_program *program;
    cot_session *session;
} watch;

/* Every node gets a layer of its own, by which the watch names it. */
static void name_nodes(cot_graph *graph) {
    for (size_t i = 1; i < graph->node.count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", (unsigned)i);
        graph->node.data[i].layer = coti_arena_strdup(&graph->arena, name);
        assert_non_null(graph->node.data[i].layer);
    }
}

static watch watch_make(step s) {
    watch w = {.step = s};
    cot_value first;
    const cot_program_options options = {.struct_size = sizeof options, .max_rows = MOST_ROWS};
    CHECK_OK(s.context,
             coti_instruments_create(s.context, COT_INSTRUMENT_NONFINITE, &w.instruments));
    name_nodes(s.graph);
    CHECK_OK(s.context, coti_find_nonfinite(w.instruments, s.graph, s.graph->node.count, &first));
    CHECK_OK(s.context, cot_graph_output(first, "first"));
    w.program = cot_program_create(s.graph, &options);
    w.session = session_of(w.program, s.context);
    return w;
}

static void watch_free(watch *w) {
    cot_session_destroy(w->session);
    cot_program_destroy(w->program);
    coti_instruments_destroy(w->instruments);
    step_free(&w->step);
}

/* The node that the watch names in a step, which it takes; 0: none. */
static uint32_t first_watched(watch *w, const cot_array *x) {
    double first = -2.0;
    CHECK_OK(w->step.context, cot_session_bind(w->session, "x", x));
    CHECK_OK(w->step.context, cot_session_bind_output(w->session, "first", &first, sizeof first));
    CHECK_OK(w->step.context, cot_session_run(w->session, x->n_rows));
    assert_true(first >= -1.0 && first < (double)w->instruments->watched.count);
    return first < 0.0 ? 0 : (uint32_t)atoi(w->instruments->watched.data[(size_t)first].layer);
}

/* ---- both ---- */

/* Eighths in [-2, 2], few of them rather large; and, if wanted, a NaN or an infinity. */
static void fill_rows(float *x, int64_t n, uint64_t seed) {
    step s = {.state = seed};
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)((int)draw(&s, 33) - 16) / 8.0f;
    }
    if (draw(&s, 4) == 0) {
        x[draw(&s, (uint32_t)n)] = 96.0f;
    }
    if (draw(&s, 4) == 0) {
        static const float bad[3] = {NAN, INFINITY, -INFINITY};
        x[draw(&s, (uint32_t)n)] = bad[draw(&s, 3)];
    }
}

/* How the trials ended. */
typedef struct tally {
    int none, some, at_rounding;
} tally;

/* Kernels may round otherwise than the evaluator, so that one overflows and the other does not: the
 * nodes as kernels give them, one by one, then tell who is right. */
static void compare(uint64_t seed, watch *w, all_nodes *a, const cot_array *x, tally *t) {
    step before = step_make(new_context_of(1, false, 1), seed);
    copy_variable(w->step.kernel, before.kernel);
    copy_variable(w->step.bias, before.bias);
    uint32_t expected = first_of_all(a, &w->step, x), found = first_watched(w, x);
    t->none += expected == 0;
    t->some += expected != 0;
    if (found != expected && use_jit) {
        all_nodes *compiled = all_nodes_make(step_make(new_context_of(1, true, 1), seed));
        expected = first_of_all(compiled, &before, x);
        t->at_rounding++;
        all_nodes_free(compiled);
    }
    step_free(&before);
    if (found != expected) {
        fail_msg("seed %d: node %u (%s) is the first, expected %u (%s)", (int)seed, found,
                 coti_op_table[coti_node_at(w->step.graph, found)->op].name, expected,
                 coti_op_table[coti_node_at(w->step.graph, expected)->op].name);
    }
}

static void trial(uint64_t seed, int32_t threads, tally *t) {
    static float x[MOST_ROWS * COLUMNS];
    const int64_t rows = seed % 10 == 0 ? MOST_ROWS : 1 + (int64_t)(seed * 7 % 40);
    watch w = watch_make(step_make(new_context_of(1, use_jit, threads), seed));
    all_nodes *a = all_nodes_make(step_make(new_context_of(1, false, 1), seed));
    set_weight(w.step.context, w.step.kernel, (int64_t)seed);
    set_weight(w.step.context, w.step.bias, (int64_t)seed + 5);
    for (uint64_t i = 0; i < N_STEPS; i++) {
        fill_rows(x, rows * COLUMNS, seed * 8 + i);
        const cot_array array = array_of(x, rows, COLUMNS);
        compare(seed, &w, a, &array, t);
    }
    all_nodes_free(a);
    watch_free(&w);
}

static void against_every_node(void **state) {
    (void)state;
    tally t = {0, 0, 0};
    for (uint64_t seed = 1; seed <= (use_jit ? N_TRIALS / 3 : N_TRIALS); seed++) {
        trial(seed, 1 + (int32_t)(seed % 2), &t);
    }
    assert_true(t.none >= 20 && t.some >= 20 && t.at_rounding <= 3);
}

/* ---- what hides a NaN, and what is infinite by intent ---- */

static cot_value zero_of(cot_value x) {
    return number(x, 0.0);
}

/* Each is given x and makes an f32 of its shape; `first` is the operation that the watch is to
 * name when x has a NaN, "" if none. */
static cot_value relu_of(cot_value x) {
    return cot_op_unary(COT_OP_RELU, x);
}
static cot_value most_of(cot_value x) {
    return cot_op_binary(COT_OP_MAX, x, zero_of(x));
}
static cot_value relu_of_a_view(cot_value x) {
    return relu_of(turned(x));
}
/* The comparison hides it: nothing that is computed is bad. */
static cot_value step_of(cot_value x) {
    return cot_op_select(cot_op_binary(COT_OP_GT, x, zero_of(x)), number(x, 1.0), zero_of(x));
}
/* Hidden at first, seen by a later reader. */
static cot_value step_and_more(cot_value x) {
    return cot_op_binary(COT_OP_MUL, step_of(x), cot_op_unary(COT_OP_TANH, x));
}
/* Computed, then hidden by what reads it. */
static cot_value step_of_exp(cot_value x) {
    return step_of(cot_op_unary(COT_OP_EXP, x));
}
static cot_value truncated(cot_value x) {
    return cot_op_cast(cot_op_cast(cot_op_unary(COT_OP_EXP, x), COT_I32), COT_F32);
}
/* Chosen against: what is chosen is finite. */
static cot_value replaced(cot_value x) {
    return cot_op_select(cot_op_binary(COT_OP_EQ, x, x), x, zero_of(x));
}
static cot_value pooled(cot_value x) {
    return pool_of_three(x);
}
static cot_value clipped_from_nowhere(cot_value x) {
    cot_value y = cot_op_binary(COT_OP_MAX, replaced(x), number(x, -INFINITY));
    return cot_op_binary(COT_OP_MIN, y, number(x, INFINITY));
}
/* The pad's -infinity is in a view; the largest of each row is finite. */
static cot_value row_maximum(cot_value x) {
    static const int64_t low[2] = {0, 0}, high[2] = {0, 3};
    static const int32_t last[1] = {-1};
    cot_value y = cot_op_pad(replaced(x), low, high, -INFINITY);
    return cot_op_binary(COT_OP_SUB, replaced(x),
                         cot_op_reduce(COT_OP_REDUCE_MAX, y, last, 1, true));
}
/* A mask's low value, as attention and the masked softmax have it. */
static cot_value masked(cot_value x) {
    cot_value seen = cot_op_binary(COT_OP_GT, replaced(x), zero_of(x));
    return cot_op_softmax(cot_op_select(seen, replaced(x), number(x, -0.7 * (double)3.4e38f)));
}
/* A mask of -infinity is a value that is not finite. */
static cot_value masked_by_infinity(cot_value x) {
    cot_value seen = cot_op_binary(COT_OP_GT, replaced(x), zero_of(x));
    return cot_op_select(seen, replaced(x), number(x, -INFINITY));
}

static void what_hides_a_nan(void **state) {
    (void)state;
    static const struct {
        cot_value (*build)(cot_value x);
        const char *with_nan, *without;
    } cases[] = {{relu_of, "relu", ""},
                 {most_of, "max", ""},
                 {relu_of_a_view, "relu", ""},
                 {step_of, "", ""},
                 {step_and_more, "tanh", ""},
                 {step_of_exp, "exp", ""},
                 {truncated, "exp", ""},
                 {replaced, "", ""},
                 {pooled, "max", ""},
                 {clipped_from_nowhere, "", ""},
                 {row_maximum, "", ""},
                 {masked, "", ""},
                 {masked_by_infinity, "select", "select"}};
    const cot_shape rows = {.rank = 2, .dim = {1, COLUMNS}, .batched = true};
    float x[8 * COLUMNS];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const int32_t all[2] = {0, 1};
        cot_context *context = new_context_of(1, use_jit, 1);
        step s = {.context = context, .graph = cot_graph_create(context, "step")};
        s.kernel = cot_variable_create(context, COT_F32, (cot_shape){.rank = 0}, "sum");
        cot_value y = cases[i].build(cot_op_input(s.graph, COT_F32, rows, "x"));
        cot_value sum = cot_op_reduce(COT_OP_SUM, y, all, 2, false);
        CHECK_OK(context, cot_graph_update(cot_op_state(s.graph, s.kernel), sum));
        watch w = watch_make(s);
        for (int bad = 0; bad < 2; bad++) {
            fill_rows(x, 8 * COLUMNS, 3);
            x[9] = bad == 1 ? NAN : 1.0f;
            const cot_array array = array_of(x, 8, COLUMNS);
            uint32_t found = first_watched(&w, &array);
            const char *name =
                found != 0 ? coti_op_table[coti_node_at(s.graph, found)->op].name : "";
            const char *expected = bad == 1 ? cases[i].with_nan : cases[i].without;
            if (strcmp(name, expected) != 0) {
                fail_msg("case %d: \"%s\" is the first, expected \"%s\"", (int)i, name, expected);
            }
        }
        watch_free(&w);
    }
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_every_node),
        cmocka_unit_test(what_hides_a_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
