/*
 * Gradient rules of the composites over the last axis. Their closed forms keep less alive than the
 * derivative of the decomposition would; tests hold the two against each other. The requirements on
 * a rule stand in vjp.h.
 */
#include "vjp.h"

static cot_value sum_last(cot_value x) {
    return cot_op_reduce(COT_OP_SUM, x, &(int32_t){-1}, 1, true);
}

/* y (g - sum(g y)). Reads y. */
void coti_vjp_SOFTMAX(const coti_vjp *v, cot_value *grad) {
    cot_value mean = sum_last(coti_make_mul(v->g, v->output));
    grad[0] = coti_make_mul(v->output, coti_make_sub(v->g, mean));
}

/* g - softmax(x) sum(g), where softmax(x) = exp(y). Reads y. */
void coti_vjp_LOG_SOFTMAX(const coti_vjp *v, cot_value *grad) {
    cot_value p = cot_op_unary(COT_OP_EXP, v->output);
    grad[0] = coti_make_sub(v->g, coti_make_mul(p, sum_last(v->g)));
}

/*
 * d logits = g (softmax(logits) sum(target) - target): no assumption that a target sums to 1.
 * d target = -g log_softmax(logits). g has no last axis and is repeated along it. Reads the logits,
 * and the target for their gradient.
 */
void coti_vjp_SOFTMAX_XENT(const coti_vjp *v, cot_value *grad) {
    cot_value target = v->input[0];
    cot_value logits = v->input[1];
    int32_t axes[COT_MAX_RANK];
    for (int32_t i = 0; i < v->node.shape.rank; i++) {
        axes[i] = i;
    }
    cot_value g = cot_op_broadcast(v->g, cot_value_shape(logits), axes, v->node.shape.rank);
    if (v->needs[0]) {
        grad[0] = coti_make_neg(coti_make_mul(g, cot_op_log_softmax(logits)));
    }
    if (v->needs[1]) {
        cot_value expected = coti_make_mul(cot_op_softmax(logits), sum_last(target));
        grad[1] = coti_make_mul(g, coti_make_sub(expected, target));
    }
}
