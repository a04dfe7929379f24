/*
 * Loops and branches as blocks and phis. A loop is guarded and tested at its end, the form in which
 * the code generator leaves one jump a turn. What constants decide is decided here, where it costs
 * nothing: a loop that runs once is no loop, and one that runs at least once has no guard.
 */
#include "emit.h"

/* Are both constant, and what is end - begin? */
static bool constant_length(LLVMValueRef v_begin, LLVMValueRef v_end, int64_t *length_out) {
    if (LLVMIsAConstantInt(v_begin) == NULL || LLVMIsAConstantInt(v_end) == NULL) {
        return false;
    }
    *length_out = LLVMConstIntGetSExtValue(v_end) - LLVMConstIntGetSExtValue(v_begin);
    return true;
}

void coti_loop_begin(coti_emit *e, coti_loop *loop, LLVMValueRef v_begin, LLVMValueRef v_end,
                     int64_t step, const char *name) {
    int64_t length = 0;
    bool known = constant_length(v_begin, v_end, &length);
    *loop = (coti_loop){.name = name, .v_end = v_end, .v_step = coti_l_i64(e, step)};
    loop->once = known && length > 0 && length <= step;
    loop->guarded = !known || length <= 0;
    loop->v_i = v_begin;
    if (loop->once) {
        return;
    }
    loop->b_guard = coti_l_here(e);
    loop->b_body = coti_l_block(e, name);
    loop->b_exit = coti_l_block(e, "done");
    if (loop->guarded) {
        LLVMValueRef v_any = LLVMBuildICmp(e->builder, LLVMIntSLT, v_begin, v_end, "");
        LLVMBuildCondBr(e->builder, v_any, loop->b_body, loop->b_exit);
    } else {
        LLVMBuildBr(e->builder, loop->b_body);
    }
    LLVMPositionBuilderAtEnd(e->builder, loop->b_body);
    loop->v_i = LLVMBuildPhi(e->builder, e->t_i64, name);
    LLVMAddIncoming(loop->v_i, &v_begin, &loop->b_guard, 1);
}

LLVMValueRef coti_loop_carry(coti_emit *e, coti_loop *loop, LLVMValueRef v_init, const char *name) {
    if (loop->n_carries == COTI_MAX_CARRIES) {
        coti_emit_fail(e, COT_E_UNSUPPORTED, "a loop carries more than %d values",
                       COTI_MAX_CARRIES);
        return v_init;
    }
    int32_t c = loop->n_carries++;
    loop->v_init[c] = loop->v_next[c] = v_init;
    if (loop->once) {
        return v_init;
    }
    loop->v_phi[c] = LLVMBuildPhi(e->builder, LLVMTypeOf(v_init), name);
    LLVMAddIncoming(loop->v_phi[c], &v_init, &loop->b_guard, 1);
    return loop->v_phi[c];
}

void coti_loop_next(coti_loop *loop, int32_t carry, LLVMValueRef v_next) {
    if (carry < loop->n_carries) {
        loop->v_next[carry] = v_next;
    }
}

/* Carry c after the loop: its last value, or the initial one when the guard kept the loop out. */
static LLVMValueRef result(coti_emit *e, const coti_loop *loop, int32_t c,
                           LLVMBasicBlockRef b_latch) {
    if (!loop->guarded) {
        return loop->v_next[c];
    }
    LLVMValueRef v_result = LLVMBuildPhi(e->builder, LLVMTypeOf(loop->v_init[c]),
                                         LLVMGetValueName2(loop->v_phi[c], &(size_t){0}));
    LLVMAddIncoming(v_result, (LLVMValueRef[]){loop->v_init[c], loop->v_next[c]},
                    (LLVMBasicBlockRef[]){loop->b_guard, b_latch}, 2);
    return v_result;
}

void coti_loop_end(coti_emit *e, coti_loop *loop) {
    for (int32_t c = 0; loop->once && c < loop->n_carries; c++) {
        loop->v_result[c] = loop->v_next[c];
    }
    if (loop->once) {
        return;
    }
    LLVMBasicBlockRef b_latch = coti_l_here(e);
    LLVMValueRef v_i = LLVMBuildAdd(e->builder, loop->v_i, loop->v_step, "");
    LLVMValueRef v_more = LLVMBuildICmp(e->builder, LLVMIntSLT, v_i, loop->v_end, "");
    LLVMBuildCondBr(e->builder, v_more, loop->b_body, loop->b_exit);
    LLVMAddIncoming(loop->v_i, &v_i, &b_latch, 1);
    LLVMPositionBuilderAtEnd(e->builder, loop->b_exit);
    for (int32_t c = 0; c < loop->n_carries; c++) {
        LLVMAddIncoming(loop->v_phi[c], &loop->v_next[c], &b_latch, 1);
        loop->v_result[c] = result(e, loop, c, b_latch);
    }
}

void coti_branch_begin(coti_emit *e, coti_branch *branch, LLVMValueRef v_condition,
                       const char *name) {
    LLVMBasicBlockRef b_then = coti_l_block(e, name);
    branch->b_exit = coti_l_block(e, "done");
    LLVMBuildCondBr(e->builder, v_condition, b_then, branch->b_exit);
    LLVMPositionBuilderAtEnd(e->builder, b_then);
}

void coti_branch_end(coti_emit *e, coti_branch *branch) {
    LLVMBuildBr(e->builder, branch->b_exit);
    LLVMPositionBuilderAtEnd(e->builder, branch->b_exit);
}
