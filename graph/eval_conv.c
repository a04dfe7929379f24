/*
 * The meaning of convolutions, each of the three by a sum over what meets at one of its elements
 * (conv.h), and none by way of another or of their decompositions. Sums are long double, rounded
 * once; of no terms 0.
 */
#include "conv.h"
#include "eval.h"

/* Spatial index number i of these extents, in row-major order. */
typedef struct spatial {
    int64_t at[COTI_SPATIAL];
} spatial;

static spatial spatial_index(int64_t i, const int64_t *extent) {
    spatial s;
    for (int32_t d = COTI_SPATIAL - 1; d >= 0; d--) {
        s.at[d] = i % extent[d];
        i /= extent[d];
    }
    return s;
}

static int64_t spatial_number(const spatial *s, const int64_t *extent) {
    int64_t i = 0;
    for (int32_t d = 0; d < COTI_SPATIAL; d++) {
        i = i * extent[d] + s->at[d];
    }
    return i;
}

static int64_t spatial_count(const int64_t *extent) {
    return extent[0] * extent[1] * extent[2];
}

/* Where position o meets tap k in x; false: in the padding. */
static bool meeting_point(const coti_conv *c, const spatial *o, const spatial *k, spatial *x_out) {
    bool inside = true;
    for (int32_t d = 0; d < COTI_SPATIAL; d++) {
        x_out->at[d] = o->at[d] * c->stride[d] + k->at[d] * c->dilation[d] - c->low[d];
        inside = inside && x_out->at[d] >= 0 && x_out->at[d] < c->x[d];
    }
    return inside;
}

/* The position whose tap k is at x; false: there is none. */
static bool position_of(const coti_conv *c, const spatial *x, const spatial *k, spatial *o_out) {
    bool found = true;
    for (int32_t d = 0; d < COTI_SPATIAL; d++) {
        int64_t first = x->at[d] + c->low[d] - k->at[d] * c->dilation[d];
        o_out->at[d] = first / c->stride[d];
        found = found && first >= 0 && first % c->stride[d] == 0 && o_out->at[d] < c->o[d];
    }
    return found;
}

/* Sum of n products, elements `a_step` and `b_step` apart. */
static long double inner(const coti_tensor *a, int64_t a_at, int64_t a_step, const coti_tensor *b,
                         int64_t b_at, int64_t b_step, int64_t n) {
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (long double)coti_tensor_get(a, a_at + i * a_step) *
               coti_tensor_get(b, b_at + i * b_step);
    }
    return sum;
}

/* y[batch, o, co] = sum over taps k and the group's ci of x[batch, meeting point, ci] w[k, ci, co]
 */
cot_status coti_eval_CONV(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0], *w = &eval->input[1];
    const coti_conv c = coti_conv_of(COT_OP_CONV, eval->node->attr, &x->shape, &w->shape);
    int64_t count = coti_tensor_count(eval->out), n_taps = spatial_count(c.k);
    int64_t ci = c.cin / c.groups, co = c.cout / c.groups;
    for (int64_t i = 0; i < count; i++) {
        int64_t channel = i % c.cout, place = i / c.cout;
        const spatial o = spatial_index(place % spatial_count(c.o), c.o);
        int64_t image = place / spatial_count(c.o) * spatial_count(c.x);
        long double sum = 0;
        for (int64_t t = 0; t < n_taps; t++) {
            const spatial k = spatial_index(t, c.k);
            spatial at;
            if (meeting_point(&c, &o, &k, &at)) {
                int64_t pixel = (image + spatial_number(&at, c.x)) * c.cin;
                sum += inner(x, pixel + channel / co * ci, 1, w, t * ci * c.cout + channel, c.cout,
                             ci);
            }
        }
        coti_tensor_set(eval->out, i, sum);
    }
    return COT_OK;
}

/* dx[batch, x, ci] = sum over taps k and the group's co of g[batch, position, co] w[k, ci, co] */
cot_status coti_eval_CONV_DX(const coti_eval *eval) {
    const coti_tensor *g = &eval->input[0], *w = &eval->input[1];
    const coti_conv c = coti_conv_of(COT_OP_CONV_DX, eval->node->attr, &g->shape, &w->shape);
    int64_t count = coti_tensor_count(eval->out), n_taps = spatial_count(c.k);
    int64_t ci = c.cin / c.groups, co = c.cout / c.groups;
    for (int64_t i = 0; i < count; i++) {
        int64_t channel = i % c.cin, place = i / c.cin;
        const spatial x = spatial_index(place % spatial_count(c.x), c.x);
        int64_t image = place / spatial_count(c.x) * spatial_count(c.o);
        long double sum = 0;
        for (int64_t t = 0; t < n_taps; t++) {
            const spatial k = spatial_index(t, c.k);
            spatial at;
            if (position_of(&c, &x, &k, &at)) {
                int64_t first = channel / ci * co; /* of the group's channels of g */
                int64_t pixel = (image + spatial_number(&at, c.o)) * c.cout;
                sum +=
                    inner(g, pixel + first, 1, w, (t * ci + channel % ci) * c.cout + first, 1, co);
            }
        }
        coti_tensor_set(eval->out, i, sum);
    }
    return COT_OK;
}

/* dw[k, ci, co] = sum over batch and positions o of x[batch, meeting point, ci] g[batch, o, co] */
cot_status coti_eval_CONV_DW(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0], *g = &eval->input[1];
    const coti_conv c = coti_conv_of(COT_OP_CONV_DW, eval->node->attr, &x->shape, &g->shape);
    int64_t count = coti_tensor_count(eval->out), n_places = spatial_count(c.o);
    int64_t ci = c.cin / c.groups, co = c.cout / c.groups, image = spatial_count(c.x) * c.cin;
    for (int64_t i = 0; i < count; i++) {
        int64_t channel = i % c.cout, row = i / c.cout;
        const spatial k = spatial_index(row / ci, c.k);
        long double sum = 0;
        for (int64_t p = 0; p < n_places; p++) {
            const spatial o = spatial_index(p, c.o);
            spatial at;
            if (meeting_point(&c, &o, &k, &at)) {
                int64_t of_x = spatial_number(&at, c.x) * c.cin + channel / co * ci + row % ci;
                sum += inner(x, of_x, image, g, p * c.cout + channel, n_places * c.cout, c.batch);
            }
        }
        coti_tensor_set(eval->out, i, sum);
    }
    return COT_OK;
}
