/*
 * Runs groups by the kernel interpreter (groups_interpret.h).
 */
#include "groups_interpret.h"

#include "kernel_interpret.h"

#include <string.h>

typedef struct run {
    const coti_groups *groups;
    cot_context *context;
    int64_t rows, chunk;
    const coti_tensor *input;
    void **value;        /* by node */
    cotr_source *source; /* by input */
    void **memory;       /* of a loop's body: by input; NULL: this is none */
    void **at_hand;      /* of the loop that is being run: its operands' memory */
} run;

static const coti_node *node_at(const run *r, uint32_t id) {
    return coti_node_at(r->groups->graph, id);
}

static int64_t value_bytes(const run *r, uint32_t id) {
    int64_t elements = 0;
    (void)coti_shape_elements(&node_at(r, id)->shape, r->rows, &elements);
    return elements * (int64_t)cot_dtype_bytes((cot_dtype)node_at(r, id)->dtype);
}

static int32_t input_of(const run *r, uint32_t id) {
    int32_t i = 0;
    while (r->groups->graph->input.data[i] != id) {
        i++;
    }
    return i;
}

static void *value_of(run *r, uint32_t id) {
    if (r->value[id] == NULL) {
        size_t bytes = (size_t)value_bytes(r, id);
        r->value[id] = coti_alloc(r->context, bytes);
        if (r->value[id] != NULL) {
            memset(r->value[id], 0xFF, bytes);
        }
    }
    return r->value[id];
}

static void *source_of(run *r, uint32_t id) {
    int32_t i = input_of(r, id);
    int64_t elements = 0;
    (void)coti_shape_elements(&node_at(r, id)->shape, 1, &elements);
    r->source[i] = (cotr_source){
        .base = r->input[i].data,
        .row_bytes = elements * (int64_t)cot_dtype_bytes(r->input[i].dtype),
        .dtype = (int32_t)r->input[i].dtype,
        .scale = 1,
    };
    return &r->source[i];
}

static void *buffer_of(run *r, const coti_operand *operand) {
    const void *attr = node_at(r, operand->id)->attr;
    switch (operand->kind) {
    case COTI_OPERAND_VALUE:
        return value_of(r, operand->id);
    case COTI_OPERAND_STATE:
        if (r->memory != NULL) {
            return r->memory[input_of(r, operand->id)];
        }
        return ((const coti_attr_VARIABLE *)attr)->variable->storage;
    case COTI_OPERAND_SOURCE:
        return source_of(r, operand->id);
    case COTI_OPERAND_INPUT:
        return r->input[input_of(r, operand->id)].data;
    case COTI_OPERAND_CONST: {
        void *data = NULL; /* read only, whatever its type says */
        memcpy(&data, &((const coti_attr_DATA *)attr)->data.data, sizeof data);
        return data;
    }
    }
    return NULL;
}

static cot_status run_kernel(run *r, const coti_group *group) {
    void *buffer[COTI_MAX_SLOTS];
    cotr_args args = {.buffer = buffer, .rows = r->rows};
    for (int32_t s = 0; s < group->kernel->n_slots; s++) {
        buffer[s] = buffer_of(r, &group->operand[s]);
        if (buffer[s] == NULL) {
            return COTI_FAIL(r->context, COT_E_NOMEM, "no buffer for a slot");
        }
    }
    int64_t total = group->rows ? r->rows : group->n_units;
    int64_t chunk = group->rows ? r->chunk : 1;
    int64_t step = group->rows ? group->coefficient : 1;
    for (int64_t begin = (total - 1) / chunk * chunk; total > 0 && begin >= 0; begin -= chunk) {
        int64_t end = begin + chunk < total ? begin + chunk : total;
        COTI_TRY(coti_kernel_interpret(r->context, group->kernel, &args, begin * step, end * step));
    }
    return COT_OK;
}

static cot_status run_group(run *r, const coti_group *group);

/* The body's memory at step t; carries' own are its values. */
static void move_memory(const run *r, run *body, const coti_group *group, int64_t t) {
    for (size_t i = 0; i < body->groups->graph->input.count; i++) {
        const coti_loop_memory *memory = &group->loop->memory[i];
        void *base = memory->operand >= 0 ? r->at_hand[memory->operand]
                                          : value_of(body, body->groups->graph->input.data[i]);
        body->memory[i] = (char *)base + t * memory->stride;
    }
}

