/*
 * The machine that kernels are compiled for: what the host can do, what of that is used, and LLVM's
 * target machines for it.
 *
 * Three instruction sets are used: AVX-512 (f, bw, dq, vl), AVX2 with FMA, and the architecture's
 * baseline (SSE2 on x86-64, NEON on aarch64). An instruction set that is asked for is used alone:
 * code for AVX2 holds no AVX-512, even on a machine that has it, so that it can be tested there.
 */
#include "jit_internal.h"

#include "emitter_version.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#define BASELINE_CPU "x86-64"
enum { HOST_IS_X86 = 1, BASELINE_REGISTERS = 16, BASELINE_FMA = 0 };
#elif defined(__aarch64__)
#define BASELINE_CPU "generic"
enum { HOST_IS_X86 = 0, BASELINE_REGISTERS = 32, BASELINE_FMA = 1 };
#else
#define BASELINE_CPU ""
enum { HOST_IS_X86 = 0, BASELINE_REGISTERS = 16, BASELINE_FMA = 0 };
#endif

/* The one global: LLVM's registries are the process's. */
static pthread_once_t initialized = PTHREAD_ONCE_INIT;

static void initialize(void) {
    (void)LLVMInitializeNativeTarget();
    (void)LLVMInitializeNativeAsmPrinter();
}

void coti_jit_initialize(void) {
    (void)pthread_once(&initialized, initialize);
}

/* Is "+name" one of the comma-separated features? */
static bool has_feature(const char *features, const char *name) {
    size_t length = strlen(name);
    for (const char *at = features; at != NULL && *at != '\0';) {
        if (at[0] == '+' && strncmp(at + 1, name, length) == 0 &&
            (at[1 + length] == ',' || at[1 + length] == '\0')) {
            return true;
        }
        at = strchr(at, ',');
        at = at == NULL ? NULL : at + 1;
    }
    return false;
}

static bool has_all(const char *features, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!has_feature(features, names[i])) {
            return false;
        }
    }
    return true;
}

/* Features of each instruction set beyond the baseline. */
static const char *const avx2_features[] = {"avx2", "fma"};
static const char *const avx512_features[] = {"avx2",     "fma",      "avx512f",
                                              "avx512bw", "avx512dq", "avx512vl"};

static bool host_has(const char *features, cot_isa isa) {
    switch (isa) {
    case COT_ISA_AVX512:
        return HOST_IS_X86 &&
               has_all(features, avx512_features, sizeof avx512_features / sizeof *avx512_features);
    case COT_ISA_AVX2:
        return HOST_IS_X86 &&
               has_all(features, avx2_features, sizeof avx2_features / sizeof *avx2_features);
    case COT_ISA_BASELINE:
    case COT_ISA_DEFAULT:
        break;
    }
    return true;
}

static const char *isa_name(cot_isa isa) {
    switch (isa) {
    case COT_ISA_AVX512:
        return "AVX-512 (F, BW, DQ, VL)";
    case COT_ISA_AVX2:
        return "AVX2 with FMA";
    case COT_ISA_BASELINE:
        return "the baseline";
    case COT_ISA_DEFAULT:
        break;
    }
    return "the default";
}

cot_status coti_jit_target(cot_context *context, coti_target *target_out) {
    static const coti_target table[] = {
        [COT_ISA_BASELINE] = {COT_ISA_BASELINE, 4, BASELINE_REGISTERS, BASELINE_FMA},
        [COT_ISA_AVX2] = {COT_ISA_AVX2, 8, 16, true},
        [COT_ISA_AVX512] = {COT_ISA_AVX512, 16, 32, true},
    };
    char *features = LLVMGetHostCPUFeatures();
    cot_isa isa = context->isa;
    if (isa == COT_ISA_DEFAULT) {
        isa = host_has(features, COT_ISA_AVX512) ? COT_ISA_AVX512
              : host_has(features, COT_ISA_AVX2) ? COT_ISA_AVX2
                                                 : COT_ISA_BASELINE;
    }
    bool possible = host_has(features, isa);
    LLVMDisposeMessage(features);
    if (!possible) {
        return COTI_FAIL(context, COT_E_UNSUPPORTED, "this processor does not have %s",
                         isa_name(isa));
    }
    *target_out = table[isa];
    return COT_OK;
}

/* ---- target machines ---- */

/* CPU and features for LLVM. The baseline CPU plus named features, but for the largest set, where
 * all that the host has may be used. Both strings are to be freed by LLVMDisposeMessage. */
static void cpu_and_features(cot_isa isa, char **cpu_out, char **features_out) {
    switch (isa) {
    case COT_ISA_AVX512:
        *cpu_out = LLVMGetHostCPUName();
        *features_out = LLVMGetHostCPUFeatures();
        return;
    case COT_ISA_AVX2:
        *cpu_out = LLVMCreateMessage(BASELINE_CPU);
        *features_out = LLVMCreateMessage("+avx2,+fma");
        return;
    case COT_ISA_BASELINE:
    case COT_ISA_DEFAULT:
        break;
    }
    *cpu_out = LLVMCreateMessage(BASELINE_CPU);
    *features_out = LLVMCreateMessage("");
}

