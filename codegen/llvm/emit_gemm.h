/*
 * What the files of the GEMM emitter share: the plan of one product, made once from the kernel and
 * the target, and the functions that emit its parts.
 *
 * The product is seen along two axes. Vectors run along the v axis (n for N_VECTORS, m for
 * M_VECTORS); elements of the s axis are broadcast. A register tile is `height` elements of s by
 * `vectors` vectors of v. Emitted are
 *
 *  emit_gemm_tile.c     tile functions: accumulate one tile over a chunk of k into scratch
 *
 *  emit_window*.c       the same of an operand in windows, and the nest around them
 *
 *  emit_gemm_stream.c   the same for a panel that is packed meanwhile
 *
 *  emit_gemm_pack.c     pack functions: copy or transpose a panel of the v operand into scratch
 *
 *  emit_gemm_end.c      the kernel's expressions on a finished tile; the side reduction
 *
 *  emit_gemm_beside.c   the expressions beside the sums of the next tile
 *
 *  emit_gemm.c          the nest: panels, chunks, tiles; partitions
 *
 * Tiles are full always: the last one of a range begins early enough to end with it, so it computes
 * some elements twice, and the epilogue takes each once. So no tile needs a mask, and none reads
 * out of bounds. Where a range may be shorter than a tile, s has tiles of height 1 to fall back on,
 * and v is packed with the missing lanes filled.
 *
 * Every element is summed over k serially, from 0, by fma (over blocks of COTI_ROW_BLOCK when k is
 * the batch), whatever the tile, form or packing: its bits do not depend on them.
 */
#ifndef COTI_EMIT_GEMM_H
#define COTI_EMIT_GEMM_H

#include "emit.h"

enum {
    COTI_GEMM_MAX_TILE = 64,    /* vectors of a register tile */
    COTI_GEMM_MAX_FETCHES = 128 /* lines that a tile asks for */
};

/* How a panel of the v operand gets into scratch. */
typedef enum coti_gemm_pack {
    COTI_GEMM_PACK_NONE,      /* it does not: tiles read the operand itself */
    COTI_GEMM_PACK_COPY,      /* contiguous along v */
    COTI_GEMM_PACK_TRANSPOSE, /* contiguous along k */
    COTI_GEMM_PACK_GATHER     /* neither: element by element */
} coti_gemm_pack;

/* One axis of the product and the operand that has it. Strides and offset in elements. */
typedef struct coti_gemm_axis {
    int32_t dim;    /* of the kernel's domain: 1 is m, 2 is n */
    int32_t slot;   /* the operand */
    int64_t extent; /* static, or the coefficient of N */
    bool rows;      /* extent * N; the call's range is along this axis */
    int64_t unit;   /* extent of a unit; 0 when the product is not partitioned into units */
    int64_t stride; /* of the operand along the axis */
    int64_t k_stride, b_stride, inner_stride, offset;
} coti_gemm_axis;

