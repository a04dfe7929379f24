/*
 * Expected results of convolutions: every term x[b, o * stride + k * dilation - low, ci] w[k, ci,
 * co] g[b, o, co] is visited once, and the product of the two that are given added to the third.
 */
#include "op_case.h"

#include <math.h>

enum { SPATIAL = 3 };

/* One convolution: x [b, x.., cin], w [k.., cin / groups, cout], y [b, o.., cout]. */
typedef struct conv {
    int32_t n;
    int64_t size[SPATIAL], stride[SPATIAL], dilation[SPATIAL], low[SPATIAL], high[SPATIAL];
    int64_t groups;
    cot_shape x, w, y;
} conv;

static void read_option(const trial *t, const char *key, int64_t otherwise, int64_t v[SPATIAL]) {
    int64_t list[COT_MAX_RANK];
    int32_t n = 0;
    bool given = attr_ints(t->attr, key, list, &n);
    for (int32_t i = 0; i < SPATIAL; i++) {
        v[i] = given && i < n ? list[i] : otherwise;
    }
}

/* Positions, counted one by one. */
static int64_t count_positions(const conv *c, int32_t i) {
    int64_t n = 0, reach = (c->w.dim[i] - 1) * c->dilation[i];
    while (n * c->stride[i] + reach < c->low[i] + c->x.dim[i + 1] + c->high[i]) {
        n++;
    }
    return n;
}

static conv read_conv(const trial *t, const tensor *a, const tensor *b) {
    conv c = {.n = a->shape.rank - 2, .groups = attr_int(t->attr, "groups", 1)};
    read_option(t, "size", 0, c.size);
    read_option(t, "stride", 1, c.stride);
    read_option(t, "dilation", 1, c.dilation);
    read_option(t, "low", 0, c.low);
    read_option(t, "high", 0, c.high);
    int32_t last = c.n + 1;
    c.x = c.w = c.y = a->shape;
    if (t->op == COT_OP_CONV) {
        c.w = b->shape;
    } else if (t->op == COT_OP_CONV_DX) {
        c.w = b->shape;
        c.x.dim[last] = b->shape.dim[c.n] * c.groups;
    } else {
        c.y = b->shape;
        c.w.dim[c.n] = a->shape.dim[last] / c.groups;
        c.w.dim[last] = b->shape.dim[last];
    }
    for (int32_t i = 0; i < c.n; i++) {
        c.x.dim[i + 1] = t->op == COT_OP_CONV_DX ? c.size[i] : c.x.dim[i + 1];
        c.w.dim[i] = t->op == COT_OP_CONV_DW ? c.size[i] : c.w.dim[i];
        c.y.dim[i + 1] = count_positions(&c, i);
    }
    c.y.dim[last] = c.w.dim[last];
    return c;
}

/* One term: where it stands in x, w and y; false: in the padding. */
static bool term(const conv *c, const int64_t *y, const int64_t *w, int64_t *x) {
    bool inside = true;
    x[0] = y[0];
    for (int32_t i = 0; i < c->n; i++) {
        x[i + 1] = y[i + 1] * c->stride[i] + w[i] * c->dilation[i] - c->low[i];
        inside = inside && x[i + 1] >= 0 && x[i + 1] < c->x.dim[i + 1];
    }
    int64_t group = w[c->n + 1] / (c->w.dim[c->n + 1] / c->groups);
    x[c->n + 1] = group * c->w.dim[c->n] + w[c->n];
    return inside && y[c->n + 1] == w[c->n + 1];
}

/* What is given, and the sums: one of them has no operand. */
typedef struct parts {
    const tensor *x, *w, *y;
    tensor *out, *magnitude;
} parts;

static void add_term(const parts *p, int64_t x, int64_t w, int64_t y) {
    long double product = (p->x != NULL ? p->x->v[x] : 1) * (p->w != NULL ? p->w->v[w] : 1) *
                          (p->y != NULL ? p->y->v[y] : 1);
    int64_t at = p->x == NULL ? x : p->w == NULL ? w : y;
    p->out->v[at] += product;
    p->magnitude->v[at] += fabsl(product);
}

tensor expect_conv(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    const conv c = read_conv(t, &x[0], &x[1]);
    const tensor like_x = tensor_make(p, t->dtype, &c.x, 1);
    const tensor like_w = tensor_make(p, t->dtype, &c.w, 1);
    const tensor like_y = tensor_make(p, t->dtype, &c.y, 1);
    const cot_shape *shape = t->op == COT_OP_CONV ? &c.y : t->op == COT_OP_CONV_DX ? &c.x : &c.w;
    tensor out = tensor_make(p, t->dtype, shape, 1);
    *magnitude_out = tensor_make(p, t->dtype, shape, 1);
    const parts all = {.x = t->op == COT_OP_CONV_DX ? NULL : &x[0],
                       .w = t->op == COT_OP_CONV_DW ? NULL : &x[1],
                       .y = t->op == COT_OP_CONV      ? NULL
                            : t->op == COT_OP_CONV_DX ? &x[0]
                                                      : &x[1],
                       .out = &out,
                       .magnitude = magnitude_out};
    for (int64_t i = 0; i < like_y.count; i++) {
        int64_t of_y[COT_MAX_RANK], of_w[COT_MAX_RANK], of_x[COT_MAX_RANK];
        tensor_index(&like_y, i, of_y);
        for (int64_t j = 0; j < like_w.count; j++) {
            tensor_index(&like_w, j, of_w);
            if (term(&c, of_y, of_w, of_x)) {
                add_term(&all, tensor_at(&like_x, of_x), j, i);
            }
        }
    }
    return out;
}
