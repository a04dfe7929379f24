/*
 * Programs and sessions as the frontend drives them: the public ones of cotangent/graph.h, plus row
 * order and whole ranges of batches in one call. A program runs on the JIT's kernels or, without
 * LLVM or by option, on the evaluator; its users cannot tell.
 */
#ifndef COTI_PROGRAM_H
#define COTI_PROGRAM_H

#include "cotangent/graph.h"
#include "graph/graph.h"

/* cot_program_create, with lines (NULL: none) for the heads of the dumps of stages fuse and plan.
 */
cot_program *coti_program_make(const cot_graph *graph, const cot_program_options *options,
                               const char *note);

/* The same in two parts: planned, with all facts of the plan told; and, of all that have been
 * begun, in one go, compiled. A program that has not been finished is good for nothing else. */
cot_program *coti_program_begin(const cot_graph *graph, const cot_program_options *options,
                                const char *note);
cot_status coti_programs_finish(cot_program *const *program, int32_t n);

/*
 * What a program of this graph would take: arena_bytes, arena_bound_bytes, memory_bytes and flops
 * of its plan, which tries to fit a budget but need not, without making kernels. fails: as
 * cot_program_create; COT_E_UNSUPPORTED where it would run on the evaluator.
 */
cot_status coti_program_measure(const cot_graph *graph, const cot_program_options *options,
                                cot_program_info *info_out);

/* What such a program would have in its arena at the fullest phase, as coti_plan_peak tells it. */
cot_status coti_program_peak(const cot_graph *graph, const cot_program_options *options, char *text,
                             size_t bytes);

/* Index of an input or output by name; -1: none. */
int32_t coti_program_find_input(const cot_program *program, const char *name);
int32_t coti_program_find_output(const cot_program *program, const char *name);

/* As cot_session_bind, by index, with a row order: index[i] is the data's row for position i
 * (borrowed; may be NULL). */
cot_status coti_session_bind_ordered(cot_session *session, int32_t i_input, const cot_array *array,
                                     const int64_t *index);

/*
 * Steps of `batch` rows (the last may have fewer) over positions [first, first + n_rows); outputs
 * are written from their start on, row 0 being position `first`. See cotr_session_run.
 */
cot_status coti_session_run_range(cot_session *session, int64_t first, int64_t n_rows,
                                  int64_t batch, const volatile int32_t *cancel,
                                  int64_t *steps_done_out);

/* The session's error, complete; its program's context can take it over by coti_fail_at. */
const coti_error *coti_session_error(const cot_session *session);

#endif
