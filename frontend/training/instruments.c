/*
 * Instruments as nodes of the training graph: contract in instruments.h. They read values that are
 * there and update states of their own, so nothing that is trained depends on them.
 *
 * Units and outputs are told by the node that a layer's call ends in: relu, sigmoid, tanh. Weights
 * by the values that replace them. The first value that is not finite is found by nonfinite.c.
 */
#include "frontend/training/instruments.h"

#include "frontend/layers/formula.h"

#include <math.h>
#include <string.h>

/* Outputs nearer than this to an end of their range are saturated. */
#define SATURATION 0.01

/* ---- making ---- */

cot_status coti_instruments_create(cot_context *context, uint32_t which, coti_instruments **out) {
    *out = NULL;
    if ((which & ~(uint32_t)COT_INSTRUMENT_ALL) != 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_model_compile: instruments is 0x%x, expected COT_INSTRUMENT_ values",
                         (unsigned)which);
    }
    if (which == 0) {
        return COT_OK;
    }
    coti_instruments *instruments = coti_calloc(context, 1, sizeof *instruments);
    if (instruments == NULL) {
        return COT_E_NOMEM;
    }
    instruments->context = context;
    instruments->which = which;
    coti_arena_init(&instruments->arena, context);
    *out = instruments;
    return COT_OK;
}

void coti_instruments_destroy(coti_instruments *instruments) {
    if (instruments == NULL) {
        return;
    }
    for (size_t i = 0; i < instruments->all.count; i++) {
        cot_variable_release(instruments->all.data[i].sum);
    }
    coti_vec_free(instruments->context, &instruments->all);
    coti_vec_free(instruments->context, &instruments->watched);
    coti_arena_clear(&instruments->arena);
    coti_free(instruments->context, instruments);
}

static const char *suffix_of(coti_instrument_kind kind) {
    switch (kind) {
    case COTI_DEAD_UNITS:
        return "dead_units";
    case COTI_SATURATED:
        return "saturated";
    case COTI_WEIGHT_NORM:
        return "weight_norm";
    case COTI_GRADIENT_NORM:
        return "gradient_norm";
    case COTI_UPDATE_NORM:
        return "update_norm";
    case COTI_NONFINITE:
        break;
    }
    return "step";
}

/* A number of an instrument that begins, or is reset: counts at 0, the first step at none. */
static double initial_of(coti_instrument_kind kind) {
    return kind == COTI_NONFINITE ? -1.0 : 0.0;
}

static cot_status make(coti_instruments *instruments, coti_instrument_kind kind,
                       const cot_layer *layer, const cot_shape *shape) {
    coti_instrument made = {.kind = kind,
                            .layer = layer,
                            .name = coti_arena_printf(&instruments->arena, "%s/%s",
                                                      layer != NULL ? layer->name : "nonfinite",
                                                      suffix_of(kind))};
    if (made.name == NULL || coti_vec_reserve(instruments->context, &instruments->all,
                                              instruments->all.count + 1) != COT_OK) {
        return COT_E_NOMEM;
    }
    if (kind != COTI_WEIGHT_NORM) {
        made.sum = cot_variable_create(instruments->context, COT_F64, *shape, made.name);
        if (made.sum == NULL) {
            return COT_E_NOMEM;
        }
        coti_variable_fill(made.sum, initial_of(kind));
    }
    instruments->all.data[instruments->all.count++] = made;
    return COT_OK;
}

/* The next instrument, which is made if this is the first graph. */
static cot_status next(coti_instruments *instruments, coti_instrument_kind kind,
                       const cot_layer *layer, const cot_shape *shape, coti_instrument **out) {
    if (instruments->next == instruments->all.count) {
        COTI_TRY(make(instruments, kind, layer, shape));
    }
    *out = &instruments->all.data[instruments->next++];
    COTI_ASSERT(instruments->context, (*out)->kind == kind && (*out)->layer == layer);
    return COT_OK;
}

/* ---- sums ---- */

