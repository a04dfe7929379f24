/*
 * What fills the arena: the values that are alive in its fullest phase, for the message of a plan
 * that is too large. A loop's own memory has no values of the graph and is not told.
 */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value that is alive at the peak. */
typedef struct resident {
    const coti_node *node;
    int64_t bytes;
    int32_t buffer;
} resident;

static bool has_phases(const coti_plan *plan, int32_t i) {
    const cotr_buffer_kind kind = plan->program.buffer[i].kind;
    return (kind == COTR_ARENA || kind == COTR_OUTPUT) && plan->buffer_info[i].loop == 0;
}

/* The phase in which most bytes are alive; the earliest of several. */
static cot_status find_fullest(const coti_plan *plan, coti_arena *memory, int32_t *phase_out) {
    const int32_t n = plan->program.n_phases;
    int64_t *change = coti_arena_array(memory, (size_t)n + 1, sizeof *change);
    if (change == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < plan->program.n_buffers; i++) {
        if (has_phases(plan, i)) {
            change[plan->buffer_info[i].life.first] += plan->program.buffer[i].bytes;
            change[plan->buffer_info[i].life.last + 1] -= plan->program.buffer[i].bytes;
        }
    }
    int64_t live = 0, most = -1;
    for (int32_t t = 0; t < n; t++) {
        live += change[t];
        *phase_out = live > most ? t : *phase_out;
        most = live > most ? live : most;
    }
    return COT_OK;
}

static int compare_residents(const void *a, const void *b) {
    const resident *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* Would they read the same? Layers are interned in their graph. */
static bool are_alike(const resident *a, const resident *b) {
    return a->node->op == b->node->op && a->node->layer == b->node->layer &&
           a->node->dtype == b->node->dtype && coti_shape_equal(&a->node->shape, &b->node->shape);
}

/* `, 3 x "dense" maximum f32[N,512] 786432 bytes` */
static void print_residents(coti_str *out, const resident *first, int32_t n, bool begins) {
    char type[COTI_TYPE_BYTES];
    const coti_node *node = first->node;
    coti_str_append(out, begins ? "" : ", ");
    if (n > 1) {
        coti_str_printf(out, "%d x ", (int)n);
    }
    if (node->layer != NULL) {
        coti_str_printf(out, "\"%.40s\" ", node->layer);
    }
    coti_str_printf(out, "%s %s %lld bytes",
                    node->name != NULL ? node->name : cot_op_name((cot_op)node->op),
                    coti_type_text(type, (cot_dtype)node->dtype, &node->shape),
                    (long long)n * (long long)first->bytes);
}

/* Lines as long as `bytes` allows, largest first, alike ones together; how many are left out. */
static void print_all(coti_str *out, const resident *list, int32_t n, size_t bytes) {
    for (int32_t i = 0, next = 0; i < n; i = next) {
        while (next < n && are_alike(&list[i], &list[next])) {
            next++;
        }
        const size_t before = out->count;
        print_residents(out, &list[i], next - i, i == 0);
        if (out->count + sizeof ", and 1000000000 more" > bytes && i > 0) {
            out->count = before;
            coti_str_printf(out, ", and %d more", (int)(n - i));
            return;
        }
    }
    coti_str_append(out, n == 0 ? "nothing" : "");
}

static cot_status list_residents(const coti_plan *plan, coti_arena *memory, int32_t phase,
                                 resident **list_out, int32_t *n_out) {
    const int32_t n_buffers = plan->program.n_buffers;
    resident *list = coti_arena_array(memory, (size_t)n_buffers, sizeof *list);
    if (list == NULL) {
        return COT_E_NOMEM;
    }
    int32_t n = 0;
    for (int32_t i = 0; i < n_buffers; i++) {
        const coti_plan_buffer *info = &plan->buffer_info[i];
        if (has_phases(plan, i) && info->life.first <= phase && phase <= info->life.last) {
            list[n++] =
                (resident){coti_node_at(info->graph, info->node), plan->program.buffer[i].bytes, i};
        }
    }
    qsort(list, (size_t)n, sizeof *list, compare_residents);
    *list_out = list;
    *n_out = n;
    return COT_OK;
}

static cot_status describe(const coti_plan *plan, coti_arena *memory, coti_str *out, size_t bytes) {
    int32_t phase = 0, n = 0;
    resident *list = NULL;
    COTI_TRY(find_fullest(plan, memory, &phase));
    COTI_TRY(list_residents(plan, memory, phase, &list, &n));
    coti_str_printf(out, "phase %d of %d: ", (int)phase, (int)plan->program.n_phases);
    print_all(out, list, n, bytes);
    return coti_str_status(out);
}

cot_status coti_plan_peak(const coti_plan *plan, cot_context *context, char *text, size_t bytes) {
    coti_arena memory;
    coti_str out;
    coti_arena_init(&memory, context);
    coti_str_init(&out, context);
    cot_status status = describe(plan, &memory, &out, bytes);
    if (status == COT_OK) {
        (void)snprintf(text, bytes, "%s", coti_str_text(&out));
    }
    coti_str_free(&out);
    coti_arena_clear(&memory);
    return status;
}
