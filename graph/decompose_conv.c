/*
 * Decompositions of convolutions (decompose.h, conv.h): a product of windows.
 *
 * Of one group, a dot of the windows [batch, o.., k.., cin], contracting all of the taps k and the
 * channels. Of more groups, whose products a dot could only make with the groups before the batch,
 * the terms are written out along [batch, o.., k.., a, group, b], where the group's own channels
 * are a in what is windowed and b in the result, and summed over k and a, or for the kernel's part
 * over batch and o: the channels stay innermost, windows are read where they are, and neither they
 * nor the products reach memory.
 *
 * conv_dx is a convolution too: of g, dilated by the stride and in the midst of zeros, with the
 * kernel flipped and its channels exchanged.
 */
#include "conv.h"
#include "decompose.h"
#include "window.h"

#include <string.h>

/* ---- windows ---- */

/* x with its spatial axes padded by zeros. */
static cot_value pad_spatial(cot_value x, const coti_conv *c) {
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    bool any = false;
    for (int32_t i = 0; i < c->n; i++) {
        low[i + 1] = c->low[i];
        high[i + 1] = c->high[i];
        any = any || low[i + 1] != 0 || high[i + 1] != 0;
    }
    return any ? cot_op_pad(x, low, high, 0.0) : x;
}

/* [batch, o.., k.., cin] */
static cot_value windows_of_x(cot_value x, const coti_conv *c) {
    return cot_op_window(pad_spatial(x, c), 1, c->n, c->k, c->stride, c->dilation);
}

/*
 * g with stride-1 zeros behind each position: as reshapes around one pad of axes of extent 1, so
 * that a compiler copies it once. A single position has no neighbour to keep away from.
 */
static cot_value dilate_places(cot_value g, const coti_conv *c) {
    cot_shape result = cot_value_shape(g);
    cot_shape open = {.rank = 1, .batched = result.batched, .dim = {result.dim[0]}};
    int64_t low[COT_MAX_RANK] = {0};
    int64_t high[COT_MAX_RANK] = {0};
    for (int32_t i = 0; i < c->n; i++) {
        open.dim[open.rank++] = result.dim[i + 1];
        if (c->stride[i] > 1 && c->o[i] > 1) {
            high[open.rank] = c->stride[i] - 1;
            open.dim[open.rank++] = 1;
            result.dim[i + 1] *= c->stride[i];
        }
    }
    open.dim[open.rank++] = c->cout;
    if (open.rank == result.rank) {
        return g;
    }
    return cot_op_reshape(cot_op_pad(cot_op_reshape(g, open), low, high, 0.0), result);
}

/*
 * g where the windows of x's elements meet it, [batch, x.., k.., cout]: element x meets tap k of
 * the flipped kernel at x + (low - (size - 1) dilation) + k dilation of g dilated by the stride.
 */
static cot_value windows_of_g(cot_value g, const coti_conv *c) {
    static const int64_t ones[COTI_SPATIAL] = {1, 1, 1};
    int64_t at[COT_MAX_RANK] = {0};
    cot_shape whole = cot_value_shape(g);
    for (int32_t i = 0; i < c->n; i++) {
        int64_t span = (c->k[i] - 1) * c->dilation[i];
        at[i + 1] = span - c->low[i];
        whole.dim[i + 1] = c->x[i] + span;
    }
    g = coti_place(dilate_places(g, c), at, whole.dim);
    return cot_op_window(g, 1, c->n, c->k, ones, c->dilation);
}

/* w with its taps in reverse order. */
static cot_value flip_taps(cot_value w, const coti_conv *c) {
    static const int32_t axes[COTI_SPATIAL] = {0, 1, 2};
    return cot_op_flip(w, axes, c->n);
}

/* ---- one group ---- */

/* Windows [batch, .., k.., channels] by w [k.., channels, rest], or [k.., rest, channels]. */
static cot_value dot_taps(cot_value windows, cot_value w, const coti_conv *c, bool channels_last) {
    cot_dot_axes axes = {.n_contract = c->n + 1};
    for (int32_t i = 0; i < c->n; i++) {
        axes.a_contract[i] = 1 + c->n + i;
        axes.b_contract[i] = i;
    }
    axes.a_contract[c->n] = 1 + 2 * c->n;
    axes.b_contract[c->n] = channels_last ? c->n + 1 : c->n;
    return cot_op_dot(windows, w, &axes);
}