typedef struct coti_gemm_plan {
    coti_gemm_axis s, v;
    int32_t lanes;           /* of a hardware vector of the product's dtype */
    int32_t bytes;           /* of an element */
    int32_t height;          /* of a tile, along s */
    int32_t vectors;         /* of a tile, along v */
    int32_t width;           /* vectors * lanes */
    int32_t tail_vectors;    /* of a narrower tile for the end of a range; 0: none */
    bool by_lanes;           /* a vector of columns has elements of s for each (windows' groups) */
    bool panels_inside;      /* positions of windows are taken by all panels before the next */
    bool short_s;            /* a range of s may be shorter than `height` */
    bool ragged_s, ragged_v; /* what a tile finishes may be no multiple of `lanes` */
    coti_gemm_pack pack;
    bool stream;   /* one tile reads a panel: it is transposed block by block meanwhile */
    bool partial;  /* a packed panel may be narrower than `width` */
    int64_t chunk; /* k's of a chunk but for the last; all of k when there is one chunk */
    bool one_chunk;
    bool in_blocks;      /* a block of tiles takes a chunk of k before the next chunk is begun */
    int32_t block_k;     /* of PACK_TRANSPOSE: k's that are transposed at once */
    bool short_k;        /* a chunk may have fewer */
    int32_t block_tiles; /* tiles that stay unfinished together while chunks of k go by */
    int64_t unit_rows, unit_columns; /* sums of a unit that wait, panel by panel, while chunks of k
                                        go by; 0: block_tiles do */
    bool end_along_s;      /* the epilogue's vectors run along s: tiles are turned for it */
    bool flat_end;         /* ... and all that it touches lies as a turned tile does: one run */
    int32_t t_stride;      /* distance of rows of a turned tile: its height, 4 at least */
    bool ahead_v, ahead_s; /* tiles ask for the next panel's lines, the next tile's */
    int32_t n_fetches;     /* lines of the epilogue's operands that a tile asks for; 0: none */
    bool beside;           /* a tile's epilogue is done beside the sums of the next */
    int64_t row_at[COTI_GEMM_MAX_TILE]; /* elements from a tile's first row of s to each */
    int64_t panel_at, c_at, t_at, square_at, fetch_at, side_at, wait_at,
        scratch_bytes; /* bytes from the scratch's start */
} coti_gemm_plan;

/* An entry of the batch: the index of each of its parts. */
typedef struct coti_gemm_entry {
    LLVMValueRef v_b, v_inner;
} coti_gemm_entry;

/* The type of the product's elements: float, or double. What transposes in registers, and so what
 * streams, is made for float alone: the plan of a product of doubles calls for neither. */
static inline LLVMTypeRef coti_gemm_element(const coti_emit *e) {
    return e->t_value[e->kernel->gemm.dtype];
}

/* ---- arithmetic of addresses, on i64 ---- */

static inline LLVMValueRef coti_i64_add(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildAdd(e->builder, v_a, v_b, "");
}

static inline LLVMValueRef coti_i64_sub(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return LLVMBuildSub(e->builder, v_a, v_b, "");
}

static inline LLVMValueRef coti_i64_times(coti_emit *e, LLVMValueRef v_a, int64_t factor) {
    return LLVMBuildMul(e->builder, v_a, coti_l_i64(e, factor), "");
}

static inline LLVMValueRef coti_i64_smaller(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return coti_l_select(e, LLVMBuildICmp(e->builder, LLVMIntSLT, v_a, v_b, ""), v_a, v_b, "");
}

static inline LLVMValueRef coti_i64_larger(coti_emit *e, LLVMValueRef v_a, LLVMValueRef v_b) {
    return coti_l_select(e, LLVMBuildICmp(e->builder, LLVMIntSGT, v_a, v_b, ""), v_a, v_b, "");
}

/* ceil(a / b) of a >= 0. */
static inline LLVMValueRef coti_i64_divide_up(coti_emit *e, LLVMValueRef v_a, int64_t b) {
    LLVMValueRef v_sum = coti_i64_add(e, v_a, coti_l_i64(e, b - 1));
    return LLVMBuildUDiv(e->builder, v_sum, coti_l_i64(e, b), "");
}

/* A function of kernel and target alone. */
void coti_gemm_plan_make(const coti_kernel *kernel, const coti_target *target,
                         coti_gemm_plan *plan_out);

/* ---- functions of the emitted module ---- */

/* Where emission goes on after a function of its own has been emitted. */
typedef struct coti_gemm_function {
    LLVMValueRef v_outer;
    LLVMBasicBlockRef b_outer;
} coti_gemm_function;

/* Begin an internal function; the emitter then emits into it. */
LLVMValueRef coti_gemm_function_begin(coti_emit *e, coti_gemm_function *f, const char *name,
                                      LLVMTypeRef type);
/* Return, and go back to the outer function. */
void coti_gemm_function_end(coti_emit *e, const coti_gemm_function *f);

/* tile(ptr s, ptr v, ptr c, i64 k, i64 v_k_stride, i1 first, i64 ahead, ptr scratch): see
 * emit_gemm_tile.c. */
