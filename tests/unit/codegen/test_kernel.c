/*
 * The text of kernels tells all that makes two kernels different, and the check of a kernel refuses
 * each thing that the emitter relies on not to happen.
 */
#include "check.h"

#include "codegen/kernel.h"

#include <math.h>
#include <stdlib.h>

static cot_context *context;

/* A kernel with its arrays, to be changed by a test. */
typedef struct sample {
    coti_kernel kernel;
    coti_expr expr[8], side_expr[4];
    coti_access access[4], side_access[2];
    coti_store store[2], side_store[1];
} sample;

/* y[n, c] = x[n, c] - sum_c x[n, c]; s[n] = sum_c x[n, c] */
static void make_rowred(sample *s) {
    *s = (sample){.kernel = {.skeleton = COTI_SKELETON_ROWRED,
                             .n_dims = 2,
                             .n_kept = 1,
                             .rows = true,
                             .rows_dim = -1,
                             .extent = {1, 10},
                             .n_slots = 3,
                             .slot_written = {false, true, true}}};
    s->expr[0] = (coti_expr){.kind = COTI_EXPR_LOAD, .full = true};
    s->expr[1] = (coti_expr){.kind = COTI_EXPR_REDUCE, .op = COT_OP_SUM, .n_args = 1};
    s->expr[2] = (coti_expr){
        .kind = COTI_EXPR_OP, .op = COT_OP_SUB, .full = true, .n_args = 2, .arg = {0, 1}};
    s->access[0] = (coti_access){.slot = 0, .stride = {10, 1}};
    s->access[1] = (coti_access){.slot = 1, .stride = {10, 1}};
    s->access[2] = (coti_access){.slot = 2, .stride = {1, 0}};
    s->store[0] = (coti_store){2, 1};
    s->store[1] = (coti_store){1, 2};
    s->kernel.body = (coti_body){3, 3, 2, s->expr, s->access, s->store};
}

/* w[m, n] -= 0.5 * sum_k a[k, m] * b[k, n]; bias[n] = sum_k b[k, n] */
static void make_gemm(sample *s) {
    *s = (sample){.kernel = {.skeleton = COTI_SKELETON_GEMM,
                             .n_dims = 3,
                             .n_kept = 3,
                             .rows_dim = -1,
                             .extent = {1, 4, 5},
                             .n_slots = 4,
                             .slot_written = {false, false, true, true}}};
    s->kernel.gemm = (coti_gemm){.b = 1,
                                 .m = 4,
                                 .n = 5,
                                 .k = 1,
                                 .k_rows = true,
                                 .a_slot = 0,
                                 .b_slot = 1,
                                 .a_stride = {0, 1, 4},
                                 .b_stride = {0, 5, 1},
                                 .tile_broadcast = 4,
                                 .tile_vectors = 1,
                                 .unit_m = 4,
                                 .unit_n = 5};
    s->expr[0] = (coti_expr){.kind = COTI_EXPR_ACC};
    s->expr[1] = (coti_expr){.kind = COTI_EXPR_CONST, .number = 0.5};
    s->expr[2] = (coti_expr){.kind = COTI_EXPR_OP, .op = COT_OP_MUL, .n_args = 2, .arg = {0, 1}};
    s->expr[3] = (coti_expr){.kind = COTI_EXPR_LOAD};
    s->expr[4] = (coti_expr){.kind = COTI_EXPR_OP, .op = COT_OP_SUB, .n_args = 2, .arg = {3, 2}};
    s->access[0] = (coti_access){.slot = 2, .stride = {0, 5, 1}};
    s->store[0] = (coti_store){4, 0};
    s->kernel.body = (coti_body){5, 1, 1, s->expr, s->access, s->store};
    s->side_expr[0] = (coti_expr){.kind = COTI_EXPR_ACC};
    s->side_access[0] = (coti_access){.slot = 3, .stride = {0, 0, 1}};
    s->side_store[0] = (coti_store){0, 0};
    s->kernel.gemm.side = (coti_body){1, 1, 1, s->side_expr, s->side_access, s->side_store};
}

