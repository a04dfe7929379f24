/*
 * Metrics: what a step adds to a metric's sums, and how sums become its value. Formulas stand
 * beside the names in cotangent/losses.h. An argmax is taken of a softmax's logits where there
 * are any: it keeps their order, so its values are not needed.
 */
#include "frontend/training/metric.h"

#include <math.h>

typedef coti_row_metric row_metric;

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
    cot_value guess =
        as_real(m, cot_op_binary(COT_OP_GT, m->p, coti_number(m->p, m->judge->numbers.threshold)));
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
    return as_real(
        m, cot_op_binary(COT_OP_LT, n_larger, coti_number(n_larger, m->judge->numbers.top_k)));
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

/* ---- what the files of metrics share ---- */

cot_value coti_metric_real(const row_metric *m, cot_value x) {
    return as_real(m, x);
}

cot_value coti_metric_weigh(const row_metric *m, cot_value x, int32_t n) {
    if (m->weight.graph == NULL) {
        return x;
    }
    cot_shape shape = cot_value_shape(m->weight);
    for (int32_t i = 0; i <= n; i++) {
        shape.dim[shape.rank++] = 1;
    }
    return cot_op_binary(COT_OP_MUL, x, cot_op_reshape(m->weight, shape));
}

cot_value coti_metric_of_class(const row_metric *m, cot_value x) {
    static const int64_t stride[COT_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (!m->judge->numbers.of_class || x.graph == NULL) {
        return x;
    }
    int64_t start[COT_MAX_RANK] = {0};
    cot_shape size = cot_value_shape(x);
    start[size.rank - 1] = m->judge->numbers.class_id;
    size.dim[size.rank - 1] = 1;
    return cot_op_slice(x, start, size.dim, stride);
}

int32_t coti_metric_classes(const coti_judge *judge) {
    return judge->numbers.of_class ? 1 : judge->n_classes;
}

int32_t coti_metric_labels(const coti_judge *judge) {
    return judge->numbers.multi_label ? judge->n_classes : 1;
}

double coti_metric_ratio(double a, double b) {
    return b == 0.0 ? 0.0 : a / b;
}

/* ---- sums to a value ---- */

static double mean_value(const coti_judge *judge, const double *sum, double rows) {
    (void)judge;
    return coti_metric_ratio(sum[0], rows);
}

static double root_value(const coti_judge *judge, const double *sum, double rows) {
    (void)judge;
    return sqrt(coti_metric_ratio(sum[0], rows));
}

static double total_value(const coti_judge *judge, const double *sum, double rows) {
    (void)judge;
    (void)rows;
    return sum[0];
}

/* ---- the table ---- */

/* Options that go together. */
enum {
    TAKES_OF_SHARES = COTI_TAKES_THRESHOLD | COTI_TAKES_TOP_K | COTI_TAKES_CLASS,
    TAKES_OF_CURVES = COTI_TAKES_THRESHOLDS | COTI_TAKES_CURVE,
    TAKES_OF_BOUNDED = COTI_TAKES_BOUND | COTI_TAKES_THRESHOLDS | COTI_TAKES_CLASS,
    TAKES_OF_F1 = COTI_TAKES_AVERAGE | COTI_TAKES_THRESHOLD | COTI_TAKES_CLASS,
    TAKES_OF_FBETA = TAKES_OF_F1 | COTI_TAKES_BETA,
    TAKES_OF_R2 = COTI_TAKES_AGGREGATION | COTI_TAKES_CLASS
};

static const coti_metric_class classes[COT_METRIC_COUNT] = {
    [COT_BINARY_ACCURACY] =
        {binary_accuracy, mean_value, {1, 0, 0}, true, false, 1, COTI_TAKES_THRESHOLD},
    [COT_CATEGORICAL_ACCURACY] = {categorical_accuracy, mean_value, {1, 0, 0}, true, false, 1, 0},
    [COT_SPARSE_CATEGORICAL_ACCURACY] =
        {sparse_categorical_accuracy, mean_value, {1, 0, 0}, true, true, 1, 0},
    [COT_TOP_K_CATEGORICAL_ACCURACY] =
        {top_k_categorical_accuracy, mean_value, {1, 0, 0}, true, false, 1, COTI_TAKES_TOP_K},
    [COT_SPARSE_TOP_K_CATEGORICAL_ACCURACY] =
        {sparse_top_k_categorical_accuracy, mean_value, {1, 0, 0}, true, true, 1, COTI_TAKES_TOP_K},
    [COT_TRUE_POSITIVES] =
        {coti_true_positives, total_value, {1, 0, 0}, false, false, 1, COTI_TAKES_THRESHOLD},
    [COT_FALSE_POSITIVES] =
        {coti_false_positives, total_value, {1, 0, 0}, false, false, -1, COTI_TAKES_THRESHOLD},
    [COT_TRUE_NEGATIVES] =
        {coti_true_negatives, total_value, {1, 0, 0}, false, false, 1, COTI_TAKES_THRESHOLD},
    [COT_FALSE_NEGATIVES] =
        {coti_false_negatives, total_value, {1, 0, 0}, false, false, -1, COTI_TAKES_THRESHOLD},
    [COT_PRECISION] =
        {coti_precision_counts, coti_share_value, {2, 0, 0}, false, false, 1, TAKES_OF_SHARES},
    [COT_RECALL] =
        {coti_recall_counts, coti_share_value, {2, 0, 0}, false, false, 1, TAKES_OF_SHARES},
    [COT_AUC] = {coti_curve_counts, coti_auc_value, {0, 2, 0}, false, false, 1, TAKES_OF_CURVES},
    [COT_AUC_PR] = {coti_curve_counts, coti_auc_value, {0, 2, 0}, false, false, 1, TAKES_OF_CURVES},
    [COT_SENSITIVITY_AT_SPECIFICITY] =
        {coti_bounded_counts, coti_bounded_value, {2, 2, 0}, false, false, 1, TAKES_OF_BOUNDED},
    [COT_SPECIFICITY_AT_SENSITIVITY] =
        {coti_bounded_counts, coti_bounded_value, {2, 2, 0}, false, false, 1, TAKES_OF_BOUNDED},
    [COT_PRECISION_AT_RECALL] =
        {coti_bounded_counts, coti_bounded_value, {2, 2, 0}, false, false, 1, TAKES_OF_BOUNDED},
    [COT_RECALL_AT_PRECISION] =
        {coti_bounded_counts, coti_bounded_value, {2, 2, 0}, false, false, 1, TAKES_OF_BOUNDED},
    [COT_FBETA_SCORE] =
        {coti_fbeta_counts, coti_fbeta_value, {0, 0, 3}, false, false, 1, TAKES_OF_FBETA},
    [COT_F1_SCORE] = {coti_fbeta_counts, coti_fbeta_value, {0, 0, 3}, false, false, 1, TAKES_OF_F1},
    [COT_R2_SCORE] = {coti_r2_sums, coti_r2_value, {1, 0, 3}, false, false, 1, TAKES_OF_R2},
    [COT_ROOT_MEAN_SQUARED_ERROR] = {squared_error, root_value, {1, 0, 0}, true, false, -1, 0},
};

const coti_metric_class *coti_metric_class_of(cot_metric metric) {
    return metric != COT_NO_METRIC && (int)metric < (int)COT_METRIC_COUNT ? &classes[metric] : NULL;
}

static const coti_metric_class *class_of(const coti_judge *judge) {
    return coti_metric_class_of(judge->metric);
}

/* Is it a mean of a value of each row? */
static bool is_mean(const coti_judge *judge) {
    const coti_metric_class *class = class_of(judge);
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
    const coti_metric_class *class = class_of(judge);
    if (has_divisor(judge) || class == NULL) {
        return has_divisor(judge) ? 2 : 1;
    }
    return class->sums.in_all +
           class->sums.a_threshold * judge->numbers.num_thresholds * coti_metric_labels(judge) +
           class->sums.a_class * coti_metric_classes(judge);
}

bool coti_metric_is_sparse(const coti_judge *judge) {
    const coti_metric_class *class = class_of(judge);
    if (judge->metric == COT_NO_METRIC) {
        return judge->custom.sparse_targets;
    }
    return class != NULL ? class->is_sparse : coti_loss_takes_classes(loss_of(judge->metric));
}

static bool is_similarity(const coti_judge *judge) {
    return loss_of(judge->metric) == COT_COSINE_SIMILARITY;
}

int32_t coti_metric_direction(const coti_judge *judge) {
    const coti_metric_class *class = class_of(judge);
    if (judge->metric == COT_NO_METRIC) {
        return judge->custom.better;
    }
    return class != NULL ? class->better : is_similarity(judge) ? 1 : -1;
}

double coti_metric_value(const coti_judge *judge, const double *sum, double rows) {
    const coti_metric_class *class = class_of(judge);
    double n = has_divisor(judge) ? sum[1] : rows;
    if (class != NULL) {
        return class->value(judge, sum, n);
    }
    return is_similarity(judge) ? -mean_value(judge, sum, n) : mean_value(judge, sum, n);
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
    int64_t n = coti_values_a_row(&m->head->type.shape, 0);
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
    bool is_softmax =
        output.logits.graph != NULL && output.squashed == COT_SOFTMAX && output.squash_axis == 0;
    const row_metric m = {.head = head,
                          .judge = judge,
                          .t = target,
                          .p = output.value,
                          .scores = is_softmax ? output.logits : output.value,
                          .weight = count_of(judge, head, output.mask, weight)};
    const coti_metric_class *class = class_of(judge);
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
