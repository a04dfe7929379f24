/*
 * What the files of the planner share: its own view of groups and values while a plan grows.
 *
 *     plan.c         the steps in order; the program's types
 *     plan_phase.c   the phase of each group
 *     plan_chain.c   calls, chains
 *     plan_loop.c    the calls and the memory of loops
 *     plan_chunk.c   the rows of a chain's tasks
 *     plan_buffer.c  values and states -> buffers, and where these lie
 *     plan_memory.c  blocks with lifetimes -> offsets
 *     plan_peak.c    what fills the arena, for a message
 *     plan_print.c   the dump
 */
#ifndef COTI_PLANNER_H
#define COTI_PLANNER_H

#include "plan.h"

typedef struct coti_plan_group {
    int32_t phase;
    int32_t step;     /* within a phase that was merged from several: which of them */
    int32_t chain;    /* of all chains */
    int32_t position; /* among the chain's groups */
} coti_plan_group;

/* By node id: a value in memory, or a state. */
typedef struct coti_plan_value {
    int32_t writer; /* group; -1: none (yet) */
    int32_t n_readers;
    int32_t last_phase;    /* in which it is read or written */
    int32_t old_phase;     /* the latest phase that reads a state's old value; -1: none */
    int32_t last_position; /* of the groups of a chain that use it */
    bool one_chain;        /* only the writer's chain uses it */
    int32_t input, output; /* of the graph; -1: none */
    int32_t buffer;        /* -1: none yet */
    int32_t source;        /* buffer of an input's rows as they are bound; -1: none yet */
} coti_plan_value;

enum { COTI_PLAN_ALIGN = 64 };

/* A loop that is in no other: what is its own is one block. */
typedef struct coti_plan_loop {
    int32_t group;
    bool rows;
    int64_t n_rows; /* that its batched buffers hold */
    int32_t first_buffer, n_buffers;
    int64_t bytes;
} coti_plan_loop;

typedef struct coti_planner {
    cot_context *context;
    const coti_groups *groups;
    const coti_target *target;
    coti_plan *plan;
    coti_arena scratch;     /* dies with the planner */
    coti_plan_group *group; /* by group */
    coti_plan_value *value; /* by node */
    coti_plan_loop *loop;   /* in the order of calls */
    int32_t n_phases, n_chains, n_buffers, n_loops;
    int32_t *chain_first;     /* by chain: where its groups begin in order */
    uint32_t era;             /* the latest that a group so far is of */
    int32_t first_phase;      /* of that era */
    int32_t first_rows_phase; /* for groups over rows */
    int64_t phase_bytes;      /* as coti_plan_make_closing has it */
    int64_t gathered;         /* towards phase_bytes, since one of these phases began */
    double *work;             /* by phase */
    bool *serial;             /* by phase */
    int32_t *order;           /* groups in the order of calls */
    cotr_phase *phase;        /* in the plan's arena, as is what follows */
    cotr_chain *chain;
    cotr_buffer *buffer;
} coti_planner;

/* for (const coti_operand *operand = each operand of group g) */
#define COTI_PLAN_OPERANDS(p, g, operand)                                                          \
    for (const coti_operand *                                                                      \
             operand = (p)->groups->group[g].operand,                                              \
            *operand##_end = operand + coti_group_n_operands(&(p)->groups->group[g]);              \
         operand < operand##_end; operand++)

static inline const coti_node *coti_plan_node(const coti_planner *p, uint32_t id) {
    return coti_node_at(p->groups->graph, id);
}

static inline int32_t coti_plan_later(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* Bytes of a node's value at `rows` rows. COT_E_SHAPE when there are too many. */
cot_status coti_plan_node_bytes(cot_context *context, const coti_node *node, int64_t rows,
                                int64_t *bytes_out);
cot_status coti_plan_bytes(const coti_planner *p, uint32_t id, int64_t rows, int64_t *bytes_out);

/* Set each group's phase and step, n_phases, work and serial. */
cot_status coti_plan_phases(coti_planner *p);

/* Set order, the plan's calls but for their slots, phases and chains, each group's chain and
 * position. */
cot_status coti_plan_chains(coti_planner *p);

/* Set chunk and grain of a chain over rows, whose calls are there. */
void coti_plan_chunk(const coti_planner *p, int32_t i_chain);

/* Make buffers and the calls' slots, and place them. */
cot_status coti_plan_buffers(coti_planner *p);

/* The buffer of an operand of a group that is in no loop, made if it has none yet. */
cot_status coti_plan_find_buffer(coti_planner *p, const coti_operand *operand, int32_t *buffer_out);
/* A new buffer of a constant array. */
cot_status coti_plan_make_constant(coti_planner *p, const coti_node *node, int32_t *buffer_out);

/* ---- plan_loop.c ---- */

/* Calls that a group becomes; operands of all its kernels and copies, and its memory. */
int32_t coti_plan_count_calls(const coti_group *group);
size_t coti_plan_count_operands(const coti_group *group);
/* Append the calls of a group, which is `depth` loops deep in group `outer` and made `steps` times
 * in all. COT_E_UNSUPPORTED: too many loops in each other. */
cot_status coti_plan_append_calls(coti_planner *p, int32_t outer, const coti_groups *groups,
                                  const coti_group *group, int32_t depth, double steps);
/* Make the slots of loop g's calls, from *i_call on, which goes on behind them; place what is its
 * own from the start of a block. */
cot_status coti_plan_loop_slots(coti_planner *p, int32_t g, int32_t *i_call);

#endif