/* How code is generated. LLVM's level 1: our code is in its final form, and the loops come out the
 * same as at level 2, an eighth sooner. Whoever changes these changes the text as well. */
static const LLVMCodeGenOptLevel level = LLVMCodeGenLevelLess;
static const LLVMRelocMode relocation = LLVMRelocPIC;
static const LLVMCodeModel code_model = LLVMCodeModelSmall;
static const char code_options[] = "level 1, position independent, small code model, " //
    COTI_LLVM_PIPELINE;

static LLVMTargetMachineRef create_machine(coti_jit *jit) {
    char *triple = LLVMGetDefaultTargetTriple();
    char *cpu = NULL, *features = NULL, *message = NULL;
    LLVMTargetRef target = NULL;
    LLVMTargetMachineRef machine = NULL;
    cpu_and_features(jit->target.isa, &cpu, &features);
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        (void)COTI_FAIL(jit->context, COT_E_CODEGEN, "LLVM has no target \"%s\": %s", triple,
                        message);
    } else {
        machine =
            LLVMCreateTargetMachine(target, triple, cpu, features, level, relocation, code_model);
        if (machine == NULL) {
            (void)COTI_FAIL(jit->context, COT_E_CODEGEN,
                            "LLVM cannot make a target machine for \"%s\", CPU \"%s\"", triple,
                            cpu);
        }
    }
    LLVMDisposeMessage(message);
    LLVMDisposeMessage(features);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(triple);
    return machine;
}

/*
 * LLVM's version, and the very library: a distribution's patches to it do not change its version,
 * its size and time they do.
 */
static void print_llvm(coti_str *out) {
    unsigned major = 0, minor = 0, patch = 0;
    LLVMGetVersion(&major, &minor, &patch);
    coti_str_printf(out, "llvm %u.%u.%u for %s", major, minor, patch, LLVM_VERSION_STRING);
    void (*const in_library)(unsigned *, unsigned *, unsigned *) = LLVMGetVersion;
    void *address = NULL;
    memcpy(&address, &in_library, sizeof address); /* ISO C has no such cast */
    Dl_info library;
    struct stat about;
    if (dladdr(address, &library) != 0 && library.dli_fname != NULL &&
        stat(library.dli_fname, &about) == 0) {
        coti_str_printf(out, ", %lld bytes of %lld.%09lld", (long long)about.st_size,
                        (long long)about.st_mtim.tv_sec, (long long)about.st_mtim.tv_nsec);
    }
    coti_str_append(out, "\n");
}

void coti_jit_print_origin(coti_str *out, const coti_target *target) {
    char *triple = LLVMGetDefaultTargetTriple();
    char *host = LLVMGetHostCPUName();
    char *cpu = NULL, *features = NULL;
    cpu_and_features(target->isa, &cpu, &features);
    coti_str_printf(out, "emitter %s\n", COTI_EMITTER_VERSION);
    print_llvm(out);
    coti_str_printf(out, "target %s cpu %s tuned for %s features %s\n", triple, cpu, host,
                    features);
    coti_str_printf(out, "vectors of %d, %d registers%s\n%s\n", (int)target->lanes,
                    (int)target->registers, target->fma ? ", fma" : "", code_options);
    LLVMDisposeMessage(features);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(host);
    LLVMDisposeMessage(triple);
}

cot_status coti_jit_machines(coti_jit *jit, int32_t n) {
    if (jit->n_machines >= n) {
        return COT_OK;
    }
    if (jit->tune_cpu == NULL) {
        jit->tune_cpu = LLVMGetHostCPUName();
    }
    size_t size = sizeof(LLVMTargetMachineRef);
    void *grown =
        coti_realloc(jit->context, jit->machine, (size_t)jit->n_machines * size, (size_t)n * size);
    if (grown == NULL) {
        return COT_E_NOMEM;
    }
    jit->machine = grown;
    while (jit->n_machines < n) {
        LLVMTargetMachineRef machine = create_machine(jit);
        if (machine == NULL) {
            return COT_E_CODEGEN;
        }
        jit->machine[jit->n_machines++] = machine;
    }
    return COT_OK;
}

void coti_jit_machines_free(coti_jit *jit) {
    for (int32_t i = 0; i < jit->n_machines; i++) {
        LLVMDisposeTargetMachine(jit->machine[i]);
    }
    coti_free(jit->context, jit->machine);
    LLVMDisposeMessage(jit->tune_cpu);
    jit->machine = NULL;
    jit->n_machines = 0;
    jit->tune_cpu = NULL;
}

coti_module_options coti_jit_module_options(const coti_jit *jit, bool names) {
    bool verify = jit->context->verify;
#ifdef COTI_DEBUG
    verify = true;
    names = true;
#endif
    return (coti_module_options){jit->target, jit->tune_cpu, names, verify};
}
