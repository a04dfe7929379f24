/*
 * Metrics: what a step adds to a metric's sums, and how sums become its value. Formulas stand
 * beside the names in cotangent/training.h. An argmax is taken of a softmax's logits where there
 * are any: it keeps their order, so its values are not needed.
 */
#include "frontend/layers/formula.h"
#include "frontend/training/training.h"

#include <math.h>

/* Keras's epsilon(), and its number of thresholds. */
#define EPSILON 1e-7
enum { THRESHOLDS = 200 };

/* ---- names ---- */

/* The loss that a metric is, or COT_NO_LOSS. */
static cot_loss loss_of(cot_metric metric) {
    if ((int)metric <= (int)COT_METRIC_COUNT) {
        return COT_NO_LOSS;
    }
    cot_loss loss = (cot_loss)((int)metric - (int)COT_METRIC_COUNT);
    return coti_loss_is_valid(loss) && loss != COT_CUSTOM_LOSS ? loss : COT_NO_LOSS;
}

const char *cot_metric_name(cot_metric metric) {
#define NAME(constant, name, value) name,
    static const char *const table[] = {COT_METRIC_LIST(NAME)};
#undef NAME
    if (loss_of(metric) != COT_NO_LOSS) {
        return cot_loss_name(loss_of(metric));
    }
    return coti_metric_is_valid(metric) ? table[metric] : "?";
}

bool coti_metric_is_valid(cot_metric metric) {
    return loss_of(metric) != COT_NO_LOSS ||
           ((int)metric >= 0 && (int)metric < (int)COT_METRIC_COUNT);
}

/* ---- shorthand ---- */

/* What a metric looks at. */
typedef struct row_metric {
    const coti_head *head;
    cot_value t, p;
    cot_value scores; /* in the order of p */
    cot_value weight; /* of each value; poison: 1 */
} row_metric;

static const int32_t last_axis[1] = {-1};

static cot_value as_real(const row_metric *m, cot_value x) {
    return cot_op_cast(x, m->head->type.dtype);
}

static cot_value sum_of_batch(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cot_op_reduce(COT_OP_SUM, x, axes, cot_value_shape(x).rank, false);
}

/* a and b, numbers, as [2]. */
static cot_value pair(cot_value a, cot_value b) {
    const cot_value both[2] = {cot_op_reshape(a, (cot_shape){.rank = 1, .dim = {1}}),
                               cot_op_reshape(b, (cot_shape){.rank = 1, .dim = {1}})};
    return cot_op_concat(both, 2, 0);
}

/* ---- accuracies: a value of each row ---- */

static cot_value binary_accuracy(const row_metric *m) {
    cot_value guess = as_real(m, cot_op_binary(COT_OP_GT, m->p, coti_number(m->p, 0.5)));
    cot_value hit = as_real(m, cot_op_binary(COT_OP_EQ, m->t, guess));
    return cot_op_mean(hit, last_axis, 1, false);
}

static cot_value categorical_accuracy(const row_metric *m) {
    cot_value guess = cot_op_argmax(m->scores, -1);
    return as_real(m, cot_op_binary(COT_OP_EQ, cot_op_argmax(m->t, -1), guess));
}

static cot_value sparse_categorical_accuracy(const row_metric *m) {
    return as_real(m, cot_op_binary(COT_OP_EQ, m->t, cot_op_argmax(m->scores, -1)));
}

/* A row's p at a class, repeated along the classes. */
static cot_value value_at(const row_metric *m, cot_value class) {
    const cot_shape *shape = &m->head->type.shape;
    cot_value hot = cot_op_one_hot(class, shape->dim[shape->rank - 1], COT_BOOL);
    cot_value zero = coti_number(m->scores, 0.0);
    return cot_op_reduce(COT_OP_SUM, cot_op_select(hot, m->scores, zero), last_axis, 1, true);
}

static cot_value in_top_k(const row_metric *m, cot_value class) {
    cot_value is_larger = cot_op_binary(COT_OP_GT, m->scores, value_at(m, class));
    cot_value n_larger = cot_op_reduce(COT_OP_SUM, as_real(m, is_larger), last_axis, 1, false);
    return as_real(m, cot_op_binary(COT_OP_LT, n_larger, coti_number(n_larger, m->head->top_k)));
}

static cot_value top_k_categorical_accuracy(const row_metric *m) {
    return in_top_k(m, cot_op_argmax(m->t, -1));
}

