/*
 * Gradient rule of the general product. With B the batch axes, K the contracted, M and J the free
 * axes of a and b, y[B,M,J] = sum_K a b, so
 *
 *     da[B,M,K] = sum_J g[B,M,J] b[B,J,K]      db[B,J,K] = sum_M g[B,M,J] a[B,M,K]
 *
 * Both are products again, over J and over M, read straight from where a, b and g lie: for the
 * dense layer x[N,k] w[k,m], dx contracts the last axes of g and w, and dw the rows of x and g,
 * without a transpose. Of the two orders of operands the rule takes the one whose result needs no
 * permutation; only mixed layouts need one. Rows that are free in one operand make it the first.
 * The requirements on a rule stand in vjp.h.
 */
#include "vjp.h"

/* The axes of one operand. */
typedef struct side {
    cot_shape shape;
    const int32_t *batch, *contract; /* in the node's order */
    int32_t n_batch, n_contract, n_free;
    int32_t free[COT_MAX_RANK]; /* ascending, as in the result */
    int32_t g_free;             /* where they begin in g */
    bool is_first;              /* operand a */
} side;

static side side_make(cot_shape shape, const coti_attr_AXES_type *batch,
                      const coti_attr_AXES_type *contract) {
    side s = {.shape = shape,
              .batch = batch->v,
              .contract = contract->v,
              .n_batch = batch->n,
              .n_contract = contract->n};
    bool is_used[COT_MAX_RANK] = {false};
    for (int32_t i = 0; i < batch->n; i++) {
        is_used[batch->v[i]] = true;
    }
    for (int32_t i = 0; i < contract->n; i++) {
        is_used[contract->v[i]] = true;
    }
    for (int32_t i = 0; i < shape.rank; i++) {
        if (!is_used[i]) {
            s.free[s.n_free++] = i;
        }
    }
    return s;
}

/* How many of the axes lie before `axis`: its place among them in ascending order. */
static int32_t place_of(const int32_t *axes, int32_t n, int32_t axis) {
    int32_t place = 0;
    for (int32_t i = 0; i < n; i++) {
        place += axes[i] < axis;
    }
    return place;
}

/*
 * Which axis of the product is axis i of `self`. The product's axes are the batch, then self's free
 * and other's contracted axes, both ascending, the former first when g is the first operand.
 */
static void trace_axes(const side *self, const side *other, bool g_first,
                       int32_t from[COT_MAX_RANK]) {
    int32_t free_at = self->n_batch + (g_first ? 0 : self->n_contract);
    int32_t contract_at = self->n_batch + (g_first ? self->n_free : 0);
    for (int32_t i = 0; i < self->n_batch; i++) {
        from[self->batch[i]] = i;
    }
    for (int32_t i = 0; i < self->n_free; i++) {
        from[self->free[i]] = free_at + i;
    }
    for (int32_t i = 0; i < self->n_contract; i++) {
        from[self->contract[i]] =
            contract_at + place_of(other->contract, other->n_contract, other->contract[i]);
    }
}

static bool is_identity(const int32_t *from, int32_t rank) {
    for (int32_t i = 0; i < rank; i++) {
        if (from[i] != i) {
            return false;
        }
    }
    return true;
}

static cot_value permute_to(cot_value x, const int32_t *from) {
    int32_t rank = cot_value_shape(x).rank;
    return is_identity(from, rank) ? x : cot_op_permute(x, from, rank);
}

/* Product of g and the other operand over the latter's free axes. */
static cot_value product(const coti_vjp *v, const side *self, const side *other, cot_value factor,
                         bool g_first) {
    cot_dot_axes axes = {.n_batch = self->n_batch, .n_contract = other->n_free};
    int32_t *g_batch = g_first ? axes.a_batch : axes.b_batch;
    int32_t *g_contract = g_first ? axes.a_contract : axes.b_contract;
    int32_t *f_batch = g_first ? axes.b_batch : axes.a_batch;
    int32_t *f_contract = g_first ? axes.b_contract : axes.a_contract;
    for (int32_t i = 0; i < self->n_batch; i++) {
        g_batch[i] = i;
        f_batch[i] = other->batch[i];
    }
    for (int32_t i = 0; i < other->n_free; i++) {
        g_contract[i] = other->g_free + i;
        f_contract[i] = other->free[i];
    }
    return g_first ? cot_op_dot(v->g, factor, &axes) : cot_op_dot(factor, v->g, &axes);
}

/* ---- rows contracted under batch axes ---- */