/* Windows [batch, o.., k.., cin] by g [batch, o.., cout], over batch and positions. */
static cot_value dot_places(cot_value windows, cot_value g, const coti_conv *c) {
    cot_dot_axes axes = {.n_contract = c->n + 1};
    for (int32_t i = 0; i <= c->n; i++) {
        axes.a_contract[i] = axes.b_contract[i] = i;
    }
    return cot_op_dot(windows, g, &axes);
}

/* ---- more groups ---- */

/*
 * The axes of the terms: batch, places, taps, a, group, b. Of three spatial axes they are too many:
 * then a and b go where both are 1, and else all taps become one axis, which costs a copy of the
 * windows.
 */
typedef struct group_terms {
    int32_t n_places, n_taps;
    int32_t n_a; /* axes of a, and of b: 1, or 0 */
    cot_shape shape;
} group_terms;

static group_terms terms_of(const coti_conv *c, const int64_t *places, int64_t a, int64_t b) {
    group_terms t = {.n_places = c->n, .n_taps = c->n, .n_a = 1};
    bool too_many = 2 * c->n + 4 > COT_MAX_RANK;
    if (too_many && a == 1 && b == 1) {
        t.n_a = 0;
    } else if (too_many) {
        t.n_taps = 1;
    }
    t.shape = coti_conv_data_shape(c, places, 0);
    t.shape.rank = 1 + c->n;
    for (int32_t i = 0; i < t.n_taps; i++) {
        t.shape.dim[t.shape.rank + i] = c->k[i];
    }
    if (t.n_taps < c->n) {
        t.shape.dim[t.shape.rank] = c->k[0] * c->k[1] * c->k[2];
    }
    t.shape.rank += t.n_taps;
    if (t.n_a > 0) {
        t.shape.dim[t.shape.rank++] = a;
    }
    t.shape.dim[t.shape.rank++] = c->groups;
    if (t.n_a > 0) {
        t.shape.dim[t.shape.rank++] = b;
    }
    return t;
}

/* x, whose axes are the terms' from axis `first` on but for `skipped` ones, repeated along the
 * others. */
static cot_value spread(cot_value x, const group_terms *t, int32_t first, int32_t skip_from,
                        int32_t skip_to) {
    int32_t axes[COT_MAX_RANK];
    int32_t n = 0;
    for (int32_t i = first; i < t->shape.rank; i++) {
        if (i < skip_from || i >= skip_to) {
            axes[n++] = i;
        }
    }
    return cot_op_broadcast(x, t->shape, axes, n);
}

/* Exchange the last two axes. */
static cot_value exchange_last(cot_value x) {
    cot_shape shape = cot_value_shape(x);
    int32_t axes[COT_MAX_RANK];
    for (int32_t i = 0; i < shape.rank; i++) {
        axes[i] = i < shape.rank - 2 ? i : 2 * shape.rank - 3 - i;
    }
    return cot_op_permute(x, axes, shape.rank);
}

/* Windows [batch, places.., taps.., group a] as terms. */
static cot_value spread_windows(cot_value windows, const group_terms *t) {
    int32_t rank = t->shape.rank;
    cot_shape split = t->shape;
    if (t->n_a == 0) {
        return windows;
    }
    split.rank = rank - 1;
    split.dim[rank - 3] = t->shape.dim[rank - 2];
    split.dim[rank - 2] = t->shape.dim[rank - 3];
    cot_value x = exchange_last(cot_op_reshape(windows, split));
    return spread(x, t, 0, rank - 1, rank);
}

/* A kernel [k.., a, group b], or [k.., b, group a] with `exchanged`, as terms. */
static cot_value spread_kernel(cot_value w, const group_terms *t, bool exchanged) {
    const int32_t first = 1 + t->n_places, last = t->shape.rank - 1;
    const bool swaps = exchanged && t->n_a > 0;
    cot_shape split = {.rank = 0};
    for (int32_t i = first; i <= last; i++) {
        int32_t from = swaps && i >= last - 2 ? 2 * last - 2 - i : i; /* b, group, a */
        split.dim[split.rank++] = t->shape.dim[from];
    }
    w = cot_op_reshape(w, split);
    if (swaps) {
        int32_t axes[COT_MAX_RANK];
        for (int32_t i = 0; i < split.rank; i++) {
            axes[i] = i < t->n_taps ? i : 2 * t->n_taps + 2 - i;
        }
        w = cot_op_permute(w, axes, split.rank);
    }
    return spread(w, t, first, 0, 0);
}

