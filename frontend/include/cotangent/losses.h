/*
 * Losses and metrics: what a model is trained by and judged by. Compile (cotangent/training.h)
 * takes them; all are computed within the compiled step, and metrics stream: they are of all rows
 * since the epoch or the evaluation began.
 */
#ifndef COTANGENT_LOSSES_H
#define COTANGENT_LOSSES_H

#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- losses ---- */

/*
 * X(constant, name, value of one row). The loss of a batch is, unless another reduction is asked
 * for, the mean over its rows (and over the axes between the batch and the last one). t is the
 * target, p the output, means and sums are over the last axis, e is 1e-7, and numbers in the
 * formulas that have a name are of cot_loss_options. Formulas and names are Keras's.
 */
#define COT_LOSS_LIST(X)                                                                           \
    X(COT_NO_LOSS, "none", "the output is not trained on")                                         \
    X(COT_CATEGORICAL_CROSSENTROPY, "categorical_crossentropy",                                    \
      "-sum(t log(p)), t of the output's shape")                                                   \
    X(COT_SPARSE_CATEGORICAL_CROSSENTROPY, "sparse_categorical_crossentropy",                      \
      "-log(p[t]), t the class as an integer (u8, i32, i64)")                                      \
    X(COT_MEAN_SQUARED_ERROR, "mean_squared_error", "mean((t - p)^2)")                             \
    X(COT_BINARY_CROSSENTROPY, "binary_crossentropy", "mean(-t log(p) - (1 - t) log(1 - p))")      \
    X(COT_MEAN_ABSOLUTE_ERROR, "mean_absolute_error", "mean(|t - p|)")                             \
    X(COT_MEAN_ABSOLUTE_PERCENTAGE_ERROR, "mean_absolute_percentage_error",                        \
      "100 mean(|t - p| / max(|t|, e))")                                                           \
    X(COT_MEAN_SQUARED_LOGARITHMIC_ERROR, "mean_squared_logarithmic_error",                        \
      "mean((log(max(p, e) + 1) - log(max(t, e) + 1))^2)")                                         \
    X(COT_HUBER, "huber", "mean(d <= delta ? d^2/2 : delta d - delta^2/2), d = |t - p|")           \
    X(COT_LOG_COSH, "log_cosh", "mean(log(cosh(p - t)))")                                          \
    X(COT_COSINE_SIMILARITY, "cosine_similarity", "-sum(t p) / (|t| |p|)")                         \
    X(COT_KL_DIVERGENCE, "kl_divergence", "sum(t log(t / p)), both within [e, 1]")                 \
    X(COT_POISSON, "poisson", "mean(p - t log(p + e))")                                            \
    X(COT_HINGE, "hinge", "mean(max(1 - t p, 0)); targets that are all 0 or 1 count as -1, 1")     \
    X(COT_SQUARED_HINGE, "squared_hinge", "mean(max(1 - t p, 0)^2); targets as hinge's")           \
    X(COT_CATEGORICAL_HINGE, "categorical_hinge", "max(max((1 - t) p) - sum(t p) + 1, 0)")         \
    X(COT_BINARY_FOCAL_CROSSENTROPY, "binary_focal_crossentropy",                                  \
      "mean((1 - q)^gamma b), b the binary cross-entropy's terms, q = t p + (1 - t)(1 - p)")       \
    X(COT_CATEGORICAL_FOCAL_CROSSENTROPY, "categorical_focal_crossentropy",                        \
      "-sum(alpha (1 - p)^gamma t log(p))")                                                        \
    X(COT_DICE, "dice", "1 - 2 S(t p) / (S(t) + S(p) + e), S the sum over the batch")              \
    X(COT_TVERSKY, "tversky",                                                                      \
      "1 - S(t p) / (S(t p) + alpha S(t (1 - p)) + beta S((1 - t) p) + e)")                        \
    X(COT_CATEGORICAL_GENERALIZED_CROSS_ENTROPY, "categorical_generalized_cross_entropy",          \
      "(1 - p[t]^q) / q, t the class as an integer (u8, i32, i64)")                                \
    X(COT_CUSTOM_LOSS, "custom_loss", "the function of cot_loss_options")

typedef enum cot_loss {
#define COT_LOSS_ENUM(constant, name, value) constant,
    COT_LOSS_LIST(COT_LOSS_ENUM)
#undef COT_LOSS_ENUM
} cot_loss;

