/* Kernels by hand (emit_case.h). */
#include "emit_case.h"

#include "check.h"
#include "effort.h"
#include "guard.h"
#include "kernel_interpret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

void emit_case_begin(emit_case *c, coti_skeleton skeleton, int32_t n_dims, int32_t n_kept,
                     const int64_t *extent) {
    memset(c, 0, sizeof *c);
    c->kernel.skeleton = skeleton;
    c->kernel.n_dims = n_dims;
    c->kernel.n_kept = n_kept;
    c->kernel.rows_dim = -1;
    memcpy(c->kernel.extent, extent, (size_t)n_dims * sizeof *extent);
    c->kernel.hint = "test";
    c->rows = 1;
}

int32_t emit_case_slot(emit_case *c, cot_dtype dtype, int64_t elements, bool written) {
    int32_t slot = c->kernel.n_slots++;
    c->kernel.slot_dtype[slot] = dtype;
    c->kernel.slot_written[slot] = written;
    c->slot_elements[slot] = elements;
    return slot;
}

int32_t emit_case_access(emit_case *c, int32_t slot, int64_t offset, const int64_t *stride) {
    assert_true(c->kernel.body.n_accesses < EMIT_CASE_ACCESSES);
    coti_access *access = &c->access[c->kernel.body.n_accesses];
    *access = (coti_access){.slot = slot, .offset = offset};
    memcpy(access->stride, stride, (size_t)c->kernel.n_dims * sizeof *stride);
    return c->kernel.body.n_accesses++;
}

static int32_t add_expr(emit_case *c, coti_expr expr) {
    assert_true(c->kernel.body.n_exprs < EMIT_CASE_EXPRS);
    for (int32_t a = 0; a < expr.n_args && expr.kind != COTI_EXPR_REDUCE; a++) {
        expr.full = expr.full || c->expr[expr.arg[a]].full;
    }
    c->expr[c->kernel.body.n_exprs] = expr;
    return c->kernel.body.n_exprs++;
}

static bool access_is_full(const emit_case *c, const coti_access *access) {
    bool full = false;
    for (int32_t d = c->kernel.n_kept; d < c->kernel.n_dims; d++) {
        full = full || access->stride[d] != 0 || (access->bounded >> d & 1) != 0;
    }
    return full;
}

int32_t emit_case_load(emit_case *c, int32_t access) {
    return add_expr(c, (coti_expr){.kind = COTI_EXPR_LOAD,
                                   .dtype = c->kernel.slot_dtype[c->access[access].slot],
                                   .full = access_is_full(c, &c->access[access]),
                                   .index = access});
}

int32_t emit_case_number(emit_case *c, cot_dtype dtype, double value) {
    bool real = dtype == COT_F32 || dtype == COT_F64;
    return add_expr(c, (coti_expr){.kind = COTI_EXPR_CONST,
                                   .dtype = dtype,
                                   .number = value,
                                   .integer = real ? 0 : (int64_t)value});
}

int32_t emit_case_index(emit_case *c, cot_dtype dtype, int32_t dim) {
    return add_expr(c, (coti_expr){.kind = COTI_EXPR_INDEX,
                                   .dtype = dtype,
                                   .full = dim >= c->kernel.n_kept,
                                   .index = dim});
}

int32_t emit_case_op1(emit_case *c, cot_op op, int32_t a) {
    return add_expr(
        c, (coti_expr){
               .kind = COTI_EXPR_OP, .op = op, .dtype = c->expr[a].dtype, .n_args = 1, .arg = {a}});
}

int32_t emit_case_op2(emit_case *c, cot_op op, int32_t a, int32_t b) {
    bool compare = coti_op_table[op].kind == COTI_KIND_COMPARE;
    return add_expr(c, (coti_expr){.kind = COTI_EXPR_OP,
                                   .op = op,
                                   .dtype = compare ? COT_BOOL : c->expr[a].dtype,
                                   .n_args = 2,
                                   .arg = {a, b}});
}

int32_t emit_case_select(emit_case *c, int32_t condition, int32_t a, int32_t b) {
    return add_expr(c, (coti_expr){.kind = COTI_EXPR_OP,
                                   .op = COT_OP_SELECT,
                                   .dtype = c->expr[a].dtype,
                                   .n_args = 3,
                                   .arg = {condition, a, b}});
}

