/*
 * The context's core: allocator, options, first error. Every layer stands on it; the layers above
 * hang their own per-context state on it through `slot`, so that nothing down here knows them.
 */
#ifndef COTI_CONTEXT_H
#define COTI_CONTEXT_H

#include "cotangent/base.h"

#include <stdarg.h>

#define COTI_MESSAGE_BYTES 512
#define COTI_NAME_BYTES 96

/* Stages that can be dumped, in pipeline order. X(constant, name, help) */
#define COTI_STAGE_LIST(X)                                                                         \
    X(GRAPH, "graph", "the tensor graph as built")                                                 \
    X(GRAD, "grad", "the graph with its backward part and updates")                                \
    X(OPT, "opt", "the graph after simplification and expansion of composites")                    \
    X(FUSE, "fuse", "groups of nodes, and why each node joined its group")                         \
    X(PLAN, "plan", "kernels, phases, chains and memory")                                          \
    X(LLVM, "llvm", "LLVM IR of each kernel")                                                      \
    X(ASM, "asm", "assembly of each kernel")

typedef enum coti_stage {
#define COTI_STAGE_ENUM(id, name, help) COTI_STAGE_##id,
    COTI_STAGE_LIST(COTI_STAGE_ENUM)
#undef COTI_STAGE_ENUM
        COTI_STAGE_COUNT
} coti_stage;

/* State of the layers above, destroyed in reverse order of this list. X(ID, owner) */
#define COTI_SLOT_LIST(X)                                                                          \
    X(JIT, "codegen/llvm: compiled kernels, by structure")                                         \
    X(FRONTEND, "frontend: the layer graph")

typedef enum coti_slot_id {
#define COTI_SLOT_ENUM(id, owner) COTI_SLOT_##id,
    COTI_SLOT_LIST(COTI_SLOT_ENUM)
#undef COTI_SLOT_ENUM
        COTI_SLOT_COUNT
} coti_slot_id;

/* One error, complete: what cot_error_get shows. */
typedef struct coti_error {
    cot_status status;
    char message[COTI_MESSAGE_BYTES];
    char op[COTI_NAME_BYTES];
    char layer[COTI_NAME_BYTES];
    const char *file;
    int32_t line;
} coti_error;

struct cot_context {
    cot_allocator allocator;
    int32_t threads; /* >= 1 */
    cot_isa isa;     /* as asked; COT_ISA_DEFAULT: the host's best */
    uint64_t seed;
    bool jit, fuse, optimize, plan, verify;
    bool dump[COTI_STAGE_COUNT];
    char *dump_dir;          /* owned */
    char *cache_dir;         /* of compiled kernels; owned; NULL: there is no cache */
    int64_t cache_bytes;     /* its largest size */
    int32_t n_dumped;        /* numbers the dump files */
    cot_write_fn dump_write; /* where dumps go instead of files; NULL: files */
    void *dump_user;
    coti_error error;
    int64_t n_kernels_compiled;
    uint64_t next_id;       /* of graphs and variables, unique in the context */
    struct coti_slab *slab; /* that arrays are taken from; slab.c */
    size_t array_bytes;     /* of arrays that would have fitted a slab, before there was one */
    size_t n_large_blocks;  /* handed out, aligned; staggers the next */
    struct {
        void *state;
        void (*destroy)(void *state);
    } slot[COTI_SLOT_COUNT];
};

/* ---- memory (context.c) ---- */

/* Uninitialised memory, or NULL with COT_E_NOMEM recorded. bytes 0 gives a valid pointer. */
void *coti_alloc(cot_context *context, size_t bytes);
/* n * size zeroed bytes, checked for overflow; NULL with COT_E_NOMEM recorded. */
void *coti_calloc(cot_context *context, size_t n, size_t size);
/* NULL with COT_E_NOMEM recorded; the old block then stays valid. */
void *coti_realloc(cot_context *context, void *pointer, size_t old_bytes, size_t new_bytes);
/* NULL is fine. */
void coti_free(cot_context *context, void *pointer);
/* 64-byte aligned block, to be freed by coti_free_aligned only. */
void *coti_alloc_aligned(cot_context *context, size_t bytes);
void coti_free_aligned(cot_context *context, void *pointer);
/* The same for the elements of a variable, to be freed by coti_free_array only (slab.c). */
void *coti_alloc_array(cot_context *context, size_t bytes);
void coti_free_array(cot_context *context, void *array);
/* Copy of a string; NULL with COT_E_NOMEM recorded. */
char *coti_strdup(cot_context *context, const char *text);

/* ---- errors (error.c) ---- */

/*
 * Record an error, unless one is recorded already (the first stays), and return `status`. The
 * message is one line, without "error:" or a full stop: what was found, what was expected.
 */
cot_status coti_fail_at(cot_context *context, const char *file, int32_t line, cot_status status,
                        const char *op, const char *layer, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* coti_fail_at returns the status that it is given, never COT_OK: what the analyzer cannot see. */
#ifdef __clang_analyzer__
#define COTI_FAIL_AT(context, status, op, layer, ...)                                              \
    (coti_fail_at((context), __FILE__, __LINE__, (status), (op), (layer), __VA_ARGS__), (status))
#else
#define COTI_FAIL_AT(context, status, op, layer, ...)                                              \
    coti_fail_at((context), __FILE__, __LINE__, (status), (op), (layer), __VA_ARGS__)
#endif
#define COTI_FAIL(context, status, ...) COTI_FAIL_AT(context, status, NULL, NULL, __VA_ARGS__)
#define COTI_FAIL_OP(context, status, op, layer, ...)                                              \
    COTI_FAIL_AT(context, status, op, layer, __VA_ARGS__)

/* Fill an error record in place (a session's own); same rules, no first-error rule. */
cot_status coti_error_set(coti_error *error, cot_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Return from the function when a call fails. */
#define COTI_TRY(expression)                                                                       \
    do {                                                                                           \
        cot_status coti_status_ = (expression);                                                    \
        if (coti_status_ != COT_OK) {                                                              \
            return coti_status_;                                                                   \
        }                                                                                          \
    } while (0)

/* A bug of ours: traps in debug builds; in release records COT_E_INTERNAL and returns it. Only in
 * functions that return cot_status. */
#ifdef COTI_DEBUG
#define COTI_ASSERT(context, condition)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)
#else
#define COTI_ASSERT(context, condition)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return COTI_FAIL((context), COT_E_INTERNAL, "broken invariant: %s", #condition);       \
        }                                                                                          \
    } while (0)
#endif

/* ---- dumps (dump.c) ---- */

/* Name of a stage ("graph"); parse one. */
const char *coti_stage_name(coti_stage stage);
bool coti_stage_find(const char *name, coti_stage *stage_out);

/*
 * Open <dump_dir>/<nn>_<program>_<stage>.<extension> for a stage that is asked for. NULL in
 * *dump_out when it is not. Written through coti_dump_write (a cot_write_fn, user: the dump), which
 * passes on to context->dump_write if there is one; closed by coti_dump_close, which reports what
 * could not be written. NULL may be closed.
 */
typedef struct coti_dump coti_dump;
cot_status coti_dump_open(cot_context *context, coti_stage stage, const char *program,
                          const char *extension, coti_dump **dump_out);
bool coti_dump_write(const char *text, size_t bytes, void *dump);
cot_status coti_dump_close(cot_context *context, coti_dump *dump);

#endif
