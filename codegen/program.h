/*
 * Programs and sessions as the frontend drives them: the public ones of cotangent/graph.h, plus row
 * order and whole ranges of batches in one call. A program runs on the JIT's kernels or, without
 * LLVM or by option, on the evaluator; its users cannot tell.
 */
#ifndef COTI_PROGRAM_H
#define COTI_PROGRAM_H

#include "cotangent/graph.h"
#include "graph/graph.h"

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
