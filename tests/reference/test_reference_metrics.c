/*
 * Every metric against Keras's, weighted and not: of the rows of the first batch, of the first two,
 * and so on, evaluated batch by batch.
 */
#include "probe.h"

#include <math.h>
#include <stdlib.h>

/* Keras sums in f32, ten rows of up to 15 values; we in f64. */
static const double tolerance = 2e-6;

enum { BATCH = 4 };

static cot_metric metric_of(const reference_case *c) {
    for (int metric = 1; metric < (int)COT_METRIC_COUNT; metric++) {
        if (strcmp(cot_metric_name((cot_metric)metric), c->name) == 0) {
            return (cot_metric)metric;
        }
    }
    for (int loss = 1; loss < (int)COT_CUSTOM_LOSS; loss++) {
        if (strcmp(cot_loss_name((cot_loss)loss), c->name) == 0) {
            return COT_LOSS_AS_METRIC(loss);
        }
    }
    fail_msg("no metric %s", c->name);
    return COT_NO_METRIC;
}

static bool is_sparse(const reference_case *c) {
    return strncmp(c->name, "sparse_", strlen("sparse_")) == 0;
}

/* Number `element` of a list such as 0.2,0.5; `missing` where there is none. A 0 is COT_ZERO. */
static double listed(reference_case *c, const char *key, int32_t element, double missing) {
    const char *text = reference_text(c, key);
    for (int32_t i = 0; text != NULL && i < element && strchr(text, ',') != NULL; i++) {
        text = strchr(text, ',') + 1;
    }
    if (text == NULL) {
        return missing;
    }
    double number = strtod(text, NULL);
    return number == 0.0 ? COT_ZERO : number;
}

/* All numbers of a list, for options that are lists in Keras and here. */
typedef struct list {
    double number[16];
    int32_t n;
} list;

static list list_of(reference_case *c, const char *key) {
    list l = {.n = 0};
    const char *text = reference_text(c, key);
    while (text != NULL && *text != '\0') {
        char *end = NULL;
        assert_true(l.n < 16);
        l.number[l.n++] = strtod(text, &end);
        text = *end == ',' ? end + 1 : end;
    }
    return l;
}

static cot_average average_of(const char *text) {
    static const char *const names[] = {"none", "micro", "macro", "weighted"};
    for (int32_t i = 1; text != NULL && i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (cot_average)i;
        }
    }
    return COT_AVERAGE_NONE;
}

static cot_summation summation_of(const char *text) {
    const bool minoring = text != NULL && strcmp(text, "minoring") == 0;
    assert_true(text == NULL || minoring || strcmp(text, "majoring") == 0 ||
                strcmp(text, "interpolation") == 0);
    return minoring                                        ? COT_SUMMATION_MINORING
           : text != NULL && strcmp(text, "majoring") == 0 ? COT_SUMMATION_MAJORING
                                                           : COT_SUMMATION_INTERPOLATION;
}

/* Those of a curve. The lists live in *thresholds and *weights. */
static void read_curve(reference_case *c, cot_metric_options *o, list *thresholds, list *weights) {
    *weights = list_of(c, "label_weights");
    o->summation = summation_of(reference_text(c, "summation_method"));
    o->multi_label = reference_switch(c, "multi_label");
    o->from_logits = reference_switch(c, "from_logits");
    o->label_weights = weights->n > 0 ? weights->number : NULL;
    o->n_label_weights = weights->n;
    if (o->metric == COT_AUC || o->metric == COT_AUC_PR) {
        *thresholds = list_of(c, "thresholds");
        o->threshold = 0.0;
        o->thresholds = thresholds->n > 0 ? thresholds->number : NULL;
        o->n_thresholds = thresholds->n;
    }
}

/* The options of the case. An element is a place in Keras's list of thresholds, else a class. */
static cot_metric_options options_of(reference_case *c) {
    cot_metric_options o = COT_METRIC_OPTIONS_INIT;
    const int32_t element = (int32_t)reference_number(c, "element", -1);
    const double threshold = listed(c, "threshold", 0, 0.0);
    const int32_t class_id = (int32_t)reference_number(c, "class_id", -1);
    const char *aggregation = reference_text(c, "class_aggregation");
    o.metric = metric_of(c);
    o.threshold = listed(c, "thresholds", element, threshold);
    const bool is_class = element >= 0 && reference_text(c, "thresholds") == NULL;
    o.of_class = is_class || class_id >= 0;
    o.class_id = is_class ? element : class_id >= 0 ? class_id : 0;
    o.top_k = (int32_t)reference_number(c, "top_k", 0);
    o.average = average_of(reference_text(c, "average"));
    o.beta = reference_number(c, "beta", 0);
    o.at = listed(c, "at", 0, 0.0);
    o.num_thresholds = (int32_t)reference_number(c, "num_thresholds", 0);
    o.num_regressors = (int32_t)reference_number(c, "num_regressors", 0);
    o.class_aggregation =
        aggregation != NULL && strcmp(aggregation, "variance_weighted_average") == 0
            ? COT_VARIANCE_WEIGHTED_AVERAGE
        : o.metric == COT_R2_SCORE && is_class ? COT_AGGREGATION_NONE
                                               : COT_UNIFORM_AVERAGE;
    o.weighted = reference_find(c, "weights") != NULL;
    return o;
}

