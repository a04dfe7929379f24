/*
 * The frontend's state of a context: where layers and their calls live, and how they are named.
 *
 * Automatic names are Keras's: a stem, then stem_1, stem_2, ...; counted per context and stem.
 */
#include "layer.h"

#include <string.h>

static void destroy(void *state) {
    coti_frontend *frontend = state;
    cot_context *context = frontend->context;
    for (size_t i = 0; i < frontend->layer.count; i++) {
        cot_layer *layer = frontend->layer.data[i];
        for (int32_t k = 0; k < layer->n_weights; k++) {
            cot_variable_release(layer->weight[k]);
        }
        coti_vec_free(context, &layer->call);
    }
    coti_vec_free(context, &frontend->layer);
    coti_vec_free(context, &frontend->call);
    coti_vec_free(context, &frontend->count);
    coti_arena_clear(&frontend->arena);
    coti_free(context, frontend);
}

coti_frontend *coti_frontend_get(cot_context *context) {
    if (context == NULL) {
        return NULL;
    }
    if (context->slot[COTI_SLOT_FRONTEND].state != NULL) {
        return context->slot[COTI_SLOT_FRONTEND].state;
    }
    coti_frontend *frontend = coti_calloc(context, 1, sizeof *frontend);
    if (frontend == NULL) {
        return NULL;
    }
    frontend->context = context;
    coti_arena_init(&frontend->arena, context);
    if (coti_vec_reserve(context, &frontend->call, 1) != COT_OK) {
        destroy(frontend);
        return NULL;
    }
    frontend->call.data[0] = (coti_call){0};
    frontend->call.count = 1;
    context->slot[COTI_SLOT_FRONTEND].state = frontend;
    context->slot[COTI_SLOT_FRONTEND].destroy = destroy;
    return frontend;
}

/* ---- names ---- */

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_identifier(const char *name) {
    for (const char *c = name; *c != '\0'; c++) {
        if (!is_letter(*c) && (c == name || *c < '0' || *c > '9')) {
            return false;
        }
    }
    return *name != '\0' && strlen(name) < COTI_NAME_BYTES;
}

/* The stem's counter, made at its first use; NULL: no memory. There are as many as classes. */
static coti_name_count *find_count(coti_frontend *frontend, const char *prefix) {
    for (size_t i = 0; i < frontend->count.count; i++) {
        if (strcmp(frontend->count.data[i].prefix, prefix) == 0) {
            return &frontend->count.data[i];
        }
    }
    if (coti_vec_reserve(frontend->context, &frontend->count, frontend->count.count + 1) !=
        COT_OK) {
        return NULL;
    }
    frontend->count.data[frontend->count.count] = (coti_name_count){prefix, 0};
    return &frontend->count.data[frontend->count.count++];
}

cot_status coti_frontend_name(coti_frontend *frontend, const char *what, const char *prefix,
                              const char *name, const char **name_out) {
    if (name != NULL) {
        if (!is_identifier(name)) {
            return COTI_OP_FAIL(frontend->context, COT_E_ARG, prefix, NULL,
                                "\"%.64s\" cannot be the name of a %s: expected 1 to %d letters, "
                                "digits and '_', the first no digit",
                                name, what, COTI_NAME_BYTES - 1);
        }
        *name_out = coti_arena_strdup(&frontend->arena, name);
        return *name_out != NULL ? COT_OK : COT_E_NOMEM;
    }
    coti_name_count *count = find_count(frontend, prefix);
    if (count == NULL) {
        return COT_E_NOMEM;
    }
    *name_out = count->n == 0 ? coti_arena_strdup(&frontend->arena, prefix)
                              : coti_arena_printf(&frontend->arena, "%s_%d", prefix, count->n);
    if (*name_out == NULL) {
        return COT_E_NOMEM;
    }
    count->n++;
    return COT_OK;
}

void coti_frontend_unname(coti_frontend *frontend, const char *prefix) {
    coti_name_count *count = find_count(frontend, prefix);
    if (count != NULL && count->n > 0) {
        count->n--;
    }
}

/* ---- tensors ---- */

static const coti_call *find_call(cot_tensor tensor) {
    if (tensor.context == NULL || tensor.id == 0) {
        return NULL;
    }
    const coti_frontend *frontend = tensor.context->slot[COTI_SLOT_FRONTEND].state;
    return frontend != NULL && tensor.id < frontend->call.count ? coti_call_at(frontend, tensor.id)
                                                                : NULL;
}

bool coti_tensor_is_valid(const cot_context *context, cot_tensor tensor) {
    return tensor.context == context && find_call(tensor) != NULL;
}

cot_dtype cot_tensor_dtype(cot_tensor tensor) {
    const coti_call *call = find_call(tensor);
    return call != NULL ? call->type.dtype : COT_F32;
}

cot_shape cot_tensor_shape(cot_tensor tensor) {
    const coti_call *call = find_call(tensor);
    return call != NULL ? call->type.shape : (cot_shape){0};
}

cot_layer *cot_tensor_layer(cot_tensor tensor) {
    const coti_call *call = find_call(tensor);
    return call != NULL ? call->layer : NULL;
}
