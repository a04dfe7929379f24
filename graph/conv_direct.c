/*
 * Which convolutions have kernels of their own, and in which form (conv.h).
 *
 * Such a kernel is a product whose windows are addressed where they lie. It takes CONV and CONV_DW
 * of one or two spatial axes, of one group or of such as fit vectors, and CONV_DX: a CONV of the
 * cotangent, whose positions lie a stride apart, with the kernel turned. With several groups,
 * unless depthwise, or dilated, that becomes such a CONV indeed, of the cotangent among zeros. What
 * remains is decomposed: one tap and windows side by side, which a plain product reads in place,
 * rows of few positions, and few channels where those are the rows of a product.
 *
 * The order of every sum is the decomposition's: taps, then channels, or the places of all images.
 */
#include "conv.h"
#include "window.h"

enum {
    LEAST_POSITIONS = 4,  /* of an image's row: a product's rows are of one */
    MOST_BORDER = 8,      /* positions at each end of a row, whose windows stand out of x */
    WIDEST_VECTOR = 16,   /* elements */
    SHORT_GROUP = 8,      /* channels of a group of which a vector holds several */
    MOST_SPREAD = 4,      /* a tile has as many positions, or a multiple */
    LEAST_CHANNELS = 4,   /* of x, where they are the rows of a product, */
    MOST_ROW_OF_TAPS = 12 /* or else so many taps and channels together */
};

int32_t coti_conv_row_axis(const coti_conv *c) {
    bool is_column = c->n == 2 && c->x[1] == 1 && c->k[1] == 1 && c->o[1] == 1;
    return is_column ? 0 : c->n - 1;
}

void coti_conv_borders(const coti_conv_axis *axis, int64_t *first_out, int64_t *last_out) {
    /* The first position that begins within x; the first that ends behind it. */
    int64_t first = (axis->low + axis->stride - 1) / axis->stride;
    int64_t room = axis->x - 1 + axis->low - (axis->k - 1) * axis->dilation;
    int64_t end = room < 0 ? 0 : room / axis->stride + 1;
    first = first < axis->o ? first : axis->o;
    end = end < axis->o ? end : axis->o;
    *first_out = first;
    *last_out = axis->o - end;
}

static bool is_short_power(int64_t a) {
    return a >= 1 && a <= SHORT_GROUP && (a & (a - 1)) == 0;
}

/* Vectors of the result's channels lie within a group, or hold several whole ones (depthwise: each
 * lane is one), at any width of vectors. */
static bool groups_suit(const coti_conv *c) {
    const int64_t a = c->cin / c->groups, b = c->cout / c->groups;
    const bool within = b % WIDEST_VECTOR == 0;
    const bool whole = is_short_power(a) && is_short_power(b) &&
                       a * c->k[coti_conv_row_axis(c)] <= COTI_CONV_ROW_TERMS;
    return c->groups == 1 || (c->groups > 1 && (within || whole));
}

/* Are the windows' rows in reach? */
static bool in_reach(const coti_conv *c) {
    bool reach = c->n <= 2 && c->batch >= 1 && c->cin >= 1 && c->cout >= 1 && groups_suit(c);
    for (int32_t i = 0; i < c->n; i++) {
        reach = reach && c->o[i] >= 1 && c->x[i] >= 1;
    }
    return reach && c->o[coti_conv_row_axis(c)] >= LEAST_POSITIONS;
}

/* And are they worth a kernel of their own? */
static bool windows_suit(const coti_conv *c) {
    if (!in_reach(c)) {
        return false;
    }
    const int32_t row = coti_conv_row_axis(c);
    const bool one_tap = c->k[0] == 1 && c->k[1] == 1 && c->k[2] == 1;
    const bool side_by_side = c->groups == 1 && c->k[1 - row] == 1 && c->stride[row] == c->k[row] &&
                              c->dilation[row] == 1 && c->low[row] + c->high[row] == 0;
    return !one_tap && !side_by_side;
}

static bool borders_suit(const coti_conv *c) {
    const int32_t row = coti_conv_row_axis(c);
    int64_t first = 0, last = 0;
    const coti_conv_axis axis = {c->x[row],      c->k[row],        c->o[row],
                                 c->stride[row], c->dilation[row], c->low[row]};
    coti_conv_borders(&axis, &first, &last);
    return first <= MOST_BORDER && last <= MOST_BORDER;
}

static bool channels_suit(const coti_conv *c) {
    return c->groups > 1 || c->cin >= LEAST_CHANNELS ||
           c->cin * c->k[coti_conv_row_axis(c)] <= MOST_ROW_OF_TAPS;
}

static coti_conv of_node(const coti_node *node, const cot_shape *a, const cot_shape *b) {
    return coti_conv_of((cot_op)node->op, node->attr, a, b);
}

/* Is the cotangent read where it lies, and the kernel by strides, turned? */
static bool turning_suits(const coti_conv *c) {
    const coti_conv t = coti_conv_turned(c);
    bool suits = c->groups == 1 || coti_conv_is_depthwise(c), worth = false;
    for (int32_t i = 0; i < c->n; i++) {
        const bool spread = c->stride[i] > 1;
        suits = suits && c->o[i] > 0 &&
                (!spread || (c->dilation[i] == 1 && c->stride[i] <= MOST_SPREAD));
        worth = worth || spread || c->k[i] > 1;
    }
    return suits && worth && in_reach(&t) && borders_suit(&t);
}

