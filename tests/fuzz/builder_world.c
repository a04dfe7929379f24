/*
 * Arguments and answers of the target of the graph API (builder_world.h).
 */
#include "builder_world.h"

#include <math.h>

/* ---- arguments ---- */

cot_graph *pick_graph(world *w) {
    int32_t i = fuzz_below(&w->bytes, 64);
    w->quiet = w->quiet || i == 63;
    return i == 63 ? NULL : w->graph[i < 56 ? 0 : i < 60 ? 1 : 2];
}

/* The newest value or one made before, most often; else poison or one that never was. */
cot_value pick(world *w) {
    int32_t i = fuzz_byte(&w->bytes);
    if (i >= 252 || w->n_values == 0) {
        cot_value forged = {i == 252 ? w->graph[0] : NULL, fuzz_byte(&w->bytes) * UINT32_C(9999)};
        w->quiet = w->quiet || forged.graph == NULL;
        return forged;
    }
    int32_t kept = w->n_values < N_VALUES ? w->n_values : N_VALUES;
    return w->value[i < 64 ? (w->n_values - 1) % N_VALUES : i % kept];
}

cot_dtype pick_dtype(world *w) {
    static const cot_dtype often[] = {COT_F32, COT_F32, COT_F32, COT_F64,
                                      COT_I32, COT_I64, COT_U8,  COT_BOOL};
    int32_t i = fuzz_below(&w->bytes, 64);
    return i < 63 ? often[i % 8] : (cot_dtype)fuzz_byte(&w->bytes);
}

static bool is_elementwise(coti_kind kind) {
    return kind == COTI_KIND_ELEMWISE || kind == COTI_KIND_COMPARE;
}

/* An operation of this kind and so many operands, most often; else any, or none. */
cot_op pick_op(world *w, coti_kind kind, int32_t n_inputs) {
    int32_t fitting[COT_OP_COUNT];
    int32_t n = 0;
    for (int32_t op = 0; op < COT_OP_COUNT; op++) {
        const coti_op_info *info = &coti_op_table[op];
        bool reduces = kind == COTI_KIND_REDUCE && info->kind == COTI_KIND_COMPOSITE &&
                       info->attr == COTI_ATTR_AXES;
        bool fits =
            info->kind == kind || reduces || (is_elementwise(kind) && is_elementwise(info->kind));
        if (fits && info->n_inputs == n_inputs) {
            fitting[n++] = op;
        }
    }
    int32_t i = fuzz_byte(&w->bytes);
    return (cot_op)(i < 240 ? fitting[i % n] : fuzz_below(&w->bytes, COT_OP_COUNT + 2));
}

int64_t pick_size(world *w) {
    static const int64_t odd[] = {-1,        INT64_MIN, INT64_MAX, COTI_SIZE_MAX, COTI_SIZE_MAX + 1,
                                  INT32_MAX, 1 << 20,   100};
    int32_t i = fuzz_below(&w->bytes, 64);
    return i < 56 ? i % 6 : odd[i - 56];
}

int32_t pick_axis(world *w) {
    int32_t i = fuzz_below(&w->bytes, 64);
    return i < 60 ? i % 5 - 1 : i == 60 ? INT32_MAX : i == 61 ? INT32_MIN : i - 55;
}

double pick_number(world *w) {
    static const double numbers[] = {0, 1,        -1,    0.5,   2,    -0.0, 255, 1e10,
                                     3, INFINITY, 1e300, -1e19, -2.5, 256,  7,   (double)NAN};
    return numbers[fuzz_below(&w->bytes, 16)];
}

/* Of a value made before, or any. */
cot_shape pick_shape(world *w) {
    int32_t i = fuzz_below(&w->bytes, 64);
    if (i < 16 && w->n_values > 0) {
        return cot_value_shape(w->value[i % (w->n_values < N_VALUES ? w->n_values : N_VALUES)]);
    }
    cot_shape shape = {.rank = i < 60    ? i % 4
                               : i == 60 ? 8
                               : i == 61 ? 9
                               : i == 62 ? -1
                                         : INT32_MAX,
                       .batched = fuzz_below(&w->bytes, 4) == 0};
    for (int32_t axis = 0; axis < shape.rank && axis < COT_MAX_RANK; axis++) {
        shape.dim[axis] = shape.rank < 8 ? pick_size(w) : 1 + fuzz_below(&w->bytes, 2);
    }
    return shape;
}

const char *pick_name(world *w) {
    static const char *const names[] = {
        "x", "y", "w", "a b", "layer/kernel:0", "", "\"\\\n\t", "%0", "\xff", "N", "é", "0"};
    int32_t i = fuzz_below(&w->bytes, 32);
    return i == 31 ? NULL : names[i % 12];
}

/* NULL now and then. */
const int32_t *pick_axes(world *w, int32_t list[N_LIST], int32_t *n_out) {
    int32_t i = fuzz_below(&w->bytes, 64);
    *n_out = i < 60 ? i % 4 : i == 60 ? -1 : i == 61 ? COT_MAX_RANK : COT_MAX_RANK + 1;
    for (int32_t k = 0; k < *n_out; k++) {
        list[k] = pick_axis(w);
    }
    return i == 63 ? NULL : list;
}

const int64_t *pick_sizes(world *w, int64_t list[N_LIST], int64_t usual) {
    int32_t i = fuzz_below(&w->bytes, 32);
    for (int32_t k = 0; k < COT_MAX_RANK; k++) {
        list[k] = i < 8 ? usual : pick_size(w);
    }
    return i == 31 ? NULL : list;
}

/* ---- what a call may answer ---- */

void before(world *w) {
    w->quiet = false;
    w->n_refused = 0;
    for (int i = 0; i < N_CONTEXTS; i++) {
        cot_error_clear(w->context[i]);
        w->n_refused += w->heap[i].n_refused;
    }
}

/* The context that has an error; NULL: none. */
const cot_context *failed(const world *w) {
    for (int i = 0; i < N_CONTEXTS; i++) {
        if (cot_error_get(w->context[i]).status != COT_OK) {
            return w->context[i];
        }
    }
    return NULL;
}

/* An error has a message, and says that memory is short when and only when an allocation failed. */
void check_failure(const world *w) {
    const cot_context *context = failed(w);
    int64_t n_refused = w->heap[0].n_refused + w->heap[1].n_refused - w->n_refused;
    cot_status status = context != NULL ? cot_error_get(context).status : COT_OK;
    FUZZ_CHECK((n_refused > 0) == (status == COT_E_NOMEM), "%lld allocations failed: %s",
               (long long)n_refused, cot_status_name(status));
    if (context != NULL) {
        fuzz_check_error(context, status);
    }
}

void accept_value(world *w, cot_value value) {
    const cot_context *context = failed(w);
    if (value.graph == NULL) {
        FUZZ_CHECK(context != NULL || w->quiet, "poison without an error");
    } else {
        FUZZ_CHECK(context == NULL, "a value, and an error: %s", cot_error_message(context));
        FUZZ_CHECK(value.id > 0 && value.id < value.graph->node.count, "no value of its graph");
        w->value[w->n_values++ % N_VALUES] = value;
    }
    check_failure(w);
}

void accept_status(world *w, cot_status status) {
    const cot_context *context = failed(w);
    FUZZ_CHECK(status == COT_OK
                   ? context == NULL
                   : (context == NULL ? w->quiet : cot_error_get(context).status == status),
               "returned %s, recorded: %s", cot_status_name(status), cot_error_message(context));
    check_failure(w);
}
