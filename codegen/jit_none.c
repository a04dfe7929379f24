/*
 * The JIT of a build without LLVM: there is none, and it says so. Programs then run on the
 * evaluator.
 */
#include "jit.h"

bool coti_jit_available(void) {
    return false;
}

static cot_status unavailable(cot_context *context) {
    return COTI_FAIL(context, COT_E_UNSUPPORTED, "this build of Cotangent has no code generator");
}

cot_status coti_jit_target(cot_context *context, coti_target *target_out) {
    (void)target_out;
    return unavailable(context);
}

int64_t coti_jit_scratch_bytes(const coti_kernel *kernel, const coti_target *target) {
    (void)kernel;
    (void)target;
    return 0;
}

cot_status coti_jit_compile_all(cot_context *context, coti_jit_program *program, int32_t n) {
    (void)program;
    (void)n;
    return unavailable(context);
}

cot_status coti_jit_compile(cot_context *context, const char *program,
                            const coti_kernel *const *kernel, int32_t n_kernels,
                            cotr_kernel *code_out, int32_t *n_compiled_out) {
    (void)program;
    (void)kernel;
    (void)n_kernels;
    (void)code_out;
    (void)n_compiled_out;
    return unavailable(context);
}