static cot_value reduce_all(cot_op op, cot_value x, int32_t rank) {
    static const int32_t axes[COT_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    return rank > 0 ? cot_op_reduce(op, x, axes, rank, false) : x;
}

static cot_value sum_of_squares(cot_value x) {
    return cot_op_cast(reduce_all(COT_OP_SUM, coti_mul(x, x), cot_value_shape(x).rank), COT_F64);
}

/* *sum += term; the first is the sum. */
static void accumulate(cot_value *sum, cot_value term) {
    *sum = sum->graph == NULL ? term : coti_add(*sum, term);
}

static cot_status add_to(const coti_instrument *instrument, cot_value term) {
    cot_value state = cot_op_state(term.graph, instrument->sum);
    return cot_graph_update(state, coti_add(state, term));
}

/* ---- units ---- */

/* How often each unit was on, f64 [units]. */
static cot_value count_on(cot_value y) {
    cot_value on = cot_op_cast(cot_op_binary(COT_OP_GT, y, coti_number(y, 0.0)), COT_F32);
    int32_t rank = cot_value_shape(y).rank;
    return cot_op_cast(reduce_all(COT_OP_SUM, on, rank > 1 ? rank - 1 : rank), COT_F64);
}

/* How many outputs lie at an end of [low, 1]. */
static cot_value count_saturated(cot_value y, double low) {
    cot_value below = cot_op_binary(COT_OP_LT, y, coti_number(y, low + SATURATION));
    cot_value above = cot_op_binary(COT_OP_GT, y, coti_number(y, 1.0 - SATURATION));
    cot_value either = cot_op_cast(cot_op_binary(COT_OP_OR, below, above), COT_F32);
    return cot_op_cast(reduce_all(COT_OP_SUM, either, cot_value_shape(y).rank), COT_F64);
}

/* The sum of one layer's calls; *a_row_out: outputs of a row, of all of them. */
static cot_value count_layer(const cot_layer *layer, const coti_forward *forward, cot_op op,
                             double *a_row_out) {
    cot_value sum = coti_poison();
    *a_row_out = 0.0;
    for (size_t i = 0; i < layer->call.count; i++) {
        cot_value y = forward->call[layer->call.data[i]].value;
        if (y.graph == NULL || coti_node_of(y)->op != op) {
            continue;
        }
        int64_t elements = 0;
        const cot_shape shape = cot_value_shape(y);
        (void)coti_shape_elements(&shape, 1, &elements); /* it is there, so it is a size */
        *a_row_out += (double)elements;
        accumulate(&sum, op == COT_OP_RELU ? count_on(y)
                                           : count_saturated(y, op == COT_OP_SIGMOID ? 0.0 : -1.0));
    }
    return sum;
}

/* A layer has one of them at most: its calls end alike. */
static cot_status append_units(coti_instruments *instruments, const cot_layer *layer,
                               const coti_forward *forward) {
    static const cot_op ops[] = {COT_OP_RELU, COT_OP_SIGMOID, COT_OP_TANH};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        double a_row = 0.0;
        coti_instrument *instrument = NULL;
        cot_value sum = count_layer(layer, forward, ops[i], &a_row);
        if (sum.graph == NULL) {
            continue;
        }
        const cot_shape shape = cot_value_shape(sum);
        COTI_TRY(next(instruments, i == 0 ? COTI_DEAD_UNITS : COTI_SATURATED, layer, &shape,
                      &instrument));
        instrument->a_row = a_row;
        COTI_TRY(add_to(instrument, sum));
    }
    return COT_OK;
}

/* ---- norms ---- */

/* What a state becomes in the step; poison: it stays. */
static cot_value replacement_of(const uint32_t *new_value, cot_value state) {
    uint32_t id = new_value[state.id];
    return id != 0 ? (cot_value){state.graph, id} : coti_poison();
}

