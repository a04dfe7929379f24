/*
 * Scores of classes: F-beta from counts, R2 from moments of the targets. Moments are taken in f64:
 * the variance is a difference of sums that are large beside it where the mean is.
 */
#include "frontend/training/metric.h"

#include <math.h>

static const int32_t first_axis[1] = {0}, last_axis[1] = {-1};

static cot_value sum_of_rows(cot_value x) {
    return cot_op_reduce(COT_OP_SUM, x, first_axis, 1, false);
}

/* ---- F-beta ---- */

/* Which elements count as 1: those above the threshold, or the largest of a row if it is not 0. */
static cot_value guesses(const coti_row_metric *m) {
    double threshold = m->judge->numbers.threshold;
    if (!isnan(threshold)) {
        return cot_op_binary(COT_OP_GT, m->p, coti_number(m->p, threshold));
    }
    cot_value largest = cot_op_reduce(COT_OP_REDUCE_MAX, m->p, last_axis, 1, true);
    cot_value size = cot_op_unary(COT_OP_ABS, m->p);
    return cot_op_binary(COT_OP_AND, cot_op_binary(COT_OP_GE, m->p, largest),
                         cot_op_binary(COT_OP_GT, size, coti_number(size, 1e-9)));
}

cot_value coti_fbeta_counts(const coti_row_metric *m) {
    cot_value t = coti_metric_of_class(m, m->t);
    cot_value guess = coti_metric_real(m, coti_metric_of_class(m, guesses(m)));
    cot_value one = coti_number(t, 1.0);
    const cot_value counts[3] = {
        sum_of_rows(coti_metric_weigh(m, coti_mul(guess, t), 0)),
        sum_of_rows(coti_metric_weigh(m, coti_mul(guess, coti_sub(one, t)), 0)),
        sum_of_rows(coti_metric_weigh(m, coti_mul(coti_sub(one, guess), t), 0))};
    return cot_op_concat(counts, 3, 0);
}

static double fbeta(double beta, double tp, double fp, double fn) {
    double precision = tp / (tp + fp + COTI_METRIC_EPSILON);
    double recall = tp / (tp + fn + COTI_METRIC_EPSILON);
    double square = beta * beta;
    return (1.0 + square) * precision * recall /
           (square * precision + recall + COTI_METRIC_EPSILON);
}

double coti_fbeta_value(const coti_judge *judge, const double *sum, double rows) {
    (void)rows;
    int32_t n = coti_metric_classes(judge);
    const double *tp = sum, *fp = sum + n, *fn = sum + 2 * n;
    double beta = judge->numbers.beta;
    double all_tp = 0.0, all_fp = 0.0, all_fn = 0.0, total = 0.0, weighted = 0.0;
    for (int32_t i = 0; i < n; i++) {
        double score = fbeta(beta, tp[i], fp[i], fn[i]);
        all_tp += tp[i];
        all_fp += fp[i];
        all_fn += fn[i];
        total += score;
        weighted += score * (tp[i] + fn[i]);
    }
    switch (judge->numbers.average) {
    case COT_AVERAGE_MICRO:
        return fbeta(beta, all_tp, all_fp, all_fn);
    case COT_AVERAGE_WEIGHTED:
        return weighted / (all_tp + all_fn + COTI_METRIC_EPSILON);
    case COT_AVERAGE_NONE:
    case COT_AVERAGE_MACRO:
    default:
        return total / n;
    }
}

/* ---- R2 ---- */

/* The sum of weights, or the rows: [1]. */
static cot_value weight_of_rows(const coti_row_metric *m) {
    const cot_shape one = {.rank = 1, .dim = {1}};
    if (m->weight.graph == NULL) {
        return cot_op_reshape(cot_op_cast(cot_op_rows(m->p.graph), COT_F64), one);
    }
    return cot_op_reshape(sum_of_rows(cot_op_cast(m->weight, COT_F64)), one);
}

cot_value coti_r2_sums(const coti_row_metric *m) {
    cot_value t = cot_op_cast(coti_metric_of_class(m, m->t), COT_F64);
    cot_value p = cot_op_cast(coti_metric_of_class(m, m->p), COT_F64);
    cot_value error = coti_sub(t, p);
    coti_row_metric wide = *m;
    if (m->weight.graph != NULL) {
        wide.weight = cot_op_cast(m->weight, COT_F64);
    }
    const cot_value sums[4] = {sum_of_rows(coti_metric_weigh(&wide, t, 0)),
                               sum_of_rows(coti_metric_weigh(&wide, coti_mul(t, t), 0)),
                               sum_of_rows(coti_metric_weigh(&wide, coti_mul(error, error), 0)),
                               weight_of_rows(m)};
    return cot_op_concat(sums, 4, 0);
}

/* The sum of (t - mean t)^2; 0 where it is nothing but the rounding of its terms. */
static double spread(double sum, double squares, double weight) {
    double rounding = 1e-13 * squares;
    double found = squares - sum * (sum / weight);
    return fabs(found) <= rounding ? 0.0 : found;
}

/* 1 - (1 - score) (n - 1) / (n - p - 1), as long as that divisor is positive. n is the number of
 * elements of all classes, as Keras counts. */
static double adjusted(const coti_judge *judge, double score, double rows) {
    double p = judge->numbers.num_regressors;
    double n = rows * judge->n_classes;
    return p == 0.0 || p >= n - 1.0 ? score : 1.0 - (1.0 - score) * (n - 1.0) / (n - p - 1.0);
}

double coti_r2_value(const coti_judge *judge, const double *sum, double rows) {
    int32_t n = coti_metric_classes(judge);
    const double *squares = sum + n, *errors = sum + 2 * n;
    double weight = sum[3 * n];
    double total = 0.0, of_spread = 0.0, spreads = 0.0;
    for (int32_t i = 0; i < n; i++) {
        double wide = spread(sum[i], squares[i], weight);
        double score = 1.0 - errors[i] / wide;
        score = isinf(score) ? 0.0 : score;
        total += score;
        of_spread += score * wide;
        spreads += wide;
    }
    bool by_spread = judge->numbers.class_aggregation == COT_VARIANCE_WEIGHTED_AVERAGE;
    return adjusted(judge, by_spread ? of_spread / spreads : total / n, rows);
}
