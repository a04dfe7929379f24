/*
 * From lowered kernels to machine code: the one door to LLVM. Implemented by codegen/llvm/, and by
 * codegen/jit_none.c in a build without LLVM (where coti_jit_available is false).
 */
#ifndef COTI_JIT_H
#define COTI_JIT_H

#include "kernel.h"
#include "runtime/kernel_abi.h"

/* What the emitter needs to know of the machine that it emits for. */
typedef struct coti_target {
    cot_isa isa;       /* BASELINE, AVX2 or AVX512, never DEFAULT */
    int32_t lanes;     /* f32 lanes of a hardware vector: 4, 8, 16 */
    int32_t registers; /* vector registers: 16 or 32 */
    bool fma;          /* has fused multiply-add */
} coti_target;

bool coti_jit_available(void);

/* The target for the context's isa option on this host. COT_E_UNSUPPORTED when the host lacks what
 * was asked for. */
cot_status coti_jit_target(cot_context *context, coti_target *target_out);

/* Per-thread scratch bytes that the code of this kernel will use, a function of the kernel alone.
 */
int64_t coti_jit_scratch_bytes(const coti_kernel *kernel, const coti_target *target);

/* The kernels of a program, and what became of them. */
typedef struct coti_jit_program {
    const char *name;
    const coti_kernel *const *kernel; /* scratch_bytes must be set */
    int32_t n_kernels;
    cotr_kernel *code_out;             /* n_kernels; the code lives as long as the context */
    int32_t n_compiled, n_cached;      /* out: new ones, told by the first that has them */
    int64_t read_bytes, written_bytes; /* out: of the object cache's files */
} coti_jit_program;

/*
 * Compile what kernels of all these programs the context does not have yet and the object cache has
 * not either, together, on context->threads threads, and look all up. When the context dumps LLVM
 * or ASM, writes those files under each name. On failure the results are good for nothing.
 */
cot_status coti_jit_compile_all(cot_context *context, coti_jit_program *program, int32_t n);

/* The same for the kernels of one program. */
cot_status coti_jit_compile(cot_context *context, const char *program,
                            const coti_kernel *const *kernel, int32_t n_kernels,
                            cotr_kernel *code_out, int32_t *n_compiled_out);

#endif
