/*
 * From layers to a tensor graph: every call's values, then losses, metrics and the sums that they
 * update. Inputs of the graph are the model's inputs under their layers' names, then the targets
 * as "<output>/target", both in the model's order.
 */
#include "frontend/training/training.h"

#include <stdio.h>

/* The error behind a poisoned value. */
static cot_status status_of(cot_context *context) {
    cot_status status = cot_error_get(context).status;
    return status != COT_OK ? status
                            : COTI_FAIL(context, COT_E_INTERNAL,
                                        "a value is poisoned for no "
                                        "recorded reason");
}

/* ---- forward ---- */

static cot_status lower_inputs(const cot_model *model, cot_graph *graph, coti_built *built) {
    for (size_t i = 0; i < model->input.count; i++) {
        uint32_t id = model->input.data[i];
        const coti_call *call = coti_model_call(model, id);
        cot_value value =
            cot_op_input(graph, call->type.dtype, call->type.shape, call->layer->name);
        if (value.graph == NULL) {
            return status_of(model->context);
        }
        built[id] = coti_plain(value);
    }
    return COT_OK;
}

/* *sum += term, in the first term's dtype. */
static void add_penalty(cot_value *sum, cot_value term) {
    *sum = sum->graph == NULL
               ? term
               : cot_op_binary(COT_OP_ADD, *sum, cot_op_cast(term, cot_value_dtype(*sum)));
}

/* What a call's output costs: its regularizer's term by the batch's rows. */
static cot_status penalize_output(const cot_layer *layer, cot_value output, cot_value *penalty) {
    if (coti_regularizer_is_none(&layer->activity)) {
        return COT_OK;
    }
    cot_value term = coti_regularizer_build(&layer->activity, output);
    if (term.graph == NULL) {
        return status_of(layer->context);
    }
    cot_value rows = cot_op_cast(cot_op_rows(term.graph), cot_value_dtype(term));
    add_penalty(penalty, cot_op_binary(COT_OP_DIV, term, rows));
    return COT_OK;
}

/* Append one call; `input` has room for its inputs. */
static cot_status lower_call(const cot_model *model, cot_graph *graph, bool training, uint32_t id,
                             coti_built *built, cot_value *input) {
    const coti_call *call = coti_model_call(model, id);
    for (int32_t k = 0; k < call->n_inputs; k++) {
        input[k] = built[call->input[k]].value;
    }
    cot_graph_set_layer(graph, call->layer->name);
    built[id] = call->layer->class->build(call->layer, graph, input, call->n_inputs, training);
    if (built[id].value.graph == NULL) {
        return status_of(model->context);
    }
    cot_shape shape = cot_value_shape(built[id].value);
    COTI_ASSERT(model->context, coti_shape_equal(&shape, &call->type.shape));
    return COT_OK;
}

static cot_status lower_calls(const cot_model *model, cot_graph *graph, bool training,
                              coti_built *built, cot_value *input, cot_value *penalty) {
    COTI_TRY(lower_inputs(model, graph, built));
    for (size_t i = 0; i < model->call.count; i++) {
        uint32_t id = model->call.data[i];
        if (coti_model_call(model, id)->layer->class == &coti_class_input) {
            continue;
        }
        COTI_TRY(lower_call(model, graph, training, id, built, input));
        COTI_TRY(penalize_output(coti_model_call(model, id)->layer, built[id].value, penalty));
    }
    cot_graph_set_layer(graph, NULL);
    return COT_OK;
}

static size_t most_inputs(const cot_model *model) {
    size_t most = 1;
    for (size_t i = 0; i < model->call.count; i++) {
        size_t n = (size_t)coti_model_call(model, model->call.data[i])->n_inputs;
        most = n > most ? n : most;
    }
    return most;
}

cot_status coti_lower_forward(const cot_model *model, cot_graph *graph, bool training,
                              coti_forward *forward_out) {
    cot_context *context = model->context;
    size_t n_calls = coti_frontend_get(context)->call.count;
    coti_built *built = coti_calloc(context, n_calls, sizeof *built);
    cot_value *input = coti_calloc(context, most_inputs(model), sizeof *input);
    coti_built *output = coti_calloc(context, model->output.count, sizeof *output);
    cot_status status = COT_E_NOMEM;
    if (built != NULL && input != NULL && output != NULL) {
        forward_out->penalty = coti_poison();
        status = lower_calls(model, graph, training, built, input, &forward_out->penalty);
        for (size_t i = 0; i < model->output.count; i++) {
            output[i] = built[model->output.data[i]];
        }
    }
    coti_free(context, input);
    if (status != COT_OK) {
        coti_free(context, built);
        coti_free(context, output);
        built = output = NULL;
    }
    forward_out->call = built;
    forward_out->output = output;
    return status;
}

