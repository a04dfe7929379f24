/*
 * The side reduction of a convolution's weight gradient, chunk by chunk: as the side reduction of
 * any product (emit_gemm_end.c), but a chunk of y's cotangent is summed just before the tiles take
 * it, so that it comes from memory once. A chunk is a block of the sum (kernel.h).
 */
#include "emit_gemm.h"

/* Vector j of the panel's columns: its mask, NULL if all of them always exist. */
static LLVMValueRef mask_of(coti_emit *e, const coti_gemm_nest *n, int32_t j) {
    const coti_gemm_plan *plan = n->plan;
    if (e->kernel->gemm.n % plan->width == 0) {
        return NULL;
    }
    LLVMValueRef v_zero = coti_l_i64(e, 0);
    LLVMValueRef v_begin =
        LLVMBuildAdd(e->builder, n->v_v_first, coti_l_i64(e, (int64_t)j * plan->lanes), "");
    LLVMValueRef v_left = LLVMBuildSub(e->builder, n->v_v_end, v_begin, "");
    LLVMValueRef v_some = LLVMBuildICmp(e->builder, LLVMIntSGT, v_left, v_zero, "");
    return coti_l_mask(e, coti_l_select(e, v_some, v_left, v_zero, ""), plan->lanes);
}

static LLVMValueRef total_ptr(coti_emit *e, const coti_gemm_plan *plan, int32_t j) {
    return coti_gemm_scratch(e, plan->side_at + (int64_t)j * plan->lanes * plan->bytes, "v_total");
}

/* total = first ? sum : total + sum. */
static void add_block(coti_emit *e, const coti_gemm_plan *plan, int32_t j, LLVMValueRef v_sum,
                      LLVMValueRef v_first) {
    LLVMValueRef v_total = coti_l_load_vector(e, coti_gemm_element(e), plan->lanes,
                                              total_ptr(e, plan, j), NULL, NULL, "v_total");
    LLVMValueRef v_both = LLVMBuildFAdd(e->builder, v_total, v_sum, "v_both");
    coti_l_store(e, coti_l_select(e, v_first, v_sum, v_both, ""), total_ptr(e, plan, j));
}

void coti_window_emit_side_block(coti_emit *e, const coti_gemm_nest *n, LLVMValueRef v_k0,
                                 LLVMValueRef v_k1) {
    const coti_gemm_plan *plan = n->plan;
    LLVMTypeRef element = coti_gemm_element(e);
    LLVMValueRef v_mask[COTI_GEMM_MAX_TILE], v_sum[COTI_GEMM_MAX_TILE];
    for (int32_t j = 0; j < plan->vectors; j++) {
        v_mask[j] = mask_of(e, n, j);
    }
    coti_loop k;
    coti_loop_begin(e, &k, v_k0, v_k1, 1, "side");
    for (int32_t j = 0; j < plan->vectors; j++) {
        v_sum[j] = coti_loop_carry(e, &k, LLVMConstNull(coti_l_vector_type(element, plan->lanes)),
                                   "v_sum");
    }
    LLVMValueRef v_row = coti_gemm_operand(e, n, &plan->v, k.v_i, n->v_v_first);
    for (int32_t j = 0; j < plan->vectors; j++) {
        LLVMValueRef v_at = coti_l_i64(e, (int64_t)j * plan->lanes);
        LLVMValueRef v_value =
            coti_l_load_vector(e, element, plan->lanes, coti_l_element(e, element, v_row, v_at, ""),
                               v_mask[j], NULL, "v_value");
        coti_loop_next(&k, j, LLVMBuildFAdd(e->builder, v_sum[j], v_value, "v_sum"));
    }
    coti_loop_end(e, &k);
    LLVMValueRef v_first = LLVMBuildICmp(e->builder, LLVMIntEQ, v_k0, coti_l_i64(e, 0), "");
    for (int32_t j = 0; j < plan->vectors; j++) {
        add_block(e, plan, j, k.v_result[j], v_first);
    }
}

void coti_window_emit_side_end(coti_emit *e, const coti_gemm_nest *n) {
    const coti_gemm_plan *plan = n->plan;
    for (int32_t j = 0; j < plan->vectors; j++) {
        coti_point point = {.lanes = plan->lanes,
                            .vector_dim = 2,
                            .v_mask = mask_of(e, n, j),
                            .v_given = e->v_uniform_side};
        point.v_index[0] = n->entry.v_b;
        point.v_index[1] = coti_l_i64(e, 0);
        point.v_index[2] =
            LLVMBuildAdd(e->builder, n->v_v_first, coti_l_i64(e, (int64_t)j * plan->lanes), "");
        point.v_acc = coti_l_load_vector(e, coti_gemm_element(e), plan->lanes,
                                         total_ptr(e, plan, j), NULL, NULL, "v_total");
        coti_emit_body(e, &e->kernel->gemm.side, &point);
    }
}
