/*
 * Memory budgets: a step fits or an error tells what would; weights are the same, bit for bit,
 * whatever is computed again; failure changes nothing.
 */
#include "frontend_support.h"

#include "alloc_fail.h"
#include "autodiff/remat_mark.h"
#include "graph/graph.h"

enum { WIDTH = 24, DEPTH = 20, BATCH = 64, ROWS = 147, CLASSES = 5 };

/* ---- models ---- */

typedef enum net_kind { CHAIN, RESIDUAL, WIDENING } net_kind;

/* CHAIN: equal layers. RESIDUAL: blocks of two and a sum. WIDENING: layers of all sizes, of which
 * two meet again far apart. */
static cot_model *build(cot_context *context, net_kind kind, int depth) {
    cot_tensor input = cot_input(context, COT_F32, COT_SHAPE(WIDTH), "x");
    cot_tensor x = cot_dense(input, WIDTH, .activation = COT_TANH), early = x;
    for (int i = 0; i < depth; i++) {
        cot_tensor branch = cot_dense(x, WIDTH, .activation = COT_TANH);
        if (kind == RESIDUAL) {
            branch = cot_add(COT_TENSORS(x, cot_dense(branch, WIDTH, .activation = COT_GELU)));
        } else if (kind == WIDENING) {
            branch = cot_dense(branch, 8 + 11 * (i % 7), .activation = COT_ELU);
            branch = cot_dense(branch, WIDTH, .activation = COT_RELU);
            branch = i == depth - 2 ? cot_add(COT_TENSORS(branch, early)) : branch;
        }
        x = branch;
    }
    cot_tensor y = cot_dense(x, CLASSES, .activation = COT_SOFTMAX, .name = "class");
    return cot_model_create(context, COT_TENSORS(input), COT_TENSORS(y), "net");
}

static cot_status compile(cot_model *model, int64_t budget) {
    return cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.01),
                             .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .metrics = {COT_ACCURACY},
                             .max_batch = BATCH, .memory_budget = budget);
}

static cot_dataset *make_data(cot_context *context) {
    static float x[ROWS * WIDTH];
    static int32_t label[ROWS];
    fill_g(x, (int64_t)ROWS * WIDTH, 3, 2.0);
    for (int32_t i = 0; i < ROWS; i++) {
        label[i] = i * 3 % CLASSES;
    }
    return cot_dataset_create(context, COT_ARRAYS(array_of(x, ROWS, WIDTH)),
                              COT_ARRAYS(labels_of(label, ROWS)), COT_BORROW);
}

/* All weights after two epochs of 64, 64 and 19 rows; to be freed. */
static float *train(cot_context *context, net_kind kind, int64_t budget, cot_memory_info *info) {
    cot_model *model = build(context, kind, DEPTH);
    cot_dataset *data = make_data(context);
    assert_non_null(model);
    assert_non_null(data);
    CHECK_OK(context, compile(model, budget));
    *info = cot_model_train_memory(model);
    assert_int_equal(info->bytes,
                     cot_program_get_info(cot_model_train_program(model)).memory_bytes);
    CHECK_OK(context, cot_model_fit(model, data, .batch_size = BATCH, .epochs = 2));
    float *all = calloc((size_t)cot_model_count_params(model), sizeof *all), *at = all;
    for (int32_t i = 0; i < cot_model_n_weights(model); i++) {
        const cot_variable *weight = cot_model_weight(model, i);
        const int64_t n = count_of(weight);
        CHECK_OK(context, cot_variable_get(weight, at, (size_t)n * sizeof *at));
        at += n;
    }
    const int64_t n = cot_model_count_params(model);
    for (int64_t i = 0; i < n; i++) {
        assert_true(isfinite(all[i]));
    }
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    return all;
}

/* "... none less than 12345: ...". */
static int64_t smallest_in(const char *message) {
    static const char before[] = "none less than ";
    const char *at = strstr(message, before);
    if (at == NULL) {
        fail_msg("no smallest budget in: %s", message);
        return 0;
    }
    return strtoll(at + sizeof before - 1, NULL, 10);
}

