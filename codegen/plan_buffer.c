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

cot_status coti_plan_node_bytes(cot_context *context, const coti_node *node, int64_t rows,
                                int64_t *bytes_out) {
    int64_t elements = 0;
    if (!coti_shape_elements(&node->shape, rows, &elements) ||
        !coti_size_mul(elements, (int64_t)cot_dtype_bytes((cot_dtype)node->dtype), bytes_out)) {
        char type[COTI_TYPE_BYTES];
        return COTI_FAIL_OP(context, COT_E_SHAPE, cot_op_name((cot_op)node->op), node->layer,
                            "a value of type %s is too large at %lld rows",
                            coti_type_text(type, (cot_dtype)node->dtype, &node->shape),
                            (long long)rows);
    }
    return COT_OK;
}

cot_status coti_plan_bytes(const coti_planner *p, uint32_t id, int64_t rows, int64_t *bytes_out) {
    return coti_plan_node_bytes(p->context, coti_plan_node(p, id), rows, bytes_out);
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
        plan->state_node[plan->program.n_states++] = coti_plan_node(p, operand->id);
        break;
    case COTI_OPERAND_SOURCE:
    case COTI_OPERAND_INPUT:
        buffer.kind = operand->kind == COTI_OPERAND_SOURCE ? COTR_SOURCE : COTR_INPUT;
        buffer.offset = p->value[operand->id].input;
        break;
    }
    plan->buffer_info[p->n_buffers] =
        (coti_plan_buffer){.kind = operand->kind, .node = operand->id, .graph = p->groups->graph};
    p->buffer[p->n_buffers++] = buffer;
    return COT_OK;
}

cot_status coti_plan_make_constant(coti_planner *p, const coti_node *node, int32_t *buffer_out) {
    coti_plan *plan = p->plan;
    cotr_buffer buffer = {.kind = COTR_STATE, .offset = plan->program.n_states};
    COTI_TRY(coti_plan_node_bytes(p->context, node, 1, &buffer.bytes));
    plan->state_node[plan->program.n_states++] = node;
    plan->buffer_info[p->n_buffers] = (coti_plan_buffer){.kind = COTI_OPERAND_CONST};
    p->buffer[p->n_buffers] = buffer;
    *buffer_out = p->n_buffers++;
    return COT_OK;
}

cot_status coti_plan_find_buffer(coti_planner *p, const coti_operand *operand,
                                 int32_t *buffer_out) {
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
        COTI_TRY(coti_plan_find_buffer(p, &group->operand[i], &slot[i]));
    }
    call->slot = slot;
    return COT_OK;
}

/* A call that copies an input's rows to a buffer of the step may be left out: see program.h. */
static void note_load(coti_planner *p, int32_t i_call, int32_t *loaded) {
    cotr_call *call = &p->plan->call[i_call];
    if (p->plan->call_of[i_call]->kernel->skeleton != COTI_SKELETON_LOAD) {
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
        n += coti_plan_count_operands(&p->groups->group[g]);
    }
    return n;
}

static cot_status make_tables(coti_planner *p, int32_t **loaded_out) {
    coti_plan *plan = p->plan;
    const size_t n = count_operands(p), n_inputs = p->groups->graph->input.count;
    int32_t *loaded = coti_arena_array(&plan->arena, n_inputs, sizeof *loaded);
    p->buffer = coti_arena_array(&plan->arena, n, sizeof *p->buffer);
    p->loop = coti_arena_array(&p->scratch, (size_t)p->groups->n_groups, sizeof *p->loop);
    plan->buffer_info = coti_arena_array(&plan->arena, n, sizeof *plan->buffer_info);
    plan->state_node =
        (const coti_node **)coti_arena_array(&plan->arena, n, sizeof *plan->state_node);
    if (loaded == NULL || p->buffer == NULL || p->loop == NULL || plan->buffer_info == NULL ||
        plan->state_node == NULL) {
        return COT_E_NOMEM;
    }
    memset(loaded, -1, n_inputs * sizeof *loaded);
    *loaded_out = loaded;
    return COT_OK;
}

/* The slots of all calls of the group that call *i is the first of; *i goes on behind them. */
static cot_status make_group_slots(coti_planner *p, int32_t *i, int32_t *loaded) {
    if (p->plan->call_of[*i]->loop != NULL) {
        return coti_plan_loop_slots(p, p->plan->call_group[*i], i);
    }
    COTI_TRY(make_slots(p, *i));
    note_load(p, (*i)++, loaded);
    return COT_OK;
}

static cot_status make_buffers(coti_planner *p) {
    coti_plan *plan = p->plan;
    int32_t *loaded = NULL;
    COTI_TRY(make_tables(p, &loaded));
    for (int32_t i = 0; i < plan->n_calls;) {
        COTI_TRY(make_group_slots(p, &i, loaded));
    }
    plan->program.loaded = loaded;
    plan->program.buffer = p->buffer;
    plan->program.n_buffers = p->n_buffers;
    return COT_OK;
}

/* ---- placing ---- */

/* Blocks to be placed together, and whose each is: buffers from `first` on, `n` of them, which lie
 * in it at their offsets. */
typedef struct block_owner {
    int32_t first, n;
} block_owner;

typedef struct block_list {
    coti_plan_block *block;
    block_owner *owner;
    int32_t n;
} block_list;

