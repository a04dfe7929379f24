/* Products to be tested: see gemm_case.h. */
#include "gemm_case.h"

#include "codegen/tile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- layout ---- */

static int64_t heads_of(const gemm_case *c) {
    return c->heads > 0 ? c->heads : 1;
}

/* Strides of a [b, first, second] operand, b with all heads, and of heads; `by_first`: contiguous
 * along first. Returns its elements. */
static int64_t layout(const gemm_case *c, int64_t b, int64_t first, int64_t second, bool by_first,
                      int64_t stride[4]) {
    int64_t step = c->step == 0 ? 1 : c->step;
    int64_t inner = by_first ? first : second, outer = by_first ? second : first;
    int64_t row = inner * step * heads_of(c) + c->pad;
    stride[3] = inner * step;
    stride[1] = by_first ? step : row;
    stride[2] = by_first ? row : step;
    stride[0] = row * outer + c->pad;
    if (b == 0 || first == 0 || second == 0) {
        return 0;
    }
    return (b / heads_of(c) - 1) * stride[0] + (heads_of(c) - 1) * stride[3] + (outer - 1) * row +
           (inner - 1) * step + 1;
}

/* Where an entry of the batch begins. */
static int64_t entry_at(const gemm_case *c, const int64_t stride[4], int64_t b) {
    return b / heads_of(c) * stride[0] + b % heads_of(c) * stride[3];
}

typedef struct extents {
    int64_t b, m, n, k;
} extents;

/* With N bound. */
static extents bound(const gemm_case *c) {
    return (extents){c->b * heads_of(c) * (c->b_rows ? c->rows : 1),
                     c->m * (c->m_rows ? c->rows : 1), c->n, c->k * (c->k_rows ? c->rows : 1)};
}

static int64_t c_layout(const gemm_case *c, int64_t stride[4]) {
    extents x = bound(c);
    return layout(c, x.b, x.m, x.n, c->c_by_m, stride);
}

/* ---- the kernel ---- */

static int32_t load(coti_body *body, int32_t slot, const int64_t stride[4]) {
    coti_access access = {.slot = slot, .stride = {stride[0], stride[1], stride[2], stride[3]}};
    body->access[body->n_accesses] = access;
    body->expr[body->n_exprs] = (coti_expr){
        .kind = COTI_EXPR_LOAD, .dtype = COT_F32, .index = body->n_accesses++, .full = true};
    return body->n_exprs++;
}

static int32_t acc(coti_body *body) {
    body->expr[body->n_exprs] = (coti_expr){.kind = COTI_EXPR_ACC, .dtype = COT_F32, .full = true};
    return body->n_exprs++;
}

static int32_t op(coti_body *body, cot_op id, cot_dtype dtype, int32_t n, const int32_t *arg) {
    coti_expr expr = {.kind = COTI_EXPR_OP, .op = id, .dtype = dtype, .n_args = n, .full = true};
    memcpy(expr.arg, arg, (size_t)n * sizeof *arg);
    body->expr[body->n_exprs] = expr;
    return body->n_exprs++;
}

static int32_t binary(coti_body *body, cot_op id, cot_dtype dtype, int32_t a, int32_t b) {
    return op(body, id, dtype, 2, (int32_t[]){a, b});
}

static void store(coti_body *body, int32_t slot, const int64_t stride[4], int32_t value) {
    coti_access access = {.slot = slot, .stride = {stride[0], stride[1], stride[2], stride[3]}};
    body->access[body->n_accesses] = access;
    body->store[body->n_stores++] = (coti_store){value, body->n_accesses++};
}

static const int64_t along_n[4] = {0, 0, 1, 0}, scalar[4] = {0, 0, 0, 0};

/* x - rate * sum */
static int32_t updated(coti_body *body, int32_t x, int32_t sum) {
    int32_t rate = load(body, GEMM_RATE, scalar);
    int32_t change = binary(body, COT_OP_MUL, COT_F32, rate, sum);
    return binary(body, COT_OP_SUB, COT_F32, x, change);
}

