/*
 * Products of doubles, from the graph: on every instruction set that this machine has each result
 * has the bits of a serial sum by fma (in blocks of COTI_ROW_BLOCK, added in order, where k is the
 * batch), whatever the layouts, the epilogue's vectors and the number of threads.
 */
#include "codegen/jit.h"
#include "cotangent/graph.h"

#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Batch entries, m, n, k; which one is the row count; how the operands lie. */
typedef struct product {
    int64_t b, m, n, k;
    char rows; /* 'b', 'm', 'k'; 0: none */
    bool a_by_m, b_by_k;
} product;

static const product products[] = {
    {1, 1, 1, 1, 0, false, false},       {1, 3, 5, 7, 0, false, false},
    {1, 17, 33, 9, 0, true, true},       {1, 16, 16, 16, 0, false, true},
    {1, 33, 2, 100, 0, true, false},     {1, 40, 70, 300, 0, false, false},
    {1, 1, 65, 5, 0, false, false},      {1, 65, 1, 1030, 0, false, false},
    {3, 4, 5, 6, 0, false, false},       {2, 19, 9, 33, 0, true, true},
    {1, 37, 10, 784, 'm', false, false}, {1, 5, 130, 20, 'm', false, true},
    {1, 33, 17, 4, 'm', true, false},    {1, 20, 15, 1, 'k', false, false},
    {1, 6, 3, 600, 'k', false, false},   {1, 33, 65, 1100, 'k', false, false},
    {7, 3, 4, 5, 'b', false, false},     {9, 2, 17, 16, 'b', true, true},
    {1, 4, 0, 3, 0, false, false},       {1, 4, 3, 0, 0, false, false},
};

static double number(uint64_t i) {
    i = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    i ^= i >> 29;
    return (double)(int64_t)(i * UINT64_C(0xBF58476D1CE4E5B9)) * 0x1p-62;
}

/* Is the operand stored with its second axis outermost? Rows of the batch are outermost always. */
static bool turned_a(const product *p) {
    return p->rows == 'k' || (p->rows != 'm' && p->a_by_m);
}
static bool turned_b(const product *p) {
    return p->rows != 'k' && p->b_by_k;
}

/* An input [b, first, second] ([first, second] where there is no batch), stored turned or not; its
 * leading extent may be the row count. */
static cot_value operand(cot_graph *graph, const char *name, const int64_t extent[3], bool turned,
                         bool rows) {
    bool batch = extent[0] > 1;
    cot_shape shape = {.rank = 2, .dim = {extent[turned ? 2 : 1], extent[turned ? 1 : 2]}};
    if (batch) {
        shape = (cot_shape){.rank = 3, .dim = {extent[0], shape.dim[0], shape.dim[1]}};
    }
    if (rows) {
        shape.batched = true;
        shape.dim[0] = 1;
    }
    return cot_op_input(graph, COT_F64, shape, name);
}

static cot_graph *make_graph(cot_context *context, const product *p) {
    cot_graph *graph = cot_graph_create(context, "product");
    bool both = p->rows == 'b' || p->rows == 'k';
    cot_value a = operand(graph, "a", (int64_t[]){p->b, p->m, p->k}, turned_a(p), p->rows != 0);
    cot_value b = operand(graph, "b", (int64_t[]){p->b, p->k, p->n}, turned_b(p), both);
    int32_t batch = p->b > 1 ? 1 : 0;
    cot_dot_axes axes = {.n_batch = batch,
                         .n_contract = 1,
                         .a_contract = {batch + (turned_a(p) ? 0 : 1)},
                         .b_contract = {batch + (turned_b(p) ? 1 : 0)}};
    CHECK_OK(context, cot_graph_output(cot_op_dot(a, b, &axes), "c"));
    return graph;
}

/* Where element (b, i, j) of an operand [b, first, second] lies in its array. */
static int64_t place(int64_t b, int64_t i, int64_t j, int64_t first, int64_t second, bool turned) {
    return b * first * second + (turned ? j * first + i : i * second + j);
}