/* Gradient and update of one layer's trained weights, which are the next of `trained`. */
static cot_status append_norms(coti_instruments *instruments, cot_graph *graph,
                               const cot_layer *layer, const uint32_t *new_value,
                               coti_trained *trained) {
    const cot_shape scalar = {.rank = 0};
    coti_instrument *instrument = NULL;
    cot_value gradients = coti_poison(), updates = coti_poison();
    for (int32_t k = 0; k < layer->n_weights; k++) {
        if (trained->n == 0 || trained->weight->variable != layer->weight[k]) {
            continue;
        }
        cot_value state = cot_op_state(graph, layer->weight[k]);
        cot_value after = replacement_of(new_value, state);
        accumulate(&gradients, sum_of_squares(*trained->gradient));
        if (after.graph != NULL) {
            accumulate(&updates, sum_of_squares(coti_sub(after, state)));
        }
        *trained = (coti_trained){trained->weight + 1, trained->gradient + 1, trained->n - 1};
    }
    if (gradients.graph == NULL) {
        return COT_OK;
    }
    COTI_TRY(next(instruments, COTI_WEIGHT_NORM, layer, &scalar, &instrument));
    COTI_TRY(next(instruments, COTI_GRADIENT_NORM, layer, &scalar, &instrument));
    COTI_TRY(add_to(instrument, gradients));
    if (updates.graph != NULL) {
        COTI_TRY(next(instruments, COTI_UPDATE_NORM, layer, &scalar, &instrument));
        COTI_TRY(add_to(instrument, updates));
    }
    return COT_OK;
}

/* ---- values that are not finite ---- */

static cot_status append_nonfinite(coti_instruments *instruments, cot_graph *graph, size_t n,
                                   cot_variable *iterations) {
    const cot_shape scalar = {.rank = 0};
    coti_instrument *instrument = NULL;
    cot_value first = coti_poison();
    COTI_TRY(coti_find_nonfinite(instruments, graph, n, &first));
    COTI_TRY(next(instruments, COTI_NONFINITE, NULL, &scalar, &instrument));
    cot_value state = cot_op_state(graph, instrument->sum);
    cot_value step = cot_op_cast(cot_op_state(graph, iterations), COT_F64);
    cot_value found = coti_add(coti_scale(step, (double)COTI_MOST_WATCHED), first);
    cot_value none_before = cot_op_binary(COT_OP_LT, state, coti_number(state, 0.0));
    cot_value one_now = cot_op_binary(COT_OP_GE, first, coti_number(first, 0.0));
    return cot_graph_update(
        state, cot_op_select(cot_op_binary(COT_OP_AND, none_before, one_now), found, state));
}

/* ---- all of them ---- */

static cot_status append_layer(coti_instruments *instruments, cot_graph *graph,
                               const cot_layer *layer, const coti_forward *forward,
                               const uint32_t *new_value, coti_trained *trained) {
    cot_graph_set_layer(graph, layer->name);
    if ((instruments->which & COT_INSTRUMENT_UNITS) != 0) {
        COTI_TRY(append_units(instruments, layer, forward));
    }
    return (instruments->which & COT_INSTRUMENT_NORMS) != 0
               ? append_norms(instruments, graph, layer, new_value, trained)
               : COT_OK;
}

static cot_status append_layers(const coti_training *training, cot_graph *graph,
                                const coti_forward *forward, const uint32_t *new_value,
                                coti_trained trained) {
    const cot_model *model = training->model;
    cot_status status = COT_OK;
    for (size_t i = 0; status == COT_OK && i < model->layer.count; i++) {
        status = append_layer(training->instruments, graph, model->layer.data[i], forward,
                              new_value, &trained);
    }
    cot_graph_set_layer(graph, NULL);
    return status;
}

cot_status coti_instruments_append(const coti_training *training, cot_graph *graph,
                                   const coti_forward *forward, coti_trained trained) {
    coti_instruments *instruments = training->instruments;
    if (instruments == NULL) {
        return COT_OK;
    }
    size_t n = graph->node.count;
    instruments->next = 0;
    if ((instruments->which & COT_INSTRUMENT_NONFINITE) != 0) {
        COTI_TRY(append_nonfinite(instruments, graph, n, training->variable[0]));
    }
    uint32_t *new_value = coti_calloc(instruments->context, n, sizeof *new_value);
    if (new_value == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < graph->update.count; i++) {
        if (graph->update.data[i].state < n) {
            new_value[graph->update.data[i].state] = graph->update.data[i].value;
        }
    }
    cot_status status = append_layers(training, graph, forward, new_value, trained);
    coti_free(instruments->context, new_value);
    return status;
}

/* ---- reading ---- */

int32_t coti_instruments_count(const coti_instruments *instruments) {
    return instruments != NULL ? (int32_t)instruments->all.count : 0;
}

