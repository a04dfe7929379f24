/*
 * Options of metrics: their defaults, their ranges, and which metric has which. One that a metric
 * has not is refused, as Keras's constructors do.
 */
#include "frontend/training/metric.h"

#include <math.h>

enum { DEFAULT_THRESHOLDS = 200, MOST_THRESHOLDS = 2000 };

/* No threshold at all: Keras's, where there is a top_k. */
static const double below_all = -1e10;

static bool is_given(double number) {
    return number != 0.0 || signbit(number);
}

/* An option that is given and that the metric does not take; NULL: none. */
static const char *untaken(const cot_metric_options *given, uint32_t takes) {
    const struct {
        const char *name;
        bool given;
        uint32_t flag;
    } option[] = {
        {"threshold", is_given(given->threshold), COTI_TAKES_THRESHOLD},
        {"top_k", given->top_k != 0, COTI_TAKES_TOP_K},
        {"of_class", given->of_class, COTI_TAKES_CLASS},
        {"average", given->average != COT_AVERAGE_NONE, COTI_TAKES_AVERAGE},
        {"beta", is_given(given->beta), COTI_TAKES_BETA},
        {"class_aggregation", given->class_aggregation != COT_UNIFORM_AVERAGE,
         COTI_TAKES_AGGREGATION},
        {"num_regressors", given->num_regressors != 0, COTI_TAKES_AGGREGATION},
        {"num_thresholds", given->num_thresholds != 0, COTI_TAKES_THRESHOLDS},
        {"at", is_given(given->at), COTI_TAKES_BOUND},
        {"thresholds", given->thresholds != NULL || given->n_thresholds != 0, COTI_TAKES_CURVE},
        {"summation", given->summation != COT_SUMMATION_INTERPOLATION, COTI_TAKES_CURVE},
        {"multi_label", given->multi_label, COTI_TAKES_CURVE},
        {"label_weights", given->label_weights != NULL || given->n_label_weights != 0,
         COTI_TAKES_CURVE},
        {"from_logits", given->from_logits, COTI_TAKES_CURVE},
    };
    for (size_t i = 0; i < sizeof option / sizeof option[0]; i++) {
        if (option[i].given && (takes & option[i].flag) == 0) {
            return option[i].name;
        }
    }
    return NULL;
}

/* Are all n numbers between 0 and the most? There are none if they are NULL. */
static bool lie_within(const double *number, int32_t n, double most) {
    bool within = (number != NULL) == (n > 0);
    for (int32_t i = 0; within && i < n; i++) {
        within = number[i] >= 0.0 && number[i] <= most;
    }
    return within;
}

/* The same of the options of curves. */
static const char *curve_fault_of(const cot_metric_options *n, int32_t n_classes) {
    if (n->n_thresholds < 0 || n->n_thresholds > MOST_THRESHOLDS - 2 ||
        !lie_within(n->thresholds, n->n_thresholds, 1.0)) {
        return "thresholds must be n_thresholds numbers in [0, 1], at most 1998";
    }
    if (n->n_thresholds != 0 && n->num_thresholds != 0) {
        return "thresholds and num_thresholds: one or the other";
    }
    if ((int)n->summation < 0 || n->summation > COT_SUMMATION_MAJORING) {
        return "summation is no cot_summation";
    }
    if ((n->n_label_weights != 0 && n->n_label_weights != n_classes) ||
        !lie_within(n->label_weights, n->n_label_weights, 1e30)) {
        return "label_weights must be n_label_weights numbers that are not negative, one for each "
               "place of the last axis";
    }
    return NULL;
}

/* What is wrong with the numbers as they are given; NULL: nothing. */
static const char *fault_of(const cot_metric_options *n, uint32_t takes, int32_t n_classes) {
    bool is_ranked = (takes & COTI_TAKES_TOP_K) != 0 && (takes & COTI_TAKES_CLASS) != 0;
    if (!(n->threshold >= 0.0 && n->threshold <= 1.0)) {
        return "threshold must lie in [0, 1]";
    }
    if (n->top_k < 0 || (is_ranked && n->top_k > n_classes)) {
        return "top_k must be 1 or more, and no more than there are classes";
    }
    if (n->of_class && (n->class_id < 0 || n->class_id >= n_classes)) {
        return "class_id is none of the classes of the last axis";
    }
    if (!n->of_class && n->class_id != 0) {
        return "class_id is given without of_class";
    }
    if ((int)n->average < 0 || n->average > COT_AVERAGE_WEIGHTED) {
        return "average is no cot_average";
    }
    if (!(n->beta >= 0.0) || !isfinite(n->beta) || signbit(n->beta)) {
        return "beta must be more than 0";
    }
    if ((int)n->class_aggregation < 0 || n->class_aggregation > COT_AGGREGATION_NONE) {
        return "class_aggregation is no cot_class_aggregation";
    }
    if (n->num_regressors < 0) {
        return "num_regressors must be 0 or more";
    }
    if (n->num_thresholds != 0 && (n->num_thresholds < 2 || n->num_thresholds > MOST_THRESHOLDS)) {
        return "num_thresholds must be 2 to 2000";
    }
    if (!(n->at >= 0.0 && n->at <= 1.0)) {
        return "at must lie in [0, 1]";
    }
    return curve_fault_of(n, n_classes);
}