static cot_status new_list(coti_planner *p, block_list *list) {
    const size_t n = (size_t)p->n_buffers + (size_t)p->n_loops;
    list->n = 0;
    list->block = coti_arena_array(&p->scratch, n, sizeof *list->block);
    list->owner = coti_arena_array(&p->scratch, n, sizeof *list->owner);
    return list->block != NULL && list->owner != NULL ? COT_OK : COT_E_NOMEM;
}

static void add_block(block_list *list, block_owner owner, int64_t bytes, coti_lifetime life) {
    list->owner[list->n] = owner;
    list->block[list->n++] = (coti_plan_block){life, coti_round_up(bytes, COTI_PLAN_ALIGN), 0};
}

static void add_buffer(coti_planner *p, block_list *list, int32_t i_buffer, coti_lifetime life) {
    add_block(list, (block_owner){i_buffer, 1}, p->buffer[i_buffer].bytes, life);
    p->plan->buffer_info[i_buffer].life = life;
}

/* All that is a loop's own. */
static void add_loop(block_list *list, const coti_plan_loop *loop, coti_lifetime life) {
    add_block(list, (block_owner){loop->first_buffer, loop->n_buffers}, loop->bytes, life);
}

/* Move the buffers of placed blocks to where their blocks are. */
static void move_buffers(coti_planner *p, const block_list *list) {
    for (int32_t i = 0; i < list->n; i++) {
        for (int32_t k = 0; k < list->owner[i].n; k++) {
            cotr_buffer *buffer = &p->buffer[list->owner[i].first + k];
            if (buffer->kind == COTR_OUTPUT) {
                buffer->arena_offset += list->block[i].offset;
            } else if (buffer->kind != COTR_STATE) { /* a constant of a loop */
                buffer->offset += list->block[i].offset;
            }
        }
    }
}

static cot_status place_arena(coti_planner *p) {
    block_list list;
    coti_plan *plan = p->plan;
    COTI_TRY(new_list(p, &list));
    for (int32_t i = 0; i < p->n_buffers; i++) {
        const bool in_arena = p->buffer[i].kind == COTR_ARENA || p->buffer[i].kind == COTR_OUTPUT;
        if (in_arena && plan->buffer_info[i].loop == 0) {
            const coti_plan_value *value = &p->value[plan->buffer_info[i].node];
            const int32_t first = p->group[value->writer].phase;
            add_buffer(p, &list, i, (coti_lifetime){first, value->last_phase});
        }
    }
    for (int32_t i = 0; i < p->n_loops; i++) {
        const int32_t phase = p->group[p->loop[i].group].phase;
        if (!p->loop[i].rows) {
            add_loop(&list, &p->loop[i], (coti_lifetime){phase, phase});
        }
    }
    COTI_TRY(coti_place_blocks(p->context, list.block, list.n, p->n_phases, p->context->plan,
                               &plan->program.arena_bytes, &plan->bound_bytes));
    move_buffers(p, &list);
    return COT_OK;
}

/* Place the LOCAL buffers of one chain, and begin the list of the next. */
static cot_status place_chain(coti_planner *p, block_list *list, int32_t i_chain) {
    int64_t total = 0, bound = 0;
    if (list->n == 0) {
        return COT_OK;
    }
    const int32_t times = p->chain_first[i_chain + 1] - p->chain_first[i_chain];
    COTI_TRY(coti_place_blocks(p->context, list->block, list->n, times, true, &total, &bound));
    move_buffers(p, list);
    cotr_program *program = &p->plan->program;
    program->local_bytes = total > program->local_bytes ? total : program->local_bytes;
    list->n = 0;
    return COT_OK;
}

/* A LOCAL buffer, or the first of a loop's own, which stand for all: into its chain's list. */
static void list_local(coti_planner *p, block_list *list, int32_t i, int32_t g) {
    const int32_t loop = p->plan->buffer_info[i].loop, position = p->group[g].position;
    if (loop == 0) {
        const coti_plan_value *value = &p->value[p->plan->buffer_info[i].node];
        add_buffer(p, list, i, (coti_lifetime){position, value->last_position});
    } else {
        add_loop(list, &p->loop[loop - 1], (coti_lifetime){position, position});
    }
}

/* Buffers were made in the order of calls, so those of a chain stand together. */
static cot_status place_local(coti_planner *p) {
    block_list list;
    int32_t i_chain = 0, listed = 0;
    COTI_TRY(new_list(p, &list));
    cot_status status = COT_OK;
    for (int32_t i = 0; i < p->n_buffers && status == COT_OK; i++) {
        const coti_plan_buffer *info = &p->plan->buffer_info[i];
        if (p->buffer[i].kind != COTR_LOCAL || (info->loop != 0 && info->loop == listed)) {
            continue;
        }
        const int32_t g =
            info->loop != 0 ? p->loop[info->loop - 1].group : p->value[info->node].writer;
        if (p->group[g].chain != i_chain) {
            status = place_chain(p, &list, i_chain);
            i_chain = p->group[g].chain;
        }
        list_local(p, &list, i, g);
        listed = info->loop != 0 ? info->loop : listed;
    }
    return status == COT_OK ? place_chain(p, &list, i_chain) : status;
}

cot_status coti_plan_buffers(coti_planner *p) {
    note_lives(p);
    COTI_TRY(make_buffers(p));
    COTI_TRY(place_arena(p));
    return place_local(p);
}
