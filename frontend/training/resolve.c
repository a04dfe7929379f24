/*
 * From compile's options to heads and logs: which loss and metrics each output has, what its target
 * must be, and how all the numbers are called and ordered.
 *
 * Names are Keras's: with one output "loss" and the metrics' own names; with several,
 * "<output>_loss" (if more than one output has a loss) and "<output>_<metric>"; a name that is
 * taken gets _1, _2, ...
 */
#include "frontend/training/training.h"

#include <math.h>
#include <string.h>

/* ---- heads ---- */

/* The options of an output by its name; NULL: none. */
static const cot_output_options *find_output(const cot_output_options *own, int32_t n,
                                             const char *name) {
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(own[i].output, name) == 0) {
            return &own[i];
        }
    }
    return NULL;
}

static bool is_output(const cot_model *model, const char *name) {
    for (size_t i = 0; i < model->output_name.count; i++) {
        if (strcmp(model->output_name.data[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Copy and check the options of single outputs. */
static cot_status read_outputs(const coti_training *training, const cot_compile_options *options,
                               cot_output_options own[COT_MAX_OUTPUT_OPTIONS], int32_t *n_out) {
    cot_context *context = training->context;
    *n_out = 0;
    for (int32_t i = 0; i < COT_MAX_OUTPUT_OPTIONS && options->outputs[i] != NULL; i++) {
        COTI_TRY(
            coti_options_copy(context, "cot_output", options->outputs[i], &own[i], sizeof own[i]));
        if (own[i].output == NULL || !is_output(training->model, own[i].output)) {
            return COTI_FAIL(context, COT_E_ARG, "model \"%s\" has no output \"%.64s\"",
                             training->model->name,
                             own[i].output != NULL ? own[i].output : "(NULL)");
        }
        if (find_output(own, i, own[i].output) != NULL) {
            return COTI_FAIL_OP(context, COT_E_ARG, "compile", own[i].output,
                                "model \"%s\": output \"%s\" has options twice",
                                training->model->name, own[i].output);
        }
        *n_out = i + 1;
    }
    return COT_OK;
}

/* COT_ACCURACY by the shapes: Keras's rule. */
static cot_metric resolve_metric(cot_metric metric, const coti_head *head) {
    if (metric != COT_ACCURACY) {
        return metric;
    }
    if (coti_loss_is_sparse(head)) {
        return COT_SPARSE_CATEGORICAL_ACCURACY;
    }
    const cot_shape *shape = &head->type.shape;
    return shape->dim[shape->rank - 1] == 1 ? COT_BINARY_ACCURACY : COT_CATEGORICAL_ACCURACY;
}

/* What an output is judged by; lists end with COT_NO_METRIC, NULL. */
typedef struct judges {
    const cot_metric *metrics, *weighted;
    const cot_metric_options *const *with;
    const cot_custom_metric *const *custom;
} judges;

/* The lists of a metric's options, which were checked, are copied; thresholds ascend. */
static cot_status own_lists(coti_training *training, cot_metric_options *numbers) {
    coti_arena *arena = &training->arena;
    if (numbers->label_weights != NULL) {
        numbers->label_weights =
            coti_arena_copy(arena, numbers->label_weights,
                            (size_t)numbers->n_label_weights * sizeof *numbers->label_weights);
        if (numbers->label_weights == NULL) {
            return COT_E_NOMEM;
        }
    }
    if (numbers->thresholds == NULL) {
        return COT_OK;
    }
    double *sorted =
        coti_arena_array(arena, (size_t)numbers->n_thresholds, sizeof *numbers->thresholds);
    for (int32_t i = 0; sorted != NULL && i < numbers->n_thresholds; i++) {
        int32_t at = i;
        for (; at > 0 && sorted[at - 1] > numbers->thresholds[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = numbers->thresholds[i];
    }
    numbers->thresholds = sorted;
    return sorted != NULL ? COT_OK : COT_E_NOMEM;
}

static cot_status add_metric(coti_training *training, const cot_metric_options *given,
                             coti_head *head) {
    if (!coti_metric_is_valid(given->metric) || given->metric == COT_NO_METRIC) {
        return COTI_FAIL_OP(training->context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": %d is no metric", head->name, (int)given->metric);
    }
    cot_metric_options numbers = *given;
    numbers.metric = resolve_metric(given->metric, head);
    numbers.name = coti_arena_strdup(
        &training->arena, given->name != NULL ? given->name : cot_metric_name(given->metric));
    if (numbers.name == NULL) {
        return COT_E_NOMEM;
    }
    coti_judge *judge = &head->judge[head->n_judges++];
    COTI_TRY(coti_metric_read(training->context, head, &numbers, judge));
    return own_lists(training, &judge->numbers);
}

static cot_status add_metrics(coti_training *training, const cot_metric *metrics, bool weighted,
                              coti_head *head) {
    for (int32_t i = 0; i < COT_MAX_METRICS && metrics[i] != COT_NO_METRIC; i++) {
        const cot_metric_options plain = {.metric = metrics[i], .weighted = weighted};
        COTI_TRY(add_metric(training, &plain, head));
    }
    return COT_OK;
}

static cot_status add_metrics_with(coti_training *training, const cot_metric_options *const *with,
                                   coti_head *head) {
    for (int32_t i = 0; i < COT_MAX_METRICS && with[i] != NULL; i++) {
        cot_metric_options given;
        COTI_TRY(
            coti_options_copy(training->context, "cot_metric_with", with[i], &given, sizeof given));
        COTI_TRY(add_metric(training, &given, head));
    }
    return COT_OK;
}

static cot_status add_custom(coti_training *training, const cot_custom_metric *const *custom,
                             coti_head *head) {
    for (int32_t i = 0; i < COT_MAX_METRICS && custom[i] != NULL; i++) {
        coti_judge judge = {.metric = COT_NO_METRIC};
        COTI_TRY(coti_options_copy(training->context, "cot_metric_of", custom[i], &judge.custom,
                                   sizeof judge.custom));
        if (judge.custom.name == NULL || judge.custom.function == NULL) {
            return COTI_FAIL_OP(training->context, COT_E_ARG, "compile", head->name,
                                "output \"%s\": custom metric %d has no %s", head->name, (int)i,
                                judge.custom.name == NULL ? "name" : "function");
        }
        judge.name = coti_arena_strdup(&training->arena, judge.custom.name);
        judge.custom.name = judge.name;
        judge.weighted = judge.custom.weighted;
        if (judge.name == NULL) {
            return COT_E_NOMEM;
        }
        head->judge[head->n_judges++] = judge;
    }
    return COT_OK;
}

static cot_status set_judges(coti_training *training, const judges *lists, coti_head *head) {
    head->judge = coti_arena_array(&training->arena, COTI_MOST_JUDGES, sizeof *head->judge);
    if (head->judge == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(add_metrics(training, lists->metrics, false, head));
    COTI_TRY(add_metrics_with(training, lists->with, head));
    COTI_TRY(add_metrics(training, lists->weighted, true, head));
    return add_custom(training, lists->custom, head);
}

/* The target that loss and metrics want; they must want the same. */
static cot_status set_target(coti_training *training, coti_head *head) {
    bool sparse = coti_loss_is_sparse(head);
    for (int32_t i = 0; i < head->n_judges; i++) {
        bool metric_sparse = coti_metric_is_sparse(&head->judge[i]);
        if (head->loss == COT_NO_LOSS && i == 0) {
            sparse = metric_sparse;
        } else if (metric_sparse != sparse) {
            return COTI_FAIL_OP(
                training->context, COT_E_ARG, "compile", head->name,
                "output \"%s\": metric %s does not go with %s %s: one takes "
                "classes as integers, the other floats of the output's shape",
                head->name, head->judge[i].name, head->loss != COT_NO_LOSS ? "loss" : "metric",
                head->loss != COT_NO_LOSS ? cot_loss_name(head->loss) : head->judge[0].name);
        }
    }
    head->target = head->type;
    if (sparse) {
        head->target.dtype = COT_I32;
        head->target.shape.rank--;
    }
    head->i_target = training->n_targets++;
    return COT_OK;
}

static cot_status check_head(const coti_training *training, const coti_head *head) {
    char text[COTI_TYPE_BYTES];
    if (!coti_loss_is_valid(head->loss)) {
        return COTI_FAIL_OP(training->context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": %d is no loss", head->name, (int)head->loss);
    }
    if (head->top_k < 1) {
        return COTI_FAIL_OP(training->context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": top_k is %d, expected 1 or more", head->name,
                            (int)head->top_k);
    }
    if (!isfinite(head->weight)) {
        return COTI_FAIL_OP(training->context, COT_E_ARG, "compile", head->name,
                            "output \"%s\": loss weight %g is not finite", head->name,
                            head->weight);
    }
    if (head->type.shape.rank < 2) {
        return COTI_FAIL_OP(training->context, COT_E_SHAPE, "compile", head->name,
                            "output \"%s\" is %s: losses and metrics expect an axis beside the "
                            "batch",
                            head->name, coti_type_text(text, head->type.dtype, &head->type.shape));
    }
    return COT_OK;
}

/* The output's own judges, or the model's. */
static judges choose_judges(const cot_compile_options *options, const cot_output_options *own) {
    static const cot_metric no_metrics[COT_MAX_METRICS] = {COT_NO_METRIC};
    static const cot_custom_metric *const no_custom[COT_MAX_METRICS] = {NULL};
    static const cot_metric_options *const no_with[COT_MAX_METRICS] = {NULL};
    judges lists = {options->metrics, options->weighted_metrics, options->metrics_with,
                    options->custom_metrics};
    if (own == NULL) {
        return lists;
    }
    if (own->no_metrics) {
        return (judges){no_metrics, no_metrics, no_with, no_custom};
    }
    lists.metrics = own->metrics[0] != COT_NO_METRIC ? own->metrics : lists.metrics;
    lists.weighted =
        own->weighted_metrics[0] != COT_NO_METRIC ? own->weighted_metrics : lists.weighted;
    lists.with = own->metrics_with[0] != NULL ? own->metrics_with : lists.with;
    lists.custom = own->custom_metrics[0] != NULL ? own->custom_metrics : lists.custom;
    return lists;
}

static void choose_loss(const cot_compile_options *options, const cot_output_options *own,
                        coti_head *head) {
    bool no_loss = own != NULL && own->no_loss;
    head->loss = no_loss                                   ? COT_NO_LOSS
                 : own != NULL && own->loss != COT_NO_LOSS ? own->loss
                                                           : options->loss;
    head->weight = own != NULL && (own->loss_weight != 0.0 || signbit(own->loss_weight))
                       ? own->loss_weight
                       : 1.0;
    head->from_logits = options->from_logits || (own != NULL && own->from_logits);
    head->fuse = options->fuse_softmax != COT_OFF;
}

static cot_status resolve_head(coti_training *training, const cot_compile_options *options,
                               const cot_output_options *own, coti_head *head) {
    const judges lists = choose_judges(options, own);
    choose_loss(options, own, head);
    head->top_k = options->top_k != 0 ? options->top_k : 5;
    head->i_target = head->i_loss_sum = head->i_metric_sum = -1;
    if (head->loss == COT_NO_LOSS && lists.metrics[0] == COT_NO_METRIC &&
        lists.weighted[0] == COT_NO_METRIC && lists.with[0] == NULL && lists.custom[0] == NULL) {
        return COT_OK;
    }
    COTI_TRY(check_head(training, head));
    const cot_loss_options *numbers =
        own != NULL && own->loss_options != NULL ? own->loss_options : options->loss_options;
    COTI_TRY(coti_loss_read(training->context, head->loss != COT_NO_LOSS ? numbers : NULL, head));
    COTI_TRY(set_judges(training, &lists, head));
    for (int32_t i = 0; i < head->n_judges; i++) {
        head->judge[i].masked = head->masked && coti_metric_takes_mask(&head->judge[i]);
    }
    COTI_TRY(set_target(training, head));
    if (head->loss != COT_NO_LOSS) {
        head->i_loss_sum = training->n_sums++;
    }
    head->i_metric_sum = training->n_sums;
    training->n_sums += head->n_judges;
    return COT_OK;
}

/* Is any weight that is trained, or any output of a layer, regularized? */
static bool is_regularized(const cot_model *model) {
    for (size_t i = 0; i < model->layer.count; i++) {
        const cot_layer *layer = model->layer.data[i];
        if (!coti_regularizer_is_none(&layer->activity)) {
            return true;
        }
        for (int32_t k = 0; k < layer->n_weights; k++) {
            if (coti_layer_trains_weight(layer, k) &&
                !coti_regularizer_is_none(&layer->weight_options[k]->regularizer)) {
                return true;
            }
        }
    }
    return false;
}

cot_status coti_resolve_heads(coti_training *training, const cot_compile_options *options) {
    const cot_model *model = training->model;
    cot_output_options own[COT_MAX_OUTPUT_OPTIONS];
    int32_t n_own = 0;
    bool has_loss = false;
    COTI_TRY(read_outputs(training, options, own, &n_own));
    training->n_heads = cot_model_n_outputs(model);
    training->head =
        coti_arena_array(&training->arena, (size_t)training->n_heads, sizeof *training->head);
    if (training->head == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < training->n_heads; i++) {
        coti_head *head = &training->head[i];
        head->name = coti_arena_strdup(&training->arena, model->output_name.data[i]);
        head->type = coti_model_call(model, model->output.data[i])->type;
        head->masked = coti_model_call(model, model->output.data[i])->masked;
        if (head->name == NULL) {
            return COT_E_NOMEM;
        }
        COTI_TRY(resolve_head(training, options, find_output(own, n_own, head->name), head));
        has_loss = has_loss || head->loss != COT_NO_LOSS;
    }
    bool penalized = has_loss && is_regularized(model);
    training->i_penalty_sum = penalized ? training->n_sums++ : -1;
    return COT_OK;
}

/* ---- logs ---- */

static bool is_taken(const coti_training *training, const char *name) {
    for (int32_t i = 0; i < training->n_logs; i++) {
        if (strcmp(training->log[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* "<output>_<name>", or "<name>" without an output; a weighted metric's is "weighted_<name>" if
 * that is taken, and what is taken then gets _1, _2, ... NULL: no memory. */
static const char *free_name(coti_training *training, const char *output, const char *name,
                             bool weighted) {
    coti_arena *arena = &training->arena;
    const char *stem = output != NULL ? coti_arena_printf(arena, "%s_%s", output, name)
                                      : coti_arena_strdup(arena, name);
    if (stem != NULL && weighted && is_taken(training, stem)) {
        stem = output != NULL ? coti_arena_printf(arena, "%s_weighted_%s", output, name)
                              : coti_arena_printf(arena, "weighted_%s", name);
    }
    const char *own = stem;
    for (int32_t k = 1; own != NULL && is_taken(training, own); k++) {
        own = coti_arena_printf(arena, "%s_%d", stem, (int)k);
    }
    return own;
}

/* Append an entry; room was made. judge NULL: a loss, called `name`. */
static cot_status add_log(coti_training *training, const char *output, const char *name,
                          int32_t i_sum, const coti_judge *judge) {
    const char *own = free_name(training, output, name, judge != NULL && judge->weighted);
    if (own == NULL) {
        return COT_E_NOMEM;
    }
    training->log[training->n_logs++] = (coti_log_entry){own, i_sum, judge};
    return COT_OK;
}

static int32_t count_losses(const coti_training *training) {
    int32_t n = 0;
    for (int32_t i = 0; i < training->n_heads; i++) {
        n += training->head[i].i_loss_sum >= 0;
    }
    return n;
}

/* Insertion sort by name: logs are few. */
static void sort_logs(coti_training *training) {
    for (int32_t i = 1; i < training->n_logs; i++) {
        coti_log_entry entry = training->log[i];
        int32_t k = i;
        for (; k > 0 && strcmp(training->log[k - 1].name, entry.name) > 0; k--) {
            training->log[k] = training->log[k - 1];
        }
        training->log[k] = entry;
    }
}

/* List the entry of a sum, if it has one. */
static void list_entry(coti_training *training, int32_t i_sum, int32_t *n) {
    for (int32_t i = 0; i < training->n_logs; i++) {
        if (training->log[i].i_sum == i_sum) {
            training->report[(*n)++] = i;
        }
    }
}

static bool is_listed(const coti_training *training, int32_t i_log, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (training->report[i] == i_log) {
            return true;
        }
    }
    return false;
}

/* evaluate's order: the total, each output's loss in the outputs' order, a single output's metrics
 * that have kept their names as compile was given them, then the rest by name. */
static void order_report(coti_training *training) {
    int32_t n = 0;
    list_entry(training, -1, &n);
    for (int32_t i = 0; i < training->n_heads; i++) {
        if (training->head[i].i_loss_sum >= 0) {
            list_entry(training, training->head[i].i_loss_sum, &n);
        }
    }
    const coti_head *only = &training->head[0];
    for (int32_t i = 0; training->n_heads == 1 && i < only->n_judges; i++) {
        for (int32_t k = 0; k < training->n_logs; k++) {
            bool is_its = training->log[k].i_sum == only->i_metric_sum + i &&
                          strcmp(training->log[k].name, only->judge[i].name) == 0;
            if (is_its) {
                training->report[n++] = k;
            }
        }
    }
    for (int32_t i = 0; i < training->n_logs; i++) {
        if (!is_listed(training, i, n)) {
            training->report[n++] = i;
        }
    }
}

static cot_status add_head_logs(coti_training *training, const coti_head *head, bool several,
                                bool own_loss) {
    const char *output = several ? head->name : NULL;
    if (own_loss && head->i_loss_sum >= 0) {
        COTI_TRY(add_log(training, head->name, "loss", head->i_loss_sum, NULL));
    }
    for (int32_t i = 0; i < head->n_judges; i++) {
        const coti_judge *judge = &head->judge[i];
        COTI_TRY(add_log(training, output, judge->name, head->i_metric_sum + i, judge));
    }
    return COT_OK;
}

cot_status coti_resolve_logs(coti_training *training) {
    coti_arena *arena = &training->arena;
    size_t room = (size_t)training->n_sums + 1;
    training->log = coti_arena_array(arena, room, sizeof *training->log);
    training->report = coti_arena_array(arena, room, sizeof *training->report);
    training->reported = coti_arena_array(arena, room, sizeof *training->reported);
    training->validation_name = (const char **)coti_arena_array(arena, room, sizeof(const char *));
    if (training->log == NULL || training->report == NULL || training->reported == NULL ||
        training->validation_name == NULL) {
        return COT_E_NOMEM;
    }
    int32_t n_losses = count_losses(training);
    if (n_losses > 0) {
        COTI_TRY(add_log(training, NULL, "loss", -1, NULL));
    }
    for (int32_t i = 0; i < training->n_heads; i++) {
        COTI_TRY(add_head_logs(training, &training->head[i], training->n_heads > 1, n_losses > 1));
    }
    sort_logs(training);
    order_report(training);
    for (int32_t i = 0; i < training->n_logs; i++) {
        training->validation_name[i] = coti_arena_printf(arena, "val_%s", training->log[i].name);
        if (training->validation_name[i] == NULL) {
            return COT_E_NOMEM;
        }
    }
    return COT_OK;
}