enum { COTI_GEMM_TILE_ARGS = 8 };
LLVMTypeRef coti_gemm_tile_type(coti_emit *e);
LLVMValueRef coti_gemm_emit_tile(coti_emit *e, const coti_gemm_plan *plan, int32_t height,
                                 int32_t vectors);

/* A tile under construction: its size, and its elements' sums as vectors, row by row. */
typedef struct coti_gemm_tile {
    const coti_gemm_plan *plan;
    int32_t height, vectors, n;
    LLVMValueRef v_c, v_ahead, v_fetches, v_waiting;
    LLVMValueRef v_acc[COTI_GEMM_MAX_TILE];
} coti_gemm_tile;

/* Its sums begin with 0, or with what they were after the chunk of k before; and go where they
 * wait. v_first: i1, there is no chunk before. */
void coti_gemm_begin_sums(coti_emit *e, coti_gemm_tile *t, LLVMValueRef v_first);
void coti_gemm_end_sums(coti_emit *e, coti_gemm_tile *t, LLVMValueRef v_first);

/* Rows of a tile: first, first + step, ... before end. */
typedef struct coti_gemm_rows {
    int32_t first, end, step;
} coti_gemm_rows;

/*
 * By lanes: all channels of vector j's columns, from x's element v_s for the first column on, and
 * channel `channel` of each column's. Where one vector is more than all columns, nothing behind
 * them is read.
 */
LLVMValueRef coti_gemm_load_lanes(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_s,
                                  int32_t j);
LLVMValueRef coti_gemm_lanes_of(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_channels,
                                int32_t channel);
/* One step of k: each sum of those rows gets its product. v_s is the element of row 0 (by lanes,
 * for the first column). */
void coti_gemm_emit_step(coti_emit *e, const coti_gemm_plan *plan, coti_gemm_rows rows,
                         int32_t vectors, LLVMValueRef v_s, LLVMValueRef v_v, LLVMValueRef *v_acc);

/* transpose(ptr from, ptr to, ptr square, i64 rows, i64 count, i64 k, i64 row_stride, i64
 * to_stride): see emit_gemm_transpose.c. */
enum { COTI_GEMM_TRANSPOSE_ARGS = 8 };
LLVMTypeRef coti_gemm_transpose_type(coti_emit *e);
LLVMValueRef coti_gemm_emit_transpose(coti_emit *e, const coti_gemm_plan *plan);

/* turn(ptr from, ptr to): a finished tile, `height` rows of `width` elements, to rows of `height`
 * elements, t_stride apart. Reads four rows at least. */
LLVMTypeRef coti_gemm_turn_type(coti_emit *e);
LLVMValueRef coti_gemm_emit_turn(coti_emit *e, const coti_gemm_plan *plan);

/* A transposition: its pieces, for those who have other work to do between them. */
enum { COTI_GEMM_QUAD = 4 }; /* elements of 128 bits, the unit of cheap shuffles */
typedef struct coti_gemm_transposition {
    int32_t lanes, block_k;
    int64_t ahead; /* elements from a row's load to what is asked for meanwhile; 0: nothing is */
    LLVMValueRef v_from, v_to, v_square;
    LLVMValueRef v_rows, v_count, v_k, v_row_stride, v_to_stride;
} coti_gemm_transposition;

void coti_gemm_call_transpose(coti_emit *e, const coti_gemm_transposition *t,
                              LLVMValueRef v_transpose);
/* Rows v_row + v_first and the next three, elements from v_k0 on, into the square. */
void coti_gemm_emit_quad(coti_emit *e, const coti_gemm_transposition *t, LLVMValueRef v_row,
                         LLVMValueRef v_k0, LLVMValueRef v_first);
/* Rows v_k0 + v_c, + 4, ... of the destination from the square, v_c < 4. */
void coti_gemm_emit_columns(coti_emit *e, const coti_gemm_transposition *t, LLVMValueRef v_row,
                            LLVMValueRef v_k0, LLVMValueRef v_c);

/* pack(ptr source, ptr panel, ptr square, i64 k, i64 count): see emit_gemm_pack.c. v_transpose: the
 * function above, for PACK_TRANSPOSE. */
