/*
 * Passes: what the frame promises, that results keep their bits, that nothing grows faster than
 * the graph.
 */
#include "graph_test.h"

#include <math.h>

/* ---- the frame ---- */

static cot_value keep(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)user;
    return coti_rewrite_keep(rewrite, id);
}

static void copying_keeps_all_that_is_reached(void **state) {
    fixture *f = *state;
    static const char text[] =
        "graph @g(%b: f32[N,2], %a: f32[2], state %w: f32[2], state %v: f32[2]) backward {\n"
        "  %0 = broadcast %w {axes=[1]} : f32[N,2]  # \"one\"\n"
        "  %1 = add %b, %0 : f32[N,2]  # \"two\"\n"
        "  %2 = concat %a, %w, %a, %w, %a, %w, %a, %w, %a, %w {axis=0} : f32[20]\n"
        "  update %v <- %a\n"
        "  update %w <- %v\n"
        "  return z=%1, c=%2, a=%a, \"again\"=%1\n"
        "}\n";
    cot_graph *graph = parse_text(f->context, text);
    cot_graph *copy = NULL;
    CHECK_OK(f->context, coti_graph_rewrite(graph, keep, NULL, &copy));
    char *printed = text_of(copy);
    assert_string_equal(strstr(printed, "return"), "return z=%1, c=%2, a=%a, again=%1\n}\n");
    char *original = text_of(graph);
    assert_string_equal(printed, original);
    assert_ptr_equal(cot_graph_find_variable(copy, "w"), cot_graph_find_variable(graph, "w"));
    free(original);
    free(printed);
    cot_graph_destroy(copy);
    cot_graph_destroy(graph);
}

static void begin_copy_has_the_inputs_alone(void **state) {
    fixture *f = *state;
    cot_graph *graph = parse_text(f->context, "graph @g(%b: f32[N,2], state %w: f32[2], %a: i32[]) "
                                              "backward { %0 = neg %a : i32[] return y=%0 }");
    cot_graph *copy = NULL;
    CHECK_OK(f->context, coti_graph_begin_copy(graph, &copy));
    char *printed = text_of(copy);
    assert_string_equal(printed, "graph @g(%b: f32[N,2], %a: i32[]) backward {\n  return\n}\n");
    free(printed);
    cot_graph_destroy(copy);
    cot_graph_destroy(graph);
}

static cot_value wrong_type(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)id;
    (void)user;
    return cot_op_rows(rewrite->to);
}

static cot_value wrong_graph(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)user;
    const cot_graph *from = rewrite->from;
    return (cot_value){(cot_graph *)(uintptr_t)from, id};
}

static cot_value nothing(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)rewrite;
    (void)id;
    (void)user;
    return coti_poison();
}

static cot_value wrong_op(coti_rewrite *rewrite, uint32_t id, void *user) {
    (void)user;
    const coti_node *node = coti_node_at(rewrite->from, id);
    return cot_op_unary(COT_OP_NOT, rewrite->map[node->input[0]]);
}

static void a_broken_pass_is_refused(void **state) {
    fixture *f = *state;
    const struct {
        coti_rewrite_fn rewrite;
        cot_status status;
        const char *message;
    } rows[] = {
        {wrong_type, COT_E_INTERNAL, "exp \"l\": a pass replaced node 2 by one of another type"},
        {wrong_graph, COT_E_INTERNAL, "exp \"l\": a pass replaced node 2"},
        {nothing, COT_E_INTERNAL, "a pass gave no value, and no error"},
        {wrong_op, COT_E_DTYPE, "not \"l\": x must be bool: x is f32[2]"},
    };
    cot_graph *graph = parse_text(
        f->context, "graph @g(%x: f32[2]) { %0 = exp %x : f32[2] # \"l\"\n return y=%0 }");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cot_graph *result = NULL;
        assert_int_equal(coti_graph_rewrite(graph, rows[i].rewrite, NULL, &result), rows[i].status);
        assert_null(result);
        CHECK_ERROR(f->context, rows[i].status, rows[i].message);
    }
    cot_graph_destroy(graph);
}

/* ---- random graphs ---- */

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

enum { POOL = 64, N_INPUTS = 8, ROWS = 3 };

typedef struct generator {
    cot_graph *graph;
    uint64_t seed;
    cot_value pool[POOL];
    int count;
} generator;

static cot_value any_value(generator *g) {
    return g->pool[next_random(&g->seed) % (uint64_t)g->count];
}