/* Append axes and the product of their extents. */
static int64_t append(int32_t *order, int32_t *n, const side *s, const int32_t *axes,
                      int32_t n_axes) {
    int64_t extent = 1;
    for (int32_t i = 0; i < n_axes; i++) {
        order[(*n)++] = axes[i];
        extent *= s->shape.dim[axes[i]];
    }
    return extent;
}

/*
 * The one product that no dot expresses: the batch axes lead a dot's result, but where the rows N
 * were contracted beside batch axes, N must lead the gradient. There it is multiplied out:
 *
 *     d self[K,B,M] = sum_J g[.,B,M,J] factor[K,B,.,J]      with N the first of K
 */
static cot_value multiply_out(const coti_vjp *v, const side *self, const side *other,
                              cot_value factor) {
    int32_t f_order[COT_MAX_RANK] = {0};
    int32_t s_order[COT_MAX_RANK] = {0};
    int32_t contract[COT_MAX_RANK] = {0};
    int32_t s_contract[COT_MAX_RANK] = {0};
    for (int32_t i = 0; i < other->n_contract; i++) {
        int32_t place = place_of(other->contract, other->n_contract, other->contract[i]);
        contract[place] = other->contract[i];
        s_contract[place] = self->contract[i];
    }
    int32_t n = 0;
    int64_t rows = append(f_order, &n, other, contract, other->n_contract);
    int64_t batch = append(f_order, &n, other, other->batch, other->n_batch);
    int64_t inner = append(f_order, &n, other, other->free, other->n_free);
    n = 0;
    append(s_order, &n, self, s_contract, self->n_contract);
    append(s_order, &n, self, self->batch, self->n_batch);
    int64_t outer = append(s_order, &n, self, self->free, self->n_free);

    cot_shape full = {.rank = 4, .batched = true, .dim = {rows, batch, outer, inner}};
    cot_shape f_shape = {.rank = 3, .batched = true, .dim = {rows, batch, inner}};
    cot_shape g_shape = {
        .rank = 3, .dim = {batch, self->is_first ? outer : inner, self->is_first ? inner : outer}};
    const int32_t f_axes[3] = {0, 1, 3};
    const int32_t g_axes[3] = {1, 2, 3};
    cot_value f = cot_op_reshape(permute_to(factor, f_order), f_shape);
    cot_value g = cot_op_reshape(v->g, g_shape);
    if (!self->is_first) {
        g = cot_op_permute(g, (const int32_t[3]){0, 2, 1}, 3);
    }
    cot_value terms =
        coti_make_mul(cot_op_broadcast(g, full, g_axes, 3), cot_op_broadcast(f, full, f_axes, 3));
    cot_value sum = cot_op_reduce(COT_OP_SUM, terms, &(int32_t){3}, 1, false);

    cot_shape split = {.rank = self->shape.rank, .batched = true};
    int32_t from[COT_MAX_RANK] = {0};
    for (int32_t i = 0; i < split.rank; i++) {
        split.dim[i] = self->shape.dim[s_order[i]];
        from[s_order[i]] = i;
    }
    return permute_to(cot_op_reshape(sum, split), from);
}

/* ---- the rule ---- */

/* The cotangent of operand `self`; `factor` is the other operand. */
static cot_value operand_cotangent(const coti_vjp *v, const side *self, const side *other,
                                   cot_value factor) {
    bool is_row_batch = self->n_batch > 0 && self->batch[0] == 0;
    if (self->shape.batched && self->n_batch > 0 && !is_row_batch) {
        return multiply_out(v, self, other, factor);
    }
    int32_t from[2][COT_MAX_RANK] = {{0}};
    trace_axes(self, other, false, from[false]);
    trace_axes(self, other, true, from[true]);
    bool g_first =
        is_identity(from[true], self->shape.rank) || !is_identity(from[false], self->shape.rank);
    if (self->shape.batched && !is_row_batch) {
        g_first = self->n_free > 0 && self->free[0] == 0; /* free rows are the first operand's */
    }
    return permute_to(product(v, self, other, factor, g_first), from[g_first]);
}

/* Reads each operand for the other. */
void coti_vjp_DOT(const coti_vjp *v, cot_value *grad) {
    const coti_attr_DOT *attr = v->node.attr;
    side a = side_make(cot_value_shape(v->input[0]), &attr->a_batch, &attr->a_contract);
    side b = side_make(cot_value_shape(v->input[1]), &attr->b_batch, &attr->b_contract);
    a.is_first = true;
    a.g_free = a.n_batch;
    b.g_free = a.n_batch + a.n_free;
    if (v->needs[0]) {
        grad[0] = operand_cotangent(v, &a, &b, v->input[1]);
    }
    if (v->needs[1]) {
        grad[1] = operand_cotangent(v, &b, &a, v->input[0]);
    }
}
