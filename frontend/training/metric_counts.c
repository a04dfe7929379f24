/*
 * Metrics of what is above a threshold and of what is not: counts, their ratios, and curves over
 * many thresholds.
 */
#include "frontend/training/metric.h"

#include <math.h>

static const int32_t all_axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};

static cot_value sum_of_batch(cot_value x) {
    return cot_op_reduce(COT_OP_SUM, x, all_axes, cot_value_shape(x).rank, false);
}

/* a and b, numbers, as [2]. */
static cot_value pair(cot_value a, cot_value b) {
    const cot_value both[2] = {cot_op_reshape(a, (cot_shape){.rank = 1, .dim = {1}}),
                               cot_op_reshape(b, (cot_shape){.rank = 1, .dim = {1}})};
    return cot_op_concat(both, 2, 0);
}

/* ---- one threshold ---- */

/* The k largest of each row, the first of equal ones. */
static cot_value among_top_k(const coti_row_metric *m) {
    cot_value values, places;
    cot_op_top_k(m->p, m->judge->numbers.top_k, &values, &places);
    cot_value hot = cot_op_one_hot(places, m->judge->n_classes, cot_value_dtype(m->p));
    const int32_t axes[1] = {-2};
    cot_value mask = cot_op_reduce(COT_OP_SUM, hot, axes, 1, false);
    return cot_op_binary(COT_OP_GT, mask, coti_number(mask, 0.0));
}

/* Which elements count as 1. */
static cot_value is_said(const coti_row_metric *m) {
    cot_value above =
        cot_op_binary(COT_OP_GT, m->p, coti_number(m->p, m->judge->numbers.threshold));
    if (m->judge->numbers.top_k > 0) {
        above = cot_op_binary(COT_OP_AND, above, among_top_k(m));
    }
    return coti_metric_of_class(m, above);
}

/* How many elements have t != 0 (or t == 0) and count as 1 (or do not). */
static cot_value count(const coti_row_metric *m, cot_op of_t, bool said) {
    cot_value t = coti_metric_of_class(m, m->t);
    cot_value is_so = cot_op_binary(of_t, t, coti_number(t, 0.0));
    cot_value counts = said ? is_said(m) : cot_op_unary(COT_OP_NOT, is_said(m));
    cot_value both = coti_metric_real(m, cot_op_binary(COT_OP_AND, is_so, counts));
    return sum_of_batch(coti_metric_weigh(m, both, 0));
}

cot_value coti_true_positives(const coti_row_metric *m) {
    return count(m, COT_OP_NE, true);
}
cot_value coti_false_positives(const coti_row_metric *m) {
    return count(m, COT_OP_EQ, true);
}
cot_value coti_true_negatives(const coti_row_metric *m) {
    return count(m, COT_OP_EQ, false);
}
cot_value coti_false_negatives(const coti_row_metric *m) {
    return count(m, COT_OP_NE, false);
}
cot_value coti_precision_counts(const coti_row_metric *m) {
    return pair(coti_true_positives(m), coti_false_positives(m));
}
cot_value coti_recall_counts(const coti_row_metric *m) {
    return pair(coti_true_positives(m), coti_false_negatives(m));
}

double coti_share_value(const coti_judge *judge, const double *sum, double rows) {
    (void)judge;
    (void)rows;
    return coti_metric_ratio(sum[0], sum[0] + sum[1]);
}

/* ---- many thresholds ---- */

/* x [*] repeated along a new last axis of n. */
static cot_value repeated(cot_value x, int64_t n) {
    cot_shape shape = cot_value_shape(x);
    int32_t rank = shape.rank;
    shape.dim[shape.rank++] = n;
    return cot_op_broadcast(x, shape, all_axes, rank);
}

/* 0s and 1s of elements (the output's, or one class's) and thresholds, weighed and added up for
 * each threshold, and for each label if they are apart: [labels n]. */