static int32_t any_axis(generator *g, cot_value x) {
    int32_t rank = cot_value_shape(x).rank;
    return rank == 0 ? 0 : (int32_t)(next_random(&g->seed) % (uint64_t)rank);
}

/* A constant that rules look for, as a scalar: the binary builders broadcast it. */
static cot_value any_constant(generator *g, cot_dtype dtype) {
    static const double values[] = {0, -0.0, 1, -1, 2, 0.5};
    return cot_op_constant(g->graph, dtype, values[next_random(&g->seed) % 6]);
}

static cot_value any_elementwise(generator *g) {
    static const cot_op unary[] = {COT_OP_NEG,  COT_OP_NEG,  COT_OP_ABS,           COT_OP_RELU,
                                   COT_OP_SIGN, COT_OP_NOT,  COT_OP_STOP_GRADIENT, COT_OP_EXP,
                                   COT_OP_SQRT, COT_OP_RELU, COT_OP_ABS,           COT_OP_NOT};
    static const cot_op binary[] = {COT_OP_ADD, COT_OP_SUB, COT_OP_MUL, COT_OP_DIV, COT_OP_MAX,
                                    COT_OP_MIN, COT_OP_POW, COT_OP_AND, COT_OP_OR,  COT_OP_EQ,
                                    COT_OP_NE,  COT_OP_LT,  COT_OP_ADD, COT_OP_SUB, COT_OP_MUL};
    cot_value x = any_value(g);
    cot_value y =
        next_random(&g->seed) % 2 == 0 ? any_value(g) : any_constant(g, cot_value_dtype(x));
    switch (next_random(&g->seed) % 6) {
    case 0:
        return cot_op_unary(unary[next_random(&g->seed) % 12], x);
    case 1:
        return cot_op_select(any_value(g), x, y);
    case 2:
        return cot_op_cast(x, (cot_dtype)(next_random(&g->seed) % 6));
    case 3:
        return cot_op_binary(binary[next_random(&g->seed) % 15], y, x);
    default:
        return cot_op_binary(binary[next_random(&g->seed) % 15], x, y);
    }
}

/* Elements in another rank: all in one axis, or one axis split off. */
static cot_value any_reshape(generator *g, cot_value x) {
    cot_shape shape = cot_value_shape(x);
    cot_shape flat = {.rank = 1, .batched = shape.batched, .dim = {1}};
    for (int32_t i = 0; i < shape.rank; i++) {
        flat.dim[0] *= shape.dim[i];
    }
    if (next_random(&g->seed) % 2 == 0 || shape.rank == COT_MAX_RANK) {
        return cot_op_reshape(x, flat);
    }
    shape.dim[shape.rank++] = 1;
    return cot_op_reshape(x, shape);
}