int32_t emit_case_cast(emit_case *c, cot_dtype to, int32_t a) {
    return add_expr(
        c,
        (coti_expr){.kind = COTI_EXPR_OP, .op = COT_OP_CAST, .dtype = to, .n_args = 1, .arg = {a}});
}

int32_t emit_case_reduce(emit_case *c, cot_op op, int32_t a) {
    return add_expr(c, (coti_expr){.kind = COTI_EXPR_REDUCE,
                                   .op = op,
                                   .dtype = op == COT_OP_ARGMAX ? COT_I32 : c->expr[a].dtype,
                                   .n_args = 1,
                                   .arg = {a}});
}

void emit_case_store(emit_case *c, int32_t expr, int32_t access) {
    assert_true(c->kernel.body.n_stores < EMIT_CASE_ACCESSES);
    c->store[c->kernel.body.n_stores++] = (coti_store){.expr = expr, .access = access};
}

void emit_case_dense(const emit_case *c, int64_t stride[COTI_MAX_DIMS]) {
    int64_t step = 1;
    for (int32_t d = c->kernel.n_dims - 1; d >= 0; d--) {
        stride[d] = step;
        step *= c->kernel.extent[d] * (d == c->kernel.rows_dim ? c->rows : 1);
    }
}

/* ---- data ---- */

/* Numbers of both signs, some integers, some special, different by slot and place. */
static void fill_slot(void *data, cot_dtype dtype, int64_t n, uint32_t seed) {
    static const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f};
    uint32_t x = seed * 2654435761u + 12345u;
    for (int64_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        uint32_t bits = x >> 8;
        float number = (float)(int32_t)(bits % 20001u) * 4e-4f - 4.0f;
        if (bits % 37u == 0) {
            number = special[bits / 37u % 5u];
        }
        switch (dtype) {
        case COT_F32:
            ((float *)data)[i] = number;
            break;
        case COT_F64:
            ((double *)data)[i] = (double)number * 1.1;
            break;
        case COT_I32:
            ((int32_t *)data)[i] = (int32_t)(bits % 2001u) - 1000;
            break;
        case COT_I64:
            ((int64_t *)data)[i] = ((int64_t)bits << 20) - ((int64_t)1 << 43);
            break;
        case COT_U8:
            ((uint8_t *)data)[i] = (uint8_t)bits;
            break;
        case COT_BOOL:
            ((uint8_t *)data)[i] = bits & 1u;
            break;
        }
    }
}

/* ---- running ---- */

/* A kernel's operands, and those of the interpreter. */
typedef struct operands {
    guard slot[COTI_MAX_SLOTS];
    guard scratch;
    void *base[COTI_MAX_SLOTS];
} operands;

static operands operands_make(const emit_case *c, int64_t scratch_bytes, guard_side side) {
    operands o;
    memset(&o, 0, sizeof o);
    for (int32_t s = 0; s < c->kernel.n_slots; s++) {
        size_t bytes = cot_dtype_bytes(c->kernel.slot_dtype[s]) * (size_t)c->slot_elements[s];
        o.slot[s] = guard_create(bytes, side);
        o.base[s] = o.slot[s].data;
        if (c->slot_data[s] != NULL) {
            memcpy(o.base[s], c->slot_data[s], bytes);
        } else {
            fill_slot(o.base[s], c->kernel.slot_dtype[s], c->slot_elements[s], (uint32_t)s + 1);
        }
    }
    o.scratch = guard_create((size_t)coti_round_up(scratch_bytes, 64), side);
    return o;
}

static void operands_free(const emit_case *c, operands *o) {
    for (int32_t s = 0; s < c->kernel.n_slots; s++) {
        guard_destroy(&o->slot[s]);
    }
    guard_destroy(&o->scratch);
}

static int64_t range_of(const emit_case *c) {
    return c->kernel.extent[0] * (c->kernel.rows ? c->rows : 1);
}

cot_context *emit_case_context(cot_isa isa) {
    return cot_context_create(&(cot_options){.struct_size = sizeof(cot_options),
                                             .isa = isa,
                                             .threads = 1,
                                             .environment = COT_OFF,
                                             .verify = COT_ON});
}