/*
 * From the values l of rows, each times its sample weight w (1 where there are none), to a batch's
 * loss: sum(w l) / number of values; sum(w l); sum(w l) / sum(w), 0 where that is 0. Keras's "none"
 * is cot_op_loss: training needs a number. Of an output with a mask (cotangent/layers.h) w is 0
 * where the mask says so, and the number of values is that of those that count, as of those that
 * are not of an ignored class; where there are none the loss is 0.
 */
typedef enum cot_reduction {
    COT_REDUCTION_DEFAULT = 0, /* the mean */
    COT_SUM_OVER_BATCH_SIZE,
    COT_REDUCTION_MEAN, /* the same */
    COT_REDUCTION_SUM,
    COT_MEAN_WITH_SAMPLE_WEIGHT
} cot_reduction;

/*
 * A function of one's own: append nodes to output's graph and return a value of each row, in the
 * output's dtype and of its shape without the last axis ([N] of [N,10]); a loss may also return a
 * scalar, the loss of the batch. target is of the output's type, or with sparse_targets i32 classes
 * of its shape without the last axis. What `user` points to must live as long as the model is
 * compiled.
 */
typedef cot_value (*cot_row_function)(cot_value target, cot_value output, void *user);

/*
 * Numbers of losses, by Keras's names; a zero is the default.
 *
 *   label_smoothing  s in [0, 1]: t (1 - s) + s / classes (binary: s / 2), of the cross-entropies
 *                    with targets of the output's shape
 *   delta            huber: 1
 *   alpha            focal: 0.25; tversky: 0.5
 *   beta             tversky: 0.5
 *   gamma            focal: 2; COT_ZERO: 0
 *   apply_class_balancing  binary focal: times alpha where t is 1, 1 - alpha where it is 0
 *   axis             of the cross-entropies with targets of the output's shape, focal ones too, and
 *                    of the cosine similarity: what sums, means and a softmax run along, not the
 *                    batch's; 0: the last (-1). There is a value for each place of the other axes
 *   q                categorical generalized cross-entropy, in (0, 1): 0.5
 *   reduction        of rows to a batch
 *   ignores_class, ignore_class  sparse categorical: rows of this class, which need not be one of
 *                    the output's, have a loss of 0 and do not count among the values
 *   function, user, sparse_targets  custom_loss
 */
typedef struct cot_loss_options {
    size_t struct_size;
    double label_smoothing, delta, alpha, beta, gamma;
    bool apply_class_balancing;
    bool ignores_class;
    int32_t ignore_class;
    cot_reduction reduction;
    cot_row_function function;
    void *user;
    bool sparse_targets;
    int32_t axis;
    double q;
} cot_loss_options;
#define COT_LOSS_OPTIONS_INIT                                                                      \
    {sizeof(cot_loss_options), 0.0,  0.0,  0.0,   0.0, 0.0, false, false, 0,                       \
     COT_REDUCTION_DEFAULT,    NULL, NULL, false, 0,   0.0}
/* `.loss_options = cot_loss_numbers(.label_smoothing = 0.1)` */
#define cot_loss_numbers(...)                                                                      \
    (&(const cot_loss_options){.struct_size = sizeof(cot_loss_options), __VA_ARGS__})

/*
 * The values of rows, not reduced, as nodes: for losses of one's own made of others. output
 * [N,..,c], f32 or f64; target of its type, without its last axis if c is 1, or i32 [N,..] or
 * [N,..,1] for a sparse loss; result [N,..], the output's shape without the loss's axis.
 * from_logits as in cot_compile_options; options may be NULL. Poison on error.
 */
COT_API cot_value cot_op_loss(cot_loss loss, cot_value target, cot_value output, bool from_logits,
                              const cot_loss_options *options);

/* "mean_squared_error" ...; "?" for a value that is no loss. */
COT_API const char *cot_loss_name(cot_loss loss);

/* ---- metrics ---- */

/*
 * X(constant, name in logs, value). COT_ACCURACY is binary for an output of one element, sparse
 * categorical with integer targets, else categorical. The first maximum wins a tie. t is the
 * target, p the output. Counts are over all elements of all rows; a ratio whose divisor is 0 is 0.
 * Means of values of rows, weighted or not, losses and functions of one's own among them, are those
 * of the values that count by the output's mask; the root of a mean and counts are of all values.
 */