static cot_value sparse_top_k_categorical_accuracy(const row_metric *m) {
    return in_top_k(m, m->t);
}

static cot_value squared_error(const row_metric *m) {
    cot_value error = cot_op_binary(COT_OP_SUB, m->t, m->p);
    return cot_op_mean(cot_op_binary(COT_OP_MUL, error, error), last_axis, 1, false);
}

/* ---- counts: numbers of the batch ---- */

/* x, of elements and n more axes, times the weights of their values, where there are any. */
static cot_value weigh(const row_metric *m, cot_value x, int32_t n) {
    if (m->weight.graph == NULL) {
        return x;
    }
    cot_shape shape = cot_value_shape(m->weight);
    for (int32_t i = 0; i <= n; i++) {
        shape.dim[shape.rank++] = 1;
    }
    return cot_op_binary(COT_OP_MUL, x, cot_op_reshape(m->weight, shape));
}

/* How many elements have t != 0 (or t == 0) and p > 0.5 (or p <= 0.5). */
static cot_value count(const row_metric *m, cot_op of_t, cot_op of_p) {
    cot_value is_so = cot_op_binary(of_t, m->t, coti_number(m->t, 0.0));
    cot_value is_said = cot_op_binary(of_p, m->p, coti_number(m->p, 0.5));
    return sum_of_batch(weigh(m, as_real(m, cot_op_binary(COT_OP_AND, is_so, is_said)), 0));
}

static cot_value true_positives(const row_metric *m) {
    return count(m, COT_OP_NE, COT_OP_GT);
}
static cot_value false_positives(const row_metric *m) {
    return count(m, COT_OP_EQ, COT_OP_GT);
}
static cot_value true_negatives(const row_metric *m) {
    return count(m, COT_OP_EQ, COT_OP_LE);
}
static cot_value false_negatives(const row_metric *m) {
    return count(m, COT_OP_NE, COT_OP_LE);
}
static cot_value precision_counts(const row_metric *m) {
    return pair(true_positives(m), false_positives(m));
}
static cot_value recall_counts(const row_metric *m) {
    return pair(true_positives(m), false_negatives(m));
}

/* x [*] repeated along a new last axis of THRESHOLDS. */
static cot_value at_thresholds(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_shape shape = cot_value_shape(x);
    int32_t rank = shape.rank;
    shape.dim[shape.rank++] = THRESHOLDS;
    return cot_op_broadcast(x, shape, axes, rank);
}

/* -e, 1/199, 2/199, .., 198/199, 1 + e */
static cot_value thresholds(const row_metric *m) {
    double at[THRESHOLDS];
    for (int32_t i = 0; i < THRESHOLDS; i++) {
        at[i] = (double)i / (THRESHOLDS - 1);
    }
    at[0] = -EPSILON;
    at[THRESHOLDS - 1] = 1.0 + EPSILON;
    const cot_shape shape = {.rank = 1, .dim = {THRESHOLDS}};
    return as_real(m, cot_op_constant_array(m->p.graph, COT_F64, shape, at));
}

/* True and false positives at each threshold: [2 THRESHOLDS]. */
static cot_value curve_counts(const row_metric *m) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    cot_value is_said = cot_op_binary(COT_OP_GT, at_thresholds(m->p), thresholds(m));
    cot_value is_so = at_thresholds(cot_op_binary(COT_OP_NE, m->t, coti_number(m->t, 0.0)));
    cot_value is_not = cot_op_unary(COT_OP_NOT, is_so);
    int32_t rank = cot_value_shape(is_so).rank - 1;
    cot_value hits = weigh(m, as_real(m, cot_op_binary(COT_OP_AND, is_so, is_said)), 1);
    cot_value misses = weigh(m, as_real(m, cot_op_binary(COT_OP_AND, is_not, is_said)), 1);
    const cot_value both[2] = {cot_op_reduce(COT_OP_SUM, hits, axes, rank, false),
                               cot_op_reduce(COT_OP_SUM, misses, axes, rank, false)};
    return cot_op_concat(both, 2, 0);
}

/* ---- sums to a value ---- */

static double ratio(double a, double b) {
    return b == 0.0 ? 0.0 : a / b;
}

static double mean_value(const double *sum, double rows) {
    return ratio(sum[0], rows);
}

static double root_value(const double *sum, double rows) {
    return sqrt(ratio(sum[0], rows));
}

