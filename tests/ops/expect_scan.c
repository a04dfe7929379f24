/*
 * SCAN on the bodies of tests/support/scan_case.c that need no more than a line: every element of
 * the carries by itself, by a loop over the steps, rounded after each operation.
 */
#include "op_case.h"

/* One step of the body: the new carry, and what it stacks. */
static void step(const trial *t, long double c, long double x, long double k, long double *after,
                 long double stacked[2]) {
    if (attr_is(t->attr, "body", "delay")) {
        *after = x;
        stacked[0] = c;
    } else if (attr_is(t->attr, "body", "sum")) {
        *after = round_to(t->dtype, c + x);
        stacked[0] = *after;
    } else { /* affine */
        *after = round_to(t->dtype, round_to(t->dtype, c * k) + x);
        stacked[0] = c;
        stacked[1] = round_to(t->dtype, x * c);
    }
}

/* Element i of the carries, whose sequence begins at x and goes on every `stride` elements. */
static void run(const trial *t, const tensor *x, int64_t i, int64_t at, int64_t steps,
                int64_t stride, tensor *out) {
    const int64_t result = attr_int(t->attr, "result", 0);
    const int64_t n_stacks = attr_is(t->attr, "body", "affine") ? 2 : 1;
    const bool reverse = attr_int(t->attr, "reverse", 0) != 0;
    long double c = x[0].v[i], stacked[2] = {0};
    for (int64_t n = 0; n < steps; n++) {
        const int64_t place = at + (reverse ? steps - 1 - n : n) * stride;
        long double before = c;
        step(t, before, x[1].v[place], t->n > 2 ? x[2].v[i] : 0, &c, stacked);
        if (result > n_stacks) {
            out->v[place] = before;
        } else if (result > 0) {
            out->v[place] = stacked[result - 1];
        }
    }
    if (result == 0) {
        out->v[i] = c;
    }
}

tensor expect_scan(pool *p, const trial *t, const tensor *x, tensor *magnitude_out) {
    (void)magnitude_out;
    const cot_shape *shape = attr_int(t->attr, "result", 0) == 0 ? &x[0].shape : &x[1].shape;
    const int64_t n_rows = t->shape[0].batched ? x[0].shape.dim[0] : 1;
    const int64_t steps = x[1].shape.dim[t->shape[0].batched ? 1 : 0];
    const int64_t inner = n_rows > 0 ? x[0].count / n_rows : 0;
    tensor out = tensor_make(p, t->dtype, shape, 1);
    for (int64_t row = 0; row < n_rows; row++) {
        for (int64_t j = 0; j < inner; j++) {
            run(t, x, row * inner + j, row * steps * inner + j, steps, inner, &out);
        }
    }
    return out;
}
