/*
 * Runs groups one after another by the kernel interpreter: what a compiled program must compute.
 */
#ifndef GROUPS_INTERPRET_H
#define GROUPS_INTERPRET_H

#include "codegen/group.h"

/*
 * Run all groups once on `rows` rows. input[i] belongs to graph->input.data[i]; output[i]
 * (allocated by the caller) receives graph->output.data[i]; states are read and written in their
 * variables. Groups over rows run in chunks of `chunk` rows, others unit by unit, all in reverse
 * order: nothing may depend on that. Values start as bytes of ones, which are NaN as floats.
 */
cot_status coti_groups_interpret(const coti_groups *groups, int64_t rows, int64_t chunk,
                                 const coti_tensor *input, coti_tensor *output);

#endif
