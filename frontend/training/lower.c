/*
 * From layers to a tensor graph: every call's values, and what their regularizers cost. Inputs of
 * the graph are the model's inputs under their layers' names, in the model's order; losses and
 * metrics follow in heads.c.
 */
#include "frontend/training/training.h"

cot_status coti_status_of(cot_context *context) {
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
            return coti_status_of(model->context);
        }
        built[id] = coti_plain(value);
    }
    return COT_OK;
}

void coti_add_penalty(cot_value *sum, cot_value term) {
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
        return coti_status_of(layer->context);
    }
    cot_value rows = cot_op_cast(cot_op_rows(term.graph), cot_value_dtype(term));
    coti_add_penalty(penalty, cot_op_binary(COT_OP_DIV, term, rows));
    return COT_OK;
}

/* Room for the inputs of a call. */
typedef struct scratch {
    cot_value *value;
    coti_built *built;
} scratch;

/* The mask of a call's result: of its shape without its last axis. */
static cot_status lower_mask(const coti_call *call, const coti_built *input, coti_built *result) {
    result->mask = coti_mask_build(call->layer, input, call->n_inputs);
    if (result->mask.graph == NULL) {
        return coti_status_of(call->layer->context);
    }
    cot_shape shape = cot_value_shape(result->mask), wanted = call->type.shape;
    wanted.dim[--wanted.rank] = 0;
    COTI_ASSERT(call->layer->context, coti_shape_equal(&shape, &wanted));
    return COT_OK;
}

/* Append one call. */
static cot_status lower_call(const cot_model *model, cot_graph *graph, bool training, uint32_t id,
                             coti_built *built, const scratch *input) {
    const coti_call *call = coti_model_call(model, id);
    const coti_layer_class *class = call->layer->class;
    for (int32_t k = 0; k < call->n_inputs; k++) {
        input->built[k] = built[call->input[k]];
        input->value[k] = input->built[k].value;
    }
    cot_graph_set_layer(graph, call->layer->name);
    built[id] =
        class->build_masked != NULL
            ? class->build_masked(call->layer, graph, input->built, call->n_inputs, training)
            : class->build(call->layer, graph, input->value, call->n_inputs, training);
    if (built[id].value.graph == NULL) {
        return coti_status_of(model->context);
    }
    cot_shape shape = cot_value_shape(built[id].value);
    COTI_ASSERT(model->context, coti_shape_equal(&shape, &call->type.shape));
    return call->masked ? lower_mask(call, input->built, &built[id]) : COT_OK;
}

static cot_status lower_calls(const cot_model *model, cot_graph *graph, bool training,
                              coti_built *built, const scratch *input, cot_value *penalty) {
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
    const scratch input = {coti_calloc(context, most_inputs(model), sizeof *input.value),
                           coti_calloc(context, most_inputs(model), sizeof *input.built)};
    coti_built *output = coti_calloc(context, model->output.count, sizeof *output);
    cot_status status = COT_E_NOMEM;
    if (built != NULL && input.value != NULL && input.built != NULL && output != NULL) {
        forward_out->penalty = coti_poison();
        status = lower_calls(model, graph, training, built, &input, &forward_out->penalty);
        for (size_t i = 0; i < model->output.count; i++) {
            output[i] = built[model->output.data[i]];
        }
    }
    coti_free(context, input.value);
    coti_free(context, input.built);
    if (status != COT_OK) {
        coti_free(context, built);
        coti_free(context, output);
        built = output = NULL;
    }
    forward_out->call = built;
    forward_out->output = output;
    return status;
}
