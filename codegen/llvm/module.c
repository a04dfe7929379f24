/*
 * A module's life: created for a target machine, filled by the emitter, verified, optimised by the
 * one short pipeline, turned into an object.
 *
 * LLVM reports in three ways, and all three end in the module's error record: LLVMErrorRef values,
 * messages that the caller must free, and diagnostics raised inside a pass, which reach the handler
 * that is installed on our own LLVMContext (never process-wide). What cannot be caught from C is
 * LLVM's report_fatal_error, which ends the process; the verifier runs first so that malformed IR
 * does not get that far.
 */
#include "module.h"

#include <stdio.h>
#include <string.h>

/* First error wins; warnings and remarks are of no interest. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
    coti_module *module = user;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || module->error.status != COT_OK) {
        return;
    }
    char *text = LLVMGetDiagInfoDescription(info);
    (void)coti_error_set(&module->error, COT_E_CODEGEN, "LLVM: %s", text);
    LLVMDisposeMessage(text);
}

/* LLVM's messages may span lines; ours are one line. */
static void flatten(char *text) {
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
}

static cot_status fail_with(coti_module *module, const char *what, char *message) {
    if (message != NULL) {
        flatten(message);
    }
    if (module->error.status == COT_OK) {
        (void)coti_error_set(&module->error, COT_E_CODEGEN, "LLVM %s: %s", what,
                             message == NULL ? "no reason given" : message);
    }
    LLVMDisposeMessage(message);
    return module->error.status;
}

cot_status coti_module_check(coti_error *error, LLVMErrorRef llvm_error, const char *what) {
    if (llvm_error == LLVMErrorSuccess) {
        return COT_OK;
    }
    char *text = LLVMGetErrorMessage(llvm_error);
    flatten(text);
    cot_status status = coti_error_set(error, COT_E_CODEGEN, "LLVM %s: %s", what, text);
    LLVMDisposeErrorMessage(text);
    return status;
}

void coti_module_init(coti_module *module, const coti_module_options *options,
                      LLVMTargetMachineRef machine) {
    memset(module, 0, sizeof *module);
    module->options = options;
    module->machine = machine;
    module->llvm = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(module->llvm, on_diagnostic, module);
    LLVMContextSetDiscardValueNames(module->llvm, !options->names);
}

void coti_module_drop(coti_module *module) {
    if (module->module != NULL) {
        LLVMDisposeModule(module->module);
        module->module = NULL;
    }
}

static void set_machine(const coti_module *module) {
    char *triple = LLVMGetTargetMachineTriple(module->machine);
    LLVMSetTarget(module->module, triple);
    LLVMDisposeMessage(triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(module->machine);
    LLVMSetModuleDataLayout(module->module, layout);
    LLVMDisposeTargetData(layout);
}

static cot_status verify(coti_module *module) {
    char *message = NULL;
    if (module->options->verify &&
        LLVMVerifyModule(module->module, LLVMReturnStatusAction, &message)) {
        return fail_with(module, "verifier", message);
    }
    LLVMDisposeMessage(message);
    return COT_OK;
}

cot_status coti_module_set(coti_module *module, LLVMModuleRef emitted) {
    coti_module_drop(module);
    module->module = emitted;
    set_machine(module);
    return verify(module);
}

static LLVMAttributeRef string_attribute(LLVMContextRef llvm, const char *key, const char *value) {
    return LLVMCreateStringAttribute(llvm, key, (unsigned)strlen(key), value,
                                     (unsigned)strlen(value));
}

static LLVMAttributeRef enum_attribute(LLVMContextRef llvm, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    return LLVMCreateEnumAttribute(llvm, kind, 0);
}

/*
 * Every defined function gets: no unwinding (so that no tables are written), our vector width (LLVM
 * would otherwise split 512-bit vectors on some CPUs), and the host's scheduling model, which does
 * not widen the instruction set.
 */
static void set_attributes(coti_module *module) {
    char width[16];
    (void)snprintf(width, sizeof width, "%d", (int)module->options->target.lanes * 32);
    LLVMAttributeRef attribute[] = {
        enum_attribute(module->llvm, "nounwind"),
        string_attribute(module->llvm, "prefer-vector-width", width),
        string_attribute(module->llvm, "tune-cpu", module->options->tune_cpu),
    };
    for (LLVMValueRef f = LLVMGetFirstFunction(module->module); f != NULL;
         f = LLVMGetNextFunction(f)) {
        for (size_t i = 0; !LLVMIsDeclaration(f) && i < sizeof attribute / sizeof *attribute; i++) {
            LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                    attribute[i]);
        }
    }
}

cot_status coti_module_finish(coti_module *module) {
    set_attributes(module);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef failed =
        LLVMRunPasses(module->module, COTI_LLVM_PIPELINE, module->machine, options);
    LLVMDisposePassBuilderOptions(options);
    COTI_TRY(coti_module_check(&module->error, failed, "passes"));
    return module->error.status;
}

cot_status coti_module_take(coti_module *module, LLVMCodeGenFileType type,
                            LLVMMemoryBufferRef *buffer_out) {
    char *message = NULL;
    LLVMMemoryBufferRef buffer = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(module->machine, module->module, type, &message,
                                            &buffer)) {
        return fail_with(module, "code generation", message);
    }
    coti_module_drop(module);
    if (module->error.status != COT_OK) {
        LLVMDisposeMemoryBuffer(buffer);
        return module->error.status;
    }
    *buffer_out = buffer;
    return COT_OK;
}

void coti_module_free(coti_module *module) {
    coti_module_drop(module);
    if (module->llvm != NULL) {
        LLVMContextDispose(module->llvm);
        module->llvm = NULL;
    }
}
