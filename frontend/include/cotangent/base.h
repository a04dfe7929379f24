/*
 * Cotangent, base: statuses, dtypes, shapes, the context and its errors.
 *
 * Everything else in the library hangs on a cot_context. A context serves one thread at a time;
 * distinct contexts may be used by distinct threads at once. No function here prints, aborts or
 * exits.
 */
#ifndef COTANGENT_BASE_H
#define COTANGENT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COT_VERSION_MAJOR 0
#define COT_VERSION_MINOR 1
#define COT_VERSION_PATCH 0

#if defined(__GNUC__) || defined(__clang__)
#define COT_API __attribute__((visibility("default")))
#else
#define COT_API
#endif

/* "0.1.0". Static storage. */
COT_API const char *cot_version(void);

/* ---- statuses ---- */

/* X(constant, name, meaning): every function that can fail returns one of these. */
#define COT_STATUS_LIST(X)                                                                         \
    X(COT_OK, "ok", "success")                                                                     \
    X(COT_E_ARG, "argument", "an argument is NULL, unknown, out of range or contradicts another")  \
    X(COT_E_SHAPE, "shape", "shapes or axes do not fit together")                                  \
    X(COT_E_DTYPE, "dtype", "dtypes do not fit together or the operation does not take them")      \
    X(COT_E_NOGRAD, "no gradient", "a gradient was asked for through an operation that has none")  \
    X(COT_E_UNSUPPORTED, "unsupported", "valid, but this build or this machine cannot do it")      \
    X(COT_E_PARSE, "parse", "text or a file is malformed")                                         \
    X(COT_E_NOMEM, "no memory", "an allocation failed")                                            \
    X(COT_E_IO, "input/output", "a file could not be opened, read or written")                     \
    X(COT_E_DATA, "data", "values in the data are not allowed: a label out of range, a NaN")       \
    X(COT_E_CODEGEN, "code generation", "LLVM refused or failed")                                  \
    X(COT_E_CANCELLED, "cancelled", "stopped on request")                                          \
    X(COT_E_FORKED, "forked", "the process was forked after threads had started")                  \
    X(COT_E_DENIED, "denied", "the system refused executable memory or a permission")              \
    X(COT_E_BUDGET, "budget", "a step does not fit into its memory budget")                        \
    X(COT_E_INTERNAL, "internal", "a bug in Cotangent: please report it with the message")

typedef enum cot_status {
#define COT_STATUS_ENUM(constant, name, meaning) constant,
    COT_STATUS_LIST(COT_STATUS_ENUM)
#undef COT_STATUS_ENUM
} cot_status;

/* "ok", "argument", ...; "unknown" for a value that is no status. Static storage. */
COT_API const char *cot_status_name(cot_status status);

/* ---- dtypes ---- */

/* X(constant, text name, bytes) */
#define COT_DTYPE_LIST(X)                                                                          \
    X(COT_F32, "f32", 4)                                                                           \
    X(COT_F64, "f64", 8)                                                                           \
    X(COT_I32, "i32", 4)                                                                           \
    X(COT_I64, "i64", 8)                                                                           \
    X(COT_U8, "u8", 1)                                                                             \
    X(COT_BOOL, "bool", 1)

typedef enum cot_dtype {
#define COT_DTYPE_ENUM(constant, name, bytes) constant,
    COT_DTYPE_LIST(COT_DTYPE_ENUM)
#undef COT_DTYPE_ENUM
} cot_dtype;

/* "f32" ...; "?" for a value that is no dtype. */
COT_API const char *cot_dtype_name(cot_dtype dtype);

/* Bytes of one element; 0 for a value that is no dtype. */
COT_API size_t cot_dtype_bytes(cot_dtype dtype);

/* ---- shapes ---- */

#define COT_MAX_RANK 8

/*
 * The extents of a tensor, row-major. When `batched`, the leading extent is dim[0] * N, where N is
 * the number of rows bound at run time; dim[0] is 1 for a plain batch. Rank 0 is a scalar. An
 * extent may be 0 (an empty tensor).
 */
typedef struct cot_shape {
    int32_t rank;
    bool batched;
    int64_t dim[COT_MAX_RANK];
} cot_shape;

/* A static shape, COT_SHAPE(784, 10), a batch of rows, COT_BATCH(784) = [N,784], and a scalar. C
 * only; more than COT_MAX_RANK extents do not compile. */
#define COT_SHAPE(...)                                                                             \
    ((cot_shape){(int32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),              \
                 false,                                                                            \
                 {__VA_ARGS__}})
