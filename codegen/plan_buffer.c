/*
 * Buffers: where each value, state, input and constant of the groups is at run time.
 *
 * A value that one chain over rows alone writes and reads is LOCAL: only the rows of a chunk exist
 * at a time, in the running thread's block, placed by the calls of the chain. All other values are
 * in the arena, placed by phases, since the chains of a phase run in any order; a graph's output is
 * there only while the caller has bound no memory to it.
 */
#include "planner.h"

#include <string.h>

enum { ALIGNMENT = 64 };

cot_status coti_plan_bytes(const coti_planner *p, uint32_t id, int64_t rows, int64_t *bytes_out) {
    const coti_node *node = coti_plan_node(p, id);
    int64_t elements = 0;
    if (!coti_shape_elements(&node->shape, rows, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes((cot_dtype)node->dtype), bytes_out)) {
        char type[COTI_TYPE_BYTES];
        return COTI_FAIL_OP(p->context, COT_E_SHAPE, cot_op_name((cot_op)node->op), node->layer,
                            "a value of type %s is too large at %lld rows",
                            coti_type_text(type, (cot_dtype)node->dtype, &node->shape),
                            (long long)rows);
    }
    return COT_OK;
}

/* ---- making ---- */

/* Who uses each value: its latest phase, whether one chain alone, the last call there. */
static void note_lives(coti_planner *p) {
    for (size_t i = 0; i < p->groups->graph->node.count; i++) {
        p->value[i].one_chain = true;
        p->value[i].last_phase = 0;
        p->value[i].last_position = 0;
    }
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        const coti_plan_group *group = &p->group[g];
        COTI_PLAN_OPERANDS(p, g, operand) {
            coti_plan_value *value = &p->value[operand->id];
            if (operand->kind == COTI_OPERAND_VALUE) {
                value->one_chain &= p->group[value->writer].chain == group->chain;
                value->last_phase = coti_plan_later(value->last_phase, group->phase);
                value->last_position = coti_plan_later(value->last_position, group->position);
            }
        }
    }
}

/* A VALUE's buffer: kind, and for LOCAL the rows that it must hold. */
static void describe_value(const coti_planner *p, uint32_t id, cotr_buffer *buffer) {
    const coti_plan_value *value = &p->value[id];
    const cotr_chain *chain = &p->chain[p->group[value->writer].chain];
    buffer->kind = COTR_ARENA;
    if (value->output >= 0) {
        buffer->kind = COTR_OUTPUT;
        buffer->offset = value->output;
    } else if (value->one_chain && chain->rows && p->context->plan) {
        int64_t rows = chain->chunk < p->groups->max_rows ? chain->chunk : p->groups->max_rows;
        buffer->kind = COTR_LOCAL;
        buffer->bytes = buffer->row_bytes * rows;
    }
}

/* The buffer of an operand that is met for the first time. */
static cot_status make_buffer(coti_planner *p, const coti_operand *operand) {
    coti_plan *plan = p->plan;
    cotr_buffer buffer = {.kind = COTR_STATE};
    COTI_TRY(coti_plan_bytes(p, operand->id, p->groups->max_rows, &buffer.bytes));
    if (coti_plan_node(p, operand->id)->shape.batched) {
        COTI_TRY(coti_plan_bytes(p, operand->id, 1, &buffer.row_bytes));
    }
    switch (operand->kind) {
    case COTI_OPERAND_VALUE:
        describe_value(p, operand->id, &buffer);
        break;
    case COTI_OPERAND_STATE:
    case COTI_OPERAND_CONST:
        buffer.offset = plan->program.n_states;
        plan->state_node[plan->program.n_states++] = operand->id;
        break;
    case COTI_OPERAND_SOURCE:
    case COTI_OPERAND_INPUT:
        buffer.kind = operand->kind == COTI_OPERAND_SOURCE ? COTR_SOURCE : COTR_INPUT;
        buffer.offset = p->value[operand->id].input;
        break;
    }
    plan->buffer_info[p->n_buffers] = (coti_plan_buffer){operand->kind, operand->id, {0, 0}};
    p->buffer[p->n_buffers++] = buffer;
    return COT_OK;
}

/* The buffer of an operand, made if it has none yet. */
static cot_status find_buffer(coti_planner *p, const coti_operand *operand, int32_t *buffer_out) {
    coti_plan_value *value = &p->value[operand->id];
    /* An input's rows as bound and as loaded are two buffers of one node. */
    int32_t *buffer = operand->kind == COTI_OPERAND_SOURCE ? &value->source : &value->buffer;
    if (*buffer < 0) {
        *buffer = p->n_buffers;
        COTI_TRY(make_buffer(p, operand));
    }
    *buffer_out = *buffer;
    return COT_OK;
}

static cot_status make_slots(coti_planner *p, int32_t i_call) {
    cotr_call *call = &p->plan->call[i_call];
    const coti_group *group = &p->groups->group[p->plan->call_group[i_call]];
    int32_t *slot = coti_arena_array(&p->plan->arena, (size_t)call->n_slots, sizeof *slot);
    if (slot == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < call->n_slots; i++) {
        COTI_TRY(find_buffer(p, &group->operand[i], &slot[i]));
    }
    call->slot = slot;
    return COT_OK;
}

/* A call that copies an input's rows to a buffer of the step may be left out: see program.h. */
static void note_load(coti_planner *p, int32_t i_call, int32_t *loaded) {
    cotr_call *call = &p->plan->call[i_call];
    if (p->plan->kernel[p->plan->call_kernel[i_call]]->skeleton != COTI_SKELETON_LOAD) {
        return;
    }
    const int64_t i_input = p->buffer[call->slot[0]].offset;
    if (p->buffer[call->slot[1]].kind != COTR_OUTPUT && loaded[i_input] < 0) {
        loaded[i_input] = call->slot[1];
        call->loads = (int32_t)i_input;
    }
}