void coti_instruments_reset(const coti_instruments *instruments) {
    for (int32_t i = 0; i < coti_instruments_count(instruments); i++) {
        const coti_instrument *instrument = &instruments->all.data[i];
        if (instrument->sum != NULL && instrument->kind != COTI_NONFINITE) {
            coti_variable_fill(instrument->sum, 0.0);
        }
    }
}

/* The sum's i-th number: f64, row-major as it is rank 0 or 1. */
static double number_at(const cot_variable *sum, int64_t i) {
    double value = 0.0;
    memcpy(&value, (const char *)sum->storage + 8 * i, sizeof value);
    return value;
}

static double share_of_zeros(const cot_variable *counts) {
    int64_t n = counts->bytes / 8, n_zeros = 0;
    for (int64_t i = 0; i < n; i++) {
        n_zeros += number_at(counts, i) == 0.0;
    }
    return (double)n_zeros / (double)n;
}

/* The sum of squares of floats in home layout, whose order does not matter to more than rounding.
 */
static double variable_squares(const cot_variable *variable) {
    double sum = 0.0;
    int64_t n = variable->bytes / (int64_t)cot_dtype_bytes(variable->dtype);
    for (int64_t i = 0; i < n; i++) {
        float narrow = 0.0f;
        double wide = 0.0;
        if (variable->dtype == COT_F32) {
            memcpy(&narrow, (const char *)variable->storage + 4 * i, sizeof narrow);
            wide = (double)narrow;
        } else if (variable->dtype == COT_F64) {
            wide = number_at(variable, i);
        }
        sum += wide * wide;
    }
    return sum;
}

static double weight_norm(const cot_layer *layer) {
    double sum = 0.0;
    for (int32_t k = 0; k < layer->n_weights; k++) {
        sum += variable_squares(layer->weight[k]);
    }
    return sqrt(sum);
}

static double value_of(const coti_instrument *instrument, double rows, double steps) {
    switch (instrument->kind) {
    case COTI_DEAD_UNITS:
        return share_of_zeros(instrument->sum);
    case COTI_SATURATED:
        return number_at(instrument->sum, 0) / (rows * instrument->a_row);
    case COTI_WEIGHT_NORM:
        return weight_norm(instrument->layer);
    case COTI_GRADIENT_NORM:
    case COTI_UPDATE_NORM:
        return sqrt(number_at(instrument->sum, 0) / steps);
    case COTI_NONFINITE:
        break;
    }
    return floor(number_at(instrument->sum, 0) / (double)COTI_MOST_WATCHED);
}

cot_status coti_instruments_read(const coti_instruments *instruments, int64_t rows, int64_t steps,
                                 double *value_out) {
    for (int32_t i = 0; i < coti_instruments_count(instruments); i++) {
        value_out[i] = value_of(&instruments->all.data[i], (double)rows, (double)steps);
    }
    return COT_OK;
}

cot_status cot_model_nonfinite(const cot_model *model, cot_nonfinite *out) {
    coti_training *training = NULL;
    COTI_TRY(coti_training_of(model, "cot_model_nonfinite", &training));
    const coti_instruments *instruments = training->instruments;
    const coti_instrument *found = NULL;
    for (int32_t i = 0; i < coti_instruments_count(instruments) && found == NULL; i++) {
        found = instruments->all.data[i].kind == COTI_NONFINITE ? &instruments->all.data[i] : NULL;
    }
    if (found == NULL) {
        return COTI_FAIL(model->context, COT_E_ARG,
                         "cot_model_nonfinite: model \"%s\" was compiled without "
                         "COT_INSTRUMENT_NONFINITE",
                         model->name);
    }
    int64_t code = (int64_t)number_at(found->sum, 0);
    *out = (cot_nonfinite){.found = code >= 0, .op = "", .layer = ""};
    if (out->found && (size_t)(code % COTI_MOST_WATCHED) < instruments->watched.count) {
        const coti_watched *watched = &instruments->watched.data[code % COTI_MOST_WATCHED];
        out->step = code / COTI_MOST_WATCHED;
        out->op = watched->op;
        out->layer = watched->layer;
    }
    return COT_OK;
}
