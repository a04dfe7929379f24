/*
 * Loops in a plan: their calls, one after another, and their memory.
 *
 * A loop is, among the calls of its chain, a copy of each carry to where it lives, the LOOP, and
 * the calls of its body's groups, in their order; a loop in it likewise. Slots are what a body's
 * memory stands for outside of it; what moves on with the steps is told to the loop, that of every
 * loop around a call.
 *
 * What is the loop's own (values of a step, carries that are no result) lives in one block, placed
 * within it by the groups of the body: of a loop over rows in the thread's local block, for the
 * rows of a chunk, else in the arena.
 */
#include "planner.h"

/* ---- calls ---- */

static int32_t count_copies(const coti_loop *loop) {
    int32_t n = 0;
    for (size_t i = 0; i < loop->body->graph->input.count; i++) {
        n += loop->memory[i].initial >= 0;
    }
    return n;
}

/* No deeper than bodies lie in each other. */
int32_t coti_plan_count_calls(const coti_group *group) {
    int32_t n = 1;
    if (group->loop == NULL) {
        return n;
    }
    for (int32_t g = 0; g < group->loop->body->n_groups; g++) {
        n += coti_plan_count_calls(&group->loop->body->group[g]);
    }
    return n + count_copies(group->loop);
}

size_t coti_plan_count_operands(const coti_group *group) {
    size_t n = (size_t)coti_group_n_operands(group);
    if (group->loop == NULL) {
        return n;
    }
    for (int32_t g = 0; g < group->loop->body->n_groups; g++) {
        n += coti_plan_count_operands(&group->loop->body->group[g]);
    }
    return n + 2 * (size_t)count_copies(group->loop) + group->loop->body->graph->input.count;
}

/* On what a call works, in the chain of a group: its own group may be in a loop. */
static void set_range(const coti_group *outer, const coti_group *group, cotr_call *call) {
    if (outer == group) {
        return; /* the chain's */
    }
    if (!group->rows) {
        call->range = COTR_RANGE_UNITS;
        call->units = group->n_units;
    } else if (!outer->rows) {
        call->range = COTR_RANGE_ROWS;
    }
}

static cotr_call *append_call(coti_planner *p, int32_t outer, const coti_groups *groups,
                              const coti_group *group) {
    coti_plan *plan = p->plan;
    const int32_t i = plan->n_calls++;
    plan->call_group[i] = outer;
    plan->call_of[i] = group;
    plan->call_groups[i] = groups;
    plan->call_kernel[i] = -1;
    plan->call[i] = (cotr_call){.coefficient = 1, .loads = -1};
    return &plan->call[i];
}

static cot_status append_loop(coti_planner *p, int32_t outer, const coti_groups *groups,
                              const coti_group *group, int32_t depth, double steps) {
    const coti_group *chain_group = &p->groups->group[outer];
    const coti_loop *loop = group->loop;
    if (depth >= COTR_MAX_NESTING) {
        return COTI_FAIL(p->context, COT_E_UNSUPPORTED, "scans lie in each other more than %d deep",
                         COTR_MAX_NESTING);
    }
    for (int32_t i = count_copies(loop); i > 0; i--) {
        cotr_call *copy = append_call(p, outer, groups, group);
        copy->kind = COTR_CALL_COPY;
        copy->name = "carry";
        copy->n_slots = 2;
        copy->range = chain_group->rows ? COTR_RANGE_CHAIN : COTR_RANGE_ROWS;
    }
    cotr_call *call = append_call(p, outer, groups, group);
    call->kind = COTR_CALL_LOOP;
    call->name = "scan";
    call->loop.steps = loop->steps;
    call->loop.reverse = loop->reverse;
    const int32_t first = p->plan->n_calls;
    for (int32_t g = 0; g < loop->body->n_groups; g++) {
        COTI_TRY(coti_plan_append_calls(p, outer, loop->body, &loop->body->group[g], depth + 1,
                                        steps * (double)loop->steps));
    }
    call->loop.n_calls = p->plan->n_calls - first;
    return COT_OK;
}