/* Operands of all groups: no fewer than there are buffers. */
static size_t count_operands(const coti_planner *p) {
    size_t n = 0;
    for (int32_t g = 0; g < p->groups->n_groups; g++) {
        n += (size_t)p->groups->group[g].kernel->n_slots;
    }
    return n;
}

static cot_status make_buffers(coti_planner *p) {
    coti_plan *plan = p->plan;
    const size_t n = count_operands(p), n_inputs = p->groups->graph->input.count;
    int32_t *loaded = coti_arena_array(&plan->arena, n_inputs, sizeof *loaded);
    p->buffer = coti_arena_array(&plan->arena, n, sizeof *p->buffer);
    plan->buffer_info = coti_arena_array(&plan->arena, n, sizeof *plan->buffer_info);
    plan->state_node = coti_arena_array(&plan->arena, n, sizeof *plan->state_node);
    if (loaded == NULL || p->buffer == NULL || plan->buffer_info == NULL ||
        plan->state_node == NULL) {
        return COT_E_NOMEM;
    }
    memset(loaded, -1, n_inputs * sizeof *loaded);
    for (int32_t i = 0; i < plan->n_calls; i++) {
        COTI_TRY(make_slots(p, i));
        note_load(p, i, loaded);
    }
    plan->program.loaded = loaded;
    plan->program.buffer = p->buffer;
    plan->program.n_buffers = p->n_buffers;
    return COT_OK;
}

/* ---- placing ---- */

/* Blocks to be placed together, and the buffer of each. */
typedef struct block_list {
    coti_plan_block *block;
    int32_t *buffer;
    int32_t n;
} block_list;

static cot_status new_list(coti_planner *p, block_list *list) {
    list->n = 0;
    list->block = coti_arena_array(&p->scratch, (size_t)p->n_buffers, sizeof *list->block);
    list->buffer = coti_arena_array(&p->scratch, (size_t)p->n_buffers, sizeof *list->buffer);
    return list->block != NULL && list->buffer != NULL ? COT_OK : COT_E_NOMEM;
}

static void add_block(coti_planner *p, block_list *list, int32_t i_buffer, coti_lifetime life) {
    const int64_t bytes = coti_round_up(p->buffer[i_buffer].bytes, ALIGNMENT);
    list->buffer[list->n] = i_buffer;
    list->block[list->n++] = (coti_plan_block){life, bytes, 0};
    p->plan->buffer_info[i_buffer].life = life;
}

static cot_status place_arena(coti_planner *p) {
    block_list list;
    coti_plan *plan = p->plan;
    COTI_TRY(new_list(p, &list));
    for (int32_t i = 0; i < p->n_buffers; i++) {
        const coti_plan_value *value = &p->value[plan->buffer_info[i].node];
        if (p->buffer[i].kind == COTR_ARENA || p->buffer[i].kind == COTR_OUTPUT) {
            const int32_t first = p->group[value->writer].phase;
            add_block(p, &list, i, (coti_lifetime){first, value->last_phase});
        }
    }
    COTI_TRY(coti_place_blocks(p->context, list.block, list.n, p->n_phases, p->context->plan,
                               &plan->program.arena_bytes, &plan->bound_bytes));
    for (int32_t i = 0; i < list.n; i++) {
        cotr_buffer *buffer = &p->buffer[list.buffer[i]];
        if (buffer->kind == COTR_ARENA) {
            buffer->offset = list.block[i].offset;
        } else {
            buffer->arena_offset = list.block[i].offset;
        }
    }
    return COT_OK;
}

/* Place the LOCAL buffers of one chain, and begin the list of the next. */
static cot_status place_chain(coti_planner *p, block_list *list, int32_t i_chain) {
    int64_t total = 0, bound = 0;
    if (list->n == 0) {
        return COT_OK;
    }
    COTI_TRY(coti_place_blocks(p->context, list->block, list->n, p->chain[i_chain].n_calls, true,
                               &total, &bound));
    for (int32_t i = 0; i < list->n; i++) {
        p->buffer[list->buffer[i]].offset = list->block[i].offset;
    }
    cotr_program *program = &p->plan->program;
    program->local_bytes = total > program->local_bytes ? total : program->local_bytes;
    list->n = 0;
    return COT_OK;
}

/* Buffers were made in the order of calls, so those of a chain stand together. */
static cot_status place_local(coti_planner *p) {
    block_list list;
    int32_t i_chain = 0;
    COTI_TRY(new_list(p, &list));
    cot_status status = COT_OK;
    for (int32_t i = 0; i < p->n_buffers && status == COT_OK; i++) {
        if (p->buffer[i].kind != COTR_LOCAL) {
            continue;
        }
        const coti_plan_value *value = &p->value[p->plan->buffer_info[i].node];
        const coti_plan_group *writer = &p->group[value->writer];
        if (writer->chain != i_chain) {
            status = place_chain(p, &list, i_chain);
            i_chain = writer->chain;
        }
        add_block(p, &list, i, (coti_lifetime){writer->position, value->last_position});
    }
    return status == COT_OK ? place_chain(p, &list, i_chain) : status;
}

cot_status coti_plan_buffers(coti_planner *p) {
    note_lives(p);
    COTI_TRY(make_buffers(p));
    COTI_TRY(place_arena(p));
    return place_local(p);
}