bool coti_conv_is_direct(const coti_node *node, const cot_shape *a, const cot_shape *b) {
    if (node->op != COT_OP_CONV && node->op != COT_OP_CONV_DX && node->op != COT_OP_CONV_DW) {
        return false;
    }
    const coti_conv c = of_node(node, a, b);
    if (node->op == COT_OP_CONV_DX) {
        return turning_suits(&c);
    }
    return windows_suit(&c) && borders_suit(&c) && (node->op == COT_OP_CONV || channels_suit(&c));
}

/* x with zeros around the axis of rows, and none left to add: *c tells so. */
static cot_value pad_rows(cot_value x, coti_conv *c) {
    const int32_t row = coti_conv_row_axis(c);
    int64_t low[COT_MAX_RANK] = {0}, high[COT_MAX_RANK] = {0};
    low[row + 1] = c->low[row];
    high[row + 1] = c->high[row];
    c->x[row] += c->low[row] + c->high[row];
    c->low[row] = c->high[row] = 0;
    return cot_op_pad(x, low, high, 0.0);
}

coti_conv coti_conv_turned(const coti_conv *c) {
    coti_conv t = *c;
    t.cin = c->cout;
    t.cout = c->cin;
    for (int32_t i = 0; i < c->n; i++) {
        int64_t span = (c->k[i] - 1) * c->dilation[i];
        t.x[i] = (c->o[i] - 1) * c->stride[i] + 1;
        t.o[i] = c->x[i];
        t.stride[i] = 1;
        t.low[i] = span - c->low[i];
        t.high[i] = c->x[i] + span - t.low[i] - t.x[i];
    }
    return t;
}

/* g with stride - 1 zeros between its positions, and without those that no window meets. */
static cot_value dilate(cot_value g, const coti_conv *c, coti_conv *t) {
    int64_t at[COT_MAX_RANK] = {0};
    cot_shape shape = cot_value_shape(g);
    bool dilated = false, cropped = false;
    for (int32_t i = 0; i < c->n; i++) {
        dilated = dilated || (c->stride[i] > 1 && c->o[i] > 1);
        at[i + 1] = t->low[i] < 0 ? t->low[i] : 0;
        shape.dim[i + 1] = t->x[i] + at[i + 1] + (t->high[i] < 0 ? t->high[i] : 0);
        cropped = cropped || shape.dim[i + 1] != t->x[i];
        t->x[i] = shape.dim[i + 1];
        t->low[i] = t->low[i] < 0 ? 0 : t->low[i];
        t->high[i] = t->high[i] < 0 ? 0 : t->high[i];
    }
    for (int32_t i = 0; i < c->n && dilated; i++) {
        g = c->o[i] > 1 ? coti_dilate(g, i + 1, c->stride[i]) : g;
    }
    return dilated || cropped ? coti_place(g, at, shape.dim) : g;
}

cot_value coti_conv_turn_weights(cot_value w, const coti_conv *c) {
    static const int32_t flipped[COTI_SPATIAL] = {0, 1, 2};
    cot_shape split = coti_conv_weight_shape(c), turned = split;
    int32_t order[COT_MAX_RANK];
    for (int32_t i = 0; i < c->n; i++) {
        order[i] = i;
    }
    order[c->n] = c->n + 2;
    order[c->n + 1] = c->n + 1;
    order[c->n + 2] = c->n;
    split.rank = c->n + 3;
    split.dim[c->n + 1] = c->groups;
    split.dim[c->n + 2] = c->cout / c->groups;
    turned.dim[c->n] = c->cout / c->groups;
    turned.dim[c->n + 1] = c->cin;
    w = cot_op_reshape(cot_op_flip(w, flipped, c->n), split);
    return cot_op_reshape(cot_op_permute(w, order, split.rank), turned);
}

/* The rows of x are few where nothing is left of them: then there is no product. */
static bool any_crop_is_empty(const coti_conv *t) {
    bool empty = false;
    for (int32_t i = 0; i < t->n; i++) {
        int64_t low = t->low[i] < 0 ? t->low[i] : 0, high = t->high[i] < 0 ? t->high[i] : 0;
        empty = empty || t->x[i] + low + high < 1;
    }
    return empty;
}

bool coti_conv_direct(const coti_node *node, const cot_value *input, cot_value *result_out) {
    const cot_shape a = cot_value_shape(input[0]), b = cot_value_shape(input[1]);
    coti_conv c = of_node(node, &a, &b);
    if (node->op == COT_OP_CONV_DX) {
        coti_conv t = coti_conv_turned(&c);
        if (c.o[0] < 1 || c.o[1] < 1 || !windows_suit(&t) || any_crop_is_empty(&t)) {
            return false;
        }
        cot_value g = dilate(input[0], &c, &t);
        const cot_conv_axes axes = coti_conv_axes_of(&t);
        *result_out = cot_op_conv(g, coti_conv_turn_weights(input[1], &c), &axes);
        return true;
    }
    if (!windows_suit(&c) || (node->op == COT_OP_CONV_DW && !channels_suit(&c))) {
        return false;
    }
    cot_value x = borders_suit(&c) ? input[0] : pad_rows(input[0], &c);
    const cot_conv_axes axes = coti_conv_axes_of(&c);
    *result_out = node->op == COT_OP_CONV ? cot_op_conv(x, input[1], &axes)
                                          : cot_op_conv_dw(x, input[1], c.k, &axes);
    return true;
}
