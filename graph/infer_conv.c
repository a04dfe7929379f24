/*
 * Inference of convolutions (conv.h): conv, and its two adjoints, which are told the extents that
 * their operands do not tell. All attributes are checked first, so that coti_conv_of may be asked
 * for the extents that must agree.
 */
#include "conv.h"
#include "infer.h"

/* One number for each of the n spatial axes, at least `least`. */
static cot_status check_list(const coti_infer *infer, const coti_attr_INTS_type *list, int32_t n,
                             int64_t least, const char *what) {
    if (list->n != n) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "%s has %d entries, expected one for each of %d "
                               "spatial axes",
                               what, list->n, n);
    }
    for (int32_t i = 0; i < n; i++) {
        if (list->v[i] < least || list->v[i] > COTI_SIZE_MAX) {
            return COTI_INFER_FAIL(
                infer, COT_E_SHAPE, "%s %lld of spatial axis %d must be %lld or more, %lld at most",
                what, (long long)list->v[i], i, (long long)least, (long long)COTI_SIZE_MAX);
        }
    }
    return COT_OK;
}

/* Operands of equal dtype and rank, of 1 to 3 spatial axes. */
static cot_status check_operands(const coti_infer *infer, int32_t *n_out) {
    const cot_shape *a = &coti_infer_in(infer, 0)->shape;
    const cot_shape *b = &coti_infer_in(infer, 1)->shape;
    int32_t n = a->rank - 2;
    COTI_TRY(coti_infer_same_dtype(infer, 0, 1));
    if (n < 1 || n > COTI_SPATIAL || b->rank != a->rank) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                               "operands must have the same rank, 3 to %d: a batch axis, 1 to %d "
                               "spatial axes, channels",
                               COTI_SPATIAL + 2, COTI_SPATIAL);
    }
    *n_out = n;
    return COT_OK;
}

static cot_status check_attributes(const coti_infer *infer, int32_t n, const coti_attr_CONV *attr) {
    COTI_TRY(check_list(infer, &attr->stride, n, 1, "stride"));
    COTI_TRY(check_list(infer, &attr->dilation, n, 1, "dilation"));
    COTI_TRY(check_list(infer, &attr->low, n, 0, "low"));
    COTI_TRY(check_list(infer, &attr->high, n, 0, "high"));
    if (attr->groups < 1 || attr->groups > COTI_SIZE_MAX) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%lld groups, expected 1 or more",
                               (long long)attr->groups);
    }
    return COT_OK;
}

/* The common attributes of the two that have a size too. */
static coti_attr_CONV without_size(const coti_attr_CONV_SIZED *attr) {
    return (coti_attr_CONV){.stride = attr->stride,
                            .dilation = attr->dilation,
                            .low = attr->low,
                            .high = attr->high,
                            .groups = attr->groups};
}

static cot_status check_weights(const coti_infer *infer, const cot_shape *w) {
    if (w->batched) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the kernel w cannot be batched");
    }
    for (int32_t i = 0; i < w->rank - 2; i++) {
        if (w->dim[i] < 1) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE, "the kernel w has no tap along axis %d", i);
        }
    }
    return COT_OK;
}

/* `channels` of operand `what` are so many for each group. */
static cot_status check_divisible(const coti_infer *infer, int64_t channels, int64_t groups,
                                  const char *what) {
    if (channels % groups != 0) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%lld channels of %s do not make %lld groups",
                               (long long)channels, what, (long long)groups);
    }
    return COT_OK;
}

/* Are padded extents, and the products of channels, within limits? */
static cot_status check_padded(const coti_infer *infer, const coti_conv *c) {
    for (int32_t i = 0; i < c->n; i++) {
        int64_t sum = 0;
        if (!coti_size_add(c->x[i], c->low[i], &sum) || !coti_size_add(sum, c->high[i], &sum)) {
            return COTI_INFER_FAIL(infer, COT_E_SHAPE,
                                   "spatial axis %d, padded by %lld and %lld, is too long", i,
                                   (long long)c->low[i], (long long)c->high[i]);
        }
    }
    return COT_OK;
}

