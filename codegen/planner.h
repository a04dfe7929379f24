/*
 * What the files of the planner share: its own view of groups and values while a plan grows.
 *
 *     plan.c         the steps in order; the program's types
 *     plan_phase.c   the phase of each group
 *     plan_chain.c   calls, chains
 *     plan_chunk.c   the rows of a chain's tasks
 *     plan_buffer.c  values and states -> buffers, and where these lie
 *     plan_memory.c  blocks with lifetimes -> offsets
 *     plan_print.c   the dump
 */
#ifndef COTI_PLANNER_H
#define COTI_PLANNER_H

#include "plan.h"

typedef struct coti_plan_group {
    int32_t phase;
    int32_t step;     /* within a phase that was merged from several: which of them */
    int32_t chain;    /* of all chains */
    int32_t position; /* of its call in the chain */
} coti_plan_group;

/* By node id: a value in memory, or a state. */
typedef struct coti_plan_value {
    int32_t writer; /* group; -1: none (yet) */
    int32_t n_readers;
    int32_t last_phase;    /* in which it is read or written */
    int32_t old_phase;     /* the latest phase that reads a state's old value; -1: none */
    int32_t last_position; /* of the calls of a chain that use it */
    bool one_chain;        /* only the writer's chain uses it */
    int32_t input, output; /* of the graph; -1: none */
    int32_t buffer;        /* -1: none yet */
    int32_t source;        /* buffer of an input's rows as they are bound; -1: none yet */
} coti_plan_value;

typedef struct coti_planner {
    cot_context *context;
    const coti_groups *groups;
    const coti_target *target;
    coti_plan *plan;
    coti_arena scratch;     /* dies with the planner */
    coti_plan_group *group; /* by group */
    coti_plan_value *value; /* by node */
    int32_t n_phases, n_chains, n_buffers;
    uint32_t era;        /* the latest that a group so far is of */
    int32_t first_phase; /* of that era */
    double *work;        /* by phase */
    bool *serial;        /* by phase */
    int32_t *order;      /* groups in the order of calls */
    cotr_phase *phase;   /* in the plan's arena, as is what follows */
    cotr_chain *chain;
    cotr_buffer *buffer;
} coti_planner;

/* for (const coti_operand *operand = each operand of group g) */
#define COTI_PLAN_OPERANDS(p, g, operand)                                                          \
    for (const coti_operand *operand = (p)->groups->group[g].operand,                              \
                            *operand##_end = operand + (p)->groups->group[g].kernel->n_slots;      \
         operand < operand##_end; operand++)

static inline const coti_node *coti_plan_node(const coti_planner *p, uint32_t id) {
    return coti_node_at(p->groups->graph, id);
}

static inline int32_t coti_plan_later(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* Bytes of a node's value at `rows` rows. COT_E_SHAPE when there are too many. */
cot_status coti_plan_bytes(const coti_planner *p, uint32_t id, int64_t rows, int64_t *bytes_out);

/* Set each group's phase and step, n_phases, work and serial. */
cot_status coti_plan_phases(coti_planner *p);

/* Set order, the plan's calls but for their slots, phases and chains, each group's chain and
 * position. */
cot_status coti_plan_chains(coti_planner *p);

/* Set chunk and grain of a chain over rows, whose calls are there. */
void coti_plan_chunk(const coti_planner *p, cotr_chain *chain);

/* Make buffers and the calls' slots, and place them. */
cot_status coti_plan_buffers(coti_planner *p);

#endif
