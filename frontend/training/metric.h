/*
 * What the files of metrics share: the table's rows, and what a metric looks at. metric.c has the
 * table and the accuracies, metric_counts.c what is counted at thresholds, metric_scores.c what is
 * counted of each class, metric_options.c the options. Formulas stand in cotangent/losses.h.
 */
#ifndef COTI_METRIC_H
#define COTI_METRIC_H

#include "frontend/layers/formula.h"
#include "frontend/training/training.h"

/* Keras's epsilon(). */
#define COTI_METRIC_EPSILON 1e-7

/* What a metric looks at. */
typedef struct coti_row_metric {
    const coti_head *head;
    const coti_judge *judge;
    cot_value t, p;
    cot_value scores; /* in the order of p */
    cot_value weight; /* of each value; poison: 1 */
} coti_row_metric;

/* Which options a metric takes, beside its name and whether it is weighted. */
enum {
    COTI_TAKES_THRESHOLD = 1,
    COTI_TAKES_TOP_K = 2,
    COTI_TAKES_CLASS = 4,
    COTI_TAKES_AVERAGE = 8,
    COTI_TAKES_BETA = 16,
    COTI_TAKES_AGGREGATION = 32, /* and the number of regressors */
    COTI_TAKES_THRESHOLDS = 64,
    COTI_TAKES_BOUND = 128,
    COTI_TAKES_CURVE = 256 /* how a curve and its area are made, labels, logits */
};

/* How many sums a metric keeps: these in all, for each threshold and for each class that it is of.
 */
typedef struct coti_sum_count {
    int32_t in_all, a_threshold, a_class;
} coti_sum_count;

typedef struct coti_metric_class {
    cot_value (*build)(const coti_row_metric *metric);
    double (*value)(const coti_judge *judge, const double *sum, double rows);
    coti_sum_count sums;
    bool by_row;    /* build gives a value of each row; else what is to be added */
    bool is_sparse; /* targets are classes as integers */
    int32_t better; /* +1: more is, -1: less is, 0: neither */
    uint32_t takes;
} coti_metric_class;

/* NULL: it is a loss, or one's own. */
const coti_metric_class *coti_metric_class_of(cot_metric metric);

/* ---- shorthand ---- */

/* x in the output's dtype. */
cot_value coti_metric_real(const coti_row_metric *m, cot_value x);
/* x, of t's or p's shape, or its class class_id alone, as a last axis of 1. */
cot_value coti_metric_of_class(const coti_row_metric *m, cot_value x);
/* x, of elements and n more axes, times the weights of their values, where there are any. */
cot_value coti_metric_weigh(const coti_row_metric *m, cot_value x, int32_t n);
/* The last axis, without the classes that do not count. */
int32_t coti_metric_classes(const coti_judge *judge);
/* How many labels have an area of their own: the last axis, or 1. */
int32_t coti_metric_labels(const coti_judge *judge);
/* a / b, 0 where b is 0. */
double coti_metric_ratio(double a, double b);

/* ---- metric_counts.c ---- */

cot_value coti_true_positives(const coti_row_metric *m);
cot_value coti_false_positives(const coti_row_metric *m);
cot_value coti_true_negatives(const coti_row_metric *m);
cot_value coti_false_negatives(const coti_row_metric *m);
/* True positives, and false positives or negatives: [2]. */
cot_value coti_precision_counts(const coti_row_metric *m);
cot_value coti_recall_counts(const coti_row_metric *m);
double coti_share_value(const coti_judge *judge, const double *sum, double rows);
/* True positives at each threshold, of each label if they are apart, then the false ones:
 * [2 labels thresholds]. */
cot_value coti_curve_counts(const coti_row_metric *m);
double coti_auc_value(const coti_judge *judge, const double *sum, double rows);
/* Of the four with a bound: as coti_curve_counts, all positives and negatives before the rest. */
cot_value coti_bounded_counts(const coti_row_metric *m);
double coti_bounded_value(const coti_judge *judge, const double *sum, double rows);

/* ---- metric_scores.c ---- */

/* True positives of each class, then false positives, then false negatives: [3 classes]. */
cot_value coti_fbeta_counts(const coti_row_metric *m);
double coti_fbeta_value(const coti_judge *judge, const double *sum, double rows);
/* Sums of t of each class, then of t^2, then of (t - p)^2, then of weights: [3 classes + 1]. */
cot_value coti_r2_sums(const coti_row_metric *m);
double coti_r2_value(const coti_judge *judge, const double *sum, double rows);

#endif
