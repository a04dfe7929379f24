/*
 * A kernel made by hand, compiled for every instruction set of this machine, run in chunks on
 * guarded memory, and compared with the interpreter of kernels (kernel_interpret.h).
 *
 * Build: emit_case_begin; slots; expressions; stores. Then emit_case_run.
 */
#ifndef TEST_EMIT_CASE_H
#define TEST_EMIT_CASE_H

#include "codegen/jit.h"

enum { EMIT_CASE_EXPRS = 256, EMIT_CASE_ACCESSES = 64 };

/* How results are compared with the interpreter's. */
typedef enum emit_compare {
    EMIT_BITS, /* the same bits, but that any NaN is as good as another, and zeros of either sign */
    EMIT_ULP   /* f32 within `ulp`, f64 within `f64_error`: kernels with functions */
} emit_compare;

typedef struct emit_case {
    coti_kernel kernel;
    coti_expr expr[EMIT_CASE_EXPRS];
    coti_access access[EMIT_CASE_ACCESSES];
    coti_store store[EMIT_CASE_ACCESSES];
    int64_t rows; /* N */
    int64_t slot_elements[COTI_MAX_SLOTS];
    const void *slot_data[COTI_MAX_SLOTS]; /* what a slot begins with; NULL: made up */
    emit_compare compare;
    double ulp; /* of the largest magnitude of the slot when `relative_to_slot` */
    bool relative_to_slot;
    double f64_error; /* absolute; 0: the same bits */
} emit_case;

/* A kernel of this skeleton over n_dims dimensions, the first n_kept kept. */
void emit_case_begin(emit_case *c, coti_skeleton skeleton, int32_t n_dims, int32_t n_kept,
                     const int64_t *extent);
int32_t emit_case_slot(emit_case *c, cot_dtype dtype, int64_t elements, bool written);
/* strides: one a dimension. */
int32_t emit_case_access(emit_case *c, int32_t slot, int64_t offset, const int64_t *stride);

int32_t emit_case_load(emit_case *c, int32_t access);
int32_t emit_case_number(emit_case *c, cot_dtype dtype, double value);
int32_t emit_case_index(emit_case *c, cot_dtype dtype, int32_t dim);
int32_t emit_case_op1(emit_case *c, cot_op op, int32_t a);
int32_t emit_case_op2(emit_case *c, cot_op op, int32_t a, int32_t b);
int32_t emit_case_select(emit_case *c, int32_t condition, int32_t a, int32_t b);
int32_t emit_case_cast(emit_case *c, cot_dtype to, int32_t a);
int32_t emit_case_reduce(emit_case *c, cot_op op, int32_t a);
void emit_case_store(emit_case *c, int32_t expr, int32_t access);

/* Row-major strides of the kernel's domain. */
void emit_case_dense(const emit_case *c, int64_t stride[COTI_MAX_DIMS]);

/*
 * Compile for each instruction set, run over [0, range) whole and in chunks, at both ends of
 * guarded memory, and compare every written slot with the interpreter's; the results for AVX2 and
 * AVX-512 must be the same bits. `what` names the case in messages.
 */
void emit_case_run(const emit_case *given, const char *what);

/* Compiling the kernel must fail with COT_E_UNSUPPORTED and this text. */
void emit_case_refused(const emit_case *given, const char *text);

/* A context for one instruction set; NULL when this machine lacks it. */
cot_context *emit_case_context(cot_isa isa);
/* The kernel's code in a context. */
cotr_kernel emit_case_compile(cot_context *context, const coti_kernel *kernel);

/* Distance in units in the last place between two f32; 0 for equal values and two NaNs. */
double emit_case_ulp(float a, double exact);

#endif