/* r[i] = x[i + 1] inside [2, 9), else 1.5; with a random number, an index, N, integers. */
static void make_map(sample *s) {
    *s = (sample){.kernel = {.skeleton = COTI_SKELETON_MAP,
                             .n_dims = 1,
                             .n_kept = 1,
                             .rows_dim = -1,
                             .extent = {10},
                             .n_slots = 2,
                             .slot_written = {false, true}}};
    s->expr[0] = (coti_expr){.kind = COTI_EXPR_LOAD};
    s->expr[1] = (coti_expr){.kind = COTI_EXPR_CONST, .dtype = COT_I64, .integer = -7};
    s->expr[2] = (coti_expr){.kind = COTI_EXPR_ROWS, .dtype = COT_I64};
    s->expr[3] = (coti_expr){.kind = COTI_EXPR_RANDOM,
                             .n_args = 2,
                             .arg = {1, 2},
                             .index = 1,
                             .integer = 1024,
                             .distribution = COT_NORMAL};
    s->expr[4] = (coti_expr){.kind = COTI_EXPR_INDEX, .dtype = COT_F32};
    s->expr[5] = (coti_expr){.kind = COTI_EXPR_OP, .op = COT_OP_MUL, .n_args = 2, .arg = {3, 4}};
    s->expr[6] = (coti_expr){.kind = COTI_EXPR_OP, .op = COT_OP_ADD, .n_args = 2, .arg = {0, 5}};
    s->access[0] = (coti_access){
        .slot = 0, .offset = 1, .stride = {1}, .bounded = 1, .lo = {2}, .hi = {9}, .fill = 1.5};
    s->access[1] = (coti_access){.slot = -1, .stride = {1}};
    s->access[2] = (coti_access){.slot = 1, .stride = {1}};
    s->store[0] = (coti_store){6, 2};
    s->kernel.body = (coti_body){7, 3, 1, s->expr, s->access, s->store};
}

/* r[i, j] = table[index[i], j]: rows of a table of 30. */
static void make_gather(sample *s) {
    *s = (sample){.kernel = {.skeleton = COTI_SKELETON_MAP,
                             .n_dims = 2,
                             .n_kept = 2,
                             .rows_dim = -1,
                             .extent = {10, 4},
                             .n_slots = 3,
                             .slot_dtype = {COT_F32, COT_I32, COT_F32},
                             .slot_written = {false, false, true}}};
    s->expr[0] = (coti_expr){.kind = COTI_EXPR_LOAD, .dtype = COT_I32, .index = 1};
    s->expr[1] = (coti_expr){
        .kind = COTI_EXPR_GATHER, .n_args = 1, .arg = {0}, .index = 0, .integer = 30, .step = 4};
    s->access[0] = (coti_access){.slot = 0, .stride = {0, 1}};
    s->access[1] = (coti_access){.slot = 1, .stride = {1, 0}};
    s->access[2] = (coti_access){.slot = 2, .stride = {4, 1}};
    s->store[0] = (coti_store){1, 2};
    s->kernel.body = (coti_body){2, 3, 1, s->expr, s->access, s->store};
}

/* Sums of 7N updates of 4 into 30 places. */
static void make_scatter(sample *s) {
    *s = (sample){.kernel = {.skeleton = COTI_SKELETON_SCATTER,
                             .n_dims = 2,
                             .n_kept = 2,
                             .rows_dim = -1,
                             .extent = {30, 4},
                             .n_slots = 3,
                             .slot_dtype = {COT_F32, COT_I64, COT_F32},
                             .slot_written = {false, false, true}}};
    s->kernel.scatter = (coti_scatter){.b = 1,
                                       .l = 1,
                                       .i = 7,
                                       .d = 30,
                                       .t = 4,
                                       .i_rows = true,
                                       .index_dtype = COT_I64,
                                       .index_slot = 1,
                                       .result_slot = 2,
                                       .updates_stride = {0, 0, 4, 1},
                                       .index_stride = {0, 1}};
}

static char *text_of(const coti_kernel *kernel) {
    coti_str text;
    coti_str_init(&text, context);
    coti_kernel_print(&text, kernel);
    assert_int_equal(coti_str_status(&text), COT_OK);
    char *copy = strdup(coti_str_text(&text));
    coti_str_free(&text);
    return copy;
}

static void check_text(const coti_kernel *kernel, const char *expected) {
    char *text = text_of(kernel);
    CHECK_OK(context, coti_kernel_verify(context, kernel));
    assert_string_equal(text, expected);
    free(text);
}