static double total_value(const double *sum, double rows) {
    (void)rows;
    return sum[0];
}

static double share_value(const double *sum, double rows) {
    (void)rows;
    return ratio(sum[0], sum[0] + sum[1]);
}

/* Trapezoids under recall over false positives / negatives; all are positive at the first
 * threshold. */
static double auc_value(const double *sum, double rows) {
    (void)rows;
    const double *tp = sum;
    const double *fp = sum + THRESHOLDS;
    double area = 0.0;
    for (int32_t i = 0; i + 1 < THRESHOLDS; i++) {
        double width = ratio(fp[i], fp[0]) - ratio(fp[i + 1], fp[0]);
        area += width * (ratio(tp[i], tp[0]) + ratio(tp[i + 1], tp[0])) / 2.0;
    }
    return area;
}

/* Between thresholds true positives are taken as linear in positives, not precision in recall:
 * Davis, Goadrich, "The relationship between precision-recall and ROC curves", 2006. */
static double auc_pr_value(const double *sum, double rows) {
    (void)rows;
    const double *tp = sum;
    const double *fp = sum + THRESHOLDS;
    double area = 0.0;
    for (int32_t i = 0; i + 1 < THRESHOLDS; i++) {
        double gained = tp[i] - tp[i + 1];
        double before = tp[i] + fp[i];
        double after = tp[i + 1] + fp[i + 1];
        double slope = ratio(gained, fmax(before - after, 0.0));
        double start = tp[i + 1] - slope * after;
        double spread = before > 0.0 && after > 0.0 ? before / after : 1.0;
        area += ratio(slope * (gained + start * log(spread)), tp[0]);
    }
    return area;
}

/* ---- the table ---- */

typedef struct metric_class {
    cot_value (*build)(const row_metric *metric);
    double (*value)(const double *sum, double rows);
    int32_t n_sums;
    bool by_row;    /* build gives a value of each row; else what is to be added */
    bool is_sparse; /* targets are classes as integers */
    int32_t better; /* +1: more is, -1: less is, 0: neither */
} metric_class;

static const metric_class classes[COT_METRIC_COUNT] = {
    [COT_BINARY_ACCURACY] = {binary_accuracy, mean_value, 1, true, false, 1},
    [COT_CATEGORICAL_ACCURACY] = {categorical_accuracy, mean_value, 1, true, false, 1},
    [COT_SPARSE_CATEGORICAL_ACCURACY] = {sparse_categorical_accuracy, mean_value, 1, true, true, 1},
    [COT_TOP_K_CATEGORICAL_ACCURACY] = {top_k_categorical_accuracy, mean_value, 1, true, false, 1},
    [COT_SPARSE_TOP_K_CATEGORICAL_ACCURACY] = {sparse_top_k_categorical_accuracy, mean_value, 1,
                                               true, true, 1},
    [COT_TRUE_POSITIVES] = {true_positives, total_value, 1, false, false, 1},
    [COT_FALSE_POSITIVES] = {false_positives, total_value, 1, false, false, -1},
    [COT_TRUE_NEGATIVES] = {true_negatives, total_value, 1, false, false, 1},
    [COT_FALSE_NEGATIVES] = {false_negatives, total_value, 1, false, false, -1},
    [COT_PRECISION] = {precision_counts, share_value, 2, false, false, 1},
    [COT_RECALL] = {recall_counts, share_value, 2, false, false, 1},
    [COT_AUC] = {curve_counts, auc_value, 2 * THRESHOLDS, false, false, 1},
    [COT_AUC_PR] = {curve_counts, auc_pr_value, 2 * THRESHOLDS, false, false, 1},
    [COT_ROOT_MEAN_SQUARED_ERROR] = {squared_error, root_value, 1, true, false, -1},
};

/* NULL: it is a loss, or one's own. */
static const metric_class *class_of(const coti_judge *judge) {
    cot_metric metric = judge->metric;
    return metric != COT_NO_METRIC && (int)metric < (int)COT_METRIC_COUNT ? &classes[metric] : NULL;
}

/* Is it a mean of a value of each row? */
static bool is_mean(const coti_judge *judge) {
    const metric_class *class = class_of(judge);
    return class == NULL || class->by_row;
}

/* A weighted mean divides by its weights, not by the rows: the sum of weights stands second. */
static bool has_divisor(const coti_judge *judge) {
    return (judge->weighted && is_mean(judge)) || judge->masked;
}

