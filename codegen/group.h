/*
 * Groups: the graph cut into fused kernels, in an order in which they may run one after another.
 * What fusion and lowering (fuse.c, lower_*.c) hand to the planner (plan.c).
 *
 * Invariants. Every slot of a group's kernel has an operand. A value that any group reads is
 * written by exactly one earlier group (views are resolved: an operand names the node whose memory
 * is read, never a reshape of it). A state is written by at most one group, in place, and no group
 * that runs before or reads the old value depends on that writer: the planner need only place the
 * writer in a later phase than the state's other readers. Every graph output has a value of its
 * own. A group over rows reads batched values at its own rows only.
 */
#ifndef COTI_GROUP_H
#define COTI_GROUP_H

#include "jit.h"
#include "kernel.h"

/* X(ID, meaning) */
#define COTI_OPERAND_LIST(X)                                                                       \
    X(VALUE, "a node's value, in memory that the planner chooses")                                 \
    X(STATE, "a variable's storage: node id of its STATE")                                         \
    X(SOURCE, "a batched input's cotr_source, of a LOAD kernel: node id of its INPUT")             \
    X(INPUT, "an input that is not batched, read where it is bound: node id of its INPUT")         \
    X(CONST, "a constant array: node id of its CONST")

typedef enum coti_operand_kind {
#define COTI_OPERAND_ENUM(id, meaning) COTI_OPERAND_##id,
    COTI_OPERAND_LIST(COTI_OPERAND_ENUM)
#undef COTI_OPERAND_ENUM
} coti_operand_kind;

typedef struct coti_operand {
    coti_operand_kind kind;
    uint32_t id; /* node of groups->graph */
    bool read, written;
} coti_operand;

/* X(ID, text): why a node is in its group; ~ stands for the other node */
#define COTI_REASON_LIST(X)                                                                        \
    X(ALONE, "own group: no group takes it")                                                       \
    X(OPERAND, "own group: operand of product ~")                                                  \
    X(PRODUCT, "own group: a product")                                                             \
    X(REDUCTION, "own group: reduces ~")                                                           \
    X(EPILOGUE, "epilogue of ~: same space")                                                       \
    X(ELEMENTWISE, "with ~: same space")                                                           \
    X(ROW, "with ~: same rows")                                                                    \
    X(REDUCES, "reduces ~ where it is made")                                                       \
    X(SIBLING, "with ~: reads the same values")                                                    \
    X(LOOP, "own group: a loop")                                                                   \
    X(RESULT, "another result of the loop of ~")                                                   \
    X(SCALAR, "with the other scalars")                                                            \
    X(TOTAL, "with the other sums over all rows")                                                  \
    X(MERGED, "merged for ~, which needs both")                                                    \
    X(SIDE, "side reduction of product ~: sums its operand")                                       \
    X(AGAIN, "recomputed: cheap, for ~")                                                           \
    X(LOAD, "loads the rows of an input")                                                          \
    X(COPY, "copied to its state after all its readers")                                           \
    X(UNFUSED, "own group: fusion is off")

typedef enum coti_reason_kind {
#define COTI_REASON_ENUM(id, text) COTI_REASON_##id,
    COTI_REASON_LIST(COTI_REASON_ENUM)
#undef COTI_REASON_ENUM
} coti_reason_kind;

typedef struct coti_reason {
    coti_reason_kind kind;
    uint32_t node; /* the other node; 0: none */
} coti_reason;

typedef struct coti_groups coti_groups;

/* Where a loop's body finds what an input of its graph stands for. */
typedef struct coti_loop_memory {
    int32_t operand; /* of the loop's group; -1: memory of the loop's own */
    int32_t initial; /* operand that it is a copy of before the first step; -1: none */
    int64_t stride;  /* bytes to go on by at each step */
} coti_loop_memory;

/*
 * A loop: groups that are made once a step, in their order. They are those of a graph, the body,
 * whose inputs are memory: carries, sequences, stacks, constants. Each is known to the groups as a
 * STATE by the input's id; a carry is written in place, or by a copy after all that read it, as
 * states are.
 */
typedef struct coti_loop {
    coti_groups *body; /* one of the bodies of the groups that the loop is in */
    int64_t steps;     /* 1 or more */
    bool reverse;
    int32_t n_operands;
    coti_loop_memory *memory; /* by input of the body's graph */
} coti_loop;

typedef struct coti_group {
    coti_kernel *kernel;   /* groups with equal kernels share one; NULL: a loop */
    coti_loop *loop;       /* NULL: a kernel */
    coti_operand *operand; /* one for each slot of the kernel; of a loop n_operands of them */
    bool rows;             /* partitioned over rows: the call's range is coefficient * rows */
    int64_t coefficient;   /* of a leading extent c*N, 0 where it has no elements; else 1 */
    int64_t n_units;       /* of a group that is not over rows */
    uint32_t era;          /* the last barrier, in order, that it depends on; 0: none */
    double work; /* flops at the largest row count; elementwise operations count 1, functions 20 */
    int64_t shared_bytes; /* unbatched bytes that each chunk of a rows group reads again: weights */
    int32_t n_nodes;
    const uint32_t *node;      /* members, for the dump */
    const coti_reason *reason; /* why each member is here */
} coti_group;

struct coti_groups {
    cot_context *context;
    cot_graph *graph; /* owned: the graph that was given, prepared for fusion (prepare.c); inputs
                         and outputs are in the same order, states are the same variables */
    coti_arena arena; /* owns everything below */
    int64_t max_rows;
    int32_t n_groups;
    coti_group *group;
    COTI_VEC(coti_groups *) body; /* of loops; owned */
    const uint32_t *output; /* for each graph output, the VALUE operand's node id that holds it */
    /* Every kernel of these groups and of those in loops, once; of loops' own groups: none. */
    int32_t n_kernels;
    coti_kernel **kernel;
};

static inline int32_t coti_group_n_operands(const coti_group *group) {
    return group->kernel != NULL ? group->kernel->n_slots : group->loop->n_operands;
}

/* "gemm_add", "scan": for dumps. */
static inline const char *coti_group_hint(const coti_group *group) {
    return group->kernel != NULL ? group->kernel->hint : "scan";
}

/*
 * Cut an expanded, simplified graph, which nobody else has seen, into groups and lower each. It is
 * the groups' own from then on, and *graph NULL, but when there is no memory for groups. With
 * context->fuse off, one node a group. fails: COT_E_UNSUPPORTED for what the JIT has no kernel for
 * (the caller then uses the evaluator), COT_E_NOMEM.
 */
cot_status coti_fuse(cot_graph **graph, const coti_target *target, int64_t max_rows,
                     coti_groups **groups_out);
void coti_groups_destroy(coti_groups *groups);

/* The dump of stage "fuse": each group's kernel text, members and reasons. */
void coti_groups_print(coti_str *out, const coti_groups *groups);

#endif
