/*
 * A lowered kernel: one loop skeleton with scalar expressions inside, and all that the emitter
 * needs to know. It holds extents, strides, dtypes and operations; never an address, a tensor's
 * identity, a row count or a learning rate. Its printed form (coti_kernel_print) is its key: equal
 * text, equal machine code.
 *
 * Domain. A kernel iterates over `n_dims` dimensions. Dimension 0 is the partition axis: its range
 * [begin, end) comes with the call (kernel_abi.h) and `extent[0]` is the static extent of a unit
 * axis, or the coefficient c of a batched axis c*N. The other extents are static, but for one that
 * may be the row count (`rows_dim`, see below).
 *
 * Skeletons
 *   LOAD    slot 0: a cotr_source; slot 1: the destination, `extent[1]` elements a row. Gathers
 *           rows [begin, end) of the step (source row index[first + i] or first + i), converts
 *           and scales.
 *   MAP     every expression at every point; vectors along the last dimension.
 *   ROWRED  dimensions [n_kept, n_dims) are reduced; one result a point of the kept ones. Vectors
 *           along the last dimension, 16 virtual lanes: lane l sums, in order, the flattened
 *           reduced indices = l (mod 16), from 0; then lanes l and l+8 are added, then l and l+4,
 *           l+2, l+1. Masked lanes hold the identity. Full-rank expressions (`full`) may be
 *           stored too, and may use the reductions' results.
 *   COLRED  the same group of expressions, but the reduced dimensions are walked serially, in
 *           order, for each point of the kept ones, in blocks of COTI_ROW_BLOCK of the first
 *           reduced dimension: blocks sum from 0, block sums are added in order. Vectors along
 *           the last kept dimension. No full-rank stores. Lowering makes one reduced dimension.
 *   SCATTER domain [partition, rest], no expressions: zeros, to which rows of updates are added
 *           where an index says, serially. See coti_scatter.
 *   GEMM    domain [b, m, n]: acc = sum_k A[b,m,k] * B[b,k,n], serial in k with fma, in blocks of
 *           COTI_ROW_BLOCK when k is the batch, for each point; then the expressions at (b, m, n).
 *           Where the batch has two parts, heads inside the rows of a sequence for one, the second
 *           is dimension 3, and all have an index more. See coti_gemm.
 *
 * An expression is full if it varies along a reduced dimension. The argument of a reduction, and
 * what is stored along reduced dimensions, is always full: lowering passes what does not vary
 * through a STOP_GRADIENT that is. An access may be bounded by an empty range (lo == hi): then all
 * of it is `fill`.
 */
#ifndef COTI_KERNEL_H
#define COTI_KERNEL_H

#include "graph/graph.h"

enum {
    COTI_LANES = 16,      /* virtual lanes of every in-row reduction */
    COTI_ROW_BLOCK = 512, /* rows summed before block sums are added */
    COTI_MAX_DIMS = 8,    /* of a kernel's domain */
    COTI_MAX_SLOTS = 48,  /* distinct buffers of a kernel */
    COTI_MAX_EXPRS = 512  /* scalar nodes of a kernel */
};

/* X(ID, name) */
#define COTI_SKELETON_LIST(X)                                                                      \
    X(LOAD, "load")                                                                                \
    X(MAP, "map")                                                                                  \
    X(ROWRED, "rowred")                                                                            \
    X(COLRED, "colred")                                                                            \
    X(SCATTER, "scatter")                                                                          \
    X(GEMM, "gemm")

typedef enum coti_skeleton {
#define COTI_SKELETON_ENUM(id, name) COTI_SKELETON_##id,
    COTI_SKELETON_LIST(COTI_SKELETON_ENUM)
#undef COTI_SKELETON_ENUM
} coti_skeleton;

/*
 * Where an element is: slot's base + offset + sum over dimensions of index[d] * stride[d], in
 * elements. With bounds (from a PAD view), reading outside lo[d] <= index[d] < hi[d] on any bounded
 * dimension gives `fill`.
 */
