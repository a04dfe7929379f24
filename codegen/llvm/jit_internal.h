/*
 * The parts of the JIT that jit*.c share. The state hangs on the context (COTI_SLOT_JIT) from the
 * first compile to the context's end and owns everything of LLVM's that outlives a compile.
 */
#ifndef COTI_JIT_INTERNAL_H
#define COTI_JIT_INTERNAL_H

#include "codegen/cache.h"
#include "codegen/jit.h"
#include "emit.h"
#include "module.h"
#include "runtime/base/arena.h"
#include "runtime/base/map.h"
#include "runtime/base/str.h"

enum { COTI_SYMBOL_BYTES = COTI_CACHE_SYMBOL_BYTES };

/* A distinct kernel, by its key. code is NULL until it is linked (or when compiling it failed). */
typedef struct coti_jit_entry {
    char *key; /* all that the code depends on: origin and the kernel's text; owned */
    size_t key_bytes;
    cotr_kernel code;
    bool queued; /* in the compile that is running */
} coti_jit_entry;

typedef struct coti_jit {
    cot_context *context;
    coti_target target;
    char *origin;          /* what code depends on beside the kernel; owned */
    char *tune_cpu;        /* LLVM's string; NULL before coti_jit_machines */
    LLVMOrcLLJITRef lljit; /* NULL before the first link */
    LLVMTargetMachineRef *machine;
    int32_t n_machines;
    coti_map map; /* hash of key -> index of entry */
    COTI_VEC(coti_jit_entry) entry;
} coti_jit;

/* A kernel to be compiled, or found in the object cache. */
typedef struct coti_jit_job {
    const coti_kernel *kernel;
    uint32_t entry;
    int32_t program;                   /* the first that has it */
    coti_cache_key key;                /* its text is the entry's */
    LLVMMemoryBufferRef object;        /* owned until it is linked; NULL until it is there */
    int64_t read_bytes, written_bytes; /* of its file in the object cache */
    char symbol[COTI_SYMBOL_BYTES];
} coti_jit_job;

typedef struct coti_jit_jobs {
    coti_jit_job *job;
    int32_t n_jobs;
    int32_t n_cached; /* that the object cache had: their objects are there before compiling */
} coti_jit_jobs;

/* ---- jit_target.c ---- */

/* LLVM's own initialisation, once a process. */
void coti_jit_initialize(void);
/* Have at least n target machines for jit->target. COT_E_CODEGEN, COT_E_NOMEM. */
cot_status coti_jit_machines(coti_jit *jit, int32_t n);
void coti_jit_machines_free(coti_jit *jit);
coti_module_options coti_jit_module_options(const coti_jit *jit, bool names);
/* Append all that code depends on beside the kernel: the emitter's version, LLVM's, the machine and
 * the options of code generation. */
void coti_jit_print_origin(coti_str *out, const coti_target *target);

/* ---- jit_pool.c ---- */

/* Emit, compile and keep in the cache all jobs that have no object, on at most `threads` threads,
 * the caller's among them. On failure the objects made so far are there, to be freed by the caller
 * as always. */
cot_status coti_jit_build(coti_jit *jit, coti_jit_jobs *jobs, coti_cache *cache, int32_t threads);
/* Emit one kernel into the module. `context`: for the emitter's memory and errors. Errors are in
 * the module's record. */
cot_status coti_jit_emit(coti_module *module, cot_context *context, const coti_kernel *kernel,
                         const char *symbol);

/* ---- jit_link.c ---- */

/* Link all objects (which are taken) and set the entries' code: of all, or of none. */
cot_status coti_jit_link(coti_jit *jit, coti_jit_jobs *jobs);
void coti_jit_unlink(coti_jit *jit);

/* ---- jit_dump.c ---- */

/* Write the files of the stages LLVM and ASM that are asked for: `all` are the program's distinct
 * kernels; program->n_compiled and n_cached are set. */
cot_status coti_jit_dump(coti_jit *jit, const coti_jit_program *program, const coti_jit_jobs *all);

#endif