/* The smallest budget that does, as an error tells it. */
static int64_t find_least(net_kind kind, int64_t *n_params_out) {
    cot_context *context = new_context(1);
    cot_model *model = build(context, kind, DEPTH);
    *n_params_out = cot_model_count_params(model);
    assert_int_equal(compile(model, 1), COT_E_BUDGET);
    const int64_t least = smallest_in(cot_error_message(context));
    cot_model_destroy(model);
    cot_context_destroy(context);
    return least;
}

/* ---- fitting ---- */

static void check_kind(net_kind kind, const char *name) {
    static const double share[] = {1.0, 0.7, 0.25, 0.1, 0.0};
    int64_t n = 0;
    const int64_t least = find_least(kind, &n);
    cot_memory_info plain;
    cot_context *context = new_context(5);
    float *want = train(context, kind, 0, &plain);
    cot_context_destroy(context);
    assert_true(plain.budget == 0 && plain.bytes == plain.plain_bytes && plain.n_regions == 0);
    for (size_t i = 0; i < sizeof share / sizeof share[0]; i++) {
        const int64_t budget = least + (int64_t)(share[i] * (double)(plain.bytes - least));
        cot_memory_info info;
        context = new_context(5);
        float *found = train(context, kind, budget, &info);
        cot_context_destroy(context);
        print_message("%s: %lld bytes of %lld, plain %lld; %d regions, %.1f %% more flops\n", name,
                      (long long)info.bytes, (long long)budget, (long long)plain.bytes,
                      (int)info.n_regions, 100 * (info.flops / info.plain_flops - 1));
        assert_true(info.budget == budget && info.bytes <= budget);
        assert_int_equal(info.plain_bytes, plain.bytes);
        const bool recomputes = info.n_regions > 0;
        assert_true((info.n_layers > 0) == recomputes);
        assert_true((info.flops > info.plain_flops) == recomputes);
        assert_true(recomputes ? budget < plain.bytes : budget > least);
        assert_true(info.flops < 1.4 * info.plain_flops); /* a forward pass again, at most */
        if (memcmp(found, want, (size_t)n * sizeof *want) != 0) {
            fail_msg("%s: weights differ at a budget of %lld", name, (long long)budget);
        }
        free(found);
    }
    free(want);
}

static void chains_fit(void **state) {
    (void)state;
    check_kind(CHAIN, "chain");
}

static void residual_networks_fit(void **state) {
    (void)state;
    check_kind(RESIDUAL, "residual");
}

static void uneven_networks_fit(void **state) {
    (void)state;
    check_kind(WIDENING, "widening");
}

/* What is promised is what a session takes: its tables, which depend on calls alone, aside. */
static void a_session_takes_what_is_counted(void **state) {
    (void)state;
    alloc_fail memory;
    alloc_fail_init(&memory);
    const cot_options options = {.struct_size = sizeof options,
                                 .threads = 3,
                                 .environment = COT_OFF,
                                 .allocator = alloc_fail_allocator(&memory)};
    cot_context *context = cot_context_create(&options);
    cot_model *model = build(context, CHAIN, 4);
    int64_t taken[2], counted[2], calls[2];
    for (int i = 0; i < 2; i++) {
        CHECK_OK(context, cot_model_compile(model, .optimizer = cot_sgd(),
                                            .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY,
                                            .max_batch = i == 0 ? 64 : 1024,
                                            .memory_budget = INT64_C(1) << 30));
        const cot_program *program = cot_model_train_program(model);
        const int64_t before = memory.live_bytes;
        cot_session *session = cot_session_create(program);
        assert_non_null(session);
        taken[i] = memory.live_bytes - before;
        counted[i] = cot_model_train_memory(model).bytes;
        calls[i] = cot_program_get_info(program).n_calls;
        cot_session_destroy(session);
    }
    assert_true(counted[1] > counted[0] && calls[0] > 0);
    for (int i = 0; i < 2; i++) {
        const int64_t tables = taken[i] - counted[i];
        assert_true(tables > 0 && tables < 65536);
    }
    cot_model_destroy(model);
    cot_context_destroy(context);
    CHECK_NO_COMPLAINT(alloc_fail_complaint(&memory));
}