typedef struct coti_access {
    int32_t slot;
    int64_t offset;
    int64_t stride[COTI_MAX_DIMS];
    uint32_t bounded; /* bit d: dimension d has bounds */
    int64_t lo[COTI_MAX_DIMS], hi[COTI_MAX_DIMS];
    double fill;
} coti_access;

/* X(ID, name): kinds of scalar expressions */
#define COTI_EXPR_LIST(X)                                                                          \
    X(LOAD, "load")     /* element at access[index] */                                             \
    X(CONST, "const")   /* `number` (or `integer`) */                                              \
    X(INDEX, "index")   /* index of dimension `index` of the domain, in dtype */                   \
    X(ROWS, "rows")     /* N, in dtype i64 */                                                      \
    X(ACC, "acc")       /* the product of a GEMM */                                                \
    X(REDUCE, "reduce") /* op SUM, REDUCE_MAX or ARGMAX of arg[0] over the reduced dimensions */   \
    X(RANDOM, "random") /* arg[0] seed, arg[1] step; element number from access[index], whose slot \
                           is -1 */                                                                \
    X(GATHER, "gather") /* element at access[index] + arg[0] * step, arg[0] an i32 or i64 within   \
                           [0, integer); 0 where it is not, and nothing is read */                 \
    X(OP, "op")         /* an elementwise op, SELECT or CAST of arg[0..] */

typedef enum coti_expr_kind {
#define COTI_EXPR_ENUM(id, name) COTI_EXPR_##id,
    COTI_EXPR_LIST(COTI_EXPR_ENUM)
#undef COTI_EXPR_ENUM
} coti_expr_kind;

typedef struct coti_expr {
    coti_expr_kind kind;
    cot_op op;       /* of OP and REDUCE */
    cot_dtype dtype; /* of the result */
    bool full;       /* varies along the reduced dimensions; never so in MAP and GEMM */
    int32_t n_args;
    int32_t arg[3];  /* indices of earlier expressions */
    int32_t index;   /* of an access (LOAD, GATHER, RANDOM) or of a dimension (INDEX) */
    double number;   /* CONST of a float dtype */
    int64_t integer; /* CONST of another; RANDOM: the stream; GATHER: elements along its axis */
    int64_t step;    /* GATHER: from one of those to the next */
    cot_distribution distribution;
} coti_expr;

typedef struct coti_store {
    int32_t expr;
    int32_t access;
} coti_store;

/* Expressions in order, accesses and stores: what a skeleton evaluates at each point. */
typedef struct coti_body {
    int32_t n_exprs, n_accesses, n_stores;
    coti_expr *expr;
    coti_access *access;
    coti_store *store;
} coti_body;

/* Vectors run along this axis of the product; the other axis' elements are broadcast. */
typedef enum coti_gemm_form { COTI_GEMM_N_VECTORS, COTI_GEMM_M_VECTORS } coti_gemm_form;

/* Which of a product's axes are the windows' of its operand A. */
typedef enum coti_window_role {
    COTI_WINDOW_NONE,
    COTI_WINDOW_ROWS, /* m is [image, o0, o1], k is [t0, t1, channel]: a convolution */
    COTI_WINDOW_TAPS  /* m is [t0, t1, channel], k is [image, o0, o1]: its weights' gradient */
} coti_window_role;

/*
 * Windows of images: position o meets tap t of axis i at o * stride + t * dilation - low of x
 * elements that lie `spread` apart, with zeros between them and outside, which need not be
 * multiplied. spread is 1 of TAPS, and where the axis has a stride or, of axis 0, a dilation. Axis
 * 1 is the one along which a tile takes positions (graph/conv.h); a single spatial axis is axis 1,
 * and axis 0 then has extents of 1. A's channels are adjacent. With groups, A's element depends on
 * n as well.
 */
typedef struct coti_window {
    coti_window_role role;
    int64_t x[2], k[2], o[2], stride[2], dilation[2], low[2], spread[2];
    int64_t channels; /* of x that a column of the product sums over */
    int64_t columns;  /* that share them: columns [g columns, ..) have channels [g channels, ..) of
                         x;  n where there are no groups */
    int64_t image_stride, x_stride[2]; /* of A, in elements */
    int64_t run; /* of TAPS: rows of m that tiles do not cross, a divisor of a tap's channels or all
                    of a row of taps; chosen with the tile */
} coti_window;