bool coti_metric_takes_mask(const coti_judge *judge) {
    return is_mean(judge) && judge->metric != COT_ROOT_MEAN_SQUARED_ERROR;
}

int32_t coti_metric_sums(const coti_judge *judge) {
    const metric_class *class = class_of(judge);
    if (has_divisor(judge)) {
        return 2;
    }
    return class != NULL ? class->n_sums : 1;
}

bool coti_metric_is_sparse(const coti_judge *judge) {
    const metric_class *class = class_of(judge);
    if (judge->metric == COT_NO_METRIC) {
        return judge->custom.sparse_targets;
    }
    return class != NULL ? class->is_sparse
                         : loss_of(judge->metric) == COT_SPARSE_CATEGORICAL_CROSSENTROPY;
}

static bool is_similarity(const coti_judge *judge) {
    return loss_of(judge->metric) == COT_COSINE_SIMILARITY;
}

int32_t coti_metric_direction(const coti_judge *judge) {
    const metric_class *class = class_of(judge);
    if (judge->metric == COT_NO_METRIC) {
        return judge->custom.better;
    }
    return class != NULL ? class->better : is_similarity(judge) ? 1 : -1;
}

double coti_metric_value(const coti_judge *judge, const double *sum, double rows) {
    const metric_class *class = class_of(judge);
    double n = has_divisor(judge) ? sum[1] : rows;
    if (class != NULL) {
        return class->value(sum, n);
    }
    return is_similarity(judge) ? -mean_value(sum, n) : mean_value(sum, n);
}

/* ---- building ---- */

/* A head that judges by a loss: its numbers are the defaults, the output is what it is. */
static cot_value loss_values(cot_metric metric, const coti_head *head, cot_value p, cot_value t) {
    coti_head judge = {.name = head->name, .type = head->type, .loss = loss_of(metric)};
    if (p.graph == NULL || coti_loss_read(p.graph->context, NULL, &judge) != COT_OK) {
        return coti_poison();
    }
    return coti_loss_build(&judge, coti_plain(p), t);
}

/* What a mean adds up: the sum over rows of their values' mean; weighted: of all values times their
 * weights, and of the weights. */
static cot_value mean_sums(const coti_judge *judge, const row_metric *m, cot_value values) {
    if (values.graph == NULL) {
        return values;
    }
    int64_t n = coti_values_a_row(m->head);
    if (!has_divisor(judge)) {
        cot_value sum = sum_of_batch(values);
        return n == 1 ? sum : coti_div(sum, coti_number(sum, (double)n));
    }
    if (m->weight.graph == NULL) {
        cot_value rows = as_real(m, cot_op_rows(values.graph));
        return pair(sum_of_batch(values), coti_scale(rows, (double)n));
    }
    return pair(sum_of_batch(coti_mul(values, m->weight)), sum_of_batch(m->weight));
}

/* What a value counts: its weight, where the judge looks at weights; 0 where the mask says so. */
static cot_value count_of(const coti_judge *judge, const coti_head *head, cot_value mask,
                          cot_value weight) {
    if (!judge->masked || mask.graph == NULL) {
        return judge->weighted ? weight : coti_poison();
    }
    cot_value counts = cot_op_cast(mask, head->type.dtype);
    return judge->weighted && weight.graph != NULL ? coti_mul(weight, counts) : counts;
}

cot_value coti_metric_build(const coti_judge *judge, const coti_head *head, coti_built output,
                            cot_value target, cot_value weight) {
    bool is_softmax = output.logits.graph != NULL && output.squashed == COT_SOFTMAX;
    const row_metric m = {.head = head,
                          .t = target,
                          .p = output.value,
                          .scores = is_softmax ? output.logits : output.value,
                          .weight = count_of(judge, head, output.mask, weight)};
    const metric_class *class = class_of(judge);
    if (target.graph == NULL || output.value.graph == NULL) {
        return coti_poison();
    }
    if (class != NULL) {
        cot_value made = class->build(&m);
        return class->by_row ? mean_sums(judge, &m, made) : made;
    }
    if (judge->metric != COT_NO_METRIC) {
        return mean_sums(judge, &m, loss_values(judge->metric, head, output.value, target));
    }
    cot_value own = judge->custom.function(target, output.value, judge->custom.user);
    return mean_sums(judge, &m, coti_row_values(head, judge->name, output.value, own, false));
}
