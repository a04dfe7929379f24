/*
 * Gathers and scatters in whole graphs: what shares a kernel with them, what must be in memory,
 * states that are read by places; and training an embedding, in place and with the same bits on any
 * number of threads.
 */
#include "fuse_case.h"

#include <stdlib.h>

static cot_context *context;

static cot_graph *parse(const char *text) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s in\n%s", cot_error_message(context), text);
    }
    return graph;
}

/* The groups of a text, after it has been checked against the evaluator. */
static coti_groups *checked_groups(const char *text) {
    fuse_check_text(context, text);
    cot_graph *graph = parse(text);
    coti_groups *groups = fuse_groups(graph, 64);
    const char *complaint = fuse_complaint(groups);
    if (complaint != NULL) {
        fail_msg("%s", complaint);
    }
    cot_graph_destroy(graph);
    return groups;
}

static int32_t n_written(const coti_groups *groups, coti_operand_kind kind) {
    int32_t n = 0;
    for (int32_t g = 0; g < groups->n_groups; g++) {
        for (int32_t s = 0; s < groups->group[g].kernel->n_slots; s++) {
            const coti_operand *operand = &groups->group[g].operand[s];
            n += operand->kind == kind && operand->written;
        }
    }
    return n;
}

/* ---- what shares a kernel ---- */

/* Rows of a table, the index made in the same kernel, and what follows. */
static void test_a_gather_is_elementwise(void **state) {
    (void)state;
    coti_groups *groups =
        checked_groups("graph @embed(%id: i32[N,3], %p: f32[3,8], state %table: f32[5,8]) {\n"
                       "  %0 = neg %id : i32[N,3]\n"
                       "  %1 = gather %table, %0 {axis=0, n_batch=0} : f32[N,3,8]\n"
                       "  %2 = broadcast %p {axes=[1, 2]} : f32[N,3,8]\n"
                       "  %3 = add %1, %2 : f32[N,3,8]\n"
                       "  %4 = relu %3 : f32[N,3,8]\n"
                       "  return y=%4\n}\n");
    assert_int_equal(groups->n_groups, 2);
    assert_int_equal(groups->group[1].kernel->skeleton, COTI_SKELETON_MAP);
    assert_true(groups->group[1].rows);
    assert_int_equal(groups->group[1].shared_bytes, 3 * 8 * 4); /* not the table */
    coti_groups_destroy(groups);
}

/* A sum takes gathered elements where they are made. */
static void test_a_reduction_takes_a_gather(void **state) {
    (void)state;
    coti_groups *groups =
        checked_groups("graph @bag(%id: i32[N,4], state %table: f32[5,8]) {\n"
                       "  %0 = gather %table, %id {axis=0, n_batch=0} : f32[N,4,8]\n"
                       "  %1 = sum %0 {axes=[1]} : f32[N,8]\n"
                       "  return y=%1\n}\n");
    assert_int_equal(n_written(groups, COTI_OPERAND_VALUE), 2); /* the ids, the result */
    coti_groups_destroy(groups);
}

/* What is gathered from must be in memory, also where the same kernel could make it. */
static void test_its_operand_is_in_memory(void **state) {
    (void)state;
    coti_groups *groups = checked_groups("graph @rows(%x: f32[N,6], %id: i32[N,6]) {\n"
                                         "  %0 = abs %x : f32[N,6]\n"
                                         "  %1 = gather %0, %id {axis=1, n_batch=1} : f32[N,6]\n"
                                         "  %2 = mul %1, %0 : f32[N,6]\n"
                                         "  %3 = gather %2, %id {axis=1, n_batch=1} : f32[N,6]\n"
                                         "  return y=%2, z=%3\n}\n");
    int32_t maker = fuse_find(groups, COT_OP_ABS, 0), reader = fuse_find(groups, COT_OP_GATHER, 0);
    assert_true(maker >= 0 && reader > maker);
    assert_int_equal(fuse_find(groups, COT_OP_GATHER, reader + 1), reader + 1);
    coti_groups_destroy(groups);
}