/* ---- heads ---- */

/* Values of a row between the batch and the last axis: a mean is over them, too. */
static double values_a_row(const coti_head *head) {
    double n = 1.0;
    for (int32_t i = 1; i + 1 < head->type.shape.rank; i++) {
        n *= (double)head->type.shape.dim[i];
    }
    return n;
}

/* The sum over rows of the mean of each row's values, a scalar. */
static cot_value sum_rows(const coti_head *head, cot_value values) {
    int32_t axes[COT_MAX_RANK], rank = cot_value_shape(values).rank;
    for (int32_t i = 0; i < rank; i++) {
        axes[i] = i;
    }
    cot_value sum = cot_op_reduce(COT_OP_SUM, values, axes, rank, false);
    double n = values_a_row(head);
    return n == 1.0 ? sum
                    : cot_op_binary(COT_OP_DIV, sum,
                                    cot_op_constant(sum.graph, cot_value_dtype(sum), n));
}

/* The mode's sum i += sum, in f64; of a metric with several sums, [n]. */
static cot_status add_to_sum(const coti_training *training, cot_graph *graph, coti_mode_id mode,
                             int32_t i_sum, cot_value sum) {
    cot_value state = cot_op_state(graph, training->mode[mode].sum[i_sum]);
    return cot_graph_update(state, cot_op_binary(COT_OP_ADD, state, cot_op_cast(sum, COT_F64)));
}

/* One output's loss in the total: weight * sum / rows, added to *loss. */
static void add_to_loss(const coti_head *head, cot_graph *graph, cot_value sum, cot_value *loss) {
    cot_dtype dtype = head->type.dtype;
    cot_value rows = cot_op_cast(cot_op_rows(graph), dtype);
    cot_value mean = cot_op_binary(COT_OP_DIV, sum, rows);
    if (head->weight != 1.0) {
        mean = cot_op_binary(COT_OP_MUL, mean, cot_op_constant(graph, dtype, head->weight));
    }
    *loss = loss->graph == NULL ? mean : cot_op_binary(COT_OP_ADD, *loss, mean);
}

void coti_target_name(const coti_head *head, char name[COTI_TARGET_BYTES]) {
    (void)snprintf(name, COTI_TARGET_BYTES, "%s/target", head->name);
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
    if (head->i_loss_sum >= 0) {
        cot_value sum = sum_rows(head, coti_loss_build(head, output, target));
        COTI_TRY(add_to_sum(training, graph, mode, head->i_loss_sum, sum));
        add_to_loss(head, graph, sum, loss);
    }
    for (int32_t i = 0; i < head->n_metrics; i++) {
        bool by_row = false;
        cot_value value = coti_metric_build(head->metric[i], head, output, target, &by_row);
        cot_value sum = by_row ? sum_rows(head, value) : value;
        COTI_TRY(add_to_sum(training, graph, mode, head->i_metric_sum + i, sum));
    }
    return COT_OK;
}

/* ---- regularization ---- */

/* *penalty += the terms of the weights that are trained. */
static cot_status penalize_weights(const cot_model *model, cot_graph *graph, cot_value *penalty) {
    for (size_t i = 0; i < model->layer.count; i++) {
        const cot_layer *layer = model->layer.data[i];
        for (int32_t k = 0; coti_layer_trains(layer) && k < layer->n_weights; k++) {
            const cot_regularizer *regularizer = &layer->weight_options[k]->regularizer;
            if (coti_regularizer_is_none(regularizer)) {
                continue;
            }
            cot_graph_set_layer(graph, layer->name);
            cot_value weight = cot_op_state(graph, layer->weight[k]);
            cot_value term = coti_regularizer_build(regularizer, weight);
            if (term.graph == NULL) {
                return status_of(model->context);
            }
            add_penalty(penalty, term);
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
        add_penalty(loss, penalty);
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
