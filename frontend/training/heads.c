/*
 * What is made of a model's outputs: targets and sample weights as further inputs of the graph,
 * "<output>/target" and "<output>/sample_weight" behind the model's own, losses, metrics, the sums
 * that they update, and regularization.
 *
 * A loss's sum grows by the batch's loss times its rows, so that an epoch's loss, sum / rows,
 * weighs batches by their rows, whatever the reduction.
 */
#include "frontend/layers/formula.h"
#include "frontend/training/training.h"

#include <stdio.h>

static const int32_t all_axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};

static cot_value sum_of_all(cot_value x) {
    return cot_op_reduce(COT_OP_SUM, x, all_axes, cot_value_shape(x).rank, false);
}

int64_t coti_values_a_row(const cot_shape *shape, int32_t axis) {
    int64_t n = 1; /* an output's shape was checked: no overflow */
    for (int32_t i = 1; i < shape->rank; i++) {
        n *= i == (axis != 0 ? axis : shape->rank - 1) ? 1 : shape->dim[i];
    }
    return n;
}

int64_t coti_loss_values_a_row(const coti_head *head) {
    return coti_values_a_row(&head->type.shape, head->numbers.axis);
}

/* The sum over rows of the mean of each row's values, a scalar. */
static cot_value sum_rows(const coti_head *head, cot_value values) {
    cot_value sum = sum_of_all(values);
    int64_t n = coti_loss_values_a_row(head);
    return n == 1 ? sum : coti_div(sum, coti_number(sum, (double)n));
}

/* The mode's sum i += sum, in f64; of a metric with several sums, [n]. */
static cot_status add_to_sum(const coti_training *training, cot_graph *graph, coti_mode_id mode,
                             int32_t i_sum, cot_value sum) {
    cot_value state = cot_op_state(graph, training->mode[mode].sum[i_sum]);
    return cot_graph_update(state, cot_op_binary(COT_OP_ADD, state, cot_op_cast(sum, COT_F64)));
}

void coti_target_name(const coti_head *head, char name[COTI_TARGET_BYTES]) {
    (void)snprintf(name, COTI_TARGET_BYTES, "%s/target", head->name);
}

void coti_weight_name(const coti_head *head, char name[COTI_TARGET_BYTES]) {
    (void)snprintf(name, COTI_TARGET_BYTES, "%s/sample_weight", head->name);
}

/* ---- sample weights ---- */

bool coti_head_takes_weights(const coti_head *head) {
    bool takes = head->i_loss_sum >= 0;
    for (int32_t i = 0; i < head->n_judges; i++) {
        takes = takes || head->judge[i].weighted;
    }
    return takes;
}

/* The weights as they come, [N] or of the loss's values; poison: all count alike. */
static cot_value lower_weights(const coti_head *head, cot_graph *graph, coti_weighting weighting) {
    char name[COTI_TARGET_BYTES];
    cot_shape given = coti_loss_shape(head);
    if (weighting == COTI_UNWEIGHTED) {
        return coti_poison();
    }
    if (weighting == COTI_WEIGHTED_BY_ROW) {
        given = (cot_shape){.rank = 1, .batched = true, .dim = {given.dim[0]}};
    }
    coti_weight_name(head, name);
    return cot_op_cast(cot_op_input(graph, COT_F32, given, name), head->type.dtype);
}

/* A weight for each value of this shape. */
static cot_value weight_values(cot_value weight, cot_shape shape) {
    return weight.graph == NULL || cot_value_shape(weight).rank == shape.rank
               ? weight
               : cot_op_broadcast(weight, shape, all_axes, 1);
}

/* ---- losses ---- */

/* a / b, 0 where b is 0. */
static cot_value ratio(cot_value a, cot_value b) {
    cot_value zero = coti_number(b, 0.0);
    cot_value is_zero = cot_op_binary(COT_OP_EQ, b, zero);
    cot_value safe = cot_op_select(is_zero, coti_number(b, 1.0), b);
    return cot_op_select(is_zero, zero, coti_div(a, safe));
}

/* a times b, where there is a b. */
static cot_value times(cot_value a, cot_value b) {
    return b.graph == NULL ? a : coti_mul(a, b);
}

/* A batch's loss, and what its sum grows by. */
typedef struct reduced {
    cot_value loss, sum;
} reduced;

/* Of a mean over the batch: the loss is its sum by the rows. */
static reduced from_sum(cot_value sum) {
    cot_value rows = cot_op_cast(cot_op_rows(sum.graph), cot_value_dtype(sum));
    return (reduced){coti_div(sum, rows), sum};
}

/* Of any number of a batch. */
static reduced from_loss(cot_value loss) {
    cot_value rows = cot_op_cast(cot_op_rows(loss.graph), cot_value_dtype(loss));
    return (reduced){loss, coti_mul(loss, rows)};
}

/* values: [N,..], or the loss of the batch; weight and mask as them, or poison. */
static reduced reduce_loss(const coti_head *head, cot_value values, cot_value weight,
                           cot_value mask) {
    if (values.graph == NULL || cot_value_shape(values).rank == 0) {
        return values.graph == NULL ? (reduced){values, values} : from_loss(values);
    }
    cot_value all = mask.graph == NULL || weight.graph == NULL
                        ? (mask.graph == NULL ? weight : mask)
                        : coti_mul(mask, weight);
    cot_value weighted = times(values, all);
    switch (head->numbers.reduction) {
    case COT_REDUCTION_SUM:
        return from_loss(sum_of_all(weighted));
    case COT_MEAN_WITH_SAMPLE_WEIGHT:
        if (all.graph != NULL) {
            return from_loss(ratio(sum_of_all(weighted), sum_of_all(all)));
        }
        break;
    case COT_REDUCTION_DEFAULT:
    case COT_SUM_OVER_BATCH_SIZE:
    case COT_REDUCTION_MEAN:
        if (mask.graph != NULL) {
            return from_loss(ratio(sum_of_all(weighted), sum_of_all(mask)));
        }
        break;
    }
    return from_sum(sum_rows(head, weighted));
}