/* What else the metric needs; NULL: nothing. */
static const char *lack_of(const cot_metric_options *n, uint32_t takes) {
    bool averages = (takes & COTI_TAKES_AVERAGE) != 0 && n->average != COT_AVERAGE_NONE;
    bool aggregates =
        (takes & COTI_TAKES_AGGREGATION) != 0 && n->class_aggregation != COT_AGGREGATION_NONE;
    if ((takes & COTI_TAKES_BOUND) != 0 && !is_given(n->at)) {
        return "at is not given";
    }
    if ((takes & COTI_TAKES_AVERAGE) != 0 && averages == n->of_class) {
        return averages ? "an average is not of_class: one or the other"
                        : "a metric is one number: give average, or of_class and class_id";
    }
    if ((takes & COTI_TAKES_AGGREGATION) != 0 && !aggregates && !n->of_class) {
        return "a metric is one number: without class_aggregation give of_class and class_id";
    }
    return NULL;
}

static double threshold_of(const cot_metric_options *n, uint32_t takes) {
    if (is_given(n->threshold)) {
        return n->threshold;
    }
    if ((takes & COTI_TAKES_AVERAGE) != 0) {
        return NAN;
    }
    return n->top_k != 0 && (takes & COTI_TAKES_CLASS) != 0 ? below_all : 0.5;
}

static void fill_in(cot_metric_options *n, const coti_head *head, uint32_t takes) {
    bool is_accuracy = (takes & COTI_TAKES_TOP_K) != 0 && (takes & COTI_TAKES_CLASS) == 0;
    n->threshold = threshold_of(n, takes);
    n->top_k = n->top_k == 0 && is_accuracy ? head->top_k : n->top_k;
    n->beta = n->beta == 0.0 ? 1.0 : n->beta;
    n->num_thresholds = n->n_thresholds != 0     ? n->n_thresholds + 2
                        : n->num_thresholds == 0 ? DEFAULT_THRESHOLDS
                                                 : n->num_thresholds;
}

/* Scores of classes are of rows without more axes, and their classes are few enough. */
static cot_status check_shape(cot_context *context, const coti_head *head, const coti_judge *judge,
                              uint32_t takes) {
    char text[COTI_TYPE_BYTES];
    bool by_class =
        (takes & (COTI_TAKES_AVERAGE | COTI_TAKES_AGGREGATION)) != 0 || judge->numbers.multi_label;
    if (by_class && head->type.shape.rank != 2) {
        return COTI_FAIL_OP(context, COT_E_SHAPE, "compile", head->name,
                            "output \"%s\" is %s: metric %s expects one axis beside the batch",
                            head->name, coti_type_text(text, head->type.dtype, &head->type.shape),
                            judge->name);
    }
    if (coti_metric_sums(judge) > COTI_MOST_SUMS) {
        return COTI_FAIL_OP(context, COT_E_UNSUPPORTED, "compile", head->name,
                            "output \"%s\": metric %s keeps %d sums of %d classes, at most %d are "
                            "possible",
                            head->name, judge->name, (int)coti_metric_sums(judge),
                            (int)judge->n_classes, (int)COTI_MOST_SUMS);
    }
    return COT_OK;
}

/* The last axis; an extent beyond i32 has too many classes for any metric of classes. */
static int32_t last_extent(const cot_shape *shape) {
    int64_t n = shape->dim[shape->rank - 1];
    return n < INT32_MAX / 8 ? (int32_t)n : INT32_MAX / 8;
}

cot_status coti_metric_read(cot_context *context, const coti_head *head,
                            const cot_metric_options *numbers, coti_judge *judge_out) {
    const coti_metric_class *class = coti_metric_class_of(numbers->metric);
    uint32_t takes = class != NULL ? class->takes : 0;
    *judge_out = (coti_judge){.name = numbers->name,
                              .metric = numbers->metric,
                              .weighted = numbers->weighted,
                              .n_classes = last_extent(&head->type.shape),
                              .numbers = *numbers};
    const char *option = untaken(numbers, takes);
    if (option != NULL) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": metric %s has no option %s", head->name, numbers->name,
                            option);
    }
    const char *fault = fault_of(numbers, takes, judge_out->n_classes);
    fault = fault == NULL ? lack_of(numbers, takes) : fault;
    if (fault != NULL) {
        return COTI_FAIL_OP(context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": metric %s: %s", head->name, numbers->name, fault);
    }
    fill_in(&judge_out->numbers, head, takes);
    return check_shape(context, head, judge_out, takes);
}
