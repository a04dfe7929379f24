/*
 * The evaluator's word on one node, with the tolerance that the node's operands call for: sums and
 * products are held to the sum of their terms' magnitudes, everything else to the op's own case.
 */
#include "graph/graph.h"

#include "differential.h"

#include <float.h>
#include <math.h>

enum { MOST_INPUTS = 64 };

static tensor to_tensor(pool *p, const coti_tensor *x) {
    return tensor_read(p, x->dtype, &x->shape, 1, x->data);
}

/* Terms of one sum of the node. */
static double terms_of(const coti_node *node, const tensor *input, const tensor *out) {
    if (node->op == COT_OP_DOT) {
        const coti_attr_DOT *attr = node->attr;
        double terms = 1;
        for (int32_t i = 0; i < attr->a_contract.n; i++) {
            terms *= (double)input->shape.dim[attr->a_contract.v[i]];
        }
        return terms;
    }
    if (node->op == COT_OP_CONV || node->op == COT_OP_CONV_DX || node->op == COT_OP_CONV_DW) {
        /* Of the kernel's elements, all but the channels of the result; of the cotangent's, too. */
        const cot_shape *w = &input[1].shape;
        const int32_t kept = node->op == COT_OP_CONV_DX ? w->rank - 2 : w->rank - 1;
        int64_t apart = w->dim[kept];
        if (node->op == COT_OP_CONV_DX) {
            apart *= ((const coti_attr_CONV_SIZED *)node->attr)->groups;
        }
        return apart > 0 ? (double)input[1].count / (double)apart : 1;
    }
    return out->count > 0 ? (double)input->count / (double)out->count : 1;
}

/* What the evaluator makes of operands that `turn` has turned into others. */
static tensor evaluate_turned(pool *p, cot_context *context, const coti_node *node,
                              const tensor *operand, int64_t rows, const coti_tensor *out,
                              long double (*turn)(long double x)) {
    coti_tensor input[MOST_INPUTS], sum = *out;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        tensor x = tensor_make(p, operand[i].dtype, &operand[i].shape, 1);
        for (int64_t e = 0; e < x.count; e++) {
            bool real = x.dtype == COT_F32 || x.dtype == COT_F64; /* else it says where */
            x.v[e] = real ? turn(operand[i].v[e]) : operand[i].v[e];
        }
        input[i] = (coti_tensor){x.dtype, x.shape, tensor_bytes(p, &x)};
    }
    tensor room = tensor_make(p, out->dtype, &out->shape, 1);
    sum.data = tensor_bytes(p, &room);
    (void)coti_eval_node(context, node, input, rows, &sum);
    return to_tensor(p, &sum);
}

static long double growth(long double x) {
    return fabsl(x) > 1 ? fabsl(x) : 1;
}

static long double shrinkage(long double x) {
    return x != 0 && fabsl(x) < 1 ? 1 / fabsl(x) : 1;
}

/* How far the parts of a product may get from 1, up or down: beyond f32's range, its own f32 parts
 * overflow or vanish on the way. */
static tensor product_range(pool *p, cot_context *context, const coti_node *node,
                            const tensor *operand, int64_t rows, const coti_tensor *out) {
    tensor up = evaluate_turned(p, context, node, operand, rows, out, growth);
    tensor down = evaluate_turned(p, context, node, operand, rows, out, shrinkage);
    for (int64_t i = 0; i < up.count; i++) {
        up.v[i] += down.v[i];
    }
    return up;
}

/* sum |t| (1 + |log p|): what rounding errors of a cross-entropy are proportional to. */
static tensor entropy_magnitude(pool *p, const tensor *operand, const tensor *out) {
    tensor sum = tensor_make(p, out->dtype, &out->shape, 1);
    int64_t n = operand[1].shape.dim[operand[1].shape.rank - 1];
    for (int64_t r = 0; r < out->count; r++) {
        long double max = -INFINITY, total = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            max = fmaxl(max, operand[1].v[i]);
        }
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            total += expl(operand[1].v[i] - max);
        }
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            sum.v[r] +=
                fabsl(operand[0].v[i]) * (1 + fabsl(operand[1].v[i] - max) + fabsl(logl(total)));
        }
    }
    return sum;
}

/* Elements that are normalised together. */
static double part_elements(const coti_node *node, const tensor *x) {
    int64_t channels = x->shape.dim[x->shape.rank - 1];
    if (node->op == COT_OP_GROUP_NORM) {
        const coti_attr_GROUPS *attr = node->attr;
        return (double)x->count / (double)(x->shape.dim[0] * attr->groups);
    }
    return node->op == COT_OP_BATCH_NORM ? (double)(x->count / channels) : (double)channels;
}

/* |scale| sqrt(d) + |offset|, as no normalised element is beyond sqrt(d): what a normalisation's
 * rounding errors are proportional to. Infinite where squares overflow. */
static tensor norm_magnitude(pool *p, const coti_node *node, const tensor *operand,
                             const tensor *out) {
    tensor bound = tensor_make(p, out->dtype, &out->shape, 1);
    double d = part_elements(node, &operand[0]);
    long double largest = 0;
    for (int64_t i = 0; i < out->count; i++) {
        largest = fmaxl(largest, isfinite(operand[0].v[i]) ? fabsl(operand[0].v[i]) : 0);
    }
    for (int64_t i = 0; i < out->count; i++) {
        int64_t channel = i % operand[1].count;
        bound.v[i] = fabsl(operand[1].v[channel]) * sqrtl(d);
        bound.v[i] += node->n_inputs == 3 ? fabsl(operand[2].v[channel]) : 0;
        bound.v[i] = largest * largest * d < FLT_MAX / 8 ? bound.v[i] : INFINITY;
    }
    return bound;
}