/* A gather's x and index may be views, constants, padded, one another. */
static void test_operands_of_any_kind(void **state) {
    (void)state;
    fuse_check_text(context,
                    "graph @kinds(%x: f32[N,2,6], %u: i64[7], %w: f32[3,4], state %s: f32[6,5]) {\n"
                    "  %0 = permute %x {axes=[0, 2, 1]} : f32[N,6,2]\n"
                    "  %1 = gather %0, %u {axis=1, n_batch=0} : f32[N,7,2]\n"
                    "  %2 = pad %w {low=[1, 0], high=[1, 2], value=2} : f32[5,6]\n"
                    "  %3 = gather %2, %u {axis=1, n_batch=0} : f32[5,7]\n"
                    "  %4 = const {data=[4, 0, 2, 9]} : i32[4]\n"
                    "  %5 = pad %4 {low=[1], high=[2], value=3} : i32[7]\n"
                    "  %6 = gather %s, %5 {axis=0, n_batch=0} : f32[7,5]\n"
                    "  %7 = gather %u, %u {axis=0, n_batch=0} : i64[7]\n"
                    "  %8 = rows : i64[]\n"
                    "  %9 = broadcast %8 : i64[4]\n"
                    "  %10 = gather %9, %4 {axis=0, n_batch=0} : i64[4]\n"
                    "  %11 = const {data=2.5} : f32[]\n"
                    "  %12 = broadcast %11 : f32[N,3]\n"
                    "  %13 = gather %12, %4 {axis=1, n_batch=0} : f32[N,4]\n"
                    "  %14 = iota {axis=0} : f32[6]\n"
                    "  %15 = gather %14, %u {axis=0, n_batch=0} : f32[7]\n"
                    "  %16 = flip %w {axes=[0, 1]} : f32[3,4]\n"
                    "  %17 = iota {axis=0} : i32[N,2]\n"
                    "  %18 = gather %16, %17 {axis=0, n_batch=0} : f32[N,2,4]\n"
                    "  return a=%1, b=%3, c=%6, d=%7, e=%10, f=%13, g=%15, h=%18\n}\n");
}

/* Epilogues of products, rows of a softmax, an index that a reduction makes. */
static void test_among_others(void **state) {
    (void)state;
    fuse_check_text(context, "graph @among(%x: f32[N,5], %id: i32[N], state %w: f32[5,7], "
                             "state %bias: f32[9,7]) {\n"
                             "  %0 = dot %x, %w {a_contract=[1], b_contract=[0]} : f32[N,7]\n"
                             "  %1 = gather %bias, %id {axis=0, n_batch=0} : f32[N,7]\n"
                             "  %2 = add %0, %1 : f32[N,7]\n"
                             "  %3 = softmax %2 : f32[N,7]\n"
                             "  %4 = argmax %3 {axis=1} : i32[N]\n"
                             "  %5 = gather %3, %4 {axis=1, n_batch=1} : f32[N]\n"
                             "  return p=%3, best=%5\n}\n");
}

/* ---- states ---- */

/* A state that is read by places and written by the same points is not written in place. */
static void test_a_gathered_state_is_copied(void **state) {
    (void)state;
    coti_groups *groups = checked_groups("graph @turn(%id: i32[4], state %w: f32[4,3]) {\n"
                                         "  %0 = gather %w, %id {axis=0, n_batch=0} : f32[4,3]\n"
                                         "  %1 = add %0, %w : f32[4,3]\n"
                                         "  update %w <- %1\n  return y=%0\n}\n");
    assert_int_equal(n_written(groups, COTI_OPERAND_STATE), 1);
    for (int32_t g = 0; g < groups->n_groups; g++) {
        const coti_kernel *k = groups->group[g].kernel;
        for (int32_t i = 0; i < k->body.n_exprs; i++) {
            bool gathers = k->body.expr[i].kind == COTI_EXPR_GATHER;
            int32_t slot = gathers ? k->body.access[k->body.expr[i].index].slot : 0;
            assert_false(gathers && k->slot_written[slot]);
        }
    }
    coti_groups_destroy(groups);
}

/* ---- scatters ---- */