#define COT_BATCH(...)                                                                             \
    ((cot_shape){(int32_t)(sizeof((const int64_t[]){1, __VA_ARGS__}) / sizeof(int64_t)),           \
                 true,                                                                             \
                 {1, __VA_ARGS__}})
#define COT_SCALAR ((cot_shape){0, false, {0}})

/* ---- switches and zero ---- */

/* An option that is on or off, where zero means "the default". */
typedef enum cot_switch { COT_DEFAULT = 0, COT_ON = 1, COT_OFF = 2 } cot_switch;

/* In an option field where 0 means "the default", negative zero means the number zero. */
#define COT_ZERO (-0.0)

/* ---- memory, text and logging ---- */

/*
 * Where a context takes its memory from. `alloc` and `realloc` return memory aligned as malloc's,
 * or NULL when there is none. Called only from the thread that uses the context, but for sessions,
 * which use the allocator from their own thread: it must then be thread-safe. The struct is copied;
 * `user` must outlive the context.
 */
typedef struct cot_allocator {
    void *(*alloc)(size_t bytes, void *user);
    void *(*realloc)(void *pointer, size_t old_bytes, size_t new_bytes, void *user);
    void (*free)(void *pointer, void *user);
    void *user;
} cot_allocator;

/* Receives text in pieces (`bytes` long, not NUL-terminated). Returns false to stop the writer with
 * COT_E_IO. */
typedef bool (*cot_write_fn)(const char *text, size_t bytes, void *user);

/* ---- context ---- */

typedef struct cot_context cot_context;

/* Vector instruction sets that kernels may be compiled for. COT_ISA_DEFAULT: the best that this
 * machine has. */
typedef enum cot_isa {
    COT_ISA_DEFAULT = 0,
    COT_ISA_BASELINE,
    COT_ISA_AVX2,
    COT_ISA_AVX512
} cot_isa;

/* Every field may be left zero. */
typedef struct cot_options {
    size_t struct_size; /* sizeof(cot_options) */
    int32_t threads;    /* worker threads of a step; 0: one a core */
    cot_isa isa;        /* vector instruction set of the kernels */
    uint64_t seed; /* of initial weights, shuffles and random nodes; 0 is a seed like any other */
    cot_allocator allocator; /* all NULL: malloc, realloc, free */
    const char *dump; /* stages to dump, comma separated: graph,grad,opt,fuse,plan,llvm,asm or all;
                         NULL: none */
    const char *dump_dir; /* directory of the dump files; NULL: "." */
    cot_switch
        environment;     /* read COT_DUMP, COT_THREADS, ... (default: on); options given here win */
    cot_switch jit;      /* off: the reference evaluator runs everything */
    cot_switch fuse;     /* off: one kernel a node, to bisect */
    cot_switch optimize; /* off: no graph simplification, to bisect */
    cot_switch plan;     /* off: no two buffers share memory, to bisect */
    cot_switch verify;   /* verify the graph after every pass (default: on in debug builds) */
    cot_switch cache;    /* keep compiled kernels on disk, to be found by later processes (default:
                            on, if the environment may be read or cache_dir is given) */
    const char *cache_dir; /* where; NULL: $XDG_CACHE_HOME/cotangent, or ~/.cache/cotangent. Made if
                              need be, readable by its owner alone; not used if it is somebody
                              else's or others may write to it */
    int64_t cache_bytes;   /* how large that may grow before what is used least goes; 0: 256 MiB */
} cot_options;

/* Make a context. options may be NULL. Returns NULL when memory is short or an option is invalid.
 */
COT_API cot_context *cot_context_create(const cot_options *options);

/*
 * Destroy a context and what it still owns (layers, tensors). Models, graphs, programs, sessions,
 * variables and data sets made from it must have been destroyed before. NULL is fine.
 */
COT_API void cot_context_destroy(cot_context *context);

/* ---- errors ---- */

/* The context's first error since it was made or cleared. The strings live until the error is
 * cleared. */
typedef struct cot_error {
    cot_status status;
    const char *message; /* one line; "" when status is COT_OK */
    const char *op;      /* the operation, "" when there is none */
    const char *layer;   /* the layer, "" when there is none */
    const char *file;    /* where in Cotangent it was raised */
    int32_t line;
} cot_error;

/* The first error; status COT_OK when there is none. A NULL context reports COT_E_ARG. */
COT_API cot_error cot_error_get(const cot_context *context);

/* Shorthand for cot_error_get(context).message. Never NULL. */
COT_API const char *cot_error_message(const cot_context *context);

/* Forget the error; handles that it poisoned stay poisoned. */
COT_API void cot_error_clear(cot_context *context);

#ifdef __cplusplus
}
#endif
#endif