static void test_text(void **state) {
    (void)state;
    sample s;
    make_rowred(&s);
    check_text(&s.kernel, "rowred rows [1N | 10]\n"
                          "slots 0 f32, 1 f32 written, 2 f32 written\n"
                          "e0 = load slot 0 [10, 1] : f32 full\n"
                          "e1 = reduce sum e0 : f32\n"
                          "e2 = sub e0, e1 : f32 full\n"
                          "store e2 to slot 1 [10, 1]\n"
                          "store e1 to slot 2 [1, 0]\n");
    make_gemm(&s);
    check_text(&s.kernel, "gemm [1, 4, 5]\n"
                          "slots 0 f32, 1 f32, 2 f32 written, 3 f32 written\n"
                          "product f32 b 1 m 4 n 5 k 1N\n"
                          "  a slot 0 [0, 1, 4]  b slot 1 [0, 5, 1]\n"
                          "  n_vectors tile 4 x 1 unit 4 x 5\n"
                          "e0 = acc : f32\n"
                          "e1 = const 0.5 : f32\n"
                          "e2 = mul e0, e1 : f32\n"
                          "e3 = load slot 2 [0, 5, 1] : f32\n"
                          "e4 = sub e3, e2 : f32\n"
                          "store e4 to slot 2 [0, 5, 1]\n"
                          "side\n"
                          "e0 = acc : f32\n"
                          "store e0 to slot 3 [0, 0, 1]\n");
    make_map(&s);
    check_text(&s.kernel, "map [10]\n"
                          "slots 0 f32, 1 f32 written\n"
                          "e0 = load slot 0 [1] + 1 inside d0 [2, 9) else 1.5 : f32\n"
                          "e1 = const -7 : i64\n"
                          "e2 = rows : i64\n"
                          "e3 = random normal stream 1024 e1, e2, element [1] : f32\n"
                          "e4 = index d0 : f32\n"
                          "e5 = mul e3, e4 : f32\n"
                          "e6 = add e0, e5 : f32\n"
                          "store e6 to slot 1 [1]\n");
}

/* Each of these changes must change the text: the text is the key of the kernel cache. */
#define CHANGES(X)                                                                                 \
    X(make_map, kernel.extent[0], 11)                                                              \
    X(make_map, kernel.rows, true)                                                                 \
    X(make_map, kernel.slot_dtype[0], COT_F64)                                                     \
    X(make_map, kernel.slot_written[0], true)                                                      \
    X(make_map, access[0].offset, 0)                                                               \
    X(make_map, access[0].stride[0], 2)                                                            \
    X(make_map, access[0].bounded, 0)                                                              \
    X(make_map, access[0].lo[0], 3)                                                                \
    X(make_map, access[0].hi[0], 10)                                                               \
    X(make_map, access[0].fill, -0.0)                                                              \
    X(make_map, access[1].offset, 4)                                                               \
    X(make_map, access[2].slot, 0)                                                                 \
    X(make_map, expr[1].integer, 7)                                                                \
    X(make_map, expr[1].dtype, COT_I32)                                                            \
    X(make_map, expr[3].integer, 1025)                                                             \
    X(make_map, expr[3].distribution, COT_UNIFORM)                                                 \
    X(make_map, expr[6].op, COT_OP_SUB)                                                            \
    X(make_map, expr[6].arg[1], 0)                                                                 \
    X(make_map, store[0].expr, 5)                                                                  \
    X(make_rowred, kernel.n_kept, 2)                                                               \
    X(make_rowred, kernel.skeleton, COTI_SKELETON_COLRED)                                          \
    X(make_rowred, kernel.rows_dim, 1)                                                             \
    X(make_rowred, expr[1].op, COT_OP_REDUCE_MAX)                                                  \
    X(make_rowred, expr[2].full, false)                                                            \
    X(make_gemm, kernel.gemm.b, 2)                                                                 \
    X(make_gemm, kernel.gemm.k, 2)                                                                 \
    X(make_gemm, kernel.gemm.k_rows, false)                                                        \
    X(make_gemm, kernel.gemm.m_rows, true)                                                         \
    X(make_gemm, kernel.gemm.b_rows, true)                                                         \
    X(make_gemm, kernel.gemm.a_slot, 1)                                                            \
    X(make_gemm, kernel.gemm.b_slot, 0)                                                            \
    X(make_gemm, kernel.gemm.a_offset, 1)                                                          \
    X(make_gemm, kernel.gemm.b_offset, 1)                                                          \
    X(make_gemm, kernel.gemm.a_stride[2], 5)                                                       \
    X(make_gemm, kernel.gemm.b_stride[1], 6)                                                       \
    X(make_gemm, kernel.gemm.form, COTI_GEMM_M_VECTORS)                                            \
    X(make_gemm, kernel.gemm.tile_broadcast, 6)                                                    \
    X(make_gemm, kernel.gemm.tile_vectors, 2)                                                      \
    X(make_gemm, kernel.gemm.pack, true)                                                           \
    X(make_gemm, kernel.gemm.unit_m, 2)                                                            \
    X(make_gemm, kernel.gemm.unit_n, 2)                                                            \
    X(make_gemm, kernel.gemm.side.n_exprs, 0)                                                      \
    X(make_gemm, side_access[0].stride[2], 2)                                                      \
    X(make_gemm, expr[1].number, 0.25)                                                             \
    X(make_gather, expr[1].integer, 31)                                                            \
    X(make_gather, expr[1].step, 5)                                                                \
    X(make_gather, access[0].stride[1], 0)                                                         \
    X(make_scatter, kernel.scatter.b, 2)                                                           \
    X(make_scatter, kernel.scatter.l, 2)                                                           \
    X(make_scatter, kernel.scatter.i, 8)                                                           \
    X(make_scatter, kernel.scatter.d, 31)                                                          \
    X(make_scatter, kernel.scatter.t, 5)                                                           \
    X(make_scatter, kernel.scatter.l_rows, true)                                                   \
    X(make_scatter, kernel.scatter.i_rows, false)                                                  \
    X(make_scatter, kernel.scatter.by_row, true)                                                   \
    X(make_scatter, kernel.scatter.dtype, COT_F64)                                                 \
    X(make_scatter, kernel.scatter.index_dtype, COT_I32)                                           \
    X(make_scatter, kernel.scatter.updates_slot, 1)                                                \
    X(make_scatter, kernel.scatter.index_slot, 0)                                                  \
    X(make_scatter, kernel.scatter.result_slot, 1)                                                 \
    X(make_scatter, kernel.scatter.updates_offset, 1)                                              \
    X(make_scatter, kernel.scatter.index_offset, 1)                                                \
    X(make_scatter, kernel.scatter.updates_stride[3], 2)                                           \
    X(make_scatter, kernel.scatter.index_stride[1], 2)

