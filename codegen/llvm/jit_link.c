/*
 * Linking: objects into executable memory, symbols into addresses, by LLVM's LLJIT.
 *
 * One LLJIT a context, made at the first link. Kernels refer to nothing outside but the three
 * memory functions that LLVM's code generator may call on its own account.
 */
#include "jit_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Systems that forbid new executable memory do so at mprotect; LLVM's message would not tell. */
static cot_status check_executable(cot_context *context) {
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return COTI_FAIL(context, COT_E_NOMEM, "out of memory");
    }
    bool refused = mprotect(page, bytes, PROT_READ | PROT_EXEC) != 0;
    (void)munmap(page, bytes);
    if (refused) {
        return COTI_FAIL(context, COT_E_DENIED,
                         "the system refuses executable memory, which compiled kernels need");
    }
    return COT_OK;
}

/* Record an error of LLVM's; COT_OK for none. */
static cot_status check(coti_jit *jit, LLVMErrorRef failed, const char *what) {
    coti_error error = {0};
    if (coti_module_check(&error, failed, what) == COT_OK) {
        return COT_OK;
    }
    return COTI_FAIL(jit->context, error.status, "%s", error.message);
}

/* ISO C has no cast from a function's pointer to an integer or to void *. */
static LLVMOrcExecutorAddress address_of(const void *pointer_to_function_pointer) {
    uintptr_t address = 0;
    memcpy(&address, pointer_to_function_pointer, sizeof address);
    return (LLVMOrcExecutorAddress)address;
}

static cot_status define_symbols(coti_jit *jit) {
    void *(*set)(void *, int, size_t) = memset;
    void *(*copy)(void *, const void *, size_t) = memcpy;
    void *(*move)(void *, const void *, size_t) = memmove;
    const struct {
        const char *name;
        LLVMOrcExecutorAddress address;
    } table[] = {{"memset", address_of(&set)},
                 {"memcpy", address_of(&copy)},
                 {"memmove", address_of(&move)}};
    enum { N = sizeof table / sizeof *table };
    LLVMOrcCSymbolMapPair pair[N];
    for (size_t i = 0; i < N; i++) {
        pair[i].Name = LLVMOrcLLJITMangleAndIntern(jit->lljit, table[i].name);
        pair[i].Sym.Address = table[i].address;
        pair[i].Sym.Flags.GenericFlags =
            LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
        pair[i].Sym.Flags.TargetFlags = 0;
    }
    /* Takes the names. */
    LLVMOrcMaterializationUnitRef unit = LLVMOrcAbsoluteSymbols(pair, N);
    LLVMErrorRef failed = LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit->lljit), unit);
    if (failed != LLVMErrorSuccess) {
        LLVMOrcDisposeMaterializationUnit(unit);
    }
    return check(jit, failed, "symbols");
}

static cot_status create(coti_jit *jit) {
    if (jit->lljit != NULL) {
        return COT_OK;
    }
    COTI_TRY(check_executable(jit->context));
    LLVMOrcLLJITRef lljit = NULL;
    COTI_TRY(check(jit, LLVMOrcCreateLLJIT(&lljit, NULL), "LLJIT"));
    jit->lljit = lljit;
    cot_status status = define_symbols(jit);
    if (status != COT_OK) {
        coti_jit_unlink(jit);
    }
    return status;
}

static cot_status add_objects(coti_jit *jit, LLVMOrcResourceTrackerRef tracker,
                              coti_jit_jobs *jobs) {
    for (int32_t i = 0; i < jobs->n_jobs; i++) {
        LLVMMemoryBufferRef object = jobs->job[i].object;
        jobs->job[i].object = NULL; /* taken by LLJIT, even when it fails */
        COTI_TRY(
            check(jit, LLVMOrcLLJITAddObjectFileWithRT(jit->lljit, tracker, object), "object"));
    }
    return COT_OK;
}

static cot_status look_up(coti_jit *jit, const coti_jit_jobs *jobs) {
    for (int32_t i = 0; i < jobs->n_jobs; i++) {
        const coti_jit_job *job = &jobs->job[i];
        LLVMOrcExecutorAddress address = 0;
        COTI_TRY(check(jit, LLVMOrcLLJITLookup(jit->lljit, &address, job->symbol), job->symbol));
        uintptr_t code = (uintptr_t)address;
        memcpy(&jit->entry.data[job->entry].code, &code, sizeof code);
    }
    return COT_OK;
}

cot_status coti_jit_link(coti_jit *jit, coti_jit_jobs *jobs) {
    COTI_TRY(create(jit));
    LLVMOrcResourceTrackerRef tracker =
        LLVMOrcJITDylibCreateResourceTracker(LLVMOrcLLJITGetMainJITDylib(jit->lljit));
    cot_status status = add_objects(jit, tracker, jobs);
    status = status == COT_OK ? look_up(jit, jobs) : status;
    if (status != COT_OK) {
        /* Nothing of a failed attempt is in the way of the next. */
        LLVMConsumeError(LLVMOrcResourceTrackerRemove(tracker));
        for (int32_t i = 0; i < jobs->n_jobs; i++) {
            jit->entry.data[jobs->job[i].entry].code = NULL;
        }
    }
    LLVMOrcReleaseResourceTracker(tracker); /* what it holds stays with the library */
    return status;
}

void coti_jit_unlink(coti_jit *jit) {
    if (jit->lljit != NULL) {
        /* Nothing could be done about an error here. */
        LLVMConsumeError(LLVMOrcDisposeLLJIT(jit->lljit));
        jit->lljit = NULL;
    }
}