static void test_scatters(void **state) {
    (void)state;
    fuse_check_text(context,
                    "graph @scatters(%x: f32[N,2,6], %id: i32[N,2], %u: i64[6], %w: f32[3,4], "
                    "state %s: f32[4,5], state %t: f32[6,2]) {\n"
                    "  %0 = scatter_add %x, %id {axis=0, n_batch=0, extent=4} : f32[4,6]\n"
                    "  %1 = scatter_add %x, %id {axis=1, n_batch=1, extent=3} : f32[N,3,6]\n"
                    "  %2 = scatter_add %x, %u {axis=2, n_batch=0, extent=5} : f32[N,2,5]\n"
                    "  %3 = permute %x {axes=[0, 2, 1]} : f32[N,6,2]\n"
                    "  %4 = scatter_add %3, %u {axis=1, n_batch=0, extent=6} : f32[N,6,2]\n"
                    "  %5 = pad %w {low=[0, 1], high=[3, 0], value=1} : f32[6,5]\n"
                    "  %6 = scatter_add %5, %u {axis=0, n_batch=0, extent=4} : f32[4,5]\n"
                    "  %7 = abs %x : f32[N,2,6]\n"
                    "  %8 = scatter_add %7, %id {axis=1, n_batch=1, extent=2} : f32[N,2,6]\n"
                    "  %9 = add %8, %7 : f32[N,2,6]\n"
                    "  %10 = scatter_add %u, %u {axis=0, n_batch=0, extent=3} : i64[3]\n"
                    "  %11 = const {data=1} : f32[]\n"
                    "  %12 = broadcast %11 : f32[N,2]\n"
                    "  %13 = scatter_add %12, %id {axis=0, n_batch=0, extent=5} : f32[5]\n"
                    "  %14 = sum %4 {axes=[0]} : f32[6,2]\n"
                    "  %15 = scatter_add %14, %u {axis=0, n_batch=0, extent=6} : f32[6,2]\n"
                    "  update %s <- %6\n"
                    "  update %t <- %15\n"
                    "  return a=%0, b=%1, c=%2, d=%4, e=%9, f=%10, g=%13, h=%6\n}\n");
}

/* What is summed over rows is one kernel, over places; what follows, the state's own, another. */
static void test_an_update_of_a_table(void **state) {
    (void)state;
    coti_groups *groups =
        checked_groups("graph @sgd(%g: f32[N,2,8], %id: i32[N,2], state %table: f32[40,8]) {\n"
                       "  %0 = scatter_add %g, %id {axis=0, n_batch=0, extent=40} : f32[40,8]\n"
                       "  %1 = const {data=0.5} : f32[]\n"
                       "  %2 = broadcast %1 : f32[40,8]\n"
                       "  %3 = mul %0, %2 : f32[40,8]\n"
                       "  %4 = sub %table, %3 : f32[40,8]\n"
                       "  update %table <- %4\n  return\n}\n");
    int32_t g = fuse_find(groups, COT_OP_SCATTER_ADD, 0);
    assert_int_equal(groups->n_groups, 4);
    assert_false(groups->group[g].rows);
    assert_int_equal(groups->group[g].n_units, 40);
    assert_int_equal(groups->group[g].kernel->skeleton, COTI_SKELETON_SCATTER);
    assert_int_equal(groups->group[3].kernel->skeleton, COTI_SKELETON_MAP);
    assert_int_equal(n_written(groups, COTI_OPERAND_STATE), 1);
    assert_int_equal(n_written(groups, COTI_OPERAND_VALUE), 3); /* inputs, the gradient */
    coti_groups_destroy(groups);
}

/* ---- composites ---- */