static void make_body(gemm_test *t, const int64_t c_stride[4]) {
    coti_body *body = &t->kernel.body;
    *body = (coti_body){.expr = t->expr, .access = t->access, .store = t->store};
    int32_t value = acc(body);
    switch (t->c.end) {
    case GEMM_STORE:
        break;
    case GEMM_BIAS_RELU:
        value = binary(body, COT_OP_ADD, COT_F32, value, load(body, GEMM_BIAS, along_n));
        value = op(body, COT_OP_RELU, COT_F32, 1, &value);
        break;
    case GEMM_UPDATE:
        value = updated(body, load(body, GEMM_C, c_stride), value);
        break;
    case GEMM_MASK: {
        body->expr[body->n_exprs] = (coti_expr){.kind = COTI_EXPR_CONST, .dtype = COT_F32};
        int32_t zero = body->n_exprs++;
        int32_t is_set = binary(body, COT_OP_GT, COT_BOOL, load(body, GEMM_OTHER, c_stride), zero);
        value = op(body, COT_OP_SELECT, COT_F32, 3, (int32_t[]){is_set, value, zero});
        break;
    }
    }
    store(body, GEMM_C, c_stride, value);
    if (t->c.side) {
        coti_body *side = &t->kernel.gemm.side;
        *side = (coti_body){.expr = t->side_expr, .access = t->side_access, .store = t->side_store};
        int32_t sum = acc(side);
        store(side, GEMM_BIAS, along_n, updated(side, load(side, GEMM_BIAS, along_n), sum));
    }
}

void gemm_test_init(gemm_test *t, const gemm_case *given, const coti_target *target) {
    memset(t, 0, sizeof *t);
    t->c = *given;
    t->c.b = given->b == 0 ? 1 : given->b;
    const gemm_case *c = &t->c;
    extents x = bound(c);
    int64_t c_stride[4];
    coti_kernel *kernel = &t->kernel;
    *kernel = (coti_kernel){.skeleton = COTI_SKELETON_GEMM,
                            .n_dims = c->heads > 0 ? 4 : 3,
                            .n_kept = c->heads > 0 ? 4 : 3,
                            .rows = c->b_rows,
                            .rows_dim = c->m_rows ? 1 : -1,
                            .extent = {c->b, c->m, c->n, c->heads},
                            .n_slots = GEMM_SLOTS,
                            .hint = "gemm"};
    kernel->slot_written[GEMM_C] = true;
    kernel->slot_written[GEMM_BIAS] = c->side;
    coti_gemm *gemm = &kernel->gemm;
    *gemm = (coti_gemm){.b = c->b,
                        .inner = c->heads,
                        .m = c->m,
                        .n = c->n,
                        .k = c->k,
                        .b_rows = c->b_rows,
                        .m_rows = c->m_rows,
                        .k_rows = c->k_rows,
                        .dtype = COT_F32,
                        .a_slot = GEMM_A,
                        .b_slot = GEMM_B};
    /* Strides may depend on N only where no test runs one kernel at several N. */
    (void)layout(c, x.b, x.m, x.k, c->a_by_m, gemm->a_stride);
    (void)layout(c, x.b, x.k, x.n, c->b_by_k, gemm->b_stride);
    (void)c_layout(c, c_stride);
    coti_tile_choose(gemm, target, c->rows == 0 ? 1 : c->rows);
    if (c->height > 0) {
        gemm->form = c->form;
        gemm->tile_broadcast = c->height;
        gemm->tile_vectors = c->vectors;
        gemm->pack = c->pack;
    }
    gemm->unit_m = c->unit_m > 0 ? c->unit_m : gemm->unit_m;
    gemm->unit_n = c->unit_n > 0 ? c->unit_n : gemm->unit_n;
    make_body(t, c_stride);
    kernel->scratch_bytes = coti_jit_scratch_bytes(kernel, target);
}

/* ---- data ---- */

/* A float in [-1, 1) that depends on the number alone; some are zero. */
static float value_of(uint64_t number) {
    uint64_t z = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return z % 11 == 0 ? 0 : (float)((double)(z >> 40) / 8388608.0 - 1.0);
}

/* Fill a [b, first, second] operand in its layout; gaps hold NaN. */
static guard fill(const gemm_case *c, int64_t b, int64_t first, int64_t second, bool by_first,
                  uint64_t seed, guard_side side) {
    int64_t stride[4], count = layout(c, b, first, second, by_first, stride);
    guard block = guard_create((size_t)count * sizeof(float), side);
    float *data = block.data;
    for (int64_t i = 0; i < count; i++) {
        data[i] = NAN;
    }
    uint64_t number = seed << 40;
    for (int64_t i = 0; i < b; i++) {
        for (int64_t j = 0; j < first; j++) {
            for (int64_t l = 0; l < second; l++) {
                data[entry_at(c, stride, i) + j * stride[1] + l * stride[2]] = value_of(number++);
            }
        }
    }
    return block;
}

static float multiply_add(float a, float b, float c, bool fma) {
    float product = a * b;
    return fma ? fmaf(a, b, c) : product + c;
}

