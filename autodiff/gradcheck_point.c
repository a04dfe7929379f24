/*
 * Where a gradient check looks: random points, the variables' own values, or what the caller gave.
 * All of them are fixed by the seed, and numbers of the leaves' own dtypes.
 */
#include "gradcheck.h"

#include <string.h>

#include "runtime/base/philox.h"

/* Purposes of random numbers; each point and each leaf has its own. */
#define PURPOSE_POINT UINT64_C(0x10000)
#define PURPOSE_INTEGER UINT64_C(0x20000)

/* How far states, and what the caller gave, are moved when they lie at a kink. */
#define STATE_MOVE 1e-2

bool coti_check_is_state(const coti_check *check, const coti_check_part *part) {
    return coti_node_at(check->source, part->id)->op == COT_OP_STATE;
}

static void draw_floats(const coti_check_job *j, uint64_t seed, const coti_check_part *part) {
    double *x = j->check->x + part->at;
    for (int64_t i = 0; i < part->count; i++) {
        uint64_t purpose = PURPOSE_POINT + part->id;
        double uniform = coti_philox_uniform(coti_philox_make_key(seed, purpose), 0, (uint64_t)i);
        double v = j->domain == COTI_AROUND_ONE  ? 0.5 + uniform
                   : j->domain == COTI_BELOW_ONE ? 0.1 + 0.8 * uniform
                                                 : coti_check_normal(seed, purpose, i);
        x[i] = coti_check_fit(j->check, part, v);
    }
}

/* What lies in memory, of the leaf's own dtype; moved a little when it has been tried already. */
static void take_floats(const coti_check_job *j, uint64_t seed, const coti_check_part *part,
                        const coti_tensor *from) {
    for (int64_t i = 0; i < part->count; i++) {
        double move = coti_check_normal(seed, PURPOSE_POINT + part->id, i);
        double v = coti_tensor_get(from, i) + (j->n_points > 0 ? STATE_MOVE * move : 0.0);
        j->check->x[part->at + i] = coti_check_fit(j->check, part, v);
    }
}

static cot_status read_state(const coti_check_job *j, uint64_t seed, const coti_check_part *part) {
    const coti_attr_VARIABLE *attr = coti_node_at(j->check->source, part->id)->attr;
    cot_dtype dtype = cot_variable_dtype(attr->variable);
    size_t bytes = (size_t)part->count * cot_dtype_bytes(dtype);
    coti_tensor stored = {.dtype = dtype, .shape = part->shape};
    stored.data = coti_alloc(j->context, bytes);
    if (stored.data == NULL) {
        return COT_E_NOMEM;
    }
    cot_status status = cot_variable_get(attr->variable, stored.data, bytes);
    if (status == COT_OK) {
        take_floats(j, seed, part, &stored);
    }
    coti_free(j->context, stored.data);
    return status;
}

static void draw_integers(const coti_check_job *j, uint64_t seed, const coti_check_part *part) {
    coti_philox_key key = coti_philox_make_key(seed, PURPOSE_INTEGER + part->id);
    int64_t bound = part->dtype == COT_BOOL ? 2 : j->options.integer_bound;
    bound = part->dtype == COT_U8 && bound > 256 ? 256 : bound;
    bound = part->dtype == COT_I32 && bound > INT32_MAX ? INT32_MAX : bound;
    for (int64_t i = 0; i < part->count; i++) {
        int64_t value = (int64_t)coti_philox_below(key, 0, (uint64_t)i, (uint64_t)bound);
        switch (part->dtype) {
        case COT_I32:
            ((int32_t *)part->data)[i] = (int32_t)value;
            break;
        case COT_I64:
            ((int64_t *)part->data)[i] = value;
            break;
        case COT_U8:
        case COT_BOOL:
            ((uint8_t *)part->data)[i] = (uint8_t)value;
            break;
        case COT_F32:
        case COT_F64:
            break;
        }
    }
}

/* The caller's data for a leaf, or NULL. */
static const void *given_data(const coti_check_job *j, const coti_check_part *part) {
    for (int32_t i = 0; i < j->options.n_data; i++) {
        if (strcmp(j->options.data[i].input, part->name) == 0) {
            return j->options.data[i].data;
        }
    }
    return NULL;
}

static void take_given(const coti_check_job *j, uint64_t seed, const coti_check_part *part,
                       const void *data) {
    cot_dtype dtype = (cot_dtype)coti_node_at(j->check->source, part->id)->dtype;
    if (part->at < 0) {
        memcpy(part->data, data, (size_t)part->count * cot_dtype_bytes(dtype));
        return;
    }
    /* read only; coti_tensor has one kind of pointer for both */
    coti_tensor from = {dtype, part->shape, (void *)(uintptr_t)data};
    take_floats(j, seed, part, &from);
}

cot_status coti_check_draw_point(const coti_check_job *j, uint64_t seed) {
    cot_status status = COT_OK;
    for (int32_t i = 0; status == COT_OK && i < j->check->n_leaves; i++) {
        const coti_check_part *part = &j->check->leaf[i];
        bool state = coti_check_is_state(j->check, part);
        const void *given = state ? NULL : given_data(j, part);
        if (given != NULL) {
            take_given(j, seed, part, given);
        } else if (part->at >= 0 && state && j->options.keep_states == COT_ON) {
            status = read_state(j, seed, part);
        } else if (part->at >= 0) {
            draw_floats(j, seed, part);
        } else if (!state) {
            draw_integers(j, seed, part);
        }
    }
    return status;
}