cotr_kernel emit_case_compile(cot_context *context, const coti_kernel *kernel) {
    coti_target target;
    cotr_kernel code = NULL;
    int32_t n_compiled = 0;
    coti_kernel ready = *kernel;
    const coti_kernel *list[] = {&ready};
    CHECK_OK(context, coti_kernel_verify(context, kernel));
    CHECK_OK(context, coti_jit_target(context, &target));
    ready.scratch_bytes = coti_jit_scratch_bytes(kernel, &target);
    CHECK_OK(context, coti_jit_compile(context, "test", list, 1, &code, &n_compiled));
    assert_non_null(code);
    return code;
}

double emit_case_ulp(float a, double exact) {
    if (isnan(a) || isnan(exact)) {
        return isnan(a) && isnan(exact) ? 0 : INFINITY;
    }
    float nearest = (float)exact;
    if (isinf(a) || isinf(nearest)) {
        return a == nearest ? 0 : INFINITY;
    }
    int exponent = 0;
    (void)frexp(exact, &exponent);
    int last = exponent - 24 < -149 ? -149 : exponent - 24;
    return fabs((double)a - exact) / ldexp(1, last);
}

/* Is element i of a slot right? */
static bool same_element(const emit_case *c, cot_dtype dtype, const void *got, const void *want,
                         int64_t i, double largest) {
    size_t bytes = cot_dtype_bytes(dtype);
    const char *a = (const char *)got + (size_t)i * bytes,
               *b = (const char *)want + (size_t)i * bytes;
    if (memcmp(a, b, bytes) == 0) {
        return true;
    }
    if (dtype == COT_F64) {
        double x = ((const double *)got)[i], y = ((const double *)want)[i];
        bool near = c->compare == EMIT_ULP && c->f64_error > 0 && fabs(x - y) <= c->f64_error;
        return x == y || (isnan(x) && isnan(y)) || near;
    }
    if (dtype != COT_F32) {
        return false;
    }
    float x = ((const float *)got)[i], y = ((const float *)want)[i];
    if (x == y || (isnan(x) && isnan(y))) {
        return true;
    }
    if (c->compare != EMIT_ULP) {
        return false;
    }
    return c->relative_to_slot ? fabs((double)x - (double)y) <= c->ulp * 0x1p-23 * largest
                               : emit_case_ulp(x, (double)y) <= c->ulp;
}

static double largest_of(cot_dtype dtype, const void *data, int64_t n) {
    double largest = 0;
    for (int64_t i = 0; i < n && dtype == COT_F32; i++) {
        double x = fabs((double)((const float *)data)[i]);
        largest = x > largest && !isinf(x) ? x : largest;
    }
    return largest;
}

static void compare_slot(const emit_case *c, int32_t s, const operands *got, const operands *want,
                         const char *what, const char *how) {
    cot_dtype dtype = c->kernel.slot_dtype[s];
    double largest = largest_of(dtype, want->base[s], c->slot_elements[s]);
    for (int64_t i = 0; i < c->slot_elements[s]; i++) {
        if (!same_element(c, dtype, got->base[s], want->base[s], i, largest)) {
            coti_tensor g = {dtype, {.rank = 0}, got->base[s]};
            coti_tensor w = {dtype, {.rank = 0}, want->base[s]};
            fail_msg("%s, %s: slot %d (%s), element %lld of %lld: %.9g, expected %.9g", what, how,
                     (int)s, cot_dtype_name(dtype), (long long)i, (long long)c->slot_elements[s],
                     coti_tensor_get(&g, i), coti_tensor_get(&w, i));
        }
    }
}

static void compare_slots(const emit_case *c, const operands *got, const operands *want,
                          const char *what, const char *how) {
    for (int32_t s = 0; s < c->kernel.n_slots; s++) {
        compare_slot(c, s, got, want, what, how);
    }
}

static void call_in_chunks(const emit_case *c, cotr_kernel code, operands *o, int64_t chunk) {
    cotr_args args = {.buffer = o->base, .rows = c->rows, .scratch = o->scratch.data};
    int64_t range = range_of(c);
    for (int64_t i = 0; i < range; i += chunk) {
        code(&args, i, i + chunk < range ? i + chunk : range);
    }
}

/* The results have the same bits, NaNs included. */
static void compare_bits(const emit_case *c, const operands *a, const operands *b, const char *what,
                         const char *how) {
    for (int32_t s = 0; s < c->kernel.n_slots; s++) {
        if (memcmp(a->base[s], b->base[s], a->slot[s].bytes) != 0) {
            fail_msg("%s: slot %d has other bits %s", what, (int)s, how);
        }
    }
}