/* ---- what does not fit ---- */

static void too_small_a_budget_tells_the_smallest(void **state) {
    (void)state;
    for (net_kind kind = CHAIN; kind <= RESIDUAL; kind++) {
        cot_context *context = new_context(5);
        cot_model *model = build(context, kind, DEPTH);
        cot_dataset *data = make_data(context);
        CHECK_OK(context, compile(model, 0));
        const int64_t plain = cot_model_train_memory(model).bytes;
        const cot_program *program = cot_model_train_program(model);
        assert_int_equal(compile(model, 1), COT_E_BUDGET);
        const int64_t least = smallest_in(cot_error_message(context));
        assert_true(least > 1 && least < plain);
        print_message("%s\n", cot_error_message(context));
        assert_non_null(strstr(cot_error_message(context), "f32[N,24]"));
        CHECK_ERROR(context, COT_E_BUDGET, "bytes");
        /* the model is as it was */
        assert_ptr_equal(cot_model_train_program(model), program);
        CHECK_OK(context, cot_model_fit(model, data, .batch_size = BATCH));
        /* what was named does, and a byte less does not */
        assert_int_equal(compile(model, least - 1), COT_E_BUDGET);
        cot_error_clear(context);
        CHECK_OK(context, compile(model, least));
        assert_int_equal(cot_model_train_memory(model).bytes, least);
        CHECK_OK(context, cot_model_fit(model, data, .batch_size = BATCH));
        cot_dataset_destroy(data);
        cot_model_destroy(model);
        cot_context_destroy(context);
    }
}

