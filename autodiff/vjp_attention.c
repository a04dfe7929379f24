/*
 * The gradient rule of attention. The requirements on a rule stand in vjp.h.
 *
 * y = P v with P = softmax(S) over keys, S = scale q k^T where allowed, else a constant. With g the
 * cotangent of y,
 *     dv = P^T g    dP = g v^T    dS = P (dP - sum_keys(P dP)) where allowed, else 0
 *     dq = scale dS k    dk = scale dS^T q
 * sum_keys(P dP) is also sum_c(g y), a sum over v's features, which need not keep dP: but here dP
 * is there, and where a query sees one key alone the difference is 0 only in this form. Src: Dao,
 * Fu, Ermon, Rudra, Re, "FlashAttention", NeurIPS 2022, appendix B.2.
 *
 * Reads q, k, v; P is made again of q and k, by the nodes that the decomposition makes, so a
 * program that keeps it from its forward part has it there.
 *
 * Where the decomposition is a loop (attention_loop.c), so is this, with the same steps: a step's
 * gradient is this rule again, of a head or a block of queries, whose P is made again and forgotten
 * (the paper's algorithm 4, but for blocks of keys). What all steps see, k and v of blocks, has
 * its cotangent added up in carries, which products write in place.
 */
#include "vjp.h"

#include "graph/attention.h"

/* scale dS from P. */
static cot_value score_cotangent(const coti_vjp *v, cot_value weights, cot_value allowed) {
    const coti_attr_ATTENTION *attr = v->node.attr;
    cot_value d_weights = coti_attention_dot(v->g, -1, v->input[2], -1);
    cot_value mean =
        cot_op_reduce(COT_OP_SUM, coti_make_mul(weights, d_weights), &(int32_t){-1}, 1, true);
    cot_value scaled = coti_make_mul(weights, coti_make_scalar(v, attr->scale));
    cot_value d_scores = coti_make_mul(scaled, coti_make_sub(d_weights, mean));
    return allowed.graph == NULL ? d_scores
                                 : cot_op_select(allowed, d_scores, coti_make_scalar(v, 0.0));
}

/* The gradient of a step, in the loop's body: sums of what all steps see, pieces of the rest. */
static void make_step(const coti_vjp *v, coti_attention_loop *loop) {
    cot_value sum[3], wrt[3], part[3], formal[3];
    int32_t n = 0;
    for (int32_t i = 0; i < 3; i++) {
        const bool summed = v->needs[i] && !loop->cut[i];
        sum[i] = summed ? coti_attention_loop_carry(loop, v->input[i]) : coti_poison();
    }
    const cot_value g = coti_attention_loop_sequence(loop, v->g);
    const cot_value y = coti_attention_loop_step(loop, formal);
    for (int32_t i = 0; i < 3; i++) {
        if (v->needs[i]) {
            wrt[n++] = formal[i];
        }
    }
    if (y.graph == NULL || g.graph == NULL ||
        coti_vjp_sum(loop->body, &y, &g, 1, wrt, n, part) != COT_OK) {
        return;
    }
    for (int32_t pieces = 0; pieces < 2; pieces++) {
        for (int32_t i = 0, k = 0; i < 3; k += v->needs[i++]) {
            if (v->needs[i] && loop->cut[i] == (pieces == 1)) {
                coti_attention_loop_output(loop, pieces ? part[k] : coti_make_add(sum[i], part[k]));
            }
        }
    }
}

static void by_loop(const coti_vjp *v, cot_value *grad) {
    coti_attention_loop loop;
    cot_value result[3] = {coti_poison(), coti_poison(), coti_poison()};
    int32_t n = 0;
    if (coti_attention_loop_begin(&loop, &v->node, v->input) == COT_OK) {
        make_step(v, &loop);
    }
    coti_attention_loop_end(&loop, result);
    for (int32_t i = 0; i < 3; i++) {
        if (v->needs[i] && !loop.cut[i]) {
            grad[i] = result[n++];
        }
    }
    for (int32_t i = 0; i < 3; i++) {
        if (v->needs[i] && loop.cut[i]) {
            const cot_shape shape = cot_value_shape(v->input[i]);
            grad[i] = coti_attention_loop_join(&loop, result[n++], &shape);
        }
    }
}

void coti_vjp_ATTENTION(const coti_vjp *v, cot_value *grad) {
    if (coti_attention_loops(v->input)) {
        by_loop(v, grad);
        return;
    }
    cot_value allowed = coti_attention_allowed(&v->node, v->input);
    cot_value weights = coti_attention_weights(&v->node, v->input, allowed);
    if (v->needs[2]) {
        grad[2] = coti_attention_dot(weights, -2, v->g, -2);
    }
    if (!v->needs[0] && !v->needs[1]) {
        return;
    }
    cot_value d_scores = score_cotangent(v, weights, allowed);
    if (v->needs[0]) {
        grad[0] = coti_attention_dot(d_scores, -1, v->input[1], -2);
    }
    if (v->needs[1]) {
        grad[1] = coti_attention_dot(d_scores, -2, v->input[0], -2);
    }
}