enum { COTI_GEMM_PACK_ARGS = 5 };
LLVMTypeRef coti_gemm_pack_type(coti_emit *e);
LLVMValueRef coti_gemm_emit_pack(coti_emit *e, const coti_gemm_plan *plan,
                                 LLVMValueRef v_transpose);

/* stream(ptr s, ptr v, ptr c, ptr blocks, ptr square, i64 count): see emit_gemm_stream.c. */
enum { COTI_GEMM_STREAM_ARGS = 6 };
LLVMTypeRef coti_gemm_stream_type(coti_emit *e);
LLVMValueRef coti_gemm_emit_stream(coti_emit *e, const coti_gemm_plan *plan,
                                   LLVMValueRef v_transpose);

/* ---- windows (emit_window.c, emit_window_tile.c, emit_window_side.c) ---- */

/* The tile functions of a product of windows: one for each kind of place in a row of positions
 * (ROWS), or one (TAPS); each wide, and narrow where the plan has narrow tiles. */
enum { COTI_WINDOW_MAX_KINDS = 24, COTI_WINDOW_ARGS = 11 };
typedef struct coti_window_tiles {
    int32_t n_tiles; /* ROWS: of a row; TAPS: of a run */
    int32_t n_kinds;
    int32_t place[COTI_WINDOW_MAX_KINDS]; /* number of the tile in the row; kind 0: all others */
    LLVMValueRef v_function[COTI_WINDOW_MAX_KINDS][2];
} coti_window_tiles;

void coti_window_emit_functions(coti_emit *e, const coti_gemm_plan *plan, coti_window_tiles *tiles);
LLVMTypeRef coti_window_type(coti_emit *e);

/* rows(ptr x, ptr v, ptr c, i64 taps0, i64 v_k_stride, ...): see emit_window_tile.c. */
LLVMValueRef coti_window_emit_rows_tile(coti_emit *e, const coti_gemm_plan *plan, int64_t start,
                                        bool inside, int32_t vectors);
LLVMValueRef coti_window_emit_taps_tile(coti_emit *e, const coti_gemm_plan *plan, int32_t vectors);

/* The tiles of a panel of v, in a nest whose panel is set; or those of all panels. */
struct coti_gemm_nest;
void coti_window_emit_tiles(coti_emit *e, struct coti_gemm_nest *n);
void coti_window_emit_panels(coti_emit *e, struct coti_gemm_nest *n);

/* ---- the nest (emit_gemm.c) ---- */

/* What the loops have in hand. Values of inner loops are set as they are entered. */
typedef struct coti_gemm_nest {
    const coti_gemm_plan *plan;
    LLVMValueRef v_tile[2][2]; /* functions: [is height 1][is narrow]; NULL: not needed */
    LLVMValueRef v_pack, v_transpose, v_turn, v_stream;
    coti_window_tiles window; /* of a product of windows */
    LLVMValueRef v_side;      /* of windows: i1, the unit makes the side reduction; NULL: there is
                                 none */
    LLVMValueRef v_k;
    coti_gemm_entry entry;
    LLVMValueRef v_s0, v_s1, v_v0, v_v1; /* the range */
    LLVMValueRef v_is_short, v_height, v_n_tiles;
    LLVMValueRef v_function;                    /* the panel's tile function */
    LLVMValueRef v_narrow;                      /* i1: it takes narrow tiles; NULL: none do */
    LLVMValueRef v_v_first, v_v_start, v_v_end; /* columns that are the panel's to finish; its
                                                   tiles begin at start */
} coti_gemm_nest;

/* One tile: rows [first, start + height) are its to finish. */
typedef struct coti_gemm_place {
    LLVMValueRef v_first, v_start, v_c, v_ahead;
} coti_gemm_place;

/* Element (b, k, at) of an axis' operand. */
LLVMValueRef coti_gemm_operand(coti_emit *e, const coti_gemm_nest *n, const coti_gemm_axis *axis,
                               LLVMValueRef v_k, LLVMValueRef v_at);
