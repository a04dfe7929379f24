/* Random numbers in kernels: Philox's own, uniform ones to the bit, normal ones within ulps. */
#include "check.h"
#include "emit_case.h"
#include "runtime/base/philox.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Which element is drawn for y[i,j]: offset + i * row + j * step. */
typedef struct layout {
    int64_t m, n, offset, row, step;
} layout;

/* y[i,j] = random; seed and step of the stream in memory. */
static void build(emit_case *c, cot_dtype dtype, cot_distribution distribution, layout l) {
    static const int64_t key[] = {(int64_t)0x9123456789abcdef, ((int64_t)1 << 40) + 5};
    emit_case_begin(c, COTI_SKELETON_MAP, 2, 2, (int64_t[]){l.m, l.n});
    int64_t none[] = {0, 0};
    int32_t seed = emit_case_slot(c, COT_I64, 2, false);
    int32_t y = emit_case_slot(c, dtype, l.m * l.n, true);
    c->slot_data[seed] = key;
    int32_t v_seed = emit_case_load(c, emit_case_access(c, seed, 0, none));
    int32_t v_step = emit_case_load(c, emit_case_access(c, seed, 1, none));
    int32_t element = emit_case_access(c, -1, l.offset, (int64_t[]){l.row, l.step});
    c->expr[c->kernel.body.n_exprs] = (coti_expr){.kind = COTI_EXPR_RANDOM,
                                                  .dtype = dtype,
                                                  .n_args = 2,
                                                  .arg = {v_seed, v_step},
                                                  .index = element,
                                                  .integer = 1031,
                                                  .distribution = distribution};
    emit_case_store(c, c->kernel.body.n_exprs++, emit_case_access(c, y, 0, (int64_t[]){l.n, 1}));
}

static void uniform(void **state) {
    (void)state;
    static const layout layouts[] = {{3, 37, 0, 37, 1},
                                     {2, 16, 3, 16, 1},
                                     {5, 9, 1, 1, 5},
                                     {1, 100, ((int64_t)1 << 34) + 2, 0, 7}};
    for (size_t i = 0; i < COUNT(layouts); i++) {
        emit_case c;
        build(&c, COT_F32, COT_UNIFORM, layouts[i]);
        emit_case_run(&c, "uniform f32");
        build(&c, COT_F64, COT_UNIFORM, layouts[i]);
        emit_case_run(&c, "uniform f64");
    }
}

/* log, sqrt, sin or cos and their product, each within an ulp or so. */
static void normal(void **state) {
    (void)state;
    emit_case c;
    build(&c, COT_F32, COT_NORMAL, (layout){40, 1000, 1, 1000, 1});
    c.compare = EMIT_ULP;
    c.ulp = 3;
    emit_case_run(&c, "normal f32");
}

/*
 * The evaluator rounds the angle, of up to 2 pi, to half an ulp of 4, and multiplies by a radius of
 * at most 5.8: 2.6e-15; and both round a few numbers of up to 5.8.
 */
static void normal_f64(void **state) {
    (void)state;
    emit_case c;
    build(&c, COT_F64, COT_NORMAL, (layout){40, 1000, 1, 1000, 1});
    c.compare = EMIT_ULP;
    c.f64_error = 5e-15;
    emit_case_run(&c, "normal f64");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(uniform), cmocka_unit_test(normal),
                                       cmocka_unit_test(normal_f64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
