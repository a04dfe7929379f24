/*
 * Attention of so many scores that it is a loop (graph/attention_loop.c): results and gradients on
 * kernels against those of the same formula written out, which is no loop, by the evaluator; the
 * same bits for any number of threads and rows; memory that grows with the tokens, not with their
 * square; and what is small as it was.
 */
#include "alloc_fail.h"
#include "check.h"

#include "codegen/compile.h"
#include "graph/attention.h"
#include "shapes.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERANDS = 5, OUTPUTS = 4 }; /* q, k, v, g, mask; y and the cotangents of q, k, v */

/* Shapes as in tests/grad_cases.def; mask NULL: none. */
typedef struct attention_case {
    cot_dtype dtype;
    const char *q, *k, *v, *y, *mask;
    bool causal;
} attention_case;

typedef struct net {
    cot_context *context;
    cot_graph *graph;
    cot_value x[OPERANDS];
    int32_t n_inputs;
} net;

static const cot_value none = {NULL, 0};

/* The formula, of a mask that is not yet broadcast. */
static cot_value written_out(const cot_value *x, cot_value mask, bool causal) {
    const cot_shape q = cot_value_shape(x[0]), k = cot_value_shape(x[1]);
    const int32_t rank = q.rank;
    const cot_dtype dtype = cot_value_dtype(x[0]);
    cot_shape square = {.rank = 2, .dim = {q.dim[rank - 2], k.dim[rank - 2]}};
    cot_value scores = coti_attention_dot(x[0], -1, x[1], -1);
    scores = cot_op_binary(COT_OP_MUL, scores,
                           cot_op_constant(x[0].graph, dtype, 1 / sqrt((double)q.dim[rank - 1])));
    const cot_value low =
        cot_op_constant(x[0].graph, dtype, -0.7 * (dtype == COT_F32 ? (double)FLT_MAX : DBL_MAX));
    if (mask.graph != NULL) {
        scores = cot_op_select(mask, scores, low);
    }
    if (causal) {
        scores = cot_op_select(cot_op_binary(COT_OP_GE, cot_op_iota(x[0].graph, COT_I32, square, 0),
                                             cot_op_iota(x[0].graph, COT_I32, square, 1)),
                               scores, low);
    }
    return coti_attention_dot(cot_op_softmax(scores), -1, x[2], -2);
}

/* In place of the cotangents of q, k and v those that they have from theirs, weighted. */
static void differentiate_again(net *n, cot_value grad[3]) {
    cot_value sum = none;
    for (int32_t i = 0; i < 3; i++) {
        const cot_shape shape = cot_value_shape(grad[i]);
        static const int32_t axes[] = {0, 1, 2, 3, 4};
        const cot_value square = cot_op_binary(COT_OP_MUL, grad[i], grad[i]);
        const cot_value part = cot_op_reduce(COT_OP_SUM, square, axes, shape.rank, false);
        sum = i == 0 ? part : cot_op_binary(COT_OP_ADD, sum, part);
    }
    CHECK_OK(n->context, cot_grad(sum, n->x, 3, grad));
}

/* loops: by ATTENTION, on kernels; else by the formula, at first order by the evaluator. */
static net make_net(const attention_case *c, int32_t threads, bool loops, int32_t order) {
    const cot_options options = {.struct_size = sizeof options,
                                 .threads = threads,
                                 .jit = loops || order > 1 ? COT_DEFAULT : COT_OFF,
                                 .environment = COT_OFF};
    const char *shape[OPERANDS] = {c->q, c->k, c->v, c->y, c->mask};
    net n = {.context = cot_context_create(&options), .n_inputs = c->mask != NULL ? 5 : 4};
    cot_value grad[3];
    n.graph = cot_graph_create(n.context, "net");
    for (int32_t i = 0; i < n.n_inputs; i++) {
        char name[2] = {"qkvgm"[i], 0};
        n.x[i] = cot_op_input(n.graph, i < 4 ? c->dtype : COT_BOOL, read_shape(shape[i]), name);
    }
    const cot_attention_options attention = {.struct_size = sizeof attention, .causal = c->causal};
    const cot_value mask = c->mask != NULL ? n.x[4] : none;
    const cot_value y = loops ? cot_op_attention(n.x[0], n.x[1], n.x[2], mask, &attention)
                              : written_out(n.x, mask, c->causal);
    CHECK_OK(n.context, cot_vjp(y, n.x[3], n.x, 3, grad));
    CHECK_OK(n.context, cot_graph_output(y, "y"));
    if (order > 1) {
        differentiate_again(&n, grad);
    }
    for (int32_t i = 0; i < 3; i++) {
        CHECK_OK(n.context, cot_graph_output(grad[i], (const char *[]){"dq", "dk", "dv"}[i]));
    }
    return n;
}

