/*
 * Schedules, inside: options that were read, their nodes in a graph, and their value outside of a
 * step.
 */
#ifndef COTI_SCHEDULE_H
#define COTI_SCHEDULE_H

#include "cotangent/schedules.h"
#include "runtime/base/arena.h"

/*
 * Check a schedule's options and copy them, with defaults filled in, into the arena; rate: what an
 * initial_learning_rate of 0 means. fails: COT_E_ARG (unknown kind, a number out of range),
 * COT_E_NOMEM
 */
cot_status coti_schedule_read(cot_context *context, coti_arena *arena, const cot_schedule *given,
                              double rate, const cot_schedule **out);

/* The rate at `step`, f64 scalars; poison on failure. The schedule was read. */
cot_value coti_schedule_build(const cot_schedule *schedule, cot_value step);

/* The same number, by the evaluator. */
cot_status coti_schedule_at(cot_context *context, const cot_schedule *schedule, int64_t step,
                            double *rate_out);

#endif
