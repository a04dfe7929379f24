/*
 * Where cotangents flow in a scan: a carry has one in the gradient's loop if something that is
 * asked for makes it, in this step or an earlier one, and something that has a cotangent is made of
 * it, in this step or a later one.
 */
#ifndef COTI_SCAN_FLOW_H
#define COTI_SCAN_FLOW_H

#include "graph/scan.h"

typedef struct coti_scan_flow {
    const coti_scan *scan;
    int32_t n_operands;
    const bool *needs;         /* by operand: is its cotangent wanted? */
    const cot_value *result_g; /* by result: its cotangent; poison: none */
} coti_scan_flow;

/* flows_out[i]: does carry i have a cotangent? Each round over the body adds a carry: n_carries + 1
 * of them at most. */
cot_status coti_scan_find_flow(const coti_scan_flow *s, coti_arena *arena, bool *flows_out);

#endif