cot_status coti_plan_append_calls(coti_planner *p, int32_t outer, const coti_groups *groups,
                                  const coti_group *group, int32_t depth, double steps) {
    if (group->loop != NULL) {
        return append_loop(p, outer, groups, group, depth, steps);
    }
    cotr_call *call = append_call(p, outer, groups, group);
    const char *hint = group->kernel->hint;
    call->name = coti_arena_strdup(&p->plan->arena, hint != NULL ? hint : "kernel");
    call->n_slots = group->kernel->n_slots;
    call->coefficient = group->rows ? group->coefficient : 1;
    call->work = group->work * steps;
    set_range(&p->groups->group[outer], group, call);
    return call->name != NULL ? COT_OK : COT_E_NOMEM;
}

/* ---- buffers ---- */

typedef COTI_VEC(cotr_stride) stride_list;

/* A loop whose calls are being given their slots. */
typedef struct level {
    struct level *up; /* the loop around it; NULL: none */
    const coti_group *group;
    const coti_loop *loop;
    int32_t *buffer;    /* by node of the body's graph: its own; -1: none yet */
    int32_t first_call; /* of the loop's calls */
    stride_list strides;
} level;

/* The place of an input in its graph's list. */
static size_t input_of(const cot_graph *graph, uint32_t id) {
    size_t low = 0, high = graph->input.count; /* ids ascend */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (graph->input.data[middle] <= id) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* A new buffer of a loop's own, to be placed with the others of the outermost loop. */
static cot_status make_own(coti_planner *p, const level *at, uint32_t id, int32_t *buffer_out) {
    const coti_node *node = coti_node_at(at->loop->body->graph, id);
    const coti_plan_loop *outermost = &p->loop[p->n_loops - 1];
    cotr_buffer *buffer = &p->buffer[p->n_buffers];
    *buffer = (cotr_buffer){.kind = outermost->rows ? COTR_LOCAL : COTR_ARENA};
    COTI_TRY(coti_plan_node_bytes(p->context, node, outermost->n_rows, &buffer->bytes));
    if (node->shape.batched) {
        COTI_TRY(coti_plan_node_bytes(p->context, node, 1, &buffer->row_bytes));
    }
    p->plan->buffer_info[p->n_buffers] = (coti_plan_buffer){
        .kind = COTI_OPERAND_VALUE, .node = id, .graph = at->loop->body->graph, .loop = p->n_loops};
    *buffer_out = p->n_buffers++;
    return COT_OK;
}

/* The buffer of a node of a body, which is a value, a carry that is no result, or a constant. */
static cot_status find_own(coti_planner *p, const level *at, uint32_t id, int32_t *buffer_out) {
    const coti_node *node = coti_node_at(at->loop->body->graph, id);
    if (at->buffer[id] < 0) {
        COTI_TRY(node->op == COT_OP_CONST ? coti_plan_make_constant(p, node, &at->buffer[id])
                                          : make_own(p, at, id, &at->buffer[id]));
    }
    *buffer_out = at->buffer[id];
    return COT_OK;
}

/* A slot of a call in the loop moves on with its steps. */
static cot_status note_stride(const coti_planner *p, level *at, int32_t i_call, int32_t slot,
                              int64_t bytes) {
    COTI_TRY(coti_vec_reserve(p->context, &at->strides, at->strides.count + 1));
    at->strides.data[at->strides.count++] = (cotr_stride){i_call - at->first_call, slot, bytes};
    return COT_OK;
}

/*
 * The buffer of a slot: from loop to loop outwards, as far as the memory is another's. Strides on
 * the way are noted.
 */
static cot_status find_slot(coti_planner *p, level *at, const coti_operand *operand, int32_t i_call,
                            int32_t slot, int32_t *buffer_out) {
    for (; at != NULL && operand->kind == COTI_OPERAND_STATE; at = at->up) {
        const coti_loop_memory *memory =
            &at->loop->memory[input_of(at->loop->body->graph, operand->id)];
        COTI_TRY(memory->stride != 0 ? note_stride(p, at, i_call, slot, memory->stride) : COT_OK);
        if (memory->operand < 0) {
            return find_own(p, at, operand->id, buffer_out);
        }
        operand = &at->group->operand[memory->operand];
    }
    return at != NULL ? find_own(p, at, operand->id, buffer_out)
                      : coti_plan_find_buffer(p, operand, buffer_out);
}

static cot_status make_slots(coti_planner *p, level *at, const coti_operand *const *operand,
                             int32_t i_call) {
    cotr_call *call = &p->plan->call[i_call];
    int32_t *slot = coti_arena_array(&p->plan->arena, (size_t)call->n_slots, sizeof *slot);
    if (slot == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t s = 0; s < call->n_slots; s++) {
        COTI_TRY(find_slot(p, at, operand[s], i_call, s, &slot[s]));
    }
    call->slot = slot;
    return COT_OK;
}

static cot_status make_kernel_slots(coti_planner *p, level *at, const coti_group *group,
                                    int32_t i_call) {
    const coti_operand *operand[COTI_MAX_SLOTS] = {NULL};
    for (int32_t s = 0; s < group->kernel->n_slots; s++) {
        operand[s] = &group->operand[s];
    }
    return make_slots(p, at, operand, i_call);
}

/* The copies of carries before a loop, whose level is `inner`, in the loop `at`. */
static cot_status make_copy_slots(coti_planner *p, level *at, const level *inner, int32_t *i_call) {
    const cot_graph *graph = inner->loop->body->graph;
    for (size_t i = 0; i < graph->input.count; i++) {
        const coti_loop_memory *memory = &inner->loop->memory[i];
        int32_t *slot = NULL;
        if (memory->initial < 0) {
            continue;
        }
        slot = coti_arena_array(&p->plan->arena, 2, sizeof *slot);
        if (slot == NULL) {
            return COT_E_NOMEM;
        }
        const coti_operand *from = &inner->group->operand[memory->initial];
        COTI_TRY(find_slot(p, at, from, *i_call, 0, &slot[0]));
        const coti_operand *to =
            memory->operand >= 0 ? &inner->group->operand[memory->operand] : NULL;
        COTI_TRY(to != NULL ? find_slot(p, at, to, *i_call, 1, &slot[1])
                            : find_own(p, inner, graph->input.data[i], &slot[1]));
        p->plan->call[(*i_call)++].slot = slot;
    }
    return COT_OK;
}

static cot_status make_loop_slots(coti_planner *p, level *at, const coti_group *group,
                                  int32_t *i_call);

static cot_status make_group_slots(coti_planner *p, level *at, const coti_group *group,
                                   int32_t *i_call) {
    if (group->loop != NULL) {
        return make_loop_slots(p, at, group, i_call);
    }
    return make_kernel_slots(p, at, group, (*i_call)++);
}

/* All calls from *i_call on of a loop in the loop `at` (NULL: in none). */
static cot_status make_loop_slots(coti_planner *p, level *at, const coti_group *group,
                                  int32_t *i_call) {
    const coti_loop *loop = group->loop;
    const size_t n_nodes = loop->body->graph->node.count;
    level inner = {.up = at, .group = group, .loop = loop};
    inner.buffer = coti_arena_array(&p->scratch, n_nodes, sizeof *inner.buffer);
    if (inner.buffer == NULL) {
        return COT_E_NOMEM;
    }
    for (size_t i = 0; i < n_nodes; i++) {
        inner.buffer[i] = -1;
    }
    COTI_TRY(make_copy_slots(p, at, &inner, i_call));
    cotr_loop *call = &p->plan->call[(*i_call)++].loop;
    inner.first_call = *i_call;
    cot_status status = COT_OK;
    for (int32_t g = 0; g < loop->body->n_groups && status == COT_OK; g++) {
        status = make_group_slots(p, &inner, &loop->body->group[g], i_call);
    }
    if (status == COT_OK) {
        call->n_strides = (int32_t)inner.strides.count;
        call->stride = coti_arena_copy(&p->plan->arena, inner.strides.data,
                                       inner.strides.count * sizeof *call->stride);
        status = call->stride != NULL ? COT_OK : COT_E_NOMEM;
    }
    coti_vec_free(p->context, &inner.strides);
    return status;
}

/* ---- places ---- */

/* Times are the calls of the outermost loop, its copies included. */
typedef struct times {
    int32_t *first, *last; /* at which each of its own buffers is used; -1: it is no such buffer */
    int32_t first_buffer;
    int32_t now;
} times;

/* A buffer of the loop's own is used by the call at hand. */
static void note_use(const coti_planner *p, times *t, int32_t buffer) {
    const int32_t i = buffer - t->first_buffer;
    if (p->plan->buffer_info[buffer].loop == p->n_loops) {
        t->first[i] = t->first[i] < 0 ? t->now : t->first[i];
        t->last[i] = t->now;
    }
}

/*
 * The calls of a loop come again and again: what is used in it and outside of it is live all the
 * time that it runs, a carry from its copy on, a stack of it until it is read.
 */
static void extend_over_loops(const coti_planner *p, times *t, int32_t first_call, int32_t n_calls,
                              int32_t n_buffers) {
    for (int32_t i = n_calls; i-- > 0;) {
        const cotr_call *call = &p->plan->call[first_call + i];
        if (call->kind != COTR_CALL_LOOP) {
            continue;
        }
        const int32_t end = i + call->loop.n_calls;
        for (int32_t b = 0; b < n_buffers; b++) {
            const bool from_before = t->first[b] <= i && t->last[b] > i && t->last[b] < end;
            const bool for_later = t->first[b] > i && t->first[b] <= end && t->last[b] > end;
            t->last[b] = from_before ? end : t->last[b];
            t->first[b] = for_later ? i : t->first[b];
        }
    }
}

static cot_status place_blocks(coti_planner *p, const times *t, int32_t n, int32_t n_calls,
                               coti_plan_loop *loop) {
    coti_plan_block *block = coti_arena_array(&p->scratch, (size_t)n, sizeof *block);
    int64_t bound = 0;
    if (block == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        const int64_t bytes = coti_round_up(p->buffer[t->first_buffer + i].bytes, COTI_PLAN_ALIGN);
        if (t->first[i] >= 0) {
            block[i] = (coti_plan_block){{t->first[i], t->last[i]}, bytes, 0};
        }
    }
    COTI_TRY(coti_place_blocks(p->context, block, n, n_calls, true, &loop->bytes, &bound));
    for (int32_t i = 0; i < n; i++) {
        if (t->first[i] >= 0) {
            p->buffer[t->first_buffer + i].offset = block[i].offset;
            p->plan->buffer_info[t->first_buffer + i].life = block[i].life;
        }
    }
    return COT_OK;
}

/* Place what is the loop's own from the block's start on. */
static cot_status place_own(coti_planner *p, coti_plan_loop *loop, int32_t first_call,
                            int32_t n_calls) {
    const int32_t n = p->n_buffers - loop->first_buffer;
    times t = {.first_buffer = loop->first_buffer};
    t.first = coti_arena_array(&p->scratch, (size_t)n, sizeof *t.first);
    t.last = coti_arena_array(&p->scratch, (size_t)n, sizeof *t.last);
    if (t.first == NULL || t.last == NULL) {
        return COT_E_NOMEM;
    }
    for (int32_t i = 0; i < n; i++) {
        t.first[i] = -1;
    }
    for (t.now = 0; t.now < n_calls; t.now++) {
        const cotr_call *call = &p->plan->call[first_call + t.now];
        for (int32_t s = 0; s < call->n_slots; s++) {
            note_use(p, &t, call->slot[s]);
        }
    }
    extend_over_loops(p, &t, first_call, n_calls, n);
    loop->n_buffers = n;
    return place_blocks(p, &t, n, n_calls, loop);
}

cot_status coti_plan_loop_slots(coti_planner *p, int32_t g, int32_t *i_call) {
    const coti_group *group = &p->groups->group[g];
    const cotr_chain *chain = &p->chain[p->group[g].chain];
    const int64_t max_rows = p->groups->max_rows;
    const int32_t first_call = *i_call;
    int32_t unused = 0;
    /* What is not the loop's own comes first, so that its own stand together. */
    COTI_PLAN_OPERANDS(p, g, operand) {
        COTI_TRY(coti_plan_find_buffer(p, operand, &unused));
    }
    coti_plan_loop *loop = &p->loop[p->n_loops++];
    *loop =
        (coti_plan_loop){.group = g,
                         .rows = group->rows,
                         .n_rows = group->rows && chain->chunk < max_rows ? chain->chunk : max_rows,
                         .first_buffer = p->n_buffers};
    COTI_TRY(make_loop_slots(p, NULL, group, i_call));
    return place_own(p, loop, first_call, *i_call - first_call);
}