/* Counting ranks takes n^2 comparisons and no memory for them: a rank and a place an element. */
static void test_an_order_needs_little_memory(void **state) {
    (void)state;
    static const char *const text = "graph @order(%x: f32[N,9]) {\n"
                                    "  %0 = argsort %x {descending=1} : i32[N,9]\n"
                                    "  %1 = slice %0 {start=[0, 0], stride=[1, 1]} : i32[N,4]\n"
                                    "  %2 = gather %x, %1 {axis=1, n_batch=1} : f32[N,4]\n"
                                    "  return best=%2\n}\n";
    coti_groups *groups = checked_groups(text);
    for (int32_t g = 0; g < groups->n_groups; g++) {
        for (int32_t s = 0; s < groups->group[g].kernel->n_slots; s++) {
            const coti_node *node = coti_node_at(groups->graph, groups->group[g].operand[s].id);
            int64_t elements = 0;
            assert_true(coti_shape_elements(&node->shape, 1, &elements) && elements <= 9);
        }
    }
    assert_int_equal(n_written(groups, COTI_OPERAND_VALUE), 4); /* x, rank, place, values */
    coti_groups_destroy(groups);
}

static void test_composites(void **state) {
    (void)state;
    fuse_check_text(context,
                    "graph @parts(%x: f32[N,6], %u: i64[6], %i: i32[], state %s: f32[6,5]) {\n"
                    "  %0 = dynamic_slice %x, %i {axis=1, size=4} : f32[N,4]\n"
                    "  %1 = rows : i64[]\n"
                    "  %2 = dynamic_update %x, %0, %1 {axis=1} : f32[N,6]\n"
                    "  %3 = cumsum %2 {axis=1} : f32[N,6]\n"
                    "  %4 = cumsum %s {axis=0} : f32[6,5]\n"
                    "  %5 = argsort %u {descending=0} : i32[6]\n"
                    "  %6 = gather %4, %5 {axis=0, n_batch=0} : f32[6,5]\n"
                    "  %7 = argsort %3 {descending=1} : i32[N,6]\n"
                    "  update %s <- %6\n"
                    "  return a=%2, b=%3, c=%4, d=%7\n}\n");
}

/* ---- training an embedding ---- */

enum { TERMS = 1000, WIDTH = 24, WORDS = 7, CLASSES = 3, ROWS = 37, STEPS = 3 };

typedef struct trained {
    float table[TERMS * WIDTH], weight[WIDTH * CLASSES];
    float loss;
} trained;

static cot_value state_of(cot_graph *graph, cot_shape shape, const char *name, float scale,
                          cot_variable **variable_out) {
    float *data = malloc(sizeof(float) * TERMS * WIDTH);
    assert_non_null(data);
    int64_t n = shape.dim[0] * shape.dim[1];
    for (int64_t i = 0; i < n; i++) {
        data[i] = (float)((i * 7919) % 1001 - 500) * scale;
    }
    *variable_out = cot_variable_create(cot_graph_context(graph), COT_F32, shape, name);
    CHECK_OK(cot_graph_context(graph),
             cot_variable_set(*variable_out, data, (size_t)n * sizeof *data));
    free(data);
    return cot_op_state(graph, *variable_out);
}

/* The mean embedding of WORDS words, a dense layer, cross-entropy; SGD on both parameters. */
static cot_graph *training_step(cot_context *own, cot_variable **table, cot_variable **weight) {
    const int32_t first = 0, second = 1;
    cot_graph *graph = cot_graph_create(own, "embedding");
    cot_value id = cot_op_input(graph, COT_I32, COT_BATCH(WORDS), "id");
    cot_value label = cot_op_input(graph, COT_I32, (cot_shape){1, true, {1}}, "label");
    cot_value p[2], gradient[2];
    p[0] = state_of(graph, COT_SHAPE(TERMS, WIDTH), "table", 1e-3f, table);
    p[1] = state_of(graph, COT_SHAPE(WIDTH, CLASSES), "weight", 2e-3f, weight);
    cot_value rows = cot_op_gather(p[0], id, 0, 0);
    cot_value z = cot_op_matmul(cot_op_mean(rows, &second, 1, false), p[1]);
    cot_value target = cot_op_one_hot(label, CLASSES, COT_F32);
    cot_value loss = cot_op_mean(cot_op_softmax_cross_entropy(target, z), &first, 1, false);
    CHECK_OK(own, cot_grad(loss, p, 2, gradient));
    cot_value rate = cot_op_constant(graph, COT_F32, 0.5);
    for (int32_t i = 0; i < 2; i++) {
        cot_value step = cot_op_binary(COT_OP_MUL, gradient[i], rate);
        CHECK_OK(own, cot_graph_update(p[i], cot_op_binary(COT_OP_SUB, p[i], step)));
    }
    CHECK_OK(own, cot_graph_output(loss, "loss"));
    return graph;
}

