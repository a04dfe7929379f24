/*
 * Dumps of the stages LLVM and ASM: a file each, with all distinct kernels of a program in order.
 *
 * Kernels are emitted anew for it, on the caller's thread: what a program shares with an earlier
 * one is shown too, and compiling needs no other way for it.
 */
#include "jit_internal.h"

#include <string.h>

/* The text of one kernel, in LLVM IR or in assembly, into the file. */
static cot_status write_kernel(coti_module *module, cot_context *context, coti_stage stage,
                               const coti_kernel *kernel, const char *symbol, coti_dump *dump) {
    COTI_TRY(coti_jit_emit(module, context, kernel, symbol));
    COTI_TRY(coti_module_finish(module));
    (void)coti_dump_write("; kernel ", strlen("; kernel "), dump);
    (void)coti_dump_write(symbol, strlen(symbol), dump);
    (void)coti_dump_write("\n", 1, dump);
    if (stage == COTI_STAGE_LLVM) {
        char *text = LLVMPrintModuleToString(module->module);
        (void)coti_dump_write(text, strlen(text), dump);
        LLVMDisposeMessage(text);
        coti_module_drop(module);
        return COT_OK;
    }
    LLVMMemoryBufferRef buffer = NULL;
    COTI_TRY(coti_module_take(module, LLVMAssemblyFile, &buffer));
    (void)coti_dump_write(LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), dump);
    LLVMDisposeMemoryBuffer(buffer);
    return COT_OK;
}

/* Where the kernels' code came from. */
static cot_status write_counts(cot_context *context, const coti_jit_program *program,
                               const coti_jit_jobs *all, coti_dump *dump) {
    coti_str text;
    coti_str_init(&text, context);
    coti_str_printf(&text,
                    "; %d kernels: %d compiled, %d from the object cache, %d there already\n",
                    (int)all->n_jobs, (int)program->n_compiled, (int)program->n_cached,
                    (int)(all->n_jobs - program->n_compiled - program->n_cached));
    cot_status status = coti_str_status(&text);
    (void)coti_dump_write(coti_str_text(&text), text.count, dump);
    coti_str_free(&text);
    return status;
}

/* Write errors are reported by coti_dump_close. */
static cot_status write_stage(coti_jit *jit, coti_stage stage, const coti_jit_program *program,
                              const coti_jit_jobs *all) {
    coti_dump *dump = NULL;
    COTI_TRY(coti_dump_open(jit->context, stage, program->name,
                            stage == COTI_STAGE_LLVM ? "ll" : "s", &dump));
    if (dump == NULL) {
        return COT_OK;
    }
    coti_module_options options = coti_jit_module_options(jit, true);
    coti_module module;
    coti_module_init(&module, &options, jit->machine[0]);
    cot_status status = write_counts(jit->context, program, all, dump);
    for (int32_t i = 0; i < all->n_jobs && status == COT_OK; i++) {
        status = write_kernel(&module, jit->context, stage, all->job[i].kernel, all->job[i].symbol,
                              dump);
    }
    if (status != COT_OK) {
        (void)COTI_FAIL(jit->context, status, "%s", module.error.message);
    }
    coti_module_free(&module);
    cot_status closed = coti_dump_close(jit->context, dump);
    return status != COT_OK ? status : closed;
}

cot_status coti_jit_dump(coti_jit *jit, const coti_jit_program *program, const coti_jit_jobs *all) {
    COTI_TRY(coti_jit_machines(jit, 1));
    COTI_TRY(write_stage(jit, COTI_STAGE_LLVM, program, all));
    return write_stage(jit, COTI_STAGE_ASM, program, all);
}