static double serial(const product *p, const double *a, const double *b, const int64_t at[3]) {
    double total = 0, sum = 0;
    bool blocks = p->rows == 'k';
    for (int64_t k = 0; k < p->k; k++) {
        double x = a[place(at[0], at[1], k, p->m, p->k, turned_a(p))];
        double y = b[place(at[0], k, at[2], p->k, p->n, turned_b(p))];
        sum = fma(x, y, sum);
        if (blocks && ((k + 1) % COTI_ROW_BLOCK == 0 || k + 1 == p->k)) {
            total += sum;
            sum = 0;
        }
    }
    return blocks ? total : sum;
}

/* Compile the product and run it on these operands. */
static void run_product(cot_context *context, const product *p, const double *a, const double *b,
                        double *c) {
    cot_graph *graph = make_graph(context, p);
    int64_t rows = p->rows == 'b' ? p->b : p->rows == 'm' ? p->m : p->rows == 'k' ? p->k : 1;
    int64_t b_rows = p->rows == 'm' ? 1 : rows;
    cot_program_options options = {.struct_size = sizeof options, .max_rows = rows};
    cot_program *program = cot_program_create(graph, &options);
    cot_session *session = cot_session_create(program);
    cot_array of_a = {a, COT_F64, rows, p->b * p->m * p->k / rows, 0, 0, 0};
    cot_array of_b = {b, COT_F64, b_rows, p->b * p->k * p->n / b_rows, 0, 0, 0};
    assert_true(p->n == 0 || cot_program_get_info(program).n_kernels > 0);
    CHECK_OK(context, cot_session_bind(session, "a", &of_a));
    CHECK_OK(context, cot_session_bind(session, "b", &of_b));
    CHECK_OK(context,
             cot_session_bind_output(session, "c", c, (size_t)(p->b * p->m * p->n) * sizeof *c));
    CHECK_OK(context, cot_session_run(session, rows));
    cot_session_destroy(session);
    cot_program_destroy(program);
    cot_graph_destroy(graph);
}

static double *numbers(int64_t n, uint64_t first) {
    double *x = calloc((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = number(first + (uint64_t)i);
    }
    return x;
}

static void check_product(cot_context *context, const product *p) {
    double *a = numbers(p->b * p->m * p->k, 0), *b = numbers(p->b * p->k * p->n, 1000003);
    double *c = numbers(p->b * p->m * p->n, 7);
    run_product(context, p, a, b, c);
    for (int64_t i = 0; i < p->b * p->m * p->n; i++) {
        int64_t at[3] = {i / (p->m * p->n), i / p->n % p->m, i % p->n};
        double want = serial(p, a, b, at);
        if (memcmp(&want, &c[i], sizeof want) != 0) {
            fail_msg("[%d, %d, %d], rows %c: element %d is %a, the serial sum %a", (int)p->m,
                     (int)p->n, (int)p->k, p->rows == 0 ? '-' : p->rows, (int)i, c[i], want);
        }
    }
    free(a);
    free(b);
    free(c);
}

/* On a target without FMA sums round twice a term: there the bits are nobody's business. */
static void test_bits(void **state) {
    (void)state;
    for (int32_t isa = COT_ISA_AVX2; isa <= (int32_t)COT_ISA_AVX512; isa++) {
        for (int32_t threads = 1; threads <= 2; threads++) {
            cot_options options = {
                .struct_size = sizeof options, .threads = threads, .isa = (cot_isa)isa};
            cot_context *context = cot_context_create(&options);
            assert_non_null(context);
            coti_target target;
            if (coti_jit_target(context, &target) == COT_OK) {
                for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
                    check_product(context, &products[i]);
                }
            }
            cot_context_destroy(context);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests_name("gemm_f64", tests, NULL, NULL);
}