#define COT_METRIC_LIST(X)                                                                         \
    X(COT_NO_METRIC, "none", "ends a list")                                                        \
    X(COT_ACCURACY, "accuracy", "one of the following, by the shapes of output and target")        \
    X(COT_BINARY_ACCURACY, "binary_accuracy", "mean(t == (p > 0.5))")                              \
    X(COT_CATEGORICAL_ACCURACY, "categorical_accuracy", "argmax(t) == argmax(p)")                  \
    X(COT_SPARSE_CATEGORICAL_ACCURACY, "sparse_categorical_accuracy", "t == argmax(p)")            \
    X(COT_TOP_K_CATEGORICAL_ACCURACY, "top_k_categorical_accuracy",                                \
      "are fewer than top_k elements larger than p[argmax(t)]?")                                   \
    X(COT_SPARSE_TOP_K_CATEGORICAL_ACCURACY, "sparse_top_k_categorical_accuracy",                  \
      "are fewer than top_k elements larger than p[t]?")                                           \
    X(COT_TRUE_POSITIVES, "true_positives", "count of t != 0 and p > 0.5")                         \
    X(COT_FALSE_POSITIVES, "false_positives", "count of t == 0 and p > 0.5")                       \
    X(COT_TRUE_NEGATIVES, "true_negatives", "count of t == 0 and p <= 0.5")                        \
    X(COT_FALSE_NEGATIVES, "false_negatives", "count of t != 0 and p <= 0.5")                      \
    X(COT_PRECISION, "precision", "true positives / (true + false positives)")                     \
    X(COT_RECALL, "recall", "true positives / (true positives + false negatives)")                 \
    X(COT_AUC, "auc",                                                                              \
      "area under the curve of recall over false positives / negatives, from 200 thresholds")      \
    X(COT_AUC_PR, "auc_pr", "area under the curve of precision over recall, likewise")             \
    X(COT_SENSITIVITY_AT_SPECIFICITY, "sensitivity_at_specificity",                                \
      "most recall at a threshold where true negatives / negatives >= at")                         \
    X(COT_SPECIFICITY_AT_SENSITIVITY, "specificity_at_sensitivity",                                \
      "most true negatives / negatives at a threshold where recall >= at")                         \
    X(COT_PRECISION_AT_RECALL, "precision_at_recall",                                              \
      "most precision at a threshold where recall >= at")                                          \
    X(COT_RECALL_AT_PRECISION, "recall_at_precision",                                              \
      "most recall at a threshold where precision >= at")                                          \
    X(COT_FBETA_SCORE, "fbeta_score",                                                              \
      "(1 + beta^2) P R / (beta^2 P + R + e), P = TP / (TP + FP + e), R = TP / (TP + FN + e)")     \
    X(COT_F1_SCORE, "f1_score", "fbeta_score of beta 1")                                           \
    X(COT_R2_SCORE, "r2_score", "of each class 1 - sum (t - p)^2 / sum (t - mean t)^2")            \
    X(COT_ROOT_MEAN_SQUARED_ERROR, "root_mean_squared_error",                                      \
      "square root of the mean of (t - p)^2 over all rows")                                        \
    X(COT_METRIC_COUNT, "?", "how many there are")

typedef enum cot_metric {
#define COT_METRIC_ENUM(constant, name, value) constant,
    COT_METRIC_LIST(COT_METRIC_ENUM)
#undef COT_METRIC_ENUM
} cot_metric;

/*
 * Any loss as a metric, under its own name: `.metrics = {COT_LOSS_AS_METRIC(COT_HUBER)}`. With the
 * defaults of its numbers, and from the output as it is; the cosine similarity has the other sign.
 */
#define COT_LOSS_AS_METRIC(loss) ((cot_metric)((int)COT_METRIC_COUNT + (int)(loss)))

/* "accuracy" ...; "?" for a value that is no metric. */
COT_API const char *cot_metric_name(cot_metric metric);

#define COT_MAX_METRICS 8

/* How an F-beta score's numbers of the classes become one. */
typedef enum cot_average {
    COT_AVERAGE_NONE = 0, /* the score of the class class_id */
    COT_AVERAGE_MICRO,    /* the score of the counts of all classes together */
    COT_AVERAGE_MACRO,    /* the mean of the classes' scores */
    COT_AVERAGE_WEIGHTED  /* their mean, each weighted by its share of the targets */
} cot_average;

/* How an R2 score's numbers of the classes become one. */
typedef enum cot_class_aggregation {
    COT_UNIFORM_AVERAGE = 0,
    COT_VARIANCE_WEIGHTED_AVERAGE, /* each weighted by sum (t - mean t)^2 */
    COT_AGGREGATION_NONE           /* the score of the class class_id */
} cot_class_aggregation;

/* How the area under a curve follows from its points: from trapezoids (of precision over recall,
 * from true positives that grow in proportion to positives), or by the lower or the higher of two
 * neighbours. */
typedef enum cot_summation {
    COT_SUMMATION_INTERPOLATION = 0,
    COT_SUMMATION_MINORING,
    COT_SUMMATION_MAJORING
} cot_summation;