/* g has the extents and the batch of this convolution's result. */
static cot_status check_result(const coti_infer *infer, const coti_conv *c, const cot_shape *g) {
    const cot_shape y = coti_conv_data_shape(c, c->o, c->cout);
    if (!coti_shape_equal(&y, g)) {
        char text[COTI_TYPE_BYTES];
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "g does not fit: that convolution gives %s",
                               coti_type_text(text, (cot_dtype)coti_infer_in(infer, 0)->dtype, &y));
    }
    return COT_OK;
}

/* x: f32|f64 [batch, x.., cin]; w: as x, [k.., cin / groups, cout]; result [batch, o.., cout]. */
cot_status coti_infer_CONV(coti_infer *infer) {
    const cot_shape *x = &coti_infer_in(infer, 0)->shape;
    const cot_shape *w = &coti_infer_in(infer, 1)->shape;
    const coti_attr_CONV *attr = infer->attr;
    int32_t n = 0;
    int64_t cin = 0;
    COTI_TRY(check_operands(infer, &n));
    COTI_TRY(check_attributes(infer, n, attr));
    COTI_TRY(check_weights(infer, w));
    COTI_TRY(check_divisible(infer, w->dim[n + 1], attr->groups, "the result"));
    if (!coti_size_mul(w->dim[n], attr->groups, &cin) || cin != x->dim[n + 1]) {
        return COTI_INFER_FAIL(
            infer, COT_E_SHAPE, "x has %lld channels, w takes %lld in each of %lld groups",
            (long long)x->dim[n + 1], (long long)w->dim[n], (long long)attr->groups);
    }
    const coti_conv c = coti_conv_of(infer->op, attr, x, w);
    COTI_TRY(check_padded(infer, &c));
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    infer->shape = coti_conv_data_shape(&c, c.o, c.cout);
    return COT_OK;
}

/* g: f32|f64 [batch, o.., cout]; w: as g, [k.., cin / groups, cout]; result [batch, size.., cin].
 */
cot_status coti_infer_CONV_DX(coti_infer *infer) {
    const cot_shape *g = &coti_infer_in(infer, 0)->shape;
    const cot_shape *w = &coti_infer_in(infer, 1)->shape;
    const coti_attr_CONV_SIZED *attr = infer->attr;
    const coti_attr_CONV plain = without_size(attr);
    int32_t n = 0;
    int64_t cin = 0;
    COTI_TRY(check_operands(infer, &n));
    COTI_TRY(check_attributes(infer, n, &plain));
    COTI_TRY(check_list(infer, &attr->size, n, 0, "size"));
    COTI_TRY(check_weights(infer, w));
    COTI_TRY(check_divisible(infer, w->dim[n + 1], attr->groups, "g"));
    if (!coti_size_mul(w->dim[n], attr->groups, &cin)) {
        return COTI_INFER_FAIL(infer, COT_E_SHAPE, "%lld groups of %lld channels are too many",
                               (long long)attr->groups, (long long)w->dim[n]);
    }
    const coti_conv c = coti_conv_of(infer->op, attr, g, w);
    COTI_TRY(check_padded(infer, &c));
    COTI_TRY(check_result(infer, &c, g));
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    infer->shape = coti_conv_data_shape(&c, c.x, c.cin);
    return COT_OK;
}

/* x: f32|f64 [batch, x.., cin]; g: as x, [batch, o.., cout]; result [size.., cin / groups, cout].
 */
cot_status coti_infer_CONV_DW(coti_infer *infer) {
    const cot_shape *x = &coti_infer_in(infer, 0)->shape;
    const cot_shape *g = &coti_infer_in(infer, 1)->shape;
    const coti_attr_CONV_SIZED *attr = infer->attr;
    const coti_attr_CONV plain = without_size(attr);
    int32_t n = 0;
    COTI_TRY(check_operands(infer, &n));
    COTI_TRY(check_attributes(infer, n, &plain));
    COTI_TRY(check_list(infer, &attr->size, n, 1, "size"));
    COTI_TRY(check_divisible(infer, x->dim[n + 1], attr->groups, "x"));
    COTI_TRY(check_divisible(infer, g->dim[n + 1], attr->groups, "g"));
    const coti_conv c = coti_conv_of(infer->op, attr, x, g);
    COTI_TRY(check_padded(infer, &c));
    COTI_TRY(check_result(infer, &c, g));
    infer->dtype = (cot_dtype)coti_infer_in(infer, 0)->dtype;
    infer->shape = coti_conv_weight_shape(&c);
    return COT_OK;
}
