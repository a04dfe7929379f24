/*
 * LOAD: rows of the step gathered from where the user's data lie, converted on the way.
 *
 * Slot 0 is a cotr_source, slot 1 the destination, whose rows are adjacent. The source's dtype is
 * known at run time only: one loop over rows for each dtype that this destination takes. Rows of a
 * source may begin at any byte. u8 becomes f32 as x * scale + offset, rounded after each step (no
 * fma), as in C; i64 becomes i32 by wrapping.
 */
#include "emit.h"

/* Which sources a destination takes. */
static bool takes(cot_dtype to, cot_dtype from) {
    switch (to) {
    case COT_F32:
        return from == COT_F32 || from == COT_U8;
    case COT_I32:
        return from == COT_I32 || from == COT_U8 || from == COT_I64;
    case COT_I64:
        return from == COT_I64 || from == COT_I32 || from == COT_U8;
    case COT_F64:
    case COT_U8:
    case COT_BOOL:
        break;
    }
    return from == to;
}

/* The source, taken apart. */
typedef struct source {
    LLVMValueRef v_base, v_row_bytes, v_index, v_dtype, v_scale, v_offset;
} source;

/* A field of the source, at `byte`. */
static LLVMValueRef load_field(coti_emit *e, LLVMTypeRef type, int64_t byte, const char *name) {
    LLVMValueRef v_field = coti_l_element(e, e->t_i8, e->v_slot[0], coti_l_i64(e, byte), "");
    return coti_l_load(e, type, v_field, name);
}

static source load_source(coti_emit *e) {
    return (source){.v_base = load_field(e, e->t_ptr, offsetof(cotr_source, base), "v_base"),
                    .v_row_bytes =
                        load_field(e, e->t_i64, offsetof(cotr_source, row_bytes), "v_row_bytes"),
                    .v_index = load_field(e, e->t_ptr, offsetof(cotr_source, index), "v_order"),
                    .v_dtype = load_field(e, e->t_i32, offsetof(cotr_source, dtype), "v_dtype"),
                    .v_scale = load_field(e, e->t_f32, offsetof(cotr_source, scale), "v_scale"),
                    .v_offset = load_field(e, e->t_f32, offsetof(cotr_source, offset), "v_offset")};
}

/* Where row v_row of the step begins in the source. */
static LLVMValueRef source_row(coti_emit *e, const source *from, LLVMValueRef v_row) {
    LLVMValueRef v_position = LLVMBuildAdd(e->builder, e->v_first, v_row, "v_position");
    LLVMValueRef v_ordered =
        LLVMBuildICmp(e->builder, LLVMIntNE, from->v_index, LLVMConstNull(e->t_ptr), "");
    LLVMBasicBlockRef b_here = coti_l_here(e);
    coti_branch branch;
    coti_branch_begin(e, &branch, v_ordered, "ordered");
    LLVMBasicBlockRef b_ordered = coti_l_here(e);
    LLVMValueRef v_there =
        coti_l_load(e, e->t_i64, coti_l_element(e, e->t_i64, from->v_index, v_position, ""), "");
    coti_branch_end(e, &branch);
    LLVMValueRef v_number = LLVMBuildPhi(e->builder, e->t_i64, "v_number");
    LLVMAddIncoming(v_number, (LLVMValueRef[]){v_position, v_there},
                    (LLVMBasicBlockRef[]){b_here, b_ordered}, 2);
    LLVMValueRef v_bytes = LLVMBuildMul(e->builder, v_number, from->v_row_bytes, "");
    return coti_l_element(e, e->t_i8, from->v_base, v_bytes, "v_source");
}