/* Can a list of metrics without options say it? */
static bool is_plain(const cot_metric_options *o) {
    const cot_metric_options plain = {.struct_size = o->struct_size, .metric = o->metric};
    const bool same = o->threshold == plain.threshold && !signbit(o->threshold) &&
                      o->num_thresholds == 0 && o->beta == 0.0 && o->at == 0.0;
    return same && !o->of_class && o->average == COT_AVERAGE_NONE && o->num_regressors == 0 &&
           o->class_aggregation == COT_UNIFORM_AVERAGE && o->metric != COT_PRECISION &&
           o->metric != COT_RECALL && o->n_thresholds == 0 && o->n_label_weights == 0 &&
           o->summation == COT_SUMMATION_INTERPOLATION && !o->multi_label && !o->from_logits;
}

/* A model that passes rows through. */
static cot_model *identity(reference_case *c, const reference_array *output) {
    cot_shape row = {.rank = output->rank - 1};
    for (int32_t i = 0; i < row.rank; i++) {
        row.dim[i] = output->dim[i + 1];
    }
    cot_tensor x = cot_input(probe_context(), COT_F32, row, NULL);
    cot_tensor y = cot_activation(x, COT_LINEAR);
    cot_model *model = cot_model_create(x.context, COT_TENSORS(x), COT_TENSORS(y), NULL);
    assert_non_null(model);
    cot_metric_options judge = options_of(c);
    list thresholds, label_weights;
    read_curve(c, &judge, &thresholds, &label_weights);
    cot_compile_options options = COT_COMPILE_OPTIONS_INIT;
    if (is_plain(&judge)) {
        options.top_k = judge.top_k;
        *(judge.weighted ? options.weighted_metrics : options.metrics) = judge.metric;
    } else {
        options.metrics_with[0] = &judge;
    }
    CHECK_OK(x.context, cot_model_compile_with(model, &options));
    return model;
}

/* The one number of an evaluation that is not the loss. */
static double judged(cot_model *model, const cot_dataset *data) {
    cot_logs logs;
    CHECK_OK(probe_context(), cot_model_evaluate(model, data, &logs, .batch_size = BATCH));
    for (int32_t i = 0; i < logs.n; i++) {
        if (strcmp(logs.log[i].name, "loss") != 0) {
            return logs.log[i].value;
        }
    }
    fail_msg("no metric in the logs");
    return 0.0;
}

/* Rows [0, n) of the case. `data` is what its arrays are as numbers. */
typedef struct columns {
    float *output, *target, *weights;
    int32_t *classes;
} columns;

static cot_dataset *first_rows(reference_case *c, const columns *all, int64_t n) {
    const reference_array *target = reference_need(c, "target");
    cot_array x = probe_floats(reference_need(c, "output"), all->output);
    cot_array t =
        is_sparse(c) ? probe_integers(target, all->classes) : probe_floats(target, all->target);
    x.n_rows = t.n_rows = n;
    cot_dataset *data = cot_dataset_create(probe_context(), (cot_array_list){&x, 1},
                                           (cot_array_list){&t, 1}, COT_BORROW);
    assert_non_null(data);
    if (all->weights == NULL) {
        return data;
    }
    const cot_array w = {.data = all->weights, .dtype = COT_F32, .n_rows = n, .row_elements = 1};
    cot_dataset *weighted =
        cot_dataset_with_sample_weights(data, (cot_array_list){&w, 1}, COT_BORROW);
    assert_non_null(weighted);
    cot_dataset_destroy(data);
    return weighted;
}

static void after_each_batch(void **state) {
    reference_case *c = *state;
    const reference_array *output = reference_need(c, "output"),
                          *target = reference_need(c, "target"),
                          *weights = reference_find(c, "weights"),
                          *expected = reference_need(c, "values");
    columns all = {.output = reference_floats(output),
                   .target = reference_floats(target),
                   .weights = weights != NULL ? reference_floats(weights) : NULL,
                   .classes = is_sparse(c) ? reference_integers(target) : NULL};
    cot_model *model = identity(c, output);
    for (int64_t i = 0; i < expected->n; i++) {
        int64_t n = BATCH * (i + 1) < output->dim[0] ? BATCH * (i + 1) : output->dim[0];
        cot_dataset *data = first_rows(c, &all, n);
        reference_check_number(c, "the value", judged(model, data), expected->value[i], tolerance);
        cot_dataset_destroy(data);
    }
    reference_check_used(c);
    cot_model_destroy(model);
    free(all.output);
    free(all.target);
    free(all.weights);
    free(all.classes);
}

int main(int argc, char **argv) {
    return probe_run(argc, argv, "metrics.txt", after_each_batch);
}
