/*
 * Data against the model: do the columns have the types that the programs read, and are the values
 * allowed? Labels are checked before every use, as a class out of range would silently count as no
 * class at all.
 */
#include "frontend/data/mapped.h"
#include "frontend/training/training.h"

#include <math.h>
#include <string.h>

/* One column and what it must be. */
typedef struct column_check {
    const coti_training *training;
    const char *function;
    const char *what;  /* "input", "target" */
    const char *layer; /* the input's or the output's name */
    const cot_array *array;
    coti_type type;
} column_check;

/* ---- types ---- */

static bool takes(cot_dtype wanted, cot_dtype found) {
    switch (wanted) {
    case COT_F32:
        return found == COT_F32 || found == COT_U8;
    case COT_I32:
        return found == COT_I32 || found == COT_U8 || found == COT_I64;
    case COT_F64:
    case COT_I64:
    case COT_U8:
    case COT_BOOL:
        break;
    }
    return found == wanted;
}

static cot_status check_type(const column_check *check) {
    cot_context *context = check->training->context;
    char text[COTI_TYPE_BYTES];
    coti_type_text(text, check->type.dtype, &check->type.shape);
    if (!takes(check->type.dtype, check->array->dtype)) {
        return COTI_FAIL_OP(context, COT_E_DTYPE, check->function, check->layer,
                            "%s: %s \"%s\" is %s, the data are %s", check->function, check->what,
                            check->layer, text, cot_dtype_name(check->array->dtype));
    }
    int64_t row = 0;
    if (!coti_shape_elements(&check->type.shape, 1, &row) || row != check->array->row_elements) {
        return COTI_FAIL_OP(context, COT_E_SHAPE, check->function, check->layer,
                            "%s: %s \"%s\" is %s, a row of the data has %lld elements, not %lld",
                            check->function, check->what, check->layer, text,
                            (long long)check->array->row_elements, (long long)row);
    }
    return COT_OK;
}

/* ---- values ---- */

static cot_status fail_float(const column_check *check, int64_t row, int64_t k, double value) {
    return COTI_FAIL_OP(check->training->context, COT_E_DATA, check->function, check->layer,
                        "%s: %s \"%s\": row %lld, element %lld is %g, expected finite numbers "
                        "(or allow_nonfinite)",
                        check->function, check->what, check->layer, (long long)row, (long long)k,
                        value);
}

/* Exponents of all ones are infinities and NaNs; the branch-free sum lets the scan be vectors. */
static bool row_is_finite_f32(const unsigned char *row, int64_t n) {
    uint32_t bad = 0;
    for (int64_t k = 0; k < n; k++) {
        uint32_t bits = 0;
        memcpy(&bits, row + 4 * k, sizeof bits);
        bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
    }
    return bad == 0;
}

static double float_at(const column_check *check, int64_t row, int64_t k) {
    const unsigned char *data = coti_array_row(check->array, row);
    if (check->array->dtype == COT_F32) {
        float value = 0.0f;
        memcpy(&value, data + 4 * k, sizeof value);
        return (double)value;
    }
    double value = 0.0;
    memcpy(&value, data + 8 * k, sizeof value);
    return value;
}

static cot_status check_finite(const column_check *check) {
    const cot_array *array = check->array;
    if (array->dtype != COT_F32 && array->dtype != COT_F64) {
        return COT_OK;
    }
    for (int64_t row = 0; row < array->n_rows; row++) {
        if (array->dtype == COT_F32 &&
            row_is_finite_f32(coti_array_row(array, row), array->row_elements)) {
            continue;
        }
        for (int64_t k = 0; k < array->row_elements; k++) {
            double value = float_at(check, row, k);
            if (!isfinite(value)) {
                return fail_float(check, row, k, value);
            }
        }
    }
    return COT_OK;
}

static cot_status check_labels(const column_check *check, const coti_head *head) {
    const cot_shape *shape = &head->type.shape;
    const int64_t n_classes = shape->dim[shape->rank - 1];
    const cot_loss_options *numbers = &head->numbers;
    const cot_array *array = check->array;
    for (int64_t row = 0; row < array->n_rows; row++) {
        for (int64_t k = 0; k < array->row_elements; k++) {
            int64_t label = coti_array_integer(array, row, k);
            bool ignored = numbers->ignores_class && label == numbers->ignore_class;
            if ((label < 0 || label >= n_classes) && !ignored) {
                return COTI_FAIL_OP(check->training->context, COT_E_DATA, check->function,
                                    check->layer,
                                    "%s: the target of \"%s\" in row %lld is class %lld, expected "
                                    "0 to %lld",
                                    check->function, check->layer, (long long)row, (long long)label,
                                    (long long)n_classes - 1);
            }
        }
    }
    return COT_OK;
}

