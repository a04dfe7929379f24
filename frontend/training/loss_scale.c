/*
 * The scale of the loss that follows the gradients, Keras's LossScaleOptimizer, and the swap of
 * schedule-free weights: what a step or a caller does around an optimizer's updates.
 */
#include "frontend/layers/formula.h"
#include "frontend/training/training.h"

#include <float.h>

/* ---- the scale ---- */

cot_value coti_loss_scale(const coti_training *training, cot_graph *graph) {
    return cot_op_state(graph, training->variable[training->i_scale]);
}

cot_value coti_scale_loss(const coti_training *training, cot_value loss) {
    if (loss.graph == NULL || !training->optimizer.all.dynamic_loss_scale) {
        return loss;
    }
    cot_value scale = coti_loss_scale(training, loss.graph);
    return coti_mul(loss, cot_op_cast(scale, cot_value_dtype(loss)));
}

void coti_unscale(const coti_training *training, cot_value *gradient, int32_t n) {
    for (int32_t i = 0; training->optimizer.all.dynamic_loss_scale && i < n; i++) {
        cot_value scale = coti_loss_scale(training, gradient[i].graph);
        gradient[i] = coti_div(gradient[i], cot_op_cast(scale, cot_value_dtype(gradient[i])));
    }
}

/* The largest magnitude is at most the largest number; a NaN is not. */
static cot_value is_finite(cot_value x) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    double largest = cot_value_dtype(x) == COT_F32 ? (double)FLT_MAX : DBL_MAX;
    cot_value size = cot_op_unary(COT_OP_ABS, x);
    int32_t rank = cot_value_shape(size).rank;
    cot_value most = rank > 0 ? cot_op_reduce(COT_OP_REDUCE_MAX, size, axes, rank, false) : size;
    return cot_op_binary(COT_OP_LE, most, coti_number(most, largest));
}

cot_value coti_all_finite(const cot_value *gradient, int32_t n) {
    cot_value all = is_finite(gradient[0]);
    for (int32_t i = 1; i < n; i++) {
        all = cot_op_binary(COT_OP_AND, all, is_finite(gradient[i]));
    }
    return all;
}

cot_status coti_loss_scale_update(const coti_training *training, cot_value finite) {
    int32_t growth = training->optimizer.all.dynamic_growth_steps;
    cot_value scale = coti_loss_scale(training, finite.graph);
    cot_value steps = cot_op_state(finite.graph, training->variable[training->i_scale + 1]);
    cot_value next = coti_plus(steps, 1.0);
    cot_value is_due =
        cot_op_binary(COT_OP_GE, next, coti_number(steps, growth == 0 ? 2000 : growth));
    cot_value kept = cot_op_select(is_due, coti_scale(scale, 2.0), scale);
    cot_value zero = coti_number(steps, 0.0);
    cot_value counted = cot_op_select(is_due, zero, next);
    COTI_TRY(cot_graph_update(scale, cot_op_select(finite, kept, coti_scale(scale, 0.5))));
    return cot_graph_update(steps, cot_op_select(finite, counted, zero));
}

/* ---- schedule-free weights ---- */

/* One element: y to x, or x to y. */
static double swapped(double weight, double z, double beta, bool to_evaluation) {
    return to_evaluation ? (weight - (1.0 - beta) * z) / beta : (1.0 - beta) * z + beta * weight;
}

static cot_status swap_weight(cot_context *context, cot_variable *weight, const cot_variable *z,
                              double beta, bool to_evaluation) {
    size_t bytes = (size_t)weight->bytes;
    bool wide = weight->dtype == COT_F64;
    void *own = coti_alloc(context, 2 * bytes);
    if (own == NULL) {
        return COT_E_NOMEM;
    }
    void *of_z = (char *)own + bytes;
    cot_status status = cot_variable_get(weight, own, bytes);
    status = status == COT_OK ? cot_variable_get(z, of_z, bytes) : status;
    size_t n = bytes / (wide ? sizeof(double) : sizeof(float));
    for (size_t i = 0; status == COT_OK && i < n; i++) {
        if (wide) {
            double *w = own;
            w[i] = swapped(w[i], ((const double *)of_z)[i], beta, to_evaluation);
        } else {
            float *w = own;
            double z_i = (double)((const float *)of_z)[i];
            w[i] = (float)swapped((double)w[i], z_i, beta, to_evaluation);
        }
    }
    status = status == COT_OK ? cot_variable_set(weight, own, bytes) : status;
    coti_free(context, own);
    return status;
}

static cot_status swap_weights(cot_model *model, const char *function, bool to_evaluation) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, function, &training));
    int64_t iterations = 0;
    bool is_free = training->optimizer.base.kind == COT_OPTIMIZER_SCHEDULE_FREE_ADAMW;
    if (is_free) {
        COTI_TRY(cot_variable_get(training->variable[0], &iterations, sizeof iterations));
    }
    if (!is_free || iterations == 0 || model->running) {
        return COTI_FAIL(model->context, COT_E_ARG, "%s: model \"%s\" %s", function, model->name,
                         !is_free         ? "is not trained by schedule_free_adamw"
                         : model->running ? "is being fitted"
                                          : "has not been trained yet");
    }
    coti_trainee *weight = coti_calloc(model->context, model->weight.count, sizeof *weight);
    if (weight == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = COT_OK;
    int32_t n = coti_trainable(model, weight);
    int32_t from = 0;
    for (int32_t i = 0; status == COT_OK && i < n; i++) {
        const cot_variable *z =
            coti_optimizer_slot(training, weight[i].variable, "momentum", &from);
        status = z == NULL ? COT_E_INTERNAL
                           : swap_weight(model->context, weight[i].variable, z,
                                         training->optimizer.schedule_free.beta_1, to_evaluation);
    }
    coti_free(model->context, weight);
    return status;
}

cot_status cot_model_swap_to_evaluation(cot_model *model) {
    return swap_weights(model, "cot_model_swap_to_evaluation", true);
}

cot_status cot_model_swap_to_training(cot_model *model) {
    return swap_weights(model, "cot_model_swap_to_training", false);
}
