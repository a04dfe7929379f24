/*
 * The emitter: one lowered kernel (codegen/kernel.h) in, one LLVM module with one function of the
 * kernel ABI (runtime/kernel_abi.h) out.
 *
 * Everything is emitted as explicit vectors in SSA form, with explicit llvm.fma, without fast-math
 * flags; nothing relies on an optimisation pass. The layers, each standing on those before:
 *
 *  coti_l_*       types, constants, vectors, memory: emit_build.c
 *
 *  coti_loop_*    loops and branches: emit_loop.c
 *
 *  coti_access_*  where a point's elements are, load, store: emit_access.c
 *
 *  coti_emit_*    expressions on vectors: emit_{expr,op,math,gauss,trig,pow,random}.c
 *
 *  coti_nest_*    loops over dimensions, hoisting: emit_nest.c
 *
 *  coti_reduce_*  sums and maxima: emit_reduce.c
 *
 *  skeletons      emit_{load,map,rowred,colred,scatter,gemm}.c
 *
 *  frame          function, arguments, dispatch: emit.c
 *
 * Invariants. An element's bits never depend on its lane, on a mask, on the number of lanes, on
 * [begin, end), or (on targets with FMA) on the ISA. Memory is accessed with the alignment of one
 * element, never more. No address outside an operand is ever touched: masked-off lanes and elements
 * outside bounds are not loaded. LLVM builders cannot fail; what we cannot emit is recorded by
 * coti_emit_fail, emission goes on with undefined values, and coti_emit_kernel returns the status.
 *
 * Threads. An emitter uses one LLVM context and one cot_context (for memory and its error record)
 * and nothing else: concurrent emitters need a cot_context record each (a copy will do).
 */
#ifndef COTI_EMIT_H
#define COTI_EMIT_H

#include "codegen/jit.h"
#include "codegen/kernel.h"
#include "codegen/llvm/compat.h"

enum {
    COTI_MAX_CARRIES = 128, /* values carried around one loop */
    COTI_DTYPES = COT_BOOL + 1
};

/* What every part of the emitter works on: the function under construction. */
typedef struct coti_emit {
    cot_context *context;
    const coti_kernel *kernel;
    const coti_target *target;
    cot_status status; /* of the first coti_emit_fail */

    LLVMContextRef llvm;
    LLVMModuleRef module;
    LLVMBuilderRef builder; /* positioned where the next instruction goes */
    LLVMValueRef v_function;

    LLVMTypeRef t_void, t_ptr, t_i1, t_i8, t_i32, t_i64, t_f32, t_f64;
    LLVMTypeRef t_value[COTI_DTYPES];  /* an element in an expression: bool is i1 */
    LLVMTypeRef t_memory[COTI_DTYPES]; /* an element in memory: bool is i8 */

    /* The call's arguments. All dominate the whole body. */
    LLVMValueRef v_args, v_begin, v_end;  /* begin, end: i64 */
    LLVMValueRef v_rows, v_first;         /* i64 */
    LLVMValueRef v_scratch;               /* ptr, 64-byte aligned */
    LLVMValueRef v_slot[COTI_MAX_SLOTS];  /* ptr: base of each slot */
    LLVMValueRef v_extent[COTI_MAX_DIMS]; /* i64: extents, batched ones times N */

    /*
     * Expressions that are the same at every point (learning rate, its powers), evaluated once at
     * entry for kernel->body and kernel->gemm.side; NULL for the others. To be handed to points as
     * v_given.
     */
    LLVMValueRef v_uniform[COTI_MAX_EXPRS], v_uniform_side[COTI_MAX_EXPRS];
} coti_emit;

/* ---- frame (emit.c) ---- */

/*
 * Emit `kernel` as function `symbol` of a new module of `llvm`; the caller owns the module. The
 * module has no triple and no data layout: set them before emitting code. On failure *module_out is
 * NULL. fails: COT_E_UNSUPPORTED (an operation that has no kernel in this dtype, a kernel too
 * large), COT_E_INTERNAL (a malformed kernel), COT_E_NOMEM.
 */