/* ---- columns ---- */

static cot_status check_input(column_check *check, const cot_dataset *data, int32_t i,
                              uint32_t uses) {
    const cot_model *model = check->training->model;
    const coti_call *call = coti_model_call(model, model->input.data[i]);
    check->what = "input";
    check->layer = call->layer->name;
    check->type = call->type;
    check->array = cot_dataset_input(data, i);
    COTI_TRY(check_type(check));
    return (uses & COTI_USE_FINITE) != 0 ? check_finite(check) : COT_OK;
}

static cot_status check_target(column_check *check, const cot_dataset *data, const coti_head *head,
                               uint32_t uses) {
    check->what = "target of";
    check->layer = head->name;
    check->type = head->target;
    check->array = cot_dataset_target(data, head->i_target);
    COTI_TRY(check_type(check));
    if (head->target.dtype == COT_I32) {
        return check_labels(check, head);
    }
    return (uses & COTI_USE_FINITE) != 0 ? check_finite(check) : COT_OK;
}

/* How the data set's weights of a head are read. */
static coti_weighting weighting_of(const coti_head *head, const cot_dataset *data) {
    if (head->i_target < 0 || data->n_weights == 0 || !coti_head_takes_weights(head)) {
        return COTI_UNWEIGHTED;
    }
    const cot_array *weight =
        cot_dataset_sample_weight(data, data->n_weights == 1 ? 0 : head->i_target);
    bool by_value =
        weight->row_elements > 1 || (head->numbers.axis == 0 && coti_loss_values_a_row(head) == 1);
    return by_value ? COTI_WEIGHTED_BY_VALUE : COTI_WEIGHTED_BY_ROW;
}

/* Does a metric look at the weights of values that are not its own, but those of a loss along
 * another axis? */
static bool misreads_weights(const coti_head *head, coti_weighting weighting) {
    bool any = false;
    for (int32_t i = 0; i < head->n_judges; i++) {
        any = any || head->judge[i].weighted;
    }
    return any && weighting == COTI_WEIGHTED_BY_VALUE && head->numbers.axis != 0;
}

static cot_status check_weights(column_check *check, const cot_dataset *data, const coti_head *head,
                                uint32_t uses) {
    if (weighting_of(head, data) == COTI_UNWEIGHTED) {
        return COT_OK;
    }
    check->what = "sample weights of";
    check->layer = head->name;
    check->array = cot_dataset_sample_weight(data, data->n_weights == 1 ? 0 : head->i_target);
    if (check->array->row_elements != 1 &&
        check->array->row_elements != coti_loss_values_a_row(head)) {
        return COTI_FAIL_OP(check->training->context, COT_E_SHAPE, check->function, check->layer,
                            "%s: sample weights of \"%s\" have %lld elements a row, expected 1 or "
                            "%lld",
                            check->function, check->layer, (long long)check->array->row_elements,
                            (long long)coti_loss_values_a_row(head));
    }
    if (misreads_weights(head, weighting_of(head, data))) {
        return COTI_FAIL_OP(check->training->context, COT_E_ARG, check->function, check->layer,
                            "%s: sample weights of \"%s\" are one a value of its loss, which is "
                            "not along the last axis as its weighted metrics are: expected one a "
                            "row",
                            check->function, check->layer);
    }
    return (uses & COTI_USE_FINITE) != 0 ? check_finite(check) : COT_OK;
}

static cot_status check_counts(const coti_training *training, const char *function,
                               const cot_dataset *data, uint32_t uses) {
    const cot_model *model = training->model;
    if (data == NULL || data->context != training->context) {
        return COTI_FAIL(training->context, COT_E_ARG, "%s: model \"%s\": the data set %s",
                         function, model->name,
                         data == NULL ? "is NULL" : "belongs to another context");
    }
    if (data->n_inputs != cot_model_n_inputs(model)) {
        return COTI_FAIL(training->context, COT_E_ARG,
                         "%s: model \"%s\" has %d inputs, the data set has %d", function,
                         model->name, (int)cot_model_n_inputs(model), (int)data->n_inputs);
    }
    if ((uses & COTI_USE_TARGETS) != 0 && data->n_targets != training->n_targets) {
        return COTI_FAIL(training->context, COT_E_ARG,
                         "%s: model \"%s\" needs %d targets, the data set has %d", function,
                         model->name, (int)training->n_targets, (int)data->n_targets);
    }
    if (data->n_rows < 1) {
        return COTI_FAIL(training->context, COT_E_ARG, "%s: model \"%s\": the data set has no rows",
                         function, model->name);
    }
    return COT_OK;
}

