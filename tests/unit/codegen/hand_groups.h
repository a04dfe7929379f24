/*
 * Lists of groups put together by hand, for the tests of the planner, and what must be true of
 * every plan of theirs.
 */
#ifndef HAND_GROUPS_H
#define HAND_GROUPS_H

#include "codegen/plan.h"

enum { HAND_MAX_GROUPS = 400, HAND_MAX_OPERANDS = 12 };

/*
 * Values are inputs of the graph that stand for nodes: the planner looks at their types alone.
 * Zero-initialised but for what hand_groups_begin sets.
 */
typedef struct hand_groups {
    cot_context *context;
    cot_graph *graph;
    coti_groups groups;
    coti_group group[HAND_MAX_GROUPS];
    coti_kernel kernel[HAND_MAX_GROUPS];
    coti_operand operand[HAND_MAX_GROUPS][HAND_MAX_OPERANDS];
    uint32_t output[8];
    int32_t n_names;
} hand_groups;

/* Too large for a stack: in the heap. NULL: no memory. */
hand_groups *hand_groups_begin(cot_context *context, int64_t max_rows);
void hand_groups_end(hand_groups *hand);

/* A new f32 value: [N, columns] or [columns]. */
uint32_t hand_value(hand_groups *hand, bool batched, int64_t columns);
/* A new state, f32 [columns]. */
uint32_t hand_state(hand_groups *hand, int64_t columns);
/* Make a value an output of the graph. */
void hand_output(hand_groups *hand, uint32_t value);

/* A new group without operands: over rows, or of 4 units. Returns its number. */
int32_t hand_group(hand_groups *hand, bool rows, double work);
void hand_read(hand_groups *hand, int32_t group, coti_operand_kind kind, uint32_t id);
void hand_write(hand_groups *hand, int32_t group, coti_operand_kind kind, uint32_t id);

/*
 * Check a plan against its groups from first principles: each group called once; every value
 * written before it is read, by a barrier, or in one chain over rows, or in order on one thread;
 * every old state read before its writer; no memory shared by buffers that are live at once;
 * everything within arena and local block, and aligned. NULL when all holds, else what does not.
 */
const char *hand_check(const hand_groups *hand, const coti_plan *plan);

#endif
