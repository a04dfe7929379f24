/*
 * Gradients from compiled kernels: the first-order cases of grad_cases.def, in f32 and f64, against
 * the same graph on the reference evaluator in f64. An element may differ by what rounding explains
 * at its point: SHARE times the worst of trial roundings in which each result loses its last bit,
 * as the kernels' functions may, and sums are added in their dtype (autodiff/gradcheck_rounding.c).
 *
 * All cases of an operation are one graph and one program, so that compilation is paid for once.
 */
#include "check.h"

#include "grad_case.h"

#include "autodiff/gradcheck.h"
#include "codegen/jit.h"
#include "effort.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 3, MOST_CASES = 64, N_DOMAINS = 3 };

#define SHARE 8.0
#define ULPS 8.0
#define SMALLEST 1e-43

/* The cases of one operation. */
typedef struct batch {
    cot_op op;
    cot_dtype dtype;
    cot_context *context;
    cot_graph *graph, *expanded; /* as compiled; without composites and scans, as trials see it */
    coti_check *check;           /* of `expanded` */
    double *exact, *spread;
    int32_t n;
    const grad_case *of[MOST_CASES];
    int32_t domain[MOST_CASES]; /* where its point is drawn */
} batch;

/* ---- making one ---- */

static void add_cases(batch *b) {
    for (int32_t i = 0; i < grad_n_cases; i++) {
        const grad_case *c = &grad_cases[i];
        if (c->op != b->op || (b->dtype == COT_F32 ? c->limits.no_f32 : c->limits.no_f64)) {
            continue;
        }
        char prefix[16];
        assert_true(b->n < MOST_CASES);
        snprintf(prefix, sizeof prefix, "c%d_", (int)b->n);
        grad_graph g = grad_case_build(b->graph, c, b->dtype, prefix);
        grad_case_add_gradients(&g);
        b->of[b->n++] = c;
    }
}

static void batch_make(batch *b, cot_op op, cot_dtype dtype) {
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    bool changed = false;
    *b = (batch){.op = op, .dtype = dtype, .context = cot_context_create(&options)};
    b->graph = cot_graph_create(b->context, "cases");
    add_cases(b);
    if (b->n > 0) {
        cot_graph *expanded = NULL;
        CHECK_OK(b->context, coti_pass_expand(b->graph, &expanded, &changed));
        CHECK_OK(b->context, coti_pass_unroll(expanded, &b->expanded, &changed));
        cot_graph_destroy(expanded);
        CHECK_OK(b->context, coti_check_create_forward(b->expanded, ROWS, &b->check));
        b->exact = calloc((size_t)b->check->n_y + 1, sizeof *b->exact);
        b->spread = calloc((size_t)b->check->n_y + 1, sizeof *b->spread);
        assert_true(b->exact != NULL && b->spread != NULL);
    }
}

static void batch_drop(batch *b) {
    free(b->exact);
    free(b->spread);
    coti_check_destroy(b->check);
    cot_graph_destroy(b->expanded);
    cot_graph_destroy(b->graph);
    cot_context_destroy(b->context);
}

/* ---- the point ---- */

/* Of a name as "c12_x0". */
static int32_t case_of(const char *name) {
    return (int32_t)strtol(name + 1, NULL, 10);
}

static double draw(int32_t domain, uint64_t leaf, int64_t i) {
    double normal = coti_check_normal(7, leaf, i);
    double unit = 0.5 + 0.5 * erf(normal * sqrt(0.5));
    double v = domain == 0 ? normal : domain == 1 ? 0.5 + unit : 0.1 + 0.8 * unit;
    return (double)(float)v;
}

static void draw_point(batch *b) {
    for (int32_t i = 0; i < b->check->n_leaves; i++) {
        coti_check_part *part = &b->check->leaf[i];
        bool is_cotangent = strchr(part->name, 'u') != NULL;
        int32_t domain = is_cotangent ? 0 : b->domain[case_of(part->name)];
        for (int64_t k = 0; k < part->count; k++) {
            if (part->at >= 0) {
                b->check->x[part->at + k] = draw(domain, part->id, k);
            } else {
                ((uint8_t *)part->data)[k] = coti_check_normal(7, part->id, k) > 0;
            }
        }
    }
}

/* Has some case to move on to its next domain? */
static bool move_on(batch *b) {
    bool moved = false;
    bool is_finite[MOST_CASES];
    memset(is_finite, true, sizeof is_finite);
    for (int32_t i = 0; i < b->check->n_outputs; i++) {
        const coti_check_part *part = &b->check->output[i];
        for (int64_t k = 0; k < part->count; k++) {
            is_finite[case_of(part->name)] &= isfinite(b->exact[part->at + k]) != 0;
        }
    }
    for (int32_t i = 0; i < b->n; i++) {
        if (!is_finite[i]) {
            b->domain[i]++;
            assert_true(b->domain[i] < N_DOMAINS);
            moved = true;
        }
    }
    return moved;
}

static void find_point(batch *b) {
    coti_rounding rounding = {.bits_lost = 1, .adds_in_dtype = true, .n_samples = 8, .seed = 1};
    bool overflows = false;
    do {
        draw_point(b);
        CHECK_OK(b->context,
                 coti_check_rounding(b->check, &rounding, b->exact, b->spread, &overflows));
    } while (move_on(b));
}

/* ---- the kernels ---- */

static const coti_check_part *find_leaf(const batch *b, const char *name) {
    for (int32_t i = 0; i < b->check->n_leaves; i++) {
        if (strcmp(b->check->leaf[i].name, name) == 0) {
            return &b->check->leaf[i];
        }
    }
    return NULL;
}