/* g [batch, places.., group b] as terms. */
static cot_value spread_places(cot_value g, const group_terms *t) {
    int32_t rank = t->shape.rank;
    int32_t n_kept = 1 + t->n_places;
    cot_shape split = t->shape;
    split.rank = n_kept + 1 + t->n_a;
    split.dim[n_kept] = t->shape.dim[rank - 1 - t->n_a];
    if (t->n_a > 0) {
        split.dim[n_kept + 1] = t->shape.dim[rank - 1];
    }
    return spread(cot_op_reshape(g, split), t, 0, n_kept, rank - 1 - t->n_a);
}

/*
 * The sum of products of terms over n axes from `first` on, as the node's shape. Over the longest
 * of them first and alone: a reduction of one axis makes the products where it needs them, so that
 * only its sums reach memory. Where the batch is summed it comes last, for its rows may be in many
 * parts.
 */
static cot_value sum_terms(cot_value a, cot_value b, int32_t first, int32_t n,
                           const coti_node *node) {
    cot_value terms = cot_op_binary(COT_OP_MUL, a, b);
    cot_shape shape = cot_value_shape(terms);
    int32_t longest = first + n - 1;
    int32_t rest[COT_MAX_RANK];
    for (int32_t i = first + n - 2; i >= first && i > 0; i--) {
        longest = shape.dim[i] > shape.dim[longest] ? i : longest;
    }
    for (int32_t i = 0; i < n - 1; i++) {
        rest[i] = first + i;
    }
    cot_value sum = cot_op_reduce(COT_OP_SUM, terms, &longest, 1, false);
    sum = n > 1 ? cot_op_reduce(COT_OP_SUM, sum, rest, n - 1, false) : sum;
    return cot_op_reshape(sum, node->shape);
}

/* ---- the rules ---- */

/* No position: then windows may be larger than any tensor. */
static bool has_no_place(const coti_conv *c) {
    return c->o[0] == 0 || c->o[1] == 0 || c->o[2] == 0;
}

static coti_conv extents(const coti_node *node, const cot_value *input) {
    cot_shape a = cot_value_shape(input[0]);
    cot_shape b = cot_value_shape(input[1]);
    return coti_conv_of((cot_op)node->op, node->attr, &a, &b);
}

cot_value coti_decompose_CONV(const coti_node *node, const cot_value *input) {
    const coti_conv c = extents(node, input);
    if (has_no_place(&c)) {
        return coti_zeros(input[0], node->shape);
    }
    cot_value windows = windows_of_x(input[0], &c);
    if (c.groups == 1) {
        return dot_taps(windows, input[1], &c, false);
    }
    const group_terms t = terms_of(&c, c.o, c.cin / c.groups, c.cout / c.groups);
    return sum_terms(spread_windows(windows, &t), spread_kernel(input[1], &t, false),
                     1 + t.n_places, t.n_taps + t.n_a, node);
}

cot_value coti_decompose_CONV_DX(const coti_node *node, const cot_value *input) {
    const coti_conv c = extents(node, input);
    if (has_no_place(&c)) {
        return coti_zeros(input[0], node->shape);
    }
    cot_value windows = windows_of_g(input[0], &c);
    cot_value w = flip_taps(input[1], &c);
    if (c.groups == 1) {
        return dot_taps(windows, w, &c, true);
    }
    const group_terms t = terms_of(&c, c.x, c.cout / c.groups, c.cin / c.groups);
    return sum_terms(spread_windows(windows, &t), spread_kernel(w, &t, true), 1 + t.n_places,
                     t.n_taps + t.n_a, node);
}

cot_value coti_decompose_CONV_DW(const coti_node *node, const cot_value *input) {
    const coti_conv c = extents(node, input);
    if (has_no_place(&c)) {
        return coti_zeros(input[0], node->shape);
    }
    cot_value windows = windows_of_x(input[0], &c);
    if (c.groups == 1) {
        return dot_places(windows, input[1], &c);
    }
    const group_terms t = terms_of(&c, c.o, c.cin / c.groups, c.cout / c.groups);
    return sum_terms(spread_windows(windows, &t), spread_places(input[1], &t), 0, 1 + t.n_places,
                     node);
}