static cot_value add_up(const coti_row_metric *m, cot_value both, int32_t n) {
    const cot_metric_options *numbers = &m->judge->numbers;
    const int32_t labels = coti_metric_labels(m->judge);
    const int32_t rank = cot_value_shape(both).rank;
    cot_value counts = coti_metric_weigh(m, coti_metric_real(m, both), 1);
    if (numbers->label_weights != NULL && !numbers->multi_label) {
        const cot_shape shape = {.rank = 2, .dim = {m->judge->n_classes, 1}};
        cot_value weight =
            cot_op_constant_array(m->p.graph, COT_F64, shape, numbers->label_weights);
        counts = cot_op_binary(COT_OP_MUL, counts, coti_metric_real(m, weight));
    }
    cot_value sums = cot_op_reduce(COT_OP_SUM, counts, all_axes,
                                   numbers->multi_label ? rank - 2 : rank - 1, false);
    return cot_op_reshape(sums, (cot_shape){.rank = 1, .dim = {(int64_t)labels * n}});
}

/* True positives, then false ones, above each of n thresholds, [2 labels n]. Outputs are taken as
 * within [0, 1]. */
static cot_value counts_at(const coti_row_metric *m, const double *threshold, int32_t n) {
    const cot_shape shape = {.rank = 1, .dim = {n}};
    cot_value at =
        coti_metric_real(m, cot_op_constant_array(m->p.graph, COT_F64, shape, threshold));
    cot_value p = coti_metric_of_class(m, m->p), t = coti_metric_of_class(m, m->t);
    p = m->judge->numbers.from_logits ? cot_op_unary(COT_OP_SIGMOID, p) : p;
    p = cot_op_binary(COT_OP_MIN, cot_op_binary(COT_OP_MAX, p, coti_number(p, 0.0)),
                      coti_number(p, 1.0));
    cot_value said = cot_op_binary(COT_OP_GT, repeated(p, n), at);
    cot_value is_so = repeated(cot_op_binary(COT_OP_NE, t, coti_number(t, 0.0)), n);
    cot_value is_not = cot_op_unary(COT_OP_NOT, is_so);
    const cot_value both[2] = {add_up(m, cot_op_binary(COT_OP_AND, is_so, said), n),
                               add_up(m, cot_op_binary(COT_OP_AND, is_not, said), n)};
    return cot_op_concat(both, 2, 0);
}

/* -e, 1/(n - 1), 2/(n - 1), .., 1 + e, or -e, those that are given, 1 + e; e Keras's epsilon: all
 * are above the first. */
cot_value coti_curve_counts(const coti_row_metric *m) {
    double threshold[COTI_MOST_SUMS / 2];
    const double *given = m->judge->numbers.thresholds;
    int32_t n = m->judge->numbers.num_thresholds;
    for (int32_t i = 1; i + 1 < n; i++) {
        threshold[i] = given != NULL ? given[i - 1] : (double)i / (n - 1);
    }
    threshold[0] = -COTI_METRIC_EPSILON;
    threshold[n - 1] = 1.0 + COTI_METRIC_EPSILON;
    return counts_at(m, threshold, n);
}

/* One that all are above, 0, 1/(n - 1), .., 1. */
cot_value coti_bounded_counts(const coti_row_metric *m) {
    double threshold[COTI_MOST_SUMS / 2];
    int32_t n = m->judge->numbers.num_thresholds;
    threshold[0] = -1.0;
    for (int32_t i = 0; i < n; i++) {
        threshold[i + 1] = (double)i / (n - 1);
    }
    return counts_at(m, threshold, n + 1);
}

/* The height between two points of a curve. */
static double height(const coti_judge *judge, double a, double b) {
    switch (judge->numbers.summation) {
    case COT_SUMMATION_MINORING:
        return fmin(a, b);
    case COT_SUMMATION_MAJORING:
        return fmax(a, b);
    case COT_SUMMATION_INTERPOLATION:
        break;
    }
    return (a + b) / 2.0;
}

/* Under recall over false positives / negatives. */
static double roc_area(const coti_judge *judge, const double *tp, const double *fp) {
    double area = 0.0;
    for (int32_t i = 0; i + 1 < judge->numbers.num_thresholds; i++) {
        double width = coti_metric_ratio(fp[i], fp[0]) - coti_metric_ratio(fp[i + 1], fp[0]);
        area += width *
                height(judge, coti_metric_ratio(tp[i], tp[0]), coti_metric_ratio(tp[i + 1], tp[0]));
    }
    return area;
}