/*
 * The largest |v| in reach times 1 + twice the largest sum of |terms| of a score: what the rounding
 * errors of attention are proportional to. One number for all; infinite where scores overflow.
 */
static tensor attention_magnitude(pool *p, const coti_node *node, const tensor *operand,
                                  const tensor *out) {
    const coti_attr_ATTENTION *attr = node->attr;
    tensor bound = tensor_make(p, out->dtype, &out->shape, 1);
    long double largest[3] = {0, 0, 0};
    for (int32_t i = 0; i < 3; i++) {
        for (int64_t e = 0; e < operand[i].count; e++) {
            long double x = fabsl(operand[i].v[e]);
            largest[i] = isfinite(x) ? fmaxl(largest[i], x) : INFINITY;
        }
    }
    long double d = (long double)operand[0].shape.dim[operand[0].shape.rank - 1];
    long double score = largest[0] * largest[1] * d * fmaxl(1, fabsl(attr->scale));
    for (int64_t i = 0; i < out->count; i++) {
        bound.v[i] = score < FLT_MAX / 8 ? largest[2] * (1 + 2 * score) : INFINITY;
    }
    return bound;
}

/* Below the smallest normal number roundings do not shrink further. */
static void add_least(tensor *magnitude) {
    for (int64_t i = 0; i < magnitude->count; i++) {
        magnitude->v[i] += magnitude->dtype == COT_F32 ? FLT_MIN : DBL_MIN;
    }
}

/* Where f32 sums may overflow on the way and the evaluator's wider ones do not: anything goes. */
static void forgive_overflow(const tensor *got, const tensor *magnitude, tensor *want) {
    for (int64_t i = 0; i < want->count; i++) {
        if (!(magnitude->v[i] < FLT_MAX / 8)) {
            want->v[i] = got->v[i];
        }
    }
}

/* Whether padding meets infinite weights, and makes NaN of them, is not said of convolutions. */
static bool is_unsaid(const coti_node *node, const tensor *operand) {
    bool is_conv =
        node->op == COT_OP_CONV || node->op == COT_OP_CONV_DX || node->op == COT_OP_CONV_DW;
    for (int32_t i = 0; is_conv && i < node->n_inputs; i++) {
        for (int64_t e = 0; e < operand[i].count; e++) {
            if (!isfinite(operand[i].v[e])) {
                return true;
            }
        }
    }
    return false;
}

const char *node_check(char why[256], pool *p, const coti_node *node, const coti_tensor *input,
                       const coti_tensor *got_raw, int64_t rows, cot_context *context) {
    coti_tensor out = *got_raw;
    tensor operand[MOST_INPUTS], magnitude = {.v = NULL};
    tensor got = to_tensor(p, got_raw);
    tolerance tol = first_case((cot_op)node->op)->jit;
    for (int32_t i = 0; i < node->n_inputs && i < MOST_INPUTS; i++) {
        operand[i] = to_tensor(p, &input[i]);
    }
    out.data = tensor_bytes(p, &got);
    if (node->n_inputs > MOST_INPUTS ||
        coti_eval_node(context, node, input, rows, &out) != COT_OK) {
        return cot_error_message(context);
    }
    if (is_unsaid(node, operand)) {
        return NULL;
    }
    tensor want = to_tensor(p, &out);
    tol.any_zero = true;
    if (tol.kind == TOL_ABS_SUM || node->op == COT_OP_SUM) {
        bool scatters = node->op == COT_OP_SCATTER_ADD; /* all updates may go to one place */
        double terms = scatters ? (double)operand[1].count : terms_of(node, &operand[0], &got);
        terms = node->op == COT_OP_CUMSUM ? 16 : terms; /* levels of at most 2^16 elements */
        magnitude = evaluate_turned(p, context, node, operand, rows, got_raw, fabsl); /* |terms| */
        tol = (tolerance)ABS_SUM(terms + 4);
    } else if (node->op == COT_OP_PROD) {
        magnitude = product_range(p, context, node, operand, rows, got_raw);
        tol = (tolerance)ULP(terms_of(node, &operand[0], &got));
    } else if (node->op == COT_OP_SOFTMAX_XENT) {
        int64_t n = operand[1].shape.dim[operand[1].shape.rank - 1];
        magnitude = entropy_magnitude(p, operand, &got);
        tol = (tolerance)ABS_SUM((double)n + 8);
    } else if (is_norm((cot_op)node->op)) {
        magnitude = norm_magnitude(p, node, operand, &got);
        tol = (tolerance)ABS_SUM(part_elements(node, &operand[0]) + 16);
    } else if (node->op == COT_OP_ATTENTION) {
        const cot_shape *k = &operand[1].shape;
        magnitude = attention_magnitude(p, node, operand, &got);
        tol = (tolerance)ABS_SUM((double)(k->dim[k->rank - 1] + k->dim[k->rank - 2]) + 16);
    } else if (node->op == COT_OP_RANDOM || node->op == COT_OP_SOFTMAX) {
        tol = (tolerance)ULP_AT(24, 1);
    }
    if (magnitude.v != NULL) {
        add_least(&magnitude);
        forgive_overflow(&got, &magnitude, &want);
    }
    return compare(why, &got, &want, &magnitude, tol);
}