static cot_value any_view(generator *g) {
    cot_value x = any_value(g);
    cot_shape shape = cot_value_shape(x);
    const int64_t zeros[COT_MAX_RANK] = {0};
    int64_t ones[COT_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t start[COT_MAX_RANK] = {0};
    int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    int32_t axis = any_axis(g, x);
    switch (next_random(&g->seed) % 9) {
    case 0:
        return any_reshape(g, x);
    case 1:
        axes[0] = axis;
        axes[axis] = 0;
        return cot_op_permute(x, axes, shape.rank);
    case 2:
        axes[axis] = axes[shape.rank > 0 ? shape.rank - 1 : 0];
        axes[shape.rank > 0 ? shape.rank - 1 : 0] = axis;
        return cot_op_permute(x, axes, shape.rank);
    case 3:
        start[axis] = (int64_t)(next_random(&g->seed) % 2);
        shape.dim[axis] = (shape.dim[axis] - start[axis] + 1) / 2;
        ones[axis] = 2;
        return cot_op_slice(x, start, shape.dim, ones);
    case 4:
        return cot_op_flip(x, &axis, (int32_t)(next_random(&g->seed) % 2));
    case 5:
        return cot_op_pad(x, zeros, next_random(&g->seed) % 2 == 0 ? zeros : ones, 1);
    case 6:
        return cot_op_reduce(COT_OP_REDUCE_MAX, x, &axis, (int32_t)(next_random(&g->seed) % 2),
                             next_random(&g->seed) % 2 == 0);
    case 7:
        return cot_op_reduce(COT_OP_SUM, x, &axis, 1, next_random(&g->seed) % 2 == 0);
    default:
        return cot_op_concat(&x, 1, axis);
    }
}

/* Calls that do not fit fail and are forgotten: what succeeds is a valid graph. */
static void generate(generator *g, int steps) {
    const struct {
        cot_dtype dtype;
        cot_shape shape;
    } inputs[N_INPUTS] = {{COT_F32, BATCH(1, 3)}, {COT_F64, BATCH(1, 3)}, {COT_F32, SHAPE(3)},
                          {COT_F32, SCALAR},      {COT_I32, BATCH(1, 3)}, {COT_U8, SHAPE(1, 3)},
                          {COT_BOOL, SHAPE(3)},   {COT_I64, SHAPE(2, 3)}};
    for (int i = 0; i < N_INPUTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        g->pool[g->count++] = cot_op_input(g->graph, inputs[i].dtype, inputs[i].shape, name);
    }
    for (int i = 0; i < steps && g->count < POOL; i++) {
        cot_value value = next_random(&g->seed) % 2 == 0 ? any_elementwise(g) : any_view(g);
        int64_t elements = 0;
        cot_shape shape = cot_value_shape(value);
        if (value.graph != NULL && coti_shape_elements(&shape, ROWS, &elements) &&
            elements <= 10000) {
            g->pool[g->count++] = value;
        }
        cot_error_clear(g->graph->context);
    }
    for (int i = N_INPUTS; i < g->count; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        assert_int_equal(cot_graph_output(g->pool[i], name), COT_OK);
    }
}

/* ---- evaluation ---- */

static size_t tensor_bytes(const coti_tensor *tensor) {
    int64_t n = 0;
    assert_true(coti_shape_elements(&tensor->shape, 1, &n));
    return (size_t)n * cot_dtype_bytes(tensor->dtype);
}

static coti_tensor tensor_for(const cot_graph *graph, uint32_t id) {
    const coti_node *node = coti_node_at(graph, id);
    coti_tensor tensor = {(cot_dtype)node->dtype, coti_shape_bind(&node->shape, ROWS), NULL};
    tensor.data = calloc(1, tensor_bytes(&tensor) + 1);
    assert_non_null(tensor.data);
    return tensor;
}

static void fill(coti_tensor *tensor, uint64_t *seed) {
    static const double values[] = {0,   -0.0, 1, -1, 0.5, -3, INFINITY, -INFINITY,
                                    NAN, 7,    2, 64, 1e9, 9,  -0.25,    1};
    size_t n = tensor_bytes(tensor) / cot_dtype_bytes(tensor->dtype);
    for (size_t i = 0; i < n; i++) {
        double value = values[next_random(seed) % 16];
        int64_t integer = (int64_t)(next_random(seed) % 5) - 1;
        switch (tensor->dtype) {
        case COT_F32:
            ((float *)tensor->data)[i] = (float)value;
            break;
        case COT_F64:
            ((double *)tensor->data)[i] = value;
            break;
        case COT_I32:
            ((int32_t *)tensor->data)[i] = (int32_t)integer;
            break;
        case COT_I64:
            ((int64_t *)tensor->data)[i] = integer;
            break;
        case COT_U8:
            ((uint8_t *)tensor->data)[i] = (uint8_t)integer;
            break;
        case COT_BOOL:
            ((uint8_t *)tensor->data)[i] = (uint8_t)(integer & 1);
            break;
        }
    }
}

/* Outputs of a graph on inputs that follow from the seed; to be freed one by one. */
static coti_tensor *evaluate(const cot_graph *graph, uint64_t seed) {
    coti_tensor *input = calloc(graph->input.count + 1, sizeof *input);
    coti_tensor *output = calloc(graph->output.count + 1, sizeof *output);
    for (size_t i = 0; i < graph->input.count; i++) {
        input[i] = tensor_for(graph, graph->input.data[i]);
        fill(&input[i], &seed);
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        output[i] = tensor_for(graph, graph->output.data[i].value);
    }
    CHECK_OK(graph->context, coti_eval_graph(graph, ROWS, input, output));
    for (size_t i = 0; i < graph->input.count; i++) {
        free(input[i].data);
    }
    free(input);
    return output;
}

/* Equal bits, any NaN for any other. */
static bool same_element(const coti_tensor *a, const coti_tensor *b, size_t i) {
    size_t bytes = cot_dtype_bytes(a->dtype);
    if (memcmp((const char *)a->data + i * bytes, (const char *)b->data + i * bytes, bytes) == 0) {
        return true;
    }
    bool is_float = a->dtype == COT_F32 || a->dtype == COT_F64;
    return is_float && isnan(coti_tensor_get(a, (int64_t)i)) &&
           isnan(coti_tensor_get(b, (int64_t)i));
}

static void check_same_results(const cot_graph *before, const cot_graph *after, uint64_t seed) {
    coti_tensor *expected = evaluate(before, seed);
    coti_tensor *found = evaluate(after, seed);
    assert_int_equal(before->output.count, after->output.count);
    for (size_t i = 0; i < before->output.count; i++) {
        size_t n = tensor_bytes(&expected[i]) / cot_dtype_bytes(expected[i].dtype);
        assert_int_equal(tensor_bytes(&found[i]), tensor_bytes(&expected[i]));
        for (size_t k = 0; k < n; k++) {
            if (!same_element(&expected[i], &found[i], k)) {
                char *texts[2] = {text_of(before), text_of(after)};
                fail_msg("output %s differs at %zu: %g, then %g\n%s%s", before->output.data[i].name,
                         k, coti_tensor_get(&expected[i], (int64_t)k),
                         coti_tensor_get(&found[i], (int64_t)k), texts[0], texts[1]);
            }
        }
        free(expected[i].data);
        free(found[i].data);
    }
    free(expected);
    free(found);
}

/* simplify, fold, simplify: each keeps the bits of every value of a random graph. */
static void passes_keep_the_bits_of_random_graphs(void **state) {
    fixture *f = *state;
    int n_changed = 0;
    for (uint64_t round = 1; round <= 300; round++) {
        generator g = {.graph = cot_graph_create(f->context, "random"),
                       .seed = round * 0x9E3779B9u};
        generate(&g, 200);
        cot_graph *simple = NULL;
        cot_graph *folded = NULL;
        bool changed = false;
        CHECK_OK(f->context, coti_graph_verify(g.graph));
        CHECK_OK(f->context, coti_pass_simplify(g.graph, &simple, &changed));
        n_changed += changed;
        CHECK_OK(f->context, coti_graph_verify(simple));
        check_same_results(g.graph, simple, round);
        CHECK_OK(f->context, coti_pass_fold(simple, &folded, &changed));
        CHECK_OK(f->context, coti_graph_verify(folded));
        check_same_results(g.graph, folded, round + 1);
        cot_graph_destroy(folded);
        CHECK_OK(f->context, coti_pass_simplify(simple, &folded, &changed));
        assert_false(changed);
        /* What has been built prints, parses and prints again. */
        char *text = text_of(g.graph);
        cot_graph *back = parse_text(f->context, text);
        char *again = text_of(back);
        assert_string_equal(again, text);
        free(again);
        free(text);
        cot_graph_destroy(back);
        cot_graph_destroy(folded);
        cot_graph_destroy(simple);
        cot_graph_destroy(g.graph);
    }
    assert_true(n_changed > 250);
}

/* ---- decompositions ---- */

/*
 * Every element within `tolerance` of the composite's own meaning, relative above 1. Output "e" is
 * a sum of terms target * (log(s) - z) of both signs, whose log(s) has an absolute error: it is
 * measured by sum |target| * (1 + log(s) - z), the output after it.
 */
static void check_decomposition(fixture *f, const char *text, double tolerance) {
    cot_graph *graph = parse_text(f->context, text);
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(f->context, coti_pass_expand(graph, &expanded, &changed));
    assert_true(changed);
    for (uint32_t id = 1; id < expanded->node.count; id++) {
        assert_int_not_equal(coti_op_table[coti_node_at(expanded, id)->op].kind,
                             COTI_KIND_COMPOSITE);
    }
    for (uint64_t seed = 1; seed < 200; seed++) {
        coti_tensor *expected = evaluate(graph, seed);
        coti_tensor *found = evaluate(expanded, seed);
        for (size_t i = 0; i < graph->output.count; i++) {
            size_t n = tensor_bytes(&expected[i]) / cot_dtype_bytes(expected[i].dtype);
            for (size_t k = 0; k < n; k++) {
                double a = coti_tensor_get(&expected[i], (int64_t)k);
                double b = coti_tensor_get(&found[i], (int64_t)k);
                bool loss = strcmp(graph->output.data[i].name, "e") == 0;
                double terms = loss ? coti_tensor_get(&expected[i + 1], (int64_t)k) : 1;
                double allowed = tolerance * fmax(1, fmax(fabs(a), terms));
                if (!(a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= allowed)) {
                    fail_msg("seed %d: %s is %.17g, decomposed %.17g", (int)seed,
                             graph->output.data[i].name, a, b);
                }
            }
            free(expected[i].data);
            free(found[i].data);
        }
        free(expected);
        free(found);
    }
    cot_graph_destroy(expanded);
    cot_graph_destroy(graph);
}

/*
 * The evaluator computes composites in long double; a decomposition rounds each of its steps, of
 * which a sum of 4 terms and 5 more count: 10 roundings of relative 2^-53 (2^-24), doubled because
 * log and exp pass errors of their arguments on.
 */
static void decompositions_mean_what_the_composites_do(void **state) {
    fixture *f = *state;
    check_decomposition(f,
                        "graph @g(%t: f64[N,4], %x: f64[N,4]) {\n"
                        "%0 = softmax %x : f64[N,4]\n%1 = log_softmax %x : f64[N,4]\n"
                        "%2 = softmax_xent %t, %x : f64[N]\n%3 = abs %t : f64[N,4]\n"
                        "%4 = softmax_xent %3, %x : f64[N]\n%5 = sum %3 {axes=[1]} : f64[N]\n"
                        "%6 = add %4, %5 : f64[N]\nreturn s=%0, l=%1, e=%2, m=%6 }",
                        20 * ldexp(1, -53));
    check_decomposition(f,
                        "graph @g(%t: f32[2,3,4], %x: f32[2,3,4]) {\n"
                        "%0 = softmax %x : f32[2,3,4]\n%1 = log_softmax %x : f32[2,3,4]\n"
                        "%2 = softmax_xent %t, %x : f32[2,3]\n%3 = abs %t : f32[2,3,4]\n"
                        "%4 = softmax_xent %3, %x : f32[2,3]\n%5 = sum %3 {axes=[2]} : f32[2,3]\n"
                        "%6 = add %4, %5 : f32[2,3]\nreturn s=%0, l=%1, e=%2, m=%6 }",
                        20 * ldexp(1, -24));
}

/* ---- size ---- */

/* 10,000 layers, each with things to simplify: every pass in far less than a second each. */
static void ten_thousand_layers_are_no_special_case(void **state) {
    fixture *f = *state;
    cot_graph *g = cot_graph_create(f->context, "deep");
    cot_value x = cot_op_input(g, COT_F32, BATCH(1, 4), "x");
    cot_value one = cot_op_constant(g, COT_F32, 1);
    for (int i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "dense_%d", i);
        cot_graph_set_layer(g, name);
        cot_variable *w = cot_variable_create(f->context, COT_F32, SHAPE(4, 4), name);
        cot_value s = cot_op_state(g, w);
        cot_variable_release(w);
        cot_value h = cot_op_unary(COT_OP_NEG, cot_op_unary(COT_OP_NEG, cot_op_matmul(x, s)));
        x = cot_op_binary(COT_OP_MUL, cot_op_softmax(cot_op_stop_gradient(h)), one);
        CHECK_OK(f->context, cot_graph_update(s, cot_op_binary(COT_OP_MUL, s, one)));
    }
    CHECK_OK(f->context, cot_graph_output(x, "y"));
    cot_graph *simple = NULL;
    cot_graph *folded = NULL;
    cot_graph *expanded = NULL;
    bool changed = false;
    CHECK_OK(f->context, coti_pass_simplify(g, &simple, &changed));
    assert_true(changed);
    /* input, and a state, a dot and a softmax a layer */
    assert_int_equal(simple->node.count, 1 + 1 + 3 * 10000);
    CHECK_OK(f->context, coti_pass_fold(simple, &folded, &changed));
    assert_false(changed);
    CHECK_OK(f->context, coti_pass_expand(folded, &expanded, &changed));
    assert_true(changed);
    assert_int_equal(expanded->node.count, 1 + 1 + 9 * 10000);
    assert_string_equal(coti_node_at(expanded, (uint32_t)expanded->node.count - 1)->layer,
                        "dense_9999");
    char *text = text_of(expanded);
    cot_graph *back = parse_text(f->context, text);
    assert_int_equal(back->node.count, expanded->node.count);
    free(text);
    cot_graph_destroy(back);
    cot_graph_destroy(expanded);
    cot_graph_destroy(folded);
    cot_graph_destroy(simple);
    cot_graph_destroy(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(copying_keeps_all_that_is_reached),
        FIXTURE_TEST(begin_copy_has_the_inputs_alone),
        FIXTURE_TEST(a_broken_pass_is_refused),
        FIXTURE_TEST(passes_keep_the_bits_of_random_graphs),
        FIXTURE_TEST(decompositions_mean_what_the_composites_do),
        FIXTURE_TEST(ten_thousand_layers_are_no_special_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