/* acc of one point in the promised order. */
static float product_of(const gemm_test *t, bool fma, int64_t b, int64_t m, int64_t n) {
    const coti_gemm *g = &t->kernel.gemm;
    const float *a_data = t->buffer[GEMM_A].data, *b_data = t->buffer[GEMM_B].data;
    int64_t k = bound(&t->c).k, block = t->c.k_rows ? COTI_ROW_BLOCK : k;
    float total = 0;
    for (int64_t k0 = 0; k0 < k; k0 += block) {
        float sum = 0;
        for (int64_t i = k0; i < k && i < k0 + block; i++) {
            float x =
                a_data[entry_at(&t->c, g->a_stride, b) + m * g->a_stride[1] + i * g->a_stride[2]];
            float y =
                b_data[entry_at(&t->c, g->b_stride, b) + i * g->b_stride[1] + n * g->b_stride[2]];
            sum = multiply_add(x, y, sum, fma);
        }
        total = k0 == 0 ? sum : total + sum;
    }
    return total;
}

/* The exact product, and what a sum of k rounded steps may be away from it. */
static double exact_of(const gemm_test *t, int64_t b, int64_t m, int64_t n, double *bound_out) {
    const coti_gemm *g = &t->kernel.gemm;
    const float *a_data = t->buffer[GEMM_A].data, *b_data = t->buffer[GEMM_B].data;
    double sum = 0, magnitude = 0;
    int64_t k = bound(&t->c).k;
    for (int64_t i = 0; i < k; i++) {
        double x = (double)
            a_data[entry_at(&t->c, g->a_stride, b) + m * g->a_stride[1] + i * g->a_stride[2]];
        double y = (double)
            b_data[entry_at(&t->c, g->b_stride, b) + i * g->b_stride[1] + n * g->b_stride[2]];
        sum += x * y;
        magnitude += fabs(x * y);
    }
    /* Higham, Accuracy and Stability, section 3.1: gamma_k, k plus the steps of the end. */
    double steps = (double)k + 4;
    *bound_out = steps * 0x1p-24 / (1 - steps * 0x1p-24) * (magnitude + 2);
    return sum;
}

static double end_of(const gemm_test *t, double sum, double old, double bias, double other) {
    double rate = (double)*(const float *)t->buffer[GEMM_RATE].data;
    switch (t->c.end) {
    case GEMM_BIAS_RELU:
        return sum + bias <= 0 ? 0 : sum + bias;
    case GEMM_UPDATE:
        return old - rate * sum;
    case GEMM_MASK:
        return other > 0 ? sum : 0;
    case GEMM_STORE:
        break;
    }
    return sum;
}

static float rounded_end_of(const gemm_test *t, float sum, float old, float bias, float other) {
    float rate = *(const float *)t->buffer[GEMM_RATE].data;
    float biased = sum + bias, change = rate * sum;
    switch (t->c.end) {
    case GEMM_BIAS_RELU:
        return biased <= 0 ? 0 : biased;
    case GEMM_UPDATE:
        return old - change;
    case GEMM_MASK:
        return other > 0 ? sum : 0;
    case GEMM_STORE:
        break;
    }
    return sum;
}

static void want_side(gemm_test *t) {
    const coti_gemm *g = &t->kernel.gemm;
    const float *b_data = t->buffer[GEMM_B].data, *bias = t->buffer[GEMM_BIAS].data;
    float rate = *(const float *)t->buffer[GEMM_RATE].data;
    extents x = bound(&t->c);
    memcpy(t->want_bias, bias, (size_t)x.n * sizeof *bias);
    for (int64_t n = 0; t->c.side && n < x.n; n++) {
        float total = 0;
        for (int64_t k0 = 0; k0 < x.k; k0 += COTI_ROW_BLOCK) {
            float sum = 0;
            for (int64_t k = k0; k < x.k && k < k0 + COTI_ROW_BLOCK; k++) {
                sum += b_data[k * g->b_stride[1] + n * g->b_stride[2]];
            }
            total += sum;
        }
        float change = rate * total;
        t->want_bias[n] = bias[n] - change;
    }
}

static float *floats(int64_t n) {
    float *data = calloc((size_t)(n > 0 ? n : 1), sizeof *data);
    if (data == NULL) {
        fail_msg("no memory for the wanted results");
    }
    return data;
}