/*
 * The product of a GEMM. Partition: when `m_rows`, m is the batched axis (extent c*N; the call's
 * range is over m); when `b_rows`, b is. Otherwise m, n, b are static and the range is over tiles:
 * unit u of n_units covers block (b, inner, i, j) of the grid b x inner x ceil(m / unit_m) x ceil(n
 * / unit_n), j fastest. When `k_rows`, k's extent is k * N.
 */
typedef struct coti_gemm {
    int64_t b, m, n, k; /* static extents; coefficients for a batched one */
    int64_t inner;      /* extent of the second part of the batch; 0: it has one part */
    bool b_rows, m_rows, k_rows;
    cot_dtype dtype; /* f32 or f64 */
    int32_t a_slot, b_slot;
    int64_t a_offset, b_offset;
    int64_t a_stride[4]; /* b, m, k, inner in elements; none of an operand in windows */
    int64_t b_stride[4]; /* b, k, n, inner */
    coti_window window;  /* of A; inner is 0 then */
    coti_gemm_form form;
    int32_t tile_broadcast; /* elements of the broadcast axis in a register tile */
    int32_t tile_vectors;   /* vectors of `lanes` elements in a register tile */
    bool pack; /* copy the vector operand's panel into scratch, vectors contiguous, before its tiles
                */
    int64_t unit_m, unit_n; /* of a unit-partitioned product */
    /*
     * The side reduction of a weight gradient: acc[b, n] = sum_k B[b,k,n], in the same order as
     * COLRED, for the units with i == 0; then `side` at (b, n): its accesses have strides for the
     * domain [b, m = 0, n]. Empty: none.
     */
    coti_body side;
} coti_gemm;

static inline int64_t coti_gemm_inner(const coti_gemm *gemm) {
    return gemm->inner > 0 ? gemm->inner : 1;
}

/*
 * The sums of a SCATTER, y[b, l, index[b, i], t] += updates[b, l, i, t] for i in order, from zeros;
 * y [b, l, d, t] is dense. An index outside [0, d) drops its updates. Partition: `by_row`: over the
 * b * l rows, times N when `rows`: that of b, or of l when `l_rows`, b is then 1. Otherwise over d:
 * a call owns what it is given of every row, and passes over what belongs to others. When `i_rows`,
 * i's extent is i * N.
 */
typedef struct coti_scatter {
    int64_t b, l, i, d, t; /* static extents; coefficients for a batched one */
    bool l_rows, i_rows, by_row;
    cot_dtype dtype, index_dtype;
    int32_t updates_slot, index_slot, result_slot;
    int64_t updates_offset, index_offset;
    int64_t updates_stride[4]; /* b, l, i, t in elements */
    int64_t index_stride[2];   /* b, i */
} coti_scatter;

typedef struct coti_kernel {
    coti_skeleton skeleton;
    int32_t n_dims, n_kept; /* n_kept: of ROWRED and COLRED; n_dims elsewhere */
    bool rows;        /* dimension 0 is batched: its range is over c*N; GEMM: b_rows or m_rows */
    int32_t rows_dim; /* a reduced or inner dimension whose extent is extent * N; -1: none */
    int64_t extent[COTI_MAX_DIMS];
    int32_t n_slots;
    cot_dtype slot_dtype[COTI_MAX_SLOTS];
    bool slot_written[COTI_MAX_SLOTS];
    coti_body body;
    coti_gemm gemm;        /* of a GEMM */
    coti_scatter scatter;  /* of a SCATTER */
    const char *hint;      /* for the symbol's name; not part of the key */
    int64_t scratch_bytes; /* per-thread scratch that the emitted code uses; filled by the emitter,
                              see emit.h */
} coti_kernel;

/* Append the kernel's text: readable, complete, the key of the kernel cache. */
void coti_kernel_print(coti_str *out, const coti_kernel *kernel);

/* Structural sanity: indices in range, expressions before use, dtypes of arguments, accesses of
 * written slots unique. */
cot_status coti_kernel_verify(cot_context *context, const coti_kernel *kernel);

#endif
