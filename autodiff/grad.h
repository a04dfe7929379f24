/*
 * What the functions that take derivatives share: checks of their arguments, and how they begin and
 * end (grad.c).
 */
#ifndef COTI_GRAD_H
#define COTI_GRAD_H

#include "graph/graph.h"

/* The graph to report to and work in: y's, or where y is poisoned that of any wrt; or NULL. */
cot_graph *coti_grad_graph(cot_value y, const cot_value *wrt, int32_t n);

/* An operand of the call `op`: `what`, and its index if it is one of several (else -1). It must be
 * a float value of the graph; the error says what it is. */
cot_status coti_grad_check(const cot_graph *graph, const char *op, cot_value value,
                           const char *what, int32_t i);

/* COT_E_DTYPE or COT_E_SHAPE unless `value` is of y's type. */
cot_status coti_grad_check_type(const char *op, cot_value value, const char *what, cot_value y,
                                const char *y_name);

/* COT_E_SHAPE unless y is a scalar; `otherwise` is what to call instead. */
cot_status coti_grad_check_scalar(const char *op, cot_value y, const char *otherwise);

/* Before the first backward part: dump the graph if that is asked for. */
cot_status coti_grad_begin(const cot_graph *graph);

/* What a failed call leaves behind: nothing that could be taken for a derivative. The status. */
cot_status coti_grad_finish(cot_status status, cot_value *out, int32_t n);

#endif
