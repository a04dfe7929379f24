/*
 * A graph lowered to groups and run by the interpreter, against the reference evaluator.
 */
#ifndef FUSE_CASE_H
#define FUSE_CASE_H

#include "check.h"

#include "codegen/group.h"

/* AVX-512, unless a test wants another. */
extern const coti_target fuse_target;

/* The graph expanded and cut into groups, to be destroyed; the test fails if that does not work. */
coti_groups *fuse_groups(const cot_graph *graph, int64_t max_rows);

/* What coti_groups promises to the planner; NULL: it holds, else what does not. */
const char *fuse_complaint(const coti_groups *groups);

/*
 * Evaluate the graph and run its groups on the same inputs and states (made of `seed`), and compare
 * outputs and states: floats within `tolerance` * max(1, |x|), all else exactly. Runs with fusion
 * as the context has it. Variables are left as the groups leave them.
 */
void fuse_check(const cot_graph *graph, int64_t rows, uint64_t seed, double tolerance);

/* Run the graph's groups fused and not: outputs and states must agree in every bit but the sign of
 * zeros. Variables are left as the groups leave them. */
void fuse_check_same(const cot_graph *graph, int64_t rows, uint64_t seed);

/* Parse the text, check it as above fused and not, for 1, 3 and 40 rows. */
void fuse_check_text(cot_context *context, const char *text);

/* The groups' text, to be freed. */
char *fuse_text(const coti_groups *groups);

/* Distinct kernels of the groups. */
int32_t fuse_count_kernels(const coti_groups *groups);

/* The first group with a member of this op, from group `from` on; -1: none. */
int32_t fuse_find(const coti_groups *groups, cot_op op, int32_t from);

#endif
