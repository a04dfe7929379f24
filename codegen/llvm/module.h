/*
 * One LLVM module at a time: where a kernel is checked, optimised and turned into an object file. A
 * coti_module belongs to one thread; nothing here touches the cot_context, so
 * several may work at once. Errors stand in the module's own record.
 */
#ifndef COTI_LLVM_MODULE_H
#define COTI_LLVM_MODULE_H

#include "codegen/jit.h"
#include "compat.h"

/* How modules are made: shared by all threads of a compile, read-only. */
typedef struct coti_module_options {
    coti_target target;
    const char *tune_cpu; /* LLVM's name of the host's CPU */
    bool names;           /* keep names of values: for dumps and debugging */
    bool verify;
} coti_module_options;

typedef struct coti_module {
    const coti_module_options *options; /* borrowed */
    LLVMTargetMachineRef machine;       /* borrowed */
    LLVMContextRef llvm;
    LLVMModuleRef module; /* NULL: none */
    coti_error error;     /* the first one */
} coti_module;

/* Make the LLVM context. `machine` and `options` must outlive it. */
void coti_module_init(coti_module *module, const coti_module_options *options,
                      LLVMTargetMachineRef machine);
/* Take a module of coti_emit_kernel's over, in place of what was there. Verified first, if asked.
 * COT_E_CODEGEN. */
cot_status coti_module_set(coti_module *module, LLVMModuleRef emitted);
/* Set the attributes that all functions share and run the passes. COT_E_CODEGEN. */
cot_status coti_module_finish(coti_module *module);
/* The finished module as an object or as assembly. Code generation consumes the module: it is gone
 * afterwards. The caller owns the buffer. COT_E_CODEGEN. */
cot_status coti_module_take(coti_module *module, LLVMCodeGenFileType type,
                            LLVMMemoryBufferRef *buffer_out);
/* Forget the module. */
void coti_module_drop(coti_module *module);
void coti_module_free(coti_module *module);

/* Turn an LLVM error into ours and consume it; COT_OK for LLVMErrorSuccess. `what`: the step. */
cot_status coti_module_check(coti_error *error, LLVMErrorRef llvm_error, const char *what);

#endif