/* <lanes x dtype> to the destination's. */
static LLVMValueRef convert(coti_emit *e, const source *from, cot_dtype dtype, cot_dtype to,
                            LLVMValueRef v_x) {
    int32_t lanes = coti_l_lanes(v_x);
    LLVMTypeRef type = coti_l_vector_type(e->t_memory[to], lanes);
    if (dtype == to) {
        return v_x;
    }
    if (to == COT_F32) {
        LLVMValueRef v_real = LLVMBuildUIToFP(e->builder, v_x, type, "");
        v_real = LLVMBuildFMul(e->builder, v_real, coti_l_splat(e, from->v_scale, lanes, ""), "");
        return LLVMBuildFAdd(e->builder, v_real, coti_l_splat(e, from->v_offset, lanes, ""), "");
    }
    return LLVMBuildIntCast2(e->builder, v_x, type, dtype != COT_U8, "");
}

/* Elements [v_i, v_i + lanes) of one row. */
static void convert_run(coti_emit *e, const source *from, cot_dtype dtype, LLVMValueRef v_source,
                        LLVMValueRef v_target, LLVMValueRef v_i, int32_t lanes) {
    cot_dtype to = e->kernel->slot_dtype[1];
    LLVMTypeRef type = coti_l_vector_type(e->t_memory[dtype], lanes);
    LLVMValueRef v_from = coti_l_element(e, e->t_memory[dtype], v_source, v_i, "");
    LLVMValueRef v_x = LLVMBuildLoad2(e->builder, type, v_from, "");
    LLVMSetAlignment(v_x, 1);
    LLVMValueRef v_to = coti_l_element(e, e->t_memory[to], v_target, v_i, "");
    coti_l_store_vector(e, convert(e, from, dtype, to, v_x), v_to, NULL);
}

/* One row: whole vectors, then the rest in ever smaller ones, which need no mask. */
static void convert_row(coti_emit *e, const source *from, cot_dtype dtype, LLVMValueRef v_source,
                        LLVMValueRef v_target, int64_t count) {
    int64_t whole = count & ~(int64_t)(COTI_LANES - 1);
    if (whole > 0) {
        coti_loop loop;
        coti_loop_begin(e, &loop, coti_l_i64(e, 0), coti_l_i64(e, whole), COTI_LANES, "vectors");
        convert_run(e, from, dtype, v_source, v_target, loop.v_i, COTI_LANES);
        coti_loop_end(e, &loop);
    }
    for (int32_t lanes = COTI_LANES / 2; lanes >= 1; lanes /= 2) {
        if ((count & lanes) != 0) {
            convert_run(e, from, dtype, v_source, v_target, coti_l_i64(e, whole), lanes);
            whole += lanes;
        }
    }
}

/* Rows [begin, end) from a source of this dtype. */
static void convert_rows(coti_emit *e, const source *from, cot_dtype dtype, int64_t count) {
    LLVMTypeRef t_to = e->t_memory[e->kernel->slot_dtype[1]];
    coti_loop rows;
    coti_loop_begin(e, &rows, e->v_begin, e->v_end, 1, "rows");
    LLVMValueRef v_source = source_row(e, from, rows.v_i);
    LLVMValueRef v_at = LLVMBuildMul(e->builder, rows.v_i, coti_l_i64(e, count), "");
    LLVMValueRef v_target = coti_l_element(e, t_to, e->v_slot[1], v_at, "v_target");
    convert_row(e, from, dtype, v_source, v_target, count);
    coti_loop_end(e, &rows);
}

void coti_emit_load_skeleton(coti_emit *e) {
    int64_t count = 1; /* elements of a row */
    for (int32_t d = 1; d < e->kernel->n_dims; d++) {
        if (!coti_size_mul(count, e->kernel->extent[d], &count)) {
            coti_emit_fail(e, COT_E_INTERNAL, "a row has too many elements");
            return;
        }
    }
    source from = load_source(e);
    for (int32_t d = 0; d < COTI_DTYPES; d++) {
        if (!takes(e->kernel->slot_dtype[1], (cot_dtype)d)) {
            continue;
        }
        coti_branch branch;
        LLVMValueRef v_is =
            LLVMBuildICmp(e->builder, LLVMIntEQ, from.v_dtype, coti_l_i32(e, d), "");
        coti_branch_begin(e, &branch, v_is, cot_dtype_name((cot_dtype)d));
        convert_rows(e, &from, (cot_dtype)d, count);
        coti_branch_end(e, &branch);
    }
}