/*
 * One instruction set: in one piece, compared with `want`, and in chunks at the other end of
 * guarded memory, compared with that. False: this machine lacks it.
 */
static bool run_isa(const emit_case *c, cot_isa isa, const operands *want, const char *what,
                    operands *whole_out) {
    static const char *const name[] = {"default", "baseline", "avx2", "avx512"};
    static const int64_t chunks[] = {1, 7, 32};
    cot_context *context = emit_case_context(isa);
    assert_non_null(context);
    coti_target target;
    if (coti_jit_target(context, &target) != COT_OK) {
        cot_context_destroy(context);
        return false;
    }
    cotr_kernel code = emit_case_compile(context, &c->kernel);
    int64_t scratch = coti_jit_scratch_bytes(&c->kernel, &target);
    int64_t range = range_of(c);
    *whole_out = operands_make(c, scratch, GUARD_END);
    call_in_chunks(c, code, whole_out, range > 0 ? range : 1);
    compare_slots(c, whole_out, want, what, name[isa]);
    for (size_t n = 0; n < sizeof chunks / sizeof *chunks; n++) {
        operands o = operands_make(c, scratch, GUARD_START);
        call_in_chunks(c, code, &o, chunks[n]);
        compare_bits(c, whole_out, &o, what, "in chunks");
        operands_free(c, &o);
    }
    cot_context_destroy(context);
    return true;
}

/* A copy whose kernel points into itself, to be freed. */
static emit_case *copy_case(const emit_case *from) {
    emit_case *c = malloc(sizeof *c);
    assert_non_null(c);
    *c = *from;
    c->kernel.body.expr = c->expr;
    c->kernel.body.access = c->access;
    c->kernel.body.store = c->store;
    return c;
}

void emit_case_refused(const emit_case *given, const char *text) {
    emit_case *c = copy_case(given);
    cot_context *context = emit_case_context(COT_ISA_DEFAULT);
    const coti_kernel *kernel = &c->kernel;
    cotr_kernel code = NULL;
    int32_t n_compiled = 0;
    CHECK_OK(context, coti_kernel_verify(context, kernel));
    assert_int_not_equal(coti_jit_compile(context, "test", &kernel, 1, &code, &n_compiled), COT_OK);
    CHECK_ERROR(context, COT_E_UNSUPPORTED, text);
    cot_context_destroy(context);
    free(c);
}

/* Does a case run on this instruction set? Quick: two of three cases run on one by turns, the third
 * on all of them. */
static bool is_chosen(cot_isa isa) {
    static int32_t n_asked;
    int32_t turn = n_asked++ / COT_ISA_AVX512; /* this case's number */
    int32_t number = turn / 3 % COT_ISA_AVX512;
    return !effort_is_quick() || turn % 3 == 2 || (int32_t)isa == COT_ISA_BASELINE + number;
}

void emit_case_run(const emit_case *given, const char *what) {
    emit_case *c = copy_case(given);
    cot_context *context = emit_case_context(COT_ISA_BASELINE);
    assert_non_null(context);
    operands want = operands_make(c, 0, GUARD_END), result[COT_ISA_AVX512 + 1];
    bool have[COT_ISA_AVX512 + 1] = {false};
    cotr_args args = {.buffer = want.base, .rows = c->rows};
    CHECK_OK(context, coti_kernel_interpret(context, &c->kernel, &args, 0, range_of(c)));
    for (int32_t isa = COT_ISA_BASELINE; isa <= COT_ISA_AVX512; isa++) {
        have[isa] = is_chosen((cot_isa)isa) && run_isa(c, (cot_isa)isa, &want, what, &result[isa]);
    }
    if (have[COT_ISA_AVX2] && have[COT_ISA_AVX512]) {
        compare_bits(c, &result[COT_ISA_AVX2], &result[COT_ISA_AVX512], what, "with AVX2");
    }
    for (int32_t isa = COT_ISA_BASELINE; isa <= COT_ISA_AVX512; isa++) {
        if (have[isa]) {
            operands_free(c, &result[isa]);
        }
    }
    operands_free(c, &want);
    cot_context_destroy(context);
    free(c);
}
