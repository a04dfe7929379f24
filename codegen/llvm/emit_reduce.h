/*
 * What the two reducing skeletons share: the state of a running reduction and how values enter it,
 * and the order in which reductions that depend on one another are computed.
 *
 * Levels. An expression's level is the largest of its arguments'; a reduction's is one more than
 * its argument's. Pass p over the reduced dimensions can compute the reductions whose arguments
 * have level p, because those of lower levels are known then.
 */
#ifndef COTI_EMIT_REDUCE_H
#define COTI_EMIT_REDUCE_H

#include "emit.h"

/* A vector of running reductions: the sum or maximum; of an ARGMAX also the indices (i32). */
typedef struct coti_running {
    LLVMValueRef v[2]; /* v[1]: NULL but for an ARGMAX */
} coti_running;

/* Values of a running reduction: 2 for an ARGMAX, else 1. */
int32_t coti_reduce_n_values(const coti_expr *reduce);

/* Before the first element. `dtype`: of the argument. */
coti_running coti_reduce_identity(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                                  int32_t lanes);
/* An element a lane: identity where v_mask (may be NULL) is off. v_index: <lanes x i32>, its
 * place in the reduction's order; read for an ARGMAX only. */
coti_running coti_reduce_element(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                                 LLVMValueRef v_value, LLVMValueRef v_index, LLVMValueRef v_mask);
/* a then b, lane by lane. A NaN wins a maximum; the first of equal maxima is the ARGMAX. */
coti_running coti_reduce_combine(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                                 coti_running a, coti_running b);
/* All lanes into one by the fixed tree: l and l + 8, l and l + 4, ...; <1 x T>. */
coti_running coti_reduce_tree(coti_emit *e, const coti_expr *reduce, cot_dtype dtype,
                              coti_running running);
/* The reduction's value. */
LLVMValueRef coti_reduce_result(const coti_expr *reduce, coti_running running);

/* level[i] for each expression. */
void coti_reduce_levels(const coti_body *body, int32_t *level);
/*
 * Can a loop carry the running values of the kernel's reductions of one pass, `vectors` of each?
 * Records COT_E_UNSUPPORTED if not.
 */
bool coti_reduce_fits(coti_emit *e, const int32_t *level, int32_t pass, int32_t vectors);
/* Is this a reduction that pass `pass` computes? */
bool coti_reduces_in(const coti_body *body, const int32_t *level, int32_t expr, int32_t pass);

#endif
