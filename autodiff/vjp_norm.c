/*
 * Gradient rules of the normalisations. The requirements on a rule stand in vjp.h.
 *
 * y = n s + o with n = c r, c = x - mean(x), r = (mean(c^2) + epsilon)^-1/2, over one part of x.
 * Let h = g s be n's cotangent. From dr = -r^3 mean(c dc) and n = c r, c's cotangent is r h - r^3 c
 * mean(h c) = r (h - n mean(h n)), and as c is x less its mean, and mean(n) = 0, x's is that less
 * its mean: dx = r (h - mean(h) - n mean(h n))    ds = sum(g n)    do = sum(g) the last two over
 * all that shares an element of s and o. Without a mean (RMS_NORM) c is x, and mean(h) does not
 * arise. Src: Ioffe, Szegedy, "Batch normalization", ICML 2015, section 3, which gives the same in
 * more steps.
 *
 * Reads x, and the statistics r and mean, which are the nodes that the decomposition has made and
 * are small; n is made from them again. The output is not read.
 */
#include "vjp.h"

#include "graph/norm.h"

/* The mean over a part, repeated over it. */
static cot_value part_mean(const coti_norm *norm, cot_value x) {
    cot_value mean = cot_op_mean(x, norm->axes, norm->n_axes, false);
    return coti_spread(mean, &norm->view, norm->axes, norm->n_axes);
}

/* dx from h, all in the form of norm->view. */
static cot_value norm_dx(const coti_norm *norm, const coti_normal *made, cot_value h) {
    cot_value along = part_mean(norm, coti_make_mul(h, made->normal));
    cot_value dx = coti_make_sub(h, coti_make_mul(made->normal, along));
    if (norm->is_centred) {
        dx = coti_make_sub(dx, part_mean(norm, h));
    }
    cot_value r = coti_spread(made->inverse, &norm->view, norm->axes, norm->n_axes);
    return coti_make_mul(dx, r);
}

/* Sum over all axes but those of scale and offset, in their shape. */
static cot_value norm_sum(const coti_norm *norm, cot_value x, cot_value like) {
    int32_t axes[COT_MAX_RANK];
    int32_t n = norm->view.rank - norm->n_scaled;
    for (int32_t i = 0; i < n; i++) {
        axes[i] = i;
    }
    cot_value sum = cot_op_reduce(COT_OP_SUM, x, axes, n, false);
    return norm->n_scaled == 1 ? sum : cot_op_reshape(sum, cot_value_shape(like));
}

static void norm_rule(const coti_vjp *v, cot_value *grad) {
    cot_shape shape = cot_value_shape(v->input[0]);
    coti_norm norm = coti_norm_of(&v->node, &shape);
    cot_value g = coti_norm_view(&norm, v->g);
    bool reads_x = v->needs[0] || v->needs[1];
    coti_normal made = {coti_poison(), coti_poison()};
    if (reads_x) {
        made = coti_make_normal(&norm, coti_norm_view(&norm, v->input[0]));
    }
    if (v->needs[0]) {
        /* Element by element even where s comes out: of no rows r is no number, dx is none. */
        cot_value s = coti_norm_factor(&norm, v->input[1]);
        bool is_common = v->node.op == COT_OP_BATCH_NORM;
        cot_value dx = norm_dx(&norm, &made, is_common ? g : coti_make_mul(g, s));
        grad[0] = coti_norm_unview(&norm, is_common ? coti_make_mul(dx, s) : dx);
    }
    if (v->needs[1]) {
        grad[1] = norm_sum(&norm, coti_make_mul(g, made.normal), v->input[1]);
    }
    if (v->node.n_inputs == 3 && v->needs[2]) {
        grad[2] = norm_sum(&norm, g, v->input[2]);
    }
}

void coti_vjp_LAYER_NORM(const coti_vjp *v, cot_value *grad) {
    norm_rule(v, grad);
}

void coti_vjp_RMS_NORM(const coti_vjp *v, cot_value *grad) {
    norm_rule(v, grad);
}

void coti_vjp_GROUP_NORM(const coti_vjp *v, cot_value *grad) {
    norm_rule(v, grad);
}

void coti_vjp_BATCH_NORM(const coti_vjp *v, cot_value *grad) {
    norm_rule(v, grad);
}