/* The carries as they are at first. */
static void begin_loop(const run *r, const run *body, const coti_group *group) {
    for (size_t i = 0; i < body->groups->graph->input.count; i++) {
        const coti_loop_memory *memory = &group->loop->memory[i];
        const size_t bytes = (size_t)value_bytes(body, body->groups->graph->input.data[i]);
        if (memory->initial >= 0 && bytes > 0) {
            memcpy(body->memory[i], r->at_hand[memory->initial], bytes);
        }
    }
}

static cot_status run_steps(run *r, run *body, const coti_group *group) {
    const coti_loop *loop = group->loop;
    move_memory(r, body, group, 0);
    begin_loop(r, body, group);
    for (int64_t n = 0; n < loop->steps; n++) {
        move_memory(r, body, group, loop->reverse ? loop->steps - 1 - n : n);
        for (int32_t g = 0; g < loop->body->n_groups; g++) {
            COTI_TRY(run_group(body, &loop->body->group[g]));
        }
    }
    return COT_OK;
}

/* A run of the body's groups, within this one. As deep as loops lie in each other. */
static cot_status run_loop(run *r, const coti_group *group) {
    const coti_groups *groups = group->loop->body;
    run body = {.groups = groups, .context = r->context, .rows = r->rows, .chunk = r->chunk};
    void **outer = r->at_hand;
    r->at_hand = coti_calloc(r->context, (size_t)group->loop->n_operands + 1, sizeof(void *));
    body.value = coti_calloc(r->context, groups->graph->node.count, sizeof *body.value);
    body.memory = coti_calloc(r->context, groups->graph->input.count + 1, sizeof *body.memory);
    cot_status status = COT_E_NOMEM;
    if (r->at_hand != NULL && body.value != NULL && body.memory != NULL) {
        for (int32_t i = 0; i < group->loop->n_operands; i++) {
            r->at_hand[i] = buffer_of(r, &group->operand[i]);
        }
        status = run_steps(r, &body, group);
    }
    for (size_t i = 0; body.value != NULL && i < groups->graph->node.count; i++) {
        coti_free(r->context, body.value[i]);
    }
    coti_free(r->context, body.value);
    coti_free(r->context, body.memory);
    coti_free(r->context, r->at_hand);
    r->at_hand = outer;
    return status;
}

static cot_status run_group(run *r, const coti_group *group) {
    return group->loop != NULL ? run_loop(r, group) : run_kernel(r, group);
}

static cot_status run_all(run *r, coti_tensor *output) {
    const coti_groups *groups = r->groups;
    for (int32_t i = 0; i < groups->n_groups; i++) {
        COTI_TRY(run_group(r, &groups->group[i]));
    }
    for (size_t i = 0; i < groups->graph->output.count; i++) {
        uint32_t id = groups->output[i];
        if (r->value[id] == NULL) {
            return COTI_FAIL(r->context, COT_E_INTERNAL, "an output was not written");
        }
        memcpy(output[i].data, r->value[id], (size_t)value_bytes(r, id));
    }
    return COT_OK;
}

cot_status coti_groups_interpret(const coti_groups *groups, int64_t rows, int64_t chunk,
                                 const coti_tensor *input, coti_tensor *output) {
    cot_context *context = groups->context;
    size_t n_nodes = groups->graph->node.count;
    run r = {.groups = groups, .context = context, .rows = rows, .chunk = chunk, .input = input};
    r.value = coti_calloc(context, n_nodes, sizeof *r.value);
    r.source = coti_calloc(context, groups->graph->input.count + 1, sizeof *r.source);
    cot_status status = COT_E_NOMEM;
    if (r.value != NULL && r.source != NULL) {
        status = run_all(&r, output);
    }
    for (size_t i = 0; r.value != NULL && i < n_nodes; i++) {
        coti_free(context, r.value[i]);
    }
    coti_free(context, r.value);
    coti_free(context, r.source);
    return status;
}