static void test_text_is_complete(void **state) {
    (void)state;
    sample s;
#define CHECK_CHANGE(make, field, changed)                                                         \
    do {                                                                                           \
        make(&s);                                                                                  \
        char *before = text_of(&s.kernel);                                                         \
        s.field = (changed);                                                                       \
        char *after = text_of(&s.kernel);                                                          \
        if (strcmp(before, after) == 0) {                                                          \
            fail_msg("the text does not tell %s = %s", #field, #changed);                          \
        }                                                                                          \
        free(before);                                                                              \
        free(after);                                                                               \
    } while (0);
    CHANGES(CHECK_CHANGE)
#undef CHECK_CHANGE
}

/* What must be refused. X(sample, field, value, text of the error) */
#define MISTAKES(X)                                                                                \
    X(make_map, kernel.n_dims, 0, "0 dimensions")                                                  \
    X(make_map, kernel.n_kept, 0, "0 kept")                                                        \
    X(make_map, kernel.extent[0], -1, "negative extent")                                           \
    X(make_map, kernel.n_slots, COTI_MAX_SLOTS + 1, "49 slots")                                    \
    X(make_map, kernel.rows_dim, 1, "rows_dim 1")                                                  \
    X(make_map, kernel.slot_dtype[0], (cot_dtype)17, "slot 0 has no dtype")                        \
    X(make_map, kernel.body.n_exprs, COTI_MAX_EXPRS + 1, "513 expressions")                        \
    X(make_map, access[0].slot, 2, "access 0 has slot 2")                                          \
    X(make_map, expr[0].index, 3, "e0 has index 3 of 3")                                           \
    X(make_map, expr[4].index, 1, "e4 has index 1 of 1")                                           \
    X(make_map, expr[0].dtype, COT_F64, "e0, load")                                                \
    X(make_map, expr[2].dtype, COT_I32, "e2, rows")                                                \
    X(make_map, expr[1].dtype, COT_I32, "e3, random")                                              \
    X(make_map, expr[4].dtype, COT_BOOL, "e4, index")                                              \
    X(make_map, expr[5].n_args, 1, "e5, op mul")                                                   \
    X(make_map, expr[5].n_args, 4, "e5 has 4 arguments")                                           \
    X(make_map, expr[5].arg[1], 5, "e5 uses e5")                                                   \
    X(make_map, expr[5].op, COT_OP_LT, "e5, op lt")                                                \
    X(make_map, expr[5].kind, COTI_EXPR_REDUCE, "e5, reduce")                                      \
    X(make_map, expr[0].kind, COTI_EXPR_ACC, "e0, acc")                                            \
    X(make_map, expr[0].kind, (coti_expr_kind)99, "e0 has no such kind")                           \
    X(make_map, expr[6].dtype, COT_I32, "e6, op add")                                              \
    X(make_map, store[0].expr, 7, "store 0 is out of range")                                       \
    X(make_map, store[0].access, 3, "store 0 is out of range")                                     \
    X(make_map, store[0].access, 0, "store 0 does not fit its slot 0")                             \
    X(make_map, access[2].bounded, 1, "store 0 does not fit its slot 1")                           \
    X(make_map, kernel.slot_written[0], true, "slot 0 is stored 0 times")                          \
    X(make_map, access[0].slot, 1, "slot 1 is read elsewhere than written")                        \
    X(make_rowred, kernel.n_kept, 2, "2 kept")                                                     \
    X(make_rowred, expr[0].full, false, "e0, load")                                                \
    X(make_rowred, expr[2].full, false, "e2 is not full but its argument e0 is")                   \
    X(make_rowred, expr[1].op, COT_OP_ADD, "e1, reduce")                                           \
    X(make_rowred, expr[1].full, true, "e1, reduce")                                               \
    X(make_rowred, access[1].stride[1], 0, "store 0 is of another rank than e2")                   \
    X(make_rowred, store[1].access, 1, "store 1 is of another rank than e1")                       \
    X(make_rowred, store[1].expr, 2, "store 1 is of another rank than e2")                         \
    X(make_rowred, kernel.skeleton, COTI_SKELETON_COLRED, "store 0 is of another rank than e2")    \
    X(make_map, kernel.skeleton, COTI_SKELETON_LOAD, "a load of this form")                        \
    X(make_gemm, kernel.extent[1], 5, "product and domain differ")                                 \
    X(make_gemm, kernel.gemm.m_rows, true, "product and domain differ")                            \
    X(make_gemm, kernel.gemm.a_slot, 4, "slots 4 and 1 cannot be a product's")                     \
    X(make_gemm, kernel.gemm.b_slot, 2, "slots 0 and 2 cannot be a product's")                     \
    X(make_gemm, kernel.gemm.dtype, COT_F64, "cannot be a product's")                              \
    X(make_gemm, access[0].slot, 3, "slot 3 is read elsewhere")                                    \
    X(make_gemm, side_access[0].slot, 2, "slot 2 is read elsewhere than written")                  \
    X(make_gather, expr[1].integer, 0, "e1, gather")                                               \
    X(make_gather, expr[1].n_args, 0, "e1, gather")                                                \
    X(make_gather, expr[1].arg[0], 1, "e1 uses e1")                                                \
    X(make_gather, expr[1].index, 3, "e1 has index 3 of 3")                                        \
    X(make_gather, expr[1].dtype, COT_F64, "e1, gather of dtype f64")                              \
    X(make_gather, access[0].bounded, 1, "e1, gather")                                             \
    X(make_gather, access[0].slot, -1, "e1, gather")                                               \
    X(make_gather, access[0].slot, 2, "slot 2 is read elsewhere than written")                     \
    X(make_gather, access[1].slot, 0, "e0, load of dtype i32")                                     \
    X(make_scatter, kernel.extent[0], 31, "scatter and domain differ")                             \
    X(make_scatter, kernel.extent[1], 3, "scatter and domain differ")                              \
    X(make_scatter, kernel.rows, true, "scatter and domain differ")                                \
    X(make_scatter, kernel.scatter.l_rows, true, "scatter and domain differ")                      \
    X(make_scatter, kernel.scatter.b, 2, "scatter and domain differ")                              \
    X(make_scatter, kernel.scatter.by_row, true, "scatter and domain differ")                      \
    X(make_scatter, kernel.scatter.updates_slot, 3, "slot 3 cannot be a scatter's")                \
    X(make_scatter, kernel.scatter.index_slot, 0, "slot 0 cannot be a scatter's")                  \
    X(make_scatter, kernel.scatter.result_slot, 0, "slot 0 cannot be a scatter's")                 \
    X(make_scatter, kernel.slot_written[0], true, "slot 0 cannot be a scatter's")

static void test_mistakes(void **state) {
    (void)state;
    sample s;
#define CHECK_MISTAKE(make, field, wrong, text)                                                    \
    do {                                                                                           \
        make(&s);                                                                                  \
        s.field = (wrong);                                                                         \
        assert_int_equal(coti_kernel_verify(context, &s.kernel), COT_E_INTERNAL);                  \
        CHECK_ERROR(context, COT_E_INTERNAL, text);                                                \
    } while (0);
    MISTAKES(CHECK_MISTAKE)
#undef CHECK_MISTAKE
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
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_is_complete),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