static cot_status check_columns(column_check *check, const cot_dataset *data, uint32_t uses) {
    const coti_training *training = check->training;
    for (int32_t i = 0; i < data->n_inputs; i++) {
        COTI_TRY(check_input(check, data, i, uses));
    }
    cot_status status = COT_OK;
    bool targets = (uses & COTI_USE_TARGETS) != 0;
    for (int32_t i = 0; targets && status == COT_OK && i < training->n_heads; i++) {
        const coti_head *head = &training->head[i];
        status = head->i_target >= 0 ? check_target(check, data, head, uses) : COT_OK;
        if (status == COT_OK) {
            status = check_weights(check, data, head, uses);
        }
    }
    return status;
}

cot_status coti_check_data(const coti_training *training, const char *function,
                           const cot_dataset *data, uint32_t uses) {
    column_check check = {.training = training, .function = function};
    COTI_TRY(check_counts(training, function, data, uses));
    coti_dataset_advise(data, COTI_ACCESS_ONCE);
    cot_status status = check_columns(&check, data, uses);
    coti_dataset_advise(data, COTI_ACCESS_IN_ORDER);
    return status;
}

/* ---- sample weights ---- */

cot_status coti_match_weights(coti_training *training, coti_mode_id id, const cot_dataset *data) {
    coti_mode *mode = &training->mode[id];
    size_t n = (size_t)training->n_heads;
    coti_weighting *before = coti_calloc(training->context, n, sizeof *before);
    bool differs = false;
    if (before == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        before[i] = mode->weighting[i];
        mode->weighting[i] = weighting_of(&training->head[i], data);
        differs = differs || mode->weighting[i] != before[i];
    }
    cot_status status = differs ? coti_reopen_mode(training, id, mode->max_rows) : COT_OK;
    if (status != COT_OK) {
        memcpy(mode->weighting, before, n * sizeof *before);
    }
    coti_free(training->context, before);
    return status;
}

/* ---- binding ---- */

cot_status coti_take_error(cot_context *context, const cot_session *session, cot_status status) {
    const coti_error *error = coti_session_error(session);
    return coti_fail_at(context, error->file, error->line, status, error->op, error->layer, "%s",
                        error->message);
}

static cot_status bind(const coti_training *training, const coti_mode *mode, const char *name,
                       const cot_array *array, const int64_t *order) {
    int32_t i_input = coti_program_find_input(mode->program, name);
    COTI_ASSERT(training->context, i_input >= 0);
    cot_status status = coti_session_bind_ordered(mode->session, i_input, array, order);
    return status == COT_OK ? COT_OK : coti_take_error(training->context, mode->session, status);
}

static cot_status bind_target(const coti_training *training, const coti_mode *mode, int32_t i_head,
                              const cot_dataset *data, const int64_t *order) {
    const coti_head *head = &training->head[i_head];
    char name[COTI_TARGET_BYTES];
    if (head->i_target < 0) {
        return COT_OK;
    }
    coti_target_name(head, name);
    COTI_TRY(bind(training, mode, name, cot_dataset_target(data, head->i_target), order));
    if (mode->weighting[i_head] == COTI_UNWEIGHTED) {
        return COT_OK;
    }
    coti_weight_name(head, name);
    int32_t i_weight = data->n_weights == 1 ? 0 : head->i_target;
    return bind(training, mode, name, cot_dataset_sample_weight(data, i_weight), order);
}

cot_status coti_bind_data(const coti_training *training, coti_mode_id id, const cot_dataset *data,
                          const int64_t *order) {
    const cot_model *model = training->model;
    const coti_mode *mode = &training->mode[id];
    for (size_t i = 0; i < model->input.count; i++) {
        const cot_layer *layer = coti_model_call(model, model->input.data[i])->layer;
        COTI_TRY(bind(training, mode, layer->name, cot_dataset_input(data, (int32_t)i), order));
    }
    cot_status status = COT_OK;
    for (int32_t i = 0; id != COTI_PREDICT && status == COT_OK && i < training->n_heads; i++) {
        status = bind_target(training, mode, i, data, order);
    }
    return status;
}
