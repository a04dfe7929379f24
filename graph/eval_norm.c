/*
 * The meaning of the normalisations, independent of their decompositions:
 *
 *     y = (x - mean) / sqrt(variance + epsilon) * scale + offset
 *
 * mean and variance = mean((x - mean)^2) over the elements of x's part: a row of the last axis
 * (LAYER_NORM), one channel in all rows (BATCH_NORM), a group of channels in one row (GROUP_NORM).
 * RMS_NORM has no mean, the mean square for the variance and no offset. Everything in long double,
 * rounded once. A NaN or an infinity in a part makes the part NaN.
 */
#include "eval.h"

#include <math.h>

/* How x falls into parts. */
typedef struct partition {
    cot_op op;
    int64_t channels;
    int64_t row;    /* GROUP_NORM: elements of x of one index on the leading axis */
    int64_t groups; /* GROUP_NORM: their number */
    int64_t n_parts;
    double epsilon;
} partition;

/* The part that element i is of. */
static int64_t part_of(const partition *p, int64_t i) {
    if (p->op == COT_OP_GROUP_NORM) {
        return i / p->row * p->groups + i % p->channels / (p->channels / p->groups);
    }
    return p->op == COT_OP_BATCH_NORM ? i % p->channels : i / p->channels;
}

/* Of an x that has elements. */
static partition partition_of(const coti_eval *eval) {
    const cot_shape *shape = &eval->input[0].shape;
    int64_t elements = coti_tensor_count(&eval->input[0]);
    partition p = {.op = (cot_op)eval->node->op, .channels = shape->dim[shape->rank - 1]};
    if (p.op == COT_OP_GROUP_NORM) {
        const coti_attr_GROUPS *attr = eval->node->attr;
        p.epsilon = attr->epsilon;
        p.groups = attr->groups;
        p.row = elements / shape->dim[0];
        p.n_parts = shape->dim[0] * attr->groups;
        return p;
    }
    p.epsilon = ((const coti_attr_EPSILON *)eval->node->attr)->epsilon;
    p.n_parts = p.op == COT_OP_BATCH_NORM ? p.channels : elements / p.channels;
    return p;
}

/* Of one part: the mean as it comes out, the mean of the differences from that, which is what
 * rounding has made of it, and sqrt(variance + epsilon). RMS_NORM's means are 0. */
typedef struct statistics {
    long double mean, rest, deviation;
} statistics;

static long double centred(const statistics *s, double x) {
    return x - s->mean - s->rest;
}

static void find_statistics(const coti_tensor *x, const partition *p, statistics *part) {
    int64_t elements = coti_tensor_count(x);
    bool has_mean = p->op != COT_OP_RMS_NORM;
    long double count = (long double)elements / (long double)p->n_parts;
    for (int64_t i = 0; has_mean && i < elements; i++) {
        part[part_of(p, i)].mean += coti_tensor_get(x, i) / count;
    }
    for (int64_t i = 0; has_mean && i < elements; i++) {
        statistics *s = &part[part_of(p, i)];
        s->rest += (coti_tensor_get(x, i) - s->mean) / count;
    }
    for (int64_t i = 0; i < elements; i++) {
        statistics *s = &part[part_of(p, i)];
        long double c = centred(s, coti_tensor_get(x, i));
        s->deviation += c * c / count;
    }
    for (int64_t k = 0; k < p->n_parts; k++) {
        part[k].deviation = sqrtl(part[k].deviation + p->epsilon);
    }
}

static cot_status normalise(const coti_eval *eval) {
    const coti_tensor *x = &eval->input[0];
    int64_t elements = coti_tensor_count(x);
    if (elements == 0) {
        return COT_OK;
    }
    const partition p = partition_of(eval);
    statistics *part = coti_calloc(eval->context, (size_t)p.n_parts, sizeof *part);
    if (part == NULL) {
        return COT_E_NOMEM;
    }
    find_statistics(x, &p, part);
    for (int64_t i = 0; i < elements; i++) {
        const statistics *s = &part[part_of(&p, i)];
        int64_t channel = i % p.channels;
        long double y = centred(s, coti_tensor_get(x, i)) / s->deviation;
        y *= coti_tensor_get(&eval->input[1], channel);
        y += eval->node->n_inputs == 3 ? coti_tensor_get(&eval->input[2], channel) : 0;
        coti_tensor_set(eval->out, i, y);
    }
    coti_free(eval->context, part);
    return COT_OK;
}

cot_status coti_eval_LAYER_NORM(const coti_eval *eval) {
    return normalise(eval);
}

cot_status coti_eval_RMS_NORM(const coti_eval *eval) {
    return normalise(eval);
}

cot_status coti_eval_GROUP_NORM(const coti_eval *eval) {
    return normalise(eval);
}

cot_status coti_eval_BATCH_NORM(const coti_eval *eval) {
    return normalise(eval);
}