cot_status coti_emit_kernel(cot_context *context, LLVMContextRef llvm, const coti_kernel *kernel,
                            const coti_target *target, const char *symbol,
                            LLVMModuleRef *module_out);

/* Record a failure: the first stays. */
void coti_emit_fail(coti_emit *e, cot_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One function a skeleton: emits the body, leaves the builder in the block that will return. */
void coti_emit_load_skeleton(coti_emit *e);
void coti_emit_map(coti_emit *e);
void coti_emit_rowred(coti_emit *e);
void coti_emit_colred(coti_emit *e);
void coti_emit_scatter(coti_emit *e);
void coti_emit_gemm(coti_emit *e);

/* Per-thread scratch that the code will use; 0 for the other skeletons. */
int64_t coti_scratch_bytes_rowred(const coti_kernel *kernel, const coti_target *target);
int64_t coti_scratch_bytes_gemm(const coti_kernel *kernel, const coti_target *target);

/* ---- points and bodies (emit_expr.c) ---- */

/*
 * A run of `lanes` points of the kernel's domain along one dimension. Lanes may be any power of two
 * up to 16 (1 gives vectors of one element). Lane 0 is always on.
 */
typedef struct coti_point {
    int32_t lanes;
    int32_t vector_dim; /* lane l is at v_index[vector_dim] + l; -1: every lane is the same point */
    LLVMValueRef v_index[COTI_MAX_DIMS];      /* i64; NULL counts as 0 */
    LLVMValueRef v_lane_index[COTI_MAX_DIMS]; /* <lanes x i64>: each lane's index, instead of
                                                 v_index; NULL otherwise */
    LLVMValueRef v_mask; /* <lanes x i1>: lanes that are loaded and stored; NULL: all. The values of
                            the other lanes mean nothing. */
    LLVMValueRef v_acc;  /* <lanes x T>: what ACC expressions are; NULL when there are none */
    /*
     * Per expression, values that are known already (NULL elements: not known); NULL: none known.
     * One of another width than `lanes` is narrowed to its low lanes, or widened by repeating its
     * lane 0 (it must then be uniform).
     */
    const LLVMValueRef *v_given;
} coti_point;

/*
 * Evaluate the body at the points and perform its stores. A store whose stride along vector_dim is
 * 0 stores lane 0. All loads come before all stores.
 */
void coti_emit_body(coti_emit *e, const coti_body *body, const coti_point *point);

/* The same in two steps. Evaluates each expression i with wanted[i] set (and not given); its
 * arguments must be wanted or given. v_value[i] is NULL for the others. */
void coti_emit_values(coti_emit *e, const coti_body *body, const coti_point *point,
                      const bool *wanted, LLVMValueRef *v_value);
void coti_emit_store(coti_emit *e, const coti_body *body, const coti_point *point,
                     const coti_store *store, LLVMValueRef v_value);

/*
 * Mark what marked expressions are made of: afterwards wanted[] may go to coti_emit_values. Stops
 * at given expressions (v_given may be NULL) and at reductions, which somebody else must have
 * given.
 */
void coti_body_close_wanted(const coti_body *body, const LLVMValueRef *v_given, bool *wanted);

/*
 * What each expression depends on: bit d for dimension d (never one of static extent 1), and the
 * accumulator or a reduction. A reduction depends on what its argument does, less the reduced
 * dimensions [n_kept, n_dims).
 */
enum { COTI_DEPENDS_ACC = 1 << COTI_MAX_DIMS, COTI_DEPENDS_REDUCE = 1 << (COTI_MAX_DIMS + 1) };
void coti_body_dependence(const coti_kernel *kernel, const coti_body *body, uint32_t *depends);
/* Is dimension d's extent a multiple of the row count? */
bool coti_dim_is_batched(const coti_kernel *kernel, int32_t d);
/* Is dimension d's extent 1, whatever the row count? Its index is then 0 always. */
bool coti_dim_is_one(const coti_kernel *kernel, int32_t d);
/* The dimensions, of extent other than 1, along which an access moves or has bounds. */
uint32_t coti_access_dependence(const coti_kernel *kernel, const coti_access *access);

/* A value in another width: low lanes, or lane 0 repeated. */
LLVMValueRef coti_emit_fit(coti_emit *e, LLVMValueRef v_value, int32_t lanes);

/* One elementwise op, SELECT or CAST on vectors; v_arg[] as the expression's arguments. */
LLVMValueRef coti_emit_op(coti_emit *e, const coti_body *body, const coti_expr *expr,
                          const LLVMValueRef *v_arg);

/* ---- functions on vectors of f32 (emit_{math,gauss,trig,pow}.c): error bounds stand there ---- */

LLVMValueRef coti_emit_exp(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_expm1(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_log(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_log1p(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_tanh(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_sigmoid(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_softplus(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_erf(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_erfc(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_gelu(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_sin(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_cos(coti_emit *e, LLVMValueRef v_x);
LLVMValueRef coti_emit_pow(coti_emit *e, LLVMValueRef v_x, LLVMValueRef v_y);
/* sin and cos of 2*pi*u for u in [0, 1]. */
void coti_emit_sincos_2pi(coti_emit *e, LLVMValueRef v_u, LLVMValueRef *v_sin_out,
                          LLVMValueRef *v_cos_out);

/* The largest integer not above x; f32 and f64. */
LLVMValueRef coti_emit_floor(coti_emit *e, LLVMValueRef v_x);

/* ---- functions on vectors of f64 (emit_math64*.c): error bounds stand there ---- */

/* COTI_MATH64_NORMAL: Box and Muller's of u1 in (0, 1], u2 in [0, 1), and 0 for the pair's cosine
 * or 1 for its sine. */
typedef enum coti_math64 {
    COTI_MATH64_EXP,
    COTI_MATH64_EXPM1,
    COTI_MATH64_LOG,
    COTI_MATH64_LOG1P,
    COTI_MATH64_TANH,
    COTI_MATH64_SIGMOID,
    COTI_MATH64_SOFTPLUS,
    COTI_MATH64_ERF,
    COTI_MATH64_ERFC,
    COTI_MATH64_GELU,
    COTI_MATH64_SIN,
    COTI_MATH64_COS,
    COTI_MATH64_POW,
    COTI_MATH64_NORMAL,
} coti_math64;

/* A function of v_arg[0..), by a call of a function of the module. */
LLVMValueRef coti_emit_math64(coti_emit *e, coti_math64 which, const LLVMValueRef *v_arg);

/* Random numbers of `dtype` at elements <lanes x i64>; seed and step <lanes x i64>, uniform. */
LLVMValueRef coti_emit_random(coti_emit *e, const coti_expr *expr, LLVMValueRef v_seed,
                              LLVMValueRef v_step, LLVMValueRef v_element);

/* ---- loop nests (emit_nest.c) ---- */

/*
 * A range of the domain's dimensions as loops, outermost first. Dimensions of extent 1 have none;
 * neighbours that every access walks as one are one, whose index is that of the last of them (the
 * others' stays 0: with stride[d] = extent[d+1] * stride[d+1] the addresses are the same). There is
 * always at least one loop.
 */
typedef struct coti_nest_loop {
    int32_t dim;                 /* whose index the loop sets */
    uint32_t dims;               /* bit d: dimension d is in this loop */
    int64_t extent;              /* -1: known at run time only */
    LLVMValueRef v_begin, v_end; /* i64: 0 and the extent, or with dimension 0 a part of that */
} coti_nest_loop;

typedef struct coti_nest {
    int32_t n_loops;
    coti_nest_loop loop[COTI_MAX_DIMS];
} coti_nest;

/* Of dimensions [first, last) of kernel->body, first < last; dimension 0 runs over the call's
 * range. */
void coti_nest_make(coti_emit *e, int32_t first, int32_t last, coti_nest *nest);

/* How many loops, from the outermost, must be open for what has this dependence to be known. */
int32_t coti_nest_depth(const coti_nest *nest, uint32_t depends);

/* Lanes for vectors along a loop: COTI_LANES, or as few as hold its extent. */
int32_t coti_nest_lanes(const coti_nest_loop *loop);

/*
 * What is worked out before the loops: v_given starts as the uniform values; hoist then evaluates
 * the wanted expressions of kernel->body that are not given yet and whose dependence is within
 * `within`, at one point (all lanes alike), into v_given. All are COTI_LANES wide.
 */
void coti_nest_start(coti_emit *e, LLVMValueRef *v_given);
void coti_nest_hoist(coti_emit *e, const coti_point *point, const uint32_t *depends,
                     uint32_t within, const bool *wanted, LLVMValueRef *v_given);

/* ---- access (emit_access.c) ---- */

/* Load the elements of the points as values (bool as i1). Masked-off lanes and lanes out of bounds
 * are not read; the latter are `fill`. */
LLVMValueRef coti_access_load(coti_emit *e, const coti_access *access, cot_dtype dtype,
                              const coti_point *point);
/* Where along one axis of an operand a gather's elements are. */
typedef struct coti_gathered {
    LLVMValueRef v_index; /* <lanes x i32 or i64>, of any value */
    bool uniform;         /* all lanes that are on are equal */
    int64_t extent, step; /* of the axis: elements, at least one; from one to the next */
} coti_gathered;

/* As coti_access_load, `step` times the index further; 0 where the index is outside [0, extent). */
LLVMValueRef coti_access_gather(coti_emit *e, const coti_access *access, cot_dtype dtype,
                                const coti_point *point, const coti_gathered *g);
void coti_access_store(coti_emit *e, const coti_access *access, cot_dtype dtype,
                       const coti_point *point, LLVMValueRef v_value);
/* Between memory form and value form of a vector: bool is a byte, 0 or 1, in memory. */
LLVMValueRef coti_l_from_memory(coti_emit *e, cot_dtype dtype, LLVMValueRef v_memory);
LLVMValueRef coti_l_to_memory(coti_emit *e, cot_dtype dtype, LLVMValueRef v_value);
/* The element number offset + sum index * stride, of each lane: <lanes x i64>. */
LLVMValueRef coti_access_element(coti_emit *e, const coti_access *access, const coti_point *point);

/* ---- building blocks (emit_build.c). `name` may be "" but for values that survive ---- */

LLVMTypeRef coti_l_vector_type(LLVMTypeRef t_element, int32_t lanes);
/* Lanes of a vector value. */
int32_t coti_l_lanes(LLVMValueRef v_vector);
LLVMTypeRef coti_l_element_type(LLVMValueRef v_vector);

LLVMValueRef coti_l_i32(coti_emit *e, int32_t value);
LLVMValueRef coti_l_i64(coti_emit *e, int64_t value);
/* A constant vector of the shape of `v_like` (float or double elements; integer elements). */
LLVMValueRef coti_l_number_like(LLVMValueRef v_like, double value);
LLVMValueRef coti_l_integer_like(LLVMValueRef v_like, int64_t value);
/* <lanes x T> from a scalar: every lane. */
LLVMValueRef coti_l_splat(coti_emit *e, LLVMValueRef v_scalar, int32_t lanes, const char *name);
/* <0, 1, 2, ...> of an integer type. */
LLVMValueRef coti_l_iota(LLVMTypeRef t_integer, int32_t lanes);
LLVMValueRef coti_l_lane(coti_emit *e, LLVMValueRef v_vector, int32_t lane);
/* Lanes [first, first + lanes) of a vector, as a shuffle. */
LLVMValueRef coti_l_slice(coti_emit *e, LLVMValueRef v_vector, int32_t first, int32_t lanes,
                          const char *name);
/* <lanes x i1>: lane < count. count: i64 in [0, 2^31). A constant count gives a constant. */
LLVMValueRef coti_l_mask(coti_emit *e, LLVMValueRef v_count, int32_t lanes);

/* a * b + c: llvm.fma where the target has it, else multiply and add. Vectors or scalars. */
LLVMValueRef coti_l_fma(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b, LLVMValueRef v_c,
                        const char *name);
/* Call an intrinsic by its name, overloaded on n_types types. */
LLVMValueRef coti_l_intrinsic(coti_emit *e, const char *intrinsic, LLVMTypeRef *type,
                              int32_t n_types, LLVMValueRef *v_arg, int32_t n_args,
                              const char *name);
LLVMValueRef coti_l_select(coti_emit *e, LLVMValueRef v_condition, LLVMValueRef v_then,
                           LLVMValueRef v_else, const char *name);

/* Address of element `v_index` (i64) from `v_base`: no inbounds flag, wrapping is allowed. */
LLVMValueRef coti_l_element(coti_emit *e, LLVMTypeRef t_element, LLVMValueRef v_base,
                            LLVMValueRef v_index, const char *name);
/* Bytes of a scalar, or of one element of a vector: the only alignment that operands promise. */
int32_t coti_l_element_bytes(LLVMTypeRef type);
LLVMValueRef coti_l_load(coti_emit *e, LLVMTypeRef type, LLVMValueRef v_ptr, const char *name);
void coti_l_store(coti_emit *e, LLVMValueRef v_value, LLVMValueRef v_ptr);
/*
 * <lanes x T> of adjacent elements, aligned as one element only. Masked: lanes off are not touched
 * and load as v_off (NULL: zero).
 */
LLVMValueRef coti_l_load_vector(coti_emit *e, LLVMTypeRef t_element, int32_t lanes,
                                LLVMValueRef v_ptr, LLVMValueRef v_mask, LLVMValueRef v_off,
                                const char *name);
void coti_l_store_vector(coti_emit *e, LLVMValueRef v_vector, LLVMValueRef v_ptr,
                         LLVMValueRef v_mask);
LLVMBasicBlockRef coti_l_block(coti_emit *e, const char *name);
/* Where the builder is. */
LLVMBasicBlockRef coti_l_here(coti_emit *e);

/* ---- loops (emit_loop.c) ---- */

/*
 * for (i = begin; i < end; i += step) with values carried around as phis: a guarded loop tested at
 * its end. Use: begin; carry...; the body, which may make blocks of its own; next...; end. After
 * end, v_result[c] is carry c's last value (its initial one when the loop did not run).
 */
typedef struct coti_loop {
    const char *name;
    LLVMValueRef v_i; /* i64 */
    LLVMValueRef v_end, v_step;
    LLVMBasicBlockRef b_guard, b_body, b_exit;
    bool once;    /* known to run exactly once: no blocks, no phis */
    bool guarded; /* may not run at all */
    int32_t n_carries;
    LLVMValueRef v_init[COTI_MAX_CARRIES], v_phi[COTI_MAX_CARRIES], v_next[COTI_MAX_CARRIES],
        v_result[COTI_MAX_CARRIES];
} coti_loop;

void coti_loop_begin(coti_emit *e, coti_loop *loop, LLVMValueRef v_begin, LLVMValueRef v_end,
                     int64_t step, const char *name);
/* The value inside the loop; carries are numbered from 0 in order. NULL and a recorded failure when
 * there are too many. */
LLVMValueRef coti_loop_carry(coti_emit *e, coti_loop *loop, LLVMValueRef v_init, const char *name);
void coti_loop_next(coti_loop *loop, int32_t carry, LLVMValueRef v_next);
void coti_loop_end(coti_emit *e, coti_loop *loop);

/*
 * if (condition) { ... }: begin opens the block, end closes it and goes on after it. No values come
 * out.
 */
typedef struct coti_branch {
    LLVMBasicBlockRef b_exit;
} coti_branch;

void coti_branch_begin(coti_emit *e, coti_branch *branch, LLVMValueRef v_condition,
                       const char *name);
void coti_branch_end(coti_emit *e, coti_branch *branch);

#endif