/* Some steps on few words out of many, one of them outside the table. */
static void train(cot_switch jit, int32_t threads, int64_t max_rows, trained *out) {
    static int32_t id[ROWS * WORDS], label[ROWS];
    for (int32_t i = 0; i < ROWS * WORDS; i++) {
        id[i] = i % 41 == 40 ? TERMS + i : i * i % 23 * 43;
        label[i / WORDS] = i / WORDS % CLASSES;
    }
    cot_context *own = cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                                         .threads = threads,
                                                         .jit = jit,
                                                         .verify = COT_ON,
                                                         .environment = COT_OFF});
    cot_variable *table = NULL, *weight = NULL;
    cot_graph *graph = training_step(own, &table, &weight);
    cot_program *program =
        cot_program_create(graph, &(cot_program_options){.struct_size = sizeof(cot_program_options),
                                                         .max_rows = max_rows});
    if (program == NULL) {
        fail_msg("%s", cot_error_message(own));
    }
    assert_int_equal(cot_program_get_info(program).n_kernels > 0, jit == COT_ON);
    cot_session *session = cot_session_create(program);
    cot_array ids = {.data = id, .dtype = COT_I32, .n_rows = ROWS, .row_elements = WORDS};
    cot_array labels = {.data = label, .dtype = COT_I32, .n_rows = ROWS, .row_elements = 1};
    assert_int_equal(cot_session_bind(session, "id", &ids), COT_OK);
    assert_int_equal(cot_session_bind(session, "label", &labels), COT_OK);
    assert_int_equal(cot_session_bind_output(session, "loss", &out->loss, sizeof out->loss),
                     COT_OK);
    for (int32_t i = 0; i < STEPS; i++) {
        assert_int_equal(cot_session_run(session, ROWS), COT_OK);
    }
    CHECK_OK(own, cot_variable_get(table, out->table, sizeof out->table));
    CHECK_OK(own, cot_variable_get(weight, out->weight, sizeof out->weight));
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
    cot_variable_release(table);
    cot_variable_release(weight);
    cot_context_destroy(own);
}

static void test_training_an_embedding(void **state) {
    (void)state;
    static trained by_evaluator, first, other;
    if (!coti_jit_available()) {
        skip();
    }
    train(COT_OFF, 1, 64, &by_evaluator);
    for (int32_t threads = 1; threads <= 4; threads++) {
        train(COT_ON, threads, threads == 2 ? 300 : 64, threads == 1 ? &first : &other);
        if (threads > 1) {
            assert_memory_equal(&other, &first, sizeof first);
        }
    }
    int32_t n_moved = 0;
    for (int32_t i = 0; i < TERMS * WIDTH; i++) {
        float before = (float)((i * INT64_C(7919)) % 1001 - 500) * 1e-3f;
        float gap = first.table[i] - by_evaluator.table[i];
        assert_true(gap < 1e-5f && gap > -1e-5f);
        n_moved += first.table[i] != before;
    }
    assert_true(n_moved > 11 * WIDTH / 2 && n_moved <= 23 * WIDTH); /* of the words used alone */
    assert_true(first.loss < 1.2f && first.loss > 0.1f);
}

static int setup(void **state) {
    (void)state;
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    return context == NULL;
}

static int teardown(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_gather_is_elementwise),
        cmocka_unit_test(test_a_reduction_takes_a_gather),
        cmocka_unit_test(test_its_operand_is_in_memory),
        cmocka_unit_test(test_operands_of_any_kind),
        cmocka_unit_test(test_among_others),
        cmocka_unit_test(test_a_gathered_state_is_copied),
        cmocka_unit_test(test_scatters),
        cmocka_unit_test(test_an_update_of_a_table),
        cmocka_unit_test(test_an_order_needs_little_memory),
        cmocka_unit_test(test_composites),
        cmocka_unit_test(test_training_an_embedding),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
