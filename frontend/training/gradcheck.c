/*
 * A model's gradients, checked: its training graph is built as compile builds it, up to the loss,
 * and given to cot_gradcheck. The weights keep their values, so that the check looks where training
 * is; labels are drawn from the classes that the outputs have.
 */
#include "cotangent/inspect.h"

#include "frontend/training/training.h"

#include <string.h>

/* The smallest number of classes that integer targets may name; INT64_MAX: there are no such. */
static int64_t smallest_classes(const coti_training *training) {
    int64_t least = INT64_MAX;
    for (int32_t i = 0; training != NULL && i < training->n_heads; i++) {
        const coti_head *head = &training->head[i];
        int32_t rank = head->type.shape.rank;
        bool sparse =
            head->i_target >= 0 && (head->target.dtype == COT_I32 || head->target.dtype == COT_I64);
        if (sparse && rank > 0 && head->type.shape.dim[rank - 1] < least) {
            least = head->type.shape.dim[rank - 1];
        }
    }
    return least;
}

/* A full set of options; false: its size is not one that there ever was. */
static bool take_options(const cot_model *model, const cot_gradcheck_options *given,
                         cot_gradcheck_options *own) {
    *own = (cot_gradcheck_options)COT_GRADCHECK_OPTIONS_INIT;
    if (given != NULL) {
        if (given->struct_size < sizeof given->struct_size || given->struct_size > sizeof *own) {
            return false;
        }
        memcpy(own, given, given->struct_size);
        own->struct_size = sizeof *own;
    }
    int64_t classes = smallest_classes(model->training);
    if (own->integer_bound == 0 && classes < 3) {
        own->integer_bound = classes;
    }
    own->keep_states = own->keep_states == COT_DEFAULT ? COT_ON : own->keep_states;
    return true;
}

/* The loss, or without one the model's outputs. */
static cot_status append_outputs(const cot_model *model, cot_graph *graph,
                                 const coti_forward *forward) {
    cot_value loss = coti_poison();
    const coti_training *training = model->training;
    if (training != NULL) {
        bool fits = training->optimizer.base.kind != 0;
        COTI_TRY(
            coti_lower_heads(training, graph, fits ? COTI_TRAIN : COTI_EVALUATE, forward, &loss));
    }
    if (loss.graph != NULL) {
        return cot_graph_output(loss, "loss");
    }
    for (size_t i = 0; i < model->output.count; i++) {
        COTI_TRY(cot_graph_output(forward->output[i].value, model->output_name.data[i]));
    }
    return COT_OK;
}

static cot_status check_graph(const cot_model *model, cot_graph *graph,
                              const cot_gradcheck_options *options,
                              cot_gradcheck_report *report_out) {
    coti_forward forward = {NULL, NULL, {NULL, 0}};
    cot_status status = coti_lower_forward(model, graph, true, &forward);
    if (status == COT_OK) {
        status = append_outputs(model, graph, &forward);
    }
    coti_free(model->context, forward.output);
    coti_free(model->context, forward.call);
    return status == COT_OK ? cot_gradcheck(graph, options, report_out) : status;
}

cot_status cot_model_gradcheck(const cot_model *model, const cot_gradcheck_options *options,
                               cot_gradcheck_report *report_out) {
    if (model == NULL) {
        return COT_E_ARG;
    }
    cot_context *context = model->context;
    cot_gradcheck_options own;
    if (report_out == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "gradcheck: report_out is NULL");
    }
    if (!take_options(model, options, &own)) {
        return COTI_FAIL(context, COT_E_ARG, "gradcheck: struct_size is %zu, expected %zu",
                         options->struct_size, sizeof own);
    }
    cot_graph *graph = cot_graph_create(context, model->name);
    if (graph == NULL) {
        return cot_error_get(context).status;
    }
    cot_status status = check_graph(model, graph, &own, report_out);
    cot_graph_destroy(graph);
    return status;
}