static void drop_net(net *n) {
    cot_graph_destroy(n->graph);
    cot_context_destroy(n->context);
}

/* ---- running ---- */

static int64_t count_of(cot_value value, int64_t rows) {
    const cot_shape shape = cot_value_shape(value);
    int64_t n = shape.batched ? rows : 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        n *= shape.dim[i];
    }
    return n;
}

static double number(int32_t input, int64_t i) {
    uint64_t z = ((uint64_t)i + 1) * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)input;
    z = (z ^ (z >> 31)) * UINT64_C(0xBF58476D1CE4E5B9);
    return (double)(z >> 40) * 0x1p-22 - 2;
}

static void fill(void *data, cot_dtype dtype, int32_t input, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (dtype == COT_F32) {
            ((float *)data)[i] = (float)number(input, i);
        } else if (dtype == COT_F64) {
            ((double *)data)[i] = number(input, i);
        } else {
            ((unsigned char *)data)[i] = number(input, i) > 0.7; /* a third of the keys is seen */
        }
    }
}

/* All outputs as doubles, one after another; to be freed. */
static double *run(const net *n, int64_t rows, size_t *count_out) {
    const cot_program_options options = {.struct_size = sizeof options, .max_rows = rows};
    cot_program *program = cot_program_create(n->graph, &options);
    if (program == NULL) {
        fail_msg("%s", cot_error_message(n->context));
    }
    cot_session *session = cot_session_create(program);
    const cot_dtype dtype = cot_value_dtype(n->x[0]);
    void *data[OPERANDS], *output[OUTPUTS];
    size_t total = 0, at = 0;
    for (int32_t i = 0; i < n->n_inputs; i++) {
        const int64_t count = count_of(n->x[i], rows);
        const int64_t n_rows = cot_value_shape(n->x[i]).batched ? rows : 1;
        data[i] = malloc((size_t)count * sizeof(double));
        fill(data[i], cot_value_dtype(n->x[i]), i, count);
        const cot_array array = {.data = data[i],
                                 .dtype = cot_value_dtype(n->x[i]),
                                 .n_rows = n_rows,
                                 .row_elements = count / n_rows};
        assert_int_equal(cot_session_bind(session, cot_graph_input_name(n->graph, i), &array),
                         COT_OK);
    }
    for (int32_t i = 0; i < OUTPUTS; i++) {
        const size_t count = (size_t)count_of(cot_graph_output_at(n->graph, i), rows);
        output[i] = calloc(count, sizeof(double));
        assert_int_equal(cot_session_bind_output(session, cot_graph_output_name(n->graph, i),
                                                 output[i], count * cot_dtype_bytes(dtype)),
                         COT_OK);
        total += count;
    }
    if (cot_session_run(session, rows) != COT_OK) {
        fail_msg("%s", cot_session_message(session));
    }
    double *all = calloc(total, sizeof *all);
    for (int32_t i = 0; i < OUTPUTS; i++) {
        const size_t count = (size_t)count_of(cot_graph_output_at(n->graph, i), rows);
        for (size_t k = 0; k < count; k++) {
            all[at++] =
                dtype == COT_F32 ? (double)((float *)output[i])[k] : ((double *)output[i])[k];
        }
        free(output[i]);
    }
    for (int32_t i = 0; i < n->n_inputs; i++) {
        free(data[i]);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    *count_out = total;
    return all;
}

/* Is there a scan in the expanded graph? */
static bool has_loop(const net *n) {
    cot_graph *expanded = NULL;
    bool changed = false, found = false;
    CHECK_OK(n->context, coti_pass_expand(n->graph, &expanded, &changed));
    for (uint32_t id = 1; id < expanded->node.count; id++) {
        found = found || coti_node_at(expanded, id)->op == COT_OP_SCAN;
    }
    cot_graph_destroy(expanded);
    return found;
}

static void check_case(const attention_case *c, int32_t order, double tolerance) {
    net n = make_net(c, 1, true, order), same = make_net(c, 3, true, order);
    net formula = make_net(c, 1, false, order);
    size_t count = 0;
    const int64_t rows = cot_value_shape(n.x[0]).batched ? 2 : 1;
    assert_true(has_loop(&n) && !has_loop(&formula));
    double *y = run(&n, rows, &count), *again = run(&same, rows, &count);
    double *want = run(&formula, rows, &count);
    assert_memory_equal(y, again, count * sizeof *y);
    for (size_t i = 0; i < count; i++) {
        if (!(fabs(y[i] - want[i]) <= tolerance * fmax(1, fabs(want[i])))) {
            fail_msg("q %s k %s: [%zu] of %zu is %.9g, expected %.9g", c->q, c->k, i, count, y[i],
                     want[i]);
        }
    }
    free(y);
    free(again);
    free(want);
    drop_net(&n);
    drop_net(&same);
    drop_net(&formula);
}

/* Loops of heads, of blocks, of blocks in heads; with N and without, odd numbers of queries, fewer
 * keys than queries and more. */
static void loops_are_the_formula(void **state) {
    (void)state;
    static const attention_case cases[] = {
        {COT_F32, "N,3,300,4", "N,3,300,4", "N,3,300,5", "N,3,300,5", NULL, false},
        {COT_F32, "601,2", "447,2", "447,3", "601,3", NULL, false},
        {COT_F32, "N,431,3", "N,701,3", "N,701,2", "N,431,2", NULL, true},
        {COT_F32, "2N,511,1", "2N,263,1", "2N,263,1", "2N,511,1", NULL, true},
        {COT_F32, "2,537,3", "2,533,3", "2,533,1", "2,537,1", NULL, true},
        {COT_F64, "N,1,203,2", "N,1,801,2", "N,1,801,3", "N,1,203,3", NULL, false},
        {COT_F64, "N,2,360,2", "N,2,370,2", "N,2,370,2", "N,2,360,2", NULL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(&cases[i], 1, cases[i].dtype == COT_F32 ? 2e-5 : 1e-13);
    }
}

/* Masks of keys, of queries, of both; of heads, of rows, of all alike. Some queries see no key. */
static void masks_are_cut(void **state) {
    (void)state;
    static const attention_case cases[] = {
        {COT_F32, "N,2,540,2", "N,2,540,2", "N,2,540,2", "N,2,540,2", "N,1,1,540", false},
        {COT_F32, "N,2,540,2", "N,2,540,2", "N,2,540,2", "N,2,540,2", "540", true},
        {COT_F32, "N,2,541,2", "N,2,499,2", "N,2,499,2", "N,2,541,2", "541,1", false},
        {COT_F32, "N,2,541,2", "N,2,499,2", "N,2,499,2", "N,2,541,2", "2,1,499", true},
        {COT_F32, "N,2,541,2", "N,2,499,2", "N,2,499,2", "N,2,541,2", "N,2,541,499", false},
        {COT_F32, "N,541,2", "N,499,2", "N,499,2", "N,541,2", "541,499", true},
        {COT_F32, "3,300,2", "3,300,2", "3,300,2", "3,300,2", "3,1,1", false},
        {COT_F64, "N,2,2,181,1", "N,2,2,187,1", "N,2,2,187,1", "N,2,2,181,1", "N,1,2,181,1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(&cases[i], 1, cases[i].dtype == COT_F32 ? 2e-5 : 1e-13);
    }
}

/* The gradient of the gradient, whose loops are those of the rule's loops. */
static void gradients_have_gradients(void **state) {
    (void)state;
    static const attention_case cases[] = {
        {COT_F64, "N,2,230,2", "N,2,300,2", "N,2,300,1", "N,2,230,1", NULL, true},
        {COT_F64, "401,2", "347,2", "347,2", "401,2", "401,1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(&cases[i], 2, 1e-11);
    }
}

/* Keys that are infinite, and values: queries that a block is filled up with add no NaN. */
static void filling_adds_nothing(void **state) {
    (void)state;
    cot_context *context = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options)});
    cot_graph *graph = cot_graph_create(context, "g");
    enum { Q = 523, K = 523 };
    cot_value x[3], grad[3];
    for (int32_t i = 0; i < 3; i++) {
        x[i] = cot_op_input(graph, COT_F32, COT_SHAPE(Q, 1), (char[2]){"qkv"[i], 0});
    }
    const cot_value y = cot_op_attention(x[0], x[1], x[2], none, NULL);
    CHECK_OK(context, cot_vjp(y, x[0], x, 3, grad));
    CHECK_OK(context, cot_graph_output(grad[2], "dv"));
    cot_program *program = cot_program_create(graph, NULL);
    cot_session *session = cot_session_create(program);
    static float data[3][Q], dv[K];
    for (int32_t k = 0; k < Q; k++) {
        data[0][k] = 1;
        data[1][k] =
            k == 7 ? -INFINITY : 0; /* a weight of 0, and of 0 inf = NaN for a query of 0 */
        data[2][k] = 1;
    }
    for (int32_t i = 0; i < 3; i++) {
        const cot_array array = {.data = data[i], .n_rows = 1, .row_elements = Q};
        assert_int_equal(cot_session_bind(session, (char[2]){"qkv"[i], 0}, &array), COT_OK);
    }
    assert_int_equal(cot_session_bind_output(session, "dv", dv, sizeof dv), COT_OK);
    assert_int_equal(cot_session_run(session, 1), COT_OK);
    for (int32_t k = 0; k < K; k++) {
        assert_true(k == 7 ? dv[k] == 0 : fabsf(dv[k] - (float)Q / (K - 1)) < 1e-4F);
    }
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- memory ---- */

static int64_t memory_of(int64_t tokens, const char *mask) {
    char shape[32];
    (void)snprintf(shape, sizeof shape, "N,4,%d,16", (int)tokens);
    const attention_case c = {COT_F32, shape, shape, shape, shape, mask, mask != NULL};
    net n = make_net(&c, 1, true, 1);
    cot_program *program = cot_program_create(
        n.graph, &(cot_program_options){.struct_size = sizeof(cot_program_options), .max_rows = 1});
    assert_non_null(program);
    const int64_t bytes = cot_program_get_info(program).memory_bytes;
    cot_program_destroy(program);
    drop_net(&n);
    return bytes;
}

/* A step's memory, forward and backward: four times the tokens take no more than four times of it,
 * a mask of keys with them; and much less than one matrix of scores. */
static void memory_is_linear(void **state) {
    (void)state;
    const int64_t bytes = memory_of(1024, NULL), more = memory_of(4096, NULL);
    assert_true(more < 4 * bytes);
    assert_true(more < INT64_C(4) * 4096 * 4096);
    assert_true(memory_of(4096, "N,1,1,4096") < more + (1 << 20));
}

/* What stays in cache is no loop. */
static void small_ones_are_no_loop(void **state) {
    (void)state;
    static const attention_case small[] = {
        {COT_F32, "N,4,64,16", "N,4,64,16", "N,4,64,16", "N,4,64,16", NULL, false},
        {COT_F32, "N,4,256,16", "N,4,256,16", "N,4,256,16", "N,4,256,16", NULL, true},
        {COT_F32, "N,16,16384,1", "N,16,1,1", "N,16,1,1", "N,16,16384,1", NULL, false},
        {COT_F64, "16,1", "100000,1", "100000,1", "16,1", NULL, false},
        {COT_F32, "N,0,9000,1", "N,0,9000,1", "N,0,9000,1", "N,0,9000,1", NULL, false},
    };
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        net n = make_net(&small[i], 1, true, 1);
        assert_false(has_loop(&n));
        drop_net(&n);
    }
}

/* Gradient and expansion: heads, then blocks with a mask and positions. */
static cot_status expand_net(cot_context *context, void *user) {
    (void)user;
    cot_graph *graph = cot_graph_create(context, "g"), *expanded = NULL;
    if (graph == NULL) {
        return COT_E_NOMEM;
    }
    const cot_shape shape = COT_BATCH(2, 601, 1), keys = COT_BATCH(1, 1, 601);
    cot_value x[4], grad[3];
    for (int32_t i = 0; i < 4; i++) {
        x[i] = cot_op_input(graph, i < 3 ? COT_F32 : COT_BOOL, i < 3 ? shape : keys,
                            (char[2]){"qkvm"[i], 0});
    }
    const cot_attention_options options = {.struct_size = sizeof options, .causal = true};
    const cot_value y = cot_op_attention(x[0], x[1], x[2], x[3], &options);
    cot_status status =
        y.graph != NULL ? cot_vjp(y, x[0], x, 3, grad) : cot_error_get(context).status;
    for (int32_t i = 0; i < 3 && status == COT_OK; i++) {
        status = cot_graph_output(grad[i], (char[2]){"abc"[i], 0});
    }
    bool changed = false;
    status = status == COT_OK ? cot_graph_output(y, "y") : status;
    status = status == COT_OK ? coti_pass_expand_simplified(graph, &expanded, &changed) : status;
    cot_graph_destroy(expanded);
    cot_graph_destroy(graph);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    const cot_options options = {
        .struct_size = sizeof options, .threads = 1, .environment = COT_OFF};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, &options, expand_net, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_are_the_formula),    cmocka_unit_test(masks_are_cut),
        cmocka_unit_test(gradients_have_gradients), cmocka_unit_test(filling_adds_nothing),
        cmocka_unit_test(memory_is_linear),         cmocka_unit_test(small_ones_are_no_loop),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