/*
 * A metric and its options, by Keras's names; a zero is the default, and an option that a metric
 * has not is refused. A metric is one number: where Keras gives a number of each class or of each
 * of several thresholds, list one metric for each that is wanted, under names of their own.
 *
 *   metric          required
 *   name            in logs; NULL: the metric's. Copied
 *   weighted        by sample and class weights
 *   threshold       in [0, 1]; COT_ZERO: 0. Binary accuracy, counts, precision, recall: 0.5, but
 *                   with top_k: none. F-beta: none: the largest of a row, all of them if several
 *                   are, counts as 1 where it is not 0
 *   top_k           of the top-k accuracies: the model's top_k. Precision and recall: only the k
 *                   largest of a row can count as 1, the first of equal ones; default: all can
 *   of_class, class_id  only this class of the last axis: precision, recall, the four that have
 *                   `at`, F-beta and R2 scores
 *   average, beta   of F-beta: COT_AVERAGE_NONE; 1, more than 0 (not of the F1 score). A score
 *                   that is not averaged needs of_class
 *   class_aggregation, num_regressors  of R2: the uniform average; 0, no adjustment, else
 *                   1 - (1 - R2) (n - 1) / (n - num_regressors - 1), n the number of all elements,
 *                   as long as that divisor is positive
 *   num_thresholds  of AUC and of the four that have `at`: 200; at least 2, at most 2000
 *   at              in [0, 1], required by those four; COT_ZERO: 0
 *   thresholds, n_thresholds  of the AUCs: these instead, in [0, 1], at most 1998, in any order;
 *                   one below and one above all outputs are added. Copied
 *   summation       of the AUCs: interpolation
 *   multi_label     of the AUCs, for outputs [N,labels]: the mean of an area of each label
 *   label_weights, n_label_weights  of the AUCs: a weight of each place of the last axis, 0 or
 * more: of its area with multi_label, else of its elements among all. Copied from_logits     of the
 * AUCs: a sigmoid is taken of the output
 */
typedef struct cot_metric_options {
    size_t struct_size;
    cot_metric metric;
    const char *name;
    bool weighted, of_class;
    int32_t class_id, top_k, num_thresholds, num_regressors;
    double threshold, beta, at;
    cot_average average;
    cot_class_aggregation class_aggregation;
    const double *thresholds;
    int32_t n_thresholds;
    cot_summation summation;
    bool multi_label, from_logits;
    const double *label_weights;
    int32_t n_label_weights;
} cot_metric_options;
#define COT_METRIC_OPTIONS_INIT                                                                    \
    {sizeof(cot_metric_options),                                                                   \
     COT_NO_METRIC,                                                                                \
     NULL,                                                                                         \
     false,                                                                                        \
     false,                                                                                        \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     0,                                                                                            \
     0.0,                                                                                          \
     0.0,                                                                                          \
     0.0,                                                                                          \
     COT_AVERAGE_NONE,                                                                             \
     COT_UNIFORM_AVERAGE,                                                                          \
     NULL,                                                                                         \
     0,                                                                                            \
     COT_SUMMATION_INTERPOLATION,                                                                  \
     false,                                                                                        \
     false,                                                                                        \
     NULL,                                                                                         \
     0}
/* `.metrics_with = {cot_metric_with(COT_F1_SCORE, .average = COT_AVERAGE_MACRO)}` */
#define cot_metric_with(...)                                                                       \
    (&(const cot_metric_options){.struct_size = sizeof(cot_metric_options), .metric = __VA_ARGS__})

/* A metric of one's own: the mean of a function's values, or their weighted mean. */
typedef struct cot_custom_metric {
    size_t struct_size;
    const char *name;          /* in logs; required, copied */
    cot_row_function function; /* required */
    void *user;
    bool sparse_targets; /* the target is classes as integers; it must go with the loss */
    bool weighted;       /* by sample and class weights */
    int32_t better;      /* +1: more is, -1: less is, 0: callbacks must be told */
} cot_custom_metric;
#define COT_CUSTOM_METRIC_INIT {sizeof(cot_custom_metric), NULL, NULL, NULL, false, false, 0}
/* `.custom_metrics = {cot_metric_of("within_1", function, .better = 1)}` */
#define cot_metric_of(metric_name, ...)                                                            \
    (&(const cot_custom_metric){                                                                   \
        .struct_size = sizeof(cot_custom_metric), .name = (metric_name), .function = __VA_ARGS__})

#ifdef __cplusplus
}
#endif

#endif
