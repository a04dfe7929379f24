/*
 * From groups to a program: which calls share a phase, which phases threads share, where every
 * buffer lives.
 */
#ifndef COTI_PLAN_H
#define COTI_PLAN_H

#include "group.h"
#include "runtime/program.h"

/* When a buffer is live: phases of an ARENA or unbound OUTPUT buffer, calls of its chain for LOCAL.
 */
typedef struct coti_lifetime {
    int32_t first, last; /* inclusive */
} coti_lifetime;

/* What the dump tells of a buffer beside where it is. */
typedef struct coti_plan_buffer {
    coti_operand_kind kind;
    uint32_t node; /* of graph */
    coti_lifetime life;
    const cot_graph *graph; /* the groups', or that of a loop's body */
    int32_t loop;           /* 1 + the loop whose own it is; 0: of none */
} coti_plan_buffer;

/*
 * A program without machine code yet: the kernel calls' `kernel` is NULL. Owns all that `program`
 * points to but the states' storage; kernels, node ids and group indices refer to the groups that
 * it was made from and mean nothing when those are gone.
 */
typedef struct coti_plan {
    coti_arena arena;
    cotr_program program;
    int32_t n_calls;
    cotr_call *call; /* all calls, in the order of phases and chains */
    int32_t n_kernels;
    const coti_kernel **kernel;      /* each once, in the order of first calls */
    int32_t *call_kernel;            /* of each call: index in kernel; -1: it is none */
    int32_t *call_group;             /* of each call: index in groups->group */
    const coti_group **call_of;      /* of each call: that group, or the one of a loop's body */
    const coti_groups **call_groups; /* ... and the groups that it is one of */
    coti_plan_buffer *buffer_info;   /* of each buffer */
    void **state;                    /* program.state, to be filled */
    const coti_node **state_node;    /* of each state of the program: STATE or CONST */
    int64_t bound_bytes;             /* no plan of these phases has a smaller arena: see plan.c */
    double work;                     /* estimated flops of a step at the largest row count */
} coti_plan;

/*
 * Plan a list of groups, whose kernels' scratch_bytes are set, for context->threads threads.
 * n_states covers the variables and the constant arrays; state[i] is NULL for the caller to fill,
 * from state_node[i]. fails: COT_E_NOMEM, COT_E_SHAPE (too large), COT_E_INTERNAL for groups that
 * break their contract.
 */
cot_status coti_plan_make(const coti_groups *groups, const coti_target *target,
                          coti_plan **plan_out);
/*
 * The same, with phases of another length: one over rows ends once groups that are not over rows
 * have gathered that are the readers of phase_bytes bytes of values over rows; weight gradients,
 * that is, which so run before the values of all layers are there. coti_plan_make takes
 * COTI_PHASE_BYTES; 0: phases end where they must. Results have the same bits.
 */
enum { COTI_PHASE_BYTES = 2 << 20 };
cot_status coti_plan_make_closing(const coti_groups *groups, const coti_target *target,
                                  int64_t phase_bytes, coti_plan **plan_out);
/* Fill in the machine code: code[i] is that of kernel[i]. */
void coti_plan_link(coti_plan *plan, const cotr_kernel *code);

/* NULL is fine. */
void coti_plan_destroy(coti_plan *plan);

/* The names and types of a graph's inputs and outputs, copied into the arena, for a program. */
cot_status coti_plan_types(coti_arena *arena, const cot_graph *graph, cotr_program *program);

/* The dump of stage "plan" (plan_print.c). name: the program's. */
void coti_plan_print(coti_str *out, const coti_plan *plan, const char *name);

/*
 * What fills the arena at its fullest phase: the largest of its values, one after another: `phase 3
 * of 9: "dense_1" dot f32[128,512] 262144 bytes, "dense" maximum ...`. Values of equal layer,
 * operation and type are told once, with their number. Cut short where `bytes` end. (plan_peak.c)
 * fails: COT_E_NOMEM
 */
cot_status coti_plan_peak(const coti_plan *plan, cot_context *context, char *text, size_t bytes);

/* ---- plan_memory.c ---- */

/* A block to be placed: live in [life.first, life.last], `bytes` a multiple of 64. */
typedef struct coti_plan_block {
    coti_lifetime life;
    int64_t bytes, offset;
} coti_plan_block;

/*
 * Give every block an offset such that no two that are live at once overlap; blocks of 0 bytes get
 * offset 0. times: lifetimes lie in [0, times). Several ways are tried, the best is kept.
 * share: false: no two overlap ever. total_out: bytes of the whole.
 * bound_out: the most bytes that are live at any one time.
 * cost   n log n, for n blocks; fails: COT_E_NOMEM, COT_E_SHAPE when the whole is too large
 */
cot_status coti_place_blocks(cot_context *context, coti_plan_block *block, int32_t n, int32_t times,
                             bool share, int64_t *total_out, int64_t *bound_out);

#endif