/* Between thresholds true positives are taken as linear in positives, not precision in recall:
 * Davis, Goadrich, "The relationship between precision-recall and ROC curves", 2006. */
static double interpolated_pr_area(const coti_judge *judge, const double *tp, const double *fp) {
    double area = 0.0;
    for (int32_t i = 0; i + 1 < judge->numbers.num_thresholds; i++) {
        double gained = tp[i] - tp[i + 1];
        double before = tp[i] + fp[i];
        double after = tp[i + 1] + fp[i + 1];
        double slope = coti_metric_ratio(gained, fmax(before - after, 0.0));
        double start = tp[i + 1] - slope * after;
        double spread = before > 0.0 && after > 0.0 ? before / after : 1.0;
        area += coti_metric_ratio(slope * (gained + start * log(spread)), tp[0]);
    }
    return area;
}

/* Under precision over recall. */
static double pr_area(const coti_judge *judge, const double *tp, const double *fp) {
    if (judge->numbers.summation == COT_SUMMATION_INTERPOLATION) {
        return interpolated_pr_area(judge, tp, fp);
    }
    double area = 0.0;
    for (int32_t i = 0; i + 1 < judge->numbers.num_thresholds; i++) {
        double width = coti_metric_ratio(tp[i], tp[0]) - coti_metric_ratio(tp[i + 1], tp[0]);
        area += width * height(judge, coti_metric_ratio(tp[i], tp[i] + fp[i]),
                               coti_metric_ratio(tp[i + 1], tp[i + 1] + fp[i + 1]));
    }
    return area;
}

double coti_auc_value(const coti_judge *judge, const double *sum, double rows) {
    (void)rows;
    const int32_t n = judge->numbers.num_thresholds, labels = coti_metric_labels(judge);
    const double *weights = judge->numbers.multi_label ? judge->numbers.label_weights : NULL;
    double areas = 0.0, all = 0.0;
    for (int32_t i = 0; i < labels; i++) {
        const double *tp = sum + (int64_t)i * n, *fp = sum + ((int64_t)labels + i) * n;
        double weight = weights != NULL ? weights[i] : 1.0;
        areas +=
            weight * (judge->metric == COT_AUC ? roc_area(judge, tp, fp) : pr_area(judge, tp, fp));
        all += weight;
    }
    return coti_metric_ratio(areas, all);
}

/* What the metric is at a threshold, and what must reach its bound there. */
static void at_threshold(const coti_judge *judge, const double counts[4], double *value_out,
                         double *bounded_out) {
    double recall = coti_metric_ratio(counts[0], counts[2]);
    double precision = coti_metric_ratio(counts[0], counts[0] + counts[1]);
    double specificity = coti_metric_ratio(counts[3] - counts[1], counts[3]);
    bool gives_recall = judge->numbers.metric == COT_SENSITIVITY_AT_SPECIFICITY ||
                        judge->numbers.metric == COT_RECALL_AT_PRECISION;
    bool has_precision = judge->numbers.metric == COT_PRECISION_AT_RECALL ||
                         judge->numbers.metric == COT_RECALL_AT_PRECISION;
    double other = has_precision ? precision : specificity;
    *value_out = gives_recall ? recall : other;
    *bounded_out = gives_recall ? other : recall;
}

/* The most that the metric is where what is bounded reaches its bound, both as f32, in which Keras
 * compares; 0 where it never does. */
double coti_bounded_value(const coti_judge *judge, const double *sum, double rows) {
    (void)rows;
    int32_t n = judge->numbers.num_thresholds + 1;
    double best = 0.0;
    for (int32_t i = 1; i < n; i++) {
        const double counts[4] = {sum[i], sum[n + i], sum[0], sum[n]};
        double value, bounded;
        at_threshold(judge, counts, &value, &bounded);
        if ((float)bounded >= (float)judge->numbers.at) {
            best = fmax(best, value);
        }
    }
    return best;
}