/* Larger batches compile anew: within the same budget, or not at all. */
static void larger_batches_keep_the_budget(void **state) {
    (void)state;
    cot_context *context = new_context(5);
    cot_model *model = build(context, CHAIN, DEPTH);
    cot_dataset *data = make_data(context);
    CHECK_OK(context, compile(model, 0));
    const int64_t budget = cot_model_train_memory(model).bytes;
    CHECK_OK(context, compile(model, budget));
    assert_int_equal(cot_model_train_memory(model).n_regions, 0);
    CHECK_OK(context, cot_model_fit(model, data, .batch_size = 100));
    const cot_memory_info info = cot_model_train_memory(model);
    assert_true(info.bytes <= budget && info.plain_bytes > budget);
    assert_int_equal(cot_model_fit(model, data, .batch_size = 1000), COT_E_BUDGET);
    CHECK_ERROR(context, COT_E_BUDGET, "1000 rows");
    const cot_memory_info still = cot_model_train_memory(model);
    assert_memory_equal(&info, &still, sizeof info);
    CHECK_OK(context, cot_model_fit(model, data, .batch_size = 100));
    cot_dataset_destroy(data);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void a_negative_budget_is_none(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_model *model = build(context, CHAIN, 2);
    assert_int_equal(compile(model, -1), COT_E_ARG);
    CHECK_ERROR(context, COT_E_ARG, "memory_budget is -1");
    const cot_memory_info none = cot_model_train_memory(model);
    assert_true(none.bytes == 0 && none.flops == 0);
    assert_int_equal(cot_model_train_memory(NULL).bytes, 0);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

static void the_evaluator_has_no_plan(void **state) {
    (void)state;
    const cot_options options = {
        .struct_size = sizeof options, .jit = COT_OFF, .environment = COT_OFF};
    cot_context *context = cot_context_create(&options);
    cot_model *model = build(context, CHAIN, 2);
    assert_int_equal(compile(model, 1 << 20), COT_E_UNSUPPORTED);
    cot_error_clear(context);
    CHECK_OK(context, compile(model, 0));
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- text ---- */

static bool collect_dump(const char *text, size_t bytes, void *user) {
    coti_str_append_bytes(user, text, bytes);
    return true;
}

static void summary_and_dump_tell(void **state) {
    (void)state;
    static collected text;
    coti_str dump;
    cot_console console = console_for(&text);
    cot_context *context = new_context(1);
    coti_str_init(&dump, context);
    context->dump[COTI_STAGE_PLAN] = true;
    context->dump_write = collect_dump;
    context->dump_user = &dump;
    cot_model *model = build(context, CHAIN, DEPTH);
    CHECK_OK(context, compile(model, 0));
    CHECK_OK(context, cot_model_summary(model, &console));
    assert_null(strstr(text.text, "Memory of a step"));
    assert_non_null(strstr(coti_str_text(&dump), "# stage plan of net_train"));
    assert_null(strstr(coti_str_text(&dump), "computed again"));
    int64_t n = 0;
    const int64_t budget = find_least(CHAIN, &n);
    coti_str_clear(&dump);
    (void)console_for(&text);
    CHECK_OK(context, compile(model, budget));
    const char *head = strstr(coti_str_text(&dump), "# computed again, region 1: dense");
    assert_non_null(head);
    assert_null(strstr(head + 1, "# stage plan of net_train")); /* attempts are not dumped */
    assert_non_null(strstr(coti_str_text(&dump), "flop a step"));
    CHECK_OK(context, cot_model_summary(model, &console));
    const char *line = strstr(text.text, "Memory of a step: ");
    assert_non_null(line);
    assert_non_null(strstr(line, "layers computed again ("));
    print_message("%s", line);
    coti_str_free(&dump);
    cot_model_destroy(model);
    cot_context_destroy(context);
}

/* ---- memory that runs out ---- */

static cot_status live(cot_context *context, void *user) {
    cot_model *model = build(context, CHAIN, 5);
    cot_status status =
        model != NULL ? compile(model, *(const int64_t *)user) : cot_error_get(context).status;
    if (status == COT_E_BUDGET) { /* is what is wanted of a scenario that expects it */
        cot_error_clear(context);
        status = COT_OK;
    }
    cot_model_destroy(model);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    const cot_options options = {
        .struct_size = sizeof options, .threads = 1, .environment = COT_OFF};
    cot_context *context = cot_context_create(&options);
    cot_model *model = build(context, CHAIN, 5);
    CHECK_OK(context, compile(model, 0));
    int64_t budget[2] = {cot_model_train_memory(model).bytes * 3 / 4, 1};
    cot_model_destroy(model);
    cot_context_destroy(context);
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1499, &options, live, &budget[0]));
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1499, &options, live, &budget[1]));
}

/* ---- the graph API ---- */