LLVMValueRef coti_gemm_scratch(coti_emit *e, int64_t bytes, const char *name);
/* The panel that begins at column v_first: where it ends, where its tiles begin, what sums them. */
void coti_gemm_set_panel(coti_emit *e, coti_gemm_nest *n, LLVMValueRef v_first);
/* A block of v_k rows of k from v_k0 on, of the panel, into scratch. */
void coti_gemm_call_pack(coti_emit *e, const coti_gemm_nest *n, LLVMValueRef v_k0,
                         LLVMValueRef v_k);
void coti_gemm_call_end(coti_emit *e, const coti_gemm_nest *n, const coti_gemm_place *place);

/* The side reduction of windows' taps: the sum of rows [v_k0, v_k1) of the panel, a block of it;
 * then, after the last, its expressions. */
void coti_window_emit_side_block(coti_emit *e, const coti_gemm_nest *n, LLVMValueRef v_k0,
                                 LLVMValueRef v_k1);
void coti_window_emit_side_end(coti_emit *e, const coti_gemm_nest *n);

/* ---- fetching ahead (emit_gemm_fetch.c) ---- */

/* llvm.prefetch for reading; locality 3: into the first cache, 2: into the second. */
void coti_gemm_emit_prefetch(coti_emit *e, LLVMValueRef v_ptr, int32_t locality);
int32_t coti_gemm_count_fetches(const coti_kernel *kernel, const coti_gemm_plan *plan);
/* Before a tile: the addresses of what its epilogue reads, for the tile that begins at (entry, s,
 * v). */
void coti_gemm_emit_fetch_table(coti_emit *e, const coti_gemm_plan *plan,
                                const coti_gemm_entry *entry, LLVMValueRef v_s, LLVMValueRef v_v);
/* In a tile function, at step v_k: ask for one of them. */
void coti_gemm_emit_fetch(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_table,
                          LLVMValueRef v_k);

/* ---- the ends (emit_gemm_end.c) ---- */

/* A finished tile: elements [s_first, s_end) by [v_first, v_end) of the domain are to be taken from
 * it; element (s, v) of the domain is at row s - s_base, column v - v_base of its block. All i64.
 */
typedef struct coti_gemm_done {
    coti_gemm_entry entry;
    LLVMValueRef v_s_base, v_s_first, v_s_end, v_v_base, v_v_first, v_v_end;
    LLVMValueRef v_c; /* ptr */
} coti_gemm_done;

/* v_turn: the function, when the plan needs it. */
void coti_gemm_emit_end(coti_emit *e, const coti_gemm_plan *plan, const coti_gemm_done *done,
                        LLVMValueRef v_turn);
/* The side reduction over v_k rows for columns [v_n0, v_n1) of batch entry v_b. */
void coti_gemm_emit_side(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_b,
                         LLVMValueRef v_n0, LLVMValueRef v_n1, LLVMValueRef v_k);

/* ---- ends beside the next tile's sums (emit_gemm_beside.c). v_waiting: ptr to the record ---- */

int64_t coti_gemm_waiting_bytes(const coti_kernel *kernel);
/* Can a tile's end be done vector by vector, in a function apart? */
bool coti_gemm_can_wait(const coti_body *body);
/* At entry: nothing waits; what the expressions need. */
void coti_gemm_emit_waiting(coti_emit *e, LLVMValueRef v_waiting);
/* A tile is finished, and waits. None may be waiting. */
void coti_gemm_emit_wait(coti_emit *e, const coti_gemm_plan *plan, const coti_gemm_done *done,
                         LLVMValueRef v_waiting);
/* How many of its vectors are to be finished; the caller now has to. i64 */
LLVMValueRef coti_gemm_take_waiting(coti_emit *e, LLVMValueRef v_waiting);
/* Finish the next of them. */
void coti_gemm_emit_waiting_vector(coti_emit *e, const coti_gemm_plan *plan,
                                   LLVMValueRef v_waiting);
/* Finish all of them. */
void coti_gemm_emit_last(coti_emit *e, const coti_gemm_plan *plan, LLVMValueRef v_waiting);

#endif