static void want(gemm_test *t, bool fma) {
    int64_t s[4], count = c_layout(&t->c, s), i = 0;
    extents x = bound(&t->c);
    const float *c = t->buffer[GEMM_C].data, *bias = t->buffer[GEMM_BIAS].data;
    const float *other = t->buffer[GEMM_OTHER].data;
    t->want_c = floats(count);
    t->double_c = floats(count);
    t->bound_c = floats(count);
    t->want_bias = floats(x.n);
    memcpy(t->want_c, c, (size_t)count * sizeof *c);
    for (i = 0; i < x.b * x.m * x.n; i++) {
        int64_t n = i % x.n, m = i / x.n % x.m, b = i / x.n / x.m;
        int64_t at = entry_at(&t->c, s, b) + m * s[1] + n * s[2];
        double slack = 0, exact = exact_of(t, b, m, n, &slack);
        float sum = product_of(t, fma, b, m, n);
        t->want_c[at] = rounded_end_of(t, sum, c[at], bias[n], other[at]);
        t->double_c[at] =
            (float)end_of(t, exact, (double)c[at], (double)bias[n], (double)other[at]);
        t->bound_c[at] = (float)slack;
    }
    want_side(t);
}

void gemm_test_data(gemm_test *t, const coti_target *target, guard_side side) {
    const gemm_case *c = &t->c;
    extents x = bound(c);
    t->buffer[GEMM_A] = fill(c, x.b, x.m, x.k, c->a_by_m, 1, side);
    t->buffer[GEMM_B] = fill(c, x.b, x.k, x.n, c->b_by_k, 2, side);
    t->buffer[GEMM_C] = fill(c, x.b, x.m, x.n, c->c_by_m, 3, side);
    t->buffer[GEMM_OTHER] = fill(c, x.b, x.m, x.n, c->c_by_m, 4, side);
    gemm_case plain = {.b = 1};
    t->buffer[GEMM_BIAS] = fill(&plain, 1, 1, x.n, false, 5, side);
    t->buffer[GEMM_RATE] = fill(&plain, 1, 1, 1, false, 6, side);
    t->scratch = guard_create((size_t)t->kernel.scratch_bytes, GUARD_END);
    want(t, target->fma);
}

int64_t gemm_test_range(const gemm_test *t) {
    extents x = bound(&t->c);
    return t->c.m_rows   ? x.m
           : t->c.b_rows ? x.b / heads_of(&t->c)
                         : coti_tile_units(&t->kernel.gemm);
}

void gemm_test_run(gemm_test *t, cotr_kernel code, int64_t chunk) {
    void *buffer[GEMM_SLOTS];
    for (int32_t i = 0; i < GEMM_SLOTS; i++) {
        buffer[i] = t->buffer[i].data;
    }
    cotr_args args = {.buffer = buffer, .rows = t->c.rows, .scratch = t->scratch.data};
    int64_t range = gemm_test_range(t);
    for (int64_t begin = 0; begin < range; begin += chunk) {
        code(&args, begin, begin + chunk < range ? begin + chunk : range);
    }
}

float gemm_test_c(const gemm_test *t, int64_t b, int64_t m, int64_t n) {
    int64_t s[4];
    (void)c_layout(&t->c, s);
    return ((const float *)t->buffer[GEMM_C].data)[entry_at(&t->c, s, b) + m * s[1] + n * s[2]];
}

void gemm_test_check(const gemm_test *t, const char *what) {
    int64_t s[4];
    extents x = bound(&t->c);
    (void)c_layout(&t->c, s);
    const float *bias = t->buffer[GEMM_BIAS].data;
    for (int64_t i = 0; i < x.b * x.m * x.n; i++) {
        int64_t n = i % x.n, m = i / x.n % x.m, b = i / x.n / x.m;
        int64_t at = entry_at(&t->c, s, b) + m * s[1] + n * s[2];
        float got = gemm_test_c(t, b, m, n);
        if (memcmp(&got, &t->want_c[at], sizeof got) != 0) {
            fail_msg("%s: c[%lld, %lld, %lld] is %a, wanted %a", what, (long long)b, (long long)m,
                     (long long)n, (double)got, (double)t->want_c[at]);
        }
        if (!(fabs((double)got - (double)t->double_c[at]) <= (double)t->bound_c[at])) {
            fail_msg("%s: c[%lld, %lld, %lld] is %g, exactly %g +- %g", what, (long long)b,
                     (long long)m, (long long)n, (double)got, (double)t->double_c[at],
                     (double)t->bound_c[at]);
        }
    }
    for (int64_t n = 0; n < x.n; n++) {
        if (memcmp(&bias[n], &t->want_bias[n], sizeof *bias) != 0) {
            fail_msg("%s: bias[%lld] is %a, wanted %a", what, (long long)n, (double)bias[n],
                     (double)t->want_bias[n]);
        }
    }
}

void gemm_test_free(gemm_test *t) {
    for (int32_t i = 0; i < GEMM_SLOTS; i++) {
        guard_destroy(&t->buffer[i]);
    }
    guard_destroy(&t->scratch);
    free(t->want_c);
    free(t->want_bias);
    free(t->double_c);
    free(t->bound_c);
}