static void programs_have_budgets(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_graph *graph = cot_graph_create(context, "g");
    cot_value x = cot_op_input(graph, COT_F32, (cot_shape){2, true, {1, 100}}, "x");
    static const int32_t batch[1] = {0};
    cot_value sum = cot_op_reduce(COT_OP_SUM, cot_op_unary(COT_OP_EXP, x), batch, 1, true);
    CHECK_OK(context, cot_graph_output(cot_op_binary(COT_OP_MUL, x, sum), "y"));
    cot_program_options options = {.struct_size = sizeof options};
    cot_program *program = cot_program_create(graph, &options);
    assert_non_null(program);
    const int64_t bytes = cot_program_get_info(program).memory_bytes;
    assert_true(bytes >= cot_program_get_info(program).arena_bytes && bytes > 0);
    cot_program_destroy(program);
    options.memory_budget = bytes;
    program = cot_program_create(graph, &options);
    assert_non_null(program);
    cot_program_destroy(program);
    options.memory_budget = bytes - 1;
    assert_null(cot_program_create(graph, &options));
    CHECK_ERROR(context, COT_E_BUDGET, "alive in phase");
    options.memory_budget = -1;
    assert_null(cot_program_create(graph, &options));
    CHECK_ERROR(context, COT_E_ARG, "memory_budget");
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

/* ---- regions ---- */

static cot_graph *parse(cot_context *context, const char *text) {
    cot_graph *graph = cot_graph_parse(context, text, strlen(text));
    if (graph == NULL) {
        fail_msg("%s", cot_error_message(context));
    }
    return graph;
}

/* Four exps of 40 bytes each at 10 rows, of which the widest stretch holds two: the first two are a
 * region. Views weigh nothing; the skip does not stop a cut. */
static void stretches_are_cut_by_bytes(void **state) {
    (void)state;
    static const char text[] = "graph @g(%x: f32[N,1]) {\n"
                               "  %0 = exp %x : f32[N,1]\n"
                               "  %1 = exp %0 : f32[N,1]\n"
                               "  %2 = reshape %1 : f32[N]\n"
                               "  %3 = exp %2 : f32[N]\n"
                               "  %4 = exp %3 : f32[N]\n"
                               "  return y=%4\n"
                               "}\n";
    cot_context *context = new_context(1);
    for (int64_t bytes = 0; bytes <= 200; bytes += 40) {
        static const int32_t regions[] = {0, 3, 1, 1, 0, 0};
        cot_graph *graph = parse(context, text);
        coti_stretches found;
        CHECK_OK(context, coti_remat_mark(graph, 10, bytes, &found));
        assert_int_equal(found.bytes, 160);
        assert_int_equal(found.n_regions, regions[bytes / 40]);
        CHECK_OK(context, coti_graph_verify(graph));
        cot_graph_destroy(graph);
    }
    cot_context_destroy(context);
}

/* Of places that do, the one that fewest bytes cross is taken: before the narrow value's reader. */
static void cuts_are_where_little_crosses(void **state) {
    (void)state;
    static const char text[] = "graph @g(%x: f32[N,64], state %a: f32[64,64], state %b: f32[64,2], "
                               "state %c: f32[2,64]) {\n"
                               "  %0 = dot %x, %a {a_contract=[1], b_contract=[0]} : f32[N,64]\n"
                               "  %1 = dot %0, %b {a_contract=[1], b_contract=[0]} : f32[N,2]\n"
                               "  %2 = exp %1 : f32[N,2]\n"
                               "  %3 = dot %2, %c {a_contract=[1], b_contract=[0]} : f32[N,64]\n"
                               "  %4 = dot %3, %a {a_contract=[1], b_contract=[0]} : f32[N,64]\n"
                               "  return y=%4\n"
                               "}\n";
    cot_context *context = new_context(1);
    cot_graph *graph = parse(context, text);
    coti_stretches found;
    CHECK_OK(context, coti_remat_mark(graph, 1, 600, &found)); /* 256 and 256 and 8 fit */
    assert_int_equal(found.n_regions, 1);
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        if (node->n_inputs > 0) {
            assert_int_equal(node->region, node->number <= 2);
        }
    }
    cot_graph_destroy(graph);
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest always[] = {
        cmocka_unit_test(a_negative_budget_is_none),
        cmocka_unit_test(the_evaluator_has_no_plan),
        cmocka_unit_test(stretches_are_cut_by_bytes),
        cmocka_unit_test(cuts_are_where_little_crosses),
    };
    const struct CMUnitTest kernels[] = {
        cmocka_unit_test(chains_fit),
        cmocka_unit_test(residual_networks_fit),
        cmocka_unit_test(uneven_networks_fit),
        cmocka_unit_test(a_session_takes_what_is_counted),
        cmocka_unit_test(too_small_a_budget_tells_the_smallest),
        cmocka_unit_test(larger_batches_keep_the_budget),
        cmocka_unit_test(summary_and_dump_tell),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(programs_have_budgets),
    };
    return use_jit ? cmocka_run_group_tests(kernels, NULL, NULL)
                   : cmocka_run_group_tests(always, NULL, NULL);
}