/* An input's data in its own dtype; zeros where nothing depends on it. The caller's. */
static void *input_data(const batch *b, const coti_node *node, int64_t count) {
    const coti_check_part *part = find_leaf(b, node->name);
    size_t bytes = cot_dtype_bytes((cot_dtype)node->dtype);
    char *data = calloc((size_t)count + 1, bytes);
    assert_non_null(data);
    for (int64_t k = 0; part != NULL && k < count; k++) {
        if (part->at < 0) {
            data[k] = ((const char *)part->data)[k];
        } else if (node->dtype == COT_F32) {
            ((float *)(void *)data)[k] = (float)b->check->x[part->at + k];
        } else {
            ((double *)(void *)data)[k] = b->check->x[part->at + k];
        }
    }
    return data;
}

static void bind_input(const batch *b, cot_session *session, const coti_node *node, void **data) {
    int64_t count = 0;
    int64_t n_rows = node->shape.batched ? ROWS : 1;
    assert_true(coti_shape_elements(&node->shape, ROWS, &count));
    *data = input_data(b, node, count);
    cot_array array = {.data = *data,
                       .dtype = (cot_dtype)node->dtype,
                       .n_rows = n_rows,
                       .row_elements = count / n_rows};
    CHECK_OK(b->context, cot_session_bind(session, node->name, &array));
}

static void compare_output(const batch *b, int32_t output, const void *data) {
    const coti_check_part *part = &b->check->output[output];
    cot_dtype dtype = (cot_dtype)coti_node_at(b->expanded, part->id)->dtype;
    const coti_tensor got = {dtype, part->shape, (void *)(uintptr_t)data};
    double ulp = dtype == COT_F32 ? FLT_EPSILON : DBL_EPSILON;
    for (int64_t k = 0; k < part->count; k++) {
        double exact = b->exact[part->at + k];
        double value = coti_tensor_get(&got, k);
        double allowed = SHARE * b->spread[part->at + k] + ULPS * ulp * fabs(exact) + SMALLEST;
        if (!(fabs(value - exact) <= allowed)) {
            const grad_case *c = b->of[case_of(part->name)];
            fail_msg("%s %s, %s: %s of %s: %s[%d] is %.9g, expected %.9g, rounding explains %.2g",
                     cot_op_name(c->op), grad_class_names[c->class], cot_dtype_name(b->dtype),
                     c->text, c->inputs, part->name, (int)k, value, exact, allowed);
        }
    }
}

/* Bind, run, compare. data: of the inputs, then of the outputs. */
static void run_session(const batch *b, cot_session *session, void **data) {
    const cot_graph *graph = b->graph;
    size_t n_in = graph->input.count;
    for (size_t i = 0; i < n_in; i++) {
        bind_input(b, session, coti_node_at(graph, graph->input.data[i]), &data[i]);
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        const coti_check_part *part = &b->check->output[i];
        size_t bytes = (size_t)part->count *
                       cot_dtype_bytes((cot_dtype)coti_node_at(b->expanded, part->id)->dtype);
        data[n_in + i] = calloc(bytes + 1, 1);
        CHECK_OK(b->context, cot_session_bind_output(session, part->name, data[n_in + i], bytes));
    }
    if (cot_session_run(session, ROWS) != COT_OK) {
        fail_msg("%s: %s", cot_op_name(b->op), cot_session_message(session));
    }
    for (size_t i = 0; i < graph->output.count; i++) {
        compare_output(b, (int32_t)i, data[n_in + i]);
    }
}

static void run_kernels(const batch *b) {
    cot_program_options options = {.struct_size = sizeof options, .max_rows = ROWS};
    cot_program *program = cot_program_create(b->graph, &options);
    b->context->threads = 1; /* read when a session is made */
    cot_session *session = program == NULL ? NULL : cot_session_create(program);
    size_t n = b->graph->input.count + b->graph->output.count;
    void **data = calloc(n, sizeof *data);
    if (session == NULL || data == NULL) {
        fail_msg("%s: %s", cot_op_name(b->op), cot_error_message(b->context));
    }
    if (cot_program_get_info(program).n_kernels == 0) {
        fail_msg("%s, %s: no kernel was compiled: the evaluator runs it", cot_op_name(b->op),
                 cot_dtype_name(b->dtype));
    }
    assert_int_equal(b->check->n_outputs, b->graph->output.count);
    run_session(b, session, data);
    for (size_t i = 0; i < n; i++) {
        free(data[i]);
    }
    free(data);
    cot_session_destroy(session);
    cot_program_destroy(program);
}

static void check_all(cot_dtype dtype) {
    if (!coti_jit_available()) {
        skip();
    }
    for (int op = 0; op < COT_OP_COUNT; op++) {
        batch b;
        if (effort_is_quick() && op % 4 != (dtype == COT_F32 ? 0 : 2)) {
            continue; /* quick: every second operation, in one of the two */
        }
        batch_make(&b, (cot_op)op, dtype);
        if (b.n > 0) {
            find_point(&b);
            run_kernels(&b);
        }
        batch_drop(&b);
    }
}

static void test_f32(void **state) {
    (void)state;
    check_all(COT_F32);
}

static void test_f64(void **state) {
    (void)state;
    check_all(COT_F64);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f32), cmocka_unit_test(test_f64)};
    return cmocka_run_group_tests_name("grad_jit", tests, NULL, NULL);
}