/* One output's part of the total loss, added to *loss. */
static void add_to_loss(const coti_head *head, cot_value part, cot_value *loss) {
    part = head->weight != 1.0 ? coti_scale(part, head->weight) : part;
    *loss = loss->graph == NULL ? part : coti_add(*loss, part);
}

/* Which values count, 0 or 1 in the output's dtype: those of the output's mask whose class is not
 * ignored; poison: all. */
static cot_value lower_loss_mask(const coti_head *head, coti_built output, cot_value target) {
    cot_value of_class = coti_loss_mask(head, target);
    if (output.mask.graph == NULL) {
        return of_class;
    }
    return times(cot_op_cast(output.mask, head->type.dtype), of_class);
}

static cot_status lower_loss(const coti_training *training, coti_mode_id mode,
                             const coti_head *head, coti_built output, cot_value target,
                             cot_value weight, cot_value *loss) {
    cot_value values = coti_loss_build(head, output, target);
    reduced of_batch = reduce_loss(head, values, weight, lower_loss_mask(head, output, target));
    if (of_batch.loss.graph == NULL) {
        return coti_status_of(training->context);
    }
    COTI_TRY(add_to_sum(training, of_batch.sum.graph, mode, head->i_loss_sum, of_batch.sum));
    add_to_loss(head, of_batch.loss, loss);
    return COT_OK;
}

static cot_status lower_head(const coti_training *training, cot_graph *graph, coti_mode_id mode,
                             int32_t i_head, coti_built output, cot_value *loss) {
    const coti_head *head = &training->head[i_head];
    if (head->i_target < 0) {
        return COT_OK;
    }
    char name[COTI_TARGET_BYTES];
    coti_target_name(head, name);
    cot_graph_set_layer(graph, head->name);
    cot_value target = cot_op_input(graph, head->target.dtype, head->target.shape, name);
    cot_value weight = lower_weights(head, graph, training->mode[mode].weighting[i_head]);
    cot_shape values = head->type.shape;
    values.dim[--values.rank] = 0;
    if (head->i_loss_sum >= 0) {
        COTI_TRY(lower_loss(training, mode, head, output, target,
                            weight_values(weight, coti_loss_shape(head)), loss));
    }
    weight = weight_values(weight, values);
    for (int32_t i = 0; i < head->n_judges; i++) {
        cot_value sum = coti_metric_build(&head->judge[i], head, output, target, weight);
        if (sum.graph == NULL) {
            return coti_status_of(training->context);
        }
        COTI_TRY(add_to_sum(training, graph, mode, head->i_metric_sum + i, sum));
    }
    return COT_OK;
}

/* ---- regularization ---- */

/* *penalty += the terms of the weights that are trained. */
static cot_status penalize_weights(const cot_model *model, cot_graph *graph, cot_value *penalty) {
    for (size_t i = 0; i < model->layer.count; i++) {
        const cot_layer *layer = model->layer.data[i];
        for (int32_t k = 0; k < layer->n_weights; k++) {
            const cot_regularizer *regularizer = &layer->weight_options[k]->regularizer;
            if (!coti_layer_trains_weight(layer, k) || coti_regularizer_is_none(regularizer)) {
                continue;
            }
            cot_graph_set_layer(graph, layer->name);
            cot_value weight = cot_op_state(graph, layer->weight[k]);
            cot_value term = coti_regularizer_build(regularizer, weight);
            if (term.graph == NULL) {
                return coti_status_of(model->context);
            }
            coti_add_penalty(penalty, term);
        }
    }
    return COT_OK;
}

/* Add it to the loss, and times the rows to its sum: as a batch's loss it weighs by its rows. */
static cot_status add_penalty_to_loss(const coti_training *training, cot_graph *graph,
                                      coti_mode_id mode, cot_value penalty, cot_value *loss) {
    cot_value rows = cot_op_cast(cot_op_rows(graph), COT_F64);
    cot_value wide = cot_op_cast(penalty, COT_F64);
    if (loss->graph != NULL) {
        coti_add_penalty(loss, penalty);
    }
    return add_to_sum(training, graph, mode, training->i_penalty_sum,
                      cot_op_binary(COT_OP_MUL, wide, rows));
}

cot_status coti_lower_heads(const coti_training *training, cot_graph *graph, coti_mode_id mode,
                            const coti_forward *forward, cot_value *loss_out) {
    *loss_out = coti_poison();
    for (int32_t i = 0; i < training->n_heads; i++) {
        COTI_TRY(lower_head(training, graph, mode, i, forward->output[i], loss_out));
    }
    if (training->i_penalty_sum >= 0) {
        cot_value penalty = forward->penalty;
        COTI_TRY(penalize_weights(training->model, graph, &penalty));
        COTI_TRY(add_penalty_to_loss(training, graph, mode, penalty, loss_out));
    }
    cot_graph_set_layer(graph, NULL);
    return COT_OK;
}
