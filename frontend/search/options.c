/* The options of a search: defaults, and what must hold before anything is built or read. */
#include "frontend/search/search.h"

#include <string.h>

enum { DEFAULT_TRIALS = 10, DEFAULT_EPOCHS = 10, DEFAULT_FACTOR = 3 };

/* A number of options that must not be negative, and its default. */
static cot_status check_count(cot_context *context, const char *name, int32_t least,
                              int32_t otherwise, int32_t *value) {
    *value = *value == 0 ? otherwise : *value;
    return *value >= least
               ? COT_OK
               : COTI_FAIL(context, COT_E_ARG, "cot_search: %s is %d, expected %d or more", name,
                           (int)*value, (int)least);
}

static cot_status check_counts(cot_context *context, cot_search_options *own) {
    const int32_t all = own->method == COT_SEARCH_GRID ? INT32_MAX : DEFAULT_TRIALS;
    COTI_TRY(check_count(context, "trials", 1, all, &own->trials));
    COTI_TRY(check_count(context, "epochs", 1, DEFAULT_EPOCHS, &own->epochs));
    COTI_TRY(check_count(context, "min_epochs", 1, 1, &own->min_epochs));
    COTI_TRY(check_count(context, "factor", 2, DEFAULT_FACTOR, &own->factor));
    COTI_TRY(check_count(context, "side_by_side", 1, context->threads, &own->side_by_side));
    if (own->min_epochs > own->epochs) {
        return COTI_FAIL(context, COT_E_ARG, "cot_search: min_epochs is %d, epochs %d",
                         (int)own->min_epochs, (int)own->epochs);
    }
    if (own->memory_limit < 0) {
        return COTI_FAIL(context, COT_E_ARG, "cot_search: memory_limit is %lld, expected 0 or more",
                         (long long)own->memory_limit);
    }
    return own->method == COT_SEARCH_RANDOM || own->method == COT_SEARCH_GRID ||
                   own->method == COT_SEARCH_HALVING
               ? COT_OK
               : COTI_FAIL(context, COT_E_ARG, "cot_search: unknown method %d", (int)own->method);
}

/* Two arrays of data sets that one model reads. */
static bool is_alike(const cot_array *a, const cot_array *b) {
    return a->row_elements == b->row_elements;
}

/* Has another set the training set's columns? Their data are not looked at. */
static cot_status check_columns(cot_context *context, const char *what, const cot_dataset *data,
                                const cot_dataset *other) {
    if (other == NULL) {
        return COT_OK;
    }
    if (other->n_inputs != data->n_inputs || other->n_targets != data->n_targets) {
        return COTI_FAIL(context, COT_E_SHAPE,
                         "cot_search: the %s set has %d inputs and %d targets, the training set %d "
                         "and %d",
                         what, (int)other->n_inputs, (int)other->n_targets, (int)data->n_inputs,
                         (int)data->n_targets);
    }
    for (int32_t i = 0; i < data->n_inputs + data->n_targets; i++) {
        const cot_array *a = &data->column[i].array, *b = &other->column[i].array;
        const bool is_input = i < data->n_inputs;
        if (!is_alike(a, b)) {
            return COTI_FAIL(context, COT_E_SHAPE,
                             "cot_search: rows of %s %d have %lld elements in the %s set, %lld in "
                             "the training set",
                             is_input ? "input" : "target",
                             (int)(is_input ? i : i - data->n_inputs), (long long)b->row_elements,
                             what, (long long)a->row_elements);
        }
    }
    return other->n_rows > 0
               ? COT_OK
               : COTI_FAIL(context, COT_E_ARG, "cot_search: the %s set has no rows", what);
}

static cot_status check_data(cot_context *context, const cot_search_options *own,
                             const cot_dataset *test) {
    if (own->build == NULL || own->data == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "cot_search: %s is NULL",
                         own->build == NULL ? "build" : "data");
    }
    if (own->validation_data == NULL &&
        !(own->validation_split > 0.0 && own->validation_split < 1.0)) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_search: validation_split is %g and there are no validation_data, "
                         "expected 0 to 1, or data: the validation set is what chooses",
                         own->validation_split);
    }
    if (strncmp(coti_monitor_name(own->monitor), "val_", 4) != 0) {
        return COTI_FAIL(context, COT_E_ARG,
                         "cot_search: monitor is \"%s\", expected a number of the validation set, "
                         "\"val_...\"",
                         own->monitor);
    }
    COTI_TRY(check_columns(context, "validation", own->data, own->validation_data));
    return check_columns(context, "test", own->data, test);
}

cot_status coti_search_read_options(cot_context *context, const cot_search_options *given,
                                    cot_search_options *own, const cot_dataset **test_out) {
    COTI_TRY(coti_options_copy(context, "cot_search", given, own, sizeof *own));
    *test_out = own->test_data;
    own->test_data = NULL;
    COTI_TRY(check_counts(context, own));
    return check_data(context, own, *test_out);
}
