/* What a fit's epochs were like: a table of names by epochs, owned by the model. */
#include "frontend/training/training.h"

#include <string.h>

struct cot_history {
    cot_context *context;
    coti_arena arena; /* names */
    int32_t n_names, n_epochs, capacity;
    const char **name;
    int32_t *epoch;
    double *value; /* [name][capacity] */
};

cot_status coti_history_create(cot_context *context, int32_t n_names, const char *const *name,
                               coti_history **history_out) {
    coti_history *history = coti_calloc(context, 1, sizeof *history);
    *history_out = NULL;
    if (history == NULL) {
        return COT_E_NOMEM;
    }
    history->context = context;
    coti_arena_init(&history->arena, context);
    history->name =
        (const char **)coti_arena_array(&history->arena, (size_t)n_names, sizeof(const char *));
    bool complete = history->name != NULL;
    for (int32_t i = 0; complete && i < n_names; i++) {
        history->name[i] = coti_arena_strdup(&history->arena, name[i]);
        complete = history->name[i] != NULL;
        history->n_names = i + 1;
    }
    if (!complete) {
        coti_history_destroy(history);
        return COT_E_NOMEM;
    }
    *history_out = history;
    return COT_OK;
}

void coti_history_destroy(coti_history *history) {
    if (history != NULL) {
        coti_free(history->context, history->epoch);
        coti_free(history->context, history->value);
        coti_arena_clear(&history->arena);
        coti_free(history->context, history);
    }
}

static cot_status grow(coti_history *history) {
    int32_t capacity = history->capacity == 0 ? 16 : 2 * history->capacity;
    size_t n_names = (size_t)history->n_names, n = (size_t)history->n_epochs;
    int32_t *epoch = coti_calloc(history->context, (size_t)capacity, sizeof *epoch);
    double *value = coti_calloc(history->context, n_names * (size_t)capacity, sizeof *value);
    if (epoch == NULL || value == NULL) {
        coti_free(history->context, epoch);
        coti_free(history->context, value);
        return COT_E_NOMEM;
    }
    if (n > 0) {
        memcpy(epoch, history->epoch, n * sizeof *epoch);
    }
    for (size_t i = 0; n > 0 && i < n_names; i++) {
        memcpy(value + i * (size_t)capacity, history->value + i * (size_t)history->capacity,
               n * sizeof *value);
    }
    coti_free(history->context, history->epoch);
    coti_free(history->context, history->value);
    history->epoch = epoch;
    history->value = value;
    history->capacity = capacity;
    return COT_OK;
}

cot_status coti_history_append(coti_history *history, int32_t epoch, const double *value) {
    if (history->n_epochs == history->capacity) {
        COTI_TRY(grow(history));
    }
    int32_t at = history->n_epochs++;
    history->epoch[at] = epoch;
    for (int32_t i = 0; i < history->n_names; i++) {
        history->value[(size_t)i * (size_t)history->capacity + (size_t)at] = value[i];
    }
    return COT_OK;
}

const int32_t *coti_history_epochs(const coti_history *history) {
    return history->epoch;
}

const cot_history *cot_model_history(const cot_model *model) {
    return model != NULL ? model->history : NULL;
}

int32_t cot_history_n_epochs(const cot_history *history) {
    return history != NULL ? history->n_epochs : 0;
}

int32_t cot_history_epoch(const cot_history *history, int32_t i) {
    return i >= 0 && i < cot_history_n_epochs(history) ? history->epoch[i] : -1;
}

int32_t cot_history_n_names(const cot_history *history) {
    return history != NULL ? history->n_names : 0;
}

const char *cot_history_name(const cot_history *history, int32_t i) {
    return i >= 0 && i < cot_history_n_names(history) ? history->name[i] : NULL;
}

const double *cot_history_values(const cot_history *history, const char *name) {
    for (int32_t i = 0; name != NULL && i < cot_history_n_names(history); i++) {
        if (strcmp(history->name[i], name) == 0) {
            return history->n_epochs > 0 ? history->value + (size_t)i * (size_t)history->capacity
                                         : NULL;
        }
    }
    return NULL;
}
